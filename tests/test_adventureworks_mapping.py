"""The AdventureWorks mapping: figures known from the extract, no later knowledge, the 52 known defects, Microsoft's own files."""

import csv
import os
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from sop_workbench import capacity, checks, sources
from sop_workbench.lots import hours_at_usual_lots
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings, load_settings

REPOSITORY = Path(__file__).resolve().parents[1]
WORKSPACE = REPOSITORY / "data" / "adventureworks"
EXTRACT = Path(os.environ.get("SOP_DATA", REPOSITORY.parent / "shared" / "data")) / "adventureworks"
AS_OF = pd.Timestamp("2013-12-27")

needs_extract = pytest.mark.skipif(
    not EXTRACT.is_dir(), reason=f"no AdventureWorks extract in {EXTRACT}; name its parent folder in SOP_DATA"
)

# defect of checks.csv → the general rule that finds it
RULE_OF = {
    "D01": "months_without_orders",
    "D02": "months_with_two_batches",
    "D03": "incomplete_edge_months",
    "D04": "lines_after_end_of_sale",
    "D05": "finished_items_never_sold",
    "D06": "demand_series",
    "D07": "short_demand_series",
    "D08": "sales_person_in_other_region",
    "D09": "duplicate_order_lines",
    "D10": "exchange_rate_on_home_currency",
    "P01": "offer_without_discount",
    "P02": "offer_outside_quantity",
    "P03": "lines_without_known_offer",
    "F01": "lines_below_standard_cost",
    "F02": "lines_without_valid_cost",
    "F03": "items_without_cost",
    "F04": "components_without_cost",
    "F05": "months_without_budget",
    "F06": "ledger_months_missing",
    "B01": "superseded_bom_rows",
    "B02": "bom_root_rows",
    "B03": "bom_roots_of_ended_items",
    "B04": "made_items_without_bom_record",
    "B05": "bought_in_other_unit_than_bom",
    "B06": "components_with_scrap",
    "R01": "made_items_never_routed",
    "R02": "work_orders_without_operations",
    "R03": "operations_with_varying_hours",
    "R04": "operations_with_own_actual_cost",
    "R05": "operations_ended_late",
    "C01": "stated_hours_below_booked_peak",
    "C02": "work_centres_without_hours",
    "S01": "lines_due_before_order",
    "S02": "lines_edited_long_after",
    "S03": "pending_orders_with_receipts",
    "S04": "rejected_orders_with_receipts",
    "S05": "constant_due_offset",
    "S06": "months_without_purchases",
    "S07": "constant_price_over_agreement",
    "S08": "orders_to_inactive_suppliers",
    "S09": "lines_short_received",
    "S10": "sold_more_than_bought",
    "S11": "purchase_lines_without_movement",
    "I01": "stale_stock_counts",
    "I02": "finished_items_without_stock_count",
    "I03": "stock_below_safety_stock",
    "I04": "negative_stock_balances",
    "I05": "flat_end_of_balances",
    "I06": "several_keys_per_item",
    "I07": "stock_records_that_agree",
    "X01": "calendar_offset_between_systems",
    "X02": "exchange_rates_stop_early",
}
# The reference counts from 2014-01-29 on; on that day 64 units still came in, so 152 days are flat.
COUNTED_OTHERWISE = {"I05": 152}


def adventureworks(folder: Path) -> Settings:
    settings = load_settings(WORKSPACE)
    return settings.model_copy(update={"sources": settings.sources.model_copy(update={"folder": str(folder)})})


@pytest.fixture(scope="module")
def inputs():
    loaded, issues = sources.load_inputs(adventureworks(EXTRACT), WORKSPACE, AS_OF)
    assert not (issues["severity"] == "blocks").any(), issues.to_string()
    return loaded


@pytest.fixture(scope="module")
def documents():
    """The whole extract, whatever the as-of date."""
    loaded, unread = sources.load_documents(adventureworks(EXTRACT), WORKSPACE, AS_OF)
    assert not (unread["severity"] == "blocks").any(), unread.to_string()
    return loaded


@pytest.fixture(scope="module")
def issues(inputs, documents):
    return checks.run_checks(inputs, documents, adventureworks(EXTRACT), AS_OF)


