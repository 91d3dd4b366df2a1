"""OpenTelemetry's own variables, as far as they decide something here: whether spans go to a collector, and which traces.

They keep their standard names instead of `SLUICE_*`, because operators set them once for all that they run (OpenTelemetry
specification 1.x, "Environment Variable Specification" and "OTLP Exporter Configuration"; an empty one counts as not
set). What else the exporter and the SDK understand (time-out, compression, certificates, `OTEL_SERVICE_NAME`, ...) they
read by themselves. Nothing here repeats a value: an address or a header may hold a token.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

DISABLED: Final = "OTEL_SDK_DISABLED"
EXPORTER: Final = "OTEL_TRACES_EXPORTER"
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")  # the first that is set counts
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
TIMEOUTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
COMPRESSIONS: Final = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION")
BATCH_DEFAULTS: Final = {"OTEL_BSP_SCHEDULE_DELAY": 5000, "OTEL_BSP_MAX_QUEUE_SIZE": 2048, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 512}
SAMPLER: Final = "OTEL_TRACES_SAMPLER"
SAMPLER_ARG: Final = "OTEL_TRACES_SAMPLER_ARG"

PROTOCOL: Final = "http/protobuf"
RATIO: Final = 0.01  # of new traces, where nothing is said
_PARENT: Final = "parentbased_"  # whoever takes a record follows who wrote it, so with and without is the same here
_SAMPLERS: Final = {"always_on": 1.0, "always_off": 0.0}
_RATIO_SAMPLER: Final = "traceidratio"
# What the exporter takes; what it does not take, it would write into the log.
_HEADER: Final = re.compile(r"[!#-'*+\-.0-9A-Z^-z|~]+[ \t]*=[ !#-+\--:<-\[\]-~]*")


def exports_traces(environ: Mapping[str, str]) -> bool:
    """Whether spans go to a collector: an endpoint is set or OTLP asked for, and neither traces nor the SDK are switched off."""
    exporter = _one(environ, EXPORTER).lower()
    if is_disabled(environ) or exporter == "none":
        return False
    return exporter == "otlp" or bool(_first(environ, ENDPOINTS)[1])


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Whether the SDK shall record nothing at all."""
    return _one(environ, DISABLED).lower() == "true"


def trace_ratio(environ: Mapping[str, str]) -> float:
    """The share of new traces that the standard sampler asks for, from 0 to 1; `RATIO` where it is not set or wrong."""
    kind = _one(environ, SAMPLER).lower().removeprefix(_PARENT)
    share = _ratio(_one(environ, SAMPLER_ARG) or "1") if kind == _RATIO_SAMPLER else _SAMPLERS.get(kind)
    return RATIO if share is None else share


def mistakes(environ: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with those variables, a line each, by name; of an exporter that is off nothing is looked at."""
    yield from _sampler_mistakes(environ)
    yield from _batch_mistakes(environ)
    if _one(environ, EXPORTER).lower() not in ("", "none", "otlp"):
        yield f"{EXPORTER}: wanted is otlp or none"
    if not exports_traces(environ):
        return
    name, value = _first(environ, ENDPOINTS)
    if value and not _is_url(value):
        yield f"{name}: wanted is a URL that begins with http:// or https://, as http://collector:4318"
    name, value = _first(environ, PROTOCOLS)
    if value not in ("", PROTOCOL):
        yield f"{name}: wanted is {PROTOCOL}, the one protocol that is spoken (collectors take it on port 4318)"
    name, value = _first(environ, HEADERS)
    if not all(_HEADER.fullmatch(header.strip()) for header in value.split(",") if header.strip()):
        yield f"{name}: wanted is name=value, more of them separated by commas, other signs in values as %XX"
    name, value = _first(environ, COMPRESSIONS)
    if value.lower() not in ("", "none", "gzip", "deflate"):
        yield f"{name}: wanted is none, gzip or deflate"
    name, value = _first(environ, TIMEOUTS)
    if value and not _is_positive(value):
        yield f"{name}: wanted is a number of seconds above 0"


def _sampler_mistakes(environ: Mapping[str, str]) -> Iterator[str]:
    kind = _one(environ, SAMPLER).lower().removeprefix(_PARENT)
    if kind not in ("", _RATIO_SAMPLER, *_SAMPLERS):
        yield f"{SAMPLER}: wanted is always_on, always_off or traceidratio, each also with {_PARENT} before it"
    if kind == _RATIO_SAMPLER and _ratio(_one(environ, SAMPLER_ARG) or "1") is None:
        yield f"{SAMPLER_ARG}: wanted is a number from 0 to 1"


def _batch_mistakes(environ: Mapping[str, str]) -> Iterator[str]:
    sizes = {name: _one(environ, name) or str(default) for name, default in BATCH_DEFAULTS.items()}
    wrong = [name for name, size in sizes.items() if not (size.isascii() and size.isdigit() and int(size))]
    yield from (f"{name}: wanted is a whole number above 0" for name in wrong)
    _, queue, batch = sizes
    if not wrong and int(sizes[batch]) > int(sizes[queue]):
        yield f"{batch}: wanted is at most what {queue} says ({sizes[queue]}), because a batch comes out of the queue"


def _one(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    return next(((name, value) for name in names if (value := _one(environ, name))), (names[-1], ""))


def _ratio(text: str) -> float | None:
    try:
        ratio = float(text)
    except ValueError:
        return None
    return ratio if 0.0 <= ratio <= 1.0 else None


def _is_positive(text: str) -> bool:
    try:
        return 0.0 < float(text) < float("inf")
    except ValueError:
        return False


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a bracket or a port that is none
        return False
