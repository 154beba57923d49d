"""The cycle's pack: `report.html`, one file that opens offline, and `plan.xlsx`, the plan as a workbook.

Both are made from what the binder and the store already hold: executed notebooks are never run again
and no figure is computed here beyond totals. A file appears whole or not at all.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pandas as pd
import xlsxwriter
from nbconvert import HTMLExporter
from xlsxwriter.utility import xl_col_to_name, xl_rowcol_to_cell

from sop_workbench import charts, tables, views
from sop_workbench.errors import SourceError
from sop_workbench.settings import Settings

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

REPORT_FILE = "report.html"
WORKBOOK_FILE = "plan.xlsx"
EXECUTIVE = "06_executive_sop"
_FIRST = (EXECUTIVE, "08_weekly_execution")  # what was decided, in a month and in a week
_HIDDEN_TAGS = {"parameters", "injected-parameters", "remove-cell", "papermill-error-cell-tag"}
_LONGEST_COLUMN = 60


# ------------------------------------------------------------------ report.html
def write_html(cycle: Cycle) -> Path:
    """Write the cycle's report from the executed notebooks of its binder.

    The executive page comes first, then the steps in order; code is hidden, charts are drawings inside the file.

    Raises
    ------
    SourceError
        When the binder holds no executed notebook.
    """
    folder = Path(cycle.folder)
    state = "approved" if cycle.is_locked else "draft"
    settings = cycle.settings
    facts = f"Cycle {cycle.id} · {state} · facts known on {cycle.as_of:%d %B %Y} · money in {settings.currency}"
    page = page_of(sorted(folder.glob("[0-9][0-9]_*.ipynb")), f"{settings.company}: Sales & Operations Plan {cycle.id}", facts, settings)
    return _write_whole(folder / REPORT_FILE, page)


def page_of(notebooks: Sequence[Path], title: str, facts: str, settings: Settings) -> str:
    """One self-contained page from executed notebooks.

    Parameters
    ----------
    notebooks : sequence of Path
        Executed notebooks, in the order of the process.
    title, facts : str
        Heading of the page and the line below it.
    settings : Settings
        For the company's colour.

    Raises
    ------
    SourceError
        When there is no notebook.
    """
    if not notebooks:
        raise SourceError("the binder holds no executed notebook; `sop run` makes them")
    ordered = sorted(notebooks, key=lambda path: path.stem not in _FIRST)
    sections = [_section(path) for path in ordered]
    links = "".join(f'<a href="#{name}">{html.escape(words)}</a>' for name, words, _ in sections)
    bodies = "".join(f'<section id="{name}">{body}</section>' for name, _, body in sections)
    style = files("sop_workbench").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>:root{{--brand:{charts.readable(settings.brand_colour)}}}\n{style}</style></head><body>"
        f'<header><h1>{html.escape(title)}</h1><p>{html.escape(facts)}</p></header><nav aria-label="Steps">{links}</nav>'
        f"<main>{bodies}</main></body></html>\n"
    )


def _section(path: Path) -> tuple[str, str, str]:
    """Anchor, heading and body of one notebook."""
    notebook = nbformat.read(path, as_version=4)
    heading = next(
        (m[1] for cell in notebook.cells if cell.cell_type == "markdown" and (m := re.search(r"^# (.+)$", cell.source, re.M))), path.stem
    )
    notebook.cells = [
        _shown_cell(cell, f"{path.stem}-{i}")
        for i, cell in enumerate(notebook.cells)
        if not _HIDDEN_TAGS & set(cell.metadata.get("tags", ()))
    ]
    exporter = HTMLExporter(
        template_name="basic", exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True, exclude_anchor_links=True
    )
    body, _ = exporter.from_notebook_node(notebook)
    return f"step-{path.stem}", heading, _demoted(body)


def _demoted(body: str) -> str:
    """Headings one level down, as the page has its own first one; anchors that could repeat are dropped."""
    return re.sub(r"<(/?)h([1-5])(?: id=\"[^\"]*\")?", lambda m: f"<{m[1]}h{int(m[2]) + 1}", body)


def _shown_cell(cell: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """A cell with its outputs ready for the page: no warnings, drawings named, an error marked."""
    if cell.cell_type == "code":
        kept = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
        cell.outputs = [_shown_output(output, f"{name}-{i}") for i, output in enumerate(kept)]
    return cell


def _shown_output(output: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    if output.output_type == "error":
        words = html.escape(f"{output.ename}: {output.evalue}")
        box = f'<div class="sop-error" role="alert"><strong>This step failed.</strong> <pre>{words}</pre></div>'
        return nbformat.v4.new_output("display_data", {"text/html": box})
    if charts.VEGA_LITE_MIME in output.get("data", {}):
        spec = output.data[charts.VEGA_LITE_MIME]
        return nbformat.v4.new_output("display_data", {"text/html": _figure(charts.svg(spec), charts.title_text(spec), name)})
    return output


def _figure(drawing: str, title: str, name: str) -> str:
    """A drawing whose inner names are unique on the page, with its title for those who cannot see it."""
    unique = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawing)
    return f'<figure role="img" aria-label="{html.escape(title)}">{unique}</figure>'


# ------------------------------------------------------------------ plan.xlsx
def write_workbook(cycle: Cycle) -> Path:
    """Write the cycle's plan as a workbook: one sheet per subject, totals as formulas.

    Tables that the cycle does not hold (yet) give a sheet that says so.
    """
    names = ("item", "market", *_SHEET_TABLES)
    held = {name: cycle.read(name) if cycle.has(name) else tables.table(name).empty() for name in names}
    facts = {
        "Company": cycle.settings.company,
        "Cycle": cycle.id,
        "State": "approved" if cycle.is_locked else "draft",
        "Facts known on": f"{cycle.as_of:%Y-%m-%d}",
        "Currency": cycle.settings.currency,
    }
    target = Path(cycle.folder) / WORKBOOK_FILE
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    workbook_of(partial, held, facts, cycle.settings, cycle.as_of)
    partial.replace(target)
    return target


_SHEET_TABLES = (
    "kpi",
    "financial_projection",
    "budget_gap",
    "consensus_demand",
    "unmet_demand",
    "supply_plan",
    "resource_plan",
    "binding_limit",
    "purchase_plan",
    "inventory_projection",
    "scenario_comparison",
    "issue",
    "open_decision",
    "decision",
)


def workbook_of(path: Path, held: dict[str, pd.DataFrame], facts: dict[str, str], settings: Settings, created: pd.Timestamp) -> None:
    """Write a workbook from tables.

    Parameters
    ----------
    path : Path
        File to write.
    held : dict of DataFrame
        `item`, `market` and the result tables by name.
    facts : dict
        Lines at the top of the summary.
    settings : Settings
        For currency and colour.
    created : Timestamp
        Date kept in the file; the same plan gives the same file.
    """
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": f"{facts.get('Company', '')} plan {facts.get('Cycle', '')}", "created": created.to_pydatetime()})
        pen = _Pen(book, settings)
        _summary(pen, held, facts, created)
        item = held["item"][["item_id", "item_name", "family"]]
        pen.wide("Demand", "Unconstrained demand", _by_period(held["consensus_demand"], item, ["market_id"], "demand_qty"), "units")
        pen.wide("Supply", "Quantity started", _by_period(held["supply_plan"], item, ["location_id"], "production_qty"), "units")
        pen.wide("Capacity", "Hours used", _by_period(held["resource_plan"], None, ["resource_id"], "used_hours"), "hours")
        pen.listed("Bottlenecks", "Limits that stop the plan", held["binding_limit"])
        pen.listed("Purchase", "Orders to place", _named(held["purchase_plan"], item), totals=("purchase_cost_amt",))
        pen.wide(
            "Inventory",
            "Closing stock",
            _by_period(held["inventory_projection"], item, ["location_id"], "closing_qty"),
            "units",
            is_summable=False,
        )
        _finance(pen, held["financial_projection"])
        pen.wide("Scenarios", "Measures by scenario", _scenarios(held["scenario_comparison"]), "", is_summable=False)
        pen.listed("Issues", "Findings of the data checks", views.issue_list(held["issue"]))
        pen.listed("Decisions", "Decisions to take", held["open_decision"])
        pen.listed("Decided", "Decisions taken", held["decision"])


def _by_period(frame: pd.DataFrame, item: pd.DataFrame | None, keys: list[str], measure: str) -> pd.DataFrame:
    """Rows by key, one column per period in time order."""
    if frame.empty:
        return pd.DataFrame()
    named = frame if item is None else _named(frame, item)
    index = keys if item is None else ["family", "item_id", "item_name", *keys]
    wide = named.pivot_table(index=index, columns="period", values=measure, aggfunc="sum", dropna=True)
    return wide.set_axis(views.period_labels(wide.columns.to_series()).tolist(), axis=1).reset_index()


def _named(frame: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    named = frame.merge(item, on="item_id", how="left", validate="many_to_one")
    return named.assign(family=named["family"].fillna(views.NO_FAMILY), item_name=named["item_name"].fillna(named["item_id"]))


def _scenarios(comparison: pd.DataFrame) -> pd.DataFrame:
    if comparison.empty:
        return pd.DataFrame()
    wide = comparison.pivot_table(index=["sequence", "measure", "unit"], columns="scenario", values="value", aggfunc="first")
    names = ["base", *[c for c in wide.columns if c != "base"]] if "base" in wide.columns else list(wide.columns)
    return wide[names].reset_index().drop(columns="sequence")


def _summary(pen: _Pen, held: dict[str, pd.DataFrame], facts: dict[str, str], first_period: pd.Timestamp) -> None:
    """Facts, the plan by family with totals, and the KPIs."""
    numbers = views.family_numbers(held["financial_projection"], held["budget_gap"])
    title = numbers.attrs["title"]
    numbers = numbers[numbers["family"] != "Total"]
    sheet = pen.sheet("Summary", f"{facts.get('Company', '')}: Sales & Operations Plan {facts.get('Cycle', '')}")
    for row, (name, value) in enumerate(facts.items(), start=2):
        sheet.write_string(row, 0, name, pen.bold)
        sheet.write_string(row, 1, value)
    first = len(facts) + 4
    end = pen.block(sheet, first, numbers, title, [c for c in numbers if c.endswith("_amt")])
    if len(numbers):
        pen.column_chart(
            sheet,
            (first + 2, 10),
            "Budget and plan by family",
            first + 3,
            len(numbers),
            {"Budget": list(numbers).index("budget_amt"), "Plan": list(numbers).index("revenue_amt")},
        )
    scores = views.kpi_scorecard(held["kpi"], first_period) if len(held["kpi"]) else pd.DataFrame()
    pen.block(sheet, end + 2, scores, "KPIs, total")


def _finance(pen: _Pen, projection: pd.DataFrame) -> None:
    """Profit-and-loss lines by period, then the revenue chart."""
    lines = views.profit_and_loss(projection, periods=projection["period"].nunique()) if len(projection) else pd.DataFrame()
    amounts = lines.drop(columns="Total", errors="ignore")
    if len(amounts):
        amounts = amounts.assign(**{c: amounts[c] * 1000 for c in amounts.columns if c != "line"})
    sheet = pen.wide("Finance", "The plan in money", amounts, pen.currency, is_summable=False)
    if len(amounts):
        periods = len(amounts.columns) - 1
        pen.line_chart(
            sheet,
            (len(amounts) + 6, 1),
            "Revenue and profit of the plan",
            {name: amounts.index[amounts["line"] == name][0] + 3 for name in ("Revenue", "Profit of the plan")},
            periods,
        )


class _Pen:
    """Writes frames into sheets in one style."""

    def __init__(self, book: xlsxwriter.Workbook, settings: Settings) -> None:
        self.book, self.currency = book, settings.currency
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.bold = book.add_format({"bold": True})
        self.unit = book.add_format({"italic": True, "font_color": "#666666", "align": "right"})
        self.head = book.add_format({"bold": True, "bottom": 2, "border_color": settings.brand_colour, "text_wrap": True, "valign": "top"})
        self.formats = {name: book.add_format({"num_format": code}) for name, code in _NUMBER_FORMATS.items()}
        self.totals = {name: book.add_format({"num_format": code, "bold": True, "top": 1}) for name, code in _NUMBER_FORMATS.items()}
        self.wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        self.lights = {word: book.add_format({"font_color": "#ffffff", "bg_color": colour}) for word, colour in _LIGHTS.items()}

    def sheet(self, name: str, title: str) -> Any:
        """A landscape sheet with its title."""
        sheet = self.book.add_worksheet(name)
        sheet.write_string(0, 0, title, self.title)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.hide_gridlines(2)
        return sheet

    def listed(self, name: str, title: str, frame: pd.DataFrame, totals: Sequence[str] = ()) -> None:
        """A list to filter, with totals of the named columns below."""
        sheet = self.sheet(name, title)
        shown = frame.drop(columns=[c for c in ("record_id",) if c in frame])
        self.block(sheet, 1, shown, "", totals)
        if len(shown):
            sheet.freeze_panes(3, 0)
            sheet.autofilter(2, 0, 2 + len(shown), len(shown.columns) - 1)

    def wide(self, name: str, title: str, frame: pd.DataFrame, unit: str, is_summable: bool = True) -> Any:
        """A table with periods across: totals to the right and, where adding up makes sense, below."""
        sheet = self.sheet(name, f"{title}, {unit}" if unit else title)
        numbers = [c for c in frame.columns if pd.api.types.is_numeric_dtype(frame[c])]
        self.block(sheet, 1, frame, "", numbers if is_summable else (), unit)
        if frame.empty:
            return sheet
        keys = len(frame.columns) - len(numbers)
        sheet.freeze_panes(3, keys)
        sheet.autofilter(2, 0, 2 + len(frame), len(frame.columns) - 1)
        if is_summable or name == "Finance":
            self._totals_right(sheet, frame, keys)
        return sheet

    def block(self, sheet: Any, row: int, frame: pd.DataFrame, title: str, totals: Sequence[str] = (), unit: str = "") -> int:
        """A frame from `row` on (units, headings, rows, totals); returns the row below it."""
        if title:
            sheet.write_string(row, 0, title, self.bold)
            row += 1
        if frame.empty:
            sheet.write_string(row, 0, "Nothing to show: the cycle holds no such table yet, or it has no row.")
            return row + 1
        for place, column in enumerate(frame.columns):
            kind = _kind(frame[column], column)
            sheet.write_string(row, place, self._unit_of(column, kind, unit), self.unit)
            sheet.write_string(row + 1, place, views.heading(column), self.head)
            self._values(sheet, row + 2, place, frame[column], kind)
            sheet.set_column(place, place, _column_width(frame[column], views.heading(column), kind))
        self._totals_below(sheet, row + 2, frame, totals)
        return row + 2 + len(frame) + bool(totals)

    def _unit_of(self, column: str, kind: str, unit: str) -> str:
        by_name = {"_amt": self.currency, "_qty": "units", "_hours": "hours", "_days": "days", "_months": "months"}
        return next((u for suffix, u in by_name.items() if column.endswith(suffix)), unit if kind == "number" else "")

    def _values(self, sheet: Any, row: int, place: int, values: pd.Series, kind: str) -> None:
        for offset, value in enumerate(values):
            if value is None or value is pd.NaT or (isinstance(value, float) and not np.isfinite(value)):
                continue  # an empty cell: absent is not zero
            if kind == "date":
                sheet.write_datetime(row + offset, place, value.to_pydatetime(), self.formats[kind])
            elif kind == "text":
                text = str(value).replace(views.MONEY, self.currency)
                sheet.write_string(row + offset, place, text, self.lights.get(text.split(" ", 1)[-1], self.wrapped))
            else:
                sheet.write_number(row + offset, place, float(value), self.formats[kind])

    def _totals_below(self, sheet: Any, first: int, frame: pd.DataFrame, totals: Sequence[str]) -> None:
        """Totals that follow the filter (SUBTOTAL leaves hidden rows out)."""
        last = first + len(frame) - 1
        for column in totals:
            place = list(frame.columns).index(column)
            letter, kind = xl_col_to_name(place), _kind(frame[column], column)
            sheet.write_formula(
                last + 1, place, f"=SUBTOTAL(109,{letter}{first + 1}:{letter}{last + 1})", self.totals[kind], float(frame[column].sum())
            )
        if totals:
            sheet.write_string(last + 1, 0, "Total", self.bold)

    def _totals_right(self, sheet: Any, frame: pd.DataFrame, keys: int) -> None:
        place = len(frame.columns)
        sheet.write_string(2, place, "Total", self.head)
        sums = frame.iloc[:, keys:].sum(axis=1)
        for offset, value in enumerate(sums):
            cells = f"{xl_rowcol_to_cell(3 + offset, keys)}:{xl_rowcol_to_cell(3 + offset, place - 1)}"
            sheet.write_formula(3 + offset, place, f"=SUM({cells})", self.totals["number"], float(value))
        sheet.set_column(place, place, 14)

    def column_chart(self, sheet: Any, at: tuple[int, int], title: str, first: int, count: int, columns: dict[str, int]) -> None:
        """Columns side by side, one series per named column."""
        chart = self.book.add_chart({"type": "column"})
        for name, column in columns.items():
            chart.add_series(
                {
                    "name": name,
                    "categories": [sheet.name, first, 0, first + count - 1, 0],
                    "values": [sheet.name, first, column, first + count - 1, column],
                }
            )
        self._place(sheet, chart, at, title)

    def line_chart(self, sheet: Any, at: tuple[int, int], title: str, rows: dict[str, int], periods: int) -> None:
        """One line per named row over the periods in the heading row."""
        chart = self.book.add_chart({"type": "line"})
        for name, row in rows.items():
            chart.add_series({"name": name, "categories": [sheet.name, 2, 1, 2, periods], "values": [sheet.name, row, 1, row, periods]})
        self._place(sheet, chart, at, title)

    def _place(self, sheet: Any, chart: Any, at: tuple[int, int], title: str) -> None:
        chart.set_title({"name": title, "name_font": {"size": 12}})
        chart.set_y_axis({"num_format": "#,##0", "name": self.currency, "major_gridlines": {"visible": True, "line": {"color": "#dddddd"}}})
        chart.set_legend({"position": "bottom"})
        chart.set_size({"width": 760, "height": 320})
        sheet.insert_chart(*at, chart)


_NUMBER_FORMATS = {"number": "#,##0;-#,##0;0", "decimal": "#,##0.00", "ratio": "0.0%", "date": "yyyy-mm-dd", "text": "@"}
_LIGHTS = {"on target": "#1b7f4b", "watch": "#9a5b00", "act": "#b3261e", "blocks": "#b3261e", "warns": "#9a5b00"}


def _kind(values: pd.Series, column: str) -> str:
    """How a column is written: text, date, ratio, decimal or number."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return "date"
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return "text"
    if column.endswith("_ratio"):
        return "ratio"
    largest = values.abs().max()
    return "decimal" if pd.notna(largest) and largest < 100 and not (values.dropna() % 1 == 0).all() else "number"


def _column_width(values: pd.Series, heading: str, kind: str) -> float:
    if kind != "text":
        return max(12.0, len(heading) * 0.8)
    longest = values.dropna().astype(str).str.len().max() if values.notna().any() else 0
    return float(min(_LONGEST_COLUMN, max(longest, len(heading), 8) + 2))


def _write_whole(target: Path, text: str) -> Path:
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(target)
    return target
