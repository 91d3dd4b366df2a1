"""A whole Sluice on this machine as it runs in production: a Kafka broker, PostgreSQL and the services, each a process.

`python -m deploy.cluster` (`make cluster`) runs it until Ctrl-C; tests and measurements use `Cluster` and do to single
processes what happens to them in the field: kill, stop, continue, one more.
"""

import argparse
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from deploy.child import Child, ChildFailed, free_port, is_free
from deploy.kafka.broker import Broker, missing
from shared.kernel.variables import Misconfigured
from sluice.private_files import close_file, close_folder

ServiceName = Literal["catalog", "planner", "policy", "executor"]

PORTS: Final[Mapping[ServiceName, int]] = {"executor": 9000, "catalog": 9001, "planner": 9002, "policy": 9003}
KAFKA_PORT: Final = 9092
READY_TIMEOUT: Final = 120.0  # s; a test machine may be busy with other things
TOPICS_TIMEOUT: Final = 60.0  # s
PROBE_TIMEOUT: Final = 1.0  # s
WATCH: Final = 0.5  # s between two looks at the processes
WHAT: Final = (
    "Start Kafka, PostgreSQL and the four services on this machine, each a process of its own, say where to log in, and stop all of it "
    "at Ctrl-C. Data, keys, passwords and logs are in data/cluster and stay. Ports are 9000 to 9003 and 9092 where they are free. "
    "Takes no arguments; `make cluster` is the same."
)
READY_PATH: Final = "/-/health/ready/"


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a service, and where it listens."""

    process: Child
    port: int

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        """Whether it says that it has caught up and takes traffic; False if it says nothing within a second."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PROBE_TIMEOUT)
        try:
            connection.request("GET", READY_PATH)
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_ready(self, timeout: float = READY_TIMEOUT) -> None:
        """Wait until it is ready; `ChildFailed` with the end of its log if it ends or takes longer."""
        self.process.wait_until(self.is_ready, timeout)


