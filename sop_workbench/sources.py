"""Read a company's own data into the input tables: SQL over files by DuckDB, or over its database by SQLAlchemy.

One `<sql folder>/<table>.sql` per table says how the company's extract becomes the table. A table
without one is read whole from the file (or database table) of its own name.

**What a query sees.** Over files, every CSV, TSV, TXT, Parquet, XLSX or XLSM file of `sources.folder` (and of its
direct sub-folders) is a view named by the file's stem; a workbook of several sheets gives one view
`<stem>_<sheet>` for each. Files that no query names are not read.

**Parameters**, on both engines, bound only where a query mentions them:

============== ======= ==============================================================================
`:as_of`       date    last day whose facts the cycle may know (`OrderDate < :as_of + 1` for times)
`:shift_days`  integer days by which periods run ahead of the calendar
`:horizon_end` date    first day of the last planned period
============== ======= ==============================================================================

DuckDB also knows `period_of(date)`: first day of the period that holds the date.

**Types of a CSV column.** Ids stay as written: a column that `tables.yaml` declares as text is text, and so is
any column that holds a leading zero (`007`). Another column is a whole number, a number, a date
(`2026-10-31`, with or without time) or true/false only when *every* value of the file is; else text.
One wrong value therefore never disappears: it reaches the table as text and is reported with its row.

**Files without header, or in another form**: `<sql folder>/columns.yaml`, file stem → :class:`FileFormat`::

    SalesOrderDetail: {delimiter: "\\t", columns: [SalesOrderID, SalesOrderDetailID, OrderQty]}

A file whose first line already holds these names is read by its own header, so one mapping serves both layouts.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pydantic import Field

from sop_workbench.settings import Section, Settings

FORMATS_FILE = "columns.yaml"


class FileFormat(Section):
    """How one CSV-like file is written, where it is not a comma-separated file with a header.

    `columns` names the columns of a file without header; `delimiter` may have up to four characters;
    `row_end` is text to drop at the end of each line; `text` names columns to keep as written;
    `decimal` is the decimal separator; `encoding` overrides `sources.encoding`.
    """

    columns: tuple[str, ...] = ()
    delimiter: str | None = Field(default=None, min_length=1, max_length=4)
    row_end: str = ""
    encoding: str | None = None
    decimal: str = Field(default=".", pattern="^[.,]$")
    text: tuple[str, ...] = ()


def load_inputs(settings: Settings, workspace: Path | str, as_of: pd.Timestamp) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Load every input table from the company's sources, with all findings at once.

    Parameters
    ----------
    settings : Settings
        Sources, units, exchange rates and calendar.
    workspace : Path
        Folder that `sources.folder` and `sources.sql` are relative to.
    as_of : Timestamp
        Last day whose facts may be known.

    Returns
    -------
    (dict of DataFrame, DataFrame)
        Every input table by name, conformed and sorted by key, empty where it could not be read or an
        optional one is absent; and the findings as rows of the `issue` table.
    """
    raise NotImplementedError


def load_documents(settings: Settings, workspace: Path | str, as_of: pd.Timestamp) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Load the booked documents (orders, receipts …) that the company's sources have; the others are left out.

    Same parameters, findings and order of rows as :func:`load_inputs`.
    """
    raise NotImplementedError
