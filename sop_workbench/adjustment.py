"""Adjustments by Excel, locked quantities and pinned models: the consensus goes out as a workbook, edited cells come back as records.

The workbook keeps, on a hidden sheet, what was exported: only cells that a person changed count as edits, whatever was computed
anew since. What they replace is read from the store.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import xlsxwriter
from openpyxl.utils.exceptions import InvalidFileException
from xlsxwriter.exceptions import FileCreateError

from sop_workbench import demand, follow_up, override, tables
from sop_workbench.errors import DataError, SourceError
from sop_workbench.forecast.pins import pinned_models

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

EDIT_SHEET, EXPORTED_SHEET, ABOUT_SHEET = "consensus", "as exported", "about"
_KEYS = ["item_id", "market_id"]
_CELL = [*_KEYS, "period"]
_LABELS = ["item_id", "item_name", "family", "market_id"]
_TABLE = "demand_adjustment"
_HOW_TO = (
    "Change the shaded quantities on the sheet consensus and save; leave the other columns as they are.",
    "A new row needs item_id and market_id; empty cells of a new row are left alone.",
    "Then: sop adjust import FILE.xlsx --by WHO --why WHY",
)


def lock_demand(cycle: Cycle, lock: Mapping[str, Any], *, by: str, why: str) -> tuple[float, float]:
    """Record that the demand of a scope and period is held at a quantity, or is not any more; it counts when the review runs again.

    Parameters
    ----------
    lock : mapping
        period, locked_qty (empty: the lock is released) and what it speaks for of item_id, family, market_id, region, channel.

    Returns
    -------
    tuple of float
        What the stored consensus says of the scope, and what it will say (the same where the lock is released).

    Raises
    ------
    DataError
        When the scope is not on file, the period lies outside the horizon, or the lock contradicts others: nothing is recorded then.
    UnknownCycleError
        When the cycle holds no consensus yet.
    """
    inputs = {name: cycle.read(name) for name in ("item", "market")}
    stored = cycle.read("consensus_demand")[[*_CELL, "demand_qty"]]
    row = dict.fromkeys(demand.LOCK_SCOPE, "") | dict(lock)
    said = pd.DataFrame([*cycle.records("demand_lock").to_dict("records"), row])
    held = demand.held_to_locks(stored, said, inputs, cycle.periods)
    cycle.append("demand_lock", row, by=by, why=why)
    return demand.locked_sum(stored, row, inputs), demand.locked_sum(held, row, inputs)


def pin_model(cycle: Cycle, pin: Mapping[str, Any], *, by: str, why: str) -> int:
    """Record which model an item or family is to be forecast by; it counts when the review runs again.

    Parameters
    ----------
    pin : mapping
        model (empty: released to the back-test) and what it speaks for of item_id, family, market_id.

    Returns
    -------
    int
        How many series of item and market are pinned then.

    Raises
    ------
    DataError
        When the item, family, market or model is not on file: nothing is recorded then.
    """
    row = dict.fromkeys(("item_id", "family", "market_id", "model"), "") | dict(pin)
    keys = cycle.read("sales_history")[_KEYS].drop_duplicates().sort_values(_KEYS, ignore_index=True)
    said = pd.DataFrame([*cycle.records("model_pin").to_dict("records"), row])
    pins = pinned_models(said, keys, cycle.read("item"), cycle.read("market"))
    cycle.append("model_pin", row, by=by, why=why)
    return len(pins)


def export_consensus(cycle: Cycle, path: Path) -> Path:
    """Write the stored consensus by item and market, a column per period, as a workbook to edit.

    Headers are frozen, cells to edit are shaded. A file of that name is replaced.

    Raises
    ------
    UnknownCycleError
        When the cycle holds no consensus yet.
    SourceError
        When the file cannot be written.
    """
    grid = _grid(cycle.read("consensus_demand"), cycle.read("item"))
    try:
        with xlsxwriter.Workbook(str(path)) as book:
            _write_grid(book, EDIT_SHEET, grid)
            _write_grid(book, EXPORTED_SHEET, grid).hide()
            about = book.add_worksheet(ABOUT_SHEET)
            about.write_row(0, 0, ["cycle", cycle.id])
            about.write_column(2, 0, _HOW_TO)
    except (FileCreateError, OSError) as fault:
        raise SourceError(f"cannot write {path}: {fault}; close it in Excel or name another file") from None
    return path


def read_edits(cycle: Cycle, path: Path) -> pd.DataFrame:
    """Cells of an exported workbook that a person changed, beside what the store holds; what is on record already is left out.

    Returns
    -------
    DataFrame
        item_id, market_id, period, old_qty (empty where the consensus has no such cell), new_qty; sorted by key. Its attribute
        `missing_row_count` says how many exported rows the file has no more: they stay as they are.

    Raises
    ------
    SourceError
        When the file is not a workbook that `export_consensus` wrote for this cycle.
    DataError
        With every finding: unknown item, market or column, period outside the horizon, row given twice, cell that is empty, text
        or negative.
    """
    sheets = _sheets(path, cycle.id)
    edited, exported = (_cells(sheets[name]) for name in (EDIT_SHEET, EXPORTED_SHEET))
    before = exported.rename(columns={"value": "exported"}).drop(columns="row")
    # A row given twice meets the same exported cell; it is told as a finding.
    edited = edited.merge(before, on=[*_KEYS, "header"], how="left", validate="many_to_one")
    edited = edited[edited["value"].notna() | edited["exported"].notna()]
    findings = override.cell_findings(edited, _KEYS, cycle.read("item"), cycle.read("market"), cycle.periods)
    if findings:
        raise DataError(tables.issue_frame(findings))
    numbers = edited.assign(period=pd.to_datetime(edited["header"], format="mixed"), new_qty=edited["value"].astype(float))
    changed = numbers[~override.alike(numbers["new_qty"], numbers["exported"].astype(float))]
    stored = cycle.read("consensus_demand")[[*_CELL, "demand_qty"]].rename(columns={"demand_qty": "old_qty"})
    edits = changed.merge(stored, on=_CELL, how="left", validate="one_to_one")
    edits = edits[~override.alike(edits["new_qty"], edits["old_qty"])]
    edits = edits[~override.is_recorded(edits, cycle.records("demand_adjustment"))]
    edits = edits[[*_CELL, "old_qty", "new_qty"]].sort_values(_CELL).reset_index(drop=True)
    kept = pd.MultiIndex.from_frame(edited[_KEYS].drop_duplicates())
    edits.attrs["missing_row_count"] = int((~pd.MultiIndex.from_frame(before[_KEYS].drop_duplicates()).isin(kept)).sum())
    return edits


def append_edits(cycle: Cycle, edits: pd.DataFrame, *, by: str, why: str, assumption_id: str = "", answers: str = "") -> pd.DataFrame:
    """Record edits as adjustments that replace the consensus of their cell; they count when the demand review runs again.

    Parameters
    ----------
    assumption_id : str
        record_id of the assumption the edits rest on; empty where there is none.
    answers : str
        Change requests of the weekly round that they answer, parted by `; `.

    Raises
    ------
    DataError
        When the assumption or a change request is not on file.
    """
    known = cycle.records("assumption")["record_id"]
    if assumption_id and assumption_id not in set(known):
        wrong = tables.finding("unknown_assumption", "blocks", _TABLE, "", len(edits), assumption_id,
                               f"record the assumption first; on file: {', '.join(known) or 'none'}")
        raise DataError(tables.issue_frame([wrong]))
    follow_up.require_requests(cycle, answers)
    rows = edits.rename(columns={"new_qty": "value"})[[*_CELL, "value"]]
    rows = rows.assign(family="", region="", kind="replace", assumption_id=assumption_id, answers=answers)
    return cycle.append(_TABLE, rows, by=by, why=why)


def _grid(consensus: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Labels, then demand by period; a cell without a row stays empty."""
    wide = consensus.pivot(index=_KEYS, columns="period", values="demand_qty").reset_index()
    named = wide.merge(item[["item_id", "item_name", "family"]], on="item_id", how="left", validate="many_to_one")
    return named[[*_LABELS, *wide.columns[2:]]].sort_values(_KEYS).reset_index(drop=True)