@needs_extract
def test_known_defects_are_found_with_equal_counts(issues):
    counts = issues.groupby("rule")["count"].sum()
    with (EXTRACT / "checks.csv").open(encoding="utf-8") as rows:
        known = {row["id"]: int(row["count"]) for row in csv.DictReader(rows)}
    assert known.keys() == RULE_OF.keys()
    found = {defect: int(counts.get(rule, -1)) for defect, rule in RULE_OF.items()}
    assert found == {**known, **COUNTED_OTHERWISE}


@needs_extract
def test_nothing_blocks_the_cycle(issues):
    assert not (issues["severity"] == "blocks").any()


@needs_extract
def test_master_data(inputs):
    assert len(inputs["item"]) == 504
    assert len(inputs["market"]) == 20
    assert "Northwest|reseller" in set(inputs["market"]["market_id"])
    assert len(inputs["bill_of_material"]) == 2383
    assert len(inputs["routing"]) == 195
    assert inputs["resource"]["resource_id"].tolist() == ["10", "20", "30", "40", "45", "50", "60"]
    spring = inputs["capacity"].set_index(["resource_id", "period"])["regular_hours"]
    assert spring["60", pd.Timestamp("2014-02-01")] == 26 * 8 * 20
    assert inputs["capacity"]["period"].max() == pd.Timestamp("2014-12-01")


@needs_extract
def test_history_has_31_full_periods(inputs):
    history = inputs["sales_history"]
    assert history["period"].nunique() == 31
    assert history["period"].max() == pd.Timestamp("2013-12-01")
    reseller = history[history["market_id"].str.endswith("reseller")].groupby("period")["ordered_qty"].sum()
    assert len(reseller) == 31
    assert reseller.min() > 800


@needs_extract
def test_load_of_the_bottlenecks_with_the_mean_of_three_months_and_hours_per_unit_of_the_year(inputs, documents):
    """The loads known of this extract; at the orders of the last three months, which are smaller, they are higher."""
    history, bom, routing = inputs["sales_history"], inputs["bill_of_material"], inputs["routing"]
    year = pd.date_range("2013-01-01", "2013-12-01", freq="MS")
    of_the_year = capacity.routing_as_booked(routing, documents, Calendar("month", 4), year)
    lately = hours_at_usual_lots(routing, inputs["production"])
    recent = history[history["period"] >= pd.Timestamp("2013-10-01")]
    level = recent.groupby("item_id")["ordered_qty"].sum() / 3
    need = level
    while len(level):
        rows = bom[bom["parent_item_id"].isin(level.index)]
        level = (rows["parent_item_id"].map(level) * rows["quantity_per"]).groupby(rows["component_item_id"]).sum()
        need = need.add(level, fill_value=0.0)  # an item of one level only
    spring = inputs["capacity"]["period"].between("2014-01-01", "2014-05-01")
    regular = inputs["capacity"][spring].groupby("resource_id")["regular_hours"].mean()

    def load(hours):
        return ((hours["item_id"].map(need) * hours["hours_per_unit"]).groupby(hours["resource_id"]).sum() / regular).round(2).to_dict()

    assert load(of_the_year) == {"10": 0.52, "20": 0.22, "30": 0.01, "40": 0.02, "45": 0.02, "50": 0.78, "60": 0.70}
    assert {centre: load(lately)[centre] for centre in ("50", "60")} == {"50": 0.88, "60": 0.85}


@needs_extract
def test_the_known_peaks_are_booked_months_over_21_working_days(inputs, documents):
    """Known peaks .94 at centre 50 and 1.04 at 60: hours booked in a calendar month / (26 technicians × 8 hours × 21 days)."""
    hours = inputs["capacity"]
    booked = capacity.booked_load(documents, hours, Calendar("month")).query("resource_id in ['50', '60']")
    most = booked.loc[booked.groupby("resource_id")["booked_hours"].idxmax()].set_index("resource_id")
    april = hours[hours["period"] == "2014-04-01"].set_index("resource_id")["regular_hours"]
    assert april[["50", "60"]].tolist() == [26 * 8 * 21] * 2
    assert (most["booked_hours"] / april).round(2).dropna().to_dict() == {"50": 0.94, "60": 1.04}
    # They are neither of one season nor of demand: that of 50 is of October, and May has 22 working days.
    assert [f"{period:%Y-%m}" for period in most["period"]] == ["2013-10", "2014-05"]


@needs_extract
def test_hours_of_orders_as_they_came_lately_are_up_to_date(issues):
    assert "routing_hours_out_of_date" not in set(issues["rule"])


