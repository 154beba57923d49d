"""The monthly chain: eight notebooks run by papermill, one process per cycle, a kernel each.

A step is skipped when its **fingerprint** (notebook, parameters, code, packages, settings, source files,
scenario files, people's records, the step before it) is that of its last successful run. So a chain that was
stopped, failed or even killed is started again with the same command and ends with the same tables.
"""

from __future__ import annotations

import ast
import fcntl
import json
import logging
import os
import platform
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pandas as pd
import psutil
from tqdm import tqdm

from sop_workbench import __version__, errors, evidence, follow_up, governance, periods, roles, tables, tolerance
from sop_workbench import settings as settings_module
from sop_workbench.errors import ChainRunningError, CycleLockedError, RoleError, SettingsError, SopError, StepFailedError
from sop_workbench.settings import SETTINGS_FILE, expand_variables

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_client.provisioning import LocalProvisioner

    from sop_workbench.settings import Settings
    from sop_workbench.store import Cycle, Workspace

PACKAGE = Path(__file__).parent
NOTEBOOKS = PACKAGE.parent / "notebooks"
MANIFEST = evidence.MANIFEST
LOCK = ".chain.lock"
LOG = "chain.log"
_SAMPLE_SECONDS = 0.1
_ORPHAN_SECONDS = 5.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_OWN_PARAMETERS = ("workspace", "cycle_id")
_DONE = ("done", "submitted", "approved")
_PRE_SOP = "05_pre_sop"
_NOT_PLANNING = {"steps", "users", "groups", "newest_cycle", "store", "brand_colour", "locale", "mail", "monthly_workspace"}
_REASONS = {
    "notebook": "its notebook", "parameters": "its parameters", "code": "the code of the workbench", "packages": "Python or a package",
    "settings": SETTINGS_FILE, "sources": "the source files", "scenarios": "the scenario files", "records": "what people recorded",
    "cycles": "the list of locked cycles", "inputs": "the input tables", "upstream": "the step before it",
}


@dataclass(frozen=True)
class Step:
    """One step of the chain: its notebook and what it reads beyond the step before it.

    `sources` and `scenarios` say that it reads the source files or the scenario files; `records` names
    the people's records it takes in: a new row there makes the step stale. `outside` says what of its result lies outside
    tolerance; `is_executive`: its approver decides that, and everything beyond the owners of the other steps.
    """

    name: str
    sources: bool = False
    scenarios: bool = False
    records: tuple[str, ...] = ()
    outside: Callable[[Cycle], list[str]] | None = None
    is_executive: bool = False


STEPS = (
    Step("00_data_gathering", sources=True, records=("history_decision",)),
    Step("01_product_review"),
    Step("02_demand_review", records=("demand_adjustment", "assumption", "model_pin", "demand_lock"),
         outside=tolerance.demand_changes),
    Step("03_supply_review", outside=tolerance.supply_limits),
    Step("04_financial_review", outside=tolerance.budget_gaps),
    Step("05_pre_sop", scenarios=True, records=("change_request",), outside=tolerance.pre_sop),
    # A decision is what this page asks for: it does not make the page stale, so that who decides can approve in the same sitting.
    Step("06_executive_sop", records=("risk", "outcome", "change_request"), is_executive=True),
    Step("07_execution_monitoring", records=("action", "assumption", "decision", "outcome", "change_request"),
         outside=tolerance.actual_deviations),
)


# The light version: the same reviews in weeks, then one that says what to mend now and what to hand to the monthly round.
WEEKLY_STEPS = (*STEPS[:5], Step("08_weekly_execution", records=("action", "assumption", "outcome")))
_MONTHLY_ONLY = {
    "05_pre_sop": "scenarios, risk and the KPI review", "06_executive_sop": "the decisions of the executive meeting",
    "07_execution_monitoring": "driver trees, error by lag and maturity",
}


def steps_of(settings: Settings) -> tuple[Step, ...]:
    """The steps of a cycle: eight in a monthly workspace, six in a weekly one."""
    return WEEKLY_STEPS if settings.bucket == "week" else STEPS


@dataclass(frozen=True)
class StepState:
    """Where a step stands: draft, running, interrupted, done, submitted, approved, stale, failed or locked, and why.

    `late_days`: working days since it was due, while it is not done.
    """

    step: str
    status: str
    owner: str = ""
    due: str = ""
    reason: str = ""
    late_days: int = 0


