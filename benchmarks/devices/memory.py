"""The most memory of the device that a training or a pass has in use, asked of the library's own allocator.

Allocators differ in what they keep beyond that; what is in use is what one needs. Each is measured in a process of its
own (`gpu.py --memory-of`), since JAX's counter of the peak cannot be set back.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class DeviceMemory(NamedTuple):
    """Bytes in use when a contestant is ready, its examples on the device, and the most bytes in use afterwards.

    None where the library does not tell, as on a CPU.
    """

    before: int | None
    peak: int | None


class _Cupy:
    """CuPy's pool, watched by a hook: it tells of each block that is taken and given back."""

    def __init__(self) -> None:
        import cupy

        self.pool = cupy.get_default_memory_pool()
        self.now = self.peak = int(self.pool.used_bytes())
        watch = self

        class Hook(cupy.cuda.MemoryHook):  # type: ignore[misc]
            name = "peak"

            def malloc_postprocess(self, **about: Any) -> None:
                watch.now += about["mem_size"] if about["mem_ptr"] else 0
                watch.peak = max(watch.peak, watch.now)

            def free_postprocess(self, **about: Any) -> None:
                watch.now -= about["mem_size"]

        self.hook = Hook()

    def watch(self, run: Callable[[], object]) -> DeviceMemory:
        before = self.now = self.peak = int(self.pool.used_bytes())
        with self.hook:
            run()
        return DeviceMemory(before, self.peak)


class _Jax:
    """The allocator of JAX's first device."""

    def __init__(self) -> None:
        import jax

        self.device = jax.local_devices()[0]

    def watch(self, run: Callable[[], object]) -> DeviceMemory:
        before = self.device.memory_stats() or {}
        run()
        after = self.device.memory_stats() or {}
        return DeviceMemory(before.get("bytes_in_use"), after.get("peak_bytes_in_use"))


class _Torch:
    """PyTorch's caching allocator."""

    def __init__(self) -> None:
        import torch

        self.torch = torch

    def watch(self, run: Callable[[], object]) -> DeviceMemory:
        cuda = self.torch.cuda
        if not cuda.is_available():
            run()
            return DeviceMemory(None, None)
        cuda.synchronize()
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated()
        run()
        cuda.synchronize()
        return DeviceMemory(before, cuda.max_memory_allocated())


class _Unknown:
    """A library that computes in main memory."""

    def watch(self, run: Callable[[], object]) -> DeviceMemory:
        run()
        return DeviceMemory(None, None)


_LIBRARIES: dict[str, Callable[[], Any]] = {"cupy": _Cupy, "jax": _Jax, "optax": _Jax, "torch": _Torch}


def memory_of(peer: str, make: Callable[[], Any]) -> DeviceMemory:
    """Return the memory of a contestant's first calls.

    Parameters
    ----------
    peer : str
        Its name; it says whose allocator is asked.
    make : function
        Makes the contestant, with its examples on the device.
    """
    library = next((known for name, known in _LIBRARIES.items() if name in peer.split("-")), _Unknown)
    contestant = make()  # which imports the library, in the way vecprop wants it
    return library().watch(lambda: contestant.train(1))  # type: ignore[no-any-return]


def in_its_own_process(peer: str, workload: str, options: list[str], seconds: float = 60.0) -> DeviceMemory | str:
    """Return what `memory_of` finds in a process of its own, or why there is nothing."""
    script = str(Path(__file__).with_name("gpu.py"))
    command = [sys.executable, script, "--memory-of", peer, "--only", workload, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"it took more than {seconds:g} s"
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return (done.stderr.strip().splitlines() or ["no answer"])[-1].rpartition("UnavailableError: ")[2][:200]
    return DeviceMemory(*json.loads(lines[-1]))
