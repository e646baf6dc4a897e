"""The σ schedules people know from A1111, Forge and ComfyUI."""
