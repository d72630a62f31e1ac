"""The results of training: the state between two epochs, and the trained network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array
from vecprop.backend.pytrees import map_tree
from vecprop.backend.transfer import to_backend
from vecprop.data.sparse import is_sparse
from vecprop.data.streaming import as_source
from vecprop.nn.batch_norm import Statistics
from vecprop.nn.input_scaling import InputScale
from vecprop.nn.network import Network
from vecprop.propagation import Layer, Params
from vecprop.training.optimizers import Slots
from vecprop.training.schedules import PlateauState
from vecprop.utils.arguments import check_integer

History = dict[str, list[Any]]
_AT_ONCE = 1 << 16  # examples of a file that are read for one prediction


class Best(NamedTuple):
    """The memory of early stopping; (K,) for a stack.

    cost : the lowest watched value; a metric that is better when greater enters as its negative
    epoch : its epoch
    params, statistics : the network of that epoch, or () if it is not to be restored
    improved : the last epoch that counted as an improvement
    """

    cost: Any
    epoch: Any
    params: tuple[Any, ...]
    statistics: tuple[Statistics, ...]
    improved: Any


class TrainingState(NamedTuple):
    """The whole state of a training run between two epochs; `fit(state=…)` goes on from it.

    params : tuple of Layer, then a `batch_norm.Scale` for each layer with batch normalization
    slots : the optimizer's memory, in the form in which the backend keeps parameters; None before the first step
    statistics : running statistics of the layers with batch normalization
    epoch, step : the numbers of epochs and steps done
    seed : int, or one for each network of a stack
    plateau : the state of `ReduceOnPlateau`
    best : the memory of early stopping, or None
    scale : mean and deviation of the features, on the host, with `standardize`; the parameters are for scaled inputs
    batch_norm : by hidden layer, whether it has batch normalization
    optimizer : the name of the class of the optimizer that the slots are of
    watched : the quantities that `best` and `plateau` are of
    """

    params: tuple[Any, ...]
    slots: Slots | None
    epoch: int
    seed: int | tuple[int, ...]
    step: int = 0
    statistics: tuple[Statistics, ...] = ()
    plateau: PlateauState = PlateauState()
    best: Best | None = None
    scale: InputScale | None = None
    batch_norm: tuple[bool, ...] = ()
    optimizer: str = ""
    watched: tuple[str, str] = ("", "")

    @property
    def given_back(self) -> TrainingState | Best:
        """The holder of the params and statistics to return: the best if kept, else this state."""
        return self.best if self.best is not None and self.best.params else self

    def mapped(self, function: Callable[[Array], Array]) -> TrainingState:
        """Return the state with a function of each of its arrays, and of those of the best network, in their place."""
        best = self.best
        if best is not None:
            best = best._replace(params=map_tree(function, best.params), statistics=map_tree(function, best.statistics))
        params, slots, statistics = (map_tree(function, tree) for tree in (self.params, self.slots, self.statistics))
        return self._replace(params=params, slots=slots, statistics=statistics, best=best)


class Partial(NamedTuple):
    """An unfinished epoch: the number of steps done, and their outputs (steps, …) on the host."""

    position: int
    finite: npt.NDArray[np.bool_]
    outputs: tuple[npt.NDArray[Any], ...]


class Start(NamedTuple):
    """Where a run starts: with a new state, or with the contents of a checkpoint.

    first : the epoch at which the run began
    stopped : why the run had ended, "" if it had not
    """

    state: TrainingState
    partial: Partial | None
    history: History
    first: int
    stopped: str = ""


class Sample(NamedTuple):
    """Some of the data for `vp.diagnose`: NumPy arrays with one example per column, X and weights maybe by network."""

    X: npt.NDArray[Any]
    Y: npt.NDArray[Any]
    w: npt.NDArray[Any] | None
    X_validation: npt.NDArray[Any] | None
    Y_validation: npt.NDArray[Any] | None
    w_validation: npt.NDArray[Any] | None


@dataclass(frozen=True)
class FitResult:
    """The result of `fit`.

    Attributes
    ----------
    net : Network
    params : tuple of Layer
        The trained parameters, on the backend that trained them, with batch normalization and input scaling folded into
        W and b. With early stopping those of the best epoch. For a stack of K networks W_l is (K, n_l, n_{l-1}).
    state : TrainingState
        The state at the end, with nothing folded; `fit(…, state=result.state)` goes on from it.
    history : dict of lists, one entry per epoch
        "cost": the mean cost of the epoch's batches, each before its update; for one batch J at the start of the epoch.
        "validation_cost": the cost of the validation set after the epoch, without penalties, if there is one.
        "metric": the metric after the epoch, if one was given; of the validation set if there is one.
        "learning_rate": the rate of the epoch's last step.
        "gradient_norm": ‖dW_l‖ for l = 1 … L (E36), the mean over the epoch's batches.
        "seconds": the time the epoch took.
        For a stack, entries that can differ are lists with one item for each network.
    backend : Backend
        Where the parameters are.
    stopped : str
        Why training ended: "epochs", "patience", "callback", "interrupted" (Ctrl-C); L-BFGS also "converged",
        "evaluations" (their limit was reached) or "stalled" (the line search found no lower cost).
    sample : Sample
        Some examples of the training and of the validation set.
    """

    net: Network
    params: Params
    state: TrainingState
    history: History
    backend: Backend
    stopped: str = "epochs"
    sample: Sample | None = None

    def __reduce__(self) -> Any:
        """Reduce it, for pickles and copies, to arrays on the host: JAX alone would read float32 from float64."""
        host = self.backend.to_numpy
        params, state = map_tree(host, self.params), self.state.mapped(host)
        return _from_host, (self.net, params, state, self.history, self.backend, self.stopped, self.sample)

    def forward(self, X: Any) -> npt.NDArray[Any]:
        """Return the outputs A_L (n_L, m), for a stack (K, n_L, m), as a NumPy array.

        X (n_0, m) may be of any kind that `fit` takes.
        """
        if (source := as_source(X)) is not None:
            m = source.shape[1]
            parts = [self.forward(source.raw(a, min(a + _AT_ONCE, m))) for a in range(0, m, _AT_ONCE)]
            source.close()
            return np.concatenate(parts, axis=-1)
        X = to_backend(self.backend, "X", X.toarray() if is_sparse(X) else X)
        return self.backend.to_numpy(self.net.forward(self.params, X))

    @property
    def networks(self) -> int | None:
        """K, the number of networks of a stack, or None for one network."""
        W = self.params[0].W
        return int(W.shape[0]) if W.ndim == 3 else None

    def mean_and_deviation(self, X: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return mean and standard deviation of the outputs A_L over the stack, each (n_L, m).

        Networks that diverged, with outputs that are not finite, are left out.
        """
        self._require_stack("mean_and_deviation")
        A = self.forward(X)
        A = A[np.isfinite(A).all(axis=(1, 2))]
        return A.mean(axis=0), A.std(axis=0)

    @property
    def final_costs(self) -> npt.NDArray[np.float64]:
        """The cost of each network of a stack, (K,), by which they are compared.

        The cost of the validation set if there is one; with early stopping the best one, else the last. With
        `EarlyStopping(monitor="metric")` it is the watched metric, negated if greater is better.
        """
        self._require_stack("final_costs")
        kept = self.state.given_back
        if isinstance(kept, Best):
            return np.asarray(kept.cost, dtype=np.float64)
        return np.asarray(self.history.get("validation_cost", self.history["cost"])[-1], dtype=np.float64)

    @property
    def best(self) -> FitResult:
        """The network of the stack with the lowest of `final_costs`, as a result of its own."""
        return self.member(lowest(self.final_costs))

    def member(self, k: int) -> FitResult:
        """Return network k of the stack, from 0, as a result of its own."""
        K = self._require_stack("member")
        wanted = f"an integer from 0 to {K - 1}"
        k = check_integer(k, "k", 0, wanted)
        if k >= K:
            raise ValueError(f"k must be {wanted}, got {k}")
        params = tuple(Layer(W[k, ...], b[k, ...]) for W, b in self.params)
        history = {
            key: [v[k] if isinstance(v, list) else v for v in values]  # a single number holds for all networks
            for key, values in self.history.items()
        }
        state = self.state
        seed = state.seed[k] if isinstance(state.seed, tuple) else state.seed
        state = state._replace(seed=seed).mapped(lambda a: a[k, ...])
        if (best := state.best) is not None:
            best = best._replace(cost=best.cost[k], epoch=best.epoch[k], improved=best.improved[k])
        net, sample = replace(self.net, loss=self.net.loss.member(k)), self.sample
        if sample is not None:
            shared = (2, 2, 1) * 2  # dimensions of what all networks have
            sample = Sample._make(a if a is None or a.ndim == n else a[k] for a, n in zip(sample, shared, strict=True))
        return replace(self, net=net, params=params, history=history, state=state._replace(best=best), sample=sample)

    def _require_stack(self, name: str) -> int:
        if self.networks is None:
            raise ValueError(f"{name} is for a stack of networks; this is one network")
        return self.networks


def lowest(costs: npt.NDArray[np.float64]) -> int:
    """Return the place of the lowest cost, of a network that has not diverged if there is one."""
    return int(np.argmin(np.where(np.isfinite(costs), costs, np.inf)))


def _from_host(
    net: Network, params: Params, state: TrainingState, history: History, backend: Backend, *more: Any
) -> Any:
    """Return the result with these arrays of the host, on its backend."""
    with backend.scope("float64", "highest"):
        params, state = map_tree(backend.asarray, params), state.mapped(backend.asarray)
    return FitResult(net, params, state, history, backend, *more)
