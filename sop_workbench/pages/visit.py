"""Who looks at which cycle and scenario: from the server's environment and the page's address, each checked against the store.

Names in an address are never made into a path: a cycle or scenario counts only when the store lists it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

import pandas as pd

from sop_workbench import charts, roles
from sop_workbench.errors import SopError, UnknownCycleError
from sop_workbench.pages.screen import Block, Screen, Section, empty_state
from sop_workbench.settings import Settings
from sop_workbench.store import BASE, Cycle, Workspace, open_workspace

PAGES = (("executive_review", "Executive review"), ("management_review", "Management review"), ("what_if", "What if"))
_LONGEST_NAME = 80
_NAMES_LISTED = 24


@dataclass(frozen=True)
class Visit:
    """One look at a workspace.

    Attributes
    ----------
    workspace : Workspace
        The served one; an address cannot name another.
    cycle : Cycle
        The cycle asked for, else the newest planned.
    scenario : str
        The scenario asked for, else base.
    """

    workspace: Workspace
    cycle: Cycle
    scenario: str = BASE

    @property
    def settings(self) -> Settings:
        """Settings of the workspace."""
        return self.workspace.settings

    @property
    def user(self) -> str:
        """Who looks."""
        return roles.current_user()

    @property
    def role(self) -> roles.Role:
        """What the person may do."""
        return roles.role_of(self.user, roles.current_groups(), self.settings.users, self.settings.groups)

    def may(self, needed: roles.Role) -> bool:
        """Tell whether the person's role reaches the one needed."""
        return roles.ORDER.index(self.role) >= roles.ORDER.index(needed)

    def why_not(self, needed: roles.Role, doing: str) -> str:
        """Why the person cannot do something here, in words; nothing when the person can."""
        if not self.may(needed):
            return (
                f"You are signed in as {self.user}, a {self.role}. To {doing} takes {_article(needed)}; "
                "who runs the workbench gives that role under users in its settings."
            )
        if self.cycle.is_locked:
            return f"Cycle {self.cycle.id} is locked and never changes: decide in the next cycle, or have it unlocked with a reason."
        return ""

    def require_planned(self, names: Sequence[str], review: str) -> None:
        """Refuse a cycle that has not come through a review yet.

        Raises
        ------
        UnknownCycleError
            Naming what is missing and the remedy.
        """
        missing = [name for name in names if not self.cycle.has(name)]
        if missing:
            raise UnknownCycleError(
                f"Cycle {self.cycle.id} is not planned through the {review} review yet (it has no {', '.join(missing)}).\n"
                f"A planner runs `sop run --cycle {self.cycle.id}`; then open this page again."
            )

    def read(self, table: str) -> pd.DataFrame:
        """A table of the scenario looked at; inputs and what is made for base alone come from base."""
        is_own = self.scenario != BASE and self.cycle.has(table, self.scenario)
        return self.cycle.read(table, self.scenario if is_own else BASE)


def arrive(workspace: str, cycle_id: str = "", query: str | None = None) -> Visit:
    """Open the workspace that is served (or the notebook's own where none is) at the cycle and scenario an address asks for.

    Parameters
    ----------
    workspace, cycle_id : str
        The notebook's parameters; what the server and the address say goes before them.
    query : str, optional
        The address after `?`; the server's when left out.

    Raises
    ------
    UnknownCycleError
        When the store has no such cycle or scenario; names what there is.
    SettingsError
        When the workspace is none.
    """
    served = os.environ.get("SOP_WORKSPACE", "").strip()
    opened = open_workspace(served or workspace)
    charts.use(opened.settings)
    asked = parse_qs(os.environ.get("QUERY_STRING", "") if query is None else query)
    names = opened.store.cycles()
    if not names:
        raise UnknownCycleError("Nothing is planned in this workspace yet: a planner runs `sop run` first.")
    wanted = _named(asked, "cycle") or cycle_id or names[-1]
    if wanted not in names:
        raise UnknownCycleError(f"There is no cycle {_shown(wanted)}.\nThere are: {_listed(names[::-1])}.")
    visit = Visit(opened, opened.cycle(wanted))
    scenario = _named(asked, "scenario") or BASE
    there = visit.cycle.scenarios("financial_projection")
    if scenario not in (BASE, *there):
        raise UnknownCycleError(f"Cycle {wanted} has no scenario {_shown(scenario)}.\nIt has: {_listed(there)}.")
    return replace(visit, scenario=scenario)


