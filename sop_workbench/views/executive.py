"""Views of the executive review: decisions and one set of numbers."""

from __future__ import annotations

import pandas as pd

from sop_workbench.views.frames import as_view, needs, with_columns
from sop_workbench.views.words import MONEY, period_labels, plural, short


def decision_line(open_decision: pd.DataFrame) -> pd.DataFrame:
    """The first line of the executive page: the largest decision in words."""
    needs(open_decision, "open_decision")
    rows = open_decision.sort_values("sequence").head(1)
    more = len(open_decision) - 1
    view = as_view(
        rows.assign(more=more)[["question", "recommendation", "money_amt", "more"]],
        "",
        empty="No decision is open: the plan stands inside every tolerance.",
    )
    return view


def decisions(open_decision: pd.DataFrame) -> pd.DataFrame:
    """The decisions this cycle has to take, with options and money."""
    needs(open_decision, "open_decision")
    rows = open_decision.sort_values("sequence").rename(columns={"level": "who_decides", "sequence": "rank"})
    return as_view(
        rows[["rank", "question", "options", "recommendation", "money_amt", "who_decides"]],
        f"{plural(len(rows), 'decision')} to take",
        empty="No decision is open: the plan stands inside every tolerance.",
    )


def decision_followup(decision: pd.DataFrame, is_settled: bool | None = None) -> pd.DataFrame:
    """The decisions taken so far: what each was to bring, what it brought, and whether its actions are done.

    Parameters
    ----------
    decision : DataFrame
        As `follow_up` hands it over: records with `actual_value`, `verdict` and `state`.
    is_settled : bool, optional
        Only decisions that are closed and scored (True), or only the others (False).
    """
    needs(decision, "decision")
    rows = with_columns(decision, "cycle_id", "actual_value", "verdict", "state").sort_values(["at", "record_id"], ascending=[False, True])
    settled = (rows["state"] == "closed") & rows["verdict"].notna()
    rows = rows if is_settled is None else rows[settled == is_settled]
    shown = rows.assign(difference_amt=rows["actual_value"] - rows["expected_effect_amt"], verdict=rows["verdict"].fillna("not scored"))
    shown = shown.rename(columns={"cycle_id": "cycle", "by": "decided_by", "actual_value": "actual_effect_amt", "state": "actions"})
    scored = rows.dropna(subset=["actual_value", "expected_effect_amt"])
    title = plural(len(rows), "decision") + f", {(rows['state'] == 'closed').sum()} closed, {rows['verdict'].notna().sum()} scored"
    if len(scored):
        brought, expected = (short(scored[column].sum(), MONEY) for column in ("actual_value", "expected_effect_amt"))
        title += f"; those scored brought {brought} of {expected} expected"
    money = ["expected_effect_amt", "actual_effect_amt", "difference_amt"]
    return as_view(shown[["cycle", "question", "choice", "decided_by", *money, "verdict", "actions"]], title,
                   "Difference = actual − expected effect; held: at least what was expected. Closed: all actions it takes are done.",
                   "No decision was recorded yet (sop decide).")


def family_numbers(financial_projection: pd.DataFrame, budget_gap: pd.DataFrame) -> pd.DataFrame:
    """One set of numbers by family: budget, demand, plan, margin and stock, with the total.

    Covers the periods that the budget covers (all planned ones where there is no budget), so that the
    gap is that of the bridge.
    """
    needs(financial_projection, "financial_projection")
    needs(budget_gap, "budget_gap")
    budgeted = budget_gap.dropna(subset=["budget_revenue_amt"])
    is_shown = financial_projection["period"].isin(budgeted["period"]) if len(budgeted) else financial_projection["period"].notna()
    shown = financial_projection[is_shown]
    rows = shown.groupby("family")[["demand_amt", "revenue_amt", "gross_margin_amt"]].sum()
    rows["inventory_amt"] = shown[shown["period"] == shown["period"].max()].groupby("family")["inventory_amt"].sum()
    rows[["budget_amt", "gap_amt"]] = budgeted.groupby("family")[["budget_revenue_amt", "gap_amt"]].sum(min_count=1)
    silent = budget_gap[budget_gap["budget_revenue_amt"].isna()].groupby("family")["revenue_amt"].sum()
    rows["not_budgeted_amt"] = silent
    rows = _with_total(rows)
    rows["margin_ratio"] = rows["gross_margin_amt"] / rows["revenue_amt"].where(rows["revenue_amt"] != 0)
    beside = ["not_budgeted_amt"] if len(budgeted) and silent.abs().sum() > 0 else []
    columns = ["family", "budget_amt", "demand_amt", "revenue_amt", *beside, "gap_amt", "gross_margin_amt", "margin_ratio", "inventory_amt"]
    view = as_view(
        rows[columns],
        "The plan by family, " + " to ".join(period_labels(pd.Series([shown["period"].min(), shown["period"].max()])))
        if len(shown)
        else "",
        "Gap = revenue of the plan − budget, in what has a budget"
        + (" (not budgeted: revenue of the plan that no budget speaks of)" if beside else "") + ". Margin = gross margin / revenue. "
        "Inventory: closing stock of the last period shown.",
        "No financial projection: the supply review has not run.",
    )
    view.attrs["bold"] = ["Total"]
    return view


def _with_total(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by family with their total below."""
    total = rows.sum(min_count=1).rename("Total").to_frame().T
    return (pd.concat([rows, total]) if len(rows) else rows).rename_axis("family").reset_index()
