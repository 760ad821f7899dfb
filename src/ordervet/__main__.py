"""``python -m ordervet`` is the command line."""

from ordervet.cli import run

run()
