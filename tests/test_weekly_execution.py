"""The weekly round: what runs out, what comes late, who mends it; the same functions in weeks, from the same extract."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_company import rows

from sop_workbench import cli, sources, tables, views, weekly_execution
from sop_workbench.chain import STEPS, WEEKLY_STEPS, Chain, step_states, steps_of
from sop_workbench.change_request import hand_over
from sop_workbench.errors import SettingsError
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings, load_settings
from sop_workbench.store import open_workspace

EXTRACT = Path(os.environ.get("SOP_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()
WEEK = Calendar("week")
WEEKS = WEEK.horizon("2026-W40", 4)
SETTINGS = Settings(company="Small", bucket="week")
AS_OF = WEEK.as_of("2026-W40")
ITEM = rows("item", {"item_id": "A", "item_name": "Grill", "item_type": "finished", "family": "Grills", "standard_cost_amt": 20},
            {"item_id": "B", "item_name": "Stove", "item_type": "finished", "family": "Stoves", "standard_cost_amt": 10})


def company(**changes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A grill with 25 on hand, 10 on order for the second week and two weeks' lead time; a stove with plenty."""
    made = {
        "item": ITEM,
        "stock_on_hand": rows("stock_on_hand", {"item_id": "A", "location_id": "P", "on_hand_qty": 25, "as_of_date": AS_OF},
                              {"item_id": "B", "location_id": "P", "on_hand_qty": 999, "as_of_date": AS_OF}),
        "open_supply": rows("open_supply", {"order_id": "O1", "item_id": "A", "location_id": "P", "kind": "production",
                                            "due_date": pd.Timestamp("2026-10-08"), "open_qty": 10}),
        "production": rows("production", *({"item_id": i, "location_id": "P", "variable_cost_amt": 1, "lead_time_days": 21} for i in "AB")),
    }
    return made | changes


def demand(quantity: float = 20.0) -> pd.DataFrame:
    return pd.DataFrame([{"item_id": item, "market_id": "N", "period": week, "demand_qty": quantity} for item in "AB" for week in WEEKS])


def served(short: tuple[float, ...] = (0, 0, 0, 0)) -> pd.DataFrame:
    """The plan: what waits of the grill at the end of each week."""
    before = (0.0, *short[:-1])
    return pd.DataFrame([
        {"item_id": item, "market_id": "N", "period": week, "demand_qty": 20.0, "lost_qty": 0.0, "price_amt": 50.0,
         "floor_shortfall_qty": 0.0, "backlog_qty": late if item == "A" else 0.0, "served_qty": 20.0 - (late - was if item == "A" else 0.0)}
        for item in "AB" for week, late, was in zip(WEEKS, short, before, strict=True)])


def runs_out(**changes: object) -> pd.DataFrame:
    return weekly_execution.projected_stockouts(demand(), served((0, 5, 0, 0)), company(**changes), WEEKS, WEEK)


def test_stock_and_open_orders_are_counted_down_week_by_week() -> None:
    found = runs_out()
    assert found["item_id"].tolist() == ["A"], "the stove lasts"
    row = found.iloc[0]
    # 25 − 20 = 5; 5 + 10 − 20 = −5 in the second week
    assert (row["period"], row["missing_qty"], row["firm_qty"], row["needed_qty"]) == (WEEKS[1], 5, 10, 40)
    assert (row["lead_time_periods"], row["is_within_lead_time"]) == (3, True)
    assert (row["plan_short_qty"], row["short_amt"]) == (5, 250)


def test_an_overdue_order_counts_in_the_first_week_and_is_told() -> None:
    late = company()["open_supply"].assign(due_date=pd.Timestamp("2026-09-21"))
    found = runs_out(open_supply=late)
    assert found["period"].tolist() == [WEEKS[1]]
    told = weekly_execution.late_supply(company(open_supply=late), found, AS_OF, WEEK, pd.Series({"A": 20.0}))
    assert told[["problem", "late_days", "open_amt"]].iloc[0].tolist() == ["overdue", 6.0, 200.0]
    assert told["stockout_date"].tolist() == [WEEKS[1]]


def test_an_order_due_after_its_item_has_run_out_is_too_late() -> None:
    later = company()["open_supply"].assign(due_date=pd.Timestamp("2026-10-23"))
    found = runs_out(open_supply=later)
    told = weekly_execution.late_supply(company(open_supply=later), found, AS_OF, WEEK, pd.Series({"A": 20.0}))
    assert told[["problem", "late_days"]].iloc[0].tolist() == ["too late", (pd.Timestamp("2026-10-23") - WEEKS[1]).days]
    in_time = weekly_execution.late_supply(company(), runs_out(), AS_OF, WEEK, pd.Series({"A": 20.0}))
    assert in_time["problem"].tolist() == ["too late"], "due on Thursday of the week that begins short"


