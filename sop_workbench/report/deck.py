"""Slides in one look: title, body and foot, cards, tables and native charts; every text measured before it is placed.

Boxes are (left, top, width, height) in inches on a page of 13.33 × 7.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION, XL_LEGEND_POSITION, XL_TICK_LABEL_POSITION
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.util import Inches, Pt

from sop_workbench import charts, tables, views
from sop_workbench.report.fitting import fitted, height_inches
from sop_workbench.settings import Settings

Box = tuple[float, float, float, float]
PAGE_WIDTH, PAGE_HEIGHT = 13.333, 7.5
LEFT, WIDE, TOP, BOTTOM = 0.5, 12.333, 1.3, 6.75
_TITLE_ONLY = 5  # layout of the built-in template: a title and an empty page
_FONT = "Arial"
_INK, _SOFT, _LINE, _PALE = RGBColor(0x1C, 0x1F, 0x23), RGBColor(0x5D, 0x64, 0x6C), RGBColor(0xD9, 0xDD, 0xE2), RGBColor(0xF4, 0xF5, 0xF7)
_WHITE = RGBColor(0xFF, 0xFF, 0xFF)
_PAD = 0.08  # between a cell's edge and its text
_NO_STYLE = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"  # a table without lines and fills of its own
_LINE_WIDTHS = {"Demand": 5.0}  # in points: where the plan serves all of it, it shows behind the plan
_DEMAND_BESIDE_AMBER = "#7fb8de"  # where the company's own colour is amber or orange
_SERIES = ("#7f8790", "#e0a458", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#8c5a2b")


@dataclass(frozen=True)
class Column:
    """One column of a table on a slide: where it comes from, its heading, its share of the width, its unit and decimals."""

    name: str
    heading: str
    width: float
    unit: str = ""
    digits: int = 0
    is_right: bool = False


class Deck:
    """Slides of one company and cycle.

    Parameters
    ----------
    settings : Settings
        For currency and colour.
    title : str
        Title kept in the file.
    facts : str
        Line at the foot of every page.
    created : Timestamp
        Date kept in the file.
    """

    def __init__(self, settings: Settings, title: str, facts: str, created: pd.Timestamp) -> None:
        self.currency, self.facts, self.company = settings.currency, facts, settings.company
        self.brand = _rgb(charts.readable(settings.brand_colour))
        self.book = Presentation()
        self.book.slide_width, self.book.slide_height = Inches(PAGE_WIDTH), Inches(PAGE_HEIGHT)
        kept = self.book.core_properties
        kept.title, kept.author, kept.last_modified_by = title, settings.company, settings.company
        kept.created = kept.modified = created.to_pydatetime()

    def save(self, path: Path) -> None:
        """Write the file."""
        self.book.save(str(path))

    # -------------------------------------------------------------- a page
    def page(self, title: str, *shown: pd.DataFrame) -> Any:
        """A new page with its title, foot and, in the notes, how to read its views and where they come from."""
        slide = self.book.slides.add_slide(self.book.slide_layouts[_TITLE_ONLY])
        self._bar(slide, (0, 0, PAGE_WIDTH, 0.12))
        frame = slide.shapes.title
        _place(frame, (LEFT, 0.3, WIDE, 0.85))
        size, words = fitted(self._said(title), WIDE - 2 * _PAD, 0.85, (26, 24, 22, 20, 18), is_bold=True)
        self._write(frame.text_frame, words, size, is_bold=True, anchor=MSO_ANCHOR.MIDDLE)
        sources = tuple(dict.fromkeys(name for view in shown for name in view.attrs.get("source", ())))
        foot = f"{self.company} · {self.facts}" + (f" · source: {', '.join(sources)}" if sources else "")
        self.text(slide, (LEFT, 6.98, WIDE - 1.0, 0.32), foot, (10, 9, 8, 7), colour=_SOFT)
        number = str(len(self.book.slides))
        self.text(slide, (LEFT + WIDE - 0.9, 6.98, 0.9, 0.32), number, (10,), colour=_SOFT, align=PP_ALIGN.RIGHT)
        notes = [words for view in shown for words in (view.attrs.get("title"), view.attrs.get("note")) if words]
        self.note(slide, "\n".join([title, *notes, *(f"{name}: {tables.table(name).meaning}" for name in sources)]))
        return slide

    def note(self, slide: Any, text: str) -> None:
        """Add lines to the notes of a page."""
        frame = slide.notes_slide.notes_text_frame
        frame.text = "\n".join(part for part in (frame.text, self._said(text)) if part)

    def nothing(self, slide: Any, view: pd.DataFrame) -> None:
        """Say why there is nothing to show."""
        self.text(slide, (LEFT, TOP + 0.3, WIDE, 1.0), str(view.attrs.get("empty") or "Nothing to show."), (20, 18, 16), has_bar=True)

    def text(self, slide: Any, box: Box, words: str, sizes: Sequence[float], *, is_bold: bool = False, colour: RGBColor = _INK,
             align: Any = PP_ALIGN.LEFT, has_bar: bool = False) -> Any:
        """A text in the largest of some sizes that fits its box."""
        left, top, width, height = box
        if has_bar:
            self._bar(slide, (left, top, 0.09, height))
            left, width = left + 0.2, width - 0.2
        size, shown = fitted(self._said(words), width - 2 * _PAD, height, sizes, is_bold)
        if shown.endswith("…"):
            self.note(slide, words)
        frame = slide.shapes.add_textbox(Inches(left), Inches(top), Inches(width), Inches(height))
        self._write(frame.text_frame, shown, size, is_bold=is_bold, colour=colour, align=align)
        return frame

    def card(self, slide: Any, box: Box, row: Mapping[str, Any]) -> None:
        """A KPI: name, value, status in icon, word and colour, target, formula."""
        left, top, width, height = box
        colour = _rgb(charts.status_colour(str(row["status_text"])))
        self._bar(slide, box, _PALE)
        self._bar(slide, (left, top, 0.1, height), colour)
        inner = width - 0.3
        self.text(slide, (left + 0.2, top + 0.08, inner, 0.36), row["kpi_name"], (16, 14, 12), colour=_SOFT)
        self.text(slide, (left + 0.2, top + 0.44, inner * 0.57, 0.62), row["value_text"], (30, 26, 24, 22, 20, 18), is_bold=True)
        self._bar(slide, (left + 0.2 + inner * 0.58, top + 0.52, inner * 0.42, 0.36), colour)
        self.text(slide, (left + 0.2 + inner * 0.58, top + 0.57, inner * 0.42, 0.3), row["status_text"], (14, 12, 11, 10), is_bold=True,
                  colour=_WHITE, align=PP_ALIGN.CENTER)
        target = f"target {row['target_text']}" if row["target_text"] != "–" else "no target"
        self.text(slide, (left + 0.2, top + 1.12, inner, 0.36), f"{target} · {row['about']}", (13, 12, 11, 10))
        self.text(slide, (left + 0.2, top + 1.52, inner, height - 1.6), str(row["formula"]), (12, 11, 10, 9), colour=_SOFT)

    def number(self, slide: Any, box: Box, words: str, value: str) -> None:
        """A number with its name above it."""
        left, top, width, height = box
        self._bar(slide, box, _PALE)
        self.text(slide, (left, top + 0.05, width, 0.3), words, (13, 12, 11), colour=_SOFT)
        self.text(slide, (left, top + 0.38, width, height - 0.45), value, (17, 16, 15, 14, 13, 12), is_bold=True)

    # -------------------------------------------------------------- tables
    def table_inches(self, view: pd.DataFrame, columns: Sequence[Column], width: float, size: float) -> float:
        """Height that a whole view would take as a table."""
        heads, cells, widths = self._texts(view, columns, width)
        return sum(_row_inches(row, widths, size) for row in [heads, *cells])

    def _texts(self, view: pd.DataFrame, columns: Sequence[Column], width: float) -> tuple[list[str], list[list[str]], list[float]]:
        """Headings, cells and widths of a table."""
        scale = width / sum(column.width for column in columns)
        cells = [[self._cell(row[column.name], column) for column in columns] for row in view.to_dict("records")]
        heads = [self._said(f"{c.heading}\n{c.unit}" if c.unit else c.heading) for c in columns]
        return heads, cells, [column.width * scale for column in columns]

    def table(self, slide: Any, box: Box, view: pd.DataFrame, columns: Sequence[Column], size: float, bold: Sequence[str] = ()) -> int:
        """As many rows of a view as fit; returns how many were shown (and says how many were not)."""
        if view.empty:
            return 0
        left, top, width, height = box
        heads, cells, widths = self._texts(view, columns, width)
        heights = [_row_inches(row, widths, size) for row in [heads, *cells]]
        shown = _fitting(heights, height)
        if shown == 0:  # a row taller than the page: its texts are cut
            room = height - heights[0] - 2 * _PAD
            cells[0] = [fitted(cell, w - 2 * _PAD, room, (size,))[1] for cell, w in zip(cells[0], widths, strict=True)]
            heights[1], shown = height - heights[0], 1
        frame = slide.shapes.add_table(shown + 1, len(columns), Inches(left), Inches(top), Inches(width), Inches(sum(heights[: shown + 1])))
        frame.name = "Table"
        _describe(frame, self._said(str(view.attrs.get("title") or "Table")))
        self._fill(frame.table, [heads, *cells[:shown]], widths, heights, columns, size, bold)
        return shown

    def _fill(self, table: Any, rows: list[list[str]], widths: list[float], heights: list[float], columns: Sequence[Column], size: float,
              bold: Sequence[str]) -> None:
        table._tbl.tblPr.find("{http://schemas.openxmlformats.org/drawingml/2006/main}tableStyleId").text = _NO_STYLE
        for place, width in enumerate(widths):
            table.columns[place].width = Inches(width)
        for number, row in enumerate(rows):
            table.rows[number].height = Inches(heights[number])
            for place, words in enumerate(row):
                cell = table.cell(number, place)
                cell.margin_left = cell.margin_right = Inches(_PAD)
                cell.margin_top = cell.margin_bottom = Inches(_PAD / 2)
                cell.fill.solid()
                cell.fill.fore_color.rgb = self.brand if number == 0 else _PALE if number % 2 == 0 else _WHITE
                is_right = columns[place].is_right or columns[place].unit != ""
                self._write(cell.text_frame, words, size, is_bold=number == 0 or row[0] in bold, colour=_WHITE if number == 0 else _INK,
                            align=PP_ALIGN.RIGHT if is_right else PP_ALIGN.LEFT, margin=None)

    def _cell(self, value: Any, column: Column) -> str:
        if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)):
            return "–"
        if isinstance(value, str):
            return self._said(value)
        return views.number(value * 100, 1) if column.unit == "%" else views.number(value, column.digits)

    # -------------------------------------------------------------- charts
    def lines(self, slide: Any, box: Box, view: pd.DataFrame, names: Mapping[str, str], title: str) -> None:
        """One line per named column over the periods; an absent value is a gap."""
        self._over_time(slide, box, view, names, title, XL_CHART_TYPE.LINE)

    def columns(self, slide: Any, box: Box, view: pd.DataFrame, names: Mapping[str, str], title: str) -> None:
        """Columns over the periods, stacked where there are several."""
        self._over_time(slide, box, view, names, title, XL_CHART_TYPE.COLUMN_STACKED)

    def _over_time(self, slide: Any, box: Box, view: pd.DataFrame, names: Mapping[str, str], title: str, kind: Any) -> None:
        if view.empty:
            self.text(slide, box, str(view.attrs.get("empty") or "Nothing to show."), (14, 12))
            return
        rows = view.sort_values("period")
        series = {words: rows[name] for name, words in names.items()}
        chart = self._chart(slide, box, kind, views.period_labels(rows["period"]).tolist(), series, title)
        chart.category_axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
        for found, colour in zip(chart.plots[0].series, self._colours(len(names)), strict=True):
            if kind == XL_CHART_TYPE.LINE:
                found.smooth = False
                found.format.line.color.rgb = colour
                found.format.line.width = Pt(_LINE_WIDTHS.get(found.name, 2.0))
            else:
                found.format.fill.solid()
                found.format.fill.fore_color.rgb = colour

    def bars(self, slide: Any, box: Box, view: pd.DataFrame, by: str, names: Mapping[str, str], title: str) -> None:
        """Bars per row, first row on top, one series per named column."""
        series = {words: view[name] for name, words in names.items()}
        labels = [fitted(self._said(str(label)), box[2] * 0.34, 0.34, (10,))[1] for label in view[by]]
        chart = self._chart(slide, box, XL_CHART_TYPE.BAR_CLUSTERED, labels, series, title)
        chart.category_axis.reverse_order = True
        chart.category_axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
        chart.plots[0].overlap, chart.plots[0].gap_width = 100, 50
        for found, colour in zip(chart.plots[0].series, (_rgb(charts.ORANGE), _rgb(charts.BLUE)), strict=False):
            found.invert_if_negative = False
            found.format.fill.solid()
            found.format.fill.fore_color.rgb = colour

    def waterfall(self, slide: Any, box: Box, view: pd.DataFrame) -> None:
        """A bridge as stacked columns: an unseen base, totals, steps up and down, and the amount above each."""
        low, high = view[["from_amt", "to_amt"]].min(axis=1), view[["from_amt", "to_amt"]].max(axis=1)
        is_total = view["kind"] == "total"
        floor = _bridge_floor(low[~is_total], view.loc[is_total, "to_amt"])
        parts = {
            "Base": low.where(~is_total, floor), "Total": (high - floor).where(is_total),
            "More": (high - low).where(~is_total & (view["amount_amt"] >= 0)),
            "Less": (high - low).where(~is_total & (view["amount_amt"] < 0)),
            "Amount": pd.Series((high.max() - floor) * 0.07, index=view.index)}
        title = "Revenue" + (" (axis does not start at 0)" if floor > 0 else "")
        chart = self._chart(slide, box, XL_CHART_TYPE.COLUMN_STACKED, [self._said(bar) for bar in view["bar"]], parts, title)
        chart.has_legend = False
        chart.plots[0].gap_width, chart.value_axis.minimum_scale = 45, floor
        colours = {"Total": _rgb(charts.GREY), "More": _rgb(charts.BLUE), "Less": _rgb(charts.ORANGE)}
        for found in chart.plots[0].series:
            found.invert_if_negative = False
            if found.name in colours:
                found.format.fill.solid()
                found.format.fill.fore_color.rgb = colours[found.name]
            else:
                found.format.fill.background()
        for point, (amount, total) in enumerate(zip(view["amount_amt"], is_total, strict=True)):
            label = chart.plots[0].series[4].points[point].data_label
            words = views.short(amount) if total else views.signed(views.short(amount))
            label.position = XL_LABEL_POSITION.INSIDE_BASE
            self._write(label.text_frame, words, 12, is_bold=True, margin=None)

    def _chart(self, slide: Any, box: Box, kind: Any, categories: list[str], series: Mapping[str, pd.Series], title: str) -> Any:
        """A native chart with the look shared by all."""
        content = CategoryChartData(number_format="#,##0")
        content.categories = categories
        for name, values in series.items():
            content.add_series(name, [None if pd.isna(value) else float(value) for value in values])
        frame = slide.shapes.add_chart(kind, *(Inches(side) for side in box), content)
        said = self._said(title if views.MONEY in title else f"{title}, {self.currency}")
        _describe(frame, said)
        chart = frame.chart
        chart.font.name, chart.font.size, chart.font.color.rgb = _FONT, Pt(11), _INK
        chart.has_title = True
        self._write(chart.chart_title.text_frame, fitted(said, box[2] - 0.4, 0.6, (13, 12, 11))[1], 13, is_bold=True, margin=None)
        chart.chart_title.include_in_layout = False
        chart.has_legend = len(series) > 1
        if chart.has_legend:
            side = XL_LEGEND_POSITION.BOTTOM if len(series) <= 3 else XL_LEGEND_POSITION.RIGHT
            chart.legend.position, chart.legend.include_in_layout = side, False
        largest = max((values.abs().max() for values in series.values() if values.notna().any()), default=0)
        axis = chart.value_axis
        axis.tick_labels.number_format, axis.tick_labels.number_format_is_linked = _axis_format(largest), False
        axis.major_gridlines.format.line.color.rgb, axis.format.line.color.rgb = _LINE, _LINE
        chart.category_axis.format.line.color.rgb = _SOFT
        return chart

    def _colours(self, count: int) -> list[RGBColor]:
        """Grey and amber for what the plan is compared with, the company's colour for the plan; other colours for other parts."""
        likely, other = _SERIES[1], _DEMAND_BESIDE_AMBER
        amber = other if charts.are_alike(f"#{self.brand}", likely) else likely
        others = [_rgb(colour) for colour in (_SERIES[0], amber, *_SERIES[2:])]
        return [self.brand] if count == 1 else [*others[:2], self.brand][-count:] if count <= 3 else [self.brand, *others][:count]

    # -------------------------------------------------------------- small things
    def _said(self, text: str) -> str:
        return text.replace(views.MONEY, self.currency)

    def _bar(self, slide: Any, box: Box, colour: RGBColor | None = None) -> None:
        shape = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, *(Inches(side) for side in box))
        shape.fill.solid()
        shape.fill.fore_color.rgb = colour or self.brand
        shape.line.fill.background()
        shape.shadow.inherit = False
        _describe(shape, "")

    @staticmethod
    def _write(frame: Any, words: str, size: float, *, is_bold: bool = False, colour: RGBColor = _INK, align: Any = PP_ALIGN.LEFT,
               anchor: Any = None, margin: float | None = _PAD) -> None:
        frame.text = words
        if margin is not None:
            frame.word_wrap = True
            frame.margin_left = frame.margin_right = Inches(margin)
            frame.margin_top = frame.margin_bottom = 0
        if anchor is not None:
            frame.vertical_anchor = anchor
        for paragraph in frame.paragraphs:
            paragraph.alignment = align
            paragraph.font.size, paragraph.font.bold, paragraph.font.name = Pt(size), is_bold, _FONT
            paragraph.font.color.rgb = colour


