"""The management review: how good the plans were, why they were off, what the money does, and how well the round itself is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sop_workbench import charts, follow_up, governance, outcome, views
from sop_workbench.chain import Chain, as_last_run, step_states
from sop_workbench.errors import SettingsError
from sop_workbench.pages import visit as visits
from sop_workbench.pages.executive import narrowed, submit_button, with_trend
from sop_workbench.pages.screen import Block, Screen, Section, cards, chip, choice, empty_state, text
from sop_workbench.pages.visit import Visit

PAGE = "management_review"
CARDS = ("wape", "bias", "fill_rate", "otif", "production_adherence", "plan_stability", "gross_margin", "days_of_inventory")
MONEY_CARDS = (
    "working_capital",
    "cash_to_cash",
    "days_of_inventory",
    "days_of_sales",
    "days_of_payables",
    "inventory_turns",
    "gmroi",
    "excess_stock",
)
PROCESS_CARDS = ("steps_on_time", "decisions_closed", "actions_on_time", "owned_overrides", "plan_stability")
_MEASURES = ("margin", "revenue", "production", "inventory", "service")
_STREAMS = ("consensus", "statistical", "sales", "marketing", "customer", "constrained")
_LEVELS = ("item_id × market_id", "item_id", "family", "region", "total")
_LEVEL_WORDS = {"item_id × market_id": "item × market", "item_id": "item"}

SECTIONS = (
    Section("scorecard", "Scorecard", (Block("cards", is_open=True), Block("kpi_drill", "One KPI in detail"))),
    Section(
        "actuals",
        "Plan and actual",
        (Block("plan_actual", "Plan and actual", span=7), Block("causes", "Root causes", span=5), Block("drill", "Drill down")),
    ),
    Section("why", "Why", (Block("drivers", "Drivers", span=6), Block("members", "Items and places behind them", span=6))),
    Section(
        "errors",
        "Forecast errors",
        (Block("lags", "Error by lag", span=6), Block("bias", "Bias by stream", span=6), Block("fall", "Successive plans")),
    ),
    Section(
        "money",
        "Working capital and turns",
        (Block("money_cards", is_open=True), Block("stock", "Stock", span=6), Block("last_plan", "Against the last plan", span=6)),
        menu="Working capital",
    ),
    Section(
        "round",
        "The round itself",
        (
            Block("process_cards", is_open=True),
            Block("cadence", "Cadence", span=5),
            Block("maturity", "Maturity", span=7),
            Block("steps", "Steps of this cycle", is_late=True),
        ),
        menu="Process",
    ),
    Section(
        "promises",
        "Actions and decisions",
        (
            Block("actions", "Actions"),
            Block("risk_list", "Risk register"),
            Block("requests", "Change requests of the weekly round"),
            Block("decided", "Decisions"),
            Block("assumed", "Assumptions"),
        ),
        menu="Actions",
    ),
)


def page(workspace: str = ".", cycle_id: str = "", query: str | None = None) -> Screen:
    """The page of a cycle (parameters as :func:`visit.opened`)."""
    return visits.opened(PAGE, lambda visit: Management(visit).screen, workspace, cycle_id, query)


class Management:
    """One look at how plans and process did."""

    def __init__(self, visit: Visit) -> None:
        visit.require_planned(("kpi",), "pre-S&OP")
        self.visit = visit
        self._tables: dict[str, pd.DataFrame] = {}
        self._family, self._item = "", ""
        self._measure, self._stream, self._level, self._kpi = "margin", "consensus", _LEVELS[0], "wape"
        self.screen = Screen(SECTIONS, **visits.shell(visit, PAGE, has_scenarios=False))
        self.screen.on(
            drill=self.drill, kpi=self.choose_kpi, measure=self.choose_measure, stream=self.choose_stream, level=self.choose_level
        )
        self.screen.on(action=self.close_action, risk=self.close_risk)
        self._show_cards("cards", CARDS)
        for name in (
            "kpi_drill",
            "plan_actual",
            "causes",
            "drill",
            "drivers",
            "members",
            "lags",
            "bias",
            "fall",
            "money_cards",
            "stock",
            "last_plan",
            "process_cards",
            "steps",
            "cadence",
            "maturity",
            "actions",
            "risk_list",
            "requests",
            "decided",
            "assumed",
        ):
            self.screen.later(name, getattr(self, f"_show_{name}"))

    def read(self, table: str) -> pd.DataFrame:
        """A table of the cycle, read once."""
        if table not in self._tables:
            self._tables[table] = self.visit.cycle.read(table)
        return self._tables[table]

    def _source(self, *tables: str) -> str:
        return f"{', '.join(tables)} · cycle {self.visit.cycle.id}"

    # -------------------------------------------------------------- scorecard
    def _show_cards(self, block: str, names: tuple[str, ...]) -> None:
        found = views.kpi_cards(self.read("kpi"), self.visit.cycle.period, names)
        self.screen.fill(block, cards(with_trend(self.visit, found, self.read("kpi")), self._source("kpi")))

    def _show_money_cards(self) -> None:
        self._show_cards("money_cards", MONEY_CARDS)

    def _show_process_cards(self) -> None:
        self._show_cards("process_cards", PROCESS_CARDS)

    def _show_kpi_drill(self) -> None:
        names = views.drillable(self.read("kpi"))
        if not names:
            self.screen.fill("kpi_drill", empty_state("No KPI is known below the total yet."))
            return
        self._kpi = self._kpi if self._kpi in names else names[0]
        view = views.kpi_drill(
            self.read("kpi"), self.visit.cycle.period, self._kpi, self.read("item"), self.read("market"), self.read("resource")
        )
        picker = choice("kpi", "KPI", [(name, views.heading(name)) for name in names], self._kpi)
        self.screen.table("kpi_drill", view, self._source("kpi"), limit=20, above=picker)

    def choose_kpi(self, value: str) -> None:
        """Another KPI in detail."""
        self._kpi = _one_of(value, views.drillable(self.read("kpi")))
        self._show_kpi_drill()

    # -------------------------------------------------------------- plan and actual
    def _show_plan_actual(self) -> None:
        view = views.plan_vs_actual(self.read("plan_deviation"))
        self.screen.chart("plan_actual", charts.plan_vs_actual, view, self._source("plan_deviation"), at_least=520)

    def _show_causes(self) -> None:
        view = views.root_causes(self.read("root_cause"), self.read("item"))
        self.screen.chart("causes", charts.root_causes, view, self._source("root_cause"))

    def _show_drill(self) -> None:
        view = views.deviation_drill(self.read("plan_deviation"), self.read("item"), self.read("market"), self._family, self._item)
        self.screen.fill("drill", self._crumbs() + drill_table(view), view, self._source("plan_deviation"))

    def _crumbs(self) -> str:
        steps = [("", "", "All families")]
        steps += [(self._family, "", self._family)] if self._family else []
        steps += [(self._family, self._item, self._item)] if self._item else []
        parts = [
            f'<span aria-current="true">{text(words)}</span>'
            if place == len(steps) - 1
            else f'<button type="button" data-act="drill" data-family="{text(family)}" data-item="{text(item)}" '
            f'id="sop-crumb-{place}">{text(words)}</button>'
            for place, (family, item, words) in enumerate(steps)
        ]
        return f'<nav class="sop-crumbs" aria-label="Level">{" › ".join(parts)}</nav>'

    def drill(self, family: str = "", item: str = "", member: str = "", level: str = "") -> None:
        """Go down to a member of the level shown, or back up to a family and item."""
        self._family, self._item = (member, "") if level == "family" else (self._family, member) if level == "item_id" else (family, item)
        self._show_drill()

    # -------------------------------------------------------------- why
    def _show_drivers(self) -> None:
        view = views.driver_causes(self.read("driver_tree"), self._measure)
        known = [name for name in _MEASURES if name in set(self.read("driver_tree")["measure"])]
        above = choice("measure", "What deviated", [(name, views.heading(name)) for name in known], self._measure) if known else ""
        self.screen.chart("drivers", charts.driver_causes, view, self._source("driver_tree"), above=above)

    def _show_members(self) -> None:
        view = views.driver_members(self.read("driver_tree"), self._measure)
        self.screen.table(
            "members",
            narrowed(view, "item_and_place", "driver", "cause", "deviation_amt", "share_ratio"),
            self._source("driver_tree"),
            limit=12,
        )

    def choose_measure(self, value: str) -> None:
        """Why another measure deviated."""
        self._measure = _one_of(value, _MEASURES)
        self._show_drivers()
        self._show_members()

    # -------------------------------------------------------------- forecast errors
    def _show_lags(self) -> None:
        errors = self.read("plan_error_by_lag")
        known = [level for level in _LEVELS if level in set(errors["level"])] or [self._level]
        above = choice("level", "Level", [(level, _LEVEL_WORDS.get(level, level)) for level in known], self._level)
        self.screen.chart(
            "lags",
            charts.error_by_lag,
            views.error_by_lag(errors, self._level),
            self._source("plan_error_by_lag"),
            at_least=460,
            above=above,
        )

    def _show_bias(self) -> None:
        if not self.visit.cycle.has("stream_record"):
            self.screen.fill("bias", empty_state("The demand review has not kept a record of the streams in this cycle."))
            return
        self.screen.chart(
            "bias", charts.bias_heat_map, views.bias_heat_map(self.read("stream_record")), self._source("stream_record"), at_least=480
        )

    def _show_fall(self) -> None:
        waterfall = self.read("plan_waterfall")
        known = [stream for stream in _STREAMS if stream in set(waterfall["stream"])] or [self._stream]
        above = choice("stream", "Stream", [(stream, stream) for stream in known], self._stream)
        view = views.waterfall(waterfall, self._stream, 12)
        self.screen.chart("fall", charts.waterfall, view, self._source("plan_waterfall"), at_least=640, above=above)

    def choose_level(self, value: str) -> None:
        """Errors at another level."""
        self._level = _one_of(value, _LEVELS)
        self._show_lags()

    def choose_stream(self, value: str) -> None:
        """Successive plans of another stream."""
        self._stream = _one_of(value, _STREAMS)
        self._show_fall()

    # -------------------------------------------------------------- money
    def _show_stock(self) -> None:
        view = views.inventory_money(self.read("financial_projection"))
        self.screen.chart("stock", charts.inventory_money, view, self._source("financial_projection"), at_least=620)

    def _show_last_plan(self) -> None:
        self.screen.table("last_plan", views.estimate_gap(self.read("estimate_gap")), self._source("estimate_gap"), limit=14)

    # -------------------------------------------------------------- the round
    def _show_steps(self) -> None:
        states = step_states(as_last_run(Chain(self.visit.workspace, self.visit.cycle)), pd.Timestamp.now())
        self.screen.fill("steps", steps_table(states))

    def _show_cadence(self) -> None:
        self.screen.chart(
            "cadence", charts.cadence, views.cadence(follow_up.kept_cycles(self.visit.cycle), 12), "approval · all cycles", at_least=420
        )

    def _show_maturity(self) -> None:
        view = views.maturity(follow_up.judge_maturity(self.visit.cycle, pd.Timestamp.now()))
        self.screen.fill("maturity", stages(view), view, "judged from what the store holds")

    def _show_actions(self) -> None:
        rows = follow_up.followed_actions(self.visit.cycle, pd.Timestamp.now())
        form = self._closing_form("action", rows, ("done", "cancelled"), "Close an action", "Note: what was done, or why not")
        self.screen.table("actions", views.action_list(rows), "action, decision, outcome · all cycles up to this one", limit=15, above=form)

    def _show_risk_list(self) -> None:
        rows = follow_up.risk_register(self.visit.cycle)
        form = self._closing_form("risk", rows, ("closed",), "Close a risk", "Note: why it is over")
        self.screen.table("risk_list", views.risks(rows), "risk (people's register) · all cycles up to this one", limit=15, above=form)

    def _show_requests(self) -> None:
        view = views.change_requests(follow_up.change_requests(self.visit.cycle))
        self.screen.table("requests", view, "change_request, decision, demand_adjustment · all cycles up to this one", limit=15)

    def _closing_form(self, act: str, rows: pd.DataFrame, ends: tuple[str, ...], words: str, note: str) -> str:
        """A form that closes one of the open records; off, with the reason, for who may not."""
        open_ones = rows[rows["status"] == "open"]
        if open_ones.empty:
            return ""
        return closing_form(act, open_ones, ends, words, note, self.visit.why_not("planner", f"{words[0].lower()}{words[1:]}"))

    def close_action(self, fields: Mapping[str, Any]) -> None:
        """Mark an action done or cancelled in the name of who looks, by the same function as the command line."""
        row = _chosen(follow_up.followed_actions(self.visit.cycle, pd.Timestamp.now()), fields)
        status = _one_of(fields.get("status", ""), ("done", "cancelled"))
        outcome.record_action(self.visit.cycle, row["title"], status=status, by=self.visit.user, why=str(fields["why"]))
        self.screen.tell("done", f"{row['title']}: {status}, {self.visit.user} ({self.visit.role})")
        self._show_actions()
        self._show_decided()

    def close_risk(self, fields: Mapping[str, Any]) -> None:
        """Close a risk or an opportunity of the register, likewise."""
        row = _chosen(follow_up.risk_register(self.visit.cycle), fields)
        outcome.record_risk(self.visit.cycle, row["title"], kind=row["kind"], status="closed", by=self.visit.user, why=str(fields["why"]))
        self.screen.tell("done", f"{row['title']}: closed, {self.visit.user} ({self.visit.role})")
        self._show_risk_list()

    def _show_decided(self) -> None:
        recorded = follow_up.records_with_outcome(self.visit.cycle, "decision")
        states = governance.decision_states(recorded, follow_up.records_up_to(self.visit.cycle, "action"))
        self.screen.table("decided", views.decision_followup(states), "decision, outcome, action · all cycles up to this one", limit=10)

    def _show_assumed(self) -> None:
        view = views.assumption_list(follow_up.records_with_outcome(self.visit.cycle, "assumption"))
        self.screen.table("assumed", view, "assumption, outcome · all cycles up to this one")


def _one_of(value: Any, allowed: Any) -> str:
    if value not in allowed:
        raise SettingsError("the page asked for something there is not")
    return str(value)


def _chosen(rows: pd.DataFrame, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The open record that a form names, with a note why it is closed."""
    if not str(fields.get("why", "")).strip():
        raise SettingsError("Write the note: what is closed is recorded with what was done, or why not.")
    found = rows[(rows["record_id"] == fields.get("record")) & (rows["status"] == "open")]
    if found.empty:
        raise SettingsError("That is not open any more: somebody closed or changed it meanwhile. Open the page again to see how it stands.")
    return {str(name): value for name, value in found.iloc[0].items()}