def resources(used: float) -> pd.DataFrame:
    return pd.DataFrame([{"resource_id": "LINE", "period": week, "used_hours": used, "regular_hours": 100.0, "overtime_hours": 20.0,
                          "overtime_used_hours": max(used - 100, 0), "hour_price_amt": 3.0} for week in WEEKS])


def judged(short: tuple[float, ...] = (0, 0, 0, 0), used: float = 50.0, deviation: pd.DataFrame | None = None) -> pd.DataFrame:
    unmet = served(short)
    found = weekly_execution.projected_stockouts(demand(), unmet, company(), WEEKS, WEEK)
    late = weekly_execution.late_supply(company(), found, AS_OF, WEEK, pd.Series({"A": 20.0}))
    sharing = pd.DataFrame([{"item_id": "A", "market_id": "N", "period": WEEKS[1], "lost_qty": float(max(short)), "lost_amt": 1.0}])
    none = tables.table("plan_deviation").empty()
    return weekly_execution.exceptions(none if deviation is None else deviation, found, late, resources(used), sharing, unmet, SETTINGS,
                                       WEEKS, WEEK).set_index("kind")


def test_what_the_plan_mends_stays_in_the_week_and_what_it_cannot_goes_to_the_monthly_round() -> None:
    fine = judged(short=(0, 3, 0, 0))
    assert fine.loc["stock runs out", "response"] == "fix it this week"
    assert fine.loc["stock runs out", "money_amt"] == 150, "what waits in the worst week, at price"
    short = judged(short=(0, 5, 25, 45))
    assert short.loc["stock runs out", "response"] == "change request"
    assert "new production comes too late" in short.loc["stock runs out", "sentence"]
    assert short.loc["market gives way", "response"] == "change request"
    assert short["is_outside"].iloc[0]
    assert short["sequence"].tolist() == list(range(1, len(short) + 1))


def test_a_full_resource_is_outside_only_when_no_hour_is_left() -> None:
    assert "resource full" not in judged(used=90).index
    inside, outside = judged(used=110).loc["resource full"], judged(used=120).loc["resource full"]
    assert (inside["response"], outside["response"]) == ("fix it this week", "change request")
    assert "10 h of overtime are left" in inside["sentence"]
    assert inside["money_amt"] == pytest.approx(4 * 3.0 * (110 - 95))


def test_late_orders_of_an_item_are_one_thing_to_chase_and_outside_only_when_the_plan_cannot_cope() -> None:
    late = pd.DataFrame([
        {"order_id": order, "item_id": item, "item_name": name, "problem": problem, "late_days": days, "open_qty": quantity,
         "open_amt": money, "stockout_date": WEEKS[1] if item == "A" else pd.NaT}
        for order, item, name, problem, days, quantity, money in (
            ("O1", "A", "Grill", "overdue", 2.0, 10.0, 200.0), ("O2", "A", "Grill", "too late", 9.0, 5.0, 100.0),
            ("O3", "T", "Tube", "overdue", 1.0, 1200.0, np.nan))])
    none = {name: tables.table(name).empty() for name in ("plan_deviation", "projected_stockout", "resource_plan", "allocation")}

    def told(short: tuple[float, ...]) -> pd.DataFrame:
        return weekly_execution.exceptions(
            none["plan_deviation"], none["projected_stockout"], late, none["resource_plan"], none["allocation"], served(short), SETTINGS,
            WEEKS, WEEK).set_index("member")

    copes, short = told((0, 3, 0, 0)), told((0, 5, 25, 45))
    assert copes.loc["A", ["money_amt", "value", "response"]].tolist() == [300.0, 9.0, "fix it this week"]
    assert copes.loc["A", "sentence"] == ("2 orders of Grill, 15 in all, are late, most of all O2: due 9 days after the item runs out; the "
                                          "plan serves 100% of the next weeks: ask for a day.")
    assert short.loc["A", "sentence"].endswith("the plan serves 44% of the next weeks: expedite, or ask for another source.")
    assert short["response"].to_dict() == {"A": "change request", "T": "fix it this week"}
    assert short.loc["T", "sentence"] == "O3, 1,200 of Tube, is overdue by 1 day; stock lasts: ask for a day."
    assert pd.isna(short.loc["T", "money_amt"]), "a tube has no worth on file"


