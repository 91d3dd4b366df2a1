"""Asks the service in the same container whether it is ready; for Docker's HEALTHCHECK, in an image without curl."""

import os
import sys
import urllib.error
import urllib.request

PORT = os.environ.get("SLUICE_LISTEN", "127.0.0.1:9000").rpartition(":")[2]
TIMEOUT = 2.0  # s


def main() -> None:
    """Exit with 0 if it is ready, with the reason if not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/-/health/ready/", timeout=TIMEOUT):
            sys.exit(0)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as failure:
        sys.exit(f"not ready: {failure}")


if __name__ == "__main__":
    main()