def _place(shape: Any, box: Box) -> None:
    shape.left, shape.top, shape.width, shape.height = (Inches(side) for side in box)


def _describe(shape: Any, words: str) -> None:
    """What a reader that cannot see the shape is told."""
    shape._element.xpath(".//p:cNvPr")[0].set("descr", words)


def _rgb(colour: str) -> RGBColor:
    return RGBColor.from_string(colour.lstrip("#").upper())


def _row_inches(cells: Sequence[str], widths: Sequence[float], size: float) -> float:
    tallest = max(height_inches(cell, width - 2 * _PAD, size, is_bold=True) for cell, width in zip(cells, widths, strict=True))
    return tallest + _PAD


def _fitting(heights: Sequence[float], room: float) -> int:
    """How many rows below the heading fit.

    Examples
    --------
    >>> _fitting([0.5, 1.0, 1.0, 1.0], 2.6)
    2
    """
    total, count = heights[0], 0
    for height in heights[1:]:
        total += height
        if total > room + 1e-9:
            break
        count += 1
    return count


def _bridge_floor(steps: pd.Series, totals: pd.Series) -> float:
    """Where the axis of a bridge starts: a tenth below its lowest point, so that the steps can be seen; never above zero's side."""
    lowest = min([*steps, *totals])
    return max(0.0, lowest * 0.9) if lowest > 0 else 0.0


def _axis_format(largest: float) -> str:
    """Number format of an axis: millions, thousands or as it is."""
    if largest >= 2e6:
        return '#,##0.0,,"M"'
    return '#,##0,"k"' if largest >= 2e4 else "#,##0"
