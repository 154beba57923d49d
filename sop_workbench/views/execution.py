"""Views of execution and monitoring: plan against actual, waterfall, causes and alerts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench.views.frames import as_view, needs, quotient, with_columns, with_largest
from sop_workbench.views.words import MONEY, NO_FAMILY, heading, percent, period_labels, plural, short, signed

ACTUAL = "actual"
LAGS_SHOWN = 18  # periods of a waterfall that leave room for a second, small number in each cell: its lag
_GRID_LINES = {
    "sales_plan_qty": "Sales plan",
    "sales_actual_qty": "Sales actual",
    "sales_difference_qty": "Sales difference",
    "sales_cumulative_qty": "Sales difference, cumulative",
    "production_plan_qty": "Production plan",
    "production_actual_qty": "Production actual",
    "production_difference_qty": "Production difference",
    "production_cumulative_qty": "Production difference, cumulative",
    "inventory_plan_qty": "Stock plan",
    "inventory_actual_qty": "Stock actual",
    "inventory_difference_qty": "Stock difference",
}


def plan_vs_actual(
    plan_deviation: pd.DataFrame, stream: str = "consensus", lag: int | None = None, newest: bool = False, top: int = 10
) -> pd.DataFrame:
    """Plan and actual of a stream by family, at the shortest lag archived (or the one named), over all periods or in the newest one.

    Of many families the `top` largest are shown and the others together.
    """
    needs(plan_deviation, "plan_deviation")
    mine = plan_deviation[plan_deviation["stream"] == stream]
    mine = mine[mine["period"] == mine["period"].max()] if newest else mine
    chosen = int(mine["lag"].min()) if lag is None and len(mine) else lag
    mine = mine[mine["lag"] == chosen]
    mine = mine.assign(family=mine["family"].fillna(NO_FAMILY))
    if mine["family"].nunique() > top + 1:
        mine = with_largest(mine, "family", "plan_qty", top)
    rows = mine.groupby("family", as_index=False)[["plan_qty", "actual_qty"]].sum()
    rows["deviation_qty"] = rows["actual_qty"] - rows["plan_qty"]
    rows["deviation_ratio"] = rows["deviation_qty"] / rows["plan_qty"].where(rows["plan_qty"] != 0)
    whole = percent(quotient(rows["deviation_qty"].sum(), rows["plan_qty"].sum()))
    return as_view(
        rows,
        f"Actual against plan: {signed(whole)} over all families",
        f"Deviation = (actual − plan) / plan, units; stream {stream}, planned {chosen} periods ahead.",
        "No locked plan has an actual yet; the comparison shows from the second cycle on.",
    )


def error_by_lag(plan_error_by_lag: pd.DataFrame, level: str = "item_id × market_id") -> pd.DataFrame:
    """Forecast error of every stream by how far ahead it was planned, at a level (down to item × market, up to the total)."""
    needs(plan_error_by_lag, "plan_error_by_lag")
    rows = plan_error_by_lag[plan_error_by_lag["level"] == level].dropna(subset=["wape_ratio"]).sort_values(["stream", "lag"])
    nearest = rows[(rows["lag"] == rows["lag"].min()) & (rows["stream"] != "production")].sort_values("wape_ratio")  # of what is sold
    title = "".join(
        f"{r.stream.capitalize()} was closest {plural(r.lag, 'period')} ahead: WAPE {percent(r.wape_ratio)}"
        for r in nearest.head(1).itertuples()
    )
    return as_view(
        rows,
        title,
        "WAPE = Σ|actual − plan| / Σ actual; bias = Σ(plan − actual) / Σ actual, + is over-forecast.",
        "No locked plan has an actual yet; errors show from the second cycle on.",
    )


def waterfall(plan_waterfall: pd.DataFrame, stream: str = "consensus", periods: int = 18) -> pd.DataFrame:
    """Successive plans of the same periods: a row per lock, a column per period, what happened below."""
    needs(plan_waterfall, "plan_waterfall")
    mine = plan_waterfall[plan_waterfall["stream"] == stream]
    happened = mine[mine["plan_cycle_id"] == ACTUAL]
    shown = mine[mine["period"].isin(np.sort(mine.loc[mine["plan_cycle_id"] != ACTUAL, "period"].unique())[:periods])]
    actual = happened.set_index("period")["plan_qty"]
    rows = shown.assign(deviation_ratio=shown["plan_qty"] / shown["period"].map(actual).where(lambda a: a != 0) - 1)
    rows = rows.assign(is_actual=rows["plan_cycle_id"] == ACTUAL).sort_values(["is_actual", "plan_cycle_id", "period"])
    locks = rows.loc[~rows["is_actual"], "plan_cycle_id"].nunique()
    place = rows["period"].rank(method="dense")
    # A lock plans from its own cycle on: its first period is lag 0.
    rows["lag"] = (place - place.groupby(rows["plan_cycle_id"]).transform("min")).where(~rows["is_actual"])
    numbered = " The small number is the lag: periods planned ahead, the same along a diagonal."
    return as_view(
        rows[["plan_cycle_id", "period", "lag", "plan_qty", "deviation_ratio", "is_actual"]],
        f"{plural(locks, 'locked plan')} of the same periods{_waterfall_words(rows)}",
        f"Units, stream {stream}. Each row is a locked plan; the colour is plan / actual − 1 where the actual is known "
        f"(orange: planned too much).{numbered if rows['period'].nunique() <= LAGS_SHOWN else ''}",
        "No locked plan is archived yet.",
    )


def _waterfall_words(rows: pd.DataFrame) -> str:
    """How far the first and the last plans of the periods that are over lay from what happened, over the same periods."""
    over = rows[rows["deviation_ratio"].notna() & ~rows["is_actual"]]
    actual = rows.loc[rows["is_actual"] & rows["period"].isin(over["period"]), "plan_qty"].sum()
    if over.empty or not actual:
        return ""
    by_period = over.sort_values("plan_cycle_id").groupby("period")["plan_qty"]
    first, last = (signed(percent(plans.sum() / actual - 1)) for plans in (by_period.first(), by_period.last()))
    return f": {last} off at the last lock" if first == last else f": {first} off at the first lock, {last} at the last"


def family_grid(family_grid_table: pd.DataFrame, family: str | None = None, periods: int = 12) -> pd.DataFrame:
    """The family grid: sales, production and stock, planned and actual; the largest family when none is named.

    Parameters
    ----------
    family_grid_table : DataFrame
        The `family_grid` table.
    family : str, optional
        Family to show.
    periods : int
        Columns shown.
    """
    needs(family_grid_table, "family_grid")
    if family_grid_table.empty:
        return as_view(family_grid_table, "", empty="No locked plan is archived yet; the grid shows from the second cycle on.")
    chosen = family or str(family_grid_table.groupby("family")["sales_plan_qty"].sum().idxmax())
    mine = family_grid_table[family_grid_table["family"] == chosen].sort_values("period")
    past = mine[mine["sales_actual_qty"].notna()].tail(periods // 2)
    shown = pd.concat([past, mine[mine["sales_actual_qty"].isna()].head(periods - len(past))]) if len(past) else mine.head(periods)
    wide = shown.set_index(period_labels(shown["period"]))[list(_GRID_LINES)].T
    wide.insert(0, "line", list(_GRID_LINES.values()))
    view = as_view(
        wide,
        f"Family grid: {chosen}",
        "Units. Difference = actual − plan; stock difference = cumulative production − cumulative sales difference "
        "+ what neither explains.",
        f"Family {chosen} has no row.",
    )
    view.attrs["bold"] = ["Sales plan", "Production plan", "Stock plan"]
    return view


def root_causes(root_cause: pd.DataFrame, item: pd.DataFrame | None = None, top: int = 8) -> pd.DataFrame:
    """Where the deviation in money comes from: families first, then items by name, each largest first.

    Parameters
    ----------
    root_cause : DataFrame
        The table of this name.
    item : DataFrame, optional
        For the items' names.
    top : int
        Rows shown of each level.
    """
    needs(root_cause, "root_cause")
    is_total = root_cause["level"] == "total"
    names = {} if item is None else item.set_index("item_id")["item_name"].to_dict()
    rows = root_cause[~is_total].assign(member=[names.get(m, m) for m in root_cause.loc[~is_total, "member"]],
                                        is_rest=root_cause["member"] == "other items", size=root_cause["deviation_amt"].abs())
    rows = rows.sort_values(["level", "is_rest", "size"], ascending=[True, True, False], kind="stable").groupby("level").head(top)
    whole = signed(short(root_cause.loc[is_total, "deviation_amt"].sum(), MONEY)) if is_total.any() else ""
    title = f"{rows['member'].iloc[0]} moved the result most: {signed(short(rows['deviation_amt'].iloc[0], MONEY))}" if len(rows) else ""
    title += f" of {whole}" if title and whole else ""
    return as_view(rows, title, "Money of the deviation; in brackets its share of the whole.", "No deviation to explain yet.")


def driver_causes(
    driver_tree: pd.DataFrame, measure: str = "margin", tree: str = "why", period: pd.Timestamp | None = None, top: int = 10
) -> pd.DataFrame:
    """What drove the deviation of a measure from the approved plan, largest first, remainders without a cause last.

    Parameters
    ----------
    driver_tree : DataFrame
        The `driver_tree` table.
    measure : str
        revenue, margin, service, inventory or production.
    tree : str
        `why` (causes) or `what moved` (price, volume, mix, cost).
    period : Timestamp, optional
        Period shown; the newest one when left out.
    top : int
        Bars shown.
    """
    mine, shown = _of_tree(driver_tree, measure, tree, period)
    total = mine.loc[mine["level"] == "total", "deviation_amt"].sum()
    rows = mine[mine["level"] == "cause"].head(top)
    title = ""
    if len(rows):
        label, first = period_labels(pd.Series([shown])).iloc[0], rows.iloc[0]
        title = f"{heading(measure)} in {label} {signed(short(total, MONEY))} against plan; first: " + (
            first["driver"] if first["cause"] in ("", first["driver"]) else f"{first['driver']}, {first['cause']}")
    view = rows[["sequence", "driver", "cause", "deviation_amt", "share_ratio", "evidence"]].reset_index(drop=True)
    return as_view(view, title, "Bars sum to the deviation when all are shown; in brackets the share of all money moved.",
                   f"No {measure} of a locked plan can be compared yet.")


def driver_overview(driver_tree: pd.DataFrame, period: pd.Timestamp | None = None, top: int = 4) -> pd.DataFrame:
    """The largest causes of every measure's deviation in one period, with what each rests on."""
    parts = []
    for measure in driver_tree["measure"].unique():
        mine, _ = _of_tree(driver_tree, str(measure), "why", period)
        parts += [mine[mine["level"] == "total"], mine[mine["level"] == "cause"].head(top)]
    rows = pd.concat(parts, ignore_index=True) if parts else driver_tree
    labels = period_labels(pd.Series(rows["period"].unique()))
    title = f"Why {', '.join(labels)} differed from the approved plan" if len(rows) else ""
    shown = rows[["measure", "driver", "cause", "deviation_amt", "share_ratio", "evidence"]]
    return as_view(shown, title, "The row named all is the deviation of the measure; its causes follow, largest first.",
                   "No locked plan has a period that is over yet.")


