"""The small company planned by the reviews themselves, with plans that have actuals, decisions and people: for tests of the pages."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pandas as pd
import yaml
from small_company import demand, inputs, rows

from sop_workbench import reviews, tables
from sop_workbench.chain import Chain, run_chain, submit_step
from sop_workbench.store import Cycle, open_workspace

CYCLE = "2027-01"
PEOPLE = {"helga": "approver", "ann": "planner", "vic": "viewer"}
_STEPS = {
    "05_pre_sop": {"owner": "Lead (ann)", "due_working_day": 15},
    "06_executive_sop": {"owner": "Head (helga)", "due_working_day": 18},
}
_SCENARIOS = (
    ("more_hours", "A fifth more hours on the line", "capacity", "regular_hours", 1.2),
    ("dearer_tubes", "Tubes a tenth dearer", "supplier_item", "unit_cost_amt", 1.1),
)


def planned(folder: Path, *, is_submitted: bool = False) -> Path:
    """A workspace whose one cycle is planned; with `is_submitted` its steps were run and ann submitted the executive one."""
    folder.mkdir(parents=True)
    said = {"company": "Small <&> Co", "horizon": 4, "newest_cycle": CYCLE, "steps": _STEPS, "risk": {"samples": 0},
            "brand_colour": "#1f5f4a", "finance": {"opening_cash_amt": 1000}}  # fmt: skip
    _write(folder, said)
    (folder / "scenarios").mkdir()
    for name, title, table, column, value in _SCENARIOS:
        lever = {"table": table, "column": column, "operation": "multiply", "value": value}
        content = {"scenario": name, "title": title, "reason": "asked in the meeting", "levers": [lever]}
        (folder / "scenarios" / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    workspace = open_workspace(folder)
    _plan(workspace.cycle(CYCLE))
    if is_submitted:
        _run_and_submit(Chain(workspace, workspace.cycle(CYCLE)))
    _write(folder, {**said, "users": PEOPLE})
    return folder


def _run_and_submit(chain: Chain) -> None:
    """Run every step with a notebook that only takes its parameters: the tables stand already."""
    notebooks = Path(chain.workspace.folder) / "notebooks"
    notebooks.mkdir()
    cell = nbformat.v4.new_code_cell('workspace = "."\ncycle_id = ""', metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for step in chain.steps:
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), notebooks / f"{step.name}.ipynb")
    run_chain(chain)
    submit_step(chain, "06_executive_sop", by="ann", why="ready for the meeting")


def _write(folder: Path, said: dict) -> None:
    (folder / "sop.yaml").write_text(yaml.safe_dump(said, allow_unicode=True), encoding="utf-8")


def _plan(cycle: Cycle) -> None:
    given = {**inputs(), "budget": _budget()}
    cycle.write_all({**given, "consensus_demand": demand(), "history_correction": tables.table("history_correction").empty()}, note="given")
    reviews.product_review(cycle)
    unsaid = [name for name in tables.names("result") if name not in ("cadence", "maturity") and not cycle.has(name)]
    cycle.write_all({name: tables.table(name).empty() for name in unsaid}, note="nothing said")
    for review in (reviews.supply_review, reviews.financial_review, reviews.pre_sop_review, reviews.executive_review):
        review(cycle)
    cycle.write("plan_deviation", _deviation(), note="what happened")
    cycle.append("risk", {"title": "Steel <dearer>", "kind": "risk", "money_amt": -900.0, "probability_ratio": 0.5, "owner": "Buyer"},
                 by="ann", why="prices rise")  # fmt: skip


def _budget() -> pd.DataFrame:
    periods = pd.date_range("2027-01-01", periods=4, freq="MS")
    columns = tables.table("budget").columns
    row = {"family": "Bikes", "region": "North", "revenue_amt": 30_000.0, "budget_amt": 30_000.0, "budget_revenue_amt": 30_000.0}
    return rows("budget", *({**{c: row[c] for c in row if c in columns}, "period": period} for period in periods))


def _deviation() -> pd.DataFrame:
    """Bikes sold 10 % below plan in the North and 5 % above in the South, trailers as planned."""
    sold = {("B1", "N"): (100.0, 90.0), ("B1", "S"): (40.0, 42.0), ("T1", "N"): (20.0, 20.0), ("T1", "S"): (10.0, 10.0)}
    family = {"B1": "Bikes", "T1": "Trailers"}
    return rows("plan_deviation", *(
        {"plan_cycle_id": "2026-12", "stream": "consensus", "item_id": item, "market_id": market, "family": family[item],
         "period": pd.Timestamp("2026-12-01"), "lag": 0, "plan_qty": plan, "actual_qty": actual, "deviation_qty": actual - plan}
        for (item, market), (plan, actual) in sold.items()))  # fmt: skip
