"""No crash, full disk or second writer costs a checkpoint."""

import contextlib
import errno
import functools
import io
import mmap
import os
import resource
import stat
import subprocess
import sys
import threading
import types
import warnings

import numpy as np
import pytest
from crashes import killer, replay
from crashes.recorder import Recorder, record
from equality import differences

import zodiax_io
from zodiax_io import (
    MissingFileError,
    MixedPairWarning,
    SaveError,
    SerialisationError,
    ZodiaxIOError,
    deserialise,
    serialise,
)
from zodiax_io._files import commit, sources

OLD = {"weight": np.arange(6.0).reshape(2, 3), "step": 3, "name": "old"}
NEW = {"weight": np.ones((3, 40)), "step": np.int8(4), "name": "new"}
INTACT = "What was there before is intact."
ROOT = os.getuid() == 0 if hasattr(os, "getuid") else False


def listing(folder):
    return sorted(os.listdir(folder))


def load(path):
    """What loads, and the warnings of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = deserialise(path)
    return loaded, [warning.category for warning in caught]


def is_whole(path, *versions):
    """Whether one of some versions loads bit by bit, with one warning at most."""
    loaded, caught = load(path)
    assert caught in ([], [MixedPairWarning])
    return any(differences(version, loaded) == [] for version in versions)


def assert_clean(path, *versions):
    """One of some versions loads without a warning, and nothing lies beside it."""
    loaded, caught = load(path)
    assert caught == []
    assert any(differences(version, loaded) == [] for version in versions)
    assert [name for name in listing(path.parent) if name.startswith(".")] == []


@pytest.fixture(params=["first", "again"])
def path(request, tmp_path):
    """The path of a pair, in a folder with or without an earlier checkpoint."""
    folder = tmp_path / "folder"
    folder.mkdir()
    if request.param == "again":
        serialise(folder / "model.zdx", OLD)
    return folder / "model.zdx"


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def saved(path, **options):
    """The folder before a save, and the operations of it."""
    before = contents(path.parent)
    return before, record(path.parent, lambda: serialise(path, NEW, **options))


# Every state that a crash leaves ------------------------------------------------------


def lost_states(states, before, tmp_path):
    """Those that do not load as the old version or the new one, nor are nothing."""
    there = tmp_path / "state"
    there.mkdir()
    for state in states:
        replay.write(state, there)
        visible = sorted(name for name in state if not name.startswith("."))
        try:
            whole = is_whole(there / "model.zdx", *([OLD, NEW] if before else [NEW]))
        except MissingFileError:
            whole = not before and visible == []
        except ZodiaxIOError:
            whole = False
        if not whole:
            yield {name: len(data) for name, data in state.items()}


@pytest.mark.parametrize("durable", [True, False])
def test_kill_at_any_operation(path, tmp_path, durable):
    """Killed between two operations or within a write, a save leaves old or new."""
    before, operations = saved(path, durable=durable)
    assert {"create", "write", "rename"} <= {op.call for op in operations}
    states = list(replay.after_kill(before, operations))
    assert len(states) > 10
    assert list(lost_states(states, before, tmp_path)) == []


@pytest.mark.parametrize("name", ["model.zdx", "model.eqx"])
def test_power_loss_at_any_operation(path, tmp_path, name):
    """Whatever the disk had not yet got, a durable save leaves old or new."""
    if name == "model.eqx":  # a checkpoint of one file
        path.unlink(missing_ok=True)
    before, operations = saved(path.with_name(name))
    states = list(replay.after_power_loss(before, operations))
    assert len(states) > 4
    assert list(lost_states(states, before, tmp_path)) == []


def test_power_loss_after_a_save_has_returned(path, tmp_path):
    """What `serialise` has returned from is there after a power loss."""
    before, operations = saved(path)
    there = tmp_path / "state"
    there.mkdir()
    for state in replay.after_power_loss(before, operations, ended=True):
        replay.write(state, there)
        assert_clean(there / "model.zdx", NEW)


def test_replay_finds_what_is_not_durable(path, tmp_path):
    """Without fsync a power loss may cost the checkpoint: the replay can see it."""
    before, operations = saved(path, durable=False)
    states = replay.after_power_loss(before, operations)
    assert next(lost_states(states, before, tmp_path), None) is not None


def test_leftovers_of_any_kill_are_removed(path, tmp_path):
    """Whenever a saver was killed, the next save leaves the pair and nothing else."""
    before, operations = saved(path)
    there = tmp_path / "state"
    there.mkdir()
    for state in replay.after_kill(before, operations):
        replay.write(state, there)
        (there / ".model2.zdx.zdxtmp-1-00aabbcc").touch()
        serialise(there / "model.zdx", OLD, durable=False)
        assert listing(there) == [
            ".model2.zdx.zdxtmp-1-00aabbcc",
            "model.eqx",
            "model.zdx",
        ]


def test_short_kill_loop():
    """Savers killed at random moments cost nothing; `killer.py` runs it for longer."""
    counts = killer.run(4.0, seed=1)
    assert counts["kill"] > 10


# Every operation refused --------------------------------------------------------------

ERRORS = ["ENOSPC", "EIO", "EACCES", "EDQUOT", "EROFS"]


@contextlib.contextmanager
def failing_at(folder, number, error):
    """The operation of this number fails; yields what failed."""
    failed = []
    count = iter(range(10_000))

    def before(operation):
        if next(count) == number:
            failed.append(operation)
            raise error

    with Recorder(folder, before).recording():
        yield failed


@pytest.mark.parametrize("name", ERRORS)
def test_any_operation_refused(path, name):
    """Each operation refused is a `SaveError` that says truly what is there."""
    before = contents(path.parent)
    count = len(record(path.parent, lambda: serialise(path, NEW)))
    code = getattr(errno, name)
    for number in range(count):
        replay.write(before, path.parent)
        error = None
        with failing_at(path.parent, number, OSError(code, name)) as failed:
            try:
                serialise(path, NEW)
            except SaveError as caught:
                error = caught
        what = str(failed[0])
        if error is None:  # rights, locks: a save can do without
            assert failed[0].call in ("rights", "lock", "unlink", "sync folder"), what
            assert is_whole(path, NEW), what
        elif INTACT in str(error):
            assert error.errno == code
            assert contents(path.parent) == before, what
        else:
            assert is_whole(path, NEW), what
            assert "holds the new checkpoint" in str(error), what
        assert [n for n in listing(path.parent) if n.startswith(".")] == [], what


def test_interruption_at_any_operation(path):
    """Ctrl-C at any operation stays one, and old or new is there."""
    before = contents(path.parent)
    count = len(record(path.parent, lambda: serialise(path, NEW)))
    for number in range(count):
        replay.write(before, path.parent)
        with (
            failing_at(path.parent, number, KeyboardInterrupt()) as failed,
            pytest.raises(KeyboardInterrupt),
        ):
            serialise(path, NEW)
        assert [n for n in listing(path.parent) if n.startswith(".")] == [], failed
        if before or listing(path.parent):
            assert is_whole(path, OLD if before else NEW, NEW), str(failed[0])


def test_saving_goes_on_after_any_crash(path, tmp_path):
    """No state that a crash leaves is taken for another checkpoint."""
    before, operations = saved(path)
    states = [*replay.after_kill(before, operations)]
    states += replay.after_power_loss(before, operations)
    there = tmp_path / "state"
    there.mkdir()
    for state in states:
        replay.write(state, there)
        serialise(there / "model.zdx", OLD, durable=False)
        assert_clean(there / "model.zdx", OLD)


def test_saving_goes_on_after_two_crashes(tmp_path):
    """A saver that is killed leaves what the one before it left to be understood."""
    folder, there = tmp_path / "folder", tmp_path / "state"
    folder.mkdir()
    there.mkdir()
    before, operations = saved(folder / "model.zdx")
    alone = [
        state
        for state in replay.after_kill(before, operations)
        if "model.eqx" in state and "model.zdx" not in state
    ]
    assert alone
    replay.write(alone[0], folder)
    for state in replay.after_kill(*saved(folder / "model.zdx")):
        replay.write(state, there)
        serialise(there / "model.zdx", OLD, durable=False)
        assert_clean(there / "model.zdx", OLD)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "EIO"), KeyboardInterrupt()])
def test_saving_goes_on_after_a_renaming_that_fails(path, monkeypatch, error):
    """A structure that is never renamed does not make its companion another's."""
    replacing = os.replace

    def refuse(source, target):
        if str(target).endswith(".zdx"):
            raise error
        replacing(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    for _ in range(2):
        with pytest.raises((SaveError, KeyboardInterrupt)):
            serialise(path, NEW)
        assert is_whole(path, NEW)
    monkeypatch.undo()
    serialise(path, OLD)
    assert_clean(path, OLD)


def test_temporary_of_another_save_is_no_evidence(tmp_path):
    """A leftover whose companion is not there gives nobody's checkpoint away."""
    folder = tmp_path / "folder"
    folder.mkdir()
    before, operations = saved(folder / "model.zdx")
    states = [
        state
        for state in replay.after_kill(before, operations)
        if "model.eqx" not in state
        and any(name.startswith(".model.zdx") for name in state)
    ]
    replay.write(states[-1], folder)
    serialise(folder / "model.eqx", OLD)
    with pytest.raises(SaveError, match="a checkpoint by itself"):
        serialise(folder / "model.zdx", NEW)
    assert is_whole(folder / "model.eqx", OLD)


@pytest.mark.parametrize("length", [1, 7, 1000])
def test_short_writes(path, length):
    """A system that takes only a part of each write gets the rest later."""

    def before(operation):
        return length if operation.call == "write" else None

    with Recorder(path.parent, before).recording():
        serialise(path, NEW)
    assert_clean(path, NEW)


class Partial(io.RawIOBase):
    """A file without a buffer that takes a few bytes at a time."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data[:100])
        return min(len(data), 100)


def test_short_writes_of_a_file_object():
    """A file object may take a part only: the checkpoint is whole, or an error."""
    file = Partial()
    serialise(file, NEW)
    assert differences(NEW, deserialise(io.BytesIO(file.data))) == []


def test_unserialisable_object_deep_in_the_tree(path):
    """An object that cannot be kept touches nothing on the disk."""
    before = contents(path.parent)
    tree = {"good": NEW, "deep": [(), {"list": [NEW, {"lock": threading.Lock()}]}]}
    with pytest.raises(SerialisationError, match=r"lock"):
        serialise(path, tree)
    assert contents(path.parent) == before


CHILD = """
import resource, sys, numpy as np, zodiax_io
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    if sys.argv[3] == "path":
        zodiax_io.serialise(sys.argv[1], np.zeros(10_000))
    else:
        with open(sys.argv[1], "wb", buffering=0) as file:
            zodiax_io.serialise(file, np.zeros(10_000))
except zodiax_io.SaveError as error:
    sys.exit(3)
"""


def in_child(*arguments, **options):
    """Run a program with the package that is under test."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", *map(str, arguments)],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        **options,
    )


