"""Saving while everything that can go wrong does: no model file is lost, mixed or torn.

After an error nothing is left behind; a process that is killed may leave temporary files.
"""

import errno
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import vecprop as vp
from helpers import cases
from helpers.faults import EXIT_CODE, Fault, dies_at, faults_of, forked, in_process, injected, recorded
from helpers.processes import environment
from vecprop.backend.selection import get_backend
from vecprop.training import checkpoint
from vecprop.training.checkpoint import Saver
from vecprop.training.results import TrainingState
from vecprop.utils import atomic, tensor_file
from vecprop.utils.atomic import write_atomically

pytestmark = pytest.mark.reliability

NET = vp.Network((2, 3, 1))
OLD, NEW, NEXT = (NET.init(seed=seed) for seed in range(3))
SURVIVED = ("EINTR", "short")


class Place:
    """A folder with a model, and a link to it in another folder."""

    most_left = 1  # temporary files of a writer that is killed
    replaces = 1  # which replacement is that of the old file

    def __init__(self, folder):
        self.folder = folder / "models"
        self.path, self.link = self.folder / "model.safetensors", folder / "link"
        self.folder.mkdir()
        self.link.symlink_to(self.path)
        vp.save(self.path, NET, OLD)
        self.path.chmod(0o640)
        self.begin()

    def begin(self):
        self.save(OLD)

    def check_what_the_killed_left(self):
        """At most what one writer makes, under the name the documentation gives; removes it, and counts it."""
        left = self.temporary_files()
        assert len(left) <= self.most_left
        for name in left:
            assert re.fullmatch(r"\.vecprop-[0-9a-f]+\.tmp", name)
            os.unlink(self.folder / name)
        return len(left)

    def save(self, params=NEW):
        vp.save(self.link, NET, params)

    def holds(self):
        """Which parameters the file has; loading checks that it is whole."""
        W = vp.load(self.path).params[0].W
        (found,) = [name for name, p in (("old", OLD), ("new", NEW), ("next", NEXT)) if np.array_equal(W, p[0].W)]
        return found

    def temporary_files(self):
        return [name for name in os.listdir(self.folder) if name not in (self.path.name, f"{self.path.name}.previous")]

    def is_new_after(self, fault, seen):
        """Whether the new file has taken the place of the old one when a fault ends one of the calls of a save."""
        calls = ((fault.call, fault.n), ("replace", self.replaces))
        here, there = ([i for i, name in enumerate(seen) if name == call][n - 1] for call, n in calls)
        return here > there or (here == there and fault.after)

    def check_the_one_before(self):
        """A model has none."""
        assert not (self.folder / "model.safetensors.previous").exists()

    def check_the_next_save(self):
        self.save(NEXT)
        assert self.holds() == "next"
        assert self.temporary_files() == []
        assert self.link.is_symlink()
        assert stat.S_IMODE(self.path.stat().st_mode) == 0o640


class CheckpointPlace(Place):
    """The same with a checkpoint, which keeps the one before."""

    most_left = 2  # its own, and another name of the one before
    replaces = 2  # the first is of the one before

    def begin(self):
        self.write(epoch=1)
        super().begin()

    def write(self, epoch):
        state = TrainingState((), None, epoch, 10 * epoch)
        saver = Saver(self.link, 1, {}, get_backend("numpy"))
        saver.reached(state, {"cost": [float(epoch)] * epoch})

    def save(self, params=NEW):
        self.write({id(OLD): 2, id(NEW): 3, id(NEXT): 4}[id(params)])

    def epochs_of(self, path):
        header, tensors = tensor_file.decode(path.read_bytes())
        assert tensors["history.cost"].tolist() == [header["epoch"]] * header["epoch"]
        return header["epoch"]

    def holds(self):
        return {2: "old", 3: "new", 4: "next"}[self.epochs_of(self.path)]

    def check_the_one_before(self):
        epoch = self.epochs_of(self.path)
        assert self.epochs_of(checkpoint.previous_of(self.path)) in (epoch - 1, epoch)


PLACES = {"a-model": Place, "a-checkpoint": CheckpointPlace}


@pytest.fixture(params=PLACES)
def place(request, tmp_path, amount):
    """A place on the disk; in the short version in memory, where that can be, since flushing costs nothing there."""
    memory = Path("/dev/shm")
    quick = amount(memory.is_dir() and os.access(memory, os.W_OK), False)
    with tempfile.TemporaryDirectory(dir=memory if quick else tmp_path) as folder:
        made = PLACES[request.param](Path(folder))
        made.name = request.param.replace("-", " ")
        yield made


