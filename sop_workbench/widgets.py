"""What planners touch in JupyterLab and Voilà: charts that follow, grids that are edited, choices that are recorded.

Every widget is one small front-end file beside this module (anywidget), loads nothing from elsewhere, and holds no planning
maths: it shows views, asks the planning functions, and appends people's records to the cycle it was given. A notebook that
the chain runs has nobody in front of it: there the same call gives the static table or chart (`is_live`).
"""

from __future__ import annotations

import functools
import hashlib
import html
import logging
import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import altair as alt
import anywidget
import ipywidgets
import numpy as np
import pandas as pd
import traitlets
import vl_convert
from pydantic import ValidationError

from sop_workbench import charts, demand, override, tables, views
from sop_workbench.errors import DataError, SopError
from sop_workbench.scenario import Lever
from sop_workbench.settings import Settings
from sop_workbench.what_if import Outcome, WhatIf

_HERE = Path(__file__).parent
_LOG = logging.getLogger(__name__)


# ------------------------------------------------------------------ shared: is somebody there, charts that can change
def is_live() -> bool:
    """Tell whether this kernel belongs to a person: a session of Jupyter's server, or a page of Voilà.

    The chain, papermill and nbconvert start kernels without either.
    """
    return bool(os.environ.get("JPY_SESSION_NAME")) or os.environ.get("SERVER_SOFTWARE", "").startswith("voila")


class Cycle(Protocol):
    """What a widget needs of the store's cycle: it is handed one and knows no store."""

    @property
    def id(self) -> str:
        """Name of the cycle."""

    @property
    def settings(self) -> Settings:
        """Settings of the workspace."""

    @property
    def periods(self) -> pd.DatetimeIndex:
        """The planned periods."""

    @property
    def is_locked(self) -> bool:
        """Tell whether the cycle is closed for writing."""

    def read(self, table: str) -> pd.DataFrame:
        """A table as last written."""

    def records(self, table: str) -> pd.DataFrame:
        """People's records of the cycle, oldest first."""

    def append(self, record_table: str, rows: pd.DataFrame, *, by: str, why: str) -> pd.DataFrame:
        """Add people's records."""


class LiveChart(anywidget.AnyWidget):
    """A chart that can be drawn anew from Python and that gives back what is clicked; works with the network closed.

    The Vega library is sent once per kernel, each chart only its own specification.

    Parameters
    ----------
    chart : Chart
        As `charts` draws it.
    label : str
        What it shows, for those who cannot see it; the chart's title when left out.
    signals : sequence of str
        Names of selections whose value comes back in `picked`.

    Attributes
    ----------
    rows : dict
        Set it to `{dataset name: rows}` to change the data of named datasets in place.
    picked : dict
        The newest value of each signal.
    """

    _esm = _HERE / "widgets_chart.js"
    spec = traitlets.Dict().tag(sync=True)
    rows = traitlets.Dict().tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    signals = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picked = traitlets.Dict().tag(sync=True)

    def __init__(self, chart: alt.TopLevelMixin, label: str = "", signals: tuple[str, ...] = (), **options: Any) -> None:
        drawing_library()
        spec = chart.to_dict()
        super().__init__(spec=spec, label=label or charts.title_text(spec), signals=list(signals), **options)

    def show(self, chart: alt.TopLevelMixin) -> None:
        """Draw another chart in its place."""
        spec = chart.to_dict()
        self.label = charts.title_text(spec)
        self.spec = spec


def live(shown: charts.Shown) -> ipywidgets.DOMWidget:
    """What a function of `charts` gave, as a widget: a chart to change later, or its table or note."""
    return ipywidgets.HTML(str(shown)) if isinstance(shown, charts.Html) else LiveChart(shown)


class _DrawingLibrary(anywidget.AnyWidget):
    """The Vega library, as a widget that is never shown: it reaches the page when the kernel opens it."""

    _esm = traitlets.Unicode("").tag(sync=True)

    def __init__(self) -> None:
        super().__init__(_esm=library_text())


_PROVIDE = """
const shared = (globalThis.sopVega ??= {});
shared.ready ??= new Promise((resolve) => { shared.provide = resolve; });
export default { initialize() { shared.provide(vegaEmbed); } };
"""


@functools.cache
def drawing_library() -> _DrawingLibrary:
    """The Vega library, sent to the page once per kernel."""
    return _DrawingLibrary()


def library_text() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script; bundling takes two seconds, so it is kept in the user's cache."""
    key = hashlib.sha256(f"{version('vl-convert-python')} {charts.VEGA_LITE_VERSION} {_PROVIDE}".encode()).hexdigest()[:16]
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sop-workbench" / f"vega-{key}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        text = vl_convert.javascript_bundle(_PROVIDE, vl_version=charts.VEGA_LITE_VERSION)
    _keep(kept, text)
    return text


def _keep(path: Path, text: str) -> None:
    """Write a cache file whole or not at all; a folder that cannot be written costs only time."""
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()


NOT_COMPUTED = "This could not be computed. Reload the page; if it stays so, tell who runs the workbench (it is in the log)."


