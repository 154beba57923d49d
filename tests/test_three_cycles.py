"""Three cycles of the demo company in a row: run, locked, verified, run again; the views over them hold what was locked.

For time: a small forecast, one scenario, and notebooks that hold the review without what shows it (which tests of the demo run whole).
"""

from __future__ import annotations

from pathlib import Path

import bench_cycles as rounds
import pandas as pd
import pytest

from sop_workbench import execution, reviews
from sop_workbench.chain import Chain, verify_cycle
from sop_workbench.follow_up import records_with_outcome
from sop_workbench.rerun import rerun_cycle
from sop_workbench.store import Workspace

CYCLES = rounds.CYCLES["demo"]
SMALLER = {"forecast": {"effort": "quick", "origins": 1}, "risk": {"samples": 1}, "horizon": 6}
AUGUST, SEPTEMBER = pd.date_range("2026-08-01", periods=2, freq="MS")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """All three locked; the first carries an assumption, the second a decision, both about months that are over in the last."""
    made = rounds.new_workspace(tmp_path_factory.mktemp("three") / "w", "demo", **SMALLER)
    rounds.without_charts(made)
    for scenario in sorted((made.folder / "scenarios").glob("*.yaml"))[1:]:
        scenario.unlink()
    made.cycle(CYCLES[0]).append(
        "assumption", {"assumption": "stoves hold their summer", "measure": "demand", "family": "Camp Stoves", "low_value": 0.0,
                       "from_period": AUGUST, "to_period": SEPTEMBER}, by="M. Lindqvist", why="orders of the chains")
    for cycle_id in CYCLES:
        if cycle_id == CYCLES[1]:
            made.cycle(cycle_id).append(
                "decision", {"question": "Sell heaters early?", "choice": "yes", "expected_effect_amt": 1e9, "measure": "revenue",
                             "family": "Patio Heaters", "from_period": SEPTEMBER, "to_period": SEPTEMBER}, by="H. Varnholt", why="cash")
        rounds.run_and_lock(made, cycle_id)
    return made


def chain(workspace: Workspace, cycle_id: str) -> Chain:
    return Chain(workspace, workspace.cycle(cycle_id))


@pytest.mark.parametrize("cycle_id", CYCLES)
def test_each_is_as_it_was_locked(workspace: Workspace, cycle_id: str) -> None:
    found = verify_cycle(chain(workspace, cycle_id))
    assert found.empty, found.to_string()
    assert rounds.result_tables(workspace.cycle(cycle_id)) > 60


@pytest.mark.parametrize("cycle_id", [CYCLES[0], CYCLES[-1]])
def test_it_comes_out_again_to_the_last_digit(workspace: Workspace, cycle_id: str, tmp_path: Path) -> None:
    """Steps 1 to 7 from the pinned inputs; the last cycle after the plans and records that the two before it locked."""
    found = rerun_cycle(chain(workspace, cycle_id), tmp_path / "again")
    assert found.empty, found.head(20).to_string()


@pytest.mark.parametrize("cycle_id", CYCLES)
def test_every_cell_of_the_waterfall_is_the_archived_snapshot(workspace: Workspace, cycle_id: str) -> None:
    shown = workspace.cycle(cycle_id).read("plan_waterfall")
    cells = rounds.waterfall_cells(shown, workspace, cycle_id)
    assert cells.compared == len(shown) > 100
    assert cells.equal == cells.compared
    locked = {name for name in CYCLES if name < cycle_id}
    assert locked <= set(shown["plan_cycle_id"])


@pytest.mark.parametrize("cycle_id", CYCLES)
def test_every_cell_of_the_family_grid_is_the_plan_it_shows(workspace: Workspace, cycle_id: str) -> None:
    cycle = workspace.cycle(cycle_id)
    cells = rounds.grid_cells(cycle.read("family_grid"), workspace, cycle)
    assert cells.equal == cells.compared > 100


def test_waterfall_and_grids_over_all_locked_plans_hold_them_cell_by_cell(workspace: Workspace) -> None:
    waterfall, grids = rounds.views_of_locked_plans(workspace)
    assert waterfall.equal == waterfall.compared > 150
    assert grids.equal == grids.compared == 3 * 6 * 6 * 11, "three plans, six families, six months, eleven columns"


