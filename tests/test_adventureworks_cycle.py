"""The raw ERP extract from end to end: the cycle of January 2014, locked, and scored by the cycle of June 2014."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sop_workbench import kpi, supply, tables
from sop_workbench.store import Cycle, open_workspace

SOP = str(Path(sys.executable).with_name("sop"))
EXTRACT = Path(os.environ.get("SOP_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (EXTRACT / "adventureworks").is_dir(),
                       reason=f"no AdventureWorks extract in {EXTRACT}; name its folder in SOP_DATA to run this test"),
]


def sop(*arguments: object) -> None:
    result = subprocess.run([SOP, *map(str, arguments)], capture_output=True, text=True, check=False,
                            env={**os.environ, "SOP_DATA": str(EXTRACT)})
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both cycles, run as a person does; a small forecast, for time."""
    folder = tmp_path_factory.mktemp("adventureworks") / "w"
    sop("new", folder, "--adventureworks")
    settings = folder / "sop.yaml"
    settings.write_text(settings.read_text() + "\nforecast: {effort: quick}\n" if "forecast:" not in settings.read_text()
                        else settings.read_text().replace("effort: standard", "effort: quick"), encoding="utf-8")
    sop("run", "-w", folder, "-c", "2014-01")
    sop("lock", "-w", folder, "-c", "2014-01", "--by", "A. Director", "--why", "agreed in the executive meeting")
    sop("run", "-w", folder, "-c", "2014-06")
    return folder


@pytest.fixture(scope="module")
def january(workspace: Path) -> Cycle:
    return open_workspace(workspace).cycle("2014-01")


@pytest.fixture(scope="module")
def june(workspace: Path) -> Cycle:
    return open_workspace(workspace).cycle("2014-06")


def test_the_cycle_knows_nothing_later_than_its_day(january: Cycle) -> None:
    assert january.as_of == pd.Timestamp("2013-12-27")
    assert january.read("sales_history")["period"].max() == pd.Timestamp("2013-12-01")
    item = january.read("item")
    assert (item["phase_out_date"].dropna() <= january.as_of).all()
    assert (january.read("price")["valid_from"] <= january.as_of).all()


def test_demand_is_planned_for_every_market_and_channel(january: Cycle) -> None:
    demand, market = january.read("consensus_demand"), january.read("market")
    assert set(market["channel"]) == {"online", "reseller"}
    assert demand["market_id"].nunique() == 20
    assert demand.groupby("period")["demand_qty"].sum().gt(0).all()


def test_assembly_and_final_assembly_carry_the_load_they_are_known_to_carry(january: Cycle) -> None:
    """Known loads, from hours per unit of the last year and the mean of three months: .78 at centre 50, .70 at 60."""
    load = january.read("capacity_load")
    first = load[load["period"] == january.period].set_index("resource_id")["utilisation_ratio"]
    assert first["50"] == pytest.approx(0.78, abs=0.08)
    assert first["60"] == pytest.approx(0.70, abs=0.08)
    assert set(load.groupby("resource_id")["utilisation_ratio"].max().nlargest(2).index) == {"50", "60"}


def test_stock_of_ended_models_is_named_with_its_money(january: Cycle) -> None:
    excess = january.read("excess_stock")
    ended = excess[excess["lifecycle"] == "ended"]
    bikes = ended[ended["family"].isin(["Road Bikes", "Mountain Bikes", "Touring Bikes"])]
    assert len(bikes) == 37
    assert bikes["excess_qty"].sum() == pytest.approx(4182, rel=0.01)
    assert ended["excess_amt"].sum() > 4e6


def test_the_gap_to_quota_is_shown(january: Cycle) -> None:
    gap = january.read("budget_gap")
    quota = gap[gap["budget_revenue_amt"].notna()]
    assert quota["gap_amt"].notna().all()
    assert quota["gap_amt"].sum() != 0


def test_the_plan_is_scored_against_the_five_later_months(june: Cycle) -> None:
    deviation = june.read("plan_deviation")
    scored = deviation[(deviation["plan_cycle_id"] == "2014-01") & (deviation["stream"] == "consensus")]
    assert sorted(scored["period"].unique()) == list(pd.date_range("2014-01-01", "2014-05-01", freq="MS"))
    assert sorted(scored["lag"].unique()) == [0, 1, 2, 3, 4]
    by_item = scored.groupby(["item_id", "period"], as_index=False)[["actual_qty", "plan_qty"]].sum()
    error = kpi.wape(by_item["actual_qty"], by_item["plan_qty"])
    assert 0 < error < 1
    by_lag = june.read("plan_error_by_lag").query("stream == 'consensus' and level == 'item_id'")
    assert set(by_lag["lag"]) == {0, 1, 2, 3, 4}


