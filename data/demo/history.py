"""What happened to Varnholt: demand, sales, production and stock of sixty months, and the demand expected ahead.

Arrays are series × month, the months those of `company.MONTHS`; a series is an item in a market.
"""

from __future__ import annotations

from dataclasses import dataclass

import company
import numpy as np
import pandas as pd
from company import HISTORY_MONTHS, MONTHS

COVER_MONTHS = 0.7  # finished stock aimed for, in months of the coming month's demand
LUMPY_COVER_MONTHS = 2.5  # the same where few large orders come
ORDER_SIZE = {"RET": 12, "PRO": 6, "ONL": 1}  # units in an order line, by kind of market
RECORDED_SHARE_WHEN_OUT = 0.3  # of what could not be served, this share is still ordered and so recorded

# Promotions: id, family, item, market, region, first and last month, uplift, pull-forward, cost, known since.
PROMOTIONS = pd.DataFrame(
    [
        ("EV-001", "Gas Grills", None, None, "North", "2022-04-01", "2022-04-01", 0.30, 0.08, 21_000, "2022-01-15"),
        ("EV-002", "Cookware", None, None, None, "2022-11-01", "2022-11-01", 0.35, 0.10, 18_000, "2022-08-15"),
        ("EV-003", "Camp Stoves", None, None, "West", "2023-05-01", "2023-05-01", 0.28, 0.06, 9_000, "2023-02-15"),
        ("EV-004", "Gas Grills", None, None, "North", "2023-04-01", "2023-04-01", 0.32, 0.08, 22_000, "2023-01-15"),
        ("EV-005", "Cookware", None, None, None, "2023-11-01", "2023-11-01", 0.38, 0.10, 19_000, "2023-08-15"),
        ("EV-006", "Coolers", "CO-103", None, None, "2024-06-01", "2024-06-01", 0.50, 0.12, 14_000, "2024-03-15"),
        ("EV-007", "Charcoal Grills", "CG-101", None, "West", "2024-05-01", "2024-05-01", 0.45, 0.10, 11_000, "2024-02-15"),
        ("EV-008", "Gas Grills", None, None, "North", "2024-04-01", "2024-04-01", 0.30, 0.08, 23_000, "2024-01-15"),
        ("EV-009", "Cookware", None, None, None, "2024-11-01", "2024-11-01", 0.36, 0.10, 20_000, "2024-08-15"),
        ("EV-010", "Patio Heaters", "HT-101", None, None, "2025-09-01", "2025-09-01", 0.40, 0.10, 12_000, "2025-06-15"),
        ("EV-011", "Gas Grills", None, None, "North", "2025-04-01", "2025-04-01", 0.33, 0.08, 24_000, "2025-01-15"),
        ("EV-012", "Cookware", None, None, None, "2025-11-01", "2025-11-01", 0.36, 0.10, 21_000, "2025-08-15"),
        ("EV-013", "Camp Stoves", "ST-101", "W-ONL", "West", "2026-06-01", "2026-06-01", 0.60, 0.10, 5_000, "2026-03-15"),
        ("EV-014", "Gas Grills", None, None, "North", "2026-04-01", "2026-04-01", 0.32, 0.08, 25_000, "2026-01-15"),
        ("EV-015", "Coolers", "CO-103", None, None, "2026-06-01", "2026-06-01", 0.45, 0.12, 15_000, "2026-03-15"),
        ("EV-016", "Cookware", None, None, None, "2026-11-01", "2026-11-01", 0.36, 0.10, 22_000, "2026-08-15"),
        ("EV-017", "Gas Grills", None, None, "North", "2027-04-01", "2027-04-01", 0.32, 0.08, 26_000, "2026-09-15"),
        ("EV-018", "Patio Heaters", "HT-108", None, None, "2026-10-01", "2026-10-01", 0.25, 0.05, 8_000, "2026-07-15"),
        ("EV-019", "Coolers", None, None, "South", "2027-06-01", "2027-06-01", 0.25, 0.08, 16_000, "2026-09-15"),
    ],
    columns=["event_id", "family", "item_id", "market_id", "region", "from_period", "to_period", "uplift_ratio", "pull_forward_ratio",
             "cost_amt", "known_date"],
)
# What promotions of 2026 really cost; EV-014 was overspent.
BOOKED_COST = {"EV-013": 5_200, "EV-014": 41_500, "EV-015": 14_600}
# Items without production: the stock runs out. (item, first month, last month, was the stock-out flagged)
PRODUCTION_STOPS = (
    ("GG-103", "2023-04-01", "2023-05-01", True),
    ("CG-104", "2024-05-01", "2024-06-01", True),
    ("ST-103", "2022-06-01", "2022-07-01", True),
    ("ST-104", "2025-06-01", "2025-07-01", True),
    ("CW-102", "2023-11-01", "2023-12-01", True),
    ("CW-106", "2025-11-01", "2025-12-01", True),
    ("HT-103", "2024-10-01", "2024-11-01", True),
    ("CO-104", "2025-06-01", "2025-07-01", True),
    ("GG-105", "2025-05-01", "2025-06-01", True),
    ("CW-105", "2024-08-01", "2024-09-01", False),
    ("HT-102", "2025-02-01", "2025-03-01", False),
)
OUTAGE = {"month": "2026-08-01", "families": ("ST",), "share_made": 0.45}  # fire in the burner cell of Brno
LATE_IGNITERS = {"month": "2026-09-01", "families": ("HT",), "share_made": 0.60}  # SUP-11 delivers late
RAINY_SUMMER = {"months": ("2026-07-01", "2026-08-01", "2026-09-01"), "family": "CO", "factor": 0.78}
# Typing errors in booked orders: (item, market, month, factor).
OUTLIERS = (
    ("CG-101", "N-RET", "2024-07-01", 6.0),
    ("ST-102", "W-RET", "2025-03-01", 5.0),
    ("CW-104", "S-RET", "2023-06-01", 7.0),
    ("CO-102", "N-ONL", "2025-10-01", 6.0),
    ("HT-101", "E-RET", "2024-03-01", 8.0),
)
MISSING_ROWS = (("CW-101", "W-RET", "2025-05-01"), ("GG-102", "N-RET", "2024-10-01"))  # lost in the interface
DELISTED = (("CG-104", "E-RET", "2024-07-01"),)  # no demand from this month on
SALES_AFTER_PHASE_OUT = (("CW-103", "S-RET", "2026-06-01", 24.0),)
OVERBUILT = (("CW-103", "2026-01-01", 1900.0),)  # a last lot that nobody stopped


