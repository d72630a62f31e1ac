"""When CuPy captures a function as a graph, without a GPU: what a graph does is tested on one."""

from types import SimpleNamespace
from unittest import mock

import pytest

from helpers import cases

cupy = pytest.importorskip("cupy")
pytest.importorskip("vecprop_cupy")
from vecprop_cupy import graphs, products  # noqa: E402


def array(shape, dtype="float32", address=2**40, strides=None):
    """An array that has an address and no memory."""
    memory = cupy.cuda.UnownedMemory(address, 2**40, None, device_id=0)
    return cupy.ndarray(shape, dtype, memptr=cupy.cuda.MemoryPointer(memory, 0), strides=strides)


class Graph:
    """A graph that calls the function when it is made and when it is run."""

    def __init__(self, function, inputs, room):
        self.function, self.inputs, self.room, self.runs = function, inputs, room, 0
        function(inputs)

    def __call__(self, given):
        self.runs += 1
        return self.function(given)


@pytest.fixture
def captured(monkeypatch):
    """A function (a name, data, trees of arrays) as it is compiled, and what it was called with."""
    monkeypatch.setattr(graphs, "Graph", Graph)
    monkeypatch.setattr(graphs, "capturing", lambda: False)
    monkeypatch.setattr(graphs, "library", lambda: 1)
    monkeypatch.setattr(graphs, "float32_compute_type", lambda: 4)
    monkeypatch.setattr(products, "library", lambda: 1)
    monkeypatch.setattr(graphs, "_place", lambda leaf: array((1,)) if isinstance(leaf, cupy.ndarray) else leaf)
    memory = SimpleNamespace(release=lambda: None, free=lambda: 1000)

    def function(*given):
        calls.append(given)
        if fails:
            raise fails[0]
        return given[1], None

    calls, fails = [], []
    compiled = graphs.Captured(function, (0,), (1,), memory)
    return SimpleNamespace(call=compiled, calls=calls, fails=fails, graphs=compiled._graphs)


def test_the_second_call_of_a_form_is_captured_and_later_ones_replay_it(captured):
    data = array((3, 4))
    for call in range(4):
        result = captured.call("name", data, (array((2,)), (None, 1.0)))
        (graph,) = captured.graphs.values()
        assert (graph is None) if call == 0 else graph.runs == call
        assert type(result[0]) is cupy.ndarray and result[1] is None
    assert graph.inputs[:2] == (None, data) and graph.inputs[2][1] == (None, 1.0) and graph.room == 1000
    assert all(given[0] == "name" and type(given[1]) is products.Operand for given in captured.calls)


@cases(
    ("other", array((3, 4)), (array((2,)), 1.0)),
    ("name", array((3, 4), address=2**41), (array((2,)), 1.0)),
    ("name", array((3, 4)), (array((3,)), 1.0)),
    ("name", array((3, 4)), (array((2,), "float64"), 1.0)),
    ("name", array((3, 4)), (array((2,), strides=(8,)), 1.0)),
    ("name", array((3, 4)), (array((2,)), 2.0)),
    ("name", array((3, 4)), (array((2,)), 1)),
    ("name", array((3, 4)), (array((2,)), None)),
    ("name", array((3, 4)), (array((2,)), (1.0,))),
)
def test_what_a_graph_depends_on(name, data, arrays, captured):
    captured.call("name", array((3, 4)), (array((2,)), 1.0))
    captured.call(name, data, arrays)
    assert list(captured.graphs.values()) == [None, None]
    captured.call("name", array((3, 4)), (array((2,), address=2**41), 1.0))  # another place, the same form
    assert sum(graph is not None for graph in captured.graphs.values()) == 1


def test_a_graph_depends_on_the_precision(captured, monkeypatch):
    given = "name", array((3, 4)), array((2,))
    captured.call(*given)
    monkeypatch.setattr(graphs, "float32_compute_type", lambda: 7)
    captured.call(*given)
    assert list(captured.graphs.values()) == [None, None]


def test_what_cannot_be_captured_runs_as_it_is_and_says_why(captured, monkeypatch, caplog):
    monkeypatch.setattr(graphs, "Graph", mock.Mock(side_effect=RuntimeError("the current stream is capturing")))
    given = "name", array((3, 4)), array((2,))
    assert captured.call.why_not is None
    with caplog.at_level("INFO"):
        results = [captured.call(*given) for _ in range(4)]
    assert all(result[0].shape == (3, 4) for result in results) and len(captured.calls) == 4
    assert captured.call.why_not == "RuntimeError: the current stream is capturing"
    assert caplog.messages == [f"function is not captured as a CUDA graph: {captured.call.why_not}"]


def test_an_error_of_the_function_is_its_own(captured):
    given = "name", array((3, 4)), array((2,))
    captured.call(*given)
    captured.fails.append(ZeroDivisionError("own"))
    with pytest.raises(ZeroDivisionError, match="own"):
        captured.call(*given)
    captured.fails[:] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        captured.call(*given)
    captured.fails.clear()
    assert captured.call(*given)[0].shape == (3, 4)


def test_within_another_capture_a_function_is_itself(captured, monkeypatch):
    monkeypatch.setattr(graphs, "capturing", lambda: True)
    for _ in range(3):
        captured.call("name", array((3, 4)), array((2,)))
    assert captured.graphs == {} and len(captured.calls) == 3
