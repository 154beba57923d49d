"""The planner's what-if: levers on any table, base and what-if overlaid, bottlenecks with their prices, what service costs, keep it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from sop_workbench import charts, views
from sop_workbench.errors import SettingsError
from sop_workbench.pages import loaded
from sop_workbench.pages import visit as visits
from sop_workbench.pages.levers import AgreedLevers, show_outcome
from sop_workbench.pages.screen import Block, Screen, Section
from sop_workbench.pages.visit import Visit
from sop_workbench.what_if import Outcome
from sop_workbench.widgets import LeverForm

PAGE = "what_if"
_WEIGH = '<div class="sop-live-bar"><button type="button" data-act="weigh">With these levers (takes some seconds)</button></div>'
_NEEDED = ("consensus_demand", "inventory_target", "item")

SECTIONS = (
    Section(
        "plan",
        "",
        (
            Block("levers", "Levers", span=4, rows=4),
            Block("live_cards", span=8, is_open=True),
            Block("live_volume", span=8),
            Block("live_limits", span=8),
            Block("live_load", span=8),
        ),
    ),
    Section("frontier", "What service costs, and what stock buys", (Block("frontier"),)),
)


def page(workspace: str = ".", cycle_id: str = "", query: str | None = None) -> Screen:
    """The page of a cycle (parameters as :func:`visit.opened`)."""
    return visits.opened(PAGE, lambda visit: Planning(visit).screen, workspace, cycle_id, query)


class Planning:
    """One planner's levers on the plan of a cycle."""

    def __init__(self, visit: Visit) -> None:
        visit.require_planned(_NEEDED, "supply")
        self.visit = visit
        self.screen = Screen(SECTIONS, **visits.shell(visit, PAGE, has_scenarios=False))
        for name in ("live_cards", "live_volume", "live_limits", "live_load"):
            self.screen.fill(name, '<div class="sop-busy">Loading the plan …</div>')
        self.screen.on(weigh=self._weigh)
        self.screen.later("levers", self._load)
        self.screen.later("frontier", self._show_frontier)

    def _load(self) -> None:
        folder = self.visit.workspace.folder / "scenarios"
        self._agreed = AgreedLevers(loaded.session(self.visit.cycle), folder)
        self.levers = LeverForm(self._agreed.what_if, folder, self._show, self._refuse_viewers)
        self.screen.embed("levers", self.levers)
        self._show(self._agreed.now, self.levers.looked)

    def _refuse_viewers(self) -> None:
        self.visit.cycle.store.require_role("planner", "keep a scenario", self.visit.user)

    def _show(self, _: Outcome, looked: Mapping[str, str]) -> None:
        show_outcome(self.screen, self._agreed, measure=looked["measure"], family=looked["family"] or None, has_notes=False)

    def _show_frontier(self) -> None:
        if not self.visit.cycle.has("service_frontier"):
            self.screen.fill("frontier", "The frontier is made by the pre-S&OP review, which has not run in this cycle yet.")
            return
        self._draw_frontier()

    def _weigh(self) -> None:
        """Make the frontier anew with the levers where they stand."""
        if not self._agreed.now.levers:
            raise SettingsError("no lever is pulled: what is shown is the frontier of the plan")
        self._draw_frontier(self._agreed.what_if.frontiers())

    def _draw_frontier(self, with_levers: pd.DataFrame | None = None) -> None:
        view = views.service_frontier(self.visit.cycle.read("service_frontier"), with_levers)
        source = f"service_frontier · cycle {self.visit.cycle.id}, base" + ("" if with_levers is None else ", and the plan with the levers")
        self.screen.chart("frontier", charts.service_frontier, view, source, at_least=620, above=_WEIGH)
