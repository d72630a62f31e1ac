"""The pictures of the tutorial, as axes by their names; docs/pictures.py writes them into docs/images/tutorial.

Each is drawn from a run with a fixed seed, so the same versions give the same pictures.
"""

from functools import partial

import numpy as np

import vecprop as vp
from vecprop import plots
from vecprop.cli.demonstrations import saturation

BLUE, ORANGE, GREEN, GREY = plots.COLOURS[0], plots.COLOURS[1], plots.COLOURS[2], "0.35"
DPI = 80
MAPS = ("standard", "bins", "normal")


# --- drawings ---------------------------------------------------------------------------------------------------


def _blank(width: float, height: float):
    """Return axes on which one unit is an inch, with nothing drawn."""
    (ax,) = plots.panels(width=width, height=height)
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")
    return ax


def _circle(ax, x: float, y: float, text: str, colour: str) -> None:
    from matplotlib.patches import Circle

    ax.add_patch(Circle((x, y), 0.42, facecolor="white", edgecolor=colour, linewidth=2.2, zorder=2))
    ax.text(x, y, text, ha="center", va="center", fontsize=17, zorder=3)


def _arrow(ax, start: tuple[float, float], end: tuple[float, float], text: str = "", shift: float = 0.16) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.6})
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + shift)
    ax.text(*middle, text, ha="center", va="bottom" if shift > 0 else "top", fontsize=15, color=GREY)


def neuron():
    """Draw one neuron: inputs, weights, bias, sum, sigmoid."""
    ax = _blank(8.0, 3.2)
    _arrow(ax, (1.35, 2.35), (3.1, 1.85), "$w_1$", 0.05)
    _arrow(ax, (1.35, 0.85), (3.1, 1.35), "$w_2$", -0.08)
    _arrow(ax, (3.5, 2.75), (3.5, 2.06), "")
    _arrow(ax, (3.97, 1.6), (5.55, 1.6), "$\\sigma$")
    _arrow(ax, (6.45, 1.6), (7.5, 1.6))
    _circle(ax, 0.9, 2.5, "$x_1$", BLUE)
    _circle(ax, 0.9, 0.7, "$x_2$", BLUE)
    _circle(ax, 3.5, 1.6, "$z$", ORANGE)
    _circle(ax, 6.0, 1.6, "$a$", GREEN)
    ax.text(3.5, 2.82, "$b$", ha="center", va="bottom", fontsize=15, color=GREY)
    ax.text(3.5, 0.95, "$z = w_1 x_1 + w_2 x_2 + b$", ha="center", va="top", fontsize=13)
    ax.text(6.0, 0.95, "$a = \\sigma(z)$", ha="center", va="top", fontsize=13)
    return ax


def shapes():
    """Draw Z1 = W1 X + b1 as rectangles, one column of X and Z1 marked."""
    from matplotlib.patches import Rectangle

    ax = _blank(8.6, 2.9)
    cell = 0.36

    def matrix(x, rows, columns, colour, name, size, column=None):
        bottom = 1.75 - rows * cell / 2
        for i in range(rows):
            for j in range(columns):
                face = "#fde0c8" if j == column else "white"
                place = (x + j * cell, bottom + i * cell)
                ax.add_patch(Rectangle(place, cell, cell, facecolor=face, edgecolor=colour, linewidth=1.3))
        middle = x + columns * cell / 2
        ax.text(middle, 0.88, name, ha="center", va="top", fontsize=16)
        ax.text(middle, 0.45, size, ha="center", va="top", fontsize=12, color=GREY)

    def sign(x, text):
        ax.text(x, 1.75, text, ha="center", va="center", fontsize=17)

    matrix(0.15, 4, 2, GREEN, "$W_1$", "(4, 2)")
    sign(1.1, "·")
    matrix(1.35, 2, 7, BLUE, "$X$", "(2, m)", column=2)
    sign(4.18, "+")
    matrix(4.5, 4, 1, GREEN, "$b_1$", "(4, 1)")
    sign(5.3, "=")
    matrix(5.75, 4, 7, ORANGE, "$Z_1$", "(4, m)", column=2)
    ax.text(7.0, 2.6, "one column is one example", ha="center", va="bottom", fontsize=12, color=GREY)
    return ax


