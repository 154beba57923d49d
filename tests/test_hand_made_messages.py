"""Messages made by hand, as a viewer, to every act of every page: refused in words or harmless, and nothing is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from planned_company import CYCLE, planned

from sop_workbench.pages import executive, management, planning, visit
from sop_workbench.store import open_workspace

pytestmark = pytest.mark.slow  # plans the small company once: about ten seconds
LONG = "x" * 200_000
TRICK = "../../../etc/cron.d/x"
NAMES = [TRICK, "..", "/tmp/x", "a/b", "a\\b", "a\0b", "con.yaml/..", LONG, "", " ", "<script>", "%2e%2e%2fx", "ä" * 300, "a\nb"]
UNKNOWN = ["execute", "_open", "__init__", "__class__", "keep_scenario", "fill", "tell", "act", "send", "close", TRICK, LONG, "", "open "]
LOOKS = [None, -1, float("nan"), TRICK, LONG, ["a"] * 2000, {}, {"x": {"y": [1]}}]

EXECUTIVE = {
    "open": ["width"], "reach": ["block"], "fit": ["width"], "turn": ["query"], "pull": ["fields"], "reset": [],
    "decide": ["number", "fields"], "approve": ["fields"],
}  # fmt: skip
MANAGEMENT = {
    "open": ["width"], "reach": ["block"], "fit": ["width"], "drill": ["family", "item", "member", "level"], "kpi": ["value"],
    "measure": ["value"], "stream": ["value"], "level": ["value"], "action": ["fields"], "risk": ["fields"],
}  # fmt: skip
WHAT_IF = {"open": ["width"], "reach": ["block"], "fit": ["width"], "weigh": []}
LEVERS = {
    "move": ["ready", "start", "end"], "hold": ["name"], "add": ["table", "column", "operation", "value", "where"], "release": ["number"],
    "undo": [], "reset": [], "keep": ["scenario", "title", "reason"], "look": ["measure", "family"], "open_table": ["table"],
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planned(tmp_path_factory.mktemp("messages") / "w", is_submitted=True)


@pytest.fixture(autouse=True)
def viewer(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> Iterator[None]:
    """A viewer looks, and when he is gone everything below the workspace's parent is as it was."""
    for name in ("SOP_WORKSPACE", "QUERY_STRING", "SOP_VIEWER_GROUPS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOP_VIEWER", "vic")
    before = files(workspace.parent)
    yield
    assert files(workspace.parent) == before
    assert not Path("/etc/cron.d/x").exists()


