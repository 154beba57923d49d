"""Material requirements planning: every item at every place, level by level, in lots, a lead time earlier."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from sop_workbench import lots, tables
from sop_workbench.materials.netting import late, net_of, started
from sop_workbench.materials.purchasing import Orders, order_from_suppliers, purchase_rows
from sop_workbench.materials.sources import BUY, MAKE, NONE, PLACE, TRANSFER, Network, refuse_impossible, source_network
from sop_workbench.periods import Calendar
from sop_workbench.structure import refuse_loops, usage

_BALANCE = 1e-6


class MaterialPlan(NamedTuple):
    """What has to come, from where, and when to start it.

    Attributes
    ----------
    material_plan : DataFrame
        The table of this name: the mass balance of every item, place and period.
    planned_purchase : DataFrame
        The table of this name: orders by supplier.
    """

    material_plan: pd.DataFrame
    planned_purchase: pd.DataFrame


class Lots(NamedTuple):
    """What a lot rule may need: net requirement (rows × periods), money per lot, money per unit held for one period."""

    net: np.ndarray
    order_cost: np.ndarray
    holding_cost: np.ndarray


# The names that `item.lot_rule` may hold. Fixed lots are a minimum and a multiple of the same size.
LOT_RULES: dict[str, Callable[[Lots], np.ndarray]] = {
    "lot_for_lot": lambda of: lots.lot_for_lot(of.net),
    "period_order": lambda of: lots.period_lots(of.net, lots.economic_periods(of.net, of.order_cost, of.holding_cost)),
    "silver_meal": lambda of: lots.silver_meal(of.net, of.order_cost, of.holding_cost),
    "wagner_whitin": lambda of: lots.wagner_whitin(of.net, of.order_cost, of.holding_cost),
}


def plan_materials(
    demand: pd.DataFrame,
    inputs: dict[str, pd.DataFrame],
    periods: pd.DatetimeIndex,
    calendar: Calendar,
    *,
    target: pd.DataFrame | None = None,
    holding_cost: pd.DataFrame | None = None,
) -> MaterialPlan:
    r"""Plan what has to be made, bought or brought for a demand, netted against stock and open orders at every level.

    .. math::
        net_t = \max(0,\; gross_t + safety_t - stock_{t-1} - scheduled_t), \qquad
        stock_t = stock_{t-1} + scheduled_t + receipt_t - gross_t

        gross_{c,t} = demand_{c,t} + \sum_p U_{cp,t} \, start_{p,t} / yield_p + \sum_q transfer_{q,t}

    Items are planned from low-level code 0 down, all items of a level at once. A lot rule (`item.lot_rule`) times the lots,
    the plant's or supplier's minimum and multiple size them, the lead time moves them forward. Suppliers get their stated
    share first, then the cheapest that can still deliver in time up to its limit, then the next.

    Parameters
    ----------
    demand : DataFrame
        item_id, location_id, period, demand_qty: what is taken at a place from outside this plan (shipments, planned production).
    inputs : dict of DataFrame
        `item`, `production`, `supplier_item`, `lane`, `bill_of_material`, `stock_on_hand`, `open_supply`.
    periods : DatetimeIndex
        Periods planned.
    calendar : Calendar
        Says on which day a period begins (which lines of the bill of material count) and turns days into buckets.
    target : DataFrame, optional
        item_id, location_id, period, safety_stock_qty: stock to leave at the end of a period.
    holding_cost : DataFrame, optional
        item_id, location_id, holding_cost_amt: money per unit held for one period, for the lot rules that weigh it.

    Returns
    -------
    MaterialPlan
        Balance and purchase orders. A lot whose start lies before the first period is started in the first: `late_qty` says how
        much. What no source or supplier limit lets come is `unsupplied_qty`, and the projected stock falls below zero.

    Raises
    ------
    DataError
        A loop in the bill of material or between places, a negative lead time, a yield of nothing: all named at once.
    """
    refuse_loops(inputs["bill_of_material"])
    refuse_impossible(inputs)
    demand = demand[demand["period"].isin(periods)]
    if demand.empty:
        return MaterialPlan(tables.table("material_plan").empty(), tables.table("planned_purchase").empty())
    network = source_network(demand, inputs, calendar)
    grids = _Grids.read(network, demand, inputs, periods, calendar, target, holding_cost)
    orders = _plan_levels(network, grids, inputs, periods, calendar)
    plan = _balance(network, grids, periods)
    return MaterialPlan(tables.validate("material_plan", plan), purchase_rows(network.nodes, orders, periods, calendar))


class _Grids(NamedTuple):
    """Everything by node and period, filled level by level."""

    own: np.ndarray
    gross: np.ndarray
    coming: np.ndarray
    opening: np.ndarray
    safety: np.ndarray
    holding: np.ndarray
    net: np.ndarray
    receipt: np.ndarray
    start: np.ndarray
    late: np.ndarray

    @classmethod
    def read(
        cls,
        network: Network,
        demand: pd.DataFrame,
        inputs: dict[str, pd.DataFrame],
        periods: pd.DatetimeIndex,
        calendar: Calendar,
        target: pd.DataFrame | None,
        holding_cost: pd.DataFrame | None,
    ) -> _Grids:
        nodes = pd.MultiIndex.from_frame(network.nodes[PLACE])
        shape = (len(nodes), len(periods))
        due = calendar.periods_of(inputs["open_supply"]["due_date"]) if len(inputs["open_supply"]) else pd.Series(dtype="datetime64[ns]")
        # What is past due comes in the first period.
        orders = inputs["open_supply"].assign(period=due.clip(lower=periods[0]).to_numpy())
        stock = inputs["stock_on_hand"].assign(period=periods[0])
        # What is booked below zero is planned as zero (the data checks name it).
        stock = stock.assign(on_hand_qty=stock["on_hand_qty"].clip(lower=0))
        own = _grid(demand, "demand_qty", nodes, periods)
        safety = np.zeros(shape) if target is None else _grid(target, "safety_stock_qty", nodes, periods)
        rate = np.zeros(len(nodes))
        if holding_cost is not None:
            rates = holding_cost.set_index(PLACE)["holding_cost_amt"].reindex(nodes)
            rate = rates.fillna(0.0).to_numpy()  # an item that carries no money costs nothing to hold
        return cls(
            own,
            own.copy(),
            _grid(orders, "open_qty", nodes, periods),
            _grid(stock, "on_hand_qty", nodes, periods)[:, 0],
            safety,
            rate,
            *(np.zeros(shape) for _ in range(4)),
        )


def _grid(frame: pd.DataFrame, column: str, nodes: pd.MultiIndex, periods: pd.DatetimeIndex) -> np.ndarray:
    """Quantities by node and period; no row is no quantity, what belongs to no node is left out."""
    grid = np.zeros((len(nodes), len(periods)))
    if len(frame):
        rows, columns = nodes.get_indexer(pd.MultiIndex.from_frame(frame[PLACE])), periods.get_indexer(frame["period"])
        known = (rows >= 0) & (columns >= 0)
        np.add.at(grid, (rows[known], columns[known]), frame[column].to_numpy(dtype=float)[known])
    return grid


def _plan_levels(
    network: Network, grids: _Grids, inputs: dict[str, pd.DataFrame], periods: pd.DatetimeIndex, calendar: Calendar
) -> list[Orders]:
    """Plan one level after the other and hand what it starts down to the next."""
    nodes = network.nodes
    versions = usage(network.lines, pd.RangeIndex(len(nodes)), periods, calendar)
    versions = [version._replace(per_parent=version.per_parent.tocsc()) for version in versions]
    orders = []
    for level in range(int(nodes["level"].max()) + 1):
        at_level = (nodes["level"] == level).to_numpy()
        for source in (MAKE, BUY, TRANSFER, NONE):
            rows = np.flatnonzero(at_level & (nodes["source"] == source).to_numpy())
            if not len(rows):
                continue
            grids.net[rows] = net_of(grids.gross[rows], grids.coming[rows], grids.opening[rows], grids.safety[rows])
            if source == BUY:
                found = order_from_suppliers(nodes.loc[rows], _timed(nodes.loc[rows], grids, rows), inputs["supplier_item"], calendar)
                orders.append(found)
                grids.receipt[rows], grids.start[rows], grids.late[rows] = found.receipt, found.start, found.late
            elif source != NONE:
                _start(nodes.loc[rows], rows, grids)
        taken = grids.start[at_level] / nodes.loc[at_level, "yield_ratio"].to_numpy()[:, None]
        for version in versions:
            grids.gross[:, version.columns] += version.per_parent[:, np.flatnonzero(at_level)] @ taken[:, version.columns]
    return orders


def _timed(nodes: pd.DataFrame, grids: _Grids, rows: np.ndarray) -> np.ndarray:
    """Net requirements brought together in time by each item's lot rule."""
    timed = grids.net[rows].copy()
    for name in nodes["lot_rule"].unique():
        one = (nodes["lot_rule"] == name).to_numpy()
        timed[one] = LOT_RULES[name](Lots(timed[one], nodes["order_cost_amt"].to_numpy()[one, None][:, 0], grids.holding[rows[one]]))
    return timed


