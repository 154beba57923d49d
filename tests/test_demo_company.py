"""The invented company: its extract is what the generator writes, its tables conform, and what is said to be planted is there."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from sop_workbench import demand, shaping, tables
from sop_workbench.checks import run_checks
from sop_workbench.scenario import apply_levers, load_scenarios
from sop_workbench.settings import load_settings
from sop_workbench.sources import load_documents, load_inputs

DEMO = Path(__file__).parents[1] / "data" / "demo"
EXTRACT = DEMO / "extract"
PLANTED = yaml.safe_load((DEMO / "planted.yaml").read_text(encoding="utf-8"))
SETTINGS = load_settings(DEMO)
NEWEST = SETTINGS.newest_cycle
CYCLES = ["2026-01", "2026-03", "2026-06", "2026-08", "2026-10"]
LAST_MONTH = pd.Timestamp("2026-09-01")
LAST_YEAR = pd.Timestamp("2025-10-01")


@cache
def loaded(cycle: str) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Input tables of a cycle, and everything that sources and checks say about them."""
    as_of = SETTINGS.calendar.as_of(cycle)
    inputs, issues = load_inputs(SETTINGS, DEMO, as_of)
    documents, more = load_documents(SETTINGS, DEMO, as_of)
    return inputs, pd.concat([issues, more, run_checks(inputs, documents, SETTINGS, as_of)], ignore_index=True)


def inputs() -> dict[str, pd.DataFrame]:
    return loaded(NEWEST)[0]


def finished() -> pd.DataFrame:
    return inputs()["item"].query("item_type == 'finished'").set_index("item_id")


def sold(item: str, market: str) -> pd.Series:
    """Ordered quantity of a series by period."""
    return inputs()["sales_history"].query("item_id == @item and market_id == @market").set_index("period")["ordered_qty"]


def last_year_of_sales() -> pd.DataFrame:
    history = inputs()["sales_history"]
    return history[history["period"] >= LAST_YEAR]


def scored_archive() -> pd.DataFrame:
    """Archived plans of months that are over, beside what was ordered."""
    archive, history = inputs()["plan_archive"], inputs()["sales_history"]
    key = ["item_id", "market_id", "period"]
    plans = archive[(archive["stream"] != "production") & (archive["period"] <= history["period"].max())]
    scored = plans.merge(history[[*key, "ordered_qty"]], on=key, how="left", validate="many_to_one")
    scored["ordered_qty"] = scored["ordered_qty"].fillna(0.0)  # no row means that nothing was ordered
    return scored.assign(family=scored["item_id"].map(finished()["family"]), region=scored["market_id"].map(region_of_market()))


def region_of_market() -> pd.Series:
    return inputs()["market"].set_index("market_id")["region"]


def bias(scored: pd.DataFrame) -> float:
    return float((scored["plan_qty"] - scored["ordered_qty"]).sum() / scored["ordered_qty"].sum())


def wape(scored: pd.DataFrame) -> float:
    return float((scored["plan_qty"] - scored["ordered_qty"]).abs().sum() / scored["ordered_qty"].sum())


def lies_in(value: float, bounds: list[float]) -> bool:
    return bounds[0] <= value <= bounds[1]


# ---------------------------------------------------------------- the extract
def test_the_generator_writes_the_committed_files_byte_for_byte(tmp_path):
    subprocess.run([sys.executable, str(DEMO / "generate.py"), str(tmp_path)], check=True, capture_output=True)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in EXTRACT.glob("*.csv")}
    assert written.keys() == committed.keys()
    assert [name for name in written if written[name] != committed[name]] == []


def test_the_extract_stays_small():
    assert sum(path.stat().st_size for path in EXTRACT.glob("*.csv")) < 4_000_000


def test_every_file_is_an_input_table_and_every_query_has_its_file():
    declared = set(tables.names("input"))
    assert {path.stem for path in EXTRACT.glob("*.csv")} <= declared
    assert {path.stem for path in (DEMO / "sql").glob("*.sql")} <= {path.stem for path in EXTRACT.glob("*.csv")}


@pytest.mark.parametrize("cycle", CYCLES)
def test_every_cycle_can_be_planned_from_the_same_extract(cycle):
    frames, issues = loaded(cycle)
    assert issues.query("severity == 'blocks'").empty, issues.query("severity == 'blocks'").to_string()
    needed = ["sales_history", "stock_on_hand", "open_supply", "price", "demand_input", "event", "opportunity", "capacity", "budget"]
    assert all(len(frames[name]) for name in needed)


