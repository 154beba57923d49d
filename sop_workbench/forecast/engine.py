"""The statistical forecast of every item and market, with its back-test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.forecast.backtest import Backtest, combine, model_weights, run_backtest
from sop_workbench.forecast.events import event_effects
from sop_workbench.forecast.intervals import error_scale, held_out_scale, interval
from sop_workbench.forecast.leaderboard import leaderboard
from sop_workbench.forecast.models import ENDED, NAIVE, ROUTES, SEASONAL_NAIVE, Model, forecast_models, route
from sop_workbench.forecast.nodes import ITEM, Nodes, coherent, hierarchy_nodes
from sop_workbench.forecast.panel import KEYS, Panel, demand_panel
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

ENSEMBLE = "ensemble"
_COMPARED = (NAIVE, SEASONAL_NAIVE)


@dataclass(frozen=True)
class NodeForecast:
    """Forecast of every node with its range, weights and back-test.

    Attributes
    ----------
    forecast, low, high : ndarray, series × ahead
    names : list of str
        Models in the mix.
    weights : ndarray, series × models
        NaN-free; 0 where a model does not suit the series.
    kinds : ndarray of str, series
        Route each series took.
    backtest : Backtest
        Including the mix under the name `ensemble`.
    """

    forecast: np.ndarray
    low: np.ndarray
    high: np.ndarray
    names: list[str]
    weights: np.ndarray
    kinds: np.ndarray
    backtest: Backtest

    def leaves(self, count: int) -> NodeForecast:
        """The part of the first `count` nodes."""
        history = replace(
            self.backtest,
            forecasts={name: values[:count] for name, values in self.backtest.forecasts.items()},
            actual=self.backtest.actual[:count],
        )
        return NodeForecast(
            self.forecast[:count], self.low[:count], self.high[:count], self.names, self.weights[:count], self.kinds[:count], history
        )


def statistical_forecast(
    history: pd.DataFrame,
    periods: pd.DatetimeIndex,
    settings: Settings,
    calendar: Calendar,
    event: pd.DataFrame | None = None,
    item: pd.DataFrame | None = None,
    market: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forecast demand of every item and market that was ever sold, and say how wrong each model was.

    Season is pooled over family and channel, events are taken out of the past and put into the future;
    each series goes the route its length and zeros ask for; models are weighed by their back-test.

    Parameters
    ----------
    history : DataFrame
        `sales_history` (corrections applied); `ordered_qty` is forecast. Rows from `periods[0]` on are not read.
    periods : DatetimeIndex
        Periods to forecast, the first right after the history known.
    settings : Settings
        `forecast.effort`, `forecast.interval_ratio`, `forecast.origins`.
    calendar : Calendar
        The planning calendar.
    event : DataFrame, optional
        `event`: past ones are taken out of the base, planned and approved ones put in.
    item, market : DataFrame, optional
        Families and channels in which season is pooled; an item that ended before the horizon gets zero.

    Returns
    -------
    (DataFrame, DataFrame)
        Tables `statistical_forecast` and `forecast_error`.
    """
    panel = demand_panel(history, calendar.add(periods[0], -1), calendar)
    if panel.keys.empty:
        return tables.table("statistical_forecast").empty(), tables.table("forecast_error").empty()
    effects = event_effects(panel.keys, panel.periods.append(periods), event, item, market)
    nodes = hierarchy_nodes(panel, effects, item, market)
    result = forecast_nodes(nodes, panel.periods, periods, settings, calendar).leaves(nodes.leaves)
    result = _ended_by_date(result, panel.keys, periods, item)
    errors = leaderboard(panel, result.backtest, item, settings, calendar)
    return _forecast_table(panel, periods, result), errors


def forecast_nodes(nodes: Nodes, past: pd.DatetimeIndex, ahead: pd.DatetimeIndex, settings: Settings, calendar: Calendar) -> NodeForecast:
    """Forecast, weigh by back-test, reconcile and put a range around every series of a hierarchy.

    Parameters
    ----------
    nodes : Nodes
    past, ahead : DatetimeIndex
        Periods of history and of the horizon.
    settings : Settings
        `forecast` section.
    calendar : Calendar
    """
    routes = ROUTES[settings.forecast.effort]
    names = sorted({model.name for models in routes.values() for model in models})
    dates = past.append(ahead)

    # Origins come oldest first: what is learned from all series there serves the later ones.
    learned_first: dict[str, Any] = {}

    def models_at(
        known: int, test: int, always: tuple[Model, ...] = _COMPARED, learned: dict[str, Any] = learned_first
    ) -> dict[str, np.ndarray]:
        return forecast_models(
            nodes.demand[:, :known],
            dates[:known],
            nodes.effects[:, : known + test],
            dates[known : known + test],
            nodes.groups,
            nodes.level <= ITEM,
            calendar.buckets_per_year,
            routes,
            always,
            learned,
        )

    backtest = run_backtest(nodes.demand, len(ahead), settings.forecast.origins, models_at)
    level = _mean_level(nodes.demand)
    final = models_at(len(past), len(ahead), (), {})
    suits = np.stack([~np.isnan(final[name]).any(axis=1) for name in names], axis=1)
    weights = model_weights(backtest, names, level, suits)
    kinds = route(nodes.demand)
    forecast = combine(final, names, weights)
    forecast[kinds == ENDED] = 0.0
    backtest, scale = _with_ensemble(nodes, backtest, names, weights, level)
    forecast = coherent(nodes, forecast, scale)
    past_scale = _past_scale(nodes, backtest, level)
    low, high = _range(forecast, backtest, scale, past_scale, kinds, settings.forecast.interval_ratio)
    return NodeForecast(forecast, low, high, names, weights, kinds, backtest)


