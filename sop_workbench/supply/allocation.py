"""Who gets what when an item is short: contract floors first, then priorities, then fair share or margin."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.settings import Settings

_KEY = ["item_id", "period"]
_TOLERANCE = 1e-6
_FULL, _FLOOR, _FLOOR_SHARED = "served in full", "contract floor", "contract floor, shared"
_SHARED = {"fair_share": "fair share of the rest", "margin": "margin of the rest"}
_LEFT = "nothing left"


def allocation(unmet_demand: pd.DataFrame, market: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Share what the plan serves of every short item among its markets, by rule.

    Floors first: min_fill_ratio · demand; where not even they can be kept, in order of priority and pro rata inside one.
    Then the rest of demand by priority: 1 is served in full before 2 gets anything. Inside the first priority that cannot be served
    in full the rest is shared in proportion to what is still asked for (`fair_share`) or goes to the highest margin first
    (`margin`): an item costs the same wherever it is sold, so that is the highest price.

    Parameters
    ----------
    unmet_demand : DataFrame
        Result table of one plan: demand, served, late and price by item, market and period.
    market : DataFrame
        Priority and min_fill_ratio; a market it does not name has priority 1 and no floor.
    settings : Settings
        `supply.allocation`.

    Returns
    -------
    DataFrame
        The `allocation` table: items and periods in which somebody goes short. Sums by item and period equal what the plan serves;
        the split is a rule for people, not a check of lanes: the plan's own split stands beside it as `planned_qty`.
    """
    rows = _claims(unmet_demand, market)
    is_short = (rows["claim"] - rows["planned_qty"]).groupby([rows[key] for key in _KEY]).transform("sum") > _TOLERANCE
    rows = rows[is_short].reset_index(drop=True)
    if rows.empty:
        return tables.table("allocation").empty()
    group = [rows[key] for key in _KEY]
    left = rows["planned_qty"].groupby(group).transform("sum")
    rows["floored"], left = _by_tier(rows, rows["floor_qty"], left, "fair_share")
    rows["rest"], left = _by_tier(rows, rows["claim"] - rows["floored"], left, settings.supply.allocation)
    rows["allocated_qty"] = rows["floored"] + rows["rest"]
    rows["lost_qty"] = (rows["claim"] - rows["allocated_qty"]).clip(lower=0.0)
    rows["rule"] = _rule_words(rows, settings.supply.allocation)
    rows = rows.assign(demand_qty=rows["claim"], lost_amt=rows["lost_qty"] * rows["price_amt"])
    declared = tables.table("allocation")
    return tables.validate("allocation", rows[list(declared.columns)].sort_values(list(declared.key)).reset_index(drop=True))


def _claims(unmet_demand: pd.DataFrame, market: pd.DataFrame) -> pd.DataFrame:
    """What every market asks for in a period (late orders included), its floor and its priority."""
    rows = unmet_demand.sort_values(["item_id", "market_id", "period"]).merge(
        market[["market_id", "priority", "min_fill_ratio"]], on="market_id", how="left", validate="m:1")
    # Nobody's orders waited before the first period but those the plan already counts as served.
    waiting = rows.groupby(["item_id", "market_id"])["backlog_qty"].shift().fillna(0.0)
    claim = np.maximum(rows["demand_qty"] + waiting, rows["served_qty"])  # opening backlog is part of what is served
    ratio = rows["min_fill_ratio"].fillna(0.0)  # a market that is not in `market` has no contract
    return rows.assign(claim=claim, floor_qty=np.minimum(ratio * rows["demand_qty"], claim), planned_qty=rows["served_qty"],
                       tier=rows["priority"].fillna(1).astype(int))


def _by_tier(rows: pd.DataFrame, asked: pd.Series, left: pd.Series, rule: str) -> tuple[pd.Series, pd.Series]:
    """What each row gets of what is left, priority after priority, and what is left afterwards."""
    given = pd.Series(0.0, index=rows.index)
    group = [rows[key] for key in _KEY]
    for tier in np.sort(rows["tier"].unique()):
        wanted = asked.where(rows["tier"] == tier, 0.0)
        if rule == "margin":
            order = rows["price_amt"].sort_values(ascending=False, kind="stable").index
            ahead = wanted[order].groupby([key[order] for key in group]).cumsum().reindex(rows.index) - wanted
            now = np.minimum(wanted, (left - ahead).clip(lower=0.0))
        else:
            total = wanted.groupby(group).transform("sum")
            now = wanted * np.minimum(left / total.where(total > 0), 1.0).fillna(0.0)  # nobody asks: nobody gets
        given = given + now
        left = (left - now.groupby(group).transform("sum")).clip(lower=0.0)
    return given, left


def _rule_words(rows: pd.DataFrame, rule: str) -> pd.Series:
    """What decided each quantity."""
    is_full = rows["lost_qty"] <= _TOLERANCE
    is_floor_short = rows["floored"] < rows["floor_qty"] - _TOLERANCE
    words = np.select(
        [is_full, rows["allocated_qty"] <= _TOLERANCE, is_floor_short, rows["rest"] > _TOLERANCE, rows["floor_qty"] > _TOLERANCE],
        [_FULL, _LEFT, _FLOOR_SHARED, _SHARED[rule], _FLOOR], default=_LEFT)
    return "priority " + rows["tier"].astype(str) + ": " + pd.Series(words, index=rows.index)
