"""How the process itself stands: cycles kept, late or skipped, who decides what, and how mature it is.

Maturity is judged from what the store holds, on five stages: React, Anticipate, Integrate, Collaborate, Orchestrate. A stage is
reached when its own question and those of all stages before it are answered with yes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from sop_workbench import kpi
from sop_workbench.periods import Calendar, due_day, working_days_late
from sop_workbench.settings import Settings
from sop_workbench.tables import validate

STAGES = ("React", "Anticipate", "Integrate", "Collaborate", "Orchestrate")
_CADENCE = 3  # cycles in a row that make a habit
_STREAMS = ("sales", "marketing", "operations")
_MATERIAL_SHARE = 0.005
_NO_FAMILY = "no family"
_WHOLE = "the whole plan"


def cadence(
    written: Sequence[str], locked: Mapping[str, pd.Timestamp], until: str, calendar: Calendar, due_working_day: int | None = None,
    holidays: Sequence[date | str] = (),
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
    holidays : sequence
        Days nobody works (see :func:`sop_workbench.periods.days_off`).

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
    days = [pd.NaT if due_working_day is None else due_day(start, due_working_day, holidays) for start in starts]
    kept = pd.DataFrame({"cycle_id": names, "state": states, "locked_at": pd.to_datetime([locked.get(name) for name in names]),
                         "due_date": pd.to_datetime(days)})
    known = zip(kept["due_date"], kept["locked_at"], strict=True)
    kept["late_days"] = [np.nan if pd.isna(due) or pd.isna(at) else working_days_late(due, at, holidays) for due, at in known]
    return validate("cadence", kept)


def action_states(action: pd.DataFrame, day: pd.Timestamp, holidays: Sequence[date | str] = ()) -> pd.DataFrame:
    """Every action as it stands now: open, late, done, done late or cancelled, and who closed it when.

    An action is held to the day promised before it was closed: a closing record cannot move it.

    Parameters
    ----------
    action : DataFrame
        Records; the newest of a title counts.
    day : Timestamp
        The day on which something is overdue.
    holidays : sequence
        Days nobody works.

    Returns
    -------
    DataFrame
        The newest record of each title with the day it was promised for (`due_date`), `state`, `late_days` (working days overdue; 0 where
        it is not, or is closed), `closed_by`, `closed_at` and `closed_late_days` (working days from the due day to its closing).
    """
    ordered = action.sort_values("at")
    newest = ordered.drop_duplicates("title", keep="last").reset_index(drop=True)
    promised = ordered[ordered["status"] == "open"].drop_duplicates("title", keep="last").set_index("title")["due_date"]
    newest["due_date"] = newest["title"].map(promised).fillna(newest["due_date"])
    is_open = newest["status"] == "open"
    until = newest["at"].where(~is_open, pd.Timestamp(day))
    late = np.array([working_days_late(due, end, holidays) for due, end in zip(newest["due_date"], until, strict=True)], dtype=float)
    state = np.select([is_open & (late > 0), (newest["status"] == "done") & (late > 0)], ["late", "done late"], newest["status"])
    rows = newest.assign(state=state, late_days=np.where(is_open, late, 0.0), closed_late_days=np.where(is_open, np.nan, late),
                         closed_by=newest["by"].where(~is_open), closed_at=newest["at"].where(~is_open))
    return rows.sort_values(["late_days", "due_date"], ascending=[False, True], ignore_index=True)


def with_effect(action: pd.DataFrame, decision: pd.DataFrame) -> pd.DataFrame:
    """Actions beside the decision each carries out: its choice, the money expected of it, the money it brought, the verdict.

    Parameters
    ----------
    action : DataFrame
        :func:`action_states`.
    decision : DataFrame
        Decisions with `actual_value` and `verdict`; which actions are a decision's says :func:`kpi.actions_of`.
    """
    found = [{"title": title, "choice": row["choice"], "expected_effect_amt": row["expected_effect_amt"], "effect_amt": row["actual_value"],
              "verdict": row["verdict"]}
             for row in decision.to_dict("records") for title in kpi.actions_of(row, action)["title"]]
    columns = ["title", "choice", "expected_effect_amt", "effect_amt", "verdict"]
    of_decision = pd.DataFrame(found, columns=columns).drop_duplicates("title", keep="last")
    return action.merge(of_decision, on="title", how="left", validate="one_to_one")


def risk_states(risk: pd.DataFrame) -> pd.DataFrame:
    """Every risk and opportunity as its newest record has it, what is open first."""
    newest = risk.sort_values("at").drop_duplicates(["kind", "title"], keep="last")
    return pd.concat([newest[newest["status"] == "open"], newest[newest["status"] != "open"]], ignore_index=True)


def decision_states(decision: pd.DataFrame, action: pd.DataFrame) -> pd.DataFrame:
    """Every decision with `state`: closed, open (and how many actions are), or no action; the rule is that of :func:`kpi.is_closed`."""
    found = [kpi.actions_of(row, action) for row in decision.to_dict("records")]
    states = ["no action" if mine.empty else "closed" if kpi.is_closed(mine) else f"{(mine['status'] == 'open').sum()} of {len(mine)} open"
              for mine in found]
    return decision.assign(state=pd.Series(states, index=decision.index, dtype=object))


def request_states(change_request: pd.DataFrame, decision: pd.DataFrame, demand_adjustment: pd.DataFrame) -> pd.DataFrame:
    """Every change request with `state` (open or answered) and `answer`: what was done about it, by whom, in which cycle.

    It is answered by a decision or an adjustment that names it, in `answers` or in its reason.

    Parameters
    ----------
    change_request, decision, demand_adjustment : DataFrame
        Records with their cycle.
    """
    answers = []
    for request in change_request["request_id"]:
        decided, adjusted = (rows[_names(rows, request)] for rows in (decision, demand_adjustment))
        told = [f"{row.choice} ({row.by}, cycle {row.cycle_id})" for row in decided.sort_values("at").itertuples()]
        told += [f"{len(part):,} adjustment{'' if len(part) == 1 else 's'} ({by}, cycle {name})"
                 for (by, name), part in adjusted.groupby(["by", "cycle_id"])]
        answers.append("; ".join(told))
    told = pd.Series(answers, index=change_request.index, dtype=object)
    return change_request.assign(state=np.where(told == "", "open", "answered"), answer=told)


def _names(rows: pd.DataFrame, request: str) -> np.ndarray:
    """Which records name a change request: it alone, not another one whose name begins with it."""
    in_words = re.compile(rf"{re.escape(request)}(?![\w-])")
    return np.array([request in str(row.answers).split("; ") or in_words.search(str(row.why)) is not None for row in rows.itertuples()],
                    dtype=bool)


def takes_approver(level: str) -> bool:
    """Tell whether a decision of this level is beyond the owner of a step: outside tolerance the management or executive meeting decides.

    Examples
    --------
    >>> takes_approver("Executive S&OP"), takes_approver("Operations (J. Novak)")
    (True, False)
    """
    return level.startswith(("Executive S&OP", "Management review"))


def takes_executive(level: str) -> bool:
    """Tell whether a decision of this level is for the executive meeting alone.

    Examples
    --------
    >>> takes_executive("Executive S&OP"), takes_executive("Management review")
    (True, False)
    """
    return level.startswith("Executive S&OP")


# ------------------------------------------------------------------ what lies outside tolerance


def demand_changes(now: pd.DataFrame, before: pd.DataFrame, item: pd.DataFrame, settings: Settings, before_id: str) -> list[str]:
    """Say which families' demand moved beyond tolerance since the last plan, over the periods that both plan.

    change = (Σ now − Σ before) / Σ before, outside when |change| > `tolerances.demand_change_ratio`; a family that moved by less than
    half a per cent of all planned units is left alone, one that the last plan did not have is outside where it is larger than that.

    Parameters
    ----------
    now, before : DataFrame
        `consensus_demand` of this cycle and of the one locked last.
    item : DataFrame
        Input table; families.
    settings : Settings
        Its tolerances.
    before_id : str
        Name of the cycle locked last.
    """
    shared = sorted(set(now["period"]) & set(before["period"]))
    family = item.set_index("item_id")["family"]
    sums = [rows[rows["period"].isin(shared)].groupby(rows["item_id"].map(family).fillna(_NO_FAMILY))["demand_qty"].sum()
            for rows in (before, now)]
    # Both plans are whole: a family without a row had no demand planned.
    moved = pd.concat(sums, axis=1, keys=["before", "now"]).fillna(0.0)
    change, limit = moved["now"] - moved["before"], settings.tolerances.demand_change_ratio
    is_outside = (change.abs() > limit * moved["before"]) & (change.abs() >= _MATERIAL_SHARE * moved["before"].sum())
    return [_demand_sentence(str(name), row["before"], row["now"], len(shared), before_id, limit)
            for name, row in moved[is_outside].iterrows()]


def unserved_demand(unmet_demand: pd.DataFrame, settings: Settings) -> list[str]:
    """Say where the constrained plan stays behind the unconstrained demand by more than tolerance.

    Outside when 1 − Σ(served × price) / Σ(demand × price) > `tolerances.unserved_demand_ratio`, over the whole horizon.

    Parameters
    ----------
    unmet_demand : DataFrame
        Result table of the plan.
    settings : Settings
        Tolerance and currency.

    Examples
    --------
    >>> plan = pd.DataFrame({"demand_qty": [100.0], "served_qty": [90.0], "price_amt": [5.0]})
    >>> unserved_demand(plan, Settings(company="Demo"))
    ['the plan leaves 50 EUR of 500 EUR of demand unserved (10.0%, tolerance 5.0%)']
    """
    asked, served = ((unmet_demand[column] * unmet_demand["price_amt"]).sum() for column in ("demand_qty", "served_qty"))
    limit, unit = settings.tolerances.unserved_demand_ratio, settings.currency
    if not asked > 0 or 1 - served / asked <= limit + 1e-12:
        return []
    return [f"the plan leaves {asked - served:,.0f} {unit} of {asked:,.0f} {unit} of demand unserved ({1 - served / asked:.1%}, "
            f"tolerance {limit:.1%})"]


def weighty_decisions(open_decision: pd.DataFrame, unmet_demand: pd.DataFrame, settings: Settings) -> list[str]:
    """Say which open decisions are worth more than the pre-S&OP decides: money > `tolerances.decision_ratio` × revenue of the plan.

    Parameters
    ----------
    open_decision : DataFrame
        Decisions of the cycle with their `level`.
    unmet_demand : DataFrame
        Result table of the plan; its served demand at price is the revenue.
    settings : Settings
        Tolerance and currency.
    """
    revenue = float((unmet_demand["served_qty"] * unmet_demand["price_amt"]).sum())
    limit, rows = settings.tolerances.decision_ratio, open_decision[open_decision["level"].map(takes_executive).astype(bool)]
    return [f"{row.question} {row.money_amt:,.0f} {settings.currency} are at stake"
            + (f" ({row.money_amt / revenue:.1%} of the plan's revenue, tolerance {limit:.1%})" if revenue > 0 else "")
            for row in rows.sort_values("sequence").itertuples()]


def whole_budget_gap(budget_gap: pd.DataFrame, settings: Settings) -> list[str]:
    """Say whether the whole plan stands further below budget than tolerance (see :func:`budget_gaps`)."""
    return budget_gaps(budget_gap.assign(family=_WHOLE), settings)


def _demand_sentence(family: str, before: float, now: float, periods: int, before_id: str, limit: float) -> str:
    moved = f"moved {now / before - 1:+.0%}" if before else "is new"
    shared = f"{periods} shared period{'' if periods == 1 else 's'}"
    units = f"{before:,.0f} → {now:,.0f} units, tolerance {limit:.0%}"
    return f"demand of {family} {moved} against the plan of {before_id} over {shared} ({units})"


def budget_gaps(budget_gap: pd.DataFrame, settings: Settings) -> list[str]:
    """Say where the plan, or a family of it, stands further below budget than tolerance.

    Outside when −Σ gap > `tolerances.budget_gap_ratio` × Σ budget, over the rows that have a budget.

    Parameters
    ----------
    budget_gap : DataFrame
        Result table.
    settings : Settings
        Tolerance and currency.
    """
    rows = budget_gap[budget_gap["budget_revenue_amt"].notna() & budget_gap["gap_amt"].notna()]
    sums = rows.groupby("family")[["budget_revenue_amt", "gap_amt"]].sum()
    if len(sums) > 1:
        sums.loc[_WHOLE] = sums.sum()
    limit = settings.tolerances.budget_gap_ratio
    below = sums[-sums["gap_amt"] > limit * sums["budget_revenue_amt"]]
    return [f"{name} stands {-row['gap_amt']:,.0f} {settings.currency} below budget"
            + (f" ({-row['gap_amt'] / row['budget_revenue_amt']:.0%}, tolerance {limit:.0%})" if row["budget_revenue_amt"] else "")
            for name, row in below.sort_values("gap_amt").iterrows()]


# ------------------------------------------------------------------ maturity


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
