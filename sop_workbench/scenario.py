"""Scenarios: named lists of levers on the tables of a cycle, evaluated by the same functions as base and compared.

A scenario file reads::

    scenario: demand_surge
    title: Demand 15 % higher in the North from January to March
    reason: Two chains talk about a joint campaign
    levers:
      - table: consensus_demand
        column: demand_qty
        operation: multiply
        value: 1.15
        where: {region: North}
        from_period: 2027-01
        to_period: 2027-03

or is a workbook (`.xlsx`) with one lever a row, see `load_workbook`.

Demand answers a changed price list by the elasticity that the lever states (`elasticity: -1.3`; 0 for no answer), else by the one learned
or assumed in the demand review; where a lever of the scenario moves the demand itself, that stands and is not moved twice.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sop_workbench import capacity, kpi
from sop_workbench.demand import price_in_period
from sop_workbench.errors import DataError, InfeasiblePlanError, SettingsError
from sop_workbench.finance import cash_projection, income_statement, project_financials
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.shaping import ELASTICITY, PRICE, STATED, repriced_demand
from sop_workbench.supply import plan_supply
from sop_workbench.tables import conform, finding, issue_frame, names, table, validate

BASE = "base"
Tables = Mapping[str, pd.DataFrame]
Scalar = bool | int | float | str
Operation = Literal["multiply", "add", "set", "shift", "remove", "insert"]

_COMPUTED = ("consensus_demand", "inventory_target")
_PLAN_READS = (*_COMPUTED, "item", "market", "location", "resource", "capacity", "workforce", "production", "routing", "bill_of_material",
               "supplier_item", "lane", "price", "stock_on_hand", "stock_limit", "previous_plan", "opening_backlog", "open_supply")
# Which id leads to which master table when a filter names a column that the table itself lacks; the first that has it counts.
_MASTERS = (("item_id", "item"), ("parent_item_id", "item"), ("market_id", "market"), ("resource_id", "resource"),
            ("to_id", "market"), ("location_id", "location"), ("from_location_id", "location"))
_TIMES = ("period", "close_period", "due_date", "from_period", "valid_from")
_SIGNS = {"multiply": "×", "add": "+", "set": "=", "shift": "shifted by"}
_WORKBOOK_COLUMNS = ("scenario", "title", "reason", "table", "column", "operation", "value", "where", "from_period", "to_period",
                     "elasticity")
# A worker process first imports the planning libraries (some 3 s): below this many scenarios one after another is sooner done.
_FEWEST_IN_PARALLEL = 8


# ------------------------------------------------------------------ declaration
class Lever(BaseModel):
    """One change of one table.

    multiply and add change numbers; set writes a value; shift moves dates, or the quantities of a table with periods, by
    whole buckets; remove takes rows out; insert puts `rows` in (a new site, lane or supplier), one for each period where the
    table has periods and the row names none. A change of `price.price_amt` may state the `elasticity` by which demand answers.
    `where` names columns of the table or of item, market, resource and location joined by id, with one value or a list;
    `from_period` and `to_period` (inclusive) pick periods.

    Examples
    --------
    >>> Lever(table="capacity", column="regular_hours", operation="multiply", value=0.5, where={"resource_id": "L1"}).words
    'capacity.regular_hours × 0.5 (resource_id L1)'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    column: str = ""
    operation: Operation
    value: Scalar | None = None
    where: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    from_period: str | None = None
    to_period: str | None = None
    elasticity: float | None = Field(default=None, le=0)
    rows: tuple[dict[str, Scalar | None], ...] = ()

    @field_validator("from_period", "to_period", mode="before")
    @classmethod
    def _period_as_text(cls, period: Any) -> Any:
        return None if period is None else str(period)

    @model_validator(mode="after")
    def _value_fits_operation(self) -> Lever:
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if (self.operation == "insert") != bool(self.rows):
            raise ValueError("insert needs rows, and no other operation takes them")
        if self.operation in ("remove", "insert"):
            if self.column or self.value is not None:
                raise ValueError(f"{self.operation} takes whole rows: leave column and value out")
            if self.where and self.rows:
                raise ValueError("insert writes its rows as they are: leave where out")
        elif not self.column:
            raise ValueError(f"{self.operation} needs a column")
        elif self.elasticity is not None and (self.table, self.column) != ("price", "price_amt"):
            raise ValueError("demand answers a price: state an elasticity with price.price_amt only")
        elif self.operation in ("multiply", "add") and not is_number:
            raise ValueError(f"{self.operation} needs a number as value")
        elif self.operation == "shift" and not (is_number and float(self.value or 0).is_integer()):
            raise ValueError("shift needs a whole number of periods as value")
        return self

    @property
    def words(self) -> str:
        """The lever in one line."""
        filters = [f"{column} {_listed(value)}" for column, value in self.where.items()]
        if self.from_period or self.to_period:
            filters.append(f"{self.from_period or 'start'} to {self.to_period or 'end'}")
        changes = {"remove": "removed", "insert": f"gets {'; '.join(_row_words(row) for row in self.rows)}"}
        change = changes.get(self.operation, f"{_SIGNS.get(self.operation)} {_shown(self.value)}")
        target = f"{self.table}.{self.column}" if self.column else self.table
        answer = "" if self.elasticity is None else f", demand answers by elasticity {_shown(self.elasticity)} (stated)"
        return f"{target} {change}" + (f" ({', '.join(filters)})" if filters else "") + answer


