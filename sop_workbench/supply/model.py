"""The supply model in Pyomo: sets, parameters and variables; constraints and costs stand beside it.

Names: sets in capitals, parameters and variables as the columns of the tables, `t` the number of a period.
Sets that are summed over are plain lists by key (`DELIVERIES_FROM[i, l]`), empty where there is nothing.
"""

from __future__ import annotations

import pandas as pd
import pyomo.environ as pyo

from sop_workbench.materials import explode
from sop_workbench.settings import Settings
from sop_workbench.supply.constraints import add_constraints
from sop_workbench.supply.costs import add_costs
from sop_workbench.supply.instance import Instance

PLACE = ["item_id", "location_id"]
SALE = ["item_id", "market_id"]
ORDER = ["item_id", "supplier_id", "location_id"]
TRANSFER = ["item_id", "from_location_id", "to_id"]
DELIVERY = ["item_id", "from_location_id", "market_id"]


class Members(dict):
    """Index tuples by group; a group nobody belongs to is empty."""

    def __missing__(self, key: object) -> tuple:
        return ()


def build_model(instance: Instance, settings: Settings) -> pyo.ConcreteModel:
    """State the whole supply model of one planning situation.

    Returns
    -------
    ConcreteModel
        Its objective is profit less penalties, maximised; costs are named expressions.
    """
    m = pyo.ConcreteModel("supply plan")
    m.PERIODS = pyo.RangeSet(0, len(instance.periods) - 1)
    m.last = len(instance.periods) - 1
    m.safety_stock_penalty_ratio = settings.supply.safety_stock_penalty_ratio
    m.overflow_penalty_amt = highest_price_per_storage_place(instance)
    add_stock(m, instance)
    add_production(m, instance)
    add_resources(m, instance, settings)
    add_purchases(m, instance)
    add_lanes(m, instance)
    add_demand(m, instance, settings)
    add_lots(m, instance, settings)
    add_strategic_shares(m, instance)
    add_shelf_life(m, instance, settings)
    add_steadiness(m, instance, settings)
    add_strategy(m, instance, settings)
    add_constraints(m)
    add_costs(m)
    return m


def add_stock(m: pyo.ConcreteModel, instance: Instance) -> None:
    """Stock of every item at every place that can hold it, its limits and its target."""
    stocked, target, limit = instance.stocked, instance.target.query("safety_stock_qty > 0"), instance.stock_limit
    m.STOCK = _set(stocked, PLACE)
    for column in ("opening_qty", "holding_cost_amt", "storage_qty", "value_amt"):
        _parameter(m, column, stocked, PLACE, column)
    _parameter(m, "scheduled_qty", instance.scheduled, [*PLACE, "t"], "scheduled_qty", default=0.0)
    m.TARGETS = _set(target, [*PLACE, "t"])
    _parameter(m, "safety_stock_qty", target, [*PLACE, "t"], "safety_stock_qty")
    m.STOCK_FLOORS = _set(limit[limit["min_qty"].notna()], [*PLACE, "t"])
    m.STOCK_CEILINGS = _set(limit[limit["max_qty"].notna()], [*PLACE, "t"])
    _parameter(m, "min_stock_qty", limit[limit["min_qty"].notna()], [*PLACE, "t"], "min_qty")
    _parameter(m, "max_stock_qty", limit[limit["max_qty"].notna()], [*PLACE, "t"], "max_qty")
    m.STORES = _set(instance.storage, ["location_id"])
    _parameter(m, "storage_limit_qty", instance.storage, ["location_id"], "storage_limit_qty")
    m.STOCK_AT = _members(stocked, ["location_id"], PLACE)
    m.closing_qty = _variable(m.STOCK, m.PERIODS)
    m.safety_shortfall_qty = _variable(m.TARGETS)
    m.storage_overflow_qty = _variable(m.STORES, m.PERIODS)


