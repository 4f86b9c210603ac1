"""A call and its script become a reply: what the surface says, or what goes wrong instead."""

from math import ceil

import msgspec

from .failures import Refused, error_body, error_for
from .headers import identity, response_headers
from .routes import is_anthropic
from .script import Script
from .surface import AnswerContext, Reply, SimulatedCall

__all__ = ["refusal", "reply"]


def reply(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    """What Azure would say, with what the script wants of it. Raises Refused as Azure does."""
    if script.status is not None:
        return _failure(call, script, moment)
    _check(call, script)
    made = call.route.answer(call, script, moment)
    if made.answer is not None and not call.anthropic:
        if script.prompt_filter:
            made.answer = msgspec.structs.replace(made.answer, completion_tokens=0, reasoning_tokens=0, choices=())
            return _failure(call, script, moment, made)
        if made.pieces is None and script.error_frame_after is not None:
            return _failure(call, msgspec.structs.replace(script, status=500), moment)
    return _with_fault(made, script)


def refusal(error: Refused, moment: AnswerContext, path: str, *, azure: bool = True) -> Reply:
    """An error answer that no script asked for."""
    headers = [("content-type", "application/json"), *identity(moment, azure=azure)]
    body = error_body(error, moment.id, anthropic=is_anthropic(path))
    return Reply(status=error.status, headers=headers, body=msgspec.json.encode(body))


def _failure(call: SimulatedCall, script: Script, moment: AnswerContext, made: Reply | None = None) -> Reply:
    """The status that was asked for; without one, the refusal of the prompt, which counts as used."""
    status = script.status or 400
    wait = float(script.retry_after) if script.retry_after is not None else 1.0
    headers = response_headers(call, script, moment)
    if status == 429 or script.retry_after is not None:
        headers += [("retry-after", str(ceil(wait))), ("retry-after-ms", str(round(wait * 1000)))]
    if script.status is None:
        error = Refused.prompt_filtered()
    else:
        operation = call.surface.azure_operation or call.operation
        error = Refused(status, error_for(status, operation, call.api_version, ceil(wait)))
    body = msgspec.json.encode(error_body(error, moment.id, anthropic=call.anthropic))
    return _with_fault(Reply(status=status, headers=headers, body=body, answer=made.answer if made else None), script)


def _check(call: SimulatedCall, script: Script) -> None:
    """The refusals that are about the body, whatever the surface."""
    if call.anthropic:
        return
    if script.refuse_stream_options and "stream_options" in call.body:
        raise Refused.bad_request("Unrecognized request argument supplied: stream_options")
    if call.body.get("stream_options") is not None and not call.stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused.bad_request(message, "stream_options")
    for limit in ("max_tokens", "max_completion_tokens", "max_output_tokens", "n"):
        value = call.body.get(limit)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise Refused.bad_request(f"Invalid '{limit}': expected an integer of at least 1.", limit)
    for member in call.route.needs:
        if not call.body.get(member):
            raise Refused.missing(member)


def _with_fault(made: Reply, script: Script) -> Reply:
    fault = script.fault()
    if fault is not None and fault[0] != "error_frame":
        made.ending = fault[0]
        made.silent = fault[1] == 0
    return made
