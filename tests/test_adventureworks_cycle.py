"""The raw ERP extract from end to end: the cycle of January 2014, locked, and scored by the cycle of June 2014."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pyomo_oracle import assert_same_model

from sop_workbench import capacity, finance, kpi, sources, supply, tables
from sop_workbench.store import Cycle, open_workspace
from sop_workbench.supply.instance import supply_instance

SOP = str(Path(sys.executable).with_name("sop"))
EXTRACT = Path(os.environ.get("SOP_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (EXTRACT / "adventureworks").is_dir(),
                       reason=f"no AdventureWorks extract in {EXTRACT}; name its folder in SOP_DATA to run this test"),
]


def sop(*arguments: object) -> str:
    result = subprocess.run([SOP, *map(str, arguments)], capture_output=True, text=True, check=False,
                            env={**os.environ, "SOP_DATA": str(EXTRACT)})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both cycles, run as a person does; a small forecast, two samples of the future and one scenario, for time."""
    folder = tmp_path_factory.mktemp("adventureworks") / "w"
    sop("new", folder, "--adventureworks")
    settings = folder / "sop.yaml"
    settings.write_text(settings.read_text() + "\nforecast: {effort: quick}\n" if "forecast:" not in settings.read_text()
                        else settings.read_text().replace("effort: standard", "effort: quick"), encoding="utf-8")
    assert "samples: 5" in settings.read_text()
    settings.write_text(settings.read_text().replace("samples: 5", "samples: 2"), encoding="utf-8")
    for scenario in (folder / "scenarios").glob("*.yaml"):
        if scenario.stem != "saturday_shift":
            scenario.unlink()
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


def test_assembly_and_final_assembly_carry_the_load_they_are_known_to_carry(january: Cycle, spring: Spring) -> None:
    """Known loads, from hours per unit of the last year and the mean of three months: .78 at centre 50, .70 at 60."""
    year = pd.date_range("2013-01-01", "2013-12-01", freq="MS")
    known = capacity.rough_cut_load(january.read("consensus_demand"), spring.inputs(year), january.calendar)
    lately = january.read("capacity_load")
    for load, expected in ((known, {"50": 0.78, "60": 0.70}), (lately, {"50": 0.92, "60": 0.9})):
        first = load[load["period"] == january.period].set_index("resource_id")["utilisation_ratio"]
        assert first[["50", "60"]].to_dict() == pytest.approx(expected, abs=0.08)
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
    assert quota["demand_gap_amt"].sum() == pytest.approx(january.read("demand_gap")["gap_amt"].sum()), "one gap in demand and in finance"
    assert finance.left_out(gap)[1] == ["Online"], "the web shop has no target and is not counted as a target of zero"
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


def test_the_locked_cycle_is_whole_and_comes_out_again(workspace: Path) -> None:
    assert "cycle 2014-01: everything is as it was locked" in sop("verify", "2014-01", "-w", workspace)
    assert "cycle 2014-01: every result table comes out equal" in sop("rerun", "2014-01", "-w", workspace)


def test_the_money_of_the_plan_adds_up(january: Cycle) -> None:
    money = january.read("financial_projection")
    costs = [c for c in money.columns if c.endswith("_cost_amt")]
    assert money["profit_amt"].sum() == pytest.approx(money["revenue_amt"].sum() - money[costs].sum().sum(), abs=0.01)


def test_stock_pyomo_states_the_same_model(january: Cycle) -> None:
    """Some 70,000 rows and 115,000 columns, entry by entry."""
    instance = supply_instance(january.inputs(), january.read("consensus_demand"), january.read("inventory_target"), january.settings,
                               january.periods, january.calendar)
    assert_same_model(instance, january.settings)


# ------------------------------------------------------------------ the spring of 2014 as it came, planned with what was known in January
SPRING = pd.date_range("2014-01-01", "2014-05-01", freq="MS")


