"""Shows a notebook of the process on the invented tables of `frames`, without a kernel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
from frames import PERIODS, SETTINGS
from IPython.core.formatters import DisplayFormatter

from sop_workbench import charts, views, widgets

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CYCLE = SimpleNamespace(settings=SETTINGS, calendar=SETTINGS.calendar, as_of=pd.Timestamp("2026-09-30"), period=PERIODS[0])


def cycle_of(tables: dict[str, pd.DataFrame]) -> SimpleNamespace:
    """The cycle with tables to read, for widgets that show themselves as a table."""
    return SimpleNamespace(**vars(CYCLE), read=tables.__getitem__, records=tables.__getitem__)


def display_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that show something: all code but parameters, set-up and the review."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [cell for cell in code if "parameters" not in cell.metadata.get("tags", ())]
    return [cell for cell in shown if "import" not in cell.source and not cell.source.startswith("tables = reviews.")]


def execute(name: str, folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    """Save the notebook `name` with the outputs its display cells have on these tables."""
    charts.use(SETTINGS)
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    formatter = DisplayFormatter()
    for cell in display_cells(notebook):
        value = eval(cell.source, {"tables": tables, "cycle": cycle_of(tables), "charts": charts, "views": views, "widgets": widgets})
        data, metadata = formatter.format(value)
        cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1, metadata=metadata)]
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"
