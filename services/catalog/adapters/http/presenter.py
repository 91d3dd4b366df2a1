"""Definitions as authentik's API shows them (openapi 2024.8.3)."""

from collections.abc import Mapping
from typing import Any, Final

from services.catalog.domain.objects import Catalog, Definition
from shared.flows.registry import registry
from shared.web.base import linked, ours

BACKGROUND: Final = "/static/dist/assets/images/flow_background.jpg"
# Read-only lists of objects that this release has none of.
_EMPTY: Final[Mapping[str, Mapping[str, Any]]] = {"authenticator_validate": {"webauthn_allowed_device_types_obj": []}}

_BARE: Final = {"component": "", "meta_model_name": "authentik_flows.stage"}


def flow(catalog: Catalog, one: Definition) -> dict[str, Any]:
    """A flow, with the pks of its stages and of the policies bound to it."""
    bound = catalog.bindings("flow_binding", one.pk)
    guarding = catalog.bindings("policy_binding", one.pk)
    return _flow(one) | {
        "stages": [binding["stage"] for binding in bound],
        "policies": [binding["policy"] for binding in guarding if binding["policy"]],
        "cache_count": 0,  # plans are not cached
        "authentication": one["authentication"],
    }


def stage(catalog: Catalog, one: Definition) -> dict[str, Any]:
    """A stage with its type's configuration."""
    config = {name: value for name, value in one.fields.items() if name != "name"}
    return stage_base(catalog, one) | config | dict(_EMPTY.get(one.type, {}))


def stage_base(catalog: Catalog, one: Definition) -> dict[str, Any]:
    """A stage as `stages/all/` shows it: without its configuration. A flow that binds it twice is named twice, as recorded.

    A stage whose type this release lacks (it was made by a newer one) is shown as authentik shows a bare stage.
    """
    kind = registry().stages.get(one.type)
    name = kind.verbose_name if kind else "stage"
    bindings = (found for found in catalog.of("flow_binding") if found["stage"] == one.pk)
    flows = [catalog.definitions["flow", found["target"]] for found in bindings]
    return {
        "pk": one.pk,
        "name": one["name"],
        "component": kind.form if kind else "",
        "verbose_name": name,
        "verbose_name_plural": f"{name}s",
        "meta_model_name": f"{kind.app}.{kind.model}" if kind else "authentik_flows.stage",
        "flow_set": [_flow(found) for found in flows],
    }


def flow_binding(catalog: Catalog, one: Definition) -> dict[str, Any]:
    """A stage's place in a flow, with the stage."""
    bound = catalog.definitions["stage", one["stage"]]
    return {"pk": one.pk, "policybindingmodel_ptr_id": one.ptr} | dict(one.fields) | {"stage_obj": stage_base(catalog, bound)}


def new_flow_binding(catalog: Catalog, one: Definition) -> dict[str, Any]:
    """The same in the answer to its POST, where authentik does not look up what kind of stage it is (recorded in `crud`)."""
    shown = flow_binding(catalog, one)
    return shown | {"stage_obj": shown["stage_obj"] | _BARE}


def _flow(one: Definition) -> dict[str, Any]:
    names = ("name", "slug", "title", "designation", "policy_engine_mode", "compatibility_mode", "layout", "denied_action")
    return (
        {"pk": one.pk, "policybindingmodel_ptr_id": one.ptr}
        | {name: one[name] for name in names}
        | {
            "background": linked(one["background"] or BACKGROUND),
            "export_url": ours(f"/api/v3/flows/instances/{one['slug']}/export/"),
        }
    )
