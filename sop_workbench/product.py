"""Product review: what kind of item each is, launches, phase-outs, excess stock, the portfolio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings


@dataclass(frozen=True)
class BassModel:
    """A fitted Bass diffusion: innovation p, imitation q, market m, and how it was estimated."""

    innovation: float
    imitation: float
    market_qty: float
    estimator: str


def classify_items(item: pd.DataFrame, sales_history: pd.DataFrame, price: pd.DataFrame, settings: Settings,
                   as_of: pd.Timestamp, calendar: Calendar) -> pd.DataFrame:
    """ABC, XYZ, demand pattern and stage of life of every finished item → `item_class`."""
    raise NotImplementedError


def launch_forecast(item: pd.DataFrame, sales_history: pd.DataFrame, periods: pd.DatetimeIndex, calendar: Calendar) -> pd.DataFrame:
    """Demand of items too young for a statistical model, by like-item launch curve → `launch_forecast`."""
    raise NotImplementedError


def phase_out(item: pd.DataFrame, demand: pd.DataFrame, stock_on_hand: pd.DataFrame, as_of: pd.Timestamp, calendar: Calendar,
              lead_time_days: pd.Series | None = None) -> pd.DataFrame:
    """Run-out date, last-buy date and quantity, successor and volume moved → `phase_out_plan`."""
    raise NotImplementedError


def excess_stock(item: pd.DataFrame, stock_on_hand: pd.DataFrame, demand: pd.DataFrame, item_class: pd.DataFrame, settings: Settings,
                 calendar: Calendar) -> pd.DataFrame:
    """Stock beyond the demand of the cover limit, in money, worst first → `excess_stock`."""
    raise NotImplementedError


def portfolio(item: pd.DataFrame, item_class: pd.DataFrame, excess_stock: pd.DataFrame) -> pd.DataFrame:
    """One row per item for the bubble and tail views: volume, revenue, margin, rank, cumulative share, stock money."""
    raise NotImplementedError


def bass_curve(innovation: float, imitation: float, market_qty: float, periods: int) -> np.ndarray:
    """Units adopted in each period by Bass diffusion."""
    raise NotImplementedError


def bass_peak(innovation: float, imitation: float, market_qty: float) -> tuple[float, float]:
    """When adoption peaks and at which rate."""
    raise NotImplementedError


def fit_bass(sales: np.ndarray, estimator: Literal["sales", "cumulative"] = "sales") -> BassModel:
    """Fit a Bass diffusion by least squares on sales per period or on the cumulative curve."""
    raise NotImplementedError
