"""Who may write, approve and lock: one place in the store refuses, whoever asks."""

from __future__ import annotations

import getpass
import json
import shutil
from pathlib import Path

import click
import nbformat
import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from test_widgets import make_cycle

from sop_workbench import cli, roles, tables, widgets
from sop_workbench.adjustment import append_edits, export_consensus, read_edits
from sop_workbench.chain import Chain, approve_step, lock_cycle, run_chain, submit_step, write_outputs
from sop_workbench.correction import decide, proposed_corrections
from sop_workbench.errors import RoleError, SettingsError
from sop_workbench.outcome import record_outcome
from sop_workbench.publish import publish
from sop_workbench.report import write_html
from sop_workbench.settings import Settings, load_settings
from sop_workbench.store import Cycle, open_store, open_workspace

USERS = {"helga": "approver", "ann": "planner", "vic": "viewer"}
TARGET = pd.DataFrame({"item_or_class": ["A"], "service_level_ratio": [0.9], "fill_ratio": [None]}).astype({"fill_ratio": float})


@pytest.fixture
def cycle(tmp_path: Path) -> Cycle:
    """A cycle of a company that named its people; nobody's work so far."""
    return open_store(tmp_path / "store", Settings(company="Any", users=USERS)).cycle("2026-10")


@pytest.fixture
def sign_in(monkeypatch: pytest.MonkeyPatch):
    return lambda name: monkeypatch.setenv("JUPYTERHUB_USER", name)


def every_write(cycle: Cycle, who: str) -> dict:
    return {
        "write": lambda: cycle.write("service_target", TARGET),
        "write_all": lambda: cycle.write_all({"service_target": TARGET}),
        "append": lambda: cycle.append("comment", {"subject": "a", "text": "b"}, by=who, why="c"),
        "append_once": lambda: cycle.append_once("comment", {"subject": "a", "text": "b"}, "subject", by=who, why="c"),
        "approve": lambda: cycle.append("step_status", {"step": "01", "status": "approved"}, by=who, why="c"),
        "copy_from": lambda: cycle.copy_from(cycle, ["service_target", "comment"]),
        "lock": lambda: cycle.lock(by=who, why="c"),
        "unlock": lambda: cycle.unlock(by=who, why="c"),
    }


def test_every_way_to_write_is_tried_below() -> None:
    """A new public method of a cycle is a read, or it belongs into `every_write`."""
    reads = {"read", "read_or_empty", "has", "version", "fingerprint", "scenarios", "inputs", "records", "history", "writes",
             "file_hashes", "pins", "open_delta"}
    methods = {name for name in vars(Cycle) if not name.startswith("_") and callable(getattr(Cycle, name))}
    assert methods == reads | {"write", "write_all", "append", "append_once", "copy_from", "lock", "unlock"}


@pytest.mark.parametrize("act", ["write", "write_all", "append", "append_once", "approve", "copy_from", "lock", "unlock"])
@pytest.mark.parametrize("who", ["vic", "a stranger"])
def test_every_write_by_a_viewer_is_refused(cycle: Cycle, sign_in, act: str, who: str) -> None:
    sign_in(who)
    with pytest.raises(RoleError, match=rf"^{who} is a viewer \(may read\) and may not .* cycle 2026-10; it takes an? "):
        every_write(cycle, who)[act]()
    assert cycle.store.cycles() == []
    assert not list(Path(cycle.store.url).rglob("*.parquet"))


@pytest.mark.parametrize("name", [name for name, declared in tables.all_tables().items() if declared.group != "document"])
def test_no_table_is_open_to_a_viewer(cycle: Cycle, sign_in, name: str) -> None:
    """Inputs, results of base and of a scenario, people's records: refused before anything is looked at."""
    sign_in("vic")
    declared = tables.table(name)
    acts = [lambda: cycle.write(name, declared.empty()), lambda: cycle.write(name, declared.empty(), scenario="more")]
    if declared.group == "record" and name != "approval":
        acts = [lambda: cycle.append(name, {}, by="vic", why="let me")]
    for act in acts:
        with pytest.raises(RoleError, match="vic is a viewer"):
            act()
    assert not Path(cycle.store.url).exists()


def test_a_planner_writes_and_an_approver_locks_and_unlocks(cycle: Cycle, sign_in) -> None:
    sign_in("ann")
    can = every_write(cycle, "ann")
    for act in ("write", "write_all", "append", "append_once", "copy_from"):
        can[act]()
    for act in ("approve", "lock", "unlock"):
        with pytest.raises(RoleError, match="ann is a planner .* it takes an approver"):
            can[act]()
    sign_in("helga")
    for act in ("approve", "lock", "unlock", "write"):
        every_write(cycle, "helga")[act]()
    assert cycle.records("approval")["status"].tolist() == ["locked", "unlocked"]


