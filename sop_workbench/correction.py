"""The planner's word on proposed corrections of history: which are accepted, which rejected, by whom and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from sop_workbench import tables
from sop_workbench.demand import decide_corrections
from sop_workbench.errors import DataError

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

_CELL = ["item_id", "market_id", "period"]
DECISIONS = ("accepted", "rejected")


def proposed_corrections(cycle: Cycle) -> pd.DataFrame:
    """`history_correction` of the cycle with everything that was decided since it was proposed.

    Raises
    ------
    UnknownCycleError
        When the cycle holds no proposals yet.
    """
    return decide_corrections(cycle.read("history_correction"), cycle.records("history_decision"))


def decide(cycle: Cycle, decisions: pd.DataFrame | Sequence[Mapping[str, Any]], *, by: str, why: str) -> pd.DataFrame:
    """Record decisions on many proposals at once; they count when data gathering runs again. Nothing is recorded on a finding.

    Parameters
    ----------
    decisions : DataFrame or sequence of mappings
        item_id, market_id, period, decision (accepted or rejected); further columns are ignored, so an edited
        `history_correction` with its status renamed does.
    by, why : str
        Who decides, and the reason.

    Returns
    -------
    DataFrame
        The records as stored.

    Raises
    ------
    DataError
        With every finding: a cell that was not proposed, one that is decided twice, a word that is no decision, who or why missing.
    CycleLockedError
        When the cycle is locked.
    """
    given = pd.DataFrame(decisions)
    lost = [column for column in [*_CELL, "decision"] if column not in given]
    if lost:
        remedy = "name item, market, period and decision"
        missing = tables.finding("missing_column", "blocks", "history_decision", "", len(given), ", ".join(lost), remedy)
        raise DataError(tables.issue_frame([missing]))
    rows = given[[*_CELL, "decision"]].assign(period=pd.to_datetime(given["period"], errors="coerce"))
    found = _findings(rows, cycle.read("history_correction"))
    if found:
        raise DataError(tables.issue_frame(found))
    return cycle.append("history_decision", rows, by=by, why=why)


def _findings(rows: pd.DataFrame, proposed: pd.DataFrame) -> list[dict]:
    known = pd.MultiIndex.from_frame(rows[_CELL]).isin(pd.MultiIndex.from_frame(proposed[_CELL]))
    rules = (
        ("not_proposed", ~known, "item_id", "decide on a cell of history_correction (sop history list shows them)"),
        ("decided_twice", rows.duplicated(_CELL, keep=False).to_numpy(), "decision", "keep one decision per item, market and period"),
        ("value_not_allowed", ~rows["decision"].isin(DECISIONS).to_numpy(), "decision", f"use one of {', '.join(DECISIONS)}"),
    )
    return [
        tables.finding(rule, "blocks", "history_decision", tables.key_text(rows[wrong], _CELL), int(wrong.sum()),
                       ", ".join(map(str, rows.loc[wrong, column].unique()[:5])), remedy)
        for rule, wrong, column, remedy in rules if wrong.any()
    ]  # fmt: skip


def select(
    corrections: pd.DataFrame,
    kind: str | None = None,
    item_id: str | None = None,
    market_id: str | None = None,
    period: str | None = None,
    status: str | None = None,
) -> pd.DataFrame:
    """Proposals of a kind, an item, a market, a period, a status; what is left out does not limit.

    Raises
    ------
    DataError
        When the period is no date.

    Examples
    --------
    >>> rows = pd.DataFrame({"item_id": ["A", "B"], "market_id": "N", "period": pd.to_datetime(["2026-08-01"] * 2),
    ...                      "kind": ["outlier", "stockout"], "status": "proposed"})
    >>> select(rows, kind="outlier")["item_id"].tolist()
    ['A']
    """
    kept = corrections
    for column, value in (("kind", kind), ("item_id", item_id), ("market_id", market_id), ("status", status)):
        kept = kept if value is None else kept[kept[column] == value]
    if period is None:
        return kept
    day = pd.to_datetime(period, errors="coerce")
    if pd.isna(day):
        wrong = tables.finding("not_a_date", "blocks", "history_correction", "", 1, period, "write a period like 2026-08-01")
        raise DataError(tables.issue_frame([wrong]))
    return kept[kept["period"] == day]