def test_every_system_call_of_a_save_fails_once(place, amount, figure):
    seen = recorded(place.save)
    points = faults_of(seen, deaths=False) * amount(1, 3)
    reported = survived = 0
    for fault in points:
        place.begin()
        open_files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
        error = None
        try:
            with injected(fault):
                place.save()
        except (OSError, KeyboardInterrupt) as caught:
            error = caught
        survived += error is None
        reported += error is not None
        assert place.holds() == ("new" if error is None or place.is_new_after(fault, seen) else "old"), str(fault)
        assert error is None or fault.effect not in SURVIVED, str(fault)
        if isinstance(error, OSError):
            assert error.errno == getattr(errno, fault.effect), str(fault)
            assert str(place.link) in str(error), str(fault)
        else:
            assert (error is None) != (fault.effect == "interrupt"), f"{fault}: {error!r}"
        assert place.temporary_files() == [], str(fault)
        place.check_the_one_before()
        if open_files is not None and (fault.call, fault.after) != ("close", False):
            assert len(os.listdir("/proc/self/fd")) == open_files, f"{fault}: a descriptor is left open"
        place.check_the_next_save()
    figure(
        f"each system call of the save of {place.name} fails, before and after it is done",
        f"{len(points)} faults: {reported} reported, {survived} survived; the old or the new file whole after all",
        "all whole, no temporary file",
    )


def test_a_process_ends_at_every_system_call_of_a_save(place, amount, figure):
    seen = recorded(place.save)
    points = [fault for fault in faults_of(seen, effects=()) if fault.effect == "exit"]
    points = amount(points[::3], points * 5)
    left = 0
    for fault in points:
        place.begin()
        assert dies_at(place.save, fault) == EXIT_CODE, str(fault)
        assert place.holds() == ("new" if place.is_new_after(fault, seen) else "old"), str(fault)
        place.check_the_one_before()
        left += bool(place.check_what_the_killed_left())
        place.check_the_next_save()
    figure(
        f"the process ends at each system call of the save of {place.name}",
        f"{len(points)} ends, {left} left temporary files, at most {place.most_left}; the old or the new file whole",
        f"all whole, at most {place.most_left}",
    )


def test_two_faults_at_once(tmp_path):
    """The disk is full, and then not even the temporary file can be removed: the first error counts."""
    place = Place(tmp_path)
    with injected(Fault("unlink", 1, "EIO")) as seen:
        write = atomic.os.write
        atomic.os.write = lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(OSError, match="No space left") as caught:
            place.save()
        atomic.os.write = write
    assert caught.value.errno == errno.ENOSPC and "unlink" in seen
    assert place.holds() == "old" and place.check_what_the_killed_left() == 1
    place.check_the_next_save()


def test_the_order_in_which_power_failures_do_no_harm(tmp_path):
    """The bytes are on the disk before the name points to them, and the name is before the save is done."""
    place = Place(tmp_path)
    seen = recorded(place.save)
    order = [name for name in seen if name in ("write", "fsync", "replace")]
    assert order == ["write", "fsync", "replace", "fsync"]
    assert seen.index("chmod") < seen.index("write"), "what others may not read is never theirs to read"
    assert seen.index("open", seen.index("replace")), "the directory"


def test_a_disk_that_takes_nothing_and_says_nothing(tmp_path):
    with injected():
        atomic.os.write = lambda *_: 0
        with pytest.raises(OSError, match=r"wrote nothing.*file"):
            write_atomically(tmp_path / "file", b"data")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of Linux")
def test_a_real_disk_that_takes_no_more(tmp_path):
    """The kernel's own short write, and its error after it."""
    place = Place(tmp_path)

    def save():
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
        with pytest.raises(OSError, match=str(place.link)) as caught:
            place.save()
        assert caught.value.errno == errno.EFBIG

    assert place.path.stat().st_size > 500
    assert in_process(save) == 0
    assert place.holds() == "old" and place.temporary_files() == []


def test_links_in_a_circle_and_into_the_void(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=r"'.*a'") as caught:
        vp.save(tmp_path / "a", NET, NEW)
    assert caught.value.errno == errno.ELOOP
    (tmp_path / "link").symlink_to("file")
    vp.save(tmp_path / "link", NET, NEW)
    assert (tmp_path / "file").is_file() and (tmp_path / "link").is_symlink()
    if os.geteuid():
        os.chmod(tmp_path, 0o500)
        with pytest.raises(PermissionError, match="file"):
            vp.save(tmp_path / "file", NET, NEW)
        os.chmod(tmp_path, 0o700)


# --- at the same time -------------------------------------------------------------------------------------------


def checked(data):
    """The number of the version in a file of `version`, whose checksum has to be right."""
    assert hashlib.sha256(data[32:]).digest() == data[:32], "torn"
    return int.from_bytes(data[32:40], "big")


