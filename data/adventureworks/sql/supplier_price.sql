select BusinessEntityID as supplier_id, ProductID as item_id, StandardPrice as price_amt, trim(UnitMeasureCode) as purchase_unit,
       AverageLeadTime as lead_time_days
from ProductVendor
