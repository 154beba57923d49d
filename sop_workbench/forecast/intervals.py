"""The range around a forecast: errors of the back-test, scaled by what each series' history says, calibrated group by group.

Conformal prediction with a learned scale. How hard a series is to forecast is read from its history alone, so that a past
origin and today are judged alike: a scale made of back-test errors would hold the very errors that it scales. A high season is
wider than a low one. Errors are pooled in units of that scale; each side grows with the horizon; and each group of like series is
widened or narrowed until the share asked for was covered. A back-test of a few months has not seen the rest of the year:
then a range is less one-sided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.stats import norm
from scipy.stats import t as student

from sop_workbench import tables
from sop_workbench.forecast.nodes import LEAF_LEVEL, Nodes

_RECENT_YEARS = 2
_LEAST_ERRORS = 20
_LEAST_STEPS = 3
# Before any error is known: as hard as its usual change from period to period and from year to year say, in equal parts.
_PRIOR_COEFFICIENTS = np.array([0.0, 0.0, 0.5, 0.5])
_PRIOR_ORIGINS = 20
_SMALLEST_SHARE = 1e-3
# A group is believed against the wider one as far as its errors outnumber these.
_SHARED_ERRORS = 100
_LEAST_QUANTILE, _WILD, _FEWEST_CASES = 1e-3, 0.98, 3
# Errors grow with what is sold in a season, as its root where they are those of counts, and in proportion where they are shares of
# it: half way. A forecast further from last year's level than this is growth or decline, which is no season.
_SEASON_POWER, _MOST_SEASON = 0.75, 2.0


@dataclass(frozen=True)
class PastErrors:
    """What was forecast from past origins, what happened, and how each series looked then.

    Attributes
    ----------
    forecast, actual : ndarray, series × origins × test periods
        NaN where nothing was forecast or is known.
    difficulty : ndarray, series × origins × features
        `difficulty` of the history known at each origin.
    group : ndarray of int, series × origins
        Kind of series; −1 leaves it out (ended, not begun).
    origins : ndarray of int, origins
        Periods known at each.
    season_length : int
        Periods in a year.
    """

    forecast: np.ndarray
    actual: np.ndarray
    difficulty: np.ndarray
    group: np.ndarray
    origins: np.ndarray
    season_length: int

    def at(self, chosen: np.ndarray) -> PastErrors:
        """The part of some origins."""
        parts = (self.forecast[:, chosen], self.actual[:, chosen], self.difficulty[:, chosen], self.group[:, chosen])
        return PastErrors(*parts, self.origins[chosen], self.season_length)

    @cached_property
    def error(self) -> np.ndarray:
        """Actual less forecast of what counts, in units of the size of its season."""
        error = (self.actual - self.forecast) / _season_size(self.forecast, self.difficulty)
        return np.where((self.group >= 0)[:, :, None], error, np.nan)

    @property
    def unseen_year(self) -> float:
        """Share of the year whose periods no origin tested."""
        tested = ~np.isnan(self.error).all(axis=0)
        period = np.add.outer(self.origins, np.arange(tested.shape[1]))[tested] % self.season_length
        return 1 - len(np.unique(period)) / self.season_length


@dataclass(frozen=True)
class Calibration:
    """How wide a range must be: coefficients of the scale, width of each side by period ahead, factor of each group."""

    coefficients: np.ndarray
    below: np.ndarray
    above: np.ndarray
    factor: dict[int, float]
    other_factor: float

    def bounds(self, forecast: np.ndarray, difficulty: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower (0 or more) and upper bound of forecasts, series × periods ahead (no longer than calibrated for)."""
        factor = np.array([self.factor.get(number, self.other_factor) for number in group.tolist()])
        width = (np.exp(difficulty @ self.coefficients) * factor)[:, None] * _season_size(forecast, difficulty)
        ahead = forecast.shape[1]
        return np.maximum(forecast - width * self.below[:ahead], 0), forecast + width * self.above[:ahead]


