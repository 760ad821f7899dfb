"""How good is the method, and how fair: measured on past data by a protocol, and on simulated look-alikes.

`splits` runs a backtest, `protocol` says when it trains and tests, `lookalikes` measures a model on honest buyers who
look like abusers. Nothing is imported here, so that reading a mapping does not wait for what training needs.
"""
