"""Object stores and folders by their address: s3://, oss://, az:// or abfs://, file://.

Credentials come from the environment, by the names that the stores' own tools use; no address has any.

s3    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL; else a role
oss   OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, OSS_SESSION_TOKEN, OSS_ENDPOINT such as oss-cn-hangzhou.aliyuncs.com
az    AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN; else an identity;
      AZURE_STORAGE_ENDPOINT of other clouds, such as https://ACCOUNT.blob.core.chinacloudapi.cn
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ordervet.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyarrow.fs import FileSystem

_SCHEMES = ("s3", "oss", "az", "abfs", "file")
_ADDRESS = re.compile(rf"^({'|'.join(_SCHEMES)}):/+([^/].*)$")
_PIECE = 8 * 2**20


@dataclass(frozen=True)
class Place:
    """A file or folder in a store.

    Parameters
    ----------
    address : as given
    files : the store
    path : in the store, without an end of /
    delta_address : what Delta Lake calls the place
    delta_options : what Delta Lake needs to open it
    refuses_conditions : whether it writes no file on the condition that there is none
    """

    address: str
    files: FileSystem
    path: str
    delta_address: str
    delta_options: dict[str, str] = field(repr=False)
    refuses_conditions: bool = False

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.rsplit("/", 1)[-1]


def find_address(path: str | Path) -> str | None:
    """Return the address that a path stands for, as paths write it, with one slash; None where it is a path."""
    found = _ADDRESS.match(str(path))
    return None if found is None else f"{found[1]}://{'/' if found[1] == 'file' else ''}{found[2]}"


def list_files(place: Place) -> list[Place]:
    """List the files in a folder of a store, by name; a file is the only one of itself.

    Raises
    ------
    SourceError
        It is missing, or the store cannot be read.
    """
    from pyarrow.fs import FileSelector, FileType

    with describe_errors(place.address):
        if place.files.get_file_info(place.path).type is FileType.File:
            return [place]
        found = place.files.get_file_info(FileSelector(place.path))
    names = sorted(each.base_name for each in found if each.type is FileType.File)
    address, delta_address = place.address.rstrip("/"), place.delta_address
    return [
        replace(
            place, address=f"{address}/{name}", path=f"{place.path}/{name}", delta_address=f"{delta_address}/{name}"
        )
        for name in names
    ]


def fetch_file(place: Place, target: Path) -> None:
    """Copy a file of a store to this machine.

    Raises
    ------
    SourceError
        It is missing, or the store cannot be read.
    """
    with describe_errors(place.address), place.files.open_input_stream(place.path) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, _PIECE)


def find_place(address: str) -> Place:
    """Find a place in a store by its address.

    Raises
    ------
    SourceError
        It is no address of a known kind, holds credentials, or lacks what it needs.
    """
    parts = urlsplit(address)
    if parts.scheme not in _SCHEMES or not (parts.netloc or parts.scheme == "file"):
        raise SourceError(
            "this is no address of a store", hint="s3://BUCKET/FOLDER, oss://…, az://…, or file:///FOLDER"
        )
    if "@" in parts.netloc and parts.scheme != "abfs":
        raise SourceError(
            "the address holds credentials, which belong in the environment", hint="docs/sources.md lists their names"
        )
    path = unquote(parts.path).strip("/")
    if parts.scheme == "file":
        return _find_folder(address, parts.netloc, unquote(parts.path))
    if not path:
        raise SourceError(f"{address} names no folder in it", hint=f"{address.rstrip('/')}/history")
    with describe_errors(address):
        if parts.scheme in {"az", "abfs"}:
            return _find_in_azure(address, parts.netloc, path)
        return _find_in_s3(address, parts.netloc, path, is_oss=parts.scheme == "oss")


@contextmanager
def describe_errors(address: str) -> Iterator[None]:
    """Turn what a store's driver raises into one error, without credentials.

    Parameters
    ----------
    address : of the place, which has none
    """
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise SourceError(f"{address} is missing", hint="check the address") from None
    except PermissionError:
        raise SourceError(f"{address} may not be read or written", hint="check the credentials") from None
    except (OSError, pa.ArrowException, ValueError) as error:
        raise SourceError(
            f"{address} cannot be reached: {_explain(error)}", hint="check the address and the credentials"
        ) from None


def _explain(error: Exception) -> str:
    """Name the cause by the words that stores agree on; their sentences can hold keys and requests."""
    said = str(error)
    known: tuple[str, ...] = (
        "AccessDenied",
        "ACCESS_DENIED",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "NoSuchBucket",
    )
    known += ("NETWORK_CONNECTION", "Couldn't connect", "SlowDown", "timed out", "No space left")
    return next((each for each in known if each in said), type(error).__name__)


def _find_folder(address: str, host: str, path: str) -> Place:
    from pyarrow.fs import LocalFileSystem

    if host not in {"", "localhost"} or not path.startswith("/"):
        raise SourceError(f"{address} is no folder of this machine", hint="file:///srv/published")
    folder = str(Path(path))
    return Place(address, LocalFileSystem(), folder, folder, {})


def _find_in_s3(address: str, bucket: str, path: str, *, is_oss: bool) -> Place:
    from pyarrow.fs import S3FileSystem

    known = os.environ
    prefix = "OSS" if is_oss else "AWS"
    if is_oss:
        # NOTE: read when the driver is opened. OSS takes no bodies in pieces with a checksum behind them.
        known.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    key = known.get(f"{prefix}_ACCESS_KEY_ID")
    secret = known.get("OSS_ACCESS_KEY_SECRET" if is_oss else "AWS_SECRET_ACCESS_KEY")
    token = known.get(f"{prefix}_SESSION_TOKEN")
    endpoint = known.get("OSS_ENDPOINT") if is_oss else known.get("AWS_ENDPOINT_URL_S3", known.get("AWS_ENDPOINT_URL"))
    if is_oss and not (key and secret and endpoint):
        raise SourceError(f"{address} needs OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_ENDPOINT", hint="set them")
    region = known.get("AWS_REGION", known.get("AWS_DEFAULT_REGION"))
    settings: dict[str, Any] = {"region": region or "us-east-1"} if endpoint or region else {}
    options: dict[str, str] = {}
    if key and secret:
        settings |= {"access_key": key, "secret_key": secret, "session_token": token}
        options |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        options |= {"AWS_SESSION_TOKEN": token} if token else {}
    if region:
        options["AWS_REGION"] = region
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        is_plain = scheme == "http"
        settings |= {"endpoint_override": host.rstrip("/"), "scheme": "http" if is_plain else "https"}
        settings |= {"force_virtual_addressing": True} if is_oss else {}
        options |= {"AWS_REGION": region or "us-east-1", "AWS_ALLOW_HTTP": str(is_plain).lower()}
        host = f"{bucket}.{host}" if is_oss else host
        options["AWS_ENDPOINT_URL"] = f"{'http' if is_plain else 'https'}://{host.rstrip('/')}"
        options["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = str(is_oss).lower()
    files, inside = S3FileSystem(**settings), f"{bucket}/{path}"
    return Place(address, files, inside, f"s3://{inside}", options, refuses_conditions=is_oss)


def _find_in_azure(address: str, container: str, path: str) -> Place:
    from pyarrow.fs import AzureFileSystem

    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account:
        raise SourceError(f"{address} needs AZURE_STORAGE_ACCOUNT_NAME", hint="set it")
    key, token = (os.environ.get(f"AZURE_STORAGE_{name}") for name in ("ACCOUNT_KEY", "SAS_TOKEN"))
    container = container.partition("@")[0]
    settings: dict[str, Any] = {"account_key": key} if key else {"sas_token": token} if token else {}
    options = {"AZURE_STORAGE_ACCOUNT_NAME": account}
    options |= {"AZURE_STORAGE_ACCOUNT_KEY": key} if key else {"AZURE_STORAGE_SAS_TOKEN": token} if token else {}
    if endpoint := os.environ.get("AZURE_STORAGE_ENDPOINT"):
        scheme, _, host = endpoint.rstrip("/").rpartition("://")
        # An authority that begins with a dot comes after the account's name; others have the account in the path.
        authority = host.partition("/")[0].removeprefix(account)
        scheme = "http" if scheme == "http" else "https"
        settings |= {"blob_storage_authority": authority, "dfs_storage_authority": authority.replace(".blob.", ".dfs.")}
        settings |= {"blob_storage_scheme": scheme, "dfs_storage_scheme": scheme}
        options |= {"AZURE_STORAGE_ENDPOINT": f"{scheme}://{host}", "AZURE_ALLOW_HTTP": str(scheme == "http").lower()}
    files = AzureFileSystem(account_name=account, **settings)
    return Place(address, files, f"{container}/{path}", f"az://{container}/{path}", options)
