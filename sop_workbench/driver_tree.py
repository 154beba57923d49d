"""Root causes: a deviation from the approved plan split along its driver tree, in money, down to the few items and places behind it.

Two trees stand beside each other for the same deviation. The commercial one says *what* moved (price, volume, mix, cost, items not
planned and not sold); the one of causes says *why* (a stream's known bias, demand nobody foresaw, a promotion, lost capacity, a late
supplier, other shortfalls of supply). Every level of either tree sums to the deviation; what no cause is known for stays visible as a
remainder and is ranked last.

With planned demand f, approved (constrained) plan q, orders o, shipments s, list price p, standard cost c and the unit's worth u
(p for revenue, p − c for margin)::

    deviation = (net sales − p·s)                price
              − (c₁ − c)·s                       cost (margin)
              + u·[(s − o) − (q − f)]            supply: capacity loss, late supplier, other
              + u·(o − f)                        demand: bias of the streams, promotion, not foreseen
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from sop_workbench.demand import authors_of
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.structure import bom_versions, refuse_loops
from sop_workbench.tables import table, validate

COMMERCIAL, CAUSES = "what moved", "why"
BIAS, UNFORESEEN, PROMOTION = "biased forecast", "demand not foreseen", "promotion"
PROMOTION_COST = "promotion cost"
CAPACITY, SUPPLIER, SHORTFALL = "capacity loss", "late supplier", "other supply"
UNKNOWN = "no cause known"
OTHERS = "other items"
_REMAINDERS = (UNFORESEEN, SHORTFALL, "counts and scrap", "not in sales", UNKNOWN, OTHERS)
_LEAF = ["measure", "tree", "driver", "cause", "author", "family", "item_id", "place", "amount", "evidence"]
_PLACE = ["item_id", "market_id"]
_NO_FAMILY = "no family"
_PRODUCTION = "production"
_CONSENSUS, _CONSTRAINED = "consensus", "constrained"
_CENT = 0.005
_BIAS_PERIODS = 6  # so many plans tell an author's habit, of months or of weeks


def driver_tree(
    deviation: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], settings: Settings, calendar: Calendar, periods: int = 6,
    explained_ratio: float = 0.8,
) -> pd.DataFrame:
    """Split the deviations of revenue, margin, service, inventory and production of past periods into what drove them.

    Revenue and margin: actual less approved plan. Service: orders not shipped on time at list price, beyond the shortage that was
    planned (less is negative). Inventory: stock built in the period less the stock the plan would have built, at standard cost.
    Production: made less planned, at standard cost. A measure whose actuals are not known in a period is left out there.

    A shortfall of production beyond `tolerances.plan_deviation_ratio` has a cause when an outage is on file for the item (or for a
    resource on its route), when a resource's demonstrated hours fell short of what it usually shows, or when a purchased part of it
    was past due at the plant with less in stock than is overdue; the first of these counts. A stream's bias is what each of its
    authors was off, in the region, over the last six periods; it enters by the weight with which the consensus followed the stream.

    Parameters
    ----------
    deviation : DataFrame
        `plan_deviation`; the plan of the shortest lag is scored.
    inputs : mapping of DataFrame
        item, market, sales_history, stock_history, price, event, open_supply, supplier_item, stock_on_hand, bill_of_material,
        routing, capacity; unit_cost_history where actual costs are known, demand_input where authors of streams are.
    settings : Settings
        Its tolerance of plan deviation.
    calendar : Calendar
        The company's calendar.
    periods : int
        How many of the newest periods that are over.
    explained_ratio : float
        Share of the absolute money that is named item by item; the rest is one row for each cause.

    Returns
    -------
    DataFrame
        The `driver_tree` table; empty when no locked plan has a period that is over.

    Raises
    ------
    ArithmeticError
        When a level does not sum to its deviation to the cent.
    """
    over = sorted(deviation.loc[deviation["stream"] == _CONSENSUS, "period"].unique())[-periods:] if len(deviation) else []
    if not over:
        return table("driver_tree").empty()
    shortest = _shortest_lag(deviation)
    bias = stream_bias(shortest, inputs)
    parts = []
    shortfall_before = _no_shortfalls()
    for period in map(pd.Timestamp, over):
        rows = shortest[shortest["period"] == period]
        shortfalls = production_shortfalls(rows[rows["stream"] == _PRODUCTION], inputs, period, settings, calendar)
        leaves = _leaves(rows, inputs, period, bias, (shortfalls, _newest(shortfalls, shortfall_before)), calendar)
        shortfall_before = shortfalls
        if leaves:  # none: everything came as planned
            parts.append(grown(pd.concat(leaves, ignore_index=True), explained_ratio).assign(period=period))
    return validate("driver_tree", pd.concat(parts, ignore_index=True)) if parts else table("driver_tree").empty()


def _leaves(rows: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp, bias: pd.DataFrame,
            shortfalls: tuple[pd.DataFrame, pd.DataFrame], calendar: Calendar) -> list[pd.DataFrame]:
    """Leaves of every measure of one period; what could not be made now or the period before cannot be shipped now."""
    made_short, supply_short = shortfalls
    sold = sales_rows(rows, inputs, period)
    sold = _with_bias(sold, rows, bias, _authors(rows, inputs)).assign(event_id=_promoted(sold, inputs, period))
    made = rows[rows["stream"] == _PRODUCTION].rename(columns={"market_id": "place"})
    cost = inputs["item"].set_index("item_id")["standard_cost_amt"]
    parts = [
        commercial_leaves(sold.assign(worth=sold["price_amt"]), "revenue"),
        commercial_leaves(_margin_rows(sold), "margin"),
        *_causes_of_sales(sold.assign(worth=sold["price_amt"]), "revenue", supply_short),
        *_causes_of_sales(_margin_rows(sold), "margin", supply_short),
        _promotion_spend(inputs, period),
        *_causes_of_service(sold, supply_short),
        _causes_of_production(made, cost, "production", made_short),
        *_causes_of_stock(sold, made, inputs, cost, period, shortfalls, calendar),
    ]
    families = inputs["item"].set_index("item_id")["family"]
    filled = [part for part in parts if len(part)]
    return [part.assign(family=part["family"].fillna(part["item_id"].map(families)).fillna(_NO_FAMILY))[_LEAF] for part in filled]


# ------------------------------------------------------------------ rows of sales
def sales_rows(rows: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp) -> pd.DataFrame:
    """Planned demand, approved plan, orders, shipments and their money of one period, by item and market.

    Where no constrained plan is archived the consensus is what was approved. A market without a list price takes the invoiced
    price, else the item's mean list price; rows that have neither cannot be valued and are left out.

    Parameters
    ----------
    rows : DataFrame
        `plan_deviation` of one period and lag.
    inputs : mapping of DataFrame
        item, market, price, sales_history; unit_cost_history where there is one.
    period : Timestamp
        The period.

    Returns
    -------
    DataFrame
        item_id, market_id, region, demand_plan_qty, plan_qty, ordered_qty, shipped_qty, on_time_qty, net_sales_amt, price_amt,
        standard_cost_amt, unit_cost_amt.
    """
    asked, approved = (rows[rows["stream"] == s].set_index(_PLACE)[["plan_qty", "actual_qty"]] for s in (_CONSENSUS, _CONSTRAINED))
    asked = asked.set_axis(["demand_plan_qty", "ordered_qty"], axis=1)
    both = asked.join(approved.set_axis(["plan_qty", "shipped_qty"], axis=1), how="outer")
    history = inputs["sales_history"]
    booked = history[history["period"] == period].set_index(_PLACE)[["shipped_qty", "on_time_qty", "net_sales_amt"]]
    sold = both.drop(columns="shipped_qty").join(booked, how="left")
    # Both plans are whole, and a period that is over has every order on file: what is not there was nothing.
    sold["plan_qty"] = sold["plan_qty"].fillna(0.0) if len(approved) else sold["demand_plan_qty"]
    sold[["demand_plan_qty", "ordered_qty"]] = sold[["demand_plan_qty", "ordered_qty"]].fillna(0.0)
    sold["shipped_qty"] = sold["shipped_qty"].fillna(sold["ordered_qty"])  # nothing known of shipping: taken as ordered
    sold = sold.reset_index()
    sold["price_amt"] = _list_price(sold, inputs["price"], period)
    sold = sold[sold["price_amt"].notna()].reset_index(drop=True)
    sold["net_sales_amt"] = sold["net_sales_amt"].fillna(sold["price_amt"] * sold["shipped_qty"])  # not invoiced apart: at list price
    item = inputs["item"].set_index("item_id")
    sold["standard_cost_amt"] = sold["item_id"].map(item["standard_cost_amt"])
    sold["unit_cost_amt"] = _actual_cost(sold, inputs, period)
    return sold.assign(region=sold["market_id"].map(inputs["market"].set_index("market_id")["region"]))


def _list_price(sold: pd.DataFrame, price: pd.DataFrame, period: pd.Timestamp) -> pd.Series:
    valid = price[price["valid_from"] <= period].sort_values("valid_from").drop_duplicates(_PLACE, keep="last")
    own = sold[_PLACE].merge(valid[[*_PLACE, "price_amt"]], on=_PLACE, how="left", validate="m:1")["price_amt"]
    invoiced = (sold["net_sales_amt"] / sold["shipped_qty"]).where(sold["shipped_qty"] > 0)
    mean = sold["item_id"].map(valid.groupby("item_id")["price_amt"].mean())
    return own.fillna(invoiced).fillna(mean)


def _actual_cost(sold: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp) -> pd.Series:
    """Actual cost of a unit in the period; standard cost where none is on file."""
    booked = inputs.get("unit_cost_history", table("unit_cost_history").empty())
    booked = booked[booked["period"] == period].set_index("item_id")["actual_cost_amt"]
    return sold["item_id"].map(booked).astype(float).fillna(sold["standard_cost_amt"])


def _margin_rows(sold: pd.DataFrame) -> pd.DataFrame:
    """Rows whose standard cost is known, with the margin of a unit as its worth."""
    known = sold[sold["standard_cost_amt"].notna()]
    return known.assign(worth=known["price_amt"] - known["standard_cost_amt"])


# ------------------------------------------------------------------ what moved
def commercial_leaves(sold: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Price, volume, mix, cost, items not planned and not sold of every row; they sum to actual less plan.

    volume = (s − q)·U with U = Σ u·q / Σ q over the rows planned and sold; mix = (s − q)·(u − U). Summed over the rows these are the
    terms of the price–volume–mix bridge: Σ u·s − U·Σ s is the same mix.

    Parameters
    ----------
    sold : DataFrame
        item_id, market_id, plan_qty, shipped_qty, price_amt, net_sales_amt and worth (price, or price less standard cost); for the
        measure `margin` also standard_cost_amt and unit_cost_amt.
    measure : str
        revenue or margin.
    """
    unplanned = (sold["plan_qty"] == 0) & (sold["shipped_qty"] != 0)
    unsold = (sold["plan_qty"] != 0) & (sold["shipped_qty"] == 0)
    kept = ~unplanned & ~unsold
    planned = sold.loc[kept, "plan_qty"]
    # Nothing planned and sold: there is no volume effect.
    average = float((planned * sold.loc[kept, "worth"]).sum() / planned.sum()) if planned.sum() else 0.0
    moved = sold["shipped_qty"] - sold["plan_qty"]
    amounts = {
        "price": sold["net_sales_amt"] - sold["price_amt"] * sold["shipped_qty"],
        "volume": moved.where(kept, 0.0) * average,
        "mix": moved.where(kept, 0.0) * (sold["worth"] - average),
        "not planned": (moved * sold["worth"]).where(unplanned, 0.0),
        "not sold": (moved * sold["worth"]).where(unsold, 0.0),
    }
    if measure == "margin":
        amounts["cost"] = (sold["standard_cost_amt"] - sold["unit_cost_amt"]) * sold["shipped_qty"]
    words = {"price": "invoiced less list price", "volume": "change of total volume at the plan's average worth of a unit",
             "mix": "dearer or cheaper items than the average", "not planned": "sold without a plan", "not sold": "planned and not sold",
             "cost": "actual against standard cost"}
    parts = [_leaf(sold, measure, COMMERCIAL, name, name, amount, words[name]) for name, amount in amounts.items()]
    return pd.concat(parts, ignore_index=True)


