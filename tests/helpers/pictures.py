"""What a picture shows, and a row of a benchmark."""

import numpy as np

from vecprop.inspection.benchmark_report import Row


def lines(ax):
    """Label -> (x, y) of each line."""
    return {line.get_label(): tuple(np.asarray(values).tolist() for values in line.get_data()) for line in ax.lines}


def texts(ax):
    return [text.get_text() for text in ax.texts]


def legend(ax):
    return texts(ax.get_legend())


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def a_row(**fields):
    usual = {"backend": "numpy", "network": "2-4-1", "dtype": "float32", "pass_name": "gradients", "m": 100}
    rest = {"rung": "vectorized", "seconds": 1e-3, "measured_m": 100, "extrapolated": False, "runs": 5}
    return Row(**{**usual, **rest, **fields})
