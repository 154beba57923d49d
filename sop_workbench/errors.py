"""Every error a planner can meet. A message names table, row keys, value and remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_LINES_SHOWN = 200


class SopError(Exception):
    """Base of all errors the workbench raises on purpose; the command line prints it and exits 1."""


class SettingsError(SopError):
    """`sop.yaml` cannot be read, has an unknown key or an impossible value."""


class SourceError(SopError):
    """A source (folder, file, database, query) cannot be reached or read."""


class DataError(SopError):
    """Tables broke their declaration or a blocking rule; carries every finding, not just the first.

    Parameters
    ----------
    issues : DataFrame
        Rows of the `issue` table: rule, severity, table, keys, count, value, remedy.
    """

    def __init__(self, issues: pd.DataFrame) -> None:
        self.issues = issues
        super().__init__("\n".join(issue_lines(issues)))


class InfeasiblePlanError(SopError):
    """No plan satisfies the hard limits; the message names the clashing ones in planners' words."""


class UnboundedPlanError(SopError):
    """Profit could grow without end: a price, cost or limit is missing; the message names where."""


class SolverError(SopError):
    """The solver stopped without a usable plan (time limit, numerical trouble)."""


class RoleError(SopError):
    """Somebody tried what the role held does not allow, or approved an own proposal."""


class CycleLockedError(SopError):
    """Somebody tried to write to a locked cycle; a locked cycle never changes."""


class StoreConflictError(SopError):
    """Another process wrote the same table of the same cycle at the same moment; nothing was lost, try again."""


class ChainRunningError(StoreConflictError):
    """Another process is running this cycle; nothing was started."""


class MailError(SopError):
    """A mail could not be handed to the mail server; the message says why."""


class UnknownCycleError(SopError):
    """The cycle, scenario or table asked for is not in the store."""


class StepFailedError(SopError):
    """A step of the chain failed; names notebook, cell and cause."""


def exit_code(fault: BaseException) -> int:
    """The exit code of the command line: 1 explained (or stopped by hand), 3 the cycle is being run already, 2 anything else.

    Examples
    --------
    >>> exit_code(SettingsError("no")), exit_code(ChainRunningError("wait")), exit_code(KeyError("x")), exit_code(KeyboardInterrupt())
    (1, 3, 2, 1)
    """
    if isinstance(fault, ChainRunningError):
        return 3
    return 1 if isinstance(fault, SopError) or not isinstance(fault, Exception) else 2


def issue_lines(issues: pd.DataFrame) -> list[str]:
    """One readable line per finding, worst first.

    Examples
    --------
    >>> import pandas as pd
    >>> issue_lines(pd.DataFrame([{"rule": "negative_price", "severity": "blocks", "table": "price",
    ...     "keys": "item_id=A1", "count": 1, "value": "-3.0", "remedy": "enter a price of 0 or more"}]))
    ['blocks  price: negative_price at item_id=A1, value -3.0 (1 row). Remedy: enter a price of 0 or more']
    """
    order = {"blocks": 0, "warns": 1, "info": 2}
    rows = sorted(issues.to_dict("records"), key=lambda row: order.get(row["severity"], 3))
    lines = [_issue_line(row) for row in rows[:_LINES_SHOWN]]
    if len(rows) > _LINES_SHOWN:
        lines.append(f"… and {len(rows) - _LINES_SHOWN} more findings in the issue table")
    return lines


def _issue_line(row: dict) -> str:
    where = f" at {row['keys']}" if row["keys"] else ""
    value = f", value {row['value']}" if row["value"] not in ("", None) else ""
    count = f"{row['count']:,} row" + ("" if row["count"] == 1 else "s")
    return f"{row['severity']:<7} {row['table']}: {row['rule']}{where}{value} ({count}). Remedy: {row['remedy']}"
