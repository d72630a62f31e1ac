"""Pictures of networks, of their training and of what they learned, drawn with matplotlib.

Each function draws on the axes given, or on a new figure, and returns the axes, without a display and without touching
global state of matplotlib, which is imported when a picture is drawn. `save(ax, path)` writes a file:

>>> import vecprop as vp
>>> X, Y = vp.datasets.xor(m=40)
>>> result = vp.fit(vp.Network((2, 4, 1)), X, Y, epochs=5)
>>> ax = cost_curve(result.history)
>>> ax.get_xlabel()
'epoch'

X and Y of a network have one example per column. True and predicted labels or values are 1-d, as in scikit-learn.
Lists and arrays of any library are accepted.

Colours are Okabe and Ito's, which all common kinds of colour vision tell apart; markers and line styles differ too.
"""

from vecprop.inspection.plots.boundary import Snapshots, decision_boundary, decision_boundary_animation
from vecprop.inspection.plots.classification import confusion_matrix
from vecprop.inspection.plots.curves import (
    cost_curve,
    gradient_norms,
    gradient_norms_by_layer,
    gradient_norms_of_layer,
    history,
)
from vecprop.inspection.plots.diagram import network_diagram
from vecprop.inspection.plots.figures import COLOURS, LINES, decorate, group_digits, panels, save
from vecprop.inspection.plots.functions import activation, activations
from vecprop.inspection.plots.regression import predicted_against_true, residuals
from vecprop.inspection.plots.speed import speedup
from vecprop.inspection.plots.weights import first_layer_weights

__all__ = [
    "COLOURS", "LINES", "Snapshots", "activation", "activations", "confusion_matrix", "cost_curve",
    "decision_boundary", "decision_boundary_animation", "decorate", "first_layer_weights", "gradient_norms",
    "gradient_norms_by_layer", "gradient_norms_of_layer", "group_digits", "history", "network_diagram", "panels",
    "predicted_against_true", "residuals", "save", "speedup",
]  # fmt: skip
