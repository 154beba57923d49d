"""What planners touch in JupyterLab and Voilà: charts that follow, grids that are edited, choices that are recorded.

Every widget is one small front-end file beside this module (anywidget), loads nothing from elsewhere, and holds no planning
maths: it shows views, asks the planning functions, and appends people's records to the cycle it was given. A notebook that
the chain runs has nobody in front of it: there the same call gives the static table or chart (`is_live`).
"""

from __future__ import annotations

import functools
import hashlib
import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import altair as alt
import anywidget
import ipywidgets
import traitlets
import vl_convert

from sop_workbench import charts

_HERE = Path(__file__).parent


# ------------------------------------------------------------------ shared: is somebody there, charts that can change
def is_live() -> bool:
    """Tell whether this kernel belongs to a person: a session of Jupyter's server, or a page of Voilà.

    The chain, papermill and nbconvert start kernels without either.
    """
    return bool(os.environ.get("JPY_SESSION_NAME")) or os.environ.get("SERVER_SOFTWARE", "").startswith("voila")


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
        _drawing_library()
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
        super().__init__(_esm=_library_text())


_PROVIDE = """
const shared = (globalThis.sopVega ??= {});
shared.ready ??= new Promise((resolve) => { shared.provide = resolve; });
export default { initialize() { shared.provide(vegaEmbed); } };
"""


@functools.cache
def _drawing_library() -> _DrawingLibrary:
    return _DrawingLibrary()


def _library_text() -> str:
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
