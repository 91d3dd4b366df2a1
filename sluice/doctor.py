"""`sluice doctor URL`: asks from outside, as a browser or a stranger would, whether Sluice and its front agree on what is what."""

import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from shared.kernel.errors import SluiceError
from shared.kernel.places import Place, place_of, readable_path
from shared.web import health, seen
from shared.web.client import Client
from shared.web.forgery import OTHER, Sender, Standing, advice

TIMEOUT_S: Final = 10.0
LOGIN: Final = "/flows/-/default/authentication/"
NO_FLOW: Final = "/if/flow/doctor-asks-for-none/"  # its page too has a token, and the token's cookie
STRANGER: Final = "stranger.invalid"
CLAIMS: Final[Mapping[str, str]] = {
    "X-Forwarded-For": "192.0.2.77",
    "X-Forwarded-Proto": "",  # the other scheme
    "X-Forwarded-Host": STRANGER,
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/stranger",
    "Forwarded": f"for=192.0.2.78;host={STRANGER}",
}
"""What a stranger might claim; the addresses and the name are nobody's (RFC 5737, RFC 6761)."""


class NoUrl(SluiceError):
    """Not an address that a browser could open."""

    code = "E_NO_URL"


class Unreachable(SluiceError):
    """Nothing answers there, or not as Sluice does."""

    code = "E_UNREACHABLE"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names in lower case, cookies apart."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cookies: tuple[str, ...] = ()

    def json(self) -> Any:
        """The body as JSON, None if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


Ask = Callable[[str, Mapping[str, str]], Answer]
"""GETs a path of the host with these headers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `change` is the setting or header to change if it is not good."""

    good: bool
    text: str
    change: str = ""

    def __str__(self) -> str:
        return f"{'ok   ' if self.good else 'WRONG'} {self.text}{f' [{self.change}]' if self.change else ''}"


def doctor(url: str, ca_file: Path | None = None, source: str = "") -> list[Finding]:
    """Look at the Sluice behind this URL; `ca_file` has the certificates of who signs the front's, `source` is the address of this
    machine to ask from, where one is itself a trusted proxy's.

    Raises:
        NoUrl: that is no URL of a host's root or of a plain path.
        Unreachable: no connection, or no Sluice.
    """
    there, base = taken_apart(url)
    return list(findings(there, base, _asking(there, ca_file, source)))


def taken_apart(url: str) -> tuple[Place, str]:
    """Origin and base path of a URL."""
    parts = urlsplit(url)
    there, base = place_of(f"{parts.scheme}://{parts.netloc}"), readable_path(parts.path)
    if there is None or base is None:
        raise NoUrl("wanted is a URL as browsers have it, such as https://login.example.com or https://apps.example.com/auth")
    return there, base


def findings(there: Place, base: str, ask: Ask) -> Iterator[Finding]:
    """All that is good or wrong, in the order in which one would mend it."""
    first = ask(base + seen.PATH, {})
    if first.status == 421:
        yield Finding(False, f"Sluice does not serve the host {there.authority}", f"add {there.host} to SLUICE_ALLOWED_HOSTS")
        return
    told = first.json()
    if base and _is_our_404(first):
        yield Finding(False, f"Sluice answers at {there}, and knows nothing of {base}", f"SLUICE_PATH={base}")
        return
    if first.status != 200 or not isinstance(told, dict) or "origin" not in told:
        raise Unreachable(f"{there}{base}: status {first.status}, and not as Sluice answers; does the front send {base}{seen.PATH} to it?")
    yield _origin(there, told)
    yield _path(base, told)
    yield Finding(True, f"your address, as Sluice sees it, is {told['address']} (front: {told['front']})")
    yield from (Finding(False, "the front writes a header that cannot be read", code) for code in told["unread"])
    yield from _strangers(there, base, told, ask)
    yield from _over_tls(there, base, told, ask)
    yield _ready(base, ask)


def _origin(there: Place, told: Mapping[str, Any]) -> Finding:
    ours = place_of(told["origin"])
    if ours == there:
        return Finding(True, f"browser and Sluice agree on the origin {there}")
    secure, host = str(told["origin"]).partition("://")[::2]
    client = Client(told["address"], secure == "https", host, fronted=told["front"] == "trusted")
    change, sentence = advice(client, Sender(Standing.UNPROVED, "", OTHER, there))
    if change == "SLUICE_TRUSTED_PROXIES":
        change = f"{change}={told['address']}"
    return Finding(False, f"browsers are at {there}, Sluice believes to be {told['origin']}: forms may be refused. {sentence}", change)


def _path(base: str, told: Mapping[str, Any]) -> Finding:
    if told["path"] == base:
        return Finding(True, f"links begin with {base or 'the root'}")
    text = f"browsers see Sluice under {base or 'the root'}, its links begin with {told['path'] or 'the root'}"
    return Finding(False, text, f"SLUICE_PATH={base}, or X-Forwarded-Prefix of the front")


def _strangers(there: Place, base: str, told: Mapping[str, Any], ask: Ask) -> Iterator[Finding]:
    through = []
    for header, claim in CLAIMS.items():
        value = claim or ("http" if there.scheme == "https" else "https")
        answer = ask(base + seen.PATH, {header: value})
        # A host that is not served shows by its 421 that it got through.
        if answer.status == 421 or _believed(answer.json()) != _believed(told):
            through.append(header)
    for header in through:
        text = f"a visitor's own {header} gets through the front (or this machine is itself a trusted proxy): set or remove it there"
        yield Finding(False, text, header)
    if not through:
        yield Finding(True, "no header of a stranger gets through")


def _believed(told: Any) -> Any:
    return {name: told.get(name) for name in ("origin", "path", "address", "unread")} if isinstance(told, dict) else None


def _is_our_404(answer: Answer) -> bool:
    told = answer.json()
    is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
    return answer.status == 404 and is_problem and isinstance(told, dict) and told.get("error") == "not_found" and "correlation_id" in told


def _over_tls(there: Place, base: str, told: Mapping[str, Any], ask: Ask) -> Iterator[Finding]:
    if there.scheme != "https":
        yield Finding(False, "plain HTTP: passwords and cookies can be read on the way", "TLS at the front")
        return
    page, cookies = _log_in(base, ask)
    hidden = _hides_scheme(told)
    open_cookies = [line.partition("=")[0] for line in cookies if "; secure" not in line.lower()]
    if open_cookies:
        yield Finding(False, f"cookies without Secure: {', '.join(open_cookies)}", hidden or "X-Forwarded-Proto of the front")
    elif cookies:
        yield Finding(True, "cookies are Secure")
    else:
        yield Finding(
            False, f"no page set a cookie (the last had status {page.status}): nothing is known of Secure", "Set-Cookie of the front"
        )
    if there.host == "localhost":
        return  # the whole machine's name
    has_hsts = "strict-transport-security" in page.headers
    why = "" if has_hsts else hidden or "SLUICE_HSTS_MAX_AGE"
    yield Finding(has_hsts, f"Strict-Transport-Security is {'sent' if has_hsts else 'not sent'}", why)


def _log_in(base: str, ask: Ask) -> tuple[Answer, tuple[str, ...]]:
    """The page of the log-in, or where there is none that of no flow; and all cookies on the way."""
    page = ask(base + LOGIN, {})
    cookies = page.cookies
    where = page.headers.get("location", "")
    if page.status == 302 and where.startswith("/"):
        page = ask(where, {})
        cookies += page.cookies
    if not cookies:
        page = ask(base + NO_FLOW, {})
        cookies = page.cookies
    return page, cookies


def _hides_scheme(told: Mapping[str, Any]) -> str:
    """What to change if Sluice believes that browsers come by plain HTTP."""
    if str(told["origin"]).startswith("https:"):
        return ""
    header = "X-Forwarded-Proto of the front"
    return header if told["front"] == "trusted" else f"SLUICE_TRUSTED_PROXIES={told['address']}, and {header}"


def _ready(base: str, ask: Ask) -> Finding:
    answer = ask(base + health.READY, {})
    parts = (answer.json() or {}).get("parts", {})
    missing = ", ".join(name for name, good in parts.items() if good is not True)
    return Finding(answer.status == 200, f"ready: {'all parts' if answer.status == 200 else f'not {missing}'}")


def _asking(there: Place, ca_file: Path | None, source: str) -> Ask:
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    host, bound = there.host.strip("[]"), (source, 0) if source else None

    def ask(path: str, headers: Mapping[str, str]) -> Answer:
        made = (
            http.client.HTTPSConnection(host, there.port, timeout=TIMEOUT_S, context=context, source_address=bound)
            if there.scheme == "https"
            else http.client.HTTPConnection(host, there.port, timeout=TIMEOUT_S, source_address=bound)
        )
        try:
            made.request("GET", path, headers={"Accept": "*/*", **headers})
            got = made.getresponse()
            cookies = tuple(got.headers.get_all("Set-Cookie") or ())
            return Answer(got.status, {name.lower(): value for name, value in got.headers.items()}, got.read(), cookies)
        except (OSError, http.client.HTTPException) as failure:
            raise Unreachable(f"{there}: {str(failure) or type(failure).__name__}") from None
        finally:
            made.close()

    return ask
