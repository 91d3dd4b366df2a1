"""The closed list of what can be wrong with a record; decoders raise nothing else."""

from shared.kernel.errors import SluiceError


class BadRecord(SluiceError):
    """A record that is not a message of ours; the subclass says why. It goes to the dead letters, never further."""

    code = "E_EVT"


class BadSyntax(BadRecord):
    """Not msgpack, truncated, or nothing at all."""

    code = "E_EVT_SYNTAX"


class BadSize(BadRecord):
    """Larger than its topic allows, or a header that claims so."""

    code = "E_EVT_SIZE"


class BadDepth(BadRecord):
    """Nested deeper than 16."""

    code = "E_EVT_DEPTH"


class BadType(BadRecord):
    """A type that we do not put on the wire: extensions, keys that are no text, NaN, a number for a truth."""

    code = "E_EVT_TYPE"


class DuplicateKey(BadRecord):
    """A map names a key twice."""

    code = "E_EVT_DUPKEY"


class BadRange(BadRecord):
    """A number outside of what the field allows."""

    code = "E_EVT_RANGE"


class BadText(BadRecord):
    """Text that is not UTF-8, or holds a NUL."""

    code = "E_EVT_TEXT"


class TrailingBytes(BadRecord):
    """Something follows the message."""

    code = "E_EVT_TRAILING"


class NotCanonical(BadRecord):
    """The same value written longer than needed: two byte strings would have one meaning."""

    code = "E_EVT_CANON"


class UnknownType(BadRecord):
    """A message type that this release does not know."""

    code = "E_EVT_UNKNOWN"


class BadVersion(BadRecord):
    """A version of a known type that this release cannot read."""

    code = "E_EVT_VERSION"


class BadField(BadRecord):
    """A field is missing, too many, or not what it should be."""

    code = "E_EVT_FIELD"


class BadKey(BadRecord):
    """The record's key or partition does not belong to its subject."""

    code = "E_EVT_KEY"


class BadHeader(BadRecord):
    """The envelope is missing, doubled, not UTF-8 or too large."""

    code = "E_EVT_HEADER"


class Unreadable(BadRecord):
    """A place in a topic whose record cannot be told: a batch in an unknown codec, damaged, or unpacking to more than any record may
    be; one with offsets that are not its own; a transaction's mark. The detail says which."""

    code = "E_EVT_UNREADABLE"


class BadSeal(BadRecord):
    """A sealed answer that cannot be opened: other session, other command, a key that is gone, or damaged."""

    code = "E_EVT_SEAL"


class BadProof(BadRecord):
    """A record that does not prove that a service which may write its topic wrote it, here, under this key, just then."""

    code = "E_EVT_PROOF"