@dataclass(frozen=True)
class Chain:
    """The steps of one cycle, where their notebooks are and the parameters they get beyond workspace and cycle.

    A notebook in the workspace's own `notebooks/` folder goes before the workbench's.
    """

    workspace: Workspace
    cycle: Cycle
    steps: tuple[Step, ...] = STEPS
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def notebook(self, step: Step) -> Path:
        """The notebook of a step.

        Raises
        ------
        SettingsError
            When neither the workspace nor the workbench has it.
        """
        for folder in (Path(self.workspace.folder) / "notebooks", NOTEBOOKS):
            path = folder / f"{step.name}.ipynb"
            if path.is_file():
                return path
        raise SettingsError(f"the notebook {step.name}.ipynb is missing; it belongs into {NOTEBOOKS}")

    def find(self, name: str) -> Step:
        """The step called by its name, its number or its name without the number.

        Raises
        ------
        SettingsError
            When no step has that name; the message lists them.
        """
        for step in self.steps:
            number, _, words = step.name.partition("_")
            if name in (step.name, words, number) or name.zfill(2) == number:
                return step
        for monthly, what in _MONTHLY_ONLY.items():
            if self.steps == WEEKLY_STEPS and name in (monthly, monthly.partition("_")[2], monthly[:2], monthly[1:2]):
                raise SettingsError(f"a weekly cycle has no step {monthly}: {what} belong to the monthly round (a workspace with bucket: "
                                    f"month). Its steps are {', '.join(step.name for step in self.steps)}")
        raise SettingsError(f"no step {name!r}; steps are {', '.join(step.name for step in self.steps)}")

    def values(self, step: Step) -> dict[str, Any]:
        """The parameters of a step's notebook."""
        own = {"workspace": str(Path(self.workspace.folder).resolve()), "cycle_id": self.cycle.id}
        return {**self.parameters.get(step.name, {}), **own}


def run_chain(chain: Chain, first: str | None = None, last: str | None = None,
              outputs: Mapping[str, Callable[[Cycle], object]] | None = None,
              told: Callable[[str], None] | None = None) -> list[StepState]:
    """Run the steps of a cycle that are not done yet, in order, and stop at the first that fails.

    Parameters
    ----------
    chain : Chain
        The cycle and its steps.
    first : str, optional
        Re-run from this step on, even where nothing changed; the steps before it must be done.
    last : str, optional
        Stop after this step.
    outputs : mapping of file name to function, optional
        Files of the binder written after the last step (each function takes the cycle).
    told : function, optional
        Called with the name of each step (or file of the binder) as it begins; the first call says that no other process runs the cycle.

    Returns
    -------
    list of StepState
        Where every step stands afterwards.

    Raises
    ------
    CycleLockedError
        When the cycle is locked: a locked cycle is never run again.
    ChainRunningError
        When another process is running this cycle.
    StepFailedError
        When a step fails; names step, notebook, cell and cause.
    SettingsError
        When a step or parameter is unknown or a value has the wrong type; nothing has run then.
    """
    cycle = chain.cycle
    cycle.store.require_role("planner", f"run cycle {cycle.id}")
    if cycle.is_locked:
        raise CycleLockedError(f"cycle {cycle.id} is locked: a locked cycle is never run again; start the next cycle instead")
    begin = chain.steps.index(chain.find(first)) if first else 0
    end = chain.steps.index(chain.find(last)) if last else len(chain.steps) - 1
    for step in chain.steps[: end + 1]:
        check_parameters(chain.notebook(step), chain.values(step))
    is_whole = end == len(chain.steps) - 1
    with _only_chain(chain) as lock, _quiet_libraries():
        run = _Run(chain, lock, begin if first else None, told or (lambda _: None))
        run.steps(chain.steps[: end + 1])
        if is_whole:
            run.outputs(outputs or {})
    return step_states(chain)


def step_states(chain: Chain, today: pd.Timestamp | None = None) -> list[StepState]:
    """Where every step of a cycle stands, who owns it, when it is due, what made it stale and, given a day, how late it is."""
    manifest, last = evidence.read_manifest(Path(chain.cycle.folder)), _last_statuses(chain.cycle)
    common, is_running = _common_parts(chain), _is_running(chain)
    outside = _written_outside(chain, manifest)
    states, upstream = [], ""
    for number, step in enumerate(chain.steps):
        parts = _parts(chain, step, number, common, upstream)
        upstream = evidence.digest(parts)
        status, reason = _status(chain, step, last.get(step.name), upstream, is_running)
        entry = manifest.get("steps", {}).get(step.name, {})
        if status == "stale":
            reason = _what_changed(entry, parts)
        elif status in _DONE and step.name in outside:
            status, reason = "stale", "its tables were written since, outside the chain"
        elif status == "failed":
            reason = entry.get("error", "")
        states.append(StepState(step.name, status, *_owner_and_due(chain, step), reason, _late(chain, step, status, today)))
    return states


def as_last_run(chain: Chain) -> Chain:
    """The chain with the parameters its steps last ran with, as the manifest has them."""
    steps = evidence.read_manifest(Path(chain.cycle.folder)).get("steps", {})
    given = {name: {k: v for k, v in entry["parameters"].items() if k not in _OWN_PARAMETERS} for name, entry in steps.items()}
    return replace(chain, parameters=given)


