"""Views of the financial review: profit and loss, bridges, cash and gaps."""

from __future__ import annotations

import pandas as pd

from sop_workbench import finance
from sop_workbench.views.demand import gap_title
from sop_workbench.views.frames import as_view, first_periods, needs, quotient, with_largest
from sop_workbench.views.words import MONEY, OTHER, ROUNDING, percent, period_labels, short, signed, some

_COST_LINES = {
    "purchase_cost_amt": "Purchases",
    "production_cost_amt": "Variable production",
    "labour_cost_amt": "Labour, regular hours",
    "overtime_cost_amt": "Overtime",
    "hiring_cost_amt": "Hiring and layoff",
    "setup_cost_amt": "Set-ups",
    "subcontract_cost_amt": "Subcontracting",
    "freight_cost_amt": "Freight",
    "holding_cost_amt": "Holding stock",
    "backlog_cost_amt": "Lateness",
}


def profit_and_loss(financial_projection: pd.DataFrame, periods: int = 12) -> pd.DataFrame:
    """The plan in money: one row per line, one column per period and the total, in thousands."""
    needs(financial_projection, "financial_projection")
    shown = first_periods(financial_projection, periods)
    columns = ["demand_amt", "revenue_amt", *_COST_LINES, "profit_amt", "cogs_amt", "gross_margin_amt"]
    sums = shown.groupby("period")[columns].sum()
    words = {
        "demand_amt": "Unconstrained demand at price",
        "revenue_amt": "Revenue",
        **{c: f"− {w}" for c, w in _COST_LINES.items()},
        "profit_amt": "Profit of the plan",
        "cogs_amt": "Cost of goods sold",
        "gross_margin_amt": "Gross margin",
    }
    kept = [c for c in columns if c not in _COST_LINES or sums[c].abs().sum() > ROUNDING]
    wide = sums[kept].T.set_axis(period_labels(sums.index.to_series()).tolist(), axis=1)
    wide = wide.assign(Total=wide.sum(axis=1)) / 1000
    wide.insert(0, "line", [words[c] for c in kept])
    wide = wide if len(sums) else wide.iloc[:0]
    profit, revenue = (short(sums[c].sum(), MONEY) for c in ("profit_amt", "revenue_amt"))
    title = f"Profit of the next {len(sums)} periods: {profit} on revenue of {revenue}"
    view = as_view(
        wide,
        title,
        f"Thousand {MONEY}. Profit of the plan = revenue − all costs above it, as in the optimiser. "
        "Gross margin = revenue − cost of goods sold (served demand × standard cost).",
        "No financial projection: the supply review has not run.",
    )
    view.attrs["bold"] = ["Revenue", "Profit of the plan", "Gross margin"]
    return view


def profit_by_period(financial_projection: pd.DataFrame) -> pd.DataFrame:
    """Revenue, gross margin and profit of the plan by period."""
    needs(financial_projection, "financial_projection")
    rows = financial_projection.groupby("period", as_index=False)[["revenue_amt", "gross_margin_amt", "profit_amt"]].sum()
    share = percent(quotient(rows["gross_margin_amt"].sum(), rows["revenue_amt"].sum()))
    return as_view(
        rows,
        f"Revenue {short(rows['revenue_amt'].sum(), MONEY)}, gross margin {share} over {len(rows)} periods",
        "Gross margin = revenue − cost of goods sold at standard cost.",
        "No financial projection: the supply review has not run.",
    )


def budget_bridge(budget_gap: pd.DataFrame, top: int = 4) -> pd.DataFrame:
    """From budgeted revenue over unconstrained demand to the plan: what demand and what supply take away or add."""
    needs(budget_gap, "budget_gap")
    known = budget_gap.dropna(subset=["budget_revenue_amt"])
    empty = "No budget covers the periods of this plan."
    if known.empty:
        return as_view(known, "", empty=empty)
    title = gap_title("The plan", known["gap_amt"].sum(), known["budget_revenue_amt"].sum(), known["period"].nunique())
    view = bridge(_few_steps(finance.budget_bridge(known), top), title)
    view.attrs["note"] = (
        "Demand steps: unconstrained demand − budget by family. Supply steps: plan − unconstrained demand by family. Revenue."
        + _left_out(budget_gap)
    )
    return view


