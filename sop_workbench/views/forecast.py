"""Views of the demand review: history with corrections, forecast with its range, what it is made of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import finance, tables
from sop_workbench.errors import DataError
from sop_workbench.views.frames import as_view, item_names, needs, quotient, with_item, with_largest
from sop_workbench.views.words import NO_FAMILY, OTHER, heading, percent, plural, short, signed

LARGEST_FAMILY = "(largest family)"
_MODEL_WORDS = {"auto ets": "AutoETS", "ces": "CES", "theta": "Theta", "prophet": "Prophet"}
_COMPONENTS = {
    "trend_qty": "Trend",
    "season_qty": "Season",
    "promotion_qty": "Promotions and prices",
    "event_qty": "Other events",
    "remainder_qty": "Not explained",
}


def history_and_forecast(sales_history: pd.DataFrame, forecast: pd.DataFrame, item: pd.DataFrame, level: str, periods: int) -> pd.DataFrame:
    """History and forecast with range by member of a level.

    The range of a group takes an item's errors as moving together over its markets and as
    independent between items: half-width = sqrt(Σ_items (Σ_markets half-width)²).
    """
    quantity = _quantity(forecast)
    history = _at_level(sales_history, item, level).groupby(["member", "period"], as_index=False)["ordered_qty"].sum()
    history = history.rename(columns={"ordered_qty": "demand_qty"}).assign(kind="history")
    history = history[history["period"].isin(np.sort(history["period"].unique())[-periods:])]
    ranged = forecast.assign(
        demand_qty=forecast[quantity], below=forecast[quantity] - forecast["low_qty"], above=forecast["high_qty"] - forecast[quantity]
    )
    by_item = ranged.groupby(["item_id", "period"], as_index=False)[["demand_qty", "below", "above"]].sum()
    by_item[["below", "above"]] = by_item[["below", "above"]] ** 2
    ahead = _at_level(by_item, item, level).groupby(["member", "period"], as_index=False)[["demand_qty", "below", "above"]].sum()
    ahead = ahead.assign(
        kind="forecast",
        low_qty=(ahead["demand_qty"] - ahead["below"] ** 0.5).clip(lower=0),
        high_qty=ahead["demand_qty"] + ahead["above"] ** 0.5,
    )
    fan = pd.concat([history, ahead[["member", "period", "demand_qty", "kind", "low_qty", "high_qty"]]]) if len(history) else ahead
    return fan.reindex(columns=["member", "period", "kind", "demand_qty", "low_qty", "high_qty"]).sort_values(["member", "period"])


def _quantity(forecast: pd.DataFrame) -> str:
    """Name of the quantity of a statistical, launch or consensus forecast."""
    if "forecast_qty" in forecast.columns:
        return "forecast_qty"
    needs(forecast, "consensus_demand")
    return "demand_qty"


def _at_level(frame: pd.DataFrame, item: pd.DataFrame, level: str) -> pd.DataFrame:
    if level == "total":
        return frame.assign(member="Total")
    if level == "item_id":
        return frame.assign(member=frame["item_id"])
    joined = with_item(frame, item, level)
    return joined.assign(member=joined[level].fillna(NO_FAMILY))


def forecast_fan(
    sales_history: pd.DataFrame,
    forecast: pd.DataFrame,
    item: pd.DataFrame,
    level: str = "total",
    periods: int = 36,
    top: int = 9,
    forecast_range: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """History and forecast with its range, in total or by family.

    Parameters
    ----------
    sales_history, item : DataFrame
        Input tables.
    forecast : DataFrame
        `statistical_forecast` or `consensus_demand`.
    level : str
        `total` or a column of `item`.
    periods : int
        Past periods shown.
    top : int
        Members shown; the smaller ones are added up as `Others`.
    forecast_range : DataFrame, optional
        `forecast_range`: the band of a total or family is then the one calibrated on its own errors.
    """
    quantity = _quantity(forecast)
    if level not in ("total", "item_id") and len(forecast):
        weights = with_item(forecast, item, level)
        item = item.merge(
            with_largest(weights, level, quantity, top)[["item_id", level]].drop_duplicates("item_id"),
            on="item_id",
            how="left",
            suffixes=("_own", ""),
            validate="one_to_one",
        )
        item[level] = item[level].fillna(item[f"{level}_own"]) if not len(weights) else item[level].fillna(OTHER)
    fan = history_and_forecast(sales_history, forecast, item, level, periods)
    band = "Band: range of the forecast at the interval of the settings; items are taken as independent of each other."
    if forecast_range is not None and len(forecast_range):
        fan = _with_own_range(fan, forecast_range, level)
        band = f"Band: range that holds {percent(forecast_range['coverage_ratio'].min(), 0)}, from the sum's own back-test errors."
    return as_view(
        fan,
        _fan_title(fan),
        f"Line: history, then forecast. {band}",
        "No forecast was made: there is no sales history.",
    )


def _with_own_range(fan: pd.DataFrame, forecast_range: pd.DataFrame, level: str) -> pd.DataFrame:
    """Bounds in the proportions of the range of the member itself, where it has one."""
    ratio = finance.range_ratios(forecast_range, level)
    ratio["member"] = ratio["member"].replace({"all": "Total"}) if level == "total" else ratio["member"]
    ranged = fan.merge(ratio, on=["member", "period"], how="left", validate="many_to_one")
    for bound, share in (("low_qty", "low_ratio"), ("high_qty", "high_ratio")):
        own = ranged["demand_qty"] * ranged[share]
        ranged[bound] = ranged[bound].where(own.isna() | (ranged["kind"] == "history"), own)
    return ranged[fan.columns]


_ROUTE_WORDS = {
    "regular": "long and regular", "short": "too short for a season", "intermittent": "many periods without demand",
    "ended": "no demand for long, or ended",
}


def forecast_routes(statistical_forecast: pd.DataFrame) -> pd.DataFrame:
    """Which way the series of item and market are forecast, how many each way, and what their mix is made of."""
    needs(statistical_forecast, "statistical_forecast")
    empty = "No forecast was made: there is no sales history."
    if statistical_forecast.empty:
        return as_view(pd.DataFrame(columns=["route", "series"]), "", empty=empty)
    series = statistical_forecast.groupby(["item_id", "market_id", "model"], as_index=False)["forecast_qty"].sum()
    series["route"] = series["model"].str.partition(":")[0]
    shares = series["model"].str.extractall(r"(?P<share>\d+)% (?P<part>[^,;()]+)").reset_index()
    shares["part"] = shares["part"].str.strip()
    mixed = shares.merge(series[["route"]], left_on="level_0", right_index=True, validate="many_to_one")
    mixed["share"] = mixed["share"].astype(float) / mixed["route"].map(series["route"].value_counts())
    parts = mixed[~mixed["part"].str.startswith("by its share")].groupby(["route", "part"])["share"].sum()
    rows = series.groupby("route", as_index=False).agg(series=("item_id", "size"), forecast_qty=("forecast_qty", "sum"))
    rows = rows.sort_values("forecast_qty", ascending=False)
    rows["share_of_forecast_ratio"] = rows["forecast_qty"] / max(rows["forecast_qty"].sum(), 1e-9)
    rows["mean_mix"] = [_mix_words(parts[parts.index.get_level_values("route") == route]) for route in rows["route"]]
    rows["history"] = rows["route"].map(_ROUTE_WORDS).fillna("")
    return as_view(
        rows[["route", "history", "series", "forecast_qty", "share_of_forecast_ratio", "mean_mix"]],
        f"{plural(len(series), 'series', 'series')} of item and market, {plural(len(rows), 'way')} of forecasting",
        "Mix: mean weights, by back-test error; each item and market has its own (column model of the table statistical_forecast). "
        "Beside its own forecast stands its share of what its item is forecast to sell in all markets, which counts three quarters. "
        "structure + …: season and events are fitted first, the model named forecasts the rest.",
        empty,
    )


def _mix_words(parts: pd.Series) -> str:
    told = parts.sort_values(ascending=False)
    return ", ".join(f"{share:.0f} % {part}" for (_, part), share in told.items() if share >= 1) or "–"


def range_coverage(forecast_coverage: pd.DataFrame) -> pd.DataFrame:
    """How much of the back-test the ranges held, a line for each level: a range that says 80 % should hold about 80 %."""
    needs(forecast_coverage, "forecast_coverage")
    known = forecast_coverage.sort_values("nominal_ratio")
    names = {nominal: f"{percent(nominal, 0).replace(' %', '')}_%_range_held_ratio" for nominal in known["nominal_ratio"].unique()}
    wide = known.pivot(index="level", columns="nominal_ratio", values="covered_ratio").rename(columns=names)
    rows = wide.assign(error_count=known.groupby("level")["error_count"].max()).sort_values("error_count", ascending=False).reset_index()
    rows.columns.name = None
    title = ""
    if len(rows):
        held = ", ".join(f"the {percent(nominal, 0)} range held {percent(rows[name].iloc[0])}" for nominal, name in names.items())
        title = f"Item by market, {held}" if rows["level"].iloc[0] == "item_id × market_id" else f"{heading(rows['level'].iloc[0])}: {held}"
    return as_view(
        rows.assign(level=[" × ".join(heading(part) for part in level.split(" × ")) for level in rows["level"]]),
        title,
        "Held = share of held-out quantities inside the range; each back-test origin is judged by a range made without its errors.",
        "No back-test with two origins was possible: history is too short.",
    )


def _fan_title(fan: pd.DataFrame) -> str:
    totals = fan.groupby(["kind", "period"])["demand_qty"].sum()
    if "forecast" not in totals.index.get_level_values(0) or "history" not in totals.index.get_level_values(0):
        return "Demand, history and forecast"
    ahead, past = totals["forecast"], totals["history"]
    count = min(len(ahead), len(past), 12)
    change = quotient(ahead.head(count).sum() - past.tail(count).sum(), past.tail(count).sum())
    return f"Next {count} periods: {short(ahead.head(count).sum())} units, {signed(percent(change))} on the last {count}"


def corrections_by_item(history_correction: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Proposed corrections added up over markets: a stock-out empties all of an item's markets at once.

    Parameters
    ----------
    history_correction : DataFrame
        With people's decisions as its status.
    item : DataFrame
        Input table.
    """
    needs(history_correction, "history_correction")
    change = history_correction["suggested_qty"] - history_correction["raw_qty"]
    # A word nobody said was said of none.
    said = history_correction["status"].str.get_dummies().reindex(columns=["accepted", "rejected"], fill_value=0)
    largest_first = history_correction.assign(change_qty=change, **said).loc[change.abs().sort_values(ascending=False, kind="stable").index]
    rows = largest_first.groupby(["item_id", "period", "kind"], as_index=False)
    rows = rows.agg(
        market_count=("market_id", "nunique"), raw_qty=("raw_qty", "sum"), suggested_qty=("suggested_qty", "sum"),
        change_qty=("change_qty", "sum"), accepted=("accepted", "sum"), rejected=("rejected", "sum"), evidence=("evidence", "first"),
    )  # fmt: skip
    rows["status"] = [_decided(*counts) for counts in zip(rows["accepted"], rows["rejected"], rows["market_count"], strict=True)]
    rows = rows.assign(item_name=rows["item_id"].map(item_names(item)), size=rows["change_qty"].abs())
    rows = rows.sort_values(["size", "item_id", "period"], ascending=[False, True, True])
    open_count = int((history_correction["status"] == "proposed").sum())
    title = f"{plural(open_count, 'correction waits', 'corrections wait')} for a decision" if open_count else "Every correction is decided"
    return as_view(
        rows[["item_name", "item_id", "period", "kind", "market_count", "raw_qty", "suggested_qty", "change_qty", "status", "evidence"]],
        title,
        "Added up over the markets concerned, largest change first. Raw: as booked. Suggested: what trend and season of the other "
        "periods say. Evidence: of the market where it changes most.",
        "No correction is proposed.",
    )


