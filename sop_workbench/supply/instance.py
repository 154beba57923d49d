"""From tables to sparse index sets and parameters: only what can exist is kept.

A pair of item and location exists when stock lies there or is on order, or when the item can come there
(made, bought, sent) **and** is of use there (asked for by a market it can reach, by a parent made there,
by a stock target). Everything else never becomes a variable. Periods are counted 0, 1, 2 … in the
column `t`; lead times are buckets already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import DataError
from sop_workbench.inventory import holding_cost, lanes_for, reachable_places
from sop_workbench.lots import hours_at_usual_lots

if TYPE_CHECKING:
    from sop_workbench.periods import Calendar
    from sop_workbench.settings import Settings

PLACE = ["item_id", "location_id"]
SALE = ["item_id", "market_id"]


@dataclass(frozen=True)
class Instance:
    """One planning situation as sparse frames; key columns first, `t` is the number of the period.

    Attributes
    ----------
    periods : DatetimeIndex
        Periods planned.
    stocked : DataFrame
        item_id, location_id, opening_qty, value_amt, holding_cost_amt, storage_qty.
    scheduled : DataFrame
        item_id, location_id, t, scheduled_qty.
    made : DataFrame
        Rows of `production` in use, with `lead`; hours and components in `routing` and `usage`.
    usage : DataFrame
        item_id (component), location_id, t, parent_item_id, usage_qty (units per unit started, scrap included).
    routing : DataFrame
        item_id, location_id, resource_id, hours_per_unit (hours of a lot spread over a usual one in it), hours_per_lot.
    resource, capacity, crew : DataFrame
        Resources with rates; hours by t of those without a crew; crews.
    bought, transfer, delivery : DataFrame
        Ways in, between and out, with `lead`.
    lane_limit : DataFrame
        from_location_id, to_id, lane_item_id ("" for all items), max_qty.
    demand : DataFrame
        item_id, market_id, t, demand_qty, price_amt, floor_ratio, lost_penalty_amt, floor_penalty_amt, backlog_cost_amt.
    target : DataFrame
        item_id, location_id, t, safety_stock_qty, target_qty.
    stock_limit, storage, frozen : DataFrame
        Hard stock limits by t; storage places by location; fixed production by t.
    strategic : DataFrame
        item_id, market_id, t (the last period), floor_qty, floor_penalty_amt: least supply over the horizon.
    shelved : DataFrame
        item_id, location_id, life (shelf life in periods).
    previous : DataFrame
        Production the previous plan said, by t between frozen zone and fence, where its change has a price.
    levelled : DataFrame
        resource_id, t: periods in which a resource has hours and something can be started on it.
    notes : tuple of str
        Sentences about what can never be served.
    """

    periods: pd.DatetimeIndex
    stocked: pd.DataFrame
    scheduled: pd.DataFrame
    made: pd.DataFrame
    usage: pd.DataFrame
    routing: pd.DataFrame
    resource: pd.DataFrame
    capacity: pd.DataFrame
    crew: pd.DataFrame
    bought: pd.DataFrame
    transfer: pd.DataFrame
    delivery: pd.DataFrame
    lane_limit: pd.DataFrame
    demand: pd.DataFrame
    target: pd.DataFrame
    stock_limit: pd.DataFrame
    storage: pd.DataFrame
    frozen: pd.DataFrame
    strategic: pd.DataFrame
    shelved: pd.DataFrame
    previous: pd.DataFrame
    levelled: pd.DataFrame
    notes: tuple[str, ...]

    def each_period(self, frame: pd.DataFrame, lead: str | None = None) -> pd.DataFrame:
        """Every row in every period; with `lead`, only those that arrive within the horizon."""
        horizon = len(self.periods)
        crossed = frame.take(np.repeat(np.arange(len(frame)), horizon)).reset_index(drop=True)
        crossed["t"] = np.tile(np.arange(horizon), len(frame))
        if lead is None:
            return crossed
        return crossed[crossed["t"] + crossed[lead] < horizon].reset_index(drop=True)


def supply_instance(inputs: dict[str, pd.DataFrame], consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame, settings: Settings,
                    periods: pd.DatetimeIndex, calendar: Calendar, frozen_plan: pd.DataFrame | None = None) -> Instance:
    """Sparse sets and parameters of one planning situation.

    Raises
    ------
    DataError
        When a table contradicts itself; every finding at once.
    """
    known = {name: inputs[name] if name in inputs else tables.table(name).empty() for name in tables.names("input")}
    demand = _demand(consensus_demand, known, settings, periods)
    refuse_contradictions(known, demand, periods)
    target = _in_horizon(inventory_target, periods)
    stock_limit = _in_horizon(known["stock_limit"], periods)
    counted = known["stock_on_hand"]
    # No shelf holds less than nothing: what is booked below zero is planned as zero and told in the notes.
    opening = counted.assign(on_hand_qty=counted["on_hand_qty"].clip(lower=0)).groupby(PLACE, as_index=False)["on_hand_qty"].sum()
    scheduled = _scheduled(known["open_supply"], periods, calendar)
    bom = known["bill_of_material"]
    present = _pairs(opening[opening["on_hand_qty"] > 0], scheduled)
    useful = _useful(known, demand, _pairs(target[target["safety_stock_qty"] > 0], stock_limit), bom)
    sources = _pairs(present, _both(known["production"], useful), _both(known["supplier_item"], useful))
    reachable = reachable_places(sources, known["lane"])
    made = _with_lead(_both(known["production"], useful), calendar)
    components = _components(made, bom)
    places = _pairs(present, _both(reachable, useful), made, components, stock_limit)
    transfer = _transfers(known["lane"], places, reachable, useful)
    delivery = _deliveries(known["lane"], places, demand)
    crew = known["workforce"].merge(known["resource"], on="resource_id", validate="1:1")
    routing, capacity = _both(hours_at_usual_lots(known["routing"], known["production"]), made), _capacity(known, periods)
    earlier = known["previous_plan"] if frozen_plan is None else frozen_plan
    return Instance(
        periods=periods,
        stocked=_stocked(places, opening, known, settings, calendar),
        scheduled=scheduled,
        made=made,
        usage=_usage(made, bom, periods, calendar),
        routing=_sorted(routing, [*PLACE, "resource_id"]),
        resource=_sorted(known["resource"], ["resource_id"]),
        capacity=_sorted(capacity, ["resource_id", "t"]),
        crew=_sorted(crew, ["resource_id"]),
        bought=_with_lead(_sorted(_both(known["supplier_item"], places), ["item_id", "supplier_id", "location_id"]), calendar),
        transfer=_with_lead(transfer, calendar),
        delivery=_with_lead(delivery, calendar),
        lane_limit=known["lane"].loc[known["lane"]["max_qty"].notna()].rename(columns={"item_id": "lane_item_id"}),
        demand=demand,
        target=_sorted(_both(target, places), [*PLACE, "t"]),
        stock_limit=_sorted(stock_limit, [*PLACE, "t"]),
        storage=known["location"].loc[known["location"]["storage_limit_qty"].notna(), ["location_id", "storage_limit_qty"]],
        frozen=_earlier_starts(earlier, made, periods, 0, settings.frozen_buckets),
        strategic=_strategic(demand, known, settings, len(periods) - 1),
        shelved=_shelved(places, known["item"], calendar),
        previous=_earlier_starts(earlier, made, periods, settings.frozen_buckets,
                                 settings.supply.plan_fence_buckets if settings.supply.plan_change_penalty_ratio > 0 else 0),
        levelled=_levelled(routing, made, capacity, crew, settings.frozen_buckets if len(earlier) else 0, len(periods)),
        notes=(*_stock_notes(counted), *_routing_notes(routing), *_source_notes(demand, delivery, components, reachable, present)),
    )


def refuse_contradictions(inputs: dict[str, pd.DataFrame], demand: pd.DataFrame, periods: pd.DatetimeIndex) -> None:
    """Refuse what no plan can make sense of.

    Raises
    ------
    DataError
        Negative demand, price or hours, a price or demand that is empty or infinite, a lane to nowhere,
        hours of an unknown resource, a period without stated hours.
    """
    lane, capacity = inputs["lane"], inputs["capacity"]
    places = set(inputs["location"]["location_id"]) | set(inputs["market"]["market_id"])
    dated = demand.assign(period=periods[demand["t"]])
    unstated = _periods_without_hours(inputs, periods)
    unknown = capacity[~capacity["resource_id"].isin(inputs["resource"]["resource_id"])]
    checks = [
        ("negative_hours", "capacity", capacity.query("regular_hours < 0 or overtime_hours < 0"), "regular_hours", "enter 0 hours or more"),
        ("negative_demand", "consensus_demand", dated.query("demand_qty < 0"), "demand_qty", "plan 0 or more"),
        ("negative_price", "consensus_demand", dated.query("price_amt < 0"), "price_amt", "enter a price of 0 or more"),
        ("endless_price", "consensus_demand", dated[~np.isfinite(dated["price_amt"])], "price_amt", "enter the price as a finite number"),
        ("endless_demand", "consensus_demand", dated[~np.isfinite(dated["demand_qty"])], "demand_qty", "plan a finite quantity"),
        ("lane_to_nowhere", "lane", lane[~lane["to_id"].isin(places)], "to_id", "make to_id a location or a market, or remove the lane"),
        ("unknown_resource", "capacity", unknown, "resource_id", "enter the resource with its location and cost per hour in resource"),
        ("hours_not_stated", "capacity", unstated, "resource_id", "state the hours of every period planned; write 0 where there are none"),
    ]
    found = [tables.finding(rule, "blocks", name, tables.key_text(rows, tables.table(name).key), len(rows),
                            ", ".join(str(value) for value in rows[column].head(5)), remedy)
             for rule, name, rows, column, remedy in checks if len(rows)]
    if found:
        raise DataError(tables.issue_frame(found))


def _periods_without_hours(inputs: dict[str, pd.DataFrame], periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Resource and period that routings need, that no crew staffs and `capacity` does not mention."""
    needed = sorted(set(inputs["routing"]["resource_id"]) - set(inputs["workforce"]["resource_id"]))
    wanted = pd.MultiIndex.from_product([needed, periods], names=["resource_id", "period"])
    stated = pd.MultiIndex.from_frame(inputs["capacity"][["resource_id", "period"]])
    return wanted.difference(stated).to_frame(index=False)


