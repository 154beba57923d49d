"""Decisions taken, and what came of them and of assumptions: scored when the actuals are in, beside what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sop_workbench import follow_up, tables
from sop_workbench.chain import Chain, require_executive
from sop_workbench.errors import DataError, SettingsError
from sop_workbench.governance import takes_approver, takes_executive
from sop_workbench.scoring import verdict

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

_KINDS = ("assumption", "decision")


def record_decision(chain: Chain, number: int | None, choice: str, *, by: str, why: str, question: str = "", considered: str = "",
                    expected: float | None = None, answers: str = "", **scope: Any) -> dict[str, Any]:
    """Record what was decided on open decision `number`, or on any other question; outside tolerance it takes an approver.

    Parameters
    ----------
    chain : Chain
        The chain of the cycle decided in.
    number : int, optional
        Number of an open decision of the cycle; else give `question`.
    choice, considered : str
        What was chosen, and the options considered (those of the open decision when left out).
    expected : float, optional
        Money expected from it.
    answers : str
        Change requests of the weekly round that it answers, parted by `; ` (those of the open decision when left out).
    scope
        What the money is of, and where: columns of `decision` by which actuals score it (measure, from_period, to_period, family, …).

    Raises
    ------
    SettingsError
        When there is no such open decision, neither or both of number and question are given, or nothing is chosen.
    RoleError
        When who decides is beyond the person at work, or the person may only read.
    CycleLockedError
        When the cycle is locked.
    """
    if (number is None) != bool(question.strip()):
        raise SettingsError("give the number of an open decision, or --question")
    if not choice.strip():
        raise SettingsError("say what was chosen: a decision without a choice cannot be recorded")
    record: dict[str, Any] = {"question": question, "options": considered, "choice": choice.strip(), **scope}
    record |= {"expected_effect_amt": expected, "answers": answers}
    follow_up.require_requests(chain.cycle, answers)
    if number is not None:
        record |= _open_decision(chain, number, considered, answers, by)
    chain.cycle.append("decision", record, by=by, why=why)
    return record


def _open_decision(chain: Chain, number: int, considered: str, answers: str, by: str) -> dict[str, str]:
    """Question, options and answered requests of an open decision; refused where who decides is beyond the person at work."""
    cycle = chain.cycle
    rows = cycle.read("open_decision")
    if number not in set(rows["sequence"]):
        raise SettingsError(f"cycle {cycle.id} has no open decision {number}; it has 1 to {len(rows)}")
    row = rows.set_index("sequence").loc[number]
    doing = f"decide what is for {row['level']} in cycle {cycle.id}"
    if takes_approver(row["level"]):
        cycle.store.require_role("approver", doing, by)
    if takes_executive(row["level"]):
        require_executive(chain, doing, by)
    return {"question": str(row["question"]), "options": considered or str(row["options"]), "answers": answers or str(row["answers"])}


def record_outcome(cycle: Cycle, record_id: str, actual: float, *, by: str, why: str) -> dict[str, Any]:
    """Score an assumption or a decision of this cycle or an earlier one; the earlier one stays as it was locked.

    An assumption held when low ≤ actual ≤ high (a limit that was not stated does not bind), a decision when actual ≥ expected effect.
    Where nothing was stated to hold it against, the verdict is `unjudged`.

    Raises
    ------
    RoleError
        When the person at work may only read.
    DataError
        When no assumption or decision has that number, or who or why is missing.
    """
    cycle.store.require_role("planner", f"score records in cycle {cycle.id}", by)
    for kind in _KINDS:
        rows = cycle.store.read_all(kind)
        found = rows[(rows["record_id"] == record_id) & (rows["cycle_id"] <= cycle.id)]
        if len(found):
            record = found.iloc[0]
            scored = {"of_record_id": record_id, "kind": kind, "cycle_of_record": record["cycle_id"], "actual_value": actual,
                      "verdict": verdict(kind, record, actual)}
            cycle.append("outcome", scored, by=by, why=why)
            return scored
    remedy = f"give the record_id of an assumption or decision of cycle {cycle.id} or before (sop records lists them)"
    raise DataError(tables.issue_frame([tables.finding("unknown_record", "blocks", "outcome", "", 1, record_id, remedy)]))
