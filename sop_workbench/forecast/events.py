"""Which events touch which series and periods, and by how much they say they will."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from sop_workbench.forecast.panel import KEYS
from sop_workbench.periods import Calendar

PULL_FORWARD_PERIODS = 2
# Prior of the two event columns: a stated effect is believed (coefficient 1) and corrected by data;
# an event that states no effect starts from none.
EFFECT_MEAN = np.array([1.0, 0.0])
EFFECT_SD = np.array([0.3, 0.5])
_PLANNED = ("planned", "approved", "done")


def event_effects(
    keys: pd.DataFrame,
    periods: pd.DatetimeIndex,
    event: pd.DataFrame | None,
    item: pd.DataFrame | None = None,
    market: pd.DataFrame | None = None,
) -> np.ndarray:
    """Stated effect of events on every series and period, as a share of base demand.

    An event lifts its periods by `uplift_ratio`, and moves `pull_forward_ratio` of the demand of the two
    periods after it into its last period. Ideas and cancelled events count for nothing.

    Parameters
    ----------
    keys : DataFrame
        item_id, market_id of each series.
    periods : DatetimeIndex
        History and horizon together, without a gap.
    event, item, market : DataFrame, optional
        Tables; item gives the family, market the region of an event stated for one.

    Returns
    -------
    ndarray, series × periods × 2
        Stated effect; and 1 where an event states no effect of its own.
    """
    effects = np.zeros((len(keys), len(periods), 2))
    for _, touched, stated in _planned_events(keys, periods, event, item, market):
        effects[touched] += stated
    return effects


def announced(
    keys: pd.DataFrame,
    periods: pd.DatetimeIndex,
    event: pd.DataFrame | None,
    item: pd.DataFrame | None,
    market: pd.DataFrame | None,
    calendar: Calendar,
) -> np.ndarray:
    """From when on a planner could know of the stated effect on every series and period.

    Parameters
    ----------
    keys, periods, event, item, market
        As for `event_effects`.
    calendar : Calendar
        Tells until which day facts are known to who plans from a period on.

    Returns
    -------
    ndarray of int, series × periods
        How many periods are over when the last event that touches the cell is first planned with; 0 where no event states an
        effect, or none has a `known_date`.

    Examples
    --------
    A promotion in April, decided in mid-January: who plans from February on knows it.

    >>> event = pd.DataFrame([{"item_id": "A", "family": "", "market_id": "", "region": "", "from_period": pd.Timestamp("2026-04-01"),
    ...     "to_period": pd.Timestamp("2026-04-01"), "uplift_ratio": 0.3, "pull_forward_ratio": 0.0, "status": "done",
    ...     "known_date": pd.Timestamp("2026-01-15")}])
    >>> keys = pd.DataFrame({"item_id": ["A"], "market_id": ["M"]})
    >>> announced(keys, pd.date_range("2026-01-01", periods=5, freq="MS"), event, None, None, Calendar("month")).tolist()
    [[0, 0, 0, 1, 0]]
    """
    first = np.zeros((len(keys), len(periods)), dtype=int)
    as_of = pd.DatetimeIndex([calendar.as_of(calendar.cycle_id(period)) for period in periods])
    for row, touched, stated in _planned_events(keys, periods, event, item, market):
        if pd.notna(row.get("known_date")):
            cells = np.outer(touched, stated[:, 0] != 0)
            first[cells] = np.maximum(first[cells], as_of.searchsorted(row["known_date"]))
    return first


def event_places(keys: pd.DataFrame, item: pd.DataFrame | None, market: pd.DataFrame | None) -> pd.DataFrame:
    """item_id, market_id, family and region of each series, in its order; empty text where a table does not tell."""
    family = {} if item is None else item.set_index("item_id")["family"].to_dict()
    region = {} if market is None else market.set_index("market_id")["region"].to_dict()
    return keys[KEYS].assign(family=keys["item_id"].map(family), region=keys["market_id"].map(region))


def _touched(places: pd.DataFrame, row: dict) -> np.ndarray:
    """Series an event touches: the item, else the family, else all; the market, else the region, else all."""
    product = next((column for column in ("item_id", "family") if _given(row[column])), None)
    place = next((column for column in ("market_id", "region") if _given(row[column])), None)
    touched = np.ones(len(places), dtype=bool)
    for column in (product, place):
        if column is not None:
            touched &= (places[column] == row[column]).to_numpy()
    return touched


def _given(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _planned_events(
    keys: pd.DataFrame, periods: pd.DatetimeIndex, event: pd.DataFrame | None, item: pd.DataFrame | None, market: pd.DataFrame | None
) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """Every event that counts and touches a series: its row, the series it touches, and what it does, periods × event columns."""
    if event is None or event.empty or keys.empty:
        return
    places = event_places(keys, item, market)
    for row in event[event["status"].isin(_PLANNED)].to_dict("records"):
        touched = _touched(places, row)
        if touched.any():
            yield row, touched, _effect(periods, row)


def _effect(periods: pd.DatetimeIndex, row: dict) -> np.ndarray:
    """Stated effect of one event on each period; and 1 in its periods where it states none."""
    inside = np.asarray((periods >= row["from_period"]) & (periods <= row["to_period"]), dtype=float)
    uplift, pulled = row["uplift_ratio"], row["pull_forward_ratio"]
    if uplift == 0 and pulled == 0:
        return np.column_stack([np.zeros(len(periods)), inside])
    stated = uplift * inside
    if pulled and inside.any():
        stated[np.flatnonzero(inside)[-1]] += pulled * PULL_FORWARD_PERIODS
        stated[np.flatnonzero(periods > row["to_period"])[:PULL_FORWARD_PERIODS]] -= pulled
    return np.column_stack([stated, np.zeros(len(periods))])
