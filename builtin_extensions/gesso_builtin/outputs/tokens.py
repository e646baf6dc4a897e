"""A1111's file-name tokens. Meanings are those of AUTOMATIC1111/stable-diffusion-webui v1.10.1."""

from __future__ import annotations

import hashlib
import io
import re
from datetime import datetime as Moment
from zoneinfo import ZoneInfo

from gesso import NamedOutput, safe_part

Arguments = tuple[str, ...]
_BETWEEN_WORDS = re.compile(r"[\s!-/:-@\[-`{-~]+")
_TIME = "%Y%m%d%H%M%S"


def seed(output: NamedOutput, arguments: Arguments) -> str:
    return str(output.artifact.meta.get("seed", output.request.seed))


def seed_first(output: NamedOutput, arguments: Arguments) -> str:
    return str(output.request.seed)


def seed_last(output: NamedOutput, arguments: Arguments) -> str | None:
    return None if output.total == 1 else str((output.request.seed + output.total - 1) % 2**64)


def steps(output: NamedOutput, arguments: Arguments) -> str:
    return str(output.request.steps)


def cfg(output: NamedOutput, arguments: Arguments) -> str:
    return str(output.request.cfg_scale)


def width(output: NamedOutput, arguments: Arguments) -> str:
    return str(output.artifact.meta.get("width", output.request.width))


def height(output: NamedOutput, arguments: Arguments) -> str:
    return str(output.artifact.meta.get("height", output.request.height))


def styles(output: NamedOutput, arguments: Arguments) -> str:
    return ", ".join(_styles(output)) or "None"


def sampler(output: NamedOutput, arguments: Arguments) -> str:
    return output.infotext.params.get("Sampler", output.request.sampler)


def scheduler(output: NamedOutput, arguments: Arguments) -> str:
    return output.infotext.params.get("Schedule type", output.request.scheduler)


def sampler_scheduler(output: NamedOutput, arguments: Arguments) -> str:
    return f"{sampler(output, ())} {scheduler(output, ())}"


def model_name(output: NamedOutput, arguments: Arguments) -> str:
    return output.infotext.params.get("Model", output.request.model)


def model_hash(output: NamedOutput, arguments: Arguments) -> str:
    return output.job.model.hash[:10] if output.job.model else ""


def vae_filename(output: NamedOutput, arguments: Arguments) -> str:
    name = output.request.components.get("vae", "")
    return name.replace("\\", "/").rpartition("/")[2].removesuffix(".safetensors") or "NoneType"


def clip_skip(output: NamedOutput, arguments: Arguments) -> str:
    return output.infotext.params.get("Clip skip", "1")


def denoising(output: NamedOutput, arguments: Arguments) -> str | None:
    return output.infotext.params.get("Denoising strength")


def date(output: NamedOutput, arguments: Arguments) -> str:
    return output.time.strftime("%Y-%m-%d")


def datetime(output: NamedOutput, arguments: Arguments) -> str:
    """A time zone that nobody knows is the local one."""
    form, zone, *_ = (*arguments, "", "")
    moment = output.time
    if zone:
        try:
            moment = moment.astimezone(ZoneInfo(zone))
        except (KeyError, ValueError, OSError):  # no zone, no name of one, a folder of them
            pass
    return moment.strftime(form or _TIME)


def job_timestamp(output: NamedOutput, arguments: Arguments) -> str:
    return Moment.fromtimestamp(output.job.created).astimezone().strftime(_TIME)


def prompt(output: NamedOutput, arguments: Arguments) -> str:
    return safe_part(output.request.prompt, spaces=False)


def prompt_spaces(output: NamedOutput, arguments: Arguments) -> str:
    return output.request.prompt


def prompt_words(output: NamedOutput, arguments: Arguments) -> str:
    words = [word for word in _BETWEEN_WORDS.split(output.request.prompt[:5000]) if word]
    return " ".join(words[: output.settings.prompt_words]) or "empty"


def prompt_no_styles(output: NamedOutput, arguments: Arguments) -> str:
    return str(output.job.asked.get("prompt", output.request.prompt))


def prompt_hash(output: NamedOutput, arguments: Arguments) -> str:
    return _hash(output.request.prompt.encode("utf-8", "replace"), arguments, 8)


def negative_prompt_hash(output: NamedOutput, arguments: Arguments) -> str:
    return _hash(output.request.negative_prompt.encode("utf-8", "replace"), arguments, 8)


def full_prompt_hash(output: NamedOutput, arguments: Arguments) -> str:
    both = f"{output.request.prompt} {output.request.negative_prompt}"
    return _hash(both.encode("utf-8", "replace"), arguments, 8)


def hasprompt(output: NamedOutput, arguments: Arguments) -> str:
    """Without words to look for it makes no sense."""
    if not arguments:
        raise ValueError("hasprompt takes words")
    text, found = output.request.prompt.lower(), []
    for argument in arguments:
        word, _, otherwise = argument.partition("|")
        found.append(word if word.lower() in text else otherwise)
    return "".join(found)


def batch_number(output: NamedOutput, arguments: Arguments) -> str | None:
    size = output.request.batch_size
    return None if size == 1 or output.is_grid else str(output.index % size + 1)


def batch_size(output: NamedOutput, arguments: Arguments) -> str:
    return str(output.request.batch_size)


def generation_number(output: NamedOutput, arguments: Arguments) -> str | None:
    return None if output.total == 1 or output.is_grid else str(output.index + 1)


def image_hash(output: NamedOutput, arguments: Arguments) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(output.read())) as image:
        return _hash(image.tobytes(), arguments, 64)


def user(output: NamedOutput, arguments: Arguments) -> str:
    return output.request.owner


def info(output: NamedOutput, arguments: Arguments) -> str | None:
    """The value under one key."""
    (key,) = arguments
    return output.infotext.params.get(key)


def none(output: NamedOutput, arguments: Arguments) -> str:
    return ""


def _hash(data: bytes, arguments: Arguments, length: int) -> str:
    digits = int(arguments[0]) if arguments and arguments[0] else length
    return hashlib.sha256(data).hexdigest()[: max(digits, 1)]


def _styles(output: NamedOutput) -> list[str]:
    """Names of styles, as the feature of that name is asked for them."""
    names = output.job.asked.get("params", output.request.params).get("styles", {}).get("names", [])
    return [str(name) for name in names] if isinstance(names, list) else []
