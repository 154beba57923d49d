select s.BusinessEntityID as sales_person_id, t.Name as region
from SalesPerson s left join SalesTerritory t on t.TerritoryID = s.TerritoryID
