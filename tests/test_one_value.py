"""One KPI, one value: read from the executed notebook, the page, the workbook and the slides, and compared.

Each reader takes what a person would see there and gives it by name, written as the notebook writes it; another screen is one more reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import openpyxl
import pandas as pd
import pytest
import yaml
from frames import PERIODS, SETTINGS, all_frames
from nbclient import NotebookClient
from pptx import Presentation
from shown import execute

from sop_workbench import kpi, report, tables, views
from sop_workbench.report import pages
from sop_workbench.store import Cycle, open_workspace

CYCLE_ID = "2026-10"
DASHBOARD = Path(__file__).parents[1] / "dashboards" / "executive_review.ipynb"
BOARD = [views.heading(name) for name in views.BOARD_KPIS]
MONEY = [f"plan: {name}" for name in ("Budget", "Demand", "Revenue", "Gap", "Gross margin", "Margin", "Inventory")]


def held_tables() -> dict[str, pd.DataFrame]:
    """The tables of `frames`, with the one KPI of the board that they lack."""
    held = all_frames()
    gap = held["budget_gap"].dropna(subset=["budget_revenue_amt"])
    value = -gap["gap_amt"].sum() / gap["budget_revenue_amt"].sum()
    row = held["kpi"].iloc[[0]].assign(kpi="budget_gap", level="total", member="all", period=PERIODS[0], value=value, unit="ratio",
                                       target=0.05, status="red", formula=kpi.DEFINITIONS["budget_gap"].formula)
    return held | {"kpi": pd.concat([held["kpi"], row], ignore_index=True)}


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Cycle:
    """A cycle in a store, with its executed executive review and every part of its pack in the binder."""
    folder, held = tmp_path_factory.mktemp("company"), held_tables()
    said = {"company": SETTINGS.company, "currency": SETTINGS.currency, "brand_colour": SETTINGS.brand_colour, "newest_cycle": CYCLE_ID}
    (folder / "sop.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
    planned = open_workspace(folder).cycle(CYCLE_ID)
    for name in {*pages.TABLES} & {*held} & {*tables.names("input"), *tables.names("result")}:
        planned.write(name, held[name])
    Path(planned.folder).mkdir(parents=True, exist_ok=True)
    execute("06_executive_sop", Path(planned.folder), held)
    for write in (report.write_html, report.write_workbook, report.write_slides):
        write(planned)
    return planned


@pytest.fixture(scope="module")
def binder(cycle: Cycle) -> Path:
    return Path(cycle.folder)


# ------------------------------------------------------------------ readers
class _Cells(HTMLParser):
    """The text of every table cell, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[list[str]]] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self._cell = []
            self.rows[-1].append(self._cell)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None and data.strip():
            self._cell.append(data.strip())


def _from_html(page: str) -> dict[str, str]:
    """KPI cards, and the total of the plan by family."""
    cells = _Cells()
    cells.feed(page)
    cards = {cell[0]: cell[1] for row in cells.rows for cell in row if len(cell) > 2 and cell[0] in BOARD}
    head = next(row for row in cells.rows if [cell[0] for cell in row if cell][:2] == ["Family", "Budget"])
    total = next(row for row in cells.rows if row and row[0] == ["Total"])
    return cards | {f"plan: {name[0]}": figure[0] for name, figure in zip(head[1:], total[1:], strict=True)}


