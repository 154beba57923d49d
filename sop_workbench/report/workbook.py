"""`plan.xlsx`: the plan as a workbook, a sheet per subject, with native charts and formulas where a person would look for them.

Totals follow a filter, a gap is plan less budget, a margin is margin over revenue; each formula carries the figure of its view, so a
reader that does not compute sees the same number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xlsxwriter
from xlsxwriter.utility import xl_col_to_name, xl_rowcol_to_cell

from sop_workbench import views
from sop_workbench.report import pages
from sop_workbench.report.binder import facts_of, write_whole
from sop_workbench.settings import Settings

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

WORKBOOK_FILE = "plan.xlsx"
_LONGEST_COLUMN = 60
_ROUNDING = 0.01  # money that a formula may differ from its view before it is not the same figure


def write_workbook(cycle: Cycle) -> Path:
    """Write the cycle's plan as a workbook: one sheet per subject, totals as formulas.

    Tables that the cycle does not hold (yet) give a sheet that says so.
    """
    held, facts = pages.held_tables(cycle), facts_of(cycle)
    return write_whole(Path(cycle.folder) / WORKBOOK_FILE,
                       lambda path: workbook_of(path, held, facts, cycle.settings, cycle.as_of, cycle.period))


def workbook_of(path: Path, held: Mapping[str, pd.DataFrame], facts: Mapping[str, str], settings: Settings, created: pd.Timestamp,
                plan_from: pd.Timestamp) -> None:
    """Write a workbook from tables.

    Parameters
    ----------
    path : Path
        File to write.
    held : mapping
        The tables named in `pages.TABLES`.
    facts : mapping
        Lines at the top of the summary.
    settings : Settings
        For currency, colour and locale.
    created : Timestamp
        Date kept in the file; the same plan gives the same file.
    plan_from : Timestamp
        First planned period.
    """
    views.use_locale(settings.locale)
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": f"{facts.get('Company', '')} plan {facts.get('Cycle', '')}", "created": created.to_pydatetime()})
        pen = _Pen(book, settings)
        seen = pages.opening_views(held, plan_from)
        _summary(pen, seen, facts)
        _kpis(pen, pages.scorecard(held, plan_from))
        _bridge(pen, seen["bridge"])
        _families(pen, held)
        item = held["item"][["item_id", "item_name", "family"]]
        pen.wide("Demand", "Unconstrained demand", _by_period(held["consensus_demand"], item, ["market_id"], "demand_qty"), "units")
        pen.wide("Supply", "Quantity started", _by_period(held["supply_plan"], item, ["location_id"], "production_qty"), "units")
        pen.wide("Capacity", "Hours used", _by_period(held["resource_plan"], None, ["resource_id"], "used_hours"), "hours")
        pen.listed("Bottlenecks", "Limits that stop the plan", held["binding_limit"])
        pen.listed("Purchase", "Orders to place", _named(held["purchase_plan"], item), totals=("purchase_cost_amt",))
        stock = _by_period(held["inventory_projection"], item, ["location_id"], "closing_qty")
        pen.wide("Inventory", "Closing stock", stock, "units", is_summable=False)
        _finance(pen, held["financial_projection"])
        _scenarios(pen, held["scenario_comparison"])
        pen.listed("Risks", seen["risks"].attrs["title"] or "Risks and opportunities", seen["risks"])
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


def _scenarios(pen: _Pen, comparison: pd.DataFrame) -> None:
    """Measures down, scenarios across, and the profit of each as a chart."""
    if comparison.empty:
        pen.wide("Scenarios", "Measures by scenario", pd.DataFrame(), "", is_summable=False)
        return
    wide = comparison.pivot_table(index=["sequence", "measure", "unit"], columns="scenario", values="value", aggfunc="first")
    names = ["base", *[c for c in wide.columns if c != "base"]] if "base" in wide.columns else list(wide.columns)
    frame = wide[names].reset_index().drop(columns="sequence")
    sheet = pen.wide("Scenarios", "Measures by scenario", frame, "", is_summable=False)
    for row in frame.index[frame["measure"] == "profit"]:
        pen.chart(sheet, (len(frame) + 6, 0), "column", "Profit by scenario",
                  {"Profit": ((2, 2, 2, 1 + len(names)), (row + 3, 2, row + 3, 1 + len(names)))})


def _summary(pen: _Pen, seen: Mapping[str, pd.DataFrame], facts: Mapping[str, str]) -> None:
    """Facts, the decision in words, and the plan by family with gap, margin and totals as formulas."""
    numbers = seen["families"]
    sheet = pen.sheet("Summary", f"{facts.get('Company', '')}: Sales & Operations Plan {facts.get('Cycle', '')}")
    told = dict(facts)
    if len(seen["decision"]):
        told["First decision"] = pen.said(str(seen["decision"]["question"].iloc[0]))
    for row, (name, value) in enumerate(told.items(), start=2):
        sheet.write_string(row, 0, name, pen.bold)
        sheet.write_string(row, 1, value)
    first = len(told) + 4
    rows = numbers[numbers["family"] != "Total"]
    pen.block(sheet, first, rows, numbers.attrs["title"], [c for c in rows if c.endswith("_amt")])
    if len(rows):
        sheet.fit_to_pages(1, 1)
        sheet.set_column(0, 0, 22)
        top = first + 3  # below title, units and headings
        _family_formulas(pen, sheet, top, rows.reset_index(drop=True), numbers.iloc[-1])
        shown = {"Budget": "budget_amt", "Demand": "demand_amt", "Plan": "revenue_amt"}
        places = {name: list(rows).index(column) for name, column in shown.items()}
        pen.chart(sheet, (top + len(rows) + 3, 0), "column", "Budget, demand and plan by family", {
            name: ((top, 0, top + len(rows) - 1, 0), (top, place, top + len(rows) - 1, place)) for name, place in places.items()})


def _family_formulas(pen: _Pen, sheet: Any, top: int, rows: pd.DataFrame, total: pd.Series) -> None:
    """Gap = plan − budget and margin = gross margin / revenue, row by row and in the total; only where that is the view's own figure."""
    place = {name: xl_col_to_name(list(rows).index(name)) for name in rows}
    for number, row in enumerate([*rows.to_dict("records"), total.to_dict()], start=top):
        is_total = number == top + len(rows)
        formats = pen.totals if is_total else pen.formats
        if abs(row["revenue_amt"] - row["budget_amt"] - row["gap_amt"]) <= _ROUNDING and not is_total:
            formula = f"={place['revenue_amt']}{number + 1}-{place['budget_amt']}{number + 1}"
            sheet.write_formula(number, list(rows).index("gap_amt"), formula, formats["number"], float(row["gap_amt"]))
        if pd.notna(row["margin_ratio"]):
            formula = f"={place['gross_margin_amt']}{number + 1}/{place['revenue_amt']}{number + 1}"
            sheet.write_formula(number, list(rows).index("margin_ratio"), formula, formats["ratio"], float(row["margin_ratio"]))


