"""The most memory that a training or a pass has in use, each measured in a process of its own.

On the GPU the library's own allocator is asked: allocators differ in what they keep beyond that, and JAX's counter of
the peak cannot be set back. On the CPU it is the memory of the process.
"""

import multiprocessing
import re
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.contestants.base import UnavailableError, first_line

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Memory(NamedTuple):
    """Bytes in use when a contestant is ready, its examples on the device, and the most afterwards; None if unknown."""

    before: int | None
    peak: int | None


def _of_cupy(run: Callable[[], object]) -> Memory:
    """Watch CuPy's pool by a hook: it tells of each block that is taken and given back."""
    import cupy

    now = peak = before = int(cupy.get_default_memory_pool().used_bytes())

    class Hook(cupy.cuda.MemoryHook):  # type: ignore[misc]
        name = "peak"

        def malloc_postprocess(self, **about: Any) -> None:
            nonlocal now, peak
            now += about["mem_size"] if about["mem_ptr"] else 0
            peak = max(peak, now)

        def free_postprocess(self, **about: Any) -> None:
            nonlocal now
            now -= about["mem_size"]

    with Hook():
        run()
    return Memory(before, peak)


def _of_jax(run: Callable[[], object]) -> Memory:
    """Ask the allocator of JAX's first device."""
    import jax

    device = jax.local_devices()[0]
    before = device.memory_stats() or {}
    run()
    after = device.memory_stats() or {}
    return Memory(before.get("bytes_in_use"), after.get("peak_bytes_in_use"))


def _of_torch(run: Callable[[], object]) -> Memory:
    """Ask PyTorch's caching allocator."""
    import torch

    if not torch.cuda.is_available():
        return _of_nobody(run)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return Memory(before, torch.cuda.max_memory_allocated())


def _of_nobody(run: Callable[[], object]) -> Memory:
    run()  # in main memory
    return Memory(None, None)


def of_process(run: Callable[[], object]) -> Memory:
    """Ask the system. The peak so far is forgotten: drawing the data may have needed more than training."""
    try:
        _RESET.write_text("5", encoding="ascii")
        before = _field("VmRSS")
    except OSError:  # only Linux has it
        before = _peak()
    run()
    return Memory(before, _peak())


def _peak() -> int | None:
    """Return the most bytes that were in use; on Linux `ru_maxrss` begins with the peak of the process before."""
    if _STATUS.exists():
        return _field("VmHWM")
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _field(name: str) -> int | None:
    found = re.search(rf"^{name}:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"), flags=re.MULTILINE)
    return None if found is None else int(found[1]) * 1024


_ALLOCATORS = {"cupy": _of_cupy, "jax": _of_jax, "optax": _of_jax, "torch": _of_torch}


def memory_of(peer: str, device: str, make: Callable[[], Any]) -> Memory:
    """Return the memory of a contestant's first calls; its name says whose allocator is asked on a GPU."""
    contestant = make()  # which imports the library, in the way vecprop wants it
    ask = next((known for name, known in _ALLOCATORS.items() if name in peer.split("-")), _of_nobody)
    return (of_process if device == "cpu" else ask)(lambda: contestant.train(1))


def in_its_own_process(seconds: float, function: Callable[..., Memory], *arguments: Any) -> Memory:
    """Return a function's result from a process of its own, or raise UnavailableError with the reason."""
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(function, *arguments).result(seconds)
        except TimeoutError:
            for child in multiprocessing.active_children():
                if child not in others:
                    child.kill()
            raise UnavailableError(f"it took more than {seconds:g} s") from None
        except UnavailableError:
            raise
        except Exception as error:
            raise UnavailableError(f"{type(error).__name__}: {first_line(error)}") from error
