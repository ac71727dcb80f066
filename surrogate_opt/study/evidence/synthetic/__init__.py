"""DREG's synthetic experiments: Tables 1 and 2 and Figure 1 of its paper."""
