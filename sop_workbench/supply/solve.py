"""HiGHS: from a model in arrays to its solution, or to why there is none."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import highspy
import numpy as np
import pandas as pd

from sop_workbench.errors import SolverError
from sop_workbench.settings import Settings
from sop_workbench.supply.compile import Arrays, Block, compile_arrays

__all__ = ["Arrays", "Block", "NoPlanError", "Progress", "Solution", "collection_paused", "compile_arrays", "open_solver", "run_cold",
           "solve"]

_STATUS = highspy.HighsModelStatus
INTERIOR_POINT_SIZE = 200_000  # rows + columns from which interior points are the safer first solve (docs/benchmarks.md)


class NoPlanError(Exception):
    """There is no plan; `members` are the clashing limits, or what could grow for ever, as (name, key)."""

    def __init__(self, *, is_unbounded: bool, members: list[tuple[str, tuple]]) -> None:
        self.is_unbounded = is_unbounded
        self.members = members
        super().__init__(members)


@dataclass(frozen=True)
class Solution:
    """Values by column and prices by row.

    Attributes
    ----------
    value : ndarray
        Of every column, solver noise below a billionth cut off.
    row_price : ndarray
        Profit gained by one more unit of a row's right-hand side (integers held where lots are whole).
    objective_amt : float
        Profit less penalties.
    status : str
        How the solver ended, in words.
    basis : HighsBasis, optional
        The corner the plan lies in (of the linear plan with its whole numbers held).
    """

    value: np.ndarray
    row_price: np.ndarray
    objective_amt: float
    status: str
    basis: highspy.HighsBasis | None = None

    def values(self, block: Block | None, key: list[str]) -> pd.Series:
        """Values of a variable by its index (empty when the model has none)."""
        return self._by_key(self.value, block, key)

    def prices(self, block: Block | None, key: list[str]) -> pd.Series:
        """Prices of a constraint family by its index (empty when the model has none)."""
        return self._by_key(self.row_price, block, key)

    @staticmethod
    def _by_key(numbers: np.ndarray, block: Block | None, key: list[str]) -> pd.Series:
        if block is None or not len(block.members):
            return pd.Series(dtype=float, index=pd.MultiIndex.from_arrays([[]] * len(key), names=key))
        return pd.Series(numbers[block.positions], index=block.index(key))


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause garbage collection while millions of small objects that all stay are made: a third of the build time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(frozen=True)
class Progress:
    """Where the search for whole lots stands.

    Attributes
    ----------
    seconds : float
        Since the search began.
    best_amt : float
        Objective of the best plan so far; -inf before the first.
    bound_amt : float
        No plan is better than this.
    gap_ratio : float
        Distance between the two, as a share of the best.
    """

    seconds: float
    best_amt: float
    bound_amt: float
    gap_ratio: float


def solve(arrays: Arrays, settings: Settings, progress: Callable[[Progress], None] | None = None) -> Solution:
    """Solve the plan; where lots are whole, prices are those of the plan with its whole numbers held.

    Parameters
    ----------
    arrays : Arrays
        The model.
    settings : Settings
        Time limit, gap, seed.
    progress : callable, optional
        Called with a `Progress` every few seconds while whole lots are searched for.

    Raises
    ------
    NoPlanError
        When no plan, or no best plan, exists.
    SolverError
        When the solver stopped without a plan.
    """
    refuse_endless_numbers(arrays)
    if not arrays.columns_count:
        return Solution(np.array([]), np.zeros(len(arrays.row_lower)), arrays.offset, "optimal: there is nothing to plan")
    solver = open_solver(arrays, settings)
    start_whole_lots(solver, arrays, settings)
    if progress is not None:
        show_progress(solver, progress)
    run_cold(solver)
    return read_solution(solver, arrays, concluded(solver, arrays, settings))


def run_cold(solver: highspy.Highs) -> None:
    """Solve a model that has no plan yet: a large linear one by interior points and crossover to a corner, any other by simplex.

    What is solved again afterwards starts from that corner, by simplex.
    """
    is_large = solver.getNumRow() + solver.getNumCol() >= INTERIOR_POINT_SIZE
    is_linear = not any(kind != highspy.HighsVarType.kContinuous for kind in solver.getLp().integrality_)
    if is_large and is_linear:
        solver.setOptionValue("solver", "ipx")
    solver.run()
    solver.setOptionValue("solver", "choose")


def show_progress(solver: highspy.Highs, progress: Callable[[Progress], None]) -> None:
    """Tell how the search for whole lots goes on."""
    def told(event: Any) -> None:
        found = event.data_out
        progress(Progress(found.running_time, found.mip_primal_bound, found.mip_dual_bound, found.mip_gap))

    solver.setOptionValue("log_to_console", False)
    solver.setOptionValue("output_flag", True)  # HiGHS tells callbacks nothing when it is silent; nothing is printed all the same
    solver.cbMipLogging.subscribe(told)


def start_whole_lots(solver: highspy.Highs, arrays: Arrays, settings: Settings) -> None:
    """Where lots are whole, let the search begin with those the linear plan already fills."""
    if arrays.is_integer.any():
        columns, switches = linear_start(arrays, settings)
        solver.setSolution(len(columns), columns, switches)


def concluded(solver: highspy.Highs, arrays: Arrays, settings: Settings) -> highspy.HighsModelStatus:
    """How the solver ended; refuses an end without a plan.

    Raises
    ------
    NoPlanError
        When no plan, or no best plan, exists.
    SolverError
        When the solver stopped without a plan.
    """
    status = solver.getModelStatus()
    has_plan = solver.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    if status in (_STATUS.kInfeasible, _STATUS.kUnboundedOrInfeasible, _STATUS.kUnbounded):
        _refuse(arrays, settings)
    if status != _STATUS.kOptimal and not (has_plan and status in (_STATUS.kTimeLimit, _STATUS.kIterationLimit, _STATUS.kInterrupt)):
        raise SolverError(f"the solver stopped without a plan ({solver.modelStatusToString(status)}); raise supply.time_limit_seconds, "
                          "widen supply.optimality_gap_ratio, or plan fewer periods")
    return status


def read_solution(solver: highspy.Highs, arrays: Arrays, status: highspy.HighsModelStatus) -> Solution:
    """Values and prices of the plan the solver holds; where lots are whole, prices are those with the whole numbers held."""
    value = _without_noise(np.asarray(solver.getSolution().col_value))
    if arrays.is_integer.any():
        value[arrays.is_integer] = np.round(value[arrays.is_integer])
        objective = solver.getInfo().objective_function_value
        words = _integer_words(solver, status)
        prices = _prices_with_integers_held(solver, arrays, value)
        return Solution(value, prices, float(objective), words, solver.getBasis())
    words = "optimal" if status == _STATUS.kOptimal else f"best plan found ({solver.modelStatusToString(status).lower()})"
    return Solution(value, np.asarray(solver.getSolution().row_dual), float(solver.getInfo().objective_function_value), words,
                    solver.getBasis())


def linear_start(arrays: Arrays, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Where the search for whole lots begins: the linear plan's lots and orders that already reach their smallest size.

    Returns
    -------
    (ndarray of int32, ndarray)
        Columns of the lot and order switches, and 1 or 0 for each; empty when there are none or no linear plan.
    """
    solver = open_solver(replace(arrays, is_integer=np.zeros_like(arrays.is_integer)), settings)
    run_cold(solver)
    none = np.array([], dtype=np.int32)
    if solver.getModelStatus() != _STATUS.kOptimal:
        return none, np.array([])
    linear = np.asarray(solver.getSolution().col_value)
    columns, switches = [none], [np.array([])]
    for switch, minimum in (("lot_count", "minimum_lot"), ("order_count", "minimum_order")):
        column, rows = arrays.columns[switch].positions, arrays.rows[minimum].positions
        switched_on = linear.copy()
        switched_on[column] = 1.0
        is_large_enough = arrays.matrix[rows] @ switched_on >= arrays.row_lower[rows] - 1e-7 if len(rows) else np.array([], dtype=bool)
        columns.append(column.astype(np.int32))
        switches.append((is_large_enough & (linear[column] > 1e-9)).astype(float))
    return np.concatenate(columns), np.concatenate(switches)