def add_production(m: pyo.ConcreteModel, instance: Instance) -> None:
    """What can be made or subcontracted where, and the components it takes."""
    made, usage = instance.made, instance.usage
    starts = instance.each_period(made, "lead")
    subcontracted = made[made["subcontract_cost_amt"].notna()]
    m.MADE = _set(made, PLACE)
    m.STARTS = _set(starts, [*PLACE, "t"])
    for column in ("variable_cost_amt", "yield_ratio"):
        _parameter(m, column, made, PLACE, column)
    _parameter(m, "production_lead", made, PLACE, "lead")
    m.PRODUCTION_LIMITS = _set(starts[starts["max_qty"].notna()], [*PLACE, "t"])
    _parameter(m, "production_max_qty", made[made["max_qty"].notna()], PLACE, "max_qty")
    m.SUBCONTRACTED = _set(subcontracted, PLACE)
    _parameter(m, "subcontract_cost_amt", subcontracted, PLACE, "subcontract_cost_amt")
    limited = subcontracted[subcontracted["subcontract_limit_qty"].notna()]
    m.SUBCONTRACT_LIMITS = _set(limited, PLACE)
    _parameter(m, "subcontract_limit_qty", limited, PLACE, "subcontract_limit_qty")
    m.CONSUMED = _set(usage.drop_duplicates([*PLACE, "t"]), [*PLACE, "t"])
    m.PARENTS = _members(usage, [*PLACE, "t"], ["parent_item_id", "usage_qty"])
    m.FROZEN = _set(instance.frozen, [*PLACE, "t"])
    _parameter(m, "frozen_qty", instance.frozen, [*PLACE, "t"], "production_qty")
    m.production_qty = _variable(m.STARTS)
    m.subcontract_qty = _variable(m.SUBCONTRACTED, m.PERIODS)
    m.consumed_qty = _variable(m.CONSUMED)


def add_resources(m: pyo.ConcreteModel, instance: Instance, settings: Settings) -> None:
    """Hours of lines and work centres; crews whose size is a decision."""
    capacity, crew = instance.capacity, instance.crew
    people = pyo.NonNegativeIntegers if settings.supply.is_integer_lots else pyo.NonNegativeReals
    m.RESOURCES = _set(instance.resource, ["resource_id"])
    m.CAPACITY = _set(capacity, ["resource_id", "t"])
    m.CREWS = _set(crew, ["resource_id"])
    m.STAFFED = m.CREWS * m.PERIODS
    m.HOURS = m.CAPACITY | m.STAFFED
    for column in ("regular_hours", "overtime_hours"):
        _parameter(m, column, capacity, ["resource_id", "t"], column)
    for column in ("regular_cost_amt_per_hour", "overtime_cost_amt_per_hour"):
        _parameter(m, column, instance.resource, ["resource_id"], column)
    for column in ("opening_workers", "hours_per_worker", "overtime_hours_per_worker", "regular_cost_amt_per_worker",
                   "hire_cost_amt", "layoff_cost_amt"):
        _parameter(m, column, crew, ["resource_id"], column)
    m.CREW_LIMITS = _set(crew[crew["max_workers"].notna()], ["resource_id"])
    _parameter(m, "max_workers", crew[crew["max_workers"].notna()], ["resource_id"], "max_workers")
    m.JOBS = _members(instance.routing, ["resource_id"], [*PLACE, "hours_per_unit", "hours_per_lot"])
    m.regular_used_hours = _variable(m.HOURS)
    m.overtime_used_hours = _variable(m.HOURS)
    for name in ("worker_count", "hired_count", "laid_off_count"):
        m.add_component(name, pyo.Var(m.STAFFED, domain=people))


def add_purchases(m: pyo.ConcreteModel, instance: Instance) -> None:
    """What can be ordered from whom; an order is counted in the period it is placed."""
    bought = instance.bought
    orders = instance.each_period(bought, "lead")
    m.SUPPLIERS = _set(bought, ORDER)
    m.ORDERS = _set(orders, [*ORDER, "t"])
    m.SUPPLIERS_OF = _members(bought, PLACE, [*ORDER, "lead"])
    m.SUPPLIER_LIMITS = _set(orders[orders["max_qty"].notna()], [*ORDER, "t"])
    _parameter(m, "unit_cost_amt", bought, ORDER, "unit_cost_amt")
    _parameter(m, "purchase_max_qty", bought[bought["max_qty"].notna()], ORDER, "max_qty")
    m.purchase_qty = _variable(m.ORDERS)


