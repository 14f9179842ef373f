from load.client import Client, State
from load.plan import Plan
from load.turnstile import Turnstile


def clients(count, state=State.AWAY):
    return [Client(0, "127.0.0.2", bystander=False, state=state) for _ in range(count)]


def test_no_more_are_on_their_way_in_than_may_be():
    turnstile, crowd = Turnstile(Plan(run="x", concurrency=3)), clients(5)
    turnstile.queue(crowd, 0.0)
    entered = []
    for client in turnstile.entries(0.0):
        turnstile.entering += 1
        entered.append(client)
    assert entered == crowd[:3]
    assert turnstile.busy
    turnstile.entering -= 2
    assert list(turnstile.entries(0.0)) == crowd[3:]
    assert not turnstile.busy


def test_a_ramp_is_shared_by_the_processes():
    turnstile = Turnstile(Plan(run="x", ramp=20.0, processes=2))
    turnstile.queue(clients(50), 100.0)
    assert len(list(turnstile.entries(100.0))) == 1
    assert len(list(turnstile.entries(100.95))) == 9
    turnstile.rush([])
    assert len(list(turnstile.entries(100.95))) == 40


def test_who_is_sent_back_comes_when_it_is_time_unless_it_has_come_already():
    turnstile, (early, late, there) = Turnstile(Plan(run="x")), clients(3)
    there.state = State.OPEN
    for client, at in ((early, 1.0), (there, 1.0), (late, 2.0)):
        turnstile.send_back(client, at)
    assert list(turnstile.entries(0.9)) == []
    assert list(turnstile.entries(1.0)) == [early]
    assert list(turnstile.entries(2.0)) == [late]


def test_each_is_cut_once_in_a_while():
    turnstile, crowd = Turnstile(Plan(run="x", cut_every=10.0)), clients(5, State.OPEN)
    turnstile.start_cutting(crowd, 0.0)
    cut = [client for now in range(20) for client in turnstile.cuts(float(now))]
    assert cut == crowd * 2
    turnstile.stop_cutting()
    assert list(turnstile.cuts(99.0)) == []


def test_who_is_away_is_not_cut():
    turnstile = Turnstile(Plan(run="x", cut_every=10.0))
    turnstile.start_cutting(clients(5), 0.0)
    assert list(turnstile.cuts(20.0)) == []
