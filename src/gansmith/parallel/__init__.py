"""Several processes and machines: who takes part, which rows of a batch are whose, random numbers, the launcher."""
