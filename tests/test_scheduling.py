"""What a timer meets: exit codes, a lock that lets one run in, mail that never breaks a run, and examples that parse."""

from __future__ import annotations

import ast
import configparser
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from mail_server import MailServer, mail_server

from sop_workbench import chain as chain_module
from sop_workbench import cli, last_run
from sop_workbench.chain import STEPS, StepState
from sop_workbench.errors import ChainRunningError, CycleLockedError, StepFailedError

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"


def sop(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "w"
    assert sop("new", folder).exit_code == 0
    return folder


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "w")


def with_mail(workspace: Path, address: str) -> Path:
    path = workspace / "sop.yaml"
    mail = f"mail: {{smtp: '{address}', from: sop@acme.example, to: planning@acme.example, timeout_seconds: 5}}\n"
    path.write_text(path.read_text() + mail, encoding="utf-8")
    return workspace


@pytest.fixture
def run_with(monkeypatch: pytest.MonkeyPatch):
    """Let the chain begin a step and then end as told."""

    def prepare(fault: Exception | None, is_started: bool = True) -> None:
        def run_chain(chain, first, last, outputs, told) -> None:
            if is_started:
                told("03_supply_review")
            if fault is not None:
                raise fault

        monkeypatch.setattr(chain_module, "run_chain", run_chain)

    return prepare


# ------------------------------------------------------------------ exit codes and the last-run file


@pytest.mark.parametrize(("fault", "code", "state"), [
    (None, 0, "done"), (StepFailedError("03_supply_review failed"), 1, "failed"), (RuntimeError("wires crossed"), 2, "failed")])
def test_a_run_ends_with_its_code_and_says_so_in_the_file(workspace: Path, run_with, fault, code: int, state: str) -> None:
    run_with(fault)
    result = sop("run", "--workspace", workspace)
    assert result.exit_code == code, result.output
    told = last_run.read(workspace)
    assert (told["cycle"], told["state"], told["exit_code"], told["step"]) == ("2026-10", state, code, "03_supply_review")


def test_settings_that_cannot_be_read_are_a_failed_run_too(workspace: Path) -> None:
    (workspace / "sop.yaml").write_text("company: [", encoding="utf-8")
    assert sop("run", "--workspace", workspace, "--scheduled").exit_code == 1
    told = last_run.read(workspace)
    assert (told["state"], told["exit_code"]) == ("failed", 1)
    assert "not readable YAML" in told["message"]
    assert "not readable YAML" in told["mail"]


@pytest.mark.parametrize(("fault", "code"), [(ChainRunningError("cycle 2026-10 is being run already by Anna"), 3),
                                             (CycleLockedError("cycle 2026-10 is locked"), 1)])
def test_a_cycle_in_use_or_locked_is_no_failure_for_a_timer(workspace: Path, run_with, fault: Exception, code: int) -> None:
    run_with(fault, is_started=False)
    assert sop("run", "--workspace", workspace).exit_code == code
    scheduled = sop("run", "--workspace", workspace, "--scheduled")
    assert (scheduled.exit_code, scheduled.output) == (0, f"nothing to run: {fault}\n")
    assert last_run.read(workspace) == {}


def test_status_tells_of_the_last_run(workspace: Path, run_with) -> None:
    run_with(StepFailedError("03_supply_review failed in cell 4\nprice is missing"))
    sop("run", "--workspace", workspace)
    assert "failed in 03_supply_review" in sop("status", "--workspace", workspace).output.splitlines()[-1]


def test_the_current_cycle_is_that_of_today(workspace: Path, run_with, monkeypatch: pytest.MonkeyPatch) -> None:
    run_with(None)
    monkeypatch.setattr(pd.Timestamp, "now", staticmethod(lambda: pd.Timestamp("2026-11-05 06:00")))
    result = sop("run", "--workspace", workspace, "--cycle", "current")
    assert result.output.startswith("cycle 2026-11 is in ")


# ------------------------------------------------------------------ mail


def test_a_failed_scheduled_run_is_mailed_and_keeps_its_code(workspace: Path, run_with) -> None:
    run_with(StepFailedError("03_supply_review failed in cell 4\nprice is missing"))
    with mail_server() as server:
        result = sop("run", "--workspace", with_mail(workspace, server.address), "--scheduled")
    assert result.exit_code == 1
    assert "price is missing" in _only(server)["text"]
    assert last_run.read(workspace)["mail"] == "sent to planning@acme.example"


def test_an_unscheduled_run_mails_nobody(workspace: Path, run_with) -> None:
    run_with(StepFailedError("03_supply_review failed"))
    with mail_server() as server:
        assert sop("run", "--workspace", with_mail(workspace, server.address)).exit_code == 1
    assert server.mails == []


def test_a_mail_server_that_is_down_changes_nothing_but_is_told(workspace: Path, run_with) -> None:
    run_with(StepFailedError("03_supply_review failed"))
    with mail_server(is_broken=True) as server:
        result = sop("run", "--workspace", with_mail(workspace, server.address), "--scheduled")
    assert result.exit_code == 1
    told = last_run.read(workspace)
    assert (told["state"], told["exit_code"]) == ("failed", 1)
    assert told["mail"].startswith("no mail was sent: the mail server")
    run_with(None)
    assert sop("run", "--workspace", workspace, "--scheduled").exit_code == 0


