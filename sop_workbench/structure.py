"""The product structure: what goes into what, refused when it has a loop, and demand taken down it level by level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from sop_workbench import tables
from sop_workbench.errors import DataError
from sop_workbench.periods import Calendar


class Usage(NamedTuple):
    """The bill of material as it stands in some of the periods.

    Attributes
    ----------
    per_parent : csr_array, items × items
        Units of a component (row) that one unit of a parent (column) takes.
    columns : ndarray of int
        Positions of the periods it counts in.
    """

    per_parent: csr_array
    columns: np.ndarray


def find_loops(bom: pd.DataFrame) -> list[str]:
    """Every group of items that contain themselves, each told by one loop.

    Examples
    --------
    >>> find_loops(pd.DataFrame({"parent_item_id": ["A", "B", "C"], "component_item_id": ["B", "A", "D"]}))
    ['A → B → A']
    """
    items, parent, component = _edges(bom)
    return loops_between(items, parent, component)


def loops_between(names: np.ndarray, start: np.ndarray, end: np.ndarray) -> list[str]:
    """One loop of every group of nodes that lead back to themselves.

    Parameters
    ----------
    names : ndarray of str
        Names of the nodes.
    start, end : ndarray of int
        Arcs as positions in `names`.
    """
    graph = csr_array((np.ones(len(start)), (start, end)), shape=(len(names), len(names)))
    count, group = connected_components(graph, directed=True, connection="strong")
    if count == len(names) and not (start == end).any():
        return []
    inside = group[start] == group[end]
    loops = []
    for one in np.unique(group[start[inside]]):
        members = np.flatnonzero(group == one)
        loops.append(" → ".join(names[_one_loop(graph, members)]))
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
        raise DataError(
            tables.issue_frame(
                [
                    tables.finding(
                        "bom_loop", "blocks", "bill_of_material", loop, 1, "", "remove one of these lines; nothing can contain itself"
                    )
                    for loop in loops
                ]
            )
        )


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
    return pd.DataFrame({"item_id": items, "low_level_code": levels(len(items), parent, component)})


def levels(count: int, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Longest way from a node without arcs into it to every node; the arcs must have no loop."""
    level = np.zeros(count, dtype=np.int64)
    while True:
        deeper = level.copy()
        np.maximum.at(deeper, end, level[start] + 1)
        if np.array_equal(deeper, level):
            return level
        level = deeper


def bom_versions(bom: pd.DataFrame, periods: pd.DatetimeIndex, calendar: Calendar | None) -> list[tuple[pd.DataFrame, np.ndarray]]:
    """Lines of the bill of material valid on the first day of each period; periods with the same lines together.

    Parameters
    ----------
    bom : DataFrame
        `bill_of_material`; without the columns valid_from and valid_to every line counts always.
    periods : DatetimeIndex
        Periods asked for.
    calendar : Calendar, optional
        Says on which day a period really begins; without it, on the day it is named by.

    Returns
    -------
    list of (DataFrame, ndarray of int)
        Lines, and the positions of the periods they count in.
    """
    if "valid_from" not in bom.columns:
        return [(bom, np.arange(len(periods)))]
    begins, ends = bom["valid_from"].to_numpy(), bom["valid_to"].to_numpy()
    found: dict[bytes, list[int]] = {}
    for number, period in enumerate(periods):
        day = np.datetime64(calendar.first_day(period) if calendar else period)
        valid = (begins <= day) & (pd.isna(ends) | (ends >= day))
        found.setdefault(valid.tobytes(), []).append(number)
    return [(bom[np.frombuffer(valid, dtype=bool)], np.array(numbers)) for valid, numbers in found.items()]


def usage(
    bom: pd.DataFrame, items: pd.Index, periods: pd.DatetimeIndex, calendar: Calendar | None, yield_ratio: pd.Series | None = None
) -> list[Usage]:
    r"""What one unit of each parent takes of each component, by the periods in which it does.

    .. math:: U_{cp} = \text{quantity\_per}_{pc} \,/\, (1 - \text{scrap\_ratio}_{pc}) \,/\, \text{yield\_ratio}_p

    Parameters
    ----------
    bom, periods, calendar
        As in `bom_versions`.
    items : Index
        Rows and columns of the matrix.
    yield_ratio : Series, optional
        Good share by parent; without it, and for a parent not in it, 1 (usage of a unit started).
    """
    found = []
    for lines, columns in bom_versions(bom, periods, calendar):
        units = (lines["quantity_per"] / (1.0 - lines["scrap_ratio"])).to_numpy(dtype=float)
        if yield_ratio is not None:
            units = units / lines["parent_item_id"].map(yield_ratio).fillna(1.0).to_numpy(dtype=float)  # not made here: as bought
        where = items.get_indexer(lines["component_item_id"]), items.get_indexer(lines["parent_item_id"])
        found.append(Usage(csr_array((units, where), shape=(len(items), len(items))), columns))
    return found


def requirements(versions: list[Usage], own: np.ndarray, lead: np.ndarray | None = None) -> np.ndarray:
    """Own demand, what it takes one level down, two levels down … until nothing takes anything (there are no loops).

    Parameters
    ----------
    versions : list of Usage
        What a unit takes, by period.
    own : ndarray, items × periods
        Independent demand.
    lead : ndarray of int, items, optional
        Periods between start and receipt; a parent takes its components when it is started. What would have to be started
        before the first period is left out.

    Returns
    -------
    ndarray, items × periods
        Demand by period of receipt.
    """
    gross, level = own.copy(), own
    while level.any():
        started = level if lead is None else earlier(level, lead)
        level = np.zeros_like(gross)
        for version in versions:
            level[:, version.columns] = version.per_parent @ started[:, version.columns]
        gross += level
    return gross


def earlier(quantity: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """Rows moved forward in time, each by its own number of periods; what falls before the first period is left out.

    Examples
    --------
    >>> earlier(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([1, 0])).tolist()
    [[2.0, 3.0, 0.0], [4.0, 5.0, 6.0]]
    """
    periods = quantity.shape[1]
    source = np.arange(periods) + np.asarray(lead)[:, None]
    moved = np.take_along_axis(quantity, np.minimum(source, periods - 1), axis=1)
    return np.where(source < periods, moved, 0.0)


def _edges(bom: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    names = np.concatenate([bom["parent_item_id"].to_numpy(dtype=object), bom["component_item_id"].to_numpy(dtype=object)])
    code, items = pd.factorize(names, sort=True)
    return np.asarray(items, dtype=object), code[: len(bom)], code[len(bom) :]


def _one_loop(graph: csr_array, members: np.ndarray) -> list[int]:
    """A shortest way from the first member of a strongly connected group back to itself."""
    inner = csr_array(graph[members][:, members])
    successors = inner.indices[inner.indptr[0] : inner.indptr[1]]
    if 0 in successors:
        return [int(members[0])] * 2
    order, before = breadth_first_order(inner, 0, directed=True)
    back = inner.tocsc()
    into_first = set(back.indices[back.indptr[0] : back.indptr[1]].tolist())
    node = next(int(n) for n in order if int(n) in into_first)
    way = [0]
    while node != 0:
        way.insert(1, node)
        node = int(before[node])
    return [int(members[n]) for n in [*way, 0]]
