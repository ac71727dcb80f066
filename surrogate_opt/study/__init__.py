"""Studies: methods against each other on many problems and instances."""
