"""A company's own files and database become the input tables, and whatever does not fit is told in one line."""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import openpyxl
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sop_workbench import tables
from sop_workbench.errors import SettingsError, issue_lines
from sop_workbench.settings import Settings, UnitFactor
from sop_workbench.sources import _bound, _load, load_documents, load_inputs

AS_OF = pd.Timestamp("2026-09-30")


def company(**changes) -> Settings:
    return Settings.model_validate({"company": "Any", "sources": {"folder": "extract"}, **changes})


def small_tables() -> dict[str, pd.DataFrame]:
    """The least a maker of two items delivers, as a source would spell it."""
    return {
        "item": pd.DataFrame(
            {
                "item_id": ["007", "C-1"],
                "item_name": ["Grill, large", "Knob"],
                "item_type": ["finished", "component"],
                "family": ["Grills", None],
                "base_unit": ["EA", "EA"],
                "standard_cost_amt": [80.5, 1.25],
                "launch_date": ["2024-03-01", None],
            }
        ),
        "market": pd.DataFrame({"market_id": ["N"], "market_name": ["North"], "region": ["North"], "channel": ["web"], "priority": [1]}),
        "location": pd.DataFrame({"location_id": ["P1"], "location_name": ["Plant"], "location_type": ["plant"]}),
        "resource": pd.DataFrame({"resource_id": ["R1"], "location_id": ["P1"], "regular_cost_amt_per_hour": [30]}),
        "capacity": pd.DataFrame({"resource_id": ["R1"], "period": ["2026-10-01"], "regular_hours": [160]}),
        "production": pd.DataFrame({"item_id": ["007"], "location_id": ["P1"], "lead_time_days": [5]}),
        "routing": pd.DataFrame({"item_id": ["007"], "location_id": ["P1"], "resource_id": ["R1"], "hours_per_unit": [0.5]}),
        "bill_of_material": pd.DataFrame({"parent_item_id": ["007"], "component_item_id": ["C-1"], "quantity_per": [4]}),
        "supplier_item": pd.DataFrame({"item_id": ["C-1"], "supplier_id": ["0042"], "location_id": ["P1"], "unit_cost_amt": [1.1]}),
        "lane": pd.DataFrame({"from_location_id": ["P1"], "to_id": ["N"], "freight_cost_amt": [2]}),
        "price": pd.DataFrame({"item_id": ["007"], "market_id": ["N"], "valid_from": ["2026-01-01"], "price_amt": [199]}),
        "service_target": pd.DataFrame({"item_or_class": ["A"], "service_level_ratio": [0.95]}),
        "sales_history": pd.DataFrame(
            {
                "item_id": ["007", "007", "C-1"],
                "market_id": ["N", "N", "N"],
                "period": ["2026-09-01", "2026-08-01", "2026-08-01"],
                "ordered_qty": [12, 10, 3.5],
                "is_stockout": [True, False, False],
            }
        ),
        "stock_on_hand": pd.DataFrame({"item_id": ["007"], "location_id": ["P1"], "on_hand_qty": [40], "as_of_date": ["2026-09-30"]}),
        "open_supply": pd.DataFrame(
            {
                "order_id": ["1"],
                "item_id": ["C-1"],
                "location_id": ["P1"],
                "kind": ["purchase"],
                "due_date": ["2026-10-05"],
                "open_qty": [100],
            }
        ),
    }


def write_company(folder: Path, frames: dict[str, pd.DataFrame] | None = None, **texts: str) -> Path:
    """A workspace with one CSV per table; `texts` replaces whole files (`extract/item.csv` as `item`) or adds queries (`item_sql`)."""
    (folder / "extract").mkdir(parents=True, exist_ok=True)
    (folder / "sql").mkdir(exist_ok=True)
    for name, frame in (small_tables() if frames is None else frames).items():
        frame.to_csv(folder / "extract" / f"{name}.csv", index=False)
    for name, text in texts.items():
        path = folder / "sql" / f"{name[:-4]}.sql" if name.endswith("_sql") else folder / "extract" / f"{name}.csv"
        path.write_text(text, encoding="utf-8")
    return folder


def load(folder: Path, **changes) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    return load_inputs(company(**changes), folder, AS_OF)


def only(issues: pd.DataFrame) -> dict:
    assert len(issues) == 1, issue_lines(issues)
    return issues.iloc[0].to_dict()


# ------------------------------------------------------------------ what is read


def test_a_folder_of_csv_files_becomes_all_input_tables(tmp_path):
    found, issues = load(write_company(tmp_path))
    assert issue_lines(issues) == []
    assert list(found) == tables.names("input")
    for name, frame in found.items():
        pd.testing.assert_frame_equal(tables.validate(name, frame), frame)
    assert found["sales_history"]["period"].tolist() == [pd.Timestamp("2026-08-01"), pd.Timestamp("2026-09-01"), pd.Timestamp("2026-08-01")]
    assert found["sales_history"]["is_stockout"].tolist() == [False, True, False]


def test_optional_tables_that_are_absent_are_empty(tmp_path):
    found, _ = load(write_company(tmp_path))
    pd.testing.assert_frame_equal(found["budget"], tables.table("budget").empty())


