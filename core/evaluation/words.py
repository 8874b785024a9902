"""Names as words of a score file, whose columns are separated by white space: a blank is written as `%20`."""

import re
from collections.abc import Sequence
from urllib.parse import quote

_SPACES = "".join(filter(str.isspace, map(chr, range(0x3001))))
"""All characters at which `str.split` separates words; none has a higher code."""

_CHARACTERS = {quote(character): character for character in _SPACES + "%"}
_UNSAFE = re.compile(rf"[{re.escape(_SPACES)}]|%(?=[0-9A-Fa-f]{{2}})")
_ENCODED = re.compile("|".join(sorted(_CHARACTERS, key=len, reverse=True)))


def encoded(names: Sequence[str]) -> list[str]:
    """The names as words without white space; `decoded` returns the names again.

    White space becomes the percent-encoding of its UTF-8 bytes (RFC 3986, section 2.1). A percent sign that two
    hexadecimal digits follow becomes `%25`. All other characters stay as they are, so that the names of most corpora do
    not change.
    """
    return [_UNSAFE.sub(lambda match: quote(match[0]), name) for name in names]


def decoded(words: Sequence[str]) -> list[str]:
    """The names that `encoded` wrote as these words. Percent signs that it would not write stay as they are."""
    return [_ENCODED.sub(lambda match: _CHARACTERS[match[0]], word) if "%" in word else word for word in words]
