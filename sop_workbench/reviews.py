"""The S&OP process on one page: eight reviews, each reads tables, calls plain functions, writes tables.

Every review takes a cycle of the store and returns the tables it read and wrote, by name, ready for
`views`. The chain runs them through the notebooks of the same number; they can be called by hand too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from sop_workbench import (
    capacity,
    checks,
    decision,
    demand,
    driver_tree,
    execution,
    finance,
    follow_up,
    goals,
    governance,
    inventory,
    kpi,
    materials,
    outlook,
    product,
    risk,
    roles,
    scenario,
    scorecard,
    scoring,
    shaping,
    sources,
    statement,
    supply,
    tables,
    weekly_execution,
    what_if,
)
from sop_workbench.errors import DataError
from sop_workbench.forecast import forecast_tables
from sop_workbench.forecast.decomposition import demand_components
from sop_workbench.periods import Calendar, due_day
from sop_workbench.settings import Settings
from sop_workbench.store import Cycle

Tables = dict[str, pd.DataFrame]
Situation = tuple[Tables, pd.DataFrame, pd.DataFrame, Settings, pd.DatetimeIndex, Calendar]
# How many can we make is asked for the quarter ahead.
_BUILDABLE_PERIODS = 3


def data_gathering_review(cycle: Cycle) -> Tables:
    """Step 0: load the sources, check them, propose corrections of history; a blocking issue stops the cycle.

    With the actuals that came in, the assumptions and decisions of earlier cycles whose time is over are scored.

    Raises
    ------
    DataError
        With every finding, when one of them blocks. The `issue` table is written all the same; no input is.
    """
    settings = cycle.settings
    inputs, issue = gather(settings, cycle.workspace.folder, cycle.as_of)
    inputs["previous_plan"] = previous_plan(cycle, inputs["previous_plan"])
    cycle.write("issue", issue, note="data checks")
    if (issue["severity"] == "blocks").any():
        raise DataError(issue[issue["severity"] == "blocks"])
    corrections = propose_corrections(cycle, inputs, cycle.records("history_decision"))
    cycle.write_all({**inputs, "history_correction": corrections}, note="inputs as gathered")
    score_records(cycle, inputs)
    return {**inputs, "issue": issue, "history_correction": corrections}


def propose_corrections(cycle: Cycle, inputs: Tables, decisions: pd.DataFrame) -> pd.DataFrame:
    """`history_correction`: what looks wrong in the history of sales, with what people said about it so far."""
    proposed = demand.history_corrections(inputs["sales_history"], inputs["event"], cycle.settings, cycle.calendar, cycle.as_of,
                                          inputs["item"], inputs["market"])
    return demand.decide_corrections(proposed, decisions)


def gather(settings: Settings, workspace: Path, as_of: pd.Timestamp) -> tuple[Tables, pd.DataFrame]:
    """Load and check the sources as of a day: the input tables and every finding (`issue`); nothing is written."""
    inputs, found = sources.load_inputs(settings, workspace, as_of)
    documents, unread = sources.load_documents(settings, workspace, as_of)
    return inputs, _join("issue", [found, unread, checks.run_checks(inputs, documents, settings, as_of)])


def product_review(cycle: Cycle) -> Tables:
    """Step 1: classes of items, launches, phase-outs, portfolio health and excess stock with its money."""
    read = _read(cycle, ["item", "price", "sales_history", "stock_on_hand", "history_correction"])
    made = _read(cycle, ["production", "supplier_item", "bill_of_material"])
    settings, calendar, as_of = cycle.settings, cycle.calendar, cycle.as_of
    history = demand.apply_corrections(read["sales_history"], read["history_correction"])
    ahead = product.periods_judged(read["item"], cycle.periods, settings, calendar)
    run_rate = product.seasonal_run_rate(history, read["item"], ahead, calendar)
    item_class = product.classify_items(read["item"], history, read["price"], settings, as_of, calendar)
    written = {
        "item_class": item_class,
        "launch_forecast": product.launch_forecast(read["item"], history, cycle.periods, calendar),
        "launch_curve": product.launch_curves(read["item"], history, cycle.periods, calendar),
        "phase_out_plan": product.phase_out(read["item"], run_rate, read["stock_on_hand"], as_of, calendar,
                                            product.total_lead_times(**made)),
        "excess_stock": product.excess_stock(read["item"], read["stock_on_hand"], run_rate, item_class, settings, calendar),
        "portfolio": product.portfolio(read["item"], item_class, read["stock_on_hand"]),
    }
    return _write(cycle, read, written, "product review")


def demand_review(cycle: Cycle) -> Tables:
    """Step 2: statistical forecast, streams, their weights, the consensus: unconstrained demand in units and money."""
    inputs = cycle.inputs()
    read = _read(cycle, ["history_correction", "launch_forecast"])
    settings, calendar, periods = cycle.settings, cycle.calendar, cycle.periods
    history = demand.apply_corrections(inputs["sales_history"], read["history_correction"])
    pins, locks = cycle.records("model_pin"), cycle.records("demand_lock")
    made = forecast_tables(history, periods, settings, calendar, inputs["event"], inputs["item"], inputs["market"], pins)
    forecast = made["statistical_forecast"]
    said, told = _known_inputs(cycle, inputs)
    streams = demand.demand_streams(forecast, read["launch_forecast"], said, periods, calendar)
    archive = past_plans(cycle, inputs["plan_archive"])
    weights = demand.stream_weights(archive, inputs["sales_history"], streams, calendar)
    adjustments = cycle.records("demand_adjustment")
    agreed = demand.consensus(streams, weights, said["demand_adjustment"], forecast, read["launch_forecast"], inputs, locks)
    written = {
        **made,
        "demand_stream": streams,
        "forecast_component": demand_components(history, forecast, periods, calendar, inputs["event"], inputs["item"], inputs["market"]),
        "plan_waterfall": execution.waterfall(archive, inputs["sales_history"]),
        "stream_weight": weights,
        "consensus_demand": agreed,
        "forecast_value_added": demand.forecast_value_added(archive, inputs["sales_history"], calendar),
        "stream_record": demand.stream_record(archive, inputs["sales_history"], inputs, calendar),
        **_demand_outlook(cycle, inputs, said, history, agreed, told, made["forecast_range"]),
    }
    asked = follow_up.change_requests(cycle)  # shown only: what somebody asks for changes no figure
    records = {"demand_adjustment": adjustments, "model_pin": pins, "demand_lock": locks, "change_request": asked}
    return _write(cycle, {**inputs, **read, **records}, written, "demand review")


def _known_inputs(cycle: Cycle, inputs: Tables) -> tuple[Tables, list[dict]]:
    """The inputs with what people said about items and markets on file, and a finding for everything else."""
    said, told = dict(inputs), []
    for name, rows in (("demand_input", inputs["demand_input"]), ("opportunity", inputs["opportunity"]),
                       ("demand_adjustment", cycle.records("demand_adjustment"))):
        said[name], found = demand.known_scope(rows, name, inputs)
        told += found
    return said, told + demand.adjustment_findings(said["demand_adjustment"], cycle.periods, cycle.records("assumption"),
                                                   cycle.records("demand_lock"), inputs)


def _demand_outlook(
    cycle: Cycle, inputs: Tables, said: Tables, history: pd.DataFrame, agreed: pd.DataFrame, told: list[dict], ranges: pd.DataFrame
) -> Tables:
    """What drives the demand agreed on, what promotions and prices would bring, risks and opportunities, the gap to budget."""
    item, market, last = inputs["item"], inputs["market"], cycle.calendar.add(cycle.period, -1)
    effects = _join("driver_effect", [
        shaping.learn_event_effects(history, inputs["event"], item, market, last, cycle.calendar),
        shaping.learn_price_effects(history, inputs["price"], item, last, cycle.calendar)])
    cases = shaping.promotion_cases(agreed, inputs["event"], effects, item, market)
    deals = outlook.pipeline_lines(said["opportunity"], agreed, inputs["sales_history"], inputs, cycle.periods, cycle.calendar)
    told = told + shaping.event_findings(agreed, inputs["event"], item, market)
    return {
        "driver_effect": effects,
        "promotion_case": cases,
        "price_case": shaping.price_cases(agreed, effects, item),
        "pipeline_line": deals,
        "risk_opportunity": outlook.risks_and_opportunities(agreed, deals, cases, effects, item, cycle.settings.forecast.interval_ratio,
                                                            ranges),
        "demand_gap": outlook.demand_gap(agreed, inputs["budget"], item, market),
        "demand_issue": tables.issue_frame(told),
    }


def supply_review(cycle: Cycle) -> Tables:
    """Step 3: rough-cut load, stock targets and the most profitable feasible plan, with what stops it."""
    inputs = cycle.inputs()
    read = _read(cycle, ["consensus_demand", "item_class", "forecast_error"])
    settings, calendar = cycle.settings, cycle.calendar
    demand_now = read["consensus_demand"]
    requirement = materials.explode(inputs["bill_of_material"], demand_now, calendar)
    lag_error = inventory.error_at_lags(past_plans(cycle, inputs["plan_archive"]), inputs["sales_history"], calendar)
    target = inventory.inventory_targets(demand_now, requirement, read["forecast_error"], read["item_class"], inputs, settings, calendar,
                                         lag_error=lag_error)
    plan = supply.plan_supply(inputs, demand_now, target, settings, cycle.periods, calendar)
    written = {
        "inventory_target": target,
        "capacity_load": capacity.rough_cut_load(demand_now, inputs, calendar),
        "buildable": capacity.how_many(demand_now, inputs, cycle.periods[:_BUILDABLE_PERIODS], calendar),
        **_stock_tables(cycle, inputs, demand_now, requirement, target),
        **plan.tables,
        **_material_tables(cycle, inputs, plan.supply_plan, target),
        **plan.explanation,
        "contract_floor_cost": supply.contract_floor_cost(plan, inputs, demand_now, target, settings, cycle.periods, calendar),
    }
    return _write(cycle, {**inputs, **read}, written, "supply review")


def what_if_situation(cycle: Cycle) -> Situation:
    """Everything a what-if is loaded from, as `WhatIf` takes it.

    Raises
    ------
    UnknownCycleError
        When the cycle is not planned that far.
    """
    return (cycle.inputs(), cycle.read("consensus_demand"), cycle.read("inventory_target"), cycle.settings, cycle.periods, cycle.calendar)


def what_if_session(cycle: Cycle) -> what_if.WhatIf:
    """Beside step 3: its plan loaded to pull levers on; nothing is written."""
    return what_if.WhatIf(*what_if_situation(cycle))


def financial_review(cycle: Cycle) -> Tables:
    """Step 4: the plan in money, its gap to the budget and to the last estimate, and what must be true to reach the goal."""
    inputs = cycle.inputs()
    read = _read(cycle, [*supply.RESULT_TABLES, "launch_forecast", "demand_stream"])
    projection = finance.project_financials(
        read["supply_plan"], read["resource_plan"], read["shipment_plan"], read["purchase_plan"], read["unmet_demand"],
        read["inventory_projection"], inputs, cycle.settings, cycle.calendar,
    )
    gap = finance.budget_gap(projection, inputs["budget"])
    last_gap, last_bridges = _against_last_plan(cycle, projection, read["unmet_demand"])
    written = {
        "financial_projection": projection,
        "budget_gap": gap,
        "estimate_gap": last_gap,
        "goal_alignment": goals.goal_alignment(gap, read["binding_limit"], cycle.settings),
        "revenue_source": goals.revenue_sources(read["unmet_demand"], read["launch_forecast"], read["demand_stream"], inputs["item"]),
        "income_statement": finance.income_statement(projection, cycle.calendar, inputs["ledger"]),
        "cash_projection": finance.cash_projection(projection, inputs, cycle.settings, cycle.calendar),
        "financial_statement": _join("financial_statement", [
            statement.past_statement(inputs, cycle.period, cycle.calendar),
            statement.financial_statement(projection, read["unmet_demand"], inputs, cycle.settings, cycle.calendar)]),
        "bridge": _join("bridge", [finance.revenue_bridge(inputs["sales_history"], read["unmet_demand"], cycle.calendar),
                                   finance.profit_bridge(projection), *last_bridges]),
    }
    return _write(cycle, {**inputs, **read}, written, "financial review")


def pre_sop_review(cycle: Cycle) -> Tables:
    """Step 5: scenarios beside base, how the plan stands up to losses and samples, last plan against actuals, KPIs."""
    inputs = cycle.inputs()
    read = _read(cycle, [*supply.RESULT_TABLES, "consensus_demand", "inventory_target", "inventory_tradeoff", "financial_projection",
                         "cash_projection", "budget_gap", "excess_stock", "item_class", "driver_effect"])
    settings, calendar = cycle.settings, cycle.calendar
    scenarios = scenario.load_scenarios(cycle.workspace.folder / "scenarios")
    results = {"base": read, **scenario.evaluate_all(
        scenarios, inputs, read["consensus_demand"], read["inventory_target"], settings, cycle.periods, calendar, read["driver_effect"])}
    for scenario_id, result in results.items():
        if scenario_id != "base":
            cycle.write_all(result, scenario=scenario_id, note=f"scenario {scenario_id}")
    archive = past_plans(cycle, inputs["plan_archive"])
    deviation = execution.plan_deviation(archive, inputs, cycle.as_of, calendar)
    written = {
        "scenario_comparison": scenario.compare(results, scenarios, calendar, read["driver_effect"]),
        "plan_deviation": deviation,
        "root_cause": execution.root_cause(deviation, inputs["price"]),
        "driver_tree": driver_tree.driver_tree(deviation, inputs, settings, calendar),
        "alert": execution.alerts(deviation, read, settings, calendar),
        "kpi": _kpis(cycle, inputs, read, deviation, archive),
        **risk.stress(inputs, read["consensus_demand"], read["inventory_target"], settings, cycle.periods, calendar),
    }
    return _write(cycle, {**inputs, **read, **follow_up.follow_up(cycle)}, written, "pre-S&OP")


def executive_review(cycle: Cycle) -> Tables:
    """Step 6: one page, money first: the gap, the options and the decisions to take."""
    read = _read(cycle, ["item", "financial_projection", "budget_gap", "scenario_comparison", "kpi", "binding_limit", "unmet_demand",
                         "excess_stock", "alert"])
    decisions = decision.open_decisions(read["budget_gap"], read["binding_limit"], read["unmet_demand"], read["excess_stock"],
                                        read["scenario_comparison"], read["alert"], cycle.settings, read["item"],
                                        follow_up.requests_to_decide(cycle))
    said = {**follow_up.follow_up(cycle), "risk": follow_up.risk_register(cycle)}
    return _write(cycle, {**read, **said}, {"open_decision": decisions}, "executive review")


def execution_review(cycle: Cycle) -> Tables:
    """Step 7: locked plans against what happened: error by lag, family grid, adherence."""
    inputs = cycle.inputs()
    read = _read(cycle, ["plan_deviation", "root_cause", "driver_tree", "alert", "kpi", "plan_waterfall"])
    archive = past_plans(cycle, inputs["plan_archive"])
    written = {
        "plan_error_by_lag": execution.error_by_lag(read["plan_deviation"], inputs["market"]),
        "family_grid": execution.family_grid(read["plan_deviation"], archive, inputs, cycle.calendar),
    }
    return _write(cycle, {**inputs, **read, **follow_up.follow_up(cycle)}, written, "execution review")


def score_records(cycle: Cycle, inputs: Tables) -> pd.DataFrame:
    """Record what came of the assumptions and decisions of locked cycles whose time is over, signed by the workbench.

    What a person scored is left alone, and so is what the workbench scored the same way before.
    """
    earlier = [past for past in cycle.store.locked_cycles() if past < cycle.id]
    said = {name: _of_cycles(cycle, name, earlier) for name in ("assumption", "decision", "demand_adjustment")}
    plans = {past: cycle.store.cycle(past).read_or_empty("consensus_demand") for past in set(said["assumption"]["cycle_id"])}
    last = {past: max((c for c in earlier if c < past), default=None) for past in set(said["decision"]["cycle_id"])}
    before = {past: cycle.store.cycle(c).read_or_empty("financial_projection") for past, c in last.items() if c is not None}
    scores = [scoring.score_assumptions(said["assumption"], said["demand_adjustment"], plans, inputs, cycle.period, cycle.settings),
              scoring.score_decisions(said["decision"], before, inputs, cycle.period)]
    known = _of_cycles(cycle, "outcome", [name for name in cycle.store.cycles() if name <= cycle.id])
    fresh = pd.concat([scoring.unknown_scores(rows, known, roles.WORKBENCH) for rows in scores if len(rows)] or scores[:1])
    for why, rows in fresh.groupby("why"):
        cycle.append("outcome", rows.drop(columns="why"), by=roles.WORKBENCH, why=str(why))
    return fresh


def _of_cycles(cycle: Cycle, record_table: str, names: list[str]) -> pd.DataFrame:
    rows = cycle.store.read_all(record_table)
    return rows[rows["cycle_id"].isin(names)]


def weekly_execution_review(cycle: Cycle) -> Tables:
    """Last step of a weekly cycle (S&OE): last week against plan, what runs out, what comes late, and who mends it."""
    inputs = cycle.inputs()
    read = _read(cycle, [*supply.RESULT_TABLES, "consensus_demand", "allocation", "financial_projection", "cash_projection", "budget_gap",
                         "excess_stock", "item_class"])
    settings, calendar, soon = cycle.settings, cycle.calendar, cycle.periods[:weekly_execution.AHEAD]
    archive = past_plans(cycle, inputs["plan_archive"])
    deviation = execution.plan_deviation(archive, inputs, cycle.as_of, calendar)
    runs_out = weekly_execution.projected_stockouts(read["consensus_demand"], read["unmet_demand"], inputs, cycle.periods, calendar)
    value = inventory.unit_value(inputs["item"], inputs["supplier_item"])
    late = weekly_execution.late_supply(inputs, runs_out, cycle.as_of, calendar, value)
    written = {
        "plan_deviation": deviation,
        "plan_error_by_lag": execution.error_by_lag(deviation, inputs["market"]),
        "root_cause": execution.root_cause(deviation, inputs["price"]),
        "projected_stockout": runs_out,
        "late_supply": late,
        "execution_exception": weekly_execution.exceptions(deviation, runs_out, late, read["resource_plan"], read["allocation"],
                                                           read["unmet_demand"], settings, soon, calendar, _called(inputs)),
        "kpi": _kpis(cycle, inputs, read, deviation, archive),
    }
    said = {**follow_up.follow_up(cycle), "change_request": follow_up.handed_over(cycle)}
    return _write(cycle, {**inputs, **read, **said}, written, "weekly execution")


def _called(inputs: Tables) -> dict[str, str]:
    """What people call each market and resource, where it has a name."""
    named = [inputs[kind].set_index(f"{kind}_id")[f"{kind}_name"].dropna() for kind in ("market", "resource")]
    return {str(key): str(name) for names in named for key, name in names.items() if name}


def _against_last_plan(cycle: Cycle, projection: pd.DataFrame, unmet_demand: pd.DataFrame) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Gap and bridges from the plan locked last to this one, over the periods both cover; empty where none was locked before."""
    earlier = [past for past in cycle.store.locked_cycles() if past < cycle.id]
    if not earlier:
        return tables.table("estimate_gap").empty(), []
    last = cycle.store.cycle(max(earlier))
    last_projection = last.read("financial_projection")
    shared = set(projection["period"]) & set(last_projection["period"])
    before, after = (p[p["period"].isin(shared)] for p in (last_projection, projection))
    bridges = [finance.last_plan_bridge(last.read("unmet_demand"), unmet_demand),
               finance.plan_bridge(before, after, "profit_amt", name="last plan to this plan, profit by family")]
    return goals.estimate_gap(projection, last_projection, last.id), bridges if shared else []


