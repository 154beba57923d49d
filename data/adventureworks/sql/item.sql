-- Items already on the range on the as-of date; a later launch or end of sale is not known yet.
-- Cost is the one valid on the as-of date, not Product.StandardCost, which is today's.
with unit as (
    select ComponentID as ProductID, min(trim(UnitMeasureCode)) as base_unit
    from BillOfMaterials where ProductAssemblyID is not null group by ComponentID
), cost as (
    select ProductID, max_by(StandardCost, StartDate) as StandardCost
    from ProductCostHistory where StartDate < :as_of + 1 group by ProductID
)
select p.ProductID as item_id,
       p.Name as item_name,
       case when cast(p.FinishedGoodsFlag as boolean) then 'finished'
            when cast(p.MakeFlag as boolean) then 'component' else 'material' end as item_type,
       s.Name as family,
       c.Name as category,
       coalesce(u.base_unit, 'EA') as base_unit,
       nullif(k.StandardCost, 0) as standard_cost_amt,
       cast(p.SellStartDate as date) as launch_date,
       case when cast(p.SellEndDate as timestamp) < :as_of + 1 then cast(p.SellEndDate as date) end as phase_out_date,
       case when cast(p.MakeFlag as boolean) then 'make' else 'buy' end as make_or_buy,
       p.SafetyStockLevel as reorder_safety_stock_qty
from Product p
left join ProductSubcategory s on s.ProductSubcategoryID = p.ProductSubcategoryID
left join ProductCategory c on c.ProductCategoryID = s.ProductCategoryID
left join unit u on u.ProductID = p.ProductID
left join cost k on k.ProductID = p.ProductID
where p.SellStartDate < :as_of + 1
