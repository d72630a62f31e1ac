"""Would the tests notice a mistake in the mathematical core? `make mutants`: Cosmic Ray, with two operators of ours."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import parso
from cosmic_ray import plugins
from cosmic_ray.ast import get_ast_from_path
from cosmic_ray.commands import execute, init
from cosmic_ray.config import load_config
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import TestOutcome, WorkItem, WorkResult
from parso.tree import NodeOrLeaf

ROOT = Path(__file__).resolve().parents[2]
SESSIONS = ROOT / "build/mutants"
CONFIG = ROOT / "tests/project/mutants.toml"
TABLES = tomllib.loads(CONFIG.read_text("utf-8"))

# Of Cosmic Ray's operators one or two for each sign: `a // b` for a product of floats says nothing about the tests
CORE = re.compile(
    r"(Binary.*_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|Pow_Mul|FloorDiv_Mul|Mod_FloorDiv|BitAnd_BitOr|BitOr_BitAnd"
    r"|BitXor_BitOr|LShift_RShift|RShift_LShift)"
    r"|Comparison.*_(Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is)"
    r"|_Delete_\w+|AddNot|AndWithOr|OrWithAnd|TrueWithFalse|FalseWithTrue|NumberReplacer|ZeroIterationForLoop)$"
)
OPERATIONS = {"arith_expr", "term", "power", "expr", "xor_expr", "and_expr", "shift_expr"}
# A call in place of which the argument of this number is taken
DROPPED = dict.fromkeys(
    ("matrix_transpose", "abs", "sqrt", "sign", "exp", "log", "tanh", "flip", "cumulative_sum", "per_column"), 0
) | {"real_part": 1}
RENAMED = {
    "maximum": "minimum", "minimum": "maximum", "max": "min", "min": "max", "all": "any", "any": "all",
    "log1p": "log", "expm1": "exp", "zeros_like": "ones_like", "ones_like": "zeros_like",
}  # fmt: skip


class _Replacement(Operator):
    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        return ((node.start_pos, node.end_pos) for _ in self.texts(node, [c.get_code() for c in _children(node)]))

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf:
        return parso.parse(list(self.texts(node, [c.get_code() for c in _children(node)]))[index])


class ReplaceOperation(_Replacement):
    """Forget an operand, a branch or what is done in place; exchange the operands of `@`; double a float."""

    def texts(self, node: NodeOrLeaf, parts: list[str]) -> Iterator[str]:
        if node.type == "expr_stmt" and parts[1].strip() in {"+=", "-=", "*=", "/="}:
            yield parts[0]
        if node.type == "test" and len(parts) == 5:  # a if b else c
            yield from (parts[0], parts[4])
        if node.type == "number" and re.search(r"\.|e-", node.value) and float(node.value) not in {0, 1}:
            yield f"{node.prefix}{2 * float(node.value)}"
        for i in range(1, len(parts), 2) if node.type in OPERATIONS else ():
            *before, left, sign, right = parts[: i + 2]
            if sign.strip() == "@":
                yield "".join((*before, right, sign, left, *parts[i + 2 :]))
                continue
            yield "".join((*before, left, *parts[i + 2 :]))
            if i == 1 and sign.strip() in {"+", "*", "&", "|", "^"}:
                yield "".join(parts[2:])

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("x = a + b", "x = a"),
            Example("x = a + b", "x = b", occurrence=1),
            Example("x = a - b - c", "x = a - b", occurrence=1),
            Example("x = W @ A / m", "x = A @ W / m"),
            Example("Z += b", "Z"),
            Example("x = a if b else c", "x = c", occurrence=1),
            Example("x = 1e-5 if b else c", "x = 2e-05 if b else c", occurrence=2),
        )


class ReplaceCall(_Replacement):
    """Drop a function for its argument, take another function, exchange the branches of a `where`."""

    def texts(self, node: NodeOrLeaf, parts: list[str]) -> Iterator[str]:
        for i in range(1, len(parts)) if node.type == "atom_expr" else ():
            name, inside = parts[i - 1].strip().lstrip("."), _children(node.children[i])[1:2]
            if not parts[i].startswith("(") or not inside:
                continue
            arguments = inside[0].children[::2] if inside[0].type == "arglist" else inside
            given = [a.get_code().strip() for a in arguments]
            after = "".join(parts[i + 1 :])
            if name in DROPPED and len(given) > DROPPED[name]:
                yield f"{node.get_first_leaf().prefix}({given[DROPPED[name]]}){after}"
            if name in RENAMED:
                yield "".join((*parts[: i - 1], parts[i - 1].replace(name, RENAMED[name]), parts[i], after))
            if name == "where":
                yield "".join((*parts[:i], f"({given[0]}, {given[2]}, {given[1]})", after))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("dA = xp.matrix_transpose(W) @ dZ", "dA = (W) @ dZ"),
            Example("x = f(real_part(xp, Z)[0])", "x = f((Z)[0])"),
            Example("x = xp.max(Z, axis=-1)", "x = xp.min(Z, axis=-1)"),
            Example("x = xp.where(Z > 0, Z, 0)", "x = xp.where(Z > 0, 0, Z)"),
        )


def _children(node: NodeOrLeaf) -> list[NodeOrLeaf]:
    return getattr(node, "children", [])


OPERATORS = {operator.__name__: operator for operator in (ReplaceOperation, ReplaceCall)}
_core = plugins.OPERATOR_PROVIDERS["core"]
plugins.OPERATOR_PROVIDERS |= {"core": {n: _core[n] for n in _core if CORE.search(n)}, "ours": OPERATORS}


def computes(leaf: NodeOrLeaf) -> bool:
    """Whether a mistake here is one: not in an annotation, a message, or what `zip` and `dataclass` refuse."""
    if leaf.get_code().strip() == "TYPE_CHECKING":
        return False
    while (above := leaf.parent) is not None:
        annotation = above.children[1] if above.type == "annassign" else getattr(above, "annotation", None)
        words = above.get_code().strip().startswith(("strict=", "frozen=", ": TypeAlias"))
        if words or leaf is annotation or above.type in {"raise_stmt", "fstring", "tfpdef"}:
            return False
        leaf = above
    return True


def try_all(module: str, tests: list[str]) -> list[tuple[WorkItem, WorkResult]]:
    """Return each mutant of a module with what became of it, in a copy of the tree; the session stays."""
    SESSIONS.mkdir(parents=True, exist_ok=True)
    session = SESSIONS / f"{module.replace('/', '.')}.sqlite"
    source = Path(f"src/vecprop/{module}.py")
    config = load_config(str(CONFIG))
    command = config.test_command.replace("python", sys.executable, 1)
    config["test-command"] = " ".join((command, str(source), *tests))
    with tempfile.TemporaryDirectory() as copy, contextlib.chdir(copy), use_db(str(session)) as database:
        for part in ("src", "backends", "tests", "docs"):
            shutil.copytree(ROOT / part, part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        outcome, output = run_tests(config.test_command, 600)
        if outcome is not TestOutcome.SURVIVED:
            raise RuntimeError(f"the tests of {module} fail without a mutant:\n{output}")
        init([source], database, {})
        tree = get_ast_from_path(source)
        items = [i for i in database.work_items if computes(tree.get_leaf_for_position(i.mutations[0].start_pos))]
        database.clear()
        database.add_work_items(items)
        execute(database, config)
        return list(database.completed_work_items)


def name_of(item: WorkItem, result: WorkResult) -> str:
    """Return the function, and its lines that stand in the mutant alone."""
    lines = [line[1:].split() for line in (result.diff or "").splitlines() if re.match(r"\+(?!\+\+)", line)]
    return f"{item.mutations[0].definition_name}: {' '.join(word for line in lines for word in line)}"


def main(modules: list[str]) -> int:
    """Print the table of these modules, or of all, and the survivors; 1 if mutants.toml does not explain one."""
    if unknown := set(modules) - set(TABLES["tests"]):
        sys.exit(f"no tests for {', '.join(unknown)} in {CONFIG.name}, which has {', '.join(TABLES['tests'])}")
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "SCIPY_ARRAY_API": "1"}
    os.environ["PYTHONPATH"] = os.pathsep.join(("src", "backends", "tests"))  # those of the copy
    print("| module | mutants | noticed | survived | of these compute the same |\n|---|---|---|---|---|")
    unexplained = []
    for module in modules or TABLES["tests"]:
        tried = try_all(module, TABLES["tests"][module])
        survived = [name_of(item, result) for item, result in tried if not result.is_killed]
        left = [name for name in survived if name not in TABLES["equivalent"].get(module, {})]
        unexplained += [f"- `{module}`, `{name}`" for name in left]
        noticed = len(tried) - len(survived)
        share = f"{noticed} ({100 * noticed / max(len(tried), 1):.1f} %)"
        print(f"| `{module}` | {len(tried)} | {share} | {len(survived)} | {len(survived) - len(left)} |", flush=True)
    if unexplained:
        print("\nSurvivors without a reason in tests/project/mutants.toml:\n\n" + "\n".join(unexplained))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
