"""A server of dashboards in a process of its own, on the small company with named people, for tests."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from small_company import inputs
from waiting import wait_until_it_answers

from sop_workbench.store import open_workspace

FOLDER = Path(__file__).parent
PEOPLE = {"helga": "approver", "ann": "planner", "vic": "viewer"}
PASSWORD = "a long enough one"


def small_workspace(folder: Path, **settings: object) -> Path:
    """A workspace with one cycle, three people and the test dashboards as its own."""
    folder.mkdir(parents=True)
    named = {"users": PEOPLE, "groups": {"board": "approver"}}
    said = {"company": "Small <&> Co", "horizon": 4, "newest_cycle": "2027-01", **named, **settings}
    nobody_named = {name: value for name, value in said.items() if name not in ("users", "groups")}
    (folder / "sop.yaml").write_text(yaml.safe_dump(nobody_named), encoding="utf-8")
    open_workspace(folder).cycle("2027-01").write_all(inputs(), note="for tests")
    (folder / "sop.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
    shutil.copytree(FOLDER / "dashboards", folder / "dashboards")
    return folder


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Served:
    """A running server: where it is, its process, what it said and logged."""

    def __init__(self, workspace: Path, base_url: str, **options: str) -> None:
        self.workspace, self.port = workspace, free_port()
        self.base = f"http://127.0.0.1:{self.port}{base_url}"
        command = [sys.executable, str(FOLDER / "serve_dashboards.py"), str(workspace), str(self.port), f"base_url={base_url}"]
        self.out = workspace.parent / f"server-{self.port}.log"
        with self.out.open("w") as out:
            # as root may, with the token where no page may see it
            self.process = subprocess.Popen([*command, *(f"{k}={v}" for k, v in options.items())], stdout=out, stderr=out,
                                            env={**os.environ, "SOP_DASHBOARDS_TOKEN": "not for pages"}, start_new_session=True)

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until_it_answers(f"{self.base}health", self.process, self.out, 180)

    @property
    def log(self) -> str:
        """What was logged."""
        return (self.workspace / "dashboards.log").read_text(encoding="utf-8")

    def family(self) -> set[int]:
        """The server's process and all that descend from it."""
        parents = {int(pid): _parent(pid) for pid in os.listdir("/proc") if pid.isdigit()}
        found = {self.process.pid}
        while grown := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= grown
        return found

    def stop(self) -> None:
        """End it the way a service manager does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def _parent(pid: str) -> int:
    try:
        return int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
    except (OSError, TypeError):
        return 0


def running(pids: set[int]) -> set[int]:
    """Those of the processes that still run."""
    return {pid for pid in pids if Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()}


@contextmanager
def dashboards(workspace: Path, base_url: str = "/plan/", **options: str) -> Iterator[Served]:
    """A server that is up, and ended afterwards."""
    served = Served(workspace, base_url, **options)
    try:
        served.wait()
        yield served
    finally:
        served.stop()
