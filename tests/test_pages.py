"""The pages without a browser: what an address may ask for, what a person may do, and that cards and views say one number."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from planned_company import CYCLE, planned

from sop_workbench import charts, views
from sop_workbench.errors import UnknownCycleError
from sop_workbench.pages import executive, management, planning, visit
from sop_workbench.pages.screen import Screen
from sop_workbench.scenario import load_scenario
from sop_workbench.store import open_workspace

pytestmark = pytest.mark.slow  # plans the small company once: about ten seconds
DASHBOARDS = Path(__file__).parent.parent / "dashboards"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planned(tmp_path_factory.mktemp("pages") / "w")


@pytest.fixture(autouse=True)
def someone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOP_WORKSPACE", "QUERY_STRING", "SOP_VIEWER_GROUPS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOP_VIEWER", "vic")


def block(screen: Screen, name: str) -> dict:
    """What stands in a block, computed now where it waits."""
    screen.make(name)
    return getattr(screen, f"block_{name}")


def told(screen: Screen, kind: str) -> str:
    assert screen.answer.get("kind") == kind, screen.answer
    return " ".join(screen.answer["lines"])


# ------------------------------------------------------------------ the address
def test_an_address_names_cycle_and_scenario(workspace: Path) -> None:
    seen = visit.arrive(str(workspace), query=f"cycle={CYCLE}&scenario=more_hours")
    assert (seen.cycle.id, seen.scenario, seen.user, seen.role) == (CYCLE, "more_hours", "vic", "viewer")
    assert visit.arrive(str(workspace), query="").scenario == "base"


@pytest.mark.parametrize("cycle", ["2099-01", "../../etc", f"{CYCLE}/..", "%2e%2e", "<script>alert(1)</script>", "x" * 4000])
def test_an_unknown_cycle_is_refused_with_what_there_is(workspace: Path, cycle: str) -> None:
    with pytest.raises(UnknownCycleError, match=CYCLE):
        visit.arrive(str(workspace), query=f"cycle={cycle}")
    for page in (executive, management, planning):
        shown = block(page.page(str(workspace), query=f"cycle={cycle}"), "fault")["html"]
        assert CYCLE in shown
        assert "<script" not in shown
        assert "Traceback" not in shown
        assert len(shown) < 600


@pytest.mark.parametrize("scenario", ["nosuch", "../base", "base/../more_hours", "more_hours%00"])
def test_an_unknown_scenario_is_refused_with_what_there_is(workspace: Path, scenario: str) -> None:
    with pytest.raises(UnknownCycleError, match="base, dearer_tubes, more_hours"):
        visit.arrive(str(workspace), query=f"scenario={scenario}")


def test_an_address_cannot_name_another_workspace(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_WORKSPACE", str(workspace))
    assert visit.arrive(str(tmp_path / "other"), query=f"workspace={tmp_path}").workspace.folder == workspace


def test_no_workspace_is_a_page_with_words(tmp_path: Path) -> None:
    shown = block(executive.page(str(tmp_path / "none")), "fault")["html"]
    assert "sop.yaml is missing" in shown


# ------------------------------------------------------------------ one KPI, one value
def test_cards_show_what_the_kpi_view_says(workspace: Path) -> None:
    cycle = open_workspace(workspace).cycle(CYCLE)
    wanted = views.kpi_cards(cycle.read("kpi"), cycle.period).set_index("kpi")["value_text"].map(charts.in_currency)
    cards = block(executive.page(str(workspace)), "cards")["html"]
    shown = dict(re.findall(r'data-kpi="(\w+)".*?<strong>(.*?)</strong>', cards, flags=re.DOTALL))
    assert {name: re.sub("<.*?>", "", value) for name, value in shown.items()} == wanted.to_dict()
    assert "aria-label" in cards
    assert "kpi · cycle" in cards


def test_a_scenario_changes_every_number_of_the_page(workspace: Path) -> None:
    base, more = (executive.page(str(workspace), query=f"scenario={name}") for name in ("base", "more_hours"))
    comparison = open_workspace(workspace).cycle(CYCLE).read("scenario_comparison").set_index(["scenario", "measure"])["value"]
    profit = charts.in_currency(views.short(comparison["more_hours", "profit"], views.MONEY)).split(" ")[0]
    assert 'data-kpi="profit"' in block(more, "cards")["html"]
    assert f"<strong>{profit} " in block(more, "cards")["html"]
    assert block(base, "numbers")["html"] != block(more, "numbers")["html"]
    assert block(more, "numbers")["source"].endswith("scenario more_hours")


def test_one_set_of_numbers_adds_up_and_agrees_with_the_projection(workspace: Path) -> None:
    cycle = open_workspace(workspace).cycle(CYCLE)
    read = {name: cycle.read(name) for name in ("financial_projection", "budget_gap", "inventory_projection", "item")}
    rows = views.one_set_of_numbers(**read).set_index("family")
    parts = rows.drop(index="Total")
    for column in ("sales_amt", "production_amt", "gross_margin_amt", "cash_earned_amt"):
        assert rows.loc["Total", column] == pytest.approx(parts[column].sum())
    assert rows.loc["Total", "sales_amt"] == pytest.approx(read["financial_projection"]["revenue_amt"].sum())
    assert rows.loc["Total", "cash_earned_amt"] == pytest.approx(read["financial_projection"]["profit_amt"].sum())
    made = read["inventory_projection"].query("item_id == 'B1'")[["produced_qty", "subcontracted_qty"]].sum().sum()
    assert rows.loc["Bikes", "production_amt"] == pytest.approx(60 * made)


def test_trends_take_each_kpi_at_its_newest_period_of_every_cycle() -> None:
    columns = {"level": "total", "unit": "ratio", "status": "none"}
    old = pd.DataFrame([{"kpi": "wape", "period": pd.Timestamp("2026-08-01"), "value": 0.3, **columns}])
    new = pd.DataFrame([{"kpi": "wape", "period": pd.Timestamp(f"2026-{month}-01"), "value": value, **columns}
                        for month, value in (("08", 0.9), ("09", 0.2))])  # fmt: skip
    rows = views.kpi_trends({"2026-10": new, "2026-09": old}, ["wape"])
    assert rows["value"].tolist() == [0.3, 0.2]
    assert rows["cycle_id"].tolist() == ["2026-09", "2026-10"]


# ------------------------------------------------------------------ what a person may do
def test_a_viewer_is_told_why_and_refused(workspace: Path) -> None:
    screen = executive.page(str(workspace))
    shown = block(screen, "decisions")["html"]
    assert "You are signed in as vic, a viewer. To decide this takes an approver" in shown
    assert shown.count('aria-disabled="true"') == shown.count("<form")
    screen.act("decide", number="1", fields={"choice": "lower the estimate", "why": "forged"})
    assert "vic is a viewer" in told(screen, "error")
    screen.act("approve", fields={"why": "forged"})
    assert "vic is a viewer" in told(screen, "error")
    assert open_workspace(workspace).cycle(CYCLE).records("decision").query("why == 'forged'").empty


def test_a_planner_decides_what_is_the_steps_own_and_not_more(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_VIEWER", "ann")
    screen = executive.page(str(workspace))
    screen.act("decide", number="1", fields={"choice": "lower the estimate", "why": "because"})
    assert "ann is a planner" in told(screen, "error")
    screen.act("decide", number="7", fields={"choice": "leave it", "why": ""})
    assert "Give the reason" in told(screen, "error")
    screen.act("decide", number="7", fields={"why": "because"})
    assert "Choose an option" in told(screen, "error")
    screen.act("decide", number="7", fields={"choice": "leave it", "why": "no crew for it", "expected": "a lot"})
    assert "write a number" in told(screen, "error")
    screen.act("decide", number="7", fields={"choice": "leave it", "why": "no crew for it", "expected": "-1,500"})
    assert told(screen, "done") == "Decided by ann (planner): leave it"
    (row,) = open_workspace(workspace).cycle(CYCLE).records("decision").to_dict("records")
    assert (row["by"], row["choice"], row["why"], row["expected_effect_amt"]) == ("ann", "leave it", "no crew for it", -1500.0)
    assert "✓ decided" in block(screen, "decisions")["html"]


def test_an_approver_decides_for_the_board_and_words_are_shown_safely(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_VIEWER", "helga")
    screen = executive.page(str(workspace))
    assert 'aria-disabled="true"' not in block(screen, "decisions")["html"]
    screen.act("decide", number="1", fields={"other": "<img src=x onerror=alert(1)>", "why": "</details><script>"})
    assert "Decided by helga" in told(screen, "done")
    shown = block(screen, "decisions")["html"]
    assert "&lt;img src=x" in shown
    assert "<img" not in shown
    assert "<script" not in shown
    assert "Steel &lt;dearer&gt;" in block(screen, "risk_list")["html"]


@pytest.mark.parametrize("asked", [("decide", {"number": "99", "fields": {"choice": "x", "why": "y"}}),
                                   ("decide", {"number": "1; drop", "fields": {"choice": "x", "why": "y"}}),
                                   ("execute", {"code": "1"}), ("_open", {}), ("", {})])  # fmt: skip
def test_what_the_page_does_not_offer_is_refused(workspace: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, dict]) -> None:
    monkeypatch.setenv("SOP_VIEWER", "helga")
    screen = executive.page(str(workspace))
    screen.act(asked[0], **asked[1])
    assert told(screen, "error")


def test_a_fault_of_the_program_is_logged_and_told_without_details(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    screen = executive.page(str(workspace))
    screen.act("pull", nonsense="x")
    assert "could not be computed" in told(screen, "error")
    assert "TypeError" not in told(screen, "error")
    assert "TypeError" in caplog.text


def test_a_locked_cycle_says_so(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = visit.arrive(str(workspace), query="")
    monkeypatch.setenv("SOP_VIEWER", "helga")
    assert seen.why_not("approver", "approve") == ""
    monkeypatch.setattr("sop_workbench.store.Cycle.is_locked", True)
    assert "is locked and never changes" in seen.why_not("approver", "approve")


# ------------------------------------------------------------------ live what-if
def test_a_lever_moves_cards_chart_and_limits_and_goes_back(workspace: Path) -> None:
    screen = executive.page(str(workspace))
    screen.act("reach", block="levers")
    before = {name: getattr(screen, f"block_{name}") for name in ("live_cards", "live_volume", "live_limits")}
    screen.act("pull", fields={"ready-demand": 0, "take-more_hours": 100})
    assert screen.answer.get("kind") is None, screen.answer
    after = {name: getattr(screen, f"block_{name}") for name in before}
    assert all(after[name] != before[name] for name in before)
    assert "rows" in after["live_volume"], "the drawing stays, its rows change"
    comparison = open_workspace(workspace).cycle(CYCLE).read("scenario_comparison").set_index(["scenario", "measure"])["value"]
    profit = charts.in_currency(views.short(comparison["more_hours", "profit"], views.MONEY)).split(" ")[0]
    assert f"<strong>{profit} " in after["live_cards"]["html"], "the whole scenario taken is the scenario"
    screen.act("reset")
    assert screen.block_live_cards["html"] == before["live_cards"]["html"]


@pytest.mark.parametrize(
    "fields", [{"ready-demand": 900}, {"take-more_hours": -1}, {"take-nosuch": 50}, {"where": 1}, {"ready-demand": "5"}]
)
def test_levers_stand_inside_their_range_or_are_refused(workspace: Path, fields: dict) -> None:
    screen = executive.page(str(workspace))
    screen.act("reach", block="levers")
    screen.act("pull", fields=fields)
    assert told(screen, "error")


def test_the_planners_page_overlays_base_and_keeps_for_planners_only(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = planning.Planning(visit.arrive(str(workspace), query=""))
    page.screen.act("open", width=1200)
    assert page.screen.block_levers["widget"] == page.levers.model_id
    page.levers.act("move", ready={"hours": {"percent": -25}})
    assert "against base" in page.screen.block_live_cards["html"]
    page.levers.act("keep", scenario="short_line", title="", reason="one week in four")
    assert "vic is a viewer" in " ".join(page.levers.state["message"]["lines"])
    assert not (workspace / "scenarios" / "short_line.yaml").exists()
    monkeypatch.setenv("SOP_VIEWER", "ann")
    page.levers.act("keep", scenario="short_line", title="", reason="one week in four")
    assert load_scenario(workspace / "scenarios" / "short_line.yaml").reason == "one week in four"
    (workspace / "scenarios" / "short_line.yaml").unlink()


def test_the_frontier_is_made_anew_with_the_levers_beside_that_of_the_plan(workspace: Path) -> None:
    page = planning.Planning(visit.arrive(str(workspace), query=""))
    page.screen.act("open", width=1200)
    page.screen.act("weigh")
    assert "no lever is pulled" in told(page.screen, "error")
    page.levers.act("move", ready={"demand": {"percent": 20}})
    page.screen.act("weigh")
    assert page.screen.answer.get("kind") is None, page.screen.answer
    rows = [row for rows in page.screen.block_frontier["spec"]["datasets"].values() for row in rows]
    assert {row["case"] for row in rows} == {"base", "what if"}
    own = {row["case"]: row["profit_amt"] for row in rows if row["is_plan"] and row["frontier"] == "service and profit"}
    assert own["what if"] == pytest.approx(page._agreed.now.value("profit"), abs=0.01)


# ------------------------------------------------------------------ drill-down
def test_drill_down_goes_from_families_to_items_to_markets_and_sums(workspace: Path) -> None:
    cycle = open_workspace(workspace).cycle(CYCLE)
    read = [cycle.read(name) for name in ("plan_deviation", "item", "market")]
    families = views.deviation_drill(*read).set_index("member")
    markets = views.deviation_drill(*read, family="Bikes", item_id="B1").set_index("name")
    assert families.loc["Bikes", ["plan_qty", "actual_qty"]].tolist() == [140.0, 132.0]
    assert families.loc["Bikes", "wape_ratio"] == pytest.approx(12 / 132), "errors of markets do not cancel"
    assert families.loc["Bikes", "bias_ratio"] == pytest.approx(8 / 132)
    assert markets.loc["North", "deviation_ratio"] == pytest.approx(-0.1)
    assert markets["deviation_qty"].sum() == families.loc["Bikes", "deviation_qty"]


def test_the_management_page_drills_down_and_back(workspace: Path) -> None:
    screen = management.page(str(workspace))
    assert "Bikes" in block(screen, "drill")["html"]
    screen.act("drill", level="family", member="Bikes")
    assert 'data-member="B1"' in screen.block_drill["html"]
    screen.act("drill", level="item_id", member="B1")
    assert "South" in screen.block_drill["html"]
    screen.act("drill")
    assert 'data-member="Trailers"' in screen.block_drill["html"]
    for act in ("kpi", "measure", "level", "stream"):
        screen.act(act, value="../../x")
        assert told(screen, "error")


# ------------------------------------------------------------------ actions and risks are closed on the page
def newest(workspace: Path, table: str) -> dict:
    return open_workspace(workspace).cycle(CYCLE).records(table).sort_values("at").iloc[-1].to_dict()


def option(shown: str, words: str) -> str:
    """The value of a form's option by its words."""
    return re.search(rf'<option value="([^"]+)">{re.escape(words)}', shown).group(1)


