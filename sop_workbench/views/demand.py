"""Views of the demand review: streams, consensus, promotions and risks."""

from __future__ import annotations

import pandas as pd

from sop_workbench import finance
from sop_workbench.views.data_gathering import issue_list
from sop_workbench.views.frames import as_view, first_periods, item_names, needs, quotient, with_columns, with_item, with_largest
from sop_workbench.views.words import MONEY, OTHER, heading, percent, period_labels, plural, short, signed

_RISK_WORDS = {
    r": demand at the (?:low|high) end of its range$": ": range of demand",
    r"^Deal (?:lost|won): ": "Deal: ",
    r" works as (?:little|much) as it ever may$": ": range of its uplift",
}


def streams(demand_stream: pd.DataFrame, consensus_demand: pd.DataFrame) -> pd.DataFrame:
    """Every stream of the demand plan beside the consensus, by period."""
    needs(demand_stream, "demand_stream")
    needs(consensus_demand, "consensus_demand")
    spoken = demand_stream[demand_stream["stream"] != "consensus"]
    agreed = consensus_demand[["item_id", "market_id", "period", "demand_qty"]]
    both = pd.concat([spoken, agreed.assign(stream="consensus")]).groupby(["stream", "period"], as_index=False)["demand_qty"].sum()
    beside = spoken.merge(agreed, on=["item_id", "market_id", "period"], suffixes=("", "_agreed"), validate="many_to_one")
    totals = beside.groupby("stream")[["demand_qty", "demand_qty_agreed"]].sum()
    return as_view(
        both,
        _stream_title(totals, agreed["demand_qty"].sum()),
        "Units over all items and markets. A stream covers only what its authors spoke about.",
        "No stream has a figure.",
    )


def _stream_title(totals: pd.DataFrame, agreed: float) -> str:
    """The stream furthest from consensus where both speak; one that covers less than half of demand is left out."""
    broad = totals[totals["demand_qty_agreed"] > 0.5 * agreed]
    if broad.empty:
        return "Streams and consensus"
    gaps = broad["demand_qty"] / broad["demand_qty_agreed"] - 1
    widest = str(gaps.abs().idxmax())
    return f"{heading(widest)} stands furthest from consensus: {signed(percent(gaps[widest]))} where both speak"


def stream_weights(stream_weight: pd.DataFrame) -> pd.DataFrame:
    """How much each stream counts in the consensus, and on what evidence."""
    needs(stream_weight, "stream_weight")
    rows = stream_weight.sort_values(["weight_ratio", "stream"], ascending=[False, True])
    title = f"{heading(rows['stream'].iloc[0])} counts most: {percent(rows['weight_ratio'].iloc[0], 0)}" if len(rows) else ""
    return as_view(
        rows[["stream", "weight_ratio", "wape_ratio", "bias_ratio", "evidence"]],
        title,
        "Weight by inverse past error after removing past bias; bias = Σ(forecast − actual) / Σ actual. Measured on the plans that all "
        "these streams made, so that they can be compared.",
        "No stream was weighed.",
    )


def value_added(forecast_value_added: pd.DataFrame) -> pd.DataFrame:
    """Error of every stair of the process, from naive to consensus."""
    needs(forecast_value_added, "forecast_value_added")
    rows = forecast_value_added.sort_values("sequence")
    last = rows.iloc[-1] if len(rows) else None
    title = ""
    if last is not None and pd.notna(last["gain_over_naive_ratio"]):
        verb = "takes" if last["gain_over_naive_ratio"] >= 0 else "adds"
        joint = "off" if last["gain_over_naive_ratio"] >= 0 else "to"
        title = f"The process {verb} {abs(last['gain_over_naive_ratio']) * 100:.1f} points {joint} the naive error"
    return as_view(
        rows,
        title or "Forecast value added",
        "Gain = error of the stair before − own error, in points of WAPE. Every stair is measured on the same items, markets and periods, "
        "planned one period before they began; naive: the mean of the three periods before.",
        "No plan was archived yet; value added shows from the second locked cycle on.",
    )