def add_lanes(m: pyo.ConcreteModel, instance: Instance) -> None:
    """Ways between locations and to markets; what leaves in a period arrives a lead time later."""
    transfer, delivery = instance.transfer, instance.delivery
    m.TRANSFERS = _set(transfer, TRANSFER)
    m.DELIVERIES = _set(delivery, DELIVERY)
    m.TRANSFER_DEPARTURES = _set(instance.each_period(transfer, "lead"), [*TRANSFER, "t"])
    m.DELIVERY_DEPARTURES = _set(instance.each_period(delivery, "lead"), [*DELIVERY, "t"])
    _parameter(m, "transfer_freight_amt", transfer, TRANSFER, "freight_cost_amt")
    _parameter(m, "delivery_freight_amt", delivery, DELIVERY, "freight_cost_amt")
    m.TRANSFERS_FROM = _members(transfer, ["item_id", "from_location_id"], TRANSFER)
    m.TRANSFERS_TO = _members(transfer, ["item_id", "to_id"], [*TRANSFER, "lead"])
    m.DELIVERIES_FROM = _members(delivery, ["item_id", "from_location_id"], DELIVERY)
    m.DELIVERIES_TO = _members(delivery, SALE, [*DELIVERY, "lead"])
    ways = ["from_location_id", "to_id", "lane_item_id"]
    m.TRANSFERS_ON = _members(transfer, ways, TRANSFER)
    m.DELIVERIES_ON = _members(delivery.rename(columns={"market_id": "to_id"}), ways, ["item_id", "from_location_id", "to_id"])
    m.LIMITED_LANES = pyo.Set(dimen=3, initialize=[key for key in _keys(instance.lane_limit, ways)
                                                   if m.TRANSFERS_ON[key] or m.DELIVERIES_ON[key]])
    _parameter(m, "lane_max_qty", instance.lane_limit, ways, "max_qty")
    m.transfer_qty = _variable(m.TRANSFER_DEPARTURES)
    m.delivery_qty = _variable(m.DELIVERY_DEPARTURES)


def add_demand(m: pyo.ConcreteModel, instance: Instance, settings: Settings) -> None:
    """Demand of every item, market and period, and what of it is lost or late."""
    waits = settings.supply.shortage == "backlog"
    demand = instance.demand
    floors = demand[(demand["floor_ratio"] > 0) & (demand["demand_qty"] > 0)]
    m.DEMAND = _set(demand, [*SALE, "t"])
    for column in ("demand_qty", "opening_backlog_qty", "price_amt", "lost_penalty_amt", "backlog_cost_amt"):
        _parameter(m, column, demand, [*SALE, "t"], column)
    m.FLOORS = _set(floors, [*SALE, "t"])
    _parameter(m, "floor_qty", floors.assign(floor_qty=floors["floor_ratio"] * floors["demand_qty"]), [*SALE, "t"], "floor_qty")
    _parameter(m, "floor_penalty_amt", floors, [*SALE, "t"], "floor_penalty_amt")
    m.LOST = _set(demand.iloc[:0] if waits else demand, [*SALE, "t"])
    m.LATE = _set(demand if waits else demand.iloc[:0], [*SALE, "t"])
    m.lost_qty = _variable(m.LOST)
    m.backlog_qty = _variable(m.LATE)
    m.floor_shortfall_qty = _variable(m.FLOORS)


