"""Model folders as diffusers writes them: model_index.json, and a folder with config and weights for each component.

One header stands for the whole folder: its tensors are named `<component>.<name in the file>`, its metadata hold
"pipeline" (the class named in model_index.json) and "config.<component>" (that component's config, as JSON).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gesso.errors import BadFileError
from gesso.models.headers import read_header, refused_pickle
from gesso.types import Header, TensorInfo

INDEX = "model_index.json"
MAX_JSON_BYTES = 20_000_000
_WHOLE = ("diffusion_pytorch_model.safetensors", "model.safetensors")
_CONFIGS = ("config.json", "scheduler_config.json")
_UNUSED = ("safety_checker",)


def is_file(path: Path) -> bool:
    """As Path.is_file, but False for what may not be looked at."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """As Path.is_dir, but False for what may not be looked at."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_model_folder(path: Path) -> bool:
    """Whether the path is a folder with a model_index.json."""
    return is_file(path / INDEX)


def read_folder(path: Path) -> Header:
    """The header of a model folder; BadFileError names the file that is missing, damaged or a pickle."""
    tensors: dict[str, TensorInfo] = {}
    for component, file in weight_files(path):
        for name, info in read_header(file).tensors.items():
            if f"{component}.{name}" in tensors:
                raise BadFileError(
                    f"{file} repeats the tensor {name[:80]!r} of another file.", hint="Download it again."
                )
            tensors[f"{component}.{name}"] = info
    index = _read_json(path / INDEX)
    metadata = {"pipeline": str(index.get("_class_name", ""))}
    for component in _components(path, index):
        config = next((path / component / name for name in _CONFIGS if is_file(path / component / name)), None)
        if config is not None:
            metadata[f"config.{component}"] = json.dumps(_read_json(config), ensure_ascii=False)
    return Header(container="folder", tensors=tensors, metadata=metadata)


def weight_files(path: Path) -> list[tuple[str, Path]]:
    """(component, file) of every safetensors file that makes up the model, in a fixed order."""
    found = []
    for component in _components(path, _read_json(path / INDEX)):
        if component not in _UNUSED:
            found += [(component, file) for file in _component_files(path / component)]
    return found


def used_files(path: Path) -> list[Path]:
    """Everything a model folder is read from: weights, configs and index. Their sizes and times tell a change."""
    components = _components(path, _read_json(path / INDEX))
    configs = [path / component / name for component in components for name in _CONFIGS]
    return [path / INDEX, *(c for c in configs if is_file(c)), *(file for _, file in weight_files(path))]


def _components(path: Path, index: dict[str, Any]) -> list[str]:
    """Names in the index that are folders here; one that is a path leads nowhere."""
    return sorted(n for n in index if not n.startswith((".", "_")) and Path(n).name == n and is_folder(path / n))


def _component_files(folder: Path) -> list[Path]:
    """One whole file, else the shards of an index, else the only variant ("fp16") there is."""
    whole = next((folder / name for name in _WHOLE if is_file(folder / name)), None)
    if whole is not None:
        return [whole]
    indices = sorted(folder.glob("*.safetensors.index*.json"), key=lambda p: (len(p.name), p.name))
    if indices:
        return _shards(folder, indices[0])
    variants = sorted(folder.glob("*.safetensors"), key=lambda p: (".fp16." not in p.name, p.name))
    if variants:
        return variants[:1]
    if pickle := next((p for pattern in ("*.bin", "*.pt", "*.ckpt") for p in sorted(folder.glob(pattern))), None):
        raise refused_pickle(pickle)
    return []


def _shards(folder: Path, index: Path) -> list[Path]:
    weight_map = _read_json(index).get("weight_map")
    names = sorted({str(name) for name in weight_map.values()}) if isinstance(weight_map, dict) else []
    if not names:
        raise BadFileError(f"{index} names no shards.", hint="Download it again.")
    for name in names:
        if Path(name).name != name:
            raise BadFileError(f"{index} names the file {name[:80]!r} outside its folder.")
        if not is_file(folder / name):
            raise BadFileError(f"{folder / name} is missing, which {index.name} names.", hint="Download it again.")
    return [folder / name for name in names]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise BadFileError(f"{path} is too large for a configuration.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFileError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError):
        raise BadFileError(f"{path} is not JSON.", hint="Download it again.") from None
    if not isinstance(data, dict):
        raise BadFileError(f"{path} is not a JSON object.", hint="Download it again.")
    return data
