"""The supply model as stock Pyomo makes it of the same rules, entry by entry: what the model compiled in bulk must equal."""

from __future__ import annotations

import numpy as np
import pytest
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from sop_workbench.settings import Settings
from sop_workbench.supply.compile import Arrays, compile_arrays
from sop_workbench.supply.instance import Instance
from sop_workbench.supply.model import build_model


def rows_by_name(matrix, low, high, columns, rows) -> dict:
    """Rows as {(family, key): ({(variable, key): coefficient}, low, high)}, first coefficient positive; empty rows left out."""
    stated = {}
    matrix = matrix.tocsr()
    for n, name in enumerate(rows):
        entries = slice(matrix.indptr[n], matrix.indptr[n + 1])
        body = {columns[c]: v for c, v in zip(matrix.indices[entries].tolist(), matrix.data[entries].tolist(), strict=True) if v != 0}
        if not body:
            assert low[n] <= 0 <= high[n], name
            continue
        sign = 1.0 if body[min(body)] > 0 else -1.0
        sides = sorted((sign * low[n], sign * high[n]))
        stated[name] = ({column: sign * v for column, v in body.items()}, *sides)
    return stated


def names(blocks) -> list:
    found = {position: (name, key) for name, block in blocks.items() for key, position in zip(block.keys, block.positions, strict=True)}
    return [found[n] for n in range(len(found))]


def stock_pyomo(instance: Instance, rules: Settings) -> tuple[dict, dict, float, dict]:
    """Rows, cost, constant and kinds of the same model as Pyomo makes it, entry by entry."""
    model = build_model(instance, rules, in_bulk=False)
    form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)

    def key(entry) -> tuple:
        return entry.parent_component().local_name, entry.index() if isinstance(entry.index(), tuple) else (entry.index(),)

    columns = [key(column) for column in form.columns]
    bound = np.array([row.bound_type for row in form.rows])
    low, high = np.where(bound <= 0, form.rhs, -np.inf), np.where(bound >= 0, form.rhs, np.inf)
    cost = dict(zip(columns, np.asarray(form.c.todense()).ravel().tolist(), strict=True))
    rows = rows_by_name(form.A, low, high, columns, [key(row.constraint) for row in form.rows])
    kinds = {name: (column.lb, column.ub, column.is_integer() or column.is_binary())
             for name, column in zip(columns, form.columns, strict=True)}
    return rows, cost, float(np.asarray(form.c_offset)[0]), kinds


def compiled(instance: Instance, rules: Settings) -> Arrays:
    return compile_arrays(build_model(instance, rules))


def assert_same_model(instance: Instance, rules: Settings) -> None:
    arrays = compiled(instance, rules)
    columns = names(arrays.columns)
    rows = rows_by_name(arrays.matrix, arrays.row_lower, arrays.row_upper, columns, names(arrays.rows))
    stock_rows, stock_cost, stock_constant, kinds = stock_pyomo(instance, rules)
    assert set(rows) == set(stock_rows)
    for name, (body, low, high) in stock_rows.items():
        assert set(rows[name][0]) == set(body), name
        assert rows[name][0] == pytest.approx(body, rel=1e-12), name
        assert rows[name][1:] == pytest.approx((low, high), rel=1e-12, abs=1e-9), name
    cost = {name: value for name, value in zip(columns, arrays.cost.tolist(), strict=True) if value != 0}
    assert cost == pytest.approx({name: value for name, value in stock_cost.items() if value != 0}, rel=1e-12)
    assert arrays.offset == pytest.approx(stock_constant, rel=1e-12)
    for n, name in enumerate(columns):
        if name in kinds:
            low, high, is_integer = kinds[name]
            assert arrays.lower[n] == (-np.inf if low is None else low)
            assert arrays.upper[n] == (np.inf if high is None else high)
            assert arrays.is_integer[n] == is_integer
