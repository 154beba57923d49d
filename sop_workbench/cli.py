"""The command line: `sop new`, `check`, `run`, `status`, `report`, `approve`, `lock`, `verify`, `publish`, `lab`, `dashboards` and others.

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
from sop_workbench.errors import ChainRunningError, CycleLockedError, RoleError, SettingsError, SopError, exit_code

if TYPE_CHECKING:
    import pandas as pd

    from sop_workbench import tables
    from sop_workbench.chain import Chain, StepState
    from sop_workbench.settings import Settings

ROOT = Path(__file__).parents[1]
_WEEK = "week"  # folder of what a company's workspace has otherwise when it is planned in weeks
_DIFFERENCES_SHOWN = 50
_SEVERITIES = {"blocks": "red", "warns": "yellow", "info": "blue"}
_STATUS_COLOURS = {"done": "green", "submitted": "green", "approved": "green",
                   "locked": "green", "stale": "yellow", "interrupted": "yellow", "failed": "red"}


class _Commands(click.Group):
    """Commands whose errors are lines for a planner: 1 for an error that is explained, 2 for one that is not, 3 for a cycle in use."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SopError as fault:
            click.echo(str(fault), err=True)
            ctx.exit(exit_code(fault))
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
_of_cycle: Callable = click.option("--cycle", "-c", "cycle_id", help="Cycle, such as 2026-10, or `current` (today's); "
                                 "the newest of sop.yaml when left out.")
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
@click.option("--bucket", type=click.Choice(["month", "week"]), default="month", show_default=True,
              help="week: the light version, 13 weeks ahead, for what is decided every Monday.")
def new(directory: Path, kind: str | None, bucket: str) -> None:
    """Make a workspace in DIRECTORY (which must be new or empty)."""
    source = ROOT / "data" / kind if kind else None
    if source and not source.is_dir():
        raise SettingsError(f"{source} is missing: --{kind} needs a checkout of the workbench")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise SettingsError(f"{directory} is not empty; name a folder that is new or empty")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.resolve().parent, prefix=".sop-new-") as partial:
        _copy_company(source, Path(partial), bucket) if source else _write_blank(Path(partial), bucket)
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
    _, issues = gather(settings, folder, settings.calendar.as_of(_named(settings, cycle_id)))
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
@click.option("--scheduled", "is_scheduled", is_flag=True, help="As a timer calls it: a cycle that is locked or being run already is no "
              "failure, and a run that fails is told by e-mail (`mail` in sop.yaml).")
def run(folder: Path, cycle_id: str | None, first: str | None, last: str | None, assignments: tuple[str, ...], is_scheduled: bool) -> None:
    """Run the monthly chain; steps that are done and unchanged are skipped.

    STEP is a name (02_demand_review, demand_review) or a number (2). Exit code: 0 done, 1 a failure that is explained, 2 one that is not,
    3 the cycle is being run already. How the run stands is in last_run.json of the workspace.
    """
    try:
        chain = run_cycle(folder, cycle_id, first, last, assignments)
    except (CycleLockedError, ChainRunningError) as fault:
        if not is_scheduled:
            raise
        click.echo(f"nothing to run: {fault}")
        return
    except RoleError:  # which leaves no trace of a run, so there is none to tell of
        raise
    except Exception:
        if is_scheduled:
            _mail_failure(folder)
        raise
    click.echo(f"cycle {chain.cycle.id} is in {chain.cycle.folder}")


def run_cycle(folder: Path | str, cycle_id: str | None = None, first: str | None = None, last: str | None = None,
              assignments: tuple[str, ...] = ()) -> Chain:
    """Run the chain of a cycle as `sop run` does, with its pack and its last-run record (see :func:`sop_workbench.chain.run_chain`).

    Parameters
    ----------
    folder : Path or str
        The workspace.
    cycle_id : str, optional
        The cycle, or `current`; the newest of the settings when left out.
    first, last : str, optional
        Steps to begin and to stop with.
    assignments : tuple of str
        Parameters, each `STEP.NAME=VALUE`.
    """
    from dataclasses import replace

    from sop_workbench import last_run
    from sop_workbench import report as pack
    from sop_workbench.chain import run_chain

    with last_run.recorded(Path(folder), cycle_id or "") as record:
        chain = _chain(Path(folder), cycle_id)
        record.name_cycle(chain.cycle.id)
        chain = replace(chain, parameters=_parameters(chain, assignments))
        run_chain(chain, first, last, outputs=pack.RUN_FILES, told=record.note_step)
    return chain


