"""Rows of text as a table."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, with the first column aligned left, the others right.

    >>> print(aligned([("", "cost"), ("a long name", "1")]))
                 cost
    a long name     1
    """
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = ("  ".join([row[0].ljust(first), *map(str.rjust, row[1:], widths)]).rstrip() for row in rows)
    return "\n".join(lines)
