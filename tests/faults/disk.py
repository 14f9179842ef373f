"""Disks that are really full, read-only or gone: file systems that are mounted for the time of a test."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

FULL_BYTES = 8 << 20
"""What the disk that is to be full has room for."""


def mount(*arguments: str | Path) -> None:
    """Mount something, or skip the test with the reason for which that is not possible."""
    tool = shutil.which("mount")
    if tool is None:
        pytest.skip("there is no `mount`")
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def unmount(place: Path) -> None:
    """Take away what is mounted in a place, though files of it are open."""
    subprocess.run(["umount", "--lazy", str(place)], capture_output=True, check=False)


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Have a disk with little room in a place."""
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={FULL_BYTES}", "tmpfs", place)
    try:
        yield place
    finally:
        unmount(place)


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Have another, empty disk in a place, which is read-only; what was there is there again when that has ended."""
    place.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", "ro", "tmpfs", place)
    try:
        yield
    finally:
        unmount(place)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Have no byte free on a disk."""
    ballast = disk / "ballast"
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 16, 1):
            with suppress(OSError):
                while True:
                    os.write(descriptor, b"x" * size)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            os.write(descriptor, b"x")
        yield
    finally:
        os.close(descriptor)
        ballast.unlink()
