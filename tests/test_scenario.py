"""Levers change copies, name every fault at once, and a scenario without levers is base."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_company import PERIODS, SETTINGS, demand, inputs, rows, target

from sop_workbench import scenario
from sop_workbench.errors import DataError, InfeasiblePlanError, SettingsError
from sop_workbench.periods import Calendar
from sop_workbench.scenario import Lever, Scenario, apply_levers

CALENDAR = Calendar("month")
DEMO = Path(__file__).parents[1] / "data" / "demo" / "scenarios"
BASE_TABLES = {**inputs(), "consensus_demand": demand(), "inventory_target": target()}


def lever(**options) -> Lever:
    return Lever.model_validate(options)


def changed(*levers: Lever, tables: dict | None = None, calendar: Calendar = CALENDAR) -> dict[str, pd.DataFrame]:
    return apply_levers(tables or BASE_TABLES, levers, calendar)


def evaluated(*levers: Lever, tables: dict | None = None) -> dict[str, pd.DataFrame]:
    return scenario.evaluate(tables or inputs(), demand(), target(), levers, SETTINGS, PERIODS, CALENDAR)


@pytest.fixture(scope="module")
def base() -> dict[str, pd.DataFrame]:
    return evaluated()


# ------------------------------------------------------------------ files
SURGE = """
scenario: demand_surge
title: Demand 15 % higher in the North from January to March
reason: Two chains talk about a joint campaign
levers:
  - table: consensus_demand
    column: demand_qty
    operation: multiply
    value: 1.15
    where: {region: North}
    from_period: 2027-01
    to_period: 2027-03-31
