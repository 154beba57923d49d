"""Demand with known drivers: true elasticities come back, pooling helps the weak, plans are answered, bad input is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sop_workbench import tables
from sop_workbench.errors import SopError
from sop_workbench.forecast import drivers
from sop_workbench.forecast.drivers import DriverNames, driver_forecast

NAMES = DriverNames(elastic=("price_amt", "rival_price_amt"), uplift=("feature",))
ELASTICITY = {"A": -2.5, "B": -1.5, "C": -3.2}
CROSS, UPLIFT, NOISE, WEEKS = 0.8, 0.6, 0.3, 104


def simulated(seed: int = 1, markets: int = 12, shared: float = 0.0) -> pd.DataFrame:
    """Sales of three items in 12 markets under prices and features known, elasticities differing by item and a little by market."""
    rng = np.random.default_rng(seed)
    parts = []
    for item, elasticity in ELASTICITY.items():
        wave = rng.normal(0, shared, WEEKS)
        for market in range(markets):
            price, rival = np.exp(rng.normal(0.5, 0.2, (2, WEEKS)))
            feature = (rng.random(WEEKS) < 0.2).astype(float)
            middle = rng.normal(4, 0.5) + (elasticity + rng.normal(0, 0.1)) * np.log(price) + CROSS * np.log(rival)
            middle = middle + np.log1p(UPLIFT) * feature + 0.2 * np.sin(2 * np.pi * np.arange(WEEKS) / 52.18)
            parts.append(pd.DataFrame({
                "item_id": item, "market_id": f"M{market:02d}", "period": pd.date_range("2024-01-01", periods=WEEKS, freq="7D"),
                "price_amt": price, "rival_price_amt": rival, "feature": feature, "mean": np.exp(middle + NOISE**2 / 2),
                "ordered_qty": np.exp(middle + wave + rng.normal(0, NOISE, WEEKS)),
            }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def parted(table: pd.DataFrame, ahead: int = 8) -> tuple[pd.DataFrame, pd.DataFrame]:
    start = table["period"].max() - pd.Timedelta(weeks=ahead - 1)
    return table[table["period"] < start], table[table["period"] >= start].drop(columns="ordered_qty")


def effect(effects: pd.DataFrame, driver: str, level: str, member: str) -> pd.Series:
    return effects.set_index(["driver", "level", "member"]).loc[(driver, level, member)]


def test_true_elasticities_come_back_with_their_uncertainty() -> None:
    _, effects = driver_forecast(*parted(simulated()), NAMES)
    tables.validate("driver_effect", effects)
    for item, elasticity in ELASTICITY.items():
        found = effect(effects, "price_amt", "item_id", item)
        assert found["effect_ratio"] == pytest.approx(elasticity, abs=0.12)
        assert found["low_ratio"] <= elasticity <= found["high_ratio"]
        assert effect(effects, "feature", "item_id", item)["effect_ratio"] == pytest.approx(UPLIFT, abs=0.1)
    assert effect(effects, "rival_price_amt", "all", "all")["effect_ratio"] == pytest.approx(CROSS, abs=0.1)
    assert set(effects.loc[effects["driver"] == "feature", "measure"]) == {"uplift"}


def test_ranges_of_series_cover_their_own_truth() -> None:
    _, effects = driver_forecast(*parted(simulated()), NAMES)
    rows = effects[(effects["driver"] == "rival_price_amt") & (effects["level"] == "item_id × market_id")]
    assert len(rows) == 36
    assert ((rows["low_ratio"] <= CROSS) & (rows["high_ratio"] >= CROSS)).mean() > 0.9


def test_expected_demand_is_neither_high_nor_low_and_the_range_covers() -> None:
    table = simulated()
    history, plan = parted(table)
    made, _ = driver_forecast(history, plan, NAMES)
    both = made.merge(table, on=["item_id", "market_id", "period"], validate="one_to_one")
    assert both["forecast_qty"].sum() / both["mean"].sum() == pytest.approx(1, abs=0.05)
    assert (both["forecast_qty"] - both["mean"]).abs().sum() / both["mean"].sum() < 0.12
    inside = (both["ordered_qty"] >= both["low_qty"]) & (both["ordered_qty"] <= both["high_qty"])
    assert 0.72 < inside.mean() < 0.9


def test_a_short_series_leans_on_its_item() -> None:
    table = simulated()
    history, plan = parted(table)
    is_short = (history["item_id"] == "A") & (history["market_id"] == "M03")
    history = history[~is_short | (history["period"] >= history["period"].max() - pd.Timedelta(weeks=5))]
    _, effects = driver_forecast(history, plan, NAMES)
    found = effect(effects, "price_amt", "item_id × market_id", "A · M03")
    assert found["effect_ratio"] == pytest.approx(ELASTICITY["A"], abs=0.3)
    assert found["evidence"] == "6 periods"
    other = effect(effects, "price_amt", "item_id × market_id", "A · M04")
    assert found["high_ratio"] - found["low_ratio"] > other["high_ratio"] - other["low_ratio"]


def test_rare_weeks_that_sell_many_times_as_much_are_in_the_mean_where_they_happen() -> None:
    """One featured week in five sells six times as much: the mean of featured weeks is above what logs alone give, others' is not."""
    rng = np.random.default_rng(5)
    table = simulated(markets=20)
    burst = (table["feature"] == 1) & (rng.random(len(table)) < 0.2)
    table["ordered_qty"] *= np.where(burst, 6.0, 1.0)
    history, plan = parted(table, 40)
    model = drivers.fit_drivers(history, NAMES, ahead=40)
    alike = replace(model, uplift_lift=np.zeros(1))  # the same way back for every week, whatever runs
    bias = {}
    for name, used in (("learned", model), ("alike", alike)):
        beside = drivers.apply_drivers(used, plan).merge(table, on=["item_id", "market_id", "period"], validate="one_to_one")
        sums = beside.groupby("feature")[["forecast_qty", "ordered_qty"]].sum()
        bias[name] = sums["forecast_qty"] / sums["ordered_qty"] - 1
    assert bias["learned"].abs().max() < 0.12
    assert bias["alike"].loc[1.0] < -0.2


