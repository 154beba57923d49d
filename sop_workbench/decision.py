"""What this cycle has to decide: gaps, bottlenecks, shortages, excess and risks as questions with options and money.

Who decides follows from the money at stake, measured against the plan's revenue: within a tenth of the tolerance
`decision_ratio` the step's owner, within the tolerance the management review, beyond it the executive meeting. A family
below budget by more than the tolerance goes to the management review at least.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from sop_workbench.settings import OWN_RULES, Settings
from sop_workbench.tables import table, validate

_BASE = "base"
WHOLE_PLAN = "The whole plan"
_BOTTLENECKS_SHOWN = 5
_FAMILIES_SHOWN = 4
_RISKS_SHOWN = 2
_NAMES_SHOWN = 3
_STEP_SHARE = 0.1
_MATERIAL_SHARE = 0.0002
_BUDGET_STEP = "04_financial_review"
_MORE = 0.10
_EASE = {
    "hours": "an extra shift, overtime, work moved to another line or a subcontractor",
    "crew size": "hiring, people lent by another crew or a subcontractor",
    "supplier": "a larger contract or a second source",
    "storage": "rented space or a smaller pre-build",
    "lane": "a second carrier or another warehouse",
    "subcontracting": "a larger contract with the subcontractor",
}
_ASKED = {  # by kind of change request: the step whose owner answers for it, and what can be done
    "sales off plan": ("02_demand_review", "take the new level into the plan; keep the plan and name what will bring it back"),
    "stock runs out": ("03_supply_review", "make or buy more; move stock from where it lasts; accept the shortage and tell the markets"),
    "resource full": ("03_supply_review", "add hours or a subcontractor; move work to another line; plan less of what it makes"),
    "supply late": ("03_supply_review", "expedite; take a second source; plan without it"),
    "market gives way": ("03_supply_review", "confirm the allocation and tell the market; give the market more; add supply"),
}
_HOUR_LIMITS = ("capacity", "overtime", "crew", "crew overtime")


def open_decisions(
    budget_gap: pd.DataFrame, binding_limit: pd.DataFrame, unmet_demand: pd.DataFrame, excess_stock: pd.DataFrame,
    scenario_comparison: pd.DataFrame, alerts: pd.DataFrame, settings: Settings, item: pd.DataFrame | None = None,
    change_request: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """List the decisions of the cycle by money at stake, each with options, a recommendation and who decides.

    Money at stake: of the plan or a family below budget its gap; of a bottleneck what ten per cent more of it would earn at most (price
    of one more unit × a tenth of the limit, over the periods it binds); of unserved demand its revenue; of excess its stock at
    standard cost; of a risk or chance the profit its scenario loses or earns. A family off plan twice running has no money of
    its own and comes last. What is below a fifth of a per mille of the plan's revenue is nobody's decision here, unless the weekly round
    asks for it.

    Parameters
    ----------
    budget_gap, binding_limit, unmet_demand, excess_stock, scenario_comparison, alerts : DataFrame
        Result tables of the cycle; an empty one gives no decision of its kind.
    settings : Settings
        Tolerances, currency and the owners of the steps.
    item : DataFrame, optional
        Input table; with it the demand that goes short is named by family.
    change_request : DataFrame, optional
        Change requests of the weekly round that are open: one decision for each kind.

    Returns
    -------
    DataFrame
        The `open_decision` table, largest money first.
    """
    compared = _called_by_title(scenario_comparison)
    profits = _scenario_profits(compared)
    bottlenecks = _bottlenecks(binding_limit, profits, settings)
    is_option = profits["scenario"].map(lambda name: any(f"{name}: profit" in decision["options"] for decision in bottlenecks)).astype(bool)
    found = [
        *_budget_gaps(budget_gap, settings),
        *bottlenecks,
        *_shortage(unmet_demand, compared, item, settings),
        *_excess(excess_stock, settings),
        *_risks_and_chances(profits[~is_option], settings),
        *_change_requests(alerts),
        *_weekly_requests(change_request if change_request is not None else table("change_request").empty()),
    ]
    if not found:
        return table("open_decision").empty()
    revenue = float((unmet_demand["served_qty"] * unmet_demand["price_amt"]).sum())
    rows = pd.DataFrame([{"answers": "", **one} for one in found])
    rows = rows.sort_values(["money_amt", "question"], ascending=[False, True], na_position="last", ignore_index=True)
    is_asked = rows["money_amt"].isna() | (rows["answers"] != "")
    rows = rows[is_asked | (rows["money_amt"] >= _MATERIAL_SHARE * revenue)].reset_index(drop=True)
    rows["level"] = [_who(money, revenue, step, settings) for money, step in zip(rows["money_amt"], rows["step"], strict=True)]
    return validate("open_decision", rows.drop(columns="step").assign(sequence=range(1, len(rows) + 1)))


def _budget_gaps(budget_gap: pd.DataFrame, settings: Settings) -> list[dict]:
    """The whole plan, and the families in it, further below budget than the tolerance."""
    known = budget_gap[budget_gap["budget_revenue_amt"].notna()]
    sums = known.groupby("family")[["budget_revenue_amt", "gap_amt", "demand_gap_amt", "supply_gap_amt"]].sum()
    if len(sums) > 1:
        sums.loc[WHOLE_PLAN] = sums.sum()
    below = sums[-sums["gap_amt"] > settings.tolerances.budget_gap_ratio * sums["budget_revenue_amt"]]
    decisions = []
    for family, row in below.nsmallest(_FAMILIES_SHOWN + (WHOLE_PLAN in below.index), "gap_amt").iterrows():
        gap, share = _money(-row["gap_amt"], settings), -row["gap_amt"] / row["budget_revenue_amt"] if row["budget_revenue_amt"] else 1.0
        side = "below" if row["demand_gap_amt"] < 0 else "above"
        demand = f"demand is {_money(abs(row['demand_gap_amt']), settings)} {side} budget"
        supply = f"supply cannot serve {_money(-row['supply_gap_amt'], settings)} of it"
        is_short, is_demand = row["supply_gap_amt"] <= -1.0, row["demand_gap_amt"] < row["supply_gap_amt"]
        options = [f"demand actions ({demand})", *([f"release supply ({supply})"] if is_short else []), f"lower the estimate by {gap}"]
        decisions.append({
            "question": f"{family} stands {gap} ({share:.0%}) below budget: close the gap or lower the estimate?",
            "options": "; ".join(options),
            "recommendation": demand + (f" and {supply}: " if is_short else ": ") + (
                "ask sales for actions with dates, lower the estimate by what they do not cover" if is_demand else
                "decide on the bottlenecks first, then on the estimate"),
            "money_amt": -row["gap_amt"], "step": _BUDGET_STEP,
        })
    return decisions


def _bottlenecks(binding_limit: pd.DataFrame, profits: pd.DataFrame, settings: Settings) -> list[dict]:
    """The limits whose easing would earn most; hours of one resource, regular or overtime, are one bottleneck."""
    rows = binding_limit[(binding_limit["money_amt"] > 0) & ~binding_limit["limit"].isin(OWN_RULES)]
    rows = rows.assign(kind=rows["limit"].where(~rows["limit"].isin(_HOUR_LIMITS), "hours"))
    rows = rows.assign(name=rows["member_name"].where(rows["member_name"] != "", rows["member"]))
    groups = rows.groupby(["kind", "member", "name"]).agg(
        money=("money_amt", "sum"), best=("price_amt", "max"), start=("period", "min"), end=("period", "max"), count=("period", "nunique"))
    decisions = []
    for row in groups.nlargest(_BOTTLENECKS_SHOWN, "money").reset_index().itertuples():
        money = _money(row.money * _MORE, settings)
        options = _levers_on(row.member, profits, settings)
        helping = options[options["delta"] > 0]
        decisions.append({
            "question": f"{row.name} is at its limit ({row.kind}) in {_count(row.count, 'period')}, {_span(row.start, row.end)}; "
                        f"ten per cent more would earn up to {money}: ease it?",
            "options": "; ".join(options["text"]) or f"no scenario eases it yet; think of {_EASE.get(row.kind, 'easing the limit')}",
            "recommendation": f"take up {helping['text'].iloc[0]}" if len(helping) else
                              f"run a scenario that eases it: one more unit is worth up to {row.best:,.2f} {settings.currency}",
            "money_amt": row.money * _MORE, "step": "03_supply_review",
        })
    return decisions


def _levers_on(member: str, profits: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Scenarios with a lever that names what is limited (a resource, an item), best first."""
    name = member.split(" ")[0]
    is_named = profits["levers"].map(lambda text: re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None).astype(bool)
    named = profits[is_named].sort_values(["delta", "scenario"], ascending=[False, True])
    return named.assign(text=[f"{s}: profit {_signed(d, settings)}" for s, d in zip(named["scenario"], named["delta"], strict=True)])


