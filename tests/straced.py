"""Runs a program again and again under strace, which kills it, or fails it, at its Nth system call of a kind.

The program is imported once; a child is forked for each run, waits until strace follows it, and then begins. strace
counts a kind of call for each thread by itself, so `when=N` is the Nth of whichever thread gets there first.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

# Whatever changes a file: a kill before each of them, and after the last, is every state a kill can leave behind.
MUTATING = (
    "write pwrite64 writev pwritev fdatasync fsync sync_file_range ftruncate fallocate "
    "rename renameat renameat2 unlink unlinkat rmdir mkdir mkdirat link linkat symlink chmod fchmod"
).split()
KILLED = -9
_CALL = re.compile(r"^(\d+) +(\w+)\(")


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended: its exit code, negative for a signal, and what it wrote."""

    code: int
    out: str
    err: str


class Forker:
    """A program in a process of its own that forks a child for each run; `main` of the module is called."""

    def __init__(self, module: str, folder: Path) -> None:
        self._folder = folder
        command = [sys.executable, __file__, module]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        """End it."""
        self._server.communicate()
        assert self._server.returncode == 0

    def run(self, arguments: Sequence[str], strace: Sequence[str] = ()) -> Run:
        """Run once; with options for strace, under it."""
        out, err = self._folder / "child.out", self._folder / "child.err"
        pid = int(self._ask({"arguments": list(arguments), "out": str(out), "err": str(err)}))
        with _followed(pid, strace):
            code = int(self._ask({"go": True}))
        return Run(code, out.read_text(), err.read_text())

    def points(self, arguments: Sequence[str]) -> Counter[str]:
        """How many system calls of each kind a run has, by the thread that has most of them."""
        trace = self._folder / "points.txt"
        done = self.run(arguments, ["-o", str(trace), "-e", f"trace={','.join(MUTATING)}"])
        assert done.code == 0, done.err
        by_thread = Counter(match.groups() for line in trace.read_text().splitlines() if (match := _CALL.match(line)))
        most: Counter[str] = Counter()
        for (_, call), count in by_thread.items():
            most[call] = max(most[call], count)
        return most

    def _ask(self, question: dict[str, object]) -> str:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return self._server.stdout.readline()


@contextmanager
def forking(module: str, folder: Path) -> Iterator[Forker]:
    """A forker for as long as it is needed."""
    forker = Forker(module, folder)
    try:
        yield forker
    finally:
        forker.close()


def inject(call: str, what: str, number: int | str) -> list[str]:
    """strace's options for an injection: `signal=KILL` or `error=EIO` at a call's Nth time (`N+`: and ever after)."""
    return ["-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={number}"]


def usable(skip_or_fail: Callable[[str], NoReturn]) -> None:
    """Skip, or fail where nothing may be skipped, unless strace can follow a process here."""
    if shutil.which("strace") is None:
        skip_or_fail("strace is missing")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode:
        skip_or_fail("strace may not follow processes here")


@contextmanager
def _followed(pid: int, options: Sequence[str]) -> Iterator[None]:
    """strace on that process, its threads and its children; begun before the block, and waited for after it."""
    if not options:
        yield
        return
    strace = subprocess.Popen(["strace", "-f", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True)
    assert strace.stderr is not None
    told = strace.stderr.readline()
    assert "attached" in told, told
    yield
    strace.communicate()


def _serve(module: str) -> None:
    program = importlib.import_module(module)
    while line := sys.stdin.readline():
        question = json.loads(line)
        go, come = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(come)
            _child(program.main, question, go)
        os.close(go)
        print(pid, flush=True)
        sys.stdin.readline()
        os.write(come, b"!")
        os.close(come)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _child(main: Callable[[Sequence[str]], int], question: dict[str, object], go: int) -> NoReturn:
    for target, name in ((1, "out"), (2, "err")):
        file = os.open(str(question[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, target)
        os.close(file)
    os.read(go, 1)
    code = 70
    try:
        code = main(question["arguments"])
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
