"""What people record of a round: decisions, promised actions, risks, and what came of decisions and assumptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sop_workbench import follow_up, tables
from sop_workbench.chain import Chain, require_executive, role_to_decide
from sop_workbench.errors import DataError, SettingsError
from sop_workbench.governance import takes_executive
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
    cycle.store.require_role(role_to_decide(chain, row["level"]), doing, by)
    if takes_executive(row["level"]):
        require_executive(chain, doing, by)
    return {"question": str(row["question"]), "options": considered or str(row["options"]), "answers": answers or str(row["answers"])}


def record_action(cycle: Cycle, title: str, *, by: str, why: str, status: str = "open", owner: str | None = None, due: Any = None,
                  decision_id: str | None = None) -> dict[str, Any]:
    """Record that somebody promised something, or how it stands now: what is not said again stays as it was promised last.

    Parameters
    ----------
    cycle : Cycle
        The cycle it is said in; promises of earlier cycles are known by their title.
    title : str
        What is to be done.
    status : str
        open, done or cancelled.
    owner, due, decision_id : optional
        Who, by when, for which decision; a new promise needs the first two.

    Raises
    ------
    SettingsError
        When a new promise has no owner or day, or it is closed the same way already.
    RoleError, CycleLockedError
        As :meth:`Cycle.append`.
    """
    cycle.store.require_role("planner", f"add to action of cycle {cycle.id}", by)
    before = _newest(cycle, "action", title)
    if before and status != "open" and before["status"] == status:
        raise SettingsError(f"{title!r} is {status} already: {before['by']}, {before['at']:%Y-%m-%d}: {before['why']}")
    said = {"owner": owner or before.get("owner"), "due_date": due if due is not None else before.get("due_date"),
            "decision_id": before.get("decision_id", "") if decision_id is None else decision_id}
    missing = [words for words, name in (("who does it (owner)", "owner"), ("by when (due)", "due_date")) if not said[name]]
    if missing:
        raise SettingsError(f"no action {title!r} is promised up to cycle {cycle.id}; a new one says {' and '.join(missing)}")
    record = {"title": title, "status": status, **said}
    cycle.append("action", record, by=by, why=why)
    return record


def record_risk(cycle: Cycle, title: str, *, by: str, why: str, status: str = "open", kind: str = "risk", money: float | None = None,
                probability: float | None = None, owner: str | None = None) -> dict[str, Any]:
    """Enter a risk or an opportunity into the register, or say how it stands now; what is not said again stays as it was.

    Parameters
    ----------
    cycle : Cycle
        The cycle it is said in; those of earlier cycles are known by kind and title.
    title, kind : str
        What may happen; risk or opportunity.
    status : str
        open or closed.
    money, probability, owner : optional
        Money at stake, chance from 0 to 1, who watches it; a new one needs the first two.

    Raises
    ------
    SettingsError
        When a new one has no money or chance, or it is closed already.
    RoleError, CycleLockedError
        As :meth:`Cycle.append`.
    """
    cycle.store.require_role("planner", f"add to risk of cycle {cycle.id}", by)
    before = _newest(cycle, "risk", title, kind)
    if before and before["status"] == status == "closed":
        raise SettingsError(f"{title!r} is closed already: {before['by']}, {before['at']:%Y-%m-%d}: {before['why']}")
    said = {"money_amt": before.get("money_amt") if money is None else money, "owner": owner or before.get("owner"),
            "probability_ratio": before.get("probability_ratio") if probability is None else probability}
    missing = [words for words, name in (("the money at stake", "money_amt"), ("its chance (probability)", "probability_ratio"))
               if said[name] is None]
    if missing:
        raise SettingsError(f"no {kind} {title!r} is registered up to cycle {cycle.id}; a new one says {' and '.join(missing)}")
    record = {"title": title, "kind": kind, "status": status, **said}
    cycle.append("risk", record, by=by, why=why)
    return record


def _newest(cycle: Cycle, table: str, title: str, kind: str = "") -> dict[str, Any]:
    """The newest record of a title up to the cycle; nothing where there is none."""
    rows = follow_up.records_up_to(cycle, table)
    rows = rows[(rows["title"] == title) & ((rows["kind"] == kind) if kind else True)].sort_values("at")
    return {str(name): value for name, value in rows.iloc[-1].items()} if len(rows) else {}


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
