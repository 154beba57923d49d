"""The supply model compiled in bulk is the model that Pyomo states: stock Pyomo on the same rules is the oracle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
import small_company
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from pyomo_oracle import assert_same_model, compiled, names, rows_by_name
from situations import RandomCompany, Situation, read_situation

from sop_workbench.supply import plan_supply, solve
from sop_workbench.supply.compile import compile_arrays
from sop_workbench.supply.instance import Instance, supply_instance
from sop_workbench.supply.model import build_model
from sop_workbench.supply.notation import Notation, at, quicksum, tracing

EVERYTHING = {"is_integer_lots": True, "smoothing_penalty_ratio": 0.1, "plan_change_penalty_ratio": 0.2, "strategic_min_ratio": 0.3,
              "frozen": "priced"}


def instance_of(situation: Situation) -> Instance:
    return supply_instance(situation.inputs, situation.demand, situation.target, situation.settings, situation.periods,
                           situation.settings.calendar)


# ------------------------------------------------------------------ the whole model
@pytest.mark.parametrize("name", ["red_tomato", "steel_mix"])
@pytest.mark.parametrize("options", [{}, EVERYTHING, {"strategy": "chase"}, {"strategy": "hybrid", "shortage": "backlog"}])
def test_published_cases_are_what_pyomo_states(name, options):
    situation = read_situation(name).with_supply(**options)
    assert_same_model(instance_of(situation), situation.settings)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 500), st.sampled_from(["lost_sales", "backlog"]), st.booleans(), st.sampled_from(["free", "chase", "level"]))
def test_random_companies_are_what_pyomo_states(seed, shortage, is_everything, strategy):
    situation = RandomCompany(seed, shortage=shortage).situation().with_supply(strategy=strategy, **(EVERYTHING if is_everything else {}))
    item = situation.inputs["item"]
    situation = situation.with_table("item", shelf_life_months=np.where(item.index % 2 == 0, 2.0, np.nan), is_strategic=item.index % 3 == 0)
    earlier = situation.plan().supply_plan if is_everything and seed % 4 == 0 else None
    instance = supply_instance(situation.inputs, situation.demand, situation.target, situation.settings, situation.periods,
                               situation.settings.calendar, earlier)
    assert_same_model(instance, situation.settings)


def test_a_company_with_every_kind_of_cost_is_what_pyomo_states():
    rules = small_company.SETTINGS
    periods = small_company.PERIODS
    instance = supply_instance(small_company.inputs(), small_company.demand(), small_company.target(), rules, periods, rules.calendar)
    assert_same_model(instance, rules)


def test_terms_are_worth_what_pyomo_says():
    situation = RandomCompany(11, shortage="backlog").situation()
    instance = instance_of(situation)
    arrays = compiled(instance, situation.settings)
    model = build_model(instance, situation.settings, in_bulk=False)
    value = np.random.default_rng(3).uniform(0, 10, arrays.columns_count).round(3)
    for name, block in arrays.columns.items():
        for key, position in zip(block.keys, block.positions, strict=True):
            model.component(name)[key].set_value(value[position])
    assert len(arrays.terms) > 15
    for name, term in arrays.terms.items():
        assert term.value(value) == pytest.approx(pyo.value(model.component(name)), rel=1e-9, abs=1e-9), name
    assert arrays.cost @ value + arrays.offset == pytest.approx(pyo.value(model.objective))


def test_a_single_constraint_can_be_looked_at_as_pyomo_text():
    situation = read_situation("steel_mix")
    model = build_model(instance_of(situation), situation.settings)
    assert str(model.capacity_limit["mill_line", 2].expr) == "regular_used_hours[mill_line,2]  <=  32.0"
    assert len(model.capacity_limit) == 1  # nothing else was made
    assert "regular_used_hours[_1,_2]" in str(model.capacity_limit.template)


def test_a_bulk_model_handed_to_a_pyomo_writer_is_refused_not_half_written():
    situation = read_situation("steel_mix")
    model = build_model(instance_of(situation), situation.settings)
    with pytest.raises(Exception):  # noqa: B017, PT011 (whatever Pyomo says, it must not write a model without constraints)
        LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)


# ------------------------------------------------------------------ the notation, on a model of a few lines
PAIRS = pd.DataFrame({"item_id": ["A", "A", "B"], "location_id": ["P", "Q", "P"], "lead": [0, 1, 2], "size": [1.0, 2.0, 3.0]})


def tiny_model(rule, *, in_bulk: bool, worth=None) -> pyo.ConcreteModel:
    m = pyo.ConcreteModel()
    notation = Notation(3, in_bulk=in_bulk)
    m.PERIODS = notation.periods()
    m.PAIRS = notation.index(PAIRS, ["item_id", "location_id"])
    m.EACH = notation.each_period(m.PAIRS)
    m.STARTS = notation.each_period(m.PAIRS, PAIRS["lead"])
    m.size = notation.parameter(m.PAIRS, PAIRS["size"])
    m.lead = notation.parameter(m.PAIRS, PAIRS["lead"])
    m.PLACES_OF = notation.relation(PAIRS, ["item_id"], ["location_id"])
    m.stock = notation.variable(m.EACH)
    m.start = notation.variable(m.STARTS)
    m.family = notation.family(m.EACH, rule)
    with tracing() if in_bulk else pytest.MonkeyPatch.context():
        m.objective = pyo.Objective(expr=(worth or (lambda m: quicksum(m.size[i, p] * m.stock[i, p, t] for i, p, t in m.EACH)))(m),
                                    sense=pyo.maximize)
    return m


RULES = [
    lambda m, i, p, t: m.stock[i, p, t] == at(m.stock, i, p, t - 1) + at(m.start, i, p, t - m.lead[i, p]),
    lambda m, i, p, t: m.stock[i, p, t] <= 2 * quicksum(m.size[i, q] * m.stock[i, q, t] for q in m.PLACES_OF[i]) - 5,
    lambda m, i, p, t: m.stock[i, p, t] >= quicksum(at(m.start, i, p, u) / m.size[i, p] for u in m.PERIODS),
    lambda m, i, p, t: -m.stock[i, p, t] + m.size[i, p] >= 7.0,
    lambda m, i, p, t: m.size[i, p] <= quicksum(m.size[i, q] * (m.stock[i, q, u] - m.stock[i, p, t])
                                                for q in m.PLACES_OF[i] for u in m.PERIODS),
]


@pytest.mark.parametrize("rule", RULES)
def test_each_thing_a_rule_may_say(rule):
    arrays = compile_arrays(tiny_model(rule, in_bulk=True))
    model = tiny_model(rule, in_bulk=False)
    form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    columns = [(column.parent_component().local_name, column.index()) for column in form.columns]
    bound = np.array([row.bound_type for row in form.rows])
    stock = rows_by_name(form.A, np.where(bound <= 0, form.rhs, -np.inf), np.where(bound >= 0, form.rhs, np.inf), columns,
                         [row.constraint.index() for row in form.rows])
    bulk = rows_by_name(arrays.matrix, arrays.row_lower, arrays.row_upper, names(arrays.columns), arrays.rows["family"].keys)
    assert set(bulk) == set(stock)
    for key, (body, low, high) in stock.items():
        assert bulk[key][0] == pytest.approx(body)
        assert bulk[key][1:] == pytest.approx((low, high))


def test_an_entry_that_must_exist_and_does_not_is_named():
    with pytest.raises(KeyError, match="start has no entry for 3 keys"):
        compile_arrays(tiny_model(lambda m, i, p, t: m.stock[i, p, t] <= m.start[i, p, t], in_bulk=True))


@pytest.mark.parametrize("rule", [
    lambda m, i, p, t: m.stock[i, p, t] * m.stock[i, p, t] <= 1.0,
    lambda m, i, p, t: m.size[i, p] / m.stock[i, p, t] <= 1.0,
    lambda m, i, p, t: m.stock[i, p, t] ** m.size[i, p] <= 1.0,
])
def test_what_is_not_linear_is_refused(rule):
    with pytest.raises(TypeError, match="linear|no template"):
        compile_arrays(tiny_model(rule, in_bulk=True))


def test_an_if_on_an_index_is_refused():
    with pytest.raises(Exception, match="bool"):
        tiny_model(lambda m, i, p, t: m.stock[i, p, t] <= (1.0 if t == 0 else 2.0), in_bulk=True)


def test_a_sum_over_nothing_symbolic_is_refused():
    with pytest.raises(TypeError, match="members of the model"):
        tiny_model(lambda m, i, p, t: quicksum(m.stock[i, p, t] for _ in range(2)) <= 1.0, in_bulk=True)


def test_numbers_are_no_ids():
    with pytest.raises(TypeError, match="parameter"):
        Notation(3).relation(PAIRS, ["item_id"], ["size"])


def test_keys_are_found_wherever_they_stand():
    """Positions by code agree with a dictionary of keys: sparse, ragged and full sets, keys that are no members."""
    draw = np.random.default_rng(5)
    pair = {"item_id": draw.choice(list("ABCDE"), 60), "location_id": draw.choice(list("PQR"), 60)}
    frame = pd.DataFrame({**pair, "t": draw.integers(0, 6, 60)}).drop_duplicates().reset_index(drop=True)
    notation = Notation(6)
    sparse = notation.index(frame, ["item_id", "location_id", "t"]).members
    pairs = frame.drop_duplicates(["item_id", "location_id"]).reset_index(drop=True)
    ragged = notation.each_period(notation.index(pairs, ["item_id", "location_id"]), pairs["t"]).members
    for members in (sparse, ragged, notation.first_period(notation.index(pairs, ["item_id", "location_id"])).members):
        keys = pd.MultiIndex.from_product([list("ABCDEF"), list("PQRS"), range(-2, 8)])
        asked = keys.to_frame(index=False, name=["item_id", "location_id", "t"])
        codes = [members.vocabulary.encode(asked[column], add=False)[:, None] for column in asked]
        known = {key: n for n, key in enumerate(members)}
        assert len(known) == len(members)
        assert members.position(codes)[:, 0].tolist() == [known.get(key, -1) for key in asked.itertuples(index=False, name=None)]
        assert members.index(members[3]) == 3
    assert list(sparse) == list(frame.itertuples(index=False, name=None))
    assert list(ragged) == [(row.item_id, row.location_id, t) for row in pairs.itertuples() for t in range(6 - row.t)]


@pytest.mark.parametrize("key", [["item_id", "location_id"], ["item_id", "location_id", "t"]])
def test_a_key_named_twice_is_refused(key):
    twice = pd.concat([PAIRS, PAIRS.iloc[:1]], ignore_index=True).assign(t=1)
    notation = Notation(3)
    with pytest.raises(ValueError, match="twice"):
        notation.index(twice, key).members.position([np.zeros((1, 1), dtype=np.int64)] * len(key))


# ------------------------------------------------------------------ solving
def test_large_linear_plans_are_solved_by_interior_points_to_the_same_corner(monkeypatch):
    situation = RandomCompany(2).situation()
    arrays = compiled(instance_of(situation), situation.settings)
    by_simplex = solve.solve(arrays, situation.settings)
    monkeypatch.setattr(solve, "INTERIOR_POINT_SIZE", 1)
    by_interior_points = solve.solve(arrays, situation.settings)
    assert by_interior_points.objective_amt == pytest.approx(by_simplex.objective_amt, rel=1e-9)
    again = solve.solve(arrays, situation.settings)
    np.testing.assert_array_equal(by_interior_points.value, again.value)
    np.testing.assert_array_equal(by_interior_points.row_price, again.row_price)
    basic = sum(str(status).endswith("kBasic") for statuses in (again.basis.col_status, again.basis.row_status) for status in statuses)
    assert basic == len(arrays.row_lower)  # a corner: prices and a warm start are its own


def test_search_for_whole_lots_tells_how_it_goes():
    situation = RandomCompany(7).situation().with_supply(is_integer_lots=True, optimality_gap_ratio=0.0)
    lots = situation.with_table("production", min_lot_qty=35.0, setup_cost_amt=120.0)
    told: list[solve.Progress] = []
    plan = plan_supply(lots.inputs, lots.demand, lots.target, lots.settings, lots.periods, lots.settings.calendar, progress=told.append)
    assert told
    assert all(step.bound_amt >= plan.objective_amt - 0.01 for step in told)
    assert told[-1].best_amt == pytest.approx(plan.objective_amt, rel=1e-6)
    assert [step.seconds for step in told] == sorted(step.seconds for step in told)
