"""The doctests of modules whose library is not installed are left out."""

from importlib.util import find_spec

_NEEDS = {
    "vecprop/utils/tensor_file.py": "safetensors", "vecprop/data/sparse.py": "scipy",
    "vecprop/data/spelling.py": "polars", "vecprop/data/tables.py": "polars", "vecprop/inspection/plots": "matplotlib",
    "vecprop/estimators": "sklearn", "vecprop/tabular": "polars", "vecprop/export/files.py": "safetensors",
    "vecprop/export/estimator_files.py": "sklearn", "vecprop/export/onnx_export.py": "onnx",
    "vecprop/export/onnx_tables.py": "polars", "vecprop/cli": "typer",
}  # fmt: skip
collect_ignore = [path for path, library in _NEEDS.items() if find_spec(library) is None]
