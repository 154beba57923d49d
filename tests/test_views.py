"""Views: words, totals and invariants of what people see."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from frames import PERIODS, all_frames
from hypothesis import given
from hypothesis import strategies as st

from sop_workbench import outlook, tables, views
from sop_workbench.errors import DataError
from sop_workbench.periods import Calendar


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return all_frames()


# ------------------------------------------------------------------ words
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (999, "999"),
        (999.6, "1k"),
        (12_345, "12.3k"),
        (999_960, "1M"),
        (1e9, "1bn"),
        (-1_500_000, "-1.5M"),
        (np.nan, "–"),
    ],
)
def test_short_numbers(value: float, text: str) -> None:
    assert views.short(value) == text


@given(st.floats(-1e12, 1e12))
def test_short_is_within_half_a_per_cent(value: float) -> None:
    text = views.short(value)
    scale = {"bn": 1e9, "M": 1e6, "k": 1e3}
    unit = next((u for u in scale if text.endswith(u)), "")
    read = float(text.removesuffix(unit).replace(",", "")) * scale.get(unit, 1)
    assert abs(read - value) <= max(0.0051, 0.0051 * abs(value))


def test_values_are_written_by_their_unit() -> None:
    assert views.in_unit(np.nan, "days") == "–"
    assert views.in_unit(0.5, "ratio") == "50.0 %"
    assert views.in_unit(2_000_000, "reporting currency") == f"2M {views.MONEY}"


def test_weeks_and_months_are_named() -> None:
    weeks = pd.Series(pd.to_datetime(["2026-10-05", "2026-12-28"]))
    assert views.period_labels(weeks).tolist() == ["W41 26", "W53 26"]
    assert views.period_labels(pd.Series(PERIODS[:2])).tolist() == ["Oct 26", "Nov 26"]


# ------------------------------------------------------------------ every view
def _calls(frames: dict[str, pd.DataFrame]) -> dict[str, object]:
    """Arguments of views that are not named like a table."""
    other = {"inputs": frames, "as_of": pd.Timestamp("2026-09-30"), "calendar": Calendar("month"), "plan_from": PERIODS[0]}
    bars = frames["bridge"]
    chosen: dict[str, object] = {"family": str(frames["item"]["family"].dropna().max())}
    chosen |= {"scenario": "overtime", "name": "wape", "kpis": {"2026-10": frames["kpi"]}}
    return {**frames, **other, **chosen, "forecast": frames["consensus_demand"], "family_grid_table": frames["family_grid"], "bars": bars}


def _all_views() -> list:
    own = inspect.getmembers(views, inspect.isfunction)
    return [
        f
        for name, f in own
        if f.__module__.startswith(f"{views.__name__}.")
        and not name.startswith(("_", "what_if_"))
        and f.__annotations__["return"] == "pd.DataFrame"
    ]


def _needed(view, frames: dict) -> dict:
    known = _calls(frames)
    parameters = inspect.signature(view).parameters.values()
    # An optional choice of a member is left at its default: all of them.
    wanted = {p.name: known[p.name] for p in parameters if p.name in known and not (p.name == "family" and p.default is None)}
    return wanted | ({"level": "total"} if view is views.kpi_list else {})


@pytest.mark.parametrize("view", _all_views(), ids=lambda view: view.__name__)
def test_every_view_leaves_its_tables_alone_and_says_what_is_seen(view, frames) -> None:
    given_frames = {name: value.copy() if isinstance(value, pd.DataFrame) else value for name, value in _needed(view, frames).items()}
    shown = view(**given_frames)
    for name, value in _needed(view, frames).items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(given_frames[name], value)
    assert shown.index.equals(pd.RangeIndex(len(shown)))
    assert set(shown.attrs) >= {"title", "note", "empty"}
    assert shown.attrs["empty"]


@pytest.mark.parametrize("view", _all_views(), ids=lambda view: view.__name__)
def test_every_view_of_empty_tables_is_empty_and_says_why(view) -> None:
    nothing = {name: tables.table(name).empty() for name in tables.all_tables()}
    needed = {**_needed(view, nothing), **({"inputs": {}} if view is views.feed_status else {})}
    shown = view(**needed)
    assert shown.empty
    assert shown.attrs["title"] == ""
    assert len(shown.attrs["empty"]) > 10


def test_a_table_without_its_columns_is_refused_by_name(frames) -> None:
    with pytest.raises(DataError, match=r"unmet_demand: missing_column.*lost_qty.*Remedy"):
        views.demand_vs_plan(frames["unmet_demand"].drop(columns="lost_qty"))


# ------------------------------------------------------------------ figures
def test_bridge_bars_sum_to_the_totals_even_when_small_ones_are_merged(frames) -> None:
    for top in (1, 2, 9):
        bars = views.budget_bridge(frames["budget_gap"], top)
        totals, steps = bars[bars["kind"] == "total"], bars[bars["kind"] == "step"]
        assert totals["bar"].tolist() == ["Budget", "Demand", "Plan"]
        assert totals["amount_amt"].iloc[0] + steps["amount_amt"].sum() == pytest.approx(totals["amount_amt"].iloc[-1])
        assert (steps["to_amt"] - steps["from_amt"]).to_numpy() == pytest.approx(steps["amount_amt"].to_numpy())
        assert bars["to_amt"].iloc[-2] == pytest.approx(totals["amount_amt"].iloc[-1])
        assert len(bars) <= 3 + 2 * (top + 1)


def test_one_gap_on_the_executive_page(frames) -> None:
    numbers = views.family_numbers(frames["financial_projection"], frames["budget_gap"]).set_index("family")
    bars = views.budget_bridge(frames["budget_gap"]).set_index("bar")["amount_amt"]
    heat = views.gap_heat_map(frames["budget_gap"])["gap_amt"].sum()
    assert numbers.loc["Total", "gap_amt"] == pytest.approx(bars["Plan"] - bars["Budget"])
    assert numbers.loc["Total", "gap_amt"] == pytest.approx(heat)
    families = numbers.drop(index="Total")
    assert families["revenue_amt"].sum() == pytest.approx(numbers.loc["Total", "revenue_amt"])
    assert numbers.loc["Total", "margin_ratio"] == pytest.approx(families["gross_margin_amt"].sum() / families["revenue_amt"].sum())


def test_small_families_stand_together_and_the_total_stays() -> None:
    period = pd.Timestamp("2026-10-01")
    families = [f"F{n:02d}" for n in range(20)]
    money = pd.DataFrame({"family": families, "region": "all", "period": period, "demand_amt": 10.0, "revenue_amt": range(20),
                          "gross_margin_amt": 1.0, "inventory_amt": 2.0, "profit_amt": 3.0})
    budget = pd.DataFrame({"family": families, "region": "all", "period": period, "revenue_amt": range(20), "budget_revenue_amt": 5.0,
                           "gap_amt": [n - 5.0 for n in range(20)]})
    columns = {name: list(tables.table(name).columns) for name in ("financial_projection", "budget_gap")}
    money, budget = money.reindex(columns=columns["financial_projection"]), budget.reindex(columns=columns["budget_gap"])
    stock, item = tables.table("inventory_projection").empty(), tables.table("item").empty()
    shown = views.one_set_of_numbers(money, budget, stock, item, top=4)
    assert shown["family"].tolist() == ["F19", "F18", "F17", "F16", "16 other families", "Total"]
    sales = shown.set_index("family")["sales_amt"]
    assert sales.iloc[:-1].sum() == sales["Total"] == 190
    assert shown.set_index("family").loc["16 other families", "margin_ratio"] == pytest.approx(16 / 120)
    assert views.gap_heat_map(budget, top=4)["family"].nunique() == 5


def test_profit_and_loss_lines_add_up(frames) -> None:
    lines = views.profit_and_loss(frames["financial_projection"]).set_index("line")
    costs = lines[lines.index.str.startswith("−")]
    assert (lines.loc["Revenue"] - costs.sum()).to_numpy() == pytest.approx(lines.loc["Profit of the plan"].to_numpy())
    assert lines.drop(columns="Total").sum(axis=1).to_numpy() == pytest.approx(lines["Total"].to_numpy())
    assert "− Hiring and layoff" not in costs.index, "a line without money is left out"


def test_served_lost_and_late_are_the_demand(frames) -> None:
    rows = views.demand_vs_plan(frames["unmet_demand"])
    assert (rows["served_qty"] + rows["lost_qty"]).to_numpy() == pytest.approx(rows["demand_qty"].to_numpy())
    assert "% of demand" in rows.attrs["title"]


def test_fan_adds_up_over_families_and_its_range_follows_the_stated_rule(frames) -> None:
    arguments = frames["sales_history"], frames["consensus_demand"], frames["item"]
    total, families = views.forecast_fan(*arguments), views.forecast_fan(*arguments, level="family")
    assert families.groupby("period")["demand_qty"].sum().to_numpy() == pytest.approx(total.set_index("period")["demand_qty"].to_numpy())
    first = frames["consensus_demand"].query("period == @PERIODS[0]").assign(half=lambda d: d["high_qty"] - d["demand_qty"])
    half = np.sqrt((first.groupby("item_id")["half"].sum() ** 2).sum())
    ahead = total[total["period"] == PERIODS[0]].iloc[0]
    assert ahead["high_qty"] - ahead["demand_qty"] == pytest.approx(half)
    others = views.forecast_fan(*arguments, level="family", top=1)
    assert set(others["member"]) == {others["member"].iloc[0], views.OTHER}
    assert others["demand_qty"].sum() == pytest.approx(total["demand_qty"].sum())


def test_bias_stands_by_stream_and_author_and_an_only_author_beside_the_stream(frames) -> None:
    shown = views.bias_heat_map(frames["stream_record"])
    assert list(dict.fromkeys(shown["who"])) == ["Statistical", "Sales", "Sales, K. Winter", "Sales, R. Costa", "Marketing, E. Holm"]
    assert shown.attrs["title"] == "Sales, K. Winter lies furthest off: +20 % in Helmets"
    assert set(views.bias_heat_map(frames["stream_record"], level="region")["member"]) == {"North", "South"}
    empty = views.bias_heat_map(frames["stream_record"].head(0))
    assert (empty.attrs["title"], len(empty)) == ("", 0)
    assert "second locked cycle" in empty.attrs["empty"]


def test_the_record_names_who_is_always_on_one_side(frames) -> None:
    shown = views.stream_record(frames["stream_record"])
    assert shown.attrs["title"] == "Worth a talk: K. Winter (over-optimism), R. Costa (sandbagging)"
    assert shown["who"].tolist()[:2] == ["Sales, K. Winter", "Sales, R. Costa"]
    honest = frames["stream_record"].assign(flag="none")
    assert views.stream_record(honest).attrs["title"] == "No author is always on one side"
    assert views.stream_record(honest.head(0)).empty


def test_the_range_of_demand_by_hand_and_its_gap_to_budget(frames) -> None:
    two = frames["consensus_demand"].query("item_id in ('I00', 'I03') and market_id == 'M0'").query("period == period.min()")
    two = two.assign(demand_qty=[100.0, 200.0], low_qty=[70.0, 160.0], high_qty=[130.0, 240.0], price_amt=10.0)
    two["revenue_amt"] = two["demand_qty"] * two["price_amt"]
    budget = tables.validate("budget", pd.DataFrame(
        [{"family": "City bikes", "region": "North", "period": two["period"].min(), "revenue_amt": 3300.0, "volume_qty": 1.0}]))
    shown = views.demand_range(two, frames["item"], budget).set_index("family")
    assert shown.index.tolist() == ["City bikes", "All families"]
    assert shown.loc["City bikes", ["low_amt", "high_amt", "risk_amt"]].tolist() == [2500, 3500, -500]  # sqrt(300² + 400²) each way
    assert shown.loc["All families", ["gap_at_low_amt", "gap_at_demand_amt", "gap_at_high_amt"]].tolist() == [-800, -300, 200]
    assert views.demand_range(two, frames["item"], budget).attrs["title"].endswith("over 1 period; the budget lies inside")


def test_the_range_of_demand_shows_without_a_budget(frames) -> None:
    shown = views.demand_range(frames["consensus_demand"], frames["item"], tables.table("budget").empty())
    assert shown["gap_at_demand_amt"].isna().all()
    assert "budget" not in shown.attrs["title"]
    assert views.demand_range(frames["consensus_demand"].head(0), frames["item"], tables.table("budget").empty()).empty


def test_only_streams_that_cover_much_are_judged(frames) -> None:
    assert (
        "Sales stands furthest from consensus: +12.0 %" in views.streams(frames["demand_stream"], frames["consensus_demand"]).attrs["title"]
    )
    few = frames["demand_stream"].query("stream == 'sales'").head(3).assign(stream="customer", demand_qty=9e6)
    more = pd.concat([frames["demand_stream"], few])
    assert "Customer" not in views.streams(more, frames["consensus_demand"]).attrs["title"]


def test_worst_findings_come_first_and_are_counted(frames) -> None:
    assert views.issue_list(frames["issue"])["severity"].tolist() == ["blocks", "warns", "info"]
    score = views.issue_scorecard(frames["issue"])
    assert score["row_count"].sum() == frames["issue"]["count"].sum()
    assert score.attrs["title"] == "3 findings in 2 tables: 1 block, 1 warn, 1 inform"


def test_late_feed_is_named(frames) -> None:
    late = frames["sales_history"].query("period < '2026-08-01'")
    feeds = views.feed_status({"sales_history": late}, pd.Timestamp("2026-09-30"), Calendar("month"))
    assert feeds["state"].tolist() == ["late by 2 months"]
    assert feeds.attrs["title"] == "1 feed is late"


def test_a_missing_period_of_history_still_shows_its_correction(frames) -> None:
    hole = frames["history_correction"].iloc[0]
    history = frames["sales_history"].query("not (item_id == @hole.item_id and period == @hole.period)")
    correction = frames["history_correction"].head(1).assign(raw_qty=0.0, kind="missing")
    shown = views.history_corrections(history, correction, frames["item"])
    row = shown[shown["kind"] == "missing"].iloc[0]
    assert (row["ordered_qty"], row["corrected_qty"]) == (0.0, hole["suggested_qty"])


def test_verdict_knows_which_way_is_good() -> None:
    compared = pd.DataFrame(
        [
            {"scenario": s, "title": "", "measure": m, "sequence": i, "unit": u, "value": v, "delta": d, "levers": "", "is_feasible": True}
            for s, d in (("base", 0.0), ("more", 5.0), ("less", -5.0))
            for i, (m, u, v) in enumerate((("profit", "reporting currency", 9.0), ("lost revenue", "reporting currency", 9.0)))
        ]
    )
    verdicts = views.scenario_table(compared).set_index(["scenario", "measure"])["verdict"]
    assert verdicts.to_dict() == {
        ("base", "profit"): "same",
        ("base", "lost revenue"): "same",
        ("more", "profit"): "better",
        ("more", "lost revenue"): "worse",
        ("less", "profit"): "worse",
        ("less", "lost revenue"): "better",
    }


def test_cards_show_the_newest_value_and_say_actual_or_plan(frames) -> None:
    past = frames["kpi"].query("kpi == 'fill_rate'").assign(period=PERIODS[0] - pd.DateOffset(months=1), value=0.5)
    cards = views.kpi_cards(pd.concat([past, frames["kpi"]]), PERIODS[0]).set_index("kpi")
    assert cards.loc["fill_rate", "value_text"] == "93.0 %"
    assert cards.loc["fill_rate", "about"] == "plan from Oct 26"
    assert cards.loc["wape", "about"] == "actual Sep 26"
    assert cards.loc["wape", "status_text"] == "■ act"
    assert len(views.kpi_scorecard(pd.concat([past, frames["kpi"]]), PERIODS[0])) == 6


def test_waterfall_cells_are_the_archived_plans(frames) -> None:
    rows = views.waterfall(frames["plan_waterfall"])
    archived = frames["plan_waterfall"].query("stream == 'consensus'")
    both = rows.merge(archived, on=["plan_cycle_id", "period"], suffixes=("", "_archived"), validate="one_to_one")
    assert len(both) == len(rows) == len(archived)
    assert (both["plan_qty"] == both["plan_qty_archived"]).all()
    assert rows["plan_cycle_id"].iloc[-1] == views.ACTUAL


def test_a_difference_that_nobody_can_see_is_the_same() -> None:
    row = {"title": "", "measure": "profit", "sequence": 1, "unit": "reporting currency", "value": 14e6, "levers": "", "is_feasible": True}
    compared = pd.DataFrame([{**row, "scenario": "tiny", "delta": 14.0}, {**row, "scenario": "small", "delta": 28e3}])
    verdicts = views.scenario_table(compared).set_index("scenario")["verdict"]
    assert verdicts.to_dict() == {"tiny": "same", "small": "better"}


def test_alerts_call_things_by_their_name() -> None:
    row = {"alert": "resource full", "level": "resource_id", "member": "L1", "period": "2026-10-01", "value": 1.0, "tolerance": 0.95}
    alert = tables.validate("alert", pd.DataFrame([{**row, "sentence": "L1 is full."}]))
    nothing = {kind: tables.table(kind).empty() for kind in ("item", "market")}
    resource = pd.DataFrame({"resource_id": ["L1"], "resource_name": ["Paint line"]})
    shown = views.alerts(alert, **nothing, resource=resource).iloc[0]
    assert (shown["member"], shown["sentence"]) == ("Paint line", "Paint line is full.")


def test_the_tail_is_mature_items_with_their_money() -> None:
    row = {"family": "F", "abc": "C", "xyz": "Z", "rank": 1, "demand_qty": 1.0, "revenue_amt": 10.0, "is_tail": True}
    stages = {"slow": ("mature", 50.0), "old": ("ended", 70.0), "slower": ("mature", 30.0)}
    rows = [{**row, "item_id": i, "item_name": i, "lifecycle": stage, "stock_amt": money} for i, (stage, money) in stages.items()]
    view = views.tail(tables.validate("portfolio", pd.DataFrame(rows)))
    assert view["item_id"].tolist() == ["slow", "slower"]
    assert view.attrs["title"] == "2 mature items bring the last 1 % of revenue and hold 80 ¤ of stock"


# ------------------------------------------------------------------ product and demand screens
def _story(frames: dict[str, pd.DataFrame], level: str = "family") -> pd.DataFrame:
    names = ("sales_history", "history_correction", "consensus_demand", "event", "item")
    return views.demand_story(*(frames[name] for name in names), level=level)


def test_the_story_carries_corrections_and_events_of_its_members(frames) -> None:
    story, family = _story(frames), frames["item"].set_index("item_id")["family"]
    for row in frames["history_correction"].to_dict("records"):
        at = story[(story["member"] == family[row["item_id"]]) & (story["period"] == row["period"])].iloc[0]
        assert at["corrected_qty"] - at["demand_qty"] == pytest.approx(row["suggested_qty"] - row["raw_qty"])
        assert at["correction"] == "proposed"
    assert (story["correction"] != "").sum() == len(frames["history_correction"])
    marked = story[story["events"] != ""].set_index(["member", "period"])["events"]
    promotion, holiday = frames["event"].iloc[0], frames["event"].iloc[1]
    first_month = promotion["from_period"]
    assert set(marked[marked == "promotion"].index) == {("Helmets", p) for p in pd.date_range(first_month, periods=2, freq="MS")}
    assert set(marked[marked == "holiday"].index) == {(name, holiday["from_period"]) for name in story["member"].unique()}
    assert len(marked) == 2 + story["member"].nunique(), "an idea marks nothing"


def test_a_rejected_correction_moves_no_point_and_an_accepted_one_says_so(frames) -> None:
    decided = {**frames, "history_correction": frames["history_correction"].assign(status=["accepted", "rejected"])}
    story = _story(decided, "total")
    assert story.loc[story["correction"] != "", "correction"].tolist() == ["accepted"]
    assert story["demand_qty"].tolist() == _story(frames, "total")["demand_qty"].tolist()


def test_the_parts_on_the_screen_add_up_over_families(frames) -> None:
    parts, item = frames["forecast_component"], frames["item"]
    whole = views.decomposition(parts, item)
    families = pd.concat([views.decomposition(parts, item, member=name) for name in item["family"].unique()])
    added = families.groupby(["component", "period"])["part_qty"].sum()
    assert whole.set_index(["component", "period"])["part_qty"].sort_index().to_numpy() == pytest.approx(added.sort_index().to_numpy())
    per_period = whole.groupby("period").agg(parts=("part_qty", "sum"), demand=("demand_qty", "first"))
    assert per_period["parts"].to_numpy() == pytest.approx(per_period["demand"].to_numpy())
    assert views.decomposition(parts, item, member="I03").attrs["title"].startswith("City bike 03: the season moves demand by")
    largest = parts.merge(item[["item_id", "family"]], on="item_id").groupby("family")["demand_qty"].sum().idxmax()
    assert views.decomposition(parts, item, member=views.LARGEST_FAMILY).attrs["title"].startswith(largest)
    with pytest.raises(DataError, match="name a family"):
        views.decomposition(parts, item, member="Boats")


def test_corrections_of_an_item_and_month_are_one_line_with_what_was_decided(frames) -> None:
    one = frames["history_correction"].head(1)
    both = pd.concat([one, one.assign(market_id="M1", status="accepted")], ignore_index=True)
    row = views.corrections_by_item(both, frames["item"]).iloc[0]
    assert (row["market_count"], row["raw_qty"], row["suggested_qty"], row["change_qty"]) == (2, 6.0, 110.0, 104.0)
    assert row["status"] == "1 accepted, 0 rejected, 1 open"
    assert views.corrections_by_item(both, frames["item"]).attrs["title"] == "1 correction waits for a decision"
    assert views.corrections_by_item(both.assign(status="rejected"), frames["item"]).attrs["title"] == "Every correction is decided"


def test_a_case_shows_before_and_after_and_marks_the_one_chosen(frames) -> None:
    correction = frames["history_correction"]
    case = views.correction_case(frames["sales_history"], correction, frames["item"], correction.index[0])
    chosen = case[case["mark"] == "chosen"].iloc[0]
    assert (chosen["period"], chosen["corrected_qty"]) == (correction["period"].iloc[0], correction["suggested_qty"].iloc[0])
    assert (case.loc[case["mark"] == "", "ordered_qty"] == case.loc[case["mark"] == "", "corrected_qty"]).all()
    rejected = correction.assign(status="rejected")
    kept = views.correction_case(frames["sales_history"], rejected, frames["item"], correction.index[0])
    assert (kept["ordered_qty"] == kept["corrected_qty"]).all()


def test_the_lag_is_the_same_along_a_diagonal_of_the_waterfall(frames) -> None:
    rows = views.waterfall(frames["plan_waterfall"])
    planned = rows[~rows["is_actual"]]
    lock = pd.to_datetime(planned["plan_cycle_id"] + "-01")
    months = (planned["period"].dt.year - lock.dt.year) * 12 + planned["period"].dt.month - lock.dt.month
    first = months.groupby(planned["plan_cycle_id"]).transform("min")
    assert planned["lag"].tolist() == (months - first).tolist()
    assert rows.loc[rows["is_actual"], "lag"].isna().all()


def test_the_tail_curve_ends_at_all_revenue_and_names_what_the_tail_holds(frames) -> None:
    shown = views.tail_curve(frames["portfolio"])
    assert shown["cumulative_revenue_ratio"].iloc[-1] == pytest.approx(1)
    assert shown["part"].tolist() == ["core"] * 7 + ["tail"] * 2
    assert shown.attrs["title"] == f"2 items bring the last 1 % of revenue and hold 10k {views.MONEY} of stock"


def test_the_plan_by_family_adds_up_in_units_and_money(frames) -> None:
    shown = views.consensus_by_family(frames["consensus_demand"], frames["item"]).set_index("family")
    families = shown.drop(index="All families")
    assert families.sum().to_numpy() == pytest.approx(shown.loc["All families"].to_numpy(dtype=float))
    assert shown.loc["All families", "horizon_amt"] == pytest.approx(frames["consensus_demand"]["revenue_amt"].sum())


def test_events_are_listed_newest_first_in_the_names_people_use(frames) -> None:
    shown = views.event_list(frames["event"], frames["item"], pd.Timestamp("2026-09-30"))
    assert shown[["event_id", "what", "where"]].values.tolist() == [
        ["E3", "Mountain bike 01", "everywhere"], ["E2", "everything", "everywhere"], ["E1", "Helmets", "North"]]
    assert shown.attrs["title"] == "2 events ahead or under way, 1 over in the last 18 months"


def test_both_sides_of_a_risk_stand_on_one_line_and_nothing_is_lost(frames) -> None:
    given = frames["risk_opportunity"]
    register = views.risk_register(given)
    assert register["what"].is_unique
    assert register[["risk_amt", "opportunity_amt"]].sum().sum() == pytest.approx(given["money_amt"].sum())
    expected = register[["expected_risk_amt", "expected_opportunity_amt"]]
    assert expected.sum().sum() == pytest.approx(given["expected_amt"].sum(), abs=1e-6)
    shown = views.risks_opportunities(given, top=4)
    assert (shown["expected_risk_amt"] <= 0).all()
    assert (shown["expected_opportunity_amt"] >= 0).all()
    sides = given.groupby("kind")["expected_amt"].sum()
    assert views.short(sides["risk"], views.MONEY) in shown.attrs["title"]
    assert "Deal: 400 of City bikes for M0" in register["what"].tolist()


def test_the_gap_of_demand_by_family_and_by_region_is_the_one_gap(frames) -> None:
    whole = views.demand_vs_budget(frames["demand_gap"])["gap_amt"].sum()
    assert whole == pytest.approx(frames["demand_gap"]["gap_amt"].sum())
    gaps = views.demand_gap(frames["demand_gap"])
    assert gaps["gap_amt"].sum() == pytest.approx(whole)
    regions = views.demand_by_region(frames["demand_gap"]).set_index("region")
    assert regions.loc["All regions", "gap_amt"] == pytest.approx(whole)
    assert (regions["floor_qty"] <= regions["demand_qty"]).all()
    assert (regions["demand_qty"] <= regions["ceiling_qty"]).all()


def test_the_gap_of_a_region_is_that_of_the_demand_beside_it(frames) -> None:
    gap = frames["demand_gap"].copy()
    last = gap["period"].max()
    gap.loc[gap["period"] == last, ["budget_qty", "budget_amt", "gap_qty", "gap_amt"]] = np.nan
    row = views.demand_by_region(gap).set_index("region").loc["All regions"]
    assert row["gap_amt"] == pytest.approx(row["demand_with_budget_amt"] - row["budget_amt"])
    assert row["demand_amt"] == pytest.approx(gap["demand_amt"].sum())
    assert row["demand_amt"] > row["demand_with_budget_amt"]
    money_only = gap.assign(budget_qty=np.nan, gap_qty=np.nan)
    assert "gap_qty" not in views.demand_by_region(money_only)


def test_many_families_are_judged_by_the_largest_and_the_others_together(frames) -> None:
    one = frames["stream_record"].query("level == 'family' and stream == 'statistical' and author == 'all'").head(1)
    many = pd.concat([one.assign(member=f"F{n:02d}", actual_qty=100.0 * n, bias_ratio=0.01 * n, wape_ratio=0.2) for n in range(1, 28)],
                     ignore_index=True)
    shown = views.bias_heat_map(many).set_index("member")
    assert len(shown) == 12
    small = many[many["actual_qty"] <= 1600]
    whole = (small["bias_ratio"] * small["actual_qty"]).sum() / small["actual_qty"].sum()
    assert shown.loc[views.OTHER, "bias_ratio"] == pytest.approx(whole)
    assert "all but the 11 that sold most" in shown.attrs["note"]
    assert views.bias_heat_map(many.head(12))["member"].nunique() == 12, "a row of one other is shown by its name"


def test_a_waterfall_says_how_far_off_the_locks_were_and_names_lags_only_where_they_are_drawn(frames) -> None:
    rows = views.waterfall(frames["plan_waterfall"])
    assert "off at the" in rows.attrs["title"]
    assert "small number" in rows.attrs["note"]
    weeks = frames["plan_waterfall"].copy()
    wide = pd.concat([weeks.assign(period=weeks["period"] + pd.DateOffset(years=n)) for n in range(9)])
    shown = views.waterfall(wide, periods=30)
    assert ("small number" in shown.attrs["note"]) == (shown["period"].nunique() <= views.LAGS_SHOWN)


def test_cells_say_how_their_items_sell_and_what_is_done_with_them(frames) -> None:
    shown = views.segments(frames["item_class"])
    alive = frames["item_class"].query("lifecycle != 'ended'")
    assert shown["item_count"].sum() == len(alive)
    patterns = alive["demand_pattern"].value_counts()
    for name in ("smooth", "erratic", "intermittent", "lumpy"):
        assert shown[f"{name}_items"].sum() == patterns.get(name, 0)
    assert shown["policy"].str.len().min() > 20


def test_series_are_counted_by_the_way_they_are_forecast() -> None:
    row = {"market_id": "N", "period": PERIODS[0], "forecast_qty": 60.0, "low_qty": 1.0, "high_qty": 90.0}
    frame = pd.DataFrame([
        {**row, "item_id": "A", "model": "regular: 60% structure + ets, 40% theta; 75% by its share of item and market"},
        {**row, "item_id": "B", "model": "regular: 20% structure + ets, 80% theta (2 missing bridged)"},
        {**row, "item_id": "C", "model": "short: 100% recent mean (only 2 periods of history: its level is carried forward)"},
        {**row, "item_id": "D", "forecast_qty": 0.0, "model": "ended: no demand expected"},
    ])
    shown = views.forecast_routes(frame).set_index("route")
    assert shown["series"].to_dict() == {"regular": 2, "short": 1, "ended": 1}
    assert shown["mean_mix"].to_dict() == {"regular": "60 % theta, 40 % structure + ets", "short": "100 % recent mean", "ended": "–"}
    assert shown.loc["regular", "share_of_forecast_ratio"] == pytest.approx(2 / 3)


def test_many_launches_of_a_day_stand_on_one_line_by_family(frames) -> None:
    one = frames["item"].head(1)
    day = pd.Timestamp("2026-11-15").as_unit("ns")
    many = pd.concat([one.assign(item_id=f"N{n}", item_name=f"New {n:02d}", launch_date=day) for n in range(25)], ignore_index=True)
    shown = views.lifecycle_events(many, pd.Timestamp("2026-09-30"))
    launches = shown[shown["event"] == "launch"]
    assert launches["item_name"].tolist() == ["New 00 and 24 more"]
    assert shown.attrs["title"].startswith("25 launches")


def test_what_a_launch_curve_counts_for_in_the_plan_is_said(frames) -> None:
    launch = frames["launch_forecast"].assign(weight_ratio=0.25)
    shown = views.launch_curves(frames["launch_curve"], frames["item"], launch_forecast=launch)
    young = set(launch["item_id"])
    assert all(("(counts 25 %)" in member) == (item in young) for item, member in zip(shown["item_id"], shown["member"], strict=True))
    assert "Counts: the curve's part in the plan" in shown.attrs["note"]


def test_a_promotion_of_which_nothing_is_known_is_not_said_to_pay_from_nought(frames) -> None:
    silent = frames["promotion_case"].assign(uplift_ratio=0.0, break_even_ratio=0.0, basis="as stated")
    shown = views.promotion_cases(silent, frames["item"])
    assert shown["break_even_ratio"].isna().all()
    assert set(shown["basis"]) == {"nothing stated or learnt"}


def test_the_range_of_demand_says_what_it_rests_on(frames) -> None:
    arguments = frames["consensus_demand"], frames["item"], frames["budget"]
    assert "items are independent" in views.demand_range(*arguments).attrs["note"]
    own = pd.DataFrame({"level": "total", "member": "all", "period": PERIODS, "coverage_ratio": 0.8, "forecast_qty": 10.0, "low_qty": 8.0,
                        "high_qty": 13.0})
    own = views.demand_range(*arguments, own)
    assert "own past errors" in own.attrs["note"]
    assert own.attrs["bold"] == ["All families"]


def test_a_budget_for_all_families_is_shown_by_region(frames) -> None:
    one = frames["demand_gap"].groupby(["region", "period"], as_index=False).sum(numeric_only=True).assign(family="all families")
    assert set(views.demand_gap(one)["member"]) == {"North", "South"}


def test_open_deals_are_counted_once(frames) -> None:
    deals = views.pipeline(frames["pipeline_line"])
    parts = deals.groupby("part")["value_amt"].sum()
    assert parts.to_dict() == {"counted in the plan": 72_000.0, "on top if won": 48_000.0, "not counted here": 60_000.0}
    assert deals.attrs["title"] == f"The plan counts 72k {views.MONEY} of 180k {views.MONEY} in 2 open deals"


def test_promotions_are_judged_against_what_was_stated_and_by_what_they_bring(frames) -> None:
    effects = frames["driver_effect"]
    title = views.driver_effects(effects, frames["item"]).attrs["title"]
    assert title == "History bears out what was stated of the promotions of 1 product"
    missed = effects.assign(stated_ratio=effects["stated_ratio"] + 0.2)
    title = views.driver_effects(missed, frames["item"]).attrs["title"]
    assert title == "Promotions of Helmets · North brought 22 %; 50 % was stated"
    row = views.driver_effect_list(effects, frames["item"]).iloc[0]
    assert (row["uplift_text"], row["range_text"], row["taken_from_after_text"]) == ("22 %", "14 to 30 %", "10 %")
    cases = views.promotion_cases(frames["promotion_case"], frames["item"])
    assert cases["promotion"].tolist() == ["Helmets · North, Dec 26 (planned)", "Mountain bike 01, Dec 26 (idea)"]
    assert cases.attrs["title"] == f"1 of 2 promotions ahead loses money: -8.28k {views.MONEY}"


def test_the_estimators_of_a_launch_are_beside_each_other(frames) -> None:
    shown = views.launch_estimates(frames["launch_curve"], frames["item"])
    assert shown["is_used"].tolist() == [True, False]
    assert shown["horizon_qty"].tolist() == [60 * 12 + 5 * 66, 40 * 12 + 5 * 66]
    assert views.launch_curves(frames["launch_curve"], frames["item"]).attrs["title"] == "Used: like-item profile for 1 item"


def test_ranges_of_a_level_stand_on_one_line() -> None:
    told = [("item_id × market_id", 0.8, 0.79, 900), ("item_id × market_id", 0.95, 0.94, 900), ("total", 0.8, 0.9, 10),
            ("total", 0.95, 1.0, 10)]
    columns = ["level", "nominal_ratio", "covered_ratio", "error_count"]
    shown = views.range_coverage(tables.validate("forecast_coverage", pd.DataFrame(told, columns=columns)))
    assert shown["level"].tolist() == ["Item × Market", "Total"]
    assert shown["80_%_range_held_ratio"].tolist() == [0.79, 0.9]
    assert shown.attrs["title"] == "Item by market, the 80 % range held 79.0 %, the 95 % range held 94.0 %"


def test_losses_are_named_as_people_name_places(frames) -> None:
    place = pd.DataFrame({"location_id": ["S1"], "location_name": ["Northern hub"]})
    shown = views.vulnerability(frames["vulnerability"], place, frames["market"])
    assert shown["name"].tolist() == ["Line 1", "Northern hub"]
    assert shown["sentence"].iloc[1].startswith("Without supplier Northern hub for 1 month")
    assert shown.attrs["title"] == f"Without Line 1 in Apr 27: 310k {views.MONEY} less profit"


def test_demand_that_no_budget_speaks_of_is_no_gap(frames) -> None:
    north = frames["budget"][frames["budget"]["region"] == "North"]
    shown = views.demand_range(frames["consensus_demand"], frames["item"], north, market=frames["market"]).set_index("family")
    gap = outlook.demand_gap(frames["consensus_demand"], north, frames["item"], frames["market"])
    assert views.demand_vs_budget(gap)["gap_amt"].sum() == pytest.approx(shown.loc["All families", "gap_at_demand_amt"])


def test_limits_carry_the_name_of_their_item(frames) -> None:
    row = {"limit": "lead time", "member": "I03 at P1", "period": PERIODS[0], "price_amt": 2.0, "money_amt": 9.0, "unit": "base units"}
    limit = frames["binding_limit"].head(1).assign(**row)
    assert views.bottlenecks(limit, frames["resource"], frames["item"])["member"].tolist() == ["City bike 03 (I03) at P1"]


def test_people_behind_a_biased_stream_stand_with_what_their_inputs_cost(frames) -> None:
    view = views.driver_people(frames["driver_tree"], "revenue")
    assert view[["person", "deviation_amt"]].to_numpy().tolist() == [["K. Vogel", -40_000.0], ["G. Sand", 10_000.0]]
    assert view.attrs["title"] == "What K. Vogel said was too high"


def test_many_families_are_shown_as_the_largest_and_the_others_together(frames) -> None:
    deviation = frames["plan_deviation"]
    deviation = deviation[deviation["stream"] == "consensus"]
    few = views.plan_vs_actual(deviation)
    assert few["family"].tolist() == sorted(deviation["family"].fillna("(no family)").unique())
    many = pd.concat([deviation.assign(family=f"F{n:02d}", plan_qty=deviation["plan_qty"] * n) for n in range(1, 31)])
    shown = views.plan_vs_actual(many)
    assert sorted(shown["family"]) == [*(f"F{n}" for n in range(21, 31)), "Others"]
    newest = many[many["lag"] == many["lag"].min()]
    assert shown["plan_qty"].sum() == pytest.approx(newest["plan_qty"].sum())
    assert shown["actual_qty"].sum() == pytest.approx(newest["actual_qty"].sum())
