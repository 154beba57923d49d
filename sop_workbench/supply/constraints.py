"""The constraints of the supply model, one function per family.

Each docstring is what `docs/supply_model.md` prints: the sentence a planner would say, the equation,
its index and its unit. Symbols are the names of the variables and parameters; i item, p place (location),
k market, r resource, s supplier, t period.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pyomo.environ as pyo

from sop_workbench.supply.notation import Notation, at, quicksum

if TYPE_CHECKING:
    from collections.abc import Callable

Model: TypeAlias = pyo.ConcreteModel
Relation: TypeAlias = Any


# ------------------------------------------------------------------ flows that several families speak of
def produced_qty(m: Model, i: str, p: str, t: int) -> Any:
    """Good units of what was started a lead time ago."""
    return at(m.yield_ratio, i, p) * at(m.production_qty, i, p, t - at(m.production_lead, i, p))


def purchased_qty(m: Model, i: str, p: str, t: int) -> Any:
    """Units received from suppliers, ordered a lead time ago."""
    return quicksum(at(m.purchase_qty, i, s, p, t - m.purchase_lead[i, s, p]) for s in m.SUPPLIERS_OF[i, p])


def transferred_in_qty(m: Model, i: str, p: str, t: int) -> Any:
    """Units received from other locations, sent a lead time ago."""
    return quicksum(at(m.transfer_qty, i, source, p, t - m.transfer_lead[i, source, p]) for source in m.TRANSFERS_TO[i, p])


def received_qty(m: Model, i: str, p: str, t: int) -> Any:
    """All units that come to a place: open orders, made, subcontracted, bought and sent there."""
    return (at(m.scheduled_qty, i, p, t) + produced_qty(m, i, p, t) + at(m.subcontract_qty, i, p, t)
            + purchased_qty(m, i, p, t) + transferred_in_qty(m, i, p, t))


def transferred_out_qty(m: Model, i: str, p: str, t: int) -> Any:
    """Units sent to other locations."""
    return quicksum(at(m.transfer_qty, i, p, to, t) for to in m.TRANSFERS_FROM[i, p])


def shipped_qty(m: Model, i: str, p: str, t: int) -> Any:
    """Units sent to markets."""
    return quicksum(at(m.delivery_qty, i, p, k, t) for k in m.DELIVERIES_FROM[i, p])


def served_qty(m: Model, i: str, k: str, t: int) -> Any:
    """Demand served: what is due, less what is lost, less what waits, plus what waited."""
    return due_qty(m, i, k, t) - at(m.lost_qty, i, k, t) - at(m.backlog_qty, i, k, t) + at(m.backlog_qty, i, k, t - 1)


def due_qty(m: Model, i: str, k: str, t: int) -> Any:
    """Demand of the period and orders that were late before the horizon."""
    return m.demand_qty[i, k, t] + m.opening_backlog_qty[i, k, t]


def arriving_qty(m: Model, i: str, k: str, t: int) -> Any:
    """Units arriving in a market, sent a lead time ago."""
    return quicksum(at(m.delivery_qty, i, p, k, t - m.delivery_lead[i, p, k]) for p in m.DELIVERIES_TO[i, k])


def load_hours(m: Model, r: str, t: int) -> Any:
    """Hours that what is started takes, with set-up hours where lots are whole."""
    return quicksum(m.hours_per_unit[i, p, r] * at(m.production_qty, i, p, t) + m.hours_per_lot[i, p, r] * at(m.lot_count, i, p, t)
                    for i, p in m.JOBS[r])


# ------------------------------------------------------------------ balances
def stock_balance(m: Model, i: str, p: str, t: int) -> Relation:
    r"""What is in stock when a period ends is what was there, plus all that comes, less all that goes.

    closing_qty[i,p,t] = closing_qty[i,p,t−1] + yield_ratio[i,p] · production_qty[i,p,t−lead] + subcontract_qty[i,p,t]
    + Σ_s purchase_qty[i,s,p,t−lead] + scheduled_qty[i,p,t] + Σ_j transfer_qty[i,j,p,t−lead] − Σ_j transfer_qty[i,p,j,t]
    − Σ_k delivery_qty[i,p,k,t] − consumed_qty[i,p,t];  before the first period: opening_qty[i,p]

    Index: item i at location p (finished goods, components and materials, plants and warehouses), period t.
    Unit: base units of the item.
    """
    before = at(m.opening_qty, i, p, t) + at(m.closing_qty, i, p, t - 1)
    losses = transferred_out_qty(m, i, p, t) + shipped_qty(m, i, p, t) + at(m.consumed_qty, i, p, t)
    return m.closing_qty[i, p, t] == before + received_qty(m, i, p, t) - losses


def material_balance(m: Model, i: str, p: str, t: int) -> Relation:
    r"""Whatever is started takes its components from stock, scrap included; subcontracted goods take none.

    consumed_qty[i,p,t] = Σ_parents quantity_per / (1 − scrap_ratio) · production_qty[parent,p,t]

    Index: component i at plant p in every period t in which a bill of material valid on its first day names it.
    Unit: base units of the component.
    """
    return m.consumed_qty[i, p, t] == quicksum(at(m.usage_qty, parent, i, p, t) * at(m.production_qty, parent, p, t)
                                               for parent in m.PARENTS[i, p])


def market_balance(m: Model, i: str, k: str, t: int) -> Relation:
    r"""What arrives in a market serves its demand; what does not is lost, or late where orders wait.

    Σ_l delivery_qty[i,p,k,t−lead] = demand_qty[i,k,t] − lost_qty[i,k,t] − backlog_qty[i,k,t] + backlog_qty[i,k,t−1]
    (lost_qty where the settings say lost_sales, backlog_qty where they say backlog; opening backlog adds to the first period)

    Index: demanded item i, market k, period t. Unit: base units of the item.
    """
    return arriving_qty(m, i, k, t) == served_qty(m, i, k, t)


def hours_balance(m: Model, r: str, t: int) -> Relation:
    r"""Every hour of work is a regular or an overtime hour.

    Σ hours_per_unit · production_qty[i,p,t] + Σ hours_per_lot · lot_count[i,p,t] = regular_used_hours[r,t] + overtime_used_hours[r,t]

    Index: resource r, period t. Unit: hours.
    """
    return load_hours(m, r, t) == m.regular_used_hours[r, t] + m.overtime_used_hours[r, t]


def crew_balance(m: Model, r: str, t: int) -> Relation:
    r"""A crew is last period's crew, plus who is hired, less who is laid off.

    worker_count[r,t] = worker_count[r,t−1] + hired_count[r,t] − laid_off_count[r,t];  before the first period: opening_workers[r]

    Index: crew r, period t. Unit: people (whole people where lots are whole).
    """
    before = at(m.opening_workers, r, t) + at(m.worker_count, r, t - 1)
    return m.worker_count[r, t] == before + m.hired_count[r, t] - m.laid_off_count[r, t]


# ------------------------------------------------------------------ limits
def capacity_limit(m: Model, r: str, t: int) -> Relation:
    r"""No more regular hours are used than the resource has.

    regular_used_hours[r,t] ≤ regular_hours[r,t]

    Index: resource r without a crew of its own, period t. Unit: hours.
    """
    return m.regular_used_hours[r, t] <= m.regular_hours[r, t]


def overtime_limit(m: Model, r: str, t: int) -> Relation:
    r"""No more overtime is worked than is allowed.

    overtime_used_hours[r,t] ≤ overtime_hours[r,t]

    Index: resource r without a crew of its own, period t. Unit: hours.
    """
    return m.overtime_used_hours[r, t] <= m.overtime_hours[r, t]


def crew_hours(m: Model, r: str, t: int) -> Relation:
    r"""A crew works no more regular hours than its people have.

    regular_used_hours[r,t] ≤ hours_per_worker[r] · worker_count[r,t]

    Index: crew r, period t. Unit: hours.
    """
    return m.regular_used_hours[r, t] <= m.hours_per_worker[r] * m.worker_count[r, t]


def crew_overtime(m: Model, r: str, t: int) -> Relation:
    r"""A crew works no more overtime than its people may.

    overtime_used_hours[r,t] ≤ overtime_hours_per_worker[r] · worker_count[r,t]

    Index: crew r, period t. Unit: hours.
    """
    return m.overtime_used_hours[r, t] <= m.overtime_hours_per_worker[r] * m.worker_count[r, t]


def crew_limit(m: Model, r: str, t: int) -> Relation:
    r"""A crew is no larger than there is room for.

    worker_count[r,t] ≤ max_workers[r]

    Index: crew r with a largest size, period t. Unit: people.
    """
    return m.worker_count[r, t] <= m.max_workers[r]


def production_limit(m: Model, i: str, p: str, t: int) -> Relation:
    r"""A plant starts no more of an item in a period than it can.

    production_qty[i,p,t] ≤ max_qty[i,p]

    Index: item i made at plant p with a limit, period t. Unit: base units of the item.
    """
    return m.production_qty[i, p, t] <= m.production_max_qty[i, p]


def subcontract_limit(m: Model, i: str, p: str, t: int) -> Relation:
    r"""Subcontractors make no more of an item in a period than agreed.

    subcontract_qty[i,p,t] ≤ subcontract_limit_qty[i,p]

    Index: item i at plant p with a subcontract price and limit, period t. Unit: base units of the item.
    """
    return m.subcontract_qty[i, p, t] <= m.subcontract_limit_qty[i, p]


def supplier_limit(m: Model, i: str, s: str, p: str, t: int) -> Relation:
    r"""A supplier delivers no more of an item to a location in a period than agreed.

    purchase_qty[i,s,p,t] ≤ max_qty[i,s,p]

    Index: item i from supplier s to location p with a limit, period t of the order (one order period fills one delivery period).
    Unit: base units of the item.
    """
    return m.purchase_qty[i, s, p, t] <= m.purchase_max_qty[i, s, p]


def lane_limit(m: Model, source: str, to: str, lane_item: str, t: int) -> Relation:
    r"""No more goes over a lane in a period than fits: of one item, or of all items that share the lane.

    Σ_i transfer_qty[i,from,to,t] + Σ_i delivery_qty[i,from,to,t] ≤ max_qty[from,to]

    Index: lane with a limit, period t of departure. Unit: base units.
    """
    sent = (quicksum(at(m.transfer_qty, i, source, to, t) for i in m.TRANSFERS_ON[source, to, lane_item])
            + quicksum(at(m.delivery_qty, i, source, to, t) for i in m.DELIVERIES_ON[source, to, lane_item]))
    return sent <= m.lane_max_qty[source, to, lane_item]


def storage_limit(m: Model, p: str, t: int) -> Relation:
    r"""What is in stock at a location fits into its storage places; what does not is priced, because stock cannot vanish.

    Σ_i storage_qty[i] · closing_qty[i,p,t] ≤ storage_limit_qty[p] + storage_overflow_qty[p,t]

    Index: location p with a limit, period t. Unit: storage places.
    """
    taken = quicksum(m.storage_qty[i, p] * m.closing_qty[i, p, t] for i in m.ITEMS_AT[p])
    return taken <= m.storage_limit_qty[p] + m.storage_overflow_qty[p, t]


def stock_floor(m: Model, i: str, p: str, t: int) -> Relation:
    r"""Stock is no lower than a limit that no plan may break.

    closing_qty[i,p,t] ≥ min_qty[i,p,t]

    Index: rows of `stock_limit` with a least stock. Unit: base units of the item.
    """
    return m.closing_qty[i, p, t] >= m.min_stock_qty[i, p, t]


def stock_ceiling(m: Model, i: str, p: str, t: int) -> Relation:
    r"""Stock is no higher than a limit that no plan may break.

    closing_qty[i,p,t] ≤ max_qty[i,p,t]

    Index: rows of `stock_limit` with a most stock. Unit: base units of the item.
    """
    return m.closing_qty[i, p, t] <= m.max_stock_qty[i, p, t]


def frozen_zone(m: Model, i: str, p: str, t: int) -> Relation:
    r"""In the frozen zone the earlier plan stands.

    production_qty[i,p,t] = frozen production_qty[i,p,t] − frozen_shortfall_qty[i,p,t]   (no shortfall where the settings say firm)

    Index: item i, plant p, period t of the frozen zone with a row in the earlier plan. Unit: base units of the item.
    """
    return m.production_qty[i, p, t] == m.frozen_qty[i, p, t] - at(m.frozen_shortfall_qty, i, p, t)


# ------------------------------------------------------------------ promises, broken at a price
def safety_stock(m: Model, i: str, p: str, t: int) -> Relation:
    r"""Stock reaches its safety stock, or falls short at a price.

    closing_qty[i,p,t] + safety_shortfall_qty[i,p,t] ≥ safety_stock_qty[i,p,t]

    Index: item i at location p with a safety stock, period t. Unit: base units of the item.
    """
    return m.closing_qty[i, p, t] + m.safety_shortfall_qty[i, p, t] >= m.safety_stock_qty[i, p, t]


def contract_floor(m: Model, i: str, k: str, t: int) -> Relation:
    r"""A market with a contract gets its agreed share of demand, or falls short of it at a price.

    Σ_l delivery_qty[i,p,k,t−lead] + floor_shortfall_qty[i,k,t] ≥ min_fill_ratio[k] · demand_qty[i,k,t]

    Index: item i demanded in market k with a floor, period t. Unit: base units of the item.
    """
    return arriving_qty(m, i, k, t) + m.floor_shortfall_qty[i, k, t] >= m.floor_qty[i, k, t]


def strategic_share(m: Model, i: str, k: str, t: int) -> Relation:
    r"""A strategic market or item gets its least share of the whole horizon's demand, or falls short of it at a price.

    Σ_p,u delivery_qty[i,p,k,u] + strategic_shortfall_qty[i,k,t] ≥ strategic_min_ratio · Σ_u demand_qty[i,k,u]
    (every departure u that arrives within the horizon)

    Index: item i demanded in market k, one of them strategic; t is the last period. Unit: base units of the item.
    """
    arriving = quicksum(at(m.delivery_qty, i, p, k, u) for p in m.DELIVERIES_TO[i, k] for u in m.PERIODS)
    return arriving + m.strategic_shortfall_qty[i, k, t] >= m.strategic_floor_qty[i, k, t]


# ------------------------------------------------------------------ age, steadiness, strategy (only where tables or settings ask)
def shelf_life(m: Model, i: str, p: str, t: int) -> Relation:
    r"""What is in stock came in within its shelf life, first in first out; what is older is priced, because stock cannot vanish.

    closing_qty[i,p,t] ≤ Σ_{u = t−life+1 … t} (all that came to i at p in u) + expired_qty[i,p,t]
    (by the stock balance the same as: what lay there `life` periods ago has left; age counts from arrival at the place,
    opening stock from the start of the horizon)

    Index: item i with a shelf life at location p, period t from life − 1 on. Unit: base units of the item.
    """
    fresh = quicksum(received_qty(m, i, p, u) for u in m.FRESH_PERIODS[i, p, t])
    return m.closing_qty[i, p, t] <= fresh + m.expired_qty[i, p, t]


def production_smoothing(m: Model, i: str, p: str, t: int) -> Relation:
    r"""What is started rises or falls from one period to the next, and either has a price.

    production_qty[i,p,t] − production_qty[i,p,t−1] = production_rise_qty[i,p,t] − production_fall_qty[i,p,t]

    Index: item i made at plant p, period t from the second on. Unit: base units of the item.
    """
    change = m.production_qty[i, p, t] - at(m.production_qty, i, p, t - 1)
    return change == m.production_rise_qty[i, p, t] - m.production_fall_qty[i, p, t]


def plan_change(m: Model, i: str, p: str, t: int) -> Relation:
    r"""Inside the fence what is started is what the previous plan said, or more or less of it at a price.

    production_qty[i,p,t] = previous production_qty[i,p,t] + plan_rise_qty[i,p,t] − plan_fall_qty[i,p,t]

    Index: item i, plant p, period t between frozen zone and fence with a row in the previous plan. Unit: base units of the item.
    """
    return m.production_qty[i, p, t] == m.previous_qty[i, p, t] + m.plan_rise_qty[i, p, t] - m.plan_fall_qty[i, p, t]


def level_ceiling(m: Model, r: str, t: int) -> Relation:
    r"""Level and hybrid strategy: no period works more than a band above the level.

    regular_used_hours[r,t] + overtime_used_hours[r,t] ≤ (1 + band) · level_hours[r]      (band 0 for level)

    Index: resource r, period t in which it has hours and something can be started on it. Unit: hours.
    """
    return m.regular_used_hours[r, t] + m.overtime_used_hours[r, t] <= m.most_level_ratio * m.level_hours[r]


def level_floor(m: Model, r: str, t: int) -> Relation:
    r"""Level and hybrid strategy: no period works less than a band below the level.

    regular_used_hours[r,t] + overtime_used_hours[r,t] ≥ (1 − band) · level_hours[r]      (band 0 for level)

    Index: as `level_ceiling`. Unit: hours.
    """
    return m.regular_used_hours[r, t] + m.overtime_used_hours[r, t] >= m.least_level_ratio * m.level_hours[r]


def chase_stock(m: Model, i: str, t: int) -> Relation:
    r"""Chase strategy: nothing is made ahead of demand; what is in stock beyond target and left-over opening stock has a prohibitive price.

    Σ_p closing_qty[i,p,t] ≤ chase_stock_qty[i,t] + prebuilt_qty[i,t]
    chase_stock_qty = the larger of Σ_p target_qty (or least stock) and opening stock + open orders − demand so far
    (for a made component without − demand so far: what it is used for is decided by the plan)

    Index: demanded or made item i, period t. Unit: base units of the item.
    """
    return quicksum(m.closing_qty[i, p, t] for p in m.PLACES_OF[i]) <= m.chase_stock_qty[i, t] + m.prebuilt_qty[i, t]


# ------------------------------------------------------------------ whole lots and orders (only where the settings ask for them)
def lot_start(m: Model, i: str, p: str, t: int) -> Relation:
    r"""Nothing is made in a period without setting up a lot.

    production_qty[i,p,t] ≤ largest need of i · lot_count[i,p,t]

    Index: item i at plant p with a smallest lot, set-up cost or set-up hours, period t; a lot is one run in a period.
    Unit: base units of the item.
    """
    return m.production_qty[i, p, t] <= (m.largest_need_qty[i] + m.min_lot_qty[i, p]) * m.lot_count[i, p, t]


def minimum_lot(m: Model, i: str, p: str, t: int) -> Relation:
    r"""A lot that is set up is not smaller than the smallest lot.

    production_qty[i,p,t] ≥ min_lot_qty[i,p] · lot_count[i,p,t]

    Index: as `lot_start`. Unit: base units of the item.
    """
    return m.production_qty[i, p, t] >= m.min_lot_qty[i, p] * m.lot_count[i, p, t]


def lot_multiple(m: Model, i: str, p: str, t: int) -> Relation:
    r"""Lots come in whole multiples.

    production_qty[i,p,t] = lot_multiple_qty[i,p] · lot_multiple_count[i,p,t]

    Index: item i at plant p with a lot multiple, period t. Unit: base units of the item.
    """
    return m.production_qty[i, p, t] == m.lot_multiple_qty[i, p] * m.lot_multiple_count[i, p, t]


def order_start(m: Model, i: str, s: str, p: str, t: int) -> Relation:
    r"""Nothing is bought in a period without placing an order.

    purchase_qty[i,s,p,t] ≤ largest need of i · order_count[i,s,p,t]

    Index: item i from supplier s to location p with a smallest order, period t of the order. Unit: base units of the item.
    """
    return m.purchase_qty[i, s, p, t] <= (m.largest_need_qty[i] + m.min_order_qty[i, s, p]) * m.order_count[i, s, p, t]


def minimum_order(m: Model, i: str, s: str, p: str, t: int) -> Relation:
    r"""An order that is placed is not smaller than the smallest order.

    purchase_qty[i,s,p,t] ≥ min_order_qty[i,s,p] · order_count[i,s,p,t]

    Index: as `order_start`. Unit: base units of the item.
    """
    return m.purchase_qty[i, s, p, t] >= m.min_order_qty[i, s, p] * m.order_count[i, s, p, t]


def order_multiple(m: Model, i: str, s: str, p: str, t: int) -> Relation:
    r"""Orders come in whole multiples.

    purchase_qty[i,s,p,t] = order_multiple_qty[i,s,p] · order_multiple_count[i,s,p,t]

    Index: item i from supplier s to location p with an order multiple, period t of the order. Unit: base units of the item.
    """
    return m.purchase_qty[i, s, p, t] == m.order_multiple_qty[i, s, p] * m.order_multiple_count[i, s, p, t]


def add_constraints(m: Model, notation: Notation) -> None:
    """Every family with the set it is stated over."""
    m.stock_balance = notation.family(m.STOCK_PERIODS, stock_balance)
    m.material_balance = notation.family(m.CONSUMED, material_balance)
    m.market_balance = notation.family(m.DEMAND, market_balance)
    m.hours_balance = notation.family(m.HOURS, hours_balance)
    m.crew_balance = notation.family(m.STAFFED, crew_balance)
    m.capacity_limit = notation.family(m.CAPACITY, capacity_limit)
    m.overtime_limit = notation.family(m.CAPACITY, overtime_limit)
    m.crew_hours = notation.family(m.STAFFED, crew_hours)
    m.crew_overtime = notation.family(m.STAFFED, crew_overtime)
    m.crew_limit = notation.family(m.CREW_LIMIT_PERIODS, crew_limit)
    m.production_limit = notation.family(m.PRODUCTION_LIMITS, production_limit)
    m.subcontract_limit = notation.family(m.SUBCONTRACT_LIMIT_PERIODS, subcontract_limit)
    m.supplier_limit = notation.family(m.SUPPLIER_LIMITS, supplier_limit)
    m.lane_limit = notation.family(m.LIMITED_LANE_PERIODS, lane_limit)
    m.storage_limit = notation.family(m.STORE_PERIODS, storage_limit)
    m.stock_floor = notation.family(m.STOCK_FLOORS, stock_floor)
    m.stock_ceiling = notation.family(m.STOCK_CEILINGS, stock_ceiling)
    m.frozen_zone = notation.family(m.FROZEN, frozen_zone)
    m.safety_stock = notation.family(m.TARGETS, safety_stock)
    m.contract_floor = notation.family(m.FLOORS, contract_floor)
    m.strategic_share = notation.family(m.STRATEGIC, strategic_share)
    m.shelf_life = notation.family(m.SHELVED, shelf_life)
    m.production_smoothing = notation.family(m.SMOOTHED, production_smoothing)
    m.plan_change = notation.family(m.FENCED, plan_change)
    m.level_ceiling = notation.family(m.LEVELLED, level_ceiling)
    m.level_floor = notation.family(m.LEVELLED, level_floor)
    m.chase_stock = notation.family(m.CHASED, chase_stock)
    m.lot_start = notation.family(m.LOTS, lot_start)
    m.minimum_lot = notation.family(m.LOTS, minimum_lot)
    m.lot_multiple = notation.family(m.LOT_MULTIPLES, lot_multiple)
    m.order_start = notation.family(m.MINIMUM_ORDERS, order_start)
    m.minimum_order = notation.family(m.MINIMUM_ORDERS, minimum_order)
    m.order_multiple = notation.family(m.ORDER_MULTIPLES, order_multiple)


FAMILIES: tuple[Callable[..., Relation], ...] = (
    stock_balance, material_balance, market_balance, hours_balance, crew_balance,
    capacity_limit, overtime_limit, crew_hours, crew_overtime, crew_limit,
    production_limit, subcontract_limit, supplier_limit, lane_limit, storage_limit, stock_floor, stock_ceiling, frozen_zone,
    safety_stock, contract_floor, strategic_share,
    shelf_life, production_smoothing, plan_change, level_ceiling, level_floor, chase_stock,
    lot_start, minimum_lot, lot_multiple, order_start, minimum_order, order_multiple,
)
