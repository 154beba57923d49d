"""The executive dashboard in the browser: first paint, slider to chart, and a room full of viewers, beside a bare Voilà notebook.

    python benchmarks/bench_dashboards.py [--workspace DIR] [--parts paint,live,crowd,plain] [--viewers 20] [--minutes 10] [--runs 5]

The peer is a notebook with six of the page's charts as offline `JupyterChart`, served by Voilà as it comes (a plain kernel for each
visitor); for the slider its kernel holds the same loaded plan. Both in the same run, each time in a new Chromium with an empty cache.
`crowd` needs no browser: viewers over HTTP and websocket that say what the page's script says. Needs a planned workspace (`make run`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from browser import CHROMIUM, FLAGS  # noqa: E402
from web_viewer import WebPage, WebViewer, run  # noqa: E402

TOKEN = "for-the-benchmark"
PAGE = "executive_review"
MARKS = "svg.marks, canvas.marks"
MOVES = [-3, 4, -6, 7, -9, 10, -12, 5, -2, 8, -5]

_CHARTS = """
import altair as alt
import ipywidgets
from sop_workbench import charts, reviews, views
from sop_workbench.store import open_workspace
alt.JupyterChart.enable_offline()
cycle = open_workspace({workspace!r}).cycle({cycle!r})
read = cycle.read
"""
_SIX = """
six = [
    charts.budget_bridge(views.budget_bridge(read("budget_gap"))),
    charts.cash(views.cash(read("cash_projection"))),
    charts.demand_plan_budget(views.demand_plan_budget(read("financial_projection"), read("budget_gap"))),
    charts.demand_vs_plan(views.demand_vs_plan(read("unmet_demand"))),
    charts.gap_heat_map(views.gap_heat_map(read("budget_gap"))),
    charts.load_heat_map(views.load_heat_map(read("capacity_load"), read("resource"), top=12)),
]
ipywidgets.VBox([alt.JupyterChart(chart) for chart in six])
"""
_LIVE = """
from pathlib import Path
from sop_workbench.pages.levers import AgreedLevers
agreed = AgreedLevers(reviews.what_if_session(cycle), Path({workspace!r}) / "scenarios")
def drawn():
    volume = charts.what_if_volume(views.what_if_volume(agreed.now.volume, "served_qty", None))
    return [volume, charts.what_if_load(views.what_if_load(agreed.now.hours, agreed.what_if.tables["resource"]))]
shown = [alt.JupyterChart(chart) for chart in drawn()]
slider = ipywidgets.IntSlider(min=-20, max=20, description="Hours")
def moved(change):
    agreed.pull({{"ready-hours": change.new}})
    for place, chart in zip(shown, drawn()):
        place.chart = chart
