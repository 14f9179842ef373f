"""kafka-python, with what we need changed of it: every private name of it, and nothing else."""