def test_late_steps_are_mailed_by_the_calendar_of_the_process(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd.Timestamp, "now", staticmethod(lambda: pd.Timestamp("2026-10-08 07:00")))
    with mail_server() as server:
        result = sop("status", "--workspace", with_mail(workspace, server.address), "--mail")
    assert result.exit_code == 0, result.output
    mail = _only(server)
    # step 0 is due on working day 4 (6 October), step 1 on day 5 (7 October); step 2 has until the 13th
    assert mail["subject"] == "S&OP My company: cycle 2026-10: 2 steps late, up to 2 working days"
    assert "00_data_gathering: draft, due WD4 (2026-10-06), 2 working days late; owner: Planning" in mail["text"]
    assert "02_demand_review" not in mail["text"]


def test_nothing_is_mailed_when_nothing_is_late(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd.Timestamp, "now", staticmethod(lambda: pd.Timestamp("2026-10-01")))
    with mail_server() as server:
        assert "mail: nothing is late" in sop("status", "--workspace", with_mail(workspace, server.address), "--mail").output
    assert server.mails == []


def test_a_dead_run_is_mailed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "step_states", lambda *_: [StepState("00_data_gathering", "done")])
    record = last_run.Record(workspace, "2026-10")
    record.note_step("02_demand_review")
    record.leave()
    left = last_run.read(workspace) | {"process_started": 1.0}
    (workspace / "last_run.json").write_text(json.dumps(left))
    with mail_server() as server:
        sop("status", "--workspace", with_mail(workspace, server.address), "--mail")
    assert "died in 02_demand_review" in _only(server)["subject"]


def test_asking_for_mail_without_a_server_is_explained(workspace: Path) -> None:
    result = sop("status", "--workspace", workspace, "--mail")
    assert result.exit_code == 1
    assert "say in sop.yaml: mail: {smtp: host:port" in result.stderr


def _only(server: MailServer) -> dict[str, str]:
    (mail,) = server.mails
    return {"subject": mail["Subject"], "text": mail.get_content()}


# ------------------------------------------------------------------ examples


class _Dag:
    """Stands for Airflow's DAG: remembers what it was made with and the operators made inside it."""

    open: _Dag | None = None

    def __init__(self, dag_id: str, **options: object) -> None:
        self.dag_id, self.options, self.tasks = dag_id, options, []

    def __enter__(self) -> _Dag:
        type(self).open = self
        return self

    def __exit__(self, *_: object) -> None:
        type(self).open = None


class _Operator:
    """Stands for the papermill operator."""

    def __init__(self, *, task_id: str, **options: object) -> None:
        self.task_id, self.options, self.after = task_id, options, []
        assert _Dag.open is not None
        _Dag.open.tasks.append(self)

    def __rshift__(self, other: _Operator) -> _Operator:
        other.after.append(self.task_id)
        return other


def _dag(monkeypatch: pytest.MonkeyPatch) -> _Dag:
    path = EXAMPLES / "airflow" / "sop_cycle.py"
    names = {"airflow.sdk": {"DAG": _Dag}, "airflow.providers.papermill.operators.papermill": {"PapermillOperator": _Operator}}
    for name, content in names.items():
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:length]), ModuleType(".".join(parts[:length])))
        for word, value in content.items():
            setattr(sys.modules[name], word, value)
    found: dict = {}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), found)
    (dag,) = [value for value in found.values() if isinstance(value, _Dag)]
    return dag


def test_the_airflow_example_runs_every_step_in_order_with_the_papermill_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    dag = _dag(monkeypatch)
    assert [task.options["parameters"]["step"] for task in dag.tasks] == [step.name for step in STEPS]
    assert [task.after for task in dag.tasks] == [[], *([task.task_id] for task in dag.tasks[:-1])]
    assert dag.options["max_active_runs"] == 1
    assert dag.options["catchup"] is False


def test_the_airflow_example_imports_nothing_but_airflow() -> None:
    tree = ast.parse((EXAMPLES / "airflow" / "sop_cycle.py").read_text(encoding="utf-8"))
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    found |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert found == {"__future__", "datetime", "airflow.sdk", "airflow.providers.papermill.operators.papermill"}


def test_the_notebook_that_airflow_runs_is_thin_and_takes_what_the_example_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(EXAMPLES / "airflow" / "run_step.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (given,) = [cell.source for cell in code if "parameters" in cell.metadata.get("tags", ())]
    declared = [node.target.id for node in ast.parse(given).body]
    for task in _dag(monkeypatch).tasks:
        assert set(task.options["parameters"]) <= set(declared)
    called = []
    monkeypatch.setattr(cli, "run_cycle", lambda *a, **k: called.append((a, k)))
    exec("\n".join(cell.source for cell in code), {})
    assert called == [((".", "current"), {"last": "00_data_gathering"})]


def test_the_systemd_examples_are_units_that_call_the_documented_commands() -> None:
    units = {path.name: configparser.ConfigParser(strict=False, interpolation=None) for path in (EXAMPLES / "systemd").iterdir()}
    for name, unit in units.items():
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read(EXAMPLES / "systemd" / name, encoding="utf-8")
    assert set(units) == {"sop-run.service", "sop-run.timer", "sop-late.service", "sop-late.timer"}
    assert units["sop-run.timer"]["Timer"]["Persistent"] == "true"
    assert "sop run" in units["sop-run.service"]["Service"]["ExecStart"]
    assert "--scheduled" in units["sop-run.service"]["Service"]["ExecStart"]
    assert "sop status" in units["sop-late.service"]["Service"]["ExecStart"]
    for name in ("sop-run", "sop-late"):
        assert units[f"{name}.timer"]["Timer"]["OnCalendar"]
        assert units[f"{name}.service"]["Service"]["Type"] == "oneshot"
