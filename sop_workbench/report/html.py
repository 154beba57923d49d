"""`report.html`: one file from the executed notebooks of the binder that opens without a network, on screen and on paper.

Code is hidden, charts are drawings inside the file. Each figure and table names the tables it comes from; hovering a figure's marks
shows their values, hovering a table or a heading shows the formula and the meaning of the column. No script is needed.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbconvert import HTMLExporter

from sop_workbench import charts, tables, views
from sop_workbench.errors import SourceError
from sop_workbench.report.binder import facts_line, facts_of, write_whole
from sop_workbench.settings import Settings

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

REPORT_FILE = "report.html"
EXECUTIVE = "06_executive_sop"
_FIRST = (EXECUTIVE, "08_weekly_execution")  # what was decided, in a month and in a week
_HIDDEN_TAGS = {"parameters", "injected-parameters", "remove-cell", "papermill-error-cell-tag"}


def write_html(cycle: Cycle) -> Path:
    """Write the cycle's report from the executed notebooks of its binder.

    The executive page comes first, then the steps in order.

    Raises
    ------
    SourceError
        When the binder holds no executed notebook.
    """
    page = page_of_cycle(cycle)
    return write_whole(Path(cycle.folder) / REPORT_FILE, lambda path: path.write_text(page, encoding="utf-8"))


def page_of_cycle(cycle: Cycle, printed: str = "") -> str:
    """The page of a cycle's binder; `printed` (when and from what it is printed) stands at the foot of every sheet of paper."""
    facts = facts_of(cycle)
    title = f"{facts['Company']}: Sales & Operations Plan {facts['Cycle']}"
    return page_of(sorted(Path(cycle.folder).glob("[0-9][0-9]_*.ipynb")), title, facts_line(facts), cycle.settings, printed)


