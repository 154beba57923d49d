"""What may still become of the demand plan, in money: the pipeline deal by deal, the range, promotions; and the gap to budget."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.demand import run_rate_by_place
from sop_workbench.finance import ALL_FAMILIES, ALL_REGIONS, own_widths
from sop_workbench.periods import Calendar

_RISK_COLUMNS = [
    "kind", "source", "member", "title", "money_amt", "probability_ratio", "from_period", "to_period", "is_in_plan", "evidence",
]  # fmt: skip
RISK, OPPORTUNITY = "risk", "opportunity"
_TOTALS = {"family": ALL_FAMILIES, "region": ALL_REGIONS}
_WHOLE = {ALL_FAMILIES, ALL_REGIONS, "all", "total", ""}


def pipeline_lines(
    opportunity: pd.DataFrame,
    consensus_demand: pd.DataFrame,
    sales_history: pd.DataFrame,
    inputs: Mapping[str, pd.DataFrame],
    periods: pd.DatetimeIndex,
    calendar: Calendar,
) -> pd.DataFrame:
    """Say of every deal how much of it the plan holds, and why no unit is counted twice.

    A deal counts with volume × probability in its close period, unless it is part of the run rate (its units are in the history that
    the forecast carries on) or closes outside the periods planned. Beside it stands what the place sold lately, a month: a deal that
    is no more than what is sold there anyway deserves the question whether it is not in the run rate.

    Parameters
    ----------
    opportunity, consensus_demand, sales_history : DataFrame
        Tables of the cycle; the consensus gives the price.
    inputs : mapping of DataFrame
        item, market.
    periods : DatetimeIndex
        The horizon.

    Returns
    -------
    DataFrame
        `pipeline_line`, by close period.
    """
    lines = opportunity.copy()
    outside = ~lines["close_period"].isin(periods)
    lines["counted_qty"] = np.where(lines["is_in_run_rate"] | outside, 0.0, lines["volume_qty"] * lines["probability_ratio"])
    rate = run_rate_by_place(sales_history, inputs["item"], calendar)
    lines["run_rate_qty"] = [_rate_of(row, rate) for row in lines.to_dict("records")]
    lines["price_amt"] = [_price_of(row, consensus_demand, inputs["item"]) for row in lines.to_dict("records")]
    lines["expected_amt"] = lines["counted_qty"] * lines["price_amt"]
    lines["reason"] = [_counting(row, is_out, periods, calendar) for row, is_out in zip(lines.to_dict("records"), outside, strict=True)]
    columns = list(tables.table("pipeline_line").columns)
    return tables.validate("pipeline_line", lines[columns].sort_values(["close_period", "opportunity_id"], ignore_index=True))


def _rate_of(row: Mapping, rate: pd.DataFrame) -> float:
    """Units a period that the deal's item (else family) sold in its market lately; none sold is 0."""
    inside = rate["market_id"] == row["market_id"]
    column = "item_id" if isinstance(row["item_id"], str) and row["item_id"] else "family"
    return float(rate.loc[inside & (rate[column] == row[column]), "rate_qty"].sum())


def _price_of(row: Mapping, consensus_demand: pd.DataFrame, item: pd.DataFrame) -> float:
    """Mean price of what the deal is about, in its market where that is planned, else in all."""
    family = item.set_index("item_id")["family"]
    is_item = isinstance(row["item_id"], str) and row["item_id"] != ""
    rows = consensus_demand[
        consensus_demand["item_id"] == row["item_id"] if is_item else consensus_demand["item_id"].map(family) == row["family"]
    ]
    here = rows[rows["market_id"] == row["market_id"]]
    rows = here if here["demand_qty"].sum() > 0 else rows
    quantity = rows["demand_qty"].sum()
    return rows["revenue_amt"].sum() / quantity if quantity > 0 else np.nan


def _counting(row: Mapping, is_outside: bool, periods: pd.DatetimeIndex, calendar: Calendar) -> str:
    if row["is_in_run_rate"]:
        return f"in the run rate already ({row['run_rate_qty']:,.0f} a {calendar.bucket} sold there lately): counted there, not here"
    if is_outside and row["close_period"] < periods[0]:
        return "its close period is over: mark it won or lost, or move it"
    if is_outside:
        return f"closes after the last period planned ({calendar.cycle_id(periods[-1])})"
    words = f"counted in {calendar.cycle_id(row['close_period'])}: {row['volume_qty']:,.0f} × {row['probability_ratio']:.0%}"
    if 0 < row["volume_qty"] <= row["run_rate_qty"]:
        words += f"; no more than the {row['run_rate_qty']:,.0f} a {calendar.bucket} sold there anyway: is it in the run rate?"
    return words


