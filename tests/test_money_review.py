"""The financial review and the KPIs over two consecutive cycles of the small company."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from small_company import PERIODS, demand, inputs, rows, target

from sop_workbench import product, reviews, tables
from sop_workbench.store import Cycle, open_workspace
from sop_workbench.supply import plan_supply

SETTINGS = """\
company: Small
horizon: 4
finance: {receivable_days: 45, payable_days: 30, opening_cash_amt: 1000.0}
risk: {samples: 0}
kpi_targets: {inventory_turns: 500, gross_margin: 0.2}
steps:
  04_financial_review: {owner: Finance, due_working_day: 14}
"""


def planned(folder: Path, quantity: float) -> Cycle:
    """Cycle 2027-01 (or the one after it once that is locked) with its supply plan, as the supply review leaves it."""
    workspace = open_workspace(folder)
    cycle = workspace.cycle("2027-02" if workspace.store.locked_cycles() else "2027-01")
    read = inputs(budget=rows("budget", *({"family": f, "region": "all", "period": p, "revenue_amt": 20_000, "margin_amt": 9_000}
                                          for f in ("Bikes", "Trailers") for p in PERIODS)))
    agreed, aim = demand(quantity), target()
    plan = plan_supply(read, agreed, aim, cycle.settings, PERIODS, cycle.calendar)
    run_rate = product.seasonal_run_rate(read["sales_history"], read["item"], cycle.periods, cycle.calendar)
    classes = tables.table("item_class").empty()
    excess = product.excess_stock(read["item"], read["stock_on_hand"], run_rate, classes, cycle.settings, cycle.calendar)
    empty = {name: tables.table(name).empty() for name in ("launch_forecast", "demand_stream")}
    cycle.write_all({**read, **plan.tables, **empty, "consensus_demand": agreed, "inventory_target": aim, "item_class": classes,
                     "excess_stock": excess})
    return cycle


@pytest.fixture(scope="module")
def two_cycles(tmp_path_factory) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], Cycle]:
    folder = tmp_path_factory.mktemp("company")
    (folder / "sop.yaml").write_text(SETTINGS, encoding="utf-8")
    first = planned(folder, 45.0)
    before = reviews.financial_review(first)
    first.append("step_status", {"step": "04_financial_review", "status": "done"}, by="Finance", why="ran to its end")
    first.append("decision", {"question": "Second shift?", "options": "yes; no", "choice": "yes"}, by="GM", why="gap")
    done = {"title": "Second shift? hire the crew", "owner": "HR", "due_date": "2099-02-01", "status": "done"}
    first.append("action", done, by="HR", why="hired")
    first.lock(by="GM", why="approved")
    second = planned(folder, 50.0)
    return before, reviews.financial_review(second), second


def test_the_first_cycle_has_no_last_estimate(two_cycles):
    before, _, _ = two_cycles
    assert before["estimate_gap"].empty
    assert not before["bridge"]["bridge"].str.startswith("last plan").any()


def test_the_second_cycle_is_compared_with_the_plan_locked_before(two_cycles):
    before, after, _ = two_cycles
    change = after["financial_projection"]["revenue_amt"].sum() - before["financial_projection"]["revenue_amt"].sum()
    assert after["estimate_gap"]["revenue_gap_amt"].sum() == pytest.approx(change, abs=0.005)
    for name in ("last plan to this plan", "last plan to this plan, profit by family"):
        bars = after["bridge"][after["bridge"]["bridge"] == name]
        totals = bars.loc[bars["kind"] == "total", "amount_amt"]
        assert totals.iloc[0] + bars.loc[bars["kind"] == "step", "amount_amt"].sum() == pytest.approx(totals.iloc[1], abs=0.005)


def test_what_must_be_true_is_priced_by_the_limits_of_the_plan(two_cycles):
    _, after, _ = two_cycles
    aligned = after["goal_alignment"]
    assert aligned["closes_amt"].sum() == pytest.approx(-aligned["gap_amt"].iloc[0])
    priced = after["binding_limit"].groupby(["limit", "member"])["price_amt"].max()
    for row in aligned[aligned["limit"] != "demand"].itertuples():
        assert 0 < row.price_amt <= priced[row.limit, row.member] + 1e-9
    assert after["revenue_source"]["revenue_amt"].sum() == pytest.approx(after["financial_projection"]["revenue_amt"].sum())


def test_kpis_of_plan_stock_and_process_stand_in_one_table(two_cycles):
    _, after, cycle = two_cycles
    read = {name: cycle.read(name) for name in ("unmet_demand", "resource_plan", "financial_projection", "cash_projection", "budget_gap",
                                                "excess_stock", "item_class")}
    table = reviews._kpis(cycle, cycle.inputs(), read, tables.table("plan_deviation").empty(), tables.table("plan_archive").empty())
    table = table.set_index(["kpi", "level", "member"]).sort_index()
    assert table["value"].xs("decisions_closed", level="kpi").tolist() == [1.0]
    assert table["value"].xs("actions_on_time", level="kpi").to_dict() == {("owner", "HR"): 1.0, ("total", "all"): 1.0}
    assert table["reason"].xs("steps_on_time", level="kpi").iloc[0].endswith("1 steps due")
    assert ("gmroi", "family", "Bikes") in table.index
    capital = table.loc[("working_capital", "total", "all")]
    cash = after["cash_projection"].sort_values("period").iloc[-1]
    stock = after["financial_projection"].query("period == @PERIODS[-1]")["inventory_amt"].sum()
    assert capital["value"].dropna().tolist() == pytest.approx([stock + cash["receivable_amt"] - cash["payable_amt"]])
    ahead = table.xs(("gross_margin", "total", "all")).dropna(subset="value")
    assert ahead["target"].tolist() == [0.2]
    assert ahead["status"].tolist() == ["green"]
    assert set(table.loc["inventory_turns"].query("target == 500 and value < 500")["status"]) <= {"red", "amber"}
