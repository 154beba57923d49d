"""Which views the pack shows, and in which order: the same for workbook and slides, each with the tables it comes from.

The opening pages are those of the executive meeting: the decision, the scorecard, the plan by family, budget to plan, money over time,
limits with their worth, scenarios, risks and opportunities, the decisions. Then comes one page per family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from sop_workbench import views

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

TABLES = (
    "item", "market", "resource", "location", "kpi", "financial_projection", "budget_gap", "cash_projection", "consensus_demand",
    "unmet_demand", "supply_plan", "resource_plan", "binding_limit", "purchase_plan", "inventory_projection", "scenario_comparison",
    "risk_opportunity", "issue", "open_decision", "decision",
)


def held_tables(cycle: Cycle) -> dict[str, pd.DataFrame]:
    """The tables of the pack as the cycle holds them; one that it does not hold (yet) is empty."""
    return {name: cycle.read_or_empty(name) for name in TABLES}


def opening_views(held: Mapping[str, pd.DataFrame], plan_from: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """The views of the opening pages by name, in their order.

    Parameters
    ----------
    held : mapping
        The tables named in `TABLES`.
    plan_from : Timestamp
        First planned period.

    Returns
    -------
    dict of DataFrame
        Each with title, note and `source` (the tables it comes from) in its `attrs`.
    """
    return {
        "decision": _seen(held, views.decision_line, "open_decision"),
        "kpis": _seen(held, views.kpi_cards, "kpi", plan_from=plan_from),
        "families": _seen(held, views.family_numbers, "financial_projection", "budget_gap"),
        "bridge": _seen(held, views.budget_bridge, "budget_gap"),
        "money": _seen(held, views.profit_by_period, "financial_projection"),
        "cash": _seen(held, views.cash, "cash_projection"),
        "stock": _seen(held, views.inventory_money, "financial_projection"),
        "limits": _seen(held, views.bottlenecks, "binding_limit", "resource", "item"),
        "scenarios": _seen(held, views.scenario_table, "scenario_comparison"),
        "risks": _seen(held, views.risks_opportunities, "risk_opportunity"),
        "decisions": _seen(held, views.decisions, "open_decision"),
    }


def scorecard(held: Mapping[str, pd.DataFrame], plan_from: pd.Timestamp, level: str = "total") -> pd.DataFrame:
    """Every KPI of a level with its value as a number (see :func:`sop_workbench.views.kpi_list`)."""
    return _seen(held, views.kpi_list, "kpi", plan_from=plan_from, level=level)


def families(held: Mapping[str, pd.DataFrame]) -> list[str]:
    """Families that the market asks for, most revenue first."""
    rows = held["financial_projection"].groupby("family")[["demand_amt", "revenue_amt"]].sum()
    rows = rows[rows["demand_amt"] > 0].sort_values("revenue_amt", ascending=False, kind="stable")
    return rows.index.tolist()


def family_outlook(held: Mapping[str, pd.DataFrame], family: str) -> pd.DataFrame:
    """Budget, demand, plan, margin and stock of a family by period (see :func:`sop_workbench.views.family_outlook`)."""
    return _seen(held, views.family_outlook, "financial_projection", "budget_gap", family=family)


def _seen(held: Mapping[str, pd.DataFrame], view: Callable[..., pd.DataFrame], *names: str, **options: Any) -> pd.DataFrame:
    """A view of some tables that remembers which tables these are."""
    seen = view(*(held[name] for name in names), **options)
    seen.attrs = {**seen.attrs, "source": names}
    return seen
