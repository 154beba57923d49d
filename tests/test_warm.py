"""What-if on the loaded plan: every lever gives the plan its cold solve gives, whatever was pulled before, and faults leave it usable."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import RandomCompany, Situation, read_situation
from small_company import PERIODS, SETTINGS, demand, inputs, rows, target

from sop_workbench import scenario, views
from sop_workbench.errors import DataError, InfeasiblePlanError, SettingsError
from sop_workbench.finance import family_of, project_financials
from sop_workbench.inventory import unit_value
from sop_workbench.periods import Calendar
from sop_workbench.scenario import Lever, load_scenario, scenario_tables
from sop_workbench.supply import plan_supply, readback
from sop_workbench.supply.figures import COSTS, FigureReader, LimitReader
from sop_workbench.supply.measures import measures
from sop_workbench.supply.solve import Solution
from sop_workbench.supply.warm import DIRECT, LoadedPlan
from sop_workbench.what_if import WhatIf

CALENDAR = Calendar("month")
CENT = 0.005


def lever(**options) -> Lever:
    return Lever.model_validate(options)


def valued_inputs() -> dict[str, pd.DataFrame]:
    """The small company with a standard cost for everything and a limit of every kind, so that every declared column stands somewhere."""
    made = inputs()
    item = made["item"].assign(standard_cost_amt=made["item"]["standard_cost_amt"].fillna(5.0))
    return {
        **made,
        "item": item,
        "market": made["market"].assign(min_fill_ratio=[0.5, 0.0]),
        "location": made["location"].assign(storage_limit_qty=[np.nan, 60.0]),
        "lane": made["lane"].assign(max_qty=[150.0, np.nan, 90.0, np.nan]),
        "production": made["production"].assign(max_qty=[120.0, np.nan, np.nan]),
    }


@cache
def loaded() -> WhatIf:
    return WhatIf(valued_inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)


@cache
def random_plan(seed: int, shortage: str) -> tuple[Situation, WhatIf]:
    situation = RandomCompany(seed, shortage=shortage).situation()
    return situation, WhatIf(*situation[:4], situation.periods, situation.settings.calendar)


def cold_objective(what_if: WhatIf, levers: list[Lever]) -> float:
    tables = dict(what_if.tables)
    asked, wanted = tables.pop("consensus_demand"), tables.pop("inventory_target")
    tables = scenario_tables(tables, asked, wanted, levers, what_if.calendar, what_if.periods)
    asked, wanted = tables.pop("consensus_demand"), tables.pop("inventory_target")
    return plan_supply(tables, asked, wanted, what_if.settings, what_if.periods, what_if.calendar).objective_amt


def same(amount: float):
    return pytest.approx(amount, rel=1e-6, abs=1e-6)


# ------------------------------------------------------------------ the plan of every lever is the cold plan
NUMBERS = [lever(table=table, column=column, operation="multiply", value=1.13) for table, column in DIRECT]
MORE = [
    lever(table="capacity", column="regular_hours", operation="multiply", value=0.8, where={"resource_id": "LINE"}, from_period="2027-02"),
    lever(table="capacity", column="overtime_hours", operation="set", value=0),
    lever(table="consensus_demand", column="demand_qty", operation="add", value=7, where={"region": "South"}, to_period="2027-02"),
    lever(table="price", column="price_amt", operation="multiply", value=1.1, where={"family": "Bikes"}),
    lever(table="price", column="price_amt", operation="multiply", value=0.9, from_period="2027-02", to_period="2027-03"),
    lever(table="supplier_item", column="max_qty", operation="add", value=50, where={"supplier_id": "S1"}),
]


@pytest.mark.parametrize("pulled", [*NUMBERS, *MORE], ids=lambda one: one.words)
def test_numbers_move_in_the_loaded_plan(pulled):
    outcome = loaded().pull([pulled])
    assert outcome.way == "direct"
    assert outcome.objective_amt == same(cold_objective(loaded(), [pulled]))


STATED = [
    lever(table="routing", column="hours_per_unit", operation="multiply", value=1.2),
    lever(table="production", column="yield_ratio", operation="multiply", value=0.9, where={"item_id": "B1"}),
    lever(table="bill_of_material", column="quantity_per", operation="multiply", value=1.1, where={"parent_item_id": "F1"}),
    lever(table="stock_on_hand", column="on_hand_qty", operation="multiply", value=0.5),
    lever(table="open_supply", column="due_date", operation="shift", value=1),
    lever(table="workforce", column="opening_workers", operation="add", value=2),
    lever(table="workforce", column="hire_cost_amt", operation="multiply", value=3),
    lever(table="item", column="standard_cost_amt", operation="multiply", value=1.5),
    lever(table="market", column="min_fill_ratio", operation="set", value=0.7, where={"market_id": "N"}),
]


@pytest.mark.parametrize("pulled", STATED, ids=lambda one: one.words)
def test_what_is_more_than_declared_numbers_is_stated_anew_on_the_same_basis(pulled):
    outcome = loaded().pull([pulled])
    assert outcome.way == "restated"
    assert outcome.objective_amt == same(cold_objective(loaded(), [pulled]))


REBUILT = [
    lever(table="lane", operation="remove", where={"to_id": "S"}),
    lever(table="lane", operation="remove", where={"to_id": "N"}),
    lever(table="consensus_demand", column="demand_qty", operation="shift", value=1),
    lever(table="production", column="subcontract_cost_amt", operation="set", value=30, where={"item_id": "T1"}),
    lever(table="supplier_item", column="lead_time_days", operation="add", value=31),
    lever(table="consensus_demand", operation="remove", where={"item_id": "T1"}),
    lever(table="inventory_target", column="safety_stock_qty", operation="set", value=0),
    lever(table="production", column="max_qty", operation="set", value=10, where={"item_id": "T1"}),
]


@pytest.mark.parametrize("pulled", REBUILT, ids=lambda one: one.words)
def test_another_structure_is_built_anew_and_said_so(pulled):
    outcome = loaded().pull([pulled])
    assert outcome.way == "rebuilt"
    assert any("built anew" in note for note in outcome.notes)
    assert outcome.objective_amt == same(cold_objective(loaded(), [pulled]))


def test_the_same_structure_again_is_not_built_again():
    what_if = loaded()
    cut = lever(table="lane", operation="remove", where={"to_id": "S"})
    what_if.pull([cut])
    outcome = what_if.pull([cut, NUMBERS[0]])
    assert outcome.way == "restated"
    assert outcome.objective_amt == same(cold_objective(what_if, [cut, NUMBERS[0]]))


ANY_LEVER = st.sampled_from([*NUMBERS, *MORE, *STATED[:4], REBUILT[0]])


@settings(max_examples=8)
@given(st.lists(st.lists(ANY_LEVER, max_size=3), min_size=1, max_size=3))
def test_any_sequence_of_levers_ends_at_the_cold_plan(pulls):
    for pulled in pulls:
        outcome = loaded().pull(pulled)
    assert outcome.objective_amt == same(cold_objective(loaded(), pulls[-1]))
    assert loaded().reset().objective_amt == same(cold_objective(loaded(), []))


PERCENT = st.sampled_from([0.5, 0.8, 0.97, 1.1, 1.5])


@settings(max_examples=12)
@given(
    st.integers(0, 4), st.sampled_from(["lost_sales", "backlog"]), st.lists(st.tuples(st.sampled_from(sorted(DIRECT)), PERCENT), max_size=4)
)
def test_random_companies_answer_as_their_cold_plans_do(seed, shortage, moves):
    _, what_if = random_plan(seed, shortage)
    levers = [
        lever(table=table, column=column, operation="multiply", value=value)
        for (table, column), value in moves
        if what_if.tables[table][column].notna().any()
    ]
    assert what_if.pull(levers).objective_amt == same(cold_objective(what_if, levers))


# ------------------------------------------------------------------ what is read back
@settings(max_examples=12)
@given(st.integers(0, 4), st.sampled_from(["lost_sales", "backlog"]))
def test_figures_equal_finance_on_the_same_plan_to_the_cent(seed, shortage):
    situation, what_if = random_plan(seed, shortage)
    answer, inputs_, rules = what_if.plan.base, situation.inputs, situation.settings
    read = readback.Reader(answer.instance, answer.arrays, Solution(answer.value, answer.row_price, answer.objective_amt, "optimal"))
    tables = (
        readback.supply_plan,
        readback.resource_plan,
        readback.shipment_plan,
        readback.purchase_plan,
        readback.unmet_demand,
        readback.inventory_projection,
    )
    told = project_financials(*(table(read) for table in tables), inputs_, rules, rules.calendar)
    values = unit_value(inputs_["item"], inputs_["supplier_item"])
    figures = FigureReader(answer.instance, answer.arrays, family_of(inputs_["item"]), values).read(answer)
    for column in ("revenue_amt", *COSTS, "cogs_amt", "inventory_amt"):
        assert figures.money[column].sum() == pytest.approx(told[column].sum(), abs=CENT), column
    assert figures.profit_amt == pytest.approx(told["profit_amt"].sum(), abs=CENT)
    # Frontiers, losses and samples read the same from weights by column.
    measured = measures(answer.instance, answer.arrays).of(answer.value, answer.objective_amt)
    assert measured.profit_amt == pytest.approx(figures.profit_amt, abs=CENT)
    assert measured.inventory_amt == pytest.approx(figures.money["inventory_amt"].mean(), abs=CENT)
    if shortage == "lost_sales":  # where orders wait, these count what waits at the end
        assert measured.fill_ratio == pytest.approx(figures.served_qty / figures.demand_qty)
        assert measured.lost_revenue_amt == pytest.approx(figures.money["lost_revenue_amt"].sum(), abs=CENT)


@pytest.mark.parametrize("pulled", [MORE[0], MORE[3], NUMBERS[0], STATED[0], REBUILT[0]], ids=lambda one: one.words)
def test_measures_and_differences_are_those_of_the_scenario_table(pulled):
    outcome = loaded().pull([pulled])
    evaluated = {
        name: scenario.evaluate(valued_inputs(), demand(), target(), levers, SETTINGS, PERIODS, CALENDAR)
        for name, levers in (("base", []), ("it", [pulled]))
    }
    told = scenario.compare(evaluated, [], CALENDAR).query("scenario == 'it'").set_index("measure")
    shown = outcome.measures.set_index("measure")
    for column in ("value", "delta"):
        pd.testing.assert_series_equal(shown[column], told.loc[shown.index, column], rtol=1e-7, atol=CENT)


def test_volumes_hours_and_limits_are_those_of_the_result_tables():
    outcome = loaded().pull([MORE[0]])
    tables = scenario_tables(valued_inputs(), demand(), target(), [MORE[0]], CALENDAR, PERIODS)
    asked, wanted = tables.pop("consensus_demand"), tables.pop("inventory_target")
    plan = plan_supply(tables, asked, wanted, SETTINGS, PERIODS, CALENDAR)
    served = plan.unmet_demand.assign(family=plan.unmet_demand["item_id"].map(family_of(tables["item"]))).groupby(["family", "period"])
    volume = outcome.volume.set_index(["family", "period"])
    assert volume["served_qty"].to_numpy() == pytest.approx(served["served_qty"].sum().reindex(volume.index).to_numpy())
    hours = outcome.hours.set_index(["resource_id", "period"]).sort_index()
    worked = plan.resource_plan.set_index(["resource_id", "period"]).sort_index()
    for column in ("used_hours", "overtime_used_hours", "regular_hours", "hour_price_amt"):
        assert hours[column].to_numpy() == pytest.approx(worked[column].to_numpy()), column
    told = plan.binding_limit.set_index(["limit", "member_name", "period"])["price_amt"]
    binding = outcome.limits[outcome.limits["price_amt"] > 1e-6]
    assert len(binding) > 3
    for row in binding.itertuples():
        assert told[row.limit, row.member_name, row.period] == pytest.approx(row.price_amt)


def test_prices_follow_the_levers_and_stand_beside_those_of_base():
    situation = read_situation("steel_mix")
    what_if = WhatIf(*situation[:4], situation.periods, situation.settings.calendar)
    week = f"{situation.periods[2]:%Y-%m-%d}"
    for hours, profit, price in ((32, 515_033, 3400), (37, 532_033, 3400), (42, 549_033, 3400), (47, 565_193, 2980)):
        pulled = lever(table="capacity", column="regular_hours", operation="set", value=hours, from_period=week, to_period=week)
        outcome = what_if.pull([pulled])
        assert outcome.value("profit") == pytest.approx(profit, abs=1)
        priced = outcome.hours[outcome.hours["period"] == situation.periods[2]].iloc[0]
        assert priced["hour_price_amt"] == pytest.approx(price)
        assert priced["base_hour_price_amt"] == pytest.approx(3400)


# ------------------------------------------------------------------ a direct change is never taken on trust
def test_a_family_nobody_declared_switches_the_direct_way_off():
    plan = LoadedPlan(inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)
    plan.arrays.rows["new_family"] = plan.arrays.rows["capacity_limit"]
    assert plan.effects("capacity", "regular_hours") is None
    fewer = inputs()["capacity"].assign(regular_hours=70.0)
    answer = plan.with_tables({"capacity": fewer})
    assert answer.way == "rebuilt"
    cold = plan_supply(inputs(capacity=fewer), demand(), target(), SETTINGS, PERIODS, CALENDAR)
    assert answer.objective_amt == same(cold.objective_amt)


def test_a_purchase_price_that_values_stock_is_stated_anew():
    what_if = WhatIf(inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)  # tubes have no standard cost
    pulled = lever(table="supplier_item", column="unit_cost_amt", operation="multiply", value=1.4)
    outcome = what_if.pull([pulled])
    assert outcome.way == "restated"
    assert outcome.objective_amt == same(cold_objective(what_if, [pulled]))


# ------------------------------------------------------------------ faults
def test_a_wrong_lever_is_told_and_what_was_shown_stays():
    what_if = loaded()
    shown = what_if.pull([MORE[0]])
    for wrong, words in (
        (lever(table="capacity", column="hours", operation="multiply", value=2), "unknown_column"),
        (lever(table="capacity", column="regular_hours", operation="multiply", value=-1), "regular_hours"),
        (lever(table="capacity", column="regular_hours", operation="multiply", value=2, where={"resource_id": "X"}), "no_row"),
    ):
        with pytest.raises(DataError, match=words):
            what_if.pull([wrong])
    assert what_if.now is shown
    assert what_if.pull([NUMBERS[0]]).objective_amt == same(cold_objective(what_if, [NUMBERS[0]]))


def test_limits_that_clash_are_named_and_the_next_pull_is_answered():
    held = rows("stock_limit", {"item_id": "B1", "location_id": "W1", "period": PERIODS[3], "min_qty": 5})
    what_if = WhatIf(inputs(stock_limit=held), demand(), target(), SETTINGS, PERIODS, CALENDAR)
    base = what_if.base.objective_amt
    with pytest.raises(InfeasiblePlanError, match="least stock of B1 at W1 in April 2027"):
        what_if.pull([lever(table="stock_limit", column="min_qty", operation="set", value=100_000)])
    assert what_if.now is what_if.base
    assert what_if.pull([MORE[0]]).objective_amt == same(cold_objective(what_if, [MORE[0]]))
    assert what_if.reset().objective_amt == same(base)


def test_whole_lots_are_read_as_fractions_and_said_so():
    whole = SETTINGS.model_copy(update={"supply": SETTINGS.supply.model_copy(update={"is_integer_lots": True})})
    made = inputs()
    made["production"] = made["production"].assign(min_lot_qty=30.0)
    what_if = WhatIf(made, demand(), target(), whole, PERIODS, CALENDAR)
    cold = plan_supply(made, demand(), target(), whole, PERIODS, CALENDAR)
    assert what_if.base.objective_amt >= cold.objective_amt - 1e-6
    outcome = what_if.pull([MORE[0]])
    assert any("fractions" in note for note in outcome.notes)
    assert outcome.objective_amt <= what_if.base.objective_amt + 1e-6


# ------------------------------------------------------------------ undo, reset, keep
def test_undo_and_reset_give_the_same_figures_again():
    what_if = WhatIf(inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)
    first = what_if.pull([MORE[0]])
    what_if.pull([MORE[0], MORE[3]])
    again = what_if.undo()
    assert again.levers == first.levers
    pd.testing.assert_frame_equal(again.measures, first.measures, rtol=1e-9)
    assert what_if.undo().levers == ()
    assert not what_if.can_undo
    assert what_if.undo().levers == ()
    what_if.pull([MORE[0]])
    assert what_if.reset().value("profit") == pytest.approx(what_if.base.value("profit"))
    assert what_if.undo().levers == (MORE[0],)


def test_a_scenario_is_kept_with_its_reason_and_reads_back_the_same(tmp_path):
    what_if = WhatIf(inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)
    with pytest.raises(SettingsError, match="nothing is changed"):
        what_if.keep(tmp_path, "empty", "", "why")
    what_if.pull([MORE[0], MORE[3], REBUILT[0]])
    with pytest.raises(SettingsError, match="say why"):
        what_if.keep(tmp_path, "short", "", " ")
    with pytest.raises(SettingsError, match="cannot name a scenario"):
        what_if.keep(tmp_path, "a b", "", "why")
    path = what_if.keep(tmp_path / "scenarios", "short_line", "The line is short", "The gearbox may fail")
    kept = load_scenario(path)
    # What was shown had demand standing at the changed price, and so has the scenario.
    shown = [one.model_copy(update={"elasticity": 0.0}) if one.table == "price" else one for one in what_if.now.levers]
    assert list(kept.levers) == shown
    assert any("does not answer the price" in note for note in what_if.now.notes) == any(one.table == "price" for one in shown)
    assert kept.reason == "The gearbox may fail"
    with pytest.raises(SettingsError, match="already"):
        what_if.keep(tmp_path / "scenarios", "short_line", "", "again")


# ------------------------------------------------------------------ views
def test_views_word_the_difference_to_base():
    what_if = loaded()
    assert views.what_if_measures(what_if.reset().measures).attrs["title"] == "Profit as in base"
    outcome = what_if.pull([MORE[0]])
    measures = views.what_if_measures(outcome.measures)
    assert measures.set_index("measure").loc["profit", "verdict"] == "worse"
    volume = views.what_if_volume(outcome.volume, family="Bikes")
    assert set(volume["line"]) == {"demand", "base", "what if"}
    load = views.what_if_load(outcome.hours, what_if.tables["resource"])
    assert load["load_text"].str.contains("▲|▼").any()
    assert (views.what_if_limits(outcome.limits)["in_base_amt"] >= 0).all()


def test_limits_without_a_base_stand_alone():
    plan = LoadedPlan(inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)
    limits = LimitReader(plan.instance, plan.arrays, "month").read(plan.base, None, "EUR")
    assert limits["base_price_amt"].isna().all()
    assert limits["money_amt"].is_monotonic_decreasing
