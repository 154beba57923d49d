"""Pipeline, risks and the gap to budget: nothing counted twice, every row with its money, chance and reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sop_workbench import demand, outlook, tables, views
from sop_workbench.errors import DataError
from sop_workbench.periods import Calendar

CALENDAR = Calendar("month")
AHEAD = pd.date_range("2026-10-01", periods=6, freq="MS")
ITEM = tables.validate(
    "item",
    pd.DataFrame(
        [
            {"item_id": name, "item_name": name, "item_type": "finished", "family": "F" if name < "C" else "G", "standard_cost_amt": 6.0}
            for name in "ABC"
        ]
    ),
)
MARKET = tables.validate(
    "market",
    pd.DataFrame([{"market_id": m, "market_name": m, "region": r, "channel": "Retail"} for m, r in (("M", "North"), ("N", "South"))]),
)
INPUTS = {"item": ITEM, "market": MARKET}


def consensus(quantity: float = 100.0, price: float = 10.0) -> pd.DataFrame:
    rows = pd.MultiIndex.from_product([list("ABC"), list("MN"), AHEAD], names=["item_id", "market_id", "period"]).to_frame(index=False)
    rows = rows.assign(demand_qty=quantity, low_qty=0.9 * quantity, high_qty=1.2 * quantity, price_amt=price, revenue_amt=quantity * price)
    return tables.validate("consensus_demand", rows)


def deals(*rows: dict) -> pd.DataFrame:
    base = {"market_id": "M", "close_period": "2026-11-01", "volume_qty": 500.0, "probability_ratio": 0.4}
    return tables.validate("opportunity", pd.DataFrame([{"opportunity_id": f"O{n}", **base, **row} for n, row in enumerate(rows, 1)]))


HISTORY = tables.validate(
    "sales_history",
    pd.DataFrame(
        [
            {"item_id": i, "market_id": "M", "period": p, "ordered_qty": 60.0}
            for i in "AB"
            for p in pd.date_range("2026-04-01", periods=6, freq="MS")
        ]
    ),
)


def lines(opportunity: pd.DataFrame) -> pd.DataFrame:
    made = outlook.pipeline_lines(opportunity, consensus(), HISTORY, INPUTS, AHEAD, CALENDAR)
    return made.set_index("opportunity_id").sort_index()


def test_every_deal_says_how_much_of_it_counts_and_why() -> None:
    made = lines(deals(
        {"item_id": "A"}, {"item_id": "A", "is_in_run_rate": True}, {"item_id": "A", "close_period": "2026-08-01"},
        {"item_id": "A", "close_period": "2028-01-01"}, {"family": "F", "volume_qty": 100.0}))  # fmt: skip
    assert made["counted_qty"].tolist() == [200, 0, 0, 0, 40]
    assert made["run_rate_qty"].tolist() == [60, 60, 60, 60, 120]
    assert made["expected_amt"].sum() == pytest.approx(2400)
    reasons = made["reason"]
    assert reasons["O1"] == "counted in 2026-11: 500 × 40%"
    assert reasons["O2"].startswith("in the run rate already (60 a month")
    assert reasons["O3"].startswith("its close period is over")
    assert "closes after the last period planned (2027-03)" in reasons["O4"]
    assert reasons["O5"].endswith("is it in the run rate?")


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1), st.booleans(), st.sampled_from(["2026-08-01", "2026-11-01", "2027-02-01"])),
                min_size=1, max_size=8))  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_what_lines_count_is_what_the_pipeline_stream_holds(rows: list[tuple[float, float, bool, str]]) -> None:
    table = deals(
        *({"item_id": "A", "volume_qty": v, "probability_ratio": p, "is_in_run_rate": r, "close_period": c} for v, p, r, c in rows)
    )
    forecast = (
        consensus().rename(columns={"demand_qty": "forecast_qty"}).assign(model="m")[list(tables.table("statistical_forecast").columns)]
    )
    given_in = {**INPUTS, "demand_input": tables.table("demand_input").empty(), "opportunity": table}
    streams = demand.demand_streams(forecast, tables.table("launch_forecast").empty(), given_in, AHEAD, CALENDAR)
    held = streams.loc[streams["stream"] == "pipeline", "demand_qty"].sum()
    assert lines(table)["counted_qty"].sum() == pytest.approx(held)


def test_risks_and_opportunities_by_hand() -> None:
    case = tables.table("promotion_case").empty()
    effect = tables.table("driver_effect").empty()
    deal = lines(deals({"item_id": "A"})).reset_index()
    made = outlook.risks_and_opportunities(consensus(), deal, case, effect, ITEM, 0.8).set_index("risk_id")
    # A and B: 12 cells of 10 units and 10 EUR below each, independent: 1200 · √2; above twice that.
    assert made.loc["range-F-risk", "money_amt"] == pytest.approx(-1200 * np.sqrt(2))
    assert made.loc["range-F-opportunity", "money_amt"] == pytest.approx(2400 * np.sqrt(2))
    assert made.loc["range-G-risk", "money_amt"] == pytest.approx(-1200)
    assert made.loc["range-F-risk", "probability_ratio"] == pytest.approx(0.1)
    lost, won = made.loc["pipeline-O1-risk"], made.loc["pipeline-O1-opportunity"]
    assert (lost["money_amt"], lost["probability_ratio"]) == (pytest.approx(-2000), pytest.approx(0.6))
    assert (won["money_amt"], won["probability_ratio"]) == (pytest.approx(3000), pytest.approx(0.4))
    assert lost["expected_amt"] + won["expected_amt"] == pytest.approx(0), "a deal at its chance is neither risk nor gain on average"
    assert lost["is_in_plan"]
    assert not won["is_in_plan"]


def test_gap_to_budget_keeps_units_and_money_and_says_nothing_where_there_is_no_budget() -> None:
    budget = tables.validate(
        "budget",
        pd.DataFrame(
            [
                {"family": "F", "region": "North", "period": AHEAD[0], "volume_qty": 250.0, "revenue_amt": 2600.0, "margin_amt": 1.0},
                {"family": "NEW", "region": "North", "period": AHEAD[0], "volume_qty": 10.0, "revenue_amt": 100.0, "margin_amt": 1.0},
            ]
        ),
    )
    made = outlook.demand_gap(consensus(), budget, ITEM, MARKET).set_index(["family", "region", "period"])
    row = made.loc[("F", "North", AHEAD[0])]
    assert row[["demand_qty", "demand_amt", "low_amt", "high_amt", "gap_qty", "gap_amt"]].tolist() == [200, 2000, 1800, 2400, -50, -600]
    assert made.loc[("NEW", "North", AHEAD[0]), "gap_amt"] == -100
    assert np.isnan(made.loc[("G", "North", AHEAD[0]), "gap_amt"])
    assert made["demand_amt"].sum() == pytest.approx(consensus()["revenue_amt"].sum())


def test_a_budget_for_everything_is_held_against_the_sum() -> None:
    whole = tables.validate(
        "budget",
        pd.DataFrame(
            [{"family": "all families", "region": "all", "period": AHEAD[0], "volume_qty": 500.0, "revenue_amt": 5000.0, "margin_amt": 1.0}]
        ),
    )
    made = outlook.demand_gap(consensus(), whole, ITEM, MARKET).set_index(["family", "region", "period"])
    assert made.loc[("all families", "all", AHEAD[0]), ["demand_amt", "gap_amt"]].tolist() == [6000, 1000]
    both = pd.concat([whole, whole.assign(family="F", region="North", revenue_amt=1500.0)])
    twice = outlook.demand_gap(consensus(), both, ITEM, MARKET)
    assert twice["budget_amt"].sum() == 1500, "a total beside its parts would count twice"


# ------------------------------------------------------------------ bad input


def test_unknown_names_are_told_one_by_one_and_the_rest_counts() -> None:
    said = tables.validate(
        "demand_input",
        pd.DataFrame(
            [
                {
                    "source": "sales",
                    "author": author,
                    "item_id": item,
                    "market_id": market,
                    "family": family,
                    "period": AHEAD[0],
                    "input_qty": 70.0,
                }
                for author, item, market, family in (
                    ("Ann", "A", "M", ""),
                    ("Bo", "GONE", "M", ""),
                    ("Cy", "A", "NOWHERE", ""),
                    ("Di", "", "M", "TENTS"),
                )
            ]
        ),
    )
    kept, found = demand.known_scope(said, "demand_input", INPUTS)
    assert kept["author"].tolist() == ["Ann"]
    assert [(f["value"], f["keys"], f["severity"]) for f in found] == [
        ("family=TENTS", "source=sales author=Di", "warns"), ("item_id=GONE", "source=sales author=Bo", "warns"),
        ("market_id=NOWHERE", "source=sales author=Cy", "warns")]  # fmt: skip
    assert all("left out" in f["remedy"] for f in found)


def test_adjustments_that_change_nothing_or_lean_on_nothing_are_told() -> None:
    record = {"by": "Ann", "at": pd.Timestamp("2026-09-20"), "why": "x", "item_id": "A", "kind": "add", "value": 1.0}
    rows = tables.validate(
        "demand_adjustment",
        pd.DataFrame(
            [
                {**record, "record_id": "1", "period": AHEAD[0]},
                {**record, "record_id": "2", "period": "2030-01-01"},
                {**record, "record_id": "3", "period": AHEAD[0], "assumption_id": "7"},
            ]
        ),
    )
    assumption = tables.table("assumption").empty()
    found = demand.adjustment_findings(rows, AHEAD, assumption)
    assert [(f["rule"], f["keys"], f["value"]) for f in found] == [
        ("adjustment_outside_horizon", "record_id=2", "2030-01-01"),
        ("unknown_assumption", "record_id=3", "7"),
    ]


def test_a_family_is_at_risk_by_its_own_range_as_the_range_of_demand_shows_it() -> None:
    agreed = consensus()
    none = [tables.table(name).empty() for name in ("pipeline_line", "promotion_case", "driver_effect")]
    own = pd.DataFrame({"level": "family", "member": "F", "period": agreed["period"].unique(), "coverage_ratio": 0.8, "forecast_qty": 10.0,
                        "low_qty": 8.0, "high_qty": 13.0})
    made = outlook.risks_and_opportunities(agreed, *none, ITEM, 0.8, own).set_index("risk_id")
    money = agreed.loc[agreed["item_id"].isin(["A", "B"]), "revenue_amt"].sum()
    assert made.loc["range-F-risk", "money_amt"] == pytest.approx(-0.2 * money)
    assert made.loc["range-F-opportunity", "money_amt"] == pytest.approx(0.3 * money)
    plain = outlook.risks_and_opportunities(agreed, *none, ITEM, 0.8).set_index("risk_id")
    assert plain.loc["range-G-risk", "money_amt"] == made.loc["range-G-risk", "money_amt"], "without a range of its own: from its items'"
    shown = views.demand_range(agreed, ITEM, tables.table("budget").empty(), own).set_index("family")
    assert shown.loc["F", "risk_amt"] == pytest.approx(-0.2 * money)


def test_an_adjustment_inside_a_lock_is_told() -> None:
    record = {"by": "Ann", "at": pd.Timestamp("2026-09-20"), "why": "x", "kind": "add", "value": 1.0, "period": AHEAD[0]}
    family = ITEM.set_index("item_id")["family"]["A"]
    region = MARKET["region"].iloc[0]
    scopes = [{"item_id": "A", "market_id": MARKET["market_id"].iloc[0]}, {"family": family}, {"item_id": "A", "period": AHEAD[1]}, {}]
    rows = tables.validate("demand_adjustment", pd.DataFrame([{**record, "record_id": str(n), **scope} for n, scope in enumerate(scopes)]))
    lock = {"by": "Ben", "at": pd.Timestamp("2026-09-19"), "why": "x", "item_id": "A", "region": region, "period": AHEAD[0]}
    locks = tables.validate("demand_lock", pd.DataFrame([{**lock, "record_id": "L", "locked_qty": 9.0}]))
    nothing = tables.table("assumption").empty()
    found = demand.adjustment_findings(rows, AHEAD, nothing, locks, INPUTS)
    assert [(f["rule"], f["count"]) for f in found] == [("adjustment_meets_lock", 3)]
    released = pd.concat([locks, locks.assign(record_id="M", locked_qty=np.nan)])
    assert demand.adjustment_findings(rows, AHEAD, nothing, released, INPUTS) == []


@pytest.mark.parametrize(("table", "row", "rule", "value"), [
    ("opportunity", {"opportunity_id": "O", "item_id": "A", "market_id": "M", "close_period": "2026-11-01", "volume_qty": 5.0,
                     "probability_ratio": 1.4}, "above_maximum", "1.4"),
    ("opportunity", {"opportunity_id": "O", "item_id": "A", "market_id": "M", "close_period": "2026-11-01", "volume_qty": -5.0,
                     "probability_ratio": 0.4}, "below_minimum", "-5.0"),
    ("event", {"event_id": "E", "kind": "promotion", "from_period": "2026-11-01", "to_period": "2026-11-01", "uplift_ratio": -1.5},
     "below_minimum", "-1.5"),
    ("event", {"event_id": "E", "kind": "promotion", "from_period": "2026-11-01", "to_period": "2026-11-01", "pull_forward_ratio": 1.2},
     "above_maximum", "1.2"),
    ("event", {"event_id": "E", "kind": "party", "from_period": "2026-11-01", "to_period": "2026-11-01"}, "value_not_allowed", "party"),
    ("demand_input", {"source": "rumour", "author": "Ann", "period": "2026-11-01", "input_qty": 5.0}, "value_not_allowed", "rumour"),
])  # fmt: skip
def test_impossible_values_are_named_with_their_row_and_remedy(table: str, row: dict, rule: str, value: str) -> None:
    with pytest.raises(DataError) as caught:
        tables.validate(table, pd.DataFrame([row]))
    issue = caught.value.issues.iloc[0]
    assert (issue["rule"], issue["table"], issue["value"]) == (rule, table, value)
    assert issue["keys"]
    assert issue["remedy"]
