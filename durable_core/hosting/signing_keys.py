"""Where the keys of capability URLs come from. Every host of an app must find the same ones, or URLs break.

In this order:

1. ``DURABLE_SIGNING_KEYS`` (``settings.signing_keys``), newest first.
2. A storage account with a key: a key derived from the account's, the same on every host of the app.
3. The embedded store or Azurite: a file beside the store, made once.

With an identity or a shared access signature there is no secret that all hosts share: 1 is then required.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path

from ..errors import ConfigurationError
from ..settings import Settings

logger = logging.getLogger("durable_core.hosting.signing")

MIN_KEY_CHARS = 16
KEY_FILE = "signing.key"

_PURPOSE = b"durable_core capability URL v1"
_AZURITE_ACCOUNT = "devstoreaccount1"  # its key is published: nothing may be derived from it


def signing_keys(settings: Settings) -> list[bytes]:
    """The keys of this app's task hub, newest first. May write the key file, so call it off the event loop's hot path.

    ConfigurationError naming DURABLE_SIGNING_KEYS where it is missing, or a key in it is short enough to guess.
    """
    return [_for_hub(secret, settings.hub) for secret in _secrets(settings)]


def _secrets(settings: Settings) -> list[bytes]:
    if settings.signing_keys:
        for number, key in enumerate(settings.signing_keys, start=1):
            if len(key) < MIN_KEY_CHARS:
                raise ConfigurationError(
                    f"key {number} in DURABLE_SIGNING_KEYS has {len(key)} characters; use {MIN_KEY_CHARS} or more, "
                    "such as the output of: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
                )
        return [key.encode() for key in settings.signing_keys]
    connection_string = settings.connection.get("", "")
    if settings.is_embedded and settings.store == ":memory:":
        return [secrets.token_bytes(32)]  # gone with the process, as is all that the URLs could point to
    if settings.is_embedded or _is_local(connection_string):
        return [_key_from_file(settings.durable_folder / KEY_FILE)]
    account_key = _part(connection_string, "AccountKey")
    if account_key:
        return [account_key.encode()]
    raise ConfigurationError(
        "AzureWebJobsStorage has no account key to derive the key of capability URLs from (it uses an identity or a "
        "shared access signature); set DURABLE_SIGNING_KEYS to a random secret that all hosts of the app share, such "
        "as the output of: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
    )


def _for_hub(secret: bytes, hub: str) -> bytes:
    """A key for this purpose and hub only: a URL of one hub opens nothing in another, nor gives the secret away."""
    return hmac.digest(secret, _PURPOSE + b"\0" + hub.lower().encode(), hashlib.sha256)


def _is_local(connection_string: str) -> bool:
    return (
        _part(connection_string, "UseDevelopmentStorage").lower() == "true"
        or _part(connection_string, "AccountName").lower() == _AZURITE_ACCOUNT
    )


def _part(connection_string: str, name: str) -> str:
    for part in connection_string.split(";"):
        key, _, value = part.partition("=")
        if key.strip().lower() == name.lower():
            return value.strip()
    return ""


def _key_from_file(path: Path) -> bytes:
    """The key in this file; a new one if there is none. Of several processes that start at once one wins."""
    if path.exists():
        return _read(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        try:
            os.link(draft, path)  # fails where the file exists: unlike a rename it cannot replace another's key
        except FileExistsError:
            logger.debug("another process made %s first; using that one", path)
        except OSError:  # a file system without hard links
            draft.replace(path)
        return _read(path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    key = path.read_text(encoding="ascii").strip()
    if len(key) < MIN_KEY_CHARS:
        raise ConfigurationError(
            f"{path} contains no signing key; delete it to have a new one created (URLs issued before become invalid)"
        )
    return key.encode()