def _demand(consensus_demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], settings: Settings, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Demand to plan for, with what a lost or late unit costs; a late order waits in every later period."""
    rule = settings.supply
    demand = _in_horizon(consensus_demand, periods)[[*SALE, "t", "demand_qty", "price_amt"]]
    if rule.shortage == "lost_sales":
        demand["opening_backlog_qty"] = 0.0  # orders do not wait
    else:
        demand = _with_waiting_periods(demand, inputs["opening_backlog"], len(periods))
    market = inputs["market"][["market_id", "priority", "min_fill_ratio"]].rename(columns={"min_fill_ratio": "floor_ratio"})
    demand = demand.merge(market, on="market_id", how="left", validate="m:1")
    late = inputs["production"].groupby("item_id")["backlog_cost_amt"].max()
    # A market that is not in `market` has no priority and no contract; an item without a lateness cost bears none.
    demand["priority"], demand["floor_ratio"] = demand["priority"].fillna(1), demand["floor_ratio"].fillna(0.0)
    demand["backlog_cost_amt"] = demand["item_id"].map(late).fillna(0.0)
    demand["lost_penalty_amt"] = demand["price_amt"] * rule.lost_sales_penalty_ratio / demand["priority"]
    demand["floor_penalty_amt"] = demand["price_amt"] * rule.contract_floor_penalty_ratio
    return _sorted(demand, [*SALE, "t"])


def _with_waiting_periods(demand: pd.DataFrame, opening_backlog: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """A row for every period of a demanded pair (nothing planned is no demand), opening backlog beside the first."""
    pairs = _sorted(pd.concat([demand[SALE], opening_backlog[SALE]]).drop_duplicates(), SALE)
    full = pairs.merge(pd.DataFrame({"t": range(horizon)}), how="cross").merge(demand, on=[*SALE, "t"], how="left", validate="1:1")
    full["demand_qty"] = full["demand_qty"].fillna(0.0)
    full["price_amt"] = full.groupby(SALE)["price_amt"].transform(lambda price: price.ffill().bfill()).fillna(0.0)
    late = opening_backlog.assign(t=0).rename(columns={"backlog_qty": "opening_backlog_qty"})[[*SALE, "t", "opening_backlog_qty"]]
    full = full.merge(late, on=[*SALE, "t"], how="left", validate="1:1")
    full["opening_backlog_qty"] = full["opening_backlog_qty"].fillna(0.0)
    return full


def _scheduled(open_supply: pd.DataFrame, periods: pd.DatetimeIndex, calendar: Calendar) -> pd.DataFrame:
    """Receipts of open orders by period; what is past due comes in the first, what is due later than the horizon not at all."""
    if open_supply.empty:
        return _no_quantities("scheduled_qty")
    due = calendar.periods_of(open_supply["due_date"])
    frame = open_supply.assign(t=np.searchsorted(periods.to_numpy(), due.to_numpy()), scheduled_qty=open_supply["open_qty"])
    frame = frame[frame["t"] < len(periods)]
    return frame.groupby([*PLACE, "t"], as_index=False)["scheduled_qty"].sum()


def _useful(inputs: dict[str, pd.DataFrame], demand: pd.DataFrame, wanted: pd.DataFrame, bom: pd.DataFrame) -> pd.DataFrame:
    """Pairs of item and location from which a market, a parent or a stock target can be served."""
    asked = demand[SALE].drop_duplicates().rename(columns={"market_id": "to_id"})
    direct = lanes_for(inputs["lane"], asked).rename(columns={"from_location_id": "location_id"})
    useful = _pairs(direct, wanted)
    while True:
        ways = lanes_for(inputs["lane"], useful.rename(columns={"location_id": "to_id"}))
        upstream = ways.rename(columns={"from_location_id": "location_id"})
        parts = _components(_both(inputs["production"], useful), bom)
        grown = _pairs(useful, upstream, parts)
        if len(grown) == len(useful):
            return useful
        useful = grown


def _components(made: pd.DataFrame, bom: pd.DataFrame) -> pd.DataFrame:
    """Pairs of component and plant that what is made asks for."""
    parts = made[PLACE].merge(bom, left_on="item_id", right_on="parent_item_id", validate="m:m")
    return _pairs(parts[["component_item_id", "location_id"]].rename(columns={"component_item_id": "item_id"}))


def _transfers(lane: pd.DataFrame, places: pd.DataFrame, reachable: pd.DataFrame, useful: pd.DataFrame) -> pd.DataFrame:
    """Ways between locations over which something useful can come."""
    arcs = lanes_for(lane, useful.rename(columns={"location_id": "to_id"}))
    able = _both(reachable, places).rename(columns={"location_id": "from_location_id"})
    return _sorted(arcs.merge(able, on=["item_id", "from_location_id"], validate="m:1"), ["item_id", "from_location_id", "to_id"])


def _deliveries(lane: pd.DataFrame, places: pd.DataFrame, demand: pd.DataFrame) -> pd.DataFrame:
    """Ways from a location to a market that asks for the item."""
    asked = demand[SALE].drop_duplicates().rename(columns={"market_id": "to_id"})
    arcs = lanes_for(lane, asked).merge(places, left_on=["item_id", "from_location_id"], right_on=PLACE, validate="m:1")
    arcs = arcs.drop(columns="location_id").rename(columns={"to_id": "market_id"})
    return _sorted(arcs, ["item_id", "from_location_id", "market_id"])


def _usage(made: pd.DataFrame, bom: pd.DataFrame, periods: pd.DatetimeIndex, calendar: Calendar) -> pd.DataFrame:
    """Units of a component that one unit of a parent started in a period takes: quantity_per / (1 − scrap_ratio)."""
    lines = made[PLACE].rename(columns={"item_id": "parent_item_id"}).merge(bom, on="parent_item_id", validate="m:m")
    lines["usage_qty"] = lines["quantity_per"] / (1.0 - lines["scrap_ratio"])
    days = pd.DataFrame({"t": range(len(periods)), "day": [calendar.first_day(period) for period in periods]})
    dated = lines.merge(days, how="cross")
    valid = (dated["valid_from"] <= dated["day"]) & (dated["valid_to"].isna() | (dated["day"] <= dated["valid_to"]))
    valid &= dated["usage_qty"] > 0
    keys = ["component_item_id", "location_id", "t", "parent_item_id"]
    used = dated[valid].groupby(keys, as_index=False)["usage_qty"].sum()
    return used.rename(columns={"component_item_id": "item_id"})


def _stocked(places: pd.DataFrame, opening: pd.DataFrame, inputs: dict[str, pd.DataFrame], settings: Settings,
             calendar: Calendar) -> pd.DataFrame:
    """What every unit at a place is worth and what holding it for a period costs."""
    stocked = places.merge(opening.rename(columns={"on_hand_qty": "opening_qty"}), on=PLACE, how="left", validate="1:1")
    # No row in stock_on_hand is a count of nothing there.
    stocked["opening_qty"] = stocked["opening_qty"].fillna(0.0)
    stocked["storage_qty"] = stocked["item_id"].map(inputs["item"].set_index("item_id")["storage_qty"])
    worth = holding_cost(stocked[PLACE], inputs, settings, calendar)
    return _sorted(stocked.merge(worth, on=PLACE, validate="1:1"), PLACE)


def _capacity(inputs: dict[str, pd.DataFrame], periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Hours by period of the resources whose people are not a decision."""
    capacity = _in_horizon(inputs["capacity"], periods)
    return capacity[~capacity["resource_id"].isin(inputs["workforce"]["resource_id"])]