def refuse_endless_numbers(arrays: Arrays) -> None:
    """Refuse a price, cost, rate or limit that is empty or infinite.

    Raises
    ------
    SolverError
        Naming the variable or limit it stands at.
    """
    wrong_columns = ~np.isfinite(arrays.cost)
    wrong_rows = np.isnan(arrays.row_lower) | np.isnan(arrays.row_upper)
    entries = arrays.matrix.tocoo()
    wrong_rows[entries.coords[0][~np.isfinite(entries.data)]] = True
    found = [("price or cost", name, key) for name, key in _named(arrays.columns, wrong_columns)]
    found += [("limit or rate", name, key) for name, key in _named(arrays.rows, wrong_rows)]
    if found:
        what, name, key = found[0]
        raise SolverError(f"the {what} of {name} {' '.join(map(str, key))} is not a finite number ({len(found)} such); "
                          "correct it in the input tables")


def solver_options(settings: Settings) -> dict[str, bool | int | float]:
    """HiGHS's options: silent, deterministic, with the time limit and gap of the settings."""
    return {"output_flag": False, "random_seed": settings.compute.seed, "threads": 1,
            "time_limit": settings.supply.time_limit_seconds, "mip_rel_gap": settings.supply.optimality_gap_ratio}


def open_solver(arrays: Arrays, settings: Settings) -> highspy.Highs:
    """A HiGHS object that holds the model, with the options of the settings."""
    solver = highspy.Highs()
    for option, value in solver_options(settings).items():
        solver.setOptionValue(option, value)
    rows, columns = arrays.matrix.shape
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_, lp.sense_, lp.offset_ = columns, rows, highspy.ObjSense.kMaximize, arrays.offset
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = arrays.cost, arrays.lower, arrays.upper
    lp.row_lower_, lp.row_upper_ = arrays.row_lower, arrays.row_upper
    matrix = lp.a_matrix_
    matrix.format_, matrix.num_col_, matrix.num_row_ = highspy.MatrixFormat.kColwise, columns, rows
    matrix.start_, matrix.index_, matrix.value_ = arrays.matrix.indptr, arrays.matrix.indices, arrays.matrix.data
    if arrays.is_integer.any():
        lp.integrality_ = [highspy.HighsVarType.kInteger if whole else highspy.HighsVarType.kContinuous for whole in arrays.is_integer]
    if solver.passModel(lp) == highspy.HighsStatus.kError:
        raise SolverError("the solver refused the model: a price, cost or limit is not a finite number")
    return solver


