select BusinessEntityID as supplier_id, Name as supplier_name, cast(ActiveFlag as boolean) as is_active from Vendor