def submit_step(chain: Chain, name: str, *, by: str, why: str) -> None:
    """Propose the result of a step for approval.

    Raises
    ------
    RoleError
        When the person at work may only read.
    SettingsError
        When the step is unknown or not done.
    CycleLockedError
        When the cycle is locked.
    """
    chain.cycle.store.require_role("planner", f"submit a step of cycle {chain.cycle.id}", by)
    step, state = _state_of(chain, name)
    if state.status not in _DONE:
        raise SettingsError(f"{step.name} is {state.status}, so it cannot be submitted; run it first")
    _append_status(chain.cycle, step, "submitted", _last_statuses(chain.cycle)[step.name]["fingerprint"], why, by)


def approve_step(chain: Chain, name: str, *, by: str, why: str) -> list[str]:
    """Record that a person stands behind the result of a step, and what of it lies outside tolerance.

    Tolerances decide who decides: what lies within them is for the step's owner (`steps.<step>.user`, or any approver where none is
    named), what lies outside for the approver of the executive step. Where users are configured this is held to, and the step must
    have been submitted by somebody else.

    Returns
    -------
    list of str
        What lay outside tolerance, in sentences; the record keeps it.

    Raises
    ------
    RoleError
        When the person at work submitted the step, or the next level up decides; names who and what lies outside.
    SettingsError
        When the step is unknown, not done or not submitted.
    CycleLockedError
        When the cycle is locked.
    """
    cycle, step = chain.cycle, chain.find(name)
    outside = what_is_outside(chain, step)
    is_owner = not outside and not step.is_executive and by.strip() == _user_of(chain, step)
    cycle.store.require_role("planner" if is_owner else "approver", f"approve a step of cycle {cycle.id}", by)
    step, state = _state_of(chain, name)
    if state.status not in _DONE:
        raise SettingsError(f"{step.name} is {state.status}, so it cannot be approved; run it first")
    if has_roles(chain.workspace.settings):
        _refuse_own_proposal(cycle, step, state.status, by)
        _refuse_beyond(chain, step, outside, by)
    _append_status(cycle, step, "approved", _last_statuses(cycle)[step.name]["fingerprint"], why, by, "; ".join(outside))
    return outside


def what_is_outside(chain: Chain, step: Step) -> list[str]:
    """What of a step's result lies outside tolerance, in sentences."""
    return step.outside(chain.cycle) if step.outside is not None else []


def who_decides(chain: Chain, step: Step, outside: list[str]) -> str:
    """Owner of the step, or of the executive step where something lies outside tolerance."""
    executive = _executive(chain)
    decides = executive if executive is not None and (outside or step.is_executive) else step
    return _owner_and_due(chain, decides)[0]


def require_executive(chain: Chain, doing: str, by: str) -> None:
    """Refuse what only the approver of the executive step decides, where the settings name that person (`steps.<step>.user`).

    Raises
    ------
    RoleError
        Naming who decides.
    """
    cycle, executive = chain.cycle, _executive(chain)
    cycle.store.require_role("approver", doing, by)
    user = _user_of(chain, executive) if executive is not None else None
    if has_roles(chain.workspace.settings) and user is not None and by.strip() != user:
        raise RoleError(f"{by} may not {doing}: that is for {user}, {who_decides(chain, cast('Step', executive), [])}, to decide")


def role_to_decide(chain: Chain, level: str) -> roles.Role:
    """Role it takes to decide what is for a level: a planner's within a step's tolerance, else an approver's.

    What the pre-S&OP decides is for the user of that step too (`steps.05_pre_sop.user`), who need not be an approver.
    """
    if not governance.takes_approver(level):
        return "planner"
    is_own = not governance.takes_executive(level) and _user_of(chain, Step(_PRE_SOP)) == roles.current_user()
    return "planner" if is_own else "approver"


def _refuse_beyond(chain: Chain, step: Step, outside: list[str], by: str) -> None:
    """Refuse an approval that is not for this person: within tolerance the owner's, outside the executive step's approver's."""
    executive = _executive(chain)
    owner, decider = _user_of(chain, step), _user_of(chain, executive) if executive is not None else None
    if step.is_executive or outside:
        is_refused = by.strip() != decider if decider is not None else by.strip() == owner and not step.is_executive
        words = f"lies outside tolerance, so {who_decides(chain, step, outside)} decides" if outside else "is decided by the executive step"
        lines = "".join(f"\n  {sentence}" for sentence in outside)
        remedy = f"{decider} approves it" if decider is not None else "another approver has to"
    else:
        is_refused = owner is not None and by.strip() not in (owner, decider)
        words, lines, remedy = f"is for its owner, {owner}", "", f"{owner}{f' or {decider}' if decider is not None else ''} approves it"
    if is_refused:
        raise RoleError(f"{by} may not approve {step.name} of cycle {chain.cycle.id}: it {words}; {remedy}{lines}")


def _executive(chain: Chain) -> Step | None:
    return next((step for step in chain.steps if step.is_executive), None)


def _user_of(chain: Chain, step: Step) -> str | None:
    owned = _owned(chain, step)
    return None if owned is None else owned.user


