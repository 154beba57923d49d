"""Scenarios: named lists of levers on the tables of a cycle, evaluated by the same functions as base and compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

BASE = "base"


class Lever(BaseModel):
    """One change of one table: table, column, operation, value, where, from_period, to_period."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Scenario(BaseModel):
    """A named list of levers: scenario_id, title, reason, levers; `base` has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def load_scenario(path: Path) -> Scenario:
    """Read one scenario file."""
    raise NotImplementedError


def load_scenarios(folder: Path) -> list[Scenario]:
    """Read every scenario file of a folder, by name; all faults at once."""
    raise NotImplementedError


def apply_levers(tables: Mapping[str, pd.DataFrame], levers: tuple[Lever, ...], calendar: Calendar) -> dict[str, pd.DataFrame]:
    """Copies of the tables with the levers applied one after another; the tables given are never changed."""
    raise NotImplementedError


def evaluate(
    inputs: Mapping[str, pd.DataFrame], consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame,
    levers: tuple[Lever, ...], settings: Settings, periods: pd.DatetimeIndex, calendar: Calendar,
) -> dict[str, pd.DataFrame]:
    """Plan and value one scenario; the result tables of supply and finance by name."""
    raise NotImplementedError


def evaluate_all(
    scenarios: list[Scenario], inputs: Mapping[str, pd.DataFrame], consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame,
    settings: Settings, periods: pd.DatetimeIndex, calendar: Calendar,
) -> dict[str, dict[str, pd.DataFrame]]:
    """Evaluate several scenarios, in `settings.compute.workers` processes; an infeasible one has no tables."""
    raise NotImplementedError


def compare(results: Mapping[str, Mapping[str, pd.DataFrame]], scenarios: list[Scenario], calendar: Calendar) -> pd.DataFrame:
    """Every measure of every scenario beside base; returns `scenario_comparison`.

    `results` holds, by scenario_id, the tables financial_projection, unmet_demand, resource_plan, cash_projection
    (an empty mapping: no feasible plan was found); it must hold `base`.
    """
    raise NotImplementedError