def _mail_failure(folder: Path) -> None:
    """Tell by mail that the run failed; what the mail server does never changes how the run ends."""
    from sop_workbench import last_run, mail
    from sop_workbench.settings import load_settings

    record = last_run.read(folder)
    try:
        settings = load_settings(folder)
        if settings.mail is None:
            return
        told = mail.send(settings.mail, *mail.failure(settings.company, record, str(folder.resolve())))
    except SopError as fault:
        told = f"no mail was sent: {_first_line(fault)}"
    last_run.note_mail(folder, told)
    click.echo(f"mail: {told}", err=True)


@main.command()
@_in_workspace
@_of_cycle
@click.option("--mail", "is_mailed", is_flag=True, help="Tell what is late, and a last run that failed or died, by e-mail "
              "(`mail` in sop.yaml).")
def status(folder: Path, cycle_id: str | None, is_mailed: bool) -> None:
    """Show where each step of the cycle stands, who owns it, when it is due and what made it stale, and how the last run ended."""
    import pandas as pd

    from sop_workbench import last_run
    from sop_workbench.chain import as_last_run, cycle_state, kept_cycles, step_states, what_is_outside, who_decides

    chain = as_last_run(_chain(folder, cycle_id))
    states = step_states(chain, pd.Timestamp.now())
    click.echo(f"{chain.workspace.settings.company}, cycle {chain.cycle.id}, {cycle_state(states)}")
    for state in states:
        _print_state(state)
        outside = what_is_outside(chain, chain.find(state.step)) if state.status == "submitted" else []
        if outside:
            decides = who_decides(chain, chain.find(state.step), outside) or "the executive step"
            click.secho(f"{'':<26} outside tolerance in {_counted(len(outside), 'point')}: for {decides} to approve", fg="yellow")
    before = kept_cycles(chain).iloc[:-1]
    for word, remedy in (("skipped", "no plan was made"), ("open", "never locked")):
        names = before.loc[before["state"] == word, "cycle_id"]
        if len(names):
            click.secho(f"{_counted(len(names), 'cycle')} {word} ({remedy}): {', '.join(names)}", fg="yellow")
    record = last_run.read(folder)
    if record:
        click.secho(last_run.sentence(record), fg="red" if last_run.needs_attention(record) else None)
    if is_mailed:
        _mail_late(chain, states, last_run.sentence(record) if last_run.needs_attention(record) else "")


def _mail_late(chain: Chain, states: list[StepState], attention: str) -> None:
    """Tell by mail which steps are late and that the last run needs attention; nothing is sent where neither is the case."""
    from sop_workbench import mail

    settings = chain.workspace.settings
    if settings.mail is None:
        raise SettingsError("no mail is set; say in sop.yaml: mail: {smtp: host:port, from: sop@company, to: [planning@company]}")
    late = [state for state in states if state.late_days]
    if not late and not attention:
        click.echo("mail: nothing is late")
        return
    click.echo(f"mail: {mail.send(settings.mail, *mail.late(settings.company, chain.cycle.id, late, attention))}")


@main.command()
@_in_workspace
@_of_cycle
@click.option("--format", "kind", type=click.Choice(["html", "xlsx", "pdf", "pptx", "all"]), default="html", show_default=True,
              help="report.html, plan.xlsx, report.pdf (printed by Chromium), slides.pptx, or all of them.")
def report(folder: Path, cycle_id: str | None, kind: str) -> None:
    """Write the cycle's pack from its executed notebooks and tables; parts of a locked cycle that stand as they were locked are kept."""
    from sop_workbench import report as pack
    from sop_workbench.chain import write_outputs

    chain = _chain(folder, cycle_id)
    wanted = list(pack.FORMATS) if kind == "all" else [kind]
    for name, write in (pack.FORMATS[one] for one in wanted):
        write_outputs(chain, {name: write})
        click.echo(str(Path(chain.cycle.folder) / name))