# ------------------------------------------------------------------ pieces
def closing_form(act: str, rows: pd.DataFrame, ends: tuple[str, ...], words: str, note: str, why_not: str) -> str:
    """A form to close one of some records: which, how, and a note; `why_not` says why it is off."""
    which = "".join(f'<option value="{text(row["record_id"])}">{text(_named(row))}</option>' for row in rows.to_dict("records"))
    how = "".join(f'<option value="{end}">{end}</option>' for end in ends)
    picker = (
        f'<div class="sop-field"><label for="sop-{act}-end">How it stands</label>'
        f'<select name="status" id="sop-{act}-end">{how}</select></div>'
    )
    button, told = submit_button(words, f"sop-{act}-close", why_not)
    return (
        f'<form data-act="{act}" class="sop-closing"><div class="sop-row">'
        f'<div class="sop-field"><label for="sop-{act}-record">Which</label>'
        f'<select name="record" id="sop-{act}-record">{which}</select></div>{picker if len(ends) > 1 else ""}'
        f'<div class="sop-field sop-reason"><label for="sop-{act}-why">{text(note)}</label>'
        f'<input type="text" name="why" id="sop-{act}-why" size="40"></div>{button}</div>{told}</form>'
    )


def _named(row: Mapping[str, Any]) -> str:
    """An action by owner and title, a risk by its title."""
    return f"{row['title']} ({row['owner']})" if isinstance(row["owner"], str) and row["owner"] else str(row["title"])


