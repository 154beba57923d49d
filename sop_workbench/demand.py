"""Demand review: history corrected, streams side by side, weighed into one unconstrained consensus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import DataError, SopError
from sop_workbench.forecast.events import EFFECT_MEAN, EFFECT_SD, PULL_FORWARD_PERIODS, event_effects
from sop_workbench.forecast.hierarchy import held_sums, spread
from sop_workbench.forecast.models import INTERMITTENT_INTERVAL, SHORT_PERIODS
from sop_workbench.forecast.panel import KEYS, Panel, demand_panel, pooled
from sop_workbench.forecast.structure import SEASON_PRIOR, fit_structure
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

CELL = [*KEYS, "period"]
STATISTICAL, PIPELINE, NAIVE = "statistical", "pipeline", "naive"
_NAIVE_PERIODS = 3
_PLAN_COLUMNS = ["lock_cycle_id", "stream", *CELL, "plan_qty"]
STAIRS = (NAIVE, STATISTICAL, "sales", "marketing", "operations", "customer", "consensus")

# ------------------------------------------------------------------ history

_OUTLIER_DEVIATIONS = 5.0
_OUTLIER_RATIO = 0.5
_PASSES = 3
_PARTIAL_RATIO = 0.6
_NOWHERE_RATIO, _NOWHERE_LEAST = 0.1, 20.0


def history_corrections(
    sales_history: pd.DataFrame,
    event: pd.DataFrame,
    settings: Settings,
    calendar: Calendar,
    as_of: pd.Timestamp,
    item: pd.DataFrame | None = None,
    market: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Propose corrections of history, each with its evidence and a suggested quantity; nothing is changed.

    Stock-outs: flagged periods that sold less than expected, and periods in which an item that else sells every period
    sold less than a tenth of what was expected in all its markets together. Missing: rows without a quantity, and periods without any
    row in a series that else sells every period. Partial: the newest period, when the as-of date cuts it or the whole
    company sold less than 60 % of what was expected. Negative: returns booked as demand. Outliers: further than five
    usual deviations (median absolute deviation) and by half from trend, season and known events. What is expected is the
    structure fitted to the rest of the series.

    Parameters
    ----------
    sales_history, event : DataFrame
        Input tables.
    as_of : Timestamp
        Last day known.
    item, market : DataFrame, optional
        Tell which series an event for a family or region touches.

    Returns
    -------
    DataFrame
        `history_correction`, status `proposed`, sorted by item, market, period.
    """
    last = calendar.period_of(as_of)
    known = sales_history[sales_history["period"] <= last]
    panel = demand_panel(known, last, calendar)
    if panel.keys.empty:
        return tables.table("history_correction").empty()
    effects = event_effects(panel.keys, panel.periods, event, item, market)
    raw = _aligned(known, panel.keys, panel.periods, "ordered_qty")
    booked = _aligned(known.assign(one=1.0), panel.keys, panel.periods, "one") == 1.0
    flagged = np.nan_to_num(_aligned(known.assign(flag=known["is_stockout"].astype(float)), panel.keys, panel.periods, "flag")) > 0
    steady = _is_steady(panel.demand)
    started = np.maximum.accumulate(np.nan_to_num(panel.demand) > 0, axis=1)
    suspicious = {
        "negative": raw < 0,
        "stockout": flagged & started,
        "missing": started & ((booked & np.isnan(raw)) | (~booked & steady[:, None] & _sells_later(panel.demand))),
    }
    doubtful = np.logical_or.reduce(list(suspicious.values()))
    expected, deviation = _expected(panel.demand, doubtful, panel.periods, effects, steady, calendar)
    # One small order may well fail to come; no row is suspicious only where much was expected.
    suspicious["missing"] &= booked | (expected > _OUTLIER_DEVIATIONS * deviation)
    # A row without a quantity sold nothing that is known.
    suspicious["stockout"] &= np.nan_to_num(raw) < expected
    suspicious["stockout"] |= started & _sells_later(panel.demand) & _sold_nowhere(panel, expected, steady)
    suspicious["partial"] = _partial(panel.demand, expected, started, as_of, last, calendar)
    doubtful |= suspicious["stockout"] | suspicious["partial"]
    quiet = (np.abs(effects).sum(axis=2) == 0) & ~doubtful & steady[:, None] & ~np.isnan(panel.demand)
    away = np.abs(panel.demand - expected)
    suspicious["outlier"] = quiet & (away > _OUTLIER_DEVIATIONS * deviation) & (away > _OUTLIER_RATIO * expected)
    return _proposals(panel.keys, panel.periods, np.where(booked, raw, 0.0), expected, deviation, suspicious, flagged)


def decide_corrections(history_correction: pd.DataFrame, history_decision: pd.DataFrame) -> pd.DataFrame:
    """`history_correction` with the status that people's newest `history_decision` gave each row."""
    newest = history_decision.drop_duplicates(CELL, keep="last")[[*CELL, "decision"]]
    decided = history_correction.merge(newest, on=CELL, how="left", validate="one_to_one")
    decided["status"] = decided["decision"].where(decided["decision"].notna(), decided["status"])
    return decided.drop(columns="decision")


def apply_corrections(sales_history: pd.DataFrame, history_correction: pd.DataFrame) -> pd.DataFrame:
    """`sales_history` with accepted corrections in `ordered_qty`; the new column `raw_qty` keeps what was booked.

    A corrected period without a row gets one (raw_qty 0). Proposed and rejected corrections change nothing.
    """
    accepted = history_correction.loc[history_correction["status"] == "accepted", [*CELL, "raw_qty", "suggested_qty"]]
    merged = sales_history.assign(raw_qty=sales_history["ordered_qty"]).merge(
        accepted[[*CELL, "suggested_qty"]], on=CELL, how="left", validate="one_to_one"
    )
    merged["ordered_qty"] = merged["suggested_qty"].where(merged["suggested_qty"].notna(), merged["ordered_qty"])
    added = accepted.merge(sales_history[CELL], on=CELL, how="left", validate="one_to_one", indicator=True)
    added = added[added["_merge"] == "left_only"].rename(columns={"suggested_qty": "ordered_qty"}).assign(is_stockout=False)
    merged = merged.drop(columns="suggested_qty")
    if added.empty:
        return merged
    rows = added.reindex(columns=merged.columns).astype({"is_stockout": bool})
    return pd.concat([merged, rows.astype(merged.dtypes.to_dict())], ignore_index=True).sort_values(CELL).reset_index(drop=True)


def _aligned(frame: pd.DataFrame, keys: pd.DataFrame, periods: pd.DatetimeIndex, column: str) -> np.ndarray:
    """Values of a long table as series × periods; NaN where there is no row."""
    row = pd.MultiIndex.from_frame(keys[KEYS]).get_indexer(pd.MultiIndex.from_frame(frame[KEYS]))
    at = periods.get_indexer(pd.DatetimeIndex(frame["period"]))
    matrix = np.full((len(keys), len(periods)), np.nan)
    inside = (row >= 0) & (at >= 0)
    matrix[row[inside], at[inside]] = frame[column].to_numpy(dtype=float)[inside]
    return matrix


def _is_steady(demand: np.ndarray) -> np.ndarray:
    """Series long (twelve periods, of months or of weeks) and regular enough that an empty or odd one means something."""
    length = (~np.isnan(demand)).sum(axis=1)
    sold = (np.nan_to_num(demand) > 0).sum(axis=1)
    return (length >= SHORT_PERIODS) & (length <= INTERMITTENT_INTERVAL * sold)


def _sells_later(demand: np.ndarray) -> np.ndarray:
    """Periods before the last sale: what lies behind it may have ended."""
    sold = np.nan_to_num(demand) > 0
    return np.maximum.accumulate(sold[:, ::-1], axis=1)[:, ::-1]


def _sold_nowhere(panel: Panel, expected: np.ndarray, steady: np.ndarray) -> np.ndarray:
    """Cells of steady series whose item sold almost nothing in all its markets together."""
    number = pd.factorize(panel.keys["item_id"])[0]
    known = steady[:, None] & ~np.isnan(panel.demand)
    hoped, sold = (pooled(np.where(known, values, 0.0), number) for values in (expected, panel.demand))
    return ((sold < _NOWHERE_RATIO * hoped) & (hoped > _NOWHERE_LEAST))[number] & known


def _expected(
    demand: np.ndarray, doubtful: np.ndarray, periods: pd.DatetimeIndex, effects: np.ndarray, steady: np.ndarray, calendar: Calendar
) -> tuple[np.ndarray, np.ndarray]:
    """What trend, season and events say, fitted without doubtful periods, and the usual deviation from it."""
    clean = np.where(doubtful, np.nan, demand)
    length = (~np.isnan(clean)).sum(axis=1)
    season_sd = np.where(length >= 2 * calendar.buckets_per_year, SEASON_PRIOR, 0.0)[:, None]
    for _ in range(_PASSES):
        fitted = fit_structure(clean, periods, effects, EFFECT_MEAN, EFFECT_SD, None, season_sd)
        expected = np.maximum(fitted.trend * fitted.factor(periods, effects), 0)
        residual = np.abs(clean - expected)
        usual = 1.4826 * np.array([np.median(row[~np.isnan(row)]) if (~np.isnan(row)).any() else 0.0 for row in residual])
        # Counts of orders scatter at least like their root.
        deviation = np.maximum(usual[:, None] * np.sqrt(_relative(expected)), np.sqrt(np.maximum(expected, 1)))
        clean = np.where((residual > _OUTLIER_DEVIATIONS * deviation) & steady[:, None], np.nan, clean)
    return expected, deviation


