"""What each item earns per hour of a bottleneck: the order in which to give way when hours are short."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.supply.instance import PLACE, Instance

_TOLERANCE = 1e-6


def bottleneck_ranking(instance: Instance, resource_plan: pd.DataFrame, unmet_demand: pd.DataFrame) -> pd.DataFrame:
    """Sold items by margin per hour of every resource whose hours have a price.

    margin[i] = mean price − unit cost[i];  unit cost = (variable cost + labour + Σ usage · unit cost of components) / yield
    hours[i, r] = (hours_per_unit[i, r] + Σ usage · hours of components) / yield;  margin per hour = margin / hours

    Parameters
    ----------
    instance : Instance
        Production, routing, components (as of the first period), suppliers and rates.
    resource_plan, unmet_demand : DataFrame
        Result tables of one plan.

    Returns
    -------
    DataFrame
        The `bottleneck_ranking` table, most margin per hour first. Of several plants the cheapest counts; a component from elsewhere
        counts at its value. Freight, holding, overtime premium and set-ups are left out.
    """
    hour_price = resource_plan.groupby("resource_id")["hour_price_amt"].max()
    if not (hour_price > _TOLERANCE).any():
        return tables.table("bottleneck_ranking").empty()
    cost, hours = _rolled_up(instance)
    sold = unmet_demand.assign(amount=unmet_demand["price_amt"] * unmet_demand["demand_qty"])
    sold = sold.groupby("item_id")[["demand_qty", "served_qty", "amount"]].sum().query("demand_qty > 0").reset_index()
    rows = hours[hours["resource_id"].isin(hour_price.index[hour_price > _TOLERANCE]) & (hours["hours_per_unit"] > _TOLERANCE)]
    rows = rows.merge(cost, on=PLACE, validate="m:1").merge(sold, on="item_id", validate="m:1")
    rows = rows.sort_values(["resource_id", "item_id", "unit_cost_amt"]).drop_duplicates(["resource_id", "item_id"])
    rows["unit_margin_amt"] = rows["amount"] / rows["demand_qty"] - rows["unit_cost_amt"]
    rows["margin_amt_per_hour"] = rows["unit_margin_amt"] / rows["hours_per_unit"]
    rows["hour_price_amt"] = rows["resource_id"].map(hour_price)
    rows = rows.sort_values(["resource_id", "margin_amt_per_hour", "item_id"], ascending=[True, False, True])
    rows["rank"] = rows.groupby("resource_id").cumcount() + 1
    return tables.validate("bottleneck_ranking", rows[list(tables.table("bottleneck_ranking").columns)].reset_index(drop=True))


def _rolled_up(instance: Instance) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Unit cost of every made item at its plant, and hours of every resource in it, components included."""
    made = instance.made.set_index(PLACE)
    rate = instance.resource.set_index("resource_id")["regular_cost_amt_per_hour"]
    work = instance.routing.assign(pay=instance.routing["hours_per_unit"] * instance.routing["resource_id"].map(rate))
    own_cost = made["variable_cost_amt"].add(work.groupby(PLACE)["pay"].sum(), fill_value=0.0).reindex(made.index)  # no work costs none
    own_hours = work.pivot_table(index=PLACE, columns="resource_id", values="hours_per_unit", aggfunc="sum").reindex(made.index).fillna(0.0)
    own = pd.concat([own_cost.rename("unit_cost_amt"), own_hours], axis=1)
    usage = instance.usage[instance.usage["t"] == 0]
    bought = instance.bought.groupby(PLACE)["unit_cost_amt"].min()
    value = bought.combine_first(instance.stocked.set_index(PLACE)["value_amt"])
    total = _with_components(own, made["yield_ratio"], usage, value)
    hours = total.drop(columns="unit_cost_amt").melt(ignore_index=False, var_name="resource_id", value_name="hours_per_unit").reset_index()
    return total[["unit_cost_amt"]].reset_index(), hours.astype({"hours_per_unit": float})


def _with_components(own: pd.DataFrame, yield_ratio: pd.Series, usage: pd.DataFrame, value: pd.Series) -> pd.DataFrame:
    """Own figures plus those of components, level by level, until nothing changes (a bill of material has no circles)."""
    parents = pd.MultiIndex.from_frame(usage[["parent_item_id", "location_id"]].rename(columns={"parent_item_id": "item_id"}))
    parts = pd.MultiIndex.from_frame(usage[PLACE])
    bought = pd.DataFrame(0.0, index=value.index, columns=own.columns).assign(unit_cost_amt=value)
    total = own.div(yield_ratio, axis=0)
    for _ in range(len(own) + 1):
        known = total.combine_first(bought)
        taken = known.reindex(parts).fillna(0.0).mul(usage["usage_qty"].to_numpy(), axis=0).set_axis(parents)
        grown = own.add(taken.groupby(level=PLACE).sum(), fill_value=0.0).reindex(own.index).div(yield_ratio, axis=0)
        if np.allclose(grown, total, atol=1e-9):
            break
        total = grown
    return total
