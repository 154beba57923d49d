"""Supply plan: the most profitable plan that the limits allow, and what each limit costs.

`plan_supply` is the one call a review needs. `instance` turns tables into sparse sets and parameters,
`model` states sets and variables, `constraints` one function per constraint family, `costs` one named
expression per finance column, `solve` hands the arrays to HiGHS, `readback` turns the solution into
tables, `explain` says which limits bind and what one more unit is worth.
"""

from sop_workbench.supply.plan import RESULT_TABLES, SupplyResult, plan_supply

__all__ = ["RESULT_TABLES", "SupplyResult", "plan_supply"]