def test_a_viewer_closes_nothing_and_reads_why(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_VIEWER", "ann")
    cycle = open_workspace(workspace).cycle(CYCLE)
    cycle.append("action", {"title": "Ask <welders>", "owner": "Bob", "due_date": pd.Timestamp("2027-01-08")}, by="ann", why="short")
    monkeypatch.setenv("SOP_VIEWER", "vic")
    screen = management.page(str(workspace))
    for act, name, words in (("action", "actions", "Ask &lt;welders&gt; (Bob)"), ("risk", "risk_list", "Steel &lt;dearer&gt; (Buyer)")):
        shown = block(screen, name)["html"]
        assert f"You are signed in as vic, a viewer. To close a{'n' if act == 'action' else ''} {act} takes a planner" in shown
        assert shown.count('aria-disabled="true"') == shown.count("<form") == 1
        before = open_workspace(workspace).cycle(CYCLE).version(act)
        screen.act(act, fields={"record": option(shown, words), "status": "done", "why": "forged"})
        assert "vic is a viewer (may read) and may not" in told(screen, "error")
        assert open_workspace(workspace).cycle(CYCLE).version(act) == before


def test_a_planner_marks_an_action_done_once_with_a_note(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_VIEWER", "ann")
    cycle = open_workspace(workspace).cycle(CYCLE)
    cycle.append("action", {"title": "Ask for a quote", "owner": "Bob", "due_date": pd.Timestamp("2027-01-08")}, by="ann", why="short")
    screen, other = management.page(str(workspace)), management.page(str(workspace))
    shown = block(screen, "actions")["html"]
    assert 'aria-disabled="true"' not in shown
    asked = {"record": option(shown, "Ask for a quote (Bob)"), "status": "done", "why": " "}
    screen.act("action", fields=asked)
    assert "Write the note" in told(screen, "error")
    screen.act("action", fields={**asked, "why": "came", "status": "vanished"})
    assert told(screen, "error")
    screen.act("action", fields={**asked, "why": "the quote came"})
    assert told(screen, "done") == "Ask for a quote: done, ann (planner)"
    row = newest(workspace, "action")
    assert (row["title"], row["status"], row["owner"], row["by"], row["why"]) == ("Ask for a quote", "done", "Bob", "ann", "the quote came")
    assert "done" in block(screen, "actions")["html"]
    assert "Ask for a quote (Bob)" not in block(screen, "actions")["html"]
    other.act("action", fields={**asked, "why": "me too"})
    assert "somebody closed or changed it meanwhile" in told(other, "error")


def test_a_planner_closes_a_risk_and_the_register_keeps_it(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_VIEWER", "ann")
    open_workspace(workspace).cycle(CYCLE).append("risk", {"title": "Strike", "kind": "risk", "money_amt": -50.0, "probability_ratio": 0.1},
                                                  by="ann", why="talks")  # fmt: skip
    screen = management.page(str(workspace))
    shown = block(screen, "risk_list")
    assert shown["title"] == "Risks and opportunities beyond the plan: 2 open"
    screen.act("risk", fields={"record": option(shown["html"], "Strike"), "why": "agreed"})
    assert told(screen, "done") == "Strike: closed, ann (planner)"
    shown = block(screen, "risk_list")
    assert shown["title"] == "Risks and opportunities beyond the plan: 1 open"
    assert "closed by ann: agreed" in shown["html"]
    assert newest(workspace, "risk")["money_amt"] == -50.0
    assert "closed by ann: agreed" in block(executive.page(str(workspace)), "risk_list")["html"]


def test_change_requests_are_shown_open_then_answered(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_VIEWER", "ann")
    screen = management.page(str(workspace))
    assert "No change request was handed" in block(screen, "requests")["html"]
    cycle = open_workspace(workspace).cycle(CYCLE)
    request = {"request_id": "2026-W53 sales off plan: Bikes", "weekly_cycle_id": "2026-W53", "kind": "sales off plan", "level": "family",
               "member": "Bikes", "period": pd.Timestamp("2026-12-21"), "weeks_outside": 2.0, "value": -0.3, "tolerance": 0.15,
               "money_amt": None, "sentence": "Bikes sold 30% below plan, the 2nd week running."}
    cycle.append_once("change_request", request, "request_id", by="ann", why="outside tolerance")
    assert block(management.page(str(workspace)), "requests")["title"] == "1 change request of the weekly round, 1 open"
    cycle.append("decision", {"question": "Bikes?", "choice": "new level", "answers": request["request_id"]}, by="ann", why="seen")
    shown = block(management.page(str(workspace)), "requests")
    assert shown["title"] == "1 change request of the weekly round, 0 open"
    assert "new level (ann, cycle 2027-01)" in shown["html"]


def test_every_block_of_every_page_fills_without_a_fault(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    for page in (executive, management, planning):
        screen = page.page(str(workspace))
        screen.act("open", width=390)
        for section in screen.shell["sections"]:
            for one in section["blocks"]:
                shown = block(screen, one["id"])
                assert {"html", "spec", "widget"} & set(shown), one["id"]
                assert "could not be computed" not in shown.get("html", ""), one["id"]
        screen.act("fit", width=1800)
        assert screen.answer.get("kind") is None
    assert caplog.text == ""


# ------------------------------------------------------------------ the notebooks
@pytest.mark.parametrize("name", ["executive_review", "management_review", "what_if"])
def test_dashboards_are_thin(name: str) -> None:
    notebook = nbformat.read(DASHBOARDS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert code[0].metadata["tags"] == ["parameters"]
    imported, call = ast.parse(code[1].source).body
    assert imported.module == "sop_workbench.pages"
    assert ast.unparse(call.value).endswith(".page(workspace, cycle_id)")
    assert json.loads((DASHBOARDS / f"{name}.ipynb").read_text(encoding="utf-8"))["metadata"]["title"] == notebook.metadata.title
