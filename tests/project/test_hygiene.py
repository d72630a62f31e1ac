"""What may import what, what an import costs, and the size of the file a newcomer reads first."""

import ast
import re
import statistics

import pytest

from helpers import cases
from helpers.processes import ROOT, python

SOURCE = ROOT / "src" / "vecprop"

# The rooms from the ground up. Each may import from itself and from those below it.
ROOMS = [
    "utils", "backend", "propagation", "nn", "rungs", "data", "training", "inspection", "estimators", "tabular",
    "export", "cli",
]  # fmt: skip
VENDORS = {
    "numpy", "cupy", "jax", "jaxlib", "torch", "sklearn", "scipy", "matplotlib", "rich", "typer", "onnx", "onnxruntime",
    "safetensors",
}  # fmt: skip
# NumPy holds host data (initial weights, shuffles, shapes); the pure mathematics does without.
WITHOUT_NUMPY = {
    "utils/errors.py", "backend/namespaces.py", "nn/shapes.py", "nn/activations.py", "propagation.py",
    "training/optimizers.py", "nn/losses/__init__.py", "nn/losses/base.py", "nn/losses/classification.py",
    "nn/losses/regression.py",
}  # fmt: skip


def imports(path, *, top_level):
    """The modules that a file imports when it is imported, or anywhere in it, for the types too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from modules & NAMES.keys() or {node.module}
            if modules - NAMES.keys():
                yield node.module


MODULES = sorted(SOURCE.rglob("*.py"))
# Each folder with the one on Python's path below which its modules have their names
FOLDERS = {"src": "src", "backends": "backends", "tests": "tests", "docs": "docs", "benchmarks": "."}
NAMES = {
    ".".join(path.relative_to(ROOT / base).with_suffix("").parts).removesuffix(".__init__"): path
    for folder, base in FOLDERS.items()
    for path in (ROOT / folder).rglob("*.py")
}


def test_the_rooms_are_all_there_is():
    root = {"__init__.py", "__main__.py", "_version.py", "py.typed", "__pycache__"}
    assert {path.name.removesuffix(".py") for path in SOURCE.iterdir() if path.name not in root} == set(ROOMS)
    assert len(ROOMS) <= 12


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_room_imports_only_lower_ones(path):
    name = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if name.startswith("_"):
        return
    below = {*ROOMS[: ROOMS.index(name) + 1], "_version"}
    for module in imports(path, top_level=False):
        root, _, rest = module.partition(".")
        if root == "vecprop":
            assert rest.split(".")[0] in below, f"{name} imports {module}, which is above it"
        assert not root.startswith("vecprop_"), f"{name} imports the backend {module}"


def test_no_files_import_each_other_in_a_circle():
    graph = {name: set(imports(path, top_level=False)) & NAMES.keys() - {name} for name, path in NAMES.items()}
    while leaves := {name for name, needed in graph.items() if not needed}:
        graph = {name: needed - leaves for name, needed in graph.items() if name not in leaves}
    assert graph == {}, "each of these imports another of them, or is imported by one of them"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_vendor_library_is_imported_at_import(path):
    relative = path.relative_to(SOURCE)
    allowed = set() if relative.as_posix() in WITHOUT_NUMPY else {"numpy"}
    if relative.parts[0] in ("estimators", "tabular", "export"):  # vecprop itself imports them when they are first used
        allowed |= {"sklearn", "scipy"}
    if relative.parts[0] == "cli":
        allowed |= {"typer", "rich"} if relative.name != "__init__.py" else set()
    found = {module.split(".")[0] for module in imports(path, top_level=True)} & VENDORS
    assert found <= allowed, f"{relative} imports {found - allowed}"


HEAVY = VENDORS - {"numpy"} | {"pandas", "polars"}


@cases(
    ("import vecprop", HEAVY),
    ("import vecprop as v; v.fit(v.Network((2, 3, 1)), *v.datasets.xor(m=8), epochs=2)", HEAVY | {"numpy.f2py"}),
    ("import vecprop; vecprop.estimators; import vecprop.estimators.large_data", {"sklearn", "scipy"}),
    (f"sys.path.append({str(ROOT)!r}); import benchmarks.command", {"pandas", "polars", "sklearn", "torch"}),
    (
        "from vecprop.estimators import MLPRegressor as M; M(scoring='loss', max_iter=1).fit([[0], [1]], [0, 1])",
        {"sklearn.metrics", "sklearn.neural_network"},
    ),
    (
        "from vecprop.cli import imports; imports.load_less(); import vecprop.estimators.classifier",
        {"pandas", "psutil", "rich.progress", "scipy.stats._stats_py", "sklearn.metrics"},
    ),
    (
        "from vecprop.cli import imports; imports.load_less(); import sklearn.base, scipy.optimize",
        {"asyncio.events", "scipy.fft", "scipy.linalg.interpolative", "scipy.special._ufuncs"},
    ),
)
def test_what_is_not_needed_is_not_imported(code, absent):
    code = f"import sys, warnings; warnings.simplefilter('ignore'); {code}; print(*sys.modules)"
    assert absent & set(python("-c", code).stdout.split()) == set()


def test_what_the_command_line_leaves_out_is_there_when_it_is_used():
    pytest.importorskip("pandas")
    code = (
        "from vecprop.cli import imports\nimports.load_less()\n"
        "import sklearn.base, scipy.optimize, scipy.stats, numpy.testing, pandas\n"
        "print(scipy.stats.norm.cdf(0.0), len(pandas.DataFrame({'a': [1]})), numpy.testing.assert_equal(1, 1))\n"
        "print(scipy.optimize.linprog([1, 2], A_ub=[[-1, -1]], b_ub=[-1]).fun)"
    )
    assert python("-c", code).stdout.split() == ["0.5", "1", "None", "1.0"]


@pytest.mark.alone
def test_import_is_fast():
    """Under 0.3 s of its thread's time, the median of 5 fresh interpreters, the interpreter's own start not counted.

    Not the whole process's: on an idle machine the threads that OpenBLAS starts wait awake for 0.13 s.
    """
    code = "import time; t = time.thread_time(); import vecprop; print(time.thread_time() - t)"
    python("-c", code)  # byte code and disk cache
    assert statistics.median(float(python("-c", code).stdout) for _ in range(5)) < 0.3


def test_the_file_with_forward_and_backward_is_short():
    assert len((SOURCE / "propagation.py").read_text(encoding="utf-8").splitlines()) <= 150


# --- nothing of a file is executed ------------------------------------------------------------------------------

# What runs, or makes objects of, what it reads; by the last part of the name where it is called.
EXECUTING_BUILTINS = {"eval", "exec", "compile", "__import__"}
EXECUTING_MODULES = {
    "_pickle", "cloudpickle", "code", "codeop", "dill", "imp", "joblib", "marshal", "pickle", "pty", "runpy", "shelve",
    "zodbpickle",
}  # fmt: skip
EXECUTES = re.compile(
    r"^(builtins\.|torch\.load$|subprocess\.get(status)?output$|yaml\.(?!safe_(load|dump|load_all)$)"
    r"|os\.(exec|spawn|posix_spawn|system|popen))|(^|\.)(exec_module|unsafe_load|read_pickle|to_pickle)$"
)
READS = re.compile(r"(np|numpy)(\.lib\.format)?\.(load|read_array|fromfile)")
BY_NAME = {
    "import_module", "resolve_name", "find_spec", "spec_from_file_location", "module_from_spec", "load_module",
}  # fmt: skip
# `import_module` of a name that is no text in the source: each looked through, none of them of a file.
IMPORTS_BY_NAME = {
    ("__init__.py", "f'vecprop.{_MODULES[name]}'"),  # what is imported when it is first used, both from a closed table
    ("__init__.py", "f'vecprop.{_HOME[name]}'"),
    ("estimators/__init__.py", "f'vecprop.estimators.{_HOMES[name]}'"),  # from a closed table
    ("backend/distributed.py", "name"),  # whether JAX has a GPU's plugin: it looks, and imports nothing
    ("cli/demo.py", "module"),  # whether scikit-learn and the like are there: it looks, and imports nothing
    ("cli/imports.py", "name"),  # of the modules that it names, and of no other
    ("backend/selection.py", "target"),  # the built-in backends, from a closed table
    ("utils/errors.py", "name"),  # of the libraries that its callers name, each in a word of the source
}


def danger_of(node):
    """What a node of the source would do to a file's contents, as source; None for nothing."""
    match node:
        case ast.keyword(arg="allow_pickle" | "shell") if getattr(node.value, "value", "?") is not False:
            return ast.unparse(node)
        case ast.Import() | ast.ImportFrom():
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            return next((name for name in names if name.split(".")[0] in EXECUTING_MODULES), None)
        case ast.Name(id=name) if name in EXECUTING_BUILTINS:  # called or handed on
            return name
        case ast.Call(func=function, args=arguments, keywords=keywords):
            name, given = ast.unparse(function), {keyword.arg for keyword in keywords}
            by_name = name == "getattr" and getattr(arguments[1], "value", None) in EXECUTING_BUILTINS
            unsafe = READS.fullmatch(name) and "allow_pickle" not in given
            if by_name or unsafe or EXECUTES.search(name) or name.rpartition(".")[0] in EXECUTING_MODULES:
                return ast.unparse(node)
    return None


