"""Two plans by family, period and measure: sums by hand, money, reasons, owners."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sop_workbench import cli, tables
from sop_workbench.comparison import MEASURES, READ, changed_inputs, compare_plans, find_plan, plan_difference
from sop_workbench.errors import UnknownCycleError
from sop_workbench.store import Workspace, open_workspace

MONTHS = pd.date_range("2026-10-01", periods=3, freq="MS")


def filled(name: str, *rows: dict) -> pd.DataFrame:
    """Rows with zero in every figure that is not given."""
    declared = tables.table(name)
    blank = {c.name: 0.0 if c.type == "number" else "" for c in declared.columns.values()}
    return tables.validate(name, pd.DataFrame([blank | row for row in rows], columns=list(declared.columns)))


def plan(served: float = 8.0, made: float = 5.0, months: pd.DatetimeIndex = MONTHS, item_id: str = "A", revenue: float = 80.0) -> dict:
    item = tables.conform("item", pd.DataFrame([
        {"item_id": "A", "item_name": "A", "family": "Grills", "standard_cost_amt": 4.0, "item_type": "finished", "base_unit": "EA"},
        {"item_id": "B", "item_name": "B", "family": None, "standard_cost_amt": 2.0, "item_type": "finished", "base_unit": "EA"}]))[0]
    return {
        "item": item,
        "unmet_demand": filled("unmet_demand", *({"item_id": item_id, "market_id": "N", "period": m, "demand_qty": 10.0,
                                                  "served_qty": served, "price_amt": 10.0} for m in months)),
        "inventory_projection": filled("inventory_projection", *({"item_id": item_id, "location_id": "P", "period": m, "produced_qty": made,
                                       "closing_qty": 2.0, "value_amt": 8.0} for m in months)),
        "financial_projection": filled("financial_projection", *({"family": "Grills", "region": r, "period": m, "revenue_amt": revenue / 2,
                                       "gross_margin_amt": 1.0, "profit_amt": 1.0} for m in months for r in ("N", "S"))),
    }


def test_the_same_plan_has_no_difference() -> None:
    assert plan_difference(plan(), plan()).empty


def test_quantities_and_money_by_hand() -> None:
    found = plan_difference(plan(), plan(served=9.0, made=7.0, revenue=90.0))
    assert found.loc[found["period"] == MONTHS[0], found.columns[2:]].to_numpy().tolist() == [
        ["production", "units", 5.0, 7.0, 2.0, 8.0],
        ["revenue", "money", 80.0, 90.0, 10.0, 10.0],
        ["served demand", "units", 8.0, 9.0, 1.0, 10.0]]
    assert list(found.columns[2:]) == ["measure", "unit", "before", "after", "delta", "money_amt"]
    assert set(found["family"]) == {"Grills"}
    assert len(found) == 9


def test_only_periods_that_both_plan_are_compared() -> None:
    found = plan_difference(plan(), plan(served=9.0, months=MONTHS + pd.DateOffset(months=1)))
    assert found["period"].unique().tolist() == list(MONTHS[1:])


def test_an_item_without_family_and_one_that_only_one_plan_has() -> None:
    found = plan_difference(plan(), plan(item_id="B")).query("measure == 'demand'").set_index(["family", "period"])
    assert found.loc[("(no family)", MONTHS[0]), ["before", "after", "money_amt"]].tolist() == [0.0, 10.0, 100.0]
    assert found.loc[("Grills", MONTHS[0]), "money_amt"] == -100.0


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_after_is_before_and_the_difference_and_backwards_is_the_negative(a: float, b: float, c: float, d: float) -> None:
    there, back = plan_difference(plan(a, b), plan(c, d)), plan_difference(plan(c, d), plan(a, b))
    assert set(there["measure"]) <= set(MEASURES)
    pd.testing.assert_series_equal(there["before"] + there["delta"], there["after"], check_names=False)
    pd.testing.assert_series_equal(there["money_amt"], -back["money_amt"])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    steps = "steps:\n  03_supply_review: {owner: Olga, due_working_day: 3}\n"
    (tmp_path / "sop.yaml").write_text(f"company: Any\nnewest_cycle: '2026-10'\n{steps}")
    found = open_workspace(tmp_path)
    for name, made in (("2026-09", plan()), ("2026-10", plan(served=9.0, made=7.0))):
        found.cycle(name).write_all({table: made[table] for table in READ})
    found.cycle("2026-10").write_all({name: rows for name, rows in plan(made=9.0).items() if name != "item"}, scenario="shift")
    return found


def test_reason_and_owner_come_from_records_levers_and_steps(workspace: Workspace) -> None:
    changed = plan(made=7.0)
    changed["unmet_demand"]["demand_qty"] = 12.0
    cycle = workspace.cycle("2026-10")
    cycle.write_all({table: changed[table] for table in READ})
    added = {"item_id": "A", "market_id": "N", "period": MONTHS[0], "kind": "add", "value": 2.0}
    cycle.append("demand_adjustment", added, by="Ann", why="fair")
    found = compare_plans(find_plan(workspace.store, "2026-09"), find_plan(workspace.store, "2026-10"), workspace.settings)
    demand = found[found["measure"] == "demand"].set_index("period")
    assert demand.loc[MONTHS[0], ["reason", "owner"]].tolist() == ["A add 2: fair", "Ann"]
    assert demand.loc[MONTHS[1], ["reason", "owner"]].tolist() == ["", ""]
    assert set(found[found["measure"] == "production"]["owner"]) == {"Olga"}
    assert found["money_amt"].abs().is_monotonic_decreasing


def test_scenarios_of_a_cycle_and_inputs_that_differ(workspace: Workspace) -> None:
    base, shift = (find_plan(workspace.store, name, "2026-10") for name in ("base", "shift"))
    assert (base.name, shift.name) == ("2026-10", "2026-10/shift")
    found = compare_plans(base, shift, workspace.settings)
    assert found.query("measure == 'production'")["delta"].tolist() == [2.0] * 3
    assert changed_inputs(base.cycle, shift.cycle) == []
    with pytest.raises(UnknownCycleError, match="there is no plan 2026-10/other; cycle 2026-10 has the scenarios"):
        find_plan(workspace.store, "2026-10/other")


def test_the_command_tells_totals_and_months(workspace: Workspace, tmp_path: Path) -> None:
    asked = ["diff", "2026-09", "2026-10", "--workspace", str(workspace.folder), "--rows", "1", "--csv", str(tmp_path / "d.csv")]
    said = CliRunner().invoke(cli.main, asked)
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    assert lines[0] == "2026-09 → 2026-10: 6 differences"
    assert [line.split() for line in lines[1:3]] == [["production", "+24", "EUR"], ["served", "demand", "+30", "EUR"]]
    assert lines[3] == "  Grills 2026-10-01 served demand: +10 EUR (+1 units)  [Olga]"
    assert lines[4] == "  and 5 smaller ones (--rows, --csv)"
    assert len(pd.read_csv(tmp_path / "d.csv")) == 6
