"""Rules of the supply plan that tables or settings switch on: each is shown to bind, and to leave the plan alone where it is off."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import RandomCompany, Situation, frame, read_situation

from sop_workbench import reviews
from sop_workbench.errors import InfeasiblePlanError
from sop_workbench.finance import project_financials

CENT = 0.005
MADE = ["item_id", "location_id", "period", "production_qty"]


@pytest.fixture(scope="module")
def red_tomato() -> Situation:
    return read_situation("red_tomato")


@pytest.fixture(scope="module")
def steel_mix() -> Situation:
    return read_situation("steel_mix")


def with_input(situation: Situation, name: str, rows: pd.DataFrame) -> Situation:
    return situation._replace(inputs={**situation.inputs, name: rows})


def two_markets(steel_mix: Situation, **second) -> Situation:
    """The mill's demand once for a first and once for a second market."""
    demand = pd.concat([steel_mix.demand.assign(market_id="first"), steel_mix.demand.assign(market_id="second", **second)],
                       ignore_index=True)
    markets = [{"market_id": market, "market_name": market, "region": "US", "channel": "x", "priority": n}
               for n, market in enumerate(("first", "second"), start=1)]
    lanes = [{"from_location_id": "works", "to_id": market} for market in ("first", "second")]
    return steel_mix._replace(inputs={**steel_mix.inputs, "market": frame("market", markets), "lane": frame("lane", lanes)}, demand=demand)


# ------------------------------------------------------------------ frozen zone and plan changes
def test_previous_plan_of_the_inputs_stands_in_the_frozen_zone(steel_mix):
    earlier = frame("previous_plan", [{"item_id": item, "location_id": "works", "period": period, "production_qty": 100.0}
                                      for item in ("bands", "coils") for period in steel_mix.periods])
    plan = with_input(steel_mix, "previous_plan", earlier).plan().supply_plan
    first = plan["period"] == steel_mix.periods[0]
    assert plan.loc[first, "production_qty"].tolist() == pytest.approx([100, 100])
    assert (plan.loc[~first, "production_qty"] > 1000).any()


def test_the_plan_locked_in_the_cycle_before_becomes_the_previous_plan(steel_mix):
    calendar, locked = steel_mix.settings.calendar, steel_mix.plan().supply_plan

    def cycle(period: str) -> SimpleNamespace:
        return SimpleNamespace(period=pd.Timestamp(period), calendar=calendar, read=lambda name: {"supply_plan": locked}[name])

    earlier = {"2025-12-29": cycle("2025-12-29"), "2025-12-15": cycle("2025-12-15")}
    store = SimpleNamespace(locked_cycles=lambda: sorted(earlier), cycle=earlier.__getitem__)
    imported = frame("previous_plan", [{"item_id": "bands", "location_id": "works", "period": "2026-01-05", "production_qty": 7.0}])
    now = SimpleNamespace(period=pd.Timestamp("2026-01-05"), calendar=calendar, store=store)
    found = reviews.previous_plan(now, imported)
    assert found["production_qty"].tolist() == locked["production_qty"].tolist()
    skipped = SimpleNamespace(period=pd.Timestamp("2026-01-26"), calendar=calendar, store=store)
    assert reviews.previous_plan(skipped, imported).equals(imported)


def test_frozen_quantity_above_capacity_is_refused_by_name_or_shown_at_a_price(steel_mix):
    earlier = frame("previous_plan", [{"item_id": "bands", "location_id": "works", "period": steel_mix.periods[0],
                                       "production_qty": 10_000.0}])
    frozen = with_input(steel_mix, "previous_plan", earlier).with_table("capacity", overtime_hours=0.0)
    with pytest.raises(InfeasiblePlanError) as fault:
        frozen.plan()
    assert "- capacity of Rolling mill in week 2 of 2026" in str(fault.value)
    assert "- frozen zone of bands at works in week 2 of 2026" in str(fault.value)
    priced = frozen.with_supply(frozen="priced").plan()
    made = priced.supply_plan.set_index(["item_id", "period"])["production_qty"]
    assert made["bands"].iloc[0] == pytest.approx(8000)  # 40 hours, 200 an hour
    assert priced.penalty_terms["frozen_shortfall_penalty"] > 0


