"""The generators of the random streams."""

import numpy as np
import pytest

from vecprop.utils.random_streams import SHUFFLES, generator, shuffle


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
@pytest.mark.parametrize(("epoch", "part"), [(0, 0), (3, 5)])
def test_a_generator_is_philox_with_its_key_and_counter(seed, epoch, part):
    philox = np.random.Philox(
        key=np.array([seed, SHUFFLES], np.uint64), counter=np.array([0, 0, part, epoch], np.uint64)
    )
    assert str(generator(seed, SHUFFLES, epoch, part).bit_generator.state) == str(philox.state)
    np.testing.assert_array_equal(shuffle(seed, epoch, 50, part), np.random.Generator(philox).permutation(50))