@needs_extract
@pytest.mark.parametrize("as_of", ["2012-12-27", "2013-05-27", "2013-12-27"])
def test_the_usual_lot_of_three_months_says_more_of_the_next_five_than_the_year_does(documents, as_of):
    """Orders become smaller: hours booked at final assembly against those planned, 2 to 11 % short instead of 16 to 24 %."""
    settings = adventureworks(EXTRACT)
    day = pd.Timestamp(as_of)
    known, _ = sources.load_inputs(settings, WORKSPACE, day)
    first = settings.calendar.period_of(day + pd.Timedelta(days=1))
    operations = documents["work_order_operation"].query("work_centre_id == '60'")
    begun = operations[settings.calendar.periods_of(operations["actual_start_date"]).isin(pd.date_range(first, periods=5, freq="MS"))]
    work = begun.merge(documents["work_order"][["order_id", "ordered_qty"]], on="order_id", validate="1:1")

    def short(routing):
        planned = work.merge(routing.query("resource_id == '60'"), on="item_id", validate="m:1")
        return (planned["hours_per_unit"] * planned["ordered_qty"]).sum() / planned["booked_hours"].sum() - 1

    year = pd.date_range(first - pd.DateOffset(months=12), periods=12, freq="MS")
    assert -0.26 < short(capacity.routing_as_booked(known["routing"], documents, settings.calendar, year)) < -0.14
    assert -0.12 < short(hours_at_usual_lots(known["routing"], known["production"])) < 0.02


@needs_extract
def test_stock_of_ended_bikes_is_the_known_excess(inputs):
    item = inputs["item"].set_index("item_id")
    ended = item.index[(item["category"] == "Bikes") & item["phase_out_date"].notna()]
    stock = inputs["stock_on_hand"].query("on_hand_qty > 0")
    stock = stock[stock["item_id"].isin(ended)]
    assert len(stock) == 37
    assert stock["on_hand_qty"].sum() == 4182
    assert (inputs["stock_on_hand"]["on_hand_qty"] >= 0).all()


@needs_extract
def test_open_orders(inputs):
    supply = inputs["open_supply"]
    purchase = supply[supply["kind"] == "purchase"]
    assert (supply["kind"] == "production").sum() == 1238
    assert len(purchase) == 263  # 261 of them in orders that were not rejected later
    assert purchase["due_date"].min() > AS_OF


@needs_extract
def test_making_a_bike_costs_its_standard_cost(inputs):
    item = inputs["item"].set_index("item_id")
    production = inputs["production"].set_index("item_id")
    bought = inputs["supplier_item"].groupby("item_id")["unit_cost_amt"].min()
    rate = inputs["resource"].set_index("resource_id")["regular_cost_amt_per_hour"]
    routing = hours_at_usual_lots(inputs["routing"], inputs["production"])
    labour = (routing["hours_per_unit"] * routing["resource_id"].map(rate)).groupby(routing["item_id"]).sum()
    parts = {parent: rows for parent, rows in inputs["bill_of_material"].groupby("parent_item_id")}

    def cost(item_id):
        if item_id not in production.index:
            return bought[item_id]
        rows = parts.get(item_id)
        inside = 0.0 if rows is None else sum(cost(c) * q for c, q in zip(rows["component_item_id"], rows["quantity_per"], strict=True))
        return production.loc[item_id, "variable_cost_amt"] + labour.get(item_id, 0.0) + inside

    bikes = item[(item["category"] == "Bikes") & item["phase_out_date"].isna()]
    ratio = pd.Series([cost(i) for i in bikes.index], index=bikes.index) / bikes["standard_cost_amt"]
    assert ratio.median() == pytest.approx(1.0, abs=0.02)
    assert ratio.between(0.98, 1.15).all()


@needs_extract
def test_resellers_bought_for_80_to_89_percent_of_their_target(inputs):
    budget = inputs["budget"].query("region != 'Online'").groupby("period")["revenue_amt"].sum()
    reseller = inputs["sales_history"]["market_id"].str.endswith("reseller")
    revenue = inputs["sales_history"][reseller].groupby("period")["net_sales_amt"].sum()
    quarters = pd.date_range("2011-06-01", "2013-09-01", freq="3MS")
    share = [revenue.loc[q : q + pd.DateOffset(months=2)].sum() / budget.loc[q : q + pd.DateOffset(months=2)].sum() for q in quarters]
    assert len(share) == 10
    assert all(0.79 < s < 0.90 for s in share)
    assert budget.index.max() == pd.Timestamp("2014-02-01")  # the target of the next quarter is set in February


