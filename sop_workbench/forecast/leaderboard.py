"""Every model on the same held-out periods, at every level: errors are added up first and divided last."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.forecast import candidates
from sop_workbench.forecast.backtest import Backtest
from sop_workbench.forecast.panel import Panel, pooled
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

WHOLE = "all"
SERIES = "item_id × market_id"
_MOST_FAMILIES = 40


def leaderboard(panel: Panel, backtest: Backtest, item: pd.DataFrame | None, settings: Settings, calendar: Calendar) -> pd.DataFrame:
    """WAPE and bias of every model in the back-test → `forecast_error`.

    Models that forecast item × market are added up to item, family and total. Prophet, AutoETS, Theta and
    CES alone forecast the family and total series themselves (and items with effort `full`).
    """
    if not backtest.origins:
        return tables.table("forecast_error").empty()
    rows: list[dict] = []
    for level, members in _levels(panel, item).items():
        names, group = np.unique(members, return_inverse=True)
        begun = np.where(np.isnan(backtest.forecasts["naive"]), np.nan, backtest.actual)
        actual = _added_up(begun, group)
        compared = {name: _added_up(values, group) for name, values in backtest.forecasts.items() if _is_complete(values, backtest)}
        if level != SERIES and _is_affordable(level, len(names), settings):
            compared |= _alone(pooled(panel.demand, group), panel.periods, backtest, calendar)
        for name, values in compared.items():
            rows += _error_rows(name, level, names, values, actual, with_members=level in ("family", "item_id"))
    frame = pd.DataFrame(rows, columns=list(tables.table("forecast_error").columns))
    return tables.validate("forecast_error", frame.sort_values(["level", "member", "wape_ratio", "model"]).reset_index(drop=True))


def _levels(panel: Panel, item: pd.DataFrame | None) -> dict[str, np.ndarray]:
    items = panel.keys["item_id"]
    levels = {"total": np.full(len(items), WHOLE, dtype=object)}
    if item is not None:
        family = items.map(item.set_index("item_id")["family"].to_dict())
        levels["family"] = family.where(family.notna(), "none").to_numpy(dtype=object)
    levels["item_id"] = items.to_numpy(dtype=object)
    levels[SERIES] = (items + " × " + panel.keys["market_id"]).to_numpy(dtype=object)
    return levels


def _is_complete(values: np.ndarray, backtest: Backtest) -> bool:
    """Only a model that answered for every started series may be added up."""
    return not np.isnan(values[~np.isnan(backtest.forecasts["naive"])]).any()


def _is_affordable(level: str, members: int, settings: Settings) -> bool:
    if settings.forecast.effort == "quick":
        return level == "total"
    return members <= _MOST_FAMILIES or settings.forecast.effort == "full"


def _added_up(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Series × origins × periods to members; a series that had not started adds nothing."""
    total = np.zeros((int(group.max()) + 1, *values.shape[1:]))
    np.add.at(total, group, np.where(np.isnan(values), 0.0, values))
    return total


def _alone(demand: np.ndarray, periods: pd.DatetimeIndex, backtest: Backtest, calendar: Calendar) -> dict[str, np.ndarray]:
    """The well-known models on each aggregated series, from the same origins."""
    shape = (len(demand), *backtest.actual.shape[1:])
    results = {name: np.zeros(shape) for name in ("prophet", "auto ets", "theta", "ces")}
    models = {"auto ets": candidates.exponential_smoothing, "theta": candidates.theta, "ces": candidates.complex_smoothing}
    for number, origin in enumerate(backtest.origins):
        for row in range(len(demand)):
            known = ~np.isnan(demand[row, :origin])
            series = demand[row, :origin][known]
            if not len(series):
                continue
            for name, model in models.items():
                results[name][row, number] = model(series, shape[2], calendar.buckets_per_year)
            results["prophet"][row, number] = candidates.prophet(series, periods[:origin][known], periods[origin : origin + shape[2]])
    return results


def _error_rows(name: str, level: str, members: np.ndarray, forecast: np.ndarray, actual: np.ndarray, *, with_members: bool) -> list[dict]:
    error = forecast - actual
    absolute, signed, volume = (np.abs(error).sum(axis=(1, 2)), error.sum(axis=(1, 2)), actual.sum(axis=(1, 2)))
    rows = [_row(name, level, WHOLE, absolute.sum(), signed.sum(), volume.sum())]
    if with_members:
        rows += [_row(name, level, member, *figures) for member, *figures in zip(members, absolute, signed, volume, strict=True)]
    return [row for row in rows if row["actual_qty"] > 0]


def _row(name: str, level: str, member: str, absolute: float, signed: float, volume: float) -> dict:
    ratio = (absolute / volume, signed / volume) if volume > 0 else (np.nan, np.nan)
    return {"model": name, "level": level, "member": member, "wape_ratio": ratio[0], "bias_ratio": ratio[1], "actual_qty": volume}
