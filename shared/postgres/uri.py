"""What the URI of a database says that people may be told: where the server is, which file cannot be read. Never a password."""

import os
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

_FILES: Final = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})


def place_of(dsn: str) -> str:
    """Hosts and ports, or the folder of the socket; nothing where a part of the password could be taken for a host."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return ""
    user, _, hosts = parts.netloc.rpartition("@")
    if dsn.count("@") != bool(user):
        return ""
    return hosts or next(iter(parse_qs(parts.query).get("host", [])), "")


def unreadable_file(dsn: str) -> str | None:
    """The parameter that names a file which is not there or which we may not read, if there is one."""
    return next((name for name, path in parse_qsl(urlsplit(dsn).query) if name in _FILES and not os.access(path, os.R_OK)), None)
