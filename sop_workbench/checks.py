"""Data checks: one function per rule, every finding at once as rows of the `issue` table.

A rule is a plain function of the `Evidence`; its name is the name of the rule, its docstring says
what is wrong and why it matters. `RULES` is the list of all of them. Rules on planning inputs block
where the plan would be wrong. Rules on documents (orders, receipts, movements as booked) are evidence
for the owners of the data: they warn or inform and never block.

What one table can say about itself — types, bounds such as a price below zero, double keys, no rows,
units without a factor — is told while it is read (`tables.conform`, `sources`) and not repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from sop_workbench import tables
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

_VALUES_SHOWN = 5
_DAYS_TO_COMPARE = 60
_PERIODS_OF_BOOKED_HOURS = 3
_ROUTING_TOLERANCE = 0.1
_SEVERITY_ORDER = {"blocks": 0, "warns": 1, "info": 2}
_DATED_SPANS = (
    ("item", "launch_date", "phase_out_date"),
    ("bill_of_material", "valid_from", "valid_to"),
    ("event", "from_period", "to_period"),
)
_LOT_LIMITS = (("production", "min_lot_qty", "max_qty"), ("supplier_item", "min_order_qty", "max_qty"))


@dataclass(frozen=True)
class Evidence:
    """What a rule looks at: every input and document table (empty where a company has none) and the as-of date."""

    frames: Mapping[str, pd.DataFrame]
    settings: Settings
    as_of: pd.Timestamp

    def __getitem__(self, name: str) -> pd.DataFrame:
        """The frame of a table."""
        return self.frames[name]

    @property
    def calendar(self) -> Calendar:
        """The company's planning calendar."""
        return self.settings.calendar

    @property
    def last_period(self) -> pd.Timestamp:
        """The last period whose facts may be known."""
        return self.calendar.period_of(self.as_of)


Rule = Callable[[Evidence], list[dict]]


def run_checks(
    inputs: Mapping[str, pd.DataFrame], documents: Mapping[str, pd.DataFrame], settings: Settings, as_of: pd.Timestamp
) -> pd.DataFrame:
    """Apply every rule and return all findings, worst first.

    Parameters
    ----------
    inputs, documents : mapping of table name to conformed DataFrame
        A table that is left out counts as empty.
    settings : Settings
        `check_severity` overrides the severity of a rule; `rule.table` only for one table.
    as_of : Timestamp
        Last day whose facts the cycle may know.

    Returns
    -------
    DataFrame
        Rows of the `issue` table; `count` is the number of rows concerned, `keys` and `value` show the first few.

    Examples
    --------
    >>> bom = pd.DataFrame({"parent_item_id": ["A", "B"], "component_item_id": ["B", "A"], "quantity_per": 1.0,
    ...     "valid_from": pd.Timestamp("2020-01-01"), "valid_to": pd.NaT})
    >>> issues = run_checks({"bill_of_material": bom}, {}, Settings(company="Any"), pd.Timestamp("2026-09-30"))
    >>> issues.loc[issues["rule"] == "bom_loop", ["severity", "keys", "count"]].to_dict("records")
    [{'severity': 'blocks', 'keys': 'A → B → A', 'count': 2}]
    """
    frames = {name: tables.table(name).empty() for name in tables.names("input") + tables.names("document")}
    evidence = Evidence({**frames, **inputs, **documents}, settings, pd.Timestamp(as_of))
    findings = [{**found, "rule": rule.__name__} for rule in RULES for found in rule(evidence)]
    issues = tables.issue_frame([{**found, "severity": _severity(found, settings)} for found in findings])
    order = issues["severity"].map(_SEVERITY_ORDER)
    return issues.iloc[np.argsort(order.to_numpy(), kind="stable")].reset_index(drop=True)


# ---------------------------------------------------------------- planning inputs: structure
def unknown_reference(data: Evidence) -> list[dict]:
    """A row names an item, market, location or resource that its master table does not hold; blocks."""
    found = []
    for name in tables.names("input"):
        for column in tables.table(name).columns.values():
            if column.references is None or data[column.references].empty or column.name not in data[name]:
                continue
            known = data[column.references][tables.table(column.references).key[0]]
            value = data[name][column.name]
            rows = data[name][value.notna() & (value != "") & ~value.isin(known)]
            unknown = rows.drop_duplicates(column.name).sort_values(column.name)
            remedy = f"add it to {column.references}, or correct {column.name} in {name}"
            found += _found("blocks", name, unknown, remedy, key=[column.name], count=len(rows))
    return found


def unknown_lane_end(data: Evidence) -> list[dict]:
    """A lane leads to something that is neither a location nor a market; blocks."""
    lane = data["lane"]
    known = pd.concat([data["location"]["location_id"], data["market"]["market_id"]])
    rows = lane[~lane["to_id"].isin(known)]
    return _found("blocks", "lane", rows, "add the location or market, or correct to_id", column="to_id")


def unknown_family_or_region(data: Evidence) -> list[dict]:
    """An event, input, opportunity or budget speaks of a family or region that no item or market has; warns."""
    known = {
        "family": {"", "all", *data["item"]["family"].dropna()},
        "region": {"", "all", *data["market"]["region"].dropna()},
    }
    found = []
    for name in ("event", "demand_input", "opportunity", "budget"):
        for column in known.keys() & set(data[name].columns):
            value = data[name][column]
            rows = data[name][value.notna() & ~value.isin(known[column])]
            unknown = rows.drop_duplicates(column).sort_values(column)
            found += _found("warns", name, unknown, f"use a {column} of the master data, or `all`", key=[column], count=len(rows))
    return sorted(found, key=lambda row: (row["table"], row["keys"]))


def unknown_member_of_input(data: Evidence) -> list[dict]:
    """A person's input speaks of an item or market that is not on file; the demand review leaves it out; warns."""
    found = []
    for column, master in (("item_id", "item"), ("market_id", "market")):
        value = data["demand_input"][column]
        rows = data["demand_input"][value.notna() & (value != "") & ~value.isin(data[master][column])]
        unknown = rows.drop_duplicates(column).sort_values(column)
        found += _found("warns", "demand_input", unknown, f"use a {column} of {master}, or add it there", key=["source", "author", column],
                        count=len(rows))
    return found


def event_outside_horizon(data: Evidence) -> list[dict]:
    """A promotion that is planned lies outside the periods planned, so that it moves nothing; warns."""
    event = data["event"]
    first = data.calendar.add(data.last_period, 1)
    last = data.calendar.add(first, data.settings.horizon - 1)
    is_open = event["kind"].isin(["promotion", "price"]) & event["status"].isin(["idea", "planned"])
    rows = event[is_open & ((event["to_period"] < first) | (event["from_period"] > last))]
    remedy = f"move it into {first:%Y-%m-%d} to {last:%Y-%m-%d}, set its status to done or cancelled, or plan further ahead"
    return _found("warns", "event", rows, remedy, column="from_period")


def reversed_dates(data: Evidence) -> list[dict]:
    """A span ends before it begins; blocks."""
    found = []
    for name, start, end in _DATED_SPANS:
        rows = data[name][data[name][end] < data[name][start]]
        found += _found("blocks", name, rows, f"correct {start} or {end}", column=end)
    return found


def contradictory_lot_limits(data: Evidence) -> list[dict]:
    """The smallest lot is above the most allowed in a period, so nothing could ever be made or bought; blocks."""
    found = []
    for name, smallest, most in _LOT_LIMITS:
        rows = data[name][data[name][smallest] > data[name][most]]
        found += _found("blocks", name, rows, f"lower {smallest} or raise {most}", column=smallest)
    return found


