"""The statistical forecast: published cases, agreement with Prophet, back-test, hierarchy, odd series."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sop_workbench import tables
from sop_workbench.errors import SopError
from sop_workbench.forecast import candidates, reconcile, smoothing, spread, static_forecast, statistical_forecast
from sop_workbench.forecast.backtest import Backtest, combine, model_weights, rolling_origins
from sop_workbench.forecast.engine import ENSEMBLE, forecast_nodes
from sop_workbench.forecast.events import EFFECT_MEAN, EFFECT_SD, event_effects
from sop_workbench.forecast.hierarchy import bottom_up, middle_out, sum_rules, top_down
from sop_workbench.forecast.learned import boosted_trees, learn
from sop_workbench.forecast.models import ENDED, INTERMITTENT, MODELS, REGULAR, ROUTES, SHORT, STRUCTURE_THETA, forecast_models, route
from sop_workbench.forecast.nodes import plain_nodes
from sop_workbench.forecast.panel import demand_panel, like_for_like
from sop_workbench.forecast.structure import classical_factors, fit_structure, repeats_yearly
from sop_workbench.periods import Calendar
from sop_workbench.settings import Forecast, Settings

MONTHS = pd.date_range("2021-10-01", periods=60, freq="MS")
AHEAD = pd.date_range("2026-10-01", periods=18, freq="MS")
CALENDAR = Calendar("month")
QUICK = Settings(company="Test", forecast=Forecast(effort="quick"))
STANDARD = Settings(company="Test", forecast=Forecast(effort="standard"))
NO_EVENT = (np.zeros(0), np.zeros(0))


def real_data(name: str) -> Path:
    folder = Path(os.environ.get("SOP_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"{path} is absent; set SOP_DATA to the folder that holds {name}")
    return path


def seasonal(level: float = 100, growth: float = 0.0, swing: float = 0.3, length: int = 60) -> np.ndarray:
    """Trend, season and a little noise: without any, Stan searches for a spread of zero for seconds."""
    t = np.arange(length)
    return level * (1 + growth * t) * (1 + swing * np.sin(2 * np.pi * t / 12)) * np.random.default_rng(7).lognormal(0, 0.03, length)


def history(series: dict[tuple[str, str], np.ndarray], periods: pd.DatetimeIndex = MONTHS) -> pd.DataFrame:
    rows = [
        {"item_id": item, "market_id": market, "period": period, "ordered_qty": value}
        for (item, market), values in series.items()
        for period, value in zip(periods[-len(values) :], values, strict=True)
    ]
    return pd.DataFrame(rows)


def test_tahoe_salt_by_hand() -> None:
    demand = [8000, 13000, 23000, 34000, 10000, 18000, 23000, 38000, 12000, 13000, 32000, 41000]
    salt = static_forecast(demand, 4, 4, line_decimals=0, factor_decimals=2)
    assert salt.deseasonalised[2:10].tolist() == [19750, 20625, 21250, 21750, 22500, 22125, 22625, 24125]
    assert (salt.level, salt.trend, salt.seasonal_factors.tolist()) == (18439, 524, [0.47, 0.68, 1.17, 1.67])
    assert salt.forecast.round().tolist() == [11868, 17527, 30770, 44794]


def test_static_method_needs_two_seasons() -> None:
    with pytest.raises(SopError, match="two seasons"):
        static_forecast([1.0, 2, 3], 4, 1)


def test_structure_agrees_with_the_prophet_library() -> None:
    """Same model, same priors: season within 1 % of the level, trend within 3 %."""
    from prophet import Prophet

    rng = np.random.default_rng(7)
    demand = seasonal(growth=0.004) * rng.lognormal(0, 0.06, 60)
    mine = fit_structure(demand[None], MONTHS, np.zeros((1, 60, 0)), *NO_EVENT)
    library = Prophet(
        seasonality_mode="multiplicative",
        yearly_seasonality=6,
        weekly_seasonality=False,
        daily_seasonality=False,
        seasonality_prior_scale=0.1,
        n_changepoints=12,
        changepoint_range=0.9,
        uncertainty_samples=0,
    )
    library.fit(pd.DataFrame({"ds": MONTHS, "y": demand}), algorithm="LBFGS")
    theirs = library.predict(pd.DataFrame({"ds": MONTHS}))
    assert np.abs(mine.season(MONTHS)[0] - theirs["yearly"].to_numpy()).max() < 0.01
    assert np.abs(mine.trend[0] / theirs["trend"].to_numpy() - 1).max() < 0.03


def test_structure_learns_how_far_an_event_really_worked() -> None:
    effects = np.zeros((1, 60, 2))
    effects[0, [10, 25, 40], 0] = 0.5
    demand = seasonal() * (1 + 2.0 * effects[0, :, 0])
    fitted = fit_structure(demand[None], MONTHS, effects, EFFECT_MEAN, EFFECT_SD)
    assert fitted.event_coefficients[0, 0] == pytest.approx(2.0, abs=0.35)


def test_one_jump_is_not_a_season() -> None:
    jump = np.r_[np.full(24, 100.0), np.full(7, 900.0)] * np.random.default_rng(1).lognormal(0, 0.05, 31)
    answers = repeats_yearly(np.vstack([jump, seasonal(length=31)]), 12)
    assert answers.tolist() == [False, True]


def test_like_for_like_does_not_see_a_change_of_range() -> None:
    old, new, kept = np.full(24, 50.0), np.full(24, np.nan), np.full(24, 30.0)
    old[12:], new[12:] = 0.0, 200.0
    index = like_for_like(np.vstack([old, new, kept]), np.zeros(3, dtype=int))
    assert np.allclose(index, 230.0)


def test_routes() -> None:
    rare = np.tile([0.0, 0, 7], 20)
    ended = np.r_[np.full(40, 9.0), np.zeros(20)]
    short = np.r_[np.full(52, np.nan), np.full(8, 5.0)]
    assert route(np.vstack([seasonal(), rare, ended, short, np.zeros(60)])).tolist() == [REGULAR, INTERMITTENT, ENDED, SHORT, ENDED]


@pytest.mark.parametrize("series", [[5.0], [5.0, 5.0], [0.0, 0.0, 0.0], [4.0] * 30, [1.0, 0.0, 2.0], list(seasonal())])
@pytest.mark.parametrize(
    "model",
    [
        candidates.naive,
        candidates.moving_average,
        candidates.seasonal_naive,
        candidates.theta,
        candidates.exponential_smoothing,
        candidates.complex_smoothing,
        candidates.imapa,
        candidates.tsb,
        candidates.croston,
    ],
)
def test_no_candidate_ever_fails(model: candidates.Candidate, series: list[float]) -> None:
    made = model(np.array(series), 6, 12)
    assert made.shape == (6,)
    assert np.isfinite(made).all()
    assert (made >= 0).all()


def test_four_periods_are_smoothed_without_a_warning_on_the_screen() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = candidates.complex_smoothing(np.array([446.0, 864.0, 855.0, 768.0]), 3, 12)
    assert (said, np.isfinite(made).all()) == ([], True)


def test_a_series_of_less_than_three_years_leaves_its_season_to_its_group() -> None:
    """Two old series show the season of the group; one of two years and a jump is continued with it by every model."""
    season = 1 + 0.4 * np.sin(2 * np.pi * np.arange(72) / 12)
    jump = np.where(np.arange(72) < 42, np.nan, np.where(np.arange(72) < 54, 20.0, 60.0))
    demand = np.vstack([100 * season, 150 * season, jump * season])
    dates, one = pd.date_range("2020-01-01", periods=72, freq="MS"), np.zeros(3, dtype=int)
    effects = np.zeros((3, 72, len(EFFECT_MEAN)))
    made = forecast_models(
        demand[:, :60], dates[:60], effects, dates[60:], [one, one, one], np.ones(3, dtype=bool), 12, {REGULAR: (MODELS["theta"],)}
    )
    np.testing.assert_allclose(made["theta"][2] / demand[2, 60:], 1, atol=0.15)


def test_forecast_follows_season_and_beats_naive() -> None:
    rng = np.random.default_rng(3)
    series = {(f"I{i}", f"M{m}"): seasonal(50 + 20 * i, 0.002) * rng.lognormal(0, 0.1, 60) for i in range(4) for m in range(2)}
    known = {key: values[:48] for key, values in series.items()}
    periods = MONTHS[48:]
    made, error = statistical_forecast(history(known, MONTHS[:48]), periods, STANDARD, CALENDAR)
    actual = np.concatenate([values[48:] for _, values in sorted(series.items())])
    naive = np.concatenate([np.full(12, values[45:48].mean()) for _, values in sorted(series.items())])
    wape = np.abs(made["forecast_qty"].to_numpy() - actual).sum() / actual.sum()
    assert wape < 0.5 * np.abs(naive - actual).sum() / actual.sum()
    assert (made["low_qty"] <= made["forecast_qty"]).all()
    assert (made["forecast_qty"] <= made["high_qty"]).all()
    board = error[(error["member"] == "all") & (error["level"] == "total")].set_index("model")["wape_ratio"]
    assert {"prophet", "auto ets", "theta", "ces", "seasonal naive", "naive", ENSEMBLE} <= set(board.index)
    assert board[ENSEMBLE] < board["naive"]


def test_odd_series_are_answered_and_stop_nobody() -> None:
    odd = {
        ("CONSTANT", "M"): np.full(60, 12.0),
        ("ZERO", "M"): np.zeros(60),
        ("NEGATIVE", "M"): np.r_[seasonal()[:-1], -40.0],
        ("ONE", "M"): np.array([7.0]),
        ("TWO", "M"): np.array([7.0, 9.0]),
        ("RARE", "M"): np.tile([0.0, 0, 0, 8], 15),
        ("GAP", "M"): np.r_[seasonal()[:30], np.nan, seasonal()[31:]],
        ("FINE", "M"): seasonal(),
    }
    made, _ = statistical_forecast(history(odd), AHEAD, QUICK, CALENDAR)
    by_item = made.groupby("item_id")
    assert by_item.size().eq(18).all()
    assert made[["forecast_qty", "low_qty", "high_qty"]].notna().all().all()
    words = by_item["model"].first()
    assert "1 negative read as none" in words["NEGATIVE"]
    assert "1 missing bridged" in words["GAP"]
    assert words["ONE"].startswith("short")
    assert words["RARE"].startswith("intermittent")
    assert by_item["forecast_qty"].mean()["CONSTANT"] == pytest.approx(12, rel=0.1)
    assert made.loc[made["item_id"] == "ZERO", "forecast_qty"].eq(0).all()


def test_what_little_a_forecast_rests_on_is_said() -> None:
    odd = {
        ("CONSTANT", "M"): np.full(60, 12.0),
        ("ZERO", "M"): np.zeros(60),
        ("ONE", "M"): np.array([7.0]),
        ("TWO", "M"): np.array([7.0, 9.0]),
        ("INFINITE", "M"): np.r_[seasonal()[:40], np.inf, seasonal()[41:]],
        ("HUGE", "M"): seasonal() * 1e15,
        ("FINE", "M"): seasonal(),
    }
    made, _ = statistical_forecast(history(odd), AHEAD, QUICK, CALENDAR)
    alone, _ = statistical_forecast(history({("FINE", "M"): seasonal()}), AHEAD, QUICK, CALENDAR)
    words = made.groupby("item_id")["model"].first()
    assert "always the same quantity" in words["CONSTANT"]
    assert "never sold" in words["ZERO"]
    assert "only 1 period of history: its level is carried forward" in words["ONE"]
    assert "only 2 periods of history" in words["TWO"]
    assert "1 infinite bridged" in words["INFINITE"]
    assert words["FINE"] == alone["model"].iloc[0]
    means = made.groupby("item_id")["forecast_qty"].mean()
    assert np.isfinite(means).all()
    assert means["HUGE"] == pytest.approx(1e15 * means["FINE"], rel=0.1)
    assert 5 < means["TWO"] < 12


def test_no_history_gives_empty_tables() -> None:
    made, error = statistical_forecast(tables.table("sales_history").empty(), AHEAD, QUICK, CALENDAR)
    assert made.empty
    assert error.empty


def test_later_knowledge_is_not_read() -> None:
    known = history({("I", "M"): seasonal()})
    future = known.assign(period=known["period"] + pd.DateOffset(years=5), ordered_qty=1e6)
    first, _ = statistical_forecast(known, AHEAD, QUICK, CALENDAR)
    second, _ = statistical_forecast(pd.concat([known, future], ignore_index=True), AHEAD, QUICK, CALENDAR)
    pd.testing.assert_frame_equal(first, second)


def test_known_promotion_lifts_its_period_and_lowers_the_next() -> None:
    event = tables.validate(
        "event",
        pd.DataFrame(
            [
                {
                    "event_id": "E1",
                    "kind": "promotion",
                    "item_id": "I",
                    "market_id": "M",
                    "from_period": "2026-12-01",
                    "to_period": "2026-12-01",
                    "uplift_ratio": 0.4,
                    "pull_forward_ratio": 0.1,
                    "status": "approved",
                }
            ]
        ),
    )
    base, _ = statistical_forecast(history({("I", "M"): seasonal(swing=0)}), AHEAD, QUICK, CALENDAR)
    made, _ = statistical_forecast(history({("I", "M"): seasonal(swing=0)}), AHEAD, QUICK, CALENDAR, event)
    change = made["forecast_qty"].to_numpy() / base["forecast_qty"].to_numpy() - 1
    assert change[2] == pytest.approx(0.6, abs=0.02)
    assert change[3:5] == pytest.approx(-0.1, abs=0.02)
    assert change[5:] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("status", ["idea", "cancelled"])
def test_events_that_are_not_planned_count_for_nothing(status: str) -> None:
    event = tables.validate(
        "event",
        pd.DataFrame(
            [
                {
                    "event_id": "E",
                    "kind": "promotion",
                    "from_period": "2026-12-01",
                    "to_period": "2026-12-01",
                    "uplift_ratio": 1.0,
                    "status": status,
                }
            ]
        ),
    )
    keys = pd.DataFrame({"item_id": ["I"], "market_id": ["M"]})
    assert not event_effects(keys, AHEAD, event).any()


def test_event_of_a_family_and_region_touches_its_members_only() -> None:
    keys = pd.DataFrame({"item_id": ["I", "J", "I"], "market_id": ["M", "M", "N"]})
    item = pd.DataFrame({"item_id": ["I", "J"], "family": ["F", "G"]})
    market = pd.DataFrame({"market_id": ["M", "N"], "region": ["R", "S"]})
    event = tables.validate(
        "event",
        pd.DataFrame(
            [
                {
                    "event_id": "E",
                    "kind": "promotion",
                    "family": "F",
                    "region": "R",
                    "from_period": AHEAD[0],
                    "to_period": AHEAD[1],
                    "uplift_ratio": 0.2,
                }
            ]
        ),
    )
    assert event_effects(keys, AHEAD, event, item, market)[:, 0, 0].tolist() == [0.2, 0.0, 0.0]


def test_ended_item_gets_zero() -> None:
    item = tables.validate(
        "item", pd.DataFrame([{"item_id": "I", "item_name": "i", "item_type": "finished", "phase_out_date": "2026-09-15"}])
    )
    made, _ = statistical_forecast(history({("I", "M"): seasonal()}), AHEAD, QUICK, CALENDAR, None, item)
    assert made["forecast_qty"].eq(0).all()


def test_panel_reads_no_row_as_no_order_after_the_first_sale() -> None:
    frame = pd.DataFrame({"item_id": "I", "market_id": ["M", "M", "N"], "period": MONTHS[[2, 4, 0]], "ordered_qty": [3.0, 4.0, 1.0]})
    panel = demand_panel(frame, MONTHS[5], CALENDAR)
    np.testing.assert_array_equal(panel.demand[0], [np.nan, np.nan, 3, 0, 4, 0])


def test_origins_leave_one_test_length() -> None:
    origins, test = rolling_origins(60, 18, 3, 12)
    assert origins[-1] + test == 60
    assert rolling_origins(2, 18, 3, 12)[0] == []


def test_combine_leaves_out_models_without_a_forecast() -> None:
    made = combine({"a": np.array([[2.0, 2.0]]), "b": np.array([[4.0, np.nan]])}, ["a", "b"], np.array([[0.5, 0.5]]))
    assert made.tolist() == [[3.0, 2.0]]


@given(arrays(float, st.integers(1, 20), elements=st.floats(0, 1e6)), st.floats(0, 1e9))
@settings(max_examples=60, deadline=None)
def test_spread_conserves_the_total_and_is_never_negative(base: np.ndarray, total: float) -> None:
    shares = spread(np.array([total]), base, np.zeros(len(base), dtype=int))
    assert shares.sum() == pytest.approx(total, rel=1e-12, abs=1e-9)
    assert (shares >= 0).all()


def test_spread_refuses_a_negative_base_and_a_group_without_members() -> None:
    with pytest.raises(SopError, match="0 or more"):
        spread(np.array([1.0]), np.array([-1.0]), np.array([0]))
    with pytest.raises(SopError, match="no member"):
        spread(np.array([1.0, 2.0]), np.array([1.0]), np.array([0]))


@given(arrays(float, (6, 3), elements=st.floats(0, 1000)), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_reconciled_forecasts_add_up_and_are_never_negative(base: np.ndarray, seed: int) -> None:
    """Total over two families of two items each (rows: total, A, B, a1, a2, b1 …); the lock on A is honoured exactly."""
    nodes = np.vstack([base, base[:1]])
    rules = np.array([[1, -1, -1, 0, 0, 0, 0], [0, 1, 0, -1, -1, 0, 0], [0, 0, 1, 0, 0, -1, -1]])
    variance = np.random.default_rng(seed).uniform(0.1, 10, 7)
    variance[1] = 0
    made = reconcile(nodes, rules, np.zeros((3, 3)), variance)
    assert np.abs(rules @ made).max() < 1e-6
    assert (made >= 0).all()
    np.testing.assert_allclose(made[1], nodes[1])


def test_reconciliation_stands_variances_of_very_different_size() -> None:
    rng = np.random.default_rng(2)
    leaves, groups = 300, np.arange(300) % 20
    belongs = (groups[None, :] == np.arange(20)[:, None]).astype(float)
    rules = np.hstack([-np.vstack([belongs, np.ones((1, leaves))]), np.eye(21)])
    forecast = np.r_[rng.lognormal(0, 4, leaves), rng.lognormal(8, 2, 21)][:, None]
    made = reconcile(forecast, rules, np.zeros((21, 1)), rng.lognormal(0, 6, leaves + 21))
    assert np.abs(rules @ made).max() < 1e-6 * forecast.max()
    assert (made >= 0).all()


@pytest.mark.parametrize("most_held", [0, 100])
def test_values_held_at_zero_are_the_optimum_with_and_without_a_new_factorisation(monkeypatch, most_held: int) -> None:
    """Least squares with two locks and signs: optimality conditions, by the Schur complement (100) and by locking anew (0)."""
    monkeypatch.setattr("sop_workbench.forecast.hierarchy._MOST_HELD", most_held)
    rng = np.random.default_rng(4)
    summing = np.vstack([np.kron(np.eye(6), np.ones(5)), np.ones(30)])
    leaf = rng.lognormal(1, 1, (30, 4))
    forecast = np.vstack([leaf, (summing @ leaf) * 0.45])
    variance = np.r_[rng.uniform(0.5, 20, 30), np.ones(6), 0]
    variance[30] = 0
    rules = sum_rules(summing)
    made = reconcile(forecast, rules, np.zeros((7, 4)), variance)
    assert made.min() == 0
    assert np.abs(rules @ made).max() < 1e-9
    np.testing.assert_array_equal(made[[30, 36]], forecast[[30, 36]])
    # (y − ŷ) / W is a combination of the rules wherever nothing is held at zero.
    for move, value in zip((made - forecast).T, made.T, strict=True):
        free = (variance > 0) & (value > 0)
        gradient, inside = move[free] / variance[free], rules.toarray()[:, free].T
        np.testing.assert_allclose(inside @ np.linalg.lstsq(inside, gradient, rcond=None)[0], gradient, atol=1e-8)


def test_contradicting_locks_are_named() -> None:
    with pytest.raises(SopError, match="contradict"):
        reconcile(np.array([[100.0], [30.0], [50.0]]), np.array([[1, -1, -1]]), np.zeros((1, 1)), np.zeros(3))


# Four items in two markets (leaf = item · market): sums by item, by market (sideways), and the total.
CROSSED = np.vstack([np.kron(np.eye(4), np.ones((1, 2))), np.kron(np.ones((1, 4)), np.eye(2)), np.ones((1, 8))])


@pytest.mark.parametrize("locks", [[14], [8], [12], [0], [8, 13], [0, 12, 14]], ids=str)
def test_locks_hold_exactly_at_any_level(locks: list[int]) -> None:
    rng = np.random.default_rng(5)
    forecast = bottom_up(rng.uniform(5, 15, (8, 3)), CROSSED)
    forecast[locks] *= 1.1
    rules, variance = sum_rules(CROSSED), np.ones(15)
    variance[locks] = 0
    made = reconcile(forecast, rules, np.zeros((7, 3)), variance)
    np.testing.assert_array_equal(made[locks], forecast[locks])
    np.testing.assert_allclose(rules @ made, 0, atol=1e-9)
    assert (made >= 0).all()


def test_a_lock_far_below_its_members_leaves_none_negative() -> None:
    forecast = bottom_up(np.array([[1.0], [100], [1], [100], [1], [100], [1], [100]]), CROSSED)
    variance = np.ones(15)
    forecast[14], variance[14] = 20.0, 0.0
    made = reconcile(forecast, sum_rules(CROSSED), np.zeros((7, 1)), variance)
    assert made[14, 0] == 20
    assert made.min() == 0
    np.testing.assert_allclose(made[:8].sum(), 20)


@pytest.mark.parametrize(("locks", "named"), [({8: 5.0, 0: 9.0, 1: 9.0}, "node8"), ({12: 50.0, 13: 60.0, 14: 100.0}, "node14")])
def test_locks_that_clash_are_named(locks: dict[int, float], named: str) -> None:
    forecast, variance = bottom_up(np.full((8, 1), 10.0), CROSSED), np.ones(15)
    for node, value in locks.items():
        forecast[node], variance[node] = value, 0.0
    with pytest.raises(SopError, match=named) as told:
        reconcile(forecast, sum_rules(CROSSED), np.zeros((7, 1)), variance, [f"node{number}" for number in range(15)])
    assert "release one of these locks" in str(told.value)


def test_a_lock_below_zero_is_refused_by_name() -> None:
    with pytest.raises(SopError, match="locked below zero: total"):
        reconcile(np.array([[-1.0], [3.0]]), np.array([[1, -1]]), np.zeros((1, 1)), np.array([0.0, 1.0]), ["total", "item"])


def test_top_down_middle_out_and_bottom_up_agree_where_shares_do() -> None:
    leaves = np.random.default_rng(6).uniform(1, 9, (8, 3))
    whole = bottom_up(leaves, CROSSED)
    np.testing.assert_allclose(top_down(whole[14], leaves, CROSSED), whole)
    np.testing.assert_allclose(middle_out(whole[12:14], leaves, np.arange(8) % 2, CROSSED), whole)
    doubled = middle_out(2 * whole[8:12], leaves, np.arange(8) // 2, CROSSED)
    np.testing.assert_allclose(doubled, 2 * whole)


def test_same_numbers_for_the_same_inputs() -> None:
    known = history({(f"I{i}", "M"): seasonal(40 + i) for i in range(3)})
    first, second = (statistical_forecast(known, AHEAD, STANDARD, CALENDAR) for _ in range(2))
    pd.testing.assert_frame_equal(first[0], second[0])
    pd.testing.assert_frame_equal(first[1], second[1])


def test_series_do_not_depend_on_their_order() -> None:
    """Without pooling (no hierarchy, too few series for the trees) each series is answered as if it were alone."""
    rng = np.random.default_rng(4)
    demand = np.vstack([seasonal(30 + 9 * i, 0.002 * i) * rng.lognormal(0, 0.1, 60) for i in range(9)])
    demand[::2, :17] = np.nan
    dates = MONTHS.append(AHEAD)

    def answers(rows: np.ndarray) -> np.ndarray:
        nodes = plain_nodes(demand[rows], np.zeros((len(rows), 78, 2)))
        routes = {REGULAR: ROUTES["standard"][REGULAR] + (STRUCTURE_THETA,)}
        made = forecast_models(nodes.demand, dates[:60], nodes.effects, dates[60:], [], np.ones(len(rows), dtype=bool), 12, routes)
        return np.stack([made[name] for name in ("structure + ets", "theta", "structure + theta")])

    order = rng.permutation(9)
    np.testing.assert_allclose(answers(order), answers(np.arange(9))[:, order], rtol=1e-9)
    np.testing.assert_allclose(answers(np.array([5])), answers(np.arange(9))[:, [5]], rtol=1e-9)


def test_a_fit_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_PROPHET_SECONDS", 1)
    months = pd.date_range("2013-06-01", periods=7, freq="MS")
    demand = np.array([12.0, 118.5, 126.0, 124.0])  # a line broken twice meets all four
    assert candidates.prophet(demand, months[:4], months[4:], 12).tolist() == pytest.approx([122.8333] * 3, abs=1e-3)


@pytest.mark.parametrize("name", ["prophet", "auto ets", "theta", "ces", "seasonal naive", "boosted trees"])
def test_every_known_model_can_be_asked_for_by_name(name: str) -> None:
    demand = np.vstack([seasonal(100 + i) for i in range(24)])
    routes = {REGULAR: (MODELS[name],)}
    rows = demand if name in ("boosted trees", "theta") else demand[:2]
    effects = np.zeros((len(rows), 78, 2))
    made = forecast_models(rows, MONTHS, effects, AHEAD, [], np.ones(len(rows), dtype=bool), 12, routes)[name]
    expected = np.vstack([100 + i + np.zeros(18) for i in range(len(rows))]) * (1 + 0.3 * np.sin(2 * np.pi * np.arange(60, 78) / 12))
    assert (np.abs(made / expected - 1)).mean() < 0.12


def test_trees_of_the_oldest_origin_serve_the_later_ones() -> None:
    """Learned once, and from nothing an origin cannot know: later demand does not change what was said before it."""
    rng = np.random.default_rng(8)
    demand = np.vstack([seasonal(100 + i) * rng.lognormal(0, 0.1, 60) for i in range(30)])
    other = demand.copy()
    other[:, 40:] *= 3
    learned = learn(demand[:, :40], 6, 12)
    assert learned is not None
    np.testing.assert_array_equal(boosted_trees(demand[:, :40], 6, learned), boosted_trees(other[:, :40], 6, learn(other[:, :40], 6, 12)))
    assert boosted_trees(demand[:, :44], 6, learned).shape == (30, 6)
    assert learn(demand[:19, :40], 6, 12) is None
    assert np.isnan(boosted_trees(demand, 6, None)).all()


def test_batch_theta_is_the_librarys_theta() -> None:
    """Dynamic optimised Theta: the exact optimum over a grid says what the library's search says."""
    rng = np.random.default_rng(5)
    demand = np.vstack([(100 + g * np.arange(60)) * rng.lognormal(0, 0.05, 60) for g in (0, 0.5, 2)])
    library = np.vstack([candidates.theta(series, 12, 1) for series in demand])
    assert np.abs(smoothing.theta(demand, 12) / library - 1).max() < 0.03


