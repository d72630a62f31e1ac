"""The documentation that both estimators share, inserted into their docstrings."""

from inspect import getdoc
from typing import TypeVar

Class = TypeVar("Class", bound=type)

_NETWORK = """
hidden_layer_sizes : int or sequence of int, default (100,)
    The units of each hidden layer; () for none.
activation : str, Activation, pair (g, g′), or a list with one of these for each hidden layer, default "relu"
    "identity", "logistic" (or "sigmoid"), "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", …, one of
    `vecprop.activations` with its parameters, or a pair of your own, function and derivative.
"""

_SHARED = """
solver : str or optimizer, default "adam"
    "adam"; "sgd", with `momentum`, `nesterovs_momentum` and the schedules of `learning_rate`; "lbfgs" for small data;
    or an optimizer such as `vecprop.AdamW(1e-3, weight_decay=0.01)`.
alpha : float, default 0.0001
    λ of the L2 penalty (λ/2m) Σ ‖W‖². m is the number of training examples, whatever the batch size.
batch_size : int or "auto", default "auto"
    Examples for each update; "auto" is min(200, n_samples). "lbfgs" takes all of them.
learning_rate : str or schedule, default "constant"
    "constant"; for "sgd" also "invscaling" or "adaptive"; for every optimizer a schedule such as `vecprop.Cosine()`.
learning_rate_init, power_t : float, default 0.001 and 0.5
    The step size that the schedule starts from; "invscaling" is learning_rate_init / (examples seen + 1)^power_t. For
    solvers by name: an optimizer has a rate of its own.
max_iter, max_fun : int, default 200 and 15000
    Epochs at most; for "lbfgs" iterations, and evaluations of the loss.
shuffle : bool, default True
    Whether the examples come in a new order in each epoch.
random_state : int, RandomState or None, default None
    Decides the initial parameters, the order of the examples, dropout, and the split for early stopping.
tol, n_iter_no_change : float, default 1e-4, and int or infinity, default 10
    Training ends when the loss, or with `early_stopping` the score, has not improved by at least `tol` for more than
    `n_iter_no_change` epochs; with "lbfgs" when no entry of the gradient is larger than `tol`.
verbose : bool or int, default False
    Print the loss of each epoch.
warm_start : bool, default False
    Go on from the previous fit, its optimizer's memory included, with the same classes and layers.
momentum, nesterovs_momentum : float in [0, 1], default 0.9, and bool, default True
    The momentum of "sgd", and whether it is Nesterov's.
early_stopping, validation_fraction : bool, default False, and float in [0, 1), default 0.1
    Watch a validation set, given to `fit` or this share of the examples, and return the network of the best epoch.
beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
    The decay rates of the two moments of "adam", and the number that keeps its division finite.
init : str, default "sklearn"
    How the initial parameters are drawn: "sklearn" as scikit-learn does, "auto" by He or Xavier, as the activation
    needs. `vecprop.Network.init` lists all names.
l1 : float, default 0.0
    λ₁ of the L1 penalty (λ₁/m) Σ |W|.
dropout : float or sequence of float, default 0.0
    The share of hidden units dropped at each step, one for all hidden layers or one for each.
batch_norm : bool or sequence of bool, default False
    Batch normalization of the hidden layers. It is folded into `coefs_` and `intercepts_`.
clip_norm : float, default None
    Scale the gradients down to this norm when their joint norm is greater.
scale : "standard" or None, default None
    Scale the features to zero mean and unit variance, as a `StandardScaler` in a pipeline would; with `partial_fit` and
    `warm_start` by the examples of the first call. `coefs_` then act on scaled features.
scoring : str, callable or None, default None
    What early stopping watches. None: `score`, which is the accuracy or R² (the loss if all validation targets are
    equal, when R² says nothing). "loss": the validation loss. Or a scorer, by scikit-learn's name or as a function
    (estimator, X, y). A score that is NaN is no improvement.
n_networks : int or "auto", default 1
    K networks from K seeds, trained in one stack; predictions are means over them. "auto" trains a pack, as
    `PackClassifier` and `PackRegressor` do: it chooses all but random_state, class_weight, callbacks and backend
    itself, and is `pack_` afterwards, in place of `coefs_` and what describes one kind of networks.
callbacks : function or sequence of functions, default None
    Called as (state, history) after each epoch; True ends the training. `set_callbacks` sets scikit-learn's own.
checkpoint, checkpoint_every : str or path, default None, and int or float, default 1
    A file for the whole state of a run, and after how many epochs `fit` writes it; 0.25 writes four times in each.
resume : str, path or True, default None
    Go on from a checkpoint of the same data, parameters and `random_state`, and end where that run would have ended.
    True means `checkpoint`, if that file exists.
block_size : int, "auto" or None, default "auto"
    Examples computed at once inside a batch, so that memory does not grow with it.
dtype : "float32", "float64" or None, default None
    None: that of X, as in scikit-learn.
precision : "highest", "fast" or None, default None
    "fast" allows TensorFloat-32 on a GPU.
backend : str, Backend or None, default None
    "numpy", "jax", "cupy" or "auto". None: the active one, set by `vecprop.use_backend` or the variable
    VECPROP_BACKEND, else NumPy; under scikit-learn's array API dispatch, the library of X.
devices : "all", int, jax.sharding.Mesh or None, default None
    Train on several devices of JAX, as `vecprop.fit` does. With several processes, give each of them all the examples:
    it trains on its share.
"""

_ATTRIBUTES = """
coefs_, intercepts_ : lists of arrays (n_in, n_out) and (n_out,)
    One for each layer; with several networks (n_networks, n_in, n_out) and (n_networks, n_out).
loss_, best_loss_, loss_curve_ : float, float or None, list of float
    The training loss, penalties included: of the last epoch, the lowest, and of each epoch, the mean over its batches.
validation_loss_curve_, validation_scores_, best_validation_score_ : lists of float or None, float or None
    The validation loss and score of each epoch, if there was a validation set; scores with early stopping only.
n_iter_, t_ : int
    Epochs of the last call, and examples seen in all of them.
n_layers_, n_outputs_, out_activation_ : int, int, str
    The numbers of layers, with the input, and of outputs; the output's activation.
n_features_in_, feature_names_in_ : int, array
    As in every estimator of scikit-learn.
history_ : dict of lists
    The engine's record of each epoch: cost, learning rate, gradient norm of each layer, seconds, and more.
result_ : vecprop.FitResult
    What the engine returned for the last call: `vecprop.diagnose(result_)`, `vecprop.plots.history(result_)`. Not in
    pickles and files.
stopped_ : str
    Why training ended: "epochs" (max_iter), "patience" (tol), "callback", "interrupted" (Ctrl-C) or "diverged" (the
    network of the best epoch is kept); for "lbfgs" also "converged", "evaluations" (max_fun) or "stalled"; "converted"
    if `from_sklearn` made the estimator.
network_, params_ : vecprop.Network, tuple of Layer
    Specification and layers, for `network_.gradients(params_, …)` and all of vecprop: W is the transpose of a `coefs_`.
scaling_ : (mean, deviation) of the features with scale="standard", else None
"""


def documented(cls: Class) -> Class:
    """Return the class with the shared parts in its docstring."""
    text = getdoc(cls) or ""  # without the indentation, which Python 3.13 takes away
    for name, part in (("network", _NETWORK), ("shared", _SHARED), ("attributes", _ATTRIBUTES)):
        text = text.replace(f"{{{name}}}", part.strip("\n"))
    cls.__doc__ = text
    return cls
