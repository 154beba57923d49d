"""JupyterLab and a page of Chromium with the network closed, for tests of what people see and touch."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until_it_answers

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]
_LOCAL = ("http://127.0.0.1", "http://localhost", "ws://127.0.0.1", "data:", "blob:", "file:")

IN_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(CHROMIUM).exists(), reason="Chromium is missing: install Debian's package `chromium` to look at the screens"
    ),
]


@contextmanager
def page_in_chromium(scheme: str = "light") -> Iterator[tuple]:
    """A page, what its console said and which addresses outside it asked for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
        faults: list[str] = []
        outside: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.on("request", lambda asked: None if asked.url.startswith(_LOCAL) else outside.append(asked.url))
        try:
            yield page, faults, outside
        finally:
            browser.close()


@contextmanager
def lab(folder: Path, home: Path) -> Iterator[str]:
    """A JupyterLab on `folder`, with a settings folder of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tracker = home / "user-settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}')
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ip=127.0.0.1",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.user_settings_dir={home / 'user-settings'}",
        f"--LabApp.workspaces_dir={home / 'workspaces'}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        "--LabApp.expose_app_in_browser=True",
    ]
    environment = {**os.environ, "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home / "share")}
    with (home / "lab.log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], stdout=log, stderr=log, env=environment, cwd=home)
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/api", server, home / "lab.log", 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:  # a busy machine; it has nothing to save
            server.kill()
            server.wait()


_PANEL = "window.jupyterapp.shell.currentWidget"
_IDLE = f"() => {_PANEL}.sessionContext.session?.kernel?.status === 'idle'"


def run_all_cells(page: Any, seconds: int = 120) -> None:
    """Run the notebook that is open in JupyterLab, from the top, and wait for it."""
    page.wait_for_function(f"window.jupyterapp && {_PANEL}?.sessionContext", timeout=90_000)
    page.evaluate(f"async () => {{ await {_PANEL}.context.ready; await {_PANEL}.sessionContext.ready; }}")
    page.wait_for_function(_IDLE, timeout=90_000)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_timeout(500)
    page.wait_for_function(_IDLE, timeout=1000 * seconds)