@pytest.mark.parametrize("cycle", ["2026-01", "2026-06", NEWEST])
def test_a_cycle_knows_nothing_of_its_future(cycle):
    frames, _ = loaded(cycle)
    as_of = SETTINGS.calendar.as_of(cycle)
    last = SETTINGS.calendar.period_of(as_of)
    for name in ["sales_history", "production_history", "stock_history", "ledger"]:
        assert frames[name]["period"].max() == last
    assert frames["stock_on_hand"]["as_of_date"].unique().tolist() == [as_of]
    assert (frames["plan_archive"]["lock_cycle_id"] < cycle).all()
    assert frames["demand_input"]["period"].min() == SETTINGS.calendar.cycle_period(cycle)


def test_late_knowledge_stays_out_of_earlier_cycles():
    # The fire of August, the orders of the late supplier and the deals lost in spring are not known in January.
    january, _ = loaded("2026-01")
    assert not {"EV-101", "EV-016"} & set(january["event"]["event_id"])
    assert set(january["opportunity"]["opportunity_id"]) == {"OP-101"}
    assert january["opportunity"]["stage"].tolist() == ["open"]  # that it was won is known later
    assert january["budget"]["period"].max() == pd.Timestamp("2026-12-01")


# ---------------------------------------------------------------- the company
def test_the_company_has_the_size_it_is_said_to_have():
    frames = inputs()
    assert frames["item"]["item_type"].eq("finished").sum() == 60
    assert frames["item"]["item_type"].isin(["component", "material"]).sum() == 120
    assert finished()["family"].nunique() == 6
    assert frames["location"]["location_type"].value_counts().to_dict() == {"plant": 3, "warehouse": 2}
    assert (len(frames["resource"]), len(frames["market"]), frames["market"]["region"].nunique()) == (12, 10, 4)
    assert frames["sales_history"]["period"].nunique() == 60
    floors = frames["market"].query("min_fill_ratio > 0").set_index("market_id")["min_fill_ratio"]
    assert floors.to_dict() == PLANTED["supply"]["contract_floors"]


def test_the_bill_of_material_is_three_levels_deep():
    bom = inputs()["bill_of_material"]
    parts = bom.groupby("parent_item_id")["component_item_id"].apply(set).to_dict()

    def depth(item: str) -> int:
        return 1 + max(map(depth, parts[item])) if item in parts else 1

    assert {depth(item) for item in finished().index} == {3}


def test_items_differ_in_size_and_variability():
    recent = last_year_of_sales()
    revenue = recent.groupby("item_id")["net_sales_amt"].sum().sort_values(ascending=False)
    share = revenue.cumsum() / revenue.sum()
    assert lies_in((share <= 0.8).mean(), [0.25, 0.55])
    months = recent.groupby(["item_id", "market_id"])["period"].nunique()
    assert (months <= 8).sum() >= 15  # lumpy tails
    assert (months == 12).mean() > 0.7


def test_margins_are_those_of_a_sound_business():
    price = inputs()["price"]
    price = price[price["valid_from"] == pd.Timestamp("2026-01-01")]
    cost = price["item_id"].map(finished()["standard_cost_amt"])
    margin = 1 - cost / price["price_amt"]
    is_planted = price["item_id"].eq("CW-111") & price["market_id"].eq("S-RET")
    assert margin[~is_planted].between(0.25, 0.47).all()
    assert (margin[is_planted] < 0).all()
    history = last_year_of_sales()
    cogs = (history["shipped_qty"] * history["item_id"].map(finished()["standard_cost_amt"])).sum()
    assert lies_in(1 - cogs / history["net_sales_amt"].sum(), [0.30, 0.45])