def _mean_level(demand: np.ndarray) -> np.ndarray:
    """Mean demand of the last year that was sold in; 1 where nothing was."""
    recent = demand[:, -12:]
    seen = ~np.isnan(recent)
    mean = np.where(seen, recent, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return np.where(mean > 0, mean, 1.0)


def _with_ensemble(
    nodes: Nodes, backtest: Backtest, names: list[str], weights: np.ndarray, level: np.ndarray
) -> tuple[Backtest, np.ndarray]:
    """The back-test with the reconciled mix, and the usual error of every node.

    At an origin where a series had ended by its data the mix says zero, as it does today.
    """
    if not backtest.origins:
        return backtest, level
    empty = np.full_like(backtest.actual, np.nan)
    mixed = combine({name: backtest.forecasts.get(name, empty) for name in names}, names, weights)
    mixed = np.where(np.isnan(mixed) & ~np.isnan(backtest.forecasts[NAIVE.name]), 0.0, mixed)
    scale = error_scale(mixed, backtest.actual, level, nodes.level)
    added_up = np.stack([coherent(nodes, mixed[:, number], scale) for number in range(len(backtest.origins))], axis=1)
    return replace(backtest, forecasts={**backtest.forecasts, ENSEMBLE: added_up}), scale


def _past_scale(nodes: Nodes, backtest: Backtest, level: np.ndarray) -> np.ndarray:
    """Usual error of every node as each origin would know it from the others; the level where there is no origin."""
    if not backtest.origins:
        return level[:, None]
    return held_out_scale(backtest.forecasts[ENSEMBLE], backtest.actual, level, nodes.level)


def _range(
    forecast: np.ndarray, backtest: Backtest, scale: np.ndarray, past_scale: np.ndarray, kinds: np.ndarray, coverage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds that hold the forecast between them; an ended series has none."""
    past = backtest.forecasts.get(ENSEMBLE, np.full((len(forecast), 1, 1), np.nan))
    low, high = interval(forecast, past, backtest.actual if backtest.origins else past, scale, past_scale, coverage)
    ended = (kinds == ENDED)[:, None]
    return np.where(ended, 0.0, np.minimum(low, forecast)), np.where(ended, 0.0, np.maximum(high, forecast))


def _ended_by_date(result: NodeForecast, keys: pd.DataFrame, periods: pd.DatetimeIndex, item: pd.DataFrame | None) -> NodeForecast:
    """Zero for items whose phase-out date lies before the horizon; a later one is handled where demand moves to successors."""
    if item is None:
        return result
    end = pd.to_datetime(keys["item_id"].map(item.set_index("item_id")["phase_out_date"].to_dict()))
    ended = (end < periods[0]).to_numpy()[:, None]
    return replace(
        result, forecast=np.where(ended, 0.0, result.forecast), low=np.where(ended, 0.0, result.low), high=np.where(ended, 0.0, result.high)
    )


def _forecast_table(panel: Panel, periods: pd.DatetimeIndex, result: NodeForecast) -> pd.DataFrame:
    ahead = len(periods)
    frame = panel.keys.loc[panel.keys.index.repeat(ahead), KEYS].reset_index(drop=True)
    frame["period"] = np.tile(periods.to_numpy(), len(panel.keys))
    for column, values in (("forecast_qty", result.forecast), ("low_qty", result.low), ("high_qty", result.high)):
        frame[column] = values.ravel()
    frame["model"] = np.repeat(_model_words(panel, result), ahead)
    return tables.validate("statistical_forecast", frame)


def _model_words(panel: Panel, result: NodeForecast) -> np.ndarray:
    """Such as `regular: 45 % structure + theta, 55 % ces`."""
    words = []
    for kind, weights, note in zip(result.kinds, result.weights, panel.notes, strict=True):
        mix = ", ".join(f"{share:.0%} {name}" for name, share in zip(result.names, weights, strict=True) if share > 0.005)
        text = f"{kind}: {mix}" if mix else f"{kind}: no demand expected"
        words.append(f"{text} ({note})" if note else text)
    return np.array(words, dtype=object)