slider.observe(moved, "value")
ipywidgets.VBox([slider, *shown])
"""


# ------------------------------------------------------------------ servers


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def serving(command: list[str], address: str, folder: Path) -> Iterator[subprocess.Popen]:
    """A server that answers at `address`, ended with all its kernels."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit((folder / "server.log").read_text()[-2000:])
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def dashboards(workspace: Path, folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Ours, as `sop dashboards` starts it."""
    port = free_port()
    command = [sys.executable, "-c", "from sop_workbench.cli import main; main()", "dashboards", "-w", str(workspace), "--port", str(port),
               "--token", TOKEN, "--log", str(folder / "dashboards.log")]
    with serving(command, f"http://127.0.0.1:{port}/health", folder) as process:
        yield f"http://127.0.0.1:{port}/", process


@contextmanager
def bare_voila(workspace: Path, cycle: str, folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """The peer."""
    told = {"workspace": str(workspace), "cycle": cycle}
    for name, cells in (("six", [_CHARTS, _SIX]), ("live", [_CHARTS, _LIVE])):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.format(**told).strip()) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
        nbformat.write(notebook, folder / f"{name}.ipynb")
    port = free_port()
    command = [sys.executable, "-m", "voila", str(folder), f"--port={port}", "--no-browser", "--Voila.ip=127.0.0.1"]
    with serving(command, f"http://127.0.0.1:{port}/", folder) as process:
        yield f"http://127.0.0.1:{port}/voila/render/", process


# ------------------------------------------------------------------ in the browser


@contextmanager
def fresh_page() -> Iterator:
    """A page of a Chromium that has seen nothing yet, with the network closed."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(120_000)
            yield page
        finally:
            browser.close()


def seconds_to(page, address: str, *events: tuple[str, int]) -> list[float]:
    """Seconds from asking for an address until each (selector, count) is on the page."""
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    found = []
    for selector, count in events:
        page.locator(selector).nth(count - 1).wait_for(state="attached")
        found.append(time.perf_counter() - begun)
    return found


def paint(ours: str, theirs: str, runs: int) -> None:
    """First meaningful paint of both, alternating."""
    own, peer = [], []
    for _ in range(runs):
        with fresh_page() as page:
            peer.append(seconds_to(page, f"{theirs}six.ipynb", (MARKS, 1), (MARKS, 6)))
        with fresh_page() as page:
            own.append(seconds_to(page, f"{ours}{PAGE}?token={TOKEN}", (".sop-card", 6), (MARKS, 1), (MARKS, 6)))
    cards, first, six = (statistics.median(column) for column in zip(*own, strict=True))
    peer_first, peer_six = (statistics.median(column) for column in zip(*peer, strict=True))
    print(f"\nFirst paint, seconds, median of {runs}, empty browser cache")
    print(f"  bare Voilà   first chart {peer_first:6.2f}   six charts {peer_six:6.2f}")
    print(f"  dashboard    decision and KPI cards {cards:6.2f}   first chart {first:6.2f}   six charts {six:6.2f}")
    print(f"  ratio        first meaningful paint {cards / peer_first:.2f} (aim 0.40), first chart {first / peer_first:.2f}, "
          f"six {six / peer_six:.2f}", flush=True)


_MOVE = """([selector, value]) => new Promise((done) => {
  const root = document.querySelector(".sop-page"), slider = document.querySelector(selector);
  const before = root.dataset.settled, begun = performance.now();
  slider.value = value; slider.dispatchEvent(new Event("input", {bubbles: true}));
  const look = () => {
    if (root.dataset.settled === before) { requestAnimationFrame(look); return; }
    const words = document.querySelector("[data-solved]")?.textContent ?? "";
    done([performance.now() - begun, Number(root.dataset.waited), Number(root.dataset.kernel), words]);
  };
  look(); })"""
_WATCH = """() => { window.begun = performance.now(); window.last = 0;
  const seen = new MutationObserver(() => { window.last = performance.now(); });
  seen.observe(document.querySelector("#rendered_cells"), {childList: true, subtree: true}); }"""
_DRAWN = "() => window.last && performance.now() - window.last > 600 ? window.last - window.begun : 0"


def live(ours: str, theirs: str) -> None:
    """Slider to chart of both; ours also by part."""
    with fresh_page() as page:
        page.goto(f"{ours}{PAGE}?token={TOKEN}")
        page.locator(".sop-card").first.wait_for()
        page.locator("#sop-live").scroll_into_view_if_needed()
        page.locator("#sop-ready-hours").wait_for(state="attached")
        page.locator("[data-solved]").wait_for(state="attached")
        page.wait_for_timeout(3000)
        moves = [page.evaluate(_MOVE, ["#sop-ready-hours", str(value)]) for value in MOVES]
    with fresh_page() as page:
        page.goto(f"{theirs}live.ipynb")
        handle = page.get_by_role("slider").first
        handle.wait_for()
        page.locator(MARKS).nth(1).wait_for()
        page.wait_for_timeout(3000)
        peer = []
        for _ in MOVES:
            handle.focus()
            page.evaluate(_WATCH)
            page.keyboard.press("ArrowLeft")
            page.wait_for_function(_DRAWN)
            peer.append(page.evaluate(_DRAWN))
    print("\nSlider to chart, milliseconds, median of", len(MOVES))
    print(f"  bare Voilà   two charts {statistics.median(peer):6.0f}")
    print(f"  dashboard    cards, limits and two charts {statistics.median(m[0] for m in moves):6.0f}")
    _parts(moves)


def _parts(moves: list) -> None:
    """Where the time goes: update, solve, reading back (the plan's own words), views and charts (the rest of the kernel), wire, paint."""
    spent: dict[str, list[float]] = {}
    for _, waited, kernel, words in moves:
        solved = {name: float(number) for name, number in re.findall(r"([\w ]+?) (\d+)(?: ·|\))", words.partition("(")[2])}
        rest = {"views and charts": kernel - sum(solved.values()), "wire and paint": waited - kernel, "new numbers in all": waited}
        for name, number in {**solved, **rest}.items():
            spent.setdefault(name.strip(), []).append(number)
    told = "   ".join(f"{name} {statistics.median(times):.0f}" for name, times in spent.items())
    print(f"  by part      {told}   (aim 300 in all)", flush=True)


# ------------------------------------------------------------------ a room full of viewers


def descendants(root: int) -> set[int]:
    """All processes that descend from one."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(pid)] = int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
        except (OSError, TypeError):
            continue
    found: set[int] = set()
    while grown := {pid for pid, parent in parents.items() if parent in found | {root}} - found:
        found |= grown
    return found


def processor_seconds(pids: set[int]) -> float:
    """What some processes have computed so far, which other work on the machine does not change."""
    ticks = 0
    for pid in pids:
        try:
            parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(parts[11]) + int(parts[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def megabytes(pids: set[int]) -> dict[str, float]:
    """Resident, fair share (a page shared by n processes counts an n-th) and private memory of some processes."""
    totals = {"rss": 0.0, "pss": 0.0, "private": 0.0}
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        kilobytes = {name: int(number) for name, number in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        totals["rss"] += kilobytes["Rss"] / 1000
        totals["pss"] += kilobytes["Pss"] / 1000
        totals["private"] += (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]) / 1000
    return totals


class Executive:
    """One viewer of the executive page."""

    def __init__(self, base: str) -> None:
        self.viewer, self.waits = WebViewer(base), []
        self.page: WebPage | None = None

    async def arrive(self) -> tuple[float, float]:
        """Open the page; seconds until the first figures, and until everything in sight is there."""
        await self.viewer.ask(f"?token={TOKEN}")
        self.page = await self.viewer.open(PAGE)
        (self.screen,) = [model for model, state in self.page.states.items() if "shell" in state]
        if "sop-card" not in str(self.page.states[self.screen].get("block_cards")):
            raise AssertionError("the page came without its cards")
        first = self.page.ready_seconds
        await self.act("open", width=1240)
        return first, time.monotonic() - self.page.begun

    async def act(self, name: str, **details: object) -> float:
        """Do what the page's script does; milliseconds until the kernel has answered."""
        begun = time.monotonic()
        await self.page.say("comm_msg", {"comm_id": self.screen, "data": {"method": "custom", "content": {"name": name, **details}}})
        answer = self.page.states[self.screen]["answer"]
        if answer.get("kind") == "error":
            raise AssertionError(answer)
        self.page.heard.clear()
        return 1000 * (time.monotonic() - begun)

    async def play(self, number: int, minutes: float) -> None:
        """Open the live part, then move the slider every 20 seconds."""
        await asyncio.sleep(number)
        await self.act("reach", block="levers")
        end = time.monotonic() + 60 * minutes
        turn = 0
        while time.monotonic() < end:
            turn += 1
            self.waits.append(await self.act("pull", fields={"ready-hours": MOVES[(number + turn) % len(MOVES)]}))
            await asyncio.sleep(20)


async def crowd(base: str, server: subprocess.Popen, viewers: int, minutes: float) -> None:
    """All at once, then each a slider every 20 seconds."""
    before = descendants(server.pid)
    people = [Executive(base) for _ in range(viewers)]
    spent = processor_seconds(before | {server.pid})
    times = await asyncio.gather(*(one.arrive() for one in people))
    first, whole = ([one[column] for one in times] for column in (0, 1))
    kernels = descendants(server.pid) - before
    print(f"\n{viewers} viewers at the same moment: first figures after {statistics.median(first):.1f} s (median), {max(first):.1f} s "
          f"(last); everything in sight after {max(whole):.1f} s (aim 20)")
    spent = processor_seconds(kernels | before | {server.pid}) - spent
    print(f"  computed in all {spent:.1f} processor seconds, {spent / viewers:.2f} for each viewer: {spent / 2:.1f} s on two idle cores")
    _memory("as opened", kernels, before, server)
    history: list[float] = []

    async def watch() -> None:
        while True:
            await asyncio.sleep(60)
            history.append(megabytes(kernels)["pss"] / viewers)
            _memory(f"minute {len(history)}", kernels, before, server)

    watching = asyncio.ensure_future(watch())
    await asyncio.gather(*(one.play(number, minutes) for number, one in enumerate(people)))
    watching.cancel()
    waits = sorted(wait for one in people for wait in one.waits)
    if waits:
        print(f"  {len(waits)} moves in {minutes:g} minutes, no error; answer median {statistics.median(waits):.0f} ms, "
              f"95 % {waits[int(0.95 * len(waits))]:.0f} ms")
    if len(history) > 2:
        print(f"  growth for each viewer after the second minute: {history[-1] - history[1]:+.1f} MB")
    for one in people:
        await one.page.close()
    await asyncio.sleep(3)
    print(f"  kernels left after all tabs closed: {len(descendants(server.pid) - before)}")


def _memory(when: str, kernels: set[int], before: set[int], server: subprocess.Popen) -> None:
    found, around = megabytes(kernels), megabytes(before | {server.pid})
    count = len(kernels)
    print(f"  memory {when:<10} each of {count} kernels: fair share {found['pss'] / count:.0f} MB, "
          f"private {found['private'] / count:.0f} MB, "
          f"resident {found['rss'] / count:.0f} MB (aim 100); server and forking process {around['pss']:.0f} MB", flush=True)


async def plain_crowd(theirs: str, server: subprocess.Popen, viewers: int) -> None:
    """The same crowd at the peer: the page's HTML, which comes when its cells have run."""
    people = [WebViewer(theirs) for _ in range(viewers)]
    begun = time.monotonic()

    async def fetch(viewer: WebViewer) -> float:
        answer = await viewer.ask("six.ipynb")
        if answer.code != 200:
            raise AssertionError(answer.code)
        return time.monotonic() - begun

    seconds = await asyncio.gather(*(fetch(one) for one in people))
    kernels = descendants(server.pid)
    found = megabytes(kernels)
    print(f"\nThe same at bare Voilà: served after {statistics.median(seconds):.1f} s (median), {max(seconds):.1f} s (last); "
          f"each kernel: fair share {found['pss'] / len(kernels):.0f} MB, private {found['private'] / len(kernels):.0f} MB")


def main() -> None:
    """Run the parts asked for."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--workspace", type=Path, default=ROOT / "workspace")
    given.add_argument("--parts", default="paint,live,crowd,plain")
    given.add_argument("--viewers", type=int, default=20)
    given.add_argument("--minutes", type=float, default=10)
    given.add_argument("--runs", type=int, default=5)
    asked = given.parse_args()
    workspace, parts = asked.workspace.resolve(), asked.parts.split(",")
    from sop_workbench.store import open_workspace

    cycle = open_workspace(workspace).cycle("").id
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        if {"paint", "live"} & set(parts):
            with dashboards(workspace, Path(first)) as (ours, _), bare_voila(workspace, cycle, Path(second)) as (theirs, _):
                if "paint" in parts:
                    paint(ours, theirs, asked.runs)
                if "live" in parts:
                    live(ours, theirs)
        if "crowd" in parts:
            with dashboards(workspace, Path(first)) as (ours, server):
                run(crowd(ours, server, asked.viewers, asked.minutes))
        if "plain" in parts:
            with bare_voila(workspace, cycle, Path(second)) as (theirs, server):
                run(plain_crowd(theirs, server, asked.viewers))


if __name__ == "__main__":
    main()