def test_smoothing_follows_level_trend_and_damped_trend() -> None:
    t = np.arange(48.0)
    noise = np.random.default_rng(6).normal(0, 1, 48)
    level, line = 200 + noise, 100 + 4 * t + noise
    flat, rising = smoothing.exponential_smoothing(np.vstack([level, line]), 12)
    assert np.abs(flat / 200 - 1).max() < 0.02
    assert rising[-1] == pytest.approx(100 + 4 * 59, rel=0.05)


def test_a_library_fit_explains_no_more_than_the_best_point_of_the_grid() -> None:
    """A series of a known exponential smoothing is forecast as by its own parameters."""
    rng = np.random.default_rng(9)
    level, made = 100.0, []
    for error in rng.normal(0, 5, 120):
        made.append(level + error)
        level += 0.3 * error
    forecast = smoothing.exponential_smoothing(np.array([made]), 3)[0]
    assert forecast == pytest.approx(level, rel=0.03)


@pytest.mark.parametrize("model", [smoothing.theta, smoothing.exponential_smoothing, smoothing.complex_smoothing])
@given(arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 40)), elements=st.floats(0, 1e9)), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_batch_models_answer_every_series(model, demand: np.ndarray, seed: int) -> None:
    begun = np.random.default_rng(seed).integers(0, demand.shape[1], len(demand))
    demand = np.where(np.arange(demand.shape[1]) >= begun[:, None], demand, np.nan)
    made = model(demand, 5, 12)
    assert np.isfinite(made).all()
    assert (made >= 0).all()


