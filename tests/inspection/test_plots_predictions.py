"""The pictures of predictions: confusion matrix, predicted against true, residuals."""

import numpy as np
import pytest
from sklearn import metrics

import vecprop as vp
from helpers import cases, refusals
from helpers.pictures import texts, ticks
from vecprop import plots

TRUE, PREDICTED = ["cat", "cat", "dog", "emu", "emu", "emu"], ["cat", "dog", "dog", "emu", "emu", "cat"]
COUNTS = [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


def matrix(ax):
    return ax.images[0].get_array().tolist()


@pytest.mark.parametrize("kind", [list, np.array, lambda values: np.array(values, dtype=object)])
def test_a_confusion_matrix_of_text(kind):
    ax = plots.confusion_matrix(kind(TRUE), kind(PREDICTED))
    assert matrix(ax) == COUNTS
    assert texts(ax) == [str(count) for row in COUNTS for count in row]
    for text in ax.texts:  # each number stands in its cell
        column, row = text.get_position()
        assert text.get_text() == str(COUNTS[row][column])
    assert ticks(ax.xaxis) == ticks(ax.yaxis) == ["cat", "dog", "emu"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class") and "66.7 %" in ax.get_title()


def test_it_is_scikit_learns():
    random = np.random.default_rng(0)
    true, predicted = random.integers(0, 7, (2, 300))
    assert matrix(plots.confusion_matrix(true, predicted)) == metrics.confusion_matrix(true, predicted).tolist()
    some = [5, 2, 0]
    ours, theirs = plots.confusion_matrix(true, predicted, some), metrics.confusion_matrix(true, predicted, labels=some)
    assert matrix(ours) == theirs.tolist() and ticks(ours.xaxis) == ["5", "2", "0"]


def test_shares_of_the_true_class():
    ax = plots.confusion_matrix(TRUE, PREDICTED, ["cat", "dog", "emu", "yak"], normalize=True)
    np.testing.assert_allclose(matrix(ax), [[0.5, 0.5, 0, 0], [0, 1, 0, 0], [1 / 3, 0, 2 / 3, 0], [0, 0, 0, 0]])
    assert texts(ax)[8:12] == ["0.33", "0.00", "0.67", "0.00"]
    assert ax.images[0].get_clim() == (0, 1)


def test_numbers_can_be_read_on_every_colour():
    ax = plots.confusion_matrix([0] * 100 + [1] * 60 + [2] * 40, [0] * 100 + [1] * 60 + [2] * 40)
    image, luminance = ax.images[0], np.array([0.2126, 0.7152, 0.0722])
    for text in ax.texts:
        column, row = text.get_position()
        value = image.get_array()[row, column]
        cell = image.to_rgba(np.array([[value]]))[0, 0, :3]
        if value:
            colour = {"white": 1.0, "black": 0.0}[text.get_color()]
            light = np.where(cell <= 0.04045, cell / 12.92, ((cell + 0.055) / 1.055) ** 2.4) @ luminance
            light, dark = max(colour, light), min(colour, light)
            assert (light + 0.05) / (dark + 0.05) >= 4  # WCAG asks 3 of large text, 4.5 of small


def test_names_for_classes_and_jax_arrays(jax_backend):
    data = vp.datasets.iris()
    labels = jax_backend.asarray(data.labels.astype("float32"))
    ax = plots.confusion_matrix(labels, data.labels, names=data.target_names)
    assert matrix(ax) == (50 * np.eye(3)).tolist() and ticks(ax.yaxis) == list(data.target_names)


def test_many_classes_have_no_numbers(tmp_path):
    ax = plots.confusion_matrix(range(40), range(40))
    assert not ax.texts and matrix(ax) == np.eye(40).tolist()
    plots.save(ax, tmp_path / "many.png")


test_what_is_no_confusion = refusals(
    lambda change: plots.confusion_matrix(**({"true": [0, 1, 1], "predicted": [0, 1, 0]} | change)),
    ({"true": None}, TypeError, "true must be a 1-d array or a list of labels, got NoneType"),
    ({"true": []}, "true must have at least one entry"),
    ({"true": [0, 1]}, "true and predicted must have the same length, got 2 and 3"),
    ({"true": [[0, 1, 1]]}, r"true .*got shape \(1, 3\); of one row \(1, m\) use true\[0\]"),
    ({"predicted": np.eye(3)}, r"one-hot columns \(K, m\) use predicted.argmax\(axis=0\)"),
    ({"predicted": [0, 1, [2]]}, "predicted must be a 1-d array or a list of labels"),
    ({"predicted": ["a", "b", "c"]}, TypeError, "true and predicted must be all text or all numbers, got both"),
    ({"predicted": [0, 1, np.nan]}, "predicted must be finite labels, got nan"),
    ({"predicted": np.array([0, "a", None], dtype=object)}, TypeError, "predicted must be labels, all text or all"),
    ({"labels": [0, 0]}, r"labels must name each class once, got \[0, 0\]"),
    ({"labels": [7, 8]}, r"labels must hold at least one class of true, got \[7, 8\]"),
    ({"labels": ["0", "1"]}, TypeError, "true, predicted and labels must be all text or all numbers"),
    ({"names": ["no", "yes", "maybe"]}, "names must have 2 names, one for each class, got 3"),
)


def test_predicted_against_true():
    ax = plots.predicted_against_true([1.0, 2.0, 6.0], [2.0, 2.0, 5.0], quantity="price", units="€")
    assert ax.collections[0].get_offsets().tolist() == [[1, 2], [2, 2], [6, 5]]
    (equal,) = ax.get_lines()
    assert list(equal.get_xdata()) == list(equal.get_ydata()) == list(ax.get_xlim()) == list(ax.get_ylim())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true price (€)", "predicted price (€)")
    assert texts(ax)[0] == "R² = 0.857\nRMSE = 0.816 €"  # 1 - 2/14 and √(2/3)


def test_a_constant_has_no_r_squared(tmp_path):
    ax = plots.predicted_against_true([2.0, 2.0], [2.0, 2.0])
    assert texts(ax) == ["RMSE = 0"]
    plots.save(ax, tmp_path / "constant.png")
    plots.save(plots.residuals([2.0], [2.0]), tmp_path / "one.png")


def test_residuals_are_true_less_predicted(jax_backend):
    true, predicted = (jax_backend.asarray(np.float32(values)) for values in ([1, 2, 6], [2, 2, 2]))
    ax = plots.residuals(true, predicted, units="m")
    assert ax.collections[0].get_offsets().tolist() == [[2, -1], [2, 0], [2, 4]]
    zero, low, high = (line.get_ydata()[0] for line in ax.get_lines())
    assert (zero, low, high) == pytest.approx((0, 1 - np.sqrt(14 / 3), 1 + np.sqrt(14 / 3)))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted value (m)", "true − predicted (m)")
    assert ax.get_title() == "Residuals: mean 1 m, standard deviation 2.16 m"


def test_large_numbers_have_grouped_digits(tmp_path):
    ax = plots.residuals([2e6, 3e6], [1e6, 4e6])
    plots.save(ax, tmp_path / "large.png")
    assert "1 000 000" in ticks(ax.yaxis) and "−1 000 000" in ticks(ax.yaxis)


@pytest.mark.parametrize("draw", [plots.predicted_against_true, plots.residuals])
@cases(
    ({"true": 3.0}, ValueError, r"true must be a 1-d array of numbers, got shape \(\)"),
    ({"true": "abc"}, TypeError, "true must be a 1-d array or a list of numbers, got str"),
    ({"predicted": [[1.0, 2.0]]}, ValueError, r"predicted .*use predicted\[0\]"),
    ({"predicted": [1.0, np.inf]}, ValueError, "predicted must be finite, got inf at place 1"),
    ({"predicted": ["a", "b"]}, TypeError, "predicted must be real numbers, got dtype"),
    ({"predicted": [1.0]}, ValueError, "true and predicted must have the same length, got 2 and 1"),
)
def test_what_are_no_values(change, error, message, draw):
    with pytest.raises(error, match=message):
        draw(**({"true": [1.0, 2.0], "predicted": [1.0, 3.0]} | change))
