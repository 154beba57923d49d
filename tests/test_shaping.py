"""Promotions and prices: planted effects come back with their range, cases are priced before they are run, bad rows stop nobody."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sop_workbench import shaping, tables
from sop_workbench.demand import promotion_demand, without_promotion
from sop_workbench.periods import Calendar

CALENDAR = Calendar("month")
MONTHS = pd.date_range("2021-10-01", periods=60, freq="MS")
AHEAD = pd.date_range("2026-10-01", periods=12, freq="MS")
ITEM = tables.validate("item", pd.DataFrame([
    {"item_id": name, "item_name": name, "item_type": "finished", "family": "Grills" if name < "C" else "Pans", "standard_cost_amt": 6.0}
    for name in "ABCD"]))  # fmt: skip
MARKET = tables.validate(
    "market",
    pd.DataFrame(
        [{"market_id": name, "market_name": name, "region": "North" if name == "M" else "South", "channel": "Retail"} for name in "MN"]
    ),
)
UPLIFT, PULLED, NOISE = 0.4, 0.1, 0.05


def event(**row: object) -> dict:
    effect = {"uplift_ratio": 0.2, "pull_forward_ratio": 0.05, "cost_amt": 100.0, "status": "done"}
    span = {"from_period": "2024-04-01", "to_period": "2024-04-01"}
    return {"event_id": "E1", "kind": "promotion", "family": "Grills", "region": "North", **span, **effect, **row}


def events(*rows: dict) -> pd.DataFrame:
    return tables.validate("event", pd.DataFrame(rows)) if rows else tables.table("event").empty()


APRILS = events(*(event(event_id=f"E{year}", from_period=f"{year}-04-01", to_period=f"{year}-04-01") for year in range(2022, 2027)))


def sold(promoted: pd.DataFrame, seed: int = 3, true_uplift: float = UPLIFT, lost: float = 0.0) -> pd.DataFrame:
    """Sixty months of four items in two markets: growth, a season, noise, and promotions that work as planted."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, (item, market) in enumerate((i, m) for i in "ABCD" for m in "MN"):
        season = 1 + 0.4 * np.sin(2 * np.pi * (MONTHS.month.to_numpy() - 1) / 12)
        base = pd.Series((200 + 50 * number) * 1.004 ** np.arange(60) * season, index=MONTHS)
        demand = base.copy()
        family = "Grills" if item < "C" else "Pans"
        for row in promoted.to_dict("records"):
            is_family = row["family"] == family
            is_place = not isinstance(row["region"], str) or row["region"] == {"M": "North", "N": "South"}[market]
            is_item = not isinstance(row["item_id"], str) or row["item_id"] == item
            if is_place and is_family and is_item:
                effect = {**row, "uplift_ratio": true_uplift, "pull_forward_ratio": PULLED}
                demand += promotion_demand(base, effect) - base
            elif is_place and is_family and lost:
                demand.loc[row["from_period"]] *= 1 - lost
        parts.append(pd.DataFrame({"item_id": item, "market_id": market, "period": MONTHS,
                                   "ordered_qty": demand.to_numpy() * np.exp(rng.normal(0, NOISE, 60))}))  # fmt: skip
    return tables.validate("sales_history", pd.concat(parts, ignore_index=True))


def effects(history: pd.DataFrame, event_table: pd.DataFrame) -> pd.DataFrame:
    made = shaping.learn_event_effects(history, event_table, ITEM, MARKET, MONTHS[-1], CALENDAR)
    return made.set_index(["member", "measure"])


# ------------------------------------------------------------------ learning


def test_a_promotion_that_runs_every_april_is_told_from_the_season_by_markets_without_it() -> None:
    made = effects(sold(APRILS), APRILS)
    uplift, pulled = made.loc[("Grills · North", "uplift")], made.loc[("Grills · North", "pull_forward")]
    assert uplift["basis"] == pulled["basis"] == shaping.ESTIMATED
    assert uplift["effect_ratio"] == pytest.approx(UPLIFT, abs=0.08)
    assert uplift["low_ratio"] < UPLIFT < uplift["high_ratio"]
    assert pulled["effect_ratio"] == pytest.approx(PULLED, abs=0.04)
    assert uplift["stated_ratio"] == pytest.approx(0.2)
    assert "against the same products in other markets" in uplift["evidence"]


