"""Adjustments by Excel: what goes out comes back, edits are shown before they count, and faults are told all at once."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pandas as pd
import pytest
import small_company
from click.testing import CliRunner, Result

from sop_workbench import cli, demand, views
from sop_workbench.adjustment import append_edits, export_consensus, read_edits
from sop_workbench.errors import DataError, SourceError, UnknownCycleError
from sop_workbench.store import Cycle, open_workspace

PERIODS = small_company.PERIODS
KEYS = ["item_id", "market_id", "period"]
FIRST = 5  # column of the first period


@pytest.fixture
def cycle(tmp_path: Path) -> Cycle:
    settings = 'company: Small\nhorizon: 4\nnewest_cycle: "2027-01"\nsources: {folder: extract}\n'
    (tmp_path / "sop.yaml").write_text(settings, encoding="utf-8")
    (tmp_path / "extract").mkdir()
    cycle = open_workspace(tmp_path).cycle("2027-01")
    cycle.write_all({name: small_company.inputs()[name] for name in ("item", "market")})
    cycle.write("consensus_demand", small_company.demand())
    return cycle


@pytest.fixture
def file(cycle: Cycle, tmp_path: Path) -> Path:
    return export_consensus(cycle, tmp_path / "plan.xlsx")


def edit(file: Path, cells: dict[tuple[int, int], object], sheet: str = "consensus") -> None:
    book = openpyxl.load_workbook(file)
    for (row, column), value in cells.items():
        book[sheet].cell(row, column).value = value
    book.save(file)


def sop_import(cycle: Cycle, file: Path, *more: str, answer: str | None = None) -> Result:
    arguments = ["adjust", "import", str(file), "--workspace", str(cycle.workspace.folder), "--by", "Ann", "--why", "tender won", *more]
    return CliRunner().invoke(cli.main, arguments, input=answer)


def test_the_workbook_holds_the_consensus_with_frozen_headers_and_shaded_cells(cycle: Cycle, file: Path) -> None:
    book = openpyxl.load_workbook(file)
    sheet = book["consensus"]
    assert sheet.freeze_panes == "E2"
    assert [cell.value for cell in sheet[1]][:4] == ["item_id", "item_name", "family", "market_id"]
    assert [pd.Timestamp(cell.value) for cell in sheet[1][4:]] == list(PERIODS)
    assert sheet.cell(2, FIRST).fill.fgColor.rgb == "FFFFF4CC"
    assert book["as exported"].sheet_state == "hidden"
    total = sum(cell for row in sheet.iter_rows(2, None, FIRST, None, values_only=True) for cell in row)
    assert total == pytest.approx(cycle.read("consensus_demand")["demand_qty"].sum())


def test_a_file_that_nobody_edited_changes_nothing(cycle: Cycle, file: Path) -> None:
    assert read_edits(cycle, file).empty
    assert sop_import(cycle, file, "--yes").output == "nothing was changed\n"
    assert cycle.records("demand_adjustment").empty


def test_an_edit_is_shown_confirmed_and_recorded(cycle: Cycle, file: Path) -> None:
    edit(file, {(2, FIRST): 90, (2, FIRST + 2): 0})
    key = cycle.read("consensus_demand").iloc[0]
    refused = sop_import(cycle, file, answer="n\n")
    assert refused.exit_code == 1
    assert f"{key['item_id']} {key['market_id']} 2027-01-01: {key['demand_qty']:,.1f} → 90.0" in refused.output
    assert cycle.records("demand_adjustment").empty
    agreed = sop_import(cycle, file, answer="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert "2 cells of 1 item changed" in agreed.output
    records = cycle.records("demand_adjustment")
    assert records[["kind", "value"]].values.tolist() == [["replace", 90], ["replace", 0]]
    assert (set(records["by"]), set(records["why"])) == ({"Ann"}, {"tender won"})
    assert records["period"].tolist() == [PERIODS[0], PERIODS[2]]


def test_a_file_read_twice_counts_once_unless_something_wider_came_between(cycle: Cycle, file: Path) -> None:
    edit(file, {(2, FIRST): 90, (2, FIRST + 2): 0})
    assert sop_import(cycle, file, "--yes").exit_code == 0
    assert sop_import(cycle, file, "--yes").output == "nothing was changed\n"
    assert len(cycle.records("demand_adjustment")) == 2
    family = {"family": "Bikes", "period": PERIODS[0], "kind": "multiply", "value": 1.1}
    cycle.append("demand_adjustment", family, by="Ben", why="spring comes early")
    assert read_edits(cycle, file)["new_qty"].tolist() == [90]


def test_what_was_computed_anew_since_is_no_edit_and_old_is_what_the_store_holds(cycle: Cycle, file: Path) -> None:
    edit(file, {(2, FIRST): 90})
    cycle.write("consensus_demand", small_company.demand(60.0))
    found = read_edits(cycle, file)
    assert found["new_qty"].tolist() == [90]
    assert found["old_qty"].tolist() == [cycle.read("consensus_demand")["demand_qty"].iloc[0]]


def test_the_consensus_lands_on_the_edited_quantity(cycle: Cycle, file: Path) -> None:
    edit(file, {(2, FIRST): 90})
    append_edits(cycle, read_edits(cycle, file), by="Ann", why="tender won")
    before = cycle.read("consensus_demand")[["item_id", "market_id", "period", "demand_qty"]]
    after = demand._adjusted(before, cycle.records("demand_adjustment"), small_company.inputs(), PERIODS)
    both = before.merge(after, on=["item_id", "market_id", "period"], validate="one_to_one")
    moved = both[both["demand_qty_x"] != both["demand_qty_y"]]
    assert moved["demand_qty_y"].tolist() == [90]


def test_every_fault_is_told_at_once_and_nothing_is_recorded(cycle: Cycle, file: Path) -> None:
    last = openpyxl.load_workbook(file)["consensus"].max_row
    beyond = FIRST + len(PERIODS)
    edit(file, {
        (2, FIRST): "many", (2, FIRST + 1): -5, (2, FIRST + 2): None,
        (1, beyond): pd.Timestamp("2031-01-01").to_pydatetime(), (2, beyond): 3,
        (1, beyond + 1): "remark", (2, beyond + 1): "sure",
        (last + 1, 1): "X9", (last + 1, 4): "N", (last + 1, FIRST): 5,
        (last + 2, 1): "B1", (last + 2, 4): "Z", (last + 2, FIRST): 5,
        (last + 3, 1): "B1", (last + 3, 4): "N", (last + 3, FIRST): 5,
    })
    with pytest.raises(DataError) as caught:
        read_edits(cycle, file)
    rules = set(caught.value.issues["rule"])
    assert rules == {"unknown_item", "unknown_market", "duplicate_row", "outside_horizon", "unknown_column", "empty_value", "not_a_number",
                     "below_minimum"}
    result = sop_import(cycle, file, "--yes")
    assert result.exit_code == 1
    assert "item_id=X9 market_id=N" in result.output
    assert cycle.records("demand_adjustment").empty


def test_a_new_row_may_be_added_with_some_periods_only(cycle: Cycle, file: Path) -> None:
    consensus = cycle.read("consensus_demand")
    gone = consensus.iloc[0][["item_id", "market_id"]]
    is_gone = (consensus["item_id"] == gone["item_id"]) & (consensus["market_id"] == gone["market_id"])
    cycle.write("consensus_demand", consensus[~is_gone])
    export_consensus(cycle, file)
    last = openpyxl.load_workbook(file)["consensus"].max_row
    edit(file, {(last + 1, 1): gone["item_id"], (last + 1, 4): gone["market_id"], (last + 1, FIRST + 1): 7})
    found = read_edits(cycle, file)
    assert found[["item_id", "market_id", "period", "new_qty"]].values.tolist() == [[*gone, PERIODS[1], 7]]
    assert found["old_qty"].isna().all()
    assert "none → 7.0" in sop_import(cycle, file, "--yes").output


def test_another_file_or_another_cycle_is_refused(cycle: Cycle, file: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot read"):
        read_edits(cycle, tmp_path / "none.xlsx")
    (tmp_path / "text.xlsx").write_text("not a workbook", encoding="utf-8")
    with pytest.raises(SourceError, match="cannot read"):
        read_edits(cycle, tmp_path / "text.xlsx")
    openpyxl.Workbook().save(tmp_path / "other.xlsx")
    with pytest.raises(SourceError, match="no sheet consensus"):
        read_edits(cycle, tmp_path / "other.xlsx")
    with pytest.raises(SourceError, match="exported from cycle 2027-01"):
        read_edits(cycle.workspace.cycle("2027-02"), file)
    with pytest.raises(UnknownCycleError):
        export_consensus(cycle.workspace.cycle("2027-02"), tmp_path / "early.xlsx")
    with pytest.raises(SourceError, match="cannot write"):
        export_consensus(cycle, tmp_path / "no such folder" / "plan.xlsx")


@pytest.mark.parametrize(
    ("head", "message"), [({(1, 1): "article"}, "no column item_id"), ({(1, FIRST): PERIODS[1].to_pydatetime()}, "twice")]
)
def test_a_file_whose_columns_are_lost_or_doubled_is_refused(cycle: Cycle, file: Path, head: dict, message: str) -> None:
    edit(file, head)
    with pytest.raises(SourceError, match=message):
        read_edits(cycle, file)


def test_the_command_exports_where_it_is_told(cycle: Cycle, tmp_path: Path) -> None:
    target = tmp_path / "out.xlsx"
    result = CliRunner().invoke(cli.main, ["adjust", "export", str(target), "--workspace", str(cycle.workspace.folder)])
    assert result.exit_code == 0, result.output
    assert read_edits(cycle, target).empty


# ------------------------------------------------------------------ locks and pins


def sop_adjust(cycle: Cycle, *arguments: str) -> Result:
    signed = ["--workspace", str(cycle.workspace.folder), "--by", "Ann", "--why", "tender won"]
    return CliRunner().invoke(cli.main, ["adjust", *arguments, *signed])


def test_a_quantity_is_locked_at_any_level_and_released_again(cycle: Cycle) -> None:
    cycle.write_all({name: frame for name, frame in small_company.inputs().items() if name not in ("item", "market")})
    stored = cycle.read("consensus_demand")
    period = f"{PERIODS[1]:%Y-%m-%d}"
    before = stored.loc[(stored["item_id"] == "B1") & (stored["period"] == PERIODS[1]), "demand_qty"].sum()
    result = sop_adjust(cycle, "lock", "500", "--family", "Bikes", "--period", period)
    assert (result.exit_code, f"Bikes {period}: {before:,.1f} → 500.0" in result.output) == (0, True)
    held = demand.held_to_locks(stored[[*KEYS, "demand_qty"]], cycle.records("demand_lock"), cycle.inputs(), cycle.periods)
    assert held.loc[(held["item_id"] == "B1") & (held["period"] == PERIODS[1]), "demand_qty"].sum() == pytest.approx(500)
    for arguments, words in ((("700", "--item", "B1"), "contradict"), (("1", "--item", "NOPE"), "name a finished item"),
                             (("1", "--region", "Mars"), "name a region")):
        refused = sop_adjust(cycle, "lock", *arguments, "--period", period)
        assert (refused.exit_code, words in refused.output) == (1, True)
    outside = sop_adjust(cycle, "lock", "1", "--period", "2031-01-01")
    assert (outside.exit_code, "lock a period from" in outside.output) == (1, True)
    assert len(cycle.records("demand_lock")) == 1, "what is refused is not on record"
    assert "lock released" in sop_adjust(cycle, "lock", "--family", "Bikes", "--period", period).output
    assert sop_adjust(cycle, "lock", "700", "--item", "B1", "--period", period).exit_code == 0
    shown = views.locks_and_pins(cycle.records("demand_lock"), cycle.records("model_pin"))
    assert sorted(shown["change"]) == ["demand held at 500", "demand held at 700", "lock released"]


def test_a_model_is_pinned_by_name_and_released_again(cycle: Cycle) -> None:
    cycle.write_all({name: frame for name, frame in small_company.inputs().items() if name not in ("item", "market")})
    sold = pd.DataFrame({"item_id": "B1", "market_id": ["N", "S"], "period": PERIODS[0] - pd.DateOffset(months=1), "ordered_qty": 5.0})
    cycle.write("sales_history", small_company.rows("sales_history", *sold.to_dict("records")))
    result = sop_adjust(cycle, "pin", "theta", "--item", "B1")
    assert (result.exit_code, "2 series" in result.output) == (0, True)
    unknown = sop_adjust(cycle, "pin", "oracle", "--item", "B1")
    assert (unknown.exit_code, "pin one of" in unknown.output) == (1, True)
    assert "0 series" in sop_adjust(cycle, "pin", "--item", "B1").output
    shown = views.locks_and_pins(cycle.records("demand_lock"), cycle.records("model_pin"))
    assert shown[["product", "place", "change"]].values.tolist() == [["B1", "all", "pin released"], ["B1", "all", "forecast by theta"]]


def test_a_row_taken_out_of_the_workbook_stays_as_it_is_and_is_told(cycle: Cycle, file: Path) -> None:
    book = openpyxl.load_workbook(file)
    book["consensus"].delete_rows(2)
    book.save(file)
    assert read_edits(cycle, file).attrs["missing_row_count"] == 1
    assert "1 exported row not in the file any more" in sop_import(cycle, file).output
