"""What was assumed, decided and promised in this cycle and those before, what came of it, and how well the round is kept.

Nothing here is computed by a plan: it is read from people's records over all cycles of the store, up to the cycle looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from sop_workbench import governance, roles, tables
from sop_workbench.errors import DataError, SettingsError, SopError
from sop_workbench.settings import expand_variables
from sop_workbench.store import open_workspace

if TYPE_CHECKING:
    from sop_workbench.store import Cycle, Workspace

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
    """Promises of all cycles up to this one as they stand on a day, late by the company's working days, with their decision's effect."""
    states = governance.action_states(records_up_to(cycle, "action"), day, cycle.settings.working_days.holidays)
    return governance.with_effect(states, records_with_outcome(cycle, "decision"))


def risk_register(cycle: Cycle) -> pd.DataFrame:
    """Risks and opportunities of all cycles up to this one as they stand, what is open first."""
    return governance.risk_states(records_up_to(cycle, "risk"))


# ------------------------------------------------------------------ change requests of the weekly round


def change_requests(cycle: Cycle) -> pd.DataFrame:
    """What the weekly round handed over up to this cycle, each request open or with its answer (see :func:`governance.request_states`)."""
    return governance.request_states(
        records_up_to(cycle, "change_request"), records_up_to(cycle, "decision"), records_up_to(cycle, "demand_adjustment"))


def requests_to_decide(cycle: Cycle) -> pd.DataFrame:
    """Change requests that this cycle has to answer: open after every adjustment so far and the decisions of the cycles before.

    What this cycle itself decided stays in its list of decisions, beside the decision taken.
    """
    decided = records_up_to(cycle, "decision")
    states = governance.request_states(
        records_up_to(cycle, "change_request"), decided[decided["cycle_id"] < cycle.id], records_up_to(cycle, "demand_adjustment"))
    return states[states["state"] == "open"]


def require_requests(cycle: Cycle, answers: str) -> None:
    """Refuse to answer change requests that nobody handed over.

    Raises
    ------
    DataError
        Naming each, and those on file.
    """
    known = records_up_to(cycle, "change_request")["request_id"].tolist() if answers else []
    wrong = [name for name in answers.split("; ") if answers and name not in known]
    if wrong:
        remedy = f"name change requests that were handed over, parted by `; `; on file: {'; '.join(known) or 'none'}"
        raise DataError(tables.issue_frame([tables.finding("unknown_request", "blocks", "change_request", "", len(wrong), "; ".join(wrong),
                                                           remedy)]))


def monthly_workspace(cycle: Cycle) -> Workspace:
    """The monthly workspace that the settings of a weekly one name.

    Raises
    ------
    SettingsError
        When none is named, none is there, or it is no monthly one.
    """
    named, folder = cycle.settings.monthly_workspace, cycle.workspace.folder
    if named is None:
        raise SettingsError(f"{folder} names no monthly workspace; say in its sop.yaml: monthly_workspace: ../folder-of-the-monthly-round")
    monthly = Path(folder, expand_variables(named))
    if not (monthly / "sop.yaml").is_file():
        raise SettingsError(f"{monthly.resolve()} is no workspace (it has no sop.yaml); correct monthly_workspace in "
                            f"{folder / 'sop.yaml'}, or make it: sop new {monthly.resolve()}")
    opened = open_workspace(monthly)
    if opened.settings.bucket != "month":
        raise SettingsError(f"{opened.folder} is planned in weeks; monthly_workspace names one with bucket: month")
    return opened


def handed_over(cycle: Cycle) -> pd.DataFrame:
    """Change requests that the monthly round holds of the weekly cycles up to this one, and what came of each.

    None where no monthly workspace is named or it cannot be read: the weekly round does not wait for it.
    """
    try:
        monthly = monthly_workspace(cycle)
        newest = monthly.store.cycles()[-1:]
        rows = change_requests(monthly.cycle(newest[0])) if newest else None
    except SopError:
        rows = None
    if rows is None:
        nothing = (cycle.store.read_all(name).iloc[:0] for name in ("change_request", "decision", "demand_adjustment"))
        rows = governance.request_states(*nothing)
    return rows[rows["weekly_cycle_id"] <= cycle.id].reset_index(drop=True)


# ------------------------------------------------------------------ the round itself


def kept_cycles(cycle: Cycle) -> pd.DataFrame:
    """Every cycle from the first of the store to this one: locked, open or skipped, and how late (see :func:`governance.cadence`)."""
    store = cycle.store
    locked = {name: store.cycle(name).records("approval").query("status == 'locked'")["at"].iloc[-1] for name in store.locked_cycles()}
    owned = cycle.settings.steps.get(_EXECUTIVE)
    return governance.cadence(store.cycles(), locked, cycle.id, cycle.calendar, owned.due_working_day if owned else None,
                              cycle.settings.working_days.holidays)


def judge_maturity(cycle: Cycle, day: pd.Timestamp) -> pd.DataFrame:
    """The `maturity` table of a cycle, from what the store holds on a day (see :func:`governance.maturity`)."""
    result = {name: cycle.read_or_empty(name) for name in _JUDGED}
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
        assumption and decision (with `actual_value` and `verdict`), action (each as it stands, with `late_days`), change_request (each
        open or with its answer), cadence, maturity.
    """
    when = cycle.as_of + pd.Timedelta(days=1) if day is None else pd.Timestamp(day)
    return {
        "assumption": records_with_outcome(cycle, "assumption"),
        "decision": governance.decision_states(records_with_outcome(cycle, "decision"), records_up_to(cycle, "action")),
        "action": followed_actions(cycle, when),
        "change_request": change_requests(cycle),
        "cadence": kept_cycles(cycle),
        "maturity": judge_maturity(cycle, when),
    }