def previous_plan(cycle: Cycle, imported: pd.DataFrame) -> pd.DataFrame:
    """Production held by the plan locked in the cycle just before; where there is none, what the sources say."""
    before = cycle.calendar.add(cycle.period, -1)
    earlier = [past for past in map(cycle.store.cycle, cycle.store.locked_cycles()) if past.period == before]
    if not earlier:
        return imported
    return tables.validate("previous_plan", earlier[0].read("supply_plan")[list(tables.table("previous_plan").columns)])


def past_plans(cycle: Cycle, plan_archive: pd.DataFrame) -> pd.DataFrame:
    """Every plan locked before this cycle: those of earlier rounds (`plan_archive`) and of locked cycles of the store."""
    earlier = [past for past in cycle.store.locked_cycles() if past < cycle.id]
    locked = [_plan_of(cycle.store.cycle(past)) for past in earlier]
    imported = plan_archive[~plan_archive["lock_cycle_id"].isin(earlier) & (plan_archive["lock_cycle_id"] < cycle.id)]
    return _join("plan_archive", [imported, *locked])


def _plan_of(cycle: Cycle) -> pd.DataFrame:
    """The streams of a cycle in the shape of `plan_archive`."""
    streams = cycle.read("demand_stream").rename(columns={"demand_qty": "plan_qty"})
    agreed = cycle.read("consensus_demand").rename(columns={"demand_qty": "plan_qty"}).assign(stream="consensus")
    served = cycle.read("unmet_demand").rename(columns={"served_qty": "plan_qty"}).assign(stream="constrained")
    made = cycle.read("inventory_projection").rename(columns={"location_id": "market_id"})
    made = made[made["produced_qty"] > 0].rename(columns={"produced_qty": "plan_qty"}).assign(stream="production")
    columns = list(tables.table("plan_archive").columns)
    frames = [frame.assign(lock_cycle_id=cycle.id)[columns] for frame in (streams, agreed, served, made)]
    return pd.concat(frames, ignore_index=True)


