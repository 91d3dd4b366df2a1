"""Identifiers that lead to two people lead to nobody, count against nobody, and administrators are told."""

import json
from typing import Any

import pytest

from services.executor.directory import finding
from services.executor.directory.naming import UserRefused
from services.executor.directory.rows import facts_of
from shared.contracts.asks import FindUser, UserFound
from shared.contracts.directory import UserChanged
from shared.contracts.people import UserFacts
from shared.postgres.pool import Row
from tests.integration.directory.conftest import People

FIELDS = ("username", "email", "upn")


async def looked_up(people: People, value: str, *fields: str, case_insensitive: bool = True) -> UserFound:
    ask = FindUser.model_validate({"fields": fields or FIELDS, "value": value, "case_insensitive": case_insensitive})
    found = await people.directory.answer(ask, people.ask_key(), None)
    assert isinstance(found, UserFound)
    return found


async def pair(people: People) -> None:
    """Alice and Bob, who share a mailbox, and Cora and Dan, who share a UPN."""
    await people.make("alice", email="team@example.org")
    await people.make("bob", email="Team@Example.org")
    await people.make("cora", attributes={"upn": "DESK@corp"})
    await people.make("dan", attributes={"upn": "desk@corp"})


async def from_before(people: People, name: str, upn: str) -> None:
    """Give somebody a UPN that is not looked at, as when they were made by an earlier release."""
    changed = (
        "UPDATE users SET attributes = jsonb_build_object('upn', $2::text), upn_canonical = lower($2) WHERE username = $1 RETURNING pk"
    )
    assert await people.database.fetch(changed, name, upn)


@pytest.mark.parametrize(
    "typed",
    ["team@example.org", "TEAM@EXAMPLE.ORG", " team@example.org ", "\uff54eam@example.org", "desk@corp", "DESK@CORP", "\uff44esk@corp"],
)
async def test_what_leads_to_two_people_leads_to_nobody_however_it_is_spelt(people: People, typed: str) -> None:
    await pair(people)
    found = await looked_up(people, typed)
    assert (found.user, found.ambiguous) == (None, True)


async def test_who_can_be_told_apart_is_found(people: People) -> None:
    await pair(people)
    for typed, fields, name in (
        ("alice", FIELDS, "alice"), ("cora", FIELDS, "cora"), ("bob", FIELDS, "bob"), ("BOB", ("username", "email"), "bob"),
    ):  # fmt: skip
        found = await looked_up(people, typed, *fields)
        assert found.user is not None
        assert (found.user.username, found.ambiguous) == (name, False)
    assert (await looked_up(people, "nobody")).ambiguous is False


@pytest.mark.parametrize("case_insensitive", [True, False])
async def test_a_name_leads_to_its_owner_whoever_has_it_as_a_upn_from_before(people: People, case_insensitive: bool) -> None:
    """And to nobody else: who has the UPN is asked for the owner's password, and found by their own name only."""
    akadmin = await people.make("akadmin", superuser=True)
    await people.make("shadow", "shadow-pw")
    await people.make("second", "second-pw")
    for name in ("shadow", "second"):
        await from_before(people, name, "akadmin")
    found = await looked_up(people, "akadmin", case_insensitive=case_insensitive)
    assert found.user is not None
    assert (found.user.pk, found.ambiguous) == (akadmin.pk, False)
    assert (await people.guess(akadmin.pk, "shadow-pw", identifier="akadmin")).outcome == "wrong"
    assert (await people.guess(akadmin.pk, "alice-pw", identifier="akadmin")).outcome == "ok"
    assert (await looked_up(people, "akadmin", "email", "upn", case_insensitive=case_insensitive)).ambiguous


async def test_an_address_and_a_upn_of_others_from_before_lead_to_nobody(people: People) -> None:
    await people.make("ann", email="ann@example.org")
    await people.make("eve")
    await from_before(people, "eve", "ann@example.org")
    assert (await looked_up(people, "ann@example.org")).ambiguous


async def test_where_case_counts_two_spellings_are_two_addresses(people: People) -> None:
    await pair(people)
    found = await looked_up(people, "Team@Example.org", case_insensitive=False)
    assert found.user is not None
    assert found.user.username == "bob"
    assert (await looked_up(people, "TEAM@example.org", case_insensitive=False)).user is None


