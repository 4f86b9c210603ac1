"""What happened to a call, told step by step from its record and its trace. Pure functions."""

from .arrivals import Gap, longest_gaps
from .entries import trace_entries
from .steps import Step, record_of_row, steps_of, why_no_trace

__all__ = ["Gap", "Step", "longest_gaps", "record_of_row", "steps_of", "trace_entries", "why_no_trace"]
