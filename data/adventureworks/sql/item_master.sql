select p.ProductID as item_id,
       cast(p.MakeFlag as boolean) as is_made,
       cast(p.FinishedGoodsFlag as boolean) as is_finished,
       p.StandardCost as standard_cost_amt,
       p.SafetyStockLevel as safety_stock_qty,
       p.SellStartDate as sale_start_date,
       p.SellEndDate as sale_end_date
from Product p
