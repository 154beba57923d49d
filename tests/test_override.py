"""Overrides: what people type is read one way, at every level, and all faults are told at once."""

from __future__ import annotations

import pandas as pd
import pytest
import small_company
from hypothesis import given
from hypothesis import strategies as st

from sop_workbench import demand, override, tables
from sop_workbench.errors import DataError, SopError

PERIODS = small_company.PERIODS
INPUTS = small_company.inputs()
ITEM, MARKET = INPUTS["item"], INPUTS["market"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("120", ("replace", 120)), (" 1 250 ", ("replace", 1250)), ("1,250", ("replace", 1250)), ("1.250.000", ("replace", 1_250_000)),
        ("1,250.5", ("replace", 1250.5)), ("1.250,5", ("replace", 1250.5)), ("12,5", ("replace", 12.5)), ("12.125", ("replace", 12.125)),
        ("1\u202f250", ("replace", 1250)), ("1'250", ("replace", 1250)), ("0", ("replace", 0)), ("+50", ("add", 50)), ("-50", ("add", -50)),
        ("−50", ("add", -50)), ("+10 %", ("multiply", 1.1)), ("-100%", ("multiply", 0)), ("+2.5%", ("multiply", 1.025)),
    ],
)  # fmt: skip
def test_what_people_type_is_read(text: str, meant: tuple[str, float]) -> None:
    assert override.read_entry(text) == meant


@pytest.mark.parametrize("text", ["", "many", "10 %", "1 + 1", "--5", "+", "nan", "inf", "1e3", "=A1", "<b>"])
def test_what_cannot_be_read_is_told_with_what_can(text: str) -> None:
    with pytest.raises(SopError, match=r"write a quantity \(120\), a change \(\+50, -50\) or a percentage"):
        override.read_entry(text)


@given(st.floats(0, 1e9).map(lambda value: round(value, 2)))
def test_a_number_as_excel_writes_it_comes_back(value: float) -> None:
    assert override.read_entry(f"{value:,.2f}") == ("replace", value)
    assert override.read_entry(f"{value:.2f}".replace(".", ",")) == ("replace", value)


def entries(level: str, *rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*override.LEVELS[level], "period", "text"])


@pytest.mark.parametrize("level", override.LEVELS)
def test_cells_of_every_level_add_up_in_units_and_money(level: str) -> None:
    agreed = small_company.demand()
    cells = override.cells_at(agreed, ITEM, MARKET, level)
    assert cells["demand_qty"].sum() == pytest.approx(agreed["demand_qty"].sum())
    assert (cells["demand_qty"] * cells["price_amt"]).sum() == pytest.approx(agreed["revenue_amt"].sum())
    assert not cells.duplicated([*override.LEVELS[level], "period"]).any()


def test_a_cell_in_which_nothing_is_expected_has_the_mean_price() -> None:
    agreed = small_company.demand().assign(demand_qty=0.0, revenue_amt=0.0)
    cells = override.cells_at(agreed, ITEM, MARKET, "family")
    assert cells["price_amt"].notna().all()


@pytest.mark.parametrize("level", override.LEVELS)
def test_an_entry_lands_exactly_in_the_consensus_at_its_level(level: str) -> None:
    agreed = small_company.demand()
    cells = override.cells_at(agreed, ITEM, MARKET, level)
    keys = cells.iloc[0][[*override.LEVELS[level]]].tolist()
    typed = entries(level, (*keys, PERIODS[0], "321"), (*keys, PERIODS[1], "+10 %"), (*keys, PERIODS[2], "-5"))
    edits = override.read_edits(typed, cells, level, ITEM, MARKET, PERIODS)
    signed = override.records(edits, level).assign(record_id=["1", "2", "3"], by="A", why="w", at=PERIODS[0])
    records = tables.validate("demand_adjustment", signed)
    after = demand._adjusted(agreed[["item_id", "market_id", "period", "demand_qty"]], records, INPUTS, PERIODS)
    priced = after.assign(price_amt=1.0, revenue_amt=after["demand_qty"])
    landed = override.cells_at(priced, ITEM, MARKET, level).set_index([*override.LEVELS[level], "period"])["demand_qty"]
    for row in edits.to_dict("records"):
        assert landed[(*keys, row["period"])] == pytest.approx(row["new_qty"])
    assert edits["new_qty"].tolist()[0] == 321


def test_every_fault_is_told_at_once() -> None:
    cells = override.cells_at(small_company.demand(), ITEM, MARKET, "item × market")
    late = pd.Timestamp("2031-01-01")
    typed = entries("item × market", ("X9", "N", PERIODS[0], "5"), ("B1", "Z", PERIODS[0], "5"), ("B1", "N", late, "5"),
                    ("B1", "N", PERIODS[0], "many"), ("B1", "N", PERIODS[1], "-99999"))
    with pytest.raises(DataError) as caught:
        override.read_edits(typed, cells, "item × market", ITEM, MARKET, PERIODS)
    assert set(caught.value.issues["rule"]) == {"unknown_item", "unknown_market", "outside_horizon", "not_a_number", "below_minimum"}
    with pytest.raises(DataError) as caught:
        override.read_edits(entries("family × region", ("Boats", "Moon", PERIODS[0], "5")), override.cells_at(
            small_company.demand(), ITEM, MARKET, "family × region"), "family × region", ITEM, MARKET, PERIODS)
    assert set(caught.value.issues["rule"]) == {"unknown_family", "unknown_region"}


def test_a_record_names_only_the_keys_of_its_level() -> None:
    edits = pd.DataFrame([{"family": "Bikes", "region": "North", "period": PERIODS[0], "kind": "add", "value": 5.0}])
    row = override.records(edits, "family × region", "20261001-1").iloc[0]
    assert row[["item_id", "market_id", "family", "region", "kind", "value", "assumption_id"]].tolist() == [
        "", "", "Bikes", "North", "add", 5.0, "20261001-1"]
