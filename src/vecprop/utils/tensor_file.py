"""The format of model files: safetensors, with a JSON header and a checksum in its metadata.

A file holds only data, and reading it executes nothing. A file that was truncated, or in which a single bit was
altered, is refused with ModelFileError.
"""

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vecprop.utils.errors import ModelFileError, imported, one_line

Tensors = dict[str, "npt.NDArray[Any]"]

FORMAT = 1
# The one entry of the metadata (safetensors keeps no order of several): format, checksum and header, joined by colons.
_ENTRY = "vecprop"
_DTYPES = ("float32", "float64")
_LONGEST_HEADER = 100_000_000  # the limit of safetensors
_DEEPEST = 100  # levels of lists and objects in a header


def encode(header: dict[str, Any], tensors: Tensors) -> bytes:
    """Return the bytes of a file; equal contents give equal bytes."""
    arrays = {name: np.ascontiguousarray(array) for name, array in sorted(tensors.items())}
    text = json.dumps(header, allow_nan=False, sort_keys=True)
    _check_values(json.loads(text))
    if len(text) > _LONGEST_HEADER // 2:  # as a string in another JSON text its quotes are escaped
        raise ValueError(
            f"the model has {len(text)} bytes beside its tensors, most likely history: too many for a file"
        )
    entry = f"{FORMAT}:{_checksum(str(FORMAT), text, arrays)}:{text}"
    return _safetensors().save(arrays, metadata={_ENTRY: entry})  # type: ignore[no-any-return]


def read(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a model file; if the first ones show that it is none, the rest is not read.

    OSError if it cannot be read, as a directory, a device or a pipe, which is not waited for.
    """
    with _opened(path) as (file, size, _):
        return file.read(size)


def kind(path: str | os.PathLike[str]) -> str | None:
    """Return the kind in a model file's header, or None if the file is another or missing."""
    try:
        with _opened(path) as (file, _, header):
            found = _object(_entry(file.read(8 + header), "").split(":", 2)[-1], "").get("kind")
    except (OSError, ModelFileError):
        return None
    return found if isinstance(found, str) else None


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int, int]]:
    """Open a regular file; with it come its size and the length of its header."""
    name = os.fspath(path)
    _check_regular(os.stat(path).st_mode, name)
    with open(path, "rb", opener=lambda path, flags: os.open(path, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        status = os.fstat(file.fileno())
        _check_regular(status.st_mode, name)  # another may have this name now
        header = _header_length(file.read(8), status.st_size, f"the file {name!r}")
        file.seek(0)
        yield file, status.st_size, header


def _check_regular(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"cannot read {name!r}: it is a directory")
    if not stat.S_ISREG(mode):
        raise OSError(f"cannot read {name!r}: it is a device or a pipe; copy what comes out of it into a file")


def decode(data: bytes, source: str = "the file") -> tuple[dict[str, Any], Tensors]:
    """Return the header and the tensors; ModelFileError says what is wrong with a file."""
    version, _, rest = _entry(data, source).partition(":")
    if not version.isascii() or not version.isdigit() or len(version) > 9:
        raise ModelFileError(f"{source} is a safetensors file, but no model that vecprop saved")
    if int(version) > FORMAT:
        raise ModelFileError(
            f"{source} has format {int(version)}, and this version of vecprop reads formats up to {FORMAT}: upgrade it"
        )
    checksum, _, text = rest.partition(":")
    try:
        tensors: Tensors = _safetensors().load(data)
    except ImportError:
        raise
    except Exception as error:  # the library may raise anything for what is no safetensors file
        raise ModelFileError(f"{source} is damaged: {one_line(error)}") from error
    if any(array.dtype.name not in _DTYPES for array in tensors.values()):
        raise ModelFileError(f"{source} is damaged: it has tensors that are neither float32 nor float64")
    if checksum != _checksum(version, text, tensors):
        raise ModelFileError(f"{source} is damaged or was altered: its checksum is not that of its contents")
    return _object(text, source), tensors


def _checksum(version: str, text: str, tensors: Tensors) -> str:
    """Return the SHA-256 of the format version, the header and the tensors."""
    digest = hashlib.sha256(f"{version}\0{text}".encode())
    for name, array in sorted(tensors.items()):
        digest.update(f"\0{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def _entry(data: bytes, source: str) -> str:
    """Return our entry of the metadata, in the JSON object that follows its length in 8 bytes."""
    length = _header_length(data[:8], len(data), source)
    try:
        text = data[8 : 8 + length].decode()
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{source} is no model file, or is damaged: {one_line(error)}") from error
    metadata = _object(text, source).get("__metadata__")
    entry = metadata.get(_ENTRY, "") if isinstance(metadata, dict) else ""
    return entry if isinstance(entry, str) else ""


def _header_length(beginning: bytes, size: int, source: str) -> int:
    """Return the length of a file's header, from the file's size and its first 8 bytes."""
    length = int.from_bytes(beginning, "little")
    if len(beginning) < 8 or length > min(size - 8, _LONGEST_HEADER):
        raise ModelFileError(f"{source} is no model file, or was truncated")
    return length


def _object(text: str, source: str) -> dict[str, Any]:
    """Return the JSON object of a text, in which no key may stand twice."""
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse)
        _check_values(value)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{source} is no model file, or is damaged: {one_line(error)}") from error
    if not isinstance(value, dict):
        raise ModelFileError(f"{source} is no model file: its header is no JSON object")
    return value


def _check_values(value: Any, depth: int = 0) -> None:
    """Raise ValueError for invalid Unicode, infinite numbers or deep nesting, which `encode` refuses."""
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} levels of lists and objects in its header")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number in its header that is too large")
    elif isinstance(value, list):
        for entry in value:
            _check_values(entry, depth + 1)
    elif isinstance(value, dict):
        for key, entry in value.items():
            key.encode()
            _check_values(entry, depth + 1)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in its header")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} in its header")


def _safetensors() -> Any:
    return imported("safetensors.numpy", "model files need safetensors ({}). Install it: pip install safetensors")
