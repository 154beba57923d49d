"""How the process itself stands: cycles kept, late or skipped, who decides what, and how mature it is.

Maturity is judged from what the store holds, on five stages: React, Anticipate, Integrate, Collaborate, Orchestrate. A stage is
reached when its own question and those of all stages before it are answered with yes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sop_workbench import kpi
from sop_workbench.periods import Calendar
from sop_workbench.tables import validate

STAGES = ("React", "Anticipate", "Integrate", "Collaborate", "Orchestrate")
_CADENCE = 3  # cycles in a row that make a habit
_STREAMS = ("sales", "marketing", "operations")


def due_day(first_day: pd.Timestamp, working_day: int) -> pd.Timestamp:
    """The working day (Monday to Friday) by which something is due, counted from the first day of the cycle.

    Examples
    --------
    >>> str(due_day(pd.Timestamp("2026-10-01"), 4).date())
    '2026-10-06'
    """
    return pd.bdate_range(first_day, periods=working_day)[-1]


def working_days_late(due: pd.Timestamp, today: pd.Timestamp) -> int:
    """Working days from the due day to today; 0 up to the due day.

    Examples
    --------
    >>> working_days_late(pd.Timestamp("2026-10-09"), pd.Timestamp("2026-10-12 08:00"))
    1
    """
    return max(0, int(np.busday_count(due.date(), today.date())))


def cadence(
    written: Sequence[str], locked: Mapping[str, pd.Timestamp], until: str, calendar: Calendar, due_working_day: int | None = None
) -> pd.DataFrame:
    """Every cycle from the first that was planned to a given one, and whether it was kept, and in time.

    Parameters
    ----------
    written : sequence of str
        Cycles that anything was written to.
    locked : mapping
        When each locked cycle was locked.
    until : str
        Last cycle asked for.
    calendar : Calendar
        The company's calendar.
    due_working_day : int, optional
        Working day of the cycle by which its plan is approved; without one nothing is late.

    Returns
    -------
    DataFrame
        cycle_id, state (locked, open or skipped), locked_at, due_date and late_days (working days; locked cycles only); oldest first.
    """
    last = calendar.cycle_period(until)
    first = min([calendar.cycle_period(name) for name in written], default=last)
    names = [calendar.cycle_id(calendar.add(first, n)) for n in range(max(0, calendar.distance(first, last)) + 1)]
    states = ["locked" if name in locked else "open" if name in written else "skipped" for name in names]
    starts = [calendar.first_day(calendar.cycle_period(name)) for name in names]
    days = [pd.NaT if due_working_day is None else due_day(start, due_working_day) for start in starts]
    kept = pd.DataFrame({"cycle_id": names, "state": states, "locked_at": pd.to_datetime([locked.get(name) for name in names]),
                         "due_date": pd.to_datetime(days)})
    known = zip(kept["due_date"], kept["locked_at"], strict=True)
    kept["late_days"] = [np.nan if pd.isna(due) or pd.isna(at) else working_days_late(due, at) for due, at in known]
    return validate("cadence", kept)


def action_states(action: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Every action as it stands now, with the working days it is overdue (0 where it is not, or is done or cancelled).

    Parameters
    ----------
    action : DataFrame
        Records; the newest of a title counts.
    day : Timestamp
        The day on which something is overdue.
    """
    newest = action.sort_values("at").drop_duplicates("title", keep="last")
    promised = zip(newest["due_date"], newest["status"], strict=True)
    late = np.array([working_days_late(due, day) if status == "open" else 0 for due, status in promised], dtype=float)
    return newest.assign(late_days=late).sort_values(["late_days", "due_date"], ascending=[False, True], ignore_index=True)


def decision_states(decision: pd.DataFrame, action: pd.DataFrame) -> pd.DataFrame:
    """Every decision with `state`: closed, open (and how many actions are), or no action; the rule is that of :func:`kpi.is_closed`."""
    found = [kpi.actions_of(row, action) for row in decision.to_dict("records")]
    states = ["no action" if mine.empty else "closed" if kpi.is_closed(mine) else f"{(mine['status'] == 'open').sum()} of {len(mine)} open"
              for mine in found]
    return decision.assign(state=pd.Series(states, index=decision.index, dtype=object))


def takes_approver(level: str) -> bool:
    """Tell whether a decision of this level is beyond the owner of a step: outside tolerance the management or executive meeting decides.

    Examples
    --------
    >>> takes_approver("Executive S&OP"), takes_approver("Operations (J. Novak)")
    (True, False)
    """
    return level.startswith(("Executive S&OP", "Management review"))


def maturity(
    kept: pd.DataFrame, streams: Sequence[str], budget_gap: pd.DataFrame, scenarios: Sequence[str],
    decision: pd.DataFrame, action: pd.DataFrame, plan_deviation: pd.DataFrame, today: pd.Timestamp,
) -> pd.DataFrame:
    """Judge how mature the process is from what the store holds, with the next step to take.

    Parameters
    ----------
    kept : DataFrame
        :func:`cadence` up to this cycle.
    streams : sequence of str
        Streams of demand that are present.
    budget_gap, decision, action, plan_deviation : DataFrame
        Tables of the cycle (decisions and actions of the cycles before it too).
    scenarios : sequence of str
        Scenarios that were compared with base.
    today : Timestamp
        The day to judge on.

    Returns
    -------
    DataFrame
        The `maturity` table: one row per stage.
    """
    before = kept.iloc[:-1]
    in_row = int((before["state"] == "locked").iloc[::-1].cumprod().sum())
    people = [name for name in _STREAMS if name in streams]
    budgeted = int(budget_gap["budget_revenue_amt"].notna().sum()) if len(budget_gap) else 0
    newest = action.sort_values("at").groupby("title").tail(1) if len(action) else action
    overdue = int(((newest["status"] == "open") & (newest["due_date"] < today)).sum()) if len(newest) else 0
    judged = [
        ("React", len(plan_deviation) > 0, f"{len(plan_deviation):,} planned figures stand beside what happened",
         "lock a plan, so that the next cycle can be held against it"),
        ("Anticipate", in_row >= _CADENCE, f"{in_row} cycles locked in a row before this one"
         + _skipped(before), f"keep the cadence: {_CADENCE} cycles in a row, locked, none skipped"),
        ("Integrate", bool(people) and budgeted > 0,
         f"streams of {', '.join(people) or 'nobody'}; {budgeted:,} figures stand against a budget",
         "bring in what sales or marketing expects, and the budget, so that there is one set of numbers"),
        ("Collaborate", len(scenarios) > 0 and len(decision) > 0,
         f"{len(scenarios)} scenarios compared, {len(decision)} decisions recorded with their reason",
         "compare scenarios and record what was decided with sop decide"),
        ("Orchestrate", len(newest) > 0 and overdue == 0, f"{len(newest)} actions promised, {overdue} of them overdue",
         "record actions with owner and day (sop action) and close those that are overdue"),
    ]
    rows = pd.DataFrame(judged, columns=["stage", "is_answered", "evidence", "next_step"])
    rows["is_reached"] = rows["is_answered"].astype(int).cumprod().astype(bool)
    rows["next_step"] = rows["next_step"].where(~rows["is_answered"], "")
    return validate("maturity", rows.assign(sequence=range(1, len(rows) + 1)))


def _skipped(before: pd.DataFrame) -> str:
    names = before.loc[before["state"] == "skipped", "cycle_id"].tolist()
    return f"; skipped: {', '.join(names)}" if names else ""