def _decided(yes: int, no: int, count: int) -> str:
    """What was decided of the corrections of some markets, in words."""
    whole = {(0, 0): "proposed", (count, 0): "accepted", (0, count): "rejected"}
    return whole.get((yes, no), f"{yes} accepted, {no} rejected, {count - yes - no} open")


def demand_story(
    sales_history: pd.DataFrame,
    history_correction: pd.DataFrame,
    consensus_demand: pd.DataFrame,
    event: pd.DataFrame,
    item: pd.DataFrame,
    level: str = "total",
    periods: int = 36,
    forecast_range: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """History as booked, what corrections make of it, the events, and the demand agreed on with its range.

    Parameters
    ----------
    sales_history, history_correction, consensus_demand, event, item : DataFrame
        Tables.
    level : str
        `total` or `family`.
    periods : int
        Past periods shown.
    forecast_range : DataFrame, optional
        As for `forecast_fan`.

    Returns
    -------
    DataFrame
        As `forecast_fan`, and per past period corrected_qty and correction (accepted or proposed), per period the kinds of events that
        touch the member (events).
    """
    needs(history_correction, "history_correction")
    fan = forecast_fan(sales_history, consensus_demand, item, level, periods, 8, forecast_range)  # 8 and the others: rows of three
    if fan.empty:
        return fan
    member = _members(item, level, fan)
    standing = history_correction[history_correction["status"] != "rejected"]
    standing = standing.assign(member=standing["item_id"].map(member), change_qty=standing["suggested_qty"] - standing["raw_qty"])
    moved = standing.groupby(["member", "period"], as_index=False).agg(
        change_qty=("change_qty", "sum"), open_count=("status", lambda status: (status == "proposed").sum())
    )
    shown = fan.merge(moved, on=["member", "period"], how="left", validate="one_to_one")
    is_corrected = (shown["kind"] == "history") & shown["change_qty"].notna()
    shown["corrected_qty"] = (shown["demand_qty"] + shown["change_qty"]).where(is_corrected)
    shown["correction"] = np.where(is_corrected, np.where(shown["open_count"] > 0, "proposed", "accepted"), "")
    shown["events"] = _event_kinds(shown, event, member)
    return as_view(
        shown[["member", "period", "kind", "demand_qty", "low_qty", "high_qty", "corrected_qty", "correction", "events"]],
        fan.attrs["title"],
        "Line: ordered as booked, then agreed on; band: its range. Circles: history with its corrections. Triangles: periods with an event "
        "(promotion, price, holiday, launch, outage) that touches the member.",
        fan.attrs["empty"],
    )


def _members(item: pd.DataFrame, level: str, fan: pd.DataFrame) -> pd.Series:
    """Member of the fan that each item is counted in."""
    if level == "total":
        return pd.Series("Total", index=item["item_id"])
    named = item.set_index("item_id")[level].fillna(NO_FAMILY)
    return named.where(named.isin(fan["member"]), OTHER)


def _event_kinds(shown: pd.DataFrame, event: pd.DataFrame, member: pd.Series) -> pd.Series:
    """Kinds of the events that count, per member and period."""
    families = {name: set(member[member == name].index) for name in shown["member"].unique()}
    kinds = pd.Series("", index=shown.index)
    for row in event[event["status"].isin(("planned", "approved", "done"))].to_dict("records"):
        touched = [name for name, items in families.items() if _touches(row, name, items)]
        at = shown["member"].isin(touched) & shown["period"].between(row["from_period"], row["to_period"])
        named = kinds.str.split(", ").map(lambda said, kind=row["kind"]: kind in said)
        kinds = kinds.where(~at | named, (kinds + ", " + row["kind"]).str.removeprefix(", "))
    return kinds


def _touches(row: dict, member: str, items: set[str]) -> bool:
    if isinstance(row["item_id"], str) and row["item_id"]:
        return row["item_id"] in items
    return member in ("Total", row["family"]) or not (isinstance(row["family"], str) and row["family"])


def event_list(event: pd.DataFrame, item: pd.DataFrame, as_of: pd.Timestamp, months_back: int = 18) -> pd.DataFrame:
    """Promotions, price changes and other events around the cycle, newest first: where, when and how much they say they move."""
    needs(event, "event")
    near = event[event["to_period"] >= as_of - pd.DateOffset(months=months_back)]
    what = near["item_id"].map(item_names(item)).fillna(near["item_id"]).fillna("")
    what = what.where(what != "", near["family"]).fillna("").replace("", "everything")
    where = near["market_id"].fillna("").where(near["market_id"].fillna("") != "", near["region"]).fillna("").replace("", "everywhere")
    is_stated = (near["uplift_ratio"] != 0) | (near["pull_forward_ratio"] != 0)
    stated = {name: near[name].where(is_stated) for name in ("uplift_ratio", "pull_forward_ratio")}
    rows = near.assign(what=what, where=where, **stated).sort_values(["from_period", "event_id"], ascending=[False, True])
    ahead = int((rows["to_period"] > as_of).sum())
    return as_view(
        rows[["event_id", "kind", "what", "where", "from_period", "to_period", "uplift_ratio", "pull_forward_ratio", "cost_amt", "status"]],
        f"{plural(ahead, 'event')} ahead or under way, {len(rows) - ahead:,} over in the last {months_back} months",
        "Uplift: extra demand as a share of base demand, as stated. Pull-forward: share of each of the next two periods moved into the "
        "event; –: none stated, what it moves is learnt from the past. Ideas and cancelled events move nothing.",
        "No event is on file.",
    )


def decomposition(forecast_component: pd.DataFrame, item: pd.DataFrame, member: str = "", periods: int = 36) -> pd.DataFrame:
    """What demand and its forecast are made of, for the whole company, a family or an item.

    Parameters
    ----------
    forecast_component, item : DataFrame
        Tables.
    member : str
        A family, an item number, or `LARGEST_FAMILY`; empty: everything.
    periods : int
        Past periods shown.

    Raises
    ------
    DataError
        When the member is neither a family nor an item of the forecast.
    """
    needs(forecast_component, "forecast_component")
    known = with_item(forecast_component, item, "family")
    if member == LARGEST_FAMILY:
        member = known.groupby("family")["demand_qty"].sum().idxmax() if len(known) else ""
    rows = known if not member else known[(known["family"] == member) | (known["item_id"] == member)]
    if member and rows.empty and len(known):
        remedy = f"name a family ({', '.join(sorted(known['family'].unique())[:6])} …) or an item that is forecast"
        raise DataError(tables.issue_frame([tables.finding("unknown_member", "blocks", "forecast_component", "", 1, member, remedy)]))
    sums = rows.groupby(["period", "is_forecast"], as_index=False)[["demand_qty", *_COMPONENTS]].sum()
    past = np.sort(sums.loc[~sums["is_forecast"], "period"].unique())[-periods:]
    sums = sums[sums["is_forecast"] | sums["period"].isin(past)]
    parts = sums.melt(["period", "is_forecast", "demand_qty"], list(_COMPONENTS), "component", "part_qty")
    parts = parts.assign(component=parts["component"].map(_COMPONENTS))
    name = item_names(item).get(member, member) or "All items"
    return as_view(
        parts,
        f"{name}: {_widest_part(sums)}" if len(sums) else "",
        "Demand = trend + season + promotions + other events + remainder (trend · (1 + season + events) is fitted to each item and market; "
        "parts add up). Ahead: the statistical forecast, before streams and adjustments, its trend a straight line.",
        "No series was long enough to take apart.",
    )


def _widest_part(sums: pd.DataFrame) -> str:
    """How far the season moves demand, in words."""
    trend = sums["trend_qty"].where(sums["trend_qty"] > 0)
    share = sums["season_qty"] / trend
    low, high = percent(share.min(), 0), percent(share.max(), 0)
    promoted = quotient(sums.loc[~sums["is_forecast"], "promotion_qty"].abs().sum(), sums.loc[~sums["is_forecast"], "trend_qty"].sum())
    return f"the season moves demand by {signed(low)} to {signed(high)}; promotions by {percent(promoted, 1)} of trend in the past"


def error_leaderboard(forecast_error: pd.DataFrame, level: str | None = None) -> pd.DataFrame:
    """Back-test error of every model, best first, at the level where most models were measured (or the one named)."""
    needs(forecast_error, "forecast_error")
    whole = forecast_error[forecast_error["member"] == "all"]
    counts = whole["level"].value_counts()
    finest_first = ["item_id × market_id", "item_id", "family", "total"]
    chosen = level or max((name for name in finest_first if name in counts), key=lambda name: counts[name], default="")
    board = whole[whole["level"] == chosen].sort_values(["wape_ratio", "model"])
    board = board.assign(model=board["model"].replace(_MODEL_WORDS))
    best = board.head(1).itertuples()
    title = "".join(f"{r.model[:1].upper()}{r.model[1:]} has the smallest back-test error: WAPE {percent(r.wape_ratio)}" for r in best)
    used = whole[(whole["model"].isin(("ensemble", "naive", "seasonal naive"))) & (whole["level"] == finest_first[0])]
    told = ", ".join(f"{r.model} {percent(r.wape_ratio)}" for r in used.sort_values("wape_ratio").itertuples())
    return as_view(
        board[["model", "level", "wape_ratio", "bias_ratio", "actual_qty"]],
        title,
        f"WAPE = Σ|actual − forecast| / Σ actual; bias = Σ(forecast − actual) / Σ actual, + is over-forecast; "
        f"level {chosen.replace('_id', '')}, held-out periods."
        + (f" By item and market, where plans are made: {told}." if told and chosen != finest_first[0] else ""),
        "No back-test was possible: history is too short.",
    )
