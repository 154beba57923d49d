"""The cycle's pack, made from what the binder and the store already hold: page, workbook, print and slides.

`pages` says which views the pack shows and in which order; `html` makes `report.html` from the executed notebooks, `printed` prints it with
Chromium as `report.pdf`, `workbook` writes `plan.xlsx` and `slides` writes `slides.pptx`. Nothing is computed here beyond totals: every
figure is a view's, so one KPI has one value in all of them. A file appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from sop_workbench.report.html import EXECUTIVE, REPORT_FILE, page_of, write_html
from sop_workbench.report.printed import PRINT_FILE, write_pdf
from sop_workbench.report.slides import SLIDES_FILE, slides_of, write_slides
from sop_workbench.report.workbook import WORKBOOK_FILE, workbook_of, write_workbook

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

FORMATS: Mapping[str, tuple[str, Callable[[Cycle], object]]] = MappingProxyType({
    "html": (REPORT_FILE, write_html), "xlsx": (WORKBOOK_FILE, write_workbook), "pdf": (PRINT_FILE, write_pdf),
    "pptx": (SLIDES_FILE, write_slides)})
RUN_FILES: Mapping[str, Callable[[Cycle], object]] = MappingProxyType(
    dict(write for kind, write in FORMATS.items() if kind != "pdf"))  # what needs no browser comes with every run

__all__ = ["EXECUTIVE", "FORMATS", "PRINT_FILE", "REPORT_FILE", "RUN_FILES", "SLIDES_FILE", "WORKBOOK_FILE", "page_of", "slides_of",
           "workbook_of", "write_html", "write_pdf", "write_slides", "write_workbook"]
