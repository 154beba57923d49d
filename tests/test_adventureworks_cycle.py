"""The raw ERP extract from end to end: the cycle of January 2014, locked, and scored by the cycle of June 2014."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sop_workbench import kpi
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
