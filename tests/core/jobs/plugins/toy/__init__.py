"""A family of two numbers: everything a job needs and no network, so that a worker's tests wait for nothing else."""
