"""The financial statement by family, region and period: margin, result, stock, receivables, payables and cash, and the books before it.

What the plan knows by region (sales, the last leg of freight, lateness) stands there. Everything else is attributed by one key, the sales
at standard cost: a family's own costs to the regions it is sold in, costs of no family (bought parts, idle crews) to all
families and regions. Every line is attributed whole, so that the parts sum to the total to the cent.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sop_workbench import finance, inventory
from sop_workbench.finance import ALL_REGIONS, KEY, NOT_ATTRIBUTED
from sop_workbench.kpi import DAYS_PER_YEAR
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.tables import validate

_HELD = ["opening_inventory_amt", "inventory_amt", "holding_cost_amt"]
_NAMED_COSTS = ["overtime_cost_amt", "freight_cost_amt", "holding_cost_amt"]
_LEDGER = {"revenue": "revenue_amt", "cogs": "cogs_amt", "overtime": "overtime_cost_amt", "freight": "freight_cost_amt",
           "operating_result": "ebit_amt", "inventory": "inventory_amt", "receivables": "receivable_amt", "payables": "payable_amt"}
_OVERHEADS = ["overhead", "marketing"]
_RECENT = 3


def financial_statement(
    projection: pd.DataFrame, unmet_demand: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], settings: Settings, calendar: Calendar
) -> pd.DataFrame:
    """The plan's statement by family, region and period.

    gross margin = revenue − sales at standard cost;
    EBIT = gross margin − overtime − freight − holding − other variance − overhead; its sum is the income statement's operating result;
    operating cash = collected − paid, by the days customers take and suppliers are paid in.

    Other variance is what a period costs beyond standard cost besides the three costs named (idle labour, lateness, hiring, purchase
    prices, what is made for stock …): that of the whole company, attributed by sales at standard cost. Overhead is attributed by revenue.
    Stock of bought parts stays under the family `materials`.

    Parameters
    ----------
    projection : DataFrame
        `financial_projection` of the plan.
    unmet_demand : DataFrame
        Served quantities, valued at actual cost where `unit_cost_history` knows one (the newest before the plan, else standard cost).
    inputs : mapping of DataFrame
        Input tables.
    settings, calendar
        Days of credit and the length of a period.

    Returns
    -------
    DataFrame
        The `financial_statement` table, source `plan`.
    """
    share, by_revenue = (_share(projection, measure) for measure in ("cogs_amt", "revenue_amt"))
    lines = _every_cell(_attributed(projection, share), share, by_revenue)
    income = finance.income_statement(projection, calendar, inputs["ledger"]).query("source == 'plan'").set_index("period")
    lines["gross_margin_amt"] = lines["revenue_amt"] - lines["cogs_amt"]
    other = income["variance_amt"] - lines.groupby("period")[_NAMED_COSTS].sum().sum(axis=1)
    lines["other_variance_amt"] = _spread(other, share, lines)
    lines["overhead_amt"] = _spread(income["overhead_amt"], by_revenue, lines)
    costs = [*_NAMED_COSTS, "other_variance_amt", "overhead_amt"]
    lines["ebit_amt"] = lines["gross_margin_amt"] - lines[costs].sum(axis=1)
    lines["actual_cogs_amt"] = _at_actual_cost(unmet_demand, inputs, lines)
    lines = lines.join(_cash(lines, share, inputs, settings, calendar))
    columns = ["revenue_amt", "cogs_amt", "actual_cogs_amt", "gross_margin_amt", *costs, "ebit_amt", "inventory_amt", "receivable_amt",
               "payable_amt", "operating_cash_amt"]
    kept = lines[columns]
    kept = kept[(kept.notna() & (kept != 0)).any(axis=1)].reset_index().assign(source="plan")
    return validate("financial_statement", kept.sort_values(KEY, ignore_index=True))


def _share(projection: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Share of each family and region in a period's sales (the horizon's where the period has none); period × (family, region)."""
    by = ["family", "region"]
    sold = projection[projection["region"] != ALL_REGIONS]
    whole = sold.groupby(by)[measure].sum()
    whole = whole[whole > 0]
    periods = pd.Index(projection["period"].unique(), name="period").sort_values()
    if whole.empty:
        index = pd.MultiIndex.from_tuples([(NOT_ATTRIBUTED, ALL_REGIONS)], names=by)
        return pd.DataFrame(1.0, index=periods, columns=index)
    wide = sold.pivot_table(index="period", columns=by, values=measure, aggfunc="sum", fill_value=0.0)
    wide = wide.reindex(index=periods, columns=whole.index, fill_value=0.0)
    wide[wide.sum(axis=1) <= 0] = np.broadcast_to(whole.to_numpy(), wide.shape)[wide.sum(axis=1) <= 0]
    return wide.div(wide.sum(axis=1), axis=0)


