"""The file that `ordervet formats --draft` writes: a format to be corrected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ordervet.contract.formats.drafting import draft_fields
from ordervet.contract.schemas import MODELS
from ordervet.errors import MappingError
from ordervet.storage import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.cli.session import Session
    from ordervet.contract.formats.drafting import DraftedFields

_MERGED = {
    "amount_minor": "same_or_sum",
    "discount_minor": "same_or_sum",
    "shipping_minor": "same_or_sum",
    "quantity": "sum",
    "item_id": "dearest",
}


def write_draft(session: Session, export: Path, folder: Path, formats_dir: Path | None) -> None:
    """Write a draft of a format for an export, and say how to go on.

    Raises
    ------
    FileError
        The export is unreadable.
    MappingError
        The folder has a file of that name already.
    """
    path = folder / f"{export.name.partition('.')[0]}.toml"
    if path.exists():
        raise MappingError(f"{path.name} exists already", hint="correct it, or take it away and ask for a new draft")
    text = _build_text(session, export, draft_fields(export, formats_dir))
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    session.print(session.text("formats.drafted", path=path, export=export, folder=folder))


def _build_text(session: Session, export: Path, drafted: DraftedFields) -> str:
    state = drafted.taken.get("status", ("",))[0]
    used = {column for columns in drafted.taken.values() for column in columns}
    ignored = [column for column in drafted.columns if column not in used]
    lines = [
        f"# {session.text('formats.draft_head', file=export.name)}",
        f"title = {_quote(export.name.partition('.')[0])}",
        'kind = "orders"',
        f'time_zone = "Asia/Shanghai"  # {session.text("formats.draft_zone")}',
        f"ignored = {_list(ignored)}  # {session.text('formats.draft_ignored')}",
        "",
        "[fields]",
    ]
    for field, info in MODELS["orders"].model_fields.items():
        columns = drafted.taken.get(field)
        if field == "status" or (columns is None and not info.is_required()):
            continue
        doubt = f"  # {session.text('formats.draft_guess')}" if field in drafted.guessed else ""
        open_ = f"  # {session.text('formats.draft_open')}" if columns is None else doubt
        lines.append(f"{field} = {_build_source(field, columns or ())}{open_}")
    if state:
        lines += ["", f"# {session.text('formats.draft_states', column=state)}"]
    return "\n".join(lines) + "\n"


def _build_source(field: str, columns: tuple[str, ...]) -> str:
    if field == "address":
        return f"{{ parts = [{', '.join(_list([column]) for column in columns)}] }}"
    if field in _MERGED and columns:
        return f'{{ columns = {_list(columns)}, merge = "{_MERGED[field]}" }}'
    return _list(columns)


def _list(names: tuple[str, ...] | list[str]) -> str:
    return f"[{', '.join(_quote(name) for name in names)}]"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
