"""Every model on the same held-out periods, at every level: errors are added up first and divided last."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.forecast import candidates
from sop_workbench.forecast.backtest import Backtest
from sop_workbench.forecast.learned import boosted_trees, learn
from sop_workbench.forecast.panel import Panel, pooled
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

WHOLE = "all"
SERIES = "item_id × market_id"
ADDED_UP = "item × market added up"
# Prophet and AutoETS take a tenth of a second a fit: so many members of a level are forecast by them, by effort.
_MOST_MEMBERS = {"quick": 2, "standard": 8, "full": 60}
_WORDS = {"total": "total", "family": "families", "item_id": "items"}
_ALONE = {"auto ets": candidates.exponential_smoothing, "theta": candidates.theta, "ces": candidates.complex_smoothing}
PROPHET, TREES = "prophet", "boosted trees"


def leaderboard(panel: Panel, backtest: Backtest, item: pd.DataFrame | None, settings: Settings, calendar: Calendar) -> pd.DataFrame:
    """WAPE and bias of every model in the back-test → `forecast_error`.

    Models that forecast item × market are added up to item, family and total. Plain Prophet, AutoETS, Theta, CES and boosted
    trees over all series forecast items, families and the total by themselves, whatever the effort; where a level has more
    members than they have time for, they forecast some, taken evenly by volume, and every model is measured on those besides.
    """
    if not backtest.origins:
        return tables.table("forecast_error").empty()
    levels = _levels(panel, item)
    trees = _trees_alone(panel, levels, backtest, calendar)
    rows: list[dict] = []
    for level, members in levels.items():
        names, group = np.unique(members, return_inverse=True)
        added_up, actual = _models_added_up(backtest, group)
        if level == SERIES:
            rows += _level_rows(level, names, dict.fromkeys(added_up, "each series"), added_up, actual, WHOLE)
            continue
        demand = pooled(panel.demand, group)
        chosen = _evenly_by_volume(demand, _MOST_MEMBERS[settings.forecast.effort], calendar.buckets_per_year)
        alone = _alone(demand[chosen], panel.periods, backtest, calendar)
        if level in trees:
            alone[TREES] = trees[level][chosen]
        rows += _beside_each_other(level, names, added_up, alone, actual, chosen)
    frame = pd.DataFrame(rows, columns=list(tables.table("forecast_error").columns))
    return tables.validate("forecast_error", frame.sort_values(["level", "member", "wape_ratio", "model"]).reset_index(drop=True))


def _models_added_up(backtest: Backtest, group: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Forecasts of item × market and what happened, added up by group; what had not started or is not known counts for nobody."""
    known = ~np.isnan(backtest.forecasts["naive"]) & ~np.isnan(backtest.actual)
    made = {name: _added_up(values, known, group) for name, values in backtest.forecasts.items() if _is_complete(values, known)}
    return made, _added_up(backtest.actual, known, group)


def _beside_each_other(
    level: str, names: np.ndarray, added_up: dict[str, np.ndarray], alone: dict[str, np.ndarray], actual: np.ndarray, chosen: np.ndarray
) -> list[dict]:
    """Rows of models added up over all members, and of all models on the members that those forecasting a level by itself were run on."""
    is_all = len(chosen) == len(names)
    rows = _level_rows(level, names, dict.fromkeys(added_up, ADDED_UP), added_up, actual, WHOLE, set(alone) if is_all else set())
    words = f"{len(chosen)} of {len(names)} {_WORDS[level]}" + ("" if is_all else ", taken evenly by volume")
    measured = alone if is_all else {name: values[chosen] for name, values in added_up.items()} | alone
    basis = {name: f"{words}, by themselves" if name in alone else f"{words}, {ADDED_UP}" for name in measured}
    sample = WHOLE if is_all else f"sample of {len(chosen)}"
    return rows + _level_rows(level, names[chosen], basis, measured, actual[chosen], sample, with_members=is_all)


def _levels(panel: Panel, item: pd.DataFrame | None) -> dict[str, np.ndarray]:
    items = panel.keys["item_id"]
    levels = {"total": np.full(len(items), WHOLE, dtype=object)}
    if item is not None:
        family = items.map(item.set_index("item_id")["family"].to_dict())
        levels["family"] = family.where(family.notna() & (family != ""), "none").to_numpy(dtype=object)
    levels["item_id"] = items.to_numpy(dtype=object)
    levels[SERIES] = (items + " × " + panel.keys["market_id"]).to_numpy(dtype=object)
    return levels


def _is_complete(values: np.ndarray, known: np.ndarray) -> bool:
    """Only a model that answered for every started series may be added up."""
    return not np.isnan(values[known]).any()


