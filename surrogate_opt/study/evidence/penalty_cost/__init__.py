"""What penalties cost, and the claims about it."""
