"""One folder per vendor, and nothing else."""
