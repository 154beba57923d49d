"""What means a year is twelve periods in months and fifty-two in weeks; each case by hand."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import test_capacity
from small_company import rows

from sop_workbench import capacity, execution, finance, product, tables
from sop_workbench.forecast import candidates, engine, leaderboard
from sop_workbench.forecast.backtest import rolling_origins
from sop_workbench.forecast.nodes import Nodes, hierarchy_nodes
from sop_workbench.forecast.panel import demand_panel
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

WEEK, MONTH = Calendar("week"), Calendar("month")
MONDAYS = pd.date_range("2024-10-07", periods=104, freq="W-MON")
FIRSTS = pd.date_range("2024-10-01", periods=24, freq="MS")
EITHER = pytest.mark.parametrize(("calendar", "past"), [(MONTH, FIRSTS), (WEEK, MONDAYS)], ids=["month", "week"])


def two_years(calendar: Calendar, before: float, early: float, late: float) -> np.ndarray:
    """A year of one quantity, then three quarters of another and a quarter of a third."""
    quarter = calendar.buckets_per_year // 4
    return np.repeat([before, early, late], [4 * quarter, 3 * quarter, quarter])


@EITHER
def test_the_size_of_a_series_is_its_mean_of_the_last_year(calendar: Calendar, past: pd.DatetimeIndex) -> None:
    demand = np.vstack([two_years(calendar, 90.0, 20.0, 40.0), np.zeros(len(past)), two_years(calendar, 90.0, np.nan, 40.0)])
    assert engine._mean_level(demand, calendar.buckets_per_year).tolist() == [25.0, 1.0, 40.0]


def test_a_test_is_as_long_as_the_horizon_and_at_most_a_year() -> None:
    """Ten years: eighteen months ahead are tested by twelve, as many weeks by as many, sixty weeks by fifty-two."""
    assert [rolling_origins(10 * year, ahead, 3, year) for year, ahead in ((12, 18), (52, 18), (52, 60))] == [
        ([100, 104, 108], 12), ([490, 496, 502], 18), ([434, 451, 468], 52)
    ]


@EITHER
def test_an_event_weighs_in_a_sum_what_its_item_sold_in_the_last_year(calendar: Calendar, past: pd.DatetimeIndex) -> None:
    """A sold 3 of 4 units of the last year, though none in its last quarter: half as much again of A is three eighths of both."""
    quarter = calendar.buckets_per_year // 4
    sold = {"A": two_years(calendar, 1.0, 30.0, 0.0), "B": two_years(calendar, 99.0, 0.0, 30.0)}
    assert [one[-4 * quarter :].sum() / (30 * quarter) for one in sold.values()] == [3, 1]
    item = pd.DataFrame({"item_id": ["A", "B"], "family": "F", "phase_out_date": pd.NaT})
    market = pd.DataFrame({"market_id": ["M"], "region": "R", "channel": "shop"})
    history = pd.concat([
        pd.DataFrame({"item_id": name, "market_id": "M", "period": past, "ordered_qty": one}) for name, one in sold.items()
    ])
    panel = demand_panel(history, past[-1], calendar)
    effects = np.zeros((2, len(past) + 1, 2))
    effects[0, -1, 0] = 0.5
    nodes: Nodes = hierarchy_nodes(panel, effects, item, market)
    whole = np.unique(nodes.row_of("family"))
    assert nodes.effects[whole, -1, 0].tolist() == pytest.approx([0.375])
    assert nodes.volume.tolist() == [90 * quarter, 30 * quarter]


@EITHER
def test_members_are_ranked_by_the_volume_of_the_last_year(calendar: Calendar, past: pd.DatetimeIndex) -> None:
    """Of four members the second and the fourth by volume: who sells most now is third of the year, who sold most before it last."""
    members = [two_years(calendar, *told) for told in ((99, 0, 0), (0, 30, 0), (0, 20, 0), (0, 0, 50))]
    assert leaderboard._evenly_by_volume(np.vstack(members), 2, calendar.buckets_per_year).tolist() == [0, 2]


@EITHER
def test_prophet_gets_a_season_once_two_years_are_known(
    calendar: Calendar, past: pd.DatetimeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    class Prophet:
        def __init__(self, **options: object) -> None:
            asked.append(options["yearly_seasonality"])

        def fit(self, *_: object, **__: object) -> None:
            raise RuntimeError("told enough")

    monkeypatch.setitem(sys.modules, "prophet", SimpleNamespace(Prophet=Prophet))
    demand = np.arange(len(past), dtype=float)
    for short in (0, 1):
        candidates.prophet(demand[short:], past[short:], past[:3], calendar.buckets_per_year)
    assert asked == [6, False]


@EITHER
def test_a_resource_has_shown_the_best_fourth_of_a_year(calendar: Calendar, past: pd.DatetimeIndex) -> None:
    """Two hours of R1 for one F and its components (see test_capacity): 90 of them in the best fourth of the year, more before it."""
    quarter, before = calendar.buckets_per_year // 4, calendar.add(past[-1], 1)
    made = np.r_[np.full(4 * quarter, 500.0), np.full(quarter, 90.0), np.full(3 * quarter, 10.0)]
    history = rows("production_history", *(
        {"item_id": "F", "location_id": "P1", "period": period, "produced_qty": one} for period, one in zip(past, made, strict=True)
    ))
    shown = capacity.demonstrated_hours(test_capacity.company(production_history=history), calendar, before)
    assert shown.to_dict() == pytest.approx({"R1": 90 * 2.0})
    too_short = history.sort_values("period").tail(quarter - 1)
    assert capacity.demonstrated_hours(test_capacity.company(production_history=too_short), calendar, before).empty


@EITHER
def test_turns_and_days_look_a_year_back(calendar: Calendar, past: pd.DatetimeIndex) -> None:
    """Ten units a period at cost 10 for three quarters, fifty in the last: 20 a period and stock of 100 in the mean of the year."""
    year, ended = calendar.buckets_per_year, past[-1]
    asked, held = two_years(calendar, 999.0, 10.0, 50.0), two_years(calendar, 999.0, 120.0, 40.0)
    item = rows("item", {"item_id": "A", "item_name": "A", "item_type": "finished", "family": "F", "standard_cost_amt": 10})
    sold = rows("sales_history", *(
        {"item_id": "A", "market_id": "M", "period": period, "ordered_qty": one, "shipped_qty": one, "net_sales_amt": 20 * one}
        for period, one in zip(past, asked, strict=True)
    ))
    stock = rows("stock_history", *(
        {"item_id": "A", "location_id": "W", "period": period, "closing_qty": one} for period, one in zip(past, held, strict=True)
    ))
    ledger = rows("ledger", *(
        {"account": "receivables", "period": period, "amount_amt": 20 * one} for period, one in zip(past, held, strict=True)
    ))
    inputs = {"item": item, "sales_history": sold, "stock_history": stock, "ledger": ledger}
    found = {name: value for name, _, _, value, _ in execution._money(inputs, ended, calendar)}
    assert found["inventory_turns"] == pytest.approx(20 * year / 100)
    assert found["days_of_inventory"] == pytest.approx(365 * 100 / (20 * year), rel=1e-3)
    assert found["days_of_sales"] == pytest.approx(365 * 20 * 100 / (20 * 20 * year), rel=1e-3)


@EITHER
def test_overhead_goes_on_at_the_mean_of_the_last_year(calendar: Calendar, past: pd.DatetimeIndex) -> None:
    booked = pd.DataFrame({"overhead_amt": two_years(calendar, 999.0, 100.0, 300.0)}, index=past)
    assert finance._overhead(booked, calendar) == 150.0


@EITHER
def test_an_item_is_a_launch_for_a_year(calendar: Calendar, past: pd.DatetimeIndex) -> None:
    """By its date, and by its sales where no date is known: a period short of a year, and a whole one."""
    year, as_of = calendar.buckets_per_year, calendar.add(past[-1], 1) - pd.Timedelta(days=1)
    launched = {"DATED": past[-year], "OLDER": past[-year - 1]}
    item = tables.validate("item", pd.DataFrame([
        {"item_id": name, "item_name": name, "item_type": "finished", "family": "F", "standard_cost_amt": 1.0,
         "launch_date": launched.get(name)} for name in ("DATED", "OLDER", "YOUNG", "GROWN", "OLD")
    ]))
    begun = {"DATED": year, "OLDER": year + 1, "YOUNG": year - 1, "GROWN": year, "OLD": len(past)}
    history = rows("sales_history", *(
        {"item_id": name, "market_id": "M", "period": period, "ordered_qty": 5.0, "net_sales_amt": 50.0}
        for name, count in begun.items() for period in past[-count:]
    ))
    made = product.classify_items(item, history, tables.table("price").empty(), Settings(company="Test"), as_of, calendar)
    assert made.set_index("item_id")["lifecycle"].to_dict() == {
        "DATED": "launch", "OLDER": "mature", "YOUNG": "launch", "GROWN": "mature", "OLD": "mature"
    }