def test_errors_of_periods_a_model_was_fitted_to_are_too_small() -> None:
    """Two items, few weeks and shocks that all markets share: cross-fitted noise is larger than that of the fit itself."""
    table = simulated(markets=4, shared=0.5)
    table = table[table["item_id"].isin(["A", "B"]) & (table["period"] < "2024-08-01")]
    model = drivers.fit_drivers(table, NAMES)
    features = drivers._matrices(table, model.keys, NAMES, "ordered_qty", model.typical)
    fitted = features[0] - drivers._effect(features[1], model.centre, model.series)
    inside = drivers._noise(drivers._past_errors(fitted, 1), fitted, model.item, 2)
    assert (model.noise > 1.05 * inside).all()


def test_shocks_shared_by_markets_widen_the_range_of_an_item() -> None:
    """Twelve markets under one leaflet are not twelve witnesses."""
    width = []
    for shared in (0.0, 0.5):
        _, effects = driver_forecast(*parted(simulated(shared=shared)), NAMES)
        found = effect(effects, "price_amt", "item_id", "A")
        width.append(found["high_ratio"] - found["low_ratio"])
    assert width[1] > 1.5 * width[0]


def test_a_lower_planned_price_sells_more_by_its_elasticity() -> None:
    history, plan = parted(simulated())
    usual, effects = driver_forecast(history, plan, NAMES)
    cheaper, _ = driver_forecast(history, plan.assign(price_amt=plan["price_amt"] * 0.9), NAMES)
    found = effect(effects, "price_amt", "item_id × market_id", "A · M00")["effect_ratio"]
    assert cheaper["forecast_qty"].iloc[0] / usual["forecast_qty"].iloc[0] == pytest.approx(0.9**found)


def test_same_numbers_whatever_the_order_of_rows() -> None:
    history, plan = parted(simulated())
    first, _ = driver_forecast(history, plan, NAMES)
    second, _ = driver_forecast(history.sample(frac=1, random_state=3), plan.sample(frac=1, random_state=4), NAMES)
    pd.testing.assert_frame_equal(first, second, rtol=1e-9)


def test_zero_demand_gaps_and_unknown_series_do_not_stop_the_others() -> None:
    history, plan = parted(simulated())
    history = history.copy()
    history.iloc[3, history.columns.get_loc("ordered_qty")] = 0.0
    history.iloc[5, history.columns.get_loc("ordered_qty")] = np.nan
    made, _ = driver_forecast(history, pd.concat([plan, plan.head(1).assign(item_id="NEW")]), NAMES)
    assert len(made) == len(plan)
    assert np.isfinite(made["forecast_qty"]).all()


@pytest.mark.parametrize(("change", "words"), [
    ({"price_amt": 0.0}, "price_amt is 0.0 at item_id=A, market_id=M00"),
    ({"feature": np.nan}, "state 0 where the driver was off"),
])
def test_a_driver_that_cannot_be_is_named(change: dict, words: str) -> None:
    history, plan = parted(simulated())
    with pytest.raises(SopError, match=words):
        driver_forecast(history, plan.assign(**change), NAMES)


def test_missing_columns_and_too_little_history_are_said() -> None:
    history, plan = parted(simulated())
    with pytest.raises(SopError, match="plan has no column feature"):
        driver_forecast(history, plan.drop(columns="feature"), NAMES)
    with pytest.raises(SopError, match="no series has 3 periods"):
        driver_forecast(history.groupby(["item_id", "market_id"]).head(2), plan, NAMES)
