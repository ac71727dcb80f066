"""Which diagnostic of a surrogate predicts what a loop loses by following it."""
