"""Pages that are one file: nothing is fetched, nothing leaves, and whatever an order holds is text.

The browser is told so by a Content-Security-Policy: by default nothing may be loaded, and only the scripts and styles
whose hashes are named may run. Templates escape by default; data is embedded as JSON without any HTML character.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordervet.words import Lang

_ESCAPES: Final = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'\u2028\u2029\x7f"}
_HTML_LANG: Final[dict[Lang, str]] = {"zh": "zh-CN", "en": "en"}


def build_page(
    template: str,
    *,
    lang: Lang,
    title: str,
    styles: Sequence[str],
    scripts: Sequence[str] = (),
    data: object = None,
    values: Mapping[str, Any] | None = None,
) -> str:
    """Write a page that needs nothing but itself.

    Parameters
    ----------
    template : file in pages/ that extends frame.html
    lang : language the page says it is in
    title : of the page
    styles, scripts : files in pages/
    data : plain values for the scripts, as JSON in the element ``data``; None leaves it out
    values : what the template shows; every text is escaped

    Returns
    -------
    the whole document
    """
    style = "\n".join(map(_read_part, styles))
    script = "\n".join(map(_read_part, scripts))
    content = {
        "html_lang": _HTML_LANG[lang],
        "lang": lang,
        "title": title,
        "policy": _build_policy(style, script),
        "style": Markup(style),  # noqa: S704 -- our own file
        "script": Markup(script),  # noqa: S704 -- our own file
        "data": None if data is None else Markup(embed_json(data)),  # noqa: S704 -- escaped there
    }
    return _environment().get_template(template).render({**(values or {}), **content})


def embed_json(data: object) -> str:
    """Write plain values as JSON that can stand in a page: no character of it means anything to HTML."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _build_policy(style: str, script: str) -> str:
    allowed = [f"style-src '{_hash(style)}'"] + ([f"script-src '{_hash(script)}'"] if script else [])
    return "; ".join(["default-src 'none'", *allowed, "img-src data:", "base-uri 'none'", "form-action 'none'"])


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read_part(name: str) -> str:
    return resources.files("ordervet.reports").joinpath("pages", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("ordervet.reports", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
