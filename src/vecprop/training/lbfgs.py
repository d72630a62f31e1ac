"""L-BFGS for small data: SciPy drives it, the cost and its gradient come from the backend."""

import math
import time
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vecprop import propagation
from vecprop.backend.blas import BLAS
from vecprop.backend.contract import Backend
from vecprop.backend.namespaces import Array, Bound, Static, array_namespace
from vecprop.backend.pytrees import leaves_of, map_tree
from vecprop.nn.network import Network
from vecprop.nn.weight_penalties import Penalties
from vecprop.propagation import Params
from vecprop.training.epochs import ByNetwork, Data
from vecprop.training.loop import TrainingPlan, new_history
from vecprop.training.observers import Done, told
from vecprop.training.optimizers import LBFGS
from vecprop.training.parameter_buffer import Layout, layout
from vecprop.training.results import History, TrainingState
from vecprop.utils.advice import FIT, SCALED, Advice
from vecprop.utils.errors import DivergenceError, imported


class _Stop(Exception):  # noqa: N818 - not an error
    """Ends SciPy's loop from within its callback."""


def minimize(plan: TrainingPlan, optimizer: LBFGS, state: TrainingState) -> tuple[TrainingState, History, str]:
    """Return the state after at most `plan.spec.epochs` iterations, the history, and why it ended."""
    scipy = imported("scipy.optimize", 'LBFGS needs SciPy: pip install "vecprop[sklearn]"')
    search = _Search(plan, state)
    options = {
        "maxiter": plan.spec.epochs,
        "maxfun": optimizer.max_evaluations or 20 * plan.spec.epochs,
        "maxcor": optimizer.memory,
        "gtol": optimizer.tolerance,
        "ftol": optimizer.relative_tolerance,
    }
    try:
        with _SCIPYS_BLAS.single():
            found = scipy.minimize(
                search.cost_and_gradient,
                search.start,
                jac=True,
                method="L-BFGS-B",
                callback=search.iteration,
                options=options,
            )
        limit = "epochs" if found.nit >= plan.spec.epochs else "evaluations"
        stopped = {0: "converged", 1: limit}.get(found.status, "stalled")  # 2: a line search without progress
    except _Stop as stop:
        stopped = str(stop)
    except KeyboardInterrupt:
        stopped = "interrupted"
    return search.state._replace(params=search.unpacked(search.vector)), search.history, stopped


def _others_than_numpys(libraries: list[Any]) -> list[Any]:
    """Return the BLAS libraries that NumPy does not use, if that can be determined."""
    others = [library for library in libraries if "numpy" not in library.filepath.lower()]
    return others if len(others) < len(libraries) else []


# SciPy's BLAS threads stay busy for a while after each short vector operation, and NumPy's, which compute the cost,
# wait for them: that takes up to 1.7 times as long, more if another process is busy.
_SCIPYS_BLAS = BLAS(_others_than_numpys)


class _Search:
    """One run: SciPy's flat vector, and the state and history of the iterations."""

    def __init__(self, plan: TrainingPlan, state: TrainingState) -> None:
        self.plan, self.state = plan, state
        self.layout: Layout = layout(state.params, apart=False)
        backend = plan.run.backend
        # joined and divided on the host, for which JAX compiles nothing
        self.start = np.concatenate([backend.to_numpy(a).reshape(-1) for a in leaves_of(state.params)]).astype(float)
        self.history = new_history(plan)
        self._latest: dict[bytes, tuple[float, npt.NDArray[np.float64]]] = {}
        self._compiled = backend.compile_loop(_cost_and_gradient, bound=plan.data.same_arrays)
        self._begin = time.perf_counter()
        self.vector = self.start

    def unpacked(self, vector: npt.NDArray[np.float64]) -> Params:
        moved = partial(self.plan.run.backend.asarray, dtype=self.plan.spec.dtype)
        return map_tree(moved, self.layout.unpack(np, (vector[:, None],)))  # type: ignore[no-any-return]

    def cost_and_gradient(self, vector: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        run, backend, by_network = self.plan.run, self.plan.run.backend, self.plan.by_network
        buffer = backend.placement.argument(vector[:, None], self.plan.spec.dtype)
        cost, gradient = 0.0, np.zeros_like(vector)
        for data in self.plan.data.parts(backend):
            J, flat = self._compiled(backend, run.net, run.block_size, self.layout, buffer, data, by_network)
            cost, gradient = cost + float(backend.to_numpy(J)), gradient + backend.to_numpy(flat)
            by_network = ByNetwork(Penalties(None, None, by_network.penalties.m))  # the penalties count once
        lost = not np.isfinite(vector).all()  # SciPy's squares of a gradient can overflow
        if lost or not (np.isfinite(cost) or self._latest):
            done = self.state.epoch
            when = f"after {done} iterations" if lost else "of the initial parameters"
            advice = Advice(
                "scale the inputs ({standardize} does it); {targets}; start from smaller weights ({init})",
                {**FIT, **SCALED} if self.plan.spec.standardize else FIT,
                f"the cost {when} is {cost:g}. What to change: ",
            )
            state = self.state._replace(params=self.unpacked(self.vector))
            raise DivergenceError(
                advice,
                advice=advice,
                epoch=done + 1,
                step=done + 1,
                layer=1,
                params=state.params,
                state=state,
                history=self.history,
                gradient_norm=float(np.linalg.norm(gradient)),
            )
        self._latest[vector.tobytes()] = (cost, gradient)
        return cost if np.isfinite(cost) else np.inf, gradient

    def iteration(self, vector: npt.NDArray[np.float64]) -> None:
        """Write one iteration into the history, and stop if patience or a callback says so."""
        cost, gradient = self._latest[np.asarray(vector, dtype=np.float64).tobytes()]
        self._latest = {b"": (cost, gradient)}
        norms = [math.sqrt(float(np.vdot(dW, dW))) for dW, _ in self.layout.unpack(np, (gradient[:, None],))]
        now = time.perf_counter()
        entries = {"cost": cost, "gradient_norm": norms, "learning_rate": math.nan, "seconds": now - self._begin}
        for key, value in entries.items():
            self.history[key].append(value)
        self._begin = now
        state = self.state._replace(epoch=self.state.epoch + 1, step=self.state.step + 1)
        self.vector = vector.copy()
        if self.plan.observers:  # they need the parameters
            state = state._replace(params=self.unpacked(vector))
        self.state, _, _, stop, _ = told(self.plan.observers, Done(state, self.history))
        if stop:
            raise _Stop(stop)


def _cost_and_gradient(
    backend: Static[Backend],
    net: Static[Network],
    block_size: Static[int | None],
    plan: Static[Layout],
    buffer: Array,
    data: Bound[Data],
    by_network: ByNetwork,
) -> tuple[Array, Array]:
    """Return J and its gradient (P,) for a buffer (P, 1) of parameters and `by_network.penalties.m` examples in all."""
    X, Y, w = data
    xp = array_namespace(X)
    params: Params = plan.unpack(xp, (buffer,))

    def part(X: Array, Y: Array, w: Array | None) -> tuple[Array, Params]:
        return propagation.gradients(net, params, X, Y, w, m=by_network.penalties.m)

    J, grads = part(X, Y, w) if block_size is None else backend.sum_blocks(part, block_size, X, Y, w)
    J = J + by_network.penalties.cost(params)
    grads = by_network.penalties.update(grads, params)
    return J, plan.pack(backend, grads)[0][:, 0]