def _relative(expected: np.ndarray) -> np.ndarray:
    """Expected demand over its mean: errors grow with the season."""
    mean = expected.mean(axis=1, keepdims=True)
    return np.clip(expected / np.where(mean > 0, mean, 1), 0.25, 4)


def _partial(
    demand: np.ndarray, expected: np.ndarray, started: np.ndarray, as_of: pd.Timestamp, last: pd.Timestamp, calendar: Calendar
) -> np.ndarray:
    flags = np.zeros(demand.shape, dtype=bool)
    is_cut = as_of < calendar.first_day(calendar.add(last, 1)) - pd.Timedelta(days=1)
    sold, hoped = np.nansum(demand[:, -1]), expected[started[:, -1], -1].sum()
    if is_cut or sold < _PARTIAL_RATIO * hoped:
        flags[:, -1] = started[:, -1]
    return flags


def _proposals(
    keys: pd.DataFrame,
    periods: pd.DatetimeIndex,
    raw: np.ndarray,
    expected: np.ndarray,
    deviation: np.ndarray,
    suspicious: dict[str, np.ndarray],
    flagged: np.ndarray,
) -> pd.DataFrame:
    """One row per doubtful cell; the first kind that applies names it. A stock-out says whether somebody flagged it."""
    parts, taken = [], np.zeros(raw.shape, dtype=bool)
    for kind in ("negative", "stockout", "missing", "partial", "outlier"):
        rows, columns = np.nonzero(suspicious[kind] & ~taken)
        taken |= suspicious[kind]
        part = keys.iloc[rows][KEYS].reset_index(drop=True)
        part["period"], part["kind"] = periods.to_numpy()[columns], kind
        part["raw_qty"] = np.nan_to_num(raw[rows, columns])  # a row without a quantity stands for nothing booked
        part["suggested_qty"] = 0.0 if kind == "negative" else expected[rows, columns].round(1)
        named = np.where(flagged[rows, columns], "flagged", "unflagged") if kind == "stockout" else np.full(len(part), kind)
        part["evidence"] = _evidence(named, part, deviation[rows, columns])
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True).assign(status="proposed").sort_values(CELL).reset_index(drop=True)
    return tables.validate("history_correction", frame)


def _evidence(kinds: np.ndarray, part: pd.DataFrame, deviation: np.ndarray) -> list[str]:
    words = {
        "negative": "{raw:,.0f} booked: returns are not demand",
        "missing": "no quantity booked; trend and season give {expected:,.0f}",
        "flagged": "flagged as out of stock: {raw:,.0f} ordered, trend and season give {expected:,.0f}",
        "unflagged": "hardly sold in any market, no stock-out is flagged: {raw:,.0f} ordered, trend and season give {expected:,.0f}",
        "partial": "the newest period is not complete: {raw:,.0f} so far, trend and season give {expected:,.0f}",
        "outlier": "{raw:,.0f} ordered, trend and season give {expected:,.0f}: {times:.0f} times the usual deviation, no event on file",
    }
    return [
        words[kind].format(raw=raw, expected=expected, times=abs(raw - expected) / spread_by)
        for kind, raw, expected, spread_by in zip(kinds, part["raw_qty"], part["suggested_qty"], deviation, strict=True)
    ]


# ------------------------------------------------------------------ rules on one series


def promotion_demand(demand: pd.Series, event: Mapping[str, Any]) -> pd.Series:
    """Demand with a promotion: extra demand in its periods, and demand pulled forward into its last one.

    In the event d·(1 + uplift); its last period gains pull-forward × the demand of the next two periods, which lose it.

    Parameters
    ----------
    demand : Series
        Base demand by period, without a gap.
    event : mapping
        from_period, to_period, uplift_ratio, pull_forward_ratio: a row of `event`.

    Raises
    ------
    SopError
        When the event lies outside the periods of the demand.

    Examples
    --------
    A promotion in January lifts it by 10 % and moves in 20 % of the next two months (Red Tomato Tools):

    >>> months = pd.date_range("2026-01-01", periods=6, freq="MS")
    >>> base = pd.Series([1600.0, 3000, 3200, 3800, 2200, 2200], index=months)
    >>> january = {"from_period": months[0], "to_period": months[0], "uplift_ratio": 0.1, "pull_forward_ratio": 0.2}
    >>> promotion_demand(base, january).round(6).tolist()
    [3000.0, 2400.0, 2560.0, 3800.0, 2200.0, 2200.0]
    """
    inside, last, after = _event_places(demand, event)
    result = demand.astype(float).where(~inside, demand * (1 + event["uplift_ratio"]))
    pulled = demand.iloc[after] * event["pull_forward_ratio"]
    result.iloc[after] -= pulled
    result.iloc[last] += pulled.sum()
    return result


def without_promotion(demand: pd.Series, event: Mapping[str, Any]) -> pd.Series:
    """Base demand of a plan that holds a promotion already: what `promotion_demand` would turn into it.

    Parameters
    ----------
    demand : Series
        Demand with the promotion, by period, without a gap.
    event : mapping
        from_period, to_period, uplift_ratio above −1, pull_forward_ratio below 1: a row of `event`.

    Raises
    ------
    SopError
        When the event lies outside the periods of the demand, or takes all of it away, so that there is no way back.

    Examples
    --------
    >>> months = pd.date_range("2026-01-01", periods=6, freq="MS")
    >>> january = {"from_period": months[0], "to_period": months[0], "uplift_ratio": 0.1, "pull_forward_ratio": 0.2}
    >>> without_promotion(pd.Series([3000.0, 2400, 2560, 3800, 2200, 2200], index=months), january).round(6).tolist()
    [1600.0, 3000.0, 3200.0, 3800.0, 2200.0, 2200.0]
    """
    uplift, share = float(event["uplift_ratio"]), float(event["pull_forward_ratio"])
    if uplift <= -1 or share >= 1:
        raise SopError(f"an uplift of {uplift:g} with a pull-forward of {share:g} leaves no demand to work back from; state less")
    inside, last, after = _event_places(demand, event)
    base = demand.astype(float)
    base.iloc[after] = base.iloc[after] / (1 - share)
    base.iloc[last] -= base.iloc[after].sum() * share
    return base.where(~inside, base / (1 + uplift)).clip(lower=0.0)


def _event_places(demand: pd.Series, event: Mapping[str, Any]) -> tuple[np.ndarray, int, slice]:
    """Which periods a promotion runs in, the last of them, and those it pulls from."""
    inside = np.asarray((demand.index >= event["from_period"]) & (demand.index <= event["to_period"]))
    if not inside.any():
        raise SopError(
            f"the event from {event['from_period']:%Y-%m-%d} to {event['to_period']:%Y-%m-%d} lies outside the periods planned "
            f"({demand.index[0]:%Y-%m-%d} to {demand.index[-1]:%Y-%m-%d}); move it or plan further ahead"
        )
    last = int(np.flatnonzero(inside)[-1])
    return inside, last, slice(last + 1, last + 1 + PULL_FORWARD_PERIODS)


def promotion_case(
    demand: pd.Series, event: Mapping[str, Any], price_amt: float, variable_cost_amt: float, discount_amt: float = 0.0
) -> pd.DataFrame:
    """What a promotion costs and brings, before it is planned.

    net = (planned − base) · (price − variable cost) − discount · planned in the event − cost of the event. Demand pulled
    forward sells at the discount what would have sold without it; uplift is the only new volume.

    Parameters
    ----------
    demand : Series
        Base demand by period, without a gap.
    event : mapping
        from_period, to_period, uplift_ratio, pull_forward_ratio and, where it has one, cost_amt: a row of `event`.
    price_amt, variable_cost_amt, discount_amt : float
        Per unit: the price without the promotion, what a unit costs, and what the promotion takes off the price.

    Returns
    -------
    DataFrame
        One row per period: period, base_qty, uplift_qty, pulled_forward_qty (minus where it is taken from), planned_qty,
        margin_gained_amt (at the full price), discount_given_amt, cost_amt (in the first period), net_amt.

    Raises
    ------
    SopError
        When the event lies outside the periods of the demand, or the discount is above the price.

    Examples
    --------
    One off the price of 40 in January, at 10 of material (Red Tomato Tools): 160 more are sold, 3,000 get the discount.

    >>> months = pd.date_range("2026-01-01", periods=6, freq="MS")
    >>> base = pd.Series([1600.0, 3000, 3200, 3800, 2200, 2200], index=months)
    >>> january = {"from_period": months[0], "to_period": months[0], "uplift_ratio": 0.1, "pull_forward_ratio": 0.2}
    >>> case = promotion_case(base, january, price_amt=40, variable_cost_amt=10, discount_amt=1)
    >>> case[["uplift_qty", "pulled_forward_qty", "margin_gained_amt", "discount_given_amt", "net_amt"]].sum().round(6).tolist()
    [160.0, 0.0, 4800.0, 3000.0, 1800.0]
    """
    if discount_amt < 0 or discount_amt > price_amt:
        raise SopError(f"a discount of {discount_amt:,.6g} a unit does not fit a price of {price_amt:,.6g}; state 0 up to the price")
    base = demand.to_numpy(dtype=float)
    planned = promotion_demand(demand, event).to_numpy()
    inside = np.asarray((demand.index >= event["from_period"]) & (demand.index <= event["to_period"]))
    uplift = np.where(inside, base * event["uplift_ratio"], 0.0)
    # An event that names no cost has none.
    cost = np.where(np.arange(len(base)) == inside.argmax(), float(event.get("cost_amt", 0.0)), 0.0)
    gained, given = (planned - base) * (price_amt - variable_cost_amt), np.where(inside, planned * discount_amt, 0.0)
    return pd.DataFrame({
        "period": demand.index, "base_qty": base, "uplift_qty": uplift, "pulled_forward_qty": planned - base - uplift,
        "planned_qty": planned, "margin_gained_amt": gained, "discount_given_amt": given, "cost_amt": cost,
        "net_amt": gained - given - cost,
    })  # fmt: skip


