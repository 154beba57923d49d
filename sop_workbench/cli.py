"""The command line: `sop new`, `check`, `run`, `status`, `report`, `adjust`, `approve`, `lock`, `publish`, `lab`.

Libraries are imported where a command needs them: `sop --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sop_workbench import __version__
from sop_workbench.errors import SettingsError, SopError

if TYPE_CHECKING:
    import pandas as pd

    from sop_workbench import tables
    from sop_workbench.chain import Chain, StepState
    from sop_workbench.settings import Settings

ROOT = Path(__file__).parents[1]
_SEVERITIES = {"blocks": "red", "warns": "yellow", "info": "blue"}
_STATUS_COLOURS = {"done": "green", "approved": "green", "locked": "green", "stale": "yellow", "interrupted": "yellow", "failed": "red"}


class _Commands(click.Group):
    """Commands whose errors are lines for a planner: 1 for an error that is explained, 2 for one that is not."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SopError as fault:
            click.echo(str(fault), err=True)
            ctx.exit(1)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):  # click ends quietly when a pipe closes
            raise
        except Exception as fault:
            log = _write_log(ctx.obj)
            click.echo(f"unexpected {type(fault).__name__}: {_first_line(fault)} (details in {log})", err=True)
            ctx.exit(2)


def _remember(ctx: click.Context, _: click.Parameter, folder: Path) -> Path:
    ctx.find_root().obj = folder
    return folder


_in_workspace: Callable = click.option("--workspace", "-w", "folder", type=click.Path(path_type=Path), default=".", show_default=True,
                                       callback=_remember, help="Folder with sop.yaml.")
_of_cycle: Callable = click.option("--cycle", "-c", "cycle_id", help="Cycle, such as 2026-10; the newest of sop.yaml when left out.")
_by: Callable = click.option("--by", required=True, help="Who decides.")
_why: Callable = click.option("--why", required=True, help="Why, in a sentence.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sop")
def main() -> None:
    """Sales & Operations Planning: one monthly cycle, from the sources to the approved plan."""


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--demo", "kind", flag_value="demo", help="Start with the demo company.")
@click.option("--adventureworks", "kind", flag_value="adventureworks", help="Start with the mapping of the AdventureWorks extract.")
def new(directory: Path, kind: str | None) -> None:
    """Make a workspace in DIRECTORY (which must be new or empty)."""
    source = ROOT / "data" / kind if kind else None
    if source and not source.is_dir():
        raise SettingsError(f"{source} is missing: --{kind} needs a checkout of the workbench")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise SettingsError(f"{directory} is not empty; name a folder that is new or empty")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.resolve().parent, prefix=".sop-new-") as partial:
        _copy_company(source, Path(partial)) if source else _write_blank(Path(partial))
        directory.mkdir(exist_ok=True)
        for child in Path(partial).iterdir():
            child.replace(directory / child.name)
    click.echo(f"made {directory}; next: sop check --workspace {directory}")


@main.command()
@_in_workspace
@_of_cycle
def check(folder: Path, cycle_id: str | None) -> None:
    """Load and check the sources, and print every finding; exit 1 when one of them blocks.

    Without --cycle the extract is judged as of the newest cycle.
    """
    from sop_workbench.reviews import gather
    from sop_workbench.settings import load_settings

    settings = load_settings(folder)
    _, issues = gather(settings, folder, settings.calendar.as_of(cycle_id or _newest(settings)))
    for severity, colour in _SEVERITIES.items():
        _print_issues(severity, colour, issues[issues["severity"] == severity])
    blocking = int((issues["severity"] == "blocks").sum())
    click.echo(f"{_counted(len(issues), 'finding')}, {blocking} of them blocking" if len(issues) else "no findings")
    if blocking:
        click.get_current_context().exit(1)


@main.command()
@_in_workspace
@_of_cycle
@click.option("--from", "first", metavar="STEP", help="Re-run from this step on, even where nothing changed.")
@click.option("--to", "last", metavar="STEP", help="Stop after this step.")
@click.option("--parameter", "-p", "assignments", metavar="STEP.NAME=VALUE", multiple=True, help="A notebook's parameter.")
def run(folder: Path, cycle_id: str | None, first: str | None, last: str | None, assignments: tuple[str, ...]) -> None:
    """Run the monthly chain; steps that are done and unchanged are skipped.

    STEP is a name (02_demand_review, demand_review) or a number (2).
    """
    from dataclasses import replace

    from sop_workbench import report as pack
    from sop_workbench.chain import run_chain

    chain = _chain(folder, cycle_id)
    chain = replace(chain, parameters=_parameters(chain, assignments))
    run_chain(chain, first, last, outputs={"report.html": pack.write_html, "plan.xlsx": pack.write_workbook})
    click.echo(f"cycle {chain.cycle.id} is in {chain.cycle.folder}")


