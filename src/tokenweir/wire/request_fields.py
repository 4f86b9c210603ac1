"""What becomes of each header and query field of a request: one table, which the readers and the documentation share.

Whatever the table does not name travels on as it came. Names are compared as servers that read ``_`` as ``-`` would: a
line ``api_key: …`` is no key here, and must not become one behind us.
"""

from collections.abc import Mapping
from typing import Final, Literal

from ..providers import KEY_HEADERS

__all__ = [
    "CALLER_KEYS",
    "HEADERS",
    "PREFIXES",
    "PRINCIPAL",
    "QUERY",
    "QUERY_KEYS",
    "Fate",
    "bearer_of",
    "header_stays",
    "is_secret",
    "key_in",
    "query_fate",
]

Fate = Literal["caller's key", "platform's", "hop by hop", "rewritten", "dropped"]
"""
caller's key  says who calls: read, hashed, and not passed on
platform's    set by a platform in front that has authenticated: not passed on; read where ``platform_identity`` is set
hop by hop    between the client and us (RFC 9110, 7.6.1)
rewritten     read here; the upstream gets what this gateway makes of it
dropped       not for the upstream: a credential of somebody else's, or something that asks it to read another request
"""

CALLER_KEYS: Final = (
    *(name for name in KEY_HEADERS if name != b"authorization"),
    b"ocp-apim-subscription-key",
    b"authorization",
)
"""Where a caller's key is looked for, in this order; the query comes last."""


def key_in(fields: Mapping[bytes, bytes]) -> bytes | None:
    """The key that a caller has sent, by the lower-case names of its fields."""
    for name in CALLER_KEYS:
        key = fields.get(name)
        if name == b"authorization":
            key = bearer_of(key)
        if key:
            return key
    return None


def bearer_of(value: bytes | None) -> bytes | None:
    """What an ``Authorization`` of the scheme ``Bearer`` (RFC 6750) holds; ``None`` of any other."""
    return value[7:].strip() if value and value[:7].lower() == b"bearer " else None


PRINCIPAL: Final = (b"x-ms-client-principal-name", b"x-ms-client-principal-id")
"""Who called, as App Service and Container Apps authentication say it: by name, else by id."""

_APP_SERVICE: Final = "App Service and Functions put it in"
_OTHERS: Final = "a credential of another API"
_SIGN_IN: Final = "a token of who signed in before us"
_COPY: Final = "a copy of the URL, which may hold a key"

HEADERS: Final[dict[bytes, tuple[Fate, str]]] = {
    **dict.fromkeys(CALLER_KEYS, ("caller's key", "the gateway has its own")),
    b"connection": ("hop by hop", ""),
    b"content-length": ("hop by hop", "the upstream's request has its own"),
    b"expect": ("hop by hop", ""),
    b"host": ("hop by hop", "the upstream's own"),
    b"keep-alive": ("hop by hop", ""),
    b"proxy-authorization": ("hop by hop", "a credential for a proxy before us"),
    b"proxy-connection": ("hop by hop", ""),
    b"te": ("hop by hop", ""),
    b"trailer": ("hop by hop", ""),
    b"transfer-encoding": ("hop by hop", ""),
    b"upgrade": ("hop by hop", "a WebSocket is asked for anew"),
    b"accept-encoding": ("rewritten", "`identity` for metered calls: what is compressed cannot be read as it passes"),
    b"cookie": ("dropped", "a session with whatever stands before us, such as `AppServiceAuthSession`"),
    b"cookie2": ("dropped", "as `Cookie`"),
    b"x-zumo-auth": ("dropped", "a session of App Service authentication"),
    b"apikey": ("dropped", _OTHERS),
    b"x-auth-token": ("dropped", _OTHERS),
    b"x-access-token": ("dropped", _OTHERS),
    b"x-authorization": ("dropped", _OTHERS),
    b"x-goog-api-key": ("dropped", _OTHERS),
    b"x-amz-security-token": ("dropped", _OTHERS),
    b"x-ms-authorization-auxiliary": ("dropped", "further tokens of the caller's, for Azure Resource Manager"),
    b"sec-websocket-protocol": ("rewritten", "less the key that browsers put into it: `openai-insecure-api-key.…`"),
    b"x-forwarded-access-token": ("dropped", _SIGN_IN),
    b"x-goog-iap-jwt-assertion": ("dropped", _SIGN_IN),
    b"x-forwarded-client-cert": ("dropped", "the certificate of a client of Container Apps or Envoy"),
    b"client-ip": ("platform's", _APP_SERVICE),
    b"disguised-host": ("platform's", _APP_SERVICE),
    b"max-forwards": ("platform's", _APP_SERVICE),
    b"was-default-hostname": ("platform's", _APP_SERVICE),
    b"x-ms-invocation-id": ("platform's", _APP_SERVICE),
    b"x-site-deployment-id": ("platform's", _APP_SERVICE),
    b"x-original-uri": ("dropped", _COPY),
    b"x-forwarded-uri": ("dropped", _COPY),
    b"x-envoy-original-path": ("dropped", _COPY),
    b"x-http-method": ("dropped", "asks for another method than the one that was judged"),
    b"x-http-method-override": ("dropped", "asks for another method than the one that was judged"),
    b"x-method-override": ("dropped", "asks for another method than the one that was judged"),
    b"x-original-url": ("dropped", "asks for another path than the one that was judged"),
    b"x-rewrite-url": ("dropped", "asks for another path than the one that was judged"),
}

