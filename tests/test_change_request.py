"""What the weekly round hands to the monthly one: once, signed, with its evidence, open until something answers it."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from test_store import together

from sop_workbench import cli, decision, follow_up, governance, tables, views, weekly_execution
from sop_workbench.adjustment import append_edits
from sop_workbench.chain import STEPS, Chain
from sop_workbench.change_request import hand_over
from sop_workbench.errors import CycleLockedError, DataError, RoleError, SettingsError, UnknownCycleError
from sop_workbench.outcome import record_decision
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings, load_settings
from sop_workbench.store import Cycle, open_workspace

WEEK = "2026-W40"  # Monday 28 September 2026


def exceptions(*found: tuple[str, str, float, bool]) -> pd.DataFrame:
    return tables.validate("execution_exception", pd.DataFrame([
        {"sequence": n, "kind": kind, "level": "family", "member": member, "period": pd.Timestamp("2026-09-21"), "value": -0.3,
         "tolerance": 0.15, "money_amt": money, "weeks_outside": 2.0, "is_outside": outside,
         "response": "change request" if outside else "fix it this week", "sentence": f"{member}: {kind}."}
        for n, (kind, member, money, outside) in enumerate(found, start=1)]))


FOUND = (("sales off plan", "Coolers", None, True), ("resource full", "WELD", 5000.0, True), ("supply late", "PO-1", 10.0, False))


def write(folder: Path, **settings: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sop.yaml").write_text(yaml.safe_dump({"company": "Any", **settings}))
    return folder


@pytest.fixture
def weekly(tmp_path: Path) -> Cycle:
    """A week with two things outside tolerance and one inside, and a monthly workspace that has begun October."""
    month = write(tmp_path / "month")
    open_workspace(month).cycle("2026-10").append("comment", {"subject": "a", "text": "b"}, by="Ann", why="begun")
    week = write(tmp_path / "week", bucket="week", monthly_workspace="../month")
    cycle = open_workspace(week).cycle(WEEK)
    cycle.write("execution_exception", exceptions(*FOUND))
    return cycle


@pytest.fixture
def monthly(weekly: Cycle) -> Cycle:
    return follow_up.monthly_workspace(weekly).cycle("2026-10")


def later(weekly: Cycle, week: str, *found: tuple[str, str, float, bool]) -> Cycle:
    cycle = weekly.workspace.cycle(week)
    cycle.write("execution_exception", exceptions(*found))
    return cycle


# ------------------------------------------------------------------ handing over
def test_what_is_outside_is_handed_over_once_with_who_when_and_evidence(weekly: Cycle, monthly: Cycle) -> None:
    target, added = hand_over(weekly, by="J. Novak")
    assert (target.id, len(added)) == ("2026-10", 2)
    held = monthly.records("change_request").set_index("member")
    assert held.index.tolist() == ["Coolers", "WELD"]
    row = held.loc["Coolers"]
    assert (row["by"], row["weekly_cycle_id"], row["weeks_outside"], row["value"], row["tolerance"]) == ("J. Novak", WEEK, 2, -0.3, 0.15)
    assert row["why"] == "outside tolerance in week 2026-W40 of week"
    assert pd.notna(row["at"])
    again, none = hand_over(weekly, by="J. Novak")
    assert (again.id, len(none), len(monthly.records("change_request"))) == ("2026-10", 0, 2)


def test_a_week_later_only_what_is_new_is_asked_and_again_only_after_an_answer(weekly: Cycle, monthly: Cycle) -> None:
    hand_over(weekly, by="Ann")
    still = later(weekly, "2026-W41", FOUND[0], ("stock runs out", "Grill", 100.0, True))
    assert hand_over(still, by="Ann")[1]["member"].tolist() == ["Grill"], "Coolers are asked for already"
    answer = {"question": "Coolers?", "choice": "new level", "answers": "2026-W40 sales off plan: Coolers"}
    monthly.append("decision", answer, by="GM", why="w")
    assert hand_over(weekly, by="Ann")[1].empty, "the same week never asks twice"
    assert hand_over(later(weekly, "2026-W42", *FOUND), by="Ann")[1]["member"].tolist() == ["Coolers"]


def test_the_cycle_of_the_month_takes_it_while_it_is_open_else_the_next(weekly: Cycle, monthly: Cycle) -> None:
    workspace = monthly.workspace
    workspace.cycle("2026-09").append("comment", {"subject": "a", "text": "b"}, by="Ann", why="begun")
    assert hand_over(weekly, by="Ann")[0].id == "2026-09"
    workspace.cycle("2026-09").lock(by="GM", why="go")
    assert hand_over(later(weekly, "2026-W41", ("resource full", "PAINT", 1.0, True)), by="Ann")[0].id == "2026-10"
    assert hand_over(weekly, by="Ann")[1].empty, "what a locked cycle holds is known"


def test_a_month_that_ends_early_is_that_of_the_monthly_calendar(weekly: Cycle) -> None:
    write(Path(weekly.workspace.folder).parent / "month", calendar_shift_days=5)
    hand_over(weekly, by="Ann")  # 28 September is in October there: it begins on the 26th
    assert follow_up.monthly_workspace(weekly).cycle("2026-10").records("change_request").shape[0] == 2


def test_a_locked_or_missing_monthly_cycle_is_told_with_the_remedy(weekly: Cycle, monthly: Cycle) -> None:
    with pytest.raises(UnknownCycleError, match=r"has no cycle 2026-12; its cycles: 2026-10. Begin it: sop run --workspace .*month "
                                                r"--cycle 2026-12 --to 0, then hand over again"):
        hand_over(weekly, by="Ann", into="2026-12")
    monthly.lock(by="GM", why="go")
    with pytest.raises(CycleLockedError, match=r"cycle 2026-10 of .* is locked and takes no change request; .*--cycle 2026-11 --to 0"):
        hand_over(weekly, by="Ann", into="2026-10")
    with pytest.raises(UnknownCycleError, match=r"no open cycle from 2026-09 on; its cycles: 2026-10 \(locked\). Begin it: .* 2026-11"):
        hand_over(weekly, by="Ann")
    with pytest.raises(SettingsError, match="is not a month"):
        hand_over(weekly, by="Ann", into="soon")
    assert monthly.records("change_request").empty


def test_a_workspace_that_is_no_weekly_one_or_names_no_monthly_one_is_told(weekly: Cycle, monthly: Cycle, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cycle 2026-10 is a monthly one"):
        hand_over(monthly, by="Ann")
    for named, message in ((None, "names no monthly workspace; say in its sop.yaml"), ("../nowhere", "nowhere is no workspace"),
                           ("../week", "is planned in weeks")):
        write(tmp_path / "week", bucket="week", **({} if named is None else {"monthly_workspace": named}))
        cycle = open_workspace(tmp_path / "week").cycle(WEEK)
        with pytest.raises(SettingsError, match=message):
            hand_over(cycle, by="Ann")
        assert follow_up.handed_over(cycle).empty, "the weekly notebook runs all the same"
    with pytest.raises(SettingsError, match="monthly_workspace is for a weekly workspace"):
        load_settings(write(tmp_path / "other", monthly_workspace="../month"))


def test_an_empty_monthly_workspace_is_told_with_the_remedy(weekly: Cycle) -> None:
    shutil.rmtree(follow_up.monthly_workspace(weekly).folder / "store")
    with pytest.raises(UnknownCycleError, match=r"its cycles: none. Begin it: .* --cycle 2026-09"):
        hand_over(weekly, by="Ann")


def test_a_week_that_was_not_judged_is_told(weekly: Cycle) -> None:
    with pytest.raises(UnknownCycleError, match="execution_exception was never written for cycle 2026-W41"):
        hand_over(weekly.workspace.cycle("2026-W41"), by="Ann")


# ------------------------------------------------------------------ who may
@pytest.mark.parametrize("where", ["week", "month"])
def test_a_viewer_of_either_workspace_is_refused(weekly: Cycle, monthly: Cycle, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_VIEWER", "vic")
    folder = Path(weekly.workspace.folder).parent / where
    (folder / "users.yaml").write_text(yaml.safe_dump({"users": {"ann": "planner", "vic": "viewer"}}))
    cycle = open_workspace(Path(weekly.workspace.folder)).cycle(WEEK)
    with pytest.raises(RoleError, match=r"vic is a viewer \(may read\) and may not"):
        hand_over(cycle, by="vic")
    monkeypatch.setenv("SOP_VIEWER", "ann")
    with pytest.raises(RoleError, match="in the name of vic; sign as ann"):
        hand_over(cycle, by="vic")
    assert monthly.records("change_request").empty
    assert len(hand_over(cycle, by="ann")[1]) == 2


def _hand_over(folder: str, week: str, start: multiprocessing.Barrier, told: multiprocessing.Queue) -> None:
    cycle = open_workspace(folder).cycle(week)
    start.wait()
    told.put(sorted(hand_over(cycle, by=week)[1]["request_id"]))


def test_two_processes_at_once_lose_nothing_and_ask_nothing_twice(weekly: Cycle, monthly: Cycle) -> None:
    later(weekly, "2026-W41", ("resource full", "PAINT", 1.0, True), ("stock runs out", "Grill", 2.0, True))
    folder = str(weekly.workspace.folder)
    said = together(_hand_over, [(folder, WEEK), (folder, WEEK), (folder, "2026-W41")])
    held = monthly.records("change_request")["request_id"]
    assert sorted(held) == sorted(name for names in said for name in names)
    assert sorted(held) == ["2026-W40 resource full: WELD", "2026-W40 sales off plan: Coolers", "2026-W41 resource full: PAINT",
                            "2026-W41 stock runs out: Grill"]


# ------------------------------------------------------------------ answered
def test_it_is_open_until_a_decision_or_an_adjustment_names_it(weekly: Cycle, monthly: Cycle) -> None:
    hand_over(weekly, by="Ann")
    coolers, weld = monthly.records("change_request")["request_id"]
    assert follow_up.change_requests(monthly)["state"].tolist() == ["open", "open"]
    assert follow_up.handed_over(weekly)["state"].tolist() == ["open", "open"]
    november = pd.Timestamp("2026-11-01")
    edits = pd.DataFrame({"item_id": ["A", "A"], "market_id": ["N", "S"], "period": november, "old_qty": 9.0, "new_qty": 5.0})
    with pytest.raises(DataError, match=r"unknown_request, value 2026-W40 sales off plan: Tents(.|\n)*on file: 2026-W40 sales off"):
        append_edits(monthly, edits, by="Mia", why="new level", answers="2026-W40 sales off plan: Tents")
    append_edits(monthly, edits, by="Mia", why="new level", answers=coolers)
    monthly.append("decision", {"question": "Hours?", "choice": "Saturday shift"}, by="GM", why=f"answers {weld}")
    found = follow_up.change_requests(monthly).set_index("member")
    assert found["state"].tolist() == ["answered", "answered"]
    longer = follow_up.records_up_to(monthly, "change_request").assign(request_id=[f"{coolers[:-1]}", f"{weld[:-2]}"])
    others = (follow_up.records_up_to(monthly, name) for name in ("decision", "demand_adjustment"))
    assert governance.request_states(longer, *others)["state"].tolist() == ["open", "open"], "a name that begins another is not named"
    assert found["answer"].to_dict() == {"Coolers": "2 adjustments (Mia, cycle 2026-10)", "WELD": "Saturday shift (GM, cycle 2026-10)"}
    assert follow_up.requests_to_decide(monthly)["member"].tolist() == ["WELD"], "what this cycle decided stays in its list"
    assert follow_up.requests_to_decide(monthly.workspace.cycle("2026-11")).empty
    shown = views.change_requests(follow_up.handed_over(weekly))
    assert shown.attrs["title"] == "2 change requests of the weekly round, 0 open"
    assert shown.loc[shown["what"] == "Coolers: sales off plan.", ["off_text", "tolerance_text"]].iloc[0].tolist() == ["-30 %", "15 %"]


def open_decisions(asked: pd.DataFrame) -> pd.DataFrame:
    names = ("budget_gap", "binding_limit", "unmet_demand", "excess_stock", "scenario_comparison", "alert")
    return decision.open_decisions(*(tables.table(name).empty() for name in names), Settings(company="Any"), change_request=asked)


def test_the_executive_list_asks_for_each_kind_and_deciding_it_answers_all_of_it(weekly: Cycle, monthly: Cycle) -> None:
    more = [("resource full", f"LINE {n}", 100.0 * n, True) for n in range(1, 5)]
    weekly.write("execution_exception", exceptions(*FOUND, *more))
    hand_over(weekly, by="Ann")
    found = open_decisions(follow_up.requests_to_decide(monthly))
    assert found["question"].tolist() == [
        "The weekly round of 2026-W40 asks for 5 changes (resource full: WELD, LINE 4, LINE 3 and 2 more): what changes in the plan?",
        "The weekly round of 2026-W40 asks for 1 change (sales off plan: Coolers): what changes in the plan?"]
    assert found["money_amt"].tolist()[0] == 6000.0
    assert pd.isna(found["money_amt"].iloc[1])
    monthly.write("open_decision", found)
    chain = Chain(monthly.workspace, monthly, STEPS)
    record_decision(chain, 1, "add hours or a subcontractor", by="GM", why="pays")
    states = follow_up.change_requests(monthly).set_index("member")["state"]
    assert states.to_dict() == {"Coolers": "open", **dict.fromkeys(["WELD", "LINE 1", "LINE 2", "LINE 3", "LINE 4"], "answered")}
    assert len(open_decisions(follow_up.requests_to_decide(monthly))) == 2, "the page shows beside it that it is decided"
    with pytest.raises(DataError, match="unknown_request"):
        record_decision(chain, None, "yes", by="GM", why="pays", question="Tents?", answers="nothing such")


def test_a_new_request_makes_the_steps_that_show_it_stale() -> None:
    assert [step.name[:2] for step in STEPS if "change_request" in step.records] == ["05", "06", "07"]


# ------------------------------------------------------------------ evidence, command line
def test_weeks_in_a_row_are_counted_on_the_same_side() -> None:
    def deviation(*sold: float) -> pd.DataFrame:
        weeks = pd.date_range("2026-08-31", periods=len(sold), freq="W-MON")
        return pd.DataFrame([{"plan_cycle_id": "x", "stream": "consensus", "item_id": "A", "market_id": "N", "family": "Coolers", "lag": 0,
                              "period": week, "plan_qty": 100.0, "actual_qty": actual, "deviation_qty": actual - 100}
                             for week, actual in zip(weeks, sold, strict=True)])

    names = ("projected_stockout", "late_supply", "resource_plan", "allocation", "unmet_demand")
    empty = {name: tables.table(name).empty() for name in names}
    calendar = Calendar("week")
    for sold, weeks, words in (((60, 60, 60, 60), 4, "the 4th week running: the level has changed"), ((130, 60, 60), 2, "the 2nd week"),
                               ((60, 95, 60), 1, "look at it with sales")):
        found = weekly_execution.exceptions(deviation(*sold), *empty.values(), Settings(company="Any", bucket="week"),
                                            calendar.horizon(WEEK, 4), calendar).iloc[0]
        assert found["weeks_outside"] == weeks
        assert words in found["sentence"]
        assert len(weekly_execution.change_requests(found.to_frame().T, WEEK)) == (weeks > 1)


def test_states_of_no_request_are_no_states() -> None:
    empty = {name: tables.table(name).empty().assign(cycle_id="") for name in ("change_request", "decision", "demand_adjustment")}
    assert governance.request_states(**empty).empty
    assert views.change_requests(governance.request_states(**empty)).attrs["empty"].startswith("No change request was handed")


def sop(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.main, [*arguments, "--workspace", str(folder)])


def test_the_command_hands_over_and_says_what(weekly: Cycle, monthly: Cycle) -> None:
    folder = Path(weekly.workspace.folder)
    said = sop(folder, "request", "--cycle", WEEK, "--by", "J. Novak")
    assert said.exit_code == 0, said.output
    assert said.output == (f"  Coolers: sales off plan.\n  WELD: resource full.\n2 new change requests of week {WEEK} in cycle 2026-10 of "
                           f"{folder.parent / 'month'}\n")
    assert "nothing is outside tolerance that was not asked before" in sop(folder, "request", "--cycle", WEEK, "--by", "J. Novak").output
    listed = sop(folder.parent / "month", "records", "change_request", "--cycle", "2026-10").output
    assert "2026-W40 sales off plan: Coolers" in listed
    assert "[open]" in listed
    monthly.lock(by="GM", why="go")
    refused = sop(folder, "request", "--cycle", WEEK, "--by", "J. Novak", "--into", "2026-10")
    assert (refused.exit_code, "takes no change request" in refused.stderr) == (1, True)
