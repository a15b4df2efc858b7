"""Capability tokens: a signed right to one verb on one instance, for every holder of the URL.

The Functions host checks keys before our code runs and Python cannot read the app's keys, so the URIs that a starter
hands out carry their own proof. A token is ``base64url(mac + body)``: HMAC-SHA256 over a JSON array of instance,
execution, verb, event name, expiry and nonce. It is signed, not encrypted: its holder can read the instance id.

Knows neither HTTP nor where the keys come from (``signing.py``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from datetime import timedelta
from enum import StrEnum

from ..errors import CapabilityError, ConfigurationError
from ..lazy_dataclass import dataclass

DEFAULT_LIFETIME = timedelta(days=90)
"""Longer than the orders, approvals and subscriptions that people wait for; bounded, because URLs end up in logs."""

_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode  # json.dumps would make one for every call
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_MAC_BYTES = hashlib.sha256().digest_size
_FORMAT = 1

STEADY_FOR = timedelta(days=30)
"""Expiries of steady tokens are multiples of this, so that calls at different times get the same token."""


class Verb(StrEnum):
    """What the holder may do.

    STATUS: see status, custom status and output. DETAILS: also the input and the history, which contain data that is
    meant only for activities: inputs, request headers, stack traces. VIEW: all that the dashboard shows of the
    instance, read-only; in a browser the URL opens the dashboard. STREAM: read the stream that ``event_name`` names.
    """

    STATUS = "status"
    DETAILS = "details"
    VIEW = "view"
    EVENT = "event"
    TERMINATE = "terminate"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    RESUME = "resume"
    PURGE = "purge"
    REWIND = "rewind"
    RESTART = "restart"
    CALLBACK = "callback"
    STREAM = "stream"


_VERBS = {verb.value: verb for verb in Verb}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """The right to do ``verb`` on one instance until ``expires_at`` (seconds since 1970, UTC).

    ``execution_id`` '': the current execution of the instance. ``event_name`` '': any event (Verb.EVENT).
    ``nonce`` tells tokens apart that are alike in all else.
    """

    instance_id: str
    verb: Verb
    expires_at: int
    execution_id: str = ""
    event_name: str = ""
    nonce: str = field(default="", compare=False)


class CapabilitySigner:
    """Issues and verifies tokens of one task hub. ``keys`` newest first: the first signs, each may verify.

    ConfigurationError without any key.
    """

    def __init__(self, keys: Sequence[bytes], *, clock: Callable[[], float] = time.time) -> None:
        if not keys or not all(keys):
            raise ConfigurationError("capability URLs need at least one signing key (DURABLE_SIGNING_KEYS)")
        self._keys = tuple(keys)
        self._clock = clock

    def issue(
        self,
        instance_id: str,
        verb: Verb,
        *,
        execution_id: str = "",
        event_name: str = "",
        lifetime: timedelta = DEFAULT_LIFETIME,
    ) -> str:
        """A token that is a single URL path segment (letters, digits, ``-`` and ``_``)."""
        return self.issue_exact(
            Capability(
                instance_id=instance_id,
                verb=verb,
                expires_at=int(self._clock() + lifetime.total_seconds()),
                execution_id=execution_id,
                event_name=event_name,
                nonce=secrets.token_urlsafe(9),
            )
        )

    def issue_each(
        self,
        instance_id: str,
        verbs: Iterable[Verb],
        *,
        execution_id: str = "",
        lifetime: timedelta = DEFAULT_LIFETIME,
        steady: bool = False,
    ) -> list[str]:
        """A token for each of these verbs, as ``issue`` gives them. Nothing but the verb tells them apart.

        steady: calls of one period of ``STEADY_FOR`` get the same tokens, which live up to that much longer.
        """
        expires_at, nonce = int(self._clock() + lifetime.total_seconds()), secrets.token_urlsafe(9)
        if steady:
            period = int(STEADY_FOR.total_seconds())
            expires_at, nonce = -(-expires_at // period) * period, ""
        before = _write([_FORMAT, instance_id, execution_id])[:-1]
        after = _write(["", expires_at, nonce])[1:]
        key, tokens = self._keys[0], list[str]()
        for verb in verbs:
            body = f'{before},"{verb}",{after}'.encode()  # no verb has what JSON escapes
            tokens.append(_encode(hmac.digest(key, body, hashlib.sha256) + body))
        return tokens

    def issue_exact(self, right: Capability) -> str:
        """The token of exactly this capability: the same each time, as long as the signing key is."""
        fields = [_FORMAT, right.instance_id, right.execution_id, right.verb.value]
        fields += [right.event_name, right.expires_at, right.nonce]
        return self._sign(_write(fields))

    def _sign(self, fields: str) -> str:
        body = fields.encode()
        return _encode(_mac(self._keys[0], body) + body)

    def verify(self, token: str) -> Capability:
        """What the token allows. CapabilityError if it was not signed with one of the keys, or has expired."""
        raw = _decode(token)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        # Every key is tried whatever the ones before it gave: the time taken says nothing about which one fits.
        genuine = [hmac.compare_digest(_mac(key, body), mac) for key in self._keys]
        if not any(genuine):
            raise _forged()
        version, instance_id, execution_id, verb, event_name, expires_at, nonce, *_ = json.loads(body)
        if version != _FORMAT or verb not in _VERBS:
            raise CapabilityError("this URL was issued by another version of the app; ask for a new one")
        if self._clock() >= expires_at:
            raise CapabilityError("this URL has expired; ask the app for a new one")
        return Capability(
            instance_id=instance_id,
            verb=_VERBS[verb],
            expires_at=expires_at,
            execution_id=execution_id,
            event_name=event_name,
            nonce=nonce,
        )


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, hashlib.sha256)


def _encode(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def _decode(token: str) -> bytes:
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _forged() from None
    # base64 has several spellings of the same bytes (unused bits at the end): one token, one spelling.
    if len(raw) <= _MAC_BYTES or _encode(raw) != token:
        raise _forged()
    return raw


def _forged() -> CapabilityError:
    return CapabilityError("this URL was not issued by this app; it may have been cut off or changed")
