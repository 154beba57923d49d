"""Prophet's model as structure layer: trend with changepoints, yearly season, events; all series at once.

The model and its priors are Prophet's (Taylor & Letham 2018), in the multiplicative form

    y(t) = g(t) · (1 + X(t) β) + ε,   ε ~ N(0, σ)
    g(t) = k·t + m + Σ_j δ_j · max(t − s_j, 0),   δ_j ~ Laplace(0, τ),   k, m ~ N(0, 5),   σ ~ half-N(0, .5)

with one generalisation: β ~ N(prior mean, prior sd), where Prophet's prior mean is 0. A series then
leans on the season of its family, and an event on the uplift people stated, as far as its own data
leave room. The mode of the posterior is found by block coordinate descent (lasso step for the trend,
ridge step for β, closed form for σ) on whole matrices of series, which takes well below a millisecond
a series where the Prophet library takes about a hundred; a test holds both against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

FOURIER_ORDER = 6
SEASON_PRIOR = 0.1
CHANGEPOINTS = 12
_CHANGEPOINT_RANGE = 0.9
CHANGEPOINT_PRIOR = 0.05
_LEVEL_PRIOR = 5.0
_NOISE_PRIOR = 0.5
_OUTER, _SWEEPS, _TOLERANCE = 24, 4, 1e-5
_CHUNK = 200
# A season or event never divides by less than this: a month cannot hold less than 5 % of its trend.
LEAST_FACTOR = 0.05
# Classical factors this small come from a trend near zero: no season is taken out then.
_LEAST_CLASSICAL = 0.01


@dataclass(frozen=True)
class Structure:
    """What is known of the shape of each series.

    Attributes
    ----------
    trend : ndarray, series × periods
        Piecewise linear trend in units of demand.
    season_coefficients : ndarray, series × 2·order
        Of the yearly Fourier terms.
    event_coefficients : ndarray, series × event columns
        How far each event column really worked (1 = as stated).
    """

    trend: np.ndarray
    season_coefficients: np.ndarray
    event_coefficients: np.ndarray

    def season(self, dates: pd.DatetimeIndex) -> np.ndarray:
        """Seasonal effect per series and date, as a share of trend."""
        return self.season_coefficients @ yearly_terms(dates, self.season_coefficients.shape[1] // 2).T

    def factor(self, dates: pd.DatetimeIndex, effects: np.ndarray) -> np.ndarray:
        """What trend is multiplied by: 1 + season + events, series × dates."""
        return np.maximum(1 + self.season(dates) + self._effect(effects), LEAST_FACTOR)

    def event_factor(self, effects: np.ndarray) -> np.ndarray:
        """The same for events alone: 1 + events."""
        return np.maximum(1 + self._effect(effects), LEAST_FACTOR)

    def _effect(self, effects: np.ndarray) -> np.ndarray:
        return np.einsum("nte,ne->nt", effects, self.event_coefficients)


def yearly_terms(dates: pd.DatetimeIndex, order: int) -> np.ndarray:
    """Sine and cosine of the year, dates × 2·order, with Prophet's phase (days since 1970)."""
    days = (dates - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    angle = 2 * np.pi * np.outer(days, np.arange(1, order + 1)) / 365.25
    terms = np.empty((len(dates), 2 * order))
    terms[:, 0::2], terms[:, 1::2] = np.sin(angle), np.cos(angle)
    return terms


def fit_structure(
    demand: np.ndarray,
    dates: pd.DatetimeIndex,
    effects: np.ndarray,
    effect_mean: np.ndarray,
    effect_sd: np.ndarray,
    season_mean: np.ndarray | None = None,
    season_sd: np.ndarray | float = SEASON_PRIOR,
    changepoint_sd: float = CHANGEPOINT_PRIOR,
    order: int = FOURIER_ORDER,
) -> Structure:
    """Fit trend, season and events of every series.

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN where nothing is known (before the first sale, missing).
    dates : DatetimeIndex
        Of the periods.
    effects : ndarray, series × periods × event columns
        Stated effect of events as a share of base demand (0 where there is none).
    effect_mean, effect_sd : ndarray, event columns
        Prior of the event coefficients.
    season_mean : ndarray, series × 2·order, optional
        Prior mean of the season, such as the family's.
    season_sd : ndarray (series × 2·order, or series × 1) or float
        Prior standard deviation of the season; 0 takes the prior mean as it is.
    changepoint_sd : float
        τ: how readily the trend bends.

    Returns
    -------
    Structure
    """
    count = len(demand)
    season_mean = np.zeros((count, 2 * order)) if season_mean is None else season_mean
    season_sd = np.broadcast_to(np.asarray(season_sd, dtype=float), (count, 2 * order))
    # Chunks of series of like length: each is cut to the periods that its longest series has.
    rows = np.argsort(_begun(demand), kind="stable")
    chunks = [rows[start : start + _CHUNK] for start in range(0, max(count, 1), _CHUNK)]
    parts = [
        _fit_chunk(demand[part], dates, effects[part], effect_mean, effect_sd, season_mean[part], season_sd[part], changepoint_sd, order)
        for part in chunks
    ]
    back = np.argsort(rows, kind="stable")
    return Structure(*(np.concatenate(arrays)[back] for arrays in zip(*parts, strict=True)))


def _fit_chunk(
    demand: np.ndarray,
    dates: pd.DatetimeIndex,
    effects: np.ndarray,
    effect_mean: np.ndarray,
    effect_sd: np.ndarray,
    season_mean: np.ndarray,
    season_sd: np.ndarray,
    changepoint_sd: float,
    order: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    begun = int(_begun(demand).min(initial=demand.shape[1] - 1))
    whole, demand, effects = (demand, dates), demand[:, begun:], effects[:, begun:]
    dates = dates[begun:]
    seen = ~np.isnan(demand)
    scale = np.nanmax(np.where(seen, np.abs(demand), 0), axis=1, initial=0)
    scale[scale == 0] = 1.0
    y = np.where(seen, demand, 0) / scale[:, None]
    basis = _trend_basis(seen, dates) * seen[:, :, None]
    terms = np.broadcast_to(yearly_terms(dates, order), (len(y), len(dates), 2 * order))
    features = np.concatenate([terms, effects], axis=2) * seen[:, :, None]
    mean = np.hstack([season_mean, np.broadcast_to(effect_mean, (len(y), len(effect_mean)))])
    sd = np.hstack([season_sd, np.broadcast_to(effect_sd, (len(y), len(effect_sd)))])
    theta, beta = _posterior_mode(y, seen, basis, features, mean, np.maximum(sd, 1e-6), changepoint_sd)
    trend = np.einsum("ntp,np->nt", _trend_basis(~np.isnan(whole[0]), whole[1]), theta) * scale[:, None]
    return trend, beta[:, : 2 * order], beta[:, 2 * order :]


def _begun(demand: np.ndarray) -> np.ndarray:
    """First known period of each series; the last one where none is known."""
    seen = ~np.isnan(demand)
    return np.where(seen.any(axis=1), seen.argmax(axis=1), demand.shape[1] - 1)


def _trend_basis(seen: np.ndarray, dates: pd.DatetimeIndex) -> np.ndarray:
    """Series × periods × (slope, level, one hinge per changepoint), time running 0…1 over what each series has."""
    days = ((dates - dates[0]) / pd.Timedelta(days=1)).to_numpy()
    first = seen.argmax(axis=1)
    last = seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
    span = np.maximum(days[last] - days[first], 1.0)
    time = (days[None, :] - days[first][:, None]) / span[:, None]
    size = np.floor((last - first + 1) * _CHANGEPOINT_RANGE).astype(int)
    count = np.minimum(CHANGEPOINTS, size - 1)
    # Prophet's places: evenly over the first 90 % of the observations, the very first left out.
    number = np.arange(1, CHANGEPOINTS + 1)
    place = np.rint(number[None, :] * (size[:, None] - 1) / np.maximum(count, 1)[:, None]).astype(int)
    inside = number[None, :] <= count[:, None]
    at = days[np.clip(first[:, None] + place, 0, len(days) - 1)]
    at = np.where(inside, (at - days[first][:, None]) / span[:, None], np.inf)
    hinge = np.where(inside[:, None, :], np.maximum(time[:, :, None] - np.where(inside, at, 0)[:, None, :], 0), 0)
    return np.concatenate([time[:, :, None], np.ones_like(time)[:, :, None], hinge], axis=2)


def _posterior_mode(
    y: np.ndarray, seen: np.ndarray, basis: np.ndarray, features: np.ndarray, mean: np.ndarray, sd: np.ndarray, changepoint_sd: float
) -> tuple[np.ndarray, np.ndarray]:
    """Block coordinate descent on the negative log posterior; every array is series first.

    A series that has arrived is left out of the further rounds: its answer does not hang on its neighbours.
    """
    trend, beta = _start(y, seen, basis), mean.copy()
    variance, before = np.full(len(y), 0.01), np.full(len(y), np.inf)
    rows = np.arange(len(y))
    parts = (y, seen, basis, features, mean, sd)
    for _ in range(_OUTER):
        trend[rows], beta[rows], variance[rows], now = _round(*parts, trend[rows], beta[rows], variance[rows], changepoint_sd)
        moving = before[rows] - now >= _TOLERANCE * np.maximum(1, np.abs(now))
        before[rows] = now
        if not moving.all():
            rows = rows[moving]
            parts = tuple(part[moving] for part in parts)
        if not len(rows):
            break
    return trend, beta


def _round(
    y: np.ndarray,
    seen: np.ndarray,
    basis: np.ndarray,
    features: np.ndarray,
    mean: np.ndarray,
    sd: np.ndarray,
    theta: np.ndarray,
    beta: np.ndarray,
    variance: np.ndarray,
    changepoint_sd: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Trend, β and σ² after one more step each, and the negative log posterior there."""
    weighted = basis * (1 + (features @ beta[:, :, None]))
    gram, target = weighted.transpose(0, 2, 1) @ weighted, (y[:, None, :] @ weighted)[:, 0]
    ridge = np.zeros_like(theta)
    ridge[:, :2] = (variance / _LEVEL_PRIOR**2)[:, None]
    _lasso_sweeps(gram, target, ridge, variance / changepoint_sd, theta)
    trend = (basis @ theta[:, :, None])[:, :, 0]
    design = features * trend[:, :, None]
    beta = _ridge_step(y - trend, design, mean, sd, variance)
    error = np.where(seen, y - trend - (design @ beta[:, :, None])[:, :, 0], 0)
    count, squares = seen.sum(axis=1), (error**2).sum(axis=1)
    variance = _noise_variance(count, squares)
    return theta, beta, variance, _negative_log_posterior(count, squares, variance, theta, (beta - mean) / sd, changepoint_sd)


def _start(y: np.ndarray, seen: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Level at the mean, no slope, no change."""
    theta = np.zeros((len(y), basis.shape[2]))
    theta[:, 1] = y.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return theta


def _lasso_sweeps(gram: np.ndarray, target: np.ndarray, ridge: np.ndarray, lasso: np.ndarray, theta: np.ndarray) -> None:
    """A few sweeps of coordinate descent on ½θᵀGθ − cᵀθ + ½Σ ridge θ² + lasso Σ_{j≥2}|θ_j|, in place, all series abreast."""
    slope = np.einsum("npq,nq->np", gram, theta)
    for _ in range(_SWEEPS):
        for j in range(theta.shape[1]):
            curve = gram[:, j, j] + ridge[:, j]
            pull = target[:, j] - slope[:, j] + gram[:, j, j] * theta[:, j]
            if j >= 2:
                pull = np.sign(pull) * np.maximum(np.abs(pull) - lasso, 0)
            fresh = np.where(curve > 1e-12, pull / np.where(curve > 1e-12, curve, 1), 0)
            slope += gram[:, j, :] * (fresh - theta[:, j])[:, None]
            theta[:, j] = fresh


def _ridge_step(residual: np.ndarray, design: np.ndarray, mean: np.ndarray, sd: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """β that minimises the squared error plus its distance from the prior mean."""
    precision = variance[:, None] / sd**2
    gram = design.transpose(0, 2, 1) @ design
    diagonal = np.arange(gram.shape[1])
    gram[:, diagonal, diagonal] += precision
    right = (residual[:, None, :] @ design)[:, 0] + precision * mean
    return np.linalg.solve(gram, right[:, :, None])[:, :, 0]


def _noise_variance(count: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """σ² where n/σ − SS/σ³ + σ/prior² = 0."""
    prior = _NOISE_PRIOR**2
    return np.maximum((np.sqrt(count.astype(float) ** 2 + 4 * squares / prior) - count) * prior / 2, 1e-8)


def _negative_log_posterior(
    count: np.ndarray, squares: np.ndarray, variance: np.ndarray, theta: np.ndarray, standardised: np.ndarray, changepoint_sd: float
) -> np.ndarray:
    return (
        count * np.log(variance) / 2
        + squares / (2 * variance)
        + (theta[:, :2] ** 2).sum(axis=1) / (2 * _LEVEL_PRIOR**2)
        + np.abs(theta[:, 2:]).sum(axis=1) / changepoint_sd
        + (standardised**2).sum(axis=1) / 2
        + variance / (2 * _NOISE_PRIOR**2)
    )


def deseasonalised(demand: np.ndarray, season_length: int, dates: pd.DatetimeIndex | None = None) -> np.ndarray:
    """Demand without its yearly season, series × periods; as it is where there are less than two years.

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN where nothing is known.
    season_length : int
        Periods in a year.
    dates : DatetimeIndex, optional
        Of the periods; without them any evenly spaced year does, as the season is estimated from the same data.
    """
    if dates is None:
        days = np.arange(demand.shape[1]) * 365.25 / season_length
        dates = pd.Timestamp("2000-01-01") + pd.to_timedelta(days.round(), unit="D")
    enough = (~np.isnan(demand)).sum(axis=1) >= 2 * season_length
    if not enough.any():
        return demand.copy()
    none = np.zeros((len(demand), demand.shape[1], 0))
    fitted = fit_structure(demand, dates, none, np.zeros(0), np.zeros(0), None, np.where(enough, SEASON_PRIOR, 0.0)[:, None])
    return demand / fitted.factor(dates, none)


def classical_factors(demand: np.ndarray, season_length: int, ahead: int) -> tuple[np.ndarray, np.ndarray]:
    """Seasonal factors of classical multiplicative decomposition, where a series is seasonal; 1 where it is not.

    A factor is the mean ratio of demand to its centred average of one year in that period, scaled to a mean of 1. Seasonal is
    a series of two years or more whose autocorrelation at a year lies outside its 90 % band (Assimakopoulos & Nikolopoulos 2000,
    as in the M3 competition).

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN before a series began, no gaps after.
    season_length, ahead : int

    Returns
    -------
    (ndarray, ndarray)
        Factors of the periods of history and of those ahead.

    Examples
    --------
    >>> past, coming = classical_factors(np.tile([8.0, 12.0, 10.0, 10.0], 5)[None], 4, 2)
    >>> coming.round(2).tolist()
    [[0.8, 1.2]]
    """
    periods = demand.shape[1]
    window = np.r_[0.5, np.ones(season_length - 1), 0.5] if season_length % 2 == 0 else np.ones(season_length)
    half = len(window) // 2
    trend = np.full(demand.shape, np.nan)
    if periods >= len(window):
        trend[:, half : periods - half] = np.lib.stride_tricks.sliding_window_view(demand, len(window), axis=1) @ window / season_length
    ratio = demand / np.where(trend > 0, trend, np.nan)
    # Years counted back from the newest period, so that a column is always the same period of the year.
    ratio = np.hstack([np.full((len(demand), -periods % season_length), np.nan), ratio]).reshape(len(demand), -1, season_length)
    known = ~np.isnan(ratio)
    factor = np.where(known, ratio, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    seasonal = _is_seasonal(demand, season_length) & (factor > _LEAST_CLASSICAL).all(axis=1)
    factor = np.where(seasonal[:, None], factor / np.maximum(factor.mean(axis=1, keepdims=True), _LEAST_CLASSICAL), 1.0)
    place = (np.arange(periods + ahead) - periods) % season_length
    return factor[:, place[:periods]], factor[:, place[periods:]]


def _is_seasonal(demand: np.ndarray, season_length: int) -> np.ndarray:
    """Two years or more, and autocorrelation at a year outside 1.645 standard errors."""
    seen = ~np.isnan(demand)
    count = np.maximum(seen.sum(axis=1), 1)
    mean = np.where(seen, demand, 0).sum(axis=1) / count
    centred = np.where(seen, demand - mean[:, None], 0)
    power = np.maximum((centred**2).sum(axis=1), 1e-300)
    lags = [(centred[:, lag:] * centred[:, :-lag]).sum(axis=1) / power for lag in range(1, min(season_length, demand.shape[1] - 1) + 1)]
    if len(lags) < season_length:
        return np.zeros(len(demand), dtype=bool)
    correlation = np.stack(lags, axis=1)
    band = 1.645 * np.sqrt((1 + 2 * (correlation[:, :-1] ** 2).sum(axis=1)) / count)
    return (np.abs(correlation[:, -1]) > band) & (count >= 2 * season_length)


def repeats_yearly(demand: np.ndarray, season_length: int) -> np.ndarray:
    """Whether the growth from period to period repeats itself a year later, one answer per series.

    The correlation of log growth with that of a year before must be above 2.33 / √n (99 % one-sided). A launch or a new
    channel lifts demand once; two years of data with one lift would otherwise pass for a season.
    """
    growth = np.diff(np.log1p(np.maximum(demand, 0)), axis=1)
    answers = np.zeros(len(demand), dtype=bool)
    for row, series in enumerate(growth):
        known = series[~np.isnan(series)]
        if len(known) < 2 * season_length - 1:
            continue
        centred = known - np.median(known)
        # One jump must not make the correlation alone.
        limit = 2.5 * 1.4826 * np.median(np.abs(centred))
        steps = np.clip(centred, -limit, limit)
        now, before = steps[season_length:], steps[:-season_length]
        if now.std() > 0 and before.std() > 0:
            answers[row] = np.corrcoef(now, before)[0, 1] > 2.33 / np.sqrt(len(now))
    return answers
