"""The notation of the supply model: sets, relations, parameters and variables of Pyomo that live in columns.

A rule of the model reads like a textbook and can be called in two ways. With a key it gives one Pyomo
constraint, as always. With symbolic indices (`tracing`) it gives one Pyomo template for a whole family, which
`compile` evaluates over all rows at once; no Pyomo object is then made per row or per entry.

What a rule may say: `m.price_amt[i, k, t]` (must exist), `at(m.lost_qty, i, k, t)` (nothing where it does not
exist), `quicksum(… for k in m.DELIVERIES_FROM[i, p])`, sums, products, `==`, `<=`, `>=`. What it may not say:
`if` on an index, because an index stands for all of them; a parameter or a set says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
from pyomo.core.base.constraint import IndexedConstraint
from pyomo.core.base.set import OrderedSetOf
from pyomo.core.expr.template_expr import (
    IndexTemplate,
    NPV_Numeric_GetItemExpression,
    Numeric_GetItemExpression,
    TemplateSumExpression,
)

PERIOD = "t"
ABSENT = -1


# ------------------------------------------------------------------ indices that stand for all their values
class Trace:
    """What symbolic indices a rule has opened so far."""

    def __init__(self) -> None:
        self.opened: list[tuple[IndexTemplate, ...]] = []
        self._count = 0

    def indices(self, source: Any, dimen: int) -> tuple[IndexTemplate, ...]:
        """New indices that stand for every member of a set or relation."""
        self._count += dimen
        return tuple(IndexTemplate(source, n, self._count - dimen + n + 1, self._count) for n in range(dimen))

    def members(self, source: Any, dimen: int) -> Iterator:
        """The one symbolic member that a sum runs over."""
        indices = self.indices(source, dimen)
        self.opened.append(indices)
        yield indices if dimen > 1 else indices[0]


_TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def tracing() -> Iterator[Trace]:
    """Inside, members of sets and relations are symbolic and `quicksum` gives a template."""
    trace = Trace()
    token = _TRACE.set(trace)
    try:
        yield trace
    finally:
        _TRACE.reset(token)


class EntryOrNothing(Numeric_GetItemExpression):
    """Template of `at` on a variable."""

    __slots__ = ()

    def _resolve_template(self, args: tuple) -> Any:
        return at(args[0], *args[1:])


class ConstantOrNothing(NPV_Numeric_GetItemExpression):
    """Template of `at` on a parameter."""

    __slots__ = ()

    def _resolve_template(self, args: tuple) -> Any:
        return at(args[0], *args[1:])


def at(component: pyo.Var | pyo.Param, *index: Any) -> Any:
    """The entry of a variable or parameter, or nothing where it does not exist: before the horizon, or impossible."""
    if _TRACE.get() is not None:
        template = EntryOrNothing if component.ctype is pyo.Var else ConstantOrNothing
        return template((component, *index))
    key = index if len(index) > 1 else index[0]
    return component[key] if key in component.index_set() else 0.0


def quicksum(terms: Iterable) -> Any:
    """Sum over the members of sets and relations, as Pyomo's; over symbolic members the template of the sum."""
    trace = _TRACE.get()
    if trace is None:
        return pyo.quicksum(terms)
    terms, before = iter(terms), len(trace.opened)
    term = next(terms)
    opened, trace.opened[before:] = trace.opened[before:], []
    if next(terms, None) is not None or not opened:
        raise TypeError("quicksum sums over members of the model's sets and relations, one expression for all of them")
    return TemplateSumExpression((term,), opened)


# ------------------------------------------------------------------ keys as columns
class Vocabulary:
    """A number for every id of the model.

    Examples
    --------
    >>> ids = Vocabulary()
    >>> ids.encode(pd.Series(["A", "B", "A"])).tolist(), ids.code("B"), ids.code("C")
    ([0, 1, 0], 1, -1)
    """

    def __init__(self) -> None:
        self._codes: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def encode(self, column: pd.Series | np.ndarray, *, add: bool = True) -> np.ndarray:
        """Codes of a column of ids (new ids get the next number, or -1); whole numbers stand for themselves."""
        values, codes = np.asarray(column), self._codes
        if values.dtype.kind in "iu" or not len(values):
            return values.astype(np.int64)
        if values.dtype.kind == "f":
            raise TypeError("a number is no id: make it a parameter")
        ids = values.tolist()
        try:
            return np.fromiter(map(codes.__getitem__, ids), np.int64, len(ids))
        except KeyError:
            if not add:
                return np.fromiter((codes.get(value, ABSENT) for value in ids), np.int64, len(ids))
            for value in ids:
                codes.setdefault(value, len(codes))
            return np.fromiter(map(codes.__getitem__, ids), np.int64, len(ids))

    def code(self, value: Any) -> int:
        """The number of one id; -1 when the model does not know it."""
        return int(value) if isinstance(value, (int, np.integer)) else self._codes.get(value, ABSENT)