# ---------------------------------------------------------------- planning inputs: bill of material, routing, capacity
def bom_loop(data: Evidence) -> list[dict]:
    """An item contains itself, directly or through its components; blocks."""
    bom = _valid_bom(data)
    remedy = "remove one of these rows from bill_of_material"
    return [
        tables.finding("", "blocks", "bill_of_material", " → ".join([*loop, loop[0]]), len(loop), "", remedy)
        for loop in _loops(bom["parent_item_id"], bom["component_item_id"])
    ]


def overlapping_bom_rows(data: Evidence) -> list[dict]:
    """The same component of the same parent is valid twice at one time, so it would be used twice; warns."""
    pair = ["parent_item_id", "component_item_id"]
    bom = data["bill_of_material"].sort_values([*pair, "valid_from"])
    before = bom.groupby(pair)["valid_to"].shift().fillna(pd.Timestamp.max)
    rows = bom[bom.duplicated(pair) & (bom["valid_from"] <= before)]
    return _found("warns", "bill_of_material", rows, "end the old row the day before the new one begins", column="quantity_per")


def expired_bom_row(data: Evidence) -> list[dict]:
    """A row of the bill of material ended before the plan begins; informs."""
    bom = data["bill_of_material"]
    rows = bom[bom["valid_to"] <= data.as_of]
    return _found("info", "bill_of_material", rows, "nothing to do: it is left out of the plan", column="valid_to")


def made_item_without_bom(data: Evidence) -> list[dict]:
    """An item is made of nothing: its material need is missing from the plan; warns."""
    made = data["production"]
    if data["bill_of_material"].empty:
        return []
    rows = made[~made["item_id"].isin(_valid_bom(data)["parent_item_id"])]
    return _found("warns", "production", rows, "add its components to bill_of_material")


def component_without_source(data: Evidence) -> list[dict]:
    """A component is neither made nor bought anywhere, so its parents would stop when stock ends; warns."""
    used = _valid_bom(data).drop_duplicates("component_item_id").sort_values("component_item_id")
    rows = used[~used["component_item_id"].isin(_sourced(data))]
    remedy = "add it to production or to supplier_item"
    return _found("warns", "bill_of_material", rows, remedy, key=["component_item_id"])


def made_item_without_routing(data: Evidence) -> list[dict]:
    """An item is made without using any hour: capacity would not limit it; warns."""
    pair = ["item_id", "location_id"]
    made = data["production"]
    if data["routing"].empty:
        return []
    routed = data["routing"][pair].drop_duplicates()
    return _found("warns", "production", _not_in(made, routed, pair), "add its hours to routing")


def routing_without_hours(data: Evidence) -> list[dict]:
    """A routing row needs no hour per unit and none per lot; warns."""
    rows = data["routing"].query("hours_per_unit == 0 and hours_per_lot == 0")
    return _found("warns", "routing", rows, "enter the hours, or remove the row")


def routing_hours_unlike_family(data: Evidence) -> list[dict]:
    """An item needs more than five times the hours of its family on the same resource; warns.

    The family's median counts where at least four of its items use the resource.
    """
    family = data["item"].drop_duplicates("item_id").set_index("item_id")["family"]
    routing = data["routing"].assign(family=data["routing"]["item_id"].map(family))
    peers = routing.groupby(["family", "resource_id"])["hours_per_unit"]
    is_far = routing["hours_per_unit"] > 5 * peers.transform("median")
    rows = routing[is_far & (peers.transform("size") >= 4)]
    return _found("warns", "routing", rows, "look for a wrong decimal point or unit", column="hours_per_unit")


def routed_resource_without_capacity(data: Evidence) -> list[dict]:
    """A resource that routings use has no hours in some period of the horizon; blocks."""
    calendar = data.calendar
    horizon = pd.date_range(calendar.add(data.last_period, 1), periods=data.settings.horizon, freq=calendar.frequency)
    needed = pd.MultiIndex.from_product([sorted(data["routing"]["resource_id"].unique()), horizon], names=["resource_id", "period"])
    known = pd.MultiIndex.from_frame(data["capacity"][["resource_id", "period"]])
    rows = needed.difference(known).to_frame(index=False)
    return _found("blocks", "capacity", rows, "add regular_hours for the missing periods, or shorten the horizon")


# ---------------------------------------------------------------- planning inputs: sources, prices, costs
def sold_item_without_price(data: Evidence) -> list[dict]:
    """An item has no price in a market when the plan begins: it blocks where it sold within a year, warns where it sold before."""
    pair = ["item_id", "market_id"]
    valid = data["price"][data["price"]["valid_from"] <= _plan_start(data)][pair].drop_duplicates()
    remedy = "add a price that is valid when the plan begins"
    unpriced = _not_in(_sold_lately(data), valid, pair)
    ever = _sold(data)
    return _found("blocks", "price", unpriced, remedy) + _found(
        "warns", "price", _not_in(_not_in(ever, valid, pair), unpriced, pair), remedy
    )


def item_without_cost(data: Evidence) -> list[dict]:
    """An item that is sold or used has no standard cost: margin, stock money and excess would be wrong; warns."""
    item = data["item"]
    used = {*_sold_lately(data)["item_id"], *_valid_bom(data)["component_item_id"]}
    rows = item[item["item_id"].isin(used) & ~(item["standard_cost_amt"] > 0)]
    return _found("warns", "item", rows, "enter standard_cost_amt", column="standard_cost_amt")


def sold_item_without_source(data: Evidence) -> list[dict]:
    """An item sold within a year is neither made nor bought anywhere: all its demand would be lost; warns."""
    sold = _sold_lately(data).drop_duplicates("item_id")
    rows = sold[~sold["item_id"].isin(_sourced(data))]
    return _found("warns", "item", rows, "add it to production or to supplier_item")


def sold_item_without_family(data: Evidence) -> list[dict]:
    """An item sold within a year belongs to no family, so no review would see it; warns."""
    item = data["item"]
    rows = item[item["item_id"].isin(_sold_lately(data)["item_id"]) & item["family"].isna()]
    return _found("warns", "item", rows, "give the item a family")


def market_without_lane(data: Evidence) -> list[dict]:
    """No lane leads to a market that was sold to within a year: its demand could never be served; blocks."""
    sold = _sold_lately(data).drop_duplicates("market_id").sort_values("market_id")
    rows = sold[~sold["market_id"].isin(data["lane"]["to_id"])]
    return [] if data["lane"].empty else _found("blocks", "lane", rows, "add a lane to the market", key=["market_id"])


def price_below_standard_cost(data: Evidence) -> list[dict]:
    """The price valid when the plan begins is below standard cost: a profit plan would stop serving; warns."""
    price = data["price"][data["price"]["valid_from"] <= _plan_start(data)].sort_values("valid_from")
    price = price.drop_duplicates(["item_id", "market_id"], keep="last").sort_values(["item_id", "market_id"])
    cost = data["item"].drop_duplicates("item_id").set_index("item_id")["standard_cost_amt"]
    rows = price[price["price_amt"] < price["item_id"].map(cost)]
    remedy = "confirm the price, or protect the market by min_fill_ratio"
    return _found("warns", "price", rows, remedy, column="price_amt")


def supplier_without_lead_time(data: Evidence) -> list[dict]:
    """A supplier would deliver on the day of the order, in a company whose suppliers mostly need time; warns."""
    bought = data["supplier_item"]
    rows = bought[bought["lead_time_days"] == 0] if (bought["lead_time_days"] > 0).mean() > 0.5 else bought.head(0)
    return _found("warns", "supplier_item", rows, "enter the days from order to receipt")