def driver_members(driver_tree: pd.DataFrame, measure: str = "margin", period: pd.Timestamp | None = None, top: int = 12) -> pd.DataFrame:
    """The few items and places that hold most of a measure's deviation, with the driver behind each."""
    mine, _ = _of_tree(driver_tree, measure, "why", period)
    items = mine[mine["level"] == "item × place"]
    named = items[items["member"] != "other items"]
    share = named["share_ratio"].sum()
    words = f"{plural(len(named), 'item and place', 'items and places')} hold {percent(share, 0)} of what moved {measure}"
    shown = named.head(top)[["member", "driver", "cause", "deviation_amt", "share_ratio", "evidence"]]
    title, shown = words if len(named) else "", shown.rename(columns={"member": "item_and_place"})
    note = f"Largest first; {len(shown)} of {len(named):,} shown." if len(named) > len(shown) else "Largest first."
    return as_view(shown, title, note, f"No {measure} of a locked plan can be compared yet.")


def driver_people(driver_tree: pd.DataFrame, measure: str = "revenue", period: pd.Timestamp | None = None) -> pd.DataFrame:
    """What the known bias of each person's inputs did to a measure, largest money first."""
    mine, _ = _of_tree(driver_tree, measure, "why", period)
    people = mine[(mine["level"] == "author") & (mine["member"] != "all")]
    high = people.loc[people["deviation_amt"] < 0, "member"].drop_duplicates()
    title = f"What {' and '.join(high[:2])} said was too high" if len(high) else "Nobody's inputs were too high"
    shown = people.rename(columns={"member": "person", "cause": "said_in"})[["person", "said_in", "deviation_amt", "evidence"]]
    return as_view(shown, title if len(people) else "", "Publish bias by source: sandbagging and over-optimism show here.",
                   f"No {measure} of a locked plan has a bias that a person stands behind.")


