"""One model for all series: boosted trees on what the last two years of each looked like (LightGBM).

Models of one series see a year or two of it; the trees see every series at every past origin, in logs and
relative to the level each had, and learn what usually follows. Their errors have little in common with
those of smoothing models, which is what a mix lives on.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from sop_workbench.errors import SopError

LEAST_SERIES = 20
STANDARD_EXAMPLES, FULL_EXAMPLES = 150_000, 300_000
_CHUNK = 2000
# Lags are columns of what is learned from: a whole year of weeks more would double its size.
_MOST_LAGS_BEYOND_YEAR = 12
# Demand below 5 % of a series' mean is read as that much: the logarithm of a month without sales says nothing more.
_FLOOR = 0.05
_LARGEST_CHANGE = 2.0
_ROUNDS = 200
_LEAST_EXAMPLES, _SEED = 100, 7
_OPTIONS: dict[str, object] = {
    "objective": "l1",
    "num_leaves": 63,
    "max_bin": 63,
    "learning_rate": 0.05,
    "min_data_in_leaf": _LEAST_EXAMPLES,
    "feature_fraction": 0.6,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": _SEED,
    "verbose": -1,
}


@dataclass(frozen=True)
class Learned:
    """Trees, and how the demand they learned from was read.

    Attributes
    ----------
    trees : object
        LightGBM's booster.
    lags : int
        Periods before an origin that it reads.
    season_length : int
    """

    trees: Any
    lags: int
    season_length: int


def learn(demand: np.ndarray, ahead: int, season_length: int, examples: int = STANDARD_EXAMPLES) -> Learned | None:
    """Trees that learned from every series at every past origin.

    log y(t+h) − level(t) = f(log y(t−k) − level(t), k = 0…; h; the same season a year before), where level is the mean log
    of the last year. At most `examples` are drawn, so that time does not grow with the number of series. What each series is
    told thus depends a little on which others there are, and on their order where examples are drawn.

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN before a series began; no gaps after.
    ahead, season_length : int
    examples : int
        150,000 learn all that trees of this size can tell apart; twice as many gain .002 of OWA on M3.

    Returns
    -------
    Learned or None
        None where there are fewer than 20 series, or 100 examples, to learn from.
    """
    lags = season_length + min(season_length, _MOST_LAGS_BEYOND_YEAR)
    logs = _padded_logs(demand, lags)
    level, known = _level(logs, lags, season_length)
    row, origin, step = _examples(known >= _least_known(season_length), ahead, examples)
    if len(demand) < LEAST_SERIES or len(row) < _LEAST_EXAMPLES:
        return None
    lightgbm = _library()
    change = logs[row, origin + lags - 1 + step] - level[row, origin]
    features = _features(logs, level, lags, season_length, row, origin, step)
    table = lightgbm.Dataset(features, np.clip(change, -_LARGEST_CHANGE, _LARGEST_CHANGE), params=_OPTIONS)
    return Learned(lightgbm.train(_OPTIONS, table, _ROUNDS), lags, season_length)


def boosted_trees(demand: np.ndarray, ahead: int, learned: Learned | None) -> np.ndarray:
    """What the trees say follows, straight for every period ahead.

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN before a series began; no gaps after. At a later origin than the trees learned at, they know nothing of what
        came between.
    ahead : int
    learned : Learned or None

    Returns
    -------
    ndarray, series × ahead
        NaN where a series has less than half a year, or nothing was learned.
    """
    made = np.full((len(demand), ahead), np.nan)
    if learned is None:
        return made
    for start in range(0, len(demand), _CHUNK):
        made[start : start + _CHUNK] = _predicted(demand[start : start + _CHUNK], ahead, learned)
    return made


def _predicted(demand: np.ndarray, ahead: int, learned: Learned) -> np.ndarray:
    logs = _padded_logs(demand, learned.lags)
    level, known = _level(logs, learned.lags, learned.season_length)
    rows = np.flatnonzero(known[:, -1] >= _least_known(learned.season_length))
    made = np.full((len(demand), ahead), np.nan)
    if not len(rows):
        return made
    row, step = np.repeat(rows, ahead), np.tile(np.arange(1, ahead + 1), len(rows))
    newest = np.full(len(row), level.shape[1] - 1)
    features = _features(logs, level, learned.lags, learned.season_length, row, newest, step)
    change = np.asarray(learned.trees.predict(features, num_threads=1))
    made[rows] = np.exp(change + level[row, newest]).reshape(len(rows), ahead)
    return made


def _least_known(season_length: int) -> int:
    """Half a year."""
    return max(season_length // 2, 3)


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


def _examples(enough: np.ndarray, ahead: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Series, origin and step ahead of what is learned from: all there is, or an even draw of it."""
    row, origin = np.nonzero(enough[:, :-1])
    last = np.cumsum(np.minimum(ahead, enough.shape[1] - 1 - origin))
    total = int(last[-1]) if len(last) else 0
    drawn = np.arange(total)
    if total > most:
        drawn = np.unique(np.random.default_rng(_SEED).integers(0, total, most))
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