def activations():
    """Draw four activations, and below each its derivative."""
    z = np.linspace(-4, 4, 401)
    s, t = 1 / (1 + np.exp(-z)), np.tanh(z)
    kinked = np.where(z < 0, 0.01, 1.0)
    curves = {
        "sigmoid": (s, s * (1 - s)),
        "tanh": (t, 1 - t * t),
        "ReLU": (np.maximum(z, 0), (z >= 0).astype(float)),
        "leaky ReLU (0.01)": (kinked * z, kinked),
    }
    figure = plots.panels(width=9.6, height=4.4)[0].figure
    figure.clear()
    axes = figure.subplots(2, 4, sharex=True)
    for column, (name, (value, slope)) in zip(axes.T, curves.items(), strict=True):
        for ax, curve, colour in zip(column, (value, slope), (BLUE, ORANGE), strict=True):
            ax.axhline(0, color="0.8", linewidth=0.8)
            ax.axvline(0, color="0.8", linewidth=0.8)
            ax.plot(z, curve, color=colour, linewidth=2)
            ax.set_xticks([-4, 0, 4])
        column[0].set(title=name, ylim=(-1.2, 4.2) if "ReLU" in name else (-1.2, 1.2))
        column[1].set(xlabel="z", ylim=(-0.1, 1.2))
    axes[0, 0].set_ylabel("g(z)")
    axes[1, 0].set_ylabel("g′(z)")
    return axes[0, 0]


# --- the plane --------------------------------------------------------------------------------------------------


def _boundaries(cases) -> object:
    """Draw what networks have learned, side by side: (title, network, data, epochs)."""
    for ax, (title, net, data, epochs) in zip(plots.panels(len(cases), 4.4, 4.2), cases, strict=True):
        result = vp.fit(net, data.X, data.Y, optimizer=vp.GradientDescent(1.0), epochs=epochs)
        plots.decision_boundary(net, result.params, data.X, data.Y, ax=ax)
        right = ((result.forward(data.X) > 0.5) == data.Y).mean()
        ax.set_title(f"{title}: {right:.0%} right", fontsize=12)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, frameon=False)
    return ax


# The picture of the first page; what a line can separate, and what not; a hidden layer without and with a bend.
BOUNDARIES = {
    "moons": [("2-16-1, tanh", vp.Network((2, 16, 1)), vp.datasets.moons(m=500), 2000)],
    "one-neuron": [
        ("One neuron, two clouds", vp.Network((2, 1)), vp.datasets.linearly_separable(m=200), 200),
        ("One neuron, ring and disc", vp.Network((2, 1)), vp.datasets.circles(m=400), 500),
    ],
    "linear-or-not": [
        (f"2-8-1, {name}", vp.Network((2, 8, 1), hidden=name), vp.datasets.circles(m=400), 500)
        for name in ("identity", "tanh")
    ],
}


# --- runs -------------------------------------------------------------------------------------------------------


def _titled(draw, runs, title: str, **options):
    """Draw runs with a function of plots on axes of the usual size."""
    ax = draw(runs, *plots.panels(height=3.9), **options)
    ax.set_title(title, fontsize=12)
    return ax


def stack():
    """Draw sixteen networks from sixteen seeds."""
    data = vp.datasets.circles(m=400)
    result = vp.fit(vp.Network((2, 4, 1)), *data, optimizer=vp.GradientDescent(1.0), epochs=300, seed=range(16))
    return _titled(plots.history, result, "16 networks 2-4-1 from 16 seeds")


