"""What a mutant is: a copy of a module's source with one small mistake in it.

A sign turned, a transposition dropped, a bound off by one, an axis confused, a term forgotten. Texts of messages,
docstrings and annotations are left as they are.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BINARY = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.FloorDiv: [ast.Mult],
    ast.Mod: [ast.FloorDiv],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
    ast.BitXor: [ast.BitOr],
    ast.LShift: [ast.RShift],
    ast.RShift: [ast.LShift],
}
COMPARISONS = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
# A call that is dropped for the argument of this number
DROPPED = {
    "matrix_transpose": 0, "abs": 0, "sqrt": 0, "sign": 0, "exp": 0, "log": 0, "tanh": 0, "flip": 0,
    "cumulative_sum": 0, "per_column": 0, "real_part": 1,
}  # fmt: skip
RENAMED = {
    "maximum": "minimum", "minimum": "maximum", "max": "min", "min": "max", "all": "any", "any": "all",
    "log1p": "log", "expm1": "exp", "zeros_like": "ones_like", "ones_like": "zeros_like",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One mistake: where it is, what stood there and what stands there now, and the whole source with it."""

    function: str  # the outermost function, as Class.method; "" at the level of the module or a class
    before: str
    after: str
    number: int  # of the places in the function where this may be done, the first is 1
    line: int
    source: str

    def __str__(self) -> str:
        place = f" ({self.number})" if self.number > 1 else ""
        return f"{self.function or 'module'}: {self.before} → {self.after}{place}"


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module.

    >>> for mutant in mutants("def f(a, b):\\n    return a - b.mT"):
    ...     print(mutant)
    f: a - b.mT → a + b.mT
    f: a - b.mT → a
    f: b.mT → b
    """
    tree = ast.parse(source)
    places = {id(child): place for parent in ast.walk(tree) for child, place in _children(parent)}
    seen: Counter[tuple[str, str, str]] = Counter()
    for node, function in _nodes(tree):
        for after in _replacements(node):
            holder, key = places[id(node)]
            _put(holder, key, ast.copy_location(after, node))
            text = ast.unparse(tree)
            _put(holder, key, node)
            words = (function, _first_line(node), _first_line(after))
            seen[words] += 1
            yield Mutant(*words, seen[words], node.lineno, text)


def _children(parent: ast.AST) -> Iterator[tuple[ast.AST, tuple[Any, Any]]]:
    """Yield each child with the place that it has: a list and an index, or a node and the name of a field."""
    for name, value in ast.iter_fields(parent):
        if isinstance(value, list):
            yield from ((child, (value, i)) for i, child in enumerate(value) if isinstance(child, ast.AST))
        elif isinstance(value, ast.AST):
            yield value, (parent, name)


def _put(holder: Any, key: Any, node: ast.AST) -> None:
    if isinstance(holder, list):
        holder[key] = node
    else:
        setattr(holder, key, node)


def _first_line(node: ast.AST) -> str:
    return ast.unparse(node).partition("\n")[0]


def _nodes(tree: ast.Module) -> list[tuple[ast.expr | ast.stmt, str]]:
    """Return the nodes that may be replaced, each with the function it stands in, in an order of its own."""
    found: list[tuple[ast.expr | ast.stmt, str]] = []

    def visit(node: ast.AST, path: tuple[str, ...], function: str) -> None:
        if isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
            return
        if isinstance(node, ast.keyword) and node.arg == "strict":
            return  # zip's check of lengths
        if isinstance(node, ast.FunctionDef):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    visit(default, path, function)
            function = function or ".".join((*path, node.name))
            children: list[ast.AST] = list(node.body)
        elif isinstance(node, ast.ClassDef):
            path, children = (*path, node.name), list(node.body)
        elif isinstance(node, ast.AnnAssign):
            children = [node.value] if node.value is not None else []
        else:
            children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.expr | ast.stmt):
            found.append((node, function))
        for child in children:
            visit(child, path, function)

    visit(tree, (), "")
    return found


def _replacements(node: ast.AST) -> list[ast.AST]:
    """Return what a node is replaced by, one after the other."""
    rule = globals().get(f"_of_{type(node).__name__}")
    return [] if rule is None else [copy.deepcopy(after) for after in rule(node)]


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _of_BinOp(node: ast.BinOp) -> Iterator[ast.AST]:  # noqa: N802
    if isinstance(node.op, ast.MatMult):
        yield _with(node, left=node.right, right=node.left)
        return
    if isinstance(node.op, ast.BitOr) and isinstance(node.left, ast.Name) and isinstance(node.right, ast.Name):
        return  # a union of types
    for op in BINARY[type(node.op)]:
        yield _with(node, op=op())
    yield node.left
    if isinstance(node.op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr | ast.BitXor):
        yield node.right


def _of_AugAssign(node: ast.AugAssign) -> Iterator[ast.AST]:  # noqa: N802
    for op in BINARY[type(node.op)]:
        yield _with(node, op=op())
    yield ast.Pass()


def _of_Compare(node: ast.Compare) -> Iterator[ast.AST]:  # noqa: N802
    for k, op in enumerate(node.ops):
        for other in COMPARISONS[type(op)]:
            yield _with(node, ops=[*node.ops[:k], other(), *node.ops[k + 1 :]])


def _of_BoolOp(node: ast.BoolOp) -> Iterator[ast.AST]:  # noqa: N802
    yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())


def _of_UnaryOp(node: ast.UnaryOp) -> Iterator[ast.AST]:  # noqa: N802
    if not isinstance(node.op, ast.UAdd):
        yield node.operand


def _of_Constant(node: ast.Constant) -> Iterator[ast.AST]:  # noqa: N802
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
        if node.value:
            yield ast.Constant(node.value - 1)
    elif isinstance(node.value, float):
        yield ast.Constant(2 * node.value if node.value else 1.0)
        if node.value == 1.0:
            yield ast.Constant(0.0)


def _of_Attribute(node: ast.Attribute) -> Iterator[ast.AST]:  # noqa: N802
    if node.attr == "mT":
        yield node.value


def _of_IfExp(node: ast.IfExp) -> Iterator[ast.AST]:  # noqa: N802
    yield node.body
    yield node.orelse


def _of_If(node: ast.If) -> Iterator[ast.AST]:  # noqa: N802
    if not isinstance(node.test, ast.Compare | ast.UnaryOp):  # those have mutants of their own
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _of_Call(node: ast.Call) -> Iterator[ast.AST]:  # noqa: N802
    name = getattr(node.func, "attr", getattr(node.func, "id", None))
    if name in DROPPED and len(node.args) > DROPPED[name]:
        yield node.args[DROPPED[name]]
    if name in RENAMED:
        field = "attr" if isinstance(node.func, ast.Attribute) else "id"
        yield _with(node, func=_with(node.func, **{field: RENAMED[name]}))
    if name == "where":
        yield _with(node, args=[node.args[0], node.args[2], node.args[1]])
