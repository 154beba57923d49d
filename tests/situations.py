"""Planning situations for tests: folders under `tests/plans`, and small random companies."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
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


def frame(name: str, rows: list[dict]) -> pd.DataFrame:
    """Rows as a conformed table; empty when there are none."""
    return tables.validate(name, pd.DataFrame(rows)) if rows else tables.table(name).empty()


class RandomCompany:
    """A small company drawn from a seed: up to 2 plants, a warehouse, 3 markets, a BOM 3 levels deep, everything the model knows.

    Prices may lie below cost, suppliers may be too small, lead times too long: every company has a plan all the same.
    """

    def __init__(self, seed: int, horizon: int = 5, shortage: str = "lost_sales") -> None:
        self.draw = np.random.default_rng(seed)
        self.periods = pd.date_range("2026-01-01", periods=horizon, freq="MS")
        self.plants = [f"P{n}" for n in range(1, 1 + self.draw.integers(1, 3))]
        self.finished = [f"F{n}" for n in range(1, 1 + self.draw.integers(1, 4))]
        self.components = [f"C{n}" for n in range(1, 1 + self.draw.integers(1, 3))]
        self.materials = ["M1", "M2"]
        self.markets = [f"K{n}" for n in range(1, 1 + self.draw.integers(1, 4))]
        self.settings = Settings(company="Random", supply={"shortage": shortage})

    def situation(self) -> Situation:
        """The whole planning situation."""
        drawn = {"item": self._items(), "market": self._markets(), "location": self._locations(), "resource": self._resources(),
                 "capacity": self._capacity(), "workforce": self._crew(), "production": self._production(), "routing": self._routing(),
                 "bill_of_material": self._bom(), "supplier_item": self._suppliers(), "lane": self._lanes(), "stock_on_hand": self._stock(),
                 "open_supply": self._open_supply()}
        inputs = {name: frame(name, drawn.get(name, [])) for name in tables.names("input")}
        return Situation(inputs, frame("consensus_demand", self._demand()), frame("inventory_target", self._targets()), self.settings,
                         self.periods)

    def _maybe(self, chance: float) -> bool:
        return bool(self.draw.random() < chance)

    def _number(self, low: float, high: float) -> float:
        return round(float(self.draw.uniform(low, high)), 2)

    def _items(self) -> list[dict]:
        kinds = [("finished", self.finished, 30), ("component", self.components, 8), ("material", self.materials, 2)]
        return [{"item_id": item, "item_name": item, "item_type": kind, "family": "Goods" if kind == "finished" else None,
                 "standard_cost_amt": self._number(cost, 2 * cost), "storage_qty": self._number(0.5, 2)}
                for kind, items, cost in kinds for item in items]

    def _markets(self) -> list[dict]:
        return [{"market_id": market, "market_name": market, "region": "North", "channel": "Retail", "priority": n + 1,
                 "min_fill_ratio": 0.8 if self._maybe(0.3) else 0.0} for n, market in enumerate(self.markets)]

    def _locations(self) -> list[dict]:
        rows = [{"location_id": plant, "location_name": plant, "location_type": "plant"} for plant in self.plants]
        limit = self._number(50, 400) if self._maybe(0.5) else None
        return [*rows, {"location_id": "W", "location_name": "Warehouse", "location_type": "warehouse", "storage_limit_qty": limit}]

    def _resources(self) -> list[dict]:
        return [{"resource_id": f"R{plant}", "resource_name": f"Line {plant}", "location_id": plant, "regular_cost_amt_per_hour": 20.0,
                 "overtime_cost_amt_per_hour": 30.0} for plant in self.plants]

    def _capacity(self) -> list[dict]:
        return [{"resource_id": f"R{plant}", "period": period, "regular_hours": self._number(0, 150), "overtime_hours": self._number(0, 30)}
                for plant in self.plants for period in self.periods]

    def _crew(self) -> list[dict]:
        if not self._maybe(0.4):
            return []
        return [{"resource_id": "RP1", "opening_workers": 5, "hours_per_worker": 20, "overtime_hours_per_worker": 4,
                 "regular_cost_amt_per_worker": 300, "hire_cost_amt": 100, "layoff_cost_amt": 150, "max_workers": 8}]

    def _production(self) -> list[dict]:
        return [{"item_id": item, "location_id": plant, "variable_cost_amt": self._number(1, 5), "yield_ratio": self._number(0.8, 1),
                 "lead_time_days": self.draw.choice([0, 30]), "max_qty": self._number(20, 200) if self._maybe(0.3) else None,
                 "subcontract_cost_amt": self._number(40, 80) if self._maybe(0.3) else None,
                 "subcontract_limit_qty": self._number(5, 50) if self._maybe(0.5) else None,
                 "backlog_cost_amt": self._number(1, 10)}
                for plant in self.plants for item in [*self.finished, *self.components]]

    def _routing(self) -> list[dict]:
        return [{"item_id": item, "location_id": plant, "resource_id": f"R{plant}", "hours_per_unit": self._number(0.1, 1.5)}
                for plant in self.plants for item in [*self.finished, *self.components]]

    def _bom(self) -> list[dict]:
        lines = [(item, component) for item in self.finished for component in self.components if self._maybe(0.8)]
        lines += [(component, material) for component in self.components for material in self.materials if self._maybe(0.8)]
        return [{"parent_item_id": parent, "component_item_id": part, "quantity_per": self._number(0.5, 3),
                 "scrap_ratio": self._number(0, 0.2)} for parent, part in lines]

    def _suppliers(self) -> list[dict]:
        return [{"item_id": item, "supplier_id": f"S{n}", "location_id": plant, "unit_cost_amt": self._number(1, 4),
                 "lead_time_days": self.draw.choice([0, 30, 60]), "max_qty": self._number(50, 500) if self._maybe(0.5) else None}
                for plant in self.plants for item in self.materials for n in (1, 2) if self._maybe(0.8)]

    def _lanes(self) -> list[dict]:
        rows = [{"from_location_id": plant, "to_id": "W", "freight_cost_amt": 1.0, "lead_time_days": self.draw.choice([0, 30])}
                for plant in self.plants]
        rows += [{"from_location_id": "W", "to_id": market, "freight_cost_amt": self._number(1, 3),
                  "max_qty": self._number(20, 100) if self._maybe(0.3) else None} for market in self.markets]
        own = {"from_location_id": "P1", "to_id": self.markets[0], "item_id": self.finished[0], "freight_cost_amt": 0.5}
        return [*rows, own] if self._maybe(0.5) else rows

    def _stock(self) -> list[dict]:
        places = [(item, plant) for plant in self.plants for item in [*self.components, *self.materials]]
        places += [(item, "W") for item in self.finished]
        return [{"item_id": item, "location_id": place, "on_hand_qty": self._number(0, 80), "as_of_date": "2025-12-31"}
                for item, place in places if self._maybe(0.7)]

    def _open_supply(self) -> list[dict]:
        return [{"order_id": f"O{n}", "item_id": self.draw.choice(self.materials), "location_id": "P1", "kind": "purchase",
                 "open_qty": self._number(5, 50),
                 "due_date": pd.Timestamp("2025-12-20") + pd.Timedelta(days=int(self.draw.integers(0, 120)))}
                for n in range(self.draw.integers(0, 4))]

    def _demand(self) -> list[dict]:
        rows = []
        for item in self.finished:
            for market in self.markets:
                price = self._number(20, 120)
                rows += [{"item_id": item, "market_id": market, "period": period, "demand_qty": self._number(0, 60), "price_amt": price}
                         for period in self.periods if self._maybe(0.9)]
        return [{**row, "low_qty": row["demand_qty"], "high_qty": row["demand_qty"], "revenue_amt": row["demand_qty"] * row["price_amt"]}
                for row in rows]

    def _targets(self) -> list[dict]:
        places = [(item, "W") for item in self.finished] + [(item, "P1") for item in self.materials]
        return [{"item_id": item, "location_id": place, "period": period, "safety_stock_qty": 10.0, "target_qty": 15.0,
                 "service_level_ratio": 0.95, "lead_time_days": 30.0, "error_qty": 5.0, "method": "given"}
                for item, place in places for period in self.periods if self._maybe(0.7)]
