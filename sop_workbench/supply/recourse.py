"""A plan under uncertainty: what is committed now is the same in every sample, everything later answers to it.

Two stages. First: what is started and ordered in the committed periods, x. Second, in each sample s of demand, hours and
supplies: everything else. What was committed need not be used up (a line can fail), but then it costs its unit's value:

    worth_s(x) = max over plans with 0 ≤ started ≤ x in the committed periods of  profit − penalties − Σ value · (x − started)

worth_s is concave and piecewise linear in x; the prices of x at a solution give a cut above it. The best commitment

    max over x of  (1 − w) · mean_s worth_s(x) + w · CVaR_a(worth(x))

is found from such cuts, one for each sample and round (the L-shaped method of Van Slyke & Wets 1969 in its multi-cut form,
with the step bounded to a box around the best point as in Linderoth & Wright 2003).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np
import pandas as pd

from sop_workbench.errors import SolverError
from sop_workbench.settings import Settings
from sop_workbench.supply.compile import Arrays
from sop_workbench.supply.instance import PLACE, SALE, Instance
from sop_workbench.supply.measures import Measured, measures
from sop_workbench.supply.vary import Answer, VariedPlan

_ROUNDS = 40
_FAR = 1500  # steps; to start from a corner of one's own costs a factorisation, about as much as some hundred steps
_GAP = 1e-4
_FIRST_BOX, _LEAST_BOX, _GOOD_STEP = 0.02, 1e-4, 0.5
# No sample alone would have more than this times what the neediest wants.
_MOST_WANTED = 2.0
_INFINITY = highspy.kHighsInf


@dataclass(frozen=True)
class Sample:
    """One way the future may go, as factors on the plan.

    Attributes
    ----------
    demand_ratio : ndarray
        By row of `Instance.demand`.
    hours_ratio : ndarray
        By row of `Instance.capacity`: share of hours that is left.
    supply_ratio : ndarray
        By supplier order (columns of `purchase_qty`): share that is left of the supplier's limit, or of what the plan orders where
        there is none; 1 leaves it as it is.
    """

    demand_ratio: np.ndarray
    hours_ratio: np.ndarray
    supply_ratio: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What one sample comes to under one commitment.

    Attributes
    ----------
    worth_amt : float
        Profit less penalties less what was committed and not used.
    measured : Measured
        Profit (what was committed and not used taken off), service, stock.
    slope : ndarray
        Worth of one more unit of each commitment.
    used : ndarray
        What was used of each.
    """

    worth_amt: float
    measured: Measured
    slope: np.ndarray
    used: np.ndarray


@dataclass(frozen=True)
class Commitment:
    """The best commitment found, and how far it may be from the best there is.

    Attributes
    ----------
    quantity : ndarray
        By committed column.
    outcomes : list of Outcome
        One for each sample.
    aim_amt : float
        (1 − w) · mean worth + w · CVaR.
    bound_amt : float
        No commitment reaches more.
    known, of_plan, of_start : list of Outcome
        What was found on the way: each sample known beforehand, with the plan's own commitment, with the one the search started from.
    """

    quantity: np.ndarray
    outcomes: list[Outcome]
    aim_amt: float
    bound_amt: float
    known: list[Outcome]
    of_plan: list[Outcome]
    of_start: list[Outcome]

    @property
    def gap_ratio(self) -> float:
        """How far the bound lies above, as a share."""
        return (self.bound_amt - self.aim_amt) / max(1.0, abs(self.aim_amt))


