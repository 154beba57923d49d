"""Models that planners pin to items and families."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import DataError
from sop_workbench.forecast.models import MODELS, Model

_SCOPE = ("item_id", "family", "market_id")

def pinned_models(
    model_pin: pd.DataFrame | None, keys: pd.DataFrame, item: pd.DataFrame | None, market: pd.DataFrame | None
) -> dict[int, str]:
    """The pinned model of every series that has one, by row of `keys`; the newest pin that speaks for a series counts.

    Parameters
    ----------
    model_pin : DataFrame, optional
        People's records, oldest first.
    keys : DataFrame
        item_id, market_id of each series.
    item, market : DataFrame, optional
        Master tables; without them, what was sold is what is on file.

    Raises
    ------
    DataError
        With every finding: an item, family, market or model that does not exist.
    """
    if model_pin is None or model_pin.empty:
        return {}
    places = keys[["item_id", "market_id"]].copy()
    places["family"] = places["item_id"].map({} if item is None else item.set_index("item_id")["family"].to_dict())
    on_file = {
        "item_id": keys["item_id"] if item is None else item["item_id"],
        "family": places["family"] if item is None else item["family"],
        "market_id": keys["market_id"] if market is None else market["market_id"],
        "model": pd.Series(list(MODELS)),
    }
    _refuse_unknown(model_pin, on_file)
    pins: dict[int, str] = {}
    for row in model_pin.to_dict("records"):
        inside = pd.Series(data=True, index=places.index)
        for column in _SCOPE[:1] if row["item_id"] else _SCOPE[1:2]:
            if row[column]:
                inside &= places[column] == row[column]
        if row["market_id"]:
            inside &= places["market_id"] == row["market_id"]
        pins.update(dict.fromkeys(inside[inside].index.tolist(), row["model"]))
    return {series: model for series, model in sorted(pins.items()) if model}


def with_pinned(
    forecasts: dict[str, np.ndarray],
    demand: np.ndarray,
    dates: pd.DatetimeIndex,
    ahead: pd.DatetimeIndex,
    pins: dict[int, str],
    season_length: int,
) -> dict[str, np.ndarray]:
    """Forecasts of every model, with those of pinned models for the series pinned to them.

    Parameters
    ----------
    forecasts : dict of ndarray, series × ahead
        By model; changed in place and returned.
    demand : ndarray, series × periods
    pins : dict
        Model by row.
    """
    for row, name in pins.items():
        made = forecasts.setdefault(name, np.full((len(demand), len(ahead)), np.nan))
        known = ~np.isnan(demand[row])
        if np.isnan(made[row]).any() and known.any():
            made[row] = _by_itself(MODELS[name], demand[row][known], dates[known], ahead, season_length)
    return forecasts


def _by_itself(model: Model, series: np.ndarray, dates: pd.DatetimeIndex, ahead: pd.DatetimeIndex, season_length: int) -> np.ndarray:
    """Forecast of one series; NaN by a model that needs all series or their structure."""
    if model.is_on_structure or model.learn is not None:
        return np.full(len(ahead), np.nan)
    if model.reads == "dates":
        return model.forecast(series, dates, ahead)
    return model.forecast(series[None] if model.reads == "all" else series, len(ahead), season_length).reshape(-1)


def _refuse_unknown(model_pin: pd.DataFrame, on_file: dict[str, pd.Series]) -> None:
    findings = []
    for column, known in on_file.items():
        wrong = model_pin[(model_pin[column] != "") & ~model_pin[column].isin(known)]
        if len(wrong):
            remedy = f"pin one of: {', '.join(MODELS)}" if column == "model" else f"name a {column} that is on file"
            shown = tables.key_text(wrong, ["record_id"] if "record_id" in wrong else [*_SCOPE])
            values = ", ".join(wrong[column].unique()[:5])
            findings.append(tables.finding(f"unknown_{column}", "blocks", "model_pin", shown, len(wrong), values, remedy))
    if findings:
        raise DataError(tables.issue_frame(findings))
