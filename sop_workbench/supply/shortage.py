"""Why an item is short, for whom, and what it would take; what is not made, and what making it would lose.

The prices of the plan say what every unit would cost at the margin. From a market that is short the cheapest
way back is followed, through lanes, plants and components, down to the limits that have a price.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.settings import Settings
from sop_workbench.supply.explain import LEAD_TIME, Words, money_words, quantity_words
from sop_workbench.supply.instance import PLACE, SALE
from sop_workbench.supply.readback import DELIVERY, ORDER, Reader

_TOLERANCE = 1e-6
_CENT = 0.005
_SHORTFALLS = {"contract_floor": "floor_shortfall_qty", "strategic_share": "strategic_shortfall_qty"}
_NO_PROFIT, _BETTER_USE, _NO_SOURCE = "no profit", "better use", "no source"


@dataclass
class Needs:
    """What one more unit takes: units of each limit by (family, key), and what it loses beside them."""

    units: dict[tuple[str, tuple], float] = field(default_factory=dict)
    loss_amt: float = 0.0

    def add(self, other: Needs, times: float) -> None:
        """Add another unit's needs, a number of times."""
        self.loss_amt += times * other.loss_amt
        for limit, units in other.units.items():
            self.units[limit] = self.units.get(limit, 0.0) + times * units


