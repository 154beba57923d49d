"""The hierarchy as one panel: item × market first, then every sum a planner asks for, down, up and sideways."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import sparse

from sop_workbench.forecast.hierarchy import reconcile
from sop_workbench.forecast.panel import Panel
from sop_workbench.forecast.structure import LEAST_FACTOR

LEAF, ITEM = 0, 1
TOTAL, NONE = "all", "none"
BETWEEN = " × "
LEAF_LEVEL = "item_id × market_id"
# Each level: whose sums it holds, the widest group whose season it leans on, and the closest. Item × market and items shape
# those seasons; all others are sums of the same sales.
_LEVELS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "item_id": (("item_id",), (), ("family",)),
    "item_id × channel": (("item_id", "channel"), ("channel",), ("family", "channel")),
    "family × market_id": (("family", "market_id"), ("channel",), ("family", "channel")),
    "family × region": (("family", "region"), (), ("family",)),
    "family × channel": (("family", "channel"), ("channel",), ("family", "channel")),
    "family": (("family",), (), ("family",)),
    "market_id": (("market_id",), ("channel",), ("market_id",)),
    "region": (("region",), (), ("region",)),
    "channel": (("channel",), ("channel",), ("channel",)),
    "total": ((), (), ()),
}


@dataclass(frozen=True)
class Nodes:
    """Every series of the hierarchy.

    Attributes
    ----------
    demand : ndarray, nodes × periods
        The first `leaves` rows are item × market.
    effects : ndarray, nodes × (periods + ahead) × event columns
        Of an aggregate: the mean of its members' by their volume.
    groups : list of ndarray of int
        Whose season each node leans on, from the widest group to the closest; last, with whom it shares its customers.
    level : ndarray of int, nodes
        0 item × market, 1 item, then one number per further level.
    summing : sparse matrix, aggregates × leaves
        Members of every aggregate.
    width : ndarray of int, nodes
        0 item × market, 1 an item's sums, 2 wider sums.
    end : ndarray, nodes
        Number of periods after which a node has ended by the phase-out dates of its items; infinite where it has not.
    volume : ndarray, leaves
        Demand of the last year: what a leaf counts where the effects on its sums are averaged.
    members : dict of DataFrame
        By level (such as `family × channel`): member, its name, and node, its row. A level whose sums are those of another
        points at the same rows.
    announced : ndarray of int, leaves × (periods + ahead), optional
        How many periods were over when a planner first knew of the stated effect of events (`events.announced`); without it
        every event counts as always known.
    """

    demand: np.ndarray
    effects: np.ndarray
    groups: list[np.ndarray]
    level: np.ndarray
    summing: sparse.csr_matrix
    width: np.ndarray
    end: np.ndarray
    volume: np.ndarray
    members: dict[str, pd.DataFrame] = field(default_factory=dict)
    announced: np.ndarray | None = None

    @property
    def leaves(self) -> int:
        """Number of item × market series."""
        return self.summing.shape[1]

    def ended_at(self, known: int) -> np.ndarray:
        """Nodes that had ended by date after the first `known` periods."""
        return self.end <= known

    def foreseen(self, known: int, test: int) -> np.ndarray:
        """What a forecast that holds every event is multiplied by to hold those only that were known after the first `known` periods.

        (1 + stated effect of events known then) / (1 + stated effect of all), nodes × test.
        """
        coming = slice(known, known + test)
        if self.announced is None:
            return np.ones_like(self.effects[:, coming, 0])
        stated = self.effects[: self.leaves, coming, :1]
        then = np.where(self.announced[:, coming, None] > known, 0.0, stated)
        whole, part = (np.vstack([leaf[..., 0], _mean_effects(self.volume, leaf, self.summing)[..., 0]]) for leaf in (stated, then))
        return np.maximum(1 + part, LEAST_FACTOR) / np.maximum(1 + whole, LEAST_FACTOR)

    def row_of(self, level: str) -> np.ndarray | None:
        """The row of the sum at a level that each leaf belongs to; None where the hierarchy has no such level."""
        if level not in self.members:
            return None
        rows = self.members[level]["node"].to_numpy()
        if rows.max() < self.leaves:
            return np.arange(self.leaves)
        found = np.full(self.leaves, -1)
        part = self.summing[rows - self.leaves].tocoo()
        found[part.col] = rows[part.row]
        return found


def plain_nodes(demand: np.ndarray, effects: np.ndarray) -> Nodes:
    """Series that have nothing to do with each other."""
    none = np.zeros(len(demand), dtype=int)
    # Without sums nothing is averaged.
    return Nodes(demand, effects, [], none, sparse.csr_matrix((0, len(demand))), none, np.full(len(demand), np.inf), np.zeros(len(demand)))


def hierarchy_nodes(
    panel: Panel, effects: np.ndarray, item: pd.DataFrame | None, market: pd.DataFrame | None, announced: np.ndarray | None = None
) -> Nodes:
    """The panel with its aggregates at every level; a level that only repeats another adds no rows."""
    places = _places(panel.keys, item, market)
    leaf_name = _labels(places, ("item_id", "market_id"))
    members = {LEAF_LEVEL: pd.DataFrame({"member": leaf_name, "node": np.arange(len(places))})}
    wide, close, who = [_labels(places, ("channel",))], [_labels(places, ("family", "channel"))], [places["market_id"]]
    sums, level, width = [], [np.zeros(len(places), dtype=int)], [np.zeros(len(places), dtype=int)]
    seen = {tuple(range(len(places))): np.arange(len(places))}
    count = len(places)
    for number, (name, (columns, wider, closer)) in enumerate(_LEVELS.items(), start=1):
        group, labels = pd.factorize(_labels(places, columns), sort=True)
        # The same partition of the leaves may come in another order of its labels.
        first = pd.Series(group).drop_duplicates()
        order = np.empty(len(labels), dtype=int)
        order[first.to_numpy()] = np.arange(len(labels))
        partition = tuple(order[group])
        if partition in seen:
            members[name] = pd.DataFrame({"member": labels, "node": seen[partition][order]})
            continue
        seen[partition] = count + first.to_numpy()
        members[name] = pd.DataFrame({"member": labels, "node": count + np.arange(len(labels))})
        sums.append(sparse.csr_matrix((np.ones(len(group)), (group, np.arange(len(group)))), shape=(len(labels), len(group))))
        level.append(np.full(len(labels), number))
        width.append(np.full(len(labels), 1 if "item_id" in columns else 2))
        one = places.iloc[first.sort_values().index]
        wide.append(_labels(one, wider))
        close.append(_labels(one, closer))
        # A sum over markets has the customers of its region or channel, or everybody.
        who.append(_labels(one, tuple(column for column in columns if column in ("market_id", "region", "channel"))))
        count += len(labels)
    summing = sparse.vstack(sums).tocsr() if sums else sparse.csr_matrix((0, len(places)))
    end = _ends(panel, item)
    groups = [pd.factorize(pd.concat(parts, ignore_index=True), sort=True)[0] for parts in (wide, close, who)]
    volume = np.nan_to_num(panel.demand[:, -panel.year :]).sum(axis=1)
    return Nodes(
        np.vstack([panel.demand, _summed(panel.demand, summing)]),
        np.concatenate([effects, _mean_effects(volume, effects, summing)]),
        groups,
        np.concatenate(level),
        summing,
        np.concatenate(width),
        np.r_[end, _latest(end, summing)],
        volume,
        members,
        announced,
    )


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


def _ends(panel: Panel, item: pd.DataFrame | None) -> np.ndarray:
    """Number of periods after which each leaf's item has ended by its phase-out date."""
    if item is None:
        return np.full(len(panel.keys), np.inf)
    date = pd.to_datetime(panel.keys["item_id"].map(item.set_index("item_id")["phase_out_date"].to_dict()))
    after = panel.periods.searchsorted(date.fillna(panel.periods[0]).to_numpy(), side="right").astype(float)
    # A date in the horizon is handled where demand moves to successors.
    over = (date < panel.periods[-1] + panel.periods.freq).to_numpy()
    return np.where(over, after, np.inf)