def _kpis(pen: _Pen, scores: pd.DataFrame) -> None:
    """Every KPI of the total as a number in its own format, with target, distance to it, status and formula."""
    sheet = pen.sheet("KPIs", pen.said(scores.attrs["title"]) or "KPIs")
    if scores.empty:
        sheet.write_string(2, 0, pen.said(scores.attrs["empty"]))
        return
    heads = ("KPI", "About", "Value", "Target", "Value − target", "Unit", "Status", "Reason", "How it is formed", "Name")
    for place, words in enumerate(heads):
        sheet.write_string(2, place, words, pen.head_right if place in (2, 3, 4) else pen.head)
    for row, score in enumerate(scores.to_dict("records"), start=3):
        kind = "ratio" if score["unit"] in ("ratio", "%") else "decimal"
        sheet.write_string(row, 0, score["kpi_name"])
        sheet.write_string(row, 1, score["about"])
        for place, name in ((2, "value"), (3, "target")):
            if pd.notna(score[name]):
                sheet.write_number(row, place, float(score[name]), pen.formats[kind])
        if pd.notna(score["value"]) and pd.notna(score["target"]):
            sheet.write_formula(row, 4, f"=C{row + 1}-D{row + 1}", pen.formats[kind], float(score["value"] - score["target"]))
        sheet.write_string(row, 5, "%" if kind == "ratio" else pen.said(score["unit"].replace("reporting currency", views.MONEY)))
        pen.status(sheet, row, 6, score["status_text"])
        for place, name in ((7, "reason"), (8, "formula"), (9, "kpi")):
            sheet.write_string(row, place, pen.said(str(score[name])))
    for place, width in enumerate((22, 18, 14, 12, 14, 14, 16, 66, 66, 22)):
        sheet.set_column(place, place, width)
    sheet.freeze_panes(3, 1)
    sheet.autofilter(2, 0, 2 + len(scores), len(heads) - 1)


