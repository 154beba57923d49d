select BillOfMaterialsID as record_id, ProductAssemblyID as parent_item_id, ComponentID as component_item_id,
       PerAssemblyQty as quantity_per, trim(UnitMeasureCode) as unit, StartDate as valid_from, EndDate as valid_to
from BillOfMaterials
