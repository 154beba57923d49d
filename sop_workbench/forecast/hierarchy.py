"""From one level of the plan to another: spread down, add up, reconcile; totals are conserved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

from sop_workbench.errors import SopError

_PASSES = 50
_REFINEMENTS = 4
_CLOSE = 1e-9
_EXACT = 1e-13
_NAMED = 8
# More held values than these are cheaper locked and factorised anew.
_MOST_HELD = 100
_ZERO_SHARE = 0.01


def spread(total: np.ndarray, base: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Spread totals over their members by each member's share of a base.

    Where the base of a group is zero everywhere, its members share equally. The members of a group add
    up to its total but for the last bit of a floating-point number.

    Parameters
    ----------
    total : ndarray, groups
        What is to be spread.
    base : ndarray, members
        Shares are taken of this; 0 or more.
    group : ndarray of int, members
        Number of the group each member belongs to.

    Raises
    ------
    SopError
        When a base is negative or not a number, or a group with a total has no member.

    Examples
    --------
    >>> spread(np.array([90.0, 10.0]), np.array([1.0, 2.0, 0.0, 0.0]), np.array([0, 0, 1, 1])).tolist()
    [30.0, 60.0, 5.0, 5.0]
    """
    total, base, group = np.asarray(total, dtype=float), np.asarray(base, dtype=float), np.asarray(group, dtype=int)
    if np.any(base < 0) or np.any(np.isnan(base)):
        raise SopError("the base of a spread must be 0 or more in every member; correct the negative or empty base first")
    members = np.bincount(group, minlength=len(total))
    if np.any((members == 0) & (total != 0)):
        lost = np.flatnonzero((members == 0) & (total != 0))
        raise SopError(f"{len(lost)} totals to spread have no member (first: group {lost[0]}); give them an item and market with demand")
    size = np.zeros(len(total))
    np.maximum.at(size, group, base)
    # Scaled by the largest member, a base of tiny numbers neither overflows nor vanishes.
    scaled = np.where(size[group] > 0, base / np.where(size[group] > 0, size[group], 1), 1.0)
    return total[group] * (scaled / np.bincount(group, scaled, minlength=len(total))[group])


def bottom_up(leaves: np.ndarray, summing: sparse.spmatrix | np.ndarray) -> np.ndarray:
    """Leaves with every aggregate as their sum.

    Parameters
    ----------
    leaves : ndarray, leaves × periods
    summing : sparse matrix, aggregates × leaves
        1 where a leaf belongs to an aggregate; families, channels and the total may cross.

    Returns
    -------
    ndarray, (leaves + aggregates) × periods

    Examples
    --------
    >>> bottom_up(np.array([[30.0], [50.0]]), np.array([[1, 1]])).ravel().tolist()
    [30.0, 50.0, 80.0]
    """
    leaves = np.asarray(leaves, dtype=float)
    return np.vstack([leaves, sparse.csr_matrix(summing, dtype=float) @ leaves])


def middle_out(middle: np.ndarray, base: np.ndarray, group: np.ndarray, summing: sparse.spmatrix | np.ndarray) -> np.ndarray:
    """One level of the hierarchy taken as given: spread to the leaves below, added up above.

    Parameters
    ----------
    middle : ndarray, groups × periods
        Forecast of the level planned at.
    base : ndarray, leaves × periods
        Shares are taken of this, such as the leaves' own forecasts; 0 or more.
    group : ndarray of int, leaves
        The group each leaf belongs to.
    summing : sparse matrix, aggregates × leaves

    Returns
    -------
    ndarray, (leaves + aggregates) × periods

    Raises
    ------
    SopError
        When a base is negative or not a number, or a group with a forecast has no leaf.

    Examples
    --------
    >>> middle_out(np.array([[90.0], [10.0]]), np.array([[1.0], [2.0], [4.0]]), np.array([0, 0, 1]), np.ones((1, 3))).ravel().tolist()
    [30.0, 60.0, 10.0, 100.0]
    """
    columns = [spread(total, shares, group) for total, shares in zip(np.asarray(middle).T, np.asarray(base).T, strict=True)]
    return bottom_up(np.column_stack(columns), summing)


