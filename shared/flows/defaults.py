"""Which flow a visitor gets who asks for none by name (docs/compat.md, Brands and default flows): the planner goes by it, and the catalog judges by it."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from shared.contracts.definitions import BrandBody, Designation

F = TypeVar("F")


def choices(
    brand: BrandBody,
    designation: Designation,
    by_pk: Callable[[str], F | None],
    of: Callable[[Designation], Iterable[F]],
    guarded: Callable[[F], bool],
) -> Iterator[tuple[F, bool]]:
    """The flows of which the visitor gets the first that applies, each with whether its own policies are asked about that.

    The brand's own is taken unasked: its policies are asked when it is planned. Without one, or if that is gone, it is the first
    of the designation, by slug as `of` has them: of those that have policies (`guarded`) the first that passes. Only logging in
    and logging out have a default; other designations are started by their own features.
    """
    if designation not in ("authentication", "invalidation"):
        return
    named = brand.flow_authentication if designation == "authentication" else brand.flow_invalidation
    own = by_pk(named) if named else None
    if own is not None:
        yield own, False
        return
    for flow in of(designation):
        asked = guarded(flow)
        yield flow, asked
        if not asked:
            return
