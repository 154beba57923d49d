"""Views of a what-if: the changed plan beside the plan as it is."""

from __future__ import annotations

import pandas as pd

from sop_workbench.views.frames import as_view
from sop_workbench.views.pre_sop import delta_text, verdict
from sop_workbench.views.words import MONEY, ROUNDING, UNSEEN, in_unit, plural, signed

WHAT_IF_VOLUMES = {
    "served_qty": "Served", "produced_qty": "Good units made", "short_qty": "Lost or late", "stock_amt": "Stock of finished goods",
}  # fmt: skip


def what_if_measures(measures: pd.DataFrame) -> pd.DataFrame:
    """Every measure of the plan beside the plan without levers, with the difference and a verdict in words."""
    rows = measures.assign(
        now_text=[in_unit(v, u) for v, u in zip(measures["value"], measures["unit"], strict=True)],
        base_text=[in_unit(v, u) for v, u in zip(measures["base"], measures["unit"], strict=True)],
        delta_text=[delta_text(v, u) for v, u in zip(measures["delta"], measures["unit"], strict=True)],
        verdict=[verdict(m, v, d) for m, v, d in zip(measures["measure"], measures["value"], measures["delta"], strict=True)],
    )
    profit = rows[rows["measure"] == "profit"].iloc[0]
    title = {"same": "Profit as in base", "better": f"Profit {profit['delta_text']} against base",
             "worse": f"Profit {profit['delta_text']} against base"}[profit["verdict"]]
    return as_view(rows[["measure", "now_text", "base_text", "delta_text", "verdict"]], title,
                   "Profit = revenue − all costs of the plan. Operating result is before overhead. Peak load = hours used / regular hours.")


def what_if_volume(volume: pd.DataFrame, measure: str = "served_qty", family: str | None = None) -> pd.DataFrame:
    """One quantity by period, of the plan and of base, for a family or all of them; beside what is served or short stands demand."""
    rows = volume if family is None else volume[volume["family"] == family]
    lines = {"base": f"base_{measure}", "what if": measure}
    if measure == "served_qty":
        lines = {"demand": "demand_qty", **lines}
    totals = rows.groupby("period")[list(lines.values())].sum(min_count=1)  # a period base does not have stays empty
    parts = [pd.DataFrame({"period": totals.index, "line": name, "value": totals[column].to_numpy()}) for name, column in lines.items()]
    whole = totals[measure].sum() - totals[f"base_{measure}"].sum()
    unit = MONEY if measure.endswith("_amt") else "units"
    amount, span = (whole / max(len(totals), 1), "on average") if unit == MONEY else (whole, "over the horizon")
    is_unseen = abs(whole) <= UNSEEN * abs(totals[measure].sum()) + ROUNDING
    change = "as in base" if is_unseen else f"{signed(in_unit(amount, unit))} {span}"
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(unit=unit, value_text=[in_unit(value, unit) for value in rows["value"]])
    return as_view(rows, f"{WHAT_IF_VOLUMES[measure]}, {family or 'all families'}: {change}",
                   empty="No demand is planned: there is nothing to show.")


def what_if_load(hours: pd.DataFrame, resource: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Load of the fullest resources by period, with the change against base in points."""
    names = resource.dropna(subset=["resource_name"]).set_index("resource_id")["resource_name"]
    full = hours.groupby("resource_id")[["load_ratio", "base_load_ratio"]].max().max(axis=1).nlargest(top)
    rows = hours[hours["resource_id"].isin(full.index)].assign(resource=hours["resource_id"].map(names).fillna(hours["resource_id"]))
    rows = rows.assign(peak_ratio=rows["resource_id"].map(full), delta_ratio=rows["load_ratio"] - rows["base_load_ratio"])
    rows = rows.sort_values(["peak_ratio", "resource_id", "period"], ascending=[False, True, True])
    # Where base has no load to compare with, nothing is marked.
    marks = ["▲" if d >= 0.005 else "▼" if d <= -0.005 else "" for d in rows["delta_ratio"].fillna(0.0)]
    rows["load_text"] = ["–" if pd.isna(u) else f"{u * 100:.0f}{m}" for u, m in zip(rows["load_ratio"], marks, strict=True)]
    moved = rows[rows["delta_ratio"].abs() >= 0.005]
    changed = plural(moved["resource_id"].nunique(), "resource")
    title = f"Load changes at {changed}" if len(moved) else "Load of every resource is as in base"
    rows["sequence"] = rows["resource_id"].map({name: n for n, name in enumerate(rows["resource_id"].unique(), start=1)})
    shown = ["sequence", "resource", "period", "used_hours", "regular_hours", "load_ratio", "base_load_ratio", "delta_ratio",
             "hour_price_amt"]
    return as_view(rows[[*shown, "load_text"]], title,
                   "Hours used / regular hours, %; ▲ ▼ where the plan without levers used less or more.",
                   "No routing uses a resource.")


def what_if_limits(limits: pd.DataFrame) -> pd.DataFrame:
    """The limits with most money in a sentence each, with the price they had in base."""
    rows = limits.assign(change_amt=limits["delta_amt"]).rename(columns={"base_price_amt": "in_base_amt"})
    shown = ["sentence", "price_amt", "in_base_amt", "change_amt", "limit_qty", "unit"]
    return as_view(rows[shown], "What stops the next unit",
                   "Price = gain of the plan from one more unit of the limit, in base and now; it holds for a small change. Each limit in "
                   "its dearest period; most money (price × size of the limit) first.",
                   "No limit stops this plan: all demand is served without one binding.")
