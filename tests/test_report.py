"""The pack: one page that opens offline and a workbook whose totals are formulas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import openpyxl
import pandas as pd
import pytest
from frames import PERIODS, SETTINGS, all_frames
from pydantic import ValidationError
from shown import execute

from sop_workbench import charts, report, tables, views
from sop_workbench.errors import SourceError
from sop_workbench.report import slides, workbook
from sop_workbench.settings import Settings
from sop_workbench.views.frames import as_view


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
        read_or_empty=lambda name: held[name] if name in held else tables.table(name).empty(),
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


# ------------------------------------------------------------------ tips and sources of the page
def test_figures_and_tables_name_their_tables_and_tell_formula_and_values(tmp_path: Path, frames) -> None:
    page = report.page_of([execute("04_financial_review", tmp_path, frames)], "Plan", "draft", SETTINGS)
    assert re.search(r'<p class="sop-source">Source: <span title="[^"]+">budget_gap</span></p>', page)
    tips = re.findall(r"<title>([^<]+)</title></(?:path|text|rect|line)>", page)
    assert len(tips) > 50
    assert any(re.search(r"Bar: Budget; Kind: total; Amount: [\d,]+", tip) for tip in tips)
    assert not any("_amt" in tip for tip in tips), "no raw column name"
    tables_told = re.findall(r'<table [^>]*title="([^"]+)"', page)
    (told,) = [told for told in tables_told if "Profit of the plan = revenue − all costs above it" in told]
    assert told.endswith("Source: financial_projection")


def test_every_sheet_of_paper_says_what_it_is_of(tmp_path: Path, frames) -> None:
    page = report.page_of([execute("01_product_review", tmp_path, frames)], 'Plan "A" </style>', "draft", SETTINGS, "printed today")
    (edges,) = re.findall(r"@page\{(@top-left.+?)\}\}", page)
    assert "counter(page)" in edges
    assert "printed today" in edges
    assert "</style>" not in edges
    assert page.count("</style>") == len(re.findall("<style", page))


# ------------------------------------------------------------------ locale
@pytest.fixture
def german() -> Iterator[None]:
    views.use_locale("de")
    yield
    views.use_locale("en")
    charts.use(SETTINGS)


@pytest.mark.usefixtures("german")
def test_numbers_and_months_follow_the_locale(frames) -> None:
    charts.use(SETTINGS.model_copy(update={"locale": "de"}))
    table = str(charts.table(views.family_numbers(frames["financial_projection"], frames["budget_gap"])))
    total = frames["financial_projection"]["revenue_amt"].sum()
    assert f"{total:,.0f}".replace(",", ".") in table
    assert "Okt. 26" in table
    spec = charts.profit_by_period(views.profit_by_period(frames["financial_projection"])).to_dict()
    assert spec["config"]["locale"]["number"]["decimal"] == ","
    assert "Okt." in charts.svg(spec)


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize(("written", "shown"), [
    ("worth 1,412.50 up to 37.5 hours.", "worth 1.412,50 up to 37,5 hours."),
    ("−1,234,567.8 and 0.25, then 99,999.", "−1.234.567,8 and 0,25, then 99.999."),
    ("12.5k units, 1.25x, 3.0 %", "12,5k units, 1,25x, 3,0 %"),
    ("CO-103 in 2026-05, 0.25kg, v1.2.3, 10/12.5", "CO-103 in 2026-05, 0.25kg, v1.2.3, 10/12.5"),
])
def test_sentences_of_the_planning_maths_follow_the_locale(written: str, shown: str) -> None:
    view = as_view(pd.DataFrame({"member": ["a 1.5 b"], "sentence": [written]}), "In words")
    assert view["sentence"].tolist() == [shown]
    assert view["member"].tolist() == ["a 1.5 b"], "names stay"


def test_an_unknown_locale_is_refused() -> None:
    with pytest.raises(ValidationError, match="not a locale that is known"):
        Settings(company="Any", locale="elvish")


# ------------------------------------------------------------------ formulas of the workbook
def _sheet(path: Path, name: str, **options: object):
    return openpyxl.load_workbook(path, **options)[name]


def _plain(formula: str, sheet) -> float:
    """What a formula gives, computed here from the cached figures of its cells."""
    body = re.sub(r"\b([A-Z]{1,2}\d+)\b", lambda m: repr(float(sheet[m[1]].value or 0)), formula.removeprefix("="))
    return float(eval(body, {"MIN": min, "MAX": max}))


@pytest.mark.parametrize("name", ["Summary", "Bridge", "Families", "KPIs", "Finance"])
def test_every_formula_gives_the_figure_it_carries(tmp_path: Path, frames, name: str) -> None:
    path = report.write_workbook(_cycle(tmp_path, frames))
    formulas, values = _sheet(path, name), _sheet(path, name, data_only=True)
    checked = 0
    for row in formulas.iter_rows():
        for cell in row:
            if isinstance(cell.value, str) and cell.value.startswith("=") and not re.search("SUBTOTAL|SUM", cell.value):
                carried = values[cell.coordinate].value
                assert _plain(cell.value, values) == pytest.approx(carried, rel=1e-9, abs=1e-6), (cell.coordinate, cell.value)
                checked += 1
    assert checked >= 3


@pytest.mark.parametrize("name", ["Summary", "Demand", "Supply", "Finance", "Families", "Purchase"])
def test_every_sum_gives_the_figure_it_carries(tmp_path: Path, frames, name: str) -> None:
    path = report.write_workbook(_cycle(tmp_path, frames))
    formulas, values = _sheet(path, name), _sheet(path, name, data_only=True)
    sums = [(cell, m) for row in formulas.iter_rows() for cell in row
            if (m := re.fullmatch(r"=(?:SUM\(|SUBTOTAL\(109,)([A-Z]+\d+):([A-Z]+\d+)\)", str(cell.value)))]
    assert sums
    for cell, m in sums:
        total = sum(float(inner.value or 0) for line in values[f"{m[1]}:{m[2]}"] for inner in line)
        assert total == pytest.approx(values[cell.coordinate].value, rel=1e-9, abs=1e-6), cell.coordinate


def test_the_workbook_draws_the_bridge_families_and_scenarios(tmp_path: Path, frames) -> None:
    measures = frames["scenario_comparison"]["measure"].replace(frames["scenario_comparison"]["measure"].iloc[0], "profit")
    held = {**frames, "scenario_comparison": frames["scenario_comparison"].assign(measure=measures)}
    book = openpyxl.load_workbook(report.write_workbook(_cycle(tmp_path, held)))
    drawn = {name: len(book[name]._charts) for name in ("Summary", "Bridge", "Families", "Finance", "Scenarios")}
    assert drawn == {"Summary": 1, "Bridge": 1, "Families": frames["financial_projection"].query("demand_amt > 0")["family"].nunique(),
                     "Finance": 1, "Scenarios": 1}
    assert all(book[name].freeze_panes for name in ("KPIs", "Bridge", "Families", "Demand", "Finance", "Scenarios", "Decisions"))


def test_a_part_that_fails_leaves_nothing_behind(tmp_path: Path, frames, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle = _cycle(tmp_path, frames)
    before = report.write_workbook(cycle).read_bytes()
    monkeypatch.setattr(workbook, "_finance", lambda *_: 1 / 0)
    monkeypatch.setattr(slides, "_risks", lambda *_: 1 / 0)
    for write in (report.write_workbook, report.write_slides):
        with pytest.raises(ZeroDivisionError):
            write(cycle)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.xlsx"]
    assert (tmp_path / "plan.xlsx").read_bytes() == before