def test_a_series_without_demand_has_no_batch_forecast() -> None:
    assert np.isnan(smoothing.theta(np.full((1, 5), np.nan), 3)).all()


def test_classical_factors_are_one_where_there_is_no_season() -> None:
    rng = np.random.default_rng(2)
    past, coming = classical_factors(np.vstack([100 + rng.normal(0, 5, 48), seasonal(length=48)]), 12, 12)
    assert (past[0] == 1).all()
    assert coming[1].mean() == pytest.approx(1)
    assert coming[1, 3] == pytest.approx(1.3, abs=0.04)


def test_weights_do_not_hang_on_models_of_other_series() -> None:
    """A model that no series of this kind uses, and one without a record, leave the weights of the others alone."""
    rng = np.random.default_rng(3)
    actual = rng.uniform(90, 110, (20, 3, 6))
    made = {"good": actual + rng.normal(0, 3, actual.shape), "fair": actual + rng.normal(0, 4, actual.shape)}
    suits = np.ones((20, 2), dtype=bool)
    two = model_weights(Backtest(made, actual, [10, 12, 14]), ["good", "fair"], np.full(20, 100.0), suits)
    more = {**made, "other": np.full(actual.shape, np.nan)}
    three = model_weights(
        Backtest(more, actual, [10, 12, 14]), ["good", "fair", "other"], np.full(20, 100.0), np.c_[suits, suits[:, 0] & False]
    )
    np.testing.assert_allclose(three[:, :2], two)
    assert two[:, 0].mean() > 0.55


