"""What a week could not mend goes to the monthly round: each change request once, into the cycle that is open there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sop_workbench import follow_up, weekly_execution
from sop_workbench.errors import CycleLockedError, SettingsError, UnknownCycleError

if TYPE_CHECKING:
    import pandas as pd

    from sop_workbench.store import Cycle, Workspace


def hand_over(weekly: Cycle, *, by: str, why: str = "", into: str | None = None) -> tuple[Cycle, pd.DataFrame]:
    """Record what a weekly cycle found outside tolerance as change requests of the monthly workspace that its settings name.

    A request is asked once: one that the monthly round knows, or that is open there about the same thing, is left alone. So the same
    week may be handed over again, by two people at once too.

    Parameters
    ----------
    weekly : Cycle
        A weekly cycle whose weekly execution has run.
    by, why : str
        Who hands over, and why; the week is named when nothing else is said.
    into : str, optional
        Monthly cycle; left out, the first that is open from the month of the week on.

    Returns
    -------
    tuple of Cycle and DataFrame
        The monthly cycle, and the requests that are new in it.

    Raises
    ------
    RoleError
        When the person at work may only read, here or in the monthly workspace.
    SettingsError
        When this is no weekly workspace, or no monthly one is named or there.
    UnknownCycleError
        When the weekly execution has not run, or the monthly workspace has no such cycle or none that is open; with the remedy.
    CycleLockedError
        When the monthly cycle named is locked.
    """
    weekly.store.require_role("planner", f"hand over the change requests of cycle {weekly.id}", by)
    if weekly.settings.bucket != "week":
        raise SettingsError(f"cycle {weekly.id} is a monthly one: change requests are handed over by a weekly workspace (bucket: week)")
    found = weekly.read("execution_exception")
    monthly = follow_up.monthly_workspace(weekly)
    target = _open_cycle(monthly, weekly, into)
    asked = weekly_execution.change_requests(found, weekly.id)
    asked = weekly_execution.not_asked_yet(asked, follow_up.change_requests(monthly.cycle(monthly.store.cycles()[-1])))
    rows = asked.to_dict("records")
    reason = why or f"outside tolerance in week {weekly.id} of {weekly.workspace.folder.name}"
    return target, target.append_once("change_request", rows, "request_id", by=by, why=reason)


def _open_cycle(monthly: Workspace, weekly: Cycle, into: str | None) -> Cycle:
    """The monthly cycle that can still take a request in."""
    calendar, written, locked = monthly.settings.calendar, monthly.store.cycles(), monthly.store.locked_cycles()
    first = calendar.period_of(weekly.calendar.first_day(weekly.period))
    if into is not None:
        calendar.cycle_period(into)  # refuses what is no month
        written = [name for name in written if name == into]
    else:
        written = [name for name in written if calendar.cycle_period(name) >= first]
    for name in written:
        if name not in locked:
            return monthly.cycle(name)
    wanted = into or calendar.cycle_id(calendar.add(calendar.cycle_period(written[-1]), 1) if written else first)
    remedy = f"sop run --workspace {monthly.folder} --cycle {{}} --to 0, then hand over again"
    if into is not None and written:
        later = calendar.cycle_id(calendar.add(calendar.cycle_period(into), 1))
        raise CycleLockedError(f"cycle {into} of {monthly.folder} is locked and takes no change request; leave --into out, or begin a "
                               f"later cycle: {remedy.format(later)}")
    which = f"no cycle {into}" if into is not None else f"no open cycle from {calendar.cycle_id(first)} on"
    there = ", ".join(f"{name}{' (locked)' if name in locked else ''}" for name in monthly.store.cycles()[-6:]) or "none"
    raise UnknownCycleError(f"{monthly.folder} has {which}; its cycles: {there}. Begin it: {remedy.format(wanted)}")
