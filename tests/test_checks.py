"""Every rule fires on the defect it is named for, at the right rows, and stays silent on a sound company."""

import functools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sop_workbench import checks, tables
from sop_workbench.settings import Settings, UnitFactor

AS_OF = pd.Timestamp("2026-09-30")
SETTINGS = Settings(company="Any", currency="EUR", horizon=2)
DAY = pd.Timestamp("2026-01-05")


EMPTY = {name: tables.table(name).empty() for name in tables.names("input") + tables.names("document")}


def frame(name, rows):
    """Rows as the sources would hand them over; the test fails where they break the declaration."""
    conformed, issues = tables.conform(name, pd.DataFrame(rows)) if rows else (EMPTY[name], EMPTY[name])
    assert issues.empty, issues.to_string()
    return conformed


@functools.cache
def sound_frame(name):
    """A table of the sound company, conformed once for all tests."""
    return frame(name, sound_company()[name])


def found(rule, given_tables, workspace=SETTINGS, as_of=AS_OF):
    """Findings of one rule on the given tables; a table that is the sound company's own is not conformed again."""
    sound = sound_company()
    frames = {name: sound_frame(name) if rows == sound.get(name) else frame(name, rows) for name, rows in given_tables.items()}
    return tables.issue_frame([{**row, "rule": rule} for row in findings_of(rule, frames, workspace, as_of)])


def findings_of(rule, frames, workspace=SETTINGS, as_of=AS_OF):
    return getattr(checks, rule)(checks.Evidence({**EMPTY, **frames}, workspace, as_of))


def months(first, count):
    return pd.date_range(first, periods=count, freq="MS")


def history(item="A", market="N", first="2025-01-01", count=21, quantity=100.0, **more):
    return [{"item_id": item, "market_id": market, "period": p, "ordered_qty": quantity, **more} for p in months(first, count)]


def item(item_id="A", item_type="finished", **more):
    known = {"item_name": item_id, "family": "F", "standard_cost_amt": 5.0, "launch_date": "2020-01-01"}
    return {"item_id": item_id, "item_type": item_type, **known, **more}


def market(market_id="N", **more):
    return {"market_id": market_id, "market_name": market_id, "region": "R", "channel": "retail", **more}


def price(item_id="A", market_id="N", valid_from="2025-01-01", price_amt=10.0):
    return {"item_id": item_id, "market_id": market_id, "valid_from": valid_from, "price_amt": price_amt}


def bom(parent, component, quantity_per=1.0, **more):
    return {"parent_item_id": parent, "component_item_id": component, "quantity_per": quantity_per, **more}


def bought(item_id, **more):
    return {"item_id": item_id, "supplier_id": "S", "location_id": "P", "unit_cost_amt": 2.0, "lead_time_days": 20, **more}


def line(order_id, order_date, item_id="A", ordered_qty=10, **more):
    known = {"customer_id": "C", "region": "R", "channel": "retail"}
    return {
        "order_id": order_id,
        "line_id": more.pop("line_id", "1"),
        "order_date": order_date,
        "item_id": item_id,
        "ordered_qty": ordered_qty,
        **known,
        **more,
    }


def purchase(order_id, order_date=DAY, **more):
    known = {
        "line_id": "1",
        "supplier_id": "S",
        "item_id": "B",
        "status": "complete",
        "ordered_qty": 10,
        "received_qty": 10,
        "stocked_qty": 10,
    }
    return {"order_id": order_id, "order_date": order_date, **known, **more}


def operation(order_id, **more):
    known = {
        "operation_id": "10",
        "item_id": "A",
        "work_centre_id": "W",
        "booked_hours": 3.0,
        "planned_cost_amt": 30,
        "actual_cost_amt": 31,
    }
    return {"order_id": order_id, **known, "actual_start_date": DAY, "scheduled_end_date": DAY, "actual_end_date": DAY, **more}


def sound_company():
    """A company without a fault: one item made of one bought part and sold in one market."""
    return {
        "item": [item("A", make_or_buy="make"), item("B", "material", standard_cost_amt=2.0, make_or_buy="buy")],
        "market": [market()],
        "location": [{"location_id": "P", "location_name": "Plant", "location_type": "plant"}],
        "resource": [{"resource_id": "L", "location_id": "P"}],
        "capacity": [{"resource_id": "L", "period": p, "regular_hours": 160} for p in months("2026-10-01", 2)],
        "production": [{"item_id": "A", "location_id": "P"}],
        "routing": [{"item_id": "A", "location_id": "P", "resource_id": "L", "hours_per_unit": 0.5}],
        "bill_of_material": [bom("A", "B")],
        "supplier_item": [bought("B")],
        "lane": [{"from_location_id": "P", "to_id": "N"}],
        "price": [price()],
        "service_target": [{"item_or_class": "A", "service_level_ratio": 0.95}],
        "sales_history": history(shipped_qty=100.0, on_time_qty=90.0),
        "stock_on_hand": [{"item_id": "A", "location_id": "P", "on_hand_qty": 10, "as_of_date": AS_OF}],
        "open_supply": [{"order_id": "1", "item_id": "B", "location_id": "P", "kind": "purchase", "due_date": "2026-10-15", "open_qty": 5}],
    }