def forecast_netting(gross: np.ndarray, orders: np.ndarray, early: int = 0, late: int = 0) -> np.ndarray:
    """What remains of a forecast after orders consumed it: own period, then earlier ones, then later ones.

    Orders are taken in the order of their periods; an order above what it may consume is demand of its own and
    consumes nothing more.

    Parameters
    ----------
    gross, orders : ndarray, periods
        Forecast and booked orders.
    early, late : int
        How many earlier and later periods an order may consume.

    Examples
    --------
    >>> forecast_netting([350, 350, 350, 350], [300, 500, 280, 0]).tolist()
    [50.0, 0.0, 70.0, 350.0]
    >>> forecast_netting([350, 350, 350, 350], [300, 500, 280, 0], early=1, late=1).tolist()
    [0.0, 0.0, 0.0, 320.0]
    """
    net = np.asarray(gross, dtype=float).copy()
    for period, open_order in enumerate(np.asarray(orders, dtype=float)):
        places = [period, *range(period - 1, max(period - early, 0) - 1, -1), *range(period + 1, min(period + late + 1, len(net)))]
        left = open_order
        for place in places:
            used = min(left, net[place])
            net[place] -= used
            left -= used
    return net


def price_in_period(price: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Net price of every item and market in each period: the latest one valid by its first day.

    Before the first price is valid, that first price is taken: it is the one announced.

    Returns
    -------
    DataFrame
        item_id, market_id, period, price_amt.
    """
    keys = price[KEYS].drop_duplicates().sort_values(KEYS).reset_index(drop=True)
    grid = keys.merge(pd.DataFrame({"period": periods}), how="cross").sort_values("period", kind="stable")
    listed = price[[*KEYS, "valid_from", "price_amt"]].sort_values("valid_from", kind="stable")
    found = pd.merge_asof(grid, listed, left_on="period", right_on="valid_from", by=KEYS)
    first = listed.drop_duplicates(KEYS).rename(columns={"price_amt": "first_amt"})[[*KEYS, "first_amt"]]
    found = found.merge(first, on=KEYS, how="left", validate="many_to_one")
    found["price_amt"] = found["price_amt"].where(found["price_amt"].notna(), found["first_amt"])
    return found[[*CELL, "price_amt"]].sort_values(CELL).reset_index(drop=True)


# ------------------------------------------------------------------ streams


def demand_streams(
    statistical_forecast: pd.DataFrame,
    launch_forecast: pd.DataFrame,
    inputs: Mapping[str, pd.DataFrame],
    periods: pd.DatetimeIndex,
    calendar: Calendar,
) -> pd.DataFrame:
    """Bring every stream of demand to item, market and period.

    `statistical` is the statistical forecast, with launch curves for young items and phase-outs moved to successors.
    Sales, marketing, operations and customer inputs are spread from the level people think in by the share of the
    statistical stream (equal shares where it is zero); where two people of one source speak for the same cell, the more
    specific one counts, and the mean of equals. `pipeline` is Σ volume × probability by close period of opportunities
    that the run rate does not hold already.

    Parameters
    ----------
    statistical_forecast, launch_forecast : DataFrame
        Result tables.
    inputs : mapping of DataFrame
        item, market, demand_input, opportunity.
    periods : DatetimeIndex
        The horizon; inputs outside it are left out.

    Returns
    -------
    DataFrame
        `demand_stream`, sorted by key.

    Raises
    ------
    DataError
        When an input names an item, family, market or region that is not on file.
    """
    base = base_demand(statistical_forecast, launch_forecast, inputs["item"], calendar)
    grid = _Grid.of(base, inputs, periods)
    parts = [base.rename(columns={"base_qty": "demand_qty"}).assign(stream=STATISTICAL)]
    given = inputs["demand_input"]
    given = given[given["period"].isin(periods)].rename(columns={"input_qty": "value"})
    for source, rows in given.groupby("source", sort=True):
        parts.append(_spread_source(rows, grid, "demand_input").assign(stream=source))
    parts.append(_pipeline(inputs["opportunity"], grid, periods).assign(stream=PIPELINE))
    frame = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return tables.validate("demand_stream", frame.sort_values(["stream", *CELL]).reset_index(drop=True))


def base_demand(statistical_forecast: pd.DataFrame, launch_forecast: pd.DataFrame, item: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Statistical forecast with launch curves for young items and demand of ended ones at their successors (base_qty)."""
    joined = _handed_over(statistical_forecast, launch_forecast, ["forecast_qty"])
    moved = move_to_successor(joined, item, calendar, "forecast_qty")
    young = launch_forecast["item_id"].unique()
    return take_from_family(moved, item, young, "forecast_qty").rename(columns={"forecast_qty": "base_qty"})


def take_from_family(demand: pd.DataFrame, item: pd.DataFrame, young: np.ndarray, quantity: str = "demand_qty") -> pd.DataFrame:
    """Lower what other items of a family sell by what its young items are said to take from them.

    taken(family, market, period) = Σ_young cannibalisation_ratio · demand, at most what the others have; they give it in proportion to
    their demand. The family's total is what it was with the launch, less what was taken: no unit is counted as old and as new.

    Parameters
    ----------
    demand : DataFrame
        item_id, market_id, period and `quantity`.
    item : DataFrame
        `item`, with family and cannibalisation_ratio (without that column nothing is taken).
    young : array of str
        Items being launched.

    Examples
    --------
    >>> item = pd.DataFrame({"item_id": ["OLD", "NEW"], "family": "F", "cannibalisation_ratio": [0.0, 0.5]})
    >>> october = pd.Timestamp("2026-10-01")
    >>> rows = pd.DataFrame({"item_id": ["NEW", "OLD"], "market_id": "N", "period": october, "demand_qty": [40.0, 100.0]})
    >>> take_from_family(rows, item, ["NEW"])["demand_qty"].tolist()
    [40.0, 80.0]
    """
    if "cannibalisation_ratio" not in item or not len(young):
        return demand
    known = item.set_index("item_id")
    family = demand["item_id"].map(known["family"])
    is_young = demand["item_id"].isin(young) & family.notna()
    asked = (demand[quantity] * demand["item_id"].map(known["cannibalisation_ratio"])).where(is_young, 0.0)
    others = demand[quantity].where(~is_young & family.notna(), 0.0)
    place = [family, demand["market_id"], demand["period"]]
    # Items without a family lose nothing and take nothing.
    taken, there = (values.groupby(place).transform("sum").fillna(0.0) for values in (asked, others))
    share = (taken / there.where(there > 0)).clip(upper=1.0).fillna(0.0)
    return demand.assign(**{quantity: demand[quantity] - others * share})


def _handed_over(statistical_forecast: pd.DataFrame, launch_forecast: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Statistical forecast and launch curves in one, each young item by the weight of its curve."""
    if launch_forecast.empty:
        return statistical_forecast[[*CELL, *columns]]
    curve = launch_forecast.drop_duplicates("item_id").set_index("item_id")["weight_ratio"]
    parts = []
    # An item without a launch curve is forecast by its history alone.
    for frame, weight in ((statistical_forecast, 1 - statistical_forecast["item_id"].map(curve).fillna(0.0)),
                          (launch_forecast, launch_forecast["weight_ratio"])):
        # A market that only one of the two expects demand in gets its part of it.
        parts.append(frame[[*CELL, *columns]].assign(**{column: frame[column] * weight for column in columns}))
    joined = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return joined.groupby(CELL, as_index=False)[columns].sum()


def move_to_successor(demand: pd.DataFrame, item: pd.DataFrame, calendar: Calendar, quantity: str = "demand_qty") -> pd.DataFrame:
    """Move demand after an item's phase-out date to its successor; without one it ends.

    Moved demand keeps market and period, so the total of predecessor and successor is conserved. A chain of
    successors is followed to the first item still on sale.

    Parameters
    ----------
    demand : DataFrame
        item_id, market_id, period and `quantity`; further columns are dropped.
    item : DataFrame
        `item` with phase_out_date and successor_item_id.

    Returns
    -------
    DataFrame
        item_id, market_id, period, `quantity`, one row per key; the predecessor keeps rows of zero.
    """
    moving = demand[[*KEYS, "period", quantity]].copy()
    end = moving["item_id"].map(item.set_index("item_id")["phase_out_date"].to_dict())
    after = moving["period"] > pd.to_datetime(end)
    heirs = moving[after].copy()
    successor = item.set_index("item_id")["successor_item_id"].to_dict()
    ends = item.set_index("item_id")["phase_out_date"].to_dict()
    heirs["item_id"] = [_heir(name, period, successor, ends) for name, period in zip(heirs["item_id"], heirs["period"], strict=True)]
    moving.loc[after, quantity] = 0.0
    joined = pd.concat([moving, heirs[heirs["item_id"].notna()]], ignore_index=True)
    return joined.groupby([*KEYS, "period"], as_index=False)[quantity].sum()


def _heir(name: str, period: pd.Timestamp, successor: dict, end: dict) -> str | None:
    """The first item along the chain of successors that is still on sale in the period."""
    seen = {name}
    current = successor.get(name)
    while isinstance(current, str) and current and current not in seen:
        if not period > end.get(current, pd.NaT):
            return current
        seen.add(current)
        current = successor.get(current)
    return None


@dataclass(frozen=True)
class _Grid:
    """Items × markets that have a place in the plan, where each belongs, and the statistical demand to share by."""

    places: pd.DataFrame
    periods: pd.DatetimeIndex
    base: np.ndarray
    item: pd.DataFrame
    market: pd.DataFrame

    @classmethod
    def of(cls, base: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], periods: pd.DatetimeIndex, column: str = "base_qty") -> _Grid:
        item, market = inputs["item"], inputs["market"]
        keys = base[KEYS].drop_duplicates().sort_values(KEYS).reset_index(drop=True)
        places = keys.merge(item[["item_id", "family"]], on="item_id", how="left", validate="many_to_one")
        places = places.merge(market[["market_id", "region"]], on="market_id", how="left", validate="many_to_one")
        # A cell without a row has no demand to share by.
        return cls(places, periods, np.nan_to_num(_aligned(base, keys, periods, column)), item, market)

    def members(self, row: Mapping[str, Any], table: str) -> pd.DataFrame:
        """Places a row speaks for; where none has a forecast yet, every finished item and market it names."""
        inside = np.ones(len(self.places), dtype=bool)
        for column, value in _scope(row):
            inside &= (self.places[column] == value).to_numpy()
        if inside.any():
            return self.places[inside]
        fresh = self.item[self.item["item_type"] == "finished"][["item_id", "family"]].merge(
            self.market[["market_id", "region"]], how="cross"
        )
        for column, value in _scope(row):
            fresh = fresh[fresh[column] == value]
        if fresh.empty:
            raise DataError(
                tables.issue_frame(
                    [
                        tables.finding(
                            "unknown_member",
                            "blocks",
                            table,
                            " ".join(f"{c}={v}" for c, v in _scope(row)),
                            1,
                            "",
                            "name an item, family, market or region that is on file",
                        )
                    ]
                )
            )
        return fresh.sort_values(KEYS)

    def share_base(self, members: pd.DataFrame, column: int) -> np.ndarray:
        """Statistical demand of members in a period; 0 for places that are new."""
        known = members.index.isin(self.places.index) & members[KEYS].isin(self.places[KEYS]).all(axis=1)
        row = pd.MultiIndex.from_frame(self.places[KEYS]).get_indexer(pd.MultiIndex.from_frame(members[KEYS]))
        return np.where(known & (row >= 0), self.base[row, column], 0.0)


def _scope(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The item, else the family; the market, else the region; what is left empty means all."""
    product = [(c, row[c]) for c in ("item_id", "family") if isinstance(row.get(c), str) and row[c]][:1]
    place = [(c, row[c]) for c in ("market_id", "region") if isinstance(row.get(c), str) and row[c]][:1]
    return product + place


def _specificity(row: Mapping[str, Any]) -> int:
    weight = {"item_id": 8, "family": 4, "market_id": 2, "region": 1}
    return sum(weight[column] for column, _ in _scope(row))


def _spread_source(rows: pd.DataFrame, grid: _Grid, table: str) -> pd.DataFrame:
    """Inputs of one source at item, market and period."""
    scope = ["item_id", "family", "market_id", "region"]
    parts = []
    for _, group in rows.groupby(scope, sort=True, dropna=False):
        first = group.iloc[0].to_dict()
        members = grid.members(first, table)
        by_period = group.groupby("period")["value"].agg("mean")
        for period, value in by_period.items():
            column = int(grid.periods.get_loc(period))
            shares = spread(np.array([value]), grid.share_base(members, column), np.zeros(len(members), dtype=int))
            parts.append(
                pd.DataFrame(
                    {
                        "item_id": members["item_id"].to_numpy(),
                        "market_id": members["market_id"].to_numpy(),
                        "period": period,
                        "demand_qty": shares,
                        "rank": _specificity(first),
                    }
                )
            )
    spread_out = pd.concat(parts, ignore_index=True)
    best = spread_out["rank"] == spread_out.groupby(CELL)["rank"].transform("max")
    return spread_out[best].groupby(CELL, as_index=False)["demand_qty"].mean()


def _pipeline(opportunity: pd.DataFrame, grid: _Grid, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Expected volume of opportunities by close period."""
    counted = opportunity[~opportunity["is_in_run_rate"] & opportunity["close_period"].isin(periods)]
    if counted.empty:
        return pd.DataFrame(columns=[*CELL, "demand_qty"])
    counted = counted.assign(value=counted["volume_qty"] * counted["probability_ratio"], region="")
    counted = counted.rename(columns={"close_period": "period"})
    parts = [_spread_source(counted[counted["opportunity_id"] == name], grid, "opportunity") for name in counted["opportunity_id"]]
    return pd.concat(parts, ignore_index=True).groupby(CELL, as_index=False)["demand_qty"].sum()


def run_rate_by_place(sales_history: pd.DataFrame, item: pd.DataFrame, calendar: Calendar, window: int = 6) -> pd.DataFrame:
    """What every item sold in every market lately: mean of the last `window` periods (item_id, family, market_id, rate_qty)."""
    last = sales_history["period"].max()
    recent = sales_history[sales_history["period"] > calendar.add(last, -window)] if len(sales_history) else sales_history
    rate = (recent.groupby(KEYS)["ordered_qty"].sum() / window).rename("rate_qty").reset_index()
    return rate.merge(item[["item_id", "family"]], on="item_id", how="left", validate="many_to_one")


def known_scope(rows: pd.DataFrame, table: str, inputs: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[dict]]:
    """Rows whose item or family and market or region are on file, and one finding for each that are not.

    One wrong name must not stop what everybody else said: the review leaves the rows out and tells of them.

    Parameters
    ----------
    rows : DataFrame
        demand_input, opportunity or demand_adjustment.
    table : str
        Its name, for the finding.
    inputs : mapping of DataFrame
        item, market.
    """
    finished = inputs["item"][inputs["item"]["item_type"] == "finished"]
    known = {
        "item_id": set(finished["item_id"]), "family": set(finished["family"].dropna()),
        "market_id": set(inputs["market"]["market_id"]), "region": set(inputs["market"]["region"]),
    }  # fmt: skip
    unknown = [next((f"{c}={v}" for c, v in _scope(row) if v not in known[c]), "") for row in rows.to_dict("records")]
    wrong = pd.Series(unknown, index=rows.index, dtype=object)
    remedy = "name a finished item, family, market or region that is on file; until then the rows are left out"
    found = [
        tables.finding("unknown_member", "warns", table, _row_keys(part, table), len(part), name, remedy)
        for name, part in rows[wrong != ""].groupby(wrong[wrong != ""], sort=True)
    ]
    return rows[wrong == ""], found


def _row_keys(rows: pd.DataFrame, table: str) -> str:
    named = ("source", "author", "opportunity_id", "record_id")
    return tables.key_text(rows, [column for column in tables.table(table).key if column in named])


def adjustment_findings(
    demand_adjustment: pd.DataFrame,
    periods: pd.DatetimeIndex,
    assumption: pd.DataFrame,
    demand_lock: pd.DataFrame | None = None,
    inputs: Mapping[str, pd.DataFrame] | None = None,
) -> list[dict]:
    """Adjustments that change nothing as their period is not planned, that lean on an assumption not on file, or that meet a lock."""
    outside = demand_adjustment[~demand_adjustment["period"].isin(periods)]
    named = demand_adjustment["assumption_id"].fillna("")
    loose = demand_adjustment[(named != "") & ~named.isin(assumption["record_id"])]
    span = f"{periods[0]:%Y-%m-%d} to {periods[-1]:%Y-%m-%d}"
    found = []
    met = demand_adjustment.head(0) if demand_lock is None or inputs is None else _meeting_locks(demand_adjustment, demand_lock, inputs)
    for rule, rows, column, remedy in (
        ("adjustment_outside_horizon", outside, "period", f"adjust a period within {span}; this one changes nothing"),
        ("adjustment_meets_lock", met, "period", "the locked quantity stands, so the adjustment only moves what is inside or beside it; "
         "release the lock (sop adjust lock without a quantity) if it is to count"),
        ("unknown_assumption", loose, "assumption_id", "record the assumption first and name its record_id"),
    ):
        if len(rows):
            values = ", ".join(sorted({f"{v:%Y-%m-%d}" if column == "period" else str(v) for v in rows[column]})[:5])
            keys = _row_keys(rows, "demand_adjustment")
            found.append(tables.finding(rule, "warns", "demand_adjustment", keys, len(rows), values, remedy))
    return found


def _meeting_locks(demand_adjustment: pd.DataFrame, demand_lock: pd.DataFrame, inputs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Adjustments that speak of something inside a lock that holds."""
    item, market = inputs["item"], inputs["market"]
    met = np.zeros(len(demand_adjustment), dtype=bool)
    for lock in _newest_locks(demand_lock).to_dict("records"):
        same = (demand_adjustment["period"] == lock["period"]).to_numpy()
        for places, narrow, wide in ((item, "item_id", "family"), (market, "market_id", "region")):
            inside = places[_inside_lock(places, lock, [column for column in LOCK_SCOPE if column in places])]
            said = demand_adjustment[[narrow, wide]].fillna("")
            is_wide = (said[narrow] == "") & ((said[wide] == "") | said[wide].isin(inside[wide]))
            same &= (said[narrow].isin(inside[narrow]) | is_wide).to_numpy()
        met |= same
    return demand_adjustment[met]


# ------------------------------------------------------------------ weights, consensus


def stream_weights(
    plan_archive: pd.DataFrame, sales_history: pd.DataFrame, demand_stream: pd.DataFrame, calendar: Calendar
) -> pd.DataFrame:
    """How much each stream counts in the consensus: by its past error, after its past bias is taken out.

    bias = Σ(plan − actual) / Σ actual; error = Σ|plan / (1 + bias) − actual| / Σ actual; weight ∝ 1 / error. All streams are
    measured on the same items, markets and periods. A stream without a past weighs as much as the worst that has one.

    Parameters
    ----------
    plan_archive : DataFrame
        Plans as locked: lock_cycle_id, stream, item_id, market_id, period, plan_qty.
    sales_history : DataFrame
        Actuals; no row in a known period is no demand.
    demand_stream : DataFrame
        Streams of this cycle; those present are weighed, the pipeline is added and not weighed.

    Returns
    -------
    DataFrame
        `stream_weight`; weights add up to 1.
    """
    present = sorted(set(demand_stream["stream"]) - {PIPELINE})
    scored = _scored_plans(plan_archive[plan_archive["stream"].isin(present)], sales_history)
    rows = [_weight_evidence(name, scored[scored["stream"] == name]) for name in present]
    frame = pd.DataFrame(rows, columns=["stream", "wape_ratio", "bias_ratio", "error_after_bias_ratio", "evidence"])
    inverse = 1 / frame["error_after_bias_ratio"].astype(float).clip(lower=1e-6)
    inverse = inverse.where(inverse.notna(), inverse.min() if inverse.notna().any() else 1.0)
    frame["weight_ratio"] = inverse / inverse.sum()
    return tables.validate("stream_weight", frame)


def _scored_plans(plans: pd.DataFrame, sales_history: pd.DataFrame) -> pd.DataFrame:
    """Plans of known periods beside actuals, on the cells that every stream of a lock has."""
    if plans.empty or sales_history.empty:
        return pd.DataFrame(columns=[*_PLAN_COLUMNS, "actual_qty"])
    closed = plans[plans["period"] <= sales_history["period"].max()][_PLAN_COLUMNS]
    streams = closed["stream"].nunique()
    cell = ["lock_cycle_id", *CELL]
    return _beside_actuals(closed[closed.groupby(cell)["stream"].transform("nunique") == streams], sales_history)


def _beside_actuals(plans: pd.DataFrame, sales_history: pd.DataFrame) -> pd.DataFrame:
    """Plans of known periods with what was ordered."""
    actual = sales_history[[*CELL, "ordered_qty"]].rename(columns={"ordered_qty": "actual_qty"})
    scored = plans.merge(actual, on=CELL, how="left", validate="many_to_one")
    # A known period without a row is a period in which nobody ordered.
    return scored.assign(actual_qty=scored["actual_qty"].fillna(0.0))


def _weight_evidence(name: str, scored: pd.DataFrame) -> dict:
    actual = scored["actual_qty"].sum()
    if scored.empty or actual <= 0:
        return {
            "stream": name,
            "wape_ratio": np.nan,
            "bias_ratio": np.nan,
            "error_after_bias_ratio": np.nan,
            "evidence": "no past plan of this stream: counts as much as the worst stream with a past",
        }
    bias = (scored["plan_qty"] - scored["actual_qty"]).sum() / actual
    fair = scored["plan_qty"] / (1 + bias) if bias > -1 else scored["plan_qty"]
    locks = sorted(scored["lock_cycle_id"].unique())
    return {
        "stream": name,
        "wape_ratio": (scored["plan_qty"] - scored["actual_qty"]).abs().sum() / actual,
        "bias_ratio": bias,
        "error_after_bias_ratio": (fair - scored["actual_qty"]).abs().sum() / actual,
        "evidence": f"{len(scored):,} plans of {len(locks)} cycles ({locks[0]} to {locks[-1]}), {actual:,.0f} units sold",
    }


def consensus(
    demand_stream: pd.DataFrame,
    stream_weight: pd.DataFrame,
    demand_adjustment: pd.DataFrame,
    statistical_forecast: pd.DataFrame,
    launch_forecast: pd.DataFrame,
    inputs: Mapping[str, pd.DataFrame],
    demand_lock: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Unconstrained demand agreed on: streams without their bias, weighed, then people's adjustments in their order, then locks.

    demand = Σ w·plan/(1 + bias) / Σ w over the streams that speak for a cell, plus the pipeline; then each adjustment adds,
    multiplies or replaces the total of its scope and period, spread by share. Last, locked quantities are held exactly at their
    level, the rest moving in proportion. The range keeps the proportions of the statistical (or launch) range.

    Parameters
    ----------
    demand_stream, stream_weight, statistical_forecast, launch_forecast : DataFrame
        Result tables of this cycle.
    demand_adjustment : DataFrame
        People's records, oldest first.
    inputs : mapping of DataFrame
        item, market, price.
    demand_lock : DataFrame, optional
        People's records, oldest first.

    Returns
    -------
    DataFrame
        `consensus_demand`, sorted by key.

    Raises
    ------
    DataError
        When an adjustment or lock names what is not on file, locks contradict each other, or an item has no price in any market.
    """
    mixed = _weighed(demand_stream, stream_weight)
    periods = pd.DatetimeIndex(np.sort(mixed["period"].unique()))
    adjusted = _adjusted(mixed, demand_adjustment, inputs, periods)
    if demand_lock is not None and len(demand_lock):
        adjusted = held_to_locks(adjusted, demand_lock, inputs, periods)
    ranged = _with_range(adjusted, statistical_forecast, launch_forecast)
    priced = _with_price(ranged, inputs["price"], periods)
    priced["revenue_amt"] = priced["demand_qty"] * priced["price_amt"]
    return tables.validate(
        "consensus_demand", priced[list(tables.table("consensus_demand").columns)].sort_values(CELL).reset_index(drop=True)
    )


def _weighed(demand_stream: pd.DataFrame, stream_weight: pd.DataFrame) -> pd.DataFrame:
    weighed = demand_stream[demand_stream["stream"] != PIPELINE].merge(
        stream_weight[["stream", "weight_ratio", "bias_ratio"]], on="stream", how="inner", validate="many_to_one"
    )
    # A stream without a measured bias has none to remove.
    bias = weighed["bias_ratio"].astype(float).fillna(0.0).clip(lower=-0.9)
    weighed["part"] = weighed["demand_qty"] / (1 + bias) * weighed["weight_ratio"]
    cells = weighed.groupby(CELL, as_index=False)[["part", "weight_ratio"]].sum()
    cells["demand_qty"] = cells["part"] / cells["weight_ratio"]
    extra = demand_stream[demand_stream["stream"] == PIPELINE]
    joined = pd.concat([cells[[*CELL, "demand_qty"]], extra[[*CELL, "demand_qty"]]], ignore_index=True)
    return joined.groupby(CELL, as_index=False)["demand_qty"].sum()


def _adjusted(
    mixed: pd.DataFrame, demand_adjustment: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], periods: pd.DatetimeIndex
) -> pd.DataFrame:
    current = mixed
    rows = demand_adjustment[demand_adjustment["period"].isin(periods)]
    known = pd.MultiIndex.from_frame(rows[CELL]).isin(pd.MultiIndex.from_frame(mixed[CELL]))
    # Replacing single cells, as a workbook of edits does, needs no spreading: hundreds of them are one step.
    is_cell = known & (rows["kind"] == "replace")
    for _, run in rows.groupby((is_cell != is_cell.shift()).cumsum(), sort=False):
        if is_cell[run.index[0]]:
            current = _replaced(current, run)
            continue
        for row in run.to_dict("records"):
            current = _one_adjustment(current, row, inputs, periods)
    return current


def _replaced(current: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Cells set to the newest value given, never below zero."""
    newest = rows.drop_duplicates(CELL, keep="last")[[*CELL, "value"]]
    merged = current.merge(newest, on=CELL, how="left", validate="one_to_one")
    merged["demand_qty"] = merged["value"].clip(lower=0).where(merged["value"].notna(), merged["demand_qty"])
    return merged.drop(columns="value")


def _one_adjustment(current: pd.DataFrame, row: dict, inputs: Mapping[str, pd.DataFrame], periods: pd.DatetimeIndex) -> pd.DataFrame:
    """One record applied to the total of its scope in its period; the total lands exactly, never below zero."""
    grid = _Grid.of(current, inputs, periods, "demand_qty")
    members = grid.members(row, "demand_adjustment")
    base = grid.share_base(members, int(periods.get_loc(row["period"])))
    before = base.sum()
    after = {"add": before + row["value"], "multiply": before * row["value"], "replace": row["value"]}[row["kind"]]
    shares = spread(np.array([max(after, 0.0)]), base, np.zeros(len(members), dtype=int))
    fresh = pd.DataFrame(
        {
            "item_id": members["item_id"].to_numpy(),
            "market_id": members["market_id"].to_numpy(),
            "period": row["period"],
            "demand_qty": shares,
        }
    )
    kept = current.merge(fresh[CELL], on=CELL, how="left", validate="one_to_one", indicator=True)
    kept = kept[kept["_merge"] == "left_only"].drop(columns="_merge")
    return pd.concat([kept, fresh], ignore_index=True)


LOCK_SCOPE = ["item_id", "family", "market_id", "region", "channel"]


def held_to_locks(
    demand_plan: pd.DataFrame, demand_lock: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], periods: pd.DatetimeIndex
) -> pd.DataFrame:
    """Demand in which every locked quantity comes out exactly, at whatever level it was locked; the rest moves in proportion.

    Parameters
    ----------
    demand_plan : DataFrame
        item_id, market_id, period, demand_qty.
    demand_lock : DataFrame
        People's records, oldest first; the newest of a scope and period counts, one without a quantity releases it.
    inputs : mapping of DataFrame
        item, market.
    periods : DatetimeIndex
        The horizon.

    Returns
    -------
    DataFrame
        Like `demand_plan`, with rows added for locked items and markets that had none.

    Raises
    ------
    DataError
        With every finding: a lock on what is not on file or outside the horizon, on places that sell nothing and are not to be
        sold, or locks that contradict each other, by name.
    """
    _refuse_unknown_locks(demand_lock, inputs, periods)
    newest = _newest_locks(demand_lock)
    parts, findings = [demand_plan[~demand_plan["period"].isin(newest["period"])]], []
    for period, locks in newest.groupby("period", sort=True):
        cells = _with_places(demand_plan[demand_plan["period"] == period], locks, inputs)
        members = np.array([_inside_lock(cells, row) for row in locks.to_dict("records")], dtype=float)
        names = [_lock_name(row) for row in locks.to_dict("records")]
        try:
            held = held_sums(cells["demand_qty"].to_numpy(), members, locks["locked_qty"].to_numpy(), names)
        except SopError as fault:
            findings.append(_lock_finding("conflicting_locks", locks, str(fault), "change or release one of the locks named"))
            continue
        parts.append(cells[CELL].assign(demand_qty=held))
    if findings:
        raise DataError(tables.issue_frame(findings))
    return pd.concat([part for part in parts if len(part)], ignore_index=True).sort_values(CELL).reset_index(drop=True)


def _newest_locks(demand_lock: pd.DataFrame) -> pd.DataFrame:
    """The locks that hold: the newest of each scope and period, unless it released it."""
    return demand_lock.drop_duplicates([*LOCK_SCOPE, "period"], keep="last").dropna(subset=["locked_qty"])


def _with_places(cells: pd.DataFrame, locks: pd.DataFrame, inputs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Cells of one period with family, region and channel; places of a lock that has none yet are added with no demand."""
    item, market = inputs["item"], inputs["market"]
    finished = item.loc[item["item_type"] == "finished", ["item_id", "family"]]
    everywhere = finished.merge(market[["market_id", "region", "channel"]], how="cross")
    placed = cells.merge(item[["item_id", "family"]], on="item_id", how="left", validate="many_to_one")
    placed = placed.merge(market[["market_id", "region", "channel"]], on="market_id", how="left", validate="many_to_one")
    fresh = [everywhere[_inside_lock(everywhere, row)] for row in locks.to_dict("records") if not _inside_lock(placed, row).any()]
    if not fresh:
        return placed
    added = pd.concat(fresh, ignore_index=True).drop_duplicates(KEYS).assign(period=locks["period"].iloc[0], demand_qty=0.0)
    return pd.concat([placed, added], ignore_index=True)


def locked_sum(demand_plan: pd.DataFrame, lock: Mapping[str, Any], inputs: Mapping[str, pd.DataFrame]) -> float:
    """What a plan says of the scope and period of a lock.

    Parameters
    ----------
    demand_plan : DataFrame
        item_id, market_id, period, demand_qty.
    lock : mapping
        item_id, family, market_id, region, channel (empty: all) and period.
    inputs : mapping of DataFrame
        item, market.
    """
    cells = demand_plan[demand_plan["period"] == lock["period"]]
    places = _with_places(cells, pd.DataFrame([lock]), inputs)
    return float(places.loc[_inside_lock(places, lock), "demand_qty"].sum())


def _inside_lock(places: pd.DataFrame, row: Mapping[str, Any], columns: Sequence[str] = LOCK_SCOPE) -> np.ndarray:
    """Places that a lock speaks of, by the columns named; what of them is empty in it speaks of all."""
    inside = np.ones(len(places), dtype=bool)
    for column in columns:
        if row[column]:
            inside &= (places[column] == row[column]).to_numpy()
    return inside


def _lock_name(row: Mapping[str, Any]) -> str:
    """Such as `family=Gas Grills region=North period=2026-11-01 locked at 120`."""
    scope = " ".join(f"{column}={row[column]}" for column in LOCK_SCOPE if row[column]) or "the total"
    return f"{scope} period={row['period']:%Y-%m-%d} locked at {row['locked_qty']:,.6g}"


_A = {"item_id": "a finished item", "family": "a family", "market_id": "a market", "region": "a region", "channel": "a channel"}


def _refuse_unknown_locks(demand_lock: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], periods: pd.DatetimeIndex) -> None:
    item, market = inputs["item"], inputs["market"]
    finished = item[item["item_type"] == "finished"]
    on_file = {"item_id": finished["item_id"], "family": finished["family"], **{c: market[c] for c in ("market_id", "region", "channel")}}
    wrong = {column: demand_lock[(demand_lock[column] != "") & ~demand_lock[column].isin(known)] for column, known in on_file.items()}
    findings = [
        _lock_finding(f"unknown_{column}", rows, ", ".join(rows[column].unique()[:5]), f"name {_A[column]} that is on file")
        for column, rows in wrong.items()
        if len(rows)
    ]
    outside = demand_lock[~demand_lock["period"].isin(periods)]
    if len(outside):
        remedy = f"lock a period from {periods[0]:%Y-%m-%d} to {periods[-1]:%Y-%m-%d}"
        days = ", ".join(f"{period:%Y-%m-%d}" for period in outside["period"].unique()[:5])
        findings.append(_lock_finding("outside_horizon", outside, days, remedy))
    nobody = demand_lock[(demand_lock["item_id"] != "") & (demand_lock["family"] != "")]
    families = nobody["item_id"].map(finished.set_index("item_id")["family"].to_dict())
    nobody = nobody[families.notna() & (families != nobody["family"])]
    if len(nobody):
        remedy = "leave the family empty where an item is named, or name the item's own family"
        findings.append(_lock_finding("item_of_another_family", nobody, ", ".join(nobody["family"].unique()[:5]), remedy))
    if findings:
        raise DataError(tables.issue_frame(findings))


def _lock_finding(rule: str, rows: pd.DataFrame, value: str, remedy: str) -> dict:
    return tables.finding(rule, "blocks", "demand_lock", tables.key_text(rows, [*LOCK_SCOPE, "period"]), len(rows), value, remedy)


def _with_range(adjusted: pd.DataFrame, statistical_forecast: pd.DataFrame, launch_forecast: pd.DataFrame) -> pd.DataFrame:
    """Bounds in the proportions of the statistical or launch range; where it has none, the mean proportions."""
    source = _handed_over(statistical_forecast, launch_forecast, ["forecast_qty", "low_qty", "high_qty"])
    positive = source[source["forecast_qty"] > 0]
    totals = positive[["forecast_qty", "low_qty", "high_qty"]].sum()
    ratio = positive.assign(low=positive["low_qty"] / positive["forecast_qty"], high=positive["high_qty"] / positive["forecast_qty"])
    ranged = adjusted.merge(ratio[[*CELL, "low", "high"]], on=CELL, how="left", validate="one_to_one")
    mean = (totals["low_qty"] / totals["forecast_qty"], totals["high_qty"] / totals["forecast_qty"]) if len(positive) else (1.0, 1.0)
    ranged["low_qty"] = ranged["demand_qty"] * ranged["low"].fillna(mean[0])
    ranged["high_qty"] = ranged["demand_qty"] * ranged["high"].fillna(mean[1])
    return ranged.drop(columns=["low", "high"])


def _with_price(ranged: pd.DataFrame, price: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Price of the market; where a market has none, the mean of the item's markets in that period."""
    listed = price_in_period(price, periods)
    mean = listed.groupby(["item_id", "period"], as_index=False)["price_amt"].mean().rename(columns={"price_amt": "mean_amt"})
    priced = ranged.merge(listed, on=CELL, how="left", validate="one_to_one").merge(
        mean, on=["item_id", "period"], how="left", validate="many_to_one"
    )
    priced["price_amt"] = priced["price_amt"].where(priced["price_amt"].notna(), priced["mean_amt"])
    without = priced[priced["price_amt"].isna()]
    if len(without):
        raise DataError(
            tables.issue_frame(
                [
                    tables.finding(
                        "missing_price",
                        "blocks",
                        "price",
                        tables.key_text(without[["item_id"]].drop_duplicates(), ["item_id"]),
                        without["item_id"].nunique(),
                        "",
                        "give a price for every item that is planned",
                    )
                ]
            )
        )
    return priced.drop(columns="mean_amt")


# ------------------------------------------------------------------ forecast value added


def forecast_value_added(plan_archive: pd.DataFrame, sales_history: pd.DataFrame, calendar: Calendar, lag: int = 1) -> pd.DataFrame:
    """Error of each stair of the process, and what it gained over the stair before and over the naive forecast.

    Naive is the mean of the last three periods known at the lock. Every stair is measured on the same items, markets,
    periods and lag, so that the differences add up.

    Parameters
    ----------
    plan_archive : DataFrame
        Plans as locked.
    sales_history : DataFrame
        Actuals.
    lag : int
        Periods from the first planned period of the lock to the period measured (0: the first planned period).

    Returns
    -------
    DataFrame
        `forecast_value_added`, one row per stair, in order; empty where no locked plan has met its actual.
    """
    plans = plan_archive[plan_archive["stream"].isin(STAIRS)]
    distance = [
        calendar.distance(calendar.cycle_period(lock), period) for lock, period in zip(plans["lock_cycle_id"], plans["period"], strict=True)
    ]
    scored = _scored_plans(plans[np.array(distance, dtype=int) == lag], sales_history)
    if scored.empty:
        return tables.table("forecast_value_added").empty()
    scored = pd.concat([_naive_plans(scored, sales_history, calendar), scored], ignore_index=True)
    scored["absolute"] = (scored["plan_qty"] - scored["actual_qty"]).abs()
    present = [stair for stair in STAIRS if stair in set(scored["stream"])]
    frame = pd.DataFrame([_stair(name, number, scored) for number, name in enumerate(present)])
    frame["gain_over_previous_ratio"] = -frame["wape_ratio"].diff()
    frame["gain_over_naive_ratio"] = (frame["wape_ratio"].iloc[0] - frame["wape_ratio"]).where(frame["stair"] != NAIVE)
    return tables.validate("forecast_value_added", frame[list(tables.table("forecast_value_added").columns)])


def _naive_plans(scored: pd.DataFrame, sales_history: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """The naive plan of every cell and lock that is scored."""
    cells = scored.drop_duplicates(["lock_cycle_id", *CELL])
    parts = []
    for lock, rows in cells.groupby("lock_cycle_id", sort=True):
        start = calendar.cycle_period(str(lock))
        recent = sales_history[(sales_history["period"] < start) & (sales_history["period"] >= calendar.add(start, -_NAIVE_PERIODS))]
        mean = recent.groupby(KEYS)["ordered_qty"].sum() / _NAIVE_PERIODS
        # Nothing ordered in the last three periods: naive expects nothing.
        plan = mean.reindex(pd.MultiIndex.from_frame(rows[KEYS])).fillna(0.0).to_numpy()
        parts.append(rows.assign(stream=NAIVE, plan_qty=plan))
    return pd.concat(parts, ignore_index=True)


def _stair(name: str, number: int, scored: pd.DataFrame) -> dict:
    rows = scored[scored["stream"] == name]
    actual = rows["actual_qty"].sum()
    by_item = scored.groupby(["item_id", "stream"])["absolute"].sum().unstack()
    beats = (by_item[name] < by_item[NAIVE]).mean() if name != NAIVE else np.nan
    return {
        "stair": name,
        "sequence": number,
        "wape_ratio": rows["absolute"].sum() / actual if actual > 0 else np.nan,
        "bias_ratio": (rows["plan_qty"] - rows["actual_qty"]).sum() / actual if actual > 0 else np.nan,
        "item_share_beating_naive_ratio": beats,
    }


# ------------------------------------------------------------------ record of streams and authors

EVERYBODY = "all"
_SCOPE = ["item_id", "family", "market_id", "region"]
_RECORD = ["stream", "author", "level", "member"]
_JUDGED = ("sales", "marketing", "operations", "customer", "consensus")
_BIAS_SEEN = 0.03
_SIGNAL, _ONE_SIDED = 4.0, 0.8
_STICK, _STICK_LAGS, _STICK_QUARTERS = 0.10, 2, 2
_ALMOST = 1e-9


def stream_record(
    plan_archive: pd.DataFrame, sales_history: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], calendar: Calendar
) -> pd.DataFrame:
    """What each stream and each author was worth: error, bias, tracking signal, value added, and gaming with its evidence.

    An author answers for the archived plans of the items and markets that their inputs speak for; where several speak for one
    place, the most specific, and equals together. Every row is measured on its own plans, naive on the same ones:

    WAPE = Σ|plan − actual| / Σ actual; bias = Σ(plan − actual) / Σ actual; tracking signal = Σe / mean|e| over periods, where e
    is plan − actual of a period (mean over the locks that planned it); gain = WAPE of naive − WAPE.

    Flags, for streams that people make. `sandbagging` and `over-optimism`: bias beyond 3 % with a tracking signal beyond 4 and
    beyond 80 % of the most it can be (every error on one side). `hockey stick`: the first plans of the same periods lie 10 % of
    demand above the last ones and above demand, or plans of the last month of a quarter lie 10 points further above demand than
    those of its other months, in at least two quarters and half as much in each.

    Parameters
    ----------
    plan_archive, sales_history : DataFrame
        Plans as locked, and actuals.
    inputs : mapping of DataFrame
        item, market, demand_input.

    Returns
    -------
    DataFrame
        `stream_record` in total and by family and region, sorted by key; empty where no locked plan has met its actual.
    """
    scored = _own_plans(plan_archive, sales_history, inputs, calendar)
    if scored.empty:
        return tables.table("stream_record").empty()
    periods = _by_record(_sums_by_period(scored, calendar))
    frame = _accuracy(periods).join([_persistence(periods), _quarter_end(periods), _late_inflation(periods)]).reset_index()
    frame["flag"] = [_flag(row) for row in frame.to_dict("records")]
    frame["evidence"] = [_flag_evidence(row) for row in frame.to_dict("records")]
    columns = list(tables.table("stream_record").columns)
    return tables.validate("stream_record", frame[columns].sort_values(_RECORD).reset_index(drop=True))


def _own_plans(
    plan_archive: pd.DataFrame, sales_history: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], calendar: Calendar
) -> pd.DataFrame:
    """Archived plans of known periods with actual, naive plan, author, family and region."""
    plans = plan_archive[plan_archive["stream"].isin(STAIRS)]
    plans = plans[plans["period"] <= sales_history["period"].max()] if len(sales_history) else plans.head(0)
    if plans.empty:
        return plans
    scored = _beside_actuals(plans[_PLAN_COLUMNS], sales_history)
    naive = _naive_plans(scored, sales_history, calendar).rename(columns={"plan_qty": "naive_qty"})
    cell = ["lock_cycle_id", *CELL]
    scored = scored.merge(naive[[*cell, "naive_qty"]], on=cell, how="left", validate="many_to_one")
    scored = scored.merge(inputs["item"][["item_id", "family"]], on="item_id", how="left", validate="many_to_one")
    scored = scored.merge(inputs["market"][["market_id", "region"]], on="market_id", how="left", validate="many_to_one")
    places = scored[_SCOPE].drop_duplicates(KEYS)
    scored = scored.merge(authors_of(inputs["demand_input"], places), on=["stream", *KEYS], how="left", validate="many_to_one")
    return scored.assign(**{column: scored[column].fillna("") for column in ("author", "family", "region")})


def authors_of(demand_input: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """Who speaks for each place in each stream: the most specific inputs count, equals speak together.

    Parameters
    ----------
    demand_input : DataFrame
        Input table; an empty scope column means all.
    places : DataFrame
        item_id, family, market_id, region; one row for each place.

    Returns
    -------
    DataFrame
        stream, item_id, market_id, author; places nobody speaks for are left out.

    Examples
    --------
    >>> said = pd.DataFrame({"source": "sales", "author": ["Ann", "Bob"], "item_id": "", "family": ["", "Grills"], "market_id": "",
    ...                      "region": "North"})
    >>> place = pd.DataFrame({"item_id": ["A", "B"], "family": ["Grills", "Pans"], "market_id": "N-RET", "region": "North"})
    >>> authors_of(said, place)[["item_id", "author"]].to_numpy().tolist()
    [['A', 'Bob'], ['B', 'Ann']]
    """
    said = demand_input.rename(columns={"source": "stream"})[["stream", "author", *_SCOPE]].drop_duplicates()
    said = said.assign(
        family=said["family"].where(said["item_id"] == "", ""),  # an item says more than its family
        region=said["region"].where(said["market_id"] == "", ""),
    )
    parts = [pd.DataFrame(columns=["stream", *KEYS, "author", "rank"])]
    for filled, rows in said.groupby([said[column] != "" for column in _SCOPE], sort=True):
        columns = [column for column, is_filled in zip(_SCOPE, filled, strict=True) if is_filled]
        wanted = rows[["stream", "author", *columns]].drop_duplicates()
        found = places.merge(wanted, on=columns, validate="many_to_many") if columns else places.merge(wanted, how="cross")
        parts.append(found.assign(rank=_specificity({column: "x" for column in columns}))[parts[0].columns])
    spoken = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    best = spoken[spoken["rank"] == spoken.groupby(["stream", *KEYS])["rank"].transform("max")]
    ordered = best.sort_values(["stream", *KEYS, "author"]).drop_duplicates(["stream", *KEYS, "author"])
    return ordered.groupby(["stream", *KEYS], as_index=False)["author"].agg(" & ".join)


def _sums_by_period(scored: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Everything that adds up, by stream, author, family, region and period.

    `early` and `late` are the first and the last plan of a cell where they lie two periods apart or more, `sold` its demand:
    the same periods on both sides, so that demand itself plays no part.
    """
    locks = {lock: calendar.cycle_period(str(lock)) for lock in scored["lock_cycle_id"].unique()}
    start = min(locks.values())
    rows = scored.assign(lock=scored["lock_cycle_id"].map({lock: calendar.distance(start, period) for lock, period in locks.items()}))
    rows = rows.sort_values("lock", kind="stable")
    cell = ["stream", *CELL]
    lock = rows.groupby(cell)["lock"]
    is_apart = lock.transform("max") - lock.transform("min") >= _STICK_LAGS
    is_first, is_last = is_apart & ~rows.duplicated(cell), is_apart & ~rows.duplicated(cell, keep="last")
    sums = {
        "actual_qty": rows["actual_qty"],
        "error": rows["plan_qty"] - rows["actual_qty"],
        "absolute": (rows["plan_qty"] - rows["actual_qty"]).abs(),
        "naive": (rows["naive_qty"] - rows["actual_qty"]).abs(),
        "early": rows["plan_qty"].where(is_first, 0.0),
        "late": rows["plan_qty"].where(is_last, 0.0),
        "sold": rows["actual_qty"].where(is_first, 0.0),
    }
    grouped = rows.assign(**sums).groupby(["stream", "author", "family", "region", "period"], as_index=False)[list(sums)].sum()
    times = rows.groupby(["stream", "period"])["lock"].nunique().rename("lock_count").reset_index()
    return grouped.merge(times, on=["stream", "period"], how="left", validate="many_to_one")


def _by_record(sums: pd.DataFrame) -> pd.DataFrame:
    """Sums by record and period: whole streams and authors, in total, by family and by region."""
    named = pd.concat([sums.assign(author=EVERYBODY), sums[sums["author"] != ""]], ignore_index=True)
    levels = [named.assign(level=name, member=named[name] if name != "total" else "all") for name in ("total", "family", "region")]
    rows = pd.concat(levels, ignore_index=True)
    added = ["actual_qty", "error", "absolute", "naive", "early", "late", "sold"]
    kept = rows[rows["member"] != ""].groupby([*_RECORD, "period", "lock_count"], as_index=False)
    return kept[added].sum()


def _accuracy(periods: pd.DataFrame) -> pd.DataFrame:
    """Error, bias and gain over naive by record; empty where nothing was sold."""
    sums = periods.groupby(_RECORD)[["error", "absolute", "naive", "actual_qty"]].sum()
    whole = sums["actual_qty"].where(sums["actual_qty"] > 0)
    return pd.DataFrame(
        {
            "actual_qty": sums["actual_qty"],
            "wape_ratio": sums["absolute"] / whole,
            "bias_ratio": sums["error"] / whole,
            "naive_wape_ratio": sums["naive"] / whole,
            "gain_over_naive_ratio": (sums["naive"] - sums["absolute"]) / whole,
        }
    )


def _persistence(periods: pd.DataFrame) -> pd.DataFrame:
    """Tracking signal over periods, and how many lie on each side."""
    error = periods["error"] / periods["lock_count"]
    signed = periods.assign(error=error, size=error.abs(), above=error > 0, below=error < 0).groupby(_RECORD)
    found = signed.agg(above=("above", "sum"), below=("below", "sum"), period_count=("period", "size"), mean=("size", "mean"),
                       first=("period", "min"), last=("period", "max"), total=("error", "sum"))
    found["tracking_signal"] = found["total"] / found["mean"].where(found["mean"] > 0)
    return found.drop(columns=["total", "mean"])


def _quarter_end(periods: pd.DataFrame) -> pd.Series:
    """How much higher the last months of quarters lie above demand than the other months do; empty unless all of them do."""
    dated = periods.assign(is_end=periods["period"].dt.month % 3 == 0, quarter=periods["period"].dt.to_period("Q"))
    sums = dated.groupby([*_RECORD, "quarter", "is_end"])[["error", "actual_qty"]].sum().unstack()
    bias = (sums["error"] / sums["actual_qty"].where(sums["actual_qty"] > 0)).reindex(columns=[True, False]).dropna()
    quarters = pd.DataFrame({"excess": bias[True] - bias[False], "end": bias[True]}).groupby(_RECORD)
    found = quarters.agg(count=("excess", "size"), least=("excess", "min"), mean=("excess", "mean"), end=("end", "min"))
    # One quarter end may be chance; a habit shows in every quarter.
    is_habit = (found["count"] >= _STICK_QUARTERS) & (found["least"] > _STICK / 2) & (found["end"] > 0)
    return found.loc[is_habit, "mean"].rename("quarter_end")


def _late_inflation(periods: pd.DataFrame) -> pd.Series:
    """First plans less last plans of the same periods, over what was sold; empty where the first ones were not too high."""
    sums = periods.groupby(_RECORD)[["early", "late", "sold"]].sum()
    whole = sums["sold"].where((sums["sold"] > 0) & (sums["early"] > sums["sold"]))
    return ((sums["early"] - sums["late"]) / whole).rename("late_inflation")


def _flag(row: Mapping[str, Any]) -> str:
    """The kind of gaming that the figures of a record show; `none` for a machine's stream."""
    if row["stream"] not in _JUDGED:
        return "none"
    if row["late_inflation"] > _STICK or row["quarter_end"] > _STICK:
        return "hockey stick"
    signal = row["tracking_signal"]
    is_persistent = abs(signal) >= max(_SIGNAL, _ONE_SIDED * row["period_count"]) - _ALMOST
    if not (is_persistent and abs(row["bias_ratio"]) > _BIAS_SEEN):
        return "none"
    return "over-optimism" if signal > 0 else "sandbagging"


def _flag_evidence(row: Mapping[str, Any]) -> str:
    """One sentence with the figures behind a record's flag."""
    if np.isnan(row["bias_ratio"]):
        return f"nothing was ordered in {row['period_count']} periods"
    side, count = ("below", row["below"]) if row["bias_ratio"] < 0 else ("above", row["above"])
    words = [
        f"{side} demand in {count} of {row['period_count']} periods ({row['first']:%b %Y} to {row['last']:%b %Y}), "
        f"{abs(row['bias_ratio']) * 100:.1f} % in all; error {row['wape_ratio'] * 100:.1f} %, naive {row['naive_wape_ratio'] * 100:.1f} %"
    ]
    if row["late_inflation"] > _STICK:
        words.append(f"first plans {row['late_inflation'] * 100:.0f} % of demand above the last plans of the same periods")
    if row["quarter_end"] > _STICK:
        words.append(f"quarter ends {row['quarter_end'] * 100:.0f} points higher than other months")
    return "; ".join(words)