@dataclass(frozen=True)
class Demand:
    """Series with the demand that the market was good for on average and the demand that came."""

    series: pd.DataFrame  # item_id, market_id, code, region, warehouse
    expected: np.ndarray
    actual: np.ndarray


@dataclass(frozen=True)
class Flow:
    """Sales by series, and production and stock by finished item, over the past months."""

    ordered: np.ndarray
    shipped: np.ndarray
    on_time: np.ndarray
    is_stockout: np.ndarray
    is_unflagged: np.ndarray
    made: np.ndarray  # item × month
    opening: np.ndarray  # item
    closing: np.ndarray  # item × month


def event() -> pd.DataFrame:
    """Rows of `event`: the promotions, the fire in Brno and a launch."""
    promotions = PROMOTIONS.assign(kind="promotion", actual_cost_amt=PROMOTIONS["event_id"].map(BOOKED_COST))
    others = pd.DataFrame(
        [
            ("EV-101", "outage", "Camp Stoves", None, OUTAGE["month"], OUTAGE["month"], 0, "2026-08-12", "BURN2"),
            ("EV-102", "launch", "Gas Grills", "GG-110", "2027-02-01", "2027-02-01", 60_000, "2026-02-10", None),
        ],
        columns=["event_id", "kind", "family", "item_id", "from_period", "to_period", "cost_amt", "known_date", "resource_id"])
    columns = ["event_id", "kind", "item_id", "family", "market_id", "region", "from_period", "to_period", "uplift_ratio",
               "pull_forward_ratio", "cost_amt", "actual_cost_amt", "resource_id", "known_date"]
    return pd.DataFrame([*promotions.reindex(columns=columns).to_dict("records"), *others.to_dict("records")], columns=columns)


