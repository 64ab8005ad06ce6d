"""Text that does more than to be read where it is printed as it is, and what of it is left in an output."""

from __future__ import annotations

import unicodedata

ESCAPES = "\x1b[31mred\x1b]0;owned\x07 \x9b1A\r\x7f\u202eright\u2066\u2069 to left\u2028next\x85line"
"""Colours, a title of the window, a line overwritten, text from right to left, ends of lines."""
MARKUP = "</script><script>alert(1)</script> &lt;b&gt; | ` * _ [x](y) # $x$ %{}\\"
"""What HTML, Markdown and LaTeX would act on."""
_DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def hidden(text: str) -> list[str]:
    """The characters of a text that are not seen but act; the end of a line is none of them."""
    return [one for one in text if one != "\n" and (_acts(one) or unicodedata.bidirectional(one) in _DIRECTIONS)]


def _acts(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
