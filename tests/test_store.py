"""Cycles, scenarios, records, versions and lock: what is written comes back, and nothing is lost or half written."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
import traceback

import pandas as pd
import pytest
from deltalake import DeltaTable, Transaction, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sop_workbench import __version__, tables
from sop_workbench.errors import CycleLockedError, DataError, SettingsError, SopError, StoreConflictError, UnknownCycleError
from sop_workbench.store import BASE, Cycle, Store, open_store, open_workspace


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(tmp_path / "store")


@pytest.fixture
def cycle(store) -> Cycle:
    return store.cycle("2026-10")


def targets(*levels: float) -> pd.DataFrame:
    """A small input table: `service_target` with one row per level."""
    return pd.DataFrame(
        {"item_or_class": [f"{n:03d}" for n in range(len(levels))], "service_level_ratio": list(levels), "fill_ratio": None}
    ).astype({"fill_ratio": float})


def comparison(value: float, name: str = "more overtime") -> pd.DataFrame:
    """A small result table."""
    row = {
        "scenario": name,
        "title": "",
        "measure": "revenue",
        "sequence": 1,
        "unit": "EUR",
        "value": value,
        "delta": 0.0,
        "levers": "",
        "is_feasible": True,
    }
    return pd.DataFrame([row])


# ------------------------------------------------------------------ write and read


def test_a_table_comes_back_as_it_was_written(cycle):
    frame = comparison(5.5)
    cycle.write("scenario_comparison", frame, note="first")
    found = cycle.read("scenario_comparison")
    pd.testing.assert_frame_equal(found, frame)
    assert found.dtypes.astype(str).to_dict() == {
        "scenario": "object",
        "title": "object",
        "measure": "object",
        "sequence": "int64",
        "unit": "object",
        "value": "float64",
        "delta": "float64",
        "levers": "object",
        "is_feasible": "bool",
    }


def test_writing_again_replaces_only_that_cycle_and_scenario(store):
    october, november = store.cycle("2026-10"), store.cycle("2026-11")
    october.write("scenario_comparison", comparison(1.0))
    october.write("scenario_comparison", comparison(2.0), scenario="more overtime")
    november.write("scenario_comparison", comparison(3.0))
    october.write("scenario_comparison", comparison(9.0))
    assert october.read("scenario_comparison")["value"].tolist() == [9.0]
    assert october.read("scenario_comparison", "more overtime")["value"].tolist() == [2.0]
    assert november.read("scenario_comparison")["value"].tolist() == [3.0]
    assert october.scenarios("scenario_comparison") == [BASE, "more overtime"]
    everything = store.read_all("scenario_comparison")
    assert everything[["cycle_id", "scenario_id", "value"]].to_numpy().tolist() == [
        ["2026-10", "base", 9.0],
        ["2026-10", "more overtime", 2.0],
        ["2026-11", "base", 3.0],
    ]


def test_the_frame_given_is_not_changed_and_rows_come_back_by_key(cycle):
    frame = targets(0.9, 0.95, 0.8).iloc[::-1]
    before = frame.copy(deep=True)
    cycle.write("service_target", frame)
    pd.testing.assert_frame_equal(frame, before)
    assert cycle.read("service_target")["item_or_class"].tolist() == ["000", "001", "002"]


def test_who_can_do_without_a_table_gets_its_columns(cycle):
    assert cycle.read_or_empty("service_target").columns.tolist() == list(tables.table("service_target").columns)
    assert cycle.read_or_empty("service_target").empty
    cycle.write("service_target", targets(0.9))
    pd.testing.assert_frame_equal(cycle.read_or_empty("service_target"), cycle.read("service_target"))


def test_written_and_empty_differs_from_never_written(cycle):
    cycle.write("service_target", targets(0.9))
    cycle.write("service_target", targets())
    assert cycle.has("service_target")
    found = cycle.read("service_target")
    pd.testing.assert_frame_equal(found, tables.table("service_target").empty())
    assert not cycle.has("item")
    with pytest.raises(UnknownCycleError, match="item was never written for cycle 2026-10"):
        cycle.read("item")


def test_what_was_never_written_is_named_with_what_there_is(store):
    store.cycle("2026-09").write("scenario_comparison", comparison(1.0), scenario="chase")
    with pytest.raises(UnknownCycleError, match=r"cycle 2026-10, scenario level; the store has 2026-09 chase"):
        store.cycle("2026-10").read("scenario_comparison", "level")


def test_inputs_belong_to_the_cycle_not_to_a_scenario(cycle):
    with pytest.raises(SopError, match="express the change as levers"):
        cycle.write("service_target", targets(0.9), scenario="chase")
    cycle.write("service_target", targets(0.9))
    assert not cycle.has("service_target", "chase")
    with pytest.raises(UnknownCycleError, match="levers"):
        cycle.read("service_target", "chase")


def test_extra_columns_are_kept_where_they_hold_anything(store):
    plain, rich = store.cycle("2026-10"), store.cycle("2026-11")
    plain.write("service_target", targets(0.9))
    extra = targets(0.9, 0.8).assign(
        colour=["red", None], weight=[1, 2], is_new=[True, False], seen=pd.to_datetime(["2026-01-02 03:04:05.123456", None])
    )
    rich.write("service_target", extra)
    pd.testing.assert_frame_equal(rich.read("service_target"), extra)
    pd.testing.assert_frame_equal(plain.read("service_target"), targets(0.9))


def test_an_extra_column_that_changes_its_type_is_told(store):
    store.cycle("2026-10").write("service_target", targets(0.9).assign(colour=["red"]))
    with pytest.raises(DataError, match="column_not_storable.*colour"):
        store.cycle("2026-11").write("service_target", targets(0.9).assign(colour=[7]))
    with pytest.raises(DataError, match="column_not_storable.*cycle_id"):
        store.cycle("2026-11").write("service_target", targets(0.9).assign(cycle_id="x"))
    with pytest.raises(DataError, match="column_not_storable.*parts"):
        store.cycle("2026-11").write("service_target", targets(0.9).assign(parts=[[1, 2]]))


def test_a_column_declared_after_rows_were_written_takes_its_default(cycle, monkeypatch):
    declared = tables.table("market")
    older = {name: column for name, column in declared.columns.items() if name not in ("is_strategic", "segment")}
    frame = pd.DataFrame({"market_id": ["N"], "market_name": ["North"], "region": ["North"], "channel": ["web"]})
    with monkeypatch.context() as patch:
        patch.setitem(tables.all_tables(), "market", tables.Table("market", "input", "", ("market_id",), older))
        cycle.write("market", frame)
    found = cycle.read("market")
    assert (found["is_strategic"].tolist(), found["segment"].tolist()) == ([False], [None])
    pd.testing.assert_frame_equal(tables.validate("market", found), found)


def test_names_with_quotes_spaces_and_slashes_are_names(cycle):
    for number, name in enumerate(["O'Brien's plan", "a/b", "50 % more", "größer", "x=1 AND 'y'"]):
        cycle.write("scenario_comparison", comparison(float(number)), scenario=name)
    assert len(cycle.scenarios("scenario_comparison")) == 5
    assert cycle.read("scenario_comparison", "O'Brien's plan")["value"].tolist() == [0.0]
    assert cycle.read("scenario_comparison", "a/b")["value"].tolist() == [1.0]
    assert cycle.read("scenario_comparison", "x=1 AND 'y'")["value"].tolist() == [4.0]


def test_a_table_that_is_none_is_refused(cycle):
    for call in (lambda: cycle.read("nonsense"), lambda: cycle.write("nonsense", targets()), lambda: cycle.store.read_all("nonsense")):
        with pytest.raises(KeyError, match="no table 'nonsense'"):
            call()


# ------------------------------------------------------------------ bad data leaves nothing half written


def test_bad_data_is_refused_with_every_finding_and_nothing_is_written(cycle):
    cycle.write("service_target", targets(0.9))
    with pytest.raises(DataError) as told:
        cycle.write_all(
            {
                "service_target": targets(0.8),
                "scenario_comparison": comparison(1.0).assign(value="much"),
                "market": pd.DataFrame({"market_id": ["N"]}),
            }
        )
    assert sorted(told.value.issues["rule"]) == ["missing_column", "not_a_number"]
    assert cycle.read("service_target")["service_level_ratio"].tolist() == [0.9]
    assert not cycle.has("scenario_comparison")
    assert not cycle.has("market")


def test_many_tables_are_written_with_one_call(cycle):
    cycle.write_all({"service_target": targets(0.9), "scenario_comparison": comparison(1.0)}, note="together")
    assert cycle.has("service_target")
    assert cycle.history("scenario_comparison")["note"].tolist() == ["together"]


# ------------------------------------------------------------------ versions, history, fingerprints


def test_every_write_is_in_the_history(store, cycle):
    assert cycle.history("service_target").empty
    cycle.write("service_target", targets(0.9), note="first")
    store.cycle("2026-11").write("service_target", targets(0.9), note="other cycle")
    cycle.write("service_target", targets(0.8), note="second")
    found = cycle.history("service_target")
    assert found["note"].tolist() == ["second", "first"]
    assert found["version"].is_monotonic_decreasing
    assert set(found["code_version"]) == {__version__}
    assert (found["user"].str.len() > 0).all()
    assert abs(pd.Timestamp.now("UTC").tz_localize(None) - found["at"].iloc[0]) < pd.Timedelta(minutes=5)
    assert len(store.history("service_target")) == 3


def test_versions_count_the_writes_of_a_partition(store, cycle):
    assert cycle.version("service_target") is None
    for number in range(1, 4):
        cycle.write("service_target", targets(0.9))
        store.cycle("2026-11").write("service_target", targets(0.9))
        assert cycle.version("service_target") == number
    assert cycle.version("comment") is None
    cycle.append("comment", {"subject": "a", "text": "b"}, by="Ann", why="asked")
    assert cycle.version("comment") == 1


def test_versions_survive_the_summaries_of_the_log(cycle):
    """Delta sums up its log every twenty commits; the counts and the empty partitions must be in the summary."""
    cycle.write("service_target", targets(), note="empty")
    other = cycle.store.cycle("2026-11")
    for _ in range(45):
        other.write("service_target", targets(0.9))
    assert (cycle.version("service_target"), other.version("service_target")) == (1, 45)
    assert cycle.read("service_target").empty
    assert len(other.history("service_target")) == 45


def test_a_fingerprint_tells_content_not_time(cycle):
    cycle.write("service_target", targets(0.9, 0.8))
    first = cycle.fingerprint(["service_target", "item"])
    cycle.write("service_target", targets(0.9, 0.8).iloc[::-1])
    assert cycle.fingerprint(["item", "service_target"]) == first
    cycle.write("service_target", targets(0.9, 0.81))
    assert cycle.fingerprint(["service_target", "item"]) != first
    cycle.append("comment", {"subject": "a", "text": "b"}, by="Ann", why="asked")
    with_comment = cycle.fingerprint(["comment"])
    cycle.append("comment", {"subject": "a", "text": "c"}, by="Ann", why="asked")
    assert cycle.fingerprint(["comment"]) != with_comment


# ------------------------------------------------------------------ people's records


def test_records_are_numbered_dated_and_signed(cycle):
    rows = pd.DataFrame({"subject": ["plan", "stock"], "text": ["too high", "too low"]})
    stored = cycle.append("comment", rows, by=" Ann ", why="review")
    cycle.append("comment", [{"subject": "later", "text": "x"}], by="Bob", why="asked")
    found = cycle.records("comment")
    pd.testing.assert_frame_equal(found.head(2), stored)
    assert found["record_id"].is_unique
    assert found["record_id"].is_monotonic_increasing
    assert found["by"].tolist() == ["Ann", "Ann", "Bob"]
    assert found["why"].tolist() == ["review", "review", "asked"]
    assert found["at"].dtype == "datetime64[ns]"
    assert abs(pd.Timestamp.now("UTC").tz_localize(None) - found["at"].iloc[0]) < pd.Timedelta(minutes=5)
    assert cycle.history("comment")["user"].tolist() == ["Bob", "Ann"]


def test_records_need_who_and_why_and_nobody_signs_for_the_store(cycle):
    for by, why in [("", "because"), ("Ann", ""), ("Ann", "  ")]:
        with pytest.raises(DataError, match="missing_reason"):
            cycle.append("comment", {"subject": "a", "text": "b"}, by=by, why=why)
    with pytest.raises(DataError, match="reserved_column"):
        cycle.append("comment", {"subject": "a", "text": "b", "by": "Eve"}, by="Ann", why="x")
    with pytest.raises(DataError, match="missing_column"):
        cycle.append("comment", {"subject": "a"}, by="Ann", why="x")
    assert cycle.records("comment").empty


def test_records_belong_to_their_cycle_and_are_empty_at_first(store, cycle):
    pd.testing.assert_frame_equal(cycle.records("lever"), tables.table("lever").empty())
    cycle.append("comment", {"subject": "a", "text": "b"}, by="Ann", why="x")
    assert store.cycle("2026-11").records("comment").empty
    assert store.read_all("comment")["cycle_id"].tolist() == ["2026-10"]


def test_a_lever_keeps_its_own_scenario(cycle):
    lever = {
        "scenario_id": "chase",
        "table": "capacity",
        "column": "overtime_hours",
        "operation": "multiply",
        "value": "1.2",
        "from_period": "2026-11-01",
    }
    cycle.append("lever", lever, by="Ann", why="what if")
    found = cycle.records("lever").iloc[0]
    assert (found["scenario_id"], found["from_period"], found["to_period"]) == ("chase", pd.Timestamp("2026-11-01"), pd.NaT) or pd.isna(
        found["to_period"]
    )
    assert found["scenario_id"] == "chase"


def test_records_and_tables_are_not_mixed_up(cycle):
    with pytest.raises(SopError, match="append to it with who and why"):
        cycle.write("comment", pd.DataFrame())
    with pytest.raises(SopError, match="use write"):
        cycle.append("service_target", {"item_or_class": "A"}, by="Ann", why="x")
    with pytest.raises(SopError, match="use lock or unlock"):
        cycle.append("approval", {"status": "locked"}, by="Ann", why="x")
    with pytest.raises(SopError, match="use read"):
        cycle.records("service_target")


# ------------------------------------------------------------------ lock


def test_a_locked_cycle_never_changes(store, cycle):
    cycle.write("service_target", targets(0.9))
    cycle.append("comment", {"subject": "a", "text": "b"}, by="Ann", why="x")
    cycle.lock(by="General manager", why="approved")
    assert cycle.is_locked
    assert store.locked_cycles() == ["2026-10"]
    for call in (
        lambda: cycle.write("service_target", targets(0.5)),
        lambda: cycle.append("comment", {"subject": "a", "text": "b"}, by="Ann", why="x"),
        lambda: cycle.lock(by="Ann", why="again"),
    ):
        with pytest.raises(CycleLockedError, match=r"locked by General manager on .* \(approved\)"):
            call()
    store.cycle("2026-11").write("service_target", targets(0.7))
    assert cycle.read("service_target")["service_level_ratio"].tolist() == [0.9]
    assert not cycle.has("item")


def test_a_locked_cycle_is_read_at_its_pinned_versions_whatever_comes_later(store, cycle):
    cycle.write("service_target", targets(0.9))
    cycle.lock(by="GM", why="approved")
    late = Cycle("2026-10", store)
    rows, _ = late._prepare("service_target", targets(0.1), BASE)
    with pytest.raises(CycleLockedError, match=r"locked by GM \(approved\) while service_target was being written; your rows are not part"):
        late._replace("service_target", rows, BASE, "a writer that had looked before the lock")
    market = pd.DataFrame({"market_id": ["N"], "market_name": ["North"], "region": ["North"], "channel": ["web"]})
    rows, _ = late._prepare("market", market, BASE)
    with pytest.raises(CycleLockedError, match="while market was being written"):
        late._replace("market", rows, BASE, "too late")
    assert cycle.read("service_target")["service_level_ratio"].tolist() == [0.9]
    assert cycle.version("service_target") == 1
    assert not cycle.has("market")
    store.cycle("2026-11").write("service_target", targets(0.7))
    assert store.read_all("service_target")["service_level_ratio"].tolist() == [0.9, 0.7]


def test_unlocking_needs_a_reason_and_locking_again_pins_anew(cycle):
    with pytest.raises(SopError, match="not locked"):
        cycle.unlock(by="GM", why="x")
    cycle.write("service_target", targets(0.9))
    cycle.lock(by="GM", why="approved")
    with pytest.raises(DataError, match="missing_reason"):
        cycle.unlock(by="GM", why="")
    cycle.unlock(by="GM", why="wrong price list")
    assert not cycle.is_locked
    cycle.write("service_target", targets(0.8))
    cycle.lock(by="GM", why="approved again")
    assert cycle.read("service_target")["service_level_ratio"].tolist() == [0.8]
    approvals = cycle.records("approval")
    assert approvals[["status", "why"]].to_numpy().tolist() == [
        ["locked", "approved"],
        ["unlocked", "wrong price list"],
        ["locked", "approved again"],
    ]


def test_an_empty_cycle_cannot_be_locked(cycle):
    with pytest.raises(UnknownCycleError, match="is empty and cannot be locked"):
        cycle.lock(by="GM", why="approved")


def test_pinned_versions_survive_hundreds_of_later_writes(store, cycle):
    cycle.write("service_target", targets(0.9))
    cycle.lock(by="GM", why="approved")
    later = store.cycle("2026-11")
    for _ in range(60):
        later.write("service_target", targets(0.7))
    assert cycle.read("service_target")["service_level_ratio"].tolist() == [0.9]


# ------------------------------------------------------------------ workspace


def test_a_workspace_opens_its_store_and_binder(tmp_path):
    (tmp_path / "sop.yaml").write_text("company: Any\nhorizon: 12\ncalendar_shift_days: 4\nstore: ${SOP_TEST_STORE:-kept}/here\n")
    workspace = open_workspace(tmp_path)
    cycle = workspace.cycle("2014-01")
    assert cycle.as_of == pd.Timestamp("2013-12-27")
    assert cycle.period == pd.Timestamp("2014-01-01")
    assert len(cycle.periods) == 12
    assert cycle.settings.company == "Any"
    assert cycle.workspace.folder == tmp_path
    assert not (tmp_path / "cycles").exists()
    assert cycle.folder == tmp_path / "cycles" / "2014-01"
    assert cycle.folder.is_dir()
    cycle.write("service_target", targets(0.9))
    assert (tmp_path / "kept" / "here" / "service_target" / "_delta_log").is_dir()
    assert open_workspace(tmp_path).store.cycles() == ["2014-01"]
    with pytest.raises(SettingsError, match="not a month"):
        workspace.cycle("2014-13")


def test_a_store_without_workspace_has_no_calendar(cycle):
    for name in ("settings", "calendar", "periods", "folder", "workspace"):
        with pytest.raises(SettingsError, match="without a workspace"):
            getattr(cycle, name)


def test_all_inputs_come_back_and_optional_ones_may_be_missing(cycle):
    with pytest.raises(UnknownCycleError, match="Run the step that writes item"):
        cycle.inputs()
    needed = [name for name in tables.names("input") if not tables.table(name).is_optional]
    cycle.write_all({name: tables.table(name).empty() for name in needed})
    found = cycle.inputs()
    assert list(found) == tables.names("input")
    assert all(frame.empty for frame in found.values())


def test_a_store_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SopError, match="the store .* cannot be"):
        open_store(tmp_path / "file").cycle("2026-10").write("service_target", targets(0.9))


def test_other_tools_read_the_same_tables(store, cycle):
    cycle.write("service_target", targets(0.9, 0.8), note="for all")
    delta = DeltaTable(f"{store.url}/service_target")
    assert delta.metadata().partition_columns == ["cycle_id"]
    assert delta.to_pyarrow_table().num_rows == 2
    cycle.write("scenario_comparison", comparison(1.0))
    assert DeltaTable(f"{store.url}/scenario_comparison").metadata().partition_columns == ["cycle_id", "scenario_id"]


# ------------------------------------------------------------------ round trips


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(
    lambda text: text == text.strip()
)
_DAYS = st.datetimes(pd.Timestamp("1700-01-01"), pd.Timestamp("2250-01-01")).map(pd.Timestamp)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.dictionaries(
        st.tuples(_TEXT, _TEXT, _DAYS),
        st.tuples(_NUMBERS, st.none() | _NUMBERS, st.booleans(), st.none() | _TEXT, st.integers(-(2**62), 2**62)),
        max_size=6,
    )
)
def test_types_survive_the_store_exactly(cycle, rows):
    frame = pd.DataFrame(
        {
            "item_id": [key[0] for key in rows],
            "market_id": [key[1] for key in rows],
            "period": pd.Series([key[2] for key in rows], dtype="datetime64[ns]"),
            "ordered_qty": pd.Series([value[0] for value in rows.values()], dtype="float64"),
            "shipped_qty": pd.Series([value[1] for value in rows.values()], dtype="float64"),
            "on_time_qty": pd.Series(dtype="float64"),
            "net_sales_amt": pd.Series(dtype="float64"),
            "order_count": pd.Series(dtype="float64"),
            "complete_order_count": pd.Series(dtype="float64"),
            "is_stockout": pd.Series([value[2] for value in rows.values()], dtype=bool),
            "remark": pd.Series([value[3] for value in rows.values()], dtype=object),
            "serial": pd.Series([value[4] for value in rows.values()], dtype="int64"),
        }
    )
    cycle.write("sales_history", frame)
    found = cycle.read("sales_history")
    key = ["item_id", "market_id", "period"]
    expected = frame.dropna(axis="columns", how="all") if rows else tables.table("sales_history").empty()
    expected = expected.reindex(columns=found.columns) if not rows else frame[found.columns]
    expected = expected.assign(_order=expected["item_id"].str.encode("utf-8"), _then=expected["market_id"].str.encode("utf-8"))
    expected = expected.sort_values(["_order", "_then", "period"]).drop(columns=["_order", "_then"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected.astype({c: "float64" for c in ("on_time_qty", "net_sales_amt")}))
    assert not found.duplicated(key).any()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["2026-10", "2026-11"]), st.sampled_from([BASE, "chase"]), st.integers(0, 3)), max_size=6))
def test_the_store_remembers_the_last_write_of_every_partition(tmp_path_factory, steps):
    store = open_store(tmp_path_factory.mktemp("store"))
    last: dict[tuple[str, str], int] = {}
    for cycle_id, scenario, rows in steps:
        frame = pd.concat([comparison(float(n), f"s{n}") for n in range(rows)]) if rows else comparison(0.0).head(0)
        store.cycle(cycle_id).write("scenario_comparison", frame, scenario=scenario)
        last[cycle_id, scenario] = rows
    for cycle_id in ("2026-10", "2026-11"):
        for scenario in (BASE, "chase"):
            cycle = store.cycle(cycle_id)
            assert cycle.has("scenario_comparison", scenario) == ((cycle_id, scenario) in last)
            if (cycle_id, scenario) in last:
                assert len(cycle.read("scenario_comparison", scenario)) == last[cycle_id, scenario]
    assert len(store.read_all("scenario_comparison")) == sum(last.values())
    assert store.cycles() == sorted({cycle_id for cycle_id, _ in last})


# ------------------------------------------------------------------ several processes


def _write_many(url: str, cycle_id: str, scenario: str, value: float, times: int, start, told) -> None:
    cycle = open_store(url).cycle(cycle_id)
    start.wait()
    lost = []
    for _ in range(times):
        try:
            cycle.write("scenario_comparison", pd.concat([comparison(value, f"s{n:03d}") for n in range(50)]), scenario=scenario)
        except StoreConflictError as fault:
            lost.append(str(fault))
    told.put(lost)


def _append_many(url: str, who: str, times: int, start, told) -> None:
    cycle = open_store(url).cycle("2026-10")
    start.wait()
    for number in range(times):
        cycle.append("comment", {"subject": who, "text": str(number)}, by=who, why="at once")
    told.put(times)


def _lock_once(url: str, who: str, start, told) -> None:
    cycle = open_store(url).cycle("2026-10")
    start.wait()
    try:
        cycle.lock(by=who, why="approved")
        told.put("locked")
    except (StoreConflictError, CycleLockedError) as fault:
        told.put(str(fault))


def _run_and_leave(target, *arguments) -> None:
    """Work, hand over the result, leave at once: tearing down pyarrow's threads has aborted a process on a busy machine after its work."""
    try:
        target(*arguments)
        arguments[-1].close()
        arguments[-1].join_thread()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def together(target, arguments: list[tuple]) -> list:
    """Results of several processes that begin at the same moment."""
    context = multiprocessing.get_context("spawn")
    start, told = context.Barrier(len(arguments)), context.Queue()
    workers = [context.Process(target=_run_and_leave, args=(target, *given_arguments, start, told)) for given_arguments in arguments]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)
    return [told.get(timeout=10) for _ in workers]


