"""Training in several processes, on one machine or many: a thin layer over `jax.distributed`.

JAX's runtime connects the processes and does the reductions. All processes call the same functions with the same
arguments, except the examples, of which each gives its own part. The first process prints, draws and saves.
"""

import atexit
import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from vecprop.backend.processes import ALONE, Team
from vecprop.backend.selection import get_backend
from vecprop.utils.arguments import check_integer, check_positive_integer
from vecprop.utils.errors import BackendNotInstalledError, ProcessLostError, one_line


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: int = 60,
    heartbeat: int = 10,
) -> None:
    """Connect this process with the others, before JAX or its backend is used.

    Under SLURM, Open MPI and Kubernetes, which JAX detects, no argument is needed.

    Parameters
    ----------
    coordinator_address : str, optional
        "host:port" of the first process, which listens there; by default JAX_COORDINATOR_ADDRESS.
    num_processes : int, optional
        The number of processes; by default JAX_NUM_PROCESSES.
    process_id : int, optional
        The number of this process, from 0; by default JAX_PROCESS_ID.
    timeout : int, default 60
        Seconds to wait for the others.
    heartbeat : int, default 10
        Seconds after which a process that does not answer counts as lost; the others then end with an error.

    Raises
    ------
    ValueError
        For arguments that do not fit each other, or if some are missing and no cluster was detected.
    RuntimeError
        If JAX was used before, or the processes are connected already.
    ProcessLostError
        A RuntimeError: the others cannot be reached in time.
    BackendNotInstalledError
        Without JAX.
    """
    jax = _jax()
    address = coordinator_address or os.environ.get("JAX_COORDINATOR_ADDRESS")
    count = _number(num_processes, "num_processes", 1, "a positive integer")
    number = _number(process_id, "process_id", 0, "an integer from 0")
    if None not in (count, number) and number >= count:  # type: ignore[operator]
        raise ValueError(f"process_id must be below num_processes = {count}, got {number}")
    if address is not None and ":" not in address:
        raise ValueError(f'coordinator_address must be "host:port", got {address!r}')
    check_positive_integer(timeout, "timeout")
    check_positive_integer(heartbeat, "heartbeat")
    if jax.distributed.is_initialized():
        raise RuntimeError("the processes are connected already; once is enough")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # Gloo reports a lost process: JAX need not abort the others before they can raise an error
    recoverable = _computes_on_cpus(jax)
    jax.config.update("jax_enable_recoverability", recoverable)
    # It would catch SIGTERM, on which training writes a last checkpoint
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            address,
            count,
            number,
            initialization_timeout=timeout,
            heartbeat_timeout_seconds=heartbeat,
            shutdown_timeout_seconds=heartbeat,
            # with all three given, no cluster is asked
            cluster_detection_method="deactivate" if None not in (address, count, number) else None,
        )
    except ValueError as error:
        raise ValueError(
            f"{error} No cluster (SLURM, Open MPI, Kubernetes) was detected: give coordinator_address, num_processes "
            "and process_id, or set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID"
        ) from error
    except RuntimeError as error:
        if "before any JAX" in str(error):
            raise RuntimeError(
                "the processes have to be connected before JAX is used: call vecprop.distributed.initialize() first"
            ) from error
        raise ProcessLostError(
            f"the other processes cannot be reached within {timeout} s (coordinator_address {address}): "
            f"{one_line(error)}"
        ) from error
    if recoverable:
        atexit.register(_leave)


def shutdown() -> None:
    """Disconnect from the others, once all call this; done automatically at the end of a process."""
    jax = _jax()
    if jax.distributed.is_initialized():
        if jax.config.jax_enable_recoverability:
            multihost_utils = import_module("jax.experimental.multihost_utils")
            multihost_utils.sync_global_devices("vecprop: the end")
            if jax.process_index() == 0:  # the others leave through the first, which would not wait for them
                with multihost_utils.live_devices(jax.devices()):
                    pass
        jax.distributed.shutdown()


def _leave() -> None:
    """Disconnect at the end of the process; not after an error, so that the others see the loss."""
    if not hasattr(sys, "last_value"):
        with suppress(Exception):
            shutdown()


def team() -> Team:
    """Return the connected processes, with `index`, `count` and `share(m)`; by default one alone.

    >>> team().index, team().count, team().share(6)
    (0, 1, slice(0, 6, None))
    """
    jax: Any = sys.modules.get("jax")
    if not hasattr(jax, "distributed") or not jax.distributed.is_initialized() or jax.process_count() == 1:
        return ALONE
    return get_backend("jax").placement.over("all", None).placement.team  # type: ignore[no-any-return]


def is_first() -> bool:
    """Tell whether this is the process that prints, draws and saves.

    >>> is_first()
    True
    """
    return team().index == 0


def _computes_on_cpus(jax: Any) -> bool:
    """Tell whether JAX has only CPUs, without starting it."""
    platforms = jax.config.jax_platforms
    if platforms:
        return str(platforms).split(",")[0] == "cpu"
    return not any(find_spec(name) for name in ("jax_cuda12_plugin", "jax_cuda13_plugin", "libtpu", "jax_rocm7_plugin"))


def _jax() -> Any:
    try:
        return import_module("jax")
    except ImportError as error:
        raise BackendNotInstalledError('training in several processes needs JAX: pip install "vecprop[jax]"') from error


def _number(given: int | None, name: str, least: int, wanted: str) -> int | None:
    """Return the argument, or else the number in its variable of JAX's; None without both."""
    text = os.environ.get(variable := f"JAX_{name.upper()}")
    if given is None and text:
        try:
            given = int(text)
        except ValueError:
            raise ValueError(f"{variable}, for {name}, must be a whole number, got {text!r}") from None
    return None if given is None else check_integer(given, name, least, wanted)
