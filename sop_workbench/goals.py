"""The plan beside what was promised: the last estimate, where revenue comes from, and what must be true to reach the year's goal.

What must be true is priced by the plan's own limits: the worth of one more unit of each binding limit, as far as that price holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sop_workbench import finance
from sop_workbench.settings import Settings
from sop_workbench.tables import table, validate

RUN_RATE, NEW_PRODUCT, OPPORTUNITY = "run rate", "new products", "opportunities"
_KEY = ["item_id", "market_id", "period"]
_PIPELINE = "pipeline"
_DEMAND = "demand"


def revenue_sources(
    unmet_demand: pd.DataFrame, launch_forecast: pd.DataFrame, demand_stream: pd.DataFrame, item: pd.DataFrame
) -> pd.DataFrame:
    """Revenue of the plan apart by where it comes from: the run rate, new products and opportunities not won yet.

    opportunities = pipeline volume × served share × price, at most the row's revenue; new products = what is left × the launch
    curve's weight; run rate = the rest. The three sum to the plan's revenue.

    Parameters
    ----------
    unmet_demand : DataFrame
        Served quantity and price of the plan.
    launch_forecast : DataFrame
        Items too young for a statistical model, with the weight of their launch curve.
    demand_stream : DataFrame
        Its stream `pipeline` is volume × probability of the open deals the plan holds.
    item : DataFrame
        Families.

    Returns
    -------
    DataFrame
        The `revenue_source` table.
    """
    pipeline = demand_stream[demand_stream["stream"] == _PIPELINE].groupby(_KEY, as_index=False)["demand_qty"].sum()
    rows = unmet_demand.merge(pipeline.rename(columns={"demand_qty": "pipeline_qty"}), on=_KEY, how="left", validate="1:1")
    rows = rows.merge(launch_forecast[[*_KEY, "weight_ratio"]], on=_KEY, how="left", validate="1:1")
    # No row in the pipeline: no open deal there. No launch curve: not a new product.
    rows = rows.fillna({"pipeline_qty": 0.0, "weight_ratio": 0.0})
    revenue = rows["served_qty"] * rows["price_amt"]
    revenue = rows["revenue_amt"].fillna(revenue) if "revenue_amt" in rows else revenue
    share = (rows["pipeline_qty"] / rows["demand_qty"].where(rows["demand_qty"] > 0)).clip(upper=1).fillna(0.0)
    opportunity = revenue * share
    new = (revenue - opportunity) * rows["weight_ratio"]
    amounts = {RUN_RATE: revenue - opportunity - new, NEW_PRODUCT: new, OPPORTUNITY: opportunity}
    family = rows["item_id"].map(finance.family_of(item))
    parts = [pd.DataFrame({"family": family, "period": rows["period"], "source": name, "revenue_amt": amount})
             for name, amount in amounts.items()]
    found = pd.concat(parts, ignore_index=True).groupby(["family", "period", "source"], as_index=False)["revenue_amt"].sum()
    return validate("revenue_source", found[found["revenue_amt"] != 0].reset_index(drop=True))


def estimate_gap(projection: pd.DataFrame, last_projection: pd.DataFrame, last_cycle_id: str) -> pd.DataFrame:
    """Plan against the last estimate: what the cycle locked before expected of the same periods.

    gap = this plan − last locked plan, by family, region and period; a plan speaks for everything, so that a family or region in only one
    of them was planned at zero in the other (unlike a budget, which may be silent). Periods that only one of the plans covers are left out.

    Parameters
    ----------
    projection, last_projection : DataFrame
        `financial_projection` of this cycle and of the one locked before.
    last_cycle_id : str
        Name of that cycle.

    Returns
    -------
    DataFrame
        The `estimate_gap` table.
    """
    measures = ["revenue_amt", "gross_margin_amt", "profit_amt"]
    shared = projection["period"][projection["period"].isin(last_projection["period"])].unique()
    now, before = (p[p["period"].isin(shared)].groupby(finance.KEY)[measures].sum() for p in (projection, last_projection))
    both = now.join(before.add_prefix("last_"), how="outer").fillna(0.0)
    for measure in measures:
        both[f"{measure.removesuffix('_amt')}_gap_amt"] = both[measure] - both[f"last_{measure}"]
    both = both[(both != 0).any(axis=1)].reset_index().assign(last_cycle_id=last_cycle_id)
    return validate("estimate_gap", both)


def goal_alignment(budget_gap: pd.DataFrame, binding_limit: pd.DataFrame, settings: Settings, top: int = 8) -> pd.DataFrame:
    """Say what must be true to close the gap to each year's goal, priced by the limits that bind the plan.

    What no budget speaks of is no part of the goal. The goal is the budgeted gross margin where every budget row states one, else budgeted
    revenue at the plan's own margin. A limit
    closes price × room, where the room is how much more of it its price holds for; where the room was not worked out only the quantity
    needed at that price is told. What the limits do not close takes demand at the plan's margin.

    needed = gap / price; closes = min(gap left, Σ over periods of price × (end of the price's range − limit))

    Parameters
    ----------
    budget_gap, binding_limit : DataFrame
        Result tables of the plan.
    settings : Settings
        Currency of the sentences.
    top : int
        Limits named for each year.

    Returns
    -------
    DataFrame
        The `goal_alignment` table; empty where there is no budget, one row for a year whose goal is met.
    """
    gap = finance.budgeted(budget_gap)
    parts = [_year(int(year), rows, binding_limit, settings, top) for year, rows in gap.groupby(gap["period"].dt.year)]
    return validate("goal_alignment", pd.concat(parts, ignore_index=True)) if parts else table("goal_alignment").empty()


def _year(year: int, gap: pd.DataFrame, binding_limit: pd.DataFrame, settings: Settings, top: int) -> pd.DataFrame:
    goal, plan, margin, word = _goal(gap)
    short = goal - plan
    common = {"year": year, "goal": word, "goal_amt": goal, "plan_amt": plan, "gap_amt": plan - goal}
    if short <= 0:
        met = f"The plan reaches the {word} of {year}: {plan:,.0f} against {goal:,.0f} {settings.currency}."
        return pd.DataFrame([{**common, **_row("none", "goal met", "", "", np.nan, 0.0, np.nan, np.nan, 0.0, 0.0, met), "sequence": 1}])
    limits = _priced(binding_limit[binding_limit["period"].isin(gap["period"])]).head(top)
    rows, left = [], short
    for limit in limits.itertuples():
        closes = min(left, limit.room_amt) if limit.room_amt == limit.room_amt else 0.0  # room not worked out: nothing is promised
        left -= closes
        said = _limit_sentence(limit, short, closes, settings)
        rows.append(_row(limit.limit, limit.name, limit.member, limit.unit, limit.price_amt, short / limit.price_amt, limit.room_qty,
                         limit.room_amt, closes, left, said))
    if left > 0:
        revenue = left / margin if margin > 0 else np.nan
        said = "The plan earns no margin: more demand alone does not close the gap."
        if margin > 0:
            said = (f"{left:,.0f} {settings.currency} are left to demand: {revenue:,.0f} {settings.currency} more revenue at the plan's "
                    f"margin of {margin:.0%}, with capacity to serve it.")
        rows.append(_row(_DEMAND, "more demand", "", settings.currency, margin, revenue, np.nan, np.nan, left, 0.0, said))
    return pd.DataFrame([{**common, **row, "sequence": n} for n, row in enumerate(rows, start=1)])


def _goal(gap: pd.DataFrame) -> tuple[float, float, float, str]:
    """Goal and plan in gross margin, the plan's margin ratio, and how the goal is called."""
    revenue, earned = gap["revenue_amt"].sum(), gap["gross_margin_amt"].sum()
    margin = earned / revenue if revenue else 0.0
    if gap["budget_margin_amt"].notna().all():
        return float(gap["budget_margin_amt"].sum()), float(earned), margin, "budgeted gross margin"
    return float(gap["budget_revenue_amt"].sum() * margin), float(earned), margin, "budgeted revenue at the plan's margin"


def _priced(binding_limit: pd.DataFrame) -> pd.DataFrame:
    """Limits over their periods: mean price, how much more the prices hold for, and what that is worth; largest worth first."""
    rows = binding_limit[binding_limit["price_amt"] > 0]
    rows = rows.assign(name=rows["member_name"].where(rows["member_name"] != "", rows["member"]),
                       room_qty=(rows["range_high_qty"] - rows["limit_qty"]).clip(lower=0))
    rows["room_amt"] = rows["room_qty"] * rows["price_amt"]
    groups = rows.groupby(["limit", "member", "name", "unit"], as_index=False).agg(
        price_amt=("price_amt", "mean"), room_qty=("room_qty", lambda q: q.sum(min_count=1)),
        room_amt=("room_amt", lambda a: a.sum(min_count=1)), periods=("period", "nunique"))
    return groups.sort_values(["room_amt", "price_amt", "member"], ascending=[False, False, True], na_position="last", ignore_index=True)


def _limit_sentence(limit: Any, short: float, closes: float, settings: Settings) -> str:
    name, unit, price, periods = limit.name, limit.unit, limit.price_amt, limit.periods
    start = (f"{name} ({limit.limit}, {periods} period{'' if periods == 1 else 's'}): "
             f"{short / price:,.0f} {unit} more at {price:,.2f} {settings.currency} would close the gap alone")
    if limit.room_qty != limit.room_qty:
        return f"{start}; how far that price holds was not worked out."
    return f"{start}; the price holds for {limit.room_qty:,.0f}, which close {closes:,.0f} {settings.currency}."


def _row(limit: str, name: str, member: str, unit: str, price: float, needed: float, room: float, room_amt: float, closes: float,
         left: float, sentence: str) -> dict:
    return {"limit": limit, "member_name": name, "member": member, "unit": unit, "price_amt": price, "needed_qty": needed, "room_qty": room,
            "room_amt": room_amt, "closes_amt": closes, "left_amt": left, "sentence": sentence}
