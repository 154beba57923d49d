"""The weekly round (S&OE): what runs out, what comes late, where the next weeks are full, and who has to mend it.

It plans nothing itself: it holds last week's plan against what happened, and the new plan against the tolerances. What is inside
tolerance is mended in the week; what is outside becomes a change request to the monthly round.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sop_workbench import execution, inventory, kpi
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.tables import table, validate

AHEAD = 4  # weeks looked ahead
FIX, CHANGE_REQUEST = "fix it this week", "change request"
_MATERIAL_SHARE = 0.0002  # as of what is worth a decision in the monthly round
_KEY = ["kind", "level", "member", "period"]
_REQUEST_COLUMNS = ("request_id", "weekly_cycle_id", "kind", "level", "member", "period", "weeks_outside", "value", "tolerance",
                    "money_amt", "sentence")


def projected_stockouts(
    demand: pd.DataFrame, unmet_demand: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], periods: pd.DatetimeIndex, calendar: Calendar
) -> pd.DataFrame:
    """Finished items whose stock and open orders do not last, and whether the new plan brings more in time.

    stock[t] = stock[t−1] + open orders due in t − demand[t]; short in the first t where it falls below zero. Overdue orders count in
    the first period. Short demand of the plan is what it leaves lost or late at the end of the period.

    Parameters
    ----------
    demand : DataFrame
        Consensus demand.
    unmet_demand : DataFrame
        What the plan serves of it.
    inputs : mapping of DataFrame
        item, stock_on_hand, open_supply, production.
    periods : DatetimeIndex
        Periods looked at.
    calendar : Calendar
        Puts due days and lead times into periods.

    Returns
    -------
    DataFrame
        The `projected_stockout` table, most money short first.
    """
    item = inputs["item"].set_index("item_id")
    sold = demand[demand["period"].isin(periods) & demand["item_id"].isin(item.index[item["item_type"] == "finished"])]
    stock = inputs["stock_on_hand"].rename(columns={"on_hand_qty": "opening_qty"})
    stock = stock.assign(opening_qty=stock["opening_qty"].clip(lower=0))
    due = inputs["open_supply"].assign(period=calendar.periods_of(inputs["open_supply"]["due_date"]).clip(lower=periods[0]))
    due = due.rename(columns={"open_qty": "supply_qty"})
    cover = inventory.projected_cover(stock[["item_id", "opening_qty"]], sold, due[["item_id", "period", "supply_qty"]])
    rows = _first_short(cover)
    if rows.empty:
        return table("projected_stockout").empty()
    rows = rows.merge(_left_short(unmet_demand, periods), on=["item_id", "period"], how="left", validate="1:1")
    lead = calendar.lead_time_buckets(inputs["production"].groupby("item_id")["lead_time_days"].max())
    rows = rows.assign(
        family=rows["item_id"].map(item["family"]), item_name=rows["item_id"].map(item["item_name"]),
        lead_time_periods=rows["item_id"].map(lead),
        periods_until=[calendar.distance(periods[0], period) for period in rows["period"]])
    rows["is_within_lead_time"] = rows["periods_until"] < rows["lead_time_periods"].fillna(np.inf)  # bought or unknown: no production helps
    return validate("projected_stockout", rows.sort_values(["short_amt", "item_id"], ascending=[False, True], ignore_index=True))


def _first_short(cover: pd.DataFrame) -> pd.DataFrame:
    """The first period in which each item falls below zero, with what was needed and what was there until then."""
    cover = cover.sort_values(["item_id", "period"])
    sums = cover.groupby("item_id")[["demand_qty", "supply_qty"]].cumsum()
    cover = cover.assign(needed_qty=sums["demand_qty"], firm_qty=sums["supply_qty"])
    cover["on_hand_qty"] = cover["stock_qty"] + cover["needed_qty"] - cover["firm_qty"]
    first = cover[cover["stock_qty"] < -1e-6].drop_duplicates("item_id")
    first = first.assign(missing_qty=-first["stock_qty"])
    return first[["item_id", "period", "on_hand_qty", "firm_qty", "needed_qty", "missing_qty"]]


def _left_short(unmet_demand: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """What the plan leaves lost or late of each item at the end of each period, in units and at price."""
    mine = unmet_demand[unmet_demand["period"].isin(periods)]
    short = mine["lost_qty"] + mine["backlog_qty"]
    rows = mine.assign(plan_short_qty=short, short_amt=short * mine["price_amt"])
    return rows.groupby(["item_id", "period"], as_index=False)[["plan_short_qty", "short_amt"]].sum()


def late_supply(
    inputs: Mapping[str, pd.DataFrame], projected_stockout: pd.DataFrame, as_of: pd.Timestamp, calendar: Calendar, value: pd.Series
) -> pd.DataFrame:
    """Open orders that are overdue, or due only after their item has run out.

    late = days between the due day and the day known (overdue), or between the first day of the period in which the item runs out and
    the due day (too late).

    Parameters
    ----------
    inputs : mapping of DataFrame
        item, open_supply.
    projected_stockout : DataFrame
        Finished items that run out.
    as_of : Timestamp
        Last day known.
    calendar : Calendar
        First days of periods.
    value : Series
        Worth of one unit by item.

    Returns
    -------
    DataFrame
        The `late_supply` table, most money first; an item without a worth has no money.
    """
    names = inputs["item"].set_index("item_id")["item_name"]
    runs_out = projected_stockout.set_index("item_id")["period"].map(calendar.first_day)
    rows = inputs["open_supply"].assign(needed=inputs["open_supply"]["item_id"].map(runs_out))
    is_overdue = rows["due_date"] <= as_of
    is_too_late = ~is_overdue & (rows["due_date"] > rows["needed"])
    rows = rows.assign(problem=np.select([is_overdue, is_too_late], ["overdue", "too late"], ""))
    since = rows["needed"].where(is_too_late, rows["due_date"])
    until = rows["due_date"].where(is_too_late, as_of)
    rows = rows.assign(late_days=(until - since).dt.days.astype(float), item_name=rows["item_id"].map(names),
                       open_amt=rows["open_qty"] * rows["item_id"].map(value))
    rows = rows.rename(columns={"needed": "stockout_date"}).query("problem != '' and open_qty > 0")
    return validate("late_supply", rows.sort_values(["open_amt", "order_id"], ascending=[False, True], ignore_index=True))


def exceptions(
    deviation: pd.DataFrame, projected_stockout: pd.DataFrame, late: pd.DataFrame, resource_plan: pd.DataFrame, allocation: pd.DataFrame,
    unmet_demand: pd.DataFrame, settings: Settings, periods: pd.DatetimeIndex, calendar: Calendar,
    names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Everything that needs somebody this week, each either inside tolerance (fix it) or outside (change request to the monthly round).

    A family off plan is outside when it was off the same way the week before too; an item that runs out, when the plan serves
    less of it over the next weeks than the service level; a resource, when the hours with all its overtime are used up in a week; the
    late orders of an item, when it runs out and the plan serves less of it than that; a market that gives way, when it gets less of its
    demand than the service level, or than its floor.
    What is worth less than a fifth of a per mille of the demand of these weeks is mended in the week whatever it is.
    Money of a family is its deviation at the prices of the plan; of what is short that of the week in which most is waiting or lost; of
    a full resource the worth of the hours beyond the limit.

    Parameters
    ----------
    deviation, projected_stockout, late, resource_plan, allocation, unmet_demand : DataFrame
        Plan against actual of the weeks that are over, and tables of the new plan.
    settings : Settings
        Tolerances.
    periods : DatetimeIndex
        Weeks looked ahead.
    calendar : Calendar
        Names weeks.
    names : mapping of str, optional
        What people call a market or a resource, by its number.

    Returns
    -------
    DataFrame
        The `execution_exception` table: outside tolerance first, most money first.
    """
    level, called = settings.tolerances.service_level_ratio, names or {}
    found = [
        *_off_plan(deviation, unmet_demand, settings, calendar), *_running_out(projected_stockout, unmet_demand, level, periods, calendar),
        *_full(resource_plan, settings.tolerances.utilisation_ratio, periods, calendar, called),
        *_late(late, unmet_demand, level, periods), *_giving_way(allocation, unmet_demand, level, periods, called),
    ]
    if not found:
        return table("execution_exception").empty()
    rows = pd.DataFrame(found)
    soon = unmet_demand[unmet_demand["period"].isin(periods)]
    least = _MATERIAL_SHARE * (soon["demand_qty"] * soon["price_amt"]).sum()
    rows["is_outside"] &= rows["money_amt"].isna() | (rows["money_amt"] >= least)
    rows["response"] = np.where(rows["is_outside"], CHANGE_REQUEST, FIX)
    order = rows.sort_values(["is_outside", "money_amt", *_KEY], ascending=[False, False, True, True, True, True], na_position="last")
    return validate("execution_exception", order.assign(sequence=range(1, len(order) + 1)).reset_index(drop=True))


