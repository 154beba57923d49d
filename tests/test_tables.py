"""One declaration per table: types by suffix, findings with keys, a dictionary in sync."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sop_workbench import tables
from sop_workbench.errors import DataError, issue_lines


def prices(**columns):
    frame = {"item_id": ["A1", "A2"], "market_id": ["N", "N"], "valid_from": ["2026-01-01", "2026-01-01"], "price_amt": ["1.5", "2"]}
    return pd.DataFrame({**frame, **columns})


def rules(issues):
    return sorted(issues["rule"])


def test_every_column_has_a_meaning_and_every_key_exists():
    for declared in tables.all_tables().values():
        assert set(declared.key) <= set(declared.columns), declared.name
        assert all(len(c.meaning) > 2 for c in declared.columns.values()), declared.name
        assert {c.references for c in declared.columns.values()} - {None} <= set(tables.all_tables())


def test_text_becomes_typed():
    frame = tables.validate("price", prices())
    assert frame["price_amt"].tolist() == [1.5, 2.0]
    assert frame["valid_from"].dtype == "datetime64[ns]"


def test_item_numbers_stay_text():
    frame = tables.validate("price", prices(item_id=[1.0, 2.0]))
    assert frame["item_id"].tolist() == ["1", "2"]


@pytest.mark.parametrize(("column", "values", "rule", "shown"), [
    ("price_amt", ["1.5", "dear"], "not_a_number", "dear"),
    ("price_amt", ["1.5", "-2"], "below_minimum", "-2.0"),
    ("price_amt", ["1.5", ""], "empty_required_value", ""),
    ("price_amt", ["1.5", "inf"], "not_a_number", "inf"),
    ("valid_from", ["2026-01-01", "soon"], "not_a_date", "soon"),
])
def test_a_wrong_value_is_named_with_its_row(column, values, rule, shown):
    _, issues = tables.conform("price", prices(**{column: values}))
    assert rules(issues) == [rule]
    row = issues.iloc[0]
    assert "item_id=A2" in row["keys"]
    assert row["value"] == shown
    assert column in row["remedy"]


def test_all_findings_at_once():
    with pytest.raises(DataError) as caught:
        tables.validate("price", prices(item_id=["A1", "A1"], price_amt=["x", "-1"]))
    assert rules(caught.value.issues) == ["below_minimum", "duplicate_key", "not_a_number"]
    assert len(str(caught.value).splitlines()) == 3


def test_missing_columns_are_one_finding():
    _, issues = tables.conform("price", pd.DataFrame({"item_id": ["A1"]}))
    assert rules(issues) == ["missing_column"]
    assert issues["value"].item() == "market_id, valid_from, price_amt"


def test_a_value_outside_the_list_names_the_list():
    _, issues = tables.conform("location", pd.DataFrame({"location_id": ["P"], "location_name": ["P"], "location_type": ["shed"]}))
    assert "plant, warehouse" in issues["remedy"].item()


def test_defaults_fill_and_extra_columns_stay():
    frame = tables.validate("market", pd.DataFrame(
        {"market_id": ["N"], "market_name": ["North"], "region": ["N"], "channel": ["shop"], "note": ["hello"]}))
    assert frame[["priority", "min_fill_ratio", "is_strategic", "note"]].iloc[0].tolist() == [1, 0.0, False, "hello"]


def test_the_input_is_not_changed():
    given_frame = prices(price_amt=["x", "1"])
    before = given_frame.copy(deep=True)
    tables.conform("price", given_frame)
    pd.testing.assert_frame_equal(given_frame, before)


@pytest.mark.parametrize("name", list(tables.all_tables()))
def test_an_empty_frame_conforms_to_itself(name):
    empty = tables.table(name).empty()
    frame, issues = tables.conform(name, empty)
    assert len(issues) == 0
    pd.testing.assert_frame_equal(frame, empty)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=0), min_size=1, max_size=20))
def test_conforming_twice_changes_nothing(values):
    items = [f"A{i}" for i in range(len(values))]
    frame = pd.DataFrame({"item_id": items, "market_id": "N", "valid_from": "2026-01-01", "price_amt": values})
    once = tables.validate("price", frame)
    pd.testing.assert_frame_equal(tables.validate("price", once), once)


def test_a_long_list_of_findings_is_cut_and_says_so():
    issues = tables.issue_frame([tables.finding("r", "warns", "t", f"k={i}", 1, "", "mend") for i in range(250)])
    lines = issue_lines(issues)
    assert len(lines) == 201
    assert "50 more" in lines[-1]
