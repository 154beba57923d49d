"""Rough-cut capacity: hours a demand plan needs, before anything is optimised. It is never a finite schedule.

Three ways, from rough to less rough: overall factors (total hours, split as in the past), bill of capacity (hours of a unit and of all
that goes into it, where the demand falls), resource profile (the same, each operation its lead time earlier).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import block_array, coo_array, csr_array, eye_array

from sop_workbench import tables
from sop_workbench.lots import hours_at_usual_lots
from sop_workbench.periods import Calendar
from sop_workbench.structure import Usage, earlier, refuse_loops, requirements, usage

_PLACE = ["item_id", "location_id"]
_BEST_SHARE = 4  # the best fourth of the last year: three months, thirteen weeks


def rough_cut_load(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], calendar: Calendar) -> pd.DataFrame:
    """Load of every resource by bill of capacity and by resource profile, against regular, overtime and demonstrated hours.

    load[r, t] = Σ gross[i, t] · share[i, p, t] / yield_ratio[i, p] · hours_per_unit[i, p, r];  gross = demand + U · gross, the
    demand of an item and of everything it goes into, U the bill of material with scrap and the parents' yield.
    By resource profile the same hours fall the item's own lead time, and those of all it goes into, earlier.

    The hours of a lot are spread over a usual one where its size is stated (`lots.hours_at_usual_lots`).
    An item that several plants make is split by how many units each could make alone in that period
    (its fewest over its resources); where no plant needs hours for it, or none has any, equally.

    Parameters
    ----------
    demand : DataFrame
        item_id, period, demand_qty: independent demand (`consensus_demand`); what it takes down the bill of material is added here.
    inputs : dict of str to DataFrame
        `production`, `routing`, `bill_of_material`, `capacity`, `workforce`, `resource`, `production_history`.
    calendar : Calendar
        Says on which day a period begins, and so which lines of the bill of material count in it; turns lead times into buckets.

    Returns
    -------
    DataFrame
        The `capacity_load` table: every resource with stated hours, every period demanded or stated from the first demanded one on.
        `offset_load_hours` is empty at the end of the horizon, where it hangs on demand beyond it; what would have to be done
        before the first period is in nobody's load. Demonstrated hours are those stated in `capacity`; else regular hours times
        the resource's stated efficiency; else those of `demonstrated_hours`.

    Raises
    ------
    DataError
        When the bill of material has a loop.

    Notes
    -----
    Stock and open orders are left out. An item made in several plants has the longest of their lead times.
    """
    inputs = _at_usual_lots(inputs)
    needed, started, blind = _gross(demand, inputs, calendar)
    hours = _stated_hours(inputs, pd.DatetimeIndex(np.sort(demand["period"].unique())))
    rows = hours.merge(
        _load(needed, inputs, hours).rename("load_hours").reset_index(), on=["resource_id", "period"], how="outer", validate="1:1"
    )
    profile = _load(started, inputs, hours).rename("offset_load_hours").reset_index()
    rows = rows.merge(profile, on=["resource_id", "period"], how="left", validate="1:1")
    # Nothing demanded loads nothing.
    rows[["load_hours", "offset_load_hours"]] = rows[["load_hours", "offset_load_hours"]].fillna(0.0)
    rows["offset_load_hours"] = rows["offset_load_hours"].where(~_is_blind(rows, blind, inputs["routing"], demand["period"]))
    # A resource that is loaded but has no stated hours has none to offer.
    rows[["regular_hours", "overtime_hours"]] = rows[["regular_hours", "overtime_hours"]].fillna(0.0)
    rows = _with_demonstrated(rows, inputs, calendar, demand["period"].min())
    rows["utilisation_ratio"] = rows["load_hours"] / rows["regular_hours"].where(rows["regular_hours"] > 0)
    rows["demonstrated_ratio"] = rows["load_hours"] / rows["demonstrated_hours"].where(rows["demonstrated_hours"] > 0)
    rows["is_overloaded"] = rows["load_hours"] > rows["regular_hours"] + rows["overtime_hours"] + 1e-9
    declared = tables.table("capacity_load")
    return tables.validate("capacity_load", rows[list(declared.columns)].sort_values(list(declared.key)).reset_index(drop=True))


def bill_of_capacity(inputs: dict[str, pd.DataFrame], period: pd.Timestamp, calendar: Calendar) -> pd.DataFrame:
    r"""Hours that one unit of an item takes of every resource, by how long before its completion they fall: its resource profile.

    .. math:: b_{ir\ell} = h_{ir} [\ell = L_i] + \sum_c U_{ci} \, b_{cr,\ell - L_i}

    Summed over the offsets it is the bill of capacity.

    Parameters
    ----------
    inputs : dict of str to DataFrame
        `production`, `routing`, `bill_of_material`.
    period : Timestamp
        Lines of the bill of material valid at its start count.
    calendar : Calendar
        Turns lead times into buckets.

    Returns
    -------
    DataFrame
        item_id, resource_id, offset (buckets before completion), hours_per_unit. An item made in several plants has the mean of
        their hours and the longest of their lead times.

    Raises
    ------
    DataError
        When the bill of material has a loop.
    """
    inputs = _at_usual_lots(inputs)
    refuse_loops(inputs["bill_of_material"])
    items, lead = _items(inputs, calendar)
    matrix = usage(inputs["bill_of_material"], items, pd.DatetimeIndex([period]), calendar, _mean_yield(inputs))[0].per_parent
    work = inputs["routing"].merge(inputs["production"][[*_PLACE, "yield_ratio"]], on=_PLACE, validate="m:1")
    work["hours"] = work["hours_per_unit"] / work["yield_ratio"] / work["item_id"].map(inputs["production"].groupby("item_id").size())
    own = (
        work.groupby(["item_id", "resource_id"])["hours"].sum().unstack("resource_id").reindex(items).fillna(0.0)
    )  # no routing takes no hours
    offsets = range(int(_longest_way(matrix.tocoo(), lead).max(initial=0)) + 1)
    found = _profile(matrix, lead, np.stack([np.where((lead == offset)[:, None], own.to_numpy(), 0.0) for offset in offsets]))
    at, item, resource = np.nonzero(found)
    return pd.DataFrame(
        {
            "item_id": items.to_numpy()[item],
            "resource_id": own.columns.to_numpy()[resource],
            "offset": at,
            "hours_per_unit": found[at, item, resource],
        }
    ).sort_values(["item_id", "resource_id", "offset"], ignore_index=True)


def demonstrated_hours(inputs: dict[str, pd.DataFrame], calendar: Calendar, before: pd.Timestamp) -> pd.Series:
    """Hours each resource has shown it can do in a period: what it made times the routing's hours.

    The mean of the best fourth of the last year's periods (three months, thirteen weeks): a slack one shows what was asked for, not
    what could be done.
    Kinds of items whose making is not recorded are taken down the bill of material from what is.

    Parameters
    ----------
    inputs : dict of str to DataFrame
        `production_history`, `production`, `routing`, `bill_of_material`.
    calendar : Calendar
        Says on which day a period begins.
    before : Timestamp
        First period planned; history from then on is not looked at.

    Returns
    -------
    Series
        Hours by resource_id; a resource with fewer recorded periods than these is not in it.
    """
    booked = _booked_hours(inputs, calendar, before)
    count = calendar.buckets_per_year // _BEST_SHARE
    best = booked.groupby("resource_id").nlargest(count).groupby("resource_id", level=0)
    return best.mean()[best.size() >= count].rename("demonstrated_hours")


def historical_factors(inputs: dict[str, pd.DataFrame], calendar: Calendar, before: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Overall planning factors as the company's own tables give them: total hours of a unit, and each resource's share of past hours.

    Parameters
    ----------
    inputs : dict of str to DataFrame
        `production_history`, `production`, `routing`, `bill_of_material`.
    calendar : Calendar
        Says on which day a period begins.
    before : Timestamp
        First period planned; the year before it is looked at.

    Returns
    -------
    (DataFrame, DataFrame)
        item_id, hours_per_unit (components included) and resource_id, share_ratio: what `overall_factors` takes.

    Raises
    ------
    ValueError
        When nothing was made: there is no share to go by.
    """
    hours = bill_of_capacity(inputs, before, calendar).groupby("item_id", as_index=False)["hours_per_unit"].sum()
    booked = _booked_hours(inputs, calendar, before).groupby("resource_id").sum()
    if not booked.sum() > 0:
        raise ValueError(f"production_history holds no hours in the {calendar.buckets_per_year} periods before {before:%Y-%m-%d}")
    return hours, (booked / booked.sum()).rename("share_ratio").reset_index()


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


