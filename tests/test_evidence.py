"""What a lock keeps: everything is hashed, one changed byte is named, and the cycle comes out again from its pinned inputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from test_chain import CODE, GATHER, REVIEW, TARGETS, open_chain, write_workspace

from sop_workbench import chain as chain_module
from sop_workbench import cli, evidence
from sop_workbench.chain import Chain, lock_cycle, run_chain, verify_cycle, write_outputs
from sop_workbench.errors import SopError
from sop_workbench.rerun import rerun_cycle, table_differences

TOUCHED = "<p>the plan is approved</p>"


@pytest.fixture(autouse=True, scope="module")
def _fixed_code() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain_module, "PACKAGE", CODE)
        yield


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A cycle that was run, adjusted and locked; tests that change it work on a copy."""
    made = write_workspace(tmp_path_factory.mktemp("locked") / "w", gather=(GATHER,), review=(REVIEW,))
    (Path(made.workspace.folder) / "scenarios" / "more.yaml").write_text("title: More\n")
    made.cycle.append("assumption", {"assumption": "prices hold"}, by="Ann", why="contract")
    run_chain(made)
    lock_cycle(made, by="Helga", why="approved", keep_sources=True)
    write_outputs(made, {"report.html": lambda cycle: (Path(cycle.folder) / "report.html").write_text(TOUCHED)})
    return made


@pytest.fixture
def copy(locked: Chain, tmp_path: Path) -> Chain:
    shutil.copytree(locked.workspace.folder, tmp_path / "copy")
    return open_chain(tmp_path / "copy")


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def file_of(chain: Chain, table: str) -> Path:
    [path] = chain.cycle.file_hashes(table)
    return Path(chain.workspace.folder) / "store" / table / path


def test_the_lock_pins_and_hashes_everything(locked: Chain) -> None:
    manifest = json.loads((Path(locked.cycle.folder) / "manifest.json").read_text())
    found = manifest["evidence"]
    assert set(found["tables"]) == {"service_target", "stream_weight", "assumption", "step_status"}
    assert manifest["pins"] == locked.cycle.pins()
    assert {"service_target", "stream_weight", "assumption"} <= set(manifest["pins"])
    assert set(found["notebooks"]) == {"00_gather.ipynb", "01_review.ipynb", "02_compare.ipynb"}
    assert set(found["kept"]) == {"evidence/sop.yaml", "evidence/scenarios/more.yaml", "evidence/sources/service_target.csv",
                                  *(f"evidence/notebooks/{name}" for name in found["notebooks"])}
    assert found["standing"]["sources"].keys() == {"extract/service_target.csv"}
    assert found["standing"]["packages"]["pandas"] == pd.__version__
    assert locked.cycle.records("approval")["seal"].tolist() == [evidence.seal(found)]


def test_nothing_differs_after_the_lock(locked: Chain) -> None:
    assert verify_cycle(locked).empty


@pytest.mark.parametrize(("kind", "what"), [
    ("input table", "service_target: cycle_id=2026-10/"),
    ("result table", "stream_weight: cycle_id=2026-10/scenario_id=base/"),
    ("record table", "assumption: cycle_id=2026-10/"),
])
@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_one_byte_of_a_table_is_named(copy: Chain, kind: str, what: str, harm: str) -> None:
    path = file_of(copy, what.partition(":")[0])
    flip(path) if harm == "changed" else path.unlink()
    [row] = verify_cycle(copy).to_dict("records")
    assert (row["kind"], row["difference"], row["is_broken"]) == (kind, harm, True)
    assert row["what"].startswith(what)


@pytest.mark.parametrize(("file", "kind"), [
    ("01_review.ipynb", "executed notebook"), ("evidence/sop.yaml", "kept copy"), ("evidence/notebooks/01_review.ipynb", "kept copy"),
    ("evidence/sources/service_target.csv", "kept copy"), ("evidence/scenarios/more.yaml", "kept copy"), ("report.html", "pack"),
])
def test_one_byte_of_a_file_in_the_binder_is_named(copy: Chain, file: str, kind: str) -> None:
    flip(Path(copy.cycle.folder) / file)
    assert verify_cycle(copy).to_dict("records") == [{"kind": kind, "what": file, "difference": "changed", "is_broken": True}]


def evidence_files(chain: Chain) -> dict[Path, str]:
    """Every file that the locked cycle rests on, and what verify has to say when it changes."""
    binder, store = Path(chain.cycle.folder), Path(chain.workspace.folder) / "store"
    found = {store / name / path: name for name in ("service_target", "stream_weight", "assumption", "step_status")
             for path in chain.cycle.file_hashes(name)}
    found |= {path: path.relative_to(binder).as_posix() for path in binder.rglob("*")
              if path.is_file() and not path.name.startswith(".") and path.suffix != ".log" and path.name != "manifest.json"}
    return found


