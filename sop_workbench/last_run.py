"""The last-run file: what a monitor reads about the newest `sop run` of a workspace.

`last_run.json` is written when a run has the cycle to itself, at every step, every few seconds as a heartbeat, and at the end,
however it ends; always whole. A process that was killed leaves `running` with its number and the time of its last heartbeat,
so that a monitor (and `sop status`) sees a run that is dead.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from sop_workbench import __version__
from sop_workbench.errors import ChainRunningError, CycleLockedError, RoleError, exit_code
from sop_workbench.settings import SETTINGS_FILE

LAST_RUN = "last_run.json"
HEARTBEAT_SECONDS = 15.0
DEAD_AFTER_SECONDS = 120.0


class Record:
    """One run as the last-run file tells it: cycle, step, state, times, exit code, message, process.

    Parameters
    ----------
    folder : Path
        The workspace.
    cycle : str
        The cycle that is run.
    """

    def __init__(self, folder: Path, cycle: str = "") -> None:
        self.path = Path(folder) / LAST_RUN
        self._content: dict[str, Any] = {
            "cycle": cycle, "state": "running", "step": None, "started": _now(), "ended": None, "heartbeat": _now(), "exit_code": None,
            "message": "", "mail": "", "version": __version__, "host": socket.gethostname(), "pid": os.getpid(),
            "process_started": psutil.Process().create_time()}
        self._guard, self._over = threading.RLock(), threading.Event()
        self._beat: threading.Thread | None = None

    def name_cycle(self, cycle: str) -> None:
        """Say which cycle is run, once it is known."""
        self._content["cycle"] = cycle

    def note_step(self, step: str) -> None:
        """Say that a step begins; the first one says that the run has the cycle to itself."""
        self._write(step=step)
        if self._beat is None:
            self._beat = threading.Thread(target=self._keep_beating, name="last-run heartbeat", daemon=True)
            self._beat.start()

    def end(self, state: str, code: int, message: str = "") -> None:
        """Say how the run ended: `done`, `failed` or `stopped`, the exit code and the message."""
        self.leave()
        self._write(state=state, ended=_now(), exit_code=code, message=message)

    def leave(self) -> None:
        """Stop the heartbeat and leave the file as it is."""
        self._over.set()
        if self._beat is not None:
            self._beat.join()

    def _keep_beating(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):  # a full disk ends the run itself, in its own words
                if self._is_own() or not is_alive(read(self.path.parent)):
                    self._write()

    def _is_own(self) -> bool:
        """Whether the file still tells of this run, not of one that was started beside it for another cycle."""
        found = read(self.path.parent)
        return (found.get("pid"), found.get("host")) == (self._content["pid"], self._content["host"])

    def _write(self, **changes: Any) -> None:
        with self._guard:
            self._content |= {**changes, "heartbeat": _now()}
            _write_whole(self.path, self._content)


@contextmanager
def recorded(folder: Path, cycle: str = "") -> Iterator[Record]:
    """Record a run, however it ends; a run that had nothing to do (cycle locked or being run already) leaves the file alone.

    So does one by a person who may only read: it writes nothing at all.
    """
    record = Record(folder, cycle)
    is_workspace = (Path(folder) / SETTINGS_FILE).is_file()
    try:
        yield record
    except (CycleLockedError, ChainRunningError, RoleError):
        record.leave()
        raise
    except BaseException as fault:
        record.leave()
        state = "failed" if isinstance(fault, Exception) else "stopped"
        if is_workspace:
            record.end(state, exit_code(fault), str(fault) or type(fault).__name__)
        raise
    record.end("done", 0)


def read(folder: Path) -> dict[str, Any]:
    """The last-run file of a workspace; empty where there is none (or none that can be read)."""
    try:
        return json.loads((Path(folder) / LAST_RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def note_mail(folder: Path, outcome: str) -> None:
    """Add to the file of a run that ended whom the mail about it went to, or why none did."""
    record = read(folder)
    if record:
        _write_whole(Path(folder) / LAST_RUN, record | {"mail": outcome})


def is_alive(record: dict[str, Any], now: datetime | None = None) -> bool:
    """Tell whether a run that says `running` really is: its process lives (same machine) or its heart beats (another one)."""
    if record.get("state") != "running":
        return False
    if record.get("host") == socket.gethostname():
        return _is_process(record)
    return ((now or datetime.now(UTC)) - datetime.fromisoformat(record["heartbeat"])).total_seconds() < DEAD_AFTER_SECONDS


def _is_process(record: dict[str, Any]) -> bool:
    try:
        return psutil.Process(int(record["pid"])).create_time() == record["process_started"]
    except (psutil.NoSuchProcess, KeyError):
        return False


def sentence(record: dict[str, Any], now: datetime | None = None) -> str:
    r"""The last run in one line: done, failed, stopped, running, or dead (it says running, and its process is gone).

    Examples
    --------
    >>> sentence({"cycle": "2026-10", "state": "failed", "step": "03_supply_review", "ended": "2026-10-09T06:12:00+00:00",
    ...           "exit_code": 1, "message": "price is missing\nadd it"})
    'last run: cycle 2026-10 failed in 03_supply_review at 2026-10-09T06:12:00+00:00 (exit code 1): price is missing'
    """
    if not record:
        return ""
    where = f" in {record['step']}" if record.get("step") else ""
    if record["state"] == "running":
        word = "is running" if is_alive(record, now) else "died"
        return f"last run: cycle {record['cycle']} {word}{where} (process {record['pid']}, last heard of at {record['heartbeat']})"
    if record["state"] == "done":
        return f"last run: cycle {record['cycle']} done at {record['ended']}"
    cause = next(iter(record["message"].splitlines()), "")
    return f"last run: cycle {record['cycle']} {record['state']}{where} at {record['ended']} (exit code {record['exit_code']}): {cause}"


def needs_attention(record: dict[str, Any], now: datetime | None = None) -> bool:
    """Tell whether somebody has to look: the last run failed, was stopped or died."""
    return bool(record) and record["state"] != "done" and not is_alive(record, now)


def _write_whole(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
