"""Widgets: charts that follow, the grid of adjustments, the choice of corrections; without a browser, and in one."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import altair as alt
import ipywidgets
import nbformat
import pandas as pd
import pytest
import small_company
from browser import CHROMIUM, lab, page_in_chromium, run_all_cells

from sop_workbench import charts, demand, tables, widgets
from sop_workbench.settings import Settings
from sop_workbench.store import Cycle, open_workspace


@pytest.fixture(scope="module", autouse=True)
def style(tmp_path_factory: pytest.TempPathFactory) -> None:
    charts.use(Settings(company="Small"))


def bars(title: str) -> alt.Chart:
    rows = pd.DataFrame({"family": ["Grills", "Stoves"], "revenue_amt": [1.0, 2.0]})
    return alt.Chart(rows, title=title).mark_bar().encode(x="family:N", y="revenue_amt:Q")


# ------------------------------------------------------------------ shared
@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, False), ({"JPY_SESSION_NAME": "02_demand_review.ipynb"}, True), ({"SERVER_SOFTWARE": "voila/0.5"}, True),
     ({"SERVER_SOFTWARE": "Apache"}, False)],
)
def test_somebody_is_there_in_a_session_of_jupyter_or_voila(environment: dict, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_SESSION_NAME", "SERVER_SOFTWARE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert widgets.is_live() is expected


def test_a_live_chart_is_named_by_its_title_and_can_be_drawn_anew() -> None:
    shown = widgets.LiveChart(bars("Revenue"))
    assert (shown.label, shown.spec["title"]) == ("Revenue", "Revenue")
    shown.show(bars("Margin"))
    assert (shown.label, shown.spec["title"]) == ("Margin", "Margin")


def test_a_note_in_place_of_a_chart_is_shown_as_it_is() -> None:
    assert isinstance(widgets.live(charts.Html("<p>Nothing yet</p>")), ipywidgets.HTML)
    assert isinstance(widgets.live(bars("Revenue")), widgets.LiveChart)


def test_the_drawing_library_is_bundled_once_and_holds_no_outside_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = widgets.library_text()
    assert "shared.provide(" in text
    assert len(text) > 500_000
    assert "cdn." not in text
    kept = list(tmp_path.rglob("vega-*.js"))
    assert len(kept) == 1
    kept[0].write_text("kept", encoding="utf-8")
    assert widgets.library_text() == "kept"


def test_a_cache_that_cannot_be_written_costs_only_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(widgets.vl_convert, "javascript_bundle", lambda *_, **__: "bundle")
    assert widgets.library_text() == "bundle"


# ------------------------------------------------------------------ a small cycle whose demand review has run
PERIODS = small_company.PERIODS
_SETTINGS = 'company: Small\nhorizon: 4\nnewest_cycle: "2027-01"\nsources: {folder: extract}\n'


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    make_cycle(folder)
    return folder


@pytest.fixture
def cycle(company: Path, tmp_path: Path) -> Cycle:
    shutil.copytree(company, tmp_path, dirs_exist_ok=True)
    return open_workspace(tmp_path).cycle("2027-01")


def make_cycle(folder: Path) -> Cycle:
    """Two bikes and a kit in three markets, one stream, two proposals to correct a year of history."""
    (folder / "sop.yaml").write_text(_SETTINGS, encoding="utf-8")
    (folder / "extract").mkdir()
    cycle = open_workspace(folder).cycle("2027-01")
    inputs = small_company.inputs()
    agreed = small_company.demand()
    stream = agreed[["item_id", "market_id", "period", "demand_qty"]].assign(stream="statistical")
    weight = pd.DataFrame([{"stream": "statistical", "wape_ratio": None, "bias_ratio": None, "weight_ratio": 1.0, "evidence": "alone"}])
    forecast = agreed.rename(columns={"demand_qty": "forecast_qty"}).assign(model="mean")
    past = pd.date_range("2026-01-01", periods=12, freq="MS")
    history = pd.DataFrame({"item_id": "B1", "market_id": "N", "period": past, "ordered_qty": 100.0})
    history.loc[5, "ordered_qty"] = 900.0
    proposal = {"item_id": "B1", "market_id": "N", "raw_qty": 900.0, "suggested_qty": 100.0, "status": "proposed"}
    corrections = pd.DataFrame([
        {**proposal, "period": past[5], "kind": "outlier", "evidence": "900 ordered, trend gives 100"},
        {**proposal, "period": past[8], "kind": "stockout", "raw_qty": 100.0, "suggested_qty": 130.0, "evidence": "no stock for 9 days"},
    ])
    results = {"consensus_demand": agreed, "demand_stream": stream, "stream_weight": weight, "statistical_forecast": forecast,
               "launch_forecast": tables.table("launch_forecast").empty(), "history_correction": corrections, "sales_history": history}
    chosen = {**{name: inputs[name] for name in ("item", "market", "price")}, **results}
    cycle.write_all({name: tables.conform(name, frame)[0] for name, frame in chosen.items()})
    return cycle


@pytest.fixture
def grid(cycle: Cycle) -> widgets.AdjustmentGrid:
    return widgets.AdjustmentGrid(cycle)


def first_row(grid: widgets.AdjustmentGrid) -> dict:
    return grid.state["rows"][0]


def type_into(grid: widgets.AdjustmentGrid, *cells: tuple[int, str], row: int = 0) -> None:
    grid.act("enter", cells=[[grid.state["rows"][row]["keys"], number, text] for number, text in cells])


def save(grid: widgets.AdjustmentGrid, by: str = "Ann", why: str = "tender won", assumption: str = "") -> None:
    grid.act("check", by=by, why=why, assumption=assumption)
    grid.act("record")


# ------------------------------------------------------------------ the grid of adjustments
def test_the_grid_shows_the_consensus_and_marks_what_is_typed(grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    agreed = cycle.read("consensus_demand")
    assert first_row(grid)["keys"] == agreed.iloc[0][["item_id", "market_id"]].tolist()
    old = agreed["demand_qty"].iloc[0]
    type_into(grid, (0, "+10 %"), (1, "7"), (2, "-1"))
    shown = [cell["shown"] for cell in first_row(grid)["cells"]]
    assert shown[:3] == [f"{old * 1.1:g}", "7", f"{agreed['demand_qty'].iloc[2] - 1:g}"]
    assert [cell["entry"] for cell in first_row(grid)["cells"]] == ["+10 %", "7", "-1", ""]
    assert grid.state["change_count"] == 3


def test_totals_follow_in_units_and_money_by_family(grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    agreed = cycle.read("consensus_demand")
    price = agreed["price_amt"].iloc[0]
    type_into(grid, (0, "+10"))
    total = next(total for total in grid.state["totals"][1:] if total["units"]["change"])
    assert (total["units"]["change"], total["money"]["change"]) == ("+10", f"+{widgets.views.short(10 * price)}")
    assert total["cells"][0]["change"] == "+10"
    assert total["cells"][1]["change"] == ""
    assert grid.state["totals"][0]["name"] == "All shown"
    assert grid.state["totals"][0]["units"]["change"] == "+10"


def test_what_says_the_same_again_is_no_change(grid: widgets.AdjustmentGrid) -> None:
    first, second = (cell["shown"] for cell in first_row(grid)["cells"][:2])
    type_into(grid, (0, first), (1, f" {second} "))
    assert grid.state["change_count"] == 0
    assert not grid.state["can_undo"]


def test_undo_takes_back_entry_by_entry(grid: widgets.AdjustmentGrid) -> None:
    type_into(grid, (0, "5"))
    type_into(grid, (0, "6"), (1, "7"))
    grid.act("undo")
    assert (first_row(grid)["cells"][0]["entry"], grid.state["change_count"]) == ("5", 1)
    type_into(grid, (0, ""))
    assert grid.state["change_count"] == 0
    grid.act("undo")
    assert first_row(grid)["cells"][0]["entry"] == "5"


def test_a_saved_change_is_shown_first_and_becomes_a_record_with_who_when_why(grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    key, old = first_row(grid)["keys"], first_row(grid)["cells"][0]["was"]
    type_into(grid, (0, "90"), (1, "+10 %"))
    grid.act("check", by=" Ann ", why="tender won", assumption="price stays")
    assert grid.state["diff"][0] == {"what": " · ".join(key), "period": "Jan 27", "old": old, "new": "90", "how": "set to"}
    assert cycle.records("demand_adjustment").empty
    grid.act("record")
    records = cycle.records("demand_adjustment")
    assert records[["item_id", "market_id"]].drop_duplicates().values.tolist() == [key]
    assert records[["period", "kind", "value"]].values.tolist() == [[PERIODS[0], "replace", 90.0], [PERIODS[1], "multiply", 1.1]]
    assumption = cycle.records("assumption").iloc[0]
    assert assumption[["assumption", "owner", "by"]].tolist() == ["price stays", "Ann", "Ann"]
    said = records[["family", "region", "by", "why", "assumption_id"]].drop_duplicates()
    assert said.values.tolist() == [["", "", "Ann", "tender won", assumption["record_id"]]]
    assert records["at"].notna().all()
    assert grid.message["kind"] == "done"
    assert (first_row(grid)["cells"][0]["was"], grid.state["change_count"]) == ("90", 0)


def test_a_viewer_changes_nothing_through_the_grid(cycle: Cycle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "vic")
    named = cycle.settings.model_copy(update={"users": {"vic": "viewer"}})
    seen = dataclasses.replace(cycle, store=dataclasses.replace(cycle.store, settings=named))
    grid = widgets.AdjustmentGrid(seen)
    type_into(grid, (0, "90"))
    grid.act("check", by="vic", why="let me", assumption="price stays")
    grid.act("record")
    assert grid.message["kind"] == "error"
    assert "vic is a viewer (may read) and may not add to" in grid.message["lines"][0]
    assert cycle.records("demand_adjustment").empty
    assert cycle.records("assumption").empty


def test_the_next_grid_starts_from_what_is_recorded(grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    type_into(grid, (0, "90"))
    save(grid)
    assert first_row(widgets.AdjustmentGrid(cycle))["cells"][0]["was"] == "90"


def test_a_family_and_region_are_changed_as_a_whole_and_the_total_lands_exactly(grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    grid.act("change_level", level="family × region")
    family, region = first_row(grid)["keys"]
    type_into(grid, (0, "500"))
    save(grid)
    record = cycle.records("demand_adjustment").iloc[0]
    assert record[["item_id", "market_id", "family", "region", "kind", "value"]].tolist() == ["", "", family, region, "replace", 500.0]
    assert first_row(grid)["cells"][0]["was"] == "500"


@pytest.mark.parametrize(("by", "why", "message"), [("", "tender won", "who"), ("Ann", "  ", "why")])
def test_without_who_or_why_nothing_is_recorded(by: str, why: str, message: str, grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    type_into(grid, (0, "90"))
    save(grid, by, why)
    assert cycle.records("demand_adjustment").empty
    grid.act("check", by=by, why=why)
    assert grid.message["kind"] == "error"
    assert message in grid.message["lines"][0]
    assert grid.state["change_count"] == 1, "what was typed stays"


def test_what_cannot_be_read_or_lies_below_zero_is_marked_and_refused_all_at_once(grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    type_into(grid, (0, "many"), (1, "-9999"), (2, "12"))
    faults = [cell["fault"] for cell in first_row(grid)["cells"]]
    assert "cannot read 'many'" in faults[0]
    assert "below zero" in faults[1]
    assert (faults[2], grid.state["fault_count"]) == ("", 2)
    save(grid)
    assert cycle.records("demand_adjustment").empty
    grid.act("check", by="Ann", why="tender won")
    told = " ".join(grid.message["lines"])
    assert "not_a_number" in told
    assert "below_minimum" in told


def test_nothing_typed_is_told(grid: widgets.AdjustmentGrid) -> None:
    grid.act("check", by="Ann", why="tender won")
    assert "nothing was changed" in grid.message["lines"][0]
    grid.act("record")
    assert "look at the changes" in grid.message["lines"][0]


def test_an_entry_after_the_look_must_be_looked_at_again(grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    type_into(grid, (0, "90"))
    grid.act("check", by="Ann", why="tender won")
    type_into(grid, (1, "91"))
    assert grid.state["diff"] is None
    grid.act("record")
    assert cycle.records("demand_adjustment").empty


def test_a_row_for_an_unknown_item_is_refused_and_one_for_a_known_pair_is_added(grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    grid.act("add_row", keys=["X9", "Nowhere"])
    text = " ".join(grid.message["lines"])
    assert "unknown_item" in text
    assert "unknown_market" in text
    agreed = cycle.read("consensus_demand")
    gone = agreed.iloc[0][["item_id", "market_id"]].tolist()
    rest = agreed[~((agreed["item_id"] == gone[0]) & (agreed["market_id"] == gone[1]))]
    cycle.write("demand_stream", rest[["item_id", "market_id", "period", "demand_qty"]].assign(stream="statistical"))
    fresh = widgets.AdjustmentGrid(cycle)
    assert gone not in [row["keys"] for row in fresh.state["rows"]]
    fresh.act("add_row", keys=gone)
    row = next(number for number, row in enumerate(fresh.state["rows"]) if row["keys"] == gone)
    type_into(fresh, (1, "12"), row=row)
    fresh.act("check", by="Ann", why="new listing")
    assert [(line["old"], line["new"]) for line in fresh.state["diff"]] == [("", "12")]
    fresh.act("record")
    assert cycle.records("demand_adjustment")[["item_id", "market_id", "value"]].values.tolist() == [[*gone, 12.0]]


def test_another_level_waits_until_changes_are_recorded(grid: widgets.AdjustmentGrid) -> None:
    type_into(grid, (0, "90"))
    grid.act("change_level", level="family")
    assert grid.state["level"] == "item × market"
    assert "record or undo" in grid.message["lines"][0]
    grid.act("undo")
    grid.act("change_level", level="family")
    assert (grid.state["level"], grid.state["keys"]) == ("family", ["Family"])


def test_filters_and_pages_choose_rows(grid: widgets.AdjustmentGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    every = grid.state["row_count"]
    item = first_row(grid)["keys"][0]
    grid.act("look", search=item.lower())
    assert 0 < grid.state["row_count"] < every
    assert {row["keys"][0] for row in grid.state["rows"]} == {item}
    grid.act("look", search="", page=99)
    monkeypatch.setattr(widgets, "GRID_ROWS", 2)
    grid.act("look", page=1)
    assert (len(grid.state["rows"]), grid.state["page"]) == (2, 1)


def test_a_locked_cycle_is_shown_and_not_written(grid: widgets.AdjustmentGrid, cycle: Cycle) -> None:
    type_into(grid, (0, "90"))
    cycle.lock(by="Boss", why="approved")
    grid.act("check", by="Ann", why="tender won")
    assert "is locked" in grid.message["lines"][0]
    assert "is locked" in widgets.AdjustmentGrid(cycle).state["locked"]
    assert cycle.records("demand_adjustment").empty


def test_pasted_cells_beyond_the_grid_are_counted(grid: widgets.AdjustmentGrid) -> None:
    grid.act("enter", cells=[[first_row(grid)["keys"], 0, "1"]], beyond=3)
    assert "3 pasted cells lay outside" in grid.message["lines"][0]


def test_a_notebook_that_nobody_looks_at_holds_the_static_table(cycle: Cycle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widgets, "is_live", lambda: False)
    shown = widgets.adjustment_grid(cycle)
    assert isinstance(shown, charts.Html)
    assert "All families" in shown
    assert "2 corrections wait for a decision" in widgets.correction_picker(cycle)
    monkeypatch.setattr(widgets, "is_live", lambda: True)
    assert isinstance(widgets.adjustment_grid(cycle), widgets.AdjustmentGrid)
    assert isinstance(widgets.correction_picker(cycle), ipywidgets.VBox)


# ------------------------------------------------------------------ corrections accepted or rejected
@pytest.fixture
def picker(cycle: Cycle) -> widgets.CorrectionPicker:
    return widgets.CorrectionPicker(cycle)


def test_the_largest_proposal_comes_first_with_its_evidence_and_chart(picker: widgets.CorrectionPicker) -> None:
    rows = picker.state["rows"]
    assert [row["kind"] for row in rows] == ["outlier", "stockout"]
    assert rows[0]["evidence"] == "900 ordered, trend gives 100"
    assert picker.chart.label.endswith("N, Jun 26: 900 booked, 100 suggested")
    picker.act("see", number=rows[1]["number"])
    assert "100 booked, 130 suggested" in picker.chart.label
    assert [row["is_seen"] for row in picker.state["rows"]] == [False, True]


def test_ticked_proposals_are_decided_with_who_and_why_and_the_history_follows(picker: widgets.CorrectionPicker, cycle: Cycle) -> None:
    first, second = (row["number"] for row in picker.state["rows"])
    picker.act("tick", numbers=[first], is_on=True)
    picker.act("decide", decision="accepted", by="Ann", why="typing error")
    picker.act("tick", numbers=[second, first], is_on=True)
    picker.act("tick", numbers=[first], is_on=False)
    picker.act("decide", decision="rejected", by="Ben", why="stock was there")
    decisions = cycle.records("history_decision")
    assert decisions[["period", "decision", "by", "why"]].values.tolist() == [
        [pd.Timestamp("2026-06-01"), "accepted", "Ann", "typing error"], [pd.Timestamp("2026-09-01"), "rejected", "Ben", "stock was there"]]
    decided = demand.decide_corrections(cycle.read("history_correction"), decisions)
    history = demand.apply_corrections(cycle.read("sales_history"), decided).set_index("period")["ordered_qty"]
    assert (history["2026-06-01"], history["2026-09-01"]) == (100.0, 100.0)
    assert picker.state["rows"] == []
    picker.act("look", status="accepted")
    assert [row["status"] for row in picker.state["rows"]] == ["accepted"]


@pytest.mark.parametrize(("by", "why", "message"), [("", "typing error", "who"), ("Ann", " ", "why")])
def test_a_decision_without_who_or_why_is_refused(by: str, why: str, message: str, picker: widgets.CorrectionPicker, cycle: Cycle) -> None:
    picker.act("tick", numbers=[0], is_on=True)
    picker.act("decide", decision="accepted", by=by, why=why)
    assert message in picker.message["lines"][0]
    assert cycle.records("history_decision").empty
    assert picker.state["ticked"] == 1


def test_a_locked_cycle_takes_no_decision(picker: widgets.CorrectionPicker, cycle: Cycle) -> None:
    cycle.lock(by="Boss", why="approved")
    picker.act("tick", numbers=[0], is_on=True)
    picker.act("decide", decision="accepted", by="Ann", why="typing error")
    assert "is locked" in picker.message["lines"][0]


def test_nothing_proposed_is_an_empty_list(cycle: Cycle) -> None:
    cycle.write("history_correction", tables.table("history_correction").empty())
    picker = widgets.CorrectionPicker(cycle)
    assert (picker.state["rows"], picker.state["row_count"]) == ([], 0)


# ------------------------------------------------------------------ in a browser
@pytest.fixture
def notebook(cycle: Cycle) -> Path:
    """A notebook that shows both forms of the cycle."""
    cells = [
        "from sop_workbench import charts, store, widgets\n"
        f"cycle = store.open_workspace({str(cycle.workspace.folder)!r}).cycle('2027-01')\ncharts.use(cycle.settings)",
        "widgets.adjustment_grid(cycle)",
        "widgets.correction_picker(cycle)",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    folder = cycle.workspace.folder / "notebooks"
    folder.mkdir()
    nbformat.write(made, folder / "forms.ipynb")
    return folder / "forms.ipynb"


@pytest.mark.slow
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is missing: install Debian's package `chromium` to try the forms")
def test_adjustments_and_corrections_are_entered_in_jupyterlab_offline(notebook: Path, cycle: Cycle, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with lab(notebook.parent, home) as address, page_in_chromium() as (page, faults, outside):
        page.goto(f"{address}/lab/tree/forms.ipynb?reset")
        run_all_cells(page)
        _edit_in_the_grid(page)
        _decide_in_the_picker(page)
        page.wait_for_timeout(300)
        assert faults == []
        assert outside == []
    records = cycle.records("demand_adjustment")
    assert records[["kind", "value"]].values.tolist() == [["multiply", 1.1], ["replace", 77.0], ["replace", 11.0], ["replace", 12.0]]
    assert records[["by", "why"]].drop_duplicates().values.tolist() == [["Ann", "tender won"]]
    assert cycle.records("history_decision")[["decision", "by", "why"]].values.tolist() == [["accepted", "Ben", "typing error"]]


def _edit_in_the_grid(page: Any) -> None:
    form = page.locator(".sop-grid")
    form.wait_for(timeout=60_000)
    for control in form.locator("input, select, button").all():
        assert control.evaluate("node => (node.labels?.length ?? 0) > 0 || node.ariaLabel || node.textContent"), "every control has a name"
    cell = form.locator('input[data-row="0"][data-period="0"]')
    cell.click()
    page.keyboard.type("+10%")
    page.keyboard.press("ArrowRight")
    assert _place(page) == ["0", "1"]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the cell in hand is seen"
    page.keyboard.type("77")
    page.keyboard.press("Enter")
    assert _place(page) == ["1", "1"]
    page.evaluate(_PASTE, "11\t12\r\n")
    form.get_by_text("4 changed").wait_for(timeout=20_000)
    assert form.locator(".sop-changed").count() == 4
    form.get_by_role("button", name="Save …").click()
    form.locator('.sop-message[data-kind="error"]').wait_for(timeout=20_000)
    form.get_by_label("Who", exact=True).fill("Ann")
    form.get_by_label("Reason", exact=True).fill("tender won")
    form.get_by_role("button", name="Save …").click()
    form.get_by_role("button", name="Record 4 adjustments").click(timeout=20_000)
    form.locator('.sop-message[data-kind="done"]').wait_for(timeout=20_000)
    assert form.locator(".sop-changed").count() == 0


_PASTE = """text => {
  const held = new DataTransfer();
  held.setData("text", text);
  document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData: held, bubbles: true, cancelable: true }));
}"""


def _place(page: Any) -> list[str]:
    return page.evaluate("[document.activeElement.dataset.row, document.activeElement.dataset.period]")


def _decide_in_the_picker(page: Any) -> None:
    form = page.locator(".sop-picker")
    page.get_by_role("img", name="N, Jun 26: 900 booked").locator("svg").wait_for(state="attached", timeout=60_000)
    form.get_by_role("button", name="Show B1 N Sep 26 in the chart").click()
    page.get_by_role("img", name="N, Sep 26: 100 booked").wait_for(state="attached", timeout=20_000)
    form.get_by_role("checkbox", name="Tick B1 N Jun 26").check()
    form.get_by_label("Who", exact=True).fill("Ben")
    form.get_by_label("Reason", exact=True).fill("typing error")
    form.get_by_role("button", name="Accept 1").click(timeout=20_000)
    form.locator('.sop-message[data-kind="done"]').wait_for(timeout=20_000)
