"""Demand review: corrections, promotions, netting, streams, weights, consensus, value added."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sop_workbench import demand, tables
from sop_workbench.errors import DataError, SopError
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

MONTHS = pd.date_range("2022-10-01", periods=48, freq="MS")
AHEAD = pd.date_range("2026-10-01", periods=6, freq="MS")
AS_OF = pd.Timestamp("2026-09-30")
CALENDAR = Calendar("month")
SETTINGS = Settings(company="Test")
NO_EVENT = tables.table("event").empty()
NO_LAUNCH = tables.table("launch_forecast").empty()
NO_ADJUSTMENT = tables.table("demand_adjustment").empty()
ITEM = tables.validate(
    "item",
    pd.DataFrame(
        [
            {"item_id": name, "item_name": name, "item_type": "finished", "family": family}
            for name, family in (("A", "F"), ("B", "F"), ("C", "G"))
        ]
    ),
)
MARKET = tables.validate(
    "market",
    pd.DataFrame(
        [
            {"market_id": name, "market_name": name, "region": region, "channel": "retail"}
            for name, region in (("M", "R"), ("N", "R"), ("O", "S"))
        ]
    ),
)


def steady_history(seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(48) / 12)
    rows = [
        {"item_id": item, "market_id": market, "period": period, "ordered_qty": round(level * factor * rng.lognormal(0, 0.05))}
        for level, item in ((200, "A"), (400, "B"), (300, "C"))
        for market in ("M", "N", "O")
        for period, factor in zip(MONTHS, season, strict=True)
    ]
    return tables.validate("sales_history", pd.DataFrame(rows))


def planted(history: pd.DataFrame, item: str, market: str, at: int, **values: float | bool) -> pd.DataFrame:
    row = (history["item_id"] == item) & (history["market_id"] == market) & (history["period"] == MONTHS[at])
    return history.assign(**{column: history[column].mask(row, value) for column, value in values.items()})


def found(history: pd.DataFrame, event: pd.DataFrame = NO_EVENT) -> pd.DataFrame:
    return demand.history_corrections(history, event, SETTINGS, CALENDAR, AS_OF, ITEM, MARKET)


def test_clean_history_needs_no_correction() -> None:
    assert found(steady_history()).empty


def test_planted_faults_are_found_with_evidence_and_nothing_else() -> None:
    history = steady_history()
    history = planted(history, "A", "M", 20, ordered_qty=1500.0)
    history = planted(history, "B", "N", 30, ordered_qty=0.0, is_stockout=True)
    history = planted(history, "C", "O", 10, ordered_qty=-30.0)
    gone = (history["item_id"] == "B") & (history["market_id"] == "M") & (history["period"] == MONTHS[15])
    before = history.copy()
    made = found(history[~gone]).set_index(["item_id", "market_id", "period"])
    assert made["kind"].to_dict() == {
        ("A", "M", MONTHS[20]): "outlier",
        ("B", "M", MONTHS[15]): "missing",
        ("B", "N", MONTHS[30]): "stockout",
        ("C", "O", MONTHS[10]): "negative",
    }
    truth = 400 * (1 + 0.3 * np.sin(2 * np.pi * 30 / 12))
    assert made.loc[("B", "N", MONTHS[30]), "suggested_qty"] == pytest.approx(truth, rel=0.15)
    assert "1,500 ordered" in made.loc[("A", "M", MONTHS[20]), "evidence"]
    assert made["status"].eq("proposed").all()
    pd.testing.assert_frame_equal(history, before)


def test_a_known_promotion_is_not_an_outlier() -> None:
    history = planted(steady_history(), "A", "M", 20, ordered_qty=600.0)
    event = tables.validate(
        "event",
        pd.DataFrame(
            [
                {
                    "event_id": "E",
                    "kind": "promotion",
                    "item_id": "A",
                    "market_id": "M",
                    "from_period": MONTHS[20],
                    "to_period": MONTHS[20],
                    "uplift_ratio": 1.0,
                    "status": "done",
                }
            ]
        ),
    )
    assert found(history)["kind"].tolist() == ["outlier"]
    assert found(history, event).empty


def test_a_cut_newest_period_is_partial() -> None:
    history = steady_history()
    newest = history["period"] == MONTHS[-1]
    half = history.assign(ordered_qty=history["ordered_qty"].where(~newest, (history["ordered_qty"] * 0.4).round()))
    made = found(half)
    assert set(made["kind"]) == {"partial"}
    assert len(made) == 9
    assert set(made["period"]) == {MONTHS[-1]}


def test_only_accepted_corrections_are_applied_and_raw_stays_beside() -> None:
    history = planted(steady_history(), "A", "M", 20, ordered_qty=1500.0)
    gone = (history["item_id"] == "B") & (history["market_id"] == "M") & (history["period"] == MONTHS[15])
    history = history[~gone].reset_index(drop=True)
    before = history.copy()
    proposed = found(history)
    decision = proposed[["item_id", "market_id", "period"]].assign(decision=["rejected", "accepted"])
    decided = demand.decide_corrections(proposed, decision)
    assert decided["status"].tolist() == ["rejected", "accepted"]
    made = demand.apply_corrections(history, decided).set_index(["item_id", "market_id", "period"])
    assert made.loc[("A", "M", MONTHS[20]), "ordered_qty"] == 1500
    assert made.loc[("B", "M", MONTHS[15]), "ordered_qty"] == decided["suggested_qty"].iloc[1]
    assert made.loc[("B", "M", MONTHS[15]), "raw_qty"] == 0
    assert len(made) == len(history) + 1
    pd.testing.assert_frame_equal(history, before)
    tables.validate("sales_history", made.reset_index())


@pytest.mark.parametrize(("month", "expected"), [(0, [3000, 2400, 2560, 3800, 2200, 2200]), (3, [1600, 3000, 3200, 5060, 1760, 1760])])
def test_red_tomato_demand_rows_come_out_of_the_rule(month: int, expected: list[float]) -> None:
    base = pd.Series([1600.0, 3000, 3200, 3800, 2200, 2200], index=AHEAD)
    event = {"from_period": AHEAD[month], "to_period": AHEAD[month], "uplift_ratio": 0.1, "pull_forward_ratio": 0.2}
    assert demand.promotion_demand(base, event).tolist() == pytest.approx(expected)
    assert base.tolist() == [1600, 3000, 3200, 3800, 2200, 2200]


@given(st.lists(st.floats(0, 1e6), min_size=4, max_size=12), st.floats(0, 0.5), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_pull_forward_alone_conserves_demand(base: list[float], share: float, at: int) -> None:
    series = pd.Series(base, index=pd.date_range("2026-01-01", periods=len(base), freq="MS"))
    event = {"from_period": series.index[at], "to_period": series.index[at], "uplift_ratio": 0.0, "pull_forward_ratio": share}
    made = demand.promotion_demand(series, event)
    assert made.sum() == pytest.approx(series.sum())
    assert (made >= 0).all()


@pytest.mark.parametrize(("month", "uplift", "moved", "revenue"), [(0, 160, 1240, 3_400), (3, 380, 880, 10_140)])
def test_red_tomato_promotion_is_priced_before_it_is_planned(month: int, uplift: float, moved: float, revenue: float) -> None:
    """Published revenue is 640,000 without, 643,400 and 650,140 with the promotion."""
    base = pd.Series([1600.0, 3000, 3200, 3800, 2200, 2200], index=AHEAD)
    event = {"from_period": AHEAD[month], "to_period": AHEAD[month], "uplift_ratio": 0.1, "pull_forward_ratio": 0.2, "cost_amt": 500.0}
    case = demand.promotion_case(base, event, price_amt=40, variable_cost_amt=10, discount_amt=1)
    assert case["planned_qty"].tolist() == pytest.approx(demand.promotion_demand(base, event).tolist())
    assert case["uplift_qty"].sum() == pytest.approx(uplift)
    assert case["pulled_forward_qty"].sum() == pytest.approx(0, abs=1e-9)
    assert case["pulled_forward_qty"].max() == pytest.approx(moved)
    changed = (case["planned_qty"] - case["base_qty"]).sum() * 40 - case["discount_given_amt"].sum()
    assert changed == pytest.approx(revenue)
    assert case["net_amt"].sum() == pytest.approx(uplift * 30 - case["discount_given_amt"].sum() - 500)


def test_a_discount_above_the_price_is_refused() -> None:
    event = {"from_period": AHEAD[0], "to_period": AHEAD[0], "uplift_ratio": 0.1, "pull_forward_ratio": 0.0}
    with pytest.raises(SopError, match="does not fit a price"):
        demand.promotion_case(pd.Series([1.0], index=AHEAD[:1]), event, price_amt=2, variable_cost_amt=1, discount_amt=3)


def test_a_promotion_outside_the_horizon_is_refused() -> None:
    event = {
        "from_period": pd.Timestamp("2030-01-01"),
        "to_period": pd.Timestamp("2030-01-01"),
        "uplift_ratio": 0.1,
        "pull_forward_ratio": 0.0,
    }
    with pytest.raises(SopError, match="outside the periods planned"):
        demand.promotion_demand(pd.Series([1.0], index=AHEAD[:1]), event)


def test_forecast_netting_published_cases() -> None:
    gross = np.full(4, 350.0)
    assert demand.forecast_netting(gross[:3], [130, 100, 80]).tolist() == [220, 250, 270]
    assert demand.forecast_netting(gross, [300, 500, 280, 0]).tolist() == [50, 0, 70, 350]
    assert demand.forecast_netting(gross, [300, 500, 280, 0], early=1, late=1).tolist() == [0, 0, 0, 320]


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=1, max_size=12), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_netting_consumes_no_more_than_the_orders_and_never_below_zero(rows: list[tuple[float, float]], early: int, late: int) -> None:
    gross, orders = np.array(rows).T
    net = demand.forecast_netting(gross, orders, early, late)
    assert (net >= 0).all()
    assert (net <= gross).all()
    assert gross.sum() - net.sum() <= orders.sum() + 1e-6


def test_price_is_the_latest_valid_one() -> None:
    price = tables.validate(
        "price",
        pd.DataFrame(
            [
                {"item_id": "A", "market_id": "M", "valid_from": "2026-01-01", "price_amt": 10.0},
                {"item_id": "A", "market_id": "M", "valid_from": "2026-12-01", "price_amt": 12.0},
                {"item_id": "B", "market_id": "M", "valid_from": "2026-11-15", "price_amt": 7.0},
            ]
        ),
    )
    made = demand.price_in_period(price, AHEAD[:3]).set_index(["item_id", "period"])["price_amt"]
    assert made["A"].tolist() == [10, 10, 12]
    assert made["B"].tolist() == [7, 7, 7]


# ------------------------------------------------------------------ streams and consensus


def forecast(quantity: dict[tuple[str, str], float]) -> pd.DataFrame:
    return tables.validate(
        "statistical_forecast",
        pd.DataFrame(
            [
                {
                    "item_id": item,
                    "market_id": market,
                    "period": period,
                    "forecast_qty": value,
                    "low_qty": 0.8 * value,
                    "high_qty": 1.3 * value,
                    "model": "m",
                }
                for (item, market), value in sorted(quantity.items())
                for period in AHEAD
            ]
        ),
    )


BASE = {("A", "M"): 100.0, ("A", "N"): 50.0, ("B", "M"): 300.0, ("B", "O"): 40.0, ("C", "O"): 10.0}


def inputs(
    given_rows: list[dict] | None = None, opportunity: list[dict] | None = None, item: pd.DataFrame = ITEM
) -> dict[str, pd.DataFrame]:
    price = pd.DataFrame([{"item_id": i, "market_id": m, "valid_from": "2020-01-01", "price_amt": 10.0} for i in "ABC" for m in "MN"])
    return {
        "item": item,
        "market": MARKET,
        "price": tables.validate("price", price),
        "demand_input": tables.validate("demand_input", pd.DataFrame(given_rows)) if given_rows else tables.table("demand_input").empty(),
        "opportunity": tables.validate("opportunity", pd.DataFrame(opportunity)) if opportunity else tables.table("opportunity").empty(),
    }


def streams(tables_in: dict[str, pd.DataFrame], base: dict[tuple[str, str], float] = BASE) -> pd.DataFrame:
    return demand.demand_streams(forecast(base), NO_LAUNCH, tables_in, AHEAD, CALENDAR)


def sold(stream: pd.DataFrame, name: str) -> dict[tuple[str, str], float]:
    part = stream[(stream["stream"] == name) & (stream["period"] == AHEAD[0])]
    return dict(zip(zip(part["item_id"], part["market_id"], strict=True), part["demand_qty"], strict=True))


def test_inputs_of_any_level_are_spread_by_forecast_share() -> None:
    made = streams(inputs([{"source": "sales", "author": "x", "family": "F", "region": "R", "period": AHEAD[0], "input_qty": 900.0}]))
    assert sold(made, "sales") == pytest.approx({("A", "M"): 200, ("A", "N"): 100, ("B", "M"): 600})


def test_the_more_specific_input_counts() -> None:
    made = streams(
        inputs(
            [
                {"source": "sales", "author": "x", "family": "F", "region": "R", "period": AHEAD[0], "input_qty": 450.0},
                {"source": "sales", "author": "y", "item_id": "A", "market_id": "M", "period": AHEAD[0], "input_qty": 7.0},
            ]
        )
    )
    assert sold(made, "sales") == pytest.approx({("A", "M"): 7, ("A", "N"): 50, ("B", "M"): 300})


def test_an_input_for_a_place_without_forecast_is_kept() -> None:
    made = streams(inputs([{"source": "customer", "author": "x", "item_id": "C", "market_id": "M", "period": AHEAD[0], "input_qty": 12.0}]))
    assert sold(made, "customer") == {("C", "M"): 12}


def test_an_unknown_item_in_an_input_is_named() -> None:
    with pytest.raises(DataError, match="item_id=X"):
        streams(inputs([{"source": "sales", "author": "x", "item_id": "X", "period": AHEAD[0], "input_qty": 1.0}]))


@given(st.floats(0, 1e6), st.lists(st.floats(0, 1e4), min_size=5, max_size=5))
@settings(max_examples=25, deadline=None)
def test_a_spread_input_keeps_its_total(total: float, base: list[float]) -> None:
    made = streams(
        inputs([{"source": "marketing", "author": "x", "period": AHEAD[0], "input_qty": total}]), dict(zip(BASE, base, strict=True))
    )
    part = made[made["stream"] == "marketing"]["demand_qty"]
    assert part.sum() == pytest.approx(total, rel=1e-9, abs=1e-9)
    assert (part >= 0).all()


def test_pipeline_counts_probability_and_nothing_twice() -> None:
    row = {"market_id": "M", "close_period": AHEAD[1], "volume_qty": 200.0, "probability_ratio": 0.25}
    made = streams(
        inputs(
            opportunity=[
                {"opportunity_id": "1", "item_id": "A", **row},
                {"opportunity_id": "2", "family": "F", **row},
                {"opportunity_id": "3", "item_id": "A", "is_in_run_rate": True, **row},
            ]
        )
    )
    part = made[made["stream"] == "pipeline"]
    assert part["demand_qty"].sum() == pytest.approx(100)
    assert set(part["period"]) == {AHEAD[1]}


def test_phase_out_moves_demand_to_the_successor_and_conserves_it() -> None:
    item = ITEM.assign(phase_out_date=[pd.Timestamp("2026-12-31"), pd.NaT, pd.NaT], successor_item_id=["B", None, None])
    made = streams(inputs(item=item))
    by_item = made[made["stream"] == "statistical"].pivot_table(index="period", columns="item_id", values="demand_qty", aggfunc="sum")
    assert by_item["A"].tolist() == [150, 150, 150, 0, 0, 0]
    assert by_item["B"].tolist() == [340, 340, 340, 490, 490, 490]
    assert by_item.sum().sum() == pytest.approx(6 * sum(BASE.values()))


def archive(error: dict[str, tuple[float, float]], seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Plans with (bias, noise) per stream for the last year, two periods ahead, and the sales they missed."""
    history = steady_history()
    rng = np.random.default_rng(seed)
    rows = []
    for lock in MONTHS[-12:-1]:
        target = history[(history["period"] >= lock) & (history["period"] < lock + pd.DateOffset(months=2))]
        for stream, (bias, noise) in error.items():
            rows.append(
                target[["item_id", "market_id", "period"]].assign(
                    lock_cycle_id=f"{lock:%Y-%m}",
                    stream=stream,
                    plan_qty=target["ordered_qty"] * (1 + bias) * rng.lognormal(0, noise, len(target)),
                )
            )
    return tables.validate("plan_archive", pd.concat(rows, ignore_index=True)), history


