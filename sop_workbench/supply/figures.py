"""What a screen shows of a plan, straight from the solver's numbers: no result table is built.

Weights and groups of columns are worked out once per model; a read is then a handful of weighted counts. The figures are those of
`readback` and `finance` on the same plan, to the cent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sop_workbench.settings import OWN_RULES
from sop_workbench.supply.compile import Arrays, Block
from sop_workbench.supply.explain import KINDS, Kind, money_words, period_words
from sop_workbench.supply.instance import PLACE, SALE, Instance
from sop_workbench.supply.warm import Answer

# The variables whose cost in the objective is a column of the financial projection.
_PAID = {
    "production_cost_amt": ("production_qty",),
    "labour_cost_amt": ("regular_used_hours", "worker_count"),
    "overtime_cost_amt": ("overtime_used_hours",),
    "hiring_cost_amt": ("hired_count", "laid_off_count"),
    "setup_cost_amt": ("lot_count",),
    "subcontract_cost_amt": ("subcontract_qty",),
    "purchase_cost_amt": ("purchase_qty",),
    "freight_cost_amt": ("transfer_qty", "delivery_qty"),
    "holding_cost_amt": ("closing_qty",),
}
COSTS = (*_PAID, "backlog_cost_amt")
_WORTH_TELLING = 1e-6
_LOOKED_AT = 300


@dataclass(frozen=True)
class Figures:
    """One plan as a screen shows it.

    Attributes
    ----------
    money : DataFrame
        By period (row t): revenue_amt, every cost column, cogs_amt, inventory_amt, lost_revenue_amt; a purchase stands in the period
        of the order.
    volume : DataFrame
        family, t, demand_qty, served_qty, short_qty (lost, or late when the period ends), produced_qty, stock_amt.
    hours : DataFrame
        resource_id, t, used_hours, overtime_used_hours, regular_hours, hour_price_amt.
    demand_qty, served_qty : float
        Of the horizon.
    """

    money: pd.DataFrame
    volume: pd.DataFrame
    hours: pd.DataFrame
    demand_qty: float
    served_qty: float

    @property
    def profit_amt(self) -> float:
        """Revenue less all costs."""
        return float(self.money["revenue_amt"].sum() - self.money[list(COSTS)].to_numpy().sum())


class FigureReader:
    """Reads `Figures` of any answer of one model.

    Parameters
    ----------
    instance, arrays : Instance, Arrays
        The model.
    family_of, unit_value : Series
        Family and worth of one unit by item_id, as finance has them.
    """

    def __init__(self, instance: Instance, arrays: Arrays, family_of: pd.Series, unit_value: pd.Series) -> None:
        self.instance, self.arrays = instance, arrays
        self._count = len(instance.periods)
        self._cost_groups()
        self._demand_groups(family_of, unit_value)
        self._stock_groups(family_of)
        self._hour_groups()

    def read(self, answer: Answer) -> Figures:
        """The figures of one answer."""
        short, waiting, lost = self._short(answer.value)
        numbers = answer.numbers
        served = _no_noise(numbers.demand_qty + self._opening + _before(waiting, self._first) - lost - waiting)
        return Figures(
            self._money(answer, served, waiting, lost),
            self._volume(answer, served, short),
            self._hours(answer),
            float(numbers.demand_qty.sum()),
            float(served.sum()),
        )

    # -------------------------------------------------------------- groups, once per model
    def _cost_groups(self) -> None:
        columns, groups = [], []
        for number, variables in enumerate(_PAID.values()):
            for block in (self.arrays.columns.get(name) for name in variables):
                if block is not None and len(block.positions):
                    columns.append(block.positions)
                    groups.append(number * self._count + _periods(block))
        self._paid_columns = np.concatenate(columns) if columns else np.array([], dtype=np.int64)
        self._paid_groups = np.concatenate(groups) if groups else np.array([], dtype=np.int64)

    def _demand_groups(self, family_of: pd.Series, unit_value: pd.Series) -> None:
        demand = self.instance.demand
        self._t = demand["t"].to_numpy(dtype=np.int64)
        self._first = (demand[SALE] != demand[SALE].shift()).any(axis=1).to_numpy()
        self._opening = demand["opening_backlog_qty"].to_numpy(dtype=float)
        self._late_cost = demand["backlog_cost_amt"].to_numpy(dtype=float)
        self._worth = demand["item_id"].map(unit_value).to_numpy(dtype=float)
        self.families = sorted(demand["item_id"].map(family_of).unique())
        self._sold = _codes(demand["item_id"].map(family_of), self.families) * self._count + self._t
        self._lost_at, self._waiting_at = (_aligned(self.arrays.columns.get(name), demand) for name in ("lost_qty", "backlog_qty"))

    def _stock_groups(self, family_of: pd.Series) -> None:
        stocked, made = self.instance.stocked, self.instance.made
        closing, starts = self.arrays.columns["closing_qty"], self.arrays.columns["production_qty"]
        self._closing, self._closing_t = closing.positions, _periods(closing)
        place = pd.MultiIndex.from_frame(stocked[PLACE]).get_indexer(_places(closing))
        self._stock_worth = stocked["value_amt"].to_numpy(dtype=float)[place]
        self._stock_family = _codes(stocked["item_id"].map(family_of), self.families)[place]
        row = pd.MultiIndex.from_frame(made[PLACE]).get_indexer(_places(starts))
        self._started, self._yield = starts.positions, made["yield_ratio"].to_numpy(dtype=float)[row]
        family = _codes(made["item_id"].map(family_of), self.families)[row]
        arrival = _periods(starts) + made["lead"].to_numpy(dtype=np.int64)[row]
        self._made_groups = np.where(family >= 0, family * self._count + arrival, -1)

    def _hour_groups(self) -> None:
        regular = self.arrays.columns["regular_used_hours"]
        frame = pd.DataFrame(regular.keys, columns=["resource_id", "t"]) if regular.keys else pd.DataFrame({"resource_id": [], "t": []})
        self._hour_keys = frame.assign(t=frame["t"].astype("int64"))
        self._regular_at = regular.positions
        at = {name: _by_key(self.arrays.columns.get(name), regular.keys) for name in ("overtime_used_hours", "worker_count")}
        self._overtime_at, self._workers_at = at["overtime_used_hours"], at["worker_count"]
        self._line_row, self._crew_row = (_by_key(self.arrays.rows.get(name), regular.keys) for name in ("capacity_limit", "crew_hours"))
        per_worker = self.instance.crew.set_index("resource_id")["hours_per_worker"]
        self._per_worker = frame["resource_id"].map(per_worker).to_numpy(dtype=float)

    # -------------------------------------------------------------- reading
    def _short(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is lost or waits, what waits and what is lost, by row of demand."""
        lost, waiting = _taken(value, self._lost_at), _taken(value, self._waiting_at)
        return lost + waiting, waiting, lost

    def _money(self, answer: Answer, served: np.ndarray, waiting: np.ndarray, lost: np.ndarray) -> pd.DataFrame:
        count, numbers, price = self._count, answer.numbers, answer.numbers.price_amt
        paid = -numbers.cost[self._paid_columns] * answer.value[self._paid_columns]
        costs = np.bincount(self._paid_groups, paid, len(_PAID) * count).reshape(len(_PAID), count)
        late_revenue = _before(price * waiting, self._first)  # a late unit brings the price it was ordered at
        revenue = price * (numbers.demand_qty + self._opening - lost - waiting) + late_revenue
        by_period = {
            "revenue_amt": np.bincount(self._t, revenue, count),
            **dict(zip(_PAID, costs, strict=True)),
            "backlog_cost_amt": np.bincount(self._t, self._late_cost * waiting, count),
            "cogs_amt": np.bincount(self._t, np.where(served != 0, served * self._worth, 0.0), count),
            "inventory_amt": np.bincount(self._closing_t, self._stock_worth * answer.value[self._closing], count),
            "lost_revenue_amt": np.bincount(self._t, price * lost, count),
        }
        return pd.DataFrame(by_period)

    def _volume(self, answer: Answer, served: np.ndarray, short: np.ndarray) -> pd.DataFrame:
        size = len(self.families) * self._count
        made, own = self._made_groups >= 0, self._stock_family >= 0
        return pd.DataFrame(
            {
                "family": np.repeat(np.array(self.families, dtype=object), self._count),
                "t": np.tile(np.arange(self._count), len(self.families)),
                "demand_qty": np.bincount(self._sold, answer.numbers.demand_qty, size),
                "served_qty": np.bincount(self._sold, served, size),
                "short_qty": np.bincount(self._sold, short, size),
                "produced_qty": np.bincount(self._made_groups[made], (self._yield * answer.value[self._started])[made], size),
                "stock_amt": np.bincount(
                    (self._stock_family * self._count + self._closing_t)[own], (self._stock_worth * answer.value[self._closing])[own], size
                ),
            }
        )

    def _hours(self, answer: Answer) -> pd.DataFrame:
        overtime = _taken(answer.value, self._overtime_at)
        crew = self._per_worker * _taken(answer.value, self._workers_at)
        line = _taken(answer.numbers.row_upper, self._line_row)
        return self._hour_keys.assign(
            used_hours=answer.value[self._regular_at] + overtime,
            overtime_used_hours=overtime,
            regular_hours=np.where(self._line_row >= 0, line, crew),
            hour_price_amt=_taken(answer.row_price, self._line_row) + _taken(answer.row_price, self._crew_row),
        )


