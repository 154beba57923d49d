"""The statistical forecast: candidate models, back-test and choice, intervals, hierarchy."""
