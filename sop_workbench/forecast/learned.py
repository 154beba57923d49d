"""One model for all series: boosted trees on what the last two years of each looked like (LightGBM).

Models of one series see a year or two of it; the trees see every series at every past origin, in logs and
relative to the level each had, and learn what usually follows. Their errors have little in common with
those of smoothing models, which is what a mix lives on.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from sop_workbench.errors import SopError

LEAST_SERIES = 20
_MOST_EXAMPLES = 150_000
_MOST_LAGS_BEYOND_YEAR = 12
# Demand below 5 % of a series' mean is read as that much: the logarithm of a month without sales says nothing more.
_FLOOR = 0.05
_LARGEST_CHANGE = 2.0
_ROUNDS = 200
_LEAST_EXAMPLES, _SEED = 100, 7
_OPTIONS: dict[str, object] = {
    "objective": "l1",
    "num_leaves": 31,
    "learning_rate": 0.05,
    "min_data_in_leaf": _LEAST_EXAMPLES,
    "feature_fraction": 0.6,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": _SEED,
    "verbose": -1,
}


def boosted_trees(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """Forecast all series by trees that learn from all of them, straight to every period ahead.

    log y(t+h) − level(t) = f(log y(t−k) − level(t), k = 0…; h; the same season a year before), where level is the mean log
    of the last year. At most 150,000 examples are drawn, so that time does not grow with the number of series.

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN before a series began; no gaps after.
    ahead, season_length : int

    Returns
    -------
    ndarray, series × ahead
        NaN where there are fewer than 20 series to learn from, or a series has less than half a year.
    """
    lags = season_length + min(season_length, _MOST_LAGS_BEYOND_YEAR)
    logs = _padded_logs(demand, lags)
    level, known = _level(logs, lags, season_length)
    enough = known >= max(season_length // 2, 3)
    examples = _examples(enough, ahead)
    made = np.full((len(demand), ahead), np.nan)
    if len(demand) < LEAST_SERIES or len(examples[0]) < _LEAST_EXAMPLES:
        return made
    lightgbm = _library()

    row, origin, step = examples
    change = logs[row, origin + lags - 1 + step] - level[row, origin]
    features = _features(logs, level, lags, season_length, *examples)
    trees = lightgbm.train(_OPTIONS, lightgbm.Dataset(features, np.clip(change, -_LARGEST_CHANGE, _LARGEST_CHANGE)), _ROUNDS)
    rows = np.flatnonzero(enough[:, -1])
    row, step = np.repeat(rows, ahead), np.tile(np.arange(1, ahead + 1), len(rows))
    newest = np.full(len(row), level.shape[1] - 1)
    change = np.asarray(trees.predict(_features(logs, level, lags, season_length, row, newest, step), num_threads=1))
    made[rows] = np.exp(change + level[row, newest]).reshape(len(rows), ahead)
    return made


def _library() -> ModuleType:
    """LightGBM, imported when it is really used: half a second, and a system library that a bare machine may lack.

    Raises
    ------
    SopError
        When the system library is missing: another mix would give other numbers, so none is taken in silence.
    """
    try:
        import lightgbm
    except OSError as fault:
        message = f"LightGBM cannot start ({fault}): install the system's OpenMP library (Debian: libgomp1), or set forecast.effort: quick"
        raise SopError(message) from None
    return lightgbm


def _padded_logs(demand: np.ndarray, lags: int) -> np.ndarray:
    """Log demand with `lags` − 1 empty periods in front, so that every period of history has a window of lags."""
    seen = ~np.isnan(demand)
    mean = np.where(seen, demand, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    least = np.where(mean > 0, _FLOOR * mean, 1.0)[:, None]
    return np.hstack([np.full((len(demand), lags - 1), np.nan), np.log(np.maximum(demand, least))])


def _level(logs: np.ndarray, lags: int, season_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean log of the last year at every period of history, and of how many known periods it is the mean."""
    known = np.cumsum(np.pad(~np.isnan(logs), ((0, 0), (1, 0))), axis=1)
    total = np.cumsum(np.pad(np.nan_to_num(logs), ((0, 0), (1, 0))), axis=1)
    end = np.arange(lags, logs.shape[1] + 1)
    count = known[:, end] - known[:, end - season_length]
    return (total[:, end] - total[:, end - season_length]) / np.maximum(count, 1), count


def _examples(enough: np.ndarray, ahead: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Series, origin and step ahead of what is learned from: all there is, or an even draw of it."""
    row, origin = np.nonzero(enough[:, :-1])
    last = np.cumsum(np.minimum(ahead, enough.shape[1] - 1 - origin))
    total = int(last[-1]) if len(last) else 0
    drawn = np.arange(total)
    if total > _MOST_EXAMPLES:
        drawn = np.unique(np.random.default_rng(_SEED).integers(0, total, _MOST_EXAMPLES))
    pair = np.searchsorted(last, drawn, side="right")
    before = np.r_[0, last][pair]
    return row[pair], origin[pair], drawn - before + 1


def _features(
    logs: np.ndarray, level: np.ndarray, lags: int, season_length: int, row: np.ndarray, origin: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """Lags relative to the level, the step ahead, and the lag of the season that step falls into."""
    windows = np.lib.stride_tricks.sliding_window_view(logs, lags, axis=1)
    relative = windows[row, origin] - level[row, origin][:, None]
    same_season = relative[np.arange(len(row)), lags - season_length + (step - 1) % season_length]
    return np.column_stack([relative, step, same_season]).astype(np.float32)
