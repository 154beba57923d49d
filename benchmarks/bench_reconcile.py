"""20,000 series × 18 months reconciled with two locks, beside generic constrained least squares, in one run.

`python benchmarks/bench_reconcile.py` prints processor milliseconds (median and best of several runs), the largest sum that does not
add up and the most a lock moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsqr, spsolve

from sop_workbench.forecast.hierarchy import reconcile, sum_rules

LEAVES, MONTHS, MARKETS = 20_000, 18, 10


def hierarchy() -> tuple[np.ndarray, sparse.csr_matrix, np.ndarray]:
    """Forecasts, sum rules and variances: items, family × channel, channels and the total over item × market; two locks."""
    rng = np.random.default_rng(1)
    number = np.arange(LEAVES)
    item, channel = number // MARKETS, number % MARKETS // 2
    groups = [item, item % 40 * 5 + channel, channel, np.zeros(LEAVES, dtype=int)]
    one = np.ones(LEAVES)
    summing = sparse.vstack([sparse.csr_matrix((one, (group, number))) for group in groups]).tocsr()
    leaf = rng.lognormal(3, 1, (LEAVES, MONTHS))
    total = (summing @ leaf) * rng.normal(1, 0.05, (summing.shape[0], MONTHS))
    forecast = np.vstack([leaf, total])
    variance = (forecast.mean(axis=1) * 0.1) ** 2
    # Locked by people: the company's total, 5 % up, and one item.
    variance[[LEAVES + 3, -1]] = 0
    forecast[-1] *= 1.05
    return forecast, sum_rules(summing), variance


def kkt(forecast: np.ndarray, rules: sparse.csr_matrix, variance: np.ndarray) -> np.ndarray:
    """The optimality conditions of the same least squares as one sparse system (signs free)."""
    size = rules.shape[0]
    weight = sparse.diags(1 / np.maximum(variance, 1e-9))
    system = sparse.bmat([[weight, rules.T], [rules, None]]).tocsc()
    right = np.vstack([np.zeros_like(forecast), -(rules @ forecast)])
    return forecast + spsolve(system, sparse.csc_matrix(right)).toarray()[:-size]


def least_squares(forecast: np.ndarray, rules: sparse.csr_matrix, variance: np.ndarray) -> np.ndarray:
    """Iterative least squares (LSQR), a month at a time (signs free)."""
    root = np.sqrt(variance)
    scaled = rules.multiply(root).tocsr()
    gaps = -(rules @ forecast)
    moves = [lsqr(scaled, gap, atol=1e-12, btol=1e-12, iter_lim=5000)[0] for gap in gaps.T]
    return forecast + root[:, None] * np.column_stack(moves)


def measured(name: str, solve: Callable[[], np.ndarray], rules: sparse.csr_matrix, forecast: np.ndarray, times: int) -> str:
    """One line of the table; median and best of several runs."""
    seconds = []
    for _ in range(times):
        begun = time.process_time()
        made = solve()
        seconds.append(time.process_time() - begun)
    moved = np.abs(made - forecast)[[LEAVES + 3, -1]].max()
    times_shown = f"{1000 * np.median(seconds):,.0f} | {1000 * min(seconds):,.0f}"
    return f"| {name} | {times_shown} | {np.abs(rules @ made).max():.1e} | {moved:.1e} | {made.min():.2f} |"


def main() -> None:
    """Measure and print."""
    forecast, rules, variance = hierarchy()
    zero = np.zeros((rules.shape[0], MONTHS))
    print(f"{LEAVES:,} series + {rules.shape[0]:,} sums × {MONTHS} months\n")
    print("| way | median ms | best ms | largest gap | most a lock moved | least value |\n|---|---|---|---|---|---|")
    print(measured("reconcile (ours, non-negative)", lambda: reconcile(forecast, rules, zero, variance), rules, forecast, 15))
    print(measured("optimality conditions, sparse LU", lambda: kkt(forecast, rules, variance), rules, forecast, 1))
    print(measured("LSQR", lambda: least_squares(forecast, rules, variance), rules, forecast, 1))


if __name__ == "__main__":
    main()
