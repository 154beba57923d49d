"""Statistical forecast: Prophet's structure under Theta and ETS, chosen and weighted by back-test.

`forecast_tables` is the one call a review needs. The parts stand alone: `structure` estimates
season and events, `candidates` are the models, `backtest` scores and weighs them, `intervals` gives
the range, `hierarchy` spreads and reconciles, `static` is the method of the textbooks by hand.
"""

from sop_workbench.forecast.engine import forecast_tables, statistical_forecast
from sop_workbench.forecast.hierarchy import reconcile, spread
from sop_workbench.forecast.static import StaticForecast, static_forecast

__all__ = ["StaticForecast", "forecast_tables", "reconcile", "spread", "static_forecast", "statistical_forecast"]
