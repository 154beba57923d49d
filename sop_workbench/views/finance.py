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
    return _revenue_change(bars, "price–volume–mix", "the same periods a year before",
                           "There is no year of history to compare the plan with.")


def _revenue_change(bars: pd.DataFrame, name: str, against: str, empty: str) -> pd.DataFrame:
    """The bridge of that name between two revenues, with their difference in its title."""
    mine = bars[bars["bridge"] == name]
    totals = mine.loc[mine["kind"] == "total", "amount_amt"]
    change = signed(short(totals.iloc[-1] - totals.iloc[0], MONEY)) if len(totals) else ""
    view = bridge(mine, f"Revenue {change} against {against}")
    return view if len(mine) else as_view(view, "", empty=empty)


def profit_bridge(bars: pd.DataFrame) -> pd.DataFrame:
    """From the plan's revenue to its profit, one step per cost."""
    mine = bars[bars["bridge"] == "revenue to profit"]
    totals = mine.loc[mine["kind"] == "total", "amount_amt"]
    kept = percent(quotient(totals.iloc[-1], totals.iloc[0])) if len(totals) else ""
    view = bridge(mine, f"Profit is {kept} of revenue")
    view.attrs["note"] = "Each step is one kind of cost, over all periods of the plan."
    return view


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
    rows = rows.assign(year=rows["year"].astype(str), price_amt=rows["price_amt"].where(rows["limit"] != "demand"))
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
    return _revenue_change(bars, "last plan to this plan", "the last locked plan",
                           "No cycle was locked before this one: there is no plan to compare with.")


def gap_heat_map(budget_gap: pd.DataFrame, top: int = 15) -> pd.DataFrame:
    """Plan less budget by family and period, in money and as a share of budget; beyond the largest budgets the others together."""
    needs(budget_gap, "budget_gap")
    known = budget_gap.dropna(subset=["budget_revenue_amt"])
    rows = with_largest(known, "family", "budget_revenue_amt", top)
    rows = rows.groupby(["family", "period"], as_index=False)[["budget_revenue_amt", "gap_amt"]].sum()
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
        f"Closing cash = opening cash + collected from customers − paid. Opening balances from {basis}.",
        "No cash projection: the financial review has not run.",
    )


_STATEMENT_LINES = {
    "revenue_amt": "Revenue", "cogs_amt": "Sales at standard cost", "actual_cogs_amt": "Sales at actual cost",
    "gross_margin_amt": "Gross margin", "overtime_cost_amt": "Overtime", "freight_cost_amt": "Freight",
    "holding_cost_amt": "Holding stock", "other_variance_amt": "Other variance", "overhead_amt": "Overhead", "ebit_amt": "EBIT",
    "inventory_amt": "Stock at the end", "receivable_amt": "Receivables at the end",
    "payable_amt": "Payables at the end", "operating_cash_amt": "Operating cash", "cash_to_date_amt": "Operating cash so far",
}
_SHORT_NAMES = {"overtime_cost_amt": "overtime", "freight_cost_amt": "freight", "holding_cost_amt": "holding", "inventory_amt": "stock",
                "receivable_amt": "owed_to_us", "payable_amt": "we_owe", "operating_cash_amt": "cash", "lowest_cash_amt": "lowest_cash",
                "last_gross_margin_amt": "last_margin"}
_NO_STATEMENT = "No statement: the financial review has not run."
_BALANCES = ("inventory_amt", "receivable_amt", "payable_amt", "cash_to_date_amt")
_ATTRIBUTED = ("Costs of no region go to the regions their family is sold in, costs of no family to all, by sales at standard cost; "
               "overhead by revenue. Families and regions sum to the company.")


