"""Every table of the workbench, read from its one declaration in `tables.yaml`.

The declaration gives the code its types, pandera its rules, planners their templates and
`docs/data_dictionary.md` its text. The suffix of a column says what it is:

========== ======== ==========================
suffix     type     unit
========== ======== ==========================
`_qty`     number   item's base unit
`_amt`     number   reporting currency
`_hours`   number   hours
`_days`    number   days
`_months`  number   months
`_ratio`   number   ratio (1 = all)
`_date`    date     day
`period`   date     first day of the bucket
`is_…`     yes/no
other      text
========== ======== ==========================
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import yaml

from sop_workbench.errors import DataError

ColumnType = Literal["text", "number", "integer", "date", "boolean"]
Group = Literal["input", "document", "record", "result"]

_SUFFIXES: tuple[tuple[str, ColumnType, str], ...] = (
    ("_qty", "number", "base unit"),
    ("_amt", "number", "reporting currency"),
    ("_hours", "number", "hours"),
    ("_days", "number", "days"),
    ("_months", "number", "months"),
    ("_ratio", "number", "ratio"),
    ("_date", "date", "day"),
    ("period", "date", "first day of the bucket"),
)
_DTYPES = {"number": "float64", "integer": "int64", "date": "datetime64[ns]", "boolean": "bool", "text": "object"}
_TYPE_WORDS = {"number": "a number", "integer": "a whole number", "date": "a date", "boolean": "true or false"}
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False, "yes": True, "no": False}
RECORD_COLUMNS = {
    "record_id": {"meaning": "Number of the record, given by the store", "type": "text"},
    "by": {"meaning": "Who", "type": "text"},
    "at": {"meaning": "When, UTC", "type": "date"},
    "why": {"meaning": "Why", "type": "text"},
}
_KEYS_SHOWN = 5


@dataclass(frozen=True)
class Column:
    """One column: type, unit, meaning and the values it may hold."""

    name: str
    type: ColumnType
    unit: str
    meaning: str
    nullable: bool = False
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    references: str | None = None

    @property
    def is_required(self) -> bool:
        """True where a source must bring it, with a value in every row."""
        return not self.nullable and self.default is None


@dataclass(frozen=True)
class Table:
    """One table: what a row is, its key and its columns."""

    name: str
    group: Group
    meaning: str
    key: tuple[str, ...]
    columns: dict[str, Column]
    is_optional: bool = False

    def empty(self) -> pd.DataFrame:
        """A frame with every column and no row."""
        return pd.DataFrame({c.name: pd.Series(dtype=_DTYPES[c.type]) for c in self.columns.values()})


@cache
def all_tables() -> dict[str, Table]:
    """Every declared table by name, in the order of the declaration.

    Examples
    --------
    >>> all_tables()["price"].key
    ('item_id', 'market_id', 'valid_from')
    >>> all_tables()["item"].columns["standard_cost_amt"].unit
    'reporting currency per base unit'
    """
    text = files("sop_workbench").joinpath("tables.yaml").read_text(encoding="utf-8")
    return {name: _table(name, declared) for name, declared in yaml.safe_load(text).items()}


def table(name: str) -> Table:
    """The declaration of one table.

    Raises
    ------
    KeyError
        When there is no such table; the message lists the names.
    """
    declared = all_tables()
    if name not in declared:
        raise KeyError(f"no table {name!r}; tables are {', '.join(declared)}")
    return declared[name]


def names(group: Group) -> list[str]:
    """Names of the tables of a group, in the order of the declaration."""
    return [t.name for t in all_tables().values() if t.group == group]


def conform(name: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring a frame into its declared shape and say what does not fit.

    Declared columns come first, in the declared order, each with its declared type; a column that may
    be left out is added with its default; further columns are kept behind. A value of the wrong type
    becomes empty in the first result and a row in the second.

    Parameters
    ----------
    name : str
        Table name.
    frame : DataFrame
        As read, any types.

    Returns
    -------
    (DataFrame, DataFrame)
        The conformed frame and its findings as rows of the `issue` table.

    Examples
    --------
    >>> frame, issues = conform("service_target", pd.DataFrame({"item_or_class": ["A"], "service_level_ratio": ["high"]}))
    >>> issues[["rule", "keys", "value"]].to_dict("records")
    [{'rule': 'not_a_number', 'keys': 'item_or_class=A', 'value': 'high'}]
    """
    declared = table(name)
    findings: list[dict] = []
    missing = [c.name for c in declared.columns.values() if c.is_required and c.name not in frame.columns]
    if missing:
        findings.append(finding("missing_column", "blocks", name, "", len(frame), ", ".join(missing),
                                f"add the column {', '.join(missing)} to the source of {name}"))
    out, unreadable = {}, {}
    for column in declared.columns.values():
        raw = frame[column.name] if column.name in frame.columns else pd.Series(np.nan, index=frame.index, dtype=object)
        typed, wrong = _typed(raw, column)
        if wrong.any():
            findings.append(_value_finding(f"not_{_TYPE_WORDS[column.type].replace(' ', '_')}", declared, frame, wrong, column,
                                           f"write {_TYPE_WORDS[column.type]} in {column.name}"))
        out[column.name], unreadable[column.name] = typed, wrong.to_numpy()
    extra = {c: frame[c] for c in frame.columns if c not in declared.columns}
    conformed = pd.DataFrame({**out, **extra}, index=frame.index).reset_index(drop=True)
    if not missing:
        findings += _rule_findings(declared, conformed, unreadable)
    return conformed, issue_frame(findings)


