"""Decomposition: parts add up to demand, and each part is what was put into the series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sop_workbench import tables
from sop_workbench.forecast.decomposition import PARTS, demand_components
from sop_workbench.periods import Calendar

MONTHS = pd.date_range("2023-01-01", periods=36, freq="MS")
AHEAD = pd.date_range("2026-01-01", periods=6, freq="MS")
SEASON = 0.3 * np.sin(2 * np.pi * np.arange(36) / 12)
EVENT = {"item_id": "A", "family": None, "market_id": None, "region": None, "status": "done", "pull_forward_ratio": 0.0}


def series(values: np.ndarray, item: str = "A", market: str = "N") -> pd.DataFrame:
    return pd.DataFrame({"item_id": item, "market_id": market, "period": MONTHS, "ordered_qty": values})


def forecast(quantity: float = 200.0, item: str = "A", market: str = "N") -> pd.DataFrame:
    return pd.DataFrame({"item_id": item, "market_id": market, "period": AHEAD, "forecast_qty": quantity})


def parts_of(history: pd.DataFrame, ahead: pd.DataFrame, events: list[dict] | None = None) -> pd.DataFrame:
    return demand_components(history, ahead, AHEAD, Calendar("month"), None if events is None else pd.DataFrame(events))


def test_parts_add_up_to_demand_and_to_the_forecast() -> None:
    rng = np.random.default_rng(3)
    history = pd.concat([series(100 * (1 + SEASON) * rng.uniform(0.8, 1.2, 36)), series(rng.poisson(5, 36).astype(float), "B", "S")])
    parts = parts_of(history, pd.concat([forecast(), forecast(4.0, "B", "S")]), [
        {**EVENT, "kind": "promotion", "from_period": MONTHS[20], "to_period": MONTHS[21], "uplift_ratio": 0.4},
        {**EVENT, "kind": "outage", "from_period": AHEAD[1], "to_period": AHEAD[1], "uplift_ratio": -0.5}])
    assert len(parts) == 2 * 42
    np.testing.assert_allclose(parts[list(PARTS)].sum(axis=1), parts["demand_qty"], atol=1e-9)
    ahead = parts[parts["is_forecast"]]
    np.testing.assert_allclose(ahead["remainder_qty"], 0, atol=1e-9)
    assert ahead.loc[(ahead["item_id"] == "A") & (ahead["period"] == AHEAD[1]), "event_qty"].item() < 0


def test_a_planted_season_and_trend_are_told_apart() -> None:
    parts = parts_of(series((100 + 2 * np.arange(36)) * (1 + SEASON)), forecast())
    past = parts[~parts["is_forecast"]]
    trend = 100 + 2 * np.arange(36)
    assert np.corrcoef(past["season_qty"], trend * SEASON)[0, 1] > 0.99
    assert np.abs(past["trend_qty"] / trend - 1).max() < 0.1
    assert past["remainder_qty"].abs().sum() < 0.05 * past["demand_qty"].sum()
    assert (past[["promotion_qty", "event_qty"]] == 0).all().all()


@pytest.mark.parametrize(("kind", "column"), [("promotion", "promotion_qty"), ("price", "promotion_qty"), ("holiday", "event_qty")])
def test_an_uplift_goes_to_the_part_of_its_kind(kind: str, column: str) -> None:
    values = np.full(36, 100.0)
    values[30] = 150.0
    parts = parts_of(series(values), forecast(100.0), [
        {**EVENT, "kind": kind, "from_period": MONTHS[30], "to_period": MONTHS[30], "uplift_ratio": 0.5}])
    row = parts[parts["period"] == MONTHS[30]].iloc[0]
    assert row[column] == pytest.approx(50, abs=5)
    other = {"promotion_qty": "event_qty", "event_qty": "promotion_qty"}[column]
    assert (parts[other] == 0).all()


def test_what_had_not_begun_has_no_row_and_a_gap_no_quantity() -> None:
    values = np.full(36, 100.0)
    values[:12], values[20] = 0.0, np.nan
    parts = parts_of(series(values), forecast(100.0))
    assert parts["period"].min() == MONTHS[12]
    gap = parts[parts["period"] == MONTHS[20]].iloc[0]
    assert np.isnan(gap["demand_qty"])
    assert np.isnan(gap["remainder_qty"])
    assert gap["trend_qty"] == pytest.approx(100, abs=5)


def test_no_history_gives_the_empty_table() -> None:
    nothing = tables.table("sales_history").empty()
    assert demand_components(nothing, forecast().head(0), AHEAD, Calendar("month")).empty


def test_the_trend_ahead_is_a_straight_line_however_the_models_see_the_season() -> None:
    rng = np.random.default_rng(5)
    season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(36, 42) / 12)
    ahead = forecast().assign(forecast_qty=(170 + 2 * np.arange(6)) * season * rng.uniform(0.9, 1.1, 6))
    parts = parts_of(series((100 + 2 * np.arange(36)) * (1 + SEASON)), ahead).query("is_forecast")
    trend = parts["trend_qty"].to_numpy()
    np.testing.assert_allclose(np.diff(trend, 2), 0, atol=1e-9)
    assert abs(trend.mean() / 175 - 1) < 0.1
    np.testing.assert_allclose(parts["trend_qty"] + parts["season_qty"], ahead["forecast_qty"], atol=1e-9)
