"""What people and systems knew in each cycle: stock counts, open orders, pipeline, streams, earlier plans, budget, ledger.

Rows carry the day they became known, so that any cycle from 2026-01 on can be cut from one extract.
"""

from __future__ import annotations

import history
import numpy as np
import pandas as pd
from company import EXTRACT_DATE, FAMILY, MONTHS, NEWEST_CYCLE

FIRST_CYCLE = pd.Timestamp("2026-01-01")
ARCHIVED_CYCLES = pd.date_range("2026-04-01", "2026-09-01", freq="MS")
ARCHIVED_MONTHS = 5
SALES_BIAS = {"North": 1.18, "West": 1.17, "South": 0.88, "East": 1.15}  # the South sandbags
SALES_AUTHOR = {"North": "K. Petersen", "West": "L. Dubois", "South": "G. Ricci", "East": "P. Kowalska"}
SALES_REASON = {"North": "Chain listings confirmed", "West": "Dealer talks", "South": "Cautious market", "East": "Distributor orders"}
MARKETING_BIAS = 1.05
MARKETING_AUTHOR = "E. Sandberg"
BUDGET_AMBITION = {2025: 1.00, 2026: 1.06, 2027: 1.14}
OPENING_CASH, INVESTMENT_A_MONTH, DIVIDEND, TAX_RATIO = 2_400_000.0, 60_000.0, 400_000.0, 0.3
LATE_SUPPLIER = "SUP-11"
ARCHIVE_COLUMNS = ["lock_cycle_id", "stream", "item_id", "market_id", "period", "plan_qty"]


