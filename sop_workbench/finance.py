"""The plan in money: projection, gap to budget, income, cash, and bridges whose bars sum exactly."""

from __future__ import annotations

import pandas as pd

from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings


def project_financials(
    supply_plan: pd.DataFrame, resource_plan: pd.DataFrame, shipment_plan: pd.DataFrame, purchase_plan: pd.DataFrame,
    unmet_demand: pd.DataFrame, inventory_projection: pd.DataFrame, inputs: dict[str, pd.DataFrame],
    settings: Settings, calendar: Calendar,
) -> pd.DataFrame:
    """Value every row of the plan, by family, region and period; returns `financial_projection`."""
    raise NotImplementedError


def budget_gap(financial_projection: pd.DataFrame, budget: pd.DataFrame) -> pd.DataFrame:
    """Plan against budget at the level the budget is written at; returns `budget_gap`."""
    raise NotImplementedError


def income_statement(financial_projection: pd.DataFrame, opening_inventory_amt: float) -> pd.DataFrame:
    """Revenue, cost of sales, margin and operating result per period; returns `income_statement`."""
    raise NotImplementedError


def cash_projection(
    financial_projection: pd.DataFrame, inputs: dict[str, pd.DataFrame], settings: Settings, calendar: Calendar
) -> pd.DataFrame:
    """Collections, payments, cash, receivables and payables per period; returns `cash_projection`."""
    raise NotImplementedError


def price_volume_mix(before: pd.DataFrame, after: pd.DataFrame, key: tuple[str, ...] = ("item_id",)) -> pd.DataFrame:
    """Split a change of revenue into price, volume, mix, new and lost items; returns `bridge` rows."""
    raise NotImplementedError


def budget_bridge(gap: pd.DataFrame) -> pd.DataFrame:
    """From budget to plan: what demand and what supply take away, by family; returns `bridge` rows."""
    raise NotImplementedError


def plan_bridge(before: pd.DataFrame, after: pd.DataFrame, measure: str = "revenue_amt", by: str = "family") -> pd.DataFrame:
    """From one projection to another, by family, region or cost; returns `bridge` rows."""
    raise NotImplementedError