def version(n):
    body = n.to_bytes(8, "big") + random.Random(n).randbytes(1000 + n * 7919 % 100_000)
    return hashlib.sha256(body).digest() + body


def test_two_processes_read_while_one_saves(tmp_path, amount, figure):
    """Model files in turn with plain ones, which show the order too: versions never go back."""
    path, plain, done = tmp_path / "model", tmp_path / "plain", tmp_path / "done"
    saves = amount(50, 1000)
    vp.save(path, NET, OLD)
    write_atomically(plain, version(0))
    counts = [os.pipe() for _ in range(2)]

    def read(pipe):
        reads = last = 0
        while not done.exists() or not reads:
            seed = vp.load(path).params[0].W
            assert any(np.array_equal(seed, params[0].W) for params in (OLD, NEW))
            newest = checked(plain.read_bytes())
            assert newest >= last, "an older version came back"
            last, reads = newest, reads + 2
        os.write(pipe, reads.to_bytes(8, "big"))

    readers = [forked(lambda pipe=writes: read(pipe)) for _, writes in counts]
    for n in range(1, saves + 1):
        vp.save(path, NET, NEW if n % 2 else OLD)
        write_atomically(plain, version(n))
    done.touch()
    assert [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in readers] == [0, 0]
    reads = sum(int.from_bytes(os.read(pipe, 8), "big") for pipe, _ in counts)
    assert reads >= 4 and sorted(os.listdir(tmp_path)) == ["done", "model", "plain"]
    figure(f"{2 * saves} saves under two reading processes", f"{reads} reads, none torn", "none torn")


def test_several_processes_save_to_one_target(tmp_path, amount):
    """Each sees the others' temporary files, and leaves them alone."""
    path = tmp_path / "model"
    times = amount(30, 300)

    def save(which):
        for n in range(times):
            write_atomically(path, version(10 * n + which))
            checked(path.read_bytes())

    processes = [forked(lambda which=which: save(which)) for which in range(3)]
    assert [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes] == [0, 0, 0]
    assert checked(path.read_bytes()) // 10 == times - 1 and os.listdir(tmp_path) == ["model"]


def test_kill_at_any_moment(tmp_path, amount, figure):
    """SIGKILL at a random time, again and again."""
    place = Place(tmp_path)
    chance, found, left = random.Random(0), Counter(), 0
    times = amount(15, 300)

    def save_for_ever():
        n = 0
        while True:
            place.save((OLD, NEW)[n % 2])
            n += 1

    for _ in range(times):
        process = forked(save_for_ever)
        time.sleep(chance.uniform(0.005, 0.03))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        found[place.holds()] += 1
        left += place.check_what_the_killed_left()
    place.check_the_next_save()
    assert sum(found.values()) == times
    figure(
        "SIGKILL at a random moment while a process saves over and over",
        f"{times} kills, {left} left a temporary file; a whole model after all",
        "all whole",
    )


# --- the kernel's own errors ------------------------------------------------------------------------------------

STRACE = shutil.which("strace")


@pytest.mark.skipif(STRACE is None, reason="strace lets the kernel's calls fail")
@cases(
    ("fsync:error=EINTR:when=1", True),
    ("rename:error=EINTR:when=1", True),
    ("chmod:error=EINTR:when=1", True),
    ("fsync:error=EIO:when=1", False),
    ("fsync:error=EIO:when=2", False),
    ("fsync:error=ENOSPC:when=1", False),
    ("rename:error=EIO:when=1", False),
    ("chmod:error=EIO:when=1", False),
    ("fsync:signal=KILL:when=1", False),
    ("rename:signal=KILL:when=1", False),
)
def test_errors_of_the_kernel_itself(inject, survives, tmp_path, amount):
    """What the tests above let happen in Python happens below Python; in the long version."""
    if amount(True, False) and inject != "fsync:error=EINTR:when=1":
        pytest.skip("with --long")
    path = tmp_path / "model"
    write_atomically(path, version(1))
    code = f"from vecprop.utils.atomic import write_atomically as w; w({str(path)!r}, {version(2)!r})"
    command = [STRACE, "-f", "-qq", "-o", "/dev/null", "-e", f"inject={inject}", sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=60)
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert (done.returncode == 0) == survives, done.stderr
    new = survives or "when=2" in inject  # the second flush is that of the directory
    assert checked(path.read_bytes()) in ((1, 2) if inject.startswith("rename:signal") else (1 + new,))
    if "signal" not in inject:
        assert os.listdir(tmp_path) == ["model"]
        assert survives or str(path) in done.stderr
    write_atomically(path, version(3))
    assert checked(path.read_bytes()) == 3
