"""`slides.pptx`: the pack as slides with native charts, opening pages first, then one page per family.

Every figure is a view's (see `pages`). A text is made smaller, and at last cut, until it fits its box; the whole text, the formulas and
the source tables stand in the notes of the slide.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from sop_workbench import views
from sop_workbench.report import pages
from sop_workbench.report.binder import facts_line, facts_of, write_whole
from sop_workbench.report.deck import BOTTOM, LEFT, TOP, WIDE, Column, Deck
from sop_workbench.settings import Settings

if TYPE_CHECKING:
    from sop_workbench.store import Cycle

SLIDES_FILE = "slides.pptx"
_LIMITS_SHOWN, _RISKS_SHOWN, _FAMILIES_A_PAGE = 6, 8, 14
_FAMILY_KPIS = ("wape", "bias", "production_adherence", "excess_stock", "days_of_inventory")
_GAP = 0.3


def write_slides(cycle: Cycle) -> Path:
    """Write the cycle's slides; a page whose tables the cycle does not hold (yet) says so."""
    facts = facts_of(cycle)
    return write_whole(Path(cycle.folder) / SLIDES_FILE,
                       lambda path: slides_of(path, pages.held_tables(cycle), facts, cycle.settings, cycle.period, cycle.as_of))


def slides_of(path: Path, held: Mapping[str, pd.DataFrame], facts: Mapping[str, str], settings: Settings, plan_from: pd.Timestamp,
              created: pd.Timestamp) -> None:
    """Write slides from tables.

    Parameters
    ----------
    path : Path
        File to write.
    held : mapping
        The tables named in `pages.TABLES`.
    facts : mapping
        Company, cycle, state, day of the facts, currency.
    settings : Settings
        For currency and colour.
    plan_from : Timestamp
        First planned period.
    created : Timestamp
        Date kept in the file.
    """
    title = f"{facts['Company']}: Sales & Operations Plan {facts['Cycle']}"
    deck = Deck(settings, title, facts_line(dict(facts)), created)
    seen = pages.opening_views(held, plan_from)
    _decision(deck, seen["decision"], title)
    _scorecard(deck, seen["kpis"])
    _families(deck, seen["families"])
    _bridge(deck, seen["bridge"])
    _money(deck, seen["money"], seen["cash"], seen["stock"])
    _limits(deck, seen["limits"])
    _scenarios(deck, seen["scenarios"])
    _risks(deck, seen["risks"])
    _decisions(deck, seen["decisions"])
    scores = pages.scorecard(held, plan_from, "family")
    for family in pages.families(held):
        mine = scores[(scores["member"] == family) & scores["kpi"].isin(_FAMILY_KPIS)]
        _family(deck, family, pages.family_outlook(held, family), seen["families"], mine)
    deck.save(path)


def _decision(deck: Deck, view: pd.DataFrame, title: str) -> None:
    """The opening page: the decision in words."""
    slide = deck.page(title, view)
    if view.empty:
        deck.nothing(slide, view)
        return
    row = view.iloc[0]
    deck.text(slide, (LEFT, TOP + 0.4, WIDE, 1.7), str(row["question"]), (34, 30, 26, 22), is_bold=True, has_bar=True)
    deck.text(slide, (LEFT, TOP + 2.4, WIDE, 1.2), f"Recommended: {str(row['recommendation']).rstrip('. ')}.", (20, 18, 16, 14))
    more = f" {int(row['more'])} more decisions follow." if row["more"] > 0 else ""
    deck.text(slide, (LEFT, TOP + 3.8, WIDE, 0.6), f"{views.short(row['money_amt'], views.MONEY)} at stake.{more}", (20, 18), is_bold=True)