def bom_cost_unlike_standard_cost(data: Evidence) -> list[dict]:
    """Components cost more than twice, or less than a quarter, of their parent's standard cost; warns.

    Usually a wrong unit in a bill of material or in a purchase price.
    """
    item = data["item"].drop_duplicates("item_id").set_index("item_id")["standard_cost_amt"]
    price = data["supplier_item"].groupby("item_id")["unit_cost_amt"].min()
    bom = _valid_bom(data)
    unit = bom["component_item_id"].map(price).fillna(bom["component_item_id"].map(item))
    rolled = (unit * bom["quantity_per"]).groupby(bom["parent_item_id"]).sum(min_count=1).rename("bom_cost_amt")
    rows = rolled.to_frame().join(item).rename_axis("item_id").reset_index().query("standard_cost_amt > 0")
    rows = rows[(rows["bom_cost_amt"] > 2 * rows["standard_cost_amt"]) | (rows["bom_cost_amt"] < rows["standard_cost_amt"] / 4)]
    rows = rows.assign(ratio=(rows["bom_cost_amt"] / rows["standard_cost_amt"]).round(2))
    remedy = "look at units and prices of the components"
    return _found("warns", "bill_of_material", rows, remedy, key=["item_id"], column="ratio")


# ---------------------------------------------------------------- planning inputs: history, stock, open orders
def history_after_as_of(data: Evidence) -> list[dict]:
    """Facts are later than the as-of date: the plan would know the future; blocks."""
    found = []
    for name in ("sales_history", "production_history", "stock_history"):
        rows = data[name][data[name]["period"] > data.last_period]
        found += _found("blocks", name, rows, f"cut the source at {data.as_of:%Y-%m-%d} (use :as_of)", column="period")
    stock = data["stock_on_hand"]
    rows = stock[stock["as_of_date"] > data.as_of]
    return found + _found("blocks", "stock_on_hand", rows, "bring the stock of the as-of date", column="as_of_date")


def history_stops_early(data: Evidence) -> list[dict]:
    """The last period before the plan has no sales at all, a late feed; blocks."""
    history = data["sales_history"]
    if history.empty or history["period"].max() >= data.last_period:
        return []
    missing = pd.date_range(history["period"].max(), data.last_period, freq=data.calendar.frequency)[1:].to_frame(name="period")
    return _found("blocks", "sales_history", missing, "bring the sales up to the as-of date, or plan an earlier cycle")


def missing_period(data: Evidence) -> list[dict]:
    """A period inside the history has no sales at all in the whole company; blocks."""
    periods = data["sales_history"]["period"]
    if periods.empty:
        return []
    expected = pd.date_range(periods.min(), periods.max(), freq=data.calendar.frequency)
    rows = expected.difference(pd.DatetimeIndex(periods.unique())).to_frame(name="period")
    return _found("blocks", "sales_history", rows, "bring the sales of the period, or shift the calendar (calendar_shift_days)")


def market_with_missing_period(data: Evidence) -> list[dict]:
    """A market has no sales in some periods between its first and its last; warns."""
    rows = _gaps(data, ["market_id"]).query("missing > 0")
    return _found("warns", "sales_history", rows, "confirm that nothing was sold", column="missing", key=["market_id"])


def series_with_missing_period(data: Evidence) -> list[dict]:
    """A series that sells in nine of ten periods misses some between its first and its last; warns."""
    key = ["item_id", "market_id"]
    rows = _gaps(data, key).query("missing > 0 and active >= 24 and missing <= active / 9")
    return _found("warns", "sales_history", rows, "confirm that nothing was sold, or mark a stock-out", column="missing", key=key)


def partial_edge_period(data: Evidence) -> list[dict]:
    """The first or last period holds less than half of the periods beside it, so it may be cut; warns."""
    total = data["sales_history"].groupby("period")["ordered_qty"].sum()
    rows = _low_edges(total, neighbours=6)
    return _found("warns", "sales_history", rows, "leave the period out, or confirm it is complete", column="quantity")


def negative_sales(data: Evidence) -> list[dict]:
    """Returns outweigh orders in a period: demand would be negative; warns."""
    rows = data["sales_history"].query("ordered_qty < 0")
    return _found("warns", "sales_history", rows, "keep returns apart from orders", column="ordered_qty")


def shipped_above_ordered(data: Evidence) -> list[dict]:
    """More was shipped than ordered, or more on time than shipped or counted: service would exceed 100 %; warns."""
    rows = data["sales_history"].query("shipped_qty > ordered_qty or on_time_qty > shipped_qty or complete_order_count > order_count")
    return _found("warns", "sales_history", rows, "book shipments to the period of their order", column="shipped_qty")


def sold_after_phase_out(data: Evidence) -> list[dict]:
    """An item was sold in a period after its phase-out; warns."""
    end = data["item"].drop_duplicates("item_id").set_index("item_id")["phase_out_date"].dropna()
    history = data["sales_history"]
    last = data.calendar.periods_of(history["item_id"].map(end).astype("datetime64[ns]"))
    rows = history[(history["period"] > last) & (history["ordered_qty"] > 0)]
    return _found("warns", "sales_history", rows, "correct phase_out_date, or stop taking orders", column="ordered_qty")


def never_sold(data: Evidence) -> list[dict]:
    """A finished item that is on sale was never sold; informs."""
    rows = _unsold_finished(data, launched=True)
    return _found("info", "item", rows, "end the item, or give it a like-item")


def launch_without_like_item(data: Evidence) -> list[dict]:
    """An item is still to be launched and names no like-item, so it would be planned at zero; warns."""
    rows = _unsold_finished(data, launched=False)
    rows = rows[rows["like_item_id"].isna()]
    return _found("warns", "item", rows, "name a like_item_id", column="launch_date")


def negative_stock(data: Evidence) -> list[dict]:
    """Stock on hand is below zero, which no warehouse can hold; warns."""
    rows = data["stock_on_hand"].query("on_hand_qty < 0")
    return _found("warns", "stock_on_hand", rows, "book the missing receipts, or count again", column="on_hand_qty")


def stock_older_than_as_of(data: Evidence) -> list[dict]:
    """The stock was counted before the as-of date; informs."""
    stock = data["stock_on_hand"]
    rows = stock[stock["as_of_date"] < data.as_of]
    return _found("info", "stock_on_hand", rows, "bring the stock of the as-of date", column="as_of_date")


def open_supply_past_due(data: Evidence) -> list[dict]:
    """An open order should have come in already; warns."""
    supply = data["open_supply"]
    rows = supply[(supply["due_date"] <= data.as_of) & (supply["open_qty"] > 0)]
    return _found("warns", "open_supply", rows, "ask for a new date, or close the order", column="due_date")


def open_purchase_twice(data: Evidence) -> list[dict]:
    """Two open purchase orders for the same item, place, day and quantity: perhaps one entered twice; warns."""
    key = ["item_id", "location_id", "due_date", "open_qty"]
    supply = data["open_supply"].query("kind == 'purchase' and open_qty > 0")
    rows = supply[supply.duplicated(key)]
    return _found("warns", "open_supply", rows, "cancel one of them, or confirm both", column="open_qty")


