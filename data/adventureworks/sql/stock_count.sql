select ProductID as item_id, LocationID as place_id, Quantity as on_hand_qty, ModifiedDate as changed_date from ProductInventory
