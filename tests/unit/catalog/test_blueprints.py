"""Blueprints: what is refused where, and what an entry does to what is there."""

from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from services.catalog.domain.blueprints import errors
from services.catalog.domain.blueprints.document import parse
from services.catalog.domain.blueprints.errors import BlueprintRefused
from services.catalog.domain.blueprints.importer import events_of
from services.catalog.domain.blueprints.reader import MAX_BYTES, read
from services.catalog.domain.objects import Catalog, Changed, evolve

SHARED = Path(__file__).parents[3].parent / "shared" / "blueprints" / "default"
EXPORTS = SHARED.parents[1] / "exports"
SHIPPED = Path(__file__).parents[3] / "services" / "catalog" / "flows"
DUE = "default-authentication-flow-password-stage"
STAGE = "model: authentik_stages_dummy.dummystage, identifiers: {name: s}"
PK = "c60f9622-494c-465e-a44a-254ded6f69ee"


class Importing:
    def __init__(self) -> None:
        self.catalog = Catalog()
        self._numbers = count(1)

    def __call__(self, text: str | bytes, file: str = "f.yaml") -> list[str]:
        raw = text.encode() if isinstance(text, str) else text
        events, self.notes = events_of(self.catalog, parse(raw, file), lambda: str(UUID(int=next(self._numbers))))
        self.catalog = evolve(self.catalog, events)
        return [f"{type(event).__name__} {(event.after if isinstance(event, Changed) else event.definition).name}" for event in events]

    def refused(self, text: str) -> BlueprintRefused:
        before = self.catalog
        with pytest.raises(BlueprintRefused) as caught:
            self(text)
        assert self.catalog is before
        return caught.value

    def entry(self, text: str) -> list[str]:
        return self(f"version: 1\nentries:\n- {{{text}}}\n")


@pytest.fixture
def importing() -> Importing:
    return Importing()


BOMB = "a: &a [x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (BOMB.encode(), errors.ALIAS),
        (b"a: {<<: {b: 1}}", errors.ALIAS),
        (b"a: &a [*a]", errors.ALIAS),
        (b"[" * 20_000, errors.SYNTAX),  # libyaml has a limit of its own
        (b"[" * 500, errors.SIZE),
        ("\n".join("  " * n + "a:" for n in range(100)).encode(), errors.SIZE),
        (b'!!python/object/apply:os.system ["id"]', errors.TAG),
        (b"!!python/name:os.system ''", errors.TAG),
        (b"!!binary aGk=", errors.TAG),
        (b"a: !Foo x", errors.TAG),
        (b"a: !<tag:x,2000:y> x", errors.TAG),
        (b"%TAG ! tag:yaml.org,2002:python/\n---\na: !name:os.system x", errors.SYNTAX),
        (b"%YAML 1.1\n---\na: 1", errors.SYNTAX),
        (b"a: !File /etc/passwd", errors.TAG),
        (b"a: !Env PATH", errors.TAG),
        (b"a: !Env [X, default]", errors.TAG),
        (b"a: !Enumerate [[1], SEQ, x]", errors.TAG),
        (b"a: !KeyOf {a: b}", errors.TAG),
        (b"{a: 1, a: 2}", errors.DUPLICATE),
        (b'{a: 1, "\\x61": 2}', errors.DUPLICATE),
        (b"\xff\xfea\x00", errors.SYNTAX),
        (b"a: \xc3\x28", errors.SYNTAX),
        ("a: x\u0000y".encode(), errors.SYNTAX),
        ("a: x\u0085\u0090y".encode(), errors.SYNTAX),
        ("\ufeffa: 1".encode(), errors.SYNTAX),
        (b"a:\n\t- b", errors.SYNTAX),
        ("a: \u202ereturn True".encode(), errors.SYNTAX),
        ("a: ad\u200bmin".encode(), errors.SYNTAX),
        (b"a: 1\n---\nb: 2", errors.SYNTAX),
        (b"", errors.SYNTAX),
        (b"# only a comment\n", errors.SYNTAX),
        (b"a: " + b"x" * MAX_BYTES, errors.SIZE),
        (b"a: " + b"x" * 900_000, errors.SIZE),
        (b"[" + b"a," * 100_000 + b"]", errors.SIZE),
        (b"&" + b"a" * 100_000 + b" x", errors.ALIAS),
        (b"? [a, b]\n: c", errors.SYNTAX),
        (b"? {a: b}\n: c", errors.SYNTAX),
        (b"a: [", errors.SYNTAX),
    ],
)
def test_yaml_that_is_not_plain_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(BlueprintRefused) as caught:
        parse(raw, "f.yaml")
    assert caught.value.reason == reason


