"""What people see: the report and executed notebooks in a real browser with the network closed."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from frames import SETTINGS, all_frames
from shown import NOTEBOOKS, execute

from sop_workbench import charts, report

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SHOWN_IN_LAB = ("02_demand_review", "03_supply_review", "06_executive_sop")
_FLAGS = [
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

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(CHROMIUM).exists(), reason="Chromium is missing: install Debian's package `chromium` to look at the screens"
    ),
]


@pytest.fixture(scope="module")
def binder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Executed notebooks of every step and their report."""
    folder = tmp_path_factory.mktemp("binder")
    frames = all_frames()
    executed = [execute(path.stem, folder, frames) for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))]
    (folder / "report.html").write_text(report.page_of(executed, "Plan", "Cycle 2026-10 · draft", SETTINGS), encoding="utf-8")
    return folder


@contextmanager
def _page(scheme: str = "light") -> Iterator[tuple]:
    """A page, what its console said and which addresses outside it asked for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_opens_offline_in_light_and_dark(binder: Path, scheme: str) -> None:
    with _page(scheme) as (page, faults, outside):
        page.goto((binder / "report.html").as_uri())
        drawings = page.locator("figure svg").count()
        charted = sum(_charts_in(path) for path in binder.glob("*.ipynb"))
        assert drawings == charted > 20
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page must not scroll sideways"
        assert page.locator("section").first.get_attribute("id") == f"step-{report.EXECUTIVE}"
        assert page.get_by_text("import ").count() == 0, "code must be hidden"
        ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
        assert abs(_brightness(ink) - _brightness(paper)) > 150
        label = page.locator("figure svg text").first
        assert page.evaluate("node => getComputedStyle(node).fill", label.element_handle()) == ink, "drawings take the page's colour"
        for link in page.locator("nav a").all():
            assert page.locator(link.get_attribute("href")).count() == 1
        assert faults == []
        assert outside == []


def test_executive_page_prints_on_one_sheet(binder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "executive.html"
    executive = [binder / f"{report.EXECUTIVE}.ipynb"]
    alone.write_text(report.page_of(executive, "Plan", "Cycle 2026-10 · draft", SETTINGS), encoding="utf-8")
    with _page() as (page, _, outside):
        page.goto(alone.as_uri())
        printed = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
        assert outside == []


def test_notebooks_draw_in_jupyterlab_offline(binder: Path, tmp_path: Path) -> None:
    with _lab(binder, tmp_path) as address, _page() as (page, faults, outside):
        for name in SHOWN_IN_LAB:
            page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
            wanted = _charts_in(binder / f"{name}.ipynb")
            panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
            panel.locator(".jp-RenderedVegaCommon5 svg").nth(wanted - 1).wait_for(state="attached", timeout=90_000)
            assert panel.locator(".jp-RenderedVegaCommon5 svg").count() == wanted
            tables = panel.locator(".jp-OutputArea-output table")
            assert tables.count() > 0
            numbers = tables.first.locator("td").last
            assert page.evaluate("node => getComputedStyle(node).textAlign", numbers.element_handle()) in ("right", "left")
            page.screenshot(path=tmp_path / f"{name}.png")
        assert faults == []
        assert outside == []


def _charts_in(path: Path) -> int:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return sum(charts.VEGA_LITE_MIME in output.get("data", {}) for cell in cells for output in cell.get("outputs", ()))


def _brightness(colour: str) -> float:
    parts = colour[colour.index("(") + 1 : -1].split(",")[:3]
    return sum(float(part) for part in parts) / 3


@contextmanager
def _lab(folder: Path, home: Path) -> Iterator[str]:
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
    ]
    environment = {**os.environ, "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home / "share")}
    with (home / "lab.log").open("w") as log:
        lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], stdout=log, stderr=log, env=environment, cwd=home)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", lab, home / "lab.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        lab.terminate()
        lab.wait(timeout=30)


def _wait_for(address: str, lab: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        assert lab.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")
