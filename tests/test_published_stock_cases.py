"""Published cases 5, 6, 8 and 9 through the public functions and the standard input tables of `tests/plans`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from situations import PLANS, Situation, read_situation

from sop_workbench import capacity, inventory, lots, materials


def at_places(situation: Situation, location: str) -> pd.DataFrame:
    return situation.demand.assign(location_id=location)


def material_plan(situation: Situation, location: str, item: str, rule: str | None = None) -> pd.DataFrame:
    inputs = situation.inputs
    if rule:
        inputs = {**inputs, "item": inputs["item"].assign(lot_rule=rule)}
    calendar, places = situation.settings.calendar, pd.DataFrame({"item_id": [item], "location_id": [location]})
    holding = inventory.holding_cost(places, inputs, situation.settings, calendar)
    plan = materials.plan_materials(at_places(situation, location), inputs, situation.periods, calendar, holding_cost=holding)
    return plan.material_plan.query("item_id == @item").reset_index(drop=True)


# ------------------------------------------------------------------ 5: projected stock and cover, product A
def test_projected_stock_and_cover_of_product_a():
    situation = read_situation("product_a")
    opening = situation.inputs["stock_on_hand"].rename(columns={"on_hand_qty": "opening_qty"})
    orders = situation.inputs["open_supply"]
    supply = orders.assign(period=situation.settings.calendar.periods_of(orders["due_date"]), supply_qty=orders["open_qty"])
    found = inventory.projected_cover(opening, situation.demand, supply)
    assert found["stock_qty"].head(6).tolist() == [950, 492, 192, -72, -212, 2055]
    assert found["cover_periods"].head(6).round(1).tolist() == [2.7, 1.7, 0.7, 0.0, 0.0, 7.4]


def test_requirements_of_product_a_project_the_same_stock_where_nothing_can_bring_more():
    found = material_plan(read_situation("product_a"), "store", "A")
    assert found["projected_qty"].head(6).tolist() == [950, 492, 192, -72, -212, 2055]
    assert (found["source"] == "none").all()
    assert found["unsupplied_qty"].head(6).tolist() == [0, 0, 0, 72, 140, 0]


# ------------------------------------------------------------------ 6: inventory theory (Snyder and Shen)
def test_theory_from_its_table():
    theory = pd.read_csv(PLANS / "snyder_shen" / "theory.csv").set_index("model")
    lot, cost = inventory.eoq(theory.loc["eoq", "order_cost"], theory.loc["eoq", "holding_cost"], theory.loc["eoq", "demand"])
    assert (lot, cost) == (pytest.approx(304.0467800, abs=1e-7), pytest.approx(68.41052551, abs=1e-8))
    one = theory.loc["newsvendor"]
    stock = inventory.newsvendor(one["holding_cost"], one["shortage_cost"], one["demand"], one["deviation"])
    assert stock == pytest.approx(56.60395593, abs=1e-8)


def test_wagner_whitin_through_the_material_plan():
    found = material_plan(read_situation("snyder_shen"), "plant", "W")
    assert found["receipt_qty"].tolist() == [210, 0, 150, 0]
    assert lots.lot_cost(found["receipt_qty"].to_numpy(), found["gross_qty"].to_numpy(), 500, 2) == 1380


def test_guaranteed_service_of_the_tree():
    stages = pd.read_csv(PLANS / "snyder_shen" / "stages.csv", dtype={"stage_id": str})
    found = inventory.guaranteed_service(stages, pd.read_csv(PLANS / "snyder_shen" / "arcs.csv", dtype=str))
    assert dict(zip(found["stage_id"], found["service_time"], strict=True)) == {"1": 0, "3": 0, "2": 0, "4": 1}
    assert found["cost_amt"].sum() == pytest.approx(8.277916868, abs=1e-9)


# ------------------------------------------------------------------ 8: rough-cut capacity with overall factors
def test_overall_factors_from_the_companys_own_history():
    situation = read_situation("overall_factors")
    hours, share = capacity.historical_factors(situation.inputs, situation.settings.calendar, situation.periods[0])
    assert hours.set_index("item_id")["hours_per_unit"].to_dict() == {"A": 2, "B": 3, "C": 4}
    assert share.set_index("resource_id")["share_ratio"].to_dict() == pytest.approx({"R1": 0.6, "R2": 0.4})
    found = capacity.overall_factors(situation.demand, hours, share)
    assert found["load_hours"].sum() == pytest.approx(450)
    assert found.set_index("resource_id")["load_hours"].to_dict() == pytest.approx({"R1": 270, "R2": 180})


def test_bill_of_capacity_knows_what_overall_factors_average_away():
    situation = read_situation("overall_factors")
    found = capacity.rough_cut_load(situation.demand, situation.inputs, situation.settings.calendar).set_index("resource_id")
    assert found["load_hours"].to_dict() == pytest.approx({"R1": 300, "R2": 150})
    assert not found["is_overloaded"].any()  # R1: 280 and 20 overtime hours are just enough


# ------------------------------------------------------------------ 9: requirements and lots (Nahmias, Harmon Music)
NET = [42, 42, 32, 12, 26, 112, 45, 14, 76, 38]


def test_net_requirements_of_the_casings_come_down_the_bill_of_material():
    found = material_plan(read_situation("harmon_music"), "works", "casing", rule="lot_for_lot")
    assert found["gross_qty"].tolist() == [77, 42, 38, 21, 26, 112, 45, 14, 76, 38]
    assert found["net_qty"].tolist() == NET
    assert found["receipt_qty"].tolist() == NET
    assert found["start_qty"].tolist() == [42 + 42 + 32 + 12 + 26, 112, 45, 14, 76, 38, 0, 0, 0, 0]
    assert found["late_qty"].sum() == 42 + 42 + 32 + 12


@pytest.mark.parametrize(("rule", "cost"), [("wagner_whitin", 610.20), ("silver_meal", 650.40), ("period_order", 841.20)])
def test_lots_of_the_casings_cost_what_the_book_says(rule, cost):
    # Least cost and Silver–Meal as quoted from the book; three periods at a time by hand: 4 orders, 522 unit-weeks.
    found = material_plan(read_situation("harmon_music"), "works", "casing", rule=rule)
    assert lots.lot_cost(found["receipt_qty"].to_numpy(), np.array(NET), 132, 0.60) == pytest.approx(cost)


def test_least_cost_lots_of_the_casings():
    sized = material_plan(read_situation("harmon_music"), "works", "casing")["receipt_qty"].to_numpy()
    assert {int(week) + 1: float(sized[week]) for week in np.flatnonzero(sized)} == {1: 154, 6: 171, 9: 114}
