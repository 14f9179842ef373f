"""The metrics of several workers, rendered as one."""

import os

import trio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.prometheus import exposition
from mesaya_ws.workers.metrics_files import STALE_AFTER, Exposition, MetricsDirectory, merged
from tests.runtime.test_metrics import full_books
from tests.support.instance import a_feed
from tests.timing import PATIENCE


def page(books):
    return exposition(books, a_feed(max_bytes=1000), "1.2.3")()


def samples(text):
    """Return all samples by name and labels; a scraper's reader sees to it that each family is in one place."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def of(name, worker, **labels):
    return name, frozenset({"worker": worker, **labels}.items())


def test_merged_metrics_have_the_number_of_their_worker():
    scraped = samples(
        merged([Exposition("1", page(full_books()).decode(), True), Exposition("2", page(Metrics()).decode(), True)])
    )
    assert scraped[of("mesaya_connections", "1")] == 3
    assert scraped[of("mesaya_connections", "2")] == 0
    assert scraped[of("mesaya_connections_closed_total", "1", code="4008", by="service")] == 1
    assert of("mesaya_connections_closed_total", "2", code="4008", by="service") not in scraped
    assert scraped[of("mesaya_delivery_seconds_bucket", "2", le="+Inf")] == 0


def test_merged_metrics_of_an_ended_worker_have_no_gauges():
    scraped = samples(
        merged([Exposition("1", page(full_books()).decode(), False), Exposition("2", page(Metrics()).decode(), True)])
    )
    assert scraped[of("mesaya_messages_sent_total", "1")] == 100
    assert scraped[of("mesaya_delivery_seconds_count", "1")] == 0
    assert of("mesaya_connections", "1") not in scraped
    assert of("mesaya_connections", "2") in scraped


def test_merged_metrics_keep_every_sample():
    alone = page(full_books()).decode()
    together = samples(merged([Exposition(worker, alone, True) for worker in ("1", "2")]))
    assert together == {
        (name, labels | {("worker", worker)}): value
        for (name, labels), value in samples(alone).items()
        for worker in ("1", "2")
    }


@given(st.dictionaries(st.text(), st.integers(0, 1000)))
def test_merged_metrics_accept_any_label(counts):
    alone = page(Metrics(refusals=counts)).decode()
    scraped = samples(merged([Exposition("7", alone, True)]))
    assert scraped == {(name, labels | {("worker", "7")}): value for (name, labels), value in samples(alone).items()}


async def test_rendered_metrics_are_current_for_this_worker_only(tmp_path):
    first, second = Metrics(messages_out=1), Metrics(messages_out=10)
    directories = [MetricsDirectory(tmp_path, 1), MetricsDirectory(tmp_path, 2)]
    await directories[0].render(lambda: page(first))
    await directories[1].render(lambda: page(second))
    first.messages_out, second.messages_out = 2, 20
    scraped = samples((await directories[0].render(lambda: page(first))).decode())
    assert scraped[of("mesaya_messages_sent_total", "1")] == 2
    assert scraped[of("mesaya_messages_sent_total", "2")] == 10
    scraped = samples((await directories[1].render(lambda: page(second))).decode())
    assert scraped[of("mesaya_messages_sent_total", "1")] == 2, "what was shown once is never taken back"
    assert scraped[of("mesaya_messages_sent_total", "2")] == 20


async def test_export_writes_at_intervals_and_at_the_end(tmp_path):
    books = Metrics()
    other = MetricsDirectory(tmp_path, 2)

    async def scraped():
        metrics = samples((await other.render(lambda: page(Metrics()))).decode())
        return metrics.get(of("mesaya_messages_sent_total", "1"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(MetricsDirectory(tmp_path, 1).export, lambda: page(books), 0.001)
        for count in (1, 2):
            books.messages_out = count
            with trio.fail_after(PATIENCE):
                while await scraped() != count:
                    pass
        books.messages_out = 3
        nursery.cancel_scope.cancel()
    assert await scraped() == 3


async def test_worker_with_a_stale_file_counts_as_ended(tmp_path):
    await MetricsDirectory(tmp_path, 1).render(lambda: page(full_books()))
    path = tmp_path / "1.prom"
    long_ago = path.stat().st_mtime - STALE_AFTER
    os.utime(path, (long_ago, long_ago))
    scraped = samples((await MetricsDirectory(tmp_path, 2).render(lambda: page(Metrics()))).decode())
    assert scraped[of("mesaya_messages_sent_total", "1")] == 100
    assert of("mesaya_connections", "1") not in scraped


async def test_metrics_without_a_usable_folder_are_those_of_this_worker(tmp_path, logged):
    folder = tmp_path / "gone"
    directory = MetricsDirectory(folder, 1)
    for count in (1, 2):
        scraped = samples((await directory.render(lambda count=count: page(Metrics(messages_out=count)))).decode())
        assert scraped[of("mesaya_messages_sent_total", "1")] == count
    [warning] = logged()
    assert warning["event"] == "the metrics cannot be shared with the other workers"
    folder.mkdir()
    await directory.render(lambda: page(Metrics()))
    assert (folder / "1.prom").exists()