def top_down(total: np.ndarray, base: np.ndarray, summing: sparse.spmatrix | np.ndarray) -> np.ndarray:
    """The total taken as given and spread to the leaves by their share of a base.

    Parameters
    ----------
    total : ndarray, periods
    base : ndarray, leaves × periods
        Shares are taken of this; 0 or more.
    summing : sparse matrix, aggregates × leaves

    Returns
    -------
    ndarray, (leaves + aggregates) × periods

    Raises
    ------
    SopError
        When a base is negative or not a number.

    Examples
    --------
    >>> top_down(np.array([100.0]), np.array([[1.0], [3.0]]), np.ones((1, 2))).ravel().tolist()
    [25.0, 75.0, 100.0]
    """
    return middle_out(np.atleast_2d(total), base, np.zeros(len(base), dtype=int), summing)


def sum_rules(summing: sparse.spmatrix | np.ndarray) -> sparse.csr_matrix:
    """Constraints of `reconcile` for nodes ordered as in `bottom_up`: each aggregate less its leaves gives 0.

    Examples
    --------
    >>> sum_rules(np.array([[1, 1]])).toarray().tolist()
    [[-1.0, -1.0, 1.0]]
    """
    members = sparse.csr_matrix(summing, dtype=float)
    return sparse.hstack([-members, sparse.identity(members.shape[0])]).tocsr()


