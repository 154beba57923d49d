"""Two plans side by side: two cycles, or two scenarios, by family, period and measure, with who said what in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import UnknownCycleError
from sop_workbench.store import BASE

if TYPE_CHECKING:
    from sop_workbench.settings import Settings
    from sop_workbench.store import Cycle, Store

NO_FAMILY = "(no family)"
READ = ("unmet_demand", "inventory_projection", "financial_projection", "item")
_COLUMNS = ["family", "period", "measure", "unit", "before", "after", "delta", "money_amt"]
_OWNERS = {"demand": "02_demand_review", "served demand": "03_supply_review", "production": "03_supply_review",
           "inventory": "03_supply_review", "revenue": "04_financial_review", "gross margin": "04_financial_review",
           "profit": "04_financial_review"}
MEASURES = tuple(_OWNERS)
_MONEY = {"revenue": "revenue_amt", "gross margin": "gross_margin_amt", "profit": "profit_amt"}
_NOBODY_SEES = 1e-6


@dataclass(frozen=True)
class Plan:
    """One side of a comparison: a scenario of a cycle."""

    cycle: Cycle
    scenario: str = BASE

    @property
    def name(self) -> str:
        """How people call it: the cycle, and the scenario where it is not base."""
        return self.cycle.id if self.scenario == BASE else f"{self.cycle.id}/{self.scenario}"


def find_plan(store: Store, name: str, cycle_id: str | None = None) -> Plan:
    """The plan called `CYCLE`, `CYCLE/SCENARIO`, or, of a given cycle, by its scenario alone.

    Raises
    ------
    UnknownCycleError
        When there is no such plan; names what there is.
    """
    known, (first, _, scenario) = store.cycles(), name.partition("/")
    if first in known:
        found = Plan(store.cycle(first), scenario or BASE)
    elif cycle_id in known and cycle_id is not None:
        found = Plan(store.cycle(cycle_id), name)
    else:
        raise UnknownCycleError(f"there is no cycle {first}; the store has {', '.join(known) or 'none'}. Write CYCLE or CYCLE/SCENARIO")
    scenarios = found.cycle.scenarios("unmet_demand")
    if found.scenario not in scenarios:
        raise UnknownCycleError(f"there is no plan {name}; cycle {found.cycle.id} has the scenarios {', '.join(scenarios) or 'none'}")
    return found


def compare_plans(before: Plan, after: Plan, settings: Settings) -> pd.DataFrame:
    """What changed from one plan to another, by family, period and measure, with reason and owner.

    Returns
    -------
    DataFrame
        Columns of :func:`plan_difference` with `reason` (adjustments recorded for that family and period, or the levers of the
        scenario; empty where nobody said anything) and `owner` (who recorded it, else the owner of the step). Only periods that
        both plan; largest money first.
    """
    rows = plan_difference(*(_tables_of(plan) for plan in (before, after)))
    said = _new_adjustments(before, after)
    rows = rows.merge(said, on=["family", "period", "measure"], how="left", validate="many_to_one")
    levers = _levers(after) or _levers(before)
    rows["reason"] = rows["reason"].fillna(levers)
    steps = {measure: settings.steps[step].owner for measure, step in _OWNERS.items() if step in settings.steps}
    rows["owner"] = rows["owner"].fillna(rows["measure"].map(steps)).fillna("")
    return rows.sort_values("money_amt", key=lambda money: -money.abs(), kind="stable", ignore_index=True)


def plan_difference(before: Mapping[str, pd.DataFrame], after: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """After less before, by family, period and measure, in the periods that both plan.

    Money of a difference in quantity: demand at its price, production at standard cost; of inventory its value. What only one of
    the plans has counts as nothing in the other. Differences that nobody sees (below a millionth) are left out.

    Parameters
    ----------
    before, after : mapping
        `unmet_demand`, `inventory_projection`, `financial_projection` of the plan and `item` of its cycle.

    Returns
    -------
    DataFrame
        family, period, measure, unit, before, after, delta, money_amt.
    """
    old, new = (_measures(plan) for plan in (before, after))
    shared = set(before["unmet_demand"]["period"]) & set(after["unmet_demand"]["period"])
    # A family that one plan does not have sells, makes and stores nothing there, so none is 0 here.
    both = old.join(new, how="outer", lsuffix="_before", rsuffix="_after").fillna(0.0).reset_index()
    both = both[both["period"].isin(shared)].rename(columns={"value_before": "before", "value_after": "after"})
    both["delta"] = both["after"] - both["before"]
    both["money_amt"] = both["money_after"] - both["money_before"]
    both["unit"] = both["measure"].map(lambda name: "money" if name in _MONEY else "units")
    seen = (both["delta"].abs() > _NOBODY_SEES) | (both["money_amt"].abs() > _NOBODY_SEES)
    return both.loc[seen, _COLUMNS].sort_values(["family", "period", "measure"], ignore_index=True)


def changed_inputs(before: Cycle, after: Cycle) -> list[str]:
    """Input tables whose content differs between two cycles."""
    return [] if before == after else [n for n in tables.names("input") if before.fingerprint([n]) != after.fingerprint([n])]


def _measures(plan: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Value and money of every measure, by family, period and measure."""
    item, demand, stock = plan["item"], plan["unmet_demand"], plan["inventory_projection"]
    family = item.set_index("item_id")["family"].fillna(NO_FAMILY)
    cost = stock["item_id"].map(item.set_index("item_id")["standard_cost_amt"])
    parts = [
        demand.assign(measure="demand", value=demand["demand_qty"], money=demand["demand_qty"] * demand["price_amt"]),
        demand.assign(measure="served demand", value=demand["served_qty"], money=demand["served_qty"] * demand["price_amt"]),
        stock.assign(measure="production", value=stock["produced_qty"], money=stock["produced_qty"] * cost),
        stock.assign(measure="inventory", value=stock["closing_qty"], money=stock["value_amt"]),
    ]
    columns = ["family", "period", "measure", "value", "money"]
    rows = [part.assign(family=part["item_id"].map(family).fillna(NO_FAMILY))[columns] for part in parts]
    money = plan["financial_projection"]
    rows += [money.assign(measure=name, value=money[column], money=money[column])[columns] for name, column in _MONEY.items()]
    return pd.concat(rows).groupby(["family", "period", "measure"])[["value", "money"]].sum()


