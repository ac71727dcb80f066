"""Claims of the papers, and the experiments that reproduce or refute them."""