@main.group()
def adjust() -> None:
    """Edit the consensus in Excel (export, import), hold a quantity of any level (lock), choose a model (pin)."""


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
@click.option("--answers", default="", help="Change requests of the weekly round that they answer, parted by '; '.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def import_adjustments(file: Path, folder: Path, cycle_id: str | None, by: str, why: str, assumption: str, answers: str, yes: bool) -> None:
    """Show what was changed in FILE against the stored consensus and, once confirmed, record it; nothing is recorded on a finding."""
    from sop_workbench.adjustment import append_edits, read_edits

    cycle = _chain(folder, cycle_id).cycle
    edits = read_edits(cycle, file)
    gone = edits.attrs["missing_row_count"]
    if gone:
        click.echo(f"{_counted(gone, 'exported row')} not in the file any more: what stands there stays; write 0 where nothing is expected")
    if edits.empty:
        click.echo("nothing was changed")
        return
    _print_edits(edits)
    if not yes:
        click.confirm("record these adjustments?", abort=True)
    append_edits(cycle, edits, by=by, why=why, assumption_id=assumption, answers=answers)
    click.echo(f"{_counted(len(edits), 'adjustment')} recorded by {by}; they count from the next sop run on")


def _spoken_for(*names: str) -> Callable:
    """Options that say what a lock or a pin speaks for."""
    def decorate(command: Callable) -> Callable:
        for name in names:
            column = f"{name}_id" if name in ("item", "market") else name
            command = click.option(f"--{name}", column, default="", help=f"Only this {name}.")(command)
        return command
    return decorate


@adjust.command("lock")
@click.argument("quantity", type=click.FloatRange(min=0), required=False)
@_in_workspace
@_of_cycle
@click.option("--period", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The period held (its first day).")
@_spoken_for("channel", "region", "market", "family", "item")
@_by
@_why
def lock_quantity(quantity: float | None, folder: Path, cycle_id: str | None, period: Any, by: str, why: str, **scope: str) -> None:
    """Hold the demand of a scope and period at QUANTITY, exactly; without QUANTITY its lock is released.

    The items and markets inside keep their proportions. A lock that contradicts another is refused.
    """
    import pandas as pd

    from sop_workbench.adjustment import lock_demand

    row = {**scope, "period": pd.Timestamp(period), "locked_qty": quantity}
    old, new = lock_demand(_chain(folder, cycle_id).cycle, row, by=by, why=why)
    said = ", ".join(value for value in scope.values() if value) or "everything"
    click.echo(f"  {said} {period:%Y-%m-%d}: {'lock released' if quantity is None else _change(old, new)}")
    click.echo(f"recorded by {by}; it counts from the next sop run on")


@adjust.command("pin")
@click.argument("model", default="")
@_in_workspace
@_of_cycle
@_spoken_for("market", "family", "item")
@_by
@_why
def pin(model: str, folder: Path, cycle_id: str | None, by: str, why: str, **scope: str) -> None:
    """Forecast an item or family by MODEL, whatever the back-test says; without MODEL it is released to the back-test."""
    from sop_workbench.adjustment import pin_model

    count = pin_model(_chain(folder, cycle_id).cycle, {**scope, "model": model}, by=by, why=why)
    click.echo(f"{count:,} series of item and market are pinned; recorded by {by}, it counts from the next sop run on")


@main.command()
@_in_workspace
@_of_cycle
@_by
@click.option("--why", default="", help="Why, in a sentence; the week is named when left out.")
@click.option("--into", help="Monthly cycle, such as 2026-10; the first open one from the month of the week on when left out.")
def request(folder: Path, cycle_id: str | None, by: str, why: str, into: str | None) -> None:
    """Hand the change requests of a weekly cycle to the monthly round (`monthly_workspace` in sop.yaml); each is asked once."""
    from sop_workbench.change_request import hand_over

    weekly = _chain(folder, cycle_id).cycle
    target, added = hand_over(weekly, by=by, why=why, into=into)
    for row in added.itertuples():
        click.echo(f"  {row.sentence}")
    click.echo(f"{_counted(len(added), 'new change request')} of week {weekly.id} in cycle {target.id} of {target.workspace.folder}"
               + ("" if len(added) else ": nothing is outside tolerance that was not asked before"))


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
    """Record that who decides stands behind the result of STEP; it must be done.

    Within tolerance its owner decides, outside the approver of the executive step.
    """
    from sop_workbench.chain import approve_step, as_last_run, who_decides

    chain = as_last_run(_chain(folder, cycle_id))
    outside = approve_step(chain, step, by=by, why=why)
    click.echo(f"{chain.find(step).name} of cycle {chain.cycle.id} approved by {by}")
    if outside:
        decides = who_decides(chain, chain.find(step), outside) or "the executive step"
        click.secho(f"outside tolerance, for {decides} to decide:", fg="yellow")
    for sentence in outside:
        click.echo(f"  {sentence}")


@main.command()
@click.argument("step")
@_in_workspace
@_of_cycle
@_by
@_why
def submit(step: str, folder: Path, cycle_id: str | None, by: str, why: str) -> None:
    """Propose the result of STEP for approval; the step must be done."""
    from sop_workbench.chain import as_last_run, submit_step

    chain = as_last_run(_chain(folder, cycle_id))
    submit_step(chain, step, by=by, why=why)
    click.echo(f"{chain.find(step).name} of cycle {chain.cycle.id} submitted by {by}")


@main.command()
@_in_workspace
@_of_cycle
@_by
@_why
@click.option("--keep-sources", is_flag=True, help="Keep a copy of the source files in the binder too.")
def lock(folder: Path, cycle_id: str | None, by: str, why: str, keep_sources: bool) -> None:
    """Approve the whole cycle and close it for good, with its evidence; every step must be done (approved, where users are configured)."""
    from sop_workbench import report as pack
    from sop_workbench.chain import as_last_run, lock_cycle, write_outputs

    chain = as_last_run(_chain(folder, cycle_id))
    lock_cycle(chain, by=by, why=why, keep_sources=keep_sources)
    binder = Path(chain.cycle.folder)
    drafts = {name: write for name, write in pack.FORMATS.values() if name in pack.RUN_FILES or (binder / name).is_file()}
    try:
        write_outputs(chain, drafts, are_stale=True)  # they say now that the plan is approved
    except SopError as fault:  # the cycle is locked all the same
        click.echo(f"part of the pack still says draft: {fault}", err=True)
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
@_of_cycle
@_by
@_why
def unlock(folder: Path, cycle_id: str | None, by: str, why: str) -> None:
    """Open a locked cycle again; who and why stay on record."""
    cycle = _chain(folder, cycle_id).cycle
    cycle.unlock(by=by, why=why)
    click.echo(f"cycle {cycle.id} unlocked by {by}: {why}")


_named_cycle: Callable = click.argument("cycle_id", metavar="[CYCLE]", required=False)


@main.command()
@_named_cycle
@_in_workspace
def verify(cycle_id: str | None, folder: Path) -> None:
    """Hash everything that the locked CYCLE rests on again and name what differs; exit 1 when what was locked has changed."""
    from sop_workbench.chain import verify_cycle

    chain = _chain(folder, cycle_id)
    found = verify_cycle(chain)
    broken, moved = found[found["is_broken"]], found[~found["is_broken"].astype(bool)]
    for rows, colour, heading in ((broken, "red", "CHANGED SINCE THE LOCK"), (moved, "yellow", "MOVED ON OUTSIDE THE LOCKED CYCLE")):
        if len(rows):
            click.secho(f"{heading}: {len(rows):,}", fg=colour, bold=True)
        for row in rows.itertuples():
            click.echo(f"  {row.kind}: {row.what} {row.difference}".rstrip())
    click.echo(f"cycle {chain.cycle.id}: " + (_counted(len(broken), "difference") if len(broken) else "everything is as it was locked"))
    if len(broken):
        click.get_current_context().exit(1)


@main.command()
@_named_cycle
@_in_workspace
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Keep the workspace it is computed in (new or empty).")
def rerun(cycle_id: str | None, folder: Path, into: Path | None) -> None:
    """Compute the locked CYCLE again from its pinned inputs, beside the store; exit 1 when a result table comes out differently."""
    from sop_workbench.rerun import rerun_cycle

    if into is not None and into.exists() and any(into.iterdir()):
        raise SettingsError(f"{into} is not empty; name a folder that is new or empty")
    chain = _chain(folder, cycle_id)
    with tempfile.TemporaryDirectory(prefix="sop-rerun-") as scratch:
        found = rerun_cycle(chain, into or Path(scratch))
    for row in found.head(_DIFFERENCES_SHOWN).itertuples():
        where = row.table if row.scenario == "base" else f"{row.table} ({row.scenario})"
        click.echo(f"  {where}: {row.keys}: {row.column} {row.before} → {row.after}")
    tables_named = ", ".join(f"{name} {count:,}" for name, count in found["table"].value_counts().items())
    click.echo(f"cycle {chain.cycle.id}: " + (f"{_counted(len(found), 'difference')} ({tables_named})" if len(found)
                                              else "every result table comes out equal"))
    if len(found):
        click.get_current_context().exit(1)


@main.command()
@click.argument("before")
@click.argument("after")
@_in_workspace
@_of_cycle
@click.option("--rows", default=20, show_default=True, help="How many months to show, largest money first.")
@click.option("--csv", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write all rows to this file.")
def diff(before: str, after: str, folder: Path, cycle_id: str | None, rows: int, file: Path | None) -> None:
    """Show what changed from plan BEFORE to plan AFTER: by family, month and measure, with reason, owner and money.

    A plan is CYCLE, CYCLE/SCENARIO, or a scenario of --cycle.
    """
    from sop_workbench.comparison import changed_inputs, compare_plans, find_plan

    workspace = _chain(folder, cycle_id).workspace
    named = cycle_id or workspace.settings.newest_cycle
    old, new = (find_plan(workspace.store, name, named) for name in (before, after))
    found = compare_plans(old, new, workspace.settings)
    if file is not None:
        found.to_csv(file, index=False)
    inputs = changed_inputs(old.cycle, new.cycle)
    click.echo(f"{old.name} → {new.name}: {_counted(len(found), 'difference')}"
               + (f"; inputs that differ: {', '.join(inputs)}" if inputs else ""))
    _print_differences(found, rows, workspace.settings.currency)


def _print_differences(found: pd.DataFrame, rows: int, currency: str) -> None:
    """Totals by measure (stock, which does not add up over time, in its largest month), then the months with most money."""
    by_period = found.groupby(["measure", "period"])["money_amt"].sum()
    for measure, money in by_period.groupby("measure"):
        largest = money.abs().idxmax()
        total, when = (money[largest], f" in {largest[1]:%Y-%m-%d}, its largest") if measure == "inventory" else (money.sum(), "")
        click.echo(f"  {measure:<14} {total:>+16,.0f} {currency}{when}")
    for row in found.head(rows).itertuples():
        said = "; ".join(part for part in (row.reason, row.owner) if part)
        quantity = "" if row.unit == "money" else f" ({row.delta:+,.0f} {row.unit})"
        click.echo(f"  {row.family} {row.period:%Y-%m-%d} {row.measure}: {row.money_amt:+,.0f} {currency}{quantity}"
                   + (f"  [{said}]" if said else ""))
    if len(found) > rows:
        click.echo(f"  and {len(found) - rows:,} smaller ones (--rows, --csv)")


def _scoped(command: Callable) -> Callable:
    """Options that say what a record speaks of."""
    for option in (
        click.option("--item", "item_id", default="", help="Item it speaks of."),
        click.option("--family", default="", help="Family it speaks of."),
        click.option("--market", "market_id", default="", help="Market it speaks of."),
        click.option("--region", default="", help="Region it speaks of."),
        click.option("--from", "from_period", type=click.DateTime(["%Y-%m-%d"]), help="First period it speaks of."),
        click.option("--to", "to_period", type=click.DateTime(["%Y-%m-%d"]), help="Last period it speaks of."),
    ):
        command = option(command)
    return command


def _stated(scope: dict[str, Any]) -> dict[str, Any]:
    """What was given of a scope; a measure without periods cannot be scored by actuals."""
    if scope["measure"] is not None and None in (scope["from_period"], scope["to_period"]):
        raise SettingsError(f"--measure {scope['measure']} needs --from and --to: actuals score it when the last period is over")
    return {name: value for name, value in scope.items() if value is not None}


@main.command()
@click.argument("assumption")
@_in_workspace
@_of_cycle
@click.option("--low", "low_value", type=float, help="It holds from here on.")
@click.option("--high", "high_value", type=float, help="It holds up to here.")
@click.option("--measure", type=click.Choice(["demand", "revenue", "price", "unit cost", "production"]),
              help="What low and high are of: actuals score it then.")
@click.option("--owner", help="Who watches it; who records it when left out.")
@_scoped
@_by
@_why
def assume(assumption: str, folder: Path, cycle_id: str | None, owner: str | None, by: str, why: str, **scope: Any) -> None:
    """Record that the plan takes ASSUMPTION for granted; adjustments name it by its number.

    With --measure, --from and --to it is scored by actuals when the last period is over.
    """
    cycle = _chain(folder, cycle_id).cycle
    stored = cycle.append("assumption", {"assumption": assumption, "owner": owner or by, **_stated(scope)}, by=by, why=why)
    click.echo(f"assumption of cycle {cycle.id} recorded by {by}: {assumption} ({stored['record_id'].iloc[0]})")


@main.command()
@click.argument("number", type=int, required=False)
@_in_workspace
@_of_cycle
@click.option("--question", help="What was decided, where it is not one of the open decisions.")
@click.option("--choice", required=True, help="What was chosen.")
@click.option("--options", "considered", default="", help="Options considered; those of the open decision when left out.")
@click.option("--expected", type=float, help="Money expected from it.")
@click.option("--measure", type=click.Choice(["revenue", "gross margin"]), help="What the money is of: actuals score it then.")
@click.option("--baseline", "baseline_amt", type=float, help="Money that would come without it; the plan before when left out.")
@click.option("--answers", default="", help="Change requests of the weekly round that it answers, parted by '; '.")
@_scoped
@_by
@_why
def decide(number: int | None, folder: Path, cycle_id: str | None, question: str | None, choice: str, considered: str,
           expected: float | None, answers: str, by: str, why: str, **scope: Any) -> None:
    """Record a decision: open decision NUMBER of the cycle, or any --question. Outside tolerance it takes an approver.

    With --measure, --from and --to it is scored by actuals when the last period is over.
    """
    from sop_workbench.outcome import record_decision

    chain = _chain(folder, cycle_id)
    record = record_decision(chain, number, choice, by=by, why=why, question=question or "", considered=considered, expected=expected,
                             answers=answers, **_stated(scope))
    click.echo(f"decision of cycle {chain.cycle.id} recorded by {by}: {record['question']} → {choice}")


@main.command()
@click.argument("title")
@_in_workspace
@_of_cycle
@click.option("--owner", help="Who does it; as promised before when left out.")
@click.option("--due", type=click.DateTime(["%Y-%m-%d"]), help="By when, like 2026-11-02; as promised before when left out.")
@click.option("--status", type=click.Choice(["open", "done", "cancelled"]), default="open", show_default=True)
@click.option("--decision", "decision_id", help="record_id of the decision it carries out (sop records decision).")
@_by
@_why
def action(title: str, folder: Path, cycle_id: str | None, **said: Any) -> None:
    """Record that somebody promised to do TITLE by a day, or (same TITLE) how it stands now: --status done."""
    from sop_workbench.outcome import record_action

    cycle = _chain(folder, cycle_id).cycle
    record = record_action(cycle, title, **said)
    click.echo(f"action of cycle {cycle.id}: {title}, {record['owner']} by {record['due_date']:%Y-%m-%d}, {record['status']}")


@main.command()
@click.argument("title")
@_in_workspace
@_of_cycle
@click.option("--kind", type=click.Choice(["risk", "opportunity"]), default="risk", show_default=True)
@click.option("--money", type=float, help="Money at stake; as registered before when left out.")
@click.option("--probability", type=click.FloatRange(0, 1), help="Chance, from 0 to 1; as registered before when left out.")
@click.option("--owner", help="Who watches it.")
@click.option("--status", type=click.Choice(["open", "closed"]), default="open", show_default=True)
@_by
@_why
def risk(title: str, folder: Path, cycle_id: str | None, **said: Any) -> None:
    """Enter TITLE, a risk or an opportunity beyond the plan, into the register, or (same TITLE) say how it stands now: --status closed."""
    from sop_workbench.outcome import record_risk

    cycle = _chain(folder, cycle_id).cycle
    record = record_risk(cycle, title, **said)
    click.echo(f"{record['kind']} of cycle {cycle.id}: {title}, {record['money_amt']:,.0f} at {record['probability_ratio']:.0%}, "
               f"{record['status']}")


@main.command()
@_in_workspace
@_of_cycle
def maturity(folder: Path, cycle_id: str | None) -> None:
    """Judge from what the store holds how mature the process is, and name the next step to take."""
    import pandas as pd

    from sop_workbench.chain import judge_maturity

    stages = judge_maturity(_chain(folder, cycle_id), pd.Timestamp.now())
    for row in stages.itertuples():
        word = click.style("reached" if row.is_reached else "not yet", fg="green" if row.is_reached else "yellow")
        click.echo(f"{row.stage:<12} {word:<10} {row.evidence}")
        if row.next_step:
            click.echo(f"{'':<12} next: {row.next_step}")


@main.command()
@click.argument("kind", type=click.Choice(["assumption", "decision", "action", "risk", "change_request"]))
@_in_workspace
@_of_cycle
def records(kind: str, folder: Path, cycle_id: str | None) -> None:
    """Show what people recorded up to the cycle, with who, when, why and what came of it."""
    from sop_workbench.follow_up import change_requests, records_with_outcome

    cycle = _chain(folder, cycle_id).cycle
    rows = records_with_outcome(cycle, kind)
    rows = rows if kind != "change_request" else rows.assign(**change_requests(cycle)[["state", "answer"]])
    details = {"action": "{owner} by {due_date:%Y-%m-%d}, {status}", "decision": "→ {choice}", "change_request": "[{state}] {answer}",
               "risk": "({kind}, {money_amt:,.0f} at {probability_ratio:.0%}) [{status}]"}
    for row in rows.to_dict("records"):
        subject = row.get("question") or row.get("title") or row.get("assumption") or row.get("request_id")
        detail = details.get(kind, "").format(**row)
        came = "" if row["verdict"] != row["verdict"] else f" [{row['verdict']}: {row['actual_value']:,.6g}]"
        click.echo(f"  {row['cycle_id']} {row['record_id']} {subject} {detail}".rstrip() + came)
        click.echo(f"    {row['by']}, {row['at']:%Y-%m-%d}: {row['why']}")
    click.echo(_counted(len(rows), kind.replace("_", " ")))


@main.command()
@click.argument("record_id")
@_in_workspace
@_of_cycle
@click.option("--actual", required=True, type=float, help="What came: as the assumption states it, or the money of the decision.")
@_by
@_why
def outcome(record_id: str, folder: Path, cycle_id: str | None, actual: float, by: str, why: str) -> None:
    """Score the assumption or decision RECORD_ID, of this cycle or one before, by what really came."""
    from sop_workbench.outcome import record_outcome

    scored = record_outcome(_chain(folder, cycle_id).cycle, record_id, actual, by=by, why=why)
    click.echo(f"{scored['kind']} of cycle {scored['cycle_of_record']}: {scored['verdict']}")


@main.command()
@_in_workspace
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(folder: Path, options: tuple[str, ...]) -> None:
    """Open JupyterLab on the workspace, with `what_if.ipynb` in it (OPTIONS go to JupyterLab, after --)."""
    import shutil

    from sop_workbench.roles import may
    from sop_workbench.settings import load_settings

    settings = load_settings(folder)
    what_if = folder / "what_if.ipynb"
    if not what_if.exists() and may("planner", settings.users, settings.groups):
        shutil.copy(ROOT / "notebooks" / what_if.name, what_if)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}", *options])


@main.command()
@_in_workspace
@click.option("--ip", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8866, show_default=True, help="Port to listen on.")
@click.option("--base-url", default="/", show_default=True, help="Path under which a proxy passes the dashboards on, like /planning/.")
@click.option("--users", type=click.Path(dir_okay=False, path_type=Path), help="Sign in with a password of this file (sop users add).")
@click.option("--token", default="", help="Sign in with this token; without any other way one is made and shown.")
@click.option("--trust-header", default="", help="The proxy in front names the user in this header, like X-Forwarded-User.")
@click.option("--groups-header", default="", help="… and the user's groups in this one, separated by commas.")
@click.option("--trust-address", "trust_addresses", multiple=True, help="Address or network of that proxy (this machine when left out).")
@click.option("--log", "log_file", type=click.Path(dir_okay=False, path_type=Path), help="Log file; dashboards.log of the workspace.")
def dashboards(folder: Path, **given: Any) -> None:
    """Serve the dashboards: executives and planners open them in a browser, with the workspace's roles and nothing else."""
    from sop_workbench.serving.server import Serving, serve
    from sop_workbench.settings import load_settings

    load_settings(folder)
    serve(Serving(folder.resolve(), **given), click.echo)


@main.group()
def users() -> None:
    """People who sign in at the dashboards with a password."""


@users.command("add")
@click.argument("name")
@_in_workspace
@click.option("--role", type=click.Choice(["viewer", "planner", "approver"]), help="What the person may do; kept in users.yaml.")
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="File of passwords; passwords.yaml of the workspace.")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, help="Asked for when left out.")
def add_user(name: str, folder: Path, role: Any, file: Path | None, password: str) -> None:
    """Give NAME a password for the dashboards (kept hashed), or another one; once people are named it takes an approver."""
    from sop_workbench import roles
    from sop_workbench.serving import identity
    from sop_workbench.settings import load_settings

    settings = load_settings(folder)
    roles.require("approver", f"say who signs in to {settings.company}", settings.users, settings.groups)
    click.echo(f"{name} may sign in with the password; it is hashed in {identity.add_user(folder, name, password, role, file)}")


