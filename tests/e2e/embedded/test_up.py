"""`sluice up` from outside: first login, and going on after Ctrl-C, after a kill, beside other commands."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.child import ChildFailed
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import INVALIDATION, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[SluiceUp]:
    with SluiceUp(tmp_path / "data with a blank") as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    """One for all tests that leave it running."""
    with SluiceUp(tmp_path_factory.mktemp("running") / "data") as up:
        yield up


def history(up: SluiceUp, topic: str = "executor.sessions") -> list[str]:
    return up.command("tail", topic, "--json", "--from-beginning").stdout.splitlines()


def events(lines: list[str]) -> list[str]:
    return [json.loads(line)["event"] for line in lines]


def servers(up: SluiceUp) -> list[int]:
    """The PostgreSQL processes that run on the folder."""
    data = up.data / "postgres" / "data"
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            try:
                if Path(process.cwd()).samefile(data):
                    found.append(process.pid)
            except (psutil.Error, OSError):
                continue
    return found


def test_users_history_and_a_login_half_way_outlive_ctrl_c(up: SluiceUp) -> None:
    assert up.told_password
    visitor, half_way = Visitor(up.base_url), Visitor(up.base_url)
    assert visitor.log_in("akadmin", up.password)["component"] == "xak-flow-redirect"
    assert visitor.who() == "akadmin"
    assert half_way.identify("akadmin")["component"] == "ak-stage-password"
    before = history(up)
    assert "session.logged_in" in events(before)

    assert up.stop() == 0
    assert servers(up) == []
    assert history(up) == before

    up.start()
    assert not up.told_password
    assert visitor.who() == "akadmin"
    assert history(up)[: len(before)] == before
    assert half_way.challenge()["component"] == "ak-stage-password"
    assert half_way.answer("ak-stage-password", password=up.password)["component"] == "xak-flow-redirect"
    assert half_way.who() == "akadmin"


def test_a_kill_loses_neither_users_nor_history_nor_a_login_half_way(up: SluiceUp) -> None:
    half_way = Visitor(up.base_url)
    assert half_way.identify("akadmin")["component"] == "ak-stage-password"
    before = history(up)

    up.kill()
    up.start()

    assert history(up)[: len(before)] == before
    assert half_way.answer("ak-stage-password", password=up.password)["component"] == "xak-flow-redirect"
    assert half_way.who() == "akadmin"
    assert up.stop() == 0
    assert servers(up) == []


def test_who_logs_out_is_nobody(running: SluiceUp) -> None:
    visitor = Visitor(running.base_url)
    visitor.log_in("akadmin", running.password)
    visitor.challenge(INVALIDATION)
    assert visitor.who() is None
    assert "session.logged_out" in events(history(running))


LEAVING = """\
version: 1
metadata:
  name: a log-out that goes on
entries:
  - model: authentik_flows.flow
    id: flow
    identifiers:
      slug: leaving
    attrs:
      name: Leaving
      title: Leaving
      designation: invalidation
      authentication: require_authenticated
  - model: authentik_stages_user_logout.userlogoutstage
    id: out
    identifiers:
      name: leaving-out
  - model: authentik_stages_dummy.dummystage
    id: after
    identifiers:
      name: leaving-after
  - model: authentik_flows.flowstagebinding
    identifiers:
      target: !KeyOf flow
      stage: !KeyOf out
      order: 0
  - model: authentik_flows.flowstagebinding
    identifiers:
      target: !KeyOf flow
      stage: !KeyOf after
      order: 10