def _tables_of(plan: Plan) -> dict[str, pd.DataFrame]:
    return {name: plan.cycle.read(name, BASE if name == "item" else plan.scenario) for name in READ}


def _new_adjustments(before: Plan, after: Plan) -> pd.DataFrame:
    """What people recorded for the later plan and not for the earlier: family, period, measure, reason, owner."""
    columns = ["family", "period", "measure", "reason", "owner"]
    rows = after.cycle.records("demand_adjustment")
    rows = rows[~rows["record_id"].isin(before.cycle.records("demand_adjustment")["record_id"])]
    if rows.empty:
        return pd.DataFrame({c: pd.Series(dtype="datetime64[ns]" if c == "period" else object) for c in columns})
    family = rows["item_id"].map(after.cycle.read("item").set_index("item_id")["family"])
    rows = rows.assign(family=family.fillna(rows["family"].replace("", None)).fillna(NO_FAMILY), measure="demand")
    rows["reason"] = [f"{row.item_id or row.family} {row.kind} {row.value:,.6g}: {row.why}" for row in rows.itertuples()]
    joined = rows.groupby(["family", "period", "measure"]).agg(
        reason=("reason", "; ".join), owner=("by", lambda names: ", ".join(dict.fromkeys(names))))
    return joined.reset_index()[columns]


def _levers(plan: Plan) -> str:
    """What people changed to make a scenario; empty for base."""
    if plan.scenario == BASE or not plan.cycle.has("scenario_comparison"):
        return ""
    rows = plan.cycle.read("scenario_comparison")
    return next(iter(rows.loc[rows["scenario"] == plan.scenario, "levers"]), "")
