"""Netting: what is lacking after stock and open orders, item by item, in one pass over the periods."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench.lots import LotRule, lot_for_lot
from sop_workbench.structure import earlier


def net_requirements(
    gross: pd.DataFrame, stock: pd.DataFrame, receipts: pd.DataFrame, *, lot_rule: LotRule = lot_for_lot, lead_time_buckets: int = 0
) -> pd.DataFrame:
    """What is lacking of each item after stock and open orders, the lots that bring it, and when to start them.

    net = max(0, gross − receipts − projected stock), period by period.

    Parameters
    ----------
    gross : DataFrame
        item_id, period, demand_qty; every period to plan must appear.
    stock : DataFrame
        item_id, on_hand_qty.
    receipts : DataFrame
        item_id, period, scheduled_qty.
    lot_rule : callable
        Net requirements (items × periods) → lots by period of receipt: `lot_for_lot`, `sized_lots`, `period_lots`, `silver_meal`,
        `wagner_whitin`, with their parameters bound by `functools.partial`.
    lead_time_buckets : int
        Buckets from start to receipt.

    Returns
    -------
    DataFrame
        item_id, period, gross_qty, scheduled_qty, net_qty, lot_qty (received), start_qty (started), projected_qty (stock at the end).
        Lots that should have started before the first period are started in the first: they will be late.

    Raises
    ------
    ValueError
        When the lead time is negative.

    Examples
    --------
    >>> months = pd.date_range("2026-01-01", periods=3, freq="MS")
    >>> need = pd.DataFrame({"item_id": "A", "period": months, "demand_qty": [10.0, 20.0, 30.0]})
    >>> net_requirements(need, pd.DataFrame({"item_id": ["A"], "on_hand_qty": [15.0]}),
    ...                  pd.DataFrame({"item_id": [], "period": [], "scheduled_qty": []}), lead_time_buckets=1)[
    ...     ["net_qty", "lot_qty", "start_qty", "projected_qty"]].to_numpy().tolist()
    [[0.0, 0.0, 15.0, 5.0], [15.0, 15.0, 30.0, 0.0], [30.0, 30.0, 0.0, 0.0]]
    """
    if lead_time_buckets < 0:
        raise ValueError(f"lead_time_buckets must be 0 or more, got {lead_time_buckets}")
    needed = gross.pivot_table(index="item_id", columns="period", values="demand_qty", aggfunc="sum").fillna(0.0)
    opening = stock.groupby("item_id")["on_hand_qty"].sum().reindex(needed.index).fillna(0.0)  # not counted: none there
    coming = np.zeros(needed.shape)
    rows, columns = needed.index.get_indexer(receipts["item_id"]), needed.columns.get_indexer(receipts["period"])
    known = (rows >= 0) & (columns >= 0)
    np.add.at(coming, (rows[known], columns[known]), receipts["scheduled_qty"].to_numpy(dtype=float)[known])
    net = net_of(needed.to_numpy(), coming, opening.to_numpy())
    lots = lot_rule(net) if net.size else net
    projected = opening.to_numpy()[:, None] + np.cumsum(coming + lots - needed.to_numpy(), axis=1)
    measures = {
        "gross_qty": needed.to_numpy(),
        "scheduled_qty": coming,
        "net_qty": net,
        "lot_qty": lots,
        "start_qty": started(lots, np.full(len(lots), lead_time_buckets)),
        "projected_qty": projected,
    }
    keys = pd.MultiIndex.from_product([needed.index, needed.columns], names=["item_id", "period"]).to_frame(index=False)
    return keys.assign(**{name: values.ravel() for name, values in measures.items()})


def net_of(needed: np.ndarray, coming: np.ndarray, opening: np.ndarray, safety: np.ndarray | float = 0.0) -> np.ndarray:
    """What each period lacks beyond stock, receipts and what earlier periods were given, so that the safety stock remains.

    Parameters
    ----------
    needed, coming : ndarray, rows × periods
        Gross requirement and scheduled receipts, base units.
    opening : ndarray, rows
        Stock at the start.
    safety : ndarray, rows × periods, or float
        Stock to leave at the end of a period.

    Examples
    --------
    >>> net_of(np.array([[10.0, 20.0, 30.0]]), np.array([[0.0, 5.0, 0.0]]), np.array([12.0])).tolist()
    [[0.0, 13.0, 30.0]]
    """
    net, stock = np.zeros(needed.shape), opening.astype(float).copy()
    keep = np.broadcast_to(np.asarray(safety, dtype=float), needed.shape)
    for n in range(needed.shape[1]):
        stock += coming[:, n] - needed[:, n]
        net[:, n] = np.maximum(0.0, keep[:, n] - stock)
        stock += net[:, n]
    return net


def started(lots: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """Lots a lead time earlier, row by row; what is too late already starts at once."""
    begun = earlier(lots, lead)
    if lots.size:
        begun[:, 0] += late(lots, lead).sum(axis=1)
    return begun


def late(lots: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """The part of the lots that should have started before the first period."""
    too_early = np.arange(lots.shape[1]) < np.asarray(lead)[:, None]
    return np.where(too_early, lots, 0.0)
