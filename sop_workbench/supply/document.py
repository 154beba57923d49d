"""The page that states the supply model (`docs/supply_model.md`), printed from the model's own docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from sop_workbench.supply.constraints import FAMILIES
from sop_workbench.supply.costs import COSTS, PENALTIES, revenue_amt

_SYMBOLS = (
    "Symbols: i item, p place (a plant or warehouse), k market, r resource or crew, s supplier, t period (0 is the first planned). "
    "Names are those of the variables and of the columns they come from; `lead` is the lead time in periods. "
    "Only what can exist is a variable: see `supply/instance.py`."
)


def model_markdown() -> str:
    """The whole model in words and equations.

    Examples
    --------
    >>> model_markdown().splitlines()[0]
    '# The supply model'
    """
    parts = ["# The supply model", "", "Written from `sop_workbench/supply/` by `make docs`; do not edit.", "",
             "Maximise profit less penalties. Profit is revenue less every cost; penalties are priced but nobody pays them, "
             "they order what is given up first.", "", _SYMBOLS, "", "## Constraints", ""]
    parts += [line for family in FAMILIES for line in _family_lines(family)]
    parts += ["## Revenue and costs", "", "Each is one named expression and one column of `financial_projection`.", ""]
    parts += _terms((revenue_amt, *COSTS))
    parts += ["", "## Penalties", "", *_terms(PENALTIES), ""]
    return "\n".join(parts)


def _family_lines(family: Callable[..., Any]) -> list[str]:
    """Sentence, equation and index of one family."""
    sentence, equation, index = inspect.getdoc(family).split("\n\n")  # type: ignore[union-attr]
    return [f"### {family.__name__}", "", sentence, "", "```", equation, "```", "", " ".join(index.split()), ""]


def _terms(terms: tuple[Callable[..., Any], ...]) -> list[str]:
    return [f"* `{term.__name__}`: {inspect.getdoc(term)}" for term in terms]
