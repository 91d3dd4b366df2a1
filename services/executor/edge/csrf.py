"""Tokens against forged requests: a cookie that scripts of ours can read, bound to the login, and a form's own token.

The cookie is authentik's `authentik_csrf`, to be sent back as `X-authentik-CSRF` by whoever is logged in. A form carries
another token, bound to that cookie and to the session, so that a cookie planted from a sibling domain is worth nothing
(OWASP: signed double submit).
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

from shared.contracts.people import LoginClaims
from shared.web.keyring import MAC_BYTES, KeyRing

HEADER: Final = "X-authentik-CSRF"
_NONCE: Final = 12


class Csrf:
    """Makes and checks both tokens."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._cookies = KeyRing(keys, "csrf/cookie/1")
        self._forms = KeyRing(keys, "csrf/form/1")

    def new(self, login: LoginClaims | None) -> str:
        """A new token for this login, or for nobody."""
        nonce = secrets.token_bytes(_NONCE)
        return _text(nonce + self._cookies.proof(nonce, _name(login)))

    def is_for(self, token: str | None, login: LoginClaims | None) -> bool:
        """Whether a cookie's token was made for this login."""
        raw = _raw(token)
        return len(raw) == _NONCE + MAC_BYTES and self._cookies.holds(raw[_NONCE:], raw[:_NONCE], _name(login))

    def kept(self, token: str | None, login: LoginClaims | None) -> str | None:
        """The cookie's token if it was made for this login."""
        return token if self.is_for(token, login) else None

    def form(self, token: str, session: str) -> str:
        """The token of a form, for a browser with this cookie and session."""
        return _text(self._forms.proof(token.encode(), session.encode()))

    def form_is_for(self, sent: str, token: str, session: str) -> bool:
        """Whether a form's token is for this browser."""
        return self._forms.holds(_raw(sent), token.encode(), session.encode())


def same(one: str, other: str) -> bool:
    """Compare two tokens without telling how far they agree."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _name(login: LoginClaims | None) -> bytes:
    return b"" if login is None else login.login.encode()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(token: str | None) -> bytes:
    try:
        return base64.b64decode((token or "") + "=" * (-len(token or "") % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
