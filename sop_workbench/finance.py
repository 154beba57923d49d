"""The plan in money: projection, gap to budget, income, cash, and bridges whose bars sum exactly.

Each cost has one function here that values the rows of the plan; the optimiser's cost terms equal these
figures. Sums of no rows are no money, so zero is meant where a family or period has no such cost;
a rate that is missing for a quantity that is not zero is an error, never zero.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import inventory
from sop_workbench.errors import DataError
from sop_workbench.kpi import DAYS_PER_YEAR
from sop_workbench.lots import hours_at_usual_lots
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.tables import finding, issue_frame, key_text, table, validate

KEY = ["family", "region", "period"]
ALL_REGIONS = "all"
MATERIALS = "materials"
NOT_ATTRIBUTED = "not attributed"
ALL_FAMILIES = "all families"
COSTS = ("production_cost_amt", "labour_cost_amt", "overtime_cost_amt", "hiring_cost_amt", "setup_cost_amt", "subcontract_cost_amt",
         "purchase_cost_amt", "freight_cost_amt", "holding_cost_amt", "backlog_cost_amt")
SUPPLIERS_SEND_BILLS = ["purchase_cost_amt", "subcontract_cost_amt", "freight_cost_amt"]
PAID_AT_ONCE = ["production_cost_amt", "labour_cost_amt", "overtime_cost_amt", "hiring_cost_amt", "setup_cost_amt"]
_WHOLE = {ALL_FAMILIES, "all", "all regions", "total", ""}
_PLACE = ["item_id", "location_id"]
_CENT = 0.005
_LEDGER_LINES = {"revenue": "revenue_amt", "cogs": "cogs_amt", "operating_result": "operating_result_amt", "inventory": "inventory_amt"}
_OVERHEADS = ("overhead", "marketing")


# ------------------------------------------------------------------ projection
def project_financials(
    supply_plan: pd.DataFrame, resource_plan: pd.DataFrame, shipment_plan: pd.DataFrame, purchase_plan: pd.DataFrame,
    unmet_demand: pd.DataFrame, inventory_projection: pd.DataFrame, inputs: dict[str, pd.DataFrame],
    settings: Settings, calendar: Calendar,
) -> pd.DataFrame:
    """Value every row of the plan, by family, region and period.

    Revenue, cost of sales, lateness and the last leg of freight belong to the market's region; every other cost stands
    under region `all`. Regular, overtime and hiring cost of a resource are shared among families by the routing hours
    they use in the period; pay without hours stands under family `not attributed`.

    profit = revenue − (production + labour + overtime + hiring + setup + subcontract + purchase + freight + holding + backlog)

    Parameters
    ----------
    supply_plan, resource_plan, shipment_plan, purchase_plan, unmet_demand, inventory_projection : DataFrame
        Result tables of one plan.
    inputs : dict of DataFrame
        Input tables with the rates: item, market, resource, workforce, production, routing, lane, supplier_item.
    settings, calendar
        The holding rate and the number of periods in a year.

    Returns
    -------
    DataFrame
        The `financial_projection` table in reporting currency; totals equal the sum of the plan's rows.

    Raises
    ------
    DataError
        When a rate is missing for a quantity that is not zero.
    """
    parts = [
        _sales(unmet_demand, inputs),
        _lateness(unmet_demand, inputs),
        _production(supply_plan, inputs),
        _crews(resource_plan, supply_plan, inputs),
        _purchases(purchase_plan, inputs),
        _freight(shipment_plan, inputs),
        _stock(inventory_projection, inputs, settings, calendar),
    ]
    measures = ["demand_amt", "revenue_amt", *COSTS, "cogs_amt", "opening_inventory_amt", "inventory_amt", "scheduled_receipt_amt"]
    plan = pd.concat(parts, ignore_index=True).reindex(columns=[*KEY, *measures]).groupby(KEY)[measures].sum().reset_index()
    plan["profit_amt"] = plan["revenue_amt"] - plan[list(COSTS)].sum(axis=1)
    plan["gross_margin_amt"] = plan["revenue_amt"] - plan["cogs_amt"]
    return validate("financial_projection", plan)


def family_of(item: pd.DataFrame) -> pd.Series:
    """Family of every item, by item_id; bought or made parts without a family are `materials`.

    Examples
    --------
    >>> family_of(pd.DataFrame({"item_id": ["B1", "P1"], "family": ["Bikes", None]})).to_dict()
    {'B1': 'Bikes', 'P1': 'materials'}
    """
    return item.set_index("item_id")["family"].replace("", None).fillna(MATERIALS)


def _sales(unmet_demand: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    rows = _rated(_by_market(unmet_demand, inputs), _unit_value(inputs), ["item_id"], "served_qty", "value_amt", "item")
    rows["demand_amt"] = rows["demand_qty"] * rows["price_amt"]
    at_price = rows["served_qty"] * rows["price_amt"]
    # A late unit earns the price it was ordered at, which the plan knows; a table that does not say is served at the period's price.
    rows["revenue_amt"] = rows["revenue_amt"].fillna(at_price) if "revenue_amt" in rows else at_price
    return _kept(rows.rename(columns={"amount": "cogs_amt"}), ["demand_amt", "revenue_amt", "cogs_amt"])


def _lateness(unmet_demand: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    # A late unit is late wherever it will be made: the item's dearest backlog cost counts; an item without one may wait for free.
    rate = inputs["production"].groupby("item_id")["backlog_cost_amt"].max()
    rows = _by_market(unmet_demand, inputs)
    rows["backlog_cost_amt"] = rows["backlog_qty"] * rows["item_id"].map(rate).fillna(0.0)
    return _kept(rows, ["backlog_cost_amt"])


def _production(supply_plan: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    rows = supply_plan[["item_id", "location_id", "period", "production_qty", "subcontract_qty"]]
    rows = _rated(rows, inputs["production"], _PLACE, "production_qty", "variable_cost_amt", "production").rename(
        columns={"amount": "production_cost_amt"})
    rows = _rated(rows, inputs["production"], _PLACE, "subcontract_qty", "subcontract_cost_amt", "production")
    rows["subcontract_cost_amt"] = rows["amount"]
    # The number of lots is known to the supply plan alone; where lots are not planned there is no set-up cost.
    rows["setup_cost_amt"] = supply_plan["setup_cost_amt"].fillna(0.0).to_numpy() if "setup_cost_amt" in supply_plan else 0.0
    rows = rows.assign(family=rows["item_id"].map(family_of(inputs["item"])), region=ALL_REGIONS)
    return _kept(rows, ["production_cost_amt", "subcontract_cost_amt", "setup_cost_amt"])


def _crews(resource_plan: pd.DataFrame, supply_plan: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Pay of every resource, shared among families by the hours they use."""
    costs = ["labour_cost_amt", "overtime_cost_amt", "hiring_cost_amt"]
    shares = _hour_shares(supply_plan, inputs)
    rows = _pay(resource_plan, inputs).merge(shares, on=["resource_id", "period"], how="left", validate="1:m")
    rows["family"] = rows["family"].fillna(NOT_ATTRIBUTED)
    rows["share"] = rows["share"].fillna(1.0)  # pay without hours goes whole to `not attributed`
    rows[costs] = rows[costs].mul(rows["share"], axis=0)
    is_paid = (rows[costs] != 0).any(axis=1)
    return _kept(rows[is_paid | (rows["family"] != NOT_ATTRIBUTED)].assign(region=ALL_REGIONS), costs)