class Cluster:
    """The processes by name: `broker`, `postgres`, the services, and what `add` adds. Not for use by two threads.

    `environment` goes to every service; `usual_ports` takes 9000 to 9003 and 9092 where they are free; `quick_start` is for
    tests (see `Broker`). Start members from the main thread: their lives are tied to the thread that started them (see `deploy.child`).
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str] | None = None, usual_ports: bool = False, quick_start: bool = False
    ) -> None:
        self.folder = folder.absolute()
        self.members: dict[str, Member] = {}
        self.uris: dict[str, str] = {}
        self._usual_ports = usual_ports
        self._environment = dict(environment or {})
        self.broker = Broker(self.folder / "kafka", port=self._port(KAFKA_PORT), quick_start=quick_start)
        self.postgres = Child(
            "postgres", [sys.executable, "-m", "deploy.postgres", str(self.folder / "postgres")], self.folder / "postgres.log"
        )

    @property
    def url(self) -> str:
        """Where visitors come in: the first executor."""
        return self.members["executor"].url

    @property
    def password(self) -> str:
        """Of akadmin, as it was at the first start."""
        return self._kept("akadmin.password").read_text().strip()

    def start(self) -> None:
        """Start all and wait until each service is ready; on failure stop what runs and raise `ChildFailed`."""
        self._close_folder()
        try:
            self.postgres.start()
            self.broker.start()
            self.postgres.wait_until(lambda: self.postgres.log.read_bytes().endswith(b"}\n"), READY_TIMEOUT)
            self.uris = json.loads(self.postgres.tail(1))
            self._create_keys()
            self._create_topics()
            for service in PORTS:
                self.add(service)
            for member in self.members.values():
                member.wait_ready()
        except BaseException:
            self.stop()
            raise

    def add(
        self, service: ServiceName, name: str | None = None, options: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
    ) -> Member:
        """Start one more process of a service, such as `add("executor", "executor-2", ("--role", "worker"))`; does not wait."""
        name = name or service
        if name in self.members:
            raise ValueError(f"there is a {name} already")
        port = self._port(PORTS[service] if name == service else None)
        settings = self._settings(service, port, free_port()) | dict(environment or {})
        command = [sys.executable, "-m", "sluice", "run", service, *options]
        member = Member(Child(name, command, self.folder / f"{name}.log", settings), port)
        self.members[name] = member
        member.process.start()
        return member

    def remove(self, name: str) -> None:
        """Stop a member in good order and forget it."""
        self.members.pop(name).process.stop()

    def kill(self, name: str) -> None:
        """End a member without warning; `restart` brings it back."""
        self.members[name].process.kill()

    def restart(self, name: str) -> Member:
        """Stop the member if it runs and start it again with the same settings and ports; does not wait until it is ready."""
        member = self.members[name]
        member.process.stop()
        member.process.start()
        return member

    def pause(self, name: str) -> None:
        """Let a member stand still (SIGSTOP), as a long garbage collection or a sleeping machine would."""
        self.members[name].process.signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on where it stood (SIGCONT)."""
        self.members[name].process.signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop everything: the services first, last what they stand on."""
        for member in reversed(self.members.values()):
            member.process.stop()
        self.members.clear()
        self.postgres.stop(timeout=30.0)
        self.broker.stop()

    def ended(self) -> list[Child]:
        """The processes that ended without being told to."""
        everything = [self.postgres, self.broker.process, *(member.process for member in self.members.values())]
        return [process for process in everything if not process.is_alive()]

    def sluice(self, *arguments: str, role: Literal["catalog", "executor"] = "executor", stdin: str = "") -> str:
        """Run a command of the `sluice` command line against this cluster and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "sluice", *arguments],
            env=os.environ | self._common() | {"SLUICE_DATABASE": self.uris[role], "SLUICE_SECRET_KEY": str(self._kept("secret.key"))},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=TOPICS_TIMEOUT,
        )
        if done.returncode:
            raise ChildFailed(f"sluice {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _create_keys(self) -> None:
        self.sluice("keys", "create", str(self._keys))

    def _create_topics(self) -> None:
        self.sluice("topics", "create")

    def settings_of(self, service: ServiceName) -> dict[str, str]:
        """The settings of a program that speaks as this service does, beside it."""
        return self._settings(service, free_port(), free_port())

    def _settings(self, service: ServiceName, port: int, metrics_port: int) -> dict[str, str]:
        settings = self._common() | {"SLUICE_LISTEN": f"127.0.0.1:{port}", "SLUICE_METRICS_LISTEN": f"127.0.0.1:{metrics_port}"}
        settings["SLUICE_SIGNING_KEY"] = str(self._keys / service / "signing.pem")
        if service in self.uris:
            settings["SLUICE_DATABASE"] = self.uris[service]
        if service == "executor":
            settings |= {"SLUICE_SECRET_KEY": str(self._kept("secret.key")), "SLUICE_BOOTSTRAP_PASSWORD": self.password}
        return settings | self._environment

    def _common(self) -> dict[str, str]:
        # nobody stands in front of it who would have to notice that a member stops
        told = {"SLUICE_DRAIN_SECONDS": "0"}
        return (
            told
            | {"SLUICE_KAFKA": self.broker.bootstrap, "SLUICE_TRUSTED_KEYS": str(self._keys / "trusted" / "keys.json")}
            | self._environment
        )

    @property
    def _keys(self) -> Path:
        return self.folder / "keys"

    def _close_folder(self) -> None:
        """Keys and passwords are in it: nobody else's, and closed to all others, even if it was there before."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            close_folder(self.folder, "the cluster's folder")
            for name in ("secret.key", "akadmin.password"):
                close_file(self.folder / name, "the cluster's folder")
        except Misconfigured as refused:
            raise ChildFailed(str(refused)) from None

    def _kept(self, name: str) -> Path:
        """A file with a secret of this cluster, made up when it is first asked for."""
        path = self.folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(48 if name == "secret.key" else 12))
        return path

    def _port(self, usual: int | None) -> int:
        return usual if usual and self._usual_ports and is_free(usual) else free_port()


def main() -> None:
    """Run a cluster in `data/cluster` until Ctrl-C or until one of its processes ends by itself."""
    argparse.ArgumentParser(prog="python -m deploy.cluster", description=WHAT).parse_args()
    lacking = missing()
    if lacking:
        sys.exit(f"make cluster needs Kafka: {lacking}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cluster = Cluster(Path("data/cluster"), usual_ports=True)
    try:
        print("starting Kafka, PostgreSQL and four services ...", flush=True)
        cluster.start()
        _describe(cluster)
        while not cluster.ended():
            time.sleep(WATCH)
        for process in cluster.ended():
            print(f"{process.name} ended:\n{process.tail()}", file=sys.stderr)
        sys.exit(1)
    except ChildFailed as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        cluster.stop()


def _describe(cluster: Cluster) -> None:
    print(f"Log in at {cluster.url}/if/flow/default-authentication-flow/")
    print(f"as akadmin, first password {cluster.password}")
    print(f"Kafka {cluster.broker.bootstrap}; logs in {cluster.folder}/*.log")
    for name, member in cluster.members.items():
        print(f"  {name:10} {member.url}  pid {member.process.pid}")
    print("Ctrl-C stops everything; the data stay.", flush=True)


if __name__ == "__main__":
    main()