def stream_record(stream_record: pd.DataFrame) -> pd.DataFrame:
    """What each stream and author was worth in total, those that look like gaming first."""
    rows = _records_shown(stream_record, "total")
    flagged = rows[(rows["flag"] != "none") & (rows["author"] != "")].drop_duplicates("author")
    rows = rows.assign(order=(rows["flag"] == "none"), size=rows["bias_ratio"].abs())
    rows = rows.sort_values(["order", "size", "who"], ascending=[True, False, True])
    named = ", ".join(f"{row.author} ({row.flag})" for row in flagged.itertuples())
    columns = ["who", "bias_ratio", "wape_ratio", "tracking_signal", "gain_over_naive_ratio", "actual_qty", "flag", "evidence"]
    return as_view(
        rows[columns],
        f"Worth a talk: {named}" if named else "No author is always on one side",
        "Bias = Σ(plan − actual) / Σ actual, + is over-forecast; tracking signal = Σ errors / mean size of an error, by period; gain = "
        "WAPE of naive − own WAPE in points. Every line is measured on all plans of its own. A flag is a question to the author, not a "
        "verdict.",
        "No plan was archived yet; records show from the second locked cycle on.",
    )


def bias_heat_map(stream_record: pd.DataFrame, level: str = "family", top: int = 11) -> pd.DataFrame:
    """Bias of every stream and author by family or region.

    Parameters
    ----------
    stream_record : DataFrame
        As the demand review wrote it.
    level : str
        `family` or `region`.
    top : int
        Members shown, those that sold most; where there are more, the others together.
    """
    rows = _largest_and_others(_records_shown(stream_record, level), top)
    judged = rows[rows["flag"] != "none"]
    named = rows.loc[rows["member"] != OTHER, "bias_ratio"].abs()
    widest = rows.loc[named.idxmax()] if named.notna().any() else None
    title = "" if widest is None else f"{widest['who']} lies furthest off: {signed(percent(widest['bias_ratio'], 0))} in {widest['member']}"
    return as_view(
        rows[["who", "member", "bias_ratio", "wape_ratio", "actual_qty", "flag"]],
        title if len(judged) or not title else f"No flag; {title[0].lower()}{title[1:]}",
        "Bias = Σ(plan − actual) / Σ actual over archived plans of periods that are over, all lags; orange is too high, blue too low."
        + (f" {OTHER}: all but the {top} that sold most." if (rows["member"] == OTHER).any() else ""),
        "No plan was archived yet; bias shows from the second locked cycle on.",
    )


def _largest_and_others(rows: pd.DataFrame, top: int) -> pd.DataFrame:
    """The records of the members that sold most, and one of all others: errors are added up first and divided last."""
    if rows["member"].nunique() <= top + 1:
        return rows
    named = with_largest(rows, "member", "actual_qty", top)
    sums = named.assign(off=named["bias_ratio"] * named["actual_qty"], missed=named["wape_ratio"] * named["actual_qty"])
    sums = sums[named["member"] == OTHER].groupby("who", as_index=False, sort=False)[["off", "missed", "actual_qty"]].sum()
    sold = sums["actual_qty"].where(sums["actual_qty"] > 0)
    others = sums.assign(member=OTHER, bias_ratio=sums["off"] / sold, wape_ratio=sums["missed"] / sold, flag="none")
    return pd.concat([named[named["member"] != OTHER], others[["who", "member", "bias_ratio", "wape_ratio", "actual_qty", "flag"]]],
                     ignore_index=True)


def _records_shown(stream_record: pd.DataFrame, level: str) -> pd.DataFrame:
    """Records of a level with a label (`who`): streams, and authors where a stream has several."""
    needs(stream_record, "stream_record")
    authors = stream_record[stream_record["author"] != "all"].groupby("stream")["author"].unique()
    alone = {stream: names[0] for stream, names in authors.items() if len(names) == 1}
    rows = stream_record[stream_record["level"] == level]
    rows = rows[(rows["author"] == "all") | ~rows["stream"].isin(alone)]
    # The only author of a stream stands beside its name.
    author = rows["author"].where(rows["author"] != "all", rows["stream"].map(alone).fillna(""))
    who = rows["stream"].map(heading) + author.map(lambda name: f", {name}" if name else "")
    return rows.assign(author=author, who=who)