def clashing_rows(arrays: Arrays, settings: Settings) -> list[tuple[str, tuple]]:
    """A smallest set of limits that cannot hold together, as (family, key): each of them may be needed, none can be left out.

    The hard limits are first made soft; those that have to give way, and what they pull along, are searched
    for an irreducible set.
    """
    solver = open_solver(arrays, settings)
    solver.setOptionValue("presolve", "off")
    solver.setOptionValue("iis_strategy", 2)
    _, iis = solver.getIis()
    clashing = np.zeros(len(arrays.row_lower), dtype=bool)
    clashing[np.asarray(iis.row_index_, dtype=int)] = True
    return _named(arrays.rows, clashing)


def _refuse(arrays: Arrays, settings: Settings) -> None:
    """Tell an impossible plan from an endless one: without an objective only the first has no plan."""
    plain = replace(arrays, cost=np.zeros_like(arrays.cost))
    solver = open_solver(plain, settings)
    solver.run()
    if solver.getModelStatus() == _STATUS.kInfeasible:
        raise NoPlanError(is_unbounded=False, members=clashing_rows(plain, settings))
    raise NoPlanError(is_unbounded=True, members=endless_columns(arrays, settings))


def endless_columns(arrays: Arrays, settings: Settings) -> list[tuple[str, tuple]]:
    """Variables that could grow for ever with profit, as (name, key)."""
    solver = open_solver(arrays, settings)
    solver.setOptionValue("presolve", "off")
    solver.setOptionValue("solver", "simplex")
    solver.run()
    _, has_ray, ray = solver.getPrimalRay()  # type: ignore[attr-defined]
    return _named(arrays.columns, np.abs(np.asarray(ray)) > 0) if has_ray else []


def _named(blocks: dict[str, Block], is_chosen: np.ndarray) -> list[tuple[str, tuple]]:
    """Names and keys of chosen columns or rows, sorted."""
    return sorted((name, key) for name, block in blocks.items() for key in block.keys_at(np.flatnonzero(is_chosen[block.positions])))


def _prices_with_integers_held(solver: highspy.Highs, arrays: Arrays, value: np.ndarray) -> np.ndarray:
    """Row prices of the linear plan in which every whole number stays as decided."""
    held = np.flatnonzero(arrays.is_integer).astype(np.int32)
    for column in held.tolist():
        solver.changeColIntegrality(column, highspy.HighsVarType.kContinuous)
        solver.changeColBounds(column, value[column], value[column])
    solver.run()
    return np.asarray(solver.getSolution().row_dual)


def _integer_words(solver: highspy.Highs, status: highspy.HighsModelStatus) -> str:
    gap = solver.getInfo().mip_gap
    return f"whole lots, within {gap:.2%} of the best" + ("" if status == _STATUS.kOptimal else "; stopped at the time limit")


def _without_noise(value: np.ndarray) -> np.ndarray:
    """Solver noise is not a quantity."""
    return np.where(np.abs(value) < 1e-9, 0.0, value)
