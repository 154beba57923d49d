r"""Where safety stock money does most: least money for a service, best service for a budget.

The safety stocks :math:`SS_i \ge 0` of all places solve

.. math:: \min \sum_i v_i SS_i \quad \text{subject to} \quad \sum_i p_i d_i \beta_i(SS_i) \ge \beta \sum_i p_i d_i

with worth v, price p, demand d and fill rate β of `fill_rate`. Expected shortage is convex for SS ≥ 0, so one multiplier μ
(revenue served by one more unit of stock money) gives the optimum: the stock of every place rises until
:math:`p_i d_i / Q_i \, [\Phi((SS_i + Q_i)/\sigma_i) - \Phi(SS_i/\sigma_i)] = \mu v_i`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import ndtr

from sop_workbench import tables
from sop_workbench.inventory.theory import cycle_service, fill_rate

_PLACE = ["item_id", "location_id"]
_BISECTIONS = 60
_MOST_DEVIATIONS = 6.0
_FRONTIER_POINTS = 25


def stocked_places(target: pd.DataFrame, demand: pd.DataFrame, value: pd.Series) -> pd.DataFrame:
    """What the choice of safety stock needs to know of every place that serves markets, as means over the horizon.

    Parameters
    ----------
    target : DataFrame
        `inventory_target`.
    demand : DataFrame
        `consensus_demand`: gives the price.
    value : Series
        Worth of one unit by item.

    Returns
    -------
    DataFrame
        item_id, location_id, demand_qty, deviation_qty, lot_qty, price_amt, unit_value_amt, safety_stock_qty. Items without
        demand, price or worth are left out: no money can be weighed for them.
    """
    sold = demand.groupby("item_id")[["demand_qty", "revenue_amt"]].sum()
    price = (sold["revenue_amt"] / sold["demand_qty"].where(sold["demand_qty"] > 0)).rename("price_amt")
    rows = target[target["item_id"].isin(price.index)]
    places = rows.groupby(_PLACE, as_index=False)[["demand_qty", "deviation_qty", "lot_qty", "safety_stock_qty"]].mean()
    places = places.assign(price_amt=places["item_id"].map(price), unit_value_amt=places["item_id"].map(value).astype(float))
    known = (places[["demand_qty", "lot_qty", "deviation_qty", "price_amt", "unit_value_amt"]] > 0).all(axis=1)
    return places[known].reset_index(drop=True)


def least_stock(places: pd.DataFrame, fill_ratio: float) -> np.ndarray:
    """Safety stocks of least money that serve a share of all revenue from stock.

    Parameters
    ----------
    places : DataFrame
        As from `stocked_places`.
    fill_ratio : float
        Share of revenue, below 1.

    Returns
    -------
    ndarray
        Safety stock of every place, base units.

    Raises
    ------
    ValueError
        When the share is not between 0 and 1.
    """
    if not 0 < fill_ratio < 1:
        raise ValueError(f"fill_ratio must lie between 0 and 1, got {fill_ratio:g}; no finite stock gives certainty")
    return _at_multiplier(places, _multiplier(places, lambda stock: overall_fill(places, stock) >= fill_ratio))


def best_service(places: pd.DataFrame, budget_amt: float) -> np.ndarray:
    """Safety stocks that serve most revenue from stock for a budget.

    Parameters
    ----------
    places : DataFrame
        As from `stocked_places`.
    budget_amt : float
        Money in safety stock, at the worth of the units.

    Returns
    -------
    ndarray
        Safety stock of every place, base units; worth no more than the budget.

    Raises
    ------
    ValueError
        When the budget is negative.
    """
    if budget_amt < 0:
        raise ValueError(f"budget_amt must be 0 or more, got {budget_amt:g}")
    worth = places["unit_value_amt"].to_numpy()
    # The bisection ends on the dear side; the stock just below the budget is the affordable one.
    found = _at_multiplier(places, _multiplier(places, lambda stock: worth @ stock > budget_amt))
    spent = worth @ found
    return found * (budget_amt / spent) if spent > budget_amt > 0 else found if budget_amt > 0 else np.zeros(len(places))


def overall_fill(places: pd.DataFrame, safety_stock_qty: np.ndarray) -> float:
    """Share of all revenue served from stock."""
    return _weighted(places, fill_rate(safety_stock_qty, places["deviation_qty"].to_numpy(), places["lot_qty"].to_numpy()))


def overall_cycle_service(places: pd.DataFrame, safety_stock_qty: np.ndarray) -> float:
    """Share of cycles without a stock-out, weighted by revenue."""
    return _weighted(places, cycle_service(safety_stock_qty, places["deviation_qty"].to_numpy()))


def stock_tradeoff(places: pd.DataFrame, points: int = _FRONTIER_POINTS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frontier of stock money against service, today's targets beside it, and what each place would hold.

    Parameters
    ----------
    places : DataFrame
        As from `stocked_places`; `safety_stock_qty` are today's.
    points : int
        Points of the frontier.

    Returns
    -------
    (DataFrame, DataFrame)
        The tables `inventory_tradeoff` and `stock_option`; empty when no place can be weighed.
    """
    if places.empty:
        return tables.table("inventory_tradeoff").empty(), tables.table("stock_option").empty()
    today, worth = places["safety_stock_qty"].to_numpy(), places["unit_value_amt"].to_numpy()
    same_service = least_stock(places, min(overall_fill(places, today), 1 - 1e-9))
    same_money = best_service(places, float(worth @ today))
    most = worth @ _at_multiplier(places, _multiplier(places, lambda stock: overall_fill(places, stock) >= 0.9999))
    budgets = max(float(most), float(worth @ today)) * np.linspace(0.0, 1.0, points) ** 1.5
    rows = [("frontier", number, best_service(places, float(budget))) for number, budget in enumerate(budgets)]
    rows += [("today", 0, today), ("same_service", 0, same_service), ("same_money", 0, same_money)]
    curve = pd.DataFrame(
        [
            {
                "option": option,
                "sequence": number,
                "safety_stock_amt": float(worth @ stock),
                "fill_ratio": overall_fill(places, stock),
                "service_level_ratio": overall_cycle_service(places, stock),
                "gain_ratio": np.nan,
            }
            for option, number, stock in rows
        ]
    )
    curve["gain_ratio"] = _gains(curve, float((places["price_amt"] * places["demand_qty"]).sum()))
    deviation, lot = places["deviation_qty"].to_numpy(), places["lot_qty"].to_numpy()
    option = places[[*_PLACE, "unit_value_amt", "safety_stock_qty"]].assign(
        same_service_qty=same_service,
        same_money_qty=same_money,
        fill_ratio=fill_rate(today, deviation, lot),
        same_money_fill_ratio=fill_rate(same_money, deviation, lot),
    )
    return tables.validate("inventory_tradeoff", curve), tables.validate("stock_option", option)


