"""Bayesian optimization step by step: ask for points, evaluate them, tell what came."""

from surrogate_opt.loops.bayesian.budget import AcquisitionBudget
from surrogate_opt.loops.bayesian.campaign import Campaign
from surrogate_opt.loops.bayesian.ledger import BestEvaluation
from surrogate_opt.loops.bayesian.loop import BayesianLoop

__all__ = ["AcquisitionBudget", "BayesianLoop", "BestEvaluation", "Campaign"]