def test_two_processes_writing_one_partition_never_mix_their_rows(store):
    writers = [(store.url, "2026-10", BASE, value, 15) for value in (1.0, 2.0)]
    lost = [message for messages in together(_write_many, writers) for message in messages]
    cycle = store.cycle("2026-10")
    found = cycle.read("scenario_comparison")
    assert len(found) == 50
    assert found["value"].nunique() == 1
    assert cycle.version("scenario_comparison") == 30 - len(lost)
    assert set(lost) <= {"another process wrote scenario_comparison of cycle 2026-10, scenario base at the same moment; its rows stand and "
                         "yours were not written. Run the step again"}
    for version in range(1, DeltaTable(f"{store.url}/scenario_comparison").version() + 1):
        past = DeltaTable(f"{store.url}/scenario_comparison", version=version).to_pyarrow_table()
        assert len(set(past.column("value").to_pylist())) == 1
        assert past.num_rows == 50


def test_two_processes_writing_different_partitions_do_not_disturb_each_other(store):
    lost = together(_write_many, [(store.url, "2026-10", "a", 1.0, 8), (store.url, "2026-10", "b", 2.0, 8)])
    assert lost == [[], []]
    assert store.cycle("2026-10").version("scenario_comparison", "a") == 8
    assert store.cycle("2026-10").version("scenario_comparison", "b") == 8
    assert len(store.read_all("scenario_comparison")) == 100


