"""Views of the pre-S&OP review: scenarios, risk and the scorecard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sop_workbench.views.frames import as_view, needs
from sop_workbench.views.words import (
    MONEY,
    MONEY_UNITS,
    ROUNDING,
    UNSEEN,
    heading,
    in_unit,
    number,
    percent,
    period_labels,
    plural,
    short,
    signed,
)

STATUS_WORDS = {"green": "on target", "amber": "watch", "red": "act", "none": "not judged"}
STATUS_ICONS = {"green": "●", "amber": "▲", "red": "■", "none": "–"}
_LOWER_IS_BETTER = ("lost revenue", "inventory", "inventory days", "peak load", "overtime")
BOARD_KPIS = ("budget_gap", "gross_margin", "fill_rate", "days_of_inventory", "utilisation", "wape")


def scenario_table(scenario_comparison: pd.DataFrame) -> pd.DataFrame:
    """Every measure of every scenario beside base, money first, with a verdict in words."""
    needs(scenario_comparison, "scenario_comparison")
    rows = scenario_comparison.sort_values(["sequence", "scenario"], ignore_index=True)
    rows["value_text"] = [in_unit(v, u) for v, u in zip(rows["value"], rows["unit"], strict=True)]
    rows["delta_text"] = [delta_text(v, u) for v, u in zip(rows["delta"], rows["unit"], strict=True)]
    rows["verdict"] = [verdict(m, v, d) for m, v, d in zip(rows["measure"], rows["value"], rows["delta"], strict=True)]
    rows["levers"] = rows["title"].where(rows["title"] == "", rows["title"] + ": ") + rows["levers"]
    return as_view(
        rows[["scenario", "measure", "sequence", "unit", "value", "delta", "value_text", "delta_text", "verdict", "levers", "is_feasible"]],
        _scenario_title(rows),
        "Delta = scenario − base. Every scenario is the same functions run on changed tables.",
        "No scenario was compared.",
    )


def delta_text(delta: float, unit: str) -> str:
    """A difference to base in words: points for a ratio, else in its unit."""
    if unit in ("ratio", "%"):
        return "–" if pd.isna(delta) else signed(f"{delta * 100:.1f} pts")
    return signed(in_unit(delta, unit))


def verdict(measure: str, value: float, delta: float) -> str:
    """Better, worse, or the same where nobody would see the difference in the figure shown."""
    if pd.isna(delta) or abs(delta) <= UNSEEN * abs(value) + ROUNDING:
        return "same"
    return "better" if (delta < 0) == (measure in _LOWER_IS_BETTER) else "worse"


def _scenario_title(rows: pd.DataFrame) -> str:
    money = rows[(rows["scenario"] != "base") & (rows["measure"] == "profit")].dropna(subset=["delta"])
    if money.empty:
        return "Scenarios beside base"
    best = money.loc[money["delta"].idxmax()]
    return (
        f"{best['title'] or best['scenario']}: most profit, {best['delta_text']} against base"
        if best["delta"] > 0
        else "No scenario brings more profit than base"
    )


def scenario_deltas(scenario_comparison: pd.DataFrame) -> pd.DataFrame:
    """Change of every money measure against base, by scenario."""
    table = scenario_table(scenario_comparison)
    rows = table[(table["scenario"] != "base") & table["unit"].isin(MONEY_UNITS)]
    rows = rows[rows.groupby("measure")["delta"].transform(lambda d: d.abs().max()) > ROUNDING]
    return as_view(rows, "Change against base, measure by measure", table.attrs["note"], "No scenario changes a money measure.")


def service_frontier(service_frontier: pd.DataFrame, with_levers: pd.DataFrame | None = None) -> pd.DataFrame:
    """What service costs and what stock buys, point by point; with a second table, of the plan with levers pulled, beside base."""
    needs(service_frontier, "service_frontier")
    cases = {"base": service_frontier} if with_levers is None else {"base": service_frontier, "what if": with_levers}
    shown = [rows.sort_values(["frontier", "sequence"]).assign(case=name) for name, rows in cases.items()]
    rows = pd.concat(shown, ignore_index=True).assign(plan_text="")
    rows.loc[rows["is_plan"], "plan_text"] = rows["case"].replace("base", "the plan, with safety stock")
    cost = shown[-1][shown[-1]["frontier"] == "service and profit"]
    points = cost[~cost["is_plan"]]
    title = "What service costs, and what stock buys"
    if len(points) > 1:
        last, before = points.iloc[-1], points.iloc[-2]
        if last["fill_ratio"] > before["fill_ratio"]:
            ends = (percent(row["fill_ratio"], 2).removesuffix(" %") for row in (before, last))
            title = f"Service from {' to '.join(ends)} % costs {short(before['profit_amt'] - last['profit_amt'], MONEY)} of profit"
    note = ("Each point is the best plan of its kind: most profit for the service asked for; best service for the stock allowed. All leave "
            f"the plan's stock at the end. The plan stands apart because it also keeps its safety stock on the way{_what_it_costs(cost)}.")
    return as_view(rows, title, note, "No demand to serve.")


def _what_it_costs(cost: pd.DataFrame) -> str:
    """What the plan earns less, and holds more, than the most profitable plan of at least its service."""
    plan, points = cost[cost["is_plan"]], cost[~cost["is_plan"]]
    if plan.empty or points.empty:
        return ""
    plan, nearest = plan.iloc[0], points.iloc[(points["fill_ratio"] - plan["fill_ratio"].iloc[0]).abs().argmin()]
    less, more = nearest["profit_amt"] - plan["profit_amt"], plan["inventory_amt"] - nearest["inventory_amt"]
    return f": {short(less, MONEY)} less profit for {short(more, MONEY)} more stock on average" if min(less, more) > ROUNDING else ""


def vulnerability(vulnerability: pd.DataFrame, location: pd.DataFrame, market: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """The losses that hurt most, dearest first, with what remains after the best response."""
    needs(vulnerability, "vulnerability")
    rows = vulnerability.sort_values(["lost_profit_amt", "kind", "member"], ascending=[False, True, True], ignore_index=True).head(top)
    places = {key: name for frame, kind in ((location, "location"), (market, "market"))
              for key, name in zip(frame[f"{kind}_id"], frame[f"{kind}_name"], strict=True) if isinstance(name, str) and name}
    names = [" → ".join(places.get(end, end) for end in name.split(" → ")) for name in rows["member_name"]]
    told = zip(rows["sentence"], rows["kind"], rows["member_name"], names, strict=True)
    sentences = [sentence.replace(f"{kind} {member}", f"{kind} {name}", 1) for sentence, kind, member, name in told]
    rows = rows.assign(name=names, from_label=period_labels(rows["from_period"]), sentence=sentences)
    title = "".join(f"Without {row.name} in {row.from_label}: {short(row.lost_profit_amt, MONEY)} less profit"
                    for row in rows.head(1).itertuples(index=False))
    span = plural(int(rows["period_count"].max()) if len(rows) else 1, "period")
    note = f"Each is lost for {span}, where the plan uses most of it, and the plan is made again knowing of it; a surprise costs more."
    return as_view(rows[["name", "kind", "from_label", "period_count", "lost_profit_amt", "lost_revenue_amt", "fill_ratio", "sentence"]],
                   title, note, "Nothing can fail: the plan is empty.")


def plan_risk(plan_risk: pd.DataFrame) -> pd.DataFrame:
    """Mean, P10, P50 and P90 of every measure, for the plan and for the plan made for all samples."""
    needs(plan_risk, "plan_risk")
    rows = plan_risk.sort_values(["sequence", "plan"], ignore_index=True)
    columns = ["mean_value", "p10_value", "p50_value", "p90_value", "worst_mean_value"]
    texts = {column.removesuffix("_value"): [_in_full(v, u) for v, u in zip(rows[column], rows["unit"], strict=True)] for column in columns}
    profit = rows[(rows["plan"] == "plan") & (rows["measure"] == "profit")]
    title = "" if profit.empty else (
        f"Profit lies between {_in_full(profit['p10_value'].iloc[0], '')} and {_in_full(profit['p90_value'].iloc[0], MONEY)} "
        "in eight samples of ten")
    return as_view(rows[["plan", "measure"]].assign(**texts), title,
                   "Samples of demand from the forecast's own errors and of supply events; the rest of the plan answers to each. Ranges "
                   "that reach further up than down make the samples' mean demand, and with it profit, higher than the plan's.",
                   "No sample was drawn: risk.samples is 0.")


def _in_full(value: float, unit: str) -> str:
    """Money and quantities with every digit, where short figures would all look alike."""
    return percent(value) if unit == "ratio" else f"{number(value)} {MONEY if unit else ''}".rstrip()


def sample_outcomes(sample_outcome: pd.DataFrame) -> pd.DataFrame:
    """Profit and service of every sample, for the plan and for the plan made for all samples."""
    needs(sample_outcome, "sample_outcome")
    return as_view(sample_outcome[["plan", "sample", "profit_amt", "fill_ratio", "regret_amt"]], "Profit and service, one point a sample",
                   "Regret: worth given up for not having known the sample.", "No sample was drawn: risk.samples is 0.")


def risk_value(risk_value: pd.DataFrame) -> pd.DataFrame:
    """What uncertainty costs and what planning for it brings, in sentences."""
    needs(risk_value, "risk_value")
    return as_view(risk_value.sort_values("sequence", ignore_index=True)[["figure", "value_amt", "sentence"]], "What not knowing costs",
                   "RP, EEV and WS are means over the samples of profit less penalties.", "No sample was drawn: risk.samples is 0.")


def kpi_cards(kpi: pd.DataFrame, plan_from: pd.Timestamp, names: Sequence[str] = BOARD_KPIS) -> pd.DataFrame:
    """The total's KPIs in the order named, each at its newest period, with status in icon and word and the formula.

    Parameters
    ----------
    kpi : DataFrame
        The `kpi` table.
    plan_from : Timestamp
        First planned period: KPIs before it are actual, the others are those of the plan.
    names : sequence of str
        KPIs to show; one that was not computed is left out.
    """
    rows = kpi_list(kpi, plan_from, "total")
    rows = rows[rows["kpi"].isin(names)].sort_values("period", kind="stable").drop_duplicates("kpi", keep="last")
    rows = rows.sort_values("kpi", key=lambda found: found.map({name: place for place, name in enumerate(names)}))
    return as_view(rows, "", empty="No KPI was computed for this cycle.")


def kpi_list(kpi: pd.DataFrame, plan_from: pd.Timestamp, level: str) -> pd.DataFrame:
    """The KPIs of a level: value, target, status in words, formula, and whether it is actual or planned."""
    needs(kpi, "kpi")
    mine = kpi[kpi["level"] == level]
    is_newest = mine["period"] == mine.groupby(["kpi", "member", mine["period"] >= plan_from])["period"].transform("max")
    mine = mine[is_newest]
    is_planned = mine["period"] >= plan_from
    rows = mine.assign(
        kpi_name=mine["kpi"].map(heading),
        about=np.where(is_planned, "plan from ", "actual ") + period_labels(mine["period"]),
        value_text=[in_unit(v, u) for v, u in zip(mine["value"], mine["unit"], strict=True)],
        target_text=[in_unit(v, u) for v, u in zip(mine["target"], mine["unit"], strict=True)],
        status_text=mine["status"].map(STATUS_ICONS) + " " + mine["status"].map(STATUS_WORDS),
    )
    outside = int(mine["status"].isin(["red", "amber"]).sum())
    return as_view(rows, f"{outside} of {plural(len(rows), 'KPI')} outside target", empty="No KPI was computed for this cycle.")


def kpi_by_month(kpi: pd.DataFrame, plan_from: pd.Timestamp, name: str = "wape", level: str = "family", top: int = 16) -> pd.DataFrame:
    """One KPI by member of a level and period, worst members first, each cell with its traffic light.

    Parameters
    ----------
    kpi : DataFrame
        The `kpi` table.
    plan_from : Timestamp
        First planned period; periods from it on are not shown.
    name, level : str
        Which KPI, and whose.
    top : int
        Members shown.
    """
    needs(kpi, "kpi")
    mine = kpi[(kpi["kpi"] == name) & (kpi["level"] == level) & (kpi["period"] < plan_from)].dropna(subset=["value"])
    outside = mine["status"].map({"red": 2, "amber": 1}).fillna(0)
    order = outside.groupby(mine["member"]).sum().sort_values(ascending=False, kind="stable").index[:top]
    rows = mine[mine["member"].isin(order)].assign(rank=mine["member"].map({member: n for n, member in enumerate(order)}))
    rows = rows.sort_values(["rank", "period"])
    rows = rows.assign(
        value_text=[in_unit(v, u).removesuffix(" %") + {"red": " ■", "amber": " ▲"}.get(s, "")
                    for v, u, s in zip(rows["value"], rows["unit"], rows["status"], strict=True)])
    newest = rows[rows["period"] == rows["period"].max()]
    count = int(newest["status"].isin(["red", "amber"]).sum())
    title = f"{heading(name)}: {count} of {len(newest)} outside target in {period_labels(newest['period']).iloc[0]}" if len(newest) else ""
    formula = "".join(rows["formula"].head(1))
    return as_view(rows[["member", "period", "value", "value_text", "status"]], title, f"{formula}. ▲ watch, ■ act.",
                   f"{heading(name)} is not known by {heading(level).lower()} yet.")


def kpi_scorecard(kpi: pd.DataFrame, plan_from: pd.Timestamp, level: str = "total") -> pd.DataFrame:
    """The KPIs of a level as a table to read: value, target, status, reason, formula."""
    rows = kpi_list(kpi, plan_from, level)
    named = {"kpi_name": "kpi", "value_text": "value", "target_text": "target", "status_text": "status"}
    shown = rows[["kpi_name", "member", "about", "value_text", "target_text", "status_text", "reason", "formula"]].rename(columns=named)
    shown = shown.drop(columns="member") if level == "total" else shown
    return as_view(shown, rows.attrs["title"], empty=rows.attrs["empty"])


def risks(risk: pd.DataFrame) -> pd.DataFrame:
    """Risks and opportunities beyond the plan, by expected money; what is closed comes last, with who closed it and why."""
    needs(risk, "risk")
    is_closed = risk["status"] == "closed"
    rows = risk.assign(expected_amt=risk["money_amt"] * risk["probability_ratio"], is_closed=is_closed)
    told = zip(rows["by"], rows["why"], is_closed, strict=True)
    rows["state"] = [f"closed by {by}: {why}" if closed else "open" for by, why, closed in told]
    rows = rows.iloc[np.lexsort([-rows["expected_amt"].abs(), rows["is_closed"]])]
    return as_view(
        rows[["kind", "title", "money_amt", "probability_ratio", "expected_amt", "owner", "state"]],
        f"Risks and opportunities beyond the plan: {int((~is_closed).sum())} open",
        "Expected money = money × probability.",
        "No risk or opportunity is registered.",
    )
