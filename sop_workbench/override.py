"""Overrides: cells of the consensus that people change, at the level they think in, checked and worded as records.

The Excel round trip and the grid on the screen share it: what may be entered, what changed, and what is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import DataError, SopError

LEVELS: dict[str, tuple[str, ...]] = {
    "item × market": ("item_id", "market_id"),
    "item": ("item_id",),
    "family × region": ("family", "region"),
    "family": ("family",),
}
NO_FAMILY = "(no family)"
_TABLE = "demand_adjustment"
_SAME = 1e-6
_SPACES = re.compile(r"[\s\u00a0\u202f'’]")
_GROUPED = re.compile(r"\d{1,3}([,.]\d{3})+")


def cells_at(consensus: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, level: str) -> pd.DataFrame:
    """The consensus at a level: quantity and mean price of every cell.

    price = Σ revenue / Σ demand; where nothing is expected, the mean of the prices below.

    Parameters
    ----------
    consensus, item, market : DataFrame
        `consensus_demand` and input tables.
    level : str
        One of `LEVELS`.

    Returns
    -------
    DataFrame
        The level's keys, family, period, demand_qty, price_amt; sorted by keys and period.
    """
    keys = list(LEVELS[level])
    placed = consensus.merge(item[["item_id", "family"]], on="item_id", how="left", validate="many_to_one")
    placed = placed.merge(market[["market_id", "region"]], on="market_id", how="left", validate="many_to_one")
    placed["family"] = placed["family"].fillna(NO_FAMILY)
    names = list(dict.fromkeys([*keys, "family", "period"]))
    cells = placed.groupby(names, as_index=False).agg(
        demand_qty=("demand_qty", "sum"), revenue_amt=("revenue_amt", "sum"), mean_amt=("price_amt", "mean")
    )
    some = cells["demand_qty"] > 0
    cells["price_amt"] = (cells["revenue_amt"] / cells["demand_qty"].where(some)).where(some, cells["mean_amt"])
    return cells[[*names, "demand_qty", "price_amt"]].sort_values([*keys, "period"], ignore_index=True)


def read_entry(text: str) -> tuple[str, float]:
    """What a person typed into a cell, as kind and value of an adjustment.

    A number replaces the quantity; with a sign in front it is added; with a per cent sign it is a change in per cent. Spaces and
    thousands separators are read as Excel writes them.

    Raises
    ------
    SopError
        When it is none of these.

    Examples
    --------
    >>> read_entry("1,250"), read_entry("+50"), read_entry("-10 %"), read_entry("1 250,5")
    (('replace', 1250.0), ('add', 50.0), ('multiply', 0.9), ('replace', 1250.5))
    """
    plain = _SPACES.sub("", text).replace("−", "-")
    sign, is_percent = plain[:1] in ("+", "-"), plain.endswith("%")
    number = _number(plain[sign:].removesuffix("%"))
    if number is None or (is_percent and not sign):
        raise SopError(f"cannot read {text.strip()!r}; write a quantity (120), a change (+50, -50) or a percentage with its sign (+10 %)")
    value = -number if plain.startswith("-") else number
    if is_percent:
        return "multiply", round(1 + value / 100, 12)
    return ("add" if sign else "replace"), value


def _number(text: str) -> float | None:
    """A number with either decimal sign; the last of two signs is the decimal one."""
    if _GROUPED.fullmatch(text) and (text.count(",") + text.count(".") > 1 or "," in text) and len(set(text) & {",", "."}) == 1:
        text = text.replace(",", "").replace(".", "")
    elif "," in text and "." in text:
        thousands = "," if text.rindex(".") > text.rindex(",") else "."
        text = text.replace(thousands, "").replace(",", ".")
    else:
        text = text.replace(",", ".")
    return float(text) if re.fullmatch(r"\d+(\.\d*)?|\.\d+", text) else None


def applied(kind: str, value: float, old: float) -> float:
    """The quantity of a cell after an adjustment, which is what the consensus makes of it (never below zero).

    Examples
    --------
    >>> applied("multiply", 1.1, 200.0), applied("add", -50.0, 200.0), applied("replace", 7.0, 200.0)
    (220.00000000000003, 150.0, 7.0)
    """
    return {"replace": value, "add": old + value, "multiply": old * value}[kind]


def read_edits(
    entries: pd.DataFrame, cells: pd.DataFrame, level: str, item: pd.DataFrame, market: pd.DataFrame, periods: pd.DatetimeIndex
) -> pd.DataFrame:
    """Entries of people beside the quantities they change.

    Parameters
    ----------
    entries : DataFrame
        The level's keys, period, text.
    cells : DataFrame
        As `cells_at` gives them.
    level : str
        One of `LEVELS`.
    item, market : DataFrame
        Input tables.
    periods : DatetimeIndex
        The horizon.

    Returns
    -------
    DataFrame
        The level's keys, period, kind, value, old_qty (empty where the consensus has no such cell), new_qty.

    Raises
    ------
    DataError
        With every finding: unknown item, market, family or region, period outside the horizon, no number, below zero.
    """
    keys = list(LEVELS[level])
    found = entries.merge(
        cells[[*keys, "period", "demand_qty"]].rename(columns={"demand_qty": "old_qty"}),
        on=[*keys, "period"], how="left", validate="one_to_one",
    )  # fmt: skip
    read = [_read_or_text(text) for text in found["text"]]
    # A cell that the consensus does not have is a cell of nothing.
    new = [value if isinstance(value, str) else applied(*value, old) for value, old in zip(read, found["old_qty"].fillna(0.0), strict=True)]
    checked = found.assign(row=found.groupby(keys).ngroup(), header=found["period"], value=pd.Series(new, dtype=object, index=found.index))
    findings = cell_findings(checked, keys, item, market, periods)
    if findings:
        raise DataError(tables.issue_frame(findings))
    found["kind"], found["value"] = [value[0] for value in read], [float(value[1]) for value in read]  # all of them were read
    found["new_qty"] = np.array(new, dtype=float)
    return found[[*keys, "period", "kind", "value", "old_qty", "new_qty"]]


def _read_or_text(text: str) -> tuple[str, float] | str:
    try:
        return read_entry(text)
    except SopError:
        return text


def alike(one: pd.Series, other: pd.Series) -> pd.Series:
    """Quantities that differ by rounding only."""
    return (one - other).abs() <= _SAME * one.abs().clip(lower=1)


def is_recorded(edits: pd.DataFrame, demand_adjustment: pd.DataFrame) -> pd.Series:
    """Which edits of cells only say again what the newest record of their cell says, so that a file read twice counts once.

    Parameters
    ----------
    edits : DataFrame
        item_id, market_id, period, new_qty.
    demand_adjustment : DataFrame
        People's records, oldest first.
    """
    cell = ["item_id", "market_id", "period"]
    dated = demand_adjustment.assign(number=np.arange(len(demand_adjustment)))
    newest = dated.drop_duplicates(cell, keep="last")[[*cell, "kind", "value", "number"]]
    said = edits[[*cell, "new_qty"]].merge(newest, on=cell, how="left", validate="one_to_one").set_index(edits.index)
    # A later change of a whole item, family or region moves the cell again.
    wider = dated[(dated["item_id"] == "") | (dated["market_id"] == "")].groupby("period")["number"].max()
    is_last = ~(said["period"].map(wider) > said["number"])
    return (said["kind"] == "replace") & alike(said["new_qty"], said["value"].astype(float)) & is_last


def records(edits: pd.DataFrame, level: str = "item × market", assumption_id: str = "") -> pd.DataFrame:
    """Edits as rows of `demand_adjustment`, ready to be appended with who and why.

    Parameters
    ----------
    edits : DataFrame
        The level's keys, period, kind, value.
    level : str
        One of `LEVELS`.
    assumption_id : str
        record_id of the assumption they rest on; empty where there is none.
    """
    scope = {name: edits[name] if name in LEVELS[level] else "" for name in ("item_id", "family", "market_id", "region")}
    return edits[["period", "kind", "value"]].assign(**scope, assumption_id=assumption_id)


def cell_findings(
    cells: pd.DataFrame, keys: list[str], item: pd.DataFrame, market: pd.DataFrame, periods: pd.DatetimeIndex
) -> list[dict]:
    """Everything that stops an entry, one finding per rule.

    Parameters
    ----------
    cells : DataFrame
        The keys, row (its number), header (the period as given), value (as given).
    keys : list of str
        Of item_id, market_id, family, region.
    item, market : DataFrame
        Input tables.
    periods : DatetimeIndex
        The horizon.
    """
    period = pd.to_datetime(cells["header"], errors="coerce", format="mixed")
    number = pd.to_numeric(cells["value"].where(~cells["value"].map(lambda value: isinstance(value, bool | str))), errors="coerce")
    rows = cells.drop_duplicates("row")
    double = set(rows.loc[rows.duplicated(keys), "row"])
    rules = (
        *_unknown_keys(cells, keys, item, market),
        ("duplicate_row", cells["row"].isin(double), "row", f"keep one row per {' and '.join(key.removesuffix('_id') for key in keys)}"),
        ("unknown_column", period.isna(), "header", "remove the column; columns of quantities are headed by a period's first day"),
        ("outside_horizon", period.notna() & ~period.isin(periods), "header", f"keep to {periods[0]:%Y-%m-%d} to {periods[-1]:%Y-%m-%d}"),
        ("empty_value", cells["value"].isna(), "header", "write 0 where nothing is expected"),
        ("not_a_number", cells["value"].notna() & number.isna(), "value", "write a number"),
        ("below_minimum", number < 0, "value", "enter 0 or more"),
    )
    return [_finding(rule, cells[is_wrong.to_numpy()], keys, column, remedy) for rule, is_wrong, column, remedy in rules if is_wrong.any()]


def _unknown_keys(
    cells: pd.DataFrame, keys: list[str], item: pd.DataFrame, market: pd.DataFrame
) -> list[tuple[str, pd.Series, str, str]]:
    finished = item[item["item_type"] == "finished"]
    on_file: Mapping[str, tuple[pd.Series, str]] = {
        "item_id": (finished["item_id"], "finished item"),
        "family": (finished["family"], "family of finished items"),
        "market_id": (market["market_id"], "market"),
        "region": (market["region"], "region"),
    }
    return [
        (f"unknown_{key.removesuffix('_id')}", ~cells[key].isin(on_file[key][0]), key, f"name a {on_file[key][1]} that is on file")
        for key in keys
    ]


def _finding(rule: str, wrong: pd.DataFrame, keys: list[str], column: str, remedy: str) -> dict:
    dated = [f"{header:%Y-%m-%d}" if hasattr(header, "strftime") else str(header) for header in wrong["header"]]
    named = wrong.assign(header=dated, period=dated)
    shown = named.drop_duplicates(column) if column != "value" else named
    values = ", ".join(str(value) for value in shown[column].head(5))
    return tables.finding(rule, "blocks", _TABLE, tables.key_text(shown, [*keys, "period"]), len(wrong), values, remedy)