class Trace:
    """Follows one more unit from where it is missing back to the limits with a price.

    Of the ways a unit can come, the one that loses least counts (the sum of the reduced costs along it); among equals made goes
    before subcontracted, bought, sent and kept from the period before.
    """

    def __init__(self, read: Reader) -> None:
        self.read, self.instance = read, read.instance
        arrays = read.arrays
        gain = arrays.cost - arrays.matrix.T @ read.solution.row_price
        self.loss = {name: dict(zip(block.keys, np.maximum(-gain[block.positions], 0.0).tolist(), strict=True))
                     for name, block in arrays.columns.items()}
        self.price = {name: dict(zip(block.keys, np.abs(read.solution.row_price[block.positions]).tolist(), strict=True))
                      for name, block in arrays.rows.items()}
        self.value = self.instance.stocked.set_index(PLACE)["value_amt"].to_dict()
        self.broken = {(family, key) for family, name in _SHORTFALLS.items() for key, short in
                       read.value(name, [*SALE, "t"]).items() if short > _TOLERANCE}
        self._known: dict[tuple, Needs] = {}
        self._open: set[tuple] = set()
        self._used: dict[tuple, float] = {}
        self._index()

    def _index(self) -> None:
        """Ways into every place and market, as lists by key."""
        instance = self.instance
        made = instance.made[[*PLACE, "lead", "yield_ratio"]].itertuples(index=False, name=None)
        self.made = {(item, place): (lead, ratio) for item, place, lead, ratio in made}
        self.bought, self.sent, self.delivered = (_by(frame, columns, key) for frame, columns, key in (
            (instance.bought, [*ORDER, "lead"], PLACE),
            (instance.transfer.rename(columns={"to_id": "location_id"}),
             ["item_id", "from_location_id", "location_id", "lead", "lane_item_id"], PLACE),
            (instance.delivery, [*DELIVERY, "lead", "lane_item_id"], SALE)))
        self.jobs = _by(instance.routing, ["resource_id", "hours_per_unit"], PLACE)
        self.floors: dict[tuple, list[tuple]] = {}
        for key, price in self.price.get("stock_floor", {}).items():
            if price > _TOLERANCE:
                self.floors.setdefault(key[:2], []).append(key)
        self.markets = _by(instance.delivery, ["market_id"], ["item_id", "from_location_id"])
        self.sent_on = _by(instance.transfer, ["to_id", "lead"], ["item_id", "from_location_id"])
        self.parents = _by(instance.usage, ["parent_item_id", "usage_qty"], [*PLACE, "t"])
        parts = instance.usage.rename(columns={"item_id": "part", "parent_item_id": "item_id"})
        self.parts = _by(parts, ["part", "usage_qty"], [*PLACE, "t"])

    def served(self, item: str, market: str, t: int) -> Needs | None:
        """What one more unit in a market takes; None where nothing can ever bring it."""
        ways = sorted((self.loss["delivery_qty"][item, source, market, t - lead], source, t - lead, lane)
                      for _, source, _, lead, lane in self.delivered.get((item, market), ())
                      if (item, source, market, t - lead) in self.loss["delivery_qty"])
        best: Needs | None = None
        for loss, source, departure, lane in ways:
            if best is not None and loss + self._floored(item, market, t) >= best.loss_amt - _TOLERANCE:
                break
            needs = Needs(loss_amt=loss + self._floored(item, market, t))
            self._charge(needs, "lane_limit", (source, market, lane, departure), 1.0)
            needs.add(self.stocked(item, source, departure), 1.0)
            best = _better(needs, best)
        return best

    def _floored(self, item: str, market: str, t: int) -> float:
        """What a unit under contract or strategic share is worth beyond its price: one more lacks it, where the floor is just kept."""
        last = len(self.instance.periods) - 1
        floors = (("contract_floor", (item, market, t)), ("strategic_share", (item, market, last)))
        return sum(self.price.get(family, {}).get(key, 0.0) for family, key in floors if (family, key) not in self.broken)

    def stocked(self, item: str, place: str, t: int) -> Needs:
        """What one more unit in stock takes."""
        key = item, place, t
        if key not in self._known:
            self._open.add(key)
            needs = self._cheapest(item, place, t)
            self._open.discard(key)
            if not np.isfinite(needs.loss_amt):  # the only way led round in a circle: elsewhere there may be one
                return needs
            self._known[key] = needs
        return self._known[key]

    def _cheapest(self, item: str, place: str, t: int) -> Needs:
        """The way that loses least in all; each way's own loss is the least it can lose, so dearer ones need no look."""
        best: Needs | None = None
        for loss, _, kind, key in sorted(self._ways(item, place, t)):
            if best is not None and loss >= best.loss_amt - _TOLERANCE:
                break
            needs = self._by_way(kind, key)
            needs.loss_amt += loss
            best = _better(needs, best)
        if best is None or best.loss_amt > _TOLERANCE:
            held = self._held_back(item, place, t)
            best = held or best
        return best or self._from_stock(item, place, t)

    def _from_stock(self, item: str, place: str, t: int) -> Needs:
        """What lies there: no limit while a unit is worth no more than it costs, else it had to be there sooner than any can come."""
        is_scarce = self.price["stock_balance"].get((item, place, t), 0.0) > self.value.get((item, place), 0.0) + _TOLERANCE
        return Needs({(LEAD_TIME.family, (item, place, t)): 1.0} if is_scarce else {})

    def use_loss(self, item: str, place: str, t: int) -> float:
        """What one more unit in stock loses on the best way to a market, a parent or the end of the horizon."""
        key = item, place, t
        if key not in self._used:
            self._used[key] = np.inf  # a way round in a circle is none
            self._used[key] = min(self._uses(item, place, t), default=0.0)
        return self._used[key]

    def start_loss(self, item: str, place: str, t: int) -> float:
        """What one more unit started loses, to the end of its best use."""
        lead, ratio = self.made[item, place]
        return self.loss["production_qty"][item, place, t] + ratio * self.use_loss(item, place, t + lead)

    def _uses(self, item: str, place: str, t: int) -> list[float]:
        """Loss by every use of a unit in stock."""
        found = [self.loss["delivery_qty"][item, place, market, t] for market, in self.markets.get((item, place), ())
                 if (item, place, market, t) in self.loss["delivery_qty"]]
        found += [self.loss["transfer_qty"][item, place, to, t] + self.use_loss(item, to, t + lead)
                  for to, lead in self.sent_on.get((item, place), ()) if (item, place, to, t) in self.loss["transfer_qty"]]
        for parent, usage in self.parents.get((item, place, t), ()):
            lead, ratio = self.made[parent, place]
            if (parent, place, t) in self.loss["production_qty"]:
                found.append((self.loss["production_qty"][parent, place, t] + ratio * self.use_loss(parent, place, t + lead)) / usage)
        if (item, place, t) in self.loss["closing_qty"]:
            later = self.use_loss(item, place, t + 1) if t + 1 < len(self.instance.periods) else 0.0
            found.append(self.loss["closing_qty"][item, place, t] + later)
        return found

    def _ways(self, item: str, place: str, t: int) -> list[tuple[float, int, str, tuple]]:
        """Loss, rank, kind and key of every way one more unit can come in a period."""
        found: list[tuple[float, int, str, tuple]] = []
        if (item, place) in self.made:
            lead, ratio = self.made[item, place]
            if (item, place, t - lead) in self.loss["production_qty"]:
                found.append((self.loss["production_qty"][item, place, t - lead] / ratio, 0, "make", (item, place, t - lead)))
        if (item, place, t) in self.loss["subcontract_qty"]:
            found.append((self.loss["subcontract_qty"][item, place, t], 1, "subcontract", (item, place, t)))
        found += [(self.loss["purchase_qty"][item, supplier, place, t - lead], 2, "buy", (item, supplier, place, t - lead))
                  for _, supplier, _, lead in self.bought.get((item, place), ())
                  if (item, supplier, place, t - lead) in self.loss["purchase_qty"]]
        found += [(self.loss["transfer_qty"][item, source, place, t - lead], 3, "send", (item, source, place, lane, t - lead))
                  for _, source, _, lead, lane in self.sent.get((item, place), ())
                  if (item, source, place, t - lead) in self.loss["transfer_qty"] and (item, source, t - lead) not in self._open]
        if t and (item, place, t - 1) in self.loss["closing_qty"] and (item, place, t - 1) not in self._open:
            found.append((self.loss["closing_qty"][item, place, t - 1], 4, "keep", (item, place, t - 1)))
        return found

    def _by_way(self, kind: str, key: tuple) -> Needs:
        """What one unit that comes a certain way takes, but for its own loss."""
        needs = Needs()
        if kind == "make":
            self._made(needs, key)
        elif kind == "subcontract":
            self._charge(needs, "subcontract_limit", key, 1.0)
        elif kind == "buy":
            self._charge(needs, "supplier_limit", key, 1.0)
        elif kind == "send":
            item, source, place, lane, departure = key
            self._charge(needs, "lane_limit", (source, place, lane, departure), 1.0)
            needs.add(self.stocked(item, source, departure), 1.0)
        else:
            for family in ("stock_ceiling", "shelf_life"):
                self._charge(needs, family, key, 1.0)
            needs.add(self.stocked(*key), 1.0)
        return needs

    def _made(self, needs: Needs, key: tuple) -> None:
        """Hours, components and the plant's own limit, for one good unit."""
        item, place, start = key
        started = 1.0 / self.made[item, place][1]
        for family in ("production_limit", "frozen_zone"):
            self._charge(needs, family, key, started)
        for resource, hours in self.jobs.get((item, place), ()):
            for family in ("capacity_limit", "crew_hours"):
                self._charge(needs, family, (resource, start), started * hours)
        for part, usage in self.parts.get(key, ()):
            if (part, place, start) not in self._open:
                needs.add(self.stocked(part, place, start), started * usage)

    def _held_back(self, item: str, place: str, t: int) -> Needs | None:
        """Stock that lies there but must stay: the first least stock with a price from the period on."""
        floors = [key for key in self.floors.get((item, place), ()) if key[2] >= t]
        return Needs({("stock_floor", min(floors)): 1.0}) if floors else None

    def _charge(self, needs: Needs, family: str, key: tuple, units: float) -> None:
        if self.price.get(family, {}).get(key, 0.0) > _TOLERANCE and units > 0:
            needs.units[family, key] = needs.units.get((family, key), 0.0) + units

    def price_of(self, limit: tuple[str, tuple]) -> float:
        """Worth of one more unit of a limit."""
        family, key = limit
        return self.price[family][key]