def validate(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The conformed frame, or a `DataError` with every finding.

    Raises
    ------
    DataError
        When anything does not fit the declaration.
    """
    conformed, issues = conform(name, frame)
    if len(issues):
        raise DataError(issues)
    return conformed


def schema(name: str) -> pandera.DataFrameSchema:
    """The pandera schema of a table: presence of values, bounds, allowed values (types come from `conform`)."""
    declared = table(name)
    return pandera.DataFrameSchema({c.name: _pandera_column(c) for c in declared.columns.values()}, name=name)


def finding(rule: str, severity: str, table_name: str, keys: str, count: int, value: str, remedy: str) -> dict:
    """One row of the `issue` table."""
    return {"rule": rule, "severity": severity, "table": table_name, "keys": keys, "count": int(count),
            "value": str(value), "remedy": remedy}


def issue_frame(findings: list[dict]) -> pd.DataFrame:
    """Findings as a frame of the `issue` table (empty frame when there are none)."""
    return pd.DataFrame(findings, columns=list(table("issue").columns)).astype({"count": "int64"})


def key_text(frame: pd.DataFrame, key: tuple[str, ...] | list[str]) -> str:
    """The keys of the first rows in one line.

    Examples
    --------
    >>> key_text(pd.DataFrame({"item_id": ["A1", "A2"], "period": pd.to_datetime(["2026-01-01"] * 2)}), ["item_id", "period"])
    'item_id=A1 period=2026-01-01; item_id=A2 period=2026-01-01'
    """
    shown = [c for c in key if c in frame.columns]
    rows = [" ".join(f"{c}={_shown(row[c])}" for c in shown) for _, row in frame.head(_KEYS_SHOWN).iterrows()]
    return "; ".join(rows) + (" …" if len(frame) > _KEYS_SHOWN else "")


def dictionary_markdown() -> str:
    """The data dictionary (`docs/data_dictionary.md`), written from the declaration."""
    parts = ["# Data dictionary", "", "Written from `sop_workbench/tables.yaml` by `make docs`; do not edit.", ""]
    for declared in all_tables().values():
        optional = ", optional" if declared.is_optional else ""
        parts += [f"## {declared.name}", "", f"{declared.meaning} *({declared.group}{optional}; key: {', '.join(declared.key)})*", "",
                  "| column | type | unit | meaning | rules |", "|---|---|---|---|---|"]
        parts += [f"| {c.name} | {c.type} | {c.unit} | {c.meaning} | {_rule_words(c)} |" for c in declared.columns.values()]
        parts.append("")
    return "\n".join(parts)


def _table(name: str, declared: dict) -> Table:
    columns = dict(declared["columns"])
    if declared["group"] == "record":
        columns = {**RECORD_COLUMNS, **columns}
    return Table(name, declared["group"], declared["meaning"], tuple(declared["key"]),
                 {c: _column(c, d) for c, d in columns.items()}, declared.get("optional", False))


def _column(name: str, declared: str | dict) -> Column:
    options: dict[str, Any] = {"meaning": declared} if isinstance(declared, str) else dict(declared)
    kind, unit = _by_suffix(name)
    options["allowed"] = tuple(options.get("allowed", ()))
    return Column(name, options.pop("type", kind), options.pop("unit", unit), **options)


def _by_suffix(name: str) -> tuple[ColumnType, str]:
    if name.startswith(("is_", "has_")):
        return "boolean", ""
    for suffix, kind, unit in _SUFFIXES:
        if name.endswith(suffix):
            return kind, unit
    return "text", ""


def _typed(raw: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:
    """The series in its declared type, and which values would not go; texts are looked at once each."""
    if raw.dtype != object or pd.api.types.infer_dtype(raw, skipna=True) != "string":
        return _typed_values(raw, column)
    code, distinct = pd.factorize(raw, use_na_sentinel=False)
    typed, wrong = _typed_values(pd.Series(distinct, dtype=object), column)
    return typed.take(code).set_axis(raw.index), wrong.take(code).set_axis(raw.index)


def _typed_values(raw: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:
    """Each value in the declared type, and which would not go."""
    empty = raw.isna() | (raw.astype(str).str.strip() == "") if raw.dtype == object else raw.isna()
    if column.type == "text":
        typed = _text(raw).mask(empty, None)
    elif column.type == "date":
        typed = _dates(raw)
    elif column.type == "boolean":
        typed = raw.astype(str).str.strip().str.lower().map(_TRUTH)
    else:
        typed = pd.to_numeric(raw, errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)
    wrong = typed.isna() & ~empty
    if column.default is not None:
        filler = pd.Timestamp(column.default) if column.type == "date" else column.default
        typed = typed.where(~empty, filler)
    if column.type == "integer":
        wrong |= typed.notna() & (typed != typed.round())
    return _storable(typed, column), wrong


def _storable(typed: pd.Series, column: Column) -> pd.Series:
    """Declared dtype; an empty whole number stays a float so that emptiness is kept, an empty flag is False."""
    if column.type == "boolean":
        return typed.map(lambda v: bool(v) if pd.notna(v) else False).astype(bool)
    if column.type == "integer" and typed.isna().any():
        return typed.astype("float64")
    return typed.astype(_DTYPES[column.type])


def _text(raw: pd.Series) -> pd.Series:
    """Text without a `.0` that a number column got from emptiness beside it."""
    if pd.api.types.is_float_dtype(raw):
        whole = raw.dropna() == raw.dropna().round()
        if whole.all():
            return raw.astype("Int64").astype(str).astype(object)
    return raw.astype(str).str.strip().astype(object)


def _dates(raw: pd.Series) -> pd.Series:
    if raw.dtype == "datetime64[ns]":
        return raw
    parsed = pd.to_datetime(raw, errors="coerce", format="ISO8601" if raw.dtype == object else None)
    if getattr(parsed.dt, "tz", None) is not None:
        parsed = parsed.dt.tz_convert("UTC").dt.tz_localize(None)
    return parsed.astype("datetime64[ns]")


def _pandera_column(column: Column) -> pandera.Column:
    checks = []
    if column.minimum is not None:
        checks.append(pandera.Check.ge(column.minimum, error="below_minimum"))
    if column.maximum is not None:
        checks.append(pandera.Check.le(column.maximum, error="above_maximum"))
    if column.allowed:
        checks.append(pandera.Check.isin(column.allowed, error="value_not_allowed"))
    return pandera.Column(None, checks, nullable=column.nullable, required=True)


def _rule_findings(declared: Table, frame: pd.DataFrame, unreadable: dict[str, np.ndarray]) -> list[dict]:
    """Empty, out-of-bounds and unknown values by pandera; double keys by pandas. Unreadable values are told already."""
    findings = []
    try:
        schema(declared.name).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as faults:
        cases = faults.failure_cases.dropna(subset=["index"])
        for (column_name, check), rows in cases.groupby(["column", "check"], sort=False):
            column = declared.columns[column_name]
            wrong = pd.Series(frame.index.isin(rows["index"].astype("int64")), index=frame.index) & ~unreadable[column_name]
            rule = "empty_required_value" if check == "not_nullable" else str(check)
            if wrong.any():
                findings.append(_value_finding(rule, declared, frame, wrong, column, _remedy(rule, column)))
    double = frame.duplicated(list(declared.key), keep=False)
    if double.any():
        keys = key_text(frame[double].drop_duplicates(list(declared.key)), declared.key)
        findings.append(finding("duplicate_key", "blocks", declared.name, keys, int(double.sum()), "",
                                "keep one row per key, or add the quantities up in the source query"))
    return findings


def _value_finding(rule: str, declared: Table, frame: pd.DataFrame, wrong: pd.Series, column: Column, remedy: str) -> dict:
    rows = frame[wrong.to_numpy()]
    values = rows[column.name].head(_KEYS_SHOWN).map(_shown) if column.name in rows else pd.Series(dtype=object)
    return finding(rule, "blocks", declared.name, key_text(rows, declared.key), len(rows), ", ".join(values), remedy)


def _remedy(rule: str, column: Column) -> str:
    words = {
        "empty_required_value": f"fill in {column.name}",
        "below_minimum": f"enter {column.minimum} or more in {column.name}",
        "above_maximum": f"enter {column.maximum} or less in {column.name}",
        "value_not_allowed": f"use one of {', '.join(column.allowed)} in {column.name}",
    }
    return words[rule]


def _rule_words(column: Column) -> str:
    words = ["required" if column.is_required else "may be empty" if column.nullable else f"default {column.default}"]
    if column.minimum is not None or column.maximum is not None:
        words.append(f"{'' if column.minimum is None else column.minimum} … {'' if column.maximum is None else column.maximum}")
    if column.allowed:
        words.append("one of " + ", ".join(column.allowed))
    if column.references:
        words.append(f"a key of {column.references}")
    return "; ".join(words)


def _shown(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else str(value)