def test_the_loser_of_a_race_for_one_partition_is_told_and_the_winner_stands(cycle, monkeypatch):
    """The race itself, without luck: another writer commits between the moment the version was read and the write."""
    real, raced = write_deltalake, []

    def slow(delta, rows, **options):
        if not raced:
            raced.append(True)
            cycle.write("scenario_comparison", comparison(2.0, "other"))
        real(delta, rows, **options)

    cycle.write("scenario_comparison", comparison(1.0, "first"))
    monkeypatch.setattr("sop_workbench.store.write_deltalake", slow)
    with pytest.raises(StoreConflictError, match="another process wrote scenario_comparison of cycle 2026-10, scenario base at the same"):
        cycle.write("scenario_comparison", comparison(3.0, "mine"))
    assert cycle.read("scenario_comparison")["value"].tolist() == [2.0]


def test_records_of_two_people_at_once_are_all_kept(store):
    together(_append_many, [(store.url, "Ann", 10), (store.url, "Bob", 10)])
    found = store.cycle("2026-10").records("comment")
    assert found["by"].value_counts().to_dict() == {"Ann": 10, "Bob": 10}
    assert found["record_id"].is_unique
    assert found[found["by"] == "Ann"]["text"].tolist() == [str(n) for n in range(10)]


def _ask_many(url: str, who: str, start, told) -> None:
    """The same five questions and five of one's own, one by one, then all of them again."""
    cycle = open_store(url).cycle("2026-10")
    start.wait()
    asked = [{"subject": name, "text": who} for n in range(5) for name in (f"shared {n}", f"{who} {n}")]
    added = [len(cycle.append_once("comment", row, "subject", by=who, why="at once")) for row in asked]
    told.put((sum(added), len(cycle.append_once("comment", asked, "subject", by=who, why="again"))))