def test_limit_on_file_size(tmp_path):
    """A file-size limit (`ulimit -f`) is a `SaveError`, and the old file stays."""
    path = tmp_path / "model.zdx"
    serialise(path, OLD)
    done = in_child(CHILD, path, 4096, "path")
    assert done.returncode == 3, done.stderr
    assert_clean(path, OLD)


def test_limit_within_the_last_bytes_of_a_file_object(tmp_path):
    """A limit that cuts only the trailer of an unbuffered file is an error too."""
    file = io.BytesIO()
    serialise(file, np.zeros(10_000))
    done = in_child(CHILD, tmp_path / "raw", len(file.getvalue()) - 5, "file")
    assert done.returncode == 3, done.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 512 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True)
    except OSError:
        pytest.skip("there is no mount")
    if done.returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("durable", [True, False])
def test_full_disk(small_disk, durable):
    """On a disk that is really full, the old checkpoint stays."""
    path = small_disk / "model.zdx"
    serialise(path, OLD)
    (small_disk / "other").write_bytes(bytes(200_000))
    for size in (1_000_000, 400_000, 310_000):
        with pytest.raises(SaveError) as caught:
            serialise(path, np.zeros(size, np.uint8), durable=durable)
        assert caught.value.errno == errno.ENOSPC
        assert_clean(path, OLD)
    (small_disk / "other").unlink()
    serialise(path, NEW)
    assert_clean(path, NEW)