class LimitReader:
    """Reads the limits that bind, own rules aside; made once per model."""

    def __init__(self, instance: Instance, arrays: Arrays, bucket: str) -> None:
        self.instance, self.arrays, self._bucket = instance, arrays, bucket
        blocks = [(kind, arrays.rows[kind.family]) for kind in KINDS
                  if kind.limit not in OWN_RULES and kind.family in arrays.rows and len(arrays.rows[kind.family].positions)]
        self._blocks = blocks
        self._rows = np.concatenate([block.positions for _, block in blocks]) if blocks else np.array([], dtype=np.int64)
        self._ends = np.cumsum([len(block.positions) for _, block in blocks])
        self._is_overtime = (
            np.concatenate([np.full(len(block.positions), kind.family == "overtime_limit") for kind, block in blocks])
            if blocks
            else np.array([], dtype=bool)
        )
        named = instance.resource[instance.resource["resource_name"].notna()]
        self._names = dict(zip(named["resource_id"], named["resource_name"], strict=True))

    def read(self, answer: Answer, base_price: np.ndarray | None, currency: str, count: int = 12) -> pd.DataFrame:
        """The limits that bind, most money (price · size) first, each in its dearest period.

        Columns family, limit, member_name, t, unit, limit_qty, price_amt, money_amt, sentence. With `base_price` (prices by row of the
        unchanged plan of the same shape) also base_price_amt and delta_amt, and the limits that bound there take part in the choice.
        """
        price = np.abs(answer.row_price[self._rows])
        upper, lower = answer.numbers.row_upper[self._rows], answer.numbers.row_lower[self._rows]
        size = np.where(np.isfinite(upper), upper, lower)
        before = np.zeros_like(price) if base_price is None else np.abs(base_price[self._rows])
        # A resource that offers no overtime is not limited by it.
        is_told = (np.maximum(price, before) > _WORTH_TELLING) & ~(self._is_overtime & (size == 0))
        money = np.where(is_told, np.maximum(price, before) * np.maximum(np.abs(size), 1.0), 0.0)
        periods = self._by_member([n for n in np.argsort(-money, kind="stable")[:_LOOKED_AT].tolist() if money[n] > 0], count)
        chosen = [max(found, key=lambda n: (price[n], money[n])) for found in periods]
        when = period_words(self.instance.periods, self._bucket)
        rows = [self._row(n, float(price[n]), float(size[n]), when, currency, len(found))
                for n, found in zip(chosen, periods, strict=True)]
        frame = pd.DataFrame(rows, columns=["family", "key", "limit", "member_name", "t", "unit", "limit_qty", "price_amt", "sentence"])
        frame["base_price_amt"] = before[chosen] if base_price is not None else np.nan
        return frame.assign(delta_amt=frame["price_amt"] - frame["base_price_amt"], money_amt=frame["price_amt"] * frame["limit_qty"])

    def _by_member(self, ranked: list[int], count: int) -> list[list[int]]:
        """The first `count` members of the ranking with all their periods in it: one machine is not to fill the list month by month."""
        found: dict[tuple[str, str], list[int]] = {}
        for n in ranked:
            kind, key = self._place(n)
            member = kind.family, kind.member(*key[:-1])
            if member in found or len(found) < count:
                found.setdefault(member, []).append(n)
        return list(found.values())

    def _place(self, n: int) -> tuple[Kind, tuple]:
        number = int(np.searchsorted(self._ends, n, side="right"))
        kind, block = self._blocks[number]
        return kind, block.keys[n - (self._ends[number - 1] if number else 0)]

    def _row(self, n: int, price: float, size: float, when: list[str], currency: str, periods: int) -> tuple:
        kind, key = self._place(n)
        member = kind.member(*key[:-1])
        name = self._names.get(member, member)
        dearest = f" (dearest of {periods} periods)" if periods > 1 else ""
        worth = (
            f"{kind.phrase} is worth {money_words(price)} {currency}"
            if price > _WORTH_TELLING
            else f"{kind.phrase} is worth nothing any more"
        )
        return kind.family, key, kind.limit, name, key[-1], kind.unit, size, price, f"{name} in {when[key[-1]]}{dearest}: {worth}"


