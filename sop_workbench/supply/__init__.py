"""Supply plan: the most profitable plan that the limits allow, and what each limit costs.

`plan_supply` is the one call a review needs. `instance` turns tables into sparse sets and parameters,
`model` states sets and variables, `constraints` one function per constraint family, `costs` one named
expression per finance column, `solve` hands the arrays to HiGHS, `readback` turns the solution into
tables, `explain` says which limits bind and what one more unit is worth, `ranges` how far that holds,
`shortage` why an item is short and what is not made, `bottleneck` what an hour earns, `allocation` who
gets what, `rounding` whether whole quantities still work, `objective` aims at service or cost first.
"""

from sop_workbench.supply.plan import EXPLANATION_TABLES, RESULT_TABLES, SupplyResult, contract_floor_cost, plan_supply

__all__ = ["EXPLANATION_TABLES", "RESULT_TABLES", "SupplyResult", "contract_floor_cost", "plan_supply"]