def test_import_stays_quick() -> None:
    """Prophet and statsforecast take seconds: they wait until a model is fitted."""
    code = "import sys, sop_workbench.forecast; sys.exit(any(name in sys.modules for name in ('prophet', 'statsforecast')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_standard_beats_naive2_and_theta_on_m3_and_its_range_holds() -> None:
    """Sixty series of the M3 competition, 18 months ahead."""
    frame = pd.read_parquet(real_data("forecast/m3_monthly.parquet")).sort_values(["unique_id", "ds"])
    names = sorted(frame["unique_id"].unique())[5::24]
    train = [frame.loc[(frame["unique_id"] == name) & ~frame["test"], "y"].to_numpy() for name in names]
    test = np.vstack([frame.loc[(frame["unique_id"] == name) & frame["test"], "y"].to_numpy() for name in names])
    length = max(map(len, train))
    demand = np.vstack([np.r_[np.full(length - len(series), np.nan), series] for series in train])
    dates = pd.date_range("2000-01-01", periods=length + 18, freq="MS")
    made = forecast_nodes(plain_nodes(demand, np.zeros((len(names), length + 18, 2))), dates[:length], dates[length:], STANDARD, CALENDAR)
    scale = np.array([np.abs(series[12:] - series[:-12]).mean() for series in train])[:, None]
    seasonal_naive = np.vstack([candidates.seasonal_naive(series, 18, 12) for series in train])
    theta = np.vstack([candidates.theta(series, 18, 12) for series in train])

    def mase(forecast: np.ndarray) -> float:
        return float((np.abs(forecast - test) / scale).mean())

    assert mase(made.forecast) < 0.85 * mase(seasonal_naive)
    assert mase(made.forecast) < 1.02 * mase(theta)
    covered = ((test >= made.low) & (test <= made.high)).mean()
    assert 0.70 < covered < 0.90
