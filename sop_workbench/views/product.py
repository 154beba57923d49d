"""Views of the product review: portfolio, launches, phase-outs and excess."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench.views.forecast import history_and_forecast
from sop_workbench.views.frames import as_view, item_names, needs, quotient
from sop_workbench.views.words import MONEY, NO_FAMILY, percent, plural, short


def abc_xyz(item_class: pd.DataFrame) -> pd.DataFrame:
    """Items and revenue in each of the nine ABC–XYZ cells."""
    needs(item_class, "item_class")
    cells = item_class.groupby(["abc", "xyz"], as_index=False).agg(item_count=("item_id", "size"), revenue_amt=("revenue_amt", "sum"))
    cells["revenue_ratio"] = cells["revenue_amt"] / item_class["revenue_amt"].sum()
    a_items = (item_class["abc"] == "A").sum()
    share = quotient(item_class.loc[item_class["abc"] == "A", "revenue_amt"].sum(), item_class["revenue_amt"].sum())
    title = f"{plural(int(a_items), 'A item')} of {len(item_class):,} bring {percent(share, 0)} of revenue"
    return as_view(
        cells,
        title,
        "ABC: cumulative revenue 80 / 95 %. XYZ: coefficient of variation of deseasonalised demand up to 0.5 / 1.0.",
        "No item was classified: there is no sales history.",
    )


# What planners do in each cell: the more money, the more care; the more erratic, the less a finer forecast helps.
_POLICY = {
    "AX": "the model plans, a look each month; little stock, replenished often",
    "AY": "the model with known events and inputs, a look each month; stock for the range",
    "AZ": "ask customers, agree quantities or make to order; no finer forecast",
    "BX": "the model plans, a look at exceptions; little stock",
    "BY": "the model with known events, a look at exceptions; stock for the range",
    "BZ": "few large lots, or make to order; a look at exceptions",
    "CX": "the model plans, nobody looks; ample stock, ordered seldom",
    "CY": "the model plans, nobody looks; ample stock, ordered seldom",
    "CZ": "ordered on demand, or ended: see the tail",
}
_PATTERNS = ("smooth", "erratic", "intermittent", "lumpy")


def segments(item_class: pd.DataFrame) -> pd.DataFrame:
    """What each ABC–XYZ cell holds, how its items sell, and what is done with them; ended items are left out."""
    needs(item_class, "item_class")
    alive = item_class[item_class["lifecycle"] != "ended"]
    cell = alive["abc"] + alive["xyz"]
    counts = pd.crosstab(cell, alive["demand_pattern"]).reindex(columns=list(_PATTERNS), fill_value=0)  # no item sells that way
    rows = alive.assign(cell=cell).groupby("cell").agg(item_count=("item_id", "size"), revenue_amt=("revenue_amt", "sum"))
    rows = rows.join(counts.rename(columns="{}_items".format)).sort_index().rename_axis("cell").reset_index()
    young = int((alive["lifecycle"] == "launch").sum())
    smooth = int(counts["smooth"].sum())
    return as_view(
        rows.assign(policy=rows["cell"].map(_POLICY)),
        f"{smooth:,} of {plural(len(alive), 'item')} on sale {'sells' if smooth == 1 else 'sell'} smoothly; "
        f"{young:,} {'is' if young == 1 else 'are'} younger than a year",
        "Pattern: intermittent where orders lie more than 1.32 periods apart, erratic where their size varies by more than 0.49 (squared "
        "variation), lumpy where both (Syntetos, Boylan and Croston 2005). Such items are forecast by other models. Policy: a proposal.",
        "No item was classified: there is no sales history.",
    )


def portfolio(item_class: pd.DataFrame) -> pd.DataFrame:
    """Volume, revenue and margin of the last twelve months by family and stage of life."""
    needs(item_class, "item_class")
    known = item_class.assign(family=item_class["family"].fillna(NO_FAMILY))
    bubbles = known.groupby(["family", "lifecycle"], as_index=False).agg(
        item_count=("item_id", "size"),
        demand_qty=("demand_qty", "sum"),
        revenue_amt=("revenue_amt", "sum"),
        margin_amt=("margin_amt", "sum"),
    )
    bubbles = bubbles[bubbles["revenue_amt"] > 0]
    bubbles["margin_ratio"] = bubbles["margin_amt"] / bubbles["revenue_amt"]
    negative = bubbles[bubbles["margin_amt"] < 0]
    title = (
        f"{plural(len(negative), 'group sells', 'groups sell')} below cost"
        if len(negative)
        else f"Gross margin {percent(quotient(bubbles['margin_amt'].sum(), bubbles['revenue_amt'].sum()))} over all families"
    )
    return as_view(
        bubbles,
        title,
        "Gross margin = (revenue − cost of goods sold) / revenue, last twelve months. A bubble's size is its revenue.",
        "No item had revenue in the last twelve months.",
    )


def tail(portfolio: pd.DataFrame) -> pd.DataFrame:
    """Items that bring next to no revenue, with the money they hold; ended ones are told under excess stock."""
    needs(portfolio, "portfolio")
    mine = portfolio[portfolio["is_tail"] & (portfolio["lifecycle"] == "mature")]
    rows = mine.sort_values(["stock_amt", "item_id"], ascending=[False, True])
    title = f"{plural(len(rows), 'mature item brings', 'mature items bring')} the last 1 % of revenue and "
    title += f"{'holds' if len(rows) == 1 else 'hold'} {short(rows['stock_amt'].sum(), MONEY)} of stock"
    columns = ["item_name", "item_id", "family", "xyz", "demand_qty", "revenue_amt", "margin_ratio", "stock_amt"]
    stage = portfolio.loc[portfolio["is_tail"], "lifecycle"].value_counts()
    left_out = [f"{stage[name]:,} {words}" for name, words in (("ended", "ended (see stock without demand)"), ("launch", "just launched"),
                                                               ("phase_out", "being phased out")) if stage.get(name, 0)]
    note = f"Tail: beyond 99 % of cumulative revenue.{' Not listed: ' + ', '.join(left_out) + '.' if left_out else ''}"
    return as_view(rows[columns], title, note, "No mature item lies in the tail.")


def tail_curve(portfolio: pd.DataFrame) -> pd.DataFrame:
    """Cumulative revenue by rank of item, with where the tail begins and what it holds."""
    needs(portfolio, "portfolio")
    rows = portfolio.sort_values("rank")
    tail_rows = rows[rows["is_tail"]]
    title = (
        f"{plural(len(tail_rows), 'item brings', 'items bring')} the last 1 % of revenue and "
        f"{'holds' if len(tail_rows) == 1 else 'hold'} {short(tail_rows['stock_amt'].sum(), MONEY)} of stock"
    )
    return as_view(
        rows.assign(part=np.where(rows["is_tail"], "tail", "core"))[
            ["item_id", "item_name", "family", "rank", "part", "revenue_amt", "cumulative_revenue_ratio", "stock_amt"]
        ],
        title if len(tail_rows) else "No item lies in the tail",
        "Items by rank of revenue of the last twelve months; line: their cumulative share; bars: the money their stock holds. "
        "Tail: beyond 99 % of cumulative revenue, ended items included.",
        "No item was sold in the last twelve months.",
    )


def lifecycle_events(
    item: pd.DataFrame, as_of: pd.Timestamp, months_back: int = 12, months_ahead: int = 24, most: int = 20
) -> pd.DataFrame:
    """Launches and phase-outs around the cycle, by date; where there are more than `most`, a family's of a day on one line."""
    needs(item, "item")
    kinds = (("launch", "launch_date", "like_item_id"), ("phase-out", "phase_out_date", "successor_item_id"))
    rows = pd.concat([item.assign(event=event, date=item[date], partner=item[partner]) for event, date, partner in kinds])
    near = rows[rows["date"].between(as_of - pd.DateOffset(months=months_back), as_of + pd.DateOffset(months=months_ahead))]
    near = near.sort_values(["date", "item_id"]).rename(columns={"date": "day_date", "partner": "like_item_or_successor"})
    launches, endings = ((near["event"] == kind).sum() for kind in ("launch", "phase-out"))
    title = f"{plural(launches, 'launch', 'launches')} and {plural(endings, 'phase-out')}"
    near = near if len(near) <= most else _by_family_and_day(near)
    return as_view(
        near[["day_date", "event", "item_id", "item_name", "family", "like_item_or_successor"]],
        f"{title} from {months_back} months back to {months_ahead} ahead",
        empty="No launch or phase-out in the window.",
    )