def test_what_several_processes_add_once_is_there_once_and_nothing_is_lost(store):
    said = together(_ask_many, [(store.url, who) for who in ("Ann", "Bob", "Cem")])
    found = store.cycle("2026-10").records("comment")
    assert sorted(found["subject"]) == sorted([f"shared {n}" for n in range(5)] + [f"{who} {n}" for who in ("Ann", "Bob", "Cem")
                                                                                  for n in range(5)])
    assert sum(added for added, _ in said) == 20
    assert [again for _, again in said] == [0, 0, 0]


def test_what_another_cycle_holds_is_not_added_again_and_a_locked_one_refuses(store):
    first, second = store.cycle("2026-10"), store.cycle("2026-11")
    asked = [{"subject": "a", "text": "1"}, {"subject": "a", "text": "twice in one call"}, {"subject": "b", "text": "2"}]
    assert first.append_once("comment", asked, "subject", by="Ann", why="w")["text"].tolist() == ["1", "2"]
    first.lock(by="GM", why="go")
    with pytest.raises(CycleLockedError, match="locked by GM"):
        first.append_once("comment", {"subject": "c", "text": "3"}, "subject", by="Ann", why="w")
    added = second.append_once("comment", [*asked, {"subject": "c", "text": "3"}], "subject", by="Ann", why="w")
    assert added["subject"].tolist() == ["c"]
    assert store.read_all("comment")["cycle_id"].tolist() == ["2026-10", "2026-10", "2026-11"]