def _pay(resource_plan: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Regular, overtime and hiring cost by resource and period; a crew whose size is decided is paid by head."""
    rates = inputs["resource"].drop(columns=["location_id", "resource_name"], errors="ignore")
    rows = resource_plan.merge(rates, on="resource_id", how="left", validate="m:1")
    rows = rows.merge(inputs["workforce"].drop(columns=["max_workers"]), on="resource_id", how="left", validate="m:1")
    is_crew = rows["regular_cost_amt_per_worker"].notna()
    hourly = (rows["used_hours"] - rows["overtime_used_hours"]) * rows["regular_cost_amt_per_hour"]
    moves = rows["hired_count"] * rows["hire_cost_amt"] + rows["laid_off_count"] * rows["layoff_cost_amt"]
    return rows[["resource_id", "period"]].assign(
        labour_cost_amt=hourly.where(~is_crew, rows["worker_count"] * rows["regular_cost_amt_per_worker"]),
        overtime_cost_amt=rows["overtime_used_hours"] * rows["overtime_cost_amt_per_hour"],
        hiring_cost_amt=moves.where(is_crew, 0.0),  # no crew to hire or lay off: no such cost
    )


def _hour_shares(supply_plan: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Share of each family in the hours of a resource and period (those of lots without a usual size aside); none where none is used."""
    routing = hours_at_usual_lots(inputs["routing"], inputs["production"])
    rows = supply_plan.merge(routing, on=["item_id", "location_id"], how="inner", validate="m:m")
    rows["hours"] = rows["production_qty"] * rows["hours_per_unit"]
    rows["family"] = rows["item_id"].map(family_of(inputs["item"]))
    hours = rows.groupby(["resource_id", "period", "family"], as_index=False)["hours"].sum()
    hours["share"] = hours["hours"] / hours.groupby(["resource_id", "period"])["hours"].transform("sum")
    return hours.loc[hours["hours"] > 0, ["resource_id", "period", "family", "share"]]


def _purchases(purchase_plan: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    key = ["item_id", "supplier_id", "location_id"]
    rows = purchase_plan.assign(family=purchase_plan["item_id"].map(family_of(inputs["item"])), region=ALL_REGIONS)
    rows = _rated(rows.drop(columns="purchase_cost_amt"), inputs["supplier_item"], key, "purchase_qty", "unit_cost_amt", "supplier_item")
    # Money is owed when goods arrive, so the cost stands in the period of receipt.
    rows = rows.drop(columns="period").rename(columns={"receipt_period": "period", "amount": "purchase_cost_amt"})
    return _kept(rows, ["purchase_cost_amt"])


def _freight(shipment_plan: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Freight by lane; a lane of one item goes before the lane of every item."""
    ends = ["from_location_id", "to_id"]
    lane = inputs["lane"][[*ends, "item_id", "freight_cost_amt"]]
    rows = shipment_plan[[*ends, "item_id", "period", "shipped_qty"]]
    own = rows.merge(lane, on=[*ends, "item_id"], how="left", validate="m:1")["freight_cost_amt"]
    common = rows.merge(lane[lane["item_id"] == ""].drop(columns="item_id"), on=ends, how="left", validate="m:1")["freight_cost_amt"]
    rows = rows.assign(rate=own.fillna(common).to_numpy(), family=rows["item_id"].map(family_of(inputs["item"])))
    _refuse_missing(rows, "shipped_qty", "rate", "lane", [*ends, "item_id"])
    to_market = rows["to_id"].map(inputs["market"].set_index("market_id")["region"])
    rows["region"] = to_market.fillna(ALL_REGIONS)  # the way to another location belongs to no market
    rows["freight_cost_amt"] = (rows["shipped_qty"] * rows["rate"]).where(rows["shipped_qty"] != 0, 0.0)
    return _kept(rows, ["freight_cost_amt"])


def _stock(inventory_projection: pd.DataFrame, inputs: dict[str, pd.DataFrame], settings: Settings, calendar: Calendar) -> pd.DataFrame:
    rows = inventory_projection[[*_PLACE, "period", "opening_qty", "scheduled_qty", "closing_qty"]]
    rates = inventory.holding_cost(rows[_PLACE].drop_duplicates(), inputs, settings, calendar)
    rows = rows.merge(rates, on=_PLACE, how="left", validate="m:1")
    rows["holding_cost_amt"] = rows["closing_qty"] * rows["holding_cost_amt"]
    rows["opening_inventory_amt"] = rows["opening_qty"] * rows["value_amt"]
    rows["inventory_amt"] = rows["closing_qty"] * rows["value_amt"]
    rows["scheduled_receipt_amt"] = rows["scheduled_qty"] * rows["value_amt"]
    rows = rows.assign(family=rows["item_id"].map(family_of(inputs["item"])), region=ALL_REGIONS)
    return _kept(rows, ["holding_cost_amt", "opening_inventory_amt", "inventory_amt", "scheduled_receipt_amt"])


def _unit_value(inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return inventory.unit_value(inputs["item"], inputs["supplier_item"]).reset_index()


def _by_market(unmet_demand: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    region = inputs["market"].set_index("market_id")["region"]
    return unmet_demand.assign(family=unmet_demand["item_id"].map(family_of(inputs["item"])), region=unmet_demand["market_id"].map(region))


def _rated(rows: pd.DataFrame, rates: pd.DataFrame, key: list[str], quantity: str, rate: str, table: str) -> pd.DataFrame:
    """Rows with `amount` = quantity × rate; a rate may be missing only where the quantity is zero."""
    out = rows.drop(columns=[rate, "amount"], errors="ignore").merge(rates[[*key, rate]], on=key, how="left", validate="m:1")
    _refuse_missing(out, quantity, rate, table, key)
    out["amount"] = (out[quantity] * out[rate]).where(out[quantity] != 0, 0.0)
    return out


def _refuse_missing(rows: pd.DataFrame, quantity: str, rate: str, table: str, key: list[str]) -> None:
    missing = rows[(rows[quantity] != 0) & rows[rate].isna()]
    if len(missing):
        raise DataError(issue_frame([finding("missing_rate", "blocks", table, key_text(missing.drop_duplicates(key), key), len(missing), "",
                                             f"enter the cost: the plan's {quantity} cannot be valued without it")]))


def _kept(rows: pd.DataFrame, measures: list[str]) -> pd.DataFrame:
    return rows[[*KEY, *measures]]


# ------------------------------------------------------------------ budget
def budget_gap(financial_projection: pd.DataFrame, budget: pd.DataFrame) -> pd.DataFrame:
    """Plan against budget, at the level the budget is written at.

    gap = plan − budget = (unconstrained demand − budget) + (plan − unconstrained demand)

    A budget row for `all families` (or region `all`) is compared with the plan's sum over them. Periods that the budget
    does not cover are left out. A family or region it does not name in a period it covers has no budget, and so no gap: its
    demand and revenue stand in the table with an empty budget, so that `left_out` can say what no budget speaks of. Whoever adds gaps
    up compares what is budgeted (`budgeted`) and nothing else. A budget for what the plan does not sell is a gap too.

    Parameters
    ----------
    financial_projection, budget : DataFrame
        The result table and the input table of these names.

    Returns
    -------
    DataFrame
        The `budget_gap` table; empty when there is no budget.

    Raises
    ------
    DataError
        When a period has rows for `all families` (or all regions) beside rows for single ones: money would count twice.
    """
    measures = ["demand_amt", "revenue_amt", "gross_margin_amt"]
    plan = financial_projection[KEY + measures]
    both = plan[plan["period"].isin(budget["period"])].merge(_budget_levels(budget), on="period", how="inner", validate="m:1")
    both["family"] = both["family"].where(~both["is_family_total"], ALL_FAMILIES)
    both["region"] = both["region"].where(~both["is_region_total"], ALL_REGIONS)
    planned = both.groupby(KEY, as_index=False)[measures].sum()
    planned = planned[(planned[measures] != 0).any(axis=1)]
    names = {"revenue_amt": "budget_revenue_amt", "margin_amt": "budget_margin_amt"}
    budgeted = budget[budget["period"].isin(plan["period"])].rename(columns=names)[[*KEY, *names.values()]]
    budgeted["family"] = _totals_named(budgeted["family"], ALL_FAMILIES)
    budgeted["region"] = _totals_named(budgeted["region"], ALL_REGIONS)
    gap = planned.merge(budgeted, on=KEY, how="outer", validate="1:1")
    # Not in the plan, which speaks for everything: no sale is planned. Not in the budget: not budgeted, which is not zero.
    gap[measures] = gap[measures].fillna(0.0)
    gap["gap_amt"] = gap["revenue_amt"] - gap["budget_revenue_amt"]
    gap["demand_gap_amt"] = gap["demand_amt"] - gap["budget_revenue_amt"]
    gap["supply_gap_amt"] = gap["revenue_amt"] - gap["demand_amt"]
    gap["margin_gap_amt"] = gap["gross_margin_amt"] - gap["budget_margin_amt"]
    return validate("budget_gap", gap.sort_values(KEY, ignore_index=True))


def budgeted(gap: pd.DataFrame) -> pd.DataFrame:
    """The rows of `budget_gap` that a budget speaks of: the only ones whose gaps may be added up."""
    return gap[gap["budget_revenue_amt"].notna()]


def left_out(gap: pd.DataFrame) -> tuple[float, list[str]]:
    """Revenue of the plan that no budget speaks of in the periods it covers, and where it is earned: families, or regions if fewer.

    Examples
    --------
    >>> gap = pd.DataFrame({"family": ["Bikes", "Bikes", "Parts"], "region": ["North", "South", "South"], "revenue_amt": [90.0, 40.0, 2.0],
    ...                     "budget_revenue_amt": [100.0, None, None]})
    >>> left_out(gap)
    (42.0, ['South'])
    """
    rows = gap[gap["budget_revenue_amt"].isna()]
    families, regions = (sorted(rows[column].unique()) for column in ("family", "region"))
    return float(rows["revenue_amt"].sum()), [str(name) for name in (families if len(families) <= len(regions) else regions)]


def has_budget(rows: pd.DataFrame, budget: pd.DataFrame) -> pd.Series:
    """Tell for each row with family, region and period whether a budget row speaks of it, by itself or in a total."""
    named = budget.assign(family=_totals_named(budget["family"], ALL_FAMILIES), region=_totals_named(budget["region"], ALL_REGIONS))
    known = set(zip(named["family"], named["region"], named["period"], strict=True))
    cells = zip(rows["family"], rows["region"], rows["period"], strict=True)
    found = [any((f, r, p) in known for f in (family, ALL_FAMILIES) for r in (region, ALL_REGIONS)) for family, region, p in cells]
    return pd.Series(found, index=rows.index, dtype=bool)


def _budget_levels(budget: pd.DataFrame) -> pd.DataFrame:
    """Say for each period whether the budget is written for all families together, and for all regions together."""
    rows = budget[["period"]].assign(is_family_total=_is_whole(budget["family"]), is_region_total=_is_whole(budget["region"]))
    mixed = rows.groupby("period")[["is_family_total", "is_region_total"]].nunique().gt(1).any(axis=1)
    if mixed.any():
        wrong = budget[budget["period"].isin(mixed.index[mixed])]
        raise DataError(issue_frame([finding("budget_counted_twice", "blocks", "budget", key_text(wrong, KEY), len(wrong), "",
                                             "in one period write either single families (regions) or their total, not both")]))
    return rows.drop_duplicates()


def _is_whole(names: pd.Series) -> pd.Series:
    return names.str.strip().str.lower().isin(_WHOLE)


def _totals_named(names: pd.Series, total: str) -> pd.Series:
    return names.where(~_is_whole(names), total)


# ------------------------------------------------------------------ range
def range_ratios(forecast_range: pd.DataFrame, level: str) -> pd.DataFrame:
    """Bounds over forecast of every member of a level and period, at the narrowest coverage; none where nothing is expected."""
    narrow = forecast_range["coverage_ratio"] == forecast_range["coverage_ratio"].min()
    rows = forecast_range[narrow & (forecast_range["level"] == level) & (forecast_range["forecast_qty"] > 0)]
    share = {f"{bound}_ratio": rows[f"{bound}_qty"] / rows["forecast_qty"] for bound in ("low", "high")}
    return rows[["member", "period"]].assign(**share)


def own_widths(demand_money: pd.DataFrame, forecast_range: pd.DataFrame, level: str) -> pd.DataFrame:
    """Money below and above the demand agreed on, in the proportions of each member's own range, periods moving together.

    below = Σ_periods revenue · (1 − low / forecast); above = Σ_periods revenue · (high / forecast − 1).

    Parameters
    ----------
    demand_money : DataFrame
        member, period, revenue_amt; any number of rows each.
    forecast_range : DataFrame
        Ranges of sums; those of the narrowest coverage count.
    level : str
        Whose members they are, such as `family`.

    Returns
    -------
    DataFrame
        below, above by member; members without a range are not in it.

    Examples
    --------
    >>> money = pd.DataFrame({"member": "F", "period": [1, 1, 2], "revenue_amt": [30.0, 70.0, 50.0]})
    >>> bounds = pd.DataFrame({"level": "family", "member": "F", "period": [1, 2], "coverage_ratio": 0.8, "forecast_qty": 10.0,
    ...                        "low_qty": [8.0, 9.0], "high_qty": [13.0, 12.0]})
    >>> own_widths(money, bounds, "family").round(6).to_dict("index")
    {'F': {'below': 25.0, 'above': 40.0}}
    """
    money = demand_money.groupby(["member", "period"], as_index=False)["revenue_amt"].sum()
    beside = money.merge(range_ratios(forecast_range, level), on=["member", "period"], validate="one_to_one")
    beside["below"] = beside["revenue_amt"] * (1 - beside["low_ratio"])
    beside["above"] = beside["revenue_amt"] * (beside["high_ratio"] - 1)
    return beside.groupby("member")[["below", "above"]].sum()


# ------------------------------------------------------------------ income and cash
def income_statement(financial_projection: pd.DataFrame, calendar: Calendar, ledger: pd.DataFrame | None = None) -> pd.DataFrame:
    """Revenue, cost of sales, margin and operating result per period, after the ledger's past periods.

    gross margin = revenue − sales at standard cost;
    operating result = revenue − all costs of the plan − open orders received + change of stock at standard cost − overhead;
    variance = gross margin − overhead − operating result: what the period costs beyond standard (freight, overtime, idle labour …).

    Parameters
    ----------
    financial_projection : DataFrame
        The plan in money.
    calendar : Calendar
        Says how many periods a year has.
    ledger : DataFrame, optional
        Accounts revenue, cogs, operating_result, inventory, overhead and marketing of the periods before the plan. Overhead and
        marketing, which no plan decides, go on in the plan at the mean of the last year; without a ledger they are
        left out and the result is one before overhead.

    Returns
    -------
    DataFrame
        The `income_statement` table.
    """
    hidden = ["profit_amt", "opening_inventory_amt", "scheduled_receipt_amt"]
    measures = ["revenue_amt", "cogs_amt", "gross_margin_amt", "inventory_amt", *hidden]
    plan = financial_projection.groupby("period")[measures].sum()
    past = _past_statement(ledger, plan.index.min()) if ledger is not None and len(ledger) else pd.DataFrame()
    plan["overhead_amt"] = _overhead(past, calendar)
    plan["inventory_change_amt"] = plan["inventory_amt"] - plan["opening_inventory_amt"]
    plan["operating_result_amt"] = (
        plan["profit_amt"] - plan["scheduled_receipt_amt"] + plan["inventory_change_amt"] - plan["overhead_amt"])
    statement = plan.drop(columns=hidden).assign(source="plan")
    statement = pd.concat([past.dropna(axis=1, how="all"), statement]) if len(past) else statement
    statement["variance_amt"] = statement["gross_margin_amt"] - statement["overhead_amt"] - statement["operating_result_amt"]
    statement["gross_margin_ratio"] = (statement["gross_margin_amt"] / statement["revenue_amt"]).where(statement["revenue_amt"] != 0)
    return validate("income_statement", statement.rename_axis("period").reset_index().sort_values("period", ignore_index=True))


def _past_statement(ledger: pd.DataFrame, before: pd.Timestamp) -> pd.DataFrame:
    """The ledger's accounts as lines of the statement, by period; accounts a ledger lacks stay empty."""
    past = ledger[ledger["period"] < before].pivot(index="period", columns="account", values="amount_amt")
    past = past.reindex(columns=[*_LEDGER_LINES, *_OVERHEADS])
    lines = past[list(_LEDGER_LINES)].rename(columns=_LEDGER_LINES)
    lines["overhead_amt"] = past[list(_OVERHEADS)].sum(axis=1, min_count=1)
    lines["gross_margin_amt"] = lines["revenue_amt"] - lines["cogs_amt"]
    lines["inventory_change_amt"] = lines["inventory_amt"].diff()
    return lines.dropna(how="all").assign(source="ledger")


def _overhead(past: pd.DataFrame, calendar: Calendar) -> float:
    """Overhead of a planned period: the mean of the ledger's last year; zero where it is not known (a result before overhead)."""
    known = past["overhead_amt"].dropna() if len(past) else pd.Series(dtype=float)
    return float(known.tail(calendar.buckets_per_year).mean()) if len(known) else 0.0


def cash_projection(
    financial_projection: pd.DataFrame, inputs: dict[str, pd.DataFrame], settings: Settings, calendar: Calendar
) -> pd.DataFrame:
    """Operating cash by the days customers take and suppliers are paid in, with its low point.

    A flow spread evenly over period t with d days of credit is paid (1 − f) in period t + k and f in period t + k + 1,
    where d / days per period = k + f. Suppliers' bills are purchases, subcontracting, freight and open purchase orders (at
    standard cost); crews, production and the ledger's overhead (see `income_statement`) are paid at once; holding and backlog
    cost are not payments.

    Opening balances come from the ledger's newest accounts receivables, payables and cash; else receivables from the run
    rate of sales_history, payables count as none, cash is `finance.opening_cash_amt`. Column `basis` says which.

    Returns
    -------
    DataFrame
        The `cash_projection` table.
    """
    flows = financial_projection.groupby("period")[["revenue_amt", *COSTS]].sum()
    opening = opening_balances(inputs, settings, calendar, flows.index.min())
    bills = flows[SUPPLIERS_SEND_BILLS].sum(axis=1) + open_purchases(inputs, flows.index, calendar)
    days_per_bucket = DAYS_PER_YEAR / calendar.buckets_per_year
    collected = paid_later(flows["revenue_amt"], settings.finance.receivable_days / days_per_bucket, opening["receivables"])
    bills_paid = paid_later(bills, settings.finance.payable_days / days_per_bucket, opening["payables"])
    overhead = _overhead(_past_statement(inputs["ledger"], flows.index.min()), calendar)
    cash = pd.DataFrame({"collected_amt": collected, "paid_amt": bills_paid + flows[PAID_AT_ONCE].sum(axis=1) + overhead})
    cash["operating_cash_amt"] = cash["collected_amt"] - cash["paid_amt"]
    cash["closing_cash_amt"] = opening["cash"] + cash["operating_cash_amt"].cumsum()
    cash["opening_cash_amt"] = cash["closing_cash_amt"] - cash["operating_cash_amt"]
    cash["receivable_amt"] = opening["receivables"] + (flows["revenue_amt"] - collected).cumsum()
    cash["payable_amt"] = opening["payables"] + (bills - bills_paid).cumsum()
    cash["is_low_point"] = np.arange(len(cash)) == int(cash["closing_cash_amt"].to_numpy().argmin())
    return validate("cash_projection", cash.reset_index().assign(basis=opening["basis"]))


def paid_later(flow: pd.Series, delay: float, opening: float) -> pd.Series:
    """Payments per period of evenly spread flows `delay` buckets late, and of the balance they left behind before."""
    whole, part = int(delay), delay - int(delay)
    # Nothing flows into the horizon from before it but the opening balance, so the shifted-in places are zero.
    paid = (1 - part) * flow.shift(whole, fill_value=0.0) + part * flow.shift(whole + 1, fill_value=0.0)
    start = np.arange(len(flow), dtype=float)
    released = np.clip(delay - start, 0, 1) / delay if delay > 0 else (start == 0).astype(float)
    return paid + opening * released


def opening_balances(inputs: dict[str, pd.DataFrame], settings: Settings, calendar: Calendar, first: pd.Timestamp) -> dict:
    """Receivables, payables and cash when the plan begins, and what each rests on (`basis`); see `cash_projection`."""
    ledger = inputs["ledger"][inputs["ledger"]["period"] < first].sort_values("period")
    newest = ledger.drop_duplicates("account", keep="last").set_index("account")["amount_amt"]
    delay = settings.finance.receivable_days * calendar.buckets_per_year / DAYS_PER_YEAR
    past_sales = inputs["sales_history"].groupby("period")["net_sales_amt"].sum(min_count=1)
    run_rate = _still_open(past_sales[past_sales.index < first], delay)
    fallback = {"receivables": (run_rate, "run rate of sales"), "payables": (0.0, "not known, counted as none"),
                "cash": (settings.finance.opening_cash_amt, "settings")}
    balances = {account: float(newest.get(account, amount)) for account, (amount, _) in fallback.items()}
    basis = "; ".join(f"{account}: {'ledger' if account in newest.index else source}" for account, (_, source) in fallback.items())
    return {**balances, "basis": basis}


def _still_open(flow: pd.Series, delay: float) -> float:
    """What is unpaid of past flows at the end of the last period: the last `delay` buckets of them."""
    ages = np.arange(len(flow))[::-1]
    return float((flow.to_numpy() * np.clip(delay - ages, 0, 1))[~flow.isna().to_numpy()].sum())


def open_purchases(inputs: dict[str, pd.DataFrame], periods: pd.Index, calendar: Calendar) -> pd.Series:
    """Open purchase orders at standard cost by period of receipt; overdue ones arrive in the first period."""
    orders = inputs["open_supply"][inputs["open_supply"]["kind"] == "purchase"]
    rows = _rated(orders, _unit_value(inputs), ["item_id"], "open_qty", "value_amt", "item")
    period = calendar.periods_of(rows["due_date"]).clip(lower=periods.min())
    return rows.groupby(period)["amount"].sum().reindex(periods, fill_value=0.0)  # no order due: nothing to pay


# ------------------------------------------------------------------ bridges
def price_volume_mix(before: pd.DataFrame, after: pd.DataFrame, key: tuple[str, ...] = ("item_id",)) -> pd.DataFrame:
    """Split a change of revenue into price, volume and mix of the items in both, and new and lost items.

    price = Σ (p₁ − p₀) q₁; volume = (Q₁ − Q₀) P₀ with P₀ = Σ p₀q₀ / Q₀; mix = Σ p₀q₁ − P₀ Q₁, over the items sold in both.
    Other definitions are in use (price at old volume, for one) and give other bars; each bar carries its own.

    Parameters
    ----------
    before, after : DataFrame
        Key columns, volume_qty (base units) and revenue_amt; rows of a key are added up.
    key : tuple of str
        What an "item" is, for example ("item_id", "market_id").

    Returns
    -------
    DataFrame
        Rows of the `bridge` table; the steps sum to the difference of the two totals.

    Examples
    --------
    >>> year_1 = pd.DataFrame({"item_id": ["A", "B", "C"], "volume_qty": [1000, 800, 500], "revenue_amt": [10000, 12000, 10000]})
    >>> year_2 = pd.DataFrame({"item_id": ["A", "B", "C"], "volume_qty": [1000, 700, 800], "revenue_amt": [11000, 10500, 18400]})
    >>> price_volume_mix(year_1, year_2).set_index("bar")["amount_amt"].round(2).to_dict()
    {'Before': 32000.0, 'Price': 3400.0, 'Volume': 2782.61, 'Mix': 1717.39, 'New items': 0.0, 'Lost items': 0.0, 'After': 39900.0}
    """
    both = _side_by_side(before, after, list(key))
    is_new, is_lost = both["q0"] == 0, (both["q1"] == 0) & (both["q0"] != 0)
    change = both["r1"] - both["r0"]
    kept = both[~is_new & ~is_lost]
    old_price = kept["r0"] / kept["q0"]
    average = kept["r0"].sum() / kept["q0"].sum() if kept["q0"].sum() else 0.0  # nothing sold in both: no volume effect
    steps = {
        "Price": ((kept["r1"] - old_price * kept["q1"]).sum(), "Σ (new price − old price) × new volume, items sold in both"),
        "Volume": ((kept["q1"].sum() - kept["q0"].sum()) * average, "change of total volume × old average price"),
        "Mix": ((old_price * kept["q1"]).sum() - average * kept["q1"].sum(), "new volumes at old prices − new total volume at old average"),
        "New items": (change[is_new].sum(), "revenue of items not sold before"),
        "Lost items": (change[is_lost].sum(), "revenue of items no longer sold"),
    }
    return _bridge("price–volume–mix", ("Before", both["r0"].sum()), steps, ("After", both["r1"].sum()))


def revenue_bridge(sales_history: pd.DataFrame, unmet_demand: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Split the plan's revenue against the same periods a year before into price, volume, mix, new and lost items.

    Compared are the first periods of the plan, a year at most, that have history a year before; items by market.

    Parameters
    ----------
    sales_history : DataFrame
        Shipped quantity (ordered where nothing is known of shipping) and net sales; rows without net sales are left out.
    unmet_demand : DataFrame
        Served quantity and price of the plan.
    calendar : Calendar
        What a year before is.

    Returns
    -------
    DataFrame
        Rows of the `bridge` table, as of `price_volume_mix`.
    """
    year = calendar.buckets_per_year
    before = {period: calendar.add(period, -year) for period in sorted(unmet_demand["period"].unique())[:year]}
    known = sales_history.dropna(subset=["net_sales_amt"])
    shared = [period for period, earlier in before.items() if (known["period"] == earlier).any()]
    past = known[known["period"].isin([before[period] for period in shared])]
    past = past.assign(volume_qty=past["shipped_qty"].fillna(past["ordered_qty"]), revenue_amt=past["net_sales_amt"])
    plan = unmet_demand[unmet_demand["period"].isin(shared)]
    plan = plan.assign(volume_qty=plan["served_qty"], revenue_amt=plan["served_qty"] * plan["price_amt"])
    return price_volume_mix(past, plan, ("item_id", "market_id"))


def budget_bridge(gap: pd.DataFrame) -> pd.DataFrame:
    """From budget over unconstrained demand to plan: what demand and what supply take away or add, by family.

    Parameters
    ----------
    gap : DataFrame
        The `budget_gap` table; rows without a budget are left out.

    Returns
    -------
    DataFrame
        Rows of the `bridge` table; within each half the largest loss comes first.
    """
    gap = budgeted(gap)
    budget, demand, plan = (gap[c].sum() for c in ("budget_revenue_amt", "demand_amt", "revenue_amt"))
    demand_steps = _family_steps(gap, "demand_gap_amt", "demand", "unconstrained demand − budget")
    supply_steps = _family_steps(gap, "supply_gap_amt", "supply", "plan − unconstrained demand")
    first = _bridge("budget to plan", ("Budget", budget), demand_steps, ("Demand", demand))
    second = _bridge("budget to plan", ("Demand", demand), supply_steps, ("Plan", plan))
    bars = pd.concat([first, second.iloc[1:]], ignore_index=True)
    return validate("bridge", bars.assign(sequence=range(1, len(bars) + 1)))


def plan_bridge(
    before: pd.DataFrame, after: pd.DataFrame, measure: str = "revenue_amt", by: str = "family", name: str = ""
) -> pd.DataFrame:
    """From one projection to another (last cycle to this one, base to scenario), by family, region or period.

    Parameters
    ----------
    before, after : DataFrame
        Two `financial_projection` tables.
    measure : str
        A money column of them.
    by : str
        family, region or period: one step each.
    name : str
        What the bridge is called; measure and level when left out.
    """
    # A family in only one of the two projections stands at no money in the other.
    change = after.groupby(by)[measure].sum().sub(before.groupby(by)[measure].sum(), fill_value=0.0).sort_values(kind="stable")
    steps = {str(name): (amount, f"change of {measure} of {name}") for name, amount in change.items() if abs(amount) >= _CENT}
    return _bridge(name or f"{measure} by {by}", ("Before", before[measure].sum()), steps, ("After", after[measure].sum()))


def last_plan_bridge(last_unmet_demand: pd.DataFrame, unmet_demand: pd.DataFrame) -> pd.DataFrame:
    """From the last locked plan to this one over the periods both cover: price, volume, mix, items new to the plan and gone from it.

    Parameters
    ----------
    last_unmet_demand, unmet_demand : DataFrame
        Served quantity and price of the two plans.

    Returns
    -------
    DataFrame
        Rows of the `bridge` table, as of `price_volume_mix`, items by market; empty where no period is in both.
    """
    shared = set(last_unmet_demand["period"]) & set(unmet_demand["period"])
    if not shared:
        return table("bridge").empty()
    sides = []
    for plan in (last_unmet_demand, unmet_demand):
        rows = plan[plan["period"].isin(shared)]
        sides.append(rows.assign(volume_qty=rows["served_qty"], revenue_amt=rows["served_qty"] * rows["price_amt"]))
    bars = price_volume_mix(sides[0], sides[1], ("item_id", "market_id"))
    return validate("bridge", bars.assign(bridge="last plan to this plan"))


def profit_bridge(financial_projection: pd.DataFrame) -> pd.DataFrame:
    """From revenue over every cost to the plan's profit; costs the plan does not have are left out."""
    totals = financial_projection[["revenue_amt", *COSTS, "profit_amt"]].sum()
    steps = {_words(cost): (-totals[cost], f"Σ {cost}") for cost in COSTS if totals[cost] != 0}
    return _bridge("revenue to profit", ("Revenue", totals["revenue_amt"]), steps, ("Profit", totals["profit_amt"]))


def _side_by_side(before: pd.DataFrame, after: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Volume and revenue of both sides by key; a key missing on one side sold nothing there."""
    old, new = (side.groupby(key)[["volume_qty", "revenue_amt"]].sum().astype(float) for side in (before, after))
    old, new = old.set_axis(["q0", "r0"], axis=1), new.set_axis(["q1", "r1"], axis=1)
    return old.join(new, how="outer").fillna(0.0)


def _family_steps(gap: pd.DataFrame, column: str, word: str, definition: str) -> dict[str, tuple[float, str]]:
    amounts = gap.groupby("family")[column].sum().sort_values(kind="stable")
    return {f"{family}: {word}": (amount, f"{definition}, {family}") for family, amount in amounts.items() if abs(amount) >= _CENT}


def _bridge(name: str, start: tuple[str, float], steps: dict[str, tuple[float, str]], end: tuple[str, float]) -> pd.DataFrame:
    """A bridge as rows; refuses to be drawn when its steps do not sum to the difference of its totals."""
    total = sum(amount for amount, _ in steps.values())
    if abs(start[1] + total - end[1]) > _CENT * (len(steps) + 1) + 1e-9 * abs(end[1]):
        raise ArithmeticError(f"bridge {name}: {start[1]:.2f} and its steps {total:.2f} do not reach {end[1]:.2f}")
    bars = [(start[0], "total", start[1], "starting total")]
    bars += [(bar, "step", amount, text) for bar, (amount, text) in steps.items()]
    bars += [(end[0], "total", end[1], "resulting total")]
    frame = pd.DataFrame(bars, columns=["bar", "kind", "amount_amt", "definition"])
    return validate("bridge", frame.assign(bridge=name, sequence=range(1, len(frame) + 1)))


def _words(column: str) -> str:
    return column.removesuffix("_amt").replace("_", " ").capitalize()