def _stock_tables(cycle: Cycle, inputs: Tables, demand_now: pd.DataFrame, requirement: pd.DataFrame, target: pd.DataFrame) -> Tables:
    """What stock money buys, where along the chain it is best held, how long today's stock lasts."""
    value = inventory.unit_value(inputs["item"], inputs["supplier_item"])
    tradeoff, option = inventory.stock_tradeoff(inventory.stocked_places(target, demand_now, value))
    return {
        "inventory_tradeoff": tradeoff,
        "stock_option": option,
        "stock_placement": inventory.stock_placement(target, demand_now, inputs, value, cycle.calendar),
        "stock_cover": inventory.stock_cover(inputs["stock_on_hand"], requirement, value, cycle.settings, cycle.calendar),
    }


def _material_tables(cycle: Cycle, inputs: Tables, supply_plan: pd.DataFrame, target: pd.DataFrame) -> Tables:
    """Components and purchases that the planned production of finished goods takes, in lots."""
    finished = inputs["item"].loc[inputs["item"]["item_type"] == "finished", "item_id"]
    taken = materials.component_demand(supply_plan[supply_plan["item_id"].isin(finished)], inputs["bill_of_material"], cycle.calendar)
    places = target[["item_id", "location_id"]].drop_duplicates()
    plan = materials.plan_materials(taken, inputs, cycle.periods, cycle.calendar, target=target,
                                    holding_cost=inventory.holding_cost(places, inputs, cycle.settings, cycle.calendar))
    return {"material_plan": plan.material_plan, "planned_purchase": plan.planned_purchase}


