"""A small invented company in every table of the declaration, for tests of views, charts and reports."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import finance, goals, outlook, tables
from sop_workbench.settings import Settings

SETTINGS = Settings(company="Nordlicht Räder", currency="EUR", brand_colour="#0b5394")
FAMILIES = ("City bikes", "Mountain bikes", "Helmets")
REGIONS = ("North", "South")
PERIODS = pd.date_range("2026-10-01", periods=12, freq="MS")
PAST = pd.date_range("2023-10-01", periods=36, freq="MS")


def _rows(name: str, rows: list[dict]) -> pd.DataFrame:
    return tables.validate(name, pd.DataFrame(rows, columns=list(tables.table(name).columns)))


def _grid(**axes) -> pd.DataFrame:
    return pd.MultiIndex.from_product(axes.values(), names=axes.keys()).to_frame(index=False)


def _stressed() -> dict[str, pd.DataFrame]:
    """What service costs, which loss hurts most, and what the plan comes to in samples."""
    points = [(name, n, 0.90 + 0.01 * n, 9e6 - 5e4 * n * n, 4e5 + 3e4 * n, 8e5 - 9e4 * n, n == 0)
              for name in ("service and profit", "stock and service") for n in range(6)]
    losses = [("resource", "R1", "Line 1", PERIODS[6], 1, 3.1e5, 8.8e5, 0.965, "Without Line 1 for 1 month: 310,000 EUR less profit"),
              ("supplier", "S1", "S1", PERIODS[2], 1, 4.2e4, 9.9e4, 0.985, "Without supplier S1 for 1 month: 42,000 EUR less profit")]
    outcomes = [(plan, n, 9e6 + 1e5 * n + shift, 0.9 + 0.01 * n, 4e5, 7e5, 2e3 * n) for plan, shift in
                (("plan", 0.0), ("plan for all samples", 5e3)) for n in range(1, 6)]
    spread = [(plan, measure, n, unit, mean, 0.9 * mean, mean, 1.1 * mean, 0.85 * mean) for plan in ("plan", "plan for all samples")
              for n, (measure, unit, mean) in enumerate((("profit", "EUR", 9e6), ("fill rate", "ratio", 0.93)), start=1)]
    values = [("perfect information (EVPI)", 1, 3650.0, "Better forecasts and earlier warnings can bring 3,650 EUR at most.", 5, 0.2)]
    rows = {"service_frontier": points, "vulnerability": losses, "sample_outcome": outcomes, "plan_risk": spread, "risk_value": values}
    return {name: _rows(name, [dict(zip(tables.table(name).columns, row, strict=True)) for row in found]) for name, found in rows.items()}


def all_frames() -> dict[str, pd.DataFrame]:
    """Every table the notebooks show, coherent with each other."""
    rng = np.random.default_rng(7)
    frames = {name: tables.table(name).empty() for name in tables.all_tables()}
    frames |= _master()
    frames |= _stressed()
    frames |= _demand(frames, rng)
    frames |= _supply(frames, rng)
    frames |= _money(frames)
    frames |= _process(frames, rng)
    frames |= _demand_screens(frames)
    frames |= _shaped(frames)
    return {name: tables.validate(name, frame) if len(frame) else frame for name, frame in frames.items()}


def _master() -> dict[str, pd.DataFrame]:
    item = [
        {
            "item_id": f"I{n:02d}",
            "item_name": f"{FAMILIES[n % 3][:-1]} {n:02d}",
            "item_type": "finished",
            "family": FAMILIES[n % 3],
            "category": "Bikes" if n % 3 < 2 else "Wear",
            "standard_cost_amt": 100.0 + 20 * n,
            "launch_date": pd.Timestamp("2026-06-01") if n == 8 else None,
            "phase_out_date": pd.Timestamp("2027-03-31") if n == 7 else None,
            "successor_item_id": "I08" if n == 7 else None,
            "like_item_id": "I02" if n == 8 else None,
        }
        for n in range(9)
    ]
    market = [
        {"market_id": f"M{n}", "market_name": f"{r} {c}", "region": r, "channel": c, "priority": n + 1}
        for n, (r, c) in enumerate((r, c) for r in REGIONS for c in ("dealers", "web"))
    ]
    resource = [
        {"resource_id": f"R{n}", "resource_name": name, "location_id": "P1"}
        for n, name in enumerate(("Frame welding", "Final assembly", "Paint"))
    ]
    return {"item": _rows("item", item), "market": _rows("market", market), "resource": _rows("resource", resource)}


def _demand(frames: dict, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    history = _grid(item_id=frames["item"]["item_id"], market_id=frames["market"]["market_id"], period=PAST)
    month = history["period"].dt.month
    level = 40 + 12 * history["item_id"].str[1:].astype(int)
    history["ordered_qty"] = (level * (1 + 0.3 * np.sin(month / 12 * 2 * np.pi)) * rng.uniform(0.85, 1.15, len(history))).round()
    history = history.assign(
        shipped_qty=history["ordered_qty"], on_time_qty=history["ordered_qty"] * 0.96, net_sales_amt=history["ordered_qty"] * 300
    )
    ahead = _grid(item_id=frames["item"]["item_id"], market_id=frames["market"]["market_id"], period=PERIODS)
    level = 44 + 12 * ahead["item_id"].str[1:].astype(int)
    ahead["demand_qty"] = level * (1 + 0.3 * np.sin(ahead["period"].dt.month / 12 * 2 * np.pi))
    consensus = ahead.assign(
        low_qty=ahead["demand_qty"] * 0.7, high_qty=ahead["demand_qty"] * 1.3, price_amt=300.0, revenue_amt=ahead["demand_qty"] * 300
    )
    forecast = consensus.assign(forecast_qty=ahead["demand_qty"], model="mean of 3")[list(tables.table("statistical_forecast").columns)]
    streams = pd.concat(
        [
            ahead.assign(stream=name, demand_qty=ahead["demand_qty"] * factor)
            for name, factor in (("statistical", 1.0), ("sales", 1.12), ("marketing", 0.95))
        ]
    )
    young = forecast[forecast["item_id"] == "I08"].assign(method="like item", like_item_id="I02")
    errors = [
        {"model": m, "level": level, "member": "all", "wape_ratio": w, "bias_ratio": b, "actual_qty": 9000.0}
        for level in ("total", "item_id × market_id")
        for m, w, b in (("Theta", 0.21, -0.02), ("Mean", 0.19, 0.01), ("Naive", 0.31, 0.04), ("Prophet", 0.27, 0.09))
    ]
    stairs = [
        {"stair": s, "sequence": i, "wape_ratio": w, "bias_ratio": b, "gain_over_previous_ratio": g, "gain_over_naive_ratio": n}
        for i, (s, w, b, g, n) in enumerate(
            (
                ("naive", 0.31, 0.02, np.nan, 0.0),
                ("statistical", 0.21, 0.0, 0.10, 0.10),
                ("sales", 0.24, 0.08, -0.03, 0.07),
                ("consensus", 0.19, 0.01, 0.05, 0.12),
            )
        )
    ]
    records = [
        {
            "stream": stream,
            "author": author,
            "level": level,
            "member": member,
            "wape_ratio": 0.21,
            "bias_ratio": bias + 0.01 * n,
            "tracking_signal": 6.0 if bias > 0 else -6.0,
            "gain_over_naive_ratio": 0.1,
            "actual_qty": 9000.0,
            "period_count": 6,
            "flag": flag,
            "evidence": "on one side of demand in 6 of 6 periods",
        }
        for stream, author, bias, flag in (
            ("statistical", "all", -0.02, "none"),
            ("sales", "all", 0.08, "over-optimism"),
            ("sales", "K. Winter", 0.18, "over-optimism"),
            ("sales", "R. Costa", -0.14, "sandbagging"),
            ("marketing", "all", 0.01, "none"),
            ("marketing", "E. Holm", 0.01, "none"),
        )
        for level, members in (("total", ("all",)), ("family", FAMILIES), ("region", REGIONS))
        for n, member in enumerate(members)
    ]
    weights = [
        {"stream": s, "wape_ratio": w, "bias_ratio": b, "weight_ratio": r, "evidence": "6 locked cycles"}
        for s, w, b, r in (("statistical", 0.21, 0.0, 0.55), ("sales", 0.26, 0.12, 0.3), ("marketing", 0.33, -0.05, 0.15))
    ]
    corrections = [
        {
            "item_id": "I01",
            "market_id": "M0",
            "period": PAST[20],
            "kind": "stockout",
            "raw_qty": 3.0,
            "suggested_qty": 55.0,
            "evidence": "no stock on 22 of 30 days",
            "status": "proposed",
        },
        {
            "item_id": "I03",
            "market_id": "M1",
            "period": PAST[30],
            "kind": "outlier",
            "raw_qty": 600.0,
            "suggested_qty": 80.0,
            "evidence": "7 deviations above the season",
            "status": "proposed",
        },
    ]
    issues = [
        {
            "rule": "negative_price",
            "severity": "blocks",
            "table": "price",
            "keys": "item_id=I01",
            "count": 2,
            "value": "-3.0",
            "remedy": "enter a price of 0 or more",
        },
        {
            "rule": "price_missing",
            "severity": "warns",
            "table": "price",
            "keys": "item_id=I05 market_id=M2",
            "count": 14,
            "value": "",
            "remedy": "enter a price",
        },
        {
            "rule": "period_gap",
            "severity": "info",
            "table": "sales_history",
            "keys": "item_id=I04",
            "count": 3,
            "value": "2025-02",
            "remedy": "say whether nothing was ordered",
        },
    ]
    overrides = [
        {
            "record_id": "1",
            "by": "A. Sommer",
            "at": pd.Timestamp("2026-09-20"),
            "why": "tender won",
            "item_id": "I02",
            "family": "",
            "market_id": "M1",
            "region": "",
            "period": PERIODS[2],
            "kind": "add",
            "value": 120.0,
        }
    ]
    return {
        "sales_history": history,
        "consensus_demand": consensus,
        "statistical_forecast": forecast,
        "demand_stream": streams,
        "launch_forecast": young,
        "forecast_error": _rows("forecast_error", errors),
        "forecast_value_added": _rows("forecast_value_added", stairs),
        "stream_weight": _rows("stream_weight", weights),
        "stream_record": _rows("stream_record", records),
        "history_correction": _rows("history_correction", corrections),
        "issue": _rows("issue", issues),
        "demand_adjustment": _rows("demand_adjustment", overrides),
    }


def _supply(frames: dict, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    consensus = frames["consensus_demand"]
    short = np.where(consensus["period"].isin(PERIODS[5:8]) & (consensus["market_id"] == "M3"), 0.6, 1.0)
    unmet = consensus[["item_id", "market_id", "period", "demand_qty", "price_amt"]].assign(
        served_qty=consensus["demand_qty"] * short, backlog_qty=0.0
    )
    unmet["lost_qty"] = unmet["demand_qty"] - unmet["served_qty"]
    unmet["lost_revenue_amt"] = unmet["lost_qty"] * unmet["price_amt"]
    load = _grid(resource_id=frames["resource"]["resource_id"], period=PERIODS)
    load["regular_hours"], load["overtime_hours"] = 1000.0, 100.0
    load["load_hours"] = 700 + 150 * load["resource_id"].str[1:].astype(int) + 260 * load["period"].isin(PERIODS[5:8])
    load["utilisation_ratio"] = load["load_hours"] / load["regular_hours"]
    load = load.assign(
        demonstrated_hours=950.0,
        is_overloaded=load["load_hours"] > 1100,
        offset_load_hours=load["load_hours"] - 20,
        demonstrated_ratio=load["load_hours"] / 950.0,
        demonstrated_basis="stated",
    )
    used = load.assign(
        used_hours=load["load_hours"].clip(upper=1000), overtime_used_hours=(load["load_hours"] - 1000).clip(0, 100), hour_price_amt=0.0
    )
    stock = _grid(item_id=frames["item"]["item_id"], location_id=["W1"], period=PERIODS)
    stock = stock.merge(frames["item"][["item_id", "standard_cost_amt"]], on="item_id")
    for column in tables.table("inventory_projection").columns:
        if column.endswith("_qty"):
            stock[column] = 0.0
    stock["closing_qty"] = rng.uniform(60, 160, len(stock)).round()
    stock = stock.assign(target_qty=110.0, safety_stock_qty=60.0, value_amt=stock["closing_qty"] * stock["standard_cost_amt"])
    made = _grid(item_id=frames["item"]["item_id"], location_id=["P1"], period=PERIODS).assign(production_qty=200.0, subcontract_qty=0.0)
    bought = _grid(item_id=["I00", "I03"], supplier_id=["S1", "S2"], location_id=["P1"], period=PERIODS[:6])
    bought = bought.assign(receipt_period=bought["period"] + pd.DateOffset(months=1), purchase_qty=500.0, purchase_cost_amt=12_500.0)
    limits = [
        {
            "limit": "capacity",
            "member": "Final assembly",
            "period": p,
            "unit": "hours",
            "limit_qty": 1100.0,
            "price_amt": 85.0,
            "money_amt": 93_500.0,
            "sentence": f"One more hour of Final assembly in {p:%b %Y} is worth 85 EUR.",
        }
        for p in PERIODS[5:8]
    ]
    return {
        **_stock_money(frames),
        **_explanation(unmet),
        "unmet_demand": unmet,
        "capacity_load": load,
        "resource_plan": used,
        "inventory_projection": stock,
        "supply_plan": made,
        "purchase_plan": bought,
        "binding_limit": _rows("binding_limit", limits),
    }


def _stock_money(frames: dict) -> dict[str, pd.DataFrame]:
    """What stock money buys, where it is held, what is buildable and what the material plan asks for."""
    items = frames["item"]["item_id"]
    target = _grid(item_id=items, location_id=["W1"], period=PERIODS).assign(
        safety_stock_qty=60.0,
        target_qty=110.0,
        service_level_ratio=0.95,
        lead_time_days=14.0,
        error_qty=30.0,
        method="as told",
        demand_qty=100.0,
        fill_target_ratio=0.97,
        deviation_qty=36.0,
        lot_qty=100.0,
        expected_service_ratio=0.952,
        expected_fill_ratio=0.985,
    )
    curve = [
        {
            "option": "frontier",
            "sequence": n,
            "safety_stock_amt": 20_000.0 * n,
            "fill_ratio": 1 - 0.08 * 0.7**n,
            "service_level_ratio": 1 - 0.5 * 0.8**n,
            "gain_ratio": None,
        }
        for n in range(10)
    ]
    curve += [
        {"option": option, "sequence": 0, "safety_stock_amt": amount, "fill_ratio": fill, "service_level_ratio": 0.95, "gain_ratio": None}
        for option, amount, fill in (("today", 98_000.0, 0.97), ("same_service", 80_000.0, 0.97), ("same_money", 98_000.0, 0.981))
    ]
    option = pd.DataFrame(
        {
            "item_id": items,
            "location_id": "W1",
            "unit_value_amt": 100.0,
            "safety_stock_qty": 60.0,
            "same_service_qty": 50.0,
            "same_money_qty": [40.0 + 5 * n for n in range(len(items))],
            "fill_ratio": 0.97,
            "same_money_fill_ratio": 0.98,
        }
    )
    placement = _grid(item_id=items, location_id=["P1", "W1"]).assign(
        stage_days=20.0,
        inbound_days=0.0,
        service_days=0.0,
        net_days=20.0,
        deviation_qty=30.0,
        safety_stock_qty=40.0,
        safety_stock_amt=4_000.0,
        today_qty=60.0,
        today_amt=3_500.0,
        end_only_amt=4_500.0,
    )
    cover = pd.DataFrame(
        {
            "item_id": items,
            "on_hand_qty": 500.0,
            "on_hand_amt": 50_000.0,
            "forward_demand_qty": 400.0,
            "cover_months": 7.5,
            "cover_days": 228.0,
            "excess_qty": 100.0,
            "excess_amt": 10_000.0,
            "obsolete_qty": 0.0,
            "obsolete_amt": 0.0,
        }
    )
    made = [
        {
            "item_id": item,
            "until_period": PERIODS[2],
            "buildable_qty": 1.2 if item == "all" else 900.0,
            "demand_qty": 1.0 if item == "all" else 500.0,
            "limit": "capacity",
            "member": "R1",
            "limit_qty": 3300.0,
            "unit_gain_qty": 0.4,
            "beyond_qty": None,
            "next_limit": "none",
            "next_member": "",
        }
        for item in ("all", "I00", "I01")
    ]
    needs = _grid(item_id=["I00", "I03"], location_id=["P1"], period=PERIODS).assign(source="buy", from_location_id=None, low_level_code=1)
    for column in tables.table("material_plan").columns:
        if column not in needs:
            needs[column] = 0.0
    needs = needs.assign(gross_qty=100.0, receipt_qty=100.0, start_qty=100.0, net_qty=100.0, late_qty=[100.0] + [0.0] * (len(needs) - 1))
    bought = _grid(item_id=["I00", "I03"], supplier_id=["S1"], location_id=["P1"], period=PERIODS[:6]).assign(
        receipt_period=lambda b: b["period"] + pd.DateOffset(months=1), purchase_qty=100.0, purchase_cost_amt=2_500.0, is_late=False
    )
    return {
        "inventory_target": target,
        "inventory_tradeoff": _rows("inventory_tradeoff", curve),
        "stock_option": option,
        "stock_placement": placement,
        "stock_cover": cover,
        "buildable": _rows("buildable", made),
        "material_plan": needs,
        "planned_purchase": bought,
    }


def _explanation(unmet: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Why some of it is short, who gives way, and what an hour of final assembly earns."""
    short = unmet[unmet["lost_qty"] > 0].head(6)
    reasons = [
        {
            "item_id": row.item_id,
            "market_id": row.market_id,
            "period": row.period,
            "limit": "capacity",
            "member": "Final assembly",
            "limit_period": row.period,
            "short_qty": row.lost_qty,
            "short_amt": row.lost_qty * row.price_amt,
            "needed_qty": 2 * row.lost_qty,
            "unit": "hours",
            "price_amt": 85.0,
            "sentence": f"{row.item_id} in {row.market_id}: short; it would take hours more of Final assembly",
        }
        for row in short.itertuples()
    ]
    shares = [
        {
            "item_id": row.item_id,
            "market_id": row.market_id,
            "period": row.period,
            "tier": 1,
            "demand_qty": row.demand_qty,
            "floor_qty": 0.0,
            "planned_qty": row.served_qty,
            "allocated_qty": row.served_qty,
            "lost_qty": row.lost_qty,
            "lost_amt": row.lost_qty * row.price_amt,
            "rule": "priority 1: fair share of the rest",
        }
        for row in short.itertuples()
    ]
    ranking = [
        {
            "resource_id": "R1",
            "item_id": f"I{n:02d}",
            "rank": n + 1,
            "unit_margin_amt": 120.0 - 10 * n,
            "hours_per_unit": 2.0,
            "margin_amt_per_hour": 60.0 - 5 * n,
            "demand_qty": 900.0,
            "served_qty": 900.0 if n < 6 else 700.0,
            "hour_price_amt": 85.0,
        }
        for n in range(9)
    ]
    floors = [
        {
            "market_id": market,
            "floor_qty": 500.0 * times,
            "served_qty": 520.0 * times,
            "served_without_qty": 300.0 * times,
            "revenue_amt": 156_000.0 * times,
            "revenue_without_amt": 90_000.0 * times,
            "price_amt": price,
            "cost_amt": cost,
        }
        for market, times, price, cost in (("M0", 1, 12.0, None), ("all", 1, None, 4_200.0))
    ]
    idle = {"item_id": "I05", "location_id": "P1", "period": PERIODS[0], "loss_amt": 4.2, "sentence": "One made would lose 4.20"}
    broken = {"limit": "capacity", "member": "Final assembly", "period": PERIODS[5], "unit": "hours", "limit_qty": 1000.0}
    broken |= {"rounded_qty": 1001.5, "over_qty": 1.5, "sentence": "capacity of Final assembly is broken by 1.5 hours"}
    return {
        "shortage_reason": _rows("shortage_reason", reasons),
        "allocation": _rows("allocation", shares),
        "bottleneck_ranking": _rows("bottleneck_ranking", ranking),
        "contract_floor_cost": _rows("contract_floor_cost", floors),
        "not_made": _rows("not_made", [idle]),
        "rounding_check": _rows("rounding_check", [broken]),
    }