class Scenario(BaseModel):
    """A named list of levers; `base` has none.

    Examples
    --------
    >>> Scenario(scenario="base").levers
    ()
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    scenario_id: str = Field(alias="scenario", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    title: str = ""
    reason: str = ""
    levers: tuple[Lever, ...] = ()

    @model_validator(mode="after")
    def _base_has_no_lever(self) -> Scenario:
        if self.scenario_id == BASE and self.levers:
            raise ValueError("base is the plan without levers; give the scenario another name")
        return self


def load_scenario(path: Path | str) -> Scenario:
    """Read one scenario file.

    Raises
    ------
    SettingsError
        When the file is not YAML, or a key or value is wrong; all faults at once.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as fault:
        raise SettingsError(f"{path} is not readable YAML in UTF-8: {fault}") from fault
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must hold `scenario:`, `title:`, `reason:` and `levers:`")
    try:
        return Scenario.model_validate(content)
    except ValidationError as faults:
        raise SettingsError("\n".join(_fault_line(path, dict(fault)) for fault in faults.errors())) from None


def load_scenarios(folder: Path | str) -> list[Scenario]:
    """Read every scenario file (`*.yaml`, `*.xlsx`) of a folder, in the order of their names; no folder means no scenario.

    Raises
    ------
    SettingsError
        With the faults of all files, or when two files name the same scenario.
    """
    scenarios: list[Scenario] = []
    faults = []
    for path in sorted(path for path in Path(folder).glob("*") if path.suffix in (".yaml", ".yml", ".xlsx")):
        if path.name.startswith("~$"):  # the lock of a workbook that is open
            continue
        try:
            loaded = load_workbook(path) if path.suffix == ".xlsx" else [load_scenario(path)]
        except SettingsError as fault:
            faults.append(str(fault))
            continue
        known = {scenario.scenario_id for scenario in scenarios}
        faults += [f"{path}: scenario {one.scenario_id} is named by an earlier file too; give it another name"
                   for one in loaded if one.scenario_id in known]
        scenarios += loaded
    if faults:
        raise SettingsError("\n".join(faults))
    return scenarios


def load_workbook(path: Path | str) -> list[Scenario]:
    """Read the scenarios of a workbook: one lever a row on the first sheet, in the order in which scenarios first appear.

    Columns: scenario, table, operation, and where they apply title, reason, column, value, where (`column=value; column=value|value`),
    from_period, to_period, elasticity; title and reason need to stand in one row of a scenario only.

    Raises
    ------
    SettingsError
        When a column is missing or unknown, or a row is no lever; all faults at once, each with its row.
    """
    try:
        sheet = pd.read_excel(path, dtype=object).dropna(how="all")
    except (OSError, ValueError, KeyError) as fault:
        raise SettingsError(f"{path} is not a readable workbook: {fault}") from fault
    missing = [column for column in ("scenario", "table", "operation") if column not in sheet]
    unknown = [str(column) for column in sheet if column not in _WORKBOOK_COLUMNS]
    if missing or unknown:
        raise SettingsError(f"{path}: missing columns: {', '.join(missing) or 'none'}; unknown columns: {', '.join(unknown) or 'none'}; "
                            f"a sheet of levers has {', '.join(_WORKBOOK_COLUMNS)}")
    sheet = sheet.reindex(columns=list(_WORKBOOK_COLUMNS)).astype(object).where(lambda cells: cells.notna(), None)
    levers: dict[str, list[Lever]] = {}
    faults = []
    for number, row in zip(sheet.index + 2, sheet.to_dict("records"), strict=True):
        try:
            levers.setdefault(str(row["scenario"]), []).append(Lever.model_validate(_lever_content(row)))
        except ValidationError as fault:
            faults += [_fault_line(Path(f"{path} row {number}"), dict(one)) for one in fault.errors()]
        except json.JSONDecodeError as fault:
            faults.append(f"{path} row {number}: value: rows to insert are written as JSON, [{{\"column\": value}}] ({fault})")
    if faults:
        raise SettingsError("\n".join(faults))
    return [_from_sheet(path, name, tuple(found), sheet[sheet["scenario"].astype(str) == name]) for name, found in levers.items()]


def _from_sheet(path: Path | str, name: str, levers: tuple[Lever, ...], rows: pd.DataFrame) -> Scenario:
    words = {column: "; ".join(str(value) for value in rows[column].dropna().unique()) for column in ("title", "reason")}
    try:
        return Scenario.model_validate({"scenario": name, "levers": levers, **words})
    except ValidationError as faults:
        raise SettingsError("\n".join(_fault_line(Path(path), dict(fault)) for fault in faults.errors())) from None


def scenarios_from_records(lever: pd.DataFrame) -> list[Scenario]:
    """Scenarios that people recorded (table `lever`), in the order of their names.

    A filter reads `column=value; column=value|value`.

    Raises
    ------
    SettingsError
        When a record is not a valid lever.
    """
    scenarios = []
    for scenario_id, rows in lever.groupby("scenario_id"):
        content = {"scenario": scenario_id, "title": str(scenario_id), "reason": "; ".join(rows["why"].drop_duplicates()),
                   "levers": [_lever_content(row) for row in rows.to_dict("records")]}
        try:
            scenarios.append(Scenario.model_validate(content))
        except ValidationError as faults:
            raise SettingsError("\n".join(_fault_line(Path("lever record"), dict(fault)) for fault in faults.errors())) from None
    return scenarios


