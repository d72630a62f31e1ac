"""The arguments of `fit` that are neither data nor backend, checked."""

from collections.abc import Callable, Sequence
from typing import Any

from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import namespace_name
from vecprop.nn.array_checks import check_params
from vecprop.nn.network import Network
from vecprop.training.optimizers import LBFGS, Optimizer
from vecprop.training.results import TrainingState
from vecprop.training.stopping import EarlyStopping
from vecprop.utils.arguments import check_number, check_positive_integer, check_real, is_several, one_or_each
from vecprop.utils.random_streams import check_seeds

AUTO_BATCH = 256  # larger batches mean fewer updates, which costs more than faster steps gain
_SHARE_OF_MEMORY = 8  # a batch may take one eighth of the free memory


def check_callbacks(callbacks: Any) -> tuple[Callable[..., Any], ...]:
    """Return the callbacks as a tuple, also if one was given alone."""
    called = callbacks if isinstance(callbacks, Sequence) else (callbacks,)
    for callback in called:
        if not callable(callback):
            raise TypeError(f"callbacks must be functions (state, history), got {callback!r}")
    return tuple(called)


def check_stopping(optimizer: Optimizer, metric: Any, patience: Any, min_delta: Any) -> EarlyStopping | None:
    """Return the rule of early stopping, from an `EarlyStopping` or a number of epochs."""
    min_delta = check_number(min_delta, "min_delta")
    rule: EarlyStopping | None = patience
    if patience is not None and not isinstance(patience, EarlyStopping):
        rule = EarlyStopping(check_positive_integer(patience, "patience"), min_delta)
    elif min_delta:
        why = "is for patience, and there is none" if patience is None else f"is a part of patience={patience!r}"
        raise ValueError(f"min_delta {why}: leave min_delta = {min_delta:g} out")
    for name, watcher in (("patience", rule), ("schedule", optimizer.schedule)):
        if getattr(watcher, "monitor", "cost") == "metric" and metric is None:
            raise ValueError(f'{name} watches the metric, and there is none: give metric="accuracy" or another')
    return rule


def check_rates(net: Network, given: Any) -> tuple[float | tuple[float, ...], ...]:
    """Return the dropout rate of each hidden layer, or its K rates, one for each network."""

    def rate(value: Any, name: str) -> float:
        return check_real(value, name, "in [0, 1), the share that is dropped", lambda x: 0 <= x < 1)

    return for_each_layer(net, given, "dropout", lambda value, name: one_or_each(value, name, rate))


def for_each_layer(net: Network, given: Any, argument: str, check: Callable[[Any, str], Any]) -> tuple[Any, ...]:
    """Return one checked value for each hidden layer, given as one for all or a sequence."""
    count, given = len(net.hidden), given.tolist() if getattr(given, "ndim", 0) else given
    if isinstance(given, str) or not isinstance(given, Sequence):
        value = check(given, argument)
        if value and not count:
            raise ValueError(f"{argument} acts on hidden layers, and {net} has none")
        return (value,) * count
    if len(given) != count:
        raise ValueError(f"{argument} must have one value for each of the {count} hidden layers, got {len(given)}")
    return tuple(check(value, f"{argument}[{l}]") for l, value in enumerate(given))


def auto_batch(backend: Backend, m: int, bytes_each: int) -> int:
    """Return the batch size for "auto": 256, or fewer if free memory is short."""
    free = backend.memory.free()
    fits = m if free is None else free // (_SHARE_OF_MEMORY * bytes_each)
    return max(1, min(m, AUTO_BATCH, int(fits)))


def count_networks(
    net: Network, seeds: int | tuple[int, ...], optimizer: Optimizer, l1: Any, l2: Any, dropout: Any, params: Any
) -> int | None:
    """Return K, the number of networks that the arguments ask for, or None for no stack."""
    decay = getattr(optimizer, "weight_decay", None)
    several = {"seed": seeds, "learning_rate": optimizer.learning_rate, "weight_decay": decay, "l1": l1, "l2": l2}
    several |= {f"dropout[{l}]": rate for l, rate in enumerate(dropout)}
    counts = {name: len(value) for name, value in several.items() if is_several(value)}
    if net.loss.networks is not None:
        counts["smoothing"] = net.loss.networks
    W = params[0][0] if isinstance(params, tuple | list) and params and is_several(params[0]) and params[0] else None
    if getattr(W, "ndim", 2) == 3:
        counts["params"] = W.shape[0]  # type: ignore[union-attr]
    if not counts:
        return None
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise ValueError(f"a stack of K networks needs K of each that is given as a sequence, got {listed}")
    count = next(iter(counts.values()))
    if count == 0:
        raise ValueError(f"{next(iter(counts))} must hold at least one value, got an empty sequence: K = 0 networks")
    if isinstance(optimizer, LBFGS):
        raise ValueError(f"LBFGS trains one network, got K = {count}; train them one after the other")
    return count


def given_state(
    net: Network,
    backend: Backend,
    state: Any,
    params: Any,
    seed: Any,
    normalized: tuple[bool, ...],
    standardize: bool,
) -> Any:
    """Return the layers of a given state, or raise an error if it does not fit the network or the backend."""
    if not isinstance(state, TrainingState):
        raise TypeError(f"state must be the state of a result or an error of fit, got {type(state).__name__}")
    if params is not None:
        raise ValueError("give state or params, not both: the state has the parameters")
    if check_seeds(seed) not in (0, state.seed):
        raise ValueError(f"give state or seed, not both: the state has the seed {state.seed}, got seed = {seed!r}")
    count = len(state.statistics)  # those pickled by earlier versions do not say of which layers
    if (state.batch_norm or normalized) != normalized or count != sum(normalized):
        given = list(state.batch_norm) or f"{count} layers"
        raise ValueError(f"state is of a run with batch_norm = {given}, and this run has {list(normalized)}")
    if (state.scale is not None) != standardize:
        without, wanted = ("", "give standardize=True") if state.scale is not None else ("out", "leave standardize out")
        raise ValueError(
            f"state is of a run with{without} standardize=True, and its parameters are for such inputs: {wanted}, or "
            "give params=result.params in place of the state"
        )
    layers = tuple(state.params[: len(net.activations)])
    found = check_params(net, layers, "state.params").xp
    if found is not backend.xp:
        raise ValueError(
            f"state has arrays of {namespace_name(found)}, and this run computes on the backend {backend.name!r}: give "
            "the backend of the state, or params=result.params in its place, with which the optimizer starts anew"
        )
    return layers