def _booked_hours(inputs: dict[str, pd.DataFrame], calendar: Calendar, before: pd.Timestamp) -> pd.Series:
    """Hours by resource and period of the last year that what was made takes by its routing."""
    inputs = _at_usual_lots(inputs)
    history = inputs["production_history"]
    history = history[(history["period"] < before) & (history["period"] >= calendar.add(before, -calendar.buckets_per_year))]
    if history.empty:
        return pd.Series([], index=pd.MultiIndex.from_arrays([[], []], names=["resource_id", "period"]), dtype=float)
    made = history.merge(inputs["production"][[*_PLACE, "yield_ratio"]], on=_PLACE, validate="m:1")
    made = made.assign(started_qty=made["produced_qty"] / made["yield_ratio"])[[*_PLACE, "period", "started_qty"]]
    gross, _, _ = _gross(history.rename(columns={"produced_qty": "demand_qty"}), inputs, calendar)
    unrecorded = gross[~gross["item_id"].isin(history["item_id"])]
    parts = [made, _split_by_plant(unrecorded, inputs, _stated_hours(inputs, pd.DatetimeIndex([])))[made.columns]]
    work = pd.concat([part for part in parts if len(part)]).merge(inputs["routing"], on=_PLACE, validate="m:m")
    return (work["started_qty"] * work["hours_per_unit"]).groupby([work["resource_id"], work["period"]]).sum()