def _write_grid(book: xlsxwriter.Workbook, name: str, grid: pd.DataFrame) -> Any:
    sheet = book.add_worksheet(name)
    head = book.add_format({"bold": True, "bottom": 1})
    dated = book.add_format({"bold": True, "bottom": 1, "num_format": "yyyy-mm-dd"})
    editable = book.add_format({"num_format": "#,##0", "bg_color": "#fff4cc", "border": 1, "border_color": "#d9d9d9"})
    periods = list(grid.columns[len(_LABELS):])
    sheet.write_row(0, 0, _LABELS, head)
    for place, period in enumerate(periods, len(_LABELS)):
        sheet.write_datetime(0, place, period.to_pydatetime(), dated)
    for number, row in enumerate(grid.itertuples(index=False), 1):
        for place, value in enumerate(row):
            if place < len(_LABELS):
                sheet.write_string(number, place, "" if pd.isna(value) else str(value))
            elif pd.notna(value):
                sheet.write_number(number, place, value, editable)
            else:
                sheet.write_blank(number, place, None, editable)
    sheet.freeze_panes(1, len(_LABELS))
    sheet.set_column(0, len(_LABELS) - 1, 16)
    sheet.set_column(len(_LABELS), len(_LABELS) + len(periods), 12)
    return sheet


