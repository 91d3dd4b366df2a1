"""The names that an expression finds around it (docs/compat.md, Expressions), written in the sandbox's own language.

A piece goes into a program only if the expression mentions it, so that the login path pays for nothing else. What a
piece needs of the host are the two look-ups `sluice_ip` and `sluice_net`: parsing of addresses, without any network.
"""

from typing import Final

from shared.flows.expression_names import FORMATTERS, INNER, RESERVED

OUTPUT_BYTES: Final = 8 * 1024
MAX_MESSAGES: Final = OUTPUT_BYTES // 64
FLOOD: Final = f"sluice_flood > {OUTPUT_BYTES} bytes"
"""What an expression that says too much is told; should it go on all the same, the messages have a None among them."""

SAID: Final = "sluice_said = []\n"

_SPENT: Final = f"""
sluice_room = [{OUTPUT_BYTES}, {OUTPUT_BYTES}]
def sluice_spend(which, size):
    sluice_room[which] -= size
    if sluice_room[which] < 0:
        sluice_said.append(None)
        raise MemoryError({FLOOD!r})
"""

_MESSAGE: Final = f"""
def ak_message(text):
    text = str(text)
    sluice_spend(0, len(text))
    sluice_said.append(text)
    if len(sluice_said) > {MAX_MESSAGES}:
        sluice_spend(0, {OUTPUT_BYTES + 1})
"""

# The interpreter's own sends every word to this process, and its limit is looked at only when the expression has ended.
_PRINT: Final = """
def print(*values, sep=" ", end="\\n", file=None, flush=False):
    sluice_spend(1, len(" ".join([str(value) for value in values])) + 1)
"""

_LOGGER: Final = """
class sluice_Logger:
    def debug(self, *args, **values):
        return None
    def info(self, *args, **values):
        return None
    def warning(self, *args, **values):
        return None
    def error(self, *args, **values):
        return None
ak_logger = sluice_Logger()
"""

_REGEX_MATCH: Final = """
def regex_match(value, regex):
    import re
    return re.search(regex, value) is not None
"""

_REGEX_REPLACE: Final = """
def regex_replace(value, regex, repl):
    import re
    return re.sub(regex, repl, value)
"""

_LIST_FLATTEN: Final = """
def list_flatten(value):
    if isinstance(value, list):
        return value[0] if value else None
    return value
"""

_SLUGIFY: Final = r"""
def slugify(text):
    import re
    import unicodedata
    plain = unicodedata.normalize("NFKD", str(text)).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain.lower())).strip("-_")
"""

_IS_GROUP_MEMBER: Final = """
def ak_is_group_member(user, **filters):
    for name in filters:
        if name not in ("name", "pk", "is_superuser"):
            raise ValueError("groups can be asked for by name, pk and is_superuser")
    return any(all(getattr(group, name) == value for name, value in filters.items()) for group in user.groups)
"""

CONTEXT: Final = """
class sluice_Object:
    def __init__(self, facts):
        for name, value in facts.items():
            setattr(self, name, value)
class sluice_User:
    def __init__(self, facts):
        for name, value in facts.items():
            setattr(self, name, value)
        if "groups" in facts:
            self.groups = [sluice_Object(group) for group in facts["groups"]]
    def __str__(self):
        return self.username
    def __eq__(self, other):
        return isinstance(other, sluice_User) and self.pk == other.pk and self.username == other.username
    def __hash__(self):
        return hash(self.username)
sluice_planned = sluice_facts["context"]
if "pending_user" in sluice_planned:
    sluice_planned["pending_user"] = sluice_User(sluice_planned["pending_user"])
context = dict(sluice_planned)
if sluice_facts["planned"]:
    context["flow_plan"] = sluice_Object({"context": sluice_planned})
"""

HTTP_REQUEST: Final = """
http_request = sluice_Object({"META": sluice_facts["meta"], "user": sluice_User(sluice_facts["visitor"])})
"""

REQUEST: Final = {
    "context": "context",
    "user": 'sluice_User(sluice_facts["user"])',
    "http_request": "http_request",
    "obj": "None",
    "debug": "False",
}
"""The attributes of `request`, as the worker makes them."""

ADDRESSES: Final = """
class sluice_Address:
    def __init__(self, facts):
        self.version, self.sluice_number, self.compressed, self.is_private, self.is_global, self.is_loopback = facts
    def __str__(self):
        return self.compressed
    def __eq__(self, other):
        return isinstance(other, sluice_Address) and self.compressed == other.compressed
    def __hash__(self):
        return hash(self.compressed)
class sluice_Network:
    def __init__(self, facts):
        self.version, self.sluice_first, self.sluice_last, self.compressed = facts
    def __str__(self):
        return self.compressed
    def __contains__(self, address):
        return address.version == self.version and self.sluice_first <= address.sluice_number <= self.sluice_last
"""

_IP_ADDRESS: Final = """
def ip_address(value):
    return sluice_Address(sluice_ip(str(value)))
"""

_IP_NETWORK: Final = """
def ip_network(value):
    return sluice_Network(sluice_net(str(value)))
"""

# The check on saving sees no name that is put together when it runs.
_GETATTR: Final = f"""
sluice_getattr = getattr
def getattr(value, name, *default):
    if name.startswith(("_", "{RESERVED}")) or name in {sorted(FORMATTERS | INNER)}:
        raise AttributeError(name)
    return sluice_getattr(value, name, *default)
"""

PIECES: Final = {
    "getattr": _GETATTR,
    "print": _SPENT + _PRINT,
    "ak_message": _SPENT + _MESSAGE,
    "ak_logger": _LOGGER,
    "regex_match": _REGEX_MATCH,
    "regex_replace": _REGEX_REPLACE,
    "list_flatten": _LIST_FLATTEN,
    "slugify": _SLUGIFY,
    "ak_is_group_member": _IS_GROUP_MEMBER,
    "ip_address": _IP_ADDRESS,
    "ip_network": _IP_NETWORK,
}
"""By the name that an expression uses."""

PARAMETERS: Final = ("request", "context", "http_request", "ak_client_ip", "ak_is_sso_flow")
"""Names that hold facts: parameters of the function, as in authentik, so that an expression may assign to them."""

FACTS: Final = "sluice_facts"
"""The facts, as `facts.facts_of` makes them."""
CLIENT: Final = "sluice_client"
"""The visitor's address, as `sluice_Address` takes it."""
SSO: Final = "ak_is_sso_flow"