def statement(
    financial_statement: pd.DataFrame, family: str | None = None, region: str | None = None, periods: int = 12
) -> pd.DataFrame:
    """The statement by period with the books of the last period beside it: of the company, a family, a region or both.

    Parameters
    ----------
    financial_statement : DataFrame
        The table of this name.
    family, region : str, optional
        Only this one.
    periods : int
        Planned periods shown; the total covers them.
    """
    needs(financial_statement, "financial_statement")
    mine = financial_statement[financial_statement["family"].eq(family) | (family is None)]
    mine = mine[mine["region"].eq(region) | (region is None)]
    plan, past = (mine[mine["source"] == source] for source in ("plan", "actual"))
    sums = _by_period(first_periods(plan, periods))
    sums["cash_to_date_amt"] = sums["operating_cash_amt"].cumsum()
    lines = [c for c in _STATEMENT_LINES if sums[c].notna().any()]
    wide = sums[lines].T.set_axis(period_labels(sums.index.to_series()).tolist(), axis=1)
    wide["Total"] = [sums[c].iloc[-1] if c in _BALANCES else sums[c].sum() for c in lines] if len(sums) else []
    last = _by_period(past[past["period"] == past["period"].max()])
    if len(last):
        wide.insert(0, f"{period_labels(last.index.to_series()).iloc[0]} actual", last.reindex(columns=lines).iloc[0])
    wide = wide / 1000
    wide.insert(0, "line", [_STATEMENT_LINES[c] for c in lines])
    low = sums["cash_to_date_amt"]
    whose = ", ".join(name for name in (family, region) if name) or "The company"
    title = f"{whose}: EBIT {short(sums['ebit_amt'].sum(), MONEY)} on revenue of {short(sums['revenue_amt'].sum(), MONEY)}"
    if len(low) and low.min() < 0:
        title += f"; {_low_words(low)}"
    view = as_view(wide if len(sums) else wide.iloc[:0], title if len(sums) else "",
                   f"Thousand {MONEY}. {_ATTRIBUTED} Total: the sum; of balances the end.", _NO_STATEMENT)
    view.attrs["bold"] = ["Revenue", "Gross margin", "EBIT", "Operating cash"]
    return view


def _by_period(rows: pd.DataFrame) -> pd.DataFrame:
    """Lines added up by period; a line that nobody books stays empty."""
    return rows.groupby("period")[[c for c in _STATEMENT_LINES if c in rows.columns]].sum(min_count=1)


def _low_words(so_far: pd.Series) -> str:
    """Where operating cash, added up, is lowest."""
    return f"operating cash so far is lowest in {period_labels(pd.Series([so_far.idxmin()])).iloc[0]}: {short(so_far.min(), MONEY)}"


def statement_by(financial_statement: pd.DataFrame, by: str = "family") -> pd.DataFrame:
    """The statement of the horizon by family or region, with the last period's books beside it, and the total below.

    Parameters
    ----------
    financial_statement : DataFrame
        The table of this name.
    by : str
        family or region.
    """
    needs(financial_statement, "financial_statement")
    plan, past = (financial_statement[financial_statement["source"] == source] for source in ("plan", "actual"))
    last = past[past["period"] == past["period"].max()]
    every = plan.assign(**{by: "Total"})
    rows = pd.concat([_horizon_of(plan, by).sort_values("revenue_amt", ascending=False), _horizon_of(every, by)])
    before = pd.concat([last, last.assign(**{by: "Total"})]).groupby(by)[["revenue_amt", "gross_margin_amt"]].sum(min_count=1)
    rows[["last_revenue_amt", "last_gross_margin_amt"]] = before.reindex(rows.index)
    rows["margin_ratio"] = rows["gross_margin_amt"] / rows["revenue_amt"].where(rows["revenue_amt"] != 0)
    columns = ["revenue_amt", "gross_margin_amt", "margin_ratio", "overtime_cost_amt", "freight_cost_amt", "holding_cost_amt", "ebit_amt",
               "inventory_amt", "receivable_amt", "payable_amt", "operating_cash_amt", "lowest_cash_amt", "last_revenue_amt",
               "last_gross_margin_amt"]
    shown = rows[columns].rename_axis(by).reset_index()
    money = [c for c in columns if c.endswith("_amt")]
    shown[money] = shown[money] / 1000
    shown = shown.rename(columns={c: _SHORT_NAMES.get(c, c.removesuffix("_amt")) for c in money})
    when = period_labels(last["period"].head(1)).iloc[0] if len(last) else "no books"
    view = as_view(
        shown, f"The statement by {by}: horizon, and the books of {when}" if len(plan) else "",
        f"Thousand {MONEY}. Last: books of {when}. Stock and what is owed at the end of the horizon; lowest cash: the least that operating "
        f"cash reaches, added up. {_ATTRIBUTED}", _NO_STATEMENT)
    view.attrs["bold"] = ["Total"]
    return view


def _horizon_of(plan: pd.DataFrame, by: str) -> pd.DataFrame:
    """Sums of flows over the horizon, balances at its end, and the low point of cash, by member."""
    flows = plan.groupby(by)[[c for c in _STATEMENT_LINES if c not in (*_BALANCES, "actual_cogs_amt")]].sum()
    ends = plan[plan["period"] == plan["period"].max()].groupby(by)[[c for c in _BALANCES if c in plan.columns]].sum()
    so_far = plan.groupby([by, "period"])["operating_cash_amt"].sum().groupby(by).cumsum()
    return flows.join(ends).assign(lowest_cash_amt=so_far.groupby(by).min().clip(upper=0.0))
