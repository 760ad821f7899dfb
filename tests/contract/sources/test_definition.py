from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordervet.contract.sources.source_file import load_source
from ordervet.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "kanari-losung"  # noqa: S105 - made up
URL = 'url = "postgresql://reader@127.0.0.1/shop"\n'
QUERY = '[[query]]\nname = "orders"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'url = "postgresql://reader:{SECRET}@127.0.0.1/shop"', "holds a password"),
        (f'url = "mysql://127.0.0.1/shop?password={SECRET}"', "holds a password"),
        (f'{URL}password = "{SECRET}"', "'password'"),
        (f'{URL}password = {{ env = "NO_PASSWORD" }}', "the variable NO_PASSWORD is not set"),
        (f'{URL}password = {{ file = "no-file" }}', "the secret in no-file cannot be read"),
        (f'url = {{ env = "{SECRET}_URL" }}', "is not set"),
        ('url = "oracle://reader@127.0.0.1/shop"', "none of PostgreSQL, MySQL or MariaDB"),
        (f'url = "no url, {SECRET}"', "none of PostgreSQL, MySQL or MariaDB"),
        (f'{URL}uri = "{SECRET}"', "'uri': unknown"),
        (f"{URL}{QUERY}", "give either a table or sql"),
        (f'{URL}{QUERY}table = "a"\nsql = "b"', "give either a table or sql"),
        (f'{URL}{QUERY}sql = "a"\ncolumns = ["b"]', "columns belong to a table"),
        (f'{URL}{QUERY}table = "a"\noverlap = "1h"', "an overlap belongs to a column that grows"),
        (f'{URL}{QUERY}table = "a"\ngrows = "b"\noverlap = "1 hour"', "query.0.overlap"),
        (f'{URL}{QUERY}table = "a"\nmapping = "m"\nformat = "f"', "a mapping or a format"),
        (f'{URL}{QUERY}table = "a"\n{QUERY}table = "b"', "two queries have the same name"),
        (f'{URL}time_zone = "Asia/Nowhere"', "Asia/Nowhere"),
        (f"{URL}{SECRET}", "is not TOML"),
        ("", "'url': missing"),
    ],
)
def test_what_is_wrong_is_said_without_a_secret(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "shop.toml").write_text(text, encoding="utf-8")

    with pytest.raises(SourceError) as raised:
        load_source(tmp_path / "shop.toml").build_url()

    assert said in str(raised.value)
    assert SECRET not in str(raised.value).replace(f"{SECRET}_URL", "")


def test_a_secret_is_read_from_its_file_and_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}/@:%\n", encoding="utf-8")
    (tmp_path / "shop.toml").write_text(f'{URL}password = {{ file = "secret" }}\n', encoding="utf-8")
    source = load_source(tmp_path / "shop.toml")

    url = source.build_url()

    assert url.password == f"{SECRET}/@:%"
    assert (url.drivername, url.host) == ("postgresql+psycopg", "127.0.0.1")
    assert SECRET not in f"{source!r}{url!r}{url}"


def test_a_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"shop\.toml cannot be read"):
        load_source(tmp_path / "shop.toml")
