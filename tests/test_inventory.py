"""Inventory theory against its books, projected cover, and the targets of a plan."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from situations import frame

from sop_workbench import inventory, materials, tables
from sop_workbench.errors import DataError
from sop_workbench.settings import Settings

SETTINGS = Settings(company="Test")
MONTHS = pd.date_range("2026-01-01", periods=3, freq="MS")


# ------------------------------------------------------------------ theory (Snyder and Shen)
def test_economic_order_quantity():
    quantity, cost = inventory.eoq(order_cost=8, holding_cost=0.225, demand=1300)
    assert quantity == pytest.approx(304.0467800, abs=1e-7)
    assert cost == pytest.approx(68.41052551, abs=1e-8)


def test_newsvendor():
    assert inventory.newsvendor(0.18, 0.70, 50, 8) == pytest.approx(56.60395593, abs=1e-8)


def test_wagner_whitin():
    lots = inventory.wagner_whitin(np.array([90, 120, 80, 70]), order_cost=500, holding_cost=2)
    assert lots.tolist() == [210, 0, 150, 0]
    assert inventory.lot_cost(lots, [90, 120, 80, 70], 500, 2) == 1380


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=7), st.integers(1, 200), st.integers(1, 5))
def test_wagner_whitin_is_never_beaten(demand, order_cost, holding_cost):
    best = inventory.lot_cost(inventory.wagner_whitin(np.array(demand), order_cost, holding_cost), demand, order_cost, holding_cost)
    for pattern in range(2 ** (len(demand) - 1)):
        starts = [0, *(n for n in range(1, len(demand)) if pattern >> (n - 1) & 1), len(demand)]
        lots = np.zeros(len(demand))
        for begin, end in zip(starts, starts[1:], strict=False):
            lots[begin] = sum(demand[begin:end])
        assert best <= inventory.lot_cost(lots, demand, order_cost, holding_cost) + 1e-9


def test_lots_that_leave_demand_unserved_are_refused():
    with pytest.raises(ValueError, match="from period 2 on"):
        inventory.lot_cost(np.array([5.0, 0.0]), np.array([5.0, 1.0]), 1, 1)


@pytest.mark.parametrize("wrong", [{"order_cost": 0}, {"holding_cost": -1}, {"demand": 0}])
def test_rates_must_be_positive(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be above 0"):
        inventory.eoq(**{"order_cost": 1, "holding_cost": 1, "demand": 1, **wrong})


def test_loss_function_is_the_expected_shortage():
    grid = np.linspace(-8, 8, 400_001)
    for factor in (-1.0, 0.0, 0.7, 2.5):
        expected = np.trapezoid(np.maximum(grid - factor, 0) * norm.pdf(grid), grid)
        assert inventory.normal_loss(factor) == pytest.approx(expected, abs=1e-8)


def test_fill_rate_is_not_cycle_service():
    # Half of the cycles run out, and still 97 % of demand is served from stock.
    assert inventory.fill_rate(0, deviation_qty=707, lot_qty=10_000) == pytest.approx(1 - 707 * 0.39894228 / 10_000, abs=1e-6)
    assert inventory.fill_rate(10, deviation_qty=0, lot_qty=5) == 1.0


def test_safety_stock_by_hand():
    assert inventory.safety_stock(0.90, 500, 2) == pytest.approx(1.2815516 * 500 * np.sqrt(2), rel=1e-6)
    both = inventory.safety_stock(0.90, 500, 7, demand_qty=2500, lead_time_deviation=7)
    assert both == pytest.approx(1.2815516 * np.sqrt(7 * 500**2 + 2500**2 * 49), rel=1e-6)


# ------------------------------------------------------------------ projected stock and cover (planr, product A)
DEMAND = [360, 458, 300, 264, 140, 233, 229, 208, 260, 336, 295, 226, 336, 434, 276, 240, 116, 209, 205, 183, 235, 312, 270, 201]


def product_a() -> pd.DataFrame:
    periods = pd.date_range("2026-01-01", periods=len(DEMAND), freq="MS")
    return inventory.projected_cover(
        pd.DataFrame({"item_id": ["A"], "opening_qty": [1310.0]}),
        pd.DataFrame({"item_id": "A", "period": periods, "demand_qty": np.array(DEMAND, dtype=float)}),
        pd.DataFrame({"item_id": "A", "period": periods[[5, 15]], "supply_qty": [2500.0, 2000.0]}),
    )


def test_projected_stock_and_cover_of_product_a():
    found = product_a()
    assert found["stock_qty"].head(6).tolist() == [950, 492, 192, -72, -212, 2055]
    assert found["cover_periods"].head(6).round(1).tolist() == [2.7, 1.7, 0.7, 0.0, 0.0, 7.4]


def test_cover_beyond_known_demand_is_empty_not_zero():
    assert np.isnan(inventory.cover_periods(np.array([50.0, 10.0]), np.array([5.0, 20.0]))).all()
    assert product_a()["cover_periods"].iloc[-1] == 0  # short: no cover at all


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=10), st.integers(0, 200))
def test_cover_serves_exactly_the_stock(demand, stock):
    cover = inventory.cover_periods(np.array([float(stock)]), np.array([float(demand[0])]))
    assert np.isnan(cover[0]) or stock == 0
    whole = inventory.cover_periods(np.full(len(demand), float(stock)), np.array(demand, dtype=float))[0]
    if not np.isnan(whole):
        full, part = int(whole), whole - int(whole)
        rest = demand[1:]
        assert sum(rest[:full]) + (part * rest[full] if part else 0) == pytest.approx(stock)


# ------------------------------------------------------------------ targets
def small_inputs(**changes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Item F made at plant P from part M; warehouse W serves K1 (and dearer K2), P serves K2 cheaply."""
    inputs = {name: tables.table(name).empty() for name in tables.names("input")}
    inputs["item"] = frame(
        "item",
        [
            {"item_id": "F", "item_name": "F", "item_type": "finished", "reorder_safety_stock_qty": 999.0},
            {"item_id": "M", "item_name": "M", "item_type": "material"},
        ],
    )
    inputs["production"] = frame("production", [{"item_id": "F", "location_id": "P", "lead_time_days": 0.0}])
    inputs["supplier_item"] = frame(
        "supplier_item",
        [
            {
                "item_id": "M",
                "supplier_id": "S",
                "location_id": "P",
                "unit_cost_amt": 1.0,
                "lead_time_days": 2 * 365.25 / 12,
                "lead_time_deviation_days": 365.25 / 24,
            }
        ],
    )
    inputs["lane"] = frame(
        "lane",
        [
            {"from_location_id": "P", "to_id": "W", "lead_time_days": 365.25 / 12},
            {"from_location_id": "W", "to_id": "K1", "freight_cost_amt": 1.0},
            {"from_location_id": "W", "to_id": "K2", "freight_cost_amt": 3.0},
            {"from_location_id": "P", "to_id": "K2", "freight_cost_amt": 2.0},
        ],
    )
    inputs["bill_of_material"] = frame("bill_of_material", [{"parent_item_id": "F", "component_item_id": "M", "quantity_per": 3.0}])
    return inputs | changes


