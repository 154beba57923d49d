select ProductID as item_id, StartDate as valid_from, EndDate as valid_to, StandardCost as standard_cost_amt from ProductCostHistory