def test_the_locked_plan_reads_as_it_was_locked(january: Cycle) -> None:
    assert january.is_locked
    plan = january.read("inventory_projection")
    receipts = plan[["produced_qty", "subcontracted_qty", "purchased_qty", "scheduled_qty", "transfer_in_qty"]].sum(axis=1)
    issues = plan[["transfer_out_qty", "shipped_qty", "consumed_qty"]].sum(axis=1)
    assert (plan["opening_qty"] + receipts - issues - plan["closing_qty"]).abs().max() < 1e-6


def test_the_money_of_the_plan_adds_up(january: Cycle) -> None:
    money = january.read("financial_projection")
    costs = [c for c in money.columns if c.endswith("_cost_amt")]
    assert money["profit_amt"].sum() == pytest.approx(money["revenue_amt"].sum() - money[costs].sum().sum(), abs=0.01)


# ------------------------------------------------------------------ the spring of 2014 as it came, planned with what was known in January
def actual_demand(january: Cycle, june: Cycle) -> pd.DataFrame:
    """Orders of January to May 2014 at the prices known in January (those paid, where none was), consensus from June on."""
    consensus, history = january.read("consensus_demand"), june.read("sales_history")
    ordered = history[history["period"].isin(consensus["period"])]
    known = consensus.groupby(["item_id", "market_id"])["price_amt"].mean().rename("price_amt").reset_index()
    ordered = ordered.merge(known, on=["item_id", "market_id"], how="left", validate="m:1")
    ordered["price_amt"] = ordered["price_amt"].fillna(ordered["net_sales_amt"] / ordered["ordered_qty"])
    quantity = ordered["ordered_qty"]
    ordered = ordered.assign(demand_qty=quantity, low_qty=quantity, high_qty=quantity, revenue_amt=quantity * ordered["price_amt"])
    later = consensus[~consensus["period"].isin(ordered["period"])]
    return tables.validate("consensus_demand", pd.concat([ordered, later])[list(tables.table("consensus_demand").columns)])


@pytest.fixture(scope="module")
def spring(january: Cycle, june: Cycle) -> tuple[supply.SupplyResult, pd.DataFrame]:
    """The plan of January for the demand that came, and that demand."""
    demand = actual_demand(january, june)
    return supply.plan_supply(january.inputs(), demand, january.read("inventory_target"), january.settings, january.periods,
                              january.calendar), demand


def test_centre_50_is_the_priced_bottleneck_of_spring_and_60_the_next(spring) -> None:
    plan, _ = spring
    hours = plan.resource_plan[plan.resource_plan["period"].between("2014-01-01", "2014-05-01")]
    peak = (hours["used_hours"] / hours["regular_hours"]).groupby(hours["resource_id"]).max().nlargest(3)
    assert list(peak.index[:2]) == ["50", "60"]
    assert peak["50"] == pytest.approx(1.0)
    assert peak["60"] > 0.8 > peak.iloc[2]
    limits = plan.binding_limit[plan.binding_limit["limit"].isin(["capacity", "overtime"])]
    april = limits[(limits["member"] == "50") & (limits["period"] == "2014-04-01")].iloc[0]
    assert april["price_amt"] > 1
    assert april["range_low_qty"] < april["limit_qty"] < april["range_high_qty"]
    assert april["sentence"].startswith("Subassembly in April 2014: one more hour is worth ")
    assert set(limits["member"]) <= {"50", "60"}


def test_a_quarter_more_demand_in_spring_gives_an_hour_of_centre_60_a_price_too(spring, january: Cycle) -> None:
    _, demand = spring
    more = demand.assign(demand_qty=demand["demand_qty"].where(demand["period"] > "2014-05-01", 1.25 * demand["demand_qty"]))
    plan = supply.plan_supply(january.inputs(), more, january.read("inventory_target"), january.settings, january.periods, january.calendar)
    limits = plan.binding_limit[(plan.binding_limit["limit"] == "capacity") & (plan.binding_limit["period"] == "2014-04-01")]
    assert set(limits["member"]) == {"50", "60"}
    assert (limits["price_amt"] > 0.5).all()


def test_resellers_bought_below_cost_are_kept_by_contract_and_its_cost_is_shown(spring, january: Cycle) -> None:
    plan, demand = spring
    cost = supply.contract_floor_cost(plan, january.inputs(), demand, january.read("inventory_target"), january.settings, january.periods,
                                      january.calendar).set_index("market_id")
    resellers = cost.drop(index="all")
    assert len(resellers) == 10
    assert (resellers["served_qty"] > 1.1 * resellers["served_without_qty"]).all()
    assert cost.loc["all", "cost_amt"] > 1e6
    short = plan.unmet_demand["floor_shortfall_qty"].sum()
    assert short < 0.02 * cost.loc["all", "floor_qty"]