# ------------------------------------------------------------------ why
def _causes_of_sales(sold: pd.DataFrame, measure: str, shortfalls: pd.DataFrame) -> list[pd.DataFrame]:
    supply = (sold["shipped_qty"] - sold["ordered_qty"]) - (sold["plan_qty"] - sold["demand_plan_qty"])
    price = sold["net_sales_amt"] - sold["price_amt"] * sold["shipped_qty"]
    parts = [
        _leaf(sold, measure, CAUSES, "price", "invoiced against list price", price, "net sales less list price times shipments"),
        *_demand_causes(sold, measure, sold["worth"]),
        _supply_causes(sold, measure, sold["worth"] * supply, shortfalls),
    ]
    if measure == "margin":
        cost = (sold["standard_cost_amt"] - sold["unit_cost_amt"]) * sold["shipped_qty"]
        parts.append(_leaf(sold, measure, CAUSES, "cost", "actual against standard cost", cost, "unit costs booked for the period"))
    return parts


def _demand_causes(sold: pd.DataFrame, measure: str, worth: pd.Series) -> list[pd.DataFrame]:
    """Orders less planned demand: what the streams' known bias put in, what a promotion moved, what nobody foresaw."""
    rest = sold["ordered_qty"] - sold["demand_plan_qty"]
    parts = []
    for column in [c for c in sold if str(c).startswith("bias_of_")]:
        stream = str(column).removeprefix("bias_of_")
        said, who = sold[f"said_of_{stream}"], sold[f"author_of_{stream}"]
        parts.append(_leaf(sold, measure, CAUSES, BIAS, f"{stream} stream", worth * sold[column], said, who))
        rest = rest - sold[column]
    is_promoted = sold["event_id"].notna()
    driver = pd.Series(np.where(is_promoted, PROMOTION, UNFORESEEN), index=sold.index)
    cause = sold["event_id"].where(is_promoted, "market")
    words = ("orders of promoted items against plan, beyond known bias", "beyond the streams' known bias")
    said = pd.Series(np.where(is_promoted, *words), index=sold.index)
    return [*parts, _leaf(sold, measure, CAUSES, driver, cause, worth * rest, said)]