def demand_of(**by_market: float) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"item_id": "F", "market_id": market, "period": month, "demand_qty": quantity}
            for market, quantity in by_market.items()
            for month in MONTHS
        ]
    )


def errors(**wape_by_member: float) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"model": "ensemble", "level": "item_id", "member": member, "wape_ratio": wape, "bias_ratio": 0.0, "actual_qty": 1.0}
            for member, wape in wape_by_member.items()
        ]
    )


def targets(demand: pd.DataFrame, error: pd.DataFrame, inputs: dict[str, pd.DataFrame], abc: str = "A") -> pd.DataFrame:
    requirement = materials.explode(inputs["bill_of_material"], demand)
    item_class = pd.DataFrame({"item_id": ["F"], "abc": [abc]})
    found = inventory.inventory_targets(demand, requirement, error, item_class, inputs, SETTINGS, SETTINGS.calendar)
    return found[found["period"] == MONTHS[0]].set_index(["item_id", "location_id"])


def test_target_of_a_warehouse_by_hand():
    found = targets(demand_of(K1=100.0), errors(F=0.2), small_inputs()).loc[("F", "W")]
    sigma = np.sqrt(np.pi / 2) * 0.2 * 100
    assert found["error_qty"] == pytest.approx(sigma)
    assert found["safety_stock_qty"] == pytest.approx(norm.ppf(0.95) * np.sqrt(2) * sigma)  # one month on the way, one of review
    assert found["target_qty"] == pytest.approx(found["safety_stock_qty"] + 50)
    assert found["method"] == "z √((L + review) σ² + μ² σ_L²)"


