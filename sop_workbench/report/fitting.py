"""How much room a text takes on a slide, so that none runs out of its box: Arial's own widths with room to spare, words kept whole.

Slides have no layout engine before they are opened; what is measured here decides font size, row heights and where a text is cut. The
spare is for machines without Arial, which take a wider font for it.
"""

from __future__ import annotations

from collections.abc import Sequence

_POINTS = 72.0  # in an inch
_LINE = 1.2  # height of a line, in font sizes
_BOLD = 1.08  # bold against regular
_SPARE = 1.16  # the widest font that is commonly taken for Arial (DejaVu Sans) against Arial
_WIDTHS = {  # Arial, in thousandths of the font size
    **dict.fromkeys("ijl'|", 222), **dict.fromkeys("ft.,:;/ !I\u00b7\u2009", 280), **dict.fromkeys("r()-[]\u2011", 335),
    **dict.fromkeys("ckvxyszJ", 500), **dict.fromkeys("LFTZ", 611), **dict.fromkeys("ABEKPSVXY&", 667), **dict.fromkeys("CDHNRUw", 722),
    **dict.fromkeys("GOQ", 778), **dict.fromkeys("mM", 833), "%": 889, "W": 944, "\u2192": 1000, "@": 1015, "\u2026": 1000,
}
_USUAL, _WIDE, _WIDE_FROM = 560, 1000, 0x2E80  # other letters and digits; characters as wide as they are high


def text_inches(text: str, size: float, is_bold: bool = False) -> float:
    """Width of one line of text.

    Examples
    --------
    >>> round(text_inches("Plan", 72), 2)
    2.33
    """
    units = sum(_WIDTHS.get(letter, _WIDE if ord(letter) >= _WIDE_FROM else _USUAL) for letter in text)
    return units / 1000 * size * (_BOLD if is_bold else 1) * _SPARE / _POINTS


def wrapped(text: str, inches: float, size: float, is_bold: bool = False) -> list[str]:
    """The lines a text breaks into; a word longer than a line is broken.

    Examples
    --------
    >>> wrapped("close the gap", 0.9, 14)
    ['close', 'the gap']
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if text_inches(longer, size, is_bold) <= inches:
                line = longer
                continue
            if line:
                lines.append(line)
            *broken, line = _broken(word, inches, size, is_bold)
            lines += broken
        lines.append(line)
    return lines


def _broken(word: str, inches: float, size: float, is_bold: bool) -> list[str]:
    parts, part = [], ""
    for letter in word:
        if part and text_inches(part + letter, size, is_bold) > inches:
            parts.append(part)
            part = ""
        part += letter
    return [*parts, part]


def height_inches(text: str, inches: float, size: float, is_bold: bool = False) -> float:
    """Height of a text in a box of some width."""
    return len(wrapped(text, inches, size, is_bold)) * size * _LINE / _POINTS


def fitted(text: str, inches: float, height: float, sizes: Sequence[float], is_bold: bool = False) -> tuple[float, str]:
    """The largest of some font sizes at which a text fits its box; cut with an ellipsis where even the smallest is too large.

    Examples
    --------
    >>> fitted("close the gap", 2.0, 0.3, (18, 12))
    (18, 'close the gap')
    >>> fitted("close the gap or lower the estimate", 1.0, 0.25, (12, 10))
    (10, 'close the…')
    """
    for size in sizes:
        if height_inches(text, inches, size, is_bold) <= height:
            return size, text
    size = sizes[-1]
    room = max(1, int(height * _POINTS / (size * _LINE)))
    kept = " ".join(wrapped(text, inches, size, is_bold)[:room])
    while kept and len(wrapped(kept + "\u2026", inches, size, is_bold)) > room:
        kept = kept.rpartition(" ")[0] or kept[:-1]  # by words; a word alone by letters
    return size, kept.rstrip(" ,;:.") + "\u2026"
