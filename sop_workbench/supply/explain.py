"""Why the plan is as it is: which limits bind, what one more unit is worth, which limits clash, in planners' words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.supply.instance import PLACE, Instance
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


def binding_limits(read: Reader, currency: str, bucket: str) -> pd.DataFrame:
    """Every limit that stops the plan, with the worth of one more unit.

    price = gain of profit less penalties when the limit moves by one unit (HiGHS's dual value); it holds for
    a small change, until the next limit binds.

    Returns
    -------
    DataFrame
        The `binding_limit` table.
    """
    found = [frame for frame in (*(_of_kind(read, kind) for kind in KINDS), _waiting_for_supply(read)) if len(frame)]
    if not found:
        return tables.table("binding_limit").empty()
    rows = pd.concat(found, ignore_index=True)
    names = _resource_names(read.instance)
    when = period_words(read.instance.periods, bucket)
    rows["member_name"] = rows["member"].replace(names)
    rows["sentence"] = [
        f"{row.member_name} in {when[row.t]}: {row.phrase} is worth {money_words(row.price_amt)} {currency}"
        for row in rows.itertuples()]
    rows["money_amt"] = rows["price_amt"] * rows["limit_qty"]
    return read.dated(rows, "binding_limit")


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


def _of_kind(read: Reader, kind: Kind) -> pd.DataFrame:
    """Rows of one family that have a price."""
    block = read.arrays.rows.get(kind.family)
    if block is None or not block.keys:
        return pd.DataFrame()
    price = np.abs(read.solution.row_price[block.positions])
    upper, lower = read.arrays.row_upper[block.positions], read.arrays.row_lower[block.positions]
    limit = np.where(np.isfinite(upper), upper, lower)
    if kind.family.startswith("crew_") and kind.family != "crew_limit":
        limit = _hours_of_crew(read, block.keys, kind.family)
    # A resource that offers no overtime is not limited by it.
    is_told = (price > _WORTH_TELLING) & ~((kind.family == "overtime_limit") & (limit == 0))
    rows = [{"limit": kind.limit, "member": kind.member(*key[:-1]), "t": key[-1], "unit": kind.unit, "limit_qty": float(size),
             "price_amt": float(worth), "phrase": kind.phrase}
            for key, size, worth, told in zip(block.keys, limit, price, is_told, strict=True) if told]
    return pd.DataFrame(rows)


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
    rows = read.put(instance.each_period(instance.stocked), "price_amt", read.price("stock_balance", place))
    rows = rows.merge(instance.scheduled, on=place, how="left", validate="1:1")
    coming = rows["scheduled_qty"].fillna(0.0).groupby([rows[key] for key in PLACE]).cumsum()  # no open order brings nothing
    rows["limit_qty"] = rows["opening_qty"] + coming
    earliest = _earliest_arrival(instance)
    rows["earliest"] = pd.MultiIndex.from_frame(rows[PLACE]).map(earliest).to_numpy(dtype=float)
    # Where nothing can ever come the component or item has no source, which the notes of the plan say.
    waiting = (rows["t"] < rows["earliest"]) & (rows["price_amt"] > rows["value_amt"] * (1 + _WORTH_TELLING) + _WORTH_TELLING)
    rows = rows[waiting]
    return rows.assign(limit="lead time", unit="base units", phrase="no more can arrive yet, and one more unit",
                       member=[_place(row.item_id, row.location_id) for row in rows.itertuples()])[
        ["limit", "member", "t", "unit", "limit_qty", "price_amt", "phrase"]]


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
