"""Rough-cut capacity: hours a demand plan needs, before anything is optimised. It is never a finite schedule."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csc_array, eye_array
from scipy.sparse.linalg import spsolve

from sop_workbench import tables
from sop_workbench.periods import Calendar

_PLACE = ["item_id", "location_id"]


def rough_cut_load(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], calendar: Calendar) -> pd.DataFrame:
    """Load of every resource by bill of capacity, against regular, overtime and demonstrated hours.

    load[r, t] = Σ gross[i, t] · share[i, p, t] / yield_ratio[i, p] · hours_per_unit[i, p, r];  gross = demand + U · gross, the
    demand of an item and of everything it goes into, U the bill of material with scrap and the parents' yield

    An item that several plants make is split by how many units each could make alone in that period
    (its fewest over its resources); where no plant needs hours for it, or none has any, equally.

    Parameters
    ----------
    demand : DataFrame
        item_id, period, demand_qty: independent demand (`consensus_demand`); what it takes down the bill of material is added here.
    inputs : dict of str to DataFrame
        `production`, `routing`, `bill_of_material`, `capacity`, `workforce`.
    calendar : Calendar
        Says on which day a period begins, and so which lines of the bill of material count in it.

    Returns
    -------
    DataFrame
        The `capacity_load` table: every resource with stated hours, every period demanded or stated from the first demanded one on.

    Notes
    -----
    Stock, open orders and lead times are left out: load falls where the demand falls.
    """
    needed = _gross(demand, inputs, calendar)
    hours = _stated_hours(inputs, pd.DatetimeIndex(np.sort(needed["period"].unique())))
    split = _split_by_plant(needed, inputs, hours)
    work = split.merge(inputs["routing"], on=_PLACE, validate="m:m")
    work["load_hours"] = work["started_qty"] * work["hours_per_unit"]
    load = work.groupby(["resource_id", "period"], as_index=False)["load_hours"].sum()
    rows = hours.merge(load, on=["resource_id", "period"], how="outer", validate="1:1")
    rows["load_hours"] = rows["load_hours"].fillna(0.0)  # nothing demanded loads nothing
    # A resource that is loaded but has no stated hours has none to offer.
    rows[["regular_hours", "overtime_hours"]] = rows[["regular_hours", "overtime_hours"]].fillna(0.0)
    rows["utilisation_ratio"] = rows["load_hours"] / rows["regular_hours"].where(rows["regular_hours"] > 0)
    rows["is_overloaded"] = rows["load_hours"] > rows["regular_hours"] + rows["overtime_hours"] + 1e-9
    declared = tables.table("capacity_load")
    return tables.validate("capacity_load", rows[list(declared.columns)].sort_values(list(declared.key)).reset_index(drop=True))


def overall_factors(demand: pd.DataFrame, hours_per_unit: pd.DataFrame, history_share: pd.DataFrame) -> pd.DataFrame:
    """Load by overall planning factors: total hours, split over resources as they were in the past.

    load[r, t] = history_share[r] · Σ_i demand[i, t] · hours_per_unit[i]

    Parameters
    ----------
    demand : DataFrame
        item_id, period, demand_qty.
    hours_per_unit : DataFrame
        item_id, hours_per_unit (total direct hours of one unit).
    history_share : DataFrame
        resource_id, share_ratio; shares sum to 1.

    Returns
    -------
    DataFrame
        resource_id, period, load_hours.

    Raises
    ------
    ValueError
        When shares do not sum to 1 or an item has no hours.

    Examples
    --------
    >>> month = pd.Timestamp("2026-01-01")
    >>> overall_factors(pd.DataFrame({"item_id": ["A", "B", "C"], "period": month, "demand_qty": [100.0, 50.0, 25.0]}),
    ...                 pd.DataFrame({"item_id": ["A", "B", "C"], "hours_per_unit": [2.0, 3.0, 4.0]}),
    ...                 pd.DataFrame({"resource_id": ["R1", "R2"], "share_ratio": [0.6, 0.4]}))
      resource_id     period  load_hours
    0          R1 2026-01-01       270.0
    1          R2 2026-01-01       180.0
    """
    if abs(history_share["share_ratio"].sum() - 1.0) > 1e-9:
        raise ValueError(f"shares of history_share sum to {history_share['share_ratio'].sum():g}; they must sum to 1")
    work = demand.merge(hours_per_unit, on="item_id", how="left", validate="m:1")
    without = sorted(work.loc[work["hours_per_unit"].isna(), "item_id"].unique())
    if without:
        raise ValueError(f"no hours_per_unit for {', '.join(without)}")
    total = (work["demand_qty"] * work["hours_per_unit"]).groupby(work["period"]).sum().rename("total_hours").reset_index()
    load = history_share.merge(total, how="cross")
    load["load_hours"] = load["share_ratio"] * load["total_hours"]
    return load[["resource_id", "period", "load_hours"]].sort_values(["resource_id", "period"]).reset_index(drop=True)


def _gross(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], calendar: Calendar) -> pd.DataFrame:
    """Demand of every item and of all that it goes into, by period: (I − U) gross = demand."""
    bom = inputs["bill_of_material"]
    names = np.concatenate([demand["item_id"], bom["parent_item_id"], bom["component_item_id"]]).astype(str)
    items = pd.Index(np.unique(names), name="item_id")
    own = demand.groupby(["item_id", "period"])["demand_qty"].sum().unstack("period").reindex(items).fillna(0.0)  # no row is no demand
    gross = own.copy()
    for period in own.columns:
        usage = _usage(bom, inputs["production"], items, calendar.first_day(period))
        gross[period] = spsolve(csc_array(eye_array(len(items)) - usage), own[period].to_numpy())
    rows = gross.melt(ignore_index=False, var_name="period", value_name="demand_qty").reset_index()
    return rows[rows["demand_qty"] > 0]


def _usage(bom: pd.DataFrame, production: pd.DataFrame, items: pd.Index, day: pd.Timestamp) -> csc_array:
    """Units of a component (row) that one good unit of a parent (column) takes, on the mean yield of the parent's plants."""
    lines = bom[(bom["valid_from"] <= day) & (bom["valid_to"].isna() | (bom["valid_to"] >= day))]
    yield_ratio = lines["parent_item_id"].map(production.groupby("item_id")["yield_ratio"].mean()).fillna(1.0)  # not made here: as bought
    units = (lines["quantity_per"] / (1.0 - lines["scrap_ratio"]) / yield_ratio).to_numpy(dtype=float)
    where = items.get_indexer(lines["component_item_id"]), items.get_indexer(lines["parent_item_id"])
    return csc_array((units, where), shape=(len(items), len(items)))