def test_a_cell_that_was_touched_is_seen(workspace: Workspace) -> None:
    """The comparison above is worth something: one unit more in one cell, or a row less, is one cell less that is equal."""
    cycle = workspace.cycle(CYCLES[-1])
    for name, column, compare in (("plan_waterfall", "plan_qty", lambda rows: rounds.waterfall_cells(rows, workspace, cycle.id)),
                                  ("family_grid", "production_plan_qty", lambda rows: rounds.grid_cells(rows, workspace, cycle))):
        shown = cycle.read(name)
        touched = shown.copy()
        touched.loc[3, column] += 1.0
        assert compare(touched).equal < compare(shown).equal == compare(shown).compared
    without = cycle.read("plan_waterfall").iloc[1:]
    assert rounds.waterfall_cells(without, workspace, cycle.id).equal == len(without)


def test_the_last_cycle_scored_what_was_assumed_and_decided(workspace: Workspace) -> None:
    last = workspace.cycle(CYCLES[-1])
    assumed, decided = (records_with_outcome(last, kind).iloc[0] for kind in ("assumption", "decision"))
    assert assumed["verdict"] == "held"
    history = last.read("sales_history")
    stoves = history["item_id"].map(last.read("item").set_index("item_id")["family"]) == "Camp Stoves"
    assert assumed["actual_value"] == pytest.approx(history.loc[stoves & (history["period"] >= AUGUST), "ordered_qty"].sum())
    assert decided["verdict"] == "missed"
    assert set(last.records("outcome")["by"]) == {"workbench"}
    assert workspace.cycle(CYCLES[1]).records("outcome").empty, "September was not over yet"


def test_the_next_cycle_tells_how_far_the_plan_moved_inside_the_fence(workspace: Workspace) -> None:
    for cycle_id, before in (("2026-09", "2026-08"), ("2026-10", "2026-09")):
        found = workspace.cycle(cycle_id).read("kpi").query("kpi == 'plan_stability' and level == 'total'").iloc[0]
        assert found["value"] > 0
        assert f"production of 3 periods inside the fence against the plan of {before}" in found["reason"]


def test_planted_causes_come_first_against_the_plans_that_the_workbench_locked_too(workspace: Workspace) -> None:
    tree = workspace.cycle(CYCLES[-1]).read("driver_tree").query("tree == 'why'")
    tree = tree.set_index(["measure", "level", "period", "sequence"]).sort_index()
    for period in pd.date_range("2026-04-01", SEPTEMBER, freq="MS"):
        assert tree.loc[("margin", "cause", period, 1), "cause"] == "sales stream"
    assert tree.loc[("margin", "item × place", pd.Timestamp("2026-04-01"), 1), "cause"] == "EV-014"
    assert tree.loc[("production", "cause", SEPTEMBER, 1), "cause"] == "SUP-11"
    fire = tree.loc[("production", "cause", AUGUST)].query("driver == 'capacity loss'")
    assert fire["cause"].tolist() == ["BURN2"]


def test_a_plan_locked_twice_outside_tolerance_asks_the_next_cycle_for_a_change(workspace: Workspace) -> None:
    """Coolers sold far below plan in the rainy summer, month after month: the cycle after has to decide on it."""
    found = []
    for cycle_id in CYCLES:
        cycle = workspace.cycle(cycle_id)
        asked = cycle.read("alert").query("alert == 'sales off plan'")
        asked = asked[asked["sentence"].str.contains("change request")]
        decisions = cycle.read("open_decision")["question"]
        for family in asked["member"]:
            assert decisions.str.contains(family).any(), (cycle_id, family)
        found += asked["member"].tolist()
    assert "Coolers" in found


def test_the_archive_of_a_later_cycle_is_what_the_earlier_ones_locked(workspace: Workspace) -> None:
    last = workspace.cycle(CYCLES[-1])
    archive = reviews.past_plans(last, last.read("plan_archive"))
    for past in map(workspace.cycle, CYCLES[:-1]):
        locked = archive[(archive["lock_cycle_id"] == past.id) & (archive["stream"] == "consensus")]
        wanted = past.read("consensus_demand").set_index(["item_id", "market_id", "period"])["demand_qty"].sort_index()
        kept = locked.set_index(wanted.index.names)["plan_qty"].sort_index()
        pd.testing.assert_series_equal(kept, wanted, check_names=False)
    assert set(execution.waterfall(archive, last.read("sales_history"))["stream"]) >= {"sales", "marketing", "statistical", "consensus"}
