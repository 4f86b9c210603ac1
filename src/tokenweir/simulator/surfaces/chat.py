"""Chat completions and completions: choices of text or of tool calls, whole or in frames."""

import msgspec

from ..answers import chat_answer, text_answer
from ..frames import Frames, whole_answer
from ..headers import response_headers
from ..script import Script
from ..streams import stream
from ..surface import Call, Moment, Reply, SimulatedRoute, SimulatedSurface

__all__ = ["CHAT_COMPLETIONS", "COMPLETIONS"]


def _answer(call: Call, script: Script, moment: Moment) -> Reply:
    chat = call.surface is CHAT_COMPLETIONS
    said = (chat_answer if chat else text_answer)(call.body, call.deployment, script)
    headers = response_headers(call, script, moment, said)
    filters = script.filters if script.filters is not None else call.azure or script.async_filter
    usage = script.usage == "auto" and (call.include_usage or not call.stream)
    id = f"{'chatcmpl' if chat else 'cmpl'}-{moment.id.replace('-', '')[:29]}"
    made = Reply(headers=headers, answer=said, usage=usage)
    if call.stream:
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
        )
        made.pieces = stream(said, frames, script, usage=usage)
        return made
    told = said.usage() if usage else None
    body = whole_answer(said, chat=chat, id=id, created=moment.created, filters=filters, usage=told)
    made.body = msgspec.json.encode(body)
    return made


CHAT_COMPLETIONS = SimulatedSurface(
    api="chat_completions",
    title="Chat completions, with tools",
    azure_operation="ChatCompletions_Create",
    routes=(SimulatedRoute(path="chat/completions", answer=_answer, needs=("messages",), streams=True),),
)

COMPLETIONS = SimulatedSurface(
    api="completions",
    title="Completions",
    azure_operation="Completions_Create",
    routes=(SimulatedRoute(path="completions", answer=_answer, needs=("prompt",), streams=True),),
)
