"""Root causes: every level sums to the deviation to the cent, and what is planted in the demo comes out first."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from small_company import rows

from sop_workbench import driver_tree, execution, finance, tables
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings, load_settings
from sop_workbench.sources import load_inputs

DEMO = Path(__file__).parents[1] / "data" / "demo"
PLANTED = yaml.safe_load((DEMO / "planted.yaml").read_text(encoding="utf-8"))
CALENDAR = Calendar("month")
SETTINGS = Settings(company="Small")
AUGUST, SEPTEMBER = pd.Timestamp("2026-08-01"), pd.Timestamp("2026-09-01")
AS_OF = pd.Timestamp("2026-09-30")
NAMES = ("sales_history", "production_history", "stock_history", "stock_on_hand", "price", "event", "open_supply", "supplier_item",
         "bill_of_material", "routing", "capacity", "unit_cost_history")
ITEM = rows("item", *({"item_id": i, "item_name": i, "item_type": t, "family": f, "standard_cost_amt": c} for i, t, f, c in (
    ("A", "finished", "Bikes", 10), ("B", "finished", "Bikes", 30), ("C", "finished", "Trailers", 20), ("T", "component", None, 2),
    ("V", "material", None, 1))))
MARKET = rows("market", *({"market_id": m, "market_name": m, "region": r, "channel": "Shop"} for m, r in (("N", "North"), ("S", "South"))))


def company(**changes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"item": ITEM, "market": MARKET, **{name: tables.table(name).empty() for name in NAMES}, **changes}


def plan(*records: tuple) -> pd.DataFrame:
    names = ["lock_cycle_id", "stream", "item_id", "market_id", "period", "plan_qty"]
    return rows("plan_archive", *(dict(zip(names, record, strict=True)) for record in records))


def sold(*records: tuple) -> pd.DataFrame:
    names = ["item_id", "market_id", "period", "ordered_qty", "shipped_qty", "on_time_qty", "net_sales_amt"]
    return rows("sales_history", *(dict(zip(names, record, strict=True)) for record in records))


def prices(**by_item: float) -> pd.DataFrame:
    cells = ((i, m, p) for i, p in by_item.items() for m in "NS")
    return rows("price", *({"item_id": i, "market_id": m, "valid_from": "2026-01-01", "price_amt": p} for i, m, p in cells))


def grown(archive: pd.DataFrame, inputs: dict, **more) -> pd.DataFrame:
    deviation = execution.plan_deviation(archive, inputs, AS_OF, CALENDAR)
    return driver_tree.driver_tree(deviation, inputs, SETTINGS, CALENDAR, **more)


def money(tree: pd.DataFrame, measure: str, kind: str, level: str, period: pd.Timestamp = SEPTEMBER) -> pd.Series:
    mine = tree[(tree["measure"] == measure) & (tree["tree"] == kind) & (tree["level"] == level) & (tree["period"] == period)]
    return mine.set_index("cause" if level == "cause" else "driver")["deviation_amt"]


# ------------------------------------------------------------------ what moved
def test_what_moved_is_the_published_price_volume_mix_case():
    archive = plan(*(("2026-09", "consensus", i, "N", SEPTEMBER, q) for i, q in (("A", 1000), ("B", 800), ("C", 500))))
    history = sold(*((i, "N", SEPTEMBER, q, q, q, q * p) for i, q, p in (("A", 1000, 11), ("B", 700, 15), ("C", 800, 23))))
    tree = grown(archive, company(sales_history=history, price=prices(A=10, B=15, C=20)))
    steps = money(tree, "revenue", "what moved", "driver")
    assert steps.round(2).to_dict() == {"price": 3400.00, "volume": 2782.61, "mix": 1717.39}
    assert money(tree, "revenue", "what moved", "total").tolist() == pytest.approx([7900])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABCDEF"), st.integers(0, 500), st.integers(0, 500), st.floats(1, 90), st.floats(1, 90)),
                min_size=1, max_size=6, unique_by=lambda row: row[0]))
def test_what_moved_equals_the_bridge_of_the_same_rows(cells):
    frame = pd.DataFrame(cells, columns=["item_id", "plan_qty", "shipped_qty", "price_amt", "paid"]).assign(market_id="N")
    frame = frame.assign(net_sales_amt=frame["paid"] * frame["shipped_qty"], worth=frame["price_amt"])
    leaves = driver_tree.commercial_leaves(frame, "revenue")
    before = frame.assign(volume_qty=frame["plan_qty"], revenue_amt=frame["plan_qty"] * frame["price_amt"])
    after = frame.assign(volume_qty=frame["shipped_qty"], revenue_amt=frame["net_sales_amt"])
    bars = finance.price_volume_mix(before, after).set_index("bar")["amount_amt"]
    found = leaves.groupby("driver")["amount"].sum()
    assert found.sum() == pytest.approx(bars["After"] - bars["Before"], abs=0.005)
    for driver, bar in (("volume", "Volume"), ("mix", "Mix"), ("not sold", "Lost items")):
        assert found.get(driver, 0.0) == pytest.approx(bars[bar], abs=0.005)


def test_actual_cost_moves_margin_and_only_where_it_is_booked():
    archive = plan(*(("2026-09", "consensus", i, "N", SEPTEMBER, 100) for i in "AB"))
    history = sold(*((i, "N", SEPTEMBER, 100, 100, 100, 100 * p) for i, p in (("A", 40), ("B", 50))))
    booked = rows("unit_cost_history", {"item_id": "A", "period": SEPTEMBER, "actual_cost_amt": 13})
    tree = grown(archive, company(sales_history=history, price=prices(A=40, B=50), unit_cost_history=booked))
    for kind in ("what moved", "why"):
        assert money(tree, "margin", kind, "driver").to_dict() == {"cost": -300.0}
    assert money(tree, "revenue", "why", "total").empty, "on plan in every row: there is nothing to explain"


# ------------------------------------------------------------------ why
def test_a_biased_stream_is_charged_with_its_weight_and_the_rest_is_not_foreseen():
    months = [AUGUST, SEPTEMBER]
    archive = plan(*((f"{m:%Y-%m}", stream, i, "N", m, q) for m in months for i in "AB" for stream, q in (
        ("statistical", 100), ("sales", 150), ("consensus", 120 if i == "A" else 120))))
    history = sold(*((i, "N", m, 100, 100, 100, 1000) for m in months for i in "AB"))
    tree = grown(archive, company(sales_history=history, price=prices(A=10, B=10)))
    weight = driver_tree.stream_bias(execution.plan_deviation(archive, company(sales_history=history), AS_OF, CALENDAR), company())
    assert weight["weight_ratio"].sum() == pytest.approx(1)
    causes = money(tree, "revenue", "why", "cause")
    sales = weight.set_index("stream").loc["sales"]
    assert sales["bias_ratio"] == pytest.approx(1 / 3)
    assert causes["sales stream"] == pytest.approx(-2 * sales["weight_ratio"] * 150 / 3 * 10)
    assert causes.sum() == pytest.approx(-2 * 20 * 10)
    assert causes.index[0] == "sales stream"


def test_the_bias_of_a_stream_is_told_by_the_person_who_put_it_in():
    """Ann says 50 % too much for A, Bob 25 % too little for B; both rows follow sales half."""
    archive = plan(*(("2026-09", stream, i, "N", SEPTEMBER, q) for i, given in (("A", (100, 200, 150)), ("B", (100, 60, 80)))
                     for stream, q in zip(("statistical", "sales", "consensus"), given, strict=True)))
    history = sold(("A", "N", SEPTEMBER, 100, 100, 100, 1000), ("B", "N", SEPTEMBER, 75, 75, 75, 750))
    said = rows("demand_input", *({"source": "sales", "author": who, "item_id": i, "market_id": "N", "period": SEPTEMBER, "input_qty": 1.0}
                                  for who, i in (("Ann", "A"), ("Bob", "B"))))
    inputs = company(sales_history=history, price=prices(A=10, B=10), demand_input=said)
    bias = driver_tree.stream_bias(execution.plan_deviation(archive, inputs, AS_OF, CALENDAR), inputs)
    sales = bias[bias["stream"] == "sales"].set_index("author")
    assert sales["bias_ratio"].to_dict() == {"Ann": 0.5, "Bob": -0.25}
    assert sales["weight_ratio"].tolist() == pytest.approx([0.5, 0.5])
    tree = grown(archive, inputs)
    mine = tree[(tree["measure"] == "revenue") & (tree["tree"] == "why") & (tree["level"] == "author") & (tree["cause"] == "sales stream")]
    assert mine.set_index("member")["deviation_amt"].to_dict() == pytest.approx({"Ann": -0.5 * 0.5 * 200 * 10, "Bob": 0.5 * 0.25 * 60 * 10})
    assert mine["evidence"].iloc[0] == "weight 50%; what Ann says is 50% too high in North"
    by_cause = money(tree, "revenue", "why", "cause")
    assert by_cause["sales stream"] == pytest.approx(mine["deviation_amt"].sum())


def shortage() -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Bikes made at half, trailers by plan: tubes of resource WELD and valves of supplier S9 are inside the bikes only."""
    archive = plan(*(("2026-09", stream, i, "P1" if stream == "production" else "N", SEPTEMBER, 100)
                     for i in "ABC" for stream in ("consensus", "constrained", "production")))
    history = sold(("A", "N", SEPTEMBER, 100, 50, 40, 2000), ("B", "N", SEPTEMBER, 100, 100, 100, 5000),
                   ("C", "N", SEPTEMBER, 100, 100, 100, 3000))
    made = rows("production_history", *({"item_id": i, "location_id": "P1", "period": SEPTEMBER, "produced_qty": q}
                                        for i, q in (("A", 50), ("B", 97), ("C", 40))))
    bom = rows("bill_of_material", {"parent_item_id": "A", "component_item_id": "T", "quantity_per": 1},
               {"parent_item_id": "B", "component_item_id": "T", "quantity_per": 1},
               {"parent_item_id": "T", "component_item_id": "V", "quantity_per": 1})
    routing = rows("routing", {"item_id": "T", "location_id": "P1", "resource_id": "WELD", "hours_per_unit": 1},
                   {"item_id": "C", "location_id": "P1", "resource_id": "LINE", "hours_per_unit": 1})
    price = prices(A=40, B=50, C=30)
    return archive, company(sales_history=history, production_history=made, bill_of_material=bom, routing=routing, price=price)


