"""What came of assumptions and decisions: scored when the actuals are in, beside what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sop_workbench import tables
from sop_workbench.errors import DataError
from sop_workbench.scoring import verdict

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

_KINDS = ("assumption", "decision")


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
