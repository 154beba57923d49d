-- Actuals of the warehouse's ledger by month; it does not tie to the orders. Its dates run with the warehouse's calendar as published.
with shift as (
    select date_diff('day', date '2011-05-31', cast(min(OrderDate) as date)) as days from SalesOrderHeader
)
select cast(a.AccountCodeAlternateKey as varchar) || ' ' || a.AccountDescription as account,
       cast(date_trunc('month', cast(f.Date as date) + (select days from shift)::integer) as date) as period,
       sum(f.Amount) as amount_amt
from FactFinance f
join DimAccount a on a.AccountKey = f.AccountKey
where f.ScenarioKey = 1 and cast(f.Date as date) + (select days from shift)::integer <= :as_of
group by all
