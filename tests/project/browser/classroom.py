"""What a lesson in a browser does with vecprop: run by Pyodide (`make pyodide`), and by tests/project/test_browser.py.

It prints one JSON object with what it found, so that runs in different places can be compared. Every claim it makes
is checked where it runs.
"""

import importlib.util
import io
import json
import sys


def same(ours, theirs):
    """Whether two sets of parameters hold the same numbers, to the last bit."""
    import numpy as np

    pairs = zip(ours, theirs, strict=True)
    return all(np.array_equal(a.W, b.W) and np.array_equal(a.b, b.b) for a, b in pairs)


def core():
    """Gradients, a small fit, K networks at once, the explanation: NumPy and the standard library only."""
    import numpy as np

    import vecprop as vp

    train, test = vp.datasets.moons(m=500, seed=0).split(0.2)
    net = vp.Network((2, 16, 1), hidden="tanh", output="sigmoid")
    report = vp.check_gradients(net, net.init(seed=0, dtype="float64"), train.X, train.Y, l2=0.1)
    report.raise_if_wrong()
    result = vp.fit(net, train.X, train.Y, optimizer=vp.Adam(0.02), epochs=60, batch_size=50, seed=0)
    accuracy = float(((result.forward(test.X) > 0.5) == test.Y).mean())
    assert accuracy > 0.9, accuracy
    again = vp.fit(net, train.X, train.Y, optimizer=vp.Adam(0.02), epochs=60, batch_size=50, seed=0)
    assert same(result.params, again.params), "one seed, one run"
    stack = vp.fit(net, train.X, train.Y, optimizer=vp.Adam(0.02), epochs=5, batch_size=50, seed=range(3))
    assert stack.mean_and_deviation(test.X)[0].shape == (1, 100)
    many = np.random.default_rng(0).standard_normal((2, 40_000)).astype("float32")  # enough for blocks and threads
    labels = (many[:1] * many[1:] > 0).astype("float32")
    J, grads = net.gradients(result.params, many, labels)
    wide = vp.Network((2, 64, 1))
    large = vp.fit(wide, many, labels, optimizer=vp.Adam(0.01), epochs=2, batch_size=20_000, seed=0)
    assert "dW1 = dZ1 @ X.T / m" in str(vp.explain((3, 4, 1), m=100))
    vp.diagnose(result)
    return {
        "error of the gradients": max(report.values()),
        "accuracy": accuracy,
        "costs": [float(result.history["cost"][-1]), float(J), float(large.history["cost"][-1])],
        "gradient": np.asarray(grads[0].W, dtype="float64").tolist(),
    }


def pictures():
    """The history of a fit as a picture, with Matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    import vecprop as vp

    data = vp.datasets.xor(m=40)
    result = vp.fit(vp.Network((2, 8, 1)), data.X, data.Y, epochs=5)
    axes = vp.plots.history(result)
    axes = axes[0] if hasattr(axes, "__len__") else axes
    buffer = io.BytesIO()
    axes.figure.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")
    return len(buffer.getvalue()) > 1000


def estimators():
    """A classifier in a pipeline, with scikit-learn."""
    from sklearn.datasets import load_iris
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from vecprop.estimators import MLPClassifier

    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), MLPClassifier((16,), solver="lbfgs", random_state=0))
    score = float(cross_val_score(model, X, y, cv=3).mean())
    assert score > 0.9, score
    return score


def model_files():
    """A model saved and loaded, with safetensors."""
    import os
    import tempfile

    import vecprop as vp

    net = vp.Network((2, 3, 1))
    params = net.init(seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        vp.save(path, net, params)
        model = vp.load(path)
    assert same(params, model.params)
    return True


PARTS = {"matplotlib": pictures, "sklearn": estimators, "safetensors": model_files}


def is_there(library):
    """Whether a library can be imported, without importing it."""
    if library in sys.modules:
        return sys.modules[library] is not None
    return importlib.util.find_spec(library) is not None


def lesson():
    """Everything, as far as the libraries for it are there."""
    found = core()
    for library, part in PARTS.items():
        found[part.__name__] = part() if is_there(library) else f"{library} is not installed"
    return found


if __name__ == "__main__":
    print(json.dumps(lesson()))