def late_valves(on_hand: float) -> dict[str, pd.DataFrame]:
    order = {"order_id": "PO1", "item_id": "V", "location_id": "P1", "kind": "purchase", "due_date": "2026-09-10", "open_qty": 60}
    orders = rows("open_supply", order)
    supplier = rows("supplier_item", {"item_id": "V", "supplier_id": "S9", "location_id": "P1", "unit_cost_amt": 1})
    stock = rows("stock_on_hand", {"item_id": "V", "location_id": "P1", "on_hand_qty": on_hand, "as_of_date": AS_OF})
    return {"open_supply": orders, "supplier_item": supplier, "stock_on_hand": stock}


def test_a_late_part_deep_inside_explains_what_was_not_made_and_not_shipped():
    archive, inputs = shortage()
    tree = grown(archive, {**inputs, **late_valves(on_hand=5)})
    made = money(tree, "production", "why", "cause")
    expected = {"S9": -50 * 10, "made below plan": -3 * 30 - 60 * 20}
    assert made.to_dict() == pytest.approx(expected), "B is inside tolerance, C holds no valve"
    assert money(tree, "revenue", "why", "cause")["S9"] == pytest.approx(-50 * 40)
    assert money(tree, "service", "why", "cause")["S9"] == pytest.approx(-60 * 40)


