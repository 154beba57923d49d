"""The pack: one page that opens offline and a workbook whose totals are formulas."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import openpyxl
import pandas as pd
import pytest
from frames import PERIODS, SETTINGS, all_frames
from shown import execute

from sop_workbench import report, tables
from sop_workbench.errors import SourceError


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return all_frames()


def _cycle(folder: Path, held: dict[str, pd.DataFrame]) -> SimpleNamespace:
    return SimpleNamespace(
        id="2026-10",
        folder=folder,
        settings=SETTINGS,
        calendar=SETTINGS.calendar,
        as_of=pd.Timestamp("2026-09-30"),
        period=PERIODS[0],
        is_locked=False,
        read=lambda name: held[name],
        has=lambda name: name in held,
    )


# ------------------------------------------------------------------ report.html
def test_page_is_whole_self_contained_and_executive_first(tmp_path: Path, frames) -> None:
    for name in ("01_product_review", "06_executive_sop"):
        execute(name, tmp_path, frames)
    page = report.write_html(_cycle(tmp_path, frames)).read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.index('id="step-06_executive_sop"') < page.index('id="step-01_product_review"')
    assert 'href="#step-01_product_review"' in page
    assert page.count("<h1") == 1
    assert "Nordlicht Räder" in page
    assert "draft" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.replace("http://www.w3.org", ""))
    assert "<script" not in page
    assert "open_workspace" not in page, "code is hidden"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_product_review.ipynb", "06_executive_sop.ipynb", "report.html"]


def test_inner_names_of_drawings_are_unique(tmp_path: Path, frames) -> None:
    page = report.page_of([execute("03_supply_review", tmp_path, frames)], "Plan", "draft", SETTINGS)
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names)) > 5
    for used in re.findall(r"url\(#([^)]+)\)", page):
        assert used in names


def test_failed_cell_is_marked_and_warnings_are_hidden(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell(
        "raise",
        outputs=[
            nbformat.v4.new_output("stream", name="stderr", text="some library warns"),
            nbformat.v4.new_output("stream", name="stdout", text="kept words"),
            nbformat.v4.new_output("error", ename="DataError", evalue="price is <empty>", traceback=["line 1 of a long traceback"]),
        ],
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 3 · Supply"), cell]), tmp_path / "03_supply.ipynb")
    page = report.page_of([tmp_path / "03_supply.ipynb"], "Plan", "draft", SETTINGS)
    assert "sop-error" in page
    assert "DataError: price is &lt;empty&gt;" in page
    assert "kept words" in page
    assert "some library warns" not in page
    assert "long traceback" not in page


def test_binder_without_notebooks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no executed notebook"):
        report.write_html(_cycle(tmp_path, {}))
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ plan.xlsx
def test_workbook_has_its_sheets_units_and_totals(tmp_path: Path, frames) -> None:
    book = openpyxl.load_workbook(report.write_workbook(_cycle(tmp_path, frames)))
    assert book.sheetnames == [
        "Summary",
        "KPIs",
        "Bridge",
        "Families",
        "Demand",
        "Supply",
        "Capacity",
        "Bottlenecks",
        "Purchase",
        "Inventory",
        "Finance",
        "Scenarios",
        "Risks",
        "Issues",
        "Decisions",
        "Decided",
    ]
    demand = book["Demand"]
    header = [cell.value for cell in demand[3]]
    assert header[:4] == ["Family", "Item", "Item name", "Market"]
    assert header[4] == "Oct 26"
    assert header[-1] == "Total"
    assert demand.freeze_panes == "E4"
    assert demand.auto_filter.ref.startswith("A3:")
    assert demand["E2"].value == "units"
    last = demand.max_row
    assert demand.cell(last, 1).value == "Total"
    assert demand.cell(last, 5).value == f"=SUBTOTAL(109,E4:E{last - 1})"
    assert demand.cell(4, len(header)).value == "=SUM(E4:P4)"
    assert len(book["Summary"]._charts) == 1
    assert len(book["Finance"]._charts) == 1


def test_workbook_figures_are_those_of_the_tables(tmp_path: Path, frames) -> None:
    path = report.write_workbook(_cycle(tmp_path, frames))
    values = openpyxl.load_workbook(path, data_only=True)
    demand = values["Demand"]
    assert demand.cell(demand.max_row, 5).value == pytest.approx(
        frames["consensus_demand"].query("period == @PERIODS[0]")["demand_qty"].sum()
    )
    finance = {row[0].value: [cell.value for cell in row[1:13]] for row in values["Finance"].iter_rows(min_row=4) if row[0].value}
    revenue = frames["financial_projection"].groupby("period")["revenue_amt"].sum()
    assert finance["Revenue"] == pytest.approx(revenue.tolist())
    purchase = values["Purchase"]
    costs = [cell.value for cell in purchase[purchase.max_row]]
    assert frames["purchase_plan"]["purchase_cost_amt"].sum() in [c for c in costs if isinstance(c, int | float)]


def test_absent_is_an_empty_cell_and_text_is_never_a_formula(tmp_path: Path, frames) -> None:
    issue = frames["issue"].assign(value="=1+1")
    gap = frames["budget_gap"].iloc[:0]
    book = openpyxl.load_workbook(report.write_workbook(_cycle(tmp_path, {**frames, "issue": issue, "budget_gap": gap})))
    found = [cell for row in book["Issues"].iter_rows(min_row=4) for cell in row if cell.value == "=1+1"]
    assert found
    assert all(cell.data_type == "s" for cell in found)
    summary = book["Summary"]
    budget = next(cell for row in summary.iter_rows() for cell in row if cell.value == "Budget")
    assert summary.cell(budget.row + 1, budget.column).value is None


def test_a_cycle_that_holds_nothing_yet_gives_sheets_that_say_so(tmp_path: Path) -> None:
    nothing = {name: tables.table(name).empty() for name in ("item", "market")}
    book = openpyxl.load_workbook(report.write_workbook(_cycle(tmp_path, nothing)))
    assert "Nothing to show" in book["Supply"]["A2"].value
    assert [path.name for path in tmp_path.iterdir()] == ["plan.xlsx"]


def test_the_same_plan_gives_the_same_workbook(tmp_path: Path, frames) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        report.write_workbook(_cycle(folder, frames))
    assert (first / "plan.xlsx").read_bytes() == (second / "plan.xlsx").read_bytes()
