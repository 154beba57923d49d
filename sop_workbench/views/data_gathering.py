"""Views of data gathering: findings, feeds and proposed corrections of history."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.periods import Calendar
from sop_workbench.views.frames import as_view, item_names, needs
from sop_workbench.views.words import period_labels, plural, short

SEVERITIES = ("blocks", "warns", "info")
_PAST_FACTS = ("sales_history", "production_history", "stock_history", "stock_on_hand", "ledger")


def issue_scorecard(issue: pd.DataFrame) -> pd.DataFrame:
    """Findings and rows concerned, by table and severity."""
    needs(issue, "issue")
    scores = issue.groupby(["table", "severity"], as_index=False).agg(finding_count=("rule", "size"), row_count=("count", "sum"))
    counts = issue["severity"].value_counts()
    words = ", ".join(f"{counts[s]:,} {w}" for s, w in zip(SEVERITIES, ("block", "warn", "inform"), strict=True) if s in counts)
    title = f"{plural(len(issue), 'finding')} in {plural(issue['table'].nunique(), 'table')}: {words}"
    return as_view(
        scores,
        title,
        "One finding is one rule broken in one table. A finding that blocks stops the cycle.",
        "No finding: every table passed every rule.",
    )


def issue_list(issue: pd.DataFrame) -> pd.DataFrame:
    """Findings, worst and largest first, each with its remedy."""
    needs(issue, "issue")
    order = issue["severity"].map({s: rank for rank, s in enumerate(SEVERITIES)})
    rows = issue.assign(order=order, finding=issue["rule"].str.replace("_", " ")).sort_values(
        ["order", "count", "table", "rule"], ascending=[True, False, True, True], kind="stable"
    )
    rows = rows.rename(columns={"count": "row_count", "keys": "where", "value": "found"})
    return as_view(
        rows[["severity", "table", "finding", "row_count", "where", "found", "remedy"]],
        "Findings, worst first",
        empty="No finding: every table passed every rule.",
    )


def feed_status(inputs: dict[str, pd.DataFrame], as_of: pd.Timestamp, calendar: Calendar) -> pd.DataFrame:
    """Rows of every input table, its newest date, and which feeds are late."""
    declared = tables.all_tables()
    rows = [
        _feed_row(declared[name], frame, calendar.period_of(as_of), calendar)
        for name, frame in inputs.items()
        if name in declared and declared[name].group == "input"
    ]
    feeds = pd.DataFrame(rows, columns=["table", "meaning", "row_count", "newest_date", "state"])
    late = feeds["state"].str.contains("late").sum()
    title = f"{plural(int(late), 'feed is', 'feeds are')} late" if late else "Every feed reaches the last closed period"
    return as_view(
        feeds, title, f"Facts must reach the period of {as_of:%d %b %Y}, the last day this cycle knows.", "No input table was read."
    )


def _feed_row(declared: tables.Table, frame: pd.DataFrame, closed: pd.Timestamp, calendar: Calendar) -> dict:
    column = next((c for c in ("period", "as_of_date") if c in frame.columns), None)
    newest = frame[column].max() if column and len(frame) else pd.NaT
    behind = calendar.distance(calendar.period_of(newest), closed) if pd.notna(newest) and declared.name in _PAST_FACTS else 0
    state = f"late by {plural(behind, calendar.bucket)}" if behind > 0 else "read" if len(frame) else _absent_words(declared)
    return {
        "table": declared.name,
        "meaning": declared.meaning.replace("`", ""),
        "row_count": len(frame),
        "newest_date": newest,
        "state": state,
    }


def _absent_words(declared: tables.Table) -> str:
    return "not used here" if declared.is_optional else "no rows"


def history_corrections(
    sales_history: pd.DataFrame, history_correction: pd.DataFrame, item: pd.DataFrame, top: int = 6, periods: int = 36
) -> pd.DataFrame:
    """History of the most corrected items, as booked and as suggested."""
    needs(history_correction, "history_correction")
    needs(sales_history, "sales_history")
    change = (history_correction["suggested_qty"] - history_correction["raw_qty"]).abs()
    chosen = change.groupby(history_correction["item_id"]).sum().nlargest(top).index
    past = sales_history[sales_history["item_id"].isin(chosen)].groupby(["item_id", "period"], as_index=False)["ordered_qty"].sum()
    past = past[past["period"] > past["period"].max() - pd.DateOffset(months=periods)] if len(past) else past
    moved = history_correction[history_correction["item_id"].isin(chosen)].assign(change_qty=change)
    moved = moved.groupby(["item_id", "period"], as_index=False).agg(
        change_qty=("change_qty", "sum"), kind=("kind", "first"), raw_qty=("raw_qty", "sum"), suggested_qty=("suggested_qty", "sum")
    )
    shown = past.merge(moved, on=["item_id", "period"], how="outer", validate="one_to_one")
    shown["ordered_qty"] = shown["ordered_qty"].fillna(shown["raw_qty"])  # a corrected period may have no row of history
    shown["corrected_qty"] = shown["ordered_qty"] + shown["suggested_qty"] - shown["raw_qty"]
    shown["member"] = shown["item_id"].map(item_names(item)).fillna(shown["item_id"])
    title = f"{plural(len(history_correction), 'correction')} proposed in {plural(history_correction['item_id'].nunique(), 'item')}"
    return as_view(
        shown[["member", "item_id", "period", "ordered_qty", "corrected_qty", "kind"]],
        title,
        "Line: ordered quantity as booked, all markets. Points: the quantity suggested instead. Nothing changes until a planner accepts.",
        "No correction is proposed: history shows no stock-out, outlier or gap.",
    )


def correction_list(history_correction: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Proposed corrections, largest first, with their evidence."""
    needs(history_correction, "history_correction")
    rows = history_correction.assign(
        change_qty=history_correction["suggested_qty"] - history_correction["raw_qty"],
        item_name=history_correction["item_id"].map(item_names(item)),
    )
    rows = rows.assign(size=rows["change_qty"].abs()).sort_values(
        ["size", "item_id", "market_id", "period"], ascending=[False, True, True, True]
    )
    columns = ["item_name", "item_id", "market_id", "period", "kind", "raw_qty", "suggested_qty", "change_qty", "evidence", "status"]
    return as_view(rows[columns], "Proposed corrections, largest first", empty="No correction is proposed.")


