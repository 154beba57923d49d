"""One function per KPI: aggregate first, divide last; a KPI whose denominator is zero is NaN, never 0.

Every function takes plain numbers or series and returns one number. `kpi_table` puts unit, target,
traffic light, formula and reason beside it; `DEFINITIONS` holds the one wording of each formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sop_workbench.errors import DataError, SopError
from sop_workbench.settings import Settings
from sop_workbench.tables import finding, issue_frame, validate

DAYS_PER_YEAR = 365.0

Better = Literal["low", "high", "most", "near zero", "not judged"]


class Definition(NamedTuple):
    """How a KPI is worded and judged.

    `tolerance` names the field of `settings.tolerances` that is its target; `amber` says how far beyond the
    target is still amber, as a multiple of the target (of the distance to 1 for shares where `high` is good; `most` is good without
    an upper end); `kpi_amber` of the settings replaces it. The target is that of `kpi_targets` (`wape.family` for one level, else `wape`),
    else the tolerance, else `target`; a KPI with none of them is not judged.
    """

    unit: str
    formula: str
    when_undefined: str
    better: Better = "not judged"
    tolerance: str = ""
    amber: float = 1.25
    target: float = np.nan


DEFINITIONS: dict[str, Definition] = {
    "wape": Definition("ratio", "Σ|A−F| / ΣA", "no actual demand", "low", "forecast_wape_ratio"),
    "bias": Definition("ratio", "Σ(F−A) / ΣA, + is over-forecast", "no actual demand", "near zero", "forecast_bias_ratio", 1.5),
    "mase": Definition("times", "MAE / in-sample seasonal-naive MAE", "history too short or without change", "low", target=1.0),
    "tracking_signal": Definition("mean errors", "Σ(F−A) / mean|F−A|, + is over-forecast", "forecast without error", "near zero",
                                  target=4.0),
    "forecast_value_added": Definition("ratio", "error(step before) − error(step)", "an error is not known", "most", target=0.0),
    "cycle_service_level": Definition("ratio", "cycles without stockout / cycles", "no cycle", "high", "service_level_ratio", 2.0),
    "fill_rate": Definition("ratio", "on-time quantity / ordered quantity", "nothing ordered", "high", "service_level_ratio", 2.0),
    "otif": Definition("ratio", "orders complete and on time / orders", "no order", "high", "service_level_ratio", 2.0),
    "inventory_turns": Definition("turns a year", "annual COGS / average inventory", "no inventory", "most"),
    "days_of_inventory": Definition("days", "365 / turns", "no COGS", "low"),
    "days_of_sales": Definition("days", "average receivables / annual revenue × 365", "no revenue", "low"),
    "days_of_payables": Definition("days", "average payables / annual COGS × 365", "no COGS"),
    "cash_to_cash": Definition("days", "DIO + DSO − DPO", "one of DIO, DSO, DPO is not defined", "low"),
    "working_capital": Definition("reporting currency", "inventory + receivables − payables", "a balance is not known", "low"),
    "gross_margin": Definition("ratio", "(revenue − COGS) / revenue", "no revenue", "most"),
    "gmroi": Definition("times", "annual gross margin / average inventory at cost", "no inventory", "most"),
    "production_adherence": Definition("ratio", "Σ min(actual, plan) / Σ plan, by item", "nothing planned", "high",
                                       "service_level_ratio", 2.0),
    "utilisation": Definition("ratio", "load / demonstrated capacity (regular where none is demonstrated)", "no capacity", "low",
                              "utilisation_ratio", 1.1),
    "budget_gap": Definition("ratio", "(budget − revenue of the plan) / budget, over what is budgeted", "no budget", "low",
                             "budget_gap_ratio", 1.5),
    "excess_stock": Definition("ratio", "stock beyond the cover limit / stock, in money", "no stock", "low"),
    "plan_stability": Definition("ratio", "Σ|plan now − plan last cycle| inside the fence / Σ plan now", "no plan", "low",
                                 "plan_deviation_ratio", 1.5),
    "steps_on_time": Definition("ratio", "steps done by their working day / steps due", "no step due", "high", "", 2.0, 0.9),
    "decisions_closed": Definition("ratio", "decisions closed / decisions made", "no decision made", "high", "", 2.0, 0.8),
    "actions_on_time": Definition("ratio", "actions done by their due day / actions done or overdue", "no action due", "high", "",
                                  2.0, 0.9),
    "owned_overrides": Definition("ratio", "overrides with who and why / overrides", "no override", "high", "", 2.0, 1.0),
}


# ------------------------------------------------------------------ forecast
def wape(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Absolute forecast error as a share of actual demand: Σ|A−F| / ΣA.

    Parameters
    ----------
    actual, forecast : Series or array of equal length, base units
        One value per item, market and period of the level and lag that is judged.

    Raises
    ------
    SopError
        When lengths differ or a value is missing.

    Examples
    --------
    >>> wape([100, 0, 50], [90, 10, 50])
    0.13333333333333333
    """
    a, f = _pair(actual, forecast, "wape")
    return ratio(np.abs(a - f).sum(), a.sum())


