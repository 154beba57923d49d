"""The levers a meeting has agreed to talk about: its scenarios by how much of them is taken, and demand, price and hours as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sop_workbench import charts, views
from sop_workbench.errors import SettingsError
from sop_workbench.pages.screen import Screen, about, cards, empty_state, ranked_limits, scenario_cards, text
from sop_workbench.scenario import Lever, Scenario, load_scenarios
from sop_workbench.what_if import Outcome, WhatIf
from sop_workbench.widgets import READY_LEVERS

MEASURES = ("profit", "revenue", "gross margin", "fill rate", "inventory", "peak load")
PARTS = ("live_cards", "live_volume", "live_limits", "live_load")
_READY = ("demand", "price", "hours")
_READY_PERCENT = 20
_MOST_TAKEN = 150
_SCENARIOS_SHOWN = 9
_LIMITS_SHOWN = 5
_FILE = "the scenario file of the workspace"


class AgreedLevers:
    """Sliders over the loaded plan.

    Parameters
    ----------
    what_if : WhatIf
        The loaded plan.
    scenarios : Path
        Folder of the scenarios agreed on; a scenario made of numbers alone has a slider (how much of it), any other a switch.
    """

    def __init__(self, what_if: WhatIf, scenarios: Path) -> None:
        self.what_if = what_if
        self.scenarios = {one.scenario_id: one for one in load_scenarios(scenarios)[:_SCENARIOS_SHOWN]}
        self.ready = {lever.name: lever for lever in READY_LEVERS if lever.name in _READY and len(what_if.tables[lever.table])}

    @property
    def now(self) -> Outcome:
        """The plan with the levers pulled."""
        return self.what_if.now

    def pull(self, fields: Mapping[str, Any]) -> Outcome:
        """Make the plan anew with the levers where the form has them.

        Raises
        ------
        SettingsError
            When the form names what is no lever, or a place outside its range.
        """
        return self.what_if.pull(self.levers(fields))

    def levers(self, fields: Mapping[str, Any]) -> list[Lever]:
        """The levers of a form: `ready-NAME` in per cent, `take-SCENARIO` in per cent of it, `switch-SCENARIO` on or off."""
        found: list[Lever] = []
        for name, place in fields.items():
            kind, _, key = name.partition("-")
            if kind == "ready" and key in self.ready:
                percent = _within(place, -_READY_PERCENT, _READY_PERCENT)
                found += [self.ready[key].lever(percent, {}, None, None)] if percent else []
            elif kind == "take" and key in self.scenarios:
                share = _within(place, 0, _MOST_TAKEN) / 100
                found += _taken(self.scenarios[key], share) if share else []
            elif kind == "switch" and key in self.scenarios:
                found += list(self.scenarios[key].levers) if place is True else []
            else:
                raise SettingsError(f"there is no lever {name[:60]!r}")
        return found

    def form(self) -> str:
        """The sliders, all at nought."""
        whole = "".join(
            _slider(f"ready-{name}", lever.words, "everywhere, all periods", (-_READY_PERCENT, _READY_PERCENT, 1), "{+} %", "as planned")
            for name, lever in self.ready.items()
        )
        own = "".join(_scenario_control(one) for one in self.scenarios.values())
        if not whole + own:
            return empty_state("There is no lever: the plan has no demand, and the folder scenarios/ has no file.")
        return (
            f'<form data-live="pull" class="sop-live-form" autocomplete="off"><div class="sop-sliders">{whole}{own}</div>'
            '<div class="sop-live-bar"><button type="button" data-act="reset" id="sop-reset">All back to the plan</button></div></form>'
        )


def _scenario_control(one: Scenario) -> str:
    title, words = one.title or one.scenario_id.replace("_", " "), "; ".join(lever.words for lever in one.levers)
    if all(lever.operation in ("multiply", "add") for lever in one.levers):
        return _slider(f"take-{one.scenario_id}", title, words, (0, _MOST_TAKEN, 10), "{} % of it", "not taken")
    place = f"sop-switch-{one.scenario_id}"
    return (
        f'<div class="sop-slider"><label for="{text(place)}">{text(title)}</label>{about(title, words, _FILE)}'
        f'<input type="checkbox" name="switch-{text(one.scenario_id)}" id="{text(place)}"></div>'
    )


def _slider(name: str, title: str, words: str, ends: tuple[int, int, int], written: str, zero: str) -> str:
    low, high, step = ends
    place = f"sop-{text(name)}"
    return (
        f'<div class="sop-slider"><label for="{place}">{text(title)}</label><output for="{place}">{zero}</output>'
        f"{about(title, words, _FILE if zero == 'not taken' else 'the plan of the cycle')}"
        f'<input type="range" name="{text(name)}" id="{place}" min="{low}" max="{high}" step="{step}" value="0" '
        f'data-words="{written}" data-zero="{zero}" aria-valuetext="{zero}"></div>'
    )


def _taken(one: Scenario, share: float) -> list[Lever]:
    """The levers of a scenario of which a share is taken: × 1.15 taken by half is × 1.075, + 10 taken by half + 5."""
    return [lever.model_copy(update={"value": _part(lever, share)}) for lever in one.levers]


def _part(lever: Lever, share: float) -> float:
    """Value of a lever of which a share is taken.

    Examples
    --------
    >>> half = Lever(table="capacity", column="regular_hours", operation="multiply", value=1.15)
    >>> round(_part(half, 0.5), 6), _part(half.model_copy(update={"operation": "add", "value": 10.0}), 0.5)
    (1.075, 5.0)
    """
    value = float(lever.value or 0.0)
    return round(max(0.0, 1 + (value - 1) * share), 9) if lever.operation == "multiply" else value * share


def _within(place: Any, low: float, high: float) -> float:
    if isinstance(place, bool) or not isinstance(place, int | float) or not low <= place <= high:
        raise SettingsError(f"a lever stands between {low:g} and {high:g}")
    return float(place)


def show_outcome(
    screen: Screen, agreed: AgreedLevers, parts: Sequence[str] = PARTS, measure: str = "served_qty", family: str | None = None,
    has_notes: bool = True,
) -> None:
    """Show the plan with its levers beside base: cards, quantities, limits, load; its notes unless they stand elsewhere on the page."""
    outcome = agreed.now
    source = "the loaded plan of the supply review, solved again"
    for part in parts:
        if part == "live_cards":
            found = views.what_if_measures(outcome.measures)
            screen.fill(part, cards(scenario_cards(found, MEASURES, "whole horizon").assign(formula=found.attrs["note"]), source))
        elif part == "live_volume":
            screen.chart(
                part,
                charts.what_if_volume,
                views.what_if_volume(outcome.volume, measure, family),
                source,
                420,
                below=_timing(outcome, outcome.notes[:3] if has_notes else ()),
                is_live=True,
            )
        elif part == "live_limits":
            view = views.what_if_limits(outcome.limits)
            screen.fill(part, _limits(view), view, source)
        elif part == "live_load":
            load = views.what_if_load(outcome.hours, agreed.what_if.tables["resource"])
            screen.chart(part, charts.what_if_load, load, source, 720, is_live=True)


def _limits(view: pd.DataFrame) -> str:
    shown = view.head(_LIMITS_SHOWN)
    shown.attrs = view.attrs
    return ranked_limits(shown, lambda row: f"<span>{text(row['sentence'])}</span>", lambda row: f"; {_before(row)}")


def _before(row: Mapping[str, Any]) -> str:
    return "new" if pd.isna(row["in_base_amt"]) else f"in base {text(views.short(row['in_base_amt'], views.MONEY))}"


def _timing(outcome: Outcome, notes: Sequence[str]) -> str:
    spent = " · ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in outcome.seconds.items())
    total = 1000 * sum(outcome.seconds.values())
    said = "".join(f"<p>{text(words)}</p>" for words in notes)
    return f'<p data-solved="{total:.0f}">Plan made anew in {total:.0f} ms ({spent}).</p>{said}'
