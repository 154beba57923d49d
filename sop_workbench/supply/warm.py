"""The plan kept loaded: changed tables become changed numbers in HiGHS, which goes on from its last basis.

A change is answered in the quickest of three ways that is right, and the answer says which:

* **direct**: the column of a table is declared in `DIRECT`, with the rows and columns of the model it stands in; only these move;
* **restated**: anything else is stated as the cold plan states it, compared with what is loaded, and the difference moved;
* **rebuilt**: where the comparison finds another set of rows or columns (a new lane, a removed site) the model is loaded anew.

A direct change is not trusted blindly: before the first one the declared numbers must equal those of the compiled model, and a
constraint family this module does not know switches the direct way off for what it may touch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import highspy
import numpy as np
import pandas as pd

from sop_workbench.errors import SolverError
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.supply.compile import Arrays, Block
from sop_workbench.supply.instance import PLACE, SALE, Instance, supply_instance
from sop_workbench.supply.plan import compiled_plan, plan_supply
from sop_workbench.supply.solve import refuse_endless_numbers
from sop_workbench.supply.vary import VariedPlan

Tables = Mapping[str, pd.DataFrame]
Values = Mapping[tuple[str, str], np.ndarray]

_ORDER = ["item_id", "supplier_id", "location_id"]
_WAY = ["from_location_id", "to_id"]
clock = time.perf_counter  # of the seconds an answer tells
_MOST_COEFFICIENTS = 5_000  # changed one by one; more are passed as a whole model with its basis kept

# Columns that no part of the supply plan reads: a change there changes nothing.
_UNREAD = frozenset({("consensus_demand", "low_qty"), ("consensus_demand", "high_qty"), ("consensus_demand", "revenue_amt")})
_UNREAD_TABLES = frozenset({"price"})  # demand bears its own price
# Families and variables of which every declared column is known to stand, or not to stand, in them.
_DECLARED = frozenset(
    {
        "stock_balance",
        "material_balance",
        "market_balance",
        "hours_balance",
        "crew_balance",
        "capacity_limit",
        "overtime_limit",
        "crew_hours",
        "crew_overtime",
        "crew_limit",
        "production_limit",
        "subcontract_limit",
        "supplier_limit",
        "lane_limit",
        "storage_limit",
        "stock_floor",
        "stock_ceiling",
        "frozen_zone",
        "safety_stock",
        "contract_floor",
        "closing_qty",
        "safety_shortfall_qty",
        "storage_overflow_qty",
        "production_qty",
        "subcontract_qty",
        "consumed_qty",
        "regular_used_hours",
        "overtime_used_hours",
        "worker_count",
        "hired_count",
        "laid_off_count",
        "purchase_qty",
        "transfer_qty",
        "delivery_qty",
        "lost_qty",
        "backlog_qty",
        "floor_shortfall_qty",
    }
)
# Further ones and the tables whose declared columns they are made of too; any other may be made of every table.
_FURTHER: dict[str, frozenset[str]] = {
    "strategic_share": frozenset({"consensus_demand"}),
    "strategic_shortfall_qty": frozenset({"consensus_demand"}),
    "frozen_shortfall_qty": frozenset({"consensus_demand"}),
    "prebuilt_qty": frozenset({"consensus_demand"}),
    "chase_stock": frozenset({"consensus_demand", "inventory_target"}),
    "level_ceiling": frozenset({"capacity"}),
    "level_floor": frozenset({"capacity"}),
    "level_hours": frozenset(),
    **dict.fromkeys(
        ("shelf_life", "expired_qty", "production_smoothing", "production_rise_qty", "production_fall_qty", "plan_change", "plan_rise_qty",
         "plan_fall_qty"), frozenset()),
}


@dataclass(frozen=True)
class Numbers:
    """All numbers of a loaded model that a change may move.

    Attributes
    ----------
    cost, lower, upper : ndarray
        By column.
    row_lower, row_upper : ndarray
        By row.
    price_amt, demand_qty : ndarray
        By row of the instance's demand; revenue and service are read with them.
    offset : float
        Constant of the objective.
    """

    cost: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray
    price_amt: np.ndarray
    demand_qty: np.ndarray
    offset: float

    @staticmethod
    def of(arrays: Arrays, instance: Instance) -> Numbers:
        """The numbers of a compiled model."""
        demand = instance.demand
        return Numbers(
            arrays.cost,
            arrays.lower,
            arrays.upper,
            arrays.row_lower,
            arrays.row_upper,
            demand["price_amt"].to_numpy(dtype=float),
            demand["demand_qty"].to_numpy(dtype=float),
            arrays.offset,
        )


@dataclass(frozen=True)
class Effect:
    """Where the values of a table's column stand in the model: number = rate × value + rest.

    `number` names a vector of `Numbers`; `place` its entries, `source` the row of the table behind each of them.
    """

    number: str
    source: np.ndarray
    place: np.ndarray
    rate: np.ndarray
    rest: np.ndarray | float = 0.0


@dataclass(frozen=True)
class Answer:
    """One solve of the loaded plan.

    Attributes
    ----------
    value, row_price : ndarray
        Quantities by column, worth of one more unit by row.
    objective_amt : float
        Profit less penalties.
    instance, arrays : Instance, Arrays
        What rows and columns mean (those of the changed plan where it was restated or rebuilt).
    numbers : Numbers
        As they stood when solved.
    way : str
        `unchanged`, `direct`, `restated` or `rebuilt`.
    seconds : dict of str to float
        Spent in `update`, `solve` and `read`.
    """

    value: np.ndarray
    row_price: np.ndarray
    objective_amt: float
    instance: Instance
    arrays: Arrays
    numbers: Numbers
    way: str
    seconds: dict[str, float] = field(default_factory=dict)


class LoadedPlan:
    """The supply plan of one situation, held in HiGHS and solved anew for any change of its tables.

    Whole lots are read as any quantity (`is_relaxed` says so): an answer takes milliseconds, a search for whole lots minutes.

    Parameters
    ----------
    inputs, consensus_demand, inventory_target, settings, periods, calendar, frozen_plan
        As for `plan_supply`.

    Raises
    ------
    DataError, InfeasiblePlanError, UnboundedPlanError, SolverError
        As `plan_supply`, when the unchanged plan has none.
    """

    def __init__(
        self,
        inputs: Tables,
        consensus_demand: pd.DataFrame,
        inventory_target: pd.DataFrame,
        settings: Settings,
        periods: pd.DatetimeIndex,
        calendar: Calendar,
        frozen_plan: pd.DataFrame | None = None,
    ) -> None:
        self.tables = {**inputs, "consensus_demand": consensus_demand, "inventory_target": inventory_target}
        self.settings, self.periods, self.calendar, self.frozen_plan = settings, periods, calendar, frozen_plan
        instance, arrays = self._stated(self.tables)
        self.is_relaxed = settings.supply.is_integer_lots
        self._loaded = _Loaded(instance, arrays, settings)
        self._rebuilt: _Loaded | None = None
        self._effects: dict[tuple[str, str], list[Effect] | None] = {}
        self.base = self._answered(self._loaded.numbers, "unchanged", clock(), {})

    @property
    def instance(self) -> Instance:
        """Sets and parameters of the unchanged plan."""
        return self._loaded.instance

    @property
    def arrays(self) -> Arrays:
        """The unchanged plan as arrays, every quantity free to be a fraction."""
        return self._loaded.arrays

    # -------------------------------------------------------------- changing
    def with_tables(self, changed: Tables) -> Answer:
        """The best plan of changed tables; tables not given are those of the unchanged plan.

        Raises
        ------
        DataError, InfeasiblePlanError, UnboundedPlanError, SolverError
            As `plan_supply`; the loaded plan stays as it is and answers the next change.
        """
        begun = clock()
        values = self._changed_values(changed)
        direct = None if values is None else self._direct(values)
        if direct is not None:
            return self._answered(direct, "direct" if values else "unchanged", begun, changed)
        instance, arrays = self._stated({**self.tables, **changed})
        for loaded in (self._loaded, self._rebuilt):
            if loaded is not None and loaded.has_shape_of(arrays):
                try:
                    return loaded.solve(Numbers.of(arrays, instance), "restated", begun, instance, arrays)
                except _NoAnswerError:
                    break
        return self._solved_anew(changed, begun, instance, arrays)

    def with_values(self, values: Values) -> Answer | None:
        """The best plan with whole columns of tables replaced, by (table, column); None when that takes more than moving numbers.

        Raises
        ------
        InfeasiblePlanError, UnboundedPlanError, SolverError
            As `plan_supply`.
        """
        begun = clock()
        direct = self._direct(values)
        if direct is None:
            return None
        changed: dict[str, pd.DataFrame] = {}
        for (table, column), after in values.items():
            changed[table] = changed.get(table, self.tables[table]).assign(**{column: after})
        return self._answered(direct, "direct" if values else "unchanged", begun, changed)

    def _answered(self, numbers: Numbers, way: str, begun: float, changed: Tables) -> Answer:
        try:
            return self._loaded.solve(numbers, way, begun)
        except _NoAnswerError:
            return self._solved_anew(changed, begun, *self._stated({**self.tables, **changed}))

    def _solved_anew(self, changed: Tables, begun: float, instance: Instance, arrays: Arrays) -> Answer:
        """The plan loaded anew; where it has none either, the cold plan says why in planners' words."""
        self._rebuilt = None  # its memory goes before the next takes its own
        try:
            self._rebuilt = _Loaded(instance, arrays, self.settings)
            return self._rebuilt.solve(self._rebuilt.numbers, "rebuilt", begun)
        except _NoAnswerError as fault:
            self._rebuilt = None
            tables = {**self.tables, **changed}
            demand, target = tables.pop("consensus_demand"), tables.pop("inventory_target")
            plan_supply(tables, demand, target, self.settings, self.periods, self.calendar, frozen_plan=self.frozen_plan)
            raise SolverError(
                f"the solver stopped without a plan ({fault}); raise supply.time_limit_seconds, or plan fewer periods"
            ) from None

    def effects(self, table: str, column: str) -> list[Effect] | None:
        """Where a column of a table stands in the model, or None when it is not declared or may stand elsewhere too."""
        key = table, column
        if key not in self._effects:
            build = DIRECT.get(key)
            found = build(self) if build is not None and not self._is_touched_elsewhere(table) else None
            values = self.tables[table][column].to_numpy(dtype=float) if found else np.array([])
            base = self._loaded.numbers
            is_right = found is not None and all(
                (effect.place >= 0).all()
                and np.allclose(
                    getattr(base, effect.number)[effect.place], effect.rate * values[effect.source] + effect.rest, rtol=1e-9, atol=1e-9
                )
                for effect in found
            )
            self._effects[key] = found if is_right else None
        return self._effects[key]

    def _is_touched_elsewhere(self, table: str) -> bool:
        """The model holds a family or variable that may be made of this table in ways not declared here."""
        present = (name for blocks in (self.arrays.rows, self.arrays.columns) for name, block in blocks.items() if len(block.positions))
        return any(name not in _DECLARED and table in _FURTHER.get(name, {table}) for name in present)

    def _changed_values(self, changed: Tables) -> dict[tuple[str, str], np.ndarray] | None:
        """The columns of numbers that differ; None when rows came or went or anything else differs."""
        values: dict[tuple[str, str], np.ndarray] = {}
        for name, after in changed.items():
            before = self.tables.get(name)
            if after is before or name in _UNREAD_TABLES:
                continue
            if before is None or len(before) != len(after) or set(before) != set(after):
                return None
            for column in before:
                if (name, column) in _UNREAD or before[column].equals(after[column]):
                    continue
                if (name, column) not in DIRECT:
                    return None
                values[name, column] = after[column].to_numpy(dtype=float)
        return values

    def _direct(self, values: Values) -> Numbers | None:
        """The numbers with the declared effects of changed columns, or None when one of them is more than numbers."""
        moved: dict[str, np.ndarray] = {}
        base = self._loaded.numbers
        for (table, column), after in values.items():
            effects = self.effects(table, column)
            before = self.tables[table][column].to_numpy(dtype=float)
            if effects is None or not _is_number_change(before, after, is_strict=(table, column) in _STATES_A_SET):
                return None
            change = after - before
            for effect in effects:
                vector = moved.setdefault(effect.number, getattr(base, effect.number).copy())
                step = change[effect.source]
                hit = np.flatnonzero(step)
                vector[effect.place[hit]] += effect.rate[hit] * step[hit]
        return self._completed(replace(base, **moved)) if moved else base  # type: ignore[arg-type]

    def _completed(self, numbers: Numbers) -> Numbers:
        """What follows from prices and demand together: the constant of the objective, the price of overflow."""
        demand, base = self.instance.demand, self._loaded.numbers
        if numbers.price_amt is base.price_amt and numbers.demand_qty is base.demand_qty:
            return numbers
        waiting = demand["opening_backlog_qty"].to_numpy(dtype=float)
        offset = base.offset + float(numbers.price_amt @ (numbers.demand_qty + waiting) - base.price_amt @ (base.demand_qty + waiting))
        overflow = self.arrays.columns["storage_overflow_qty"].positions
        if numbers.price_amt is base.price_amt or not len(overflow):
            return replace(numbers, offset=offset)
        cost = numbers.cost.copy()
        cost[overflow] = -_highest_price_per_place(self.instance, numbers.price_amt)
        return replace(numbers, offset=offset, cost=cost)

    def _stated(self, tables: Tables) -> tuple[Instance, Arrays]:
        """The plan of these tables, stated as the cold plan is; whole lots may be any quantity."""
        inputs = {name: frame for name, frame in tables.items() if name not in ("consensus_demand", "inventory_target")}
        instance = supply_instance(
            inputs, tables["consensus_demand"], tables["inventory_target"], self.settings, self.periods, self.calendar, self.frozen_plan
        )
        arrays = compiled_plan(instance, self.settings)
        refuse_endless_numbers(arrays)
        return instance, replace(arrays, is_integer=np.zeros_like(arrays.is_integer))