@main.command()
@_in_workspace
@_of_cycle
def status(folder: Path, cycle_id: str | None) -> None:
    """Show where each step of the cycle stands, who owns it, when it is due and what made it stale."""
    from sop_workbench.chain import as_last_run, step_states

    chain = as_last_run(_chain(folder, cycle_id))
    click.echo(f"{chain.workspace.settings.company}, cycle {chain.cycle.id}")
    for state in step_states(chain):
        _print_state(state)


@main.command()
@_in_workspace
@_of_cycle
@click.option("--format", "kind", type=click.Choice(["html", "xlsx"]), default="html", show_default=True)
def report(folder: Path, cycle_id: str | None, kind: str) -> None:
    """Write the cycle's pack from its executed notebooks and tables."""
    from sop_workbench import report as pack

    cycle = _chain(folder, cycle_id).cycle
    write = {"html": pack.write_html, "xlsx": pack.write_workbook}[kind]
    click.echo(str(write(cycle)))


@main.group()
def adjust() -> None:
    """Edit the consensus in Excel: export it, change cells, import the changes as adjustments."""


@adjust.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_in_workspace
@_of_cycle
def export_adjustments(file: Path, folder: Path, cycle_id: str | None) -> None:
    """Write the stored consensus to FILE (.xlsx), a row per item and market, a column per period."""
    from sop_workbench.adjustment import export_consensus

    written = export_consensus(_chain(folder, cycle_id).cycle, file)
    click.echo(f"wrote {written}; edit the shaded cells, then: sop adjust import {file} --workspace {folder} --by WHO --why WHY")


