"""One compiled plan solved again and again: limits moved in place, HiGHS goes on from its last basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np

from sop_workbench.errors import SolverError
from sop_workbench.settings import Settings
from sop_workbench.supply.compile import Arrays
from sop_workbench.supply.solve import open_solver, run_cold

# A re-solve that takes more steps than this is further from the last corner than from none: it starts anew, with presolve.
# Counted in steps, not in seconds, so that the same plan takes the same way on every machine.
_MOST_STEPS = 3000

Positions = Sequence[int] | np.ndarray
_STATUS = highspy.HighsModelStatus


@dataclass(frozen=True)
class Answer:
    """One solve of a varied plan.

    Attributes
    ----------
    objective_amt : float
        Profit less penalties.
    value : ndarray
        By column.
    row_price, column_price : ndarray
        Worth of one more unit of each row's limit, and of each column's.
    """

    objective_amt: float
    value: np.ndarray
    row_price: np.ndarray
    column_price: np.ndarray


class VariedPlan:
    """The linear plan of `arrays`, kept loaded; every change stands until it is taken back.

    Whole lots are read as any quantity: a variation answers in milliseconds what a search for whole lots takes minutes for.
    """

    def __init__(self, arrays: Arrays, settings: Settings, like: VariedPlan | None = None) -> None:
        self.arrays = replace(arrays, is_integer=np.zeros_like(arrays.is_integer))
        self._solver, self._seconds = open_solver(self.arrays, settings), settings.supply.time_limit_seconds
        self._is_solved = like is not None
        if like is not None:  # goes on from where the other one stands
            self.start_from(like.basis)

    @property
    def basis(self) -> highspy.HighsBasis:
        """The corner it stands in."""
        return self._solver.getBasis()

    @property
    def steps(self) -> int:
        """Simplex steps of the last solve."""
        return int(self._solver.getInfo().simplex_iteration_count)

    def start_from(self, basis: highspy.HighsBasis) -> None:
        """Go on from a corner that was this plan's before."""
        self._solver.setBasis(basis)

    def limit_rows(self, rows: Positions, lower: np.ndarray, upper: np.ndarray) -> None:
        """Bounds of rows."""
        place = np.asarray(rows, dtype=np.int32)
        if len(place):
            self._solver.changeRowsBounds(  # type: ignore[attr-defined]
                len(place), place, np.asarray(lower, dtype=float), np.asarray(upper, dtype=float))

    def limit_columns(self, columns: Positions, lower: np.ndarray, upper: np.ndarray) -> None:
        """Bounds of columns."""
        place = np.asarray(columns, dtype=np.int32)
        if len(place):
            self._solver.changeColsBounds(len(place), place, np.asarray(lower, dtype=float), np.asarray(upper, dtype=float))

    def price_columns(self, columns: Positions, amount: np.ndarray) -> None:
        """What a unit of each column earns (costs are negative)."""
        place = np.asarray(columns, dtype=np.int32)
        if len(place):
            self._solver.changeColsCost(len(place), place, np.asarray(amount, dtype=float))

    def constant(self, amount: float) -> None:
        """What the objective has whatever is planned."""
        self._solver.changeObjectiveOffset(amount)

    def coefficients(self, rows: Positions, columns: Positions, values: np.ndarray) -> None:
        """Single entries of the matrix."""
        for row, column, value in zip(*(np.asarray(part).tolist() for part in (rows, columns, values)), strict=True):
            self._solver.changeCoeff(row, column, value)

    def take_back(self, columns: Positions) -> None:
        """Bounds of columns as the plan had them."""
        place = np.asarray(columns, dtype=np.int32)
        self.limit_columns(place, self.arrays.lower[place], self.arrays.upper[place])

    def add_row(self, columns: Positions, coefficients: np.ndarray, upper: float) -> int:
        """A further limit Σ coefficient · column ≤ upper; its row."""
        place = np.asarray(columns, dtype=np.int32)
        self._solver.addRow(-highspy.kHighsInf, float(upper), len(place), place, np.asarray(coefficients, dtype=float))
        return self._solver.getNumRow() - 1

    def solve(self) -> Answer:
        """The best plan as things stand.

        Raises
        ------
        SolverError
            When there is none, or the time limit ends the search.
        """
        self.run()
        return self.answer()

    def run(self) -> None:
        """Find the best plan as things stand.

        Raises
        ------
        SolverError
            As `solve`.
        """
        status = self._goes_on() if self._is_solved else _STATUS.kNotset
        if status in (_STATUS.kNotset, _STATUS.kIterationLimit):
            status = self._starts_anew()
        if status != _STATUS.kOptimal:
            raise SolverError(f"a variation of the plan has no best plan ({self._solver.modelStatusToString(status).lower()})")

    def answer(self) -> Answer:
        """The plan found last."""
        solution = self._solver.getSolution()
        return Answer(
            float(self._solver.getInfo().objective_function_value), np.asarray(solution.col_value), np.asarray(solution.row_dual),
            np.asarray(solution.col_dual),
        )

    def _goes_on(self) -> highspy.HighsModelStatus:
        """From the last corner, for so many steps."""
        self._solver.setOptionValue("simplex_iteration_limit", _MOST_STEPS)
        self._allow_time()
        self._solver.run()
        self._solver.setOptionValue("simplex_iteration_limit", 2**31 - 1)
        return self._solver.getModelStatus()

    def _starts_anew(self) -> highspy.HighsModelStatus:
        self._solver.clearSolver()
        self._allow_time()
        run_cold(self._solver)
        self._is_solved = True
        return self._solver.getModelStatus()

    def _allow_time(self) -> None:
        """HiGHS counts the time of all its solves against the limit; ours is for one."""
        self._solver.setOptionValue("time_limit", self._solver.getRunTime() + self._seconds)
