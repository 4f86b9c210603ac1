"""The desk: looks at each request, decides what to answer, and keeps the book about it."""

import re
from collections import Counter
from datetime import datetime

import msgspec

from ..records import Clock, Duration, SystemClock, new_call_id
from .connection import Exchange
from .failures import Refused
from .replies import refusal, reply
from .request import ReceivedRequest
from .routes import route
from .said import Answer
from .script import Script, read_script
from .sent import SentCall, SentCalls
from .settings import SimulatorSettings
from .store import StoredObjects
from .surface import AnswerContext, Book, Reply, SimulatedCall
from .throttle import Throttle

__all__ = ["SimulatorDesk"]

_CALLS = "/simulator/calls"
_HELLO = b"A simulated Azure OpenAI. GET /simulator/calls lists what it was asked and what it said.\n"

_CLIENT_IDS = ("x-tokenweir-call-id", "x-client-request-id", "x-ms-client-request-id")

# "old" as people put it into a name: old-gpt, gpt-4-old, gpt4old; not gold, not threshold.
_OLD = re.compile(r"(?<![a-z])old", re.IGNORECASE)


class _Told(Exchange, kw_only=True):
    """An exchange with what the book will want to know of it."""

    id: str
    started: datetime
    call: SimulatedCall | None = None


class SimulatorDesk:
    """Answers requests; writes each into the book when it has ended. One per simulator."""

    def __init__(self, settings: SimulatorSettings, calls: SentCalls, clock: Clock | None = None) -> None:
        self._settings = settings
        self._calls = calls
        self._clock = clock or SystemClock()
        self._gone_wrong: Counter[str] = Counter()
        self._store = StoredObjects()
        self._throttle = Throttle(settings, self._clock)

    def answer(self, request: ReceivedRequest) -> Exchange:
        if request.path == _CALLS or request.path == "/":
            return Exchange(request=request, reply=self._about_itself(request), script=Script())
        started = self._clock.now()
        moment = AnswerContext(new_call_id(), int(started.timestamp()), self._settings.region, self._store)
        call: SimulatedCall | None = None
        script = Script()
        try:
            self._check_key(request)
            call = route(request)
            script = self._script(call)
            if call.route.open is not None and request.wants_websocket and script.status is None:
                session = call.route.open(call, script, moment, self._book(call))
                made = Reply(status=101, headers=[])
                return _Told(
                    request=request,
                    reply=made,
                    script=script,
                    id=moment.id,
                    started=started,
                    call=call,
                    session=session,
                )
            made = reply(call, script, moment)
        except Refused as error:
            azure = call.azure if call else not request.path.startswith("/v1/")
            made = refusal(error, moment, request.path, azure=azure)
            script = Script()
        return _Told(request=request, reply=made, script=script, id=moment.id, started=started, call=call)

    def ended(self, exchange: Exchange) -> None:
        if isinstance(exchange, _Told):
            entry = _entry(exchange, self._clock.now())
            self._calls.add(entry)
            self._throttle.used(entry.deployment or "", entry.prompt_tokens + entry.completion_tokens)

    def _book(self, call: SimulatedCall) -> Book:
        """Enters what a session has used so far, in lines of its own."""

        def book(said: Answer, id: str, told_usage: bool) -> None:
            now = self._clock.now()
            reply = Reply(headers=[], answer=said, usage=told_usage)
            # of an answer that was not told to its end, what was charged
            visible = min(said.visible_tokens, said.completion_tokens - said.reasoning_tokens)
            told = _Told(
                request=call.request,
                reply=reply,
                script=Script(),
                id=id,
                started=now,
                call=call,
                visible=visible,
                usage_sent=told_usage,
                finished=True,
            )
            self._calls.add(_entry(told, now))

        return book

    def _check_key(self, request: ReceivedRequest) -> None:
        key = self._settings.key
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        named = [request.headers.get(name) for name in ("api-key", "x-api-key")]
        if key is not None and key not in (*named, bearer):
            raise Refused.wrong_key()

    def _script(self, call: SimulatedCall) -> Script:
        """The request's script, after the server's own wishes and the times it may still go wrong."""
        script = read_script(call.request.headers, call.body, self._settings.script)
        if script.fail_times is not None:
            key = script.id or script.text()
            if self._gone_wrong[key] >= script.fail_times:
                return script.without_faults()
            self._gone_wrong[key] += 1
            if script.without_faults() == msgspec.structs.replace(script, fail_times=None):
                script = msgspec.structs.replace(script, status=500)
        if script.status is None and (wait := self._throttle.wait(call.deployment or "")) is not None:
            script = msgspec.structs.replace(script, status=429, retry_after=Duration(wait))
        if self._settings.refuse_stream_options or _OLD.search(call.deployment or ""):
            script = msgspec.structs.replace(script, refuse_stream_options=True)
        return script

    def _about_itself(self, request: ReceivedRequest) -> Reply:
        body, kind = _HELLO, "text/plain"
        if request.path == _CALLS:
            body, kind = self._calls.lines(), "application/x-ndjson"
            if request.method == "DELETE":
                self._calls.clear()
        return Reply(status=200, headers=[("content-type", kind)], body=body)


def _entry(told: _Told, now: datetime) -> SentCall:
    call, said = told.call, told.reply.answer
    headers = told.request.headers
    completion = reasoning = 0
    if said is not None:
        broken_off = not told.reply.runs_on and told.reply.pieces is not None and told.visible < said.visible_tokens
        reasoning = said.reasoning_tokens
        completion = reasoning + told.visible if broken_off else said.completion_tokens
    return SentCall(
        id=told.id,
        client_request_id=next((headers[name] for name in _CLIENT_IDS if name in headers), None),
        method=told.request.method,
        path=told.request.path,
        api=call.api if call else "other",
        deployment=call.deployment if call else None,
        model=said.model if said else None,
        service_tier=said.service_tier if said else None,
        stream=call.stream if call else False,
        status=told.reply.status,
        prompt_tokens=said.prompt_tokens if said else 0,
        cached_tokens=said.cached_tokens if said else 0,
        cache_write_tokens=said.cache_write_tokens if said else 0,
        completion_tokens=completion,
        reasoning_tokens=reasoning,
        visible_tokens=told.visible,
        quantities=said.quantities if said else {},
        usage_sent=told.usage_sent,
        finished=told.finished,
        started=told.started,
        ended=now,
    )
