"""Capability tokens and their keys: what opens, what never does."""

from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.errors import CapabilityError, ConfigurationError
from durable_core.hosting.signed_urls import DEFAULT_LIFETIME, Capability, CapabilitySigner, Verb
from durable_core.hosting.signing_keys import KEY_FILE, signing_keys
from durable_core.settings import Settings

NOW = 1_700_000_000.0
KEY = b"a key of this app and of no other"
TOKEN_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def signer(*keys: bytes) -> CapabilitySigner:
    return CapabilitySigner(keys or (KEY,), clock=lambda: NOW)


@given(texts, st.sampled_from(Verb), texts, texts)
def test_a_token_says_what_it_was_issued_for(instance_id: str, verb: Verb, execution_id: str, event_name: str) -> None:
    token = signer().issue(instance_id, verb, execution_id=execution_id, event_name=event_name)
    assert signer().verify(token) == Capability(
        instance_id=instance_id,
        verb=verb,
        execution_id=execution_id,
        event_name=event_name,
        expires_at=int(NOW + DEFAULT_LIFETIME.total_seconds()),
    )


@given(texts, st.sampled_from(Verb))
def test_a_token_is_one_plain_path_segment(instance_id: str, verb: Verb) -> None:
    assert set(signer().issue(instance_id, verb)) <= set(TOKEN_CHARS)


@given(st.data())
def test_any_changed_character_is_refused(data: st.DataObject) -> None:
    token = signer().issue("order-1", Verb.TERMINATE)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from([c for c in TOKEN_CHARS if c != token[at]]))
    with pytest.raises(CapabilityError):
        signer().verify(token[:at] + other + token[at + 1 :])


@given(st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject) -> None:
    token = signer().issue("order-1", Verb.STATUS)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CapabilityError):
        signer().verify(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@given(st.text(max_size=200))
def test_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(CapabilityError):
        signer().verify(text)


@given(st.integers(0, 200))
def test_a_cut_or_extended_token_is_refused(length: int) -> None:
    token = signer().issue("order-1", Verb.STATUS)
    for changed in (token[:length], token + "A" * (length + 1), token + "="):
        if changed != token:
            with pytest.raises(CapabilityError):
                signer().verify(changed)


def test_a_token_signed_with_another_key_is_refused() -> None:
    with pytest.raises(CapabilityError):
        signer().verify(signer(b"the key of another app").issue("order-1", Verb.STATUS))


def test_a_token_of_an_older_key_opens_until_that_key_is_taken_away() -> None:
    old, new = b"the key of last year", b"the key of this year"
    token = signer(old).issue("order-1", Verb.STATUS)
    assert signer(new, old).verify(token).instance_id == "order-1"
    with pytest.raises(CapabilityError):
        signer(new).verify(token)


def test_the_newest_key_signs() -> None:
    old, new = b"the key of last year", b"the key of this year"
    assert signer(new).verify(signer(new, old).issue("order-1", Verb.STATUS))


def test_a_token_opens_until_its_expiry_and_not_at_it() -> None:
    clock = Clock()
    timed = CapabilitySigner([KEY], clock=clock)
    token = timed.issue("order-1", Verb.STATUS, lifetime=timedelta(minutes=5))
    clock.now += 299
    assert timed.verify(token)
    clock.now += 1
    with pytest.raises(CapabilityError, match="expired") as refused:
        timed.verify(token)
    assert not refused.value.gone


def test_two_tokens_for_the_same_thing_differ() -> None:
    assert signer().issue("order-1", Verb.STATUS) != signer().issue("order-1", Verb.STATUS)


def test_the_token_of_a_usual_id_stays_below_the_length_of_a_path_segment_that_proxies_accept() -> None:
    assert len(signer().issue("0123456789abcdef0123456789abcdef", Verb.TERMINATE)) < 260


@pytest.mark.parametrize("keys", [[], [b""], [KEY, b""]])
def test_a_signer_without_a_key_is_a_configuration_error(keys: list[bytes]) -> None:
    with pytest.raises(ConfigurationError, match="DURABLE_SIGNING_KEYS"):
        CapabilitySigner(keys)


# ---------------------------------------------------------------- where keys come from


def embedded(folder: Path) -> Settings:
    return Settings(store=str(folder / "state" / "durable.db"))


def account(key: str = "c2VjcmV0", name: str = "orders") -> dict[str, str]:
    return {"": f"DefaultEndpointsProtocol=https;AccountName={name};AccountKey={key};EndpointSuffix=core.windows.net"}


def test_locally_a_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    first = signing_keys(embedded(tmp_path))
    assert first == signing_keys(embedded(tmp_path))
    file = tmp_path / "state" / KEY_FILE
    assert os.listdir(file.parent) == [KEY_FILE]
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(signing_keys, [embedded(tmp_path)] * 16))
    assert len({key for found in keys for key in found}) == 1


def test_a_damaged_key_file_is_reported_and_not_replaced(tmp_path: Path) -> None:
    signing_keys(embedded(tmp_path))
    (tmp_path / "state" / KEY_FILE).write_text("")
    with pytest.raises(ConfigurationError, match="delete it"):
        signing_keys(embedded(tmp_path))


def test_a_store_in_memory_leaves_no_key_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert signing_keys(Settings(store=":memory:"))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("connection", [{"": "UseDevelopmentStorage=true"}, account(name="devstoreaccount1")])
def test_azurite_uses_the_key_file_as_its_account_key_is_public(tmp_path: Path, connection: dict[str, str]) -> None:
    signing_keys(Settings(store=str(tmp_path / "durable.db"), connection=connection))
    assert (tmp_path / KEY_FILE).exists()


def test_every_host_of_an_app_derives_the_same_key_from_the_storage_account(tmp_path: Path) -> None:
    one = signing_keys(Settings(connection=account(), store=str(tmp_path / "a" / "x.db")))
    assert one == signing_keys(Settings(connection=account(), store=str(tmp_path / "b" / "x.db")))
    assert one != signing_keys(Settings(connection=account(key="b3RoZXI=")))
    assert not os.listdir(tmp_path)


def test_a_url_of_one_hub_opens_nothing_in_another_hub() -> None:
    assert signing_keys(Settings(hub="orders", connection=account())) != signing_keys(
        Settings(hub="invoices", connection=account())
    )


@pytest.mark.parametrize(
    "connection",
    [
        {"accountName": "orders", "credential": "managedidentity"},
        {"": "TableEndpoint=https://orders.table.core.windows.net;SharedAccessSignature=sv=2024&sig=abc"},
    ],
)
def test_without_an_account_key_the_setting_is_required_and_named(connection: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="DURABLE_SIGNING_KEYS"):
        signing_keys(Settings(connection=connection))


def test_the_setting_comes_first_in_its_order() -> None:
    old, new = "0123456789abcdef-old", "0123456789abcdef-new"
    both = signing_keys(Settings(connection=account(), signing_keys=(new, old)))
    assert both == [
        *signing_keys(Settings(connection=account(), signing_keys=(new,))),
        *signing_keys(Settings(connection=account(), signing_keys=(old,))),
    ]


def test_a_key_short_enough_to_guess_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="key 2"):
        signing_keys(Settings(signing_keys=("0123456789abcdef", "changeme")))
