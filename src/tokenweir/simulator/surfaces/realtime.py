"""The realtime API over WebSocket: a conversation of text and sound, answered in text or in sound with its transcript.

Sound is taken as 16-bit PCM at 24 kHz: a token for each 100 ms that was heard, and for each 50 ms that is spoken. The
answer's transcript has as many tokens as the script says, and its sound four for each of them. A response that is
cancelled, or whose client leaves, is charged as far as it was told.
"""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from ... import vocabulary
from ...records import exact_amount
from .. import prose
from ..failures import Refused
from ..forms import form_of
from ..headers import identity, response_headers
from ..said import Answer, Choice
from ..script import Script
from ..surface import AnswerContext, Book, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface
from ..websocket import SocketSession, Told

__all__ = ["REALTIME"]

_BYTES_A_SECOND = 48_000
_HEARD_A_SECOND = 10
_SOUND_PER_WORD = 4
_USUAL_TOKENS = 12
_ENCODING = "o200k_base"


class _Line(msgspec.Struct):
    """A session whose sound comes by another way (WebRTC, telephone), with those that listen to it."""

    model: str
    script: Script
    sockets: list["_Session"] = []
    """The first one keeps the conversation; what is told on it is told to all."""


class _Session(SocketSession):
    """One session; its responses come one after the other."""

    def __init__(self, call: SimulatedCall, script: Script, moment: AnswerContext, book: Book) -> None:
        super().__init__(call, moment)
        query = call.request.query
        self._line: _Line | None = None
        if "call_id" in query:
            self._line = moment.store.get("realtime.call", query["call_id"])
            script, query = self._line.script, {"model": self._line.model}
        self._script = script
        self._book = book
        self._model = script.model or query.get("model") or query.get("deployment") or "gpt-realtime"
        self._hears_with: str | None = None
        self._modalities = ["audio"]
        self._heard_bytes = 0
        self._text_tokens = self._audio_tokens = 0
        """Of the conversation so far."""
        self._count = 0
        self._current: _Response | None = None

    def opened(self) -> None:
        super().send("session.created", session=self._described())
        if self._line is not None:
            self._line.sockets.append(self)

    def send(self, kind: str, **members: Any) -> None:
        super().send(kind, **members)
        for other in self._line.sockets if self._line is not None else ():
            if other is not self:
                SocketSession.send(other, kind, **members)

    def heard(self, event: dict[str, Any]) -> None:
        if self._line is not None and self._line.sockets[0] is not self:
            self._line.sockets[0].heard(event)
            return
        match event["type"]:
            case "session.update" | "transcription_session.update":
                self._update(_object(event.get("session")))
            case "input_audio_buffer.append":
                self._heard_bytes += len(base64.b64decode(str(event.get("audio", ""))))
            case "input_audio_buffer.clear":
                self._heard_bytes = 0
                self.send("input_audio_buffer.cleared")
            case "input_audio_buffer.commit":
                self._commit()
            case "conversation.item.create":
                item = _object(event.get("item"))
                self._text_tokens += _tokens_of(item)
                told = {"id": self._name("item"), "object": "realtime.item", "status": "completed", **item}
                self.send("conversation.item.added", item=told, previous_item_id=None)
                self.send("conversation.item.done", item=told, previous_item_id=None)
            case "response.create":
                self._respond(_object(event.get("response")))
            case "response.cancel":
                self._cancel()
            case other:
                self._refuse("invalid_value", f"Invalid value: '{other}'.", "type")

    def left(self) -> None:
        if self._line is not None and self in self._line.sockets:
            self._line.sockets.remove(self)
        if self._current is not None and self.is_telling:
            self._book(self._current.said(self._model), self._current.id, False)

    def _described(self) -> dict[str, Any]:
        transcription = {"model": self._hears_with} if self._hears_with else None
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": self.moment.name("sess"),
            "model": self._model,
            "output_modalities": self._modalities,
            "instructions": "",
            "audio": {"input": {"transcription": transcription, "turn_detection": None}},
        }

    def _update(self, wanted: dict[str, Any]) -> None:
        heard = _object(_object(wanted.get("audio")).get("input")).get("transcription")
        model = _object(heard or wanted.get("input_audio_transcription")).get("model")
        if isinstance(model, str):
            self._hears_with = model
        if isinstance(wanted.get("instructions"), str):
            self._text_tokens += vocabulary.count(wanted["instructions"], _ENCODING)
        if isinstance(modalities := wanted.get("output_modalities") or wanted.get("modalities"), list):
            self._modalities = modalities
        self.send("session.updated", session=self._described())

    def _commit(self) -> None:
        if not self._heard_bytes:
            self._refuse("input_audio_buffer_commit_empty", "The input audio buffer is empty.", None)
            return
        seconds, self._heard_bytes = self._heard_bytes / _BYTES_A_SECOND, 0
        tokens = max(1, round(seconds * _HEARD_A_SECOND))
        self._audio_tokens += tokens
        item = self._name("item")
        self.send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        if self._hears_with is not None:
            self._transcribe(item, seconds, tokens)

    def _transcribe(self, item: str, seconds: float, tokens: int) -> None:
        event = "conversation.item.input_audio_transcription"
        words = prose.words(max(1, round(seconds * 3)), self._count, _ENCODING)
        self.send(f"{event}.delta", item_id=item, content_index=0, delta=words[0])
        by_time = str(self._hears_with).startswith("whisper")
        usage: dict[str, Any] = {"type": "duration", "seconds": seconds}
        if not by_time:
            usage = {"type": "tokens", "input_tokens": tokens, "output_tokens": len(words)}
            usage |= {"total_tokens": tokens + len(words)}
            usage["input_token_details"] = {"audio_tokens": tokens, "text_tokens": 0}
        self.send(f"{event}.completed", item_id=item, content_index=0, transcript="".join(words), usage=usage)
        choice = Choice(0, words, (), "stop")
        said = Answer(model=str(self._hears_with), quantities={"input_audio_seconds": exact_amount(seconds) or 0})
        if not by_time:
            said = Answer(
                model=str(self._hears_with),
                prompt_tokens=tokens,
                audio_tokens=tokens,
                completion_tokens=len(words),
                choices=(choice,),
            )
        self._book(said, item, True)

    def _respond(self, wanted: dict[str, Any]) -> None:
        if self.is_telling:
            self._refuse(
                "conversation_already_has_active_response", "Conversation already has an active response.", None
            )
            return
        if isinstance(wanted.get("instructions"), str):
            self._text_tokens += vocabulary.count(wanted["instructions"], _ENCODING)
        modalities = wanted.get("output_modalities") or wanted.get("modalities") or self._modalities
        limit = wanted.get("max_output_tokens") or wanted.get("max_response_output_tokens")
        response = self._current = _Response(
            self._name("resp"),
            self._script,
            self._text_tokens,
            self._audio_tokens,
            speaks="audio" in modalities,
            limit=limit if isinstance(limit, int) else None,
            seed=self._count,
        )
        self.tell(self._told(response))

    def _told(self, response: "_Response") -> Iterator[Told]:
        wait, fault = float(self._script.chunk_delay), self._script.fault()
        yield {"type": "response.created", "response": response.described("in_progress")}, 0.0
        item = self._name("item")
        place = {"response_id": response.id, "item_id": item, "output_index": 0, "content_index": 0}
        for number, word in enumerate(response.words):
            if fault is not None and number == fault[1]:
                self._break(fault[0], response)
                return
            response.told = number + 1
            if response.speaks:
                yield {"type": "response.output_audio_transcript.delta", **place, "delta": word}, wait
                sound = base64.b64encode(bytes(2400)).decode()
                yield {"type": "response.output_audio.delta", **place, "delta": sound}, 0.0
            else:
                yield {"type": "response.output_text.delta", **place, "delta": word}, wait
        yield self._done(response, "incomplete" if response.is_cut else "completed"), 0.0

    def _break(self, fault: str, response: "_Response") -> None:
        if fault == "error_frame":
            self.stop_telling()
            done = self._done(response, "failed")
            self.send("response.done", response=done["response"])
        else:
            self.end(fault)  # type: ignore[arg-type]

    def _done(self, response: "_Response", status: str) -> dict[str, Any]:
        """Charges it, and keeps what was said in the conversation."""
        said = response.said(self._model)
        tells = self._script.usage == "auto"
        self._book(said, response.id, tells)
        self._text_tokens += response.told
        self._audio_tokens += response.told * _SOUND_PER_WORD if response.speaks else 0
        self._current = None
        return {"type": "response.done", "response": response.described(status, tells_usage=tells)}

    def _cancel(self) -> None:
        response = self._current
        if response is None or not self.is_telling:
            self._refuse("response_cancel_not_active", "Cancellation failed: no active response found", None)
            return
        self.stop_telling()
        done = self._done(response, "cancelled")
        self.send("response.done", response=done["response"])

    def _refuse(self, code: str, message: str, param: str | None) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": param}
        self.send("error", error=error)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{self.moment.name(kind)}{self._count:04x}"