@adjust.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_in_workspace
@_of_cycle
@_by
@_why
@click.option("--assumption", default="", help="record_id of the assumption the changes rest on.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def import_adjustments(file: Path, folder: Path, cycle_id: str | None, by: str, why: str, assumption: str, yes: bool) -> None:
    """Show what was changed in FILE against the stored consensus and, once confirmed, record it; nothing is recorded on a finding."""
    from sop_workbench.adjustment import append_edits, read_edits

    cycle = _chain(folder, cycle_id).cycle
    edits = read_edits(cycle, file)
    if edits.empty:
        click.echo("nothing was changed")
        return
    _print_edits(edits)
    if not yes:
        click.confirm("record these adjustments?", abort=True)
    append_edits(cycle, edits, by=by, why=why, assumption_id=assumption)
    click.echo(f"{_counted(len(edits), 'adjustment')} recorded by {by}; they count from the next sop run on")


@main.group()
def history() -> None:
    """Proposed corrections of history: list them, accept or reject them; they count from the next sop run on."""


def _of_corrections(command: Callable) -> Callable:
    """Options that pick proposals."""
    for option in (
        click.option("--kind", type=click.Choice(["stockout", "outlier", "missing", "partial", "negative"]), help="Only this kind."),
        click.option("--item", "item_id", help="Only this item."),
        click.option("--market", "market_id", help="Only this market."),
        click.option("--period", help="Only this period (its first day)."),
    ):
        command = option(command)
    return command


@history.command("list")
@_in_workspace
@_of_cycle
@_of_corrections
@click.option("--status", type=click.Choice(["proposed", "accepted", "rejected"]), help="Only these.")
def list_corrections(folder: Path, cycle_id: str | None, **chosen: str | None) -> None:
    """Show raw and suggested quantity of every proposal, its evidence, and what was decided."""
    from sop_workbench.correction import proposed_corrections, select

    rows = select(proposed_corrections(_chain(folder, cycle_id).cycle), **chosen)
    for row in rows.itertuples():
        click.echo(f"  {row.item_id} {row.market_id} {row.period:%Y-%m-%d} {row.kind}: {row.raw_qty:,.1f} → {row.suggested_qty:,.1f} "
                   f"[{row.status}] {row.evidence}")
    click.echo(f"{_counted(len(rows), 'proposal')}, {(rows['status'] == 'proposed').sum()} of them open")


def _decide(decision: str, folder: Path, cycle_id: str | None, by: str, why: str, **chosen: str | None) -> None:
    from sop_workbench.correction import decide, proposed_corrections, select

    cycle = _chain(folder, cycle_id).cycle
    rows = select(proposed_corrections(cycle), **chosen)
    rows = rows[rows["status"] != decision]
    if rows.empty:
        click.echo("no open proposal fits; sop history list shows all of them")
        return
    decide(cycle, rows.assign(decision=decision), by=by, why=why)
    click.echo(f"{_counted(len(rows), 'correction')} {decision} by {by}; they count from the next sop run on")


@history.command("accept")
@_in_workspace
@_of_cycle
@_of_corrections
@_by
@_why
def accept_corrections(**given: Any) -> None:
    """Accept the proposals picked: the forecast reads the suggested quantity, raw stays beside it."""
    _decide("accepted", **given)


@history.command("reject")
@_in_workspace
@_of_cycle
@_of_corrections
@_by
@_why
def reject_corrections(**given: Any) -> None:
    """Reject the proposals picked: history stays as it was booked."""
    _decide("rejected", **given)


@main.command()
@click.argument("step")
@_in_workspace
@_of_cycle
@_by
@_why
def approve(step: str, folder: Path, cycle_id: str | None, by: str, why: str) -> None:
    """Record that the owner of STEP stands behind its result; the step must be done."""
    from sop_workbench.chain import approve_step, as_last_run

    chain = as_last_run(_chain(folder, cycle_id))
    approve_step(chain, step, by=by, why=why)
    click.echo(f"{chain.find(step).name} of cycle {chain.cycle.id} approved by {by}")


@main.command()
@_in_workspace
@_of_cycle
@_by
@_why
def lock(folder: Path, cycle_id: str | None, by: str, why: str) -> None:
    """Approve the whole cycle and close it for good; every step must be done."""
    from sop_workbench import report as pack
    from sop_workbench.chain import as_last_run, lock_cycle

    chain = as_last_run(_chain(folder, cycle_id))
    lock_cycle(chain, by=by, why=why)
    pack.write_html(chain.cycle)  # they say now that the plan is approved
    pack.write_workbook(chain.cycle)
    click.echo(f"cycle {chain.cycle.id} locked by {by}")


@main.command()
@click.argument("target")
@_in_workspace
@_of_cycle
def publish(target: str, folder: Path, cycle_id: str | None) -> None:
    """Hand the approved plan to TARGET: a database address, a path ending in .xlsx, or a folder for CSV files.

    Publishing again replaces the cycle's own copy; other cycles in TARGET stay.
    """
    from sop_workbench.publish import publish as hand_over

    cycle = _chain(folder, cycle_id).cycle
    for line in hand_over(cycle, target):
        click.echo(f"  {line}")
    click.echo(f"cycle {cycle.id} published")


@main.command()
@_in_workspace
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(folder: Path, options: tuple[str, ...]) -> None:
    """Open JupyterLab on the workspace, with `what_if.ipynb` in it (OPTIONS go to JupyterLab, after --)."""
    import shutil

    from sop_workbench.settings import load_settings

    load_settings(folder)
    what_if = folder / "what_if.ipynb"
    if not what_if.exists():
        shutil.copy(ROOT / "notebooks" / what_if.name, what_if)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}", *options])


# ------------------------------------------------------------------ a new workspace


def _copy_company(source: Path, target: Path) -> None:
    """Everything of a company that comes with the workbench, but the program that drew it."""
    import shutil

    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__", "store", "cycles", ".*"))


def _write_blank(target: Path) -> None:
    """`sop.yaml`, empty folders, and one Excel template per input table: fill it in and put it into `extract/`."""
    from sop_workbench import tables

    (target / "sop.yaml").write_text(_BLANK_SETTINGS, encoding="utf-8")
    for name in ("sql", "scenarios", "extract", "templates"):
        (target / name).mkdir()
    for name in tables.names("input"):
        _write_template(target / "templates" / f"{name}.xlsx", tables.table(name))


def _write_template(path: Path, declared: tables.Table) -> None:
    """A sheet with the header row, and one with type, unit and meaning of each column."""
    import pandas as pd

    meaning = pd.DataFrame(
        [{"column": c.name, "type": c.type, "unit": c.unit, "required": "yes" if c.is_required else "no", "meaning": c.meaning,
          "allowed values": ", ".join(c.allowed)} for c in declared.columns.values()])
    with pd.ExcelWriter(path, engine="xlsxwriter") as book:
        for sheet, frame in ((declared.name, declared.empty()), ("meaning", meaning)):
            frame.to_excel(book, sheet_name=sheet, index=False)
            book.sheets[sheet].freeze_panes(1, 0)
            book.sheets[sheet].autofit()