@given_any(st.binary(max_size=300))
def test_reading_is_total(raw: bytes) -> None:
    with suppress(BlueprintRefused):
        parse(raw, "f.yaml")


def test_a_refusal_names_tag_file_line_and_column() -> None:
    with pytest.raises(BlueprintRefused, match=r"f\.yaml:2:6: the tag !Env is not supported \[E_BP_TAG\]"):
        parse(b"version: 1\nok:  !Env X\n", "f.yaml")


def test_scalars_are_as_in_json() -> None:
    text = b"[no, NO, on, 012, 0o14, 1:30, 1_000, .inf, .nan, 1e3, 2026-11-23, 1.10, -0, 1.5, 7, -3, ~, null, true, 'true', '']"
    found = read(text, "f", frozenset())
    texts = ["no", "NO", "on", "012", "0o14", "1:30", "1_000", ".inf", ".nan", "1e3", "2026-11-23", "1.10", "-0"]
    assert found == [*texts, 1.5, 7, -3, None, None, True, "true", ""]
    assert [type(one) for one in found[13:16]] == [float, int, int]


LONG = "9" * 5_000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"version: {LONG}\nentries: []", "f.yaml:1:1"),
        (f"version: 1\nentries:\n- {{{STAGE}, attrs: {{throw_error: {LONG}}}}}", "f.yaml:3:3"),
        (f"version: 1\nentries:\n- {{{STAGE}, attrs: {{throw_error: -{LONG}}}}}", "f.yaml:3:3"),
        (f"version: 1\nentries:\n- {{{STAGE}, attrs: {{throw_error: [{LONG}]}}}}", "f.yaml:3:3"),
        (f"version: 1\nentries:\n- {{{STAGE}, id: {LONG}, attrs: {{throw_error: 1e{LONG}}}}}", "f.yaml:3:3"),
    ],
)
def test_a_number_of_thousands_of_digits_is_refused_with_its_place(importing: Importing, text: str, place: str) -> None:
    refused = importing.refused(text)
    assert str(refused.place) == place
    assert len(str(refused)) < 1_000


