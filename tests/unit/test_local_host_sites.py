"""Whose requests a local host without keys takes: those of this machine, not those of a page that somebody visits."""

from __future__ import annotations

import pytest

from durable_core.errors import ConfigurationError
from durable_core.hosting.local.config import host_key, look_key
from durable_core.hosting.local.http_sites import SitePolicy

LOOPBACK = SitePolicy(("127.0.0.1", "app.example"), only_known_names=True)
REACHABLE = SitePolicy(("0.0.0.0", ""), only_known_names=False)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:7071",
        "LOCALHOST",
        "localhost.",
        "app.localhost",
        "127.0.0.1:7071",
        "127.1.2.3",
        "[::1]:9",
    ],
)
def test_names_of_the_loopback_interface_are_answered(host: str) -> None:
    assert LOOPBACK.refusal(host, ()) is None


def test_so_are_the_names_that_the_host_was_given() -> None:
    assert LOOPBACK.refusal("app.example:443", ()) is None
    assert LOOPBACK.refusal("localhost", ["https://app.example"]) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7071", "127.0.0.1.evil.example", "localhost.evil.example", "notlocalhost", "[::2]"],
)
def test_another_name_on_loopback_is_refused_and_the_answer_says_what_to_set(host: str) -> None:
    refusal = LOOPBACK.refusal(host, ())
    assert refusal is not None
    assert "DURABLE_BASE_URL" in refusal
    assert "--require-keys" in refusal


def test_a_host_that_others_can_reach_answers_to_every_name() -> None:
    assert REACHABLE.refusal("10.0.0.4:7071", ()) is None
    assert REACHABLE.refusal("10.0.0.4:7071", ["http://10.0.0.4:3000"]) is None


@pytest.mark.parametrize("policy", [LOOPBACK, REACHABLE], ids=["loopback", "reachable"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://localhost.evil.example",
        "http://[",
        "file://",
        "https://app.example@x.y",
    ],
)
def test_a_page_of_another_site_is_refused_wherever_the_host_listens(policy: SitePolicy, origin: str) -> None:
    assert policy.refusal("127.0.0.1:7071", [origin]) is not None
    assert policy.refusal("127.0.0.1:7071", ["http://localhost:3000", origin]) is not None


def test_a_page_of_this_machine_is_served() -> None:
    for origin in ("http://localhost:3000", "http://127.0.0.1:7071", "https://[::1]:8443"):
        assert LOOPBACK.refusal("localhost:7071", [origin]) is None


def test_the_key_of_the_command_line_comes_before_that_of_the_environment() -> None:
    assert host_key("one", {"DURABLE_HOST_KEY": "two"}) == "one"
    assert host_key(None, {"DURABLE_HOST_KEY": "two"}) == "two"
    assert host_key(None, {}) is None


def test_a_key_that_may_only_look_needs_the_other_one() -> None:
    assert look_key("look", {"DURABLE_HOST_LOOK_KEY": "two"}, "full") == "look"
    assert look_key(None, {"DURABLE_HOST_LOOK_KEY": "two"}, "full") == "two"
    assert look_key(None, {}, "full") is None
    assert look_key(None, {}, None) is None
    with pytest.raises(ConfigurationError, match="--require-keys"):
        look_key("look", {}, None)
    for empty in ("", " "):
        with pytest.raises(ConfigurationError, match="--look-key is empty"):
            look_key(empty, {}, "full")


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_key_is_refused_wherever_it_comes_from(empty: str) -> None:
    with pytest.raises(ConfigurationError, match="--require-keys is empty"):
        host_key(empty, {"DURABLE_HOST_KEY": "two"})
    with pytest.raises(ConfigurationError, match="DURABLE_HOST_KEY is empty"):
        host_key(None, {"DURABLE_HOST_KEY": empty})
