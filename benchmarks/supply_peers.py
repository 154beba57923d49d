"""The supply plan of `company.py` written by hand for the peers of `bench_supply.py`: numpy arrays and linopy.

Both state the same rows and columns as `sop_workbench.supply` does for this company (no crews, no transfers, no whole lots, every
demand, target and use of material in every month); equal objectives in the benchmark show that it is the same linear program.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array

from sop_workbench.settings import Settings
from sop_workbench.supply.compile import Arrays
from sop_workbench.supply.instance import PLACE, SALE, Instance
from sop_workbench.supply.model import highest_price_per_storage_place

_INFINITY = np.inf


class Numbers:
    """What both peers need of the instance: positions of keys, and numbers by key and month."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self.horizon = months = len(instance.periods)
        self.stocked, self.made, self.bought, self.delivery = instance.stocked, instance.made, instance.bought, instance.delivery
        self.sale = instance.demand.iloc[::months]
        items, places = pd.Index(self.stocked["item_id"].unique()), pd.Index(self.stocked["location_id"].unique())
        markets = pd.Index(self.sale["market_id"].unique())
        self._items, self._places, self._markets = items, places, markets
        at_place = np.full((len(items), len(places)), -1)
        at_place[self._coded(self.stocked)] = np.arange(len(self.stocked))
        made_at = np.full_like(at_place, -1)
        made_at[self._coded(self.made)] = np.arange(len(self.made))
        sold_in = np.full((len(items), len(markets)), -1)
        sold_in[items.get_indexer(self.sale["item_id"]), markets.get_indexer(self.sale["market_id"])] = np.arange(len(self.sale))
        self.stock_of_made, self.stock_of_bought = at_place[self._coded(self.made)], at_place[self._coded(self.bought)]
        sent = items.get_indexer(self.delivery["item_id"])
        self.stock_of_delivery = at_place[sent, places.get_indexer(self.delivery["from_location_id"])]
        self.sale_of_delivery = sold_in[sent, markets.get_indexer(self.delivery["market_id"])]
        usage = instance.usage[instance.usage["t"] == 0]
        component = at_place[self._coded(usage)]
        self.stock_of_consumed, self.consumed_of_usage = np.unique(component, return_inverse=True)
        self.made_of_usage = made_at[items.get_indexer(usage["parent_item_id"]), places.get_indexer(usage["location_id"])]
        self.usage_qty = usage["usage_qty"].to_numpy()
        capacity = instance.capacity
        self.resources = pd.Index(capacity["resource_id"].unique())
        self.regular, self.overtime = (capacity[name].to_numpy().reshape(-1, months) for name in ("regular_hours", "overtime_hours"))
        rate = instance.resource.set_index("resource_id").loc[self.resources]
        self.regular_cost, self.overtime_cost = (rate[f"{name}_cost_amt_per_hour"].to_numpy() for name in ("regular", "overtime"))
        self.resource_of_job = self.resources.get_indexer(instance.routing["resource_id"])
        self.made_of_job, self.hours = made_at[self._coded(instance.routing)], instance.routing["hours_per_unit"].to_numpy()
        target = instance.target
        self.stock_of_target = at_place[self._coded(target.iloc[::months])]
        self.safety = target["safety_stock_qty"].to_numpy().reshape(-1, months)
        self.demand, self.price, self.lost_penalty, self.floor_penalty, self.floor_ratio = (
            instance.demand[name].to_numpy().reshape(-1, months)
            for name in ("demand_qty", "price_amt", "lost_penalty_amt", "floor_penalty_amt", "floor_ratio"))
        self.floors = np.flatnonzero(self.floor_ratio[:, 0] > 0)
        self.stores = places.get_indexer(instance.storage["location_id"])
        self.place_of_stock = places.get_indexer(self.stocked["location_id"])
        self.storage_limit = instance.storage["storage_limit_qty"].to_numpy()
        self.overflow_penalty = highest_price_per_storage_place(instance)
        self.safety_ratio = settings.supply.safety_stock_penalty_ratio

    def _coded(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        return self._items.get_indexer(frame["item_id"]), self._places.get_indexer(frame["location_id"])

    def safety_penalty(self) -> np.ndarray:
        """By target and month; in the last month also the worth of what is missing."""
        monthly = self.safety_ratio * self.stocked["holding_cost_amt"].to_numpy()[self.stock_of_target]
        penalty = np.repeat(monthly[:, None], self.horizon, 1)
        penalty[:, -1] += self.stocked["value_amt"].to_numpy()[self.stock_of_target]
        return penalty


# ------------------------------------------------------------------ arrays by hand
class _Rows:
    """Entries and sides, family after family."""

    def __init__(self, months: int) -> None:
        self.months, self.count, self.entries, self.low, self.high = months, 0, [], [], []

    def family(self, size: int, low: Any, high: Any) -> np.ndarray:
        rows = self.count + np.arange(size * self.months).reshape(size, self.months)
        self.count += size * self.months
        self.low.append(np.broadcast_to(low, rows.shape).ravel())
        self.high.append(np.broadcast_to(high, rows.shape).ravel())
        return rows

    def add(self, rows: np.ndarray, columns: np.ndarray, value: Any) -> None:
        exists = columns >= 0
        self.entries.append((rows[exists], columns[exists], np.broadcast_to(value, rows.shape)[exists]))

    def add_later(self, rows: np.ndarray, columns: np.ndarray, lead: np.ndarray, value: float) -> None:
        """What departs arrives a lead time later."""
        for months in np.unique(lead):
            chosen = np.flatnonzero(lead == months)
            self.add(rows[chosen][:, months:], columns[chosen][:, :self.months - months], value)


def raw_arrays(instance: Instance, settings: Settings) -> Arrays:
    """The linear program as arrays, by index arithmetic."""
    d = Numbers(instance, settings)
    months, columns, count = d.horizon, {}, 0

    def block(name: str, size: int, lead: np.ndarray | None = None) -> np.ndarray:
        nonlocal count
        exists = np.ones((size, months), dtype=bool) if lead is None else np.arange(months) + lead[:, None] < months
        columns[name] = np.where(exists, count + np.cumsum(exists).reshape(exists.shape) - 1, -1)
        count += int(exists.sum())
        return columns[name]

    made_lead, bought_lead, sent_lead = (frame["lead"].to_numpy() for frame in (d.made, d.bought, d.delivery))
    closing, short, over = block("closing", len(d.stocked)), block("short", len(d.safety)), block("over", len(d.stores))
    start = block("start", len(d.made), made_lead)
    block("consumed", len(d.stock_of_consumed))
    outside, regular, overtime = block("outside", len(d.made)), block("regular", len(d.regular)), block("overtime", len(d.regular))
    buy, send = block("buy", len(d.bought), bought_lead), block("send", len(d.delivery), sent_lead)
    lost, below = block("lost", len(d.sale)), block("below", len(d.floors))
    rows = _Rows(months)
    _balances(rows, d, columns)
    _limits(rows, d, columns)
    cost = np.zeros(count)

    def price(of: np.ndarray, amount: Any) -> None:
        exists = of >= 0
        cost[of[exists]] = -np.broadcast_to(amount, of.shape)[exists]

    price(closing, d.stocked["holding_cost_amt"].to_numpy()[:, None])
    price(short, d.safety_penalty())
    price(over, d.overflow_penalty)
    price(start, d.made["variable_cost_amt"].to_numpy()[:, None])
    price(outside, d.made["subcontract_cost_amt"].to_numpy()[:, None])
    price(regular, d.regular_cost[:, None])
    price(overtime, d.overtime_cost[:, None])
    price(buy, d.bought["unit_cost_amt"].to_numpy()[:, None])
    price(send, d.delivery["freight_cost_amt"].to_numpy()[:, None])
    price(lost, d.price + d.lost_penalty)
    price(below, d.floor_penalty[d.floors])
    r, c, v = (np.concatenate(parts) for parts in zip(*rows.entries, strict=True))
    matrix = coo_array((v, (r.astype(np.int32), c.astype(np.int32))), shape=(rows.count, count)).tocsc()
    return Arrays(matrix, cost, float((d.price * d.demand).sum()), np.zeros(count), np.full(count, _INFINITY), np.concatenate(rows.low),
                  np.concatenate(rows.high), np.zeros(count, dtype=bool), {}, {})


def _balances(rows: _Rows, d: Numbers, of: dict[str, np.ndarray]) -> None:
    opening = np.zeros((len(d.stocked), d.horizon))
    opening[:, 0] = d.stocked["opening_qty"]
    stock = rows.family(len(d.stocked), opening, opening)
    rows.add(stock, of["closing"], 1.0)
    rows.add(stock[:, 1:], of["closing"][:, :-1], -1.0)
    rows.add_later(stock[d.stock_of_made], of["start"], d.made["lead"].to_numpy(), -1.0)
    rows.add(stock[d.stock_of_made], of["outside"], -1.0)
    rows.add_later(stock[d.stock_of_bought], of["buy"], d.bought["lead"].to_numpy(), -1.0)
    rows.add(stock[d.stock_of_delivery], of["send"], 1.0)
    rows.add(stock[d.stock_of_consumed], of["consumed"], 1.0)
    material = rows.family(len(d.stock_of_consumed), 0.0, 0.0)
    rows.add(material, of["consumed"], 1.0)
    rows.add(material[d.consumed_of_usage], of["start"][d.made_of_usage], -d.usage_qty[:, None])
    market = rows.family(len(d.sale), d.demand, d.demand)
    rows.add_later(market[d.sale_of_delivery], of["send"], d.delivery["lead"].to_numpy(), 1.0)
    rows.add(market, of["lost"], 1.0)
    hours = rows.family(len(d.regular), 0.0, 0.0)
    rows.add(hours[d.resource_of_job], of["start"][d.made_of_job], d.hours[:, None])
    rows.add(hours, of["regular"], -1.0)
    rows.add(hours, of["overtime"], -1.0)


def _limits(rows: _Rows, d: Numbers, of: dict[str, np.ndarray]) -> None:
    for name, most in (("regular", d.regular), ("overtime", d.overtime), ("outside", d.made["subcontract_limit_qty"].to_numpy()[:, None]),
                       ("buy", d.bought["max_qty"].to_numpy()[:, None])):
        rows.add(rows.family(len(of[name]), -_INFINITY, most), of[name], 1.0)
    storage = rows.family(len(d.stores), -_INFINITY, d.storage_limit[:, None])
    store = np.full(int(d.place_of_stock.max()) + 1, -1)
    store[d.stores] = np.arange(len(d.stores))
    rows.add(storage[store[d.place_of_stock]], of["closing"], d.stocked["storage_qty"].to_numpy()[:, None])
    rows.add(storage, of["over"], -1.0)
    safety = rows.family(len(d.safety), d.safety, _INFINITY)
    rows.add(safety, of["closing"][d.stock_of_target], 1.0)
    rows.add(safety, of["short"], 1.0)
    floor = rows.family(len(d.floors), (d.floor_ratio * d.demand)[d.floors], _INFINITY)
    floor_of_sale = np.full(len(d.sale), -1)
    floor_of_sale[d.floors] = np.arange(len(d.floors))
    chosen = np.flatnonzero(floor_of_sale[d.sale_of_delivery] >= 0)
    rows.add_later(floor[floor_of_sale[d.sale_of_delivery[chosen]]], of["send"][chosen], d.delivery["lead"].to_numpy()[chosen], 1.0)
    rows.add(floor, of["below"], 1.0)


def raw_tables(instance: Instance, arrays: Arrays, value: np.ndarray) -> list[pd.DataFrame]:
    """The quantities as frames, variable after variable, in the order of `raw_arrays`."""
    frames, first, months = [], 0, len(instance.periods)
    consumed = instance.usage[instance.usage["t"] == 0].drop_duplicates(PLACE)
    sizes = [(instance.stocked, PLACE, None), (instance.target.iloc[::months], PLACE, None), (instance.storage, ["location_id"], None),
             (instance.made, PLACE, "lead"), (consumed, PLACE, None), (instance.made, PLACE, None),
             (instance.capacity.iloc[::months], ["resource_id"], None), (instance.capacity.iloc[::months], ["resource_id"], None),
             (instance.bought, ["item_id", "supplier_id", "location_id"], "lead"),
             (instance.delivery, ["item_id", "from_location_id", "market_id"], "lead"), (instance.demand.iloc[::months], SALE, None)]
    for frame, key, lead in sizes:
        count = np.full(len(frame), months) if lead is None else months - frame[lead].to_numpy()
        entity = np.repeat(np.arange(len(frame)), count)
        month = np.arange(len(entity)) - np.repeat(np.cumsum(count) - count, count)
        found = {column: frame[column].to_numpy()[entity] for column in key}
        frames.append(pd.DataFrame(found | {"t": month, "value": value[first:first + len(entity)]}))
        first += len(entity)
    return frames


# ------------------------------------------------------------------ linopy
def linopy_model(instance: Instance, settings: Settings) -> Any:
    """The linear program in linopy."""
    stated = _Linopy(Numbers(instance, settings))
    stated.balances()
    stated.limits()
    stated.objective()
    return stated.model


class _Linopy:
    """The program of `raw_arrays` in linopy's words; dimensions: s stock, m made, c consumed, r resource, b bought, d delivery, k sale."""

    def __init__(self, d: Numbers) -> None:
        import linopy
        import xarray

        self.d, self.array, self.model = d, xarray.DataArray, linopy.Model()
        self._months = pd.RangeIndex(d.horizon, name="t")
        self.closing, self.short = self._decide("closing", "s", len(d.stocked)), self._decide("short", "g", len(d.safety))
        self.beyond, self.consumed = self._decide("beyond", "w", len(d.stores)), self._decide("consumed", "c", len(d.stock_of_consumed))
        self.start = self._decide("start", "m", len(d.made), d.made["lead"] if d.made["lead"].any() else None)
        self.outside, self.buy = self._decide("outside", "m", len(d.made)), self._decide("buy", "b", len(d.bought), d.bought["lead"])
        self.regular, self.overtime = (self._decide(name, "r", len(d.regular)) for name in ("regular", "overtime"))
        self.send = self._decide("send", "d", len(d.delivery), d.delivery["lead"])
        self.lost, self.below = self._decide("lost", "k", len(d.sale)), self._decide("below", "f", len(d.floors))
        self.arriving = self._later(self.send, "d", d.delivery["lead"].to_numpy(), d.sale_of_delivery, "k", len(d.sale))

    def _decide(self, name: str, index: str, size: int, lead: Any = None) -> Any:
        month = np.arange(self.d.horizon)
        exists = None if lead is None else self.array(month + np.asarray(lead)[:, None] < self.d.horizon, dims=(index, "t"))
        return self.model.add_variables(lower=0, coords=[pd.RangeIndex(size, name=index), self._months], name=name, mask=exists)

    def _over(self, name: str, values: Any) -> Any:
        values = np.asarray(values, dtype=float)
        return self.array(values, dims=(name, "t")[: values.ndim])

    def _at(self, variable: Any, index: str, place: np.ndarray, target: str) -> Any:
        """A variable looked up for each member of another dimension."""
        return variable.isel({index: self.array(place, dims=target, coords={target: np.arange(len(place))})})

    def _sum(self, expression: Any, index: str, group: np.ndarray, target: str, size: int) -> Any:
        """Sum of an expression by group, on every member of the target."""
        by = self.array(group, dims=index, coords={index: np.arange(len(group))}, name=target)
        return (1 * expression).groupby(by).sum().reindex({target: np.arange(size)})

    def _later(self, variable: Any, index: str, lead: np.ndarray, group: np.ndarray, target: str, size: int) -> Any:
        """What departs arrives a lead time later."""
        parts = []
        for wait in np.unique(lead):
            chosen = np.flatnonzero(lead == wait)
            part = variable.isel({index: chosen})
            by = self.array(group[chosen], dims=index, coords={index: chosen}, name=target)
            parts.append((part.shift(t=int(wait)) if wait else 1 * part).groupby(by).sum().reindex({target: np.arange(size)}))
        return sum(parts[1:], parts[0])

    def balances(self) -> None:
        """Stock, material, markets, hours."""
        d, n, state = self.d, len(self.d.stocked), self.model.add_constraints
        opening = np.zeros((n, d.horizon))
        opening[:, 0] = d.stocked["opening_qty"]
        gains = (self._later(self.start, "m", d.made["lead"].to_numpy(), d.stock_of_made, "s", n)
                 + self._sum(self.outside, "m", d.stock_of_made, "s", n)
                 + self._later(self.buy, "b", d.bought["lead"].to_numpy(), d.stock_of_bought, "s", n))
        losses = self._sum(self.send, "d", d.stock_of_delivery, "s", n) + self._sum(self.consumed, "c", d.stock_of_consumed, "s", n)
        state(self.closing - self.closing.shift(t=1) - gains + losses == self._over("s", opening), name="stock")
        used = self._at(self.start, "m", d.made_of_usage, "u") * self._over("u", d.usage_qty)
        state(self.consumed - self._sum(used, "u", d.consumed_of_usage, "c", len(d.stock_of_consumed)) == 0, name="material")
        state(self.arriving + self.lost == self._over("k", d.demand), name="market")
        work = self._at(self.start, "m", d.made_of_job, "j") * self._over("j", d.hours)
        state(self._sum(work, "j", d.resource_of_job, "r", len(d.regular)) - self.regular - self.overtime == 0, name="hours")

    def limits(self) -> None:
        """Capacity, subcontractors, suppliers, storage, safety stock, contract floors."""
        d, state = self.d, self.model.add_constraints
        state(self.regular <= self._over("r", d.regular), name="capacity")
        state(self.overtime <= self._over("r", d.overtime), name="overtime_limit")
        state(self.outside <= self._over("m", d.made["subcontract_limit_qty"]), name="subcontract")
        state(self.buy <= self._over("b", d.bought["max_qty"]), name="supplier")
        store = np.full(int(d.place_of_stock.max()) + 1, -1)
        store[d.stores] = np.arange(len(d.stores))
        taken = self._sum(self.closing * self._over("s", d.stocked["storage_qty"]), "s", store[d.place_of_stock], "w", len(d.stores))
        state(taken - self.beyond <= self._over("w", d.storage_limit), name="storage")
        state(self._at(self.closing, "s", d.stock_of_target, "g") + self.short >= self._over("g", d.safety), name="safety")
        served = self._at(self.arriving, "k", d.floors, "f")
        state(served + self.below >= self._over("f", (d.floor_ratio * d.demand)[d.floors]), name="floor")

    def objective(self) -> None:
        """Costs and penalties less what is earned, without its constant."""
        d = self.d
        priced = [(self.closing, "s", d.stocked["holding_cost_amt"]), (self.short, "g", d.safety_penalty()),
                  (self.beyond, "w", np.full(len(d.stores), d.overflow_penalty)), (self.start, "m", d.made["variable_cost_amt"]),
                  (self.outside, "m", d.made["subcontract_cost_amt"]), (self.regular, "r", d.regular_cost),
                  (self.overtime, "r", d.overtime_cost), (self.buy, "b", d.bought["unit_cost_amt"]),
                  (self.send, "d", d.delivery["freight_cost_amt"]), (self.lost, "k", d.price + d.lost_penalty),
                  (self.below, "f", d.floor_penalty[d.floors])]
        terms = [(variable * self._over(index, amount)).sum() for variable, index, amount in priced]
        self.model.add_objective(sum(terms[1:], terms[0]))
