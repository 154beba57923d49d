"""The command line: `sop new`, `check`, `run`, `status`, `report`, `lock`, `approve`, `lab`."""

from __future__ import annotations

import click


@click.group()
def main() -> None:
    """Sales & Operations Planning: one monthly cycle, from the sources to the approved plan."""