def test_standard_cost_is_close_to_the_cost_rolled_up():
    frames = inputs()
    cost = frames["item"].set_index("item_id")["standard_cost_amt"].copy()
    bought = frames["supplier_item"].groupby("item_id")["unit_cost_amt"].min()
    cost.update(bought)  # the vent disc has no standard cost
    bom = frames["bill_of_material"]
    bom = bom[bom["valid_to"].isna()].drop_duplicates(["parent_item_id", "component_item_id"])
    parts = bom["component_item_id"].map(cost) * bom["quantity_per"] / (1 - bom["scrap_ratio"])
    plant = frames["production"].groupby("item_id")["location_id"].last()
    routing = frames["routing"][frames["routing"]["location_id"] == frames["routing"]["item_id"].map(plant)]
    rate = routing["resource_id"].map(frames["resource"].set_index("resource_id")["regular_cost_amt_per_hour"])
    hours = (routing["hours_per_unit"] * rate).groupby(routing["item_id"]).sum()
    variable = frames["production"].drop_duplicates("item_id", keep="last").set_index("item_id")["variable_cost_amt"]
    rolled = parts.groupby(bom["parent_item_id"]).sum() + hours + variable
    ratio = (rolled / cost.reindex(rolled.index)).drop("CW-111")  # planted: hours ten times too high
    assert ratio.between(0.94, 1.06).all(), ratio[~ratio.between(0.94, 1.06)]


def test_overtime_costs_half_as_much_again_and_subcontracting_a_quarter_more():
    resource, production = inputs()["resource"], inputs()["production"].dropna(subset=["subcontract_cost_amt"])
    np.testing.assert_allclose(resource["overtime_cost_amt_per_hour"], 1.5 * resource["regular_cost_amt_per_hour"])
    cost = production["item_id"].map(finished()["standard_cost_amt"])
    np.testing.assert_allclose(production["subcontract_cost_amt"], 1.25 * cost, atol=0.01)
    assert len(production) == 8


def test_stock_balances_except_where_a_row_was_lost():
    frames = inputs()
    closing = frames["stock_history"].pivot_table(index="item_id", columns="period", values="closing_qty", aggfunc="sum")
    made = frames["production_history"].pivot_table(index="item_id", columns="period", values="produced_qty", aggfunc="sum")
    shipped = frames["sales_history"].pivot_table(index="item_id", columns="period", values="shipped_qty", aggfunc="sum")
    months = closing.columns[1:]
    flow = [frame.reindex(index=closing.index, columns=months).fillna(0.0) for frame in (made, shipped)]  # no row: nothing moved
    difference = closing.shift(axis=1)[months].fillna(0.0) + flow[0] - flow[1] - closing[months]  # nothing lay there before a launch
    lost = {(item, pd.Timestamp(period)) for item, _, period in PLANTED["history"]["lost_rows"]}
    wrong = difference.stack()
    wrong = wrong[(wrong != 0) & closing[months].stack().reindex(wrong.index).notna()]
    assert set(wrong.index) == lost


def test_the_newest_count_is_the_last_month_of_the_stock_history():
    frames = inputs()
    key = ["item_id", "location_id"]
    history = frames["stock_history"]
    last = history[(history["period"] == LAST_MONTH) & (history["closing_qty"] > 0)].set_index(key)["closing_qty"].sort_index()
    counted = frames["stock_on_hand"].set_index(key)["on_hand_qty"]
    np.testing.assert_array_equal(counted.reindex(last.index), last)


def test_the_ledger_adds_up():
    ledger = inputs()["ledger"].pivot(index="period", columns="account", values="amount_amt")
    assert len(ledger) == 36
    sales = inputs()["sales_history"].groupby("period")["net_sales_amt"].sum()
    np.testing.assert_allclose(ledger["revenue"], sales.reindex(ledger.index), atol=1)
    np.testing.assert_allclose(ledger["gross_margin"], ledger["revenue"] - ledger["cogs"], atol=2)
    costs = ledger[["freight", "overtime", "marketing", "overhead"]].sum(axis=1)
    np.testing.assert_allclose(ledger["operating_result"], ledger["gross_margin"] - costs, atol=3)
    assert (ledger["cash"] > 0).all()


# ---------------------------------------------------------------- what is planted
@pytest.mark.parametrize("defect", PLANTED["defects"], ids=lambda defect: defect["name"].replace(" ", "_"))
def test_the_checks_find_the_planted_defect(defect):
    _, issues = loaded(NEWEST)
    found = issues[(issues["rule"] == defect["rule"]) & (issues["table"] == defect["table"])]
    assert found["severity"].tolist() == [defect["severity"]]
    assert found["count"].tolist() == [defect["count"]]
    assert defect["keys"] in found["keys"].item()


def test_the_checks_find_nothing_that_was_not_planted():
    _, issues = loaded(NEWEST)
    assert set(issues["rule"]) == {defect["rule"] for defect in PLANTED["defects"]}


