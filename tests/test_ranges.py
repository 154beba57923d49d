"""Ranges at every level, models pinned by planners, the leaderboard, and quantities locked at any level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sop_workbench import demand, tables
from sop_workbench.errors import DataError
from sop_workbench.forecast import forecast_tables, intervals
from sop_workbench.forecast.backtest import Backtest
from sop_workbench.forecast.engine import _of_what_was_on_sale, _with_season
from sop_workbench.forecast.events import announced, event_effects
from sop_workbench.forecast.hierarchy import held_sums
from sop_workbench.forecast.intervals import PastErrors, calibrate, coverage_table, difficulty, held_out_bounds
from sop_workbench.forecast.models import MODELS
from sop_workbench.forecast.nodes import LEAF_LEVEL, Nodes, hierarchy_nodes, plain_nodes
from sop_workbench.forecast.panel import Panel
from sop_workbench.forecast.pins import pinned_models
from sop_workbench.forecast.shares import by_shares, shared_forecast
from sop_workbench.periods import Calendar
from sop_workbench.settings import Forecast, Settings

MONTHS = pd.date_range("2021-10-01", periods=60, freq="MS")
AHEAD = pd.date_range("2026-10-01", periods=12, freq="MS")
QUICK = Settings(company="Test", forecast=Forecast(effort="quick"))
CALENDAR = Calendar("month")
ITEM = pd.DataFrame({"item_id": ["A", "B", "C", "D"], "family": ["F", "F", "G", "G"], "item_type": "finished", "phase_out_date": pd.NaT})
MARKET = pd.DataFrame({"market_id": ["N1", "N2", "S1"], "region": ["N", "N", "S"], "channel": ["web", "shop", "shop"]})
MASTERS = {"item": ITEM, "market": MARKET}


def history(noise: float = 0.15, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    grid = pd.MultiIndex.from_product([ITEM["item_id"], MARKET["market_id"], MONTHS], names=["item_id", "market_id", "period"])
    season = 1 + 0.3 * np.sin(2 * np.pi * grid.get_level_values("period").month / 12)
    return grid.to_frame(index=False).assign(ordered_qty=100 * season * rng.lognormal(0, noise, len(grid)))


@pytest.fixture(scope="module")
def made() -> dict[str, pd.DataFrame]:
    return forecast_tables(history(), AHEAD, QUICK, CALENDAR, None, ITEM, MARKET)


# ---------------------------------------------------------------- ranges
def past_of(level: np.ndarray, spread: np.ndarray, seed: int = 1, origins: int = 3, test: int = 6, kind: str = "normal") -> PastErrors:
    """Series whose errors are as large as their own history says."""
    rng = np.random.default_rng(seed)
    shape = (len(level), origins, test)
    forecast = np.broadcast_to(level[:, None, None], shape)
    if kind == "counts":
        actual = rng.poisson(forecast).astype(float)
        known = rng.poisson(level[:, None], (len(level), 48)).astype(float)
    else:
        actual = forecast + spread[:, None, None] * rng.standard_normal(shape)
        known = level[:, None] + spread[:, None] * rng.standard_normal((len(level), 48))
    hardness = np.repeat(difficulty(known, 12)[:, None], origins, axis=1)
    # Tests follow each other: two or three of half a year see the whole of it.
    return PastErrors(forecast.copy(), actual, hardness, np.full((len(level), origins), 3), 48 + test * np.arange(origins), 12)


def test_width_grows_by_noise_and_wandering_level_beyond_the_test() -> None:
    past = past_of(np.full(400, 1000.0), np.full(400, 10.0))
    grown = past.forecast + (past.actual - past.forecast) * np.sqrt(4 + np.arange(1, 7))
    above = calibrate(replace(past, actual=grown), 0.8, 12).above
    np.testing.assert_allclose(above / above[0], np.sqrt((4 + np.arange(1, 13)) / 5), rtol=0.12)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_the_range_holds_what_it_says_for_calm_and_for_wild_series_alike(coverage: float) -> None:
    level, spread = np.full(400, 1000.0), np.repeat([5.0, 80.0], 200)
    calibration = calibrate(past_of(level, spread), coverage, 6)
    later = past_of(level, spread, seed=2)
    low, high = calibration.bounds(later.forecast[:, 0], later.difficulty[:, 0], later.group[:, 0])
    inside = (later.actual[:, 0] >= low) & (later.actual[:, 0] <= high)
    assert inside[:200].mean() == pytest.approx(coverage, abs=0.03)
    assert inside[200:].mean() == pytest.approx(coverage, abs=0.03)


def test_a_floor_of_zero_does_not_make_the_range_of_small_counts_too_wide() -> None:
    """With each tail cut at 10 % a Poisson of mean 1 is held in 92 % and more: nothing falls below zero."""
    level = np.full(600, 1.0)
    calibration = calibrate(past_of(level, level, kind="counts"), 0.8, 6)
    later = past_of(level, level, seed=9, kind="counts")
    low, high = calibration.bounds(later.forecast[:, 0], later.difficulty[:, 0], later.group[:, 0])
    inside = (later.actual[:, 0] >= low) & (later.actual[:, 0] <= high)
    assert (low >= 0).all()
    assert 0.72 <= inside.mean() <= 0.93


def test_bounds_widen_with_the_horizon_beyond_what_was_tested() -> None:
    level = np.full(100, 100.0)
    past = past_of(level, np.full(100, 10.0))
    wider = past.forecast + (past.actual - past.forecast) * np.sqrt(np.arange(1, 7))
    growing = replace(past, actual=wider)
    calibration = calibrate(growing, 0.8, 18)
    assert (np.diff(calibration.above) > 0).all()
    assert calibration.above[17] / calibration.above[0] == pytest.approx(np.sqrt(18), rel=0.15)


def test_an_origin_is_judged_by_the_errors_of_the_others() -> None:
    past = past_of(np.full(50, 100.0), np.full(50, 10.0))
    wild = past.actual.copy()
    wild[:, 0] = past.forecast[:, 0] + 20 * (past.actual[:, 0] - past.forecast[:, 0])
    low, high = held_out_bounds(replace(past, actual=wild), 0.8)
    width = (high - low).mean(axis=(0, 2))
    assert width[0] < width[1]
    assert ((wild[:, 0] >= low[:, 0]) & (wild[:, 0] <= high[:, 0])).mean() < 0.3


def test_one_origin_says_nothing_about_coverage() -> None:
    nodes = plain_nodes(np.full((5, 48), 10.0), np.zeros((5, 60, 2)))
    past = past_of(np.full(5, 10.0), np.full(5, 1.0), origins=1)
    assert coverage_table(nodes, past, (0.8,)).empty


def test_ranges_are_given_at_every_level_and_sums_are_narrower_than_their_members(made: dict[str, pd.DataFrame]) -> None:
    table = made["forecast_range"]
    assert {"item_id", "item_id × channel", "family", "family × region", "market_id", "region", "channel", "total"} == (
        set(table["level"]) - {"family × market_id", "family × channel"}
    )
    narrow = table[table["coverage_ratio"] == 0.8]
    assert (narrow["low_qty"] <= narrow["forecast_qty"]).all()
    assert (narrow["forecast_qty"] <= narrow["high_qty"]).all()
    total = narrow[narrow["level"] == "total"].set_index("period")
    leaf = made["statistical_forecast"].groupby("period")[["forecast_qty", "low_qty", "high_qty"]].sum()
    np.testing.assert_allclose(total["forecast_qty"], leaf["forecast_qty"], rtol=1e-6)
    # Independent errors cancel: twelve series of equal size leave less than half of the summed width.
    assert (total["high_qty"] - total["low_qty"]).sum() < 0.5 * (leaf["high_qty"] - leaf["low_qty"]).sum()


def test_sums_of_a_level_add_up_to_the_total(made: dict[str, pd.DataFrame]) -> None:
    sums = made["forecast_range"].query("coverage_ratio == 0.8").groupby(["level", "period"])["forecast_qty"].sum().unstack("period")
    np.testing.assert_allclose(sums.to_numpy(), np.broadcast_to(sums.loc["total"], sums.shape), rtol=1e-6)


def test_the_wide_range_holds_the_narrow_one_and_coverage_is_reported(made: dict[str, pd.DataFrame]) -> None:
    wide = made["forecast_range"].pivot(index=["level", "member", "period"], columns="coverage_ratio", values=["low_qty", "high_qty"])
    assert (wide["high_qty"][0.95] >= wide["high_qty"][0.8]).all()
    assert (wide["low_qty"][0.95] <= wide["low_qty"][0.8]).all()
    covered = made["forecast_coverage"].set_index(["level", "nominal_ratio"])["covered_ratio"]
    assert covered["item_id × market_id", 0.8] == pytest.approx(0.8, abs=0.08)
    assert covered["item_id × market_id", 0.95] == pytest.approx(0.95, abs=0.05)


def test_an_item_that_ended_by_date_gets_no_demand_and_its_family_none_of_it() -> None:
    item = ITEM.assign(phase_out_date=[pd.Timestamp("2026-09-15"), pd.NaT, pd.NaT, pd.NaT])
    made = forecast_tables(history(), AHEAD, QUICK, CALENDAR, None, item, MARKET)
    leaf = made["statistical_forecast"].groupby("item_id")[["forecast_qty", "high_qty"]].sum()
    assert leaf.loc["A"].eq(0).all()
    family = made["forecast_range"].query("level == 'family' and member == 'F' and coverage_ratio == 0.8")["forecast_qty"].sum()
    assert family == pytest.approx(leaf.loc["B", "forecast_qty"], rel=1e-6)


def shop(demand_now: np.ndarray, families: tuple[str, str] = ("F", "F")) -> Nodes:
    """Items A and B in markets M and N of one channel: rows A·M, A·N, B·M, B·N."""
    keys = pd.DataFrame({"item_id": ["A", "A", "B", "B"], "market_id": ["M", "N", "M", "N"]})
    item = pd.DataFrame({"item_id": ["A", "B"], "family": families, "phase_out_date": pd.NaT})
    market = pd.DataFrame({"market_id": ["M", "N"], "region": ["R", "S"], "channel": "shop"})
    periods = pd.date_range("2025-01-01", periods=demand_now.shape[1], freq="MS")
    return hierarchy_nodes(Panel(keys, periods, demand_now, [""] * 4, 12), np.zeros((4, len(periods) + 1, 2)), item, market)


def test_a_sparse_series_takes_its_share_of_item_and_market() -> None:
    """Two items, two markets, independent: the share forecast is item times market over the whole."""
    nodes = shop(np.outer([60.0, 20.0, 30.0, 10.0], np.ones(12)))
    rows, shared = shared_forecast(nodes, LEAF_LEVEL, nodes.demand, nodes.demand[:, -1:] * 2, 12)
    assert rows.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(shared.ravel(), [120, 40, 60, 20])


def test_families_wanted_by_turns_are_forecast_by_turns() -> None:
    """M's customers of the first month of a quarter want A, those of the second B, of the third both; N's want both always.

    The sums carry their part of the rhythm; what each market takes of it comes back from the quarters before.
    """
    turns = np.tile(np.array([[90.0, 10, 50], [50, 50, 50], [10, 90, 50], [50, 50, 50]]), (1, 4))
    nodes = shop(turns, families=("F", "G"))
    rows, shared = shared_forecast(nodes, "family × market_id", nodes.demand, nodes.demand[:, :6], 12)
    by_row = dict(zip(rows.tolist(), shared, strict=True))
    first, second = (by_row[row] for row in nodes.row_of("family × market_id")[:2])
    np.testing.assert_allclose(first, [90, 10, 50, 90, 10, 50])
    np.testing.assert_allclose(second, 50)


def test_demand_without_a_rhythm_gets_none() -> None:
    steady = np.outer([60.0, 20.0, 30.0, 10.0], np.ones(12)) * np.random.default_rng(3).lognormal(0, 0.05, (1, 12))
    _, shared = shared_forecast(shop(steady), LEAF_LEVEL, shop(steady).demand, np.ones((len(shop(steady).demand), 6)), 12)
    assert np.ptp(shared, axis=1).max() == 0


def test_an_item_leans_on_what_it_took_of_its_family_in_a_year() -> None:
    """A took three quarters of the family for a year; its own forecast says half. It is put half way, and the family keeps its sum."""
    nodes = shop(np.outer([45.0, 30.0, 15.0, 10.0], np.ones(14)))
    leaf = np.array([[30.0], [20], [30], [20]])
    whole = np.vstack([leaf, nodes.summing @ leaf])
    nobody = np.zeros(len(whole), dtype=bool)
    made = by_shares(nodes, nodes.demand, whole, 12, nobody)
    np.testing.assert_allclose(made[:4].ravel(), [37.5, 25, 22.5, 15])
    ended = nobody.copy()
    ended[[2, 3, *np.unique(nodes.row_of("item_id × channel")[2:])]] = True
    np.testing.assert_allclose(by_shares(nodes, nodes.demand, whole, 12, ended)[2:4], leaf[2:])


def test_items_of_no_known_family_are_not_held_together() -> None:
    nodes = shop(np.outer([45.0, 30.0, 15.0, 10.0], np.ones(14)), families=("", ""))
    whole = np.vstack([leaf := np.array([[30.0], [20], [30], [20]]), nodes.summing @ leaf])
    np.testing.assert_allclose(by_shares(nodes, nodes.demand, whole, 12, np.zeros(len(whole), dtype=bool))[:4], leaf)


# ---------------------------------------------------------------- events that were announced late
def promotion(uplift: float = 0.5, known_date: str | None = "2026-01-15", month: str = "2026-02-01", **scope: str) -> pd.DataFrame:
    """One promotion of item A, or of what `scope` names."""
    row = {"event_id": f"E-{month}", "kind": "promotion", "from_period": month, "to_period": month, "uplift_ratio": uplift}
    row["known_date"] = known_date
    return tables.validate("event", pd.DataFrame([{**row, **(scope or {"item_id": "A"})}]))


def promoted_shop(event: pd.DataFrame) -> Nodes:
    """The shop of A and B with fourteen months of 60, 20, 30 and 10, and an event in February 2026."""
    demand_now = np.outer([60.0, 20.0, 30.0, 10.0], np.ones(14))
    keys = pd.DataFrame({"item_id": ["A", "A", "B", "B"], "market_id": ["M", "N", "M", "N"]})
    periods = pd.date_range("2025-01-01", periods=15, freq="MS")
    item = pd.DataFrame({"item_id": ["A", "B"], "family": "F", "phase_out_date": pd.NaT})
    market = pd.DataFrame({"market_id": ["M", "N"], "region": ["R", "S"], "channel": "shop"})
    panel = Panel(keys, periods[:14], demand_now, [""] * 4, 12)
    known = announced(keys, periods, event, item, None, CALENDAR)
    return hierarchy_nodes(panel, event_effects(keys, periods, event, item), item, market, known)


def test_a_past_origin_knows_of_an_event_once_it_was_announced() -> None:
    """+50 % on A in February, decided in mid-January: thirteen months are over for who first knows it.

    A's forecast without it is 1 / 1.5; the family's, two thirds of it A, is 1 / (1 + 2/3 · .5).
    """
    nodes = promoted_shop(promotion())
    family = np.unique(nodes.row_of("family"))[0]
    before, after = nodes.foreseen(12, 2), nodes.foreseen(13, 1)
    np.testing.assert_allclose(before[[0, 1, 2, family]], [[1, 1 / 1.5], [1, 1 / 1.5], [1, 1], [1, 0.75]])
    np.testing.assert_array_equal(after, 1)


@pytest.mark.parametrize("known_date", [None, "2025-12-31", "2020-01-01"])
def test_an_event_known_before_the_origin_or_always_is_foreseen(known_date: str | None) -> None:
    np.testing.assert_array_equal(promoted_shop(promotion(known_date=known_date)).foreseen(12, 2), 1)


@given(st.floats(-0.9, 5), st.integers(3, 13))
@settings(max_examples=15, deadline=None)
def test_what_was_not_foreseen_moves_a_forecast_against_the_event_and_never_below_zero(uplift: float, known: int) -> None:
    nodes = promoted_shop(promotion(uplift))
    factor = nodes.foreseen(known, 14 - known)
    assert (factor > 0).all()
    assert (np.sign((1 - factor) * uplift) >= 0).all()
    assert (factor[:, :-1] == 1).all()


def test_promotions_decided_late_widen_the_range_and_leave_the_forecast() -> None:
    """Every second month of the two last years carries a promotion of F, decided long before or the month before."""
    months = MONTHS[-24::2]
    sales = history()
    lifted = sales["period"].isin(months) & sales["item_id"].isin(["A", "B"])
    sales["ordered_qty"] *= np.where(lifted, 1.5, 1.0)
    made = []
    for early in (True, False):
        decided = {month: "2020-01-01" if early else str((month - pd.Timedelta(days=10)).date()) for month in months}
        rows = [promotion(known_date=day, month=str(month.date()), family="F") for month, day in decided.items()]
        made.append(forecast_tables(sales, AHEAD, QUICK, CALENDAR, pd.concat(rows, ignore_index=True), ITEM, MARKET))
    known, late = made
    pd.testing.assert_series_equal(known["statistical_forecast"]["forecast_qty"], late["statistical_forecast"]["forecast_qty"])
    pd.testing.assert_frame_equal(known["forecast_error"], late["forecast_error"])
    for level in ("family", "item_id", "total"):
        asked = f"level == '{level}' and coverage_ratio == 0.95"
        width = [(table["high_qty"] - table["low_qty"]).sum() for table in (part["forecast_range"].query(asked) for part in made)]
        assert width[1] > 1.1 * width[0], level


# ---------------------------------------------------------------- pins and the leaderboard
def pin(**values: str) -> pd.DataFrame:
    return pd.DataFrame([{"record_id": "1", "item_id": "", "family": "", "market_id": "", "model": "", **values}])


def test_a_pinned_model_makes_the_forecast_and_the_words_say_so() -> None:
    sales = history()
    made = forecast_tables(sales, AHEAD, QUICK, CALENDAR, None, ITEM, MARKET, pin(item_id="A", model="seasonal naive"))
    rows = made["statistical_forecast"].query("item_id == 'A' and market_id == 'N1'")
    assert rows["model"].iloc[0] == "regular: 100% seasonal naive (pinned)"
    last_year = sales.query("item_id == 'A' and market_id == 'N1'")["ordered_qty"].to_numpy()[-12:]
    np.testing.assert_allclose(rows["forecast_qty"], last_year, rtol=0.01)
    other = made["statistical_forecast"].query("item_id == 'B'")["model"]
    assert not other.str.contains("pinned").any()


def test_the_newest_pin_counts_and_an_empty_one_releases() -> None:
    keys = pd.DataFrame({"item_id": ["A", "A", "B"], "market_id": ["N1", "S1", "N1"]})
    pins = pd.concat([pin(family="F", model="theta"), pin(item_id="A", market_id="S1", model="naive"), pin(item_id="B", model="")])
    assert pinned_models(pins, keys, ITEM, MARKET) == {0: "theta", 1: "naive"}


def test_pins_on_what_is_not_there_are_told_all_at_once() -> None:
    pins = pd.concat([pin(item_id="Z", model="theta"), pin(item_id="A", model="oracle"), pin(family="H", model="theta")])
    with pytest.raises(DataError) as told:
        forecast_tables(history(), AHEAD, QUICK, CALENDAR, None, ITEM, MARKET, pins)
    assert set(told.value.issues["rule"]) == {"unknown_item_id", "unknown_model", "unknown_family"}
    assert all(name in told.value.issues.set_index("rule").loc["unknown_model", "remedy"] for name in MODELS)


def test_the_well_known_models_are_always_on_the_leaderboard() -> None:
    """Thirty items, the smallest effort: a sample of the items, and every model measured on the same ones."""
    items = [f"I{number:02d}" for number in range(30)]
    grid = pd.MultiIndex.from_product([items, ["N1"], MONTHS[:40]], names=["item_id", "market_id", "period"]).to_frame(index=False)
    grid["ordered_qty"] = np.random.default_rng(1).lognormal(4, 0.3, len(grid))
    item = pd.DataFrame({"item_id": items, "family": ["F", "G"] * 15, "phase_out_date": pd.NaT})
    board = forecast_tables(grid, MONTHS[40:46], QUICK, CALENDAR, None, item, MARKET)["forecast_error"]
    wanted = {"prophet", "auto ets", "theta", "ces", "seasonal naive", "naive", "boosted trees", "ensemble"}
    for level, member in (("total", "all"), ("family", "all"), ("item_id", "sample of 2")):
        rows = board[(board["level"] == level) & (board["member"] == member)].set_index("model")
        assert wanted <= set(rows.index)
        assert rows["actual_qty"].nunique() == 1  # the same held-out quantities for every model
        assert rows["wape_ratio"].notna().all()
    assert board.set_index(["level", "member", "model"]).loc[("item_id", "sample of 2", "prophet"), "basis"] == (
        "2 of 30 items, taken evenly by volume, by themselves"
    )


# ---------------------------------------------------------------- locks
PERIOD, NEXT = pd.Timestamp("2026-11-01"), pd.Timestamp("2026-12-01")
HORIZON = pd.DatetimeIndex([PERIOD, NEXT])
SCOPE = ("item_id", "family", "market_id", "region", "channel")


def lock(quantity: float | None, period: pd.Timestamp = PERIOD, **scope: str) -> dict:
    return {**dict.fromkeys(SCOPE, ""), "period": period, "locked_qty": quantity, **scope}


def plan() -> pd.DataFrame:
    grid = pd.MultiIndex.from_product([ITEM["item_id"], MARKET["market_id"], HORIZON], names=["item_id", "market_id", "period"])
    return grid.to_frame(index=False).assign(demand_qty=np.arange(1.0, len(grid) + 1))


def locked(*rows: dict) -> pd.DataFrame:
    made = demand.held_to_locks(plan(), pd.DataFrame(rows), MASTERS, HORIZON)
    return made.merge(ITEM[["item_id", "family"]], on="item_id").merge(MARKET, on="market_id")


def test_locks_at_any_level_and_sideways_are_held_exactly() -> None:
    made = locked(lock(100, family="F"), lock(40, channel="web"), lock(7, item_id="A", market_id="N1"), lock(90, region="N"))
    now = made[made["period"] == PERIOD]
    scopes = ("family == 'F'", "channel == 'web'", "item_id == 'A' and market_id == 'N1'", "region == 'N'")
    sums = [now.query(where)["demand_qty"].sum() for where in scopes]
    np.testing.assert_allclose(sums, [100, 40, 7, 90], rtol=1e-12)
    assert (now["demand_qty"] >= 0).all()
    before = plan()
    pd.testing.assert_series_equal(made.loc[made["period"] == NEXT, "demand_qty"].reset_index(drop=True),
                                   before.loc[before["period"] == NEXT, "demand_qty"].reset_index(drop=True))


def test_inside_one_lock_all_move_in_proportion() -> None:
    made, before = locked(lock(200, family="F")).query("family == 'F' and period == @PERIOD"), plan().query("period == @PERIOD")
    ratio = made["demand_qty"].to_numpy() / before[before["item_id"].isin(["A", "B"])]["demand_qty"].to_numpy()
    np.testing.assert_allclose(ratio, ratio[0])


def test_the_newest_lock_counts_and_an_empty_one_releases() -> None:
    newest = locked(lock(50, family="F"), lock(60, family="F")).query("family == 'F' and period == @PERIOD")
    assert newest["demand_qty"].sum() == pytest.approx(60)
    free = locked(lock(50, family="F"), lock(None, family="F"))["demand_qty"].sum()
    assert free == pytest.approx(plan()["demand_qty"].sum())


def test_a_family_locked_below_its_locked_items_is_answered_with_both_names() -> None:
    with pytest.raises(DataError) as told:
        locked(lock(30, family="F"), lock(40, item_id="A"))
    issue = told.value.issues.iloc[0]
    assert issue["rule"] == "conflicting_locks"
    assert "family=F period=2026-11-01 locked at 30" in issue["value"]
    assert "item_id=A period=2026-11-01 locked at 40" in issue["value"]
    assert "release" in issue["remedy"]


def test_locks_on_what_is_not_there_are_told_all_at_once() -> None:
    late = lock(1, family="F", period=pd.Timestamp("2030-01-01"))
    with pytest.raises(DataError) as told:
        locked(lock(1, item_id="Z"), lock(1, channel="fair"), late, lock(1, item_id="A", family="G"))
    assert set(told.value.issues["rule"]) == {"unknown_item_id", "unknown_channel", "outside_horizon", "item_of_another_family"}


def test_a_lock_on_places_without_demand_shares_equally() -> None:
    cells = plan().query("item_id != 'D'")
    made = demand.held_to_locks(cells, pd.DataFrame([lock(30, item_id="D")]), MASTERS, HORIZON)
    assert made.query("item_id == 'D'")["demand_qty"].tolist() == pytest.approx([10, 10, 10])


@given(st.lists(st.floats(0, 1e4), min_size=4, max_size=4), st.floats(0, 1e5), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_nested_locks_come_out_and_nothing_is_negative(values: list[float], total: float, share: float) -> None:
    made = held_sums(np.array(values), np.array([[1, 1, 1, 1], [1, 1, 0, 0]]), np.array([total, total * share]), ["all", "part"])
    assert made.sum() == pytest.approx(total, rel=1e-9, abs=1e-6)
    assert made[:2].sum() == pytest.approx(total * share, rel=1e-9, abs=1e-6)
    assert (made >= 0).all()


def test_an_empty_record_changes_nothing() -> None:
    assert tables.table("demand_lock").empty().empty
    pd.testing.assert_frame_equal(demand.held_to_locks(plan(), tables.table("demand_lock").empty(), MASTERS, HORIZON), plan())


# ---------------------------------------------------------------- how many forecasts errors are worth
def test_errors_that_all_share_count_once_an_origin() -> None:
    rng = np.random.default_rng(5)
    alone = rng.normal(size=(200, 60, 4))
    assert intervals._independent(alone) == pytest.approx(12000, rel=0.2)
    together = np.repeat(rng.normal(size=(1, 60, 1)), 200, axis=0) + 0.1 * alone
    assert intervals._independent(together) == pytest.approx(60, rel=0.1)
    empty = np.full((3, 2, 4), np.nan)
    empty[0, 0] = 1.0
    assert intervals._independent(empty) == 1


def test_few_cases_widen_as_students_t_does() -> None:
    assert intervals._few_cases(1e6, 0.8) == pytest.approx(1, abs=1e-5)
    assert intervals._few_cases(10, 0.95) == pytest.approx(2.2622 / 1.95996 * np.sqrt(1.1), rel=1e-4)
    assert intervals._few_cases(1, 0.8) == intervals._few_cases(3, 0.8)


def test_a_kind_of_series_without_errors_is_as_wide_as_the_fewest_cases_make_it() -> None:
    """A launch of last month: of series that young the back-test knows nothing."""
    past = past_of(np.full(300, 100.0), np.full(300, 10.0))
    made, size = calibrate(past, 0.8, 6), difficulty(np.full((1, 24), 100.0), 12)
    known, new = (made.bounds(np.full((1, 6), 100.0), size, np.array([group])) for group in (3, 0))
    # Student's quantile of two degrees of freedom over the normal one, times √(1 + 1/3); the known kind has next to none of it.
    expected = 1.8856 / 1.28155 * np.sqrt(4 / 3)
    assert (new[1] - 100) / (known[1] - 100) == pytest.approx(np.full((1, 6), expected), rel=0.02)
    assert (100 - new[0]) / (100 - known[0]) == pytest.approx(np.full((1, 6), expected), rel=0.02)


# ---------------------------------------------------------------- what a short back-test has not seen
def test_months_tested_are_counted_once_wherever_they_stand_in_the_year() -> None:
    past = replace(past_of(np.full(30, 100.0), np.full(30, 10.0), test=4), origins=np.array([20, 21, 22]))
    assert past.unseen_year == pytest.approx(0.5)  # periods 20 to 25
    assert past.at(np.array([0])).unseen_year == pytest.approx(8 / 12)
    ended = past.actual.copy()
    ended[:, 2, 2:] = ended[:, 1, 3:] = np.nan  # history ends after period 23
    assert replace(past, actual=ended).unseen_year == pytest.approx(8 / 12)
    assert replace(past, origins=np.array([20, 32, 44])).unseen_year == pytest.approx(8 / 12)  # the same months of three years
    assert past_of(np.full(30, 100.0), np.full(30, 10.0)).unseen_year == 0


def test_a_side_that_a_few_months_never_saw_is_not_left_out() -> None:
    """All four months tested were forecast too low. Over a whole year that would be a fact; here the range looks down too."""
    past = past_of(np.full(200, 1000.0), np.full(200, 10.0), test=4)
    risen = replace(past, actual=past.forecast + np.abs(past.actual - past.forecast) + 1)
    year = calibrate(replace(risen, origins=np.array([48, 52, 56])), 0.8, 4)
    few = calibrate(replace(risen, origins=np.array([48, 48, 48])), 0.8, 4)
    np.testing.assert_allclose(few.below, 2 / 3 * few.above)
    np.testing.assert_allclose(few.above, year.above)
    assert (year.below < 0.01 * year.above).all()


# ---------------------------------------------------------------- seasons
def season_of(size: float, season_length: int, seed: int = 1) -> PastErrors:
    """Series of level 100 while they sell `size` times as much, and err size^¾ times as much; every period of a year was tested."""
    past = past_of(np.full(200, 100.0), np.full(200, 10.0), seed=seed, origins=9)
    forecast = size * past.forecast
    return replace(past, forecast=forecast, actual=forecast + size**0.75 * (past.actual - past.forecast), season_length=season_length)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
@pytest.mark.parametrize("season_length", [12, 52])
def test_a_high_season_is_held_as_often_as_said_by_errors_of_a_low_one(coverage: float, season_length: int) -> None:
    made = calibrate(season_of(0.5, season_length), coverage, 6)
    spring = season_of(1.5, season_length, seed=2)
    low, high = made.bounds(spring.forecast[:, 0], spring.difficulty[:, 0], spring.group[:, 0])
    assert ((spring.actual[:, 0] >= low) & (spring.actual[:, 0] <= high)).mean() == pytest.approx(coverage, abs=0.03)


def test_width_is_the_season_to_three_quarters_and_at_most_that_of_twice_the_level() -> None:
    forecast, hardness = np.array([[100.0, 1600.0, 150.0]]), np.array([[1.0, np.log(100.0), np.log(7.0), np.log(7.0)]])
    made = intervals.Calibration(np.array([0, 0, 0.5, 0.5]), np.ones(3), np.ones(3), {}, 1.0)
    low, high = made.bounds(forecast, hardness, np.array([3]))
    np.testing.assert_allclose(high - forecast, [[7, 7 * 2**0.75, 7 * 1.5**0.75]])
    np.testing.assert_allclose(forecast - low, high - forecast)


def test_how_hard_a_series_is_comes_from_two_years_of_weeks_too() -> None:
    """79 changes of 20, one of 10 and 24 of nothing: half a year of calm is not all that counts."""
    weeks = np.r_[np.tile([10.0, 30.0], 40), np.full(25, 20.0)]
    assert np.exp(difficulty(weeks[None], 52))[0, 2] == pytest.approx((79 * 20 + 10) / 104)


def test_errors_of_a_forecast_without_a_season_do_not_judge_one_that_has_it() -> None:
    demand_now = np.full((3, 28), 10.0)
    demand_now[1, :2] = np.nan  # two months younger
    demand_now[2, :16] = np.nan  # a year old
    group = np.full((3, 3), 3)
    np.testing.assert_array_equal(_with_season(demand_now, [23, 24, 26], 12, group), [[-1, 3, 3], [3, 3, 3], [3, 3, 3]])


def test_a_season_that_is_known_by_now_is_not_in_the_range() -> None:
    """28 months: the origins know 23, 24 and 25. The error of the first, half of it season, had set the width of them all."""
    sales = history(noise=0.05)
    sales["ordered_qty"] *= 1 + 0.6 * np.sin(2 * np.pi * sales["period"].dt.month / 12)
    made = forecast_tables(sales[sales["period"] >= MONTHS[-28]], AHEAD, QUICK, CALENDAR, None, ITEM, MARKET)["statistical_forecast"]
    assert ((made["high_qty"] - made["low_qty"]) / made["forecast_qty"]).median() < 0.5


def test_what_a_sum_sold_of_later_launches_is_no_error_of_its_forecast() -> None:
    """A family of one steady item; another is launched inside the test. The family is judged by the item that was there."""
    demand_now = np.vstack([np.full((2, 24), 10.0), np.full((2, 24), np.nan)])
    demand_now[2:, 20:] = 50.0
    nodes = shop(demand_now)
    actual = np.stack([nodes.demand[:, 16:22], nodes.demand[:, 18:24]], axis=1)
    judged = _of_what_was_on_sale(nodes, Backtest({}, actual, [16, 18])).actual
    family = np.unique(nodes.row_of("family"))[0]
    np.testing.assert_array_equal(actual[family, 0], [20, 20, 20, 20, 120, 120])
    np.testing.assert_array_equal(judged[family], 20)
