"""Views of the weekly round: what to mend this week and what to hand to the monthly round."""

from __future__ import annotations

import pandas as pd

from sop_workbench.views.frames import as_view, first_periods, needs, with_columns
from sop_workbench.views.words import MONEY, number, percent, period_labels, plural, short

_NOT_HERE = ("A weekly cycle makes forecast, plan and money anew for the next weeks. It does not compare scenarios, try the plan against "
             "losses and samples, close the gap to the budget or decide for the company: the monthly round does.")
_AHEAD = 4


def exception_list(execution_exception: pd.DataFrame, is_outside: bool | None = None) -> pd.DataFrame:
    """What needs somebody this week: outside tolerance first, most money first.

    Parameters
    ----------
    execution_exception : DataFrame
        The table of this name.
    is_outside : bool, optional
        Only change requests to the monthly round (True), or only what is mended in the week (False).
    """
    needs(execution_exception, "execution_exception")
    rows = execution_exception.sort_values("sequence")
    rows = rows if is_outside is None else rows[rows["is_outside"] == is_outside]
    outside = int(rows["is_outside"].sum())
    titles = {None: f"{plural(outside, 'change request')} to the monthly round, {len(rows) - outside:,} to mend this week",
              True: f"{plural(outside, 'change request')} to the monthly round", False: f"{len(rows):,} to mend this week"}
    shown = rows.assign(period=rows["period"]).rename(columns={"sentence": "what"})
    when = ["period"] if rows["period"].notna().any() else []
    return as_view(shown[["response", "kind", "what", *when, "money_amt"]], titles[is_outside],
                   "" if is_outside is False else _NOT_HERE,
                   "Nothing is outside tolerance, and nothing has to be mended this week.")


def change_requests(change_request: pd.DataFrame) -> pd.DataFrame:
    """What the weekly round asks the monthly one to change: what is open first, most money first, then what was answered and how.

    Parameters
    ----------
    change_request : DataFrame
        As `follow_up` hands it over: records with `cycle_id`, `state` and `answer`.
    """
    needs(change_request, "change_request")
    rows = with_columns(change_request, "cycle_id", "state", "answer")
    rows = rows.assign(is_answered=rows["state"] != "open").sort_values(["is_answered", "money_amt", "request_id"],
                                                                        ascending=[True, False, True], na_position="last")
    rows = rows.assign(off_text=_in_kind(rows, "value"), tolerance_text=_in_kind(rows, "tolerance"))
    rows = rows.rename(columns={"sentence": "what", "request_id": "request", "by": "asked_by", "cycle_id": "cycle"})
    open_count = int((~rows["is_answered"]).sum())
    title = f"{plural(len(rows), 'change request')} of the weekly round, {open_count:,} open"
    columns = ["state", "what", "money_amt", "off_text", "tolerance_text", "weeks_outside", "request", "asked_by", "cycle", "answer"]
    return as_view(rows[columns], title,
                   "Off: sales against plan, share served, load, or days late. Weeks: of sales off plan in a row, else of the weeks "
                   "looked ahead. Open until a decision or an adjustment answers it.",
                   "No change request was handed to the monthly round (sop request in the weekly workspace).")


def _in_kind(rows: pd.DataFrame, column: str) -> pd.Series:
    """A figure as its kind is measured: days of an order, per cent of everything else."""
    written = [f"{number(value)} days" if kind == "supply late" else percent(value, 0)
               for kind, value in zip(rows["kind"], rows[column], strict=True)]
    return pd.Series(written, index=rows.index, dtype=object)


def projected_stockouts(projected_stockout: pd.DataFrame) -> pd.DataFrame:
    """Finished items whose stock and open orders do not last: what the plan leaves short first, by its money, then the earliest."""
    needs(projected_stockout, "projected_stockout")
    rows = projected_stockout.sort_values(["short_amt", "period", "item_id"], ascending=[False, True, True])
    short_of = rows[rows["plan_short_qty"] > 0]
    title = f"{plural(len(rows), 'item')} would run out; the plan leaves {len(short_of):,} short, {short(rows['short_amt'].sum(), MONEY)}"
    shown = rows.rename(columns={"period": "runs_out_period", "plan_short_qty": "left_short_qty", "short_amt": "left_short_amt",
                                 "is_within_lead_time": "too_late_to_make"})
    columns = ["item_name", "family", "runs_out_period", "on_hand_qty", "firm_qty", "needed_qty", "missing_qty", "too_late_to_make",
               "left_short_qty", "left_short_amt"]
    return as_view(shown[columns], title, "Runs out: stock + open orders − demand falls below zero. Left short: lost or late in that week "
                   "after the plan's own production.", "Stock and open orders last for every item.")