def _sheets(path: Path, cycle_id: str) -> dict[str, list[tuple]]:
    """Rows of the three sheets; refuses any other file."""
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, InvalidFileException, zipfile.BadZipFile, KeyError) as fault:
        raise SourceError(f"cannot read {path} as a workbook: {fault}; give the .xlsx file that sop adjust export wrote") from None
    try:
        sheets = {name: list(book[name].iter_rows(values_only=True)) for name in book.sheetnames}
    finally:
        book.close()
    missing = [name for name in (EDIT_SHEET, EXPORTED_SHEET, ABOUT_SHEET) if not sheets.get(name)]
    if missing:
        raise SourceError(f"{path} has no sheet {', '.join(missing)}; edit a file that sop adjust export wrote")
    exported_of = str(sheets[ABOUT_SHEET][0][1])
    if exported_of != cycle_id:
        raise SourceError(f"{path} was exported from cycle {exported_of}, not {cycle_id}; export again, or give --cycle {exported_of}")
    heads = [head for head in sheets[EDIT_SHEET][0] if head is not None]
    lost = [name for name in _KEYS if name not in heads]
    if lost:
        raise SourceError(f"{path} has no column {', '.join(lost)} on the sheet {EDIT_SHEET}; put it back, or export again")
    double = sorted({str(head) for head in heads if heads.count(head) > 1})
    if double:
        raise SourceError(f"{path} has the column {', '.join(double)} twice on the sheet {EDIT_SHEET}; keep one of them")
    return sheets


def _cells(rows: list[tuple]) -> pd.DataFrame:
    """Cells of a sheet, one row each: item_id, market_id, row, header, value."""
    frame = pd.DataFrame(rows[1:], columns=[*rows[0]], dtype=object)
    frame = frame.loc[:, [name is not None for name in frame.columns]].dropna(how="all")
    frame = frame.drop(columns=["item_name", "family"], errors="ignore")
    frame[_KEYS] = frame[_KEYS].map(_text)
    return frame.assign(row=frame.index + 2).melt([*_KEYS, "row"], var_name="header", value_name="value")


def _text(value: Any) -> str:
    """An identifier as text; Excel makes a number of one that looks like it."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