def test_markets_stand_with_the_location_that_serves_them_most_cheaply_and_pool_there():
    found = targets(demand_of(K1=75.0, K2=25.0), errors(F=0.2), small_inputs())
    sigma = np.sqrt(np.pi / 2) * 0.2 * 100
    assert found.loc[("F", "W"), "error_qty"] == pytest.approx(sigma * np.sqrt(0.75))
    assert found.loc[("F", "P"), "error_qty"] == pytest.approx(sigma * np.sqrt(0.25))
    assert found.loc[("F", "P"), "lead_time_days"] == 0


def test_component_bears_its_parents_error_and_its_supplier_spread():
    found = targets(demand_of(K1=100.0), errors(F=0.2), small_inputs()).loc[("M", "P")]
    sigma = 3 * np.sqrt(np.pi / 2) * 0.2 * 100
    assert found["error_qty"] == pytest.approx(sigma)
    assert found["safety_stock_qty"] == pytest.approx(norm.ppf(0.95) * np.sqrt(3 * sigma**2 + 300**2 * 0.5**2))


def test_erp_safety_stock_holds_for_parts_not_for_finished_goods():
    inputs = small_inputs()
    inputs["item"] = inputs["item"].assign(reorder_safety_stock_qty=[999.0, 40.0])
    found = targets(demand_of(K1=100.0), errors(F=0.2), inputs)
    assert found.loc[("M", "P"), "safety_stock_qty"] == 40
    assert found.loc[("M", "P"), "method"] == "safety stock of the ERP"
    assert found.loc[("F", "W"), "safety_stock_qty"] != 999


@pytest.mark.parametrize(
    ("rows", "level"),
    [
        ([], 0.95),
        ([("A", 0.98)], 0.98),
        ([("A", 0.98), ("F", 0.90)], 0.90),
        ([("B", 0.85)], 0.95),
    ],
)
def test_service_level_of_item_before_class_before_settings(rows, level):
    promised = frame("service_target", [{"item_or_class": name, "service_level_ratio": ratio} for name, ratio in rows])
    found = targets(demand_of(K1=100.0), errors(F=0.2), small_inputs(service_target=promised))
    assert found.loc[("F", "W"), "service_level_ratio"] == level


def test_item_without_its_own_back_test_takes_that_of_all_items():
    found = targets(demand_of(K1=100.0), errors(all=0.4), small_inputs())
    assert found.loc[("F", "W"), "error_qty"] == pytest.approx(np.sqrt(np.pi / 2) * 0.4 * 100)


def test_mix_is_taken_before_a_luckier_single_model():
    rows = pd.concat([errors(F=0.3), errors(F=0.1).assign(model="theta")])
    found = targets(demand_of(K1=100.0), rows, small_inputs())
    assert found.loc[("F", "W"), "error_qty"] == pytest.approx(np.sqrt(np.pi / 2) * 0.3 * 100)


def test_without_any_back_test_no_safety_stock_is_claimed():
    found = targets(demand_of(K1=100.0), tables.table("forecast_error").empty(), small_inputs())
    assert found.loc[("F", "W"), "safety_stock_qty"] == 0
    assert found.loc[("F", "W"), "target_qty"] == 50


def test_without_lanes_or_sources_there_is_no_place_to_aim_for():
    nothing = {name: tables.table(name).empty() for name in tables.names("input")}
    assert inventory.inventory_targets(
        demand_of(K1=100.0),
        materials.explode(nothing["bill_of_material"], demand_of(K1=100.0)),
        errors(F=0.2),
        pd.DataFrame({"item_id": [], "abc": []}),
        nothing,
        SETTINGS,
        SETTINGS.calendar,
    ).empty


