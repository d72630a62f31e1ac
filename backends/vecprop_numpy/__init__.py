"""The NumPy backend: the CPU, and the default. NumPy is the array API standard already."""

from collections.abc import Mapping

import array_api_compat.numpy
import numpy as np

from vecprop.backend import Backend

__all__ = ["NumPyBackend"]


class NumPyBackend(Backend):
    """NumPy on the CPU."""

    def __init__(self) -> None:
        super().__init__(array_api_compat.numpy, "numpy")

    def describe(self) -> Mapping[str, str]:
        """Return NumPy's version and the BLAS that computes its matrix products."""
        blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        return {
            "numpy": np.__version__,
            "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        }