def test_ids_keep_their_zeros_in_every_kind_of_file(tmp_path):
    frames = {"market": small_tables()["market"].assign(market_id="0010")}
    write_company(
        tmp_path,
        small_tables() | frames,
        erp="CODE,QTY\n0001,5\n0002,7\n",
        price_sql="select CODE item_id, '0010' market_id, date '2026-01-01' valid_from, QTY price_amt from erp",
    )
    found, _ = load(tmp_path)
    assert found["item"]["item_id"].tolist() == ["007", "C-1"]
    assert found["supplier_item"]["supplier_id"].tolist() == ["0042"]
    assert found["open_supply"]["order_id"].tolist() == ["1"]
    assert found["price"]["item_id"].tolist() == ["0001", "0002"]
    assert found["price"]["price_amt"].tolist() == [5.0, 7.0]


def test_parquet_tsv_and_excel_are_read_like_csv(tmp_path):
    expected, _ = load(write_company(tmp_path / "csv"))
    frames = small_tables()
    other = write_company(
        tmp_path / "other", {k: v for k, v in frames.items() if k not in ("item", "price", "lane", "capacity", "routing")}
    )
    (other / "extract" / "deep").mkdir()
    frames["item"].assign(launch_date=pd.to_datetime(frames["item"]["launch_date"])).to_parquet(other / "extract" / "deep" / "item.parquet")
    frames["price"].to_csv(other / "extract" / "price.tsv", sep="\t", index=False)
    frames["capacity"].to_csv(other / "extract" / "capacity.txt", sep=";", index=False)
    frames["lane"].to_excel(other / "extract" / "lane.xlsx", index=False)
    with pd.ExcelWriter(other / "extract" / "plant.xlsx") as book:
        frames["routing"].to_excel(book, sheet_name="hours", index=False)
        frames["routing"].head(0).to_excel(book, sheet_name="notes", index=False)
    (other / "sql" / "routing.sql").write_text("select * from plant_hours;\n")
    found, issues = load(other)
    assert issue_lines(issues) == []
    for name in expected:
        pd.testing.assert_frame_equal(found[name], expected[name])