def _by_family_and_day(near: pd.DataFrame) -> pd.DataFrame:
    """One line for all launches (phase-outs) of a family on a day, under the name of the first."""
    known = near.assign(family=near["family"].fillna(NO_FAMILY))
    rows = known.groupby(["day_date", "event", "family"], as_index=False).agg(
        item_id=("item_id", "first"), item_name=("item_name", "first"), count=("item_id", "size"),
        like_item_or_successor=("like_item_or_successor", "first"))
    more = [f" and {count - 1:,} more" if count > 1 else "" for count in rows["count"]]
    return rows.assign(item_name=rows["item_name"] + more)


def _curve_weight(items: pd.Series, launch_forecast: pd.DataFrame | None) -> pd.Series:
    """How much the launch curve of each item counts in the plan; empty where that is not known."""
    known = {} if launch_forecast is None else launch_forecast.drop_duplicates("item_id").set_index("item_id")["weight_ratio"]
    return items.map(known).astype(float)


def _counting_names(rows: pd.DataFrame, launch_forecast: pd.DataFrame | None, item: pd.DataFrame) -> pd.Series:
    """Item names with how much the launch curve counts in the plan, as labels."""
    name = rows["item_id"].map(item_names(item)).fillna(rows["item_id"])
    weight = _curve_weight(rows["item_id"], launch_forecast)
    return name + [f" (counts {percent(ratio, 0)})" if pd.notna(ratio) else "" for ratio in weight]