def _named(asked: dict[str, list[str]], name: str) -> str:
    return asked.get(name, [""])[-1].strip()


def _shown(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_LISTED
    return ", ".join(names[:_NAMES_LISTED]) + (f" and {more} more" if more > 0 else "")


def _article(role: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}"


# ------------------------------------------------------------------ header of every page
def shell(visit: Visit, page: str, *, has_scenarios: bool = True) -> dict[str, Any]:
    """What every page shows around its blocks: company, pickers, who looks, where the cycle stands."""
    names = visit.workspace.store.cycles()[::-1]
    pickers: list[tuple[str, str, list[tuple[str, str]], str]] = [("Cycle", "cycle", [(name, name) for name in names], visit.cycle.id)]
    if has_scenarios:
        there = list(dict.fromkeys([BASE, *visit.cycle.scenarios("financial_projection")]))
        pickers.append(("Scenario", "scenario", [(name, name.replace("_", " ")) for name in there], visit.scenario))
    state = ("locked", "locked") if visit.cycle.is_locked else ("open", "draft")
    badges = [
        (f"Cycle {visit.cycle.id}, {state[0]}", state[1]),
        (f"facts up to {visit.cycle.as_of:%d %b %Y}", "plain"),
        (f"{visit.user}, {visit.role}", "who"),
    ]
    return {
        **_look(visit.settings, page),
        "pickers": pickers,
        "state": badges,
        "foot": f"{visit.settings.company} · cycle {visit.cycle.id} · scenario {visit.scenario} · money in {visit.settings.currency} · "
        f"every figure from the tables of the cycle, named behind the i beside it",
    }


def _look(settings: Settings | None, page: str) -> dict[str, Any]:
    brand = settings.brand_colour if settings else "#0b5394"
    parts = [int(brand[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    # White text where it is seen 4.5 : 1 on the colour, else near-black.
    on_brand = "#ffffff" if charts.luminance(*parts) < 0.183 else "#101418"
    return {
        "page": page,
        "title": dict(PAGES)[page],
        "pages": PAGES,
        "company": settings.company if settings else "S&OP Workbench",
        "brand": brand,
        "on_brand": on_brand,
        "accent": charts.readable(brand),
    }


def opened(page: str, show: Callable[[Visit], Screen], workspace: str, cycle_id: str, query: str | None) -> Screen:
    """The page that `show` makes of a visit; one that says what is wrong where there is none.

    Parameters
    ----------
    page : str
        Name of its notebook.
    show : callable
        Visit → screen.
    workspace, cycle_id : str
        Parameters of the notebook; a server's workspace and the address go before them.
    query : str, optional
        The address after `?`; the server's when left out.
    """
    try:
        return show(arrive(workspace, cycle_id, query))
    except SopError as fault:
        return error_page(page, fault, workspace)


def error_page(page: str, fault: SopError, workspace: str) -> Screen:
    """A page that says what is wrong and what there is instead, with pickers where there are cycles to pick."""
    try:
        visit = arrive(workspace, query="")
        around = {**shell(visit, page, has_scenarios=False)}
        label, name, choices, _ = around["pickers"][0]
        around["pickers"] = [(label, name, [("", "choose"), *choices], "")]
        around["state"] = around["state"][-1:]
    except SopError:
        around = {**_look(None, page), "pickers": [], "state": [], "foot": ""}
    screen = Screen([Section("fault", "This page cannot be shown", (Block("fault"),))], **around)
    screen.fill("fault", empty_state(str(fault)))
    return screen
