"""Addresses: from any way of writing one to a door and a place that can be compared."""
