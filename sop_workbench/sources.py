r"""Read a company's own data into the input tables: SQL over files by DuckDB, or over its database by SQLAlchemy.

One `<sql folder>/<table>.sql` per table says how the company's extract becomes the table. A table
without one is read whole from the file (or database table) of its own name.

**What a query sees.** Over files, every CSV, TSV, TXT, Parquet, XLSX or XLSM file of `sources.folder` (and of its
direct sub-folders) is a view named by the file's stem; a workbook of several sheets gives one view
`<stem>_<sheet>` for each (just `<stem>` for a sheet of the file's own name, as in the templates). Files that no query names are not read.

**What queries share.** Over files, `<sql folder>/_<name>.sql` is a query for other queries: who names `_<name>` reads its rows, worked
out once. It sees what every query sees. In a database that is a view, made there.

**Parameters**, on both engines, bound only where a query mentions them:

============== ======= ==============================================================================
`:as_of`       date    last day whose facts the cycle may know (`OrderDate < :as_of + 1` for times)
`:shift_days`  integer days by which periods run ahead of the calendar
`:horizon_end` date    first day of the last planned period
============== ======= ==============================================================================

DuckDB also knows `period_of(date)`: first day of the period that holds the date.

**Types of a CSV column.** Ids stay as written: a column that `tables.yaml` declares as text is text, and so is
any column that holds a leading zero (`007`). Another column is a whole number, a number, a date
(`2026-10-31`, with or without time) or true/false only when *every* value of the file is; else text.
One wrong value therefore never disappears: it reaches the table as text and is reported with its row.

**Files without header, or in another form**: `<sql folder>/columns.yaml`, file stem → :class:`FileFormat`::

    SalesOrderDetail: {delimiter: "\t", quote: "", columns: [SalesOrderID, SalesOrderDetailID, OrderQty]}

A file whose first line already holds these names is read by its own header, so one mapping serves both layouts.

**After reading**, each table is conformed to its declaration; quantities with a `unit` column are brought
into the item's base unit, money with a `currency` column into the reporting currency, and both columns
then say so. What cannot be converted, and a period that does not begin a bucket, is a finding.

Memory is bounded by `sources.memory_limit_mb`: DuckDB spills to a temporary folder beyond it, and a table whose
rows would not fit is refused with the advice to aggregate in its query. A file of any size may stand behind a query.
"""

from __future__ import annotations

import codecs
import csv
import datetime
import decimal
import difflib
import re
import tempfile
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
import yaml
from pydantic import Field, ValidationError

from sop_workbench import tables
from sop_workbench.errors import SettingsError
from sop_workbench.settings import Section, Settings, expand_variables

if TYPE_CHECKING:
    from openpyxl import Workbook

FORMATS_FILE = "columns.yaml"
_SHARED = "_"  # the first letter of a query for other queries