def test_a_number_of_thousands_of_digits_is_a_text_as_one_of_twenty_is() -> None:
    numbers = ["9" * 20, LONG, f"-{LONG}", f"1.{LONG}", f"1e{LONG}", f"1e-{LONG}"]
    assert read(f"[{', '.join(numbers)}]".encode(), "f", frozenset()) == numbers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a]", errors.SHAPE),
        ("version: 2\nentries: []", errors.SHAPE),
        ("version: true", errors.SHAPE),
        ("version: 1\nentry: []", errors.SHAPE),
        ("entries: [x]", errors.SHAPE),
        ("entries: [{model: a}]", errors.SHAPE),
        ("entries: [{" + STAGE + ", attr: {}}]", errors.SHAPE),
        ("entries: [{" + STAGE + ", state: gone}]", errors.SHAPE),
        ("entries: [{" + STAGE + ", id: 1}]", errors.SHAPE),
        ("entries: [{model: authentik_flows.flow, identifiers: null}]", errors.SHAPE),
        ("entries: [{" + STAGE + ", permissions: [{permission: x}]}]", errors.ENTRY),
        ("entries: [{model: auth.permission, identifiers: {name: s}}]", errors.MODEL),
        ("entries: [{model: authentik_flows.stage, identifiers: {name: s}}]", errors.MODEL),
        ("entries: [{model: authentik_stages_dummy.dummystage}]", errors.ENTRY),
        ("entries: [{model: authentik_stages_dummy.dummystage, identifiers: {x: s}}]", errors.ENTRY),
        ("entries: [{model: authentik_stages_dummy.dummystage, identifiers: {name__contains: s}}]", errors.ENTRY),
        ("entries: [{" + STAGE + ", attrs: {throw_error: no}}]", errors.ENTRY),
        ("entries: [{" + STAGE + ", attrs: {throw_error: !KeyOf later}}]", errors.TAG),
        ("entries: [{" + STAGE + ", id: own, attrs: {throw_error: !KeyOf own}}]", errors.TAG),
        ("entries: [{" + STAGE + ", attrs: {throw_error: !Find [core.user, [password__startswith, a]]}}]", errors.TAG),
        ("entries: [{" + STAGE + ", attrs: {throw_error: !Find [authentik_flows.flow, [name__x, a]]}}]", errors.TAG),
        ("entries: [{" + STAGE + ", attrs: {throw_error: !Find authentik_flows.flow}}]", errors.TAG),
        ('entries: [{model: a.b, identifiers: {name: !Format ["%s%s", x]}}]', errors.MODEL),
        ('entries: [{model: authentik_stages_dummy.dummystage, identifiers: {name: !Format ["%s%s", x]}}]', errors.TAG),
        ('entries: [{model: authentik_stages_dummy.dummystage, identifiers: {name: !Format ["%(a)s", x]}}]', errors.TAG),
        ('entries: [{model: authentik_stages_dummy.dummystage, identifiers: {name: !Format ["%1000000000d", 1]}}]', errors.TAG),
        # With as many %s as values, so that only what else stands there is wrong.
        ('entries: [{model: authentik_stages_dummy.dummystage, identifiers: {name: !Format ["%s %1000000000d", x]}}]', errors.TAG),
        ('entries: [{model: authentik_stages_dummy.dummystage, identifiers: {name: !Format ["%s %(a)s", x]}}]', errors.TAG),
        ('entries: [{model: authentik_stages_dummy.dummystage, identifiers: {name: !Format ["%s 100%", x]}}]', errors.TAG),
        ("entries: [{" + STAGE + ", conditions: [!Condition [MAYBE, true]]}]", errors.TAG),
        ("entries: [{" + STAGE + ", conditions: [!Condition [AND]]}]", errors.TAG),
        ("entries: [{model: authentik_blueprints.metaapplyblueprint, attrs: {identifiers: {name: x}}}]", errors.ENTRY),
        ("entries: [{model: authentik_stages_dummy.dummystage, identifiers: {pk: x, name: s}}]", errors.ENTRY),
        ("entries: [{" + STAGE + ", state: !KeyOf x}]", errors.TAG),
    ],
)
def test_what_is_no_applicable_blueprint_is_refused_whole(importing: Importing, text: str, reason: str) -> None:
    assert importing.refused(text).reason == reason


def test_the_entry_that_fails_is_named_and_nothing_before_it_counts(importing: Importing) -> None:
    text = "entries:\n- {" + STAGE + "}\n- model: authentik_flows.flow\n  identifiers: {slug: f}\n  attrs: {name: n}\n"
    refused = importing.refused(text)
    assert str(refused) == (
        "f.yaml:3:3: authentik_flows.flow: title: This field is required.; designation: This field is required. [E_BP_ENTRY]"
    )


@pytest.mark.parametrize(
    ("state", "missing", "there"),
    [
        ("present", ["Created s"], ["Changed s"]),
        ("created", ["Created s"], []),
        ("must_created", ["Created s"], None),
        ("absent", [], ["Deleted s"]),
    ],
)
def test_states(importing: Importing, state: str, missing: list[str], there: list[str] | None) -> None:
    text = STAGE + f", state: {state}, attrs: {{throw_error: true}}"
    assert importing.entry(text) == missing
    fresh = Importing()
    fresh.entry(STAGE)
    if there is None:
        assert "object exists already" in str(fresh.refused(f"entries: [{{{text}}}]"))
    else:
        assert fresh.entry(text) == there


