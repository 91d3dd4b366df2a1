"""Somebody without a password asks the log-in pages who there is: by name, by address, in every spelling, page and JSON.

Every answer is compared byte by byte with the one to a name that nobody has; only what was typed may differ, and stands
where it was typed. Cookies are compared by name, attributes and length.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.sluice_process import SluiceUp
from tests.security.account_zoo import AUTHENTICATION, COMBINED, PASSWORD, TITLED, UNPROVEN, Seen, Stranger, lock, zoo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class Zoo:
    """The accounts, and what is answered to a name that nobody has, by flow and by way."""

    up: SluiceUp

    def asked(self, how: str, flow: str, typed: str, password: str = "wrong") -> list[Seen]:
        stranger = Stranger(self.up.base_url, typed)
        (_by_page if how == "page" else _by_json)(stranger, flow, typed, password)
        return stranger.seen


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with zoo(tmp_path_factory.mktemp("zoo")) as up:
        lock(up, "locked")
        lock(up, "lockno")  # names that nobody has lock alike
        yield Zoo(up)


def _by_page(stranger: Stranger, flow: str, typed: str, password: str) -> None:
    path = f"/if/flow/{flow}/"
    page = stranger.page(path)
    if flow == COMBINED:
        for _ in range(6):
            page = stranger.submit(path, page, uid_field=typed, password=password)
    else:
        page = stranger.submit(path, page, uid_field=typed)
        page = stranger.page(path)
        for _ in range(6):
            page = stranger.submit(path, page, password=password)
    stranger.page(path)
    stranger.page("/flows/-/cancel/")
    stranger.page("/if/user/")


def _by_json(stranger: Stranger, flow: str, typed: str, password: str) -> None:
    path = f"/api/v3/flows/executor/{flow}/?query="
    stranger.json(path)
    if flow == COMBINED:
        for _ in range(6):
            stranger.json(path, {"component": "ak-stage-identification", "uid_field": typed, "password": password})
    else:
        stranger.json(path, {"component": "ak-stage-identification", "uid_field": typed})
        stranger.json(path)
        for _ in range(6):
            stranger.json(path, {"component": "ak-stage-password", "password": password})
    stranger.json(path)


# An account a row: none is guessed at so often that it is locked.
SPELLINGS = {
    "name": ("alice0", "nobody"),
    "upper case": ("ALICE1", "NOBODY"),
    "mixed case": ("aLiCe2", "nObOdY"),
    "address": ("alice3@example.org", "nobody@example.org"),
    "address in capitals": ("ALICE4@EXAMPLE.ORG", "NOBODY@EXAMPLE.ORG"),
    "full width": ("\uff41lice5", "\uff4eobody"),
    "mathematical letters": ("\U0001d41alice6", "\U0001d427obody"),
    "blanks around": ("  alice7 ", "  nobody "),
    "ideographic blank": ("\u3000alice8", "\u3000nobody"),
    "no-break blank": ("alice9\u00a0", "nobody\u00a0"),
}


@pytest.mark.parametrize("how", ["page", "json"])
@pytest.mark.parametrize("flow", [AUTHENTICATION, COMBINED, TITLED, UNPROVEN])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_name_is_answered_as_one_that_nobody_has_however_it_is_spelt(accounts: Zoo, how: str, flow: str, spelling: str) -> None:
    known, unknown = SPELLINGS[spelling]
    assert accounts.asked(how, flow, known) == accounts.asked(how, flow, unknown)


@pytest.mark.parametrize("how", ["page", "json"])
@pytest.mark.parametrize("flow", [AUTHENTICATION, COMBINED])
@pytest.mark.parametrize("name", ["disabl", "import", "nopass", "DISABL@example.org", "Import@example.org"])
def test_disabled_imported_and_passwordless_accounts_are_answered_alike(accounts: Zoo, how: str, flow: str, name: str) -> None:
    nobody = "nobodX@example.org" if "@" in name else "nobody"
    assert accounts.asked(how, flow, name) == accounts.asked(how, flow, nobody)


@pytest.mark.parametrize("how", ["page", "json"])
def test_the_right_password_of_a_disabled_account_is_as_wrong_as_any(accounts: Zoo, how: str) -> None:
    assert accounts.asked(how, AUTHENTICATION, "disabl", PASSWORD) == accounts.asked(how, AUTHENTICATION, "nobody", PASSWORD)


@pytest.mark.parametrize("how", ["page", "json"])
@pytest.mark.parametrize("password", ["wrong", PASSWORD])
def test_a_locked_account_is_answered_as_a_locked_name_that_nobody_has(accounts: Zoo, how: str, password: str) -> None:
    assert accounts.asked(how, AUTHENTICATION, "locked", password) == accounts.asked(how, AUTHENTICATION, "lockno", password)


@pytest.mark.parametrize("how", ["page", "json"])
@pytest.mark.parametrize("flow", [AUTHENTICATION, COMBINED])
@pytest.mark.parametrize("password", ["wrong", PASSWORD])
def test_an_address_that_two_have_is_answered_as_one_that_nobody_has(accounts: Zoo, how: str, flow: str, password: str) -> None:
    assert accounts.asked(how, flow, "shared@example.org", password) == accounts.asked(how, flow, "nobody@example.org", password)


def test_what_was_typed_is_what_is_shown_until_the_password_and_then_the_title_greets_by_name(accounts: Zoo) -> None:
    stranger = Stranger(accounts.up.base_url, "-")
    path = f"/api/v3/flows/executor/{TITLED}/?query="
    stranger.json(path)
    asked = stranger.json(path, {"component": "ak-stage-identification", "uid_field": "GREETED@example.org"})
    assert asked["pending_user"] == "GREETED@example.org"
    assert asked["flow_info"]["title"] == "Welcome, GREETED@example.org!"
    assert stranger.json(path, {"component": "ak-stage-password", "password": PASSWORD})["component"] == "xak-flow-redirect"
