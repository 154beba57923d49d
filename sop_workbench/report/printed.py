"""`report.pdf`: the report printed by Chromium, with the cycle, the day of the facts and page numbers on every sheet."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sop_workbench.errors import SopError
from sop_workbench.report.binder import write_whole
from sop_workbench.report.html import page_of_cycle

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

PRINT_FILE = "report.pdf"
CHROMIUM_VARIABLE = "SOP_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = ("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage",
          "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer", "--virtual-time-budget=10000")
_SECONDS = 180


def write_pdf(cycle: Cycle, printed_at: datetime | None = None) -> Path:
    """Print the cycle's report.

    Parameters
    ----------
    cycle : Cycle
        Its binder holds the executed notebooks.
    printed_at : datetime, optional
        The moment that stands on every sheet; now when left out.

    Raises
    ------
    SopError
        When Chromium is missing or does not print; names the remedy.
    SourceError
        When the binder holds no executed notebook.
    """
    program = find_chromium()
    moment = printed_at or datetime.now()
    page = page_of_cycle(cycle, f"printed {moment:%d %B %Y %H:%M}, as of {cycle.as_of:%d %B %Y}")
    return write_whole(Path(cycle.folder) / PRINT_FILE, lambda path: print_page(program, page, path))


def find_chromium() -> str:
    """Path of the Chromium (or Chrome) to print with: the one named in `SOP_CHROMIUM`, else the first on the path.

    Raises
    ------
    SopError
        When there is none; says how to get one.
    """
    named = os.environ.get(CHROMIUM_VARIABLE)
    found = next((path for name in ([named] if named else _NAMES) if (path := shutil.which(name))), None)
    if found is None:
        missing = f"{named} (named in {CHROMIUM_VARIABLE}) is no program" if named else "Chromium is missing, and it prints the PDF"
        raise SopError(f"{missing}: install Debian's package chromium (apt-get install chromium), or name a Chromium or Chrome in "
                       f"{CHROMIUM_VARIABLE}. Without it report.html prints from any browser, as it is")
    return found


def print_page(program: str, page: str, target: Path) -> None:
    """Print a page, given as text, into a file.

    Raises
    ------
    SopError
        When the program fails, takes longer than three minutes or leaves no file; with its last words.
    """
    with tempfile.TemporaryDirectory(prefix="sop-print-") as scratch:
        source, printed = Path(scratch) / "page.html", Path(scratch) / "page.pdf"
        source.write_text(page, encoding="utf-8")
        # as root Chromium starts without its sandbox only; the page is our own and has no script
        as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        command = [program, *_FLAGS, *as_root, f"--user-data-dir={scratch}/profile", f"--print-to-pdf={printed}", source.as_uri()]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise SopError(f"{program} did not print: {fault}") from fault
        if not printed.is_file() or not printed.stat().st_size:
            words = next(iter(ended.stderr.strip().splitlines()[-1:]), "no message")
            raise SopError(f"{program} printed nothing (exit code {ended.returncode}): {words}")
        shutil.copyfile(printed, target)
