"""Material requirements: down the bill of material, netted against stock and orders, in lots, from suppliers."""

from sop_workbench.lots import (
    LotRule,
    economic_periods,
    lot_for_lot,
    period_lots,
    silver_meal,
    sized_lots,
    wagner_whitin,
)
from sop_workbench.materials.explosion import component_demand, explode
from sop_workbench.materials.netting import net_requirements
from sop_workbench.materials.planning import LOT_RULES, MaterialPlan, plan_materials
from sop_workbench.structure import find_loops, low_level_codes, refuse_loops

__all__ = [
    "LOT_RULES",
    "LotRule",
    "MaterialPlan",
    "component_demand",
    "economic_periods",
    "explode",
    "find_loops",
    "lot_for_lot",
    "low_level_codes",
    "net_requirements",
    "period_lots",
    "plan_materials",
    "refuse_loops",
    "silver_meal",
    "sized_lots",
    "wagner_whitin",
]
