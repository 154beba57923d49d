"""Rough-cut capacity: hours a demand plan needs, before anything is optimised."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from sop_workbench.periods import Calendar


def rough_cut_load(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], calendar: Calendar) -> pd.DataFrame:
    """Load of every resource (bill of capacity); `demand` is the result of `materials.explode`, or finished demand alone.

    Returns
    -------
    DataFrame
        The `capacity_load` table.
    """
    raise NotImplementedError
