-- The extract books sales by month. Its weeks take their share of the month's days, busier or quieter by a number that is drawn from
-- item, market and week and is therefore always the same; the weeks of a month sum to the month.
with day as (
    select cast(unnest(generate_series(date '2023-10-02', last_day(cast(:as_of as date)), interval 1 day)) as date) as d
), piece as (
    select cast(date_trunc('month', d) as date) as month, period_of(d) as week, count(*) as days from day group by all
), weighed as (
    select s.*, p.week, p.days * (0.7 + 0.6 * (md5_number_lower(s.item_id || s.market_id || p.week) % 1000) / 1000.0) as weight
    from sales_history s join piece p on p.month = s.period
), placed as (
    select *, sum(weight) over so_far / sum(weight) over whole as upto, (sum(weight) over so_far - weight) / sum(weight) over whole as before,
           coalesce(shipped_qty / nullif(ordered_qty, 0), 0) as shipped, coalesce(on_time_qty / nullif(ordered_qty, 0), 0) as on_time,
           coalesce(complete_order_count / nullif(order_count, 0), 0) as complete
    from weighed
    window whole as (partition by item_id, market_id, period), so_far as (partition by item_id, market_id, period order by week)
)
select item_id,
       market_id,
       week as period,
       sum(round(ordered_qty * upto) - round(ordered_qty * before)) as ordered_qty,
       sum(floor(round(ordered_qty * upto) * shipped + 1e-9) - floor(round(ordered_qty * before) * shipped + 1e-9)) as shipped_qty,
       sum(floor(round(ordered_qty * upto) * on_time + 1e-9) - floor(round(ordered_qty * before) * on_time + 1e-9)) as on_time_qty,
       sum(round(order_count * upto) - round(order_count * before)) as order_count,
       sum(floor(round(order_count * upto) * complete + 1e-9) - floor(round(order_count * before) * complete + 1e-9))
           as complete_order_count,
       sum(round(net_sales_amt * upto) - round(net_sales_amt * before)) as net_sales_amt,
       max(is_stockout) as is_stockout
from placed
where week <= :as_of
group by all