def test_a_change_of_the_previous_plan_has_a_price_inside_the_fence(steel_mix):
    best = steel_mix.plan().supply_plan
    shifted = best.assign(production_qty=best["production_qty"] * 0.9)
    fenced = with_input(steel_mix, "previous_plan", shifted[MADE])._replace(
        settings=steel_mix.settings.model_copy(update={"frozen_buckets": 0}))
    free = fenced.plan()
    held = fenced.with_supply(plan_change_penalty_ratio=100.0, plan_fence_buckets=2).plan()
    assert free.profit_amt == pytest.approx(515_033, abs=CENT)
    inside = held.supply_plan["period"] < steel_mix.periods[2]
    assert held.supply_plan.loc[inside, "production_qty"].tolist() == pytest.approx(shifted.loc[inside, "production_qty"].tolist())
    assert held.profit_amt < free.profit_amt
    cheap = fenced.with_supply(plan_change_penalty_ratio=0.01, plan_fence_buckets=4).plan()
    change = (cheap.supply_plan["production_qty"] - shifted["production_qty"]).abs().sum()
    assert 0 < cheap.penalty_terms["plan_change_penalty"] == pytest.approx(_value(steel_mix, cheap, shifted, 0.01))
    assert change > 0


def _value(situation: Situation, plan, earlier: pd.DataFrame, ratio: float) -> float:
    value = plan.supply_plan["item_id"].map(situation.inputs["item"].set_index("item_id")["standard_cost_amt"])
    return float((ratio * value * (plan.supply_plan["production_qty"] - earlier["production_qty"]).abs()).sum())


def test_smoothing_takes_the_swings_out_of_production(red_tomato):
    def swings(plan) -> float:
        return plan.supply_plan["production_qty"].diff().abs().sum()

    uneven = red_tomato.with_table("workforce", hire_cost_amt=1.0, layoff_cost_amt=1.0)
    free, smooth = uneven.plan(), uneven.with_supply(smoothing_penalty_ratio=50.0).plan()
    assert swings(free) > 1000
    assert swings(smooth) == pytest.approx(0, abs=1e-5)
    assert smooth.profit_amt < free.profit_amt


# ------------------------------------------------------------------ strategies
def test_chase_makes_each_month_what_the_month_asks_for(red_tomato):
    on_time = red_tomato.with_table("production", backlog_cost_amt=500.0)
    chase = on_time.with_supply(strategy="chase").plan()
    made = chase.supply_plan["production_qty"] + chase.supply_plan["subcontract_qty"]
    assert made.tolist() == pytest.approx([600, 3000, 3200, 3800, 2200, 2700])  # demand less opening stock, plus June's least stock
    assert chase.inventory_projection["closing_qty"].tolist() == pytest.approx([0, 0, 0, 0, 0, 500])
    assert chase.penalty_terms["prebuilt_penalty"] == pytest.approx(0)
    assert chase.profit_amt < on_time.plan().profit_amt


def test_level_works_the_same_hours_every_month_and_hybrid_swings_in_its_band(red_tomato):
    costly = red_tomato.with_table("workforce", hire_cost_amt=1.0, layoff_cost_amt=1.0)
    level = costly.with_supply(strategy="level").plan()
    hours = level.resource_plan["used_hours"]
    assert np.ptp(hours) == pytest.approx(0, abs=1e-6)
    hybrid = costly.with_supply(strategy="hybrid", hybrid_band_ratio=0.2).plan()
    hours = hybrid.resource_plan["used_hours"]
    assert hours.max() / hours.min() == pytest.approx(1.2 / 0.8)
    profits = [plan.profit_amt for plan in (level, hybrid, costly.plan())]
    assert profits == sorted(profits)


# ------------------------------------------------------------------ strategic shares, shelf life
def test_strategic_market_gets_its_share_of_the_horizon(steel_mix):
    situation = two_markets(steel_mix, price_amt=12.0)
    market = situation.inputs["market"].assign(is_strategic=[False, True], min_fill_ratio=0.0)
    strategic = with_input(situation, "market", market)
    dropped = strategic.plan().unmet_demand.groupby("market_id")["served_qty"].sum()
    kept = strategic.with_supply(strategic_min_ratio=0.2, contract_floor_penalty_ratio=20.0).plan()
    served = kept.unmet_demand.query("market_id == 'second'").groupby("item_id")[["served_qty", "demand_qty"]].sum()
    assert dropped["second"] == pytest.approx(0)
    assert (served["served_qty"] / served["demand_qty"]).tolist() == pytest.approx([0.2, 0.2])
    assert kept.penalty_terms["strategic_share_penalty"] == pytest.approx(0)
    assert "strategic share" in set(kept.binding_limit["limit"])


