"""Has a streamed call traced by the gateway, and fetches what the gateway says of it.

APIM_SERVICE_ID is set      API Management, by MANAGEMENT_URL (https://management.azure.com) and MANAGEMENT_TOKEN
else                        the gateway of the configuration, by its admin port
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import msgspec

from ...config import Config, parse_address
from ...errors import TokenweirError
from ...stopwatch import StreamTarget, mask
from .view import plain

__all__ = ["DEBUG_HEADER", "Tracer", "show_trace"]

DEBUG_HEADER = "Apim-Debug-Authorization"

_AZURE = "https://management.azure.com"
_ANY_SERVICE = "/subscriptions/-/resourceGroups/-/providers/Microsoft.ApiManagement/service/tokenweir"
_VERSION = "2023-05-01-preview"
_TIMEOUT_SECONDS = 30.0
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Tracer:
    """Speaks API Management's management contract."""

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        service = environ.get("APIM_SERVICE_ID")
        if service:
            base, self._token = environ.get("MANAGEMENT_URL") or _AZURE, environ.get("MANAGEMENT_TOKEN")
            self._where = base
            opener = urllib.request.build_opener()
        else:
            host, port = parse_address(config.server.admin)
            host = _REACHED_AT.get(host, host)
            base, self._token = f"http://{f'[{host}]' if ':' in host else host}:{port}", config.server.admin_token
            self._where = f"the admin port {config.server.admin}"
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._service = (service or _ANY_SERVICE).rstrip("/")
        self._api = environ.get("APIM_API") or config.tracing.api
        self._base = base.rstrip("/")
        self._open = opener.open

    def debug_token(self) -> str:
        """A token for an hour. Raises TokenweirError with the reason where there is none."""
        asked = {
            "credentialsExpireAfter": "PT1H",
            "apiId": f"{self._service}/apis/{self._api}",
            "purposes": ["tracing"],
        }
        return str(self._ask("listDebugCredentials", asked).get("token", ""))

    def trace(self, trace_id: str) -> dict[str, Any]:
        return self._ask("listTrace", {"traceId": trace_id})

    def _ask(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self._base}{self._service}/gateways/managed/{action}?api-version={_VERSION}",
            msgspec.json.encode(body),
            {"Content-Type": "application/json"},
        )
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            with self._open(request, timeout=_TIMEOUT_SECONDS) as answer:
                return msgspec.json.decode(answer.read(), type=dict[str, Any])
        except urllib.error.HTTPError as error:
            with error:
                said = _message(error.read())
            raise TokenweirError(f"--trace: {self._where} answered {error.code} to {action}: {plain(said)}") from error
        except (OSError, ValueError) as error:
            raise TokenweirError(f"--trace: {self._where} gave no answer to {action} ({error})") from error


def show_trace(tracer: Tracer, answered: Mapping[str, str], target: StreamTarget, *, as_json: bool) -> None:
    """What the gateway says of the call with these headers in its answer, or why it says nothing."""
    trace_id = answered.get("apim-trace-id")
    if trace_id is None:
        refused = [name for name in answered if name.startswith("apim-debug-authorization-")]
        why = f"the answer says {refused[0]}" if refused else "whoever answered did not issue the debug token"
        print(f"tokenweir: --trace: there is no trace: {why}", file=sys.stderr)
        return
    trace = tracer.trace(trace_id)
    secrets = [value for value in (target.key, *(value for _, value in target.headers)) if value]
    if as_json:
        print(mask(msgspec.json.encode({"type": "trace", **trace}).decode(), secrets))
        return
    print(f"\ntrace {trace_id}")
    for section, entries in trace["traceEntries"].items():
        for entry in entries:
            print(mask(plain(_line(section, entry)), secrets))


def _line(section: str, entry: Mapping[str, Any]) -> str:
    """Of data without a message (API Management's may hold keys) only the names are told."""
    data = entry.get("data")
    said = ""
    if isinstance(data, dict):
        message = data.get("message")
        said = message if isinstance(message, str) else ", ".join(data)
    return f"{entry.get('elapsed', '')}  {section:<8} {entry.get('source', ''):<8} {said}"


def _message(content: bytes) -> str:
    try:
        return str(msgspec.json.decode(content)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return "it says no more"
