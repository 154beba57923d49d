"""Why the plan is as it is: which limits bind, what one more unit is worth, which limits clash, in planners' words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.settings import OWN_RULES, Settings
from sop_workbench.supply.instance import PLACE, Instance
from sop_workbench.supply.ranges import PriceRange, Probe
from sop_workbench.supply.readback import Reader

_WORTH_TELLING = 1e-6


@dataclass(frozen=True)
class Kind:
    """One kind of limit: the constraint family behind it and how a planner speaks of it.

    `member` names who is limited, from the key without its period; `phrase` says what more of it would be.
    """

    family: str
    limit: str
    unit: str
    member: Callable[..., str]
    phrase: str


def _place(item: str, location: str) -> str:
    return f"{item} at {location}"


def _order(item: str, supplier: str, location: str) -> str:
    return f"{item} from {supplier} to {location}"


def _lane(source: str, to: str, item: str) -> str:
    return f"{source} → {to}" + (f" ({item})" if item else "")


def _sale(item: str, market: str) -> str:
    return f"{item} in {market}"


KINDS = (
    Kind("capacity_limit", "capacity", "hours", str, "one more hour"),
    Kind("overtime_limit", "overtime", "hours", str, "one more hour of overtime"),
    Kind("crew_hours", "crew", "hours", str, "one more hour"),
    Kind("crew_overtime", "crew overtime", "hours", str, "one more hour of overtime"),
    Kind("crew_limit", "crew size", "people", str, "room for one more worker"),
    Kind("production_limit", "production", "base units", _place, "making one more unit"),
    Kind("subcontract_limit", "subcontracting", "base units", _place, "subcontracting one more unit"),
    Kind("supplier_limit", "supplier", "base units", _order, "one more unit"),
    Kind("lane_limit", "lane", "base units", _lane, "sending one more unit"),
    Kind("storage_limit", "storage", "storage places", str, "one more storage place"),
    Kind("stock_floor", "least stock", "base units", _place, "one unit less that must be kept"),
    Kind("stock_ceiling", "most stock", "base units", _place, "one more unit that may be kept"),
    Kind("frozen_zone", "frozen zone", "base units", _place, "changing the frozen quantity by one unit"),
    Kind("contract_floor", "contract floor", "base units", _sale, "one unit less that must be served"),
    Kind("strategic_share", "strategic share", "base units", _sale, "one unit less that must be served"),
    Kind("level_ceiling", "level load", "hours", str, "one hour above the level"),
    Kind("level_floor", "level load", "hours", str, "one hour below the level"),
    Kind("chase_stock", "chase strategy", "base units", str, "one more unit made ahead of demand"),
    Kind("shelf_life", "shelf life", "base units", _place, "one more unit that stays good"),
)

LEAD_TIME = Kind("stock_balance", "lead time", "base units", _place, "no more can arrive yet, and one more unit")

# What has happened when a quantity can fall no further; each gets its key without the period, and the words of the period.
_USED_UP: dict[str, Callable[..., str]] = {
    "lost_qty": lambda item, market, when: f"all demand for {item} in {market}{when} is served",
    "backlog_qty": lambda item, market, when: f"no order for {item} in {market} waits{when} any more",
    "closing_qty": lambda item, location, when: f"no {item} is left in stock at {location}{when}",
    "production_qty": lambda item, location, when: f"no {item} is made at {location}{when} any more",
    "subcontract_qty": lambda item, location, when: f"no {item} is subcontracted at {location}{when} any more",
    "consumed_qty": lambda item, location, when: f"no {item} is used at {location}{when} any more",
    "purchase_qty": lambda item, supplier, location, when: f"no {item} is bought from {supplier} for {location}{when} any more",
    "transfer_qty": lambda item, source, to, when: f"no {item} goes from {source} to {to}{when} any more",
    "delivery_qty": lambda item, source, market, when: f"no {item} goes from {source} to {market}{when} any more",
    "regular_used_hours": lambda resource, when: f"{resource} stands still{when}",
    "overtime_used_hours": lambda resource, when: f"{resource} needs no overtime{when}",
    "worker_count": lambda resource, when: f"nobody works on {resource}{when}",
    "hired_count": lambda resource, when: f"nobody is hired for {resource}{when} any more",
    "laid_off_count": lambda resource, when: f"nobody is laid off from {resource}{when} any more",
    "safety_shortfall_qty": lambda item, location, when: f"the safety stock of {item} at {location}{when} is kept",
    "floor_shortfall_qty": lambda item, market, when: f"the contract floor of {item} in {market}{when} is kept",
    "strategic_shortfall_qty": lambda item, market, when: f"the strategic share of {item} in {market} is kept",
    "storage_overflow_qty": lambda location, when: f"the storage of {location}{when} suffices",
    "expired_qty": lambda item, location, when: f"no {item} at {location}{when} is too old any more",
    "safety_stock": lambda item, location, when: f"the safety stock of {item} at {location}{when} is reached",
}


def binding_limits(read: Reader, settings: Settings) -> pd.DataFrame:
    """Every limit that stops the plan, with the worth of one more unit and, for the dearest, the range it holds for.

    price = gain of profit less penalties when the limit moves by one unit (HiGHS's dual value). The dearest row of each of the
    `settings.supply.explained_limits` limits with most money, and as many rows with most money again, get the range: from
    `range_low_qty` to `range_high_qty` the price stays; `next_limit` says what ends it in the direction that pays.

    Returns
    -------
    DataFrame
        The `binding_limit` table.
    """
    found = [frame for frame in (*(_of_kind(read, kind) for kind in KINDS), _waiting_for_supply(read)) if len(frame)]
    if not found:
        return tables.table("binding_limit").empty()
    rows = pd.concat(found, ignore_index=True)
    rows["member_name"] = rows["member"].replace(_resource_names(read.instance))
    rows["money_amt"] = rows["price_amt"] * rows["limit_qty"]
    rows = _with_ranges(read, rows, settings)
    when = period_words(read.instance.periods, settings.bucket)
    rows["sentence"] = [
        f"{row.member_name} in {when[row.t]}: {row.phrase} is worth {money_words(row.price_amt)} {settings.currency}" + _range_words(row)
        for row in rows.itertuples()]
    return read.dated(rows, "binding_limit")


def _with_ranges(read: Reader, rows: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Rows with the range of their price and what ends it, where they are among the dearest."""
    rows = rows.assign(range_low_qty=np.nan, range_high_qty=np.nan, next_limit="", is_upward=rows["dual"] >= 0)
    shown = dearest(rows, settings.supply.explained_limits)
    if not len(shown):
        return rows
    probe = Probe(read.arrays, read.solution, settings)
    words = Words(read.instance, settings.bucket)
    for label in shown:
        row = rows.loc[label]
        found = probe.range_of(int(row["row"]), float(row["dual"]))
        rows.loc[label, "price_amt"] = abs(found.price)
        if found.less + found.more < _WORTH_TELLING:
            continue
        low, high = row["limit_qty"] - found.less, row["limit_qty"] + found.more
        rows.loc[label, ["range_low_qty", "range_high_qty"]] = [_quantity(low), _quantity(high)]
        rows.loc[label, "next_limit"] = words.stop(found, int(row["t"]))
    # Where the plan sits on a corner, the price of one unit less may be more than that of one more, which is told.
    rows = rows[rows["price_amt"] > _WORTH_TELLING].reset_index(drop=True)
    return rows.assign(money_amt=rows["price_amt"] * rows["limit_qty"])


def dearest(rows: pd.DataFrame, count: int) -> list:
    """Labels of the dearest row of each of the first `count` limits by money (own rules aside), and of the `count` rows with most money."""
    ranked = rows.sort_values(["price_amt", "t"], ascending=[False, True], kind="stable")
    stopping = ranked[~ranked["limit"].isin(OWN_RULES)]
    money = stopping.groupby(["limit", "member"], sort=True)["money_amt"].sum().sort_values(ascending=False, kind="stable").head(count)
    dearest_row = ranked.reset_index(names="label").drop_duplicates(["limit", "member"]).set_index(["limit", "member"])["label"]
    chosen = dearest_row.reindex(money.index).tolist()
    by_money = rows.sort_values(["money_amt", "t"], ascending=[False, True], kind="stable").head(count).index
    return list(dict.fromkeys([*chosen, *by_money]))


def _range_words(row: Any) -> str:
    """`up to 45 hours, then …`, or nothing where the range was not worked out or never ends."""
    edge = row.range_high_qty if row.is_upward else row.range_low_qty
    if not row.next_limit or not np.isfinite(edge):
        return ""
    return f" {'up' if row.is_upward else 'down'} to {quantity_words(edge)} {row.unit}, then {row.next_limit}"


def _quantity(value: float) -> float:
    """A quantity without the crumbs of the search; a range without end is empty."""
    return round(value, 4) if np.isfinite(value) else np.nan


class Words:
    """How planners name limits and quantities of one plan."""

    def __init__(self, instance: Instance, bucket: str) -> None:
        self.periods, self.when = instance.periods, period_words(instance.periods, bucket)
        self.names = _resource_names(instance)
        self.kinds = {kind.family: kind for kind in KINDS}

    def stop(self, found: PriceRange, t: int) -> str:
        """What ends a range, in words; the period is named where it is another one."""
        if found.stop is None:
            return ""
        name, key = found.stop
        if name in _USED_UP:
            when = "" if key[-1] == t else f" in {self.when[key[-1]]}"
            return _USED_UP[name](*(self.names.get(part, part) for part in key[:-1]), when)
        if name not in self.kinds:
            return "the plan changes"
        limit, member, when, _ = self.limit(found.stop)
        prefix = "" if limit in ("capacity", "crew") else f"{limit} of "
        return f"{prefix}{member}{'' if key[-1] == t else f' in {when}'} is the limit"

    def limit(self, named: tuple[str, tuple]) -> tuple[str, str, str, str]:
        """Kind, member, period and unit of a limit named by (family, key)."""
        family, key = named
        kind = self.kinds.get(family, LEAD_TIME)
        member = kind.member(*key[:-1])
        return kind.limit, self.names.get(member, member), self.when[key[-1]], kind.unit


def clash_words(instance: Instance, members: list[tuple[str, tuple]], bucket: str) -> str:
    """The clashing limits, one a line, as a planner would name them.

    Balances that only carry the clash from one period to the next are not named.
    """
    kinds = {kind.family: kind for kind in KINDS}
    when, names = period_words(instance.periods, bucket), _resource_names(instance)
    periods_of: dict[tuple[str, str], list[int]] = {}
    for family, key in members:
        if family in kinds:
            member = kinds[family].member(*key[:-1])
            periods_of.setdefault((kinds[family].limit, names.get(member, member)), []).append(key[-1])
    return "\n".join(f"- {limit} of {member} in {when[min(periods)]}" + (f" to {when[max(periods)]}" if len(periods) > 1 else "")
                     for (limit, member), periods in periods_of.items())


def period_words(periods: pd.DatetimeIndex, bucket: str) -> list[str]:
    """How people name a period.

    Examples
    --------
    >>> period_words(pd.DatetimeIndex(["2026-05-01"]), "month"), period_words(pd.DatetimeIndex(["2026-05-04"]), "week")
    (['May 2026'], ['week 19 of 2026'])
    """
    if bucket == "month":
        return [f"{period:%B %Y}" for period in periods]
    return [f"week {period.isocalendar().week} of {period.isocalendar().year}" for period in periods]


def money_words(amount: float) -> str:
    """An amount as people say it: whole from 100 on, cents below.

    Examples
    --------
    >>> money_words(3400.0), money_words(2.5)
    ('3,400', '2.50')
    """
    return f"{amount:,.0f}" if abs(amount) >= 100 else f"{amount:,.2f}"


def quantity_words(quantity: float) -> str:
    """A quantity as people say it: whole from 100 on, one decimal below where it needs one, two digits below one.

    Examples
    --------
    >>> quantity_words(1400.4), quantity_words(45.0), quantity_words(7.857), quantity_words(0.0132)
    ('1,400', '45', '7.9', '0.013')
    """
    if 0 < abs(quantity) < 1:
        return f"{quantity:.2g}"
    rounded = round(quantity, 0 if abs(quantity) >= 100 else 1) + 0.0
    return f"{rounded:,.0f}" if rounded == round(rounded) else f"{rounded:,.1f}"


def _of_kind(read: Reader, kind: Kind) -> pd.DataFrame:
    """Rows of one family that have a price."""
    block = read.arrays.rows.get(kind.family)
    if block is None or not len(block.positions):
        return pd.DataFrame()
    dual = read.solution.row_price[block.positions]
    price = np.abs(dual)
    upper, lower = read.arrays.row_upper[block.positions], read.arrays.row_lower[block.positions]
    limit = np.where(np.isfinite(upper), upper, lower)
    if kind.family.startswith("crew_") and kind.family != "crew_limit":
        limit = _hours_of_crew(read, block.keys, kind.family)
    # A resource that offers no overtime is not limited by it.
    is_told = (price > _WORTH_TELLING) & ~((kind.family == "overtime_limit") & (limit == 0))
    told = np.flatnonzero(is_told)
    keys = block.keys_at(told)
    return pd.DataFrame({
        "limit": kind.limit, "member": [kind.member(*key[:-1]) for key in keys], "t": [key[-1] for key in keys], "unit": kind.unit,
        "limit_qty": limit[told], "price_amt": price[told], "phrase": kind.phrase, "dual": dual[told], "row": block.positions[told]})


def _hours_of_crew(read: Reader, keys: list[tuple], family: str) -> np.ndarray:
    """Hours the people of each crew have: their number is a decision, so the limit is read from the plan."""
    column = "hours_per_worker" if family == "crew_hours" else "overtime_hours_per_worker"
    workers = read.value("worker_count", ["resource_id", "t"])
    hours = read.instance.crew.set_index("resource_id")[column]
    return np.array([workers[key] * hours[key[0]] for key in keys])


def _waiting_for_supply(read: Reader) -> pd.DataFrame:
    """Stock that nothing can replenish in time and of which one more unit would be worth more than it costs."""
    place = [*PLACE, "t"]
    instance = read.instance
    rows = instance.each_period(instance.stocked)
    rows["row"] = read.arrays.rows["stock_balance"].position(rows, place)
    rows["price_amt"] = read.solution.row_price[rows["row"]] if len(rows) else 0.0
    rows = rows.merge(instance.scheduled, on=place, how="left", validate="1:1")
    coming = rows["scheduled_qty"].fillna(0.0).groupby([rows[key] for key in PLACE]).cumsum()  # no open order brings nothing
    rows["limit_qty"] = rows["opening_qty"] + coming
    earliest = _earliest_arrival(instance)
    first = pd.MultiIndex.from_frame(instance.stocked[PLACE]).map(earliest).to_numpy(dtype=float)
    rows["earliest"] = np.repeat(first, len(instance.periods))
    # Where nothing can ever come the component or item has no source, which the notes of the plan say.
    waiting = (rows["t"] < rows["earliest"]) & (rows["price_amt"] > rows["value_amt"] * (1 + _WORTH_TELLING) + _WORTH_TELLING)
    rows = rows[waiting]
    return rows.assign(limit=LEAD_TIME.limit, unit=LEAD_TIME.unit, phrase=LEAD_TIME.phrase, dual=rows["price_amt"],
                       member=[_place(row.item_id, row.location_id) for row in rows.itertuples()])[
        ["limit", "member", "t", "unit", "limit_qty", "price_amt", "phrase", "dual", "row"]]


def _earliest_arrival(instance: Instance) -> dict[tuple[str, str], int]:
    """First period in which something new can reach each place."""
    ways = [instance.made[[*PLACE, "lead"]], instance.bought[[*PLACE, "lead"]],
            instance.made.loc[instance.made["subcontract_cost_amt"].notna(), PLACE].assign(lead=0),
            instance.transfer.rename(columns={"to_id": "location_id"})[[*PLACE, "lead"]]]
    earliest = pd.concat([way for way in ways if len(way)] or ways[:1]).groupby(PLACE)["lead"].min()
    return earliest.to_dict()


def _resource_names(instance: Instance) -> dict[str, str]:
    named = instance.resource[instance.resource["resource_name"].notna()]
    return dict(zip(named["resource_id"], named["resource_name"], strict=True))