def _attributed(projection: pd.DataFrame, share: pd.DataFrame) -> pd.DataFrame:
    """Every line of the projection by family, region and period, nothing left under region `all`."""
    measures = [c for c in projection.columns if c.endswith("_amt") and c not in ("profit_amt", "gross_margin_amt", "demand_amt")]
    is_placed = projection["region"] != ALL_REGIONS
    families = share.columns.get_level_values("family").unique()
    is_sold = projection["family"].isin(families)
    common = projection[~is_placed & ~is_sold]
    parts = [
        projection[is_placed],
        _to_regions(projection[~is_placed & is_sold], share, measures),
        _to_regions(common[[*KEY, *_HELD]], share, _HELD),  # stock of parts stays with them
        _to_cells(common.groupby("period")[[m for m in measures if m not in _HELD]].sum(), share),
    ]
    lines = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return lines.groupby(KEY)[measures].sum()


def _every_cell(lines: pd.DataFrame, *shares: pd.DataFrame) -> pd.DataFrame:
    """A row for every family, region and period that anything is attributed to; no row so far is no money."""
    cells = lines.index.droplevel("period").unique().union(shares[0].columns).union(shares[1].columns)
    index = pd.MultiIndex.from_tuples([(*cell, period) for cell in cells for period in shares[0].index], names=KEY)
    return lines.reindex(index, fill_value=0.0)


def _to_regions(rows: pd.DataFrame, share: pd.DataFrame, measures: list[str]) -> pd.DataFrame:
    """Rows of a family split over its regions; over those of the company where the family itself is not sold."""
    own, every = share.T.groupby("region").sum().T, share.columns.get_level_values("family")
    found = []
    for family, part in rows.groupby("family"):
        mine = share[family] if family in every else own
        mine = mine.where(mine.sum(axis=1) > 0, mine.sum(), axis=1)  # a period without sales: the horizon's
        mine = mine.div(mine.sum(axis=1), axis=0).reindex(part["period"])
        for region in mine.columns:
            amounts = part[measures].mul(mine[region].to_numpy(), axis=0)
            found.append(part[["family", "period"]].assign(region=region).join(amounts))
    return pd.concat(found, ignore_index=True) if found else rows


def _to_cells(amounts: pd.DataFrame, share: pd.DataFrame) -> pd.DataFrame:
    """Amounts by period split over every family and region."""
    found = []
    for family, region in share.columns:
        part = amounts.mul(share[(family, region)].reindex(amounts.index), axis=0)
        found.append(part.reset_index().assign(family=family, region=region))
    return pd.concat(found, ignore_index=True)


def _spread(amount: pd.Series, share: pd.DataFrame, lines: pd.DataFrame) -> pd.Series:
    """One amount a period split over the cells; a row without a share gets nothing."""
    cells = share.mul(amount.reindex(share.index), axis=0).T.stack()
    cells.index = cells.index.set_names(["family", "region", "period"])
    missing = cells.index.difference(lines.index)
    if len(missing) and cells.loc[missing].abs().sum() > 1e-6:
        raise ArithmeticError("statement: an amount is attributed to a family and region without a row")
    return cells.reindex(lines.index).fillna(0.0)  # bought parts and the like bear none of it