def _supply_causes(sold: pd.DataFrame, measure: str, amount: pd.Series, shortfalls: pd.DataFrame) -> pd.DataFrame:
    """Money of what supply did not do as planned, with the cause of the item's shortfall of production."""
    known = shortfalls.drop_duplicates("item_id").set_index("item_id")
    driver, cause, said = (sold["item_id"].map(known[column]) for column in ("driver", "cause", "evidence"))
    return _leaf(sold, measure, CAUSES, driver.fillna(SHORTFALL), cause.fillna(UNKNOWN), amount, said.fillna("supply beside plan"))


def _causes_of_service(sold: pd.DataFrame, shortfalls: pd.DataFrame) -> list[pd.DataFrame]:
    """Orders not shipped on time beyond the planned shortage: orders above plan first, then supply."""
    timed = sold[sold["on_time_qty"].notna()]
    late = (timed["ordered_qty"] - timed["on_time_qty"]) - (timed["demand_plan_qty"] - timed["plan_qty"])
    surprise = (timed["ordered_qty"] - timed["demand_plan_qty"]).clip(lower=0)
    asked_more = np.minimum(late.clip(lower=0), surprise)
    value = -timed["price_amt"]
    said = "late because more was ordered than planned"
    return [_leaf(timed, "service", CAUSES, UNFORESEEN, "orders above plan", value * asked_more, said),
            _supply_causes(timed, "service", value * (late - asked_more), shortfalls)]


