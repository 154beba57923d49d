"""One function per KPI: aggregate first, divide last; a KPI whose denominator is zero is NaN, never 0."""

from __future__ import annotations

import pandas as pd

from sop_workbench.settings import Settings


def kpi_table(measures: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Give measured KPIs their unit, target, traffic light, formula and reason; returns `kpi`.

    `measures` has the columns kpi, level, member, period, value.
    """
    raise NotImplementedError


def plan_measures(
    unmet_demand: pd.DataFrame, resource_plan: pd.DataFrame, capacity: pd.DataFrame, financial_projection: pd.DataFrame, settings: Settings
) -> pd.DataFrame:
    """KPIs of the plan as measures for `kpi_table`: fill, utilisation, turns, days of inventory, cash-to-cash, margin, GMROI."""
    raise NotImplementedError
