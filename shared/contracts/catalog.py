"""`catalog.events`: who changed which definition, before and after. Owned by catalog."""

from typing import ClassVar, Literal

from shared.contracts.codec import Codec
from shared.contracts.model import Contract, Count, Micros, Plain, ShortText

ObjectKind = Literal["flow", "stage", "flow_binding", "policy", "policy_binding", "brand"]


class DefinitionChanged(Contract):
    """One change of one object; `before` is empty for a creation, `after` for a deletion. Secret fields are left out."""

    wire_type: ClassVar[str] = "catalog.definition.changed"
    what: Literal["created", "changed", "deleted"]
    kind: ObjectKind
    pk: ShortText
    name: ShortText
    version: Count
    actor: ShortText
    at_us: Micros
    before: Plain = {}
    after: Plain = {}


CODEC = Codec((DefinitionChanged,))