_TEXT_FILES = (".csv", ".tsv", ".txt")
_WORKBOOKS = (".xlsx", ".xlsm")
_SUFFIXES = (*_TEXT_FILES, ".parquet", *_WORKBOOKS)
_DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 1 << 22
_BATCH_ROWS = 50_000
_SAMPLE_ROWS = 10_000
_BYTES_PER_CELL = 80  # measured: 73 at the peak of reading, conforming, checking and sorting 4 million rows
_LARGEST_WORKBOOK = 64 << 20
_UNUSUAL_DATES = (pd.Timestamp.min + pd.Timedelta(days=1), pd.Timestamp.max - pd.Timedelta(days=1))
_MANUFACTURING = ("resource", "capacity", "production", "routing", "bill_of_material")
# The day of a row by which a rate table is read, the first that a table has.
_RATE_DAYS = ("period", "valid_from", "close_period", "from_period")
_MAY_BE_EMPTY = ("open_supply",)
_TOKEN = re.compile(
    r"""(?P<other>'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | ::)
        | :(?P<name>[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)
# What a text column must hold, in every row, to be taken for the type: tried in this order.
_TYPE_RULES = {
    "BIGINT": r"regexp_full_match({c}, '-?(0|[1-9]\d{{0,17}})')",
    "DOUBLE": r"regexp_full_match({n}, '-?(0|[1-9]\d{{0,14}})(\.\d*)?([eE][+-]\d+)?|-?\.\d+')",
    "DATE": r"regexp_full_match({c}, '\d{{4}}-\d\d-\d\d') and try_cast({c} as date) is not null",
    "TIMESTAMP": r"regexp_full_match({c}, '\d{{4}}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?') and try_cast({c} as timestamp) is not null",
    "BOOLEAN": "lower({c}) in ('true', 'false')",
}


class FileFormat(Section):
    """How one CSV-like file is written, where it is not a comma-separated file with a header.

    `columns` names the columns of a file without header; `delimiter` may have up to four characters; `quote` is
    the quotation mark (empty: none); `row_end` is text to drop at the end of each row; `text` names columns to
    keep as written; `decimal` is the decimal separator; `encoding` overrides `sources.encoding`.
    """

    columns: tuple[str, ...] = ()
    delimiter: str | None = Field(default=None, min_length=1, max_length=4)
    quote: str = Field(default='"', max_length=1)
    row_end: str = ""
    encoding: str | None = None
    decimal: str = Field(default=".", pattern="^[.,]$")
    text: tuple[str, ...] = ()


class _Refused(Exception):
    """A source or table could not be read; carries the findings that say why."""

    def __init__(self, *findings: dict) -> None:
        self.findings = list(findings)
        super().__init__(str(self.findings))


def load_inputs(settings: Settings, workspace: Path | str, as_of: pd.Timestamp) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Load every input table from the company's sources, with all findings at once.

    Parameters
    ----------
    settings : Settings
        Sources, units, exchange rates and calendar.
    workspace : Path
        Folder that `sources.folder` and `sources.sql` are relative to.
    as_of : Timestamp
        Last day whose facts may be known.

    Returns
    -------
    (dict of DataFrame, DataFrame)
        Every input table by name, conformed and sorted by key, empty where it could not be read or an
        optional one is absent; and the findings as rows of the `issue` table.

    Raises
    ------
    SettingsError
        When an environment variable of the settings is not set, or `columns.yaml` is wrong.
    """
    loaded, issues = _load(tables.names("input"), settings, Path(workspace), as_of)
    unknown = _unknown_queries(Path(workspace) / expand_variables(settings.sources.sql))
    return loaded, pd.concat([issues, unknown], ignore_index=True) if len(unknown) else issues


def load_documents(settings: Settings, workspace: Path | str, as_of: pd.Timestamp) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Load the booked documents (orders, receipts …) that the company's sources have; the others are left out.

    Same parameters, findings and order of rows as :func:`load_inputs`, but nothing is converted: the
    checks judge documents as they were booked.
    """
    return _load(tables.names("document"), settings, Path(workspace), as_of)


# ------------------------------------------------------------------ one table after the other


def _load(names: list[str], settings: Settings, workspace: Path, as_of: pd.Timestamp) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The tables that could be read, empty inputs for the others, and every finding."""
    read: dict[str, pd.DataFrame] = {}
    refused: list[dict] = []
    found: list[dict] = []
    try:
        with _opened(settings, workspace, _parameters(settings, as_of)) as source:
            for declared in map(tables.table, names):
                raw = _read(source, declared, refused)
                if raw is not None:
                    read[declared.name], issues = _finished(declared, raw, settings, read.get("item"))
                    found += issues
    except _Refused as whole:
        refused += whole.findings
    found += _empty_tables(read)
    absent = {name: tables.table(name).empty() for name in names if name not in read and tables.table(name).group == "input"}
    loaded = {name: {**absent, **read}[name] for name in names if name in absent or name in read}
    return loaded, tables.issue_frame(_once(refused) + [_weighed(row, settings) for row in found])


def _empty_tables(read: Mapping[str, pd.DataFrame]) -> list[dict]:
    """Tables without which there is nothing to plan; a company that makes nothing, or has no open order, is only warned."""
    makes_nothing = all(name in read and read[name].empty for name in _MANUFACTURING)
    mild = (*_MAY_BE_EMPTY, *(_MANUFACTURING if makes_nothing else ()))
    names = [
        name for name, frame in read.items() if frame.empty and tables.table(name).group == "input" and not tables.table(name).is_optional
    ]
    remedy = "bring the rows of {0}: look at its source file or query"
    return [tables.finding("empty_table", "warns" if n in mild else "blocks", n, "", 0, "", remedy.format(n)) for n in names]


def _read(source: _Files | _Database, declared: tables.Table, refused: list[dict]) -> pd.DataFrame | None:
    """The table as the source has it, or None (with findings where that is a fault)."""
    try:
        query = source.queries.get(declared.name)
        if query is not None or source.holds(declared.name):
            return _frame(source.rows(declared.name, query), declared, source.memory_limit_mb)
        if declared.group == "input" and not declared.is_optional:
            raise _Refused(source.absent(declared.name))
    except _Refused as fault:
        refused += fault.findings
    return None


def _finished(declared: tables.Table, raw: pd.DataFrame, settings: Settings, item: pd.DataFrame | None) -> tuple[pd.DataFrame, list[dict]]:
    """A table conformed, converted and sorted, with what does not fit."""
    frame, issues = tables.conform(declared.name, raw)
    if len(issues):  # a finding shows the first rows: they must not depend on the order in which the source gave them
        frame, issues = tables.conform(declared.name, _sorted(declared, raw))
    findings = issues.to_dict("records")
    frame = _sorted(declared, frame)
    for step in () if declared.group == "document" else (_in_base_units, _in_reporting_currency, _in_buckets):
        frame, more = step(declared, frame, settings, item)
        findings += more
    return frame, findings


def _sorted(declared: tables.Table, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows by key; where keys are double, by everything else too, so that the order never depends on the source."""
    key = [c for c in declared.key if c in frame.columns]
    rest = [c for c in frame.columns if c not in key] if not key or frame.duplicated(key).any() else []
    spelled = frame.assign(**{c: frame[c].astype(str) for c in [*key, *rest] if frame[c].dtype == object})
    return frame.loc[spelled.sort_values(key + rest, kind="stable").index].reset_index(drop=True)


def _weighed(found: dict, settings: Settings) -> dict:
    """A finding about values with the severity of the settings; an unreadable source always keeps its own."""
    chosen = settings.check_severity
    return {**found, "severity": chosen.get(f"{found['rule']}.{found['table']}", chosen.get(found["rule"], found["severity"]))}


def _once(findings: list[dict]) -> list[dict]:
    """Findings without repetition: one unreadable file may stop several queries."""
    return list({tuple(row.values()): row for row in findings}.values())


def _parameters(settings: Settings, as_of: pd.Timestamp) -> dict[str, Any]:
    calendar = settings.calendar
    first = calendar.period_of(pd.Timestamp(as_of) + pd.Timedelta(days=1))
    last = calendar.add(first, settings.horizon - 1)
    return {"as_of": pd.Timestamp(as_of).date(), "shift_days": settings.calendar_shift_days, "horizon_end": last.date()}


def _bound(sql: str, values: Mapping[str, Any], mark: str) -> tuple[str, dict[str, Any]]:
    """The query with `:name` written the engine's way, and the values it mentions; strings, comments and `::` are left alone.

    Examples
    --------
    >>> _bound("select ':as_of' s, d::date -- :as_of", {"as_of": 1}, "$")[1]
    {}
    >>> _bound("where d <= :as_of::date", {"as_of": 1}, "$")
    ('where d <= $as_of::date', {'as_of': 1})
    """
    used: dict[str, Any] = {}

    def written(match: re.Match) -> str:
        name = match["name"]
        if name in values:
            used[name] = values[name]
            return mark + name
        text = match[0]  # SQLAlchemy would take any other colon for a parameter of its own
        return re.sub(r"(?<!:):(?=\w)", r"\:", text) if mark == ":" else text

    return _TOKEN.sub(written, sql), used


# ------------------------------------------------------------------ sources


@contextmanager
def _opened(settings: Settings, workspace: Path, parameters: dict[str, Any]) -> Iterator[_Files | _Database]:
    sources = settings.sources
    queries = _queries(workspace / expand_variables(sources.sql))
    with ExitStack() as stack:
        if sources.url is not None:
            yield stack.enter_context(_database(expand_variables(sources.url), queries, parameters, sources.memory_limit_mb))
        elif sources.folder is not None:
            folder = workspace / expand_variables(sources.folder)
            formats = _formats(workspace / expand_variables(sources.sql) / FORMATS_FILE)
            yield stack.enter_context(_files(folder, formats, queries, parameters, settings))
        else:
            raise SettingsError("sources has neither folder nor url; say in sop.yaml where the data is")


def _queries(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.sql"))}


def _unknown_queries(folder: Path) -> pd.DataFrame:
    """Findings about queries that no table takes: a slip in a file name must not lose a table."""
    declared = [name for name in tables.all_tables() if tables.table(name).group in ("input", "document")]
    findings = []
    for name in sorted(name for name in set(_queries(folder)) - set(declared) if not name.startswith(_SHARED)):
        near = difflib.get_close_matches(name, declared, 1)
        remedy = f"rename it to {near[0]}.sql" if near else "name it after an input table, or remove it"
        findings.append(tables.finding("unknown_query", "warns", "sources", "", 0, f"{name}.sql", remedy))
    return tables.issue_frame(findings)


def _query_text(table: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise _Refused(_not_text(table, path, "utf-8", fault.start, fault.object[: fault.start].count(b"\n") + 1)) from fault


def _formats(path: Path) -> dict[str, FileFormat]:
    """`columns.yaml`, by the stem of the file in lower case."""
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return {str(stem).casefold(): FileFormat.model_validate(given) for stem, given in content.items()}
    except ValidationError as faults:
        lines = [f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults.errors()]
        raise SettingsError("\n".join(lines)) from None
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as fault:
        raise SettingsError(f"{path} must hold `file stem: {{columns: […]}}` lines in UTF-8: {fault}") from fault


def _frame(batches: Generator[pa.RecordBatch], declared: tables.Table, limit_mb: int) -> pd.DataFrame:
    """The rows of a query as pandas, refused as soon as they would not fit."""
    table = declared.name
    kept: list[pa.Table] = []
    rows = 0
    with closing(batches):
        for batch in batches:
            rows += batch.num_rows
            double = sorted({name for name in batch.schema.names if batch.schema.names.count(name) > 1})
            if double:
                raise _Refused(tables.finding("duplicate_column", "blocks", table, "", 0, ", ".join(double), "select each column once"))
            needed_mb = rows * len({*declared.columns, *batch.schema.names}) * _BYTES_PER_CELL >> 20
            if needed_mb > limit_mb:
                remedy = f"aggregate in the query of {table} (one row per key), or raise sources.memory_limit_mb ({limit_mb:,})"
                raise _Refused(tables.finding("too_large", "blocks", table, "", rows, f"more than {rows:,} rows, {needed_mb:,} MB", remedy))
            kept.append(pa.Table.from_batches([batch]))
    merged = pa.concat_tables(kept, promote_options="permissive")
    plain = pa.table({name: _plain(merged.column(name)) for name in merged.column_names})
    return plain.to_pandas(integer_object_nulls=True, date_as_object=False, coerce_temporal_nanoseconds=True)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text, yes/no, numbers and times only; a time no clock of ours can hold (9999-12-31) stays text, to be told."""
    kind = column.type
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = column.cast(pa.timestamp("us"), safe=False)
        known = times.drop_null().to_numpy()
        first, last = (np.datetime64(limit.to_datetime64(), "us") for limit in _UNUSUAL_DATES)
        return times if ((known > first) & (known < last)).all() else times.cast(pa.date32(), safe=False).cast(pa.string())
    is_plain = pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return column if is_plain else column.cast(pa.string())


# ------------------------------------------------------------------ files


@dataclass
class _Files:
    """A folder of files behind an in-memory DuckDB; a file becomes a view when a query first names it."""

    connection: duckdb.DuckDBPyConnection
    folder: Path
    scratch: Path
    queries: dict[str, Path]
    parameters: dict[str, Any]
    formats: dict[str, FileFormat]
    encoding: str
    memory_limit_mb: int
    places: dict[str, list[tuple[Path, str | None]]]
    views: dict[str, list[dict]] = field(default_factory=dict)

    def holds(self, name: str) -> bool:
        """Tell whether there is a file (or sheet) of this name."""
        return name.casefold() in self.places

    def absent(self, table: str) -> dict:
        """The finding about a table that has neither query nor file."""
        remedy = f"put {table}.csv (or .tsv, .parquet, .xlsx) into {self.folder}, or write a query {table}.sql"
        return tables.finding("missing_file", "blocks", table, "", 0, f"{table}.csv", remedy)

    def rows(self, table: str, path: Path | None) -> Generator[pa.RecordBatch]:
        """Rows of a table's query, or of the whole file of its name."""
        if path is None:
            self._make_views(table, [table.casefold()])
            return self._run(table, f'select * from "{table}"', {}, None)
        text = _query_text(table, path)
        self._make_views(table, self._named_in(text))
        sql, used = _bound(text, self.parameters, "$")
        return self._run(table, sql, used, path)

    def _named_in(self, text: str) -> list[str]:
        """Files and shared queries that a query names; of one name the query counts."""
        return [name for name in dict.fromkeys([*self._shared(), *self.places]) if _mentions(text, name)]

    def _shared(self) -> dict[str, Path]:
        return {name.casefold(): path for name, path in self.queries.items() if name.startswith(_SHARED)}

    def _run(self, table: str, sql: str, used: dict[str, Any], path: Path | None) -> Generator[pa.RecordBatch]:
        try:
            if path is not None:
                self._require_one_select(table, sql, path)
            reader = self.connection.execute(sql, used).to_arrow_reader(_BATCH_ROWS)
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)
            yield from reader
        except (duckdb.Error, pa.ArrowException, OSError) as fault:
            raise _Refused(*self._explained(table, sql, path, str(fault))) from fault

    def _require_one_select(self, table: str, sql: str, path: Path) -> None:
        if [s.type for s in self.connection.extract_statements(sql)] != [duckdb.StatementType.SELECT]:
            raise _Refused(_query_finding(table, path, None, "the file must hold exactly one SELECT"))

    def _make_views(self, table: str, names: list[str]) -> None:
        """Make the views a query needs; all their findings at once."""
        for name in names:
            if name not in self.views:
                try:
                    shared = self._shared().get(name)
                    self._make_view(table, name) if shared is None else self._make_shared(table, name, shared)
                    self.views[name] = []
                except _Refused as fault:
                    self.views[name] = fault.findings
        findings = [row for name in names for row in self.views[name]]
        if findings:
            raise _Refused(*findings)

    def _make_view(self, table: str, name: str) -> None:
        path, sheet = self._only_place(table, name)
        view = _identifier(name)
        try:
            if path.suffix.lower() == ".parquet":
                self.connection.execute(f"create view {view} as select * from read_parquet({_literal(path)})")
            elif path.suffix.lower() in _WORKBOOKS:
                self.connection.register(name, _sheet(table, path, sheet))
            else:
                self._make_csv_view(table, path, view)
        except duckdb.Error as fault:
            raise _Refused(_file_finding(table, path, str(fault))) from fault

    def _make_shared(self, table: str, name: str, path: Path) -> None:
        """The rows of a query that others name, kept: a view could not hold the as-of date."""
        self.views[name] = []  # a query that names itself, or one that names it, finds no such table
        text = _query_text(table, path)
        self._make_views(table, self._named_in(text))
        sql, used = _bound(text, self.parameters, "$")
        try:
            self._require_one_select(table, sql, path)
            self.connection.execute(f"create temp table {_identifier(name)} as {sql}", used)
        except duckdb.Error as fault:
            raise _Refused(*self._explained(table, sql, path, str(fault))) from fault

    def _only_place(self, table: str, name: str) -> tuple[Path, str | None]:
        places = self.places[name]
        if len(places) > 1:
            shown = ", ".join(str(path.relative_to(self.folder)) for path, _ in places)
            remedy = "keep one file of this name in the source folder"
            raise _Refused(tables.finding("ambiguous_file", "blocks", table, name, len(places), shown, remedy))
        return places[0]

    def _make_csv_view(self, table: str, path: Path, view: str) -> None:
        text_file = _text_file(table, path, self.formats.get(path.stem.casefold(), FileFormat()), self.encoding, self.scratch)
        if not text_file.columns:
            raise _Refused(_empty_file(table, path))
        types = _column_types(self.connection, text_file)
        selected = ", ".join(f"{_converted(text_file, c, kind)} as {_identifier(c)}" for c, kind in types.items())
        self.connection.execute(f"create view {view} as select {selected} from {text_file.scan()}")

    def _explained(self, table: str, sql: str, path: Path | None, fault: str) -> list[dict]:
        """Findings that say in a planner's words why a query failed."""
        unknown = re.search(r"Table with name (\S+) does not exist", fault)
        if unknown:
            remedy = f"put {unknown[1]}.csv (or .tsv, .parquet, .xlsx) into {self.folder}, or correct the query"
            return [tables.finding("missing_file", "blocks", table, _place(path, fault), 0, unknown[1], remedy)]
        if "Out of Memory" in fault:
            remedy = f"aggregate earlier in the query, or raise sources.memory_limit_mb ({self.memory_limit_mb:,})"
            return [tables.finding("too_large", "blocks", table, _place(path, fault), 0, "", remedy)]
        if "CSV Error on Line" in fault:
            name = re.search(r"file ?= ?(.+)", fault)
            return [_file_finding(table, Path(name[1].strip()) if name else self.folder, fault)]
        return [_query_finding(table, path, fault, _reason(fault)), *self._wrong_values(table, sql, fault)]

    def _wrong_values(self, table: str, sql: str, fault: str) -> list[dict]:
        """Where text stands in columns of numbers that the failed query uses."""
        if not re.search("VARCHAR|Could not convert|Conversion Error", fault):
            return []
        findings = []
        for name in self.views:
            places = self.places.get(name)  # none of a shared query, whose types its own columns gave
            if places is None or self.views[name] or not _mentions(sql, name) or places[0][0].suffix.lower() not in _TEXT_FILES:
                continue
            columns = self.connection.execute(f"select column_name, column_type from (describe {_identifier(name)})").fetchall()
            for column, kind in columns:
                if kind == "VARCHAR" and _mentions(sql, column):
                    findings += _text_among_numbers(self.connection, table, name, column, places[0][0])
        return findings


@contextmanager
def _files(
    folder: Path, formats: dict[str, FileFormat], queries: dict[str, Path], parameters: dict[str, Any], settings: Settings
) -> Iterator[_Files]:
    if not folder.is_dir():
        remedy = "correct sources.folder in sop.yaml, or put the files there"
        raise _Refused(tables.finding("missing_folder", "blocks", "sources", "", 0, str(folder), remedy))
    limit = settings.sources.memory_limit_mb
    with tempfile.TemporaryDirectory(prefix="sop-") as scratch:
        options: dict[str, Any] = {"threads": settings.compute.workers, "memory_limit": f"{limit}MB", "temp_directory": scratch}
        connection = duckdb.connect(":memory:", config=options)
        try:
            shift = settings.calendar_shift_days
            connection.execute("set enable_progress_bar = false")
            connection.execute(f"create macro period_of(d) as cast(date_trunc('{settings.bucket}', cast(d as date) + ({shift})) as date)")
            yield _Files(connection, folder, Path(scratch), queries, parameters, formats, settings.sources.encoding, limit, _places(folder))
        finally:
            connection.close()


def _places(folder: Path) -> dict[str, list[tuple[Path, str | None]]]:
    """Every file (and sheet) by the name of its view, in lower case."""
    found: dict[str, list[tuple[Path, str | None]]] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not path.name.startswith((".", "~$")):
            for name, sheet in _view_names(path):
                found.setdefault(name.casefold(), []).append((path, sheet))
    return found


def _view_names(path: Path) -> list[tuple[str, str | None]]:
    if path.suffix.lower() not in _WORKBOOKS:
        return [(path.stem, None)]
    try:
        sheets = _workbook(path).sheetnames
    except Exception:  # openpyxl raises whatever the broken archive or XML raises; told when the file is used
        return [(path.stem, None)]
    if len(sheets) == 1:
        return [(path.stem, sheets[0])]
    return [(path.stem if sheet.casefold() == path.stem.casefold() else f"{path.stem}_{sheet}", sheet) for sheet in sheets]


def _workbook(path: Path) -> Workbook:
    import openpyxl  # half a second that only companies with workbooks pay

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # styles and validations that openpyxl does not keep do not matter here
        return openpyxl.load_workbook(path, read_only=True, data_only=True)


def _sheet(table: str, path: Path, sheet: str | None) -> pa.Table:
    """One sheet: header in the first row that is not empty; rows without any value are skipped."""
    if path.stat().st_size > _LARGEST_WORKBOOK:
        size = f"{path.stat().st_size >> 20:,} MB"
        raise _Refused(tables.finding("too_large", "blocks", table, path.name, 0, size, f"save {path.name} as CSV or Parquet"))
    try:
        book = _workbook(path)
        rows = [row for row in book[sheet or book.sheetnames[0]].iter_rows(values_only=True) if any(v not in (None, "") for v in row)]
        book.close()
    except Exception as fault:  # as above
        remedy = "open it in Excel and save it again as .xlsx without a password, or as CSV"
        raise _Refused(tables.finding("unreadable_file", "blocks", table, path.name, 0, _reason(str(fault)), remedy)) from fault
    if not rows:
        raise _Refused(_empty_file(table, path))
    names = {position: str(name).strip() for position, name in enumerate(rows[0]) if name not in (None, "")}
    return pa.table({name: _array([row[position] for row in rows[1:]]) for position, name in names.items()})


def _array(values: list) -> pa.Array:
    """Python values as one typed array; values of several types become text, spelled as in a CSV."""
    values = [None if value == "" else value for value in values]
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kinds and kinds <= {datetime.datetime, datetime.date}:
        return pa.array([None if value is None else _naive(value) for value in values], pa.timestamp("us"))
    if len(kinds) == 1 and kinds <= {int, float, bool, str, decimal.Decimal}:
        return pa.array(values)
    return pa.array([None if value is None else _spelled(value) for value in values], pa.string())


def _naive(value: datetime.date) -> datetime.datetime:
    """A date or time as a time without zone (UTC)."""
    if not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day)
    return value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)