def test_an_overdue_order_with_enough_in_stock_is_no_cause():
    archive, inputs = shortage()
    assert "S9" not in money(grown(archive, {**inputs, **late_valves(on_hand=60)}), "production", "why", "cause")


def test_an_outage_names_the_resource_and_goes_before_a_late_part():
    archive, inputs = shortage()
    fire = {"event_id": "E1", "kind": "outage", "resource_id": "WELD", "from_period": SEPTEMBER, "to_period": SEPTEMBER}
    outage = rows("event", fire)
    made = money(grown(archive, {**inputs, **late_valves(5), "event": outage}), "production", "why", "cause")
    assert made["WELD"] == pytest.approx(-500)
    assert "S9" not in made


def test_hours_that_fell_short_of_what_is_usual_are_lost_capacity():
    archive, inputs = shortage()
    hours = [(AUGUST - pd.DateOffset(months=1), 95), (AUGUST, 97), (SEPTEMBER, 40)]
    capacity = rows("capacity", *({"resource_id": "LINE", "period": p, "regular_hours": 100, "overtime_hours": 0, "demonstrated_hours": h}
                                  for p, h in hours))
    tree = grown(archive, {**inputs, "capacity": capacity})
    assert money(tree, "production", "why", "cause")["LINE"] == pytest.approx(-60 * 20)
    said = tree[(tree["measure"] == "production") & (tree["cause"] == "LINE")]["evidence"].iloc[0]
    assert said == "showed 58% fewer hours than it usually does"