def _earlier_starts(earlier: pd.DataFrame, made: pd.DataFrame, periods: pd.DatetimeIndex, first: int, end: int) -> pd.DataFrame:
    """Production an earlier plan holds from period `first` to before `end` and that still reaches stock within the horizon."""
    if earlier.empty:
        return _no_quantities("production_qty")
    plan = _in_horizon(earlier, periods).merge(made[[*PLACE, "lead"]], on=PLACE, validate="m:1")
    plan = plan[(plan["t"] >= first) & (plan["t"] < end) & (plan["t"] + plan["lead"] < len(periods))]
    return _sorted(plan[[*PLACE, "t", "production_qty"]], [*PLACE, "t"])


def _strategic(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], settings: Settings, last: int) -> pd.DataFrame:
    """Least supply of every pair whose market or item is strategic, over the whole horizon."""
    market, item = (inputs[name].loc[inputs[name]["is_strategic"], f"{name}_id"] for name in ("market", "item"))
    ratio = settings.supply.strategic_min_ratio
    rows = demand[(demand["market_id"].isin(market) | demand["item_id"].isin(item)) & (demand["demand_qty"] > 0) & (ratio > 0)]
    rows = rows.assign(floor_qty=ratio * rows["demand_qty"], worth=rows["floor_penalty_amt"] * rows["demand_qty"])
    found = rows.groupby(SALE, as_index=False)[["floor_qty", "worth", "demand_qty"]].sum()
    return found.assign(floor_penalty_amt=found["worth"] / found["demand_qty"], t=last)[[*SALE, "t", "floor_qty", "floor_penalty_amt"]]


