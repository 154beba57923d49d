"""Theta, exponential and complex smoothing of all series at once.

A library fits one series after the other by a search in all parameters. But in each of these models the start values (and
theta's weight) enter the one-step errors linearly: for given smoothing parameters the best of them is the solution of a
two-by-two system. So every series runs abreast through one recursion over a grid of the few parameters that are not linear,
which takes a fiftieth of the time for Theta, a sixth for exponential smoothing. Theta takes the best point of its grid;
exponential and complex smoothing take the mean of all, each weighted by its likelihood: with a year or two of noisy months
many parameters explain demand about equally well, and the mean of what they say is safer than what the luckiest one says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sop_workbench.forecast.structure import classical_factors

_CHUNK = 64
_THETA_LEVELS = np.r_[np.linspace(0.05, 0.95, 19), 0.99]
# Theta's first one-step errors rest on a line through one or two points.
_THETA_START = 3
_LEVELS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 0.95)
_TREND_SHARES = (0.0, 0.05, 0.15, 0.4)
_DAMPING = (1.0, 0.98, 0.9, 0.8)
_CES_REAL, _CES_IMAGINARY = (0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5, 1.7, 1.9), (0.7, 0.85, 0.95, 1.0, 1.05, 1.15, 1.3)
# Of the second start value (slope), in units of the mean squared level: keeps a start that few periods tell about near 0.
_SLOPE_RIDGE = 1e-3
# A month below 2 % of a series' mean is read as that much in logs.
_LEAST_SHARE = 0.02
_LEAST = 1e-12

Batch = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def theta(demand: np.ndarray, ahead: int, season_length: int = 1) -> np.ndarray:
    """Dynamic optimised Theta of every series.

    μ(t) = ℓ(t−1) + w · [(1−α)^(t−1) · A(t−1) + (1 − (1−α)^t)/α · B(t−1)], ℓ(t) = α·y(t) + (1−α)·ℓ(t−1),
    with A, B the line through demand up to t−1 and w = 1 − 1/θ; α, ℓ(0) and w of least squared error from the fourth period on
    (Fiorucci et al. 2016, International Journal of Forecasting 32).

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN before a series began, no gaps after.
    ahead : int
    season_length : int
        Above 1, the season is taken out by classical decomposition where a series has one, and put back in.

    Returns
    -------
    ndarray, series × ahead
        0 or more; NaN where a series has no demand at all.

    Examples
    --------
    A line is continued at half its slope in the long run, at nearly all of it where the fit says so:

    >>> theta(np.arange(20.0, 40)[None], 2).round(1).tolist()
    [[40.0, 41.0]]
    """
    return _with_season(_theta, demand, ahead, season_length)


def exponential_smoothing(demand: np.ndarray, ahead: int, season_length: int = 1) -> np.ndarray:
    """Exponential smoothing of every series: level, trend and damped trend, on demand and on its logarithm, averaged by likelihood.

    e(t) = y(t) − ℓ(t−1) − φ·b(t−1), ℓ(t) = ℓ(t−1) + φ·b(t−1) + α·e(t), b(t) = φ·b(t−1) + β·e(t). Every (α, β, φ) weighs
    exp(−AICc/2), AICc = n·log(Σe²/n) + 2q·n/(n−q−1), plus 2·Σ log y for the logarithm so that both are likelihoods of demand
    itself; q counts the parameters (Hyndman et al. 2008, Forecasting with Exponential Smoothing).

    Parameters
    ----------
    demand : ndarray, series × periods
        NaN before a series began, no gaps after.
    ahead : int
    season_length : int
        Above 1, the season is taken out by classical decomposition where a series has one, and put back in.

    Returns
    -------
    ndarray, series × ahead
        0 or more; NaN where a series has no demand at all.

    Examples
    --------
    >>> exponential_smoothing(np.full((1, 12), 7.0), 2).round(6).tolist()
    [[7.0, 7.0]]
    """
    return _with_season(_exponential, demand, ahead, season_length)


def complex_smoothing(demand: np.ndarray, ahead: int, season_length: int = 1) -> np.ndarray:
    """Complex exponential smoothing of every series, averaged by likelihood over its stable parameters.

    ℓ(t) = ℓ(t−1) − (1−α₁)·c(t−1) + (α₀−α₁)·e(t), c(t) = ℓ(t−1) + (1−α₀)·c(t−1) + (α₀+α₁)·e(t), e(t) = y(t) − ℓ(t−1)
    (Svetunkov, Kourentzes & Ord 2022, Naval Research Logistics 69). Parameters and answer as in `exponential_smoothing`.

    Examples
    --------
    >>> complex_smoothing(np.full((1, 24), 7.0), 2).round(2).tolist()
    [[7.0, 7.0]]
    """
    return _with_season(_complex, demand, ahead, season_length)


def _with_season(batch: Batch, demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    if season_length == 1:
        return _in_chunks(batch, demand, ahead)
    past, coming = classical_factors(demand, season_length, ahead)
    return _in_chunks(batch, demand / past, ahead) * coming


def _in_chunks(batch: Batch, demand: np.ndarray, ahead: int) -> np.ndarray:
    """Series of like length together, each starting in the first column and in units of its mean: small enough for the cache."""
    length = (~np.isnan(demand)).sum(axis=1)
    made = np.full((len(demand), ahead), np.nan)
    order = np.argsort(length, kind="stable")
    order = order[length[order] > 0]
    for start in range(0, len(order), _CHUNK):
        rows = order[start : start + _CHUNK]
        longest = int(length[rows].max())
        place = np.arange(longest)[None, :] + demand.shape[1] - length[rows][:, None]
        inside = place < demand.shape[1]
        y = np.where(inside, demand[rows[:, None], np.minimum(place, demand.shape[1] - 1)], 0.0)
        scale = np.maximum(np.abs(y).sum(axis=1) / length[rows], _LEAST)
        made[rows] = np.maximum(batch(y / scale[:, None], length[rows], ahead) * scale[:, None], 0.0)
    return made


@dataclass(frozen=True)
class _Line:
    """Mean, intercept and slope of demand against time up to a period, one per series."""

    mean: np.ndarray
    intercept: np.ndarray
    slope: np.ndarray

    def after(self, count: np.ndarray | float, value: np.ndarray) -> _Line:
        """With the value of period `count` (from 1) added."""
        slope = ((count - 2) * self.slope + 6 / count * (value - self.mean)) / (count + 1)
        slope = np.where(np.asarray(count) == 1, 0.0, slope)
        mean = ((count - 1) * self.mean + value) / count
        return _Line(mean, mean - (count + 1) / 2 * slope, slope)

    def where(self, known: np.ndarray, other: _Line) -> _Line:
        """The line itself where known, the other one elsewhere."""
        return _Line(*(np.where(known, mine, its) for mine, its in zip(vars(self).values(), vars(other).values(), strict=True)))


def _theta(y: np.ndarray, length: np.ndarray, ahead: int) -> np.ndarray:
    """The best α of the grid with its exact ℓ(0) and w; arrays are grid × series."""
    alpha = _THETA_LEVELS[:, None]
    level, sums = np.zeros((len(alpha), len(y))), _Squares.zeros(len(alpha), len(y))
    line = _Line(*np.zeros((3, len(y))))
    for t in range(y.shape[1]):
        known = t < length
        decay = (1 - alpha) ** t
        drift = decay * line.intercept + (1 - decay * (1 - alpha)) / alpha * line.slope
        sums.add(np.where(known, y[:, t] - level, 0.0), decay, drift, known & (t >= _THETA_START))
        level = np.where(known, alpha * y[:, t] + (1 - alpha) * level, level)
        line = line.after(t + 1, y[:, t]).where(known, line)
    start, weight, error = sums.solved(0.0, 1.0)
    best, series = error.argmin(axis=0), np.arange(len(y))
    decay = (1 - _THETA_LEVELS[best]) ** length
    level = level[best, series] + decay * start[best, series]
    return _theta_ahead(_THETA_LEVELS[best], weight[best, series], level, line, length, ahead)


def _theta_ahead(alpha: np.ndarray, weight: np.ndarray, level: np.ndarray, line: _Line, length: np.ndarray, ahead: int) -> np.ndarray:
    """The recursion continued with its own answers."""
    made = np.empty((len(level), ahead))
    for step in range(ahead):
        count = length + step + 1
        decay = (1 - alpha) ** (count - 1)
        made[:, step] = level + weight * (decay * line.intercept + (1 - decay * (1 - alpha)) / alpha * line.slope)
        level = alpha * made[:, step] + (1 - alpha) * level
        line = line.after(count, made[:, step])
    return made


@dataclass
class _Squares:
    """Sums of products that the least squares of e = r − x·u − z·v needs, grid × series."""

    uu: np.ndarray
    uv: np.ndarray
    vv: np.ndarray
    ru: np.ndarray
    rv: np.ndarray
    rr: np.ndarray

    @classmethod
    def zeros(cls, points: int, series: int) -> _Squares:
        """Before the first period."""
        return cls(*np.zeros((6, points, series)))

    def add(self, r: np.ndarray, u: np.ndarray, v: np.ndarray, counts: np.ndarray) -> None:
        """One more period, for the series in which it counts."""
        r, u, v = r * counts, u * counts, v * counts
        for name, value in (("uu", u * u), ("uv", u * v), ("vv", v * v), ("ru", r * u), ("rv", r * v), ("rr", r * r)):
            getattr(self, name).__iadd__(value)

    def solved(self, least: float, most: float, ridge: float = 1e-9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, z between bounds, and the sum of squares that remains."""
        uu, vv = self.uu + 1e-9, self.vv + ridge
        z = np.clip((uu * self.rv - self.uv * self.ru) / np.maximum(uu * vv - self.uv**2, _LEAST), least, most)
        x = (self.ru - z * self.uv) / uu
        left = self.rr - 2 * (x * self.ru + z * self.rv) + x * x * uu + 2 * x * z * self.uv + z * z * vv
        return x, z, np.maximum(left, _LEAST)


