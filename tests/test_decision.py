"""Decisions: ranked by money, in plain words, with options and the one who decides."""

from __future__ import annotations

import pandas as pd
import pytest

from sop_workbench import decision, tables
from sop_workbench.settings import Settings

SETTINGS = Settings(company="Small", steps={"03_supply_review": {"owner": "Operations (J. Novak)", "due_working_day": 13}})
NAMES = {"L2": "Line 2"}
TITLES = {"fire": "A fire in the paint shop"}
PERIODS = pd.date_range("2026-11-01", periods=2, freq="MS")
EMPTY = {
    name: tables.table(name).empty()
    for name in ("budget_gap", "binding_limit", "unmet_demand", "excess_stock", "scenario_comparison", "alert")
}


def decide(item: pd.DataFrame | None = None, **found: pd.DataFrame) -> pd.DataFrame:
    t = {**EMPTY, **found}
    return decision.open_decisions(
        t["budget_gap"], t["binding_limit"], t["unmet_demand"], t["excess_stock"], t["scenario_comparison"], t["alert"], SETTINGS, item
    )


def served(revenue: float = 1e6, lost: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": ["A", "B"],
            "market_id": ["N", "S"],
            "period": PERIODS,
            "served_qty": [revenue / 10, 0.0],
            "price_amt": 10.0,
            "lost_revenue_amt": [0.25 * lost, 0.75 * lost],
        }
    )


def gap(family: str, budget: float, demand: float, plan: float) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "family": family,
                "region": "North",
                "period": PERIODS[0],
                "budget_revenue_amt": budget,
                "demand_amt": demand,
                "revenue_amt": plan,
                "gap_amt": plan - budget,
                "demand_gap_amt": demand - budget,
                "supply_gap_amt": plan - demand,
            }
        ]
    )


def scenarios(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"scenario": s, "title": TITLES.get(s, ""), "measure": m, "delta": d, "levers": w, "is_feasible": pd.notna(d)}
            for s, m, d, w in rows
        ]
    )


def limits(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "limit": kind,
                "member": member,
                "member_name": NAMES.get(member, ""),
                "period": p,
                "price_amt": price,
                "money_amt": price * size,
            }
            for kind, member, p, price, size in rows
        ]
    )


def test_inside_every_tolerance_nothing_is_to_decide():
    assert decide(unmet_demand=served()).empty
    assert decide(unmet_demand=served(), budget_gap=gap("Bikes", 100e3, 97e3, 97e3)).empty, "3 % below budget is within 5 %"


def test_a_family_below_budget_names_demand_and_supply():
    found = decide(unmet_demand=served(), budget_gap=pd.concat([gap("Bikes", 500e3, 480e3, 400e3), gap("Trailers", 200e3, 150e3, 150e3)]))
    assert found["question"].iloc[0] == "The whole plan stands 150 k EUR (21%) below budget: close the gap or lower the estimate?"
    found = found.iloc[1:]
    assert found["money_amt"].tolist() == [100e3, 50e3]
    assert found["question"].iloc[0] == "Bikes stands 100 k EUR (20%) below budget: close the gap or lower the estimate?"
    assert "supply cannot serve 80.0 k EUR" in found["recommendation"].iloc[0]
    assert "bottlenecks first" in found["recommendation"].iloc[0]
    assert "supply" not in found["options"].iloc[1], "where supply serves everything it is no option"
    assert found["level"].tolist() == ["Executive S&OP", "Management review (pre-S&OP)"]