# ---------------------------------------------------------------- documents: demand
def months_without_orders(data: Evidence) -> list[dict]:
    """Calendar months in which a channel sold less than 1 % of its median month; warns.

    With orders booked in batches the calendar month is the wrong bucket: shift the calendar.
    """
    found = []
    for channel, lines in _by_channel(data):
        total = lines.groupby(_months(lines["order_date"]))["ordered_qty"].sum()
        total = total.reindex(pd.period_range(total.index.min(), total.index.max(), freq="M"), fill_value=0)  # no line: nothing sold
        rows = total[total < 0.01 * total[total > 0].median()].rename_axis("month").reset_index()
        remedy = "shift the calendar so that each period holds one batch, or confirm the gap"
        found += _found("warns", "sales_order_line", rows.assign(channel=channel), remedy, key=["channel", "month"], column="ordered_qty")
    return found


def months_with_two_batches(data: Evidence) -> list[dict]:
    """Calendar months that hold two or more booking days of a channel that books about once a month; warns."""
    found = []
    for channel, lines in _by_channel(data):
        days = lines["order_date"].dt.normalize()
        batches = days.groupby(_months(days)).nunique().rename_axis("month").rename("days").reset_index()
        if batches["days"].mean() > 2:
            continue
        remedy = "shift the calendar so that each period holds one batch"
        rows = batches.query("days > 1").assign(channel=channel)
        found += _found("warns", "sales_order_line", rows, remedy, key=["channel", "month"], column="days")
    return found


def incomplete_edge_months(data: Evidence) -> list[dict]:
    """The first or last calendar month of the orders holds less than half of the months beside it; warns."""
    lines = data["sales_order_line"]
    total = lines.groupby(_months(lines["order_date"]))["ordered_qty"].sum().rename_axis("period")
    rows = _low_edges(total, neighbours=12)
    return _found("warns", "sales_order_line", rows, "leave the month out of the history", key=["period"], column="quantity")


def lines_after_end_of_sale(data: Evidence) -> list[dict]:
    """Order lines later than the item's last day of sale; warns."""
    end = data["item_master"].set_index("item_id")["sale_end_date"]
    lines = data["sales_order_line"]
    rows = lines[lines["order_date"] > lines["item_id"].map(end)]
    return _found("warns", "sales_order_line", rows, "correct the end of sale, or stop taking orders", column="item_id")


def finished_items_never_sold(data: Evidence) -> list[dict]:
    """Finished items without a single order line; informs."""
    item = data["item_master"]
    rows = item[item["is_finished"] & ~item["item_id"].isin(data["sales_order_line"]["item_id"])]
    return [] if data["sales_order_line"].empty else _found("info", "item_master", rows, "end the item, or plan its launch")


def demand_series(data: Evidence) -> list[dict]:
    """How many item × region series the orders hold: the size of the forecasting task; informs."""
    rows = data["sales_order_line"][["item_id", "region"]].drop_duplicates()
    return _found("info", "sales_order_line", rows, "nothing to do", key=[])


def short_demand_series(data: Evidence) -> list[dict]:
    """Item × region series with fewer than twelve months of sales: too short for a yearly pattern; informs."""
    lines = data["sales_order_line"]
    active = _months(lines["order_date"]).groupby([lines["item_id"], lines["region"]]).nunique().rename("months").reset_index()
    rows = active.query("months < 12")
    return _found(
        "info", "sales_order_line", rows, "forecast at a higher level or by like-items", key=["item_id", "region"], column="months"
    )


def sales_person_in_other_region(data: Evidence) -> list[dict]:
    """Orders of a sales person who is assigned to another region than the order's, or to none; warns."""
    people = data["sales_person"]
    orders = data["sales_order_line"].drop_duplicates("order_id")
    orders = orders[orders["sales_person_id"].isin(people["sales_person_id"])]
    region = orders["sales_person_id"].map(people.set_index("sales_person_id")["region"])
    rows = orders[region.isna() | (region != orders["region"])]
    remedy = "plan sales by the order's region, not by the person's"
    return _found("warns", "sales_order_line", rows, remedy, key=["order_id"], column="sales_person_id")


def duplicate_order_lines(data: Evidence) -> list[dict]:
    """The same customer ordered the same item on the same day on more than one line; informs."""
    key = ["customer_id", "order_date", "item_id"]
    lines = data["sales_order_line"].dropna(subset=["customer_id"])
    rows = lines[lines.duplicated(key)].drop_duplicates(key)
    return _found("info", "sales_order_line", rows, "confirm that the second line is not a double entry", key=key)


def exchange_rate_on_home_currency(data: Evidence) -> list[dict]:
    """Orders that carry an exchange rate although their amounts are in the reporting currency; warns."""
    lines = data["sales_order_line"]
    rows = lines[lines["exchange_rate_id"].notna() & (lines["currency"] == data.settings.currency)].drop_duplicates("order_id")
    return _found("warns", "sales_order_line", rows, "do not convert these amounts again", key=["order_id"], column="exchange_rate_id")


# ---------------------------------------------------------------- documents: promotions
def offer_without_discount(data: Evidence) -> list[dict]:
    """Lines booked under an offer that promises a discount, but without any; warns."""
    rows = _lines_with_offer(data).query("promised_ratio > 0 and discount_ratio == 0")
    return _found("warns", "sales_order_line", rows, "do not count these lines as promoted", column="offer_id")


def offer_outside_quantity(data: Evidence) -> list[dict]:
    """Lines whose quantity is outside the range their offer is meant for; warns."""
    rows = _lines_with_offer(data).query("ordered_qty < min_qty or ordered_qty > max_qty")
    return _found("warns", "sales_order_line", rows, "correct the offer of the line", column="ordered_qty")


def lines_without_known_offer(data: Evidence) -> list[dict]:
    """Lines without an offer, or with an unknown one, in a company that books nearly every line under one; warns."""
    lines = data["sales_order_line"]
    known = lines["offer_id"].isin(data["sales_offer"]["offer_id"])
    rows = lines[~known] if known.mean() > 0.5 else lines.head(0)
    return _found("warns", "sales_order_line", rows, "find the offer, or book it as `no discount`", column="offer_id")


# ---------------------------------------------------------------- documents: money
def lines_below_standard_cost(data: Evidence) -> list[dict]:
    """Lines sold below the standard cost of their day, by channel; warns."""
    lines = _lines_with_cost(data)
    below = lines[(lines["net_sales_amt"] - lines["ordered_qty"] * lines["standard_cost_amt"]).round(4) < 0]
    found = []
    for channel, rows in below.groupby(below["channel"].fillna("all")):
        key = tables.key_text(rows, ["order_id", "line_id"])
        money = (rows["ordered_qty"] * rows["standard_cost_amt"] - rows["net_sales_amt"]).sum()
        remedy = "look at price and cost of the channel; a profit plan would stop serving it unless floors protect it"
        found.append(tables.finding("", "warns", "sales_order_line", f"channel={channel} {key}", len(rows), f"{money:,.0f} below", remedy))
    return found


def lines_without_valid_cost(data: Evidence) -> list[dict]:
    """Lines on whose day no standard cost was valid; warns."""
    lines = data["sales_order_line"]
    if data["standard_cost_record"].empty:
        return []
    rows = _not_in(lines, _lines_with_cost(data), ["order_id", "line_id"])
    return _found("warns", "sales_order_line", rows, "extend the cost history", column="item_id")


def items_without_cost(data: Evidence) -> list[dict]:
    """Items whose standard cost is zero; warns."""
    rows = data["item_master"].query("standard_cost_amt == 0")
    return _found("warns", "item_master", rows, "enter the standard cost")


def components_without_cost(data: Evidence) -> list[dict]:
    """Components of a valid bill of material whose standard cost is zero: the roll-up leaves them out; warns."""
    used = _open_bom_records(data)["component_item_id"]
    rows = data["item_master"].query("standard_cost_amt == 0")
    return _found("warns", "item_master", rows[rows["item_id"].isin(used)], "enter the standard cost")