@dataclass(frozen=True)
class _Grid:
    """Points of a two-state model y(t) = s₁(t−1)·a + s₂(t−1)·b + e(t), s(t) = F·s(t−1) + g·e(t); arrays are points first.

    Attributes
    ----------
    transition : ndarray, points × 2 × 2
        F.
    gain : ndarray, points × 2
        g.
    reading : ndarray, points × 2
        (a, b).
    parameters : ndarray, points
        q, with the start values and the variance.
    """

    transition: np.ndarray
    gain: np.ndarray
    reading: np.ndarray
    parameters: np.ndarray

    def responses(self, periods: int) -> tuple[np.ndarray, np.ndarray]:
        """What a start value of 1 adds to each later reading (periods × points × 2) and state (periods + 1 × points × 2 × 2)."""
        closed = self.transition - self.gain[:, :, None] * self.reading[:, None, :]
        states = np.empty((periods + 1, len(self.gain), 2, 2))
        states[0] = np.eye(2)
        for t in range(periods):
            states[t + 1] = closed @ states[t]
        return np.einsum("gi,tgij->tgj", self.reading, states[:-1]), states


def _exponential_grid() -> _Grid:
    level_only = [(level, 0.0, 0.0, 3) for level in _LEVELS]
    trended = [(level, level * share, phi, 5 + (phi < 1)) for phi in _DAMPING for level in _LEVELS for share in _TREND_SHARES]
    alpha, beta, phi, count = np.array(level_only + trended).T
    one, zero = np.ones_like(alpha), np.zeros_like(alpha)
    transition = np.stack([np.stack([one, phi], axis=1), np.stack([zero, phi], axis=1)], axis=1)
    return _Grid(transition, np.stack([alpha, beta], axis=1), np.stack([one, phi], axis=1), count)


