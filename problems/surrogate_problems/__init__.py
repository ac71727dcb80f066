"""Test problems with known truth: synthetic families (`families`), named functions (`functions`)."""