def test_what_is_worth_next_to_nothing_stays_in_the_week() -> None:
    dear, cheap = (served((0, 5, 25, 45)).assign(price_amt=lambda rows, price=price: rows["item_id"].map({"A": price, "B": 5000.0}))
                   for price in (50.0, 0.001))
    found = [weekly_execution.exceptions(
        tables.table("plan_deviation").empty(), weekly_execution.projected_stockouts(demand(), unmet, company(), WEEKS, WEEK),
        tables.table("late_supply").empty(), resources(50.0), tables.table("allocation").empty(), unmet, SETTINGS, WEEKS, WEEK)
        for unmet in (dear, cheap)]
    assert [rows.loc[0, "response"] for rows in found] == ["change request", "fix it this week"]


def test_off_plan_once_is_looked_at_twice_running_is_a_change_request() -> None:
    def week(when: str, actual: float) -> dict:
        return {"plan_cycle_id": "x", "stream": "consensus", "item_id": "A", "market_id": "N", "family": "Grills", "lag": 0,
                "period": pd.Timestamp(when), "plan_qty": 100.0, "actual_qty": actual, "deviation_qty": actual - 100}

    once = judged(deviation=pd.DataFrame([week("2026-09-14", 101), week("2026-09-21", 130)]))
    twice = judged(deviation=pd.DataFrame([week("2026-09-14", 125), week("2026-09-21", 130)]))
    turned = judged(deviation=pd.DataFrame([week("2026-09-14", 75), week("2026-09-21", 130)]))
    found = [frame.loc["sales off plan", "response"] for frame in (once, twice, turned)]
    assert found == ["fix it this week", "change request", "fix it this week"]
    assert judged(deviation=pd.DataFrame([week("2026-09-14", 125), week("2026-09-21", 130)])).loc["sales off plan", "money_amt"] == 30 * 50


def test_the_screen_says_what_a_weekly_round_does_not_do() -> None:
    shown = views.exception_list(judged(short=(0, 5, 25, 45)).reset_index())
    assert shown.attrs["title"].startswith("3 change requests to the monthly round")
    assert "does not compare scenarios" in shown.attrs["note"]


# ------------------------------------------------------------------ the demo company in weeks
@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weekly") / "w"
    made = CliRunner().invoke(cli.main, ["new", str(folder), "--demo", "--bucket", "week"])
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture(scope="module")
def weekly(workspace: Path) -> dict[str, pd.DataFrame]:
    found = load_settings(workspace)
    return sources.load_inputs(found, workspace, found.calendar.as_of("2026-W40"))[0]


def test_weeks_of_the_demo_sum_to_its_months(workspace: Path, weekly: dict[str, pd.DataFrame]) -> None:
    months = pd.read_csv(workspace / "extract" / "sales_history.csv", parse_dates=["period"])
    whole = months[months["period"].between("2023-11-01", "2026-08-01")]
    sales = weekly["sales_history"]
    # Whole months that weeks cover, but for the days of the first and last week that lie in the month beside.
    for column in ("ordered_qty", "shipped_qty", "net_sales_amt"):
        assert sales.loc[sales["period"].between("2023-10-30", "2026-08-31"), column].sum() == pytest.approx(whole[column].sum(), rel=0.02)
    assert (sales["period"].dt.weekday == 0).all()
    assert (sales["period"] <= pd.Timestamp("2026-09-21")).all()
    assert (sales["shipped_qty"] > sales["ordered_qty"]).sum() < 10


def test_stock_of_the_demo_moves_by_what_was_made_and_shipped(weekly: dict[str, pd.DataFrame]) -> None:
    stock = weekly["stock_history"].groupby(["item_id", "period"])["closing_qty"].sum().unstack()
    made = weekly["production_history"].groupby(["item_id", "period"])["produced_qty"].sum().unstack().reindex_like(stock).fillna(0)
    sold = weekly["sales_history"].groupby(["item_id", "period"])["shipped_qty"].sum().unstack().reindex_like(stock).fillna(0)
    inside = [week for week in stock.columns[1:] if (week + pd.Timedelta(days=6)).month == week.month]
    drift = (stock.diff(axis=1) - made + sold)[inside].stack()
    assert (drift.abs() <= 2).mean() > 0.97, "rounding aside; a stock-out and a row lost on purpose apart"
    counted = weekly["stock_on_hand"].groupby("item_id")["on_hand_qty"].sum()
    last = stock[stock.columns[-1]]
    assert (counted.reindex(last.index) - last).abs().max() <= 3


