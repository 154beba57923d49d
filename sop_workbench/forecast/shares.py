"""Items, families in a market and items in a market by their shares in sums, and the rhythm in which some customers order.

Most series of item × market are too sparse to show a trend or season of their own; their sums are not. An item's share of its
family moves slowly: the last year tells it better than the last three months tell its level. And where each customer
orders once a quarter, a market has three lots of customers by turns, who want different families: what one of them took is seen
three months before, not last month.
"""

from __future__ import annotations

import numpy as np

from sop_workbench.forecast.nodes import BETWEEN, LEAF_LEVEL, NONE, Nodes

_FAMILY_MARKET = "family × market_id"
# A part is its row times its column over the whole of both.
_SUMS = {
    _FAMILY_MARKET: ("family × channel", "market_id", "channel"),
    LEAF_LEVEL: ("item_id × channel", _FAMILY_MARKET, "family × channel"),
}
# A leaf leans this far on its share, a family in a market wholly, an item in a channel half on its share of the family.
SHARE_WEIGHT, _ITEM_WEIGHT = 0.75, 0.5
# Fewer whole periods on sale tell no share.
_LEAST_WHOLE = 2
_LEAST_FACTOR = 0.02


def by_shares(nodes: Nodes, known: np.ndarray, forecast: np.ndarray, season_length: int, alone: np.ndarray) -> np.ndarray:
    """Forecasts with every item leaning half, every family × market wholly and every leaf three quarters on its share.

    Parameters
    ----------
    known : ndarray, nodes × periods
        Demand known when the forecast is made.
    forecast : ndarray, nodes × ahead
        Forecasts that add up.
    season_length : int
        Periods in a year.
    alone : ndarray of bool, nodes
        What has ended, or whose model a planner pinned, stays as it is.

    Returns
    -------
    ndarray, nodes × ahead
        Unchanged where the hierarchy has no such sums.
    """
    made = _by_family(nodes, known, forecast, season_length, alone)
    for level, weight in ((_FAMILY_MARKET, 1.0), (LEAF_LEVEL, SHARE_WEIGHT)):
        rows, shared = shared_forecast(nodes, level, known, made, season_length)
        if level != LEAF_LEVEL and len(rows) and rows.max() < nodes.leaves:
            continue  # every family is one item: its places are the leaves
        own = made[rows]
        stays = np.isnan(shared) | np.isnan(own) | alone[rows][:, None]
        made[rows] = np.where(stays, own, (1 - weight) * own + weight * shared)
    return made


def _by_family(nodes: Nodes, known: np.ndarray, forecast: np.ndarray, season_length: int, alone: np.ndarray) -> np.ndarray:
    """Forecasts with every item leaning half on its share of its family in the channel over the last year, all sums added up again.

    share = Σ sold / Σ sold by the family in the periods in which the item was on sale (less its first, seldom a whole one), of the sum
    of all shares; items that ended, and those whose family is not known, keep what they have.
    """
    item, family = nodes.row_of("item_id × channel"), nodes.row_of("family × channel")
    if item is None or family is None:
        return forecast.copy()
    rows, first, place = np.unique(item, return_index=True, return_inverse=True)
    name = nodes.members["family × channel"].set_index("node")["member"].reindex(family[first])
    group = np.unique(family[first], return_inverse=True)[1]
    sold, own = np.nan_to_num(known[rows]), np.nan_to_num(forecast[rows])
    on_sale = (np.cumsum(sold > 0, axis=1) > (sold > 0))[:, -season_length:]
    taken = np.where(on_sale, sold[:, -season_length:], 0).sum(axis=1)
    offered = np.where(on_sale, np.nan_to_num(known[family[first]])[:, -season_length:], 0).sum(axis=1)
    leans = ~alone[rows] & (on_sale.sum(axis=1) >= _LEAST_WHOLE) & (own.sum(axis=1) > 0) & ~name.str.startswith(NONE + BETWEEN).to_numpy()
    share = np.where(leans & (offered > 0), taken / np.where(offered > 0, offered, 1), 0.0)
    total = np.zeros((int(group.max(initial=0)) + 1, own.shape[1]))
    np.add.at(total, group, np.where(leans[:, None], own, 0.0))
    even = (share / np.maximum(np.bincount(group, share), 1e-12)[group])[:, None] * total[group]
    moves = leans[:, None] & (own > 0)
    factor = np.where(moves, 1 - _ITEM_WEIGHT + _ITEM_WEIGHT * even / np.where(moves, own, 1), 1.0)
    leaf = forecast[: nodes.leaves] * np.where(alone[: nodes.leaves, None], 1.0, factor[place])
    return np.where(np.isnan(forecast), np.nan, np.vstack([leaf, nodes.summing @ np.nan_to_num(leaf)]))