def cycle_state(states: list[StepState]) -> str:
    """Where the whole cycle stands: locked, approved (every step is), submitted (every step is at least that), else draft."""
    found = {state.status for state in states}
    for state, allowed in (("locked", {"locked"}), ("approved", {"approved"}), ("submitted", {"submitted", "approved"})):
        if found and found <= allowed:
            return state
    return "draft"


def kept_cycles(chain: Chain) -> pd.DataFrame:
    """Every cycle from the first of the store to this one: locked, open or skipped (see :func:`sop_workbench.governance.cadence`)."""
    return follow_up.kept_cycles(chain.cycle)


def judge_maturity(chain: Chain, today: pd.Timestamp) -> pd.DataFrame:
    """The `maturity` table of a cycle, from what the store holds on a day (see :func:`sop_workbench.governance.maturity`)."""
    return follow_up.judge_maturity(chain.cycle, today)


def _state_of(chain: Chain, name: str) -> tuple[Step, StepState]:
    step = chain.find(name)
    return step, next(state for state in step_states(chain) if state.step == step.name)


def _refuse_own_proposal(cycle: Cycle, step: Step, status: str, by: str) -> None:
    rows = cycle.records("step_status")
    proposers = rows[(rows["step"] == step.name) & (rows["status"] == "submitted")]["by"]
    if status == "done" or proposers.empty:
        raise SettingsError(f"{step.name} was not submitted, so it cannot be approved; its planner submits it first (sop submit)")
    if proposers.iloc[-1] == by.strip():
        raise RoleError(f"{by} submitted {step.name} of cycle {cycle.id} and may not approve it; another approver has to")


def lock_cycle(chain: Chain, *, by: str, why: str, keep_sources: bool = False) -> None:
    """Approve the whole cycle and close it for good, with the evidence of what it rests on in the binder.

    Where users are configured every step must have been approved, by somebody who did not submit it; where the settings name the user
    of the executive step, that person locks.

    Raises
    ------
    RoleError
        When the person at work is no approver, or another one decides.
    SettingsError
        When a step is not done (or not approved); the message names each.
    CycleLockedError
        When the cycle is locked already.
    StoreConflictError
        When the chain is running, or something was written since the steps were judged.
    """
    cycle = chain.cycle
    require_executive(chain, f"lock cycle {cycle.id}", by)
    if cycle.is_locked:
        raise CycleLockedError(f"cycle {cycle.id} is locked already")
    writes = cycle.writes()
    wanted = ("approved",) if has_roles(chain.workspace.settings) else _DONE
    undone = [f"{state.step} is {state.status}" for state in step_states(chain) if state.status not in wanted]
    if undone:
        raise SettingsError(f"cycle {cycle.id} cannot be locked: {'; '.join(undone)}. Run the chain first"
                            + (", then submit and approve each step" if wanted == ("approved",) else ""))
    with _only_chain(chain):
        folder = Path(cycle.folder)
        notebooks = [chain.notebook(step) for step in chain.steps]
        collected = evidence.collect(cycle, notebooks, standing(chain), keep_sources)
        manifest = evidence.read_manifest(folder) | {"evidence": collected}
        evidence.write_manifest(folder, manifest)
        cycle.lock(by=by, why=why, seal=evidence.seal(collected), writes=writes)
        evidence.write_manifest(folder, manifest | {"pins": cycle.pins(), "approval": cycle.file_hashes("approval")})


def write_outputs(chain: Chain, outputs: Mapping[str, Callable[[Cycle], object]], are_stale: bool = False) -> None:
    """Write files of the binder again and note their hashes in the manifest.

    A file of a locked cycle that stands as it was noted is left alone, unless told that it is stale.

    Raises
    ------
    RoleError
        When the person at work may only read.
    """
    chain.cycle.store.require_role("planner", f"write {', '.join(outputs)} of cycle {chain.cycle.id}")
    folder = Path(chain.cycle.folder)
    with _only_chain(chain):
        manifest = evidence.read_manifest(folder)
        for name, write in outputs.items():
            noted = manifest.setdefault("outputs", {}).setdefault(name, {})
            is_kept = chain.cycle.is_locked and not are_stale and (folder / name).is_file()
            if is_kept and noted.get("sha256") == evidence.file_hash(folder / name):
                continue
            write(chain.cycle)
            noted["sha256"] = evidence.file_hash(folder / name)
            evidence.write_manifest(folder, manifest)


def verify_cycle(chain: Chain) -> pd.DataFrame:
    """Everything that differs from what was locked (see :func:`sop_workbench.evidence.verify`)."""
    return evidence.verify(chain.cycle, standing(chain))


def standing(chain: Chain) -> dict[str, Any]:
    """Hashes of what every plan of this workspace is made by, as it is now: code, packages, settings, source and scenario files."""
    common = _common_parts(chain)
    code = {**_commit(), "version": __version__, "sha256": common["code"]}
    return {"code": code, "packages": _packages(), **{name: common[name] for name in ("settings", "sources", "scenarios")}}


