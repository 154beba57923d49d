"""Views of the supply review in detail: hours, stock money and materials."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench.views.frames import as_view, first_periods, item_names, needs, with_item
from sop_workbench.views.words import MONEY, ROUNDING, percent, period_labels, plural, short


def capacity_table(capacity_load: pd.DataFrame, resource: pd.DataFrame) -> pd.DataFrame:
    """Load of every resource over the horizon against regular, overtime and demonstrated hours, fullest first."""
    needs(capacity_load, "capacity_load")
    names = resource.set_index("resource_id")["resource_name"] if "resource_name" in resource else pd.Series(dtype=object)
    known = capacity_load.assign(demonstrated_load_hours=capacity_load["load_hours"].where(capacity_load["demonstrated_hours"].notna()))
    columns = ["load_hours", "regular_hours", "overtime_hours", "demonstrated_hours", "demonstrated_load_hours"]
    rows = known.groupby("resource_id")[columns].sum(min_count=1)
    basis = capacity_load.drop_duplicates("resource_id").set_index("resource_id")["demonstrated_basis"]
    rows = rows.assign(
        resource=names.reindex(rows.index).fillna(pd.Series(rows.index, index=rows.index)),
        utilisation_ratio=rows["load_hours"] / rows["regular_hours"].where(rows["regular_hours"] > 0),
        of_demonstrated_ratio=rows["demonstrated_load_hours"] / rows["demonstrated_hours"].where(rows["demonstrated_hours"] > 0),
        basis=basis,
    ).sort_values("utilisation_ratio", ascending=False)
    shown = ["resource", *columns[:4], "utilisation_ratio", "of_demonstrated_ratio", "basis"]
    above = capacity_load[capacity_load["demonstrated_ratio"] > 1]
    count = above.groupby("resource_id").size().reindex(rows.index).dropna().sort_values(ascending=False, kind="stable")
    title = (
        f"{rows.loc[count.index[0], 'resource']} needs more than it has shown it can do in {plural(int(count.iloc[0]), 'period')}"
        if len(count)
        else "All load is within what has been shown"
    )
    return as_view(
        rows[shown],
        title,
        "Rough-cut over the horizon, not finite capacity. Utilisation = load / regular hours; of demonstrated = load / hours really "
        "achieved (stated, by efficiency, or the best fourth of the last year's periods).",
        "No load: no routing connects the demand with a resource.",
    )


def load_by_method(capacity_load: pd.DataFrame, resource: pd.DataFrame, top: int = 4) -> pd.DataFrame:
    """Load of the fullest resources where the demand falls and a lead time earlier, beside what there is."""
    needs(capacity_load, "capacity_load")
    names = resource.set_index("resource_id")["resource_name"] if "resource_name" in resource else pd.Series(dtype=object)
    fullest = capacity_load.groupby("resource_id")["utilisation_ratio"].max().nlargest(top).index
    rows = capacity_load[capacity_load["resource_id"].isin(fullest)]
    rows = rows.assign(member=rows["resource_id"].map(names).fillna(rows["resource_id"]))
    moved = (rows["load_hours"] - rows["offset_load_hours"]).abs().sum()
    title = "Lead times move load forward" if moved > ROUNDING else "Lead times are too short to move load to an earlier period"
    return as_view(
        rows[["member", "period", "load_hours", "offset_load_hours", "regular_hours", "overtime_hours", "demonstrated_hours"]],
        title,
        "Hours. Bill of capacity: where the demand falls. Resource profile: its lead times earlier, empty where it hangs on demand "
        "beyond the horizon. Rough-cut, not finite capacity.",
        "No load: no routing connects the demand with a resource.",
    )


def buildable(buildable: pd.DataFrame, item: pd.DataFrame, resource: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """How many can be made and what stops the next one: the demand as a whole first, then the items with least room."""
    needs(buildable, "buildable")
    names = pd.concat([resource.dropna(subset=["resource_name"]).set_index("resource_id")["resource_name"], item_names(item)])
    first = buildable.drop_duplicates("item_id")
    first = first.assign(room_ratio=first["buildable_qty"] / first["demand_qty"].where(first["demand_qty"] > 0))
    first = first.assign(is_item=first["item_id"] != "all").sort_values(["is_item", "room_ratio", "item_id"], na_position="last").head(top)
    rows = first.assign(
        made=first["item_id"].map(names).where(first["is_item"], "The demand, as it is mixed"),
        what_stops=[_limit_words(r.limit, r.member, r.limit_qty, names) for r in first.itertuples()],
        then_stops=[_limit_words(r.next_limit, r.next_member, np.nan, names) for r in first.itertuples()],
    )
    whole = rows[~rows["is_item"]]
    title = ""
    if len(whole):
        one = whole.iloc[0]
        until = period_labels(pd.Series([one["until_period"]])).iloc[0]
        stops = _limit_words(one["limit"], one["member"], np.nan, names)
        title = (
            f"{one['buildable_qty']:.2f} times the demand up to {until} could be served; {stops} stops more"
            if pd.notna(one["buildable_qty"])
            else f"Nothing at hand limits the demand up to {until}"
        )
    # The mix is counted in multiples of the demand: only its ratio means something.
    rows[["demand_qty", "buildable_qty", "beyond_qty", "unit_gain_qty"]] = rows[
        ["demand_qty", "buildable_qty", "beyond_qty", "unit_gain_qty"]
    ].where(rows["is_item"])
    return as_view(
        rows[["made", "demand_qty", "buildable_qty", "room_ratio", "what_stops", "unit_gain_qty", "beyond_qty", "then_stops"]],
        title,
        "Rough-cut, no schedule: hours with overtime, stock, open orders and what suppliers can bring in time, for this item alone "
        "(first row: all items as demanded, in multiples of the demand). Unit gain = units more for one more hour or unit of the limit.",
        "Nothing is demanded in the periods counted.",
    )


def _limit_words(limit: str, member: str, quantity: float, names: pd.Series) -> str:
    if limit == "none":
        return "nothing"
    name = names.get(member, member)
    name = f"{name} ({member})" if limit == "material" and name != member else name
    unit = "hours" if limit == "capacity" else "units"
    return name if pd.isna(quantity) else f"{name}: {short(quantity)} {unit}"


def inventory_tradeoff(inventory_tradeoff: pd.DataFrame) -> pd.DataFrame:
    """What safety stock money buys: the frontier, and today's targets beside it."""
    needs(inventory_tradeoff, "inventory_tradeoff")
    words = {"frontier": "best mix", "today": "today's targets", "same_service": "same fill rate", "same_money": "same money"}
    rows = inventory_tradeoff.assign(option=inventory_tradeoff["option"].map(words))
    at = inventory_tradeoff.drop_duplicates("option").set_index("option")
    title = ""
    if "today" in at.index:
        saved = at.loc["today", "safety_stock_amt"] - at.loc["same_service", "safety_stock_amt"]
        title = (
            f"Today's {short(at.loc['today', 'safety_stock_amt'], MONEY)} of stock serve {percent(at.loc['today', 'fill_ratio'], 2)} "
            f"from stock; the best mix does so with {short(saved, MONEY)} less"
        )
    return as_view(
        rows[["option", "sequence", "safety_stock_amt", "fill_ratio", "service_level_ratio", "gain_ratio"]],
        title,
        "Finished goods. Fill rate = share of demand served from stock; cycle service = share of replenishment cycles without a "
        "stock-out; both weighted by revenue. They are two things.",
        "No stock money can be weighed: no place has demand, price, worth and forecast error.",
    )


