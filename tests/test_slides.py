"""Slides: in order, native charts, nothing outside the page or its box, one page per family."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from frames import PERIODS, SETTINGS, all_frames
from pptx import Presentation
from pptx.util import Emu

from sop_workbench import charts, report, tables, views
from sop_workbench.report import fitting, pages

LONG = "a question that goes on " * 60


def _cycle(folder: Path, held: dict[str, pd.DataFrame], **settings: object) -> SimpleNamespace:
    used = SETTINGS.model_copy(update=settings)
    return SimpleNamespace(id="2026-10", folder=folder, settings=used, calendar=SETTINGS.calendar, as_of=pd.Timestamp("2026-09-30"),
                           period=PERIODS[0], is_locked=False, read=held.__getitem__, has=held.__contains__,
                           read_or_empty=lambda name: held.get(name, tables.table(name).empty()))


def _open(path: Path):
    return Presentation(str(path))


@pytest.fixture(scope="module")
def held() -> dict[str, pd.DataFrame]:
    return all_frames()


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory, held):
    return _open(report.write_slides(_cycle(tmp_path_factory.mktemp("slides"), held)))


def _titles(deck) -> list[str]:
    return [slide.shapes.title.text_frame.text for slide in deck.slides]


def _texts(slide) -> list[tuple[str, float, float, float, bool]]:
    """Every text with the width and height it has, its size and weight."""
    found = []
    for shape in slide.shapes:
        if shape.has_text_frame and shape.text_frame.text:
            frame = shape.text_frame
            inner = Emu(shape.width - frame.margin_left - frame.margin_right).inches
            font = frame.paragraphs[0].font
            found.append((frame.text, inner, Emu(shape.height).inches, font.size.pt, bool(font.bold)))
        if shape.has_table:
            for row in shape.table.rows:
                for place, cell in enumerate(row.cells):
                    inner = Emu(shape.table.columns[place].width - cell.margin_left - cell.margin_right).inches
                    font = cell.text_frame.paragraphs[0].font
                    found.append((cell.text, inner, Emu(row.height).inches, font.size.pt, bool(font.bold)))
    return found


def test_the_opening_pages_come_in_the_order_of_the_meeting_then_one_per_family(deck, held) -> None:
    titles = _titles(deck)
    families = pages.families(held)
    opening = titles[: -len(families)]
    wanted = ("Sales & Operations Plan 2026-10", "How do we stand", "The plan by family", "budget", "Revenue", "limit", "", "", "to take")
    for title, words in zip(opening, wanted, strict=False):
        assert words in title
    assert [title.partition(":")[0] for title in titles[-len(families):]] == families
    assert len(families) > 1


def test_charts_are_native_and_hold_the_figures_of_the_views(deck, held) -> None:
    drawn = [shape.chart for slide in deck.slides for shape in slide.shapes if shape.has_chart]
    families = pages.families(held)
    assert len(drawn) >= 5 + 2 * len(families)
    assert not [shape for slide in deck.slides for shape in slide.shapes if shape.shape_type == 13], "no pictures"
    bridge = next(shape.chart for shape in deck.slides[3].shapes if shape.has_chart)
    view = views.budget_bridge(held["budget_gap"])
    series = {found.name: list(found.values) for found in bridge.plots[0].series}
    floor = bridge.value_axis.minimum_scale
    tops = [sum(value or 0.0 for value in bar) for bar in zip(series["Base"], series["Total"], series["More"], series["Less"], strict=True)]
    assert tops == pytest.approx(view[["from_amt", "to_amt"]].max(axis=1).tolist())
    assert floor <= view["to_amt"].min()
    outlook = views.family_outlook(held["financial_projection"], held["budget_gap"], families[0])
    page = deck.slides[len(deck.slides) - len(families)]
    lines = next(shape.chart for shape in page.shapes if shape.has_chart)
    plan = next(found for found in lines.plots[0].series if found.name == "Plan")
    assert list(plan.values) == pytest.approx(outlook["revenue_amt"].tolist())


def test_absent_budget_is_a_gap_in_the_line_not_zero(tmp_path: Path, held) -> None:
    first = held["budget_gap"]["period"].min()
    gap = held["budget_gap"].copy()
    gap.loc[gap["period"] == first, "budget_revenue_amt"] = float("nan")
    outlook = views.family_outlook(held["financial_projection"], gap, pages.families(held)[0])
    assert outlook["budget_amt"].isna().iloc[0]
    page = _open(report.write_slides(_cycle(tmp_path, {**held, "budget_gap": gap}))).slides
    lines = next(shape.chart for shape in page[len(page) - len(pages.families(held))].shapes if shape.has_chart)
    assert list(lines.plots[0].series[0].values)[0] is None


@pytest.mark.parametrize("kind", ["as it is", "long texts"])
def test_nothing_leaves_the_page_or_its_box(tmp_path: Path, held, kind: str) -> None:
    if kind == "long texts":
        decision = held["open_decision"].assign(question=LONG, options=LONG * 3, recommendation=LONG)
        limit = held["binding_limit"].assign(sentence=LONG, member="AVeryLongNameWithoutAnySpaceInIt" * 4)
        held = {**held, "open_decision": decision, "binding_limit": limit}
    made = _open(report.write_slides(_cycle(tmp_path, held)))
    for slide in made.slides:
        for shape in slide.shapes:
            assert shape.left >= 0
            assert shape.top >= 0
            assert shape.left + shape.width <= made.slide_width + 2
            assert shape.top + shape.height <= made.slide_height + 2
        for text, width, height, size, is_bold in _texts(slide):
            assert fitting.height_inches(text, width, size, is_bold) <= height + 0.02, (text[:60], width, height, size)
            assert size >= 7


def test_a_text_that_is_cut_stands_whole_in_the_notes(tmp_path: Path, held) -> None:
    made = _open(report.write_slides(_cycle(tmp_path, {**held, "open_decision": held["open_decision"].assign(question=LONG)})))
    first = made.slides[0]
    assert any(text.endswith("…") for text, *_ in _texts(first))
    assert LONG.strip() in first.notes_slide.notes_text_frame.text


def test_every_page_says_where_its_figures_come_from(deck) -> None:
    for slide in deck.slides:
        assert "source: " in " ".join(text for text, *_ in _texts(slide))
        notes = slide.notes_slide.notes_text_frame.text
        assert any(declared.meaning in notes for declared in tables.all_tables().values())


def test_status_is_told_in_words_and_icon_not_by_colour_alone(deck) -> None:
    texts = [text for text, *_ in _texts(deck.slides[1])]
    assert any(text.endswith(("on target", "watch", "act", "not judged")) and text[0] in "●▲■–" for text in texts)


def test_charts_and_tables_are_told_to_who_cannot_see_them(deck) -> None:
    for slide in deck.slides:
        for shape in slide.shapes:
            if shape.has_chart or shape.has_table:
                assert shape._element.xpath(".//p:cNvPr")[0].get("descr")


def test_the_company_gives_colour_and_currency(tmp_path: Path, held) -> None:
    made = _open(report.write_slides(_cycle(tmp_path, held, brand_colour="#8a1c5b", currency="CHF")))
    wanted = charts.readable("#8a1c5b").lstrip("#").upper()
    assert str(made.slides[0].shapes[1].fill.fore_color.rgb) == wanted
    texts = " ".join(text for slide in made.slides for text, *_ in _texts(slide))
    assert "CHF" in texts
    assert views.MONEY not in texts


def test_a_cycle_that_holds_nothing_yet_gives_pages_that_say_so(tmp_path: Path) -> None:
    made = _open(report.write_slides(_cycle(tmp_path, {})))
    assert len(made.slides) == 9
    texts = [" ".join(text for text, *_ in _texts(slide)) for slide in made.slides]
    assert "No decision is open" in texts[0]
    assert "No limit stops this plan" in texts[5]


# ------------------------------------------------------------------ fitting
@pytest.mark.parametrize("text", ["", "word", LONG, "AVeryLongNameWithoutAnySpaceInIt" * 9, "two\nlines"])
@pytest.mark.parametrize("box", [(0.6, 0.2), (2.0, 0.5), (12.0, 1.0)])
def test_what_is_fitted_fits(text: str, box: tuple[float, float]) -> None:
    size, shown = fitting.fitted(text, *box, (20, 14, 10))
    assert fitting.height_inches(shown, box[0], size) <= max(box[1], size * 1.2 / 72) + 1e-9
    assert shown == text or shown.endswith("…")


def test_many_families_take_more_pages_and_the_total_stands_on_each(tmp_path: Path, held) -> None:
    few = held["financial_projection"]
    many = pd.concat([few[few["family"] == few["family"].iloc[0]].assign(family=f"Family {n:02d}") for n in range(30)])
    made = _open(report.write_slides(_cycle(tmp_path, {**held, "financial_projection": many})))
    tabled = [next(shape.table for shape in slide.shapes if shape.has_table) for slide in made.slides
              if slide.shapes.title.text_frame.text.startswith("The plan by family")]
    rows = [[cell.cells[0].text for cell in table.rows][1:] for table in tabled]
    assert [names[-1] for names in rows] == ["Total"] * 3
    assert sorted(name for names in rows for name in names[:-1]) == [f"Family {n:02d}" for n in range(30)]
