"""What a locked cycle rests on, kept so that anybody can check it later: hashes, copies and a seal.

`collect` is called just before a cycle is locked. It hashes the files of every table the cycle holds, its executed notebooks,
and copies of what the plan was made by (`sop.yaml`, SQL, scenarios, notebooks; the source files where asked for), which it
puts into the binder's `evidence` folder. The hash of it all is the seal, which the approval in the store carries. `verify`
hashes again and names what differs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import SettingsError, SopError
from sop_workbench.settings import SETTINGS_FILE, expand_variables

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

MANIFEST = "manifest.json"
KEPT = "evidence"
DIFFERENCE_COLUMNS = ("kind", "what", "difference", "is_broken")
_SHOWN = 12
_STANDING = {"code": "code of the workbench", "packages": "package", "settings": "settings", "sources": "source file",
             "scenarios": "scenario file"}


# ------------------------------------------------------------------ hashes and the manifest


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(folder: Path, name: str) -> dict[str, str]:
    """Hash of every file of a folder, by its path under the folder's name (wherever that is on this machine)."""
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and "__pycache__" not in p.parts and not p.name.startswith((".", "~$"))]
    return {f"{name}/{p.relative_to(folder).as_posix()}": file_hash(p) for p in paths}


def digest(content: Any) -> str:
    """SHA-256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a binder; empty where there is none.

    Raises
    ------
    SettingsError
        When it is no JSON.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        remedy = "restore it from a copy; for an open cycle delete it and run the chain again"
        raise SettingsError(f"{path} is not readable JSON; {remedy}") from None


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write whole or not at all."""
    partial = folder / f".{MANIFEST}.{os.getpid()}"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1, default=str)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, folder / MANIFEST)


# ------------------------------------------------------------------ collect


def collect(cycle: Cycle, notebooks: Iterable[Path], standing: Mapping[str, Any], keep_sources: bool = False) -> dict[str, Any]:
    """Hash everything the cycle holds and keep copies of what it was made by.

    Parameters
    ----------
    notebooks : iterable of Path
        The notebooks that were run (not the executed ones, which are in the binder).
    standing : mapping
        Hashes of code, packages, settings, source and scenario files (see `chain.standing`).
    keep_sources : bool
        Keep a copy of the source files too.

    Returns
    -------
    dict
        The evidence: `tables`, `notebooks`, `kept`, `earlier` (approvals of the locked cycles it could read) and `standing`.
    """
    binder = Path(cycle.folder)
    _keep(cycle, notebooks, keep_sources)
    locked = [cycle.store.cycle(name) for name in cycle.store.locked_cycles() if name < cycle.id]
    return {
        "tables": {name: cycle.file_hashes(name) for name in _names() if cycle.has(name)},
        "notebooks": {path.name: file_hash(path) for path in sorted(binder.glob("*.ipynb"))},
        "kept": file_hashes(binder / KEPT, KEPT),
        "earlier": {past.id: _approval_of(past)["record_id"] for past in locked},
        "standing": dict(standing),
    }


def seal(evidence: Mapping[str, Any]) -> str:
    """The hash that the approval carries for its evidence."""
    return digest(json.loads(json.dumps(evidence, default=str)))


def _names() -> list[str]:
    return [name for name, declared in tables.all_tables().items() if declared.group != "document" and name != "approval"]


def _approval_of(cycle: Cycle) -> dict[str, Any]:
    """The approval that locked a cycle last."""
    approvals = cycle.records("approval")
    return approvals[approvals["status"] == "locked"].iloc[-1].to_dict()