@pytest.mark.parametrize(("item", "market", "period"), PLANTED["history"]["outliers"])
def test_outliers_stand_out(item, market, period):
    series, period = sold(item, market), pd.Timestamp(period)
    around = series.drop(period).loc[period - pd.DateOffset(months=6) : period + pd.DateOffset(months=6)]
    assert series[period] > 2.0 * around.max()


@pytest.mark.parametrize(("item", "market", "period"), PLANTED["history"]["lost_rows"])
def test_lost_rows_are_missing_from_series_that_sell_every_month(item, market, period):
    series = sold(item, market)
    assert len(series) == 59
    assert pd.Timestamp(period) not in series.index


def test_stockouts_are_flagged_for_most():
    history = inputs()["sales_history"]
    out = {(row.item_id, row.period) for row in history[history["is_stockout"]].itertuples()}
    flagged = {(item, pd.Timestamp(period)) for item, period in PLANTED["history"]["flagged_stockouts"]}
    unflagged = {(item, pd.Timestamp(period)) for item, period in PLANTED["history"]["unflagged_stockouts"]}
    assert flagged <= out
    assert not unflagged & out
    for item, period in unflagged:
        assert history.loc[(history["item_id"] == item) & (history["period"] == period), "ordered_qty"].eq(0).mean() > 0.8


@pytest.mark.parametrize("event_id", PLANTED["history"]["promotions"])
def test_promotions_lift_their_month_and_empty_the_next(event_id):
    family, region, period, uplift = PLANTED["history"]["promotions"][event_id]
    period = pd.Timestamp(period)
    history = inputs()["sales_history"]
    rows = history[history["item_id"].map(finished()["family"]).eq(family)]
    promoted = rows["market_id"].map(region_of_market()).eq(region) if region else pd.Series(True, index=rows.index)
    total = rows[promoted].groupby("period")["ordered_qty"].sum()
    event = inputs()["event"].set_index("event_id").loc[event_id]
    assert (event["uplift_ratio"], event["status"]) == (uplift, "done")
    if region:  # the same months elsewhere say what the season alone does
        season = rows[~promoted].groupby("period")["ordered_qty"].sum()
        lift = (total / season)[period] / (total / season)[total.index.month.isin([1, 2, 3, 7, 8, 9])].mean()
        dip = (total / season)[period + pd.DateOffset(months=1)] / (total / season)[total.index.month.isin([1, 2, 3, 7, 8, 9])].mean()
        assert lies_in(lift, [1 + 0.5 * uplift, 1 + 2.0 * uplift])
        assert dip < 1.0
    else:
        assert total[period] > 1.2 * total[[period - pd.DateOffset(months=1), period + pd.DateOffset(months=1)]].max()


@pytest.mark.parametrize("event_id", PLANTED["history"]["promotions"])
def test_what_promotions_did_is_learned_with_a_range_that_holds_what_was_planted(event_id):
    frames = inputs()
    calendar = SETTINGS.calendar
    last = calendar.add(calendar.cycle_period(NEWEST), -1)
    learned = shaping.learn_event_effects(frames["sales_history"], frames["event"], frames["item"], frames["market"], last, calendar)
    family, region, _, uplift = PLANTED["history"]["promotions"][event_id]
    scope = shaping.scope_name({"family": family, **({"region": region} if region else {})})
    found = learned.set_index(["member", "measure"])
    for measure, planted in (("uplift", uplift), ("pull_forward", {"Gas Grills": 0.08, "Cookware": 0.10}[family])):
        row = found.loc[(scope, measure)]
        assert row["basis"] == "estimated from history"
        assert row["low_ratio"] < planted < row["high_ratio"]
        assert row["low_ratio"] > 0


@cache
def corrections() -> pd.DataFrame:
    frames = inputs()
    as_of = SETTINGS.calendar.as_of(NEWEST)
    masters = frames["item"], frames["market"]
    return demand.history_corrections(frames["sales_history"], frames["event"], SETTINGS, SETTINGS.calendar, as_of, *masters)


@pytest.mark.parametrize(("item", "market", "period"), PLANTED["history"]["outliers"])
def test_the_demand_review_proposes_to_correct_every_outlier(item, market, period):
    found = corrections().query("item_id == @item and market_id == @market and period == @period")
    assert found["kind"].tolist() == ["outlier"]
    assert found["suggested_qty"].item() < 0.5 * found["raw_qty"].item()


