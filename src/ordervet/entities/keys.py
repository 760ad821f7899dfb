"""The identifier key: the one secret that turns raw values into ids.

The key never travels with data. What travels is its key id, a short text derived one-way from the secret, so that a
store or model made with another key is an error and not silence.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path

from ordervet.errors import KeyMismatchError

__all__ = ["EPHEMERAL", "KEY_RULES", "Key", "check_key_id", "load_key", "name_key", "new_key", "save_key"]

KEY_BYTES = 16
_MIN_DISTINCT = 8
"""A random key has fewer different bytes once in 10**12: it repeats what somebody typed."""
ENV_KEY = "ORDERVET_KEY"
ENV_KEY_FILE = "ORDERVET_KEY_FILE"
KEY_RULES = 4
"""Increased when the same text can get another id: ids of other rules are not to be compared (docs/addresses.md K4)."""
EPHEMERAL = "ephemeral"
"""Stands for the id of a key that lived as long as a process."""


@dataclass(frozen=True, slots=True)
class Key:
    """A 128-bit secret under which raw values become 64-bit ids.

    Parameters
    ----------
    secret : 16 bytes; hidden in the repr
    is_ephemeral : made for this process only; ids made with it mean nothing outside

    Raises
    ------
    KeyMismatchError
        The secret is not 16 bytes.
    """

    secret: bytes = field(repr=False)
    is_ephemeral: bool = False

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise KeyMismatchError(
                f"an identifier key has {KEY_BYTES} bytes, this one has {len(self.secret)}",
                hint="make a key with: ordervet key new",
            )

    @property
    def key_id(self) -> str:
        """The public name of the key: 12 hexadecimal digits, derived one-way from the secret."""
        return blake2b(b"key id", digest_size=6, key=self.secret, person=b"ordervet").hexdigest()

    def subkey(self, namespace: str) -> bytes:
        """Derive the 16-byte key of one namespace, so that equal texts in two namespaces have unrelated ids.

        Parameters
        ----------
        namespace : what is identified, as "buyer" or "phone"

        Returns
        -------
        16 bytes
        """
        return blake2b(namespace.encode(), digest_size=KEY_BYTES, key=self.secret, person=b"ordervet ids").digest()

    def to_hex(self) -> str:
        """Write out the secret as 32 hexadecimal digits: for a key file, for nothing else."""
        return self.secret.hex()


def new_key() -> Key:
    """Make a random key.

    Returns
    -------
    a key from the operating system's random source
    """
    return Key(secrets.token_bytes(KEY_BYTES))


def load_key(path: Path | str | None = None) -> Key:
    """Find the key: in the file named, else in ``ORDERVET_KEY`` (hexadecimal), else in the file ``ORDERVET_KEY_FILE``.

    With none of them the key is random and lives as long as the process: every call returns the same one.

    Parameters
    ----------
    path : a file holding 32 hexadecimal digits

    Returns
    -------
    the key; ``is_ephemeral`` says that it was made up for this process

    Raises
    ------
    KeyMismatchError
        A key was named but is missing or malformed.
    """
    if path is not None:
        return _read_key_file(Path(path), f"key file {path}")
    if text := os.environ.get(ENV_KEY, "").strip():
        return _parse_key(text, ENV_KEY)
    if named := os.environ.get(ENV_KEY_FILE, "").strip():
        return _read_key_file(Path(named), f"key file {named}, named by {ENV_KEY_FILE}")
    return _ephemeral_key()


def save_key(key: Key, path: Path | str) -> None:
    """Write a key to a new file that only its owner can read.

    Parameters
    ----------
    key : the key
    path : where to; an existing file is never overwritten, for ids made with its key would be lost

    Raises
    ------
    KeyMismatchError
        The file exists or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyMismatchError(
            f"key file {path} exists already", hint="keep it, or write the new key to another file"
        ) from None
    except OSError as error:
        raise KeyMismatchError(
            f"key file {path} cannot be written: {error.strerror}", hint="name a file in a folder you can write to"
        ) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.to_hex() + "\n")


def check_key_id(expected: str, key: Key, where: str) -> None:
    """Refuse a key that is not the one something was made with.

    Parameters
    ----------
    expected : the key id kept with the store or model
    key : the key at hand
    where : what was made with the expected key, as "history at data/history"

    Raises
    ------
    KeyMismatchError
        The key ids differ.
    """
    if key.key_id == expected:
        return
    held = "a key made up for this process" if key.is_ephemeral else f"key {key.key_id}"
    raise KeyMismatchError(
        f"{where} was made with key {expected}, but {held} is in use",
        hint=f"set {ENV_KEY} or {ENV_KEY_FILE} to the key whose `ordervet key id` is {expected}",
    )


def name_key(key_id: str) -> str:
    """Name a key in what outlives the process, as a model's manifest.

    Parameters
    ----------
    key_id : of the key in use

    Returns
    -------
    the key id; "ephemeral" for the key that was made up for this process, which nobody can meet again
    """
    return EPHEMERAL if key_id == _ephemeral_key().key_id else key_id


@cache
def _ephemeral_key() -> Key:
    return Key(secrets.token_bytes(KEY_BYTES), is_ephemeral=True)


def _read_key_file(path: Path, where: str) -> Key:
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise KeyMismatchError(
            f"{where} cannot be read: {error.strerror}", hint="make a key with: ordervet key new"
        ) from None
    except UnicodeDecodeError:
        text = ""
    return _parse_key(text.strip(), where)


def _parse_key(text: str, where: str) -> Key:
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        # NOTE: the text itself is never shown: a mistyped key is still nearly a key.
        raise KeyMismatchError(
            f"{where} does not hold an identifier key: {len(text)} characters, expected {2 * KEY_BYTES} hexadecimal",
            hint="make a key with: ordervet key new",
        )
    if len(set(secret)) < _MIN_DISTINCT:
        raise KeyMismatchError(
            f"{where} holds a weak key: {len(set(secret))} different bytes of {KEY_BYTES}",
            hint="make a random key with: ordervet key new",
        )
    return Key(secret)
