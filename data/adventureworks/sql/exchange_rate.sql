select ToCurrencyCode as currency, CurrencyRateDate as rate_date, EndOfDayRate as rate from CurrencyRate
