-- Rows valid on the as-of date; root rows (without parent) only name the finished product. An end after the as-of date is not known yet.
select b.ProductAssemblyID as parent_item_id,
       b.ComponentID as component_item_id,
       b.PerAssemblyQty as quantity_per,
       cast(b.StartDate as date) as valid_from
from BillOfMaterials b
join Product parent on parent.ProductID = b.ProductAssemblyID and parent.SellStartDate < :as_of + 1
join Product part on part.ProductID = b.ComponentID and part.SellStartDate < :as_of + 1
where b.StartDate < :as_of + 1 and (b.EndDate is null or cast(b.EndDate as timestamp) >= :as_of + 1)