def month_index(month: str | pd.Timestamp) -> int:
    """Place of a month on the time axis.

    Examples
    --------
    >>> month_index("2022-01-01")
    3
    """
    month = pd.Timestamp(month)
    return (month.year - company.FIRST_MONTH.year) * 12 + month.month - company.FIRST_MONTH.month


def draw_demand(rng: np.random.Generator) -> Demand:
    """Expected and actual demand of every series and month."""
    series = _series()
    base = _level(series, rng) * _season(series) * _growth(series) * _life(series)
    expected = apply_promotions(base, series)
    actual = np.empty_like(expected)
    for row, noise in enumerate(series["noise"]):
        actual[row] = _lumpy(expected[row], rng) if noise is None else _steady(expected[row], noise, rng)
    rain = (series["code"] == RAINY_SUMMER["family"]).to_numpy()
    for month in RAINY_SUMMER["months"]:
        actual[rain, month_index(month)] *= RAINY_SUMMER["factor"]
    for item, market, month, quantity in SALES_AFTER_PHASE_OUT:
        actual[_one_series(series, item, market), month_index(month)] = quantity
    return Demand(series, expected, np.round(actual))


def apply_promotions(base: np.ndarray, series: pd.DataFrame) -> np.ndarray:
    """Base demand with the promotions' uplift, and their pull-forward from the two following months."""
    demand = base.copy()
    for event in PROMOTIONS.itertuples():
        rows = series_of_event(series, event)
        at = month_index(event.from_period)
        pulled = base[rows, at + 1 : at + 3] * event.pull_forward_ratio
        demand[rows, at] += base[rows, at] * event.uplift_ratio + pulled.sum(axis=1)
        demand[rows, at + 1 : at + 3] -= pulled
    return demand


def series_of_event(series: pd.DataFrame, event: tuple) -> np.ndarray:
    """Which series an event touches."""
    rows = series["family"] == event.family
    for column in ("item_id", "market_id", "region"):
        wanted = getattr(event, column)
        if wanted is not None:
            rows &= series[column] == wanted
    return rows.to_numpy()


def simulate(demand: Demand, rng: np.random.Generator) -> Flow:
    """Make, ship and stock every finished item through the past months; closing = opening + made − shipped."""
    items, row_of = items_of(demand.series)
    item_expected = add_by_item(demand.expected, row_of, len(items))
    cover = cover_months()
    opening = np.round(cover * item_expected[:, 0])
    allowed = _share_made(items)
    flow = Flow(*(np.zeros((len(row_of), HISTORY_MONTHS)) for _ in range(5)), np.zeros((len(items), HISTORY_MONTHS)), opening,
                np.zeros((len(items), HISTORY_MONTHS)))
    overbuilt = {(items.get_loc(item), month_index(month)): quantity for item, month, quantity in OVERBUILT}
    stock = opening.copy()
    for month in range(HISTORY_MONTHS):
        aim = item_expected[:, month] + cover * item_expected[:, month + 1] - stock
        plan_noise = rng.normal(1.0, 0.04, len(items))
        flow.made[:, month] = np.round(np.clip(aim * plan_noise, 0, None) * allowed[:, month])
        for (place, when), quantity in overbuilt.items():
            flow.made[place, month] += quantity * (when == month)
        _ship_month(flow, demand.actual[:, month], row_of, stock + flow.made[:, month], month, rng)
        stock = stock + flow.made[:, month] - add_by_item(flow.shipped[:, [month]], row_of, len(items))[:, 0]
        flow.closing[:, month] = stock
    _unflag(flow, items, row_of)
    return flow


