"""The demo company's cycle from end to end, and the same cycle killed on the way: both give the same tables."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import openpyxl
import pandas as pd
import pytest
from pyomo_oracle import assert_same_model

from sop_workbench import tables
from sop_workbench.chain import STEPS, Chain, step_states
from sop_workbench.store import open_workspace
from sop_workbench.supply.instance import supply_instance

SOP = str(Path(sys.executable).with_name("sop"))
KILLED = "03_supply_review"
pytestmark = pytest.mark.slow


def sop(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([SOP, *map(str, arguments)], capture_output=True, text=True, check=False)


def open_chain(folder: Path) -> Chain:
    workspace = open_workspace(folder)
    return Chain(workspace, workspace.cycle("2026-10"))


def last_status(chain: Chain, step: str) -> str | None:
    rows = chain.cycle.records("step_status").query("step == @step")
    return None if rows.empty else rows["status"].iloc[-1]


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo company, run up to the step before the one that will be killed; a small forecast, for time."""
    folder = tmp_path_factory.mktemp("demo") / "w"
    assert sop("new", folder, "--demo").returncode == 0
    settings = folder / "sop.yaml"
    smaller = {"effort: standard": "effort: quick", "origins: 3": "origins: 1", "horizon: 18": "horizon: 9"}
    text = settings.read_text()
    for asked, given in smaller.items():
        assert asked in text
        text = text.replace(asked, given)
    settings.write_text(text, encoding="utf-8")
    result = sop("run", "--workspace", folder, "--to", "demand_review")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def undisturbed(halfway: Path) -> Chain:
    folder = shutil.copytree(halfway, halfway.with_name("undisturbed"))
    result = sop("run", "--workspace", folder)
    assert result.returncode == 0, result.stderr
    return open_chain(folder)


@pytest.fixture(scope="module")
def resumed(halfway: Path) -> Chain:
    """Killed in the middle of a step, then started again."""
    folder = shutil.copytree(halfway, halfway.with_name("resumed"))
    chain = open_chain(folder)
    process = subprocess.Popen([SOP, "run", "--workspace", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while last_status(chain, KILLED) != "running":
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.2)
    time.sleep(6)  # into the work of the step, wherever that is
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last_status(chain, KILLED) == "running"
    result = sop("run", "--workspace", folder)
    assert result.returncode == 0, result.stderr
    return chain


def test_the_binder_is_complete(undisturbed: Chain) -> None:
    binder = {path.name for path in Path(undisturbed.cycle.folder).iterdir()}
    assert {"report.html", "plan.xlsx", "manifest.json", *(f"{step.name}.ipynb" for step in STEPS)} <= binder
    for step in STEPS:
        notebook = nbformat.read(Path(undisturbed.cycle.folder) / f"{step.name}.ipynb", as_version=4)
        assert [cell for cell in notebook.cells if any(o.output_type == "error" for o in cell.get("outputs", []))] == []


def test_the_report_opens_without_a_network(undisturbed: Chain) -> None:
    page = (Path(undisturbed.cycle.folder) / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert not [tag for tag in ("<script src=", "<link rel=\"stylesheet\" href=\"http", "<img src=\"http") if tag in page]


def test_the_workbook_has_the_plan(undisturbed: Chain) -> None:
    book = openpyxl.load_workbook(Path(undisturbed.cycle.folder) / "plan.xlsx", read_only=True)
    assert len(book.sheetnames) > 3


def test_the_manifest_accounts_for_every_step(undisturbed: Chain) -> None:
    manifest = json.loads((Path(undisturbed.cycle.folder) / "manifest.json").read_text())
    assert list(manifest["steps"]) == [step.name for step in STEPS]
    assert {entry["status"] for entry in manifest["steps"].values()} == {"done"}
    assert all(entry["wall_seconds"] > 0 and entry["peak_memory_mb"] > 50 for entry in manifest["steps"].values())
    assert set(manifest["outputs"]) == {"report.html", "plan.xlsx", "slides.pptx"}
    assert {"sales_history", "consensus_demand", "supply_plan", "financial_projection"} <= set(manifest["tables"])


def test_stock_pyomo_states_the_same_model(undisturbed: Chain) -> None:
    """Every row, cost and bound of the company's plan."""
    cycle = undisturbed.cycle
    instance = supply_instance(cycle.inputs(), cycle.read("consensus_demand"), cycle.read("inventory_target"), cycle.settings,
                               cycle.periods, cycle.calendar)
    assert_same_model(instance, cycle.settings)


def test_killed_and_resumed_gives_the_same_tables(undisturbed: Chain, resumed: Chain) -> None:
    names = [name for name in tables.names("input") + tables.names("result") if undisturbed.cycle.has(name)]
    assert len(names) > 30
    for name in names:
        for scenario in {"base", *undisturbed.cycle.scenarios(name)} if tables.table(name).group == "result" else ["base"]:
            wanted = undisturbed.cycle.read(name, scenario)
            pd.testing.assert_frame_equal(resumed.cycle.read(name, scenario), wanted, obj=f"{name} of {scenario}")


def test_steps_before_the_kill_are_not_run_again(resumed: Chain) -> None:
    starts = resumed.cycle.records("step_status").query("status == 'running'").groupby("step").size().to_dict()
    assert starts == {step.name: 2 if step.name == KILLED else 1 for step in STEPS}


def test_status_and_lock(resumed: Chain) -> None:
    folder = resumed.workspace.folder
    states = {state.step: state.status for state in step_states(resumed)}
    assert states == {step.name: "done" for step in STEPS}, "was the code changed while the test ran?"
    result = sop("lock", "--workspace", folder, "--by", "H. Varnholt", "--why", "approved in the executive meeting")
    assert result.returncode == 0, result.stderr
    refused = sop("run", "--workspace", folder)
    assert refused.returncode == 1
    assert refused.stderr == "cycle 2026-10 is locked: a locked cycle is never run again; start the next cycle instead\n"
    assert "approved" in (Path(resumed.cycle.folder) / "report.html").read_text(encoding="utf-8")
