"""Executes a notebook of the process on the invented tables of `frames`, in place of its review."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"
_SETUP = f"""import sys
sys.path.insert(0, {str(HERE)!r})
from types import SimpleNamespace
import frames, pandas as pd
from sop_workbench import charts, views
cycle = SimpleNamespace(settings=frames.SETTINGS, calendar=frames.SETTINGS.calendar, as_of=pd.Timestamp("2026-09-30"), period=frames.PERIODS[0])
charts.use(cycle.settings)
tables = frames.all_frames()
"""


def execute(name: str, target: Path) -> Path:
    """Run one notebook with its setup cell replaced; the result lands in `target`."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    setup = next(cell for cell in notebook.cells if cell.cell_type == "code" and "reviews." in cell.source)
    setup.source = _SETUP
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    path = target / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path
