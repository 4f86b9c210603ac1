"""When a certificate ends, read from its PEM file (X.509, RFC 5280, section 4.1). The ssl module does not tell it."""

import ssl
from datetime import UTC, datetime

__all__ = ["expires_at"]

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18


def expires_at(pem: bytes) -> datetime | None:
    """The end of the first certificate, which is the server's own; None if it cannot be found out."""
    try:
        first = pem[pem.index(_BEGIN) : pem.index(_END) + len(_END)]
        der = ssl.PEM_cert_to_DER_cert(first.decode("ascii"))
        _, certificate, _ = _element(der)
        _, fields, _ = _element(certificate)
        tag, content, fields = _element(fields)
        skipped = 3 if tag == _VERSION else 2  # serial number, signature, issuer; or two of them are left
        for _ in range(skipped):
            _, content, fields = _element(fields)
        _, validity, _ = _element(fields)
        _, _, behind = _element(validity)
        tag, end, _ = _element(behind)
        text = end.decode("ascii")
        if tag == _UTC_TIME:  # years 50 to 99 are of the last century
            text = ("19" if int(text[:2]) >= 50 else "20") + text
        elif tag != _GENERALIZED_TIME:
            return None
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except (ValueError, IndexError):
        return None


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """The tag and content of the first DER element, and what stands behind it."""
    tag, length, start = der[0], der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start])
    if start + length > len(der):
        raise ValueError("cut off")
    return tag, der[start : start + length], der[start + length :]
