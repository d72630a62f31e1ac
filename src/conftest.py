"""The doctests of modules whose library is not installed are left out."""

from importlib.util import find_spec

_NEEDS = {
    "vecprop/utils/tensor_file.py": "safetensors",
    "vecprop/export/files.py": "safetensors",
    "vecprop/export/onnx_export.py": "onnx",
    "vecprop/data/sparse.py": "scipy",
    "vecprop/estimators": "sklearn",
    "vecprop/cli": "typer",
    "vecprop/plots": "matplotlib",
    "vecprop/tabular": "polars",
}
collect_ignore = [path for path, library in _NEEDS.items() if find_spec(library) is None]