def page_of(notebooks: Sequence[Path], title: str, facts: str, settings: Settings, printed: str = "") -> str:
    """One self-contained page from executed notebooks.

    Parameters
    ----------
    notebooks : sequence of Path
        Executed notebooks, in the order of the process.
    title, facts : str
        Heading of the page and the line below it; on paper both stand at the edges of every sheet.
    settings : Settings
        For the company's colour.
    printed : str
        What to say about the print itself, on paper only.

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
    style = files("sop_workbench.report").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>:root{{--brand:{charts.readable(settings.brand_colour)}}}\n{style}\n"
        f"{_sheet_edges(title, facts, printed)}</style></head><body>"
        f'<header><h1>{html.escape(title)}</h1><p>{html.escape(facts)}</p></header><nav aria-label="Steps">{links}</nav>'
        f"<main>{bodies}</main></body></html>\n"
    )


def _sheet_edges(title: str, facts: str, printed: str) -> str:
    """What stands at the edges of every printed sheet: title, facts, print, page number."""
    boxes = {"top-left": _css_text(title), "top-right": _css_text(printed), "bottom-left": _css_text(facts),
             "bottom-right": '"Page " counter(page) " of " counter(pages)'}
    return "@page{" + "".join(f"@{place}{{content:{content};white-space:nowrap}}" for place, content in boxes.items()) + "}"


def _css_text(text: str) -> str:
    r"""A text as a string of a style sheet, which no text can end early.

    Examples
    --------
    >>> print(_css_text('R & D "x" </style>'))
    "R & D \22 x\22  \3c /style\3e "
    """
    return '"' + re.sub(r'["\\<>\n]', lambda m: f"\\{ord(m[0]):x} ", text) + '"'


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
    """A cell with its outputs ready for the page: no warnings, drawings named, sources told, an error marked."""
    if cell.cell_type == "code":
        sources = sources_in(cell.source)
        kept = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
        cell.outputs = [_shown_output(output, f"{name}-{i}", sources) for i, output in enumerate(kept)]
    return cell


def sources_in(code: str) -> tuple[str, ...]:
    """The tables of the cycle that a notebook's cell shows, in the order it names them.

    Examples
    --------
    >>> sources_in('charts.bridge(views.budget_bridge(tables["budget_gap"], tables["item"]))')
    ('budget_gap', 'item')
    """
    return tuple(dict.fromkeys(name for name in re.findall(r"""tables\[["'](\w+)["']\]""", code) if name in tables.all_tables()))


def _shown_output(output: nbformat.NotebookNode, name: str, sources: tuple[str, ...]) -> nbformat.NotebookNode:
    if output.output_type == "error":
        words = html.escape(f"{output.ename}: {output.evalue}")
        box = f'<div class="sop-error" role="alert"><strong>This step failed.</strong> <pre>{words}</pre></div>'
        return nbformat.v4.new_output("display_data", {"text/html": box})
    found = output.get("data", {})
    if charts.VEGA_LITE_MIME in found:
        spec = found[charts.VEGA_LITE_MIME]
        shown = _figure(_drawing(json.dumps(spec)), charts.title_text(spec), name) + _source_line(sources)
    elif "text/html" in found and sources:
        shown = _explained(found["text/html"], sources) + _source_line(sources)
    else:
        return output
    return nbformat.v4.new_output("display_data", {"text/html": shown})


@lru_cache(maxsize=256)
def _drawing(spec: str) -> str:
    """A chart drawn once, however many parts of the pack show it."""
    return charts.svg(json.loads(spec))


def _figure(drawing: str, title: str, name: str) -> str:
    """A drawing whose inner names are unique on the page, with its title for those who cannot see it and a tip at every mark."""
    unique = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawing)
    return f'<figure role="img" aria-label="{html.escape(title)}">{_with_tips(unique)}</figure>'


def _with_tips(drawing: str) -> str:
    """Each mark that says its values to a screen reader shows them to the mouse too."""
    return re.sub(r'<(path|text|line|rect|circle)\b([^>]*?\baria-label="([^"]+)" role="graphics-symbol"[^>]*?)/>',
                  lambda m: f"<{m[1]}{m[2]}><title>{_tip(m[3])}</title></{m[1]}>", drawing)


def _tip(label: str) -> str:
    """What a mark says, as people read it: its tooltip where it has one, else what it encodes.

    Examples
    --------
    >>> _tip("bar: Budget; to_amt: 33398267; Bar: Budget; Amount: 33,398,267")
    'Bar: Budget; Amount: 33,398,267'
    >>> _tip("period_label: Oct 26; value: 1573270.04826; measure: revenue_amt")
    'Period label: Oct 26; Value: 1,573,270; Measure: Revenue'
    """
    pairs = [part.partition(": ") for part in label.split("; ")]
    told = [pair for pair in pairs if pair[0][:1].isupper()]
    return "; ".join(f"{key}: {value}" for key, _, value in told) or "; ".join(f"{views.heading(k)}: {_readable(v)}" for k, _, v in pairs)


def _readable(value: str) -> str:
    if re.fullmatch(r"[\u2212-]?\d+(\.\d+)?", value):
        number = float(value.replace("\u2212", "-"))
        return f"{number:,.0f}" if abs(number) >= 100 else f"{number:,.3g}"
    return views.heading(value) if re.fullmatch(r"[a-z]+(_[a-z]+)+", value) else value


def _source_line(sources: tuple[str, ...]) -> str:
    if not sources:
        return ""
    named = ", ".join(f'<span title="{html.escape(tables.table(name).meaning, quote=True)}">{name}</span>' for name in sources)
    return f'<p class="sop-source">Source: {named}</p>'


def _explained(table: str, sources: tuple[str, ...]) -> str:
    """A table whose headings say what the column means and whose figures say how they are formed and where they come from."""
    note = re.search(r'<p class="sop-note"[^>]*>(.*?)</p>', table, re.S)
    formula = html.unescape(re.sub(r"<[^>]+>", "", note[1])) if note else ""
    said = html.escape(f"{formula} Source: {', '.join(sources)}".strip(), quote=True)
    meanings = _meanings(sources)

    def heading(cell: re.Match) -> str:
        words = html.unescape(cell[2])
        return f'<th title="{html.escape(meanings[words], quote=True)}"{cell[1]}>{cell[2]}' if words in meanings else cell[0]

    told = re.sub(r"<th((?: [^>]*)?)>([^<]+)", heading, table)
    return re.sub(r"<table(?! title)", f'<table title="{said}"', told)


@cache
def _meanings(sources: tuple[str, ...]) -> dict[str, str]:
    """Meaning of each column of some tables, by the heading it is shown under; the table named first counts."""
    found: dict[str, str] = {}
    for name in sources:
        for column in tables.table(name).columns.values():
            unit = f", {column.unit}" if column.unit else ""
            found.setdefault(views.heading(column.name), f"{column.meaning} ({name}.{column.name}{unit})")
    return found
