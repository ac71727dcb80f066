"""Compact surrogates as BoTorch models, and what fits such models again and again in a loop."""