def correction_case(
    sales_history: pd.DataFrame, history_correction: pd.DataFrame, item: pd.DataFrame, chosen: int | None = None, periods: int = 36
) -> pd.DataFrame:
    """History of one item and market before and after its corrections, with the one chosen marked.

    Parameters
    ----------
    sales_history, history_correction, item : DataFrame
        Tables.
    chosen : int, optional
        Index of a row of `history_correction`; the largest change when left out.
    periods : int
        Past periods shown, at least as many as reach the chosen one.
    """
    needs(history_correction, "history_correction")
    if history_correction.empty:
        return as_view(pd.DataFrame({"period": pd.to_datetime([])}), "", empty="No correction is proposed.")
    size = (history_correction["suggested_qty"] - history_correction["raw_qty"]).abs()
    case = history_correction.loc[size.idxmax() if chosen is None else chosen]
    key = ["item_id", "market_id"]
    booked, moved = (frame[(frame[key] == case[key]).all(axis=1)] for frame in (sales_history, history_correction))
    rows = booked[["period", "ordered_qty"]].merge(
        moved[["period", "kind", "raw_qty", "suggested_qty", "status"]], on="period", how="outer", validate="one_to_one"
    )
    rows["ordered_qty"] = rows["ordered_qty"].fillna(rows["raw_qty"])  # a corrected period may have no row of history
    rows["corrected_qty"] = rows["suggested_qty"].where(rows["status"] != "rejected").fillna(rows["ordered_qty"])
    start = min(case["period"] - pd.DateOffset(months=6), rows["period"].max() - pd.DateOffset(months=periods - 1))
    rows = rows[rows["period"] >= start].sort_values("period")
    rows["mark"] = np.where(rows["period"] == case["period"], "chosen", np.where(rows["kind"].notna(), "proposed", ""))
    name = item_names(item).get(case["item_id"], case["item_id"])
    period = period_labels(pd.Series([case["period"]])).iloc[0]
    return as_view(
        rows[["period", "ordered_qty", "corrected_qty", "kind", "mark"]],
        f"{name}, {case['market_id']}, {period}: {short(case['raw_qty'])} booked, {short(case['suggested_qty'])} suggested",
        "Grey: as booked. Coloured and dashed: with the corrections that are not rejected. The large point is the one chosen.",
        "This item and market have no history.",
    )
