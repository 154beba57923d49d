"""The candidate models: each takes the history of one series and returns its next periods.

A candidate never fails: statsforecast and Prophet raise on tiny or degenerate series, and a planner
must get a number for the other series, so a model that cannot be fitted gives the mean of the last
three periods. `prophet` is the real library; it is slow and belongs on the leaderboard.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Candidate = Callable[[np.ndarray, int, int], np.ndarray]

# The newest level, of months or of weeks. (13 and 26 weeks: the company's items within .3 %, those of AdventureWorks .5 and 2 % worse.)
_NAIVE_PERIODS = 3
_AVERAGE_PERIODS = 6
# A fit takes .05 s. On a handful of points that a broken line meets exactly Stan's line search never ends.
_PROPHET_SECONDS = 20


def naive(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """Mean of the last three periods, carried forward."""
    return np.full(ahead, demand[-_NAIVE_PERIODS:].mean())


def moving_average(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """Mean of the last six periods, carried forward."""
    return np.full(ahead, demand[-_AVERAGE_PERIODS:].mean())


def seasonal_naive(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """The same period of the last year; `naive` where there is no whole year."""
    if len(demand) < season_length:
        return naive(demand, ahead, season_length)
    return np.resize(demand[-season_length:], ahead)


def theta(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """Dynamic optimised Theta."""
    return _library("DynamicOptimizedTheta", demand, ahead, season_length=season_length if len(demand) >= 2 * season_length else 1)


def exponential_smoothing(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """AutoETS: error, trend and season chosen by information criterion."""
    is_seasonal = season_length > 1 and len(demand) >= 2 * season_length + 5
    return _library("AutoETS", demand, ahead, season_length=season_length if is_seasonal else 1, model="ZZZ" if is_seasonal else "ZZN")


def complex_smoothing(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """AutoCES: complex exponential smoothing."""
    # Four periods leave no error to take a variance of: the library divides by nought, and a planner's screen would say so.
    with np.errstate(divide="ignore", invalid="ignore"):
        return _library("AutoCES", demand, ahead, season_length=season_length if len(demand) >= 2 * season_length + 5 else 1)


def imapa(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """Intermittent multiple aggregation prediction."""
    return _library("IMAPA", demand, ahead)


def tsb(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """Teunter–Syntetos–Babai: size and probability of demand smoothed apart, so that it fades out."""
    return _library("TSB", demand, ahead, alpha_d=0.2, alpha_p=0.2)


def croston(demand: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """Croston's method with the correction of Syntetos and Boylan: size over interval, without its upward bias."""
    return _library("CrostonSBA", demand, ahead)


def prophet(demand: np.ndarray, dates: pd.DatetimeIndex, ahead: pd.DatetimeIndex, season_length: int) -> np.ndarray:
    """The Prophet library, alone, with multiplicative yearly season where two years are known."""
    if len(demand) < 3 or np.ptp(demand) == 0:
        return naive(demand, len(ahead), 1)
    # Prophet and its Stan back end take a second to import, set their own log levels and report every fit.
    for name in ("prophet.plot", "prophet", "cmdstanpy"):
        logging.getLogger(name).disabled = True
    from prophet import Prophet

    model = Prophet(
        seasonality_mode="multiplicative",
        yearly_seasonality=6 if len(demand) >= 2 * season_length else False,
        weekly_seasonality=False,
        daily_seasonality=False,
        seasonality_prior_scale=0.1,
        n_changepoints=12,
        changepoint_range=0.9,
        uncertainty_samples=0,
    )
    try:
        model.fit(pd.DataFrame({"ds": dates, "y": demand}), algorithm="LBFGS", timeout=_PROPHET_SECONDS)
        return np.maximum(model.predict(pd.DataFrame({"ds": ahead}))["yhat"].to_numpy(), 0)
    except (RuntimeError, ValueError, TimeoutError):
        return naive(demand, len(ahead), 1)


def _library(name: str, demand: np.ndarray, ahead: int, **options: Any) -> np.ndarray:
    # statsforecast takes seconds to import (numba-free core, but pandas-heavy): only when a model is really fitted.
    from statsforecast import models

    if len(demand) < 3 or np.ptp(demand) == 0:
        return naive(demand, ahead, 1)
    try:
        mean = np.asarray(getattr(models, name)(**options).forecast(y=demand, h=ahead)["mean"], dtype=float)
    except Exception:  # the library raises bare Exception on degenerate series; the fallback is the documented answer
        return naive(demand, ahead, 1)
    return np.maximum(mean, 0) if np.isfinite(mean).all() else naive(demand, ahead, 1)