class KeyLookup:
    """Where a key of several codes stands among distinct keys: by a table when it is small, else by bisection."""

    _TABLE_SIZE = 1 << 20

    def __init__(self, columns: Sequence[np.ndarray], size: int) -> None:
        self._digits: list[np.ndarray] = []
        self._bases: list[int] = []
        keys, span = np.zeros(size, dtype=np.int64), 1
        for column in columns:
            values, digit = np.unique(column, return_inverse=True)
            translate = np.full(int(values[-1]) + 1 if len(values) else 0, ABSENT, dtype=np.int64)
            translate[values] = np.arange(len(values))
            self._digits.append(translate)
            self._bases.append(len(values))
            keys, span = keys * len(values) + digit, span * len(values)
        self._table = None
        if 0 < span <= self._TABLE_SIZE:
            self._table = np.full(span, ABSENT, dtype=np.int64)
            self._table[keys] = np.arange(size)
            is_distinct = (self._table >= 0).sum() == size
        else:
            self._order = np.argsort(keys, kind="stable")
            self._sorted = keys[self._order]
            is_distinct = bool((self._sorted[1:] != self._sorted[:-1]).all())
        if not is_distinct:
            raise ValueError("a set names the same key twice")

    def find(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """Position of each key, -1 where there is none; columns broadcast against each other."""
        key: Any = np.zeros((1, 1), dtype=np.int64)
        is_known: Any = True
        for translate, base, column in zip(self._digits, self._bases, columns, strict=True):
            inside = (column >= 0) & (column < len(translate))
            digit = translate[np.where(inside, column, 0)] if len(translate) else np.full(np.shape(column), ABSENT)
            digit = np.where(inside, digit, ABSENT)
            key, is_known = key * base + digit, is_known & (digit >= 0)
        if self._table is not None:
            return np.where(is_known, self._table[np.where(is_known, key, 0)], ABSENT)
        if not len(self._sorted):
            return np.full(np.shape(key), ABSENT)
        place = np.minimum(np.searchsorted(self._sorted, key), len(self._sorted) - 1)
        return np.where(is_known & (self._sorted[place] == key), self._order[place], ABSENT)


class Members(Sequence):
    """The members of a set: keys without period in columns, and the periods in which each of them exists.

    Attributes
    ----------
    labels, codes : tuple of ndarray
        Key columns without the period, and their numbers in the vocabulary.
    horizon : int or None
        Number of periods the last part of the key counts; None for keys without a period.
    table : ndarray or None
        Position of (key, period), -1 where it does not exist; None when all exist: position = key · horizon + period.
    """

    def __init__(self, vocabulary: Vocabulary, labels: Sequence[np.ndarray], entities: int, horizon: int | None = None,
                 table: np.ndarray | None = None, codes: Sequence[np.ndarray] | None = None) -> None:
        self.vocabulary, self.labels, self.entities, self.horizon, self.table = vocabulary, tuple(labels), entities, horizon, table
        self.codes = tuple(codes) if codes is not None else tuple(vocabulary.encode(column) for column in labels)
        self._size = entities * (horizon or 1) if table is None else int((table >= 0).sum())

    @classmethod
    def of(cls, vocabulary: Vocabulary, frame: pd.DataFrame, key: list[str], horizon: int) -> Members:
        """Members from the key columns of a frame, in its order; a last column `t` is the period."""
        if key[-1] != PERIOD:
            return cls(vocabulary, [frame[column].to_numpy() for column in key], len(frame))
        codes = [vocabulary.encode(frame[column]) for column in key[:-1]]
        combined = np.zeros(len(frame), dtype=np.int64)
        for column in codes:
            combined = combined * (len(vocabulary) + 1) + column
        _, first, entity = np.unique(combined, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")  # in order of appearance
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        table = np.full((len(first), horizon), ABSENT, dtype=np.int32)
        table[rank[entity], frame[PERIOD].to_numpy()] = np.arange(len(frame))
        if (table >= 0).sum() != len(frame):
            raise ValueError("a set names the same key twice")
        chosen = first[order]
        is_full = table.size == len(frame) and bool((table.ravel() == np.arange(len(frame))).all())
        return cls(vocabulary, [frame[column].to_numpy()[chosen] for column in key[:-1]], len(first), horizon,
                   None if is_full else table, [column[chosen] for column in codes])

    def in_each(self, horizon: int, lead: np.ndarray | None = None) -> Members:
        """Every key in every period; with lead times, only in those from which it still arrives within the horizon."""
        if lead is None or not lead.any():
            return Members(self.vocabulary, self.labels, self.entities, horizon, None, self.codes)
        exists = np.arange(horizon) + lead[:, None] < horizon
        table = np.where(exists, np.cumsum(exists).reshape(exists.shape) - 1, ABSENT).astype(np.int32)
        return Members(self.vocabulary, self.labels, self.entities, horizon, table, self.codes)

    @property
    def dimen(self) -> int:
        """Parts of a key."""
        return len(self.labels) + (self.horizon is not None)

    @cached_property
    def _lookup(self) -> KeyLookup:
        return KeyLookup(self.codes, self.entities)

    def entity(self, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Which key without its period; -1 where there is none."""
        return self._lookup.find(codes)

    def position(self, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Position of each key among the members, -1 where it is none of them."""
        if self.horizon is None:
            return self.entity(codes)
        entity, period = self.entity(codes[:-1]), codes[-1]
        exists = (entity >= 0) & (period >= 0) & (period < self.horizon)
        if self.table is None:
            return np.where(exists, entity * self.horizon + period, ABSENT)
        if not self.entities:
            return np.full(np.shape(exists), ABSENT)
        return np.where(exists, self.table[np.where(entity >= 0, entity, 0), np.clip(period, 0, self.horizon - 1)], ABSENT)

    def grid(self) -> np.ndarray:
        """Position by key and period (one column where there is no period)."""
        if self.table is not None:
            return self.table
        return np.arange(self._size).reshape(self.entities, self.horizon or 1)

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Key and period (0 where there is none) of every member, by position."""
        if self.table is None:
            return np.divmod(np.arange(self._size), self.horizon or 1)
        entity, period = np.nonzero(self.table >= 0)
        position = self.table[entity, period]
        entity[position], period[position] = entity.copy(), period.copy()
        return entity, period

    def columns(self, chosen: np.ndarray | slice = slice(None)) -> list[np.ndarray]:
        """Every part of the key by position; of the chosen positions only."""
        entity, period = (part[chosen] for part in self.rows())
        parts = [label[entity] for label in self.labels]
        return [*parts, period] if self.horizon is not None else parts

    @cached_property
    def keys(self) -> list:
        """Keys in order: tuples, or the bare value where a key has one part."""
        parts = [column.tolist() for column in self.columns()]
        return parts[0] if len(parts) == 1 else list(zip(*parts, strict=True))

    @cached_property
    def _numbers(self) -> dict:
        return {key: n for n, key in enumerate(self.keys)}

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, position: Any) -> Any:
        return self.keys[position]

    def __iter__(self) -> Iterator:
        return iter(self.keys)

    def __contains__(self, key: object) -> bool:
        return key in self._numbers

    def index(self, key: Any, *bounds: int) -> int:
        """Position of a key."""
        if key not in self._numbers:
            raise ValueError(f"{key} is no member")
        return self._numbers[key]


class IndexSet(OrderedSetOf):
    """A Pyomo set whose members stand in columns."""

    def __init__(self, members: Members) -> None:
        self.members = members
        super().__init__(members)

    @property
    def dimen(self) -> int:
        """Parts of a key."""
        return self.members.dimen

    def _iter_impl(self) -> Iterator:
        trace = _TRACE.get()
        return iter(self.members) if trace is None else trace.members(self, self.dimen)


class Relation:
    """Members of each group, such as the plants that can serve an item in a market; none where there are none.

    Called with a group, it gives the list of its members; with symbolic indices, a symbolic member.
    """

    def __init__(self, vocabulary: Vocabulary, frame: pd.DataFrame, group: list[str], member: list[str]) -> None:
        self.name, self.dimen = "members", len(member)
        self._group, self._member = [frame[c].to_numpy() for c in group], [frame[c].to_numpy() for c in member]
        codes = [vocabulary.encode(column) for column in self._group]
        combined = np.zeros(len(frame), dtype=np.int64)
        for column in codes:
            combined = combined * (max(len(vocabulary), int(column.max(initial=0))) + 1) + column
        order = np.argsort(combined, kind="stable")
        _, first, count = np.unique(combined[order], return_index=True, return_counts=True)
        self._first, self._count = first, count
        self._codes = [vocabulary.encode(column)[order] for column in self._member]
        self._groups = [column[order][first] for column in codes]

    @cached_property
    def _lookup(self) -> KeyLookup:
        return KeyLookup(self._groups, len(self._first))

    def expand(self, codes: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """For groups by row: the row each member belongs to, and the members' codes."""
        group = self._lookup.find(codes)[:, 0]
        count = np.where(group >= 0, self._count[group], 0) if len(self._count) else np.zeros(len(group), dtype=np.int64)
        row = np.repeat(np.arange(len(group)), count)
        start = np.where(group >= 0, self._first[group], 0) if len(self._first) else np.zeros(len(group), dtype=np.int64)
        place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + start[row]
        return row, [column[place] for column in self._codes]

    @cached_property
    def _lists(self) -> dict[Any, list]:
        members: dict[Any, list] = {}
        for key, value in zip(_keys(self._group), _keys(self._member), strict=True):
            members.setdefault(key, []).append(value)
        return members

    def __getitem__(self, group: Any) -> Iterable:
        trace = _TRACE.get()
        if trace is None:
            return self._lists.get(group, ())
        return trace.members(GroupOf(self, group if isinstance(group, tuple) else (group,)), self.dimen)


class GroupOf:
    """The members of one symbolic group of a relation."""

    def __init__(self, relation: Relation, group: tuple) -> None:
        self.relation, self.group = relation, group

    def __str__(self) -> str:
        return f"{self.relation.name}[{','.join(map(str, self.group))}]"


def _keys(columns: Sequence[np.ndarray]) -> list:
    parts = [column.tolist() for column in columns]
    return parts[0] if len(parts) == 1 else list(zip(*parts, strict=True))


# ------------------------------------------------------------------ how a model is put together
class BulkConstraint(IndexedConstraint):
    """A constraint family as one template; `family[key]` still gives the Pyomo constraint of one key."""

    family: Callable[..., Any]
    _constructed: bool

    def construct(self, data: Any = None) -> None:
        """Call the rule once with symbolic indices."""
        if self._constructed:
            return
        self._constructed = True
        index = self.index_set()
        with tracing() as trace:
            self.indices = trace.indices(index, index.dimen)
            self.template = self.family(self.parent_block(), *self.indices)


class Notation:
    """Sets, relations, parameters, variables and families of one model, declared from frames.

    Parameters
    ----------
    horizon : int
        Number of periods.
    in_bulk : bool
        Whether families are templates (to be compiled) or every constraint is made by Pyomo.
    """

    def __init__(self, horizon: int, *, in_bulk: bool = True) -> None:
        self.horizon, self.in_bulk, self.vocabulary = horizon, in_bulk, Vocabulary()

    def index(self, frame: pd.DataFrame, key: list[str]) -> IndexSet:
        """A set of the keys of a frame; a last column `t` is the period."""
        return IndexSet(Members.of(self.vocabulary, frame, key, self.horizon))

    def periods(self) -> IndexSet:
        """The planned periods: 0, 1, 2 and so on."""
        return IndexSet(Members(self.vocabulary, [], 1, self.horizon))

    def each_period(self, index: IndexSet, lead: pd.Series | None = None) -> IndexSet:
        """Every member in every period; with lead times, only where it still arrives within the horizon."""
        return IndexSet(index.members.in_each(self.horizon, None if lead is None else lead.to_numpy()))

    def first_period(self, index: IndexSet) -> IndexSet:
        """Every member in the first period alone."""
        return IndexSet(index.members.in_each(1))

    def relation(self, frame: pd.DataFrame, group: list[str], member: list[str]) -> Relation:
        """The members of each group."""
        return Relation(self.vocabulary, frame, group, member)

    def parameter(self, index: IndexSet, values: pd.Series | np.ndarray) -> pyo.Param:
        """A parameter with one value for every member of a set, in its order."""
        numbers = np.asarray(values)
        if not self.in_bulk:
            return pyo.Param(index, initialize=dict(zip(index.members.keys, numbers.tolist(), strict=True)), within=pyo.Any)

        def entry(_: pyo.ConcreteModel, *key: Any) -> Any:
            return numbers[index.members.index(key if len(key) > 1 else key[0])].item()

        parameter = pyo.Param(index, default=entry, within=pyo.Any)
        parameter.numbers = numbers
        return parameter

    def variable(self, index: IndexSet, domain: Any = pyo.NonNegativeReals) -> pyo.Var:
        """A decision for every member of a set."""
        variable = pyo.Var(index, domain=domain, dense=not self.in_bulk)
        variable.interval = domain.get_interval()
        return variable

    def family(self, index: IndexSet, rule: Callable[..., Any]) -> pyo.Constraint:
        """A constraint for every member of a set; where nothing can be decided and the rule holds, none."""
        def stated(m: pyo.ConcreteModel, *key: Any) -> Any:
            relation = rule(m, *key)
            if isinstance(relation, (bool, np.bool_)):
                return pyo.Constraint.Feasible if relation else pyo.Constraint.Infeasible
            return relation

        if not self.in_bulk:
            return pyo.Constraint(index, rule=stated)
        family = BulkConstraint(index, rule=stated)
        family.family = rule
        return family
