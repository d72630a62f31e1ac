"""The format of model files: safetensors, with a JSON header and a checksum in its metadata.

A file is data and nothing else: it is read without executing anything. Every bit of it counts: what was truncated or
altered is refused, by one type of error.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from vecprop.errors import ModelFileError

if TYPE_CHECKING:
    import numpy.typing as npt

Tensors = dict[str, "npt.NDArray[Any]"]

FORMAT = 1
# One entry, since safetensors keeps entries in no order: the format, the checksum and the header, with colons between.
_ENTRY = "vecprop"
_DTYPES = ("float32", "float64")


def encode(header: dict[str, Any], tensors: Tensors) -> bytes:
    """Return the bytes of a file; equal contents give equal bytes.

    >>> header, tensors = decode(encode({"kind": "test"}, {"W1": np.ones((1, 2))}))
    >>> header, tensors["W1"].tolist()
    ({'kind': 'test'}, [[1.0, 1.0]])
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in sorted(tensors.items())}
    text = json.dumps(header, allow_nan=False, sort_keys=True)
    entry = f"{FORMAT}:{_checksum(str(FORMAT), text, arrays)}:{text}"
    return _safetensors().save(arrays, metadata={_ENTRY: entry})  # type: ignore[no-any-return]


def decode(data: bytes, source: str = "the file") -> tuple[dict[str, Any], Tensors]:
    """Return the header and the tensors, or raise ModelFileError that says what is wrong with the file."""
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
    except Exception as error:  # whatever the library raises for what is no safetensors file
        raise ModelFileError(f"{source} is damaged: {error}") from error
    if any(array.dtype.name not in _DTYPES for array in tensors.values()):
        raise ModelFileError(f"{source} is damaged: it has tensors that are neither float32 nor float64")
    if checksum != _checksum(version, text, tensors):
        raise ModelFileError(f"{source} is damaged or was altered: its checksum is not that of its contents")
    return _object(text, source), tensors


def _checksum(version: str, text: str, tensors: Tensors) -> str:
    """Return the SHA-256 of everything in a file that means something."""
    digest = hashlib.sha256(f"{version}\0{text}".encode())
    for name, array in sorted(tensors.items()):
        digest.update(f"\0{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def _entry(data: bytes, source: str) -> str:
    """Return our entry of a safetensors file's metadata: 8 bytes with the length of a JSON object, then that object."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise ModelFileError(f"{source} is no model file, or was truncated")
    try:
        text = data[8 : 8 + length].decode()
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{source} is no model file, or is damaged: {error}") from error
    metadata = _object(text, source).get("__metadata__")
    entry = metadata.get(_ENTRY, "") if isinstance(metadata, dict) else ""
    return entry if isinstance(entry, str) else ""


def _object(text: str, source: str) -> dict[str, Any]:
    """Return a JSON object of which no key stands twice."""
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{source} is no model file, or is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ModelFileError(f"{source} is no model file: its header is no JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in its header")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} in its header")


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(f"model files need safetensors ({error}). Install it: pip install safetensors") from error
    return safetensors.numpy