def shortage_reasons(read: Reader, settings: Settings) -> pd.DataFrame:
    """Why each item is short in each market and period, and what serving the rest would take.

    needed_qty = short_qty · units of the limit that one more unit takes, down through lanes, plants and components

    Returns
    -------
    DataFrame
        The `shortage_reason` table: a row for each limit on the cheapest way; one that says there is no way, no profit in
        it, or a better use of what it takes.
        It is a marginal answer: the prices hold until another limit binds (`binding_limit`).
    """
    demand = read.instance.demand
    key = [*SALE, "t"]
    short = read.put(read.put(demand, "lost_qty", read.value("lost_qty", key)), "backlog_qty", read.value("backlog_qty", key))
    short = short.assign(short_qty=short["lost_qty"] + short["backlog_qty"]).query(f"short_qty > {_TOLERANCE}")
    trace, words = Trace(read), Words(read.instance, settings.bucket)
    rows = [row for line in short.itertuples() for row in _reasons(line, trace, words, settings.currency)]
    return read.dated(pd.DataFrame(rows), "shortage_reason") if rows else tables.table("shortage_reason").empty()


def _reasons(line: object, trace: Trace, names: Words, currency: str) -> list[dict]:
    """Rows of one short item, market and period."""
    item, market, t, short = line.item_id, line.market_id, line.t, line.short_qty  # type: ignore[attr-defined]
    base = {"item_id": item, "market_id": market, "t": t, "short_qty": short, "short_amt": short * line.price_amt,  # type: ignore[attr-defined]
            "limit": "", "member": "", "limit_period": names.periods[t], "needed_qty": np.nan, "unit": "", "price_amt": 0.0}
    head = f"{item} in {market} in {names.when[t]}: {quantity_words(short)} short"
    needs = trace.served(item, market, t)
    if needs is None:
        return [{**base, "limit": _NO_SOURCE, "member": f"{item} for {market}", "sentence": f"{head}; nothing can bring it there in time"}]
    rows = []
    if needs.loss_amt > _TOLERANCE or not needs.units:
        amount = f"{money_words(needs.loss_amt)} {currency}"
        words = ("serving it would earn nothing" if needs.loss_amt < _CENT else f"each more unit would lose {amount}" if not needs.units
                 else f"what a unit takes earns {amount} more elsewhere")
        rows.append({**base, "limit": _BETTER_USE if needs.units else _NO_PROFIT, "member": f"{item} for {market}",
                     "price_amt": needs.loss_amt, "sentence": f"{head}; {words}"})
    for limit, units in sorted(needs.units.items(), key=lambda entry: -entry[1] * trace.price_of(entry[0])):
        kind, member, when, unit = names.limit(limit)
        price, needed = trace.price_of(limit), units * short
        rows.append({**base, "limit": kind, "member": member, "limit_period": names.periods[limit[1][-1]], "needed_qty": needed,
                     "unit": unit, "price_amt": price,
                     "sentence": f"{head}; it would take {_more(needed, kind, member, unit)} in {when} "
                                 f"({money_words(price)} {currency} each)"})
    return rows