# The environment may lie where only root can read, so all that a save imports late is
# imported by one before.
AS_NOBODY = """
import os, sys, tempfile, zodiax_io
with tempfile.TemporaryDirectory() as folder:
    zodiax_io.serialise(folder + "/warm.zdx", {"step": 5})
os.chdir("/")
os.setgid(65534); os.setuid(65534)
os.umask(0o022)
try:
    zodiax_io.serialise(sys.argv[1], {"step": 5})
except zodiax_io.SaveError as error:
    sys.exit(3)
"""


@functools.cache
def _can_be_nobody():
    return in_child("import os; os.setgid(65534); os.setuid(65534)").returncode == 0


@pytest.fixture
def shared(tmp_path):
    """A folder that an ordinary user reaches; skips where we cannot become one."""
    if not ROOT:
        pytest.skip("only root can become another user")
    folder = tmp_path / "shared"
    folder.mkdir()
    for parent in [folder, *folder.parents][:-2]:
        if stat.S_IMODE(parent.stat().st_mode) & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    folder.chmod(0o777)
    if not _can_be_nobody():
        pytest.skip("this process may not become another user")
    return folder


def test_read_only_folder(shared):
    """A folder that may not be written to is a `SaveError`; all stays."""
    serialise(shared / "model.zdx", OLD)
    shared.chmod(0o555)
    done = in_child(AS_NOBODY, shared / "model.zdx")
    assert done.returncode == 3, done.stderr
    assert_clean(shared / "model.zdx", OLD)


