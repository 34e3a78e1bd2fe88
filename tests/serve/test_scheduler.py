"""What the worker does next, by hand."""

from vivavoce.serve.scheduler import STARVED_S, Advance, Scheduler, Sleep, Step


def test_all_due_slots_go_in_one_batch_and_the_others_wait():
    assert Scheduler().choose(10.0, {0: 9.9, 1: 10.0, 2: 10.1}, 0) == Step((0, 1))


def test_talk_goes_before_answers():
    scheduler = Scheduler()
    assert scheduler.choose(10.0, {0: 10.0}, 1) == Step((0,))
    assert scheduler.choose(10.01, {0: 10.08}, 1) == Advance()


def test_an_answer_waits_if_its_piece_would_make_talk_late():
    scheduler = Scheduler()
    scheduler.note_answer(0.05, 10.0)
    assert scheduler.choose(10.0, {0: 10.04}, 1) == Sleep(10.04)
    assert scheduler.choose(10.0, {0: 10.06}, 1) == Advance()


def test_a_starved_answer_gets_a_piece_now_and_then():
    scheduler = Scheduler()
    actions = []
    for idx in range(100):
        now_s = 10.0 + idx * 0.02
        actions.append(scheduler.choose(now_s, {0: now_s}, 1))
        if isinstance(actions[-1], Advance):
            scheduler.note_answer(0.001, now_s)
    pieces = sum(isinstance(action, Advance) for action in actions)
    assert pieces == int(100 * 0.02 / (STARVED_S + 0.02))


def test_it_sleeps_until_the_next_slot_is_due():
    assert Scheduler().choose(10.0, {0: 10.5, 1: 10.2}, 0) == Sleep(10.2)
    assert Scheduler().choose(10.0, {}, 0) == Sleep(float("inf"))


def test_it_is_overloaded_while_talk_is_late_and_recovers():
    scheduler = Scheduler()
    scheduler.choose(10.0, {0: 9.0}, 0)
    assert scheduler.is_overloaded
    scheduler.choose(10.0, {0: 9.9}, 0)
    assert not scheduler.is_overloaded
