"""What was assumed, decided and promised in this cycle and those before, what came of it, and how well the round is kept.

Nothing here is computed by a plan: it is read from people's records over all cycles of the store, up to the cycle looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from sop_workbench import governance, roles, tables

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

_EXECUTIVE = "06_executive_sop"
_JUDGED = ("demand_stream", "budget_gap", "scenario_comparison", "plan_deviation")


def records_up_to(cycle: Cycle, kind: str) -> pd.DataFrame:
    """Records of a kind from all cycles up to this one, with their cycle."""
    rows = cycle.store.read_all(kind)
    return rows[rows["cycle_id"] <= cycle.id].reset_index(drop=True)


def records_with_outcome(cycle: Cycle, kind: str) -> pd.DataFrame:
    """Assumptions or decisions of all cycles up to this one, each with its newest outcome (empty where none is known yet).

    What a person found goes before what the workbench computed, whenever either was recorded.
    """
    scored = records_up_to(cycle, "outcome").assign(is_person=lambda found: found["by"] != roles.WORKBENCH)
    newest = scored.sort_values(["is_person", "at"]).drop_duplicates("of_record_id", keep="last")
    newest = newest[["of_record_id", "actual_value", "verdict"]].rename(columns={"of_record_id": "record_id"})
    return records_up_to(cycle, kind).merge(newest, on="record_id", how="left", validate="one_to_one")


def followed_actions(cycle: Cycle, day: pd.Timestamp) -> pd.DataFrame:
    """Promises of all cycles up to this one as they stand on a day, late by the company's working days."""
    return governance.action_states(records_up_to(cycle, "action"), day, cycle.settings.working_days.holidays)


def kept_cycles(cycle: Cycle) -> pd.DataFrame:
    """Every cycle from the first of the store to this one: locked, open or skipped, and how late (see :func:`governance.cadence`)."""
    store = cycle.store
    locked = {name: store.cycle(name).records("approval").query("status == 'locked'")["at"].iloc[-1] for name in store.locked_cycles()}
    owned = cycle.settings.steps.get(_EXECUTIVE)
    return governance.cadence(store.cycles(), locked, cycle.id, cycle.calendar, owned.due_working_day if owned else None,
                              cycle.settings.working_days.holidays)


def judge_maturity(cycle: Cycle, day: pd.Timestamp) -> pd.DataFrame:
    """The `maturity` table of a cycle, from what the store holds on a day (see :func:`governance.maturity`)."""
    result = {name: cycle.read(name) if cycle.has(name) else tables.table(name).empty() for name in _JUDGED}
    scenarios = sorted(set(result["scenario_comparison"]["scenario"]) - {"base"})
    return governance.maturity(kept_cycles(cycle), sorted(set(result["demand_stream"]["stream"])), result["budget_gap"], scenarios,
                               records_up_to(cycle, "decision"), records_up_to(cycle, "action"), result["plan_deviation"], day)


def follow_up(cycle: Cycle, day: pd.Timestamp | None = None) -> dict[str, pd.DataFrame]:
    """Everything a meeting follows up, ready for the views of the same names.

    Parameters
    ----------
    cycle : Cycle
        The cycle looked at; later ones are not read.
    day : Timestamp, optional
        The day on which something is overdue or not; the first day of the cycle when left out.

    Returns
    -------
    dict of DataFrame
        assumption and decision (with `actual_value` and `verdict`), action (each as it stands, with `late_days`), cadence, maturity.
    """
    when = cycle.as_of + pd.Timedelta(days=1) if day is None else pd.Timestamp(day)
    return {
        "assumption": records_with_outcome(cycle, "assumption"),
        "decision": governance.decision_states(records_with_outcome(cycle, "decision"), records_up_to(cycle, "action")),
        "action": followed_actions(cycle, when),
        "cadence": kept_cycles(cycle),
        "maturity": judge_maturity(cycle, when),
    }
