"""What a disk may hold after the power went: images made from the system calls of a real run.

strace records every write, truncation, removal and sync of the program, with the data, and what it acknowledged. An
image is the disk at one of these calls: what was synced is there; of what was not, each write may be there, missing,
torn at sectors, or have overtaken others. A new or removed name is certain once its directory, or the file itself, was
synced. The index of the write-ahead log (`-shm`) is shared memory and never survives.

    PYTHONPATH=src:tests python -m powerloss [IMAGES]       the figures of a release
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import committing

SECTOR = 512
_CALLS = "trace=write,pwrite64,writev,pwritev,fdatasync,fsync,sync_file_range,ftruncate,fallocate,unlink,rename"
_LINE = re.compile(r"^\d+ +(?P<call>\w+)\((?:(?P<fd>\d+)<(?P<at>[^>]*)>)?(?P<rest>.*)\) += (?P<result>-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(.*)')


@dataclass(frozen=True, slots=True)
class Step:
    """One call: `write` (at, data), `truncate` (at), `unlink`, `sync` of a file, or `acknowledged` (data)."""

    kind: str
    path: Path
    at: int = 0
    data: bytes = b""


def record(arguments: Sequence[str], folder: Path, *injected: str) -> list[Step]:
    """Run the program under strace; its steps in the order of their return. A sync that fails settles nothing."""
    trace = folder / "powerloss.trace"
    follow = ["strace", "-f", "-y", "--seccomp-bpf", "-xx", "-s", "10000000", "-o", str(trace), "-e", _CALLS]
    program = [sys.executable, committing.__file__, *arguments]
    done = subprocess.run([*follow, *injected, *program], capture_output=True, text=True)
    assert done.returncode in ((0, committing.FAILED) if injected else (0,)), done.stderr
    return list(_steps(trace))


def _steps(trace: Path) -> Iterator[Step]:
    waiting: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        thread = line.split(maxsplit=1)[0]
        if line.endswith("<unfinished ...>"):
            waiting[thread] = line.removesuffix(" <unfinished ...>")
            continue
        if "resumed>" in line:
            line = waiting.pop(thread) + line.partition("resumed>")[2]
        match = _LINE.match(line)
        assert match or line.endswith("+++"), line[:200]
        step = _step(match) if match else None
        if step is not None and step.path.suffix != ".db-shm":
            yield step


def _step(match: re.Match[str]) -> Step | None:
    if match["result"].startswith("-"):
        return None
    path = Path(_bytes(match["at"] or "").decode())
    text = _TEXT.search(match["rest"])
    match match["call"]:
        case "write" if match["fd"] == "1":
            return Step("acknowledged", path, data=_bytes(text[1]) if text else b"")
        case "pwrite64" if text:
            return Step("write", path, int(text[2].split(",")[-1]), _bytes(text[1]))
        case "fdatasync" | "fsync":
            return Step("sync", path)
        case "ftruncate":
            return Step("truncate", path, int(match["rest"].strip(", ")))
        case "unlink" if text:
            return Step("unlink", Path(_bytes(text[1]).decode()))
        case "write" if match["fd"] == "2":
            return None
        case call:
            raise AssertionError(f"a call that the images do not know: {call}")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass(slots=True)
class _File:
    """What is certain (None: there is no such file), and the steps that are not certain yet."""

    certain: bytearray | None = None
    open: list[Step] = field(default_factory=list)

    def settle(self) -> None:
        for step in self.open:
            self.certain = _apply(self.certain, step)
        self.open.clear()

    def settle_name(self) -> None:
        """Its directory was synced: it is there, or gone."""
        if any(step.kind == "unlink" for step in self.open):
            self.settle()
        elif self.certain is None and self.open:
            self.certain = bytearray()

    def after_power_loss(self, chance: random.Random) -> bytearray | None:
        content = None if self.certain is None else bytearray(self.certain)
        if content is None and chance.random() < 0.3:
            return None  # its name was lost
        for step in _disturbed(self.open, chance):
            content = _apply(content, step)
        return content


class Disk:
    """The files as the steps leave them, one after another."""

    def __init__(self) -> None:
        self._files: dict[Path, _File] = {}
        self.acknowledged: dict[int, int] = {}

    def take(self, step: Step) -> None:
        """The next step."""
        if step.kind == "acknowledged":
            for line in step.data.decode().splitlines():
                _, id_, page = line.split()
                self.acknowledged[int(id_)] = int(page)
        elif step.kind == "sync":
            for path, file in self._files.items():
                if path == step.path:
                    file.settle()
                elif path.parent == step.path:
                    file.settle_name()
        else:
            self._files.setdefault(step.path, _File()).open.append(step)

    def write_image(self, folder: Path, chance: random.Random) -> None:
        """Write what the disk may hold if the power goes now."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path, file in self._files.items():
            content = file.after_power_loss(chance)
            if content is not None:
                (folder / path.name).write_bytes(content)


