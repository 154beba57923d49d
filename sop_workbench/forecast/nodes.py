"""The hierarchy as one panel: item × market first, then items, families by channel, channels and the total."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from sop_workbench.forecast.hierarchy import reconcile
from sop_workbench.forecast.panel import Panel, pooled

LEAF, ITEM, FAMILY, CHANNEL, TOTAL = range(5)


@dataclass(frozen=True)
class Nodes:
    """Every series of the hierarchy.

    Attributes
    ----------
    demand : ndarray, nodes × periods
        The first `leaves` rows are item × market.
    effects : ndarray, nodes × (periods + ahead) × event columns
        Of an aggregate: the mean of its members' by their demand.
    groups : list of ndarray of int
        Whose season each node leans on, from the widest group to the closest.
    level : ndarray of int, nodes
        0 item × market, 1 item, 2 family and channel, 3 channel, 4 total.
    summing : sparse matrix, aggregates × leaves
        Members of every aggregate.
    """

    demand: np.ndarray
    effects: np.ndarray
    groups: list[np.ndarray]
    level: np.ndarray
    summing: sparse.csr_matrix

    @property
    def leaves(self) -> int:
        """Number of item × market series."""
        return self.summing.shape[1]


def plain_nodes(demand: np.ndarray, effects: np.ndarray) -> Nodes:
    """Series that have nothing to do with each other."""
    return Nodes(demand, effects, [], np.zeros(len(demand), dtype=int), sparse.csr_matrix((0, len(demand))))


def hierarchy_nodes(panel: Panel, effects: np.ndarray, item: pd.DataFrame | None, market: pd.DataFrame | None) -> Nodes:
    """The panel with its aggregates; a level that only repeats another is left out."""
    family = _looked_up(panel.keys["item_id"], item, "item_id", "family")
    channel = _looked_up(panel.keys["market_id"], market, "market_id", "channel")
    labels = [panel.keys["item_id"], family + " · " + channel, channel, pd.Series("total", index=panel.keys.index)]
    # Season of the leaves from channel, then family in it; of items from the whole company, then the family.
    wide, close = [channel], [family + " · " + channel]
    demand, stacked, members, level = [panel.demand], [effects], [], [np.zeros(len(panel.keys), dtype=int)]
    weight = np.nan_to_num(panel.demand[:, -12:]).sum(axis=1) + 1e-9
    seen: set[tuple[int, ...]] = {tuple(range(len(panel.keys)))}
    for number, label in enumerate(labels, start=1):
        group, names = pd.factorize(label, sort=True)
        if tuple(group) in seen:
            continue
        seen.add(tuple(group))
        belongs = sparse.csr_matrix((np.ones(len(group)), (group, np.arange(len(group)))), shape=(len(names), len(group)))
        demand.append(pooled(panel.demand, group))
        share = belongs.multiply(weight).tocsr()
        stacked.append(np.stack([share @ effects[..., k] / share.sum(axis=1).A for k in range(effects.shape[2])], axis=2))
        members.append(belongs)
        level.append(np.full(len(names), number))
        first = pd.Series(group).drop_duplicates().sort_values().index
        wide.append(channel.iloc[first] if number in (2, 3) else pd.Series("total", index=first))
        close.append({1: family.iloc[first] + " (family)", 2: labels[1].iloc[first]}.get(number, pd.Series(names) + " (whole)"))
    groups = [pd.factorize(pd.concat(parts, ignore_index=True), sort=True)[0] for parts in (wide, close)]
    summing = sparse.vstack(members).tocsr() if members else sparse.csr_matrix((0, len(panel.keys)))
    return Nodes(np.vstack(demand), np.concatenate(stacked), groups, np.concatenate(level), summing)


def coherent(nodes: Nodes, forecast: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Forecasts of all nodes moved until the leaves add up to every aggregate; a node without a forecast stays empty.

    Parameters
    ----------
    forecast : ndarray, nodes × ahead
        NaN for series not begun.
    deviation : ndarray, nodes
        Usual error; what is well known moves little.
    """
    if not nodes.summing.shape[0]:
        return forecast
    empty = np.isnan(forecast)
    base = np.where(empty, 0.0, forecast)
    begun = ~empty.all(axis=1)
    # What has ended or not begun is known to be zero; the floor keeps well-known and poorly known nodes comparable.
    floor = 1e-3 * max(float(np.median(deviation)), 1e-6)
    variance = np.where(begun & (base.sum(axis=1) > 0), np.maximum(deviation, floor) ** 2, 0.0)
    leaves = nodes.leaves
    # An aggregate without a forecast of its own follows its members.
    members = nodes.summing @ variance[:leaves]
    variance[leaves:] = np.where(variance[leaves:] > 0, variance[leaves:], np.maximum(members, floor**2))
    rules = sparse.hstack([-nodes.summing, sparse.identity(nodes.summing.shape[0])]).tocsr()
    moved = reconcile(base, rules, np.zeros((rules.shape[0], forecast.shape[1])), variance)
    return np.where(empty, np.nan, moved)


def _looked_up(values: pd.Series, table: pd.DataFrame | None, key: str, column: str) -> pd.Series:
    """Column of a master table for each value; empty text where it does not tell."""
    found = values.map({} if table is None else table.set_index(key)[column].to_dict()).astype(object)
    return found.where(found.notna(), "")