def test_a_promotion_explains_its_rows_and_its_overspend():
    archive = plan(*(("2026-09", "consensus", "A", m, SEPTEMBER, 100) for m in "NS"))
    history = sold(("A", "N", SEPTEMBER, 180, 180, 180, 7200), ("A", "S", SEPTEMBER, 90, 90, 90, 3600))
    event = rows("event", {"event_id": "E7", "kind": "promotion", "family": "Bikes", "region": "North", "from_period": SEPTEMBER,
                           "to_period": SEPTEMBER, "uplift_ratio": 0.3, "cost_amt": 500, "actual_cost_amt": 900})
    tree = grown(archive, company(sales_history=history, price=prices(A=40), event=event))
    assert money(tree, "margin", "why", "driver").to_dict() == pytest.approx(
        {"promotion": 80 * 30, "promotion cost": -400, "demand not foreseen": -10 * 30})
    assert money(tree, "margin", "what moved", "total").tolist() == pytest.approx([70 * 30 - 400])
    assert "promotion cost" not in money(tree, "revenue", "why", "driver")


def test_a_plan_that_came_true_has_no_tree():
    archive = plan(("2026-09", "consensus", "A", "N", SEPTEMBER, 100))
    history = sold(("A", "N", SEPTEMBER, 100, 100, 100, 4000))
    assert grown(archive, company(sales_history=history, price=prices(A=40))).empty


def test_without_locked_plans_there_is_no_tree():
    empty = execution.plan_deviation(tables.table("plan_archive").empty(), company(), AS_OF, CALENDAR)
    assert driver_tree.driver_tree(empty, company(), SETTINGS, CALENDAR).empty


