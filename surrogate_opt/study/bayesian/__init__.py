"""The study of Bayesian optimization: models against each other on the same problems and first points."""
