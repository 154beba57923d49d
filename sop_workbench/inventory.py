"""Inventory theory and targets: how much stock, where, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from sop_workbench.periods import Calendar
    from sop_workbench.settings import Settings


def inventory_targets(demand: pd.DataFrame, requirement: pd.DataFrame, forecast_error: pd.DataFrame, item_class: pd.DataFrame,
                      inputs: dict[str, pd.DataFrame], settings: Settings, calendar: Calendar) -> pd.DataFrame:
    """The `inventory_target` table.

    `demand` is `consensus_demand`, `requirement` the result of `materials.explode(bom, demand)`.
    """
    raise NotImplementedError


def projected_cover(opening: pd.DataFrame, demand: pd.DataFrame, supply: pd.DataFrame) -> pd.DataFrame:
    """Projected stock and cover: columns item_id, period, demand_qty, supply_qty, stock_qty, cover_periods."""
    raise NotImplementedError
