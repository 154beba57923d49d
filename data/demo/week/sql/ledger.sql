-- Flows of a closed month over its days; balances are those of the last month that is closed.
with day as (
    select cast(unnest(generate_series(date '2023-10-02', cast(:as_of as date), interval 1 day)) as date) as d
), piece as (
    select cast(date_trunc('month', d) as date) as month, period_of(d) as week, count(*) as days from day group by all
), closed as (
    select * from ledger where last_day(period) <= cast(:as_of as date)
)
select l.account, p.week as period, sum(l.amount_amt * p.days / day(last_day(p.month))) as amount_amt
from closed l join piece p on p.month = l.period
where l.account not in ('inventory', 'receivables', 'payables', 'cash')
group by all
union all
select l.account, w.week, arg_max(l.amount_amt, l.period)
from closed l join (select distinct week from piece) w on last_day(l.period) <= w.week + 6
where l.account in ('inventory', 'receivables', 'payables', 'cash')
group by all
