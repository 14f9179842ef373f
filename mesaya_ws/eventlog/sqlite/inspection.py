"""What `mesaya-ws check` says of the embedded log's file; nothing is created or changed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mesaya_ws.core.log.inspection import Finding, Inspection, error, warning
from mesaya_ws.eventlog.sqlite.database import Database, DatabaseError
from mesaya_ws.eventlog.sqlite.follower import extents
from mesaya_ws.settings import Settings, followed

LOCK_TIMEOUT = 5.0
"""Seconds to wait for a file that another program has locked."""

MIN_FREE_BYTES = 256 * 1024 * 1024
"""Free bytes on the disk below which there is a warning."""


def inspect(settings: Settings) -> Inspection:
    """Examine the file, if it exists, and its directory. Must run in a thread."""
    path = settings.event_log_file.absolute()
    found = {}
    findings = list(_directory_findings(path.parent))
    if path.exists() and not findings:
        try:
            with closing(Database(path, LOCK_TIMEOUT)) as file:
                file.try_to_write()
                topics = file.topics()
            found = extents({name: topic for name, topic in topics.items() if name in followed(settings)})
        except DatabaseError as failure:
            findings.append(error(f"EVENT_LOG_FILE: {failure}"))
    return Inspection(found, [*findings, *_disk_findings(path.parent)])


def _directory_findings(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield error(f"EVENT_LOG_FILE: there is no directory {folder}: make it, or name another file.")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield error(f"EVENT_LOG_FILE: {folder} cannot be written, where the log and its journal are: see its rights.")


def _disk_findings(folder: Path) -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < MIN_FREE_BYTES:
        yield warning(f"EVENT_LOG_FILE: only {free // 1024**2} MiB are free on the disk of {folder}: make room.")