# ------------------------------------------------------------------ shared by commands


def _chain(folder: Path, cycle_id: str | None) -> Chain:
    from sop_workbench.chain import Chain
    from sop_workbench.store import open_workspace

    workspace = open_workspace(folder)
    return Chain(workspace, workspace.cycle(cycle_id or _newest(workspace.settings)))


def _newest(settings: Settings) -> str:
    if settings.newest_cycle is None:
        raise SettingsError("which cycle? give --cycle, or set newest_cycle in sop.yaml")
    return settings.newest_cycle


def _parameters(chain: Chain, assignments: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`STEP.NAME=VALUE` by step; a value is read as YAML, so 3 is a number and a is text."""
    import yaml

    found: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        target, is_assigned, value = assignment.partition("=")
        step, is_named, name = target.partition(".")
        if not (is_assigned and is_named):
            raise SettingsError(f"cannot read --parameter {assignment}; write it like 02_demand_review.name=value")
        found.setdefault(chain.find(step).name, {})[name] = yaml.safe_load(value)
    return found


def _print_issues(severity: str, colour: str, issues: pd.DataFrame) -> None:
    if issues.empty:
        return
    click.secho(f"{severity.upper()}: {_counted(len(issues), 'finding')}, {_counted(issues['count'].sum(), 'row')}", fg=colour, bold=True)
    for row in issues.to_dict("records"):
        where = "; ".join(part for part in (row["keys"] and f"at {row['keys']}", row["value"] and f"value {row['value']}") if part)
        click.echo(f"  {row['table']}: {row['rule'].replace('_', ' ')}, {_counted(row['count'], 'row')}" + (f", {where}" if where else ""))
        click.echo(f"    → {row['remedy']}")


def _print_edits(edits: pd.DataFrame) -> None:
    """Old → new of every changed cell, then of all of them together."""
    for row in edits.itertuples():
        click.echo(f"  {row.item_id} {row.market_id} {row.period:%Y-%m-%d}: {_change(row.old_qty, row.new_qty)}")
    total = _change(edits["old_qty"].sum(), edits["new_qty"].sum())
    click.echo(f"{_counted(len(edits), 'cell')} of {_counted(edits['item_id'].nunique(), 'item')} changed: {total}")


def _change(old: float, new: float) -> str:
    if old != old:
        return f"none → {new:,.1f}"
    return f"{old:,.1f} → {new:,.1f}" + (f" ({new / old - 1:+.1%})" if old else "")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _print_state(state: StepState) -> None:
    word = click.style(f"{state.status:<12}", fg=_STATUS_COLOURS.get(state.status))
    click.echo(f"{state.step:<26} {word} {state.owner:<34} {state.due}".rstrip())
    for line in state.reason.splitlines():
        click.echo(f"{'':<26} {line}")


def _write_log(folder: Path | None) -> Path:
    """The traceback, kept for whoever mends it; beside the workspace's settings where there are any."""
    is_workspace = folder is not None and (folder / "sop.yaml").is_file()
    log = (folder if folder and is_workspace else Path(tempfile.gettempdir())).resolve() / "sop.log"
    with log.open("a", encoding="utf-8") as file:
        file.write(f"sop {' '.join(sys.argv[1:])}\n{traceback.format_exc()}\n")
    return log


def _first_line(fault: Exception) -> str:
    return next(iter(str(fault).splitlines()), "no message")


_BLANK_SETTINGS = """\
# Settings of this workspace; every key with its default is in the README of the workbench.
company: My company
currency: EUR
bucket: month            # or week
horizon: 18              # periods planned
frozen_buckets: 1        # first periods in which the plan may not change
newest_cycle: "2026-10"  # the cycle that commands take when none is named

sources:
  folder: extract        # CSV, Parquet or Excel files; one per table, by its name, or as sql/<table>.sql says
  sql: sql
  # url: postgresql+psycopg://user@server/erp   # a database instead of files
store: store

steps:
  00_data_gathering: {owner: Planning, due_working_day: 4}
  01_product_review: {owner: Product management, due_working_day: 5}
  02_demand_review: {owner: Demand planning, due_working_day: 9}
  03_supply_review: {owner: Operations, due_working_day: 13}
  04_financial_review: {owner: Finance, due_working_day: 14}
  05_pre_sop: {owner: S&OP lead, due_working_day: 15}
  06_executive_sop: {owner: General manager, due_working_day: 18}
  07_execution_monitoring: {owner: Planning, due_working_day: 20}
"""
