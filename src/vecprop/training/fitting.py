"""Training: repeat { predict; gradients; update } over mini-batches (E12, E30).

A run is a function of its state: parameters, optimizer slots, epoch, seed. Shuffles and dropout masks are functions of
(seed, epoch, step), so every backend sees the same batches and drops the same units. This module checks the arguments
and brings the data to the backend; `epochs` computes an epoch, and `loop` does the work between epochs.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from vecprop.backend.contract import Backend, locked
from vecprop.backend.main_memory import map_of
from vecprop.backend.namespaces import Static, array_namespace, is_array
from vecprop.backend.out_of_memory import Demand, columns_of, reports_out_of_memory, require_memory
from vecprop.backend.processes import Team
from vecprop.backend.pytrees import leaves_of, map_tree
from vecprop.backend.selection import check_precision, get_backend, get_precision
from vecprop.backend.transfer import floating_name
from vecprop.data.sparse import is_sparse
from vecprop.nn.array_checks import Checked, check_finite_params, check_params, dtype_name
from vecprop.nn.batch_norm import Statistics, initial
from vecprop.nn.dropout import kept_share
from vecprop.nn.input_scaling import InputScale, fold_input, unfold_input
from vecprop.nn.metrics import get_metric
from vecprop.nn.network import Network, activation_bytes, check_network, pass_demand
from vecprop.nn.weight_penalties import Penalties
from vecprop.propagation import Layer, Params
from vecprop.training import loop
from vecprop.training.checkpoint import check_every, open_checkpoints
from vecprop.training.epochs import ByNetwork, Run
from vecprop.training.evaluation import Judge, plain_layers
from vecprop.training.fit_arguments import (
    check_callbacks,
    check_rates,
    check_stopping,
    count_networks,
    for_each_layer,
    given_state,
)
from vecprop.training.json_values import digest, network_to_json
from vecprop.training.lbfgs import minimize
from vecprop.training.loop import TrainingPlan
from vecprop.training.observers import Callbacks, Judging, Observer, Plateau, Stopping
from vecprop.training.optimizers import LBFGS, Optimizer, check_optimizer
from vecprop.training.prepare import GivenData, PreparedData, prepare
from vecprop.training.results import FitResult, Start, TrainingState
from vecprop.training.schedules import PlateauState, ReduceOnPlateau
from vecprop.training.spec import TrainingSpec
from vecprop.training.stopping import EarlyStopping
from vecprop.training.training_data import unmarked
from vecprop.utils.arguments import check_count, check_flag, check_number, check_positive_integer, one_or_each
from vecprop.utils.errors import DivergenceError, ProcessLostError, one_line, warn
from vecprop.utils.random_streams import check_seeds

_COPIES = 4  # of the data: as given, in the dtype and order of the backend, in the order of an epoch


@reports_out_of_memory
def fit(
    net: Network,
    X: Any,
    Y: Any,
    *,
    optimizer: Optimizer | None = None,
    epochs: int = 100,
    batch_size: int | str | None = None,
    seed: int | Sequence[int] = 0,
    params: Iterable[tuple[Any, Any]] | None = None,
    init: str = "auto",
    sample_weight: Any = None,
    class_weight: Any = None,
    l1: float | Sequence[float] = 0.0,
    l2: float | Sequence[float] = 0.0,
    dropout: float | Sequence[float] = 0.0,
    batch_norm: bool | Sequence[bool] = False,
    standardize: bool = False,
    clip_norm: float | None = None,
    validation: Any = None,
    metric: Any = None,
    patience: int | EarlyStopping | None = None,
    min_delta: float = 0.0,
    shuffle: bool = True,
    window: int | str = "auto",
    callbacks: Callable[..., Any] | Sequence[Callable[..., Any]] = (),
    state: TrainingState | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 1,
    resume: str | os.PathLike[str] | bool | None = None,
    block_size: int | str | None = "auto",
    dtype: Any = None,
    backend: str | Backend | None = None,
    devices: Any = None,
    precision: str | None = None,
    progress: bool | None = None,
) -> FitResult:
    """Train a network, or K networks in one stack.

    Parameters
    ----------
    net : Network
    X : array-like, SciPy sparse, or data in a file (n_0, m); or array (K, n_0, m) for a stack of K networks
        One example per column, for all networks or as each sees it; moved to the backend once. A sparse X of more than
        256 MiB when dense is made dense a part at a time. Data in a file are read a window at a time, ahead of the
        training: a memory map (`numpy.load(path, mmap_mode="r").T`), any object with shape, dtype and slicing, such as
        datasets of h5py and arrays of Zarr, or `vp.rows` for files with examples in rows.
    Y : array-like or data in a file (n_L, m)
        One target per column, as for `Network.gradients`.
    optimizer : Optimizer, default GradientDescent(0.1)
        `GradientDescent`, `Momentum`, `RMSProp`, `Adam`, `AdamW`, each with a schedule, or `LBFGS`. With K learning
        rates or weight decays K networks are trained, one with each.
    epochs : int, default 100
        Passes over all the examples; for `LBFGS` iterations.
    batch_size : int or "auto", optional
        Examples per update (E30); by default all. Each epoch draws a new order; the last batch may be smaller, and
        each example counts once. "auto" is 256, or fewer if the device's memory is short.
    seed : int or sequence of int, default 0
        For the initial parameters, the shuffles and the dropout masks. The same seed gives the same run on every
        backend, up to rounding. With K seeds K networks are trained in one stack, each as it would be alone.
    params : sequence of (W_l, b_l), optional
        Parameters to start from, instead of `net.init(seed, init)`; they are not modified.
    init : str, default "auto"
        As for `Network.init`.
    sample_weight : array-like (m,), or (K, m) for a stack of K networks, optional
        Weights of the examples (E10): an integer weight counts as that many copies, 0 means absent.
    class_weight : dict or "balanced", optional
        Factors for the weights of the examples, {class number: factor}; "balanced" gives every class the same total
        weight. A class is a row of one-hot Y, or 0 or 1 if Y has one row.
    l1, l2 : float or sequence of float, default 0
        λ₁ and λ₂ of the penalties (λ₁/m) Σ |W_l| and (λ₂/2m) Σ ‖W_l‖² (E32), where m counts all training examples,
        whatever the batch size. With K values K networks are trained, one with each.
    dropout : float or sequence of float, default 0
        The share of hidden units that is dropped at each step (E33), in [0, 1), one for each hidden layer or for all.
        A layer can have a sequence of K shares, one for each network: [(0.1, 0.2, 0.3)] for one hidden layer.
    batch_norm : bool or sequence of bool, default False
        Batch normalization of the hidden layers' Z (E34), for each or for all. It is folded into the `params` of the
        result.
    standardize : bool, default False
        Scale the inputs to zero mean and unit variance with the training set's statistics (E35). The scaling is folded
        into the `params` of the result, which take inputs as they come.
    clip_norm : float, optional
        Scale the gradients down to this norm, taken over all of them together, if theirs is greater.
    validation : (X, Y), (X, Y, sample_weight), or float in (0, 1), optional
        A set to judge by, or the share of the examples to split off for it: at random, stratified if there
        are classes, and the same examples whatever the seed.
    metric : str or function (Y, A) -> float, optional
        "accuracy", "r2", "mean_squared_error", "mean_absolute_error" or your own, recorded in the history: of the
        validation set if there is one.
    patience : int or EarlyStopping, optional
        Early stopping: end when the validation cost (without a validation set the training cost) has not fallen for
        this number of epochs, and return the parameters of the best epoch. An `EarlyStopping` can watch the metric
        instead, keep the last parameters, and more. In a stack each network has its own patience; when it has run out
        for a quarter of them (with JAX, in long runs, for half), they are trained no further, and their last entries in
        the history are repeated, unless there are several devices or a `ReduceOnPlateau`.
    min_delta : float, default 0
        The cost must fall by more than this to count as an improvement.
    shuffle : bool, default True
        Draw a new order of the examples in each epoch; False keeps their order.
    window : int or "auto", default "auto"
        Examples that are read together from a file and shuffled with each other; made a multiple of the batch size.
        Each epoch reads the blocks of the file in a new order. "auto" reads data of up to 256 MiB as a whole, larger
        data in windows of 64 MiB, two of them in memory at a time. A window of m or more reads the whole file, and the
        run is the same as with data in memory, where `window` has no effect.
    callbacks : function or sequence of functions (state, history) -> bool or None
        Called after each epoch, to read the state; True ends the training. A method `begin`, if there is one, is called
        before each epoch with the number of epochs done; a method `start` once before the first, with the state and a
        function from a state to the predicting layers (W, b), everything folded in (see `vp.plots.Snapshots`).
    state : TrainingState, optional
        Go on from the `state` of a result or an error, in place of `params` and `seed`, for `epochs` more epochs, on
        the same backend with the same optimizer. With None as its slots the optimizer starts anew.
    checkpoint : str or path, optional
        A file for the state of the run, for `resume`. It is written whole or not at all, every `checkpoint_every`
        epochs, at the end, and on Ctrl-C; the previous one is kept beside it, with ".previous" added to its name. Needs
        safetensors.
    checkpoint_every : int or float, default 1
        A number of epochs, or a share of one: 0.25 writes four times in each epoch.
    resume : str, path or True, optional
        Go on from a checkpoint. The result is bit for bit that of the run without a break, on the same machine with the
        same backend, versions and threads; `epochs` counts from the start of that run. The other arguments and the data
        must be the same, else an error names the difference. True means `checkpoint`, if the file exists.
    block_size : int, "auto" (default) or None
        Columns computed at once inside a batch, which bounds the memory; None for all. A step with `batch_norm` needs
        the whole batch at once.
    dtype : "float32" or "float64", optional
        By default that of `params`, else that of X if it is one of these, else float32.
    backend : str or Backend, optional
        By default the active backend.
    devices : "all", int or jax.sharding.Mesh of one axis, optional
        Train on several devices; for JAX. The examples are spread over the devices, each of which holds the parameters;
        or the networks are spread, if there are at least as many as devices. Batches, masks and, up to rounding, the
        result are the same as on one device.
    precision : "highest" or "fast", optional
        By default the active precision.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal for runs longer than a second.

    Returns
    -------
    FitResult
        `params`, `history`, `state`, `stopped`, and `forward(X)`; for a stack also `best`, `member(k)` and
        `mean_and_deviation(X)`. After Ctrl-C the result so far, with a warning.

    Raises
    ------
    DivergenceError
        When the cost or a gradient is no longer finite: with the epoch, the step, the layer, advice, and the last good
        parameters. A stack raises it only when all of its networks have diverged.
    CallbackError
        When a callback raised an error: with the training so far.
    ProcessLostError
        When one of several processes has ended, without which the others cannot go on.
    ModelFileError
        If both the checkpoint to resume from and the previous one are damaged.
    OSError
        If a checkpoint cannot be read or written, or a data file cannot be read or changes during training.
    OutOfMemoryError
        With the memory needed, the memory available, and the block or batch size that fits.
    ValueError, TypeError
        With the argument, its value and the values allowed.

    Examples
    --------
    >>> import vecprop as vp
    >>> X, Y = vp.datasets.xor(m=200)
    >>> net = vp.Network((2, 8, 1))
    >>> result = vp.fit(net, X, Y, optimizer=vp.Adam(0.05), epochs=100, batch_size=50, seed=0)
    >>> float(((result.forward(X) > 0.5) == Y).mean()) > 0.97
    True

    Eight networks at once, and the best of them:

    >>> stack = vp.fit(net, X, Y, optimizer=vp.Adam(0.05), epochs=20, seed=range(8))
    >>> stack.forward(X).shape, stack.best.forward(X).shape
    ((8, 1, 200), (1, 200))
    """
    check_network(net)
    target = get_backend(backend)
    optimizer = check_optimizer(optimizer)
    resume = None if resume is False else resume
    if state is not None and resume is not None:
        raise ValueError("give state or resume, not both: the checkpoint has the state")
    normalized = for_each_layer(net, batch_norm, "batch_norm", check_flag)
    standardize = check_flag(standardize, "standardize")
    if state is not None:
        params, seed = given_state(net, target, state, params, seed, normalized, standardize), state.seed
    seeds, rates, callbacks = check_seeds(seed), check_rates(net, dropout), check_callbacks(callbacks)
    progress = None if progress is None else check_flag(progress, "progress")
    spec = TrainingSpec(
        net=net,
        epochs=check_positive_integer(epochs, "epochs"),
        networks=count_networks(net, seeds, optimizer, l1, l2, rates, params),
        dtype=_training_dtype(dtype, params, X),
        precision=get_precision() if precision is None else check_precision(precision),
        optimizer=optimizer,
        seed=seeds,
        batch_size=check_count(batch_size, "batch_size"),
        block_size=check_count(block_size, "block_size"),
        window=check_count(window, "window", none=False),
        l1=one_or_each(l1, "l1", check_number),
        l2=one_or_each(l2, "l2", check_number),
        dropout=rates,
        batch_norm=normalized,
        standardize=standardize,
        clip_norm=None if clip_norm is None else check_number(clip_norm, "clip_norm", zero=False),
        metric=get_metric(metric),
        patience=check_stopping(optimizer, metric, patience, min_delta),
        shuffle=check_flag(shuffle, "shuffle"),
    )
    if state is None and params is not None and init != "auto":
        raise ValueError(f"give params or init, not both: no parameters are drawn beside them, got init = {init!r}")
    if check_every(checkpoint_every) != 1 and checkpoint is None is resume:
        raise ValueError(f"checkpoint_every is for checkpoint, and there is none: leave {checkpoint_every = } out")
    target = target if devices is None else target.placement.over(devices, spec.networks)
    require_memory(target, lambda: _demand(spec, columns_of(X), None if _is_in_memory(X) else spec.window))
    checked = _start(spec, target, params, init)
    with target.scope(spec.dtype, spec.precision), np.errstate(all="ignore"):
        given = GivenData(X, Y, sample_weight, class_weight, validation, None if state is None else state.scale)
        if (team := target.placement.team).count > 1:
            team.require_same(_called_with(spec, checked, given) | {"init": init})
        array, _ = unmarked(X)
        in_memory = isinstance(array, np.ndarray) and map_of(array) is None
        # checked on the host, and moved in the order of steps; moments are the backend's
        moved_later = devices is not None or (target.compiles and not spec.standardize and in_memory)
        examples = prepare(spec, _on_host(net, checked) if moved_later else checked, given, team)
        if moved_later:
            target = target.placement.laid_out(examples.counts)
            checked, examples = checked._replace(backend=target), _moved(examples, target, devices is not None)
        plan = _plan(spec, checked, examples, callbacks, progress)
        begin = _begin(plan, state, checked, None if params is None else examples.scale)._replace(scale=examples.scale)
        start = Start(begin, None, loop.new_history(plan), begin.epoch)
        if checkpoint is not None or resume is not None:
            asked = _asked(plan, examples)
            saver, resumed = open_checkpoints(checkpoint, checkpoint_every, resume, asked, begin, target)
            plan, start = plan._replace(saver=saver), resumed or start
        for callback in callbacks:
            if hasattr(callback, "start"):
                callback.start(start.state.mapped(locked), lambda state: _plain(plan.run, state))
        with _errors_at_home(plan, checkpoint):
            if isinstance(optimizer, LBFGS):
                end, history, stopped = minimize(plan, optimizer, start.state)
            elif start.stopped:
                end, _, history, _, stopped = start
            else:
                end, history, stopped = loop.train(plan, start)
        if stopped == "interrupted":
            warn(
                f"training was interrupted after {len(history['cost'])} of {spec.epochs} epochs; the result has the "
                "parameters reached so far",
                RuntimeWarning,
                stacklevel=2,
            )
        home = target.placement.home
        plain, end = map_tree(home, _plain(plan.run, end)), end.mapped(home)
    return FitResult(net, plain, end, history, get_backend(backend), stopped, examples.sample)


@contextmanager
def _errors_at_home(plan: TrainingPlan, checkpoint: Any) -> Iterator[None]:
    """Complete errors for the user: parameters after divergence, advice after a lost process."""
    backend = plan.run.backend
    try:
        yield
    except DivergenceError as error:
        error.params = map_tree(backend.placement.home, _plain(plan.run, error.state))
        error.state = error.state.mapped(backend.placement.home)
        raise
    except Exception as error:
        team = backend.placement.team
        if not team.has_lost(error):
            raise
        again = "start all of them again"
        if checkpoint is not None:
            again += f"; with resume=True they go on from the checkpoint {os.fspath(checkpoint)!r}"
        raise ProcessLostError(
            f"process {team.index} of {team.count} cannot go on: another one has ended or cannot be reached; {again} "
            f"({one_line(error)})"
        ) from error


def _on_host(net: Network, checked: Checked) -> Checked:
    """Return the parameters on the host, where data that are moved later are checked first."""
    host = get_backend("numpy")
    layers = tuple(Layer(*(host.asarray(checked.backend.to_numpy(a)) for a in layer)) for layer in checked.params)
    return check_params(net, layers)._replace(backend=host)


def _moved(examples: PreparedData, backend: Backend, several: bool) -> PreparedData:
    """Return examples from the host with their shared values on the backend; data follow later."""
    if not several:
        w = examples.data.w
        return examples if w is None else examples._replace(weight=backend.xp.sum(backend.asarray(w), axis=-1))
    for part in filter(None, (examples.data, examples.validation)):
        part.check_devices()
    return examples._replace(weight=float(examples.weight))


def _called_with(spec: TrainingSpec, checked: Checked, given: GivenData) -> dict[str, Any]:
    """Return, by name, the arguments that must be the same in all processes."""
    split = isinstance(given.validation, float)
    return {"net": str(spec.net), "epochs": spec.epochs, **spec.described()} | {
        "params": digest(checked.backend.to_numpy(a) for layer in checked.params for a in layer),
        "class_weight": repr(given.class_weight),
        "validation": given.validation if split else type(given.validation).__name__,
        "sample_weight": "given" if given.sample_weight is not None else None,
    }


def _asked(plan: TrainingPlan, examples: PreparedData) -> dict[str, Any]:
    """Return, by name, the arguments of `fit` that must match those of a checkpoint."""
    run, w = plan.run, examples.data.w
    if isinstance(plan.spec.optimizer, LBFGS):
        raise ValueError(
            "checkpoint and resume need an optimizer that goes step by step; LBFGS keeps its memory in SciPy"
        )
    described = plan.spec.described()
    X, Y, _, *held_out, _ = examples.sample
    return {  # in the order of comparison: the seed splits the data; from them and the weights patience follows
        "net": network_to_json(run.net),
        "backend": run.backend.name,
        "devices": run.backend.placement.devices,
        **{name: described[name] for name in ("dtype", "seed")},
        "the shape of X": [run.net.sizes[0], run.m],
        "the values of X and Y": _digest_of_all(run.backend.placement.team, (X, Y, *held_out)),
        "sample_weight": None if w is None else _digest_of_all(run.backend.placement.team, [w]),
        **described,
        "batch_size": run.batch_size,
        **examples.data.described(),
    }


def _digest_of_all(team: Team, arrays: Iterable[Any]) -> str:
    """Return a fingerprint of the arrays of all processes."""
    return " ".join(part.decode() for part in team.gather_bytes(digest(arrays).encode()))


def _training_dtype(dtype: Any, params: Any, X: Any) -> str:
    """Return the given dtype, else that of given parameters, else that of X."""
    if dtype is not None:
        return dtype_name(dtype)
    if isinstance(params, tuple | list) and params and isinstance(params[0], tuple | list) and len(params[0]):
        return floating_name(params[0][0])
    return floating_name(X)


def _start(spec: TrainingSpec, backend: Backend, params: Iterable[tuple[Any, Any]] | None, init: str) -> Checked:
    """Return the layers to start from, on the backend; a stack for K networks."""
    net, seeds, networks, dtype = spec.net, spec.seed, spec.networks, spec.dtype
    if params is None:
        one_seed_each = seeds if networks is None or isinstance(seeds, tuple) else (seeds,) * networks
        return check_params(net, net.init(one_seed_each, init, dtype, backend))._replace(backend=backend)
    given = check_params(net, params)
    check_finite_params(given)
    if len(given.stack) > 1:
        raise ValueError(f"params must be one network or a stack of K networks, (K, …, …), got a stack {given.stack}")
    host = [[given.backend.to_numpy(a) for a in layer] for layer in given.params]
    if networks is not None and not given.stack:
        host = [[np.broadcast_to(a, (networks, *a.shape)) for a in layer] for layer in host]
    moved = tuple(Layer(*(backend.asarray(a, dtype) for a in layer)) for layer in host)
    return check_params(net, moved)._replace(backend=backend)


def _is_in_memory(X: Any) -> bool:
    """Tell whether X is an array of numbers in memory, or lists of them."""
    return map_of(X) is None and (isinstance(X, list | tuple) or is_array(X) or is_sparse(X))


def _demand(spec: TrainingSpec, m: int, window: int | str | None, run: Run | None = None) -> Demand:
    """Return the memory of m examples, or of a window of them, and of a step, with the argument that reduces it."""
    columns, argument = m, "X"  # where the run is not yet known
    advice = "Give fit at most {columns} examples at a time, and go on with state=result.state"
    if run is not None:
        columns, argument = run.block_size or run.batch_size, "block_size"
        advice = "block_size={columns} fits, and computes the same"
        if any(run.normalized):
            argument, advice = "batch_size", "batch_size={columns} fits"
        elif not isinstance(spec.optimizer, LBFGS):
            advice += "; batch_size={columns} as well, in steps of its own"
    demand = pass_demand(spec.net, "fit", spec.dtype, spec.networks or 1, columns, argument, f"{advice}.")
    example = _COPIES * (spec.net.sizes[0] + spec.net.sizes[-1]) * np.dtype(spec.dtype).itemsize
    if window is None:
        return demand._replace(example=example, held=m)
    # a window of the library's own choice is small
    return demand._replace(example=example, held=0 if isinstance(window, str) else min(m, window), held_by="window")


def _plan(
    spec: TrainingSpec,
    checked: Checked,
    examples: PreparedData,
    callbacks: tuple[Callable[..., Any], ...],
    progress: bool | None,
) -> TrainingPlan:
    """Return the plan of the loop, with the data arranged for mini-batches if there are any."""
    backend, dtype = checked.backend, spec.dtype
    run = spec.run(checked, examples.m)
    least = activation_bytes(spec.net, dtype, spec.networks or 1, run.block_size or run.batch_size)
    window = spec.window if examples.data.in_windows else None
    require_memory(backend, lambda: _demand(spec, run.m, window, run), least)
    decay = getattr(spec.optimizer, "weight_decay", None)
    given = (spec.l1 or None, spec.l2 or None, decay if isinstance(decay, tuple) else None)
    l1, l2, decay = (backend.asarray(list(v), dtype) if isinstance(v, tuple) else v for v in given)
    rates = [rate for rate in spec.dropout if isinstance(rate, tuple)]
    kept = tuple(backend.asarray([kept_share(r) if r else 1.0 for r in rate], dtype) for rate in rates)
    observers = _observers(spec, run, examples, callbacks)  # before the data are spread for batches
    examples.data.cut(run.batch_size, spec.shuffle)
    data, weights, rows = examples.data, None, None
    if run.batch_size < run.m:
        weights = backend.asarray(data.w) if data.weighted_by_network else None
        rows = checked.xp.matrix_transpose(data.X) if data.inputs_by_network else None
        if rows is not None:  # in memory, too: each step would copy all of them
            rows = backend.asarray(checked.xp.reshape(checked.xp.reshape(rows, (-1, rows.shape[-1])), rows.shape))
        data = data.numbered() if weights is not None or rows is not None else data
    data = data.spread(backend, batches=run.batch_size < run.m)
    bar = progress if backend.placement.team.index == 0 else False
    by_network = ByNetwork(Penalties(l1, l2, examples.weight), decay, kept, weights, rows)
    return TrainingPlan(spec, run, data, by_network, observers, bar)


def _observers(
    spec: TrainingSpec, run: Run, examples: PreparedData, callbacks: tuple[Callable[..., Any], ...]
) -> tuple[Observer, ...]:
    """Return the observers of a run, in the order in which they look at it after an epoch."""
    backend, found = run.backend, list[Observer]()
    judged, validates = examples.validation, examples.validation is not None
    if judged is None and spec.metric is not None:
        judged = examples.data
    if judged is not None:
        counts = examples.held_out if validates else examples.counts
        columns, itemsize = sum(counts), np.dtype(spec.dtype).itemsize
        block = backend.memory.widest_pass or backend.memory.auto_block(columns, run.net.numbers_per_example, itemsize)
        place = backend.placement.laid_out(counts)
        by = Judge(place, run.net, run.normalized, spec.metric, block)
        found.append(Judging(by, judged.spread(place, batches=False), validates))
    schedule, rule = spec.optimizer.schedule, spec.patience
    if isinstance(schedule, ReduceOnPlateau):
        found.append(Plateau(schedule, spec.metric))
    if rule is not None:
        found.append(Stopping(rule, spec.metric, not backend.compiles and spec.networks is None))
    if callbacks:
        found.append(Callbacks(callbacks, backend.placement.team))
    return tuple(found)


def _begin(
    plan: TrainingPlan, state: TrainingState | None, checked: Checked, scale: InputScale | None
) -> TrainingState:
    """Return the state before the first epoch: the given one, or one of initial parameters."""
    run, spec = plan.run, plan.spec
    watched = spec.watched("validation_cost" in loop.new_history(plan))
    if state is None:
        xp, layers = run.backend.xp, checked.params
        if scale is not None:  # given parameters expect unscaled inputs
            first = run.backend.compile(unfold_input)(xp, layers[0], map_tree(run.backend.asarray, scale))
            layers = (first, *layers[1:])
        pairs = [initial(xp, layer) for layer, n in zip(layers, run.normalized, strict=False) if n]
        params = (*layers, *(gamma_beta for gamma_beta, _ in pairs))
        statistics = tuple(seen for _, seen in pairs)
        state = TrainingState(params, None, 0, spec.seed, statistics=statistics, batch_norm=run.normalized)
    else:
        if spec.networks is not None and state.params[0].W.ndim == 2:
            raise ValueError(
                f"state is of one network, and this run has K = {spec.networks}: give params=result.params in its place"
            )
        before = state.watched  # what is the best of something else is forgotten
        if not watched[0] or before[0] not in ("", watched[0]):
            state = state._replace(best=None)
        if before[1] not in ("", watched[1]):
            state = state._replace(plateau=PlateauState(state.plateau.scale))
        if floating_name(state.params[0].W) != spec.dtype:
            state = state.mapped(lambda a: run.backend.asarray(a, spec.dtype))
    slots, own, theirs = run.initial_slots(state.params), type(spec.optimizer).__name__, state.optimizer
    state = state._replace(optimizer=own, watched=watched, batch_norm=run.normalized)
    if state.slots is None:
        return state._replace(slots=slots)
    given, wanted = ([tuple(a.shape) for a in leaves_of(tree)] for tree in (state.slots, slots))
    if given != wanted or (given and theirs not in ("", own)):
        raise ValueError(
            f"state has not the memory that {own} keeps, {len(wanted)} arrays; it has {len(given)} of "
            f"{theirs or 'another'}: give the optimizer it was made with, or state._replace(slots=None), with which "
            "the optimizer starts anew"
        )
    if not run.backend.compiles:
        return state
    # a compiled epoch may overwrite them; a copy on the host needs no compilation
    copied = map_tree(lambda a: run.backend.asarray(np.array(run.backend.to_numpy(a))), state.slots)
    return state._replace(slots=copied)


def _plain(run: Run, state: TrainingState) -> Params:
    """Return the predicting layers (W, b), everything folded in; of the best epoch if kept."""
    kept, scale = state.given_back, state.scale
    if scale is None and not any(run.normalized):
        return tuple(kept.params)
    scale = None if scale is None else map_tree(run.backend.asarray, scale)
    return run.backend.compile(_folded)(run.net, run.normalized, kept.params, kept.statistics, scale)  # type: ignore[no-any-return]


def _folded(
    net: Static[Network],
    normalized: Static[tuple[bool, ...]],
    params: Any,
    statistics: tuple[Statistics, ...],
    scale: InputScale | None,
) -> Params:
    """Return the layers of unscaled X, with batch normalization folded in."""
    layers = plain_layers(net, normalized, params, statistics)
    if scale is None:
        return layers
    return fold_input(array_namespace(layers[0].W), layers[0], scale), *layers[1:]
