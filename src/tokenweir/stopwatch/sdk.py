"""Watches a call through the official SDK: what a program that uses it sees, and when."""

import json
from contextlib import closing
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..records import Clock, SystemClock
from ..upstream import Endpoint
from .headers import shown_headers
from .masking import mask
from .moments import Began, BodyPiece, Chunk, Ended, Ending, Head, Tell
from .target import Kind, StreamApi, StreamTarget

if TYPE_CHECKING:
    from openai import AzureOpenAI, OpenAI

__all__ = ["require_sdk", "watch_sdk"]


def require_sdk() -> None:
    """Raises ``ConfigError`` where the SDK is not installed."""
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise ConfigError("--via sdk calls with the official SDK: pip install 'tokenweir[sdk]'") from error


def watch_sdk(target: StreamTarget, prompt: str, *, timeout: float, clock: Clock, tell: Tell) -> None:
    """As ``watch_http``; there are no pieces, and the time of connecting is part of the call's."""
    tell(Began.now(target, "sdk", clock))
    _warm_up(target.kind, target.api)
    with closing(_client(target, timeout)) as client:
        tell(_Call(client, target, clock, tell).run(prompt))


_WARM_UP = b'data: {"id":"","object":"","created":0,"model":"","choices":[]}\n\ndata: [DONE]\n\n'


@lru_cache
def _warm_up(kind: Kind, api: StreamApi) -> None:
    """One call that never leaves the process: in its first one the SDK imports and compiles for some 400 ms."""
    import openai

    # httpx2; before openai 3 httpx
    library = import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
    transport = library.MockTransport(
        lambda request: library.Response(200, content=_WARM_UP, headers={"content-type": "text/event-stream"})
    )
    endpoint = Endpoint.parse("http://127.0.0.1")
    target = StreamTarget(name="", endpoint=endpoint, kind=kind, api=api, deployment="-", api_version="-")
    with closing(_client(target, 1.0, library.Client(transport=transport))) as client:
        _Call(client, target, SystemClock(), lambda moment: None).run("-")


def _client(target: StreamTarget, timeout: float, http_client: Any = None) -> "OpenAI | AzureOpenAI":
    """Loopback is never behind the proxy of the environment."""
    import openai

    common: dict[str, Any] = {
        "api_key": target.key or "none",
        "timeout": timeout,
        "max_retries": 0,
        "default_headers": dict([target.key_line] if target.key_line and target.key_header else []),
        "http_client": http_client or openai.DefaultHttpxClient(trust_env=target.endpoint.tls),
    }
    if target.kind == "openai":
        return openai.OpenAI(base_url=target.base, **common)
    return openai.AzureOpenAI(azure_endpoint=target.base, api_version=target.api_version, **common)


class _Call:
    def __init__(self, client: "OpenAI | AzureOpenAI", target: StreamTarget, clock: Clock, tell: Tell) -> None:
        self._client = client
        self._target = target
        self._clock = clock
        self._tell = tell
        self._has_head = False
        self._zero = 0.0

    def run(self, prompt: str) -> Ended:
        import openai

        self._zero = self._clock.monotonic()
        try:
            answer = self._ask(prompt)
            self._tell(self._head(answer.status_code, answer.headers))
            with answer.parse() as stream:
                for chunk in stream:
                    at = self._at()
                    self._tell(Chunk(at, self._masked(chunk.model_dump_json(exclude_unset=True))))
        except openai.APIStatusError as error:
            self._tell(self._head(error.status_code, error.response.headers))
            body = self._masked(error.response.text).encode()
            self._tell(BodyPiece(self._at(), body, len(body)))
            return Ended(self._at(), "refused", type(error).__name__)
        except openai.APITimeoutError:
            return Ended(self._at(), "timed_out", f"nothing came for {self._client.timeout} s")
        except openai.APIConnectionError as error:
            how: Ending = "closed" if self._has_head else "unreachable"
            return Ended(self._at(), how, self._masked(str(error.__cause__ or error)))
        except openai.APIError as error:
            told = error.body if isinstance(error.body, dict) else {"message": error.message}
            self._tell(Chunk(self._at(), self._masked(json.dumps({"error": told}))))
            return Ended(self._at(), "refused", type(error).__name__)
        except Exception as error:  # in the middle of a stream the SDK lets through what its transport raises
            return Ended(self._at(), "closed", self._masked(f"{type(error).__name__}: {error}"))
        return Ended(self._at(), "complete")

    def _ask(self, prompt: str) -> Any:
        """The answer's head, and its stream as the SDK parses it."""
        body = self._target.body(prompt)
        apis: dict[str, Any] = {
            "chat": self._client.chat.completions,
            "completions": self._client.completions,
            "responses": self._client.responses,
        }
        known = {name: body.pop(name) for name in ("model", "messages", "prompt", "input", "stream") if name in body}
        create = apis[self._target.api].with_raw_response.create
        return create(**known, extra_body=body, extra_headers=dict(self._target.headers))

    def _head(self, status: int, headers: Any) -> Head:
        self._has_head = True
        shown, withheld = shown_headers(headers.multi_items(), self._target.secrets, every=self._target.every_header)
        return Head(self._at(), status, shown, withheld)

    def _masked(self, text: str) -> str:
        return mask(text, self._target.secrets)

    def _at(self) -> float:
        return round(self._clock.monotonic() - self._zero, 6)