def driver_effects(driver_effect: pd.DataFrame, item: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """What promotions and prices did to demand, with ranges; of the items' elasticities the `top` surest."""
    needs(driver_effect, "driver_effect")
    kinds = {"uplift": "Promotion: uplift of demand", "pull_forward": "Promotion: taken from the two periods after",
             "cannibalisation": "Promotion: share of the uplift that other items lose", "elasticity": "Price: % of demand per % of price"}
    width = driver_effect["high_ratio"] - driver_effect["low_ratio"]
    is_item = (driver_effect["measure"] == "elasticity") & (driver_effect["member"] != "all")
    is_nothing = (driver_effect["basis"] == "as stated") & (driver_effect["effect_ratio"] == 0)  # neither learned nor said
    kept = driver_effect[(~is_item | is_item.index.isin(width[is_item].nsmallest(top - 1).index)) & ~is_nothing]
    kept = kept.assign(order=kept["measure"].map({name: n for n, name in enumerate(kinds)}), is_all=kept["member"] != "all")
    rows = kept.sort_values(["order", "is_all", "effect_ratio", "member"], ascending=[True, True, False, True])
    names = rows["member"].map(item_names(item)).fillna(rows["member"].replace("all", "all items"))
    rows = rows.assign(effect=rows["measure"].map(kinds), member=[_with_item_name(name, item) for name in names])
    rows["effect_text"] = [_effect_text(v, m) for v, m in zip(rows["effect_ratio"], rows["measure"], strict=True)]
    ends = zip(rows["low_ratio"], rows["high_ratio"], rows["measure"], strict=True)
    rows["range_text"] = [f"{_effect_text(low, m).removesuffix(' %')} to {_effect_text(high, m)}" for low, high, m in ends]
    rows["stated_ratio"] = rows["stated_ratio"].where(rows["stated_ratio"] != 0)  # no effect written down is nothing stated
    rows["stated_text"] = [_effect_text(v, m) for v, m in zip(rows["stated_ratio"], rows["measure"], strict=True)]
    columns = ["effect", "measure", "member", "effect_ratio", "low_ratio", "high_ratio", "stated_ratio", "effect_text", "range_text",
               "stated_text", "basis", "evidence"]
    return as_view(rows[columns], _effects_title(rows),
                   "Point: best estimate with its 95 % range; tick: what was stated. Where history cannot tell, what was stated "
                   f"(promotions) or published (prices) is used.{_price_words(rows)}",
                   "No promotion is on file and no price is known, so nothing can be said of what moves demand.")


def _with_item_name(member: str, item: pd.DataFrame) -> str:
    """The scope of a promotion (`CO-103 · all markets`) with the item's name in place of its number."""
    product, dot, place = member.partition(" · ")
    name = item_names(item).get(product, product)
    return f"{name}{dot}{place}" if place != "all markets" else str(name)


def _effect_text(value: float, measure: str) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.2f}" if measure == "elasticity" else percent(value, 0)


def _price_words(rows: pd.DataFrame) -> str:
    """On what the elasticity of all items rests."""
    prices = rows.loc[rows["measure"] == "elasticity", "evidence"]
    return f" Price: {prices.iloc[0]}." if len(prices) else ""


def _effects_title(rows: pd.DataFrame) -> str:
    """Whether promotions did what people said, else what a price does."""
    told = rows[(rows["measure"] == "uplift") & (rows["basis"] == "estimated from history")]
    if len(told):
        is_off = (told["stated_ratio"] < told["low_ratio"]) | (told["stated_ratio"] > told["high_ratio"])
        if is_off.any():
            worst = told.loc[(told["effect_ratio"] - told["stated_ratio"]).abs().where(is_off).idxmax()]
            said = percent(worst["stated_ratio"], 0)
            return f"Promotions of {worst['member']} brought {percent(worst['effect_ratio'], 0)}; {said} was stated"
        if told["stated_ratio"].notna().any():
            return f"History bears out what was stated of the promotions of {plural(len(told), 'product')}"
        sure = told[told["low_ratio"] > 0]
        return f"Of the promotions of {plural(len(told), 'product')}, those of {len(sure):,} surely lifted demand; nothing was stated"
    prices = rows[rows["measure"] == "elasticity"]
    return f"One per cent dearer is {abs(prices['effect_ratio'].iloc[0]):.1f} % less demand" if len(prices) else "What promotions move"


