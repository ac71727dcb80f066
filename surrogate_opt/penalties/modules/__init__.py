"""Regularizers for any torch module: penalties, a constraint and an optimizer."""
