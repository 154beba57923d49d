"""Who may write, approve and lock: one place in the store refuses, whoever asks."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from sop_workbench import cli, roles
from sop_workbench.errors import RoleError, SettingsError
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
        "approve": lambda: cycle.append("step_status", {"step": "01", "status": "approved"}, by=who, why="c"),
        "lock": lambda: cycle.lock(by=who, why="c"),
        "unlock": lambda: cycle.unlock(by=who, why="c"),
    }


@pytest.mark.parametrize("act", ["write", "write_all", "append", "approve", "lock", "unlock"])
@pytest.mark.parametrize("who", ["vic", "a stranger"])
def test_every_write_by_a_viewer_is_refused(cycle: Cycle, sign_in, act: str, who: str) -> None:
    sign_in(who)
    with pytest.raises(RoleError, match=rf"^{who} is a viewer \(may read\) and may not .* cycle 2026-10; it takes an? "):
        every_write(cycle, who)[act]()
    assert cycle.store.cycles() == []
    assert not list(Path(cycle.store.url).rglob("*.parquet"))


def test_a_planner_writes_and_an_approver_locks_and_unlocks(cycle: Cycle, sign_in) -> None:
    sign_in("ann")
    can = every_write(cycle, "ann")
    for act in ("write", "write_all", "append"):
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


@pytest.fixture
def company(tmp_path: Path, sign_in) -> Path:
    (tmp_path / "sop.yaml").write_text("company: Any\nnewest_cycle: '2026-10'\n")
    (tmp_path / "users.yaml").write_text(json.dumps({"users": USERS}))
    sign_in("ann")
    open_workspace(tmp_path).cycle("2026-10").write("service_target", TARGET)
    sign_in("vic")
    return tmp_path


@pytest.mark.parametrize("command", [
    ["lock"], ["unlock"], ["submit", "executive_sop"], ["approve", "executive_sop"],
    ["decide", "--question", "More shifts?", "--choice", "yes"],
    ["outcome", "none", "--actual", "3"], ["action", "Ask for a quote", "--owner", "ann", "--due", "2026-11-02"],
])
def test_a_viewer_is_refused_at_the_command_line(company: Path, command: list[str]) -> None:
    said = CliRunner().invoke(cli.main, [*command, "--workspace", str(company), "--by", "vic", "--why", "let me"])
    assert said.exit_code == 1, said.output
    assert "vic is a viewer (may read) and may not" in said.stderr


def test_a_viewer_does_not_run_the_chain(company: Path) -> None:
    said = CliRunner().invoke(cli.main, ["run", "--workspace", str(company)])
    assert said.exit_code == 1
    assert "vic is a viewer (may read) and may not run cycle 2026-10" in said.stderr
    assert not (company / "cycles").exists()
