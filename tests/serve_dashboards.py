"""Starts the dashboards' server for tests: `serve_dashboards.py WORKSPACE PORT [key=value …]`, with little patience for closed tabs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sop_workbench.serving import server


def main() -> None:
    """Serve."""
    workspace, port, *given = sys.argv[1:]
    options = dict(one.split("=", 1) for one in given)
    options["patience"] = float(options.get("patience", "2"))
    if "fork" in options:
        options["fork"] = options["fork"] == "yes"
    if "users" in options:
        options["users"] = Path(options["users"])
    server.serve(server.Serving(Path(workspace), port=int(port), **options), click.echo)


if __name__ == "__main__":
    main()
