"""KPIs by level, lag and month: sums first, ratios last; what cannot be measured has no row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sop_workbench import kpi, scorecard, views
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

MONTH = Calendar("month")
SETTINGS = Settings(company="Small")
MONTHS = pd.date_range("2026-01-01", periods=3, freq="MS")
INPUTS = {
    "item": pd.DataFrame({"item_id": ["A", "B"], "family": ["F", "G"]}),
    "market": pd.DataFrame({"market_id": ["N", "S"], "region": ["North", "South"], "channel": "Shop"}),
    "sales_history": pd.DataFrame([
        {"item_id": item, "market_id": "N", "period": period, "ordered_qty": 100.0 + n, "on_time_qty": 90.0 + n,
         "order_count": 10.0 if item == "A" else np.nan, "complete_order_count": 9.0 if item == "A" else np.nan}
        for item in "AB" for n, period in enumerate(pd.date_range("2023-12-01", periods=28, freq="MS"))]),
}


def planned(*cells: tuple) -> pd.DataFrame:
    columns = ["stream", "item_id", "market_id", "family", "period", "lag", "plan_qty", "actual_qty"]
    return pd.DataFrame(cells, columns=columns).assign(plan_cycle_id="2025-12")


DEVIATION = planned(
    ("consensus", "A", "N", "F", MONTHS[0], 1, 110.0, 100.0), ("consensus", "B", "N", "G", MONTHS[0], 1, 90.0, 100.0),
    ("consensus", "A", "N", "F", MONTHS[1], 1, 100.0, 100.0), ("consensus", "A", "N", "F", MONTHS[1], 2, 150.0, 100.0),
    ("statistical", "A", "N", "F", MONTHS[0], 1, 130.0, 100.0), ("statistical", "B", "N", "G", MONTHS[0], 1, 80.0, 100.0),
    ("production", "A", "P1", "F", MONTHS[1], 0, 10.0, 0.0),
)


def measured(level: str, **asked: object) -> pd.Series:
    found = scorecard.accuracy(DEVIATION, INPUTS, level, MONTH, **asked)
    return found.set_index(["kpi", "member", "period"])["value"]


def test_accuracy_by_level_and_month() -> None:
    total = measured("total")
    assert total["wape", "all", MONTHS[0]] == pytest.approx(20 / 200)
    assert total["bias", "all", MONTHS[0]] == pytest.approx(0)
    assert total["wape", "all", MONTHS[1]] == 0
    families = measured("family")
    assert families["bias", "F", MONTHS[0]] == pytest.approx(0.1)
    assert families["bias", "G", MONTHS[0]] == pytest.approx(-0.1)
    assert measured("region").index.get_level_values("member").unique().tolist() == ["North"], "a plant has no region"
    assert measured("channel")["wape", "Shop", MONTHS[0]] == pytest.approx(0.1)


def test_a_lag_is_asked_for_by_its_number() -> None:
    assert measured("total", lag=2)["wape", "all", MONTHS[1]] == pytest.approx(0.5)
    assert scorecard.accuracy(DEVIATION, INPUTS, "total", MONTH, lag=5).empty


def test_value_added_compares_what_both_planned() -> None:
    # statistics: (30 + 20) / 200 in January alone; consensus there: 20 / 200
    assert measured("total")["forecast_value_added", "all", MONTHS[1]] == pytest.approx(0.25 - 0.1)
    assert measured("item_id")["forecast_value_added", "A", MONTHS[1]] == pytest.approx(0.3 - 0.1)


def test_mase_is_scaled_by_the_members_own_history_before_the_first_month_scored() -> None:
    # A year apart the history differs by 12 a month for each item, so by 24 in total; errors of the total: 0 in January, 0 in February.
    assert measured("total")["mase", "all", MONTHS[1]] == 0
    assert measured("item_id")["mase", "A", MONTHS[1]] == pytest.approx((10 + 0) / 2 / 12)


def test_the_table_adds_levels_and_months_without_what_stands_elsewhere() -> None:
    found = scorecard.level_kpis(DEVIATION, INPUTS, SETTINGS, MONTHS[1], MONTH)
    assert not found.duplicated(["kpi", "level", "member", "period"]).any()
    newest = found[found["period"] == MONTHS[1]]
    assert newest[(newest["kpi"] == "wape") & newest["level"].isin(["total", "family"])].empty
    assert set(found["level"]) == set(scorecard.LEVELS)
    assert found.loc[found["level"] == "item_id", "period"].unique().tolist() == [MONTHS[1]]
    light = found[(found["kpi"] == "mase") & (found["member"] == "A")].iloc[0]
    assert (light["target"], light["status"]) == (1.0, "green")
    assert "lag 1" in light["reason"]
    nothing = {**INPUTS, "sales_history": INPUTS["sales_history"].iloc[:0]}
    assert scorecard.level_kpis(DEVIATION.iloc[:0], nothing, SETTINGS, MONTHS[1], MONTH).empty


def test_targets_by_level_and_how_far_amber_reaches_come_from_the_settings() -> None:
    strict = Settings(company="Small", kpi_targets={"wape": 0.3, "wape.item_id": 0.5}, kpi_amber={"wape": 2.0})
    measures = pd.DataFrame([{"kpi": "wape", "level": level, "member": "x", "period": MONTHS[0], "value": 0.45}
                             for level in ("item_id", "family")])
    found = kpi.kpi_table(measures, strict).set_index("level")
    assert found["target"].to_dict() == {"item_id": 0.5, "family": 0.3}
    assert found["status"].to_dict() == {"item_id": "green", "family": "amber"}
    assert kpi.kpi_table(measures, Settings(company="Small", kpi_targets={"wape": 0.3})).set_index("level")["status"].to_dict() == {
        "item_id": "red", "family": "red"}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("NS"), st.integers(0, 2), st.integers(0, 9999), st.integers(0, 9999)),
                min_size=1, max_size=12, unique_by=lambda cell: cell[:3]))
def test_errors_of_families_weigh_up_to_the_total(cells: list[tuple]) -> None:
    deviation = planned(*(("consensus", i, m, {"A": "F", "B": "G"}[i], MONTHS[n], 1, plan, actual) for i, m, n, plan, actual in cells))
    total = scorecard.accuracy(deviation, INPUTS, "total", MONTH).query("kpi == 'wape'").set_index("period")["value"]
    families = scorecard.accuracy(deviation, INPUTS, "family", MONTH).query("kpi == 'wape'")
    actual = deviation.groupby(["family", "period"])["actual_qty"].sum()
    for period, value in total.dropna().items():
        mine = families[(families["period"] == period)].set_index("member")["value"]
        silent = deviation[(deviation["period"] == period) & deviation["family"].map(actual.xs(period, level="period")).eq(0)]
        summed = sum(error * actual[family, period] for family, error in mine.dropna().items()) + silent["plan_qty"].sum()
        assert summed / deviation.loc[deviation["period"] == period, "actual_qty"].sum() == pytest.approx(value)


def test_service_by_region_and_the_screen() -> None:
    found = scorecard.service(INPUTS["sales_history"], INPUTS, "region", MONTHS[1], MONTH, periods=2)
    assert found[found["kpi"] == "fill_rate"]["value"].tolist() == pytest.approx([115 / 125, 116 / 126])
    assert found[found["kpi"] == "otif"]["value"].tolist() == pytest.approx([0.9, 0.9]), "of rows whose orders were counted"
    table = scorecard.level_kpis(DEVIATION, INPUTS, SETTINGS, MONTHS[1], MONTH)
    shown = views.kpi_by_month(table, MONTHS[2], "fill_rate", "region")
    assert shown.attrs["title"] == "Fill rate: 1 of 1 outside target in Feb 26"
    assert shown["value_text"].iloc[-1] == "92.1 ▲"
    newest = views.kpi_scorecard(table, MONTHS[2], "region")
    assert not newest.duplicated(["kpi", "member"]).any(), "the newest month only"