def stock_on_hand(stock_history: pd.DataFrame, need: pd.DataFrame, places: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Month-end counts from the first cycle on: finished goods as in the history, parts some weeks of coming need.

    `places` holds item_id, location_id and the cover in months of every part stocked.
    """
    counts = []
    for month in pd.date_range(FIRST_CYCLE - pd.DateOffset(months=1), EXTRACT_DATE, freq="MS"):
        finished = stock_history[stock_history["period"] == month].rename(columns={"closing_qty": "on_hand_qty"})
        coming = need[month + pd.DateOffset(months=1)]
        needed = places["item_id"].map(coming) * rng.uniform(0.8, 1.2, len(places)) * places["cover"]
        # Adding nothing turns a rounded −0 into 0: which of the two comes out hangs on the machine.
        parts = places.assign(on_hand_qty=np.round(needed) + 0.0)
        count = pd.concat([finished[finished["on_hand_qty"] > 0], parts])[["item_id", "location_id", "on_hand_qty"]]
        counts.append(count.assign(as_of_date=month + pd.offsets.MonthEnd(0)))
    return pd.concat(counts)


def open_supply(need: pd.DataFrame, supplier_item: pd.DataFrame, finished_plan: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Purchase and work orders with the days they were opened and closed."""
    months = pd.date_range(FIRST_CYCLE, EXTRACT_DATE + pd.DateOffset(months=3), freq="MS")
    main = supplier_item.drop_duplicates(["item_id", "location_id"])
    main = main.assign(share=1 / main.groupby("item_id")["location_id"].transform("count"))
    orders = []
    for month in months:
        due = month + pd.to_timedelta(rng.integers(4, 26, len(main)), unit="D")
        quantity = np.round(main["item_id"].map(need[month]).to_numpy() * main["share"].to_numpy() * rng.uniform(0.9, 1.05, len(main)))
        orders.append(pd.DataFrame({
            "item_id": main["item_id"].to_numpy(), "location_id": main["location_id"].to_numpy(), "kind": "purchase", "due_date": due,
            "open_qty": quantity, "supplier_id": main["supplier_id"].to_numpy(),
            "opened_date": due - pd.to_timedelta(main["lead_time_days"].to_numpy() + 2, unit="D")}))
        work = finished_plan[finished_plan["period"] == month]
        orders.append(pd.DataFrame({
            "item_id": work["item_id"].to_numpy(), "location_id": work["location_id"].to_numpy(), "kind": "production",
            "due_date": month + pd.Timedelta(days=9), "open_qty": np.round(work["plan_qty"].to_numpy() * 0.15), "supplier_id": None,
            "opened_date": month - pd.Timedelta(days=8)}))
    every = pd.concat(orders, ignore_index=True)
    late = (every["supplier_id"] == LATE_SUPPLIER) & (every["due_date"] >= "2026-08-01")
    every["closed_date"] = every["due_date"] + pd.to_timedelta(np.where(late, 75, 0), unit="D")
    every = every[(every["opened_date"] <= EXTRACT_DATE) & (every["open_qty"] > 0)]
    every = every.sort_values(["opened_date", "item_id", "location_id", "due_date"])
    every["closed_date"] = every["closed_date"].where(every["closed_date"] <= EXTRACT_DATE)
    letter = np.where(every["kind"] == "purchase", "PO", "WO")
    every["order_id"] = [f"{kind}-{number}" for kind, number in zip(letter, range(40001, 40001 + len(every)), strict=True)]
    return every[["order_id", "item_id", "location_id", "kind", "due_date", "open_qty", "supplier_id", "opened_date", "closed_date"]]


def opportunity() -> pd.DataFrame:
    """Rows of `opportunity`, with the days on which they became known and were closed."""
    rows = [
        ("OP-101", "GG-107", None, "N-PRO", "2026-03-01", 90, 0.6, "won", False, "2025-11-10", "2026-02-20"),
        ("OP-102", "HT-104", None, "W-PRO", "2026-09-01", 150, 0.5, "lost", False, "2026-05-12", "2026-08-25"),
        ("OP-103", "CW-110", None, "W-PRO", "2026-05-01", 600, 0.4, "lost", False, "2026-01-20", "2026-04-15"),
        ("OP-104", "CO-108", None, "N-PRO", "2026-06-01", 180, 0.5, "won", False, "2026-03-11", "2026-05-20"),
        ("OP-105", "GG-107", None, "N-PRO", "2026-08-01", 120, 0.4, "lost", False, "2026-04-14", "2026-07-22"),
        ("OP-201", "GG-107", None, "W-PRO", "2027-03-01", 240, 0.5, "proposal", False, "2026-07-08", None),
        ("OP-202", "HT-104", None, "N-PRO", "2026-11-01", 180, 0.7, "negotiation", False, "2026-08-03", None),
        ("OP-203", None, "Charcoal Grills", "E-RET", "2027-02-01", 900, 0.3, "qualified", False, "2026-08-19", None),
        ("OP-204", "ST-101", None, "S-RET", "2027-04-01", 1200, 0.6, "proposal", False, "2026-06-22", None),
        ("OP-205", "CW-101", None, "W-RET", "2026-11-01", 700, 0.9, "negotiation", True, "2026-08-28", None),
        ("OP-206", None, "Coolers", "N-RET", "2027-05-01", 1500, 0.25, "qualified", False, "2026-09-09", None),
        ("OP-207", "GG-102", None, "N-RET", "2027-03-01", 500, 0.5, "proposal", False, "2026-09-02", None),
        ("OP-208", "HT-106", None, "W-PRO", "2026-10-01", 60, 0.8, "negotiation", False, "2026-07-30", None),
        ("OP-209", "CW-110", None, "N-PRO", "2027-01-01", 300, 0.4, "proposal", False, "2026-09-15", None),
        ("OP-210", "CO-108", None, "W-PRO", "2027-06-01", 220, 0.35, "qualified", False, "2026-09-21", None),
        ("OP-211", None, "Camp Stoves", "W-RET", "2027-05-01", 2500, 0.2, "lead", False, "2026-09-24", None),
    ]
    columns = ["opportunity_id", "item_id", "family", "market_id", "close_period", "volume_qty", "probability_ratio", "stage",
               "is_in_run_rate", "known_date", "closed_date"]
    return pd.DataFrame(rows, columns=columns).astype({"is_in_run_rate": int})


def demand_input(demand: history.Demand, rng: np.random.Generator) -> pd.DataFrame:
    """What sales, marketing and a contract customer handed in before each cycle."""
    return pd.concat([
        rows.assign(known_date=cycle - pd.Timedelta(days=4))
        for cycle in pd.date_range(FIRST_CYCLE, NEWEST_CYCLE, freq="MS")
        for rows in (_sales_input(demand, cycle, rng), _marketing_input(demand, cycle, rng), _customer_input(demand, cycle, rng))
    ])


def as_of_forecast(ordered: np.ndarray, codes: np.ndarray, known_months: int, ahead: int) -> np.ndarray:
    """Seasonal level forecast of every series from its first `known_months` months only (series × ahead).

    The season is the family's, over whole years; the level is the mean of the last six deseasonalised months.
    """
    past = ordered[:, :known_months]
    season = _family_season(past, codes)
    calendar_month = np.arange(known_months + ahead) % 12
    index = season[:, calendar_month]
    recent = slice(max(known_months - 6, 0), known_months)
    level = past[:, recent].sum(axis=1) / index[:, recent].sum(axis=1)
    return level[:, None] * index[:, known_months:]


def plan_archive(demand: history.Demand, flow: history.Flow, routing: pd.DataFrame, capacity: pd.DataFrame,
                 rng: np.random.Generator) -> pd.DataFrame:
    """Plans as locked in earlier cycles, every stream; the statistical one is computed from what was known then."""
    rows = []
    for cycle in ARCHIVED_CYCLES:
        at = history.month_index(cycle)
        ahead = slice(at, at + ARCHIVED_MONTHS)
        codes = demand.series["code"].to_numpy()
        statistical = as_of_forecast(flow.ordered, codes, at, ARCHIVED_MONTHS)
        felt = demand.expected[:, ahead] * rng.normal(1.0, 0.06, (len(codes), ARCHIVED_MONTHS))
        sales = felt * demand.series["region"].map(SALES_BIAS).to_numpy()[:, None]
        marketing = demand.expected[:, ahead] * MARKETING_BIAS * rng.normal(1.0, 0.08, (len(codes), ARCHIVED_MONTHS))
        young = flow.ordered[:, max(at - 6, 0) : at].sum(axis=1) == 0
        statistical[young] = 0.0
        consensus = np.where(young[:, None], marketing, 0.4 * statistical + 0.35 * sales + 0.25 * marketing)
        constrained = consensus * _served_share(consensus, demand, routing, capacity, at)
        streams = {"statistical": statistical, "sales": sales, "marketing": marketing, "consensus": consensus, "constrained": constrained}
        rows += [_archive_rows(cycle, name, values, demand.series) for name, values in streams.items()]
        rows.append(_production_rows(cycle, constrained, demand, flow, at))
    return pd.concat(rows)


def budget(demand: history.Demand, price: pd.DataFrame, standard_cost: pd.Series) -> pd.DataFrame:
    """Rows of `budget`: volume, revenue and margin by family, region and month, ever more ambitious."""
    months = pd.date_range("2025-01-01", "2027-12-01", freq="MS")
    rows = _cells(demand.expected[:, history.month_index(months[0]) : history.month_index(months[-1]) + 1], months, demand.series)
    rows = rows[rows["quantity"] > 0]
    rows["volume_qty"] = rows["quantity"] * rows["period"].dt.year.map(BUDGET_AMBITION)
    rows["revenue_amt"] = rows["volume_qty"] * history.price_at(price, rows)
    rows["margin_amt"] = rows["revenue_amt"] - rows["volume_qty"] * rows["item_id"].map(standard_cost)
    total = rows.groupby(["family", "region", "period"], as_index=False)[["volume_qty", "revenue_amt", "margin_amt"]].sum()
    total[["volume_qty", "revenue_amt", "margin_amt"]] = total[["volume_qty", "revenue_amt", "margin_amt"]].round(0)
    return total.assign(known_date=(total["period"].dt.year - 1).astype(str) + "-06-30")


def ledger(sales: pd.DataFrame, stock_history: pd.DataFrame, standard_cost: pd.Series) -> pd.DataFrame:
    """Rows of `ledger` of the last 36 months: statement and balances that follow from sales and stock."""
    months = pd.date_range("2023-10-01", "2026-09-01", freq="MS")
    cost = sales["shipped_qty"] * sales["item_id"].map(standard_cost)
    revenue = sales.groupby("period")["net_sales_amt"].sum()
    cogs = cost.groupby(sales["period"]).sum()
    value = (stock_history["closing_qty"] * stock_history["item_id"].map(standard_cost)).groupby(stock_history["period"]).sum()
    parts = cogs.rolling(3).mean() * 0.55
    accounts = {
        "revenue": revenue, "cogs": cogs, "gross_margin": revenue - cogs, "freight": revenue * 0.034, "overtime": cogs * 0.006,
        "marketing": revenue * 0.031, "overhead": pd.Series(310_000.0, index=months), "inventory": value + parts,
        "receivables": revenue + 0.5 * revenue.shift(1), "payables": 0.72 * cogs}
    accounts["operating_result"] = accounts["gross_margin"] - sum(accounts[a] for a in ("freight", "overtime", "marketing", "overhead"))
    capital = (accounts["inventory"] + accounts["receivables"] - accounts["payables"]).reindex(months)
    paid_out = INVESTMENT_A_MONTH + np.where(months.month == 6, DIVIDEND, 0.0)
    earned = accounts["operating_result"].reindex(months) * (1 - TAX_RATIO)
    accounts["cash"] = OPENING_CASH + (earned - paid_out).cumsum() - (capital - capital.iloc[0])
    rows = [pd.DataFrame({"account": name, "period": months, "amount_amt": values.reindex(months).round(0).to_numpy()})
            for name, values in accounts.items()]
    return pd.concat(rows)


def _cells(values: np.ndarray, months: pd.DatetimeIndex, series: pd.DataFrame) -> pd.DataFrame:
    """Series × month as rows with item, market, family, region and quantity."""
    rows = np.repeat(np.arange(len(series)), len(months))
    cells = series.iloc[rows][["item_id", "market_id", "family", "region", "channel"]].reset_index(drop=True)
    return cells.assign(period=np.tile(months, len(series)), quantity=values.ravel())


def _sales_input(demand: history.Demand, cycle: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Regional sales managers think in families; each colours what the market is good for."""
    months = pd.date_range(cycle, periods=_months_handed_in(cycle), freq="MS")
    at = history.month_index(cycle)
    total = _cells(demand.expected[:, at : at + len(months)], months, demand.series)
    total = total.groupby(["family", "region", "period"], as_index=False)["quantity"].sum()
    noise = rng.normal(1.0, 0.05, len(total))
    return pd.DataFrame({"source": "sales", "author": total["region"].map(SALES_AUTHOR), "item_id": None, "family": total["family"],
                         "market_id": None, "region": total["region"], "period": total["period"],
                         "input_qty": np.round(total["quantity"] * total["region"].map(SALES_BIAS) * noise),
                         "reason": total["region"].map(SALES_REASON)})


def _marketing_input(demand: history.Demand, cycle: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Marketing thinks in families over all regions, and knows the promotions."""
    months = pd.date_range(cycle, periods=_months_handed_in(cycle), freq="MS")
    at = history.month_index(cycle)
    total = _cells(demand.expected[:, at : at + len(months)], months, demand.series)
    total = total.groupby(["family", "period"], as_index=False)["quantity"].sum()
    return pd.DataFrame({"source": "marketing", "author": MARKETING_AUTHOR, "item_id": None, "family": total["family"], "market_id": None,
                         "region": None, "period": total["period"],
                         "input_qty": np.round(total["quantity"] * MARKETING_BIAS * rng.normal(1.0, 0.03, len(total))),
                         "reason": "Campaign calendar"})


def _customer_input(demand: history.Demand, cycle: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """The contract customer of the West tells what it will call off of its main items in the next four months."""
    months = pd.date_range(cycle, periods=4, freq="MS")
    at = history.month_index(cycle)
    rows = _cells(demand.expected[:, at : at + 4], months, demand.series)
    rows = rows[(rows["market_id"] == "W-RET") & rows["item_id"].isin(["GG-101", "GG-102", "CG-101", "ST-101", "CW-101", "CO-103"])]
    return pd.DataFrame({"source": "customer", "author": "Maison et Jardin", "item_id": rows["item_id"], "family": rows["family"],
                         "market_id": "W-RET", "region": "West", "period": rows["period"],
                         "input_qty": np.round(rows["quantity"] * rng.normal(1.0, 0.03, len(rows))), "reason": "Call-off forecast"})


def _months_handed_in(cycle: pd.Timestamp) -> int:
    """Months an input looks ahead: the whole horizon in the newest cycle, a year before."""
    return 18 if cycle == NEWEST_CYCLE else 12


def _family_season(past: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Season index of each series' family from its whole years of history (series × 12)."""
    years = past.shape[1] // 12
    whole = past[:, past.shape[1] - 12 * years :]
    first = (past.shape[1] - 12 * years) % 12
    season = np.empty((len(codes), 12))
    for code in FAMILY:
        total = whole[codes == code].sum(axis=0).reshape(years, 12)
        index = (total / total.mean(axis=1, keepdims=True)).mean(axis=0)
        season[codes == code] = np.roll(index, first)
    return season


def _served_share(plan: np.ndarray, demand: history.Demand, routing: pd.DataFrame, capacity: pd.DataFrame, at: int) -> np.ndarray:
    """Share of a plan that final assembly can make, by series and month."""
    items, row_of = history.items_of(demand.series)
    quantity = pd.DataFrame(history.add_by_item(plan, row_of, len(items)), index=items)
    hours = capacity.assign(hours=capacity["regular_hours"] + capacity["overtime_hours"])
    limit = hours.pivot(index="resource_id", columns="period", values="hours")
    share = np.ones(quantity.shape)
    steps = routing[routing["item_id"].isin(items)].drop_duplicates("item_id")
    for resource, mine in steps.groupby("resource_id"):
        load = (quantity.loc[mine["item_id"]].to_numpy() * mine["hours_per_unit"].to_numpy()[:, None]).sum(axis=0)
        most = limit.loc[resource, MONTHS[at : at + plan.shape[1]]].to_numpy()
        share[items.get_indexer(mine["item_id"])] = np.minimum(1.0, most * 1.12 / load)  # some is made ahead
    return share[row_of]


def _archive_rows(cycle: pd.Timestamp, stream: str, values: np.ndarray, series: pd.DataFrame) -> pd.DataFrame:
    months = pd.date_range(cycle, periods=values.shape[1], freq="MS")
    cells = _cells(np.round(values), months, series)
    cells = cells[cells["quantity"] > 0].rename(columns={"quantity": "plan_qty"})
    return cells.assign(lock_cycle_id=f"{cycle:%Y-%m}", stream=stream)[ARCHIVE_COLUMNS]


def _production_rows(cycle: pd.Timestamp, plan: np.ndarray, demand: history.Demand, flow: history.Flow, at: int) -> pd.DataFrame:
    """Production plan: make what is planned to be sold and bring stock to its aim, from the stock the cycle opened with."""
    items, row_of = history.items_of(demand.series)
    quantity = history.add_by_item(plan, row_of, len(items))
    stock = flow.closing[:, at - 1].copy()
    made, cover = np.empty_like(quantity), history.cover_months()
    for month in range(quantity.shape[1]):
        coming = quantity[:, min(month + 1, quantity.shape[1] - 1)]
        made[:, month] = np.clip(quantity[:, month] + cover * coming - stock, 0, None)
        stock = stock + made[:, month] - quantity[:, month]
    months = pd.date_range(cycle, periods=quantity.shape[1], freq="MS")
    rows = pd.DataFrame({"item_id": np.repeat(items, len(months)), "period": np.tile(months, len(items))})
    rows["plan_qty"] = np.round(made).ravel()
    rows["market_id"] = rows["item_id"].str[:2].map({code: family.plant for code, family in FAMILY.items()})
    rows = rows[rows["plan_qty"] > 0]
    return rows.assign(lock_cycle_id=f"{cycle:%Y-%m}", stream="production")[ARCHIVE_COLUMNS]
