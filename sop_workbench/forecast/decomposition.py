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
    series. Horizon: the trend is the straight line that, with the structure's season and events, comes nearest to the forecast; what
    promotions and events move is that line's; the rest is the season as the models see it, so nothing remains. Parts add up over items
    and markets.

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
    trend = np.hstack([fitted.trend[:count], _line_ahead(demand[:, ~past], factor[:, ~past])])
    expected = np.where(past, trend * factor, demand)
    return _component_table(panel.keys, dates, past, demand, trend, expected, promoted, other)


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


def _line_ahead(forecast: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The line a + b·k, not below zero, with the least Σ (forecast − factor · (a + b·k))², series × periods ahead."""
    k = np.arange(forecast.shape[1])
    weight, weighed = factor**2, factor * forecast
    s0, s1, s2 = (np.sum(weight * k**power, axis=1) for power in (0, 1, 2))
    y0, y1 = (np.sum(weighed * k**power, axis=1) for power in (0, 1))
    area = s0 * s2 - s1**2
    slope = np.where(area > 0, (s0 * y1 - s1 * y0) / np.where(area > 0, area, 1.0), 0.0)
    level = (y0 - slope * s1) / s0
    return np.maximum(level[:, None] + slope[:, None] * k, 0.0)


def _component_table(
    keys: pd.DataFrame,
    dates: pd.DatetimeIndex,
    past: np.ndarray,
    demand: np.ndarray,
    trend: np.ndarray,
    expected: np.ndarray,
    promoted: np.ndarray,
    other: np.ndarray,
) -> pd.DataFrame:
    """The parts as rows, from each series' first known period on; season is what trend and events do not make of what is expected."""
    begun = np.maximum.accumulate(~np.isnan(demand), axis=1)
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
