"""What API Management logs of a call (``log-to-eventhub``, diagnostic settings), as the record of that call.

event.py        the event's bytes, whole or cut off, as typed facts
diagnostics.py  the same of what API Management logs by itself, in several entries a call
metered.py      facts into a record: usage as it was reported, or counted as the gateway counts
reader.py       all of it, in the form that reassembly asks for; and the subscription key: whose it is, and how it is
                kept out of everything else
"""

from .reader import ApimEvents

__all__ = ["ApimEvents"]
