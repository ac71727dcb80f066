"""MNIST classifiers: DREG's Table 3, and the same rivals with strengths tuned alike."""
