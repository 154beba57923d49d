"""Views of the supply review: load, stock, service, and what stops the next unit."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from sop_workbench.settings import OWN_RULES
from sop_workbench.views.frames import as_view, item_names, needs, quotient, with_item, with_largest
from sop_workbench.views.words import MONEY, ROUNDING, UNSEEN, heading, percent, period_labels, plural, short


def load_heat_map(capacity_load: pd.DataFrame, resource: pd.DataFrame, top: int = 20) -> pd.DataFrame:
    """Rough-cut load of the fullest resources, by period."""
    needs(capacity_load, "capacity_load")
    names = resource.set_index("resource_id")["resource_name"] if "resource_name" in resource else pd.Series(dtype=object)
    peak = capacity_load.groupby("resource_id")["utilisation_ratio"].max().nlargest(top)
    rows = capacity_load[capacity_load["resource_id"].isin(peak.index)]
    rows = rows.assign(resource=rows["resource_id"].map(names).fillna(rows["resource_id"]), peak_ratio=rows["resource_id"].map(peak))
    rows = rows.sort_values(["peak_ratio", "resource_id", "period"], ascending=[False, True, True])
    over = capacity_load[capacity_load["is_overloaded"].astype(bool)]
    title = (
        f"{plural(over['resource_id'].nunique(), 'resource is', 'resources are')} overloaded, "
        f"first in {period_labels(over['period'].nsmallest(1)).iloc[0]}"
        if len(over)
        else "No resource is overloaded"
    )
    return as_view(
        rows[["resource", "resource_id", "period", "load_hours", "regular_hours", "overtime_hours", "utilisation_ratio", "is_overloaded"]],
        title,
        "Load of unconstrained demand / regular hours, %. Rough-cut, not finite capacity. "
        "▲ marks load above regular hours and overtime together.",
        "No load: no routing connects the demand with a resource.",
    )


def stock_vs_target(
    inventory_projection: pd.DataFrame,
    item: pd.DataFrame,
    level: Literal["total", "family"] = "total",
    item_type: str | None = "finished",
    top: int = 9,
) -> pd.DataFrame:
    """Projected stock beside target and safety stock, at standard cost."""
    needs(inventory_projection, "inventory_projection")
    valued = with_item(inventory_projection, item, "family", "item_type", "standard_cost_amt")
    valued = valued if item_type is None else valued[valued["item_type"] == item_type]
    valued = valued.assign(
        member=valued["family"] if level == "family" else "Total",
        target_amt=valued["target_qty"] * valued["standard_cost_amt"],
        safety_stock_amt=valued["safety_stock_qty"] * valued["standard_cost_amt"],
    )
    valued = with_largest(valued, "member", "value_amt", top) if len(valued) else valued
    rows = (
        valued.groupby(["member", "period"], as_index=False)[["value_amt", "target_amt", "safety_stock_amt"]]
        .sum()
        .rename(columns={"value_amt": "stock_amt"})
    )
    last = rows[rows["period"] == rows["period"].max()]
    title = f"Stock ends at {short(last['stock_amt'].sum(), MONEY)}, target {short(last['target_amt'].sum(), MONEY)}"
    return as_view(
        rows,
        title,
        "Closing stock, target (safety stock + half a review cycle of demand) and safety stock, all at standard cost.",
        "No stock is projected for these items.",
    )


def demand_vs_plan(unmet_demand: pd.DataFrame) -> pd.DataFrame:
    """Demand by period: how much the plan serves, and what is lost or late."""
    needs(unmet_demand, "unmet_demand")
    rows = unmet_demand.groupby("period", as_index=False)[["demand_qty", "served_qty", "lost_qty", "backlog_qty", "lost_revenue_amt"]].sum()
    share = quotient(rows["served_qty"].sum(), rows["demand_qty"].sum())
    lost = rows["lost_revenue_amt"].sum()
    title = f"The plan serves {percent(share)} of demand" + (f"; {short(lost, MONEY)} of revenue is lost" if lost > ROUNDING else "")
    return as_view(
        rows,
        title,
        "Served + lost (or late) = unconstrained demand, units. Share served = served / demand.",
        "There is no demand to serve.",
    )


def shortages(unmet_demand: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame) -> pd.DataFrame:
    """Who loses: unserved demand by family and market, most money first."""
    needs(unmet_demand, "unmet_demand")
    named = with_item(unmet_demand, item, "family").merge(
        market[["market_id", "market_name", "priority"]], on="market_id", how="left", validate="many_to_one"
    )
    rows = named.groupby(["family", "market_name", "priority"], as_index=False)[
        ["demand_qty", "served_qty", "lost_qty", "lost_revenue_amt"]
    ].sum()
    rows["served_ratio"] = rows["served_qty"] / rows["demand_qty"].where(rows["demand_qty"] > 0)
    rows = rows[rows["lost_qty"] > ROUNDING].sort_values(["lost_revenue_amt", "family", "market_name"], ascending=[False, True, True])
    return as_view(
        rows[["family", "market_name", "priority", "demand_qty", "lost_qty", "served_ratio", "lost_revenue_amt"]],
        f"{plural(len(rows), 'family and market', 'families and markets')} with lost demand",
        "Share served = served / demand.",
        "Nobody loses demand in this plan.",
    )


def service(unmet_demand: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """Share of demand served by family and market; of many families those served worst."""
    needs(unmet_demand, "unmet_demand")
    named = with_item(unmet_demand, item, "family").merge(
        market[["market_id", "market_name"]], on="market_id", how="left", validate="many_to_one"
    )
    rows = named.groupby(["family", "market_name"], as_index=False)[["demand_qty", "served_qty"]].sum()
    rows = rows[rows["demand_qty"] > 0]
    rows["served_ratio"] = rows["served_qty"] / rows["demand_qty"]
    worst = rows.sort_values("served_ratio").head(1)
    title = "".join(f"Lowest service: {r.family} in {r.market_name}, {percent(r.served_ratio)}" for r in worst.itertuples())
    lowest = rows.groupby("family")["served_ratio"].min()
    more = f" The {top} of {len(lowest)} families served worst." if len(lowest) > top else ""
    rows = rows[rows["family"].isin(lowest.nsmallest(top).index)]
    return as_view(
        rows, title, f"Served in the period of demand / unconstrained demand, units, whole horizon.{more}", "There is no demand to serve."
    )


def _with_names(members: pd.Series, item: pd.DataFrame) -> list[str]:
    """Members such as `C-123 from SUP-01 to P1` with the item's name before its number."""
    names = item_names(item)
    heads = [member.partition(" ") for member in members]
    return [f"{names[head]} ({head}){gap}{rest}" if head in names.index else member
            for member, (head, gap, rest) in zip(members, heads, strict=True)]


