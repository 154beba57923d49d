"""Projected stock, how long it lasts, and what of it is too much."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

_DAYS_PER_MONTH = 365.25 / 12


def projected_cover(opening: pd.DataFrame, demand: pd.DataFrame, supply: pd.DataFrame) -> pd.DataFrame:
    """Projected stock of each item and for how many future periods it lasts.

    stock[t] = stock[t−1] + supply[t] − demand[t];  cover[t] = number of following periods whose demand stock[t] serves, the last in part

    Parameters
    ----------
    opening : DataFrame
        item_id, opening_qty.
    demand, supply : DataFrame
        item_id, period, demand_qty; item_id, period, supply_qty. Periods of `demand` are projected.

    Returns
    -------
    DataFrame
        item_id, period, demand_qty, supply_qty, stock_qty (negative: short), cover_periods (0 when short; empty when the stock
        outlasts the known demand).

    Examples
    --------
    >>> months = pd.date_range("2026-01-01", periods=3, freq="MS")
    >>> demand = pd.DataFrame({"item_id": "A", "period": months, "demand_qty": [20.0, 20.0, 40.0]})
    >>> supply = pd.DataFrame({"item_id": ["A"], "period": months[2:], "supply_qty": [15.0]})
    >>> cover = projected_cover(pd.DataFrame({"item_id": ["A"], "opening_qty": [50.0]}), demand, supply)
    >>> cover[["stock_qty", "cover_periods"]].to_numpy().tolist()
    [[30.0, 1.25], [10.0, 0.25], [-15.0, 0.0]]
    """
    needed = demand.groupby(["item_id", "period"])["demand_qty"].sum().unstack("period").fillna(0.0)  # no row is no demand
    coming = supply.groupby(["item_id", "period"])["supply_qty"].sum().unstack("period")
    coming = coming.reindex(index=needed.index, columns=needed.columns).fillna(0.0)  # nor supply
    start = opening.groupby("item_id")["opening_qty"].sum().reindex(needed.index).fillna(0.0)
    stock = start.to_numpy(dtype=float)[:, None] + np.cumsum(coming.to_numpy(dtype=float) - needed.to_numpy(dtype=float), axis=1)
    cover = np.array([cover_periods(one_stock, one_demand) for one_stock, one_demand in zip(stock, needed.to_numpy(), strict=True)])
    keys = pd.MultiIndex.from_product([needed.index, needed.columns], names=["item_id", "period"]).to_frame(index=False)
    return keys.assign(
        demand_qty=needed.to_numpy().ravel(), supply_qty=coming.to_numpy().ravel(), stock_qty=stock.ravel(), cover_periods=cover.ravel()
    )


def cover_periods(stock: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """For how many of the following periods the stock at the end of each period lasts.

    Examples
    --------
    >>> cover_periods(np.array([150.0, 50.0]), np.array([80.0, 100.0])).tolist()
    [nan, nan]
    >>> cover_periods(np.array([50.0, -50.0]), np.array([80.0, 100.0])).tolist()
    [0.5, 0.0]
    """
    stock, demand = np.asarray(stock, dtype=float), np.asarray(demand, dtype=float)
    cover = np.full(len(stock), np.nan)
    total = np.concatenate([[0.0], np.cumsum(demand)])
    for n, quantity in enumerate(stock):
        used = total[n + 1 :] - total[n + 1]
        if quantity <= 0:
            cover[n] = 0.0
        elif quantity < used[-1]:
            whole = int(np.searchsorted(used, quantity, side="right")) - 1
            cover[n] = whole + (quantity - used[whole]) / (used[whole + 1] - used[whole])
    return cover


def stock_cover(
    stock_on_hand: pd.DataFrame, requirement: pd.DataFrame, value: pd.Series, settings: Settings, calendar: Calendar
) -> pd.DataFrame:
    """How long today's stock of every item lasts, and the money in what is excess or obsolete.

    cover = stock / mean demand of the periods within the cover limit; excess = stock beyond their demand;
    obsolete = all of the stock where no demand at all is planned, neither its own nor its parents'

    Parameters
    ----------
    stock_on_hand : DataFrame
        Input table; places are added up, what is booked below zero counts as none.
    requirement : DataFrame
        Result of `materials.explode`: item_id, period, demand_qty (independent and dependent).
    value : Series
        Worth of one unit by item (`unit_value`); an item without has no money, its row stays.
    settings : Settings
        `tolerances.excess_cover_months`.
    calendar : Calendar
        Length of a bucket.

    Returns
    -------
    DataFrame
        The `stock_cover` table. Excess and obsolete exclude each other. Cover is empty where there is no demand.
    """
    limit = settings.tolerances.excess_cover_months
    buckets = max(1, round(limit * calendar.buckets_per_year / 12))
    periods = np.sort(requirement["period"].unique())[:buckets]
    soon = requirement[requirement["period"].isin(periods)].groupby("item_id")["demand_qty"].sum()
    ever = requirement.groupby("item_id")["demand_qty"].sum()
    stock = (
        stock_on_hand.assign(on_hand_qty=stock_on_hand["on_hand_qty"].clip(lower=0)).groupby("item_id", as_index=False)["on_hand_qty"].sum()
    )
    stock = stock[stock["on_hand_qty"] > 0]
    months = len(periods) * 12 / calendar.buckets_per_year
    # No row of requirement is no demand.
    demand, total = stock["item_id"].map(soon).fillna(0.0), stock["item_id"].map(ever).fillna(0.0)
    per_month = demand / months if months else demand
    obsolete = stock["on_hand_qty"].where(total <= 0, 0.0)
    excess = (stock["on_hand_qty"] - demand).clip(lower=0).where(total > 0, 0.0)
    worth = stock["item_id"].map(value).astype(float)
    cover = (stock["on_hand_qty"] / per_month.where(per_month > 0)).astype(float)
    rows = stock.assign(
        on_hand_amt=stock["on_hand_qty"] * worth,
        forward_demand_qty=demand,
        cover_months=cover,
        cover_days=cover * _DAYS_PER_MONTH,
        excess_qty=excess,
        excess_amt=excess * worth,
        obsolete_qty=obsolete,
        obsolete_amt=obsolete * worth,
    )
    return tables.validate("stock_cover", rows.sort_values("item_id", ignore_index=True))