def changed(**new):
    """The sound company with some tables replaced."""
    return {**sound_company(), **new}


DAILY = pd.date_range("2025-01-01", periods=200)
RHYTHM = np.random.default_rng(7).integers(0, 50, len(DAILY))
PERIOD_OF_RATES = [{"currency": c, "rate_date": d, "rate": 1.1} for c, d in [("USD", "2026-06-30"), ("DEM", "2001-12-31")]]
MASTER = [
    {"item_id": "A", "is_made": True, "is_finished": True, "standard_cost_amt": 5, "safety_stock_qty": 10},
    {"item_id": "B", "is_made": False, "is_finished": False, "standard_cost_amt": 0},
]
RECORDS = [{"record_id": "1", "parent_item_id": "A", "component_item_id": "B", "unit": "EA"}]
OFFERS = [{"offer_id": "0", "discount_ratio": 0.0}, {"offer_id": "5", "discount_ratio": 0.1, "min_qty": 11, "max_qty": 20}]

# rule → the tables that hold the defect, its severity, count and what the keys must name
CASES = {
    "unknown_reference": (changed(bill_of_material=[bom("A", "B"), bom("A", "X")]), "blocks", 1, "component_item_id=X"),
    "unknown_lane_end": (changed(lane=[{"from_location_id": "P", "to_id": t} for t in "NZ"]), "blocks", 1, "to_id=Z"),
    "unknown_family_or_region": (
        changed(budget=[{"family": f, "region": "all", "period": "2026-10-01", "revenue_amt": 1} for f in ("F", "G", "all")]),
        "warns",
        1,
        "family=G",
    ),
    "unknown_member_of_input": (
        {
            "item": [item()],
            "market": [market()],
            "demand_input": [
                {"source": "sales", "author": "Ann", "item_id": "GONE", "market_id": "N", "period": "2026-10-01", "input_qty": 4.0},
                {"source": "sales", "author": "Ann", "item_id": "A", "market_id": "N", "period": "2026-10-01", "input_qty": 4.0},
            ],
        },
        "warns",
        1,
        "source=sales author=Ann item_id=GONE",
    ),
    "event_outside_horizon": (
        {
            "event": [
                {"event_id": n, "kind": "promotion", "family": "F", "from_period": p, "to_period": p, "status": status}
                for n, p, status in (("E1", "2028-05-01", "planned"), ("E2", "2026-11-01", "planned"), ("E3", "2025-05-01", "done"))
            ]
        },
        "warns",
        1,
        "event_id=E1",
    ),
    "reversed_dates": (
        changed(bill_of_material=[bom("A", "B", valid_from="2026-05-01", valid_to="2026-04-30")]),
        "blocks",
        1,
        "parent_item_id=A",
    ),
    "contradictory_lot_limits": (
        changed(production=[{"item_id": "A", "location_id": "P", "min_lot_qty": 50, "max_qty": 40}]),
        "blocks",
        1,
        "item_id=A",
    ),
    "bom_loop": (changed(bill_of_material=[bom("A", "B"), bom("B", "A")]), "blocks", 2, "A → B → A"),
    "overlapping_bom_rows": (
        changed(bill_of_material=[bom("A", "B", valid_to="2026-12-31"), bom("A", "B", valid_from="2026-12-31")]),
        "warns",
        1,
        "valid_from=2026-12-31",
    ),
    "expired_bom_row": (changed(bill_of_material=[bom("A", "B"), bom("B", "A", valid_to="2026-09-30")]), "info", 1, "parent_item_id=B"),
    "made_item_without_bom": (changed(production=[{"item_id": i, "location_id": "P"} for i in "AB"]), "warns", 1, "item_id=B"),
    "component_without_source": (changed(supplier_item=[bought("A")]), "warns", 1, "component_item_id=B"),
    "made_item_without_routing": (
        changed(production=[{"item_id": i, "location_id": "P"} for i in "AB"]),
        "warns",
        1,
        "item_id=B location_id=P",
    ),
    "routing_without_hours": (
        changed(routing=[{"item_id": "A", "location_id": "P", "resource_id": "L", "hours_per_unit": 0}]),
        "warns",
        1,
        "resource_id=L",
    ),
    "routing_hours_unlike_family": (
        {
            "item": [item(i) for i in "ABCD"],
            "routing": [
                {"item_id": i, "location_id": "P", "resource_id": "L", "hours_per_unit": h}
                for i, h in zip("ABCD", (1, 1.2, 0.9, 10), strict=True)
            ],
        },
        "warns",
        1,
        "item_id=D",
    ),
    "routed_resource_without_capacity": (
        changed(capacity=[{"resource_id": "L", "period": "2026-10-01", "regular_hours": 1}]),
        "blocks",
        1,
        "resource_id=L period=2026-11-01",
    ),
    "sold_item_without_price": (changed(price=[price(valid_from="2026-10-02")]), "blocks", 1, "item_id=A market_id=N"),
    "item_without_cost": (changed(item=[item("A"), item("B", "material", standard_cost_amt=None)]), "warns", 1, "item_id=B"),
    "sold_item_without_source": (changed(production=[]), "warns", 1, "item_id=A"),
    "sold_item_without_family": (changed(item=[item("A", family=None), item("B", "material")]), "warns", 1, "item_id=A"),
    "market_without_lane": (
        changed(sales_history=history() + history(market="M"), market=[market(), market("M")]),
        "blocks",
        1,
        "market_id=M",
    ),
    "price_below_standard_cost": (
        changed(price=[price(), price(valid_from="2026-10-01", price_amt=4.99)]),
        "warns",
        1,
        "valid_from=2026-10-01",
    ),
    "supplier_without_lead_time": (
        changed(supplier_item=[bought("B"), bought("A"), bought("A", supplier_id="T", lead_time_days=0)]),
        "warns",
        1,
        "supplier_id=T",
    ),
    "bom_cost_unlike_standard_cost": (changed(bill_of_material=[bom("A", "B", 6.0)]), "warns", 1, "item_id=A"),
    "history_after_as_of": (changed(sales_history=history(count=22)), "blocks", 1, "period=2026-10-01"),
    "history_stops_early": (changed(sales_history=history(count=19)), "blocks", 2, "period=2026-08-01; period=2026-09-01"),
    "missing_period": (changed(sales_history=history(count=5) + history(first="2025-07-01", count=15)), "blocks", 1, "period=2025-06-01"),
    "market_with_missing_period": (
        changed(sales_history=history() + history(market="M", count=5) + history(market="M", first="2025-07-01", count=15)),
        "warns",
        1,
        "market_id=M",
    ),
    "series_with_missing_period": (
        changed(
            sales_history=history(first="2024-01-01", count=33)
            + history(market="M", first="2024-01-01", count=20)
            + history(market="M", first="2025-10-01", count=12)
        ),
        "warns",
        1,
        "item_id=A market_id=M",
    ),
    "partial_edge_period": (
        changed(sales_history=history(count=20) + history(first="2026-09-01", count=1, quantity=49)),
        "warns",
        1,
        "period=2026-09-01",
    ),
    "negative_sales": (
        changed(sales_history=history() + history("B", count=1, quantity=-3)),
        "warns",
        1,
        "item_id=B market_id=N period=2025-01-01",
    ),
    "shipped_above_ordered": (changed(sales_history=history(count=21, shipped_qty=101)), "warns", 21, "period=2025-01-01"),
    "sold_after_phase_out": (
        changed(item=[item("A", phase_out_date="2026-07-31"), item("B", "material")]),
        "warns",
        2,
        "period=2026-08-01; item_id=A market_id=N period=2026-09-01",
    ),
    "never_sold": (changed(item=[item("A"), item("B", "material"), item("C")]), "info", 1, "item_id=C"),
    "launch_without_like_item": (
        changed(item=[item("A"), item("B", "material"), item("C", launch_date="2026-11-01")]),
        "warns",
        1,
        "item_id=C",
    ),
    "negative_stock": (
        changed(stock_on_hand=[{"item_id": "A", "location_id": "P", "on_hand_qty": -1, "as_of_date": AS_OF}]),
        "warns",
        1,
        "item_id=A",
    ),
    "stock_older_than_as_of": (
        changed(stock_on_hand=[{"item_id": "A", "location_id": "P", "on_hand_qty": 1, "as_of_date": "2026-09-29"}]),
        "info",
        1,
        "item_id=A",
    ),
    "open_supply_past_due": (
        changed(open_supply=[{"order_id": "1", "item_id": "B", "location_id": "P", "kind": "purchase", "due_date": AS_OF, "open_qty": 5}]),
        "warns",
        1,
        "order_id=1",
    ),
    "open_purchase_twice": (
        changed(
            open_supply=[
                {"order_id": o, "item_id": "B", "location_id": "P", "kind": "purchase", "due_date": "2026-10-15", "open_qty": 5}
                for o in "12"
            ]
        ),
        "warns",
        1,
        "order_id=2",
    ),
    "months_without_orders": (
        {"sales_order_line": [line(str(i), d) for i, d in enumerate(months("2026-01-01", 8)) if i not in (2, 5)]},
        "warns",
        2,
        "channel=retail month=2026-03; channel=retail month=2026-06",
    ),
    "months_with_two_batches": (
        {"sales_order_line": [line(str(d), d) for d in ("2026-01-31", "2026-03-01", "2026-03-31", "2026-04-30")]},
        "warns",
        1,
        "month=2026-03",
    ),
    "incomplete_edge_months": (
        {"sales_order_line": [line(str(i), d, ordered_qty=4 if i == 0 else 10) for i, d in enumerate(months("2025-01-01", 20))]},
        "warns",
        1,
        "period=2025-01",
    ),
    "lines_after_end_of_sale": (
        {
            "item_master": [{"item_id": "A", "sale_end_date": "2026-01-05"}],
            "sales_order_line": [line("1", "2026-01-05"), line("2", "2026-01-06")],
        },
        "warns",
        1,
        "order_id=2",
    ),
    "finished_items_never_sold": (
        {"item_master": [*MASTER, {"item_id": "C", "is_finished": True}], "sales_order_line": [line("1", DAY)]},
        "info",
        1,
        "item_id=C",
    ),
    "demand_series": ({"sales_order_line": [line("1", DAY), line("2", DAY), line("3", DAY, region="S")]}, "info", 2, ""),
    "short_demand_series": (
        {"sales_order_line": [line(str(d), d) for d in months("2025-01-01", 12)] + [line("x", DAY, "B")]},
        "info",
        1,
        "item_id=B region=R",
    ),
    "sales_person_in_other_region": (
        {
            "sales_person": [{"sales_person_id": "1", "region": "R"}, {"sales_person_id": "2", "region": None}],
            "sales_order_line": [
                line("a", DAY, sales_person_id="1"),
                line("b", DAY, sales_person_id="1", region="S"),
                line("c", DAY, sales_person_id="2"),
                line("c", DAY, sales_person_id="2", line_id="2"),
            ],
        },
        "warns",
        2,
        "order_id=b; order_id=c",
    ),
    "duplicate_order_lines": (
        {"sales_order_line": [line("1", DAY), line("2", DAY), line("3", DAY), line("4", DAY, customer_id="D")]},
        "info",
        1,
        "customer_id=C",
    ),
    "exchange_rate_on_home_currency": (
        {
            "sales_order_line": [
                line("1", DAY, currency="EUR", exchange_rate_id="7"),
                line("2", DAY, currency="USD", exchange_rate_id="7"),
                line("3", DAY, currency="EUR"),
            ]
        },
        "warns",
        1,
        "order_id=1",
    ),
    "offer_without_discount": (
        {
            "sales_offer": OFFERS,
            "sales_order_line": [
                line("1", DAY, offer_id="5", discount_ratio=0.0),
                line("2", DAY, offer_id="0", discount_ratio=0.0),
                line("3", DAY, offer_id="5", discount_ratio=0.1),
            ],
        },
        "warns",
        1,
        "order_id=1",
    ),
    "offer_outside_quantity": (
        {"sales_offer": OFFERS, "sales_order_line": [line(str(q), DAY, offer_id="5", ordered_qty=q) for q in (10, 11, 20, 21)]},
        "warns",
        2,
        "order_id=10 line_id=1; order_id=21",
    ),
    "lines_without_known_offer": (
        {
            "sales_offer": OFFERS,
            "sales_order_line": [
                line("1", DAY, offer_id="0"),
                line("2", DAY, offer_id="5"),
                line("3", DAY, offer_id="5"),
                line("4", DAY),
                line("5", DAY, offer_id="9"),
            ],
        },
        "warns",
        2,
        "order_id=4 line_id=1; order_id=5",
    ),
    "lines_below_standard_cost": (
        {
            "standard_cost_record": [
                {"item_id": "A", "valid_from": "2025-01-01", "valid_to": "2025-12-31", "standard_cost_amt": 4},
                {"item_id": "A", "valid_from": "2026-01-01", "standard_cost_amt": 6},
            ],
            "sales_order_line": [
                line("1", "2025-12-31", net_sales_amt=50),
                line("2", "2026-01-01", net_sales_amt=50),
                line("3", "2026-01-01", net_sales_amt=60),
            ],
        },
        "warns",
        1,
        "channel=retail order_id=2",
    ),
    "lines_without_valid_cost": (
        {
            "standard_cost_record": [{"item_id": "A", "valid_from": "2026-01-01", "valid_to": "2026-01-31", "standard_cost_amt": 6}],
            "sales_order_line": [line("1", "2025-12-31"), line("2", "2026-01-31"), line("3", "2026-02-01")],
        },
        "warns",
        2,
        "order_id=1 line_id=1; order_id=3",
    ),
    "items_without_cost": ({"item_master": MASTER}, "warns", 1, "item_id=B"),
    "components_without_cost": (
        {"item_master": [*MASTER, {"item_id": "C", "standard_cost_amt": 0}], "bom_record": RECORDS},
        "warns",
        1,
        "item_id=B",
    ),
    "months_without_budget": (
        {
            "ledger_entry": [
                {"entry_id": f"{s}{m}", "scenario": s, "entry_date": f"2026-0{m}-15", "amount_amt": 1}
                for s, m in [("actual", 1), ("actual", 2), ("budget", 2), ("budget", 3)]
            ]
        },
        "warns",
        1,
        "month=2026-01",
    ),
    "ledger_months_missing": (
        {"ledger_entry": [{"entry_id": str(m), "scenario": "actual", "entry_date": f"2026-0{m}-28", "amount_amt": 1} for m in (1, 2, 5)]},
        "warns",
        2,
        "month=2026-03; month=2026-04",
    ),
    "exchange_rates_stop_early": ({"exchange_rate": PERIOD_OF_RATES}, "warns", 1, "currency=DEM"),
    "superseded_bom_rows": (
        {"bom_record": [*RECORDS, {"record_id": "2", "component_item_id": "B", "valid_to": "2020-01-01"}]},
        "info",
        1,
        "record_id=2",
    ),
    "bom_root_rows": ({"bom_record": [*RECORDS, {"record_id": "2", "component_item_id": "A"}]}, "info", 1, "record_id=2"),
    "bom_roots_of_ended_items": (
        {
            "item_master": [{"item_id": "A", "sale_end_date": DAY}, {"item_id": "C"}],
            "bom_record": [{"record_id": "1", "component_item_id": "A"}, {"record_id": "2", "component_item_id": "C"}],
        },
        "warns",
        1,
        "record_id=1",
    ),
    "made_items_without_bom_record": (
        {"item_master": [*MASTER, {"item_id": "C", "is_made": True}], "bom_record": RECORDS},
        "warns",
        1,
        "item_id=C",
    ),
    "bought_in_other_unit_than_bom": (
        {
            "bom_record": RECORDS,
            "supplier_price": [{"supplier_id": s, "item_id": "B", "purchase_unit": u} for s, u in (("S", "CTN"), ("T", "EA"))],
        },
        "warns",
        1,
        "item_id=B",
    ),
    "components_with_scrap": ({"bom_record": RECORDS}, "info", 0, ""),
    "made_items_never_routed": (
        {"item_master": [*MASTER, {"item_id": "C", "is_made": True}], "work_order_operation": [operation("1")]},
        "warns",
        1,
        "item_id=C",
    ),
    "work_orders_without_operations": (
        {"work_order": [{"order_id": o, "item_id": "A"} for o in "12"], "work_order_operation": [operation("1")]},
        "warns",
        1,
        "order_id=2",
    ),
    "operations_with_varying_hours": (
        {"work_order_operation": [operation("1"), operation("2", booked_hours=4), operation("1", operation_id="20")]},
        "info",
        1,
        "",
    ),
    "operations_with_own_actual_cost": ({"work_order_operation": [operation("1"), operation("2", actual_cost_amt=30)]}, "info", 1, ""),
    "operations_ended_late": (
        {"work_order_operation": [operation("1"), operation("2", actual_end_date="2026-01-06")]},
        "info",
        1,
        "order_id=2 operation_id=10",
    ),
    "stated_hours_below_booked_peak": (
        {
            "work_centre": [{"work_centre_id": "W", "stated_hours": 3}, {"work_centre_id": "V", "stated_hours": 3}],
            "work_order_operation": [operation(str(i)) for i in range(5)] + [operation("v", work_centre_id="V", booked_hours=13)],
        },
        "warns",
        1,
        "work_centre_id=W",
    ),
    "routing_hours_out_of_date": (
        {  # 3 hours for 20 units each time: the routing of W is right, that of V says half, and of U nothing was made lately
            "routing": [{"item_id": "A", "location_id": "P", "resource_id": r, "hours_per_unit": h}
                        for r, h in (("W", 0.15), ("V", 0.075), ("U", 1))],
            "work_order": [{"order_id": o, "item_id": "A", "ordered_qty": 20} for o in ("1", "2", "3")],
            "work_order_operation": [operation("1", actual_start_date="2026-07-01"),
                                     operation("2", actual_start_date="2026-09-30", work_centre_id="V"),
                                     operation("3", actual_start_date="2026-06-30", work_centre_id="U"),
                                     operation("1", actual_start_date="2026-10-01", work_centre_id="U", operation_id="20")],
        },
        "warns",
        1,
        "work_centre_id=V",
    ),
    "work_centres_without_hours": (
        {"work_centre": [{"work_centre_id": w, "stated_hours": h} for w, h in (("V", 0), ("W", 40))]},
        "info",
        1,
        "work_centre_id=V",
    ),
    "lines_due_before_order": (
        {"purchase_order_line": [purchase("1", due_date="2026-01-04"), purchase("2", due_date=DAY)]},
        "warns",
        1,
        "order_id=1",
    ),
    "lines_edited_long_after": (
        {
            "purchase_order_line": [
                purchase("1", due_date=DAY, changed_date="2026-07-05"),
                purchase("2", due_date=DAY, changed_date="2026-07-04"),
            ]
        },
        "warns",
        1,
        "order_id=1",
    ),
    "pending_orders_with_receipts": (
        {"purchase_order_line": [purchase("1", status="pending"), purchase("2", status="pending", received_qty=0)]},
        "warns",
        1,
        "order_id=1",
    ),
    "rejected_orders_with_receipts": ({"purchase_order_line": [purchase("1", status="rejected"), purchase("2")]}, "warns", 1, "order_id=1"),
    "constant_due_offset": (
        {
            "supplier_price": [{"supplier_id": "S", "item_id": i, "lead_time_days": d} for i, d in (("B", 10), ("C", 60))],
            "purchase_order_line": [purchase(str(i), due_date="2026-01-19") for i in range(9)] + [purchase("late", due_date="2026-03-01")],
        },
        "warns",
        9,
        "order_id=0",
    ),
    "months_without_purchases": (
        {
            "sales_order_line": [line(str(d), d) for d in months("2026-01-01", 4)],
            "purchase_order_line": [purchase("1", "2026-01-31"), purchase("2", "2026-04-01")],
        },
        "warns",
        2,
        "month=2026-02; month=2026-03",
    ),
    "constant_price_over_agreement": (
        {
            "supplier_price": [{"supplier_id": "S", "item_id": "B", "price_amt": 20}],
            "purchase_order_line": [purchase("1", price_amt=21), purchase("2", price_amt=21), purchase("3", price_amt=20)],
        },
        "warns",
        2,
        "order_id=1",
    ),
    "orders_to_inactive_suppliers": (
        {
            "supplier": [{"supplier_id": "S", "is_active": False}, {"supplier_id": "T"}],
            "purchase_order_line": [purchase("1"), purchase("1", line_id="2"), purchase("2", supplier_id="T")],
        },
        "warns",
        1,
        "order_id=1",
    ),
    "lines_short_received": ({"purchase_order_line": [purchase("1", received_qty=9), purchase("2")]}, "warns", 1, "order_id=1"),
    "sold_more_than_bought": (
        {
            "item_master": [{"item_id": i} for i in "BCD"],
            "purchase_order_line": [purchase("1"), purchase("2", item_id="C", stocked_qty=9)],
            "sales_order_line": [line("1", DAY, "B"), line("2", DAY, "C"), line("3", DAY, "D")],
        },
        "warns",
        2,
        "item_id=C; item_id=D",
    ),
    "purchase_lines_without_movement": (
        {
            "purchase_order_line": [purchase("1"), purchase("2")],
            "stock_movement": [
                {"movement_id": "1", "kind": "purchase", "item_id": "B", "order_id": "1", "movement_date": DAY},
                {"movement_id": "2", "kind": "sale", "item_id": "B", "order_id": "2", "movement_date": DAY},
            ],
        },
        "warns",
        1,
        "order_id=2",
    ),
    "stale_stock_counts": (
        {
            "stock_count": [
                {"item_id": i, "place_id": "1", "changed_date": d}
                for i, d in (("A", "2026-01-01"), ("B", "2026-06-30"), ("C", "2026-07-01"))
            ]
        },
        "warns",
        1,
        "item_id=A",
    ),
    "finished_items_without_stock_count": (
        {"item_master": MASTER, "stock_count": [{"item_id": "B", "place_id": "1", "on_hand_qty": 0}]},
        "warns",
        1,
        "item_id=A",
    ),
    "stock_below_safety_stock": (
        {"item_master": MASTER, "stock_count": [{"item_id": "A", "place_id": p, "on_hand_qty": 4.5} for p in "12"]},
        "warns",
        1,
        "item_id=A",
    ),
    "negative_stock_balances": (
        {"stock_balance": [{"item_key": "1", "balance_date": DAY, "balance_qty": q} for q in (-1,)]},
        "warns",
        1,
        "item_key=1 balance_date=2026-01-05",
    ),
    "flat_end_of_balances": (
        {
            "stock_balance": [
                {"item_key": k, "balance_date": d, "in_qty": 0, "out_qty": int(d < DAILY[197]), "balance_qty": 9}
                for d in DAILY
                for k in "12"
            ]
        },
        "warns",
        3,
        "balance_date=2025-07-17",
    ),
    "several_keys_per_item": (
        {"item_key": [{"item_key": k, "item_id": i} for k, i in (("1", "A"), ("2", "A"), ("3", "B"))]},
        "warns",
        1,
        "item_id=A",
    ),
    "stock_records_that_agree": (
        {
            "item_key": [{"item_key": k, "item_id": i} for k, i in (("1", "A"), ("2", "A"), ("3", "B"))],
            "stock_balance": [{"item_key": k, "balance_date": DAY, "balance_qty": 4} for k in "123"],
            "stock_count": [{"item_id": i, "place_id": "1", "on_hand_qty": 8} for i in "AB"],
        },
        "info",
        1,
        "",
    ),
    "calendar_offset_between_systems": (
        {
            "stock_balance": [
                {"item_key": "1", "balance_date": d, "in_qty": 0, "out_qty": q, "balance_qty": 9}
                for d, q in zip(DAILY, RHYTHM, strict=True)
            ],
            "stock_movement": [
                {"movement_id": str(d), "kind": "sale", "item_id": "A", "movement_date": d + pd.Timedelta(days=40), "moved_qty": q}
                for d, q in zip(DAILY, RHYTHM, strict=True)
            ],
        },
        "warns",
        40,
        "",
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_rule_finds_its_defect(rule):
    given_tables, severity, count, keys = CASES[rule]
    issues = found(rule, given_tables)
    assert len(issues) == 1
    assert issues.loc[0, "severity"] == severity
    assert issues.loc[0, "count"] == count
    assert keys in issues.loc[0, "keys"]
    assert issues.loc[0, "remedy"]


def test_every_rule_has_a_case():
    assert [rule.__name__ for rule in checks.RULES] == list(CASES)


def test_sound_company_has_no_finding():
    frames = {name: frame(name, rows) for name, rows in sound_company().items()}
    assert checks.run_checks(frames, {}, SETTINGS, AS_OF).empty


def test_no_table_at_all_gives_no_finding():
    issues = checks.run_checks({}, {}, SETTINGS, AS_OF)
    assert issues.empty
    assert list(issues.columns) == list(tables.table("issue").columns)


def test_findings_fit_the_issue_table_and_come_worst_first():
    broken = changed(
        bill_of_material=[bom("A", "B"), bom("B", "A"), bom("A", "X")],
        sales_history=history(count=25, quantity=-1.0),
        stock_on_hand=[{"item_id": "A", "location_id": "P", "on_hand_qty": -1, "as_of_date": "2026-09-01"}],
    )
    issues = checks.run_checks({name: frame(name, rows) for name, rows in broken.items()}, {}, SETTINGS, AS_OF)
    tables.validate("issue", issues)
    order = issues["severity"].map({"blocks": 0, "warns": 1, "info": 2})
    assert order.is_monotonic_increasing
    assert {"bom_loop", "unknown_reference", "history_after_as_of", "negative_stock"} <= set(issues["rule"])


def test_document_rules_never_block():
    documents = set(tables.names("document"))
    severities = {severity for rule, (given_tables, severity, *_) in CASES.items() if given_tables.keys() <= documents}
    assert severities == {"warns", "info"}


@pytest.mark.parametrize(
    ("override", "severity"),
    [
        ({"negative_stock": "blocks"}, "blocks"),
        ({"negative_stock.stock_on_hand": "info"}, "info"),
        ({"negative_stock": "blocks", "negative_stock.stock_on_hand": "info"}, "info"),
        ({"negative_stock.price": "blocks"}, "warns"),
    ],
)
def test_settings_override_the_severity(override, severity):
    settings = SETTINGS.model_copy(update={"check_severity": override})
    stock = frame("stock_on_hand", CASES["negative_stock"][0]["stock_on_hand"])
    issues = checks.run_checks({"stock_on_hand": stock}, {}, settings, AS_OF)
    assert issues.loc[issues["rule"] == "negative_stock", "severity"].tolist() == [severity]


def test_a_price_missing_where_sales_are_old_only_warns():
    old = history("B", market="N", first="2025-01-01", count=6)
    issues = found("sold_item_without_price", changed(sales_history=history() + old))
    assert issues[["severity", "keys"]].to_dict("records") == [{"severity": "warns", "keys": "item_id=B market_id=N"}]


def test_a_phased_out_item_needs_no_price():
    ended = changed(item=[item("A", phase_out_date="2026-06-30"), item("B", "material")], price=[price("B")])
    assert found("sold_item_without_price", ended).empty


def test_a_factor_in_the_settings_mends_the_unit():
    settings = SETTINGS.model_copy(update={"units": (UnitFactor(from_unit="CTN", to_unit="EA", factor=12),)})
    assert found("bought_in_other_unit_than_bom", CASES["bought_in_other_unit_than_bom"][0], settings).empty


def test_two_separate_loops_and_an_item_inside_itself_are_three_findings():
    rows = [bom("A", "B"), bom("B", "C"), bom("C", "A"), bom("D", "E"), bom("E", "D"), bom("F", "F"), bom("G", "A")]
    issues = found("bom_loop", {"bill_of_material": rows})
    assert issues["keys"].tolist() == ["A → B → C → A", "D → E → D", "F → F"]


def test_a_loop_closed_only_by_an_expired_row_is_none():
    assert found("bom_loop", {"bill_of_material": [bom("A", "B"), bom("B", "A", valid_to="2026-09-30")]}).empty


@settings(deadline=None, max_examples=60, derandomize=True)
@given(edges=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40))
def test_a_loop_is_found_exactly_when_there_is_one_and_its_arrows_exist(edges):
    every = {(f"I{a:02d}", f"I{b:02d}") for a, b in edges}
    rows = pd.DataFrame(sorted(every), columns=["parent_item_id", "component_item_id"], dtype=object)
    loops = findings_of("bom_loop", {"bill_of_material": rows.assign(valid_to=pd.NaT)})
    for loop in loops:
        stops = loop["keys"].split(" → ")
        assert stops[0] == stops[-1]
        assert set(zip(stops[:-1], stops[1:], strict=True)) <= every
    assert bool(loops) == _has_loop(every)


def _has_loop(edges):
    """Whether repeatedly taking away items without components leaves something."""
    left = set(edges)
    while True:
        inner = {(a, b) for a, b in left if b in {start for start, _ in left}}
        if inner == left:
            return bool(left)
        left = inner


def test_a_bill_of_five_thousand_levels_needs_no_recursion():
    chain = [bom(f"{i:04d}", f"{i + 1:04d}") for i in range(5000)]
    assert found("bom_loop", {"bill_of_material": chain}).empty
    closed = found("bom_loop", {"bill_of_material": [*chain, bom("5000", "0000")]})
    assert closed.loc[0, "count"] == 5001


def test_weeks_and_a_shifted_calendar_are_understood():
    settings = Settings(company="Any", bucket="week", horizon=2)
    weeks = [
        {"item_id": "A", "market_id": "N", "period": p, "ordered_qty": 5} for p in pd.date_range("2026-01-05", "2026-09-21", freq="W-MON")
    ]
    as_of = pd.Timestamp("2026-09-27")
    assert found("history_stops_early", {"sales_history": weeks}, settings, as_of).empty
    assert found("missing_period", {"sales_history": weeks[:10] + weeks[11:]}, settings, as_of).loc[0, "keys"] == "period=2026-03-16"
    shifted = Settings(company="Any", calendar_shift_days=4)
    assert found("history_after_as_of", {"sales_history": history(count=21)}, shifted, pd.Timestamp("2026-08-28")).empty
    assert (
        found("history_after_as_of", {"sales_history": history(count=21)}, shifted, pd.Timestamp("2026-08-27"))
        .loc[0, "keys"]
        .endswith("2026-09-01")
    )
