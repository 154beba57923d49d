"""Ways goods can go: lanes of an item, and the places they lead to."""

from __future__ import annotations

import pandas as pd

_PLACE = ["item_id", "location_id"]


def lanes_for(lane: pd.DataFrame, wanted: pd.DataFrame) -> pd.DataFrame:
    """Every lane over which a wanted item can reach a wanted destination.

    Parameters
    ----------
    lane : DataFrame
        The `lane` table; an empty item_id means every item, and a lane of the item's own goes before it.
    wanted : DataFrame
        item_id, to_id; one row each.

    Returns
    -------
    DataFrame
        `lane` by item, with `lane_item_id` (the item_id of the lane's row).
    """
    own = lane.merge(wanted, on=["item_id", "to_id"], validate="m:1")
    shared = lane.loc[lane["item_id"] == ""].drop(columns="item_id").merge(wanted, on="to_id", validate="m:m")
    parts = [part for part in (own.assign(lane_item_id=own["item_id"]), shared.assign(lane_item_id="")) if len(part)]
    arcs = pd.concat(parts, ignore_index=True) if parts else own.assign(lane_item_id=own["item_id"])
    return arcs.drop_duplicates(["item_id", "from_location_id", "to_id"], keep="first")


def reachable_places(sources: pd.DataFrame, lane: pd.DataFrame) -> pd.DataFrame:
    """Every pair of item and place (location or market) to which something can come from the sources.

    Parameters
    ----------
    sources : DataFrame
        item_id, location_id.
    lane : DataFrame
        The `lane` table.

    Returns
    -------
    DataFrame
        item_id, location_id, the sources included, sorted.
    """
    reached = sources[_PLACE].drop_duplicates()
    shared = lane.loc[lane["item_id"] == "", ["from_location_id", "to_id"]]
    own = lane.loc[lane["item_id"] != "", ["item_id", "from_location_id", "to_id"]]
    while True:
        at = reached.rename(columns={"location_id": "from_location_id"})
        sent = pd.concat(
            [own.merge(at, on=["item_id", "from_location_id"], validate="m:1"), shared.merge(at, on="from_location_id", validate="m:m")]
        )
        grown = pd.concat([reached, sent[["item_id", "to_id"]].rename(columns={"to_id": "location_id"})]).drop_duplicates()
        if len(grown) == len(reached):
            return reached.sort_values(_PLACE).reset_index(drop=True)
        reached = grown
