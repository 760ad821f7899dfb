from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from ordervet.entities import Key, check_key_id, load_key, new_key, save_key
from ordervet.errors import KeyMismatchError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = bytes(range(16))


@pytest.fixture(autouse=True)
def _no_key_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERVET_KEY", raising=False)
    monkeypatch.delenv("ORDERVET_KEY_FILE", raising=False)


def test_key_shows_its_secret_nowhere() -> None:
    key = Key(SECRET)

    shown = repr(key) + str(key) + key.key_id

    assert SECRET.hex() not in shown
    assert repr(SECRET) not in shown


def test_key_refuses_a_secret_of_another_length() -> None:
    with pytest.raises(KeyMismatchError, match="16 bytes, this one has 15"):
        Key(SECRET[:15])


def test_key_id_is_stable_and_differs_between_keys() -> None:
    assert Key(SECRET).key_id == "c50b6ad3b6d4"
    assert Key(SECRET[::-1]).key_id != "c50b6ad3b6d4"


def test_subkey_differs_by_namespace_and_key() -> None:
    subkeys = {Key(secret).subkey(name) for secret in (SECRET, SECRET[::-1]) for name in ("buyer", "phone")}

    assert len(subkeys) == 4
    assert {len(subkey) for subkey in subkeys} == {16}


def test_new_keys_differ() -> None:
    assert new_key() != new_key()
    assert not new_key().is_ephemeral


def test_load_key_prefers_the_file_named_then_the_variable_then_the_variable_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_path, by_variable, by_variable_file = (Key(bytes(range(n, n + 16))) for n in range(3))
    save_key(by_path, tmp_path / "a")
    save_key(by_variable_file, tmp_path / "b")
    monkeypatch.setenv("ORDERVET_KEY_FILE", str(tmp_path / "b"))

    loaded_from_file = load_key()
    monkeypatch.setenv("ORDERVET_KEY", by_variable.to_hex())

    assert loaded_from_file == by_variable_file
    assert load_key() == by_variable
    assert load_key(tmp_path / "a") == by_path


def test_load_key_makes_one_key_up_for_the_process_when_none_is_named() -> None:
    key = load_key()

    assert key.is_ephemeral
    assert load_key() is key


@pytest.mark.parametrize("text", ["12", "zz" * 16, "00" * 17, "schlüssel"])
def test_load_key_refuses_a_malformed_key_and_does_not_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "key").write_text(text, encoding="utf-8")
    monkeypatch.setenv("ORDERVET_KEY", text)

    with pytest.raises(KeyMismatchError, match="hint: make a key with: ordervet key new") as by_variable:
        load_key()
    with pytest.raises(KeyMismatchError, match="does not hold an identifier key") as by_file:
        load_key(tmp_path / "key")

    assert f" {text}" not in str(by_variable.value)
    assert f" {text}" not in str(by_file.value)


@pytest.mark.parametrize("text", ["00" * 16, "ab" * 16, "01234567" * 4, "00000000000000000000000000000001"])
def test_load_key_refuses_a_weak_key(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ORDERVET_KEY", text)

    with pytest.raises(KeyMismatchError, match="holds a weak key") as refused:
        load_key()

    assert text not in str(refused.value)


def test_load_key_takes_what_repeats_half_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", "0123456789abcdef" * 2)

    assert load_key().to_hex() == "0123456789abcdef" * 2


def test_load_key_names_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(KeyMismatchError, match=r"key file .*absent cannot be read: No such file"):
        load_key(tmp_path / "absent")


def test_save_key_writes_for_the_owner_only_and_never_over_another_key(tmp_path: Path) -> None:
    path = tmp_path / "key"

    save_key(Key(SECRET), path)

    assert load_key(path) == Key(SECRET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyMismatchError, match="exists already"):
        save_key(new_key(), path)
    with pytest.raises(KeyMismatchError, match="cannot be written"):
        save_key(new_key(), tmp_path / "no folder" / "key")


def test_check_key_id_refuses_another_key() -> None:
    key = Key(SECRET)

    check_key_id(key.key_id, key, "history at data/history")
    with pytest.raises(KeyMismatchError, match=f"history at data/history was made with key {key.key_id}, but key"):
        check_key_id(key.key_id, new_key(), "history at data/history")
    with pytest.raises(KeyMismatchError, match="a key made up for this process"):
        check_key_id(key.key_id, load_key(), "history at data/history")