def months_without_budget(data: Evidence) -> list[dict]:
    """Months of the ledger with actuals but no budget; warns."""
    months = _ledger_months(data)
    rows = months["actual"].difference(months["budget"]).to_frame(index=False, name="month")
    return _found("warns", "ledger_entry", rows, "bring the budget, or use the sales quota", key=["month"])


def ledger_months_missing(data: Evidence) -> list[dict]:
    """Months between the first and the last of the ledger without any actual; warns."""
    actual = _ledger_months(data)["actual"]
    if actual.empty:
        return []
    rows = pd.period_range(actual.min(), actual.max(), freq="M").difference(actual).to_frame(index=False, name="month")
    return _found("warns", "ledger_entry", rows, "bring the missing months", key=["month"])


def exchange_rates_stop_early(data: Evidence) -> list[dict]:
    """Currencies whose rates end more than a month before the newest rate; warns."""
    last = data["exchange_rate"].groupby("currency")["rate_date"].max().reset_index()
    rows = last[last["rate_date"] < last["rate_date"].max() - pd.Timedelta(days=31)]
    return _found("warns", "exchange_rate", rows, "bring newer rates, or drop the currency", key=["currency"], column="rate_date")


# ---------------------------------------------------------------- documents: bill of material and shop floor
def superseded_bom_rows(data: Evidence) -> list[dict]:
    """Rows of the bill of material with an end date: counted in, components would be used twice; informs."""
    rows = data["bom_record"].dropna(subset=["valid_to"])
    return _found("info", "bom_record", rows, "read only rows valid on the as-of date", column="valid_to")


def bom_root_rows(data: Evidence) -> list[dict]:
    """Rows of the bill of material without a parent; informs."""
    rows = data["bom_record"].loc[lambda r: r["parent_item_id"].isna()]
    return _found("info", "bom_record", rows, "leave them out of the explosion", column="component_item_id")


def bom_roots_of_ended_items(data: Evidence) -> list[dict]:
    """Valid root rows of items whose sale has ended; warns."""
    ended = data["item_master"].dropna(subset=["sale_end_date"])["item_id"]
    roots = data["bom_record"].loc[lambda r: r["parent_item_id"].isna() & r["valid_to"].isna()]
    rows = roots[roots["component_item_id"].isin(ended)]
    return _found("warns", "bom_record", rows, "end the bill of material with the item", column="component_item_id")


def made_items_without_bom_record(data: Evidence) -> list[dict]:
    """Items made in own plants without a valid bill of material; warns."""
    made = data["item_master"].query("is_made")
    rows = made[~made["item_id"].isin(_open_bom_records(data)["parent_item_id"])]
    return [] if data["bom_record"].empty else _found("warns", "item_master", rows, "enter its components")


def bought_in_other_unit_than_bom(data: Evidence) -> list[dict]:
    """Components bought in another unit than their bill of material counts, without a factor; warns."""
    bom = _open_bom_records(data)[["component_item_id", "unit"]].drop_duplicates()
    bought = data["supplier_price"].rename(columns={"item_id": "component_item_id"})
    both = bom.merge(bought, on="component_item_id", validate="many_to_many").dropna(subset=["unit", "purchase_unit"])
    both = both.rename(columns={"component_item_id": "item_id", "unit": "base_unit"})
    rows = both[(both["base_unit"] != both["purchase_unit"]) & ~_has_factor(both, data.settings)].drop_duplicates("item_id")
    return _found("warns", "supplier_price", rows, "add the factor to `units` in sop.yaml", key=["item_id"], column="purchase_unit")


def components_with_scrap(data: Evidence) -> list[dict]:
    """How many rows of the bill of material state scrap; informs, also when none does."""
    bom = data["bom_record"]
    return _told("info", "bom_record", bom, (bom["scrap_ratio"] > 0).sum(), "rows state scrap", "with 0: estimate yield from work orders")


def made_items_never_routed(data: Evidence) -> list[dict]:
    """Items made in own plants that no work order ever routed; warns."""
    made = data["item_master"].query("is_made")
    rows = made[~made["item_id"].isin(data["work_order_operation"]["item_id"])]
    return [] if data["work_order_operation"].empty else _found("warns", "item_master", rows, "enter a routing")


def work_orders_without_operations(data: Evidence) -> list[dict]:
    """Work orders without any operation: their hours are missing from the load; warns."""
    orders = data["work_order"]
    rows = orders[~orders["order_id"].isin(data["work_order_operation"]["order_id"])]
    return (
        []
        if data["work_order_operation"].empty
        else _found("warns", "work_order", rows, "book operations, or enter a routing", column="item_id")
    )


def operations_with_varying_hours(data: Evidence) -> list[dict]:
    """How many item × operation pairs book different hours; informs: with 0, hours are booked per order, not per unit."""
    operations = data["work_order_operation"]
    hours = operations.groupby(["item_id", "operation_id", "work_centre_id"])["booked_hours"].nunique()
    return _told(
        "info", "work_order_operation", hours, (hours > 1).sum(), "item × operation pairs vary", "with 0: divide the hours by units made"
    )


def operations_with_own_actual_cost(data: Evidence) -> list[dict]:
    """How many operations cost something else than planned; informs: with 0, actual cost is a copy of the plan."""
    operations = data["work_order_operation"].dropna(subset=["planned_cost_amt", "actual_cost_amt"])
    differs = (operations["planned_cost_amt"] != operations["actual_cost_amt"]).sum()
    return _told("info", "work_order_operation", operations, differs, "operations differ", "with 0: do not measure cost variance")


def operations_ended_late(data: Evidence) -> list[dict]:
    """Operations that ended after their scheduled end; informs."""
    rows = data["work_order_operation"].query("actual_end_date > scheduled_end_date")
    return _found("info", "work_order_operation", rows, "lengthen the scheduled times", column="actual_end_date")


def stated_hours_below_booked_peak(data: Evidence) -> list[dict]:
    """Work centres that booked more hours in a month than they are said to have (hours a week × 52 / 12); warns."""
    operations = data["work_order_operation"]
    booked = operations.groupby(["work_centre_id", _months(operations["actual_start_date"])])["booked_hours"].sum()
    peak = booked.groupby("work_centre_id").max().rename("peak_hours")
    centre = data["work_centre"].merge(peak, on="work_centre_id", validate="one_to_one")
    rows = centre[centre["peak_hours"] > centre["stated_hours"] * 52 / 12]
    return _found("warns", "work_centre", rows, "state capacity as people × hours", column="peak_hours")


