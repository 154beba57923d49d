"""What theory says about lots, one-shot orders, safety stock and the two measures of service."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri, pdtr, pdtrik  # scipy.stats has the same under kinder names, for a second of start-up

_BISECTIONS = 60


def eoq(order_cost: float, holding_cost: float, demand: float) -> tuple[float, float]:
    r"""Economic order quantity and its cost per period.

    .. math:: Q = \sqrt{2 K \lambda / h}, \qquad g = \sqrt{2 K \lambda h}

    Parameters
    ----------
    order_cost, holding_cost, demand : float
        K, money per order; h, money per unit and period; λ, units per period.

    References
    ----------
    Snyder and Shen, Fundamentals of Supply Chain Theory, (3.4), (3.5).

    Examples
    --------
    >>> [round(x, 4) for x in eoq(order_cost=8, holding_cost=0.225, demand=1300)]
    [304.0468, 68.4105]
    """
    _need_positive(order_cost=order_cost, holding_cost=holding_cost, demand=demand)
    return float(np.sqrt(2 * order_cost * demand / holding_cost)), float(np.sqrt(2 * order_cost * demand * holding_cost))


def newsvendor(holding_cost: float, shortage_cost: float, mean: float, deviation: float) -> float:
    r"""Stock for one season with normal demand: the critical ratio's quantile.

    .. math:: S = \mu + \sigma \, \Phi^{-1}\!\left(\frac{b}{b + h}\right)

    References
    ----------
    Snyder and Shen, Fundamentals of Supply Chain Theory, section 4.3.

    Examples
    --------
    >>> round(newsvendor(holding_cost=0.18, shortage_cost=0.70, mean=50, deviation=8), 8)
    56.60395593
    """
    _need_positive(holding_cost=holding_cost, shortage_cost=shortage_cost)
    return float(mean + deviation * ndtri(shortage_cost / (shortage_cost + holding_cost)))


def newsvendor_cost(stock_qty: float, holding_cost: float, shortage_cost: float, mean: float, deviation: float) -> float:
    r"""Expected cost of a stock for one season with normal demand.

    .. math:: g(S) = h (S - \mu) + (h + b)\, \sigma\, \mathcal{L}\!\left(\frac{S - \mu}{\sigma}\right)

    References
    ----------
    Snyder and Shen, Fundamentals of Supply Chain Theory, section 4.3.

    Examples
    --------
    >>> round(newsvendor_cost(56.60395593, holding_cost=0.18, shortage_cost=0.70, mean=50, deviation=8), 6)
    1.997605
    """
    _need_positive(holding_cost=holding_cost, shortage_cost=shortage_cost, deviation=deviation)
    over = holding_cost * (stock_qty - mean)
    return float(over + (holding_cost + shortage_cost) * deviation * normal_loss((stock_qty - mean) / deviation))


def newsvendor_poisson(holding_cost: float, shortage_cost: float, mean: float) -> int:
    r"""Stock for one season with Poisson demand: the smallest whole number that demand stays within often enough.

    .. math:: S = \min\{s : P(D \le s) \ge b / (b + h)\}

    References
    ----------
    Snyder and Shen, Fundamentals of Supply Chain Theory, section 4.3.3.

    Examples
    --------
    >>> newsvendor_poisson(holding_cost=1, shortage_cost=4, mean=6)
    8
    """
    _need_positive(holding_cost=holding_cost, shortage_cost=shortage_cost, mean=mean)
    ratio = shortage_cost / (shortage_cost + holding_cost)
    stock = max(0, int(np.floor(pdtrik(ratio, mean))) - 1)
    while pdtr(stock, mean) < ratio:
        stock += 1
    return stock


def newsvendor_empirical(holding_cost: float, shortage_cost: float, seasons: np.ndarray) -> float:
    r"""Stock for one season from what earlier seasons sold: the smallest of them that enough seasons stayed within.

    .. math:: S = \min\{d_i : \tfrac{1}{n}\,|\{j : d_j \le d_i\}| \ge b / (b + h)\}

    Parameters
    ----------
    seasons : ndarray
        Demand of earlier seasons, base units.

    Examples
    --------
    >>> newsvendor_empirical(holding_cost=1, shortage_cost=3, seasons=np.array([40, 10, 20, 30]))
    30.0
    """
    _need_positive(holding_cost=holding_cost, shortage_cost=shortage_cost)
    known = np.sort(np.asarray(seasons, dtype=float))
    if not len(known):
        raise ValueError("seasons is empty: state the demand of at least one earlier season")
    needed = shortage_cost / (shortage_cost + holding_cost) * len(known)
    return float(known[int(np.ceil(round(needed, 9))) - 1])


def normal_loss(factor: float | np.ndarray) -> float | np.ndarray:
    r"""Expected shortage in standard deviations at a safety factor: the standard normal loss function.

    .. math:: \mathcal{L}(z) = \varphi(z) - z\,(1 - \Phi(z))

    Examples
    --------
    >>> round(float(normal_loss(0.0)), 6), round(float(normal_loss(1.0)), 6)
    (0.398942, 0.083315)
    """
    density = np.exp(-np.square(factor) / 2) / np.sqrt(2 * np.pi)
    return density - factor * ndtr(-np.asarray(factor))


def fill_rate(safety_stock_qty: float | np.ndarray, deviation_qty: float | np.ndarray, lot_qty: float | np.ndarray) -> float | np.ndarray:
    r"""Share of demand served from stock, by the loss function. It is not the cycle service level.

    .. math:: \beta = 1 - \sigma_L \left[ \mathcal{L}(k) - \mathcal{L}(k + Q / \sigma_L) \right] / Q, \qquad k = SS / \sigma_L

    Parameters
    ----------
    safety_stock_qty, deviation_qty, lot_qty : float or ndarray
        Safety stock, standard deviation of demand over the lead time, order quantity, in base units.

    Examples
    --------
    >>> round(fill_rate(safety_stock_qty=500, deviation_qty=707, lot_qty=10_000), 4)
    0.99
    """
    _need_positive(lot_qty=lot_qty)
    safety, deviation, lot = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (safety_stock_qty, deviation_qty, lot_qty)))
    certain = deviation <= 0
    spread = np.where(certain, 1.0, deviation)
    short = spread * (normal_loss(safety / spread) - normal_loss((safety + lot) / spread))
    filled = np.where(certain, 1.0, 1.0 - short / lot)
    return filled if filled.ndim else float(filled)


def cycle_service(safety_stock_qty: float | np.ndarray, deviation_qty: float | np.ndarray) -> float | np.ndarray:
    r"""Share of replenishment cycles without a stock-out. It is not the fill rate.

    .. math:: \alpha = \Phi(SS / \sigma_L)

    Examples
    --------
    >>> round(cycle_service(safety_stock_qty=906, deviation_qty=707), 3)
    0.9
    """
    safety, deviation = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (safety_stock_qty, deviation_qty)))
    certain = deviation <= 0
    found = np.where(certain, 1.0, ndtr(safety / np.where(certain, 1.0, deviation)))
    return found if found.ndim else float(found)


def safety_stock_for_fill(
    fill_ratio: float | np.ndarray, deviation_qty: float | np.ndarray, lot_qty: float | np.ndarray
) -> float | np.ndarray:
    r"""Least safety stock that serves a share of demand from stock; never below zero.

    Solves :math:`\beta(SS) = \text{fill\_ratio}` of `fill_rate` for SS ≥ 0.

    Parameters
    ----------
    fill_ratio : float or ndarray
        Share of demand to serve from stock, below 1.
    deviation_qty, lot_qty : float or ndarray
        Standard deviation of demand over the lead time; order quantity, base units.

    Raises
    ------
    ValueError
        When the share is 1 or more: no finite stock serves all of a normal demand.

    References
    ----------
    Chopra and Meindl, Supply Chain Management, determining safety inventory given a desired fill rate.

    Examples
    --------
    >>> round(safety_stock_for_fill(0.975, deviation_qty=707, lot_qty=10_000))  # 90 % of cycles would take 906
    67
    """
    _need_share(fill_ratio=fill_ratio)
    _need_positive(lot_qty=lot_qty)
    share, deviation, lot = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (fill_ratio, deviation_qty, lot_qty)))
    low, high = np.zeros(share.shape), 9.0 * deviation
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        enough = np.asarray(fill_rate(middle, deviation, lot)) >= share
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    found = np.where(np.asarray(fill_rate(0.0 * deviation, deviation, lot)) >= share, 0.0, high)
    return found if found.ndim else float(found)


def safety_stock(
    service_level: float | np.ndarray,
    error_qty: float | np.ndarray,
    periods_covered: float | np.ndarray,
    demand_qty: float | np.ndarray = 0.0,
    lead_time_deviation: float | np.ndarray = 0.0,
) -> float | np.ndarray:
    r"""Stock that covers forecast error and late deliveries for a cycle service level.

    .. math:: SS = z \sqrt{L \sigma^2 + \mu^2 \sigma_L^2}, \qquad z = \Phi^{-1}(\text{service level})

    Parameters
    ----------
    service_level : float or ndarray
        Share of cycles without a stock-out.
    error_qty : float or ndarray
        σ, standard deviation of the forecast error of one period (not the spread of demand), base units.
    periods_covered : float or ndarray
        L, lead time plus review period, in periods.
    demand_qty, lead_time_deviation : float or ndarray
        μ, demand per period; σ_L, standard deviation of the lead time in periods.

    Raises
    ------
    ValueError
        When the service level is not between 0 and 1: no finite stock never runs out.

    Examples
    --------
    >>> round(float(safety_stock(0.90, 500, 2)), 0)  # Chopra and Meindl, example 12-4
    906.0
    >>> round(float(safety_stock(0.90, 500, 7, demand_qty=2500, lead_time_deviation=7)), 0)  # example 12-6
    22491.0
    """
    _need_share(service_level=service_level)
    if np.any(np.asarray(periods_covered) < 0):
        raise ValueError(f"periods_covered must be 0 or more, got {np.min(periods_covered):g}; correct the lead time")
    variance = periods_covered * np.square(error_qty) + np.square(demand_qty) * np.square(lead_time_deviation)
    return ndtri(service_level) * np.sqrt(variance)


def _need_positive(**numbers: float | np.ndarray) -> None:
    for name, number in numbers.items():
        if not np.all(np.asarray(number) > 0):
            raise ValueError(f"{name} must be above 0, got {np.min(number)}")


def _need_share(**numbers: float | np.ndarray) -> None:
    for name, number in numbers.items():
        values = np.asarray(number, dtype=float)
        if not np.all((values > 0) & (values < 1)):
            wrong = values[~((values > 0) & (values < 1))].ravel()[0]
            raise ValueError(f"{name} must lie between 0 and 1, got {wrong:g}; no finite stock gives certainty")
