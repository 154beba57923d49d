"""The widget behind every page: blocks that Python fills one by one, and acts that the browser sends by name.

The first paint needs no chart and no solver: `fill` the blocks that are read first, and say with `later` what is computed when the page
stands (the browser asks for it, knows its width then, and shows that it waits) or when a person reaches it.
"""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import anywidget
import ipywidgets
import pandas as pd
import traitlets

from sop_workbench import charts, views, widgets
from sop_workbench.errors import SopError

_HERE = Path(__file__).parent
_LOG = logging.getLogger(__name__)
_NARROWEST, _WIDEST = 300, 1500
_GUTTER = 42  # padding and border of a block, both sides
_WIDTH_UNKNOWN = 1180

Act = Callable[..., None]


@dataclass(frozen=True)
class Block:
    """A place on the page.

    Parameters
    ----------
    id, title : str
        Its name, and the heading it starts with (a view's own title goes before it).
    span : int
        Columns of twelve on a wide window; on a narrow one every block is as wide as the page.
    is_late : bool
        Computed only when a person comes near it.
    is_open : bool
        Drawn without a frame, for cards and headlines that frame themselves.
    rows : int
        Blocks beside it, one below the other, that it is as high as.
    """

    id: str
    title: str = ""
    span: int = 12
    is_late: bool = False
    is_open: bool = False
    rows: int = 1


