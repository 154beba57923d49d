"""The executive review: money first, families only; what was decided, what the plan gives, what it takes, what to decide."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import pandas as pd

from sop_workbench import charts, finance, follow_up, governance, outcome, views
from sop_workbench.chain import Chain, approve_step, as_last_run, role_to_decide, step_states
from sop_workbench.errors import SettingsError
from sop_workbench.pages import loaded
from sop_workbench.pages import visit as visits
from sop_workbench.pages.levers import AgreedLevers, show_outcome
from sop_workbench.pages.screen import Block, Screen, Section, cards, chip, empty_state, ranked_limits, scenario_cards, text
from sop_workbench.pages.visit import Visit
from sop_workbench.store import BASE

PAGE = "executive_review"
_STEP = "06_executive_sop"
_LIMITS_SHOWN = 5
_TREND_CYCLES = 8
_MEASURES = ("profit", "revenue", "gross margin", "fill rate", "inventory", "peak load")

SECTIONS = (
    Section("decision", "", (Block("headline", is_open=True), Block("cards", is_open=True))),
    Section("numbers", "One set of numbers", (Block("numbers"), Block("bridge", span=7), Block("cash", span=5)), menu="Numbers"),
    Section(
        "follow",
        "Last decisions, followed up",
        (Block("followed", "Decisions of earlier cycles"), Block("actions", "Promised actions")),
        menu="Follow-up",
    ),
    Section("gaps", "Demand and supply gap", (Block("families", span=7), Block("served", span=5), Block("gap_map")), menu="Gap"),
    Section("limits", "What limits the plan", (Block("limits", span=5), Block("load", span=7)), menu="Limits"),
    Section("scenarios", "Scenarios side by side", (Block("scenario_table"), Block("scenario_deltas")), menu="Scenarios"),
    Section(
        "live",
        "What if, live",
        (
            Block("levers", is_late=True),
            Block("live_cards", is_open=True, is_late=True),
            Block("live_volume", span=6, is_late=True),
            Block("live_limits", span=6, is_late=True),
            Block("live_load", is_late=True),
        ),
        "The agreed levers. Each move makes the whole plan anew and sets it beside base.",
        "What if",
    ),
    Section("risks", "Risks and opportunities", (Block("risks", span=7), Block("risk_list", "Risk register", span=5)), menu="Risks"),
    Section(
        "decide",
        "Decisions",
        (Block("decisions", is_late=True), Block("approval", is_late=True)),
        "Choose, give the reason, decide. It is recorded with your name, role and time.",
    ),
)


def page(workspace: str = ".", cycle_id: str = "", query: str | None = None) -> Screen:
    """The page of a cycle and scenario (parameters as :func:`visit.opened`)."""
    return visits.opened(PAGE, lambda visit: Executive(visit).screen, workspace, cycle_id, query)


class Executive:
    """One executive's look at one cycle and scenario."""

    def __init__(self, visit: Visit) -> None:
        visit.require_planned(("open_decision", "kpi", "financial_projection"), "executive")
        self.visit = visit
        self._tables: dict[str, pd.DataFrame] = {}
        self.screen = Screen(SECTIONS, **visits.shell(visit, PAGE))
        self.screen.on(turn=self.turn, pull=self.pull, reset=self.reset, decide=self.decide, approve=self.approve)
        self._show_first()
        later = (
            "bridge",
            "cash",
            "followed",
            "actions",
            "families",
            "served",
            "gap_map",
            "limits",
            "load",
            "scenario_table",
            "scenario_deltas",
            "risks",
            "risk_list",
            "levers",
            "live_cards",
            "live_volume",
            "live_limits",
            "live_load",
            "decisions",
            "approval",
        )
        for name in later:
            self.screen.later(name, getattr(self, f"_show_{name}"))

    # -------------------------------------------------------------- tables
    def read(self, table: str) -> pd.DataFrame:
        """A table of the scenario looked at, read once."""
        if table not in self._tables:
            self._tables[table] = self.visit.read(table)
        return self._tables[table]

    @cached_property
    def budget_gap(self) -> pd.DataFrame:
        """Gap to budget of the scenario looked at."""
        if self.visit.scenario == BASE:
            return self.read("budget_gap")
        return finance.budget_gap(self.read("financial_projection"), self.read("budget"))

    def _source(self, *tables: str) -> str:
        return f"{', '.join(tables)} · cycle {self.visit.cycle.id}, scenario {self.visit.scenario}"

    # -------------------------------------------------------------- first paint
    def _show_first(self) -> None:
        self.screen.fill("headline", _headline(views.decision_line(self.read("open_decision"))))
        self.screen.fill("cards", cards(self._cards(), self._source("kpi" if self.visit.scenario == BASE else "scenario_comparison")))
        view = views.one_set_of_numbers(
            self.read("financial_projection"), self.budget_gap, self.read("inventory_projection"), self.read("item")
        )
        self.screen.table("numbers", view, self._source("financial_projection", "budget_gap", "inventory_projection"), limit=15)

    def _cards(self) -> pd.DataFrame:
        if self.visit.scenario != BASE:
            rows = views.scenario_measures(self.read("scenario_comparison"), self.visit.scenario)
            return scenario_cards(rows, _MEASURES, "whole horizon")
        found = views.kpi_cards(self.read("kpi"), self.visit.cycle.period)
        return with_trend(self.visit, found, self.read("kpi"))

    # -------------------------------------------------------------- blocks
    def _show_bridge(self) -> None:
        self.screen.chart("bridge", charts.budget_bridge, views.budget_bridge(self.budget_gap), self._source("budget_gap"), at_least=640)

    def _show_cash(self) -> None:
        cash = self.read("cash_projection")
        facts = views.cash_facts(cash)
        told = "".join(f"<div><dt>{text(row.figure)}</dt><dd>{text(row.value_text)}</dd></div>" for row in facts.itertuples())
        self.screen.chart(
            "cash", charts.cash, views.cash(cash), self._source("cash_projection"), below=f'<dl class="sop-facts">{told}</dl>'
        )

    def _show_followed(self) -> None:
        recorded = follow_up.records_with_outcome(self.visit.cycle, "decision")
        states = governance.decision_states(
            recorded[recorded["cycle_id"] < self.visit.cycle.id], follow_up.records_up_to(self.visit.cycle, "action")
        )
        self.screen.table("followed", views.decision_followup(states), "decision, outcome, action · cycles before this one", limit=8)

    def _show_actions(self) -> None:
        view = views.action_list(follow_up.followed_actions(self.visit.cycle, pd.Timestamp.now()))
        self.screen.table("actions", view, "action · all cycles up to this one", limit=8)

    def _show_families(self) -> None:
        view = views.demand_plan_budget(self.read("financial_projection"), self.budget_gap)
        self.screen.chart("families", charts.demand_plan_budget, view, self._source("financial_projection", "budget_gap"))

    def _show_served(self) -> None:
        view = views.demand_vs_plan(self.read("unmet_demand"))
        self.screen.chart("served", charts.demand_vs_plan, view, self._source("unmet_demand"), at_least=480)

    def _show_gap_map(self) -> None:
        self.screen.chart("gap_map", charts.gap_heat_map, views.gap_heat_map(self.budget_gap), self._source("budget_gap"), at_least=760)

    def _show_limits(self) -> None:
        view = views.bottlenecks(self.read("binding_limit"), self.read("resource"), self.read("item"), _LIMITS_SHOWN)
        self.screen.fill("limits", ranked_limits(view, _limit), view, self._source("binding_limit"))

    def _show_load(self) -> None:
        view = views.load_heat_map(self.read("capacity_load"), self.read("resource"), top=12)
        self.screen.chart("load", charts.load_heat_map, view, self._source("capacity_load"), at_least=700)

    def _show_scenario_table(self) -> None:
        view = views.scenario_table(self.read("scenario_comparison"))
        self.screen.fill("scenario_table", scenario_table(view), view, f"scenario_comparison · cycle {self.visit.cycle.id}")

    def _show_scenario_deltas(self) -> None:
        view = views.scenario_deltas(self.read("scenario_comparison"))
        view = view.assign(scenario=view["scenario"].str.replace("_", " "))
        self.screen.chart(
            "scenario_deltas", charts.scenario_deltas, view, f"scenario_comparison · cycle {self.visit.cycle.id}", at_least=560
        )

    def _show_risks(self) -> None:
        view = views.risks_opportunities(self.read("risk_opportunity"))
        self.screen.chart("risks", charts.risks_opportunities, view, self._source("risk_opportunity"))

    def _show_risk_list(self) -> None:
        view = views.risks(follow_up.risk_register(self.visit.cycle))
        self.screen.table("risk_list", view, "risk (people's register) · all cycles up to this one")

    # -------------------------------------------------------------- what if
    @cached_property
    def agreed(self) -> AgreedLevers:
        """The levers agreed on with the plan they are pulled on; loading it takes a second or two."""
        return AgreedLevers(loaded.session(self.visit.cycle), self.visit.workspace.folder / "scenarios")

    def _show_levers(self) -> None:
        self.screen.fill("levers", self.agreed.form())
        for name in ("live_cards", "live_volume", "live_limits", "live_load"):
            self.screen.make(name)

    def _show_live_cards(self) -> None:
        show_outcome(self.screen, self.agreed, ("live_cards",))

    def _show_live_volume(self) -> None:
        show_outcome(self.screen, self.agreed, ("live_volume",))

    def _show_live_limits(self) -> None:
        show_outcome(self.screen, self.agreed, ("live_limits",))

    def _show_live_load(self) -> None:
        show_outcome(self.screen, self.agreed, ("live_load",))

    def pull(self, fields: Mapping[str, Any]) -> None:
        """Levers stand elsewhere: the plan is made anew and everything of the live part follows."""
        self.agreed.pull(fields)
        show_outcome(self.screen, self.agreed)

    def reset(self) -> None:
        """All levers back at nought."""
        self.agreed.pull({})
        self.screen.fill("levers", self.agreed.form())
        show_outcome(self.screen, self.agreed)

    # -------------------------------------------------------------- deciding
    def _show_decisions(self) -> None:
        rows = self.read("open_decision").sort_values("sequence")
        if rows.empty:
            self.screen.fill("decisions", empty_state(views.decision_line(rows).attrs["empty"]))
            return
        taken = self.visit.cycle.records("decision").drop_duplicates("question", keep="last").set_index("question")
        body = "".join(self._decision(row, taken, is_first=number == 0) for number, row in enumerate(rows.to_dict("records")))
        view = views.decisions(rows)
        self.screen.fill("decisions", f'<div class="sop-decisions">{body}</div>', view, self._source("open_decision", "decision"))

    def _decision(self, row: dict[str, Any], taken: pd.DataFrame, is_first: bool) -> str:
        needed = role_to_decide(Chain(self.visit.workspace, self.visit.cycle), row["level"])
        money = views.short(row["money_amt"], views.MONEY)
        is_taken = row["question"] in taken.index
        state = chip("✓ decided") if is_taken else text(f"decides: {row['level']}")
        body = _taken(taken.loc[row["question"]]) if is_taken else ""
        body += _decision_form(row, self.visit.why_not(needed, "decide this"))
        opened = " open" if is_first and not is_taken else ""
        return (
            f'<details class="sop-decision" data-decision="{row["sequence"]}"{opened}><summary><b>{text(row["question"])}</b>'
            f'<span class="sop-worth">{text(money)}</span><small>{state}</small></summary>{body}</details>'
        )

    def decide(self, number: str, fields: Mapping[str, Any]) -> None:
        """Record a decision in the name of who looks, by the same function as the command line."""
        choice = str(fields.get("other", "")).strip() or str(fields.get("choice", "")).strip()
        if not str(fields.get("why", "")).strip():
            raise SettingsError("Give the reason: a decision is recorded with why it was taken.")
        if not choice:
            raise SettingsError("Choose an option, or write your own.")
        record = outcome.record_decision(
            Chain(self.visit.workspace, self.visit.cycle),
            _whole(number),
            choice,
            by=self.visit.user,
            why=str(fields["why"]),
            expected=_money(fields.get("expected", "")),
        )
        self.screen.tell("done", f"Decided by {self.visit.user} ({self.visit.role}): {record['choice']}")
        self._show_decisions()

    def _show_approval(self) -> None:
        chain = as_last_run(Chain(self.visit.workspace, self.visit.cycle))
        state = next(state for state in step_states(chain, pd.Timestamp.now()) if state.step == _STEP)
        self.screen.fill("approval", _approval(state.status, state.reason, self._why_no_approval(state.status)))

    def _why_no_approval(self, status: str) -> str:
        refused = self.visit.why_not("approver", "approve the plan")
        if refused or status in ("done", "submitted", "approved"):
            return refused
        return f"The executive step is {status}: a planner runs it first (sop run), then it can be approved."

    def approve(self, fields: Mapping[str, Any]) -> None:
        """Approve the executive step of the cycle, as `sop approve` does."""
        chain = as_last_run(Chain(self.visit.workspace, self.visit.cycle))
        approve_step(chain, _STEP, by=self.visit.user, why=str(fields.get("why", "")))
        self.screen.tell("done", f"The plan of cycle {self.visit.cycle.id} is approved by {self.visit.user}.")
        self._show_approval()

    # -------------------------------------------------------------- another cycle
    def turn(self, query: str) -> None:
        """Show another cycle or scenario in this page (in JupyterLab; a page of its own is opened anew)."""
        raise SettingsError(f"Run the cell again with another cycle_id to see {str(query)[:80]}.")


