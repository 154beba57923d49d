"""Sales history as a matrix: one row per series, one column per period, with what is unusual about each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sop_workbench.periods import Calendar

KEYS = ["item_id", "market_id"]
_FEWEST_PERIODS = 3
_QUARTER_CORRELATION, _LARGEST_GROWTH = 0.2, 2.0


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
    year : int
        Periods in a year.
    """

    keys: pd.DataFrame
    periods: pd.DatetimeIndex
    demand: np.ndarray
    notes: list[str]
    year: int

    def until(self, count: int) -> Panel:
        """The panel as it stood after its first `count` periods."""
        return Panel(self.keys, self.periods[:count], self.demand[:, :count], self.notes, self.year)


def demand_panel(history: pd.DataFrame, end: pd.Timestamp, calendar: Calendar, column: str = "ordered_qty") -> Panel:
    """Matrix of demand up to and including period `end`.

    No row after the first sale means that nobody ordered (0); a row without a quantity, or with an infinite one, is a gap
    (NaN); negative quantities (returns) count as no demand. The notes say so, and where there is little to forecast from:
    never sold, fewer than three periods, always the same.
    """
    known = history[history["period"] <= end]
    if known.empty:
        none = pd.DatetimeIndex([], dtype="datetime64[ns]")
        return Panel(pd.DataFrame(columns=KEYS, dtype=object), none, np.zeros((0, 0)), [], calendar.buckets_per_year)
    periods = pd.date_range(known["period"].min(), end, freq=calendar.frequency)
    keys = known[KEYS].drop_duplicates().sort_values(KEYS).reset_index(drop=True)
    row = pd.MultiIndex.from_frame(keys).get_indexer(pd.MultiIndex.from_frame(known[KEYS]))
    column_of = periods.get_indexer(pd.DatetimeIndex(known["period"]))
    # Between the first sale and the end no row means no order: that is what the table says.
    demand = np.zeros((len(keys), len(periods)))
    np.add.at(demand, (row, column_of), known[column].to_numpy(dtype=float))
    read = [(demand < 0).sum(axis=1), np.isnan(demand).sum(axis=1), np.isinf(demand).sum(axis=1)]
    demand = np.where(np.isinf(demand), np.nan, np.maximum(demand, 0))
    demand[~_after_first_sale(demand)] = np.nan
    notes = [_note(*counts) for counts in zip(*read, demand, strict=True)]
    return Panel(keys, periods, demand, notes, calendar.buckets_per_year)


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


def _note(negative: int, missing: int, infinite: int, series: np.ndarray) -> str:
    """What was read differently, and what makes a forecast of the series little more than a guess."""
    parts = [f"{negative} negative read as none"] * bool(negative)
    parts += [f"{missing} missing bridged"] * bool(missing) + [f"{infinite} infinite bridged"] * bool(infinite)
    known = series[~np.isnan(series)]
    if not len(known):
        parts.append("never sold")
    elif len(known) < _FEWEST_PERIODS:
        parts.append(f"only {len(known)} period{'s' * (len(known) > 1)} of history: its level is carried forward")
    elif np.ptp(known) == 0:
        parts.append("always the same quantity")
    return "; ".join(parts)


def like_for_like(demand: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Demand of each group as if its range had never changed: growth from period to period of what was on sale in both.

    index(t) = index(t−1) · Σ y(t) / Σ y(t−1) over series between their first and last sale in both periods, scaled to the
    last total. A range refresh every June would otherwise pass for a season.

    Parameters
    ----------
    demand : ndarray, series × periods
    group : ndarray of int, series

    Returns
    -------
    ndarray, groups × periods
        NaN before a group began.
    """
    total = pooled(demand, group)
    known = np.nan_to_num(demand)
    sold = known > 0
    later = np.maximum.accumulate(sold[:, ::-1], axis=1)[:, ::-1]
    on_sale = np.maximum.accumulate(sold, axis=1) & later
    both = on_sale[:, 1:] & on_sale[:, :-1]
    now, before = np.zeros((len(total), both.shape[1])), np.zeros((len(total), both.shape[1]))
    np.add.at(now, group, np.where(both, known[:, 1:], 0.0))
    np.add.at(before, group, np.where(both, known[:, :-1], 0.0))
    growth = np.where((before > 0) & (now > 0), now / np.where(before > 0, before, 1), 1.0)
    # Built backwards from the newest period, so that today's range sets the level.
    index = np.hstack([np.cumprod(growth[:, ::-1], axis=1)[:, ::-1] ** -1, np.ones((len(total), 1))])
    return np.where(np.isnan(total), np.nan, index * np.nan_to_num(total[:, -1:]).clip(min=1.0))


def repeats_quarterly(demand: np.ndarray, group: np.ndarray, quarter: int) -> np.ndarray:
    """Whether the series of each group repeat themselves after a quarter, groups.

    Customers who order once a quarter give every item and market a cycle of its own; one series of half a year cannot show it,
    a group of them can: the correlation of log growth with that of a quarter before, over all series of the group, is above .2.

    Parameters
    ----------
    demand : ndarray, series × periods
    group : ndarray of int, series
    quarter : int
        Periods in a quarter; below 2 there is nothing inside it to repeat.
    """
    count = int(group.max(initial=0)) + 1
    if quarter < 2:
        return np.zeros(count, dtype=bool)
    growth = np.clip(np.diff(np.log1p(demand), axis=1), -_LARGEST_GROWTH, _LARGEST_GROWTH)
    now, before = growth[:, quarter:], growth[:, :-quarter]
    known = ~np.isnan(now) & ~np.isnan(before)
    now, before = np.where(known, now, 0.0), np.where(known, before, 0.0)
    together, one, other = (
        np.bincount(group, (a * b).sum(axis=1), minlength=count) for a, b in ((now, before), (now, now), (before, before))
    )
    return together > _QUARTER_CORRELATION * np.sqrt(one * other)
