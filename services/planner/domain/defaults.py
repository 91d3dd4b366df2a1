"""Which flow a visitor gets who asks for none by name (flow-engine reference 3.2)."""

from collections.abc import Sequence

from shared.contracts.definitions import BrandBody, Designation, FlowBody
from shared.flows.definitions import Definitions


def named_by(brand: BrandBody, designation: Designation) -> str | None:
    """The pk of the flow that the brand names: taken without asking its policies, they are asked when it is planned."""
    match designation:
        case "authentication":
            return brand.flow_authentication
        case "invalidation":
            return brand.flow_invalidation
        case _:
            return None


def candidates(definitions: Definitions, designation: Designation) -> Sequence[FlowBody]:
    """Without such a name: the flows in whose order the first that applies to the visitor is taken.

    Only logging in and logging out have a default; other designations are started by their own features.
    """
    return definitions.flows_of(designation) if designation in ("authentication", "invalidation") else ()
