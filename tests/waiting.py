"""Wait for a server that a test started."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

_PAUSE_SECONDS = 0.1
_TOLD = 3000


def wait_until_it_answers(
    address: str, process: subprocess.Popen, log: Path, seconds: float, headers: Mapping[str, str] | None = None
) -> None:
    """Wait until an address answers without a fault; a server that ends, or stays silent, fails the test with the end of its log."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"it ended with {process.returncode}: {log.read_text()[-_TOLD:]}"
        try:
            urllib.request.urlopen(urllib.request.Request(address, headers=dict(headers or {})), timeout=2).close()
            return
        except OSError:  # urllib's own faults are such
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError(f"no answer from {address} in {seconds:.0f} s: {log.read_text()[-_TOLD:]}")
