"""Files of the binder that appear whole or not at all, and the line that says what a pack is about."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sop_workbench.store import Cycle


def facts_of(cycle: Cycle) -> dict[str, str]:
    """What every part of the pack says about itself: company, cycle, state, day of the facts and currency."""
    return {
        "Company": cycle.settings.company,
        "Cycle": cycle.id,
        "State": "approved" if cycle.is_locked else "draft",
        "Facts known on": f"{cycle.as_of:%d %B %Y}",
        "Currency": cycle.settings.currency,
    }


def facts_line(facts: dict[str, str]) -> str:
    """The same as one line.

    Examples
    --------
    >>> facts_line({"Cycle": "2026-10", "State": "draft", "Facts known on": "30 September 2026", "Currency": "EUR"})
    'Cycle 2026-10 · draft · facts known on 30 September 2026 · money in EUR'
    """
    return f"Cycle {facts['Cycle']} · {facts['State']} · facts known on {facts['Facts known on']} · money in {facts['Currency']}"


def write_whole(target: Path, write: Callable[[Path], object]) -> Path:
    """Write a file beside its place and move it there; nothing stays behind when that fails."""
    partial = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        write(partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target