def risks_and_opportunities(
    consensus_demand: pd.DataFrame,
    pipeline_line: pd.DataFrame,
    promotion_case: pd.DataFrame,
    driver_effect: pd.DataFrame,
    item: pd.DataFrame,
    interval: float,
    forecast_range: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What could take demand below or above the plan, each in money with its chance.

    Range: half-width of a family's range over the horizon, with the chance of lying beyond it: by the family's own past errors where
    `forecast_range` has them, else with an item's errors moving together over markets and periods and items independent. Pipeline: an
    open deal holds volume × probability × price in the plan; if lost that much is missing (chance 1 − probability), if won the rest
    comes on top (chance = probability). Promotions: planned ones at the low and high end of their uplift; ideas with what they would
    bring. Expected money = money × chance.

    Parameters
    ----------
    consensus_demand, pipeline_line, promotion_case, driver_effect, item : DataFrame
        Tables of the cycle.
    interval : float
        Share of outcomes that the range of the consensus holds.
    forecast_range : DataFrame, optional
        Ranges of sums, as the forecast wrote them.

    Returns
    -------
    DataFrame
        `risk_opportunity`, most expected money first.
    """
    rows = _range_rows(consensus_demand, item, interval, forecast_range)
    rows += _deal_rows(pipeline_line, item.set_index("item_id")["item_name"]) + _promotion_rows(promotion_case, driver_effect)
    made = pd.DataFrame(rows, columns=_RISK_COLUMNS)
    made = made[made["money_amt"] != 0].reset_index(drop=True)
    made["expected_amt"] = made["money_amt"] * made["probability_ratio"]
    # Without a chance there is no expected money to sort by: those come last.
    order = made["expected_amt"].abs().fillna(0.0)
    made = made.assign(order=order).sort_values(["order", "source", "member", "kind"], ascending=[False, True, True, True])
    made["risk_id"] = [f"{row['source']}-{row['member']}-{row['kind']}" for row in made.to_dict("records")]
    return tables.validate("risk_opportunity", made[list(tables.table("risk_opportunity").columns)].reset_index(drop=True))


def _range_rows(
    consensus_demand: pd.DataFrame, item: pd.DataFrame, interval: float, forecast_range: pd.DataFrame | None
) -> list[dict]:
    if consensus_demand.empty:
        return []
    price = consensus_demand["price_amt"]
    half = consensus_demand.assign(
        below=(consensus_demand["demand_qty"] - consensus_demand["low_qty"]) * price,
        above=(consensus_demand["high_qty"] - consensus_demand["demand_qty"]) * price,
    )
    by_item = half.groupby("item_id", as_index=False)[["below", "above"]].sum()
    by_item = by_item.merge(item[["item_id", "family"]], on="item_id", how="left", validate="one_to_one")
    squares = by_item.assign(below=by_item["below"] ** 2, above=by_item["above"] ** 2).groupby("family")[["below", "above"]].sum() ** 0.5
    if forecast_range is not None and len(forecast_range):
        at_interval = forecast_range[np.isclose(forecast_range["coverage_ratio"], interval)]
        valued = consensus_demand.merge(item[["item_id", "family"]], on="item_id", how="left", validate="many_to_one")
        squares.update(own_widths(valued.rename(columns={"family": "member"}), at_interval, "family"))
    first, last, chance = consensus_demand["period"].min(), consensus_demand["period"].max(), (1 - interval) / 2
    told = {"from_period": first, "to_period": last, "probability_ratio": chance, "is_in_plan": False, "source": "range"}
    words = f"width of the {interval:.0%} range of past errors, over the horizon"
    rows = []
    for family, widths in squares.iterrows():
        for kind, column, sign, side in ((RISK, "below", -1, "low"), (OPPORTUNITY, "above", 1, "high")):
            title = f"{family}: demand at the {side} end of its range"
            rows.append({**told, "kind": kind, "member": family, "title": title, "money_amt": sign * widths[column], "evidence": words})
    return rows


def _deal_rows(pipeline_line: pd.DataFrame, names: pd.Series) -> list[dict]:
    rows = []
    for deal in pipeline_line[(pipeline_line["counted_qty"] > 0) & pipeline_line["price_amt"].notna()].to_dict("records"):
        chance, name = deal["probability_ratio"], names.get(deal["item_id"], deal["item_id"]) or deal["family"]
        closes = deal["close_period"]
        told = {"source": "pipeline", "member": deal["opportunity_id"], "from_period": closes, "to_period": closes}
        whole = deal["volume_qty"] * deal["price_amt"]
        where = f"{deal['volume_qty']:,.0f} of {name} for {deal['market_id']}"
        rows.append({**told, "kind": RISK, "title": f"Deal lost: {where}", "money_amt": -whole * chance, "probability_ratio": 1 - chance,
                     "is_in_plan": True, "evidence": deal["reason"]})  # fmt: skip
        rows.append({**told, "kind": OPPORTUNITY, "title": f"Deal won: {where}", "money_amt": whole * (1 - chance),
                     "probability_ratio": chance, "is_in_plan": False, "evidence": deal["reason"]})  # fmt: skip
    return [row for row in rows if row["probability_ratio"] > 0]


def _promotion_rows(promotion_case: pd.DataFrame, driver_effect: pd.DataFrame) -> list[dict]:
    """Planned promotions at either end of their uplift (95 %), ideas with their whole uplift and no chance stated."""
    uplift = driver_effect[driver_effect["measure"] == "uplift"].set_index("member")
    rows = []
    for case in promotion_case.to_dict("records"):
        told = {"source": "promotion", "member": case["event_id"], "from_period": case["from_period"], "to_period": case["to_period"],
                "evidence": f"{case['basis']}: {case['evidence']}"}  # fmt: skip
        if case["status"] == "idea":
            money = case["uplift_qty"] * case["price_amt"]
            rows.append({**told, "kind": OPPORTUNITY if money >= 0 else RISK, "title": f"Idea, not in the plan: promote {case['scope']}",
                         "money_amt": money, "probability_ratio": np.nan, "is_in_plan": False})  # fmt: skip
        elif case["scope"] in uplift.index:
            found = uplift.loc[[case["scope"]]].iloc[0]
            worth = case["base_qty"] * case["price_amt"]
            for kind, end, side in ((RISK, "low_ratio", "little"), (OPPORTUNITY, "high_ratio", "much")):
                money = (found[end] - case["uplift_ratio"]) * worth
                rows.append({**told, "kind": kind, "title": f"Promotion of {case['scope']} works as {side} as it ever may",
                             "money_amt": money, "probability_ratio": 0.025, "is_in_plan": True})  # fmt: skip
    return rows


def demand_gap(consensus_demand: pd.DataFrame, budget: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame) -> pd.DataFrame:
    """Unconstrained demand in units and money, with its range, beside the budget, by family, region and period.

    gap = demand − budget; where no budget is stated there is no gap. A budget for all families (or regions) of a period is held against
    the sum of demand; beside single ones it is left out, as it would count twice. Low and high are sums over items (everything at its
    low or high end at once), so they bound rather than estimate; `risk_opportunity` has a family's range with independent items.

    Returns
    -------
    DataFrame
        `demand_gap`.
    """
    rows = consensus_demand.merge(item[["item_id", "family"]], on="item_id", how="left", validate="many_to_one")
    rows = rows.merge(market[["market_id", "region"]], on="market_id", how="left", validate="many_to_one")
    rows = rows.assign(low_amt=rows["low_qty"] * rows["price_amt"], high_amt=rows["high_qty"] * rows["price_amt"])
    named = rows.assign(family=rows["family"].fillna("no family"), region=rows["region"].fillna("no region"))
    budget = budget[budget["period"].isin(named["period"])]
    for column, total in _TOTALS.items():
        is_whole = budget[column].str.strip().str.lower().isin(_WHOLE)
        single = set(budget.loc[~is_whole, "period"])
        named[column] = named[column].where(~named["period"].isin(set(budget["period"]) - single), total)
        budget = budget.assign(**{column: budget[column].where(~is_whole, total)})
        budget = budget[~is_whole | ~budget["period"].isin(single)]
    key = ["family", "region", "period"]
    sums = named.groupby(key, as_index=False)[["demand_qty", "low_qty", "high_qty", "revenue_amt", "low_amt", "high_amt"]].sum()
    planned = budget.groupby(key, as_index=False)[["volume_qty", "revenue_amt"]].sum(min_count=1)
    planned = planned.rename(columns={"volume_qty": "budget_qty", "revenue_amt": "budget_amt"})
    # A budget for what has no demand at all is a gap too: nothing is agreed on there.
    made = sums.merge(planned, on=key, how="outer", validate="one_to_one")
    agreed = [c for c in sums.columns if c not in key]
    made[agreed] = made[agreed].fillna(0.0)
    made = made.rename(columns={"revenue_amt": "demand_amt"})
    made["gap_qty"], made["gap_amt"] = made["demand_qty"] - made["budget_qty"], made["demand_amt"] - made["budget_amt"]
    columns = list(tables.table("demand_gap").columns)
    return tables.validate("demand_gap", made[columns].sort_values(key, ignore_index=True))
