"""Assumptions and decisions held against what happened, once everything they speak of is over.

An assumption says what it measures (`measure`), where and when; one that does not, but carries demand adjustments, is measured by the
demand of the lines it carried. A decision's effect is what came less what the plan before it expected there. A record whose last
period is not over, or of which nothing can be measured, is left alone: a person may score it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sop_workbench.settings import Settings

SCORE_COLUMNS = ("of_record_id", "kind", "cycle_of_record", "actual_value", "verdict", "why")
_SCOPE = ("item_id", "family", "market_id", "region")
_MONEY = {"revenue": "revenue_amt", "gross margin": "gross_margin_amt"}


def verdict(kind: str, record: Mapping[str, Any], actual: float) -> str:
    """Whether an assumption or a decision held.

    An assumption held when low ≤ actual ≤ high (a limit that was not stated does not bind), a decision when actual ≥ expected effect.
    Where nothing was stated to hold it against, the verdict is `unjudged`.

    Examples
    --------
    >>> verdict("assumption", {"low_value": 90.0, "high_value": np.nan}, 95.0)
    'held'
    >>> verdict("decision", {"expected_effect_amt": 1e6}, 4e5)
    'missed'
    """
    low, high = (record["low_value"], record["high_value"]) if kind == "assumption" else (record["expected_effect_amt"], np.nan)
    if pd.isna(low) and pd.isna(high):
        return "unjudged"
    is_held = (pd.isna(low) or actual >= low) and (pd.isna(high) or actual <= high)
    return "held" if is_held else "missed"


def score_assumptions(
    assumption: pd.DataFrame, adjustment: pd.DataFrame, plans: Mapping[str, pd.DataFrame], inputs: Mapping[str, pd.DataFrame],
    open_period: pd.Timestamp, settings: Settings,
) -> pd.DataFrame:
    """Score the assumptions whose time is over.

    With a measure: the figure of :func:`actual_figure` over its scope and periods, against its limits. Without one, but with demand
    adjustments resting on it: the quantity ordered in their lines; it held when that lies within its limits or, where it has none,
    within `tolerances.plan_deviation_ratio` of what the cycle's consensus planned there.

    Parameters
    ----------
    assumption, adjustment : DataFrame
        Records of earlier cycles with their `cycle_id`; adjustments say which assumption they rest on.
    plans : mapping of cycle to DataFrame
        `consensus_demand` of those cycles as locked.
    inputs : mapping of DataFrame
        item, market, sales_history, production_history; unit_cost_history where actual costs are known.
    open_period : Timestamp
        First period that is not over.
    settings : Settings
        Its tolerance.

    Returns
    -------
    DataFrame
        of_record_id, kind, cycle_of_record, actual_value, verdict, why.
    """
    carried = adjustment[adjustment["assumption_id"].fillna("") != ""].groupby("assumption_id")
    lines = {name: rows for name, rows in carried}
    found = []
    for record in assumption.to_dict("records"):
        if record["measure"]:
            found += _measured("assumption", record, inputs, open_period)
        elif record["record_id"] in lines:
            found += _carried(record, lines[record["record_id"]], plans.get(record["cycle_id"]), inputs, open_period, settings)
    return pd.DataFrame(found, columns=list(SCORE_COLUMNS))


def score_decisions(
    decision: pd.DataFrame, before: Mapping[str, pd.DataFrame], inputs: Mapping[str, pd.DataFrame], open_period: pd.Timestamp
) -> pd.DataFrame:
    """Score the decisions whose time is over: effect = what came − what the plan before the decision expected, in money.

    What came is net sales, or net sales less cost of the units shipped; what was expected is `baseline_amt` of the decision or, where
    it states none, the plan locked before its cycle. Everything else that moved in the scope counts too: a decision on a narrow scope
    is judged more fairly.

    Parameters
    ----------
    decision : DataFrame
        Records of earlier cycles with their `cycle_id`.
    before : mapping of cycle to DataFrame
        `financial_projection` locked last before each of these cycles.
    inputs, open_period
        As :func:`score_assumptions`.
    """
    found = []
    for record in decision.to_dict("records"):
        if record["measure"]:
            base, words = _baseline(record, before.get(record["cycle_id"]))
            found += [] if np.isnan(base) else _measured("decision", record, inputs, open_period, base, words)
    return pd.DataFrame(found, columns=list(SCORE_COLUMNS))


def unknown_scores(scores: pd.DataFrame, outcome: pd.DataFrame, workbench: str) -> pd.DataFrame:
    """Scores that say something new: not of a record that a person scored, nor what the workbench found before.

    Parameters
    ----------
    scores : DataFrame
        Of assumptions or decisions.
    outcome : DataFrame
        Records of outcomes so far.
    workbench : str
        How the workbench signs.
    """
    by_people = outcome.loc[outcome["by"] != workbench, "of_record_id"]
    own = outcome[outcome["by"] == workbench].sort_values("at").drop_duplicates("of_record_id", keep="last")
    before = scores.merge(own[["of_record_id", "actual_value", "verdict"]], on="of_record_id", how="left", validate="m:1",
                          suffixes=("", "_before"))
    is_known = (before["actual_value"] == before["actual_value_before"]) & (before["verdict"] == before["verdict_before"])
    return scores[~is_known.to_numpy() & ~scores["of_record_id"].isin(by_people).to_numpy()]


def actual_figure(measure: str, scope: Mapping[str, Any], inputs: Mapping[str, pd.DataFrame]) -> float:
    """What a measure came to in a scope and its periods; NaN where nothing tells.

    demand = Σ ordered; revenue = Σ net sales; price = Σ net sales / Σ shipped; unit cost = Σ cost × shipped / Σ shipped, over items
    whose actual cost is booked; production = Σ produced; gross margin = revenue − Σ cost × shipped, standard cost where no actual
    cost is booked.

    Parameters
    ----------
    measure : str
        demand, revenue, price, unit cost, production or gross margin.
    scope : mapping
        item_id, family, market_id, region (empty: all), from_period, to_period.
    inputs : mapping of DataFrame
        As :func:`score_assumptions`.

    Examples
    --------
    >>> sold = pd.DataFrame({"item_id": ["A", "B"], "market_id": "N", "period": pd.Timestamp("2026-09-01"), "ordered_qty": [5.0, 7.0],
    ...                      "shipped_qty": [4.0, 6.0], "net_sales_amt": [40.0, 90.0]})
    >>> company = {"sales_history": sold, "item": pd.DataFrame({"item_id": ["A", "B"], "family": "F", "standard_cost_amt": [6.0, 9.0]}),
    ...            "market": pd.DataFrame({"market_id": ["N"], "region": ["North"]})}
    >>> september = {"item_id": "", "family": "F", "market_id": "", "region": "", "from_period": "2026-09-01", "to_period": "2026-09-01"}
    >>> [actual_figure(name, september, company) for name in ("demand", "revenue", "price", "gross margin")]
    [12.0, 130.0, 13.0, 52.0]
    """
    if measure == "production":
        made = _within(inputs["production_history"], scope, inputs)
        return float(made["produced_qty"].sum())
    sold = _within(inputs["sales_history"], scope, inputs)
    shipped = sold["shipped_qty"].fillna(sold["ordered_qty"])  # not known of shipping: taken as ordered, never as nothing
    if measure == "demand":
        return float(sold["ordered_qty"].sum())
    revenue = float(sold["net_sales_amt"].sum()) if sold["net_sales_amt"].notna().all() else np.nan
    if measure == "revenue":
        return revenue
    if measure == "price":
        return revenue / float(shipped.sum()) if shipped.sum() else np.nan
    booked = _booked_cost(sold, inputs)
    if measure == "unit cost":
        known = booked.notna()
        return float((booked * shipped)[known].sum() / shipped[known].sum()) if shipped[known].sum() else np.nan
    standard = sold["item_id"].map(inputs["item"].set_index("item_id")["standard_cost_amt"])
    return revenue - float((booked.fillna(standard) * shipped).sum(skipna=False))


def _booked_cost(sold: pd.DataFrame, inputs: Mapping[str, pd.DataFrame]) -> pd.Series:
    booked = inputs.get("unit_cost_history")
    if booked is None or booked.empty:
        return pd.Series(np.nan, index=sold.index)
    cost = booked.set_index(["item_id", "period"])["actual_cost_amt"]
    return pd.Series(cost.reindex(pd.MultiIndex.from_frame(sold[["item_id", "period"]])).to_numpy(), index=sold.index)


def _within(rows: pd.DataFrame, scope: Mapping[str, Any], inputs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows of the scope in its periods; a place of production is no market, so production is chosen by item and family alone."""
    family = rows["item_id"].map(inputs["item"].set_index("item_id")["family"])
    members = {"item_id": rows["item_id"], "family": family}
    if "market_id" in rows:
        members |= {"market_id": rows["market_id"], "region": rows["market_id"].map(inputs["market"].set_index("market_id")["region"])}
    is_in = rows["period"].between(pd.Timestamp(scope["from_period"]), pd.Timestamp(scope["to_period"]))
    for column, values in members.items():
        if scope.get(column):
            is_in &= values == scope[column]
    return rows[is_in]


