"""What people are called: one canonical form for look-ups and counters, and what an address and a display name may be.

The form is NFKC, casefold, NFKC (Unicode TR31 §5; applied twice it changes nothing more), computed
here and nowhere else, so that `ADMIN`, its full-width spelling and `admin` are one account with one counter, as are `Straße`
and `STRASSE`. No locale takes part: `I` folds to `i`, the Turkish dotless letter to itself, its dotted capital to `i` and a dot.
What is typed with a character that cannot be seen is another name, which nobody is given (`usernames`).
"""

import hashlib
import re
import unicodedata
from typing import Final, Literal

from shared.kernel.errors import SluiceError

Field = Literal["username", "email", "upn"]

EMAIL_MAX: Final = 254
NAME_MAX: Final = 512
TYPED_MAX: Final = 512  # characters; nobody is called more than that, and folding costs time

_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_REFUSED: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})


class BadIdentifier(SluiceError):
    """A name that nobody can be given; `message` is authentik's or Django's text for the field."""

    code = "E_IDENTIFIER"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def canonical(text: str) -> str:
    """The form in which names are compared and counted; outer blanks do not count."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.strip(" ")


def is_text(text: str) -> bool:
    """Whether this can be stored and compared: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def looked_for(text: str) -> str | None:
    """The canonical form of what a visitor typed; None if nobody can be called that."""
    if len(text) > TYPED_MAX or not is_text(text):
        return None
    return canonical(text) or None


def looked_for_email(text: str) -> str | None:
    """The canonical address of what a visitor typed; None if it is none. Mail never goes to it, only to the stored one."""
    try:
        return canonical_email(text) or None
    except BadIdentifier:
        return None


def counter_of(text: str) -> bytes:
    """Under what failures for this identifier are counted: a digest, for what was typed may be a password."""
    shown = text if is_text(text) else text.encode("utf-8", "surrogatepass").hex()
    return hashlib.sha256(canonical(shown[:TYPED_MAX]).encode()).digest()


def new_email(text: str) -> tuple[str, str]:
    """An address, as mail is sent to it and in its canonical form; both empty for none. `BadIdentifier` says why not."""
    shown = _shown(text, EMAIL_MAX)
    return shown, canonical_email(shown) if shown else ""


def canonical_email(text: str) -> str:
    """Local part folded, domain in its ASCII form (IDNA); `BadIdentifier` for what is no address.

    A narrow reading of RFC 5321: dot-atom local part in ASCII, a domain of at least two labels; no quoting, no address
    literals, no comments.
    """
    folded = looked_for(text)
    # IDNA would drop a zero-width character without a word.
    if folded is None or any(unicodedata.category(character) in _REFUSED for character in folded):
        raise BadIdentifier("Enter a valid email address.")
    local, at, domain = folded.rpartition("@")
    if len(domain) > 253 or any(len(label) > 63 for label in domain.replace("\u3002", ".").split(".")):
        # No host is called that (RFC 1035 §2.3.4), and spelling it in ASCII costs its length squared (as in CVE-2024-3651).
        raise BadIdentifier("Enter a valid email address.")
    try:
        ascii_domain = domain.encode("idna").decode("ascii").lower() if domain and not domain.isascii() else domain
    except UnicodeError:
        raise BadIdentifier("Enter a valid email address.") from None
    # `=?` would begin an encoded word in a mail header (RFC 2047).
    if not at or len(local) > 64 or "=?" in local or not _LOCAL.match(local) or not _DOMAIN.match(ascii_domain):
        raise BadIdentifier("Enter a valid email address.")
    if len(address := f"{local}@{ascii_domain}") > EMAIL_MAX:
        raise BadIdentifier(f"Ensure this field has no more than {EMAIL_MAX} characters.")
    return address


def new_name(text: str) -> str:
    """A display name: anything that can be shown, in any script; `BadIdentifier` says why not."""
    shown = _shown(text, NAME_MAX)
    marks = 0
    for character in shown:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > 8:  # real scripts stack a few
            raise BadIdentifier("This field has too many combining marks.")
    return shown


def _shown(text: str, limit: int) -> str:
    """The text as it is stored (NFC, no outer blanks); `BadIdentifier` for what is too long or is no plain text."""
    if len(text) > limit:
        raise BadIdentifier(f"Ensure this field has no more than {limit} characters.")
    if "\0" in text:
        raise BadIdentifier("Null characters are not allowed.")
    shown = unicodedata.normalize("NFC", text).strip(" ")
    if any(unicodedata.category(character) in _REFUSED for character in shown):
        raise BadIdentifier("This field contains characters that cannot be shown.")
    return shown