def _keep(cycle: Cycle, notebooks: Iterable[Path], keep_sources: bool) -> None:
    """Copies in the binder, made beside and then moved in at once."""
    workspace, settings, kept = cycle.workspace.folder, cycle.settings, Path(cycle.folder) / KEPT
    partial = kept.with_name(f".{KEPT}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    shutil.copy2(workspace / SETTINGS_FILE, partial)
    folders = {"scenarios": workspace / "scenarios", "sql": workspace / expand_variables(settings.sources.sql)}
    if keep_sources and settings.sources.folder:
        folders["sources"] = workspace / expand_variables(settings.sources.folder)
    for name, folder in folders.items():
        if folder.is_dir():
            shutil.copytree(folder, partial / name, ignore=shutil.ignore_patterns("__pycache__", ".*", "~$*"))
    (partial / "notebooks").mkdir()
    for path in notebooks:
        shutil.copy2(path, partial / "notebooks")
    shutil.rmtree(kept, ignore_errors=True)
    partial.rename(kept)


# ------------------------------------------------------------------ verify


def verify(cycle: Cycle, standing: Mapping[str, Any]) -> pd.DataFrame:
    """Hash everything a locked cycle rests on again and name what differs.

    Parameters
    ----------
    standing : mapping
        Hashes of code, packages, settings, source and scenario files as they are now.

    Returns
    -------
    DataFrame
        kind, what, difference, is_broken. `is_broken`: what was locked is no longer what it was (a table's file, an executed
        notebook, a kept copy, report or workbook, the manifest itself). The other rows tell what has moved on outside of the
        locked cycle since (code, packages, settings, sources): a rerun may differ because of it. Empty when nothing differs.

    Raises
    ------
    SopError
        When the cycle is not locked, or was locked without evidence.
    """
    evidence, manifest = locked_evidence(cycle), read_manifest(Path(cycle.folder))
    outputs, harmed = manifest.get("outputs", {}), _approval_differences(cycle, manifest)
    if harmed:  # it holds the pins and the seal: with it nothing else can be judged
        return pd.DataFrame(harmed, columns=list(DIFFERENCE_COLUMNS))
    found = []
    if _approval_of(cycle)["seal"] != seal(evidence):
        found.append(("manifest", f"{MANIFEST}", "its evidence is not the one that the approval sealed", True))
    for name in sorted({*evidence["tables"], *(name for name in _names() if _is_readable(cycle, name) and cycle.has(name))}):
        found += _table_differences(cycle, name, evidence["tables"].get(name, {}))
    binder = Path(cycle.folder)
    executed = {path.name: file_hash(path) for path in binder.glob("*.ipynb")}
    found += _differences("executed notebook", evidence["notebooks"], executed, is_broken=True)
    found += _differences("kept copy", evidence["kept"], file_hashes(binder / KEPT, KEPT), is_broken=True)
    packs = {name: entry["sha256"] for name, entry in outputs.items()}
    found += _differences("pack", packs, {name: file_hash(binder / name) for name in packs if (binder / name).is_file()}, is_broken=True)
    for past, record_id in evidence["earlier"].items():
        found += _earlier_difference(cycle.store.cycle(past), record_id)
    for key, kind in _STANDING.items():
        found += _differences(kind, _as_mapping(evidence["standing"].get(key)), _as_mapping(standing.get(key)), is_broken=False)
    return pd.DataFrame(found, columns=list(DIFFERENCE_COLUMNS))


def locked_evidence(cycle: Cycle) -> dict[str, Any]:
    """The evidence of a locked cycle, from its manifest.

    Raises
    ------
    SopError
        When the cycle is not locked, or was locked without evidence.
    """
    if not cycle.is_locked:
        raise SopError(f"cycle {cycle.id} is not locked, so there is nothing to hold it against; lock it with sop lock")
    evidence = read_manifest(Path(cycle.folder)).get("evidence")
    if not evidence:
        raise SopError(f"cycle {cycle.id} has no evidence in {Path(cycle.folder) / MANIFEST}: it was locked without, or the file was lost. "
                       "Restore the file, or unlock the cycle with a reason and lock it again with sop lock")
    return evidence


def _is_readable(cycle: Cycle, name: str) -> bool:
    try:
        cycle.has(name)
    except Exception:  # whatever a broken log raises is told by _table_differences
        return False
    return True


def _table_differences(cycle: Cycle, name: str, before: Mapping[str, str]) -> list[tuple]:
    kind = f"{tables.table(name).group} table"
    try:
        now = cycle.file_hashes(name)
    except Exception as fault:  # a log that was tampered with fails in as many ways as there are bytes
        return [(kind, name, f"cannot be read at its pinned version: {str(fault).splitlines()[0]}", True)]
    return [(kind, f"{name}: {path}", words, True) for path, words in _changes(before, now)]


def _approval_differences(cycle: Cycle, manifest: Mapping[str, Any]) -> list[tuple]:
    """What changed in the record of the approval itself; cycles locked before its hash was noted are not held to it."""
    try:
        now, pins = cycle.file_hashes("approval"), cycle.pins()
    except Exception as fault:  # as in _table_differences
        return [("record table", "approval", f"cannot be read: {str(fault).splitlines()[0]}", True)]
    found = [("record table", f"approval: {path}", words, True) for path, words in _changes(manifest.get("approval", now), now)]
    return found or [("manifest", "pins", "are not those of the approval", True)] * (manifest.get("pins", pins) != pins)


def _earlier_difference(past: Cycle, record_id: str) -> list[tuple]:
    if past.is_locked and _approval_of(past)["record_id"] == record_id:
        return []
    return [("earlier cycle", past.id, "was unlocked or locked again since", False)]


def _differences(kind: str, before: Mapping[str, str], now: Mapping[str, str], *, is_broken: bool) -> list[tuple]:
    found = [(kind, what, words, is_broken) for what, words in _changes(before, now)]
    others = len(found) - _SHOWN
    return found if is_broken or others <= 1 else [*found[:_SHOWN], (kind, f"and {others} more", "", False)]


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str]]:
    """What is changed, missing or new.

    Examples
    --------
    >>> _changes({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"})
    [('b', 'changed'), ('c', 'missing'), ('d', 'new')]
    """
    found = []
    for what in sorted({*before, *now}):
        if before.get(what) == now.get(what):
            continue
        is_lost = what not in now or now[what] == "missing"
        found.append((what, "missing" if is_lost else "new" if what not in before else "changed"))
    return found


def _as_mapping(content: Any) -> dict[str, str]:
    if content is None:
        return {}
    return {str(k): str(v) for k, v in content.items()} if isinstance(content, Mapping) else {"all of it": str(content)}