def _shelved(places: pd.DataFrame, item: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Shelf life in whole periods of every item that has one, wherever it lies."""
    dated = item.loc[item["shelf_life_months"].notna(), ["item_id", "shelf_life_months"]]
    rows = places.merge(dated, on="item_id", validate="m:1")
    return rows.assign(life=(rows["shelf_life_months"] * calendar.buckets_per_year / 12 + 1e-9).astype(int))[[*PLACE, "life"]]


def _levelled(routing: pd.DataFrame, made: pd.DataFrame, capacity: pd.DataFrame, crew: pd.DataFrame, frozen: int,
              horizon: int) -> pd.DataFrame:
    """Periods after the frozen zone in which a resource has hours and the quickest item on it still reaches stock."""
    quickest = routing.merge(made[[*PLACE, "lead"]], on=PLACE, validate="m:1").groupby("resource_id")["lead"].min()
    open_hours = capacity.loc[capacity["regular_hours"] + capacity["overtime_hours"] > 0, ["resource_id", "t"]]
    staffed = crew[["resource_id"]].merge(pd.DataFrame({"t": range(horizon)}), how="cross")
    rows = pd.concat([open_hours, staffed], ignore_index=True)
    latest = horizon - 1 - rows["resource_id"].map(quickest)
    return _sorted(rows[(rows["t"] >= frozen) & (rows["t"] <= latest)], ["resource_id", "t"])


def _stock_notes(counted: pd.DataFrame) -> tuple[str, ...]:
    """One sentence for every stock that is booked below zero."""
    return tuple(f"Stock of {row.item_id} at {row.location_id} is booked as {row.on_hand_qty:g}: planned as 0."
                 for row in counted[counted["on_hand_qty"] < 0].itertuples())


def _routing_notes(routing: pd.DataFrame) -> tuple[str, ...]:
    """One sentence for every operation that takes no time, and so is no limit."""
    idle = routing[(routing["hours_per_unit"] == 0) & (routing["hours_per_lot"] == 0)]
    return tuple(f"{row.item_id} at {row.location_id} takes no hours of {row.resource_id}: that resource does not limit it."
                 for row in idle.itertuples())


def _source_notes(demand: pd.DataFrame, delivery: pd.DataFrame, components: pd.DataFrame, reachable: pd.DataFrame,
                  present: pd.DataFrame) -> tuple[str, ...]:
    """One sentence for every demand and component that nothing can ever serve."""
    able = _pairs(reachable, present)
    served = delivery.merge(able, left_on=["item_id", "from_location_id"], right_on=PLACE, validate="m:1")[SALE].drop_duplicates()
    cut_off = _without(demand.loc[demand["demand_qty"] > 0, SALE].drop_duplicates(), served, SALE)
    missing = _without(components, able, PLACE)
    return (*(f"No plant, supplier or stock can serve {row.item_id} in {row.market_id}: all of its demand is lost."
              for row in cut_off.itertuples()),
            *(f"Component {row.item_id} has no source at {row.location_id}: nothing that needs it can be made there."
              for row in missing.itertuples()))


def _no_quantities(column: str) -> pd.DataFrame:
    """A frame by place and period without a row."""
    text, number = np.array([], dtype=object), np.array([], dtype="int64")
    return pd.DataFrame({"item_id": text, "location_id": text, "t": number, column: number.astype(float)})


def _in_horizon(frame: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Rows whose period is planned, with its number `t`."""
    return frame.assign(t=periods.get_indexer(frame["period"])).query("t >= 0").reset_index(drop=True)


def _with_lead(frame: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    return frame.assign(lead=calendar.lead_time_buckets(frame["lead_time_days"]))


def _pairs(*frames: pd.DataFrame) -> pd.DataFrame:
    """Every pair of item and location that stands in one of the frames, once."""
    return _sorted(pd.concat([frame[PLACE] for frame in frames]).drop_duplicates(), PLACE)


def _both(frame: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """Rows of `frame` at one of the places."""
    return frame.merge(places[PLACE], on=PLACE, validate="m:1")


def _without(frame: pd.DataFrame, taken: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    marked = frame.merge(taken[key], on=key, how="left", indicator="found", validate="1:1")
    return marked.loc[marked["found"] == "left_only", key]


def _sorted(frame: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    return frame.sort_values(key).reset_index(drop=True)