"""


def test_a_scenario_file_is_read(tmp_path):
    (tmp_path / "surge.yaml").write_text(SURGE, encoding="utf-8")
    loaded = scenario.load_scenario(tmp_path / "surge.yaml")
    assert (loaded.scenario_id, loaded.title[:6], len(loaded.levers)) == ("demand_surge", "Demand", 1)
    assert loaded.levers[0].words == "consensus_demand.demand_qty × 1.15 (region North, 2027-01 to 2027-03-31)"


def test_every_fault_of_every_file_is_told(tmp_path):
    (tmp_path / "a.yaml").write_text(SURGE.replace("multiply", "double").replace("title", "titel"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text("- just a list", encoding="utf-8")
    (tmp_path / "c.yaml").write_text(SURGE.replace("value: 1.15", "value: much"), encoding="utf-8")
    (tmp_path / "d.yaml").write_bytes(b"title: caf\xe9")
    with pytest.raises(SettingsError) as fault:
        scenario.load_scenarios(tmp_path)
    text = str(fault.value)
    for expected in (
        "a.yaml: levers.0.operation",
        "unknown key titel",
        "b.yaml must hold",
        "c.yaml: levers.0: multiply needs a number",
        "d.yaml is not",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operation": "remove", "column": "demand_qty"}, "remove takes whole rows"),
        ({"operation": "set"}, "set needs a column"),
        ({"operation": "shift", "column": "period", "value": 1.5}, "whole number of periods"),
        ({"operation": "multiply", "column": "demand_qty", "value": True}, "needs a number"),
    ],
)
def test_a_lever_must_make_sense(options, message):
    with pytest.raises(ValueError, match=message):
        lever(table="consensus_demand", **options)


def test_two_files_of_one_name_and_a_base_with_levers_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(SURGE, encoding="utf-8")
    (tmp_path / "b.yaml").write_text(SURGE, encoding="utf-8")
    (tmp_path / "c.yaml").write_text(SURGE.replace("demand_surge", "base"), encoding="utf-8")
    with pytest.raises(
        SettingsError, match=r"(?s)b\.yaml: scenario demand_surge is named by an earlier file.*base is the plan without levers"
    ):
        scenario.load_scenarios(tmp_path)


def test_no_folder_means_no_scenario(tmp_path):
    assert scenario.load_scenarios(tmp_path / "none") == []


def test_the_demos_scenarios_are_sound():
    if not DEMO.is_dir():
        pytest.skip(f"no scenarios in {DEMO}")
    assert len(scenario.load_scenarios(DEMO)) >= 3


def test_recorded_levers_come_back_as_they_were(tmp_path):
    (tmp_path / "surge.yaml").write_text(SURGE, encoding="utf-8")
    before = scenario.load_scenario(tmp_path / "surge.yaml")
    listed = before.levers[0].model_copy(update={"where": {"region": ["North", "South"]}})
    before = before.model_copy(update={"levers": (*before.levers, listed, lever(table="lane", operation="remove", where={"to_id": "N"}))})
    records = scenario.lever_records(before, CALENDAR).assign(why="talked through", by="planner")
    after = scenario.scenarios_from_records(records)[0]
    assert after.scenario_id == before.scenario_id
    for left, right in zip(changed(*after.levers[:2]).values(), changed(*before.levers[:2]).values(), strict=True):
        pd.testing.assert_frame_equal(left, right)
    assert after.levers[2].words == before.levers[2].words


# ------------------------------------------------------------------ applying
def test_base_is_never_changed():
    before = {name: frame.copy(deep=True) for name, frame in BASE_TABLES.items()}
    changed(
        lever(table="consensus_demand", column="demand_qty", operation="multiply", value=2),
        lever(table="consensus_demand", column="demand_qty", operation="shift", value=1),
        lever(table="capacity", column="regular_hours", operation="set", value=1),
        lever(table="price", column="price_amt", operation="add", value=5, from_period="2027-02"),
        lever(table="bill_of_material", operation="remove", where={"parent_item_id": "T1"}),
    )
    for name, frame in before.items():
        pd.testing.assert_frame_equal(BASE_TABLES[name], frame)


def test_multiply_by_region_and_period_moves_range_and_revenue():
    after = changed(
        lever(
            table="consensus_demand",
            column="demand_qty",
            operation="multiply",
            value=1.5,
            where={"region": "North"},
            from_period="2027-02",
            to_period="2027-03",
        )
    )["consensus_demand"]
    before = BASE_TABLES["consensus_demand"]
    is_picked = (before["market_id"] == "N") & before["period"].isin(PERIODS[1:3])
    ratio = after["demand_qty"] / before["demand_qty"]
    assert ratio[is_picked].unique() == pytest.approx([1.5])
    assert ratio[~is_picked].unique() == pytest.approx([1.0])
    assert (after["low_qty"] / after["demand_qty"]).round(9).unique() == pytest.approx([0.8])
    assert (after["revenue_amt"] - after["demand_qty"] * after["price_amt"]).abs().max() < 1e-9


def test_levers_work_one_after_another():
    add = lever(table="capacity", column="regular_hours", operation="add", value=20)
    double = lever(table="capacity", column="regular_hours", operation="multiply", value=2)
    assert changed(add, double)["capacity"]["regular_hours"].unique().tolist() == [240]
    assert changed(double, add)["capacity"]["regular_hours"].unique().tolist() == [220]


def test_filters_follow_the_ids():
    by_family = changed(
        lever(table="production", column="variable_cost_amt", operation="set", value=9, where={"family": ["Bikes", "Trailers"]})
    )
    assert by_family["production"].set_index("item_id")["variable_cost_amt"].to_dict() == {"B1": 9, "T1": 9, "F1": 0.5}
    by_place = changed(lever(table="capacity", column="overtime_hours", operation="set", value=0, where={"location_id": "P1"}))
    assert by_place["capacity"]["overtime_hours"].sum() == 0
    to_market = changed(lever(table="lane", column="freight_cost_amt", operation="multiply", value=2, where={"region": "South"}))["lane"]
    assert to_market.set_index("to_id").loc["S", "freight_cost_amt"] == 1.5
    assert to_market.set_index("to_id").loc["N", "freight_cost_amt"] == 0.5


def test_a_price_changes_for_the_periods_named_and_then_goes_back():
    price = changed(
        lever(
            table="price",
            column="price_amt",
            operation="multiply",
            value=1.1,
            where={"item_id": "B1", "market_id": "N"},
            from_period="2027-02",
            to_period="2027-03",
        )
    )["price"]
    rows_of_bike = price[(price["item_id"] == "B1") & (price["market_id"] == "N")].sort_values("valid_from")
    assert rows_of_bike["valid_from"].astype(str).tolist() == ["2026-01-01", "2027-02-01", "2027-04-01"]
    assert rows_of_bike["price_amt"].tolist() == pytest.approx([120, 132, 120])


def test_a_bill_of_material_is_split_at_the_period():
    bom = changed(
        lever(
            table="bill_of_material", column="quantity_per", operation="set", value=3, where={"parent_item_id": "F1"}, from_period="2027-03"
        )
    )["bill_of_material"]
    frame = bom[bom["parent_item_id"] == "F1"].sort_values("valid_from")
    assert frame["quantity_per"].tolist() == [2, 3]
    assert str(frame["valid_to"].iloc[0].date()) == "2027-02-28"
    assert frame["valid_to"].isna().tolist() == [False, True]


@settings(max_examples=15, deadline=None)
@given(st.integers(-6, 6), st.sampled_from(["N", "S"]))
def test_a_shift_keeps_the_total(buckets, market):
    after = changed(lever(table="consensus_demand", column="demand_qty", operation="shift", value=buckets, where={"market_id": market}))
    before = BASE_TABLES["consensus_demand"]
    for column in ("demand_qty", "revenue_amt"):
        assert after["consensus_demand"][column].sum() == pytest.approx(before[column].sum())
    assert not after["consensus_demand"].duplicated(["item_id", "market_id", "period"]).any()


def test_a_shifted_quantity_adds_to_what_is_there():
    after = changed(
        lever(
            table="consensus_demand",
            column="demand_qty",
            operation="shift",
            value=1,
            where={"item_id": "B1", "market_id": "N"},
            from_period="2027-01",
            to_period="2027-01",
        )
    )["consensus_demand"]
    bikes = after[(after["item_id"] == "B1") & (after["market_id"] == "N")].set_index("period")["demand_qty"]
    assert bikes.tolist() == pytest.approx([0, 45 + 54, 63, 72])


def test_a_date_is_shifted_by_buckets():
    orders = changed(lever(table="open_supply", column="due_date", operation="shift", value=2, where={"kind": "purchase"}))["open_supply"]
    assert str(orders["due_date"].iloc[0].date()) == "2027-03-20"
    weekly = apply_levers(BASE_TABLES, [lever(table="open_supply", column="due_date", operation="shift", value=-1)], Calendar("week"))
    assert str(weekly["open_supply"]["due_date"].iloc[0].date()) == "2027-01-13"


def test_rows_are_removed():
    assert "N" not in set(changed(lever(table="lane", operation="remove", where={"to_id": "N"}))["lane"]["to_id"])


def test_set_nothing_takes_a_limit_away():
    free = changed(lever(table="supplier_item", column="max_qty", operation="set"))["supplier_item"]
    assert free["max_qty"].isna().all()


def test_all_faults_are_told_at_once():
    wrong = [
        lever(table="orders", column="qty", operation="set", value=1),
        lever(table="capacity", column="hours", operation="multiply", value=2),
        lever(table="item", column="family", operation="multiply", value=2),
        lever(table="capacity", column="regular_hours", operation="multiply", value=2, where={"colour": "red"}),
        lever(table="capacity", column="regular_hours", operation="multiply", value=2, where={"resource_id": "L9"}),
        lever(table="capacity", column="regular_hours", operation="multiply", value=2, from_period="2027-13"),
        lever(table="production", column="variable_cost_amt", operation="multiply", value=2, from_period="2027-01"),
        lever(table="production", column="max_qty", operation="multiply", value=2),
        lever(table="resource", column="regular_cost_amt_per_hour", operation="shift", value=1),
        lever(table="capacity", column="overtime_hours", operation="add", value=-50),
    ]
    with pytest.raises(DataError) as fault:
        changed(*wrong)
    rules = fault.value.issues["rule"].tolist()
    assert rules == [
        "unknown_table",
        "unknown_column",
        "not_a_number_column",
        "unknown_filter_column",
        "no_row_matched",
        "not_a_period",
        "no_period_column",
        "nothing_to_change",
        "no_period_column",
        "below_minimum",
    ]
    assert "lever 5: capacity.regular_hours × 2 (resource_id L9)" in str(fault.value)


# ------------------------------------------------------------------ evaluating and comparing
def test_a_scenario_without_levers_equals_base(base):
    same = scenario.evaluate_all([Scenario(scenario="nothing")], inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)["nothing"]
    assert same.keys() == base.keys()
    for name in base:
        pd.testing.assert_frame_equal(same[name], base[name])
    comparison = scenario.compare({"base": base, "nothing": same}, [], CALENDAR)
    assert (comparison["delta"] == 0).all()


def test_more_hours_help_and_the_table_says_by_what(base):
    more = Scenario(
        scenario="more_hours",
        levers=(
            lever(table="capacity", column="regular_hours", operation="multiply", value=1.3),
            lever(table="supplier_item", column="max_qty", operation="multiply", value=2),
        ),
    )
    results = scenario.evaluate_all([more], inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)
    table = scenario.compare({"base": base, **results}, [more], CALENDAR)
    found = table[table["scenario"] == "more_hours"].set_index("measure")
    assert found.loc["profit", "delta"] > 0
    assert found.loc["lost revenue", "delta"] < 0
    assert found["levers"].iloc[0] == "capacity.regular_hours × 1.3; supplier_item.max_qty × 2"
    assert found["sequence"].tolist() == list(range(1, len(found) + 1))
    money = results["more_hours"]["financial_projection"]
    assert found.loc["profit", "value"] == pytest.approx(money["profit_amt"].sum())
    assert found.loc["fill rate", "unit"] == "ratio"


def test_a_dearer_price_list_reaches_demand_and_revenue():
    result = evaluated(
        lever(table="price", column="price_amt", operation="multiply", value=1.1, where={"item_id": "B1"}, from_period="2027-03")
    )
    prices = result["consensus_demand"][result["consensus_demand"]["market_id"] == "N"].set_index(["item_id", "period"])["price_amt"]
    assert [prices["B1", p] for p in PERIODS] == pytest.approx([120, 120, 132, 132])
    assert prices["T1"].unique().tolist() == [90]
    served = result["unmet_demand"]
    assert result["financial_projection"]["revenue_amt"].sum() == pytest.approx((served["served_qty"] * served["price_amt"]).sum())


def elasticities(**by_member: float) -> pd.DataFrame:
    """Rows of `driver_effect` as the demand review writes them."""
    return pd.DataFrame([
        {"driver": "price", "level": "all" if member == "all" else "item_id", "member": member, "measure": "elasticity",
         "effect_ratio": value, "low_ratio": value - 1, "high_ratio": value + 1, "basis": "assumed"}
        for member, value in by_member.items()
    ])  # fmt: skip


def answered(*levers: Lever, effects: pd.DataFrame | None = None) -> pd.DataFrame:
    """Consensus of a scenario beside base: ratio of quantities and of prices by item, market and period."""
    after = scenario.scenario_tables(inputs(), demand(), target(), levers, CALENDAR, PERIODS, effects)["consensus_demand"]
    both = demand().merge(after, on=["item_id", "market_id", "period"], suffixes=("_old", ""), validate="1:1")
    assert (both["revenue_amt"] - both["demand_qty"] * both["price_amt"]).abs().max() < 1e-9
    return both.assign(quantity=both["demand_qty"] / both["demand_qty_old"], price=both["price_amt"] / both["price_amt_old"])


DEARER = {"table": "price", "column": "price_amt", "operation": "multiply", "value": 1.1, "where": {"item_id": "B1"}}


def test_demand_answers_a_price_by_the_elasticity_stated():
    rows = answered(lever(**DEARER, from_period="2027-03", elasticity=-1.5))
    moved = (rows["item_id"] == "B1") & (rows["period"] >= pd.Timestamp("2027-03-01"))
    assert rows.loc[moved, "price"].to_numpy() == pytest.approx(1.1)
    assert rows.loc[moved, "quantity"].to_numpy() == pytest.approx(1.1**-1.5)
    assert (rows.loc[~moved, ["price", "quantity"]] == 1).all(axis=None)
    ratio = rows["low_qty"] / rows["low_qty_old"]
    assert ratio[moved].to_numpy() == pytest.approx(1.1**-1.5)


def test_two_price_levers_answer_one_after_the_other():
    rows = answered(lever(**DEARER, elasticity=-1.5), lever(**DEARER, elasticity=-2.0))
    assert rows.loc[rows["item_id"] == "B1", "quantity"].to_numpy() == pytest.approx(1.1**-3.5)


def test_demand_answers_a_price_by_what_the_demand_review_learned():
    effects = elasticities(all=-2.0, T1=-0.5)
    everything = {**DEARER, "where": {}}
    rows = answered(lever(**everything), effects=effects).groupby("item_id")["quantity"].first()
    assert (rows["B1"], rows["T1"]) == pytest.approx((1.1**-2, 1.1**-0.5))
    assert (answered(lever(**everything))["quantity"] == 1).all()  # nothing learned, nothing stated
    assert (answered(lever(**everything, elasticity=0), effects=effects)["quantity"] == 1).all()


def test_demand_that_a_lever_states_is_not_moved_twice():
    here = {"item_id": "B1", "market_id": "N"}
    stated = lever(table="consensus_demand", column="demand_qty", operation="multiply", value=0.95, where=here)
    rows = answered(lever(**DEARER), stated, effects=elasticities(all=-2.0))
    north = rows["market_id"] == "N"
    assert rows.loc[(rows["item_id"] == "B1") & north, "quantity"].to_numpy() == pytest.approx(0.95)
    assert rows.loc[(rows["item_id"] == "B1") & ~north, "quantity"].to_numpy() == pytest.approx(1.1**-2)


def test_the_comparison_says_by_what_elasticity_demand_answered(base):
    learned, stated = (
        scenario.Scenario(scenario=name, levers=(lever(**DEARER, **extra),)) for name, extra in (("a", {}), ("b", {"elasticity": -1.5}))
    )
    results = {"base": base, **scenario.evaluate_all([learned, stated], inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR,
                                                     elasticities(all=-2.0))}  # fmt: skip
    words = scenario.compare(results, [learned, stated], CALENDAR, elasticities(all=-2.0)).groupby("scenario")["levers"].first()
    assert words["a"].endswith("(item_id B1); demand answers the price by elasticity -2.00 (assumed) where no lever moves it")
    assert words["b"] == "price.price_amt × 1.1 (item_id B1), demand answers by elasticity -1.5 (stated)"
    total = {name: result["consensus_demand"]["demand_qty"].sum() for name, result in results.items()}
    assert total["a"] < total["b"] < total["base"]


@pytest.mark.parametrize("options", [{"elasticity": 0.4}, {"column": "currency", "operation": "set", "value": "EUR", "elasticity": -1}])
def test_an_elasticity_belongs_to_a_price_and_is_not_above_zero(options):
    with pytest.raises(ValueError, match=r"less than or equal to 0|price_amt only"):
        lever(**{**DEARER, **options})


def test_an_elasticity_survives_records(tmp_path):
    kept = scenario.Scenario(scenario="dear", levers=(lever(**DEARER, elasticity=-1.5), lever(**DEARER)))
    rows = scenario.lever_records(kept, CALENDAR).assign(why="test")
    assert [one.elasticity for one in scenario.scenarios_from_records(rows)[0].levers] == [-1.5, None]
    rows = rows.rename(columns={"scenario_id": "scenario"}).drop(columns="why")
    rows.to_excel(tmp_path / "levers.xlsx", index=False)
    assert [one.elasticity for one in scenario.load_workbook(tmp_path / "levers.xlsx")[0].levers] == [-1.5, None]


def test_demand_shifted_past_the_horizon_is_not_planned():
    result = evaluated(lever(table="consensus_demand", column="demand_qty", operation="shift", value=2))
    assert result["consensus_demand"]["period"].max() == PERIODS[-1]
    assert result["consensus_demand"].set_index("period").loc[PERIODS[0], "demand_qty"].sum() == 0


def test_a_lever_on_a_table_the_plan_does_not_read_is_refused():
    with pytest.raises(DataError, match="table_not_read_by_plan"):
        evaluated(lever(table="sales_history", column="ordered_qty", operation="multiply", value=2))


def test_faulty_levers_of_all_scenarios_are_told_before_planning():
    first = Scenario(scenario="one", levers=(lever(table="capacity", operation="remove", where={"resource_id": "L9"}),))
    second = Scenario(scenario="two", levers=(lever(table="event", operation="remove"),))
    with pytest.raises(DataError, match=r"(?s)scenario one, lever 1.*scenario two"):
        scenario.evaluate_all([first, second], inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)


def test_an_infeasible_scenario_is_shown_as_such(base):
    bounded = inputs(stock_limit=rows("stock_limit", {"item_id": "B1", "location_id": "W1", "period": PERIODS[0], "min_qty": 0}))
    impossible = Scenario(scenario="full_house", levers=(lever(table="stock_limit", column="min_qty", operation="set", value=5000),))
    with pytest.raises(InfeasiblePlanError):
        evaluated(*impossible.levers, tables=bounded)
    results = scenario.evaluate_all([impossible], bounded, demand(), target(), SETTINGS, PERIODS, CALENDAR)
    assert results["full_house"]["issue"]["rule"].tolist() == ["infeasible_plan"]
    table = scenario.compare({"base": base, **results}, [impossible], CALENDAR)
    mine = table[table["scenario"] == "full_house"]
    assert not mine["is_feasible"].any()
    assert mine["value"].isna().all()


def test_nothing_is_compared_without_base():
    with pytest.raises(DataError, match="no_base"):
        scenario.compare({"other": {}}, [], CALENDAR)


# ------------------------------------------------------------------ new rows
NEW_SITE = [
    {"table": "location", "operation": "insert", "rows": [{"location_id": "P2", "location_name": "New plant", "location_type": "plant"}]},
    {"table": "resource", "operation": "insert", "rows": [
        {"resource_id": "L2", "location_id": "P2", "regular_cost_amt_per_hour": 9.0, "overtime_cost_amt_per_hour": 14.0}]},
    {"table": "capacity", "operation": "insert", "rows": [{"resource_id": "L2", "regular_hours": 80.0, "overtime_hours": 0.0}],
     "from_period": "2027-01", "to_period": "2027-04"},
    {"table": "production", "operation": "insert", "rows": [{"item_id": "F1", "location_id": "P2", "variable_cost_amt": 0.2}]},
    {"table": "routing", "operation": "insert",
     "rows": [{"item_id": "F1", "location_id": "P2", "resource_id": "L2", "hours_per_unit": 0.4}]},
    {"table": "supplier_item", "operation": "insert", "rows": [
        {"item_id": "M1", "supplier_id": "S9", "location_id": "P2", "unit_cost_amt": 2.5, "lead_time_days": 0}]},
    {"table": "lane", "operation": "insert", "rows": [{"from_location_id": "P2", "to_id": "P1", "freight_cost_amt": 0.1}]},
]


def test_a_new_site_is_rows_put_in_and_earns():
    base = evaluated()
    with_site = evaluated(*(lever(**content) for content in NEW_SITE))
    made = with_site["supply_plan"].query("location_id == 'P2'")
    assert made["production_qty"].sum() > 0
    assert with_site["financial_projection"]["profit_amt"].sum() > base["financial_projection"]["profit_amt"].sum()
    assert len(BASE_TABLES["location"]) == 2


def test_rows_put_in_are_checked_like_any_others():
    wrong = [
        lever(table="lane", operation="insert", rows=[{"from_location_id": "P1", "to_id": "N", "fright": 1.0}]),
        lever(table="capacity", operation="insert", rows=[{"resource_id": "LINE", "regular_hours": 8, "overtime_hours": 0}]),
        lever(table="market", operation="insert", rows=[{"market_id": "N", "market_name": "Again", "region": "North", "channel": "Shop"}]),
    ]
    with pytest.raises(DataError) as fault:
        changed(*wrong)
    text = str(fault.value)
    for expected in ("unknown_column", "fright", "no_period", "duplicate_key"):
        assert expected in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operation": "insert"}, "insert needs rows"),
        ({"operation": "remove", "rows": [{"item_id": "B1"}]}, "insert needs rows"),
        ({"operation": "insert", "rows": [{"item_id": "B1"}], "where": {"item_id": "B1"}}, "leave where out"),
    ],
)
def test_an_insert_must_make_sense(options, message):
    with pytest.raises(ValueError, match=message):
        lever(table="item", **options)


# ------------------------------------------------------------------ workbooks
def test_scenarios_come_from_a_workbook(tmp_path):
    rows = pd.DataFrame([
        {"scenario": "hours", "title": "Longer days", "reason": "A third shift", "table": "capacity", "column": "regular_hours",
         "operation": "multiply", "value": 1.2, "where": "resource_id=LINE", "from_period": "2027-02",
         "to_period": pd.Timestamp("2027-03-01")},
        {"scenario": "hours", "table": "capacity", "column": "overtime_hours", "operation": "set", "value": 30},
        {"scenario": "lane", "title": "Direct", "table": "lane", "operation": "insert",
         "value": '[{"from_location_id": "P1", "to_id": "N", "freight_cost_amt": 0.2}]'},
    ])
    rows.to_excel(tmp_path / "options.xlsx", index=False)
    loaded = {found.scenario_id: found for found in scenario.load_scenarios(tmp_path)}
    assert list(loaded) == ["hours", "lane"]
    assert (loaded["hours"].title, loaded["hours"].reason, len(loaded["hours"].levers)) == ("Longer days", "A third shift", 2)
    after = changed(*loaded["hours"].levers)["capacity"]
    assert after["regular_hours"].tolist() == [100.0, 120.0, 120.0, 100.0]
    assert after["overtime_hours"].eq(30).all()
    assert len(changed(*loaded["lane"].levers)["lane"]) == len(BASE_TABLES["lane"]) + 1


def test_every_fault_of_a_workbook_is_told_with_its_row(tmp_path):
    rows = pd.DataFrame([
        {"scenario": "a", "table": "capacity", "column": "regular_hours", "operation": "double", "value": 2},
        {"scenario": "a", "table": "capacity", "column": "", "operation": "multiply", "value": 2},
        {"scenario": "a", "table": "lane", "operation": "insert", "value": "P1 to N"},
    ])
    rows.to_excel(tmp_path / "wrong.xlsx", index=False)
    with pytest.raises(SettingsError) as fault:
        scenario.load_scenarios(tmp_path)
    for expected in ("row 2: operation", "row 3: levers: multiply needs a column", "row 4: value: rows to insert are written as JSON"):
        assert expected in str(fault.value)
    rows.rename(columns={"table": "tabel"}).to_excel(tmp_path / "wrong.xlsx", index=False)
    with pytest.raises(SettingsError, match="missing columns: table; unknown columns: tabel"):
        scenario.load_scenarios(tmp_path)


def test_recorded_inserts_come_back_as_they_were():
    made = Scenario.model_validate({"scenario": "site", "levers": NEW_SITE})
    records = scenario.lever_records(made, CALENDAR).assign(why="a test")
    (back,) = scenario.scenarios_from_records(records)
    assert [one.rows for one in back.levers] == [one.rows for one in made.levers]
