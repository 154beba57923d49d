"""The plan of the what-if, loaded once before kernels are forked: all pages of the newest cycle share its memory, no slider waits for it.

The forking process (`serving.zygote`) holds it; a page's kernel finds it as it was at the fork and pulls on what becomes its own copy.
What is held says what it was made of (`stand_of`); where the store says otherwise by now, or another cycle is looked at, the page
loads its plan itself, as it does where nothing is held.
"""

from __future__ import annotations

import hashlib
import json

from sop_workbench import reviews, tables
from sop_workbench.store import Cycle
from sop_workbench.what_if import WhatIf
from sop_workbench.widgets import READY_LEVERS

_held: dict[str, WhatIf] = {}  # one at most


def stand_of(cycle: Cycle) -> str:
    """What the plan of a cycle is made of now: its name, the version of every table that the plan reads, and the settings.

    Any write to one of these tables changes it, and so do another store in the same place, a lock, and an unlock.
    """
    names = [*tables.names("input"), "consensus_demand", "inventory_target"]
    opened = {name: cycle.store.open_delta(name) for name in names}
    read = {name: [delta.metadata().id, delta.version()] for name, delta in opened.items() if delta is not None}
    told = [cycle.store.url, cycle.id, cycle.is_locked, read, cycle.settings.model_dump_json()]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def hold(stand: str, situation: reviews.Situation) -> None:
    """Load a plan for the pages to come, with what every slider asks of it first; the plan held before goes."""
    _held.clear()
    what_if = WhatIf(*situation)
    for ready in READY_LEVERS:
        what_if.plan.effects(ready.table, ready.column)
    what_if.plan.effects("consensus_demand", "price_amt")  # where a price list is pulled
    _held[stand] = what_if


def let_go() -> None:
    """Hold nothing any more."""
    _held.clear()


def session(cycle: Cycle) -> WhatIf:
    """The plan of a cycle to pull levers on: the one held, if it is made of what the store holds now, else one loaded here.

    It is given once: what a page pulled must not be found by another.
    """
    held = _held.pop(stand_of(cycle), None) if _held else None
    return reviews.what_if_session(cycle) if held is None else held