def test_only_one_of_two_processes_locks(store):
    store.cycle("2026-10").write("service_target", targets(0.9))
    [refused] = [said for said in together(_lock_once, [(store.url, "Ann"), (store.url, "Bob")]) if said != "locked"]
    assert re.match(r"cycle 2026-10 (was locked or unlocked by another process at the same moment; look again|"
                    r"is being locked or unlocked by another process; look again|was locked by (Ann|Bob) on .* and never changes)", refused)
    assert store.cycle("2026-10").is_locked
    assert len(store.cycle("2026-10").records("approval")) == 1


def _write_until_locked(url: str, who: str, start, told) -> None:
    """Writes and says how many of its writes the store said yes to; Helga locks in between."""
    cycle = open_store(url).cycle("2026-10")
    start.wait()
    if who == "Helga":
        time.sleep(0.4)
        cycle.lock(by=who, why="approved")
        return told.put((who, -1, ""))
    kept, message = 0, ""
    try:
        while kept < 500:
            if who == "table":
                cycle.write("scenario_comparison", pd.concat([comparison(float(kept + 1), f"s{n:03d}") for n in range(50)]))
            else:
                cycle.append("comment", {"subject": who, "text": str(kept + 1)}, by=who, why="at once")
            kept += 1
    except CycleLockedError as fault:
        message = str(fault)
    return told.put((who, kept, message))


