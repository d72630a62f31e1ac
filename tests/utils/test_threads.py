"""Pieces of work at once: each is done once, and all end when one fails."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from helpers.threads import refuse_to_start
from vecprop.backend.blas import sharing_cores, usable_cores
from vecprop.utils.errors import warn, warnings_kept
from vecprop.utils.threads import at_once, other_failed


@pytest.mark.parametrize("threads", [1, 2, 3, 9])
@pytest.mark.parametrize("starts", [True, False])
def test_each_is_done_once(monkeypatch, threads, starts):
    """Also where the system starts no thread, as in a browser."""
    if not starts:
        monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    done = []
    jobs = [lambda number=number: done.append(number) or number for number in range(5)]
    assert at_once(jobs, threads) == list(range(5))
    assert sorted(done) == list(range(5))


def test_warnings_are_kept_of_their_own_thread_alone():
    with warnings_kept() as kept:
        with pytest.warns(UserWarning, match="^of another$"), ThreadPoolExecutor(1) as pool:
            pool.submit(warn, "of another", UserWarning, 1)
        warn("of this one", UserWarning, 1)
    assert kept == ["of this one"]


def test_as_many_at_once_as_wanted():
    together = threading.Barrier(3, timeout=60)
    assert sorted(at_once([together.wait] * 3, threads=3)) == [0, 1, 2]


@pytest.mark.parametrize("caller", [True, False])
@pytest.mark.parametrize("error", [RuntimeError("can't be a thread"), KeyboardInterrupt()])
def test_an_error_ends_the_others(error, caller):
    """The long piece looks at the event; a third one does not begin."""
    done, together = [], threading.Barrier(2, timeout=60)

    def piece():
        together.wait()
        if (threading.current_thread() is threading.main_thread()) is caller:
            raise error
        assert other_failed().wait(60)
        done.append("ended")

    with pytest.raises(type(error)):
        at_once([piece, piece, lambda: done.append("begun")], threads=2)
    assert done == ["ended"] and other_failed() is None


def test_a_share_of_the_cores():
    cores = usable_cores()
    with sharing_cores(2):
        assert usable_cores() == max(1, cores // 2)
        with sharing_cores(cores):
            assert usable_cores() == 1
            assert at_once([usable_cores] * 3, threads=3) == [1, 1, 1]
    assert usable_cores() == cores
