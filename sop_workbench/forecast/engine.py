"""The statistical forecast of every item and market, with its back-test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.forecast.backtest import Backtest, combine, model_weights, run_backtest
from sop_workbench.forecast.events import announced, event_effects
from sop_workbench.forecast.intervals import PastErrors, calibrate, coverage_table, difficulty, range_table, scale_coefficients
from sop_workbench.forecast.leaderboard import leaderboard
from sop_workbench.forecast.models import ENDED, INTERMITTENT, NAIVE, ROUTES, SEASONAL_NAIVE, SEASONS, SHORT, Model, forecast_models, route
from sop_workbench.forecast.nodes import ITEM, Nodes, coherent, hierarchy_nodes
from sop_workbench.forecast.panel import KEYS, Panel, demand_panel
from sop_workbench.forecast.pins import pinned_models, with_pinned
from sop_workbench.forecast.shares import SHARE_WEIGHT, by_shares
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

ENSEMBLE = "ensemble"
WIDE_COVERAGE = 0.95
_COMPARED = (NAIVE, SEASONAL_NAIVE)
_TABLES = ("statistical_forecast", "forecast_error", "forecast_range", "forecast_coverage")
_HELD_SHARE = 1e-3
_SHARED_LEVEL = "family × market_id"
# Younger series have errors of their own: a month or two says little.
_NEW_PERIODS = 3
# Of a single origin nothing could be judged by the errors of another.
_LEAST_ORIGINS = 2


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
    past : PastErrors
        The mix as each origin would have made it, without events announced later, for ranges.
    difficulty : ndarray, series × features
    group : ndarray of int, series
        Kind of series whose errors the range is calibrated on; −1 where nothing is expected any more.
    is_shared : ndarray of bool, leaves
        Three quarters of the forecast come from the share in item and market.
    """

    forecast: np.ndarray
    low: np.ndarray
    high: np.ndarray
    names: list[str]
    weights: np.ndarray
    kinds: np.ndarray
    backtest: Backtest
    past: PastErrors
    difficulty: np.ndarray
    group: np.ndarray
    is_shared: np.ndarray

    def bounds(self, coverage: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound that hold the forecast and, in `coverage` of all cases, what happens."""
        made = calibrate(self.past, coverage, self.forecast.shape[1])
        low, high = made.bounds(self.forecast, self.difficulty, self.group)
        gone = (self.group < 0)[:, None]
        return np.where(gone, 0.0, np.minimum(low, self.forecast)), np.where(gone, 0.0, np.maximum(high, self.forecast))


def statistical_forecast(
    history: pd.DataFrame,
    periods: pd.DatetimeIndex,
    settings: Settings,
    calendar: Calendar,
    event: pd.DataFrame | None = None,
    item: pd.DataFrame | None = None,
    market: pd.DataFrame | None = None,
    model_pin: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forecast demand of every item and market that was ever sold, and say how wrong each model was.

    The first two of `forecast_tables`: `statistical_forecast` and `forecast_error`.
    """
    made = forecast_tables(history, periods, settings, calendar, event, item, market, model_pin)
    return made["statistical_forecast"], made["forecast_error"]


def forecast_tables(
    history: pd.DataFrame,
    periods: pd.DatetimeIndex,
    settings: Settings,
    calendar: Calendar,
    event: pd.DataFrame | None = None,
    item: pd.DataFrame | None = None,
    market: pd.DataFrame | None = None,
    model_pin: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Forecast demand at every level, say how wrong each model was, and how far the range can be trusted.

    Season is pooled over family and channel, events are taken out of the past and put into the future; each series goes the
    route its length and zeros ask for; models are weighed by their back-test, unless a planner pinned one. Item × market leans
    three quarters on its share in item and market, the item half on its share in the family.

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
        Families, channels and regions of the hierarchy; an item that ended before the horizon gets zero.
    model_pin : DataFrame, optional
        People's records: the model an item or family is to be forecast by.

    Returns
    -------
    dict of DataFrame
        `statistical_forecast`, `forecast_error`, `forecast_range` (every level, at the interval of the settings and at 95 %)
        and `forecast_coverage`.

    Raises
    ------
    DataError
        When a pin names an item, family, market or model that does not exist.
    """
    panel = demand_panel(history, calendar.add(periods[0], -1), calendar)
    pins = pinned_models(model_pin, panel.keys, item, market)
    if panel.keys.empty:
        return {name: tables.table(name).empty() for name in _TABLES}
    touched = (panel.keys, panel.periods.append(periods), event, item, market)
    nodes = hierarchy_nodes(panel, event_effects(*touched), item, market, announced(*touched, calendar))
    result = forecast_nodes(nodes, panel.periods, periods, settings, calendar, pins)
    return {
        "statistical_forecast": _forecast_table(panel, periods, result, pins),
        "forecast_error": leaderboard(panel, leaf_backtest(result.backtest, nodes.leaves), item, settings, calendar),
        "forecast_range": range_table(nodes, result.forecast, {c: result.bounds(c) for c in _coverages(settings)}, periods),
        "forecast_coverage": coverage_table(nodes, result.past, _coverages(settings)),
    }


def _coverages(settings: Settings) -> tuple[float, ...]:
    """The interval of the settings, and a wide one."""
    return tuple(sorted({settings.forecast.interval_ratio, WIDE_COVERAGE}))


def forecast_nodes(
    nodes: Nodes,
    past: pd.DatetimeIndex,
    ahead: pd.DatetimeIndex,
    settings: Settings,
    calendar: Calendar,
    pins: dict[int, str] | None = None,
) -> NodeForecast:
    """Forecast, weigh by back-test, reconcile and put a range around every series of a hierarchy.

    Parameters
    ----------
    nodes : Nodes
    past, ahead : DatetimeIndex
        Periods of history and of the horizon.
    settings : Settings
        `forecast` section.
    calendar : Calendar
    pins : dict, optional
        Model by leaf, for leaves whose model a planner pinned.
    """
    backtest, final = model_forecasts(nodes, past, ahead, settings, calendar, pins or {})
    return mixed_forecast(nodes, backtest, final, settings, calendar, pins)


def model_forecasts(
    nodes: Nodes, past: pd.DatetimeIndex, ahead: pd.DatetimeIndex, settings: Settings, calendar: Calendar, pins: dict[int, str]
) -> tuple[Backtest, dict[str, np.ndarray]]:
    """Every model's forecast of every node: from the origins of the back-test, and of the horizon (nodes × ahead by name)."""
    routes, dates = ROUTES[settings.forecast.effort], past.append(ahead)
    # Origins come oldest first: what is learned from all series there serves the later ones.
    learned_first: dict[str, Any] = {}

    def models_at(
        known: int, test: int, always: tuple[Model, ...] = _COMPARED, learned: dict[str, Any] = learned_first
    ) -> dict[str, np.ndarray]:
        demand, before, after = nodes.demand[:, :known], dates[:known], dates[known : known + test]
        effects, year = nodes.effects[:, : known + test], calendar.buckets_per_year
        made = forecast_models(demand, before, effects, after, nodes.groups, nodes.level <= ITEM, year, routes, always, learned)
        return with_pinned(made, demand, before, after, pins, year)

    backtest = run_backtest(nodes.demand, len(ahead), settings.forecast.origins, calendar.buckets_per_year, models_at)
    return backtest, models_at(len(past), len(ahead), (), {})


def mixed_forecast(
    nodes: Nodes,
    backtest: Backtest,
    final: dict[str, np.ndarray],
    settings: Settings,
    calendar: Calendar,
    pins: dict[int, str] | None = None,
) -> NodeForecast:
    """Models weighed by their back-test, the mix added up over the hierarchy, a range around it."""
    names = sorted({model.name for models in ROUTES[settings.forecast.effort].values() for model in models})
    level = _mean_level(nodes.demand, calendar.buckets_per_year)
    names, weights = _pinned(names, _weights(_of_what_was_on_sale(nodes, backtest), final, names, level), final, pins)
    kinds, year = np.where(nodes.ended_at(nodes.demand.shape[1]), ENDED, route(nodes.demand)), calendar.buckets_per_year
    mixed = _without_demand(combine(final, names, weights), kinds == ENDED)
    shared = np.full(nodes.leaves, nodes.row_of(_SHARED_LEVEL) is not None) & (kinds != ENDED)[: nodes.leaves]
    backtest, errors, coefficients = _past_errors(nodes, backtest, names, level, pins, calendar)
    hardness = difficulty(nodes.demand, year)
    group = _error_group(nodes, nodes.demand, kinds)
    held = _held(nodes, pins)
    # What a planner pinned stays as its model says, as far as the sums allow.
    scale = np.where(held, _HELD_SHARE, 1.0) * np.exp(hardness @ coefficients)
    whole = _added_up(nodes, mixed, nodes.demand, scale, (kinds == ENDED) | held, year)
    made = NodeForecast(whole, mixed, mixed, names, weights, kinds, backtest, errors, hardness, group, shared)
    low, high = made.bounds(settings.forecast.interval_ratio)
    return replace(made, low=low, high=high)


def leaf_backtest(backtest: Backtest, count: int) -> Backtest:
    """The back-test of the first `count` nodes."""
    forecasts = {name: values[:count] for name, values in backtest.forecasts.items()}
    return replace(backtest, forecasts=forecasts, actual=backtest.actual[:count])


def _mean_level(demand: np.ndarray, season_length: int) -> np.ndarray:
    """Mean demand of the last year, of the periods known in it; 1 where nothing was sold."""
    recent = demand[:, -season_length:]
    seen = ~np.isnan(recent)
    mean = np.where(seen, recent, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return np.where(mean > 0, mean, 1.0)


def _of_what_was_on_sale(nodes: Nodes, backtest: Backtest) -> Backtest:
    """The back-test of what was on sale at each origin: launches and phase-outs are planned by date, no model is to blame for them.

    What happened after a phase-out counts for nothing; of what a sum sold, only the part of the leaves that had begun.
    """
    actual, leaves = backtest.actual.copy(), nodes.leaves
    for number, origin in enumerate(backtest.origins):
        begun = ~np.isnan(nodes.demand[:leaves, :origin]).all(axis=1)
        sold = nodes.summing @ np.where(begun[:, None], np.nan_to_num(actual[:leaves, number]), 0.0)
        actual[leaves:, number] = np.where(np.isnan(actual[leaves:, number]), np.nan, sold)
    at = np.add.outer(backtest.origins, np.arange(actual.shape[2]))
    over = nodes.end[:, None, None] <= at[None]
    return replace(backtest, actual=np.where(over, np.nan, actual))


def _weights(backtest: Backtest, forecasts: dict[str, np.ndarray], names: list[str], level: np.ndarray) -> np.ndarray:
    suits = np.stack([~np.isnan(forecasts[name]).any(axis=1) for name in names], axis=1)
    return model_weights(backtest, names, level, suits)


def _pinned(
    names: list[str], weights: np.ndarray, forecasts: dict[str, np.ndarray], pins: dict[int, str] | None
) -> tuple[list[str], np.ndarray]:
    """All weight of a pinned leaf on its model, where that model has a forecast for it."""
    if not pins:
        return names, weights
    every = [*names, *(name for name in sorted(set(pins.values())) if name not in names)]
    weights = np.hstack([weights, np.zeros((len(weights), len(every) - len(names)))])
    for row, name in pins.items():
        if name in forecasts and not np.isnan(forecasts[name][row]).any():
            weights[row] = np.arange(len(every)) == every.index(name)
    return every, weights


def _held(nodes: Nodes, pins: dict[int, str] | None) -> np.ndarray:
    """Nodes whose model a planner pinned."""
    held = np.zeros(len(nodes.demand), dtype=bool)
    held[list(pins or {})] = True
    return held


def _without_demand(mix: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """The mix with zero for what has ended."""
    mix = np.where(ended[:, None] & ~np.isnan(mix), 0.0, mix)
    mix[ended & np.isnan(mix).all(axis=1)] = 0.0
    return mix


def _added_up(nodes: Nodes, mix: np.ndarray, known: np.ndarray, scale: np.ndarray, alone: np.ndarray, season_length: int) -> np.ndarray:
    """Forecasts that add up: all nodes reconciled, what is sparse told by its shares in them, and reconciled again."""
    shared = by_shares(nodes, known, coherent(nodes, mix, scale), season_length, alone)
    return coherent(nodes, shared, scale)


def _past_errors(
    nodes: Nodes, backtest: Backtest, names: list[str], level: np.ndarray, pins: dict[int, str] | None, calendar: Calendar
) -> tuple[Backtest, PastErrors, np.ndarray]:
    """The mix at every origin, weighed by the other origins: an error that chose its own weights would be too small.

    For the same reason the errors are those of a planner who knew of no event before it was announced.
    Third, the coefficients of the scale of the errors before anything was added up, by which reconciliation moves.
    """
    judged, count, year = _of_what_was_on_sale(nodes, backtest), len(backtest.origins), calendar.buckets_per_year
    empty = np.full((len(nodes.demand), max(backtest.actual.shape[2], 1)), np.nan)
    mixes, hardness, groups, alone = [], [], [], []
    for number, origin in enumerate(backtest.origins):
        others = [place for place in range(count) if place != number] or [number]
        at = {name: backtest.forecasts[name][:, number] if name in backtest.forecasts else empty for name in names}
        kept = Backtest({name: values[:, others] for name, values in judged.forecasts.items()}, judged.actual[:, others], others)
        known = nodes.demand[:, :origin]
        kinds = np.where(nodes.ended_at(origin), ENDED, route(known))
        begun = ~np.isnan(backtest.forecasts[NAIVE.name][:, number])
        mix = combine(at, *_pinned(names, _weights(kept, at, names, level), at, pins))
        mixes.append(np.where(begun, _without_demand(mix, kinds == ENDED), np.nan))
        alone.append((kinds == ENDED) | _held(nodes, pins))
        hardness.append(difficulty(known, year))
        groups.append(np.where(begun.any(axis=1), _error_group(nodes, known, kinds), -1))
    if not count:
        none = np.full((len(nodes.demand), 1, 1), np.nan)
        errors = PastErrors(none, none, difficulty(nodes.demand, year)[:, None], np.full((len(level), 1), -1), np.zeros(1, dtype=int), year)
        return backtest, errors, scale_coefficients(errors)
    errors = PastErrors(np.stack(mixes, 1), judged.actual, np.stack(hardness, 1), np.stack(groups, 1), np.array(backtest.origins), year)
    coefficients = scale_coefficients(errors)
    made = [
        _added_up(nodes, mix, nodes.demand[:, :origin], np.exp(hard @ coefficients), single, year)
        for origin, mix, hard, single in zip(backtest.origins, mixes, hardness, alone, strict=True)
    ]
    added_up = np.stack(made, axis=1)
    foreseen = np.stack([nodes.foreseen(origin, added_up.shape[2]) for origin in backtest.origins], axis=1)
    mixed = replace(backtest, forecasts={**backtest.forecasts, ENSEMBLE: added_up})
    group = _with_season(nodes.demand, backtest.origins, year, errors.group)
    return mixed, replace(errors, forecast=added_up * foreseen, group=group), coefficients


def _with_season(demand: np.ndarray, origins: list[int], season_length: int, group: np.ndarray) -> np.ndarray:
    """Groups (series × origins) of errors made with two years known, −1 for the others, where two such origins are left.

    Before that a series has no season of its own: errors as large as the season would judge a forecast that knows it.
    """
    age = np.stack([(~np.isnan(demand[:, :origin])).sum(axis=1) for origin in origins], axis=1)
    with_season = age >= SEASONS * season_length
    enough = with_season.sum(axis=1, keepdims=True) >= _LEAST_ORIGINS
    return np.where(enough & ~with_season, -1, group)


def _error_group(nodes: Nodes, demand: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Series whose errors are alike: by kind and age, and by how wide a sum they are."""
    age = (~np.isnan(demand)).sum(axis=1)
    number = np.select([kinds == ENDED, age < _NEW_PERIODS, kinds == SHORT, kinds == INTERMITTENT], [-1, 0, 1, 2], 3)
    return np.where(number < 0, -1, 4 * nodes.width + number)


def _forecast_table(panel: Panel, periods: pd.DatetimeIndex, result: NodeForecast, pins: dict[int, str]) -> pd.DataFrame:
    ahead = len(periods)
    frame = panel.keys.loc[panel.keys.index.repeat(ahead), KEYS].reset_index(drop=True)
    frame["period"] = np.tile(periods.to_numpy(), len(panel.keys))
    for column, values in (("forecast_qty", result.forecast), ("low_qty", result.low), ("high_qty", result.high)):
        frame[column] = values[: len(panel.keys)].ravel()
    frame["model"] = np.repeat(_model_words(panel, result, pins), ahead)
    return tables.validate("statistical_forecast", frame)


def _model_words(panel: Panel, result: NodeForecast, pins: dict[int, str]) -> np.ndarray:
    """Such as `regular: 45 % structure + theta, 55 % ces; 75% by its share of item and market`."""
    words = []
    for row, (kind, note) in enumerate(zip(result.kinds, panel.notes, strict=False)):
        mix = ", ".join(f"{share:.0%} {name}" for name, share in zip(result.names, result.weights[row], strict=True) if share > 0.005)
        text = f"{kind}: {mix}" if mix and kind != ENDED else f"{kind}: no demand expected"
        if row in pins and kind != ENDED:
            is_used = result.weights[row, result.names.index(pins[row])] == 1
            text += " (pinned)" if is_used else f" ({pins[row]} is pinned and does not suit)"
        elif result.is_shared[row]:
            text += f"; {SHARE_WEIGHT:.0%} by its share of item and market"
        words.append(f"{text} ({note})" if note else text)
    return np.array(words, dtype=object)
