"""A real Kafka broker as a process: Apache Kafka in KRaft mode, one node, on loopback.

Its jars come from an unpacked release named by KAFKA_HOME, or are resolved with Maven from `pom.xml` into `.cache/kafka/`.
`python -m deploy.kafka.broker FOLDER` runs one until Ctrl-C.
"""

import hashlib
import os
import re
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.child import Child, ChildFailed, free_port

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[1] / ".cache" / "kafka"
JAVA_NEEDED: Final = 17
# A JVM that compiles less takes half the CPU to start (7 s against 13 s on a busy machine), and serves slower afterwards.
SHORT_LIVED: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
LONG_LIVED: Final = ("-XX:+UseG1GC",)
STARTED: Final = "Kafka Server started"
START_TIMEOUT: Final = 120.0  # s; a test machine may be busy with other things
RESOLVE_TIMEOUT: Final = 300.0  # s, for 43 MB


def missing() -> str | None:
    """What this machine lacks to run a broker, or None; downloads nothing."""
    java = shutil.which("java")
    if java is None:
        return "Java is not installed: a Kafka broker needs Java 17 or newer"
    version = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', version)
    if found is None or int(found[1]) < JAVA_NEEDED:
        return f"a Kafka broker needs Java {JAVA_NEEDED} or newer; `java -version` says: {version.strip()}"
    if not os.environ.get("KAFKA_HOME") and not _cached().is_dir() and shutil.which("mvn") is None:
        return "neither KAFKA_HOME names an unpacked Kafka release nor is Maven installed to resolve its jars"
    return None


def jars() -> Path:
    """The folder with the broker's jars; resolves them on first use. `ChildFailed` if that is not possible."""
    home = os.environ.get("KAFKA_HOME")
    if home:
        libraries = Path(home) / "libs"
        if not any(libraries.glob("kafka_2.13-*.jar")):
            raise ChildFailed(f"KAFKA_HOME={home} is not an unpacked Kafka release: {libraries} has no kafka_2.13-*.jar")
        return libraries
    if not _cached().is_dir():
        _resolve(_cached())
    return _cached()


def _cached() -> Path:
    return CACHE / hashlib.sha256((HERE / "pom.xml").read_bytes()).hexdigest()[:12]


def _resolve(target: Path) -> None:
    """Fetch the jars beside their place and move them there when complete: other processes may want them too."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}/jars"]
        done = subprocess.run(
            ["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), *goal], capture_output=True, text=True, check=False, timeout=RESOLVE_TIMEOUT
        )
        if done.returncode:
            raise ChildFailed(f"Maven could not resolve Kafka's jars:\n{done.stdout}{done.stderr}")
        if not target.is_dir():
            Path(fresh, "jars").rename(target)


class Broker:
    """One broker on one folder; after `kill` or `stop` it starts again on the same port with the same records.

    `quick_start` is for tests: half the CPU to start, less throughput; never measure with it. `properties` go before those of
    `server.properties` and may use the same `${...}`; `format_options` are told to `kafka-storage format`.
    """

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        heap_mb: int = 512,
        quick_start: bool = False,
        properties: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
    ) -> None:
        self.port = port or free_port()
        self._controller_port = free_port()
        self._folder = folder.absolute()
        self._options = [f"-Xmx{heap_mb}m", "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}"]
        self._tuning = SHORT_LIVED if quick_start else LONG_LIVED
        self._properties = dict(properties or {})
        self._format_options = list(format_options)
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """What clients call `bootstrap_servers`."""
        return f"127.0.0.1:{self.port}"

    @property
    def process(self) -> Child:
        """The process, to look at, to stop and to continue."""
        if self._child is None:
            raise ChildFailed("the broker was not started")
        return self._child

    def start(self) -> None:
        """Format the folder if it is new, start, and return when clients are served."""
        self._folder.mkdir(parents=True, exist_ok=True)
        libraries = jars()
        arguments = [*self._options, "-cp", f"{libraries}/*"]
        properties = self._write_properties()
        if not (self._folder / "data" / "meta.properties").exists():
            self._format(["java", *SHORT_LIVED, *arguments, _storage_tool(libraries)], properties)
        self._child = Child("broker", ["java", *self._tuning, *arguments, "kafka.Kafka", str(properties)], self._folder / "log")
        self._child.start()
        try:
            self._child.wait_until(self._serves, START_TIMEOUT)
        except BaseException:
            self._child.kill()
            raise

    def stop(self) -> None:
        """Let it write everything and end; killed after 20 s."""
        if self._child is not None:
            self._child.stop(timeout=20.0)

    def kill(self) -> None:
        """End it without warning."""
        if self._child is not None:
            self._child.kill()

    def _write_properties(self) -> Path:
        # of two lines with one name, the last one counts
        own = "".join(f"{name}={value}\n" for name, value in self._properties.items())
        template = string.Template((HERE / "server.properties").read_text() + own)
        path = self._folder / "server.properties"
        path.write_text(template.substitute(port=self.port, controller_port=self._controller_port, data=self._folder / "data"))
        return path

    def _format(self, tool: list[str], properties: Path) -> None:
        identity = "sluice-local-cluster00"  # any 22 characters of URL-safe base64: a UUID
        done = subprocess.run(
            [*tool, "format", "-t", identity, "-c", str(properties), *self._format_options],
            capture_output=True,
            text=True,
            check=False,
            timeout=START_TIMEOUT,
        )
        if done.returncode:
            raise ChildFailed(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")

    def _serves(self) -> bool:
        if STARTED not in self.process.log.read_text(errors="replace"):
            return False
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _storage_tool(libraries: Path) -> str:
    """The class behind `kafka-storage.sh`, as the release itself names it where it has the script."""
    script = libraries.parent / "bin" / "kafka-storage.sh"
    found = re.search(r"kafka-run-class\.sh\"?\s+(\S+)", script.read_text()) if script.is_file() else None
    return found[1] if found else "kafka.tools.StorageTool"


def main() -> None:
    """Run a broker on the folder that is named, on port 9092, until Ctrl-C or SIGTERM."""
    lacking = missing()
    if lacking or len(sys.argv) != 2:
        sys.exit(lacking or "usage: python -m deploy.kafka.broker FOLDER")
    broker = Broker(Path(sys.argv[1]), port=9092)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        broker.start()
        print(f"Kafka serves on {broker.bootstrap}; Ctrl-C stops it")
        signal.pause()
    except KeyboardInterrupt:
        print("stopping")
    finally:
        broker.stop()


if __name__ == "__main__":
    main()
