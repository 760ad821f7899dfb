"""The night: a better model or none, and thresholds that mean tomorrow what they meant today.

cut-off → matured labels → features by replay → fit → gates → register → promote, or refuse and say why. docs/nightly.md
describes each step; `night.run_night` is the whole of it.
"""
