"""OpenAI's tokenizer, with its vocabularies inside the install: a private network has no egress.

data/       the two vocabularies, as published, and tiktoken's licence
shipped.py  reads and proves them, builds the encodings
models.py   which model counts with which encoding
counting.py how many tokens a text is, whatever the text
"""

from .counting import count
from .models import encoding_name
from .shipped import ENCODINGS, load, verify

__all__ = ["ENCODINGS", "count", "encoding_name", "load", "verify"]