def test_strategic_item_is_kept_in_every_market(steel_mix):
    item = steel_mix.inputs["item"].assign(is_strategic=[False, True])  # coils
    cheap = steel_mix.demand.assign(price_amt=steel_mix.demand["price_amt"].where(steel_mix.demand["item_id"] == "bands", 5.0))
    situation = with_input(steel_mix, "item", item)._replace(demand=cheap)
    assert situation.plan().unmet_demand.query("item_id == 'coils'")["served_qty"].sum() == pytest.approx(0)
    kept = situation.with_supply(strategic_min_ratio=0.5, contract_floor_penalty_ratio=20.0).plan().unmet_demand.query("item_id == 'coils'")
    assert kept["served_qty"].sum() == pytest.approx(0.5 * kept["demand_qty"].sum())


def test_nothing_is_built_further_ahead_than_its_shelf_life(red_tomato):
    peak = red_tomato.demand.assign(demand_qty=[0.0, 0.0, 0.0, 9000.0, 0.0, 0.0])
    crew = red_tomato._replace(demand=peak).with_table("workforce", max_workers=80.0).with_table("stock_limit", min_qty=0.0)
    crew = crew.with_table("stock_on_hand", on_hand_qty=0.0).with_table("production", subcontract_limit_qty=0.0)
    far = crew.plan()
    near = crew.with_table("item", shelf_life_months=1.0).plan()
    assert far.inventory_projection["closing_qty"].iloc[1] > 1000
    stock = near.inventory_projection["closing_qty"].tolist()
    assert stock[0] == stock[1] == pytest.approx(0)  # March stock is all that is still good in April
    assert stock[2] > 0
    assert near.inventory_projection["expired_qty"].sum() == pytest.approx(0)
    assert near.cost_terms["revenue_amt"] <= far.cost_terms["revenue_amt"] + CENT


def test_stock_that_outlives_its_shelf_life_is_shown(steel_mix):
    old = steel_mix.with_table("item", shelf_life_months=0.5).with_table("stock_on_hand", on_hand_qty=[9000.0, 0.0])  # two weeks
    slow = old._replace(demand=steel_mix.demand.assign(demand_qty=1000.0)).plan()
    bands = slow.inventory_projection.query("item_id == 'bands'")
    assert bands["closing_qty"].tolist() == pytest.approx([8000, 7000, 6000, 5000])
    assert bands["expired_qty"].tolist() == pytest.approx([0, 7000, 6000, 5000])
    assert slow.penalty_terms["shelf_life_penalty"] > 0


# ------------------------------------------------------------------ objectives
def test_service_first_serves_the_first_market_whatever_it_pays(steel_mix):
    situation = two_markets(steel_mix)
    first = situation.demand["market_id"] == "first"
    poor = situation._replace(demand=situation.demand.assign(price_amt=situation.demand["price_amt"].where(~first, 14.0)))
    by_profit = poor.plan().unmet_demand.groupby("market_id")["served_qty"].sum()
    service = poor.with_supply(objective="service").plan()
    by_service = service.unmet_demand.groupby("market_id")["served_qty"].sum()
    assert by_service["first"] > by_profit["first"] + 1000
    assert by_service["second"] < by_profit["second"]
    assert service.profit_amt < poor.plan().profit_amt
    assert service.status.startswith("optimal")


def test_cost_serves_all_it_can_at_least_cost(steel_mix, red_tomato):
    loss = steel_mix._replace(demand=steel_mix.demand.assign(price_amt=5.0, demand_qty=500.0))
    assert loss.plan().unmet_demand["served_qty"].sum() == pytest.approx(10)  # a profit plan sells the stock alone
    served = loss.with_supply(objective="cost").plan().unmet_demand
    assert served["served_qty"].sum() == pytest.approx(served["demand_qty"].sum())
    plan = red_tomato.with_supply(objective="cost").plan()
    assert plan.cost_terms["revenue_amt"] - plan.profit_amt == pytest.approx(422_275, abs=CENT)
    assert plan.inventory_projection["unit_worth_amt"].tolist() == pytest.approx([21.25, 23.25, 25.25, 27.25, 22.25, 24.25])