def _at_actual_cost(unmet_demand: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], lines: pd.DataFrame) -> pd.Series:
    """What is sold at the newest actual cost of its items, standard cost where none is booked; empty where none is booked at all."""
    booked = inputs["unit_cost_history"]
    booked = booked[booked["period"] < unmet_demand["period"].min()].sort_values("period").drop_duplicates("item_id", keep="last")
    if booked.empty:
        return pd.Series(np.nan, index=lines.index)
    cost = booked.set_index("item_id")["actual_cost_amt"]
    standard = inventory.unit_value(inputs["item"], inputs["supplier_item"])
    unit = unmet_demand["item_id"].map(cost).fillna(unmet_demand["item_id"].map(standard))
    rows = unmet_demand.assign(
        amount=unmet_demand["served_qty"] * unit, family=unmet_demand["item_id"].map(finance.family_of(inputs["item"])),
        region=unmet_demand["market_id"].map(inputs["market"].set_index("market_id")["region"]))
    return rows.groupby(KEY)["amount"].sum().reindex(lines.index).fillna(0.0)  # nothing sold there


def _cash(
    lines: pd.DataFrame, share: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], settings: Settings, calendar: Calendar
) -> pd.DataFrame:
    """Receivables, payables and operating cash of every cell; the same rules as `cash_projection`, which their sums equal."""
    periods = share.index
    opening = finance.opening_balances(dict(inputs), settings, calendar, periods.min())
    days = DAYS_PER_YEAR / calendar.buckets_per_year
    arriving = _spread(finance.open_purchases(dict(inputs), periods, calendar), share, lines)
    bills = _wide(lines[finance.SUPPLIERS_SEND_BILLS].sum(axis=1) + arriving, periods)
    revenue = _wide(lines["revenue_amt"], periods)
    at_once = _wide(lines[finance.PAID_AT_ONCE].sum(axis=1) + lines["overhead_amt"], periods)
    owed_us, we_owe = (_opening(total, revenue.columns, key) for total, key in (
        (opening["receivables"], _recent_sales(inputs, periods.min(), revenue)), (opening["payables"], bills.sum())))
    collected = _later(revenue, settings.finance.receivable_days / days, owed_us)
    paid = _later(bills, settings.finance.payable_days / days, we_owe)
    found = {"receivable_amt": owed_us + (revenue - collected).cumsum(), "payable_amt": we_owe + (bills - paid).cumsum(),
             "operating_cash_amt": collected - paid - at_once}
    made = pd.DataFrame({name: wide.T.stack() for name, wide in found.items()})
    made.index = made.index.set_names(KEY)
    return made


def _wide(amounts: pd.Series, periods: pd.Index) -> pd.DataFrame:
    """Period × (family, region); no row is no money."""
    return amounts.unstack(["family", "region"]).reindex(periods).fillna(0.0)


def _later(flows: pd.DataFrame, delay: float, opening: pd.Series) -> pd.DataFrame:
    return flows.apply(lambda flow: finance.paid_later(flow, delay, float(opening[flow.name])))


def _opening(total: float, cells: pd.Index, key: pd.Series) -> pd.Series:
    """An opening balance split over the cells by a key that is not negative; evenly where the key says nothing."""
    weight = key.reindex(cells).clip(lower=0).fillna(0.0)
    weight = weight if weight.sum() > 0 else pd.Series(1.0, index=cells)
    return total * weight / weight.sum()


def _recent_sales(inputs: Mapping[str, pd.DataFrame], first: pd.Timestamp, revenue: pd.DataFrame) -> pd.Series:
    """Net sales of the last periods before the plan by family and region: who owes what; the plan's revenue where none are known."""
    sales = inputs["sales_history"]
    past = sales[(sales["period"] < first) & sales["net_sales_amt"].notna()]
    recent = past[past["period"].isin(sorted(past["period"].unique())[-_RECENT:])]
    named = recent.assign(family=recent["item_id"].map(finance.family_of(inputs["item"])),
                          region=recent["market_id"].map(inputs["market"].set_index("market_id")["region"]))
    found = named.groupby(["family", "region"])["net_sales_amt"].sum()
    return found if found.reindex(revenue.columns).sum() > 0 else revenue.sum()


