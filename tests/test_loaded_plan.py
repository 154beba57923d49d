"""The plan held for the pages to come: given once, only as long as the store holds what it was made of, and equal to one loaded anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from planned_company import CYCLE, planned

from sop_workbench import reviews
from sop_workbench.pages import loaded
from sop_workbench.scenario import Lever
from sop_workbench.serving.kernels import ForkServer
from sop_workbench.store import Cycle, open_workspace

pytestmark = pytest.mark.slow  # plans the small company once: about ten seconds
LESS = Lever(table="capacity", column="regular_hours", operation="multiply", value=0.7)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planned(tmp_path_factory.mktemp("loaded") / "w")


@pytest.fixture
def cycle(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cycle]:
    monkeypatch.setenv("SOP_VIEWER", "ann")
    yield open_workspace(workspace).cycle(CYCLE)
    loaded.let_go()


def test_what_is_held_is_given_once_and_answers_as_one_loaded_anew(cycle: Cycle) -> None:
    loaded.hold(loaded.stand_of(cycle), reviews.what_if_situation(cycle))
    (held,) = loaded._held.values()
    assert loaded.session(cycle) is held
    anew = loaded.session(cycle)
    assert anew is not held
    assert held.pull([LESS]).objective_amt == pytest.approx(anew.pull([LESS]).objective_amt)


def test_a_plan_of_other_tables_is_not_given(cycle: Cycle) -> None:
    before = loaded.stand_of(cycle)
    assert before == loaded.stand_of(cycle)
    loaded.hold(before, reviews.what_if_situation(cycle))
    (held,) = loaded._held.values()
    twice = cycle.read("consensus_demand").assign(demand_qty=lambda rows: rows["demand_qty"] * 2)
    cycle.write("consensus_demand", twice, note="for a test")
    assert loaded.stand_of(cycle) != before
    newer = loaded.session(cycle)
    assert newer is not held
    assert newer.base.value("lost revenue") > held.base.value("lost revenue")


def test_the_forking_process_renews_the_plan_and_says_why_it_holds_none(workspace: Path, cycle: Cycle, tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    server = ForkServer(["sop_workbench.pages.executive"], tmp_path / "log", workspace)
    try:
        ready = server.start()
        assert (ready["plan"], ready["faults"]) == (f"cycle {CYCLE}", [])
        assert ready["threads"] <= 2, "threads do not survive a fork"
        assert server.renew_plan() == "", "asked a moment ago"
        server._renewed = float("-inf")
        cycle.write("consensus_demand", cycle.read("consensus_demand"), note="for a test")
        assert server.renew_plan() == f"cycle {CYCLE}"
    finally:
        server.stop()
    nowhere = ForkServer([], tmp_path / "log", tmp_path)
    try:
        assert nowhere.start()["plan"].startswith("none: ")
    finally:
        nowhere.stop()
