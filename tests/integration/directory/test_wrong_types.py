"""Fields of the user API with a value of another type: 400 with the field, or taken, and never a defect."""

from typing import Any

import pytest

from tests.integration.directory.test_rest import ROOT, Client, client, records  # noqa: F401 - fixtures are found by name
from tests.security.json_values import VALUES
from tests.security.whole import Defects

GOOD: dict[str, Any] = {
    "name": "Wrong Types",
    "email": "",
    "is_active": True,
    "type": "internal",
    "path": "users",
    "attributes": {},
    "groups": [],
}
ROOT_TOKEN = {"Authorization": "Bearer root-token"}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("field", ["username", *GOOD, "pk", "uuid", "is_superuser", "unknown"])
async def test_every_value_of_every_field_of_a_new_user_is_answered(client: Client, field: str) -> None:  # noqa: F811
    with Defects.watched() as defects:
        for number, (label, value) in enumerate(VALUES.items()):
            body = {"username": f"u{field}{number}", **GOOD, field: value}
            answer = await client.post(ROOT, json=body, headers=ROOT_TOKEN)
            assert answer.status in (201, 400), (label, answer.status, await answer.text())
            if answer.status == 400:
                assert set(await answer.json()) == {field}, label
    assert defects.found == []


@pytest.mark.parametrize("body", [None, [], "x", 5, True, [{}], {"password": None}], ids=repr)
async def test_bodies_that_are_no_objects_are_answered(client: Client, body: Any) -> None:  # noqa: F811
    for path in (ROOT, f"{ROOT}1/set_password/"):
        answer = await client.post(path, json=body, headers=ROOT_TOKEN)
        assert answer.status == 400


async def test_every_value_of_a_password_is_answered(client: Client) -> None:  # noqa: F811
    made = await (await client.post(ROOT, json={"username": "wrong", **GOOD}, headers=ROOT_TOKEN)).json()
    with Defects.watched() as defects:
        for label, value in VALUES.items():
            answer = await client.post(f"{ROOT}{made['pk']}/set_password/", json={"password": value}, headers=ROOT_TOKEN)
            assert answer.status in (204, 400), (label, answer.status, await answer.text())
    assert defects.found == []
