select w.ProductID as item_id,
       'plant' as location_id,
       period_of(cast(w.EndDate as date)) as period,
       sum(w.StockedQty) as produced_qty
from WorkOrder w
join Product p on p.ProductID = w.ProductID and p.SellStartDate < :as_of + 1
where cast(w.EndDate as timestamp) < :as_of + 1
group by all
