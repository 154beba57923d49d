"""Where planning data lives: cycles, scenarios and people's records in Delta Lake tables. The only module that knows.

Each table of `tables.yaml` is one Delta table under the store's address, partitioned by `cycle_id`
(results also by `scenario_id`). A write replaces one partition in one atomic commit that carries note, user and code version.
Records of people are only ever appended. A locked cycle is read at the versions its approval pinned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

BASE = "base"


def open_workspace(folder: Path | str) -> Workspace:
    """Open the workspace in a folder: its settings and its store."""
    raise NotImplementedError


def open_store(url: Path | str, settings: Settings | None = None, folder: Path | str | None = None) -> Store:
    """Open a store by folder or object-store address (`s3://…`, `abfss://…`, `gs://…`)."""
    raise NotImplementedError


@dataclass(frozen=True)
class Workspace:
    """A company's folder: settings, sources and binder, with its store."""

    folder: Path
    settings: Settings
    store: Store

    def cycle(self, cycle_id: str) -> Cycle:
        """One cycle of this workspace (it need not have been written yet)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Store:
    """All cycles of a company."""

    url: str
    settings: Settings | None = None
    folder: Path | None = None

    def cycles(self) -> list[str]:
        """Names of the cycles that anything was written to, oldest first."""
        raise NotImplementedError

    def locked_cycles(self) -> list[str]:
        """Names of the locked cycles, oldest first."""
        raise NotImplementedError

    def cycle(self, cycle_id: str) -> Cycle:
        """One cycle (it need not have been written yet)."""
        raise NotImplementedError

    def read_all(self, table: str) -> pd.DataFrame:
        """The table over all cycles and scenarios, with the columns `cycle_id` and `scenario_id` in front."""
        raise NotImplementedError

    def history(self, table: str) -> pd.DataFrame:
        """Every commit of a table, newest first: version, at, user, note, code_version, cycle_id, scenario_id."""
        raise NotImplementedError


@dataclass(frozen=True)
class Cycle:
    """One month's round: its inputs, results per scenario, people's records and approval."""

    id: str
    store: Store

    @property
    def settings(self) -> Settings:
        """Settings of the workspace."""
        raise NotImplementedError

    @property
    def calendar(self) -> Calendar:
        """Planning calendar of the workspace."""
        raise NotImplementedError

    @property
    def period(self) -> pd.Timestamp:
        """First planned period."""
        raise NotImplementedError

    @property
    def periods(self) -> pd.DatetimeIndex:
        """The planned periods (the horizon)."""
        raise NotImplementedError

    @property
    def as_of(self) -> pd.Timestamp:
        """Last day whose facts the cycle may know."""
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        """The binder `cycles/<id>` of the workspace; made when first asked for."""
        raise NotImplementedError

    def read(self, table: str, scenario: str = BASE) -> pd.DataFrame:
        """The table as last written, or as pinned when the cycle is locked."""
        raise NotImplementedError

    def has(self, table: str, scenario: str = BASE) -> bool:
        """Was the table written for this cycle and scenario (even if empty)?"""
        raise NotImplementedError

    def version(self, table: str, scenario: str = BASE) -> int | None:
        """How many times the table was written here (records: how many there are); None when never."""
        raise NotImplementedError

    def fingerprint(self, names: Sequence[str], scenario: str = BASE) -> str:
        """Hash of the content of some tables: equal content gives an equal hash, whenever it was written."""
        raise NotImplementedError

    def scenarios(self, table: str = "supply_plan") -> list[str]:
        """Names of the scenarios for which a table was written, base first."""
        raise NotImplementedError

    def inputs(self) -> dict[str, pd.DataFrame]:
        """All input tables as data gathering wrote them."""
        raise NotImplementedError

    def write(self, table: str, frame: pd.DataFrame, scenario: str = BASE, note: str = "") -> None:
        """Replace the table of this cycle and scenario in one atomic commit."""
        raise NotImplementedError

    def write_all(self, frames: Mapping[str, pd.DataFrame], scenario: str = BASE, note: str = "") -> None:
        """Check every frame first, then write them all: bad data leaves nothing half written."""
        raise NotImplementedError

    def append(self, record_table: str, rows: pd.DataFrame | Sequence[Mapping] | Mapping, *, by: str, why: str) -> pd.DataFrame:
        """Add people's records, with who and why; the store numbers and dates them. Returns them as stored."""
        raise NotImplementedError

    def records(self, table: str) -> pd.DataFrame:
        """All records of the cycle, oldest first; empty when nobody said anything yet."""
        raise NotImplementedError

    def history(self, table: str) -> pd.DataFrame:
        """Every commit to this cycle's table, newest first: version, at, user, note, code_version, cycle_id, scenario_id."""
        raise NotImplementedError

    @property
    def is_locked(self) -> bool:
        """Is the cycle approved and closed for writing?"""
        raise NotImplementedError

    def lock(self, *, by: str, why: str) -> None:
        """Approve and close the cycle, pinning the version of every table."""
        raise NotImplementedError

    def unlock(self, *, by: str, why: str) -> None:
        """Reopen a locked cycle for a stated reason."""
        raise NotImplementedError