class _Response:
    """One response and how far it was told."""

    def __init__(
        self, id: str, script: Script, text: int, audio: int, *, speaks: bool, limit: int | None, seed: int
    ) -> None:
        self.id = id
        self.speaks = speaks
        self.told = 0
        wanted = _USUAL_TOKENS if script.output_tokens is None else script.output_tokens
        self.is_cut = limit is not None and limit < wanted
        self.words = prose.words(min(wanted, limit) if limit is not None else wanted, seed, _ENCODING)
        self._text, self._audio = text, audio
        self._cached = min(script.cached_tokens, text + audio)

    def said(self, model: str) -> Answer:
        """What it is charged by now."""
        return Answer(
            model=model,
            prompt_tokens=self._text + self._audio,
            audio_tokens=self._audio,
            cached_tokens=self._cached,
            completion_tokens=self.told + self._sound,
            choices=(Choice(0, self.words[: self.told], (), "stop"),),
        )

    def described(self, status: str, *, tells_usage: bool = False) -> dict[str, Any]:
        details = {
            "cancelled": {"type": "cancelled", "reason": "client_cancelled"},
            "incomplete": {"type": "incomplete", "reason": "max_output_tokens"},
            "failed": {"type": "failed", "error": {"type": "server_error", "code": "server_error"}},
        }
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details.get(status),
            "output": [],
            "output_modalities": ["audio" if self.speaks else "text"],
            "usage": self._usage() if tells_usage else None,
        }

    @property
    def _sound(self) -> int:
        return self.told * _SOUND_PER_WORD if self.speaks else 0

    def _usage(self) -> dict[str, Any]:
        cached_text = min(self._cached, self._text)
        prompt, output = self._text + self._audio, self.told + self._sound
        return {
            "total_tokens": prompt + output,
            "input_tokens": prompt,
            "output_tokens": output,
            "input_token_details": {
                "text_tokens": self._text,
                "audio_tokens": self._audio,
                "image_tokens": 0,
                "cached_tokens": self._cached,
                "cached_tokens_details": {
                    "text_tokens": cached_text,
                    "audio_tokens": self._cached - cached_text,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": self.told, "audio_tokens": self._sound},
        }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tokens_of(item: dict[str, Any]) -> int:
    parts = item.get("content")
    texts = [_object(part).get("text") for part in parts] if isinstance(parts, list) else []
    texts.append(item.get("output"))
    return sum(vocabulary.count(text, _ENCODING) for text in texts if isinstance(text, str))


def _no_socket(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    raise Refused.bad_request("This path opens a WebSocket; ask with `Upgrade: websocket`.")


def _call(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    """A session by WebRTC: nobody here hears its sound, and whoever listens to it can make it say something."""
    try:
        said = form_of(call.request.headers.get("content-type", ""), call.request.body).get("session", "{}")
        asked = _object(msgspec.json.decode(said))
    except (ValueError, msgspec.DecodeError):
        asked = {}
    id = moment.name("rtc")
    moment.store.put("realtime.call", id, _Line(str(asked.get("model") or "gpt-realtime"), script))
    headers = [("content-type", "application/sdp"), ("location", f"/v1/realtime/calls/{id}")]
    return Reply(status=201, headers=headers + identity(moment, azure=call.azure), body=b"v=0\r\n")


def _accept(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    """A session by telephone."""
    model = call.body.get("model")
    line = _Line(model if isinstance(model, str) else "gpt-realtime", script)
    moment.store.put("realtime.call", call.parameters["id"], line)
    return Reply(headers=response_headers(call, script, moment), body=b"{}")


def _hang_up(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    line: _Line = moment.store.remove("realtime.call", call.parameters["id"])
    for socket in list(line.sockets):
        socket.say_goodbye(1000)
    return Reply(headers=response_headers(call, script, moment), body=b"{}")


REALTIME = SimulatedSurface(
    api="realtime",
    title="Realtime over WebSocket: text and sound, transcription, cancelling; calls by WebRTC and telephone, for "
    "those that listen",
    routes=(
        SimulatedRoute(path="realtime", method="GET", answer=_no_socket, body="any", open=_Session),
        SimulatedRoute(path="realtime/calls", answer=_call, body="any"),
        SimulatedRoute(path="realtime/calls/{id}/accept", answer=_accept, needs_model=False),
        SimulatedRoute(path="realtime/calls/{id}/hangup", answer=_hang_up, body="any"),
    ),
)