def load_ahead(resource_plan: pd.DataFrame, resource: pd.DataFrame, periods: int = _AHEAD) -> pd.DataFrame:
    """Hours the plan uses of each resource in the next weeks, as a share of regular hours; the fullest first."""
    needs(resource_plan, "resource_plan")
    names = resource.set_index("resource_id")["resource_name"] if "resource_name" in resource else pd.Series(dtype=object)
    rows = first_periods(resource_plan, periods)
    rows = rows[rows["regular_hours"] > 0]
    rows = rows.assign(resource=rows["resource_id"].map(names).fillna(rows["resource_id"]),
                       load_ratio=rows["used_hours"] / rows["regular_hours"],
                       free_hours=rows["regular_hours"] + rows["overtime_hours"] - rows["used_hours"])
    rows = rows.assign(is_at_limit=rows["free_hours"] < 1e-6, peak=rows.groupby("resource_id")["load_ratio"].transform("max"))
    rows = rows.sort_values(["peak", "resource_id", "period"], ascending=[False, True, True])
    full = rows.loc[rows["is_at_limit"], "resource"].nunique()
    title = f"{plural(full, 'resource has', 'resources have')} no hour left in a week of the next {rows['period'].nunique()}" if full else (
        f"Every resource has hours left in the next {rows['period'].nunique()} weeks")
    hours = ["used_hours", "regular_hours", "overtime_used_hours", "free_hours"]
    return as_view(rows[["resource", "period", "load_ratio", *hours, "is_at_limit"]], title,
                   "Hours used / regular hours, %. ■ marks a week in which overtime is used up too.", "No resource is planned.")


def late_supply(late_supply: pd.DataFrame) -> pd.DataFrame:
    """Open orders that are overdue or come after their item has run out, those that hurt first."""
    needs(late_supply, "late_supply")
    hurts = late_supply["stockout_date"].notna()
    rows = late_supply.assign(hurts=hurts).sort_values(["hurts", "late_days", "order_id"], ascending=[False, False, True])
    late = pd.Series([f"late by {plural(int(days), 'day')}" for days in rows["late_days"]], index=rows.index, dtype=object)
    rows = rows.assign(state=rows["problem"].where(rows["problem"] != "overdue", late))
    title = f"{plural(len(rows), 'order')} late, {int(hurts.sum()):,} of items that run out"
    columns = ["order_id", "item_name", "kind", "due_date", "state", "open_qty", "open_amt", "stockout_date"]
    return as_view(rows[columns].rename(columns={"stockout_date": "runs_out_date"}), title,
                   "Late by: days overdue. Too late: due after the item has run out.", "No open order is overdue or too late.")


def allocation_ahead(
    allocation: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, plan_from: pd.Timestamp, weeks: int = _AHEAD
) -> pd.DataFrame:
    """Who gets what of the items that are short in the next weeks from a Monday on, most money not served first."""
    needs(allocation, "allocation")
    rows = allocation[allocation["period"] < plan_from + pd.DateOffset(weeks=weeks)]
    item_name, market_name = item.set_index("item_id")["item_name"], market.set_index("market_id")["market_name"]
    rows = rows.assign(item_name=rows["item_id"].map(item_name).fillna(rows["item_id"]),
                       market_name=rows["market_id"].map(market_name).fillna(rows["market_id"]))
    rows = rows.sort_values(["lost_amt", "item_id", "market_id", "period"], ascending=[False, True, True, True])
    span = " to ".join(period_labels(pd.Series([rows["period"].min(), rows["period"].max()])).unique()) if len(rows) else ""
    measures = ["demand_qty", "floor_qty", "allocated_qty", "lost_qty", "lost_amt"]
    return as_view(rows[["item_name", "market_name", "period", *measures, "rule"]],
                   f"{span}: {plural(rows['item_id'].nunique(), 'item')} to share, {short(rows['lost_amt'].sum(), MONEY)} not served",
                   "Contract floors first, then priorities, then the rule of the settings. Demand includes orders that wait.",
                   "Nothing has to be shared: every item is served in full.")
