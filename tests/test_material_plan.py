"""Material requirements planning at places: mass balance, levels, lots, suppliers, interplant demand, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import RandomCompany, frame

from sop_workbench import lots, materials, tables
from sop_workbench.errors import DataError
from sop_workbench.periods import Calendar

CALENDAR = Calendar("month")
MONTHS = pd.date_range("2026-01-01", periods=4, freq="MS")
MONTH_DAYS = 365.25 / 12


def company(**changes: list[dict]) -> dict[str, pd.DataFrame]:
    """Bikes made at P from wheels made at Q (lane Q → P) of spokes bought at Q."""
    rows = {
        "item": [{"item_id": i, "item_name": i, "item_type": "component"} for i in ("bike", "wheel", "spoke")],
        "production": [{"item_id": "bike", "location_id": "P"}, {"item_id": "wheel", "location_id": "Q", "yield_ratio": 0.8}],
        "bill_of_material": [
            {"parent_item_id": "bike", "component_item_id": "wheel", "quantity_per": 2.0},
            {"parent_item_id": "wheel", "component_item_id": "spoke", "quantity_per": 30.0, "scrap_ratio": 0.25},
        ],
        "supplier_item": [{"item_id": "spoke", "supplier_id": "S", "location_id": "Q", "unit_cost_amt": 0.1, "lead_time_days": MONTH_DAYS}],
        "lane": [{"from_location_id": "Q", "to_id": "P", "lead_time_days": MONTH_DAYS}],
    } | changes
    return {name: frame(name, rows.get(name, [])) for name in tables.names("input")}


def demand_of(*quantities: float, item: str = "bike", place: str = "P") -> pd.DataFrame:
    return pd.DataFrame({"item_id": item, "location_id": place, "period": MONTHS[: len(quantities)], "demand_qty": quantities})


def plan_of(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame], **options) -> materials.MaterialPlan:
    return materials.plan_materials(demand, inputs, MONTHS, CALENDAR, **options)


def row(plan: materials.MaterialPlan, item: str, place: str, column: str) -> list[float]:
    found = plan.material_plan.query("item_id == @item and location_id == @place")
    return found[column].round(9).tolist()


def test_requirements_go_down_levels_places_and_lead_times_by_hand():
    plan = plan_of(demand_of(0, 0, 0, 10), company())
    assert row(plan, "bike", "P", "start_qty") == [0, 0, 0, 10]
    assert row(plan, "wheel", "P", "gross_qty") == [0, 0, 0, 20]
    assert row(plan, "wheel", "P", "start_qty") == [0, 0, 20, 0]  # a month on the lane
    assert row(plan, "wheel", "Q", "gross_qty") == [0, 0, 20, 0]  # interplant demand
    assert row(plan, "spoke", "Q", "gross_qty") == [0, 0, 20 / 0.8 * 30 / 0.75, 0]
    assert row(plan, "spoke", "Q", "start_qty") == [0, 1000, 0, 0]
    assert plan.material_plan.drop_duplicates(["item_id", "location_id"])["low_level_code"].tolist() == [0, 3, 1, 2]
    order = plan.planned_purchase.iloc[0]
    assert (order["period"], order["receipt_period"], order["purchase_cost_amt"]) == (MONTHS[1], MONTHS[2], pytest.approx(100))


def test_stock_orders_and_safety_stock_are_netted_at_every_level():
    inputs = company(
        stock_on_hand=[{"item_id": "wheel", "location_id": "P", "on_hand_qty": 5, "as_of_date": "2025-12-31"}],
        open_supply=[
            {"order_id": "1", "item_id": "wheel", "location_id": "P", "kind": "transfer", "due_date": "2025-12-01", "open_qty": 4}
        ],
    )
    target = pd.DataFrame({"item_id": "wheel", "location_id": "P", "period": MONTHS, "safety_stock_qty": [0.0, 0, 0, 3]})
    plan = plan_of(demand_of(0, 0, 0, 10), inputs, target=target)
    assert row(plan, "wheel", "P", "scheduled_qty") == [4, 0, 0, 0]  # past due: comes now
    assert row(plan, "wheel", "P", "net_qty") == [0, 0, 0, 20 + 3 - 9]
    assert row(plan, "wheel", "P", "projected_qty") == [9, 9, 9, 3]


def test_what_should_have_started_earlier_starts_now_and_is_said_to_be_late():
    plan = plan_of(demand_of(10, 0, 0, 0), company())
    assert row(plan, "wheel", "P", "start_qty") == [20, 0, 0, 0]
    assert row(plan, "wheel", "P", "late_qty") == [20, 0, 0, 0]
    assert plan.planned_purchase["is_late"].all()


def test_component_without_source_is_named_and_its_lack_shown():
    inputs = company(supplier_item=[])
    plan = plan_of(demand_of(0, 0, 1, 1), inputs)
    found = plan.material_plan.query("item_id == 'spoke'")
    assert (found["source"] == "none").all()
    assert found["unsupplied_qty"].sum() == pytest.approx(2 * 2 / 0.8 * 40)
    assert (found["projected_qty"].iloc[-1]) == pytest.approx(-200)


def test_lines_count_from_the_shifted_day():
    inputs = company(
        bill_of_material=[
            {"parent_item_id": "bike", "component_item_id": "wheel", "quantity_per": 2.0, "valid_to": "2026-02-27"},
            {"parent_item_id": "bike", "component_item_id": "wheel", "quantity_per": 3.0, "valid_from": "2026-02-28"},
        ]
    )
    for shift, third in ((0, 30), (4, 20)):  # shifted by four days, March begins on 25 February
        plan = materials.plan_materials(demand_of(0, 0, 10, 0), inputs, MONTHS, Calendar("month", shift_days=shift))
        assert row(plan, "wheel", "P", "gross_qty")[2] == third


# ------------------------------------------------------------------ suppliers
def offers(*suppliers: dict) -> dict[str, pd.DataFrame]:
    return company(supplier_item=[{"item_id": "spoke", "location_id": "Q", "lead_time_days": 0.0, **one} for one in suppliers])


def orders(plan: materials.MaterialPlan) -> dict[tuple[str, int], float]:
    return {(r.supplier_id, MONTHS.get_loc(r.receipt_period)): round(r.purchase_qty, 6) for r in plan.planned_purchase.itertuples()}


def test_the_cheapest_supplier_first_up_to_its_limit_then_the_next():
    inputs = offers(
        {"supplier_id": "A", "unit_cost_amt": 1.0, "max_qty": 60}, {"supplier_id": "B", "unit_cost_amt": 2.0, "min_order_qty": 50}
    )
    plan = plan_of(demand_of(100, 30, item="spoke", place="Q"), inputs)
    # B delivers at least 50: 10 too many, which are taken off what is asked of A next.
    assert orders(plan) == {("A", 0): 60, ("B", 0): 50, ("A", 1): 20}
    assert plan.planned_purchase["purchase_cost_amt"].sum() == 60 + 100 + 20


def test_shares_are_kept_and_multiples_too():
    inputs = offers(
        {"supplier_id": "A", "unit_cost_amt": 1.0, "share_ratio": 0.3},
        {"supplier_id": "B", "unit_cost_amt": 2.0, "share_ratio": 0.7, "order_multiple_qty": 20},
    )
    assert orders(plan_of(demand_of(100, item="spoke", place="Q"), inputs)) == {("A", 0): 30, ("B", 0): 80}


def test_a_dearer_supplier_that_is_in_time_goes_before_a_cheaper_late_one():
    inputs = offers(
        {"supplier_id": "slow", "unit_cost_amt": 1.0, "lead_time_days": MONTH_DAYS}, {"supplier_id": "quick", "unit_cost_amt": 5.0}
    )
    assert orders(plan_of(demand_of(10, 10, item="spoke", place="Q"), inputs)) == {("quick", 0): 10, ("slow", 1): 10}


def test_what_no_limit_lets_come_is_asked_for_again():
    inputs = offers({"supplier_id": "A", "unit_cost_amt": 1.0, "max_qty": 60})
    plan = plan_of(demand_of(100, 0, 0, 0, item="spoke", place="Q"), inputs)
    assert orders(plan) == {("A", 0): 60, ("A", 1): 40}
    assert row(plan, "spoke", "Q", "unsupplied_qty") == [40, 0, 0, 0]
    assert row(plan, "spoke", "Q", "projected_qty") == [-40, 0, 0, 0]


# ------------------------------------------------------------------ invariants
@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 2_000), st.sampled_from([None, "period_order", "silver_meal", "wagner_whitin"]))
def test_mass_balances_for_every_item_place_and_period(seed, rule):
    situation = RandomCompany(seed).situation()
    inputs = {**situation.inputs, "item": situation.inputs["item"].assign(lot_rule=rule)}
    demand = situation.demand.assign(location_id="W")
    target = situation.target
    plan = materials.plan_materials(demand, inputs, situation.periods, CALENDAR, target=target)
    rows = plan.material_plan
    moved = rows["opening_qty"] + rows["scheduled_qty"] + rows["receipt_qty"] - rows["gross_qty"]
    assert np.allclose(moved, rows["projected_qty"], atol=1e-6)
    carried = rows.groupby(["item_id", "location_id"])["projected_qty"].shift()
    assert np.allclose(rows["opening_qty"][carried.notna()], carried.dropna(), atol=1e-6)
    bought = plan.planned_purchase.groupby(["item_id", "location_id"])["purchase_qty"].sum()
    received = rows[rows["source"] == "buy"].groupby(["item_id", "location_id"])["receipt_qty"].sum()
    assert np.allclose(bought.reindex(received.index).fillna(0.0), received, atol=1e-6)
    _assert_dependent_demand(rows, inputs)
    served = rows[rows["unsupplied_qty"].groupby([rows["item_id"], rows["location_id"]]).transform("sum") < 1e-9]
    assert (served["projected_qty"] >= -1e-6).all()


def _assert_dependent_demand(rows: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> None:
    """What is taken of every component is what its parents start, and what other places are sent."""
    made = rows[rows["source"] == "make"].merge(
        inputs["production"][["item_id", "location_id", "yield_ratio"]], on=["item_id", "location_id"]
    )
    lines = made.merge(inputs["bill_of_material"], left_on="item_id", right_on="parent_item_id")
    lines["taken"] = lines["start_qty"] / lines["yield_ratio"] * lines["quantity_per"] / (1 - lines["scrap_ratio"])
    parts = lines[["component_item_id", "location_id", "period", "taken"]].set_axis(["item_id", "location_id", "period", "taken"], axis=1)
    sent = rows[rows["source"] == "transfer"][["item_id", "from_location_id", "period", "start_qty"]]
    sent = sent.set_axis(["item_id", "location_id", "period", "taken"], axis=1)
    key = ["item_id", "location_id", "period"]
    taken = pd.concat([parts, sent]).groupby(key)["taken"].sum()
    dependent = (rows["gross_qty"] - rows["independent_qty"]).set_axis(pd.MultiIndex.from_frame(rows[key]))
    assert np.allclose(dependent, taken.reindex(dependent.index).fillna(0.0), atol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_lot_rules_serve_every_period_and_treat_many_items_as_one_at_a_time(seed):
    draw = np.random.default_rng(seed)
    net = np.where(draw.random((4, 9)) < 0.3, 0.0, draw.integers(1, 90, (4, 9)).astype(float))
    order, holding = draw.uniform(20, 300, 4), draw.uniform(0.2, 3, 4)
    periods = lots.economic_periods(net, order, holding)
    found = {
        "least": lots.wagner_whitin(net, order, holding),
        "sm": lots.silver_meal(net, order, holding),
        "poq": lots.period_lots(net, periods),
        "lfl": lots.lot_for_lot(net),
    }
    for row_number in range(4):
        one = net[row_number], order[row_number], holding[row_number]
        assert found["least"][row_number].tolist() == lots.wagner_whitin(*one).tolist()
        assert found["sm"][row_number].tolist() == lots.silver_meal(*one).tolist()
        assert found["poq"][row_number].tolist() == lots.period_lots(net[row_number], periods[row_number]).tolist()
        cost = {name: lots.lot_cost(rows[row_number], *one) for name, rows in found.items()}
        assert cost["least"] <= min(cost.values()) + 1e-9
        assert all(np.isclose(rows[row_number].sum(), net[row_number].sum()) for rows in found.values())


# ------------------------------------------------------------------ bad input
def test_every_impossible_number_is_named_at_once():
    inputs = company()
    inputs["production"] = inputs["production"].assign(lead_time_days=[-3.0, 0.0], yield_ratio=[1.0, 0.0])
    inputs["supplier_item"] = inputs["supplier_item"].assign(lead_time_days=-1.0)
    inputs["bill_of_material"] = inputs["bill_of_material"].assign(scrap_ratio=1.0)
    with pytest.raises(DataError) as fault:
        plan_of(demand_of(1), inputs)
    told = str(fault.value)
    for words in (
        "production: negative_lead_time at item_id=bike location_id=P, value -3",
        "yield_of_nothing at item_id=wheel",
        "supplier_item: negative_lead_time at item_id=spoke",
        "scrap_of_everything",
    ):
        assert words in told


def test_a_loop_in_the_bill_of_material_is_named():
    inputs = company(
        bill_of_material=[
            {"parent_item_id": "bike", "component_item_id": "wheel", "quantity_per": 1.0},
            {"parent_item_id": "wheel", "component_item_id": "bike", "quantity_per": 1.0},
        ]
    )
    with pytest.raises(DataError, match="bike → wheel → bike"):
        plan_of(demand_of(1), inputs)


def test_nothing_demanded_is_an_empty_plan():
    plan = plan_of(demand_of(), company())
    assert plan.material_plan.empty
    assert plan.planned_purchase.empty


def test_components_of_planned_production_by_hand():
    production = pd.DataFrame({"item_id": ["bike", "bike"], "location_id": "P", "period": MONTHS[:2], "production_qty": [3.0, 0.0]})
    found = materials.component_demand(production, company()["bill_of_material"], CALENDAR)
    assert found.to_dict("records") == [{"item_id": "wheel", "location_id": "P", "period": MONTHS[0], "demand_qty": 6.0}]
