"""Demand review: history corrected, streams side by side, weighed into one unconstrained consensus."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings


def history_corrections(sales_history: pd.DataFrame, event: pd.DataFrame, settings: Settings, calendar: Calendar,
                        as_of: pd.Timestamp) -> pd.DataFrame:
    """Propose corrections of history, each with its evidence → `history_correction`, status `proposed`."""
    raise NotImplementedError


def decide_corrections(history_correction: pd.DataFrame, history_decision: pd.DataFrame) -> pd.DataFrame:
    """`history_correction` with the status people's latest `history_decision` records gave."""
    raise NotImplementedError


def apply_corrections(sales_history: pd.DataFrame, history_correction: pd.DataFrame) -> pd.DataFrame:
    """`sales_history` with the accepted corrections in `ordered_qty`; `raw_qty` keeps what was booked."""
    raise NotImplementedError


def promotion_demand(demand: np.ndarray, at: int, uplift_ratio: float, pull_forward_ratio: float = 0.0, pull_forward_periods: int = 2) -> np.ndarray:
    """Demand with a promotion: extra demand in its period and demand pulled forward from the next ones."""
    raise NotImplementedError


def forecast_netting(gross: np.ndarray, orders: np.ndarray, early: int = 0, late: int = 0) -> np.ndarray:
    """What remains of a forecast after orders consumed it: own period, then earlier, then later ones."""
    raise NotImplementedError


def price_in_period(price: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Net price of every item and market in each period: the latest valid on its first day (item_id, market_id, period, price_amt)."""
    raise NotImplementedError


def demand_streams(statistical_forecast: pd.DataFrame, launch_forecast: pd.DataFrame, inputs: dict[str, pd.DataFrame],
                   periods: pd.DatetimeIndex, calendar: Calendar) -> pd.DataFrame:
    """Every stream at item × market × period → `demand_stream` (statistical, sales, marketing, operations, customer, pipeline)."""
    raise NotImplementedError


def stream_weights(plan_archive: pd.DataFrame, sales_history: pd.DataFrame, demand_stream: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """How much each stream counts, by its past error after removing its past bias → `stream_weight`."""
    raise NotImplementedError


def consensus(demand_stream: pd.DataFrame, stream_weight: pd.DataFrame, demand_adjustment: pd.DataFrame, statistical_forecast: pd.DataFrame,
              launch_forecast: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Unconstrained demand agreed on, with range, price and revenue → `consensus_demand`."""
    raise NotImplementedError


def forecast_value_added(plan_archive: pd.DataFrame, sales_history: pd.DataFrame, calendar: Calendar, lag: int = 1) -> pd.DataFrame:
    """Error of each stair of the process on the same set, lag and weights → `forecast_value_added`."""
    raise NotImplementedError
