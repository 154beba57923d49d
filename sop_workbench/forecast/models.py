"""Every series through the models that suit it: structure taken out, extrapolated, put back in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from sop_workbench.forecast import candidates, smoothing
from sop_workbench.forecast.events import EFFECT_MEAN, EFFECT_SD
from sop_workbench.forecast.learned import FULL_EXAMPLES, boosted_trees, learn
from sop_workbench.forecast.panel import like_for_like, repeats_quarterly
from sop_workbench.forecast.structure import (
    FOURIER_ORDER,
    LEAST_FACTOR,
    SEASON_PRIOR,
    Structure,
    fit_structure,
    repeats_yearly,
    yearly_terms,
)

ENDED, SHORT, INTERMITTENT, REGULAR = "ended", "short", "intermittent", "regular"
# Periods of evidence, of months or of weeks: with fewer known a series is its newest level. (52 weeks: the company's items .3 to .4 %
# worse, those of AdventureWorks 6 % better, with ranges that score 28 % worse at 95 %.)
SHORT_PERIODS = 12
SEASONS, _SEASONS_BY_ITSELF = 2, 3
INTERMITTENT_INTERVAL = 1.32
_OWN_SEASON_PRIOR = 0.05
_QUARTER_PRIOR = 0.3
_QUARTER_TERMS = np.array([6, 7])  # sine and cosine of the fourth harmonic of the year
# How many average gaps without a sale make a series count as ended, and at least how many periods, of months or of weeks. (26 weeks:
# the company's items are told up to 1.6 % worse.)
_ENDED_GAPS, _ENDED_PERIODS = 4, 6


Reads = Literal["series", "dates", "all"]


@dataclass(frozen=True)
class Model:
    """A named model.

    Attributes
    ----------
    name : str
    forecast : callable
        By `reads`: (history of one series, ahead, season length); (history, its dates, dates ahead, season length); or all
        series at once as a matrix (series × periods, ahead, season length), and what was learned where the model learns.
    is_on_structure : bool
        Applied to demand without season and events and joined to them again; or to demand without events alone.
    reads : "series", "dates" or "all"
    learn : callable, optional
        (matrix, ahead, season length): what the model learns from all series once and forecasts from at later origins too.
    """

    name: str
    forecast: Callable[..., np.ndarray]
    is_on_structure: bool = False
    reads: Reads = "all"
    learn: Callable[[np.ndarray, int, int], Any] | None = None


STRUCTURE_THETA = Model("structure + theta", smoothing.theta, is_on_structure=True)
STRUCTURE_ETS = Model("structure + ets", smoothing.exponential_smoothing, is_on_structure=True)
STRUCTURE_CES = Model("structure + ces", smoothing.complex_smoothing, is_on_structure=True)
THETA = Model("theta", smoothing.theta)
AUTO_ETS = Model("auto ets", candidates.exponential_smoothing, reads="series")
CES = Model("ces", candidates.complex_smoothing, reads="series")
PROPHET = Model("prophet", candidates.prophet, reads="dates")
TREES = Model("boosted trees", boosted_trees, learn=learn)
MORE_TREES = Model("boosted trees", boosted_trees, learn=partial(learn, examples=FULL_EXAMPLES))
STRUCTURE_TREES = Model("structure + trees", boosted_trees, is_on_structure=True, learn=partial(learn, examples=FULL_EXAMPLES))
NAIVE = Model("naive", candidates.naive, reads="series")
SEASONAL_NAIVE = Model("seasonal naive", candidates.seasonal_naive, reads="series")
AVERAGE = Model("moving average", candidates.moving_average, is_on_structure=True, reads="series")
RECENT = Model("recent mean", candidates.naive, is_on_structure=True, reads="series")
IMAPA = Model("imapa", candidates.imapa, is_on_structure=True, reads="series")
TSB = Model("tsb", candidates.tsb, is_on_structure=True, reads="series")
CROSTON = Model("croston sba", candidates.croston, is_on_structure=True, reads="series")

# Every model a planner can ask for by name.
MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        STRUCTURE_THETA, STRUCTURE_ETS, STRUCTURE_CES, THETA, AUTO_ETS, CES, PROPHET, TREES, STRUCTURE_TREES, NAIVE, SEASONAL_NAIVE,
        AVERAGE, RECENT, IMAPA, TSB, CROSTON,
    )
}  # fmt: skip

# A series of less than twelve periods is its last three: a longer mean holds those in which it was launched.
_FEW_SALES = {INTERMITTENT: (IMAPA, TSB, AVERAGE), SHORT: (RECENT,), ENDED: ()}
ROUTES: dict[str, dict[str, tuple[Model, ...]]] = {
    "quick": {REGULAR: (STRUCTURE_THETA,), INTERMITTENT: (AVERAGE, TSB), SHORT: (RECENT,), ENDED: ()},
    "standard": {REGULAR: (STRUCTURE_ETS, THETA, TREES), **_FEW_SALES},
    "full": {REGULAR: (STRUCTURE_ETS, THETA, CES, MORE_TREES, STRUCTURE_TREES), **_FEW_SALES},
}


def route(demand: np.ndarray) -> np.ndarray:
    """Kind of each series by its length and its zeros: ended, short, intermittent or regular."""
    seen = ~np.isnan(demand)
    length = seen.sum(axis=1)
    sold = np.nan_to_num(demand) > 0
    interval = length / np.maximum(sold.sum(axis=1), 1)
    silent = np.where(sold.any(axis=1), sold[:, ::-1].argmax(axis=1), length)
    ended = (silent >= np.maximum(_ENDED_PERIODS, _ENDED_GAPS * interval)) | ~sold.any(axis=1)
    kinds = [ended, length < SHORT_PERIODS, interval > INTERMITTENT_INTERVAL]
    return np.select(kinds, [ENDED, SHORT, INTERMITTENT], REGULAR)


def forecast_models(
    demand: np.ndarray,
    dates: pd.DatetimeIndex,
    effects: np.ndarray,
    ahead: pd.DatetimeIndex,
    groups: list[np.ndarray],
    shapes: np.ndarray,
    season_length: int,
    routes: dict[str, tuple[Model, ...]],
    always: tuple[Model, ...] = (),
    learned: dict[str, Any] | None = None,
) -> dict[str, np.ndarray]:
    """Forecast of every model for every series on its route.

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN before the first sale and in gaps.
    effects : ndarray, series × (periods + ahead) × event columns
        Stated effects of events.
    groups : list of ndarray of int
        Groups whose season a series leans on, from the widest to the closest.
    shapes : ndarray of bool, series
        Series that shape the season of their groups (a sum of them would only count them again).
    routes : dict
        Models of each kind of series.
    always : tuple of Model
        Models run on every series, to compare with.
    learned : dict, optional
        What models learned from all series, by name; filled where a name is absent. A back-test hands on the dict of its
        oldest origin: nothing is then learned from periods that an origin cannot know, and it is learned once.

    Returns
    -------
    dict of ndarray, series × ahead
        By model name; NaN where a model does not suit the series.
    """
    with_season, events_only, future_season, future_events = _factors(demand, dates, effects, ahead, groups, shapes, season_length)
    # A series of less than three years cannot show its season by itself: it has that of its groups taken out for every model.
    young = ((~np.isnan(demand)).sum(axis=1) < _SEASONS_BY_ITSELF * season_length)[:, None] & bool(groups)
    events_only, future_events = np.where(young, with_season, events_only), np.where(young, future_season, future_events)
    one, own = np.ones(len(demand), dtype=int), np.where(young[:, 0], 1, season_length)
    views = {
        True: _View(_bridged(demand / with_season), future_season, one, season_length, dates, ahead),
        False: _View(_bridged(demand / events_only), future_events, own, season_length, dates, ahead),
    }
    kinds, learned = route(demand), {} if learned is None else learned
    jobs = [(model, np.flatnonzero(kinds == kind)) for kind, models in routes.items() for model in models]
    begun = np.flatnonzero((~np.isnan(demand)).any(axis=1))
    results: dict[str, np.ndarray] = {}
    for model, rows in jobs + [(model, begun) for model in always]:
        made = results.setdefault(model.name, np.full(future_season.shape, np.nan))
        if len(rows):
            made[rows] = _run(model, views[model.is_on_structure], rows, learned)
    return results


@dataclass(frozen=True)
class _View:
    """Demand as a model sees it, what its answer is multiplied by, the season left to it by series (1: none), and periods in a year."""

    base: np.ndarray
    future: np.ndarray
    season_length: np.ndarray
    year: int
    dates: pd.DatetimeIndex
    ahead: pd.DatetimeIndex


def _run(model: Model, view: _View, rows: np.ndarray, learned: dict[str, Any]) -> np.ndarray:
    """Forecast of one model for some series."""
    base, factor, steps, season = view.base[rows], view.future[rows], view.future.shape[1], view.season_length[rows]
    if model.learn is not None:
        if learned.get(model.name) is None:
            learned[model.name] = model.learn(base, steps, view.year)
        return model.forecast(base, steps, learned[model.name]) * factor
    made = np.empty(factor.shape)
    if model.reads == "all":
        for length in np.unique(season).tolist():
            made[season == length] = model.forecast(base[season == length], steps, length)
        return made * factor
    for row, (series, known, length) in enumerate(zip(base, ~np.isnan(base), season.tolist(), strict=True)):
        if model.reads == "dates":
            made[row] = model.forecast(series[known], view.dates[known], view.ahead, view.year)
        else:
            made[row] = model.forecast(series[known], steps, length)
    return made * factor


def _factors(
    demand: np.ndarray,
    dates: pd.DatetimeIndex,
    effects: np.ndarray,
    ahead: pd.DatetimeIndex,
    groups: list[np.ndarray],
    shapes: np.ndarray,
    season_length: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Season and event factors of history and horizon, with and without season."""
    past, coming = effects[:, : len(dates)], effects[:, len(dates) :]
    fitted = fitted_structure(demand, dates, past, groups, shapes, season_length)
    return fitted.factor(dates, past), fitted.event_factor(past), fitted.factor(ahead, coming), fitted.event_factor(coming)


