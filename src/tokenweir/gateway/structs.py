"""The noun of this room that msgspec decodes. It makes the class, which cannot be compiled."""

from typing import Any

import msgspec

__all__ = ["BodyMembers"]


class BodyMembers(msgspec.Struct, gc=False):
    """What is read of a JSON body. Types are the upstream's to judge, so any is let through."""

    model: Any = msgspec.UNSET
    stream: Any = msgspec.UNSET
    stream_options: Any = msgspec.UNSET
    service_tier: Any = msgspec.UNSET
    user: Any = msgspec.UNSET
    safety_identifier: Any = msgspec.UNSET
    data_sources: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    max_tokens: Any = msgspec.UNSET
    max_completion_tokens: Any = msgspec.UNSET
    max_output_tokens: Any = msgspec.UNSET
    n: Any = msgspec.UNSET
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
