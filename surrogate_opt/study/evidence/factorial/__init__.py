"""DREG as a general-purpose penalty: activations x regularizers x data sets x seeds."""