def _money(frames: dict) -> dict[str, pd.DataFrame]:
    unmet = (
        frames["unmet_demand"]
        .merge(frames["item"][["item_id", "family", "standard_cost_amt"]], on="item_id")
        .merge(frames["market"][["market_id", "region"]], on="market_id")
    )
    unmet = unmet.assign(
        demand_amt=unmet["demand_qty"] * unmet["price_amt"],
        revenue_amt=unmet["served_qty"] * unmet["price_amt"],
        cogs_amt=unmet["served_qty"] * unmet["standard_cost_amt"],
    )
    money = unmet.groupby(["family", "region", "period"], as_index=False)[["demand_amt", "revenue_amt", "cogs_amt"]].sum()
    for column in tables.table("financial_projection").columns:
        if column not in money:
            money[column] = 0.0
    money["purchase_cost_amt"], money["labour_cost_amt"], money["overtime_cost_amt"] = (
        money["cogs_amt"] * 0.6,
        money["cogs_amt"] * 0.3,
        4000.0,
    )
    money["profit_amt"] = money["revenue_amt"] - money["purchase_cost_amt"] - money["labour_cost_amt"] - money["overtime_cost_amt"]
    money = money.assign(gross_margin_amt=money["revenue_amt"] - money["cogs_amt"], inventory_amt=money["cogs_amt"] * 1.5)
    budget = money[["family", "region", "period"]].assign(
        volume_qty=1000.0, revenue_amt=money["demand_amt"] * np.where(money["family"] == "Helmets", 0.95, 1.08), margin_amt=np.nan
    )
    cash = pd.DataFrame(
        {
            "period": PERIODS,
            "collected_amt": 900_000.0,
            "paid_amt": 850_000.0,
            "operating_cash_amt": 50_000.0,
            "opening_cash_amt": 0.0,
            "closing_cash_amt": np.linspace(100_000, -60_000, 12),
            "receivable_amt": 1e6,
            "payable_amt": 6e5,
            "is_low_point": [False] * 11 + [True],
            "basis": "Opening balance from the settings.",
        }
    )
    money_rows = tables.validate("financial_projection", money[list(tables.table("financial_projection").columns)])
    last = goals.estimate_gap(money_rows, money_rows.assign(revenue_amt=0.97 * money_rows["revenue_amt"]), "2026-09")
    sources = pd.concat([money.groupby(["family", "period"], as_index=False)["revenue_amt"].sum().assign(
        source=name, revenue_amt=lambda found, part=part: found["revenue_amt"] * part)
        for name, part in (("run rate", 0.8), ("new products", 0.15), ("opportunities", 0.05))])
    gap = finance.budget_gap(money[list(tables.table("financial_projection").columns)], tables.validate("budget", budget))
    aligned = goals.goal_alignment(gap, frames["binding_limit"], SETTINGS)
    return {"estimate_gap": last, "revenue_source": sources, "goal_alignment": aligned,
            "financial_projection": money, "budget": budget, "budget_gap": gap, "cash_projection": cash}


