"""Route templates mean what they mean in ASP.NET."""

from __future__ import annotations

import pytest

from durable_core.errors import ConfigurationError
from durable_core.hosting.local.routes import Route, Router, parse_template


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("", "/", {}),
        ("items", "/Items/", {}),
        ("items/{id}", "/items/7", {"id": "7"}),
        ("items/{id}", "/items", None),
        ("items/{id}", "/items/7/8", None),
        ("items/{id?}", "/items", {}),
        ("items/{id=5}", "/items", {"id": "5"}),
        ("items/{id:int}", "/items/-12", {"id": "-12"}),
        ("items/{id:int}", "/items/3000000000", None),
        ("items/{id:long}", "/items/3000000000", {"id": "3000000000"}),
        ("items/{id:int?}", "/items", {}),
        ("items/{id:int:range(1,9)}", "/items/10", None),
        ("items/{id:minlength(2):maxlength(3)}", "/items/abcd", None),
        ("items/{id:length(2)}", "/items/ab", {"id": "ab"}),
        ("items/{on:bool}", "/items/TRUE", {"on": "TRUE"}),
        (
            "items/{id:guid}",
            "/items/1b4e28ba-2fa1-11d2-883f-0016d3cca427",
            {"id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"},
        ),
        ("items/{id:guid}", "/items/1", None),
        ("items/{x:double}", "/items/1.5", {"x": "1.5"}),
        ("items/{at:datetime}", "/items/2024-01-01", {"at": "2024-01-01"}),
        ("items/{n:alpha}", "/items/a1", None),
        ("items/{n:regex(^a/?[[0-9]]{{2}}$)}", "/items/a1", None),
        ("items/{n:regex(^a\\d{{2}}$)}", "/items/a12", {"n": "a12"}),
        ("files/{*rest}", "/files/a/b%2Fc", {"rest": "a/b/c"}),
        ("files/{*rest}", "/files", {}),
        ("v{major}.{minor}", "/v1.2", {"major": "1", "minor": "2"}),
        ("{id}", "/a%20b%2Fc", {"id": "a b/c"}),
    ],
)
def test_a_template_matches_the_paths_that_aspnet_would_match(
    template: str, path: str, values: dict[str, str] | None
) -> None:
    assert parse_template(template).match(path) == values


def test_the_more_specific_route_wins_whatever_the_order() -> None:
    templates = ["{*all}", "items/{id}", "items/{id:int}", "items/special", "items/x{id}"]
    router = Router([Route(parse_template(text), frozenset[str](), text) for text in templates])
    for path, winner in {
        "/items/special": "items/special",
        "/items/7": "items/{id:int}",
        "/items/abc": "items/{id}",
        "/items/xyz": "items/x{id}",
        "/other": "{*all}",
    }.items():
        found = router.find("GET", path)
        assert found is not None
        assert found[0] == winner


def test_two_routes_may_share_a_path_if_they_share_no_method() -> None:
    template = parse_template("items/{id}")
    router = Router([Route(template, frozenset({"GET"}), "read"), Route(template, frozenset({"PUT"}), "write")])
    assert router.find("PUT", "/items/1") == ("write", {"id": "1"})
    assert router.find("POST", "/items/1") is None
    with pytest.raises(ConfigurationError, match="conflict"):
        Router([Route(template, frozenset[str](), 1), Route(parse_template("ITEMS/{x?}"), frozenset({"GET"}), 2)])


@pytest.mark.parametrize(
    "template",
    ["admin", "Runtime/webhooks", "a/{b", "a/{b}/{b}", "{*a}/b", "a/{b:nope}", "a/{b:length(x)}", "a/{b:regex(()}"],
)
def test_a_template_that_cannot_be_served_is_refused(template: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_template(template)