def _causes_of_production(made: pd.DataFrame, cost: pd.Series, measure: str, shortfalls: pd.DataFrame) -> pd.DataFrame:
    worth = made["item_id"].map(cost)
    rows = made[worth.notna()].reset_index(drop=True)
    amount = rows["item_id"].map(cost) * rows["deviation_qty"]
    found = rows[["item_id", "place"]].merge(shortfalls, on=["item_id", "place"], how="left", validate="1:1")
    word = pd.Series(np.where(rows["deviation_qty"] > 0, "made above plan", "made below plan"), index=rows.index)
    return _leaf(rows, measure, CAUSES, found["driver"].fillna(SHORTFALL), found["cause"].fillna(word), amount,
                 found["evidence"].fillna("no outage, late part or loss of hours on file, or inside tolerance"))


def _causes_of_stock(sold: pd.DataFrame, made: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], cost: pd.Series, period: pd.Timestamp,
                     shortfalls: tuple[pd.DataFrame, pd.DataFrame], calendar: Calendar) -> list[pd.DataFrame]:
    """Stock built against plan at standard cost; nothing where production or the counts before and after are not known."""
    stock = inputs["stock_history"]
    counts = [stock[stock["period"] == p].groupby("item_id")["closing_qty"].sum() for p in (calendar.add(period, -1), period)]
    if made.empty or any(count.empty for count in counts):
        return []
    sold = sold[sold["standard_cost_amt"].notna()]
    worth = -sold["standard_cost_amt"]
    supply = (sold["shipped_qty"] - sold["ordered_qty"]) - (sold["plan_qty"] - sold["demand_plan_qty"])
    items = pd.Index(sorted(set(sold["item_id"]) | set(made.loc[made["item_id"].map(cost).notna(), "item_id"])), name="item_id")
    # An item without a row in a count had no stock; one without a row in production or sales made and sold nothing.
    before, after = (count.reindex(items, fill_value=0.0) for count in counts)
    flow = made.groupby("item_id")["actual_qty"].sum().reindex(items, fill_value=0.0) - \
        sold.groupby("item_id")["shipped_qty"].sum().reindex(items, fill_value=0.0)
    counted = pd.DataFrame({"unexplained": after - before - flow}).reset_index().assign(place="all places")
    return [
        _causes_of_production(made, cost, "inventory", shortfalls[0]),
        *_demand_causes(sold, "inventory", worth),
        _supply_causes(sold, "inventory", worth * supply, shortfalls[1]),
        _leaf(counted, "inventory", CAUSES, "counts and scrap", UNKNOWN, counted["unexplained"] * counted["item_id"].map(cost),
              "change of counted stock that neither production nor shipments explain"),
    ]


def _promotion_spend(inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp) -> pd.DataFrame:
    """Booked less planned cost of the promotions that ended in the period; those whose cost is not booked are left out."""
    event = inputs["event"]
    if "actual_cost_amt" not in event:
        return pd.DataFrame(columns=_LEAF)
    done = event[(event["kind"] == PROMOTION) & (event["to_period"] == period) & event["actual_cost_amt"].notna()]
    spent = done.assign(item_id=done["item_id"].fillna(""), place=done["market_id"].fillna(done["region"]).fillna("all markets"))
    pairs = zip(spent["actual_cost_amt"], spent["cost_amt"], strict=True)
    said = [f"cost {actual:,.0f} against {plan:,.0f} planned" for actual, plan in pairs]
    both = [_leaf(spent, "margin", tree, driver, cause, spent["cost_amt"] - spent["actual_cost_amt"], pd.Series(said, index=spent.index))
            for tree, driver, cause in ((CAUSES, PROMOTION_COST, spent["event_id"]), (COMMERCIAL, "cost", "promotion cost"))]
    return pd.concat(both, ignore_index=True).assign(family=np.tile(spent["family"].to_numpy(object), 2))