def actual_demand(january: Cycle, history: pd.DataFrame) -> pd.DataFrame:
    """Orders of January to May 2014 at the prices known in January (those paid, where none was), consensus from June on."""
    consensus = january.read("consensus_demand")
    ordered = history[history["period"].isin(consensus["period"])]
    known = consensus.groupby(["item_id", "market_id"])["price_amt"].mean().rename("price_amt").reset_index()
    ordered = ordered.merge(known, on=["item_id", "market_id"], how="left", validate="m:1")
    ordered["price_amt"] = ordered["price_amt"].fillna(ordered["net_sales_amt"] / ordered["ordered_qty"])
    quantity = ordered["ordered_qty"]
    ordered = ordered.assign(demand_qty=quantity, low_qty=quantity, high_qty=quantity, revenue_amt=quantity * ordered["price_amt"])
    later = consensus[~consensus["period"].isin(ordered["period"])]
    return tables.validate("consensus_demand", pd.concat([ordered, later])[list(tables.table("consensus_demand").columns)])


class Spring:
    """What came: the orders of January to May 2014, and the work orders that were made of them."""

    def __init__(self, workspace: Path, january: Cycle) -> None:
        self.january, end = january, january.calendar.as_of("2014-06")
        came, _ = sources.load_inputs(january.settings, workspace, end)
        self.documents, _ = sources.load_documents(january.settings, workspace, end)
        self.demand = actual_demand(january, came["sales_history"])
        self.capacity = came["capacity"]

    def inputs(self, orders_of: pd.DatetimeIndex | None = None, **changed: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Inputs of January, with hours per unit as in the work orders of some periods where they are named."""
        inputs = {**self.january.inputs(), **changed}
        if orders_of is not None:
            inputs["routing"] = capacity.routing_as_booked(inputs["routing"], self.documents, self.january.calendar, orders_of)
        return inputs

    def plan(self, inputs: dict[str, pd.DataFrame], demand: pd.DataFrame | None = None) -> supply.SupplyResult:
        """The plan of January for the demand that came, ranges of many limits worked out."""
        settings = self.january.settings
        settings = settings.model_copy(update={"supply": settings.supply.model_copy(update={"explained_limits": 100})})
        return supply.plan_supply(inputs, self.demand if demand is None else demand, self.january.read("inventory_target"), settings,
                                  self.january.periods, self.january.calendar)

    def rough_cut(self, inputs: dict[str, pd.DataFrame]) -> pd.Series:
        """Utilisation by centre and period."""
        load = capacity.rough_cut_load(self.demand, inputs, self.january.calendar)
        return load[load["period"].isin(SPRING)].set_index(["resource_id", "period"])["utilisation_ratio"]


def peak_use(plan: supply.SupplyResult) -> pd.Series:
    hours = plan.resource_plan[plan.resource_plan["period"].isin(SPRING)]
    return (hours["used_hours"] / hours["regular_hours"]).groupby(hours["resource_id"]).max().sort_values(ascending=False)


def full_centres(plan: supply.SupplyResult, periods: pd.DatetimeIndex = SPRING) -> pd.DataFrame:
    """Limits of hours that have a price in some periods, the first of each centre."""
    limits = plan.binding_limit[plan.binding_limit["limit"].isin(["capacity", "overtime"]) & plan.binding_limit["period"].isin(periods)]
    return limits.sort_values("period").drop_duplicates("member").set_index("member")


@pytest.fixture(scope="module")
def spring(workspace: Path, january: Cycle) -> Spring:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOP_DATA", str(EXTRACT))
        return Spring(workspace, january)


@pytest.fixture(scope="module")
def as_planned(spring: Spring) -> supply.SupplyResult:
    """Actual demand in the plan as January had it: orders as large as in the last three months, made to order, its stock targets."""
    return spring.plan(spring.inputs())


@pytest.fixture(scope="module")
def as_it_came(spring: Spring) -> supply.SupplyResult:
    """Actual demand in orders as small as they came."""
    return spring.plan(spring.inputs(SPRING))


def test_rough_cut_load_is_what_was_booked_once_orders_are_as_small_as_they_came(spring: Spring) -> None:
    """Hours are booked per order: by the year's hours per unit .85 at centre 60 in April, by those of autumn 1.04, really booked 1.005."""
    booked = capacity.booked_load(spring.documents, spring.capacity, spring.january.calendar).set_index(["resource_id", "period"])
    april = pd.Timestamp("2014-04-01")
    of_the_year = spring.rough_cut(spring.inputs(pd.date_range("2013-01-01", "2013-12-01", freq="MS")))
    lately, small = spring.rough_cut(spring.inputs()), spring.rough_cut(spring.inputs(SPRING))
    assert [of_the_year[centre, april] for centre in ("50", "60")] == pytest.approx([0.94, 0.85], abs=0.01)
    assert [lately[centre, april] for centre in ("50", "60")] == pytest.approx([1.06, 1.04], abs=0.01)
    assert booked.loc[("60", april), "utilisation_ratio"] == pytest.approx(1.005, abs=0.001)
    for centre in ("50", "60"):
        hours = booked.loc[centre].loc[SPRING]
        for load in (small, lately):
            planned = (load[centre] * hours["regular_hours"]).sum()
            assert planned == pytest.approx(hours["booked_hours"].sum(), rel=0.1)
    short = (of_the_year["60"] * booked.loc["60"].loc[SPRING, "regular_hours"]).sum() / booked.loc["60"].loc[SPRING, "booked_hours"].sum()
    assert short == pytest.approx(0.81, abs=0.01)


def test_bikes_are_made_to_order(spring: Spring) -> None:
    """Why the strategy is chase: of every bike a month makes what it sells."""
    inputs, item = spring.january.inputs(), spring.january.read("item").set_index("item_id")
    made = inputs["production_history"].groupby(["item_id", "period"])["produced_qty"].sum()
    sold = inputs["sales_history"].groupby(["item_id", "period"])["ordered_qty"].sum()
    both = pd.concat([made, sold], axis=1).fillna(0.0)  # no row: none
    both = both[both.index.get_level_values("item_id").map(item["category"]) == "Bikes"]
    assert (both["produced_qty"] - both["ordered_qty"]).abs().sum() < 0.05 * both["ordered_qty"].sum()
    assert both.corr().iloc[0, 1] > 0.99


@pytest.mark.parametrize("plan_of", ["as_planned", "as_it_came"])
def test_centres_50_and_60_are_the_bottlenecks_of_spring_and_priced(plan_of: str, request: pytest.FixtureRequest) -> None:
    plan = request.getfixturevalue(plan_of)
    peak = peak_use(plan)
    assert (peak[["50", "60"]] > 1 - 1e-6).all()
    assert peak.drop(["50", "60"]).max() < 0.85
    full = full_centres(plan)
    assert set(full.index) == {"50", "60"}
    assert full["period"].between("2014-04-01", "2014-05-01").all()
    assert (full["price_amt"] > 0.01).all()
    assert full.loc["50", "sentence"].startswith(f"Subassembly in {full.loc['50', 'period']:%B %Y}: one more hour is worth ")
    assert full.loc["60", "sentence"].startswith(f"Final Assembly in {full.loc['60', 'period']:%B %Y}: one more hour is worth ")
    assert set(plan.explanation["bottleneck_ranking"]["resource_id"]) == {"50", "60"}


@pytest.mark.parametrize("centre", ["50", "60"])
def test_ten_more_hours_earn_ten_times_the_price_at_most(spring: Spring, as_planned: supply.SupplyResult, centre: str) -> None:
    inputs, first = spring.inputs(), full_centres(as_planned).loc[centre]
    hours = inputs["capacity"]
    is_full = (hours["resource_id"] == centre) & (hours["period"] == first["period"])
    more = spring.plan({**inputs, "capacity": hours.assign(regular_hours=hours["regular_hours"] + 10.0 * is_full)})
    gain = more.objective_amt - as_planned.objective_amt
    assert 0.9 * 10 * first["price_amt"] < gain < 1.001 * 10 * first["price_amt"]


def test_resellers_bought_below_cost_are_kept_by_contract_and_its_cost_is_shown(spring: Spring, as_planned: supply.SupplyResult) -> None:
    january = spring.january
    cost = supply.contract_floor_cost(as_planned, spring.inputs(), spring.demand, january.read("inventory_target"), january.settings,
                                      january.periods, january.calendar).set_index("market_id")
    resellers = cost.drop(index="all")
    assert len(resellers) == 10
    assert (resellers["served_qty"] > 1.1 * resellers["served_without_qty"]).all()
    assert cost.loc["all", "cost_amt"] > 1e6
    short = as_planned.unmet_demand["floor_shortfall_qty"].sum()
    assert short < 0.02 * cost.loc["all", "floor_qty"]
