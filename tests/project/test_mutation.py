"""The mutation testing of `make mutants`: its operators, and whether it tells what is noticed from what is not."""

import importlib
import os

import pytest

from helpers import cases

mutating = pytest.importorskip("cosmic_ray.mutating", reason="`make mutants` installs Cosmic Ray")
mutants = importlib.import_module("project.mutants")


@pytest.mark.parametrize(
    ("operator", "example"),
    [pytest.param(o, e, id=e.post_mutation_code) for o in mutants.OPERATORS.values() for e in o.examples()],
)
def test_operators(operator, example):
    assert mutating.mutate_code(example.pre_mutation_code, operator(), example.occurrence) == example.post_mutation_code


@cases(
    ("def f(x: A «|» B): pass", False),
    ("def f(x) -> A «|» B: pass", False),
    ("x: A «|» B = 1", False),
    ("x: A | B = «1»", True),
    ("def f(x: A | B = «1»): pass", True),
    ("Union: TypeAlias = A «|» B", False),
    ("raise ValueError(n «+» 1)", False),
    ("f'{n «+» 1}'", False),
    ("zip(a, b, strict=«True»)", False),
    ("f(a, b, keepdims=«True»)", True),
    ("if «TYPE_CHECKING»: pass", False),
    ("x = a «|» b", True),
)
def test_where_a_mistake_is_none(code, computes):
    before, leaf, after = code.replace("»", "«").split("«")
    tree = mutants.parso.parse(before + leaf + after)
    assert mutants.computes(tree.get_leaf_for_position((1, len(before)))) is computes


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(mutants, "SESSIONS", tmp_path)

    def run(module):
        code = mutants.main([module])
        out = capsys.readouterr().out
        row = next(line for line in out.splitlines() if line.startswith(f"| `{module}`"))
        made, noticed, survived, same = (cell.split()[0] for cell in row.split("|")[2:-1])
        return code, int(made), int(noticed), int(survived), int(same)

    return run


@pytest.mark.slow
def test_mistakes_are_noticed(run):
    code, made, noticed, survived, same = run("backend/pytrees")
    assert (code, noticed + survived, survived) == (0, made, same)
    assert noticed >= 0.9 * made > 9


@pytest.mark.slow
def test_mistakes_that_no_test_sees_survive(run, monkeypatch):
    module = "data/streaming/windows"
    monkeypatch.setitem(mutants.TABLES["tests"], module, ["tests/training/test_parameter_buffer.py"])
    code, made, noticed, survived, same = run(module)
    assert (code, noticed, survived, same) == (1, 0, made, 0)
    assert made > 3
