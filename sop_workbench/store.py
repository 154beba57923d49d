"""Where planning data lives: cycles, scenarios and people's records in Delta Lake tables. The only module that knows.

Each table of `tables.yaml` is one Delta table under the store's address, partitioned by `cycle_id`
(results also by `scenario_id`). A write replaces one partition in one atomic commit that carries note,
user and code version. People's records are only ever appended. A locked cycle is read at the versions
that its approval pinned, so whatever is written later to the same Delta table cannot change it.

Two things rest on the transaction numbers that Delta keeps per name beside the data: how often a
partition was written (so "written and empty" differs from "never written"), and whether a cycle is locked (odd:
locked, even: open again). They change in the same commit as the data, and two processes that
raise the same number at once are a conflict.

Rows come back sorted by the table's key. Times keep microseconds. An extra column that is empty in the whole
partition is not kept. Old versions are never cleaned away: do not run `vacuum` on a store.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from sop_workbench import __version__, roles, tables
from sop_workbench.errors import CycleLockedError, DataError, SettingsError, SopError, StoreConflictError, UnknownCycleError
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings, expand_variables, load_settings

BASE = "base"
HISTORY_COLUMNS = ("version", "at", "user", "note", "code_version", "cycle_id", "scenario_id")

_ARROW_TYPES = {"text": pa.string(), "number": pa.float64(), "integer": pa.int64(), "date": pa.timestamp("us"), "boolean": pa.bool_()}
_REGISTER = "cycle"  # the Delta table of the cycles that were opened; no table of tables.yaml has this name
_REGISTER_SCHEMA = pa.schema([("cycle_id", pa.string()), ("at", pa.timestamp("us")), ("user", pa.string())])
_CONFIGURATION = {  # pinned versions must stay readable, and a table of many small commits must open fast
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "20",
}
_ATTEMPTS = 20
_CLOSING_SECONDS = 10.0  # a lock takes tens of milliseconds; one that takes this long was killed
_PARTITIONS_SHOWN = 10


def open_workspace(folder: Path | str) -> Workspace:
    """Open the workspace in a folder: its settings and its store.

    Raises
    ------
    SettingsError
        When `sop.yaml` is missing or wrong.
    """
    folder = Path(folder).resolve()
    settings = load_settings(folder)
    url = expand_variables(settings.store)
    return Workspace(folder, settings, open_store(url if "://" in url else folder / url, settings, folder))


def open_store(url: Path | str, settings: Settings | None = None, folder: Path | str | None = None) -> Store:
    """Open a store by folder or object-store address (`s3://…`, `abfss://…`, `gs://…`).

    Parameters
    ----------
    url : Path or str
        Need not exist yet. Keys of an object store come from the environment, as its vendor names them.
    settings, folder : Settings, Path, optional
        The workspace's; without them a cycle can be read and written but knows no calendar and has no binder.
    """
    address = str(url) if "://" in str(url) else str(Path(url).resolve())
    return Store(address.rstrip("/"), settings, None if folder is None else Path(folder))


@dataclass(frozen=True)
class Workspace:
    """A company's folder: settings, sources and binder, with its store."""

    folder: Path
    settings: Settings
    store: Store

    def cycle(self, cycle_id: str) -> Cycle:
        """One cycle of this workspace (it need not have been written yet); without a name the newest that was.

        Raises
        ------
        SettingsError
            When the name does not fit the company's bucket.
        UnknownCycleError
            When no name is given and nothing was planned yet.
        """
        return self.store.cycle(cycle_id or self._newest())

    def _newest(self) -> str:
        written = self.store.cycles()
        if not written:
            raise UnknownCycleError(f"nothing is planned in {self.folder} yet; run `sop run` first, or name a cycle")
        return written[-1]


