"""Safety stock money: least for a service, best service for a budget, against enumeration; the two measures of service."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sop_workbench import inventory

SEEDS = st.integers(0, 10_000)


def places(seed: int, count: int = 3) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    demand = draw.uniform(20, 200, count)
    return pd.DataFrame(
        {
            "item_id": [f"I{n}" for n in range(count)],
            "location_id": "W",
            "demand_qty": demand,
            "deviation_qty": demand * draw.uniform(0.2, 1, count),
            "lot_qty": demand * draw.uniform(0.5, 3, count),
            "price_amt": draw.uniform(5, 50, count),
            "unit_value_amt": draw.uniform(2, 30, count),
            "safety_stock_qty": demand * draw.uniform(0, 1, count),
        }
    )


def money(some: pd.DataFrame, stock: np.ndarray) -> float:
    return float(some["unit_value_amt"] @ stock)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SEEDS)
def test_no_mix_on_a_grid_serves_more_for_the_budget(seed):
    some = places(seed)
    budget = money(some, some["safety_stock_qty"].to_numpy())
    best = inventory.best_service(some, budget)
    assert money(some, best) <= budget * (1 + 1e-9)
    served = inventory.overall_fill(some, best)
    for shares in itertools.product(np.linspace(0, 1, 9), repeat=2):
        if sum(shares) <= 1:
            mix = np.array([*shares, 1 - sum(shares)]) * budget / some["unit_value_amt"].to_numpy()
            assert inventory.overall_fill(some, mix) <= served + 1e-7


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SEEDS, st.floats(0.9, 0.995))
def test_least_stock_reaches_the_service_and_no_grid_mix_does_so_for_less(seed, wanted):
    some = places(seed)
    least = inventory.least_stock(some, wanted)
    assert inventory.overall_fill(some, least) >= wanted - 1e-9
    cost, top = money(some, least), 4 * some["deviation_qty"].to_numpy()
    for factors in itertools.product(np.linspace(0, 1, 9), repeat=3):
        mix = np.array(factors) * top
        if inventory.overall_fill(some, mix) >= wanted:
            assert money(some, mix) >= cost * (1 - 1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SEEDS)
def test_more_service_takes_more_money_and_more_money_serves_more(seed):
    some = places(seed)
    cost = [money(some, inventory.least_stock(some, share)) for share in (0.9, 0.95, 0.99)]
    assert cost == sorted(cost)
    curve, option = inventory.stock_tradeoff(some, points=8)
    frontier = curve[curve["option"] == "frontier"]
    assert frontier["safety_stock_amt"].is_monotonic_increasing
    assert (np.diff(frontier["fill_ratio"]) >= -1e-9).all()
    at = curve.drop_duplicates("option").set_index("option")
    assert at.loc["same_service", "safety_stock_amt"] <= at.loc["today", "safety_stock_amt"] * (1 + 1e-6)
    assert at.loc["same_money", "fill_ratio"] >= at.loc["today", "fill_ratio"] - 1e-9
    assert len(option) == len(some)


def test_budget_of_nothing_buys_nothing_and_impossible_wishes_are_refused():
    some = places(1)
    assert inventory.best_service(some, 0.0).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="budget_amt must be 0 or more, got -1"):
        inventory.best_service(some, -1.0)
    with pytest.raises(ValueError, match="fill_ratio must lie between 0 and 1, got 1"):
        inventory.least_stock(some, 1.0)


def test_places_that_cannot_be_weighed_give_an_empty_tradeoff():
    curve, option = inventory.stock_tradeoff(places(1).head(0))
    assert curve.empty
    assert option.empty


# ------------------------------------------------------------------ two measures of service
def test_ninety_per_cent_of_cycles_take_fourteen_times_the_stock_of_a_fill_rate_of_97_5():
    deviation = 500 * np.sqrt(2)  # B&M Computer World: demand error 500 a week, lead time 2 weeks, lots of 10,000
    by_cycle = inventory.safety_stock(0.90, 500, 2)
    by_fill = inventory.safety_stock_for_fill(0.975, deviation, 10_000)
    assert by_fill == pytest.approx(67, abs=0.5)
    assert round(by_cycle / by_fill) == 14


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(0.6, 0.999), st.floats(1, 500), st.floats(10, 5_000))
def test_stock_for_a_fill_rate_gives_it_and_less_does_not(share, deviation, lot):
    stock = inventory.safety_stock_for_fill(share, deviation, lot)
    reached = inventory.fill_rate(stock, deviation, lot)
    assert reached == pytest.approx(share, abs=1e-6) or (stock == 0 and reached >= share)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.floats(0.55, 0.99), st.floats(0.001, 0.009))
def test_more_service_takes_more_stock(share, more):
    assert inventory.safety_stock(share + more, 100, 2) > inventory.safety_stock(share, 100, 2)
    assert inventory.safety_stock_for_fill(share + more, 100, 300) >= inventory.safety_stock_for_fill(share, 100, 300)


def test_fill_and_cycle_service_against_a_simulation():
    draw = np.random.default_rng(5)
    deviation, lot, safety, count = 80.0, 200.0, 60.0, 400_000
    # Stock left when a lot arrives is safety − error; what was short then was not served from stock.
    left = safety - draw.normal(0, deviation, count)
    short = np.maximum(-left, 0) - np.maximum(-(left + lot), 0)
    assert inventory.fill_rate(safety, deviation, lot) == pytest.approx(1 - short.mean() / lot, abs=1e-3)
    assert inventory.cycle_service(safety, deviation) == pytest.approx((left >= 0).mean(), abs=2e-3)


@pytest.mark.parametrize("wrong", [0.0, 1.0, 1.2, -0.1])
def test_certainty_is_refused(wrong):
    with pytest.raises(ValueError, match=f"service_level must lie between 0 and 1, got {wrong:g}"):
        inventory.safety_stock(wrong, 10, 1)
    with pytest.raises(ValueError, match="fill_ratio must lie between 0 and 1"):
        inventory.safety_stock_for_fill(wrong, 10, 100)


def test_negative_lead_time_is_refused():
    with pytest.raises(ValueError, match="periods_covered must be 0 or more, got -1; correct the lead time"):
        inventory.safety_stock(0.9, 10, -1)


# ------------------------------------------------------------------ one-shot orders
def test_newsvendors_against_enumeration():
    holding, shortage, mean = 1.0, 4.0, 6.0
    from scipy.stats import poisson

    units = np.arange(60)
    cost = [float(poisson.pmf(units, mean) @ (holding * np.maximum(s - units, 0) + shortage * np.maximum(units - s, 0))) for s in range(30)]
    assert inventory.newsvendor_poisson(holding, shortage, mean) == int(np.argmin(cost))
    seasons = np.array([40, 10, 20, 30, 25])
    cost = [float(np.mean(holding * np.maximum(s - seasons, 0) + shortage * np.maximum(seasons - s, 0))) for s in sorted(seasons)]
    best = inventory.newsvendor_empirical(holding, shortage, seasons)
    assert cost[sorted(seasons).index(best)] == pytest.approx(min(cost))
    with pytest.raises(ValueError, match="at least one earlier season"):
        inventory.newsvendor_empirical(holding, shortage, np.array([]))


def test_newsvendor_stock_costs_least():
    stock = inventory.newsvendor(0.18, 0.70, 50, 8)
    least = inventory.newsvendor_cost(stock, 0.18, 0.70, 50, 8)
    assert least == pytest.approx(1.9976051931801355)
    assert all(inventory.newsvendor_cost(stock + step, 0.18, 0.70, 50, 8) > least for step in (-2, -0.5, 0.5, 2))
