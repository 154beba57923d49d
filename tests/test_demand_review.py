"""The demo company's demand review with wrong rows among the right ones: each is named, and nothing else changes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import pandas as pd
import pytest

from sop_workbench import correction, reviews
from sop_workbench.cli import ROOT
from sop_workbench.store import Cycle, open_workspace

pytestmark = pytest.mark.slow
Tables = Mapping[str, pd.DataFrame]
_WRONG_INPUTS = (
    "sales,N. Body,NO-SUCH-ITEM,,N-RET,,2026-11-01,50,rumour,2026-09-27\n"
    "sales,N. Body,GG-101,,NOWHERE,,2026-11-01,50,rumour,2026-09-27\n"
    "sales,N. Body,,Tents,,North,2026-11-01,50,rumour,2026-09-27\n"
)
_FAR_EVENT = "EV-900,promotion,,Cookware,,,2031-11-01,2031-11-01,0.3,0.1,1000,,,2026-09-01\n"


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Cycle:
    folder = tmp_path_factory.mktemp("review") / "w"
    shutil.copytree(ROOT / "data" / "demo", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    settings = (folder / "sop.yaml").read_text(encoding="utf-8")
    for asked, given in (("effort: standard", "effort: quick"), ("origins: 3", "origins: 1")):
        assert asked in settings
        settings = settings.replace(asked, given)
    (folder / "sop.yaml").write_text(settings, encoding="utf-8")
    for name, rows in (("demand_input", _WRONG_INPUTS), ("event", _FAR_EVENT)):
        with (folder / "extract" / f"{name}.csv").open("a", encoding="utf-8") as file:
            file.write(rows)
    return open_workspace(folder).cycle("2026-10")


@pytest.fixture(scope="module")
def made(cycle: Cycle) -> Tables:
    reviews.data_gathering_review(cycle)
    assumption = cycle.append("assumption", {"assumption": "the tender is won"}, by="A. Sommer", why="letter of intent")
    told = {"market_id": "N-RET", "family": "", "region": "", "kind": "add"}
    cycle.append("demand_adjustment", [
        {**told, "item_id": "GG-101", "period": "2026-11-01", "value": 400.0, "assumption_id": assumption["record_id"].iloc[0]},
        {**told, "item_id": "NO-SUCH-ITEM", "period": "2026-11-01", "value": 9.0, "assumption_id": ""},
        {**told, "item_id": "GG-101", "period": "2033-01-01", "value": 9.0, "assumption_id": "no-such"},
    ], by="A. Sommer", why="tender won")  # fmt: skip
    proposed = correction.proposed_corrections(cycle)
    correction.decide(cycle, proposed[proposed["kind"] == "outlier"].assign(decision="accepted"), by="A. Sommer", why="typing errors")
    reviews.data_gathering_review(cycle)
    reviews.product_review(cycle)
    return reviews.demand_review(cycle)


def test_every_wrong_row_is_named_and_nothing_stops(made: Tables) -> None:
    told = made["demand_issue"].set_index("value")
    names = {"item_id=NO-SUCH-ITEM", "market_id=NOWHERE", "family=Tents"}
    assert set(told.index) == {*names, "2033-01-01", "no-such", "2031-11-01 to 2031-11-01"}
    assert told["remedy"].str.len().gt(10).all()
    assert set(told.loc["item_id=NO-SUCH-ITEM", "table"]) == {"demand_input", "demand_adjustment"}
    assert len(made["consensus_demand"]) > 5000
    assert "N. Body" not in set(made["stream_record"]["author"])


def test_the_checks_name_them_before_the_review_does(cycle: Cycle, made: Tables) -> None:
    issue = cycle.read("issue")
    assert {"unknown_member_of_input", "unknown_family_or_region"} <= set(issue["rule"])
    assert not (issue["severity"] == "blocks").any()


def test_accepted_corrections_reach_the_forecast_and_raw_stays(cycle: Cycle) -> None:
    rows = correction.proposed_corrections(cycle)
    assert set(rows.loc[rows["kind"] == "outlier", "status"]) == {"accepted"}
    assert set(rows.loc[rows["kind"] != "outlier", "status"]) == {"proposed"}
    assert (rows.loc[rows["kind"] == "outlier", "raw_qty"] > 3 * rows.loc[rows["kind"] == "outlier", "suggested_qty"]).any()


def test_promotions_have_a_case_by_what_history_told(made: Tables) -> None:
    cases = made["promotion_case"].set_index("event_id")
    assert set(cases.index) == {"EV-016", "EV-017", "EV-018", "EV-019"}
    assert cases.loc[["EV-016", "EV-017"], "basis"].eq("estimated from history").all()
    assert cases.loc[["EV-018", "EV-019"], "basis"].eq("as stated").all()
    net = cases["margin_gained_amt"] - cases["cannibalised_amt"] - cases["discount_given_amt"] - cases["cost_amt"]
    pd.testing.assert_series_equal(cases["net_amt"], net, check_names=False)
    assert set(made["price_case"]["basis"]) == {"assumed"}, "every list rises by the same share each January: history tells nothing"


def test_the_deal_of_the_run_rate_is_not_counted_again(made: Tables) -> None:
    lines = made["pipeline_line"].set_index("opportunity_id")
    assert lines.loc["OP-205", "counted_qty"] == 0
    assert "run rate already" in lines.loc["OP-205", "reason"]
    streams = made["demand_stream"]
    assert lines["counted_qty"].sum() == pytest.approx(streams.loc[streams["stream"] == "pipeline", "demand_qty"].sum())


def test_risks_and_gap_are_in_money(made: Tables) -> None:
    risks = made["risk_opportunity"]
    assert set(risks["source"]) == {"range", "pipeline", "promotion"}
    assert risks.loc[risks["kind"] == "risk", "money_amt"].lt(0).all()
    gap = made["demand_gap"]
    assert gap["demand_amt"].sum() == pytest.approx(made["consensus_demand"]["revenue_amt"].sum())
    assert (gap["low_amt"] <= gap["demand_amt"]).all()
    assert gap["gap_amt"].sum() < 0, "the budget of 2027 cannot be met"
