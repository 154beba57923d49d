"""Sales history as a matrix: one row per series, one column per period, with what is unusual about each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sop_workbench.periods import Calendar

KEYS = ["item_id", "market_id"]


@dataclass(frozen=True)
class Panel:
    """Demand of every series over the same periods.

    Attributes
    ----------
    keys : DataFrame
        One row per series: item_id, market_id, sorted.
    periods : DatetimeIndex
        Every period from the first to the last of history.
    demand : ndarray, series × periods
        NaN before a series' first sale and where the quantity is missing; 0 where nobody ordered.
    notes : list of str
        Per series, what had to be read differently ("" where nothing was).
    """

    keys: pd.DataFrame
    periods: pd.DatetimeIndex
    demand: np.ndarray
    notes: list[str]

    def until(self, count: int) -> Panel:
        """The panel as it stood after its first `count` periods."""
        return Panel(self.keys, self.periods[:count], self.demand[:, :count], self.notes)


def demand_panel(history: pd.DataFrame, end: pd.Timestamp, calendar: Calendar, column: str = "ordered_qty") -> Panel:
    """Matrix of demand up to and including period `end`.

    No row after the first sale means that nobody ordered (0); a row without a quantity is a gap (NaN);
    negative quantities (returns) count as no demand and are noted.
    """
    known = history[history["period"] <= end]
    if known.empty:
        return Panel(pd.DataFrame(columns=KEYS, dtype=object), pd.DatetimeIndex([], dtype="datetime64[ns]"), np.zeros((0, 0)), [])
    periods = pd.date_range(known["period"].min(), end, freq=calendar.frequency)
    keys = known[KEYS].drop_duplicates().sort_values(KEYS).reset_index(drop=True)
    row = pd.MultiIndex.from_frame(keys).get_indexer(pd.MultiIndex.from_frame(known[KEYS]))
    column_of = periods.get_indexer(pd.DatetimeIndex(known["period"]))
    # Between the first sale and the end no row means no order: that is what the table says.
    demand = np.zeros((len(keys), len(periods)))
    np.add.at(demand, (row, column_of), known[column].to_numpy(dtype=float))
    negative = (demand < 0).sum(axis=1)
    missing = np.isnan(demand).sum(axis=1)
    demand = np.maximum(demand, 0)
    demand[~_after_first_sale(demand)] = np.nan
    return Panel(keys, periods, demand, [_note(*counts) for counts in zip(negative, missing, strict=True)])


def pooled(demand: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Demand added up over the series of each group (group numbers 0 … g−1); NaN before anybody sold."""
    count = int(group.max()) + 1 if len(group) else 0
    total = np.zeros((count, demand.shape[1]))
    np.add.at(total, group, np.nan_to_num(demand))
    seen = np.zeros((count, demand.shape[1]), dtype=bool)
    np.logical_or.at(seen, group, ~np.isnan(demand))
    return np.where(seen, total, np.nan)


def _after_first_sale(demand: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(np.nan_to_num(demand) != 0, axis=1)


def _note(negative: int, missing: int) -> str:
    parts = [f"{negative} negative read as none"] * bool(negative) + [f"{missing} missing bridged"] * bool(missing)
    return "; ".join(parts)
