select k.ProductKey as item_key, p.ProductID as item_id
from DimProduct k join Product p on p.ProductNumber = k.ProductAlternateKey