def test_the_same_again_changes_nothing_and_fields_not_named_stay(importing: Importing) -> None:
    importing.entry(STAGE + ", attrs: {throw_error: true}")
    assert importing.entry(STAGE + ", attrs: {throw_error: true}") == []
    assert importing.entry(STAGE) == []
    assert [one["throw_error"] for one in importing.catalog.of("stage")] == [True]


def test_unknown_attributes_are_told_of(importing: Importing) -> None:
    importing.entry(STAGE + ", attrs: {template: x}")
    assert importing.notes == ["f.yaml:3:3: authentik_stages_dummy.dummystage has no field template"]


def test_a_stage_of_another_type_is_not_matched(importing: Importing) -> None:
    importing.entry(STAGE)
    refused = importing.refused("entries: [{model: authentik_stages_deny.denystage, identifiers: {name: s}}]")
    assert "stage with this name already exists." in str(refused)


def test_conditions_and_context(importing: Importing) -> None:
    text = "context: {wanted: false, name: s}\nentries:\n- model: authentik_stages_dummy.dummystage\n"
    text += "  conditions: [!Condition [%s, !Context wanted, !Context [missing, true]]]\n  identifiers: {name: !Context name}\n"
    assert importing(text % "AND") == []
    assert importing(text % "XOR") == ["Created s"]


def test_pks_of_an_export_become_those_that_are_here(importing: Importing) -> None:
    importing.entry("model: authentik_flows.flow, identifiers: {slug: f}, attrs: {name: n, title: t, designation: recovery}")
    [flow] = importing.catalog.of("flow")
    text = f"""entries:
- {{model: authentik_flows.flow, identifiers: {{pk: {PK}, slug: f}}, attrs: {{title: u}}}}
- {{model: authentik_brands.brand, identifiers: {{domain: d}}, attrs: {{flow_recovery: {PK}}}}}
"""
    assert importing(text) == ["Changed f", "Created d"]
    assert [one["flow_recovery"] for one in importing.catalog.of("brand")] == [flow.pk]


def test_a_given_pk_is_taken_for_a_new_object(importing: Importing) -> None:
    importing.entry(f"model: authentik_stages_dummy.dummystage, identifiers: {{pk: {PK}, name: s}}")
    assert [one.pk for one in importing.catalog.of("stage")] == [PK]
    refused = importing.refused(f"entries: [{{model: authentik_stages_deny.denystage, identifiers: {{pk: {PK}, name: t}}}}]")
    assert "pk is that of another object" in str(refused)


def test_a_policy_binding_is_matched_by_either_id_of_its_target(importing: Importing) -> None:
    importing.entry("model: authentik_flows.flow, identifiers: {slug: f}, attrs: {name: n, title: t, designation: recovery}")
    importing.entry("model: authentik_policies_dummy.dummypolicy, identifiers: {name: p}")
    [flow], [policy] = importing.catalog.of("flow"), importing.catalog.of("policy")
    text = "model: authentik_policies.policybinding, identifiers: {target: %s, policy: %s, order: 0}"
    assert len(importing.entry(text % (flow.ptr, policy.pk))) == 1
    assert importing.entry(text % (flow.pk, policy.pk)) == []
    assert importing.entry(text % (flow.ptr, policy.pk) + ", state: absent") != []


def test_sections_are_read_one_after_the_other(importing: Importing) -> None:
    assert importing("entries: {a: [{" + STAGE + "}], b: [{model: authentik_stages_deny.denystage, identifiers: {name: t}}]}") == [
        "Created s",
        "Created t",
    ]


@pytest.mark.shared
@pytest.mark.parametrize("order", [("authentication", "invalidation", "brand"), ("brand", "invalidation", "authentication")])
def test_authentiks_own_default_files_import(importing: Importing, order: tuple[str, ...]) -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared is not there")
    files = {
        "authentication": "flow-default-authentication-flow.yaml",
        "invalidation": "flow-default-invalidation-flow.yaml",
        "brand": "default-brand.yaml",
    }
    for name in order:
        assert importing((SHARED / files[name]).read_bytes()) != []
    again: list[Any] = [importing((SHARED / files[name]).read_bytes()) for name in order]
    assert again == [[], [], []]
    assert len(importing.catalog.of("flow_binding")) == 5
    [bound] = importing.catalog.of("policy_binding")
    assert bound["failure_result"] is True


