"""What looks like a hash of a password, of whatever system: whole, cut off, in capitals or with something around it.

For where clear-text passwords come out of another system's table. There a hash that is taken for a password lets in whoever has
read that table, so what is in doubt is a hash: a user who gets no password is given one, a password that is known is not noticed.
Names of kinds: hashcat's and passlib's lists, Dovecot's schemes, crypt(5).
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from services.executor.rules.passwords import MAX_BYTES

_LONG: Final = (
    "argon2|pbkdf2|bcrypt|scrypt|pkcs5|scram|cram|ripemd|rmd160|whirlpool|blake|[a-z0-9]{0,10}crypt|ntlm|lanman|krb5|phpass|apr1|unsalted"
)
_SHORT: Final = "s?sha|s?md[245]|nt|lm|des|gost|hmac|digest|hash|hex|base64|plain|noop"
# Of the folded text without blanks around it.
_NAMED = re.compile(
    rf"[^a-z0-9]{{0,8}}(?:b['\"])?[^a-z0-9]{{0,2}}(?:(?:{_LONG})[a-z0-9_,. -]{{0,30}}|(?:{_SHORT})[0-9_/-]{{0,8}})[$:}}\])|*]"
)
_UNMISTAKABLE = re.compile(r"argon2(?:id?|d)|pbkdf2|bcrypt|scrypt|scram-sha|m=[0-9]{1,10},t=[0-9]")
_CRYPT = re.compile(r"[^a-z0-9$]{0,8}\$(?:[0-9]{1,2}[a-z]?|g?y|sm3|md5|nt|[phs])[$,]")
_FIELDS = re.compile(r"\$[a-z0-9_,=.-]{1,40}\$[^\s]{16}")
_SCHEME = re.compile(r"\{[a-z0-9][a-z0-9 ,._+-]{1,30}\}")
_PARTS = re.compile(r"[a-z][a-z0-9_-]{2,30}:[a-z0-9:._-]{1,60}\$")
_OBJECT = re.compile(r"[\[{]\s{0,20}[\"'{\[]|eyj[a-z0-9+/_=-]{8}")
_HEX = re.compile(r"(?=[0-9a-f]{0,300}[a-f])(?=[0-9a-f]{0,300}[0-9])[*\\x]{0,2}[0-9a-f]{16,300}\Z")
_HEX_WITHIN = re.compile(r"[0-9a-f]{32}|(?:[0-9a-f]{2}[: -]){15}|\A[*][0-9a-f]{12}")
_NO_PASSWORD = re.compile(r"(?:[!*]{2,3}|\*|\*(?:lk|np)\*.{0,100}|!(?:locked|unset)!?)\Z")  # of shadow(5) and alike
# Of the text as it is written.
_PADDED = re.compile(r"[A-Za-z0-9+/_-]{20,400}={1,2}\Z")
# MD5, SHA-1, -224, -256, -384 and -512 in base64 without padding, and what bcrypt has behind its cost.
_DIGEST = re.compile(
    r"(?:[A-Za-z0-9+/._-]{22}|[A-Za-z0-9+/._-]{27}|[A-Za-z0-9+/._-]{31}|[A-Za-z0-9+/._-]{38}|[A-Za-z0-9+/._-]{43}"
    r"|[A-Za-z0-9+/._-]{53}|[A-Za-z0-9+/._-]{64}|[A-Za-z0-9+/._-]{86}|[A-Za-z0-9+/]{40,400})\Z"
)
_LAST = re.compile(r".{0,1000}[$:|;][./+A-Za-z0-9_-]{20,200}={0,2}\Z", re.DOTALL)
# DES crypt: 64 bits in 11 characters of 6, so the last one has two bits that are always 0.
_DES = re.compile(r"[./0-9A-Za-z]{12}[.26AEIMQUYcgkosw]\Z|_[./0-9A-Za-z]{19}\Z")

_ALWAYS: Final = (
    (_NAMED.match, "it begins with the name of a kind of hash"),
    (_UNMISTAKABLE.search, "it has the name of a kind of hash"),
    (_CRYPT.match, "it begins like a hash of crypt"),
    (_FIELDS.search, "it has the fields of a hash"),
    (_PARTS.match, "it has the fields of a hash"),
    (_SCHEME.match, "it begins with a scheme in braces"),
    (_OBJECT.match, "it begins like JSON"),
    (_HEX.match, "it is hexadecimal"),
    (_HEX_WITHIN.search, "it has a long hexadecimal number"),
    (_NO_PASSWORD.match, "systems write this where there is no password"),
)
_IF_MIXED: Final = (
    (_DIGEST.match, "it is as long as a digest in base64"),
    (_LAST.match, "it ends like a hash"),
    (_DES.match, "it may be a hash of DES crypt"),
)
_Pattern = Callable[[str], re.Match[str] | None]


def why_a_hash(text: str) -> str | None:
    """Why this may be a hash, None for what is surely none, or is too long for a password anyway.

    What is hashed of a password is its NFKC form, so that is what is looked at. Base64 and DES crypt without anything around
    them are told from words by having capitals and small letters both: one DES hash in 400 has not.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return None
    plain = "".join(
        character for character in unicodedata.normalize("NFKC", text) if unicodedata.category(character) not in ("Cf", "Cc", "Cs")
    )
    plain = plain.strip().strip("'\"`").strip()
    if found := _first(_ALWAYS, plain.casefold()):
        return found
    if _PADDED.match(plain):
        return "it is padded as base64"
    mixed = re.search("[a-z]", plain) and re.search("[A-Z]", plain)
    return _first(_IF_MIXED, plain) if mixed else None


def _first(patterns: tuple[tuple[_Pattern, str], ...], text: str) -> str | None:
    return next((reason for match, reason in patterns if match(text)), None)