@dataclass(frozen=True)
class Store:
    """All cycles of a company."""

    url: str
    settings: Settings | None = None
    folder: Path | None = None

    def cycles(self) -> list[str]:
        """Names of the cycles that anything was written to, oldest first."""
        register = self.open_delta(_REGISTER)
        return [] if register is None else sorted(set(_arrow(register).column("cycle_id").to_pylist()))

    def locked_cycles(self) -> list[str]:
        """Names of the locked cycles, oldest first."""
        approvals = self.open_delta("approval")
        return [] if approvals is None else [c for c in self.cycles() if (approvals.transaction_version(c) or 0) % 2]

    def cycle(self, cycle_id: str) -> Cycle:
        """One cycle (it need not have been written yet).

        Raises
        ------
        SettingsError
            When the name does not fit the company's bucket.
        """
        if self.settings is not None:
            self.settings.calendar.cycle_period(cycle_id)
        return Cycle(cycle_id, self)

    def read_all(self, table: str) -> pd.DataFrame:
        """The table over all cycles and scenarios, `cycle_id` in front (and `scenario_id`, but not for people's records).

        Locked cycles are read as approved. Sorted by cycle, scenario and key; empty when the table was never written.
        """
        declared = tables.table(table)
        newest = self.open_delta(table)
        locked = self.locked_cycles()
        parts = [] if newest is None else [_arrow(newest, [("cycle_id", "not in", locked)] if locked else None)]
        for cycle_id in locked:
            pinned = self.cycle(cycle_id).open_delta(table)
            parts += [] if pinned is None else [_arrow(pinned, [("cycle_id", "=", cycle_id)])]
        front = ["cycle_id"] if declared.group == "record" else ["cycle_id", "scenario_id"]
        if not parts:
            return pd.concat([pd.DataFrame({c: pd.Series(dtype=object) for c in front}), declared.empty()], axis=1)
        found = pa.concat_tables(parts, promote_options="default")
        if "scenario_id" not in found.column_names and declared.group != "record":
            found = found.append_column("scenario_id", pa.array([BASE] * found.num_rows, pa.string()))
        return _to_frame(declared, found, front)

    def history(self, table: str) -> pd.DataFrame:
        """Every commit of a table, newest first: version, at, user, note, code_version, cycle_id, scenario_id."""
        tables.table(table)
        delta = self.open_delta(table)
        commits = [] if delta is None else [c for c in delta.history() if "code_version" in c]
        for commit in commits:
            commit["at"] = pd.Timestamp(commit["timestamp"], unit="ms")
        return pd.DataFrame(commits, columns=list(HISTORY_COLUMNS))

    def open_delta(self, name: str, version: int | None = None) -> DeltaTable | None:
        """The Delta table of a table, at a version or the newest; None when it was never made."""
        try:
            return DeltaTable(self._address(name), version=version)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as fault:
            raise SopError(f"the store {self.url} cannot be read at {name}: {_first_line(fault)}") from fault

    def open_or_create_delta(self, name: str, schema: pa.Schema, partitions: Sequence[str]) -> DeltaTable:
        """The newest Delta table, made with this schema where there is none (two processes may do so at once)."""
        found = self.open_delta(name)
        if found is not None:
            return found
        try:
            return DeltaTable.create(
                self._address(name), schema, mode="ignore", partition_by=list(partitions), configuration=_CONFIGURATION
            )
        except (DeltaError, OSError) as fault:
            found = self.open_delta(name)
            if found is None:
                raise SopError(f"the store {self.url} cannot be written: {_first_line(fault)}") from fault
            return found

    def require_role(self, needed: roles.Role, doing: str, by: str | None = None) -> None:
        """The one place where a write is allowed or refused by the role of the person at work.

        Raises
        ------
        RoleError
            When the role does not allow it, or `by` names somebody else.
        """
        if self.settings is not None:
            roles.require(needed, doing, self.settings.users, self.settings.groups, by)

    def versions(self) -> dict[str, int]:
        """The newest Delta version of every table but the approvals."""
        opened = {name: self.open_delta(name) for name in tables.all_tables() if name != "approval"}
        return {name: delta.version() for name, delta in opened.items() if delta is not None}

    def _address(self, name: str) -> str:
        return f"{self.url}/{name}"