def add_lots(m: pyo.ConcreteModel, instance: Instance, settings: Settings) -> None:
    """Whole lots and whole orders; empty unless the settings ask for them."""
    is_whole = settings.supply.is_integer_lots
    starts, orders = instance.each_period(instance.made, "lead"), instance.each_period(instance.bought, "lead")
    setup_hours = instance.routing.groupby(PLACE)["hours_per_lot"].max().rename("hours_per_lot").reset_index()
    starts = starts.merge(setup_hours, on=PLACE, how="left", validate="m:1")
    lotted = (starts["min_lot_qty"] > 0) | (starts["setup_cost_amt"] > 0) | (starts["hours_per_lot"] > 0)
    m.LOTS = _set(starts[lotted & is_whole], [*PLACE, "t"])
    m.LOT_MULTIPLES = _set(starts[(starts["lot_multiple_qty"] > 0) & is_whole], [*PLACE, "t"])
    m.MINIMUM_ORDERS = _set(orders[(orders["min_order_qty"] > 0) & is_whole], [*ORDER, "t"])
    m.ORDER_MULTIPLES = _set(orders[(orders["order_multiple_qty"] > 0) & is_whole], [*ORDER, "t"])
    for column in ("min_lot_qty", "lot_multiple_qty", "setup_cost_amt"):
        _parameter(m, column, instance.made, PLACE, column)
    for column in ("min_order_qty", "order_multiple_qty"):
        _parameter(m, column, instance.bought, ORDER, column)
    m.largest_need_qty = pyo.Param(pyo.Any, initialize=largest_need(instance).to_dict() if is_whole else {}, within=pyo.Any)
    m.lot_count = pyo.Var(m.LOTS, domain=pyo.Binary)
    m.lot_multiple_count = pyo.Var(m.LOT_MULTIPLES, domain=pyo.NonNegativeIntegers)
    m.order_count = pyo.Var(m.MINIMUM_ORDERS, domain=pyo.Binary)
    m.order_multiple_count = pyo.Var(m.ORDER_MULTIPLES, domain=pyo.NonNegativeIntegers)


def add_strategic_shares(m: pyo.ConcreteModel, instance: Instance) -> None:
    """Pairs of item and market whose horizon must not fall below its share; empty unless the settings ask for one."""
    strategic = instance.strategic
    key = [*SALE, "t"]
    arrivals = instance.each_period(instance.delivery, "lead").rename(columns={"t": "departure"})
    arrivals = arrivals.merge(strategic[key], on=SALE, validate="m:1")
    m.STRATEGIC = _set(strategic, key)
    m.ARRIVALS_OF = _members(arrivals, key, [*DELIVERY, "departure"])
    _parameter(m, "strategic_floor_qty", strategic, key, "floor_qty")
    _parameter(m, "strategic_penalty_amt", strategic, key, "floor_penalty_amt")
    m.strategic_shortfall_qty = _variable(m.STRATEGIC)


def add_shelf_life(m: pyo.ConcreteModel, instance: Instance, settings: Settings) -> None:
    """Items with a shelf life: everything that came in recently enough to lie in stock when a period ends."""
    place = [*PLACE, "t"]
    shelved = instance.each_period(instance.shelved)
    shelved = shelved[shelved["t"] >= shelved["life"] - 1]
    made, bought = (instance.each_period(frame, "lead") for frame in (instance.made, instance.bought))
    sent = instance.each_period(instance.transfer, "lead").assign(location_id=lambda frame: frame["to_id"])
    subcontracted = instance.each_period(instance.made[instance.made["subcontract_cost_amt"].notna()]).assign(lead=0)
    scheduled = _fresh(shelved, instance.scheduled.assign(lead=0)).groupby(place)["scheduled_qty"].sum()
    scheduled = shelved.merge(scheduled.reset_index(), on=place, how="left", validate="1:1")
    m.shelf_life_penalty_ratio = settings.supply.shelf_life_penalty_ratio
    m.SHELVED = _set(shelved, place)
    m.FRESH_MADE = _members(_fresh(shelved, made), place, [*PLACE, "start", "yield_ratio"])
    m.FRESH_SUBCONTRACTED = _members(_fresh(shelved, subcontracted), place, [*PLACE, "start"])
    m.FRESH_BOUGHT = _members(_fresh(shelved, bought), place, [*ORDER, "start"])
    m.FRESH_SENT = _members(_fresh(shelved, sent), place, [*TRANSFER, "start"])
    # No open order due is nothing that comes.
    _parameter(m, "fresh_scheduled_qty", scheduled.fillna({"scheduled_qty": 0.0}), place, "scheduled_qty")
    m.expired_qty = _variable(m.SHELVED)


