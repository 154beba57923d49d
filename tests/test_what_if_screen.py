"""The what-if notebook in a real browser with the network closed: JupyterLab, Voilà, and without anybody in front of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from browser import CHROMIUM, lab, page_in_chromium, run_all_cells
from shown import NOTEBOOKS
from small_company import demand, inputs, target

from sop_workbench.scenario import load_scenario
from sop_workbench.store import open_workspace

pytestmark = pytest.mark.slow
needs_browser = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is missing: install Debian's package `chromium`")
PATIENCE = 240_000  # milliseconds; the machine may be busy


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace of the small company whose supply review has its inputs, with the notebook in it."""
    folder = tmp_path / "w"
    folder.mkdir()
    settings = {"company": "Small", "horizon": 4, "newest_cycle": "2027-01", "finance": {"opening_cash_amt": 1000}}
    (folder / "sop.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    cycle = open_workspace(folder).cycle("2027-01")
    cycle.write_all({**inputs(), "consensus_demand": demand(), "inventory_target": target()}, note="a small plan")
    shutil.copy(NOTEBOOKS / "what_if.ipynb", folder)
    return folder


@needs_browser
def test_a_slider_moved_by_keyboard_changes_profit_in_jupyterlab(workspace: Path, tmp_path: Path) -> None:
    with lab(workspace, tmp_path) as address, page_in_chromium() as (page, faults, outside):
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/lab/tree/what_if.ipynb?reset")
        run_all_cells(page, PATIENCE // 1000)
        _pull_hours_by_keyboard(page)
        _keep(page)
        assert faults == []
        assert outside == []
    assert load_scenario(workspace / "scenarios" / "short_line.yaml").reason == "What if the line stands still one week in four?"


@needs_browser
def test_voila_shows_the_same_screen(workspace: Path, tmp_path: Path) -> None:
    with _voila(workspace, tmp_path) as address, page_in_chromium() as (page, faults, outside):
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        _pull_hours_by_keyboard(page)
        assert [fault for fault in faults if "favicon" not in fault and "Failed to load resource" not in fault] == []
        # Voilà's stock template asks for its own icons outside; the screen asks for nothing.
        assert [one for one in outside if "fontawesome" not in one] == []
        page.close(run_before_unload=True)


def test_without_a_person_the_notebook_leaves_a_picture(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_SESSION_NAME", "SERVER_SOFTWARE"):
        monkeypatch.delenv(name, raising=False)
    done = tmp_path / "done.ipynb"
    papermill.execute_notebook(
        str(workspace / "what_if.ipynb"),
        str(done),
        {"workspace": str(workspace), "cycle_id": "2027-01"},
        progress_bar=False,
        request_save_on_cell_execute=False,
    )
    page, frontier = (cell.outputs[0]["data"]["text/html"] for cell in nbformat.read(done, as_version=4).cells if cell.get("outputs"))
    assert page.count("<svg") == 2
    assert frontier.count("<svg") == 1
    assert "the plan" in frontier
    assert "Profit as in base" in page
    assert "one more unit is worth" in page


def _pull_hours_by_keyboard(page) -> None:
    slider = page.get_by_role("slider", name="Regular hours")
    slider.wait_for()
    figures = page.locator(".sop-table").first
    assert "Profit as in base" in figures.inner_text()
    slider.focus()
    for _ in range(25):
        page.keyboard.press("ArrowLeft")
    page.get_by_text(re.compile(r"Profit [-−][\d.,]+ ?k? ?\S* against base")).first.wait_for()
    assert page.locator(".sop-timing").first.inner_text().startswith("Answered in")
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Profit as in base").first.wait_for()
    for _ in range(25):
        slider.press("ArrowLeft")
    page.get_by_text(re.compile(r"Profit [-−].* against base")).first.wait_for()


def _keep(page) -> None:
    page.get_by_text("Keep as a scenario").click()
    page.get_by_label("Name", exact=True).fill("short_line")
    page.get_by_role("button", name="Keep as scenario").click()
    page.get_by_text("say why").wait_for()
    page.get_by_label("Reason").fill("What if the line stands still one week in four?")
    page.get_by_role("button", name="Keep as scenario").click()
    page.get_by_text("Kept as scenarios/short_line.yaml").wait_for()


@contextmanager
def _voila(folder: Path, home: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home / "share")}
    command = [
        sys.executable,
        "-m",
        "voila",
        "what_if.ipynb",
        f"--port={port}",
        "--no-browser",
        "--Voila.ip=127.0.0.1",
        "--VoilaExecutor.timeout=600",
    ]
    with (home / "voila.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        for _ in range(480):  # the port opens when Voilà is ready
            assert server.poll() is None, (home / "voila.log").read_text()[-2000:]
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.25)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_the_notebook_is_thin() -> None:
    cells = json.loads((NOTEBOOKS / "what_if.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert code[0] == 'workspace = "."\ncycle_id = ""'
    assert not re.search(r"\b(def|class|for|while|if|lambda)\b", "\n".join(code))
    assert all(cell.get("outputs") == [] for cell in cells if cell["cell_type"] == "code")
