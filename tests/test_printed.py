"""The printed report: by Chromium, with edges on every sheet; and what is said where Chromium is missing or fails."""

from __future__ import annotations

import stat
from datetime import datetime
from pathlib import Path

import pypdf
import pytest
from browser import CHROMIUM
from frames import all_frames
from shown import execute
from test_report import _cycle

from sop_workbench import report
from sop_workbench.errors import SopError
from sop_workbench.report import printed

NEEDS_CHROMIUM = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is missing: install Debian's package `chromium`")


def _program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@NEEDS_CHROMIUM
@pytest.mark.slow
def test_every_sheet_says_cycle_page_and_print_day(tmp_path: Path) -> None:
    for name in ("01_product_review", "06_executive_sop"):
        execute(name, tmp_path, all_frames())
    path = printed.write_pdf(_cycle(tmp_path, all_frames()), datetime(2026, 10, 5, 9, 30))
    pages = [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(path).pages]
    assert len(pages) > 2
    for number, text in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in text
        assert "Cycle 2026-10 · draft · facts known on 30 September 2026" in text
        assert "printed 05 October 2026 09:30, as of 30 September 2026" in text
    assert "Executive" in pages[0]
    assert "Product" in pages[1], "the executive page is one sheet"
    assert {path.name for path in tmp_path.iterdir()} == {"01_product_review.ipynb", "06_executive_sop.ipynb", "report.pdf"}


def test_a_missing_chromium_is_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(printed.CHROMIUM_VARIABLE, raising=False)
    with pytest.raises(SopError, match=r"install Debian's package chromium .*SOP_CHROMIUM.*report.html prints from any browser"):
        report.write_pdf(_cycle(tmp_path, {}))
    monkeypatch.setenv(printed.CHROMIUM_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(SopError, match="nowhere .named in SOP_CHROMIUM. is no program"):
        printed.find_chromium()


def test_a_chromium_that_prints_nothing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(printed.CHROMIUM_VARIABLE, _program(tmp_path / "broken", "echo 'no display' >&2; exit 7"))
    execute("01_product_review", tmp_path, all_frames())
    (tmp_path / "report.pdf").write_bytes(b"old")
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(SopError, match=r"printed nothing \(exit code 7\): no display"):
        report.write_pdf(_cycle(tmp_path, {}))
    assert (tmp_path / "report.pdf").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_chromium_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "_SECONDS", 0.2)
    with pytest.raises(SopError, match="did not print"):
        printed.print_page(_program(tmp_path / "slow", "exec sleep 30"), "<html></html>", tmp_path / "page.pdf")
