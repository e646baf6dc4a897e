"""Where other programs keep which kind of model. Facts of A1111 1.10, Forge, SD.Next, ComfyUI 0.3 and SwarmUI 0.9."""

from __future__ import annotations

ROLES = {
    # A1111 and Forge
    "models/stable-diffusion": "checkpoint",
    "models/vae": "vae",
    "models/lora": "lora",
    "models/lycoris": "lora",
    "models/hypernetworks": "hypernetwork",
    "models/controlnet": "controlnet",
    "extensions/sd-webui-controlnet/models": "controlnet",
    "extensions/sd-webui-additional-networks/models/lora": "lora",
    "models/text_encoder": "text_encoder",
    "models/esrgan": "upscaler",
    "models/realesrgan": "upscaler",
    "models/bsrgan": "upscaler",
    "models/dat": "upscaler",
    "models/hat": "upscaler",
    "models/scunet": "upscaler",
    "models/swinir": "upscaler",
    "embeddings": "embedding",
    # SD.Next
    "models/diffusers": "checkpoint",
    "models/text-encoder": "text_encoder",
    # ComfyUI; the denoiser alone is a checkpoint too: its header tells what it is
    "models/checkpoints": "checkpoint",
    "models/diffusion_models": "checkpoint",
    "models/unet": "checkpoint",
    "models/loras": "lora",
    "models/text_encoders": "text_encoder",
    "models/clip": "text_encoder",
    "models/clip_vision": "clip_vision",
    "models/t2i_adapter": "controlnet",
    "models/upscale_models": "upscaler",
    "models/embeddings": "embedding",
    "models/style_models": "style_model",
    # SwarmUI
    "models/embedding": "embedding",
}
"""Folder below the program's, in lower case → role."""
MARKS = {"models/checkpoints": "ComfyUI", "models/stable-diffusion": "A1111"}
"""Which of them says whose layout it is."""
COMFY_KEYS = {name.removeprefix("models/"): role for name, role in ROLES.items() if name.count("/") == 1} | {
    "configs": "", "custom_nodes": "", "vae_approx": "", "clip_gguf": "text_encoder", "unet_gguf": "checkpoint",
}  # fmt: skip
"""Key of an extra_model_paths.yaml → role; "" for what holds no models. Other keys are roles of their own."""
EXTRA_PATHS = "extra_model_paths.yaml"