def bias(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Forecast error with its sign as a share of demand: Σ(F−A) / ΣA; positive is over-forecast.

    Examples
    --------
    >>> bias([100, 100], [110, 100])
    0.05
    """
    a, f = _pair(actual, forecast, "bias")
    return ratio((f - a).sum(), a.sum())


def mase(actual: ArrayLike, forecast: ArrayLike, history: ArrayLike, season: int = 12) -> float:
    """Mean absolute error over that of last season's value within the training history.

    MAE(A, F) / mean |y_t − y_{t−m}|, both in base units; the denominator uses `history` alone, never the scored periods.

    Examples
    --------
    >>> mase([12], [10], history=[1, 2, 3, 4], season=2)
    1.0
    """
    a, f = _pair(actual, forecast, "mase")
    past = np.asarray(history, dtype=float)
    if len(a) == 0 or len(past) <= season:
        return np.nan
    return ratio(np.abs(a - f).mean(), np.abs(past[season:] - past[:-season]).mean())


def tracking_signal(actual: ArrayLike, forecast: ArrayLike) -> float:
    """How many mean errors the sum of errors is away from zero: Σ(F−A) / mean|F−A|; positive is over-forecast.

    Examples
    --------
    >>> tracking_signal([10, 10, 10], [12, 12, 12])
    3.0
    """
    a, f = _pair(actual, forecast, "tracking_signal")
    return ratio((f - a).sum(), np.abs(f - a).mean()) if len(a) else np.nan


def forecast_value_added(error_before: float, error: float) -> float:
    """What a step gained: error of the step before minus its own (same set, lag and weights).

    Examples
    --------
    >>> round(forecast_value_added(0.40, 0.35), 2)
    0.05
    """
    return float(error_before - error)


# ------------------------------------------------------------------ service
def fill_rate(on_time: ArrayLike, ordered: ArrayLike) -> float:
    """Share of the ordered quantity that was delivered on time: Σ on time / Σ ordered.

    Examples
    --------
    >>> fill_rate([95, 0], [100, 0])
    0.95
    """
    o, t = _pair(ordered, on_time, "fill_rate")
    return ratio(t.sum(), o.sum())


def otif(complete_orders: ArrayLike, orders: ArrayLike) -> float:
    """Share of orders delivered complete and on time: Σ complete orders / Σ orders, row by row counted.

    Quantities of a month do not tell it: one late piece does not make a whole month's orders late.

    Examples
    --------
    >>> otif([19, 4], [20, 4])
    0.9583333333333334
    """
    c, o = _pair(complete_orders, orders, "otif")
    return ratio(c.sum(), o.sum())


def cycle_service_level(is_stockout: ArrayLike) -> float:
    """Share of replenishment cycles without stockout (not the fill rate).

    Examples
    --------
    >>> cycle_service_level([False, False, True, False])
    0.75
    """
    flags = np.asarray(is_stockout, dtype=bool)
    return ratio((~flags).sum(), len(flags))


# ------------------------------------------------------------------ money
def inventory_turns(cogs_per_year: float, average_inventory: float) -> float:
    """How often a year the stock is sold: annual COGS / average inventory, both at standard cost.

    Examples
    --------
    >>> inventory_turns(1200, 100)
    12.0
    """
    return ratio(cogs_per_year, average_inventory)


def days_of_inventory(cogs_per_year: float, average_inventory: float) -> float:
    """Days the average stock lasts (DIO): 365 / turns.

    Examples
    --------
    >>> days_of_inventory(3650, 100)
    10.0
    """
    return ratio(average_inventory * DAYS_PER_YEAR, cogs_per_year)


def days_of_sales(revenue_per_year: float, average_receivables: float) -> float:
    """Days until customers pay (DSO): average receivables / annual revenue × 365."""
    return ratio(average_receivables * DAYS_PER_YEAR, revenue_per_year)


def days_of_payables(cogs_per_year: float, average_payables: float) -> float:
    """Days until suppliers are paid (DPO): average payables / annual COGS × 365."""
    return ratio(average_payables * DAYS_PER_YEAR, cogs_per_year)


def cash_to_cash(days_inventory: float, days_sales: float, days_payables: float) -> float:
    """Days money is tied up between paying suppliers and being paid: DIO + DSO − DPO.

    Examples
    --------
    >>> cash_to_cash(60, 45, 30)
    75.0
    """
    return float(days_inventory + days_sales - days_payables)


def working_capital(inventory: float, receivables: float, payables: float) -> float:
    """Money tied up in the business: inventory + receivables − payables.

    Examples
    --------
    >>> working_capital(500, 300, 200)
    600.0
    """
    return float(inventory + receivables - payables)


def gross_margin(revenue: float, cogs: float) -> float:
    """Share of revenue left after cost of goods sold: (revenue − COGS) / revenue.

    Examples
    --------
    >>> gross_margin(200, 150)
    0.25
    """
    return ratio(revenue - cogs, revenue)


def gmroi(margin_per_year: float, average_inventory: float) -> float:
    """Annual gross margin earned per unit of money in stock.

    Examples
    --------
    >>> gmroi(300, 100)
    3.0
    """
    return ratio(margin_per_year, average_inventory)


# ------------------------------------------------------------------ operations
def production_adherence(actual: ArrayLike, plan: ArrayLike) -> float:
    """Share of the plan that was made, item by item: Σ min(actual, plan) / Σ plan; over-build does not offset.

    Examples
    --------
    >>> production_adherence([120, 50], [100, 100])
    0.75
    """
    a, p = _pair(actual, plan, "production_adherence")
    return ratio(np.minimum(a, p).sum(), p.sum())


def utilisation(load_hours: ArrayLike, demonstrated_hours: ArrayLike) -> float:
    """Load as a share of demonstrated capacity, hours over hours.

    Examples
    --------
    >>> utilisation([90, 110], [100, 100])
    1.0
    """
    load, hours = _pair(load_hours, demonstrated_hours, "utilisation")
    return ratio(load.sum(), hours.sum())


def excess_ratio(excess_amt: float, inventory_amt: float) -> float:
    """Share of the stock's money that lies beyond the cover limit or has no demand (excess and obsolete)."""
    return ratio(excess_amt, inventory_amt)


def plan_stability(plan_now: ArrayLike, plan_before: ArrayLike) -> float:
    """How much the plan moved inside the fence since the last cycle: Σ|now − before| / Σ now (0 is perfectly calm).

    Examples
    --------
    >>> plan_stability([100, 100], [90, 100])
    0.05
    """
    now, before = _pair(plan_now, plan_before, "plan_stability")
    return ratio(np.abs(now - before).sum(), now.sum())


def share(is_met: ArrayLike) -> float:
    """Share of rows that meet a condition: steps on time, decisions closed, overrides with an owner.

    Examples
    --------
    >>> share([True, True, False, True])
    0.75
    """
    flags = np.asarray(is_met, dtype=bool)
    return ratio(flags.sum(), len(flags))


def ratio(numerator: float, denominator: float) -> float:
    """Numerator over denominator, NaN where the denominator is zero or not known.

    Examples
    --------
    >>> ratio(1, 0)
    nan
    """
    return float(numerator) / float(denominator) if denominator else float("nan")


# ------------------------------------------------------------------ the table
def kpi_table(measures: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Put unit, target, traffic light, formula and reason beside measured KPIs.

    Parameters
    ----------
    measures : DataFrame
        Columns kpi (a name of `DEFINITIONS`), level, member, period, value (NaN: not defined), and
        optionally note (text put behind the reason).
    settings : Settings
        Its tolerances are the targets.

    Returns
    -------
    DataFrame
        The `kpi` table, sorted by its key. A KPI without a tolerance, or without a value, shows `none`.

    Raises
    ------
    DataError
        When a KPI has no definition.

    Examples
    --------
    >>> measured = pd.DataFrame([{"kpi": "wape", "level": "total", "member": "all", "period": "2026-09-01", "value": 0.4}])
    >>> kpi_table(measured, Settings(company="Demo"))[["value", "target", "status", "reason"]].to_dict("records")
    [{'value': 0.4, 'target': 0.35, 'status': 'amber', 'reason': '40.0 % is beyond the target 35.0 %'}]
    """
    unknown = sorted(set(measures["kpi"]) - set(DEFINITIONS))
    if unknown:
        raise DataError(issue_frame([finding("unknown_kpi", "blocks", "kpi", "", len(unknown), ", ".join(unknown),
                                             f"use one of {', '.join(DEFINITIONS)}")]))
    rows = [_judged(row, settings) for row in measures.to_dict("records")]
    columns = ["kpi", "level", "member", "period", "value", "unit", "target", "status", "formula", "reason"]
    frame = pd.DataFrame(rows, columns=columns).sort_values(["kpi", "level", "member", "period"], ignore_index=True)
    return validate("kpi", frame)


def plan_measures(
    unmet_demand: pd.DataFrame, resource_plan: pd.DataFrame, capacity: pd.DataFrame, financial_projection: pd.DataFrame,
    settings: Settings, cash_projection: pd.DataFrame | None = None, budget_gap: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """KPIs of the plan over its whole horizon, as measures for `kpi_table`.

    Fill rate in total and by market, utilisation in total and by resource, turns, days of inventory, gross margin and GMROI in
    total; with a cash projection also days of sales and payables and cash-to-cash, with a budget the gap to it. The period
    shown is the first of the horizon.

    Parameters
    ----------
    unmet_demand, resource_plan, financial_projection, cash_projection, budget_gap : DataFrame
        Result tables of one plan.
    capacity : DataFrame
        Input table; its demonstrated hours count where given, else the plan's regular hours.
    settings : Settings
        Its calendar scales the flows of the horizon to a year.
    """
    period = financial_projection["period"].min()
    rows = [("fill_rate", "total", "all", fill_rate(unmet_demand["served_qty"], unmet_demand["demand_qty"]))]
    rows += [("fill_rate", "market_id", market, fill_rate(part["served_qty"], part["demand_qty"]))
             for market, part in unmet_demand.groupby("market_id")]
    rows += _utilisation_rows(resource_plan, capacity)
    rows += _money_rows(financial_projection, cash_projection, settings.calendar.buckets_per_year)
    if budget_gap is not None:
        rows += _budget_rows(budget_gap)
    return pd.DataFrame(rows, columns=["kpi", "level", "member", "value"]).assign(period=period)


def _budget_rows(budget_gap: pd.DataFrame) -> list[tuple]:
    """The gap in total, by family and by region, each over what is budgeted of it."""
    known = budget_gap[budget_gap["budget_revenue_amt"].notna()]
    groups: dict[tuple[str, str], pd.DataFrame] = {("total", "all"): known}
    groups |= {(level, str(name)): part for level in ("family", "region") for name, part in known.groupby(level)}
    return [("budget_gap", *key, ratio(-part["gap_amt"].sum(), part["budget_revenue_amt"].sum())) for key, part in groups.items()]


def _utilisation_rows(resource_plan: pd.DataFrame, capacity: pd.DataFrame) -> list[tuple]:
    hours = resource_plan.merge(capacity[["resource_id", "period", "demonstrated_hours"]], on=["resource_id", "period"],
                                how="left", validate="1:1")
    hours["hours"] = hours["demonstrated_hours"].fillna(hours["regular_hours"])
    rows = [("utilisation", "total", "all", utilisation(hours["used_hours"], hours["hours"]))]
    return rows + [("utilisation", "resource_id", resource, utilisation(part["used_hours"], part["hours"]))
                   for resource, part in hours.groupby("resource_id")]


def _money_rows(financial_projection: pd.DataFrame, cash_projection: pd.DataFrame | None, buckets_per_year: int) -> list[tuple]:
    per_year = buckets_per_year / max(financial_projection["period"].nunique(), 1)
    year = financial_projection[["revenue_amt", "cogs_amt", "gross_margin_amt"]].sum() * per_year
    inventory = financial_projection.groupby("period")["inventory_amt"].sum().mean()
    days_inventory = days_of_inventory(year["cogs_amt"], inventory)
    values = {
        "inventory_turns": inventory_turns(year["cogs_amt"], inventory),
        "days_of_inventory": days_inventory,
        "gross_margin": gross_margin(year["revenue_amt"], year["cogs_amt"]),
        "gmroi": gmroi(year["gross_margin_amt"], inventory),
    }
    if cash_projection is not None:
        days_sales = days_of_sales(year["revenue_amt"], cash_projection["receivable_amt"].mean())
        days_payables = days_of_payables(year["cogs_amt"], cash_projection["payable_amt"].mean())
        ends = cash_projection.sort_values("period").iloc[-1]
        last = financial_projection.loc[financial_projection["period"] == ends["period"], "inventory_amt"].sum()
        values |= {"working_capital": working_capital(last, ends["receivable_amt"], ends["payable_amt"]),
                   "days_of_sales": days_sales, "days_of_payables": days_payables,
                   "cash_to_cash": cash_to_cash(days_inventory, days_sales, days_payables)}
    return [(kpi, "total", "all", value) for kpi, value in values.items()]


def family_measures(financial_projection: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Gross margin, turns and GMROI of every family of the plan, as measures for `kpi_table`; stock without sales turns 0 times."""
    per_year = settings.calendar.buckets_per_year
    parts = [(family, _money_rows(part, None, per_year)) for family, part in financial_projection.groupby("family")]
    rows = [(name, "family", family, value) for family, found in parts for name, _, _, value in found]
    return pd.DataFrame(rows, columns=["kpi", "level", "member", "value"]).assign(period=financial_projection["period"].min())


def excess_measures(excess_stock: pd.DataFrame, stock_value: pd.DataFrame, period: pd.Timestamp) -> pd.DataFrame:
    """Excess and obsolete stock as a share of the stock's money, in total and by family, as measures for `kpi_table`.

    Parameters
    ----------
    excess_stock : DataFrame
        Result table; items not in it have no excess.
    stock_value : DataFrame
        Columns family and value_amt: money of the stock the excess is part of.
    period : Timestamp
        Period the stock was counted at the end of.
    """
    excess = excess_stock.groupby("family", dropna=False)["excess_amt"].sum()
    value = stock_value.groupby("family", dropna=False)["value_amt"].sum()
    rows = [("excess_stock", "total", "all", excess_ratio(excess.sum(), value.sum()))]
    named = value[value.index.notna()]
    rows += [("excess_stock", "family", family, excess_ratio(excess.get(family, 0.0), amount)) for family, amount in named.items()]
    return pd.DataFrame(rows, columns=["kpi", "level", "member", "value"]).assign(period=period)


def process_measures(
    step_status: pd.DataFrame, due: pd.Series, action: pd.DataFrame, decision: pd.DataFrame, demand_adjustment: pd.DataFrame,
    as_of: pd.Timestamp, period: pd.Timestamp,
) -> pd.DataFrame:
    """How the process itself runs: steps on time, decisions closed, overrides that somebody owns; measures for `kpi_table`.

    A step is on time when it was done first by its due day; one that is due and not done is late, one not due yet does not count. A
    decision is closed when every action that carries it out is done or cancelled; one without actions is open.

    Parameters
    ----------
    step_status, action, decision, demand_adjustment : DataFrame
        Records of the cycle.
    due : Series
        Due day by step.
    as_of : Timestamp
        Day on which the process is judged.
    period : Timestamp
        First planned period of the cycle.
    """
    done = step_status[step_status["status"] == "done"].groupby("step")["at"].min().reindex(due.index)
    is_due = (due < pd.Timestamp(as_of).normalize()) | done.notna()
    on_time = (done.dt.normalize() <= due)[is_due]
    closed = [is_closed(actions_of(row, action)) for row in decision.to_dict("records")]
    owned = demand_adjustment[["by", "why"]].fillna("").apply(lambda text: text.str.strip() != "").all(axis=1)
    rows = [("steps_on_time", share(on_time), f"{len(on_time)} steps due"),
            ("decisions_closed", share(closed), f"{len(closed)} decisions"),
            ("owned_overrides", share(owned), f"{len(owned)} overrides")]
    frame = pd.DataFrame(rows, columns=["kpi", "value", "note"])
    return frame.assign(level="total", member="all", period=period)


def action_measures(action: pd.DataFrame, as_of: pd.Timestamp, period: pd.Timestamp) -> pd.DataFrame:
    """Share of actions done by their due day, in total and by owner, over those due in the year before a day; measures for `kpi_table`.

    on time = done by the due day / (done + overdue); what is cancelled, or not due yet, does not count.

    Parameters
    ----------
    action : DataFrame
        Each action as it stands (:func:`sop_workbench.governance.action_states`).
    as_of : Timestamp
        Day on which the process is judged.
    period : Timestamp
        First planned period of the cycle.

    Examples
    --------
    >>> told = pd.DataFrame({"owner": ["Ann", "Ann", "Bob", "Bob"], "state": ["done", "done late", "late", "cancelled"],
    ...                      "due_date": pd.Timestamp("2026-09-01")})
    >>> found = action_measures(told, pd.Timestamp("2026-10-01"), pd.Timestamp("2026-10-01"))
    >>> found[["level", "member", "value"]].round(3).to_dict("split")["data"]
    [['total', 'all', 0.333], ['owner', 'Ann', 0.5], ['owner', 'Bob', 0.0]]
    """
    since = pd.Timestamp(as_of) - pd.DateOffset(years=1)
    judged = action[action["state"].isin(["done", "done late", "late"]) & (action["due_date"] >= since)]
    groups = [("total", "all", judged), *(("owner", str(owner), part) for owner, part in judged.groupby("owner"))]
    rows = [(level, member, share(part["state"] == "done"), f"{len(part)} actions done or overdue, due in the last year")
            for level, member, part in groups]
    return pd.DataFrame(rows, columns=["level", "member", "value", "note"]).assign(kpi="actions_on_time", period=period)


def actions_of(decision: Mapping[str, Any], action: pd.DataFrame) -> pd.DataFrame:
    """The actions that carry a decision out, each as it stands now: those that state its number, or name its question in their title."""
    newest = action.sort_values("at").drop_duplicates("title", keep="last")
    stated = newest["decision_id"] if "decision_id" in newest else pd.Series("", index=newest.index)
    is_mine = [number == decision.get("record_id") or (not number and decision["question"] in title)
               for number, title in zip(stated, newest["title"], strict=True)]
    return newest[np.array(is_mine, dtype=bool)]


def is_closed(action: pd.DataFrame) -> bool:
    """Tell whether all actions of a decision are done or cancelled; a decision without actions is not closed."""
    return len(action) > 0 and bool(action["status"].isin(["done", "cancelled"]).all())


def _judged(row: dict, settings: Settings) -> dict:
    definition = DEFINITIONS[row["kpi"]]
    own = getattr(settings.tolerances, definition.tolerance) if definition.tolerance else definition.target
    target = settings.kpi_targets.get(f"{row['kpi']}.{row['level']}", settings.kpi_targets.get(row["kpi"], own))
    status, reason = _light(row["value"], target, definition._replace(amber=settings.kpi_amber.get(row["kpi"], definition.amber)))
    note = row.get("note")
    return {**{c: row[c] for c in ("kpi", "level", "member", "period", "value")}, "unit": definition.unit, "target": target,
            "status": status, "formula": definition.formula, "reason": f"{reason}; {note}" if isinstance(note, str) and note else reason}


def _light(value: float, target: float, definition: Definition) -> tuple[str, str]:
    """Status and the sentence why; distances are measured on the side that hurts."""
    if pd.isna(value):
        return "none", f"not defined: {definition.when_undefined}"
    if definition.better == "not judged" or pd.isna(target):
        return "none", "no target is set"
    is_share = definition.unit == "ratio"

    def words(number: float) -> str:
        return f"{100 * number:.1f} %" if is_share else f"{number:,.2f}"

    miss = {"low": value, "near zero": abs(value), "high": 1 - value, "most": target}[definition.better]
    limit = {"high": 1 - target, "most": value}.get(definition.better, target)
    if miss <= limit + 1e-12:
        return "green", f"{words(value)} meets the target {words(target)}"
    verdict = "amber" if miss <= limit * definition.amber + 1e-12 else "red"
    side = "short of" if definition.better in ("high", "most") else "beyond"
    return verdict, f"{words(value)} is {'far ' if verdict == 'red' else ''}{side} the target {words(target)}"


def _pair(first: ArrayLike, second: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Both series as arrays, compared by position; lengths equal and nothing missing."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape:
        raise SopError(f"{name}: {a.size} values stand beside {b.size}; join the tables on their keys first")
    missing = int((np.isnan(a) | np.isnan(b)).sum())
    if missing:
        raise SopError(f"{name}: {missing} of {a.size} values are missing; leave the rows out or say what they are, absent is not zero")
    return a, b
