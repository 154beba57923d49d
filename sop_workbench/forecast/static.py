"""The static method of the textbooks: level, trend and seasonal factors, each step visible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StaticForecast:
    """Every intermediate result of the static method."""

    deseasonalised: np.ndarray
    level: float
    trend: float
    seasonal_factors: np.ndarray
    forecast: np.ndarray


def static_forecast(demand: np.ndarray, season_length: int, ahead: int, decimals: int | None = None) -> StaticForecast:
    """Deseasonalise demand, fit a line, average seasonal factors and forecast (level + trend·t)·factor."""
    raise NotImplementedError
