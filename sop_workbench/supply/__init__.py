"""The supply plan: a Pyomo model, one function per constraint family, solved by HiGHS."""