def reconcile(
    forecast: np.ndarray,
    constraints: sparse.spmatrix | np.ndarray,
    target: np.ndarray,
    variance: np.ndarray,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """Move forecasts as little as their variances ask until every constraint holds and none is negative.

    ŷ = y + W Cᵀ (C W Cᵀ)⁻¹ (b − C y), W = diag(variance); values that would go below zero are set to zero
    and held there, and the rest is solved again.

    Parameters
    ----------
    forecast : ndarray, nodes × periods
        Forecast of every node of the hierarchy.
    constraints : sparse matrix, constraints × nodes
        One row per sum: 1 at the total, −1 at its members (or any other linear rule).
    target : ndarray, constraints × periods
        What each row must give (0 for sums).
    variance : ndarray, nodes
        How much each node may move; 0 locks it.
    names : sequence of str, nodes, optional
        What a contradiction calls the nodes; their numbers otherwise.

    Raises
    ------
    SopError
        When locked values contradict each other, so that no plan can add up.

    Examples
    --------
    A total of 100 is locked over two members of equal variance:

    >>> reconcile(np.array([[100.0], [30.0], [50.0]]), np.array([[1, -1, -1]]), np.zeros((1, 1)), np.array([0.0, 1, 1])).ravel().tolist()
    [100.0, 40.0, 60.0]
    """
    rules, variance = sparse.csr_matrix(constraints, dtype=float), np.asarray(variance, dtype=float)
    _refuse_negative_locks(forecast, variance, names)
    try:
        normal = _Normal.of(rules, variance)
        result = _project(np.asarray(forecast, dtype=float), normal, target)
        for column in np.flatnonzero((result < -_CLOSE).any(axis=0)):
            result[:, column] = _non_negative(result[:, column], normal, target[:, column])
    except _ContradictionError as found:
        raise SopError(_contradiction(found, np.asarray(forecast, dtype=float), rules, variance, names)) from None
    return np.where(np.abs(result) < _CLOSE, np.maximum(result, 0), result)


@dataclass(frozen=True)
class _Normal:
    """C W Cᵀ over the rules that something may still move in, factorised once.

    Attributes
    ----------
    keep : ndarray of int
        Those rules.
    spread_by, back : sparse matrix
        C W of them, and its transpose.
    solver
        Solves C W Cᵀ x = b; None where all is locked.
    """

    rules: sparse.csr_matrix
    variance: np.ndarray
    keep: np.ndarray
    spread_by: sparse.csc_matrix
    back: sparse.csr_matrix
    solver: SuperLU | None

    @classmethod
    def of(cls, rules: sparse.csr_matrix, variance: np.ndarray) -> _Normal:
        spread_by = rules.multiply(variance).tocsr()
        normal = (spread_by @ rules.T).tocsc()
        keep = np.flatnonzero(normal.diagonal() > 0)
        kept = spread_by[keep]
        if not len(keep):
            return cls(rules, variance, keep, kept.tocsc(), kept.T.tocsr(), None)
        # A trace of ridge keeps the factorisation stable when one rule follows from others; refinements remove its effect.
        core = normal[keep][:, keep]
        solver = splu((core + sparse.diags(core.diagonal() * 1e-12)).tocsc())
        return cls(rules, variance, keep, kept.tocsc(), kept.T.tocsr(), solver)

    def gap(self, values: np.ndarray, target: np.ndarray) -> np.ndarray:
        """What each rule misses its target by."""
        return target - self.rules @ values


def _project(forecast: np.ndarray, normal: _Normal, target: np.ndarray) -> np.ndarray:
    gap = normal.gap(forecast, target)
    fixed = np.ones(len(gap), dtype=bool)
    fixed[normal.keep] = False
    _refuse_contradiction(np.where(fixed[:, None], gap, 0.0), forecast)
    moved = forecast.copy()
    if normal.solver is None:
        return moved
    for _ in range(_REFINEMENTS):
        moved += normal.back @ normal.solver.solve(np.ascontiguousarray(gap[normal.keep]))
        gap = normal.gap(moved, target)
        if np.abs(gap[normal.keep]).max() <= _EXACT * max(1.0, float(np.abs(forecast).max())):
            break
    _refuse_contradiction(gap, forecast)
    return moved


def _non_negative(projected: np.ndarray, normal: _Normal, target: np.ndarray) -> np.ndarray:
    """One period's values, which add up but are partly below zero, with those held at zero; again where that pushes others below."""
    held, current = np.zeros(len(projected), dtype=bool), projected
    for _ in range(_PASSES):
        below = current < -_CLOSE
        if not below.any():
            return current
        held |= below
        made = _held_at_zero(projected, normal, target, np.flatnonzero(held))
        if made is None:
            locked = _Normal.of(normal.rules, np.where(held, 0.0, normal.variance))
            made = _project(np.where(held, 0.0, current)[:, None], locked, target[:, None])[:, 0]
        current = made
    raise SopError("forecasts cannot be made non-negative under the locked values; release a lock")


def _held_at_zero(projected: np.ndarray, normal: _Normal, target: np.ndarray, held: np.ndarray) -> np.ndarray | None:
    """The projection with some values held at zero as well, from the factorisation of the one without.

    With E the rows of the identity for the held values, the move is P Eᵀ S⁻¹ e, P = W − W Cᵀ (C W Cᵀ)⁻¹ C W, S = E P Eᵀ
    (Schur complement), e what is left to zero. None where many are held, or the rules then leave no freedom to tell.
    """
    if normal.solver is None or len(held) > _MOST_HELD:
        return None
    across = normal.spread_by[:, held].toarray()
    inverse = normal.solver.solve(across)
    schur = np.diag(normal.variance[held]) - across.T @ inverse
    close = _EXACT * max(1.0, float(np.abs(projected).max()))
    moved = projected.copy()
    try:
        for _ in range(_REFINEMENTS):
            step = normal.back @ normal.solver.solve(normal.gap(moved, target)[normal.keep])
            hold = np.linalg.solve(schur, -moved[held] - step[held])
            moved += step - normal.back @ (inverse @ hold)
            moved[held] = 0.0
            if np.abs(normal.gap(moved, target)).max() <= close:
                return moved
    except np.linalg.LinAlgError:
        pass
    return None


def held_sums(values: np.ndarray, members: sparse.spmatrix | np.ndarray, locked: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Values moved as little as their size asks for until every locked sum comes out, none negative.

    Inside one lock everything is scaled alike; where all is zero it is shared equally. Where locks cross, the reconciliation of
    `reconcile` with the variance of each value in proportion to its size.

    Parameters
    ----------
    values : ndarray, leaves
        0 or more.
    members : sparse matrix, locks × leaves
        1 where a leaf belongs to the lock.
    locked : ndarray, locks
        What each sum must be, 0 or more.
    names : sequence of str, locks
        What a contradiction calls them.

    Raises
    ------
    SopError
        When locks contradict each other; those concerned are named.

    Examples
    --------
    A family is locked at 100, its first item at 10:

    >>> held_sums(np.array([20.0, 30, 50]), np.array([[1, 1, 1], [1, 0, 0]]), np.array([100.0, 10]), ["family", "item"]).round(9).tolist()
    [10.0, 33.75, 56.25]
    """
    values, inside = np.asarray(values, dtype=float), sparse.csr_matrix(members, dtype=float)
    rules = sparse.hstack([inside, -sparse.identity(len(locked))]).tocsr()
    wanted = np.asarray(locked, dtype=float)
    titles = [*(f"leaf {number}" for number in range(len(values))), *names]

    def moved(current: np.ndarray, variance: np.ndarray) -> np.ndarray:
        for _ in range(_REFINEMENTS):
            nodes = np.r_[current, wanted][:, None]
            made = reconcile(nodes, rules, np.zeros((len(wanted), 1)), np.r_[variance, np.zeros(len(wanted))], titles)
            current = np.maximum(made[: len(values), 0], 0.0)
            if np.abs(inside @ current - wanted).max() <= _EXACT * max(1.0, wanted.max()):
                break
        return current

    # Without anything to share by, members of a lock share equally; what else is zero stays zero.
    empty = inside[inside @ values <= 0].sum(axis=0).A1 > 0
    try:
        made = moved(values, values + empty)
        if np.abs(inside @ made - wanted).max() <= _CLOSE * max(1.0, wanted.max()):
            return made
    except SopError:
        pass
    # The locks leave no other way.
    return moved(values, values + max(float(values.mean()), 1.0) * _ZERO_SHARE)


class _ContradictionError(Exception):
    """The sum that cannot hold, and by how much it is off."""

    def __init__(self, row: int, gap: float) -> None:
        self.row, self.gap = row, gap
        super().__init__(f"sum number {row} is off by {gap:,.6g}")


def _refuse_contradiction(gap: np.ndarray, forecast: np.ndarray) -> None:
    size = max(1.0, float(np.abs(forecast).max(initial=0)))
    if gap.size and np.abs(gap).max() > 1e-6 * size:
        row = int(np.abs(gap).max(axis=1).argmax())
        raise _ContradictionError(row, float(np.abs(gap[row]).max()))


def _refuse_negative_locks(forecast: np.ndarray, variance: np.ndarray, names: Sequence[str] | None) -> None:
    below = (variance == 0) & (np.asarray(forecast).min(axis=1) < -_CLOSE)
    if below.any():
        raise SopError(f"locked below zero: {_listed(np.flatnonzero(below), names)}; lock a value of 0 or more")


def _contradiction(
    found: _ContradictionError, forecast: np.ndarray, rules: sparse.csr_matrix, variance: np.ndarray, names: Sequence[str] | None
) -> str:
    """Which locks clash: those in the sum itself, else those in sums that share a member with it."""
    touched = rules[[found.row]].indices
    locked = touched[variance[touched] == 0]
    if len(locked) < 2:
        related = np.unique(rules[np.unique(rules[:, touched].nonzero()[0])].indices)
        locked = related[variance[related] == 0]
    # What has nothing in it is not what somebody locked.
    locked = locked[np.abs(forecast[locked]).max(axis=1) > 0] if np.abs(forecast[locked]).any() else locked
    return (
        f"locked values contradict each other: {_listed(locked, names)} cannot all hold (one sum is off by "
        f"{found.gap:,.6g}); release one of these locks"
    )


def _listed(nodes: np.ndarray, names: Sequence[str] | None) -> str:
    shown = [names[node] if names is not None else f"node {node}" for node in nodes[:_NAMED]]
    return ", ".join(shown) + (f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else "")