def _scorecard(deck: Deck, view: pd.DataFrame) -> None:
    """KPI cards: value, status in icon, word and colour, target, formula."""
    outside = int(view["status"].isin(["red", "amber"]).sum()) if len(view) else 0
    slide = deck.page(f"How do we stand? {outside} of {len(view)} board KPIs outside target", view)
    if view.empty:
        deck.nothing(slide, view)
    width, height = (WIDE - 2 * _GAP) / 3, 2.35
    for place, row in enumerate(view.head(6).to_dict("records")):
        box = (LEFT + place % 3 * (width + _GAP), TOP + 0.1 + place // 3 * (height + _GAP), width, height)
        deck.card(slide, box, row)


def _families(deck: Deck, view: pd.DataFrame) -> None:
    """One set of numbers by family, most revenue first; as many pages as they need, the total on each."""
    columns = [Column("family", "Family", 1.9)] + [
        Column(name, words, 1.1 if unit == "%" else 1.55, unit) for name, words, unit in (
            ("budget_amt", "Budget", views.MONEY), ("demand_amt", "Demand", views.MONEY), ("revenue_amt", "Plan", views.MONEY),
            ("gap_amt", "Gap", views.MONEY), ("gross_margin_amt", "Gross margin", views.MONEY), ("margin_ratio", "Margin", "%"),
            ("inventory_amt", "Inventory", views.MONEY))]
    total = view[view["family"] == "Total"]
    rows = view[view["family"] != "Total"].sort_values("revenue_amt", ascending=False, kind="stable")
    for first in range(0, max(len(rows), 1), _FAMILIES_A_PAGE):
        number = f", page {first // _FAMILIES_A_PAGE + 1}" if first else ""
        slide = deck.page((view.attrs["title"] or "The plan by family") + number, view)
        if view.empty:
            deck.nothing(slide, view)
        shown = pd.concat([rows.iloc[first : first + _FAMILIES_A_PAGE], total]) if len(rows) else rows
        shown.attrs = view.attrs
        deck.table(slide, (LEFT, TOP, WIDE, BOTTOM - TOP), shown, columns, 15 if len(view) <= 10 else 12, bold=("Total",))


def _bridge(deck: Deck, view: pd.DataFrame) -> None:
    slide = deck.page(view.attrs["title"] or "From budget to plan", view)
    if view.empty:
        deck.nothing(slide, view)
    else:
        deck.waterfall(slide, (LEFT, TOP, WIDE, BOTTOM - TOP), view)


def _money(deck: Deck, money: pd.DataFrame, cash: pd.DataFrame, stock: pd.DataFrame) -> None:
    """Revenue and profit, cash and stock over time."""
    slide = deck.page(money.attrs["title"] or "The plan in money", money, cash, stock)
    half = (WIDE - _GAP) / 2
    height = (BOTTOM - TOP - _GAP) / 2
    names = {"revenue_amt": "Revenue", "gross_margin_amt": "Gross margin", "profit_amt": "Profit of the plan"}
    deck.lines(slide, (LEFT, TOP, half, BOTTOM - TOP), money, names, "Revenue, gross margin and profit")
    deck.lines(slide, (LEFT + half + _GAP, TOP, half, height), cash, {"closing_cash_amt": "Closing cash"},
               cash.attrs["title"] or "Cash")
    wide = stock.pivot_table(index="period", columns="family", values="inventory_amt", aggfunc="sum") if len(stock) else pd.DataFrame()
    by_family = wide.reset_index().rename_axis(columns=None)
    by_family.attrs = stock.attrs
    names = {name: name for name in by_family.columns if name != "period"}
    deck.columns(slide, (LEFT + half + _GAP, TOP + height + _GAP, half, height), by_family, names, stock.attrs["title"] or "Stock")


def _limits(deck: Deck, view: pd.DataFrame) -> None:
    """The few limits that matter, with the money of one more unit."""
    slide = deck.page(view.attrs["title"] or "No limit stops this plan", view)
    if view.empty:
        deck.nothing(slide, view)
        return
    rows = view.head(_LIMITS_SHOWN)
    columns = [Column("limit", "Limit", 1.7), Column("member", "Where", 2.2), Column("period_count", "Periods", 1.0, is_right=True),
               Column("price_amt", "One more unit is worth", 1.5, views.MONEY, 2), Column("money_amt", "In all", 1.3, views.MONEY),
               Column("sentence", "In words", 4.6)]
    shown = deck.table(slide, (LEFT, TOP, WIDE, BOTTOM - TOP - 0.35), rows, columns, 12)
    if shown < len(view):
        rest = f"The {shown} dearest of {len(view)}; all of them stand in the supply review."
        deck.text(slide, (LEFT, BOTTOM - 0.3, WIDE, 0.3), rest, (12, 11))


def _scenarios(deck: Deck, view: pd.DataFrame) -> None:
    """Scenarios side by side: value, and change against base in icon and words."""
    slide = deck.page(view.attrs["title"] or "Scenarios", view)
    if view.empty:
        deck.nothing(slide, view)
        return
    names = ["base", *(name for name in view["scenario"].drop_duplicates() if name != "base")][:7]
    rows = view.sort_values("sequence", kind="stable")
    wide = pd.DataFrame({"measure": rows["measure"].drop_duplicates().map(views.heading)})
    for name in names:
        mine = rows[rows["scenario"] == name].set_index("measure")
        wide[name] = [_scenario_words(mine.loc[m]) if m in mine.index else "–" for m in rows["measure"].drop_duplicates()]
    wide.attrs = view.attrs
    width = (WIDE - 1.7) / len(names)
    columns = [Column("measure", "Measure", 1.7), *(Column(name, name.replace("_", " "), width, is_right=True) for name in names)]
    deck.table(slide, (LEFT, TOP, WIDE, BOTTOM - TOP), wide, columns, 13 if len(names) <= 5 else 11)
    levers = view.drop_duplicates("scenario").set_index("scenario")["levers"]
    deck.note(slide, "\n".join(f"{name}: {levers[name]}" for name in names if name != "base"))


def _scenario_words(row: pd.Series) -> str:
    if not row["is_feasible"]:
        return "no feasible plan"
    icon = {"better": "▲ ", "worse": "▼ "}.get(row["verdict"], "")
    change = f"\n{icon}{row['verdict']} {row['delta_text']}" if row["scenario"] != "base" and row["verdict"] != "same" else ""
    return f"{row['value_text']}{change}"


def _risks(deck: Deck, view: pd.DataFrame) -> None:
    """Expected money of risks and opportunities beside the plan."""
    slide = deck.page(view.attrs["title"] or "Risks and opportunities", view)
    if view.empty:
        deck.nothing(slide, view)
        return
    rows = view.head(_RISKS_SHOWN)
    half = (WIDE - _GAP) / 2
    names = {"expected_risk_amt": "Risk, expected", "expected_opportunity_amt": "Opportunity, expected"}
    deck.bars(slide, (LEFT, TOP, half, BOTTOM - TOP), rows, "what", names, "Expected money beside the plan")
    columns = [Column("what", "What", 1.9), Column("risk_amt", "Risk", 1.2, views.MONEY),
               Column("chance_of_risk_ratio", "Chance", 0.85, "%"),
               Column("opportunity_amt", "Opportunity", 1.25, views.MONEY), Column("chance_of_opportunity_ratio", "Chance", 0.85, "%")]
    deck.table(slide, (LEFT + half + _GAP, TOP, half, BOTTOM - TOP), rows, columns, 11)


def _decisions(deck: Deck, view: pd.DataFrame) -> None:
    """The decisions to take, as many pages as they need."""
    columns = [Column("rank", "", 0.4), Column("question", "Question", 3.3), Column("options", "Options", 3.6),
               Column("recommendation", "Recommended", 2.8), Column("money_amt", "At stake", 1.0, views.MONEY),
               Column("who_decides", "Who decides", 1.25)]
    rest, number = view, 1
    while True:
        slide = deck.page(f"{view.attrs['title'] or 'Decisions'}{f', page {number}' if number > 1 else ''}", view)
        if view.empty:
            deck.nothing(slide, view)
        shown = deck.table(slide, (LEFT, TOP, WIDE, BOTTOM - TOP), rest, columns, 11)
        rest, number = rest.iloc[shown:], number + 1
        if rest.empty or not shown:
            return


def _family(deck: Deck, family: str, outlook: pd.DataFrame, numbers: pd.DataFrame, scores: pd.DataFrame) -> None:
    """One family: its numbers, budget, demand and plan over time, its stock and its KPIs."""
    slide = deck.page(outlook.attrs["title"], outlook, scores)
    row = numbers[numbers["family"] == family].iloc[0]
    cards = [(words, views.short(row[name], views.MONEY)) for words, name in (
        ("Budget", "budget_amt"), ("Demand", "demand_amt"), ("Plan", "revenue_amt"), ("Gap", "gap_amt"),
        ("Stock at the end", "inventory_amt"))]
    cards[3] = ("Gap", views.signed(cards[3][1]))
    cards.insert(4, ("Margin", views.percent(row["margin_ratio"])))
    width = (WIDE - 5 * 0.15) / 6
    for place, (words, value) in enumerate(cards):
        deck.number(slide, (LEFT + place * (width + 0.15), TOP, width, 0.95), words, value)
    covered = numbers.attrs["title"].partition(", ")[2]
    deck.text(slide, (LEFT, TOP + 0.98, WIDE, 0.26), f"Numbers above: {covered}. Charts: every planned period.", (11, 10))
    top = TOP + 1.3
    left, right = WIDE * 0.56, WIDE * 0.44 - _GAP
    names = {"budget_amt": "Budget", "demand_amt": "Demand", "revenue_amt": "Plan"}
    deck.lines(slide, (LEFT, top, left, BOTTOM - top), outlook, names, "Revenue")
    at = LEFT + left + _GAP
    known = scores.sort_values("period", kind="stable").drop_duplicates("kpi", keep="last")
    known = known.sort_values("kpi", key=lambda names: names.map(_FAMILY_KPIS.index))
    columns = [Column("kpi_name", "KPI", 1.9), Column("about", "When", 1.6), Column("value_text", "Value", 1.0, is_right=True),
               Column("status_text", "Status", 1.3)]
    room = deck.table_inches(known, columns, right, 11) + 0.15 if len(known) else 0.0
    deck.columns(slide, (at, top, right, BOTTOM - top - room), outlook, {"inventory_amt": "Stock"}, "Closing stock")
    if len(known):
        deck.table(slide, (at, BOTTOM - room + 0.15, right, room), known, columns, 11)
