"""The chain on tiny notebooks: what is run, skipped, refused, marked and resumed."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest

from sop_workbench import chain as chain_module
from sop_workbench import evidence, reviews
from sop_workbench.chain import Chain, Step, approve_step, as_last_run, check_parameters, lock_cycle, run_chain, step_states
from sop_workbench.errors import CycleLockedError, SettingsError, StepFailedError, StoreConflictError
from sop_workbench.store import open_workspace

PARAMETERS = 'workspace: str = "."\ncycle_id: str = ""\ntop: int = 3\nshare: float = 0.5\nname = "all"'
TARGETS = "item_or_class,service_level_ratio\nA,0.98\nB,0.9\n"
STEPS = (
    Step("00_gather", sources=True),
    Step("01_review", records=("demand_adjustment",)),
    Step("02_compare", scenarios=True),
)
GATHER = """
import pandas as pd
import psutil
from sop_workbench.store import open_workspace
space = open_workspace(workspace)
cycle = space.cycle(cycle_id)
cycle.write("service_target", pd.read_csv(space.folder / "extract" / "service_target.csv"))
"""
REVIEW = """
from sop_workbench.store import open_workspace
cycle = open_workspace(workspace).cycle(cycle_id)
target = cycle.read("service_target")
weights = target.assign(stream=target["item_or_class"], weight_ratio=target["service_level_ratio"] / 2, evidence="half")
cycle.write("stream_weight", weights[["stream", "weight_ratio", "evidence"]])
"""


CODE = Path(json.__file__).parent  # stands for the workbench's own sources, which may be edited while the tests run


def write_notebook(folder: Path, step: str, *cells: str) -> None:
    tagged = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(cells=[tagged, *map(nbformat.v4.new_code_cell, cells)], metadata={"kernelspec": kernel})
    (folder / "notebooks").mkdir(exist_ok=True)
    nbformat.write(notebook, folder / "notebooks" / f"{step}.ipynb")


def write_workspace(folder: Path, **notebooks: tuple[str, ...]) -> Chain:
    """A workspace whose three steps do nothing, but for those given."""
    for name in ("extract", "sql", "scenarios"):
        (folder / name).mkdir(parents=True)
    (folder / "sop.yaml").write_text("company: Any\nsteps:\n  gather: {owner: Anna, due_working_day: 3}\n", encoding="utf-8")
    (folder / "extract" / "service_target.csv").write_text(TARGETS, encoding="utf-8")
    for step in STEPS:
        write_notebook(folder, step.name, *notebooks.get(step.name[3:], ("1 + 1",)))
    return open_chain(folder)


def open_chain(folder: Path) -> Chain:
    workspace = open_workspace(folder)
    return Chain(workspace, workspace.cycle("2026-10"), STEPS)


def statuses(chain: Chain) -> list[str]:
    return [state.status for state in step_states(chain)]


def executed(chain: Chain, step: str) -> nbformat.NotebookNode:
    return nbformat.read(Path(chain.cycle.folder) / f"{step}.ipynb", as_version=4)


def run_times(chain: Chain) -> dict[str, str]:
    """When each step was last started."""
    rows = chain.cycle.records("step_status").query("status == 'running'")
    return rows.groupby("step")["at"].max().astype(str).to_dict()


@pytest.fixture(autouse=True, scope="module")
def _fixed_code() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain_module, "PACKAGE", CODE)
        yield


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return write_workspace(tmp_path / "w")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A chain that ran to its end; tests that change it work on a copy."""
    made = write_workspace(tmp_path_factory.mktemp("done") / "w", gather=(GATHER, "import sys, os", "print(sys.executable, os.getcwd())",
                           "print({k: os.environ.get(k) for k in ('OMP_NUM_THREADS', 'PYTHONHASHSEED')})"), review=(REVIEW,))
    run_chain(made, outputs={"report.html": lambda cycle: (Path(cycle.folder) / "report.html").write_text(cycle.id)})
    return made


@pytest.fixture
def copy(done: Chain, tmp_path: Path) -> Chain:
    shutil.copytree(done.workspace.folder, tmp_path / "copy")
    return open_chain(tmp_path / "copy")


# ------------------------------------------------------------------ a run to the end


def test_every_step_is_done_and_in_the_binder(done: Chain) -> None:
    assert statuses(done) == ["done", "done", "done"]
    binder = {path.name for path in Path(done.cycle.folder).iterdir()}
    assert {"00_gather.ipynb", "01_review.ipynb", "02_compare.ipynb", "manifest.json", "report.html"} <= binder
    assert not [name for name in binder if "partial" in name or name.startswith(".manifest")]