def test_one_locks_while_others_write_and_the_plan_holds_exactly_what_they_were_told(store):
    store.cycle("2026-10").write("service_target", targets(0.9))
    told = {who: (kept, message) for who, kept, message in together(
        _write_until_locked, [(store.url, "table"), (store.url, "Ann"), (store.url, "Helga")])}
    cycle = store.cycle("2026-10")
    assert cycle.is_locked
    for who in ("table", "Ann"):
        assert "locked by Helga" in told[who][1]
    assert cycle.records("comment")["text"].tolist() == [str(n + 1) for n in range(told["Ann"][0])]
    kept = told["table"][0]
    found = cycle.read("scenario_comparison")
    assert found["value"].tolist() == [float(kept)] * 50


def test_fifty_records_from_five_processes_are_all_kept_whole(store):
    people = ["Ann", "Bob", "Cem", "Dia", "Eva"]
    together(_append_many, [(store.url, who, 10) for who in people])
    found = store.cycle("2026-10").records("comment")
    assert found["by"].value_counts().to_dict() == dict.fromkeys(people, 10)
    assert found["record_id"].is_unique
    assert not found[["subject", "text", "by", "why", "at"]].isna().any().any()
    for who in people:
        assert found[found["by"] == who]["text"].tolist() == [str(n) for n in range(10)]