def _complex_grid() -> _Grid:
    real, imaginary = (part.ravel() for part in np.meshgrid(_CES_REAL, _CES_IMAGINARY))
    one, zero = np.ones_like(real), np.zeros_like(real)
    transition = np.stack([np.stack([one, imaginary - 1], axis=1), np.stack([one, 1 - real], axis=1)], axis=1)
    gain, reading = np.stack([real - imaginary, real + imaginary], axis=1), np.stack([one, zero], axis=1)
    stable = np.abs(np.linalg.eigvals(transition - gain[:, :, None] * reading[:, None, :])).max(axis=1) <= 1
    return _Grid(transition[stable], gain[stable], reading[stable], np.full(stable.sum(), 5))


def _exponential(y: np.ndarray, length: np.ndarray, ahead: int) -> np.ndarray:
    """Demand and its logarithm under the same grid; each is a likelihood of demand."""
    grid, inside = _exponential_grid(), np.arange(y.shape[1])[None, :] < length[:, None]
    logs = np.where(inside, np.log(np.maximum(y, _LEAST_SHARE)), 0.0)
    plain = _fitted(grid, y, length)
    logged = _fitted(grid, logs, length)
    criterion = np.vstack([plain[0], logged[0] + 2 * logs.sum(axis=1)])
    share = _likelihood_share(criterion)
    parts = share[: len(grid.gain)], share[len(grid.gain) :]
    # A mean of logarithms needs shares that add up to one.
    total = parts[1].sum(axis=0)
    in_logs = _averaged(grid, logged[1], parts[1] / np.maximum(total, _LEAST), ahead)
    return _averaged(grid, plain[1], parts[0], ahead) + np.exp(np.minimum(in_logs, np.log(1 / _LEAST))) * total[:, None]


