"""The supply model in Pyomo: sets, parameters and variables; constraints and costs stand beside it.

Names: sets in capitals, parameters and variables as the columns of the tables, `t` the number of a period.
Relations give the members of a group (`DELIVERIES_FROM[i, p]`: markets), none where there is nothing.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from sop_workbench.materials import explode
from sop_workbench.settings import Settings
from sop_workbench.supply.constraints import add_constraints
from sop_workbench.supply.costs import add_costs
from sop_workbench.supply.instance import PLACE, SALE, Instance
from sop_workbench.supply.notation import Notation, tracing

ORDER = ["item_id", "supplier_id", "location_id"]
TRANSFER = ["item_id", "from_location_id", "to_id"]
DELIVERY = ["item_id", "from_location_id", "market_id"]
WAY = ["from_location_id", "to_id", "lane_item_id"]


def build_model(instance: Instance, settings: Settings, *, in_bulk: bool = True) -> pyo.ConcreteModel:
    """State the whole supply model of one planning situation.

    Parameters
    ----------
    in_bulk : bool
        True states each family and cost once, for `compile_arrays`; False has Pyomo make every constraint, which any
        Pyomo solver or writer takes, some hundred times slower.

    Returns
    -------
    ConcreteModel
        Its objective is profit less penalties, maximised; costs are named expressions.
    """
    m = pyo.ConcreteModel("supply plan")
    notation = Notation(len(instance.periods), in_bulk=in_bulk)
    m.PERIODS = notation.periods()
    m.last = len(instance.periods) - 1
    m.safety_stock_penalty_ratio = settings.supply.safety_stock_penalty_ratio
    m.overflow_penalty_amt = highest_price_per_storage_place(instance)
    add_stock(m, notation, instance)
    add_production(m, notation, instance)
    add_resources(m, notation, instance, settings)
    add_purchases(m, notation, instance)
    add_lanes(m, notation, instance)
    add_demand(m, notation, instance, settings)
    add_lots(m, notation, instance, settings)
    add_strategic_shares(m, notation, instance)
    add_shelf_life(m, notation, instance, settings)
    add_steadiness(m, notation, instance, settings)
    add_strategy(m, notation, instance, settings)
    add_constraints(m, notation)
    with tracing() if in_bulk else nullcontext():
        add_costs(m)
    return m


def add_stock(m: pyo.ConcreteModel, notation: Notation, instance: Instance) -> None:
    """Stock of every item at every place that can hold it, its limits and its target."""
    stocked, target, limit = instance.stocked, instance.target.query("safety_stock_qty > 0"), instance.stock_limit
    at_least, at_most = limit[limit["min_qty"].notna()], limit[limit["max_qty"].notna()]
    m.STOCK = notation.index(stocked, PLACE)
    m.STOCK_PERIODS = notation.each_period(m.STOCK)
    for column in ("holding_cost_amt", "storage_qty", "value_amt"):
        m.add_component(column, notation.parameter(m.STOCK, stocked[column]))
    m.STOCK_AT_START = notation.first_period(m.STOCK)
    m.opening_qty = notation.parameter(m.STOCK_AT_START, stocked["opening_qty"])
    m.SCHEDULED = notation.index(instance.scheduled, [*PLACE, "t"])
    m.scheduled_qty = notation.parameter(m.SCHEDULED, instance.scheduled["scheduled_qty"])
    m.TARGETS = notation.index(target, [*PLACE, "t"])
    m.TARGETS_AT_END = notation.index(target[target["t"] == m.last], [*PLACE, "t"])
    m.safety_stock_qty = notation.parameter(m.TARGETS, target["safety_stock_qty"])
    m.STOCK_FLOORS = notation.index(at_least, [*PLACE, "t"])
    m.STOCK_CEILINGS = notation.index(at_most, [*PLACE, "t"])
    m.min_stock_qty = notation.parameter(m.STOCK_FLOORS, at_least["min_qty"])
    m.max_stock_qty = notation.parameter(m.STOCK_CEILINGS, at_most["max_qty"])
    m.STORES = notation.index(instance.storage, ["location_id"])
    m.STORE_PERIODS = notation.each_period(m.STORES)
    m.storage_limit_qty = notation.parameter(m.STORES, instance.storage["storage_limit_qty"])
    m.ITEMS_AT = notation.relation(stocked, ["location_id"], ["item_id"])
    m.closing_qty = notation.variable(m.STOCK_PERIODS)
    m.safety_shortfall_qty = notation.variable(m.TARGETS)
    m.storage_overflow_qty = notation.variable(m.STORE_PERIODS)


def add_production(m: pyo.ConcreteModel, notation: Notation, instance: Instance) -> None:
    """What can be made or subcontracted where, and the components it takes."""
    made, usage = instance.made, instance.usage
    limited = made[made["max_qty"].notna()]
    m.MADE = notation.index(made, PLACE)
    m.STARTS = notation.each_period(m.MADE, made["lead"])
    for name, column in (("variable_cost_amt", "variable_cost_amt"), ("yield_ratio", "yield_ratio"), ("production_lead", "lead")):
        m.add_component(name, notation.parameter(m.MADE, made[column]))
    m.LIMITED_PRODUCTION = notation.index(limited, PLACE)
    m.PRODUCTION_LIMITS = notation.each_period(m.LIMITED_PRODUCTION, limited["lead"])
    m.production_max_qty = notation.parameter(m.LIMITED_PRODUCTION, limited["max_qty"])
    m.CONSUMED = notation.index(usage.drop_duplicates([*PLACE, "t"]), [*PLACE, "t"])
    m.USAGE = notation.index(usage, ["parent_item_id", *PLACE, "t"])
    m.usage_qty = notation.parameter(m.USAGE, usage["usage_qty"])
    m.PARENTS = notation.relation(usage.drop_duplicates(["parent_item_id", *PLACE]), PLACE, ["parent_item_id"])
    m.FROZEN = notation.index(instance.frozen, [*PLACE, "t"])
    m.frozen_qty = notation.parameter(m.FROZEN, instance.frozen["production_qty"])
    m.production_qty = notation.variable(m.STARTS)
    m.consumed_qty = notation.variable(m.CONSUMED)
    add_subcontracting(m, notation, instance)


def add_subcontracting(m: pyo.ConcreteModel, notation: Notation, instance: Instance) -> None:
    """What others can make for a plant, where a price is given."""
    subcontracted = instance.made[instance.made["subcontract_cost_amt"].notna()]
    limited = subcontracted[subcontracted["subcontract_limit_qty"].notna()]
    m.SUBCONTRACTED = notation.index(subcontracted, PLACE)
    m.SUBCONTRACTED_PERIODS = notation.each_period(m.SUBCONTRACTED)
    m.subcontract_cost_amt = notation.parameter(m.SUBCONTRACTED, subcontracted["subcontract_cost_amt"])
    m.SUBCONTRACT_LIMITS = notation.index(limited, PLACE)
    m.SUBCONTRACT_LIMIT_PERIODS = notation.each_period(m.SUBCONTRACT_LIMITS)
    m.subcontract_limit_qty = notation.parameter(m.SUBCONTRACT_LIMITS, limited["subcontract_limit_qty"])
    m.subcontract_qty = notation.variable(m.SUBCONTRACTED_PERIODS)


def add_resources(m: pyo.ConcreteModel, notation: Notation, instance: Instance, settings: Settings) -> None:
    """Hours of lines and work centres; crews whose size is a decision."""
    capacity, routing, work = instance.capacity, instance.routing, ["resource_id", "t"]
    staffed = instance.each_period(instance.crew[["resource_id"]])
    m.RESOURCES = notation.index(instance.resource, ["resource_id"])
    m.CAPACITY = notation.index(capacity, work)
    m.HOURS = notation.index(pd.concat([capacity[work], staffed]) if len(staffed) else capacity, work)
    for column in ("regular_hours", "overtime_hours"):
        m.add_component(column, notation.parameter(m.CAPACITY, capacity[column]))
    for column in ("regular_cost_amt_per_hour", "overtime_cost_amt_per_hour"):
        m.add_component(column, notation.parameter(m.RESOURCES, instance.resource[column]))
    m.ROUTINGS = notation.index(routing, [*PLACE, "resource_id"])
    for column in ("hours_per_unit", "hours_per_lot"):
        m.add_component(column, notation.parameter(m.ROUTINGS, routing[column]))
    m.JOBS = notation.relation(routing, ["resource_id"], PLACE)
    m.regular_used_hours = notation.variable(m.HOURS)
    m.overtime_used_hours = notation.variable(m.HOURS)
    add_crews(m, notation, instance.crew, pyo.NonNegativeIntegers if settings.supply.is_integer_lots else pyo.NonNegativeReals)


def add_crews(m: pyo.ConcreteModel, notation: Notation, crew: pd.DataFrame, people: Any) -> None:
    """Crews whose size is a decision."""
    limited = crew[crew["max_workers"].notna()]
    m.CREWS = notation.index(crew, ["resource_id"])
    m.STAFFED = notation.each_period(m.CREWS)
    for column in ("hours_per_worker", "overtime_hours_per_worker", "regular_cost_amt_per_worker", "hire_cost_amt", "layoff_cost_amt"):
        m.add_component(column, notation.parameter(m.CREWS, crew[column]))
    m.CREWS_AT_START = notation.first_period(m.CREWS)
    m.opening_workers = notation.parameter(m.CREWS_AT_START, crew["opening_workers"])
    m.CREW_LIMITS = notation.index(limited, ["resource_id"])
    m.CREW_LIMIT_PERIODS = notation.each_period(m.CREW_LIMITS)
    m.max_workers = notation.parameter(m.CREW_LIMITS, limited["max_workers"])
    for name in ("worker_count", "hired_count", "laid_off_count"):
        m.add_component(name, notation.variable(m.STAFFED, people))


def add_purchases(m: pyo.ConcreteModel, notation: Notation, instance: Instance) -> None:
    """What can be ordered from whom; an order is counted in the period it is placed."""
    bought = instance.bought
    limited = bought[bought["max_qty"].notna()]
    m.SUPPLIERS = notation.index(bought, ORDER)
    m.ORDERS = notation.each_period(m.SUPPLIERS, bought["lead"])
    m.SUPPLIERS_OF = notation.relation(bought, PLACE, ["supplier_id"])
    m.purchase_lead = notation.parameter(m.SUPPLIERS, bought["lead"])
    m.unit_cost_amt = notation.parameter(m.SUPPLIERS, bought["unit_cost_amt"])
    m.LIMITED_SUPPLIERS = notation.index(limited, ORDER)
    m.SUPPLIER_LIMITS = notation.each_period(m.LIMITED_SUPPLIERS, limited["lead"])
    m.purchase_max_qty = notation.parameter(m.LIMITED_SUPPLIERS, limited["max_qty"])
    m.purchase_qty = notation.variable(m.ORDERS)


def add_lanes(m: pyo.ConcreteModel, notation: Notation, instance: Instance) -> None:
    """Ways between locations and to markets; what leaves in a period arrives a lead time later."""
    transfer, delivery = instance.transfer, instance.delivery
    m.TRANSFERS = notation.index(transfer, TRANSFER)
    m.DELIVERIES = notation.index(delivery, DELIVERY)
    m.TRANSFER_DEPARTURES = notation.each_period(m.TRANSFERS, transfer["lead"])
    m.DELIVERY_DEPARTURES = notation.each_period(m.DELIVERIES, delivery["lead"])
    m.transfer_freight_amt = notation.parameter(m.TRANSFERS, transfer["freight_cost_amt"])
    m.delivery_freight_amt = notation.parameter(m.DELIVERIES, delivery["freight_cost_amt"])
    m.transfer_lead = notation.parameter(m.TRANSFERS, transfer["lead"])
    m.delivery_lead = notation.parameter(m.DELIVERIES, delivery["lead"])
    m.TRANSFERS_FROM = notation.relation(transfer, ["item_id", "from_location_id"], ["to_id"])
    m.TRANSFERS_TO = notation.relation(transfer, ["item_id", "to_id"], ["from_location_id"])
    m.DELIVERIES_FROM = notation.relation(delivery, ["item_id", "from_location_id"], ["market_id"])
    m.DELIVERIES_TO = notation.relation(delivery, SALE, ["from_location_id"])
    m.TRANSFERS_ON = notation.relation(transfer, WAY, ["item_id"])
    m.DELIVERIES_ON = notation.relation(delivery.rename(columns={"market_id": "to_id"}), WAY, ["item_id"])
    used = pd.concat([transfer[WAY], delivery.rename(columns={"market_id": "to_id"})[WAY]]).drop_duplicates()
    limited = instance.lane_limit.merge(used, on=WAY, validate="1:1")
    m.LIMITED_LANES = notation.index(limited, WAY)
    m.LIMITED_LANE_PERIODS = notation.each_period(m.LIMITED_LANES)
    m.lane_max_qty = notation.parameter(m.LIMITED_LANES, limited["max_qty"])
    m.transfer_qty = notation.variable(m.TRANSFER_DEPARTURES)
    m.delivery_qty = notation.variable(m.DELIVERY_DEPARTURES)


def add_demand(m: pyo.ConcreteModel, notation: Notation, instance: Instance, settings: Settings) -> None:
    """Demand of every item, market and period, and what of it is lost or late."""
    waits = settings.supply.shortage == "backlog"
    demand, sale = instance.demand, [*SALE, "t"]
    floors = demand[(demand["floor_ratio"] > 0) & (demand["demand_qty"] > 0)]
    m.DEMAND = notation.index(demand, sale)
    for column in ("demand_qty", "opening_backlog_qty", "price_amt", "lost_penalty_amt", "backlog_cost_amt"):
        m.add_component(column, notation.parameter(m.DEMAND, demand[column]))
    m.FLOORS = notation.index(floors, sale)
    m.floor_qty = notation.parameter(m.FLOORS, floors["floor_ratio"] * floors["demand_qty"])
    m.floor_penalty_amt = notation.parameter(m.FLOORS, floors["floor_penalty_amt"])
    m.LOST = notation.index(demand.iloc[:0] if waits else demand, sale)
    m.LATE = notation.index(demand if waits else demand.iloc[:0], sale)
    m.LATE_AT_END = notation.index(demand[(demand["t"] == m.last) & waits], sale)
    m.lost_qty = notation.variable(m.LOST)
    m.backlog_qty = notation.variable(m.LATE)
    m.floor_shortfall_qty = notation.variable(m.FLOORS)


def add_lots(m: pyo.ConcreteModel, notation: Notation, instance: Instance, settings: Settings) -> None:
    """Whole lots and whole orders; empty unless the settings ask for them."""
    is_whole = settings.supply.is_integer_lots
    setup_hours = instance.routing.groupby(PLACE)["hours_per_lot"].max().rename("hours_per_lot").reset_index()
    made = instance.made.merge(setup_hours, on=PLACE, how="left", validate="1:1")
    bought = instance.bought
    lotted = made[((made["min_lot_qty"] > 0) | (made["setup_cost_amt"] > 0) | (made["hours_per_lot"] > 0)) & is_whole]
    for name, frame, key in (
            ("LOTS", lotted, PLACE), ("LOT_MULTIPLES", made[(made["lot_multiple_qty"] > 0) & is_whole], PLACE),
            ("MINIMUM_ORDERS", bought[(bought["min_order_qty"] > 0) & is_whole], ORDER),
            ("ORDER_MULTIPLES", bought[(bought["order_multiple_qty"] > 0) & is_whole], ORDER)):
        m.add_component(name, notation.each_period(notation.index(frame, key), frame["lead"]))
    for column in ("min_lot_qty", "lot_multiple_qty", "setup_cost_amt"):
        m.add_component(column, notation.parameter(m.MADE, made[column]))
    for column in ("min_order_qty", "order_multiple_qty"):
        m.add_component(column, notation.parameter(m.SUPPLIERS, bought[column]))
    need = largest_need(instance).rename("qty").reset_index() if is_whole else pd.DataFrame({"item_id": [], "qty": []})
    m.NEEDED = notation.index(need, ["item_id"])
    m.largest_need_qty = notation.parameter(m.NEEDED, need["qty"])
    m.lot_count = notation.variable(m.LOTS, pyo.Binary)
    m.lot_multiple_count = notation.variable(m.LOT_MULTIPLES, pyo.NonNegativeIntegers)
    m.order_count = notation.variable(m.MINIMUM_ORDERS, pyo.Binary)
    m.order_multiple_count = notation.variable(m.ORDER_MULTIPLES, pyo.NonNegativeIntegers)


def add_strategic_shares(m: pyo.ConcreteModel, notation: Notation, instance: Instance) -> None:
    """Supply over the horizon that must not fall below its share; empty unless the settings ask for one."""
    m.STRATEGIC = notation.index(instance.strategic, [*SALE, "t"])
    m.strategic_floor_qty = notation.parameter(m.STRATEGIC, instance.strategic["floor_qty"])
    m.strategic_penalty_amt = notation.parameter(m.STRATEGIC, instance.strategic["floor_penalty_amt"])
    m.strategic_shortfall_qty = notation.variable(m.STRATEGIC)


def add_shelf_life(m: pyo.ConcreteModel, notation: Notation, instance: Instance, settings: Settings) -> None:
    """Items with a shelf life, and the periods whose arrivals are still good when a period ends."""
    shelved = instance.each_period(instance.shelved)
    shelved = shelved[shelved["t"] >= shelved["life"] - 1]
    fresh = shelved.loc[shelved.index.repeat(shelved["life"])]
    fresh = fresh.assign(u=fresh["t"] - fresh.groupby(level=0).cumcount())
    m.shelf_life_penalty_ratio = settings.supply.shelf_life_penalty_ratio
    m.SHELVED = notation.index(shelved, [*PLACE, "t"])
    m.FRESH_PERIODS = notation.relation(fresh, [*PLACE, "t"], ["u"])
    m.expired_qty = notation.variable(m.SHELVED)


def add_steadiness(m: pyo.ConcreteModel, notation: Notation, instance: Instance, settings: Settings) -> None:
    """Changes of production from period to period and against the previous plan, where the settings price them."""
    rule, place = settings.supply, [*PLACE, "t"]
    starts = instance.each_period(instance.made, "lead")
    m.smoothing_penalty_ratio, m.plan_change_penalty_ratio = rule.smoothing_penalty_ratio, rule.plan_change_penalty_ratio
    m.frozen_penalty_amt = max([1.0, *instance.demand["price_amt"]])
    m.SMOOTHED = notation.index(starts[(starts["t"] > 0) & (rule.smoothing_penalty_ratio > 0)], place)
    m.FENCED = notation.index(instance.previous, place)
    m.FROZEN_AT_A_PRICE = notation.index(instance.frozen if rule.frozen == "priced" else instance.frozen.iloc[:0], place)
    m.previous_qty = notation.parameter(m.FENCED, instance.previous["production_qty"])
    for name, index in (("production_rise_qty", m.SMOOTHED), ("production_fall_qty", m.SMOOTHED), ("plan_rise_qty", m.FENCED),
                        ("plan_fall_qty", m.FENCED), ("frozen_shortfall_qty", m.FROZEN_AT_A_PRICE)):
        m.add_component(name, notation.variable(index))


def add_strategy(m: pyo.ConcreteModel, notation: Notation, instance: Instance, settings: Settings) -> None:
    """Chase, level or hybrid; empty where the plan is free."""
    rule = settings.supply
    levelled = instance.levelled if rule.strategy in ("level", "hybrid") else instance.levelled.iloc[:0]
    nothing = instance.demand[["item_id", "t"]].iloc[:0].assign(chase_stock_qty=0.0)
    chased = chase_ceilings(instance) if rule.strategy == "chase" else nothing
    band = rule.hybrid_band_ratio if rule.strategy == "hybrid" else 0.0
    m.most_level_ratio, m.least_level_ratio = 1.0 + band, 1.0 - band
    m.LEVELLED = notation.index(levelled, ["resource_id", "t"])
    m.LEVELLED_RESOURCES = notation.index(levelled.drop_duplicates("resource_id"), ["resource_id"])
    m.CHASED = notation.index(chased, ["item_id", "t"])
    m.chase_stock_qty = notation.parameter(m.CHASED, chased["chase_stock_qty"])
    m.PLACES_OF = notation.relation(instance.stocked, ["item_id"], ["location_id"])
    worth = most_a_unit_brings(instance).rename("price_amt").reset_index()
    m.CHASED_ITEMS = notation.index(worth, ["item_id"])
    m.prebuilt_penalty_amt = notation.parameter(m.CHASED_ITEMS, worth["price_amt"])
    m.level_hours = notation.variable(m.LEVELLED_RESOURCES)
    m.prebuilt_qty = notation.variable(m.CHASED)


def chase_ceilings(instance: Instance) -> pd.DataFrame:
    """Stock of each demanded or made item that nobody made ahead: its target, or what is left of opening stock and open orders.

    How much of a component is used is the plan's own decision, so of its opening stock and open orders all may be left.
    """
    demand = instance.demand.assign(due_qty=instance.demand["demand_qty"] + instance.demand["opening_backlog_qty"])
    asked = demand.groupby(["item_id", "t"])["due_qty"].sum().unstack("t")
    made = instance.made["item_id"].unique()
    # A period without a row asks for nothing, and nobody asks for a component.
    asked = asked.reindex(index=asked.index.union(made).rename("item_id"), columns=range(len(instance.periods))).fillna(0.0)
    coming = instance.scheduled.pivot_table(index="item_id", columns="t", values="scheduled_qty", aggfunc="sum").reindex_like(asked)
    opening = instance.stocked.groupby("item_id")["opening_qty"].sum().reindex(asked.index)
    floor = instance.stock_limit.rename(columns={"min_qty": "target_qty"})
    wanted = pd.concat([instance.target, floor])[[*PLACE, "t", "target_qty"]].groupby([*PLACE, "t"])["target_qty"].max()
    wanted = wanted.groupby(["item_id", "t"]).sum().unstack("t").reindex_like(asked)
    # Nothing stocked, due or aimed for counts as none.
    left = (coming.fillna(0.0) - asked).cumsum(axis=1).add(opening.fillna(0.0), axis=0)
    ceiling = left.clip(lower=wanted.fillna(0.0))
    return ceiling.clip(lower=0.0).rename_axis(columns="t").stack().rename("chase_stock_qty").reset_index()


def most_a_unit_brings(instance: Instance) -> pd.Series:
    """The most any sale brings for one unit of an item: its best price with goodwill, or that of a parent over the units in it."""
    best = instance.demand["price_amt"] + instance.demand["lost_penalty_amt"]
    worth = best.groupby(instance.demand["item_id"]).max()
    least = instance.usage.groupby(["parent_item_id", "item_id"], as_index=False)["usage_qty"].min()
    level = worth
    while len(level):
        rows = least[least["parent_item_id"].isin(level.index)]
        level = (rows["parent_item_id"].map(level) / rows["usage_qty"]).groupby(rows["item_id"]).max()
        worth = pd.concat([worth, level]).groupby(level=0).max()
    # What goes into nothing that is sold brings nothing.
    return worth.reindex(worth.index.union(instance.made["item_id"].unique()), fill_value=0.0).rename_axis("item_id")


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
