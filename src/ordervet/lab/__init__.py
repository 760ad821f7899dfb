"""Simulated merchants, backtests and look-alikes: measures of the whole, imported only by the command line."""