@dataclass(frozen=True)
class Section:
    """Blocks under one heading; `menu` is what the page's menu calls it where the heading is long."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""
    menu: str = ""


class Screen(anywidget.AnyWidget):
    """A page of blocks.

    Attributes
    ----------
    shell : dict
        Header, menu, pickers and the order of sections and blocks.
    answer : dict
        Number of the newest answer with its message: the browser knows by it that its question was answered.
    """

    _esm = _HERE / "page.js"
    _css = _HERE / "page.css"
    shell = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)

    def __init__(self, sections: Sequence[Section], **shell: Any) -> None:
        names = [block.id for section in sections for block in section.blocks]
        super().__init__()
        self.add_traits(**{_trait(name): traitlets.Dict().tag(sync=True) for name in names})
        self._blocks = {block.id: block for section in sections for block in section.blocks}
        self._later: dict[str, Callable[[], None]] = {}
        self._widgets: dict[str, ipywidgets.DOMWidget] = {}
        self._drawn: dict[str, tuple[Callable[[pd.DataFrame], charts.Shown], pd.DataFrame, dict[str, Any]]] = {}
        self._acts: dict[str, Act] = {"open": self._open, "reach": self._reach, "fit": self._fit}
        self._answers, self._page_width = 0, float(_WIDTH_UNKNOWN)
        self._message: dict[str, Any] = {}
        self.shell = {
            **shell,
            "sections": [{**asdict(section), "blocks": [asdict(block) for block in section.blocks]} for section in sections],
        }
        self.on_msg(lambda _, content, __: self.hear(content))

    # what Python does
    def on(self, **acts: Act) -> None:
        """Name what a person can do on the page."""
        self._acts |= acts

    def later(self, block: str, make: Callable[[], None]) -> None:
        """Fill a block when the page stands, or when a person comes near it where the block is late."""
        self._later[block] = make
        self._put(block, {"busy": "Loading …"})

    def fill(self, block: str, body: str, view: pd.DataFrame | None = None, source: str = "") -> None:
        """Show a piece of HTML; with its view, under the view's title and with its formula and source."""
        self._drawn.pop(block, None)
        self._put(block, {**_captions(view, source), "html": body})

    def table(self, block: str, view: pd.DataFrame, source: str = "", limit: int = 12, above: str = "") -> None:
        """Show a view as a table, with a piece of HTML `above` it."""
        plain = view.copy()
        plain.attrs = {**view.attrs, "title": "", "note": ""}
        self.fill(block, above + str(charts.table(plain, limit)), view, source)

    def chart(
        self,
        block: str,
        draw: Callable[[pd.DataFrame], charts.Shown],
        view: pd.DataFrame,
        source: str = "",
        at_least: int = 0,
        below: str = "",
        above: str = "",
        is_live: bool = False,
    ) -> None:
        """Draw a view as wide as its block is; a block narrower than `at_least` scrolls.

        A live chart is drawn once: as long as the scene (`charts.scene_of`) stays only the rows are sent, and the drawing in the page
        takes them in the place of its own.
        """
        shows = charts.scene_of(view) if is_live and len(view) else ""
        options = {"source": source, "at_least": at_least, "shows": shows, "below": below, "above": above}
        before = self._drawn.get(block)
        self._drawn[block] = (draw, view, options)
        if before is not None and shows and before[2]["shows"] == shows:
            captions = _captions(view, source)
            rows = {"rows": charts.rows_of(view), "label": self._label(block, captions), "shows": shows}
            self._put(block, {**captions, "below": below, **rows})
            return
        self._draw(block)

    def embed(self, block: str, widget: ipywidgets.DOMWidget) -> None:
        """Put another widget into a block."""
        self._widgets[block] = widget  # kept: the page shows it as long as it lives
        self._put(block, {"widget": widget.model_id})

    def tell(self, kind: Literal["error", "done", "told"], text: str) -> None:
        """Say something to the person, in the bar that screen readers read out."""
        self._message = {"kind": kind, "lines": text.splitlines()}

    def hear(self, content: Any) -> None:
        """Take a message of the page."""
        name, details = widgets.asked_in(content)
        self.act(name, **details)

    def act(self, name: str = "", /, **details: Any) -> None:
        """Do what the page asked for and answer; a fault that a person can mend is told, any other is logged and told as such."""
        self._message = {}
        begun = time.perf_counter()
        try:
            if name not in self._acts:
                raise SopError("the page asked for something it cannot have")
            self._acts[name](**details)
        except SopError as fault:
            self.tell("error", str(fault))
        except Exception:
            _LOG.exception("act %s of a page failed", name)
            self.tell("error", widgets.NOT_COMPUTED)
        self._answers += 1
        self.answer = {"number": self._answers, "act": name, "milliseconds": round(1000 * (time.perf_counter() - begun)), **self._message}

    # what the browser asks for by itself
    def _open(self, width: float = _WIDTH_UNKNOWN) -> None:
        """The page stands and knows its width: fill what it waits for, in reading order."""
        self._page_width = width
        for drawn in list(self._drawn):
            self._draw(drawn)
        for name, block in self._blocks.items():
            if not block.is_late:
                self.make(name)

    def _reach(self, block: str = "") -> None:
        self.make(block)

    def _fit(self, width: float = _WIDTH_UNKNOWN) -> None:
        """The window has another width."""
        self._page_width = width
        for block in list(self._drawn):
            self._draw(block)

    def make(self, name: str) -> None:
        """Fill a block that waits; nothing when it is filled already."""
        make = self._later.pop(name, None)
        if make is None:
            return
        try:
            make()
        except SopError as fault:
            self.fill(name, empty_state(str(fault)))
        except Exception:
            _LOG.exception("block %s of a page failed", name)
            self.fill(name, empty_state("This part could not be computed; who runs the workbench finds the reason in the log."))

    def _draw(self, name: str) -> None:
        draw, view, options = self._drawn[name]
        plain = view.copy()
        plain.attrs = {**view.attrs, "title": "", "note": ""}
        width = max(self._width_of(name), options["at_least"])
        with charts.at_width(width), charts.unchecked():
            shown = draw(plain)
            captions = {**_captions(view, options["source"]), "below": options["below"], "above": options["above"]}
            if isinstance(shown, charts.Html):
                self._put(name, {**captions, "html": options["above"] + str(shown)})
                return
            spec = shown.to_dict(validate=False)
        self._put(name, {**captions, "spec": spec, "label": self._label(name, captions), "shows": options["shows"]})

    def _label(self, name: str, captions: dict[str, str]) -> str:
        """What a chart shows, for those who cannot see it."""
        return " ".join(filter(None, (captions["title"], captions["note"]))) or self._blocks[name].title

    def _width_of(self, name: str) -> int:
        share = self._blocks[name].span / 12 if self._page_width >= 900 else 1
        return int(min(max(self._page_width * share - _GUTTER, _NARROWEST), _WIDEST))

    def _put(self, name: str, content: dict[str, Any]) -> None:
        if "spec" in content:
            widgets.drawing_library()
        setattr(self, _trait(name), content)


def _trait(block: str) -> str:
    return f"block_{block}"


def _captions(view: pd.DataFrame | None, source: str) -> dict[str, str]:
    texts = {name: "" if view is None else str(view.attrs.get(name, "")) for name in ("title", "note")}
    return {**{name: charts.in_currency(text) for name, text in texts.items()}, "source": source}


# ------------------------------------------------------------------ pieces of HTML
def text(value: Any) -> str:
    """A value as safe text."""
    return html.escape(charts.in_currency(str(value)))


def empty_state(words: str) -> str:
    """What stands where nothing can be shown: why, and what to do."""
    return f'<div class="sop-empty"><span aria-hidden="true">○</span><p>{text(words)}</p></div>'


def choice(act: str, label: str, choices: Sequence[tuple[str, str]], chosen: str) -> str:
    """A labelled picker that asks for an act with the value chosen."""
    options = "".join(
        f'<option value="{text(value)}"{" selected" if value == chosen else ""}>{text(words)}</option>' for value, words in choices
    )
    return (
        f'<div class="sop-row sop-choice"><div class="sop-field"><label for="sop-{act}">{text(label)}</label>'
        f'<select id="sop-{act}" data-act="{act}">{options}</select></div></div>'
    )