def test_integer_plan_by_priority(red_tomato):
    plan = red_tomato.with_supply(objective="service", is_integer_lots=True, optimality_gap_ratio=0.0).plan()
    assert plan.unmet_demand["backlog_qty"].sum() == pytest.approx(0, abs=1e-6)
    assert (plan.resource_plan["worker_count"] % 1 == 0).all()
    assert plan.cost_terms["revenue_amt"] - plan.profit_amt >= 422_660 - CENT


# ------------------------------------------------------------------ what holds under every rule
RULES = st.sampled_from([
    {"strategy": "chase"}, {"strategy": "level"}, {"strategy": "hybrid"}, {"objective": "service"}, {"objective": "cost"},
    {"smoothing_penalty_ratio": 0.1}, {"strategic_min_ratio": 0.5},
    {"plan_change_penalty_ratio": 0.2, "plan_fence_buckets": 4, "frozen": "priced"}])


def ruled(seed: int, rule: dict) -> Situation:
    """A random company with every table the rules read, under one of them."""
    situation = RandomCompany(seed, shortage="backlog" if seed % 2 else "lost_sales").situation()
    earlier = situation.plan().supply_plan[MADE]
    inputs = {**situation.inputs, "item": situation.inputs["item"].assign(shelf_life_months=2.0),
              "market": situation.inputs["market"].assign(is_strategic=True),
              "previous_plan": earlier.assign(production_qty=earlier["production_qty"] * 1.1)}
    return situation._replace(inputs=inputs).with_supply(**{"frozen": "priced", **rule})


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(min_value=0, max_value=7), RULES)
def test_balances_money_and_repeats_under_every_rule(seed, rule):
    situation = ruled(seed, rule)
    plan, again = situation.plan(), situation.plan()
    pd.testing.assert_frame_equal(plan.supply_plan, again.supply_plan)
    pd.testing.assert_frame_equal(plan.binding_limit, again.binding_limit)
    stock = plan.inventory_projection
    gains = stock[["opening_qty", "produced_qty", "subcontracted_qty", "purchased_qty", "scheduled_qty", "transfer_in_qty"]].sum(axis=1)
    losses = stock[["transfer_out_qty", "shipped_qty", "consumed_qty"]].sum(axis=1)
    np.testing.assert_allclose(stock["closing_qty"], gains - losses, atol=1e-6)
    served = plan.unmet_demand
    late = served["backlog_qty"] - served.groupby(["item_id", "market_id"])["backlog_qty"].shift().fillna(0.0)
    np.testing.assert_allclose(served["served_qty"] + served["lost_qty"] + late, served["demand_qty"], atol=1e-6)
    work = plan.supply_plan.merge(situation.inputs["routing"], on=["item_id", "location_id"])
    hours = (work["production_qty"] * work["hours_per_unit"]).groupby([work["resource_id"], work["period"]]).sum()
    used = plan.resource_plan.set_index(["resource_id", "period"])["used_hours"]
    np.testing.assert_allclose(used.reindex(hours.index), hours, atol=1e-6)
    money = project_financials(plan.supply_plan, plan.resource_plan, plan.shipment_plan, plan.purchase_plan, plan.unmet_demand,
                               plan.inventory_projection, situation.inputs, situation.settings, situation.settings.calendar)
    for column, amount in plan.cost_terms.items():
        assert money[column].sum() == pytest.approx(amount, abs=CENT), column
    assert plan.objective_amt == pytest.approx(plan.profit_amt - sum(plan.penalty_terms.values()), abs=CENT)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(min_value=0, max_value=7), st.floats(min_value=1.0, max_value=2.0),
       st.sampled_from([{"strategy": "chase"}, {"strategy": "hybrid"}, {"smoothing_penalty_ratio": 0.1}, {"strategic_min_ratio": 0.5}]))
def test_more_hours_never_lower_the_objective_under_any_strategy(seed, factor, rule):
    situation = ruled(seed, rule)
    more = situation.with_table("capacity", regular_hours=situation.inputs["capacity"]["regular_hours"] * factor)
    assert more.plan().objective_amt >= situation.plan().objective_amt - CENT
