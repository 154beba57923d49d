"""Rolling origins: what each model would have said, how wrong it was, and what it weighs therefore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_TEST_SHARE = 5
# Periods of evidence, of months or of weeks: from so many on one test length can be spared, and with fewer known no model is judged.
# (Three years of weeks instead: the same forecast, and the company's total held in up to thirteen points less of 95 %.)
_LONG_HISTORY = 36
_LEAST_TRAINING = 12
_CLEARLY_BETTER = 0.7
# A series' own record is trusted as much as this many tested periods of the record of all, of months or of weeks: origins overlap, so
# that three tests of twelve hold the evidence of less than twice twelve. (104 in weeks: the same forecast to a thousandth.)
_SHARED_PERIODS = 24


@dataclass(frozen=True)
class Backtest:
    """Forecasts of every model from several origins, beside what happened.

    Attributes
    ----------
    forecasts : dict of ndarray, series × origins × test periods
        By model; NaN where a model was not run.
    actual : ndarray, series × origins × test periods
        NaN where a series had not started, has a gap, or history ends inside the test.
    origins : list of int
        Number of periods known at each origin.
    """

    forecasts: dict[str, np.ndarray]
    actual: np.ndarray
    origins: list[int]


def rolling_origins(length: int, ahead: int, count: int, season_length: int) -> tuple[list[int], int]:
    """Origins (periods known) and test length for a history of `length` periods.

    The test covers a fifth of history, at most the horizon and a year; origins follow each other by a third of the test, the
    newest leaving exactly one test length. Of less than 36 periods none can be spared: there the oldest origin leaves one
    test length, the others follow until shortly before today, and their tests end with history. Origins further back would know
    little more than twelve, and judge today by them.

    Examples
    --------
    >>> rolling_origins(60, 18, 3, 12)
    ([40, 44, 48], 12)
    >>> rolling_origins(31, 18, 3, 12)
    ([25, 27, 29], 6)
    >>> rolling_origins(5, 18, 3, 12)
    ([3, 4], 1)

    Thirteen weeks ahead are tested by thirteen weeks:

    >>> rolling_origins(150, 13, 3, 52)
    ([129, 133, 137], 13)
    """
    test = max(1, min(ahead, season_length, length // _TEST_SHARE))
    step = max(1, test // 3)
    newest = length - test if length >= _LONG_HISTORY else length - max(1, test - step * (count - 1))
    origins = [newest - step * back for back in reversed(range(count))]
    return [origin for origin in origins if origin >= min(_LEAST_TRAINING, length // 2) and origin >= 3], test


def run_backtest(
    demand: np.ndarray, ahead: int, count: int, season_length: int, forecast: Callable[[int, int], dict[str, np.ndarray]]
) -> Backtest:
    """Call `forecast(known periods, test length)` at every origin and line the answers up with what happened.

    Parameters
    ----------
    demand : ndarray, series × periods
    ahead : int
        The horizon later asked for.
    count : int
        Number of origins.
    season_length : int
        Periods in a year.
    forecast : callable
        Gives forecasts by model (series × test length) from the first periods alone.
    """
    origins, test = rolling_origins(demand.shape[1], ahead, count, season_length)
    answers = [forecast(origin, test) for origin in origins]
    names = sorted({name for answer in answers for name in answer})
    empty = np.full((len(demand), test), np.nan)
    forecasts = {name: np.stack([answer.get(name, empty) for answer in answers], axis=1) for name in names}
    actual = np.full((len(demand), len(origins), test), np.nan)
    for number, origin in enumerate(origins):
        known = demand[:, origin : origin + test]
        actual[:, number, : known.shape[1]] = known
    return Backtest(forecasts, actual, origins)


def model_weights(backtest: Backtest, names: list[str], scale: np.ndarray, suits: np.ndarray) -> np.ndarray:
    """Weight of every model in the forecast of every series.

    w(model) ∝ 1 / mean squared error over the origins, the error being the series' own, mixed with that of
    all series (in units of their scale) as if it were 24 periods of further evidence. A model that is at
    least 30 % better than every other stands alone.

    Parameters
    ----------
    backtest : Backtest
    names : list of str
        Models to weigh.
    scale : ndarray, series
        Size of each series.
    suits : ndarray of bool, series × models
        Models that a series is forecast by now.

    Returns
    -------
    ndarray, series × models
        Rows add up to 1 where at least one model suits; a model that does not weighs 0.
    """
    if not backtest.origins:
        return suits / np.maximum(suits.sum(axis=1, keepdims=True), 1)
    squared = np.stack(
        [
            ((backtest.forecasts[name] - backtest.actual) / scale[:, None, None]) ** 2
            if name in backtest.forecasts
            else np.full_like(backtest.actual, np.nan)
            for name in names
        ],
        axis=1,
    )
    known = ~np.isnan(squared)
    count = known.sum(axis=(2, 3))
    total = np.where(known, squared, 0).sum(axis=(2, 3))
    own = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    prior = _shared_record(np.where(suits, own, np.nan), suits)
    error = (total + _SHARED_PERIODS * prior) / (count + _SHARED_PERIODS)
    return _alone_if_clearly_better(np.where(suits, error, np.inf), count > 0)


def _shared_record(own: np.ndarray, suits: np.ndarray) -> np.ndarray:
    """Error each model would have on each series if it did as well there as it does on the others.

    The level of the series (median over its models) times the model's record (median over series: one wild series must not
    decide for the others) relative to that of the other models of the series; one without a record is taken to be usual.
    """
    relative = np.where(suits, _medians(own.T, np.nan), np.nan)
    usual, level = _medians(relative, 1.0), _medians(own, 1.0)
    return np.where(np.isnan(relative), 1.0, relative / np.maximum(usual, 1e-12)[:, None]) * level[:, None]


def _medians(values: np.ndarray, otherwise: float) -> np.ndarray:
    """Median of what is known in each row."""
    count = (~np.isnan(values)).sum(axis=1)
    ordered, row = np.sort(values, axis=1), np.arange(len(values))
    middle = (ordered[row, np.maximum(count - 1, 0) // 2] + ordered[row, np.minimum(count // 2, values.shape[1] - 1)]) / 2
    return np.where(count > 0, middle, otherwise)


def combine(forecasts: dict[str, np.ndarray], names: list[str], weights: np.ndarray) -> np.ndarray:
    """Weighted mean of the models that have a forecast; NaN where none has.

    Shapes: each forecast is series × … ; weights are series × models.
    """
    stack = np.stack([forecasts[name] for name in names], axis=-1)
    weight = weights.reshape(len(weights), *[1] * (stack.ndim - 2), len(names))
    weight = np.where(np.isnan(stack), 0.0, weight)
    total = weight.sum(axis=-1)
    mixed = np.where(np.isnan(stack), 0.0, stack * weight).sum(axis=-1)
    return np.where(total > 0, mixed / np.where(total > 0, total, 1), np.nan)


def _alone_if_clearly_better(error: np.ndarray, has_record: np.ndarray) -> np.ndarray:
    """Inverse squared errors, or all on one model (squared errors compare by the square of 30 %); unrecorded ones decide nothing."""
    weights = 1 / np.maximum(error, 1e-12)
    if error.shape[1] > 1:
        order = np.sort(np.where(has_record, error, np.inf), axis=1)
        clear = (order[:, 0] < _CLEARLY_BETTER**2 * order[:, 1]) & np.isfinite(order[:, 1])
        weights = np.where(clear[:, None], error == order[:, :1], weights)
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