def _shortage(unmet_demand: pd.DataFrame, scenario_comparison: pd.DataFrame, item: pd.DataFrame | None, settings: Settings) -> list[dict]:
    """Demand that the plan does not serve."""
    lost = unmet_demand["lost_revenue_amt"].sum()
    if not lost > 0:
        return []
    # The executive page speaks of families; items stand in where a company has none or the item table is not given.
    names = unmet_demand["item_id"] if item is None else unmet_demand["item_id"].map(item.set_index("item_id")["family"])
    names = names.fillna(unmet_demand["item_id"])
    goods = unmet_demand["lost_revenue_amt"].groupby(names).sum().nlargest(_NAMES_SHOWN)
    markets = unmet_demand.groupby("market_id")["lost_revenue_amt"].sum().nlargest(_NAMES_SHOWN)
    helps = scenario_comparison[(scenario_comparison["measure"] == "lost revenue") & (scenario_comparison["delta"] < 0)]
    helps = helps.sort_values(["delta", "scenario"])
    options = [f"{s}: {_money(-d, settings)} less is lost" for s, d in zip(helps["scenario"], helps["delta"], strict=True)]
    return [{
        "question": f"{_money(lost, settings)} of demand cannot be served, most of it {_names(goods)}: who goes short?",
        "options": "; ".join([*options, f"accept the plan's allocation: {_names(markets)} lose most"]),
        "recommendation": f"{helps['scenario'].iloc[0]} saves most of it; tell the markets that stay short" if len(helps) else
                          "no scenario serves more: confirm the allocation and tell the markets concerned",
        "money_amt": lost, "step": "03_supply_review",
    }]