async def test_one_person_may_be_found_by_all_their_fields_at_once(people: People) -> None:
    await people.make("ann@example.org", email="ANN@example.org", attributes={"upn": "ann@example.org"})
    assert (await people.find("ann@example.org", *FIELDS)) is not None
    assert [event.what for event in await people.said(UserChanged)] == ["created"]


async def test_it_stays_so_with_a_disabled_user_and_ends_when_one_of_them_goes(people: People) -> None:
    await pair(people)
    alice, bob = await people.find("alice"), await people.find("bob", "username")
    assert alice is not None
    assert bob is not None
    assert alice.pk is not None
    assert bob.pk is not None
    await people.users.set_active(alice.pk, active=False)
    assert (await looked_up(people, "team@example.org")).ambiguous
    await people.users.delete(alice.pk)
    found = await looked_up(people, "team@example.org")
    assert found.user is not None
    assert found.user.pk == bob.pk


async def test_failures_by_it_count_against_nobody(people: People) -> None:
    """A visitor who types it is a pretended user, counted under what was typed; even where that is somebody's name."""
    name = "bob@example.org"
    bob = await people.make(name)
    await people.make("cora")
    await people.database.fetch("UPDATE users SET email_canonical = $1 WHERE username = 'cora'", name)
    assert (await looked_up(people, name)).ambiguous
    for _ in range(20):
        assert (await people.guess(None, "wrong", identifier=name)).outcome == "wrong"
    assert (await people.guess(bob.pk, "alice-pw", identifier=name)).outcome == "ok"
    assert not [event for event in await people.said(UserChanged) if event.what in ("login_failed", "locked")]


async def test_administrators_are_told_when_it_begins(people: People) -> None:
    await pair(people)
    told = [event for event in await people.said(UserChanged) if event.what == "identifier_shared"]
    alice, bob, cora, dan = [await people.find(name) for name in ("alice", "bob", "cora", "dan")]
    assert alice is not None
    assert bob is not None
    assert cora is not None
    assert dan is not None
    assert [(event.user, event.facts) for event in told] == [
        (bob.pk, {"username": "bob", "field": "email", "identifier": "team@example.org", "users": (alice.pk,)}),
        (dan.pk, {"username": "dan", "field": "upn", "identifier": "desk@corp", "users": (cora.pk,)}),
    ]


async def test_the_event_of_an_address_that_thousands_have_stays_small(people: People) -> None:
    for number in range(60):
        await people.make(f"user{number}", None, email="noreply@example.org")
    last = [event for event in await people.said(UserChanged) if event.what == "identifier_shared"][-1]
    assert len(last.facts["users"]) == 10
    assert len(json.dumps(last.model_dump())) < 1024


async def test_the_list_of_users_names_them(people: People) -> None:
    await pair(people)
    await people.make("dora", email="dora@example.org")
    count, page = await people.users.page(1, 10, ambiguous=True)
    assert (count, [user.facts.username for user in page]) == (4, ["alice", "bob", "cora", "dan"])
    assert (await people.users.page(1, 10))[0] == 5
    assert [user.facts.username for user in (await people.users.page(2, 2, ambiguous=True))[1]] == ["cora", "dan"]


