"""The last-run file: written whole at every turn of a run, and telling a dead run from a living one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from sop_workbench import __version__, last_run
from sop_workbench.errors import ChainRunningError, CycleLockedError, StepFailedError


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "sop.yaml").write_text("company: Any\n", encoding="utf-8")
    return tmp_path


def test_a_run_to_the_end_is_told_from_step_to_step(workspace: Path) -> None:
    seen = []
    with last_run.recorded(workspace, "2026-10") as record:
        assert last_run.read(workspace) == {}, "nothing is written before the run has the cycle to itself"
        for step in ("00_data_gathering", "01_product_review"):
            record.note_step(step)
            seen.append(last_run.read(workspace))
    assert [(found["state"], found["step"], found["exit_code"], found["ended"]) for found in seen] == [
        ("running", "00_data_gathering", None, None), ("running", "01_product_review", None, None)]
    assert all(last_run.is_alive(found) for found in seen)
    ended = last_run.read(workspace)
    assert (ended["cycle"], ended["state"], ended["exit_code"], ended["version"]) == ("2026-10", "done", 0, __version__)
    assert ended["started"] <= ended["ended"]
    assert not last_run.needs_attention(ended)
    assert [path.name for path in workspace.iterdir() if path.name != "sop.yaml"] == ["last_run.json"]


@pytest.mark.parametrize(("fault", "state", "code"), [
    (StepFailedError("01 failed in cell 3\nprice is missing"), "failed", 1), (KeyError("x"), "failed", 2),
    (KeyboardInterrupt(), "stopped", 1)])
def test_a_run_that_fails_is_told_with_step_code_and_message(workspace: Path, fault: BaseException, state: str, code: int) -> None:
    with pytest.raises(type(fault)):
        _fail_in(workspace, fault)
    told = last_run.read(workspace)
    assert (told["state"], told["step"], told["exit_code"]) == (state, "01_product_review", code)
    assert told["message"] == (str(fault) or "KeyboardInterrupt")
    assert last_run.needs_attention(told)
    assert not [thread for thread in threading.enumerate() if thread.name == "last-run heartbeat"]


def _fail_in(workspace: Path, fault: BaseException) -> None:
    with last_run.recorded(workspace, "2026-10") as record:
        record.note_step("01_product_review")
        raise fault


@pytest.mark.parametrize("fault", [ChainRunningError("in use"), CycleLockedError("locked")])
def test_a_run_with_nothing_to_do_leaves_the_record_of_the_one_before(workspace: Path, fault: Exception) -> None:
    with last_run.recorded(workspace, "2026-10") as record:
        record.note_step("00_data_gathering")
    before = (workspace / "last_run.json").read_bytes()
    with pytest.raises(type(fault)), last_run.recorded(workspace, "2026-10"):
        raise fault
    assert (workspace / "last_run.json").read_bytes() == before


def test_no_file_is_put_where_there_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), last_run.recorded(tmp_path):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
import sys, time
from pathlib import Path
from sop_workbench import last_run
last_run.HEARTBEAT_SECONDS = 0.05
with last_run.recorded(Path(sys.argv[1]), "2026-10") as record:
    record.note_step("03_supply_review")
    time.sleep(60)
"""


def test_a_killed_run_is_seen_to_be_dead(workspace: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(workspace)])
    end = time.monotonic() + 60
    while not last_run.read(workspace):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert last_run.is_alive(last_run.read(workspace))
    first = (workspace / "last_run.json").stat().st_mtime_ns
    while (workspace / "last_run.json").stat().st_mtime_ns == first:
        assert time.monotonic() < end, "the heart must beat"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = last_run.read(workspace)
    assert (left["state"], left["pid"], left["step"]) == ("running", process.pid, "03_supply_review")
    assert not last_run.is_alive(left)
    assert last_run.needs_attention(left)
    assert "died in 03_supply_review" in last_run.sentence(left)


def test_a_process_that_took_over_the_number_is_not_the_run() -> None:
    own = {"state": "running", "host": socket.gethostname(), "pid": os.getpid(), "process_started": psutil.Process().create_time()}
    assert last_run.is_alive(own)
    assert not last_run.is_alive(own | {"process_started": 1.0})


def test_a_run_on_another_machine_is_judged_by_its_heart() -> None:
    now = datetime(2026, 10, 6, 6, 0, tzinfo=UTC)
    record = {"state": "running", "host": "elsewhere", "pid": 1, "heartbeat": (now - timedelta(seconds=30)).isoformat()}
    assert last_run.is_alive(record, now)
    assert not last_run.is_alive(record, now + timedelta(seconds=last_run.DEAD_AFTER_SECONDS))


def test_two_cycles_side_by_side_do_not_take_the_file_from_each_other_while_they_live(workspace: Path, monkeypatch) -> None:
    monkeypatch.setattr(last_run, "HEARTBEAT_SECONDS", 0.02)
    with last_run.recorded(workspace, "2026-09") as record:
        record.note_step("00_data_gathering")
        other = last_run.read(workspace) | {"cycle": "2026-10", "pid": os.getppid(),
                                            "process_started": psutil.Process(os.getppid()).create_time()}
        (workspace / "last_run.json").write_text(json.dumps(other))
        time.sleep(0.2)
        assert last_run.read(workspace)["cycle"] == "2026-10"
        (workspace / "last_run.json").write_text(json.dumps(other | {"state": "done"}))
        time.sleep(0.3)
        assert last_run.read(workspace)["cycle"] == "2026-09", "the other one is over"


def test_a_file_that_cannot_be_read_is_as_none(workspace: Path) -> None:
    (workspace / "last_run.json").write_text("{")
    assert last_run.read(workspace) == {}
    assert last_run.sentence({}) == ""
    assert not last_run.needs_attention({})