def has_roles(settings: Settings) -> bool:
    """Tell whether the workspace says who its planners and approvers are."""
    return bool(settings.users or settings.groups)


def check_parameters(notebook: Path, values: Mapping[str, Any]) -> None:
    """Refuse a parameter that the notebook does not declare, or a value of another type.

    Raises
    ------
    SettingsError
        Naming notebook, parameter and what is declared.
    """
    import papermill  # papermill and its helpers take two seconds to import: only where a notebook is run

    try:
        declared = papermill.inspect_notebook(_literal(notebook))
    except ValueError as fault:
        raise SettingsError(f"{notebook} cannot be read as a notebook: {str(fault).splitlines()[0]}") from None
    for name, value in values.items():
        if name not in declared:
            raise SettingsError(f"{notebook.name} has no parameter {name!r}; it declares {', '.join(declared) or 'none'}")
        wanted = _declared_type(declared[name])
        if wanted and not _fits(value, wanted):
            raise SettingsError(f"{notebook.name}: parameter {name} must be {wanted}, got {type(value).__name__} {value!r}")


def _declared_type(parameter: Mapping[str, str]) -> str | None:
    """Type as annotated, else that of the default; None where neither tells."""
    if parameter["inferred_type_name"] != "None":
        return parameter["inferred_type_name"].partition("[")[0].strip().lower()
    try:
        default = ast.literal_eval(parameter["default"])
    except (ValueError, SyntaxError):
        return None
    return None if default is None else type(default).__name__


def _fits(value: Any, wanted: str) -> bool:
    kinds: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "bool": bool,
                             "list": list, "dict": dict, "tuple": (list, tuple)}
    if wanted not in kinds:
        return True
    return isinstance(value, kinds[wanted]) and (wanted == "bool" or not isinstance(value, bool))


class _Run:
    """One call of the chain: its manifest, its progress bar and the lock it holds."""

    def __init__(self, chain: Chain, lock: _Lock, begin: int | None, told: Callable[[str], None]) -> None:
        self.chain, self.lock, self.begin, self.told = chain, lock, begin, told
        self.folder = Path(chain.cycle.folder)
        self.common = _common_parts(chain)
        self.manifest = _new_manifest(chain, self.common)
        self.outside = _written_outside(chain, self.manifest)
        self.upstream = ""

    def steps(self, steps: tuple[Step, ...]) -> None:
        """Run or skip each step."""
        with tqdm(total=len(steps), unit="step", disable=None, dynamic_ncols=True) as bar:
            for number, step in enumerate(steps):
                bar.set_description(step.name)
                self.told(step.name)
                self._step(number, step, bar)
                bar.update()

    def outputs(self, outputs: Mapping[str, Callable[[Cycle], object]]) -> None:
        """Write the files of the binder that are missing or older than the last step."""
        for name, write in outputs.items():
            written = self.manifest["outputs"].get(name, {})
            if written.get("fingerprint") == self.upstream and (self.folder / name).is_file():
                continue
            self.told(name)
            start = time.perf_counter()
            write(self.chain.cycle)
            seconds = round(time.perf_counter() - start, 3)
            self.manifest["outputs"][name] = {
                "fingerprint": self.upstream, "wall_seconds": seconds, "sha256": evidence.file_hash(self.folder / name)}
            evidence.write_manifest(self.folder, self.manifest)
            tqdm.write(f"{name:<26} written    {seconds:7.1f} s")

    def _step(self, number: int, step: Step, bar: tqdm) -> None:
        parts = _parts(self.chain, step, number, self.common, self.upstream)
        self.upstream = fingerprint = evidence.digest(parts)
        last = _last_statuses(self.chain.cycle).get(step.name)
        is_done = _is_done(self.chain, step, last, fingerprint) and step.name not in self.outside
        if self.begin is not None and number < self.begin:
            if not is_done:
                raise StepFailedError(f"{step.name} is not done, so the chain cannot start at {self.chain.steps[self.begin].name}; "
                                      f"run it with --from {step.name}, or without --from")
        elif is_done and self.begin is None and not (step.sources and self.chain.workspace.settings.sources.url):
            tqdm.write(f"{step.name:<26} unchanged")
        else:
            self._execute(step, parts, fingerprint, bar)

    def _execute(self, step: Step, parts: dict[str, str], fingerprint: str, bar: tqdm) -> None:
        _append_status(self.chain.cycle, step, "running", fingerprint, "chain started the step")
        entry: dict[str, Any] = {"status": "failed", "fingerprint": fingerprint, "started_at": _now(),
                                 "parameters": self.chain.values(step), "parts": parts}
        start, memory = time.perf_counter(), _MemoryWatch()
        try:
            with memory:
                _execute_notebook(self.chain, step, self.lock, lambda words: bar.set_postfix_str(words))
            entry["status"] = "done"
        except StepFailedError as fault:
            entry["error"] = str(fault)
            raise
        except KeyboardInterrupt:
            entry["error"] = f"{step.name} was stopped by hand"
            raise
        finally:
            entry |= {"wall_seconds": round(time.perf_counter() - start, 3), "peak_memory_mb": round(memory.peak_bytes / 2**20, 1)}
            self.manifest["steps"][step.name] = entry
            _note_tables(self.chain.cycle, self.manifest["tables"], step)
            evidence.write_manifest(self.folder, self.manifest)
            _append_status(self.chain.cycle, step, entry["status"], fingerprint, entry.get("error", "ran to its end").splitlines()[0])
        tqdm.write(f"{step.name:<26} done       {entry['wall_seconds']:7.1f} s {entry['peak_memory_mb']:7.0f} MB")


