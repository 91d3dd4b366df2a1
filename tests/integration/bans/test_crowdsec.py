"""The parser and the scenarios for CrowdSec, tried on lines as Sluice writes them by the real tool: who is banned, and who is not."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from deploy.child import REPOSITORY, Child, free_port
from tests.fixtures_patience import PATIENT_S
from tests.integration.bans.lines import GUESSERS, INNOCENT, written

FILES = REPOSITORY / "deploy" / "crowdsec"
SECRET = "of-the-tests-alone-1"


def test_every_file_is_yaml_and_the_scenarios_count_what_the_parser_names() -> None:
    parsed = {path.name: list(yaml.safe_load_all(path.read_text())) for path in FILES.rglob("*.yaml")}
    (parser,) = parsed["sluice-logs.yaml"]
    types = next(one["expression"] for one in parser["statics"] if one.get("meta") == "log_type")
    for scenario in parsed["sluice-bf.yaml"]:
        assert scenario["type"] == "leaky"
        assert scenario["groupby"] == "evt.Meta.source_ip"
        assert any(name in scenario["filter"] for name in ("sluice_login_failed", "sluice_token_invalid"))
        assert "sluice_login_failed" in types
        assert "sluice_token_invalid" in types


class Crowdsec:
    """CrowdSec in a folder of its own: nothing of the machine's configuration, no central API, its local one on loopback."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._bin = root / "usr" / "bin"
        hub, etc = root / "usr" / "share" / "crowdsec" / "hub" / "parsers", folder / "etc"
        for name in ("etc/parsers/s00-raw", "etc/parsers/s02-enrich", "etc/postoverflows", "data", "hub", "plugins", "notifications"):
            (folder / name).mkdir(parents=True)
        shutil.copytree(root / "etc" / "crowdsec" / "patterns", etc / "patterns")
        shutil.copytree(FILES / "parsers" / "s01-parse", etc / "parsers" / "s01-parse")
        shutil.copytree(FILES / "scenarios", etc / "scenarios")
        shutil.copy(FILES / "acquis.d" / "sluice.yaml", etc / "acquis.yaml")
        shutil.copy(hub / "s00-raw" / "crowdsecurity" / "syslog-logs.yaml", etc / "parsers" / "s00-raw")
        shutil.copy(hub / "s02-enrich" / "crowdsecurity" / "dateparse-enrich.yaml", etc / "parsers" / "s02-enrich")
        port = free_port()
        empty: dict[str, dict[str, str]] = {"parsers": {}, "scenarios": {}, "postoverflows": {}, "collections": {}}
        (folder / "hub" / ".index.json").write_text(json.dumps(empty))
        (etc / "credentials.yaml").write_text(yaml.safe_dump({"url": f"http://127.0.0.1:{port}/", "login": "tests", "password": SECRET}))
        (etc / "simulation.yaml").write_text("simulation: false\n")
        (etc / "console.yaml").write_text("{}\n")
        ban = {
            "name": "ban", "filters": ['Alert.Remediation == true && Alert.GetScope() == "Ip"'],
            "decisions": [{"type": "ban", "duration": "4h"}], "on_success": "break",
        }  # fmt: skip
        (etc / "profiles.yaml").write_text(yaml.safe_dump(ban))
        self._config = folder / "config.yaml"
        self._config.write_text(yaml.safe_dump(self._configured(etc, port)))

    def _configured(self, etc: Path, port: int) -> dict[str, object]:
        folder = self._folder
        return {
            "common": {"daemonize": False, "log_media": "stdout", "log_level": "info", "working_dir": str(folder)},
            "config_paths": {
                "config_dir": f"{etc}/", "data_dir": f"{folder}/data/", "simulation_path": f"{etc}/simulation.yaml",
                "hub_dir": f"{folder}/hub/", "index_path": f"{folder}/hub/.index.json", "notification_dir": f"{folder}/notifications/",
                "plugin_dir": f"{folder}/plugins/",
            },
            "crowdsec_service": {"acquisition_path": f"{etc}/acquis.yaml", "parser_routines": 1},
            "cscli": {"output": "json"},
            "db_config": {"type": "sqlite", "db_path": f"{folder}/data/crowdsec.db", "use_wal": True},
            "api": {
                "client": {"credentials_path": f"{etc}/credentials.yaml"},
                "server": {
                    "listen_uri": f"127.0.0.1:{port}", "profiles_path": f"{etc}/profiles.yaml", "console_path": f"{etc}/console.yaml",
                    "log_level": "info",
                },
            },
            "prometheus": {"enabled": False},
        }  # fmt: skip

    def run(self, tool: str, *arguments: str) -> str:
        command = [str(self._bin / tool), "-c", str(self._config), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENT_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def banned(self, log: Path) -> set[str]:
        """Who is banned for what is in this file."""
        self.run("cscli", "machines", "add", "tests", "-p", SECRET, "-f", os.devnull, "--force")
        api = Child("crowdsec", [str(self._bin / "crowdsec"), "-c", str(self._config), "-no-cs"], self._folder / "api.log")
        api.start()
        try:
            api.wait_until(lambda: "Local API listening" in api.log.read_text(errors="replace"), PATIENT_S)
            self.run("crowdsec", "-no-api", "-dsn", f"file://{log}", "-type", "sluice")
            deadline = time.monotonic() + PATIENT_S
            while not (found := self._decided()) and time.monotonic() < deadline:
                time.sleep(0.2)
            return found
        finally:
            api.stop(PATIENT_S)

    def _decided(self) -> set[str]:
        alerts = json.loads(self.run("cscli", "decisions", "list", "-o", "json") or "null") or []
        return {decision["value"] for alert in alerts for decision in alert["decisions"]}


@pytest.mark.bans
def test_who_guesses_is_banned_and_who_is_only_named_is_not(tmp_path: Path) -> None:
    tool = shutil.which("crowdsec")
    if tool is None:
        pytest.skip("crowdsec is not installed: .ci/run says how")
    log = tmp_path / "sluice.log"
    log.write_text("".join(f"{line}\n" for line in written()))
    banned = Crowdsec(tmp_path / "crowdsec", Path(tool).resolve().parents[2]).banned(log)
    assert banned == set(GUESSERS)
    assert INNOCENT not in banned
