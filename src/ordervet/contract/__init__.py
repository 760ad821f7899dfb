"""What an order is, and how tables, files and exports become orders, outcomes, verdicts and corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.late_imports import export_lazily

if TYPE_CHECKING:
    from ordervet.contract.fields import broken_rules
    from ordervet.contract.files.accounts import FileAccount
    from ordervet.contract.files.event_files import read_counted_events, read_events, read_payload
    from ordervet.contract.files.mapped import MappedTables, apply_mapping
    from ordervet.contract.files.outputs import check_out_path, write_table, write_whole
    from ordervet.contract.files.pieces import kind_of
    from ordervet.contract.files.rows import iter_table_blocks, read_table
    from ordervet.contract.formats import FileDescription, Format, describe_file, list_formats
    from ordervet.contract.mapping import Mapping, load_mapping, shipped_mappings
    from ordervet.contract.model import (
        RESERVED_NAMES,
        Blame,
        Correction,
        Decider,
        Event,
        MaliceKind,
        Order,
        OrderStatus,
        Outcome,
        OutcomeKind,
        RefundReason,
        RefundType,
        Verdict,
        VerdictValue,
    )
    from ordervet.contract.schemas import EventKind, Events, event_schema, order_schema
    from ordervet.contract.tables import split_events, split_orders, validate_events, validate_orders
    from ordervet.contract.tabular import to_arrow
    from ordervet.contract.values import parse_instant, parse_money

__all__ = [
    "RESERVED_NAMES",
    "Blame",
    "Correction",
    "Decider",
    "Event",
    "EventKind",
    "Events",
    "FileAccount",
    "FileDescription",
    "Format",
    "MaliceKind",
    "MappedTables",
    "Mapping",
    "Order",
    "OrderStatus",
    "Outcome",
    "OutcomeKind",
    "RefundReason",
    "RefundType",
    "Verdict",
    "VerdictValue",
    "apply_mapping",
    "broken_rules",
    "check_out_path",
    "describe_file",
    "event_schema",
    "iter_table_blocks",
    "kind_of",
    "list_formats",
    "load_mapping",
    "order_schema",
    "parse_instant",
    "parse_money",
    "read_counted_events",
    "read_events",
    "read_payload",
    "read_table",
    "shipped_mappings",
    "split_events",
    "split_orders",
    "to_arrow",
    "validate_events",
    "validate_orders",
    "write_table",
    "write_whole",
]

__getattr__ = export_lazily(
    __name__,
    {
        "fields": "broken_rules",
        "files.accounts": "FileAccount",
        "files.event_files": "read_counted_events read_events read_payload",
        "files.mapped": "MappedTables apply_mapping",
        "files.outputs": "check_out_path write_table write_whole",
        "files.pieces": "kind_of",
        "files.rows": "iter_table_blocks read_table",
        "formats": "FileDescription Format describe_file list_formats",
        "mapping": "Mapping load_mapping shipped_mappings",
        "model": (
            "RESERVED_NAMES Blame Correction Decider Event MaliceKind Order OrderStatus Outcome OutcomeKind "
            "RefundReason RefundType Verdict VerdictValue"
        ),
        "schemas": "EventKind Events event_schema order_schema",
        "tables": "split_events split_orders validate_events validate_orders",
        "tabular": "to_arrow",
        "values": "parse_instant parse_money",
    },
)
