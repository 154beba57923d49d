"""The notebooks stay thin: parameters, one review, views and charts; nothing computed, nothing stored."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from shown import display_cells

FOLDER = Path(__file__).parent.parent / "notebooks"
STEPS = [
    "00_data_gathering",
    "01_product_review",
    "02_demand_review",
    "03_supply_review",
    "04_financial_review",
    "05_pre_sop",
    "06_executive_sop",
    "07_execution_monitoring",
    "08_weekly_execution",
]
_NOT_THIN = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.If,
    ast.Try,
    ast.With,
)


def _read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def _code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_one_notebook_for_every_step() -> None:
    assert sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.ipynb")) == STEPS


@pytest.mark.parametrize("name", STEPS)
def test_notebook_declares_its_parameters_once(name: str) -> None:
    tagged = [cell for cell in _code(_read(name)) if "parameters" in cell.metadata.get("tags", ())]
    assert len(tagged) == 1
    body = ast.parse(tagged[0].source).body
    assert all(isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) for line in body)
    assert {line.targets[0].id for line in body} == {"workspace", "cycle_id"}


@pytest.mark.parametrize("name", STEPS)
def test_notebook_computes_nothing_itself(name: str) -> None:
    for cell in _code(_read(name)):
        tree = ast.parse(cell.source)
        assert not [node for node in ast.walk(tree) if isinstance(node, _NOT_THIN)], cell.source
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] == "sop_workbench" for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                assert node.module.split(".")[0] == "sop_workbench"


@pytest.mark.parametrize("name", STEPS)
def test_notebook_calls_its_one_review_and_shows_views(name: str) -> None:
    notebook = _read(name)
    sources = [cell.source for cell in _code(notebook)]
    assert sum(source.count("reviews.") for source in sources) == 1
    for cell in display_cells(notebook):
        shown = ast.parse(cell.source).body
        assert len(shown) == 1
        call = shown[0].value
        if ast.unparse(call.func).startswith("widgets."):  # a form for people; a table where nobody is there
            assert [ast.unparse(argument) for argument in call.args] == ["cycle"]
            continue
        assert ast.unparse(call.func).startswith("charts.")
        assert ast.unparse(call.args[0].func).startswith("views.")


@pytest.mark.parametrize("name", STEPS)
def test_notebook_stores_no_output_and_has_sane_metadata(name: str) -> None:
    notebook = _read(name)
    nbformat.validate(notebook)
    for cell in _code(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None
    assert set(notebook.metadata) == {"kernelspec", "language_info", "title"}
    assert notebook.metadata.kernelspec.name == "python3"
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {notebook.metadata.title}\n")
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