_COUNTS = ("Counts: the curve's part in the plan; the rest is the statistical forecast of the item's own sales, which takes over within "
           "three periods.")


def launch_fan(launch_forecast: pd.DataFrame, sales_history: pd.DataFrame, item: pd.DataFrame, top: int = 6) -> pd.DataFrame:
    """History and launch curve of the items too young for a model."""
    needs(launch_forecast, "launch_forecast")
    chosen = launch_forecast.groupby("item_id")["forecast_qty"].sum().nlargest(top).index
    young = item.assign(member=_counting_names(item, launch_forecast, item))
    fan = history_and_forecast(
        sales_history[sales_history["item_id"].isin(chosen)], launch_forecast[launch_forecast["item_id"].isin(chosen)], young, "member", 24
    )
    title = f"Launch curve of {plural(launch_forecast['item_id'].nunique(), 'young item')}"
    return as_view(
        fan,
        title,
        f"Line: history, then the like-item's curve scaled to the item. Band: how far past launches strayed from their curve. {_COUNTS}",
        "No item is young enough to need a launch curve.",
    )


def launch_curves(
    launch_curve: pd.DataFrame, item: pd.DataFrame, top: int = 6, launch_forecast: pd.DataFrame | None = None
) -> pd.DataFrame:
    """What every estimator expects of the young items, beside each other; the one that is used is marked."""
    needs(launch_curve, "launch_curve")
    used = launch_curve[launch_curve["is_used"]]
    chosen = used.groupby("item_id")["forecast_qty"].sum().nlargest(top).index
    rows = launch_curve[launch_curve["item_id"].isin(chosen)].sort_values(["item_id", "estimator", "period"])
    counts = used.drop_duplicates("item_id")["estimator"].value_counts()
    title = "Used: " + ", ".join(f"{name} for {plural(n, 'item')}" for name, n in counts.items())
    return as_view(
        rows.assign(member=_counting_names(rows, launch_forecast, item))[
            ["member", "item_id", "estimator", "period", "forecast_qty", "is_used"]
        ],
        title,
        "Units over all markets. The thick line is the launch forecast; the others show how far a different method would lie."
        + (f" {_COUNTS}" if launch_forecast is not None else ""),
        "No item is young enough to need a launch curve.",
    )


