"""The supply plan: published cases, what holds for every plan, and what bad input says."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import RandomCompany, Situation, frame, read_situation

from sop_workbench import tables
from sop_workbench.demand import promotion_demand
from sop_workbench.errors import DataError, InfeasiblePlanError, SolverError, UnboundedPlanError
from sop_workbench.finance import COSTS as FINANCE_COLUMNS
from sop_workbench.finance import project_financials
from sop_workbench.supply import SupplyResult, constraints, costs, document, plan_supply
from sop_workbench.supply.instance import supply_instance
from sop_workbench.supply.model import build_model
from sop_workbench.supply.solve import compile_arrays

CENT = 0.005
SEEDS = st.integers(min_value=0, max_value=15)  # few companies, drawn again and again: each is planned once
SHORTAGE = st.sampled_from(["lost_sales", "backlog"])


def cost_of(plan: SupplyResult) -> float:
    return plan.cost_terms["revenue_amt"] - plan.profit_amt


@pytest.fixture(scope="module")
def red_tomato() -> Situation:
    return read_situation("red_tomato")


@pytest.fixture(scope="module")
def steel_mix() -> Situation:
    return read_situation("steel_mix")


# ------------------------------------------------------------------ Red Tomato Tools (Chopra and Meindl)
def with_promotion(situation: Situation, month: int) -> Situation:
    """One off the price, +10 % in the month, 20 % of the next two months moved in."""
    period = situation.periods[month]
    event = {"from_period": period, "to_period": period, "uplift_ratio": 0.10, "pull_forward_ratio": 0.20}
    quantity = promotion_demand(situation.demand.set_index("period")["demand_qty"], event)
    price = situation.demand["price_amt"] - (situation.demand["period"] == period)
    return situation._replace(demand=situation.demand.assign(demand_qty=quantity.to_numpy(), price_amt=price))


def test_red_tomato_least_cost(red_tomato):
    plan = red_tomato.plan()
    assert cost_of(plan) == pytest.approx(422_275.00, abs=CENT)
    assert plan.cost_terms["revenue_amt"] == pytest.approx(640_000)
    assert plan.status == "optimal"
    assert plan.resource_plan["laid_off_count"].iloc[0] == pytest.approx(15.41667, abs=1e-4)


def test_red_tomato_price_of_one_more_unit_by_month(red_tomato):
    worth = red_tomato.plan().inventory_projection["unit_worth_amt"]
    assert worth.tolist() == pytest.approx([21.25, 23.25, 25.25, 27.25, 22.25, 24.25])


@pytest.mark.parametrize(("month", "cost", "revenue"), [(0, 421_915.00, 643_400), (3, 438_856.67, 650_140)])
def test_red_tomato_promotions(red_tomato, month, cost, revenue):
    plan = with_promotion(red_tomato, month).plan()
    assert cost_of(plan) == pytest.approx(cost, abs=CENT)
    assert plan.cost_terms["revenue_amt"] == pytest.approx(revenue, abs=CENT)
    assert plan.unmet_demand["revenue_amt"].sum() == pytest.approx(revenue, abs=CENT)


@pytest.mark.parametrize(("table", "change", "cost"), [
    ("production", {"holding_cost_amt": 6.0}, 441_200.00),
    ("production", {"subcontract_cost_amt": 26.0}, 421_000.00),
    ("workforce", {"hire_cost_amt": 50.0, "layoff_cost_amt": 50.0}, 412_687.50),
])
def test_red_tomato_sensitivities(red_tomato, table, change, cost):
    assert cost_of(red_tomato.with_table(table, **change).plan()) == pytest.approx(cost, abs=CENT)


@pytest.mark.parametrize(("month", "cost"), [(None, 422_660), (0, 422_080), (3, 438_920)])
def test_red_tomato_with_whole_people(red_tomato, month, cost):
    situation = red_tomato if month is None else with_promotion(red_tomato, month)
    plan = situation.with_supply(is_integer_lots=True, optimality_gap_ratio=0.0).plan()
    assert cost_of(plan) == pytest.approx(cost, abs=CENT)
    assert (plan.resource_plan["worker_count"] % 1 == 0).all()
    assert plan.status.startswith("whole lots")


# ------------------------------------------------------------------ steelT (AMPL book, chapters 4 and 16)
def test_steel_mix_plan(steel_mix):
    plan = steel_mix.plan()
    assert plan.profit_amt == pytest.approx(515_033, abs=CENT)
    made = plan.supply_plan.set_index("item_id")["production_qty"]
    assert made["bands"].tolist() == pytest.approx([5990, 6000, 1400, 2000])
    assert made["coils"].tolist() == pytest.approx([1407, 1400, 3500, 4200])
    stock = plan.inventory_projection.set_index("item_id").loc["coils", "closing_qty"]
    assert stock.tolist() == pytest.approx([1100, 0, 0, 0])


@pytest.mark.parametrize(("hours", "profit", "price"), [(32, 515_033, 3400), (37, 532_033, 3400), (42, 549_033, 3400), (47, 565_193, 2980)])
def test_steel_mix_price_of_an_hour(steel_mix, hours, profit, price):
    plan = steel_mix.with_table("capacity", regular_hours=[40.0, 40.0, hours, 40.0]).plan()
    assert plan.profit_amt == pytest.approx(profit, abs=CENT)
    assert plan.resource_plan["hour_price_amt"].iloc[2] == pytest.approx(price)


def test_binding_hour_is_told_in_a_sentence(steel_mix):
    limits = steel_mix.plan().binding_limit
    assert (limits["limit"] == "capacity").all()
    row = limits.iloc[2]
    assert row["sentence"] == ("Rolling mill in week 4 of 2026: one more hour is worth 3,400 USD up to 45 hours, "
                               "then all demand for bands in mill is served")
    assert row["money_amt"] == pytest.approx(3400 * 32)


@pytest.mark.parametrize(("hours", "low", "high"), [(32, 25, 45), (37, 25, 45), (42, 25, 45), (47, 45, 67.5)])
def test_range_an_hour_holds_its_price_for(steel_mix, hours, low, high):
    """Between the breaks of the published sweep (3400 to 45 hours, 2980 beyond) the price stays."""
    limits = steel_mix.with_table("capacity", regular_hours=[40.0, 40.0, hours, 40.0]).plan().binding_limit
    week_3 = limits[(limits["limit"] == "capacity") & (limits["period"] == steel_mix.periods[2])].iloc[0]
    assert (week_3["range_low_qty"], week_3["range_high_qty"]) == pytest.approx((low, high), abs=1e-3)
    assert week_3["next_limit"]


# ------------------------------------------------------------------ what holds for every plan
@cache
def random_plan(seed: int, shortage: str) -> tuple[Situation, SupplyResult]:
    situation = RandomCompany(seed, shortage=shortage).situation()
    return situation, situation.plan()


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SEEDS, SHORTAGE)
def test_stock_balances_everywhere(seed, shortage):
    _, plan = random_plan(seed, shortage)
    stock = plan.inventory_projection
    gains = stock[["opening_qty", "produced_qty", "subcontracted_qty", "purchased_qty", "scheduled_qty", "transfer_in_qty"]].sum(axis=1)
    losses = stock[["transfer_out_qty", "shipped_qty", "consumed_qty"]].sum(axis=1)
    np.testing.assert_allclose(stock["closing_qty"], gains - losses, atol=1e-6)
    assert (stock["closing_qty"] >= 0).all()
    before = stock.groupby(["item_id", "location_id"])["closing_qty"].shift()
    np.testing.assert_allclose(stock["opening_qty"][before.notna()], before.dropna(), atol=1e-9)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SEEDS, SHORTAGE)
def test_hours_material_and_demand_balance(seed, shortage):
    situation, plan = random_plan(seed, shortage)
    work = plan.supply_plan.merge(situation.inputs["routing"], on=["item_id", "location_id"])
    hours = (work["production_qty"] * work["hours_per_unit"]).groupby([work["resource_id"], work["period"]]).sum()
    used = plan.resource_plan.set_index(["resource_id", "period"])
    np.testing.assert_allclose(used["used_hours"].reindex(hours.index), hours, atol=1e-6)
    assert (used["used_hours"] <= used["regular_hours"] + used["overtime_hours"] + 1e-6).all()
    assert (used["overtime_used_hours"] <= used["overtime_hours"] + 1e-6).all()
    bom = situation.inputs["bill_of_material"].rename(columns={"parent_item_id": "item_id"})
    takes = plan.supply_plan.merge(bom, on="item_id")
    taken = (takes["production_qty"] * takes["quantity_per"] / (1 - takes["scrap_ratio"])).groupby(
        [takes["component_item_id"], takes["location_id"], takes["period"]]).sum()
    stock = plan.inventory_projection.set_index(["item_id", "location_id", "period"])["consumed_qty"]
    np.testing.assert_allclose(stock[stock > 0], taken.reindex(stock[stock > 0].index), atol=1e-6)
    assert taken.sum() == pytest.approx(stock.sum(), abs=1e-5)
    served = plan.unmet_demand
    late = served["backlog_qty"] - served.groupby(["item_id", "market_id"])["backlog_qty"].shift().fillna(0.0)
    np.testing.assert_allclose(served["served_qty"] + served["lost_qty"] + late, served["demand_qty"], atol=1e-6)
    shipped = plan.shipment_plan[plan.shipment_plan["to_id"].isin(situation.inputs["market"]["market_id"])]["shipped_qty"].sum()
    assert shipped == pytest.approx(served["served_qty"].sum(), abs=1e-5)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SEEDS, SHORTAGE)
def test_objective_equals_tables_and_finance_to_the_cent(seed, shortage):
    situation, plan = random_plan(seed, shortage)
    on_tables = {
        "revenue_amt": plan.unmet_demand, "production_cost_amt": plan.supply_plan, "labour_cost_amt": plan.resource_plan,
        "overtime_cost_amt": plan.resource_plan, "hiring_cost_amt": plan.resource_plan, "setup_cost_amt": plan.supply_plan,
        "subcontract_cost_amt": plan.supply_plan, "purchase_cost_amt": plan.purchase_plan, "freight_cost_amt": plan.shipment_plan,
        "holding_cost_amt": plan.inventory_projection, "backlog_cost_amt": plan.unmet_demand}
    money = project_financials(plan.supply_plan, plan.resource_plan, plan.shipment_plan, plan.purchase_plan, plan.unmet_demand,
                               plan.inventory_projection, situation.inputs, situation.settings, situation.settings.calendar)
    assert set(on_tables) == {"revenue_amt", *FINANCE_COLUMNS} == set(plan.cost_terms)
    for column, table in on_tables.items():
        assert table[column].sum() == pytest.approx(plan.cost_terms[column], abs=CENT), column
        assert money[column].sum() == pytest.approx(plan.cost_terms[column], abs=CENT), column
    assert money["profit_amt"].sum() == pytest.approx(plan.profit_amt, abs=CENT)
    assert plan.objective_amt == pytest.approx(plan.profit_amt - sum(plan.penalty_terms.values()), abs=CENT)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(SEEDS, st.floats(min_value=1.0, max_value=3.0))
def test_more_capacity_never_lowers_the_objective(seed, factor):
    situation, plan = random_plan(seed, "lost_sales")
    more = situation.with_table("capacity", regular_hours=situation.inputs["capacity"]["regular_hours"] * factor).plan()
    assert more.objective_amt >= plan.objective_amt - CENT


@settings(max_examples=2, deadline=None, derandomize=True)
@given(SEEDS)
def test_same_inputs_same_plan_and_nothing_mutated(seed):
    situation = RandomCompany(seed).situation()
    kept = {name: table.copy(deep=True) for name, table in situation.inputs.items()}
    first, second = situation.plan(), situation.plan()
    for name in ("supply_plan", "resource_plan", "shipment_plan", "purchase_plan", "unmet_demand", "inventory_projection", "binding_limit"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name))
        pd.testing.assert_frame_equal(getattr(first, name), tables.validate(name, getattr(first, name)))
        assert not getattr(first, name).duplicated(list(tables.table(name).key)).any()
    for name, table in situation.inputs.items():
        pd.testing.assert_frame_equal(table, kept[name])


def test_price_of_an_hour_is_what_an_hour_brings():
    situation = next(s for s in (RandomCompany(seed).situation() for seed in range(50))
                     if (s.plan().binding_limit["limit"] == "capacity").any())
    plan = situation.plan()
    row = plan.binding_limit[plan.binding_limit["limit"] == "capacity"].iloc[0]
    capacity = situation.inputs["capacity"]
    chosen = (capacity["resource_id"] == row["member"]) & (capacity["period"] == row["period"])
    step = 1e-3
    more = situation.with_table("capacity", regular_hours=capacity["regular_hours"] + step * chosen).plan()
    assert (more.objective_amt - plan.objective_amt) / step == pytest.approx(row["price_amt"], rel=1e-3)


# ------------------------------------------------------------------ rules of the plan, one at a time
def test_contract_floor_serves_a_market_sold_below_cost(steel_mix):
    at_a_loss = steel_mix._replace(demand=steel_mix.demand.assign(price_amt=5.0)).with_supply(contract_floor_penalty_ratio=3.0)
    dropped = at_a_loss.plan().unmet_demand
    kept = at_a_loss.with_table("market", min_fill_ratio=0.25).plan()
    assert dropped["served_qty"].sum() == pytest.approx(10)  # what lies in stock anyway
    floor = kept.unmet_demand["demand_qty"] * 0.25
    assert (kept.unmet_demand["served_qty"] >= floor - 1e-6).all()
    told = kept.binding_limit[kept.binding_limit["limit"] == "contract floor"]
    assert (told["price_amt"] > 0).all()
    assert told["limit_qty"].max() == pytest.approx(floor.max())
    assert kept.profit_amt < 0


def test_higher_priority_market_is_served_first(steel_mix):
    demand = pd.concat([steel_mix.demand.assign(market_id=market) for market in ("first", "second")], ignore_index=True)
    inputs = {**steel_mix.inputs,
              "market": frame("market", [{"market_id": market, "market_name": market, "region": "US", "channel": "x", "priority": n}
                                         for n, market in enumerate(("first", "second"), start=1)]),
              "lane": frame("lane", [{"from_location_id": "works", "to_id": market} for market in ("first", "second")])}
    plan = steel_mix._replace(inputs=inputs, demand=demand).with_supply(lost_sales_penalty_ratio=0.1).plan()
    lost = plan.unmet_demand.groupby("market_id")["lost_qty"].sum()
    assert lost["first"] < lost["second"]


def test_safety_stock_is_kept_to_the_end_but_given_up_for_a_sale(steel_mix):
    target = frame("inventory_target", [{"item_id": "bands", "location_id": "works", "period": period, "safety_stock_qty": 100.0,
                                         "target_qty": 100.0, "service_level_ratio": 0.95, "lead_time_days": 0.0, "error_qty": 1.0,
                                         "method": "given"} for period in steel_mix.periods])
    little = steel_mix._replace(demand=steel_mix.demand.assign(demand_qty=steel_mix.demand["demand_qty"] / 10), target=target)
    bands = little.plan().inventory_projection.query("item_id == 'bands'")
    assert (bands["closing_qty"] >= 100 - 1e-6).all()
    idle = little.with_table("capacity", regular_hours=0.0).plan()
    short = idle.inventory_projection.query("item_id == 'bands'")
    assert idle.unmet_demand.query("item_id == 'bands'")["served_qty"].sum() == pytest.approx(10)
    assert short["safety_shortfall_qty"].iloc[-1] == pytest.approx(100)
    assert idle.penalty_terms["safety_stock_penalty"] > 0


def test_purchases_and_open_orders_arrive_when_they_can():
    periods = pd.date_range("2026-01-01", periods=4, freq="MS")
    situation = read_situation("steel_mix")
    inputs = {name: tables.table(name).empty() for name in tables.names("input")} | {
        "item": frame("item", [{"item_id": "A", "item_name": "A", "item_type": "finished", "standard_cost_amt": 5.0}]),
        "market": frame("market", [{"market_id": "K", "market_name": "K", "region": "R", "channel": "C"}]),
        "location": frame("location", [{"location_id": "W", "location_name": "W", "location_type": "warehouse"}]),
        "lane": frame("lane", [{"from_location_id": "W", "to_id": "K"}]),
        "supplier_item": frame("supplier_item", [{"item_id": "A", "supplier_id": "S", "location_id": "W", "unit_cost_amt": 5.0,
                                                  "lead_time_days": 60, "max_qty": 8.0}]),
        "open_supply": frame("open_supply", [
            {"order_id": "late", "item_id": "A", "location_id": "W", "kind": "purchase", "due_date": "2025-11-03", "open_qty": 4.0},
            {"order_id": "soon", "item_id": "A", "location_id": "W", "kind": "purchase", "due_date": "2026-02-27", "open_qty": 3.0},
            {"order_id": "beyond", "item_id": "A", "location_id": "W", "kind": "purchase", "due_date": "2027-02-27", "open_qty": 9.0}])}
    demand = frame("consensus_demand", [{"item_id": "A", "market_id": "K", "period": period, "demand_qty": 10.0, "low_qty": 10.0,
                                         "high_qty": 10.0, "price_amt": 9.0, "revenue_amt": 90.0} for period in periods])
    settings_ = situation.settings.model_copy(update={"bucket": "month", "currency": "EUR"})
    plan = Situation(inputs, demand, tables.table("inventory_target").empty(), settings_, periods).plan()
    assert plan.unmet_demand["served_qty"].tolist() == pytest.approx([4, 3, 8, 8])
    assert plan.purchase_plan["period"].tolist() == list(periods[:2])
    assert plan.purchase_plan["receipt_period"].tolist() == list(periods[2:])
    told = plan.binding_limit.set_index("limit")["sentence"]
    assert told["lead time"].iloc[0] == ("A at W in January 2026: no more can arrive yet, and one more unit is worth 9.00 EUR "
                                         "up to 10 base units, then all demand for A in K is served")
    assert told["supplier"].iloc[0] == ("A from S to W in January 2026: one more unit is worth 4.00 EUR "
                                        "up to 10 base units, then all demand for A in K in March 2026 is served")


def test_storage_overflow_is_shown_not_refused(steel_mix):
    full = steel_mix.with_table("location", storage_limit_qty=5.0).with_table("lane", max_qty=0.0)
    plan = full.plan()
    assert plan.penalty_terms["storage_overflow_penalty"] > 0
    assert plan.inventory_projection["closing_qty"].sum() == pytest.approx(40)  # 10 bands that cannot leave, four weeks
    assert {"storage", "lane"} & set(plan.binding_limit["limit"])


def test_frozen_zone_holds_the_earlier_plan(steel_mix):
    earlier = steel_mix.plan().supply_plan.assign(production_qty=100.0)
    plan = plan_supply(steel_mix.inputs, steel_mix.demand, steel_mix.target, steel_mix.settings, steel_mix.periods,
                       steel_mix.settings.calendar, frozen_plan=earlier)
    first = plan.supply_plan["period"] == steel_mix.periods[0]
    assert plan.supply_plan.loc[first, "production_qty"].tolist() == pytest.approx([100, 100])
    assert (plan.supply_plan.loc[~first, "production_qty"] > 100).any()
    assert plan.profit_amt < 515_033


def test_whole_lots_respect_minimum_multiple_and_setup(steel_mix):
    lots = steel_mix.with_table("production", min_lot_qty=3000.0, lot_multiple_qty=500.0, setup_cost_amt=1000.0)
    linear, whole = lots.plan(), lots.with_supply(is_integer_lots=True).plan()
    made = whole.supply_plan["production_qty"]
    assert ((made == 0) | (made >= 3000 - 1e-6)).all()
    assert np.allclose(made / 500, np.round(made / 500))
    assert whole.cost_terms["setup_cost_amt"] == pytest.approx(1000 * (made > 0).sum())
    assert linear.cost_terms["setup_cost_amt"] == 0
    assert whole.profit_amt < linear.profit_amt


def test_opening_backlog_is_served_first_of_all(red_tomato):
    late = frame("opening_backlog", [{"item_id": "tool", "market_id": "retail", "backlog_qty": 100.0}])
    plan = red_tomato._replace(inputs={**red_tomato.inputs, "opening_backlog": late}).plan()
    assert plan.unmet_demand["served_qty"].sum() == pytest.approx(16_100)
    assert plan.cost_terms["revenue_amt"] == pytest.approx(40 * 16_100)


def test_item_without_source_is_lost_and_told(steel_mix):
    orphan = steel_mix.demand[steel_mix.demand["item_id"] == "bands"].assign(item_id="rods")
    item = pd.concat([steel_mix.inputs["item"], steel_mix.inputs["item"].iloc[:1].assign(item_id="rods")], ignore_index=True)
    plan = steel_mix._replace(inputs={**steel_mix.inputs, "item": item}, demand=pd.concat([steel_mix.demand, orphan])).plan()
    rods = plan.unmet_demand[plan.unmet_demand["item_id"] == "rods"]
    assert (rods["lost_qty"] == rods["demand_qty"]).all()
    assert plan.notes == ("No plant, supplier or stock can serve rods in mill: all of its demand is lost.",)
    assert plan.profit_amt == pytest.approx(515_033, abs=CENT)


def test_component_without_source_stops_its_parent_and_is_told(steel_mix):
    bom = frame("bill_of_material", [{"parent_item_id": "coils", "component_item_id": "slab", "quantity_per": 1.0}])
    item = pd.concat([steel_mix.inputs["item"], frame("item", [{"item_id": "slab", "item_name": "Slab", "item_type": "material"}])])
    plan = steel_mix._replace(inputs={**steel_mix.inputs, "bill_of_material": bom, "item": item}).plan()
    assert plan.supply_plan.query("item_id == 'coils'")["production_qty"].sum() == 0
    assert plan.notes == ("Component slab has no source at works: nothing that needs it can be made there.",)


def test_stock_booked_below_zero_is_planned_as_zero_and_told(steel_mix):
    plan = steel_mix.with_table("stock_on_hand", on_hand_qty=[-5.0, 0.0]).plan()
    assert plan.notes == ("Stock of bands at works is booked as -5: planned as 0.",)
    assert plan.inventory_projection["opening_qty"].iloc[0] == 0


def test_no_demand_at_all_is_an_empty_plan(steel_mix):
    plan = steel_mix._replace(demand=tables.table("consensus_demand").empty()).plan()
    assert plan.supply_plan.empty
    assert plan.unmet_demand.empty
    assert plan.cost_terms["revenue_amt"] == 0


def test_empty_inputs_lose_all_demand_and_an_empty_company_plans_nothing(steel_mix):
    lost = steel_mix._replace(inputs={}).plan()
    assert lost.unmet_demand["lost_qty"].sum() == steel_mix.demand["demand_qty"].sum()
    assert len(lost.notes) == 2
    nothing = steel_mix._replace(inputs={}, demand=tables.table("consensus_demand").empty()).plan()
    assert nothing.status == "optimal: there is nothing to plan"
    assert nothing.profit_amt == 0
    assert nothing.binding_limit.empty


# ------------------------------------------------------------------ bad input: a typed error in planners' words
def test_clashing_limits_are_named_and_only_those(red_tomato):
    clash = red_tomato.with_table("stock_limit", max_qty=100.0)
    with pytest.raises(InfeasiblePlanError) as fault:
        clash.plan()
    told = str(fault.value).splitlines()[1:]
    assert sorted(told) == ["- least stock of tool at plant in June 2026", "- most stock of tool at plant in June 2026"]


def test_least_stock_beyond_all_capacity_names_the_crew(red_tomato):
    situation = red_tomato.with_table("stock_limit", min_qty=500_000.0).with_table("workforce", max_workers=100.0)
    with pytest.raises(InfeasiblePlanError, match="crew size of Assembly crew in January 2026 to June 2026"):
        situation.with_table("production", subcontract_limit_qty=10.0).plan()


def test_profit_without_end_names_where(red_tomato):
    with pytest.raises(UnboundedPlanError, match="subcontract_qty of tool plant"):
        red_tomato.with_table("production", subcontract_cost_amt=-5.0).plan()


@pytest.mark.parametrize(("table", "change", "rule"), [
    ("capacity", {"regular_hours": -1.0}, "negative_hours"),
    ("lane", {"to_id": "moon"}, "lane_to_nowhere"),
    ("capacity", {"period": pd.Timestamp("2020-01-06")}, "hours_not_stated"),
    ("resource", {"resource_id": "other"}, "unknown_resource"),
])
def test_contradictions_are_data_errors_with_a_remedy(steel_mix, table, change, rule):
    with pytest.raises(DataError, match=f"{rule}.*Remedy") as fault:
        steel_mix.with_table(table, **change).plan()
    assert (fault.value.issues["severity"] == "blocks").all()


@pytest.mark.parametrize(("column", "rule"), [("demand_qty", "negative_demand"), ("price_amt", "negative_price")])
def test_negative_demand_and_price_are_refused(steel_mix, column, rule):
    with pytest.raises(DataError, match=rule):
        steel_mix._replace(demand=steel_mix.demand.assign(**{column: -1.0})).plan()


def test_infinite_cost_is_named(steel_mix):
    with pytest.raises(SolverError, match="price or cost of production_qty bands works 0"):
        steel_mix.with_table("production", variable_cost_amt=float("inf")).plan()


def test_time_limit_without_plan_is_a_solver_error(steel_mix):
    with pytest.raises(SolverError, match="time_limit_seconds"):
        steel_mix.with_supply(time_limit_seconds=1e-9).plan()


# ------------------------------------------------------------------ the model and its page
def test_page_of_the_model_is_in_step():
    page = Path(__file__).parents[1] / "docs" / "supply_model.md"
    assert page.read_text(encoding="utf-8") == document.model_markdown(), "run `make docs`"


def test_every_family_of_the_model_is_a_documented_function():
    situation = RandomCompany(3).situation()
    instance = supply_instance(situation.inputs, situation.demand, situation.target, situation.settings, situation.periods,
                               situation.settings.calendar)
    model = build_model(instance, situation.settings)
    families = [component.local_name for component in model.component_objects(pyo.Constraint)]
    assert families == [family.__name__ for family in constraints.FAMILIES]
    for family in constraints.FAMILIES:
        sentence, equation, index = inspect.getdoc(family).split("\n\n")
        assert "Index:" in index
        assert "Unit:" in index
        assert any(sign in equation for sign in "=≤≥")
        assert sentence.endswith(".")
    terms = {expression.local_name for expression in model.component_objects(pyo.Expression)}
    assert terms == {f"total_{term.__name__}" for term in (costs.revenue_amt, *costs.COSTS, *costs.PENALTIES)} | {"profit_amt"}


def test_arrays_keep_the_way_back_to_names(steel_mix):
    instance = supply_instance(steel_mix.inputs, steel_mix.demand, steel_mix.target, steel_mix.settings, steel_mix.periods,
                               steel_mix.settings.calendar)
    model = build_model(instance, steel_mix.settings)
    arrays = compile_arrays(model)
    rows = arrays.rows["capacity_limit"]
    assert rows.keys == [("mill_line", t) for t in range(4)]
    assert arrays.row_upper[rows.positions].tolist() == [40, 40, 32, 40]
    made = arrays.columns["production_qty"]
    assert arrays.cost[made.positions].tolist() == [-10.0] * 4 + [-11.0] * 4
    found = sorted(position for block in arrays.columns.values() for position in block.positions)
    assert found == list(range(arrays.matrix.shape[1]))
