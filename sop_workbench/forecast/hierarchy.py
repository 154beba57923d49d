"""From one level of the plan to another: spread down, add up, reconcile; totals are conserved."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from sop_workbench.errors import SopError

_PASSES = 50
_REFINEMENTS = 4
_CLOSE = 1e-9


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


def reconcile(forecast: np.ndarray, constraints: sparse.spmatrix | np.ndarray, target: np.ndarray, variance: np.ndarray) -> np.ndarray:
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
    rules = sparse.csr_matrix(constraints, dtype=float)
    result = _project(np.asarray(forecast, dtype=float), rules, target, np.asarray(variance, dtype=float))
    for column in np.flatnonzero((result < -_CLOSE).any(axis=0)):
        result[:, column] = _non_negative(result[:, column], rules, target[:, column], variance)
    return np.where(np.abs(result) < _CLOSE, np.maximum(result, 0), result)


def _project(forecast: np.ndarray, rules: sparse.csr_matrix, target: np.ndarray, variance: np.ndarray) -> np.ndarray:
    spread_by = rules.multiply(variance).tocsr()
    normal = (spread_by @ rules.T).tocsc()
    free = normal.diagonal() > 0
    gap = target - rules @ forecast
    _refuse_contradiction(gap[~free], forecast)
    if not free.any():
        return forecast.copy()
    keep = np.flatnonzero(free)
    # A trace of ridge keeps the factorisation stable when one rule follows from others; refinements remove its effect.
    core = normal[keep][:, keep]
    solver = splu((core + sparse.diags(core.diagonal() * 1e-12)).tocsc())
    moved = forecast.copy()
    for _ in range(_REFINEMENTS):
        moved = moved + spread_by[keep].T @ solver.solve((target - rules @ moved)[keep])
    _refuse_contradiction(target - rules @ moved, forecast)
    return moved


def _non_negative(forecast: np.ndarray, rules: sparse.csr_matrix, target: np.ndarray, variance: np.ndarray) -> np.ndarray:
    allowed = variance.astype(float).copy()
    current = forecast.copy()
    for _ in range(_PASSES):
        below = current < -_CLOSE
        if not below.any():
            return current
        allowed[below] = 0
        current = _project(np.where(below, 0, current)[:, None], rules, target[:, None], allowed)[:, 0]
    raise SopError("forecasts cannot be made non-negative under the locked values; release a lock")


def _refuse_contradiction(gap: np.ndarray, forecast: np.ndarray) -> None:
    size = max(1.0, float(np.abs(forecast).max(initial=0)))
    if gap.size and np.abs(gap).max() > 1e-6 * size:
        row = int(np.abs(gap).max(axis=tuple(range(1, gap.ndim))).argmax()) if gap.ndim > 1 else int(np.abs(gap).argmax())
        raise SopError(
            f"locked values contradict each other: sum number {row} is off by {np.abs(gap).max():,.6g}; release one of its locks"
        )
