"""Product review: classes, launches, Bass diffusion, phase-outs, excess."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sop_workbench import product, tables
from sop_workbench.errors import SopError
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

MONTHS = pd.date_range("2023-10-01", periods=36, freq="MS")
AHEAD = pd.date_range("2026-10-01", periods=12, freq="MS")
AS_OF = pd.Timestamp("2026-09-30")
CALENDAR = Calendar("month")
SETTINGS = Settings(company="Test")


def items(*rows: dict) -> pd.DataFrame:
    base = {"item_name": "name", "item_type": "finished", "family": "F", "standard_cost_amt": 4.0}
    return tables.validate("item", pd.DataFrame([{**base, **row} for row in rows]))


def sales(series: dict[tuple[str, str], np.ndarray], price: float = 10.0) -> pd.DataFrame:
    rows = [
        {"item_id": item, "market_id": market, "period": period, "ordered_qty": value, "net_sales_amt": price * value}
        for (item, market), values in series.items()
        for period, value in zip(MONTHS[-len(values) :], values, strict=True)
    ]
    return tables.validate("sales_history", pd.DataFrame(rows))


NO_PRICE = tables.table("price").empty()


def test_abc_keeps_the_item_that_crosses_the_limit_in_the_better_class() -> None:
    assert product.abc_class(pd.Series([50.0, 790.0, 100.0, 60.0, 0.0])).tolist() == ["C", "A", "A", "B", "C"]
    assert product.abc_class(pd.Series([0.0, 0.0])).tolist() == ["C", "C"]


def test_classes_patterns_and_stages_of_life() -> None:
    rng = np.random.default_rng(2)
    frame = items(
        {"item_id": "STEADY"},
        {"item_id": "RARE"},
        {"item_id": "GONE"},
        {"item_id": "YOUNG"},
        {"item_id": "LEAVING", "phase_out_date": "2027-01-31"},
        {"item_id": "ENDED", "phase_out_date": "2025-01-31"},
        {"item_id": "NEVER"},
        {"item_id": "COMING", "launch_date": "2026-12-01"},
    )
    history = sales(
        {
            ("STEADY", "M"): 100 + rng.normal(0, 3, 36),
            ("RARE", "M"): np.tile([9.0, 0, 0], 12),
            ("GONE", "M"): np.r_[np.full(24, 5.0), np.zeros(12)],
            ("YOUNG", "M"): np.full(4, 20.0),
            ("LEAVING", "M"): np.full(36, 30.0),
            ("ENDED", "M"): np.full(12, 3.0),
        }
    )
    made = product.classify_items(frame, history, NO_PRICE, SETTINGS, AS_OF, CALENDAR).set_index("item_id")
    assert made["lifecycle"].to_dict() == {
        "STEADY": "mature",
        "RARE": "mature",
        "GONE": "ended",
        "YOUNG": "launch",
        "LEAVING": "phase_out",
        "ENDED": "ended",
        "NEVER": "ended",
        "COMING": "launch",
    }
    assert made.loc["STEADY", ["abc", "xyz", "demand_pattern"]].tolist() == ["A", "X", "smooth"]
    assert made.loc["RARE", "demand_pattern"] == "intermittent"
    assert made.loc["RARE", "demand_interval"] == pytest.approx(34 / 12, abs=0.3)
    assert made.loc["STEADY", "margin_amt"] == pytest.approx(0.6 * made.loc["STEADY", "revenue_amt"])
    assert made.loc["NEVER", ["abc", "xyz", "demand_pattern", "revenue_amt"]].tolist() == ["C", "Z", "none", 0.0]


def test_season_does_not_make_an_item_variable() -> None:
    season = 100 * (1 + 0.8 * np.sin(2 * np.pi * np.arange(36) / 12)) * np.random.default_rng(1).lognormal(0, 0.05, 36)
    made = product.classify_items(items({"item_id": "I"}), sales({("I", "M"): season}), NO_PRICE, SETTINGS, AS_OF, CALENDAR)
    assert season.std() / season.mean() > 0.5
    assert made.loc[0, "variation_ratio"] < 0.3
    assert made.loc[0, "xyz"] == "X"


def test_later_sales_are_not_known() -> None:
    history = sales({("I", "M"): np.full(36, 10.0)})
    early = product.classify_items(items({"item_id": "I"}), history, NO_PRICE, SETTINGS, pd.Timestamp("2024-09-30"), CALENDAR)
    assert early.loc[0, "demand_qty"] == 120


def test_launch_copies_the_curve_of_the_like_item() -> None:
    curve = np.r_[10.0, 20, 40, 60, 80, 80, 80, 80, 80, 80, 80, 80]
    frame = items({"item_id": "OLD"}, {"item_id": "LIKE"}, {"item_id": "NEW", "like_item_id": "LIKE", "launch_date": "2026-11-10"})
    history = sales({("OLD", "M"): np.full(36, 5.0), ("LIKE", "M"): 0.75 * curve, ("LIKE", "N"): 0.25 * curve})
    made = product.launch_forecast(frame, history, AHEAD, CALENDAR)
    assert set(made["item_id"]) == {"NEW"}
    total = made.groupby("period")["forecast_qty"].sum()
    assert total.iloc[0] == 0
    np.testing.assert_allclose(total.iloc[1:8], curve[:7])
    share = made.groupby("market_id")["forecast_qty"].sum()
    assert share["M"] / share.sum() == pytest.approx(0.75)
    assert made["method"].str.contains("launch curve of LIKE").all()
    assert (made["low_qty"] <= made["forecast_qty"]).all()
    assert (made["high_qty"] >= made["forecast_qty"]).all()


def test_launch_is_scaled_by_its_own_first_sales() -> None:
    curve = np.r_[10.0, 20, 40, 60, np.full(8, 80.0)]
    frame = items({"item_id": "OLD"}, {"item_id": "LIKE"}, {"item_id": "NEW", "like_item_id": "LIKE"})
    history = sales({("OLD", "M"): np.full(36, 5.0), ("LIKE", "M"): curve, ("NEW", "M"): 2 * curve[:4]})
    made = product.launch_forecast(frame, history, AHEAD, CALENDAR)
    # It sells twice its curve; four periods of own sales against one for the like item, in logs.
    assert made["forecast_qty"].iloc[0] == pytest.approx(80 * 2 ** (4 / 5), rel=0.05)


@pytest.mark.parametrize(("periods", "weight"), [(1, 2 / 3), (2, 1 / 3), (3, 0.0), (5, 0.0)])
def test_the_launch_curve_hands_over_within_three_periods(periods: int, weight: float) -> None:
    curve = np.r_[10.0, 20, 40, 60, np.full(8, 80.0)]
    frame = items({"item_id": "OLD"}, {"item_id": "LIKE"}, {"item_id": "NEW", "like_item_id": "LIKE"})
    history = sales({("OLD", "M"): np.full(36, 5.0), ("LIKE", "M"): curve, ("NEW", "M"): curve[:periods]})
    assert product.launch_forecast(frame, history, AHEAD, CALENDAR)["weight_ratio"].unique().tolist() == pytest.approx([weight])


def test_an_old_item_that_sells_late_for_the_first_time_is_no_launch() -> None:
    """Ordered now and then since 2019, first in the third month of the history: its level is copied, not its gaps."""
    rare = np.tile([0.0, 0, 30], 11)
    young = {"item_id": "NEW", "like_item_id": "OLD", "launch_date": "2026-10-05"}
    frame = items({"item_id": "OLD"}, {"item_id": "RARE", "family": "OTHER", "launch_date": "2019-01-01"}, young)
    made = product.launch_forecast(frame, sales({("OLD", "M"): np.full(36, 50.0), ("RARE", "M"): rare}), AHEAD, CALENDAR)
    np.testing.assert_allclose(made["forecast_qty"], 50.0, rtol=0.01)


def test_an_item_with_six_periods_needs_no_launch_curve_and_an_unlike_one_takes_the_family() -> None:
    frame = items({"item_id": "OLD"}, {"item_id": "A"}, {"item_id": "B"}, {"item_id": "NEW"})
    history = sales(
        {("OLD", "M"): np.full(36, 5.0), ("A", "M"): np.full(10, 40.0), ("B", "M"): np.full(8, 60.0), ("NEW", "M"): np.full(2, 50.0)}
    )
    made = product.launch_forecast(frame, history, AHEAD, CALENDAR)
    assert set(made["item_id"]) == {"NEW"}
    assert made["like_item_id"].isna().all()
    assert made["method"].str.contains("2 launches").all()
    np.testing.assert_allclose(made["forecast_qty"], 50.0, rtol=0.02)


@pytest.mark.parametrize(("launched", "unsold"), [("2026-10-05", 0), ("2026-09-05", 0), ("2026-08-05", 1), ("2026-06-05", 3)])
def test_whole_periods_without_a_sale_since_the_launch_date_count_as_sales_of_none(launched: str, unsold: int) -> None:
    frame = items({"item_id": "OLD"}, {"item_id": "NEW", "like_item_id": "OLD", "launch_date": launched})
    made = product.launch_forecast(frame, sales({("OLD", "M"): np.full(36, 50.0)}), AHEAD, CALENDAR)
    # One period for the like item, in logs; sales below 5 % of the curve say no more than that.
    expected = 50 * (0.05 / 1.05) ** (unsold / (unsold + 1))
    np.testing.assert_allclose(made["forecast_qty"], expected, rtol=0.01)


def test_every_estimator_of_a_launch_stands_beside_the_one_used() -> None:
    grown = product.bass_curve(0.02, 0.3, 4000, 24)
    frame = items({"item_id": "OLD"}, {"item_id": "A"}, {"item_id": "B"}, {"item_id": "NEW", "like_item_id": "A"})
    history = sales({("OLD", "M"): np.full(36, 5.0), ("A", "M"): grown, ("B", "M"): 1.5 * grown, ("NEW", "M"): 0.8 * grown[:4]})
    made = product.launch_curves(frame, history, AHEAD, CALENDAR)
    assert set(made["estimator"]) == {"like-item profile", "Bass, penalised least squares on sales with prior"}
    used = made[made["is_used"]]
    assert set(used["estimator"]) == {"like-item profile"}
    forecast = product.launch_forecast(frame, history, AHEAD, CALENDAR)
    np.testing.assert_allclose(used["forecast_qty"], forecast.groupby("period")["forecast_qty"].sum())
    assert set(forecast["estimator"]) == {"like-item profile"}
    bass = made[~made["is_used"]]
    # Own sales say that this one is smaller than the median of earlier launches, and it lies between both.
    own, median = (product.bass_curve(0.02, 0.3, market, 16)[4:] for market in (3200, np.sqrt(4000 * 6000)))
    np.testing.assert_allclose(bass["forecast_qty"].iloc[:3], own[:3], rtol=0.06)
    assert own.sum() < bass["forecast_qty"].sum() < median.sum()
    assert bass["evidence"].str.contains("median of 2 earlier launches of the family; 4 periods").all()


def test_without_any_earlier_launch_bass_with_published_averages_takes_over() -> None:
    curve = product.bass_curve(0.03 / 12, 0.38 / 12, 50_000, 16)
    frame = items({"item_id": "OLD"}, {"item_id": "NEW"})
    history = sales({("OLD", "M"): np.full(36, 5.0), ("NEW", "M"): curve[:4]})
    made = product.launch_forecast(frame, history, AHEAD, CALENDAR)
    assert set(made["item_id"]) == {"NEW"}
    assert made["estimator"].str.startswith("Bass, penalised").all()
    assert made["method"].str.contains("published averages").all()
    np.testing.assert_allclose(made["forecast_qty"], curve[4:], rtol=0.3)
    two = sales({("OLD", "M"): np.full(36, 5.0), ("NEW", "M"): curve[:2]})
    assert product.launch_forecast(frame, two, AHEAD, CALENDAR).empty, "two periods and nothing to lean on say nothing"


def test_first_actuals_move_a_bass_launch_from_its_prior() -> None:
    """Penalised least squares lies between what earlier launches say and what own sales say, nearer to the latter as they grow."""
    prior = product.BassModel(0.03, 0.38, 1000.0, "earlier launches")
    truth = product.bass_curve(0.03, 0.38, 2000, 12)
    markets = [product.fit_bass(truth[:n], "sales", prior, 3).market_qty for n in (1, 3, 6, 12)]
    assert 1000 < markets[0] < 2000
    assert abs(markets[-1] / 2000 - 1) < 0.1
    assert abs(markets[-1] - 2000) < abs(markets[0] - 2000)


def test_no_young_item_gives_an_empty_table() -> None:
    assert product.launch_forecast(items({"item_id": "I"}), sales({("I", "M"): np.full(36, 5.0)}), AHEAD, CALENDAR).empty


def test_bass_published_peak() -> None:
    time, rate = product.bass_peak(0.03, 0.38, 100_000)
    assert (round(time, 2), round(rate)) == (6.19, 11059)
    assert float(product.bass_cumulative(0.03, 0.38, 1, time)) == pytest.approx(0.5 - 0.03 / (2 * 0.38))
    assert product.bass_peak(0.2, 0.1, 1000) == (0.0, 200.0)


@pytest.mark.parametrize("estimator", ["sales", "cumulative"])
@given(p=st.floats(0.005, 0.08), q=st.floats(0.2, 0.6), m=st.floats(1e2, 1e6))
@settings(max_examples=15, deadline=None)
def test_bass_fit_on_the_exact_curve_returns_its_parameters(estimator: str, p: float, q: float, m: float) -> None:
    made = product.fit_bass(product.bass_curve(p, q, m, 20), estimator)
    assert (made.innovation, made.imitation, made.market_qty) == pytest.approx((p, q, m), rel=1e-3)


def test_bass_estimators_differ_on_noise_and_say_their_name() -> None:
    noisy = product.bass_curve(0.03, 0.38, 1000, 10) * np.random.default_rng(4).lognormal(0, 0.2, 10)
    by_sales, by_sum = product.fit_bass(noisy, "sales"), product.fit_bass(noisy, "cumulative")
    assert by_sales.estimator == "least squares on sales"
    assert by_sum.estimator == "least squares on cumulative"
    for name in ("innovation", "imitation", "market_qty"):
        assert abs(getattr(by_sales, name) / getattr(by_sum, name) - 1) > 0.001, name


def test_bass_prior_holds_a_short_launch() -> None:
    prior = product.BassModel(0.03, 0.38, 1000, "published averages")
    made = product.fit_bass(product.bass_curve(0.03, 0.38, 1000, 3) * np.array([1.3, 0.8, 1.1]), "sales", prior, prior_periods=6)
    assert made.market_qty == pytest.approx(1000, rel=0.4)
    assert made.estimator.endswith("with prior")


def test_bass_refuses_what_cannot_be_fitted() -> None:
    with pytest.raises(SopError, match="three periods"):
        product.fit_bass(np.array([1.0, 2.0]))
    with pytest.raises(SopError, match="p > 0"):
        product.bass_curve(0, 0.3, 100, 3)


def demand(item: str, quantity: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"item_id": item, "market_id": "M", "period": AHEAD[: len(quantity)], "demand_qty": quantity})


def stock(**quantity: float) -> pd.DataFrame:
    return tables.validate(
        "stock_on_hand",
        pd.DataFrame(
            [{"item_id": name, "location_id": "L", "on_hand_qty": value, "as_of_date": AS_OF} for name, value in quantity.items()]
        ),
    )


def test_phase_out_says_when_stock_ends_and_what_to_buy_last() -> None:
    frame = items({"item_id": "I", "phase_out_date": "2026-12-31", "successor_item_id": "J"}, {"item_id": "J"})
    made = product.phase_out(frame, demand("I", [100.0] * 6), stock(I=150.0), AS_OF, CALENDAR, pd.Series({"I": 30.0})).iloc[0]
    assert made["remaining_demand_qty"] == 300
    assert made["last_buy_qty"] == 150
    assert made["last_buy_date"] == pd.Timestamp("2026-12-01")
    assert made["run_out_date"] == pd.Timestamp("2026-11-16")
    assert made["moved_qty"] == 300
    assert made["left_over_qty"] == 0


def test_phase_out_names_what_is_left_over() -> None:
    frame = items({"item_id": "I", "phase_out_date": "2026-11-30"})
    made = product.phase_out(frame, demand("I", [10.0] * 12), stock(I=500.0), AS_OF, CALENDAR).iloc[0]
    assert (made["left_over_qty"], made["left_over_amt"], made["last_buy_qty"]) == (480, 1920, 0)
    assert pd.isna(made["run_out_date"])
    assert made["moved_qty"] == 0


def test_the_last_order_is_due_before_the_longest_way_down_the_bill_of_material() -> None:
    made = pd.DataFrame({"item_id": ["GRILL", "BURNER", "BURNER"], "lead_time_days": [5.0, 7.0, 9.0]})
    bought = pd.DataFrame({"item_id": ["VALVE", "BOX"], "lead_time_days": [60.0, np.nan]})
    parts = pd.DataFrame({"parent_item_id": ["GRILL", "BURNER", "GRILL"], "component_item_id": ["BURNER", "VALVE", "BOX"]})
    lead = product.total_lead_times(made, bought, parts)
    assert lead.to_dict() == {"BOX": 0, "BURNER": 69, "GRILL": 74, "VALVE": 60}
    frame = items({"item_id": "GRILL", "phase_out_date": "2026-12-31"})
    stock = tables.table("stock_on_hand").empty()
    row = product.phase_out(frame, demand("GRILL", [10.0, 10, 10]), stock, AS_OF, CALENDAR, lead).iloc[0]
    assert row["last_buy_date"] == pd.Timestamp("2026-12-31") - pd.Timedelta(days=74)
    assert row["last_buy_qty"] == 30


def test_excess_names_ended_models_with_their_money() -> None:
    frame = items({"item_id": "A"}, {"item_id": "ENDED", "phase_out_date": "2026-05-30"}, {"item_id": "SHORT"})
    classes = product.classify_items(
        frame,
        sales({("A", "M"): np.full(36, 10.0), ("ENDED", "M"): np.full(36, 1.0), ("SHORT", "M"): np.full(36, 9.0)}),
        NO_PRICE,
        SETTINGS,
        AS_OF,
        CALENDAR,
    )
    plan = pd.concat([demand("A", [10.0] * 12), demand("SHORT", [9.0] * 12)])
    made = product.excess_stock(frame, stock(A=100.0, ENDED=50.0, SHORT=20.0), plan, classes, SETTINGS, CALENDAR)
    assert made["item_id"].tolist() == ["ENDED", "A"]
    assert made["excess_amt"].tolist() == [200, 160]
    assert made.loc[0, "reason"] == "model ended on 2026-05-30"
    assert made.loc[1, "cover_months"] == 10


def test_stock_is_judged_by_the_season_of_the_months_ahead_and_by_a_whole_year() -> None:
    season = np.array([10.0, 20, 30, 40, 50, 60, 60, 50, 40, 30, 20, 10])
    lumpy = np.zeros(36)
    lumpy[[0, -6]] = 24.0
    rate = product.seasonal_run_rate(sales({("A", "M"): np.tile(season, 3), ("RARE", "M"): lumpy}),
                                     items({"item_id": "A", "family": "F"}, {"item_id": "RARE", "family": "G"}), AHEAD[:3], CALENDAR)
    first = rate.groupby("item_id")["demand_qty"].apply(list)
    assert first["A"] == pytest.approx([10, 20, 30], rel=0.05), "October is low, as last October was"
    assert first["RARE"] == pytest.approx([2.0, 2, 2]), "24 a year are 2 a month, also when none was sold of late"


def test_nothing_is_expected_after_the_phase_out() -> None:
    frame = items({"item_id": "ENDING", "phase_out_date": "2026-11-30"})
    classes = product.classify_items(frame, sales({("ENDING", "M"): np.full(36, 10.0)}), NO_PRICE, SETTINGS, AS_OF, CALENDAR)
    made = product.excess_stock(frame, stock(ENDING=50.0), demand("ENDING", [10.0] * 12), classes, SETTINGS, CALENDAR).iloc[0]
    assert (made["forward_demand_qty"], made["excess_qty"]) == (20, 30)
    assert made["reason"] == "more than sells until the phase-out on 2026-11-30"


def test_demand_is_judged_until_the_last_phase_out_and_the_cover_limit() -> None:
    weeks = pd.date_range("2026-09-28", periods=13, freq="W-MON")
    settings = Settings(company="C", currency="EUR", bucket="week", newest_cycle="2026-W40", tolerances={"excess_cover_months": 6})
    assert len(product.periods_judged(items({"item_id": "A"}), weeks, settings, Calendar("week"))) == 26


def test_portfolio_names_the_tail() -> None:
    frame = items({"item_id": "BIG"}, {"item_id": "TINY"})
    classes = product.classify_items(
        frame, sales({("BIG", "M"): np.full(36, 1000.0), ("TINY", "M"): np.full(36, 1.0)}), NO_PRICE, SETTINGS, AS_OF, CALENDAR
    )
    made = product.portfolio(frame, classes, stock(TINY=10.0)).set_index("item_id")
    assert made["is_tail"].to_dict() == {"BIG": False, "TINY": True}
    assert made.loc["TINY", "stock_amt"] == 40
    assert made["cumulative_revenue_ratio"].iloc[-1] == pytest.approx(1)