def _at_usual_lots(inputs: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The inputs with a routing that has the hours of lots in those of a unit; applied twice it is the same."""
    return {**inputs, "routing": hours_at_usual_lots(inputs["routing"], inputs["production"])}


def _load(needed: pd.DataFrame, inputs: dict[str, pd.DataFrame], hours: pd.DataFrame) -> pd.Series:
    """Hours by resource and period that units needed take where they are made."""
    work = _split_by_plant(needed, inputs, hours).merge(inputs["routing"], on=_PLACE, validate="m:m")
    return (work["started_qty"] * work["hours_per_unit"]).groupby([work["resource_id"], work["period"]]).sum()


def _gross(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], calendar: Calendar) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Demand of every item and of all that it goes into, when it is due and when it has to be started; blind periods by item."""
    refuse_loops(inputs["bill_of_material"])
    bom = inputs["bill_of_material"]
    items, lead = _items(inputs, calendar, demand["item_id"])
    periods = pd.DatetimeIndex(np.sort(demand["period"].unique()))
    own = (
        demand.groupby(["item_id", "period"])["demand_qty"].sum().unstack("period").reindex(items).fillna(0.0).to_numpy()
    )  # no row is no demand
    versions = usage(bom, items, periods, calendar, _mean_yield(inputs))
    due = _rows(requirements(versions, own), items, periods)
    started = _rows(earlier(requirements(versions, own, lead), lead), items, periods)
    blind = np.max([_longest_way(version.per_parent.tocoo(), lead) for version in versions], axis=0)
    return due, started, pd.Series(blind, index=items)


def _items(inputs: dict[str, pd.DataFrame], calendar: Calendar, *further: pd.Series) -> tuple[pd.Index, np.ndarray]:
    """Every item of the product structure, and the longest lead time of its plants in buckets (0 where it is not made)."""
    bom, production = inputs["bill_of_material"], inputs["production"]
    names = [bom["parent_item_id"], bom["component_item_id"], production["item_id"], *further]
    items = pd.Index(np.unique(np.concatenate(names).astype(str)), name="item_id")
    lead = calendar.lead_time_buckets(production["lead_time_days"]).groupby(production["item_id"]).max()
    return items, lead.reindex(items, fill_value=0).to_numpy(dtype=int)


def _mean_yield(inputs: dict[str, pd.DataFrame]) -> pd.Series:
    return inputs["production"].groupby("item_id")["yield_ratio"].mean()


def _rows(quantity: np.ndarray, items: pd.Index, periods: pd.DatetimeIndex) -> pd.DataFrame:
    at, column = np.nonzero(quantity > 0)
    return pd.DataFrame({"item_id": items.to_numpy()[at], "period": periods.to_numpy()[column], "demand_qty": quantity[at, column]})


def _longest_way(usage_of: coo_array, lead: np.ndarray) -> np.ndarray:
    """Buckets from the start of an item to the completion of the last it goes into."""
    way = lead.copy()
    while True:
        longer = way.copy()
        np.maximum.at(longer, usage_of.row, way[usage_of.col] + lead[usage_of.row])
        if np.array_equal(longer, way):
            return way
        way = longer


def _is_blind(rows: pd.DataFrame, blind: pd.Series, routing: pd.DataFrame, demanded: pd.Series) -> pd.Series:
    """Rows at the end of the horizon whose load by resource profile hangs on demand beyond it."""
    reach = blind.reindex(routing["item_id"]).fillna(0).groupby(routing["resource_id"].to_numpy()).max()  # nor does what is not demanded
    periods = np.sort(demanded.unique())
    left = len(periods) - 1 - pd.Series(np.searchsorted(periods, rows["period"].to_numpy()), index=rows.index)
    return left < rows["resource_id"].map(reach).fillna(0)  # what takes no hours waits for nothing


def _profile(usage_of: csr_array, lead: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Hours of a unit by offset, item and resource: its own at its lead time, its components' the lead time earlier still."""
    total, level = own.copy(), own
    while level.any():
        below = np.stack([usage_of.T @ one for one in level])
        level = np.zeros_like(own)
        for offset in np.unique(lead):
            rows = lead == offset
            level[offset:, rows] = below[: len(below) - offset, rows]
        total += level
    return total


def _with_demonstrated(rows: pd.DataFrame, inputs: dict[str, pd.DataFrame], calendar: Calendar, first: pd.Timestamp) -> pd.DataFrame:
    """Demonstrated hours and what they rest on: stated by period, by the resource's efficiency, or shown by history."""
    resource = inputs["resource"]
    efficiency = resource.set_index("resource_id")["efficiency_ratio"] if "efficiency_ratio" in resource else pd.Series(dtype=float)
    by_efficiency = rows["resource_id"].map(efficiency).astype(float) * rows["regular_hours"]
    by_history = rows["resource_id"].map(demonstrated_hours(inputs, calendar, first)).astype(float)
    stated = rows["demonstrated_hours"].astype(float)
    basis = np.select([stated.notna(), by_efficiency.notna(), by_history.notna()], ["stated", "efficiency", "history"], "")
    return rows.assign(
        demonstrated_hours=stated.fillna(by_efficiency).fillna(by_history),
        demonstrated_basis=pd.Series(basis, index=rows.index).where(basis != "", None),
    )


def _stated_hours(inputs: dict[str, pd.DataFrame], periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Hours by resource and period; of a crew, those of the people it starts with."""
    columns = ["resource_id", "period", "regular_hours", "overtime_hours", "demonstrated_hours"]
    crew = inputs["workforce"].merge(pd.DataFrame({"period": periods}), how="cross")
    crew = crew.assign(
        regular_hours=crew["opening_workers"] * crew["hours_per_worker"],
        overtime_hours=crew["opening_workers"] * crew["overtime_hours_per_worker"],
        demonstrated_hours=np.nan,
    )
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


# ------------------------------------------------------------------ what was really booked
def booked_load(documents: Mapping[str, pd.DataFrame], capacity: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    r"""Hours the shop floor really booked on every work centre, and per unit, beside its regular hours: a check on the routing.

    .. math:: b_{rt} = \sum_{o \in r,\, begun\ in\ t} booked\_hours_o, \qquad rate_{rt} = b_{rt} / \sum_{o} ordered\_qty_o

    An order counts its units once at a centre, however many operations it has there.

    Parameters
    ----------
    documents : mapping of str to DataFrame
        Document tables `work_order_operation` and `work_order`.
    capacity : DataFrame
        Input table `capacity`; a work centre without a row has no regular hours to compare with.
    calendar : Calendar
        Says in which period an operation began.

    Returns
    -------
    DataFrame
        resource_id, period, order_count, ordered_qty, booked_hours, hours_per_unit, regular_hours, utilisation_ratio.

    Examples
    --------
    Two orders of 3 hours each, whatever their size:

    >>> documents = {"work_order_operation": pd.DataFrame({"order_id": ["1", "2"], "operation_id": "10", "item_id": "A",
    ...                  "work_centre_id": "R", "booked_hours": 3.0, "actual_start_date": pd.Timestamp("2026-01-05")}),
    ...              "work_order": pd.DataFrame({"order_id": ["1", "2"], "ordered_qty": [58.0, 2.0]})}
    >>> hours = pd.DataFrame({"resource_id": ["R"], "period": [pd.Timestamp("2026-01-01")], "regular_hours": [8.0]})
    >>> booked_load(documents, hours, Calendar("month"))[["booked_hours", "hours_per_unit", "utilisation_ratio"]]
       booked_hours  hours_per_unit  utilisation_ratio
    0           6.0             0.1               0.75
    """
    load = _operations(documents, calendar).groupby(["resource_id", "period"], as_index=False).agg(
        order_count=("order_id", "size"), ordered_qty=("ordered_qty", "sum"), booked_hours=("booked_hours", "sum"))
    load["hours_per_unit"] = load["booked_hours"] / load["ordered_qty"].where(load["ordered_qty"] > 0)
    stated = capacity[["resource_id", "period", "regular_hours"]]
    load = load.merge(stated, on=["resource_id", "period"], how="left", validate="1:1")
    load["utilisation_ratio"] = load["booked_hours"] / load["regular_hours"].where(load["regular_hours"] > 0)
    return load


def routing_as_booked(
    routing: pd.DataFrame, documents: Mapping[str, pd.DataFrame], calendar: Calendar, periods: pd.DatetimeIndex
) -> pd.DataFrame:
    r"""The routing with the hours per unit that operations begun in some periods really took.

    .. math:: hours\_per\_unit_{ir} = \sum_o booked\_hours_o / \sum_o ordered\_qty_o

    Where hours are booked per order, hours per unit hang on how small the orders are: this says what a plan needs
    at the order sizes of those periods.

    Parameters
    ----------
    routing : DataFrame
        Input table; what was not made in those periods keeps its hours.
    documents : mapping of str to DataFrame
        Document tables `work_order_operation` and `work_order`.
    calendar : Calendar
        Says in which period an operation began.
    periods : DatetimeIndex
        Periods whose operations count.

    Returns
    -------
    DataFrame
        `routing`, same rows; hours booked hold those of the lots, so that none are left per lot.

    Examples
    --------
    >>> documents = {"work_order_operation": pd.DataFrame({"order_id": ["1", "2"], "operation_id": "10", "item_id": "A",
    ...                  "work_centre_id": "R", "booked_hours": 3.0, "actual_start_date": pd.Timestamp("2026-01-05")}),
    ...              "work_order": pd.DataFrame({"order_id": ["1", "2"], "ordered_qty": [58.0, 2.0]})}
    >>> routing = pd.DataFrame({"item_id": ["A", "B"], "location_id": "P", "resource_id": "R", "hours_per_unit": [0.06, 0.5]})
    >>> routing_as_booked(routing, documents, Calendar("month"), pd.DatetimeIndex(["2026-01-01"]))["hours_per_unit"].tolist()
    [0.1, 0.5]
    """
    operations = _operations(documents, calendar)
    made = operations[operations["period"].isin(periods) & (operations["ordered_qty"] > 0)]
    total = made.groupby(["item_id", "resource_id"])[["booked_hours", "ordered_qty"]].sum()
    rate = (total["booked_hours"] / total["ordered_qty"]).rename("booked").reset_index()
    found = routing.merge(rate, on=["item_id", "resource_id"], how="left", validate="m:1")
    renewed = found.assign(hours_per_unit=found["booked"].fillna(found["hours_per_unit"]))
    if "hours_per_lot" in renewed:  # they are in what was booked
        renewed["hours_per_lot"] = renewed["hours_per_lot"].where(found["booked"].isna(), 0.0)
    return renewed.drop(columns="booked").set_axis(routing.index)


def _operations(documents: Mapping[str, pd.DataFrame], calendar: Calendar) -> pd.DataFrame:
    """Hours and units of every order at every work centre, in the period in which it began there."""
    begun = documents["work_order_operation"].dropna(subset=["booked_hours", "actual_start_date"])
    begun = begun.groupby(["order_id", "item_id", "work_centre_id"], as_index=False).agg(
        booked_hours=("booked_hours", "sum"), begun=("actual_start_date", "min"))
    orders = documents["work_order"].dropna(subset=["ordered_qty"])[["order_id", "ordered_qty"]]
    work = begun.merge(orders, on="order_id", validate="m:1").rename(columns={"work_centre_id": "resource_id"})
    return work.assign(period=calendar.periods_of(work["begun"]))


# ------------------------------------------------------------------ how many can we make, and what stops the next one
class AtHand(NamedTuple):
    """What there is to make something with up to some period.

    Attributes
    ----------
    hours : Series
        Regular and overtime hours by resource_id.
    stock : Series
        Units at hand or on order by item_id; one that is not in it has none.
    purchase : Series
        Units that suppliers can bring in time by item_id (infinite: no limit); one that is not in it cannot be bought.
    """

    hours: pd.Series
    stock: pd.Series
    purchase: pd.Series


def at_hand(inputs: dict[str, pd.DataFrame], periods: pd.DatetimeIndex, calendar: Calendar) -> AtHand:
    """Hours, stock, open orders and purchases up to the end of the last of some periods, wherever they are.

    Parameters
    ----------
    inputs : dict of str to DataFrame
        `capacity`, `workforce`, `stock_on_hand`, `open_supply`, `supplier_item`.
    periods : DatetimeIndex
        The periods counted, from the first planned one on.
    calendar : Calendar
        Turns lead times and due dates into buckets.
    """
    stated = _stated_hours(inputs, periods)
    hours = (stated["regular_hours"] + stated["overtime_hours"]).groupby(stated["resource_id"]).sum()
    counted = inputs["stock_on_hand"]["on_hand_qty"].clip(lower=0).groupby(inputs["stock_on_hand"]["item_id"]).sum()
    due = inputs["open_supply"]
    due = due[calendar.periods_of(due["due_date"]) <= periods[-1]] if len(due) else due
    stock = counted.add(due.groupby("item_id")["open_qty"].sum(), fill_value=0.0)  # no row: none there
    offers = inputs["supplier_item"]
    receivable = (len(periods) - calendar.lead_time_buckets(offers["lead_time_days"])).clip(lower=0)
    most = (offers["max_qty"].fillna(np.inf) * receivable.where(receivable > 0)).fillna(0.0)  # too late: nothing comes
    return AtHand(hours, stock, most.groupby(offers["item_id"]).sum())


def buildable(mix: pd.DataFrame, hand: AtHand, inputs: dict[str, pd.DataFrame], period: pd.Timestamp, calendar: Calendar) -> pd.DataFrame:
    r"""How many of a mix can be made with what is at hand, what stops the next one, and what would stop it after that.

    .. math::
        \max n \quad \text{with} \quad mix_i\, n + \sum_j U_{ij}\, make_j \le stock_i + buy_i + yield_i\, make_i, \qquad
        \sum_i hours_{ir}\, make_i \le hours_r, \qquad buy_i \le purchase_i

    Parameters
    ----------
    mix : DataFrame
        item_id, mix_qty: units in one of the mix (one item with 1: units of it).
    hand : AtHand
        What is at hand.
    inputs : dict of str to DataFrame
        `production`, `routing`, `bill_of_material`.
    period : Timestamp
        Lines of the bill of material valid at its start count.
    calendar : Calendar
        Says on which day a period begins.

    Returns
    -------
    DataFrame
        limit (capacity, material, none), member, limit_qty, buildable_qty, unit_gain_qty, beyond_qty, next_limit, next_member; one row
        for every limit that binds, the one that gives most first. Quantities are empty where nothing limits.

    Raises
    ------
    DataError
        When the bill of material has a loop.
    ValueError
        When the mix holds nothing, or less than nothing of an item.

    Notes
    -----
    Rough-cut: lead times inside the plant, lots and the place of stock are left out, so it is what is possible at best, not a
    schedule. The same problem is solved for several plants at once: an item is made where hours are left.
    """
    if mix.empty or not (mix["mix_qty"] > 0).all():
        raise ValueError("mix needs at least one item, each with a mix_qty above 0")
    problem = _Problem(mix, hand, inputs, period, calendar)
    count, gains = problem.solve()
    limits = []
    for name in sorted(gains, key=lambda one: (-gains[one], one)):
        beyond, then = problem.solve(without=name)
        # Of the limits that bind then, the one that gives most.
        following = max(sorted(then), key=then.__getitem__) if then else ("none", "")
        limits.append(
            {
                "limit": name[0],
                "member": name[1],
                "limit_qty": problem.size[name],
                "buildable_qty": count,
                "unit_gain_qty": gains[name],
                "beyond_qty": beyond,
                "next_limit": following[0],
                "next_member": following[1],
            }
        )
    free = {
        "limit": "none",
        "member": "",
        "limit_qty": np.nan,
        "buildable_qty": np.nan,
        "unit_gain_qty": np.nan,
        "beyond_qty": np.nan,
        "next_limit": "none",
        "next_member": "",
    }
    return pd.DataFrame(limits or [free])


def how_many(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], periods: pd.DatetimeIndex, calendar: Calendar) -> pd.DataFrame:
    """How much of the demand up to a period can be served, how many of each item could be made alone, and what stops the next one.

    Parameters
    ----------
    demand : DataFrame
        `consensus_demand`.
    inputs : dict of str to DataFrame
        Input tables.
    periods : DatetimeIndex
        The periods counted together.
    calendar : Calendar
        The planning calendar.

    Returns
    -------
    DataFrame
        The `buildable` table. Row `all` counts finished stock as served; an item's own stock does not count as made.
    """
    asked = demand[demand["period"].isin(periods)].groupby("item_id")["demand_qty"].sum()
    asked = asked[asked > 0]
    if asked.empty:
        return tables.table("buildable").empty()
    hand = at_hand(inputs, periods, calendar)
    mix = pd.DataFrame({"item_id": asked.index, "mix_qty": asked.to_numpy()})
    found = [buildable(mix, hand, inputs, periods[0], calendar).assign(item_id="all", demand_qty=1.0)]
    made = asked[asked.index.isin(inputs["production"]["item_id"])]
    without = hand._replace(stock=hand.stock[~hand.stock.index.isin(asked.index)])
    found += [
        buildable(pd.DataFrame({"item_id": [item], "mix_qty": [1.0]}), without, inputs, periods[0], calendar).assign(
            item_id=item, demand_qty=quantity
        )
        for item, quantity in made.items()
    ]
    rows = pd.concat(found, ignore_index=True).assign(until_period=periods[-1])
    return tables.validate("buildable", rows[list(tables.table("buildable").columns)])


class _Problem:
    """The linear programme of `buildable`: columns are n, units started of an item at a plant, units bought."""

    def __init__(self, mix: pd.DataFrame, hand: AtHand, inputs: dict[str, pd.DataFrame], period: pd.Timestamp, calendar: Calendar) -> None:
        refuse_loops(inputs["bill_of_material"])
        items, _ = _items(inputs, calendar, mix["item_id"])
        matrix = usage(inputs["bill_of_material"], items, pd.DatetimeIndex([period]), calendar)[0].per_parent
        wanted = pd.Series(mix["mix_qty"].to_numpy(), index=mix["item_id"]).groupby(level=0).sum().reindex(items, fill_value=0.0).to_numpy()
        concerned = requirements([Usage(matrix, np.array([0]))], wanted[:, None])[:, 0] > 0
        self.items = items[concerned]
        made = inputs["production"][inputs["production"]["item_id"].isin(self.items)].reset_index(drop=True)
        parent = self.items.get_indexer(made["item_id"])
        balance = matrix[concerned][:, np.flatnonzero(concerned)].tocsc()[:, parent]
        balance = balance - coo_array((made["yield_ratio"], (parent, np.arange(len(made)))), shape=balance.shape).tocsc()
        stock = hand.stock.reindex(self.items, fill_value=0.0).to_numpy()
        self.purchase = hand.purchase.reindex(self.items, fill_value=0.0).to_numpy()
        routing = hours_at_usual_lots(inputs["routing"], inputs["production"])
        work = routing.merge(made[_PLACE].assign(column=made.index), on=_PLACE, validate="m:1")
        # A resource that is needed but has no stated hours has none.
        self.resources = pd.Index(np.unique(work["resource_id"].astype(str)))
        hours = hand.hours.reindex(self.resources, fill_value=0.0).to_numpy()
        load = coo_array(
            (work["hours_per_unit"], (self.resources.get_indexer(work["resource_id"]), work["column"])),
            shape=(len(self.resources), len(made)),
        )
        mixed = coo_array(wanted[concerned][:, None])
        bought = -eye_array(len(self.items))
        self.matrix = block_array([[mixed, balance, bought], [coo_array((len(self.resources), 1)), load, None]]).tocsc()
        self.right = np.concatenate([stock, hours])
        self.is_made = np.isin(self.items, made["item_id"])
        self.columns = 1 + len(made)
        amounts = np.concatenate([stock + self.purchase, hours])
        self.names = [*(("material", str(item)) for item in self.items), *(("capacity", str(resource)) for resource in self.resources)]
        self.size = dict(zip(self.names, amounts, strict=True))

    def solve(self, without: tuple[str, str] | None = None) -> tuple[float, dict[tuple[str, str], float]]:
        """Most of the mix (empty: no limit), and for every limit that binds the units one more of it gives."""
        from scipy.optimize import linprog  # a tenth of a second that only this question pays

        right, cost = self.right.copy(), np.zeros(self.matrix.shape[1])
        cost[0] = -1.0
        if without:
            right[self.names.index(without)] = np.inf
        kept = np.isfinite(right)
        most = np.concatenate([np.full(self.columns, np.inf), self.purchase])
        found = linprog(
            cost,
            A_ub=self.matrix[kept] if not kept.all() else self.matrix,
            b_ub=right[kept],
            bounds=np.column_stack([np.zeros(len(most)), most]),
            method="highs",
        )
        if found.status == 3:  # unbounded
            return np.nan, {}
        gain = np.zeros(len(right))
        gain[kept] = -found.ineqlin.marginals
        # A made item's balance is no limit of its own: what stops it stands further down.
        gain[: len(self.items)][self.is_made] = 0.0
        return float(-found.fun), {self.names[row]: float(gain[row]) for row in np.flatnonzero(gain > 1e-9)}
