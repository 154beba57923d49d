"""The S&OP Workbench: one monthly Sales & Operations Planning cycle, end to end, on plain tables."""

__version__ = "0.1.0"
