"""The statistical forecast of every item and market, with its back-test."""

from __future__ import annotations

import pandas as pd

from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings


def statistical_forecast(history: pd.DataFrame, periods: pd.DatetimeIndex, settings: Settings, calendar: Calendar,
                         event: pd.DataFrame | None = None, item: pd.DataFrame | None = None,
                         market: pd.DataFrame | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forecast demand of every item and market that was ever sold, and say how wrong each model was.

    Parameters
    ----------
    history : DataFrame
        `sales_history` (corrections applied); `ordered_qty` is forecast. Rows from `periods[0]` on are not read.
    periods : DatetimeIndex
        Periods to forecast.
    settings : Settings
        `forecast.effort`, `forecast.interval_ratio`, `forecast.origins`, `compute.seed`.
    calendar : Calendar
        The planning calendar.
    event : DataFrame, optional
        `event`: past events are taken out of the base, future ones (planned, approved) put in.
    item, market : DataFrame, optional
        Families and channels, in which season is pooled; ended items get zero.

    Returns
    -------
    (DataFrame, DataFrame)
        Tables `statistical_forecast` and `forecast_error`.
    """
    raise NotImplementedError