@given(
    st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from("MN"), st.integers(0, 5), st.floats(0, 1e5)), min_size=1, max_size=20),
    st.lists(st.sampled_from(["A", "B", "C", "D", None]), min_size=4, max_size=4), st.lists(st.integers(0, 7), min_size=4, max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_what_moves_to_successors_is_conserved_in_every_market_and_period(rows: list, heirs: list, ends: list) -> None:
    months = pd.date_range("2026-09-01", periods=8, freq="MS")
    # An item that never ends keeps its demand; a chain of ended items, or one that goes in a circle, ends in nobody.
    last_days = [months[e] if e < 7 else pd.NaT for e in ends]
    frame = pd.DataFrame({"item_id": list("ABCD"), "phase_out_date": last_days, "successor_item_id": heirs})
    table = pd.DataFrame(rows, columns=["item_id", "market_id", "period", "demand_qty"])
    table = table.assign(period=[AHEAD[n] for n in table["period"]]).groupby(["item_id", "market_id", "period"], as_index=False).sum()
    made = demand.move_to_successor(table, frame, CALENDAR)
    names = dict(zip("ABCD", heirs, strict=True))
    heirless = {(n, p) for n in "ABCD" for p in AHEAD[:6] if demand._heir(n, p, names, _ends(frame)) is None}
    ended = table["period"] > pd.to_datetime(table["item_id"].map(_ends(frame)))
    lost = table[ended & np.array([(n, p) in heirless for n, p in zip(table["item_id"], table["period"], strict=True)])]
    before, after, gone = (t.groupby(["market_id", "period"])["demand_qty"].sum() for t in (table, made, lost))
    np.testing.assert_allclose(after.reindex(before.index), before.sub(gone, fill_value=0.0), rtol=1e-9, atol=1e-6)
    assert (made["demand_qty"] >= 0).all()


def _ends(frame: pd.DataFrame) -> dict:
    return frame.set_index("item_id")["phase_out_date"].to_dict()


@given(
    st.lists(st.tuples(st.sampled_from("ABCDE"), st.sampled_from("MN"), st.floats(0, 1e5)), min_size=1, max_size=10), st.floats(0, 1),
    st.floats(0, 1),
)
@settings(max_examples=40, deadline=None)
def test_a_launch_takes_from_its_family_and_the_total_is_kept(rows: list, first: float, second: float) -> None:
    """D and E are launched in the family of A and B; C is of another. Old + new = old before + new − what was taken."""
    frame = pd.DataFrame({"item_id": list("ABCDE"), "family": list("FFGFF"), "cannibalisation_ratio": [0.9, 0.0, 0.0, first, second]})
    table = pd.DataFrame(rows, columns=["item_id", "market_id", "demand_qty"]).assign(period=AHEAD[0])
    table = table.groupby(["item_id", "market_id", "period"], as_index=False).sum()
    made = demand.take_from_family(table, frame, np.array(["D", "E"]))
    assert (made["demand_qty"] >= 0).all()
    changed = made.set_index(["item_id", "market_id"])["demand_qty"] - table.set_index(["item_id", "market_id"])["demand_qty"]
    assert (changed[changed.index.get_level_values(0).isin(["C", "D", "E"])] == 0).all()
    for market, part in table.groupby("market_id"):
        sold = part.set_index("item_id")["demand_qty"].reindex(list("ABCDE"), fill_value=0.0)
        taken = min(first * sold["D"] + second * sold["E"], sold["A"] + sold["B"])
        assert -changed.xs(market, level="market_id").sum() == pytest.approx(taken, rel=1e-9, abs=1e-6)


def test_weights_follow_past_error_once_the_bias_is_out() -> None:
    plans, history = archive({"statistical": (0.0, 0.10), "sales": (0.25, 0.05), "marketing": (0.0, 0.30)})
    stream = pd.concat([streams(inputs()).assign(stream=name) for name in ("statistical", "sales", "marketing", "customer")])
    made = demand.stream_weights(plans, history, stream, CALENDAR).set_index("stream")
    assert made["weight_ratio"].sum() == pytest.approx(1)
    assert made.loc["sales", "bias_ratio"] == pytest.approx(0.25, abs=0.02)
    assert made["weight_ratio"].idxmax() == "sales"
    assert made.loc["customer", "weight_ratio"] == pytest.approx(made.loc["marketing", "weight_ratio"])
    assert "no past plan" in made.loc["customer", "evidence"]


def test_without_a_past_streams_count_alike() -> None:
    stream = pd.concat([streams(inputs()).assign(stream=name) for name in ("statistical", "sales")])
    made = demand.stream_weights(tables.table("plan_archive").empty(), steady_history(), stream, CALENDAR)
    assert made["weight_ratio"].tolist() == [0.5, 0.5]


def weights(**rows: tuple[float, float]) -> pd.DataFrame:
    return tables.validate(
        "stream_weight",
        pd.DataFrame(
            [{"stream": name, "weight_ratio": weight, "bias_ratio": bias, "evidence": "test"} for name, (weight, bias) in rows.items()]
        ),
    )


def agreed(adjustment: list[dict] | None = None, tables_in: dict[str, pd.DataFrame] | None = None) -> pd.DataFrame:
    tables_in = tables_in or inputs(
        [{"source": "sales", "author": "x", "item_id": "A", "market_id": "M", "period": AHEAD[0], "input_qty": 240.0}]
    )
    records = NO_ADJUSTMENT
    if adjustment:
        base = {"by": "anna", "at": "2026-09-20", "why": "campaign", "period": AHEAD[0]}
        records = tables.validate(
            "demand_adjustment", pd.DataFrame([{"record_id": str(n), **base, **row} for n, row in enumerate(adjustment)])
        )
    return demand.consensus(
        streams(tables_in), weights(statistical=(0.5, 0.0), sales=(0.5, 0.2)), records, forecast(BASE), NO_LAUNCH, tables_in
    )


def at_start(made: pd.DataFrame) -> pd.Series:
    return made[made["period"] == AHEAD[0]].set_index(["item_id", "market_id"])["demand_qty"]


def test_consensus_removes_bias_and_weighs_what_is_there() -> None:
    made = agreed()
    assert at_start(made)["A", "M"] == pytest.approx(150)
    assert at_start(made)["B", "M"] == pytest.approx(300)
    row = made[(made["item_id"] == "A") & (made["market_id"] == "M") & (made["period"] == AHEAD[0])].iloc[0]
    assert (row["low_qty"], row["high_qty"], row["revenue_amt"]) == pytest.approx((120, 195, 1500))


def test_adjustments_apply_in_order_and_land_exactly() -> None:
    made = at_start(
        agreed(
            [
                {"family": "F", "region": "R", "kind": "replace", "value": 1000.0},
                {"item_id": "A", "kind": "add", "value": 50.0},
                {"market_id": "O", "kind": "multiply", "value": 2.0},
            ]
        )
    )
    assert made.loc[["A"]].sum() + made["B", "M"] == pytest.approx(1050)
    assert made["C", "O"] == pytest.approx(20)
    assert made["B", "O"] == pytest.approx(80)


def test_single_cells_are_replaced_in_their_order_among_other_adjustments() -> None:
    cell = {"item_id": "A", "market_id": "M", "kind": "replace"}
    made = at_start(agreed([{**cell, "value": 70.0}, {**cell, "value": 80.0}, {"item_id": "A", "kind": "multiply", "value": 2.0},
                            {"item_id": "B", "market_id": "M", "kind": "replace", "value": -5.0}]))
    assert (made["A", "M"], made["A", "N"], made["B", "M"], made["B", "O"]) == pytest.approx((160, 100, 0, 40))


def test_demand_is_never_negative() -> None:
    assert at_start(agreed([{"item_id": "C", "kind": "add", "value": -1e6}]))["C", "O"] == 0


def test_an_adjustment_of_an_unknown_item_is_named() -> None:
    with pytest.raises(DataError, match="item_id=X"):
        agreed([{"item_id": "X", "kind": "add", "value": 1.0}])


def test_an_item_without_any_price_is_named() -> None:
    tables_in = inputs()
    tables_in["price"] = tables_in["price"][tables_in["price"]["item_id"] != "C"]
    with pytest.raises(DataError, match="missing_price at item_id=C"):
        agreed(tables_in=tables_in)


def test_staircase_shows_every_stair_on_the_same_set() -> None:
    plans, history = archive({"statistical": (0.0, 0.05), "sales": (0.3, 0.05), "consensus": (0.0, 0.02)})
    made = demand.forecast_value_added(plans, history, CALENDAR, lag=1).set_index("stair")
    assert made.index.tolist() == ["naive", "statistical", "sales", "consensus"]
    assert made.loc["sales", "bias_ratio"] == pytest.approx(0.3, abs=0.03)
    assert made.loc["sales", "gain_over_previous_ratio"] == pytest.approx(
        made.loc["statistical", "wape_ratio"] - made.loc["sales", "wape_ratio"]
    )
    assert made.loc["sales", "gain_over_previous_ratio"] < 0 < made.loc["consensus", "gain_over_naive_ratio"]
    assert made["gain_over_previous_ratio"].sum() == pytest.approx(made.loc["consensus", "gain_over_naive_ratio"])
    assert made.loc["consensus", "item_share_beating_naive_ratio"] == 1


def test_staircase_is_empty_before_any_plan_met_its_actual() -> None:
    assert demand.forecast_value_added(tables.table("plan_archive").empty(), steady_history(), CALENDAR).empty


# ------------------------------------------------------------------ record of streams and authors


def record(plans: pd.DataFrame, history: pd.DataFrame, given_rows: list[dict] | None = None) -> pd.DataFrame:
    made = demand.stream_record(plans, history, inputs(given_rows), CALENDAR)
    return made.set_index(["stream", "author", "level", "member"])


def spoke(author: str, **scope: str) -> dict:
    return {"source": "sales", "author": author, "period": AHEAD[0], "input_qty": 1.0, **scope}


def test_a_record_is_error_bias_signal_and_gain_by_hand() -> None:
    cells = pd.DataFrame({"item_id": "A", "market_id": "M", "period": MONTHS[-3:]})
    history = tables.validate("sales_history", cells.assign(ordered_qty=[100.0, 100.0, 200.0]))
    lock = f"{MONTHS[-3]:%Y-%m}"
    plans = tables.validate("plan_archive", cells.assign(lock_cycle_id=lock, stream="sales", plan_qty=[120.0, 90.0, 230.0]))
    made = record(plans, history).loc[("sales", "all", "total", "all")]
    assert (made["wape_ratio"], made["bias_ratio"], made["tracking_signal"]) == pytest.approx((60 / 400, 40 / 400, 40 / 20))
    assert made["gain_over_naive_ratio"] == pytest.approx(1 - 60 / 400)  # nothing was known before: naive expects nothing
    assert (made["actual_qty"], made["period_count"], made["flag"]) == (400, 3, "none")
    assert "above demand in 2 of 3 periods" in made["evidence"]


def test_people_who_are_always_on_one_side_are_named_and_machines_are_not() -> None:
    plans, history = archive({"sales": (0.0, 0.03), "statistical": (-0.2, 0.03)})
    in_s = plans["market_id"] == "O"
    plans["plan_qty"] *= np.where(plans["stream"] == "sales", np.where(in_s, 0.85, 1.15), 1.0)
    made = record(plans, history, [spoke("Ann", region="R"), spoke("Bob", region="S")])
    assert made.loc[("sales", "Ann", "total", "all"), "flag"] == "over-optimism"
    bob = made.loc[("sales", "Bob", "total", "all")]
    assert (bob["flag"], bob["bias_ratio"]) == ("sandbagging", pytest.approx(-0.15, abs=0.02))
    assert "below demand in 12 of 12 periods" in bob["evidence"]
    assert made.loc[("sales", "all", "region", "S"), "flag"] == "sandbagging"
    assert (made.loc["statistical", "flag"] == "none").all()


def test_the_most_specific_author_answers_and_equals_answer_together() -> None:
    plans, history = archive({"sales": (0.0, 0.03)})
    made = record(plans, history, [spoke("Ann"), spoke("Bob", item_id="A"), spoke("Cid", market_id="O"), spoke("Dan", market_id="O")])
    total = made.xs(("sales", "total"), level=("stream", "level"))["actual_qty"].droplevel("member")
    sold = history.assign(count=history["period"].map(plans.drop_duplicates(["lock_cycle_id", "period"])["period"].value_counts()))
    sold = sold.assign(weighed=sold["ordered_qty"] * sold["count"]).groupby(["item_id", "market_id"])["weighed"].sum()
    assert total["Bob"] == pytest.approx(sold["A"].sum())
    assert total["Cid & Dan"] == pytest.approx(sold.drop("A")[:, "O"].sum())
    assert total[["Ann", "Bob", "Cid & Dan"]].sum() == pytest.approx(total["all"])


@pytest.mark.parametrize("seed", range(8))
def test_honest_noise_is_not_called_gaming(seed: int) -> None:
    plans, history = archive({"sales": (0.0, 0.15), "marketing": (0.0, 0.10)}, seed)
    assert (record(plans, history).xs("total", level="level")["flag"] == "none").all()


def test_plans_that_shrink_as_the_month_comes_near_are_a_hockey_stick() -> None:
    history = steady_history()
    rows = []
    for lock in MONTHS[-10:]:
        ahead = history[(history["period"] >= lock) & (history["period"] < lock + pd.DateOffset(months=6))]
        lag = (ahead["period"].dt.year - lock.year) * 12 + ahead["period"].dt.month - lock.month
        rows.append(ahead[["item_id", "market_id", "period"]].assign(
            lock_cycle_id=f"{lock:%Y-%m}", stream="sales", plan_qty=ahead["ordered_qty"] * (1 + 0.06 * lag)))
    made = record(tables.validate("plan_archive", pd.concat(rows, ignore_index=True)), history).loc[("sales", "all", "total", "all")]
    assert made["flag"] == "hockey stick"
    assert "above the last plans of the same periods" in made["evidence"]


def test_quarter_ends_that_promise_too_much_are_a_hockey_stick() -> None:
    plans, history = archive({"sales": (0.0, 0.03)})
    plans["plan_qty"] *= np.where(plans["period"].dt.month % 3 == 0, 1.25, 1.0)
    made = record(plans, history).loc[("sales", "all", "total", "all")]
    assert made["flag"] == "hockey stick"
    assert "points higher than other months" in made["evidence"]


def test_a_record_is_empty_before_any_plan_met_its_actual() -> None:
    empty = tables.table("plan_archive").empty()
    assert demand.stream_record(empty, steady_history(), inputs(), CALENDAR).empty
    assert demand.stream_record(empty, tables.table("sales_history").empty(), inputs(), CALENDAR).empty
