"""Encodes a payload for storage: the text is compressed, then encoded with the payload codec if the app has one.

The first stored byte tells the two apart: zlib data never begins with a zero byte, encoded data always does. Data that
was stored before the app had a codec stays readable, and data that needs a codec is recognized.
"""

from __future__ import annotations

import base64
import binascii
import zlib

from ..codec import PayloadCodec
from ..errors import CodecError, SerializationError
from ..hang_watch import Code, stretch
from ..user_code import is_interrupt

_ENCODED = b"\0"
_PROBE = 64 * 1024
_HIDDEN = "~enc:"
_CODEC = Code("the payload codec")


class Encoding:
    """``hides``: whether there is a codec; then no text of a user is stored without it, however short."""

    def __init__(self, codec: PayloadCodec | None = None) -> None:
        self._codec = codec
        self.hides = codec is not None

    def pack(self, text: str) -> bytes:
        """CodecError if the codec fails."""
        packed = _compress(text.encode())
        if self._codec is None:
            return packed
        try:
            return _ENCODED + stretch(_CODEC, self._codec.encode, packed)
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise CodecError(
                f"the payload codec failed to encode a payload: {type(error).__name__}; see the cause"
            ) from error

    def unpack(self, packed: bytes) -> str:
        """The text of stored bytes. CodecError if they were encoded and the codec of this app cannot decode them."""
        if packed.startswith(_ENCODED):
            packed = self._decode(packed[1:])
        try:
            return zlib.decompress(packed).decode()
        except (zlib.error, UnicodeDecodeError) as error:
            raise SerializationError(
                f"stored data is damaged: it cannot be decompressed ({type(error).__name__})"
            ) from error

    def hide(self, text: str) -> str:
        """A short text in the form in which it is stored: encoded if there is a codec."""
        return _HIDDEN + base64.b64encode(self.pack(text)).decode() if text and self.hides else text

    def show(self, text: str) -> str:
        """The inverse of ``hide``. CodecError as above."""
        if not text.startswith(_HIDDEN):
            return text
        try:
            packed = base64.b64decode(text[len(_HIDDEN) :], validate=True)
        except binascii.Error:  # a plain text that begins like an encoded one
            return text
        return self.unpack(packed)

    def _decode(self, data: bytes) -> bytes:
        if self._codec is None:
            raise CodecError("stored data was encoded with a payload codec, and this app has none; pass codec=...")
        try:
            decoded = stretch(_CODEC, self._codec.decode, data)
            zlib.decompressobj().decompress(decoded, 1)  # a wrong key of a cipher without a check gives noise
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise CodecError(
                f"stored data cannot be decoded by this app's payload codec ({type(error).__name__}); "
                "if the key of the codec has changed, let the codec accept the old key, too"
            ) from error
        return decoded


def _compress(data: bytes) -> bytes:
    """Compress with zlib. Large data without repetitions (such as base64) is compressed without searching for any: the
    search would block the event loop for nearly a second per 10 MB, and find nothing."""
    if len(data) > 4 * _PROBE:
        middle = data[len(data) // 2 :][:_PROBE]
        if len(_without_search(middle)) < 1.05 * len(zlib.compress(middle, 1)):
            return _without_search(data)
    return zlib.compress(data, 1)


def _without_search(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(data) + packer.flush()
