"""Work in several threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor


def refuse_to_start(_):
    """In place of `Thread.start`, where the system starts no thread, as in a browser."""
    raise RuntimeError("can't start new thread")


def in_threads(count, work):
    """Run work(k) in `count` threads that start together; return their results, and raise their errors."""
    together = threading.Barrier(count)

    def run(k):
        together.wait()
        return work(k)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