def routing_hours_out_of_date(data: Evidence) -> list[dict]:
    """Work centres whose operations of the last three periods took over 10 % more or fewer hours than the routing says; warns.

    Where hours are booked per order and not per unit, smaller orders do this: the load of the plan is then too low.
    """
    first = data.calendar.first_day(data.calendar.add(data.last_period, 1 - _PERIODS_OF_BOOKED_HOURS))
    begun = data["work_order_operation"]["actual_start_date"]
    operations = data["work_order_operation"][(begun >= first) & (begun < _plan_start(data))].dropna(subset=["booked_hours"])
    orders = data["work_order"].dropna(subset=["ordered_qty"])[["order_id", "ordered_qty"]]
    work = operations.merge(orders, on="order_id", validate="many_to_one")
    lot = data["production"][["item_id", "location_id", "usual_lot_qty"]]
    routing = data["routing"].merge(lot, on=["item_id", "location_id"], how="left", validate="many_to_one")
    # Hours of a lot count in a plan where its usual size is stated.
    routing["hours_per_unit"] += (routing["hours_per_lot"] / routing["usual_lot_qty"]).fillna(0.0)
    routing = routing.groupby(["item_id", "resource_id"], as_index=False)["hours_per_unit"].mean()
    work = work.merge(routing, left_on=["item_id", "work_centre_id"], right_on=["item_id", "resource_id"], validate="many_to_one")
    hours = work.assign(routed=work["hours_per_unit"] * work["ordered_qty"]).groupby("work_centre_id")[["booked_hours", "routed"]].sum()
    change = (hours["booked_hours"] / hours["routed"].where(hours["routed"] > 0) - 1).rename("change").reset_index()
    rows = change[change["change"].abs() > _ROUTING_TOLERANCE].sort_values("change", key=lambda part: -part.abs())
    return _found("warns", "routing", rows, "renew the hours or the usual lots, or plan with those booked (capacity.routing_as_booked)",
                  key=["work_centre_id"], column="change")


def work_centres_without_hours(data: Evidence) -> list[dict]:
    """Places said to have no hours at all: storage, or a forgotten entry; informs."""
    rows = data["work_centre"].query("stated_hours == 0")
    return _found("info", "work_centre", rows, "enter hours where something is made")


# ---------------------------------------------------------------- documents: purchasing
def lines_due_before_order(data: Evidence) -> list[dict]:
    """Purchase lines due before they were ordered; warns."""
    rows = data["purchase_order_line"].query("due_date < order_date")
    return _found("warns", "purchase_order_line", rows, "correct the due date", column="due_date")


def lines_edited_long_after(data: Evidence) -> list[dict]:
    """Purchase lines edited more than 180 days after they were due; warns."""
    lines = data["purchase_order_line"]
    rows = lines[lines["changed_date"] > lines["due_date"] + pd.Timedelta(days=180)]
    return _found("warns", "purchase_order_line", rows, "ask who changed them and why", column="changed_date")


def pending_orders_with_receipts(data: Evidence) -> list[dict]:
    """Lines of orders that still wait for approval, but were received; warns."""
    rows = data["purchase_order_line"].query("status == 'pending' and received_qty > 0")
    return _found("warns", "purchase_order_line", rows, "approve or close the order", column="received_qty")


def rejected_orders_with_receipts(data: Evidence) -> list[dict]:
    """Lines of rejected orders that were received all the same; warns."""
    rows = data["purchase_order_line"].query("status == 'rejected' and received_qty > 0")
    return _found("warns", "purchase_order_line", rows, "correct the status, or return the goods", column="received_qty")


def constant_due_offset(data: Evidence) -> list[dict]:
    """Lines due a constant number of days after the order although agreed lead times differ; warns."""
    lines = data["purchase_order_line"].dropna(subset=["due_date"])
    days = (lines["due_date"] - lines["order_date"]).dt.days.rename("days")
    usual = days.mode()
    if data["supplier_price"]["lead_time_days"].nunique() < 2 or usual.empty:
        return []
    rows = lines.assign(days=days)[days == usual.iloc[0]]
    rows = rows if len(rows) > 0.8 * len(lines) else rows.head(0)
    return _found("warns", "purchase_order_line", rows, "plan with agreed lead times; due dates carry no information", column="days")


def months_without_purchases(data: Evidence) -> list[dict]:
    """Full months of sales in which nothing was ordered from any supplier; warns."""
    purchases = data["purchase_order_line"]
    sales = data["sales_order_line"]
    if purchases.empty or sales.empty:
        return []
    sold = sales.groupby(_months(sales["order_date"]))["ordered_qty"].sum().rename_axis("period")
    full = sold.index.difference(pd.PeriodIndex(_low_edges(sold, neighbours=12)["period"], freq="M"))
    rows = full.difference(pd.PeriodIndex(_months(purchases["order_date"]).unique())).to_frame(index=False, name="month")
    return _found("warns", "purchase_order_line", rows, "do not learn purchasing patterns from these months", key=["month"])


def constant_price_over_agreement(data: Evidence) -> list[dict]:
    """Lines priced at one constant percentage beside the agreed price; warns."""
    agreed = data["supplier_price"].rename(columns={"price_amt": "agreed_amt"})[["supplier_id", "item_id", "agreed_amt"]]
    lines = data["purchase_order_line"].merge(agreed, on=["supplier_id", "item_id"], validate="many_to_one")
    ratio = (lines["price_amt"] / lines["agreed_amt"]).rename("ratio")
    usual = ratio.round(2).mode()
    if usual.empty or usual.iloc[0] == 1:
        return []
    rows = lines.assign(ratio=ratio.round(4))[(ratio - usual.iloc[0]).abs() < 0.001]
    rows = rows if len(rows) > 0.5 * len(lines) else rows.head(0)
    return _found("warns", "purchase_order_line", rows, "agree on the price really paid and correct supplier_price", column="ratio")


def orders_to_inactive_suppliers(data: Evidence) -> list[dict]:
    """Orders to suppliers who may not be ordered from; warns."""
    closed = data["supplier"].loc[lambda r: ~r["is_active"], "supplier_id"]
    lines = data["purchase_order_line"]
    rows = lines[lines["supplier_id"].isin(closed)].drop_duplicates("order_id")
    return _found("warns", "purchase_order_line", rows, "choose another supplier, or open this one", key=["order_id"], column="supplier_id")


def lines_short_received(data: Evidence) -> list[dict]:
    """Purchase lines of which less was received than ordered; warns."""
    rows = data["purchase_order_line"].query("received_qty < ordered_qty")
    return _found("warns", "purchase_order_line", rows, "close the line, or expect the rest", column="received_qty")


def sold_more_than_bought(data: Evidence) -> list[dict]:
    """Bought items of which more was sold than ever came in; warns."""
    bought = data["purchase_order_line"].groupby("item_id")["stocked_qty"].sum()
    sold = data["sales_order_line"].groupby("item_id")["ordered_qty"].sum().rename("sold_qty").reset_index()
    item = data["item_master"].loc[lambda r: ~r["is_made"], "item_id"]
    sold = sold[sold["item_id"].isin(item)]
    received = sold["item_id"].map(bought).fillna(0.0)  # no purchase line: nothing ever came in
    rows = sold[sold["sold_qty"] > received] if len(bought) else sold.head(0)
    return _found("warns", "purchase_order_line", rows, "look for receipts that were not booked", key=["item_id"], column="sold_qty")


def purchase_lines_without_movement(data: Evidence) -> list[dict]:
    """Purchase lines behind which no stock movement stands; warns."""
    moved = data["stock_movement"].query("kind == 'purchase'")
    if moved.empty:
        return []
    lines = data["purchase_order_line"]
    pair = ["order_id", "item_id"]
    rows = _not_in(lines, moved, pair)
    return _found("warns", "purchase_order_line", rows, "book the receipt, or cancel the line", column="item_id")


# ---------------------------------------------------------------- documents: stock and calendars
def stale_stock_counts(data: Evidence) -> list[dict]:
    """Stock rows last touched more than half a year before the newest one; warns."""
    stock = data["stock_count"]
    rows = stock[stock["changed_date"] < stock["changed_date"].max() - pd.Timedelta(days=180)]
    return _found("warns", "stock_count", rows, "count again", column="changed_date")


