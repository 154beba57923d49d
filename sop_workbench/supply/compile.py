"""From Pyomo templates to arrays: every constraint family and every cost term evaluated over all its rows at once.

A family is one Pyomo expression with symbolic indices (see `notation`). It is evaluated on a grid of keys by
periods: an index is a column of numbers, the period a row of numbers, a variable the number of its column, a sum
over members more rows of the grid that remember the row they belong to. Stock Pyomo on the same rules is the
oracle of the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import highspy
import numpy as np
import pandas as pd
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import DivisionExpression, NegationExpression, ProductExpression, SumExpressionBase
from pyomo.core.expr.relational_expr import EqualityExpression
from pyomo.core.expr.template_expr import GetItemExpression, IndexTemplate, TemplateSumExpression
from scipy.sparse import coo_array, csc_array

from sop_workbench.supply.notation import ABSENT, BulkConstraint, ConstantOrNothing, EntryOrNothing, IndexSet, Members

_INFINITY = highspy.kHighsInf


@dataclass(frozen=True)
class Block:
    """One variable or constraint family: its index and its columns or rows, which stand together."""

    members: Members
    first: int

    @cached_property
    def keys(self) -> list[tuple]:
        """Index tuples, in the order of the positions."""
        keys = self.members.keys
        return keys if self.members.dimen > 1 else [(key,) for key in keys]

    def keys_at(self, numbers: np.ndarray) -> list[tuple]:
        """Index tuples of some of them, counted from the first."""
        parts = [column.tolist() for column in self.members.columns(numbers)]
        return list(zip(*parts, strict=True))

    @cached_property
    def positions(self) -> np.ndarray:
        """Columns or rows."""
        return np.arange(self.first, self.first + len(self.members))

    def position(self, frame: pd.DataFrame, key: list[str]) -> np.ndarray:
        """The column or row of every row of a frame, -1 where there is none."""
        codes = [self.members.vocabulary.encode(frame[column], add=False)[:, None] for column in key]
        found = self.members.position(codes)[:, 0]
        return np.where(found >= 0, found + self.first, ABSENT)

    def index(self, names: list[str]) -> pd.MultiIndex:
        """The keys as an index."""
        return pd.MultiIndex.from_arrays(self.members.columns(), names=names)


@dataclass(frozen=True)
class Term:
    """One named expression of the objective, linear in the columns."""

    columns: np.ndarray
    coefficients: np.ndarray
    constant: float

    def value(self, column_values: np.ndarray) -> float:
        """The expression at a solution."""
        return float(self.coefficients @ column_values[self.columns]) + self.constant


@dataclass(frozen=True)
class Arrays:
    """A model as HiGHS takes it, with the way back from columns and rows to names.

    Attributes
    ----------
    matrix : csc_array
        Coefficients, rows × columns.
    cost, lower, upper : ndarray
        By column; `offset` is the constant of the objective (maximised).
    row_lower, row_upper : ndarray
        By row.
    is_integer : ndarray of bool
        By column.
    columns, rows : dict of str to Block
        Variables and constraint families by name.
    terms : dict of str to Term
        Named expressions by name.
    """

    matrix: csc_array
    cost: np.ndarray
    offset: float
    lower: np.ndarray
    upper: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray
    is_integer: np.ndarray
    columns: dict[str, Block]
    rows: dict[str, Block]
    terms: dict[str, Term] = field(default_factory=dict)

    @property
    def columns_count(self) -> int:
        """Number of variables."""
        return len(self.cost)


def compile_arrays(model: pyo.ConcreteModel) -> Arrays:
    """Compile a linear model once into arrays, keeping the map from names to columns and rows.

    Raises
    ------
    KeyError
        When a rule asks for an entry that does not exist.
    TypeError
        When a rule says what no template can: a product of variables, an `if` on an index.
    """
    columns, lower, upper, is_integer = _columns(model)
    compiler = _Compiler(columns)
    rows: dict[str, Block] = {}
    sides, entries, first = [], [], 0
    for family in model.component_objects(pyo.Constraint, active=True):
        rows[family.local_name] = Block(family.index_set().members, first)
        family_entries, family_sides = compiler.family(family, first)
        entries += family_entries
        sides.append(family_sides)
        first += len(family.index_set())
    terms = {name.local_name: compiler.term(name) for name in model.component_objects(pyo.Expression)}
    objective = next(model.component_objects(pyo.Objective, active=True))
    worth = compiler.term(objective)
    cost = np.bincount(worth.columns, weights=worth.coefficients, minlength=len(lower)) if len(lower) else np.array([])
    sense = 1.0 if objective.sense == pyo.maximize else -1.0
    return Arrays(
        matrix=_matrix(entries, (first, len(lower))), cost=sense * cost, offset=sense * worth.constant,
        lower=lower, upper=upper, is_integer=is_integer,
        row_lower=np.concatenate([low for low, _ in sides]) if sides else np.array([]),
        row_upper=np.concatenate([high for _, high in sides]) if sides else np.array([]),
        columns=columns, rows=rows, terms=terms)


def _columns(model: pyo.ConcreteModel) -> tuple[dict[str, Block], np.ndarray, np.ndarray, np.ndarray]:
    """Columns of every variable, one block after the other, with the bounds and integrality of its domain."""
    blocks: dict[str, Block] = {}
    low, high, whole, first = [], [], [], 0
    for variable in model.component_objects(pyo.Var):
        members = variable.index_set().members
        blocks[variable.local_name] = Block(members, first)
        size = len(members)
        least, most, step = variable.interval
        low.append(np.full(size, -_INFINITY if least is None else least))
        high.append(np.full(size, _INFINITY if most is None else most))
        whole.append(np.full(size, step == 1))
        first += size
    none = np.array([])
    return blocks, np.concatenate([none, *low]), np.concatenate([none, *high]), np.concatenate([none, *whole]).astype(bool)


def _matrix(entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]], shape: tuple[int, int]) -> csc_array:
    """Entries (rows, columns, coefficients) as one matrix; what is stated twice adds up."""
    rows, columns, coefficients = (np.concatenate(parts) if parts else np.array([]) for parts in zip(*entries, strict=True)) \
        if entries else (np.array([], dtype=np.int32), np.array([], dtype=np.int32), np.array([]))
    return coo_array((coefficients, (rows, columns)), shape=shape).tocsc()


# ------------------------------------------------------------------ evaluation on a grid of keys by periods
class _SecondPeriodError(Exception):
    """A rule about a period sums over periods: keys and periods must become one column first."""


@dataclass(frozen=True)
class _Grid:
    """Where an expression is evaluated: values of the open indices, `rows` keys × `periods`, and which cells exist (None: all)."""

    rows: int
    periods: int
    values: dict[int, np.ndarray]
    exists: np.ndarray | None = None


@dataclass(frozen=True)
class _Part:
    """Columns and coefficients on a grid; `parent` is the row of the outer grid each row belongs to (None: its own)."""

    parent: np.ndarray | None
    columns: np.ndarray
    coefficients: Any

    def scaled(self, factor: Any) -> _Part:
        if isinstance(factor, np.ndarray) and factor.shape[0] > 1 and self.parent is not None:
            factor = factor[self.parent]
        return _Part(self.parent, self.columns, self.coefficients * factor)


@dataclass(frozen=True)
class _Linear:
    """A constant and variables with coefficients."""

    constant: Any = 0.0
    parts: tuple[_Part, ...] = ()

    def scaled(self, factor: Any) -> _Linear:
        is_nothing = np.ndim(self.constant) == 0 and self.constant == 0  # times an endless factor it is still nothing
        return _Linear(0.0 if is_nothing else self.constant * factor, tuple(part.scaled(factor) for part in self.parts))

    def plus(self, other: _Linear) -> _Linear:
        return _Linear(self.constant + other.constant, self.parts + other.parts)


class _Compiler:
    """Evaluates templates; variables are known by name."""

    def __init__(self, columns: dict[str, Block]) -> None:
        self._blocks = columns
        self._named: dict[int, _Linear] = {}

    # -------------------------------------------------------------- families and terms
    def family(self, family: BulkConstraint, first: int) -> tuple[list[tuple], tuple[np.ndarray, np.ndarray]]:
        """Entries and sides of all rows of a family."""
        members = family.index_set().members
        try:
            grid, position = _grid_of(members, family.indices), members.grid()
            left, right = (self._evaluate(side, grid) for side in family.template.args)
        except _SecondPeriodError:
            grid, position = _one_column(members, family.indices), np.arange(len(members)).reshape(-1, 1)
            left, right = (self._evaluate(side, grid) for side in family.template.args)
        body, low, high = _bounded(family.template, left, right)
        entries = [_entries(part, position, first) for part in body.parts]
        return entries, (_by_row(low, position, len(members)), _by_row(high, position, len(members)))

    def term(self, expression: Any) -> Term:
        """A named expression or objective as a linear function of the columns."""
        worth = self._evaluate(expression.expr, _Grid(1, 1, {}))
        entries = [_entries(part, np.zeros((1, 1), dtype=np.int64), 0) for part in worth.parts]
        columns = np.concatenate([entry[1] for entry in entries]) if entries else np.array([], dtype=np.int32)
        weights = np.concatenate([entry[2] for entry in entries]) if entries else np.array([])
        return Term(columns, weights, float(np.sum(worth.constant)))

    # -------------------------------------------------------------- expressions
    def _evaluate(self, expression: Any, grid: _Grid) -> _Linear:
        """The linear expression on the grid."""
        if isinstance(expression, GetItemExpression):
            return self._entry(expression, grid)
        if isinstance(expression, TemplateSumExpression):
            return self._sum(expression, grid)
        if isinstance(expression, IndexTemplate):
            return _Linear(grid.values[id(expression)])
        if not hasattr(expression, "is_expression_type") or not expression.is_expression_type():
            return _Linear(float(pyo.value(expression)) if not isinstance(expression, (int, float)) else expression)
        if expression.is_named_expression_type():
            return self._named_expression(expression, grid)
        return self._arithmetic(expression, grid)

    def _arithmetic(self, expression: Any, grid: _Grid) -> _Linear:
        parts = [self._evaluate(argument, grid) for argument in expression.args]
        if isinstance(expression, SumExpressionBase):
            total = _Linear()
            for part in parts:
                total = total.plus(part)
            return total
        if isinstance(expression, NegationExpression):
            return parts[0].scaled(-1.0)
        if isinstance(expression, (ProductExpression, DivisionExpression)):
            left, right = parts
            if right.parts and (left.parts or isinstance(expression, DivisionExpression)):
                raise TypeError(f"a product or ratio of variables is not linear: {expression}")
            if isinstance(expression, DivisionExpression):
                right = _Linear(1.0 / right.constant)
            return left.scaled(right.constant) if left.parts or not right.parts else right.scaled(left.constant)
        raise TypeError(f"no template says {type(expression).__name__}: {expression}")

    def _named_expression(self, expression: Any, grid: _Grid) -> _Linear:
        """A named expression has no open index: it is evaluated once."""
        if grid.values:
            return self._evaluate(expression.expr, grid)
        if id(expression) not in self._named:
            self._named[id(expression)] = self._evaluate(expression.expr, grid)
        return self._named[id(expression)]

    def _entry(self, expression: GetItemExpression, grid: _Grid) -> _Linear:
        """An entry of a variable or parameter."""
        component, *index = expression.args
        members = component.index_set().members
        position = members.position([self._index(part, members, grid) for part in index])
        if not isinstance(expression, (EntryOrNothing, ConstantOrNothing)):
            _refuse_absent(component, expression, position, grid)
        if component.ctype is pyo.Var:
            first = self._blocks[component.local_name].first
            return _Linear(0.0, (_Part(None, np.where(position >= 0, position + first, ABSENT), 1.0),))
        numbers = component.numbers
        if not len(numbers):
            return _Linear(0)
        return _Linear(np.where(position >= 0, numbers[position], 0))

    def _index(self, part: Any, members: Members, grid: _Grid) -> np.ndarray:
        """Codes of one part of an index."""
        if isinstance(part, str):
            return np.array([[members.vocabulary.code(part)]])
        value = np.asarray(self._evaluate(part, grid).constant)
        return value.astype(np.int64) if value.ndim == 2 else value.astype(np.int64).reshape(1, 1)

    def _sum(self, expression: TemplateSumExpression, grid: _Grid) -> _Linear:
        """A sum over members: a grid with more rows, each belonging to a row of this one."""
        inner, parent = grid, np.arange(grid.rows)
        for indices in expression.template_iters():
            inner, rows = self._enter(inner, indices)
            parent = parent[rows]
        worth = self._evaluate(expression._local_args_[0], inner)
        summed_periods = inner.periods if inner.periods > grid.periods else 1  # what does not vary counts in each of them
        parts = tuple(_outer(part, inner, parent, summed_periods) for part in worth.parts)
        return _Linear(_summed(worth.constant, parent, grid, inner), parts)

    def _enter(self, grid: _Grid, indices: tuple[IndexTemplate, ...]) -> tuple[_Grid, np.ndarray]:
        """The grid of all members, and the row of the given grid each belongs to."""
        source = indices[0]._set
        if isinstance(source, IndexSet):
            return _crossed(grid, source.members, indices)
        codes = [np.asarray(self._evaluate(part, grid).constant) for part in source.group]
        if any(part.shape[1] > 1 for part in codes):
            raise _SecondPeriodError
        codes = [np.broadcast_to(part, (grid.rows, 1)) for part in codes]
        parent, members = source.relation.expand(codes)
        values = _taken(grid.values, parent) | {id(index): column[:, None] for index, column in zip(indices, members, strict=True)}
        return _Grid(len(parent), grid.periods, values, _rows_of(grid.exists, parent)), parent


def _grid_of(members: Members, indices: Sequence[IndexTemplate]) -> _Grid:
    """The grid of a set: keys by periods."""
    return _crossed(_Grid(1, 1, {}), members, indices)[0]


def _one_column(members: Members, indices: Sequence[IndexTemplate]) -> _Grid:
    """The grid of a set with one row per member and no periods beside."""
    entity, period = members.rows()
    columns = [code[entity] for code in members.codes] + ([period] if members.horizon is not None else [])
    return _Grid(len(members), 1, {id(index): column[:, None] for index, column in zip(indices, columns, strict=True)})


def _crossed(grid: _Grid, members: Members, indices: Sequence[IndexTemplate]) -> tuple[_Grid, np.ndarray]:
    """Every row of a grid with every member of a set."""
    if members.horizon is not None and grid.periods > 1:
        raise _SecondPeriodError
    parent = np.repeat(np.arange(grid.rows), members.entities)
    entity = np.tile(np.arange(members.entities), grid.rows)
    values = _taken(grid.values, parent)
    values |= {id(index): code[entity][:, None] for index, code in zip(indices, members.codes, strict=False)}
    exists, periods = _rows_of(grid.exists, parent), grid.periods
    if members.horizon is not None:
        periods = members.horizon
        values[id(indices[-1])] = np.arange(periods)[None, :]
        if members.table is not None:
            found = members.table[entity] >= 0
            exists = found if exists is None else exists & found
    return _Grid(len(parent), periods, values, exists), parent


def _taken(values: dict[int, np.ndarray], parent: np.ndarray) -> dict[int, np.ndarray]:
    return {name: _rows_of(value, parent) for name, value in values.items()}


def _rows_of(value: Any, parent: np.ndarray) -> Any:
    """Rows of an array by parent; what is the same for all rows stays."""
    return value[parent] if isinstance(value, np.ndarray) and value.shape[0] > 1 else value


def _outer(part: _Part, inner: _Grid, parent: np.ndarray, periods: int) -> _Part:
    """A part of an inner grid as one of the outer grid: every row and summed period counts, cells that do not exist do not."""
    columns = part.columns
    if inner.exists is not None:
        columns = np.where(inner.exists if part.parent is None else _rows_of(inner.exists, part.parent), columns, ABSENT)
    rows = inner.rows if part.parent is None else len(part.parent)
    columns = np.broadcast_to(columns, (rows, max(periods, columns.shape[1])))
    return _Part(parent if part.parent is None else parent[part.parent], columns, part.coefficients)


def _summed(constant: Any, parent: np.ndarray, grid: _Grid, inner: _Grid) -> Any:
    """Sum of an inner constant by row of the outer grid."""
    if np.ndim(constant) == 0 and constant == 0:
        return 0.0
    cells = np.broadcast_to(constant, (inner.rows, inner.periods))
    if inner.exists is not None:
        cells = np.where(inner.exists, cells, 0.0)
    if inner.periods > grid.periods:
        cells = cells.sum(axis=1, keepdims=True)
    total = np.zeros((grid.rows, cells.shape[1]))
    np.add.at(total, parent, cells)
    return total


def _refuse_absent(component: Any, expression: Any, position: np.ndarray, grid: _Grid) -> None:
    """Refuse an entry that must exist and does not."""
    absent = position < 0
    if grid.exists is not None:
        absent = absent & grid.exists
    if absent.any():
        raise KeyError(f"{component.local_name} has no entry for {int(absent.sum())} keys of {expression}; say at(…) where it may")


def _bounded(relation: Any, left: _Linear, right: _Linear) -> tuple[_Linear, Any, Any]:
    """Body and sides of a relation; as in Pyomo, a side without variables is the limit of the other."""
    is_equal = isinstance(relation, EqualityExpression)
    if right.parts and not left.parts:
        limit = left.constant - right.constant
        return right, limit, limit if is_equal else _INFINITY
    limit = right.constant - left.constant
    return left.plus(right.scaled(-1.0)), limit if is_equal else -_INFINITY, limit


def _entries(part: _Part, position: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and coefficients of the cells that exist."""
    rows = position if part.parent is None else (position[part.parent] if position.shape[0] > 1 else position)
    rows, columns, coefficients = np.broadcast_arrays(rows, part.columns, np.asarray(part.coefficients, dtype=float))
    is_there = (columns >= 0) & (rows >= 0) & (coefficients != 0)
    return (rows[is_there] + first).astype(np.int32), columns[is_there].astype(np.int32), coefficients[is_there]


def _by_row(limit: Any, position: np.ndarray, size: int) -> np.ndarray:
    """A side of a family by row."""
    sides = np.empty(size)
    is_there = position >= 0
    sides[position[is_there]] = np.broadcast_to(np.asarray(limit, dtype=float), position.shape)[is_there]
    return sides
