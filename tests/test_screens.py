"""What people see: the report and executed notebooks in a real browser with the network closed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from browser import IN_BROWSER, lab, page_in_chromium
from frames import SETTINGS, all_frames
from shown import NOTEBOOKS, execute

from sop_workbench import charts, report

SHOWN_IN_LAB = ("02_demand_review", "03_supply_review", "06_executive_sop")

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def binder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Executed notebooks of every step and their report."""
    folder = tmp_path_factory.mktemp("binder")
    frames = all_frames()
    executed = [execute(path.stem, folder, frames) for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))]
    (folder / "report.html").write_text(report.page_of(executed, "Plan", "Cycle 2026-10 · draft", SETTINGS), encoding="utf-8")
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_opens_offline_in_light_and_dark(binder: Path, scheme: str) -> None:
    with page_in_chromium(scheme) as (page, faults, outside):
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
    with page_in_chromium() as (page, _, outside):
        page.goto(alone.as_uri())
        printed = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
        assert outside == []


def test_notebooks_draw_in_jupyterlab_offline(binder: Path, tmp_path: Path) -> None:
    with lab(binder, tmp_path) as address, page_in_chromium() as (page, faults, outside):
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
