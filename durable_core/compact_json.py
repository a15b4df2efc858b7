"""Makes functions that write JSON without spaces, quickly for the small values of which a step writes several.

``json.JSONEncoder.encode`` makes an encoder in C for each value, which takes longer than to write a small one. This
makes it once. The values are trees: nothing checks for a list that holds itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder
from typing import Any


def compact_writer(
    *, ascii_only: bool = True, allow_nan: bool = False, default: Callable[[Any], object] | None = None
) -> Callable[[Any], str]:
    """A function that returns a value as JSON.

    ascii_only: whether other characters are escaped. allow_nan: whether NaN and the infinite numbers are written, as
    JavaScript's names of them; else the function raises ValueError. default: returns what is written in the place of a
    value of a type that JSON has no form for; without it, the function raises TypeError.
    """
    made = json.JSONEncoder(
        ensure_ascii=ascii_only, check_circular=False, allow_nan=allow_nan, separators=(",", ":"), default=default
    )
    in_c: Any = getattr(encoder, "c_make_encoder", None)
    if in_c is None:  # another Python than CPython
        return made.encode
    text = encoder.encode_basestring_ascii if ascii_only else encoder.encode_basestring
    write: Callable[[Any, int], tuple[str, ...]] = in_c(
        None, made.default, text, None, ":", ",", made.sort_keys, made.skipkeys, allow_nan
    )
    return lambda value: "".join(write(value, 0))
