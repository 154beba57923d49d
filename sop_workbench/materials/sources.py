"""Where every item comes from at every place: made there, bought there, or brought from another place; and what that takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import DataError
from sop_workbench.lanes import lanes_for, reachable_places
from sop_workbench.periods import Calendar
from sop_workbench.structure import levels, loops_between

PLACE = ["item_id", "location_id"]
MAKE, BUY, TRANSFER, NONE = "make", "buy", "transfer", "none"
_SHOWN = 5


class Network(NamedTuple):
    """Items at places and what feeds them.

    Attributes
    ----------
    nodes : DataFrame
        item_id, location_id, source (make, buy, transfer, none), from_location_id, lead, yield_ratio, order_cost_amt, minimum_qty,
        multiple_qty, lot_rule, level; its index numbers the nodes.
    lines : DataFrame
        The bill of material between nodes (parent_item_id and component_item_id are node numbers); a transfer is a line of one for one.
    """

    nodes: pd.DataFrame
    lines: pd.DataFrame


def refuse_impossible(inputs: dict[str, pd.DataFrame]) -> None:
    """Refuse what no requirement can be computed from, everything at once.

    Raises
    ------
    DataError
        Negative lead times, lots or quantities; a yield of nothing; scrap of everything.
    """
    rules = [
        *(
            (name, "lead_time_days", lambda v: v < 0, "negative_lead_time", "enter 0 days or more")
            for name in ("production", "supplier_item", "lane")
        ),
        ("production", "yield_ratio", lambda v: v <= 0, "yield_of_nothing", "enter the good share of what is made, above 0"),
        ("production", "min_lot_qty", lambda v: v < 0, "negative_lot", "enter 0 or more"),
        ("supplier_item", "min_order_qty", lambda v: v < 0, "negative_lot", "enter 0 or more"),
        ("supplier_item", "max_qty", lambda v: v < 0, "negative_supplier_limit", "enter 0 or more, or leave it empty for no limit"),
        ("bill_of_material", "quantity_per", lambda v: v < 0, "negative_quantity_per", "enter 0 or more"),
        ("bill_of_material", "scrap_ratio", lambda v: (v < 0) | (v >= 1), "scrap_of_everything", "enter a share below 1"),
    ]
    found = []
    for name, column, is_wrong, rule, remedy in rules:
        rows = inputs[name]
        rows = rows[is_wrong(rows[column])] if column in rows else rows.iloc[:0]
        if len(rows):
            values = ", ".join(f"{value:g}" for value in rows[column].head(_SHOWN))
            found.append(tables.finding(rule, "blocks", name, tables.key_text(rows, tables.table(name).key), len(rows), values, remedy))
    if found:
        raise DataError(tables.issue_frame(found))


def source_network(wanted: pd.DataFrame, inputs: dict[str, pd.DataFrame], calendar: Calendar) -> Network:
    """Everything the wanted items at their places are fed by, down to what is bought.

    An item is bought where `item.make_or_buy` says so and a supplier delivers there; else made where the plant makes it; else
    bought; else brought over the cheapest lane, from a place that makes or buys it before one that does not.

    Parameters
    ----------
    wanted : DataFrame
        item_id, location_id.
    inputs : dict of DataFrame
        `item`, `production`, `supplier_item`, `lane`, `bill_of_material`.
    calendar : Calendar
        Turns lead times into buckets.

    Raises
    ------
    DataError
        When an item at a place feeds itself; the way is named.
    """
    known = wanted[PLACE].drop_duplicates()
    reachable = reachable_places(pd.concat([inputs["production"][PLACE], inputs["supplier_item"][PLACE]]), inputs["lane"])
    while True:
        nodes = _sources(known, reachable, inputs)
        fed = _feeding(nodes, inputs["bill_of_material"])
        taken = fed[["component_id", "component_place"]].set_axis(PLACE, axis=1)
        grown = pd.concat([known, taken]).drop_duplicates()
        if len(grown) == len(known):
            break
        known = grown
    nodes = _with_rules(nodes, inputs, calendar).sort_values(PLACE).reset_index(drop=True)
    number = pd.MultiIndex.from_frame(nodes[PLACE])
    lines = fed.assign(
        parent_item_id=number.get_indexer(pd.MultiIndex.from_frame(fed[PLACE])),
        component_item_id=number.get_indexer(pd.MultiIndex.from_frame(fed[["component_id", "component_place"]])),
    )
    _refuse_circles(nodes, lines)
    nodes["level"] = levels(len(nodes), lines["parent_item_id"].to_numpy(), lines["component_item_id"].to_numpy())
    return Network(nodes, lines[["parent_item_id", "component_item_id", "quantity_per", "scrap_ratio", "valid_from", "valid_to"]])


def _sources(places: pd.DataFrame, reachable: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The one source of every place."""
    made = _marked(places, inputs["production"])
    bought = _marked(places, inputs["supplier_item"])
    kind = places["item_id"].map(inputs["item"].set_index("item_id")["make_or_buy"]) if len(inputs["item"]) else None
    prefers_buying = (kind == BUY).to_numpy() if kind is not None else np.zeros(len(places), dtype=bool)
    way = _cheapest_way(places, reachable, inputs)
    nodes = places.merge(way, on=PLACE, how="left", validate="1:1")
    source = np.select([bought & (prefers_buying | ~made), made, nodes["from_location_id"].notna()], [BUY, MAKE, TRANSFER], NONE)
    return nodes.assign(source=source)


