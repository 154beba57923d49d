"""Where the company's finished goods are best held between plant and warehouse, beside today's targets."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from sop_workbench import tables
from sop_workbench.inventory.echelons import guaranteed_service, placement_costs
from sop_workbench.lanes import lanes_for, reachable_places
from sop_workbench.periods import Calendar

_PLACE = ["item_id", "location_id"]
_DAYS_PER_YEAR = 365.25


def stock_placement(
    target: pd.DataFrame, demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], value: pd.Series, calendar: Calendar
) -> pd.DataFrame:
    r"""Best places for the safety stock of every finished item along its chain from plant to warehouse.

    The chain of an item are the places of its targets and the places they are fed from. A place that makes or buys the item
    takes its lead time and one review period (production is decided once a period), any other the days on the lane.
    Components are taken to be there when asked for: their own targets see to that. Places that serve markets promise delivery
    at once. The bound on demand is :math:`z \sigma \sqrt{\tau}` (`guaranteed_service`).

    Today's targets cover the last leg and the review period alone; that the plant delivers at once is taken for granted there.
    `end_only_amt` is what the same promise would cost with all safety stock at the places that serve markets.

    Parameters
    ----------
    target : DataFrame
        `inventory_target`.
    demand : DataFrame
        `consensus_demand`: tells which items are sold.
    inputs : dict of DataFrame
        `production`, `supplier_item`, `lane`.
    value : Series
        Worth of one unit by item; items without one are left out, no money can be weighed for them.
    calendar : Calendar
        Length of a period.

    Returns
    -------
    DataFrame
        The `stock_placement` table.
    """
    days = _DAYS_PER_YEAR / calendar.buckets_per_year
    ends = _ends(target, demand, value)
    if ends.empty:
        return tables.table("stock_placement").empty()
    stages, arcs = _chains(ends, inputs, days)
    stages = stages.assign(holding_cost_amt=stages["item_id"].map(value).astype(float))
    parts = [_placed(stages[stages["item_id"] == item], arcs[arcs["item_id"] == item], days) for item in stages["item_id"].unique()]
    rows = pd.concat(parts, ignore_index=True)
    return tables.validate("stock_placement", rows[list(tables.table("stock_placement").columns)].sort_values(_PLACE, ignore_index=True))


def _ends(target: pd.DataFrame, demand: pd.DataFrame, value: pd.Series) -> pd.DataFrame:
    """Places that serve markets, as means over the horizon."""
    sold = target[target["item_id"].isin(demand.loc[demand["demand_qty"] > 0, "item_id"])]
    ends = sold.groupby(_PLACE, as_index=False).agg(
        error_qty=("error_qty", "mean"), service_level_ratio=("service_level_ratio", "max"), today_qty=("safety_stock_qty", "mean")
    )
    return ends[ends["item_id"].map(value).astype(float) > 0].reset_index(drop=True)


def _chains(ends: pd.DataFrame, inputs: dict[str, pd.DataFrame], days: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stages and arcs of every item: upstream over the quickest lane, from a maker or buyer before others."""
    own = pd.concat([source[[*_PLACE, "lead_time_days"]] for source in (inputs["production"], inputs["supplier_item"]) if len(source)])
    own = own.sort_values([*_PLACE, "lead_time_days"]).drop_duplicates(_PLACE)
    reachable = reachable_places(own, inputs["lane"]).rename(columns={"location_id": "from_location_id"})
    places, stages, arcs = ends[_PLACE], [], []
    seen = places.iloc[:0]
    while len(places):
        seen = pd.concat([seen, places])
        here = places.merge(own, on=_PLACE, how="left", validate="1:1")
        stages.append(here[here["lead_time_days"].notna()].assign(review_days=days))
        waiting = here.loc[here["lead_time_days"].isna(), _PLACE]
        ways = lanes_for(inputs["lane"], waiting.rename(columns={"location_id": "to_id"}))
        ways = ways.merge(reachable, on=["item_id", "from_location_id"], validate="m:1").rename(columns={"to_id": "location_id"})
        feeding = pd.MultiIndex.from_frame(ways[["item_id", "from_location_id"]])
        ways = ways.assign(is_passed_on=~feeding.isin(pd.MultiIndex.from_frame(own[_PLACE])))
        order = [*_PLACE, "is_passed_on", "lead_time_days", "freight_cost_amt", "from_location_id"]
        quickest = ways.sort_values(order).drop_duplicates(_PLACE)
        stages.append(quickest[[*_PLACE, "lead_time_days"]].assign(review_days=0.0))
        arcs.append(quickest[[*_PLACE, "from_location_id"]])
        fed = quickest[["item_id", "from_location_id"]].rename(columns={"from_location_id": "location_id"}).drop_duplicates()
        places = fed[~pd.MultiIndex.from_frame(fed).isin(pd.MultiIndex.from_frame(seen))]
    stage = pd.concat([part for part in stages if len(part)], ignore_index=True).merge(ends, on=_PLACE, how="left", validate="1:1")
    return stage, pd.concat(arcs, ignore_index=True)


def _placed(stages: pd.DataFrame, arcs: pd.DataFrame, days: float) -> pd.DataFrame:
    """One item's chain, placed."""
    is_end = stages["error_qty"].notna()
    whole = stages.assign(
        stage_id=stages["location_id"],
        stage_time=np.ceil(stages["lead_time_days"] + stages["review_days"]).astype(int),
        deviation_qty=stages["error_qty"].fillna(0.0) / np.sqrt(days),
        service_limit=np.where(is_end, 0.0, np.nan),
        factor=ndtri(stages["service_level_ratio"].max()),
    )
    ways = arcs.rename(columns={"from_location_id": "from_id", "location_id": "to_id"})
    found = guaranteed_service(whole, ways)
    end_only = placement_costs(whole, ways, np.where(is_end, 0.0, np.inf))
    # Where today no target is held, none is.
    today = found["today_qty"].fillna(0.0)
    return found.assign(
        stage_days=found["stage_time"].astype(float),
        inbound_days=found["inbound_time"].astype(float),
        service_days=found["service_time"].astype(float),
        net_days=found["net_time"].astype(float),
        deviation_qty=found["total_deviation_qty"] * np.sqrt(days),
        safety_stock_amt=found["cost_amt"],
        today_qty=today,
        today_amt=today * found["holding_cost_amt"],
        end_only_amt=end_only,
    )