def items_of(series: pd.DataFrame) -> tuple[pd.Index, np.ndarray]:
    """Finished items in order, and the item's place for every series."""
    items = pd.Index(company.finished_specifications()["item_id"])
    return items, items.get_indexer(series["item_id"])


def add_by_item(values: np.ndarray, row_of: np.ndarray, count: int) -> np.ndarray:
    """Series × month added up to item × month."""
    total = np.zeros((count, values.shape[1]))
    np.add.at(total, row_of, values)
    return total


def cover_months() -> np.ndarray:
    """Months of the coming demand that each finished item is stocked for."""
    noise = company.finished_specifications()["noise"]
    return np.where(noise.isna() | (noise > 0.4), LUMPY_COVER_MONTHS, COVER_MONTHS)


def sales_history(demand: Demand, flow: Flow, price: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of `sales_history`: a month without an order has no row, a stock-out that nobody flagged has a zero."""
    rows, months = np.nonzero((flow.ordered > 0) | ((flow.is_unflagged > 0) & (demand.expected[:, :HISTORY_MONTHS] >= 1)))
    sales = demand.series.iloc[rows][["item_id", "market_id"]].reset_index(drop=True)
    sales["period"] = MONTHS[months]
    sales["ordered_qty"] = flow.ordered[rows, months]
    sales["shipped_qty"] = flow.shipped[rows, months]
    sales["on_time_qty"] = flow.on_time[rows, months]
    sales["order_count"], sales["complete_order_count"] = _orders(sales)
    net_price = price_at(price, sales) * (1 - rng.uniform(0.0, 0.03, len(sales)).round(3))
    sales["net_sales_amt"] = (sales["shipped_qty"] * net_price).round(0)
    sales["is_stockout"] = flow.is_stockout[rows, months].astype(int)
    return _with_recording_errors(sales)


def _orders(sales: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Order lines of each row, and those complete and on time: what is late or missing fills as few lines as it can."""
    size = sales["market_id"].str[-3:].map(ORDER_SIZE)
    lines = np.ceil(sales["ordered_qty"] / size)
    return lines.astype(int), (lines - np.ceil((sales["ordered_qty"] - sales["on_time_qty"]) / size)).clip(lower=0).astype(int)


def price_at(price: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """List price of each row's item and market in its period."""
    keyed = rows.reset_index(names="place").sort_values("period")
    found = pd.merge_asof(keyed, price.sort_values("valid_from"), left_on="period", right_on="valid_from", by=["item_id", "market_id"])
    return found.set_index("place")["price_amt"].sort_index().to_numpy()


def stock_and_production(demand: Demand, flow: Flow, first: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`stock_history` by location and `production_history` of finished items from a month on."""
    items, row_of = items_of(demand.series)
    shares = _warehouse_shares(demand, row_of, len(items))
    plant = np.array([company.FAMILY[item[:2]].plant for item in items])
    stock, made = [], []
    for month in range(month_index(first) - 1, HISTORY_MONTHS):
        closing = flow.closing[:, month]
        split = np.floor(closing[:, None] * shares)
        split[:, 0] += closing - split.sum(axis=1)
        for column, location in enumerate(("plant", "W1", "W2")):
            place = plant if location == "plant" else location
            stock.append(pd.DataFrame({"item_id": items, "location_id": place, "period": MONTHS[month], "closing_qty": split[:, column]}))
        made.append(pd.DataFrame({"item_id": items, "location_id": plant, "period": MONTHS[month], "produced_qty": flow.made[:, month]}))
    begun = _months_begun(items)
    stock_history = pd.concat(stock)
    stock_history = stock_history[stock_history["period"] >= stock_history["item_id"].map(begun)]
    production = pd.concat(made[1:])
    return stock_history, production[production["produced_qty"] > 0]


def _series() -> pd.DataFrame:
    """One row per item and market where the item is sold."""
    items = company.finished_specifications()
    series = items.explode("markets").rename(columns={"markets": "market_id"}).reset_index(drop=True)
    series = series.merge(company.MARKETS[["market_id", "region", "channel", "share"]], on="market_id", validate="many_to_one")
    series["family"] = series["code"].map({code: family.name for code, family in company.FAMILY.items()})
    series["warehouse"] = series["region"].map(company.WAREHOUSE_OF_REGION)
    series["noise"] = series["noise"].astype(object).where(series["noise"].notna(), None)
    return series.sort_values(["item_id", "market_id"]).reset_index(drop=True)


def _level(series: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Mean units a month of each series in the middle of the history (series × 1)."""
    family_weight = company.finished_specifications().groupby("code")["weight"].sum()
    units = series["code"].map({code: family.monthly_units for code, family in company.FAMILY.items()})
    item_units = units * series["weight"] / series["code"].map(family_weight)
    # An item sold in few markets sells more in each: the share is taken of the square root of the markets' sum.
    listed = series.groupby("item_id")["share"].transform("sum")
    taste = rng.lognormal(0.0, 0.25, len(series))
    return (item_units * series["share"] / np.sqrt(listed) * taste).to_numpy()[:, None]


def _season(series: pd.DataFrame) -> np.ndarray:
    """Season index by month; online sells flatter, the South earlier."""
    index = np.empty((len(series), len(MONTHS)))
    month = MONTHS.month.to_numpy() - 1
    for row, (code, region, channel) in enumerate(zip(series["code"], series["region"], series["channel"], strict=True)):
        season = np.array(company.FAMILY[code].season)
        season = season / season.mean()
        if region == "South":
            season = 0.7 * season + 0.3 * np.roll(season, -1)
        if channel == "Online":
            season = 1 + 0.8 * (season - 1)
        index[row] = season[month]
    return index


def _growth(series: pd.DataFrame) -> np.ndarray:
    """Growth around the middle of the history; online grows faster, the East shrinks in grills."""
    rate = series["code"].map({code: family.growth_per_year for code, family in company.FAMILY.items()}).to_numpy()
    rate = rate + np.where(series["channel"] == "Online", 0.04, 0.0) - np.where(series["region"] == "East", 0.05, 0.0)
    years = (np.arange(len(MONTHS)) - 30) / 12
    return (1 + rate[:, None]) ** years[None, :]


def _life(series: pd.DataFrame) -> np.ndarray:
    """Launch ramps, phase-outs and what a successor takes over (1 = grown up, 0 = not sold)."""
    life = np.ones((len(series), len(MONTHS)))
    ramp = np.array([0.25, 0.45, 0.60, 0.75, 0.85, 0.95])
    for item, (launch, end, successor, _) in company.LIFECYCLE.items():
        rows = (series["item_id"] == item).to_numpy()
        if launch is not None:
            start = month_index(launch)
            life[rows, :start] = 0.0
            life[rows, start : start + len(ramp)] *= ramp
        if end is not None:
            last = month_index(end)
            fade = np.linspace(0.9, 0.15, 9) if successor else np.linspace(0.9, 0.4, 9)
            life[rows, last - 8 : last + 1] *= fade
            life[rows, last + 1 :] = 0.0
    for item, market, month in DELISTED:
        life[_one_series(series, item, market), month_index(month) :] = 0.0
    return life


def _steady(expected: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Demand around its mean; the noise of small markets is that of single orders."""
    level = rng.poisson(expected) if expected.mean() < 30 else expected
    return level * np.clip(rng.normal(1.0, noise, len(expected)), 0.05, None)


def _lumpy(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Few large orders with the right mean."""
    chance = 0.28
    return (rng.random(len(expected)) < chance) * expected / chance * rng.lognormal(-0.08, 0.4, len(expected))


def _share_made(items: pd.Index) -> np.ndarray:
    """Share of the wanted production that was really made (item × month)."""
    share = np.ones((len(items), HISTORY_MONTHS))
    for item, first, last, _ in PRODUCTION_STOPS:
        share[items.get_loc(item), month_index(first) : month_index(last) + 1] = 0.0
    for stop in (OUTAGE, LATE_IGNITERS):
        share[items.str[:2].isin(stop["families"]), month_index(stop["month"])] = stop["share_made"]
    return share


def _ship_month(flow: Flow, wanted: np.ndarray, row_of: np.ndarray, available: np.ndarray, month: int, rng: np.random.Generator) -> None:
    """Serve a month's orders: in full while stock lasts, else by the same share in every market."""
    item_wanted = np.zeros(len(available))
    np.add.at(item_wanted, row_of, wanted)
    ratio = np.divide(available, item_wanted, out=np.ones_like(available), where=item_wanted > available)
    ratio = ratio[row_of]
    short = ratio < 0.98
    shipped = np.where(ratio < 1, np.floor(wanted * ratio), wanted)
    flow.shipped[:, month] = shipped
    flow.ordered[:, month] = np.where(short, shipped + np.round(RECORDED_SHARE_WHEN_OUT * (wanted - shipped)), wanted)
    punctual = np.clip(rng.normal(0.965, 0.02, len(wanted)), 0.85, 1.0) * np.where(short, 0.8, 1.0)
    flow.on_time[:, month] = np.floor(shipped * punctual)
    flow.is_stockout[:, month] = short & (wanted > 0)


def _unflag(flow: Flow, items: pd.Index, row_of: np.ndarray) -> None:
    """Stock-outs that nobody flagged: what was left counts for nothing, the booked order is zero."""
    for item, first, last, is_flagged in PRODUCTION_STOPS:
        if is_flagged:
            continue
        rows = row_of == items.get_loc(item)
        for month in range(month_index(first), month_index(last) + 1):
            out = rows & (flow.is_stockout[:, month] > 0)
            flow.is_stockout[out, month] = 0
            flow.is_unflagged[out, month] = 1
            flow.ordered[out, month] = flow.shipped[out, month]


def _with_recording_errors(sales: pd.DataFrame) -> pd.DataFrame:
    """Typing errors in ordered quantities and rows lost on the way."""
    sales = sales.copy()
    for item, market, month, factor in OUTLIERS:
        row = _row(sales, item, market, month)
        sales.loc[row, "ordered_qty"] = np.round(sales.loc[row, "ordered_qty"] * factor)
    lost = [_row(sales, *key) for key in MISSING_ROWS]
    return sales.drop(index=np.concatenate(lost)).reset_index(drop=True)


def _one_series(series: pd.DataFrame, item: str, market: str) -> np.ndarray:
    return ((series["item_id"] == item) & (series["market_id"] == market)).to_numpy()


def _row(sales: pd.DataFrame, item: str, market: str, month: str) -> np.ndarray:
    found = sales.index[(sales["item_id"] == item) & (sales["market_id"] == market) & (sales["period"] == month)]
    if len(found) != 1:
        raise ValueError(f"{item} {market} {month}: expected one row, found {len(found)}")
    return found.to_numpy()


def _warehouse_shares(demand: Demand, row_of: np.ndarray, count: int) -> np.ndarray:
    """Share of an item's stock in its plant, in W1 and in W2 (item × 3)."""
    year = demand.expected[:, 48:60].sum(axis=1) + demand.expected[:, 60:78].sum(axis=1)
    warehouse = demand.series["warehouse"].to_numpy()
    by_warehouse = add_by_item(year[:, None] * (warehouse[:, None] == np.array(["W1", "W2"])), row_of, count)
    shares = by_warehouse / by_warehouse.sum(axis=1, keepdims=True)
    return np.concatenate([np.full((count, 1), 0.1), 0.9 * shares], axis=1)


def _months_begun(items: pd.Index) -> dict[str, pd.Timestamp]:
    """First month of each item's stock: what is launched is made the month before."""
    begun = {item: company.FIRST_MONTH for item in items}
    launched = {item: pd.Timestamp(life[0]) for item, life in company.LIFECYCLE.items() if life[0] is not None}
    return begun | {item: launch - pd.DateOffset(months=1) for item, launch in launched.items()}
