"""What is planted in the demo company is not only found: it stands on the screens of data gathering and demand review."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import pandas as pd
import pytest
from test_demo_company import NEWEST, PLANTED, SETTINGS, inputs

from sop_workbench import charts, demand, tables, views, widgets
from sop_workbench.forecast.decomposition import demand_components

HORIZON = SETTINGS.calendar.horizon(NEWEST, SETTINGS.horizon)
AS_OF = SETTINGS.calendar.as_of(NEWEST)
HISTORY = PLANTED["history"]


@cache
def corrections() -> pd.DataFrame:
    given = inputs()
    return demand.history_corrections(
        given["sales_history"], given["event"], SETTINGS, SETTINGS.calendar, AS_OF, given["item"], given["market"]
    )


@cache
def listed() -> pd.DataFrame:
    """The rows that the notebook shows without anybody in front of it."""
    return views.corrections_by_item(corrections(), inputs()["item"]).head(widgets._CORRECTIONS_LISTED)


@cache
def record() -> pd.DataFrame:
    return demand.stream_record(inputs()["plan_archive"], inputs()["sales_history"], inputs(), SETTINGS.calendar)


def is_listed(item: str, period: object, kind: str) -> bool:
    rows = listed()
    return bool(((rows["item_id"] == item) & (rows["period"] == pd.Timestamp(period)) & (rows["kind"] == kind)).any())


@pytest.mark.parametrize(("item", "market", "period"), HISTORY["outliers"])
def test_every_planted_outlier_is_listed(item: str, market: str, period: object) -> None:
    assert is_listed(item, period, "outlier")


@pytest.mark.parametrize(("item", "period"), HISTORY["flagged_stockouts"] + HISTORY["unflagged_stockouts"])
def test_every_planted_stockout_is_listed(item: str, period: object) -> None:
    assert is_listed(item, period, "stockout")


@pytest.mark.parametrize(("item", "market", "period"), HISTORY["lost_rows"])
def test_every_lost_row_is_listed(item: str, market: str, period: object) -> None:
    assert is_listed(item, period, "missing")


def test_the_static_screen_holds_every_row_and_the_form_every_proposal(monkeypatch: pytest.MonkeyPatch) -> None:
    charts.use(SETTINGS)
    monkeypatch.setattr(widgets, "is_live", lambda: False)
    held = {**inputs(), "history_correction": corrections(), "history_decision": tables.table("history_decision").empty()}
    cycle = SimpleNamespace(id=NEWEST, settings=SETTINGS, is_locked=False, read=held.__getitem__, records=held.__getitem__)
    shown = widgets.correction_picker(cycle)
    assert shown.count("<tr>") == len(listed()) + 1 < widgets._CORRECTIONS_LISTED
    assert "more</p>" not in shown
    picker = widgets.CorrectionPicker(cycle)
    seen = []
    for page in range(picker.state["pages"]):
        picker.act("look", page=page)
        seen += [(row["item"], row["market"], row["kind"]) for row in picker.state["rows"]]
    wanted = corrections()
    assert sorted(seen) == sorted(zip(wanted["item_id"], wanted["market_id"], wanted["kind"], strict=True))


def test_the_fans_of_the_families_carry_every_recent_correction_as_a_circle() -> None:
    story = _story("family")
    recent = corrections()[corrections()["period"] >= story["period"].min()]
    family = inputs()["item"].set_index("item_id")["family"]
    wanted = set(zip(recent["item_id"].map(family), recent["period"], strict=True))
    circled = story[story["correction"] == "proposed"]
    assert set(zip(circled["member"], circled["period"], strict=True)) == wanted


@pytest.mark.parametrize("event_id", HISTORY["promotions"])
def test_every_planted_promotion_is_listed_marked_and_taken_out_of_the_season(event_id: str) -> None:
    family, region, period, uplift = HISTORY["promotions"][event_id]
    row = views.event_list(inputs()["event"], inputs()["item"], AS_OF).set_index("event_id").loc[event_id]
    assert (row["what"], row["where"]) == (family, region or "everywhere")
    assert (row["from_period"], row["uplift_ratio"]) == (pd.Timestamp(period), uplift)
    story = _story("family").set_index(["member", "period"])
    assert "promotion" in story.loc[(family, pd.Timestamp(period)), "events"]
    parts = views.decomposition(_components(), inputs()["item"], member=family).set_index(["component", "period"])
    lift = parts.loc[("Promotions and prices", pd.Timestamp(period)), "part_qty"]
    trend = parts.loc[("Trend", pd.Timestamp(period)), "part_qty"]
    share = 0.25 if region else 0.6  # of the family's demand that the region has, at least
    assert lift > share * uplift * trend * 0.6


def test_every_planted_bias_stands_in_the_record_and_on_the_heat_maps() -> None:
    shown = views.stream_record(record())
    for author, planted in PLANTED["streams"]["gaming"].items():
        row = shown[shown["who"].str.endswith(author)].iloc[0]
        assert row["flag"] == planted["flag"]
        assert f"{author} ({planted['flag']})" in shown.attrs["title"]
    families = views.bias_heat_map(record()).set_index(["who", "member"])["bias_ratio"]
    rain = PLANTED["history"]["rain"]["family"]
    assert families["Consensus"].idxmax() == rain
    regions = views.bias_heat_map(record(), level="region").set_index(["who", "member"])["bias_ratio"]
    low, high = PLANTED["streams"]["sandbagging_region"]["range"]
    assert low <= regions["Sales", PLANTED["streams"]["sandbagging_region"]["region"]] <= high
    assert regions["Sales"].drop(PLANTED["streams"]["sandbagging_region"]["region"]).min() > 0.05


def _story(level: str) -> pd.DataFrame:
    given = inputs()
    ahead = demand.price_in_period(given["price"], HORIZON[:1]).assign(demand_qty=1.0, low_qty=0.5, high_qty=1.5)
    agreed = ahead.assign(revenue_amt=ahead["price_amt"])
    return views.demand_story(given["sales_history"], corrections(), agreed, given["event"], given["item"], level, periods=60)


@cache
def _components() -> pd.DataFrame:
    given = inputs()
    pairs = given["sales_history"][["item_id", "market_id"]].drop_duplicates()
    forecast = pairs.merge(pd.DataFrame({"period": HORIZON}), how="cross").assign(forecast_qty=10.0)
    return demand_components(given["sales_history"], forecast, HORIZON, SETTINGS.calendar, given["event"], given["item"], given["market"])