def pack():
    """Draw the networks of packs, by their maps, beside their mixture and the mean of four networks of one kind."""
    from sklearn.model_selection import train_test_split

    from vecprop.estimators import MLPRegressor, PackRegressor

    houses = vp.datasets.house_prices()
    four = MLPRegressor(
        hidden_layer_sizes=(64, 64), activation="silu", learning_rate_init=0.002, alpha=1.0, batch_size=16,
        max_iter=300, early_stopping=True, n_iter_no_change=20, scoring="loss", scale="standard",
        scale_target="standard", n_networks=4, random_state=0,
    )  # fmt: skip
    (ax,) = plots.panels(width=7.6, height=4.2)
    for split in range(6):
        X, X_test, y, y_test = train_test_split(houses.X.T, houses.Y[0] / 1000, random_state=split)
        mixture = PackRegressor(random_state=0).fit(X, y)
        predicted = {"four of one kind": four.fit(X, y).predict(X_test), "the mixture": mixture.predict(X_test)}
        P = np.concatenate([P for P, _ in mixture._members(X_test, mixture._of_each)], axis=1)
        names = [g.map.name if g.estimator.hidden_layer_sizes else "linear" for g in mixture.groups_ for _ in g.weights]
        for name, colour, shift in zip(MAPS, plots.COLOURS, (-0.1, 0.0, 0.1), strict=False):
            errors = np.sqrt(((P[[n == name for n in names]] - y_test) ** 2).mean(axis=1))
            ax.plot(np.full(len(errors), split + shift), errors, "o", color=colour, label="" if split else name)
        for (name, found), line in zip(predicted.items(), (":", "-"), strict=True):
            error = np.sqrt(((found - y_test) ** 2).mean())
            ax.hlines(error, split - 0.35, split + 0.35, "black", line, linewidth=1.8, label="" if split else name)
    ax.set(xlabel="split", ylabel="error on the test rows, 1000 €", title="Networks of a pack, and their mixture")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return ax


def rates():
    """Draw four learning rates."""
    data, net = vp.datasets.circles(m=400), vp.Network((2, 4, 1))
    runs = {
        f"α = {rate:g}": vp.fit(net, *data, optimizer=vp.GradientDescent(rate), epochs=300).history
        for rate in (0.1, 1.0, 3.0, 30.0)
    }
    return _titled(plots.cost_curve, runs, "Gradient descent with four learning rates", log=True)


def starts():
    """Draw weights of the right size, and ten and a hundred times as large."""
    runs = {f"weights × {run.scale:g}": run.training.history for run in saturation()}
    return _titled(plots.cost_curve, runs, "The same start, with larger weights", log=True)


def optimizers():
    """Draw three optimizers on two spirals, one of them with two rates."""
    net = vp.Network((2, 16, 16, 1))
    runs = {
        f"{type(o).__name__}({o.learning_rate:g})": vp.fit(
            net, *vp.datasets.spirals(m=400), optimizer=o, epochs=60, batch_size=32
        ).history
        for o in (vp.GradientDescent(0.1), vp.GradientDescent(1.0), vp.Momentum(1.0), vp.Adam(0.01))
    }
    return _titled(plots.cost_curve, runs, "Two spirals, 2-16-16-1, batches of 32", log=True)


def early_stopping():
    """Draw a network that learns its examples by heart, stopped before."""
    few, net = vp.datasets.moons(m=200, noise=0.4), vp.Network((2, 64, 64, 1), hidden="relu")
    result = vp.fit(net, *few, optimizer=vp.Adam(0.01), epochs=200, validation=0.3, patience=vp.EarlyStopping(150))
    return _titled(plots.history, result, "140 examples, 4417 parameters")


def vanishing():
    """Draw the gradient of each layer of a deep network of sigmoids."""
    data = vp.datasets.moons(m=300)
    net = vp.Network((2, *[8] * 8, 1), hidden="sigmoid")
    result = vp.fit(net, *data, optimizer=vp.GradientDescent(0.5), epochs=60, batch_size=50)
    ax = plots.gradient_norms(result, *plots.panels(width=7.2, height=4.2))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return ax


PICTURES = {
    "neuron": neuron, "shapes": shapes, **{name: partial(_boundaries, cases) for name, cases in BOUNDARIES.items()},
    "activations": activations, "stack": stack, "pack": pack, "rates": rates, "saturation": starts,
    "optimizers": optimizers, "early-stopping": early_stopping, "vanishing": vanishing,
}  # fmt: skip
