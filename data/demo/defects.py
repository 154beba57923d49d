"""Defects planted on purpose: each warns or informs, none stops the cycle. `planted.yaml` lists them for the tests."""

from __future__ import annotations

import pandas as pd


def plant(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with the planted defects."""
    planted = dict(tables)
    for name, defect in _DEFECTS:
        planted[name] = defect(planted[name].reset_index(drop=True).copy())
    return planted


def _price_missing(price: pd.DataFrame) -> pd.DataFrame:
    """No list of the jubilee grill since 2023: it sold in the North long ago."""
    gone = (price["item_id"] == "CG-104") & (price["market_id"] == "E-RET")
    return price[~gone]


_DEFECTS: tuple = ()
