"""Guaranteed service: stockpyl's answers on random trees, enumeration on small networks, the company's own chains, bad input."""

from __future__ import annotations

import importlib.util
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import ANSWERS, oracle_cost, random_stages
from scipy.stats import norm
from situations import frame

from sop_workbench import inventory, tables
from sop_workbench.periods import Calendar

KNOWN = json.loads(ANSWERS.read_text())


@pytest.mark.parametrize("seed", KNOWN)
def test_trees_cost_what_stockpyl_found(seed):
    found = inventory.guaranteed_service(*random_stages(int(seed)))
    assert found["cost_amt"].sum() == pytest.approx(KNOWN[seed], rel=1e-9)


@pytest.mark.skipif(importlib.util.find_spec("stockpyl") is None, reason="stockpyl is not installed; its stored answers are tested above")
def test_trees_cost_what_stockpyl_finds_now():
    for seed in range(100, 110):
        stages, arcs = random_stages(seed)
        assert inventory.guaranteed_service(stages, arcs)["cost_amt"].sum() == pytest.approx(oracle_cost(stages, arcs), rel=1e-9)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 5_000), st.booleans())
def test_promises_are_kept_and_cost_what_they_are_said_to(seed, is_tree):
    stages, arcs = random_stages(seed, is_tree)
    found = inventory.guaranteed_service(stages, arcs).set_index("stage_id")
    assert (found["net_time"] >= 0).all()
    assert (found["net_time"] == found["inbound_time"] + found["stage_time"] - found["service_time"]).all()
    assert (found["service_time"] <= found["service_limit"].fillna(np.inf)).all()
    for arc in arcs.itertuples():
        assert found.loc[arc.to_id, "inbound_time"] >= found.loc[arc.from_id, "service_time"]
    again = inventory.placement_costs(stages, arcs, found["service_time"].to_numpy())
    assert found["cost_amt"].tolist() == pytest.approx(again.tolist())


def cheapest_promise(stages: pd.DataFrame, arcs: pd.DataFrame) -> float:
    """Every promise of every stage tried; stages stand in the order of their arcs."""
    rows = stages.set_index("stage_id")
    deviation, suppliers = {}, {stage: arcs.loc[arcs["to_id"] == stage, "from_id"].tolist() for stage in rows.index}
    ends = {stage: {stage: rows.loc[stage, "deviation_qty"]} for stage in rows.index}
    for stage in reversed(rows.index):
        for customer in arcs.loc[arcs["from_id"] == stage, "to_id"]:
            for end, usage in ends[customer].items():
                ends[stage][end] = ends[stage].get(end, 0.0) + usage
        deviation[stage] = np.sqrt(sum(value**2 for value in ends[stage].values()))
    limit, time, inbound = rows["service_limit"].fillna(99).to_dict(), rows["stage_time"].to_dict(), rows["inbound_time"].to_dict()
    cost = {stage: deviation[stage] * rows.loc[stage, "holding_cost_amt"] for stage in rows.index}
    best = np.inf
    for promises in itertools.product(range(7), repeat=len(rows)):
        promise = dict(zip(rows.index, promises, strict=True))
        net = {s: max([inbound[s], *(promise[j] for j in suppliers[s])]) + time[s] - promise[s] for s in rows.index}
        if min(net.values()) >= 0 and all(promise[s] <= limit[s] for s in rows.index):
            best = min(best, sum(cost[s] * np.sqrt(net[s]) for s in rows.index))
    return best


@pytest.mark.parametrize("seed", range(5))
def test_networks_that_are_no_trees_are_never_beaten_by_any_promise(seed):
    stages, arcs = random_stages(seed, is_tree=False)
    stages = stages.head(4).assign(stage_time=lambda s: s["stage_time"].clip(upper=2))
    arcs = arcs[arcs["from_id"].isin(stages["stage_id"]) & arcs["to_id"].isin(stages["stage_id"])]
    best = inventory.guaranteed_service(stages, arcs)["cost_amt"].sum()
    assert best == pytest.approx(cheapest_promise(stages, arcs))


def test_the_general_way_agrees_with_the_tree_on_trees():
    from sop_workbench.inventory.echelons import _Chain, _on_network

    for seed in range(6):
        stages, arcs = random_stages(seed)
        service, _ = _on_network(_Chain(stages, arcs))
        assert inventory.placement_costs(stages, arcs, service).sum() == pytest.approx(KNOWN[str(seed)])


def test_usage_and_pooling_of_demand_by_hand():
    stages = pd.DataFrame(
        {
            "stage_id": ["part", "a", "b"],
            "stage_time": [4, 0, 0],
            "holding_cost_amt": [1.0, 50, 50],
            "deviation_qty": [0.0, 3, 4],
            "service_limit": [np.nan, 0, 0],
            "factor": [2.0, 2, 2],
        }
    )
    arcs = pd.DataFrame({"from_id": ["part", "part"], "to_id": ["a", "b"], "usage_qty": [2.0, 1.0]})
    found = inventory.guaranteed_service(stages, arcs).set_index("stage_id")
    assert found.loc["part", "total_deviation_qty"] == pytest.approx(np.sqrt(6**2 + 4**2))
    assert found.loc["part", "safety_stock_qty"] == pytest.approx(2 * np.sqrt(52) * 2)
    assert found.loc[["a", "b"], "safety_stock_qty"].tolist() == [0, 0]