def fitted_structure(
    demand: np.ndarray, dates: pd.DatetimeIndex, effects: np.ndarray, groups: list[np.ndarray], shapes: np.ndarray, season_length: int
) -> Structure:
    """Trend, season and events of every series, its season leaning on that of its groups.

    Parameters
    ----------
    demand : ndarray, series × periods
    effects : ndarray, series × periods × event columns
    groups, shapes
        As for `forecast_models`.
    """
    mean = np.zeros((len(demand), 2 * FOURIER_ORDER))
    shaping = np.where(shapes[:, None], demand, np.nan)
    for group in groups[:-1]:
        mean = _group_season(shaping, dates, group, mean, season_length)
    quarter = np.zeros(len(demand), dtype=bool)
    if groups:
        quarter = _has_quarter_cycle(demand, dates, groups[-1], mean, season_length)
        mean[:, _QUARTER_TERMS] = _group_quarter(shaping, dates, groups[-1], mean, quarter)
    own_sd = _own_season_sd(demand, season_length, quarter, bool(groups))
    return fit_structure(demand, dates, effects, EFFECT_MEAN, EFFECT_SD, mean, own_sd)


def _group_season(demand: np.ndarray, dates: pd.DatetimeIndex, group: np.ndarray, mean: np.ndarray, season_length: int) -> np.ndarray:
    """Season of each series' group, estimated on the like-for-like demand of the group and leaning on the wider group's."""
    total = like_for_like(demand, group)
    wider = np.zeros((len(total), mean.shape[1]))
    wider[group] = mean
    sd = np.where(repeats_yearly(total, season_length), SEASON_PRIOR, 0.0)[:, None]
    none = np.zeros((len(total), len(dates), 0))
    return fit_structure(total, dates, none, np.zeros(0), np.zeros(0), wider, sd).season_coefficients[group]


