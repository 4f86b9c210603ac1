"""What bodies that are held cost in one turn of the loop, all together."""

from collections.abc import Callable

from tokenweir.errors import BodyTooLarge
from tokenweir.gateway.held_body import BodyBudget, HeldBody
from tokenweir.wire import ObjectReader

SIZE = 1024 * 1024


def ticking() -> Callable[[], float]:
    """A clock on which a millisecond passes whenever somebody looks."""
    now = 0

    def monotonic() -> float:
        nonlocal now
        now += 1
        return now / 1000

    return monotonic


def a_large_body(budget: BodyBudget) -> HeldBody:
    body = HeldBody(budget, SIZE, lambda: BodyTooLarge("no"), None, ObjectReader(["model"]))
    text = b'{"model":"m","messages":["' + b"x" * (SIZE - 30)
    body.add(text)
    body.add(b'"]}')
    body.end()
    return body


def turns(*bodies: HeldBody) -> list[int]:
    """Milliseconds of each turn until all bodies are read, each of which may take 16."""
    monotonic, taken, left = ticking(), [], list(bodies)
    while left:
        begun = monotonic()
        left = [body for body in left if not body.read(0.016, monotonic)]
        taken.append(round((monotonic() - begun) * 1000))
    return taken


def test_bodies_that_are_read_at_the_same_time_share_a_turn() -> None:
    budget = BodyBudget(64 * SIZE)
    alone = max(turns(a_large_body(budget)))
    bodies = [a_large_body(budget) for _ in range(8)]
    first, *together = turns(*bodies)
    assert max(together) <= 2 * alone < first  # they know of each other from their first turn on
    assert all(body.members is not None and body.members.found["model"].value == b'"m"' for body in bodies)
    assert budget.reading == 0


def test_a_body_that_is_dropped_leaves_its_share_to_the_others() -> None:
    budget = BodyBudget(64 * SIZE)
    dropped = a_large_body(budget)
    assert not dropped.read(0.001, ticking())
    assert budget.reading == 1
    dropped.release()
    assert (budget.reading, budget.used) == (0, 0)