"""


def test_stages_after_a_log_out_are_shown_to_nobody_and_the_old_cookie_is_worth_nothing(running: SluiceUp, tmp_path: Path) -> None:
    file = tmp_path / "leaving.yaml"
    file.write_text(LEAVING)
    running.command("flows", "apply", str(file))
    wait_for(lambda: Visitor(running.base_url).ask("/api/v3/flows/executor/leaving/?query=").status == 200)
    before = {json.loads(line)["key"] for line in history(running)}
    visitor, thief = Visitor(running.base_url), Visitor(running.base_url)
    visitor.log_in("akadmin", running.password)
    for cookie in visitor.jar:
        thief.jar.set_cookie(cookie)

    assert visitor.challenge("leaving")["component"] == "ak-stage-dummy"
    assert visitor.who() is None
    wait_for(lambda: thief.who() is None)  # every edge hears of it within a second
    refused = thief.ask("/api/v3/flows/executor/leaving/?query=", {})
    assert (refused.status, "superseded" in refused.body) == (503, True)
    assert visitor.answer("ak-stage-dummy", "leaving") == {"component": "xak-flow-redirect", "to": "/"}
    assert [cookie.name for cookie in visitor.jar if cookie.name == "authentik_session"] == []
    lines = history(running)
    [session] = {json.loads(line)["key"] for line in lines if json.loads(line)["facts"].get("reason") == "logged_out"} - before
    assert events([line for line in lines if json.loads(line)["key"] == session])[-7:] == [
        "stage.passed", "session.logged_out", "stage.challenged", "session.rotated", "stage.passed", "run.finished", "session.ended",
    ]  # fmt: skip


def wait_for(met: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < deadline
        time.sleep(1)  # who asks for an unknown flow too often is taken for a guesser


def test_a_wrong_password_logs_nobody_in_and_stands_nowhere(running: SluiceUp) -> None:
    visitor = Visitor(running.base_url)
    refused = visitor.log_in("akadmin", "a-wrong-password-of-somebody")
    assert refused["component"] == "ak-stage-password"
    assert visitor.who() is None
    assert "a-wrong-password-of-somebody" not in "".join(history(running)) + running.output
    assert b"a-wrong-password-of-somebody" not in (running.data / "log.sqlite").read_bytes()


def test_users_are_made_beside_a_running_sluice_and_without_one(up: SluiceUp) -> None:
    up.command("users", "create", "alice", "--password-stdin", "--name", "Alice A.", stdin="first\n")
    assert Visitor(up.base_url).log_in("alice", "first")["component"] == "xak-flow-redirect"
    up.stop()

    up.command("users", "set-password", "alice", "--password-stdin", stdin="second\n")
    up.command("users", "create", "bob", "--password-stdin", "--superuser", "--email", "bob@example.com", stdin="bob's\n")
    assert servers(up) == []
    again = up.command("users", "create", "alice", "--password-stdin", stdin="third\n", check=False)
    assert again.returncode == 1
    assert again.stderr == "sluice: username: This field must be unique. [E_USER_REFUSED]\n"

    up.start()
    assert Visitor(up.base_url).log_in("alice", "first")["component"] == "ak-stage-password"
    assert Visitor(up.base_url).log_in("alice", "second")["component"] == "xak-flow-redirect"
    assert Visitor(up.base_url).log_in("bob", "bob's")["component"] == "xak-flow-redirect"

    visitor = Visitor(up.base_url)
    visitor.log_in("alice", "second")
    up.command("users", "disable", "alice")
    assert Visitor(up.base_url).log_in("alice", "second")["component"] != "xak-flow-redirect"
    assert up.command("users", "enable", "alice").stdout == "alice can log in\n"
    assert Visitor(up.base_url).log_in("alice", "second")["component"] == "xak-flow-redirect"


def test_users_are_imported_from_csv_but_for_those_whose_password_looks_like_a_hash(running: SluiceUp, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    cut_off = "pbkdf2_sha256$1000$c2FsdHNhbHQ$"
    file.write_text(f"username,email,name,password\ncarol,carol@example.com,Carol C.,pa$$word\ndave,,Dave,{cut_off}\n")
    done = running.command("users", "import", str(file), check=False)
    assert (done.returncode, "users.csv:3: password" in done.stderr + done.stdout) == (1, True)
    assert Visitor(running.base_url).log_in("carol", "pa$$word")["component"] == "xak-flow-redirect"
    assert Visitor(running.base_url).log_in("dave", cut_off)["component"] == "ak-stage-password"


def test_a_second_start_on_the_folder_or_the_port_is_refused_with_the_reason(running: SluiceUp, tmp_path: Path) -> None:
    twin = running.command("up", check=False)
    assert twin.returncode == 1
    assert f"process {running.pid}" in twin.stderr

    elsewhere = SluiceUp(tmp_path / "elsewhere", {"SLUICE_LISTEN": running.base_url.removeprefix("http://")})
    with pytest.raises(ChildFailed, match="SLUICE_LISTEN sets another address"):
        elsewhere.start()
    assert elsewhere.wait() == 1
    assert Visitor(running.base_url).ask("/-/health/ready/").status == 200


FLOW = """\
version: 1
metadata:
  name: a flow of the tests
entries:
  - model: authentik_flows.flow
    id: flow
    identifiers:
      slug: a-dummy-flow
    attrs:
      name: Dummy
      title: Dummy
      designation: stage_configuration
      authentication: none
  - model: authentik_stages_dummy.dummystage
    id: stage
    identifiers:
      name: a-dummy-stage
  - model: authentik_flows.flowstagebinding
    identifiers:
      target: !KeyOf flow
      stage: !KeyOf stage
      order: 0
"""


def test_flows_are_applied_beside_a_running_sluice_and_the_same_again_changes_nothing(running: SluiceUp, tmp_path: Path) -> None:
    file = tmp_path / "a flow.yaml"
    file.write_text(FLOW)
    assert "created flow a-dummy-flow" in running.command("flows", "apply", str(file)).stdout
    visitor = Visitor(running.base_url)
    wait_for(lambda: visitor.challenge("a-dummy-flow").get("component") == "ak-stage-dummy")
    again = running.command("flows", "apply", str(file)).stdout
    assert again == "nothing to do: everything is as the files say\n"

    file.write_text(FLOW.replace("authentik_stages_dummy.dummystage", "authentik_stages_dummy.nothing"))
    refused = running.command("flows", "apply", str(file), check=False)
    assert refused.returncode == 1
    assert str(file) in refused.stderr


def test_a_token_is_made_told_once_and_revoked_beside_a_running_sluice(running: SluiceUp) -> None:
    made = running.command("users", "create-token", "akadmin", "--identifier", "ci", "--days", "1")
    token = made.stdout.rstrip("\n")
    assert made.stderr == "token ci of akadmin, good for a day; it is not shown again\n"
    visitor, users = Visitor(running.base_url), "/api/v3/core/users/?username=akadmin"
    wait_for(lambda: visitor.patiently(users, token=token).status == 200)
    again = running.command("users", "create-token", "akadmin", "--identifier", "ci", check=False)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "sluice: identifier: Token with this identifier already exists. [E_USER_REFUSED]\n"

    running.command("users", "revoke-token", "ci")
    wait_for(lambda: visitor.patiently(users, token=token).status == 403)
    nothing = running.command("users", "revoke-token", "ci", check=False)
    assert (nothing.returncode, nothing.stderr) == (1, "sluice: identifier: there is no token ci [E_USER_REFUSED]\n")
    assert token not in running.output + "".join(history(running, "directory.tokens"))


def test_the_token_of_the_settings_opens_the_api(running: SluiceUp) -> None:
    visitor = Visitor(running.base_url)
    assert visitor.patiently("/api/v3/core/users/?username=akadmin").status == 403
    answer = visitor.patiently("/api/v3/core/users/?username=akadmin", token=running.token)
    assert answer.status == 200
    assert [user["username"] for user in answer.json()["results"]] == ["akadmin"]
