"""`docs/settings.md`, written from the settings models: `python -m sluice.reference`, or `--check FILE` to see whether it is current."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from shared.kernel.variables import variable
from shared.runtime.settings import CommonSettings
from sluice.configuration import models
from sluice.settings import NOT_SET, told

HEAD: Final = """\
# Settings

Written by `make docs` from the settings models; change those, not this file.

Settings come from the environment. An empty variable counts as not set. What is wrong is refused at start with its name and the reason
(exit code 2, nothing was started), and so is a `SLUICE_` name that nobody knows; only `SLUICE_TEST…` is left to tests. `sluice settings` prints what
holds here, and where each value comes from; passwords, keys, tokens and the database's URI are shown as stars.

A flag is `true` or `false`, a list is separated by commas.

Whether spans go to a collector is said by OpenTelemetry's own variables, `OTEL_EXPORTER_OTLP_ENDPOINT` and its neighbours: [telemetry](telemetry.md#to-a-collector).
"""


def rendered() -> str:
    """The whole file."""
    known = CommonSettings.model_fields
    own = {name: model.model_fields for name, model in models().items()}
    parts = [HEAD, "## Every service, and `sluice up`\n", *_table({name: _common(name, field, own) for name, field in known.items()})]
    for service, fields in own.items():
        if new := {name: _row(name, field) for name, field in fields.items() if name not in known}:
            parts += [f"\n## Only {service}, and `sluice up`\n", *_table(new)]
    return "\n".join(parts) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the file, or compare it with the one that is named; 1 if they differ."""
    if arguments[:1] != ["--check"]:
        sys.stdout.write(rendered())
        return 0
    there = Path(arguments[1]).read_text().splitlines(keepends=True)
    difference = list(difflib.unified_diff(there, rendered().splitlines(keepends=True), arguments[1], "settings"))
    sys.stderr.writelines(difference)
    return 1 if difference else 0


def _table(rows: dict[str, tuple[str, str]]) -> list[str]:
    lines = [f"| `{variable(name)}` | {default} | {text} |" for name, (default, text) in rows.items()]
    return ["| variable | default | what it is |", "| --- | --- | --- |", *lines]


def _common(name: str, field: FieldInfo, own: dict[str, dict[str, FieldInfo]]) -> tuple[str, str]:
    default, text = _row(name, field)
    differing = [f"{service} {other}" for service, fields in own.items() if (other := _row(name, fields[name])[0]) != default]
    return "; ".join([default, *differing]), text


def _row(name: str, field: FieldInfo) -> tuple[str, str]:
    return _default(name, field.default), (field.description or "").replace("|", "\\|")


def _default(name: str, value: Any) -> str:
    match value:
        case _ if value is PydanticUndefined:
            return "see the text"
        case bool():
            return f"`{str(value).lower()}`"
        case _:
            text = told(value, name)
            return "none" if text == NOT_SET else f"`{text}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