def test_a_lock_is_refused_when_something_was_written_since_the_plan_was_judged(cycle):
    cycle.write("service_target", targets(0.9))
    judged = cycle.writes()
    assert judged == {"service_target/base": 1}
    cycle.append("comment", {"subject": "x", "text": "late"}, by="Ann", why="late")
    with pytest.raises(StoreConflictError, match="written by another process while it was being locked"):
        cycle.lock(by="GM", why="approved", writes=judged)
    assert not cycle.is_locked
    cycle.write("service_target", targets(0.8))
    cycle.lock(by="GM", why="approved", writes=cycle.writes())
    assert cycle.is_locked


def test_a_lock_that_was_killed_in_the_act_stops_nobody(cycle, monkeypatch):
    cycle.write("service_target", targets(0.9))
    cycle._mark_closing(1)
    monkeypatch.setattr("sop_workbench.store._CLOSING_SECONDS", 0.05)
    cycle.write("service_target", targets(0.8))
    assert cycle.read("service_target")["service_level_ratio"].tolist() == [0.8]
    cycle.lock(by="GM", why="approved")
    assert cycle.is_locked


def test_a_lock_that_was_set_aside_does_not_pin_what_it_no_longer_knows(cycle):
    cycle.write("service_target", targets(0.9))
    cycle._mark_closing(1)
    records = cycle._sign_approval({"status": "locked", "versions": "{}"}, "GM", "slow")
    cycle._mark_closing(0)  # a writer that had waited for long
    with pytest.raises(StoreConflictError):
        cycle._append("approval", records, "GM", "slow", Transaction(cycle.id, 1))
    assert not cycle.is_locked


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="killing without warning needs a POSIX system")
def test_a_writer_killed_at_any_moment_leaves_the_last_whole_version(tmp_path):
    url = tmp_path / "store"
    program = f"""
import pandas as pd
from sop_workbench.store import open_store
cycle = open_store({str(url)!r}).cycle("2026-10")
frame = pd.DataFrame({{"item_or_class": [f"{{n:05d}}" for n in range(5000)], "service_level_ratio": 0.5}})
number = 0
while True:
    number += 1
    cycle.write("service_target", frame.assign(number=number))
    print(number, flush=True)
"""
    reached = 0
    for pause in (0.0, 0.013, 0.029, 0.041):
        writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(3):
            told = int(writer.stdout.readline())
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        told = max([told, *map(int, writer.stdout.read().split())])
        writer.wait(30)
        writer.stdout.close()
        cycle = open_store(url).cycle("2026-10")
        found = cycle.read("service_target")
        assert len(found) == 5000
        assert found["number"].nunique() == 1
        assert found["number"].iloc[0] in (told, told + 1)  # killed after the commit, before it could say so
        assert (cycle.version("service_target") or 0) > reached
        reached = cycle.version("service_target") or 0
        cycle.write("service_target", targets(0.9))
        assert len(cycle.read("service_target")) == 1


def test_small_writes_are_quick(cycle):
    frame = targets(*[0.9] * 100)
    cycle.write("service_target", frame)
    started = time.process_time()
    for _ in range(10):
        cycle.write("service_target", frame)
    assert (time.process_time() - started) / 10 < 0.25  # about 0.03 s on a free machine