def test_excel_cells_of_several_kinds_are_spelled_as_written(tmp_path):
    write_company(tmp_path, {k: v for k, v in small_tables().items() if k != "item"})
    book = openpyxl.Workbook()
    for row in [
        [],
        ["item_id", "item_name", "item_type", "launch_date", None],
        [1001, "Knob", "component", datetime.datetime(2026, 1, 1)],
        ["A-7", "Grill", "finished", None],
        [None, None, None, None],
        [7.0, "Plate", "component", "2026-02-01"],
    ]:
        book.active.append(row)
    book.save(tmp_path / "extract" / "item.xlsx")
    found, issues = load(tmp_path)
    assert issue_lines(issues) == []
    assert found["item"]["item_id"].tolist() == ["1001", "7", "A-7"]
    assert found["item"]["launch_date"].tolist()[:2] == [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-02-01")]


def test_a_utf8_mark_carriage_returns_and_quoted_commas_do_not_matter(tmp_path):
    write_company(tmp_path)
    text = '\ufeffmarket_id,market_name,region,channel\r\nN,"North, ""old"" part",North,web\r\n'
    (tmp_path / "extract" / "market.csv").write_bytes(text.encode())
    found, issues = load(tmp_path)
    assert issue_lines(issues) == []
    assert found["market"]["market_name"].tolist() == ['North, "old" part']


@pytest.mark.parametrize("ends", [("\n", "\n"), ("\r\n", "\r\n"), ("\r", "\r"), ("\r\n", "\n"), ("\n", "\r\n")])
def test_line_ends_of_any_system_even_mixed(tmp_path, ends):
    text = (
        f'market_id,market_name,region,channel{ends[0]}N,"two\nlines",North,web{ends[0]}S,South,South,web{ends[1]}W,West,West,web{ends[1]}'
    )
    write_company(tmp_path)
    (tmp_path / "extract" / "market.csv").write_bytes(text.encode())
    found, issues = load(tmp_path)
    assert issue_lines(issues) == []
    assert found["market"].map(str).iloc[:, :3].to_numpy().tolist() == [
        ["N", "two\nlines", "North"],
        ["S", "South", "South"],
        ["W", "West", "West"],
    ]


def test_another_encoding_is_a_setting(tmp_path):
    write_company(tmp_path)
    for path in (tmp_path / "extract").iterdir():
        path.write_bytes(path.read_text(encoding="utf-8").replace("Grill, large", "Grün, groß").encode("cp1252"))
    found, issues = load(tmp_path, sources={"folder": "extract", "encoding": "cp1252"})
    assert issue_lines(issues) == []
    assert found["item"]["item_name"].tolist() == ["Grün, groß", "Knob"]


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    write_company(tmp_path / "elsewhere")
    monkeypatch.setenv("SOP_TEST_EXTRACT", str(tmp_path / "elsewhere"))
    found, issues = load(tmp_path, sources={"folder": "${SOP_TEST_EXTRACT}/extract"})
    assert issue_lines(issues) == []
    assert len(found["item"]) == 2
    found, issues = load(tmp_path, sources={"folder": "${SOP_TEST_NOT_SET:-elsewhere}/extract"})
    assert issue_lines(issues) == []
    assert len(found["item"]) == 2


def test_row_order_does_not_depend_on_the_file(tmp_path):
    frames = small_tables()
    double = pd.concat([frames["sales_history"], frames["sales_history"].assign(ordered_qty=1.0)])
    first, _ = load(write_company(tmp_path / "a", frames | {"sales_history": double}))
    second, _ = load(write_company(tmp_path / "b", frames | {"sales_history": double.iloc[::-1]}))
    pd.testing.assert_frame_equal(first["sales_history"], second["sales_history"])


def test_findings_do_not_depend_on_the_order_of_rows(tmp_path):
    frames = small_tables()
    wrong = pd.DataFrame(
        {"item_id": [f"{n:03d}" for n in range(40)], "market_id": "N", "valid_from": "2026-01-01", "price_amt": -1.0, "unit": "BOX"}
    )
    items = pd.concat(
        [frames["item"], pd.DataFrame({"item_id": [f"{n:03d}" for n in range(40) if n != 7], "item_name": "x", "item_type": "finished"})]
    )
    told = [load(write_company(tmp_path / str(step), frames | {"item": items, "price": wrong.iloc[::step]}))[1] for step in (1, -1)]
    assert told[0]["rule"].tolist() == ["below_minimum", "unit_without_factor"]
    pd.testing.assert_frame_equal(*told)


def test_extra_columns_pass_through(tmp_path):
    frames = small_tables()
    frames["item"]["colour"] = ["red", None]
    frames["item"]["bin"] = ["0012", "7"]
    found, _ = load(write_company(tmp_path, frames))
    assert found["item"]["colour"].tolist() == ["red", None]
    assert found["item"]["bin"].tolist() == ["0012", "7"]


# ------------------------------------------------------------------ queries


def test_a_query_sees_types_parameters_and_period_of(tmp_path):
    orders = (
        "order_no,item_id,ordered_on,qty,note\n"
        "1,007,2026-08-27 14:30:00,2,ok\n"
        "2,007,2026-08-28 09:00:00,3,\n"
        "3,007,2026-09-30 23:59:59,4,x\n"
        "4,007,2026-10-01,5,x\n"
    )
    query = """-- :as_of in a comment, ':shift_days' in text and a cast are not parameters
        select item_id, 'N' as market_id, period_of(ordered_on) as period, sum(qty)::double as ordered_qty, ':horizon_end' as remark
        from orders where ordered_on < :as_of + 1 group by all order by sum(qty) desc;"""
    write_company(tmp_path, orders=orders, sales_history_sql=query)
    found, issues = load(tmp_path, calendar_shift_days=4)
    assert issue_lines(issues) == []
    history = found["sales_history"]
    assert history["period"].dt.strftime("%Y-%m").tolist() == ["2026-08", "2026-09", "2026-10"]
    assert history["ordered_qty"].tolist() == [2.0, 3.0, 4.0]
    assert history["remark"].unique().tolist() == [":horizon_end"]


def test_the_horizon_is_a_parameter(tmp_path):
    query = """select 'R1' resource_id, cast(p as date) period, 160 regular_hours
               from generate_series(timestamp '2026-10-01', cast(:horizon_end as timestamp), interval 1 month) t(p)"""
    found, issues = load(write_company(tmp_path, capacity_sql=query), horizon=14)
    assert issue_lines(issues) == []
    assert found["capacity"]["period"].tolist() == list(pd.date_range("2026-10-01", periods=14, freq="MS"))


_ORDERS = "item_id,ordered_on,qty\n007,2026-08-27,2\n007,2026-09-28,3\n007,2026-10-01,5\n"


def test_queries_share_a_query_that_begins_with_a_stroke(tmp_path):
    """Two tables of what was ordered until the as-of day, worked out once; it may name another that does not count as a table."""
    write_company(
        tmp_path, orders=_ORDERS,
        _known_sql="select * from orders where ordered_on < :as_of + 1",
        _per_month_sql="-- of _per_month\nselect item_id, period_of(ordered_on) as period, sum(qty) as qty from _Known group by all",
        sales_history_sql="select item_id, 'N' as market_id, period, qty::double as ordered_qty from _per_month",
        stock_on_hand_sql="select item_id, 'P1' as location_id, sum(qty)::double as on_hand_qty, date '2026-09-30' as as_of_date "
                          "from _per_month group by item_id",
    )  # fmt: skip
    found, issues = load(tmp_path)
    assert issue_lines(issues) == []
    assert found["sales_history"]["ordered_qty"].tolist() == [2.0, 3.0]
    assert found["stock_on_hand"]["on_hand_qty"].tolist() == [5.0]


def test_a_fault_in_a_shared_query_is_told_once_with_its_own_file_and_line(tmp_path):
    write_company(
        tmp_path, orders=_ORDERS, _known_sql="select *,\n  qyt from orders", _round_sql="select * from _round",
        _two_sql="select 1; select 2",
        sales_history_sql="select * from _known", stock_on_hand_sql="select * from _known",
        item_sql="select * from _round", market_sql="select * from _two", location_sql="select * from _nowhere",
    )  # fmt: skip
    _, issues = load(tmp_path)
    told = issues[issues["table"].isin(["sales_history", "stock_on_hand", "item", "market", "location"])]
    assert set(zip(told["table"], told["rule"], told["keys"], strict=True)) == {
        ("sales_history", "missing_column", "_known.sql line 2"),
        ("item", "missing_file", "_round.sql line 1"),
        ("market", "query_failed", "_two.sql"),
        ("location", "missing_file", "location.sql line 1"),
    }


@pytest.mark.parametrize("bucket", ["month", "week"])
@pytest.mark.parametrize("shift", [-3, 0, 4])
def test_period_of_in_sql_is_period_of_in_python(tmp_path, bucket, shift):
    days = pd.date_range("2025-12-20", "2026-03-10", freq="D")
    write_company(
        tmp_path,
        days="day\n" + "\n".join(map(str, days.date)),
        ledger_sql="select cast(day as varchar) account, period_of(day) period, 1 amount_amt from days",
    )
    settings = company(bucket=bucket, calendar_shift_days=shift)
    found, issues = load_inputs(settings, tmp_path, AS_OF)
    assert set(issues["table"]) <= {"capacity", "sales_history"}  # months are not weeks
    ledger = found["ledger"]
    assert ledger["period"].tolist() == settings.calendar.periods_of(pd.to_datetime(ledger["account"])).tolist()


@given(
    st.lists(
        st.sampled_from(
            ["':as_of'", '":as_of"', "-- :as_of\n", "/* :as_of */", "x::date", "$$:as_of$$", " :as_of ", "'it''s :as_of'", " + ", "\n"]
        )
    )
)
def test_only_real_parameters_are_bound(parts):
    sql = " ".join(parts)
    text, used = _bound(sql, {"as_of": 1, "shift_days": 2}, "$")
    assert text.count("$as_of") == parts.count(" :as_of ")
    assert text.replace("$as_of", ":as_of") == sql
    assert used == ({"as_of": 1} if " :as_of " in parts else {})


def test_a_headerless_file_gets_its_names_from_columns_yaml_and_one_mapping_serves_both_layouts(tmp_path):
    query = "select cast(Number as varchar) item_id, Name item_name, 'finished' item_type, cast(Start as date) launch_date from Product"
    formats = 'Product: {delimiter: "\\t", quote: "", columns: [Number, Name, Start, rowguid]}\n'
    with_header = write_company(tmp_path / "a", Product='Start,Number,Name\n2026-01-02 00:00:00,5,"46"" frame"\n', item_sql=query)
    without = write_company(tmp_path / "b", Product='5\t46" frame\t2026-01-02 00:00:00.000\t{AB}\n', item_sql=query)
    for folder in (with_header, without):
        (folder / "sql" / "columns.yaml").write_text(formats)
    frames = [load(folder)[0]["item"] for folder in (with_header, without)]
    assert frames[0]["item_name"].tolist() == ['46" frame']
    pd.testing.assert_frame_equal(*frames)


def test_rows_that_end_with_marks_in_utf16_are_read(tmp_path):
    write_company(tmp_path, item_sql="select id item_id, name item_name, 'finished' item_type from model")
    (tmp_path / "extract" / "model.csv").write_bytes("1+|two\r\nlines+|x&|\r\n2+|plain+|y&|\r\n".encode("utf-16"))
    (tmp_path / "sql" / "columns.yaml").write_text(
        'model: {columns: [id, name, more], delimiter: "+|", row_end: "&|", quote: "", encoding: utf-16}\n'
    )
    found, issues = load(tmp_path)
    assert issue_lines(issues) == []
    assert found["item"]["item_name"].tolist() == ["two lines", "plain"]


def test_a_decimal_comma_is_a_format(tmp_path):
    write_company(tmp_path, price="item_id;market_id;valid_from;price_amt\n007;N;2026-01-01;1,25\n")
    assert only(load(tmp_path)[1])["rule"] == "not_a_number"
    (tmp_path / "sql" / "columns.yaml").write_text("price: {decimal: ','}\n")
    found, issues = load(tmp_path)
    assert issue_lines(issues) == []
    assert found["price"]["price_amt"].tolist() == [1.25]


def test_a_wrong_columns_yaml_is_named(tmp_path):
    write_company(tmp_path)
    (tmp_path / "sql" / "columns.yaml").write_text("Product: {colums: [a]}\n")
    with pytest.raises(SettingsError, match=r"columns\.yaml: colums"):
        load(tmp_path)


def test_documents_are_read_when_there_are_any(tmp_path):
    name = tables.names("document")[0]
    found, issues = load_documents(company(), write_company(tmp_path), AS_OF)
    assert found == {}
    assert issues.empty
    declared = tables.table(name)
    empty = ",".join(declared.columns) + "\n"
    (tmp_path / "extract" / f"{name}.csv").write_text(empty)
    found, _ = load_documents(company(), tmp_path, AS_OF)
    assert list(found) == [name]
    assert found[name].empty


# ------------------------------------------------------------------ units, currency, calendar


def test_quantities_and_prices_per_unit_come_into_the_base_unit(tmp_path):
    frames = small_tables()
    frames["sales_history"]["unit"] = ["BOX", "EA", "ea"]
    frames["supplier_item"] = frames["supplier_item"].assign(purchase_unit="CTN", unit_cost_amt=24.0, min_order_qty=2)
    frames["price"] = frames["price"].assign(unit="BOX", price_amt=600)
    units = (
        UnitFactor(from_unit="BOX", to_unit="EA", factor=6),
        UnitFactor(from_unit="BOX", to_unit="EA", factor=4, item_id="007"),
        UnitFactor(from_unit="EA", to_unit="CTN", factor=0.05),
    )
    found, issues = load(write_company(tmp_path, frames), units=[u.model_dump() for u in units])
    assert issue_lines(issues) == []
    assert found["sales_history"]["ordered_qty"].tolist() == [10.0, 48.0, 3.5]
    assert found["sales_history"]["unit"].tolist() == ["EA", "EA", "ea"]
    assert found["price"]["price_amt"].tolist() == [150.0]
    assert found["supplier_item"][["unit_cost_amt", "min_order_qty"]].iloc[0].tolist() == pytest.approx([1.2, 40.0])


def test_a_unit_without_factor_warns_and_leaves_the_row_as_it_is(tmp_path):
    frames = small_tables()
    frames["supplier_item"] = frames["supplier_item"].assign(purchase_unit="CTN", unit_cost_amt=24.0)
    found, issues = load(write_company(tmp_path, frames))
    assert only(issues) == {
        "rule": "unit_without_factor",
        "severity": "warns",
        "table": "supplier_item",
        "count": 1,
        "value": "CTN → EA",
        "keys": "item_id=C-1 supplier_id=0042 location_id=P1",
        "remedy": "add the factor to units in sop.yaml (from_unit, to_unit, factor, item_id where it differs by item)",
    }
    assert found["supplier_item"]["unit_cost_amt"].tolist() == [24.0]


def test_money_comes_into_the_reporting_currency(tmp_path):
    frames = small_tables()
    frames["price"]["currency"] = "usd"
    frames["supplier_item"]["currency"] = "EUR"
    frames["resource"]["currency"] = "GBP"
    found, issues = load(write_company(tmp_path, frames), exchange_rates={"USD": 0.9})
    assert found["price"][["price_amt", "currency"]].iloc[0].tolist() == [pytest.approx(179.1), "EUR"]
    assert found["supplier_item"]["unit_cost_amt"].tolist() == [1.1]
    issue = only(issues)
    assert (issue["rule"], issue["severity"], issue["keys"], issue["value"]) == ("currency_without_rate", "blocks", "resource_id=R1", "GBP")
    assert found["resource"]["regular_cost_amt_per_hour"].tolist() == [30.0]


def test_a_rate_table_counts_from_its_days_on(tmp_path):
    frames = small_tables()
    frames["sales_history"]["currency"] = "USD"
    frames["sales_history"]["period"] = ["2026-08-01", "2026-09-01", "2026-10-01"]
    frames["sales_history"]["net_sales_amt"] = 100.0
    frames["supplier_item"]["currency"] = "USD"
    rates = {"USD": {"2026-09-01": 0.9, "2026-10-01": 0.8}}
    found, issues = load(write_company(tmp_path, frames), exchange_rates=rates)
    by_period = found["sales_history"].sort_values("period")["net_sales_amt"].tolist()
    assert by_period == [100.0, pytest.approx(90), pytest.approx(80)], "before the table begins there is no rate: told, not guessed"
    assert (only(issues)["rule"], only(issues)["count"]) == ("currency_without_rate", 1)
    assert found["supplier_item"]["unit_cost_amt"].tolist() == [pytest.approx(0.8 * 1.1)], "a row without a day takes the newest rate"


def test_a_period_must_begin_a_bucket(tmp_path):
    frames = small_tables()
    frames["sales_history"]["period"] = ["2026-09-30", "2026-08-01", "2026-08-31"]
    issue = only(load(write_company(tmp_path, frames))[1])
    assert (issue["rule"], issue["severity"], issue["count"]) == ("period_not_a_bucket_start", "blocks", 2)
    assert "item_id=007 market_id=N period=2026-09-30" in issue["keys"]
    assert "period_of" in issue["remedy"]


def test_the_severity_of_a_finding_is_a_setting(tmp_path):
    frames = small_tables()
    frames["supplier_item"]["purchase_unit"] = "CTN"
    write_company(tmp_path, frames)
    assert only(load(tmp_path, check_severity={"unit_without_factor": "info"})[1])["severity"] == "info"
    assert only(load(tmp_path, check_severity={"unit_without_factor.supplier_item": "blocks"})[1])["severity"] == "blocks"


# ------------------------------------------------------------------ bad input: one clear line each


def test_a_missing_file(tmp_path):
    write_company(tmp_path)
    (tmp_path / "extract" / "item.csv").unlink()
    found, issues = load(tmp_path)
    issue = only(issues)
    assert (issue["rule"], issue["table"], issue["value"]) == ("missing_file", "item", "item.csv")
    assert str(tmp_path / "extract") in issue["remedy"]
    assert found["item"].empty
    assert len(found["market"]) == 1


def test_a_missing_folder(tmp_path):
    found, issues = load(tmp_path, sources={"folder": "nowhere"})
    assert only(issues)["rule"] == "missing_folder"
    assert str(tmp_path / "nowhere") in only(issues)["value"]
    assert set(found) == set(tables.names("input"))


def test_sources_without_folder_and_url_are_a_wrong_setting(tmp_path):
    with pytest.raises(SettingsError, match="neither folder nor url"):
        load(tmp_path, sources={})


def test_a_file_a_query_names_is_missing(tmp_path):
    write_company(tmp_path, item_sql="select *\nfrom material_master")
    issue = only(load(tmp_path)[1])
    assert (issue["rule"], issue["keys"], issue["value"]) == ("missing_file", "item.sql line 2", "material_master")


def test_a_missing_column_of_a_table_and_of_a_query(tmp_path):
    frames = small_tables()
    del frames["routing"]["hours_per_unit"]
    write_company(tmp_path, frames, price_sql="select item_id, market_id,\n valid_from, amount as price_amt from price")
    _, issues = load(tmp_path)
    assert issues[["rule", "table", "value"]].to_dict("records") == [
        {"rule": "missing_column", "table": "price", "value": "amount"},
        {"rule": "missing_column", "table": "routing", "value": "hours_per_unit"},
    ]
    assert issues.loc[0, "keys"] == "price.sql line 2"


def test_text_in_a_number_is_told_with_row_and_value(tmp_path):
    frames = small_tables()
    frames["sales_history"]["ordered_qty"] = ["12", "ten", "3.5"]
    issue = only(load(write_company(tmp_path, frames))[1])
    assert (issue["rule"], issue["keys"], issue["value"]) == ("not_a_number", "item_id=007 market_id=N period=2026-08-01", "ten")


@pytest.mark.parametrize("summed", ["sum(ordered_qty)", "sum(cast(ordered_qty as double))"])
def test_text_in_a_number_that_a_query_adds_up_is_told_with_row_and_value(tmp_path, summed):
    frames = small_tables()
    frames["sales_history"]["ordered_qty"] = ["12", "ten", "3.5"]
    write_company(
        tmp_path, frames, sales_history_sql=f"select item_id, market_id, period, {summed} as ordered_qty\nfrom sales_history group by all"
    )
    _, issues = load(tmp_path)
    assert issues["rule"].tolist() == ["query_failed", "not_a_number"]
    assert issues.loc[1, "keys"] == "sales_history.csv row 2 item_id=007 market_id=N period=2026-08-01"
    assert issues.loc[1, "value"] == "ten"
    assert issues.loc[1, "count"] == 1


def test_a_duplicate_key(tmp_path):
    frames = small_tables()
    frames["price"] = pd.concat([frames["price"]] * 2)
    issue = only(load(write_company(tmp_path, frames))[1])
    assert (issue["rule"], issue["count"], issue["keys"]) == ("duplicate_key", 2, "item_id=007 market_id=N valid_from=2026-01-01")


def test_a_file_that_is_not_utf8(tmp_path):
    write_company(tmp_path)
    content = b"market_id,market_name,region,channel\nN,North,North,web\nS,S\xfcd,South,web\n"
    (tmp_path / "extract" / "market.csv").write_bytes(content)
    issue = only(load(tmp_path)[1])
    assert (issue["rule"], issue["table"], issue["keys"]) == ("not_utf8", "market", "market.csv line 3")
    assert issue["value"] == f"byte {content.index(0xFC)} is not utf-8"
    assert "sources.encoding" in issue["remedy"]


def test_the_place_of_a_wrong_byte_is_right_in_a_long_file(tmp_path):
    line = "N" + "ü" * 40 + ",North,North,web\n"
    content = "market_id,market_name,region,channel\n" + line * 60_000
    raw = content.encode() + b"\xff"
    write_company(tmp_path)
    (tmp_path / "extract" / "market.csv").write_bytes(raw)
    issue = only(load(tmp_path)[1])
    assert issue["value"] == f"byte {len(raw) - 1:,} is not utf-8"
    assert issue["keys"] == "market.csv line 60002"


def test_an_unknown_encoding(tmp_path):
    _, issues = load(write_company(tmp_path), sources={"folder": "extract", "encoding": "utf-9"})
    assert set(issues["rule"]) == {"unknown_encoding"}
    assert set(issues["value"]) == {"utf-9"}


def test_an_empty_table_and_an_empty_file(tmp_path):
    frames = small_tables()
    frames["market"] = frames["market"].head(0)
    frames["open_supply"] = frames["open_supply"].head(0)
    _, issues = load(write_company(tmp_path, frames, item=""))
    assert issues[["rule", "severity", "table"]].to_numpy().tolist() == [
        ["empty_file", "blocks", "item"],
        ["empty_table", "blocks", "market"],
        ["empty_table", "warns", "open_supply"],
    ]


def test_a_company_that_makes_nothing_is_only_warned(tmp_path):
    frames = small_tables()
    makes = ["resource", "capacity", "production", "routing", "bill_of_material"]
    _, issues = load(write_company(tmp_path / "trader", frames | {name: frames[name].head(0) for name in makes}))
    assert issues["table"].tolist() == makes
    assert set(issues["severity"]) == {"warns"}
    _, issues = load(write_company(tmp_path / "maker", frames | {"routing": frames["routing"].head(0)}))
    assert (only(issues)["rule"], only(issues)["severity"]) == ("empty_table", "blocks")


def test_a_broken_query_is_told_with_file_line_and_reason(tmp_path):
    write_company(tmp_path, item_sql="select *\nfrm item", market_sql="drop table x", location_sql="  \n")
    _, issues = load(tmp_path)
    assert issues["rule"].tolist() == ["query_failed"] * 3
    assert issues["keys"].tolist() == ["item.sql line 2", "market.sql", "location.sql"]
    assert 'syntax error at or near "item"' in issues.loc[0, "value"]
    assert issues.loc[1, "value"] == "the file must hold exactly one SELECT"
    assert not issues["value"].str.contains("\n|Traceback").any()


def test_a_query_that_no_table_takes(tmp_path):
    issue = only(load(write_company(tmp_path, sale_history_sql="select 1"))[1])
    assert (issue["rule"], issue["severity"], issue["value"]) == ("unknown_query", "warns", "sale_history.sql")
    assert issue["remedy"] == "rename it to sales_history.sql"


def test_a_column_selected_twice(tmp_path):
    issue = only(load(write_company(tmp_path, lane_sql="select *, freight_cost_amt from lane"))[1])
    assert (issue["rule"], issue["table"]) == ("duplicate_column", "lane")
    assert issue["value"].startswith("freight_cost_amt")


def test_a_csv_line_of_another_length(tmp_path):
    write_company(tmp_path, market="market_id,market_name,region,channel\nN,North,North,web\nS,South,South,web,extra\n")
    issue = only(load(tmp_path)[1])
    assert (issue["rule"], issue["keys"]) == ("broken_csv", "market.csv line 3")
    assert issue["value"] == "5 fields instead of 4"


def test_a_column_name_twice(tmp_path):
    write_company(tmp_path, market="market_id,market_name,region,channel,Region\nN,North,North,web,x\n")
    issue = only(load(tmp_path)[1])
    assert (issue["rule"], issue["keys"], issue["value"]) == ("broken_csv", "market.csv line 1", "Region, region")


@pytest.mark.parametrize("name", ["item.xlsx", "item.parquet"])
def test_a_damaged_file(tmp_path, name):
    write_company(tmp_path, {k: v for k, v in small_tables().items() if k != "item"})
    (tmp_path / "extract" / name).write_bytes(b"PK\x03\x04 this is no archive")
    issue = only(load(tmp_path)[1])
    assert (issue["rule"], issue["keys"]) == ("unreadable_file", name)


def test_two_files_of_one_name(tmp_path):
    write_company(tmp_path)
    (tmp_path / "extract" / "old").mkdir()
    small_tables()["item"].to_csv(tmp_path / "extract" / "old" / "Item.csv", index=False)
    issue = only(load(tmp_path)[1])
    assert issue["rule"] == "ambiguous_file"
    assert "item.csv" in issue["value"]
    assert "Item.csv" in issue["value"]


def test_a_date_beyond_the_clock_is_told_not_lost(tmp_path):
    frames = small_tables()
    frames["bill_of_material"]["valid_to"] = "9999-12-31"
    issue = only(load(write_company(tmp_path, frames))[1])
    assert (issue["rule"], issue["value"]) == ("not_a_date", "9999-12-31")


def test_all_faults_show_at_once_and_files_nobody_names_do_not_matter(tmp_path):
    frames = small_tables()
    frames["price"]["price_amt"] = "cheap"
    write_company(tmp_path, frames, lane_sql="select nothing")
    (tmp_path / "extract" / "market.csv").write_bytes(b"market_id\n\xff\n")
    (tmp_path / "extract" / "photo.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "extract" / "resource.csv").unlink()
    _, issues = load(tmp_path)
    assert sorted(zip(issues["table"], issues["rule"], strict=True)) == [
        ("lane", "missing_column"),
        ("market", "not_utf8"),
        ("price", "not_a_number"),
        ("resource", "missing_file"),
    ]
    assert len(issue_lines(issues)) == 4


def test_findings_are_rows_of_the_issue_table(tmp_path):
    write_company(tmp_path, item_sql="selec", lane="")
    _, issues = load(tmp_path)
    tables.validate("issue", issues)


def test_no_database_file_is_left_behind(tmp_path):
    before = set(write_company(tmp_path).rglob("*"))
    load(tmp_path)
    assert set(tmp_path.rglob("*")) == before


# ------------------------------------------------------------------ round trips


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(_TEXT | st.from_regex(r"0\d{1,4}|\d{1,20}|\d\.0|1e5|-0", fullmatch=True), st.floats(0, 1e12), min_size=1, max_size=8)
)
def test_ids_and_amounts_survive_a_csv_file_exactly(tmp_path, prices):
    frame = pd.DataFrame({"item_id": list(prices), "market_id": "N", "valid_from": "2026-01-01", "price_amt": list(prices.values())})
    write_company(tmp_path, {"price": frame})
    found, issues = _load(["price"], company(), tmp_path, AS_OF)
    assert issue_lines(issues) == []
    assert dict(zip(found["price"]["item_id"], found["price"]["price_amt"], strict=True)) == prices


# ------------------------------------------------------------------ size


@pytest.mark.slow
def test_a_file_of_300_mb_loads_through_its_query_and_is_refused_whole(tmp_path):
    """In a process of its own, so that its memory can be measured."""
    write_company(
        tmp_path, sales_history_sql="select item_id, market_id, period_of(day) period, sum(qty) ordered_qty from movement group by all"
    )
    target = tmp_path / "extract" / "movement.csv"
    duckdb.execute(
        f"""copy (select 'item-' || (i % 500) item_id, 'market-' || (i % 20) market_id, date '2020-01-01' + cast(i % 2000 as int) as day,
                         (i % 977) * 1.25 qty, 'some remark of the clerk' remark from range(6000000) t(i)) to '{target}' (header)"""
    )
    assert target.stat().st_size > 300e6
    program = f"""
import resource, pandas as pd
from sop_workbench.settings import Settings
from sop_workbench.sources import load_inputs
settings = Settings(company="Any", sources={{"folder": "extract", "memory_limit_mb": 512}})
found, issues = load_inputs(settings, {str(tmp_path)!r}, pd.Timestamp("2026-09-30"))
print(len(issues), found["sales_history"]["ordered_qty"].sum(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    count, total, peak_mb = _printed(program)
    assert (int(count), float(total)) == (0, sum(i % 977 for i in range(6_000_000)) * 1.25)
    assert float(peak_mb) < 1500
    (tmp_path / "sql" / "sales_history.sql").write_text(
        "select item_id, market_id, day as period, qty as ordered_qty, remark from movement"
    )
    refused = program.replace('found["sales_history"]["ordered_qty"].sum()', 'issues.loc[0, "rule"]')
    count, rule, peak_mb = _printed(refused)
    assert (int(count), rule) == (1, "too_large")
    assert float(peak_mb) < 1500


def _printed(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.split()


def test_a_table_beyond_the_memory_limit_is_refused(tmp_path):
    write_company(tmp_path, ledger_sql="select i::varchar account, date '2026-01-01' period, 1.0 amount_amt from range(1000000) t(i)")
    found, issues = load(tmp_path, sources={"folder": "extract", "memory_limit_mb": 100})
    issue = only(issues)
    assert (issue["rule"], issue["table"]) == ("too_large", "ledger")
    assert "memory_limit_mb" in issue["remedy"]
    assert found["ledger"].empty


# ------------------------------------------------------------------ databases


def test_the_same_tables_in_postgresql_and_in_csv_give_equal_frames(tmp_path, postgres_url):
    files, _ = load(write_company(tmp_path))
    fill_database(postgres_url)
    found, issues = load(tmp_path / "none", sources={"url": postgres_url})
    assert issue_lines(issues) == []
    for name, frame in files.items():
        pd.testing.assert_frame_equal(found[name], frame)


def test_a_query_runs_on_postgresql_with_the_same_parameters(tmp_path, postgres_url):
    fill_database(postgres_url)
    query = """select item_id, market_id, ordered_qty, is_stockout, ':shift_days' as remark, -- :as_of
       date_trunc('month', period::date + :shift_days * interval '1 day')::date as period, '10:30'::time as clock, 1.5::numeric as factor
       from sales_history where period::date < date_trunc('month', :as_of ::date) and period::date <= :horizon_end and item_id like '%7'"""
    write_company(tmp_path, {}, sales_history_sql=query)
    found, issues = load(tmp_path, sources={"url": postgres_url}, calendar_shift_days=4)
    assert issue_lines(issues) == []
    row = found["sales_history"].iloc[0]
    assert len(found["sales_history"]) == 1
    assert (row["item_id"], row["period"], row["ordered_qty"]) == ("007", pd.Timestamp("2026-08-01"), 10.0)
    assert (row["remark"], row["clock"], row["factor"]) == (":shift_days", "10:30:00", 1.5)


def test_faults_on_postgresql_show_together(tmp_path, postgres_url):
    fill_database(postgres_url, without=["routing"])
    write_company(
        tmp_path,
        {},
        item_sql="select *\nfrom no_such_table",
        market_sql="select market_id,\n\n nothing from market",
        lane_sql="selec 1",
        price_sql="select 'x'::int",
    )
    found, issues = load(tmp_path, sources={"url": postgres_url})
    assert issues[["rule", "table", "keys"]].to_dict("records") == [
        {"rule": "missing_table", "table": "item", "keys": "item.sql line 2"},
        {"rule": "missing_column", "table": "market", "keys": "market.sql line 3"},
        {"rule": "missing_table", "table": "routing", "keys": ""},
        {"rule": "query_failed", "table": "lane", "keys": "lane.sql line 1"},
        {"rule": "query_failed", "table": "price", "keys": "price.sql line 1"},
    ]
    assert len(found["location"]) == 1
    assert found["routing"].empty


def test_a_query_cannot_change_the_database(tmp_path, postgres_url):
    fill_database(postgres_url)
    write_company(tmp_path, {}, item_sql="delete from item returning *")
    load(tmp_path, sources={"url": postgres_url})
    engine = sa.create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("select count(*) from item")).scalar() == 2
    engine.dispose()


def test_a_large_table_of_postgresql_is_refused_while_it_streams(tmp_path, postgres_url):
    fill_database(postgres_url)
    many = ", ".join(f"i as extra{n}" for n in range(30))
    write_company(
        tmp_path,
        {},
        ledger_sql=f"select i::text account, date '2026-01-01' period, 1 amount_amt, {many} from generate_series(1, 9999999) t(i)",
    )
    _, issues = load(tmp_path, sources={"url": postgres_url, "memory_limit_mb": 64})
    assert only(issues)["rule"] == "too_large"


def test_an_unreachable_database_is_told_without_its_password(tmp_path):
    found, issues = load(tmp_path, sources={"url": "postgresql+psycopg://planner:s3cret-word@127.0.0.1:1/erp"})
    issue = only(issues)
    assert issue["rule"] == "database_unreachable"
    assert "127.0.0.1" in issue["remedy"]
    assert "s3cret-word" not in str(issue)
    assert set(found) == set(tables.names("input"))


@pytest.mark.parametrize("url", ["nonsense", "nosuchdialect://host/base"])
def test_a_wrong_database_address(tmp_path, url):
    issue = only(load(tmp_path, sources={"url": url})[1])
    assert issue["rule"] == "database_unreachable"
    assert "sources.url" in issue["remedy"]


def test_other_databases_through_sqlalchemy(tmp_path):
    fill_database(f"sqlite:///{tmp_path / 'erp.sqlite'}")
    write_company(
        tmp_path,
        {},
        price_sql="select item_id, market_id, valid_from, price_amt from price where valid_from <= :as_of",
        lane_sql="select * from nope",
    )
    found, issues = load(tmp_path, sources={"url": f"sqlite:///{tmp_path / 'erp.sqlite'}"})
    assert (only(issues)["rule"], only(issues)["value"]) == ("missing_table", "nope")
    assert found["item"]["item_id"].tolist() == ["007", "C-1"]
    assert found["price"]["price_amt"].tolist() == [199.0]


def fill_database(url: str, without: list[str] | None = None) -> None:
    """The small company as database tables, with dates as dates where PostgreSQL has them."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for name, frame in small_tables().items():
            dates = [c for c in frame.columns if re.search("date|period|valid_from", c)]
            typed = frame.assign(**{c: pd.to_datetime(frame[c]).dt.date for c in dates})
            connection.execute(sa.text(f"drop table if exists {name}"))
            if name not in (without or []):
                kinds = {"standard_cost_amt": sa.Numeric(12, 4)} if name == "item" else {}
                typed.to_sql(name, connection, index=False, dtype=kinds)
    engine.dispose()