def _complex(y: np.ndarray, length: np.ndarray, ahead: int) -> np.ndarray:
    grid = _complex_grid()
    criterion, states = _fitted(grid, y, length)
    return _averaged(grid, states, _likelihood_share(criterion), ahead)


def _fitted(grid: _Grid, y: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AICc (points × series) and last states (2 × points × series) of every point with its best start values."""
    reading, states = grid.responses(y.shape[1])
    first, second, ru, rv, rr = np.zeros((5, len(grid.gain), len(y)))
    entry = [grid.transition[:, i, j, None] for i in (0, 1) for j in (0, 1)]
    for t in range(y.shape[1]):
        error = y[:, t] - (grid.reading[:, :1] * first + grid.reading[:, 1:] * second)
        known = t < length
        if not known.all():
            error *= known
        ru += error * reading[t, :, :1]
        rv += error * reading[t, :, 1:]
        rr += error * error
        moved = entry[0] * first + entry[1] * second + grid.gain[:, :1] * error
        second_moved = entry[2] * first + entry[3] * second + grid.gain[:, 1:] * error
        first, second = (moved, second_moved) if known.all() else (np.where(known, moved, first), np.where(known, second_moved, second))
    gram = np.cumsum(np.einsum("tgi,tgj->tgij", reading, reading), axis=0)[length - 1].transpose(1, 0, 2, 3)
    sums = _Squares(gram[..., 0, 0], gram[..., 0, 1], gram[..., 1, 1], ru, rv, rr)
    x, z, left = sums.solved(-np.inf, np.inf, _SLOPE_RIDGE)
    start = states[length].transpose(1, 0, 2, 3)
    last = np.stack([first + start[..., 0, 0] * x + start[..., 0, 1] * z, second + start[..., 1, 0] * x + start[..., 1, 1] * z])
    q = grid.parameters[:, None]
    return length * np.log(left / length) + 2 * q * length / np.maximum(length - q - 1, 1), last


def _likelihood_share(criterion: np.ndarray) -> np.ndarray:
    share = np.exp(-(criterion - criterion.min(axis=0)) / 2)
    return share / share.sum(axis=0)


def _averaged(grid: _Grid, last: np.ndarray, share: np.ndarray, ahead: int) -> np.ndarray:
    """Forecast of every point, added up by share: series × ahead."""
    made = np.empty((last.shape[2], ahead))
    reading, transition = grid.reading.copy(), grid.transition
    for step in range(ahead):
        made[:, step] = np.einsum("gi,ign,gn->n", reading, last, share, optimize=False)
        reading = np.einsum("gi,gij->gj", reading, transition)
    return made