def _latest(end: np.ndarray, summing: sparse.csr_matrix) -> np.ndarray:
    """The end of the member that lasts longest."""
    members = summing.tocoo()
    latest = np.zeros(summing.shape[0])
    np.maximum.at(latest, members.row, end[members.col])
    return latest


def _places(keys: pd.DataFrame, item: pd.DataFrame | None, market: pd.DataFrame | None) -> pd.DataFrame:
    """Item, market, family, channel and region of every leaf; `none` where a master table does not tell."""
    return keys[["item_id", "market_id"]].assign(
        family=_looked_up(keys["item_id"], item, "item_id", "family"),
        channel=_looked_up(keys["market_id"], market, "market_id", "channel"),
        region=_looked_up(keys["market_id"], market, "market_id", "region"),
    )


def _labels(places: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """Such as `Gas Grills × retail`; `all` for no column."""
    if not columns:
        return pd.Series(TOTAL, index=places.index, dtype=object)
    text = places[columns[0]]
    for column in columns[1:]:
        text = text + BETWEEN + places[column]
    return text


def _summed(demand: np.ndarray, summing: sparse.csr_matrix) -> np.ndarray:
    """Demand of every aggregate; NaN before any member began."""
    begun = summing @ (~np.isnan(demand)).astype(float)
    return np.where(begun > 0, summing @ np.nan_to_num(demand), np.nan)


def _mean_effects(volume: np.ndarray, effects: np.ndarray, summing: sparse.csr_matrix) -> np.ndarray:
    """Effect of events on every aggregate: its members' mean by what they sold in the last year, alike where none sold."""
    weight = volume + 1e-9
    share = summing.multiply(weight).tocsr()
    total = np.maximum(summing @ weight, 1e-300)[:, None]
    return np.stack([(share @ effects[..., column]) / total for column in range(effects.shape[2])], axis=2)


def _looked_up(values: pd.Series, table: pd.DataFrame | None, key: str, column: str) -> pd.Series:
    """Column of a master table for each value; `none` where it does not tell."""
    found = values.map({} if table is None else table.set_index(key)[column].to_dict()).astype(object)
    return found.where(found.notna() & (found != ""), NONE)