# ------------------------------------------------------------------ sums
@st.composite
def companies(draw) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Random plans, orders, shipments, money, production and counts of three items in two markets."""
    quantity, cents = st.integers(0, 300), st.integers(-5000, 50000)
    cells = [(i, m) for i in "ABC" for m in "NS" if draw(st.booleans()) or (i, m) == ("A", "N")]
    streams = ("statistical", "sales", "consensus", "constrained")
    archive = [("2026-09", stream, i, m, SEPTEMBER, draw(quantity)) for i, m in cells for stream in streams]
    archive += [("2026-09", "production", i, "P1", SEPTEMBER, draw(quantity)) for i in "ABC"]
    history = []
    for i, m in cells:
        ordered = draw(quantity)
        shipped = draw(st.integers(0, ordered + 20))
        history.append((i, m, SEPTEMBER, ordered, shipped, draw(st.integers(0, shipped)), draw(cents) / 100 * shipped))
    made = rows("production_history",
                *({"item_id": i, "location_id": "P1", "period": SEPTEMBER, "produced_qty": draw(quantity)} for i in "ABC"))
    stock = rows("stock_history", *({"item_id": i, "location_id": "W", "period": p, "closing_qty": draw(quantity)}
                                    for i in "ABC" for p in (AUGUST, SEPTEMBER)))
    price = prices(**{i: draw(st.integers(1, 9999)) / 100 for i in "ABC"})
    return plan(*archive), company(sales_history=sold(*history), production_history=made, stock_history=stock, price=price)


@settings(max_examples=20, deadline=None)
@given(companies(), st.floats(0, 1))
def test_every_level_of_either_tree_is_the_deviation_to_the_cent(drawn, explained):
    archive, inputs = drawn
    tree = grown(archive, inputs, explained_ratio=explained)
    price = inputs["price"].drop_duplicates("item_id").set_index("item_id")["price_amt"]
    approved = archive[archive["stream"] == "constrained"]
    history = inputs["sales_history"]
    revenue = history["net_sales_amt"].sum() - (approved["plan_qty"] * approved["item_id"].map(price)).sum()
    cost = ITEM.set_index("item_id")["standard_cost_amt"]
    approved_cost = (approved["plan_qty"] * approved["item_id"].map(cost)).sum()
    margin = revenue - (history["shipped_qty"] * history["item_id"].map(cost)).sum() + approved_cost
    stock, to_make = inputs["stock_history"], archive[archive["stream"] == "production"]
    value = stock["closing_qty"] * stock["item_id"].map(cost) * np.where(stock["period"] == SEPTEMBER, 1, -1)
    planned = (to_make["plan_qty"] * to_make["item_id"].map(cost)).sum() - approved_cost
    expected = {"revenue": revenue, "margin": margin, "inventory": value.sum() - planned}
    if tree.empty:
        assert list(expected.values()) == pytest.approx([0.0] * 3, abs=0.005), "everything came as planned"
        return
    sums = tree.groupby(["measure", "tree", "level"])["deviation_amt"].sum().unstack("level")
    totals = sums["total"]
    assert (sums.sub(totals, axis=0).abs() < 0.005).all(axis=None)
    for measure, whole in expected.items():
        assert totals.get((measure, "why"), 0.0) == pytest.approx(whole, abs=0.005)
        assert totals.get((measure, "what moved"), whole) == pytest.approx(whole, abs=0.005)


def test_a_tree_that_does_not_sum_is_refused():
    leaf = {"measure": "margin", "cause": "x", "author": "", "family": "F", "item_id": "A", "place": "N", "evidence": "", "driver": "price"}
    leaves = pd.DataFrame([{**leaf, "tree": "why", "amount": 5.0}, {**leaf, "tree": "what moved", "amount": 4.0}])
    with pytest.raises(ArithmeticError, match="margin"):
        driver_tree.grown(leaves)


# ------------------------------------------------------------------ the demo company
DEMO_CYCLES = ("2026-08", "2026-09", "2026-10")


@cache
def demo(cycle_id: str = "2026-10") -> pd.DataFrame:
    """The tree that a cycle of the demo shows, of what was known then, against the plans of the rounds before the workbench."""
    company_settings = load_settings(DEMO)
    as_of = company_settings.calendar.as_of(cycle_id)
    inputs, _ = load_inputs(company_settings, DEMO, as_of)
    known = inputs["plan_archive"][inputs["plan_archive"]["lock_cycle_id"] < cycle_id]
    deviation = execution.plan_deviation(known, inputs, as_of, company_settings.calendar)
    return driver_tree.driver_tree(deviation, inputs, company_settings, company_settings.calendar)


def first(measure: str, level: str, period: pd.Timestamp, cycle_id: str = "2026-10") -> pd.Series:
    tree = demo(cycle_id)
    mine = tree[(tree["measure"] == measure) & (tree["tree"] == "why") & (tree["level"] == level) & (tree["period"] == period)]
    return mine[mine["sequence"] == 1].iloc[0]


@pytest.mark.parametrize("cycle_id", DEMO_CYCLES)
@pytest.mark.parametrize("measure", ["revenue", "margin"])
def test_demo_the_biased_sales_stream_comes_first(measure, cycle_id):
    periods = sorted(demo(cycle_id)["period"].unique())
    assert periods == list(pd.date_range("2026-04-01", CALENDAR.add(CALENDAR.cycle_period(cycle_id), -1), freq="MS"))
    for period in periods:
        found = first(measure, "cause", period, cycle_id)
        assert (found["driver"], found["cause"]) == ("biased forecast", "sales stream"), period
        assert found["deviation_amt"] < 0


def test_demo_the_people_behind_the_biased_stream_are_those_who_game():
    """Over-optimists cost revenue in every month, the one who sandbags hid some; nobody else stands in the sales stream."""
    tree, gaming = demo(), PLANTED["streams"]["gaming"]
    said = tree[(tree["measure"] == "revenue") & (tree["level"] == "author") & (tree["cause"] == "sales stream")]
    assert set(said["member"]) == set(gaming) - {"E. Sandberg"}, "she speaks for marketing"
    money_of = said.groupby("member")["deviation_amt"]
    assert {who: np.sign(part).unique().tolist() for who, part in money_of} == {
        who: [1.0 if gaming[who]["flag"] == "sandbagging" else -1.0] for who in money_of.groups}


@pytest.mark.parametrize("cycle_id", ["2026-09", "2026-10"])
@pytest.mark.parametrize("measure", ["production", "inventory"])
def test_demo_the_fire_in_the_burner_cell_comes_first_in_august(measure, cycle_id):
    found = first(measure, "cause", pd.Timestamp(PLANTED["history"]["outage"]["period"]), cycle_id)
    assert (found["driver"], found["cause"]) == ("capacity loss", PLANTED["history"]["outage"]["resource"])
    assert first(measure, "family", AUGUST, cycle_id)["member"] == PLANTED["history"]["outage"]["family"]


@pytest.mark.parametrize("measure", ["production", "inventory", "service"])
def test_demo_the_late_supplier_comes_first_in_september(measure):
    found = first(measure, "cause", SEPTEMBER)
    assert (found["driver"], found["cause"]) == ("late supplier", PLANTED["supply"]["late_supplier"]["supplier"])
    assert first(measure, "family", SEPTEMBER)["member"] == "Patio Heaters"


@pytest.mark.parametrize("cycle_id", DEMO_CYCLES)
def test_demo_the_overspent_promotion_is_the_largest_single_item_of_april(cycle_id):
    planted = PLANTED["history"]["overspend"]
    found = first("margin", "item × place", pd.Timestamp(planted["period"]), cycle_id)
    assert (found["driver"], found["cause"], found["member"]) == ("promotion cost", planted["event"], "North")
    assert found["deviation_amt"] == planted["planned"] - planted["booked"]


def test_demo_levels_sum_and_few_items_hold_most():
    tree = demo()
    sums = tree.groupby(["measure", "tree", "period", "level"])["deviation_amt"].sum().unstack("level")
    assert (sums.sub(sums["total"], axis=0).abs() < 0.005).all(axis=None)
    items = tree[(tree["level"] == "item × place") & (tree["member"] != driver_tree.OTHERS)]
    named = items["deviation_amt"].abs().groupby([items["measure"], items["tree"], items["period"]]).sum()
    assert (named > 0).all()
