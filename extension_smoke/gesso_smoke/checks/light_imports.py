"""The entry-point module imports no heavy package.

Every command and the page import it. torch and gradio fail the probe already; these are slow as well.
"""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


HEAVY = {
    "torch", "diffusers", "transformers", "bitsandbytes", "gradio", "accelerate", "peft", "scipy", "pandas",
    "matplotlib", "cv2", "sklearn", "skimage", "numba", "tensorflow", "jax", "onnxruntime", "torchvision", "xformers",
    "spandrel",
}  # fmt: skip


def check(subject: Subject) -> None:
    found = sorted(HEAVY.intersection(subject.observation.modules))
    require(not found, f"It imports {', '.join(found)}. Import them where they are used; see gesso.lazy.")
