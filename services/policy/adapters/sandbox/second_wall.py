"""The second wall as the service sees it: the program to start instead of the interpreter, and what it could not build here."""

import json
import logging
import subprocess
import sysconfig
from pathlib import Path
from typing import Final

from services.policy.adapters.sandbox.walls.confine import CALLS, FILES
from services.policy.adapters.sandbox.walls.launch import NAME
from shared.kernel.errors import SluiceError

PROBE_S: Final = 30.0
_log = logging.getLogger(__name__)


class NoSandbox(SluiceError):
    """The program that confines a worker is missing or cannot run here: nothing is evaluated without it."""

    code = "E_SANDBOX"


def checked() -> Path:
    """The launcher, which built its walls once for us. What this machine refused it is one log line, naming the walls.

    Raises:
        NoSandbox: it is not there, or it failed.
    """
    launcher = Path(sysconfig.get_path("scripts")) / NAME
    try:
        ran = subprocess.run([str(launcher), "probe"], env={}, capture_output=True, timeout=PROBE_S, check=True)
        missing: dict[str, str] = json.loads(ran.stdout)
    except subprocess.CalledProcessError as failure:
        raise NoSandbox(f"{launcher} failed: {failure.stderr.decode(errors='replace').strip()[-500:]}") from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as failure:
        raise NoSandbox(f"{launcher} does not run ({failure}); it is installed beside `sluice`: install again") from None
    if missing:
        _say(missing)
    return launcher


def _say(missing: dict[str, str]) -> None:
    # Without either of these two something is open that the others do not close.
    level = logging.WARNING if missing.keys() & {FILES, CALLS} else logging.INFO
    _log.log(level, "this machine refuses the sandbox some of its walls", extra={"missing": missing})