def lever_records(scenario: Scenario, calendar: Calendar) -> pd.DataFrame:
    """The levers of a scenario as rows of the record table `lever` (without who and when)."""
    rows = [
        {"scenario_id": scenario.scenario_id, "table": lever.table, "column": lever.column, "operation": lever.operation,
         "value": json.dumps(lever.rows) if lever.rows else _shown(lever.value),
         "where": "; ".join(f"{column}={_listed(value, '|')}" for column, value in lever.where.items()),
         "from_period": _period(lever.from_period, calendar), "to_period": _period(lever.to_period, calendar),
         "elasticity": _shown(lever.elasticity)}
        for lever in scenario.levers
    ]
    return pd.DataFrame(rows, columns=["scenario_id", "table", "column", "operation", "value", "where", "from_period", "to_period",
                                       "elasticity"])


# ------------------------------------------------------------------ applying
def apply_levers(tables: Tables, levers: Sequence[Lever], calendar: Calendar) -> dict[str, pd.DataFrame]:
    """Apply levers one after another on copies; the tables given are never changed.

    A lever on consensus demand moves its range in proportion and its revenue with it. A price or bill of material that is
    changed from or to a period is split at the edges of the period. A quantity that is shifted is added to what stands in the
    period it goes to, so totals are kept.

    Parameters
    ----------
    tables : mapping of DataFrame
        Input tables by name, and consensus_demand and inventory_target where levers address them.
    levers : sequence of Lever
        Changes, in order.
    calendar : Calendar
        Reads the names of periods and moves them.

    Returns
    -------
    dict of DataFrame
        All tables; those without a lever are the very frames given.

    Raises
    ------
    DataError
        With every fault of every lever: unknown table or column, a number operation on a column that holds none, a period
        that is none, a filter that matches no row, a value out of the table's bounds after the change.

    Examples
    --------
    >>> hours = pd.DataFrame({"resource_id": ["L1", "L2"], "period": pd.to_datetime(["2027-01-01"] * 2),
    ...                       "regular_hours": [100.0, 80.0], "overtime_hours": [0.0, 0.0], "demonstrated_hours": [90.0, None]})
    >>> half = Lever(table="capacity", column="regular_hours", operation="multiply", value=0.5, where={"resource_id": "L1"})
    >>> apply_levers({"capacity": hours}, [half], Calendar())["capacity"]["regular_hours"].tolist()
    [50.0, 80.0]
    """
    changed = dict(tables)
    found: list[dict] = []
    for number, lever in enumerate(levers, start=1):
        faults = _lever_faults(lever, changed, calendar)
        if not faults:
            changed[lever.table], faults = _applied(changed, lever, calendar)
        found += [{**fault, "keys": f"lever {number}: {lever.words}"} for fault in faults]
    for name in dict.fromkeys(lever.table for lever in levers):
        if name in changed and changed[name] is not tables.get(name):
            changed[name], issues = conform(name, changed[name])
            found += [{**row, "keys": f"after the levers, {row['keys']}"} for row in issues.to_dict("records")]
    if found:
        raise DataError(issue_frame(found))
    return changed


def _applied(tables: Tables, lever: Lever, calendar: Calendar) -> tuple[pd.DataFrame, list[dict]]:
    """The lever's table after it, and what was wrong with its effect."""
    if lever.operation == "insert":
        return _inserted(tables[lever.table], lever, calendar), []
    frame = _split_validity(tables[lever.table], lever, calendar)
    picked = _picked(frame, lever, tables, calendar)
    faults = _effect_faults(frame, picked, lever)
    return (frame if faults else _pulled(frame, picked, lever, calendar)), faults


def _inserted(frame: pd.DataFrame, lever: Lever, calendar: Calendar) -> pd.DataFrame:
    """The frame with the lever's rows; what a row leaves out is empty and takes the table's default where there is one."""
    rows = pd.DataFrame(list(lever.rows))
    start, end = _period(lever.from_period, calendar), _period(lever.to_period, calendar)
    if "period" in frame and "period" not in rows and start is not None and end is not None:
        rows = rows.merge(pd.DataFrame({"period": pd.date_range(start, end, freq=calendar.frequency)}), how="cross")
    # Bounds, defaults and double keys are looked at after the last lever, with the whole table.
    added, _ = conform(lever.table, rows)
    return pd.concat([part for part in (frame, added) if len(part)], ignore_index=True) if len(added) else frame


def _row_faults(lever: Lever, calendar: Calendar) -> list[dict]:
    """What is wrong with the rows that a lever inserts."""
    columns = table(lever.table).columns
    unknown = sorted({name for row in lever.rows for name in row if name not in columns})
    faults = [_fault("unknown_column", lever, name, f"use one of {', '.join(columns)}") for name in unknown]
    if "period" in columns and any("period" not in row for row in lever.rows) and not (lever.from_period and lever.to_period):
        faults.append(_fault("no_period", lever, "", "name the period in each row, or from_period and to_period for all"))
    if faults:
        return faults
    rows = pd.DataFrame([{"period": lever.from_period, **row} if "period" in columns else row for row in lever.rows])
    if "period" in columns:
        rows["period"] = [_period(str(name), calendar) if name is not None and not isinstance(name, pd.Timestamp) else name
                          for name in rows["period"]]
    _, issues = conform(lever.table, rows)
    return [{**row, "keys": f"{lever.words}: {row['keys']}"} for row in issues.to_dict("records") if row["severity"] == "blocks"]


