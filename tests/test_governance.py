"""States of steps and cycles, who may approve, the working-day calendar, cadence and maturity, decisions and what came of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from test_chain import STEPS, Chain, open_chain, write_workspace

from sop_workbench import chain as chain_module
from sop_workbench import cli, governance, kpi, tables, tolerance, views
from sop_workbench.chain import approve_step, cycle_state, kept_cycles, lock_cycle, run_chain, step_states, submit_step
from sop_workbench.errors import CycleLockedError, DataError, RoleError, SettingsError, UnknownCycleError
from sop_workbench.follow_up import follow_up, records_with_outcome, risk_register
from sop_workbench.outcome import record_action, record_decision, record_outcome, record_risk
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.store import Cycle, open_store, open_workspace

USERS = "users: {helga: approver, max: approver, ann: planner}\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    made = write_workspace(tmp_path_factory.mktemp("ran") / "w")
    run_chain(made)
    return made


@pytest.fixture
def chain(ran: Chain, tmp_path: Path) -> Chain:
    """A cycle that ran, of a company that names its people."""
    shutil.copytree(ran.workspace.folder, tmp_path / "w")
    (tmp_path / "w" / "users.yaml").write_text(USERS)
    return open_chain(tmp_path / "w")


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch):
    return lambda name: monkeypatch.setenv("JUPYTERHUB_USER", name)


def test_naming_people_makes_no_step_stale(chain: Chain) -> None:
    assert [state.status for state in step_states(chain)] == ["done"] * 3


def test_a_step_goes_from_draft_to_locked_through_two_people(chain: Chain, as_user) -> None:
    as_user("ann")
    with pytest.raises(RoleError, match="ann is a planner .* may not approve a step"):
        approve_step(chain, "review", by="ann", why="fine")
    for step in STEPS:
        submit_step(chain, step.name, by="ann", why="checked with sales")
    states = step_states(chain)
    assert {(state.status, state.reason) for state in states} == {("submitted", "by ann: checked with sales")}
    assert cycle_state(states) == "submitted"
    as_user("helga")
    with pytest.raises(SettingsError, match="00_gather is submitted; .* then submit and approve each step"):
        lock_cycle(chain, by="helga", why="go")
    for step in STEPS:
        approve_step(chain, step.name, by="helga", why="agreed")
    assert cycle_state(step_states(chain)) == "approved"
    lock_cycle(chain, by="helga", why="go")
    assert cycle_state(step_states(chain)) == "locked"


def test_who_submitted_does_not_approve(chain: Chain, as_user) -> None:
    as_user("helga")
    with pytest.raises(SettingsError, match="01_review was not submitted"):
        approve_step(chain, "review", by="helga", why="fine")
    submit_step(chain, "review", by="helga", why="checked")
    with pytest.raises(RoleError, match="helga submitted 01_review of cycle 2026-10 and may not approve it"):
        approve_step(chain, "review", by="helga", why="fine")
    as_user("max")
    approve_step(chain, "review", by="max", why="fine")
    assert step_states(chain)[1].status == "approved"


# ------------------------------------------------------------------ tolerances decide who decides
OWNED = """
company: Any
steps:
  gather: {owner: Anna, due_working_day: 3}
  review: {owner: Demand planning (O. Lund), due_working_day: 9, user: olaf}
  compare: {owner: General manager (H. Varnholt), due_working_day: 18, user: helga}
users: {helga: approver, max: approver, olaf: planner, ann: planner}
"""
OUTSIDE = ["demand of Grills moved +14% against the plan of 2026-09", "demand of Stoves is new"]


@pytest.fixture
def owned(ran: Chain, tmp_path: Path) -> Path:
    """A cycle that ran, of a company that says who owns the review and who decides for the executive."""
    folder = shutil.copytree(ran.workspace.folder, tmp_path / "w")
    (folder / "sop.yaml").write_text(OWNED)
    return folder


def judged(folder: Path, outside: list[str]) -> Chain:
    """The chain, its review inside tolerance or not; the last step is the executive's."""
    chain = open_chain(folder)
    gather, review, compare = chain.steps
    return replace(chain, steps=(gather, replace(review, outside=lambda _: outside), replace(compare, is_executive=True)))


def test_within_tolerance_the_owner_decides_planner_or_not(owned: Path, as_user) -> None:
    chain = judged(owned, [])
    as_user("ann")
    submit_step(chain, "review", by="ann", why="checked")
    with pytest.raises(RoleError, match="ann is a planner .* may not approve a step"):
        approve_step(chain, "review", by="ann", why="fine")
    as_user("max")
    with pytest.raises(RoleError, match="max may not approve 01_review of cycle 2026-10: it is for its owner, olaf; olaf or helga"):
        approve_step(chain, "review", by="max", why="fine")
    as_user("olaf")
    assert approve_step(chain, "review", by="olaf", why="agreed") == []
    assert step_states(chain)[1].status == "approved"
    assert chain.cycle.records("step_status")["outside_tolerance"].iloc[-1] == ""