def test_manifest_says_what_the_cycle_rests_on(done: Chain) -> None:
    manifest = json.loads((Path(done.cycle.folder) / "manifest.json").read_text())
    assert manifest["cycle"] == "2026-10"
    assert manifest["as_of"] == "2026-09-30"
    assert manifest["inputs"]["extract/service_target.csv"] == hashlib.sha256(TARGETS.encode()).hexdigest()
    assert manifest["packages"]["pandas"] == pd.__version__
    noted = {"version": 1, "step": "01_review", "sha256": done.cycle.fingerprint(["stream_weight"])}
    assert manifest["tables"]["stream_weight"] == noted
    step = manifest["steps"]["01_review"]
    assert step["status"] == "done"
    assert step["wall_seconds"] > 0
    assert step["peak_memory_mb"] > 30
    assert step["parameters"] == {"workspace": str(done.workspace.folder), "cycle_id": "2026-10"}
    assert manifest["outputs"]["report.html"]["fingerprint"] == manifest["steps"]["02_compare"]["fingerprint"]


def test_kernel_is_this_interpreter_in_the_workspace(done: Chain) -> None:
    interpreter = executed(done, "00_gather").cells[4].outputs[0].text
    assert interpreter.split() == [sys.executable, str(done.workspace.folder)]


def test_numeric_libraries_get_one_thread_and_a_fixed_seed(done: Chain) -> None:
    environment = executed(done, "00_gather").cells[5].outputs[0].text
    wanted = {name: os.environ.get(name, default) for name, default in (("OMP_NUM_THREADS", "1"), ("PYTHONHASHSEED", "0"))}
    assert environment.strip() == str(wanted)


def test_a_foreign_kernelspec_named_python3_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": ["/bin/false"], "display_name": "other", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    chain = write_workspace(tmp_path / "w", gather=("import sys", "print(sys.executable)"))
    run_chain(chain, last="0")
    assert executed(chain, "00_gather").cells[3].outputs[0].text.strip() == sys.executable


def test_a_folder_with_braces_is_a_folder(tmp_path: Path) -> None:
    chain = write_workspace(tmp_path / "plan {2026}")
    run_chain(chain, last="0")
    assert statuses(chain)[0] == "done"


def test_each_step_and_file_is_told_as_it_begins(copy: Chain) -> None:
    told: list[str] = []
    write = {"report.html": lambda cycle: (Path(cycle.folder) / "report.html").write_text("again")}
    run_chain(copy, first="review", outputs=write, told=told.append)
    assert told == ["00_gather", "01_review", "02_compare"], "the page is as new as the last step: nothing there changed"
    _change_notebook(copy)
    told.clear()
    run_chain(copy, outputs=write, told=told.append)
    assert told == ["00_gather", "01_review", "02_compare", "report.html"]


def test_nothing_is_run_twice(copy: Chain, capsys: pytest.CaptureFixture) -> None:
    before = run_times(copy)
    run_chain(copy, outputs={"report.html": lambda cycle: pytest.fail("the report is written already")})
    assert run_times(copy) == before
    assert capsys.readouterr().out.count("unchanged") == 3


def test_a_step_knows_what_its_review_reads_beside_tables() -> None:
    tree = ast.parse(Path(reviews.__file__).read_text(encoding="utf-8"))
    found = [ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.endswith("_review")]
    steps = (*chain_module.STEPS, chain_module.WEEKLY_STEPS[-1])
    assert len(found) == len(steps)
    parts = {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("_")}
    found = [text + "".join(part for name, part in parts.items() if f"{name}(" in text) for text in found]
    for step, text in zip(steps, found, strict=True):
        read = set(re.findall(r"cycle\.records\('(\w+)'\)", text))
        register = {"risk_register": "risk", "requests_to_decide": "change_request"}
        read |= {kind for call, kind in register.items() if f"follow_up.{call}(" in text}
        followed = {"action", "assumption", "decision", "outcome", "change_request"} if "follow_up.follow_up" in text else set()
        assert read <= set(step.records) <= read | followed, step.name
        assert ("scenario.load_scenarios" in text, "gather(" in text) == (step.scenarios, step.sources), step.name


# ------------------------------------------------------------------ what makes a step stale


def _change_source(chain: Chain) -> None:
    (chain.workspace.folder / "extract" / "service_target.csv").write_text("item_or_class,service_level_ratio\nA,0.97\n", encoding="utf-8")


