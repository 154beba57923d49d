-- Actuals of the warehouse's ledger. Its calendar runs 153 days before the orders' (see stock_on_hand.sql): 153 days later its
-- dates are the days on which reseller orders are booked, one statement a period. It does not tie to the orders.
with shift as (
    select 153 + date_diff('day', date '2011-05-31', cast(min(OrderDate) as date)) as days from SalesOrderHeader
), entry as (
    select AccountKey, cast(Date as date) + (select days from shift)::integer as day, Amount from FactFinance where ScenarioKey = 1
)
select cast(a.AccountCodeAlternateKey as varchar) || ' ' || a.AccountDescription as account,
       period_of(e.day) as period,
       sum(e.Amount) as amount_amt
from entry e
join DimAccount a on a.AccountKey = e.AccountKey
where e.day <= :as_of
group by all
