"""Gradient regularization on a sine: Table 7 and Figures 5 and 6 of Varga, Csiszarik and Zombori."""
