"""The modules of the mathematical core, and the quick tests that are to notice a mistake in each.

All on NumPy; the doctests of a module are tests as well.
"""

from __future__ import annotations

# What the tests are taken from: no JAX, no peers, nothing slow
OPTIONS = (
    "-m", "not gpu and not slow and not alone",
    "-k", "not jax and not cupy and not torch and not optax and not memory",
)  # fmt: skip

COMPLEX = "tests/test_array_api.py::test_complex_step_under_array_api_strict"  # no order of complex numbers there

LOG_SOFTMAX = tuple(
    f"tests/test_extreme_numbers.py::test_log_softmax_of_{case}"
    for case in ("a_complex_stack", "what_is_nearly_certain")
)

MODULES: dict[str, tuple[str, ...]] = {
    "propagation": ("tests/test_worked_example.py", "tests/test_gradients.py", "tests/test_network.py"),
    "nn/activations": ("tests/test_activations.py", "tests/test_losses.py", *LOG_SOFTMAX, COMPLEX),
    "nn/losses/base": ("tests/test_losses.py", "tests/test_bad_input.py"),
    "nn/losses/classification": ("tests/test_losses.py", "tests/test_bad_input.py", COMPLEX),
    "nn/losses/regression": ("tests/test_losses.py", COMPLEX),
    "nn/weight_penalties": ("tests/test_regularization.py",),
    "nn/batch_norm": ("tests/test_regularization.py",),
    "nn/input_scaling": ("tests/test_regularization.py",),
    "nn/dropout": ("tests/test_regularization.py",),
    "training/training_pass": ("tests/test_regularization.py", "tests/test_numpy_backend.py"),
    "training/parameter_buffer": ("tests/test_flat.py",),
    "backend/pytrees": ("tests/test_flat.py", "tests/test_optimizers.py"),
    "nn/initializers": ("tests/test_network.py",),
    "training/optimizers": ("tests/test_optimizers.py",),
}
