"""A 401 or 403 is about the gateway or about the request; what Azure and OpenAI say tells which."""

import json

import pytest
from hypothesis import given, strategies as st

from tokenweir.providers import AccessRefusal, access_refusal


def azure(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def anthropic(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


WRONG_KEY = "Access denied due to invalid subscription key or wrong API endpoint."
NO_ROLE = "The principal `p` lacks the required data action `a` to perform `POST /openai/…` operation."


@pytest.mark.parametrize(
    ("status", "body", "refused"),
    [
        (401, azure("401", WRONG_KEY), AccessRefusal("credential", None)),
        (401, azure("PermissionDenied", NO_ROLE), AccessRefusal("credential", "PermissionDenied")),
        (401, azure("invalid_api_key", "Incorrect API key"), AccessRefusal("credential", "invalid_api_key")),
        (401, b'{"statusCode":401,"message":"Access denied."}', AccessRefusal("credential", None)),
        (401, b"", AccessRefusal("credential", None)),
        (401, b"<html>", AccessRefusal("credential", None)),
        (401, azure("mismatched_project", "OpenAI-Project header should match project for API key"), None),
        (403, azure("AuthenticationTypeDisabled", "Key based authentication is disabled for this resource."),
         AccessRefusal("credential", "AuthenticationTypeDisabled")),
        (403, azure("PermissionDenied", NO_ROLE), AccessRefusal("credential", "PermissionDenied")),
        (403, b'{"error":{"code":null,"message":"You have insufficient permissions. Missing scopes: model.request"}}',
         AccessRefusal("credential", None)),
        (403, azure("403", "Access denied due to Virtual Network/Firewall rules."), AccessRefusal("network", None)),
        (403, azure("403", "Public access is disabled. Please configure private endpoint."),
         AccessRefusal("network", None)),
        (403, b'{"code":"403","message":"A Virtual Network is configured."}', AccessRefusal("network", None)),
        (403, azure("unsupported_country_region_territory", "Country, region, or territory not supported"),
         AccessRefusal("network", "unsupported_country_region_territory")),
        (403, azure("model_not_found", "Project `p` does not have access to model `m`"), None),
        (403, azure("content_policy_violation", "Your request was rejected."), None),
        (403, b'{"statusCode":403,"message":"Out of call volume quota."}', None),
        (401, anthropic("authentication_error", "invalid x-api-key"),
         AccessRefusal("credential", "authentication_error")),
        (403, anthropic("permission_error", "Your API key does not have permission to use the specified resource."),
         AccessRefusal("credential", "permission_error")),
        (403, b"", None),
        (403, b"[1]", None),
        (403, b'{"error":"no"}', None),
    ],
)  # fmt: skip
def test_who_is_refused(status: int, body: bytes, refused: AccessRefusal | None) -> None:
    assert access_refusal(status, body) == refused


@given(st.binary() | st.text().map(str.encode))
def test_any_body_is_read(body: bytes) -> None:
    assert access_refusal(401, body) is not None
    access_refusal(403, body)


@given(st.text())
def test_only_one_word_of_what_it_says_is_kept(code: str) -> None:
    refused = access_refusal(401, json.dumps({"error": {"code": code}}).encode())
    assert refused is None or refused.code is None or refused.code.replace("-", "_").replace(".", "_").isidentifier()