def test_result_is_the_declared_table_for_every_period():
    demand = demand_of(K1=100.0).iloc[:2]
    requirement = materials.explode(small_inputs()["bill_of_material"], demand)
    found = inventory.inventory_targets(
        demand, requirement, errors(F=0.2), pd.DataFrame({"item_id": [], "abc": []}), small_inputs(), SETTINGS, SETTINGS.calendar
    )
    pd.testing.assert_frame_equal(found, tables.validate("inventory_target", found))
    assert found.groupby(["item_id", "location_id"]).size().eq(2).all()


# ------------------------------------------------------------------ lanes and places
def test_own_lane_of_an_item_goes_before_the_lane_for_all():
    lane = frame(
        "lane",
        [
            {"from_location_id": "W", "to_id": "K", "freight_cost_amt": 5.0},
            {"from_location_id": "W", "to_id": "K", "item_id": "A", "freight_cost_amt": 1.0},
        ],
    )
    wanted = pd.DataFrame({"item_id": ["A", "B"], "to_id": ["K", "K"]})
    found = inventory.lanes_for(lane, wanted).set_index("item_id")
    assert found["freight_cost_amt"].to_dict() == {"A": 1.0, "B": 5.0}
    assert found["lane_item_id"].to_dict() == {"A": "A", "B": ""}


def test_places_are_reached_over_several_lanes():
    lane = frame(
        "lane",
        [
            {"from_location_id": "P", "to_id": "W1"},
            {"from_location_id": "W1", "to_id": "W2", "item_id": "A"},
            {"from_location_id": "W2", "to_id": "P"},
        ],
    )
    sources = pd.DataFrame({"item_id": ["A", "B"], "location_id": ["P", "P"]})
    found = inventory.reachable_places(sources, lane)
    assert list(found.itertuples(index=False, name=None)) == [("A", "P"), ("A", "W1"), ("A", "W2"), ("B", "P"), ("B", "W1")]


