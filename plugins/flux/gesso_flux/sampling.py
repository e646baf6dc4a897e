"""Flux.1's noise schedule: rectified flow, shifted by the picture's size for dev, not at all for schnell."""

from __future__ import annotations

from gesso import FlowSampling, Match, ModelSampling, ResolutionFlowSampling


def sampling(match: Match) -> ModelSampling:
    """μ from 0.5 at 256 tokens to 1.15 at 4,096 (https://github.com/black-forest-labs/flux, `get_schedule`)."""
    return FlowSampling(1.0) if match.variant == "schnell" else ResolutionFlowSampling()