def files(folder: Path) -> dict[str, str]:
    """Every file by its content."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def message_of(page: Any) -> tuple[str, str]:
    """What a page or its lever form said last."""
    said = page.state["message"] if hasattr(page, "state") else page.answer
    return said.get("kind", ""), " ".join(said.get("lines", []))


def send(page: Any, content: Any) -> tuple[str, str]:
    """A comm message as the kernel hands it on."""
    page._handle_custom_msg(content, [])
    return message_of(page)


def opened(name: str, workspace: Path) -> Any:
    """What takes the messages of a page, with everything shown that a browser would have asked for."""
    seen = visit.arrive(str(workspace), query=f"cycle={CYCLE}")
    page = {"executive": executive.Executive, "management": management.Management}.get(name, planning.Planning)(seen)
    page.screen.act("open", width=1200)
    if name == "executive":
        page.screen.act("reach", block="levers")
    return page.levers if name == "levers" else page.screen


PAGES = [("executive", EXECUTIVE), ("management", MANAGEMENT), ("what_if", WHAT_IF), ("levers", LEVERS)]


@pytest.mark.parametrize(("name", "acts"), PAGES)
def test_the_acts_listed_here_are_those_of_the_page(workspace: Path, name: str, acts: dict[str, list[str]]) -> None:
    assert set(opened(name, workspace)._acts) == set(acts)


@pytest.mark.parametrize(("name", "acts"), PAGES)
def test_unknown_acts_and_messages_that_are_none_are_refused(workspace: Path, name: str, acts: dict[str, list[str]]) -> None:
    page = opened(name, workspace)
    for said in [{"name": act} for act in UNKNOWN] + [{"name": odd} for odd in LOOKS] + LOOKS:
        kind, words = send(page, said)
        assert kind == "error", str(said)[:80]
        assert 0 < len(words) < 600
        assert "Traceback" not in words


@pytest.mark.parametrize(("name", "acts"), PAGES)
def test_bad_payloads_of_every_act_are_refused_in_words(workspace: Path, name: str, acts: dict[str, list[str]]) -> None:
    page = opened(name, workspace)
    for act, fields in acts.items():
        for odd in LOOKS:
            tries = [*({field: odd} for field in fields), dict.fromkeys(fields, odd), {"self": odd}]
            for details in tries:
                kind, words = send(page, {"name": act, **details})
                assert kind in ("", "error", "told"), (act, str(details)[:80])
                assert len(words) < 1500, (act, str(details)[:80])
                assert "Traceback" not in words
        assert send(page, {"name": act, "surprise": 1})[0] == "error", act


def test_no_writing_act_of_the_executive_page_takes_a_viewers_word(workspace: Path) -> None:
    page = opened("executive", workspace)
    signed = {"why": "forged", "choice": "x", "by": "helga", "user": "helga", "role": "approver"}
    for act, details in [("decide", {"number": "1"}), ("approve", {}), ("decide", {"number": "1", "by": "helga"}),
                         ("approve", {"by": "helga"}), ("decide", {"number": TRICK})]:  # fmt: skip
        for odd in ({}, {"other": LONG}, {"choice": TRICK}, {"expected": "1e999"}):
            kind, words = send(page, {"name": act, "fields": {**signed, **odd}, **details})
            assert kind == "error"
            assert words
    kind, words = send(page, {"name": "approve", "fields": signed})
    assert "vic is a viewer" in words
    cycle = open_workspace(workspace).cycle(CYCLE)
    assert cycle.records("decision").empty
    assert "approved" not in set(cycle.records("step_status").query("step == '06_executive_sop'")["status"])


def test_a_viewer_keeps_no_scenario_whatever_it_is_called(workspace: Path) -> None:
    page = opened("levers", workspace)
    assert send(page, {"name": "move", "ready": {"hours": {"percent": -25}}})[0] == ""
    for scenario, why in product([*NAMES, "a_good_name"], ("forged", LONG, "")):
        kind, words = send(page, {"name": "keep", "scenario": scenario, "title": TRICK, "reason": why})
        assert kind == "error"
        assert "vic is a viewer" in words


def test_not_even_a_planner_writes_outside_the_folder_of_scenarios(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_VIEWER", "ann")
    page = opened("levers", workspace)
    send(page, {"name": "move", "ready": {"hours": {"percent": -25}}})
    for scenario in NAMES:
        kind, words = send(page, {"name": "keep", "scenario": scenario, "title": "", "reason": "why"})
        assert kind == "error"
        assert "cannot name a scenario" in words
        assert len(words) < 1000


def test_a_page_answers_after_all_that(workspace: Path) -> None:
    page = opened("levers", workspace)
    for odd in LOOKS:
        send(page, {"name": "move", "ready": {"hours": {"percent": odd}}})
        send(page, {"name": "move", "ready": {"hours": odd}})
        send(page, {"name": "add", "table": odd, "column": "regular_hours", "operation": "multiply", "value": "0.9"})
        send(page, {"name": "add", "table": "capacity", "column": "regular_hours", "operation": odd, "value": odd, "where": odd})
    assert send(page, {"name": "reset"})[0] == ""
    assert send(page, {"name": "move", "ready": {"hours": {"percent": -25}}})[0] == ""
    assert page.state["can_undo"] is True