def test_nothing_of_a_file_is_executed():
    """Neither pickle nor eval nor their kin in the source, and no import of a name that comes from a file."""
    found = set()
    for path in [*MODULES, *(ROOT / "backends").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert danger_of(node) is None, f"{path}:{getattr(node, 'lineno', '?')}: {danger_of(node)}"
            by_name = isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_NAME
            if by_name and not isinstance(node.args[0], ast.Constant):
                found.add((str(path.relative_to(SOURCE)), ast.unparse(node.args[0])))
    assert found == IMPORTS_BY_NAME


@cases(
    "eval(x)", "exec(x)", "compile(x, y, z)", "__import__(x)", "run = eval", "getattr(builtins, 'eval')(x)",
    "import pickle", "from pickle import loads", "import dill as d", "import joblib", "import marshal, json",
    "import shelve", "from runpy import run_path", "import pickle.x", "pickle.loads(x)", "builtins.print(x)",
    "np.load(f)", "numpy.load(f)", "np.load(f, allow_pickle=True)", "np.load(f, allow_pickle=x)",
    "np.lib.format.read_array(f)", "yaml.load(f)", "yaml.unsafe_load(f)", "yaml.full_load(f)", "torch.load(f)",
    "subprocess.run(x, shell=True)", "subprocess.Popen(x, shell=x)", "subprocess.getoutput(x)", "os.system(x)",
    "os.popen(x)", "os.execv(x, y)", "os.spawnl(x)", "pandas.read_pickle(f)", "spec.loader.exec_module(m)",
)  # fmt: skip
def test_the_search_finds_what_executes(code):
    assert any(danger_of(node) is not None for node in ast.walk(ast.parse(code)))