def _measured(kind: str, record: dict, inputs: Mapping[str, pd.DataFrame], open_period: pd.Timestamp, base: float = 0.0,
              words: str = "") -> list[tuple]:
    """The score of a record that says what it measures; none while a period of it is not over."""
    if not _is_over(record["from_period"], record["to_period"], inputs["sales_history"], open_period):
        return []
    actual = actual_figure(record["measure"], record, inputs)
    if np.isnan(actual):
        return []
    where = ", ".join(str(record[column]) for column in _SCOPE if record[column]) or "everything"
    when = f"{record['from_period']:%Y-%m-%d} to {record['to_period']:%Y-%m-%d}"
    why = f"{record['measure']} of {where}, {when}: {actual:,.6g}{words}"
    return [(record["record_id"], kind, record["cycle_id"], actual - base, verdict(kind, record, actual - base), why)]


def _carried(record: dict, lines: pd.DataFrame, plan: pd.DataFrame | None, inputs: Mapping[str, pd.DataFrame], open_period: pd.Timestamp,
             settings: Settings) -> list[tuple]:
    """The score of an assumption by the demand of the adjusted lines."""
    if plan is None or plan.empty or not _is_over(lines["period"].min(), lines["period"].max(), inputs["sales_history"], open_period):
        return []
    scopes = [{**line, "from_period": line["period"], "to_period": line["period"]} for line in lines.to_dict("records")]
    ordered, planned = (_of_lines(rows, column, scopes, inputs)
                        for rows, column in ((inputs["sales_history"], "ordered_qty"), (plan, "demand_qty")))
    judged = verdict("assumption", record, ordered)
    if judged == "unjudged":
        judged = "held" if abs(ordered - planned) <= settings.tolerances.plan_deviation_ratio * planned else "missed"
    why = f"ordered in the {len(lines)} adjusted lines: {ordered:,.6g}, planned {planned:,.6g}"
    return [(record["record_id"], "assumption", record["cycle_id"], ordered, judged, why)]


