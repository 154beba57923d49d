"""Material requirements: down the bill of material, netted against stock and orders, in lots."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd


def explode(bom: pd.DataFrame, demand: pd.DataFrame) -> pd.DataFrame:
    """Demand of every item, own and dependent: columns item_id, period, independent_qty, dependent_qty, demand_qty."""
    raise NotImplementedError


def find_loops(bom: pd.DataFrame) -> list[str]:
    """Every loop of the bill of material as `A → B → A` (empty list: none)."""
    raise NotImplementedError


def low_level_codes(bom: pd.DataFrame) -> pd.DataFrame:
    """Lowest level at which each item stands: columns item_id, low_level_code (0: nobody's component)."""
    raise NotImplementedError


def net_requirements(gross: pd.DataFrame, stock: pd.DataFrame, receipts: pd.DataFrame, *,
                     lot_rule: Callable[[np.ndarray], np.ndarray], lead_time_buckets: int = 0) -> pd.DataFrame:
    """Net requirement, lots, and when to start them."""
    raise NotImplementedError