def _added_up(values: np.ndarray, known: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Series × origins × periods to members; what is not known adds nothing."""
    total = np.zeros((int(group.max()) + 1, *values.shape[1:]))
    np.add.at(total, group, np.where(known, values, 0.0))
    return total


def _evenly_by_volume(demand: np.ndarray, most: int, season_length: int) -> np.ndarray:
    """Members taken evenly from the ranking by volume of the last year, in their order; all where they are few."""
    if len(demand) <= most:
        return np.arange(len(demand))
    ranked = np.argsort(-np.nan_to_num(demand[:, -season_length:]).sum(axis=1), kind="stable")
    # The middle of each of `most` equal parts of the ranking, and so large and small ones alike.
    places = ((np.arange(most) + 0.5) * len(demand) / most).astype(int)
    return np.sort(ranked[places])


def _alone(demand: np.ndarray, periods: pd.DatetimeIndex, backtest: Backtest, calendar: Calendar) -> dict[str, np.ndarray]:
    """The well-known models on each aggregated series, from the same origins; nothing beyond the end of history."""
    shape, year = (len(demand), *backtest.actual.shape[1:]), calendar.buckets_per_year
    results = {name: np.zeros(shape) for name in (PROPHET, *_ALONE)}
    for number, origin in enumerate(backtest.origins):
        ahead = periods[origin : origin + shape[2]]
        for row in range(len(demand)):
            known = ~np.isnan(demand[row, :origin])
            series = demand[row, :origin][known]
            if not len(series):
                continue
            for name, model in _ALONE.items():
                results[name][row, number, : len(ahead)] = model(series, len(ahead), year)
            results[PROPHET][row, number, : len(ahead)] = candidates.prophet(series, periods[:origin][known], ahead, year)
    return results


def _trees_alone(panel: Panel, levels: dict[str, np.ndarray], backtest: Backtest, calendar: Calendar) -> dict[str, np.ndarray]:
    """Boosted trees learning from items, families and the total at once, by level; none where there are too few to learn from.

    A member too young for the trees gets the mean of its last three periods.
    """
    groups = {level: np.unique(members, return_inverse=True)[1] for level, members in levels.items() if level != SERIES}
    demand = np.vstack([pooled(panel.demand, group) for group in groups.values()])
    test = backtest.actual.shape[2]
    made = np.zeros((len(demand), len(backtest.origins), test))
    # Learned once, from what the oldest origin knows.
    first = demand[:, : backtest.origins[0]]
    trees = learn(first[~np.isnan(first).all(axis=1)], test, calendar.buckets_per_year)
    if trees is None:
        return {}
    for number, origin in enumerate(backtest.origins):
        known = demand[:, :origin]
        begun = ~np.isnan(known).all(axis=1)
        ahead = min(test, demand.shape[1] - origin)
        learned = boosted_trees(known[begun], test, trees)[:, :ahead]
        recent = [candidates.naive(series[~np.isnan(series)], ahead, 1) for series in known[begun]]
        made[begun, number, :ahead] = np.where(np.isnan(learned), recent, learned)
    ends = np.cumsum([int(group.max()) + 1 for group in groups.values()])[:-1]
    return dict(zip(groups, np.split(made, ends), strict=True))


def _level_rows(
    level: str,
    names: np.ndarray,
    basis: dict[str, str],
    forecasts: dict[str, np.ndarray],
    actual: np.ndarray,
    whole: str,
    besides: frozenset[str] | set[str] = frozenset(),
    *,
    with_members: bool = True,
) -> list[dict]:
    """Rows of every model at a level, but for those measured otherwise."""
    rows = []
    for name, values in forecasts.items():
        if name not in besides:
            shown = with_members and level in ("family", "item_id")
            rows += [{**row, "basis": basis[name]} for row in _error_rows(name, level, whole, names, values, actual, with_members=shown)]
    return rows


def _error_rows(
    name: str, level: str, whole: str, members: np.ndarray, forecast: np.ndarray, actual: np.ndarray, *, with_members: bool
) -> list[dict]:
    error = forecast - actual
    absolute, signed, volume = (np.abs(error).sum(axis=(1, 2)), error.sum(axis=(1, 2)), actual.sum(axis=(1, 2)))
    rows = [_row(name, level, whole, absolute.sum(), signed.sum(), volume.sum())]
    if with_members:
        rows += [_row(name, level, member, *figures) for member, *figures in zip(members, absolute, signed, volume, strict=True)]
    return [row for row in rows if row["actual_qty"] > 0]


def _row(name: str, level: str, member: str, absolute: float, signed: float, volume: float) -> dict:
    ratio = (absolute / volume, signed / volume) if volume > 0 else (np.nan, np.nan)
    return {"model": name, "level": level, "member": member, "wape_ratio": ratio[0], "bias_ratio": ratio[1], "actual_qty": volume}
