"""Whatever the order and the batches: each record comes out once it is whole, and nothing is settled too early."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from tokenweir.delivery import BrokerMessage, MessageBatch
from tokenweir.delivery.sources import Reassembled, Reassembler, WholeRecords
from tokenweir.records import CallRecord

MakeRecord = Callable[..., CallRecord]
AsMessages = Callable[..., list[BrokerMessage]]


def batch(messages: list[BrokerMessage], position: int = 0, source: str = "hub/0") -> MessageBatch:
    return MessageBatch(partition=source, position=str(position), messages=messages)


def positions(taken: Reassembled) -> dict[str, str]:
    return {settled.partition: settled.position for settled in taken.settled}


def test_whole_records_are_settled_with_their_batch(make_record: MakeRecord, as_messages: AsMessages) -> None:
    records = [make_record() for _ in range(3)]
    taken = Reassembler().take(batch([message for record in records for message in as_messages(record)], 3))
    assert taken.records == records
    assert (taken.dead, positions(taken)) == ([], {"hub/0": "3"})


def test_a_message_that_cannot_be_read_is_dead_alone(make_record: MakeRecord, as_messages: AsMessages) -> None:
    record, odd = make_record(), BrokerMessage(body=b"odd", place="offset 7")
    taken = Reassembler().take(batch([odd, *as_messages(record)], 2))
    assert taken.records == [record]
    assert [(letter.partition, letter.message, letter.reason[:15]) for letter in taken.dead] == [
        ("hub/0", odd, "it is no record")
    ]
    assert positions(taken) == {"hub/0": "2"}


class Flawed(WholeRecords):
    """A format with a defect that nobody foresaw."""

    def decode(self, data: bytes) -> CallRecord:
        if b'"total_tokens":13' in data:
            raise ZeroDivisionError("a text that quotes a prompt")
        return super().decode(data)


def test_a_defect_of_ours_costs_one_message_and_its_text_is_not_told(
    make_record: MakeRecord, as_messages: AsMessages
) -> None:
    record, unlucky = make_record(), make_record(total_tokens=13)
    taken = Reassembler(Flawed()).take(batch([*as_messages(unlucky), *as_messages(record)], 2))
    assert taken.records == [record]
    (letter,) = taken.dead
    assert letter.reason.startswith("no record could be made of it: ZeroDivisionError at test_messages.py:")
    assert positions(taken) == {"hub/0": "2"}


def test_a_batch_that_ends_in_the_middle_of_a_record_waits_for_the_rest(
    make_record: MakeRecord, as_messages: AsMessages
) -> None:
    split, before, between = make_record(request_body="x" * 100), make_record(), make_record()
    first, second, third = as_messages(split, 3)
    inbox = Reassembler()
    taken = inbox.take(batch([*as_messages(before), first], 1))
    assert (taken.records, positions(taken)) == ([before], {})
    taken = inbox.take(batch([second, *as_messages(between)], 2))
    assert (taken.records, positions(taken)) == ([between], {})
    taken = inbox.take(batch(as_messages(other := make_record()), 9, source="hub/1"))
    assert (taken.records, positions(taken)) == ([other], {"hub/1": "9"})
    taken = inbox.take(batch([third], 3))
    assert (taken.records, positions(taken)) == ([split], {"hub/0": "3"})
    assert repr(inbox) == "<Reassembler 0 unfinished, 0 bytes held>"


def test_parts_that_came_by_two_partitions_settle_both(make_record: MakeRecord, as_messages: AsMessages) -> None:
    split = make_record()
    first, second = as_messages(split, 2)
    inbox = Reassembler()
    assert positions(inbox.take(batch([first], 1, source="hub/0"))) == {}
    taken = inbox.take(batch([second], 1, source="hub/1"))
    assert taken.records == [split]
    assert positions(taken) == {"hub/0": "1", "hub/1": "1"}


def test_parts_of_a_record_that_was_sent_twice_and_cut_differently_are_told_apart(
    make_record: MakeRecord, as_messages: AsMessages
) -> None:
    split = make_record(request_body="x" * 100)
    in_two, in_three = as_messages(split, 2), as_messages(split, 3)
    inbox = Reassembler()
    taken = inbox.take(batch([in_two[0], *in_three], 4))
    assert (taken.records, positions(taken)) == ([split], {"hub/0": "4"})


def test_parts_that_make_no_record_are_all_kept(make_record: MakeRecord, as_messages: AsMessages) -> None:
    first, second = as_messages(make_record(), 2)
    broken = BrokerMessage(body=b"?", properties=second.properties, place="offset 2")
    taken = Reassembler().take(batch([first, broken], 2))
    assert [letter.message for letter in taken.dead] == [first, broken]
    assert positions(taken) == {"hub/0": "2"}


def test_a_part_whose_others_never_come_is_given_up_when_too_much_waits_behind_it(
    make_record: MakeRecord, as_messages: AsMessages
) -> None:
    lonely, _ = as_messages(make_record(call_id="lonely"), 2)
    inbox = Reassembler(most_held_bytes=10_000)
    assert positions(inbox.take(batch([lonely], 1))) == {}
    position, taken = 1, None
    while taken is None or not taken.settled:
        position += 1
        taken = inbox.take(batch(as_messages(make_record()), position))
        assert len(taken.records) == 1
    assert 10 < position < 100
    [letter] = taken.dead
    assert (letter.message, letter.reason, letter.call_id) == (lonely, "only 1 of its 2 parts came", "lonely")
    assert positions(taken) == {"hub/0": str(position)}


@given(data=st.data())
@settings(max_examples=100)
def test_any_cut_into_parts_and_batches_brings_each_record_once(
    make_record: MakeRecord, as_messages: AsMessages, data: st.DataObject
) -> None:
    records = [
        make_record(request_body="ä" * data.draw(st.integers(0, 50))) for _ in range(data.draw(st.integers(1, 6)))
    ]
    # The parts of each stay in their order, and what others send comes in between.
    queues = [as_messages(record, data.draw(st.integers(1, 5))) for record in records]
    stream: list[BrokerMessage] = []
    while queues := [queue for queue in queues if queue]:
        stream.append(queues[data.draw(st.integers(0, len(queues) - 1))].pop(0))
    inbox, came, settled, start = Reassembler(), [], 0, 0
    while start < len(stream):
        stop = data.draw(st.integers(start + 1, len(stream)))
        taken = inbox.take(batch(stream[start:stop], stop))
        assert taken.dead == []
        came += taken.records
        for position in positions(taken).values():
            settled = int(position)
        # Whoever goes on from what is settled gets every record that has not come yet.
        again = Reassembler().take(batch(stream[settled:]))
        assert {record.call_id for record in records} <= {record.call_id for record in [*came, *again.records]}
        start = stop
    assert sorted(record.call_id for record in came) == sorted(record.call_id for record in records)
    assert settled == len(stream)


@pytest.mark.parametrize("parts", [2, 7])
def test_what_comes_again_after_a_rebalance_is_settled_too(
    make_record: MakeRecord, as_messages: AsMessages, parts: int
) -> None:
    split = make_record(request_body="x" * 100)
    messages = as_messages(split, parts)
    inbox = Reassembler()
    inbox.take(batch(messages[:1], 1))
    assert positions(inbox.take(batch(messages[:1], 1))) == {}
    taken = inbox.take(batch(messages[1:], 2))
    assert (taken.records, positions(taken)) == ([split], {"hub/0": "2"})
