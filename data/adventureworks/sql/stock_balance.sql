select ProductKey as item_key, cast(MovementDate as date) as balance_date, UnitsIn as in_qty, UnitsOut as out_qty, UnitsBalance as balance_qty
from FactProductInventory
