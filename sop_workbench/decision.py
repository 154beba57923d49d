"""What this cycle has to decide: gaps, bottlenecks and shortages as questions with options and money."""

from __future__ import annotations

import pandas as pd

from sop_workbench.settings import Settings


def open_decisions(
    budget_gap: pd.DataFrame, binding_limit: pd.DataFrame, unmet_demand: pd.DataFrame, excess_stock: pd.DataFrame,
    scenario_comparison: pd.DataFrame, alerts: pd.DataFrame, settings: Settings,
) -> pd.DataFrame:
    """Decisions of the cycle, by money at stake; returns `open_decision`."""
    raise NotImplementedError