def _bridge(pen: _Pen, bars: pd.DataFrame) -> None:
    """From budget to plan: the amounts, where each bar stands (as formulas) and the bridge as stacked columns."""
    sheet = pen.sheet("Bridge", pen.said(bars.attrs["title"]) or "From budget to plan")
    if bars.empty:
        sheet.write_string(2, 0, pen.said(bars.attrs["empty"]))
        return
    for place, words in enumerate(("Bar", "Amount", "Reached", "Base", "Total", "More", "Less")):
        sheet.write_string(2, place, words, pen.head_right if place else pen.head)
    for row, (bar, kind, amount, reached) in enumerate(bars[["bar", "kind", "amount_amt", "to_amt"]].itertuples(index=False), start=3):
        is_total, n = kind == "total", row + 1
        sheet.write_string(row, 0, bar)
        sheet.write_number(row, 1, amount, pen.formats["number"])
        before = reached - amount
        if is_total:  # it stands on zero; a step starts where the bar before it ended
            formulas = ((f"=B{n}", reached), ("=0", 0), (f"=B{n}", amount), ("=0", 0), ("=0", 0))
        else:
            formulas = ((f"=C{row}+B{n}", reached), (f"=MIN(C{row},C{n})", min(before, reached)), ("=0", 0),
                        (f"=MAX(B{n},0)", max(amount, 0)), (f"=MAX(-B{n},0)", max(-amount, 0)))
        for place, (formula, value) in enumerate(formulas, start=2):
            sheet.write_formula(row, place, formula, pen.formats["number"], float(value))
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 6, 14)
    sheet.freeze_panes(3, 1)
    last = 2 + len(bars)
    floor = bars[["from_amt", "to_amt"]][bars["kind"] == "step"].min().min()
    pen.chart(sheet, (3, 8), "stacked", "From budget to plan", {
        name: ((3, 0, last, 0), (3, place, last, place)) for place, name in enumerate(("Base", "Total", "More", "Less"), start=3)},
        floor=max(0.0, float(floor) * 0.9) if pd.notna(floor) else 0.0)