# ------------------------------------------------------------------ error at the planning lag, both promises, cover
def archive(**plans: dict[int, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Plans of January to March by lag (constant error), and 100 ordered of everything in each month."""
    rows = [
        {
            "lock_cycle_id": f"{month - pd.DateOffset(months=lag):%Y-%m}",
            "stream": "consensus",
            "item_id": item,
            "market_id": "K1",
            "period": month,
            "plan_qty": 100.0 + error,
        }
        for item, by_lag in plans.items()
        for lag, error in by_lag.items()
        for month in MONTHS
    ]
    sales = pd.DataFrame(
        [{"item_id": item, "market_id": "K1", "period": month, "ordered_qty": 100.0} for item in plans for month in MONTHS]
    )
    return pd.DataFrame(rows), sales


def test_error_of_locked_plans_by_lag():
    plans, sales = archive(F={0: 10.0, 2: -30.0}, G={0: 20.0})
    found = inventory.error_at_lags(plans, sales, SETTINGS.calendar).set_index(["item_id", "lag"])
    assert found.loc[("F", 2), ["error_ratio", "periods"]].tolist() == pytest.approx([0.3, 3])
    assert found.loc[("all", 0), "error_ratio"] == pytest.approx(np.sqrt(np.pi / 2) * 0.15)
    assert found.loc[("all", -1), "error_ratio"] == pytest.approx(np.sqrt(np.pi / 2) * 0.2)
    assert inventory.error_at_lags(plans.head(0), sales, SETTINGS.calendar).empty


def test_item_planned_though_nothing_was_ordered_counts_as_error_and_the_future_does_not():
    plans, sales = archive(F={0: 10.0}, G={0: 0.0})
    none = sales[sales["item_id"] != "G"]
    assert inventory.error_at_lags(plans, none, SETTINGS.calendar).query("item_id == 'all' and lag == 0")["error_ratio"].iloc[0] > 1
    ahead = plans.assign(period=plans["period"] + pd.DateOffset(years=1))
    assert inventory.error_at_lags(ahead, sales, SETTINGS.calendar).empty


def test_target_rests_on_the_error_at_the_lead_time_of_the_place():
    plans, sales = archive(F={0: 10.0, 1: 40.0})
    lag_error = inventory.error_at_lags(plans, sales, SETTINGS.calendar)
    inputs, demand = small_inputs(), demand_of(K1=100.0)
    requirement = materials.explode(inputs["bill_of_material"], demand)
    found = inventory.inventory_targets(
        demand,
        requirement,
        errors(F=0.2),
        pd.DataFrame({"item_id": [], "abc": []}),
        inputs,
        SETTINGS,
        SETTINGS.calendar,
        lag_error=lag_error,
    )
    at = found[found["period"] == MONTHS[0]].set_index(["item_id", "location_id"])
    # A month on the way to W: lag 1, whose pooled error .4 stands against .25 over all lags; three locked plans, twelve of back-test.
    prior = np.sqrt(np.pi / 2) * 0.2 * 0.4 / 0.25
    assert at.loc[("F", "W"), "error_qty"] == pytest.approx(100 * np.sqrt((3 * 0.4**2 + 12 * prior**2) / 15))
    # The supplier of M takes two months: beyond the longest lag ever planned, so that one counts.
    assert at.loc[("M", "P"), "error_qty"] == pytest.approx(3 * at.loc[("F", "W"), "error_qty"])


def test_the_larger_of_both_promises_is_held_and_both_measures_are_told():
    service = frame("service_target", [{"item_or_class": "A", "service_level_ratio": 0.6, "fill_ratio": 0.995}])
    found = targets(demand_of(K1=100.0), errors(F=0.4), small_inputs(service_target=service)).loc[("F", "W")]
    deviation = np.sqrt(2) * np.sqrt(np.pi / 2) * 0.4 * 100
    assert found["deviation_qty"] == pytest.approx(deviation)
    assert found["safety_stock_qty"] == pytest.approx(inventory.safety_stock_for_fill(0.995, deviation, 100.0))
    assert found["expected_fill_ratio"] == pytest.approx(0.995)
    assert found["expected_service_ratio"] > 0.6
    assert found["method"] == "fill rate by the loss function"
    cycle = targets(demand_of(K1=100.0), errors(F=0.4), small_inputs()).loc[("F", "W")]
    assert cycle["expected_service_ratio"] == pytest.approx(0.95)
    assert np.isnan(cycle["fill_target_ratio"])


def test_a_promise_of_everything_is_refused_by_name():
    service = frame("service_target", [{"item_or_class": "A", "service_level_ratio": 0.9, "fill_ratio": 1.0}])
    with pytest.raises(DataError, match="service_target: service_of_everything at item_or_class=A, value 1.*fill_ratio below 1"):
        targets(demand_of(K1=100.0), errors(F=0.4), small_inputs(service_target=service))


def test_cover_excess_and_obsolete_with_their_money():
    stock = pd.DataFrame(
        {"item_id": ["A", "A", "B", "C", "D"], "location_id": ["P", "Q", "P", "P", "P"], "on_hand_qty": [60.0, 30.0, 5.0, 8.0, -4.0]}
    )
    months = pd.date_range("2026-01-01", periods=8, freq="MS")
    need = pd.DataFrame({"item_id": ["A"] * 8 + ["B"], "period": [*months, months[-1]], "demand_qty": [10.0] * 8 + [3.0]})
    found = inventory.stock_cover(stock, need, pd.Series({"A": 2.0, "B": 4.0}), SETTINGS, SETTINGS.calendar).set_index("item_id")
    assert found.loc["A", ["on_hand_amt", "cover_months", "excess_qty", "excess_amt", "obsolete_qty"]].tolist() == pytest.approx(
        [180, 9, 30, 60, 0]
    )
    assert found.loc["A", "cover_days"] == pytest.approx(9 * 365.25 / 12)
    assert found.loc["B", ["excess_qty", "obsolete_qty"]].tolist() == [5, 0]  # demand, but beyond the six months
    assert found.loc["C", "obsolete_qty"] == 8
    assert pd.isna(found.loc["C", "obsolete_amt"])  # no worth is known: not zero
    assert "D" not in found.index