def test_hours_of_one_resource_are_one_bottleneck_and_its_scenarios_are_the_options():
    table = scenarios(
        ("extra_shift", "profit", 60e3, "capacity.regular_hours × 1.15 (resource_id L2)"),
        ("weekend", "profit", 20e3, "capacity.overtime_hours × 2 (resource_id L2)"),
        ("other_line", "profit", -5.0, "capacity.regular_hours × 0.5 (resource_id L22)"),
    )
    found = decide(
        unmet_demand=served(),
        scenario_comparison=table,
        binding_limit=limits(
            ("capacity", "L2", PERIODS[0], 300.0, 1000.0),
            ("overtime", "L2", PERIODS[1], 200.0, 100.0),
            ("supplier", "M1 from S1 to P1", PERIODS[0], 4, 2000),
        ),
    )
    mine = found[found["question"].str.startswith("Line 2 is at its limit")]
    assert mine["money_amt"].tolist() == [pytest.approx(0.1 * (300 * 1000 + 200 * 100))]
    assert mine["options"].iloc[0] == "extra_shift: profit +60.0 k EUR; weekend: profit +20.0 k EUR"
    assert mine["recommendation"].iloc[0] == "take up extra_shift: profit +60.0 k EUR"
    assert "Nov 2026 to Dec 2026" in mine["question"].iloc[0]
    bought = found[found["question"].str.startswith("M1")]
    assert "second source" in bought["options"].iloc[0]
    assert bought["level"].iloc[0] == "Operations (J. Novak)", "small money stays with the owner of the step"


def test_a_shortage_says_who_loses_and_what_helps():
    item = pd.DataFrame({"item_id": ["A", "B"], "family": ["Bikes", None]})
    table = scenarios(("extra_shift", "lost revenue", -30e3, "…"), ("extra_shift", "profit", 10e3, "…"))
    row = decide(item, unmet_demand=served(lost=80e3), scenario_comparison=table).iloc[0]
    assert row["question"] == "80.0 k EUR of demand cannot be served, most of it B, Bikes: who goes short?"
    assert row["options"].startswith("extra_shift: 30.0 k EUR less is lost; accept the plan's allocation: S, N lose most")


def test_excess_is_decided_by_stage_of_life():
    stock = pd.DataFrame(
        {"item_name": ["Old A", "Old B", "Slow C"], "lifecycle": ["ended", "ended", "mature"], "excess_amt": [50e3, 20e3, 10e3]}
    )
    found = decide(unmet_demand=served(), excess_stock=stock)
    assert found["money_amt"].tolist() == [70e3, 10e3]
    assert "2 ended items (Old A, Old B)" in found["question"].iloc[0]
    assert "write off" in found["options"].iloc[0]
    assert "stop replenishment" in found["recommendation"].iloc[1]


def test_risks_chances_and_impossible_scenarios():
    table = scenarios(
        ("fire", "profit", -90e3, "capacity × 0.5"),
        ("dearer", "profit", 40e3, "price × 1.04"),
        ("dream", "profit", None, "demand × 9"),
        ("base", "profit", 0.0, ""),
        ("noise", "profit", -3.0, "…"),
    )
    found = decide(unmet_demand=served(), scenario_comparison=table)
    assert found["question"].tolist() == [
        "A fire in the paint shop would cost 90.0 k EUR of profit: prepare for it?",
        "dearer would earn 40.0 k EUR of profit: pursue it?",
        "dream has no feasible plan: which limit may give way?",
    ], "what costs 3 EUR is nobody's decision"
    assert pd.isna(found["money_amt"].iloc[2])


def off_plan(family: str, ratio: float) -> dict:
    return {"alert": "sales off plan", "member": family, "value": ratio, "sentence": f"{family} is {ratio:.0%} off: raise a change request"}


def test_change_requests_are_one_decision_and_come_last():
    biased = {"alert": "biased plan", "member": "Bikes", "value": 0.2, "sentence": "Bikes was planned 20% over"}
    found = decide(unmet_demand=served(lost=50e3), alert=pd.DataFrame([off_plan("Bikes", -0.3), biased]))
    assert found["sequence"].tolist() == [1, 2]
    assert found["question"].iloc[1] == "Bikes is off plan twice running: change the plan?"
    many = decide(
        unmet_demand=served(), alert=pd.DataFrame([off_plan(f, r) for f, r in zip("ABCDE", (0.2, -0.5, 0.3, 0.1, 0.4), strict=True)])
    )
    assert many["question"].tolist() == ["B, E, C and 2 more are off plan twice running: change the plan?"]
    assert many["recommendation"].iloc[0].startswith("B is -50% off")
