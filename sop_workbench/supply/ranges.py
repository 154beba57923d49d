"""How far a price holds: the plan's linear model, open at its best corner, and one limit moved until the next one binds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import highspy
import numpy as np

from sop_workbench.settings import Settings
from sop_workbench.supply.solve import Arrays, Solution, open_solver

_SAME_PRICE = 1e-6
_SAME_PLACE = 1e-5
_STEPS = 25
_CHECKED_UP_TO = 50_000


@dataclass(frozen=True)
class PriceRange:
    """How far a limit may move from where it is while its price holds.

    Attributes
    ----------
    less, more : float
        Distance down and up, in units of the limit; infinite where nothing ever stops it.
    stop : tuple (name, key) or None
        What stops it in the direction that pays: a variable that reaches its bound, or a limit that becomes full.
    price : float
        The row price that holds there.
    """

    less: float
    more: float
    stop: tuple[str, tuple] | None
    price: float


@dataclass(frozen=True)
class Corner:
    """The basic variables of a corner (rows as −position − 1), the sign of their change, their values and bounds."""

    basic: np.ndarray
    sign: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Probe:
    """The linear plan, open at its best corner, ready to be asked what a limit moved by a little would do.

    Whole numbers are held as decided. Opening it costs the factors of one corner, no simplex steps.
    """

    def __init__(self, arrays: Arrays, solution: Solution, settings: Settings) -> None:
        whole = arrays.is_integer
        self.arrays = replace(arrays, is_integer=np.zeros_like(whole), lower=np.where(whole, solution.value, arrays.lower),
                              upper=np.where(whole, solution.value, arrays.upper))
        self.solver = open_solver(self.arrays, settings)
        self.solver.setOptionValue("solver", "simplex")
        if solution.basis is not None:
            self.solver.setBasis(solution.basis)
        self.solver.run()
        self._here: Corner | None = None

    def range_of(self, row: int, price: float) -> PriceRange:
        """How far the right-hand side of a row may move while its price stays.

        The corner's ratio test: x_B moves along B⁻¹ e_row until a basic variable or row meets a bound. Many corners are
        degenerate, so a corner's range may be shorter than the price's, and its price that of one unit less: the limit is moved on
        past the corner and the plan solved again until the price of one more unit really changes. Above 50,000 variables only a corner
        that ends at once is left behind, so that the price told is that of one more unit; its range may be shorter than it could be.
        """
        pays = 1.0 if price >= 0 else -1.0
        forward, stop, right = self._walk(row, pays, price, is_first=True)
        backward = self._walk(row, -pays, price, is_first=False)[0] if right == price else 0.0
        less, more = (backward, forward) if pays > 0 else (forward, backward)
        return PriceRange(less, more, stop, right)

    def _walk(self, row: int, direction: float, price: float, *, is_first: bool) -> tuple[float, tuple[str, tuple] | None, float]:
        """Distance in a direction until the price changes, corner by corner, what stops there, and the price on the way.

        With `is_first`, a price that changes at once gives way to the one that then holds.
        """
        basis, gone, is_moved = self.solver.getBasis(), 0.0, False
        is_large = self.arrays.columns_count > _CHECKED_UP_TO
        stop: tuple[str, tuple] | None = None
        for _ in range(_STEPS):
            step, stop = self._ratio_test(row, direction)
            gone += step
            if not np.isfinite(gone) or (is_large and gone > _SAME_PLACE):
                break
            nudge, is_moved = 1e-6 * max(1.0, gone), True
            self._move(row, direction * (gone + nudge))
            self._run()
            if self.solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                break
            now = float(self.solver.getSolution().row_dual[row])
            if abs(now - price) > _SAME_PRICE * max(1.0, abs(price)):
                if not is_first or gone > _SAME_PLACE:
                    break
                price, is_first = now, False
            gone += nudge
        if is_moved:
            self._move(row, 0.0)
            self.solver.setBasis(basis)
            self._run()
        return gone, stop if np.isfinite(gone) else None, price

    def _ratio_test(self, row: int, direction: float) -> tuple[float, tuple[str, tuple] | None]:
        """How far one corner reaches when a row's right-hand side moves, and the basic variable that stops it."""
        corner = self._corner()
        _, change = self.solver.getBasisInverseCol(row)  # type: ignore[attr-defined]
        change = direction * np.asarray(change) * corner.sign
        moving = np.flatnonzero(np.abs(change) > 1e-9)
        change = change[moving]
        room = np.where(change > 0, corner.high[moving] - corner.value[moving], corner.value[moving] - corner.low[moving])
        reach = np.maximum(room, 0.0) / np.abs(change)
        if not len(reach) or not np.isfinite(reach.min()):
            return np.inf, None
        basic = int(corner.basic[moving[int(reach.argmin())]])
        return float(reach.min()), self._name(-basic - 1, True) if basic < 0 else self._name(basic, False)

    def _corner(self) -> Corner:
        """Where the solver stands now."""
        if self._here is None:
            _, basic = self.solver.getBasicVariables()  # type: ignore[attr-defined]
            basic, solution, lp = np.asarray(basic), self.solver.getSolution(), self.arrays
            is_row = basic < 0
            row, column = np.where(is_row, -basic - 1, 0), np.where(is_row, 0, basic)
            value, low, high = (
                np.where(is_row, np.asarray(of_row)[row], np.asarray(of_column)[column])
                for of_row, of_column in ((solution.row_value, solution.col_value), (lp.row_lower, lp.lower), (lp.row_upper, lp.upper)))
            # HiGHS keeps a row's activity with the opposite sign in its basis.
            self._here = Corner(basic, np.where(is_row, -1.0, 1.0), value, low, high)
        return self._here

    def _run(self) -> None:
        self._here = None
        self.solver.run()

    def _name(self, position: int, is_row: bool) -> tuple[str, tuple]:
        for name, block in (self.arrays.rows if is_row else self.arrays.columns).items():
            found = np.flatnonzero(np.asarray(block.positions) == position)
            if len(found):
                return name, block.keys[int(found[0])]
        return "service", ()  # a row that keeps the service of an earlier stage

    def _move(self, row: int, distance: float) -> None:
        self.solver.changeRowBounds(row, float(self.arrays.row_lower[row] + distance), float(self.arrays.row_upper[row] + distance))
