"""Hand the approved plan to the company's own systems: a database, a folder of CSV files or a workbook.

Publishing is idempotent: a cycle that is published again replaces its own copy and leaves every other cycle's alone. In a database the
rows of the cycle are deleted and written in one transaction; files are written beside their place and moved there when they are whole.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from sop_workbench import tables
from sop_workbench.errors import SopError
from sop_workbench.store import Cycle

PUBLISHED = ("consensus_demand", "supply_plan", "resource_plan", "purchase_plan", "shipment_plan", "inventory_projection", "unmet_demand",
             "financial_projection")
CYCLE = "plan_cycle_id"
_TYPES: dict[str, Callable[[], sa.types.TypeEngine]] = {
    "text": sa.Text, "number": lambda: sa.Float(53), "integer": sa.BigInteger, "date": sa.DateTime, "boolean": sa.Boolean}
_SHEET_LENGTH = 31


def publish(cycle: Cycle, target: str) -> list[str]:
    """Publish the approved plan of a cycle to a database, a folder or a workbook.

    Parameters
    ----------
    cycle : Cycle
        A locked cycle.
    target : str
        Address of a database (`postgresql+psycopg://user@server/name`), a path ending in `.xlsx`, or a folder for CSV files.

    Returns
    -------
    list of str
        What was written, a line for each table.

    Raises
    ------
    RoleError
        When the person at work may only read.
    SopError
        When the cycle is not locked: a plan that nobody approved is not published; or the target cannot be written.
    """
    cycle.store.require_role("planner", f"publish cycle {cycle.id}")
    if not cycle.is_locked:
        raise SopError(f"cycle {cycle.id} is not approved; lock it first: only an approved plan is published")
    frames = {f"plan_{name}": plan_rows(cycle, name) for name in PUBLISHED}
    if "://" in target:
        to_database(frames, cycle.id, target)
    elif target.lower().endswith(".xlsx"):
        to_workbook(frames, Path(target))
    else:
        to_folder(frames, cycle.id, Path(target))
    return [f"{name}: {len(frame):,} rows" for name, frame in frames.items()]


def plan_rows(cycle: Cycle, name: str) -> pd.DataFrame:
    """Rows of a result table with the cycle they belong to in front."""
    frame = cycle.read(name)
    return frame[list(tables.table(name).columns)].assign(**{CYCLE: cycle.id})[[CYCLE, *tables.table(name).columns]]


def to_database(frames: dict[str, pd.DataFrame], cycle_id: str, url: str) -> None:
    """Replace the cycle's rows in a database in one transaction; tables that are missing are made with their keys.

    Raises
    ------
    SopError
        When the database refuses; nothing of this publication is kept then.
    """
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            for name, frame in frames.items():
                made = _database_table(name)
                made.create(connection, checkfirst=True)
                connection.execute(made.delete().where(made.c[CYCLE] == cycle_id))
                if len(frame):
                    connection.execute(made.insert(), _records(frame))
    except sa.exc.SQLAlchemyError as fault:
        reason = str(getattr(fault, "orig", None) or fault).strip().splitlines()[0]
        raise SopError(f"the plan could not be published to {engine.url.render_as_string(hide_password=True)}: {reason}") from None
    finally:
        engine.dispose()


def _database_table(name: str) -> sa.Table:
    declared = tables.table(name.removeprefix("plan_"))
    columns = [sa.Column(CYCLE, sa.Text, primary_key=True)]
    columns += [sa.Column(c.name, _TYPES[c.type](), primary_key=c.name in declared.key, autoincrement=False)
                for c in declared.columns.values()]
    return sa.Table(name, sa.MetaData(), *columns)


def _records(frame: pd.DataFrame) -> list[dict]:
    """Rows as the driver takes them: what is empty is NULL, never NaN."""
    plain = frame.astype(object).where(frame.notna(), None)
    return plain.to_dict("records")


def to_folder(frames: dict[str, pd.DataFrame], cycle_id: str, folder: Path) -> None:
    """Write a CSV file for each table; each holds every cycle published, the newest copy of this one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        path = folder / f"{name}.csv"
        kept = pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else pd.DataFrame()
        text = frame.assign(**{c: frame[c].dt.strftime("%Y-%m-%d") for c in frame.select_dtypes("datetime")})
        others = kept[kept[CYCLE] != cycle_id] if len(kept) else kept
        _replace(path, partial(_write_csv, others=others, mine=text))


def _write_csv(part: Path, others: pd.DataFrame, mine: pd.DataFrame) -> None:
    """Rows of other cycles as they stand in the file, then the cycle's own."""
    with part.open("w", encoding="utf-8", newline="") as file:
        others.to_csv(file, index=False, header=len(others) > 0)
        mine.to_csv(file, index=False, header=not len(others))


def to_workbook(frames: dict[str, pd.DataFrame], path: Path) -> None:
    """Write one workbook with a sheet for each table; a workbook holds one cycle."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(part: Path) -> None:
        with pd.ExcelWriter(part, engine="xlsxwriter", datetime_format="yyyy-mm-dd") as book:
            for name, frame in frames.items():
                frame.to_excel(book, sheet_name=name[:_SHEET_LENGTH], index=False)
                book.sheets[name[:_SHEET_LENGTH]].freeze_panes(1, 0)

    _replace(path, write)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside its place and move it there when it is whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        part.chmod(0o644)
        part.replace(path)
    except OSError as fault:
        raise SopError(f"{path} could not be written: {fault.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
