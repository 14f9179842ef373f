"""The embedded event log: one SQLite file, which several processes append to and follow at the same time."""

from mesaya_ws.eventlog.sqlite.log import open_sqlite_log as open_sqlite_log
