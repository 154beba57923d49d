"""KPIs: aggregate first, divide last; nothing is invented where the denominator is zero."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sop_workbench import kpi
from sop_workbench.errors import DataError, SopError
from sop_workbench.settings import Settings

SETTINGS = Settings(company="Small")


def measured(name: str, value: float, **more) -> pd.DataFrame:
    return pd.DataFrame([{"kpi": name, "level": "total", "member": "all", "period": pd.Timestamp("2026-09-01"), "value": value, **more}])


def light(name: str, value: float) -> str:
    return kpi.kpi_table(measured(name, value), SETTINGS)["status"].iloc[0]


def test_wape_divides_the_sums_not_the_rows():
    actual, forecast = [1, 99], [2, 99]
    assert kpi.wape(actual, forecast) == pytest.approx(0.01), "the mean of row errors would be 50 %"


def test_signs_are_forecast_minus_actual():
    assert kpi.bias([100, 100], [110, 110]) == pytest.approx(0.1)
    assert kpi.tracking_signal([100, 100], [90, 90]) == pytest.approx(-2)


def test_mase_uses_the_training_window_alone():
    history = [10, 20, 12, 22, 14, 24]
    assert kpi.mase([16, 26], [15, 27], history, season=2) == pytest.approx(1 / 2)
    assert math.isnan(kpi.mase([16], [15], history[:2], season=2)), "too short to have a season"
    assert math.isnan(kpi.mase([16], [15], [5.0] * 6, season=2)), "a history without change has no scale"


def test_fill_rate_is_not_the_cycle_service_level():
    ordered, on_time = np.array([100, 100, 100, 100]), np.array([100, 100, 100, 99])
    assert kpi.fill_rate(on_time, ordered) == pytest.approx(0.9975)
    assert kpi.cycle_service_level(on_time < ordered) == pytest.approx(0.75)
    assert kpi.otif([20, 10, 4, 5], [20, 10, 5, 5]) == pytest.approx(39 / 40), "orders are counted, not months that were whole"


def test_money_days_fit_together():
    cogs, revenue, inventory = 730.0, 1095.0, 60.0
    turns = kpi.inventory_turns(cogs, inventory)
    assert kpi.days_of_inventory(cogs, inventory) == pytest.approx(365 / turns)
    assert kpi.days_of_sales(revenue, 135.0) == pytest.approx(45)
    assert kpi.days_of_payables(cogs, 60.0) == pytest.approx(30)
    assert kpi.cash_to_cash(30, 45, 30) == 45
    assert kpi.gmroi(365.0, inventory) == pytest.approx(365 / 60)
    assert kpi.gross_margin(revenue, cogs) == pytest.approx(1 / 3)


def test_over_build_does_not_offset_under_build():
    assert kpi.production_adherence([200, 0], [100, 100]) == pytest.approx(0.5)


def test_a_calm_plan_is_stable():
    assert kpi.plan_stability([100, 50], [100, 50]) == 0
    assert kpi.plan_stability([100, 50], [50, 100]) == pytest.approx(100 / 150)


@pytest.mark.parametrize(
    "value",
    [
        kpi.wape([0, 0], [1, 1]),
        kpi.bias([], []),
        kpi.tracking_signal([5], [5]),
        kpi.tracking_signal([], []),
        kpi.fill_rate([0], [0]),
        kpi.otif([], []),
        kpi.cycle_service_level([]),
        kpi.inventory_turns(100, 0),
        kpi.days_of_inventory(0, 100),
        kpi.days_of_sales(0, 1),
        kpi.days_of_payables(0, 1),
        kpi.gross_margin(0, 0),
        kpi.gmroi(1, 0),
        kpi.production_adherence([1], [0]),
        kpi.utilisation([1], [0]),
        kpi.excess_ratio(0, 0),
        kpi.plan_stability([0], [1]),
        kpi.share([]),
        kpi.mase([], [], [1, 2, 3], season=1),
        kpi.cash_to_cash(np.nan, 1, 1),
    ],
)
def test_without_a_denominator_there_is_no_kpi(value):
    assert math.isnan(value)


@given(st.lists(st.tuples(st.floats(0.1, 1e5), st.floats(0, 1e5)), min_size=1, max_size=20))
def test_bias_never_exceeds_wape(pairs):
    actual, forecast = map(np.array, zip(*pairs, strict=True))
    assert abs(kpi.bias(actual, forecast)) <= kpi.wape(actual, forecast) + 1e-9


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0.1, 1e5)), min_size=1, max_size=20))
def test_adherence_is_a_share(pairs):
    actual, plan = map(np.array, zip(*pairs, strict=True))
    assert 0 <= kpi.production_adherence(actual, plan) <= 1


def test_missing_values_and_different_lengths_are_refused():
    with pytest.raises(SopError, match="1 of 2 values are missing"):
        kpi.wape([1, np.nan], [1, 1])
    with pytest.raises(SopError, match="2 values stand beside 1"):
        kpi.wape([1, 2], [1])


# ------------------------------------------------------------------ the table
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("wape", {"green": 0.35, "amber": 0.40, "red": 0.50}),
        ("bias", {"green": -0.10, "amber": -0.14, "red": 0.20}),
        ("fill_rate", {"green": 0.95, "amber": 0.91, "red": 0.85}),
        ("utilisation", {"green": 0.80, "amber": 1.00, "red": 1.20}),
        ("inventory_turns", {"none": 6.0}),
    ],
)
def test_traffic_lights(name, values):
    assert {light(name, value) for value in values.values()} == set(values)
    for status, value in values.items():
        assert light(name, value) == status


@pytest.mark.parametrize(("name", "value", "reason"), [
    ("wape", 0.40, "40.0 % is beyond the target 35.0 %"), ("fill_rate", 0.85, "85.0 % is far short of the target 95.0 %"),
    ("fill_rate", 0.96, "96.0 % meets the target 95.0 %"), ("mase", 1.2, "1.20 is beyond the target 1.00")])
def test_the_reason_speaks_in_the_unit_of_the_kpi_and_on_the_side_that_hurts(name, value, reason):
    assert kpi.kpi_table(measured(name, value), SETTINGS)["reason"].iloc[0] == reason


def test_an_undefined_kpi_shows_why():
    table = kpi.kpi_table(measured("wape", np.nan, note="cycle 2026-09"), SETTINGS)
    assert table["status"].iloc[0] == "none"
    assert table["reason"].iloc[0] == "not defined: no actual demand; cycle 2026-09"
    assert table["formula"].iloc[0] == "Σ|A−F| / ΣA"


def test_targets_are_the_tolerances_of_the_settings():
    strict = SETTINGS.model_copy(update={"tolerances": SETTINGS.tolerances.model_copy(update={"forecast_wape_ratio": 0.1})})
    table = kpi.kpi_table(measured("wape", 0.3), strict)
    assert (table["target"].iloc[0], table["status"].iloc[0]) == (0.1, "red")


def test_every_target_exists_in_the_settings():
    for definition in kpi.DEFINITIONS.values():
        assert not definition.tolerance or hasattr(SETTINGS.tolerances, definition.tolerance)


def test_a_kpi_without_definition_is_refused():
    with pytest.raises(DataError, match="unknown_kpi.*happiness"):
        kpi.kpi_table(measured("happiness", 1.0), SETTINGS)


def test_kpis_of_a_plan():
    period = pd.Timestamp("2027-01-01")
    unmet = pd.DataFrame({"market_id": ["N", "S"], "demand_qty": [100.0, 50.0], "served_qty": [100.0, 20.0]})
    hours = pd.DataFrame({"resource_id": ["L1"], "period": [period], "used_hours": [90.0], "regular_hours": [120.0]})
    capacity = pd.DataFrame({"resource_id": ["L1"], "period": [period], "demonstrated_hours": [100.0]})
    money = pd.DataFrame(
        {"period": [period], "revenue_amt": [100.0], "cogs_amt": [60.0], "gross_margin_amt": [40.0], "inventory_amt": [120.0]}
    )
    cash = pd.DataFrame({"period": [period], "receivable_amt": [150.0], "payable_amt": [60.0]})
    found = kpi.plan_measures(unmet, hours, capacity, money, SETTINGS, cash).set_index(["kpi", "member"])["value"]
    assert found["fill_rate", "all"] == pytest.approx(0.8)
    assert found["fill_rate", "S"] == pytest.approx(0.4)
    assert found["utilisation", "L1"] == pytest.approx(0.9), "against demonstrated, not regular hours"
    assert found["inventory_turns", "all"] == pytest.approx(12 * 60 / 120)
    assert found["days_of_sales", "all"] == pytest.approx(150 / 1200 * 365)
    assert found["cash_to_cash", "all"] == pytest.approx(365 / 6 + 150 / 1200 * 365 - 60 / 720 * 365)
    assert "cash_to_cash" not in kpi.plan_measures(unmet, hours, capacity, money, SETTINGS)["kpi"].tolist()