# ------------------------------------------------------------------ the solver with one model in it
class _NoAnswerError(Exception):
    """HiGHS ended without an optimum from where it stood."""


class _Loaded:
    """One model in HiGHS: what its numbers were at first, what they are now, and the basis of the first solve."""

    def __init__(self, instance: Instance, arrays: Arrays, settings: Settings) -> None:
        self.instance, self.arrays, self.settings = instance, arrays, settings
        self.numbers = self._now = Numbers.of(arrays, instance)
        self._matrix = arrays.matrix
        self._plan = VariedPlan(arrays, settings)
        self._basis: highspy.HighsBasis | None = None

    def has_shape_of(self, arrays: Arrays) -> bool:
        """Same rows and columns, in the same places."""
        return all(
            mine.keys() == other.keys() and all(_is_same(mine[name], other[name]) for name in mine)
            for mine, other in ((self.arrays.rows, arrays.rows), (self.arrays.columns, arrays.columns))
        )

    def solve(self, numbers: Numbers, way: str, begun: float, instance: Instance | None = None, arrays: Arrays | None = None) -> Answer:
        """Move what differs from what is loaded, go on from the last basis, read quantities and prices."""
        arrays = arrays or self.arrays
        if not arrays.columns_count:
            return Answer(np.array([]), np.zeros(len(arrays.row_lower)), numbers.offset, instance or self.instance, arrays, numbers, way)
        self._move(numbers, arrays)
        updated = clock()
        self._run()
        solved = clock()
        found = self._plan.answer()
        value = np.where(np.abs(found.value) < 1e-9, 0.0, found.value)  # solver noise is not a quantity
        seconds = {"update": updated - begun, "solve": solved - updated, "read": clock() - solved}
        return Answer(value, found.row_price, found.objective_amt, instance or self.instance, arrays, numbers, way, seconds)

    def _run(self) -> None:
        try:
            self._plan.run()
        except SolverError as fault:
            if self._basis is not None:
                self._plan.start_from(self._basis)
            raise _NoAnswerError(str(fault)) from None
        if self._basis is None:
            self._basis = self._plan.basis

    def _move(self, numbers: Numbers, arrays: Arrays) -> None:
        """Change in HiGHS what differs from what it holds."""
        if not self._move_matrix(numbers, arrays):
            now, plan = self._now, self._plan
            place = _apart((now.cost, numbers.cost))
            plan.price_columns(place, numbers.cost[place])
            place = _apart((now.lower, numbers.lower), (now.upper, numbers.upper))
            plan.limit_columns(place, numbers.lower[place], numbers.upper[place])
            place = _apart((now.row_lower, numbers.row_lower), (now.row_upper, numbers.row_upper))
            plan.limit_rows(place, numbers.row_lower[place], numbers.row_upper[place])
            if numbers.offset != now.offset:
                plan.constant(numbers.offset)
        self._now = numbers
        if numbers is self.numbers and self._basis is not None:
            self._plan.start_from(self._basis)  # back at the start: its basis is the best

    def _move_matrix(self, numbers: Numbers, arrays: Arrays) -> bool:
        """Change coefficients in place; where they are many, pass the whole model (then nothing else is left to move)."""
        matrix = arrays.matrix
        if matrix is self._matrix:
            return False
        differing = (matrix - self._matrix).tocoo()
        row, column = differing.coords
        self._matrix = matrix
        if not len(row):
            return False
        if len(row) > _MOST_COEFFICIENTS:
            self._plan = VariedPlan(_with_numbers(arrays, numbers), self.settings, like=self._plan)
            return True
        self._plan.coefficients(row, column, np.asarray(matrix[row, column]).ravel())
        return False