def from_notebook(binder: Path) -> dict[str, str]:
    notebook = nbformat.read(binder / "06_executive_sop.ipynb", as_version=4)
    shown = [output.data.get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", ())]
    return _from_html("".join(shown))


def from_page(binder: Path) -> dict[str, str]:
    return _from_html((binder / "report.html").read_text(encoding="utf-8"))


def from_workbook(binder: Path) -> dict[str, str]:
    book = openpyxl.load_workbook(binder / "plan.xlsx", data_only=True)
    rows = [[cell.value for cell in row] for row in book["KPIs"].iter_rows(min_row=4)]
    newest = {row[9]: row for row in rows if row[9] in views.BOARD_KPIS}  # rows are in the order of periods: the last one is the newest
    found = {row[0]: views.in_unit(row[2], kpi.DEFINITIONS[name].unit) for name, row in newest.items()}
    summary = [[cell.value for cell in row] for row in book["Summary"].iter_rows()]
    head = next(number for number, row in enumerate(summary) if row[:2] == ["Family", "Budget"])
    total = next(row for row in summary[head:] if row[0] == "Total")
    for name, value in zip(summary[head][1:], total[1:], strict=True):
        if name is not None:
            found[f"plan: {name}"] = views.number(value * 100, 1) if name == "Margin" else views.number(value)
    return found


def from_slides(binder: Path) -> dict[str, str]:
    slides = Presentation(str(binder / "slides.pptx")).slides
    texts = [shape.text_frame.text for shape in slides[1].shapes if shape.has_text_frame]
    found = {name: texts[texts.index(name) + 1 :][0] for name in BOARD if name in texts}
    found = {name: next(text for text in texts[texts.index(name) + 1 :] if text) for name in found}
    table = next(shape.table for shape in slides[2].shapes if shape.has_table)
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    names = {"Plan": "Revenue"}
    heads = [head.partition("\n")[0] for head in rows[0]]
    total = next(row for row in rows if row[0] == "Total")
    return found | {f"plan: {names.get(name, name)}": figure for name, figure in zip(heads[1:], total[1:], strict=True)}


def from_dashboard(cycle: Cycle) -> dict[str, str]:
    """The executive page, its notebook executed as its server executes it; what the browser is sent is in the state of its widget."""
    notebook = nbformat.read(DASHBOARD, as_version=4)
    given = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    given.source = f"workspace = {str(cycle.workspace.folder)!r}\ncycle_id = {cycle.id!r}"
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    models = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    sent = next(model["state"] for model in models if "block_cards" in model["state"])
    cells = _Cells()
    cells.feed(sent["block_numbers"]["html"])
    head, total = ([cell[0] for cell in row if cell] for row in (cells.rows[0], cells.rows[-1]))
    names = {"Sales": "Revenue"}
    cards = re.findall(r"<h3>(.+?)</h3>.*?<strong>(.+?)</strong>", sent["block_cards"]["html"], re.S)
    cards = [(name, " ".join(re.sub(r"<[^>]+>", " ", value).split())) for name, value in cards]
    return dict(cards) | {f"plan: {names.get(name, name)}": figure for name, figure in zip(head[1:], total[1:], strict=False)}


READERS: dict[str, Callable[[Path], dict[str, str]]] = {
    "notebook": from_notebook, "report.html": from_page, "plan.xlsx": from_workbook, "slides.pptx": from_slides}


@pytest.fixture(scope="module")
def shown(binder: Path) -> dict[str, dict[str, str]]:
    return {name: read(binder) for name, read in READERS.items()}


# ------------------------------------------------------------------ the same everywhere
def test_every_screen_shows_the_board_kpis_and_the_plan_in_money(shown: dict) -> None:
    for name, found in shown.items():
        missing = {*BOARD, *MONEY} - set(found)
        assert not missing, f"{name} does not show {missing}"
        assert all(re.search(r"\d", found[key]) for key in ("plan: Revenue", "plan: Inventory", "WAPE")), name


@pytest.mark.parametrize("figure", [*BOARD, *MONEY])
def test_one_kpi_one_value(shown: dict, figure: str) -> None:
    assert len({found[figure] for found in shown.values()}) == 1, {name: found[figure] for name, found in shown.items()}


@pytest.mark.slow
def test_the_dashboard_shows_the_same_values(cycle: Cycle, shown: dict) -> None:
    found = from_dashboard(cycle)
    assert {name: found.get(name) for name in (*BOARD, *MONEY)} == {name: shown["notebook"][name] for name in (*BOARD, *MONEY)}


def test_the_value_is_that_of_the_store(shown: dict) -> None:
    held = held_tables()
    total = views.family_numbers(held["financial_projection"], held["budget_gap"]).iloc[-1]
    assert shown["slides.pptx"]["plan: Revenue"] == f"{total['revenue_amt']:,.0f}"
    card = views.kpi_cards(held["kpi"], PERIODS[0]).set_index("kpi").loc["wape"]
    assert shown["plan.xlsx"]["WAPE"] == views.percent(card["value"])


def test_a_reader_sees_what_is_changed(binder: Path, tmp_path: Path) -> None:
    """The comparison is worth something only if a wrong figure is found."""
    page = (binder / "report.html").read_text(encoding="utf-8")
    value = from_page(binder)["WAPE"]
    (tmp_path / "report.html").write_text(page.replace(value, "99.9 %"), encoding="utf-8")
    assert from_page(tmp_path)["WAPE"] == "99.9 %" != value