def _left_out(budget_gap: pd.DataFrame) -> str:
    """What no budget speaks of, with its money; nothing where the budget speaks of everything."""
    money, where = finance.left_out(budget_gap)
    return f" Not compared, as no budget speaks of it: {short(money, MONEY)} of the plan ({some(where)})." if abs(money) > ROUNDING else ""


def revenue_bridge(bars: pd.DataFrame) -> pd.DataFrame:
    """From last year's revenue to the plan's: price, volume, mix, items new and lost."""
    mine = bars[bars["bridge"] == "price–volume–mix"]
    totals = mine.loc[mine["kind"] == "total", "amount_amt"]
    change = signed(short(totals.iloc[-1] - totals.iloc[0], MONEY)) if len(totals) else ""
    view = bridge(mine, f"Revenue {change} against the same periods a year before")
    return view if len(mine) else as_view(view, "", empty="There is no year of history to compare the plan with.")


def profit_bridge(bars: pd.DataFrame) -> pd.DataFrame:
    """From the plan's revenue to its profit, one step per cost."""
    mine = bars[bars["bridge"] == "revenue to profit"]
    totals = mine.loc[mine["kind"] == "total", "amount_amt"]
    kept = percent(quotient(totals.iloc[-1], totals.iloc[0])) if len(totals) else ""
    return bridge(mine, f"Profit is {kept} of revenue")


def _few_steps(bars: pd.DataFrame, top: int) -> pd.DataFrame:
    """The bars with all but the `top` largest steps between two totals added up as `Others`."""
    section = (bars["kind"] == "total").cumsum()
    rank = bars["amount_amt"].abs().where(bars["kind"] == "step").groupby(section).rank(ascending=False, method="first")
    is_small = (bars["kind"] == "step") & (rank > top)
    named = bars.assign(section=section, is_small=is_small, bar=bars["bar"].where(~is_small, OTHER))
    merged = named.groupby(["section", "is_small", "bar"], as_index=False, sort=False).agg(
        {**dict.fromkeys(("bridge", "sequence", "kind", "definition"), "first"), "amount_amt": "sum"}
    )
    return merged.sort_values(["section", "is_small", "sequence"], ignore_index=True)


def bridge(bars: pd.DataFrame, title: str = "") -> pd.DataFrame:
    """A bridge ready to draw: where each bar starts and ends, totals standing on zero."""
    needs(bars, "bridge")
    is_step = bars["kind"] == "step"
    reached = _running_total(bars["amount_amt"], is_step)
    rows = bars.assign(to_amt=reached, from_amt=(reached - bars["amount_amt"]).where(is_step, 0.0), position=range(len(bars)))
    words = "; ".join(rows.loc[is_step, "definition"].drop_duplicates())
    return as_view(
        rows[["position", "bar", "kind", "amount_amt", "from_amt", "to_amt"]], title, f"Steps: {words}.", "There is no bridge to show."
    )


def _running_total(amounts: pd.Series, is_step: pd.Series) -> pd.Series:
    """The height reached after each bar: a total starts anew, a step goes on."""
    section = (~is_step).cumsum()
    return amounts.groupby(section).cumsum()


def inventory_money(financial_projection: pd.DataFrame, top: int = 6) -> pd.DataFrame:
    """Projected stock in money by family and period."""
    needs(financial_projection, "financial_projection")
    held = financial_projection.groupby("family")["inventory_amt"].sum()
    rows = with_largest(financial_projection[financial_projection["family"].isin(held[held > 0].index)], "family", "inventory_amt", top)
    rows = rows.groupby(["family", "period"], as_index=False)["inventory_amt"].sum()
    totals = rows.groupby("period")["inventory_amt"].sum()
    title = f"Stock goes from {short(totals.iloc[0], MONEY)} to {short(totals.iloc[-1], MONEY)}" if len(totals) else ""
    return as_view(rows, title, "Closing stock at standard cost.", "No stock is projected.")


def goal_alignment(goal_alignment: pd.DataFrame) -> pd.DataFrame:
    """What must be true to reach each year's goal, largest worth first, in words."""
    needs(goal_alignment, "goal_alignment")
    rows = goal_alignment.sort_values(["year", "sequence"])
    years = rows.drop_duplicates("year")
    title = "; ".join(f"{year}: {signed(short(gap, MONEY))} against {goal}"
                      for year, gap, goal in zip(years["year"], years["gap_amt"], years["goal"], strict=True))
    shown = rows[["year", "member_name", "needed_qty", "unit", "price_amt", "closes_amt", "left_amt", "sentence"]]
    names = {"member_name": "what_must_give", "needed_qty": "needed_alone", "price_amt": "worth_of_one_more_amt"}
    return as_view(shown.rename(columns=names), title, "Closes = worth of one more unit, as far as that price holds; left = gap after it.",
                   "No budget covers the periods of this plan.")