def _marked(places: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    return pd.MultiIndex.from_frame(places[PLACE]).isin(pd.MultiIndex.from_frame(table[PLACE]))


def _cheapest_way(places: pd.DataFrame, reachable: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Where a place that has no source of its own is fed from."""
    ways = lanes_for(inputs["lane"], places.rename(columns={"location_id": "to_id"}))
    ways = ways.merge(reachable.rename(columns={"location_id": "from_location_id"}), on=["item_id", "from_location_id"], validate="m:1")
    ways = ways.rename(columns={"to_id": "location_id", "lead_time_days": "way_days"})
    start = ways[["item_id", "from_location_id"]].rename(columns={"from_location_id": "location_id"})
    own = pd.concat([inputs["production"][PLACE], inputs["supplier_item"][PLACE]])
    ways = ways.assign(is_passed_on=~_marked(start, own))
    ways = ways.sort_values([*PLACE, "is_passed_on", "freight_cost_amt", "from_location_id"]).drop_duplicates(PLACE)
    return ways[[*PLACE, "from_location_id", "way_days"]]


def _feeding(nodes: pd.DataFrame, bom: pd.DataFrame) -> pd.DataFrame:
    """Which item at which place every node takes from: its components, or itself at another place."""
    dated = bom if "valid_from" in bom else bom.assign(valid_from=pd.Timestamp("1900-01-01"), valid_to=pd.NaT)
    made = nodes.loc[nodes["source"] == MAKE, PLACE].merge(dated, left_on="item_id", right_on="parent_item_id", validate="m:m")
    made = made.assign(component_id=made["component_item_id"], component_place=made["location_id"])
    brought = nodes[nodes["source"] == TRANSFER]
    brought = brought.assign(
        component_id=brought["item_id"],
        component_place=brought["from_location_id"],
        quantity_per=1.0,
        scrap_ratio=0.0,
        valid_from=pd.Timestamp("1900-01-01"),
        valid_to=pd.Series(pd.NaT, index=brought.index, dtype="datetime64[ns]"),
    )
    columns = [*PLACE, "component_id", "component_place", "quantity_per", "scrap_ratio", "valid_from", "valid_to"]
    parts = [part[columns] for part in (made, brought) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else made[columns]


def _with_rules(nodes: pd.DataFrame, inputs: dict[str, pd.DataFrame], calendar: Calendar) -> pd.DataFrame:
    """Lead time, yield and lots of every node; a bought one's are its cheapest supplier's (each order keeps its own)."""
    made = inputs["production"][[*PLACE, "lead_time_days", "yield_ratio", "setup_cost_amt", "min_lot_qty", "lot_multiple_qty"]].rename(
        columns={"setup_cost_amt": "order_cost_amt", "min_lot_qty": "minimum_qty", "lot_multiple_qty": "multiple_qty"}
    )
    bought = inputs["supplier_item"].sort_values([*PLACE, "unit_cost_amt", "supplier_id"]).drop_duplicates(PLACE)
    bought = bought[[*PLACE, "lead_time_days"]].assign(order_cost_amt=_column(bought, "order_cost_amt", 0.0))
    parts = [
        nodes[nodes["source"] == MAKE].merge(made, on=PLACE, validate="1:1"),
        nodes[nodes["source"] == BUY].merge(bought, on=PLACE, validate="1:1"),
        nodes[nodes["source"] == TRANSFER].assign(lead_time_days=lambda rows: rows["way_days"]),
        nodes[nodes["source"] == NONE],
    ]
    columns = {"lead_time_days": 0.0, "yield_ratio": 1.0, "order_cost_amt": 0.0, "minimum_qty": 0.0, "multiple_qty": 0.0}
    filled = [part.reindex(columns=[*PLACE, "source", "from_location_id", *columns]) for part in parts if len(part)]
    # What a source does not state (a yield of what is bought, a lot of what is brought) does not apply to it.
    found = pd.concat(filled, ignore_index=True).fillna(columns)
    rule = _column(inputs["item"], "lot_rule", None)
    found["lot_rule"] = found["item_id"].map(pd.Series(rule.to_numpy(), index=inputs["item"]["item_id"])).fillna("lot_for_lot")
    return found.assign(lead=calendar.lead_time_buckets(found["lead_time_days"]).to_numpy())


def _column(frame: pd.DataFrame, name: str, default: float | None) -> pd.Series:
    """A column that older tables may lack."""
    return frame[name] if name in frame else pd.Series(default, index=frame.index, dtype=object if default is None else float)


def _refuse_circles(nodes: pd.DataFrame, lines: pd.DataFrame) -> None:
    names = (nodes["item_id"] + " at " + nodes["location_id"]).to_numpy(dtype=object)
    loops = loops_between(names, lines["parent_item_id"].to_numpy(), lines["component_item_id"].to_numpy())
    if loops:
        raise DataError(
            tables.issue_frame(
                [
                    tables.finding(
                        "supply_loop",
                        "blocks",
                        "bill_of_material, lane",
                        loop,
                        1,
                        "",
                        "remove one of these lines or lanes; nothing can feed itself",
                    )
                    for loop in loops
                ]
            )
        )
