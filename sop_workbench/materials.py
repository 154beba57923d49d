"""Material requirements: down the bill of material, netted against stock and orders, in lots."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from sop_workbench import tables
from sop_workbench.errors import DataError
from sop_workbench.periods import Calendar

LotRule = Callable[[np.ndarray], np.ndarray]


def explode(bom: pd.DataFrame, demand: pd.DataFrame, calendar: Calendar | None = None) -> pd.DataFrame:
    r"""Demand of every item: its own and what its parents take.

    .. math:: g = d + U g = \sum_{n \ge 0} U^n d,\qquad U_{cp} = \text{quantity\_per}_{pc} / (1 - \text{scrap\_ratio}_{pc})

    Parameters
    ----------
    bom : DataFrame
        `bill_of_material`; a line counts in a period when it is valid on the period's first day.
    demand : DataFrame
        item_id, period, demand_qty (further keys such as market are added up).
    calendar : Calendar, optional
        Says on which day a period really begins; without it, on the day it is named by.

    Returns
    -------
    DataFrame
        item_id, period, independent_qty, dependent_qty, demand_qty (their sum), base units; rows without any demand left out.

    Raises
    ------
    DataError
        When the bill of material has a loop; it is named.

    Notes
    -----
    Gross demand at the time the parent needs it: no stock is netted and no lead time taken off.

    Examples
    --------
    >>> bom = pd.DataFrame({"parent_item_id": ["bike"], "component_item_id": ["wheel"], "quantity_per": [2.0], "scrap_ratio": [0.0]})
    >>> explode(bom, pd.DataFrame({"item_id": ["bike"], "period": pd.to_datetime(["2026-01-01"]), "demand_qty": [10.0]}))
      item_id     period  independent_qty  dependent_qty  demand_qty
    0    bike 2026-01-01             10.0            0.0        10.0
    1   wheel 2026-01-01              0.0           20.0        20.0
    """
    refuse_loops(bom)
    items = pd.Index(np.unique(np.concatenate([demand["item_id"], bom["parent_item_id"], bom["component_item_id"]]).astype(str)))
    own = demand.groupby(["item_id", "period"])["demand_qty"].sum().unstack("period")
    own = own.reindex(items).fillna(0.0)  # no row is no demand
    gross = own.copy()
    for lines, periods in _bom_versions(bom, own.columns, calendar):
        gross[periods] = _levels_down(_usage_matrix(lines, items), own[periods].to_numpy())
    return _requirement_rows(own, gross)


def find_loops(bom: pd.DataFrame) -> list[str]:
    """Every group of items that contain themselves, each told by one loop.

    Examples
    --------
    >>> find_loops(pd.DataFrame({"parent_item_id": ["A", "B", "C"], "component_item_id": ["B", "A", "D"]}))
    ['A → B → A']
    """
    items, parent, component = _edges(bom)
    graph = csr_array((np.ones(len(parent)), (parent, component)), shape=(len(items), len(items)))
    _, group = connected_components(graph, directed=True, connection="strong")
    inside = (group[parent] == group[component])
    loops = []
    for one in np.unique(group[parent[inside]]):
        members = np.flatnonzero(group == one)
        loops.append(" → ".join(items[_one_loop(graph, members)]))
    return sorted(loops)


def refuse_loops(bom: pd.DataFrame) -> None:
    """Raise when the bill of material has a loop.

    Raises
    ------
    DataError
        Naming every loop.
    """
    loops = find_loops(bom)
    if loops:
        raise DataError(tables.issue_frame([
            tables.finding("bom_loop", "blocks", "bill_of_material", loop, 1, "", "remove one of these lines; nothing can contain itself")
            for loop in loops]))


def low_level_codes(bom: pd.DataFrame) -> pd.DataFrame:
    """Lowest level at which each item stands, so that every parent is planned before its components.

    Returns
    -------
    DataFrame
        item_id, low_level_code (0: nobody's component).

    Raises
    ------
    DataError
        When the bill of material has a loop.

    Examples
    --------
    >>> low_level_codes(pd.DataFrame({"parent_item_id": ["A", "A", "B"], "component_item_id": ["B", "C", "C"]}))
      item_id  low_level_code
    0       A               0
    1       B               1
    2       C               2
    """
    refuse_loops(bom)
    items, parent, component = _edges(bom)
    level = np.zeros(len(items), dtype=np.int64)
    while True:
        deeper = level.copy()
        np.maximum.at(deeper, component, level[parent] + 1)
        if np.array_equal(deeper, level):
            return pd.DataFrame({"item_id": items, "low_level_code": level})
        level = deeper


def lot_for_lot(net: np.ndarray) -> np.ndarray:
    """Lots that are exactly what each period lacks.

    Examples
    --------
    >>> lot_for_lot(np.array([3.0, 0.0, 5.0]))
    array([3., 0., 5.])
    """
    return np.asarray(net, dtype=float).copy()


def sized_lots(net: np.ndarray, minimum_qty: float = 0.0, multiple_qty: float = 0.0) -> np.ndarray:
    """Lots of a smallest size and in multiples; what a lot brings too much serves the next periods.

    Examples
    --------
    >>> sized_lots(np.array([30.0, 50.0, 10.0]), minimum_qty=60, multiple_qty=25)
    array([75., 75.,  0.])
    """
    lots, spare = np.zeros(len(net)), 0.0
    for n, lacking in enumerate(net):
        short = lacking - spare
        if short > 0:
            lot = max(short, minimum_qty)
            lots[n] = np.ceil(round(lot / multiple_qty, 9)) * multiple_qty if multiple_qty > 0 else lot
        spare += lots[n] - lacking
    return lots


def silver_meal(net: np.ndarray, order_cost: float, holding_cost: float) -> np.ndarray:
    """Lots by Silver and Meal: a lot covers periods as long as its cost per period falls.

    Parameters
    ----------
    net : ndarray
        Net requirement by period, base units.
    order_cost, holding_cost : float
        Money per lot; money per unit held for one period.

    References
    ----------
    Silver, E. A. and Meal, H. C. (1973), Production and Inventory Management 14.

    Examples
    --------
    >>> silver_meal(np.array([18.0, 30.0, 42.0, 5.0, 20.0]), order_cost=80, holding_cost=2)
    array([48.,  0., 47.,  0., 20.])
    """
    net = np.asarray(net, dtype=float)
    lots, start = np.zeros(len(net)), 0
    while start < len(net):
        held = holding_cost * np.cumsum(np.arange(len(net) - start) * net[start:])
        per_period = (order_cost + held) / np.arange(1, len(net) - start + 1)
        rising = np.flatnonzero(np.diff(per_period) > 0)
        length = int(rising[0]) + 1 if len(rising) else len(per_period)
        lots[start] = net[start:start + length].sum()
        start += length
    return lots


def net_requirements(gross: pd.DataFrame, stock: pd.DataFrame, receipts: pd.DataFrame, *, lot_rule: LotRule = lot_for_lot,
                     lead_time_buckets: int = 0) -> pd.DataFrame:
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
        Net requirements of one item by period → lots by period of receipt: `lot_for_lot`, `sized_lots`, `silver_meal`,
        `inventory.wagner_whitin`, with their parameters bound by `functools.partial`.
    lead_time_buckets : int
        Buckets from start to receipt.

    Returns
    -------
    DataFrame
        item_id, period, gross_qty, scheduled_qty, net_qty, lot_qty (received), start_qty (started), projected_qty (stock at the end).
        Lots that should have started before the first period are started in the first: they will be late.

    Examples
    --------
    >>> months = pd.date_range("2026-01-01", periods=3, freq="MS")
    >>> need = pd.DataFrame({"item_id": "A", "period": months, "demand_qty": [10.0, 20.0, 30.0]})
    >>> net_requirements(need, pd.DataFrame({"item_id": ["A"], "on_hand_qty": [15.0]}),
    ...                  pd.DataFrame({"item_id": [], "period": [], "scheduled_qty": []}), lead_time_buckets=1)[
    ...     ["net_qty", "lot_qty", "start_qty", "projected_qty"]].to_numpy().tolist()
    [[0.0, 0.0, 15.0, 5.0], [15.0, 15.0, 30.0, 0.0], [30.0, 30.0, 0.0, 0.0]]
    """
    needed = gross.pivot_table(index="item_id", columns="period", values="demand_qty", aggfunc="sum").fillna(0.0)
    opening = stock.groupby("item_id")["on_hand_qty"].sum().reindex(needed.index).fillna(0.0)  # not counted: none there
    coming = np.zeros(needed.shape)
    rows, columns = needed.index.get_indexer(receipts["item_id"]), needed.columns.get_indexer(receipts["period"])
    known = (rows >= 0) & (columns >= 0)
    np.add.at(coming, (rows[known], columns[known]), receipts["scheduled_qty"].to_numpy(dtype=float)[known])
    net = _net(needed.to_numpy(), coming, opening.to_numpy())
    lots = np.array([lot_rule(row) for row in net]).reshape(net.shape)
    projected = opening.to_numpy()[:, None] + np.cumsum(coming + lots - needed.to_numpy(), axis=1)
    measures = {"gross_qty": needed.to_numpy(), "scheduled_qty": coming, "net_qty": net, "lot_qty": lots,
                "start_qty": _started(lots, lead_time_buckets), "projected_qty": projected}
    keys = pd.MultiIndex.from_product([needed.index, needed.columns], names=["item_id", "period"]).to_frame(index=False)
    return keys.assign(**{name: values.ravel() for name, values in measures.items()})


def _net(needed: np.ndarray, coming: np.ndarray, opening: np.ndarray) -> np.ndarray:
    net, stock = np.zeros(needed.shape), opening.astype(float).copy()
    for n in range(needed.shape[1]):
        stock += coming[:, n] - needed[:, n]
        net[:, n] = np.maximum(0.0, -stock)
        stock = np.maximum(0.0, stock)
    return net


def _started(lots: np.ndarray, lead: int) -> np.ndarray:
    """Lots a lead time earlier; what is too late already starts at once."""
    started = np.zeros(lots.shape)
    if not lots.size:
        return started
    lead = min(lead, lots.shape[1] - 1)
    started[:, :lots.shape[1] - lead] = lots[:, lead:]
    started[:, 0] += lots[:, :lead].sum(axis=1)
    return started


def _edges(bom: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    items, code = np.unique(np.concatenate([bom["parent_item_id"], bom["component_item_id"]]).astype(str), return_inverse=True)
    return items.astype(object), code[:len(bom)], code[len(bom):]


def _one_loop(graph: csr_array, members: np.ndarray) -> list[int]:
    """A shortest way from the first member of a strongly connected group back to itself."""
    inner = csr_array(graph[members][:, members])
    successors = inner.indices[inner.indptr[0]:inner.indptr[1]]
    if 0 in successors:
        return [int(members[0])] * 2
    order, before = breadth_first_order(inner, 0, directed=True)
    back = inner.tocsc()
    into_first = set(back.indices[back.indptr[0]:back.indptr[1]].tolist())
    node = next(int(n) for n in order if int(n) in into_first)
    way = [0]
    while node != 0:
        way.insert(1, node)
        node = int(before[node])
    return [int(members[n]) for n in [*way, 0]]


def _bom_versions(bom: pd.DataFrame, periods: pd.DatetimeIndex, calendar: Calendar | None) -> list[tuple[pd.DataFrame, list[pd.Timestamp]]]:
    """Lines valid in each period; periods with the same lines together."""
    if "valid_from" not in bom.columns:
        return [(bom, list(periods))]
    begins, ends = bom["valid_from"].to_numpy(), bom["valid_to"].to_numpy()
    versions: dict[bytes, list[pd.Timestamp]] = {}
    for period in periods:
        day = np.datetime64(calendar.first_day(period) if calendar else period)
        valid = (begins <= day) & (pd.isna(ends) | (ends >= day))
        versions.setdefault(valid.tobytes(), []).append(period)
    return [(bom[np.frombuffer(valid, dtype=bool)], dates) for valid, dates in versions.items()]


def _usage_matrix(lines: pd.DataFrame, items: pd.Index) -> csr_array:
    """Units of each component (row) in one unit of each parent (column), scrap included."""
    usage = (lines["quantity_per"] / (1.0 - lines["scrap_ratio"])).to_numpy(dtype=float)
    rows, columns = items.get_indexer(lines["component_item_id"]), items.get_indexer(lines["parent_item_id"])
    return csr_array((usage, (rows, columns)), shape=(len(items), len(items)))


def _levels_down(usage: csr_array, own: np.ndarray) -> np.ndarray:
    """Own demand, what it takes one level down, two levels down … until nothing takes anything (there are no loops)."""
    gross, level = own.copy(), own
    while level.any():
        level = usage @ level
        gross += level
    return gross


def _requirement_rows(own: pd.DataFrame, gross: pd.DataFrame) -> pd.DataFrame:
    keys = pd.MultiIndex.from_product([own.index, own.columns], names=["item_id", "period"]).to_frame(index=False)
    rows = keys.assign(independent_qty=own.to_numpy().ravel(), dependent_qty=(gross - own).to_numpy().ravel(),
                       demand_qty=gross.to_numpy().ravel())
    return rows[rows["demand_qty"] != 0].reset_index(drop=True)
