"""What if: levers pulled on a plan that stays loaded, answered at the speed of a slider, undone, and kept as a scenario.

The same levers as in a scenario file, the same plan as its cold solve; only what a screen shows is read back. Levers on plain numbers
(hours, demand, prices, costs, limits, stock targets) move these numbers in the solver; any other is applied to the tables and the plan
is stated anew, which the outcome says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from pydantic import ValidationError

from sop_workbench import kpi, tables
from sop_workbench.demand import price_in_period
from sop_workbench.errors import SettingsError
from sop_workbench.finance import family_of
from sop_workbench.inventory import unit_value
from sop_workbench.periods import Calendar
from sop_workbench.scenario import Lever, Scenario, load_scenario, picked_rows, scenario_tables
from sop_workbench.settings import Settings
from sop_workbench.supply import warm
from sop_workbench.supply.figures import FigureReader, Figures, LimitReader
from sop_workbench.supply.frontier import frontiers
from sop_workbench.supply.instance import supply_instance
from sop_workbench.supply.plan import compiled_plan
from sop_workbench.supply.warm import Answer, LoadedPlan

Tables = Mapping[str, pd.DataFrame]

_PRICED_BY = {"item_id", "market_id", "family", "category", "brand", "item_type", "region", "channel", "segment"}
_MONEY = "reporting currency"
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Outcome:
    """What a screen shows of one what-if, beside the plan without levers.

    Attributes
    ----------
    levers : tuple of Lever
        What was pulled; none for the plan as it is.
    measures : DataFrame
        measure, unit, base, value, delta, in the order they are shown.
    volume : DataFrame
        By family and period: demand_qty, served_qty, short_qty, produced_qty, stock_amt, and each of base (`base_…`).
    hours : DataFrame
        By resource and period: used_hours, overtime_used_hours, regular_hours, load_ratio, hour_price_amt, and each of base.
    limits : DataFrame
        The dearest binding limits: sentence, price_amt, base_price_amt, delta_amt and what they are.
    objective_amt : float
        Profit less penalties.
    way : str
        How the answer was found: unchanged, direct, restated or rebuilt.
    seconds : dict of str to float
        Spent in `levers`, `update`, `solve`, `read`.
    notes : tuple of str
        What the planner should know of this answer.
    """

    levers: tuple[Lever, ...]
    measures: pd.DataFrame
    volume: pd.DataFrame
    hours: pd.DataFrame
    limits: pd.DataFrame
    objective_amt: float
    way: str
    seconds: dict[str, float]
    notes: tuple[str, ...]

    def value(self, measure: str) -> float:
        """One measure of this plan."""
        return float(self.measures.set_index("measure").loc[measure, "value"])


class WhatIf:
    """A plan to pull levers on.

    Parameters
    ----------
    inputs, consensus_demand, inventory_target, settings, periods, calendar
        As for `scenario.evaluate`.

    Attributes
    ----------
    tables : dict of DataFrame
        The tables without levers.
    plan : LoadedPlan
        The plan in the solver.
    base, now : Outcome
        The plan without levers, and the one shown.

    Raises
    ------
    DataError, InfeasiblePlanError, UnboundedPlanError, SolverError
        When the plan without levers has none.
    """

    def __init__(
        self,
        inputs: Tables,
        consensus_demand: pd.DataFrame,
        inventory_target: pd.DataFrame,
        settings: Settings,
        periods: pd.DatetimeIndex,
        calendar: Calendar,
    ) -> None:
        self.settings, self.periods, self.calendar = settings, periods, calendar
        self.tables = {**inputs, "consensus_demand": consensus_demand, "inventory_target": inventory_target}
        self.plan = LoadedPlan(inputs, consensus_demand, inventory_target, settings, periods, calendar)
        self._readers = self._readers_of(self.plan.base, self.tables)
        self._picked: dict[str, np.ndarray | None] = {}
        self._earlier: list[tuple[Lever, ...]] = []
        self._base_figures = self._readers[0].read(self.plan.base)
        self._base_measures: dict[str, tuple[str, float]] = {}
        self.base = self.now = self._outcome((), self.plan.base, self._base_figures, self._readers[1], {})
        self._base_measures = _measures(self._base_figures, self.plan.base, calendar)

    # -------------------------------------------------------------- pulling, undoing, keeping
    def pull(self, levers: Sequence[Lever]) -> Outcome:
        """The best plan with these levers (all of them: those pulled before are let go).

        Raises
        ------
        DataError
            When a lever is wrong; every fault at once.
        InfeasiblePlanError, UnboundedPlanError, SolverError
            When there is no such plan. What was shown stays, and the next pull is answered.
        """
        pulled = tuple(levers)
        outcome = self._answered(pulled)
        if pulled != self.now.levers:
            self._earlier.append(self.now.levers)
        self.now = outcome
        return outcome

    def undo(self) -> Outcome:
        """Back to the levers before the last pull; at the beginning nothing happens."""
        if self._earlier:
            self.now = self._answered(self._earlier[-1])
            self._earlier.pop()
        return self.now

    def reset(self) -> Outcome:
        """All levers let go; can be undone."""
        return self.pull(())

    @property
    def can_undo(self) -> bool:
        """Whether there is a pull to take back."""
        return bool(self._earlier)

    def scenario(self, scenario_id: str, title: str, reason: str) -> Scenario:
        """The levers pulled now as a named scenario.

        Raises
        ------
        SettingsError
            When nothing is pulled, no reason is given, or the name is not one.
        """
        if not self.now.levers:
            raise SettingsError("nothing is changed: pull a lever before you keep a scenario")
        if not reason.strip():
            raise SettingsError("say why: a scenario is kept with its reason")
        # Here demand does not answer a price unless the lever says how; the scenario kept is to give the same figures.
        kept = tuple(one.model_copy(update={"elasticity": one.elasticity or 0.0}) if one.table == "price" and one.column == "price_amt"
                     else one for one in self.now.levers)
        if len(scenario_id) > _LONGEST_NAME:
            raise SettingsError(f"{scenario_id[:20]!r}… cannot name a scenario: it is longer than {_LONGEST_NAME} characters")
        try:
            return Scenario.model_validate(
                {"scenario": scenario_id, "title": title.strip() or scenario_id, "reason": reason.strip(), "levers": kept}
            )
        except ValidationError as faults:
            text = "; ".join(str(fault["msg"]).removeprefix("Value error, ") for fault in faults.errors())
            raise SettingsError(f"{scenario_id!r} cannot name a scenario: use letters, digits, - and _ ({text})") from None

    def keep(self, folder: Path | str, scenario_id: str, title: str, reason: str) -> Path:
        """Write the levers pulled now as `FOLDER/NAME.yaml`, which the next pre-S&OP review evaluates; a file that is there stays.

        Raises
        ------
        SettingsError
            As `scenario`, or when the folder has a scenario of that name.
        """
        kept = self.scenario(scenario_id, title, reason)
        path = Path(folder) / f"{kept.scenario_id}.yaml"
        content = kept.model_dump(by_alias=True, exclude_defaults=True)
        content["levers"] = [lever.model_dump(exclude_defaults=True) for lever in kept.levers]
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise SettingsError(f"there is a scenario {kept.scenario_id} already; choose another name") from None
        if load_scenario(path) != kept:
            path.unlink()
            raise SettingsError(f"scenario {kept.scenario_id} could not be written so that it reads back the same; simplify its filters")
        return path

    def frontiers(self, levers: Sequence[Lever] | None = None) -> pd.DataFrame:
        """What service costs and what stock buys with levers, or with those pulled now → `service_frontier`.

        Some fifteen plans: seconds, not milliseconds.

        Raises
        ------
        DataError, SolverError
            When a lever is wrong, or there is no such plan.
        """
        changed = self._changed(self.now.levers if levers is None else levers)
        demand, target = changed.pop("consensus_demand"), changed.pop("inventory_target")
        instance = supply_instance(changed, demand, target, self.settings, self.periods, self.calendar)
        return frontiers(instance, compiled_plan(instance, self.settings), self.settings)

    # -------------------------------------------------------------- answering
    def _answered(self, levers: tuple[Lever, ...]) -> Outcome:
        begun = warm.clock()
        if not levers:
            return (
                replace(self.base, seconds={"levers": 0.0, "update": 0.0, "solve": 0.0, "read": 0.0})
                if self.now is not self.base
                else self.base
            )
        values = self._values(levers)
        pulled = warm.clock() - begun
        answer = self.plan.with_values(values) if values is not None else None
        changed: Tables = self.tables
        if answer is None:
            changed = self._changed(levers)
            pulled = warm.clock() - begun
            answer = self.plan.with_tables(changed)
        begun = warm.clock()
        is_loaded = answer.arrays is self.plan.arrays
        figures, limits = self._readers if is_loaded else self._readers_of(answer, changed)
        outcome = self._outcome(levers, answer, figures.read(answer), limits, {"levers": pulled})
        outcome.seconds["read"] += warm.clock() - begun
        return outcome

    def _changed(self, levers: Sequence[Lever]) -> dict[str, pd.DataFrame]:
        """The tables with levers applied."""
        inputs = dict(self.tables)
        demand, target = inputs.pop("consensus_demand"), inputs.pop("inventory_target")
        return scenario_tables(inputs, demand, target, levers, self.calendar, self.periods)

    def _values(self, levers: Sequence[Lever]) -> dict[tuple[str, str], np.ndarray] | None:
        """Whole columns after the levers; None when one of them does more than move numbers inside their bounds."""
        values: dict[tuple[str, str], np.ndarray] = {}
        for lever in levers:
            place = self._place(lever)
            if place is None or (set(lever.where) & {column for _, column in values}):
                return None
            key, picked = place
            column = tables.table(key[0]).columns[key[1]]
            before = values.get(key)
            if before is None:
                before = self.tables[key[0]][key[1]].to_numpy(dtype=float)
            number = float(lever.value or 0.0)
            after = before.copy()
            after[picked] = {"multiply": before[picked] * number, "add": before[picked] + number, "set": number}[lever.operation]
            moved = after[picked]
            if (
                np.isnan(moved).any()
                or (column.minimum is not None and (moved < column.minimum).any())
                or (column.maximum is not None and (moved > column.maximum).any())
            ):
                return None
            values[key] = after
        return values

    def _place(self, lever: Lever) -> tuple[tuple[str, str], np.ndarray] | None:
        """The column a lever moves as the plan reads it, and its rows; None for a lever that is more than that."""
        is_number = isinstance(lever.value, int | float) and not isinstance(lever.value, bool)
        if lever.operation not in ("multiply", "add", "set") or not is_number:
            return None
        key = lever.table, lever.column
        if key == ("price", "price_amt"):
            return None if lever.elasticity else self._price_place(lever)
        if self.plan.effects(*key) is None:
            return None
        picked = self._rows(lever)
        return None if picked is None else (key, picked)

    def _price_place(self, lever: Lever) -> tuple[tuple[str, str], np.ndarray] | None:
        """A price list multiplied is demand at multiplied prices, where every demand has been listed from the start."""
        key = "consensus_demand", "price_amt"
        if (
            lever.operation != "multiply"
            or not lever.value
            or not set(lever.where) <= _PRICED_BY
            or self.calendar.shift_days
            or self.plan.effects(*key) is None
        ):
            return None
        listed, priced = self._price_list
        picked = self._rows(lever.model_copy(update={"table": key[0]}), {**self.tables, key[0]: priced})
        return None if picked is None or not (picked & listed).any() else (key, picked & listed)

    @cached_property
    def _price_list(self) -> tuple[np.ndarray, pd.DataFrame]:
        """Which rows of demand the price list prices; demand by the period whose price it takes (before the first price, that one)."""
        demand, price, pair = self.tables["consensus_demand"], self.tables["price"], ["item_id", "market_id"]
        key = [*pair, "period"]
        asked = (
            demand[key].merge(price_in_period(price, self.periods), on=key, how="left", validate="m:1")["price_amt"].to_numpy(dtype=float)
        )
        first = self.calendar.periods_of(price.groupby(pair)["valid_from"].min()).rename("first").reset_index()
        announced = demand[key].merge(first, on=pair, how="left", validate="m:1")[["period", "first"]].max(axis=1)
        return (asked > 0) & ~np.isnan(asked), demand.assign(period=announced.to_numpy())

    def _rows(self, lever: Lever, within: Tables | None = None) -> np.ndarray | None:
        """Rows a lever is about, found once for all its values."""
        slot = lever.model_copy(update={"value": None}).model_dump_json() + ("" if within is None else " by price")
        if slot not in self._picked:
            self._picked[slot] = picked_rows(self.tables if within is None else within, lever, self.calendar)
        return self._picked[slot]

    def _readers_of(self, answer: Answer, changed: Tables) -> tuple[FigureReader, LimitReader]:
        item, supplier_item = changed["item"], changed["supplier_item"]
        figures = FigureReader(answer.instance, answer.arrays, family_of(item), unit_value(item, supplier_item))
        return figures, LimitReader(answer.instance, answer.arrays, self.settings.bucket)

    def _outcome(
        self, levers: tuple[Lever, ...], answer: Answer, figures: Figures, limits: LimitReader, spent: dict[str, float]
    ) -> Outcome:
        base = self._base_figures
        volume = _beside(_dated(figures.volume, self.periods), _dated(base.volume, self.periods), ["family", "period"])
        hours = _beside(_loads(figures.hours, self.periods), _loads(base.hours, self.periods), ["resource_id", "period"])
        has_base_rows = len(answer.row_price) == len(self.plan.base.row_price) and answer.way != "rebuilt"
        found = limits.read(answer, self.plan.base.row_price if has_base_rows else None, self.settings.currency)
        measures = _measures(figures, answer, self.calendar)
        before = self._base_measures or measures
        rows = [
            {"measure": name, "unit": unit, "base": before[name][1], "value": value, "delta": value - before[name][1]}
            for name, (unit, value) in measures.items()
        ]
        return Outcome(
            levers,
            pd.DataFrame(rows),
            volume,
            hours,
            found.assign(period=self.periods[found["t"].to_numpy(dtype=int)]),
            answer.objective_amt,
            answer.way,
            {**spent, **answer.seconds},
            (*_price_notes(levers), *self._notes(answer)),
        )

    def _notes(self, answer: Answer) -> tuple[str, ...]:
        notes = []
        if self.plan.is_relaxed:
            notes.append("Lots and crews are counted in fractions here; the scenario, when it is run, plans whole ones.")
        if self.settings.supply.objective != "profit":
            aim = self.settings.supply.objective
            notes.append(f"The plan of the cycle aims at {aim} first; here every answer, base too, is the most profitable plan.")
        if answer.way == "rebuilt":
            notes.append("This change alters what the plan is made of, not only its numbers: the model was built anew.")
        return (*notes, *answer.instance.notes)


# ------------------------------------------------------------------ shaping
def _price_notes(levers: tuple[Lever, ...]) -> tuple[str, ...]:
    """That demand stands when a price is pulled."""
    is_silent = any(lever.table == "price" and lever.column == "price_amt" and not lever.elasticity for lever in levers)
    return ("Demand does not answer the price here; in a scenario file it does, by the elasticity of the demand review.",) * is_silent


def _measures(figures: Figures, answer: Answer, calendar: Calendar) -> dict[str, tuple[str, float]]:
    """The measures of the scenario table that a screen shows, in its order (cash, which no lever screen needs, is left to the scenario)."""
    money, hours, instance = figures.money, figures.hours, answer.instance
    total = money.sum()
    inventory = float(money["inventory_amt"].mean())
    worth = instance.stocked.set_index(["item_id", "location_id"])["value_amt"]
    due = instance.scheduled.set_index(["item_id", "location_id"])["scheduled_qty"]
    received = float((due * worth.reindex(due.index)).sum())
    opening = float((instance.stocked["opening_qty"] * instance.stocked["value_amt"]).sum())
    load = (hours["used_hours"] / hours["regular_hours"].where(hours["regular_hours"] > 0)).max()
    cogs_per_year = float(total["cogs_amt"]) * calendar.buckets_per_year / len(money)
    return {
        "revenue": (_MONEY, float(total["revenue_amt"])),
        "gross margin": (_MONEY, float(total["revenue_amt"] - total["cogs_amt"])),
        "profit": (_MONEY, figures.profit_amt),
        "operating result": (_MONEY, figures.profit_amt - received + float(money["inventory_amt"].iloc[-1]) - opening),
        "fill rate": ("ratio", kpi.fill_rate([figures.served_qty], [figures.demand_qty])),
        "lost revenue": (_MONEY, float(total["lost_revenue_amt"])),
        "inventory": (_MONEY, inventory),
        "inventory days": ("days", kpi.days_of_inventory(cogs_per_year, inventory)),
        "peak load": ("ratio", float(load)),
        "overtime": ("hours", float(hours["overtime_used_hours"].sum())),
    }


def _dated(frame: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    return frame.drop(columns="t").assign(period=periods[frame["t"].to_numpy(dtype=int)])


def _loads(hours: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    return _dated(hours, periods).assign(load_ratio=hours["used_hours"] / hours["regular_hours"].where(hours["regular_hours"] > 0))


def _beside(frame: pd.DataFrame, base: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Every measure with that of base; what base did not have stays empty there."""
    measures = [column for column in frame if column not in key]
    before = base[[*key, *measures]].rename(columns={column: f"base_{column}" for column in measures})
    if len(before) == len(frame) and all(np.array_equal(frame[column].to_numpy(), before[column].to_numpy()) for column in key):
        return pd.concat([frame.reset_index(drop=True), before.drop(columns=key).reset_index(drop=True)], axis=1)
    return frame.merge(before, on=key, how="outer", validate="1:1")
