"""What demand is made of: trend, season, promotions, other events, and what none of them explains."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.forecast.events import event_effects
from sop_workbench.forecast.models import fitted_structure
from sop_workbench.forecast.nodes import ITEM, hierarchy_nodes
from sop_workbench.forecast.panel import KEYS, Panel, demand_panel
from sop_workbench.forecast.structure import LEAST_FACTOR
from sop_workbench.periods import Calendar

PROMOTIONS = ("promotion", "price")
PARTS = ("trend_qty", "season_qty", "promotion_qty", "event_qty", "remainder_qty")


def demand_components(
    history: pd.DataFrame,
    statistical_forecast: pd.DataFrame,
    periods: pd.DatetimeIndex,
    calendar: Calendar,
    event: pd.DataFrame | None = None,
    item: pd.DataFrame | None = None,
    market: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Take demand and its forecast apart by the structure the forecast rests on.

    Past: demand = trend + season + promotion + event + remainder, where trend · (1 + season + events) is the structure fitted to the
    series. Horizon: the forecast divided by its season and event factors is its trend (which the models extrapolated, not the
    structure), so nothing remains. Parts add up over items and markets.

    Parameters
    ----------
    history : DataFrame
        `sales_history`, corrections applied.
    statistical_forecast : DataFrame
        As `statistical_forecast` made it from the same history.
    periods : DatetimeIndex
        The horizon.
    calendar : Calendar
        The planning calendar.
    event, item, market : DataFrame, optional
        As for the forecast. Price changes count as promotions.

    Returns
    -------
    DataFrame
        `forecast_component`; empty quantities where a series had not begun or its history has a gap.

    Examples
    --------
    Two years of 100 a month but for a promotion of half as much again in the last June:

    >>> months = pd.date_range("2024-01-01", periods=24, freq="MS")
    >>> history = pd.DataFrame({"item_id": "A", "market_id": "N", "period": months, "ordered_qty": 100.0})
    >>> history.loc[17, "ordered_qty"] = 150.0
    >>> promotion = pd.DataFrame([{"kind": "promotion", "item_id": "A", "family": None, "market_id": "N", "region": None, "status": "done",
    ...                            "from_period": months[17], "to_period": months[17], "uplift_ratio": 0.5, "pull_forward_ratio": 0.0}])
    >>> ahead = pd.DatetimeIndex(["2026-01-01"])
    >>> forecast = pd.DataFrame({"item_id": "A", "market_id": "N", "period": ahead, "forecast_qty": [100.0]})
    >>> parts = demand_components(history, forecast, ahead, Calendar("month"), promotion)
    >>> june = parts[parts["period"] == "2025-06-01"].iloc[0]
    >>> round(june["promotion_qty"]), round(june["trend_qty"] + june["season_qty"] + june["remainder_qty"])
    (50, 100)
    """
    panel = demand_panel(history, calendar.add(periods[0], -1), calendar)
    if panel.keys.empty:
        return tables.table("forecast_component").empty()
    dates = panel.periods.append(periods)
    effects = event_effects(panel.keys, dates, event, item, market)
    nodes = hierarchy_nodes(panel, effects, item, market)
    fitted = fitted_structure(
        nodes.demand, panel.periods, nodes.effects[:, : len(panel.periods)], nodes.groups, nodes.level <= ITEM, calendar.buckets_per_year
    )
    count = len(panel.keys)
    season = fitted.season(dates)[:count]
    promoted = _effect(panel, dates, _of_kind(event, PROMOTIONS, True), item, market, fitted.event_coefficients[:count])
    other = _effect(panel, dates, _of_kind(event, PROMOTIONS, False), item, market, fitted.event_coefficients[:count])
    factor = np.maximum(1 + season + promoted + other, LEAST_FACTOR)
    demand = np.hstack([panel.demand, _forecast_matrix(statistical_forecast, panel.keys, periods)])
    past = np.arange(len(dates)) < len(panel.periods)
    trend = np.where(past, np.pad(fitted.trend[:count], ((0, 0), (0, len(periods)))), demand / factor)
    return _component_table(panel.keys, dates, past, demand, trend, factor, promoted, other)


def _of_kind(event: pd.DataFrame | None, kinds: tuple[str, ...], inside: bool) -> pd.DataFrame | None:
    return None if event is None else event[event["kind"].isin(kinds) == inside]


def _effect(
    panel: Panel,
    dates: pd.DatetimeIndex,
    event: pd.DataFrame | None,
    item: pd.DataFrame | None,
    market: pd.DataFrame | None,
    coefficients: np.ndarray,
) -> np.ndarray:
    """How much of trend some events add, series × dates: stated effects times how far they really worked."""
    return np.einsum("nte,ne->nt", event_effects(panel.keys, dates, event, item, market), coefficients)


def _forecast_matrix(statistical_forecast: pd.DataFrame, keys: pd.DataFrame, periods: pd.DatetimeIndex) -> np.ndarray:
    wide = statistical_forecast.pivot(index=KEYS, columns="period", values="forecast_qty")
    return wide.reindex(index=pd.MultiIndex.from_frame(keys[KEYS]), columns=periods).to_numpy(dtype=float)


def _component_table(
    keys: pd.DataFrame,
    dates: pd.DatetimeIndex,
    past: np.ndarray,
    demand: np.ndarray,
    trend: np.ndarray,
    factor: np.ndarray,
    promoted: np.ndarray,
    other: np.ndarray,
) -> pd.DataFrame:
    """The parts as rows, from each series' first known period on; season takes what the least factor adds."""
    begun = np.maximum.accumulate(~np.isnan(demand), axis=1)
    expected = trend * factor
    parts = {
        "demand_qty": demand,
        "trend_qty": trend,
        "season_qty": expected - trend * (1 + promoted + other),
        "promotion_qty": trend * promoted,
        "event_qty": trend * other,
        "remainder_qty": demand - expected,
    }
    row, column = np.nonzero(begun)
    frame = keys.iloc[row][KEYS].reset_index(drop=True).assign(period=dates.to_numpy()[column], is_forecast=~past[column])
    return tables.validate("forecast_component", frame.assign(**{name: values[row, column] for name, values in parts.items()}))
