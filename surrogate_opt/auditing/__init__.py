"""Audit: a verdict on a model's gradients without a truth, and loops on model and truth beside each other."""

from surrogate_opt.auditing.loops_compared import TruthReference, ghost_signal, ghost_signals
from surrogate_opt.auditing.verdict import AuditReport, Verdict, audit, decide

__all__ = [
    "AuditReport",
    "TruthReference",
    "Verdict",
    "audit",
    "decide",
    "ghost_signal",
    "ghost_signals",
]