def _change_settings(chain: Chain) -> None:
    path = chain.workspace.folder / "sop.yaml"
    path.write_text(path.read_text() + "horizon: 12\n", encoding="utf-8")


def _change_notebook(chain: Chain) -> None:
    write_notebook(chain.workspace.folder, "01_review", REVIEW, "2 + 2")


def _add_scenario(chain: Chain) -> None:
    (chain.workspace.folder / "scenarios" / "second_shift.yaml").write_text("name: second shift\n", encoding="utf-8")


def _adjust_demand(chain: Chain) -> None:
    row = {"item_id": "A", "period": pd.Timestamp("2026-10-01"), "kind": "add", "value": 5.0}
    chain.cycle.append("demand_adjustment", row, by="Anna", why="a new shop")


def _write_by_hand(chain: Chain) -> None:
    chain.cycle.write("stream_weight", chain.cycle.read("stream_weight").iloc[:1])


def _remove_executed(chain: Chain) -> None:
    (Path(chain.cycle.folder) / "02_compare.ipynb").unlink()


@pytest.mark.parametrize(("change", "stale", "reason"), [
    (_change_source, 0, "the source files"),
    (_change_settings, 0, "sop.yaml"),
    (_change_notebook, 1, "its notebook"),
    (_adjust_demand, 1, "what people recorded"),
    (_add_scenario, 2, "the scenario files"),
    (_remove_executed, 2, "missing in the binder"),
])
def test_a_change_makes_its_step_and_all_after_it_stale(copy: Chain, change, stale: int, reason: str) -> None:
    change(copy)
    states = step_states(open_chain(copy.workspace.folder))
    assert [state.status for state in states] == ["done"] * stale + ["stale"] * (3 - stale)
    assert reason in states[stale].reason


def test_new_code_makes_every_step_stale(copy: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "PACKAGE", copy.workspace.folder / "sql")
    assert [state.reason.partition(",")[0] for state in step_states(copy)] == ["changed since: the code of the workbench"] * 3


def test_a_table_written_outside_the_chain_is_made_again(copy: Chain) -> None:
    wanted = copy.cycle.read("stream_weight")
    _write_by_hand(copy)
    assert "outside the chain" in step_states(copy)[1].reason
    run_chain(copy)
    pd.testing.assert_frame_equal(copy.cycle.read("stream_weight"), wanted)


def test_a_table_written_again_with_the_same_rows_changes_nothing(copy: Chain) -> None:
    copy.cycle.write("stream_weight", copy.cycle.read("stream_weight"))
    assert statuses(copy) == ["done", "done", "done"]


def test_only_what_is_stale_is_run_again(copy: Chain) -> None:
    before = run_times(copy)
    _add_scenario(copy)
    run_chain(copy)
    assert [step for step, at in run_times(copy).items() if at != before[step]] == ["02_compare"]
    assert statuses(copy) == ["done", "done", "done"]


def test_owner_and_brand_do_not_change_a_plan(copy: Chain) -> None:
    path = copy.workspace.folder / "sop.yaml"
    path.write_text(path.read_text().replace("Anna", "Bert") + 'brand_colour: "#112233"\n', encoding="utf-8")
    chain = open_chain(copy.workspace.folder)
    assert statuses(chain) == ["done", "done", "done"]
    assert step_states(chain)[0].owner == "Bert"


def test_owner_and_working_day_are_shown(chain: Chain) -> None:
    state = step_states(chain)[0]
    assert (state.status, state.owner, state.due) == ("draft", "Anna", "WD3 (2026-10-05)")


# ------------------------------------------------------------------ from, to, parameters


def test_from_runs_again_what_is_done(copy: Chain) -> None:
    before = run_times(copy)
    run_chain(copy, first="review")
    assert [step for step, at in run_times(copy).items() if at != before[step]] == ["01_review", "02_compare"]


def test_from_refuses_when_an_earlier_step_is_not_done(chain: Chain) -> None:
    with pytest.raises(StepFailedError, match="00_gather is not done"):
        run_chain(chain, first="01_review")


def test_to_stops(chain: Chain) -> None:
    run_chain(chain, last="1", outputs={"report.html": lambda cycle: pytest.fail("the chain is not at its end")})
    assert statuses(chain) == ["done", "done", "draft"]


@pytest.mark.parametrize("name", ["1", "01", "review", "01_review"])
def test_a_step_has_a_name_and_a_number(chain: Chain, name: str) -> None:
    assert chain.find(name) is STEPS[1]


