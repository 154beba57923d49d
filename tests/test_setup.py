"""The repository keeps its own rules: set-up files agree, generated pages are in sync, lint passes, functions are short."""

from __future__ import annotations

import ast
import json
import re
import shutil
import statistics
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sop_workbench import tables

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "sop_workbench").rglob("*.py"))
NOTEBOOKS = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "dashboards").glob("*.ipynb")])
CONDA_NAMES = {"duckdb": "python-duckdb", "psycopg": "psycopg"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TOOLS = Path(sys.executable).parent


def declared(extra: str | None = None) -> list[Requirement]:
    lines = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


# ------------------------------------------------------------------ set-up files


def test_conda_users_get_the_same_packages_and_bounds() -> None:
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    start = lines.index("dependencies:") + 1
    listed = {Requirement(line.strip(" -")) for line in lines[start:] if line.startswith("  - ") and not line.startswith("  - pip")}
    found = {requirement.name: requirement.specifier for requirement in listed}
    wanted = {CONDA_NAMES.get(requirement.name, requirement.name): requirement.specifier for requirement in declared()}
    assert found == {"python": SpecifierSet(PROJECT["requires-python"]), **wanted}


def locked() -> dict[str, set[str]]:
    """Versions of each locked package (several where they differ by Python version)."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix("\\").strip())
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", line
            found.setdefault(requirement.name, set()).add(specifier.version)
    return found


@pytest.mark.parametrize("requirement", [*declared(), *declared("build"), *declared("test")], ids=str)
def test_every_requirement_is_locked_within_its_bounds(requirement: Requirement) -> None:
    name = re.sub(r"[-_.]+", "-", requirement.name).lower()
    assert locked()[name]
    assert all(version in requirement.specifier for version in locked()[name])


def test_the_lock_names_no_place_and_hashes_everything() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index|--extra-index|--find-links|--trusted-host)", text, re.MULTILINE)
    packages = re.findall(r"^[a-z0-9][^\n]*(?:\n[ ]+[^\n]*)*", text, re.MULTILINE)
    assert len(packages) >= len(locked())
    assert [p.splitlines()[0] for p in packages if "--hash=sha256:" not in p] == []


@pytest.mark.parametrize("target", ["run", "test", "lab", "dashboards", "bench", "lint", "docs"])
def test_make_knows_its_targets(target: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    result = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


# ------------------------------------------------------------------ generated pages and notebooks


def test_the_data_dictionary_is_in_sync() -> None:
    page = (ROOT / "docs" / "data_dictionary.md").read_text(encoding="utf-8")
    assert page == tables.dictionary_markdown(), "run `make docs`"


def test_every_page_that_is_linked_exists() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    missing = [f"{page.relative_to(ROOT)} → {target}" for page in pages
               for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
               if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_thin_and_stores_no_output(path: Path) -> None:
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell for cell in cells if cell["outputs"] or cell["execution_count"]] == []
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in cells) == 1
    tree = ast.parse("\n".join("".join(cell["source"]) for cell in cells))
    logic = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Lambda, ast.Try, ast.comprehension)
    assert [type(node).__name__ for node in ast.walk(tree) if isinstance(node, logic)] == []
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {(name or "").partition(".")[0] for name in imported} <= {"sop_workbench"}


# ------------------------------------------------------------------ the code


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["mypy"], ["lint-imports"]], ids=lambda command: command[0])
def test_lint_passes(command: list[str]) -> None:
    result = subprocess.run([str(TOOLS / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def code_lines(path: Path) -> set[int]:
    """Lines that hold code: no comment, no blank line."""
    idle = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}
    with path.open("rb") as file:
        return {line for token in tokenize.tokenize(file.readline) if token.type not in idle
                for line in range(token.start[0], token.end[0] + 1)}


def length(function: ast.FunctionDef, lines: set[int]) -> int:
    """Code lines of the body: without signature, docstring, comments and inner functions' docstrings."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return sum(line in lines for line in range(body[0].lineno, body[-1].end_lineno + 1)) if body else 0


def test_functions_are_short() -> None:
    lengths = {f"{path.relative_to(ROOT)}:{function.name}": length(function, lines)
               for path in SOURCES for lines in [code_lines(path)] for function in functions(path)}
    ordered = sorted(lengths.values())
    assert {name: size for name, size in lengths.items() if size > 60} == {}
    assert statistics.median(ordered) <= 10
    assert sum(size <= 30 for size in ordered) / len(ordered) >= 0.9


def public_parts(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "sop_workbench")))
def test_everything_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert [name for name, node in public_parts(tree) if not ast.get_docstring(node)] == []


def test_no_silent_zero_without_a_reason() -> None:
    """An absent figure is not zero: where `fillna(0)` stands, the function's docstring or a comment says why nothing is meant."""
    zero = re.compile(r"fillna\(0(\.0)?\)|fill_value=0(\.0)?\b")
    reason = re.compile(r"\b(no|not|nor|none|nothing|never|neither|without|zero|nobody)\b", re.IGNORECASE)
    bare = []
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        spans = [(f.lineno, f.end_lineno or f.lineno, ast.get_docstring(f) or "") for f in functions(path)]
        for number, line in enumerate(lines, 1):
            inside = [(start, end, text) for start, end, text in spans if start <= number <= end]
            said = [text + " ".join(part.partition("#")[2] for part in lines[start - 1:end]) for start, end, text in inside]
            if zero.search(line) and "#" not in line and not any(reason.search(words) for words in said):
                bare.append(f"{path.relative_to(ROOT)}:{number}")
    assert bare == []


def test_merges_say_what_they_expect() -> None:
    careless = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "merge":
                keywords = {keyword.arg for keyword in node.keywords}
                is_cross = any(k.arg == "how" and getattr(k.value, "value", "") == "cross" for k in node.keywords)
                if "validate" not in keywords and not is_cross:
                    careless.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert careless == []
