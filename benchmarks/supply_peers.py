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
def linopy_model(instance: Instance, settings: Settings) -> Any:  # noqa: PLR0915 (the whole program in one place)
    """The linear program in linopy."""
    import linopy
    import xarray as xr

    d = Numbers(instance, settings)
    months = pd.RangeIndex(d.horizon, name="t")
    m = linopy.Model()

    def over(name: str, values: Any) -> Any:
        values = np.asarray(values, dtype=float)
        return xr.DataArray(values, dims=(name, "t")[: values.ndim])

    def decide(name: str, index: str, size: int, lead: Any = None) -> Any:
        exists = None if lead is None else xr.DataArray(np.arange(d.horizon) + np.asarray(lead)[:, None] < d.horizon, dims=(index, "t"))
        return m.add_variables(lower=0, coords=[pd.RangeIndex(size, name=index), months], name=name, mask=exists)

    def to(expression: Any, index: str, group: np.ndarray, target: str, size: int) -> Any:
        """Sum of an expression by group, on every member of the target."""
        summed = (1 * expression).groupby(xr.DataArray(group, dims=index, coords={index: np.arange(len(group))}, name=target)).sum()
        return summed.reindex({target: np.arange(size)})

    def later(expression: Any, index: str, lead: np.ndarray, group: np.ndarray, target: str, size: int) -> Any:
        """What departs arrives a lead time later."""
        parts = []
        for wait in np.unique(lead):
            chosen = np.flatnonzero(lead == wait)
            part = expression.isel({index: chosen})
            moved = part.shift(t=int(wait)) if wait else 1 * part
            by = xr.DataArray(group[chosen], dims=index, coords={index: chosen}, name=target)
            parts.append(moved.groupby(by).sum().reindex({target: np.arange(size)}))
        return sum(parts[1:], parts[0])

    n, sales = len(d.stocked), len(d.sale)
    closing, short, beyond = decide("closing", "s", n), decide("short", "g", len(d.safety)), decide("beyond", "w", len(d.stores))
    start = decide("start", "m", len(d.made), d.made["lead"] if d.made["lead"].any() else None)
    outside, consumed = decide("outside", "m", len(d.made)), decide("consumed", "c", len(d.stock_of_consumed))
    regular, overtime = decide("regular", "r", len(d.regular)), decide("overtime", "r", len(d.regular))
    buy, send = decide("buy", "b", len(d.bought), d.bought["lead"]), decide("send", "d", len(d.delivery), d.delivery["lead"])
    lost, below = decide("lost", "k", sales), decide("below", "f", len(d.floors))
    opening = np.zeros((n, d.horizon))
    opening[:, 0] = d.stocked["opening_qty"]
    sent_lead = d.delivery["lead"].to_numpy()
    m.add_constraints(
        closing - closing.shift(t=1) - later(start, "m", d.made["lead"].to_numpy(), d.stock_of_made, "s", n)
        - to(outside, "m", d.stock_of_made, "s", n) - later(buy, "b", d.bought["lead"].to_numpy(), d.stock_of_bought, "s", n)
        + to(send, "d", d.stock_of_delivery, "s", n) + to(consumed, "c", d.stock_of_consumed, "s", n) == over("s", opening), name="stock")
    used = start.isel(m=xr.DataArray(d.made_of_usage, dims="u", coords={"u": np.arange(len(d.made_of_usage))})) * over("u", d.usage_qty)
    m.add_constraints(consumed - to(used, "u", d.consumed_of_usage, "c", len(d.stock_of_consumed)) == 0, name="material")
    arriving = later(send, "d", sent_lead, d.sale_of_delivery, "k", sales)
    m.add_constraints(arriving + lost == over("k", d.demand), name="market")
    work = start.isel(m=xr.DataArray(d.made_of_job, dims="j", coords={"j": np.arange(len(d.made_of_job))})) * over("j", d.hours)
    m.add_constraints(to(work, "j", d.resource_of_job, "r", len(d.regular)) - regular - overtime == 0, name="hours")
    m.add_constraints(regular <= over("r", d.regular), name="capacity")
    m.add_constraints(overtime <= over("r", d.overtime), name="overtime_limit")
    m.add_constraints(outside <= over("m", d.made["subcontract_limit_qty"]), name="subcontract")
    m.add_constraints(buy <= over("b", d.bought["max_qty"]), name="supplier")
    store = np.full(int(d.place_of_stock.max()) + 1, -1)
    store[d.stores] = np.arange(len(d.stores))
    taken = to(closing * over("s", d.stocked["storage_qty"]), "s", store[d.place_of_stock], "w", len(d.stores))
    m.add_constraints(taken - beyond <= over("w", d.storage_limit), name="storage")
    kept = closing.isel(s=xr.DataArray(d.stock_of_target, dims="g", coords={"g": np.arange(len(d.safety))}))
    m.add_constraints(kept + short >= over("g", d.safety), name="safety")
    served = later(send, "d", sent_lead, d.sale_of_delivery, "k", sales).isel(
        k=xr.DataArray(d.floors, dims="f", coords={"f": np.arange(len(d.floors))}))
    m.add_constraints(served + below >= over("f", (d.floor_ratio * d.demand)[d.floors]), name="floor")
    m.add_objective(
        (closing * over("s", d.stocked["holding_cost_amt"])).sum() + (short * over("g", d.safety_penalty())).sum()
        + (beyond * d.overflow_penalty).sum() + (start * over("m", d.made["variable_cost_amt"])).sum()
        + (outside * over("m", d.made["subcontract_cost_amt"])).sum() + (regular * over("r", d.regular_cost)).sum()
        + (overtime * over("r", d.overtime_cost)).sum() + (buy * over("b", d.bought["unit_cost_amt"])).sum()
        + (send * over("d", d.delivery["freight_cost_amt"])).sum() + (lost * over("k", d.price + d.lost_penalty)).sum()
        + (below * over("f", d.floor_penalty[d.floors])).sum())
    return m
