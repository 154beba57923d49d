-- Not in the extract: targets by ABC class are an assumption.
select * from (values ('A', 0.97), ('B', 0.95), ('C', 0.90)) as t(item_or_class, service_level_ratio)