def _of_tree(driver_tree: pd.DataFrame, measure: str, tree: str, period: pd.Timestamp | None) -> tuple[pd.DataFrame, pd.Timestamp]:
    """One tree of one period in order of rank, and the period: the newest of the measure when none is named."""
    needs(driver_tree, "driver_tree")
    mine = driver_tree[(driver_tree["measure"] == measure) & (driver_tree["tree"] == tree)]
    shown = mine["period"].max() if period is None else pd.Timestamp(period)
    return mine[mine["period"] == shown].sort_values(["level", "sequence"], ignore_index=True), shown


def alerts(alert: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, resource: pd.DataFrame) -> pd.DataFrame:
    """What stands outside tolerance, in words, each thing by the name people use."""
    needs(alert, "alert")
    names = {
        key: name
        for frame, kind in ((item, "item"), (market, "market"), (resource, "resource"))
        for key, name in zip(frame[f"{kind}_id"], frame[f"{kind}_name"], strict=True)
        if name
    }
    called = alert["member"].map(lambda member: names.get(member, member))
    said = [sentence.replace(member, name, 1) for sentence, member, name in zip(alert["sentence"], alert["member"], called, strict=True)]
    return as_view(
        alert.assign(level=alert["level"].map(heading), member=called, sentence=said)[["alert", "level", "member", "period", "sentence"]],
        plural(len(alert), "alert"),
        empty="Nothing stands outside tolerance.",
    )