def _gains(curve: pd.DataFrame, revenue: float) -> pd.Series:
    """Slope of the frontier from the point before; points off the frontier have none."""
    frontier = curve[curve["option"] == "frontier"]
    money = frontier["safety_stock_amt"].diff()
    return (frontier["fill_ratio"].diff() * revenue / money.where(money > 0)).reindex(curve.index)


def _weighted(places: pd.DataFrame, ratio: np.ndarray | float) -> float:
    revenue = (places["price_amt"] * places["demand_qty"]).to_numpy()
    return float(revenue @ np.broadcast_to(ratio, revenue.shape) / revenue.sum())


def _multiplier(places: pd.DataFrame, is_enough: Callable[[np.ndarray], bool]) -> float:
    """Largest revenue per stock money at which the stock is enough: stock grows as the multiplier falls."""
    low, high = -40.0, 40.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if is_enough(_at_multiplier(places, float(np.exp(middle)))):
            low = middle
        else:
            high = middle
    return float(np.exp(low))


def _at_multiplier(places: pd.DataFrame, multiplier: float) -> np.ndarray:
    """Safety stock at which one more unit earns the multiplier on its worth; none where even the first does not."""
    deviation, lot = places["deviation_qty"].to_numpy(), places["lot_qty"].to_numpy()
    wanted = multiplier * (places["unit_value_amt"] * places["lot_qty"] / (places["price_amt"] * places["demand_qty"])).to_numpy()
    low, high = np.zeros(len(places)), _MOST_DEVIATIONS * deviation
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        earns = ndtr((middle + lot) / deviation) - ndtr(middle / deviation)
        low, high = np.where(earns > wanted, middle, low), np.where(earns > wanted, high, middle)
    return np.where(ndtr(lot / deviation) - 0.5 > wanted, low, 0.0)
