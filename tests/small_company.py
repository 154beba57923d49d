"""A small invented company with every kind of cost: two plants' worth of rules in a dozen rows, for tests."""

from __future__ import annotations

from functools import cache

import pandas as pd

from sop_workbench import tables
from sop_workbench.settings import Settings

PERIODS = pd.date_range("2027-01-01", periods=4, freq="MS")
SETTINGS = Settings(company="Small", finance={"receivable_days": 45, "payable_days": 30, "opening_cash_amt": 1000.0})


def rows(name: str, *records: dict) -> pd.DataFrame:
    """Rows of a declared table, validated; the empty table when there is none."""
    return tables.validate(name, pd.DataFrame(records)) if records else tables.table(name).empty()


def inputs(**changes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Every input table; bikes and trailers made at P1 of frames and bought tubes, sent over W1 to North and South."""
    return {**_inputs(), **changes}


@cache
def _inputs() -> dict[str, pd.DataFrame]:
    made = {
        "item": rows(
            "item",
            {"item_id": "B1", "item_name": "Bike", "item_type": "finished", "family": "Bikes", "standard_cost_amt": 60},
            {"item_id": "T1", "item_name": "Trailer", "item_type": "finished", "family": "Trailers", "standard_cost_amt": 40},
            {"item_id": "F1", "item_name": "Frame", "item_type": "component", "standard_cost_amt": 20},
            {"item_id": "M1", "item_name": "Tube", "item_type": "material"},
        ),
        "market": rows(
            "market",
            {"market_id": "N", "market_name": "North", "region": "North", "channel": "Shop"},
            {"market_id": "S", "market_name": "South", "region": "South", "channel": "Shop", "priority": 2},
        ),
        "location": rows(
            "location",
            {"location_id": "P1", "location_name": "Plant", "location_type": "plant", "region": "North"},
            {"location_id": "W1", "location_name": "Warehouse", "location_type": "warehouse", "region": "South"},
        ),
        "resource": rows(
            "resource",
            {"resource_id": "LINE", "location_id": "P1", "regular_cost_amt_per_hour": 10, "overtime_cost_amt_per_hour": 16},
            {"resource_id": "CREW", "location_id": "P1", "overtime_cost_amt_per_hour": 20},
        ),
        "capacity": rows("capacity", *({"resource_id": "LINE", "period": p, "regular_hours": 100, "overtime_hours": 20} for p in PERIODS)),
        "workforce": rows(
            "workforce",
            {
                "resource_id": "CREW",
                "opening_workers": 1,
                "hours_per_worker": 40,
                "overtime_hours_per_worker": 5,
                "regular_cost_amt_per_worker": 300,
                "hire_cost_amt": 50,
                "layoff_cost_amt": 80,
            },
        ),
        "production": rows(
            "production",
            {
                "item_id": "B1",
                "location_id": "P1",
                "variable_cost_amt": 2,
                "subcontract_cost_amt": 75,
                "subcontract_limit_qty": 5,
                "holding_cost_amt": 1.5,
                "backlog_cost_amt": 4,
            },
            {"item_id": "T1", "location_id": "P1", "variable_cost_amt": 1, "yield_ratio": 0.9},
            {"item_id": "F1", "location_id": "P1", "variable_cost_amt": 0.5},
        ),
        "routing": rows(
            "routing",
            {"item_id": "B1", "location_id": "P1", "resource_id": "LINE", "hours_per_unit": 1.0},
            {"item_id": "T1", "location_id": "P1", "resource_id": "LINE", "hours_per_unit": 0.5},
            {"item_id": "F1", "location_id": "P1", "resource_id": "CREW", "hours_per_unit": 0.4},
        ),
        "bill_of_material": rows(
            "bill_of_material",
            {"parent_item_id": "B1", "component_item_id": "F1", "quantity_per": 1},
            {"parent_item_id": "T1", "component_item_id": "F1", "quantity_per": 0.5, "scrap_ratio": 0.1},
            {"parent_item_id": "F1", "component_item_id": "M1", "quantity_per": 2},
        ),
        "supplier_item": rows(
            "supplier_item",
            {"item_id": "M1", "supplier_id": "S1", "location_id": "P1", "unit_cost_amt": 3, "lead_time_days": 30, "max_qty": 200},
        ),
        "lane": rows(
            "lane",
            {"from_location_id": "P1", "to_id": "W1", "freight_cost_amt": 1.0},
            {"from_location_id": "P1", "to_id": "W1", "item_id": "T1", "freight_cost_amt": 2.5},
            {"from_location_id": "W1", "to_id": "N", "freight_cost_amt": 0.5},
            {"from_location_id": "W1", "to_id": "S", "freight_cost_amt": 0.75},
        ),
        "price": rows(
            "price",
            *(
                {"item_id": i, "market_id": m, "valid_from": "2026-01-01", "price_amt": p}
                for i, p in (("B1", 120), ("T1", 90))
                for m in "NS"
            ),
        ),
        "stock_on_hand": rows(
            "stock_on_hand",
            {"item_id": "B1", "location_id": "W1", "on_hand_qty": 20, "as_of_date": "2026-12-31"},
            {"item_id": "M1", "location_id": "P1", "on_hand_qty": 260, "as_of_date": "2026-12-31"},
        ),
        "open_supply": rows(
            "open_supply",
            {"order_id": "O1", "item_id": "M1", "location_id": "P1", "kind": "purchase", "due_date": "2027-01-20", "open_qty": 40},
        ),
    }
    return {name: tables.table(name).empty() for name in tables.names("input")} | made


def demand(quantity: float = 45.0) -> pd.DataFrame:
    """Consensus demand: bikes and trailers in both markets, rising."""
    price = {"B1": 120.0, "T1": 90.0}
    return rows(
        "consensus_demand",
        *(
            {
                "item_id": i,
                "market_id": m,
                "period": p,
                "demand_qty": (q := quantity * (1 + 0.2 * n) * (1 if i == "B1" else 0.6)),
                "low_qty": 0.8 * q,
                "high_qty": 1.2 * q,
                "price_amt": price[i],
                "revenue_amt": q * price[i],
            }
            for i in price
            for m in "NS"
            for n, p in enumerate(PERIODS)
        ),
    )


def target() -> pd.DataFrame:
    """A little safety stock of bikes in the warehouse."""
    return rows(
        "inventory_target",
        *(
            {
                "item_id": "B1",
                "location_id": "W1",
                "period": p,
                "safety_stock_qty": 5,
                "target_qty": 8,
                "service_level_ratio": 0.95,
                "lead_time_days": 14,
                "error_qty": 3,
                "method": "typed",
            }
            for p in PERIODS
        ),
    )
