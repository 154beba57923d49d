"""Frontiers, losses and samples: one loaded model answers what a fresh plan would, and the two-stage plan is the best there is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import small_company as small
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from sop_workbench import risk, scenario
from sop_workbench.errors import DataError
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.supply import plan_supply
from sop_workbench.supply.compile import Arrays
from sop_workbench.supply.frontier import SERVICE_COST, STOCK_SERVICE, _leaving_the_same_stock, frontiers
from sop_workbench.supply.instance import Instance, supply_instance
from sop_workbench.supply.measures import measures
from sop_workbench.supply.plan import compiled_plan
from sop_workbench.supply.recourse import Future, Recourse, Sample, aim, best_commitment, cvar, mean_sample, outcomes
from sop_workbench.supply.vary import VariedPlan
from sop_workbench.supply.vulnerability import vulnerability

CALENDAR = Calendar("month")
EVENTS = [{"title": "Fire", "resource_id": "LINE", "probability_ratio": 0.3, "loss_ratio": 0.5, "duration_buckets": 2},
          {"title": "Strike", "supplier_id": "S1", "probability_ratio": 0.2}]


def with_risk(**rule) -> Settings:
    return small.SETTINGS.model_copy(update={"risk": Settings(company="x", risk=rule).risk})


def stated(quantity: float = 45.0, settings: Settings = small.SETTINGS) -> tuple[Instance, Arrays]:
    instance = supply_instance(small.inputs(), small.demand(quantity), small.target(), settings, small.PERIODS, CALENDAR)
    return instance, compiled_plan(instance, settings)


def drawn(instance: Instance, arrays: Arrays, count: int, seed: int = 3) -> list[Sample]:
    rng = np.random.default_rng(seed)
    orders = len(arrays.columns["purchase_qty"].keys)
    return [Sample(rng.uniform(0.5, 1.5, len(instance.demand)), rng.uniform(0.6, 1.0, len(instance.capacity)), np.ones(orders))
            for _ in range(count)]


# ------------------------------------------------------------------ frontiers
def test_more_service_never_brings_more_profit_and_more_stock_never_less_service() -> None:
    found = frontiers(*stated(80.0), small.SETTINGS, points=6)
    service = found[(found["frontier"] == SERVICE_COST) & ~found["is_plan"]]
    assert service["profit_amt"].is_monotonic_decreasing
    assert service["fill_ratio"].is_monotonic_increasing
    stock = found[(found["frontier"] == STOCK_SERVICE) & ~found["is_plan"]]
    assert (stock["lost_revenue_amt"].diff().dropna() <= 1e-3).all()
    assert stock["inventory_amt"].iloc[0] < stock["inventory_amt"].iloc[-1]


def test_every_point_leaves_the_plans_stock_at_the_end() -> None:
    instance, arrays = stated(10.0)
    plan = VariedPlan(arrays, small.SETTINGS).solve().value
    closing, last = arrays.columns["closing_qty"], len(instance.periods) - 1
    end = [column for key, column in zip(closing.keys, closing.positions.tolist(), strict=True) if key[2] == last]
    assert plan[end].sum() > 0, "a case that could sell its stock off"
    kept = _leaving_the_same_stock(arrays, plan, last)
    assert (kept.lower[end] >= plan[end] * (1 - 1e-5)).all()
    assert (VariedPlan(kept, small.SETTINGS).solve().value[end] >= plan[end] * (1 - 1e-5)).all()
    found = frontiers(instance, arrays, small.SETTINGS, points=4)
    service = found[found["frontier"] == SERVICE_COST]
    holding = service["profit_amt"].iloc[1:].max() - service.loc[service["is_plan"], "profit_amt"].iloc[0]
    free = VariedPlan(arrays, small.SETTINGS)
    weights = measures(instance, arrays)
    free.price_columns(np.arange(arrays.columns_count), arrays.cost + weights.penalty)
    sold_off = free.solve().objective_amt - service.loc[service["is_plan"], "profit_amt"].iloc[0]
    assert 0 <= holding < sold_off


def test_the_plans_own_point_is_the_plan() -> None:
    found = frontiers(*stated(80.0), small.SETTINGS, points=3)
    plan = plan_supply(small.inputs(), small.demand(80.0), small.target(), small.SETTINGS, small.PERIODS, CALENDAR)
    own = found[found["is_plan"]].iloc[0]
    unmet = plan.unmet_demand
    assert own["profit_amt"] == pytest.approx(plan.profit_amt, abs=1e-4)
    assert own["fill_ratio"] == pytest.approx(unmet["served_qty"].sum() / unmet["demand_qty"].sum())
    assert own["lost_revenue_amt"] == pytest.approx(unmet["lost_revenue_amt"].sum())
    stock = plan.inventory_projection.groupby("period")["value_amt"].sum().mean()
    assert own["inventory_amt"] == pytest.approx(stock)


# ------------------------------------------------------------------ losses
def test_a_loss_costs_what_the_plan_made_without_it_earns_less() -> None:
    instance, arrays = stated(80.0)
    found = vulnerability(instance, arrays, small.SETTINGS).set_index(["kind", "member"])
    line = found.loc[("resource", "LINE")]
    hours = small.inputs()["capacity"].copy()
    hours.loc[(hours["resource_id"] == "LINE") & (hours["period"] == line["from_period"]), ["regular_hours", "overtime_hours"]] = 0.0
    whole = plan_supply(small.inputs(), small.demand(80.0), small.target(), small.SETTINGS, small.PERIODS, CALENDAR)
    without = plan_supply(small.inputs(capacity=hours), small.demand(80.0), small.target(), small.SETTINGS, small.PERIODS, CALENDAR)
    assert line["lost_profit_amt"] == pytest.approx(whole.profit_amt - without.profit_amt, abs=1e-4)
    assert line["lost_profit_amt"] > 0
    assert "Without resource LINE for 1 month" in line["sentence"]


def test_losses_are_told_dearest_first_and_leave_the_plan_as_it_was() -> None:
    instance, arrays = stated(80.0)
    once, again = (vulnerability(instance, arrays, small.SETTINGS, length=2) for _ in range(2))
    pd.testing.assert_frame_equal(once, again)
    assert once["lost_profit_amt"].is_monotonic_decreasing
    assert {"resource", "supplier", "location", "lane"} == set(once["kind"])


# ------------------------------------------------------------------ two stages
def test_a_sample_like_the_plan_is_worth_the_plan() -> None:
    instance, arrays = stated()
    recourse = Recourse(instance, arrays, small.SETTINGS, 1)
    same = Sample(np.ones(len(instance.demand)), np.ones(len(instance.capacity)), np.ones(len(arrays.columns["purchase_qty"].keys)))
    found = Future(recourse, same).outcome(recourse.base_quantity)
    plan = plan_supply(small.inputs(), small.demand(), small.target(), small.SETTINGS, small.PERIODS, CALENDAR)
    assert found.worth_amt == pytest.approx(plan.objective_amt, abs=1e-4)
    assert found.measured.profit_amt == pytest.approx(plan.profit_amt, abs=1e-4)


def test_a_future_known_beforehand_is_the_plan_of_its_own_tables() -> None:
    instance, arrays = stated()
    recourse = Recourse(instance, arrays, small.SETTINGS, 1)
    more = Sample(np.full(len(instance.demand), 1.3), np.ones(len(instance.capacity)), np.ones(len(arrays.columns["purchase_qty"].keys)))
    plan = plan_supply(small.inputs(), small.demand(45.0 * 1.3), small.target(), small.SETTINGS, small.PERIODS, CALENDAR)
    found = Future(recourse, more).outcome(None)
    assert found.worth_amt == pytest.approx(plan.objective_amt, abs=1e-4)
    assert found.measured.fill_ratio == pytest.approx(plan.unmet_demand["served_qty"].sum() / plan.unmet_demand["demand_qty"].sum())


def everything_at_once(recourse: Recourse, futures: list[Future], count: int) -> float:
    """The two-stage plan as one large programme: the oracle of the cuts."""
    arrays, first, value = recourse.arrays, recourse.columns, recourse.value
    width, lead = arrays.columns_count, len(recourse.columns)
    bounds_low, bounds_high, blocks, objective, offset = [], [], [], [np.tile(-value, 1)], 0.0
    for future in futures:
        future.outcome(None)  # the shared plan then has its limits
        lp = recourse.plan._solver.getLp()
        bounds_low.append(np.array(lp.row_lower_))
        bounds_high.append(np.array(lp.row_upper_))
        gain = arrays.cost.copy()
        gain[first] += value
        objective.append(gain / count)
        offset += (arrays.offset + future._unspoken) / count
        blocks.append(arrays.matrix)
    pick = sparse.csr_array((np.ones(lead), (np.arange(lead), first)), shape=(lead, width))
    link = sparse.hstack([sparse.vstack([-sparse.identity(lead)] * count), sparse.block_diag([pick] * count)]).tocsr()
    body = sparse.hstack([sparse.csr_array((count * arrays.matrix.shape[0], lead)), sparse.block_diag(blocks)]).tocsr()
    low, high = np.concatenate(bounds_low), np.concatenate(bounds_high)
    is_equal, has_low, has_high = low == high, np.isfinite(low) & (low != high), np.isfinite(high) & (low != high)
    upper = sparse.vstack([link, body[has_high], -body[has_low]])
    columns = [(0, None)] * lead + list(zip(arrays.lower, arrays.upper, strict=True)) * count
    made = linprog(-np.concatenate(objective), A_ub=upper, b_ub=np.r_[np.zeros(lead * count), high[has_high], -low[has_low]],
                   A_eq=body[is_equal], b_eq=low[is_equal], bounds=columns, method="highs")
    assert made.status == 0, made.message
    return offset - made.fun


@pytest.mark.parametrize("committed", [1, 2])
def test_cuts_find_the_plan_that_one_large_programme_finds(committed: int) -> None:
    instance, arrays = stated()
    recourse = Recourse(instance, arrays, small.SETTINGS, committed)
    samples = drawn(instance, arrays, 6)
    futures = [Future(recourse, sample) for sample in samples]
    mean = Future(recourse, mean_sample(samples)).outcome(None).used
    found = best_commitment(recourse, futures, mean)
    best = everything_at_once(recourse, futures, 6)
    assert found.aim_amt == pytest.approx(best, rel=2e-3)
    assert found.aim_amt <= best + 1e-4 * abs(best)
    assert found.bound_amt >= best - 1e-6 * abs(best)


@settings(max_examples=12)
@given(st.integers(0, 50))
def test_planning_for_the_spread_lies_between_the_mean_and_knowing(seed: int) -> None:
    instance, arrays = stated()
    recourse = Recourse(instance, arrays, small.SETTINGS, 1)
    samples = drawn(instance, arrays, 3, seed)
    futures = [Future(recourse, sample) for sample in samples]
    mean = Future(recourse, mean_sample(samples)).outcome(None).used
    best = best_commitment(recourse, futures, mean)
    known = np.mean([one.worth_amt for one in outcomes(futures, None)])
    of_mean = np.mean([one.worth_amt for one in outcomes(futures, mean)])
    edge = 1e-6 * abs(known)
    assert of_mean - edge <= best.aim_amt <= known + edge
    assert best.aim_amt <= best.bound_amt


def test_weighing_the_worst_lifts_the_worst() -> None:
    instance, arrays = stated()
    recourse = Recourse(instance, arrays, small.SETTINGS, 2)
    samples = drawn(instance, arrays, 8)
    futures = [Future(recourse, sample) for sample in samples]
    mean = Future(recourse, mean_sample(samples)).outcome(None).used
    calm, careful = (np.array([one.worth_amt for one in best_commitment(recourse, futures, mean, weight, 0.75).outcomes])
                     for weight in (0.0, 1.0))
    assert cvar(careful, 0.75) >= cvar(calm, 0.75) - 1e-6
    assert calm.mean() >= careful.mean() - 1e-6


def test_a_line_that_fails_leaves_commitments_unused_at_their_value() -> None:
    instance, arrays = stated()
    recourse = Recourse(instance, arrays, small.SETTINGS, 1)
    ones = np.ones(len(instance.demand)), np.ones(len(arrays.columns["purchase_qty"].keys))
    closed = Sample(ones[0], np.where(instance.capacity["t"] == 0, 0.0, 1.0), ones[1])
    found = Future(recourse, closed).outcome(recourse.base_quantity)
    assert (found.used <= recourse.base_quantity + 1e-9).all()
    assert found.worth_amt < recourse.base.objective_amt


@pytest.mark.parametrize(("worth", "level", "expected"), [([0, 10, 20, 30], 0.5, 5.0), ([0, 10, 20, 30], 0.75, 0.0), ([0, 10], 0.75, 0.0),
                                                         ([0, 10, 20], 0.5, 10 / 3), ([4, 4, 4], 0.9, 4.0)])
def test_cvar_by_hand(worth: list[float], level: float, expected: float) -> None:
    assert cvar(np.array(worth, dtype=float), level) == pytest.approx(expected)
    assert aim(np.array(worth, dtype=float), 1.0, level) == pytest.approx(expected)


# ------------------------------------------------------------------ samples
def test_samples_repeat_with_their_seed_and_are_as_wide_as_the_range() -> None:
    settings = with_risk(samples=800, persistence_ratio=0.0)
    instance, arrays = stated(settings=settings)
    item = small.inputs()["item"]
    first, again = (risk.draw_samples(instance, small.demand(), item, arrays, settings, 0.5) for _ in range(2))
    assert all(np.array_equal(a.demand_ratio, b.demand_ratio) for a, b in zip(first, again, strict=True))
    ratio = np.array([one.demand_ratio for one in first])
    # low and high lie 20 % away and hold 80 % of what is drawn.
    assert ((ratio >= 0.8) & (ratio <= 1.2)).mean() == pytest.approx(settings.forecast.interval_ratio, abs=0.02)
    assert ratio.mean() == pytest.approx(1.0, abs=0.01)


def test_errors_of_a_family_go_together_as_far_as_they_share() -> None:
    settings = with_risk(samples=800, persistence_ratio=0.0)
    instance, arrays = stated(settings=settings)
    item = small.inputs()["item"].assign(family="All")
    ratio = np.array([one.demand_ratio for one in risk.draw_samples(instance, small.demand(), item, arrays, settings, 0.6)])
    same_period = instance.demand.index[instance.demand["t"] == 1]
    together = np.corrcoef(ratio[:, same_period].T)
    assert together[np.triu_indices(len(same_period), 1)].mean() == pytest.approx(0.6, abs=0.08)


def test_supply_events_take_hours_and_orders() -> None:
    settings = with_risk(samples=400, supply_events=EVENTS)
    instance, arrays = stated(settings=settings)
    samples = risk.draw_samples(instance, small.demand(), small.inputs()["item"], arrays, settings, 0.0)
    hours, supply = np.array([one.hours_ratio for one in samples]), np.array([one.supply_ratio for one in samples])
    assert set(np.unique(hours)) == {0.5, 1.0}
    assert set(np.unique(supply)) == {0.0, 1.0}
    # Lasting two periods, it is under way in a later period unless it started in neither: 1 − .7².
    late = (instance.capacity["t"] == 2).to_numpy()
    assert (hours[:, late] < 1).mean() == pytest.approx(1 - 0.7**2, abs=0.05)


def test_an_event_on_nothing_known_is_refused() -> None:
    settings = with_risk(supply_events=[{"title": "Fire", "resource_id": "LINE9", "probability_ratio": 0.1}])
    instance, arrays = stated(settings=settings)
    with pytest.raises(DataError, match=r"unknown_in_supply_event at risk.supply_events Fire, value LINE9 .* CREW, LINE"):
        risk.draw_samples(instance, small.demand(), small.inputs()["item"], arrays, settings, 0.0)


def test_what_families_share_is_found_in_their_past() -> None:
    rng, periods = np.random.default_rng(5), pd.date_range("2021-01-01", periods=60, freq="MS")
    for shared in (0.0, 0.7):
        common = rng.normal(0, 0.2, 60)
        rows = [{"item_id": f"A{n}", "market_id": "N", "period": p, "ordered_qty": 100 * np.exp(e)} for n in range(12)
                for p, e in zip(periods, np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(0, 0.2, 60), strict=True)]
        item = pd.DataFrame({"item_id": [f"A{n}" for n in range(12)], "family": "A"})
        assert risk.shared_error_ratio(pd.DataFrame(rows), item, CALENDAR) == pytest.approx(shared, abs=0.15)


def test_stress_tables_of_a_company() -> None:
    inputs = small.inputs()
    found = risk.stress(inputs, small.demand(), small.target(), with_risk(samples=5, supply_events=EVENTS), small.PERIODS, CALENDAR)
    assert set(found) == {"service_frontier", "vulnerability", "sample_outcome", "plan_risk", "risk_value"}
    money = found["risk_value"].set_index("figure")["value_amt"]
    assert money["perfect information (EVPI)"] == pytest.approx(money["future known (WS)"] - money["stochastic plan (RP)"])
    assert money["planning for the spread (VSS)"] == pytest.approx(money["stochastic plan (RP)"] - money["mean plan (EEV)"])
    assert money["perfect information (EVPI)"] >= -1e-6
    assert money["planning for the spread (VSS)"] >= -1e-6
    spread = found["plan_risk"]
    assert (spread["p10_value"] <= spread["p50_value"]).all()
    assert (spread["p50_value"] <= spread["p90_value"]).all()
    assert found["sample_outcome"].groupby("plan").size().eq(5).all()


def test_no_sample_is_drawn_when_none_is_asked_for() -> None:
    found = risk.stress(small.inputs(), small.demand(), small.target(), with_risk(samples=0), small.PERIODS, CALENDAR)
    assert found["sample_outcome"].empty
    assert len(found["vulnerability"])


# ------------------------------------------------------------------ many scenarios
def test_side_by_side_gives_what_one_after_another_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    levers = [{"table": "capacity", "column": "regular_hours", "operation": "multiply", "value": 1 + n / 10} for n in range(3)]
    scenarios = [scenario.Scenario.model_validate({"scenario": f"s{n}", "levers": [lever]}) for n, lever in enumerate(levers)]
    given_tables = (scenarios, small.inputs(), small.demand(), small.target(), small.SETTINGS, small.PERIODS, CALENDAR)
    one_by_one = scenario.evaluate_all(*given_tables)
    monkeypatch.setattr(scenario, "_FEWEST_IN_PARALLEL", 2)
    together = scenario.evaluate_all(*given_tables)
    assert list(together) == ["s0", "s1", "s2"]
    for name, tables in one_by_one.items():
        for table, frame in tables.items():
            pd.testing.assert_frame_equal(together[name][table], frame)