def asked_in(content: Any) -> tuple[str, dict[str, Any]]:
    """The act that a browser's message asks for and its details; no act where the message is none.

    Examples
    --------
    >>> asked_in({"name": "move", "start": ""}), asked_in(["move"]), asked_in({"name": {}})
    (('move', {'start': ''}), ('', {}), ('', {}))
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("name"), str):
        return "", {}
    return content["name"], {str(key): value for key, value in content.items() if key != "name"}


class _Form(anywidget.AnyWidget):
    """A page that sends what a person did and shows the `state` that Python answers with.

    Nothing is decided in the page: it sends acts, each a mapping with the act's name; an error that a planner can mend comes back as
    the state's message.
    """

    _css = _HERE / "widgets.css"
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, **acts: Callable[..., None]) -> None:
        super().__init__()
        self._acts = acts
        self._answers = 0
        self.message: dict[str, Any] = {}
        self.on_msg(lambda _, content, __: self.hear(content))

    def hear(self, content: Any) -> None:
        """Take a message of the page."""
        name, details = asked_in(content)
        self.act(name, **details)

    def act(self, name: str, /, **details: Any) -> None:
        """Do what the page asked for, and show what came of it; a fault no person can mend is logged and told as such."""
        self.message = {}
        try:
            if name not in self._acts:
                raise SopError("the page asked for something it cannot have")
            self._acts[name](**details)
        except SopError as fault:
            self._tell("error", str(fault))
        except Exception:
            _LOG.exception("act %s of a form failed", name)
            self._tell("error", NOT_COMPUTED)
        self.refresh()

    def refresh(self) -> None:
        """Send the page its state; the number tells it that an answer came even where nothing changed."""
        self._answers += 1
        self.state = {**self._shown(), "message": self.message, "answer": self._answers}

    def _tell(self, kind: Literal["error", "done", "told"], text: str) -> None:
        self.message = {"kind": kind, "lines": text.splitlines()}

    def _shown(self) -> dict[str, Any]:
        raise NotImplementedError


# ------------------------------------------------------------------ demand: the grid of adjustments
GRID_ROWS = 25
_EDITED_AT = "item × market"


def adjustment_grid(cycle: Cycle) -> AdjustmentGrid | charts.Html:
    """Edit the consensus in a grid and record the changes as adjustments; a static table where nobody is there.

    Parameters
    ----------
    cycle : Cycle
        A cycle whose demand review has run.
    """
    if is_live():
        return AdjustmentGrid(cycle)
    return charts.table(views.consensus_by_family(cycle.read("consensus_demand"), cycle.read("item")), limit=40)


class AdjustmentGrid(_Form):
    """The consensus as a grid to edit: by item and market, by item, by family and region, or by family.

    A cell takes a quantity (120), a change (+50, -50) or a percentage (+10 %). Changes are marked, added up by family in units and
    money, and can be undone; `check` shows them as old → new, `record` appends them to `demand_adjustment` with who, why and
    assumption. They count in the consensus when the demand review runs again; the grid shows them at once.
    """

    _esm = _HERE / "widgets_grid.js"

    def __init__(self, cycle: Cycle) -> None:
        super().__init__(look=self.look, change_level=self.change_level, enter=self.enter, add_row=self.add_row, undo=self.undo,
                         check=self.check, record=self.record, back=self.back)
        self._cycle, self._level, self._page = cycle, _EDITED_AT, 0
        self._chosen = {"family": "", "region": "", "search": ""}
        self._entries: dict[_Cell, str] = {}
        self._past: list[dict[_Cell, str]] = []
        self._checked: pd.DataFrame | None = None
        self._added = pd.DataFrame()
        self._signed = {"by": "", "why": "", "assumption": ""}
        self._item, self._market = cycle.read("item"), cycle.read("market")
        self._load()
        self.refresh()

    # what a person can do
    def look(self, page: int = 0, **chosen: str) -> None:
        """Show other rows: a family, a region, a part of a name, a page."""
        self._chosen |= {name: chosen[name] for name in self._chosen if name in chosen}
        self._page = page

    def change_level(self, level: str) -> None:
        """Edit at another level; changes not recorded yet would mean something else there."""
        if self._entries:
            raise SopError(f"{_counted(len(self._entries), 'change')} not recorded yet: record or undo before you edit at another level")
        self._level, self._page, self._past, self._checked = level, 0, [], None
        self._chosen |= {"region": "", "search": ""}
        self._place()

    def enter(self, cells: Sequence[tuple[Sequence[str], int, str]], beyond: int = 0) -> None:
        """Take what was typed or pasted: keys of the row, number of the period, text; empty text takes the cell's change back."""
        entries = dict(self._entries)
        for keys, number, text in cells:
            cell = (*keys, self._periods[number])
            old = self._old(cell)
            if not text.strip() or text.strip() == _written(old) or (_replaces_by(text, old)):
                entries.pop(cell, None)
            else:
                entries[cell] = text.strip()
        self._remember(entries)
        if beyond:
            self._tell("told", f"{_counted(beyond, 'pasted cell')} lay outside the grid shown and were left out")

    def add_row(self, keys: Sequence[str]) -> None:
        """Give a pair that the consensus does not hold a row of its own."""
        names = list(self._keys)
        wanted = pd.DataFrame([[key.strip() for key in keys]], columns=names).assign(row=1, header=self._periods[0], value=0.0)
        findings = override.cell_findings(wanted, names, self._item, self._market, self._cycle.periods)
        if findings:
            raise DataError(tables.issue_frame(findings))
        self._added = pd.concat([self._added, wanted[names]], ignore_index=True).drop_duplicates()
        self._place()
        self._chosen |= {"family": "", "region": "", "search": str(wanted[names[0]].iloc[0])}

    def undo(self) -> None:
        """Take back the newest entry that is not recorded yet."""
        if self._past:
            self._entries = self._past.pop()
            self._checked = None

    def check(self, by: str, why: str, assumption: str = "") -> None:
        """Show every change as old → new before it is recorded; refuses what cannot be recorded."""
        self._signed = {"by": by.strip(), "why": why.strip(), "assumption": assumption.strip()}
        self._checked = None
        if not self._entries:
            raise SopError("nothing was changed yet: type or paste into a cell first")
        for word, remedy in (("by", "say who changes it (Who)"), ("why", "say why it changes (Reason)")):
            if not self._signed[word]:
                raise SopError(f"{remedy}: an adjustment without it cannot be recorded")
        if self._cycle.is_locked:
            raise SopError(_locked_words(self._cycle))
        entries = pd.DataFrame([[*cell, text] for cell, text in self._entries.items()], columns=[*self._keys, "period", "text"])
        self._checked = override.read_edits(entries, self._cells, self._level, self._item, self._market, self._cycle.periods)

    def record(self) -> None:
        """Append the changes that were shown."""
        if self._checked is None:
            raise SopError("look at the changes before you record them")
        who, why, assumed = (self._signed[name] for name in ("by", "why", "assumption"))
        rows = override.records(self._checked, self._level, self._assume(assumed, who, why))
        self._cycle.append("demand_adjustment", rows, by=who, why=why)
        self._entries, self._past, self._checked = {}, [], None
        self._signed |= {"why": "", "assumption": ""}
        self._load()
        self._tell("done", f"{_counted(len(rows), 'adjustment')} recorded by {who}. The grid shows them; the plan "
                   "follows when the demand review runs again: sop run, or this notebook from the top.")

    def _assume(self, assumption: str, by: str, why: str) -> str:
        """Record the assumption that changes rest on; its number, or nothing where there is none."""
        if not assumption:
            return ""
        stored = self._cycle.append("assumption", pd.DataFrame([{"assumption": assumption, "owner": by}]), by=by, why=why)
        return str(stored["record_id"].iloc[0])

    def back(self) -> None:
        """Go on editing instead of recording."""
        self._checked = None

    # what is shown
    def _load(self) -> None:
        """The consensus with every adjustment recorded so far, whether or not the demand review has run since."""
        names = ("demand_stream", "stream_weight", "statistical_forecast", "launch_forecast", "price")
        read = {name: self._cycle.read(name) for name in names}
        inputs = {"item": self._item, "market": self._market, "price": read["price"]}
        adjustments, _ = demand.known_scope(self._cycle.records("demand_adjustment"), "demand_adjustment", inputs)
        self._consensus = demand.consensus(read["demand_stream"], read["stream_weight"], adjustments, read["statistical_forecast"],
                                           read["launch_forecast"], inputs, self._cycle.records("demand_lock"))
        self._periods = list(self._cycle.periods)
        self._place()

    def _place(self) -> None:
        """Cells of the level as a matrix, rows by periods."""
        self._keys = override.LEVELS[self._level]
        names = list(self._keys)
        self._cells = override.cells_at(self._consensus, self._item, self._market, self._level)
        wide = self._cells.pivot(index=names, columns="period", values=["demand_qty", "price_amt"])
        self._quantity = wide["demand_qty"].reindex(columns=self._periods)
        self._price = wide["price_amt"].reindex(columns=self._periods)
        if list(self._added.columns) != names:
            self._added = pd.DataFrame(columns=names)
        fresh = [key for key in _as_index(self._added, names) if key not in self._quantity.index]
        self._quantity, self._price = (frame.reindex([*frame.index, *fresh]) for frame in (self._quantity, self._price))
        keys = [key if isinstance(key, tuple) else (key,) for key in self._quantity.index]
        self._rows = self._described(pd.DataFrame(keys, columns=names))

    def _described(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Keys with the family and region they are filtered and added up by, and a name people know."""
        item, market = self._item.set_index("item_id"), self._market.set_index("market_id")
        if "item_id" in rows:
            family = rows["item_id"].map(item["family"]).fillna(override.NO_FAMILY)
            rows = rows.assign(family=family, name=rows["item_id"].map(item["item_name"]))
        if "market_id" in rows:
            rows = rows.assign(region=rows["market_id"].map(market["region"]))
        name = rows["name"].fillna("") if "name" in rows else ""
        return rows.assign(name=name, region=rows.get("region", ""))

    def _old(self, cell: _Cell) -> float:
        key = cell[:-1] if len(cell) > 2 else cell[0]
        return float(self._quantity.at[key, cell[-1]])

    def _remember(self, entries: dict[_Cell, str]) -> None:
        if entries != self._entries:
            self._past.append(self._entries)
            self._entries, self._checked = entries, None

    def _new(self) -> tuple[pd.DataFrame, dict[_Cell, str]]:
        """Quantities with the entries applied, and why some entries cannot be read."""
        new, faults = self._quantity.copy(), {}
        for cell, text in self._entries.items():
            key = cell[:-1] if len(cell) > 2 else cell[0]
            try:
                kind, value = override.read_entry(text)
                quantity = override.applied(kind, value, np.nan_to_num(self._old(cell)))
            except SopError as fault:
                faults[cell] = str(fault)
                continue
            if quantity < 0:
                faults[cell] = f"{quantity:,.0f} lies below zero"
            else:
                new.at[key, cell[-1]] = quantity
        return new, faults

    def _shown(self) -> dict[str, Any]:
        new, faults = self._new()
        kept = self._kept_rows()
        pages = max(-(-len(kept) // GRID_ROWS), 1)
        self._page = min(max(self._page, 0), pages - 1)
        seen = kept.iloc[self._page * GRID_ROWS : (self._page + 1) * GRID_ROWS]
        return {
            "currency": self._cycle.settings.currency,
            "locked": _locked_words(self._cycle) if self._cycle.is_locked else "",
            "levels": list(override.LEVELS), "level": self._level, "keys": [views.heading(key) for key in self._keys],
            "families": sorted(self._rows["family"].unique()), "regions": sorted(set(self._rows["region"]) - {""}), **self._chosen,
            "page": self._page, "pages": pages, "row_count": len(kept),
            "periods": views.period_labels(pd.Series(self._periods)).tolist(),
            "rows": [self._row(place, row, new, faults) for place, row in seen.iterrows()],
            "totals": self._totals(new, kept), "change_count": len(self._entries), "fault_count": len(faults),
            "can_undo": bool(self._past), "signed": self._signed, "diff": self._diff(),
        }  # fmt: skip

    def _kept_rows(self) -> pd.DataFrame:
        rows, chosen = self._rows, self._chosen
        for name in ("family", "region"):
            if chosen[name]:
                rows = rows[rows[name] == chosen[name]]
        words = rows[[*self._keys, "name"]].agg(" ".join, axis=1).str.lower()
        return rows[words.str.contains(chosen["search"].strip().lower(), regex=False)]

    def _row(self, place: Hashable, row: pd.Series, new: pd.DataFrame, faults: Mapping[_Cell, str]) -> dict[str, Any]:
        keys = [str(row[key]) for key in self._keys]
        at = self._rows.index.get_loc(place)
        old_row, new_row = self._quantity.iloc[at], new.iloc[at]
        cells = []
        for number, period in enumerate(self._periods):
            cell = (*keys, period)
            text = self._entries.get(cell)
            shown = text if cell in faults else _written(new_row.iloc[number])
            cells.append({"shown": shown, "was": _written(old_row.iloc[number]), "entry": text or "", "fault": faults.get(cell, "")})
        return {"keys": keys, "name": str(row["name"]), "cells": cells}

    def _totals(self, new: pd.DataFrame, kept: pd.DataFrame) -> list[dict[str, Any]]:
        """Units and money of the rows shown, by family and in total, before and after."""
        place = self._rows.index.get_indexer(kept.index)
        old, now, price = (frame.iloc[place] for frame in (self._quantity, new, self._price))
        # A row that was added has no price yet: the mean of its family's, so that its money shows.
        filled = price.T.fillna(price.mean(axis=1)).T
        filled = filled.fillna(filled.groupby(kept["family"].to_numpy()).transform("mean")).fillna(0.0)
        families = kept["family"].to_numpy()
        parts = [(family, families == family) for family in sorted(set(families))]
        if len(parts) > 1:
            parts.insert(0, ("All shown", np.ones(len(families), dtype=bool)))
        return [_total(name, *(frame.to_numpy()[rows] for frame in (old, now, filled))) for name, rows in parts]

    def _diff(self) -> list[dict[str, str]] | None:
        if self._checked is None:
            return None
        edits = self._checked
        labels = views.period_labels(edits["period"])
        return [
            {"what": " · ".join(str(row[key]) for key in self._keys), "period": label, "old": _written(row["old_qty"]),
             "new": _written(row["new_qty"]), "how": _how(row["kind"], row["value"])}
            for label, row in zip(labels, edits.to_dict("records"), strict=True)
        ]  # fmt: skip


# ------------------------------------------------------------------ demand: corrections of history accepted or rejected
_PICKER_ROWS = 12
_CORRECTIONS_LISTED = 60


def correction_picker(cycle: Cycle) -> ipywidgets.VBox | charts.Html:
    """Proposed corrections of history with evidence and a before/after chart, to accept or reject; a table where nobody is there.

    Parameters
    ----------
    cycle : Cycle
        A cycle whose data were gathered.
    """
    if is_live():
        picker = CorrectionPicker(cycle)
        return ipywidgets.VBox([picker, picker.chart])
    decided = demand.decide_corrections(cycle.read("history_correction"), cycle.records("history_decision"))
    return charts.table(views.corrections_by_item(decided, cycle.read("item")), limit=_CORRECTIONS_LISTED)


class CorrectionPicker(_Form):
    """Proposed corrections, largest change first: look at one in the chart, tick some, accept or reject them with a reason.

    The newest decision of a cell counts, so that a decision can be taken back by the opposite one.
    """

    _esm = _HERE / "widgets_picker.js"

    def __init__(self, cycle: Cycle) -> None:
        super().__init__(look=self.look, see=self.see, tick=self.tick, decide=self.decide)
        self._cycle, self._page, self._ticked = cycle, 0, set[int]()
        self._chosen = {"kind": "", "status": "proposed"}
        self._item, self._history = cycle.read("item"), cycle.read("sales_history")
        self._names = self._item.set_index("item_id")["item_name"]
        self._proposed = _by_size(cycle.read("history_correction"))
        self._load()
        self._seen = next(iter(self._kept().index), -1)
        self.chart = LiveChart(alt.Chart(pd.DataFrame({"period": []})).mark_point(), "no correction chosen")
        self._draw()
        self.refresh()

    def look(self, page: int = 0, **chosen: str) -> None:
        """Show other proposals: a kind, a status, a page."""
        self._chosen |= {name: chosen[name] for name in self._chosen if name in chosen}
        self._page = page

    def see(self, number: int) -> None:
        """Show one proposal in the chart."""
        self._seen = number
        self._draw()

    def tick(self, numbers: Sequence[int], is_on: bool) -> None:
        """Tick or untick proposals."""
        self._ticked = self._ticked | set(numbers) if is_on else self._ticked - set(numbers)

    def decide(self, decision: Literal["accepted", "rejected"], by: str, why: str) -> None:
        """Record the decision on the ticked proposals."""
        for given, remedy in ((by, "say who decides (Who)"), (why, "say why (Reason)")):
            if not given.strip():
                raise SopError(f"{remedy}: a decision without it cannot be recorded")
        if self._cycle.is_locked:
            raise SopError(_locked_words(self._cycle))
        rows = self._proposed.loc[sorted(self._ticked), demand.CELL].assign(decision=decision)
        self._cycle.append("history_decision", rows, by=by.strip(), why=why.strip())
        self._ticked = set()
        self._load()
        self._draw()
        self._tell("done", f"{_counted(len(rows), 'correction')} {decision} by {by.strip()}. The history follows at the next sop run.")

    def _load(self) -> None:
        decided = demand.decide_corrections(self._proposed, self._cycle.records("history_decision"))
        self._proposed = decided.set_index(self._proposed.index)

    def _kept(self) -> pd.DataFrame:
        rows = self._proposed
        for name, value in self._chosen.items():
            rows = rows[rows[name] == value] if value else rows
        return rows

    def _draw(self) -> None:
        if self._seen in self._proposed.index:
            shown = charts.correction_case(views.correction_case(self._history, self._proposed, self._item, self._seen))
            if not isinstance(shown, charts.Html):
                self.chart.show(shown)

    def _shown(self) -> dict[str, Any]:
        kept = self._kept()
        pages = max(-(-len(kept) // _PICKER_ROWS), 1)
        self._page = min(max(self._page, 0), pages - 1)
        seen = kept.iloc[self._page * _PICKER_ROWS : (self._page + 1) * _PICKER_ROWS]
        labels = views.period_labels(seen["period"])
        return {
            "locked": _locked_words(self._cycle) if self._cycle.is_locked else "",
            "kinds": sorted(self._proposed["kind"].unique()), **self._chosen,
            "page": self._page, "pages": pages, "row_count": len(kept), "ticked": len(self._ticked),
            "rows": [self._row(int(number), row, label) for (number, row), label in zip(seen.iterrows(), labels, strict=True)],
        }  # fmt: skip

    def _row(self, number: int, row: pd.Series, label: str) -> dict[str, Any]:
        return {
            "number": number, "item": row["item_id"], "name": str(self._names.get(row["item_id"], "")), "market": row["market_id"],
            "period": label, "kind": row["kind"], "booked": _written(row["raw_qty"]), "suggested": _written(row["suggested_qty"]),
            "status": row["status"], "evidence": row["evidence"], "is_ticked": number in self._ticked, "is_seen": number == self._seen,
        }  # fmt: skip


def _by_size(history_correction: pd.DataFrame) -> pd.DataFrame:
    size = (history_correction["suggested_qty"] - history_correction["raw_qty"]).abs()
    ordered = history_correction.assign(size=size).sort_values(["size", *demand.CELL], ascending=[False, True, True, True])
    return ordered.drop(columns="size").reset_index(drop=True)


# ------------------------------------------------------------------ words of the grids
_Cell = tuple[Any, ...]  # the keys of a row and a period


def _how(kind: str, value: float) -> str:
    """How an adjustment is meant, as it will be recorded."""
    return {"replace": "set to", "add": f"{value:+,.6g}", "multiply": f"{(value - 1) * 100:+,.6g} %"}[kind]


def _as_index(frame: pd.DataFrame, names: list[str]) -> list[Any]:
    return [row[0] if len(names) == 1 else tuple(row) for row in frame[names].itertuples(index=False)]


def _replaces_by(text: str, old: float) -> bool:
    """Whether a text only says again what the cell holds."""
    try:
        kind, value = override.read_entry(text)
    except SopError:
        return False
    return kind == "replace" and abs(value - old) <= 1e-6 * max(abs(old), 1.0)


def _total(name: str, old: np.ndarray, new: np.ndarray, price: np.ndarray) -> dict[str, Any]:
    """Units by period and money of some rows, with the changes as text; a cell that does not exist holds nothing."""
    before, after = np.nan_to_num(old), np.nan_to_num(new)
    units, change = after.sum(axis=0), (after - before).sum(axis=0)
    money, gained = (after * price).sum(), ((after - before) * price).sum()
    return {
        "name": name,
        "cells": [{"value": _written(value), "change": _change(moved)} for value, moved in zip(units, change, strict=True)],
        "units": {"value": views.short(units.sum()), "change": _change(change.sum())},
        "money": {"value": views.short(money), "change": _change(gained)},
    }


def _change(moved: float) -> str:
    return "" if abs(moved) < 1e-6 else views.signed(views.short(moved))


def _written(quantity: float) -> str:
    """A quantity as the grid shows it; nothing where there is no cell."""
    if pd.isna(quantity):
        return ""
    return f"{quantity:,.0f}" if abs(quantity) >= 99.5 else f"{quantity:,.1f}".removesuffix(".0")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _locked_words(cycle: Cycle) -> str:
    return f"cycle {cycle.id} is locked and never changes: plan in the next cycle, or unlock it with a reason"


# ------------------------------------------------------------------ what if: levers pulled, the plan follows
@dataclass(frozen=True)
class ReadyLever:
    """A slider in per cent on one column; `picks` are the columns that choose its rows, with the words beside them."""

    name: str
    words: str
    table: str
    column: str
    picks: tuple[tuple[str, str], ...]
    has_periods: bool

    def lever(self, percent: float, chosen: Mapping[str, str], start: str | None, end: str | None) -> Lever:
        """The lever of a slider's position."""
        where = {column: chosen[column] for column, _ in self.picks if chosen.get(column)}
        periods = {"from_period": start or None, "to_period": end or None} if self.has_periods else {}
        value = round(1 + percent / 100, 6)
        return Lever(table=self.table, column=self.column, operation="multiply", value=value, where=where, **periods)


READY_LEVERS = (
    ReadyLever("demand", "Demand", "consensus_demand", "demand_qty", (("family", "Family"), ("region", "Region")), True),
    ReadyLever("hours", "Regular hours", "capacity", "regular_hours", (("resource_id", "Resource"),), True),
    ReadyLever("price", "Price", "price", "price_amt", (("family", "Family"), ("region", "Region")), True),
    ReadyLever("cost", "Purchase cost", "supplier_item", "unit_cost_amt", (("supplier_id", "Supplier"), ("item_id", "Item")), False),
    ReadyLever("supply", "Supplier limit", "supplier_item", "max_qty", (("supplier_id", "Supplier"), ("item_id", "Item")), False),
    ReadyLever("stock", "Safety stock", "inventory_target", "safety_stock_qty", (("family", "Family"), ("location_id", "Location")), True),
)
_LEVER_TABLES = ("consensus_demand", "capacity", "price", "supplier_item", "production", "lane", "inventory_target", "routing", "resource",
                 "workforce", "bill_of_material", "stock_on_hand", "open_supply", "location", "market", "stock_limit")
_MOST_CHOICES = 400


def what_if_screen(what_if: WhatIf, scenarios: Path | str) -> ipywidgets.Widget | charts.Html:
    """Pull levers and watch plan, figures and bottleneck prices follow; a static picture of the plan where nobody is there.

    Parameters
    ----------
    what_if : WhatIf
        The loaded plan.
    scenarios : Path or str
        Folder in which a kept scenario becomes a file.
    """
    if is_live():
        return WhatIfScreen(what_if, scenarios)
    return what_if_picture(what_if.now, what_if.tables)


def what_if_picture(outcome: Outcome, tables: Mapping[str, pd.DataFrame]) -> charts.Html:
    """One outcome as a page without a kernel: tables, and charts as drawings."""
    parts = [charts.what_if_measures(views.what_if_measures(outcome.measures)), charts.what_if_volume(views.what_if_volume(outcome.volume)),
             charts.what_if_load(views.what_if_load(outcome.hours, tables["resource"])),
             charts.table(views.what_if_limits(outcome.limits), limit=8)]
    drawn = [part if isinstance(part, charts.Html) else f"<figure>{charts.svg(part.to_dict())}</figure>" for part in parts]
    return charts.Html("".join(drawn))


class WhatIfScreen(ipywidgets.HBox):
    """Levers on the left; on the right the plan with them beside the plan without.

    Attributes
    ----------
    levers : LeverForm
        What a person touches.
    measures, limits, timing : HTML
        Figures, bottleneck prices, and what the answer took.
    volume, load : VBox
        Charts, base and what-if in one picture.
    """

    def __init__(self, what_if: WhatIf, scenarios: Path | str) -> None:
        self._what_if = what_if
        self.measures, self.limits, self.timing = (ipywidgets.HTML() for _ in range(3))
        self.volume, self.load = _FollowingChart(charts.what_if_volume), _FollowingChart(charts.what_if_load)
        self.levers = LeverForm(what_if, Path(scenarios), self._show)
        wide = ipywidgets.Layout(flex="1 1 auto", min_width="0", padding="0 0 0 14px")
        right = ipywidgets.VBox([self.measures, self.limits, self.volume, self.load, self.timing], layout=wide)
        super().__init__([self.levers, right], layout=ipywidgets.Layout(align_items="flex-start", width="100%"))
        self._show(what_if.now, self.levers.looked)

    def _show(self, outcome: Outcome, looked: Mapping[str, str]) -> None:
        """Draw what changed."""
        begun = time.perf_counter()
        load = views.what_if_load(outcome.hours, self._what_if.tables["resource"])
        self.measures.value = str(charts.what_if_measures(views.what_if_measures(outcome.measures)))
        self.limits.value = str(charts.table(views.what_if_limits(outcome.limits), limit=6))
        self.volume.follow(views.what_if_volume(outcome.volume, looked["measure"], looked["family"] or None))
        self.load.follow(load)
        self.timing.value = _timing_words(outcome, time.perf_counter() - begun)


def frontier_screen(what_if: WhatIf) -> ipywidgets.Widget | charts.Html:
    """What service costs and what stock buys with the levers pulled, made when a person asks; a static picture where nobody is there.

    Parameters
    ----------
    what_if : WhatIf
        The loaded plan.
    """
    if is_live():
        return FrontierScreen(what_if)
    shown = charts.service_frontier(views.service_frontier(what_if.frontiers()))
    return shown if isinstance(shown, charts.Html) else charts.Html(f"<figure>{charts.svg(shown.to_dict())}</figure>")


class FrontierScreen(ipywidgets.VBox):
    """A button and what it brings: the frontiers of the plan, and beside them those with the levers as they stand.

    Attributes
    ----------
    ask : Button
        Makes them; some seconds.
    """

    def __init__(self, what_if: WhatIf) -> None:
        self._what_if = what_if
        self._base: pd.DataFrame | None = None
        self.ask = ipywidgets.Button(description="What service costs with these levers", layout=ipywidgets.Layout(width="auto"))
        self.ask.on_click(lambda _: self.show())
        super().__init__([self.ask])

    def show(self) -> None:
        """Make and draw them."""
        self.children = (self.ask, ipywidgets.HTML("<p>Making some fifteen plans …</p>"))
        try:
            made = self._what_if.frontiers()
            if self._base is None:
                self._base = made if not self._what_if.now.levers else self._what_if.frontiers(())
            view = views.service_frontier(self._base, made if self._what_if.now.levers else None)
            self.children = (self.ask, live(charts.service_frontier(view)))
        except SopError as fault:
            self.children = (self.ask, ipywidgets.HTML(f"<p>{html.escape(str(fault))}</p>"))


class _FollowingChart(ipywidgets.VBox):
    """A chart whose rows are exchanged in place as long as its scene stays; its title stands above it."""

    def __init__(self, draw: Callable[[pd.DataFrame], charts.Shown]) -> None:
        super().__init__()
        self._scene = ""
        self._chart: ipywidgets.DOMWidget | None = None
        self._draw, self._title = draw, ipywidgets.HTML()

    def follow(self, view: pd.DataFrame) -> None:
        """Show a view."""
        scene = charts.scene_of(view)
        title = str(view.attrs.get("title", "")).replace(views.MONEY, charts.currency())
        self._title.value = f'<div style="font-size:15px;font-weight:600">{html.escape(title)}</div>'
        chart = self._chart
        if isinstance(chart, LiveChart) and self._scene == scene and len(view):
            (name,) = chart.spec["datasets"]
            chart.label = title
            chart.rows = {name: charts.rows_of(view)}
            return
        plain = view.copy()
        plain.attrs["title"] = ""
        shown = self._draw(plain)
        self._chart = ipywidgets.HTML(str(shown)) if isinstance(shown, charts.Html) else LiveChart(shown, label=title)
        self.children = (self._title, self._chart)
        self._scene = scene


class LeverForm(_Form):
    """Sliders, pickers, the list of levers held, undo, reset, and the form that keeps a scenario.

    Every change is one pull; a pull that has no plan says so, keeps the figures of the last good one and can be taken back.
    """

    _esm = _HERE / "widgets_what_if.js"

    def __init__(self, what_if: WhatIf, scenarios: Path, show: Callable[[Outcome, Mapping[str, str]], None],
                 may_keep: Callable[[], None] = lambda: None) -> None:
        acts = ("move", "hold", "add", "release", "undo", "reset", "keep", "look", "open_table")
        super().__init__(**{name: getattr(self, name) for name in acts})
        self._what_if, self._scenarios, self._show_outcome, self._may_keep = what_if, scenarios, show, may_keep
        self.looked = {"measure": "served_qty", "family": ""}
        self._table = _LEVER_TABLES[0]
        self._nothing = _Pulled({ready.name: {"percent": 0.0} for ready in READY_LEVERS}, "", "", ())
        self._wanted = self._good = self._nothing
        self._past: list[_Pulled] = []
        self.refresh()

    # what a person can do
    def move(self, ready: Mapping[str, Mapping[str, Any]], start: str = "", end: str = "") -> None:
        """Sliders, pickers or periods stand elsewhere."""
        self._pull(replace(self._wanted, ready={name: dict(place) for name, place in ready.items()}, start=start, end=end))

    def hold(self, ready: str) -> None:
        """Keep a slider's lever in the list and set the slider back, so that it can be pulled for something else too."""
        held = [lever for name, lever in self._wanted.sliders if name == ready]
        if not held:
            raise SopError("move the slider first: there is no change to hold")
        place = {**self._wanted.ready[ready], "percent": 0.0}
        self._pull(replace(self._wanted, ready={**self._wanted.ready, ready: place}, held=(*self._wanted.held, *held)))

    def add(self, **lever: Any) -> None:
        """Hold any lever on any table."""
        self._pull(replace(self._wanted, held=(*self._wanted.held, _typed_lever(lever))))

    def release(self, number: int) -> None:
        """Let one held lever go."""
        self._pull(replace(self._wanted, held=tuple(lever for n, lever in enumerate(self._wanted.held) if n != number)))

    def undo(self) -> None:
        """Take back the last pull, or the one that had no plan."""
        if self._wanted != self._good:
            self._wanted = self._good
            return
        if self._past:
            outcome = self._what_if.undo()
            self._wanted = self._good = self._past.pop()
            self._show_outcome(outcome, self.looked)

    def reset(self) -> None:
        """Let every lever go."""
        self._pull(self._nothing)

    def keep(self, scenario: str, title: str = "", reason: str = "") -> None:
        """Write the levers as a scenario file, if the person at work may."""
        self._may_keep()
        if self._wanted != self._good:
            raise SopError("these levers have no plan: undo, or let one go, before you keep a scenario")
        path = self._what_if.keep(self._scenarios, scenario.strip(), title, reason)
        self._tell("done", f"Kept as {path.parent.name}/{path.name}. The next pre-S&OP review compares it with the others.")

    def look(self, **looked: str) -> None:
        """Show another quantity or family in the chart."""
        self.looked |= looked
        self._show_outcome(self._what_if.now, self.looked)

    def open_table(self, table: str) -> None:
        """Offer the columns and filters of a table."""
        self._table = table

    def _pull(self, wanted: _Pulled) -> None:
        self._wanted = wanted
        before = self._what_if.now.levers
        outcome = self._what_if.pull(wanted.levers)
        if wanted.levers != before:
            self._past.append(self._good)
        self._good = wanted
        self._show_outcome(outcome, self.looked)

    # what is shown
    def _shown(self) -> dict[str, Any]:
        return {
            "options": self._options, "ready": self._wanted.ready, "start": self._wanted.start, "end": self._wanted.end,
            "held": [lever.words for lever in self._wanted.held], "can_undo": bool(self._past) or self._wanted != self._good,
            "can_reset": bool(self._wanted.levers), "notes": list(self._what_if.now.notes[:4]),
            "table": _table_choices(self._what_if, self._table),
            "looked": self.looked,
        }  # fmt: skip

    @functools.cached_property
    def _options(self) -> dict[str, Any]:
        """What never changes: sliders with their choices, periods, tables, families."""
        periods = [[f"{period:%Y-%m-%d}", label] for period, label in
                   zip(self._what_if.periods, views.period_labels(pd.Series(self._what_if.periods)), strict=True)]
        ready = [
            {"name": lever.name, "words": lever.words,
             "picks": [[column, words, _choices(self._what_if, lever.table, column)] for column, words in lever.picks]}
            for lever in READY_LEVERS if len(self._what_if.tables[lever.table])
        ]  # fmt: skip
        return {"ready": ready, "periods": periods, "tables": [name for name in _LEVER_TABLES if len(self._what_if.tables[name])],
                "measures": list(views.WHAT_IF_VOLUMES.items()), "families": sorted(self._what_if.base.volume["family"].unique())}


@dataclass(frozen=True)
class _Pulled:
    """Where sliders and pickers stand, and what is held."""

    ready: Mapping[str, Mapping[str, Any]]
    start: str
    end: str
    held: tuple[Lever, ...]

    @property
    def sliders(self) -> list[tuple[str, Lever]]:
        """The lever of every slider that is not at zero."""
        places = ((ready, self.ready.get(ready.name, {})) for ready in READY_LEVERS)
        return [(ready.name, ready.lever(float(place["percent"]), place, self.start, self.end)) for ready, place in places
                if float(place.get("percent", 0))]

    @property
    def levers(self) -> tuple[Lever, ...]:
        """All of them, held ones first."""
        return (*self.held, *(lever for _, lever in self.sliders))


def _timing_words(outcome: Outcome, drawing: float) -> str:
    spent = {**outcome.seconds, "drawing": drawing}
    parts = " · ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in spent.items())
    ways = {"unchanged": "nothing to move", "direct": "numbers moved in the loaded plan",
            "restated": "stated anew, solved from where it stood", "rebuilt": "built and solved anew"}
    return f'<small class="sop-timing">Answered in {1000 * sum(spent.values()):.0f} ms ({ways[outcome.way]}): {parts}</small>'


def _choices(what_if: WhatIf, table: str, column: str) -> list[list[str]]:
    """Values a filter can take, with the names people know."""
    frame = what_if.tables[table]
    masters = {"family": ("item_id", "item"), "region": ("market_id", "market")}
    if column in masters:
        key, master = masters[column]
        values = frame[key].map(what_if.tables[master].set_index(key)[column])
    else:
        values = frame[column]
    named = {"resource_id": ("resource", "resource_name"), "item_id": ("item", "item_name"), "location_id": ("location", "location_name")}
    names: dict[str, str] = {}
    if column in named:
        master, name = named[column]
        if name in what_if.tables[master]:
            names = what_if.tables[master].dropna(subset=[name]).set_index(column)[name].to_dict()
    found = sorted({str(value) for value in values.dropna() if str(value)})[:_MOST_CHOICES]
    return [[value, f"{value} · {names[value]}" if names.get(value, value) != value else value] for value in found]


def _table_choices(what_if: WhatIf, name: str) -> dict[str, Any]:
    """Columns of a table that a lever can change, and the columns that can pick its rows."""
    declared = tables.table(name)
    frame = what_if.tables[name]
    columns = [column.name for column in declared.columns.values() if column.type in ("number", "integer") or column.name in ("due_date",)]
    picks = [column for column in declared.columns if declared.columns[column].type == "text" and column in frame]
    picks += [column for key, column in (("item_id", "family"), ("market_id", "region")) if key in frame and column not in picks]
    return {"name": name, "columns": columns, "picks": [[column, views.heading(column), [v for v, _ in _choices(what_if, name, column)]]
                                                        for column in picks if frame.get(column, pd.Series([""])).notna().any()],
            "has_periods": any(column in declared.columns for column in ("period", "valid_from", "due_date"))}


def _typed_lever(fields: Mapping[str, Any]) -> Lever:
    """A lever from what was typed; faults in planners' words."""
    text = str(fields.get("value") or "").strip()
    try:
        value: float | str | None = float(text.replace(",", "."))
    except ValueError:
        value = text or None
    where = {column: wanted.split("|") if "|" in wanted else wanted for column, wanted in fields.get("where", {}).items() if wanted}
    content = {"table": fields.get("table"), "column": fields.get("column") or "", "operation": fields.get("operation"), "where": where,
               "from_period": fields.get("start") or None, "to_period": fields.get("end") or None}
    if content["operation"] == "remove":
        content["column"] = ""
    else:
        content["value"] = value
    try:
        return Lever.model_validate(content)
    except ValidationError as faults:
        raise SopError("; ".join(str(fault["msg"]).removeprefix("Value error, ") for fault in faults.errors())) from None