# What the extract would have looked like on the as-of date, and what was written into old rows later.
FORGET = {
    "SalesOrderHeader": "select * replace (null as CurrencyRateID, 0 as RevisionNumber) from {t} where OrderDate < date '2013-12-28'",
    "Product": "select * replace (case when SellEndDate < date '2013-12-28' then SellEndDate end as SellEndDate, "
    "1.0 as StandardCost, 1.0 as ListPrice, timestamp '2013-01-01' as ModifiedDate) from {t} where SellStartDate < date '2013-12-28'",
    "ProductCostHistory": "select * replace (null::timestamp as EndDate) from {t} where StartDate < date '2013-12-28'",
    "ProductListPriceHistory": "select * replace (null::timestamp as EndDate) from {t} where StartDate < date '2013-12-28'",
    "ProductInventory": "select * from {t} where false",
    "ProductVendor": "select * replace (99.0 as LastReceiptCost, null as OnOrderQty) from {t}",
    "PurchaseOrderHeader": "select * replace (2 as Status, 0 as SubTotal) from {t} where OrderDate < date '2013-12-28'",
    "PurchaseOrderDetail": "select * replace (0 as ReceivedQty, 0 as RejectedQty, 0 as StockedQty, "
    "timestamp '2013-01-01' as ModifiedDate) from {t}",
    "WorkOrder": "select * replace (case when EndDate < date '2013-12-28' then EndDate end as EndDate, "
    "case when EndDate < date '2013-12-28' then StockedQty end as StockedQty) from {t} where StartDate < date '2013-12-28'",
    "WorkOrderRouting": "select * replace (0.0 as ActualCost, "
    "case when ActualEndDate < date '2013-12-28' then ActualEndDate end as ActualEndDate) from {t} "
    "where ActualStartDate < date '2013-12-28'",
    "SalesPersonQuotaHistory": "select * from {t} where QuotaDate < date '2013-12-28'",
    "SalesPerson": "select * replace (0.0 as SalesYTD) from {t}",
    "SpecialOffer": "select * from {t} where StartDate < date '2013-12-28'",
    "FactProductInventory": "select * from {t} where MovementDate <= date '2013-12-27' - 153",
    "FactFinance": "select * from {t} where cast(Date as date) <= date '2013-12-27' - 153",
    "TransactionHistory": "select * from {t} where TransactionDate < date '2013-12-28'",
}


@pytest.fixture(scope="module")
def extract_of_the_day(tmp_path_factory):
    """A copy of the extract that holds nothing that was booked or edited after the as-of date."""
    folder = tmp_path_factory.mktemp("extract")
    for path in [*EXTRACT.glob("oltp/*"), *EXTRACT.glob("dw/*")]:
        if path.stem in FORGET:
            query = FORGET[path.stem].format(t=f"'{path}'")
            duckdb.sql(f"copy ({query}) to '{folder / path.stem}.parquet' (format parquet)")
        elif path.suffix in (".csv", ".parquet"):
            shutil.copy(path, folder)
    return folder


@needs_extract
def test_planning_reads_nothing_that_was_known_only_later(inputs, extract_of_the_day):
    known, _ = sources.load_inputs(adventureworks(extract_of_the_day), WORKSPACE, AS_OF)
    for name, frame in inputs.items():
        pd.testing.assert_frame_equal(known[name], frame, obj=name, rtol=1e-12)


@needs_extract
@pytest.mark.parametrize("as_of", ["2012-11-26", "2014-05-27"])
def test_any_other_date_maps_without_a_blocking_finding(as_of):
    settings = adventureworks(EXTRACT)
    loaded, found = sources.load_inputs(settings, WORKSPACE, pd.Timestamp(as_of))
    found = pd.concat([found, checks.run_checks(loaded, {}, settings, pd.Timestamp(as_of))])
    assert not (found["severity"] == "blocks").any(), found[found["severity"] == "blocks"].to_string()
    assert loaded["sales_history"]["period"].max() == settings.calendar.period_of(pd.Timestamp(as_of))


