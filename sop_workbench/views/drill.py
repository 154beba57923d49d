"""Views that go down level by level: from the total to a family, an item, a market."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench.views.frames import as_view, item_names, needs
from sop_workbench.views.pre_sop import STATUS_ICONS, STATUS_WORDS
from sop_workbench.views.words import NO_FAMILY, heading, in_unit, percent, plural, signed

KPI_LEVELS = {
    "family": "family", "item_id": "item", "market_id": "market", "resource_id": "resource", "lag": "periods planned ahead",
    "owner": "owner",
}


def deviation_drill(
    plan_deviation: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, family: str = "", item_id: str = "", stream: str = "consensus"
) -> pd.DataFrame:
    """Plan and actual one level down, with error and bias: families, the items of a family, the markets of an item.

    Errors are added up over item, market and period before they are divided: WAPE = Σ|actual − plan| / Σ actual,
    bias = Σ(plan − actual) / Σ actual. Plans made for the nearest period are shown.

    Parameters
    ----------
    plan_deviation, item, market : DataFrame
        Tables of those names.
    family, item_id : str
        Where to go down; neither for the families.
    stream : str
        Whose plan.
    """
    needs(plan_deviation, "plan_deviation")
    mine = plan_deviation[plan_deviation["stream"] == stream]
    mine = mine[mine["lag"] == mine["lag"].min()].assign(family=lambda rows: rows["family"].fillna(NO_FAMILY))
    mine = mine[(mine["family"] == family) | (family == "")]
    mine = mine[(mine["item_id"] == item_id) | (item_id == "")]
    key = "market_id" if item_id else "item_id" if family else "family"
    mine = mine.assign(error_qty=mine["deviation_qty"].abs())
    rows = mine.groupby(key, as_index=False)[["plan_qty", "actual_qty", "deviation_qty", "error_qty"]].sum()
    sold = rows["actual_qty"].where(rows["actual_qty"] > 0)
    rows = rows.assign(
        deviation_ratio=rows["deviation_qty"] / rows["plan_qty"].where(rows["plan_qty"] > 0),
        wape_ratio=rows["error_qty"] / sold,
        bias_ratio=-rows["deviation_qty"] / sold,
    )
    names = {"item_id": item_names(item), "market_id": market.set_index("market_id")["market_name"]}.get(key, pd.Series(dtype=object))
    rows = rows.assign(member=rows[key].astype(str), name=rows[key].map(names).fillna(rows[key]).astype(str), level=key)
    rows = rows.sort_values("error_qty", ascending=False, ignore_index=True)
    whole = rows["deviation_qty"].sum() / rows["plan_qty"].sum() if rows["plan_qty"].sum() else np.nan
    where = item_names(item).get(item_id, item_id) if item_id else family or "All families"
    return as_view(
        rows[["member", "name", "level", "plan_qty", "actual_qty", "deviation_qty", "deviation_ratio", "wape_ratio", "bias_ratio"]],
        f"{where}: actual {signed(percent(whole))} against plan",
        "Deviation = actual − plan, units, planned for the nearest period. WAPE = Σ|actual − plan| / Σ actual; "
        "bias = Σ(plan − actual) / Σ actual, + is over-forecast; both summed by item, market and period first.",
        "No locked plan has an actual yet; the comparison shows from the second cycle on.",
    )


def kpi_drill(
    kpi: pd.DataFrame, plan_from: pd.Timestamp, name: str, item: pd.DataFrame, market: pd.DataFrame, resource: pd.DataFrame
) -> pd.DataFrame:
    """One KPI below the total, by family, market, resource or lag, each member at its newest period; what is worst judged first.

    Parameters
    ----------
    kpi : DataFrame
        The `kpi` table.
    plan_from : Timestamp
        First planned period.
    name : str
        Which KPI.
    """
    needs(kpi, "kpi")
    mine = kpi[(kpi["kpi"] == name) & (kpi["level"] != "total")].sort_values("period", kind="stable")
    mine = mine.drop_duplicates(["level", "member"], keep="last")
    called = pd.concat([market.set_index("market_id")["market_name"], resource.set_index("resource_id")["resource_name"], item_names(item)])
    called = called[~called.index.duplicated()].dropna()
    rank = mine["status"].map({"red": 0, "amber": 1, "green": 2, "none": 3})
    rows = mine.assign(
        rank=rank,
        by=mine["level"].map(KPI_LEVELS).fillna(mine["level"]),
        member=mine["member"].map(called).fillna(mine["member"]),
        about=np.where(mine["period"] >= plan_from, "plan", "actual"),
        value_text=[in_unit(v, u) for v, u in zip(mine["value"], mine["unit"], strict=True)],
        target_text=[in_unit(v, u) for v, u in zip(mine["target"], mine["unit"], strict=True)],
        status_text=mine["status"].map(STATUS_ICONS) + " " + mine["status"].map(STATUS_WORDS),
    ).sort_values(["level", "rank", "member"], kind="stable")
    outside = int(rows["status"].isin(["red", "amber"]).sum())
    formula = "".join(mine["formula"].head(1))
    shown = rows[["by", "member", "about", "value_text", "target_text", "status_text", "reason"]]
    shown = shown.rename(columns={"value_text": "value", "target_text": "target", "status_text": "status", "by": "level"})
    return as_view(
        shown,
        f"{heading(name)}: {outside} of {plural(len(rows), 'member')} outside target",
        f"{heading(name)} = {formula}",
        f"{heading(name)} is known for the total alone.",
    )


def drillable(kpi: pd.DataFrame) -> list[str]:
    """KPIs that are known below the total, in the order of their names."""
    needs(kpi, "kpi")
    return sorted(kpi.loc[kpi["level"] != "total", "kpi"].unique())
