"""Stored bytes: whatever goes in comes out, and what needs a codec is known as such."""

from __future__ import annotations

import base64
import random
import sys
import zlib

import pytest

from durable_core import CodecError, PayloadCodec
from durable_core.errors import InvalidInputError
from durable_core.hub.encoding import Encoding
from durable_core.instance_ids import check_tags, check_text


class Reversed:
    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


class Sloppy(Reversed):
    def decode(self, data: bytes) -> bytes:
        return data  # noise, as a cipher without a check of its key gives


class Exits(Reversed):
    def encode(self, data: bytes) -> bytes:
        sys.exit(3)

    def decode(self, data: bytes) -> bytes:
        sys.exit(3)


NOISE = base64.b64encode(random.Random(1).randbytes(750_000)).decode()
CODECS: list[PayloadCodec | None] = [None, Reversed()]


@pytest.mark.parametrize("codec", CODECS, ids=["plain", "codec"])
@pytest.mark.parametrize("text", ["", '"é"', "x" * 1_000_000, NOISE], ids=["empty", "short", "regular", "noise"])
def test_what_is_packed_is_unpacked(codec: PayloadCodec | None, text: str) -> None:
    encoding = Encoding(codec)
    packed = encoding.pack(text)
    assert encoding.unpack(packed) == text
    assert len(packed) <= max(20, len(text) * 0.8)
    assert encoding.show(encoding.hide(text)) == text


def test_what_was_stored_before_there_was_a_codec_is_read() -> None:
    assert Encoding(Reversed()).unpack(Encoding().pack("old")) == "old"
    assert Encoding(Reversed()).unpack(zlib.compress(b"older")) == "older"
    assert Encoding(Reversed()).show("a reason") == "a reason"
    assert Encoding(Reversed()).show("~enc:is how somebody begins a reason") == "~enc:is how somebody begins a reason"


@pytest.mark.parametrize(("codec", "says"), [(None, "pass codec="), (Sloppy(), "key of the codec has changed")])
def test_what_cannot_be_decoded_is_a_codec_error(codec: PayloadCodec | None, says: str) -> None:
    encoded = Encoding(Reversed())
    with pytest.raises(CodecError, match=says):
        Encoding(codec).unpack(encoded.pack("secret"))
    with pytest.raises(CodecError, match=says):
        Encoding(codec).show(encoded.hide("secret"))


def test_a_codec_that_exits_has_failed() -> None:
    with pytest.raises(CodecError, match="failed to encode a payload: SystemExit"):
        Encoding(Exits()).pack("secret")
    with pytest.raises(CodecError, match="SystemExit"):
        Encoding(Exits()).unpack(Encoding(Reversed()).pack("secret"))


def test_reasons_and_tags_are_checked_before_a_store_refuses_them() -> None:
    check_text("x" * 4_000, "a reason")
    check_tags({"ward": "3"})
    for wrong in ("x" * 4_001, "half \ud83d"):
        with pytest.raises(InvalidInputError, match="a reason"):
            check_text(wrong, "a reason")
    for tags in ({"a": 5}, {"a": "x" * 20_000}, {"\U0001f600" * 2_000: ""}):
        with pytest.raises(InvalidInputError, match="tags"):
            check_tags(tags)  # pyright: ignore[reportArgumentType]