@pytest.mark.parametrize(
    ("first", "second", "field", "why"),
    [
        ({"username": "ann"}, {"username": "ANN"}, "username", "This field must be unique."),
        ({"username": "strauss"}, {"username": "Strau\u00df"}, "username", "This field must be unique."),
        ({"username": "kate"}, {"username": "\u212aATE"}, "username", "This field must be unique."),
        ({"username": "j\u00fcrgen"}, {"username": "JU\u0308RGEN"}, "username", "This field must be unique."),
        ({"username": "ann", "email": "x@example.org"}, {"username": "X@example.org"}, "username", "This is the e-mail address of another user."),
        ({"username": "a", "email": "x@ex\u00e4mple.org"}, {"username": "x@ex\u00e4mple.org"}, "username", "the e-mail address of another user."),
        ({"username": "x@example.org"}, {"username": "ann", "email": "X@example.org"}, "email", "This is the username of another user."),
        ({"username": "x@ex\u00e4mple.org"}, {"username": "b", "email": "x@ex\u00e4mple.org"}, "email", "This is the username of another user."),
        ({"username": "ann"}, {"username": "eve", "attributes": {"upn": "ANN"}}, "attributes", "The upn is the username of another user."),
        ({"username": "ann"}, {"username": "eve", "attributes": {"upn": " \uff41nn "}}, "attributes", "The upn is the username of another user."),
        ({"username": "a", "email": "x@example.org"}, {"username": "eve", "attributes": {"upn": "X@Example.org"}}, "attributes", "the e-mail address of another user."),
        ({"username": "a", "email": "x@ex\u00e4mple.org"}, {"username": "eve", "attributes": {"upn": "x@ex\u00e4mple.org"}}, "attributes", "the e-mail address of another user."),
        ({"username": "a", "attributes": {"upn": "Ann@corp"}}, {"username": "ann@CORP"}, "username", "This is the UPN of another user."),
        ({"username": "a", "attributes": {"upn": "x@example.org"}}, {"username": "b", "email": "X@example.org"}, "email", "This is the UPN of another user."),
        ({"username": "a", "attributes": {"upn": "x@ex\u00e4mple.org"}}, {"username": "b", "email": "x@ex\u00e4mple.org"}, "email", "This is the UPN of another user."),
        ({"username": "apple"}, {"username": "\u0430\u0440\u0440\u04cf\u0435"}, "username", "looks like that of another user."),
        ({"username": "\u0430\u0440\u0440\u04cf\u0435"}, {"username": "apple"}, "username", "looks like that of another user."),
        ({"username": "admin"}, {"username": "adm\u0131n"}, "username", "looks like that of another user."),
        ({"username": "POCA"}, {"username": "\u0420\u041e\u0421\u0410"}, "username", "looks like that of another user."),
    ],
)  # fmt: skip
async def test_a_name_that_is_taken_is_refused_for_the_reason_that_is_true(
    people: People, first: dict[str, Any], second: dict[str, Any], field: str, why: str
) -> None:
    await people.make(password=None, **first)
    with pytest.raises(UserRefused) as refused:
        await people.make(password=None, **second)
    assert list(refused.value.errors) == [field]
    assert refused.value.errors[field][0].endswith(why)


async def test_names_of_plain_letters_are_not_compared_by_their_looks(people: People) -> None:
    for name in ("paul1", "paull", "PAULI", "rn", "m", "o0", "oo", "O'Neil", "O`Neil"):
        await people.make(name, None)
    assert (await people.users.page(1, 20))[0] == 9


@pytest.mark.parametrize(
    "name", ["j\u00fcrgen", "Ann Lee", "O'Brien", "\u0418\u0432\u0430\u043d", "\u7530\u4e2d", "Stra\u00dfe", "a+b@example.org"]
)
async def test_people_with_such_names_are_found_and_proved(people: People, name: str) -> None:
    user = await people.make(name)
    for typed in (name, name.upper(), f" {name} ", name.replace("\u00fc", "u\u0308")):
        found = await people.find(typed)
        assert found is not None
        assert found.pk == user.pk
    assert (await people.guess(user.pk, "alice-pw", identifier=name)).outcome == "ok"
    assert await people.find(name, "username", case_insensitive=False) is not None
    assert await people.find(name.replace("\u00fc", "u\u0308"), "username", case_insensitive=False) is not None


async def test_what_is_typed_with_something_unseen_is_nobodys_name(people: People) -> None:
    await people.make()
    for typed in ("alice\u200b", "\ufeffalice", "ali\u00adce", "\u202ealice", "al\u0456ce", "ali ce"):
        assert await people.find(typed) is None


async def test_a_look_up_does_for_nobody_what_it_does_for_somebody(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that its time tells nothing: the same statement, as many rows, as many of them read."""
    await pair(people)
    read: list[str] = []

    def counted(row: Row) -> UserFacts:
        read.append(row["username"])
        return facts_of(row)

    monkeypatch.setattr(finding, "facts_of", counted)
    statements: list[str] = []
    async with people.database._pool.acquire() as connection:
        connection.add_query_logger(lambda record: statements.append(record.query))
    for typed in ("alice", "nobody", "team@example.org", "cora"):
        await looked_up(people, typed)
    assert read == ["alice", "alice", "alice", "cora"]
    assert len(statements) == 4
    assert len(set(statements)) == 1