def _disturbed(steps: Sequence[Step], chance: random.Random) -> Iterator[Step]:
    """Each step may be missing or torn; writes overtake each other, but not a truncation or a removal."""
    kept = chance.choice((0.0, 0.5, 0.9, 1.0))
    run: list[Step] = []
    for step in [*steps, None]:
        if step is not None and step.kind == "write":
            run.append(step)
            continue
        chance.shuffle(run)
        for write in run:
            if chance.random() < kept:
                yield write
            elif chance.random() < 0.5:
                yield from _torn(write, chance)
        run.clear()
        if step is not None and chance.random() < max(kept, 0.5):
            yield step


def _torn(write: Step, chance: random.Random) -> Iterator[Step]:
    for begin in range(0, len(write.data), SECTOR):
        if chance.random() < 0.5:
            yield Step("write", write.path, write.at + begin, write.data[begin : begin + SECTOR])


def _apply(content: bytearray | None, step: Step) -> bytearray | None:
    if step.kind == "unlink":
        return None
    content = bytearray() if content is None else content
    if step.kind == "truncate":
        return content[: step.at].ljust(step.at, b"\0")
    content.extend(bytes(max(0, step.at - len(content))))
    content[step.at : step.at + len(step.data)] = step.data
    return content


@dataclass(slots=True)
class Found:
    """What opening the images showed; `lost` had fewer pages than were acknowledged."""

    images: int = 0
    corrupt: int = 0
    lost: int = 0
    steps: int = 0
    resumed: int = 0


def examine(steps: Sequence[Step], folder: Path, images: int, seed: int = 1, resume_every: int = 20) -> Found:
    """Open that many images, spread over all steps, with the product; let some of them go on to the end."""
    chance, disk, found, image = random.Random(seed), Disk(), Found(steps=len(steps)), folder / "image"
    for index, step in enumerate(steps, 1):
        disk.take(step)
        for _ in range(images * index // len(steps) - images * (index - 1) // len(steps)):
            disk.write_image(image, chance)
            found.images += 1
            try:
                reached = committing.inspect(image)
                if found.images % resume_every == 0:
                    assert committing.main([str(image), "--pages", "2", "--quiet"]) == 0
                    committing.inspect(image, prove=True)
                    found.resumed += 1
            except Exception:  # whatever SQLite says of such a file
                found.corrupt += 1
                continue
            found.lost += any(reached.get(id_, 0) < page for id_, page in disk.acknowledged.items())
    return found


def main(images: int) -> None:
    """Two runs, one page after another and both integrations' pages committed together; half of the images each."""
    for together in ((), ("--together",)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "run").mkdir()
            steps = record([str(folder / "run"), "--pages", "12", *together], folder)
            begun = time.monotonic()
            found = examine(steps, folder, images // 2)
            rate = found.images / (time.monotonic() - begun)
            print(f"{' '.join(together) or '--alone'}: {found}, {rate:.0f} images/s", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