def _families(pen: _Pen, held: Mapping[str, pd.DataFrame]) -> None:
    """Budget, demand, plan, margin and stock of every family by period, one block and one chart each."""
    sheet = pen.sheet("Families", "Budget, demand and plan of every family")
    names = pages.families(held)
    if not names:
        sheet.write_string(2, 0, _NOTHING)
        return
    row = 2
    for family in names:
        outlook = pages.family_outlook(held, family)
        shown = outlook.assign(period=views.period_labels(outlook["period"])).assign(
            gap_amt=outlook["revenue_amt"] - outlook["budget_amt"], margin_ratio=outlook["gross_margin_amt"] / outlook["revenue_amt"])
        summed = ("budget_amt", "demand_amt", "revenue_amt", "gross_margin_amt", "gap_amt")
        pen.block(sheet, row, shown, pen.said(outlook.attrs["title"]), summed)
        top, last = row + 3, row + 2 + len(shown)
        _outlook_formulas(pen, sheet, top, shown)
        pen.chart(sheet, (row, len(shown.columns) + 1), "line", family, {
            name: ((top, 0, last, 0), (top, list(shown).index(column), last, list(shown).index(column)))
            for name, column in (("Budget", "budget_amt"), ("Demand", "demand_amt"), ("Plan", "revenue_amt"))})
        row = max(last + 3, row + 18)
    sheet.freeze_panes(2, 1)


def _outlook_formulas(pen: _Pen, sheet: Any, top: int, shown: pd.DataFrame) -> None:
    """Gap and margin of each period, and the margin of the total, as formulas."""
    letter = {name: xl_col_to_name(list(shown).index(name)) for name in shown}
    margin = f"={letter['gross_margin_amt']}{{n}}/{letter['revenue_amt']}{{n}}"
    for number, row in enumerate(shown.to_dict("records"), start=top):
        if pd.notna(row["gap_amt"]):
            formula = f"={letter['revenue_amt']}{number + 1}-{letter['budget_amt']}{number + 1}"
            sheet.write_formula(number, list(shown).index("gap_amt"), formula, pen.formats["number"], float(row["gap_amt"]))
        if row["revenue_amt"]:
            sheet.write_formula(number, list(shown).index("margin_ratio"), margin.format(n=number + 1), pen.formats["ratio"],
                                float(row["margin_ratio"]))
    whole = shown[["gross_margin_amt", "revenue_amt"]].sum()
    if whole["revenue_amt"]:
        sheet.write_formula(top + len(shown), list(shown).index("margin_ratio"), margin.format(n=top + len(shown) + 1), pen.totals["ratio"],
                            float(whole["gross_margin_amt"] / whole["revenue_amt"]))


def _finance(pen: _Pen, projection: pd.DataFrame) -> None:
    """Profit-and-loss lines by period, margin and profit shares as formulas below, then the revenue chart."""
    lines = views.profit_and_loss(projection, periods=projection["period"].nunique()) if len(projection) else pd.DataFrame()
    amounts = lines.drop(columns="Total", errors="ignore")
    if len(amounts):
        amounts = amounts.assign(**{c: amounts[c] * 1000 for c in amounts.columns if c != "line"})
    sheet = pen.wide("Finance", "The plan in money", amounts, pen.currency, is_summable=False)
    if amounts.empty:
        return
    places = {name: amounts.index[amounts["line"] == name][0] + 3 for name in ("Revenue", "Gross margin", "Profit of the plan")}
    last = len(amounts.columns)
    sums = amounts.set_index("line").assign(total=lambda f: f.sum(axis=1))
    shares = {"Gross margin, share of revenue": "Gross margin", "Profit, share of revenue": "Profit of the plan"}
    for offset, (words, above) in enumerate(shares.items()):
        row = len(amounts) + 4 + offset
        sheet.write_string(row, 0, words, pen.bold)
        for place in range(1, last + 1):
            whole = float(sums.loc["Revenue"].iloc[place - 1])
            if whole:
                letter = xl_col_to_name(place)
                sheet.write_formula(row, place, f"={letter}{places[above] + 1}/{letter}{places['Revenue'] + 1}", pen.formats["ratio"],
                                    float(sums.loc[above].iloc[place - 1]) / whole)
    pen.chart(sheet, (len(amounts) + 8, 1), "line", "Revenue, gross margin and profit of the plan", {
        name: ((2, 1, 2, last - 1), (row, 1, row, last - 1)) for name, row in places.items()})