def add_steadiness(m: pyo.ConcreteModel, instance: Instance, settings: Settings) -> None:
    """Changes of production from period to period and against the previous plan, where the settings price them."""
    rule, place = settings.supply, [*PLACE, "t"]
    starts = instance.each_period(instance.made, "lead")
    m.smoothing_penalty_ratio, m.plan_change_penalty_ratio = rule.smoothing_penalty_ratio, rule.plan_change_penalty_ratio
    m.frozen_penalty_amt = max([1.0, *instance.demand["price_amt"]])
    m.SMOOTHED = _set(starts[(starts["t"] > 0) & (rule.smoothing_penalty_ratio > 0)], place)
    m.FENCED = _set(instance.previous, place)
    m.FROZEN_AT_A_PRICE = _set(instance.frozen if rule.frozen == "priced" else instance.frozen.iloc[:0], place)
    _parameter(m, "previous_qty", instance.previous, place, "production_qty")
    for name, index in (("production_rise_qty", m.SMOOTHED), ("production_fall_qty", m.SMOOTHED), ("plan_rise_qty", m.FENCED),
                        ("plan_fall_qty", m.FENCED), ("frozen_shortfall_qty", m.FROZEN_AT_A_PRICE)):
        m.add_component(name, _variable(index))


def add_strategy(m: pyo.ConcreteModel, instance: Instance, settings: Settings) -> None:
    """Chase, level or hybrid; empty where the plan is free."""
    rule = settings.supply
    levelled = instance.levelled if rule.strategy in ("level", "hybrid") else instance.levelled.iloc[:0]
    chased = chase_ceilings(instance) if rule.strategy == "chase" else chase_ceilings(instance).iloc[:0]
    band = rule.hybrid_band_ratio if rule.strategy == "hybrid" else 0.0
    m.most_level_ratio, m.least_level_ratio = 1.0 + band, 1.0 - band
    m.LEVELLED = _set(levelled, ["resource_id", "t"])
    m.LEVELLED_RESOURCES = _set(levelled.drop_duplicates("resource_id"), ["resource_id"])
    m.CHASED = _set(chased, ["item_id", "t"])
    m.STOCK_OF = _members(instance.stocked, ["item_id"], PLACE)
    _parameter(m, "chase_stock_qty", chased, ["item_id", "t"], "chase_stock_qty")
    best = instance.demand["price_amt"] + instance.demand["lost_penalty_amt"]
    best = best.groupby(instance.demand["item_id"]).max().rename("price").reset_index()
    _parameter(m, "prebuilt_penalty_amt", best, ["item_id"], "price")
    m.level_hours = _variable(m.LEVELLED_RESOURCES)
    m.prebuilt_qty = _variable(m.CHASED)


def chase_ceilings(instance: Instance) -> pd.DataFrame:
    """Stock of each demanded item that nobody made ahead: its target, or what is left of opening stock and open orders."""
    demand = instance.demand.assign(due_qty=instance.demand["demand_qty"] + instance.demand["opening_backlog_qty"])
    asked = demand.groupby(["item_id", "t"])["due_qty"].sum().unstack("t")
    asked = asked.reindex(columns=range(len(instance.periods))).fillna(0.0)  # a period without a row asks for nothing
    coming = instance.scheduled.pivot_table(index="item_id", columns="t", values="scheduled_qty", aggfunc="sum").reindex_like(asked)
    opening = instance.stocked.groupby("item_id")["opening_qty"].sum().reindex(asked.index)
    floor = instance.stock_limit.rename(columns={"min_qty": "target_qty"})
    wanted = pd.concat([instance.target, floor])[[*PLACE, "t", "target_qty"]].groupby([*PLACE, "t"])["target_qty"].max()
    wanted = wanted.groupby(["item_id", "t"]).sum().unstack("t").reindex_like(asked)
    # Nothing stocked, due or aimed for counts as none.
    left = (coming.fillna(0.0) - asked).cumsum(axis=1).add(opening.fillna(0.0), axis=0)
    ceiling = left.clip(lower=wanted.fillna(0.0))
    return ceiling.clip(lower=0.0).rename_axis(columns="t").stack().rename("chase_stock_qty").reset_index()


