"""A service whose signing key is over is not ready and says so: everybody else drops what it writes."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.kernel.clock import FixedClock, SystemClock
from shared.messaging.trusted import LOOK_S
from shared.runtime.environment import load
from shared.runtime.listener import Listener
from shared.runtime.own_key import OwnKey
from shared.runtime.proving import proofs_of
from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings
from sluice.keys import create, rotate
from tests.fixtures_patience import PATIENT_S

READY = (200, {"signing.key": True}, None)
OVER = (503, {"signing.key": False}, {"signing.key": "E_SIGNING_KEY: SLUICE_SIGNING_KEY"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(SystemClock().now_us())


@pytest.fixture
def own(folder: Path, clock: FixedClock) -> OwnKey:
    settings = load(CommonSettings, signing_key=folder / "planner" / "signing.pem", trusted_keys=folder / "trusted" / "keys.json")
    return OwnKey("planner", proofs_of("planner", settings, clock), clock)


def changed(folder: Path, change: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> None:
    """Each key of the planner becomes those that `change` makes of it."""
    path = folder / "trusted" / "keys.json"
    keys = [new for key in json.loads(path.read_text())["keys"] for new in (change(key) if key["service"] == "planner" else [key])]
    path.with_suffix(".new").write_text(json.dumps({"keys": keys}))
    os.replace(path.with_suffix(".new"), path)


def taken_out(folder: Path, clock: FixedClock) -> None:
    changed(folder, lambda key: [])


def rotated_at_once(folder: Path, clock: FixedClock) -> None:
    rotate(folder, "planner", 0, clock)


def rotated_without_a_restart(folder: Path, clock: FixedClock) -> None:
    rotate(folder, "planner", 3600, clock)
    clock.advance(3600)


def given_to_another(folder: Path, clock: FixedClock) -> None:
    changed(folder, lambda key: [key | {"service": "policy"}])


def put_off(folder: Path, clock: FixedClock) -> None:
    changed(folder, lambda key: [key | {"nbf": clock.now_us() // 1_000_000 + 60}])


def errors(caplog: pytest.LogCaptureFixture, level: int = logging.ERROR) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == level and one.name == "shared.runtime.own_key"]


async def told(own: OwnKey) -> tuple[int, object, object]:
    listener = Listener([own], CommonSettings(listen=Address("127.0.0.1", 0), metrics_listen=None), FixedClock())
    await listener.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{listener.address}/-/health/ready/") as answer:
            body = await answer.json()
            return answer.status, body["parts"], body.get("reasons")
    finally:
        await listener.stop()


@pytest.mark.parametrize("end", [taken_out, rotated_at_once, rotated_without_a_restart, given_to_another, put_off])
async def test_readiness_falls_with_the_key_and_one_error_names_the_setting(
    folder: Path, clock: FixedClock, own: OwnKey, caplog: pytest.LogCaptureFixture, end: Callable[[Path, FixedClock], None]
) -> None:
    before = (folder / "trusted" / "keys.json").read_bytes()
    assert await told(own) == READY
    end(folder, clock)
    clock.advance(LOOK_S)
    assert [await told(own) for _ in range(3)] == [OVER] * 3
    (line,) = errors(caplog)
    assert line.startswith("SLUICE_SIGNING_KEY: ")
    assert "planner" in line
    (folder / "trusted" / "keys.json").write_bytes(before)  # a mistake, taken back
    clock.advance(LOOK_S)
    assert await told(own) == READY


async def test_it_is_logged_though_nobody_asks(folder: Path, clock: FixedClock, own: OwnKey, caplog: pytest.LogCaptureFixture) -> None:
    rotate(folder, "planner", 0, clock)
    clock.advance(LOOK_S)
    await own.start()
    await asyncio.sleep(0)  # the first look is the task's first step
    await own.stop()
    assert own.failure is None
    assert len(errors(caplog)) == 1


def test_an_end_that_is_near_is_warned_about_once(folder: Path, clock: FixedClock, own: OwnKey, caplog: pytest.LogCaptureFixture) -> None:
    rotate(folder, "planner", 3600, clock)
    clock.advance(2990)
    own.look()
    assert errors(caplog, logging.WARNING) == []
    clock.advance(20)
    own.look()
    clock.advance(300)
    own.look()
    (line,) = errors(caplog, logging.WARNING)
    assert line.startswith("SLUICE_SIGNING_KEY counts for")
    assert errors(caplog) == []


def test_keys_of_others_that_end_are_no_fault_of_this_one(
    folder: Path, clock: FixedClock, own: OwnKey, caplog: pytest.LogCaptureFixture
) -> None:
    rotate(folder, "policy", 0, clock)
    clock.advance(LOOK_S)
    assert own.look() == ""
    assert errors(caplog) == errors(caplog, logging.WARNING) == []


def test_a_process_on_kafka_watches_its_key_from_its_start_on(folder: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")} | {
        "SLUICE_KAFKA": "127.0.0.1:1",
        "SLUICE_LISTEN": "127.0.0.1:0",
        "SLUICE_METRICS_LISTEN": "off",
        "SLUICE_SIGNING_KEY": str(folder / "planner" / "signing.pem"),
        "SLUICE_TRUSTED_KEYS": str(folder / "trusted" / "keys.json"),
    }
    log = tmp_path / "log"
    with log.open("wb") as out:
        planner = subprocess.Popen([sys.executable, "-m", "sluice", "run", "planner"], env=environment, stdout=out, stderr=out)
    try:
        eventually(log, "waiting for kafka")
        rotate(folder, "planner", 0)
        eventually(log, "SLUICE_SIGNING_KEY: SLUICE_TRUSTED_KEYS says that it does not hold now")
    finally:
        planner.terminate()
        planner.wait(PATIENT_S)


def eventually(log: Path, text: str) -> None:
    end = time.monotonic() + PATIENT_S
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)