PREFIXES: Final[dict[bytes, tuple[Fate, str]]] = {
    b"x-ms-client-principal": ("platform's", "App Service and Container Apps authentication: who signed in"),
    b"x-ms-token-": ("platform's", "App Service and Container Apps authentication: tokens of who signed in"),
    b"x-ms-auth-": ("platform's", "App Service authentication"),
    b"x-functions-": ("platform's", "the key that opens a Function App, and what it stands for"),
    b"x-appservice-": ("platform's", _APP_SERVICE),
    b"x-arr-": ("platform's", _APP_SERVICE),
    b"x-waws-": ("platform's", _APP_SERVICE),
    b"x-auth-request-": ("dropped", _SIGN_IN),
    b"x-amzn-oidc-": ("dropped", _SIGN_IN),
    b"cf-access-": ("dropped", _SIGN_IN),
}
"""Beginnings of names."""

_HOLD_KEYS: Final = (b"proxy-authorization", b"sec-websocket-protocol")
_BEGINNINGS: Final = tuple(PREFIXES)

QUERY: Final[dict[str, tuple[Fate, str]]] = {
    "subscription-key": ("caller's key", "the gateway has its own"),
    "api-key": ("caller's key", "browsers cannot set headers of a WebSocket"),
    "access_token": ("dropped", "a bearer token in the query (RFC 6750, 2.3)"),
    "code": ("dropped", "opens a Function App"),
    "api-version": ("rewritten", "passed on once, under this spelling; an upstream may set its own"),
}

QUERY_KEYS: Final = tuple(name for name, (fate, _) in QUERY.items() if fate == "caller's key")


def header_stays(name: bytes) -> bool:
    """Whether a header, by its lower-case name, does not travel on."""
    spelled = name.replace(b"_", b"-")
    return spelled in HEADERS or spelled.startswith(_BEGINNINGS)


def is_secret(name: bytes) -> bool:
    """Whether a header's value may open something, so that its line is not remembered."""
    spelled = name.replace(b"_", b"-")
    if spelled not in HEADERS:
        return header_stays(name)
    return HEADERS[spelled][0] in ("caller's key", "platform's", "dropped") or spelled in _HOLD_KEYS


def query_fate(name: str) -> Fate | None:
    """What becomes of a query field, by its decoded name; ``None`` where it travels on."""
    spelled = name.casefold().replace("_", "-")
    return next((fate for known, (fate, _) in QUERY.items() if known.replace("_", "-") == spelled), None)