def shared_forecast(
    nodes: Nodes, level: str, known: np.ndarray, forecast: np.ndarray, season_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Forecast of item × market, or of family × market, by its shares in the sums above.

    part = item · market / whole · affinity · rhythm, where item is the item in the channel, market the family in the market and whole
    the family in the channel (one level up: family in the channel, market, channel). affinity = (Σ sold + k) / (Σ item · market /
    whole + k) over the last year: how much more the market takes of the item than of its family, leaning on 1 by k, which is
    estimated from all parts (gamma–Poisson). rhythm: see `_rhythm`.

    Parameters
    ----------
    level : str
        `item_id × market_id` or `family × market_id`.
    known : ndarray, nodes × periods
    forecast : ndarray, nodes × ahead
    season_length : int

    Returns
    -------
    rows : ndarray of int
        The nodes of the level; none where the hierarchy lacks one of the sums.
    shared : ndarray, rows × ahead
        NaN where a sum has no forecast.
    """
    above = [nodes.row_of(name) for name in (level, *_SUMS[level], "market_id")]
    if any(row is None for row in above):
        return np.zeros(0, dtype=int), np.zeros((0, forecast.shape[1]))
    rows, first = np.unique(np.asarray(above[0]), return_index=True)
    item, place, whole, market = (np.asarray(row)[first] for row in above[1:])
    sold = np.nan_to_num(known[:, -season_length:])
    expected = sold[item] * sold[place] / np.where(sold[whole] > 0, sold[whole], 1)
    affinity = _affinity(sold[rows].sum(axis=1), expected.sum(axis=1))
    rhythm = _rhythm(sold[rows], expected * affinity[:, None], np.unique(market, return_inverse=True)[1], season_length // 4)
    turn = np.arange(forecast.shape[1]) % rhythm.shape[1]
    total = forecast[whole]
    shared = forecast[item] * forecast[place] / np.where(total > 0, total, 1) * affinity[:, None] * rhythm[:, turn]
    return rows, np.where(total > 0, shared, np.where(total == 0, 0.0, np.nan))


def _affinity(sold: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How much more of a part was sold than its row and column say, leaning on 1; 0 where nothing could be."""
    beyond_chance = ((sold - expected) ** 2 - expected)[expected > 0].sum()
    if beyond_chance <= 0:
        return np.where(expected > 0, 1.0, 0.0)
    prior = (expected**2).sum() / beyond_chance
    return np.where(expected > 0, (sold + prior) / (expected + prior), 0.0)


def _rhythm(sold: np.ndarray, expected: np.ndarray, market: np.ndarray, quarter: int) -> np.ndarray:
    """Factor of each part for the periods of a quarter to come, parts × quarter: what the customers whose turn it is want more of.

    factor = 1 + z · (Σ sold / Σ expected − 1) over the same places in the quarters of the last year. With r = sold − expected, what
    persists in a market is p = Σ r(t)·r(t−q) / Σ expected(t)·expected(t−q), less the same at shorter lags (which is no rhythm); its
    noise is s = Σ r² / Σ expected² − p; z = p / (p + s / n) for n quarters seen, 0 where nothing persists.
    """
    factor = np.ones((len(sold), max(quarter, 1)))
    if quarter < 2 or sold.shape[1] <= quarter:
        return factor
    rest, count = sold - expected, int(market.max(initial=0)) + 1
    at_lag = [np.bincount(market, (rest[:, lag:] * rest[:, :-lag]).sum(axis=1), minlength=count) for lag in range(1, quarter + 1)]
    pairs = np.bincount(market, (expected[:, quarter:] * expected[:, :-quarter]).sum(axis=1), minlength=count)
    persists = np.maximum(at_lag[-1] - np.mean(at_lag[:-1], axis=0), 0) / np.where(pairs > 0, pairs, np.inf)
    squares = np.bincount(market, (expected**2).sum(axis=1), minlength=count)
    spread = np.bincount(market, (rest**2).sum(axis=1), minlength=count) / np.where(squares > 0, squares, np.inf)
    noise = np.maximum(spread - persists, 0)
    place = np.arange(-sold.shape[1], 0) % quarter
    for turn in range(quarter):
        own, usual = sold[:, place == turn].sum(axis=1), expected[:, place == turn].sum(axis=1)
        seen = (expected[:, place == turn] > 0).sum(axis=1)
        trust = persists[market] * seen / np.maximum(persists[market] * seen + noise[market], 1e-12)
        factor[:, turn] = 1 + trust * (np.where(usual > 0, own / np.where(usual > 0, usual, 1), 1.0) - 1)
    return np.maximum(factor, _LEAST_FACTOR)