def test_folder_that_cannot_be_listed(shared):
    """Where `open` may write, so may a save: listing a folder is not needed."""
    shared.chmod(0o733)
    done = in_child(AS_NOBODY, shared / "model.zdx")
    assert done.returncode == 0, done.stderr
    assert_clean(shared / "model.zdx", {"step": 5})


def test_leftovers_of_a_read_only_file_are_removed(shared):
    """A checkpoint that is read-only has leftovers that are; they go, too."""
    leftover = shared / ".model.eqx.zdxtmp-1234-00aabbcc"
    leftover.touch()
    leftover.chmod(0o444)
    os.chown(leftover, 65534, 65534)
    done = in_child(AS_NOBODY, shared / "model.zdx")
    assert done.returncode == 0, done.stderr
    assert listing(shared) == ["model.eqx", "model.zdx"]


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
def test_owner_stays(tmp_path):
    """Root, saving over the file of a user, leaves it theirs, as `open` does."""
    path = tmp_path / "model.zdx"
    serialise(path, OLD)
    for name in listing(tmp_path):
        (tmp_path / name).chmod(0o600)
        os.chown(tmp_path / name, 65534, 65533)
    serialise(path, NEW)
    for name in listing(tmp_path):
        status = (tmp_path / name).stat()
        assert (status.st_uid, status.st_gid) == (65534, 65533)
        assert stat.S_IMODE(status.st_mode) == 0o600


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o027])
def test_rights_are_those_of_open(tmp_path, mask):
    """A new checkpoint has the rights that a file of `open` has."""
    before = os.umask(mask)
    try:
        serialise(tmp_path / "model.zdx", OLD)
        (tmp_path / "plain").write_text("")
    finally:
        os.umask(before)
    assert len({(tmp_path / name).stat().st_mode for name in listing(tmp_path)}) == 1


# Several at once ----------------------------------------------------------------------


@contextlib.contextmanager
def meanwhile(folder, number, action):
    """Something else happens just before the operation of this number."""
    count, ran = iter(range(10_000)), []

    def before(operation):
        if next(count) == number and not ran:
            ran.append(str(operation))
            action()

    with Recorder(folder, before).recording():
        yield ran


def test_second_saver_at_any_operation(path):
    """A save in the midst of another: both succeed, and one of them is there."""
    before = contents(path.parent)
    count = len(record(path.parent, lambda: serialise(path, NEW)))
    other = {"who": "the other"}
    for number in range(count):
        replay.write(before, path.parent)
        with meanwhile(path.parent, number, lambda: serialise(path, other)) as when:
            serialise(path, NEW)
        try:
            assert_clean(path, NEW, other)
        except BaseException as error:
            error.add_note(f"the other saved before: {when[0]}")
            raise


