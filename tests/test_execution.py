"""Plan against actual: absent is not zero, identities hold, causes sum, alerts speak."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_company import rows

from sop_workbench import execution, kpi, tables
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

CALENDAR = Calendar("month")
SETTINGS = Settings(company="Small")
MONTHS = pd.date_range("2026-04-01", periods=6, freq="MS")
AS_OF = pd.Timestamp("2026-09-30")
ITEM = rows(
    "item",
    *(
        {"item_id": i, "item_name": i, "item_type": "finished", "family": f, "standard_cost_amt": 10}
        for i, f in (("A", "Bikes"), ("B", "Bikes"), ("C", "Trailers"))
    ),
)


def archive(*records: tuple) -> pd.DataFrame:
    return rows(
        "plan_archive",
        *(dict(zip(["lock_cycle_id", "stream", "item_id", "market_id", "period", "plan_qty"], r, strict=True)) for r in records),
    )


def sales(*records: tuple) -> pd.DataFrame:
    return rows(
        "sales_history",
        *(
            {"item_id": i, "market_id": m, "period": p, "ordered_qty": q, "shipped_qty": q, "on_time_qty": 0.9 * q, "net_sales_amt": 20 * q}
            for i, m, p, q in records
        ),
    )


def company(**changes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    names = ("sales_history", "production_history", "stock_history", "stock_on_hand", "price", "ledger")
    return {"item": ITEM, **{name: tables.table(name).empty() for name in names}, **changes}


def full_archive() -> pd.DataFrame:
    """Six locked cycles, each planning six months: 100 of A, 50 of B and 30 of C, whole and made."""
    level = {"A": 100.0, "B": 50.0, "C": 30.0}
    records = [
        (CALENDAR.cycle_id(lock), stream, item, "P1" if stream == "production" else "N", CALENDAR.add(lock, lag), quantity + lag)
        for lock in MONTHS
        for lag in range(6)
        for item, quantity in level.items()
        for stream in ("consensus", "constrained", "production")
    ]
    return archive(*records)


def full_company() -> dict[str, pd.DataFrame]:
    made = rows(
        "production_history",
        *(
            {"item_id": i, "location_id": "P1", "period": p, "produced_qty": q}
            for p in MONTHS
            for i, q in (("A", 90), ("B", 60), ("C", 30))
        ),
    )
    stock = rows(
        "stock_history",
        *(
            {"item_id": i, "location_id": "W1", "period": p, "closing_qty": 200 - 5 * n}
            for n, p in enumerate([CALENDAR.add(MONTHS[0], -1), *MONTHS])
            for i in "AB"
        ),
    )
    sold = sales(*((i, "N", p, q) for p in MONTHS for i, q in (("A", 80.0), ("B", 55.0), ("C", 15.0))))
    price = rows(
        "price",
        *({"item_id": i, "market_id": "N", "valid_from": "2026-01-01", "price_amt": p} for i, p in (("A", 20), ("B", 40), ("C", 50))),
    )
    return company(sales_history=sold, production_history=made, stock_history=stock, price=price)


@pytest.fixture(scope="module")
def deviation() -> pd.DataFrame:
    return execution.plan_deviation(full_archive(), full_company(), AS_OF, CALENDAR)


# ------------------------------------------------------------------ deviation
def test_lag_counts_from_the_first_period_of_the_cycle():
    found = execution.plan_deviation(
        archive(("2026-08", "consensus", "A", "N", "2026-08-01", 10), ("2026-07", "consensus", "A", "N", "2026-08-01", 9)),
        company(sales_history=sales(("A", "N", MONTHS[4], 12.0))),
        AS_OF,
        CALENDAR,
    )
    assert found.set_index("plan_cycle_id")["lag"].to_dict() == {"2026-07": 1, "2026-08": 0}
    assert found.set_index("plan_cycle_id")["deviation_qty"].to_dict() == {"2026-07": 3, "2026-08": 2}
    assert found["family"].unique().tolist() == ["Bikes"]


def test_only_periods_that_are_over_are_scored():
    plan = archive(("2026-09", "consensus", "A", "N", "2026-09-01", 10), ("2026-09", "consensus", "A", "N", "2026-10-01", 10))
    history = company(sales_history=sales(("A", "N", MONTHS[5], 12.0), ("A", "N", "2026-10-01", 99.0)))
    assert execution.plan_deviation(plan, history, AS_OF, CALENDAR)["period"].tolist() == [MONTHS[5]]
    a_day_earlier = execution.plan_deviation(plan, history, AS_OF - pd.Timedelta(days=1), CALENDAR)
    assert a_day_earlier.empty, "a period that lacks its last day is not over"


def test_no_order_in_a_closed_period_is_nothing_sold_but_a_period_without_history_is_not_scored():
    plan = archive(("2026-07", "consensus", "A", "N", "2026-07-01", 10), ("2026-07", "consensus", "A", "N", "2026-08-01", 10))
    found = execution.plan_deviation(plan, company(sales_history=sales(("B", "N", MONTHS[3], 5.0))), AS_OF, CALENDAR)
    assert found.set_index("item_id")[["plan_qty", "actual_qty"]].to_dict("index") == {
        "A": {"plan_qty": 10, "actual_qty": 0},
        "B": {"plan_qty": 0, "actual_qty": 5},
    }
    assert found["period"].unique().tolist() == [MONTHS[3]]


def test_a_stream_that_speaks_for_some_items_is_scored_where_it_spoke():
    plan = archive(("2026-07", "sales", "A", "N", "2026-07-01", 10))
    found = execution.plan_deviation(
        plan, company(sales_history=sales(("A", "N", MONTHS[3], 8.0), ("B", "N", MONTHS[3], 5.0))), AS_OF, CALENDAR
    )
    assert found["item_id"].tolist() == ["A"]


def test_each_stream_has_its_own_actual():
    plan = archive(
        *(
            ("2026-07", stream, "A", "P1" if stream == "production" else "N", "2026-07-01", 10)
            for stream in ("consensus", "constrained", "production")
        )
    )
    history = sales(("A", "N", MONTHS[3], 12.0)).assign(shipped_qty=11.0)
    made = rows("production_history", {"item_id": "A", "location_id": "P1", "period": MONTHS[3], "produced_qty": 9})
    found = execution.plan_deviation(plan, company(sales_history=history, production_history=made), AS_OF, CALENDAR)
    assert found.set_index("stream")["actual_qty"].to_dict() == {"consensus": 12, "constrained": 11, "production": 9}


def test_without_plans_there_is_no_deviation():
    empty = tables.table("plan_archive").empty()
    none = execution.plan_deviation(empty, company(), AS_OF, CALENDAR)
    assert none.empty
    assert execution.error_by_lag(none).empty
    assert execution.root_cause(none, company()["price"]).empty
    assert execution.alerts(none, {}, SETTINGS, CALENDAR).empty
    assert execution.family_grid(none, empty, company(), CALENDAR).empty
    assert execution.waterfall(empty, company()["sales_history"]).empty


def test_error_by_lag_divides_sums(deviation):
    table = execution.error_by_lag(deviation)
    consensus = table[(table["stream"] == "consensus") & (table["level"] == "item_id × market_id")].set_index("lag")
    assert consensus.loc[0, "wape_ratio"] == pytest.approx((20 + 5 + 15) / 150)
    assert consensus.loc[2, "bias_ratio"] == pytest.approx((22 - 3 + 17) / 150)
    assert consensus.loc[5, "actual_qty"] == 150, "only one month was planned five months ahead and is over"


def test_error_is_told_at_every_level_and_never_grows_on_the_way_up(deviation):
    market = pd.DataFrame({"market_id": deviation["market_id"].unique(), "region": "North"})
    regions = execution.error_by_lag(deviation, market).query("level == 'region'")
    total = execution.error_by_lag(deviation, market).query("level == 'total'")
    assert regions["wape_ratio"].tolist() == pytest.approx(total["wape_ratio"].tolist()), "one region is the total"
    table = execution.error_by_lag(deviation).pivot(index=["stream", "lag"], columns="level", values=["wape_ratio", "bias_ratio"])
    levels = ["item_id × market_id", "item_id", "family", "total"]
    wape = table["wape_ratio"][levels].to_numpy()
    assert (np.diff(wape, axis=1) <= 1e-12).all()
    bias = table.loc[("consensus", 0), "bias_ratio"]
    assert bias.nunique() == 1, "adding up first changes the error, never the bias"
    by_hand = deviation[(deviation["stream"] == "consensus") & (deviation["lag"] == 0)].groupby("period")[["plan_qty", "actual_qty"]].sum()
    off = (by_hand["plan_qty"] - by_hand["actual_qty"]).abs().sum()
    assert table.loc[("consensus", 0), ("wape_ratio", "total")] == pytest.approx(off / by_hand["actual_qty"].sum())


def test_every_cell_of_the_waterfall_is_the_archived_plan():
    plans = full_archive()
    table = execution.waterfall(plans, full_company()["sales_history"])
    cells = table[table["plan_cycle_id"] != execution.ACTUAL]
    expected = plans[plans["stream"] != "production"].groupby(["stream", "lock_cycle_id", "period"])["plan_qty"].sum()
    found = cells.set_index(["stream", "plan_cycle_id", "period"])["plan_qty"]
    assert np.allclose(found.sort_index().to_numpy(), expected.sort_index().to_numpy())
    actual = table[(table["plan_cycle_id"] == execution.ACTUAL) & (table["stream"] == "consensus")]
    assert actual.set_index("period")["plan_qty"].to_dict() == dict.fromkeys(MONTHS, 150.0)


# ------------------------------------------------------------------ family grid
def test_stock_deviation_is_cumulative_production_less_cumulative_sales(deviation):
    grid = execution.family_grid(deviation, full_archive(), full_company(), CALENDAR)
    past = grid.dropna(subset=["sales_actual_qty"])
    assert past["period"].nunique() == 3
    explained = past["production_cumulative_qty"] - past["sales_cumulative_qty"] + past["unexplained_qty"]
    assert np.allclose(explained, past["inventory_difference_qty"])
    bikes = grid[grid["family"] == "Bikes"].set_index("period")
    assert bikes["plan_cycle_id"].unique().tolist() == ["2026-07"]
    assert bikes.loc["2026-07-01", ["sales_plan_qty", "sales_actual_qty", "production_actual_qty"]].tolist() == [150, 135, 150]
    assert bikes.loc["2026-07-01", "inventory_actual_qty"] == 360, "counted stock, not derived"
    assert bikes.loc["2026-07-01", "unexplained_qty"] == 360 - (370 + 150 - 135)
    future = bikes.loc["2026-10-01":]
    assert future["inventory_plan_qty"].notna().all()
    assert future["inventory_actual_qty"].isna().all()


def test_without_stock_counts_nothing_is_unexplained(deviation):
    today = rows("stock_on_hand", {"item_id": "A", "location_id": "W1", "on_hand_qty": 300, "as_of_date": AS_OF})
    uncounted = {**full_company(), "stock_history": tables.table("stock_history").empty(), "stock_on_hand": today}
    grid = execution.family_grid(deviation, full_archive(), uncounted, CALENDAR, plan_cycle_id="2026-05")
    past = grid.dropna(subset=["sales_actual_qty"])
    assert past["period"].nunique() == 5
    assert (past["unexplained_qty"].abs() < 1e-9).all()
    assert past.set_index(["family", "period"]).loc[("Bikes", MONTHS[-1]), "inventory_actual_qty"] == 300, "actuals lead to today's stock"
    assert np.allclose(past["inventory_difference_qty"], past["production_cumulative_qty"] - past["sales_cumulative_qty"])


# ------------------------------------------------------------------ causes
def test_causes_sum_to_the_deviation(deviation):
    causes = execution.root_cause(deviation, full_company()["price"])
    total = -20 * 20 + 5 * 40 - 15 * 50
    assert causes.groupby("level")["deviation_amt"].sum().to_dict() == pytest.approx({"total": total, "family": total, "item_id": total})
    assert causes[causes["level"] == "item_id"]["member"].tolist() == ["C", "A", "other items"]
    assert causes.groupby("level")["share_ratio"].sum().tolist() == pytest.approx([1, 1, 1])


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text("ABCDEFGH", min_size=1, max_size=2), st.floats(-1000, 1000), min_size=1, max_size=12), st.floats(0, 1))
def test_causes_always_sum(amounts, explained):
    rows_of_plan = pd.DataFrame([{"item_id": i, "market_id": "N", "family": i[0], "deviation_qty": q} for i, q in amounts.items()])
    rows_of_plan = rows_of_plan.assign(stream="consensus", period=MONTHS[5], lag=0)
    price = pd.DataFrame([{"item_id": i, "market_id": "N", "valid_from": MONTHS[0], "price_amt": 2.0} for i in amounts])
    causes = execution.root_cause(rows_of_plan, price, explained)
    assert causes.groupby("level")["deviation_amt"].sum().tolist() == pytest.approx([2 * sum(amounts.values())] * 3, abs=1e-6)
    named = causes[(causes["level"] == "item_id") & (causes["member"] != "other items")]["deviation_amt"].abs().sum()
    assert named >= explained * 2 * sum(abs(q) for q in amounts.values()) - 1e-6


def test_a_market_without_price_takes_the_items_mean_price():
    plan = archive(
        ("2026-09", "consensus", "A", "N", "2026-09-01", 10),
        ("2026-09", "consensus", "A", "X", "2026-09-01", 10),
        ("2026-09", "consensus", "B", "X", "2026-09-01", 10),
    )
    found = execution.plan_deviation(plan, company(sales_history=sales(("C", "N", MONTHS[5], 0.0))), AS_OF, CALENDAR)
    price = rows(
        "price",
        {"item_id": "A", "market_id": "N", "valid_from": "2026-01-01", "price_amt": 20},
        {"item_id": "A", "market_id": "S", "valid_from": "2026-01-01", "price_amt": 40},
        {"item_id": "A", "market_id": "N", "valid_from": "2027-01-01", "price_amt": 99},
    )
    causes = execution.root_cause(found, price)
    assert causes.set_index("level").loc["total", "deviation_amt"] == -10 * 20 - 10 * 30, "B has no price and is not valued"


# ------------------------------------------------------------------ alerts
def test_a_family_off_plan_twice_asks_for_a_change_request(deviation):
    found = execution.alerts(deviation, {}, SETTINGS, CALENDAR).set_index(["alert", "member"])
    sentence = found.loc[("sales off plan", "Trailers"), "sentence"]
    assert sentence.startswith("Trailers sold 50% below plan in 2026-09 (15 against 30 units)")
    assert "change request" in sentence
    assert found.loc[("biased plan", "Trailers"), "value"] == pytest.approx(1.0)
    assert ("sales off plan", "Bikes") not in found.index, "inside tolerance nobody is alarmed"


def test_alerts_look_ahead():
    october, november, december = pd.date_range("2026-10-01", periods=3, freq="MS")
    hours = pd.DataFrame(
        {
            "resource_id": ["L1", "L1", "L2"],
            "period": [october, november, october],
            "used_hours": [96.0, 110.0, 50.0],
            "regular_hours": [100.0, 100.0, 100.0],
            "overtime_used_hours": [0.0, 10.0, 0.0],
        }
    )
    stock = pd.DataFrame(
        {
            "item_id": ["A", "A", "A", "B", "C"],
            "location_id": "W1",
            "period": [october, november, december, october, december],
            "closing_qty": [3.0, 0.0, 0.0, 0.0, 0.0],
            "safety_stock_qty": [5.0, 5.0, 5.0, np.nan, 5.0],
        }
    )
    unmet = pd.DataFrame(
        {
            "item_id": "A",
            "market_id": ["N", "N", "S"],
            "period": [october, november, october],
            "demand_qty": 100.0,
            "served_qty": [90.0, 70.0, 99.0],
            "lost_revenue_amt": [200.0, 600.0, 20.0],
        }
    )
    none = tables.table("plan_deviation").empty()
    found = execution.alerts(none, {"resource_plan": hours, "inventory_projection": stock, "unmet_demand": unmet}, SETTINGS, CALENDAR)
    assert found[["alert", "member"]].to_records(index=False).tolist() == [
        ("resource full", "L1"),
        ("service below target", "N"),
        ("stock runs out", "A"),
    ]
    assert found.set_index("alert")["period"].tolist() == [november] * 3, "C runs empty only where the horizon ends"
    assert (
        found["sentence"].iloc[1]
        == "N is served 80.0% of its demand over the horizon (target 95%); 800 of revenue is lost, most in 2026-11."
    )


# ------------------------------------------------------------------ KPIs
def test_kpis_of_the_past_month(deviation):
    found = execution.past_kpis(deviation, full_company(), SETTINGS, MONTHS[5], CALENDAR).set_index(["kpi", "level", "member"])["value"]
    assert found["wape", "total", "all"] == pytest.approx(40 / 150)
    assert found["wape", "family", "Trailers"] == pytest.approx(1.0)
    assert found["wape", "lag", "0"] == pytest.approx(40 / 150)
    assert found["fill_rate", "total", "all"] == pytest.approx(0.9)
    assert found["production_adherence", "total", "all"] == pytest.approx((90 + 50 + 30) / 180), "B was over-built, that does not help"
    assert found["gross_margin", "total", "all"] == pytest.approx(0.5)
    assert found["inventory_turns", "total", "all"] == pytest.approx(12 * 1500 / (10 * 2 * np.mean([200, 195, 190, 185, 180, 175, 170])))
    assert found["tracking_signal", "total", "all"] == pytest.approx(6)


def test_stability_is_what_moved_inside_the_fence_since_the_plan_locked_last():
    """Fence of three months from October; September's plan counts, not August's, and only in months that it plans too."""
    made, asked = ("production", "A", "P1"), ("consensus", "A", "N")
    before = archive(("2026-08", *made, "2026-10-01", 999), ("2026-09", *made, "2026-10-01", 100), ("2026-09", *made, "2026-11-01", 50),
                     ("2026-09", *asked, "2026-10-01", 40))
    now = archive(("2026-10", *made, "2026-10-01", 90), ("2026-10", *made, "2026-11-01", 70), ("2026-10", *made, "2026-12-01", 30),
                  ("2026-10", *made, "2027-01-01", 500), ("2026-10", "production", "B", "P1", "2026-10-01", 40),
                  ("2026-10", *asked, "2026-10-01", 50))
    october = pd.Timestamp("2026-10-01")
    found = execution.stability_measures(now, before, ITEM, SETTINGS, october, CALENDAR).set_index(["level", "member"])
    assert found["value"].to_dict() == {("total", "all"): (10 + 20 + 40) / 200, ("stream", "production"): 0.35,
                                        ("stream", "consensus"): 10 / 50}
    assert found.loc[("total", "all"), "note"] == "production of 2 periods inside the fence against the plan of 2026-09"
    judged = kpi.kpi_table(found.reset_index(), SETTINGS)
    assert judged["status"].unique().tolist() == ["red"]
    calm = execution.stability_measures(before, before, ITEM, SETTINGS, pd.Timestamp("2026-09-01"), CALENDAR)
    assert calm.set_index("member").loc["consensus", "value"] == 0


def test_parts_that_the_last_plan_left_out_do_not_count_as_moved():
    item = pd.DataFrame({"item_id": ["A", "B", "C"], "item_type": ["finished", "finished", "component"]})
    before = archive(("2026-09", "production", "A", "P1", "2026-10-01", 100))
    now = archive(("2026-10", "production", "A", "P1", "2026-10-01", 90), ("2026-10", "production", "B", "P1", "2026-10-01", 10),
                  ("2026-10", "production", "C", "P1", "2026-10-01", 900))
    found = execution.stability_measures(now, before, item, SETTINGS, pd.Timestamp("2026-10-01"), CALENDAR)
    assert found["value"].iloc[0] == pytest.approx((10 + 10) / 100), "a new item of a planned kind has moved; parts were not planned"


def test_stability_without_a_plan_before_or_without_a_fence_says_why():
    now = archive(("2026-10", "production", "A", "P1", "2026-10-01", 90))
    october = pd.Timestamp("2026-10-01")
    unfenced = Settings(company="Any", supply={"plan_fence_buckets": 0})
    for given_settings, words in ((SETTINGS, "no locked plan of the periods"), (unfenced, "no fence")):
        found = execution.stability_measures(now, now.iloc[:0], ITEM, given_settings, october, CALENDAR)
        assert found["value"].isna().all()
        assert words in kpi.kpi_table(found, given_settings)["reason"].iloc[0]


def test_kpis_that_cannot_be_measured_say_why():
    none = tables.table("plan_deviation").empty()
    table = execution.past_kpis(none, company(), SETTINGS, MONTHS[5], CALENDAR).set_index(["kpi", "level"])
    assert table["value"].isna().all()
    assert (table["status"] == "none").all()
    assert table.loc[("wape", "total"), "reason"] == "not defined: no actual demand; no locked plan for the period"


def test_quantities_whose_shipping_is_not_known_count_as_ordered():
    plan = archive(("2026-07", "constrained", "A", "N", "2026-07-01", 10))
    history = sales(("A", "N", MONTHS[3], 12.0)).assign(shipped_qty=np.nan)
    found = execution.plan_deviation(plan, company(sales_history=history), AS_OF, CALENDAR)
    assert found["actual_qty"].tolist() == [12]


def test_a_tiny_family_alarms_nobody():
    plan = archive(("2026-09", "consensus", "A", "N", "2026-09-01", 1000), ("2026-09", "consensus", "C", "N", "2026-09-01", 1))
    history = company(sales_history=sales(("A", "N", MONTHS[5], 990.0), ("C", "N", MONTHS[5], 3.0)))
    deviation = execution.plan_deviation(plan, history, AS_OF, CALENDAR)
    assert execution.alerts(deviation, {}, SETTINGS, CALENDAR).empty


def test_production_is_scored_for_the_kinds_of_items_history_records():
    item = pd.concat([ITEM, rows("item", {"item_id": "F", "item_name": "Frame", "item_type": "component"})], ignore_index=True)
    plan = archive(*(("2026-09", "production", i, "P1", "2026-09-01", 10) for i in ("A", "B", "F")))
    made = rows("production_history", {"item_id": "A", "location_id": "P1", "period": MONTHS[5], "produced_qty": 9})
    found = execution.plan_deviation(plan, {**company(production_history=made), "item": item}, AS_OF, CALENDAR)
    assert found.set_index("item_id")["actual_qty"].to_dict() == {"A": 9, "B": 0}, "frames are not recorded; B was planned and not made"
