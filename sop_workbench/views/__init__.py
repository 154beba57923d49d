"""Display-ready tables: what a planner or the board sees, made from the tables of a cycle.

A view only selects, adds up and words what the reviews computed; a ratio is formed after adding up.
Each view is a frame whose `attrs` carry three texts: `title` (what is seen), `note` (how to read it,
with the formula) and `empty` (what to say when there is no row). Columns keep the suffixes of the
tables, so a screen knows how to write them. `¤` stands for the reporting currency.

One module per review; `words` and `frames` serve them all.
"""

from sop_workbench.views.capacity_and_stock import (
    buildable,
    capacity_table,
    inventory_tradeoff,
    load_by_method,
    material_exceptions,
    purchase_orders,
    service_measures,
    stock_cover,
    stock_options,
    stock_placement,
)
from sop_workbench.views.data_gathering import (
    SEVERITIES,
    correction_case,
    correction_list,
    feed_status,
    history_corrections,
    issue_list,
    issue_scorecard,
)
from sop_workbench.views.demand import (
    bias_heat_map,
    consensus_by_family,
    demand_by_region,
    demand_gap,
    demand_issues,
    demand_range,
    demand_vs_budget,
    driver_effect_list,
    driver_effects,
    override_log,
    pipeline,
    pipeline_deals,
    price_case_list,
    price_cases,
    promotion_cases,
    risk_register,
    risks_opportunities,
    stream_record,
    stream_weights,
    streams,
    value_added,
)
from sop_workbench.views.execution import (
    ACTUAL,
    action_list,
    alerts,
    assumption_list,
    cadence,
    driver_causes,
    driver_members,
    driver_overview,
    error_by_lag,
    family_grid,
    maturity,
    plan_vs_actual,
    root_causes,
    waterfall,
)
from sop_workbench.views.executive import decision_followup, decision_line, decisions, family_numbers
from sop_workbench.views.finance import (
    bridge,
    budget_bridge,
    cash,
    estimate_gap,
    gap_heat_map,
    goal_alignment,
    inventory_money,
    last_plan_bridge,
    profit_and_loss,
    profit_bridge,
    profit_by_period,
    revenue_bridge,
    revenue_sources,
    statement,
    statement_by,
)
from sop_workbench.views.forecast import (
    LARGEST_FAMILY,
    corrections_by_item,
    decomposition,
    demand_story,
    error_leaderboard,
    event_list,
    forecast_fan,
    range_coverage,
)
from sop_workbench.views.pre_sop import (
    BOARD_KPIS,
    STATUS_ICONS,
    STATUS_WORDS,
    kpi_by_month,
    kpi_cards,
    kpi_list,
    kpi_scorecard,
    plan_risk,
    risk_value,
    risks,
    sample_outcomes,
    scenario_deltas,
    scenario_table,
    service_frontier,
    vulnerability,
)
from sop_workbench.views.product import (
    abc_xyz,
    excess,
    launch_curves,
    launch_estimates,
    launch_fan,
    lifecycle_events,
    phase_outs,
    portfolio,
    tail,
    tail_curve,
)
from sop_workbench.views.supply import (
    allocation,
    bottleneck_hours,
    bottleneck_sentences,
    bottlenecks,
    demand_vs_plan,
    floor_cost,
    load_heat_map,
    not_made,
    purchase_list,
    purchases,
    rounding,
    service,
    shortage_reasons,
    shortages,
    stock_vs_target,
)
from sop_workbench.views.weekly_execution import allocation_ahead, exception_list, late_supply, load_ahead, projected_stockouts
from sop_workbench.views.what_if import WHAT_IF_VOLUMES, what_if_limits, what_if_load, what_if_measures, what_if_volume
from sop_workbench.views.words import MONEY, NO_FAMILY, OTHER, UNITS, heading, in_unit, percent, period_labels, short, signed
