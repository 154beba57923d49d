"""Views of the executive review: decisions and one set of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from sop_workbench.views.frames import as_view, needs, quotient, with_columns, with_item, with_largest
from sop_workbench.views.pre_sop import BOARD_KPIS, scenario_table
from sop_workbench.views.words import MONEY, OTHER, heading, in_unit, percent, period_labels, plural, short, signed


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


def family_outlook(financial_projection: pd.DataFrame, budget_gap: pd.DataFrame, family: str) -> pd.DataFrame:
    """Budget, unconstrained demand, plan, gross margin and closing stock of one family by period, in money.

    Parameters
    ----------
    financial_projection, budget_gap : DataFrame
        Tables of the financial review.
    family : str
        The family shown.

    Returns
    -------
    DataFrame
        period, budget_amt (empty where nothing is budgeted), demand_amt, revenue_amt, gross_margin_amt, inventory_amt; all planned periods.
    """
    needs(financial_projection, "financial_projection")
    needs(budget_gap, "budget_gap")
    measures = ["demand_amt", "revenue_amt", "gross_margin_amt", "inventory_amt"]
    rows = financial_projection[financial_projection["family"] == family].groupby("period")[measures].sum()
    mine = budget_gap[budget_gap["family"] == family].dropna(subset=["budget_revenue_amt"])
    rows["budget_amt"] = mine.groupby("period")["budget_revenue_amt"].sum(min_count=1)
    gap, whole = mine["gap_amt"].sum(), mine["budget_revenue_amt"].sum()
    plan = f"{family}: {short(rows['revenue_amt'].sum(), MONEY)} of revenue planned over {plural(len(rows), 'period')}"
    against = f", {short(abs(gap), MONEY)} ({percent(quotient(abs(gap), whole))}) {'below' if gap < 0 else 'above'} budget" if whole else ""
    return as_view(
        rows.reset_index()[["period", "budget_amt", "demand_amt", "revenue_amt", "gross_margin_amt", "inventory_amt"]],
        plan + against,
        "Demand = unconstrained demand at price; plan = revenue of what is served; gap over the budgeted periods and regions. "
        "Stock: closing stock at standard cost.",
        f"Nothing is planned for {family}.",
    )


def one_set_of_numbers(
    financial_projection: pd.DataFrame, budget_gap: pd.DataFrame, inventory_projection: pd.DataFrame, item: pd.DataFrame, top: int = 12
) -> pd.DataFrame:
    """Sales, production, stock, margin and cash by family beside the budget: :func:`family_numbers` with what is made and earned.

    The families that sell most stand first; beyond `top` of them the others are one row.

    Made: good units made and subcontracted at standard cost. Cash earned: revenue less all costs as they are spent, before payment
    days; bought parts, which belong to no family, stand in a row of their own.
    """
    needs(inventory_projection, "inventory_projection")
    numbers = family_numbers(financial_projection, budget_gap)
    budgeted = budget_gap.dropna(subset=["budget_revenue_amt"])
    covered = budgeted["period"] if len(budgeted) else financial_projection["period"]
    made = with_item(inventory_projection[inventory_projection["period"].isin(covered)], item, "family", "standard_cost_amt", "item_type")
    made = made[made["item_type"] == "finished"]
    worth = (made["produced_qty"] + made["subcontracted_qty"]) * made["standard_cost_amt"]
    earned = financial_projection[financial_projection["period"].isin(covered)].groupby("family")["profit_amt"].sum()
    more = pd.DataFrame({"production_amt": worth.groupby(made["family"]).sum(min_count=1), "cash_earned_amt": earned})
    more.loc["Total"] = more.sum(min_count=1)
    rows = numbers.merge(more.rename_axis("family").reset_index(), on="family", how="left", validate="one_to_one")
    rows = rows.rename(columns={"revenue_amt": "sales_amt"})
    rows["family"] = rows["family"].replace({"materials": "Bought parts"})
    rows = _largest_first(rows, top)
    columns = ["family", "sales_amt", "budget_amt", "gap_amt", "demand_amt", "production_amt", "inventory_amt", "gross_margin_amt",
               "margin_ratio", "cash_earned_amt"]
    view = as_view(rows[columns], numbers.attrs["title"],
                   "Sales = demand served at price. Gap = sales − budget, in the regions that have a budget. Production: made and "
                   "subcontracted at standard cost. Inventory: closing stock of the last period shown. Margin = gross margin / sales. "
                   "Cash earned = sales − all costs as spent, before payment days.", numbers.attrs["empty"])
    view.attrs["bold"] = ["Total"]
    return view


def _largest_first(rows: pd.DataFrame, top: int) -> pd.DataFrame:
    """Families by sales, what is beyond `top` in one row, bought parts and the total last."""
    is_last = rows["family"].isin(["Bought parts", "Total"])
    families = rows[~is_last].sort_values(["sales_amt", "family"], ascending=[False, True])
    if len(families) > top + 1:
        rest = families.iloc[top:]
        summed = rest.drop(columns=["family", "margin_ratio"]).sum(min_count=1)
        summed["family"], summed["margin_ratio"] = f"{len(rest)} other families", quotient(summed["gross_margin_amt"], summed["sales_amt"])
        families = pd.concat([families.head(top), summed.to_frame().T.infer_objects()])
    return pd.concat([families, rows[is_last]], ignore_index=True)


def demand_plan_budget(financial_projection: pd.DataFrame, budget_gap: pd.DataFrame, top: int = 6) -> pd.DataFrame:
    """Unconstrained demand, plan and budget in money by family and period, the largest families."""
    needs(financial_projection, "financial_projection")
    needs(budget_gap, "budget_gap")
    money = ["demand_amt", "revenue_amt"]
    rows = financial_projection.groupby(["family", "period"], as_index=False)[money].sum()
    rows = rows[rows.groupby("family")["demand_amt"].transform("sum") > 0]
    budget = budget_gap.groupby(["family", "period"], as_index=False)["budget_revenue_amt"].sum(min_count=1)
    rows = rows.merge(budget, on=["family", "period"], how="left", validate="one_to_one")
    rows = with_largest(rows, "family", "demand_amt", top).rename(columns={"family": "member", "budget_revenue_amt": "budget_amt"})
    rows = rows.groupby(["member", "period"], as_index=False)[[*money, "budget_amt"]].sum(min_count=1)
    size = rows.groupby("member")["demand_amt"].transform("sum").where(rows["member"] != OTHER, -1.0)
    rows = rows.assign(size=size).sort_values(["size", "member", "period"], ascending=[False, True, True]).drop(columns="size")
    lost = (rows["demand_amt"] - rows["revenue_amt"]).groupby(rows["member"]).sum()
    title = (f"{lost.idxmax()} has most demand that the plan does not serve: {short(lost.max(), MONEY)}"
             if len(lost) and lost.max() > 1 else "The plan serves the demand of every family")
    return as_view(rows, title, "Area: unconstrained demand at price; line: the plan (demand served); dashed: budget.",
                   "No financial projection: the supply review has not run.")


def kpi_trends(kpis: Mapping[str, pd.DataFrame], names: Sequence[str] = BOARD_KPIS) -> pd.DataFrame:
    """Every named KPI of the total by cycle, oldest first, each at its newest period of that cycle.

    Parameters
    ----------
    kpis : mapping
        The `kpi` table by name of its cycle.
    names : sequence of str
        KPIs wanted.
    """
    parts = [kpi[(kpi["level"] == "total") & kpi["kpi"].isin(names)].sort_values("period", kind="stable")
             .drop_duplicates("kpi", keep="last").assign(cycle_id=cycle) for cycle, kpi in sorted(kpis.items()) if len(kpi)]
    if not parts:
        return as_view(pd.DataFrame(columns=["kpi", "cycle_id", "value", "value_text"]), "", empty="No KPI was computed yet.")
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(value_text=[in_unit(v, u) for v, u in zip(rows["value"], rows["unit"], strict=True)])
    return as_view(rows[["kpi", "cycle_id", "value", "value_text"]], "KPIs by cycle")


def scenario_measures(scenario_comparison: pd.DataFrame, scenario: str) -> pd.DataFrame:
    """The measures of one scenario beside base, as `scenario_table` words them."""
    return scenario_table(scenario_comparison[scenario_comparison["scenario"] == scenario])


def cash_facts(cash_projection: pd.DataFrame) -> pd.DataFrame:
    """Opening, lowest and closing cash with what is collected and paid over the horizon, as named figures."""
    needs(cash_projection, "cash_projection")
    rows = cash_projection.sort_values("period")
    if rows.empty:
        return as_view(pd.DataFrame(columns=["figure", "value_text"]), "", empty="No cash projection: the financial review has not run.")
    low = rows.loc[rows["closing_cash_amt"].idxmin()]
    label = period_labels(pd.Series([low["period"]])).iloc[0]
    told = [("Opening cash", rows["opening_cash_amt"].iloc[0]), ("Collected", rows["collected_amt"].sum()),
            ("Paid", rows["paid_amt"].sum()),
            (f"Lowest, {label}", low["closing_cash_amt"]), ("Closing cash", rows["closing_cash_amt"].iloc[-1])]
    return as_view(pd.DataFrame([(name, short(value, MONEY)) for name, value in told], columns=["figure", "value_text"]), "Cash")


def what_if_words(measures: pd.DataFrame) -> str:
    """The change of a what-if in one sentence: profit, sales and service against base."""
    rows = measures.set_index("measure")
    said = [f"{heading(name)} {signed(short(rows.loc[name, 'delta'], MONEY))}" for name in ("profit", "revenue")]
    return f"{', '.join(said)}, fill rate {percent(rows.loc['fill rate', 'value'])}."