def test_a_weekly_workspace_has_six_steps_and_says_why_not_eight(workspace: Path) -> None:
    settings = load_settings(workspace)
    assert list(settings.steps) == [step.name for step in WEEKLY_STEPS]
    assert steps_of(settings) == WEEKLY_STEPS
    assert steps_of(Settings(company="Monthly")) == STEPS
    opened = open_workspace(workspace)
    chain = Chain(opened, opened.cycle("2026-W40"), WEEKLY_STEPS)
    for name in ("pre_sop", "06_executive_sop", "7"):
        with pytest.raises(SettingsError, match="a weekly cycle has no step .* belong to the monthly round"):
            chain.find(name)
    assert chain.find("weekly_execution").name == "08_weekly_execution"
    refused = CliRunner().invoke(cli.main, ["run", "--workspace", str(workspace), "--to", "executive_sop"])
    assert refused.exit_code == 1
    assert "the decisions of the executive meeting belong to the monthly round" in refused.stderr


def test_blank_weekly_settings_can_be_read(tmp_path: Path) -> None:
    assert CliRunner().invoke(cli.main, ["new", str(tmp_path / "w"), "--bucket", "week"]).exit_code == 0
    settings = load_settings(tmp_path / "w")
    assert (settings.bucket, settings.horizon, settings.newest_cycle) == ("week", 13, "2026-W40")
    assert list(settings.steps) == [step.name for step in WEEKLY_STEPS]


def ran(workspace: Path, cycle_id: str) -> Chain:
    """The chain of a weekly cycle, run as a person does."""
    sop = str(Path(sys.executable).with_name("sop"))
    done = subprocess.run([sop, "run", "--workspace", str(workspace)], capture_output=True, text=True, check=False,
                          env={**os.environ, "SOP_DATA": str(EXTRACT)})
    assert done.returncode == 0, done.stderr
    opened = open_workspace(workspace)
    return Chain(opened, opened.cycle(cycle_id), WEEKLY_STEPS)


@pytest.mark.slow
@pytest.mark.skipif(not (EXTRACT / "adventureworks").is_dir(),
                    reason=f"no AdventureWorks extract in {EXTRACT}; name its folder in SOP_DATA to run this test")
def test_weeks_of_adventureworks_run_end_to_end_and_ask_for_few_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of work orders are late in that extract; what reaches the monthly round is a handful of things, each outside tolerance."""
    monkeypatch.setenv("SOP_DATA", str(EXTRACT))  # the state of a step looks at the extract again
    made = CliRunner().invoke(cli.main, ["new", str(tmp_path / "w"), "--adventureworks", "--bucket", "week"])
    assert made.exit_code == 0, made.output
    chain = ran(tmp_path / "w", "2014-W02")
    assert {state.status for state in step_states(chain)} == {"done"}
    plan = chain.cycle.read("inventory_projection")
    assert plan["period"].nunique() == 13
    assert (plan["period"].dt.weekday == 0).all()
    late, found = chain.cycle.read("late_supply"), chain.cycle.read("execution_exception")
    assert len(late) > 300
    chased = found[found["kind"] == "supply late"]
    assert sorted(chased["member"]) == sorted(late["item_id"].unique()), "one line an item"
    asked = weekly_execution.change_requests(found, "2014-W02")
    assert 1 <= len(asked) <= 15
    assert (asked["value"] < asked["tolerance"]).all(), "markets served below the service level"
    assert set(asked["kind"]) == {"market gives way"}
    assert found["sentence"].is_unique
    month = tmp_path / "month"
    month.mkdir()
    (month / "sop.yaml").write_text("company: Any\ncalendar_shift_days: 4\n")
    open_workspace(month).cycle("2014-01").append("comment", {"subject": "a", "text": "b"}, by="Ann", why="begun")
    monkeypatch.setenv("SOP_MONTHLY", str(month))
    target, added = hand_over(open_workspace(tmp_path / "w").cycle("2014-W02"), by="Ann")
    assert (target.id, len(added)) == ("2014-01", len(asked))


@pytest.mark.slow
def test_the_weekly_demo_runs_end_to_end(workspace: Path) -> None:
    chain = ran(workspace, "2026-W40")
    assert {state.status for state in step_states(chain)} == {"done"}
    binder = {path.name for path in Path(chain.cycle.folder).iterdir()}
    assert {"report.html", "plan.xlsx", "manifest.json", "08_weekly_execution.ipynb"} <= binder
    plan = chain.cycle.read("inventory_projection")
    assert plan["period"].nunique() == 13
    assert (plan["period"].dt.weekday == 0).all()
    found = chain.cycle.read("execution_exception")
    assert "Coolers" in set(found.loc[found["kind"] == "sales off plan", "member"]), "the rainy summer shows"
    asked = weekly_execution.change_requests(found, "2026-W40")
    assert asked["request_id"].tolist() == ["2026-W40 sales off plan: Coolers"]
    assert asked["weeks_outside"].iloc[0] >= 4
    late = chain.cycle.read("open_supply").merge(chain.cycle.read("late_supply")[["order_id"]], on="order_id")
    assert "SUP-11" in set(late["supplier_id"]), "igniters come late"
