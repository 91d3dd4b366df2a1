"""The filter for fail2ban, tried on lines as Sluice writes them: by its own expressions, and by the real tool where it is installed."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.child import REPOSITORY
from tests.integration.bans.lines import EACH, GUESSERS, INNOCENT, written

FILTER = REPOSITORY / "deploy" / "fail2ban" / "filter.d" / "sluice.conf"
WANTED = 2 * EACH + 1
BEGINNINGS = ["", "executor-worker-1  | ", "host sluice[42]: "]


def expression() -> "re.Pattern[str]":
    """`failregex` with its parts put in, `<ADDR>` as fail2ban has it, near enough."""
    parser = configparser.ConfigParser(interpolation=configparser.BasicInterpolation())
    parser.read_string(FILTER.read_text())
    return re.compile(parser["Definition"]["failregex"].replace("<ADDR>", r"(?P<address>[0-9a-fA-F:.]+)"))


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_each_failure_is_found_with_its_own_address_and_nothing_else_is(beginning: str) -> None:
    found = [match["address"] for line in written() if (match := expression().search(beginning + line))]
    assert sorted(set(found)) == sorted([*GUESSERS, "192.0.2.8"])
    assert len(found) == WANTED
    assert INNOCENT not in found


@pytest.mark.bans
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_real_tool_finds_the_same(tmp_path: Path, beginning: str) -> None:
    tool = shutil.which("fail2ban-regex")
    if tool is None:
        pytest.skip("fail2ban is not installed: apt-get install fail2ban")
    log = tmp_path / "sluice.log"
    log.write_text("".join(f"{beginning}{line}\n" for line in written()))
    done = subprocess.run([tool, "--out", "ip", str(log), str(FILTER)], capture_output=True, text=True, check=False, timeout=120)
    hosts = done.stdout.split()
    assert sorted(set(hosts)) == sorted([*GUESSERS, "192.0.2.8"]), done.stdout + done.stderr
    assert len(hosts) == WANTED