@pytest.mark.parametrize(("item", "market", "period"), PLANTED["history"]["lost_rows"])
def test_the_demand_review_proposes_to_fill_every_lost_row(item, market, period):
    found = corrections().query("item_id == @item and market_id == @market and period == @period")
    assert found["kind"].tolist() == ["missing"]
    assert found["suggested_qty"].item() > 0


@pytest.mark.parametrize(("item", "period"), PLANTED["history"]["flagged_stockouts"] + PLANTED["history"]["unflagged_stockouts"])
def test_the_demand_review_proposes_to_correct_every_stockout(item, period):
    found = corrections().query("item_id == @item and period == @period")
    assert "stockout" in set(found["kind"])
    stockouts = found[found["kind"] == "stockout"]
    assert (stockouts["suggested_qty"] > stockouts["raw_qty"]).all()


@pytest.mark.parametrize("event_id", PLANTED["history"]["promotions"])
def test_a_planted_promotion_passes_for_no_outlier(event_id):
    family, _, period, _ = PLANTED["history"]["promotions"][event_id]
    found = corrections().query("period == @period and kind == 'outlier'")
    assert not found["item_id"].map(finished()["family"]).eq(family).any()


def test_the_stages_of_life_are_there():
    item, history = finished(), inputs()["sales_history"]
    first = history.groupby("item_id")["period"].min()
    for launched in PLANTED["life"]["launched"]:
        assert first[launched] == item.loc[launched, "launch_date"]
        assert item.loc[launched, "like_item_id"] in item.index
    for coming in PLANTED["life"]["to_be_launched"]:
        assert coming not in first.index
        assert SETTINGS.calendar.cycle_period(NEWEST) < item.loc[coming, "launch_date"] < pd.Timestamp("2028-03-01")
    for ending, successor in PLANTED["life"]["phasing_out"].items():
        assert item.loc[ending, "phase_out_date"] > SETTINGS.calendar.as_of(NEWEST)
        assert (item.loc[ending, "successor_item_id"] or "") == successor
    for ended, least in PLANTED["life"]["ended_with_stock"].items():
        assert item.loc[ended, "phase_out_date"] < SETTINGS.calendar.as_of(NEWEST)
        assert inputs()["stock_on_hand"].query("item_id == @ended")["on_hand_qty"].sum() > least


@pytest.mark.parametrize("stream", ["sales", "marketing", "statistical"])
def test_each_stream_has_its_bias(stream):
    planted = PLANTED["streams"][f"{stream}_bias"]
    scored = scored_archive().query("stream == @stream")
    assert lies_in(bias(scored[scored["family"] != planted["without"]]), planted["range"])


def test_one_author_sandbags():
    planted = PLANTED["streams"]["sandbagging_region"]
    sales = scored_archive().query("stream == 'sales'")
    by_region = {region: bias(rows) for region, rows in sales.groupby("region")}
    assert lies_in(by_region.pop(planted["region"]), planted["range"])
    assert min(by_region.values()) > 0.05


def test_the_record_finds_every_planted_bias_and_calls_nothing_else_gaming():
    planted = PLANTED["streams"]["gaming"]
    record = demand.stream_record(inputs()["plan_archive"], inputs()["sales_history"], inputs(), SETTINGS.calendar)
    people = record.query("level == 'total' and author != 'all'").set_index("author")
    assert people["flag"].to_dict() == {author: found["flag"] for author, found in planted.items()}
    assert all(lies_in(people.loc[author, "bias_ratio"], found["bias"]) for author, found in planted.items())
    regions = record.query("stream == 'sales' and author == 'all' and level == 'region'").set_index("member")["flag"]
    assert regions.to_dict() == {"North": "over-optimism", "West": "over-optimism", "East": "over-optimism", "South": "sandbagging"}
    assert set(record.query("stream == 'statistical'")["flag"]) == {"none"}
    assert "hockey stick" not in set(record["flag"])  # none is planted


def test_the_process_adds_value_over_last_year_and_sales_does_not_over_statistics():
    scored = scored_archive()
    history = inputs()["sales_history"]
    last_year = history.assign(period=history["period"] + pd.DateOffset(months=12))[["item_id", "market_id", "period", "ordered_qty"]]
    naive = scored.query("stream == 'statistical'").drop(columns="plan_qty").merge(
        last_year.rename(columns={"ordered_qty": "plan_qty"}), on=["item_id", "market_id", "period"], how="left", validate="many_to_one")
    naive["plan_qty"] = naive["plan_qty"].fillna(0.0)  # nothing ordered a year ago
    error = {stream: wape(rows) for stream, rows in scored.groupby("stream")} | {"naive": wape(naive)}
    assert error["statistical"] < error["naive"]
    assert error["consensus"] < error["statistical"] < error["sales"]