# ------------------------------------------------------------------ pieces
def narrowed(view: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Some columns of a view, with its texts."""
    rows = view[list(columns)] if len(view) else view
    rows.attrs = view.attrs
    return rows


def with_trend(visit: Visit, found: pd.DataFrame, kpi: pd.DataFrame) -> pd.DataFrame:
    """KPI cards with the value of each KPI in the newest cycles up to this one."""
    earlier = [name for name in visit.workspace.store.cycles() if name < visit.cycle.id][-(_TREND_CYCLES - 1) :]
    past = {name: visit.workspace.cycle(name) for name in earlier}
    kpis = {name: cycle.read("kpi") for name, cycle in past.items() if cycle.has("kpi")} | {visit.cycle.id: kpi}
    trends = views.kpi_trends(kpis, list(found["kpi"])).groupby("kpi")
    values = {name: rows["value"].tolist() for name, rows in trends}
    words = {name: "by cycle: " + ", ".join(f"{row.cycle_id} {row.value_text}" for row in rows.itertuples()) for name, rows in trends}
    shown = found.assign(trend=[values.get(name, []) for name in found["kpi"]], trend_text=[words.get(name, "") for name in found["kpi"]])
    shown.attrs = found.attrs
    return shown


def _headline(view: pd.DataFrame) -> str:
    if view.empty:
        return f'<div class="sop-headline"><p class="sop-question">{text(view.attrs["empty"])}</p></div>'
    row = view.iloc[0]
    more = f" {views.plural(int(row['more']), 'more decision')} below." if row["more"] > 0 else ""
    advice = str(row["recommendation"]).rstrip(". ")
    return (
        f'<div class="sop-headline"><div><p class="sop-question">{text(row["question"])}</p>'
        f'<p class="sop-advice"><b>Recommended:</b> {text(advice)}.{text(more)}</p></div>'
        f'<div class="sop-stake"><b>{text(views.short(row["money_amt"], views.MONEY))}</b><span>at stake</span></div></div>'
    )


def _limit(row: Mapping[str, Any]) -> str:
    """A limit by kind and name, and what easing it is worth in words."""
    return f'<span class="sop-name">{text(row["limit"])}, {text(row["member"])}</span><p>{text(row["sentence"])}</p>'


def scenario_table(view: pd.DataFrame) -> str:
    """Measures down, scenarios across, without the caption that the block has already."""
    plain = view.assign(scenario=view["scenario"].str.replace("_", " "))
    plain.attrs = {**view.attrs, "title": "", "note": ""}
    return str(charts.scenario_table(plain))


def _taken(row: pd.Series) -> str:
    expected = "" if pd.isna(row["expected_effect_amt"]) else f" Expected: {views.short(row['expected_effect_amt'], views.MONEY)}."
    return (
        f'<div class="sop-taken"><p><b>{text(row["choice"])}</b></p>'
        f"<p>{text(row['by'])}, {row['at']:%d %b %Y %H:%M}: {text(row['why'])}{text(expected)}</p></div>"
    )


def _decision_form(row: dict[str, Any], why_not: str) -> str:
    number = row["sequence"]
    options = [option.strip() for option in str(row["options"]).split("; ") if option.strip()]
    choices = "".join(
        f'<label><input type="radio" name="choice" value="{text(option)}" id="sop-choice-{number}-{place}">'
        f"<span>{text(option)}</span></label>"
        for place, option in enumerate(options)
    )
    button, told = submit_button("Decide", f"sop-decide-{number}", why_not)
    return (
        f'<form data-act="decide" data-number="{number}"><p><b>Recommended:</b> {text(row["recommendation"])}</p>'
        f'<fieldset class="sop-options"><legend>Options</legend>{choices}</fieldset>'
        f'<div class="sop-row">{_field("Another choice", "other", f"sop-other-{number}", "none of these: …", 34)}'
        f"{_field('Expected effect, ¤', 'expected', f'sop-expected-{number}', 'e.g. 250000', 14)}</div>"
        f'<div class="sop-field"><label for="sop-why-{number}">Reason</label><textarea id="sop-why-{number}" name="why"></textarea></div>'
        f'<div class="sop-row">{button}</div>{told}</form>'
    )


def _field(label: str, name: str, place: str, hint: str, size: int) -> str:
    return (
        f'<div class="sop-field"><label for="{place}">{text(label)}</label>'
        f'<input type="text" name="{name}" id="{place}" placeholder="{text(hint)}" size="{size}"></div>'
    )


def submit_button(words: str, place: str, why_not: str) -> tuple[str, str]:
    """A button, and why it is off where it is: it stays reachable by keyboard, so that the reason is read out."""
    if not why_not:
        return f'<button type="submit" class="sop-primary" id="{place}">{text(words)}</button>', ""
    return (
        f'<button type="submit" class="sop-primary" id="{place}" aria-disabled="true" aria-describedby="{place}-why">'
        f"{text(words)}</button>",
        f'<p class="sop-why-not" id="{place}-why">{text(why_not)}</p>',
    )


def _approval(status: str, reason: str, why_not: str) -> str:
    told = f"The executive step is {status}." + (f" {reason}" if reason else "")
    button, off = submit_button("Approve the plan", "sop-approve", why_not)
    return (
        f'<h3>Approve the plan</h3><p>{text(told)}</p><form data-act="approve"><div class="sop-field">'
        f'<label for="sop-approve-reason">Reason</label><textarea id="sop-approve-reason" name="why"></textarea></div>'
        f'<div class="sop-row" style="margin-top:10px">{button}</div>{off}</form>'
    )


def _whole(number: str) -> int:
    if not str(number).isdigit():
        raise SettingsError("that is not the number of a decision")
    return int(number)


def _money(said: Any) -> float | None:
    """Money as typed; nothing where nothing is."""
    typed = str(said).strip().replace(" ", "").replace(",", "")
    if not typed:
        return None
    try:
        return float(typed)
    except ValueError:
        raise SettingsError(f"the expected effect is {said!r}; write a number, like 250000") from None