def highest_price_per_storage_place(instance: Instance) -> float:
    """The most any sale brings for one storage place; 1 where nothing with a size is sold."""
    size = instance.stocked.groupby("item_id")["storage_qty"].first()
    price = instance.demand.groupby("item_id")["price_amt"].max()
    earned = (price / size[size > 0]).dropna()
    return max(1.0, float(earned.max())) if len(earned) else 1.0


def largest_need(instance: Instance) -> pd.Series:
    """Most units of each item that any plan of the horizon could use: what switches a lot on is bounded by it.

    Demand, opening backlog, stock targets and one rounding-up of a lot and an order in every period,
    exploded through the components.
    """
    horizon, made, bought = len(instance.periods), instance.made, instance.bought
    parts = [
        instance.demand.assign(qty=instance.demand["demand_qty"] + instance.demand["opening_backlog_qty"]),
        instance.target.assign(qty=instance.target["safety_stock_qty"]),
        instance.stock_limit.assign(qty=instance.stock_limit["min_qty"].fillna(0.0)),  # no minimum asks for nothing
        made.assign(qty=horizon * (made["min_lot_qty"] + made["lot_multiple_qty"])),
        bought.assign(qty=horizon * (bought["min_order_qty"] + bought["order_multiple_qty"])),
    ]
    own = pd.concat([part[["item_id", "qty"]] for part in parts]).groupby("item_id", as_index=False)["qty"].sum()
    lowest_yield = made.groupby("item_id")["yield_ratio"].min()
    usage = instance.usage.groupby(["parent_item_id", "item_id"], as_index=False)["usage_qty"].max()
    bom = usage.rename(columns={"item_id": "component_item_id"}).assign(
        quantity_per=usage["usage_qty"] / usage["parent_item_id"].map(lowest_yield), scrap_ratio=0.0)
    need = explode(bom, own.rename(columns={"qty": "demand_qty"}).assign(period=instance.periods[0])).set_index("item_id")["demand_qty"]
    items = pd.Index(instance.stocked["item_id"].unique(), name="item_id")
    # An item nobody asks for is needed not at all.
    return need.reindex(items, fill_value=0.0) / lowest_yield.reindex(items, fill_value=1.0)


def _fresh(shelved: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Arrivals (started in `start`) that are still within their shelf life when period `t` ends."""
    pairs = shelved[[*PLACE, "t", "life"]].merge(arrivals.rename(columns={"t": "start"}), on=PLACE, validate="m:m")
    arrival = pairs["start"] + pairs["lead"]
    return pairs[(arrival <= pairs["t"]) & (arrival > pairs["t"] - pairs["life"])]


def _set(frame: pd.DataFrame, key: list[str]) -> pyo.Set:
    return pyo.Set(dimen=len(key), initialize=_keys(frame, key))


def _keys(frame: pd.DataFrame, key: list[str]) -> list:
    columns = [frame[column].tolist() for column in key]
    return columns[0] if len(key) == 1 else list(zip(*columns, strict=True))


def _parameter(m: pyo.ConcreteModel, name: str, frame: pd.DataFrame, key: list[str], column: str, default: float | None = None) -> None:
    """A parameter named like its column; with `default`, what has no row has that value."""
    options = {} if default is None else {"default": default}
    values = dict(zip(_keys(frame, key), frame[column].tolist(), strict=True))
    m.add_component(name, pyo.Param(pyo.Any, initialize=values, within=pyo.Any, **options))


def _members(frame: pd.DataFrame, group: list[str], member: list[str]) -> Members:
    """Members of each group, as tuples in the order of the frame."""
    members = Members()
    for key, value in zip(_keys(frame, group), _keys(frame, member), strict=True):
        members.setdefault(key, []).append(value)
    return members


def _variable(*index: pyo.Set) -> pyo.Var:
    return pyo.Var(*index, domain=pyo.NonNegativeReals)
