"""How pictures are written: PNG, JPEG, WebP and AVIF, A1111's file-name tokens, and their settings."""

from __future__ import annotations

from gesso import (
    EncodeImageFn,
    FilenameToken,
    FilenameTokenFn,
    ImageFormat,
    OutputSettings,
    Registrar,
    SettingsSection,
    hookimpl,
    lazy,
)
from gesso_builtin.outputs.options import AvifOptions, JpegOptions, PngOptions, WebpOptions
from gesso_builtin.outputs.token_names import TOKENS

api = "1"


@hookimpl
def gesso_register_settings(registry: Registrar[SettingsSection]) -> None:
    registry.add(SettingsSection(name="outputs", label="Outputs", params=OutputSettings))


@hookimpl
def gesso_register_formats(registry: Registrar[ImageFormat]) -> None:
    registry.add(
        ImageFormat(
            name="png", label="PNG", mime="image/png", suffix=".png",
            encode=lazy(".formats:png", EncodeImageFn), options=PngOptions,
        ),
        ImageFormat(
            name="jpeg", label="JPEG", aliases=("jpg",), mime="image/jpeg", suffix=".jpg",
            encode=lazy(".formats:jpeg", EncodeImageFn), options=JpegOptions,
        ),
        ImageFormat(
            name="webp", label="WebP", mime="image/webp", suffix=".webp",
            encode=lazy(".formats:webp", EncodeImageFn), options=WebpOptions,
        ),
        ImageFormat(
            name="avif", label="AVIF", mime="image/avif", suffix=".avif",
            encode=lazy(".formats:avif", EncodeImageFn), options=AvifOptions,
        ),
    )  # fmt: skip


@hookimpl
def gesso_register_filename_tokens(registry: Registrar[FilenameToken]) -> None:
    for name, description in TOKENS.items():
        token = lazy(f".tokens:{name}", FilenameTokenFn)
        registry.add(FilenameToken(name=name, label=f"[{name}]", description=description, run=token))
