"""The statement by family and region: every line is attributed whole, the past sums to the ledger."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_company import PERIODS, SETTINGS, demand, inputs, rows, target

from sop_workbench import finance, statement, tables, views
from sop_workbench.supply import plan_supply

CENT = 0.005
CALENDAR = SETTINGS.calendar
LINES = {"revenue_amt": "revenue_amt", "cogs_amt": "cogs_amt", "gross_margin_amt": "gross_margin_amt", "overhead_amt": "overhead_amt",
         "ebit_amt": "operating_result_amt", "inventory_amt": "inventory_amt"}


def project(plan, tables_) -> pd.DataFrame:
    return finance.project_financials(plan.supply_plan, plan.resource_plan, plan.shipment_plan, plan.purchase_plan, plan.unmet_demand,
                                      plan.inventory_projection, tables_, SETTINGS, CALENDAR)


def assert_sums_to_the_company(found: pd.DataFrame, projection: pd.DataFrame, given_: dict) -> None:
    by_period = found.groupby("period").sum(numeric_only=True)
    income = finance.income_statement(projection, CALENDAR, given_["ledger"]).query("source == 'plan'").set_index("period")
    for line, whole in LINES.items():
        np.testing.assert_allclose(by_period[line], income[whole], atol=CENT, err_msg=line)
    cash = finance.cash_projection(projection, given_, SETTINGS, CALENDAR).set_index("period")
    for line in ("receivable_amt", "payable_amt", "operating_cash_amt"):
        np.testing.assert_allclose(by_period[line], cash[line], atol=CENT, err_msg=line)
    for line in ("overtime_cost_amt", "freight_cost_amt", "holding_cost_amt"):
        np.testing.assert_allclose(by_period[line], projection.groupby("period")[line].sum(), atol=CENT, err_msg=line)


@pytest.fixture(scope="module")
def plan():
    return plan_supply(inputs(), demand(), target(), SETTINGS, PERIODS, CALENDAR)


@pytest.fixture(scope="module")
def made(plan) -> pd.DataFrame:
    return statement.financial_statement(project(plan, inputs()), plan.unmet_demand, inputs(), SETTINGS, CALENDAR)


def test_families_and_regions_sum_to_the_company(plan, made):
    assert_sums_to_the_company(made, project(plan, inputs()), inputs())
    assert set(made["family"]) == {"Bikes", "Trailers", "materials"}
    assert set(made["region"]) == {"North", "South"}, "nothing is left without a region"
    parts = made[made["family"] == "materials"]
    assert parts["revenue_amt"].eq(0).all()
    assert parts["operating_cash_amt"].abs().max() == 0, "paid parts are attributed to what is sold"
    assert parts["inventory_amt"].sum() > 0


def test_a_familys_own_costs_go_to_the_regions_it_is_sold_in(plan, made):
    projection = project(plan, inputs())
    month = PERIODS[1]
    sold = projection[(projection["period"] == month) & (projection["family"] == "Bikes") & (projection["region"] != "all")]
    held = projection.query("period == @month and family == 'Bikes' and region == 'all'")["holding_cost_amt"].sum()
    mine = made[(made["period"] == month) & (made["family"] == "Bikes")].set_index("region")
    expected = held * sold.set_index("region")["cogs_amt"] / sold["cogs_amt"].sum()
    assert mine["holding_cost_amt"].to_dict() == pytest.approx(expected.to_dict())


def test_actual_cost_stands_beside_standard_and_is_empty_where_none_is_booked(plan, made):
    assert made["actual_cogs_amt"].isna().all()
    booked = rows("unit_cost_history", {"item_id": "B1", "period": PERIODS[0] - pd.DateOffset(months=1), "actual_cost_amt": 66})
    found = statement.financial_statement(project(plan, inputs()), plan.unmet_demand, inputs(unit_cost_history=booked), SETTINGS, CALENDAR)
    sums = found.groupby("family")[["cogs_amt", "actual_cogs_amt"]].sum()
    assert sums.loc["Bikes", "actual_cogs_amt"] == pytest.approx(sums.loc["Bikes", "cogs_amt"] * 66 / 60)
    assert sums.loc["Trailers", "actual_cogs_amt"] == pytest.approx(sums.loc["Trailers", "cogs_amt"])


MONEY = st.integers(0, 10**8).map(lambda cents: cents / 100)
_AMOUNTS = [c for c in tables.table("financial_projection").columns if c.endswith("_amt")]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["Bikes", "Trailers", "materials", "not attributed"]), st.sampled_from(["North", "South", "all"]),
                          st.integers(0, 3), *[MONEY] * 8), min_size=1, max_size=10), MONEY, MONEY)
def test_parts_sum_to_the_whole_whatever_the_plan(cells, receivables, cash):
    names = ["revenue_amt", "cogs_amt", "purchase_cost_amt", "freight_cost_amt", "overtime_cost_amt", "holding_cost_amt", "labour_cost_amt",
             "inventory_amt"]
    drawn = pd.DataFrame([dict(zip(["family", "region", "n", *names], cell, strict=True)) for cell in cells])
    is_sale = ~drawn["family"].isin(["materials", "not attributed"]) & (drawn["region"] != "all")
    drawn[["revenue_amt", "cogs_amt"]] = drawn[["revenue_amt", "cogs_amt"]].where(is_sale, 0.0)
    is_own = (drawn["region"] == "all") | is_sale
    drawn = drawn[is_own].assign(period=PERIODS[0])
    if drawn.empty:
        return
    drawn["period"] = [PERIODS[n] for n in drawn["n"]]
    first = pd.DataFrame({"family": "Bikes", "region": "all", "period": PERIODS})
    projection = pd.concat([drawn.drop(columns="n"), first]).reindex(columns=["family", "region", "period", *_AMOUNTS]).fillna(0.0)
    projection = projection.groupby(["family", "region", "period"], as_index=False).sum()
    projection["gross_margin_amt"] = projection["revenue_amt"] - projection["cogs_amt"]
    projection["profit_amt"] = projection["revenue_amt"] - projection[list(finance.COSTS)].sum(axis=1)
    ledger = rows("ledger", *({"account": account, "period": PERIODS[0] - pd.DateOffset(months=1), "amount_amt": amount}
                              for account, amount in (("receivables", receivables), ("cash", cash), ("overhead", 5000.0))))
    given_ = inputs(ledger=ledger)
    none = tables.table("unmet_demand").empty()
    found = statement.financial_statement(projection, none, given_, SETTINGS, CALENDAR)
    by_period = found.groupby("period").sum(numeric_only=True).reindex(PERIODS).fillna(0.0)
    income = finance.income_statement(projection, CALENDAR, ledger).query("source == 'plan'").set_index("period")
    for line, whole in LINES.items():
        np.testing.assert_allclose(by_period[line], income[whole], atol=CENT, err_msg=line)
    money = finance.cash_projection(projection, given_, SETTINGS, CALENDAR).set_index("period")
    np.testing.assert_allclose(by_period["operating_cash_amt"], money["operating_cash_amt"], atol=CENT)
    np.testing.assert_allclose(by_period["receivable_amt"], money["receivable_amt"], atol=CENT)


def test_the_past_sums_to_the_ledger_and_says_what_it_cannot_attribute():
    month = PERIODS[0] - pd.DateOffset(months=1)
    sold = {"period": month, "ordered_qty": 10, "shipped_qty": 9, "net_sales_amt": 900}
    sales = rows("sales_history", *({"item_id": i, "market_id": m, **sold} for i in ("B1", "T1") for m in ("N", "S")))
    booked = {"revenue": 3500.0, "cogs": 1700.0, "operating_result": 400.0, "overtime": 90.0, "inventory": 5000.0, "marketing": 80.0}
    ledger = rows("ledger", *({"account": a, "period": month, "amount_amt": v} for a, v in booked.items()))
    found = statement.past_statement(inputs(sales_history=sales, ledger=ledger), PERIODS[0], CALENDAR)
    lines = ["revenue_amt", "cogs_amt", "gross_margin_amt", "ebit_amt", "overtime_cost_amt", "inventory_amt", "overhead_amt"]
    assert found[lines].sum().tolist() == pytest.approx([3500, 1700, 1800, 400, 90, 5000, 80])
    rest = found[found["family"] == "not attributed"].iloc[0]
    assert (rest["revenue_amt"], rest["cogs_amt"]) == (pytest.approx(-100), pytest.approx(1700 - 9 * 2 * (60 + 40)))
    assert found["receivable_amt"].isna().all(), "not booked is not zero"
    without = statement.past_statement(inputs(sales_history=sales), PERIODS[0], CALENDAR)
    assert without["ebit_amt"].isna().all()


def test_the_statement_on_the_screen_adds_up(made):
    for by in ("family", "region"):
        shown = views.statement_by(made, by).set_index(by)
        assert shown.drop(index="Total")["ebit"].sum() * 1000 == pytest.approx(shown.loc["Total", "ebit"] * 1000, abs=CENT)
        assert shown.loc["Total", "revenue"] * 1000 == pytest.approx(made["revenue_amt"].sum(), abs=CENT)
        low = made.groupby("period")["operating_cash_amt"].sum().cumsum()
        assert shown.loc["Total", "lowest_cash"] * 1000 == pytest.approx(min(low.min(), 0.0), abs=CENT)
    whole, bikes = views.statement(made), views.statement(made, family="Bikes")
    revenue = whole.set_index("line").loc["Revenue", "Total"]
    assert revenue == pytest.approx(made["revenue_amt"].sum() / 1000)
    assert bikes.set_index("line").loc["Revenue", "Total"] < revenue