def _stated_hours(inputs: dict[str, pd.DataFrame], periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Hours by resource and period; of a crew, those of the people it starts with."""
    columns = ["resource_id", "period", "regular_hours", "overtime_hours", "demonstrated_hours"]
    crew = inputs["workforce"].merge(pd.DataFrame({"period": periods}), how="cross")
    crew = crew.assign(regular_hours=crew["opening_workers"] * crew["hours_per_worker"],
                       overtime_hours=crew["opening_workers"] * crew["overtime_hours_per_worker"], demonstrated_hours=np.nan)
    capacity = inputs["capacity"]
    lines = capacity[capacity["period"].isin(periods) & ~capacity["resource_id"].isin(inputs["workforce"]["resource_id"])]
    parts = [frame[columns] for frame in (lines, crew) if len(frame)]
    return pd.concat(parts, ignore_index=True) if parts else lines[columns]


def _split_by_plant(needed: pd.DataFrame, inputs: dict[str, pd.DataFrame], hours: pd.DataFrame) -> pd.DataFrame:
    """Units to start at each plant: demand by share, yield added."""
    plants = needed.merge(inputs["production"][[*_PLACE, "yield_ratio"]], on="item_id", validate="m:m")
    able = inputs["routing"].merge(hours[["resource_id", "period", "regular_hours"]], on="resource_id", validate="m:m")
    able = able[able["hours_per_unit"] > 0]
    able["able_qty"] = able["regular_hours"] / able["hours_per_unit"]
    able = able.groupby([*_PLACE, "period"], as_index=False)["able_qty"].min()
    plants = plants.merge(able, on=[*_PLACE, "period"], how="left", validate="1:1")
    item = [plants["item_id"], plants["period"]]
    total = plants["able_qty"].groupby(item).transform("sum")
    is_split_by_hours = plants["able_qty"].notna().groupby(item).transform("all") & (total > 0)
    equal = 1.0 / plants.groupby(["item_id", "period"])["location_id"].transform("size")
    share = (plants["able_qty"] / total.where(total > 0)).where(is_split_by_hours, equal)
    return plants.assign(started_qty=plants["demand_qty"] * share / plants["yield_ratio"])
