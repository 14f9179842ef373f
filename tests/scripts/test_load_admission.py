from load.admission import Admission
from load.client import Client, State
from load.plan import Plan


def clients(count, state=State.AWAY):
    return [Client(0, "127.0.0.2", bystander=False, state=state) for _ in range(count)]


def test_no_more_are_on_their_way_in_than_may_be():
    admission, crowd = Admission(Plan(run="x", concurrency=3)), clients(5)
    admission.queue(crowd, 0.0)
    entered = []
    for client in admission.entries(0.0):
        admission.entering += 1
        entered.append(client)
    assert entered == crowd[:3]
    assert admission.busy
    admission.entering -= 2
    assert list(admission.entries(0.0)) == crowd[3:]
    assert not admission.busy


def test_a_ramp_is_shared_by_the_processes():
    admission = Admission(Plan(run="x", ramp=20.0, processes=2))
    admission.queue(clients(50), 100.0)
    assert len(list(admission.entries(100.0))) == 1
    assert len(list(admission.entries(100.95))) == 9
    admission.rush([])
    assert len(list(admission.entries(100.95))) == 40


def test_who_is_sent_back_comes_when_it_is_time_unless_it_has_come_already():
    admission, (early, late, there) = Admission(Plan(run="x")), clients(3)
    there.state = State.OPEN
    for client, at in ((early, 1.0), (there, 1.0), (late, 2.0)):
        admission.send_back(client, at)
    assert list(admission.entries(0.9)) == []
    assert list(admission.entries(1.0)) == [early]
    assert list(admission.entries(2.0)) == [late]


def test_each_is_cut_once_in_a_while():
    admission, crowd = Admission(Plan(run="x", cut_every=10.0)), clients(5, State.OPEN)
    admission.start_cutting(crowd, 0.0)
    cut = [client for now in range(20) for client in admission.cuts(float(now))]
    assert cut == crowd * 2
    admission.stop_cutting()
    assert list(admission.cuts(99.0)) == []


def test_who_is_away_is_not_cut():
    admission = Admission(Plan(run="x", cut_every=10.0))
    admission.start_cutting(clients(5), 0.0)
    assert list(admission.cuts(20.0)) == []