def _more(needed: float, kind: str, member: str, unit: str) -> str:
    """What it would take, as people say it."""
    if kind == LEAD_TIME.limit:
        return f"{quantity_words(needed)} more {member}, sooner than any can come,"
    of = member if kind in ("capacity", "crew") else f"{member} ({kind})"
    return f"{quantity_words(needed)} {unit} more of {of}"


def not_made(read: Reader, settings: Settings) -> pd.DataFrame:
    """What no period makes, and what the first unit of it would lose in the period that suits it best.

    loss = unit cost at the plan's prices of hours, components and limits − worth of the unit on its best use: the sum of the reduced
    costs along that way (of which any one may be nought where the plan lies on a corner)

    Returns
    -------
    DataFrame
        The `not_made` table.
    """
    block = read.arrays.columns.get("production_qty")
    if block is None or not block.keys:
        return tables.table("not_made").empty()
    frame = pd.DataFrame(block.keys, columns=[*PLACE, "t"]).assign(made=read.solution.value[block.positions])
    frame = frame[frame.groupby(PLACE)["made"].transform("sum") < _TOLERANCE]
    trace = Trace(read)
    frame["loss_amt"] = [trace.start_loss(*key) for key in frame[[*PLACE, "t"]].itertuples(index=False, name=None)]
    best = frame.sort_values([*PLACE, "loss_amt", "t"]).drop_duplicates(PLACE)
    best = best[best["loss_amt"] > _TOLERANCE]
    words = Words(read.instance, settings.bucket)
    best["sentence"] = [f"One {row.item_id} made at {row.location_id} would lose {money_words(row.loss_amt)} {settings.currency} "
                        f"at best (started in {words.when[row.t]})" for row in best.itertuples()]
    return read.dated(best, "not_made")


def _better(needs: Needs, best: Needs | None) -> Needs:
    return needs if best is None or needs.loss_amt < best.loss_amt - _TOLERANCE else best


def _by(frame: pd.DataFrame, columns: list[str], key: list[str]) -> dict[tuple, list[tuple]]:
    """Rows of a frame as tuples, by key."""
    found: dict[tuple, list[tuple]] = {}
    keys = frame[key].itertuples(index=False, name=None)
    for group, row in zip(keys, frame[columns].itertuples(index=False, name=None), strict=True):
        found.setdefault(group, []).append(row)
    return found