# ------------------------------------------------------------------ the books before the plan
def past_statement(inputs: Mapping[str, pd.DataFrame], before: pd.Timestamp, calendar: Calendar, periods: int = 12) -> pd.DataFrame:
    """The statement of the periods before the plan: what is known by family and region, and the rest of the ledger beside it.

    Revenue and sales at standard cost come from sales_history, stock from stock_history. What the ledger has beyond their sum, and its
    lines that are booked for the whole company only, stand under family `not attributed`, region `all`: the parts sum to the ledger.

    Parameters
    ----------
    inputs : mapping of DataFrame
        item, market, supplier_item, sales_history, stock_history, unit_cost_history, ledger.
    before : Timestamp
        First planned period.
    calendar : Calendar
        Counts periods back.
    periods : int
        How many periods are shown; no figure of the plan rests on them.

    Returns
    -------
    DataFrame
        The `financial_statement` table, source `actual`.
    """
    span = (calendar.add(before, -periods), calendar.add(before, -1))
    known = _booked_sales(inputs, span).join(_booked_stock(inputs, span), how="outer")
    rest = _rest_of_ledger(inputs["ledger"], known, span)
    rows = pd.concat([known.reset_index(), rest], ignore_index=True) if len(rest) else known.reset_index()
    rows = rows.reindex(columns=[*KEY, *dict.fromkeys([*_LEDGER.values(), "gross_margin_amt", "overhead_amt", "actual_cogs_amt"])])
    rows["gross_margin_amt"] = rows["revenue_amt"] - rows["cogs_amt"]
    return validate("financial_statement", rows.assign(source="actual").sort_values(KEY, ignore_index=True))


def _booked_sales(inputs: Mapping[str, pd.DataFrame], span: tuple[pd.Timestamp, pd.Timestamp]) -> pd.DataFrame:
    sales = inputs["sales_history"]
    sales = sales[sales["period"].between(*span)].dropna(subset=["net_sales_amt"])
    units = sales["shipped_qty"].fillna(sales["ordered_qty"])  # shipping not known: taken as ordered
    unit = sales["item_id"].map(inventory.unit_value(inputs["item"], inputs["supplier_item"]))
    booked = inputs["unit_cost_history"].set_index(["item_id", "period"])["actual_cost_amt"]
    actual = pd.Series(booked.reindex(pd.MultiIndex.from_frame(sales[["item_id", "period"]])).to_numpy(), index=sales.index).fillna(unit)
    rows = sales.assign(family=sales["item_id"].map(finance.family_of(inputs["item"])),
                        region=sales["market_id"].map(inputs["market"].set_index("market_id")["region"]),
                        revenue_amt=sales["net_sales_amt"], cogs_amt=units * unit,
                        actual_cogs_amt=units * actual if len(booked) else np.nan)
    return rows.groupby(KEY)[["revenue_amt", "cogs_amt", "actual_cogs_amt"]].sum(min_count=1)


def _booked_stock(inputs: Mapping[str, pd.DataFrame], span: tuple[pd.Timestamp, pd.Timestamp]) -> pd.DataFrame:
    """Closing stock by family; it belongs to no region yet."""
    stock = inputs["stock_history"]
    stock = stock[stock["period"].between(*span)]
    worth = stock["closing_qty"] * stock["item_id"].map(inventory.unit_value(inputs["item"], inputs["supplier_item"]))
    rows = stock.assign(family=stock["item_id"].map(finance.family_of(inputs["item"])), region=ALL_REGIONS, inventory_amt=worth)
    return rows.groupby(KEY)[["inventory_amt"]].sum(min_count=1)


def _rest_of_ledger(ledger: pd.DataFrame, known: pd.DataFrame, span: tuple[pd.Timestamp, pd.Timestamp]) -> pd.DataFrame:
    """What the ledger has beyond the parts, by period; lines it does not book stay empty."""
    booked = ledger[ledger["period"].between(*span)].pivot(index="period", columns="account", values="amount_amt")
    if booked.empty:
        return pd.DataFrame()
    lines = booked.reindex(columns=list(_LEDGER)).rename(columns=_LEDGER)
    lines["overhead_amt"] = booked.reindex(columns=_OVERHEADS).sum(axis=1, min_count=1)
    parts = known.groupby("period").sum(min_count=1).reindex(index=lines.index, columns=lines.columns)
    rest = lines - parts.where(parts.notna(), 0.0)  # a line without parts stands whole
    return rest.dropna(how="all").reset_index().assign(family=NOT_ATTRIBUTED, region=ALL_REGIONS)
