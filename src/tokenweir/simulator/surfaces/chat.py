"""Chat completions and completions: choices of text or of tool calls, whole or in frames."""

import msgspec

from ..answers import chat_answer, text_answer
from ..frames import Frames, whole_answer
from ..headers import response_headers
from ..script import Script
from ..streams import stream
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["CHAT_COMPLETIONS", "COMPLETIONS"]


def _answer(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    chat = call.surface is CHAT_COMPLETIONS
    said = (chat_answer if chat else text_answer)(call.body, call.deployment, script)
    headers = response_headers(call, script, moment, said)
    filters = script.filters if script.filters is not None else call.azure or script.async_filter
    usage = script.usage == "auto" and (call.include_usage or not call.stream)
    id = f"{'chatcmpl' if chat else 'cmpl'}-{moment.id.replace('-', '')[-29:]}"
    made = Reply(headers=headers, answer=said, usage=usage)
    frames = Frames(
        chat=chat,
        id=id,
        created=moment.created,
        model=said.model,
        filters=filters,
        async_filter=script.async_filter,
        obfuscation=script.obfuscation,
        latency=script.latency,
        null_usage=usage,
        service_tier=said.service_tier,
        alternatives=_alternatives(call),
    )
    if call.stream:
        made.pieces = stream(said, frames, script, usage=usage)
    else:
        made.body = msgspec.json.encode(whole_answer(said, frames, said.usage() if usage else None))
    return made


def _alternatives(call: SimulatedCall) -> int | None:
    """``logprobs`` is a flag for a chat, with a number beside it; for completions it is the number."""
    asked = call.body.get("logprobs")
    if call.surface is CHAT_COMPLETIONS:
        return (call.body.get("top_logprobs") or 0) if asked is True else None
    return asked if isinstance(asked, int) and not isinstance(asked, bool) else None


CHAT_COMPLETIONS = SimulatedSurface(
    api="chat_completions",
    title="Chat completions, with tools, structured output and log probabilities",
    azure_operation="ChatCompletions_Create",
    routes=(SimulatedRoute(path="chat/completions", answer=_answer, needs=("messages",), streams=True),),
)

COMPLETIONS = SimulatedSurface(
    api="completions",
    title="Completions",
    azure_operation="Completions_Create",
    routes=(SimulatedRoute(path="completions", answer=_answer, needs=("prompt",), streams=True),),
)