def bottlenecks(binding_limit: pd.DataFrame, resource: pd.DataFrame, item: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """The limits that stop the plan, by the worth of easing them."""
    needs(binding_limit, "binding_limit")
    needs(resource, "resource")
    stopping = binding_limit[~binding_limit["limit"].isin(OWN_RULES)]
    ranked = stopping.sort_values(["price_amt", "period"], ascending=[False, True])
    rows = ranked.groupby(["limit", "member"], as_index=False).agg(
        period_count=("period", "nunique"),
        price_amt=("price_amt", "first"),
        unit=("unit", "first"),
        money_amt=("money_amt", "sum"),
        sentence=("sentence", "first"),
    )
    rows = rows.sort_values(["money_amt", "limit", "member"], ascending=[False, True, True]).head(top)
    names = resource.dropna(subset=["resource_name"]).set_index("resource_id")["resource_name"]
    rows = rows.assign(limit=rows["limit"].map(heading), member=_with_names(rows["member"].map(names).fillna(rows["member"]), item))
    title = f"{rows['limit'].iloc[0]} of {rows['member'].iloc[0]} is the dearest limit" if len(rows) else ""
    return as_view(
        rows,
        title,
        "Price = gain of the plan from one more unit of the limit; money = price × limit, summed over the periods it binds. "
        "What contracts and the chase strategy cost stands by itself.",
        "No limit stops this plan: all demand is served without one binding.",
    )


def bottleneck_sentences(binding_limit: pd.DataFrame, resource: pd.DataFrame, item: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """The same limits in words."""
    ranked = bottlenecks(binding_limit, resource, item, top)
    return as_view(ranked[["member", "limit", "money_amt", "sentence"]], "The same in words", empty=ranked.attrs["empty"])


def shortage_reasons(shortage_reason: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, top: int = 100_000) -> pd.DataFrame:
    """Why items are short, for whom, and what it would take, over all periods; most money first."""
    needs(shortage_reason, "shortage_reason")
    money = shortage_reason.drop_duplicates(["item_id", "market_id", "period"])["short_amt"].sum()
    rows = shortage_reason.groupby(["item_id", "market_id", "limit", "member", "unit"], as_index=False).agg(
        period_count=("period", "nunique"), short_qty=("short_qty", "sum"), short_amt=("short_amt", "sum"),
        needed_qty=("needed_qty", "sum"), price_amt=("price_amt", "max"))
    rows = rows.sort_values(["short_amt", "item_id", "market_id", "price_amt"], ascending=[False, True, True, False])
    rows["needed_qty"] = rows["needed_qty"].where(rows["unit"] != "")  # nothing would help where it does not pay or cannot come
    names = market.set_index("market_id")["market_name"]
    rows = with_item(rows, item, "item_name").assign(market_name=rows["market_id"].map(names).fillna(rows["market_id"]).to_numpy())
    rows["member"] = _with_names(rows["member"], item)
    shown = ["item_name", "market_name", "period_count", "short_qty", "short_amt", "limit", "member", "needed_qty", "unit", "price_amt"]
    return as_view(
        rows[shown].head(top),
        f"Why {short(money, MONEY)} of demand is not served in time, and what it would take",
        "The cheapest way back from each short market at the plan's prices: how much more of which limit (needed = short × units of the "
        "limit in one), and what one more unit of it is worth at most. No profit: each more unit would lose that much; "
        "better use: what it takes earns that much more elsewhere.",
        "Nothing is short in this plan.",
    )


def allocation(allocation: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, top: int = 100_000) -> pd.DataFrame:
    """Who gets what of the items that are short, by rule; most money lost first."""
    needs(allocation, "allocation")
    names = market.set_index("market_id")["market_name"]
    named = with_item(allocation, item, "item_name")
    named["market_name"] = named["market_id"].map(names).fillna(named["market_id"])
    rows = named.sort_values(["lost_amt", "item_id", "market_id", "period"], ascending=[False, True, True, True])
    measures = ["demand_qty", "floor_qty", "planned_qty", "allocated_qty", "lost_qty", "lost_amt"]
    return as_view(
        rows[["item_name", "market_name", "period", *measures, "rule"]].head(top),
        f"Who gives way: {short(named['lost_amt'].sum(), MONEY)} not served when what is short is shared by rule",
        "Contract floors first, then priority 1, 2 …, inside one by the rule of the settings. Planned: the split of the most "
        "profitable plan, with the same total for each item and period.",
        "Nothing has to be shared: every item is served in full.",
    )


def bottleneck_hours(bottleneck_ranking: pd.DataFrame, resource: pd.DataFrame, item: pd.DataFrame, top: int = 15) -> pd.DataFrame:
    """What each item earns per hour of the dearest bottleneck."""
    needs(bottleneck_ranking, "bottleneck_ranking")
    dearest = bottleneck_ranking.sort_values(["hour_price_amt", "resource_id"], ascending=[False, True])["resource_id"].head(1)
    rows = with_item(bottleneck_ranking[bottleneck_ranking["resource_id"].isin(dearest)], item, "item_name").sort_values("rank")
    names = resource.dropna(subset=["resource_name"]).set_index("resource_id")["resource_name"]
    where = "".join(dearest.map(names).fillna(dearest))
    price = rows["hour_price_amt"].max()
    rows = rows.assign(served_ratio=rows["served_qty"] / rows["demand_qty"].where(rows["demand_qty"] > 0))
    shown = rows if len(rows) <= top else pd.concat([rows.head(top // 2 + top % 2), rows.tail(top // 2)])
    return as_view(
        shown[["item_name", "rank", "unit_margin_amt", "hours_per_unit", "margin_amt_per_hour", "demand_qty", "served_ratio"]],
        f"An hour of {where} is worth up to {short(price, MONEY)}: items at the end of the list give way first" if len(rows) else "",
        "Margin per hour = (mean price − purchases, variable cost and labour of everything in it) / hours of this resource in one unit. "
        + (f"First and last of {len(rows)} items." if len(rows) > top else ""),
        "No resource is a bottleneck: one more hour is worth nothing anywhere.",
    )


def not_made(not_made: pd.DataFrame, item: pd.DataFrame, top: int = 100_000) -> pd.DataFrame:
    """What no plant makes though it could, and what the first unit would lose."""
    needs(not_made, "not_made")
    rows = with_item(not_made, item, "item_name").sort_values(["loss_amt", "item_id", "location_id"])
    return as_view(
        rows[["item_name", "location_id", "loss_amt", "period"]].head(top),
        f"{plural(len(rows), 'item is', 'items are')} not made at a plant that could",
        "Loss by the first unit made, in the period that suits it best, at the plan's prices of hours, components and limits.",
        "Everything that can be made is made, or costs nothing to make.",
    )


def rounding(rounding_check: pd.DataFrame, item: pd.DataFrame, top: int = 100_000) -> pd.DataFrame:
    """Limits that whole quantities break."""
    needs(rounding_check, "rounding_check")
    rows = rounding_check.assign(over_ratio=rounding_check["over_qty"] / rounding_check["limit_qty"].where(rounding_check["limit_qty"] > 0))
    rows = rows.sort_values(["over_ratio", "over_qty"], ascending=False).assign(member=lambda r: _with_names(r["member"], item))
    return as_view(
        rows[["limit", "member", "period", "limit_qty", "rounded_qty", "over_qty", "unit", "over_ratio"]].head(top),
        f"Rounded to whole quantities the plan breaks {plural(len(rows), 'limit')}",
        "Running totals rounded up to whole units, lots and orders, crews to whole people, against every hard limit. "
        "Over = rounded − limit.",
        "Rounded to whole quantities the plan keeps every limit: it is feasible.",
    )


def floor_cost(contract_floor_cost: pd.DataFrame, market: pd.DataFrame) -> pd.DataFrame:
    """What contract floors give each market, and what they cost."""
    needs(contract_floor_cost, "contract_floor_cost")
    names = market.set_index("market_id")["market_name"]
    rows = contract_floor_cost.assign(market_name=contract_floor_cost["market_id"].map(names).fillna("Whole plan"))
    rows = rows.sort_values("floor_qty")
    cost = rows["cost_amt"].sum()
    is_free = cost <= UNSEEN * rows["revenue_amt"].max()
    columns = ["market_name", "floor_qty", "served_qty", "served_without_qty", "revenue_amt", "revenue_without_amt", "price_amt",
               "cost_amt"]
    view = as_view(
        rows[columns],
        "Contract floors cost nothing: the best plan keeps them anyway" if is_free
        else f"Contract floors cost {short(cost, MONEY)} of profit",
        "Cost = profit of the best plan without floors − profit of this plan. Price = mean worth of one unit less under contract.",
        "No market has a contract floor.",
    )
    view.attrs["bold"] = ("Whole plan",)
    return view


def purchases(purchase_plan: pd.DataFrame) -> pd.DataFrame:
    """What to order from suppliers, by period of the order."""
    needs(purchase_plan, "purchase_plan")
    rows = purchase_plan.groupby("period", as_index=False).agg(
        purchase_cost_amt=("purchase_cost_amt", "sum"), item_count=("item_id", "nunique"), supplier_count=("supplier_id", "nunique")
    )
    return as_view(
        rows,
        f"{short(rows['purchase_cost_amt'].sum(), MONEY)} to order from {plural(purchase_plan['supplier_id'].nunique(), 'supplier')}",
        "Quantity × supplier's price, in the period in which the order is placed.",
        "Nothing has to be bought.",
    )


def purchase_list(purchase_plan: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Orders by supplier and item, most money first."""
    needs(purchase_plan, "purchase_plan")
    rows = purchase_plan.groupby(["supplier_id", "item_id"], as_index=False).agg(
        first_order_period=("period", "min"),
        order_count=("period", "size"),
        purchase_qty=("purchase_qty", "sum"),
        purchase_cost_amt=("purchase_cost_amt", "sum"),
    )
    rows = rows.assign(item_name=rows["item_id"].map(item_names(item))).sort_values(
        ["purchase_cost_amt", "supplier_id", "item_id"], ascending=[False, True, True]
    )
    return as_view(
        rows[["supplier_id", "item_id", "item_name", "first_order_period", "order_count", "purchase_qty", "purchase_cost_amt"]],
        "Purchases by supplier and item, most money first",
        empty="Nothing has to be bought.",
    )
