"""The order of streamed examples: a property of all windows (hypothesis)."""

import hypothesis
import numpy as np

from helpers import epoch_order
from vecprop.data.streaming.order import Windows
from vecprop.utils import random_streams

st = hypothesis.strategies


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(
    blocks=st.lists(st.integers(1, 30), min_size=1, max_size=20), batch=st.integers(1, 12), batches=st.integers(1, 6),
    seed=st.integers(0, 2**64 - 1), shuffled=st.booleans(),
)  # fmt: skip
def test_every_example_once_in_every_epoch(blocks, batch, batches, seed, shuffled):
    boundaries = np.concatenate([[0], np.cumsum(blocks)])
    windows = Windows(boundaries, batch, batch * batches, shuffled)
    m = windows.m
    widths = [end - begin for begin, end in windows.bounds]
    assert all(width == batch * batches for width in widths[:-1])
    assert len(widths) == 1 or widths[-1] >= batch
    for epoch in (0, 1):
        order = epoch_order(windows, seed, epoch)
        assert sorted(order.tolist()) == list(range(m))
        assert shuffled or (order == np.arange(m)).all()
        if len(windows) == 1 and shuffled:
            np.testing.assert_array_equal(order, random_streams.shuffle(seed, epoch, m))
    # what comes later does not depend on what was asked for before: a run can go on in the middle
    fresh = Windows(boundaries, batch, batch * batches, shuffled)
    last = len(windows) - 1
    assert fresh.ranges(seed, 1, last) == windows.ranges(seed, 1, last)