def finished_items_without_stock_count(data: Evidence) -> list[dict]:
    """Finished items made in own plants without a stock row: absent is not zero; warns."""
    item = data["item_master"].query("is_made and is_finished")
    rows = item[~item["item_id"].isin(data["stock_count"]["item_id"])]
    return [] if data["stock_count"].empty else _found("warns", "item_master", rows, "enter the stock, zero included")


def stock_below_safety_stock(data: Evidence) -> list[dict]:
    """Items whose stock over all places is below their safety stock; warns."""
    stock = data["stock_count"].groupby("item_id")["on_hand_qty"].sum().reset_index()
    safety = data["item_master"].set_index("item_id")["safety_stock_qty"]
    rows = stock[stock["on_hand_qty"] < stock["item_id"].map(safety)]
    return _found("warns", "stock_count", rows, "replenish, or lower the safety stock", key=["item_id"], column="on_hand_qty")


def negative_stock_balances(data: Evidence) -> list[dict]:
    """Daily balances below zero; warns."""
    balance = data["stock_balance"]
    rows = balance[balance["balance_qty"] < 0]
    return _found("warns", "stock_balance", rows, "look for receipts that were not booked", column="balance_qty")


def flat_end_of_balances(data: Evidence) -> list[dict]:
    """Days at the end of the balances on which nothing moved at all: padding, not facts; warns."""
    balance = data["stock_balance"]
    moving = balance.loc[(balance["in_qty"] != 0) | (balance["out_qty"] != 0), "balance_date"].max()
    days = pd.DataFrame({"balance_date": np.sort(balance.loc[balance["balance_date"] > moving, "balance_date"].unique())})
    return _found("warns", "stock_balance", days, "do not read stock or movements from these days", key=["balance_date"])


def several_keys_per_item(data: Evidence) -> list[dict]:
    """Items with more than one key in the other system: their rows must be added up; warns."""
    keys = data["item_key"].groupby("item_id").size().rename("key_count").reset_index()
    rows = keys.query("key_count > 1")
    return _found("warns", "item_key", rows, "add the rows of all keys of an item", key=["item_id"], column="key_count")


def stock_records_that_agree(data: Evidence) -> list[dict]:
    """How many items have the same stock in both systems at the end; informs, also when none has."""
    balance = data["stock_balance"]
    closing = balance[balance["balance_date"] == balance["balance_date"].max()]
    item = closing["item_key"].map(data["item_key"].set_index("item_key")["item_id"])
    closing = closing.groupby(item)["balance_qty"].sum().rename("closing_qty")
    counted = data["stock_count"].groupby("item_id")["on_hand_qty"].sum()
    both = pd.concat([closing, counted], axis=1, join="inner")
    agree = (both["closing_qty"] == both["on_hand_qty"]).sum()
    return _told("info", "stock_count", both, agree, "items agree", "with few: say which system planning trusts")


def calendar_offset_between_systems(data: Evidence) -> list[dict]:
    """Days by which one system's calendar runs before the other's, from the sales both of them hold; warns.

    The offset is the shift at which the daily quantities of the two systems correlate best; `count` is in days.
    """
    moved = data["stock_movement"].query("kind == 'sale'")
    out = data["stock_balance"].groupby("balance_date")["out_qty"].sum()
    sold = moved.groupby(moved["movement_date"].dt.normalize())["moved_qty"].sum()
    if len(out) < _DAYS_TO_COMPARE or len(sold) < _DAYS_TO_COMPARE:
        return []
    days, correlation = _best_shift(out, sold)
    if days == 0 or correlation < 0.8:
        return []
    remedy = "add the days to the dates of stock_balance before use"
    value = f"{days:+d} days, correlation {correlation:.2f}"
    return [tables.finding("", "warns", "stock_balance", "", abs(days), value, remedy)]


RULES: tuple[Rule, ...] = (
    unknown_reference,
    unknown_lane_end,
    unknown_family_or_region,
    unknown_member_of_input,
    event_outside_horizon,
    reversed_dates,
    contradictory_lot_limits,
    bom_loop,
    overlapping_bom_rows,
    expired_bom_row,
    made_item_without_bom,
    component_without_source,
    made_item_without_routing,
    routing_without_hours,
    routing_hours_unlike_family,
    routed_resource_without_capacity,
    sold_item_without_price,
    item_without_cost,
    sold_item_without_source,
    sold_item_without_family,
    market_without_lane,
    price_below_standard_cost,
    supplier_without_lead_time,
    bom_cost_unlike_standard_cost,
    history_after_as_of,
    history_stops_early,
    missing_period,
    market_with_missing_period,
    series_with_missing_period,
    partial_edge_period,
    negative_sales,
    shipped_above_ordered,
    sold_after_phase_out,
    never_sold,
    launch_without_like_item,
    negative_stock,
    stock_older_than_as_of,
    open_supply_past_due,
    open_purchase_twice,
    months_without_orders,
    months_with_two_batches,
    incomplete_edge_months,
    lines_after_end_of_sale,
    finished_items_never_sold,
    demand_series,
    short_demand_series,
    sales_person_in_other_region,
    duplicate_order_lines,
    exchange_rate_on_home_currency,
    offer_without_discount,
    offer_outside_quantity,
    lines_without_known_offer,
    lines_below_standard_cost,
    lines_without_valid_cost,
    items_without_cost,
    components_without_cost,
    months_without_budget,
    ledger_months_missing,
    exchange_rates_stop_early,
    superseded_bom_rows,
    bom_root_rows,
    bom_roots_of_ended_items,
    made_items_without_bom_record,
    bought_in_other_unit_than_bom,
    components_with_scrap,
    made_items_never_routed,
    work_orders_without_operations,
    operations_with_varying_hours,
    operations_with_own_actual_cost,
    operations_ended_late,
    stated_hours_below_booked_peak,
    routing_hours_out_of_date,
    work_centres_without_hours,
    lines_due_before_order,
    lines_edited_long_after,
    pending_orders_with_receipts,
    rejected_orders_with_receipts,
    constant_due_offset,
    months_without_purchases,
    constant_price_over_agreement,
    orders_to_inactive_suppliers,
    lines_short_received,
    sold_more_than_bought,
    purchase_lines_without_movement,
    stale_stock_counts,
    finished_items_without_stock_count,
    stock_below_safety_stock,
    negative_stock_balances,
    flat_end_of_balances,
    several_keys_per_item,
    stock_records_that_agree,
    calendar_offset_between_systems,
)


# ---------------------------------------------------------------- what several rules need
def _severity(found: dict, settings: Settings) -> str:
    one_table = settings.check_severity.get(f"{found['rule']}.{found['table']}")
    return one_table or settings.check_severity.get(found["rule"], found["severity"])


def _found(
    severity: str,
    table: str,
    rows: pd.DataFrame,
    remedy: str,
    *,
    column: str | None = None,
    key: list[str] | None = None,
    count: int | None = None,
) -> list[dict]:
    """One finding on the given rows, showing their keys and one column; nothing when there are no rows."""
    if rows.empty:
        return []
    shown = tables.table(table).key if key is None else key
    keys = tables.key_text(rows, shown) if shown else ""
    words = [] if column is None else [_word(value) for value in rows[column].head(_VALUES_SHOWN)]
    value = ", ".join(words) if any(words) else ""
    return [tables.finding("", severity, table, keys, len(rows) if count is None else count, value, remedy)]


def _told(severity: str, table: str, checked: pd.DataFrame | pd.Series, count: int, words: str, remedy: str) -> list[dict]:
    """A measure of the data, told also when it is 0; nothing when there was nothing to measure."""
    if len(checked) == 0:
        return []
    return [tables.finding("", severity, table, "", count, f"{count:,} of {len(checked):,} {words}", remedy)]