# ---------------------------------------------------------------- Microsoft's own files: tab-separated, no header, 4,017 days later
MIDNIGHT = " 00:00:00.000"
D = "2022-05-30" + MIDNIGHT  # the day of the first order there; 2011-05-31 in the published sample
MICROSOFT = {
    "Product": [
        [1, "Road Bike", "BK-1", 1, 1, "", 100, 75, "500.0000", "900.0000", "", "", "", "", 4, "", "", "", 1, "", D, "", "", "GUID", D],
        [2, "Chain", "CH-1", 0, 0, "", 500, 375, ".0000", ".0000", "", "", "", "", 0, "", "", "", "", "", D, "", "", "GUID", D],
    ],
    "ProductSubcategory": [[1, 1, "Road Bikes", "GUID", D]],
    "ProductCategory": [[1, "Bikes", "GUID", D]],
    "ProductCostHistory": [[1, D, "", "500.0000", D]],
    "ProductListPriceHistory": [[1, D, "", "900.0000", D]],
    "ProductVendor": [[2, 9, 17, "30.0000", "31.5000", D, 1, 5, "", "CTN", D]],
    "ProductInventory": [[1, 6, "A", 1, 408, "GUID", D]],
    "Vendor": [[9, "CHAIN0001", 'Chains "R" us', 1, 1, 1, "", D]],
    "BillOfMaterials": [
        [1, "", 1, "2021-03-03" + MIDNIGHT, "", "EA ", 0, "1.00", D],
        [2, 1, 2, "2021-03-03" + MIDNIGHT, "", "EA ", 1, "1.00", D],
    ],
    "WorkOrder": [[1, 1, 5, 5, 0, "2022-06-02" + MIDNIGHT, "2022-06-12" + MIDNIGHT, "2022-06-13" + MIDNIGHT, "", D]],
    "WorkOrderRouting": [
        [1, 1, 7, 60, "2022-06-02" + MIDNIGHT, D, "2022-06-03" + MIDNIGHT, "2022-06-10" + MIDNIGHT, "4.0000", "49.0000", "49.0000", D]
    ],
    "Location": [[60, "Final Assembly", "12.2500", "120.00", D]],
    "Employee": [
        [i, i, "login", "", 3, "Production Technician - WC60", "1990-01-01", "S", "M", "2009-01-14", 0, 9, 9, 1, "GUID", D] for i in (1, 2)
    ],
    "SalesTerritory": [[1, "Northwest", "US", "North America", "1.0", "1.0", ".0000", ".0000", "GUID", D]],
    "SalesOrderHeader": [
        [1, 8, D, "2022-06-11" + MIDNIGHT, "2022-06-06" + MIDNIGHT, 5, 0, "SO1", "PO1", "10-1", 7, 279, 1, 9, 9, 5,
         "", "", "", "3200.0", "1.0", "1.0", "3202.0", "", "GUID", D],
        [2, 8, "2022-06-20" + MIDNIGHT, "2022-07-02" + MIDNIGHT, "2022-06-27" + MIDNIGHT, 5, 1, "SO2", "", "10-2", 8, "", 1, 9, 9, 1,
         "", "", "", "900.0", "1.0", "1.0", "902.0", "", "GUID", D],
    ],
    "SalesOrderDetail": [
        [1, 1, "4911-403C-98", 4, 1, 1, "800.0000", ".0000", "3200.000000", "GUID", D],
        [2, 2, "", 1, 1, 1, "900.0000", ".0000", "900.000000", "GUID", D],
    ],
    "SalesPerson": [[279, 1, "300000.0", "6700.0", ".0100", "1.0", "1.0", "GUID", D]],
    "SalesPersonQuotaHistory": [[279, D, "9000.0000", "GUID", D]],
    "SpecialOffer": [[1, "No Discount", ".0000", "No Discount", "No Discount", D, "2025-11-29" + MIDNIGHT, 0, "", "GUID", D]],
    "SpecialOfferProduct": [[1, 1, "GUID", D]],
    "PurchaseOrderHeader": [[1, 5, 4, 258, 9, 3, "2022-06-20" + MIDNIGHT, D, "201.0", "16.0", "5.0", "222.0", D]],
    "PurchaseOrderDetail": [[1, 1, "2022-07-04" + MIDNIGHT, 4, 2, "31.5000", "126.0000", "3.00", ".00", "3.00", "2022-07-01" + MIDNIGHT]],
    "TransactionHistory": [[1, 1, 1, 1, D, "S", 4, "800.0000", D]],
    "TransactionHistoryArchive": [[2, 1, 2, 1, "2022-06-20" + MIDNIGHT, "S", 1, "900.0000", D]],
    "CurrencyRate": [[1, D, "USD", "EUR", ".9000", ".9000", D]],
}  # fmt: skip
WAREHOUSE = {  # `|`-separated, and in its own, unmoved calendar: 153 + 4,017 days before the day of the first order above
    "DimProduct": [[7, "BK-1", "", "", "", "Road Bike", "", "", "500.0", 1, "Red", 100, 75, *[""] * 21, "", "Current"]],
    "DimAccount": [[4, 3, 1110, 110, "Cash", "Assets", "+", "", "Currency", ""]],
    "DimScenario": [[1, "Actual"]],
    "FactFinance": [[1, 20101229, 3, 1, 1, 4, "22080.0", "2010-12-29 00:00:00.000"]],
    "FactProductInventory": [[7, 20110124, "2011-01-24", "500.0", 5, 4, 11], [7, 20110125, "2011-01-25", "500.0", 1, 0, 12]],
}