# ------------------------------------------------------------------ one notebook


def _execute_notebook(chain: Chain, step: Step, lock: _Lock, show: Callable[[str], None]) -> None:
    """Execute a notebook into the binder; a failing one is kept with its error marked."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    source, target = chain.notebook(step), Path(chain.cycle.folder) / f"{step.name}.ipynb"
    partial = target.with_name(f".{step.name}.partial.ipynb")
    cells = {"count": len(_cells(source)) + 1, "at": 0}

    def on_cell_start(cell_index: int, **_: Any) -> None:
        cells["at"] = cell_index
        show(f"cell {cell_index + 1}/{cells['count']}")

    try:
        with (target.parent / LOG).open("a", encoding="utf-8") as log:
            papermill.execute_notebook(
                _literal(source), _literal(partial), chain.values(step), kernel_name="python3", language="python", progress_bar=False,
                request_save_on_cell_execute=False, cwd=str(chain.workspace.folder), on_cell_start=on_cell_start,
                kernel_manager_class=_kernel_class(log, lock.note_kernel))
    except PapermillExecutionError as fault:
        os.replace(partial, target)
        raise StepFailedError(_failure(step, target, f"In [{fault.exec_count}]", _one_line(fault.ename, fault.evalue))) from None
    except DeadKernelError:
        _mark_dead(chain, step, partial, cells["at"])
        os.replace(partial, target)
        raise StepFailedError(_failure(step, target, f"number {cells['at'] + 1}", "the kernel died; most often the machine ran out "
                              f"of memory, see also {target.parent / LOG}")) from None
    os.replace(partial, target)


def _mark_dead(chain: Chain, step: Step, path: Path, cell_index: int) -> None:
    """Save the notebook of a kernel that died, marked as papermill marks an exception."""
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import raise_for_execution_errors

    notebook = papermill.execute_notebook(_literal(chain.notebook(step)), None, chain.values(step), kernel_name="python3",
                                          language="python", prepare_only=True, progress_bar=False)
    error = nbformat.v4.new_output("error", ename="DeadKernelError", evalue="the kernel died", traceback=["the kernel died in this cell"])
    notebook.cells[cell_index].outputs = [error]
    with suppress(PapermillExecutionError):
        raise_for_execution_errors(notebook, _literal(path))


def _failure(step: Step, notebook: Path, cell: str, cause: str) -> str:
    return f"{step.name} failed in cell {cell} of {notebook}\n{cause}"


def _one_line(name: str, message: str) -> str:
    """A message of the workbench whole, any other error by its first line."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, SopError):
        return f"{name}: {message}"
    return f"{name}: {next(iter(message.strip().splitlines()), 'no message')} (traceback in the notebook)"


