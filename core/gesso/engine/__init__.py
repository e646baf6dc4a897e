"""A job's run: stages, denoising, guidance, noise, cancelling."""
