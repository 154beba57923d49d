"""Defects planted on purpose: each warns or informs, none stops the cycle. `planted.yaml` lists them for the tests.

Defects that belong to the course of events (typing errors in orders, lost rows, unflagged stock-outs, late orders, a sale
after phase-out) are in `history.py` and `planning.py`, so that stock still balances around them.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

Defect = Callable[[pd.DataFrame], pd.DataFrame]


def plant(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with the planted defects."""
    planted = dict(tables)
    for name, defect in DEFECTS:
        planted[name] = defect(planted[name].reset_index(drop=True).copy())
    return planted


def price_missing(price: pd.DataFrame) -> pd.DataFrame:
    """The Harz 67 sold in East retail until 2024 and has no price there any more."""
    return price[~((price["item_id"] == "CG-104") & (price["market_id"] == "E-RET"))]


def price_below_cost(price: pd.DataFrame) -> pd.DataFrame:
    """The waffle iron goes to South retail below its standard cost since the list of 2026."""
    rows = (price["item_id"] == "CW-111") & (price["market_id"] == "S-RET") & (price["valid_from"] >= "2026-01-01")
    price.loc[rows, "price_amt"] = 4.9
    return price


def standard_cost_zero(item: pd.DataFrame) -> pd.DataFrame:
    """Nobody has costed the vent disc."""
    item.loc[item["item_id"] == "M-214", "standard_cost_amt"] = 0.0
    return item


def negative_stock(stock_on_hand: pd.DataFrame) -> pd.DataFrame:
    """More knobs were booked out of Brno than were there when the newest cycle starts."""
    rows = (stock_on_hand["item_id"] == "M-208") & (stock_on_hand["location_id"] == "P2") & (stock_on_hand["as_of_date"] == "2026-09-30")
    stock_on_hand.loc[rows, "on_hand_qty"] = -35.0
    return stock_on_hand


def hours_ten_times_too_high(routing: pd.DataFrame) -> pd.DataFrame:
    """A decimal point slipped in the packing hours of the waffle iron."""
    rows = (routing["item_id"] == "CW-111") & (routing["resource_id"] == "FIN3")
    routing.loc[rows, "hours_per_unit"] *= 10
    return routing


def expired_bill_row(bill_of_material: pd.DataFrame) -> pd.DataFrame:
    """The Trail 1 had a screw kit until the end of 2024."""
    row = {"parent_item_id": "ST-101", "component_item_id": "M-219", "quantity_per": 1.0, "scrap_ratio": 0.01, "valid_from": "2020-01-01",
           "valid_to": "2024-12-31"}
    return pd.DataFrame([*bill_of_material.to_dict("records"), row], columns=bill_of_material.columns)


def supplier_lead_time_zero(supplier_item: pd.DataFrame) -> pd.DataFrame:
    """The printer of manuals has no lead time on file."""
    supplier_item.loc[supplier_item["item_id"] == "M-306", "lead_time_days"] = 0
    return supplier_item


def purchase_unit_without_factor(supplier_item: pd.DataFrame) -> pd.DataFrame:
    """Rivets come in boxes, and nobody says how many are in a box."""
    supplier_item.loc[supplier_item["item_id"] == "M-233", "purchase_unit"] = "BOX"
    return supplier_item


def order_entered_twice(open_supply: pd.DataFrame) -> pd.DataFrame:
    """One open order for compressors stands in the books twice, under two numbers."""
    twice = open_supply[(open_supply["item_id"] == "C-327") & open_supply["closed_date"].isna()].head(1)
    rows = [*open_supply.to_dict("records"), *twice.assign(order_id="PO-49999").to_dict("records")]
    return pd.DataFrame(rows, columns=open_supply.columns)


def on_time_above_shipped(sales_history: pd.DataFrame) -> pd.DataFrame:
    """More pans arrived on time than were shipped."""
    row = (sales_history["item_id"] == "CW-104") & (sales_history["market_id"] == "N-ONL") & (sales_history["period"] == "2026-02-01")
    sales_history.loc[row, "on_time_qty"] = sales_history.loc[row, "shipped_qty"] + 15
    return sales_history


def routing_without_hours(routing: pd.DataFrame) -> pd.DataFrame:
    """The cart of the Deister is welded, but nobody has timed it."""
    row = {"item_id": "CG-105", "location_id": "P1", "resource_id": "WELD1", "hours_per_unit": 0.0, "hours_per_lot": 0.0}
    return pd.DataFrame([*routing.to_dict("records"), row], columns=routing.columns)


def bill_row_valid_twice(bill_of_material: pd.DataFrame) -> pd.DataFrame:
    """The label of the junior cooler was entered again without ending the old row."""
    old = bill_of_material[(bill_of_material["parent_item_id"] == "CO-109") & (bill_of_material["component_item_id"] == "M-307")]
    rows = [*bill_of_material.to_dict("records"), *old.assign(valid_from="2025-01-01").to_dict("records")]
    return pd.DataFrame(rows, columns=bill_of_material.columns)


DEFECTS: tuple[tuple[str, Defect], ...] = (
    ("price", price_missing),
    ("price", price_below_cost),
    ("item", standard_cost_zero),
    ("stock_on_hand", negative_stock),
    ("routing", hours_ten_times_too_high),
    ("bill_of_material", expired_bill_row),
    ("supplier_item", supplier_lead_time_zero),
    ("supplier_item", purchase_unit_without_factor),
    ("open_supply", order_entered_twice),
    ("sales_history", on_time_above_shipped),
    ("routing", routing_without_hours),
    ("bill_of_material", bill_row_valid_twice),
)