def test_one_byte_anywhere_is_named_and_nothing_else_is(copy: Chain) -> None:
    """Every file of inputs, results, records, notebooks, copies and packs; first, middle and last byte in turn."""
    files = evidence_files(copy)
    assert {Path(name).suffix for name in files.values()} == {"", ".ipynb", ".yaml", ".csv", ".html"}
    assert len(files) == 19
    for number, (path, what) in enumerate(files.items()):
        content = path.read_bytes()
        harmed = bytearray(content)
        harmed[(0, len(content) // 2, -1)[number % 3]] ^= 1
        path.write_bytes(bytes(harmed))
        found = verify_cycle(copy)
        assert found["what"].str.startswith(what).tolist() == [True], path
        assert found["is_broken"].tolist() == [True]
        path.write_bytes(content)
    assert verify_cycle(copy).empty


def test_one_byte_is_named_at_the_command_line(copy: Chain) -> None:
    folder = Path(copy.workspace.folder)
    flip(file_of(copy, "stream_weight"))
    flip(Path(copy.cycle.folder) / "01_review.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_chain", lambda *_: open_chain(folder))
        said = CliRunner().invoke(cli.main, ["verify", "2026-10", "--workspace", str(folder)])
    assert said.exit_code == 1
    assert "CHANGED SINCE THE LOCK: 2" in said.output
    assert "  executed notebook: 01_review.ipynb changed\n" in said.output
    assert "  result table: stream_weight: cycle_id=2026-10/scenario_id=base/" in said.output


def test_the_record_of_the_approval_is_guarded_too(copy: Chain) -> None:
    """Who approved and why, the pins and the seal: one byte anywhere in its file is named."""
    [path] = (Path(copy.workspace.folder) / "store" / "approval" / "cycle_id=2026-10").glob("*.parquet")
    content = path.read_bytes()
    for place in range(0, len(content), len(content) // 9):
        harmed = bytearray(content)
        harmed[place] ^= 1
        path.write_bytes(bytes(harmed))
        [found] = verify_cycle(copy).to_dict("records")
        assert (found["kind"], found["is_broken"]) == ("record table", True), place
        assert found["what"].startswith("approval")
    path.write_bytes(content)
    assert verify_cycle(copy).empty


def test_pins_that_are_not_those_of_the_approval_are_named(copy: Chain) -> None:
    path = Path(copy.cycle.folder) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["pins"]["assumption"] += 1
    path.write_text(json.dumps(manifest))
    assert verify_cycle(copy)[["kind", "what"]].to_numpy().tolist() == [["manifest", "pins"]]


def test_a_file_that_is_gone_or_new_is_named(copy: Chain) -> None:
    (Path(copy.cycle.folder) / "01_review.ipynb").rename(Path(copy.cycle.folder) / "01_other.ipynb")
    (Path(copy.cycle.folder) / "report.html").unlink()
    found = verify_cycle(copy)
    assert found[["what", "difference"]].to_numpy().tolist() == [
        ["01_other.ipynb", "new"], ["01_review.ipynb", "missing"], ["report.html", "missing"]]


def test_an_edited_manifest_breaks_the_seal(copy: Chain) -> None:
    path = Path(copy.cycle.folder) / "manifest.json"
    flip(Path(copy.cycle.folder) / "01_review.ipynb")
    manifest = json.loads(path.read_text())
    manifest["evidence"]["notebooks"]["01_review.ipynb"] = evidence.file_hash(Path(copy.cycle.folder) / "01_review.ipynb")
    path.write_text(json.dumps(manifest))
    found = verify_cycle(copy)
    assert found[["kind", "difference"]].to_numpy().tolist() == [["manifest", "its evidence is not the one that the approval sealed"]]


def test_a_broken_log_of_a_table_is_named(copy: Chain) -> None:
    for log in (Path(copy.workspace.folder) / "store" / "stream_weight" / "_delta_log").glob("*.json"):
        log.write_text("{")
    found = verify_cycle(copy)
    assert found.query("is_broken")["what"].tolist() == ["stream_weight"]
    assert "cannot be read" in found["difference"].iloc[0]


def test_what_moved_on_outside_is_told_and_breaks_nothing(copy: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(copy.workspace.folder)
    (folder / "extract" / "service_target.csv").write_text(TARGETS.replace("0.98", "0.97"))
    (folder / "scenarios" / "less.yaml").write_text("title: Less\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("1")
    monkeypatch.setattr(chain_module, "PACKAGE", tmp_path / "code")
    found = verify_cycle(open_chain(folder))
    assert not found["is_broken"].any()
    assert {("source file", "extract/service_target.csv", "changed"), ("scenario file", "scenarios/less.yaml", "new"),
            ("code of the workbench", "sha256", "changed")} <= set(found[["kind", "what", "difference"]].itertuples(index=False, name=None))


def test_a_cycle_that_is_open_or_without_evidence_is_told(copy: Chain) -> None:
    copy.cycle.unlock(by="Helga", why="a mistake")
    with pytest.raises(SopError, match="cycle 2026-10 is not locked"):
        verify_cycle(copy)
    path = Path(copy.cycle.folder) / "manifest.json"
    path.write_text("{}")
    copy.cycle.lock(by="Helga", why="by hand")
    with pytest.raises(SopError, match="has no evidence"):
        verify_cycle(copy)


# ------------------------------------------------------------------ rerun


def test_it_comes_out_again_from_the_pinned_inputs_whatever_the_sources_say_now(copy: Chain, tmp_path: Path) -> None:
    (Path(copy.workspace.folder) / "extract" / "service_target.csv").write_text("item_or_class,service_level_ratio\nA,0.1\n")
    before = {path: path.read_bytes() for path in Path(copy.workspace.folder).rglob("*") if path.is_file()}
    assert rerun_cycle(copy, tmp_path / "again").empty
    again = open_chain(tmp_path / "again").cycle
    pd.testing.assert_frame_equal(again.read("stream_weight"), copy.cycle.read("stream_weight"))
    pd.testing.assert_frame_equal(again.records("assumption"), copy.cycle.records("assumption"))
    assert {path: path.read_bytes() for path in Path(copy.workspace.folder).rglob("*") if path.is_file()} == before


def test_a_plan_that_does_not_follow_from_its_inputs_is_named_by_cell(tmp_path: Path) -> None:
    other = REVIEW.replace('/ 2, evidence="half")', '/ (2 if "again" not in str(workspace) else 4), evidence="half")')
    chain = write_workspace(tmp_path / "w", gather=(GATHER,), review=(other,))
    run_chain(chain)
    lock_cycle(chain, by="Helga", why="approved")
    found = rerun_cycle(chain, tmp_path / "again")
    assert found.to_dict("records") == [
        {"table": "stream_weight", "scenario": "base", "keys": f"stream={name}", "column": "weight_ratio", "before": b, "after": a}
        for name, b, a in (("A", 0.49, 0.245), ("B", 0.45, 0.225))]


def test_differences_of_tables_with_dates_empty_cells_and_extra_columns() -> None:
    old = pd.DataFrame({"item_id": ["A", "B"], "location_id": "P", "period": pd.Timestamp("2026-10-01"), "closing_qty": [1.0, 2.0],
                        "target_qty": [None, 5.0]})
    new = old.assign(target_qty=[None, None], note=["x", None])
    found = table_differences("inventory_projection", old, new)
    assert found[["keys", "column"]].to_numpy().tolist() == [
        ["item_id=B, location_id=P, period=2026-10-01", "target_qty"], ["item_id=A, location_id=P, period=2026-10-01", "note"]]
    assert table_differences("inventory_projection", old, old.iloc[::-1]).empty


# ------------------------------------------------------------------ the pack of a locked cycle


def _writer(text: str, written: list[str]) -> dict:
    def write(cycle) -> None:
        written.append(text)
        (Path(cycle.folder) / "report.html").write_text(text)

    return {"report.html": write}


def test_a_part_of_the_pack_that_stands_as_it_was_locked_is_left_alone(copy: Chain) -> None:
    written: list[str] = []
    write_outputs(copy, _writer("another", written))
    assert written == []
    assert verify_cycle(copy).empty


def test_a_part_that_was_changed_or_lost_or_is_stale_is_written_again_and_noted(copy: Chain) -> None:
    written: list[str] = []
    page = Path(copy.cycle.folder) / "report.html"
    flip(page)
    write_outputs(copy, _writer("mended", written))
    page.unlink()
    write_outputs(copy, _writer("found again", written))
    write_outputs(copy, _writer("approved", written), are_stale=True)
    assert written == ["mended", "found again", "approved"]
    assert verify_cycle(copy).empty


def test_a_new_part_of_a_locked_cycle_is_noted_and_watched(copy: Chain) -> None:
    write_outputs(copy, {"report.pdf": lambda cycle: (Path(cycle.folder) / "report.pdf").write_bytes(b"printed")})
    assert verify_cycle(copy).empty
    flip(Path(copy.cycle.folder) / "report.pdf")
    assert verify_cycle(copy)[["kind", "what", "difference"]].values.tolist() == [["pack", "report.pdf", "changed"]]
