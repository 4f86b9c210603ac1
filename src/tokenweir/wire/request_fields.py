"""What becomes of each header and query field of a request: one table, which the readers and the documentation share.

Whatever the table does not name travels on as it came. Names are compared as servers that read ``_`` as ``-`` would: a
line ``api_key: …`` is no key here, and must not become one behind us.
"""

from typing import Final, Literal

__all__ = [
    "CALLER_KEYS",
    "HEADERS",
    "PREFIXES",
    "PRINCIPAL",
    "QUERY",
    "QUERY_KEYS",
    "Fate",
    "header_stays",
    "is_secret",
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

CALLER_KEYS: Final = (b"api-key", b"x-api-key", b"ocp-apim-subscription-key", b"authorization")
"""Where a caller's key is looked for, in this order; the query comes last."""

PRINCIPAL: Final = b"x-ms-client-principal-name"
"""Who called, as App Service and Container Apps authentication say it."""

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
    b"upgrade": ("hop by hop", ""),
    b"accept-encoding": ("rewritten", "`identity` for metered calls: what is compressed cannot be read as it passes"),
    b"cookie": ("dropped", "a session with whatever stands before us, such as `AppServiceAuthSession`"),
    b"cookie2": ("dropped", "as `Cookie`"),
    b"x-functions-key": ("dropped", "opens a Function App"),
    b"x-zumo-auth": ("dropped", "a session of App Service authentication"),
    b"x-auth-token": ("dropped", "a credential of another API"),
    b"x-access-token": ("dropped", "a credential of another API"),
    b"x-goog-api-key": ("dropped", "a credential of another API"),
    b"x-amz-security-token": ("dropped", "a credential of another API"),
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
}
"""Beginnings of names."""

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
    return spelled in HEADERS or spelled.startswith(tuple(PREFIXES))


def is_secret(name: bytes) -> bool:
    """Whether a header's value may open something, so that its line is not remembered."""
    fate, _ = HEADERS.get(name.replace(b"_", b"-"), ("", ""))
    return fate in ("caller's key", "dropped") or name == b"proxy-authorization" or (fate == "" and header_stays(name))


def query_fate(name: str) -> Fate | None:
    """What becomes of a query field, by its decoded name; ``None`` where it travels on."""
    spelled = name.casefold().replace("_", "-")
    return next((fate for known, (fate, _) in QUERY.items() if known.replace("_", "-") == spelled), None)
