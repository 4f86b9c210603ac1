"""What sends, in OpenTelemetry's words: the attributes of its resource, by OpenTelemetry's own variables."""

from collections.abc import Mapping
from urllib.parse import unquote

from ... import __version__

__all__ = ["resource_attributes", "written_pairs"]


def resource_attributes(environ: Mapping[str, str]) -> dict[str, str]:
    """``service.name`` is ``tokenweir`` where no variable says otherwise."""
    named = dict(written_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    service = {"service.name": name} if (name := environ.get("OTEL_SERVICE_NAME", "").strip()) else {}
    return {"service.name": "tokenweir", "service.version": __version__} | named | service


def written_pairs(text: str) -> list[tuple[str, str]]:
    """``name=value,other=value``, percent-encoded, as OpenTelemetry's variables have them."""
    split = (piece.partition("=") for piece in text.split(",") if "=" in piece)
    return [(unquote(name.strip()), unquote(value.strip())) for name, _, value in split if name.strip()]