def _word(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{round(value, 4):.12g}"
    return "" if value is None or value is pd.NaT else str(value)


def _plan_start(data: Evidence) -> pd.Timestamp:
    return data.as_of + pd.Timedelta(days=1)


def _valid_bom(data: Evidence) -> pd.DataFrame:
    """Rows of the bill of material that are valid when the plan begins or later."""
    bom = data["bill_of_material"]
    return bom[bom["valid_to"].isna() | (bom["valid_to"] > data.as_of)]


def _open_bom_records(data: Evidence) -> pd.DataFrame:
    return data["bom_record"].loc[lambda r: r["parent_item_id"].notna() & r["valid_to"].isna()]


def _loops(parents: pd.Series, components: pd.Series) -> list[list[str]]:
    """One loop, smallest item first, of every group of items that contain each other."""
    codes, names = pd.factorize(pd.concat([parents, components]), sort=True)
    start, end = np.split(codes, 2)
    graph = csr_matrix((np.ones(len(start)), (start, end)), shape=(len(names), len(names)))
    group = connected_components(graph, connection="strong")[1]
    inside = pd.DataFrame({"start": start, "end": end})[group[start] == group[end]]
    onward = inside.groupby("start")["end"].min().to_dict()
    first = pd.Series(list(onward), dtype="int64").groupby(group[list(onward)]).min() if onward else []
    return [[names[code] for code in _walk(onward, item)] for item in sorted(first)]


def _walk(onward: dict[int, int], item: int) -> list[int]:
    """Follow one component each time until an item comes back; the part from there on is a loop, smallest item first."""
    place: dict[int, int] = {}
    while item not in place:
        place[item] = len(place)
        item = onward[item]
    loop = list(place)[place[item] :]
    first = loop.index(min(loop))
    return loop[first:] + loop[:first]


def _sold(data: Evidence, within: int | None = None) -> pd.DataFrame:
    """Item × market pairs sold (within so many buckets) whose item is not phased out yet."""
    history = data["sales_history"]
    ended = data["item"].loc[data["item"]["phase_out_date"] <= data.as_of, "item_id"]
    rows = history[(history["ordered_qty"] > 0) & ~history["item_id"].isin(ended)]
    if within is not None:
        rows = rows[rows["period"] > data.calendar.add(data.last_period, -within)]
    return rows[["item_id", "market_id"]].drop_duplicates().sort_values(["item_id", "market_id"])


def _sold_lately(data: Evidence) -> pd.DataFrame:
    return _sold(data, data.calendar.buckets_per_year)


def _not_in(rows: pd.DataFrame, known: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Rows whose key `known` does not hold."""
    return rows[~pd.MultiIndex.from_frame(rows[key]).isin(pd.MultiIndex.from_frame(known[key]))]


def _sourced(data: Evidence) -> set[str]:
    return {*data["production"]["item_id"], *data["supplier_item"]["item_id"]}


def _unsold_finished(data: Evidence, *, launched: bool) -> pd.DataFrame:
    item = data["item"]
    item = item[(item["item_type"] == "finished") & ~item["item_id"].isin(data["sales_history"]["item_id"])]
    is_launched = ~(item["launch_date"] > data.as_of)
    return item[is_launched & ~(item["phase_out_date"] <= data.as_of)] if launched else item[~is_launched]


def _has_factor(bought: pd.DataFrame, settings: Settings) -> pd.Series:
    """Whether the settings know how many base units one purchase unit of the item holds."""
    known = {(unit.item_id, unit.from_unit, unit.to_unit) for unit in settings.units}
    rows = zip(bought["item_id"], bought["purchase_unit"], bought["base_unit"], strict=True)
    has = [bool(known & {(item, a, b), (None, a, b), (item, b, a), (None, b, a)}) for item, a, b in rows]
    return pd.Series(has, index=bought.index, dtype=bool)


def _gaps(data: Evidence, key: list[str]) -> pd.DataFrame:
    """Per member of `key`: periods with a row, and periods without one between the first and the last."""
    history = data["sales_history"]
    number = _bucket_number(history["period"], data.calendar)
    spans = number.groupby([history[k] for k in key]).agg(["min", "max", "nunique"])
    active = spans["nunique"]
    return pd.DataFrame({"active": active, "missing": spans["max"] - spans["min"] + 1 - active}).reset_index()


def _bucket_number(periods: pd.Series, calendar: Calendar) -> pd.Series:
    if calendar.bucket == "month":
        return periods.dt.year * 12 + periods.dt.month
    return (periods - pd.Timestamp("1900-01-01")).dt.days // 7


def _low_edges(total: pd.Series, neighbours: int) -> pd.DataFrame:
    """First and last period (the index of `total`) with less than half the median of the periods beside it."""
    total = total.sort_index()
    if len(total) <= neighbours:
        return pd.DataFrame({"period": total.index[:0], "quantity": []})
    first, last = total.iloc[1 : neighbours + 1].median(), total.iloc[-neighbours - 1 : -1].median()
    low = [total.index[i] for i, usual in ((0, first), (-1, last)) if total.iloc[i] < usual / 2]
    return pd.DataFrame({"period": low, "quantity": total.loc[low].to_numpy()})


def _months(dates: pd.Series) -> pd.Series:
    return dates.dt.to_period("M")


def _by_channel(data: Evidence) -> list[tuple[str, pd.DataFrame]]:
    """Order lines by channel; a company that names no channel has one."""
    lines = data["sales_order_line"]
    return [(str(name), part) for name, part in lines.groupby(lines["channel"].fillna("all"))]


def _lines_with_offer(data: Evidence) -> pd.DataFrame:
    offer = data["sales_offer"].rename(columns={"discount_ratio": "promised_ratio"})
    return data["sales_order_line"].merge(offer, on="offer_id", validate="many_to_one")


def _lines_with_cost(data: Evidence) -> pd.DataFrame:
    """Order lines with the standard cost that was valid on their day."""
    lines = data["sales_order_line"].merge(data["standard_cost_record"], on="item_id", validate="many_to_many")
    is_open = lines["valid_to"].isna() | (lines["order_date"] <= lines["valid_to"])
    return lines[is_open & (lines["order_date"] >= lines["valid_from"])]


def _ledger_months(data: Evidence) -> dict[str, pd.PeriodIndex]:
    entry = data["ledger_entry"]
    month = _months(entry["entry_date"])
    return {name: pd.PeriodIndex(month[entry["scenario"] == name].unique(), freq="M").sort_values() for name in ("actual", "budget")}


def _best_shift(early: pd.Series, late: pd.Series) -> tuple[int, float]:
    """Days to add to `early` so that it matches `late` best, within a year, and the correlation there."""
    days = pd.date_range(min(early.index.min(), late.index.min()), max(early.index.max(), late.index.max()))
    first, second = (s.reindex(days, fill_value=0.0).to_numpy(dtype=float) for s in (early, late))  # no row: nothing moved
    reach = min(366, len(days) - _DAYS_TO_COMPARE)
    shifts = range(-reach, reach + 1)
    scores = [_overlap_correlation(first, second, shift) for shift in shifts]
    best = int(np.argmax(scores))
    return shifts[best], float(scores[best])


def _overlap_correlation(first: np.ndarray, second: np.ndarray, shift: int) -> float:
    a, b = (first[: len(first) - shift], second[shift:]) if shift >= 0 else (first[-shift:], second[:shift])
    if a.std() == 0 or b.std() == 0:
        return -1.0
    return float(np.corrcoef(a, b)[0, 1])