def _off_plan(deviation: pd.DataFrame, unmet_demand: pd.DataFrame, settings: Settings, calendar: Calendar) -> list[dict]:
    limit, found = settings.tolerances.plan_deviation_ratio, []
    price = unmet_demand.groupby("item_id")["price_amt"].mean()
    consensus = deviation[deviation["stream"] == "consensus"]
    nearest = consensus[consensus["lag"] == consensus.groupby("period")["lag"].transform("min")]
    money = (nearest["deviation_qty"] * nearest["item_id"].map(price)).groupby([nearest["family"], nearest["period"]]).sum(min_count=1)
    for row in execution.families_off_plan(deviation, settings).itertuples():
        side = "above" if row.ratio > 0 else "below"
        then = ": the level has changed, plan anew" if row.is_again else ": look at it with sales"
        found.append(_exception(
            "sales off plan", "family", row.family, row.period, abs(money.get((row.family, row.period), np.nan)), row.ratio, limit,
            row.periods_outside, bool(row.is_again),
            f"{row.family} sold {abs(row.ratio):.0%} {side} plan in {calendar.cycle_id(row.period)}"
            + (f", the {_ordinal(row.periods_outside)} week running" if row.is_again else "") + then))
    return found


def _running_out(
    stockout: pd.DataFrame, unmet_demand: pd.DataFrame, level: float, periods: pd.DatetimeIndex, calendar: Calendar
) -> list[dict]:
    fill = _served_soon(unmet_demand, periods)
    left = _left_short(unmet_demand, periods)
    waiting = left.groupby("item_id")["short_amt"].max()  # what waits is counted once, where it is most
    weeks = left[left["plan_short_qty"] > 1e-6].groupby("item_id")["period"].nunique()
    found = []
    for row in stockout[stockout["period"].isin(periods)].itertuples():
        served = fill[row.item_id]
        is_outside = served < level - 1e-9
        how = "new production comes too late" if row.is_within_lead_time else "there is time to make more"
        then = f"the plan serves {served:.0%} of the next weeks" + (f", {how}" if is_outside else "; release its orders")
        found.append(_exception(
            "stock runs out", "item_id", row.item_id, row.period, waiting[row.item_id], served, level, weeks.get(row.item_id, 0),
            is_outside,
            f"{row.item_name} runs out in {calendar.cycle_id(row.period)}, "
            f"{f'{row.missing_qty:,.0f}' if row.missing_qty >= 0.5 else 'less than one'} missing: {then}"))
    return found


