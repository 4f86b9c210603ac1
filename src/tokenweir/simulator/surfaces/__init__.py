"""The surfaces that the simulator speaks: one module each, listed in `SURFACES`.

To add one, write ``surfaces/NAME.py`` with a `SimulatedSurface` (``../surface.py`` explains its fields) and put it into
the table below. Its routes say method, path and body; `routes.py` finds them at all of Azure's, OpenAI's and Foundry's
addresses. What answers there is a function of the call, its script and its moment:

* It decides at once what is said and used (an `Answer`: tokens, and in `quantities` whatever else is charged), and
  returns a `Reply` with a whole body, or with `pieces` for a stream. The ledger's line is made of that: all of it where
  the answer ended, reasoning and what had been written where it broke off. No `answer`: nothing was used.
* `response_headers` makes the headers (replace the first, the content type, where it is not JSON or events),
  `chat_answer` prose and calls of tools, `prose` a text of so many tokens, `events` server-sent events; `until_fault`
  cuts them. Statuses, cuts, hangs, delays, gzip and refused prompts need nothing here.
* What later calls ask for (a response, a file, a job) is kept in `moment.store`, by kind and id; the usage of a job is
  entered with the call that first sees it done, or with the one that made it: as the service bills it.
* A WebSocket is a route with `open`: what it returns speaks on the connection, and books each turn when it is over.

What only this surface can be told is a member of `Script`. The official SDK is its test, in ``tests/simulator/``.
"""

from ..surface import SimulatedSurface
from . import audio, batches, chat, embeddings, images, jobs, messages, other, realtime, responses, speech
from .other import OTHER

__all__ = ["OTHER", "SURFACES"]

SURFACES: tuple[SimulatedSurface, ...] = (
    chat.CHAT_COMPLETIONS,
    chat.COMPLETIONS,
    responses.RESPONSES,
    realtime.REALTIME,
    embeddings.EMBEDDINGS,
    messages.MESSAGES,
    messages.COUNT_TOKENS,
    audio.TRANSCRIPTIONS,
    audio.TRANSLATIONS,
    speech.SPEECH,
    images.GENERATIONS,
    images.EDITS,
    speech.MODERATIONS,
    speech.RERANK,
    other.MODELS,
    batches.FILES,
    batches.BATCHES,
    jobs.FINE_TUNING,
    jobs.VIDEOS,
    jobs.VECTOR_STORES,
)
"""All but `OTHER`, which answers whatever none of them does."""
