"""A locked cycle computed again from its pinned inputs, in a store of its own, and held against what was locked.

The sources are not read again: they may have moved on. The inputs, people's records, the locked plans before it, the settings,
scenarios and notebooks are those that the lock kept; the code is the workbench as it is now. What the checks of the sources
found (`issue`) is taken over, because it speaks of files that are not kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from sop_workbench import evidence, reviews, tables
from sop_workbench.chain import Chain, as_last_run, run_chain
from sop_workbench.settings import SETTINGS_FILE
from sop_workbench.store import BASE, open_workspace

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

DIFFERENCE_COLUMNS = ("table", "scenario", "keys", "column", "before", "after")
_SIGNED = "rerun"
_NOT_COPIED = ("approval", "step_status")
_ROW = "(row)"


def rerun_cycle(chain: Chain, folder: Path) -> pd.DataFrame:
    """Compute a locked cycle again in an empty folder and name every cell that comes out differently.

    Parameters
    ----------
    chain : Chain
        The locked cycle and its steps.
    folder : Path
        Becomes a workspace with a store of its own; nothing is written anywhere else.

    Returns
    -------
    DataFrame
        table, scenario, keys, column, before, after: one row per cell, or per row that is missing or new. Empty when all result
        tables of all scenarios are equal, to the last digit.

    Raises
    ------
    SopError
        When the cycle is not locked or has no evidence.
    StepFailedError
        When a step fails now.
    """
    kept = evidence.locked_evidence(chain.cycle)
    notebooks = Path(chain.cycle.folder) / evidence.KEPT
    _make_workspace(notebooks, folder)
    scratch = open_workspace(folder)
    for past in sorted(kept["earlier"]):
        _copy_locked(chain.cycle.store.cycle(past), scratch.cycle(past))
    again, taken_over = scratch.cycle(chain.cycle.id), _of_sources(chain)
    again.copy_from(chain.cycle, [*tables.names("input"), *(n for n in tables.names("record") if n not in _NOT_COPIED), *taken_over])
    if "history_correction" in taken_over:
        again.write("history_correction", reviews.propose_corrections(again, again.inputs(), again.records("history_decision")))
    steps = tuple(step for step in chain.steps if not step.sources)
    run_chain(replace(as_last_run(chain), workspace=scratch, cycle=again, steps=steps))
    return cycle_differences(chain.cycle, again)


def cycle_differences(before: Cycle, after: Cycle) -> pd.DataFrame:
    """Every cell of every result table and scenario in which two cycles differ."""
    found = []
    for name in tables.names("result"):
        for scenario in sorted({BASE, *before.scenarios(name), *after.scenarios(name)}):
            rows = table_differences(name, before.read_or_empty(name, scenario), after.read_or_empty(name, scenario))
            found.append(rows.assign(scenario=scenario))
    filled = [rows for rows in found if len(rows)]
    return pd.concat(filled, ignore_index=True)[list(DIFFERENCE_COLUMNS)] if filled else pd.DataFrame(columns=list(DIFFERENCE_COLUMNS))


def table_differences(name: str, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Every cell in which two versions of a table differ, by the table's key; an empty cell equals an empty cell.

    Returns
    -------
    DataFrame
        table, keys, column, before, after. A row that only one of them has is told once, with column `(row)`.

    Examples
    --------
    >>> old = pd.DataFrame({"stream": ["sales", "statistical"], "weight_ratio": [0.4, 0.6], "evidence": ""})
    >>> new = pd.DataFrame({"stream": ["sales", "finance"], "weight_ratio": [0.5, 0.5], "evidence": ""})
    >>> for row in table_differences("stream_weight", old, new).itertuples(index=False):
    ...     print(row.keys, row.column, row.before, row.after)
    stream=finance (row) missing there
    stream=statistical (row) there missing
    stream=sales weight_ratio 0.4 0.5
    """
    key = list(tables.table(name).key)
    old, new = before.set_index(key), after.set_index(key)
    told = [(_words(key, k), _ROW, "missing", "there") for k in new.index.difference(old.index)]
    told += [(_words(key, k), _ROW, "there", "missing") for k in old.index.difference(new.index)]
    shared = old.index.intersection(new.index)
    old, new = old.loc[shared], new.loc[shared]
    for column in [*old.columns, *(c for c in new.columns if c not in old.columns)]:
        told += _cells(key, column, *(frame.get(column, pd.Series(None, shared, dtype=object)) for frame in (old, new)))
    return pd.DataFrame(told, columns=["keys", "column", "before", "after"]).assign(table=name)


def _cells(key: list[str], column: str, old: pd.Series, new: pd.Series) -> Iterable[tuple]:
    differs = ~((old.to_numpy() == new.to_numpy()) | (old.isna().to_numpy() & new.isna().to_numpy()))
    return [(_words(key, k), column, a, b) for k, a, b in zip(old.index[differs], old[differs], new[differs], strict=True)]


def _words(key: list[str], values: Any) -> str:
    values = values if isinstance(values, tuple) else (values,)
    return ", ".join(f"{name}={v:%Y-%m-%d}" if isinstance(v, pd.Timestamp) else f"{name}={v}" for name, v in zip(key, values, strict=True))


def _make_workspace(kept: Path, folder: Path) -> None:
    """A workspace of the kept copies, with its own store, no roles and no sources."""
    shutil.copytree(kept, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("sources"))
    settings = yaml.safe_load((kept / SETTINGS_FILE).read_text(encoding="utf-8"))
    own = {name: value for name, value in settings.items() if name not in ("users", "groups")}
    own |= {"store": "store", "sources": {"folder": "extract"}}
    (folder / SETTINGS_FILE).write_text(yaml.safe_dump(own, allow_unicode=True), encoding="utf-8")


def _copy_locked(past: Cycle, target: Cycle) -> None:
    """Results and people's records of an earlier cycle: a later one judges how that cycle was run and what came of its records."""
    target.copy_from(past, [*tables.names("result"), *(name for name in tables.names("record") if name != "approval")])
    target.lock(by=_SIGNED, why="locked before the cycle that is computed again")


def _of_sources(chain: Chain) -> list[str]:
    """Result tables that a step wrote which reads the sources."""
    noted = evidence.read_manifest(Path(chain.cycle.folder)).get("tables", {})
    steps = {step.name for step in chain.steps if step.sources}
    return [name for name in tables.names("result") if noted.get(name, {}).get("step") in steps]