def _lever_faults(lever: Lever, tables: Tables, calendar: Calendar) -> list[dict]:
    """What can be said before a lever touches a row."""
    known = [name for name in (*names("input"), *_COMPUTED) if name in tables]
    if lever.table not in known:
        return [_fault("unknown_table", lever, lever.table, f"use one of {', '.join(known)}")]
    columns = table(lever.table).columns
    faults = []
    if lever.column and lever.column not in columns:
        faults.append(_fault("unknown_column", lever, lever.column, f"use one of {', '.join(columns)}"))
    elif lever.operation in ("multiply", "add") and columns[lever.column].type not in ("number", "integer"):
        faults.append(_fault("not_a_number_column", lever, lever.column, "multiply and add work on numbers; use set or shift"))
    elif lever.operation == "shift" and columns[lever.column].type not in ("date", "number", "integer"):
        faults.append(_fault("not_a_date_column", lever, lever.column, "shift works on dates and on quantities by period"))
    elif lever.operation == "shift" and columns[lever.column].type != "date" and "period" not in columns:
        faults.append(_fault("no_period_column", lever, lever.column, "a quantity can be shifted only in a table with a period"))
    faults += [_fault("unknown_filter_column", lever, column, "name a column of the table, or of item, market, resource or location")
               for column in lever.where if _filter_values(tables[lever.table], column, tables) is None]
    faults += _period_faults(lever, calendar)
    return faults + (_row_faults(lever, calendar) if lever.rows and not faults else [])


def _period_faults(lever: Lever, calendar: Calendar) -> list[dict]:
    faults = []
    for name in ("from_period", "to_period"):
        try:
            _period(getattr(lever, name), calendar)
        except SettingsError as fault:
            faults.append(_fault("not_a_period", lever, getattr(lever, name), str(fault)))
    if (lever.from_period or lever.to_period) and _time_column(lever.table) is None:
        faults.append(_fault("no_period_column", lever, "", f"rows of {lever.table} have no date; leave from_period and to_period out"))
    return faults


def _effect_faults(frame: pd.DataFrame, picked: pd.Series, lever: Lever) -> list[dict]:
    """A lever that moves nothing is a mistake, not a scenario."""
    if not picked.any():
        return [_fault("no_row_matched", lever, "", "the filter matches no row: check the values of where and the periods")]
    if lever.operation in ("multiply", "add", "shift") and frame.loc[picked, lever.column].isna().all():
        return [_fault("nothing_to_change", lever, lever.column, "every value picked is empty (no limit, no rate); use set to state one")]
    return []


def _pulled(frame: pd.DataFrame, picked: pd.Series, lever: Lever, calendar: Calendar) -> pd.DataFrame:
    """The frame after the lever."""
    if lever.operation == "remove":
        return frame[~picked].reset_index(drop=True)
    column, out = frame[lever.column], frame.copy()
    if lever.operation == "multiply":
        out[lever.column] = column.where(~picked, column * lever.value)
    elif lever.operation == "add":
        out[lever.column] = column.where(~picked, column + lever.value)
    elif lever.operation == "set":
        out[lever.column] = column.where(~picked, _typed_value(lever))
    elif table(lever.table).columns[lever.column].type == "date":
        out[lever.column] = column.where(~picked, _moved(column, int(lever.value or 0), calendar))
    else:
        out = _moved_quantity(frame, picked, lever, calendar)
    return _consensus_follows(frame, out) if lever.table == "consensus_demand" and lever.operation != "shift" else out


def _typed_value(lever: Lever) -> Any:
    kind = table(lever.table).columns[lever.column].type
    if lever.value is None:
        return np.nan if kind in ("number", "integer") else pd.NaT if kind == "date" else None
    return pd.Timestamp(str(lever.value)) if kind == "date" else lever.value


def _moved(dates: pd.Series, buckets: int, calendar: Calendar) -> pd.Series:
    days = pd.Series(dates.dropna().unique())
    return dates.map({day: calendar.add(day, buckets) for day in days}).astype("datetime64[ns]")


def _moved_quantity(frame: pd.DataFrame, picked: pd.Series, lever: Lever, calendar: Calendar) -> pd.DataFrame:
    """Take the quantity out of its periods and add it to those it goes to; the total is kept."""
    key = list(table(lever.table).key)
    arriving = frame[picked & frame[lever.column].notna()].copy()
    arriving["period"] = _moved(arriving["period"], int(lever.value or 0), calendar)
    measures = ["demand_qty", "low_qty", "high_qty", "revenue_amt"] if lever.table == "consensus_demand" else [lever.column]
    left = frame.copy()
    left[measures] = left[measures].mask(picked, 0.0)  # planned zero: the quantity has gone elsewhere
    both = pd.concat([left, arriving], ignore_index=True)
    summed = both.groupby(key, sort=False)[measures].sum(min_count=1)
    rows = both.drop_duplicates(key).drop(columns=measures).merge(summed.reset_index(), on=key, how="left", validate="1:1")
    return rows[list(frame.columns)].sort_values(key, ignore_index=True)


