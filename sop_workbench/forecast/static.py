"""The static method of the textbooks: level, trend and seasonal factors, each step visible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sop_workbench.errors import SopError


@dataclass(frozen=True)
class StaticForecast:
    """Every intermediate result of the static method.

    Attributes
    ----------
    deseasonalised : ndarray
        Centred moving average of demand, empty (NaN) where the window does not fit.
    level, trend : float
        Intercept (period 0) and slope of the line through the deseasonalised demand.
    seasonal_factors : ndarray
        One per season: mean of demand over the line.
    forecast : ndarray
        (level + trend · t) · factor for the periods asked for.
    """

    deseasonalised: np.ndarray
    level: float
    trend: float
    seasonal_factors: np.ndarray
    forecast: np.ndarray


def static_forecast(
    demand: np.ndarray, season_length: int, ahead: int, line_decimals: int | None = None, factor_decimals: int | None = None
) -> StaticForecast:
    """Deseasonalise demand, fit a line, average the seasonal factors and forecast.

    F(t) = (L + T · t) · S(t), with t counted from 1 (Chopra & Meindl, Supply Chain Management, ch. 7).

    Parameters
    ----------
    demand : ndarray
        Demand per period, at least two seasons.
    season_length : int
        Periods in a season (4 quarters, 12 months).
    ahead : int
        Periods to forecast.
    line_decimals, factor_decimals : int, optional
        Round level and trend, or the factors (before and after averaging them), as one does by hand.

    Raises
    ------
    SopError
        When there are fewer than two full seasons.

    Examples
    --------
    Tahoe Salt:

    >>> salt = static_forecast([8000, 13000, 23000, 34000, 10000, 18000, 23000, 38000, 12000, 13000, 32000, 41000],
    ...                        season_length=4, ahead=4, line_decimals=0, factor_decimals=2)
    >>> salt.level, salt.trend, salt.seasonal_factors.tolist()
    (18439.0, 524.0, [0.47, 0.68, 1.17, 1.67])
    >>> salt.forecast.round().tolist()
    [11868.0, 17527.0, 30770.0, 44794.0]
    """
    demand = np.asarray(demand, dtype=float)
    if len(demand) < 2 * season_length:
        raise SopError(f"the static method needs two seasons ({2 * season_length} periods), got {len(demand)}; use a shorter season")
    t = np.arange(1, len(demand) + 1)
    smooth = centred_average(demand, season_length)
    known = ~np.isnan(smooth)
    trend, level = np.polyfit(t[known], smooth[known], 1)
    level, trend = _rounded(np.array([level, trend]), line_decimals)
    ratio = _rounded(demand / (level + trend * t), factor_decimals)
    factors = _rounded(np.array([ratio[season::season_length].mean() for season in range(season_length)]), factor_decimals)
    future = np.arange(len(demand) + 1, len(demand) + ahead + 1)
    forecast = (level + trend * future) * factors[(future - 1) % season_length]
    return StaticForecast(smooth, float(level), float(trend), factors, forecast)


def centred_average(demand: np.ndarray, season_length: int) -> np.ndarray:
    """Moving average over one season, centred; NaN where the window does not fit.

    An even season takes half a weight at either end.

    Examples
    --------
    >>> centred_average(np.array([8., 13, 23, 34, 10]), 4).tolist()
    [nan, nan, 19.75, nan, nan]
    """
    weights = np.ones(season_length) if season_length % 2 else np.r_[0.5, np.ones(season_length - 1), 0.5]
    half = len(weights) // 2
    smooth = np.full(len(demand), np.nan)
    if len(demand) >= len(weights):
        smooth[half : len(demand) - half] = np.convolve(demand, weights / season_length, "valid")
    return smooth


def _rounded(value: np.ndarray, decimals: int | None) -> np.ndarray:
    return value if decimals is None else np.round(value, decimals)
