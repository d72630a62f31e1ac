"""The memory in which a backend's arrays are: what is free, when it has run out, and giving it back."""

from typing import ClassVar

from vecprop.backend.main_memory import free_main_memory

# Networks whose step makes more numbers than this together take longer each, as the numbers leave the caches.
LARGEST_GROUP = 1 << 22


class DeviceMemory:
    """Main memory; a backend whose arrays are elsewhere has a subclass.

    least : bytes without which the library cannot do anything
    widest_pass : the most columns of one forward pass; more go through in blocks. None if any number does well
    """

    least: ClassVar[int] = 0
    widest_pass: int | None = None

    def free(self) -> int | None:
        """Return the bytes that are free, or None if that is not known."""
        return free_main_memory()

    def ran_out(self, error: BaseException) -> bool:
        """Tell whether an error of the library says that memory has run out."""
        return isinstance(error, MemoryError)

    def release(self) -> None:
        """Give back memory that the library keeps for later; called after it has run out."""

    def auto_block(self, m: int, units: int, itemsize: int) -> int | None:  # noqa: ARG002
        """Return how many columns of m `block_size="auto"` computes at once, or None for all.

        units : numbers that a forward and backward pass makes for one column, of `itemsize` bytes each
        """
        return None

    def worth_blocks(self, m: int, inputs: int, others: int, itemsize: int) -> bool:  # noqa: ARG002
        """Tell whether one pass over m columns is worth blocks, which a call has to prepare.

        inputs, others : the numbers of one column in X, and all that a forward pass makes of it
        """
        return m * (inputs + others) >= 1 << 22

    def auto_groups(self, networks: int, numbers: int, steps: int) -> tuple[int, int]:  # noqa: ARG002
        """Return into how many groups the networks of a stack are divided for training, and on how many threads.

        numbers : those that a step of all networks makes
        steps : those of one compiled call
        """
        return 1, 1

    def fitting_block(self, m: int, units: int, itemsize: int) -> int | None:
        """Return None if all m columns take no more than a quarter of the free memory, else how many do."""
        free = self.free()
        fits = m if free is None else free // (4 * 2 * units * itemsize)  # every number and its gradient
        return None if m <= fits else max(1024, fits)
