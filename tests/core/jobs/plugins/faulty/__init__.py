"""Samplers that do what no sampler should."""