def _start(nodes: pd.DataFrame, rows: np.ndarray, grids: _Grids) -> None:
    """Lots of what is made or brought, and their starts."""
    sized = lots.sized_lots(_timed(nodes, grids, rows), nodes["minimum_qty"].to_numpy(), nodes["multiple_qty"].to_numpy())
    lead = nodes["lead"].to_numpy()
    grids.receipt[rows], grids.start[rows], grids.late[rows] = sized, started(sized, lead), late(sized, lead)


def _balance(network: Network, grids: _Grids, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """The balance of every node that anything happens to; stock rolls forward to the last digit or the plan is refused."""
    projected = grids.opening[:, None] + np.cumsum(grids.coming + grids.receipt - grids.gross, axis=1)
    _assert_starts_arrive(network.nodes, grids)
    short = np.maximum(0.0, -projected)
    unsupplied = np.diff(short, axis=1, prepend=0.0).clip(min=0.0)
    measures = {
        "independent_qty": grids.own,
        "gross_qty": grids.gross,
        "scheduled_qty": grids.coming,
        "net_qty": grids.net,
        "receipt_qty": grids.receipt,
        "start_qty": grids.start,
        "late_qty": grids.late,
        "projected_qty": projected,
        "safety_stock_qty": grids.safety,
        "unsupplied_qty": unsupplied,
    }
    is_used = (grids.gross + grids.coming + grids.receipt).sum(axis=1) + grids.opening > 0
    nodes = network.nodes[is_used]
    rows = (
        nodes.loc[nodes.index.repeat(len(periods)), [*PLACE, "source", "from_location_id", "level"]]
        .rename(columns={"level": "low_level_code"})
        .reset_index(drop=True)
    )
    opening = np.concatenate([grids.opening[:, None], projected[:, :-1]], axis=1)
    values = {name: grid[is_used].ravel() for name, grid in {"opening_qty": opening, **measures}.items()}
    return rows.assign(period=np.tile(periods.to_numpy(), len(nodes)), **values)[list(tables.table("material_plan").columns)]


def _assert_starts_arrive(nodes: pd.DataFrame, grids: _Grids) -> None:
    """Everything started is received within the horizon, and nothing is received that was not started."""
    gap = np.abs(grids.start.sum(axis=1) - grids.receipt.sum(axis=1))
    if (gap > _BALANCE * (1 + grids.receipt.sum(axis=1))).any():
        worst = nodes.iloc[int(np.argmax(gap))]
        raise ArithmeticError(
            f"material_plan: {worst['item_id']} at {worst['location_id']} starts {gap.max():g} more or less than it receives"
        )