def _kernel_class(log: IO[str], started: Callable[[int], None]) -> type[AsyncKernelManager]:
    """A kernel of this very interpreter, whatever kernelspecs the machine has; what it prints itself goes to the log."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class SameInterpreterKernel(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.kernel_spec_manager = KernelSpecManager(kernel_dirs=[])

        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # the library swaps sync for async itself
            options["extra_arguments"] = [*options.get("extra_arguments", []), "--IPKernelApp.log_level=40"]
            await self._async_start_kernel(env=_kernel_environment(), stdout=log, stderr=log, **options)
            started(cast("int", cast("LocalProvisioner", self.provisioner).pid))

    return SameInterpreterKernel


def _kernel_environment() -> dict[str, str]:
    """One thread per numeric library (the steps use processes) and a fixed hash seed, unless the user chose.

    A chain that was started inside a notebook is not that notebook's session: nobody sees its widgets.
    """
    own = {name: value for name, value in os.environ.items() if name != "JPY_SESSION_NAME"}
    return {**dict.fromkeys(_THREADS, "1"), "PYTHONHASHSEED": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1", **own}


def _literal(path: Path) -> str:
    """A path in which papermill will not look for `{parameter}` fields."""
    return str(path).replace("{", "{{").replace("}", "}}")


class _MemoryWatch:
    """Peak resident memory of all child processes (the kernel and its workers), sampled in a thread."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, sum(_resident(p) for p in psutil.Process().children(recursive=True)))


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it ended between the listing and the question
        return 0


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Only errors of papermill and its helpers are worth a planner's screen."""
    loggers = [logging.getLogger(name) for name in ("papermill", "nbclient", "traitlets", "jupyter_client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


# ------------------------------------------------------------------ one chain per cycle


class _Lock:
    """The lock file of a cycle's chain; the operating system frees it when the process ends, however it ends."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._content: dict[str, Any] = {"pid": os.getpid(), "by": roles.current_user(), "since": _now()}
        self._write()

    def note_kernel(self, pid: int) -> None:
        """Remember the kernel, so that the next chain can end it if this one is killed."""
        self._content["kernel"] = {"pid": pid, "created": psutil.Process(pid).create_time()}
        self._write()

    def _write(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        json.dump(self._content, self._file)
        self._file.flush()


@contextmanager
def _only_chain(chain: Chain) -> Iterator[_Lock]:
    folder = Path(chain.cycle.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        holder = _lock_holder(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = f"{holder.get('by', 'somebody')} (process {holder.get('pid', '?')}, since {holder.get('since', '?')})"
            raise ChainRunningError(f"cycle {chain.cycle.id} is being run already by {who}; wait until it ends") from None
        _end_orphan(holder.get("kernel"))
        yield _Lock(file)
        file.seek(0)
        file.truncate()


def _lock_holder(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        return json.loads(file.read() or "{}")
    except json.JSONDecodeError:  # killed while writing
        return {}


def _end_orphan(kernel: Mapping[str, float] | None) -> None:
    """End the kernel of a chain that was killed, before it writes once more; it ends itself within a second as a rule."""
    if not kernel:
        return
    try:
        process = psutil.Process(int(kernel["pid"]))
        if process.create_time() != kernel["created"]:  # the number was given to another process meanwhile
            return
        family = [*process.children(recursive=True), process]
        psutil.wait_procs(family, timeout=_ORPHAN_SECONDS)
        for member in family:
            if member.is_running():
                member.kill()
        psutil.wait_procs(family, timeout=_ORPHAN_SECONDS)
    except psutil.NoSuchProcess:
        return


def _is_running(chain: Chain) -> bool:
    path = Path(chain.cycle.folder) / LOCK
    if not path.is_file():
        return False
    with path.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


# ------------------------------------------------------------------ what a step was made of


def _common_parts(chain: Chain) -> dict[str, Any]:
    """Hashes that all steps share; source and scenario files one by one."""
    folder, settings = Path(chain.workspace.folder), chain.workspace.settings
    before = [c for c in chain.workspace.store.locked_cycles() if c < chain.cycle.id]
    return {
        "code": evidence.digest(evidence.file_hashes(PACKAGE, "")),
        "packages": evidence.digest(_packages()),
        "settings": evidence.digest(settings.model_dump(mode="json", exclude=_NOT_PLANNING)),
        "cycles": evidence.digest(before),
        "sources": _source_hashes(folder, settings.sources.folder, settings.sources.sql),
        "scenarios": evidence.file_hashes(folder / "scenarios", "scenarios"),
    }


def _parts(chain: Chain, step: Step, number: int, common: Mapping[str, Any], upstream: str) -> dict[str, str]:
    """What a step's result depends on, each as a hash."""
    parts = {name: common[name] for name in ("code", "packages", "settings", "cycles")}
    parts |= {"notebook": evidence.digest(_cells(chain.notebook(step))), "upstream": upstream,
              "parameters": evidence.digest({k: v for k, v in chain.values(step).items() if k != "workspace"})}
    parts |= {name: evidence.digest(common[name]) for name in ("sources", "scenarios") if getattr(step, name)}
    if step.records:
        parts["records"] = chain.cycle.fingerprint(step.records)
    if number and chain.steps[number - 1].sources:  # what a database held when it was read is known by nothing else
        parts["inputs"] = chain.cycle.fingerprint(tables.names("input"))
    return parts


def _cells(notebook: Path) -> list[tuple[str, str]]:
    """Kind and source of each cell."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError):
        raise SettingsError(f"{notebook} is not a notebook; restore it from the workbench") from None
    return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]


def _source_hashes(folder: Path, sources: str | None, sql: str) -> dict[str, str]:
    found = evidence.file_hashes(folder / expand_variables(sql), sql)
    return found | (evidence.file_hashes(folder / expand_variables(sources), sources) if sources else {})


def _packages() -> dict[str, str]:
    """Python and the version of every package the workbench declares."""
    names = [re.split(r"[^\w.-]", line)[0] for line in metadata.requires("sop-workbench") or [] if "extra ==" not in line]
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def _is_done(chain: Chain, step: Step, last: Mapping[str, str] | None, fingerprint: str) -> bool:
    is_same = last is not None and last["status"] in _DONE and last["fingerprint"] == fingerprint
    return is_same and (Path(chain.cycle.folder) / f"{step.name}.ipynb").is_file()


def _status(chain: Chain, step: Step, last: Mapping[str, str] | None, fingerprint: str, is_running: bool) -> tuple[str, str]:
    if last is None:
        return "draft", ""
    if chain.cycle.is_locked:
        return "locked", ""
    if last["status"] == "running":
        return ("running", "") if is_running else ("interrupted", "the chain was stopped in this step; run it again")
    if last["status"] == "failed":
        return "failed", ""
    if not _is_done(chain, step, last, fingerprint):
        return "stale", ""
    return (last["status"], f"by {last['by']}: {last['why']}") if last["status"] != "done" else ("done", "")


def _what_changed(entry: Mapping[str, Any], parts: Mapping[str, str]) -> str:
    before = entry.get("parts", {})
    changed = [name for name in {**before, **parts} if before.get(name) != parts.get(name)]
    if not before:
        return "its record in the binder is missing"
    return "changed since: " + ", ".join(_REASONS[name] for name in changed) if changed else "its notebook is missing in the binder"


def _last_statuses(cycle: Cycle) -> dict[str, dict[str, str]]:
    """The newest status of each step, as the store has it."""
    return {row["step"]: row for row in cycle.records("step_status").to_dict("records")}


def _append_status(cycle: Cycle, step: Step, status: str, fingerprint: str, why: str, by: str | None = None, outside: str = "") -> None:
    row = {"step": step.name, "status": status, "fingerprint": fingerprint, "outside_tolerance": outside}
    cycle.append("step_status", row, by=by or roles.current_user(), why=why)


def _owned(chain: Chain, step: Step) -> settings_module.Step | None:
    """What the settings say of a step: under its name, with or without its number."""
    declared = chain.workspace.settings.steps
    return declared.get(step.name) or declared.get(step.name.partition("_")[2])


def _owner_and_due(chain: Chain, step: Step) -> tuple[str, str]:
    owned = _owned(chain, step)
    if owned is None:
        return "", ""
    return owned.owner, f"WD{owned.due_working_day} ({_due_day(chain, owned):%Y-%m-%d})"


def _due_day(chain: Chain, owned: settings_module.Step) -> pd.Timestamp:
    first_day = chain.cycle.calendar.first_day(chain.cycle.period)
    return periods.due_day(first_day, owned.due_working_day, chain.cycle.settings.working_days.holidays)


def _late(chain: Chain, step: Step, status: str, today: pd.Timestamp | None) -> int:
    owned = _owned(chain, step)
    if owned is None or today is None or status in (*_DONE, "locked"):
        return 0
    return periods.working_days_late(_due_day(chain, owned), today, chain.cycle.settings.working_days.holidays)


# ------------------------------------------------------------------ the manifest


def _new_manifest(chain: Chain, common: Mapping[str, Any]) -> dict[str, Any]:
    """What this run rests on, with the entries of steps that ran before."""
    before = evidence.read_manifest(Path(chain.cycle.folder))
    return {
        "cycle": chain.cycle.id, "company": chain.workspace.settings.company, "as_of": f"{chain.cycle.as_of:%Y-%m-%d}",
        "workbench": {"version": __version__, "code": common["code"], **_commit()}, "packages": _packages(),
        "platform": platform.platform(), "settings": common["settings"],
        "inputs": common["sources"], "scenarios": common["scenarios"],
        "steps": before.get("steps", {}), "tables": before.get("tables", {}), "outputs": before.get("outputs", {}),
    }


def _commit() -> dict[str, Any]:
    """The commit of the workbench's checkout and whether it has changes on top; nothing outside a checkout."""
    try:
        commit, changes = (subprocess.run(["git", "-C", str(PACKAGE.parent), *command], capture_output=True, text=True, check=True,
                                          timeout=10).stdout.strip()
                           for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", PACKAGE.name]))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "has_changes": bool(changes)}


def _note_tables(cycle: Cycle, noted: dict[str, dict[str, Any]], step: Step) -> None:
    """Note version and content of every table in the manifest, and the step where it has moved."""
    for name, version in _table_versions(cycle).items():
        if noted.get(name, {}).get("version") != version:
            noted[name] = {"version": version, "step": step.name, "sha256": cycle.fingerprint([name])}


def _table_versions(cycle: Cycle) -> dict[str, int]:
    """How many times each table of the cycle was written."""
    found = {name: cycle.version(name) for name in tables.names("input") + tables.names("result")}
    return {name: version for name, version in found.items() if version is not None}


def _written_outside(chain: Chain, manifest: Mapping[str, Any]) -> set[str]:
    """Steps whose tables hold something else since they ran, written by something that is not the chain."""
    versions, noted = _table_versions(chain.cycle), manifest.get("tables", {})
    moved = {name: entry for name, entry in noted.items() if versions.get(name) != entry["version"]}
    return {entry["step"] for name, entry in moved.items() if chain.cycle.fingerprint([name]) != entry["sha256"]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