def driver_effect_list(driver_effect: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """The effects of promotions in figures, one line for what each was for, with what the figures rest on."""
    shown = driver_effects(driver_effect, item)
    columns = {"uplift": "uplift_text", "pull_forward": "taken_from_after_text", "cannibalisation": "lost_by_others_text"}
    promoted = shown[shown["measure"].isin(columns)]
    wide = promoted.pivot(index="member", columns="measure", values="effect_text").reindex(columns=list(columns)).fillna("–")
    rows = promoted[promoted["measure"] == "uplift"].merge(wide, left_on="member", right_index=True, validate="one_to_one")
    rows = rows.drop(columns="effect_text").rename(columns=columns)
    return as_view(rows[["member", "uplift_text", "range_text", "stated_text", "taken_from_after_text", "lost_by_others_text", "basis",
                       "evidence"]].rename(columns={"member": "promotions_of"}),
                   "Promotions in figures", "Uplift with its range beside what was stated; taken from after: share that each of the two "
                   "periods after loses.", "No promotion is on file.")


def promotion_cases(promotion_case: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """What every promotion ahead costs and brings, best first."""
    needs(promotion_case, "promotion_case")
    rows = promotion_case.sort_values(["net_amt", "event_id"], ascending=[False, True])
    told = zip(rows["scope"], period_labels(rows["from_period"]), rows["status"], strict=True)
    rows = rows.assign(promotion=[f"{_with_item_name(scope, item)}, {label} ({status})" for scope, label, status in told])
    is_silent = (rows["basis"] == "as stated") & (rows["uplift_ratio"] == 0)  # neither learned nor said
    rows.loc[is_silent, ["uplift_ratio", "break_even_ratio"]] = float("nan")
    rows.loc[is_silent, "basis"] = "nothing stated or learnt"
    losing = rows[rows["net_amt"] < 0]
    title = (f"{len(losing)} of {plural(len(rows), 'promotion')} ahead {'loses' if len(losing) == 1 else 'lose'} money: "
             f"{short(losing['net_amt'].sum(), MONEY)}") if len(losing) else (
        f"The {plural(len(rows), 'promotion')} ahead {'brings' if len(rows) == 1 else 'bring'} {short(rows['net_amt'].sum(), MONEY)}")
    columns = ["promotion", "uplift_qty", "uplift_ratio", "break_even_ratio", "pulled_forward_qty", "margin_gained_amt",
               "discount_given_amt", "cannibalised_amt", "cost_amt", "net_amt", "basis"]
    return as_view(rows[columns], title,
                   "Net = margin of the extra volume − discount on all that is sold − margin other items lose − cost of the event. "
                   "Break-even: the uplift at which nothing is won or lost; – where no uplift pays or none is known.",
                   "No promotion is planned inside the horizon.")


def price_cases(price_case: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Margin at a price a little lower and higher, by family, largest effect first."""
    needs(price_case, "price_case")
    rows = price_case.assign(change=[f"{signed(percent(c, 0))} price" for c in price_case["price_change_ratio"]])
    largest = rows.groupby("family")["margin_change_amt"].transform(lambda money: money.abs().max())
    rows = rows.assign(largest=largest).sort_values(["largest", "family", "price_change_ratio"], ascending=[False, True, True])
    rows = rows.head(2 * top) if rows["family"].nunique() > top else rows
    best = rows.loc[rows["margin_change_amt"].idxmax()] if len(rows) else None
    title = "" if best is None else f"{best['family']} at {best['change']}: {signed(short(best['margin_change_amt'], MONEY))} of margin"
    if best is not None and (rows["basis"] == "assumed").all():
        title += ", if its customers are like those of published studies"
    columns = ["family", "change", "elasticity_ratio", "basis", "quantity_change_qty", "revenue_change_amt", "margin_change_amt",
               "margin_change_low_amt", "margin_change_high_amt"]
    return as_view(rows[columns], title,
                   "Demand × (1 + change of price) ^ elasticity; margin at standard cost over the horizon. Lines: the range of the "
                   "elasticity. Rivals are taken not to answer.",
                   "No family has a price, a cost and demand.")


def price_case_list(price_case: pd.DataFrame) -> pd.DataFrame:
    """The price cases in figures."""
    rows = price_cases(price_case)
    rows = rows.assign(elasticity_text=[f"{e:.2f}" for e in rows["elasticity_ratio"]])
    columns = ["family", "change", "elasticity_text", "basis", "quantity_change_qty", "revenue_change_amt", "margin_change_amt",
               "margin_change_low_amt", "margin_change_high_amt"]
    return as_view(rows[columns], "The same in figures", empty=rows.attrs["empty"])


def pipeline(pipeline_line: pd.DataFrame) -> pd.DataFrame:
    """Money of open deals by close period: what the plan counts, what comes on top if won, what is counted elsewhere."""
    needs(pipeline_line, "pipeline_line")
    # A deal whose item has no price in its period is worth nothing yet.
    whole = (pipeline_line["volume_qty"] * pipeline_line["price_amt"]).fillna(0.0)
    is_counted = pipeline_line["counted_qty"] > 0
    counted = pipeline_line["expected_amt"].fillna(0.0)
    parts = {"counted in the plan": counted, "on top if won": (whole - counted).where(is_counted, 0.0),
             "not counted here": whole.where(~is_counted, 0.0)}
    rows = pd.DataFrame({"period": pipeline_line["close_period"], **parts}).groupby("period", as_index=False).sum()
    rows = rows.melt("period", var_name="part", value_name="value_amt")
    title = f"The plan counts {short(counted.sum(), MONEY)} of {short(whole.sum(), MONEY)} in {plural(len(pipeline_line), 'open deal')}"
    return as_view(rows, title,
                   "By close period, at mean price. Counted = volume × chance. Not counted here: part of the run rate already, or outside "
                   "the horizon; nothing is counted twice.",
                   "No open deal is on file.")


def pipeline_deals(pipeline_line: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame) -> pd.DataFrame:
    """Every open deal, most counted money first, and why it counts or not."""
    needs(pipeline_line, "pipeline_line")
    rows = pipeline_line.sort_values(["expected_amt", "close_period", "opportunity_id"], ascending=[False, True, True])
    places = market.set_index("market_id")["market_name"]
    rows = rows.assign(
        product=rows["item_id"].map(item_names(item)).fillna(rows["item_id"]).fillna(rows["family"]),
        market_name=rows["market_id"].map(places).fillna(rows["market_id"]),
    )
    columns = ["opportunity_id", "product", "market_name", "close_period", "stage", "volume_qty", "probability_ratio", "counted_qty",
               "expected_amt", "reason"]
    return as_view(rows[columns], "Deal by deal", empty="No open deal is on file.")


def demand_range(
    consensus_demand: pd.DataFrame, item: pd.DataFrame, budget: pd.DataFrame, forecast_range: pd.DataFrame | None = None,
    market: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Unconstrained demand in money by family: agreed on, low, high, budget, and the gap in each case.

    With `forecast_range`, the range of a family and of the total is the one calibrated on its own errors, which are taken as
    moving together over periods. Without it a family takes an item's errors as moving together over markets and periods and as
    independent between items: half-width = sqrt(Σ_items (Σ_markets, periods half-width × price)²); the total likewise. With `market`,
    demand that no budget speaks of is left out, as in `demand_gap`.
    """
    needs(consensus_demand, "consensus_demand")
    needs(budget, "budget")
    shared = consensus_demand[consensus_demand["period"].isin(budget["period"])] if len(budget) else consensus_demand
    if market is not None and len(budget):
        cells = with_item(shared, item, "family").assign(region=shared["market_id"].map(market.set_index("market_id")["region"]).to_numpy())
        shared = shared[finance.has_budget(cells, budget).to_numpy()]
    price = shared["price_amt"]
    risky = shared.assign(
        below=(shared["demand_qty"] - shared["low_qty"]) * price, above=(shared["high_qty"] - shared["demand_qty"]) * price
    )
    by_item = with_item(risky.groupby("item_id", as_index=False)[["revenue_amt", "below", "above"]].sum(), item, "family")
    squared = by_item.assign(below=by_item["below"] ** 2, above=by_item["above"] ** 2)
    families = squared.groupby("family")[["revenue_amt", "below", "above"]].sum()
    plan = budget[budget["period"].isin(shared["period"])].groupby("family")["revenue_amt"].sum()
    rows = families.join(plan.rename("budget_amt"), how="outer")
    total = rows.sum(min_count=1).rename("All families")
    rows = pd.concat([rows.sort_values("revenue_amt", ascending=False), total.to_frame().T]) if len(rows) else rows
    has_own = forecast_range is not None and len(forecast_range) > 0
    if has_own:
        rows = _own_widths(rows, shared, item, forecast_range)
    return _range_view(rows, shared["period"].nunique(), _OWN_RANGE if has_own else _SUMMED_RANGE)


_OWN_RANGE = ("Risk and opportunity: how far demand may fall short of or exceed the plan, by the family's (the total's) own past errors, "
              "times price; as all are not off at once, families do not add up to the total.")
_SUMMED_RANGE = ("Risk and opportunity: half-widths of the range of the forecast, times price; an item's errors move together, items are "
                 "independent: families do not add up to the total.")


def _own_widths(rows: pd.DataFrame, shared: pd.DataFrame, item: pd.DataFrame, forecast_range: pd.DataFrame) -> pd.DataFrame:
    """Squared half-widths of families and the total in the proportions of their own ranges, where they have one."""
    money = with_item(shared, item, "family").rename(columns={"family": "member"})
    own = [finance.own_widths(money, forecast_range, "family"),
           finance.own_widths(money.assign(member="all"), forecast_range, "total").rename(index={"all": "All families"})]
    changed = rows.copy()
    changed.update(pd.concat(own) ** 2)
    return changed


def _range_view(rows: pd.DataFrame, count: int, words: str) -> pd.DataFrame:
    """Squared half-widths by family as bounds, with risk, opportunity and gaps."""
    made = pd.DataFrame(
        {
            "family": rows.index,
            "demand_amt": rows["revenue_amt"].to_numpy(),
            "risk_amt": -(rows["below"] ** 0.5).to_numpy(),
            "opportunity_amt": (rows["above"] ** 0.5).to_numpy(),
            "budget_amt": rows["budget_amt"].to_numpy(),
        }
    )
    made["low_amt"] = (made["demand_amt"] + made["risk_amt"]).clip(lower=0)
    made["high_amt"] = made["demand_amt"] + made["opportunity_amt"]
    for name in ("low", "demand", "high"):
        made[f"gap_at_{name}_amt"] = made[f"{name}_amt"] - made["budget_amt"]
    columns = [
        "family",
        "demand_amt",
        "risk_amt",
        "opportunity_amt",
        "low_amt",
        "high_amt",
        "budget_amt",
        "gap_at_low_amt",
        "gap_at_demand_amt",
        "gap_at_high_amt",
    ]
    view = as_view(
        made[columns],
        _range_title(made.iloc[-1], count) if len(made) else "",
        f"{words} Periods, families and regions that the budget covers; gap = demand − budget.",
        "No demand was agreed on.",
    )
    view.attrs["bold"] = ["All families"]
    return view


def _range_title(whole: pd.Series, count: int) -> str:
    ends = f"{short(whole['low_amt'], MONEY)} to {short(whole['high_amt'], MONEY)}"
    title = f"Unconstrained demand is worth {ends} over {plural(count, 'period')}"
    if pd.isna(whole["budget_amt"]):
        return title
    if whole["gap_at_high_amt"] < 0:
        return f"{title}; even the high end misses the budget"
    return f"{title}; the budget lies inside" if whole["gap_at_low_amt"] < 0 else f"{title}; even the low end meets the budget"


def demand_vs_budget(demand_gap: pd.DataFrame) -> pd.DataFrame:
    """Unconstrained demand in money beside the budget, by period, where a budget is stated."""
    needs(demand_gap, "demand_gap")
    rows = demand_gap.dropna(subset=["budget_amt"]).groupby("period", as_index=False)[["demand_amt", "budget_amt", "gap_amt"]].sum()
    return as_view(
        rows,
        gap_title("Unconstrained demand", rows["gap_amt"].sum(), rows["budget_amt"].sum(), len(rows)),
        "Gap = unconstrained demand at price − budgeted revenue, in the families and regions that have a budget.",
        "No budget covers the periods of this plan.",
    )


def gap_title(who: str, gap: float, whole: float, count: int) -> str:
    """How far a plan lies above or below its budget, in words."""
    side = "above" if gap >= 0 else "below"
    return f"{who} is {short(abs(gap), MONEY)} ({percent(abs(quotient(gap, whole)))}) {side} budget over {plural(count, 'period')}"


def consensus_by_family(consensus_demand: pd.DataFrame, item: pd.DataFrame, periods: int = 6) -> pd.DataFrame:
    """Demand agreed on, by family: units of the first periods, then units and money of the whole horizon."""
    needs(consensus_demand, "consensus_demand")
    known = with_item(consensus_demand, item, "family")
    whole = known.groupby("family")[["demand_qty", "revenue_amt"]].sum()
    near = first_periods(known, periods)
    wide = near.groupby(["family", "period"])["demand_qty"].sum().unstack()
    wide.columns = [f"{label}_qty" for label in period_labels(pd.Series(wide.columns, dtype="datetime64[ns]"))]
    rows = wide.join(whole.rename(columns={"demand_qty": "horizon_qty", "revenue_amt": "horizon_amt"}))
    rows = rows.sort_values("horizon_amt", ascending=False).rename_axis("family").reset_index()
    if len(rows):
        rows = pd.concat([rows, rows.drop(columns="family").sum().to_frame().T.assign(family="All families")], ignore_index=True)
    view = as_view(
        rows,
        f"Agreed on: {short(whole['demand_qty'].sum())} units worth {short(whole['revenue_amt'].sum(), MONEY)}",
        f"Horizon: all {known['period'].nunique()} periods. To change cells, open this notebook in JupyterLab and run its first "
        "cells and this one; or edit them in Excel: sop adjust export.",
        "No demand was agreed on.",
    )
    view.attrs["bold"] = ["All families"]
    return view


def override_log(demand_adjustment: pd.DataFrame) -> pd.DataFrame:
    """People's changes to demand: who, when, why and what."""
    needs(demand_adjustment, "demand_adjustment")
    rows = (
        demand_adjustment.sort_values(["at", "record_id"], ascending=[False, True])
        if "record_id" in demand_adjustment
        else demand_adjustment
    )
    named = rows.assign(
        product=rows["item_id"].where(rows["item_id"] != "", rows["family"]),
        place=rows["market_id"].where(rows["market_id"] != "", rows["region"]),
    )
    named = named.rename(columns={"at": "entry_date", "kind": "change"})
    return as_view(
        named[["entry_date", "by", "product", "place", "period", "change", "value", "why"]],
        f"{plural(len(rows), 'override')} by {plural(rows['by'].nunique(), 'person', 'people')}",
        empty="Nobody changed the consensus in this cycle.",
    )


def locks_and_pins(demand_lock: pd.DataFrame, model_pin: pd.DataFrame) -> pd.DataFrame:
    """Quantities that people hold at a level, and models they chose; the newest of a scope counts."""
    needs(demand_lock, "demand_lock")
    needs(model_pin, "model_pin")
    held = demand_lock.assign(said=["lock released" if pd.isna(q) else f"demand held at {short(q)}" for q in demand_lock["locked_qty"]])
    pinned = model_pin.assign(said=[f"forecast by {model}" if model else "pin released" for model in model_pin["model"]])
    rows = pd.concat([part for part in (held, pinned) if len(part)] or [held], ignore_index=True)
    rows = with_columns(rows, "at", "by", "why", "period").sort_values("at", ascending=False)
    for name, columns in (("product", ["item_id", "family"]), ("place", ["market_id", "region", "channel"])):
        rows[name] = [" ".join(filter(None, row)) or "all" for row in rows.reindex(columns=columns).fillna("").to_numpy()]
    rows = rows.rename(columns={"at": "entry_date", "said": "change"})
    return as_view(rows[["entry_date", "by", "product", "place", "period", "change", "why"]],
                   f"{plural(len(held), 'lock')} and {plural(len(pinned), 'pinned model')}",
                   "The newest of a scope (and period) counts.",
                   "No quantity is locked and no model is pinned (sop adjust lock, sop adjust pin).")


def demand_gap(demand_gap: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """Unconstrained demand less budget by family (by region where the budget names no family) and period."""
    needs(demand_gap, "demand_gap")
    budgeted = demand_gap.dropna(subset=["budget_amt"])
    level = "family" if budgeted["family"].nunique() != 1 else "region"
    rows = budgeted.groupby([level, "period"], as_index=False)[["demand_amt", "budget_amt", "gap_amt"]].sum()
    rows = rows.rename(columns={level: "member"}).assign(gap_ratio=lambda r: r["gap_amt"] / r["budget_amt"].where(r["budget_amt"] > 0))
    rows = rows.assign(order=rows.groupby("member")["gap_amt"].transform("sum")).sort_values(["order", "member", "period"])
    title = ""
    if len(rows):
        totals = rows.groupby("member")["gap_amt"].sum()
        lowest = totals.idxmin()
        title = (f"{lowest} lies furthest below budget: {short(totals[lowest], MONEY)}" if totals[lowest] < 0
                 else f"No {level} lies below budget")
    count = rows["member"].nunique()
    more = f" The {top} largest of {count} gaps." if count > top else ""
    rows = rows[rows["member"].isin(rows.groupby("member")["gap_amt"].sum().abs().nlargest(top).index)]
    return as_view(rows[["member", "period", "demand_amt", "budget_amt", "gap_amt", "gap_ratio"]], title,
                   f"Gap = unconstrained demand − budget, {MONEY}, by {level}; orange: below budget, by share of it.{more}",
                   "No budget covers the periods of this plan.")


def demand_by_region(demand_gap: pd.DataFrame) -> pd.DataFrame:
    """Unconstrained demand with its ends by region over the horizon, in units and money, and the part that a budget is stated for."""
    needs(demand_gap, "demand_gap")
    ends = {f"{end}_{unit}": f"{word}_{unit}" for end, word in (("low", "floor"), ("high", "ceiling")) for unit in ("qty", "amt")}
    budgeted = demand_gap["demand_amt"].where(demand_gap["budget_amt"].notna())
    named = demand_gap.rename(columns=ends).assign(demand_with_budget_amt=budgeted)
    columns = ["demand_qty", "floor_qty", "ceiling_qty", "demand_amt", "floor_amt", "ceiling_amt", "demand_with_budget_amt", "budget_amt",
               "gap_amt", "gap_qty"]
    columns = columns if demand_gap["gap_qty"].notna().any() or demand_gap.empty else columns[:-1]  # a budget in money alone
    rows = named.groupby("region")[columns].sum(min_count=1).sort_values("demand_amt", ascending=False).rename_axis("region")
    rows = rows.reset_index()
    if len(rows) > 1:
        rows = pd.concat([rows, rows[columns].sum(min_count=1).to_frame().T.assign(region="All regions")], ignore_index=True)
    count, known = demand_gap["period"].nunique(), demand_gap.loc[demand_gap["budget_amt"].notna(), "period"].nunique()
    view = as_view(rows[["region", *columns]],
                 f"Unconstrained demand: {short(demand_gap['demand_qty'].sum())} units worth "
                 f"{short(demand_gap['demand_amt'].sum(), MONEY)} over {plural(count, 'period')}",
                 "Floor and ceiling: every item at the low (high) end of its range at once; the likely range stands under risks. Demand "
                 f"with budget: the part in the families, regions and periods ({known:,} of {count:,}) that have a budget; the gap is that "
                 "part − budget.",
                 "No demand was agreed on.")
    view.attrs["bold"] = ["All regions"]
    return view


def risks_opportunities(risk_opportunity: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """What could take demand below or above the plan, both sides of a thing on one line, by expected money."""
    rows = risk_register(risk_opportunity)
    sides = risk_opportunity.groupby("kind")["expected_amt"].sum()
    title = (f"Expected: {short(sides.get('risk', 0.0), MONEY)} of risks, {signed(short(sides.get('opportunity', 0.0), MONEY))} "
             "of opportunities beside the plan")
    weighed = rows[(rows["expected_risk_amt"] != 0) | (rows["expected_opportunity_amt"] != 0)]
    more = f" The {top} widest of {len(weighed)}." if len(weighed) > top else ""
    note = f"Expected money = revenue at stake × chance.{more}"
    return as_view(weighed.drop(columns="evidence").head(top), title, note, rows.attrs["empty"])


def risk_register(risk_opportunity: pd.DataFrame) -> pd.DataFrame:
    """Every risk and opportunity of demand with its money, chance and evidence; those without a chance last."""
    needs(risk_opportunity, "risk_opportunity")
    named = risk_opportunity.assign(what=risk_opportunity["title"].replace(_RISK_WORDS, regex=True))
    keys = ["source", "member", "what"]
    sides = [
        named[named["kind"] == kind].rename(
            columns={"money_amt": f"{kind}_amt", "probability_ratio": f"chance_of_{kind}_ratio", "expected_amt": f"expected_{kind}_amt"})
        for kind in ("risk", "opportunity")
    ]
    told = named.drop_duplicates(keys)[[*keys, "evidence"]]
    kept = [side[[*keys, *(c for c in side if c.startswith(("risk_amt", "opportunity_amt", "chance", "expected")))]] for side in sides]
    rows = kept[0].merge(kept[1], on=keys, how="outer", validate="one_to_one").merge(told, on=keys, validate="one_to_one")
    expected = ["expected_risk_amt", "expected_opportunity_amt"]
    rows[expected] = rows[expected].fillna(0.0)
    rows = rows.assign(width=rows[expected].abs().sum(axis=1)).sort_values(["width", "what"], ascending=[False, True])
    columns = ["what", "risk_amt", "chance_of_risk_ratio", "opportunity_amt", "chance_of_opportunity_ratio", *expected, "evidence"]
    return as_view(rows[columns], f"{plural(len(risk_opportunity), 'risk or opportunity', 'risks and opportunities')} on file",
                   "A chance of – : nobody stated one, so nothing is expected of it.",
                   "Nothing is known that could take demand below or above the plan.")


def demand_issues(demand_issue: pd.DataFrame) -> pd.DataFrame:
    """What the demand review had to leave out, and what to do about it."""
    needs(demand_issue, "demand_issue")
    rows = issue_list(demand_issue)
    return as_view(rows, f"{plural(len(rows), 'input was', 'inputs were')} left out or deserve a look" if len(rows) != 1 else
                   "1 input was left out or deserves a look",
                   "Nothing of this stopped the rest.", "Every input of the demand review could be used.")
