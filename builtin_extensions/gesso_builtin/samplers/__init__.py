"""The samplers people know from A1111, Forge and ComfyUI."""