def service_measures(inventory_target: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Both measures of service by family: what is promised and what the safety stock gives."""
    needs(inventory_target, "inventory_target")
    rows = with_item(inventory_target, item, "family", "item_type", "standard_cost_amt")
    rows = rows[(rows["item_type"] == "finished") & (rows["demand_qty"] > 0)]
    rows = rows.assign(
            # An item without a standard cost has no weight among the money of the others.
        weight=rows["demand_qty"] * rows["standard_cost_amt"].fillna(0.0), safety_amt=rows["safety_stock_qty"] * rows["standard_cost_amt"]
    )
    measures = ["service_level_ratio", "expected_service_ratio", "fill_target_ratio", "expected_fill_ratio"]
    weighted = (
        rows.assign(**{name: rows[name] * rows["weight"] for name in measures}).groupby("family")[[*measures, "weight"]].sum(min_count=1)
    )
    found = weighted[measures].div(weighted["weight"].where(weighted["weight"] > 0), axis=0)
    found["safety_stock_amt"] = rows.groupby("family")["safety_amt"].sum() / max(1, rows["period"].nunique())
    return as_view(
        found.reset_index().sort_values("family"),
        "Cycle service and fill rate, promised and expected",
        "Weighted by demand at standard cost. Promised: cycle service level, fill rate (where one is promised); expected: what the safety "
        "stock gives. The larger of the two stocks is held.",
        "No finished item has a stock target.",
    )


def stock_options(stock_option: pd.DataFrame, item: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Where the best mix for the same money holds more or less than today's targets, most money first."""
    needs(stock_option, "stock_option")
    rows = stock_option.assign(item_name=stock_option["item_id"].map(item_names(item)))
    rows["move_amt"] = (rows["same_money_qty"] - rows["safety_stock_qty"]) * rows["unit_value_amt"]
    rows = rows.sort_values("move_amt", key=lambda amounts: -amounts.abs()).head(top)
    columns = [
        "item_id",
        "item_name",
        "location_id",
        "safety_stock_qty",
        "same_money_qty",
        "move_amt",
        "fill_ratio",
        "same_money_fill_ratio",
    ]
    return as_view(
        rows[columns],
        "Where the same money would serve more",
        "Move = money in safety stock more (or less) than today in the mix with the best fill rate for the same money. "
        "It is the fill rate of all together: an item that earns little may be left with none.",
        "No stock money can be weighed.",
    )


def stock_placement(stock_placement: pd.DataFrame, location: pd.DataFrame) -> pd.DataFrame:
    """Safety stock money by place: best placement along the chain, today's targets, all of it at the end."""
    needs(stock_placement, "stock_placement")
    names = location.set_index("location_id")["location_name"]
    money = ["safety_stock_amt", "today_amt", "end_only_amt"]
    rows = (
        stock_placement.groupby("location_id")
        .agg(item_count=("item_id", "nunique"), **{name: (name, "sum") for name in money})
        .reset_index()
    )
    rows = rows[rows[money].abs().max(axis=1) > 0]  # a place that holds nothing in any way says nothing
    rows = rows.assign(location=rows["location_id"].map(names).fillna(rows["location_id"]))
    best, today, end = (rows[name].sum() for name in money)
    title = f"{short(best, MONEY)} of safety stock keep the promise along the whole chain; today's targets hold {short(today, MONEY)}"
    return as_view(
        rows[["location", "item_count", *money]],
        title,
        "Finished goods. Today's targets cover the last leg and one review, as if the plant delivered at once; "
        "guaranteed service covers plant and lanes, placed where it is cheapest. "
        f"All of it at the end: {short(end, MONEY)}.",
        "No chain of finished goods to place stock along.",
    )


def stock_cover(stock_cover: pd.DataFrame, item: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """Excess and obsolete stock of all kinds of items, most money first, with how long it lasts."""
    needs(stock_cover, "stock_cover")
    rows = with_item(stock_cover, item, "item_name", "item_type")
    rows["too_much_amt"] = rows["excess_amt"] + rows["obsolete_amt"]
    whole, excess, obsolete = (rows[name].sum() for name in ("on_hand_amt", "excess_amt", "obsolete_amt"))
    shown = rows[(rows["excess_qty"] > 0) | (rows["obsolete_qty"] > 0)].sort_values(["too_much_amt", "item_id"], ascending=[False, True])
    columns = [
        "item_id",
        "item_name",
        "item_type",
        "on_hand_qty",
        "on_hand_amt",
        "cover_months",
        "cover_days",
        "excess_amt",
        "obsolete_amt",
    ]
    return as_view(
        shown[columns].head(top),
        f"Of {short(whole, MONEY)} in stock {short(excess, MONEY)} is excess and {short(obsolete, MONEY)} has no demand",
        "Excess = beyond the demand (own and of parents) of the cover limit; obsolete = no demand in the horizon. "
        "Cover = stock / mean demand within the limit.",
        "No stock is excess or obsolete.",
    )


def purchase_orders(planned_purchase: pd.DataFrame, item: pd.DataFrame, top: int = 15) -> pd.DataFrame:
    """Orders to place now, in the suppliers' minima and multiples, late ones and most money first."""
    needs(planned_purchase, "planned_purchase")
    now = first_periods(planned_purchase, 1)
    rows = now.groupby(["supplier_id", "item_id", "location_id", "period"], as_index=False).agg(
        first_receipt_period=("receipt_period", "min"),
        purchase_qty=("purchase_qty", "sum"),
        purchase_cost_amt=("purchase_cost_amt", "sum"),
        is_late=("is_late", "any"),
    )
    rows = rows.assign(item_name=rows["item_id"].map(item_names(item)), when=np.where(rows["is_late"], "at once, late", "in time"))
    rows = rows.sort_values(["is_late", "purchase_cost_amt", "supplier_id", "item_id"], ascending=[False, False, True, True])
    title = f"{plural(len(rows), 'order')} to place now, {short(rows['purchase_cost_amt'].sum(), MONEY)}" + (
        f"; {int(rows['is_late'].sum()):,} of them late already" if rows["is_late"].any() else ""
    )
    return as_view(
        rows[
            ["supplier_id", "item_id", "item_name", "location_id", "first_receipt_period", "purchase_qty", "purchase_cost_amt", "when"]
        ].head(top),
        title,
        "Material requirements of the planned production: netted against stock, safety stock and open orders, split among suppliers.",
        "Nothing has to be ordered.",
    )


def material_exceptions(material_plan: pd.DataFrame, item: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """Items whose requirements cannot be met in time: no source, a supplier's limit, a start that has passed."""
    needs(material_plan, "material_plan")
    rows = material_plan[(material_plan["late_qty"] > ROUNDING) | (material_plan["unsupplied_qty"] > ROUNDING)]
    rows = rows.groupby(["item_id", "location_id", "source"], as_index=False).agg(
        first_period=("period", "min"), late_qty=("late_qty", "sum"), unsupplied_qty=("unsupplied_qty", "sum")
    )
    why = [rows["source"] == "none", rows["unsupplied_qty"] > ROUNDING]
    rows["why"] = np.select(
        why, ["nothing makes, buys or brings it", "suppliers' limits are too low"], "lead time is longer than the time left"
    )
    rows = rows.assign(item_name=rows["item_id"].map(item_names(item))).sort_values(
        ["unsupplied_qty", "late_qty", "item_id"], ascending=[False, False, True]
    )
    return as_view(
        rows[["item_id", "item_name", "location_id", "first_period", "late_qty", "unsupplied_qty", "why"]].head(top),
        f"{plural(len(rows), 'component')} cannot all come in time",
        "Late = should have been started before the first period; unsupplied = nothing can bring it.",
        "Every component can come in time.",
    )
