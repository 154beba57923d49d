"""The command line: what a planner types, reads and gets as exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from sop_workbench import chain as chain_module
from sop_workbench import checks, cli, sources, tables
from sop_workbench.chain import StepState
from sop_workbench.settings import load_settings

ROOT = Path(__file__).parents[1]


def sop(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def busy_seconds(command: list[str], attempts: int = 3) -> float:
    """Processor time of a program, the best of some attempts: what else the machine does is not its fault."""
    found = []
    for _ in range(attempts):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        found.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(found)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blank workspace, only looked at."""
    folder = tmp_path_factory.mktemp("made") / "w"
    result = sop("new", folder)
    assert (result.exit_code, result.output) == (0, f"made {folder}; next: sop check --workspace {folder}\n")
    return folder


@pytest.fixture
def blank(made: Path, tmp_path: Path) -> Path:
    """A blank workspace to change."""
    return shutil.copytree(made, tmp_path / "w")


# ------------------------------------------------------------------ start


def test_help_answers_at_once() -> None:
    assert busy_seconds([str(Path(sys.executable).with_name("sop")), "--help"]) < 0.5


@pytest.mark.parametrize(("module", "heavy"), [
    ("cli", {"pandas", "papermill", "pyomo", "duckdb", "altair"}),  # --help
    ("chain", {"papermill", "pyomo", "duckdb", "altair", "prophet"}),  # status, approvals and records
])
def test_what_a_command_does_not_need_is_not_imported(module: str, heavy: set[str]) -> None:
    program = f"import sys, sop_workbench.{module}; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["new", "check", "run", "status", "report", "adjust", "submit", "approve", "lock", "unlock", "verify",
                                     "rerun", "diff", "decide", "action", "risk", "request", "outcome", "records", "maturity", "lab"])
def test_every_command_says_what_it_does(command: str) -> None:
    result = sop(command, "--help")
    assert result.exit_code == 0
    assert command in sop("--help").output
    assert "--workspace" in result.output or command in ("new", "adjust")


# ------------------------------------------------------------------ new


def test_a_blank_workspace_has_settings_and_a_template_per_input_table(made: Path) -> None:
    assert load_settings(made).newest_cycle == "2026-10"
    assert {path.stem for path in (made / "templates").iterdir()} == set(tables.names("input"))


@pytest.mark.parametrize("name", tables.names("input"))
def test_a_template_tells_columns_units_and_meaning(made: Path, name: str) -> None:
    book = openpyxl.load_workbook(made / "templates" / f"{name}.xlsx")
    declared = tables.table(name)
    assert [cell.value for cell in book[name][1]] == list(declared.columns)
    rows = list(book["meaning"].iter_rows(min_row=2, values_only=True))
    assert [(row[0], row[2] or "", row[4]) for row in rows] == [(c.name, c.unit, c.meaning) for c in declared.columns.values()]


def test_the_steps_of_a_blank_workspace_are_those_of_the_chain(made: Path) -> None:
    assert list(load_settings(made).steps) == [step.name for step in chain_module.STEPS]


def test_a_filled_template_is_read_as_it_is(blank: Path) -> None:
    book = openpyxl.load_workbook(blank / "templates" / "service_target.xlsx")
    book["service_target"].append(["A", 0.98, None])
    book.save(blank / "extract" / "service_target.xlsx")
    settings = load_settings(blank)
    inputs, issues = sources.load_inputs(settings, blank, settings.calendar.as_of("2026-10"))
    assert inputs["service_target"]["service_level_ratio"].tolist() == [0.98]
    assert "service_target" not in set(issues["table"])


@pytest.mark.parametrize("kind", ["demo", "adventureworks"])
def test_a_company_of_the_workbench_is_copied_without_its_programs(tmp_path: Path, kind: str) -> None:
    result = sop("new", tmp_path / "w", f"--{kind}")
    assert result.exit_code == 0, result.output
    assert load_settings(tmp_path / "w").newest_cycle
    assert (tmp_path / "w" / "sql").is_dir()
    assert not list((tmp_path / "w").rglob("*.py"))


def test_a_folder_with_anything_in_it_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    result = sop("new", tmp_path)
    assert (result.exit_code, result.stderr) == (1, f"{tmp_path} is not empty; name a folder that is new or empty\n")
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_nothing_is_left_behind_when_a_template_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(cli, "_write_template", fail)
    result = sop("new", tmp_path / "w")
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])


# ------------------------------------------------------------------ errors


def test_a_missing_workspace_is_explained(tmp_path: Path) -> None:
    result = sop("status", "--workspace", tmp_path)
    assert result.exit_code == 1
    assert "sop.yaml is missing" in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_cycle_name_is_explained(blank: Path) -> None:
    result = sop("status", "--workspace", blank, "--cycle", "October")
    assert (result.exit_code, result.stderr) == (1, "cycle 'October' is not a month; write it like 2026-10\n")


