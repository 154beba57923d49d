"""Money: every row of a plan valued once, equal to the optimiser's terms; gaps and bridges that sum exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import read_situation
from small_company import PERIODS, SETTINGS, demand, inputs, rows, target

from sop_workbench import demand as demand_module
from sop_workbench import finance, inventory, sources, tables, views
from sop_workbench.errors import DataError
from sop_workbench.settings import Settings, load_settings
from sop_workbench.supply import SupplyResult, plan_supply

CENT = 0.005
DEMO = Path(__file__).parents[1] / "data" / "demo"


def project(plan: SupplyResult, tables_: dict, settings_: Settings = SETTINGS) -> pd.DataFrame:
    return finance.project_financials(
        plan.supply_plan,
        plan.resource_plan,
        plan.shipment_plan,
        plan.purchase_plan,
        plan.unmet_demand,
        plan.inventory_projection,
        tables_,
        settings_,
        settings_.calendar,
    )


@pytest.fixture(scope="module")
def plan() -> SupplyResult:
    return plan_supply(inputs(), demand(), target(), SETTINGS, PERIODS, SETTINGS.calendar)


@pytest.fixture(scope="module")
def projection(plan: SupplyResult) -> pd.DataFrame:
    return project(plan, inputs())


# ------------------------------------------------------------------ the plan's money
def assert_equal_money(plan: SupplyResult, projection: pd.DataFrame) -> None:
    totals = projection[["revenue_amt", *finance.COSTS, "profit_amt"]].sum()
    for term, amount in plan.cost_terms.items():
        assert totals[term] == pytest.approx(amount, abs=CENT), term
    assert totals["profit_amt"] == pytest.approx(plan.profit_amt, abs=CENT)


def test_plan_money_equals_finance(plan, projection):
    used = {term for term, amount in plan.cost_terms.items() if abs(amount) > CENT}
    assert {
        "revenue_amt",
        "production_cost_amt",
        "labour_cost_amt",
        "overtime_cost_amt",
        "hiring_cost_amt",
        "subcontract_cost_amt",
        "purchase_cost_amt",
        "freight_cost_amt",
        "holding_cost_amt",
    } <= used, "the small company must have every kind of cost"
    assert_equal_money(plan, projection)


@pytest.mark.parametrize("situation", ["red_tomato", "steel_mix"])
def test_plan_money_equals_finance_on_published_cases(situation):
    case = read_situation(situation)
    plan = case.plan()
    assert_equal_money(plan, project(plan, case.inputs, case.settings))


def test_plan_money_equals_finance_with_whole_lots_and_waiting_customers():
    lots = inputs()
    lots["production"] = lots["production"].assign(min_lot_qty=10.0, setup_cost_amt=30.0)
    rules = SETTINGS.model_copy(update={"supply": SETTINGS.supply.model_copy(update={"is_integer_lots": True, "shortage": "backlog"})})
    plan = plan_supply(lots, demand(60.0), target(), rules, PERIODS, rules.calendar)
    assert plan.cost_terms["setup_cost_amt"] > 0
    assert plan.cost_terms["backlog_cost_amt"] > 0
    assert_equal_money(plan, project(plan, lots, rules))


def test_plan_money_equals_finance_on_the_demo():
    if not (DEMO / "extract").is_dir():
        pytest.skip(f"the demo's extract is not in {DEMO}")
    company = load_settings(DEMO)
    calendar, cycle = company.calendar, company.newest_cycle
    tables_, _ = sources.load_inputs(company, DEMO, calendar.as_of(cycle))
    tables_["stock_on_hand"] = tables_["stock_on_hand"].assign(on_hand_qty=tables_["stock_on_hand"]["on_hand_qty"].clip(lower=0))
    periods = calendar.horizon(cycle, 6)
    history = tables_["sales_history"]
    last_year = history[history["period"].isin(periods - pd.DateOffset(years=1))]
    wanted = last_year.assign(period=last_year["period"] + pd.DateOffset(years=1), demand_qty=last_year["ordered_qty"].clip(lower=0))
    wanted = wanted.merge(demand_module.price_in_period(tables_["price"], periods), on=["item_id", "market_id", "period"], validate="1:1")
    wanted = wanted.assign(
        low_qty=wanted["demand_qty"], high_qty=wanted["demand_qty"], revenue_amt=wanted["demand_qty"] * wanted["price_amt"]
    )
    wanted = tables.validate("consensus_demand", wanted[list(tables.table("consensus_demand").columns)])
    plan = plan_supply(tables_, wanted, tables.table("inventory_target").empty(), company, periods, calendar)
    projection = project(plan, tables_, company)
    assert_equal_money(plan, projection)
    assert projection["revenue_amt"].sum() > 1e6
    assert finance.income_statement(projection, SETTINGS.calendar, tables_["ledger"])["overhead_amt"].iloc[-1] > 0


def test_each_cost_stands_where_it_belongs(plan, projection):
    by_region = projection.groupby("region")[["revenue_amt", "freight_cost_amt", "labour_cost_amt", "purchase_cost_amt"]].sum()
    to_markets = plan.shipment_plan[plan.shipment_plan["to_id"].isin(["N", "S"])]
    freight = (to_markets["shipped_qty"] * to_markets["to_id"].map({"N": 0.5, "S": 0.75})).sum()
    assert by_region.loc[["North", "South"], "freight_cost_amt"].sum() == pytest.approx(freight, abs=CENT)
    assert by_region.loc[["North", "South"], ["labour_cost_amt", "purchase_cost_amt"]].to_numpy().sum() == 0
    assert by_region.loc["all", "revenue_amt"] == 0
    bought = projection[projection["purchase_cost_amt"] > 0]
    assert set(bought["family"]) == {finance.MATERIALS}


def test_a_lane_of_the_item_goes_before_the_lane_of_all(plan, projection):
    inside = plan.shipment_plan[plan.shipment_plan["to_id"] == "W1"]
    expected = (inside["shipped_qty"] * inside["item_id"].map({"B1": 1.0, "T1": 2.5})).sum()
    assert projection.loc[projection["region"] == "all", "freight_cost_amt"].sum() == pytest.approx(expected, abs=CENT)


def test_labour_is_shared_by_routing_hours():
    period = PERIODS[0]
    supply = rows(
        "supply_plan",
        {"item_id": "B1", "location_id": "P1", "period": period, "production_qty": 30, "subcontract_qty": 0},
        {"item_id": "T1", "location_id": "P1", "period": period, "production_qty": 20, "subcontract_qty": 0},
    )
    hours = rows(
        "resource_plan",
        {
            "resource_id": "LINE",
            "period": period,
            "used_hours": 40,
            "regular_hours": 35,
            "overtime_used_hours": 5,
            "overtime_hours": 20,
            "hour_price_amt": 0,
        },
        {
            "resource_id": "CREW",
            "period": period,
            "used_hours": 0,
            "regular_hours": 80,
            "overtime_used_hours": 0,
            "overtime_hours": 0,
            "worker_count": 2,
            "hired_count": 1,
            "laid_off_count": 0,
            "hour_price_amt": 0,
        },
    )
    empty = {name: tables.table(name).empty() for name in ("shipment_plan", "purchase_plan", "unmet_demand", "inventory_projection")}
    projection = finance.project_financials(
        supply,
        hours,
        empty["shipment_plan"],
        empty["purchase_plan"],
        empty["unmet_demand"],
        empty["inventory_projection"],
        inputs(),
        SETTINGS,
        SETTINGS.calendar,
    )
    labour = projection.set_index("family")["labour_cost_amt"]
    assert labour["Bikes"] == pytest.approx(350 * 30 / 40)
    assert labour["Trailers"] == pytest.approx(350 * 10 / 40)
    assert labour[finance.NOT_ATTRIBUTED] == pytest.approx(600), "pay of a crew without work is shown, not spread"
    assert projection.set_index("family").loc[finance.NOT_ATTRIBUTED, "hiring_cost_amt"] == pytest.approx(50)


def test_margin_and_profit_are_differences(projection):
    assert np.allclose(projection["gross_margin_amt"], projection["revenue_amt"] - projection["cogs_amt"])
    assert np.allclose(projection["profit_amt"], projection["revenue_amt"] - projection[list(finance.COSTS)].sum(axis=1))


def test_inputs_are_not_changed(plan):
    before = {name: frame.copy() for name, frame in inputs().items()}
    given_tables = inputs()
    project(plan, given_tables)
    for name, frame in before.items():
        pd.testing.assert_frame_equal(given_tables[name], frame)


def test_a_missing_rate_is_named(plan):
    without = inputs()
    without["lane"] = without["lane"][without["lane"]["to_id"] != "N"]
    with pytest.raises(DataError, match="lane.*missing_rate.*to_id=N"):
        project(plan, without)


def test_a_sold_item_without_any_cost_is_refused(plan):
    without = inputs()
    without["item"] = without["item"].assign(
        standard_cost_amt=without["item"]["standard_cost_amt"].where(without["item"]["item_id"] != "B1")
    )
    with pytest.raises(DataError, match="item_id=B1"):
        project(plan, without)


# ------------------------------------------------------------------ value and holding cost
def test_holding_cost_is_the_plants_own_or_the_yearly_rate():
    places = pd.DataFrame({"item_id": ["B1", "B1", "M1"], "location_id": ["P1", "W1", "P1"]})
    cost = inventory.holding_cost(places, inputs(), SETTINGS, SETTINGS.calendar)
    assert cost["holding_cost_amt"].tolist() == pytest.approx([1.5, 60 * 0.15 / 12, 3 * 0.15 / 12])
    assert cost["value_amt"].tolist() == [60, 60, 3], "a bought part without standard cost is worth its cheapest price"


# ------------------------------------------------------------------ budget
def test_gap_splits_into_demand_and_supply(projection):
    budget = rows(
        "budget",
        *(
            {"family": f, "region": r, "period": PERIODS[0], "revenue_amt": 5000, "margin_amt": 2000}
            for f in ("Bikes", "Trailers")
            for r in ("North", "South")
        ),
    )
    gap = finance.budget_gap(projection, budget)
    assert set(gap["period"]) == {PERIODS[0]}, "periods without a budget are not compared"
    assert np.allclose(gap["gap_amt"], gap["demand_gap_amt"] + gap["supply_gap_amt"])
    first = projection[projection["period"] == PERIODS[0]]
    assert gap["gap_amt"].sum() == pytest.approx(first["revenue_amt"].sum() - 20000, abs=CENT)
    assert gap["margin_gap_amt"].sum() == pytest.approx(first["gross_margin_amt"].sum() - 8000, abs=CENT)


def test_a_budget_for_all_families_is_compared_with_their_sum(projection):
    budget = rows(
        "budget", *({"family": "All families", "region": r, "period": p, "revenue_amt": 9000} for r in ("North", "South") for p in PERIODS)
    )
    gap = finance.budget_gap(projection, budget)
    assert set(gap["family"]) == {finance.ALL_FAMILIES}
    assert gap["revenue_amt"].sum() == pytest.approx(projection["revenue_amt"].sum(), abs=CENT)
    assert gap["budget_margin_amt"].isna().all(), "a budget without margin gives no margin gap"


def test_what_no_budget_speaks_of_has_no_gap_and_is_said_with_its_money(projection):
    budget = rows("budget", {"family": "Bikes", "region": "North", "period": PERIODS[0], "revenue_amt": 5000})
    gap = finance.budget_gap(projection, budget)
    first = projection[(projection["period"] == PERIODS[0])]
    is_named = (first["family"] == "Bikes") & (first["region"] == "North")
    earned, rest = first.loc[is_named, "revenue_amt"].sum(), first.loc[~is_named, "revenue_amt"].sum()
    assert gap["gap_amt"].sum() == pytest.approx(earned - 5000, abs=CENT)
    assert gap["gap_amt"].notna().sum() == 1
    money, where = finance.left_out(gap)
    assert (money, rest > 0) == (pytest.approx(rest, abs=CENT), True)
    assert set(where) <= {"Trailers", "Bikes", "North", "South"}
    bridge = bars(finance.budget_bridge(gap))
    assert (bridge["Budget"], bridge["Plan"]) == (5000, pytest.approx(earned, abs=CENT))
    shown = views.family_numbers(projection, gap).set_index("family")
    assert shown.loc["Total", "gap_amt"] == pytest.approx(earned - 5000, abs=CENT)
    assert shown.loc["Total", "not_budgeted_amt"] == pytest.approx(rest, abs=CENT)
    assert "no budget speaks of it" in views.budget_bridge(gap).attrs["note"]
    assert finance.has_budget(first, budget).tolist() == is_named.tolist()


def test_a_budget_of_zero_is_a_budget(projection):
    budget = rows("budget", {"family": "Bikes", "region": "North", "period": PERIODS[0], "revenue_amt": 0})
    gap = finance.budgeted(finance.budget_gap(projection, budget))
    assert gap["gap_amt"].tolist() == pytest.approx(gap["revenue_amt"].tolist())
    assert len(gap) == 1


def test_a_budget_that_counts_twice_is_refused(projection):
    budget = rows(
        "budget",
        {"family": "Bikes", "region": "North", "period": PERIODS[0], "revenue_amt": 1},
        {"family": "all families", "region": "North", "period": PERIODS[0], "revenue_amt": 2},
    )
    with pytest.raises(DataError, match="budget_counted_twice"):
        finance.budget_gap(projection, budget)


def test_without_a_budget_there_is_no_gap(projection):
    assert finance.budget_gap(projection, tables.table("budget").empty()).empty


# ------------------------------------------------------------------ income and cash
def test_operating_result_is_all_money_plus_the_change_of_stock(projection):
    statement = finance.income_statement(projection, SETTINGS.calendar)
    stock = projection.groupby("period")[["opening_inventory_amt", "inventory_amt"]].sum()
    assert np.allclose(stock["opening_inventory_amt"].iloc[1:], stock["inventory_amt"].iloc[:-1]), "opening is the closing before"
    total = projection["profit_amt"].sum() + stock["inventory_amt"].iloc[-1] - stock["opening_inventory_amt"].iloc[0] - 40 * 3
    assert statement["operating_result_amt"].sum() == pytest.approx(total, abs=CENT)
    assert np.allclose(
        statement["gross_margin_amt"] - statement["variance_amt"] - statement["overhead_amt"], statement["operating_result_amt"]
    )


def test_the_ledger_is_the_baseline(projection):
    ledger = rows(
        "ledger",
        *(
            {"account": a, "period": p, "amount_amt": v}
            for p in ("2026-11-01", "2026-12-01")
            for a, v in (("revenue", 900.0), ("cogs", 600.0), ("overhead", 100.0), ("marketing", 20.0), ("inventory", 50.0))
        ),
    )
    statement = finance.income_statement(projection, SETTINGS.calendar, ledger)
    assert statement["source"].tolist() == ["ledger"] * 2 + ["plan"] * 4
    assert statement["gross_margin_amt"].iloc[0] == 300
    assert statement["overhead_amt"].tolist() == [120.0] * 6
    assert statement["operating_result_amt"].iloc[0] != statement["operating_result_amt"].iloc[0], "an account the ledger lacks stays empty"


def flows(*revenue: float) -> pd.DataFrame:
    frame = pd.DataFrame({"period": PERIODS[: len(revenue)], "family": "F", "region": "R", "revenue_amt": revenue})
    return frame.reindex(columns=list(tables.table("financial_projection").columns)).fillna(0.0)  # other columns: no money


def test_customers_pay_after_their_days():
    cash = finance.cash_projection(flows(120.0, 0.0, 0.0, 0.0), inputs(open_supply=rows("open_supply")), SETTINGS, SETTINGS.calendar)
    late = 45 * 12 / 365 - 1
    assert cash["collected_amt"].tolist() == pytest.approx([0, 120 * (1 - late), 120 * late, 0])
    assert cash["receivable_amt"].iloc[-1] == pytest.approx(0, abs=CENT)
    assert cash["opening_cash_amt"].iloc[0] == 1000.0
    assert "settings" in cash["basis"].iloc[0]


def test_opening_balances_come_from_the_ledger_and_are_settled():
    ledger = rows(
        "ledger",
        *(
            {"account": a, "period": "2026-12-01", "amount_amt": v}
            for a, v in (("receivables", 300.0), ("payables", 80.0), ("cash", 500.0))
        ),
    )
    cash = finance.cash_projection(flows(0, 0, 0, 0), inputs(ledger=ledger, open_supply=rows("open_supply")), SETTINGS, SETTINGS.calendar)
    assert cash["collected_amt"].sum() == pytest.approx(300)
    assert cash["paid_amt"].sum() == pytest.approx(80)
    assert cash["closing_cash_amt"].iloc[-1] == pytest.approx(500 + 300 - 80)
    assert cash["collected_amt"].iloc[0] == pytest.approx(300 * 30.4167 / 45, rel=1e-3)


def test_receivables_without_ledger_are_the_run_rate_of_sales():
    history = rows(
        "sales_history",
        *(
            {"item_id": "B1", "market_id": "N", "period": p, "ordered_qty": 1, "net_sales_amt": v}
            for p, v in (("2026-10-01", 10.0), ("2026-11-01", 100.0), ("2026-12-01", 100.0))
        ),
    )
    cash = finance.cash_projection(
        flows(0, 0, 0, 0), inputs(sales_history=history, open_supply=rows("open_supply")), SETTINGS, SETTINGS.calendar
    )
    assert cash["collected_amt"].sum() == pytest.approx(100 * 45 * 12 / 365)


NO_ORDERS = inputs(open_supply=rows("open_supply"))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4), st.floats(0, 200))
def test_what_is_sold_is_either_collected_or_owed(revenue, days):
    rules = SETTINGS.model_copy(update={"finance": SETTINGS.finance.model_copy(update={"receivable_days": days})})
    cash = finance.cash_projection(flows(*revenue), NO_ORDERS, rules, rules.calendar)
    assert cash["collected_amt"].sum() + cash["receivable_amt"].iloc[-1] == pytest.approx(sum(revenue), abs=0.01)
    assert cash["is_low_point"].sum() == 1
    assert cash.loc[cash["is_low_point"], "closing_cash_amt"].iloc[0] == cash["closing_cash_amt"].min()


# ------------------------------------------------------------------ bridges
def bars(bridge: pd.DataFrame) -> pd.Series:
    return bridge.set_index("bar")["amount_amt"]


def assert_sums(bridge: pd.DataFrame) -> None:
    totals = bridge.index[bridge["kind"] == "total"]
    for start, end in zip(totals[:-1], totals[1:], strict=True):
        steps = bridge.loc[start + 1 : end - 1, "amount_amt"].sum()
        assert bridge.loc[start, "amount_amt"] + steps == pytest.approx(bridge.loc[end, "amount_amt"], abs=0.01)


def test_price_volume_mix_of_three_products():
    year_1 = pd.DataFrame({"item_id": list("ABC"), "volume_qty": [1000, 800, 500], "revenue_amt": [10000, 12000, 10000]})
    year_2 = pd.DataFrame({"item_id": list("ABC"), "volume_qty": [1000, 700, 800], "revenue_amt": [11000, 10500, 18400]})
    bridge = finance.price_volume_mix(year_1, year_2)
    found = bars(bridge).round(2)
    assert (found["Price"], found["Volume"], found["Mix"]) == (3400.0, 2782.61, 1717.39)
    assert found["After"] - found["Before"] == 7900
    assert bridge["definition"].str.len().gt(0).all(), "the definition is printed with every bar"


def test_new_and_lost_items_stand_apart():
    before = pd.DataFrame({"item_id": ["A", "B"], "volume_qty": [10, 5], "revenue_amt": [100.0, 50.0]})
    after = pd.DataFrame({"item_id": ["A", "C"], "volume_qty": [10, 7], "revenue_amt": [110.0, 70.0]})
    found = bars(finance.price_volume_mix(before, after))
    assert (found["New items"], found["Lost items"], found["Price"], found["Volume"], found["Mix"]) == (70, -50, 10, 0, 0)


quantities = st.dictionaries(st.sampled_from("ABCDEF"), st.tuples(st.floats(0, 1e4), st.floats(0, 500)), min_size=0, max_size=6)


def sold(company: dict) -> pd.DataFrame:
    return pd.DataFrame([(i, q, q * p) for i, (q, p) in company.items()], columns=["item_id", "volume_qty", "revenue_amt"])


@settings(max_examples=40, deadline=None)
@given(quantities, quantities)
def test_price_volume_mix_sums_exactly(before, after):
    bridge = finance.price_volume_mix(sold(before), sold(after))
    assert_sums(bridge)
    assert bars(bridge)["After"] == pytest.approx(sold(after)["revenue_amt"].sum(), abs=0.01)


def test_budget_bridge_goes_over_demand_to_plan(projection):
    budget = rows(
        "budget", *({"family": f, "region": "North", "period": p, "revenue_amt": 5000} for f in ("Bikes", "Trailers") for p in PERIODS)
    )
    gap = finance.budget_gap(projection, budget)
    bridge = finance.budget_bridge(gap)
    assert_sums(bridge)
    assert bridge.loc[bridge["kind"] == "total", "bar"].tolist() == ["Budget", "Demand", "Plan"]
    assert bars(bridge)["Plan"] == pytest.approx(projection.loc[projection["region"] == "North", "revenue_amt"].sum(), abs=CENT)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABC"), *[st.floats(0, 1e6)] * 3), min_size=1, max_size=8))
def test_budget_bridge_sums_exactly(cells):
    gap = pd.DataFrame(cells, columns=["family", "budget_revenue_amt", "demand_amt", "revenue_amt"])
    gap["demand_gap_amt"] = gap["demand_amt"] - gap["budget_revenue_amt"]
    gap["supply_gap_amt"] = gap["revenue_amt"] - gap["demand_amt"]
    assert_sums(finance.budget_bridge(gap))


def test_profit_bridge_names_every_cost_of_the_plan(projection):
    bridge = finance.profit_bridge(projection)
    assert_sums(bridge)
    assert bars(bridge)["Profit"] == pytest.approx(projection["profit_amt"].sum(), abs=CENT)
    assert "Backlog cost" not in set(bridge["bar"]), "costs the plan does not have are left out"


def test_plan_bridge_shows_who_changed(projection):
    later = projection.assign(revenue_amt=projection["revenue_amt"] * np.where(projection["family"] == "Bikes", 1.1, 1.0))
    bridge = finance.plan_bridge(projection, later)
    assert_sums(bridge)
    assert bridge.loc[bridge["kind"] == "step", "bar"].tolist() == ["Bikes"]


def test_plan_against_the_same_periods_a_year_before(plan):
    history = rows(
        "sales_history",
        *(
            {
                "item_id": "B1",
                "market_id": "N",
                "period": p - pd.DateOffset(years=1),
                "ordered_qty": 40,
                "shipped_qty": 40,
                "net_sales_amt": 4000,
            }
            for p in PERIODS[:2]
        ),
        {"item_id": "B1", "market_id": "S", "period": "2026-12-01", "ordered_qty": 99, "net_sales_amt": 9999},
    )
    bridge = finance.revenue_bridge(history, plan.unmet_demand, SETTINGS.calendar)
    assert_sums(bridge)
    assert bars(bridge)["Before"] == 8000
    first_two = plan.unmet_demand[plan.unmet_demand["period"].isin(PERIODS[:2])]
    assert bars(bridge)["After"] == pytest.approx((first_two["served_qty"] * first_two["price_amt"]).sum())
    bikes = first_two[(first_two["item_id"] == "B1") & (first_two["market_id"] == "N")]["served_qty"].sum()
    assert bars(bridge)["Price"] == pytest.approx((120 - 100) * bikes)