@pytest.fixture(scope="module")
def microsoft_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("microsoft")
    for part, files, separator in (("oltp-install-script", MICROSOFT, "\t"), ("data-warehouse-install-script", WAREHOUSE, "|")):
        (folder / part).mkdir()
        for name, rows in files.items():
            text = "".join(separator.join(str(value) for value in row) + "\n" for row in rows)
            (folder / part / f"{name}.csv").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOP_ADVENTUREWORKS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def microsoft(microsoft_files):
    """The inputs of Microsoft's layout as of 26 June 2022, the last day of its period 2022-06 (shifted by five days)."""
    workspace = WORKSPACE / "microsoft"
    settings = load_settings(workspace)
    loaded, issues = sources.load_inputs(settings, workspace, pd.Timestamp("2022-06-26"))
    assert not (issues["severity"] == "blocks").any(), issues.to_string()
    return settings, workspace, loaded


def test_microsoft_layout_sales_and_stock(microsoft):
    settings, _, loaded = microsoft
    assert settings.calendar.as_of("2025-01") == AS_OF + pd.Timedelta(days=4017)
    history = loaded["sales_history"].set_index("market_id")
    assert history.loc["Northwest|reseller", ["item_id", "period", "ordered_qty", "net_sales_amt"]].tolist() == [
        "1",
        pd.Timestamp("2022-06-01"),
        4,
        3200,
    ]
    assert history.loc["Northwest|reseller", "shipped_qty"] == 4
    assert pd.isna(history.loc["Northwest|online", "shipped_qty"])  # shipped on 27 June, a day after the as-of date
    stock = loaded["stock_on_hand"].set_index("item_id")["on_hand_qty"]
    assert stock["1"] == 12  # the warehouse's 25 January 2011 is 26 June 2022 here
    assert stock["2"] == 4  # two months' use of the last three months' work orders: 2 × 5 / 3, rounded up
    assert loaded["ledger"]["account"].tolist() == ["1110 Cash"]


def test_microsoft_layout_supply(microsoft):
    _, _, loaded = microsoft
    assert loaded["routing"][["hours_per_unit", "hours_per_lot"]].to_numpy().tolist() == [[0, 4]]
    assert loaded["production"].set_index("item_id")["usual_lot_qty"]["1"] == 5
    assert loaded["item"]["item_type"].tolist() == ["finished", "material"]
    assert loaded["capacity"].set_index("period")["regular_hours"][pd.Timestamp("2022-08-01")] == 2 * 8 * 23
    assert loaded["open_supply"][["order_id", "due_date", "open_qty"]].to_numpy().tolist() == [["PO1-1", pd.Timestamp("2022-07-04"), 4.0]]
    made = loaded["production"].set_index("item_id")
    part = loaded["supplier_item"]["unit_cost_amt"].iloc[0]
    assert part == pytest.approx(0.30)
    assert made.loc["1", "variable_cost_amt"] + part + 4 / 5 * 12.25 == pytest.approx(500.0)
    assert loaded["budget"].query("region == 'Northwest'")["revenue_amt"].tolist() == [3000.0] * 3


def test_microsoft_layout_documents(microsoft):
    settings, workspace, loaded = microsoft
    documents, issues = sources.load_documents(settings, workspace, pd.Timestamp("2022-06-26"))
    assert not (issues["severity"] == "blocks").any(), issues.to_string()
    assert documents["supplier"]["supplier_name"].tolist() == ['Chains "R" us']
    assert documents["stock_movement"]["kind"].tolist() == ["sale", "sale"]
    found = checks.run_checks(loaded, documents, settings, pd.Timestamp("2022-06-26")).set_index("rule")["count"]
    assert found["lines_short_received"] == 1
    assert found["bought_in_other_unit_than_bom"] == 1
    assert found["components_without_cost"] == 1