def one_of(unit: str) -> str:
    """A unit for one of it.

    Examples
    --------
    >>> one_of("hours"), one_of("base units"), one_of("kg")
    ('hour', 'base unit', 'kg')
    """
    return unit[:-1] if unit.endswith("s") and len(unit) > 2 else unit


def chip(words: str) -> str:
    """A status as icon and word on its colour."""
    return str(charts.chip(words))


_SPARK_WIDTH, _SPARK_HEIGHT = 92, 26


def sparkline(values: Sequence[float], words: str) -> str:
    """A small line of the newest values, the last one marked; nothing for fewer than two.

    Examples
    --------
    >>> sparkline([1.0], "") == "", "polyline" in sparkline([1.0, 2.0], "rising")
    (True, True)
    """
    known = [float(value) for value in values if pd.notna(value)]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    step = (_SPARK_WIDTH - 8) / (len(known) - 1)
    places = [(4 + n * step, _SPARK_HEIGHT - 4 - (value - low) / span * (_SPARK_HEIGHT - 8)) for n, value in enumerate(known)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    return (
        f'<svg class="sop-spark" viewBox="0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}" role="img" aria-label="{text(words)}">'
        f'<polyline points="{line}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="3"/></svg>'
    )


def cards(view: pd.DataFrame, source: str = "") -> str:
    """KPI cards: value, status in icon, word and colour, trend, target; formula and source behind the i."""
    if view.empty:
        return empty_state(view.attrs.get("empty", ""))
    return f'<ul class="sop-cards" data-count="{len(view)}">{"".join(_card(row, source) for row in view.to_dict("records"))}</ul>'


def _card(row: dict, source: str) -> str:
    foot = " · ".join(
        part for part in (f"target {row['target_text']}" if row.get("target_text", "–") != "–" else "", row.get("about", "")) if part
    )
    more = f'<span class="sop-delta">{text(row["delta_text"])}</span>' if row.get("delta_text") else ""
    status = chip(row["status_text"]) if row.get("status_text") else ""
    trend = sparkline(row.get("trend", ()), row.get("trend_text", ""))
    return (
        f'<li class="sop-card" data-kpi="{text(row["kpi"])}" data-status="{text(row.get("status", ""))}">'
        f'<div class="sop-card-head"><h3>{text(row["kpi_name"])}</h3>{about(row["kpi_name"], row.get("formula", ""), source)}</div>'
        f'<div class="sop-card-value"><strong>{_value(str(row["value_text"]))}</strong>{trend}</div>'
        f'<div class="sop-card-state">{status}{more}</div>'
        f'<p class="sop-card-foot">{text(foot)}</p></li>'
    )


def _value(written: str) -> str:
    """A value with its unit smaller behind it.

    Examples
    --------
    >>> _value("19.3 turns a year"), _value("16.4 %")
    ('19.3 <small>turns a year</small>', '16.4 <small>%</small>')
    """
    number, _, unit = written.partition(" ")
    return f"{text(number)} <small>{text(unit)}</small>" if unit else text(number)


def about(name: str, formula: str, source: str) -> str:
    """The formula and the source table of a number, opened by mouse or keyboard."""
    parts = [f"<p><b>{words}</b> {text(said)}</p>" for words, said in (("How:", formula), ("From:", source)) if said]
    if not parts:
        return ""
    return f'<details class="sop-about"><summary aria-label="How {text(name)} is computed">i</summary><div>{"".join(parts)}</div></details>'


def ranked_limits(view: pd.DataFrame, words: Callable[[dict], str], more: Callable[[dict], str] = lambda _: "") -> str:
    """Limits one below the other, each with what it is (HTML), the price of one more unit, and what more there is to say of that."""
    if view.empty:
        return empty_state(view.attrs["empty"])
    rows = "".join(
        f'<li><div>{words(row)}</div><div class="sop-worth">{text(views.short(row["price_amt"], views.MONEY))}'
        f"<small>one more {text(one_of(row['unit']))}{more(row)}</small></div></li>"
        for row in view.to_dict("records")
    )
    return f'<ol class="sop-ranked">{rows}</ol>'


def scenario_cards(measures: pd.DataFrame, names: Sequence[str], about_words: str) -> pd.DataFrame:
    """Measures of a what-if or scenario view as rows for `cards`: value, change against base, better or worse."""
    rows = (
        measures[measures["measure"].isin(names)]
        .set_index("measure")
        .reindex([n for n in names if n in set(measures["measure"])])
        .reset_index()
    )
    value = rows["now_text"] if "now_text" in rows else rows["value_text"]
    same = rows["verdict"] == "same"
    return rows.assign(
        kpi=rows["measure"],
        kpi_name=rows["measure"].map(views.heading),
        value_text=value,
        about=about_words,
        status_text=rows["verdict"].where(~same, ""),
        status=rows["verdict"],
        delta_text=("against base " + rows["delta_text"]).where(~same, "as in base"),
        target_text="–",
    )