def _excess(excess_stock: pd.DataFrame, settings: Settings) -> list[dict]:
    """Stock beyond the cover limit, by stage of life: ended items are another decision than slow ones."""
    decisions = []
    rows = excess_stock[excess_stock["excess_amt"] > 0]
    for stage, part in rows.groupby("lifecycle"):
        is_over = stage in ("ended", "phase_out")
        money, largest = part["excess_amt"].sum(), part.nlargest(_NAMES_SHOWN, "excess_amt").set_index("item_name")["excess_amt"]
        goods = _count(len(part), {"ended": "ended item", "phase_out": "item being phased out"}.get(str(stage), f"{stage} item"))
        decisions.append({
            "question": f"{_money(money, settings)} lie in excess stock of {goods} ({_names(largest)}): what becomes of it?",
            "options": "sell off at a discount; offer to service and spare parts; write off" if is_over else
                       "stop replenishment until cover is back at the limit; move it to markets that are short; promote it",
            "recommendation": "set a sell-off price and a date for the write-off of the rest" if is_over else
                              "stop replenishment first: it costs nothing",
            "money_amt": money, "step": "01_product_review",
        })
    return decisions


def _risks_and_chances(profits: pd.DataFrame, settings: Settings) -> list[dict]:
    """Scenarios that lose or earn most against base, and those without a plan."""
    losing = profits[profits["delta"] < 0].nsmallest(_RISKS_SHOWN, "delta")
    earning = profits[profits["delta"] > 0].nlargest(_RISKS_SHOWN, "delta")
    risks = [{
        "question": f"{row.scenario} would cost {_money(-row.delta, settings)} of profit: prepare for it?",
        "options": "prepare a response now; enter it in the risk register with a trigger; accept it",
        "recommendation": "name an owner and the trigger at which the response starts",
        "money_amt": -row.delta, "step": "05_pre_sop"} for row in losing.itertuples()]
    chances = [{
        "question": f"{row.scenario} would earn {_money(row.delta, settings)} of profit: pursue it?",
        "options": "put it into the plan; work it out for the next cycle; leave it",
        "recommendation": "confirm its assumptions with who has to deliver them, then put it into the plan",
        "money_amt": row.delta, "step": "05_pre_sop"} for row in earning.itertuples()]
    impossible = [{
        "question": f"{row.scenario} has no feasible plan: which limit may give way?",
        "options": "relax one of the limits named in its issue list; give the scenario up",
        "recommendation": "read the clashing limits before anything is promised",
        "money_amt": np.nan, "step": "05_pre_sop"} for row in profits[~profits["is_feasible"]].itertuples()]
    return [*risks, *chances, *impossible]


