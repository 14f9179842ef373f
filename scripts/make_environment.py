"""Make a virtual environment what pyproject.toml and requirements.lock say: see `environment`, which runs this.

It is quick when nothing has changed, and safe when two do it at once. One that was left half-made is made anew.
"""

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

UNFINISHED = "unfinished"
"""What the lock file says from when an environment is changed until that is done."""

PERIOD = 5.0
"""Seconds between two lines about the progress, where no line can be written over."""


class Environment:
    """The environment at `home` for the project at `root`, with packages to `run` it or to `develop` it."""

    def __init__(self, root, home, packages):
        self.root, self.home, self.packages = root, home, packages
        self.lock = root / "requirements.lock"
        self.python = home / "bin" / "python"
        self.turn = home.with_name(f"{home.name}.lock")

    def is_ready(self):
        """Return whether it is what is wanted."""
        stamp = self.home / f".{self.packages}"
        return self.python.exists() and stamp.exists() and stamp.read_text() == self._wanted(self.packages)

    def make_ready(self):
        """Make it what is wanted, one at a time. Raises `CalledProcessError`; what it was of is on standard error."""
        with self.turn.open("a+") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            turn.seek(0)
            is_finished = turn.read() != UNFINISHED
            if is_finished and self.is_ready():
                return
            turn.truncate(0)
            turn.write(UNFINISHED)
            turn.flush()
            # Whom we start holds the lock, too: when we are killed, nobody comes between them.
            self._install(turn.fileno(), anew=not is_finished or not self._is_sound())
            turn.truncate(0)

    def _wanted(self, packages):
        sources = b"".join(path.read_bytes() for path in (self.root / "pyproject.toml", self.lock))
        return hashlib.sha256(sources + f"{packages} {self.root} {sys.version}".encode()).hexdigest()

    def _is_sound(self):
        """Return whether there is an environment of this Python which can install something."""
        look = "import sys, pip; print(sys.version)"
        try:
            found = subprocess.run([self.python, "-c", look], capture_output=True, text=True, check=False)
        except OSError:
            return False
        return found.returncode == 0 and found.stdout.strip() == sys.version

    def _install(self, turn, *, anew):
        if anew:
            say(f"Making {self.home.name} with Python {sys.version.split()[0]} …")
            making = [sys.executable, "-m", "venv", "--clear", self.home]
            with started(making, stdout=sys.stderr, pass_fds=[turn]) as process:
                process.wait()
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, making)
        say("Installing, which takes about a minute …")
        pip = [self.python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
        everything = ["--requirement", self.lock] if self.packages == "develop" else []
        command = [*pip, "--constraint", self.lock, *everything, "--editable", self.root]
        with started(command, stdout=subprocess.PIPE, text=True, pass_fds=[turn]) as process:
            show_progress(process.stdout)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        for done in {self.packages, "run"}:
            (self.home / f".{done}").write_text(self._wanted(done))


@contextmanager
def started(command, **options):
    """Run a program for the time of the context; if that ends early, so does the program, with all that it has started.

    It is in a session of its own: a Ctrl-C is for us alone, and nobody else prints a traceback.
    """
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise


def say(sentence):
    """Inform whoever waits."""
    print(sentence, file=sys.stderr, flush=True)


def show_progress(lines, period=PERIOD):
    """Show how far pip is, by what it prints: in one line of a terminal, elsewhere now and then."""
    count, shown_at = 0, monotonic()
    for line in lines:
        if package := re.match(r"Collecting ([\w.-]+)", line.strip()):
            count, now = count + 1, package[1]
        elif line.startswith("Installing collected packages"):
            now = "putting them in place"
        else:
            continue
        if sys.stderr.isatty():
            print(f"\r\033[K  {count} packages: {now}"[:100], end="", file=sys.stderr, flush=True)
        elif monotonic() - shown_at > period:
            shown_at = monotonic()
            say(f"  {count} packages: {now}")
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def main(root, home, packages):
    """Make it, or exit with a sentence."""
    environment = Environment(Path(root), Path(home), packages)
    try:
        if not environment.is_ready():
            environment.make_ready()
    except KeyboardInterrupt:
        sys.exit(f"\nInterrupted; the next start makes {environment.home.name} anew.")
    except subprocess.CalledProcessError:
        sys.exit("Installing failed; why is above. The next start tries it again.")


if __name__ == "__main__":
    main(*sys.argv[1:])
