"""What Linux knows of a process and its children: processor time and memory (proc(5))."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_LISTEN = "0A"


@frozen
class Observed:
    """A process that is watched, with all its descendants."""

    pid: int

    @classmethod
    def here(cls) -> "Observed":
        """Return the process that asks."""
        return cls(os.getpid())

    def family(self) -> list[int]:
        """Return the process and its descendants."""
        return family(self.pid)

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used; 0 when it has gone."""
        return sum(map(cpu_of, self.family()))

    def memory(self) -> int:
        """Return the bytes that it holds; pages that several processes share are divided among them."""
        return sum(map(_memory, self.family()))

    def writes(self) -> int:
        """Return how often it has called `write`; what is sent by other calls does not count (proc_pid_io(5))."""
        return sum(map(_writes, self.family()))

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop it for the time of the context."""
        stopped = self.family()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)


def machine_cpu() -> float:
    """Return the seconds of processor time that all of the machine has used."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, _lines(Path("/proc/stat"))[0].split()[1:])
    return (user + nice + system + irq + softirq) * _TICK


def listening(port: int) -> Observed | None:
    """Return the process that listens on a TCP port of this machine, as far as we may see it."""
    inodes = {
        f"socket:[{fields[9]}]"
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for fields in map(str.split, _lines(Path(table))[1:])
        if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port
    }
    holders = {pid for pid in _processes() if inodes and not inodes.isdisjoint(_sockets(pid))}
    # Workers inherit the socket of their parent.
    parents = [pid for pid in holders if _parent(pid) not in holders]
    return Observed(min(parents)) if parents else None


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for other in _processes():
        children.setdefault(_parent(other), []).append(other)
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # gone, or another user's
        return []


def _stat(pid: int) -> list[str]:
    """Return the fields of `stat` from the third on; the second one, the name, may hold anything."""
    lines = _lines(Path(f"/proc/{pid}/stat"))
    return lines[0].rpartition(")")[2].split() if lines else []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time that a process has used, without its children."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK if fields else 0.0


def _memory(pid: int) -> int:
    for line in _lines(Path(f"/proc/{pid}/smaps_rollup")):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _writes(pid: int) -> int:
    for line in _lines(Path(f"/proc/{pid}/io")):
        if line.startswith("syscw:"):
            return int(line.split()[1])
    return 0


def _sockets(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # gone, or another user's
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.add(os.readlink(entry))
    return found