def test_outside_tolerance_the_next_level_up_decides_and_is_told_what(owned: Path, as_user) -> None:
    chain = judged(owned, OUTSIDE)
    as_user("ann")
    submit_step(chain, "review", by="ann", why="checked")
    as_user("olaf")
    with pytest.raises(RoleError, match="olaf is a planner .* may not approve a step"):
        approve_step(chain, "review", by="olaf", why="mine")
    as_user("max")
    with pytest.raises(RoleError) as refused:
        approve_step(chain, "review", by="max", why="fine")
    assert str(refused.value) == (
        "max may not approve 01_review of cycle 2026-10: it lies outside tolerance, so General manager (H. Varnholt) decides; helga "
        f"approves it\n  {OUTSIDE[0]}\n  {OUTSIDE[1]}")
    assert step_states(chain)[1].status == "submitted"
    as_user("helga")
    assert approve_step(chain, "review", by="helga", why="the spring campaign explains it") == OUTSIDE
    assert chain.cycle.records("step_status")["outside_tolerance"].iloc[-1] == "; ".join(OUTSIDE)


def test_status_says_who_has_to_approve_what_is_outside(owned: Path, as_user, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = judged(owned, OUTSIDE)
    monkeypatch.setattr(cli, "_chain", lambda *_: chain)
    as_user("ann")
    submit_step(chain, "review", by="ann", why="checked")
    said = CliRunner().invoke(cli.main, ["status", "--workspace", str(owned)])
    assert "outside tolerance in 2 points: for General manager (H. Varnholt) to approve" in said.output
    as_user("helga")
    said = CliRunner().invoke(cli.main, ["approve", "review", "--workspace", str(owned), "--by", "helga", "--why", "agreed"])
    assert said.output.splitlines() == [
        "01_review of cycle 2026-10 approved by helga", "outside tolerance, for General manager (H. Varnholt) to decide:",
        *(f"  {sentence}" for sentence in OUTSIDE)]


def test_an_owner_does_not_approve_at_the_store_either_what_is_another_step(owned: Path, as_user) -> None:
    cycle = open_chain(owned).cycle
    as_user("olaf")
    cycle.append("step_status", {"step": "01_review", "status": "approved"}, by="olaf", why="mine")
    with pytest.raises(RoleError, match="olaf is a planner"):
        cycle.append("step_status", {"step": "02_compare", "status": "approved"}, by="olaf", why="not mine")


def test_the_executive_step_and_the_lock_are_for_the_person_named_there(owned: Path, as_user) -> None:
    chain = judged(owned, [])
    as_user("ann")
    for step in STEPS:
        submit_step(chain, step.name, by="ann", why="checked")
    as_user("max")
    with pytest.raises(RoleError, match="max may not approve 02_compare .* decided by the executive step; helga approves it"):
        approve_step(chain, "compare", by="max", why="fine")
    with pytest.raises(RoleError, match=r"max may not lock cycle 2026-10: that is for helga, General manager \(H. Varnholt\), to decide"):
        lock_cycle(chain, by="max", why="go")
    approve_step(chain, "gather", by="max", why="nobody is named there")
    as_user("olaf")
    approve_step(chain, "review", by="olaf", why="fine")
    as_user("helga")
    approve_step(chain, "compare", by="helga", why="fine")
    lock_cycle(chain, by="helga", why="go")
    assert chain.cycle.is_locked


def test_where_nobody_is_named_another_approver_is_enough(chain: Chain, as_user) -> None:
    judged_chain = replace(chain, steps=tuple(replace(step, outside=lambda _: OUTSIDE) for step in chain.steps))
    as_user("ann")
    submit_step(judged_chain, "review", by="ann", why="checked")
    as_user("max")
    assert approve_step(judged_chain, "review", by="max", why="seen") == OUTSIDE


def test_without_users_nobody_is_refused_and_what_is_outside_stays_on_record(ran: Chain, tmp_path: Path) -> None:
    shutil.copytree(ran.workspace.folder, tmp_path / "w")
    chain = judged(tmp_path / "w", OUTSIDE)
    assert approve_step(chain, "review", by="Ann", why="agreed in the meeting") == OUTSIDE
    assert chain.cycle.records("step_status")["outside_tolerance"].iloc[-1] == "; ".join(OUTSIDE)


def test_every_tolerance_of_the_settings_judges_a_step() -> None:
    outside = {step.name: step.outside for step in chain_module.STEPS}
    assert [name for name, judge in outside.items() if judge is not None] == [
        "02_demand_review", "03_supply_review", "04_financial_review", "05_pre_sop", "07_execution_monitoring"]
    assert [step.name for step in chain_module.STEPS if step.is_executive] == ["06_executive_sop"]


def consensus(**by_item: list[float]) -> pd.DataFrame:
    """Demand of items over October, November and so on, in one market."""
    return pd.DataFrame([{"item_id": i, "market_id": "N", "period": p, "demand_qty": q} for i, given in by_item.items()
                         for p, q in zip(pd.date_range("2026-10-01", periods=len(given), freq="MS"), given, strict=True)])


ITEM = pd.DataFrame({"item_id": list("ABCD"), "family": ["Grills", "Grills", "Stoves", None]})


def test_demand_that_moved_beyond_tolerance_is_named_by_family() -> None:
    """Grills 200 → 222 (+11 %), Stoves 100 → 110 (+10 %, just inside); the third month is planned now only."""
    before = consensus(A=[50, 50], B=[50, 50], C=[50, 50])
    now = consensus(A=[60, 62, 999], B=[50, 50, 999], C=[55, 55, 999])
    settings = Settings(company="Any")
    assert governance.demand_changes(now, before, ITEM, settings, "2026-09") == [
        "demand of Grills moved +11% against the plan of 2026-09 over 2 shared periods (200 → 222 units, tolerance 10%)"]
    wider = settings.model_copy(update={"tolerances": settings.tolerances.model_copy(update={"demand_change_ratio": 0.12})})
    assert governance.demand_changes(now, before, ITEM, wider, "2026-09") == []


def test_a_family_without_a_plan_before_is_outside_and_a_tiny_one_is_not() -> None:
    before, now = consensus(A=[500, 500]), consensus(A=[500, 500], C=[2, 2], D=[50, 50])
    assert governance.demand_changes(now, before, ITEM, Settings(company="Any"), "2026-09") == [
        "demand of no family is new against the plan of 2026-09 over 2 shared periods (0 → 100 units, tolerance 10%)"]


def test_a_budget_that_is_missed_beyond_tolerance_is_named_in_whole_and_by_family() -> None:
    """Grills 900 of 1000, Stoves 990 of 1000 (−1 %), together 1890 of 2000 (−5.5 %, tolerance 5 %); Pans have no budget."""
    gap = pd.DataFrame({"family": ["Grills", "Stoves", "Pans"], "budget_revenue_amt": [1000.0, 1000.0, None],
                        "gap_amt": [-100.0, -10.0, None]})
    assert governance.budget_gaps(gap, Settings(company="Any")) == [
        "the whole plan stands 110 EUR below budget (6%, tolerance 5%)", "Grills stands 100 EUR below budget (10%, tolerance 5%)"]
    assert governance.budget_gaps(gap.assign(gap_amt=[500.0, -10.0, None]), Settings(company="Any")) == []


def test_what_is_judged_of_a_cycle_is_read_from_its_tables(tmp_path: Path) -> None:
    """Demand against the plan locked last, loads and service of the plan, the gap to budget; a cycle without tables has nothing."""
    (tmp_path / "sop.yaml").write_text("company: Any\n")
    workspace = open_workspace(tmp_path)
    judges = (tolerance.demand_changes, tolerance.supply_limits, tolerance.budget_gaps, tolerance.actual_deviations)
    assert [judge(workspace.cycle("2026-10")) for judge in (*judges, tolerance.pre_sop)] == [[]] * 5
    whole = {name: tables.table(name) for name in ("consensus_demand", "resource_plan", "budget_gap")}
    blank = {name: {c.name: 0.0 if c.type == "number" else "" for c in t.columns.values()} for name, t in whole.items()}

    def write(cycle: Cycle, demand: float) -> None:
        rows = {"item": {"item_id": "A", "item_name": "A", "item_type": "finished", "family": "Grills"},
                "consensus_demand": {"item_id": "A", "market_id": "N", "demand_qty": demand},
                "resource_plan": {"resource_id": "WELD", "used_hours": 97.0, "regular_hours": 100.0},
                "budget_gap": {"family": "Grills", "region": "North", "budget_revenue_amt": 100.0, "gap_amt": -20.0}}
        rows = {name: row if name == "item" else blank[name] | row | {"period": "2026-10-01"} for name, row in rows.items()}
        cycle.write_all({name: tables.conform(name, pd.DataFrame([row]))[0] for name, row in rows.items()})

    write(workspace.cycle("2026-09"), 100.0)
    workspace.cycle("2026-09").lock(by="GM", why="go")
    write(workspace.cycle("2026-10"), 150.0)
    found = [judge(workspace.cycle("2026-10")) for judge in judges]
    assert found[0] == ["demand of Grills moved +50% against the plan of 2026-09 over 1 shared period (100 → 150 units, tolerance 10%)"]
    assert found[1] == ["WELD is loaded above 95% of its regular hours in 1 period, most in 2026-10 (97%, 0 h overtime)."]
    assert found[2] == ["Grills stands 20 EUR below budget (20%, tolerance 5%)"]
    assert found[3] == []


def planned_demand(served: float) -> pd.DataFrame:
    """A plan for 100 units at 10 each, served in part."""
    blank = {c.name: 0.0 if c.type == "number" else "" for c in tables.table("unmet_demand").columns.values()}
    row = blank | {"item_id": "A", "market_id": "N", "period": "2026-10-01", "demand_qty": 100.0, "served_qty": served, "price_amt": 10.0,
                   "lost_qty": 100.0 - served, "lost_revenue_amt": 10 * (100 - served)}
    return tables.conform("unmet_demand", pd.DataFrame([row]))[0]


def pre_sop_plan(cycle: Cycle, served: float, gap: float) -> None:
    blank = {c.name: 0.0 if c.type == "number" else "" for c in tables.table("budget_gap").columns.values()}
    budget = [blank | {"family": family, "region": "North", "period": "2026-10-01", "budget_revenue_amt": 500.0, "gap_amt": own}
              for family, own in (("Grills", gap), ("Tents", 0.0))]
    item = pd.DataFrame([{"item_id": "A", "item_name": "A", "item_type": "finished", "family": "Grills"}])
    cycle.write_all({"item": tables.conform("item", item)[0], "unmet_demand": planned_demand(served),
                     "budget_gap": tables.conform("budget_gap", pd.DataFrame(budget))[0],
                     "scenario_comparison": tables.table("scenario_comparison").empty()})


def test_the_pre_sop_leaves_to_the_executive_meeting_what_is_beyond_its_tolerances(tmp_path: Path) -> None:
    """Unserved demand, the gap of the whole plan, and decisions by their money, each just inside and just outside."""
    (tmp_path / "sop.yaml").write_text("company: Any\n")
    cycle = open_workspace(tmp_path).cycle("2026-10")
    assert tolerance.pre_sop(cycle) == [], "nothing was compared yet"
    pre_sop_plan(cycle, served=95.5, gap=-45.0)
    assert tolerance.pre_sop(cycle) == [], "a family far below its budget is for the management review while the whole plan is not"
    pre_sop_plan(cycle, served=94.0, gap=-60.0)
    unserved, *decided = tolerance.pre_sop(cycle)
    assert unserved == "the plan leaves 60 EUR of 1,000 EUR of demand unserved (6.0%, tolerance 5.0%)"
    assert sum(said.startswith("The whole plan stands 60 EUR (6%) below budget") for said in decided) == 1
    assert len(decided) == 3, "the plan, the family, the shortage: 60 each, of 940 revenue"
    assert all(said.endswith("60 EUR are at stake (6.4% of the plan's revenue, tolerance 5.0%)") for said in decided)
    (tmp_path / "sop.yaml").write_text("company: Any\ntolerances: {decision_ratio: 0.1}\n")
    gap, again = tolerance.pre_sop(open_workspace(tmp_path).cycle("2026-10"))
    assert (gap, again) == ("the whole plan stands 60 EUR below budget (6%, tolerance 5%)", unserved)
    wider = "company: Any\ntolerances: {budget_gap_ratio: 0.1, unserved_demand_ratio: 0.1, decision_ratio: 0.1}\n"
    (tmp_path / "sop.yaml").write_text(wider)
    assert tolerance.pre_sop(open_workspace(tmp_path).cycle("2026-10")) == []


def test_what_is_for_the_management_review_its_lead_decides_too(chain: Chain, as_user) -> None:
    """A planner who leads the pre-S&OP decides what is within its tolerance, and nothing beyond."""
    folder = Path(chain.workspace.folder)
    settings = yaml.safe_load((folder / "sop.yaml").read_text())
    settings["steps"] = {**settings.get("steps", {}), "05_pre_sop": {"owner": "Lead", "due_working_day": 15, "user": "ann"}}
    (folder / "sop.yaml").write_text(yaml.safe_dump(settings))
    led = open_chain(folder)
    as_user("ann")
    levels = ["Management review (pre-S&OP)", "Executive S&OP"]
    led.cycle.write("open_decision", open_questions().assign(level=levels))
    assert record_decision(led, 1, "overtime", by="ann", why="pays")["choice"] == "overtime"
    with pytest.raises(RoleError, match="ann is a planner .* may not decide what is for Executive S&OP"):
        record_decision(led, 2, "yes", by="ann", why="old")
    assert [chain_module.role_to_decide(chain, level) for level in (*levels, "Operations")] == ["approver", "approver", "planner"]


# ------------------------------------------------------------------ working days
@pytest.mark.parametrize(("holidays", "due"), [
    ("[]", "2026-10-05"), ("DE", "2026-10-05"), ("['2026-10-02']", "2026-10-06"), ("[2026-10-01, 2026-10-02]", "2026-10-07"),
    ("GB-NIR", "2026-10-05")])
def test_steps_are_due_by_the_working_days_of_the_settings(tmp_path: Path, holidays: str, due: str) -> None:
    """Working day 3 from Thursday 1 October 2026; Germany's holiday of the 3rd is a Saturday."""
    chain = write_workspace(tmp_path / "w")
    settings = Path(chain.workspace.folder) / "sop.yaml"
    settings.write_text(settings.read_text() + f"calendar: {{holidays: {holidays}}}\n")
    assert step_states(open_chain(settings.parent))[0].due == f"WD3 ({due})"


def test_holidays_are_no_working_days_late(tmp_path: Path) -> None:
    chain = write_workspace(tmp_path / "w")
    settings = Path(chain.workspace.folder) / "sop.yaml"
    settings.write_text(settings.read_text() + "calendar: {holidays: [2026-10-06, 2026-10-07]}\n")
    late = [step_states(open_chain(settings.parent), pd.Timestamp(f"2026-10-{day:02}"))[0].late_days for day in (5, 6, 7, 8, 9)]
    assert late == [0, 1, 1, 1, 2], "due on Monday the 5th; the 6th and 7th count for nothing"


def test_a_step_that_is_not_done_is_not_submitted(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="00_gather is draft, so it cannot be submitted"):
        submit_step(write_workspace(tmp_path / "w"), "gather", by="Ann", why="soon")


def test_late_is_counted_in_working_days_and_only_while_it_is_not_done(ran: Chain, tmp_path: Path) -> None:
    draft = write_workspace(tmp_path / "w")  # gather is due on working day 3 of October 2026: Monday the 5th
    late = [step_states(draft, pd.Timestamp(day))[0].late_days for day in ("2026-10-05 23:00", "2026-10-06", "2026-10-12")]
    assert late == [0, 1, 5]
    assert step_states(draft)[0].late_days == 0
    assert step_states(ran, pd.Timestamp("2026-12-01"))[0].late_days == 0


def test_skipped_and_open_cycles_are_visible(ran: Chain, tmp_path: Path) -> None:
    shutil.copytree(ran.workspace.folder, tmp_path / "w")
    chain = open_chain(tmp_path / "w")
    for name in ("2026-06", "2026-08"):
        chain.workspace.cycle(name).append("comment", {"subject": "a", "text": "b"}, by="Ann", why="c")
    chain.workspace.cycle("2026-06").lock(by="GM", why="go")
    kept = kept_cycles(chain)
    assert kept[["cycle_id", "state"]].to_numpy().tolist() == [
        ["2026-06", "locked"], ["2026-07", "skipped"], ["2026-08", "open"], ["2026-09", "skipped"], ["2026-10", "open"]]


def test_cadence_of_weeks_over_the_year() -> None:
    kept = governance.cadence(["2026-W52"], {"2026-W52": pd.Timestamp("2026-12-20")}, "2027-W01", Calendar("week"))
    assert kept[["cycle_id", "state"]].to_numpy().tolist() == [["2026-W52", "locked"], ["2026-W53", "skipped"], ["2027-W01", "skipped"]]


# ------------------------------------------------------------------ decisions, actions, outcomes


def sop(chain_folder: Path, *arguments: object) -> Result:
    signed = ["--workspace", str(chain_folder), "--cycle", "2026-10"]
    return CliRunner().invoke(cli.main, [*map(str, arguments), *signed])


def open_questions() -> pd.DataFrame:
    return tables.validate("open_decision", pd.DataFrame([
        {"sequence": 1, "question": "Ease line 1?", "options": "overtime; nothing", "recommendation": "overtime", "money_amt": 9e5,
         "level": "Executive S&OP"},
        {"sequence": 2, "question": "Sell off?", "options": "yes; no", "recommendation": "yes", "money_amt": 1e3, "level": "Operations"}]))


def test_tolerance_decides_who_decides(chain: Chain, as_user) -> None:
    folder = Path(chain.workspace.folder)
    as_user("ann")
    chain.cycle.write("open_decision", open_questions())
    refused = sop(folder, "decide", 1, "--choice", "overtime", "--by", "ann", "--why", "cheap")
    assert refused.exit_code == 1
    assert "ann is a planner (may read and write) and may not decide what is for Executive S&OP in cycle 2026-10" in refused.stderr
    assert sop(folder, "decide", 2, "--choice", "yes", "--by", "ann", "--why", "old").exit_code == 0
    as_user("helga")
    said = sop(folder, "decide", 1, "--choice", "overtime", "--expected", 5e5, "--by", "helga", "--why", "pays")
    assert (said.exit_code, said.output) == (0, "decision of cycle 2026-10 recorded by helga: Ease line 1? → overtime\n")
    found = chain.cycle.records("decision")
    assert found[["question", "options", "choice", "by"]].to_numpy().tolist() == [
        ["Sell off?", "yes; no", "yes", "ann"], ["Ease line 1?", "overtime; nothing", "overtime", "helga"]]
    unknown = sop(folder, "decide", 7, "--choice", "x", "--by", "helga", "--why", "y")
    assert unknown.stderr.startswith("cycle 2026-10 has no open decision 7")


def test_actions_have_owner_and_day(ran: Chain, tmp_path: Path) -> None:
    folder = shutil.copytree(ran.workspace.folder, tmp_path / "w")
    said = sop(folder, "action", "Ask for a quote", "--owner", "Ann", "--due", "2026-11-02", "--by", "GM", "--why", "shortage")
    assert said.output == "action of cycle 2026-10: Ask for a quote, Ann by 2026-11-02, open\n"
    assert "Ask for a quote Ann by 2026-11-02, open" in sop(folder, "records", "action").output


@pytest.fixture
def plain(tmp_path: Path) -> Cycle:
    return open_store(tmp_path / "store").cycle("2026-10")


def test_an_assumption_of_a_locked_cycle_is_scored_in_a_later_one(plain: Cycle) -> None:
    said = plain.append("assumption", [{"assumption": "price of steel", "low_value": 90.0, "high_value": 110.0},
                                       {"assumption": "no strike"}], by="Ann", why="contract")["record_id"]
    taken = {"question": "Ease?", "choice": "yes", "expected_effect_amt": 100.0}
    chosen = plain.append("decision", taken, by="GM", why="pays")
    plain.lock(by="GM", why="go")
    later = plain.store.cycle("2026-12")
    for record_id, actual, verdict in ((said[0], 95.0, "held"), (said[0], 111.0, "missed"), (said[1], 0.0, "unjudged"),
                                       (chosen["record_id"][0], 120.0, "held")):
        assert record_outcome(later, record_id, actual, by="Ann", why="actuals")["verdict"] == verdict
    scored = records_with_outcome(later, "assumption").set_index("assumption")
    assert scored["verdict"].to_dict() == {"price of steel": "missed", "no strike": "unjudged"}
    assert records_with_outcome(later, "decision")["actual_value"].tolist() == [120.0]
    assert records_with_outcome(plain, "assumption")["verdict"].isna().all()
    with pytest.raises(DataError, match="unknown_record, value nothing"):
        record_outcome(later, "nothing", 1.0, by="Ann", why="x")


# ------------------------------------------------------------------ maturity


def judge(**changes: object) -> pd.DataFrame:
    kept = governance.cadence(["2026-06", "2026-07", "2026-08", "2026-09"], dict.fromkeys(["2026-07", "2026-08", "2026-09"]), "2026-10",
                              Calendar("month"))
    when = pd.Timestamp("2026-10-01")
    action = pd.DataFrame({"title": ["Ask"] * 2, "status": ["open", "done"], "due_date": pd.Timestamp("2026-09-01"),
                           "at": [when, when + pd.Timedelta("1h")]})
    given = {"kept": kept, "streams": ["statistical", "sales"], "budget_gap": pd.DataFrame({"budget_revenue_amt": [1.0, None]}),
             "scenarios": ["more"], "decision": pd.DataFrame({"question": ["a"]}), "action": action,
             "plan_deviation": pd.DataFrame({"plan_qty": [1.0]}), "today": pd.Timestamp("2026-10-05")}
    return governance.maturity(**(given | changes))


def test_all_stages_are_reached_where_all_questions_are_answered() -> None:
    found = judge()
    assert found["stage"].tolist() == list(governance.STAGES)
    assert found["is_reached"].all()
    assert (found["next_step"] == "").all()


def test_a_stage_is_reached_only_after_those_before_it() -> None:
    found = judge(streams=["statistical"])
    assert found["is_reached"].tolist() == [True, True, False, False, False]
    assert found["is_answered"].tolist() == [True, True, False, True, True]
    assert found["next_step"].str.contains("one set of numbers").tolist() == [False, False, True, False, False]


def test_a_skipped_cycle_and_an_overdue_action_are_told() -> None:
    kept = governance.cadence(["2026-06", "2026-08"], dict.fromkeys(["2026-06", "2026-08"]), "2026-09", Calendar("month"))
    found = judge(kept=kept).set_index("stage")
    assert found.loc["Anticipate", "evidence"] == "1 cycles locked in a row before this one; skipped: 2026-07"
    assert not found.loc["Anticipate", "is_answered"]
    late = pd.DataFrame({"title": ["Ask"], "status": ["open"], "due_date": pd.Timestamp("2026-09-01"), "at": pd.Timestamp("2026-08-01")})
    assert judge(action=late).set_index("stage").loc["Orchestrate", "evidence"] == "1 actions promised, 1 of them overdue"
    nothing = judge(action=late.iloc[:0], plan_deviation=pd.DataFrame(), budget_gap=pd.DataFrame(), decision=pd.DataFrame())
    assert not nothing["is_reached"].any()


def test_a_plan_that_is_not_there_is_named(ran: Chain) -> None:
    from sop_workbench.comparison import find_plan

    with pytest.raises(UnknownCycleError, match="there is no cycle 2025-01; the store has 2026-10"):
        find_plan(ran.workspace.store, "2025-01")


# ------------------------------------------------------------------ follow-up


def test_a_plan_locked_after_its_working_day_is_late() -> None:
    locked = {"2026-08": pd.Timestamp("2026-08-26 17:00"), "2026-09": pd.Timestamp("2026-09-29 09:00")}
    kept = governance.cadence(["2026-08", "2026-09"], locked, "2026-10", Calendar("month"), due_working_day=18)
    assert kept["due_date"].dt.date.astype(str).tolist() == ["2026-08-26", "2026-09-24", "2026-10-26"]
    assert kept["late_days"].tolist()[:2] == [0, 3]
    assert pd.isna(kept["late_days"].iloc[2])
    shown = views.cadence(kept)
    assert shown["state"].tolist() == ["locked in time", "late by 3 working days", "skipped"]
    assert shown.attrs["title"] == "2 cycles before this one: 1 late"


def test_the_newest_word_on_an_action_counts_and_overdue_is_in_working_days() -> None:
    def said(title: str, status: str, due: str, at: str) -> dict:
        return {"record_id": title + at, "by": "GM", "why": "w", "at": pd.Timestamp(at), "title": title, "owner": "Ann", "status": status,
                "due_date": pd.Timestamp(due), "decision_id": ""}

    action = pd.DataFrame([said("Quote", "open", "2026-09-04", "2026-08-20"), said("Quote", "done", "2026-09-04", "2026-09-02"),
                           said("Price", "open", "2026-09-25", "2026-08-20"), said("Hire", "open", "2026-10-30", "2026-08-21")])
    found = governance.action_states(action, pd.Timestamp("2026-10-01")).set_index("title")
    assert found["late_days"].to_dict() == {"Price": 4.0, "Quote": 0.0, "Hire": 0.0}
    shown = views.action_list(found.reset_index().assign(cycle_id="2026-08"))
    assert shown[["what_is_to_be_done", "state"]].to_numpy().tolist() == [
        ["Price", "late by 4 working days"], ["Hire", "open"], ["Quote", "done"]]
    assert shown.attrs["title"] == "2 actions open, 1 overdue; 1 of 1 done by their day"


def test_a_promise_is_held_to_the_day_before_it_was_closed_and_its_closing_is_signed() -> None:
    def said(title: str, status: str, due: str, at: str, by: str) -> dict:
        return {"record_id": title + at, "by": by, "why": "w", "at": pd.Timestamp(at), "title": title, "owner": "Ann", "status": status,
                "due_date": pd.Timestamp(due), "decision_id": ""}

    action = pd.DataFrame([
        said("Quote", "open", "2026-09-04", "2026-08-20", "GM"), said("Quote", "done", "2026-12-31", "2026-09-09 18:00", "Bob"),
        said("Moved", "open", "2026-09-04", "2026-08-20", "GM"), said("Moved", "open", "2026-09-11", "2026-09-03", "GM"),
        said("Moved", "done", "2026-09-11", "2026-09-11 09:00", "Ann"),
        said("Given up", "open", "2026-09-04", "2026-08-20", "GM"), said("Given up", "cancelled", "2026-09-04", "2026-09-30", "GM"),
        said("Price", "open", "2026-09-25", "2026-08-20", "GM")])
    found = governance.action_states(action, pd.Timestamp("2026-10-01")).set_index("title")
    assert found["state"].to_dict() == {"Price": "late", "Quote": "done late", "Given up": "cancelled", "Moved": "done"}
    assert found["closed_late_days"].drop("Price").to_dict() == {"Quote": 3.0, "Given up": 18.0, "Moved": 0.0}
    assert found["closed_by"].dropna().to_dict() == {"Quote": "Bob", "Given up": "GM", "Moved": "Ann"}
    assert found.loc["Quote", "closed_at"] == pd.Timestamp("2026-09-09 18:00")
    shown = views.action_list(found.reset_index().assign(cycle_id="2026-08")).set_index("what_is_to_be_done")
    assert shown["state"].to_dict() == {"Price": "late by 4 working days", "Given up": "cancelled", "Quote": "done, late by 3 working days",
                                        "Moved": "done"}
    measured = kpi.action_measures(found.reset_index(), pd.Timestamp("2026-10-01"), pd.Timestamp("2026-10-01")).set_index("member")["value"]
    assert measured.to_dict() == {"all": pytest.approx(1 / 3), "Ann": pytest.approx(1 / 3)}
    long_ago = kpi.action_measures(found.reset_index(), pd.Timestamp("2027-10-01"), pd.Timestamp("2027-10-01"))
    assert long_ago["value"].isna().all(), "none of the last year is no share of nought"


def test_an_action_is_closed_by_its_title_alone_and_shows_what_its_decision_brought(plain: Cycle) -> None:
    taken = plain.append("decision", {"question": "Ease line 1?", "choice": "overtime", "expected_effect_amt": 100.0}, by="GM", why="pays")
    due = pd.Timestamp("2026-10-15")
    record_action(plain, "Plan the shifts", owner="Ann", due=due, decision_id=taken["record_id"][0], by="GM", why="agreed")
    with pytest.raises(SettingsError, match=r"no action 'Ask' is promised up to cycle 2026-10; a new one says who does it .* and by when"):
        record_action(plain, "Ask", by="GM", why="w")
    plain.lock(by="GM", why="go")
    later = open_store(plain.store.url, Settings(company="Small")).cycle("2026-11")
    with pytest.raises(CycleLockedError):
        record_action(plain, "Plan the shifts", status="done", by="Ann", why="shifts stand")
    record_action(later, "Plan the shifts", status="done", by="Ann", why="shifts stand")
    with pytest.raises(SettingsError, match="'Plan the shifts' is done already: Ann, .*: shifts stand"):
        record_action(later, "Plan the shifts", status="done", by="Bob", why="me too")
    record_outcome(later, taken["record_id"][0], 120.0, by="Ann", why="actuals")
    row = follow_up(later, pd.Timestamp("2026-11-02"))["action"].iloc[0]
    assert row[["owner", "due_date", "status", "closed_by", "choice", "expected_effect_amt", "effect_amt", "verdict"]].tolist() == [
        "Ann", due, "done", "Ann", "overtime", 100.0, 120.0, "held"]
    assert views.action_list(follow_up(later)["action"])["effect_amt"].tolist() == [120.0]


def test_a_risk_stays_in_the_register_of_later_cycles_until_it_is_closed(plain: Cycle) -> None:
    record_risk(plain, "Steel", money=-900.0, probability=0.5, owner="Buyer", by="Ann", why="prices rise")
    record_risk(plain, "Tender", kind="opportunity", money=5e3, probability=0.2, by="Ann", why="asked")
    with pytest.raises(SettingsError, match=r"no risk 'Tender' is registered .* says the money at stake and its chance"):
        record_risk(plain, "Tender", status="closed", by="Ann", why="won")
    later = plain.store.cycle("2026-11")
    record_risk(later, "Steel", status="closed", by="Bob", why="contract signed")
    with pytest.raises(SettingsError, match="'Steel' is closed already: Bob, .*: contract signed"):
        record_risk(later, "Steel", status="closed", by="Ann", why="w")
    assert risk_register(plain)["status"].tolist() == ["open", "open"]
    shown = views.risks(risk_register(later))
    assert shown[["title", "money_amt", "state"]].to_numpy().tolist() == [
        ["Tender", 5e3, "open"], ["Steel", -900.0, "closed by Bob: contract signed"]]
    assert shown.attrs["title"] == "Risks and opportunities beyond the plan: 1 open"


def test_actions_and_risks_are_said_at_the_command_line(ran: Chain, tmp_path: Path) -> None:
    folder = shutil.copytree(ran.workspace.folder, tmp_path / "w")
    signed = ("--by", "GM", "--why", "shortage")
    assert sop(folder, "action", "Ask for a quote", "--owner", "Ann", "--due", "2026-11-02", *signed).exit_code == 0
    assert sop(folder, "action", "Ask for a quote", "--status", "done", *signed).output == (
        "action of cycle 2026-10: Ask for a quote, Ann by 2026-11-02, done\n")
    assert sop(folder, "risk", "Steel", *signed).exit_code == 1
    stated = ("--money", -900, "--probability", 0.5)
    assert sop(folder, "risk", "Steel", *stated, *signed).output == "risk of cycle 2026-10: Steel, -900 at 50%, open\n"
    assert sop(folder, "risk", "Steel", "--status", "closed", *signed).output == "risk of cycle 2026-10: Steel, -900 at 50%, closed\n"


def test_what_was_decided_is_followed_up_in_later_cycles(plain: Cycle) -> None:
    taken = plain.append("decision", [{"question": "Ease line 1?", "choice": "overtime", "expected_effect_amt": 100.0},
                                      {"question": "Sell off?", "choice": "yes"}], by="GM", why="pays")["record_id"]
    due = {"owner": "Ann", "due_date": pd.Timestamp("2026-10-15")}
    plain.append("action", [{"title": "Plan the shifts", "decision_id": taken[0], **due},
                            {"title": "Set a price (Sell off?)", **due}], by="GM", why="agreed")
    plain.append("assumption", {"assumption": "steel", "low_value": 90.0, "high_value": 110.0}, by="Ann", why="contract")
    plain.lock(by="GM", why="go")
    later = open_store(plain.store.url, Settings(company="Small")).cycle("2026-11")
    later.append("action", {"title": "Plan the shifts", "decision_id": taken[0], "status": "done", **due}, by="Ann", why="done")
    record_outcome(later, taken[0], 80.0, by="Ann", why="actuals")
    found = follow_up(later, pd.Timestamp("2026-11-02"))
    shown = views.decision_followup(found["decision"]).set_index("question")
    assert shown["actions"].to_dict() == {"Ease line 1?": "closed", "Sell off?": "1 of 1 open"}
    assert shown.loc["Ease line 1?", ["actual_effect_amt", "difference_amt", "verdict"]].tolist() == [80.0, -20.0, "missed"]
    assert shown.loc["Sell off?", "verdict"] == "not scored"
    assert len(views.decision_followup(found["decision"], is_settled=True)) == 1
    assert found["action"].set_index("title")["late_days"].to_dict() == {"Set a price (Sell off?)": 12.0, "Plan the shifts": 0.0}
    assert views.assumption_list(found["assumption"])["verdict"].tolist() == ["open"]
    assert views.maturity(found["maturity"]).attrs["title"].startswith("No stage is reached yet; next: lock a plan")
    assert found["cadence"]["state"].tolist() == ["locked", "open"]
