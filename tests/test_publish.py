"""The approved plan in a database, in CSV files and in a workbook: publishing twice leaves one copy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from frames import all_frames

from sop_workbench import cli, publish
from sop_workbench.errors import SopError
from sop_workbench.store import Cycle, open_workspace

FRAMES = all_frames()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    (folder / "sop.yaml").write_text("company: Small\nnewest_cycle: '2026-10'\n", encoding="utf-8")
    for name in ("2026-09", "2026-10"):
        cycle = open_workspace(folder).cycle(name)
        cycle.write_all({table: FRAMES[table] for table in publish.PUBLISHED})
        cycle.lock(by="General manager", why="approved")
    open_workspace(folder).cycle("2026-11").write_all({table: FRAMES[table] for table in publish.PUBLISHED})
    return folder


def cycle(workspace: Path, name: str = "2026-10") -> Cycle:
    return open_workspace(workspace).cycle(name)


def database(url: str) -> dict[str, pd.DataFrame]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {name: pd.read_sql(sa.text(f"SELECT * FROM plan_{name}"), connection) for name in publish.PUBLISHED}


def assert_one_copy(url: str, workspace: Path) -> None:
    publish.publish(cycle(workspace), url)
    once = database(url)
    publish.publish(cycle(workspace), url)
    twice = database(url)
    for name, frame in twice.items():
        assert len(frame) == len(once[name]) == len(FRAMES[name])
        assert frame["plan_cycle_id"].unique().tolist() == (["2026-10"] if len(frame) else [])
    money = twice["financial_projection"]["revenue_amt"].astype(float).sum()
    assert money == pytest.approx(FRAMES["financial_projection"]["revenue_amt"].sum())
    publish.publish(cycle(workspace, "2026-09"), url)
    both = database(url)["consensus_demand"].groupby("plan_cycle_id").size()
    assert both.to_dict() == dict.fromkeys(("2026-09", "2026-10"), len(FRAMES["consensus_demand"]))


def test_postgresql_keeps_one_copy_of_a_plan_published_twice(workspace, postgres_url):
    assert_one_copy(postgres_url, workspace)


def test_sqlite_keeps_one_copy_of_a_plan_published_twice(workspace, tmp_path):
    assert_one_copy(f"sqlite:///{tmp_path / 'plans.db'}", workspace)


def test_a_publication_that_fails_in_the_middle_leaves_the_last_one(workspace, tmp_path):
    url = f"sqlite:///{tmp_path / 'plans.db'}"
    publish.publish(cycle(workspace), url)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        refusal = "BEFORE INSERT ON plan_financial_projection BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        connection.execute(sa.text(f"CREATE TRIGGER refused {refusal}"))
    before = database(url)
    with pytest.raises(SopError, match="could not be published to sqlite.*disk is full"):
        publish.publish(cycle(workspace, "2026-09"), url)
    for name, frame in database(url).items():
        pd.testing.assert_frame_equal(frame, before[name])


def test_files_hold_every_cycle_once(workspace, tmp_path):
    for name in ("2026-10", "2026-09", "2026-10"):
        publish.publish(cycle(workspace, name), str(tmp_path))
    once = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(once) == {f"plan_{name}.csv" for name in publish.PUBLISHED}
    written = pd.read_csv(tmp_path / "plan_consensus_demand.csv")
    assert written.groupby("plan_cycle_id").size().to_dict() == dict.fromkeys(("2026-09", "2026-10"), len(FRAMES["consensus_demand"]))
    assert written["demand_qty"].sum() == pytest.approx(2 * FRAMES["consensus_demand"]["demand_qty"].sum())
    publish.publish(cycle(workspace), str(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == once


def test_a_workbook_holds_the_plan(workspace, tmp_path):
    path = tmp_path / "out" / "plan.xlsx"
    for _ in range(2):
        publish.publish(cycle(workspace), str(path))
    sheets = pd.read_excel(path, sheet_name=None)
    assert len(sheets) == len(publish.PUBLISHED)
    assert len(sheets["plan_consensus_demand"]) == len(FRAMES["consensus_demand"])
    assert [p.name for p in path.parent.iterdir()] == ["plan.xlsx"]


def test_a_plan_nobody_approved_is_not_published(workspace, tmp_path):
    with pytest.raises(SopError, match="2026-11 is not approved"):
        publish.publish(cycle(workspace, "2026-11"), str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_database_that_is_not_there_is_named_without_its_password(workspace):
    with pytest.raises(SopError, match=r"could not be published to postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/none"):
        publish.publish(cycle(workspace), "postgresql+psycopg://me:secret@127.0.0.1:1/none")


def test_sop_publish(workspace, tmp_path):
    done = CliRunner().invoke(cli.main, ["publish", str(tmp_path / "csv"), "--workspace", str(workspace)])
    assert done.exit_code == 0, done.output
    assert "cycle 2026-10 published" in done.output
    refused = CliRunner().invoke(cli.main, ["publish", str(tmp_path / "csv"), "--workspace", str(workspace), "--cycle", "2026-11"])
    assert refused.exit_code == 1
