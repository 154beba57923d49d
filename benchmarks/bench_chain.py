"""What the chain costs beside the planning: start of the command, imports of a kernel, an empty step, the demo cycle.

`python benchmarks/bench_chain.py [--demo]`; with --demo the demo company's cycle is run in a temporary folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from sop_workbench.chain import Chain, Step, run_chain
from sop_workbench.store import open_workspace

SOP = str(Path(sys.executable).with_name("sop"))
IMPORTS = "from sop_workbench import charts, reviews, store, views"


def busy_seconds(command: list[str]) -> float:
    """Processor time of a program, best of three."""
    found = []
    for _ in range(3):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        found.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(found)


def empty_step_seconds(steps: int = 4) -> float:
    """Wall time of a step whose notebook does nothing: kernel start, papermill, store, manifest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sop.yaml").write_text("company: Any\n")
        (folder / "notebooks").mkdir()
        chain_steps = tuple(Step(f"{number:02d}_empty") for number in range(steps))
        tagged = nbformat.v4.new_code_cell('workspace = "."\ncycle_id = ""', metadata={"tags": ["parameters"]})
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
        notebook = nbformat.v4.new_notebook(cells=[tagged], metadata={"kernelspec": kernel})
        for step in chain_steps:
            nbformat.write(notebook, folder / "notebooks" / f"{step.name}.ipynb")
        workspace = open_workspace(folder)
        start = time.perf_counter()
        run_chain(Chain(workspace, workspace.cycle("2026-10"), chain_steps))
        return (time.perf_counter() - start) / steps


def demo_cycle() -> dict:
    """The manifest of a run of the demo company."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "demo"
        subprocess.run([SOP, "new", str(folder), "--demo"], check=True)
        subprocess.run([SOP, "run", "--workspace", str(folder)], check=True)
        return json.loads(next(folder.glob("cycles/*/manifest.json")).read_text())


def main() -> None:
    """Measure and print."""
    print(f"| `sop --help`, processor seconds | {busy_seconds([SOP, '--help']):.2f} |")
    print(f"| imports of a review's kernel, processor seconds | {busy_seconds([sys.executable, '-c', IMPORTS]):.2f} |")
    print(f"| an empty step, seconds | {empty_step_seconds():.2f} |")
    if "--demo" in sys.argv:
        for step, entry in demo_cycle()["steps"].items():
            print(f"| {step}, seconds, MB | {entry['wall_seconds']:.1f}, {entry['peak_memory_mb']:.0f} |")


if __name__ == "__main__":
    main()