EXPORT = f"""
version: 1
entries:
- {{model: authentik_flows.flow, identifiers: {{pk: {PK}, slug: default-authentication-flow}}, attrs: {{title: Theirs}}}}
- model: authentik_policies_expression.expressionpolicy
  identifiers:
    pk: beff7445-6dff-4d08-94b9-1c3d7e01fd58
  attrs:
    name: {DUE}
    expression: return True
- model: authentik_stages_password.passwordstage
  identifiers: {{pk: f9853c1f-4b5c-4a1b-94cf-1ba6ee34352e, name: default-authentication-password}}
- model: authentik_flows.flowstagebinding
  identifiers: {{pk: e4555b37-c37a-42eb-a501-40d262f58d3d, target: {PK}, stage: f9853c1f-4b5c-4a1b-94cf-1ba6ee34352e, order: 20}}
- model: authentik_policies.policybinding
  identifiers:
    pk: 91a06109-6f00-4599-9bf1-7887a0a95845
    policy: beff7445-6dff-4d08-94b9-1c3d7e01fd58
    target: e4555b37-c37a-42eb-a501-40d262f58d3d
    order: 10
  attrs: {{failure_result: true}}
"""
REMOVE = f"entries: [{{model: authentik_policies_expression.expressionpolicy, state: absent, identifiers: {{name: {DUE}}}}}]"


def named_by_name(export: str) -> str:
    """The export with the policy's name among its identifiers, as the catalog's README says."""
    return export.replace(f"    name: {DUE}\n", "").replace(
        "  identifiers:\n    pk: beff", f"  identifiers:\n    name: {DUE}\n    pk: beff"
    )


@pytest.fixture
def shipped(importing: Importing) -> Importing:
    """A fresh installation."""
    for name in ("default-authentication-flow", "default-invalidation-flow", "default-brand"):
        importing((SHIPPED / f"{name}.yaml").read_bytes())
    return importing


def test_an_export_of_a_flow_that_we_ship_is_refused_for_its_policy(shipped: Importing) -> None:
    assert "Policy with this name already exists." in str(shipped.refused(EXPORT))


def test_an_export_whose_policy_is_named_by_its_name_changes_ours(shipped: Importing) -> None:
    assert shipped(named_by_name(EXPORT)) == ["Changed default-authentication-flow", f"Changed {DUE}"]
    assert shipped(named_by_name(EXPORT)) == []


def test_an_export_is_applied_once_our_policy_is_removed(shipped: Importing) -> None:
    assert f"Deleted {DUE}" in shipped(REMOVE)
    made = shipped(EXPORT)
    assert (made[:2], len(made)) == (["Changed default-authentication-flow", f"Created {DUE}"], 3)
    [bound] = shipped.catalog.of("policy_binding")
    assert (bound["failure_result"], bound["policy"]) == (True, "beff7445-6dff-4d08-94b9-1c3d7e01fd58")
    assert shipped(EXPORT) == []


@pytest.mark.shared
def test_authentiks_own_exports_are_applied_as_the_readme_says(shipped: Importing) -> None:
    if not EXPORTS.is_dir():
        pytest.skip("../shared is not there")
    assert shipped((EXPORTS / "default-invalidation-flow.yaml").read_bytes()) == []
    export = (EXPORTS / "default-authentication-flow.yaml").read_text()
    assert "Policy with this name already exists." in str(shipped.refused(export))
    assert "configure_flow: Invalid pk" in str(shipped.refused(named_by_name(export)))
    lines = named_by_name(export).splitlines(keepends=True)
    assert shipped("".join(line for line in lines if "configure_flow" not in line)) == [f"Changed {DUE}"]
