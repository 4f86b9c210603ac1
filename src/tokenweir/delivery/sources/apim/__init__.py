"""What API Management logs of a call (``log-to-eventhub``), as the record of that call.

event.py    the event's bytes, whole or cut off, as typed facts
keys.py     the subscription key in it: whose it is, and how it is kept out of everything else
metered.py  facts into a record: usage as it was reported, or counted as the gateway counts
reader.py   all of it, in the form that the inbox asks for
"""

from .reader import ApimEvents

__all__ = ["ApimEvents"]