def _of_lines(rows: pd.DataFrame, column: str, scopes: list[dict], inputs: Mapping[str, pd.DataFrame]) -> float:
    """Sum over several scopes, a row that lies in two of them once."""
    index = pd.Index([]).union(pd.Index([i for scope in scopes for i in _within(rows, scope, inputs).index]).unique())
    return float(rows.loc[index, column].sum())


def _is_over(start: Any, end: Any, history: pd.DataFrame, open_period: pd.Timestamp) -> bool:
    """All periods are over, and history holds them."""
    if pd.isna(start) or pd.isna(end) or history.empty:
        return False
    start, end = pd.Timestamp(start), pd.Timestamp(end)
    return end < open_period and history["period"].min() <= start and end <= history["period"].max()


def _baseline(record: dict, projection: pd.DataFrame | None) -> tuple[float, str]:
    """Money expected without the decision, and where that is from; NaN where no plan covers its scope and periods."""
    if not np.isnan(record["baseline_amt"]):
        return record["baseline_amt"], f" against {record['baseline_amt']:,.6g} expected without it"
    is_stated = pd.notna(record["from_period"]) and pd.notna(record["to_period"])
    is_narrower = record["item_id"] or record["market_id"]  # than the families and regions that money is planned by
    if projection is None or projection.empty or is_narrower or not is_stated:
        return np.nan, ""
    rows = projection[projection["period"].between(record["from_period"], record["to_period"])]
    covered = projection["period"].min() <= record["from_period"] and record["to_period"] <= projection["period"].max()
    for column in ("family", "region"):
        rows = rows[rows[column] == record[column]] if record[column] else rows
    if not covered or rows.empty:
        return np.nan, ""
    expected = float(rows[_MONEY[record["measure"]]].sum())
    return expected, f" against {expected:,.6g} in the plan before it"
