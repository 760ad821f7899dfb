"""Platform exports as data: which columns a template has, and what they become. docs/formats.md tells how."""

from ordervet.contract.formats.definition import Format
from ordervet.contract.formats.description import FileDescription, describe_file
from ordervet.contract.formats.library import list_formats

__all__ = ["FileDescription", "Format", "describe_file", "list_formats"]