def _kpis(cycle: Cycle, inputs: Tables, read: Tables, deviation: pd.DataFrame, archive: pd.DataFrame) -> pd.DataFrame:
    """KPIs of the period just ended and of the plan ahead, in one table."""
    ended = cycle.calendar.add(cycle.period, -1)
    past = execution.past_kpis(deviation, inputs, cycle.settings, ended, cycle.calendar)
    ahead = kpi.kpi_table(
        kpi.plan_measures(read["unmet_demand"], read["resource_plan"], inputs["capacity"], read["financial_projection"], cycle.settings,
                          read["cash_projection"], read["budget_gap"]),
        cycle.settings,
    )
    families = kpi.kpi_table(kpi.family_measures(read["financial_projection"], cycle.settings), cycle.settings)
    stock = inputs["stock_on_hand"].merge(inputs["item"][["item_id", "family"]], on="item_id", how="left", validate="m:1")
    value = stock["on_hand_qty"] * stock["item_id"].map(inventory.unit_value(inputs["item"], inputs["supplier_item"]))
    # What is excess is judged for sold items alone, so its share is one of their stock.
    stock = stock.assign(value_amt=value)[stock["item_id"].isin(read["item_class"]["item_id"])]
    excess = kpi.kpi_table(kpi.excess_measures(read["excess_stock"], stock, ended), cycle.settings)
    moved = execution.stability_measures(_plan_of(cycle), archive, inputs["item"], cycle.settings, cycle.period, cycle.calendar)
    levels = scorecard.level_kpis(deviation, inputs, cycle.settings, ended, cycle.calendar)
    return _join("kpi", [past, levels, ahead, families, excess, kpi.kpi_table(moved, cycle.settings), _process_kpis(cycle)])