def _consensus_follows(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Range in proportion to demand (on demand where there was none), revenue = demand × price."""
    if len(before) == len(after):
        old, new = before["demand_qty"], after["demand_qty"]
        ratio = new / old.where(old != 0)
        for bound in ("low_qty", "high_qty"):
            # The lever may address the bound itself; then it stands as the lever says.
            follows = after[bound].eq(before[bound]) & new.ne(old)
            after[bound] = after[bound].mask(follows, (before[bound] * ratio).where(ratio.notna(), new))
    return after.assign(revenue_amt=after["demand_qty"] * after["price_amt"])


# ------------------------------------------------------------------ which rows
def picked_rows(tables: Tables, lever: Lever, calendar: Calendar) -> np.ndarray | None:
    """True for every row of its table that a lever is about; None where the lever is at fault (`apply_levers` says how)."""
    if lever.table not in tables or _lever_faults(lever, tables, calendar):
        return None
    picked = _picked(tables[lever.table], lever, tables, calendar).to_numpy(dtype=bool)
    return picked if picked.any() else None


def scenario_tables(inputs: Tables, consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame, levers: Sequence[Lever],
                    calendar: Calendar, periods: pd.DatetimeIndex, driver_effect: pd.DataFrame | None = None) -> dict[str, pd.DataFrame]:
    """Every table as the plan of a scenario reads it: levers applied, demand at the changed prices, inside the horizon.

    Demand answers a changed price by the elasticity its lever states, else by that of `driver_effect` (none given: not at all), except
    where a lever moves the demand itself.

    Raises
    ------
    DataError
        With every fault of every lever.
    """
    return _scenario_tables(inputs, consensus_demand, inventory_target, levers, calendar, periods, driver_effect)


def _picked(frame: pd.DataFrame, lever: Lever, tables: Tables, calendar: Calendar) -> pd.Series:
    """The rows a lever is about."""
    picked = pd.Series(True, index=frame.index)
    for column, wanted in lever.where.items():
        picked &= _is_one_of(_filter_values(frame, column, tables), wanted)
    start, end = _period(lever.from_period, calendar), _period(lever.to_period, calendar)
    time = _time_column(lever.table)
    if time is not None and (start is not None or end is not None):
        days = frame[time]
        periods = days if time == "period" else calendar.periods_of(days)
        picked &= (periods >= start) if start is not None else True
        picked &= (periods <= end) if end is not None else True
    return picked


def _filter_values(frame: pd.DataFrame, column: str, tables: Tables) -> Any:
    """The column of the table, or of the master table its ids lead to; None when there is none."""
    if column in frame:
        return frame[column]
    for id_column, master in _MASTERS:
        if id_column in frame and master in tables and column in tables[master]:
            values = tables[master].set_index(table(master).key[0])[column]
            return frame[id_column].map(values)
    return None


def _is_one_of(values: pd.Series, wanted: Scalar | list[Scalar]) -> pd.Series:
    choices = wanted if isinstance(wanted, list) else [wanted]
    if pd.api.types.is_bool_dtype(values):
        return values.isin([str(choice).lower() in ("true", "1", "yes") for choice in choices])
    if pd.api.types.is_numeric_dtype(values):
        return values.isin(pd.to_numeric(pd.Series(choices), errors="coerce").dropna())
    words = [str(choice) for choice in choices]
    # Ids are text already; writing a hundred thousand of them out again is what a slider would wait for.
    return values.isin(words) if values.dtype == object else values.astype(str).isin(words) & values.notna()


def _time_column(name: str) -> str | None:
    return next((column for column in _TIMES if column in table(name).columns), None)


def _period(name: str | None, calendar: Calendar) -> pd.Timestamp | None:
    """The period a lever names: a cycle name (`2027-01`, `2027-W03`) or any day in it."""
    if name is None:
        return None
    if len(name) == 10:
        try:
            return calendar.period_of(pd.Timestamp(name))
        except ValueError as fault:
            raise SettingsError(f"{name!r} is not a day; write it like 2027-01-31") from fault
    return calendar.cycle_period(name)


def _split_validity(frame: pd.DataFrame, lever: Lever, calendar: Calendar) -> pd.DataFrame:
    """A table of validities (price, bill of material) with a row starting at each edge of the lever's periods."""
    if _time_column(lever.table) != "valid_from":
        return frame
    start, end = _period(lever.from_period, calendar), _period(lever.to_period, calendar)
    edges = [calendar.first_day(start)] if start is not None else []
    edges += [calendar.first_day(calendar.add(end, 1))] if end is not None else []
    for edge in edges:
        frame = _split_at(frame, [c for c in table(lever.table).key if c != "valid_from"], edge)
    return frame


def _split_at(frame: pd.DataFrame, key: list[str], edge: pd.Timestamp) -> pd.DataFrame:
    started = frame[frame["valid_from"] <= edge].sort_values("valid_from")
    if "valid_to" in frame:
        in_force = started[started["valid_to"].isna() | (started["valid_to"] >= edge)]
    else:
        in_force = started.drop_duplicates(key, keep="last")
    later = in_force[in_force["valid_from"] < edge]
    kept = frame.copy()
    if "valid_to" in frame:
        kept.loc[later.index, "valid_to"] = edge - pd.Timedelta(days=1)
    rows = pd.concat([kept, later.assign(valid_from=edge)], ignore_index=True) if len(later) else kept
    return rows.sort_values([*key, "valid_from"], ignore_index=True)


# ------------------------------------------------------------------ evaluating
def evaluate(
    inputs: Tables, consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame, levers: Sequence[Lever],
    settings: Settings, periods: pd.DatetimeIndex, calendar: Calendar, driver_effect: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Plan and value one scenario from consensus demand on, by the functions that make base.

    Stock targets stand as in base unless a lever addresses inventory_target.

    Parameters
    ----------
    inputs, consensus_demand, inventory_target
        Tables of the cycle; a lever may address any that the plan reads.
    levers : sequence of Lever
        None for base.
    settings, periods, calendar
        As for `plan_supply`.
    driver_effect : DataFrame, optional
        Elasticities by which demand answers a changed price where the lever states none.

    Returns
    -------
    dict of DataFrame
        consensus_demand, inventory_target, capacity_load, the tables of the supply plan, financial_projection, cash_projection.

    Raises
    ------
    DataError
        When a lever is wrong, or addresses a table that the plan does not read (its effect would silently be nothing).
    InfeasiblePlanError
        When hard limits clash.
    """
    changed = _scenario_tables(inputs, consensus_demand, inventory_target, levers, calendar, periods, driver_effect)
    demand, target = changed.pop("consensus_demand"), changed.pop("inventory_target")
    plan = plan_supply(changed, demand, target, settings, periods, calendar)
    projection = project_financials(plan.supply_plan, plan.resource_plan, plan.shipment_plan, plan.purchase_plan, plan.unmet_demand,
                                    plan.inventory_projection, changed, settings, calendar)
    return {
        "consensus_demand": demand, "inventory_target": target, "capacity_load": capacity.rough_cut_load(demand, changed, calendar),
        **plan.tables, "financial_projection": projection,
        "cash_projection": cash_projection(projection, changed, settings, calendar),
    }


def evaluate_all(
    scenarios: Sequence[Scenario], inputs: Tables, consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame,
    settings: Settings, periods: pd.DatetimeIndex, calendar: Calendar, driver_effect: pd.DataFrame | None = None,
) -> dict[str, dict[str, pd.DataFrame]]:
    """Evaluate several scenarios; the faulty levers of all are told before anything is planned.

    From eight scenarios on they are planned side by side in `settings.compute.workers` processes, with the same results.

    Returns
    -------
    dict of dict of DataFrame
        Tables by scenario_id, in the order given. A scenario without a feasible plan has the table `issue` alone, which
        names the clashing limits.

    Raises
    ------
    DataError
        With the faulty levers of all scenarios, before anything is planned.
    """
    found = [_named_faults(scenario, inputs, consensus_demand, inventory_target, periods, calendar) for scenario in scenarios]
    faults = [row for rows in found for row in rows]
    if faults:
        raise DataError(issue_frame(faults))
    planned = partial(_feasible_or_told, inputs, consensus_demand, inventory_target, settings, periods, calendar, driver_effect)
    workers = settings.compute.workers
    if workers > 1 and len(scenarios) >= _FEWEST_IN_PARALLEL:
        results = _side_by_side(planned, scenarios, workers)
    else:
        results = [planned(scenario) for scenario in scenarios]
    return {scenario.scenario_id: result for scenario, result in zip(scenarios, results, strict=True)}


def _feasible_or_told(
    inputs: Tables, consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame, settings: Settings, periods: pd.DatetimeIndex,
    calendar: Calendar, driver_effect: pd.DataFrame | None, scenario: Scenario,
) -> dict[str, pd.DataFrame]:
    """The tables of one scenario, or the issue that no plan keeps its limits; how far each price holds is worked out for base alone."""
    explained = 0 if scenario.levers else settings.supply.explained_limits
    brief = settings.model_copy(update={"supply": settings.supply.model_copy(update={"explained_limits": explained})})
    try:
        return evaluate(inputs, consensus_demand, inventory_target, scenario.levers, brief, periods, calendar, driver_effect)
    except InfeasiblePlanError as clash:
        clashing = finding("infeasible_plan", "warns", "supply_plan", "", 1, str(clash), "relax one of the limits named")
        return {"issue": issue_frame([clashing])}


def _side_by_side(planned: partial, scenarios: Sequence[Scenario], workers: int) -> list[dict[str, pd.DataFrame]]:
    """Results in the order of the scenarios; the tables travel to each process once."""
    # A forked copy of a notebook's kernel would hold its threads' locks: workers start clean.
    context = multiprocessing.get_context("forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
    with ProcessPoolExecutor(min(workers, len(scenarios)), context, _start_worker, (planned,)) as pool:
        return list(pool.map(_work, scenarios, chunksize=max(1, len(scenarios) // (4 * workers))))


_PLANNED: list[partial] = []


def _start_worker(planned: partial) -> None:
    _PLANNED[:] = [planned]


def _work(scenario: Scenario) -> dict[str, pd.DataFrame]:
    return _PLANNED[0](scenario)


def _named_faults(scenario: Scenario, inputs: Tables, demand: pd.DataFrame, target: pd.DataFrame, periods: pd.DatetimeIndex,
                  calendar: Calendar) -> list[dict]:
    try:
        _scenario_tables(inputs, demand, target, scenario.levers, calendar, periods)
    except DataError as fault:
        return [{**row, "keys": f"scenario {scenario.scenario_id}, {row['keys']}"} for row in fault.issues.to_dict("records")]
    return []


def _scenario_tables(inputs: Tables, demand: pd.DataFrame, target: pd.DataFrame, levers: Sequence[Lever], calendar: Calendar,
                     periods: pd.DatetimeIndex, driver_effect: pd.DataFrame | None = None) -> dict[str, pd.DataFrame]:
    unread = [_fault("table_not_read_by_plan", lever, lever.table, "a scenario starts from consensus demand: address consensus_demand, "
                     "inventory_target or a table the plan reads") for lever in levers if lever.table not in _PLAN_READS]
    if unread:
        raise DataError(issue_frame(unread))
    base = {**inputs, "consensus_demand": demand, "inventory_target": target}
    changed = apply_levers(base, levers, calendar)
    if changed["price"] is not base["price"]:
        answered = _answered_price(base, changed["consensus_demand"], levers, driver_effect, calendar, periods)
        changed["consensus_demand"] = _repriced(answered, base["price"], changed["price"], periods)
    if levers:
        # Demand shifted past the horizon is not planned any more.
        planned = changed["consensus_demand"]["period"].isin(periods)
        changed["consensus_demand"] = changed["consensus_demand"][planned].reset_index(drop=True)
    return changed


_CELL, _QUANTITIES = ["item_id", "market_id", "period"], ["demand_qty", "low_qty", "high_qty"]


def _answered_price(base: Tables, demand: pd.DataFrame, levers: Sequence[Lever], driver_effect: pd.DataFrame | None, calendar: Calendar,
                    periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Demand after the levers, answering every price lever in turn by its elasticity, where no lever moved the demand itself."""
    before = demand[_CELL].merge(base["consensus_demand"][[*_CELL, "demand_qty"]], on=_CELL, how="left", validate="1:1")
    stands = before["demand_qty"].to_numpy() != demand["demand_qty"].to_numpy()
    answered, now = demand.copy(), dict(base)
    for lever in levers:
        old = now["price"]
        now[lever.table], _ = _applied(now, lever, calendar)
        effect = _elasticity(lever, driver_effect)
        if lever.table != "price" or effect is None:
            continue
        change = _listed_prices(demand, old, now["price"], periods)["ratio"].fillna(1.0) - 1
        moved = (change != 0).to_numpy() & ~stands
        if moved.any():
            answered.loc[moved, _QUANTITIES] = repriced_demand(answered[moved], effect, change[moved])[_QUANTITIES]
    return answered


def _elasticity(lever: Lever, driver_effect: pd.DataFrame | None) -> pd.DataFrame | None:
    """Elasticities a price lever is answered by, as rows of `driver_effect`: the stated one, else those learned; None for no answer."""
    if lever.elasticity is not None:
        return pd.DataFrame([{"driver": PRICE, "member": "all", "measure": ELASTICITY, "effect_ratio": lever.elasticity,
                              "low_ratio": lever.elasticity, "high_ratio": lever.elasticity, "basis": STATED}])
    if driver_effect is None or lever.table != "price" or lever.column != "price_amt":
        return None
    known = driver_effect[(driver_effect["driver"] == PRICE) & (driver_effect["measure"] == ELASTICITY)]
    return driver_effect if (known["member"] == "all").any() else None


def _listed_prices(demand: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Old and new list price (price_amt_old, price_amt_new) of each row of demand; empty where the list did not move."""
    moved = price_in_period(before, periods).merge(price_in_period(after, periods), on=_CELL, suffixes=("_old", "_new"), validate="1:1")
    moved = moved[moved["price_amt_old"] != moved["price_amt_new"]]
    listed = demand[_CELL].merge(moved, on=_CELL, how="left", validate="1:1").set_index(demand.index)
    return listed.assign(ratio=listed["price_amt_new"] / listed["price_amt_old"].where(listed["price_amt_old"] != 0))


def _answer_words(scenario: Scenario, driver_effect: pd.DataFrame | None) -> str:
    """On what the demand of a scenario with a price lever that states no elasticity rests."""
    effects = [_elasticity(lever, driver_effect) for lever in scenario.levers if lever.table == "price" and lever.elasticity is None]
    known = next((effect for effect in effects if effect is not None), None)
    if known is None:
        return ""
    general = known[(known["driver"] == PRICE) & (known["measure"] == ELASTICITY) & (known["member"] == "all")].iloc[0]
    return f"; demand answers the price by elasticity {general['effect_ratio']:.2f} ({general['basis']}) where no lever moves it"


def _repriced(demand: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Consensus at the changed prices: each row's own price moved as the price list moved."""
    listed = _listed_prices(demand, before, after, periods)
    price = (demand["price_amt"] * listed["ratio"]).fillna(listed["price_amt_new"]).fillna(demand["price_amt"])
    return demand.assign(price_amt=price, revenue_amt=demand["demand_qty"] * price)


# ------------------------------------------------------------------ comparing
def compare(results: Mapping[str, Tables], scenarios: Sequence[Scenario], calendar: Calendar,
            driver_effect: pd.DataFrame | None = None) -> pd.DataFrame:
    """Put every measure of every scenario beside base.

    Parameters
    ----------
    results : mapping of mapping of DataFrame
        By scenario_id: financial_projection, unmet_demand, resource_plan, cash_projection. Without a financial_projection no
        plan was found. Must hold `base`.
    scenarios : sequence of Scenario
        Where their levers come from.
    calendar : Calendar
        Scales flows of the horizon to a year for days of inventory.
    driver_effect : DataFrame, optional
        As for `evaluate`: the words of a price lever say by what elasticity demand answered.

    Returns
    -------
    DataFrame
        The `scenario_comparison` table: base first, then in the order given; delta = scenario − base.

    Raises
    ------
    DataError
        When base is missing or has no plan to compare with.
    """
    if "financial_projection" not in results.get(BASE, {}):
        raise DataError(issue_frame([finding("no_base", "blocks", "scenario_comparison", "", 1, "", "make the base plan first")]))
    levers = {one.scenario_id: "; ".join(lever.words for lever in one.levers) + _answer_words(one, driver_effect) for one in scenarios}
    titles = {scenario.scenario_id: scenario.title for scenario in scenarios}
    base = _measures(results[BASE], calendar)
    rows = []
    for scenario_id in [BASE, *(name for name in results if name != BASE)]:
        is_feasible = "financial_projection" in results[scenario_id]
        values = _measures(results[scenario_id], calendar) if is_feasible else {name: (unit, np.nan) for name, (unit, _) in base.items()}
        rows += [
            {"scenario": scenario_id, "measure": name, "sequence": sequence, "unit": unit, "value": value, "delta": value - base[name][1],
             "title": titles.get(scenario_id, ""), "levers": levers.get(scenario_id, ""), "is_feasible": is_feasible}
            for sequence, (name, (unit, value)) in enumerate(values.items(), start=1)
        ]
    return validate("scenario_comparison", pd.DataFrame(rows))


def _measures(result: Tables, calendar: Calendar) -> dict[str, tuple[str, float]]:
    """The measures of one plan with their units, in the order they are shown."""
    money, unmet = result["financial_projection"], result["unmet_demand"]
    total = money[["revenue_amt", "gross_margin_amt", "profit_amt", "cogs_amt"]].sum()
    inventory = money.groupby("period")["inventory_amt"].sum().mean()
    cogs_per_year = total["cogs_amt"] * calendar.buckets_per_year / money["period"].nunique()
    hours = result["resource_plan"]
    load = hours["used_hours"] / hours["regular_hours"].where(hours["regular_hours"] > 0)
    return {
        "revenue": ("reporting currency", total["revenue_amt"]),
        "gross margin": ("reporting currency", total["gross_margin_amt"]),
        "profit": ("reporting currency", total["profit_amt"]),
        "operating result": ("reporting currency", income_statement(money, calendar)["operating_result_amt"].sum()),
        "fill rate": ("ratio", kpi.fill_rate(unmet["served_qty"], unmet["demand_qty"])),
        "lost revenue": ("reporting currency", unmet["lost_revenue_amt"].sum()),
        "inventory": ("reporting currency", inventory),
        "inventory days": ("days", kpi.days_of_inventory(cogs_per_year, inventory)),
        "peak load": ("ratio", load.max()),
        "overtime": ("hours", hours["overtime_used_hours"].sum()),
        "cash low point": ("reporting currency", result["cash_projection"]["closing_cash_amt"].min()),
    }


# ------------------------------------------------------------------ words
def _fault(rule: str, lever: Lever, value: Any, remedy: str) -> dict:
    return finding(rule, "blocks", lever.table, lever.words, 1, value, remedy)


def _fault_line(path: Path, fault: dict) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "levers"
    if fault["type"] == "extra_forbidden":
        return f"{path}: unknown key {key}; remove it or correct its spelling"
    return f"{path}: {key}: {fault['msg'].removeprefix('Value error, ')} (found {fault.get('input')!r})"


def _listed(value: Scalar | list[Scalar], separator: str = ", ") -> str:
    return separator.join(_shown(v) for v in value) if isinstance(value, list) else _shown(value)


def _shown(value: Scalar | None) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _lever_content(row: dict) -> dict:
    """A record of table `lever`, or a row of a workbook, as the content of a lever."""
    parts = [part.split("=", 1) for part in str(row["where"] or "").split(";") if "=" in part]
    where = {column.strip(): value.strip().split("|") for column, value in parts}
    days = {name: _day_words(row[name]) for name in ("from_period", "to_period")}
    content = {"table": row["table"], "column": row["column"] or "", "operation": row["operation"], "where": where, **days}
    answer = row.get("elasticity")
    if answer is not None and not pd.isna(answer) and str(answer).strip():
        content["elasticity"] = _number_or_text(answer)
    if row["operation"] == "insert":
        return {**content, "rows": json.loads(str(row["value"] or "[]"))}
    return content if row["operation"] == "remove" else {**content, "value": _number_or_text(row["value"])}


def _day_words(day: Any) -> str | None:
    """A period as a lever names it: a day of a record, a cell of a workbook, or the name itself."""
    if day is None or pd.isna(day):
        return None
    return day if isinstance(day, str) else f"{pd.Timestamp(day):%Y-%m-%d}"


def _row_words(row: Mapping[str, Scalar | None]) -> str:
    return ", ".join(f"{column} {_shown(value)}" for column, value in row.items())


def _number_or_text(value: Any) -> Scalar | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except ValueError:
        return value
