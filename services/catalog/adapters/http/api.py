"""The routes: flows, stages of every type, and flow bindings. A new stage type has its routes without a line here."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from services.catalog.adapters.http import presenter
from services.catalog.adapters.http.bodies import NOT_FOUND, answer, fields_of, flag, warned
from services.catalog.adapters.http.endpoint import Endpoint, Method
from services.catalog.adapters.http.listing import Listing, page, selected
from services.catalog.application.editing import Editing
from services.catalog.application.judging import Judge
from services.catalog.domain.objects import Catalog, Definition
from services.catalog.domain.settings import settings_model
from services.catalog.domain.validation import is_uuid
from shared.contracts.catalog import ObjectKind
from shared.flows.registry import registry
from shared.web.bearer import Tokens
from shared.web.rest import Detailed

BASE: Final = "/api/v3/"
END_RUNS: Final = "end_runs"
"""Ours: open runs of the flows that this edit changes end at their next step, where they would go on as they were planned."""
FORCE: Final = "force"
"""Ours: an edit is done although a brand's log-in has no proof, or no log-in that works, after it."""
Show = Callable[[Catalog, Definition], dict[str, Any]]

_FLOWS: Final = Listing(
    order=("slug", "name"),
    filters=frozenset({"denied_action", "designation", "name", "slug"}),
    searched=("name", "slug", "designation", "title", "denied_action"),
    ids={"flow_uuid": lambda one: one.pk},
)
_BINDINGS: Final = Listing(
    order=("target", "order"),
    ids={"fsb_uuid": lambda one: one.pk, "pbm_uuid": lambda one: one.ptr},
    references={"target": "flow", "stage": "stage"},
)
_STAGES: Final = Listing(order=("name",), searched=("name",), ids={"stage_uuid": lambda one: one.pk})
_ALL_STAGES: Final = Listing(order=("name",), filters=frozenset({"name"}), searched=("name",))


class Collection:
    """All definitions of a kind, or of one stage type, at one path."""

    def __init__(
        self, editing: Editing, kind: ObjectKind, listing: Listing, show: Show, type_name: str = "", show_new: Show | None = None
    ) -> None:
        self._editing = editing
        self._kind = kind
        self._listing = listing
        self._show = show
        self._show_new = show_new or show
        self._type = type_name
        self._model = settings_model(kind, type_name) if type_name or kind != "stage" else BaseModel

    @property
    def list_methods(self) -> Mapping[str, Method]:
        """Of the collection's own path."""
        return {"GET": self.list, "POST": self.create}

    @property
    def detail_methods(self) -> Mapping[str, Method]:
        """Of the path of one definition in it."""
        return {"GET": self.show, "DELETE": self.delete}

    async def list(self, request: web.Request, _actor: str) -> web.Response:
        """A page of what the query asks for."""
        catalog = await self._editing.catalog()
        found = [one for one in catalog.of(self._kind) if not self._type or one.type == self._type]
        chosen = selected(catalog, found, self._listing, self._model, request.query)
        return answer(page(chosen, request.query, lambda one: self._show(catalog, one)))

    async def create(self, request: web.Request, actor: str) -> web.Response:
        """A new definition, as it is then shown."""
        body = await fields_of(request)
        judge = Judge(force=flag(request, FORCE))
        created = await self._editing.create(actor, self._kind, self._type, body, end_runs=flag(request, END_RUNS), judge=judge)
        return warned(answer(self._show_new(await self._editing.catalog(), created), 201), judge.warnings)

    async def show(self, request: web.Request, _actor: str) -> web.Response:
        """One definition."""
        catalog = await self._editing.catalog()
        return answer(self._show(catalog, self._one(catalog, request)))

    async def delete(self, request: web.Request, actor: str) -> web.Response:
        """One definition goes, with what hangs on it."""
        one = self._one(await self._editing.catalog(), request)
        judge = Judge(force=flag(request, FORCE))
        if not await self._editing.delete(actor, one, end_runs=flag(request, END_RUNS), judge=judge):
            raise Detailed(404, NOT_FOUND)
        return warned(answer(None, 204), judge.warnings)

    def _one(self, catalog: Catalog, request: web.Request) -> Definition:
        key = request.match_info["key"]
        if self._kind != "flow" and not is_uuid(key):
            raise Detailed(400, "Not a valid UUID.")
        wanted = catalog.matching("flow", {"slug": key}) if self._kind == "flow" else [catalog.get(self._kind, key)]
        found = wanted[0] if wanted else None
        if found is None or (self._type and found.type != self._type):
            raise Detailed(404, NOT_FOUND)
        return found


def routes(editing: Editing, tokens: Tokens) -> list[web.RouteDef]:
    """Every route of the catalog's API."""
    return [endpoint.route for endpoint in _endpoints(editing, tokens)]


def _endpoints(editing: Editing, tokens: Tokens) -> Iterator[Endpoint]:
    flows = Collection(editing, "flow", _FLOWS, presenter.flow)
    yield Endpoint(f"{BASE}flows/instances/", tokens, flows.list_methods)
    yield Endpoint(f"{BASE}flows/instances/{{key:[^/]+}}/", tokens, flows.detail_methods, hidden=True)
    bindings = Collection(editing, "flow_binding", _BINDINGS, presenter.flow_binding, show_new=presenter.new_flow_binding)
    yield Endpoint(f"{BASE}flows/bindings/", tokens, bindings.list_methods)
    yield Endpoint(f"{BASE}flows/bindings/{{key:[^/]+}}/", tokens, bindings.detail_methods)
    every = Collection(editing, "stage", _ALL_STAGES, presenter.stage_base)
    yield Endpoint(f"{BASE}stages/all/", tokens, {"GET": every.list})
    yield Endpoint(f"{BASE}stages/all/{{key:[^/]+}}/", tokens, every.detail_methods)
    for name, kind in sorted(registry().stages.items()):
        stages = Collection(editing, "stage", _STAGES, presenter.stage, name)
        yield Endpoint(f"{BASE}stages/{kind.path}", tokens, stages.list_methods)
        yield Endpoint(f"{BASE}stages/{kind.path}{{key:[^/]+}}/", tokens, stages.detail_methods)