@pytest.mark.parametrize("seed", range(5))
def test_ranges_hold_what_was_planted(seed: int) -> None:
    everywhere = events(*(event(event_id=f"E{y}", region=None, from_period=f"{y}-11-01", to_period=f"{y}-11-01") for y in (2022, 2024)))
    made = effects(sold(everywhere, seed), everywhere)
    uplift = made.loc[("Grills · all markets", "uplift")]
    assert uplift["low_ratio"] < UPLIFT < uplift["high_ratio"]
    assert "trend and season of the same demand" in uplift["evidence"]


def test_what_has_not_run_yet_is_as_stated() -> None:
    planned = events(event(event_id="E9", family="Pans", from_period="2027-05-01", to_period="2027-05-01", status="planned"))
    made = effects(sold(events()), planned).loc[("Pans · North", "uplift")]
    assert (made["basis"], made["effect_ratio"]) == (shaping.STATED, 0.2)
    assert made["low_ratio"] < 0.2 < made["high_ratio"]
    assert "has run yet" in made["evidence"]


def test_a_promotion_that_always_ran_everywhere_in_april_is_not_told_from_the_season() -> None:
    everywhere = APRILS.assign(region=None)
    rows = effects(sold(everywhere), everywhere).droplevel("member")
    assert rows.loc["uplift", "basis"] == "as stated"
    assert rows.loc["uplift", "evidence"] == "it ran in the same months of every year, so history cannot tell it from the season"
    but_one = everywhere.iloc[1:]
    assert effects(sold(but_one), but_one).droplevel("member").loc["uplift", "basis"] == "estimated from history"


def test_the_season_of_weeks_runs_smoothly_through_the_year() -> None:
    weeks = pd.date_range("2024-01-01", periods=104, freq="W-MON")
    season = shaping._season_columns(weeks, Calendar("week"))
    assert season.shape == (104, 13)
    assert season.sum(axis=1) == pytest.approx(np.ones(104))
    assert (season[0], season[2][:2]) == (pytest.approx(np.eye(13)[0]), pytest.approx([0.5, 0.5]))
    assert season[:52] == pytest.approx(season[52:])


def test_other_items_of_the_family_that_lose_are_found() -> None:
    of_one = events(*(event(event_id=f"E{y}", item_id="B", region=None, from_period=f"{y}-07-01", to_period=f"{y}-07-01")
                      for y in (2022, 2023, 2025)))  # fmt: skip
    lost = effects(sold(of_one, lost=0.12, true_uplift=1.0), of_one).loc[("B · all markets", "cannibalisation")]
    # A sells 450 in July where B sells 650 and gains as much: it loses about .12 · 450 / 650.
    assert lost["basis"] == shaping.ESTIMATED
    assert lost["low_ratio"] < 0.12 * 450 / 650 < lost["high_ratio"]
    assert lost["low_ratio"] > 0
    none = effects(sold(of_one, true_uplift=1.0), of_one).loc[("B · all markets", "cannibalisation")]
    assert none["low_ratio"] < 0 < none["high_ratio"]


def test_an_odd_month_does_not_decide() -> None:
    history = sold(APRILS)
    history.loc[(history["period"] == "2024-04-01") & (history["item_id"] == "A") & (history["market_id"] == "M"), "ordered_qty"] *= 8
    uplift = effects(history, APRILS).loc[("Grills · North", "uplift")]
    assert uplift["low_ratio"] < UPLIFT < uplift["high_ratio"]


def test_no_event_and_no_history_give_what_they_can() -> None:
    assert effects(sold(events()), events()).empty
    made = effects(tables.table("sales_history").empty(), APRILS)
    assert set(made["basis"]) == {shaping.STATED}


# ------------------------------------------------------------------ prices