def assumption_list(assumption: pd.DataFrame) -> pd.DataFrame:
    """What the plans take for granted, with the range stated, what came, and whether it held; what failed comes first.

    Parameters
    ----------
    assumption : DataFrame
        As `follow_up` hands it over: records with `actual_value` and `verdict`.
    """
    needs(assumption, "assumption")
    assumption = with_columns(assumption, "cycle_id", "actual_value", "verdict")
    verdicts = assumption["verdict"].fillna("open")
    rank = verdicts.map({"missed": 0, "open": 1, "unjudged": 2, "held": 3})
    rows = assumption.assign(verdict=verdicts, rank=rank, owner=assumption["owner"].fillna(assumption["by"]))
    rows = rows.sort_values(["rank", "at", "record_id"], ascending=[True, False, True])
    rows = rows.rename(columns={"cycle_id": "cycle", "low_value": "low", "high_value": "high", "actual_value": "actual"})
    failed = int((verdicts == "missed").sum())
    title = f"{plural(len(rows), 'assumption')}, {failed} did not hold" if failed else plural(len(rows), "assumption")
    return as_view(rows[["cycle", "assumption", "owner", "low", "high", "actual", "verdict"]], title,
                   "Held: low ≤ actual ≤ high. Open: nothing is known yet. Unjudged: no range was stated.",
                   "No assumption is recorded.")


