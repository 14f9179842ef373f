"""Commits what a feed knows to a state store, in a thread, as `gateway.store_keeper` does it."""

import trio


async def commit(feed, store, now):
    """Commit what has changed since the last commit; times are ms. The feed sees the store as of this commit then."""
    captured = feed.persistent.capture_changes(now, now)

    def write():
        changes = captured.encoded()
        store.commit(changes)
        return changes

    changes = await trio.to_thread.run_sync(write)
    former, feed.known.stored.view = feed.known.stored.view, store.pin()
    if former is not None:
        former.close()
    for _ in feed.persistent.changes_committed(captured, changes, {}):
        await trio.lowlevel.checkpoint()