@dataclass(frozen=True)
class Scaled:
    """Rows whose limit moves in proportion to a factor of the sample."""

    rows: np.ndarray
    source: np.ndarray

    def bounds(self, arrays: Arrays, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits of the rows; a side without limit has none still."""
        sides = (arrays.row_lower[self.rows], arrays.row_upper[self.rows])
        lower, upper = (np.where(np.isfinite(side), np.where(np.isfinite(side), side, 0.0) * ratio[self.source], side) for side in sides)
        return lower, upper


class Recourse:
    """One plan kept loaded for many samples, which move its limits in turn.

    Parameters
    ----------
    instance, arrays : Instance, Arrays
        The situation and its compiled model.
    settings : Settings
        Solver settings.
    committed : int
        Periods in which what is started and ordered is committed before the sample is known.
    like : VariedPlan, optional
        The same plan, solved already: its corner is where this one starts.
    """

    def __init__(self, instance: Instance, arrays: Arrays, settings: Settings, committed: int, like: VariedPlan | None = None) -> None:
        self.arrays, self.weights = arrays, measures(instance, arrays)
        self.plan = VariedPlan(arrays, settings, like)
        self.scaled, self.orders = _scaled_rows(instance, arrays), _unlimited_orders(arrays)
        self.columns, self.value = _committed_columns(instance, arrays, committed)
        demand = instance.demand
        self.price = demand["price_amt"].to_numpy()
        self.planned, self.waiting = demand["demand_qty"].to_numpy(), demand["opening_backlog_qty"].to_numpy()
        self.base = self.plan.solve()

    @property
    def base_quantity(self) -> np.ndarray:
        """What the plan itself commits to."""
        return self.base.value[self.columns]


class Future:
    """One sample: what it makes of the plan's limits. It is answered from where the sample before it ended, when that is near.

    In a large company the corners of two samples can be thousands of steps apart: then it goes on from its own last one.
    """

    def __init__(self, recourse: Recourse, sample: Sample) -> None:
        self._recourse, arrays = recourse, recourse.arrays
        self._corner: highspy.HighsBasis | None = None
        due = recourse.planned * sample.demand_ratio + recourse.waiting
        before = recourse.planned + recourse.waiting
        of_due = np.divide(due, before, out=np.ones_like(due), where=before > 0)
        ratios = (of_due, sample.demand_ratio, sample.hours_ratio, sample.supply_ratio)
        self._limits = [(scaled.rows, *scaled.bounds(arrays, ratio)) for scaled, ratio in zip(recourse.scaled, ratios, strict=True)]
        self._upper = arrays.upper.copy()
        column, left = recourse.orders.rows, sample.supply_ratio[recourse.orders.source]
        self._upper[column] = np.where(left < 1, left * recourse.base.value[column], arrays.upper[column])
        self._demanded, self._unspoken = float(due.sum()), float(recourse.price @ (due - before))

    def outcome(self, quantity: np.ndarray | None) -> Outcome:
        """The best answer once `quantity` is committed; None when nothing had to be (the future was known)."""
        recourse = self._recourse
        answer = self._answer(quantity)
        worth = answer.objective_amt + self._unspoken - (0.0 if quantity is None else float(recourse.value @ quantity))
        slope = np.maximum(answer.column_price[recourse.columns], 0.0) - recourse.value
        return Outcome(worth, recourse.weights.of(answer.value, worth, self._demanded), slope, answer.value[recourse.columns])

    def _answer(self, quantity: np.ndarray | None) -> Answer:
        """No more of the committed columns than was committed; a unit that is used saves what it costs unused."""
        recourse, arrays, plan = self._recourse, self._recourse.arrays, self._recourse.plan
        for rows, lower, upper in self._limits:
            plan.limit_rows(rows, lower, upper)
        orders, column = recourse.orders.rows, recourse.columns
        plan.limit_columns(orders, arrays.lower[orders], self._upper[orders])
        most = self._upper[column] if quantity is None else np.minimum(np.maximum(quantity, 0.0), self._upper[column])
        plan.limit_columns(column, arrays.lower[column], most)
        plan.price_columns(column, arrays.cost[column] + (0.0 if quantity is None else recourse.value))
        if self._corner is not None:
            plan.start_from(self._corner)
        answer = plan.solve()
        if self._corner is not None or plan.steps > _FAR:
            self._corner = plan.basis
        return answer


def outcomes(futures: Sequence[Future], quantity: np.ndarray | None) -> list[Outcome]:
    """The best answer to each of several samples."""
    return [future.outcome(quantity) for future in futures]


def mean_sample(samples: Sequence[Sample]) -> Sample:
    """The sample in which everything is as it is on average."""
    return Sample(*(np.mean([getattr(one, name) for one in samples], axis=0) for name in ("demand_ratio", "hours_ratio", "supply_ratio")))


def best_commitment(
    recourse: Recourse, futures: Sequence[Future], start: np.ndarray, cvar_weight: float = 0.0, cvar_level: float = 0.9
) -> Commitment:
    """The commitment of the most worth over all samples, or of the best mix with the worst ones.

    Parameters
    ----------
    recourse : Recourse
        The loaded plan.
    futures : sequence of Future
        Equally likely ones.
    start : ndarray
        A commitment to begin with beside the plan's own, such as that of the mean sample.
    cvar_weight : float
        w, 0 for the mean alone; CVaR is the mean worth of the worst 1 − `cvar_level` of the samples.

    Returns
    -------
    Commitment
        Within a ten-thousandth of the best, or as near as 40 rounds came: `gap_ratio` says.
    """
    of_plan, of_start, known = (outcomes(futures, quantity) for quantity in (recourse.base_quantity, start, None))
    most = np.maximum(_MOST_WANTED * np.max([one.used for one in known], axis=0), recourse.base_quantity)
    master = _Master(most, [one.worth_amt for one in known], cvar_weight, cvar_level)

    def scored(quantity: np.ndarray, found: list[Outcome]) -> Commitment:
        master.cut(quantity, found)
        reached = aim(np.array([one.worth_amt for one in found]), cvar_weight, cvar_level)
        return Commitment(quantity, found, reached, np.inf, known, of_plan, of_start)

    begun = scored(start, of_start), scored(recourse.base_quantity, of_plan)
    best, box = max(begun, key=lambda one: one.aim_amt), _FIRST_BOX
    for _ in range(_ROUNDS):
        quantity, promised = master.propose(best.quantity, box)
        if box < _LEAST_BOX or promised - best.aim_amt <= _GAP * abs(best.aim_amt):
            break
        now = scored(quantity, outcomes(futures, quantity))
        gain = now.aim_amt - best.aim_amt
        box = box / 2 if gain <= 0 else 2 * box if gain > _GOOD_STEP * (promised - best.aim_amt) else box
        best = now if gain > 0 else best
    return replace(best, bound_amt=max(master.propose(best.quantity, np.inf)[1], best.aim_amt))


def aim(worth_amt: np.ndarray, cvar_weight: float, cvar_level: float) -> float:
    """(1 − w) · mean + w · CVaR.

    Examples
    --------
    >>> aim(np.array([0.0, 10.0, 20.0, 30.0]), 0.5, 0.75)
    7.5
    """
    return float((1 - cvar_weight) * worth_amt.mean() + cvar_weight * cvar(worth_amt, cvar_level))


def cvar(worth_amt: np.ndarray, level: float) -> float:
    """Mean of the worst 1 − `level` of equally likely outcomes (a part of one where the share is not whole).

    max over η of η − Σ max(η − worth, 0) / ((1 − level) · n) (Rockafellar & Uryasev 2000).

    Examples
    --------
    >>> cvar(np.array([0.0, 10.0, 20.0, 30.0]), 0.5)
    5.0
    """
    return float(max(edge - np.maximum(edge - worth_amt, 0).sum() / ((1 - level) * len(worth_amt)) for edge in worth_amt))


class _Master:
    """What is known of worth_s(x) so far: cuts above it, and the commitment that looks best under them.

    Columns: x, then θ_s (worth of each sample), then η and the shortfalls below it for CVaR.
    """

    def __init__(self, most: np.ndarray, known_amt: list[float], cvar_weight: float, cvar_level: float) -> None:
        self._count, self._samples, self._most = len(most), len(known_amt), most
        samples = self._samples
        # No commitment is worth more in a sample than knowing it beforehand.
        lower = np.r_[np.zeros(self._count), np.full(samples + 1, -_INFINITY), np.zeros(samples)]
        upper = np.r_[most, known_amt, np.full(samples + 1, _INFINITY)]
        cost = np.r_[np.zeros(self._count), np.full(samples, (1 - cvar_weight) / samples), cvar_weight,
                     np.full(samples, -cvar_weight / ((1 - cvar_level) * samples))]
        self._solver = highspy.Highs()
        self._solver.setOptionValue("output_flag", False)
        self._solver.setOptionValue("threads", 1)
        self._solver.addVars(len(lower), lower, upper)
        self._solver.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)
        self._solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
        edge = self._count + samples
        for n in range(samples):  # shortfall_s ≥ η − θ_s
            place = np.array([edge, self._count + n, edge + 1 + n], dtype=np.int32)
            self._solver.addRow(-_INFINITY, 0.0, 3, place, np.array([1.0, -1.0, -1.0]))

    def cut(self, quantity: np.ndarray, outcomes: Sequence[Outcome]) -> None:
        """θ_s ≤ worth_s(quantity) + slope_s · (x − quantity), for every sample."""
        for n, outcome in enumerate(outcomes):
            used = np.flatnonzero(outcome.slope)
            place = np.r_[used, self._count + n].astype(np.int32)
            limit = outcome.worth_amt - float(outcome.slope @ quantity)
            self._solver.addRow(-_INFINITY, limit, len(place), place, np.r_[-outcome.slope[used], 1.0])

    def propose(self, centre: np.ndarray, box: float) -> tuple[np.ndarray, float]:
        """The best x within `box` times its usual size around the centre, and what the cuts promise of it."""
        reach = np.where(self._most > 0, box * np.maximum(self._most, 1.0), 0.0)
        lower, upper = np.maximum(centre - reach, 0.0), np.minimum(centre + reach, self._most)
        column = np.arange(self._count, dtype=np.int32)
        self._solver.changeColsBounds(self._count, column, lower, np.maximum(lower, upper))
        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise SolverError("the search for the best commitment stopped; plan fewer samples or fewer committed periods")
        value = np.asarray(self._solver.getSolution().col_value)
        return value[: self._count], float(self._solver.getInfo().objective_function_value)


# ------------------------------------------------------------------ where the samples act
def _scaled_rows(instance: Instance, arrays: Arrays) -> tuple[Scaled, ...]:
    """Rows that follow what is due, what is demanded, what hours are left, what suppliers can give."""
    demand = _numbers(instance.demand, [*SALE, "t"])
    hours = _numbers(instance.capacity, ["resource_id", "t"])
    orders = {key: n for n, key in enumerate(arrays.columns["purchase_qty"].keys)}
    families = ((("market_balance",), demand), (("contract_floor",), demand), (("capacity_limit", "overtime_limit"), hours),
                (("supplier_limit",), orders))
    return tuple(_scaled(arrays, names, source) for names, source in families)


def _scaled(arrays: Arrays, names: tuple[str, ...], source: dict[tuple, int]) -> Scaled:
    blocks = [arrays.rows[name] for name in names]
    rows = np.concatenate([block.positions for block in blocks])
    return Scaled(rows.astype(int), np.array([source[key] for block in blocks for key in block.keys], dtype=int))


def _unlimited_orders(arrays: Arrays) -> Scaled:
    """Orders at suppliers who state no limit: when they fail, what was planned with them shrinks."""
    limited = set(arrays.rows["supplier_limit"].keys)
    block = arrays.columns["purchase_qty"]
    places = [n for n, key in enumerate(block.keys) if key not in limited]
    return Scaled(block.positions[places].astype(int), np.array(places, dtype=int))


def _committed_columns(instance: Instance, arrays: Arrays, committed: int) -> tuple[np.ndarray, np.ndarray]:
    """What is started and ordered in the first periods, with the value of a unit."""
    worth = instance.stocked.set_index(PLACE)["value_amt"].to_dict()
    columns, value = [], []
    for name, place in (("production_qty", (0, 1)), ("purchase_qty", (0, 2))):
        block = arrays.columns[name]
        for key, position in zip(block.keys, block.positions.tolist(), strict=True):
            if key[-1] < committed:
                columns.append(position)
                value.append(worth[key[place[0]], key[place[1]]])
    return np.array(columns, dtype=int), np.array(value, dtype=float)


def _numbers(frame: pd.DataFrame, key: list[str]) -> dict[tuple, int]:
    """Row number of each key."""
    return {found: n for n, found in enumerate(frame[key].itertuples(index=False, name=None))}
