"""Data checks: one function per rule, every finding at once as rows of the `issue` table.

Rules on planning inputs block where the plan would be wrong. Rules on documents (orders, receipts,
movements as booked) are evidence for the people who own the data; they never block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from sop_workbench import tables
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings


@dataclass(frozen=True)
class Evidence:
    """What a rule may look at: every input and document table (empty where a company has none) and the as-of date."""

    frames: Mapping[str, pd.DataFrame]
    settings: Settings
    as_of: pd.Timestamp

    def __getitem__(self, name: str) -> pd.DataFrame:
        """The frame of a table."""
        return self.frames[name]

    @property
    def calendar(self) -> Calendar:
        """The company's planning calendar."""
        return self.settings.calendar


Rule = Callable[[Evidence], list[dict]]


def run_checks(
    inputs: Mapping[str, pd.DataFrame], documents: Mapping[str, pd.DataFrame], settings: Settings, as_of: pd.Timestamp
) -> pd.DataFrame:
    """Apply every rule and return all findings, worst first.

    Parameters
    ----------
    inputs, documents : mapping of table name to conformed DataFrame
        A table that is left out counts as empty.
    settings : Settings
        `check_severity` overrides the severity of a rule (`rule` or `rule.table`).
    as_of : Timestamp
        Last day whose facts the cycle may know.

    Returns
    -------
    DataFrame
        Rows of the `issue` table.
    """
    frames = {name: tables.table(name).empty() for name in tables.names("input") + tables.names("document")}
    evidence = Evidence({**frames, **inputs, **documents}, settings, pd.Timestamp(as_of))
    findings = [{**found, "rule": rule.__name__} for rule in RULES for found in rule(evidence)]
    return tables.issue_frame(findings)


RULES: tuple[Rule, ...] = ()