def test_nobody_signs_for_another(cycle: Cycle, sign_in) -> None:
    sign_in("ann")
    with pytest.raises(RoleError, match="ann may not add to comment of cycle 2026-10 in the name of helga; sign as ann"):
        cycle.append("comment", {"subject": "a", "text": "b"}, by="helga", why="c")


def test_without_users_everybody_may_do_everything(tmp_path: Path, sign_in) -> None:
    cycle = open_store(tmp_path / "store", Settings(company="Any")).cycle("2026-10")
    sign_in("anybody")
    for act in ("write", "append", "approve", "lock", "unlock"):
        every_write(cycle, "Somebody else")[act]()


def test_person_is_of_jupyterhub_else_of_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    assert roles.current_user() == getpass.getuser()
    assert isinstance(roles.current_groups(), set)
    monkeypatch.setenv("JUPYTERHUB_USER", "ann")
    monkeypatch.setenv("JUPYTERHUB_GROUPS", "planning, board")
    assert (roles.current_user(), roles.current_groups()) == ("ann", {"planning", "board"})


def test_groups_of_jupyterhub_give_the_role(tmp_path: Path, sign_in, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle = open_store(tmp_path / "store", Settings(company="Any", groups={"planning": "planner"}, users={"*": "viewer"})).cycle("2026-10")
    sign_in("ann")
    monkeypatch.setenv("JUPYTERHUB_GROUPS", "planning")
    cycle.write("service_target", TARGET)
    monkeypatch.setenv("JUPYTERHUB_GROUPS", "sales")
    with pytest.raises(RoleError, match="ann is a viewer"):
        cycle.write("service_target", TARGET)


def test_a_group_of_the_operating_system_gives_the_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    grp = pytest.importorskip("grp")
    monkeypatch.setattr("os.getgroups", lambda: [grp.getgrnam("root").gr_gid, 2**31 - 7])
    assert roles.current_groups() == {"root"}


def test_users_stand_in_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "sop.yaml").write_text("company: Any\n")
    (tmp_path / "users.yaml").write_text('users: {ann: planner, "*": viewer}\ngroups: {board: approver}\n')
    found = load_settings(tmp_path)
    assert (found.users, found.groups) == ({"ann": "planner", "*": "viewer"}, {"board": "approver"})


@pytest.mark.parametrize(("sop", "users", "message"), [
    ("company: Any\nusers: {ann: planner}\n", "users: {bob: viewer}\n", "users stands in sop.yaml and in .*users.yaml"),
    ("company: Any\n", "company: Other\n", "unknown key company; it may hold users and groups"),
    ("company: Any\n", "users: {ann: boss}\n", "users.ann"),
])
def test_a_users_file_that_cannot_be_meant_is_refused(tmp_path: Path, sop: str, users: str, message: str) -> None:
    (tmp_path / "sop.yaml").write_text(sop)
    (tmp_path / "users.yaml").write_text(users)
    with pytest.raises(SettingsError, match=message):
        load_settings(tmp_path)


# ------------------------------------------------------------------ from the command line and from a notebook


# Every command of sop, and what a viewer gets of those that write; a new command has to find its place here.
READING = {"check", "status", "verify", "diff", "maturity", "records", "rerun", "lab", "dashboards", "new", "adjust export",
           "history list"}
WRITING = {
    "run": [], "run --scheduled": [], "report": [], "report --format all": [], "publish": ["{folder}/out"],
    "lock": ["signed"], "unlock": ["signed"],
    "submit": ["executive_sop", "signed"], "approve": ["executive_sop", "signed"],
    "assume": ["steel stays", "signed"], "decide": ["--question", "More shifts?", "--choice", "yes", "signed"],
    "request": ["--by", "vic"],
    "outcome": ["none", "--actual", "3", "signed"], "action": ["Ask for a quote", "--owner", "ann", "--due", "2026-11-02", "signed"],
    "risk": ["Steel", "--money", "9", "--probability", "0.5", "signed"],
    "users add": ["vic", "--role", "approver", "--password", "let me in, please"],
    "adjust lock": ["900", "--period", "2027-01-01", "signed"], "adjust pin": ["theta", "--family", "Bikes", "signed"],
    "adjust import": ["{folder}/edited.xlsx", "--yes", "signed"], "history accept": ["signed"], "history reject": ["signed"],
}


def commands(group: click.Group, prefix: str = "") -> set[str]:
    """Names of all commands, those of groups with the group's name before theirs."""
    found = set()
    for name, command in group.commands.items():
        found |= commands(command, f"{name} ") if isinstance(command, click.Group) else {prefix + name}
    return found