def _leaf(rows: pd.DataFrame, measure: str, tree: str, driver: pd.Series | str, cause: pd.Series | str, amount: pd.Series,
          evidence: pd.Series | str, author: pd.Series | str = "") -> pd.DataFrame:
    """Money of one driver by row, rows without any left out."""
    place = rows["place"] if "place" in rows else rows["market_id"]
    columns = {"item_id": rows["item_id"], "place": place, "amount": amount, "driver": driver, "cause": cause, "author": author,
               "evidence": evidence}
    leaf = pd.DataFrame(columns, index=rows.index)
    return leaf[leaf["amount"] != 0].assign(measure=measure, tree=tree, family=None)


# ------------------------------------------------------------------ bias of the streams
def stream_bias(shortest: pd.DataFrame, inputs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How far every stream was off over the last six periods, by region and author, and the weight with which the consensus followed it.

    bias = Σ (F − A) / Σ F, the share of what is said that does not come; the weights are those non-negative ones, summing to 1,
    with which the streams come closest to the consensus (least squares over the rows where all of them spoke).

    Parameters
    ----------
    shortest : DataFrame
        `plan_deviation` at the shortest lag.
    inputs : mapping of DataFrame
        item and market; demand_input where authors of streams are known.

    Returns
    -------
    DataFrame
        stream, region, author (empty where nobody is known), bias_ratio, weight_ratio, periods.
    """
    rows = shortest[~shortest["stream"].isin([_CONSENSUS, _CONSTRAINED, _PRODUCTION])]
    rows = rows[rows["period"].isin(sorted(rows["period"].unique())[-_BIAS_PERIODS:])]
    rows = rows.assign(region=rows["market_id"].map(inputs["market"].set_index("market_id")["region"]))
    rows = rows.merge(_authors(rows, inputs), on=["stream", *_PLACE], how="left", validate="m:1")
    rows["author"] = rows["author"].where(rows["author"].notna(), "")
    sums = rows.groupby(["stream", "region", "author"], as_index=False).agg(
        plan_qty=("plan_qty", "sum"), actual_qty=("actual_qty", "sum"), periods=("period", "nunique"))
    sums["bias_ratio"] = (sums["plan_qty"] - sums["actual_qty"]) / sums["plan_qty"].where(sums["plan_qty"] != 0)
    weight = _stream_weights(shortest)
    return sums.dropna(subset=["bias_ratio"]).assign(weight_ratio=lambda found: found["stream"].map(weight).fillna(0.0))


def _authors(rows: pd.DataFrame, inputs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Who speaks for each item and market in each stream: stream, item_id, market_id, author."""
    said = inputs.get("demand_input", table("demand_input").empty())
    if said.empty:
        return pd.DataFrame({c: pd.Series(dtype=object) for c in ("stream", *_PLACE, "author")})
    places = rows[_PLACE].drop_duplicates()
    places = places.merge(inputs["item"][["item_id", "family"]], on="item_id", how="left", validate="m:1")
    places = places.merge(inputs["market"][["market_id", "region"]], on="market_id", how="left", validate="m:1")
    return authors_of(said, places)


def _stream_weights(shortest: pd.DataFrame) -> pd.Series:
    wide = shortest.pivot(index=[*_PLACE, "period"], columns="stream", values="plan_qty")
    wide = wide.drop(columns=[_CONSTRAINED, _PRODUCTION], errors="ignore")
    streams = [c for c in wide.columns if c != _CONSENSUS]
    full = wide.dropna()
    if full.empty or not streams:
        return pd.Series(1.0 / len(streams) if streams else [], index=streams, dtype=float)
    found, _ = nnls(full[streams].to_numpy(), full[_CONSENSUS].to_numpy())
    return pd.Series(found / found.sum() if found.sum() else 1.0 / len(streams), index=streams)


def _with_bias(sold: pd.DataFrame, rows: pd.DataFrame, bias: pd.DataFrame, authors: pd.DataFrame) -> pd.DataFrame:
    """Units that the known bias of each stream put into (−) or kept out of (+) the consensus, by row, with who said it."""
    out = sold
    said = rows.pivot(index=_PLACE, columns="stream", values="plan_qty").reindex(pd.MultiIndex.from_frame(sold[_PLACE]))
    streams = [s for s in bias["stream"].unique() if s in said]
    weights = {s: bias.loc[bias["stream"] == s, "weight_ratio"].iloc[0] for s in streams}
    present = sum((said[s].notna() * weights[s] for s in streams), start=pd.Series(0.0, index=said.index))
    for stream in streams:
        who = sold[_PLACE].merge(authors[authors["stream"] == stream], on=_PLACE, how="left", validate="m:1")["author"]
        who = who.where(who.notna(), "")
        mine = bias[bias["stream"] == stream].set_index(["region", "author"])["bias_ratio"]
        known = pd.Series(pd.MultiIndex.from_arrays([sold["region"], who]).map(mine.to_dict()), index=sold.index, dtype=float)
        share = (weights[stream] / present.where(present > 0)).fillna(0.0).to_numpy()
        # A stream that said nothing of the row, or has no record there, put nothing into it.
        units = -share * known.fillna(0.0).to_numpy() * said[stream].fillna(0.0).to_numpy()
        words = {key: _bias_words(weights[stream], ratio, *key) for key, ratio in mine.items()}
        out = out.assign(**{f"bias_of_{stream}": units, f"author_of_{stream}": who.to_numpy(),
                            f"said_of_{stream}": [words.get(key) for key in zip(sold["region"], who, strict=True)]})
    return out


def _bias_words(weight: float, bias: float, region: str, author: str) -> str:
    whose = f"what {author} says" if author else "what it says"
    return f"weight {weight:.0%}; {whose} is {abs(bias):.0%} too {'high' if bias > 0 else 'low'} in {region}"


def _promoted(sold: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp) -> pd.Series:
    """Promotion that runs for a row in the period; the one with the largest uplift where there are several."""
    event = inputs["event"]
    runs = event[(event["kind"] == PROMOTION) & (event["from_period"] <= period) & (event["to_period"] >= period)]
    runs = runs[~runs["status"].isin(["idea", "cancelled"])].sort_values("uplift_ratio")
    family = sold["item_id"].map(inputs["item"].set_index("item_id")["family"])
    found = pd.Series(None, index=sold.index, dtype=object)
    for row in runs.to_dict("records"):
        hit = _in_scope(row, "item_id", sold["item_id"], "family", family)
        hit &= _in_scope(row, "market_id", sold["market_id"], "region", sold["region"])
        found[hit] = row["event_id"]
    return found


def _in_scope(event: dict, narrow: str, members: pd.Series, wide: str, groups: pd.Series) -> pd.Series:
    if isinstance(event[narrow], str) and event[narrow]:
        return members == event[narrow]
    if isinstance(event[wide], str) and event[wide]:
        return groups == event[wide]
    return pd.Series(True, index=members.index)


# ------------------------------------------------------------------ why production fell short
def production_shortfalls(
    made: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp, settings: Settings, calendar: Calendar
) -> pd.DataFrame:
    """Items made below plan by more than the tolerance for which a cause is on file.

    Parameters
    ----------
    made : DataFrame
        `plan_deviation` of stream production in one period (its market is the plant).
    inputs : mapping of DataFrame
        item, event, capacity, routing, bill_of_material, open_supply, supplier_item, stock_on_hand.
    period : Timestamp
        The period.
    settings, calendar
        Tolerance; when a period ends.

    Returns
    -------
    DataFrame
        item_id, place, driver (capacity loss, late supplier), cause (resource or event, supplier), evidence; one row per item and plant.
    """
    short = made[(made["plan_qty"] - made["actual_qty"]) > settings.tolerances.plan_deviation_ratio * made["plan_qty"]]
    short = short.rename(columns={"market_id": "place"})[["item_id", "place"]]
    if short.empty:
        return _no_shortfalls()
    holds = _contained(inputs["bill_of_material"], period, calendar)
    holds = short.merge(holds, on="item_id", how="left", validate="m:m")
    itself = short.assign(part_id=short["item_id"])
    holds = pd.concat([itself, holds.dropna(subset=["part_id"])], ignore_index=True)
    found = [_outages(holds, inputs, period), _lost_hours(holds, inputs, period, settings), _late_parts(holds, inputs, period, calendar)]
    filled = [part for part in found if len(part)]
    return pd.concat(filled, ignore_index=True).drop_duplicates(["item_id", "place"]) if filled else _no_shortfalls()


def _no_shortfalls() -> pd.DataFrame:
    return pd.DataFrame(columns=["item_id", "place", "driver", "cause", "evidence"], dtype=object)


def _newest(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """What was not made this period, else the period before, is what cannot be shipped now."""
    filled = [part for part in (now, before) if len(part)]
    return pd.concat(filled, ignore_index=True).drop_duplicates(["item_id", "place"]) if filled else _no_shortfalls()


def _contained(bom: pd.DataFrame, period: pd.Timestamp, calendar: Calendar) -> pd.DataFrame:
    """Every part of an item, however deep: item_id, part_id."""
    refuse_loops(bom)
    lines = bom_versions(bom, pd.DatetimeIndex([period]), calendar)[0][0][["parent_item_id", "component_item_id"]].drop_duplicates()
    lines = lines.set_axis(["item_id", "part_id"], axis=1)
    level, found = lines, [lines]
    while len(level):
        level = level.merge(lines.rename(columns={"item_id": "part_id", "part_id": "deeper"}), on="part_id", how="inner", validate="m:m")
        level = level[["item_id", "deeper"]].rename(columns={"deeper": "part_id"}).drop_duplicates()
        found.append(level)
    return pd.concat(found, ignore_index=True).drop_duplicates()


def _on_resource(holds: pd.DataFrame, routing: pd.DataFrame, resource_id: str) -> pd.Series:
    parts = routing.loc[routing["resource_id"] == resource_id, "item_id"]
    return holds["item_id"].isin(holds.loc[holds["part_id"].isin(parts), "item_id"])


def _outages(holds: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp) -> pd.DataFrame:
    event = inputs["event"]
    hits = event[(event["kind"] == "outage") & (event["from_period"] <= period) & (event["to_period"] >= period)]
    family = holds["item_id"].map(inputs["item"].set_index("item_id")["family"])
    found = [_no_shortfalls()]
    for row in hits.to_dict("records"):
        resource = row.get("resource_id")
        is_hit = _in_scope(row, "item_id", holds["item_id"], "family", family)
        if isinstance(resource, str) and resource:
            is_hit &= _on_resource(holds, inputs["routing"], resource)
        cause = resource if isinstance(resource, str) and resource else row["event_id"]
        found.append(_caused(holds[is_hit], CAPACITY, cause, f"outage {row['event_id']} on file"))
    return _together(found)


def _lost_hours(holds: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp, settings: Settings) -> pd.DataFrame:
    """Resources whose demonstrated share of regular hours fell below what they usually show by more than the tolerance."""
    hours = inputs["capacity"].dropna(subset=["demonstrated_hours"])
    hours = hours[(hours["regular_hours"] > 0) & (hours["period"] <= period)]
    hours = hours.assign(ratio=hours["demonstrated_hours"] / hours["regular_hours"])
    usual = hours[hours["period"] < period].groupby("resource_id")["ratio"].median()
    now = hours[hours["period"] == period].set_index("resource_id")["ratio"]
    lost = 1 - now / usual.reindex(now.index)
    found = [_no_shortfalls()]
    for resource, share in lost[lost > settings.tolerances.plan_deviation_ratio].sort_values(ascending=False).items():
        hit = _on_resource(holds, inputs["routing"], str(resource))
        found.append(_caused(holds[hit], CAPACITY, str(resource), f"showed {share:.0%} fewer hours than it usually does"))
    return _together(found)


def _late_parts(holds: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp, calendar: Calendar) -> pd.DataFrame:
    """Parts past due by the end of the period at the plant, with less on hand than is overdue."""
    last_day = calendar.first_day(calendar.add(period, 1)) - pd.Timedelta(days=1)
    orders = inputs["open_supply"]
    orders = orders[(orders["kind"] == "purchase") & (orders["due_date"] <= last_day)]
    orders = orders.assign(supplier=_supplier_of(orders, inputs["supplier_item"]))
    due = orders.groupby(["item_id", "location_id", "supplier"], as_index=False).agg(
        open_qty=("open_qty", "sum"), since=("due_date", "min"))
    stock = inputs["stock_on_hand"].groupby(["item_id", "location_id"], as_index=False)["on_hand_qty"].sum()
    due = due.merge(stock, on=["item_id", "location_id"], how="left", validate="m:1")
    due = due[due["open_qty"] > due["on_hand_qty"].fillna(0.0)]  # no row in the count: nothing in stock
    due = due.rename(columns={"item_id": "part_id", "location_id": "place"})
    hit = holds.merge(due, on=["part_id", "place"], how="inner", validate="m:m").sort_values(["since", "part_id"])
    said = [f"{part} past due since {since:%Y-%m-%d}, {qty:,.0f} open" for part, since, qty in
            zip(hit["part_id"], hit["since"], hit["open_qty"], strict=True)]
    return _caused(hit, SUPPLIER, hit["supplier"], said)


def _supplier_of(orders: pd.DataFrame, supplier_item: pd.DataFrame) -> pd.Series:
    """Supplier on the order where the source says so, else who supplies the item there."""
    names = supplier_item.groupby(["item_id", "location_id"])["supplier_id"].agg(lambda s: " or ".join(sorted(s.unique())))
    usual = pd.MultiIndex.from_frame(orders[["item_id", "location_id"]]).map(names.to_dict())
    usual = pd.Series(usual, index=orders.index, dtype=object).fillna("supplier of " + orders["item_id"])
    return orders["supplier_id"].fillna(usual) if "supplier_id" in orders else usual


def _caused(rows: pd.DataFrame, driver: str, cause: pd.Series | str, evidence: list[str] | str) -> pd.DataFrame:
    return rows[["item_id", "place"]].assign(driver=driver, cause=cause, evidence=evidence).drop_duplicates(["item_id", "place"])


def _together(found: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in found if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else _no_shortfalls()


# ------------------------------------------------------------------ the tree
def grown(leaves: pd.DataFrame, explained_ratio: float = 0.8) -> pd.DataFrame:
    """Grow the tree from its leaves: total, driver, cause, author, family, and the few items and places that hold most of the money.

    Parameters
    ----------
    leaves : DataFrame
        measure, tree, driver, cause, author (empty where nobody said it), family, item_id, place, amount, evidence.
    explained_ratio : float
        Share of the absolute money of a tree that is named item by item.

    Returns
    -------
    DataFrame
        Rows of `driver_tree` without their period; in every level the largest money first, remainders last.

    Raises
    ------
    ArithmeticError
        When a level does not sum to the total, or the two trees of a measure do not reach the same, to the cent.
    """
    parts = []
    for (measure, tree), mine in leaves.groupby(["measure", "tree"], sort=True):
        levels = [_total(mine), _level(mine, "driver", ["driver"]), _level(mine, "cause", ["driver", "cause"]), _by_author(mine),
                  _level(mine, "family", ["driver", "cause", "family"]), _items(mine, explained_ratio)]
        parts += [level.assign(measure=measure, tree=tree) for level in levels]
    frame = pd.concat(parts, ignore_index=True)
    _assert_sums(frame)
    return frame


def _total(leaves: pd.DataFrame) -> pd.DataFrame:
    total = leaves["amount"].sum()
    everything = {"driver": "all", "cause": "all", "member": "all", "deviation_amt": total, "share_ratio": 1.0, "evidence": ""}
    return pd.DataFrame([{"level": "total", "sequence": 1, **everything}])


def _level(leaves: pd.DataFrame, level: str, keys: list[str]) -> pd.DataFrame:
    sums = leaves.groupby(keys, as_index=False).agg(deviation_amt=("amount", "sum"))
    largest_first = leaves.loc[leaves["amount"].abs().sort_values(ascending=False, kind="stable").index]
    said = largest_first.groupby(["driver", "cause"])["evidence"].first()
    sums["cause"], sums["member"] = sums.get("cause", "all"), sums.get("family", "all")
    sums["evidence"] = [said.get(pair, "") for pair in zip(sums["driver"], sums["cause"], strict=True)]
    return _ranked(sums, level)


def _by_author(leaves: pd.DataFrame) -> pd.DataFrame:
    """Causes by the person whose input they rest on; what nobody said stands with member `all`."""
    named = leaves.assign(author=leaves["author"].replace("", "all"))
    largest_first = named.loc[named["amount"].abs().sort_values(ascending=False, kind="stable").index]
    keys = ["driver", "cause", "author"]
    sums = largest_first.groupby(keys, as_index=False).agg(deviation_amt=("amount", "sum"), evidence=("evidence", "first"))
    sums["evidence"] = sums["evidence"].where(sums["evidence"].notna(), "")
    return _ranked(sums.rename(columns={"author": "member"}), "author")


def _items(leaves: pd.DataFrame, explained_ratio: float) -> pd.DataFrame:
    """Items and places by driver until the share is reached; the rest in one row for each driver, so that the sum stays."""
    largest_first = leaves.loc[leaves["amount"].abs().sort_values(ascending=False, kind="stable").index]
    member = (largest_first["item_id"] + " " + largest_first["place"]).str.strip()
    sums = largest_first.assign(member=member).groupby(["driver", "member"], as_index=False).agg(
        deviation_amt=("amount", "sum"), cause=("cause", "first"), evidence=("evidence", "first"))
    sums = sums.sort_values("deviation_amt", key=lambda v: -v.abs(), kind="stable", ignore_index=True)
    size = sums["deviation_amt"].abs()
    is_named = (size.cumsum() - size) < explained_ratio * size.sum()
    rest = sums[~is_named].groupby("driver", as_index=False)["deviation_amt"].sum().assign(cause="all", member=OTHERS, evidence="")
    return _ranked(pd.concat([sums[is_named], rest], ignore_index=True) if len(rest) else sums, "item × place")


def _ranked(rows: pd.DataFrame, level: str) -> pd.DataFrame:
    is_rest = rows[["driver", "cause", "member"]].isin(_REMAINDERS).any(axis=1)
    order = pd.DataFrame({"is_rest": is_rest, "size": -rows["deviation_amt"].abs()}).sort_values(["is_rest", "size"], kind="stable").index
    ranked = rows.loc[order].reset_index(drop=True)
    whole = ranked["deviation_amt"].abs().sum()
    ranked["share_ratio"] = ranked["deviation_amt"].abs() / whole if whole else 0.0
    columns = ["level", "sequence", "driver", "cause", "member", "deviation_amt", "share_ratio", "evidence"]
    return ranked.assign(level=level, sequence=range(1, len(ranked) + 1))[columns]


def _assert_sums(frame: pd.DataFrame) -> None:
    sums = frame.groupby(["measure", "tree", "level"])["deviation_amt"].sum().unstack("level")
    off = sums.sub(sums["total"], axis=0).abs().max(axis=1)
    two = sums["total"].groupby("measure")
    apart = (two.max() - two.min()).reindex(sums.index.get_level_values("measure")).to_numpy()
    wrong = (off > _CENT + 1e-9 * sums["total"].abs()) | (apart > _CENT + 1e-9 * sums["total"].abs())
    if wrong.any():
        raise ArithmeticError(f"driver tree of {', '.join(map(str, wrong.index[wrong]))}: its levels do not sum to the deviation")


def _shortest_lag(deviation: pd.DataFrame) -> pd.DataFrame:
    return deviation[deviation["lag"] == deviation.groupby(["stream", "period"])["lag"].transform("min")]
