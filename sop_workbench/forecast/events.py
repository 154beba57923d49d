"""Which events touch which series and periods, and by how much they say they will."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench.forecast.panel import KEYS

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
    if event is None or event.empty or keys.empty:
        return effects
    places = event_places(keys, item, market)
    for row in event[event["status"].isin(_PLANNED)].to_dict("records"):
        touched = _touched(places, row)
        inside = (periods >= row["from_period"]) & (periods <= row["to_period"])
        if touched.any():
            _add_effect(effects, touched, inside, np.flatnonzero(periods > row["to_period"])[:PULL_FORWARD_PERIODS], row)
    return effects


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


def _add_effect(effects: np.ndarray, touched: np.ndarray, inside: np.ndarray, after: np.ndarray, row: dict) -> None:
    uplift, pulled = row["uplift_ratio"], row["pull_forward_ratio"]
    if uplift == 0 and pulled == 0:
        effects[..., 1] += np.outer(touched, inside)
        return
    stated = uplift * inside.astype(float)
    if pulled and inside.any():
        stated[np.flatnonzero(inside)[-1]] += pulled * PULL_FORWARD_PERIODS
        stated[after] -= pulled
    effects[..., 0] += np.outer(touched, stated)
