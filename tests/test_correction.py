"""Corrections of history are decided by people: many at once, with who and why, and nothing on a finding."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import small_company
from click.testing import CliRunner, Result

from sop_workbench import cli, demand, tables
from sop_workbench.correction import decide, proposed_corrections
from sop_workbench.errors import DataError
from sop_workbench.store import Cycle, open_workspace

MONTHS = pd.date_range("2026-01-01", periods=3, freq="MS")


@pytest.fixture
def cycle(tmp_path: Path) -> Cycle:
    settings = 'company: Small\nhorizon: 4\nnewest_cycle: "2027-01"\nsources: {folder: extract}\n'
    (tmp_path / "sop.yaml").write_text(settings, encoding="utf-8")
    (tmp_path / "extract").mkdir()
    cycle = open_workspace(tmp_path).cycle("2027-01")
    cycle.write_all({name: small_company.inputs()[name] for name in ("item", "market")})
    rows = [
        {
            "item_id": item,
            "market_id": "N",
            "period": month,
            "kind": kind,
            "raw_qty": raw,
            "suggested_qty": 50.0,
            "evidence": "odd",
            "status": "proposed",
        }
        for item, month, kind, raw in (
            ("A", MONTHS[0], "outlier", 500.0),
            ("A", MONTHS[1], "stockout", 3.0),
            ("B", MONTHS[2], "outlier", 900.0),
        )
    ]
    cycle.write("history_correction", tables.validate("history_correction", pd.DataFrame(rows)))
    return cycle


def sop(cycle: Cycle, *arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["history", *arguments, "--workspace", str(cycle.workspace.folder)])


def status(cycle: Cycle) -> list[str]:
    return proposed_corrections(cycle)["status"].tolist()


def test_many_are_decided_at_once_and_the_newest_word_counts(cycle: Cycle) -> None:
    all_of_them = proposed_corrections(cycle).assign(decision="accepted")
    stored = decide(cycle, all_of_them, by="Ann", why="typing errors")
    assert (set(stored["by"]), set(stored["why"]), len(stored)) == ({"Ann"}, {"typing errors"}, 3)
    decide(cycle, [{"item_id": "B", "market_id": "N", "period": "2026-03-01", "decision": "rejected"}], by="Bo", why="a real tender")
    assert status(cycle) == ["accepted", "accepted", "rejected"]


def test_raw_stays_beside_what_was_accepted(cycle: Cycle) -> None:
    decide(cycle, proposed_corrections(cycle).head(1).assign(decision="accepted"), by="Ann", why="typing error")
    history = tables.validate(
        "sales_history",
        pd.DataFrame(
            [
                {"item_id": "A", "market_id": "N", "period": month, "ordered_qty": quantity}
                for month, quantity in zip(MONTHS, (500.0, 3.0, 40.0), strict=True)
            ]
        ),
    )
    corrected = demand.apply_corrections(history, proposed_corrections(cycle))
    assert corrected[["raw_qty", "ordered_qty"]].to_numpy().tolist() == [[500, 50], [3, 3], [40, 40]]


def test_every_finding_is_told_and_nothing_recorded(cycle: Cycle) -> None:
    wrong = [
        {"item_id": "GONE", "market_id": "N", "period": MONTHS[0], "decision": "accepted"},
        {"item_id": "A", "market_id": "N", "period": MONTHS[0], "decision": "perhaps"},
        {"item_id": "A", "market_id": "N", "period": MONTHS[0], "decision": "accepted"},
    ]
    with pytest.raises(DataError) as caught:
        decide(cycle, wrong, by="Ann", why="x")
    assert caught.value.issues["rule"].tolist() == ["not_proposed", "decided_twice", "value_not_allowed"]
    assert "item_id=GONE" in caught.value.issues["keys"].iloc[0]
    assert cycle.records("history_decision").empty
    with pytest.raises(DataError, match="period, decision"):
        decide(cycle, [{"item_id": "A", "market_id": "N"}], by="Ann", why="x")
    with pytest.raises(DataError, match="why"):
        decide(cycle, proposed_corrections(cycle).assign(decision="accepted"), by="Ann", why="")


def test_proposals_are_listed_accepted_and_rejected_by_command(cycle: Cycle) -> None:
    shown = sop(cycle, "list")
    assert shown.exit_code == 0
    assert "A N 2026-01-01 outlier: 500.0 → 50.0 [proposed] odd" in shown.output
    assert "3 proposals, 3 of them open" in shown.output
    agreed = sop(cycle, "accept", "--kind", "outlier", "--by", "Ann", "--why", "typing errors")
    assert agreed.output == "2 corrections accepted by Ann; they count from the next sop run on\n"
    sop(cycle, "reject", "--item", "A", "--period", "2026-02-01", "--by", "Ann", "--why", "it was the holidays")
    assert status(cycle) == ["accepted", "rejected", "accepted"]
    assert "no open proposal fits" in sop(cycle, "accept", "--kind", "negative", "--by", "Ann", "--why", "x").output
    assert "1 proposal, 0 of them open" in sop(cycle, "list", "--status", "rejected").output
    assert "write a period like 2026-08-01" in sop(cycle, "list", "--period", "August").output
