"""Planning situations for tests: folders under `tests/plans`, and small random companies."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from sop_workbench import tables
from sop_workbench.settings import Settings, load_settings
from sop_workbench.supply import SupplyResult, plan_supply

PLANS = Path(__file__).parent / "plans"


class Situation(NamedTuple):
    """Everything a supply plan needs."""

    inputs: dict[str, pd.DataFrame]
    demand: pd.DataFrame
    target: pd.DataFrame
    settings: Settings
    periods: pd.DatetimeIndex

    def plan(self, **changes) -> SupplyResult:
        """Plan, with other inputs, demand, target or settings where given."""
        new = self._replace(**changes)
        return plan_supply(new.inputs, new.demand, new.target, new.settings, new.periods, new.settings.calendar)

    def with_table(self, name: str, **values) -> Situation:
        """The same situation with columns of one input table set."""
        return self._replace(inputs={**self.inputs, name: self.inputs[name].assign(**values)})

    def with_supply(self, **options) -> Situation:
        """The same situation with other rules of the supply plan."""
        return self._replace(settings=self.settings.model_copy(update={"supply": self.settings.supply.model_copy(update=options)}))


def read_situation(name: str) -> Situation:
    """Read one folder of `tests/plans`: `sop.yaml`, input tables, `consensus_demand`, `inventory_target` as CSV."""
    folder = PLANS / name
    demand = read_table(folder, "consensus_demand")
    inputs = {table: read_table(folder, table) for table in tables.names("input")}
    periods = pd.DatetimeIndex(sorted(demand["period"].unique()))
    return Situation(inputs, demand, read_table(folder, "inventory_target"), load_settings(folder), periods)


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """One table of a folder; empty where the folder has no file of it."""
    path = folder / f"{name}.csv"
    if not path.is_file():
        return tables.table(name).empty()
    return tables.validate(name, pd.read_csv(path, dtype=str, keep_default_na=False))