def drill_table(view: pd.DataFrame) -> str:
    """A level of the drill-down; what has a level below it is a button."""
    if view.empty:
        return empty_state(view.attrs["empty"])
    numbers = ("plan_qty", "actual_qty", "deviation_qty", "deviation_ratio", "wape_ratio", "bias_ratio")
    head = "".join(
        f'<th scope="col" style="text-align:{"left" if name == "name" else "right"}">{text(views.heading(name))}'
        f"<br><small>{'' if name == 'name' else '%' if name.endswith('_ratio') else 'units'}</small></th>"
        for name in ("name", *numbers)
    )
    rows = "".join(_drill_row(row, numbers, place) for place, row in enumerate(view.head(30).to_dict("records")))
    more = f'<p class="sop-more">… {len(view) - 30:,} more, smaller</p>' if len(view) > 30 else ""
    return f'<div class="sop-table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}</div>'


def _drill_row(row: Mapping[str, Any], numbers: tuple[str, ...], place: int) -> str:
    words = row["name"] if row["name"] == row["member"] else f"{row['name']} ({row['member']})"
    first = (
        text(words)
        if row["level"] == "market_id"
        else (
            f'<button type="button" class="sop-link" data-act="drill" data-level="{row["level"]}" data-member="{text(row["member"])}" '
            f'id="sop-drill-{place}">{text(words)}</button>'
        )
    )
    cells = "".join(f'<td style="text-align:right">{_number(row[name], name)}</td>' for name in numbers)
    return f"<tr><td>{first}</td>{cells}</tr>"


