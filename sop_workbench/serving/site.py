"""What is served: the dashboards of a workspace, what a page may be asked for, and how the server is reached and protected."""

from __future__ import annotations

import ast
import copy
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl

import nbformat

from sop_workbench import __version__, roles
from sop_workbench.errors import SettingsError, SopError
from sop_workbench.settings import Settings, load_settings
from sop_workbench.store import open_workspace

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
_NAME = re.compile(r"[\w-]{1,80}")
_OWN_VALUE = re.compile(r"\w[\w .+&-]{0,79}")
_QUERY_LIMIT, _VALUE_LIMIT = 2000, 200
_OWN_ARGUMENTS = ("cycle", "scenario")


class RefusedQueryError(SopError):
    """A page was asked for with something that no page takes."""


@dataclass(frozen=True)
class Dashboard:
    """A notebook that is served as a page."""

    name: str
    path: Path
    title: str
    summary: str = ""


@dataclass(frozen=True)
class Site:
    """A workspace and its pages.

    A dashboard in the workspace's own `dashboards/` folder goes before the workbench's of the same name.
    """

    workspace: Path
    folders: tuple[Path, ...] = ()
    base_url: str = "/"
    page_limit: int = 60
    log_file: Path = field(default=Path("dashboards.log"))

    def settings(self) -> Settings:
        """The workspace's settings as they are now."""
        return load_settings(self.workspace)

    def dashboards(self) -> dict[str, Dashboard]:
        """Every dashboard by name; only what is here can be opened."""
        found: dict[str, Dashboard] = {}
        for folder in self.folders or (self.workspace / "dashboards", DASHBOARDS):
            for path in sorted(folder.glob("*.ipynb")):
                if _NAME.fullmatch(path.stem):
                    found.setdefault(path.stem, _described(path))
        return found

    def notebook(self, dashboard: Dashboard) -> nbformat.NotebookNode:
        """The dashboard's notebook, without anything that was stored in it as output."""
        found = copy.deepcopy(nbformat.read(dashboard.path, as_version=4))
        for cell in found.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        return found

    def modules(self) -> list[str]:
        """What the dashboards import, to be imported ahead."""
        names: set[str] = set()
        for dashboard in self.dashboards().values():
            for cell in self.notebook(dashboard).cells:
                if cell.cell_type == "code":
                    names |= imported(cell.source)
        return sorted(names)

    def cycles(self) -> list[str]:
        """Cycles that something was written to, newest first."""
        return open_workspace(self.workspace).store.cycles()[::-1]

    def role(self, name: str, groups: tuple[str, ...]) -> roles.Role:
        """What a viewer may do."""
        settings = self.settings()
        return roles.role_of(name, groups, settings.users, settings.groups)

    def health(self) -> dict[str, object]:
        """Whether the workspace and its store can be read; nothing that tells whose they are."""
        try:
            self.cycles()
        except (SopError, OSError):
            return {"ok": False, "version": __version__, "workspace": "unreadable"}
        return {"ok": True, "version": __version__, "workspace": "readable"}


def checked_query(query: str, cycles: list[str]) -> None:
    """Refuse a query string that no dashboard takes: paths, control signs, a cycle that is not there.

    Parameters
    ----------
    query : str
        As the browser sent it.
    cycles : list of str
        The cycles of the workspace.

    Raises
    ------
    RefusedQueryError
        Naming the argument.

    Examples
    --------
    >>> checked_query("cycle=2026-10&scenario=base&family=Grills%20%26%20smokers", ["2026-10"])
    >>> checked_query("cycle=..%2F..%2Fother", ["2026-10"])
    Traceback (most recent call last):
    ...
    sop_workbench.serving.site.RefusedQueryError: cycle cannot be '../../other'
    """
    if len(query) > _QUERY_LIMIT:
        raise RefusedQueryError("the address is too long")
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, value in pairs:
        is_strict = name in _OWN_ARGUMENTS
        if not _NAME.fullmatch(name) or len(value) > _VALUE_LIMIT or not value.isprintable() or re.search(r"\.\.|\\|%2e|%2f", value, re.I):
            raise RefusedQueryError(f"{name[:40]!a} cannot be {value[:60]!a}" if not is_strict else f"{name} cannot be {value[:60]!r}")
        if is_strict and value and not _OWN_VALUE.fullmatch(value):
            raise RefusedQueryError(f"{name} cannot be {value[:60]!r}")
    given = [name for name, _ in pairs]
    if double := [name for name in _OWN_ARGUMENTS if given.count(name) > 1]:
        raise RefusedQueryError(f"{double[0]} is given twice")
    cycle = dict(pairs).get("cycle")
    if cycle and cycle not in cycles:
        raise RefusedQueryError(f"there is no cycle {cycle}; there are {', '.join(cycles[:6]) or 'none yet'}")


def imported(source: str) -> set[str]:
    r"""Modules that a cell imports.

    Examples
    --------
    >>> sorted(imported("from sop_workbench import views\nimport altair as alt"))
    ['altair', 'sop_workbench', 'sop_workbench.views']
    """
    names: set[str] = set()
    try:
        lines = ast.walk(ast.parse(source))
    except SyntaxError:
        return names
    for line in lines:
        if isinstance(line, ast.Import):
            names |= {alias.name for alias in line.names}
        elif isinstance(line, ast.ImportFrom) and line.module:
            names |= {line.module, *(f"{line.module}.{alias.name}" for alias in line.names if _is_module(f"{line.module}.{alias.name}"))}
    return names


def _is_module(name: str) -> bool:
    """Whether a name imported from one of the workbench's packages is a module of it."""
    if not name.startswith("sop_workbench."):
        return False
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # a name of a module that is no package
        return False


def _described(path: Path) -> Dashboard:
    """Title and first sentence of a notebook: its metadata's title, else its first heading."""
    try:
        found = nbformat.read(path, as_version=4)
    except (ValueError, OSError, nbformat.reader.NotJSONError) as fault:
        raise SettingsError(f"{path} is not a notebook: {fault}") from fault
    text = "\n".join(cell.source for cell in found.cells if cell.cell_type == "markdown")
    heading = re.search(r"^# (.+)$", text, re.M)
    title = found.metadata.get("title") or (heading[1] if heading else path.stem.replace("_", " ").capitalize())
    after = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return Dashboard(path.stem, path, title, found.metadata.get("summary") or (after[0] if after else ""))
