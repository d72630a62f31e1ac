"""Backends × dtypes as fixtures."""

import os

# scikit-learn takes arrays of other libraries only if SciPy was told so before it was imported
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest

import vecprop as vp
from helpers import backend_or_skip


@pytest.fixture(params=["numpy", "jax", pytest.param("cupy", marks=pytest.mark.gpu)])
def backend(request):
    return backend_or_skip(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def jax_backend():
    return backend_or_skip("jax")


@pytest.fixture(autouse=True)
def default_choices(monkeypatch):
    """No test sees what another chose, or what the environment says."""
    monkeypatch.delenv("VECPROP_BACKEND", raising=False)
    monkeypatch.delenv("VECPROP_PRECISION", raising=False)
    vp.selection._chosen.clear()
    yield
    vp.selection._chosen.clear()
