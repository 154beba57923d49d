"""Rough-cut capacity: hours of a demand plan, split over plants, against what is there."""

from __future__ import annotations

import pandas as pd
import pytest
from situations import RandomCompany, frame, read_situation

from sop_workbench import capacity, materials, tables
from sop_workbench.periods import Calendar

CALENDAR = Calendar("month")
MONTHS = pd.date_range("2026-01-01", periods=2, freq="MS")


def company(**changes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """One item made at two plants from a component made at the first."""
    inputs = {name: tables.table(name).empty() for name in tables.names("input")}
    inputs["production"] = frame("production", [{"item_id": "F", "location_id": "P1"}, {"item_id": "F", "location_id": "P2"},
                                                {"item_id": "C", "location_id": "P1", "yield_ratio": 0.8}])
    inputs["routing"] = frame("routing", [
        {"item_id": "F", "location_id": "P1", "resource_id": "R1", "hours_per_unit": 1.0},
        {"item_id": "F", "location_id": "P2", "resource_id": "R2", "hours_per_unit": 2.0},
        {"item_id": "C", "location_id": "P1", "resource_id": "R1", "hours_per_unit": 0.4}])
    inputs["bill_of_material"] = frame("bill_of_material", [{"parent_item_id": "F", "component_item_id": "C", "quantity_per": 2.0}])
    inputs["capacity"] = frame("capacity", [{"resource_id": resource, "period": period, "regular_hours": hours, "overtime_hours": 10.0}
                                            for resource, hours in (("R1", 300.0), ("R2", 200.0)) for period in MONTHS])
    return inputs | changes


def demand_of(item: str, *quantities: float) -> pd.DataFrame:
    return pd.DataFrame({"item_id": item, "market_id": "K", "period": MONTHS[:len(quantities)], "demand_qty": quantities})


def load_of(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.Series:
    return capacity.rough_cut_load(demand, inputs, CALENDAR).set_index(["resource_id", "period"])["load_hours"]


def test_load_of_items_and_components_split_by_what_each_plant_could_make():
    load = load_of(demand_of("F", 100.0), company())
    # P1 could make 300 F, P2 100: 75 and 25. The component is made at P1 alone, with its yield.
    assert load["R1", MONTHS[0]] == pytest.approx(75 * 1.0 + 100 * 2 / 0.8 * 0.4)
    assert load["R2", MONTHS[0]] == pytest.approx(25 * 2.0)


def test_plants_without_hours_of_their_own_share_equally():
    inputs = company()
    inputs["routing"] = inputs["routing"][inputs["routing"]["location_id"] == "P2"]
    assert load_of(demand_of("F", 100.0), inputs)["R2", MONTHS[0]] == pytest.approx(50 * 2.0)


def test_overload_is_beyond_overtime_and_utilisation_over_regular_hours():
    found = capacity.rough_cut_load(demand_of("F", 180.0), company(), CALENDAR)
    first = found[found["resource_id"] == "R1"].iloc[0]
    assert first["load_hours"] == pytest.approx(135 + 180)
    assert first["utilisation_ratio"] == pytest.approx(315 / 300)
    assert first["is_overloaded"]  # 315 > 300 + 10
    assert not found[found["resource_id"] == "R2"]["is_overloaded"].any()


def test_bill_of_material_counts_while_valid():
    inputs = company()
    inputs["bill_of_material"] = inputs["bill_of_material"].assign(valid_from=MONTHS[1])
    load = load_of(demand_of("F", 100.0, 100.0), inputs)
    assert load["R1", MONTHS[0]] == pytest.approx(75)
    assert load["R1", MONTHS[1]] == pytest.approx(175)


def test_crew_offers_the_hours_of_its_people():
    crew = frame("workforce", [{"resource_id": "R1", "opening_workers": 3, "hours_per_worker": 160, "overtime_hours_per_worker": 10}])
    found = capacity.rough_cut_load(demand_of("F", 10.0), company(workforce=crew), CALENDAR)
    row = found[found["resource_id"] == "R1"].iloc[0]
    assert (row["regular_hours"], row["overtime_hours"]) == (480, 30)


def test_loaded_resource_without_stated_hours_is_shown_as_overloaded():
    inputs = company()
    inputs["capacity"] = inputs["capacity"][inputs["capacity"]["resource_id"] == "R2"]
    row = capacity.rough_cut_load(demand_of("F", 10.0), inputs, CALENDAR).iloc[0]
    assert row["resource_id"] == "R1"
    assert row["regular_hours"] == 0
    assert row["is_overloaded"]


def test_load_equals_explosion_times_hours_where_one_plant_makes_everything():
    situation = next(s for s in (RandomCompany(seed).situation() for seed in range(20)) if len(s.inputs["resource"]) == 1)
    inputs = {**situation.inputs, "production": situation.inputs["production"].assign(yield_ratio=1.0)}
    gross = materials.explode(inputs["bill_of_material"], situation.demand)
    work = gross.merge(inputs["routing"], on="item_id")
    by_hand = (work["demand_qty"] * work["hours_per_unit"]).groupby([work["resource_id"], work["period"]]).sum()
    load = load_of(situation.demand, inputs)
    assert load.reindex(by_hand.index).tolist() == pytest.approx(by_hand.tolist())


def test_steel_mix_load_shows_the_overload_that_the_plan_resolves():
    situation = read_situation("steel_mix")
    found = capacity.rough_cut_load(situation.demand, situation.inputs, situation.settings.calendar)
    by_hand = [6000 / 200 + 4000 / 140, 6000 / 200 + 2500 / 140, 4000 / 200 + 3500 / 140, 6500 / 200 + 4200 / 140]
    assert found["load_hours"].tolist() == pytest.approx(by_hand)
    assert found["is_overloaded"].tolist() == [True, True, True, True]


def test_overall_factors_split_total_hours_by_history():
    demand = pd.DataFrame({"item_id": ["A", "B", "C"], "period": MONTHS[0], "demand_qty": [100.0, 50.0, 25.0]})
    hours = pd.DataFrame({"item_id": ["A", "B", "C"], "hours_per_unit": [2.0, 3.0, 4.0]})
    share = pd.DataFrame({"resource_id": ["R1", "R2"], "share_ratio": [0.6, 0.4]})
    found = capacity.overall_factors(demand, hours, share)
    assert found["load_hours"].tolist() == pytest.approx([270, 180])
    with pytest.raises(ValueError, match="must sum to 1"):
        capacity.overall_factors(demand, hours, share.assign(share_ratio=0.6))
    with pytest.raises(ValueError, match="no hours_per_unit for C"):
        capacity.overall_factors(demand, hours.iloc[:2], share)