def test_an_unknown_step_is_refused(chain: Chain) -> None:
    with pytest.raises(SettingsError, match="no step 'supply'; steps are 00_gather, 01_review, 02_compare"):
        run_chain(chain, first="supply")


@pytest.mark.parametrize(("values", "words"), [
    ({"topp": 3}, "01_review.ipynb has no parameter 'topp'; it declares workspace, cycle_id, top, share, name"),
    ({"top": "three"}, "parameter top must be int, got str 'three'"),
    ({"top": True}, "parameter top must be int, got bool True"),
    ({"share": "half"}, "parameter share must be float"),
    ({"name": 7}, "parameter name must be str"),
])
def test_a_wrong_parameter_is_refused_before_anything_runs(chain: Chain, values: dict, words: str) -> None:
    with pytest.raises(SettingsError, match=words.replace(".", r"\.")):
        run_chain(replace(chain, parameters={"01_review": values}))
    assert statuses(chain) == ["draft", "draft", "draft"]


def test_a_whole_number_is_a_number(chain: Chain) -> None:
    check_parameters(chain.notebook(STEPS[0]), {"share": 1, "top": 4})


def test_a_parameter_reaches_its_notebook_and_makes_it_stale(copy: Chain) -> None:
    changed = replace(copy, parameters={"02_compare": {"top": 9}})
    assert [state.reason for state in step_states(changed)][2] == "changed since: its parameters"
    run_chain(changed)
    assert statuses(copy)[2] == "stale"
    assert statuses(as_last_run(copy)) == ["done", "done", "done"]
    assert "top = 9" in "".join(cell.source for cell in executed(changed, "02_compare").cells)


def test_a_missing_notebook_is_named(chain: Chain) -> None:
    chain.notebook(STEPS[2]).unlink()
    with pytest.raises(SettingsError, match="02_compare.ipynb is missing"):
        run_chain(chain)


def test_a_broken_notebook_is_named(chain: Chain) -> None:
    chain.notebook(STEPS[2]).write_text("{", encoding="utf-8")
    with pytest.raises(SettingsError, match="02_compare.ipynb"):
        run_chain(chain)


# ------------------------------------------------------------------ failures


def test_a_failing_step_is_marked_named_and_resumed(tmp_path: Path) -> None:
    chain = write_workspace(tmp_path / "w", review=("text = 'before'", "{}['sales']"))
    with pytest.raises(StepFailedError) as fault:
        run_chain(chain)
    where, cause = str(fault.value).splitlines()
    assert where == f"01_review failed in cell In [4] of {chain.cycle.folder}/01_review.ipynb"
    assert cause == "KeyError: 'sales' (traceback in the notebook)"
    saved = executed(chain, "01_review")
    assert "An Exception was encountered" in saved.cells[0].source
    assert [output.ename for cell in saved.cells for output in cell.get("outputs", [])] == ["KeyError"]
    states = step_states(chain)
    assert [state.status for state in states] == ["done", "failed", "draft"]
    assert states[1].reason == str(fault.value)
    first = run_times(chain)["00_gather"]
    write_notebook(chain.workspace.folder, "01_review", "1")
    run_chain(chain)
    assert statuses(chain) == ["done", "done", "done"]
    assert run_times(chain)["00_gather"] == first


def test_a_message_of_the_workbench_is_shown_whole(tmp_path: Path) -> None:
    cell = "from sop_workbench.errors import SourceError\nraise SourceError('prices.csv is missing\\nput it into extract')"
    chain = write_workspace(tmp_path / "w", gather=(cell,))
    with pytest.raises(StepFailedError, match="SourceError: prices.csv is missing\nput it into extract$"):
        run_chain(chain)