def _group_quarter(demand: np.ndarray, dates: pd.DatetimeIndex, group: np.ndarray, mean: np.ndarray, quarter: np.ndarray) -> np.ndarray:
    """Quarter cycle of each series' customers, who order together whatever they order; that of the season where they have none."""
    total = like_for_like(demand, group)
    wider, sd = np.zeros((len(total), mean.shape[1])), np.zeros((len(total), mean.shape[1]))
    wider[group] = mean
    sd[np.ix_(np.unique(group[quarter]), _QUARTER_TERMS)] = _QUARTER_PRIOR
    none = np.zeros((len(total), len(dates), 0))
    own = fit_structure(total, dates, none, np.zeros(0), np.zeros(0), wider, sd).season_coefficients[group]
    return np.where(quarter[:, None], own, mean)[:, _QUARTER_TERMS]


def _has_quarter_cycle(demand: np.ndarray, dates: pd.DatetimeIndex, group: np.ndarray, mean: np.ndarray, season_length: int) -> np.ndarray:
    """Whether series of the group repeat themselves after a quarter, once the season of the group is out."""
    season = np.maximum(1 + mean @ yearly_terms(dates, FOURIER_ORDER).T, LEAST_FACTOR)
    return repeats_quarterly(demand / season, group, season_length // 4)[group]


def _own_season_sd(demand: np.ndarray, season_length: int, quarter: np.ndarray, has_group: bool) -> np.ndarray:
    """How far a series may leave the season of its group: a little after two years, freely in a quarter's cycle it is known to have."""
    length = (~np.isnan(demand)).sum(axis=1)
    year = np.where(length >= SEASONS * season_length, _OWN_SEASON_PRIOR if has_group else SEASON_PRIOR, 0.0)
    sd = np.repeat(year[:, None], 2 * FOURIER_ORDER, axis=1)
    sd[np.ix_(quarter & (length >= season_length / 2), _QUARTER_TERMS)] = _QUARTER_PRIOR
    return sd


def _bridged(series: np.ndarray) -> np.ndarray:
    """Gaps inside a series bridged by a straight line; what is empty before the first sale stays empty."""
    first = (~np.isnan(series)).argmax(axis=1)
    gap = np.isnan(series) & (np.arange(series.shape[1])[None, :] >= first[:, None])
    filled = series.copy()
    for row in np.flatnonzero(gap.any(axis=1) & ~np.isnan(series).all(axis=1)):
        known = np.flatnonzero(~np.isnan(series[row]))
        holes = np.flatnonzero(gap[row])
        filled[row, holes] = np.interp(holes, known, series[row, known])
    return filled
