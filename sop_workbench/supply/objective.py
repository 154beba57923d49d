"""What the plan aims at: profit at once, or service first (by priority, or all of it) and money after.

Stages are solved one after the other on the same open solver: each starts from the best corner of the one
before, whose shortage may not grow any more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import highspy
import numpy as np
from scipy.sparse import csc_array, vstack

from sop_workbench.supply.solve import (
    Arrays,
    Progress,
    Solution,
    concluded,
    open_solver,
    read_solution,
    refuse_endless_numbers,
    run_cold,
    solve,
    start_whole_lots,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sop_workbench.settings import Settings
    from sop_workbench.supply.instance import Instance

_SLACK = 1e-7


def solve_for_aim(arrays: Arrays, instance: Instance, settings: Settings,
                  progress: Callable[[Progress], None] | None = None) -> tuple[Arrays, Solution]:
    """Solve for the aim of the settings.

    profit: max profit − penalties
    service: min Σ price · shortage of contracts and strategic shares; then of each market priority in turn; then max profit − penalties
    cost: min Σ price · what is never served; then min costs + penalties

    Parameters
    ----------
    arrays : Arrays
        The model with its profit objective.
    instance, settings
        Prices and priorities of demand; `settings.supply.objective`.
    progress : callable, optional
        As `solve`; heard where profit is the aim.

    Returns
    -------
    (Arrays, Solution)
        The model as last solved (a row for each stage added below, the last stage's cost) and its solution; prices are those of
        the last stage: what one more unit of a limit earns while service stays as it is. `objective_amt` is profit less penalties.

    Raises
    ------
    NoPlanError, SolverError
        As `solve`.
    """
    if settings.supply.objective == "profit" or not arrays.columns_count:
        return arrays, solve(arrays, settings, progress)
    refuse_endless_numbers(arrays)
    staged = arrays
    solver: highspy.Highs | None = None
    for shortage in shortages(arrays, instance, settings):
        staged = replace(staged, cost=-shortage, offset=0.0)
        solver = _aimed(solver, staged, settings)
        concluded(solver, staged, settings)
        value = np.asarray(solver.getSolution().col_value)
        staged = _kept(solver, staged, shortage, float(shortage @ value))
    staged = replace(staged, cost=arrays.cost + _revenue_at_stake(arrays, instance, settings), offset=arrays.offset)
    solver = _aimed(solver, staged, settings)
    status = concluded(solver, staged, settings)
    solution = read_solution(solver, staged, status)
    profit = float(arrays.cost @ solution.value + arrays.offset)
    return staged, replace(solution, objective_amt=profit)


def shortages(arrays: Arrays, instance: Instance, settings: Settings) -> list[np.ndarray]:
    """What each stage makes least, as a cost by column: units short at their price (1 where an item has none)."""
    worth = instance.demand.assign(worth=instance.demand["price_amt"].where(instance.demand["price_amt"] > 0, 1.0))
    worth = worth.set_index(["item_id", "market_id", "t"])[["worth", "priority"]].sort_index()
    last = len(instance.periods) - 1
    if settings.supply.objective == "cost":
        return [_weights(arrays, "lost_qty", worth["worth"]) + _weights(arrays, "backlog_qty", worth["worth"], only=last)]
    promised = np.zeros(arrays.columns_count)
    for name in ("floor_shortfall_qty", "strategic_shortfall_qty"):
        promised += _weights(arrays, name, worth["worth"])
    tiers = [worth["worth"].where(worth["priority"] == tier, 0.0) for tier in np.sort(worth["priority"].unique())]
    stages = [promised, *(_weights(arrays, "lost_qty", tier) + _weights(arrays, "backlog_qty", tier) for tier in tiers)]
    return [stage for stage in stages if stage.any()]


def _weights(arrays: Arrays, name: str, worth: object, only: int | None = None) -> np.ndarray:
    """A cost by column from a worth by (item, market, t); a pair without demand in the last period is worth 1."""
    weights, block = np.zeros(arrays.columns_count), arrays.columns.get(name)
    if block is not None and block.keys:
        found = worth.reindex(block.keys).fillna(1.0).to_numpy(dtype=float)  # type: ignore[attr-defined]
        is_meant = np.array([only is None or key[-1] == only for key in block.keys])
        weights[block.positions] = np.where(is_meant, found, 0.0)
    return weights


def _revenue_at_stake(arrays: Arrays, instance: Instance, settings: Settings) -> np.ndarray:
    """What turns profit into cost: the price a unit loses when it is not served; nothing where profit is the aim."""
    if settings.supply.objective != "cost":
        return np.zeros(arrays.columns_count)
    price = instance.demand.set_index(["item_id", "market_id", "t"])["price_amt"]
    return _weights(arrays, "lost_qty", price) + _weights(arrays, "backlog_qty", price, only=len(instance.periods) - 1)


def _aimed(solver: highspy.Highs | None, arrays: Arrays, settings: Settings) -> highspy.Highs:
    """The solver run for the cost of these arrays, from where the stage before ended."""
    if solver is None:
        solver = open_solver(arrays, settings)
        start_whole_lots(solver, arrays, settings)
        run_cold(solver)
    else:
        solver.changeColsCost(arrays.columns_count, np.arange(arrays.columns_count, dtype=np.int32), arrays.cost)
        solver.changeObjectiveOffset(arrays.offset)
        solver.run()
    return solver


def _kept(solver: highspy.Highs, arrays: Arrays, shortage: np.ndarray, least: float) -> Arrays:
    """A row that keeps a stage's shortage at its least, in the solver and in the arrays."""
    most = least + _SLACK * max(1.0, abs(least))
    columns = np.flatnonzero(shortage).astype(np.int32)
    before = solver.getSolution()
    solver.addRow(-highspy.kHighsInf, most, len(columns), columns, shortage[columns])
    if arrays.is_integer.any():
        solver.setSolution(before)
    return replace(arrays, matrix=csc_array(vstack([arrays.matrix, csc_array(shortage[None, :])])),
                   row_lower=np.append(arrays.row_lower, -highspy.kHighsInf), row_upper=np.append(arrays.row_upper, most))
