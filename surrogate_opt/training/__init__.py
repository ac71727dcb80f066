"""Training: the closed-form gradient, the trainer of whole stacks, and the choice of the strength."""
