"""What A1111 makes of an infotext: split sizes, defaults of absent keys, back-compatibility by version."""

from __future__ import annotations

import math
import re

from gesso.metadata.infotext import Infotext, parse_infotext

View = dict[str, str | int | bool]

_SIZE = re.compile(r"(\d+)x(\d+)$")
# Values as A1111 v1.10.1 fills them in, its mixture of types included.
_DEFAULTS: View = {
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
}


def a1111_parameters(text: str) -> View:
    """The parameters A1111 v1.10.1's own reader gives (styles left in), as its `/sdapi/v1/png-info` shows them."""
    return with_defaults(parse_infotext(text, exact=True))


def with_defaults(info: Infotext) -> View:
    """A1111's view of a parsed infotext.

    `Prompt` and `Negative prompt` join the parameters, `WxH` values become `<key>-1` and `<key>-2`, absent keys get the
    defaults of A1111 v1.10.1, and old versions the switches that bring their behaviour back.
    """
    view: View = {}
    for key, value in info.params.items():
        if size := _SIZE.match(value):
            view[f"{key}-1"], view[f"{key}-2"] = size.groups()
        else:
            view[key] = value
    view["Prompt"], view["Negative prompt"] = info.prompt, info.negative_prompt
    view.setdefault("Clip skip", "1")
    if "Hypernet" in view:
        view["Prompt"] = f"{info.prompt}<hypernet:{view['Hypernet']}:{view.get('Hypernet strength', '1.0')}>"
    view = view | {key: value for key, value in _DEFAULTS.items() if key not in view}
    _upgrade_first_pass_size(view)
    if "Emphasis" not in view and (uses_emphasis(info.prompt) or uses_emphasis(info.negative_prompt)):
        view["Emphasis"] = "Original"
    view.setdefault("Refiner switch by sampling steps", False)
    _apply_version(view)
    return view


def _upgrade_first_pass_size(view: View) -> None:
    """Hires fix of 2022 wrote the final size as `Size`, the first pass's as `First pass size` (0x0: chosen by area)."""
    try:
        first = int(view["First pass size-1"]), int(view["First pass size-2"])
        width, height = int(view.get("Size-1", 512)), int(view.get("Size-2", 512))
    except (KeyError, ValueError):
        return
    if 0 in first and width and height:
        scale = math.sqrt(512 * 512 / (width * height))
        first = math.ceil(scale * width / 64) * 64, math.ceil(scale * height / 64) * 64
    view |= {"Size-1": first[0], "Size-2": first[1], "Hires resize-1": width, "Hires resize-2": height}


def _apply_version(view: View) -> None:
    version = str(view.get("Version", ""))

    def older_than(release: str) -> bool:
        # Imported here: only infotexts with a version need it. v1.7.0-225-gabc, commits later, is a post-release.
        from packaging.version import InvalidVersion, Version

        try:
            return Version("-".join(version.split("-")[:2])) < Version(release)
        except (InvalidVersion, ValueError):  # another program's version: no back-compatibility
            return False

    if not version or len(version) > 100:
        return
    if "[" in str(view["Prompt"]) and older_than("1.6.0"):
        view["Old prompt editing timelines"] = True
    if view.get("Sampler") in ("DDIM", "PLMS") and older_than("1.6.0"):
        view["Pad conds v0"] = True
    if older_than("1.7.0-225"):
        view["Downcast alphas_cumprod"] = True
    if view.get("Refiner") and older_than("1.8.0"):
        view["Refiner switch by sampling steps"] = True


_TOKEN = re.compile(r"\\[()\[\]\\]|:\s*([+-]?[.\d]+)\s*\)|[()\[\]]|[^\\()\[\]:]+|[\\:]", re.DOTALL)
_MANY_GROUPS = 200


def uses_emphasis(prompt: str) -> bool:
    """Whether some part of the prompt gets a weight other than 1 from `(…)`, `(…:n)` or `[…]`."""
    weights: list[float] = []  # one per run of text
    openers: dict[str, list[int]] = {"(": [], "[": []}  # the run each open bracket starts at
    groups = 0

    def close(bracket: str, factor: float) -> None:
        for i in range(openers[bracket].pop(), len(weights)):
            weights[i] *= factor

    for token in _TOKEN.finditer(prompt):
        text, number = token.group(), token.group(1)
        if text in openers:
            openers[text].append(len(weights))
        elif number is not None and openers["("] and number.count(".") < 2 and any(map(str.isdigit, number)):
            close("(", float(number))
        elif text == ")" and openers["("]:
            close("(", 1.1)
        elif text == "]" and openers["["]:
            close("[", 1 / 1.1)
        else:
            weights.append(1.0)
            continue
        groups += 1
        if groups > _MANY_GROUPS and weights:
            return True  # each group costs a pass over its text: so many of them are answer enough
    if sum(map(len, openers.values())) > _MANY_GROUPS and weights:
        return True
    for bracket, factor in (("(", 1.1), ("[", 1 / 1.1)):
        while openers[bracket]:
            close(bracket, factor)
    return any(abs(weight - 1) > 1e-9 for weight in weights)