# ------------------------------------------------------------------ places of columns and rows
def _periods(block: Block) -> np.ndarray:
    return np.fromiter((key[-1] for key in block.keys), dtype=np.int64, count=len(block.keys))


def _places(block: Block) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([[key[0] for key in block.keys], [key[1] for key in block.keys]])


def _codes(names: pd.Series, known: list[str]) -> np.ndarray:
    return pd.Index(known).get_indexer(names) if known else np.full(len(names), -1)


def _by_key(block: Block | None, keys: list[tuple]) -> np.ndarray:
    """Position of each key in a block; −1 where it has none."""
    position = {} if block is None else dict(zip(block.keys, block.positions.tolist(), strict=True))
    return np.fromiter((position.get(key, -1) for key in keys), dtype=np.int64, count=len(keys))


def _aligned(block: Block | None, demand: pd.DataFrame) -> np.ndarray:
    return _by_key(block, list(zip(demand["item_id"], demand["market_id"], demand["t"].tolist(), strict=True)))


def _taken(numbers: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Numbers at places; nothing where there is no place."""
    return np.where(place >= 0, numbers[place], 0.0) if len(numbers) else np.zeros(len(place))


def _before(numbers: np.ndarray, is_first: np.ndarray) -> np.ndarray:
    """Each row's number one period earlier; nothing before the first."""
    return np.where(is_first, 0.0, np.roll(numbers, 1))


def _no_noise(quantity: np.ndarray) -> np.ndarray:
    return np.where(np.abs(quantity) < 1e-9, 0.0, quantity)
