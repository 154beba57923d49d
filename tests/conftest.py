"""Fixtures shared by tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine, however slow or busy it is.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

# ------------------------------------------------------------------ a real PostgreSQL server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Address of a PostgreSQL server started for these tests from the system's package; skips where there is none."""
    binaries = _postgres_binaries()
    as_user = _not_root()
    folder = Path(tempfile.mkdtemp(prefix="sop-pg-"))
    log = folder / "log"
    try:
        if as_user:
            shutil.chown(folder, "postgres", "postgres")
        _run([*as_user, str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "sop", "-A", "trust", "-E", "UTF8", "--no-sync"])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        control = [*as_user, str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-l", str(log)]
        _run([*control, "-o", options, "-w", "-t", "30", "start"])
        try:
            yield f"postgresql+psycopg://sop:unused@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, timeout=60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_binaries() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (str(versions[-1]) if versions else None)
    if found is None:
        pytest.skip("no PostgreSQL server here: install Debian's package `postgresql` to run this test")
    return Path(found).resolve().parent


def _not_root() -> list[str]:
    """The server refuses to run as root: how to run it as the package's own user."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return []
    if shutil.which("runuser") is None:
        pytest.skip("PostgreSQL does not run as root and `runuser` is missing: run this test as another user")
    return ["runuser", "-u", "postgres", "--"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd="/", stdin=subprocess.DEVNULL)
    if done.returncode:
        pytest.skip(f"PostgreSQL could not be started: {(done.stderr or done.stdout).strip()[-300:]}")
