"""Properties that hold for every network and all data (hypothesis)."""

import hypothesis
import numpy as np

import vecprop as vp
from helpers import ELEMENTWISE, PAIRINGS, assert_pass_close, make_problem

st = hypothesis.strategies

networks = st.builds(
    lambda sizes, pairing, hidden: vp.Network(
        (*sizes, 3), hidden=[hidden] * (len(sizes) - 1), output=pairing[0], loss=pairing[1]
    ),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.sampled_from(PAIRINGS),
    st.sampled_from(ELEMENTWISE),
)
problems = st.builds(
    lambda net, m, seed: (net, *make_problem(net, m, seed, weights=True)),
    networks, st.integers(1, 12), st.integers(0, 2**32 - 1),
)  # fmt: skip
settings = hypothesis.settings(max_examples=60, deadline=None, derandomize=True)


@settings
@hypothesis.given(
    problems, st.randoms(use_true_random=False), st.integers(2, 4), st.floats(0.01, 100), st.integers(1, 13)
)
def test_what_makes_no_difference(problem, random, copies, factor, block_size):
    """The order of the examples, how often all of them are there, the unit of their weights, and blocks."""
    net, params, X, Y, w = problem
    expected = net.gradients(params, X, Y, sample_weight=w, l2=0.1)
    order = random.sample(range(len(w)), len(w))
    assert_pass_close(net.gradients(params, X[:, order], Y[:, order], sample_weight=w[order], l2=0.1), expected)
    assert_pass_close(net.gradients(params, X, Y, sample_weight=w, l2=0.1, block_size=block_size), expected)
    expected = net.gradients(params, X, Y, sample_weight=w)
    assert_pass_close(net.gradients(params, X, Y, sample_weight=factor * w), expected)
    repeated = net.gradients(params, np.tile(X, copies), np.tile(Y, copies))
    assert_pass_close(repeated, net.gradients(params, X, Y))


@settings
@hypothesis.given(problems)
def test_every_gradient_is_right(problem):
    net, params, X, Y, w = problem
    report = vp.check_gradients(net, params, X, Y, sample_weight=w, l2=0.2)
    assert report.passed, report
