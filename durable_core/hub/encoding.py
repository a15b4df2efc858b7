"""How a text of the user's becomes bytes to store: compressed, then through the app's payload codec if it has one.

Stored bytes say which: zlib never begins with a zero byte, encoded data always does. So data from before there was
a codec stays readable, and data that needs one is known as such.
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
    def __init__(self, codec: PayloadCodec | None = None) -> None:
        self._codec = codec

    @property
    def hides(self) -> bool:
        """Whether there is a codec: then no text of the user's is stored as it is, however short."""
        return self._codec is not None

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
        """CodecError if it was encoded and this app's codec cannot decode it."""
        if packed.startswith(_ENCODED):
            packed = self._decode(packed[1:])
        try:
            return zlib.decompress(packed).decode()
        except (zlib.error, UnicodeDecodeError) as error:
            raise SerializationError(
                f"stored data is damaged: it cannot be decompressed ({type(error).__name__})"
            ) from error

    def hide(self, text: str) -> str:
        """A short text as a text that may be stored."""
        return _HIDDEN + base64.b64encode(self.pack(text)).decode() if text and self.hides else text

    def show(self, text: str) -> str:
        """The inverse of ``hide``. CodecError as above."""
        if not text.startswith(_HIDDEN):
            return text
        try:
            packed = base64.b64decode(text[len(_HIDDEN) :], validate=True)
        except binascii.Error:  # somebody's text just begins like that
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
    """zlib. In large data that repeats nothing (base64 of anything) no repetition is searched for: the search would
    hold up the event loop for nearly a second per 10 MB, and find nothing."""
    if len(data) > 4 * _PROBE:
        middle = data[len(data) // 2 :][:_PROBE]
        if len(_without_search(middle)) < 1.05 * len(zlib.compress(middle, 1)):
            return _without_search(data)
    return zlib.compress(data, 1)


def _without_search(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(data) + packer.flush()