def launch_estimates(launch_curve: pd.DataFrame, item: pd.DataFrame, launch_forecast: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every estimator of every young item: what it expects over the horizon and on what it rests."""
    needs(launch_curve, "launch_curve")
    rows = launch_curve.groupby(["item_id", "estimator"], as_index=False).agg(
        is_used=("is_used", "first"), horizon_qty=("forecast_qty", "sum"), market_potential_qty=("market_qty", "first"),
        innovation=("innovation_ratio", "first"), imitation=("imitation_ratio", "first"), evidence=("evidence", "first"))
    rows = rows.sort_values(["item_id", "is_used", "estimator"], ascending=[True, False, True])
    rows["item_name"] = rows["item_id"].map(item_names(item)).fillna(rows["item_id"])
    for column in ("innovation", "imitation"):
        rows[f"{column}_text"] = [f"{v:.3f}" if pd.notna(v) else "–" for v in rows[column]]
    ends = rows.groupby("item_id")["horizon_qty"].agg(["min", "max"])
    apart = (ends["max"] / ends["min"].where(ends["min"] > 0)).max()
    title = f"The estimators of an item lie up to a factor of {apart:.1f} apart" if apart > 1.05 else "The estimators agree"
    columns = ["item_name", "estimator", "is_used", "horizon_qty", "market_potential_qty", "innovation_text", "imitation_text", "evidence"]
    if launch_forecast is not None:
        rows["counts_ratio"] = _curve_weight(rows["item_id"], launch_forecast).where(rows["is_used"])
        columns.insert(3, "counts_ratio")
    return as_view(
        rows[columns], title,
        "Bass diffusion: of all who will ever buy (market potential) a share p buys on its own (innovation) and q is drawn by those "
        "who have (imitation), per period." + (f" {_COUNTS}" if launch_forecast is not None else ""),
        "No item is young enough to need a launch curve.",
    )


_LEFT_OVER = ("Left over = stock − demand until the last day of sale, at standard cost. Demand: as in the last year, with its season. "
              "Last buy: by its day, so that the longest way of parts is over on the last day of sale. Moved: demand that the successor "
              "takes over.")


def phase_outs(phase_out_plan: pd.DataFrame) -> pd.DataFrame:
    """How each ending item is sold out: run-out, last buy, what is left and who takes over."""
    needs(phase_out_plan, "phase_out_plan")
    rows = phase_out_plan.sort_values(["phase_out_date", "item_id"])
    columns = ["item_name", "item_id", "phase_out_date", "successor_item_id", "on_hand_qty", "remaining_demand_qty", "run_out_date"]
    columns += ["last_buy_qty", "last_buy_date", "left_over_qty", "left_over_amt", "moved_qty"]
    left = rows["left_over_amt"].sum()
    title = f"{plural(len(rows), 'item is', 'items are')} ending; {short(left, MONEY)} of stock would be left over"
    return as_view(rows[columns], title, _LEFT_OVER, "No item is ending.")


def excess(excess_stock: pd.DataFrame) -> pd.DataFrame:
    """Items with more stock than demand will take, most money first."""
    needs(excess_stock, "excess_stock")
    rows = excess_stock[excess_stock["excess_amt"] > 0].sort_values(["excess_amt", "item_id"], ascending=[False, True])
    title = f"{short(rows['excess_amt'].sum(), MONEY)} of excess stock in {plural(len(rows), 'item')}"
    return as_view(
        rows[
            [
                "item_name",
                "item_id",
                "family",
                "lifecycle",
                "on_hand_qty",
                "forward_demand_qty",
                "excess_qty",
                "excess_amt",
                "cover_months",
                "reason",
            ]
        ],
        title,
        "Excess = stock on hand − demand within the cover limit, at standard cost. Demand: as in the last year, with its season; the "
        "demand plan is made after this review.",
        "No item has excess stock.",
    )