def test_reader_at_any_operation(path):
    """A load in the midst of a save gives the old version or the new one."""
    before = contents(path.parent)
    count = len(record(path.parent, lambda: serialise(path, NEW)))
    for number in range(count):
        replay.write(before, path.parent)

        def read():
            if any(not name.startswith(".") for name in listing(path.parent)):
                assert is_whole(path, OLD if before else NEW, NEW)
            else:
                with pytest.raises(MissingFileError):
                    deserialise(path)

        with meanwhile(path.parent, number, read):
            serialise(path, NEW)


def test_save_at_any_step_of_a_load(path, monkeypatch):
    """A save in the midst of a load: it gives the old version or the new one."""
    serialise(path, OLD)
    opening, number = sources._open_descriptor, 0
    while True:
        serialise(path, OLD)
        opened = []

        def save_first(file, flags, opened=opened, number=number):
            opened.append(file)
            if len(opened) == number + 1:
                serialise(path, NEW)
            return opening(file, flags)

        monkeypatch.setattr(sources, "_open_descriptor", save_first)
        assert is_whole(path, OLD, NEW)
        monkeypatch.undo()
        number += 1
        if number > len(opened):
            break
    assert number > 2


def test_threads_of_one_process(tmp_path):
    """Threads save and load one path all the while, and nothing fails."""
    path = tmp_path / "model.zdx"
    serialise(path, killer.tree_of(0, 0, 10))
    errors, stop = [], threading.Event()

    def work(action):
        try:
            for number in range(10_000):
                if stop.is_set():
                    return
                action(number)
        except BaseException as error:
            errors.append(error)

    def saver(who):
        return lambda number: serialise(
            path, killer.tree_of(who, number, 1000), durable=False
        )

    actions = [saver(1), saver(2), saver(3), *[lambda _: load_any(path)] * 2]
    threads = [threading.Thread(target=work, args=(action,)) for action in actions]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixedPairWarning)
        for thread in threads:
            thread.start()
        stop.wait(2.0)
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    loaded, caught = load(path)
    killer.version_of(loaded)
    assert caught == []
    assert listing(tmp_path) == ["model.eqx", "model.zdx"]


def load_any(path):
    killer.version_of(deserialise(path))


SAVER = """
import io, sys, warnings, zodiax_io
sys.path.insert(0, sys.argv[3])
from crashes import killer
who, path = int(sys.argv[1]), sys.argv[2]
zodiax_io.serialise(io.BytesIO(), killer.tree_of(0, 0, 1))
print("ready", flush=True)
sys.stdin.readline()
for number in range(150):
    zodiax_io.serialise(path, killer.tree_of(who, number, 1000), durable=False)
"""


TESTS = os.path.dirname(os.path.dirname(__file__))


