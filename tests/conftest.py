"""Backends × dtypes as fixtures. A backend named in VECPROP_REQUIRE must be there: its tests fail rather than skip."""

import os

# scikit-learn takes arrays of other libraries only if SciPy was told so before it was imported
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest

import vecprop as vp

REQUIRED = {name for name in os.environ.get("VECPROP_REQUIRE", "").replace(" ", "").split(",") if name}


def backend_or_skip(name):
    """The backend, or a skip with the reason; a required one raises instead."""
    try:
        backend = vp.get_backend(name)
    except vp.BackendError as error:
        if name in REQUIRED or "all" in REQUIRED:
            raise
        pytest.skip(str(error))
    if name == "jax" and "jax-gpu" in REQUIRED and not backend.has_gpu:
        pytest.fail(f"JAX on a GPU is required, got {dict(backend.describe())}")
    return backend


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
