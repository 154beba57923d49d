"""The rounded plan: whole units, lots, orders and people in place of the linear plan's fractions, and whether that still works.

A linear plan, an integer plan and a rounded linear plan are three things: rounding can break limits, and is
checked here against every hard one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import highspy
import numpy as np
import pandas as pd
from scipy.sparse import csc_array, hstack

from sop_workbench import tables
from sop_workbench.errors import SolverError
from sop_workbench.settings import Settings
from sop_workbench.supply.explain import KINDS, Words, quantity_words
from sop_workbench.supply.instance import PLACE
from sop_workbench.supply.readback import ORDER, WORK, Reader
from sop_workbench.supply.solve import Arrays, Block, open_solver

Direction = Literal["up", "down", "nearest"]
_TOLERANCE = 1e-6
# Broken at a price, not for good: their shortfall is part of every plan.
_PRICED = {"contract_floor", "strategic_share", "storage_limit", "shelf_life", "chase_stock", "level_ceiling", "level_floor"}
_HARD = tuple(kind for kind in KINDS if kind.family not in _PRICED)
_CAPPED = ("production_qty", "subcontract_qty", "purchase_qty", "overtime_used_hours")
_PEOPLE = ("worker_count", "hired_count", "laid_off_count")


@dataclass(frozen=True)
class RoundedPlan:
    """A plan with whole quantities, and whether it keeps every limit.

    Attributes
    ----------
    is_feasible : bool
        No hard limit is broken.
    breaches : DataFrame
        The `rounding_check` table: each broken limit and by how much; empty when feasible.
    short_qty : float
        Units that go missing, beyond those the linear plan loses, when the rounded people and quantities are kept as limits and the
        rest is planned again as well as can be: lost, never delivered, or below a least stock.
    supply_plan, resource_plan : DataFrame
        Result tables with the rounded quantities and people.
    sentence : str
        The verdict in words.
    """

    is_feasible: bool
    breaches: pd.DataFrame
    short_qty: float
    supply_plan: pd.DataFrame
    resource_plan: pd.DataFrame
    sentence: str


def rounded_values(read: Reader, quantities: Direction = "up", people: Direction = "nearest") -> np.ndarray:
    """Values of all variables with whole decisions; stock, use of components and hours follow from the balances.

    Running totals are rounded, so that fractions do not add up: made, subcontracted and bought quantities to whole units or their
    lot or order multiple, at least the smallest lot or order; crews to whole people. Frozen quantities stay, lanes stay as planned.
    """
    value = read.solution.value.copy()
    instance, arrays = read.instance, read.arrays
    lots = instance.made[[*PLACE, "lot_multiple_qty", "min_lot_qty"]].set_axis([*PLACE, "multiple", "least"], axis=1)
    orders = instance.bought[[*ORDER, "order_multiple_qty", "min_order_qty"]].set_axis([*ORDER, "multiple", "least"], axis=1)
    for name, key, rule in (("production_qty", PLACE, lots), ("subcontract_qty", PLACE, lots.assign(multiple=1.0, least=0.0)),
                            ("purchase_qty", ORDER, orders)):
        block = arrays.columns.get(name)
        if block is not None and block.keys:
            value[block.positions] = _whole_totals(block, value[block.positions], key, rule, quantities)
    frozen = arrays.rows.get("frozen_zone")
    if frozen is not None and frozen.keys:
        made = dict(zip(arrays.columns["production_qty"].keys, arrays.columns["production_qty"].positions.tolist(), strict=True))
        held = np.array([made[key] for key in frozen.keys])
        value[held] = read.solution.value[held]
    _round_people(read, value, people)
    _follow_balances(read, value)
    return value


def rounding_check(read: Reader, settings: Settings, value: np.ndarray | None = None) -> pd.DataFrame:
    """Every hard limit that the rounded plan breaks: the `rounding_check` table, by the size of the breach.

    over = activity of the limit at the rounded values − limit;  stock below zero is a breach of `stock`
    """
    value = rounded_values(read) if value is None else value
    arrays, words = read.arrays, Words(read.instance, settings.bucket)
    activity = arrays.matrix @ value
    found = []
    for kind in _HARD:
        block = arrays.rows.get(kind.family)
        if block is None or not block.keys:
            continue
        now, low, high = activity[block.positions], arrays.row_lower[block.positions], arrays.row_upper[block.positions]
        over = np.maximum(now - high, low - now)
        size = np.where(np.isfinite(high), high, low)
        broken = np.flatnonzero(over > _TOLERANCE * np.maximum(1.0, np.abs(size))).tolist()
        found += [_breach(words, kind.family, block.keys[n], size[n], now[n], over[n], read, value) for n in broken]
    stock = arrays.columns["closing_qty"]
    negative = np.flatnonzero(value[stock.positions.astype(int)] < -_TOLERANCE).tolist()
    found += [_row("stock", f"{stock.keys[n][0]} at {stock.keys[n][1]}", stock.keys[n][-1], "base units", 0.0,
                   value[stock.positions[n]], -value[stock.positions[n]], words) for n in negative]
    return read.dated(pd.DataFrame(found), "rounding_check") if found else tables.table("rounding_check").empty()


def rounded_plan(read: Reader, settings: Settings, supply_plan: pd.DataFrame, resource_plan: pd.DataFrame, quantities: Direction = "up",
                 people: Direction = "nearest") -> RoundedPlan:
    """Round a plan, check it, and say what goes missing if it is carried out within its limits."""
    value = rounded_values(read, quantities, people)
    breaches = rounding_check(read, settings, value)
    short = missing_units(read, settings, value) if len(breaches) else 0.0
    rounded = Reader(read.instance, read.arrays, replace(read.solution, value=value))
    number = read.instance.periods.get_indexer
    made = supply_plan.drop(columns=["production_qty", "subcontract_qty"]).assign(t=number(supply_plan["period"]))
    for name in ("production_qty", "subcontract_qty"):
        made = rounded.put(made, name, rounded.value(name, [*PLACE, "t"]))
    staff = resource_plan.drop(columns=list(_PEOPLE)).assign(t=number(resource_plan["period"]))
    for name in _PEOPLE:
        staff = staff.merge(rounded.value(name, WORK).rename(name).reset_index(), on=WORK, how="left", validate="1:1")
    costs = {column: np.nan for column in ("production_cost_amt", "setup_cost_amt", "subcontract_cost_amt")}  # to be valued anew
    return RoundedPlan(breaches.empty, breaches, short, rounded.dated(made.assign(**costs), "supply_plan"),
                       rounded.dated(staff, "resource_plan"), _verdict(breaches, short))


def missing_units(read: Reader, settings: Settings, value: np.ndarray) -> float:
    """Units lost, never delivered or below a least stock, beyond those the plan loses, with the rounded decisions as limits.

    min Σ lost_qty + backlog_qty at the end + shortfall of least stock, people as rounded, quantities at most as rounded, overtime at
    most as planned

    Raises
    ------
    SolverError
        When even that has no plan.
    """
    arrays, last = read.arrays, len(read.instance.periods) - 1
    lower, upper, units = arrays.lower.copy(), arrays.upper.copy(), np.zeros(arrays.columns_count)
    for name in _PEOPLE:
        places = arrays.columns[name].positions
        lower[places] = upper[places] = value[places]
    for name in _CAPPED:
        places = arrays.columns[name].positions
        upper[places] = np.minimum(upper[places], np.maximum(value[places], 0.0))
    units[arrays.columns["lost_qty"].positions] = 1.0
    late = arrays.columns["backlog_qty"]
    units[[place for key, place in zip(late.keys, late.positions.tolist(), strict=True) if key[-1] == last]] = 1.0
    soft = np.concatenate([arrays.rows[family].positions for family in ("stock_floor", "frozen_zone")]).astype(int)
    slack = csc_array((np.ones(len(soft)), (soft, np.arange(len(soft)))), shape=(len(arrays.row_lower), len(soft)))
    none, ones = np.zeros(len(soft)), np.ones(len(soft))
    relaxed = replace(arrays, matrix=csc_array(hstack([arrays.matrix, slack])), cost=-np.concatenate([units, ones]), offset=0.0,
                      lower=np.concatenate([lower, none]), upper=np.concatenate([upper, np.full(len(soft), highspy.kHighsInf)]),
                      is_integer=np.zeros(arrays.columns_count + len(soft), dtype=bool))
    solver = open_solver(relaxed, settings)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise SolverError("what the rounded plan misses could not be worked out: its people and quantities contradict the balances")
    return max(0.0, round(-solver.getInfo().objective_function_value - float(units @ read.solution.value), 6))


def _whole_totals(block: Block, value: np.ndarray, key: list[str], rule: pd.DataFrame, direction: Direction) -> np.ndarray:
    """Quantities whose running totals are whole multiples, none below the smallest lot or order."""
    frame = pd.DataFrame(block.keys, columns=[*key, "t"]).assign(value=value, position=np.arange(len(value)))
    frame = frame.merge(rule, on=key, how="left", validate="m:1").sort_values([*key, "t"])
    multiple = frame["multiple"].where(frame["multiple"] > 0, 1.0)
    total = frame.groupby(key)["value"].cumsum() / multiple
    frame["total"] = _rounded(total, direction) * multiple
    whole = frame["total"] - frame.groupby(key)["total"].shift().fillna(0.0)  # nothing before the first period
    least = np.ceil(frame["least"] / multiple - _TOLERANCE) * multiple
    whole = whole.mask((whole > 0) & (whole < least), least)
    return whole.to_numpy()[np.argsort(frame["position"].to_numpy())]


def _rounded(value: pd.Series, direction: Direction) -> pd.Series:
    if direction == "nearest":
        return np.floor(value + 0.5)
    return np.ceil(value - _TOLERANCE) if direction == "up" else np.floor(value + _TOLERANCE)


def _round_people(read: Reader, value: np.ndarray, direction: Direction) -> None:
    """Whole crews; who is hired and laid off follows."""
    blocks = [read.arrays.columns.get(name) for name in _PEOPLE]
    if any(block is None or not block.keys for block in blocks):
        return
    workers, hired, laid_off = (pd.Series(block.positions, index=pd.MultiIndex.from_tuples(block.keys, names=WORK))
                                for block in blocks if block is not None)
    crew = _rounded(pd.Series(value[workers], index=workers.index).sort_index(), direction)
    before = read.instance.crew.set_index("resource_id")["opening_workers"]
    opening = pd.Series(crew.index.get_level_values(0).map(before), index=crew.index)
    change = crew - crew.groupby(level=0).shift().fillna(opening)
    value[workers[crew.index]] = crew
    value[hired[crew.index]] = change.clip(lower=0.0)
    value[laid_off[crew.index]] = (-change).clip(lower=0.0)


def _follow_balances(read: Reader, value: np.ndarray) -> None:
    """Use of components, hours and stock as the rounded decisions make them: overtime as planned, the rest regular."""
    arrays = read.arrays
    for name, family in (("consumed_qty", "material_balance"), ("regular_used_hours", "hours_balance")):
        column, row = arrays.columns.get(name), arrays.rows.get(family)
        if column is not None and row is not None and row.keys:
            _solve_for(arrays, value, column, row)
    stock, balance = arrays.columns["closing_qty"], arrays.rows["stock_balance"]
    if not balance.keys:
        return
    value[stock.positions] = 0.0
    missing = arrays.row_upper[balance.positions] - (arrays.matrix @ value)[balance.positions]
    sign = _coefficient(arrays, stock, balance)
    moves = pd.Series(missing / sign, index=pd.MultiIndex.from_tuples(balance.keys)).sort_index()
    closing = moves.groupby(level=[0, 1]).cumsum()
    places = pd.Series(stock.positions, index=pd.MultiIndex.from_tuples(stock.keys))
    value[places.reindex(closing.index)] = closing


def _solve_for(arrays: Arrays, value: np.ndarray, column: Block, row: Block) -> None:
    """The value of each column that makes the row of its own key hold; other columns stay."""
    place = dict(zip(column.keys, column.positions.tolist(), strict=True))
    meant = np.array([place[key] for key in row.keys])
    value[meant] = 0.0
    missing = arrays.row_upper[row.positions] - (arrays.matrix @ value)[row.positions]
    value[meant] = missing / _coefficient(arrays, column, row)


def _coefficient(arrays: Arrays, column: Block, row: Block) -> float:
    """The coefficient of a variable in the balance of its own key: the same everywhere, +1 or −1."""
    place = dict(zip(column.keys, column.positions.tolist(), strict=True))
    return float(arrays.matrix[[row.positions[0]], :][:, [place[row.keys[0]]]].toarray()[0, 0])


def _breach(words: Words, family: str, key: tuple, size: float, now: float, over: float, read: Reader, value: np.ndarray) -> dict:
    """One broken limit; of a crew the hours its people have."""
    limit, member, _, unit = words.limit((family, key))
    if family in ("crew_hours", "crew_overtime"):
        name = "regular_used_hours" if family == "crew_hours" else "overtime_used_hours"
        used = dict(zip(read.arrays.columns[name].keys, read.arrays.columns[name].positions.tolist(), strict=True))
        now = float(value[used[key]])
        size = now - over
    return _row(limit, member, key[-1], unit, size, now, over, words)


def _row(limit: str, member: str, t: int, unit: str, size: float, now: float, over: float, words: Words) -> dict:
    return {"limit": limit, "member": member, "t": t, "unit": unit, "limit_qty": float(size), "rounded_qty": float(now),
            "over_qty": float(over), "sentence": f"{limit} of {member} in {words.when[t]} is broken by {quantity_words(over)} {unit}"}


def _verdict(breaches: pd.DataFrame, short: float) -> str:
    if breaches.empty:
        return "Rounded to whole quantities the plan keeps every limit: feasible."
    worst = breaches.loc[(breaches["over_qty"] / breaches["limit_qty"].abs().clip(lower=1.0)).idxmax(), "sentence"]
    missing = f"; carried out within its limits it is {quantity_words(short)} units short" if short > _TOLERANCE else ""
    return f"Rounded to whole quantities the plan is not feasible: {len(breaches)} limits are broken, the worst: {worst}{missing}."
