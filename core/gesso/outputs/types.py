"""The contracts of formats and file-name tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from gesso.outputs.naming import NamedOutput


class EncodeImageFn(Protocol):
    """A picture → a whole file, the infotext inside where its readers look ("" writes none).

    `options` is the format's record, None when it has none. MetadataError: the format cannot hold what is asked.
    """

    def __call__(self, image: Image.Image, infotext: str, options: Any) -> bytes: ...


class FilenameTokenFn(Protocol):
    """What stands for `[name<argument>…]` in a file name; any text, made safe afterwards.

    None: nothing, and the text in front of the token goes too. ValueError: the arguments make no sense.
    """

    def __call__(self, output: NamedOutput, arguments: tuple[str, ...]) -> str | None: ...
