"""What may import what, what an import costs, and the size of the file a newcomer reads first."""

import ast
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "vecprop"

# Each module may import from its own layer and those before it.
LAYERS = [
    {
        "errors",
        "namespaces",
        "shapes",
        "streams",
        "arguments",
        "splitting",
        "trees",
        "sparse",
        "blas",
        "choices",
        "directories",
        "main_memory",
    },
    {"activations"},
    {"losses", "initializers"},
    {"propagation"},
    {"backend"},
    {"selection"},
    {"memory"},
    {"validation"},
    {"network"},
    {"rungs", "checking"},
    {"explanation"},
    {"schedules", "dropout", "normalization", "stages", "metrics", "flat", "regularization"},
    {"optimizers", "progress", "moving"},
    {"results"},
    {"stopping"},
    {"epochs", "evaluation"},
    {"loop"},
    {"quasi_newton"},
    {"options", "examples"},
    {"training"},
    {"atomic", "container", "codec"},
    {"onnx_graph"},
    {"files", "estimators", "onnx_export", "torch_interchange"},
    {"evidence"},
    {"symptoms"},
    {"diagnosis"},
    {"tables"},
    {"tabular"},
    {"dataset"},
    {"datasets"},
    {"plots"},
    {"benchmark_report"},
    {"benchmark", "demonstrations", "deep", "drop_in"},
    {"cli", "__main__"},
]
VENDORS = {
    "numpy", "cupy", "jax", "jaxlib", "torch", "sklearn", "scipy", "matplotlib", "rich", "typer", "onnx", "onnxruntime",
    "safetensors",
}  # fmt: skip
# NumPy holds host data (initial weights, shuffles, shapes); the pure mathematics does without.
WITHOUT_NUMPY = {"errors", "namespaces", "shapes", "activations", "losses", "propagation", "optimizers"}


def imports(path, *, top_level):
    """The modules a file imports, at its top level or also inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in tree.body if top_level else ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "vecprop":
                yield from (f"vecprop.{alias.name}" for alias in node.names)
            else:
                yield node.module


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_downwards(path):
    name = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if name == "__init__":
        return
    layer = next((i for i, layer in enumerate(LAYERS) if name in layer), None)
    assert layer is not None, f"{name} has no layer"
    below = set().union(*LAYERS[: layer + 1])
    for module in imports(path, top_level=False):
        root, _, rest = module.partition(".")
        if root == "vecprop" and rest and rest != "__version__":
            assert rest.split(".")[0] in below, f"{name} imports {module}, which is above it"
        assert not root.startswith("vecprop_"), f"{name} imports the backend {module}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_vendor_library_is_imported_at_import(path):
    relative = path.relative_to(SOURCE)
    allowed = set() if relative.parts[0].removesuffix(".py") in WITHOUT_NUMPY else {"numpy"}
    if relative.parts[0] in ("estimators", "tabular"):  # vecprop itself imports them when they are first used
        allowed |= {"sklearn", "scipy"}
    if relative.parts[0] == "cli":
        allowed |= {"typer", "rich"} if relative.name != "__init__.py" else set()
    found = {module.split(".")[0] for module in imports(path, top_level=True)} & VENDORS
    assert found <= allowed, f"{relative} imports {found - allowed}"


def fresh_python(code):
    env = {k: v for k, v in os.environ.items() if not k.startswith("VECPROP")}
    env["PYTHONPATH"] = f"{ROOT / 'src'}{os.pathsep}{ROOT / 'backends'}"
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout


def test_import_loads_no_framework():
    loaded = fresh_python("import sys, vecprop; print(*sys.modules)").split()
    heavy = VENDORS - {"numpy"} | {"pandas", "polars"}
    assert heavy & set(loaded) == set()
    numpy_run = (
        "import sys, vecprop as vp; X, Y = vp.datasets.xor(m=8)\n"
        "vp.fit(vp.Network((2, 3, 1)), X, Y, epochs=2); print(*sys.modules)"
    )
    assert heavy & set(fresh_python(numpy_run).split()) == set(), "the NumPy backend pulls in nothing else"


@pytest.mark.alone
def test_import_is_fast():
    """Under 0.3 s, the median of 5 fresh interpreters, the interpreter's own start not counted."""
    code = "import time; t = time.perf_counter(); import vecprop; print(time.perf_counter() - t)"
    fresh_python(code)  # byte code and disk cache
    assert statistics.median(float(fresh_python(code)) for _ in range(5)) < 0.3


def test_the_file_with_forward_and_backward_is_short():
    assert len((SOURCE / "propagation.py").read_text(encoding="utf-8").splitlines()) <= 150


def test_no_pickle_and_no_evaluation():
    for path in [*MODULES, *(ROOT / "backends").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile"), path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert getattr(node.value, "value", None) is False, path
        assert not {"pickle", "dill", "joblib", "shelve", "marshal"} & {
            m.split(".")[0] for m in imports(path, top_level=False)
        }


def test_all_public_names_exist_and_are_documented():
    import vecprop as vp

    for name in vp.__all__:
        value = getattr(vp, name)
        assert name == "__version__" or value.__doc__, name
    assert len(set(vp.__all__)) == len(vp.__all__)
