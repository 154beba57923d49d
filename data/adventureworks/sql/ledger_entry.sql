select f.FinanceKey as entry_id,
       lower(s.ScenarioName) as scenario,
       cast(a.AccountCodeAlternateKey as varchar) || ' ' || a.AccountDescription as account,
       f.Date as entry_date,
       f.Amount as amount_amt
from FactFinance f
join DimScenario s on s.ScenarioKey = f.ScenarioKey
join DimAccount a on a.AccountKey = f.AccountKey