def test_a_kernel_that_dies_is_marked_and_named(tmp_path: Path) -> None:
    chain = write_workspace(tmp_path / "w", gather=("1", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    with pytest.raises(StepFailedError, match="the kernel died"):
        run_chain(chain)
    saved = executed(chain, "00_gather")
    marked = [number for number, cell in enumerate(saved.cells) if "papermill-error-cell-tag" in cell.metadata.get("tags", [])]
    assert len(marked) == 2
    assert "SIGKILL" in saved.cells[marked[1] + 1].source
    assert statuses(chain)[0] == "failed"


def test_a_locked_cycle_is_never_run(copy: Chain) -> None:
    lock_cycle(copy, by="Helga", why="approved in the executive meeting")
    with pytest.raises(CycleLockedError, match="never run again"):
        run_chain(copy)
    assert statuses(copy) == ["locked", "locked", "locked"]
    with pytest.raises(CycleLockedError):
        lock_cycle(copy, by="Helga", why="again")


def test_only_a_done_cycle_is_locked(chain: Chain) -> None:
    with pytest.raises(SettingsError, match="00_gather is draft; 01_review is draft"):
        lock_cycle(chain, by="Helga", why="in a hurry")


def test_a_step_is_approved_when_it_is_done(copy: Chain) -> None:
    approve_step(copy, "review", by="Mia", why="agreed with sales")
    state = step_states(copy)[1]
    assert (state.status, state.reason) == ("approved", "by Mia: agreed with sales")
    before = run_times(copy)
    run_chain(copy)
    assert run_times(copy) == before
    _change_notebook(copy)
    with pytest.raises(SettingsError, match="01_review is stale"):
        approve_step(copy, "review", by="Mia", why="still fine")


def test_the_manifest_is_written_whole_or_not(copy: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(copy.cycle.folder) / "manifest.json"
    before = path.read_text()

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(evidence.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        evidence.write_manifest(path.parent, {"steps": {}})
    assert path.read_text() == before


# ------------------------------------------------------------------ processes


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import test_chain
test_chain.chain_module.PACKAGE = test_chain.CODE
test_chain.run_chain(test_chain.open_chain(test_chain.Path({folder!r})))
"""


def start(chain: Chain) -> subprocess.Popen:
    program = PROGRAM.format(tests=str(Path(__file__).parent), folder=str(chain.workspace.folder))
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(path: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)


WAIT = """
import time, pathlib
while (flag := pathlib.Path(workspace) / "wait").exists():
    (flag.parent / "waiting").touch()
    time.sleep(0.05)
"""


@pytest.mark.parametrize("step", ["gather", "review", "compare"])
def test_killed_in_the_middle_of_a_step_it_resumes_to_the_same_result(done: Chain, tmp_path: Path, step: str) -> None:
    cells = {"gather": (GATHER,), "review": (REVIEW,), "compare": ("1",)}
    cells[step] = (*cells[step], WAIT)
    chain = write_workspace(tmp_path / "w", **cells)
    (chain.workspace.folder / "wait").touch()
    process = start(chain)
    wait_for(chain.workspace.folder / "waiting")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    number = [s.name[3:] for s in STEPS].index(step)
    assert statuses(chain) == ["done"] * number + ["interrupted"] + ["draft"] * (2 - number)
    before = run_times(chain)
    (chain.workspace.folder / "wait").unlink()
    run_chain(chain)
    assert [s for s, at in run_times(chain).items() if before.get(s) == at] == [s.name for s in STEPS[:number]]
    assert statuses(chain) == ["done", "done", "done"]
    for table in ("service_target", "stream_weight"):
        pd.testing.assert_frame_equal(chain.cycle.read(table), done.cycle.read(table))


def test_two_chains_on_one_cycle_refuse_clearly(tmp_path: Path) -> None:
    chain = write_workspace(tmp_path / "w", gather=(WAIT,))
    (chain.workspace.folder / "wait").touch()
    process = start(chain)
    wait_for(chain.workspace.folder / "waiting")
    try:
        assert statuses(chain)[0] == "running"
        with pytest.raises(StoreConflictError, match=rf"cycle 2026-10 is being run already by .* \(process {process.pid}"):
            run_chain(chain)
        with pytest.raises(SettingsError, match="cycle 2026-10 cannot be locked: 00_gather is running; 01_review is draft"):
            lock_cycle(chain, by="Helga", why="in a hurry")
    finally:
        (chain.workspace.folder / "wait").unlink()
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert statuses(chain) == ["done", "done", "done"]


def test_the_kernel_of_a_killed_chain_is_ended_first(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "_ORPHAN_SECONDS", 0.2)
    orphan = subprocess.Popen(["sleep", "60"])
    left = {"pid": 1, "by": "Anna", "kernel": {"pid": orphan.pid, "created": psutil.Process(orphan.pid).create_time()}}
    (Path(chain.cycle.folder) / ".chain.lock").write_text(json.dumps(left))
    run_chain(chain, last="0")
    orphan.wait(timeout=5)
    assert not psutil.pid_exists(orphan.pid)


def test_a_process_that_took_the_number_of_the_old_kernel_is_left_alone(chain: Chain) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        (Path(chain.cycle.folder) / ".chain.lock").write_text(json.dumps({"kernel": {"pid": other.pid, "created": 1.0}}))
        run_chain(chain, last="0")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