def test_processes_without_locks_between_them(tmp_path):
    """Three processes save one path, and all loads meanwhile give one version."""
    path = tmp_path / "model.zdx"
    serialise(path, killer.tree_of(0, 0, 10))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    savers = [
        subprocess.Popen(
            [sys.executable, "-c", SAVER, str(who), path, TESTS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for who in range(3)
    ]
    for saver in savers:
        assert saver.stdout.readline() == "ready\n"
    for saver in savers:
        saver.stdin.write("go\n")
        saver.stdin.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixedPairWarning)
        while any(saver.poll() is None for saver in savers):
            load_any(path)
    assert [saver.communicate()[1] for saver in savers] == ["", "", ""]
    loaded, caught = load(path)
    killer.version_of(loaded)
    assert caught == []
    assert listing(tmp_path) == ["model.eqx", "model.zdx"]


def test_array_that_changes_while_it_is_saved(tmp_path):
    """A thread that changes an array meanwhile costs no checkpoint: it loads."""
    path, array, stop = tmp_path / "model.zdx", np.zeros(4 << 20, np.uint8), []

    def change():
        while not stop:
            array[:] += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(3):
            serialise(path, array, durable=False)
            assert deserialise(path).shape == array.shape
    finally:
        stop.append(True)
        thread.join()


def test_forked_child_does_not_keep_leftovers(tmp_path):
    """A saver in a child that was forked leaves the parent's pair alone."""
    path = tmp_path / "model.zdx"
    serialise(path, OLD)
    script = (
        "import os, sys, io, numpy as np, zodiax_io\n"
        "path = sys.argv[1]\n"
        "zodiax_io.serialise(io.BytesIO(), np.zeros(3))\n"
        "pid = os.fork()\n"
        "for n in range(50):\n"
        "    zodiax_io.serialise(path, [n, np.full(9, n)], durable=False)\n"
        "if pid == 0: os._exit(0)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = in_child(script, path)
    assert done.returncode == 0, done.stderr
    number, array = deserialise(path)
    assert array.tolist() == [number] * 9
    assert listing(tmp_path) == ["model.eqx", "model.zdx"]


# Who holds the old file ---------------------------------------------------------------


def _replace(path):
    serialise(path, NEW)


def _rename(path):
    for name in ("model.zdx", "model.eqx"):
        (path.parent / name).rename(path.parent / name.replace("model", "moved"))


def _delete(path):
    for name in ("model.zdx", "model.eqx"):
        (path.parent / name).unlink()


@pytest.mark.parametrize("change", [_replace, _rename, _delete])
def test_open_and_mapped_files_survive(tmp_path, change):
    """Who has a file open, or maps it, goes on reading what it was."""
    path = tmp_path / "model.zdx"
    serialise(path, OLD)
    bytes_before = (tmp_path / "model.eqx").read_bytes()
    with (
        open(tmp_path / "model.eqx", "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        change(path)
        assert mapped[:] == bytes_before
        assert differences(OLD, deserialise(file)) == []


# Links and leftovers ------------------------------------------------------------------


def test_links_are_written_through_and_stay(tmp_path):
    """Links to both files stay links, and nothing is left beside them."""
    store, here = tmp_path / "store", tmp_path / "here"
    store.mkdir()
    here.mkdir()
    for name in ("model.zdx", "model.eqx"):
        (here / name).symlink_to(store / name)
    serialise(here / "model.zdx", OLD)
    assert_clean(store / "model.zdx", OLD)
    assert_clean(here / "model.zdx", OLD)
    assert all((here / name).is_symlink() for name in listing(here))


def test_files_that_only_look_like_leftovers_stay(tmp_path):
    """Only names that a saver makes are removed."""
    names = [
        ".model.zdx.zdxtmp-notes",
        ".model.eqx.zdxtmp-1234-00aabbcc.bak",
        ".model.eqx.zdxtmp-mine-00aabbcc",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    serialise(tmp_path / "model.zdx", OLD)
    assert [name for name in listing(tmp_path) if name.startswith(".")] == sorted(names)


def test_moving_both_files_keeps_the_pair(tmp_path):
    """Copied or moved together under another name, a pair loads without a warning."""
    serialise(tmp_path / "model.zdx", OLD)
    (tmp_path / "there").mkdir()
    for suffix in (".zdx", ".eqx"):
        os.rename(tmp_path / f"model{suffix}", tmp_path / "there" / f"best{suffix}")
    assert_clean(tmp_path / "there" / "best.zdx", OLD)


@pytest.mark.parametrize("text", ["ZDXTRAIL", "12345678ZDXTRAIL", b"ZDXTRAIL"])
def test_text_that_looks_like_a_trailer(tmp_path, text):
    """A structure that ends with the mark of a companion is still a structure."""
    for number, tree in enumerate([text, [np.arange(3), text], {"a": (1, text)}]):
        serialise(tmp_path / f"{number}.zdx", tree)
        assert_clean(tmp_path / f"{number}.zdx", tree)


def test_names_that_no_file_can_have(tmp_path, monkeypatch):
    """A name that cannot be encoded, or a vanished working folder, is our error."""
    for call in (lambda path: serialise(path, OLD), deserialise):
        with pytest.raises(ZodiaxIOError):
            call(tmp_path / "\ud800.zdx")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for call in (lambda path: serialise(path, OLD), deserialise):
        with pytest.raises(ZodiaxIOError):
            call("model.zdx")


# Other systems ------------------------------------------------------------------------


@pytest.fixture
def windows(monkeypatch):
    """The rules of Windows: no fcntl, no open folders, no renaming of open files."""
    replacing, opening = os.replace, sources._open_descriptor
    real = os.path.realpath
    state = types.SimpleNamespace(busy=0, tries=0)

    def is_open(path):
        held = []
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                held.append(os.readlink(f"/proc/self/fd/{number}"))
        return real(path) in held

    def refused(path):
        error = PermissionError(errno.EACCES, "in use by another process", str(path))
        error.winerror = 32
        return error

    def replace(source, target):
        state.tries += 1
        if state.busy > 0:
            state.busy -= 1
            raise refused(target)
        if is_open(source) or is_open(target):
            raise refused(source if is_open(source) else target)
        replacing(source, target)

    def open_file(path, flags):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "is a folder", str(path))
        return opening(path, flags)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(commit, "fcntl", None)
    monkeypatch.setattr(sys, "platform", "win32")
    for name in ("fchmod", "fchown"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(sources, "_open_descriptor", open_file)
    return state


def test_windows_saves(path, windows):
    """A save renames no file that it has open itself."""
    serialise(path, NEW)
    assert_clean(path, NEW)


def test_windows_waits_for_readers(path, windows):
    """A file that a reader has open for a moment is tried again."""
    windows.busy = 3
    serialise(path, NEW)
    assert_clean(path, NEW)


def test_windows_does_not_wait_for_ever(path, windows, monkeypatch):
    """A file that stays open is a `SaveError` in the end, and the old one is there."""
    before = contents(path.parent)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    windows.busy = 1_000_000
    with pytest.raises(SaveError):
        serialise(path, NEW)
    assert contents(path.parent) == before
    assert 2 < windows.tries < 1000


def test_windows_leftovers(path, windows):
    """Without locks only what is long dead is removed; no living saver's file."""
    dead = path.parent / ".model.eqx.zdxtmp-1234-00aabbcc"
    living = path.parent / ".model.eqx.zdxtmp-1235-00aabbcc"
    dead.touch()
    living.touch()
    os.utime(dead, (0, 0))
    serialise(path, NEW)
    assert [n for n in listing(path.parent) if n.startswith(".")] == [living.name]


def test_file_system_without_locks_or_links(path, monkeypatch):
    """A save needs neither locks nor hard links."""

    def refuse(*args, **options):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(commit.fcntl, "flock", refuse)
    monkeypatch.setattr(os, "link", refuse)
    serialise(path, NEW)
    assert_clean(path, NEW)


@pytest.mark.parametrize("code", ["EINVAL", "ENOTSUP"])
def test_folder_that_cannot_be_synced(path, monkeypatch, code):
    """Some network file systems sync no folders: that is no failure."""
    fsync = os.fsync

    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(getattr(errno, code), "not for folders")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    serialise(path, NEW)
    assert_clean(path, NEW)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_macos_empties_the_cache_of_the_drive(path, monkeypatch, known):
    """On macOS `F_FULLFSYNC` is asked for, and `fsync` where a disk lacks it."""
    asked, synced, fsync = [], [], os.fsync

    def control(descriptor, command, *args):
        asked.append(command)
        if not known:
            raise OSError(errno.ENOTSUP, "not here")
        return 0

    monkeypatch.setattr(commit.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(commit.fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), fsync(fd)))
    serialise(path, NEW)
    assert asked.count(51) >= 2
    assert known or len(synced) >= 2
    asked.clear()
    serialise(path, NEW, durable=False)
    assert asked == []


def test_disk_that_is_found_full_when_closing(path, monkeypatch):
    """NFS tells of a full disk at `close`: before the renaming, not after it."""
    before, closing = contents(path.parent), os.close
    closed = []

    def close(descriptor):
        mine = "zdxtmp" in os.readlink(f"/proc/self/fd/{descriptor}")
        closing(descriptor)
        if mine and not closed:
            closed.append(descriptor)
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "close", close)
    with pytest.raises(SaveError, match="intact"):
        serialise(path, NEW, durable=False)
    assert contents(path.parent) == before


def test_limits_of_the_process_are_errors_of_ours(tmp_path):
    """No file can be opened any more: an error of ours, from both calls."""
    path = tmp_path / "model.zdx"
    serialise(path, OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        with pytest.raises(SaveError):
            serialise(path, NEW)
        with pytest.raises(zodiax_io.ReadError):
            deserialise(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert_clean(path, OLD)
