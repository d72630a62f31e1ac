"""Data larger than memory: read a window at a time, in shuffled order, ahead of the training."""

from vecprop.data.streaming.opening import Rows, as_source, rows

__all__ = ["Rows", "as_source", "rows"]
