"""Purchase orders: what is lacking split among suppliers by share, punctuality, cost and limit, in their minima and multiples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from sop_workbench import lots, tables
from sop_workbench.materials.netting import late, started
from sop_workbench.periods import Calendar

_PLACE = ["item_id", "location_id"]
_ROUNDING = 9


class Orders(NamedTuple):
    """Orders of bought items at their places.

    Attributes
    ----------
    nodes : DataFrame
        The bought nodes, one row each (rows of the arrays).
    suppliers : list of DataFrame
        The suppliers of each rank, cheapest first, aligned with `nodes`; empty where a node has no further supplier.
    quantity : ndarray, ranks × rows × periods
        Ordered, by period of receipt.
    receipt, start, late : ndarray, rows × periods
        Received; ordered, by period of the order; received though it should have been ordered before the first period.
    """

    nodes: pd.DataFrame
    suppliers: list[pd.DataFrame]
    quantity: np.ndarray
    receipt: np.ndarray
    start: np.ndarray
    late: np.ndarray


def order_from_suppliers(nodes: pd.DataFrame, wanted: np.ndarray, supplier_item: pd.DataFrame, calendar: Calendar) -> Orders:
    """Split what is wanted among the suppliers of each place.

    In every period a supplier with a stated share gets it; then the cheapest that can deliver in time is asked, up to its
    limit, then the next; then, late, those that cannot. An order is at least the minimum and a multiple; what it brings too
    much is taken off what is wanted next, what no limit lets come is asked for again.

    Parameters
    ----------
    nodes : DataFrame
        item_id, location_id.
    wanted : ndarray, rows × periods
        Lots wanted by period of receipt.
    supplier_item : DataFrame
        Input table.
    calendar : Calendar
        Turns days into buckets.
    """
    suppliers = _by_rank(nodes, supplier_item, calendar)
    quantity = np.zeros((len(suppliers), *wanted.shape))
    short = np.zeros(len(wanted))
    for t in range(wanted.shape[1]):
        short = short + wanted[:, t]
        asked = short.copy()
        for rank, rows in enumerate(suppliers):
            share = rows["share_ratio"].to_numpy()
            short -= _order(quantity[rank, :, t], rows, np.where(np.isnan(share), 0.0, np.maximum(asked, 0.0) * share))
        for is_late in (False, True):
            for rank, rows in enumerate(suppliers):
                can = (rows["lead"].to_numpy() > t) == is_late
                short -= _order(quantity[rank, :, t], rows, np.where(can, short, 0.0))
    leads = [rows["lead"].fillna(0).to_numpy(dtype=int) for rows in suppliers]
    pairs = list(zip(quantity, leads, strict=True))
    placed = np.sum([started(one, lead) for one, lead in pairs], axis=0)
    too_late = np.sum([late(one, lead) for one, lead in pairs], axis=0)
    return Orders(nodes, suppliers, quantity, quantity.sum(axis=0), placed, too_late)


def purchase_rows(nodes: pd.DataFrame, orders: list[Orders], periods: pd.DatetimeIndex, calendar: Calendar) -> pd.DataFrame:
    """The `planned_purchase` table: one row per order, placed a lead time before its receipt (at once when that has passed)."""
    parts = []
    for found in orders:
        for rank, rows in enumerate(found.suppliers):
            at, receipt = np.nonzero(found.quantity[rank])
            one = rows.iloc[at]
            placed = receipt - one["lead"].to_numpy(dtype=int)
            quantity = found.quantity[rank][at, receipt]
            parts.append(
                found.nodes.iloc[at][_PLACE].assign(
                    supplier_id=one["supplier_id"].to_numpy(),
                    period=periods.to_numpy()[np.maximum(placed, 0)],
                    receipt_period=periods.to_numpy()[receipt],
                    purchase_qty=quantity,
                    purchase_cost_amt=quantity * one["unit_cost_amt"].to_numpy(),
                    is_late=placed < 0,
                )
            )
    filled = [part for part in parts if len(part)]
    if not filled:
        return tables.table("planned_purchase").empty()
    key = list(tables.table("planned_purchase").key)
    return tables.validate("planned_purchase", pd.concat(filled, ignore_index=True).sort_values(key, ignore_index=True))


def _by_rank(nodes: pd.DataFrame, supplier_item: pd.DataFrame, calendar: Calendar) -> list[pd.DataFrame]:
    """Suppliers of every node, cheapest first, one frame per rank."""
    known = supplier_item.reindex(columns=[*supplier_item.columns, *({"share_ratio"} - set(supplier_item.columns))])
    offers = known.assign(lead=calendar.lead_time_buckets(known["lead_time_days"])).sort_values([*_PLACE, "unit_cost_amt", "supplier_id"])
    offers["rank"] = offers.groupby(_PLACE).cumcount()
    wanted = nodes[_PLACE].reset_index(drop=True)
    ranks = wanted.merge(offers, on=_PLACE, validate="1:m")["rank"].max() + 1
    return [wanted.merge(offers[offers["rank"] == rank], on=_PLACE, how="left", validate="1:1") for rank in range(int(ranks))]


def _order(ordered: np.ndarray, rows: pd.DataFrame, asked: np.ndarray) -> np.ndarray:
    """Add one supplier's order of a period to what it has been asked already, within its limit; returns what was added."""
    minimum, multiple = rows["min_order_qty"].fillna(0.0).to_numpy(), rows["order_multiple_qty"].fillna(0.0).to_numpy()
    limit = rows["max_qty"].fillna(np.inf).to_numpy() - ordered
    # A node without a supplier of this rank is asked for nothing; one that has an order already has its minimum.
    asked = np.where(rows["supplier_id"].isna(), 0.0, asked)
    order = lots.order_size(np.round(asked, _ROUNDING), np.where(ordered > 0, 0.0, minimum), multiple)
    step = np.where((multiple > 0) & np.isfinite(limit), multiple, 1.0)
    most = np.where((multiple > 0) & np.isfinite(limit), np.floor(np.round(limit / step, _ROUNDING)) * step, limit)
    order = np.where(order > most, most, order)
    order = np.where((order + ordered < minimum) | (order < 0), 0.0, order)
    ordered += order
    return order