def _number(value: float, name: str) -> str:
    if pd.isna(value):
        return "–"
    return f"{100 * value:,.1f}" if name.endswith("_ratio") else f"{value:,.0f}"


def steps_table(states: list[Any]) -> str:
    """Every step with owner, due day, status and lateness."""
    rows = "".join(
        f"<tr><td>{text(state.step[:2])} {text(state.step[3:].replace('_', ' '))}</td>"
        f"<td>{text(state.owner)}</td><td>{text(state.due)}</td>"
        f"<td>{chip(_STEP_WORDS.get(state.status, state.status))}</td><td style='text-align:right'>{state.late_days or '–'}</td>"
        f"<td>{text(state.reason)}</td></tr>"
        for state in states
    )
    head = "".join(
        f'<th scope="col" style="text-align:{side}">{words}</th>'
        for words, side in (
            ("Step", "left"),
            ("Owner", "left"),
            ("Due", "left"),
            ("Status", "left"),
            ("Working days late", "right"),
            ("Why", "left"),
        )
    )
    return f'<div class="sop-table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


_STEP_WORDS = {"locked": "■ locked", "approved": "✓ approved"}


def stages(view: pd.DataFrame) -> str:
    """The five stages side by side, each with its evidence and the next step."""
    if view.empty:
        return empty_state(view.attrs["empty"])
    items = "".join(
        f'<li data-reached="{"yes" if row["state"] == "reached" else "no"}"><b>{text(row["stage"])}</b>{chip(row["state"])}'
        f"<p>{text(row['evidence'])}</p>"
        + (f'<p class="sop-next">Next: {text(row["next_step"])}</p>' if row["next_step"] else "")
        + "</li>"
        for row in view.to_dict("records")
    )
    return f'<ol class="sop-stages">{items}</ol>'