def revenue_sources(revenue_source: pd.DataFrame) -> pd.DataFrame:
    """Revenue of the plan by period: run rate, new products and opportunities apart."""
    needs(revenue_source, "revenue_source")
    rows = revenue_source.groupby(["period", "source"], as_index=False)["revenue_amt"].sum()
    whole = rows["revenue_amt"].sum()
    apart = rows[rows["source"] != "run rate"].groupby("source")["revenue_amt"].sum()
    parts = ", ".join(f"{source} {percent(quotient(amount, whole))}" for source, amount in apart.items())
    title = f"Of {short(whole, MONEY)} revenue {parts or 'all is run rate'}" if len(rows) else ""
    return as_view(rows, title, "Opportunities = volume × probability × served share; new products by the weight of their launch curve.",
                   "The plan has no revenue.")


def estimate_gap(estimate_gap: pd.DataFrame) -> pd.DataFrame:
    """Plan against the last locked one by family: revenue, gross margin and profit over the periods both cover."""
    needs(estimate_gap, "estimate_gap")
    measures = ["last_revenue_amt", "revenue_amt", "revenue_gap_amt", "gross_margin_gap_amt", "profit_gap_amt"]
    rows = estimate_gap.groupby("family", as_index=False)[measures].sum()
    rows = rows.sort_values("revenue_gap_amt", key=lambda v: -v.abs(), kind="stable", ignore_index=True)
    last = ", ".join(estimate_gap["last_cycle_id"].unique())
    title = f"Revenue {signed(short(rows['revenue_gap_amt'].sum(), MONEY))} against the last estimate ({last})" if len(rows) else ""
    return as_view(rows, title, "Gap = this plan − the last locked plan.",
                   "No cycle was locked before this one: there is no last estimate.")


def last_plan_bridge(bars: pd.DataFrame) -> pd.DataFrame:
    """From the last locked plan's revenue to this one's: price, volume, mix, items new to the plan and gone from it."""
    mine = bars[bars["bridge"] == "last plan to this plan"]
    totals = mine.loc[mine["kind"] == "total", "amount_amt"]
    change = signed(short(totals.iloc[-1] - totals.iloc[0], MONEY)) if len(totals) else ""
    view = bridge(mine, f"Revenue {change} against the last locked plan")
    return view if len(mine) else as_view(view, "", empty="No cycle was locked before this one: there is no plan to compare with.")


def gap_heat_map(budget_gap: pd.DataFrame) -> pd.DataFrame:
    """Plan less budget by family and period, in money and as a share of budget."""
    needs(budget_gap, "budget_gap")
    known = budget_gap.dropna(subset=["budget_revenue_amt"])
    rows = known.groupby(["family", "period"], as_index=False)[["budget_revenue_amt", "gap_amt"]].sum()
    rows["gap_ratio"] = rows["gap_amt"] / rows["budget_revenue_amt"].where(rows["budget_revenue_amt"] != 0)
    return as_view(
        rows,
        gap_title("The plan", rows["gap_amt"].sum(), rows["budget_revenue_amt"].sum(), rows["period"].nunique()) if len(rows) else "",
        "Gap = plan − budget, revenue; the number is the gap in thousands, the colour its share of budget." + _left_out(budget_gap),
        "No budget covers the periods of this plan.",
    )


def cash(cash_projection: pd.DataFrame) -> pd.DataFrame:
    """Closing cash by period with its low point."""
    needs(cash_projection, "cash_projection")
    low = cash_projection[cash_projection["is_low_point"].astype(bool)].head(1)
    title = "".join(
        f"Cash is lowest in {label}: {short(amount, MONEY)}"
        for label, amount in zip(period_labels(low["period"]), low["closing_cash_amt"], strict=True)
    )
    basis = "; ".join(cash_projection["basis"].dropna().unique())
    return as_view(
        cash_projection[["period", "operating_cash_amt", "closing_cash_amt", "is_low_point"]],
        title,
        f"Closing cash = opening cash + collected from customers − paid. {basis}",
        "No cash projection: the financial review has not run.",
    )
