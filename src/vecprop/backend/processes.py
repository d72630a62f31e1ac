"""The processes that train one network together: what they tell each other beside the gradients.

A collective is called by all of them, in the same order. One process alone is a team, too, for which nothing is sent.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vecprop.utils.errors import ModelFileError, shown

T = TypeVar("T")
# Errors that a message is enough for; any other is told of as a RuntimeError.
_TOLD = (ValueError, TypeError, FileNotFoundError, IsADirectoryError, OSError, KeyError, ModelFileError)


class Team:
    """One process alone; a subclass sends.

    index : the number of this process, from 0
    count : how many there are
    """

    index: int = 0
    count: int = 1

    def has_lost(self, error: BaseException) -> bool:  # noqa: ARG002
        """Tell whether an error of the library says that another process does not answer any more."""
        return False

    def gather(self, array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return every process's array, of the same dtype and of shapes that may differ along the last axis."""
        return [array]

    def gather_bytes(self, data: bytes) -> list[bytes]:
        """Return every process's bytes."""
        return [part.tobytes() for part in self.gather(np.frombuffer(data, dtype=np.uint8))]

    def total(self, array: Any) -> npt.NDArray[np.float64]:
        """Return the sum over the processes, the same bits on each."""
        return np.asarray(np.sum(self.gather(np.asarray(array, np.float64)), axis=0))

    def joined(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return every process's part (…, m_p), one after the other (…, m)."""
        return np.concatenate(self.gather(array), axis=-1)

    def together(self, function: Callable[[], T]) -> T:
        """Return the result of a function without collectives; if it fails in one process it fails in all.

        With the same error: that of the first process in which it failed, and its number.
        """
        if self.count == 1:
            return function()
        result, failed = None, None
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others have to know
            failed = error
        told = {} if failed is None else {"type": type(failed).__name__, "text": str(failed)}
        answers = [json.loads(data) for data in self.gather_bytes(json.dumps(told).encode())]
        for number, answer in enumerate(answers):
            if answer:
                kind = next((kind for kind in _TOLD if kind.__name__ == answer["type"]), RuntimeError)
                raise kind(f"process {number} of {self.count}: {answer['text']}") from failed
        return result  # type: ignore[return-value]

    def from_first(self, function: Callable[[], bytes]) -> bytes:
        """Return the bytes that a function gives in the first process."""
        if self.count == 1:
            return function()
        return self.gather_bytes(self.together(lambda: function() if self.index == 0 else b""))[0]

    def require_same(self, asked: Mapping[str, Any]) -> None:
        """Raise ValueError, in all of them, unless the processes were asked for the same.

        asked : values that JSON has, by the names of the arguments
        """
        if self.count == 1:
            return
        answers = [json.loads(data) for data in self.gather_bytes(json.dumps(asked).encode())]
        for name in dict.fromkeys(key for answer in answers for key in answer):
            for number, answer in enumerate(answers):
                if answer.get(name) != answers[0].get(name):
                    raise ValueError(
                        f"the processes disagree on {name}: process 0 has {shown(answers[0].get(name))}, process "
                        f"{number} has {shown(answer.get(name))}; all have to be called with the same arguments, but "
                        "for the examples"
                    )

    def share(self, m: int) -> slice:
        """Return the part of m examples that is this process's where each has all of them.

        >>> Team().share(10)
        slice(0, 10, None)
        """
        bounds = [m * p // self.count for p in range(self.count + 1)]
        return slice(bounds[self.index], bounds[self.index + 1])


ALONE = Team()