@dataclass(frozen=True)
class Cycle:
    """One month's round: its inputs, results per scenario, people's records and approval."""

    id: str
    store: Store

    @property
    def workspace(self) -> Workspace:
        """The workspace the cycle belongs to.

        Raises
        ------
        SettingsError
            When the store was opened without a workspace.
        """
        if self.store.folder is None:
            raise SettingsError(f"the store {self.store.url} was opened without a workspace; use open_workspace(folder)")
        return Workspace(self.store.folder, self.settings, self.store)

    @property
    def settings(self) -> Settings:
        """Settings of the workspace.

        Raises
        ------
        SettingsError
            When the store was opened without a workspace.
        """
        if self.store.settings is None:
            raise SettingsError(f"the store {self.store.url} was opened without a workspace; use open_workspace(folder)")
        return self.store.settings

    @property
    def calendar(self) -> Calendar:
        """Planning calendar of the workspace."""
        return self.settings.calendar

    @property
    def period(self) -> pd.Timestamp:
        """First planned period."""
        return self.calendar.cycle_period(self.id)

    @property
    def periods(self) -> pd.DatetimeIndex:
        """The planned periods (the horizon)."""
        return self.calendar.horizon(self.id, self.settings.horizon)

    @property
    def as_of(self) -> pd.Timestamp:
        """Last day whose facts the cycle may know."""
        return self.calendar.as_of(self.id)

    @property
    def folder(self) -> Path:
        """The binder `cycles/<id>` of the workspace; made when first asked for."""
        binder = self.workspace.folder / "cycles" / self.id
        binder.mkdir(parents=True, exist_ok=True)
        return binder

    def read(self, table: str, scenario: str = BASE) -> pd.DataFrame:
        """The table as last written, or as approved when the cycle is locked; sorted by key.

        Inputs belong to a cycle, not to a scenario: apply the scenario's levers to them instead.

        Raises
        ------
        UnknownCycleError
            When the table was never written for this cycle and scenario; names what there is. People's
            records are empty instead.
        """
        declared = tables.table(table)
        delta = self.open_delta(table)
        if declared.group != "record" and (delta is None or delta.transaction_version(self._name(scenario)) is None):
            raise UnknownCycleError(self._unknown(table, scenario, delta))
        if delta is None:
            return declared.empty()
        return _to_frame(declared, _arrow(delta, self._filters(declared, scenario)), [])

    def read_or_empty(self, table: str, scenario: str = BASE) -> pd.DataFrame:
        """The table as :meth:`read` gives it, or its declared columns without a row where it was never written.

        For who can do without it: an empty answer does not say whether nothing was written or nothing was found.
        """
        return self.read(table, scenario) if self.has(table, scenario) else tables.table(table).empty()

    def has(self, table: str, scenario: str = BASE) -> bool:
        """Tell whether the table was written for this cycle and scenario (even if empty)."""
        return self.version(table, scenario) is not None

    def version(self, table: str, scenario: str = BASE) -> int | None:
        """How many times the table was written here (records: how many there are); None when never."""
        declared = tables.table(table)
        delta = self.open_delta(table)
        if delta is None:
            return None
        if declared.group == "record":
            return _arrow(delta, self._filters(declared, scenario), ["record_id"]).num_rows or None
        return delta.transaction_version(self._name(scenario))

    def fingerprint(self, names: Sequence[str], scenario: str = BASE) -> str:
        """Hash of the content of some tables: equal content gives an equal hash, whenever it was written.

        Inputs and records are those of the cycle, results those of the scenario; a table never written counts as absent.
        """
        digest = hashlib.sha256()
        for name in sorted(set(names)):
            where = scenario if tables.table(name).group == "result" else BASE
            digest.update(name.encode())
            digest.update(_content_hash(self.read(name, where)) if self.has(name, where) else b"absent")
        return digest.hexdigest()

    def scenarios(self, table: str = "supply_plan") -> list[str]:
        """Names of the scenarios that have rows in a result table, base first."""
        delta = self.open_delta(table)
        found = set() if delta is None else {p["scenario_id"] for p in delta.partitions() if p["cycle_id"] == self.id}
        return sorted(found, key=lambda name: (name != BASE, name))

    def inputs(self) -> dict[str, pd.DataFrame]:
        """All input tables as data gathering wrote them; an optional one that was not written is empty.

        Raises
        ------
        UnknownCycleError
            When data gathering has not written the cycle's inputs yet.
        """
        declared = [tables.table(name) for name in tables.names("input")]
        return {t.name: self.read_or_empty(t.name) if t.is_optional else self.read(t.name) for t in declared}

    def write(self, table: str, frame: pd.DataFrame, scenario: str = BASE, note: str = "") -> None:
        """Replace the table of this cycle and scenario in one atomic commit.

        Raises
        ------
        DataError
            When the frame breaks the table's declaration; nothing is written.
        RoleError
            When the person at work may only read.
        CycleLockedError
            When the cycle is locked, or was locked while the rows were being written.
        StoreConflictError
            When another process wrote the same partition at the same moment; its rows stand.
        """
        self.write_all({table: frame}, scenario, note)

    def write_all(self, frames: Mapping[str, pd.DataFrame], scenario: str = BASE, note: str = "") -> None:
        """Check every frame first, then write them all: bad data leaves nothing half written.

        Raises
        ------
        DataError
            With the findings of all frames.
        RoleError, CycleLockedError, StoreConflictError
            As :meth:`write`.
        """
        self.store.require_role("planner", f"write {', '.join(frames)} of cycle {self.id}")
        self._refuse_when_locked()
        ready: dict[str, pa.Table] = {}
        findings: list[pd.DataFrame] = []
        for name, frame in frames.items():
            self._refuse_wrong_group(name, scenario)
            ready[name], found = self._prepare(name, frame, scenario)
            findings += [found] if len(found) else []
        if findings:
            raise DataError(pd.concat(findings, ignore_index=True))
        self._register()
        for name, rows in ready.items():
            self._replace(name, rows, scenario, note)

    def append(self, record_table: str, rows: pd.DataFrame | Sequence[Mapping] | Mapping, *, by: str, why: str) -> pd.DataFrame:
        """Add people's records, with who and why; the store numbers and dates them.

        Parameters
        ----------
        record_table : str
            A table of people's records (`demand_adjustment`, `decision`, `comment` …).
        rows : DataFrame, sequence of mappings or one mapping
            Its own columns, without record_id, by, at, why.
        by, why : str
            Who says it, and the reason; neither may be empty.

        Returns
        -------
        DataFrame
            The records as stored.

        Raises
        ------
        DataError
            When a row breaks the declaration, or who or why is missing.
        RoleError
            When the person at work may only read, records what only approvers may, or signs with another name.
        CycleLockedError
            When the cycle is locked, or was locked while the record was being written.
        """
        self._refuse_to_append(record_table, rows, by)
        records = self._sign(record_table, rows, by, why)
        if len(records):
            self._register()
            self._append(record_table, records, by, why)
        return records

    def append_once(self, record_table: str, rows: Sequence[Mapping] | Mapping, key: str, *, by: str, why: str) -> pd.DataFrame:
        """Add people's records that no cycle of the store holds yet, told by one column; whoever adds the same at once, each is kept once.

        Parameters
        ----------
        record_table, rows, by, why
            As :meth:`append`.
        key : str
            Column whose value a record has alone in the whole store.

        Returns
        -------
        DataFrame
            The records that were added: none where all were there.

        Raises
        ------
        DataError, RoleError, CycleLockedError
            As :meth:`append`.
        """
        self._refuse_to_append(record_table, rows, by)
        said = [rows] if isinstance(rows, Mapping) else list(rows)
        counted = f"{record_table}/once"
        for attempt in range(_ATTEMPTS):
            delta = self.store.open_delta(record_table)
            number = 0 if delta is None else delta.transaction_version(counted) or 0
            held = set(self.store.read_all(record_table)[key])
            fresh = list({row[key]: row for row in reversed(said) if row[key] not in held}.values())[::-1]
            if not fresh:
                return tables.table(record_table).empty()
            records = self._sign(record_table, fresh, by, why)
            self._register()
            with suppress(StoreConflictError):  # somebody else added meanwhile: look again at what is there
                self._append(record_table, records, by, why, Transaction(counted, number + 1))
                return records
            _wait(attempt)
        raise StoreConflictError(f"{record_table} of cycle {self.id} could not be appended to: the store is too busy. Try again")

    def _refuse_to_append(self, record_table: str, rows: pd.DataFrame | Sequence[Mapping] | Mapping, by: str) -> None:
        """Refuse a table that holds no people's records, a person who may not, a cycle that is locked."""
        if tables.table(record_table).group != "record" or record_table == "approval":
            remedy = "use lock or unlock" if record_table == "approval" else "use write"
            raise SopError(f"{record_table} is not a table that people's records are appended to; {remedy}")
        signed = None if (record_table, by) == ("outcome", roles.WORKBENCH) else by  # computed from actuals, not said by anybody
        self.store.require_role(self._role_to_append(record_table, rows), f"add to {record_table} of cycle {self.id}", signed)
        self._refuse_when_locked()

    def copy_from(self, other: Cycle, names: Sequence[str]) -> None:
        """Take over tables of another cycle as they stand there (records with their numbers and signatures); base scenario.

        Raises
        ------
        RoleError, CycleLockedError, StoreConflictError
            As :meth:`write`.
        """
        frames = {name: other.read(name) for name in names if other.has(name)}
        self.write_all({name: rows for name, rows in frames.items() if tables.table(name).group != "record"},
                       note=f"copied from cycle {other.id} of {other.store.url}")
        for name, rows in frames.items():
            if tables.table(name).group == "record" and len(rows):
                self._append(name, rows, roles.current_user(), f"copied from cycle {other.id}")

    def records(self, table: str) -> pd.DataFrame:
        """All records of the cycle, oldest first; empty when nobody said anything yet."""
        if tables.table(table).group != "record":
            raise SopError(f"{table} is not a table of people's records; use read")
        return self.read(table)

    def history(self, table: str) -> pd.DataFrame:
        """Every commit to this cycle's table, newest first: version, at, user, note, code_version, cycle_id, scenario_id."""
        commits = self.store.history(table)
        return commits[commits["cycle_id"] == self.id].reset_index(drop=True)

    @property
    def is_locked(self) -> bool:
        """Tell whether the cycle is approved and closed for writing."""
        return self._approvals() % 2 == 1

    def lock(self, *, by: str, why: str, seal: str = "", writes: Mapping[str, int] | None = None) -> None:
        """Approve and close the cycle, pinning the version of every table.

        Who writes at the same moment is either in the plan that is approved, or is told that the cycle was locked.

        Parameters
        ----------
        seal : str
            Hash of the evidence kept beside the approval.
        writes : mapping, optional
            :meth:`writes` as they were when the plan was judged; the lock is refused when anything was written since.

        Raises
        ------
        RoleError
            When the person at work is no approver.
        StoreConflictError
            When something was written since `writes` were counted, or another process locks the cycle.
        CycleLockedError
            When it is locked already.
        UnknownCycleError
            When nothing was written to it.
        """
        self.store.require_role("approver", f"lock cycle {self.id}", by)
        count = self._approvals()
        self._refuse_when_locked()
        if self.id not in self.store.cycles():
            raise UnknownCycleError(f"cycle {self.id} is empty and cannot be locked; cycles are {', '.join(self.store.cycles()) or 'none'}")
        records = self._sign_approval({"status": "locked", "versions": "", "seal": seal}, by, why)
        self._mark_closing(count + 1)  # from here on a writer waits for the pins before it says that its rows count
        try:
            if writes is not None and self.writes() != writes:
                raise StoreConflictError(
                    f"cycle {self.id} was written by another process while it was being locked; look at it and lock again")
            pins = json.dumps(self.store.versions(), sort_keys=True)
            self._append("approval", records.assign(versions=pins), by, why, Transaction(self.id, count + 1))
        except BaseException:
            if self._approvals() == count:
                self._mark_closing(count)
            raise

    def unlock(self, *, by: str, why: str) -> None:
        """Reopen a locked cycle for a stated reason.

        Raises
        ------
        RoleError
            When the person at work is no approver.
        SopError
            When the cycle is not locked.
        """
        self.store.require_role("approver", f"unlock cycle {self.id}", by)
        count = self._approvals()
        if count % 2 == 0:
            raise SopError(f"cycle {self.id} is not locked; there is nothing to unlock")
        signed = self._sign_approval({"status": "unlocked", "versions": ""}, by, why)
        self._append("approval", signed, by, why, Transaction(self.id, count + 1))

    def writes(self) -> dict[str, int]:
        """How often each table of the cycle was written, by `table/scenario` (records: how many there are)."""
        found: dict[str, int] = {}
        for name, declared in tables.all_tables().items():
            delta = None if name == "approval" else self.open_delta(name)
            if delta is None:
                continue
            scenarios = {BASE, *(p["scenario_id"] for p in delta.partitions() if declared.group == "result" and p["cycle_id"] == self.id)}
            for scenario in scenarios:
                count = self.version(name, scenario)
                if count is not None:
                    found[f"{name}/{scenario}"] = count
        return found

    def file_hashes(self, table: str) -> dict[str, str]:
        """SHA-256 of every file that holds rows of the table for this cycle, at its pinned version; `missing` where one is gone."""
        delta = self.open_delta(table)
        if delta is None:
            return {}
        dataset = delta.to_pyarrow_dataset()
        own = [path for path in dataset.files if unquote(path).startswith(f"cycle_id={self.id}/")]
        return {path: _hash_of(dataset.filesystem, path) for path in sorted(own)}

    def pins(self) -> dict[str, int] | None:
        """Version of every Delta table that the approval pins; None while the cycle is open."""
        return self._pins()

    def open_delta(self, table: str) -> DeltaTable | None:
        """The Delta table this cycle reads: at its pinned version when locked, else the newest."""
        pins = None if table == "approval" else self._pins()
        if pins is None:
            return self.store.open_delta(table)
        return self.store.open_delta(table, pins[table]) if table in pins else None

    def _pins(self) -> dict[str, int] | None:
        if not self.is_locked:
            return None
        approvals = self.records("approval")
        return json.loads(approvals.loc[approvals["status"] == "locked", "versions"].iloc[-1])

    def _name(self, scenario: str) -> str:
        """The name under which Delta counts the writes of a partition."""
        return f"{self.id}/{scenario}"

    def _partition(self, declared: tables.Table, scenario: str) -> dict[str, str]:
        return {"cycle_id": self.id, **({"scenario_id": scenario} if declared.group == "result" else {})}

    def _filters(self, declared: tables.Table, scenario: str) -> list[tuple[str, str, Any]]:
        return [(column, "=", value) for column, value in self._partition(declared, scenario).items()]

    def _unknown(self, table: str, scenario: str, delta: DeltaTable | None) -> str:
        text = f"{table} was never written for cycle {self.id}, scenario {scenario}"
        if scenario != BASE and tables.table(table).group != "result":
            return text + "; inputs belong to the cycle: read them for base and apply the scenario's levers"
        there = [] if delta is None else sorted(" ".join(p[c] for c in sorted(p)) for p in delta.partitions())
        shown = ", ".join(there[-_PARTITIONS_SHOWN:]) or "nothing"
        return f"{text}; the store has {shown}. Run the step that writes {table}, or correct the name"

    def _refuse_when_locked(self) -> None:
        if self.is_locked:
            last = self.records("approval").iloc[-1]
            raise CycleLockedError(
                f"cycle {self.id} was locked by {last['by']} on {last['at']:%Y-%m-%d} ({last['why']}) and never changes; "
                "plan in the next cycle, or unlock it with a reason"
            )

    def _refuse_wrong_group(self, table: str, scenario: str) -> None:
        group = tables.table(table).group
        if group == "record":
            raise SopError(f"{table} holds people's records: append to it with who and why")
        if group != "result" and scenario != BASE:
            raise SopError(f"{table} is an input and belongs to the cycle, not to scenario {scenario}; express the change as levers")
        if not scenario.strip():
            raise SopError("a scenario needs a name")

    def _prepare(self, name: str, frame: pd.DataFrame, scenario: str) -> tuple[pa.Table, pd.DataFrame]:
        declared = tables.table(name)
        conformed, issues = tables.conform(name, frame)
        if len(issues):
            return pa.table({}), issues
        delta = self.store.open_delta(name)
        rows, findings = _to_arrow(declared, conformed, self._partition(declared, scenario), _schema_of(delta))
        return rows, tables.issue_frame(findings)

    def _register(self) -> None:
        register = self.store.open_or_create_delta(_REGISTER, _REGISTER_SCHEMA, [])
        if register.transaction_version(self.id) is None:
            row = pa.table({"cycle_id": [self.id], "at": [_now().to_pydatetime()], "user": [roles.current_user()]}, schema=_REGISTER_SCHEMA)
            once = CommitProperties(app_transactions=[Transaction(self.id, 1)])
            with suppress(CommitFailedError):  # another process registers the cycle at this moment
                write_deltalake(register, row, mode="append", commit_properties=once)

    def _replace(self, name: str, rows: pa.Table, scenario: str, note: str) -> None:
        """Replace one partition; a clash over another partition or a new column is tried again, one over our own is told."""
        partition = self._partition(tables.table(name), scenario)
        predicate = " AND ".join(f"{column} = '{_quoted(value)}'" for column, value in partition.items())
        counted = self._name(scenario)
        for attempt in range(_ATTEMPTS):
            delta = self.store.open_or_create_delta(name, rows.schema, list(partition))
            before = delta.transaction_version(counted) or 0
            commit = _commit_properties(note, self.id, scenario, [Transaction(counted, before + 1)])
            try:
                write_deltalake(delta, rows, mode="overwrite", predicate=predicate, schema_mode="merge", commit_properties=commit)
            except CommitFailedError as fault:
                self._refuse_lost_race(name, scenario, before, fault)
                _wait(attempt)
            else:
                self._refuse_unpinned(name, delta.version())
                return
        raise StoreConflictError(f"{name} of cycle {self.id} could not be written: the store is too busy. Run the step again")

    def _refuse_lost_race(self, name: str, scenario: str, before: int, fault: CommitFailedError) -> None:
        now = self.store.open_delta(name)
        if now is None or (now.transaction_version(self._name(scenario)) or 0) != before:
            raise StoreConflictError(
                f"another process wrote {name} of cycle {self.id}, scenario {scenario} at the same moment; "
                "its rows stand and yours were not written. Run the step again"
            ) from fault

    def _refuse_unpinned(self, name: str, version: int) -> None:
        """Tell a writer whose rows came after the pins of a lock that was made meanwhile."""
        self._wait_for_pins()
        pins = self._pins()
        if pins is not None and pins.get(name, -1) < version:
            last = self.records("approval").iloc[-1]
            raise CycleLockedError(
                f"cycle {self.id} was locked by {last['by']} ({last['why']}) while {name} was being written; "
                "your rows are not part of the approved plan. Plan in the next cycle, or unlock it with a reason and write again"
            )

    def _wait_for_pins(self) -> None:
        """Wait while another process locks the cycle; one that was killed in the act is set aside."""
        end = time.monotonic() + _CLOSING_SECONDS
        while True:
            approvals = self.store.open_delta("approval")
            done = 0 if approvals is None else approvals.transaction_version(self.id) or 0
            if approvals is None or (approvals.transaction_version(self._closing) or 0) <= done:
                return
            if time.monotonic() > end:
                self._mark_closing(done)
            else:
                _wait(0)

    def _sign(
        self, table: str, rows: pd.DataFrame | Sequence[Mapping] | Mapping, by: str, why: str, after: pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """The rows with number, who, when and why; `after` keeps the order where clocks differ."""
        frame = pd.DataFrame([rows] if isinstance(rows, Mapping) else rows).reset_index(drop=True)
        findings = [
            tables.finding("missing_reason", "blocks", table, "", len(frame), "", f"say {word} ({argument}=)")
            for word, argument, value in [("who", "by", by), ("why", "why", why)]
            if not value or not value.strip()
        ]
        own = [column for column in tables.RECORD_COLUMNS if column in frame.columns]
        if own:
            remedy = f"leave out {', '.join(own)}: the store writes them"
            findings.append(tables.finding("reserved_column", "blocks", table, "", len(frame), ", ".join(own), remedy))
        if findings:
            raise DataError(tables.issue_frame(findings))
        at = _now() if after is None else max(_now(), after + pd.Timedelta(microseconds=1))
        stem, tail = f"{at:%Y%m%dT%H%M%S%f}", secrets.token_hex(4)
        numbers = [f"{stem}-{tail}-{number:05d}" for number in range(len(frame))]
        signed = frame.assign(record_id=pd.Series(numbers, dtype=object), by=by.strip(), at=at, why=why.strip())
        return tables.validate(table, signed)

    def _role_to_append(self, table: str, rows: pd.DataFrame | Sequence[Mapping] | Mapping) -> roles.Role:
        """Approving a step takes an approver or the step's own user, every other record a planner."""
        said = pd.DataFrame([rows] if isinstance(rows, Mapping) else rows)
        if table != "step_status" or "status" not in said:
            return "planner"
        steps = said.loc[said["status"] == "approved", "step"]
        declared = {} if self.store.settings is None else self.store.settings.steps
        owned = [declared.get(step) or declared.get(step.partition("_")[2]) for step in steps]
        is_own = all(one is not None and one.user == roles.current_user() for one in owned)
        return "planner" if is_own else "approver"

    def _append(self, table: str, records: pd.DataFrame, by: str, why: str, number: Transaction | None = None) -> None:
        """Append rows in one commit; a clash is tried again. `number` is what these rows, of all that are counted by its name, must get.

        Approvals are counted by their cycle: the odd ones lock it.
        """
        declared = tables.table(table)
        is_lock = table == "approval" and number is not None and number.version % 2 == 1
        counted = None if number is None else [number, *([Transaction(self._closing, number.version)] if is_lock else [])]
        for attempt in range(_ATTEMPTS):
            delta = self.store.open_delta(table)
            rows, findings = _to_arrow(declared, records, {"cycle_id": self.id}, _schema_of(delta))
            if findings:
                raise DataError(tables.issue_frame(findings))
            delta = delta or self.store.open_or_create_delta(table, rows.schema, ["cycle_id"])
            if number is not None and self._is_taken(delta, number, is_lock):
                words = "locked or unlocked" if table == "approval" else f"given other records of {table}"
                raise StoreConflictError(f"cycle {self.id} was {words} by another process at the same moment; look again")
            commit = _commit_properties(why.strip(), self.id, BASE, counted, by.strip())
            try:
                write_deltalake(delta, rows, mode="append", schema_mode="merge", commit_properties=commit)
            except CommitFailedError:
                _wait(attempt)
                continue
            if table != "approval":
                self._refuse_unpinned(table, delta.version())
            return
        raise StoreConflictError(f"{table} of cycle {self.id} could not be appended to: the store is too busy. Try again")

    def _is_taken(self, delta: DeltaTable, number: Transaction, is_lock: bool) -> bool:
        """Tell whether another process took the number, or set aside the lock that announced it."""
        is_set_aside = is_lock and (delta.transaction_version(self._closing) or 0) != number.version
        return is_set_aside or (delta.transaction_version(number.app_id) or 0) != number.version - 1

    def _sign_approval(self, row: Mapping[str, str], by: str, why: str) -> pd.DataFrame:
        """An approval of the cycle, later than those before it: the first locks, the second opens again, and so on."""
        earlier = self.records("approval")
        return self._sign("approval", row, by, why, earlier["at"].max() if len(earlier) else None)

    @property
    def _closing(self) -> str:
        """The name under which Delta keeps the number of the lock that is being made."""
        return f"{self.id}/closing"

    def _mark_closing(self, number: int) -> None:
        """Announce lock `number`, before its pins are read (with the number of approvals there are: take it back)."""
        declared = tables.table("approval")
        none, _ = _to_arrow(declared, declared.empty(), {"cycle_id": self.id}, None)
        mark = CommitProperties(app_transactions=[Transaction(self._closing, number)])
        for attempt in range(_ATTEMPTS):
            delta = self.store.open_or_create_delta("approval", none.schema, ["cycle_id"])
            with suppress(CommitFailedError):
                write_deltalake(delta, none, mode="append", schema_mode="merge", commit_properties=mark)
                return
            _wait(attempt)
        raise StoreConflictError(f"cycle {self.id} is being locked or unlocked by another process; look again")

    def _approvals(self) -> int:
        """How often the cycle was locked or unlocked."""
        approvals = self.store.open_delta("approval")
        return 0 if approvals is None else approvals.transaction_version(self.id) or 0


def _to_arrow(
    declared: tables.Table, frame: pd.DataFrame, partition: Mapping[str, str], schema: pa.Schema | None
) -> tuple[pa.Table, list[dict]]:
    """Partition columns and the frame in storable types, with findings about columns that cannot be stored."""
    columns, findings = {c: pa.array([v] * len(frame), pa.string()) for c, v in partition.items()}, []
    for name in frame.columns:
        wanted = _ARROW_TYPES[declared.columns[name].type] if name in declared.columns else _stored_type(schema, name)
        try:
            if name in partition:
                raise pa.ArrowInvalid("the store writes this column itself")
            columns[str(name)] = _column(frame[name], wanted)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as fault:
            remedy = f"rename the column, or bring its values into the type it has in the store ({wanted or 'one type'})"
            reason = f"{name}: {_first_line(fault)}"
            findings.append(tables.finding("column_not_storable", "blocks", declared.name, "", len(frame), reason, remedy))
    return (pa.table({}), findings) if findings else (pa.table(columns), [])


def _column(series: pd.Series, wanted: pa.DataType | None) -> pa.Array:
    """A column as Delta can hold it; without a wanted type the nearest of text, yes/no, whole number, number, time."""
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        series = series.dt.floor("us")
    found = pa.array(series, wanted, from_pandas=True) if wanted is not None else pa.array(series, from_pandas=True)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    if wanted is not None or found.type in _ARROW_TYPES.values():
        return found
    return found.cast(_nearest(found.type))


def _nearest(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind) or pa.types.is_dictionary(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None):
        return pa.timestamp("us")
    raise pa.ArrowInvalid(f"values of type {kind} cannot be kept")


def _stored_type(schema: pa.Schema | None, name: str) -> pa.DataType | None:
    return schema.field(name).type if schema is not None and name in schema.names else None


def _schema_of(delta: DeltaTable | None) -> pa.Schema | None:
    return None if delta is None else pa.schema(delta.schema().to_arrow())


def _arrow(delta: DeltaTable, filters: list | None = None, columns: list[str] | None = None) -> pa.Table:
    return delta.to_pyarrow_table(filters=filters, columns=columns)


def _to_frame(declared: tables.Table, found: pa.Table, front: list[str]) -> pd.DataFrame:
    """Rows as pandas, sorted by key: declared columns in their declared types, then extras that hold anything here."""
    keys = [c for c in [*front, *declared.key] if c in found.column_names]
    extras = [c for c in found.column_names if c not in declared.columns and c not in ("cycle_id", "scenario_id")]
    extras = [c for c in extras if found.column(c).null_count < found.num_rows]
    present = [c for c in declared.columns if c in found.column_names]
    found = found.select([*front, *present, *extras]).sort_by([(c, "ascending") for c in keys])
    frame = found.to_pandas(coerce_temporal_nanoseconds=True, date_as_object=False)
    flags = [c.name for c in declared.columns.values() if c.type == "boolean" and c.name in present]
    if len(present) < len(declared.columns) or any(found.column(c).null_count for c in flags) or frame.empty:
        # a column that was declared after these rows were written takes its default
        own = tables.conform(declared.name, frame[[*present, *extras]])[0]
        frame = pd.concat([frame[front], own], axis=1)
    return frame


def _content_hash(frame: pd.DataFrame) -> bytes:
    head = ",".join(f"{name}:{kind}" for name, kind in frame.dtypes.items()).encode()
    return head + pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()


def _hash_of(files: Any, path: str) -> str:
    try:
        with files.open_input_file(path) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return "missing"


def _commit_properties(
    note: str, cycle_id: str, scenario: str, transactions: list[Transaction] | None, user: str = ""
) -> CommitProperties:
    told = {"note": note, "user": user or roles.current_user(), "code_version": __version__, "cycle_id": cycle_id, "scenario_id": scenario}
    return CommitProperties(custom_metadata=told, app_transactions=transactions)


def _now() -> pd.Timestamp:
    return pd.Timestamp.now("UTC").tz_localize(None).floor("us")


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0.01, 0.05) * (1 + attempt))


def _quoted(value: str) -> str:
    return value.replace("'", "''")


def _first_line(fault: Exception) -> str:
    return str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
