"""Data larger than memory: read ahead, a window at a time, in shuffled order."""

from vecprop.data.streaming.opening import Rows, as_source, rows

__all__ = ["Rows", "as_source", "rows"]
