"""Frames are followed alike however their bytes are cut, and nothing of them is lost or invented."""

from hypothesis import given, strategies as st

from support.http_bytes import cut, cuts
from support.websocket_frames import CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from tokenweir.wire import CLOSE_WITHOUT_CODE, FrameReader, close_frame, pong_frame, unmasked

_masks = st.one_of(st.just(b""), st.binary(min_size=4, max_size=4))
# With lengths that are written in one, two and eight bytes.
_lengths = st.sampled_from([0, 1, 2, 3, 5, 124, 125, 126, 127, 300, 65535, 65536])
_payloads = st.builds(
    lambda size, seed: (bytes([seed, seed ^ 255, 7]) * (size // 3 + 1))[:size], _lengths, st.integers(0, 255)
)
_controls = st.lists(st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)), max_size=2)


class Messages:
    """Puts messages together from what it is told."""

    def __init__(self) -> None:
        self.whole: list[tuple[bytes, bool]] = []
        self._open: bytes | None = None
        self._packed = False

    def message(self, data: bytes, start: int, end: int, packed: bool) -> None:
        assert self._open is None
        self.whole.append((data[start:end], packed))

    def message_began(self, packed: bool) -> bool:
        assert self._open is None
        self._open, self._packed = b"", packed
        return True

    def message_data(self, data: bytes, start: int, end: int) -> bool:
        assert self._open is not None and end > start
        self._open += data[start:end]
        return True

    def message_ended(self) -> None:
        assert self._open is not None
        self.whole.append((self._open, self._packed))
        self._open = None


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[tuple[bytes, bool]], int]:
    """Bytes of one direction, its messages, and how many frames there are."""
    mask, sent, messages, count = draw(_masks), b"", [], 0
    for _ in range(draw(st.integers(0, 4))):
        parts, packed = draw(st.lists(_payloads, min_size=1, max_size=3)), draw(st.booleans())
        for at, part in enumerate(parts):
            for opcode, payload in draw(_controls):
                sent, count = sent + frame(opcode, payload, mask=mask), count + 1
            opcode, last = TEXT if at == 0 else CONTINUATION, at == len(parts) - 1
            sent += frame(opcode, part, fin=last, mask=mask, rsv1=packed and at == 0)
            count += 1
        messages.append((b"".join(parts), packed))
    return sent, messages, count


@given(conversations(), st.data())
def test_any_cut_gives_the_same_messages(
    conversation: tuple[bytes, list[tuple[bytes, bool]], int], data: st.DataObject
) -> None:
    sent, messages, count = conversation
    heard = Messages()
    reader, deaf = FrameReader(heard), FrameReader(None)
    for piece in cut(sent, data.draw(cuts(sent))):
        reader.feed(piece)
        deaf.feed(piece)
    assert (heard.whole, reader.frames, deaf.frames) == (messages, count, count)
    assert reader.is_between_frames and deaf.is_between_frames
    assert reader.close_code is deaf.close_code is None


@given(st.lists(st.tuples(st.binary(max_size=3), _masks), max_size=5))
def test_a_frame_can_be_put_in_behind_a_whole_one_only(payloads: list[tuple[bytes, bytes]]) -> None:
    sent, count = b"".join(frame(TEXT, payload, mask=mask) for payload, mask in payloads), len(payloads)
    reader, boundaries = FrameReader(None), 0
    for at in range(len(sent)):
        reader.feed(sent[at : at + 1])
        boundaries += reader.is_between_frames
    assert boundaries == count


@given(_masks, st.data(), st.integers(1000, 4999), st.binary(max_size=100))
def test_what_a_close_frame_says_is_read(mask: bytes, data: st.DataObject, code: int, reason: bytes) -> None:
    reader = FrameReader(None)
    sent = frame(TEXT, b"{}", mask=mask) + frame(CLOSE, code.to_bytes(2, "big") + reason, mask=mask)
    for piece in cut(sent, data.draw(cuts(sent))):
        reader.feed(piece)
    assert reader.close_code == code


def test_a_close_frame_may_say_nothing() -> None:
    reader = FrameReader(None)
    reader.feed(frame(CLOSE, b""))
    assert reader.close_code == CLOSE_WITHOUT_CODE


def test_what_is_not_wanted_is_passed_over() -> None:
    class Deaf(Messages):
        def message_began(self, packed: bool) -> bool:
            return False

        def message_data(self, data: bytes, start: int, end: int) -> bool:
            raise AssertionError("nobody asked")

        def message_ended(self) -> None:
            self.whole.append((b"", False))

    heard = Deaf()
    reader = FrameReader(heard)
    reader.feed(frame(TEXT, b"a" * 70_000, fin=False) + frame(PING, b"?") + frame(CONTINUATION, b"b"))
    reader.feed(frame(TEXT, b"{}"))
    assert heard.whole == [(b"", False), (b"{}", False)]


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.integers(0, 9))
def test_a_part_of_a_payload_is_unmasked_from_where_it_begins(data: bytes, mask: bytes, skipped: int) -> None:
    masked = frame(TEXT, b"x" * skipped + data, mask=mask)[-len(data) :] if data else b""
    assert unmasked(masked, mask, skipped) == data


@given(st.lists(st.binary(max_size=125), max_size=4), _masks, st.data())
def test_pings_are_told_to_whoever_answers_them(payloads: list[bytes], mask: bytes, data: st.DataObject) -> None:
    sent = frame(TEXT, b"be", fin=False)
    sent += b"".join(frame(PING, payload, mask=mask) + frame(PONG, payload) for payload in payloads)
    sent += frame(CONTINUATION, b"fore") + frame(CLOSE, b"\x03\xe8")
    messages = Messages()
    reader = FrameReader(messages)
    reader.pings = []
    for piece in cut(sent, data.draw(cuts(sent))):
        reader.feed(piece)
    assert reader.pings == payloads
    assert (messages.whole, reader.close_code) == ([(b"before", False)], 1000)
    for payload in payloads:
        assert pong_frame(payload) == frame(PONG, payload, mask=b"\0\0\0\0")


def test_our_own_close_frames_are_read_as_such() -> None:
    for is_masked in (False, True):
        reader = FrameReader(None)
        reader.feed(close_frame(1001, is_masked=is_masked))
        assert (reader.close_code, reader.is_between_frames) == (1001, True)
    assert close_frame(1001, is_masked=False) == frame(CLOSE, b"\x03\xe9")
    assert close_frame(1001, is_masked=True) == frame(CLOSE, b"\x03\xe9", mask=b"\0\0\0\0")


@given(st.binary(max_size=200), st.data())
def test_no_bytes_are_too_strange(sent: bytes, data: st.DataObject) -> None:
    """What is no WebSocket at all ends nothing here: both ends notice."""
    whole, pieces = FrameReader(None), FrameReader(None)
    whole.feed(sent)
    for piece in cut(sent, data.draw(cuts(sent))):
        pieces.feed(piece)
    assert (whole.frames, whole.close_code, whole.is_between_frames) == (
        pieces.frames,
        pieces.close_code,
        pieces.is_between_frames,
    )