def test_more_certainty_takes_more_stock():
    stages, arcs = random_stages(3)
    cost = [inventory.guaranteed_service(stages.assign(factor=factor), arcs)["cost_amt"].sum() for factor in (1.0, 1.5, 2.0)]
    assert cost == sorted(cost)
    assert cost[2] == pytest.approx(2 * cost[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage_time": [-1, 1]}, "stage_time of A must be a whole number of 0 or more, got -1"),
        ({"stage_time": [1.5, 1]}, "stage_time of A must be a whole number"),
        ({"holding_cost_amt": [1, -2]}, "holding_cost_amt of B must be 0 or more"),
        ({"stage_id": ["A", "A"]}, "stage A stands twice"),
    ],
)
def test_impossible_stages_are_refused_by_name(change, message):
    stages = pd.DataFrame({"stage_id": ["A", "B"], "stage_time": [1, 1], "holding_cost_amt": [1, 1], "deviation_qty": [0, 1]})
    arcs = pd.DataFrame({"from_id": ["A"], "to_id": ["B"]})
    if "stage_id" in change:
        arcs = arcs.head(0)
    with pytest.raises(ValueError, match=message):
        inventory.guaranteed_service(stages.assign(**change), arcs)


def test_loops_and_unknown_stages_are_named():
    stages = pd.DataFrame({"stage_id": ["A", "B"], "stage_time": [1, 1], "holding_cost_amt": [1, 1], "deviation_qty": [0, 1]})
    with pytest.raises(ValueError, match="A → B → A"):
        inventory.guaranteed_service(stages, pd.DataFrame({"from_id": ["A", "B"], "to_id": ["B", "A"]}))
    with pytest.raises(ValueError, match="do not exist: C"):
        inventory.guaranteed_service(stages, pd.DataFrame({"from_id": ["A"], "to_id": ["C"]}))


# ------------------------------------------------------------------ the company's chains
def chain_inputs() -> dict[str, pd.DataFrame]:
    inputs = {name: tables.table(name).empty() for name in tables.names("input")}
    inputs["production"] = frame("production", [{"item_id": "F", "location_id": "P", "lead_time_days": 10.0}])
    inputs["lane"] = frame("lane", [{"from_location_id": "P", "to_id": place, "lead_time_days": 2.0} for place in ("W1", "W2")])
    return inputs


def chain_target(*errors: float) -> pd.DataFrame:
    return frame(
        "inventory_target",
        [
            {
                "item_id": "F",
                "location_id": f"W{n}",
                "period": "2026-01-01",
                "safety_stock_qty": 5.0,
                "target_qty": 6.0,
                "service_level_ratio": 0.95,
                "lead_time_days": 2.0,
                "error_qty": error,
                "method": "given",
            }
            for n, error in enumerate(errors, start=1)
        ],
    )


def test_stock_along_the_companys_chain_by_hand():
    calendar, demand = Calendar("month"), pd.DataFrame({"item_id": ["F"], "demand_qty": [10.0]})
    found = inventory.stock_placement(chain_target(30.0, 40.0), demand, chain_inputs(), pd.Series({"F": 2.0}), calendar)
    found = found.set_index("location_id")
    day, z = 365.25 / 12, norm.ppf(0.95)
    assert found.loc["P", "stage_days"] == np.ceil(10 + day)  # made once a month
    end = z * 2.0 * (30 + 40) * np.sqrt((np.ceil(10 + day) + 2) / day)
    split = z * 2.0 * (50 * np.sqrt(np.ceil(10 + day) / day) + 70 * np.sqrt(2 / day))
    assert found["end_only_amt"].sum() == pytest.approx(end)
    assert found["safety_stock_amt"].sum() == pytest.approx(min(end, split))
    assert found.loc["P", "deviation_qty"] == pytest.approx(50)
    assert found["today_amt"].to_dict() == {"P": 0.0, "W1": 10.0, "W2": 10.0}


def test_many_small_warehouses_are_pooled_at_the_plant():
    inputs, names = chain_inputs(), [f"W{n}" for n in range(1, 10)]
    inputs["lane"] = frame("lane", [{"from_location_id": "P", "to_id": place, "lead_time_days": 1.0} for place in names])
    demand = pd.DataFrame({"item_id": ["F"], "demand_qty": [10.0]})
    found = inventory.stock_placement(chain_target(*[10.0] * 9), demand, inputs, pd.Series({"F": 2.0}), Calendar("month"))
    found = found.set_index("location_id")
    assert found.loc["P", "safety_stock_qty"] > 0
    assert found["safety_stock_amt"].sum() < 0.8 * found["end_only_amt"].sum()


def test_items_without_worth_or_demand_have_no_placement():
    demand = pd.DataFrame({"item_id": ["F"], "demand_qty": [10.0]})
    for value, wanted in ((pd.Series({"F": np.nan}), demand), (pd.Series({"F": 1.0}), demand.assign(demand_qty=0.0))):
        assert inventory.stock_placement(chain_target(30.0), wanted, chain_inputs(), value, Calendar("month")).empty
