-- What a month may subcontract, a week.
select * replace (subcontract_limit_qty * 12 / 52 as subcontract_limit_qty) from production
