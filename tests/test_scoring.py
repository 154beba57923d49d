"""Assumptions and decisions scored from actuals: sums by hand, when and by whom, and what a person said goes first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_company import rows

from sop_workbench import cli, reviews, roles, scoring, tables
from sop_workbench.errors import RoleError
from sop_workbench.follow_up import records_with_outcome
from sop_workbench.outcome import record_outcome
from sop_workbench.settings import Settings
from sop_workbench.store import Cycle, Store, open_store, open_workspace

AUGUST, SEPTEMBER, OCTOBER = pd.date_range("2026-08-01", periods=3, freq="MS")
ITEM = rows("item", *({"item_id": i, "item_name": i, "item_type": "finished", "family": f, "standard_cost_amt": c}
                      for i, f, c in (("A", "Grills", 6), ("B", "Grills", 9), ("C", "Stoves", 2))))
MARKET = rows("market", *({"market_id": m, "market_name": m, "region": r, "channel": "Shop"} for m, r in (("N", "North"), ("S", "South"))))
SOLD = rows("sales_history", *(
    {"item_id": i, "market_id": m, "period": p, "ordered_qty": o, "shipped_qty": s, "net_sales_amt": a} for i, m, p, o, s, a in (
        ("A", "N", AUGUST, 10, 10, 100.0), ("A", "N", SEPTEMBER, 20, 15, 165.0), ("A", "S", SEPTEMBER, 5, 5, 60.0),
        ("B", "N", SEPTEMBER, 8, 8, 120.0), ("C", "S", SEPTEMBER, 100, 90, 450.0))))
MADE = rows("production_history", {"item_id": "A", "location_id": "P1", "period": SEPTEMBER, "produced_qty": 33.0})
COST = rows("unit_cost_history", {"item_id": "A", "period": SEPTEMBER, "actual_cost_amt": 7.0})
COMPANY = {"item": ITEM, "market": MARKET, "sales_history": SOLD, "production_history": MADE, "unit_cost_history": COST}
SETTINGS = Settings(company="Any")


def scope(**given: object) -> dict:
    return {"item_id": "", "family": "", "market_id": "", "region": "", "from_period": SEPTEMBER, "to_period": SEPTEMBER, **given}


@pytest.mark.parametrize(("measure", "where", "amount"), [
    ("demand", scope(item_id="A"), 25.0),
    ("demand", scope(item_id="A", from_period=AUGUST, market_id="N"), 30.0),
    ("demand", scope(item_id="B", region="South"), 0.0),
    ("revenue", scope(family="Grills"), 345.0),
    ("revenue", scope(region="South"), 510.0),
    ("price", scope(item_id="A"), 225 / 20),
    ("price", scope(item_id="B", region="South"), np.nan),
    ("unit cost", scope(family="Grills"), 7.0),
    ("unit cost", scope(family="Stoves"), np.nan),
    ("production", scope(family="Grills", region="North"), 33.0),
    ("gross margin", scope(family="Grills"), 345 - 20 * 7 - 8 * 9),
    ("gross margin", scope(), 795 - 20 * 7 - 8 * 9 - 90 * 2),
])
def test_what_a_measure_came_to_in_a_scope(measure: str, where: dict, amount: float) -> None:
    assert scoring.actual_figure(measure, where, COMPANY) == pytest.approx(amount, nan_ok=True)


def assumptions(*records: dict) -> pd.DataFrame:
    filled = [{"record_id": f"r{n}", "cycle_id": "2026-08", "assumption": "x", "low_value": np.nan, "high_value": np.nan, "measure": "",
               **scope(), **record} for n, record in enumerate(records)]
    return pd.DataFrame(filled)


NOTHING_ADJUSTED = tables.table("demand_adjustment").empty()


def scored(assumption: pd.DataFrame, adjustment: pd.DataFrame = NOTHING_ADJUSTED, plans: dict | None = None,
           open_period: pd.Timestamp = OCTOBER) -> list[tuple]:
    found = scoring.score_assumptions(assumption, adjustment, plans or {}, COMPANY, open_period, SETTINGS)
    return found[["of_record_id", "actual_value", "verdict"]].to_records(index=False).tolist()


def test_an_assumption_is_held_against_its_limits_when_its_last_period_is_over() -> None:
    given = assumptions({"measure": "demand", "item_id": "A", "low_value": 20.0, "high_value": 30.0},
                        {"measure": "price", "item_id": "A", "low_value": 12.0}, {"measure": "revenue", "family": "Grills"},
                        {"measure": "demand", "item_id": "A", "to_period": OCTOBER}, {"measure": ""})
    assert scored(given) == [("r0", 25.0, "held"), ("r1", 11.25, "missed"), ("r2", 345.0, "unjudged")]
    assert scored(given, open_period=SEPTEMBER) == [], "September is not over yet"
    assert scored(assumptions({"measure": "demand", "from_period": pd.Timestamp("2026-07-01")})) == [], "history begins later"


def adjustments(*lines: dict) -> pd.DataFrame:
    return pd.DataFrame([{"item_id": "", "family": "", "market_id": "", "region": "", "period": SEPTEMBER, "assumption_id": "r0", **line}
                         for line in lines])


def plan(planned: float) -> dict[str, pd.DataFrame]:
    return {"2026-08": pd.DataFrame({"item_id": ["A", "C"], "market_id": ["N", "S"], "period": SEPTEMBER, "demand_qty": [planned, 999.0]})}


def test_an_assumption_without_a_measure_is_scored_by_the_lines_that_rest_on_it() -> None:
    """A in North: 20 ordered; planned 21 is within 10 %, planned 25 is not; two overlapping lines count a row once."""
    lines = adjustments({"item_id": "A", "market_id": "N"}, {"family": "Grills", "item_id": "A", "region": "North"})
    assert scored(assumptions({}), lines, plan(21.0)) == [("r0", 20.0, "held")]
    assert scored(assumptions({}), lines, plan(25.0)) == [("r0", 20.0, "missed")]
    assert scored(assumptions({"low_value": 15.0}), lines, plan(25.0)) == [("r0", 20.0, "held")], "its own limits go first"
    later = adjustments({"item_id": "A", "period": OCTOBER}, {"item_id": "A"})
    assert scored(assumptions({}), later, plan(21.0)) == [], "a line is not over yet"


def decisions(**given: object) -> pd.DataFrame:
    return pd.DataFrame([{"record_id": "d", "cycle_id": "2026-08", "question": "x", "expected_effect_amt": 40.0, "measure": "revenue",
                          "baseline_amt": np.nan, **scope(family="Grills"), **given}])


PROJECTION = pd.DataFrame({"family": ["Grills", "Grills", "Stoves"], "region": ["North", "South", "South"], "period": SEPTEMBER,
                           "revenue_amt": [200.0, 100.0, 500.0], "gross_margin_amt": [90.0, 30.0, 300.0]})


@pytest.mark.parametrize(("given", "effect", "verdict"), [
    ({}, 345 - 300, "held"),
    ({"region": "North"}, 285 - 200, "held"),
    ({"measure": "gross margin"}, 133 - 120, "missed"),
    ({"baseline_amt": 340.0}, 5.0, "missed"),
    ({"baseline_amt": 100.0, "item_id": "A"}, 125.0, "held"),
])
def test_a_decision_has_the_effect_that_came_beyond_the_plan_before_it(given: dict, effect: float, verdict: str) -> None:
    found = scoring.score_decisions(decisions(**given), {"2026-08": PROJECTION}, COMPANY, OCTOBER)
    assert found[["actual_value", "verdict"]].to_numpy().tolist() == [[effect, verdict]]


@pytest.mark.parametrize("given", [
    {"measure": ""}, {"item_id": "A"}, {"cycle_id": "2026-07"}, {"from_period": AUGUST}, {"to_period": pd.NaT}])
def test_a_decision_nothing_can_be_said_of_is_left_to_people(given: dict) -> None:
    """No measure, narrower than money is planned, no plan before it, a month that plan does not cover, no end."""
    assert scoring.score_decisions(decisions(**given), {"2026-08": PROJECTION}, COMPANY, OCTOBER).empty


# ------------------------------------------------------------------ the execution review records it


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """August's cycle with an assumption and a decision, locked; July's plan locked before it."""
    store = open_store(tmp_path / "store", SETTINGS, tmp_path)
    july, august = store.cycle("2026-07"), store.cycle("2026-08")
    july.write("financial_projection", projection())
    july.lock(by="GM", why="go")
    august.append("assumption", {"assumption": "grills sell", "measure": "demand", "family": "Grills", "low_value": 30.0,
                                 "from_period": SEPTEMBER, "to_period": SEPTEMBER}, by="Ann", why="talks")
    august.append("decision", {"question": "Campaign?", "choice": "yes", "expected_effect_amt": 40.0, "measure": "revenue",
                               "family": "Grills", "from_period": SEPTEMBER, "to_period": SEPTEMBER}, by="GM", why="pays")
    august.append("assumption", {"assumption": "no strike"}, by="Ann", why="talks")
    august.lock(by="GM", why="go")
    return store


def projection() -> pd.DataFrame:
    declared = tables.table("financial_projection")
    blank = {c.name: 0.0 for c in declared.columns.values() if c.type == "number"}
    return tables.validate("financial_projection", pd.DataFrame([{**blank, **row} for row in PROJECTION.to_dict("records")],
                                                                columns=list(declared.columns)))


def outcomes(cycle: Cycle) -> list[list]:
    found = cycle.records("outcome").sort_values("kind")
    return found[["kind", "cycle_of_record", "actual_value", "verdict", "by"]].to_numpy().tolist()


def test_the_execution_review_scores_what_is_over_once(store: Store) -> None:
    for name, found in (("2026-09", []), ("2026-10", [["assumption", "2026-08", 33.0, "held", "workbench"],
                                                     ["decision", "2026-08", 45.0, "held", "workbench"]])):
        cycle = store.cycle(name)
        reviews.score_records(cycle, COMPANY)
        assert outcomes(cycle) == found
        assert reviews.score_records(cycle, COMPANY).empty, "nothing new is said twice"
    why = store.cycle("2026-10").records("outcome").set_index("kind")["why"].to_dict()
    assert why == {"assumption": "demand of Grills, 2026-09-01 to 2026-09-01: 33",
                   "decision": "revenue of Grills, 2026-09-01 to 2026-09-01: 345 against 300 in the plan before it"}
    corrected = {**COMPANY, "sales_history": SOLD.assign(ordered_qty=SOLD["ordered_qty"] / 2)}
    again = store.cycle("2026-11")
    reviews.score_records(again, corrected)
    assert outcomes(again) == [["assumption", "2026-08", 16.5, "missed", "workbench"]], "corrected actuals are told, the rest is known"
    assert records_with_outcome(again, "assumption").set_index("assumption")["verdict"].fillna("").to_dict() == {
        "grills sell": "missed", "no strike": ""}


def test_what_a_person_found_is_not_overwritten(store: Store) -> None:
    record_id = store.cycle("2026-08").records("assumption").iloc[0]["record_id"]
    october = store.cycle("2026-10")
    record_outcome(october, record_id, 12.0, by="Ann", why="counted without the campaign")
    reviews.score_records(october, COMPANY)
    assert [row[0] for row in outcomes(october)] == ["assumption", "decision"]
    shown = records_with_outcome(october, "assumption").set_index("record_id").loc[record_id]
    assert (shown["verdict"], shown["actual_value"]) == ("missed", 12.0)


def test_a_person_goes_before_the_workbench_whoever_spoke_last(store: Store) -> None:
    record_id = store.cycle("2026-08").records("assumption").iloc[0]["record_id"]
    record_outcome(store.cycle("2026-11"), record_id, 12.0, by="Ann", why="counted without the campaign")
    reviews.score_records(store.cycle("2026-10"), COMPANY)  # an earlier cycle that is run again knows nothing of it
    shown = records_with_outcome(store.cycle("2026-11"), "assumption").set_index("record_id").loc[record_id]
    assert (shown["verdict"], shown["actual_value"]) == ("missed", 12.0)


def test_the_workbench_signs_scores_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle = open_store(tmp_path / "store", Settings(company="Any", users={"ann": "planner", "vic": "viewer"})).cycle("2026-10")
    score = {"of_record_id": "r", "kind": "assumption", "cycle_of_record": "2026-08", "actual_value": 1.0, "verdict": "held"}
    monkeypatch.setenv("JUPYTERHUB_USER", "ann")
    cycle.append("outcome", score, by=roles.WORKBENCH, why="actuals")
    with pytest.raises(RoleError, match="in the name of workbench"):
        cycle.append("comment", {"subject": "a", "text": "b"}, by=roles.WORKBENCH, why="c")
    monkeypatch.setenv("JUPYTERHUB_USER", "vic")
    with pytest.raises(RoleError, match="vic is a viewer"):
        cycle.append("outcome", score, by=roles.WORKBENCH, why="actuals")


# ------------------------------------------------------------------ at the command line


def test_assumptions_and_decisions_say_what_scores_them(tmp_path: Path) -> None:
    (tmp_path / "sop.yaml").write_text("company: Any\nnewest_cycle: '2026-10'\n")
    signed = ["--workspace", str(tmp_path), "--by", "Ann", "--why", "contract"]
    when = ["--from", "2026-11-01", "--to", "2026-12-01"]
    stated = ["--measure", "unit cost", "--high", "9", "--family", "Grills"]
    said = CliRunner().invoke(cli.main, ["assume", "steel stays", *stated, *when, *signed])
    assert said.exit_code == 0, said.output
    cycle = open_workspace(tmp_path).cycle("2026-10")
    stored = cycle.records("assumption").iloc[0]
    assert said.output == f"assumption of cycle 2026-10 recorded by Ann: steel stays ({stored['record_id']})\n"
    assert stored[["measure", "high_value", "family", "owner"]].tolist() == ["unit cost", 9.0, "Grills", "Ann"]
    assert (stored["from_period"], stored["to_period"]) == (pd.Timestamp("2026-11-01"), pd.Timestamp("2026-12-01"))
    stated = ["--expected", "5e4", "--measure", "revenue", "--region", "North"]
    said = CliRunner().invoke(cli.main, ["decide", "--question", "Campaign?", "--choice", "yes", *stated, *when, *signed])
    assert said.exit_code == 0, said.output
    assert cycle.records("decision")[["measure", "region", "expected_effect_amt"]].to_numpy().tolist() == [["revenue", "North", 5e4]]
    refused = CliRunner().invoke(cli.main, ["assume", "steel stays", "--measure", "price", *signed])
    assert refused.exit_code == 1
    assert "--measure price needs --from and --to" in refused.stderr