def priced(elasticity: float, moved: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """History whose item A is 30 % dearer from 2024 on (else: everything 10 % dearer), answered by the elasticity."""
    history = sold(events())
    lists = [{"item_id": i, "market_id": m, "valid_from": MONTHS[0], "price_amt": 10.0} for i in "ABCD" for m in "MN"]
    rise = {"A": 1.3} if moved else dict.fromkeys("ABCD", 1.1)
    lists += [{"item_id": i, "market_id": m, "valid_from": "2024-01-01", "price_amt": 10 * r} for i, r in rise.items() for m in "MN"]
    later = history["period"] >= "2024-01-01"
    factor = history["item_id"].map(rise).fillna(1.0) ** elasticity
    history["ordered_qty"] = history["ordered_qty"] * factor.where(later, 1.0)
    return history, tables.validate("price", pd.DataFrame(lists))


def test_an_elasticity_comes_back_where_a_price_moved_against_its_family() -> None:
    history, price = priced(-2.5)
    made = shaping.learn_price_effects(history, price, ITEM, MONTHS[-1], CALENDAR).set_index("member")
    assert made.loc["A", "basis"] == shaping.ESTIMATED
    assert made.loc["A", "low_ratio"] < -2.5 < made.loc["A", "high_ratio"]
    assert "against their family" in made.loc["all", "evidence"]


def test_a_general_price_rise_tells_nothing_and_is_called_assumed() -> None:
    history, price = priced(-2.5, moved=False)
    made = shaping.learn_price_effects(history, price, ITEM, MONTHS[-1], CALENDAR)
    assert made[["member", "basis"]].to_numpy().tolist() == [["all", "assumed"]]
    assert made["effect_ratio"].item() == shaping.ASSUMED_ELASTICITY
    assert "published" in made["evidence"].item()


def test_price_cases_add_up_by_hand() -> None:
    agreed = consensus()
    effect = shaping.learn_price_effects(sold(events()), tables.table("price").empty(), ITEM, MONTHS[-1], CALENDAR)
    case = shaping.price_cases(agreed, effect, ITEM).set_index(["family", "price_change_ratio"]).loc[("Grills", 0.05)]
    factor = 1.05**shaping.ASSUMED_ELASTICITY
    assert case["quantity_change_qty"] == pytest.approx(4800 * (factor - 1))
    assert case["revenue_change_amt"] == pytest.approx(48_000 * (1.05 * factor - 1))
    assert case["margin_change_amt"] == pytest.approx(4800 * (factor * (10.5 - 6) - 4))
    assert case["margin_change_low_amt"] < case["margin_change_amt"] < case["margin_change_high_amt"]
    assert case["basis"] == "assumed"


# ------------------------------------------------------------------ cases


def consensus(quantity: float = 100.0) -> pd.DataFrame:
    rows = pd.MultiIndex.from_product([list("ABCD"), list("MN"), AHEAD], names=["item_id", "market_id", "period"]).to_frame(index=False)
    rows = rows.assign(demand_qty=quantity, low_qty=0.8 * quantity, high_qty=1.2 * quantity, price_amt=10.0)
    return tables.validate("consensus_demand", rows.assign(revenue_amt=rows["demand_qty"] * rows["price_amt"]))


NONE = tables.table("driver_effect").empty()


def cases(event_table: pd.DataFrame, effect: pd.DataFrame = NONE, agreed: pd.DataFrame | None = None) -> pd.DataFrame:
    made = shaping.promotion_cases(consensus() if agreed is None else agreed, event_table, effect, ITEM, MARKET)
    return made.set_index("event_id")


def idea(**row: object) -> dict:
    effect = {"uplift_ratio": 0.5, "pull_forward_ratio": 0.1, "price_change_ratio": -0.1, "cost_amt": 50.0, "status": "idea"}
    return event(**{"from_period": "2026-12-01", "to_period": "2026-12-01", **effect, **row})


def test_an_idea_is_priced_before_it_is_planned() -> None:
    """Grills in the North: 200 a month at 10, cost 6. Half again as many, 2 × 20 pulled in, all 340 with 1 off."""
    case = cases(events(idea())).loc["E1"]
    assert case[["base_qty", "uplift_qty", "pulled_forward_qty", "price_amt", "unit_cost_amt"]].tolist() == [200, 100, 40, 10, 6]
    assert case["margin_gained_amt"] == pytest.approx(100 * 4)
    assert case["discount_given_amt"] == pytest.approx(340 * 1)
    assert case["net_amt"] == pytest.approx(400 - 340 - 50)
    # At the break-even uplift u: 200 u (4 − 1) = 1 · (200 + 40) + 50.
    assert case["break_even_ratio"] == pytest.approx(290 / 600)
    assert case["basis"] == "as stated"
    even = cases(events(idea(uplift_ratio=case["break_even_ratio"]))).loc["E1"]
    assert even["net_amt"] == pytest.approx(0.0, abs=1e-9)


def test_cannibalised_margin_counts_against_a_promotion() -> None:
    alone = cases(events(idea(item_id="A"))).loc["E1"]
    taking = cases(events(idea(item_id="A", cannibalisation_ratio=0.4))).loc["E1"]
    assert taking["cannibalised_qty"] == pytest.approx(0.4 * alone["uplift_qty"])
    assert taking["net_amt"] == pytest.approx(alone["net_amt"] - 0.4 * alone["uplift_qty"] * 4)


def test_a_planned_promotion_is_taken_out_of_the_consensus_first() -> None:
    agreed = consensus()
    planned = idea(status="planned", region="North")
    grills = agreed["item_id"].isin(["A", "B"]) & (agreed["market_id"] == "M")
    for item in "AB":
        rows = grills & (agreed["item_id"] == item)
        agreed.loc[rows, "demand_qty"] = promotion_demand(
            agreed[rows].set_index("period")["demand_qty"], events(planned).iloc[0]
        ).to_numpy()
    agreed["revenue_amt"] = agreed["demand_qty"] * 10
    assert cases(events(planned), agreed=agreed).loc["E1", "net_amt"] == pytest.approx(cases(events(idea())).loc["E1", "net_amt"])


def test_what_history_tells_goes_before_what_is_stated() -> None:
    effect = shaping.learn_event_effects(sold(APRILS), APRILS, ITEM, MARKET, MONTHS[-1], CALENDAR)
    case = cases(events(idea()), effect).loc["E1"]
    assert case["basis"] == "estimated from history"
    assert case["uplift_ratio"] == pytest.approx(UPLIFT, abs=0.08)


def test_a_price_event_without_a_stated_uplift_takes_the_elasticity() -> None:
    effect = shaping.learn_price_effects(sold(events()), tables.table("price").empty(), ITEM, MONTHS[-1], CALENDAR)
    case = cases(events(idea(kind="price", uplift_ratio=0.0, pull_forward_ratio=0.0)), effect).loc["E1"]
    assert case["uplift_ratio"] == pytest.approx(0.9**shaping.ASSUMED_ELASTICITY - 1)
    assert case["basis"] == "assumed"


def test_an_event_in_the_middle_of_a_month_is_told() -> None:
    table = events(idea(from_period="2026-12-10", to_period="2026-12-20"))
    assert cases(table).empty
    assert [f["rule"] for f in shaping.event_findings(consensus(), table, ITEM, MARKET)] == ["event_covers_no_period"]


def test_promotions_outside_the_horizon_or_for_nothing_planned_are_told_and_stop_no_other() -> None:
    table = events(idea(), idea(event_id="E2", from_period="2030-01-01", to_period="2030-01-01"), idea(event_id="E3", family="Tents"))
    assert list(cases(table).index) == ["E1"]
    found = shaping.event_findings(consensus(), table, ITEM, MARKET)
    assert [(f["rule"], f["keys"]) for f in found] == [("event_outside_horizon", "event_id=E2"), ("event_without_demand", "event_id=E3")]
    assert "2026-10-01 to 2027-09-01" in found[0]["remedy"]


@given(st.lists(st.floats(0, 1e5), min_size=4, max_size=12), st.integers(0, 3), st.integers(0, 2), st.floats(-0.9, 5), st.floats(0, 0.9))
def test_a_promotion_can_be_taken_out_again(base: list[float], start: int, length: int, uplift: float, pulled: float) -> None:
    months = pd.date_range("2026-01-01", periods=len(base), freq="MS")
    row = {"from_period": months[start], "to_period": months[min(start + length, len(base) - 1)], "uplift_ratio": uplift,
           "pull_forward_ratio": pulled}  # fmt: skip
    demand = pd.Series(base, index=months)
    back = without_promotion(promotion_demand(demand, row), row)
    np.testing.assert_allclose(back, demand, rtol=1e-6, atol=1e-6)
