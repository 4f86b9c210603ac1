"""One client's connection: from its protocol header to its close. Our handles and channels are the client's."""

import asyncio
from typing import Any

from .codec import Array, Symbol
from .frames import Frame, FrameReader, Performative, frame
from .links import WINDOW, Incoming, Outgoing, Refused
from .namespace import Namespace

__all__ = ["MAX_FRAME", "Connection"]

MAX_FRAME = 65536
_MOST_HANDLES = 255
_SASL_HEADER = b"AMQP\x03\x01\x00\x00"


class Session:
    """The wire as its links see it."""

    def __init__(self, connection: "Connection", channel: int, said: Performative) -> None:
        self.namespace = connection.namespace
        self.granted = connection.granted
        self.replies = connection.replies
        self.max_frame = connection.max_frame
        self.links: dict[int, Incoming | Outgoing] = {}
        self.next_incoming_id: int = said.next_outgoing_id
        self._next_outgoing_id = 0
        self._connection = connection
        self._channel = channel

    def write(self, kind: str, payload: bytes = b"", /, **fields: Any) -> None:
        self._connection.write(frame(self._channel, Performative(kind, **fields), payload))

    def next_delivery_id(self) -> int:
        self._next_outgoing_id += 1
        return self._next_outgoing_id - 1

    def session_state(self) -> dict[str, int]:
        return {
            "next_incoming_id": self.next_incoming_id,
            "incoming_window": WINDOW,
            "next_outgoing_id": self._next_outgoing_id,
            "outgoing_window": WINDOW,
        }


class Connection:
    """Takes frames, answers them, and says when it is over."""

    def __init__(self, namespace: Namespace, writer: asyncio.StreamWriter) -> None:
        self.namespace = namespace
        self.granted: set[str] = set()
        self.replies: dict[str, Outgoing] = {}
        self.max_frame = MAX_FRAME
        self._writer = writer
        self._reader = FrameReader()
        self._sessions: dict[int, Session] = {}

    def feed(self, data: bytes) -> bool:
        """Whether to go on."""
        return all(self._take(one) for one in self._reader.feed(data))

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def drop(self) -> None:
        """As a network that breaks, and what a close of either side ends with."""
        for session in self._sessions.values():
            for link in session.links.values():
                link.forget()
        self._writer.transport.abort()

    def _take(self, one: Frame) -> bool:
        said = one.performative
        if one.header is not None:
            self.write(one.header)
            if one.header == _SASL_HEADER:
                mechanisms = Array([Symbol("MSSBCBS"), Symbol("ANONYMOUS")])
                self.write(frame(0, Performative("sasl_mechanisms", mechanisms=mechanisms)))
        elif said is not None and (take := getattr(self, f"_take_{said.kind}", None)):
            return take(one.channel, said, one.payload) is not False
        return True

    def _take_sasl_init(self, *_: object) -> None:
        self.write(frame(0, Performative("sasl_outcome", code=0)))

    def _take_open(self, channel: int, said: Performative, _: bytes) -> None:
        self.max_frame = min(said.max_frame_size or MAX_FRAME, MAX_FRAME)
        ours = Performative("open", container_id="emulator", max_frame_size=MAX_FRAME, channel_max=_MOST_HANDLES)
        self.write(frame(channel, ours))

    def _take_begin(self, channel: int, said: Performative, _: bytes) -> None:
        session = self._sessions[channel] = Session(self, channel, said)
        state = session.session_state()
        del state["next_incoming_id"]
        session.write("begin", remote_channel=channel, handle_max=_MOST_HANDLES, **state)

    def _take_attach(self, channel: int, said: Performative, _: bytes) -> None:
        session = self._sessions[channel]
        common = {"name": said.name, "handle": said.handle, "role": not said.role}
        try:
            link = Outgoing(session, said) if said.role else Incoming(session, said)
        except Refused as refusal:
            # Without its terminus, which is how AMQP announces that a detach follows (part 2, 2.6.3).
            session.write("attach", **common, initial_delivery_count=0)
            session.write("detach", handle=said.handle, closed=True, error=refusal.error)
            return
        session.links[said.handle] = link
        more = {"initial_delivery_count": 0} if said.role else {"max_message_size": self.namespace.max_message_size}
        modes = {"snd_settle_mode": said.snd_settle_mode, "rcv_settle_mode": said.rcv_settle_mode}
        session.write("attach", **common, source=said.source, target=said.target, **modes, **more)
        link.attached()

    def _take_flow(self, channel: int, said: Performative, _: bytes) -> None:
        link = self._sessions[channel].links.get(said.handle)
        if isinstance(link, Outgoing):
            link.credited(said)

    def _take_transfer(self, channel: int, said: Performative, payload: bytes) -> bool:
        session = self._sessions[channel]
        session.next_incoming_id += 1
        link = session.links.get(said.handle)
        return not isinstance(link, Incoming) or link.take(said, payload)

    def _take_detach(self, channel: int, said: Performative, _: bytes) -> None:
        session = self._sessions.get(channel)  # the Python SDK detaches from sessions that it has already ended
        if session and (link := session.links.pop(said.handle, None)):
            link.forget()
            session.write("detach", handle=said.handle, closed=True)

    def _take_end(self, channel: int, *_: object) -> None:
        session = self._sessions.pop(channel)
        for link in session.links.values():
            link.forget()
        session.write("end")

    def _take_close(self, channel: int, *_: object) -> bool:
        self.write(frame(channel, Performative("close")))
        return False