def difficulty(demand: np.ndarray, season_length: int) -> np.ndarray:
    """What history alone says about how hard each series is to forecast, in logs.

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN where nothing is known.
    season_length : int
        Periods in a year.

    Returns
    -------
    ndarray, series × 4
        1; log of mean demand of the last year; of the mean change from period to period, and from the same period a year
        before, in the last two years.

    Examples
    --------
    A series that jumps by 2 every month, level 11:

    >>> np.exp(difficulty(np.array([[10.0, 12.0] * 12]), 12))[0, 1:3].round(6).tolist()
    [11.0, 2.0]
    """
    level = _mean_size(demand[:, -season_length:])
    level = np.where(level > 0, level, 1.0)
    recent = _RECENT_YEARS * season_length
    change = _mean_size(np.diff(demand, axis=1)[:, -recent:])
    yearly = (demand[:, season_length:] - demand[:, :-season_length])[:, -recent:]
    year = np.where((~np.isnan(yearly)).sum(axis=1) >= season_length // 2, _mean_size(yearly), change)
    # A constant series may change after all; one with a single period has its level to go by.
    sizes = [np.where(size > 0, np.maximum(size, _SMALLEST_SHARE * level), level * _SMALLEST_SHARE) for size in (change, year)]
    alone = (~np.isnan(demand)).sum(axis=1) < 2
    return np.column_stack([np.ones(len(demand)), np.log(level), *(np.log(np.where(alone, level, size)) for size in sizes)])


def calibrate(past: PastErrors, coverage: float, ahead: int) -> Calibration:
    """Range that held the share `coverage` of what happened, in all groups together and in each.

    log scale = difficulty · b (least squares on the log mean absolute error of every series and origin, leaning on equal
    parts of both changes). Width of each side: the quantile (1 + coverage) / 2 of signed scaled errors by period ahead,
    smoothed by √(a + b · h), a and b 0 or more; and at least u times the other side, u being the share of the year that no origin
    tested. Factor of a group: the quantile `coverage` of max(error / width above, −error / width below), so that a bound that
    cannot fall below zero does not make a range of small counts too wide; times t / z · √(1 + 1/n), Student's over the normal
    quantile, for the n independent forecasts its errors are worth (`_independent`). A group whose errors the back-test does not know
    has the factor of all, for the fewest cases. An error counts in units of, and a width is multiplied by, the size of its season
    (`_season_size`).

    Parameters
    ----------
    past : PastErrors
    coverage : float
        Such as 0.8.
    ahead : int
        Periods the range must reach.
    """
    error, coefficients, unseen = past.error, scale_coefficients(past), past.unseen_year
    scaled = error / np.exp(past.difficulty @ coefficients)[:, :, None]
    below, above = _growing_quantile(-scaled, coverage, ahead), _growing_quantile(scaled, coverage, ahead)
    # All that is forecast from a few months may err to one side in them, and to the other in the next.
    below, above = np.maximum(below, unseen * above), np.maximum(above, unseen * below)
    test = error.shape[2]
    score = np.maximum(scaled / above[:test], -scaled / below[:test])
    whole = _conformal_quantile(score[~np.isnan(score)], coverage)
    factor = {}
    for number in np.unique(past.group[past.group >= 0]).tolist():
        own = score[past.group == number]
        own = own[~np.isnan(own)]
        trust = len(own) / (len(own) + _SHARED_ERRORS)
        if len(own) >= _LEAST_ERRORS:
            enough = _few_cases(_independent(np.where((past.group == number)[:, :, None], scaled, np.nan)), coverage)
            quantile = max(float(np.quantile(own, coverage)), _LEAST_QUANTILE)
            factor[number] = whole ** (1 - trust) * quantile**trust * enough
    return Calibration(coefficients, below, above, factor, whole * _few_cases(0, coverage))


def _season_size(forecast: np.ndarray, difficulty: np.ndarray) -> np.ndarray:
    """How large errors are in a period's season against those of a whole year: (forecast / mean demand of the last year)^¾.

    Shapes: forecast is … × periods, difficulty … × features.
    """
    return np.clip(forecast / np.exp(difficulty[..., 1:2]), 1 / _MOST_SEASON, _MOST_SEASON) ** _SEASON_POWER


def scale_coefficients(past: PastErrors) -> np.ndarray:
    """How the log size of errors follows from `difficulty`: least squares over every series and origin, see `calibrate`."""
    return _scale_coefficients(past.error, past.difficulty)


def held_out_bounds(past: PastErrors, coverage: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds at every origin from the errors of the others, series × origins × test periods; NaN with a single origin.

    What they cover is what the range is worth: no error helped to draw the range it is counted against.
    """
    low, high = np.full(past.actual.shape, np.nan), np.full(past.actual.shape, np.nan)
    count = past.actual.shape[1]
    for number in range(count if count > 1 else 0):
        made = calibrate(past.at(np.arange(count) != number), coverage, past.actual.shape[2])
        low[:, number], high[:, number] = made.bounds(past.forecast[:, number], past.difficulty[:, number], past.group[:, number])
    return low, high


def range_table(
    nodes: Nodes, forecast: np.ndarray, bounds: dict[float, tuple[np.ndarray, np.ndarray]], periods: pd.DatetimeIndex
) -> pd.DataFrame:
    """Forecast and range of every member above item × market → `forecast_range`.

    A sum's range comes from the sum's own errors: the ranges of its members cannot be added up.

    Parameters
    ----------
    forecast : ndarray, nodes × ahead
    bounds : dict
        Lower and upper bounds (nodes × ahead) by coverage.
    """
    parts = []
    for level, member in nodes.members.items():
        if level == LEAF_LEVEL:
            continue
        rows = member["node"].to_numpy()
        for coverage, (low, high) in bounds.items():
            parts.append(
                pd.DataFrame(
                    {
                        "level": level,
                        "member": np.repeat(member["member"].to_numpy(), len(periods)),
                        "period": np.tile(periods.to_numpy(), len(rows)),
                        "coverage_ratio": coverage,
                        "forecast_qty": np.nan_to_num(forecast[rows]).ravel(),
                        "low_qty": np.nan_to_num(low[rows]).ravel(),
                        "high_qty": np.nan_to_num(high[rows]).ravel(),
                    }
                )
            )
    return tables.validate("forecast_range", pd.concat(parts, ignore_index=True)) if parts else tables.table("forecast_range").empty()


def coverage_table(nodes: Nodes, past: PastErrors, coverages: tuple[float, ...]) -> pd.DataFrame:
    """How much of the back-test the ranges held, level by level, each origin judged by the errors of the others.

    Returns
    -------
    DataFrame
        `forecast_coverage`; empty with fewer than two origins.
    """
    rows = []
    known = ~np.isnan(past.actual - past.forecast) & (past.group >= 0)[:, :, None]
    for coverage in coverages:
        low, high = held_out_bounds(past, coverage)
        judged = known & ~np.isnan(low)
        held = judged & (past.actual >= low) & (past.actual <= high)
        for level, member in nodes.members.items():
            node = np.unique(member["node"].to_numpy())
            if count := int(judged[node].sum()):
                rows.append({"level": level, "nominal_ratio": coverage, "covered_ratio": held[node].sum() / count, "error_count": count})
    columns = list(tables.table("forecast_coverage").columns)
    return tables.validate("forecast_coverage", pd.DataFrame(rows, columns=columns)) if rows else tables.table("forecast_coverage").empty()


def _mean_size(values: np.ndarray) -> np.ndarray:
    """Mean absolute value of each row; 0 where nothing is known."""
    known = ~np.isnan(values)
    return np.where(known, np.abs(values), 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _scale_coefficients(error: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Coefficients of the log scale, as if `_PRIOR_ORIGINS` series had shown the prior ones."""
    known = ~np.isnan(error)
    count = known.sum(axis=2)
    mean = np.where(known, np.abs(error), 0).sum(axis=2) / np.maximum(count, 1)
    used = (count > 0) & (mean > 0)
    x, y = features[used], np.log(mean[used]) - features[used] @ _PRIOR_COEFFICIENTS
    if not len(y):
        return _PRIOR_COEFFICIENTS
    # The constant is free; the slopes lean on the prior.
    centre = x.mean(axis=0)
    slopes = x[:, 1:] - centre[1:]
    gram = slopes.T @ slopes + _PRIOR_ORIGINS * np.eye(slopes.shape[1])
    moved = np.linalg.solve(gram, slopes.T @ (y - y.mean()))
    return _PRIOR_COEFFICIENTS + np.r_[y.mean() - centre[1:] @ moved, moved]


def _growing_quantile(error: np.ndarray, coverage: float, ahead: int) -> np.ndarray:
    """Upper quantile of signed errors by period ahead, made smooth; never below 0."""
    steps, values = [], []
    for step in range(error.shape[2]):
        known = error[:, :, step][~np.isnan(error[:, :, step])]
        if len(known) >= _LEAST_ERRORS:
            steps.append(step + 1)
            values.append(_conformal_quantile(known, (1 + coverage) / 2))
    horizon = np.arange(1, max(ahead, error.shape[2]) + 1)
    if not steps:
        # Too few errors for a quantile: twice the scale at the first step, growing with the root of time.
        return 2.0 * np.sqrt(horizon)
    if len(steps) < _LEAST_STEPS:
        return np.full(len(horizon), np.mean(values))
    # Noise stays, a wandering level adds variance period by period. Neither shrinks with the horizon: what falls is chance; a
    # term for an unsure trend besides would be told by chance too often, and be largest where nothing was tested.
    terms = np.column_stack([np.ones(len(steps)), steps]) / np.square(values)[:, None]
    noise, level = nnls(terms, np.ones(len(steps)))[0]
    return np.sqrt(noise + level * horizon)


def _conformal_quantile(values: np.ndarray, coverage: float) -> float:
    """Quantile with the correction of conformal prediction; 1 where there is nothing to go by."""
    if len(values) < _LEAST_ERRORS:
        return 1.0
    return max(float(np.quantile(values, min(1.0, np.ceil((len(values) + 1) * coverage) / len(values)))), _LEAST_QUANTILE)


def _independent(error: np.ndarray) -> float:
    """How many independent forecasts the errors (series × origins × test periods) of a group are worth.

    n = N / (1 + (m − 1) · ρ) for N forecasts, m of them an origin, and ρ the mean product of two forecasts' mean errors at the same
    origin over their mean square: a summer that all families miss together is seen once. Wild errors are cut at their 98 % quantile.
    """
    known = ~np.isnan(error)
    made = known.any(axis=2)
    mean = np.where(known, error, 0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    most = np.quantile(np.abs(mean[made]), _WILD)
    mean = np.where(made, np.clip(mean, -most, most), 0.0)
    total, squares, count = mean.sum(axis=0), (mean**2).sum(axis=0), made.sum(axis=0)
    pairs, spread = (count * (count - 1)).sum(), squares.sum() / made.sum()
    if pairs == 0 or spread == 0:
        return float(made.sum())
    together = max(float((total**2 - squares).sum() / pairs / spread), 0.0)
    return float(made.sum() / (1 + ((count**2).sum() / count.sum() - 1) * together))


def _few_cases(count: float, coverage: float) -> float:
    """By how much a range estimated from `count` cases must be wider than one that is known."""
    middle, cases = (1 + coverage) / 2, max(count, _FEWEST_CASES)
    return float(student.ppf(middle, cases - 1) / norm.ppf(middle) * np.sqrt(1 + 1 / cases))