def _process(frames: dict, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    classes = [
        {
            "item_id": i,
            "family": f,
            "abc": "AAABBBCCC"[n],
            "xyz": "XYZXYZXXY"[n],
            "demand_pattern": "smooth",
            "lifecycle": "phase_out" if n == 7 else "launch" if n == 8 else "mature",
            "revenue_amt": 900_000.0 / (n + 1),
            "margin_amt": 300_000.0 / (n + 1) - 40_000,
            "demand_qty": 900.0 + 100 * n,
            "variation_ratio": 0.3,
            "demand_interval": 1.0,
        }
        for n, (i, f) in enumerate(zip(frames["item"]["item_id"], frames["item"]["family"], strict=True))
    ]
    excess = [
        {
            "item_id": "I07",
            "item_name": "Mountain bike 07",
            "family": "Mountain bikes",
            "lifecycle": "phase_out",
            "on_hand_qty": 800.0,
            "forward_demand_qty": 300.0,
            "excess_qty": 500.0,
            "excess_amt": 120_000.0,
            "cover_months": 16.0,
            "reason": "beyond 6 months of demand",
        }
    ]
    ending = [
        {
            "item_id": "I07",
            "item_name": "Mountain bike 07",
            "family": "Mountain bikes",
            "phase_out_date": pd.Timestamp("2027-03-31"),
            "successor_item_id": "I08",
            "on_hand_qty": 800.0,
            "remaining_demand_qty": 300.0,
            "run_out_date": pd.NaT,
            "last_buy_qty": 0.0,
            "last_buy_date": pd.Timestamp("2027-01-31"),
            "left_over_qty": 500.0,
            "left_over_amt": 120_000.0,
            "moved_qty": 250.0,
        }
    ]
    measures = (
        ("Revenue", "reporting currency", 8e6),
        ("Profit of the plan", "reporting currency", 1.2e6),
        ("Overtime cost", "reporting currency", 9e4),
        ("Fill rate", "ratio", 0.96),
    )
    scenarios = [
        {
            "scenario": s,
            "measure": m,
            "sequence": q,
            "unit": u,
            "value": v * f,
            "delta": v * f - v,
            "levers": "" if s == "base" else f"capacity × {f}",
            "is_feasible": True,
        }
        for s, f in (("base", 1.0), ("second shift", 1.04), ("supplier fails", 0.93))
        for q, (m, u, v) in enumerate(measures)
    ]
    kpis = [
        {
            "kpi": k,
            "level": "total",
            "member": "all",
            "period": PAST[-1] if k == "wape" else PERIODS[0],
            "value": v,
            "unit": u,
            "target": t,
            "status": s,
            "formula": f,
            "reason": "as told",
        }
        for k, v, u, t, s, f in (
            ("fill_rate", 0.93, "ratio", 0.95, "amber", "on-time quantity / ordered quantity"),
            ("gross_margin", 0.41, "ratio", np.nan, "none", "(revenue − COGS) / revenue"),
            ("wape", 0.42, "ratio", 0.35, "red", "Σ|A−F| / ΣA"),
            ("days_of_inventory", 64.2, "days", np.nan, "none", "365 / turns"),
            ("utilisation", 0.9, "ratio", 0.95, "green", "load / capacity"),
        )
    ]
    kpis += [
        {"kpi": "wape", "level": "family", "member": family, "period": period, "value": value, "unit": "ratio", "target": 0.35,
         "status": "green" if value <= 0.35 else "red", "formula": "Σ|A−F| / ΣA", "reason": "as told"}
        for family, value in zip(FAMILIES, (0.2, 0.5, 0.3), strict=True) for period in PAST[-3:]
    ]
    opened = [
        {
            "sequence": 1,
            "question": "Add a second shift in final assembly from March to May?",
            "options": "second shift: +0.3M; overtime only: +0.1M; nothing: 0",
            "recommendation": "second shift",
            "money_amt": 320_000.0,
            "level": "general manager",
        }
    ]
    plans = _grid(
        stream=["consensus", "sales"],
        lock=pd.date_range("2026-06-01", periods=4, freq="MS"),
        item_id=frames["item"]["item_id"],
        market_id=["M0"],
        period=PAST[-3:],
    )
    plans = plans[plans["period"] >= plans["lock"]]
    deviation = plans.merge(frames["item"][["item_id", "family"]], on="item_id").assign(
        plan_cycle_id=plans["lock"].dt.strftime("%Y-%m").to_numpy(), plan_qty=100.0, lag=1
    )
    deviation["lag"] = (deviation["period"].dt.month - deviation["lock"].dt.month).astype("int64")
    deviation["actual_qty"] = rng.uniform(70, 125, len(deviation)).round()
    deviation["deviation_qty"] = deviation["actual_qty"] - deviation["plan_qty"]
    waterfall = deviation.groupby(["stream", "plan_cycle_id", "period", "lag"], as_index=False)["plan_qty"].sum()
    actual = (
        deviation.groupby(["stream", "period"], as_index=False)["actual_qty"]
        .mean()
        .rename(columns={"actual_qty": "plan_qty"})
        .assign(plan_cycle_id="actual", lag=np.nan)
    )
    actual["plan_qty"] *= 9
    lags = deviation.groupby(["stream", "lag"], as_index=False)["actual_qty"].sum()
    lags = lags.assign(wape_ratio=0.2, bias_ratio=0.03, level="item_id × market_id")
    lags["wape_ratio"] += 0.02 * lags["lag"]
    causes = [
        {"measure": "revenue_amt", "level": "family", "member": f, "deviation_amt": a, "share_ratio": a / -90_000}
        for f, a in zip(FAMILIES, (-70_000.0, -40_000.0, 20_000.0), strict=True)
    ]
    grid = _grid(family=FAMILIES, period=[*PAST[-3:], *PERIODS[:6]]).assign(
        plan_cycle_id="2026-06", sales_plan_qty=1000.0, production_plan_qty=980.0, inventory_plan_qty=400.0
    )
    for column in tables.table("family_grid").columns:
        if column not in grid:
            grid[column] = np.where(grid["period"].isin(PAST), 10.0, np.nan)
    alerts = [
        {
            "alert": "stock below safety stock",
            "level": "item_id",
            "member": "I03",
            "period": PERIODS[3],
            "value": 20.0,
            "tolerance": 60.0,
            "sentence": "I03 falls below its safety stock in January 2027.",
        }
    ]
    risks = [
        {
            "record_id": "1",
            "by": "M. Frey",
            "at": pd.Timestamp("2026-09-18"),
            "why": "supplier letter",
            "title": "Fork supplier late",
            "kind": "risk",
            "money_amt": -400_000.0,
            "probability_ratio": 0.3,
            "owner": "purchasing",
        }
    ]
    grown = [
        {"measure": measure, "tree": tree, "period": PAST[-1], "level": level, "sequence": n, "driver": driver, "cause": cause,
         "member": member, "deviation_amt": money, "share_ratio": abs(money) / 110_000, "evidence": "EV-1 on file"}
        for measure in ("revenue", "margin", "production") for tree in ("what moved", "why")
        for level, found in (
            ("total", (("all", "all", "all", -90_000.0),)),
            ("cause", (("capacity loss", "R1", "all", -70_000.0), ("biased forecast", "sales stream", "all", -30_000.0),
                       ("other supply", "no cause known", "all", 10_000.0))),
            ("author", (("capacity loss", "R1", "all", -70_000.0), ("biased forecast", "sales stream", "K. Vogel", -40_000.0),
                        ("biased forecast", "sales stream", "G. Sand", 10_000.0), ("other supply", "no cause known", "all", 10_000.0))),
            ("item × place", (("capacity loss", "R1", "I03 P1", -70_000.0), ("biased forecast", "sales stream", "I01 M0", -30_000.0),
                              ("other supply", "all", "other items", 10_000.0))))
        for n, (driver, cause, member, money) in enumerate(found, start=1)
    ]
    return {
        **_records(),
        **_weekly(),
        "driver_tree": _rows("driver_tree", grown),
        "item_class": _rows("item_class", classes),
        "excess_stock": _rows("excess_stock", excess),
        "phase_out_plan": _rows("phase_out_plan", ending),
        "scenario_comparison": _rows("scenario_comparison", scenarios),
        "kpi": _rows("kpi", kpis),
        "open_decision": _rows("open_decision", opened),
        "plan_deviation": deviation,
        "plan_waterfall": pd.concat([waterfall, actual]),
        "plan_error_by_lag": lags,
        "root_cause": _rows("root_cause", causes),
        "family_grid": grid,
        "alert": _rows("alert", alerts),
        "risk": _rows("risk", risks),
    }


def _records() -> dict[str, pd.DataFrame]:
    """What was assumed, decided and promised, as the follow-up hands it over."""
    said = {"by": "M. Frey", "why": "agreed in the meeting", "cycle_id": "2026-08", "at": pd.Timestamp("2026-08-20")}
    assumption = _rows("assumption", [
        {**said, "record_id": "a1", "assumption": "Steel at most 900", "owner": "purchasing", "low_value": np.nan, "high_value": 900.0},
        {**said, "record_id": "a2", "assumption": "No strike", "owner": None, "low_value": np.nan, "high_value": np.nan}])
    decision = _rows("decision", [
        {**said, "record_id": "d1", "question": "Ease line 1?", "options": "overtime; nothing", "choice": "overtime",
         "expected_effect_amt": 400_000.0},
        {**said, "record_id": "d2", "question": "Sell off?", "options": "yes; no", "choice": "yes", "expected_effect_amt": np.nan}])
    action = _rows("action", [
        {**said, "record_id": "p1", "title": "Ask for a quote", "owner": "purchasing", "due_date": pd.Timestamp("2026-09-18"),
         "status": "open", "decision_id": "d1"},
        {**said, "record_id": "p2", "title": "Set the price", "owner": "sales", "due_date": pd.Timestamp("2026-09-01"), "status": "done"}])
    months = pd.period_range("2026-06", "2026-10", freq="M").astype(str)
    kept = pd.DataFrame({"cycle_id": months, "state": ["locked", "skipped", "locked", "open", "open"],
                         "locked_at": pd.to_datetime(["2026-06-20", None, "2026-08-31", None, None]),
                         "due_date": pd.date_range("2026-06-24", periods=5, freq="30D"), "late_days": [0.0, np.nan, 5.0, np.nan, np.nan]})
    stages = ("React", "Anticipate", "Integrate", "Collaborate", "Orchestrate")
    judged = [{"stage": stage, "sequence": n, "is_answered": n != 2, "is_reached": n < 2, "evidence": "as the store has it",
               "next_step": "keep the cadence" if n == 2 else ""} for n, stage in enumerate(stages, start=1)]
    return {
        "assumption": assumption.assign(cycle_id="2026-08", actual_value=[950.0, np.nan], verdict=["missed", None]),
        "decision": decision.assign(cycle_id="2026-08", actual_value=[300_000.0, np.nan], verdict=["missed", None],
                                    state=["1 of 1 open", "closed"]),
        "action": action.assign(cycle_id="2026-08", late_days=[9.0, 0.0], closed_late_days=[np.nan, 2.0], closed_by=[None, "M. Frey"],
                                closed_at=pd.to_datetime([None, "2026-09-03"]), choice=["overtime", None],
                                expected_effect_amt=[400_000.0, np.nan], effect_amt=[300_000.0, np.nan]),
        "cadence": kept,
        "maturity": _rows("maturity", judged),
    }


def _weekly() -> dict[str, pd.DataFrame]:
    """What the weekly round finds."""
    stockout = {"item_id": "I03", "item_name": "City bike 03", "family": "City bikes", "period": PERIODS[1], "periods_until": 1,
                "on_hand_qty": 100.0, "firm_qty": 40.0, "needed_qty": 200.0, "missing_qty": 60.0, "lead_time_periods": 2.0,
                "is_within_lead_time": True, "plan_short_qty": 60.0, "short_amt": 42_000.0}
    late = {"order_id": "PO-1", "item_id": "I03", "item_name": "City bike 03", "location_id": "P1", "kind": "production",
            "due_date": pd.Timestamp("2026-09-20"), "problem": "overdue", "late_days": 10.0, "open_qty": 40.0, "open_amt": 8_000.0,
            "stockout_date": PERIODS[1]}
    found = [
        {"sequence": n, "kind": kind, "level": "item_id", "member": "I03", "period": PERIODS[1], "value": 0.7, "tolerance": 0.95,
         "money_amt": money, "is_outside": outside, "response": "change request" if outside else "fix it this week", "sentence": words}
        for n, (kind, money, outside, words) in enumerate((
            ("stock runs out", 42_000.0, True, "City bike 03 runs out in November."),
            ("supply late", 8_000.0, False, "PO-1 is overdue.")), start=1)
    ]
    asked = [{"record_id": f"c{n}", "by": "J. Novak", "why": "outside tolerance", "at": pd.Timestamp("2026-09-28"), "cycle_id": "2026-10",
              "request_id": f"2026-W40 {kind}: {member}", "weekly_cycle_id": "2026-W40", "kind": kind, "level": level, "member": member,
              "period": PERIODS[0], "weeks_outside": weeks, "value": value, "tolerance": 0.15, "money_amt": money, "sentence": words}
             for n, (kind, level, member, weeks, value, money, words) in enumerate((
                 ("sales off plan", "family", "City bikes", 3.0, -0.31, np.nan, "City bikes sold 31% below plan, the 3rd week running."),
                 ("supply late", "order_id", "PO-1", np.nan, 12.0, 8_000.0, "PO-1 is overdue by 12 days; the item runs out.")))]
    asked = _rows("change_request", asked).assign(state=["open", "answered"], answer=["", "second source (H. Varnholt, cycle 2026-10)"])
    lines = {name: 1000.0 * n for n, name in enumerate(tables.table("financial_statement").columns) if name.endswith("_amt")}
    statement = _grid(source=["plan"], family=FAMILIES, region=REGIONS, period=PERIODS).assign(**lines)
    books = _grid(source=["actual"], family=FAMILIES, region=REGIONS, period=PAST[-1:]).assign(**lines)
    return {"change_request": asked,
            "financial_statement": _rows("financial_statement", pd.concat([books, statement]).to_dict("records")),
            "projected_stockout": _rows("projected_stockout", [stockout]), "late_supply": _rows("late_supply", [late]),
            "execution_exception": _rows("execution_exception", found)}


def _demand_screens(frames: dict) -> dict[str, pd.DataFrame]:
    """What the product and demand reviews show beside the plan: events, parts of demand, the portfolio."""
    said = {"item_id": None, "market_id": None, "pull_forward_ratio": 0.1, "cost_amt": 9000.0}
    events = [
        {**said, "event_id": "E1", "kind": "promotion", "family": "Helmets", "region": "North", "from_period": PAST[-6],
         "to_period": PAST[-5], "uplift_ratio": 0.3, "status": "done"},
        {**said, "event_id": "E2", "kind": "holiday", "family": None, "region": None, "from_period": PERIODS[2], "to_period": PERIODS[2],
         "uplift_ratio": 0.1, "status": "planned"},
        {**said, "event_id": "E3", "kind": "promotion", "family": None, "region": None, "item_id": "I01", "from_period": PERIODS[4],
         "to_period": PERIODS[4], "uplift_ratio": 0.2, "status": "idea"},
    ]  # fmt: skip
    past = frames["sales_history"].rename(columns={"ordered_qty": "demand_qty"}).assign(is_forecast=False)
    ahead = frames["statistical_forecast"].rename(columns={"forecast_qty": "demand_qty"}).assign(is_forecast=True)
    parts = pd.concat([past, ahead])[["item_id", "market_id", "period", "is_forecast", "demand_qty"]]
    parts["trend_qty"] = parts.groupby("item_id")["demand_qty"].transform("mean")
    parts["promotion_qty"] = np.where(parts["period"] == PAST[-6], 0.1 * parts["trend_qty"], 0.0)
    parts = parts.assign(season_qty=0.9 * (parts["demand_qty"] - parts["trend_qty"] - parts["promotion_qty"]), event_qty=0.0)
    parts["remainder_qty"] = parts["demand_qty"] - parts[["trend_qty", "season_qty", "promotion_qty", "event_qty"]].sum(axis=1)
    ranked = frames["item_class"].sort_values("revenue_amt", ascending=False).assign(rank=range(1, 10), stock_amt=5000.0)
    ranked["cumulative_revenue_ratio"] = ranked["revenue_amt"].cumsum() / ranked["revenue_amt"].sum()
    ranked = ranked.assign(is_tail=ranked["rank"] > 7, margin_ratio=0.3, item_name=ranked["item_id"])
    return {
        "event": _rows("event", events),
        "forecast_component": parts.reset_index(drop=True),
        "portfolio": ranked[list(tables.table("portfolio").columns)].reset_index(drop=True),
    }


def _shaped(frames: dict) -> dict[str, pd.DataFrame]:
    """What drives demand, what promotions, prices and deals would bring, and the young item's other estimates."""
    stated = {"driver": "promotion", "level": "scope", "member": "Helmets · North"}
    effects = [
        {**stated, "measure": "uplift", "effect_ratio": 0.22, "low_ratio": 0.14, "high_ratio": 0.3, "stated_ratio": 0.3,
         "evidence": "2 past promotions, 4 of 36 periods"},
        {**stated, "measure": "pull_forward", "effect_ratio": 0.1, "low_ratio": 0.05, "high_ratio": 0.15, "stated_ratio": 0.1,
         "basis": "as stated", "evidence": "history cannot tell"},
        {"driver": "price", "level": "all", "member": "all", "measure": "elasticity", "effect_ratio": -1.8, "low_ratio": -2.6,
         "high_ratio": -1.0, "stated_ratio": np.nan, "basis": "assumed", "evidence": "no price moved"},
    ]  # fmt: skip
    case = {"kind": "promotion", "from_period": PERIODS[2], "to_period": PERIODS[2], "base_qty": 900.0, "uplift_ratio": 0.22,
            "pull_forward_ratio": 0.1, "cannibalisation_ratio": 0.0, "basis": "estimated from history", "uplift_qty": 198.0,
            "pulled_forward_qty": 90.0, "cannibalised_qty": 0.0, "price_amt": 300.0, "unit_cost_amt": 160.0,
            "margin_gained_amt": 27_720.0, "cannibalised_amt": 0.0, "discount_given_amt": 12_000.0, "evidence": "as told"}  # fmt: skip
    cases = [
        {**case, "event_id": "E4", "scope": "Helmets · North", "status": "planned", "cost_amt": 9000.0, "net_amt": 6720.0,
         "break_even_ratio": 0.17},
        {**case, "event_id": "E3", "scope": "I01 · all markets", "status": "idea", "cost_amt": 24_000.0, "net_amt": -8280.0,
         "break_even_ratio": np.nan},
    ]  # fmt: skip
    prices = [
        {"family": family, "price_change_ratio": change, "elasticity_ratio": -1.8, "basis": "assumed", "demand_qty": 9000.0,
         "revenue_amt": 2.7e6, "quantity_change_qty": -1.8 * change * 9000, "revenue_change_amt": -0.8 * change * 2.7e6,
         "margin_change_amt": worth * change, "margin_change_low_amt": worth * change - 4e4, "margin_change_high_amt": worth * change + 4e4}
        for family, worth in zip(FAMILIES, (4e5, -2e5, 1e5), strict=True) for change in (-0.05, 0.05)
    ]  # fmt: skip
    deal = {"market_id": "M0", "stage": "offer", "run_rate_qty": 300.0, "price_amt": 300.0, "family": "City bikes", "item_id": None}
    deals = [
        {**deal, "opportunity_id": "D1", "close_period": PERIODS[1], "volume_qty": 400.0, "probability_ratio": 0.6, "is_in_run_rate": False,
         "counted_qty": 240.0, "expected_amt": 72_000.0, "reason": "counted in 2026-11: 400 × 60%"},
        {**deal, "opportunity_id": "D2", "close_period": PERIODS[3], "volume_qty": 200.0, "probability_ratio": 0.5, "is_in_run_rate": True,
         "counted_qty": 0.0, "expected_amt": 0.0, "reason": "in the run rate already"},
    ]  # fmt: skip
    faults = [tables.finding("unknown_item_id", "warns", "demand_adjustment", "record_id=9", 1, "I99", "name an item on file")]
    curves = pd.concat([
        pd.DataFrame({"item_id": "I08", "estimator": name, "period": PERIODS, "forecast_qty": level + 5.0 * np.arange(12),
                      "is_used": is_used, "innovation_ratio": p, "imitation_ratio": q, "market_qty": m, "evidence": "as told"})
        for name, level, is_used, p, q, m in (("like-item profile", 60.0, True, np.nan, np.nan, np.nan),
                                              ("Bass, prior alone", 40.0, False, 0.01, 0.2, 4000.0))
    ])  # fmt: skip
    made = {
        "driver_effect": _rows("driver_effect", effects),
        "promotion_case": _rows("promotion_case", cases),
        "price_case": _rows("price_case", prices),
        "pipeline_line": _rows("pipeline_line", deals),
        "launch_curve": tables.validate("launch_curve", curves),
        "demand_issue": tables.issue_frame(faults),
        "demand_gap": outlook.demand_gap(frames["consensus_demand"], frames["budget"], frames["item"], frames["market"]),
    }
    made["risk_opportunity"] = outlook.risks_and_opportunities(
        frames["consensus_demand"], made["pipeline_line"], made["promotion_case"], made["driver_effect"], frames["item"], 0.8)
    return made