def _with_numbers(arrays: Arrays, numbers: Numbers) -> Arrays:
    return replace(
        arrays,
        cost=numbers.cost,
        offset=numbers.offset,
        lower=numbers.lower,
        upper=numbers.upper,
        row_lower=numbers.row_lower,
        row_upper=numbers.row_upper,
    )


def _apart(*pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Places where one of the pairs differs."""
    if all(now is then for now, then in pairs):
        return np.array([], dtype=np.int32)
    differs = np.zeros(len(pairs[0][0]), dtype=bool)
    for now, then in pairs:
        differs |= now != then
    return np.flatnonzero(differs).astype(np.int32)


def _is_same(mine: Block, other: Block) -> bool:
    return len(mine.keys) == len(other.keys) and np.array_equal(mine.positions, other.positions) and list(mine.keys) == list(other.keys)


def _is_number_change(before: np.ndarray, after: np.ndarray, *, is_strict: bool) -> bool:
    """Only numbers changed: nothing became empty, endless or negative; where zero means that no row is stated, none became or left zero."""
    changed = before != after
    new, old = after[changed], before[changed]
    stays = np.isnan(new) == np.isnan(old)
    if not stays.all() or np.isinf(new).any() or (new < 0).any():
        return False
    return not is_strict or bool(((new > 0) == (old > 0))[~np.isnan(new)].all())


def _highest_price_per_place(instance: Instance, price_amt: np.ndarray) -> float:
    """As `model.highest_price_per_storage_place`, at other prices."""
    size = instance.demand["item_id"].map(instance.stocked.groupby("item_id")["storage_qty"].first()).to_numpy(dtype=float)
    earned = price_amt[size > 0] / size[size > 0]
    return max(1.0, float(earned.max())) if len(earned) else 1.0


# ------------------------------------------------------------------ where the columns of tables stand
def _at(block: Block | None, frame: pd.DataFrame, key: list[str]) -> np.ndarray:
    """Position of each row of a frame in a block of the model; −1 where it is not there."""
    if block is None or not len(block.positions) or frame.empty:
        return np.full(len(frame), -1)
    names = pd.MultiIndex.from_tuples(block.keys) if len(key) > 1 else pd.Index([entry[0] for entry in block.keys])
    wanted = pd.MultiIndex.from_frame(frame[key]) if len(key) > 1 else pd.Index(frame[key[0]])
    found = names.get_indexer(wanted)
    return np.where(found >= 0, block.positions[found], -1)


def _spread(loaded: LoadedPlan, table: str) -> pd.DataFrame:
    """The rows of a table with their number `source`, in every period where it has none of its own."""
    frame = loaded.tables[table].assign(source=np.arange(len(loaded.tables[table])))
    if "period" in frame:
        frame["t"] = loaded.periods.get_indexer(frame["period"])
        return frame[frame["t"] >= 0]
    return frame.merge(pd.DataFrame({"t": range(len(loaded.periods))}), how="cross")


def _every_key_found(block: Block | None, place: np.ndarray) -> bool:
    return block is None or len(block.positions) == (place >= 0).sum()


def _limit(table: str, family: str, key: list[str], number: str = "row_upper") -> Callable[[LoadedPlan], list[Effect] | None]:
    """The column is the limit of a family's rows."""

    def effects(loaded: LoadedPlan) -> list[Effect] | None:
        rows, block = _spread(loaded, table), loaded.arrays.rows.get(family)
        place = _at(block, rows, [*key, "t"])
        found = place >= 0
        effect = Effect(number, rows["source"].to_numpy()[found], place[found], np.ones(found.sum()))
        return [effect] if _every_key_found(block, place) else None

    return effects


def _unit_cost(table: str, variable: str, key: list[str]) -> Callable[[LoadedPlan], list[Effect] | None]:
    """The column is what one unit of a variable costs."""

    def effects(loaded: LoadedPlan) -> list[Effect] | None:
        rows, block = _spread(loaded, table), loaded.arrays.columns.get(variable)
        place = _at(block, rows, [*key, "t"])
        found = place >= 0
        effect = Effect("cost", rows["source"].to_numpy()[found], place[found], -np.ones(found.sum()))
        return [effect] if _every_key_found(block, place) else None

    return effects


def _purchase_cost(loaded: LoadedPlan) -> list[Effect] | None:
    """A purchase price that is also the worth of what has no standard cost moves holding cost too: not declared here."""
    item, bought = loaded.tables["item"], loaded.tables["supplier_item"]
    unvalued = set(item.loc[item["standard_cost_amt"].isna(), "item_id"])
    return None if unvalued & set(bought["item_id"]) else _unit_cost("supplier_item", "purchase_qty", _ORDER)(loaded)


def _hour_cost(variable: str) -> Callable[[LoadedPlan], list[Effect] | None]:
    """The column is what an hour costs; of a crew, regular hours are paid by head."""

    def effects(loaded: LoadedPlan) -> list[Effect] | None:
        rows, block = _spread(loaded, "resource"), loaded.arrays.columns.get(variable)
        crews = set(loaded.instance.crew["resource_id"]) if variable == "regular_used_hours" else set()
        rows = rows[~rows["resource_id"].isin(crews)]
        place = _at(block, rows, ["resource_id", "t"])
        found = place >= 0
        return [Effect("cost", rows["source"].to_numpy()[found], place[found], -np.ones(found.sum()))]

    return effects


def _freight(loaded: LoadedPlan) -> list[Effect] | None:
    """Freight of a lane on every item that goes over it."""
    lane = loaded.tables["lane"]
    lane = lane.assign(source=np.arange(len(lane)))[[*_WAY, "item_id", "source"]].rename(columns={"item_id": "lane_item_id"})
    effects = []
    for frame, end, variable in (
        (loaded.instance.transfer, "to_id", "transfer_qty"),
        (loaded.instance.delivery, "market_id", "delivery_qty"),
    ):
        ways = frame[["item_id", "from_location_id", end, "lane_item_id"]].rename(columns={end: "to_id"})
        ways = ways.merge(lane, on=[*_WAY, "lane_item_id"], validate="m:1").merge(
            pd.DataFrame({"t": range(len(loaded.periods))}), how="cross"
        )
        block = loaded.arrays.columns.get(variable)
        place = _at(block, ways, ["item_id", *_WAY, "t"])
        if not _every_key_found(block, place):
            return None
        found = place >= 0
        effects.append(Effect("cost", ways["source"].to_numpy()[found], place[found], -np.ones(found.sum())))
    return effects


def _lane_limit(loaded: LoadedPlan) -> list[Effect] | None:
    return _limit("lane", "lane_limit", [*_WAY, "item_id"])(loaded)


def _demand_rows(loaded: LoadedPlan) -> np.ndarray:
    """The row of `consensus_demand` behind each row of the instance's demand; −1 for a period that only waits for late orders."""
    rows = _spread(loaded, "consensus_demand")
    names = pd.MultiIndex.from_frame(rows[[*SALE, "t"]])
    found = names.get_indexer(pd.MultiIndex.from_frame(loaded.instance.demand[[*SALE, "t"]]))
    return np.where(found >= 0, rows["source"].to_numpy()[found], -1)


def _asked(loaded: LoadedPlan) -> list[Effect] | None:
    """Demand stands in the market balance and, by its ratio, in contract floors."""
    demand, arrays, key = loaded.instance.demand, loaded.arrays, [*SALE, "t"]
    source = _demand_rows(loaded)
    short = "lost_qty" if len(arrays.columns["lost_qty"].positions) else "backlog_qty"
    row, column = _at(arrays.rows["market_balance"], demand, key), _at(arrays.columns[short], demand, key)
    if (row < 0).any() or (column < 0).any() or demand.empty:
        return None
    sign = np.asarray(arrays.matrix[row, column]).ravel()
    waiting = sign * demand["opening_backlog_qty"].to_numpy(dtype=float)
    stated = np.flatnonzero(source >= 0)
    effects = [Effect(number, source[stated], row[stated], sign[stated], waiting[stated]) for number in ("row_lower", "row_upper")]
    effects.append(Effect("demand_qty", source[stated], stated, np.ones(len(stated))))
    floor = _at(arrays.rows["contract_floor"], demand, key)
    held = np.flatnonzero((floor >= 0) & (source >= 0))
    effects.append(Effect("row_lower", source[held], floor[held], demand["floor_ratio"].to_numpy(dtype=float)[held]))
    return effects


def _asked_price(loaded: LoadedPlan) -> list[Effect] | None:
    """A price is lost with every unit lost or late at the end, and sets what losing or falling below a floor is punished with."""
    demand, columns, rule, key = loaded.instance.demand, loaded.arrays.columns, loaded.settings.supply, [*SALE, "t"]
    source = _demand_rows(loaded)
    if (source < 0).any():
        return None  # a period that only waits takes the price of another
    effects = [Effect("price_amt", source, np.arange(len(demand)), np.ones(len(demand)))]
    goodwill = 1 + rule.lost_sales_penalty_ratio / demand["priority"].to_numpy(dtype=float)
    late = demand["backlog_cost_amt"].to_numpy(dtype=float)
    floor = np.full(len(demand), rule.contract_floor_penalty_ratio)
    is_last = demand["t"].to_numpy() == len(loaded.periods) - 1
    for variable, rate, rest, is_meant in (
        ("lost_qty", goodwill, 0.0 * late, True),
        ("backlog_qty", goodwill, late, is_last),
        ("floor_shortfall_qty", floor, 0.0 * late, True),
    ):
        place = _at(columns[variable], demand, key)
        found = np.flatnonzero((place >= 0) & is_meant)
        effects.append(Effect("cost", source[found], place[found], -rate[found], -rest[found]))
    return effects


DIRECT: dict[tuple[str, str], Callable[[LoadedPlan], list[Effect] | None]] = {
    ("consensus_demand", "demand_qty"): _asked,
    ("consensus_demand", "price_amt"): _asked_price,
    ("inventory_target", "safety_stock_qty"): _limit("inventory_target", "safety_stock", PLACE, "row_lower"),
    ("capacity", "regular_hours"): _limit("capacity", "capacity_limit", ["resource_id"]),
    ("capacity", "overtime_hours"): _limit("capacity", "overtime_limit", ["resource_id"]),
    ("production", "max_qty"): _limit("production", "production_limit", PLACE),
    ("production", "subcontract_limit_qty"): _limit("production", "subcontract_limit", PLACE),
    ("supplier_item", "max_qty"): _limit("supplier_item", "supplier_limit", _ORDER),
    ("location", "storage_limit_qty"): _limit("location", "storage_limit", ["location_id"]),
    ("lane", "max_qty"): _lane_limit,
    ("lane", "freight_cost_amt"): _freight,
    ("production", "variable_cost_amt"): _unit_cost("production", "production_qty", PLACE),
    ("production", "subcontract_cost_amt"): _unit_cost("production", "subcontract_qty", PLACE),
    ("supplier_item", "unit_cost_amt"): _purchase_cost,
    ("resource", "regular_cost_amt_per_hour"): _hour_cost("regular_used_hours"),
    ("resource", "overtime_cost_amt_per_hour"): _hour_cost("overtime_used_hours"),
}
# Columns where zero means that the model has no row for it.
_STATES_A_SET = frozenset({("consensus_demand", "demand_qty"), ("inventory_target", "safety_stock_qty")})
