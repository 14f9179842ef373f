"""How long the parts of a log on Kafka wait for what."""

from attrs import frozen


@frozen
class Timings:
    """Seconds; what kafka-python itself waits for is in `driver.clients`."""

    connect_timeout: float = 5.0
    """In which a new client must have found a broker."""
    refresh_interval: float = 3.0
    """Between two refreshes, which find new topics and partitions, and show whether the brokers answer."""
    outage_after: float = 5.0
    """Without an answer, after which that is reported. A restart of a broker takes less, and loses nothing."""
    renew_after: float = 15.0
    """Without an answer, after which the clients are replaced: they never go back to KAFKA_BROKERS by themselves, and
    would not find a cluster whose addresses have all changed."""
    hung_after: float = 20.0
    """Without progress, after which the clients of a follower are closed: not everything in them has a timeout."""
    unreadable_after: float = 5.0
    """For which the others wait for a partition that cannot be read. A change of leaders must not change the order of
    records; a longer outage must not delay the others."""
    delivery_timeout: float = 15.0
    """In which records must be acknowledged; a cluster replaces a dead leader in ten."""

    @property
    def cause_period(self) -> float:
        """For which what the clients complain of counts as the cause of an outage.

        Within them, new clients have asked KAFKA_BROKERS again, so a cause that is not met in all that time is gone.
        """
        return 2 * self.renew_after


DEFAULTS = Timings()