class _Pen:
    """Writes frames into sheets in one style."""

    def __init__(self, book: xlsxwriter.Workbook, settings: Settings) -> None:
        self.book, self.currency, self.brand = book, settings.currency, settings.brand_colour
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.bold = book.add_format({"bold": True})
        self.unit = book.add_format({"italic": True, "font_color": "#666666", "align": "right"})
        self.head = book.add_format({"bold": True, "bottom": 2, "border_color": settings.brand_colour, "text_wrap": True, "valign": "top"})
        self.head_right = book.add_format({"bold": True, "bottom": 2, "border_color": settings.brand_colour, "text_wrap": True,
                                           "valign": "top", "align": "right"})
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

    def said(self, text: str) -> str:
        """A text with the currency in place of its sign."""
        return text.replace(views.MONEY, self.currency)

    def status(self, sheet: Any, row: int, place: int, text: str) -> None:
        """A status in icon, word and colour."""
        sheet.write_string(row, place, text, self.lights.get(text.split(" ", 1)[-1], self.wrapped))

    def listed(self, name: str, title: str, frame: pd.DataFrame, totals: Sequence[str] = ()) -> None:
        """A list to filter, with totals of the named columns below."""
        sheet = self.sheet(name, self.said(title))
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
            sheet.write_string(row, 0, _NOTHING)
            return row + 1
        for place, column in enumerate(frame.columns):
            kind = _kind(frame[column], column)
            sheet.write_string(row, place, self._unit_of(column, kind, unit), self.unit)
            sheet.write_string(row + 1, place, views.heading(column), self.head if kind in ("text", "date") else self.head_right)
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
        sheet.write_string(2, place, "Total", self.head_right)
        sums = frame.iloc[:, keys:].sum(axis=1)
        for offset, value in enumerate(sums):
            cells = f"{xl_rowcol_to_cell(3 + offset, keys)}:{xl_rowcol_to_cell(3 + offset, place - 1)}"
            sheet.write_formula(3 + offset, place, f"=SUM({cells})", self.totals["number"], float(value))
        sheet.set_column(place, place, 14)

    def chart(self, sheet: Any, at: tuple[int, int], kind: str, title: str,
              series: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], floor: float | None = None) -> None:
        """A native chart below or beside its figures: `column`, `line`, or `stacked` (a bridge whose base is not seen).

        `series` gives categories and values of each name as (first row, first column, last row, last column).
        """
        kinds = {"line": {"type": "line"}, "column": {"type": "column"}, "stacked": {"type": "column", "subtype": "stacked"}}
        chart = self.book.add_chart(kinds[kind])
        for name, (categories, values) in series.items():
            drawn = {"color": self.brand if name in ("Plan", "Revenue", "Profit") else _SERIES_COLOURS.get(name, "#7f8790")}
            look = {"line": {**drawn, "width": 2.25}} if kind == "line" else {"fill": {"none": True} if name == "Base" else drawn}
            chart.add_series({"name": name, "categories": [sheet.name, *categories], "values": [sheet.name, *values], **look})
        chart.set_title({"name": title, "name_font": {"size": 12}})
        axis = {"num_format": "#,##0", "name": self.currency, "major_gridlines": {"visible": True, "line": {"color": "#dddddd"}}}
        chart.set_y_axis(axis | ({"min": floor} if floor else {}))
        chart.set_legend({"none": True} if kind == "stacked" or len(series) == 1 else {"position": "bottom"})
        chart.set_size({"width": 760, "height": 320})
        sheet.insert_chart(*at, chart, {"description": title})


_SERIES_COLOURS = {"Budget": "#7f8790", "Demand": "#b36b00", "Gross margin": "#0072b2", "Profit of the plan": "#d55e00", "Total": "#7f8790",
                   "More": "#0072b2", "Less": "#d55e00"}
_NOTHING = "Nothing to show: the cycle holds no such table yet, or it has no row."
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
