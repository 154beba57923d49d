"""The monthly chain: eight notebooks run by papermill, one process per cycle, a kernel each.

A step is skipped when its **fingerprint** (notebook, parameters, code, packages, settings, source files,
scenario files, people's records, the step before it) is that of its last successful run. So a chain that was
stopped, failed or even killed is started again with the same command and ends with the same tables.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import logging
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import nbformat
import papermill
import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

from sop_workbench import __version__, errors
from sop_workbench.errors import CycleLockedError, SettingsError, SopError, StepFailedError
from sop_workbench.settings import SETTINGS_FILE, expand_variables

if TYPE_CHECKING:
    from sop_workbench.store import Cycle, Workspace

PACKAGE = Path(__file__).parent
NOTEBOOKS = PACKAGE.parent / "notebooks"
MANIFEST = "manifest.json"
LOCK = ".chain.lock"
LOG = "chain.log"
_SAMPLE_SECONDS = 0.1
_ORPHAN_SECONDS = 5.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_NOT_PLANNING = {"steps", "newest_cycle", "store", "brand_colour"}
_REASONS = {
    "notebook": "its notebook", "parameters": "its parameters", "code": "the code of the workbench", "packages": "Python or a package",
    "settings": SETTINGS_FILE, "sources": "the source files", "scenarios": "the scenario files", "records": "what people recorded",
    "cycles": "the list of locked cycles", "upstream": "the step before it",
}


@dataclass(frozen=True)
class Step:
    """One step of the chain: its notebook and what it reads beyond the step before it.

    `sources` and `scenarios` say that it reads the source files or the scenario files; `records` names
    the people's records it takes in: a new row there makes the step stale.
    """

    name: str
    sources: bool = False
    scenarios: bool = False
    records: tuple[str, ...] = ()


STEPS = (
    Step("00_data_gathering", sources=True),
    Step("01_product_review"),
    Step("02_demand_review", records=("demand_adjustment", "history_decision")),
    Step("03_supply_review"),
    Step("04_financial_review"),
    Step("05_pre_sop", scenarios=True, records=("lever", "assumption", "risk")),
    Step("06_executive_sop", records=("decision", "action")),
    Step("07_execution_monitoring"),
)


@dataclass(frozen=True)
class StepState:
    """Where a step stands: draft, running, interrupted, done, stale, failed or locked, and why."""

    step: str
    status: str
    owner: str = ""
    due: str = ""
    reason: str = ""


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
        raise SettingsError(f"no step {name!r}; steps are {', '.join(step.name for step in self.steps)}")

    def values(self, step: Step) -> dict[str, Any]:
        """The parameters of a step's notebook."""
        return {"workspace": str(Path(self.workspace.folder).resolve()), "cycle_id": self.cycle.id, **self.parameters.get(step.name, {})}


def run_chain(chain: Chain, first: str | None = None, last: str | None = None,
              outputs: Mapping[str, Callable[[Cycle], object]] | None = None) -> list[StepState]:
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

    Returns
    -------
    list of StepState
        Where every step stands afterwards.

    Raises
    ------
    CycleLockedError
        When the cycle is locked: a locked cycle is never run again.
    StepFailedError
        When a step fails; names step, notebook, cell and cause.
    SettingsError
        When a step or parameter is unknown or a value has the wrong type; nothing has run then.
    """
    raise NotImplementedError


def step_states(chain: Chain) -> list[StepState]:
    """Where every step of a cycle stands, who owns it, when it is due and what made it stale."""
    raise NotImplementedError
