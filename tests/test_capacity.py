"""Rough-cut capacity: hours of a demand plan, split over plants, against what is there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import RandomCompany, frame, read_situation

from sop_workbench import capacity, materials, tables
from sop_workbench.periods import Calendar

CALENDAR = Calendar("month")
MONTHS = pd.date_range("2026-01-01", periods=2, freq="MS")


def company(**changes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """One item made at two plants from a component made at the first."""
    inputs = {name: tables.table(name).empty() for name in tables.names("input")}
    inputs["production"] = frame(
        "production",
        [
            {"item_id": "F", "location_id": "P1"},
            {"item_id": "F", "location_id": "P2"},
            {"item_id": "C", "location_id": "P1", "yield_ratio": 0.8},
        ],
    )
    inputs["routing"] = frame(
        "routing",
        [
            {"item_id": "F", "location_id": "P1", "resource_id": "R1", "hours_per_unit": 1.0},
            {"item_id": "F", "location_id": "P2", "resource_id": "R2", "hours_per_unit": 2.0},
            {"item_id": "C", "location_id": "P1", "resource_id": "R1", "hours_per_unit": 0.4},
        ],
    )
    inputs["bill_of_material"] = frame("bill_of_material", [{"parent_item_id": "F", "component_item_id": "C", "quantity_per": 2.0}])
    inputs["capacity"] = frame(
        "capacity",
        [
            {"resource_id": resource, "period": period, "regular_hours": hours, "overtime_hours": 10.0}
            for resource, hours in (("R1", 300.0), ("R2", 200.0))
            for period in MONTHS
        ],
    )
    return inputs | changes


def demand_of(item: str, *quantities: float) -> pd.DataFrame:
    return pd.DataFrame({"item_id": item, "market_id": "K", "period": MONTHS[: len(quantities)], "demand_qty": quantities})


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


# ------------------------------------------------------------------ resource profile and bill of capacity
def with_lead(**days: float) -> dict[str, pd.DataFrame]:
    inputs = company()
    inputs["production"] = inputs["production"].assign(lead_time_days=inputs["production"]["item_id"].map(days).fillna(0.0))
    return inputs


def test_resource_profile_puts_every_operation_its_lead_times_earlier():
    month = 365.25 / 12
    months = pd.date_range("2026-01-01", periods=4, freq="MS")
    hours = frame(
        "capacity", [{"resource_id": r, "period": p, "regular_hours": h} for r, h in (("R1", 300.0), ("R2", 200.0)) for p in months]
    )
    inputs = {**with_lead(F=month, C=month), "capacity": hours}
    demand = pd.DataFrame({"item_id": "F", "period": months, "demand_qty": [0.0, 0.0, 100.0, 0.0]})
    found = capacity.rough_cut_load(demand, inputs, CALENDAR).set_index(["resource_id", "period"])
    # Where the demand falls, all in March; by profile assembly starts in February, the component in January.
    assert found.loc["R1", "load_hours"].tolist() == pytest.approx([0, 0, 175, 0])
    by_profile = found.loc["R1", "offset_load_hours"].tolist()
    assert by_profile[:2] == pytest.approx([100, 75])
    assert np.isnan(by_profile[2:]).all()  # hangs on demand in May and June
    assert found.loc["R2", "offset_load_hours"].tolist()[:3] == pytest.approx([0, 50, 0])


def test_without_lead_times_both_ways_are_the_same():
    found = capacity.rough_cut_load(demand_of("F", 100.0, 50.0), company(), CALENDAR)
    assert found["offset_load_hours"].tolist() == pytest.approx(found["load_hours"].tolist())


def test_bill_of_capacity_by_hand_with_offsets():
    month = 365.25 / 12
    found = capacity.bill_of_capacity(with_lead(F=month, C=2 * month), MONTHS[0], CALENDAR)
    by_key = found.set_index(["item_id", "resource_id", "offset"])["hours_per_unit"].to_dict()
    # F at either of two plants: mean hours; two C with yield .8, three months before F is there.
    assert by_key == pytest.approx({("C", "R1", 2): 0.5, ("F", "R1", 1): 0.5, ("F", "R2", 1): 1.0, ("F", "R1", 3): 2 * 0.4 / 0.8})


# ------------------------------------------------------------------ demonstrated capacity
def history(*produced: float) -> pd.DataFrame:
    past = pd.date_range(end="2025-12-01", periods=len(produced), freq="MS")
    return frame(
        "production_history",
        [{"item_id": "F", "location_id": "P1", "period": p, "produced_qty": q} for p, q in zip(past, produced, strict=True)],
    )


def test_demonstrated_hours_are_the_best_three_periods_with_what_went_into_them():
    inputs = company(production_history=history(10, 80, 100, 90, 20))
    # One hour of F and two C at .8 yield and .4 hours: 2 hours on R1.
    assert capacity.demonstrated_hours(inputs, CALENDAR, MONTHS[0]).to_dict() == pytest.approx({"R1": 90 * 2.0})


def test_too_short_or_too_old_a_history_demonstrates_nothing():
    assert capacity.demonstrated_hours(company(production_history=history(10, 80)), CALENDAR, MONTHS[0]).empty
    assert capacity.demonstrated_hours(company(), CALENDAR, MONTHS[0]).empty
    later = pd.Timestamp("2030-01-01")
    assert capacity.demonstrated_hours(company(production_history=history(10, 80, 90)), CALENDAR, later).empty


def test_stated_hours_go_before_efficiency_and_that_before_history():
    resource = frame(
        "resource", [{"resource_id": "R1", "location_id": "P1", "efficiency_ratio": 0.9}, {"resource_id": "R2", "location_id": "P2"}]
    )
    inputs = company(resource=resource, production_history=history(10, 80, 100, 90))
    inputs["capacity"] = inputs["capacity"].assign(demonstrated_hours=[250.0, None, None, None])
    found = capacity.rough_cut_load(demand_of("F", 100.0, 100.0), inputs, CALENDAR).set_index(["resource_id", "period"])
    assert found.loc[("R1", MONTHS[0]), ["demonstrated_hours", "demonstrated_basis"]].tolist() == [250, "stated"]
    assert found.loc[("R1", MONTHS[1]), ["demonstrated_hours", "demonstrated_basis"]].tolist() == [270, "efficiency"]
    assert found.loc[("R1", MONTHS[1]), "demonstrated_ratio"] == pytest.approx(175 / 270)
    assert pd.isna(found.loc[("R2", MONTHS[0]), "demonstrated_hours"])


# ------------------------------------------------------------------ how many, and what stops the next one
def hand(hours: dict, stock: dict, purchase: dict) -> capacity.AtHand:
    return capacity.AtHand(*(pd.Series(one, dtype=float) for one in (hours, stock, purchase)))


def paint_company() -> dict[str, pd.DataFrame]:
    inputs = {name: tables.table(name).empty() for name in tables.names("input")}
    inputs["production"] = frame("production", [{"item_id": "chair", "location_id": "P"}])
    inputs["routing"] = frame("routing", [{"item_id": "chair", "location_id": "P", "resource_id": "line", "hours_per_unit": 0.5}])
    inputs["bill_of_material"] = frame("bill_of_material", [{"parent_item_id": "chair", "component_item_id": "paint", "quantity_per": 2.0}])
    return inputs


def only(mix: dict, at: capacity.AtHand, inputs: dict) -> pd.DataFrame:
    return capacity.buildable(pd.DataFrame({"item_id": list(mix), "mix_qty": list(mix.values())}), at, inputs, MONTHS[0], CALENDAR)


def test_how_many_and_what_stops_the_next_one_and_then():
    found = only({"chair": 1.0}, hand({"line": 100}, {"paint": 300}, {"paint": 200}), paint_company()).iloc[0]
    assert found[["limit", "member", "limit_qty"]].tolist() == ["capacity", "line", 100]
    assert found[["buildable_qty", "unit_gain_qty", "beyond_qty"]].tolist() == pytest.approx([200, 2, 250])
    assert found[["next_limit", "next_member"]].tolist() == ["material", "paint"]


def test_components_in_stock_save_the_hours_of_making_them():
    inputs = company()
    inputs["routing"] = inputs["routing"][inputs["routing"]["location_id"] == "P1"]
    inputs["production"] = inputs["production"][inputs["production"]["location_id"] == "P1"]
    # One F: 1 hour and two C of .4/.8 hours each; 40 C lie there.
    found = only({"F": 1.0}, hand({"R1": 100}, {"C": 40}, {}), inputs).iloc[0]
    assert found["buildable_qty"] == pytest.approx((100 + 40 * 0.5) / 2)


def test_plants_share_the_work_and_both_stop_it():
    found = only({"F": 1.0}, hand({"R1": 100, "R2": 50}, {"C": 1e6}, {}), company())
    assert found["buildable_qty"].tolist() == pytest.approx([125, 125])
    assert found["member"].tolist() == ["R1", "R2"]
    assert found["unit_gain_qty"].tolist() == pytest.approx([1, 0.5])


def test_nothing_limits_what_takes_no_hours_and_no_material():
    inputs = paint_company()
    free = {**inputs, "routing": inputs["routing"].head(0), "bill_of_material": inputs["bill_of_material"].head(0)}
    found = only({"chair": 1.0}, hand({}, {}, {}), free).iloc[0]
    assert found["limit"] == "none"
    assert pd.isna(found["buildable_qty"])


def test_a_component_without_stock_or_source_stops_the_first():
    found = only({"chair": 1.0}, hand({"line": 100}, {}, {}), paint_company()).iloc[0]
    assert found[["buildable_qty", "limit", "member"]].tolist() == [0, "material", "paint"]


def test_a_mix_of_nothing_is_refused():
    with pytest.raises(ValueError, match="mix needs at least one item"):
        only({"chair": 0.0}, hand({}, {}, {}), paint_company())


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 1_000))
def test_more_at_hand_never_makes_fewer_and_the_next_limit_stands_beyond(seed):
    situation = RandomCompany(seed).situation()
    at = capacity.at_hand(situation.inputs, situation.periods[:2], CALENDAR)
    mix = situation.demand.groupby("item_id", as_index=False)["demand_qty"].sum().rename(columns={"demand_qty": "mix_qty"})
    found = capacity.buildable(mix[mix["mix_qty"] > 0], at, situation.inputs, situation.periods[0], CALENDAR)
    more = capacity.buildable(
        mix[mix["mix_qty"] > 0], at._replace(hours=at.hours + 10, stock=at.stock + 10), situation.inputs, situation.periods[0], CALENDAR
    )
    if found["limit"].iloc[0] != "none":
        assert (found["beyond_qty"].isna() | (found["beyond_qty"] >= found["buildable_qty"] - 1e-6)).all()
        assert pd.isna(more["buildable_qty"].iloc[0]) or more["buildable_qty"].iloc[0] >= found["buildable_qty"].iloc[0] - 1e-6


def test_at_hand_counts_stock_orders_hours_and_what_suppliers_can_bring_in_time():
    month = 365.25 / 12
    inputs = company(
        stock_on_hand=frame("stock_on_hand", [{"item_id": "C", "location_id": "P1", "on_hand_qty": 7, "as_of_date": "2025-12-31"}]),
        open_supply=frame(
            "open_supply",
            [
                {"order_id": "1", "item_id": "C", "location_id": "P1", "kind": "purchase", "due_date": "2026-02-10", "open_qty": 5},
                {"order_id": "2", "item_id": "C", "location_id": "P1", "kind": "purchase", "due_date": "2026-03-10", "open_qty": 90},
            ],
        ),
        supplier_item=frame(
            "supplier_item",
            [
                {"item_id": "M", "supplier_id": "A", "location_id": "P1", "unit_cost_amt": 1, "lead_time_days": month, "max_qty": 40},
                {"item_id": "N", "supplier_id": "A", "location_id": "P1", "unit_cost_amt": 1, "lead_time_days": 2 * month},
            ],
        ),
    )
    at = capacity.at_hand(inputs, MONTHS, CALENDAR)
    assert at.hours.to_dict() == {"R1": 620, "R2": 420}
    assert at.stock.to_dict() == {"C": 12}
    assert at.purchase.to_dict() == {"M": 40, "N": 0}


# ------------------------------------------------------------------ what was really booked
def shop_floor() -> dict[str, pd.DataFrame]:
    """Three orders of F at R1, three hours each whatever their size, the first in two operations; one order without a quantity."""
    begun = [("1", "10", 1.0, "2026-01-05"), ("1", "20", 2.0, "2026-02-02"), ("2", "10", 3.0, "2026-01-28"), ("3", "10", 3.0, "2026-01-27"),
             ("4", "10", 3.0, "2026-01-05")]
    return {
        "work_order_operation": frame("work_order_operation", [
            {"order_id": o, "operation_id": n, "item_id": "F", "work_centre_id": "R1", "booked_hours": h, "actual_start_date": d}
            for o, n, h, d in begun]),
        "work_order": frame("work_order", [{"order_id": o, "item_id": "F", "ordered_qty": q}
                                           for o, q in (("1", 10.0), ("2", 1.0), ("3", 2.0), ("4", None))]),
    }


def test_booked_hours_count_an_order_once_in_the_period_it_began_in():
    found = capacity.booked_load(shop_floor(), company()["capacity"], CALENDAR).set_index(["resource_id", "period"])
    assert len(found) == 1
    january = found.loc[("R1", MONTHS[0])]
    assert january[["order_count", "ordered_qty", "booked_hours"]].tolist() == [3, 13, 9]
    assert january["hours_per_unit"] == pytest.approx(9 / 13)
    assert january["utilisation_ratio"] == pytest.approx(9 / 300)
    shifted = capacity.booked_load(shop_floor(), company()["capacity"], Calendar("month", shift_days=4))
    assert shifted["booked_hours"].tolist() == [6, 3]  # the order of the 28th belongs to February


def test_a_work_centre_without_stated_hours_has_no_utilisation():
    found = capacity.booked_load(shop_floor(), company()["capacity"].query("resource_id != 'R1'"), CALENDAR)
    assert found["booked_hours"].tolist() == [9]
    assert found["utilisation_ratio"].isna().all()


def test_smaller_orders_take_more_hours_a_unit_and_what_was_not_made_keeps_its_own():
    routing = company()["routing"]
    shift = Calendar("month", shift_days=4)
    renewed = capacity.routing_as_booked(routing, shop_floor(), shift, pd.DatetimeIndex([MONTHS[1]]))
    assert renewed["hours_per_unit"].tolist() == [3.0, 2.0, 0.4]  # February holds the order of one unit alone
    assert list(renewed.columns) == list(routing.columns)
    both = capacity.routing_as_booked(routing, shop_floor(), shift, MONTHS)
    assert both["hours_per_unit"].iloc[0] == pytest.approx(9 / 13)


@given(st.lists(st.tuples(st.floats(0.5, 100), st.floats(0.5, 10)), min_size=1, max_size=8))
def test_the_routing_as_booked_gives_back_the_hours_booked(orders):
    made = {"item_id": "F", "work_centre_id": "R1", "operation_id": "10", "actual_start_date": pd.Timestamp("2026-01-05")}
    numbered = [(str(n), units, hours) for n, (units, hours) in enumerate(orders)]
    documents = {
        "work_order_operation": frame("work_order_operation", [{"order_id": n, "booked_hours": hours, **made} for n, _, hours in numbered]),
        "work_order": frame("work_order", [{"order_id": n, "item_id": "F", "ordered_qty": units} for n, units, _ in numbered]),
    }
    rate = capacity.routing_as_booked(company()["routing"], documents, CALENDAR, MONTHS)["hours_per_unit"].iloc[0]
    assert rate * sum(units for units, _ in orders) == pytest.approx(sum(hours for _, hours in orders))