def test_every_command_reads_or_is_tried_below() -> None:
    assert commands(cli.main) == READING | {command.partition(" --")[0] for command in WRITING}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company with a consensus, proposed corrections of history and an edited workbook: there is something to write."""
    folder = tmp_path_factory.mktemp("company")
    cycle = make_cycle(folder)
    book = openpyxl.load_workbook(export_consensus(cycle, folder / "edited.xlsx"))
    book["consensus"].cell(2, 5).value = 120
    book.save(folder / "edited.xlsx")
    (folder / "users.yaml").write_text(json.dumps({"users": USERS}))
    return folder


@pytest.fixture
def planned(company: Path, tmp_path: Path, sign_in) -> Path:
    """A copy of the company, with a viewer signed in."""
    sign_in("vic")
    return shutil.copytree(company, tmp_path / "w")


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", WRITING)
def test_a_viewer_is_refused_at_the_command_line_and_nothing_is_written(planned: Path, command: str) -> None:
    before = content(planned)
    arguments = [part for given in WRITING[command] for part in (["--by", "vic", "--why", "let me"] if given == "signed" else
                                                                 [given.format(folder=planned)])]
    said = CliRunner().invoke(cli.main, [*command.split(), *arguments, "--workspace", str(planned)])
    assert said.exit_code == 1, said.output
    assert "vic is a viewer (may read) and may not" in said.stderr
    assert content(planned) == before


@pytest.mark.parametrize("command", [["status"], ["records", "decision"], ["history", "list"], ["maturity"]])
def test_a_viewer_reads(planned: Path, command: list[str]) -> None:
    said = CliRunner().invoke(cli.main, [*command, "--workspace", str(planned)])
    assert said.exit_code == 0, said.output


# ------------------------------------------------------------------ from Python, as a notebook does it
FROM_PYTHON = {
    "run the chain": lambda chain: run_chain(chain),
    "write the report": lambda chain: write_outputs(chain, {"report.html": write_html}),
    "publish": lambda chain: publish(chain.cycle, str(chain.workspace.folder / "out")),
    "submit": lambda chain: submit_step(chain, "executive_sop", by="vic", why="x"),
    "approve": lambda chain: approve_step(chain, "executive_sop", by="vic", why="x"),
    "lock": lambda chain: lock_cycle(chain, by="vic", why="x"),
    "score": lambda chain: record_outcome(chain.cycle, "none", 1.0, by="vic", why="x"),
    "score by actuals": lambda chain: chain.cycle.append("outcome", {}, by=roles.WORKBENCH, why="x"),
    "adjust": lambda chain: append_edits(chain.cycle, read_edits(chain.cycle, chain.workspace.folder / "edited.xlsx"), by="vic", why="x"),
    "decide a correction": lambda chain: decide(
        chain.cycle, proposed_corrections(chain.cycle).assign(decision="accepted"), by="vic", why="x"),
}


@pytest.mark.parametrize("act", FROM_PYTHON)
def test_a_viewer_is_refused_in_a_notebook_whatever_is_called(planned: Path, act: str) -> None:
    workspace = open_workspace(planned)
    before = content(planned)
    with pytest.raises(RoleError, match="vic is a viewer"):
        FROM_PYTHON[act](Chain(workspace, workspace.cycle("2027-01")))
    assert content(planned) == before


def test_a_viewer_is_refused_in_the_grids_of_a_notebook(planned: Path) -> None:
    """The grid of the consensus and the list of corrections, used as a person does: the refusal stands where the answer does."""
    cycle, before = open_workspace(planned).cycle("2027-01"), content(planned)
    grid, picker = widgets.AdjustmentGrid(cycle), widgets.CorrectionPicker(cycle)
    grid.act("enter", cells=[[grid.state["rows"][0]["keys"], 0, "120"]])
    grid.act("check", by="vic", why="let me", assumption="a tender")
    grid.act("record")
    picker.act("tick", numbers=[0], is_on=True)
    picker.act("decide", decision="accepted", by="vic", why="let me")
    for form in (grid, picker):
        assert form.message["kind"] == "error"
        assert "vic is a viewer (may read) and may not add to" in form.message["lines"][0]
    assert content(planned) == before


def test_a_viewer_is_refused_inside_a_kernel(planned: Path) -> None:
    """The same person in a real kernel of JupyterHub: who is signed in comes from its environment."""
    cell = f"""
from sop_workbench.store import open_workspace
cycle = open_workspace({str(planned)!r}).cycle("2027-01")
cycle.append("comment", {{"subject": "a", "text": "b"}}, by="vic", why="c")
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    before = content(planned)
    with pytest.raises(CellExecutionError) as failed:
        NotebookClient(notebook, kernel_name="python3").execute()
    assert failed.value.ename == "RoleError"
    assert failed.value.evalue.startswith("vic is a viewer (may read) and may not add to comment of cycle 2027-01")
    assert content(planned) == before
