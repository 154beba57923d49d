"""Inventory: what theory says about lots and safety stock, targets, budgets, echelons, projected stock and cover."""

from sop_workbench.inventory.budget import (
    best_service,
    least_stock,
    overall_cycle_service,
    overall_fill,
    stock_tradeoff,
    stocked_places,
)
from sop_workbench.inventory.cover import cover_periods, projected_cover, stock_cover
from sop_workbench.inventory.echelons import guaranteed_service, placement_costs
from sop_workbench.inventory.placement import stock_placement
from sop_workbench.inventory.targets import error_at_lags, inventory_targets
from sop_workbench.inventory.theory import (
    cycle_service,
    eoq,
    fill_rate,
    newsvendor,
    newsvendor_cost,
    newsvendor_empirical,
    newsvendor_poisson,
    normal_loss,
    safety_stock,
    safety_stock_for_fill,
)
from sop_workbench.inventory.value import holding_cost, unit_value
from sop_workbench.lanes import lanes_for, reachable_places
from sop_workbench.lots import lot_cost, wagner_whitin

__all__ = [
    "best_service",
    "cover_periods",
    "cycle_service",
    "eoq",
    "error_at_lags",
    "fill_rate",
    "guaranteed_service",
    "holding_cost",
    "inventory_targets",
    "lanes_for",
    "least_stock",
    "lot_cost",
    "newsvendor",
    "newsvendor_cost",
    "newsvendor_empirical",
    "newsvendor_poisson",
    "normal_loss",
    "overall_cycle_service",
    "overall_fill",
    "placement_costs",
    "projected_cover",
    "reachable_places",
    "safety_stock",
    "safety_stock_for_fill",
    "stock_cover",
    "stock_placement",
    "stock_tradeoff",
    "stocked_places",
    "unit_value",
    "wagner_whitin",
]