# ------------------------------------------------------------------ a new workspace


def _copy_company(source: Path, target: Path, bucket: str) -> None:
    """Everything of a company that comes with the workbench, but the program that drew it; what differs in weeks goes over it."""
    import shutil

    left = ["*.py", "__pycache__", "store", "cycles", ".*", _WEEK]
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*left))
    if bucket == "week":
        shutil.rmtree(target / "scenarios", ignore_errors=True)
        (target / "planted.yaml").unlink(missing_ok=True)
        shutil.copytree(source / _WEEK, target, dirs_exist_ok=True)


def _write_blank(target: Path, bucket: str) -> None:
    """`sop.yaml`, empty folders, and one Excel template per input table: fill it in and put it into `extract/`."""
    from sop_workbench import tables

    (target / "sop.yaml").write_text(_BLANK_SETTINGS if bucket == "month" else _blank_weeks(), encoding="utf-8")
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
    from sop_workbench.chain import Chain, steps_of
    from sop_workbench.store import open_workspace

    workspace = open_workspace(folder)
    return Chain(workspace, workspace.cycle(_named(workspace.settings, cycle_id)), steps_of(workspace.settings))


def _named(settings: Settings, cycle_id: str | None) -> str:
    """The cycle asked for: by name, today's (`current`), or the newest of the settings."""
    if cycle_id == "current":
        import pandas as pd

        return settings.calendar.current_cycle(pd.Timestamp.now())
    return cycle_id or _newest(settings)


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
    if state.late_days:
        click.secho(f"{'':<26} {_counted(state.late_days, 'working day')} late", fg="yellow")
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


def _blank_weeks() -> str:
    """The settings to start the light version with."""
    head, _, _ = _BLANK_SETTINGS.partition("steps:")
    for monthly, weekly in (("bucket: month            # or week", "bucket: week             # or month"), ("horizon: 18", "horizon: 13"),
                            ("frozen_buckets: 1", "frozen_buckets: 2"), ('"2026-10" ', '"2026-W40"')):
        head = head.replace(monthly, weekly)
    return head + _WEEKLY_STEPS


_WEEKLY_STEPS = """\
# monthly_workspace: ../monthly   # where sop request hands over what is outside tolerance

steps:
  00_data_gathering: {owner: Planning, due_working_day: 1}
  01_product_review: {owner: Product management, due_working_day: 1}
  02_demand_review: {owner: Demand planning, due_working_day: 1}
  03_supply_review: {owner: Operations, due_working_day: 2}
  04_financial_review: {owner: Finance, due_working_day: 2}
  08_weekly_execution: {owner: Operations, due_working_day: 3}

risk:
  samples: 0             # futures are tried in the monthly round
"""

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
