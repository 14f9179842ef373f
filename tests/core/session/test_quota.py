import gc

from mesaya_ws.core.session.quota import Quota


class Someone:
    """Somebody who asks."""


def test_each_may_have_so_many_in_so_much_time():
    quota, one, another = Quota(2, 60.0), Someone(), Someone()
    assert [quota.take(one, now) for now in (0.0, 10.0, 20.0, 59.0)] == [True, True, False, False]
    assert quota.take(another, 20.0)
    assert [quota.take(one, now) for now in (60.0, 61.0, 70.0)] == [True, False, True]


def test_who_is_gone_is_forgotten():
    quota = Quota(2, 60.0)
    for _ in range(100):
        quota.take(Someone(), 0.0)
    gc.collect()
    assert len(quota) == 0