def test_the_statistical_plans_use_only_what_was_known():
    # Computed again from the extract cut at the lock: a later month must not change an archived plan.
    archive = inputs()["plan_archive"]
    assert sorted(archive["lock_cycle_id"].unique()) == PLANTED["streams"]["archived_cycles"]
    assert (archive["period"] >= pd.to_datetime(archive["lock_cycle_id"] + "-01")).all()
    sys.path.insert(0, str(DEMO))
    try:
        import planning
    finally:
        sys.path.remove(str(DEMO))
    rng = np.random.default_rng(1)
    ordered, codes = rng.poisson(50, (6, 60)).astype(float), np.array(list(planning.FAMILY))
    changed = ordered.copy()
    changed[:, 40:] *= 3
    np.testing.assert_array_equal(planning.as_of_forecast(ordered, codes, 40, 5), planning.as_of_forecast(changed, codes, 40, 5))


def test_a_rainy_summer_leaves_one_family_below_plan():
    planted = PLANTED["history"]["rain"]
    scored = scored_archive().query("stream == 'consensus'")
    rows = scored[scored["period"].isin(pd.to_datetime(planted["periods"]))]
    over = {family: bias(part) for family, part in rows.groupby("family")}
    assert lies_in(over[planted["family"]], planted["below_plan"])
    assert max(over, key=over.get) == planted["family"]


def test_a_fire_stopped_half_of_a_month():
    planted = PLANTED["history"]["outage"]
    period, family = pd.Timestamp(planted["period"]), finished()["family"]
    archive, made = inputs()["plan_archive"], inputs()["production_history"]
    plan = archive[(archive["stream"] == "production") & (archive["lock_cycle_id"] == f"{period:%Y-%m}") & (archive["period"] == period)]
    made = made[made["period"] == period]
    planned = plan.groupby(plan["item_id"].map(family))["plan_qty"].sum()
    ratio = made.groupby(made["item_id"].map(family))["produced_qty"].sum() / planned
    assert lies_in(ratio[planted["family"]], planted["made_of_plan"])
    assert ratio.idxmin() == planted["family"]


def test_one_supplier_is_late():
    planted = PLANTED["supply"]["late_supplier"]
    supply = inputs()["open_supply"]
    overdue = supply[supply["due_date"] <= SETTINGS.calendar.as_of(NEWEST)]
    assert set(overdue["item_id"]) <= set(planted["items"])
    assert overdue["supplier_id"].unique().tolist() == [planted["supplier"]]


def test_the_budget_asks_for_far_more_than_last_year():
    planted = PLANTED["budget"]
    budget = inputs()["budget"]
    asked = budget[budget["period"].dt.year == planted["year"]]["revenue_amt"].sum()
    last_year = last_year_of_sales()["net_sales_amt"].sum()
    assert lies_in(asked / last_year - 1, planted["above_last_year"])


def test_the_pipeline_holds_one_deal_that_the_run_rate_already_has():
    opportunity = inputs()["opportunity"]
    assert opportunity["is_in_run_rate"].sum() == 1
    assert opportunity["close_period"].min() >= SETTINGS.calendar.cycle_period(NEWEST)


def test_every_lever_of_every_scenario_changes_something():
    scenarios = load_scenarios(DEMO / "scenarios")
    assert len(scenarios) == 5
    months = SETTINGS.calendar.horizon(NEWEST, SETTINGS.horizon)
    sold_pairs = inputs()["price"][["item_id", "market_id"]].drop_duplicates()
    demand = sold_pairs.merge(pd.DataFrame({"period": months}), how="cross").assign(
        demand_qty=100.0, low_qty=80.0, high_qty=120.0, price_amt=50.0, revenue_amt=5000.0)
    frames = {**inputs(), "consensus_demand": demand}
    for scenario in scenarios:
        for lever in scenario.levers:
            changed = apply_levers(frames, (lever,), SETTINGS.calendar)
            assert not changed[lever.table].equals(frames[lever.table]), f"{scenario.scenario_id}: {lever}"