def action_list(action: pd.DataFrame) -> pd.DataFrame:
    """What somebody promised, by whom and by when, who closed it and what its decision brought; overdue first, closed last.

    Parameters
    ----------
    action : DataFrame
        As `follow_up` hands it over: each action as it stands, with `late_days`, who closed it, and the effect of its decision.
    """
    needs(action, "action")
    action = with_columns(action, "cycle_id", "late_days", "closed_late_days", "closed_by", "closed_at", "choice", "expected_effect_amt",
                          "effect_amt")
    is_open = action["status"] == "open"
    late = action["late_days"].where(is_open, action["closed_late_days"].where(action["status"] == "done"))
    late = late.fillna(0)  # what was cancelled is not late
    words = [("" if still else "done, ") + f"late by {plural(int(days), 'working day')}" for days, still in zip(late, is_open, strict=True)]
    rows = action.assign(state=action["status"].where(late == 0, pd.Series(words, index=action.index, dtype=object)))
    rows = rows.assign(is_over=~is_open).sort_values(["is_over", "late_days", "due_date", "title"], ascending=[True, False, True, True])
    rows = rows.rename(columns={"title": "what_is_to_be_done", "cycle_id": "cycle", "closed_at": "closed_date", "choice": "for_decision"})
    done = action["status"] == "done"
    title = f"{plural(int(is_open.sum()), 'action')} open, {int((is_open & (late > 0)).sum())} overdue"
    title += f"; {int((done & (late == 0)).sum())} of {int(done.sum())} done by their day" if done.any() else ""
    known = [name for name in ("closed_by", "closed_date", "for_decision", "expected_effect_amt", "effect_amt") if rows[name].notna().any()]
    columns = ["what_is_to_be_done", "owner", "due_date", "state", *known, "cycle", "why"]
    return as_view(rows[columns], title, "Effect: what the decision brought that the action carries out, once actuals score it.",
                   "No action is promised (sop action).")


def cadence(cadence: pd.DataFrame, cycles: int = 24) -> pd.DataFrame:
    """Every cycle of the past and whether it was kept: locked in time, locked late, never locked, or skipped.

    Parameters
    ----------
    cadence : DataFrame
        As `follow_up` hands it over; the last row is the cycle looked at.
    cycles : int
        Newest cycles shown.
    """
    needs(cadence, "cadence")
    rows = cadence.tail(cycles).reset_index(drop=True)
    now = rows.index == len(rows) - 1
    late = [f"late by {plural(int(days), 'working day')}" if days > 0 else "locked in time" if days == 0 else "locked"
            for days in rows["late_days"]]
    is_running = (rows["state"] == "open") & now
    state = pd.Series(late, index=rows.index, dtype=object).where(rows["state"] == "locked", rows["state"].replace("open", "never locked"))
    rows = rows.assign(state=state.where(~is_running, "under way"), position=range(len(rows)))
    before = cadence.iloc[:-1]
    counts = {"skipped": int((before["state"] == "skipped").sum()), "never locked": int((before["state"] == "open").sum()),
              "late": int((before["late_days"] > 0).sum())}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    title = f"{plural(len(before), 'cycle')} before this one: {told or 'all kept'}" if len(before) else "This is the first cycle"
    return as_view(rows[["position", "cycle_id", "state", "due_date", "locked_at", "late_days"]], title,
                   "A cycle is kept when its plan is locked by the working day of the executive review.", "No cycle was planned yet.")


def maturity(maturity: pd.DataFrame) -> pd.DataFrame:
    """The five stages of the process, whether each is reached, what that rests on and the next step to take."""
    needs(maturity, "maturity")
    rows = maturity.sort_values("sequence", ignore_index=True)
    reached = rows.loc[rows["is_reached"], "stage"]
    step = rows.loc[~rows["is_answered"], "next_step"]
    title = f"Stage reached: {reached.iloc[-1]}" if len(reached) else "No stage is reached yet"
    title += f"; next: {step.iloc[0]}" if len(step) else "; nothing is missing"
    state = np.select([rows["is_reached"], rows["is_answered"]], ["reached", "met, but not those before"], "not yet")
    return as_view(rows.assign(state=state)[["stage", "state", "evidence", "next_step"]], title,
                   "A stage counts when its own question and those of all stages before it are answered with yes.",
                   "Nothing is known of the process.")
