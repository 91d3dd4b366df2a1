"""Settings that are secrets, or hold one: the value itself or the path of its file, long and unlike enough not to be guessed."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretBytes, SecretStr
from pydantic_settings import NoDecode

from shared.kernel.guessable import why_guessable
from shared.runtime.setting_types import is_host, is_port, words_of

SECRET_KEY_MIN: Final = 32  # bytes
TOKEN_MIN: Final = 32  # characters
FILE_MAX: Final = 64 * 1024  # bytes of a file with a key or a password


def _secret(value: Any) -> Any:
    """The secret itself, or what stands in the file that the value names."""
    if not isinstance(value, str):
        return value
    # A key in hexadecimal or base64 has no dot; a mistyped path must not become the key.
    is_path = value.startswith(("/", ".", "~")) or ("/" in value and "." in value) or _is_file(value)
    if not is_path:
        return value.encode()
    try:
        return content(Path(value).expanduser()).strip()
    except OSError as error:
        raise ValueError(f"it looks like the path of a file, which cannot be read: {error.strerror}") from None
    except RuntimeError:  # of `expanduser`
        raise ValueError("it looks like the path of a file in the home of a user whom nobody knows") from None


def content(path: Path, most: int = FILE_MAX) -> bytes:
    """What stands in a file that somebody named; `OSError` if it cannot be read, is no regular file (EINVAL), or has more than
    `most` bytes (EFBIG).

    A device or a pipe never ends, or never begins: who opens a pipe to read would wait for somebody who writes.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        found = file.read(most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return found


def _secret_text(value: Any) -> Any:
    secret = _secret(value)
    try:
        return secret.decode() if isinstance(secret, bytes) else secret
    except UnicodeDecodeError:
        raise ValueError("wanted is text in UTF-8") from None


def _long_enough(value: SecretBytes) -> SecretBytes:
    if len(value.get_secret_value()) < SECRET_KEY_MIN:
        raise ValueError(f"wanted are at least {SECRET_KEY_MIN} bytes, as text or in the file that it names")
    _not_guessable(value.get_secret_value())
    return value


def _token(value: SecretStr) -> SecretStr:
    token = value.get_secret_value()
    if len(token) < TOKEN_MIN:
        raise ValueError(f"wanted are at least {TOKEN_MIN} characters: whoever guesses it may do everything")
    _not_guessable(token.encode())
    return value


def _not_guessable(secret: bytes) -> None:
    if why := why_guessable(secret):
        raise ValueError(f"it can be guessed: {why}. Draw one, for instance with: openssl rand -base64 33")


def _secrets(value: Any) -> Any:
    return tuple(_long_enough(SecretBytes(_secret(word))) for word in words_of(value)) if isinstance(value, str) else value


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # too long for a path: a key then
        return False


def _database(value: SecretStr) -> SecretStr:
    uri = value.get_secret_value()
    if not uri.startswith(("postgresql://", "postgres://")):
        raise ValueError("wanted is a URI that begins with postgresql://")
    try:
        hosts, ports = _database_places(uri)
    except ValueError:
        raise ValueError("wanted is a URI like postgresql://role:password@host:5432/database") from None
    if not all(host.startswith("/") or is_host(host.strip("[]")) for host in hosts):
        raise ValueError("its host is neither an address nor a name that a host can have")
    if not all(map(is_port, ports)):
        raise ValueError("its port is none: wanted is one from 1 to 65535")
    return value


def _database_places(uri: str) -> tuple[list[str], list[str]]:
    """All hosts (a folder is one: of a Unix socket) and ports that a URI names, as libpq has them: several, in the query too."""
    parts = urlsplit(uri)
    places = [re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", one, re.DOTALL) for one in parts.netloc.rpartition("@")[2].split(",")]
    if not all(places):
        raise ValueError
    query = parse_qs(parts.query)
    named = [(unquote(one[1]), one[2]) for one in places if one]
    more = [[one for value in query.get(name, ()) for one in value.split(",")] for name in ("host", "port")]
    return [host for host, _ in named if host] + [one for one in more[0] if one], [port for _, port in named if port] + [
        one for one in more[1] if one
    ]


SecretKey = Annotated[SecretBytes, BeforeValidator(_secret), AfterValidator(_long_enough)]
SecretKeys = Annotated[tuple[SecretBytes, ...], NoDecode, BeforeValidator(_secrets)]
BootstrapToken = Annotated[SecretStr, AfterValidator(_token)]
SecretText = Annotated[SecretStr, BeforeValidator(_secret_text)]
DatabaseUri = Annotated[SecretStr, AfterValidator(_database)]