def _spelled(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return str(value.date())
    return str(value)


# ------------------------------------------------------------------ CSV


@dataclass(frozen=True)
class _TextFile:
    """A CSV-like file in UTF-8 and how to read it."""

    path: Path
    columns: tuple[str, ...]
    delimiter: str
    quote: str
    has_header: bool
    decimal: str
    kept_as_text: frozenset[str]

    def scan(self) -> str:
        """The DuckDB table function that reads every column as text."""
        columns = ", ".join(f"{_literal(c)}: 'VARCHAR'" for c in self.columns)
        return (
            f"read_csv({_literal(self.path)}, auto_detect = false, header = false, skip = {int(self.has_header)}, nullstr = '', "
            f"delim = {_literal(self.delimiter)}, quote = {_literal(self.quote)}, escape = {_literal(self.quote)}, columns = {{{columns}}})"
        )


def _text_file(table: str, path: Path, given: FileFormat, encoding: str, scratch: Path) -> _TextFile:
    """Look at the first line, bring the file into UTF-8 where it is not, and say how to read it."""
    if given.columns and _has_header(path, given.columns):
        given = FileFormat(text=given.text, decimal=given.decimal)
    readable = _in_utf8(table, path, given, given.encoding or encoding, scratch)
    first = _first_text_line(readable)
    if "\0" in first:
        remedy = f"write {path.name} again as a text file"
        raise _Refused(tables.finding("unreadable_file", "blocks", table, path.name, 0, "not a text file", remedy))
    delimiter = given.delimiter or ("\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=_outside_quotes(first).count))
    columns = given.columns or _header(table, path, first, delimiter, given.quote)
    kept = frozenset({c.casefold() for c in given.text} | _declared_text())
    return _TextFile(readable, columns, delimiter, given.quote, not given.columns, given.decimal, kept)


def _has_header(path: Path, columns: Iterable[str]) -> bool:
    """Tell whether the first line already holds most of these names."""
    names = {c.casefold() for c in columns}
    words = [word.strip(' "').casefold() for word in re.split(r"[,;\t|]", _first_text_line(path))]
    return sum(word in names for word in words) * 2 > len(words)


def _first_text_line(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        return lines.readline(1 << 20).rstrip("\r\n")


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _header(table: str, path: Path, line: str, delimiter: str, quote: str) -> tuple[str, ...]:
    if not line.strip():
        return ()
    if len(delimiter) > 1:
        words = line.split(delimiter)
    else:
        words = next(
            csv.reader([line], delimiter=delimiter, quotechar=quote or None, quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE)
        )
    names = [word.strip() or f"column{position}" for position, word in enumerate(words, start=1)]
    double = sorted({name for name in names if [n.casefold() for n in names].count(name.casefold()) > 1})
    if double:
        raise _Refused(
            tables.finding("broken_csv", "blocks", table, f"{path.name} line 1", 1, ", ".join(double), "give every column its own name")
        )
    return tuple(names)


def _declared_text() -> set[str]:
    declared = [t for t in tables.all_tables().values() if t.group in ("input", "document")]
    return {c.name for t in declared for c in t.columns.values() if c.type == "text"}


def _in_utf8(table: str, path: Path, given: FileFormat, encoding: str, scratch: Path) -> Path:
    """The file itself when it is sound UTF-8, else a copy in UTF-8; read in pieces, so of any size."""
    try:
        codec = codecs.lookup(encoding)
    except LookupError as fault:
        remedy = "correct encoding in sop.yaml or columns.yaml (utf-8, cp1252, utf-16 …)"
        raise _Refused(tables.finding("unknown_encoding", "blocks", "sources", path.name, 0, encoding, remedy)) from fault
    if codec.name in ("utf-8", "utf-8-sig") and not given.row_end and _has_one_line_end(_decoded(table, path, "utf-8")):
        return path
    copy = scratch / f"{path.parent.name}-{path.stem}.csv"
    with copy.open("w", encoding="utf-8", newline="") as out:
        for text in _rows_ended(_decoded(table, path, codec.name), given.row_end):
            out.write(text)
    return copy


def _has_one_line_end(texts: Iterable[str]) -> bool:
    """Tell whether all lines end alike; DuckDB refuses a file put together from files of two systems."""
    carriage = bare = 0
    for text in texts:
        both = text.count("\r\n")
        carriage += both
        bare += text.count("\n") - both
    return carriage == 0 or bare == 0


def _decoded(table: str, path: Path, encoding: str) -> Iterator[str]:
    """The text of a file piece by piece; a byte that is not of the encoding is told with its place."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, lines = 0, 1
    with path.open("rb") as content:
        while True:
            piece = content.read(_CHUNK)
            waiting = len(decoder.getstate()[0])
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as fault:
                line = lines + fault.object[: fault.start].count(b"\n")
                raise _Refused(_not_text(table, path, encoding, offset - waiting + fault.start, line)) from fault
            yield text
            if not piece:
                return
            offset += len(piece)
            lines += piece.count(b"\n")


def _rows_ended(texts: Iterable[str], row_end: str) -> Iterator[str]:
    """The text with `row_end` and the line break after it as the only end of a row; other breaks become spaces."""
    if not row_end:
        yield from _plain_line_ends(texts)
        return
    rest = ""
    for text in _plain_line_ends(texts):
        *rows, rest = (rest + text).split(row_end + "\n")
        for row in rows:
            yield row.replace("\n", " ") + "\n"
    if rest.strip():
        yield rest.rstrip("\n").removesuffix(row_end).replace("\n", " ") + "\n"


def _plain_line_ends(texts: Iterable[str]) -> Iterator[str]:
    r"""The text with `\\n` for every line break; a break that falls between two pieces is kept together."""
    held = ""
    for text in texts:
        whole = held + text
        held = "\r" if whole.endswith("\r") else ""
        yield whole.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
    yield held.replace("\r", "\n")


def _not_text(table: str, path: Path, encoding: str, offset: int, line: int) -> dict:
    rule = "not_utf8" if encoding == "utf-8" else "not_in_encoding"
    remedy = f"save {path.name} as UTF-8, or set sources.encoding in sop.yaml (cp1252, utf-16 …)"
    return tables.finding(rule, "blocks", table, f"{path.name} line {line}", 1, f"byte {offset:,} is not {encoding}", remedy)


def _column_types(connection: duckdb.DuckDBPyConnection, text_file: _TextFile) -> dict[str, str]:
    """Type of each column: the first that every value fits, looked for in the first rows and then proven on all."""
    open_to = {c: list(_TYPE_RULES) for c in text_file.columns if c.casefold() not in text_file.kept_as_text}
    for rows in (f"(select * from {text_file.scan()} limit {_SAMPLE_ROWS})", text_file.scan()):
        asked = [(c, kind) for c, kinds in open_to.items() for kind in kinds]
        if not asked:
            break
        tests = ", ".join(f"bool_and({_fits(text_file, c, kind)}) filter ({_identifier(c)} is not null)" for c, kind in asked)
        answers = connection.execute(f"select {tests} from {rows}").fetchone() or ()
        fits = {pair for pair, answer in zip(asked, answers, strict=True) if answer}
        open_to = {c: [kind for kind in kinds if (c, kind) in fits] for c, kinds in open_to.items()}
    return {c: (open_to.get(c) or ["VARCHAR"])[0] for c in text_file.columns}


def _fits(text_file: _TextFile, column: str, kind: str) -> str:
    written = _identifier(column)
    return _TYPE_RULES[kind].format(c=written, n=f"replace({written}, {_literal(text_file.decimal)}, '.')")


def _converted(text_file: _TextFile, column: str, kind: str) -> str:
    written = _identifier(column)
    if kind == "VARCHAR":
        return written
    return f"cast(replace({written}, {_literal(text_file.decimal)}, '.') as double)" if kind == "DOUBLE" else f"cast({written} as {kind})"


def _text_among_numbers(connection: duckdb.DuckDBPyConnection, table: str, view: str, column: str, path: Path) -> list[dict]:
    """A finding when most, but not all, values of a text column are numbers."""
    number = _TYPE_RULES["DOUBLE"].format(n=_identifier(column))
    rows = f"(select row_number() over () as csv_row, * from {_identifier(view)})"
    wrong = f"{_identifier(column)} is not null and not ({number})"
    counts = connection.execute(f"select count({_identifier(column)}), count(*) filter ({wrong}) from {rows}").fetchone() or (0, 0)
    if not 0 < counts[1] * 2 < counts[0]:
        return []
    found = connection.execute(f"select * from {rows} where {wrong} limit 5").df()
    key = [c for c in tables.table(table).key if c in found.columns] or [c for c in found.columns if c != "csv_row"][:1]
    lines = [f"{path.name} row {row['csv_row']} {tables.key_text(found.loc[[i]], key)}" for i, row in found.iterrows()]
    values = ", ".join(found[column].astype(str))
    return [
        tables.finding("not_a_number", "blocks", table, "; ".join(lines), counts[1], values, f"write a number in {column} of {path.name}")
    ]


# ------------------------------------------------------------------ database


@dataclass
class _Database:
    """The customer's database; every query runs in a transaction that is rolled back."""

    connection: sa.Connection
    address: str
    queries: dict[str, Path]
    parameters: dict[str, Any]
    memory_limit_mb: int
    names: dict[str, str]

    def holds(self, name: str) -> bool:
        """Tell whether the default schema has a table or view of this name."""
        return name.casefold() in self.names

    def absent(self, table: str) -> dict:
        """The finding about a table that has neither query nor database table."""
        remedy = f"make a table or view {table} in {self.address}, or write a query {table}.sql"
        return tables.finding("missing_table", "blocks", table, "", 0, table, remedy)

    def rows(self, table: str, path: Path | None) -> Generator[pa.RecordBatch]:
        """Rows of a table's query, or of the whole database table of its name."""
        if path is None:
            quoted = self.connection.dialect.identifier_preparer.quote(self.names[table.casefold()])
            text = f"select * from {quoted}"
        else:
            text = _query_text(table, path)
        sql, used = _bound(text, self.parameters, ":")
        try:
            with self.connection.execution_options(stream_results=True).execute(sa.text(sql), used) as result:
                names = [str(name) for name in list(result.keys())]
                yield pa.RecordBatch.from_arrays([pa.nulls(0)] * len(names), names)
                for part in result.partitions(_BATCH_ROWS):
                    yield pa.RecordBatch.from_arrays([_array(list(values)) for values in zip(*part, strict=True)], names)
        except sa.exc.SQLAlchemyError as fault:
            raise _Refused(_database_finding(table, path, sql, fault)) from fault
        finally:
            self.connection.rollback()


@contextmanager
def _database(address: str, queries: dict[str, Path], parameters: dict[str, Any], limit: int) -> Iterator[_Database]:
    try:
        url = sa.make_url(address)
        timeout = {"connect_timeout": 10} if url.get_backend_name() in ("postgresql", "mysql", "mariadb") else {}
        engine = sa.create_engine(url, connect_args=timeout, poolclass=sa.NullPool)
    except (sa.exc.SQLAlchemyError, ImportError) as fault:
        remedy = "correct sources.url in sop.yaml (driver://user:${PASSWORD}@host/database), or install the driver it names"
        raise _Refused(tables.finding("database_unreachable", "blocks", "sources", "", 0, type(fault).__name__, remedy)) from None
    shown = url.render_as_string(hide_password=True)
    try:
        connection = engine.connect()
    except sa.exc.SQLAlchemyError as fault:
        reason = _reason(str(getattr(fault, "orig", fault)))
        reason = reason.replace(url.password, "***") if url.password else reason
        remedy = f"check that the database runs and that address, user and password are right: {shown}"
        raise _Refused(tables.finding("database_unreachable", "blocks", "sources", "", 0, reason, remedy)) from None
    try:
        inspector = sa.inspect(connection)
        names = {name.casefold(): name for name in [*inspector.get_table_names(), *inspector.get_view_names()]}
        connection.rollback()
        yield _Database(connection, shown, queries, parameters, limit, names)
    finally:
        connection.close()
        engine.dispose()


def _database_finding(table: str, path: Path | None, sql: str, fault: sa.exc.SQLAlchemyError) -> dict:
    cause = getattr(fault, "orig", None) or fault
    position = getattr(getattr(cause, "diag", None), "statement_position", None)
    line = sql.count("\n", 0, int(position)) + 1 if position else None
    reason = _reason(str(cause))
    unknown = re.search(r'relation "(\S+)" does not exist|no such table: (\S+)|Invalid object name \'(\S+)\'', reason)
    if unknown:
        name = next(group for group in unknown.groups() if group)
        where = _place(path, f"LINE {line}:" if line else "")
        return tables.finding("missing_table", "blocks", table, where, 0, name, f"make the table {name}, or correct the query")
    return _query_finding(table, path, f"LINE {line}:" if line else None, reason)


# ------------------------------------------------------------------ findings


def _place(path: Path | None, fault: str | None) -> str:
    """File and line of a query."""
    line = re.search(r"LINE (\d+):", fault or "")
    return "" if path is None else f"{path.name} line {line[1]}" if line else path.name


def _query_finding(table: str, path: Path | None, fault: str | None, reason: str) -> dict:
    column = re.search(r'[Rr]eferenced column "(.+?)" (?:was )?not found|column "?(\S+?)"? does not exist|no such column: (\S+)', reason)
    if column:
        name = next(group for group in column.groups() if group)
        remedy = f"add the column {name} to the source, or correct the query"
        return tables.finding("missing_column", "blocks", table, _place(path, fault), 0, name, remedy)
    where = path.name if path else f"the source of {table}"
    return tables.finding("query_failed", "blocks", table, _place(path, fault), 0, reason, f"correct {where}")


def _empty_file(table: str, path: Path) -> dict:
    return tables.finding("empty_file", "blocks", table, "", 0, path.name, f"deliver {path.name} with a header line and rows")


def _file_finding(table: str, path: Path, fault: str) -> dict:
    line = re.search(r"CSV Error on Line: (\d+)", fault)
    if line is None:
        remedy = f"write {path.name} again; it is damaged or not what its name says"
        return tables.finding("unreadable_file", "blocks", table, path.name, 0, _reason(fault), remedy)
    counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", fault)
    value = f"{counts[2]} fields instead of {counts[1]}" if counts else _reason(fault.split("\n", 2)[-1])
    remedy = "give every line as many fields as the header, and quote values that hold the delimiter or a quotation mark"
    return tables.finding("broken_csv", "blocks", table, f"{path.name} line {line[1]}", 1, value, remedy)


def _reason(fault: str) -> str:
    """The first line of a library's message, without its class in front."""
    first = fault.strip().splitlines()[0] if fault.strip() else "no reason given"
    return re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", first)[:300]


def _mentions(sql: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql, re.IGNORECASE) is not None


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Path | str) -> str:
    return "'" + str(value).replace("'", "''") + "'"


# ------------------------------------------------------------------ units, currency, calendar


def _in_base_units(
    declared: tables.Table, frame: pd.DataFrame, settings: Settings, item: pd.DataFrame | None
) -> tuple[pd.DataFrame, list[dict]]:
    """Quantities times the unit's factor, money per unit divided by it."""
    unit = next((c for c in ("unit", "purchase_unit") if c in frame.columns), None)
    owner = next((c for c in ("item_id", "component_item_id") if c in declared.columns), None)
    if unit is None or owner is None or item is None or declared.name == "item":
        return frame, []
    base = frame[owner].map(item.drop_duplicates("item_id").set_index("item_id")["base_unit"])
    given = frame[unit].where(frame[unit].notna(), None)
    differs = given.notna() & base.notna() & (given.astype(str).str.strip().str.casefold() != base.astype(str).str.casefold())
    if not differs.any():
        return frame, []
    wanted = pd.DataFrame({"item_id": frame[owner], "given": given.astype(str).str.strip(), "base": base})[differs]
    factor = pd.Series([_unit_factor(settings, *row) for row in wanted.itertuples(index=False)], index=wanted.index, dtype=float)
    known, unknown = factor.dropna(), factor.index[factor.isna()]
    changed = frame.copy()
    for column in _quantities(declared, frame):
        changed.loc[known.index, column] = frame.loc[known.index, column] * known
    for column in [c.name for c in declared.columns.values() if c.unit.endswith(" per base unit")]:
        changed.loc[known.index, column] = frame.loc[known.index, column] / known
    if unit == "unit":
        changed.loc[known.index, unit] = base[known.index]
    if unknown.empty:
        return changed, []
    pairs = sorted({f"{row.given} → {row.base}" for row in wanted.loc[unknown].itertuples()})
    remedy = "add the factor to units in sop.yaml (from_unit, to_unit, factor, item_id where it differs by item)"
    return changed, [_rows_finding("unit_without_factor", "warns", declared, frame.loc[unknown], ", ".join(pairs[:5]), remedy)]


def _unit_factor(settings: Settings, item_id: str, given: str, base: str) -> float:
    """Base units in one given unit: the item's own factor before the general one; not a number where there is none."""
    pair = (given.casefold(), base.casefold())
    for owner in (item_id, None):
        for known in settings.units:
            stated = (known.from_unit.casefold(), known.to_unit.casefold())
            if known.item_id == owner and pair in (stated, stated[::-1]):
                return known.factor if pair == stated else 1 / known.factor
    return np.nan


def _quantities(declared: tables.Table, frame: pd.DataFrame) -> list[str]:
    own = [c.name for c in declared.columns.values() if c.unit in ("base unit", "base units")]
    return own + _further(declared, frame, "_qty")


def _further(declared: tables.Table, frame: pd.DataFrame, suffix: str) -> list[str]:
    """Numeric columns beyond the declaration whose names end alike."""
    return [c for c in frame.columns if c not in declared.columns and str(c).endswith(suffix) and pd.api.types.is_float_dtype(frame[c])]


def _in_reporting_currency(
    declared: tables.Table, frame: pd.DataFrame, settings: Settings, item: pd.DataFrame | None
) -> tuple[pd.DataFrame, list[dict]]:
    """Money times the exchange rate of its currency."""
    money = [c.name for c in declared.columns.values() if c.unit.startswith("reporting currency")]
    if "currency" not in frame.columns or not money:
        return frame, []
    given = frame["currency"].map(lambda code: None if pd.isna(code) or not str(code).strip() else str(code).strip().upper()).astype(object)
    foreign = given.notna() & (given != settings.currency)
    rate = _rates(given[foreign], frame, settings)
    known, unknown = rate.dropna(), rate.index[rate.isna()]
    changed = frame.copy()
    for column in money + _further(declared, frame, "_amt"):
        changed.loc[known.index, column] = frame.loc[known.index, column] * known
    changed.loc[known.index, "currency"] = settings.currency
    if unknown.empty:
        return changed, []
    codes = ", ".join(sorted(set(given[unknown])))
    remedy = f"add {codes} to exchange_rates in sop.yaml ({settings.currency} for one unit of it), from the first day of the rows on"
    return changed, [_rows_finding("currency_without_rate", "blocks", declared, frame.loc[unknown], codes, remedy)]


def _rates(currency: pd.Series, frame: pd.DataFrame, settings: Settings) -> pd.Series:
    """Exchange rate of each row: the one number, or that of the table on the row's day (the newest where a row has no day)."""
    day = next((c for c in _RATE_DAYS if c in frame.columns), None)
    rate = pd.Series(np.nan, index=currency.index)
    for code, given in settings.exchange_rates.items():
        mine = currency.index[currency == code]
        if not isinstance(given, dict):
            rate[mine] = given
            continue
        table = pd.Series(given).rename(pd.to_datetime).sort_index()
        days = pd.to_datetime(frame.loc[mine, day]) if day else pd.Series(table.index[-1], index=mine)
        place = table.index.searchsorted(days.fillna(table.index[-1]), side="right") - 1
        rate[mine] = np.where(place >= 0, table.to_numpy()[place], np.nan)  # before the first day of the table there is no rate
    return rate


def _in_buckets(
    declared: tables.Table, frame: pd.DataFrame, settings: Settings, item: pd.DataFrame | None
) -> tuple[pd.DataFrame, list[dict]]:
    """Findings about periods that are not the first day of a bucket; nothing is moved silently."""
    findings = []
    for column in [c.name for c in declared.columns.values() if c.type == "date" and re.search(r"(^|_)period$", c.name)]:
        days = frame[column].dropna()
        begins = days.dt.weekday == 0 if settings.bucket == "week" else days.dt.day == 1
        wrong = days[~(begins & (days == days.dt.normalize()))]
        if len(wrong):
            first = "Monday of the week" if settings.bucket == "week" else "first day of the month"
            remedy = f"write the {first} in {column}, or period_of(date) in the query of {declared.name}"
            values = ", ".join(f"{day:%Y-%m-%d}" for day in wrong.head(5))
            findings.append(_rows_finding("period_not_a_bucket_start", "blocks", declared, frame.loc[wrong.index], values, remedy))
    return frame, findings


def _rows_finding(rule: str, severity: str, declared: tables.Table, rows: pd.DataFrame, value: str, remedy: str) -> dict:
    return tables.finding(rule, severity, declared.name, tables.key_text(rows, declared.key), len(rows), value, remedy)