def _served_soon(unmet_demand: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.Series:
    """Share of each item's demand over the next weeks that the plan serves."""
    soon = unmet_demand[unmet_demand["period"].isin(periods)]
    return pd.Series({item: kpi.fill_rate(part["served_qty"], part["demand_qty"]) for item, part in soon.groupby("item_id")}, dtype=float)


def _full(
    resource_plan: pd.DataFrame, limit: float, periods: pd.DatetimeIndex, calendar: Calendar, names: Mapping[str, str]
) -> list[dict]:
    rows = resource_plan[resource_plan["period"].isin(periods) & (resource_plan["used_hours"] > limit * resource_plan["regular_hours"])]
    rows = rows.assign(ratio=rows["used_hours"] / rows["regular_hours"].where(rows["regular_hours"] > 0),
                       left=rows["regular_hours"] + rows["overtime_hours"] - rows["used_hours"],
                       worth=rows["hour_price_amt"] * (rows["used_hours"] - limit * rows["regular_hours"]))
    found = []
    for resource, part in rows.groupby("resource_id"):
        worst, is_outside = part.loc[part["left"].idxmin()], bool((part["left"] < 1e-6).any())
        then = "no hour is left" if is_outside else f"{worst['left']:,.0f} h of overtime are left"
        found.append(_exception(
            "resource full", "resource_id", str(resource), worst["period"], part["worth"].sum(), worst["ratio"], limit, len(part),
            is_outside,
            f"{names.get(str(resource), resource)} is full in {len(part)} of the next {len(periods)} weeks, most in "
            f"{calendar.cycle_id(worst['period'])} "
            f"({worst['ratio']:.0%} of regular hours): {then}"))
    return found


def _late(late: pd.DataFrame, unmet_demand: pd.DataFrame, level: float, periods: pd.DatetimeIndex) -> list[dict]:
    """One exception for all late orders of an item: they are chased together, and the plan is judged by item."""
    fill, found = _served_soon(unmet_demand, periods), []
    for item, part in late.groupby("item_id"):
        runs_out, served = part["stockout_date"].notna().any(), fill.get(item, np.nan)
        is_outside = bool(runs_out and served < level - 1e-9)
        then = f"the plan serves {served:.0%} of the next weeks" + ("" if is_outside else ": ask for a day") if runs_out else (
            "stock lasts: ask for a day")
        then += ": expedite, or ask for another source" if is_outside else ""
        found.append(_exception(
            "supply late", "item_id", str(item), pd.NaT, part["open_amt"].sum(min_count=1), part["late_days"].max(), 0.0, np.nan,
            is_outside, f"{_late_orders(part)}; {then}"))
    return found


def _late_orders(part: pd.DataFrame) -> str:
    """The late orders of an item in words."""
    worst, total, days = part.loc[part["late_days"].idxmax()], part["open_qty"].sum(), part["late_days"].max()
    how = "overdue by {}" if worst["problem"] == "overdue" else "due {} after the item runs out"
    said = how.format(f"{days:,.0f} day{'' if days == 1 else 's'}")
    if len(part) == 1:
        return f"{worst['order_id']}, {total:,.0f} of {worst['item_name']}, is {said}"
    return f"{len(part)} orders of {worst['item_name']}, {total:,.0f} in all, are late, most of all {worst['order_id']}: {said}"


def _giving_way(
    allocation: pd.DataFrame, unmet_demand: pd.DataFrame, level: float, periods: pd.DatetimeIndex, names: Mapping[str, str]
) -> list[dict]:
    sharing = allocation.loc[allocation["period"].isin(periods) & (allocation["lost_qty"] > 1e-6), "market_id"].unique()
    soon = unmet_demand[unmet_demand["period"].isin(periods) & unmet_demand["market_id"].isin(sharing)]
    soon = soon.assign(short_amt=(soon["lost_qty"] + soon["backlog_qty"]) * soon["price_amt"])
    found = []
    for market, part in soon.groupby("market_id"):
        fill, floor = kpi.fill_rate(part["served_qty"], part["demand_qty"]), part["floor_shortfall_qty"].sum()
        much = f"{fill:.1%}" if fill < 0.9995 else "all"
        then = f"{floor:,.0f} below its contract floor" if floor > 1e-6 else "others go before it"
        short = part.groupby("period")["short_amt"].sum()
        if short.max() <= 1e-6 and floor <= 1e-6:
            continue  # what it gave up lies outside these weeks
        found.append(_exception(
            "market gives way", "market_id", str(market), pd.NaT, short.max(), fill, level, (short > 1e-6).sum(),
            bool(fill < level - 1e-9 or floor > 1e-6),
            f"{names.get(str(market), market)} gets {much} of the next weeks' demand, some of it late: {then}"))
    return found


def _exception(kind: str, level: str, member: str, period: pd.Timestamp, money: float, value: float, tolerance: float, weeks: float,
               is_outside: bool, sentence: str) -> dict:
    return {"kind": kind, "level": level, "member": member, "period": period, "money_amt": money, "value": value, "tolerance": tolerance,
            "weeks_outside": weeks, "is_outside": is_outside, "sentence": sentence + "."}


def _ordinal(count: int) -> str:
    """A place in a row.

    Examples
    --------
    >>> [_ordinal(number) for number in (2, 3, 4, 11, 21, 112)]
    ['2nd', '3rd', '4th', '11th', '21st', '112th']
    """
    is_teen = 10 <= count % 100 <= 20
    return f"{count}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(count % 10, 'th')}"


# ------------------------------------------------------------------ handed to the monthly round
def change_requests(execution_exception: pd.DataFrame, cycle_id: str) -> pd.DataFrame:
    """What a week found outside tolerance, as records for the monthly round: each known by week, kind and member.

    Parameters
    ----------
    execution_exception : DataFrame
        What needed somebody in the week.
    cycle_id : str
        The weekly cycle.

    Returns
    -------
    DataFrame
        The own columns of `change_request`, one row per kind and member.

    Examples
    --------
    >>> found = pd.DataFrame([{"kind": "sales off plan", "level": "family", "member": "Coolers", "period": pd.NaT, "weeks_outside": 2.0,
    ...                        "value": -0.3, "tolerance": 0.15, "money_amt": None, "sentence": "…", "is_outside": True}])
    >>> change_requests(found, "2026-W40")["request_id"].tolist()
    ['2026-W40 sales off plan: Coolers']
    """
    rows = execution_exception[execution_exception["is_outside"].astype(bool)]
    names = [f"{cycle_id} {kind}: {member}" for kind, member in zip(rows["kind"], rows["member"], strict=True)]
    rows = rows.assign(request_id=pd.Series(names, index=rows.index, dtype=object).str.replace("; ", ", "), weekly_cycle_id=cycle_id)
    return rows[list(_REQUEST_COLUMNS)].drop_duplicates("request_id").reset_index(drop=True)


def not_asked_yet(requests: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """Requests that say something new to the monthly round: not known there, and nothing open of the same kind and member.

    Parameters
    ----------
    requests : DataFrame
        :func:`change_requests` of a week.
    held : DataFrame
        Requests of the monthly round with `state`.
    """
    open_ones = held[held["state"] == "open"].set_index(["kind", "level", "member"]).index
    is_open = requests.set_index(["kind", "level", "member"]).index.isin(open_ones)
    return requests[~is_open & ~requests["request_id"].isin(held["request_id"])]
