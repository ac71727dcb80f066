"""MNIST classifiers on few training images under gradient regularization, and the claims about them."""