def test_no_cycle_at_all_is_explained(blank: Path) -> None:
    path = blank / "sop.yaml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "newest_cycle" not in line))
    result = sop("status", "--workspace", blank)
    assert (result.exit_code, result.stderr) == (1, "which cycle? give --cycle, or set newest_cycle in sop.yaml\n")


def test_an_unexpected_error_is_one_line_and_a_log(blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("wires crossed\nsecond line")

    monkeypatch.setattr(chain_module, "step_states", fail)
    result = sop("status", "--workspace", blank)
    assert result.exit_code == 2
    assert result.stderr == f"unexpected RuntimeError: wires crossed (details in {blank / 'sop.log'})\n"
    assert "Traceback" in (blank / "sop.log").read_text()


@pytest.mark.parametrize("assignment", ["top=3", "02_demand_review.top", "nonsense"])
def test_a_parameter_that_cannot_be_read_is_explained(blank: Path, assignment: str) -> None:
    result = sop("run", "--workspace", blank, "--parameter", assignment)
    assert result.exit_code == 1
    assert "write it like 02_demand_review.name=value" in result.stderr


def test_a_parameter_of_an_unknown_step_is_explained(blank: Path) -> None:
    result = sop("run", "--workspace", blank, "--parameter", "sales.top=3")
    assert result.exit_code == 1
    assert "no step 'sales'; steps are 00_data_gathering" in result.stderr


@pytest.mark.parametrize("command", ["lock", "approve"])
@pytest.mark.parametrize("missing", ["--by", "--why"])
def test_a_decision_needs_who_and_why(blank: Path, command: str, missing: str) -> None:
    given = {"--by": "Helga", "--why": "agreed"}
    del given[missing]
    result = sop(command, *(["executive_sop"] if command == "approve" else []), "--workspace", blank, *next(iter(given.items())))
    assert result.exit_code == 2
    assert f"Missing option '{missing}'" in result.stderr


def test_an_unfinished_cycle_is_not_locked(blank: Path) -> None:
    result = sop("lock", "--workspace", blank, "--by", "Helga", "--why", "in a hurry")
    assert result.exit_code == 1
    assert "00_data_gathering is draft" in result.stderr


# ------------------------------------------------------------------ check and status


def _issues(*rows: tuple[str, str]) -> pd.DataFrame:
    return tables.issue_frame([tables.finding("negative_price", severity, table, "item_id=A1", 3, "-2.0", "enter 0 or more")
                               for severity, table in rows])


@pytest.mark.parametrize(("rows", "code", "last"), [
    ([], 0, "no findings"),
    ([("info", "item"), ("warns", "lane")], 0, "2 findings, 0 of them blocking"),
    ([("info", "item"), ("blocks", "price"), ("warns", "lane")], 1, "3 findings, 1 of them blocking"),
])
def test_findings_are_shown_worst_first(blank: Path, monkeypatch: pytest.MonkeyPatch, rows: list, code: int, last: str) -> None:
    monkeypatch.setattr(sources, "load_inputs", lambda *_: ({}, _issues()))
    monkeypatch.setattr(sources, "load_documents", lambda *_: ({}, _issues()))
    monkeypatch.setattr(checks, "run_checks", lambda *_: _issues(*rows))
    result = sop("check", "--workspace", blank)
    lines = result.output.splitlines()
    assert (result.exit_code, lines[-1]) == (code, last)
    headings = [line.partition(":")[0] for line in lines if not line.startswith(" ") and "finding" in line][:-1]
    assert headings == sorted(headings, key=["BLOCKS", "WARNS", "INFO"].index)
    if code:
        assert "  price: negative price, 3 rows, at item_id=A1; value -2.0" in lines
        assert lines[lines.index("  price: negative price, 3 rows, at item_id=A1; value -2.0") + 1] == "    → enter 0 or more"


def test_an_empty_extract_blocks(blank: Path) -> None:
    result = sop("check", "--workspace", blank)
    assert result.exit_code == 1
    assert "item" in result.output


def test_status_shows_owner_due_day_and_reason(blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StepState("02_demand_review", "stale", "Demand planning", "WD9 (2026-10-13)", "changed since: the source files", 3)
    monkeypatch.setattr(chain_module, "step_states", lambda *_: [state])
    result = sop("status", "--workspace", blank)
    lines = result.output.splitlines()
    assert lines[0] == "My company, cycle 2026-10, draft"
    assert lines[1].split() == ["02_demand_review", "stale", "Demand", "planning", "WD9", "(2026-10-13)"]
    assert [line.strip() for line in lines[2:]] == ["3 working days late", "changed since: the source files"]


def test_status_of_a_new_workspace_is_draft(blank: Path) -> None:
    if not (ROOT / "notebooks" / "00_data_gathering.ipynb").is_file():
        pytest.skip("the notebooks are not there yet")
    result = sop("status", "--workspace", blank)
    assert result.exit_code == 0, result.output
    assert result.output.count(" draft ") == 8