def _process_kpis(cycle: Cycle) -> pd.DataFrame:
    """How the cycle locked last was run; this one's own records still grow, so that a step run again would see others."""
    earlier = [past for past in cycle.store.locked_cycles() if past < cycle.id]
    if not earlier:
        return tables.table("kpi").empty()
    last = cycle.store.cycle(max(earlier))
    steps = last.records("step_status")
    measures = kpi.process_measures(steps, _due_days(last), last.records("action"), last.records("decision"),
                                    last.records("demand_adjustment"), steps["at"].max(), last.period)
    promised = governance.action_states(_of_cycles(cycle, "action", earlier), steps["at"].max(), cycle.settings.working_days.holidays)
    on_time = kpi.action_measures(promised, steps["at"].max(), last.period)
    return kpi.kpi_table(pd.concat([measures, on_time], ignore_index=True), cycle.settings)


def _due_days(cycle: Cycle) -> pd.Series:
    """Day on which each step of the settings is due: its working day counted from the cycle's first day."""
    first_day = cycle.as_of + pd.Timedelta(days=1)
    holidays = cycle.settings.working_days.holidays
    return pd.Series({step: due_day(first_day, owned.due_working_day, holidays) for step, owned in cycle.settings.steps.items()},
                     dtype="datetime64[ns]")


def _read(cycle: Cycle, names: Iterable[str]) -> Tables:
    return {name: cycle.read(name) for name in names}


def _write(cycle: Cycle, read: Tables, written: Tables, note: str) -> Tables:
    """Write results as one act (all validated before the first is stored) and hand back everything."""
    cycle.write_all(written, note=note)
    return {**read, **written}


def _join(name: str, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames of one table below each other; empty ones carry no type and are left out."""
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else tables.table(name).empty()
