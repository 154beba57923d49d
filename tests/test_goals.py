"""Beside what was promised: last estimate, sources of revenue, and what must be true to reach the goal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_company import PERIODS, SETTINGS, inputs, rows

from sop_workbench import finance, goals, tables

ITEM = inputs()["item"]


def served(*records: tuple) -> pd.DataFrame:
    """Rows of `unmet_demand`: item, market, period, demand, served, price."""
    return rows("unmet_demand", *({"item_id": i, "market_id": m, "period": p, "demand_qty": d, "served_qty": s, "lost_qty": d - s,
                                   "backlog_qty": 0, "price_amt": a, "lost_revenue_amt": (d - s) * a} for i, m, p, d, s, a in records))


def pipeline(*records: tuple) -> pd.DataFrame:
    columns = ("item_id", "market_id", "period", "demand_qty")
    return rows("demand_stream", *({"stream": "pipeline", **dict(zip(columns, record, strict=True))} for record in records))


def launches(*records: tuple) -> pd.DataFrame:
    return rows("launch_forecast", *({"item_id": i, "market_id": m, "period": p, "forecast_qty": 1, "low_qty": 0, "high_qty": 2,
                                      "method": "like item", "weight_ratio": w} for i, m, p, w in records))


def test_opportunities_and_new_products_stand_apart_from_the_run_rate():
    plan = served(("B1", "N", PERIODS[0], 100, 80, 10.0), ("T1", "N", PERIODS[0], 50, 50, 20.0))
    found = goals.revenue_sources(plan, launches(("T1", "N", PERIODS[0], 0.6)), pipeline(("B1", "N", PERIODS[0], 25)), ITEM)
    assert found.set_index(["family", "source"])["revenue_amt"].to_dict() == pytest.approx(
        {("Bikes", "run rate"): 600, ("Bikes", "opportunities"): 200, ("Trailers", "run rate"): 400, ("Trailers", "new products"): 600})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(0, 120), st.floats(0, 1)), min_size=1, max_size=4))
def test_sources_of_revenue_always_sum_to_it(cells):
    plan = served(*(("B1", "N", p, max(d, s), s, 12.5) for p, (d, s, _, _) in zip(PERIODS, cells, strict=False)))
    young = launches(*(("B1", "N", p, w) for p, (_, _, _, w) in zip(PERIODS, cells, strict=False)))
    deals = pipeline(*(("B1", "N", p, q) for p, (_, _, q, _) in zip(PERIODS, cells, strict=False)))
    found = goals.revenue_sources(plan, young, deals, ITEM)
    assert found["revenue_amt"].sum() == pytest.approx((plan["served_qty"] * plan["price_amt"]).sum(), abs=0.005)
    assert (found["revenue_amt"] >= -1e-9).all()


def projection(*records: tuple) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=["family", "period", "revenue_amt"])
    filled = {c: 0.0 for c in tables.table("financial_projection").columns if c not in (*frame, "region")}
    frame = frame.assign(region="North", **filled)
    return tables.validate("financial_projection", frame.assign(gross_margin_amt=0.4 * frame["revenue_amt"]))


def test_the_last_estimate_is_compared_where_both_plans_look():
    before = projection(("Bikes", PERIODS[0], 90), ("Bikes", PERIODS[1], 100), ("Carts", PERIODS[1], 30))
    now = projection(("Bikes", PERIODS[1], 120), ("Bikes", PERIODS[2], 500), ("Trailers", PERIODS[1], 40))
    gap = goals.estimate_gap(now, before, "2026-12").set_index("family")
    assert gap["revenue_gap_amt"].to_dict() == {"Bikes": 20, "Carts": -30, "Trailers": 40}
    assert gap["gross_margin_gap_amt"].sum() == pytest.approx(0.4 * 30)
    assert set(gap["period"]) == {PERIODS[1]}


def test_the_bridge_from_the_last_plan_has_new_and_lost_items_apart():
    before = served(("B1", "N", PERIODS[0], 99, 99, 9.0), ("B1", "N", PERIODS[1], 10, 10, 9.0), ("F1", "S", PERIODS[1], 5, 5, 2.0))
    now = served(("B1", "N", PERIODS[1], 12, 12, 10.0), ("T1", "S", PERIODS[1], 4, 4, 3.0))
    bars = finance.last_plan_bridge(before, now)
    assert bars["bridge"].unique().tolist() == ["last plan to this plan"]
    assert bars.set_index("bar")["amount_amt"].to_dict() == pytest.approx(
        {"Before": 100, "Price": 12, "Volume": 18, "Mix": 0, "New items": 12, "Lost items": -10, "After": 132})
    assert finance.last_plan_bridge(before, served(("B1", "N", PERIODS[3], 1, 1, 1.0))).empty


# ------------------------------------------------------------------ goals
def gap(plan: float, budget: float, margin: float | None = None) -> pd.DataFrame:
    money = projection(("Bikes", PERIODS[0], plan)).assign(demand_amt=plan)
    budgeted = rows("budget", {"family": "Bikes", "region": "North", "period": PERIODS[0], "revenue_amt": budget, "margin_amt": margin})
    return finance.budget_gap(money, budgeted)


def limit(member: str, price: float, bound: float, high: float | None, period: pd.Timestamp = PERIODS[0]) -> dict:
    return {"limit": "capacity", "member": member, "member_name": member, "period": period, "unit": "hours", "limit_qty": bound,
            "price_amt": price, "money_amt": price * bound, "range_high_qty": high, "sentence": "…"}


def test_limits_close_the_gap_as_far_as_their_price_holds_and_demand_the_rest():
    limits = rows("binding_limit", limit("LINE", 5.0, 100, 120), limit("CREW", 10.0, 40, 44), limit("PRESS", 2.0, 50, None),
                  limit("LATER", 99.0, 10, 20, PERIODS[1]))
    found = goals.goal_alignment(gap(1000, 1200, margin=600), limits, SETTINGS)
    assert found["gap_amt"].unique().tolist() == [-200]
    assert found["member"].tolist() == ["LINE", "CREW", "PRESS", ""], "a limit of a period without goal is not asked"
    assert found["closes_amt"].tolist() == pytest.approx([100, 40, 0, 60])
    assert found["left_amt"].tolist() == pytest.approx([100, 60, 60, 0])
    assert found["needed_qty"].tolist() == pytest.approx([40, 20, 100, 150])
    assert "the price holds for 20, which close 100 EUR" in found["sentence"].iloc[0]
    assert "was not worked out" in found["sentence"].iloc[2]
    assert found["closes_amt"].sum() == pytest.approx(200)


def test_without_budgeted_margin_the_goal_is_revenue_at_the_plans_margin():
    none = tables.table("binding_limit").empty()
    found = goals.goal_alignment(gap(1000, 1200), none, SETTINGS).iloc[0]
    assert (found["goal_amt"], found["plan_amt"], found["limit"]) == (pytest.approx(480), 400, "demand")
    assert found["needed_qty"] == pytest.approx(200)
    met = goals.goal_alignment(gap(1000, 900), none, SETTINGS)
    assert met["limit"].tolist() == ["none"]
    assert "reaches" in met["sentence"].iloc[0]
    assert goals.goal_alignment(tables.table("budget_gap").empty(), none, SETTINGS).empty


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 50), st.floats(0, 80)), max_size=6), st.floats(1, 900))
def test_what_must_be_true_closes_the_gap_exactly(limits, short):
    bound = rows("binding_limit", *(limit(f"R{n}", price, 10, 10 + room) for n, (price, room) in enumerate(limits)))
    found = goals.goal_alignment(gap(1000, 2000, margin=400 + short), bound, SETTINGS)
    assert found["closes_amt"].sum() == pytest.approx(short)
    assert found["left_amt"].iloc[-1] == pytest.approx(0, abs=1e-6)
    assert np.all(np.diff(found["left_amt"]) <= 1e-9)
