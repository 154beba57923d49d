"""The range around a forecast: errors of the back-test, pooled, scaled to each series, growing with the horizon."""

from __future__ import annotations

import numpy as np

# Own record of a series counts as much as this many periods of its group: origins overlap, so that three tests of a year
# hold the evidence of less than two.
_SHARED_PERIODS = 24
_LEAST_ERRORS = 20
_NO_RECORD_RATIO = 0.5


def error_scale(forecast: np.ndarray, actual: np.ndarray, level: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Mean absolute error of each series, leaning on its group's error per unit of level.

    Parameters
    ----------
    forecast, actual : ndarray, series × origins × test periods
    level : ndarray, series
        Mean demand of each series.
    group : ndarray of int, series

    Returns
    -------
    ndarray, series
        Positive wherever the level is.
    """
    error = np.abs(forecast - actual)
    known = ~np.isnan(error)
    count, total = known.sum(axis=(1, 2)), np.where(known, error, 0).sum(axis=(1, 2))
    has_record = count > 0
    mean = total / np.maximum(count, 1)
    groups = int(group.max(initial=0)) + 1
    error_sum = np.bincount(group[has_record], mean[has_record], minlength=groups)
    level_sum = np.bincount(group[has_record], level[has_record], minlength=groups)
    overall = error_sum.sum() / level_sum.sum() if level_sum.sum() > 0 else _NO_RECORD_RATIO
    ratio = np.where(level_sum > 0, error_sum / np.where(level_sum > 0, level_sum, 1), overall)[group]
    return (total + _SHARED_PERIODS * ratio * level) / (count + _SHARED_PERIODS)


def held_out_scale(forecast: np.ndarray, actual: np.ndarray, level: np.ndarray, group: np.ndarray) -> np.ndarray:
    """`error_scale` as each origin would know it from the others, series × origins.

    An error divided by a scale it is part of is never large: a range made of such ratios is too narrow. With one
    origin there is no other, and its own errors have to do.
    """
    count = forecast.shape[1]
    others = [np.arange(count) != number if count > 1 else np.ones(count, dtype=bool) for number in range(count)]
    return np.stack([error_scale(forecast[:, kept], actual[:, kept], level, group) for kept in others], axis=1)


def interval(
    forecast: np.ndarray,
    past_forecast: np.ndarray,
    past_actual: np.ndarray,
    scale: np.ndarray,
    past_scale: np.ndarray,
    coverage: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bound that held the share `coverage` of past actuals.

    Errors of all series are pooled in units of their scale (conformal prediction); the bound of each side
    is its empirical quantile per period ahead, smoothed by a power law a · h^b, which also reaches beyond
    the periods tested.

    Parameters
    ----------
    forecast : ndarray, series × ahead
    past_forecast, past_actual : ndarray, series × origins × test periods
    scale : ndarray, series
        Usual error today.
    past_scale : ndarray, series × origins
        Usual error without the origin's own errors.
    coverage : float
        Such as 0.8.

    Returns
    -------
    (ndarray, ndarray)
        Series × ahead; the lower bound is 0 or more.
    """
    # A series that had ended was forecast as zero: it says nothing about the errors of those on sale.
    ended = (past_forecast == 0).all(axis=2)
    scaled = (past_actual - past_forecast) / np.where((past_scale > 0) & ~ended, past_scale, np.nan)[:, :, None]
    low = _growing_quantile(-scaled, coverage, forecast.shape[1])
    high = _growing_quantile(scaled, coverage, forecast.shape[1])
    return np.maximum(forecast - scale[:, None] * low, 0), forecast + scale[:, None] * high


def _growing_quantile(error: np.ndarray, coverage: float, ahead: int) -> np.ndarray:
    """Upper quantile of signed errors by period ahead, made smooth; never below 0."""
    tail = (1 + coverage) / 2
    steps, values = [], []
    for step in range(error.shape[2]):
        known = error[:, :, step][~np.isnan(error[:, :, step])]
        if len(known) >= _LEAST_ERRORS:
            level = min(1.0, np.ceil((len(known) + 1) * tail) / len(known))
            steps.append(step + 1)
            values.append(max(float(np.quantile(known, level)), 1e-3))
    horizon = np.arange(1, ahead + 1)
    if not steps:
        # Too few errors for a quantile: twice the scale at the first step, growing with the root of time.
        return 2.0 * np.sqrt(horizon)
    slope, start = np.polyfit(np.log(steps), np.log(values), 1) if len(steps) > 2 else (0.0, float(np.log(np.mean(values))))
    return np.exp(start) * horizon ** np.clip(slope, 0.0, 0.5)