def _change_requests(alerts: pd.DataFrame) -> list[dict]:
    """Families off plan twice running: their plans have to change."""
    twice = alerts[alerts["sentence"].str.contains("change request")] if len(alerts) else alerts
    if twice.empty:
        return []
    largest = twice.sort_values("value", key=lambda v: -v.abs(), kind="stable")
    others = len(largest) - _NAMES_SHOWN
    names = ", ".join(largest["member"].head(_NAMES_SHOWN)) + (f" and {others} more" if others > 0 else "")
    return [{
        "question": f"{names} {'is' if len(largest) == 1 else 'are'} off plan twice running: change the plan?",
        "options": "take the new level into the next cycle; keep the plan and name what will bring it back",
        "recommendation": largest["sentence"].iloc[0], "money_amt": np.nan, "step": "02_demand_review",
    }]


def _weekly_requests(change_request: pd.DataFrame) -> list[dict]:
    """What the weekly round could not mend, one decision for each kind; deciding it answers every request of the kind."""
    decisions = []
    for kind, part in change_request.groupby("kind"):
        step, options = _ASKED[str(kind)]
        largest = part.sort_values(["money_amt", "request_id"], ascending=[False, True], na_position="last")
        others = len(largest) - _NAMES_SHOWN
        names = ", ".join(largest["member"].head(_NAMES_SHOWN)) + (f" and {others} more" if others > 0 else "")
        weeks = ", ".join(sorted(part["weekly_cycle_id"].unique()))
        decisions.append({
            "question": f"The weekly round of {weeks} asks for {_count(len(part), 'change')} ({kind}: {names}): what changes in the plan?",
            "options": options, "recommendation": largest["sentence"].iloc[0], "money_amt": part["money_amt"].sum(min_count=1),
            "step": step, "answers": "; ".join(sorted(part["request_id"])),
        })
    return decisions


def _called_by_title(scenario_comparison: pd.DataFrame) -> pd.DataFrame:
    """The comparison with every scenario under the title people gave it, where they gave one."""
    is_named = (scenario_comparison["title"] != "") & (scenario_comparison["scenario"] != _BASE)
    return scenario_comparison.assign(scenario=scenario_comparison["title"].where(is_named, scenario_comparison["scenario"]))


def _scenario_profits(scenario_comparison: pd.DataFrame) -> pd.DataFrame:
    """Profit of every scenario against base: scenario, delta, levers, is_feasible."""
    rows = scenario_comparison[(scenario_comparison["measure"] == "profit") & (scenario_comparison["scenario"] != _BASE)]
    return rows[["scenario", "delta", "levers", "is_feasible"]].sort_values("scenario", ignore_index=True)


def _who(money: float, revenue: float, step: str, settings: Settings) -> str:
    limit = settings.tolerances.decision_ratio * revenue
    if money > limit:
        return "Executive S&OP"
    # A family's gap is listed only outside its own tolerance, so it is never for finance alone.
    if money > _STEP_SHARE * limit or step == _BUDGET_STEP:
        return "Management review (pre-S&OP)"
    return settings.steps[step].owner if step in settings.steps else f"Owner of {step[3:].replace('_', ' ')}"


def _money(amount: float, settings: Settings) -> str:
    """Money as people say it.

    Examples
    --------
    >>> _money(1_234_567, Settings(company="Demo")), _money(950, Settings(company="Demo"))
    ('1.23 M EUR', '950 EUR')
    """
    size, letter = next(((size, letter) for size, letter in ((1e6, " M"), (1e3, " k")) if abs(amount) >= size), (1.0, ""))
    scaled = amount / size
    digits = 0 if abs(scaled) >= 99.95 or not letter else 1 if abs(scaled) >= 9.995 else 2
    return f"{scaled:,.{digits}f}{letter} {settings.currency}"


def _signed(amount: float, settings: Settings) -> str:
    return ("+" if amount >= 0 else "−") + _money(abs(amount), settings)


def _names(amounts: pd.Series) -> str:
    return ", ".join(str(name) for name in amounts.index)


def _count(number: int, words: str) -> str:
    """A number of things, the first word that names them in the plural where it must be.

    Examples
    --------
    >>> _count(1, "period"), _count(2, "item being phased out")
    ('1 period', '2 items being phased out')
    """
    plural = re.sub(r"\b(item|period|change)\b", r"\1s", words, count=1)
    return f"{number} {words if number == 1 else plural}"


def _span(start: pd.Timestamp, end: pd.Timestamp) -> str:
    return f"{start:%b %Y}" if start == end else f"{start:%b %Y} to {end:%b %Y}"
