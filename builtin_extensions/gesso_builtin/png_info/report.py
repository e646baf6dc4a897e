"""What is told of a picture, as HTML. No Gradio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from gesso import Difference, HostService, ImageMetadata, parse_infotext, text

MOST = 20_000
"""Letters shown of a text that is not the infotext: a workflow may have a million."""
SOURCES = ("a1111", "civitai", "fooocus", "forge", "gesso", "sdnext", "sidecar")
"""Programs that are told by their infotext; the others are those of the readers."""


def report(service: HostService, found: ImageMetadata, differences: Sequence[Difference], trouble: str = "") -> str:
    """Program, size, prompts, what is otherwise here, everything else."""
    head = f'<span class="gesso-badge gesso-success">{program(service, found.source)}</span>' if found.source else ""
    size = f"{found.format} · {found.width} × {found.height}"
    parts = [f'<p class="gp-head">{head}<span>{escape(size)}</span></p>']
    if found.infotext is None:
        parts.append(f'<p class="gesso-message gesso-warning" role="status">{text("png_info.nothing")}</p>')
    else:
        parts.append(_infotext(found.infotext, differences, trouble))
    parts += [_item(name, value) for name, value in found.items.items()]
    return f'<div class="gp">{"".join(parts)}</div>'


def program(service: HostService, source: str) -> str:
    """A program's name for people."""
    reader = service.host.registry("metadata_readers").find(source)
    if reader is not None:
        return escape(reader.label)
    return text(f"png_info.source.{source}") if source in SOURCES else escape(source)


def problem(words: str) -> str:
    """Why there is nothing to tell."""
    return f'<div class="gp"><p class="gesso-message gesso-error" role="alert">{escape(words)}</p></div>'


def _infotext(infotext: str, differences: Sequence[Difference], trouble: str) -> str:
    found = parse_infotext(infotext)
    otherwise = {one.key for one in differences}
    prompts = [("prompt", found.prompt), ("negative_prompt", found.negative_prompt)]
    texts = "".join(
        f'<h3>{text(f"core.{key}")}</h3><p class="gp-prompt">{escape(words)}</p>' for key, words in prompts if words
    )
    return f"{texts}{_differences(differences, trouble)}{_pairs(found.params, otherwise)}"


def _differences(differences: Sequence[Difference], trouble: str) -> str:
    """What would not be as the picture says, if it was made here."""
    if trouble:
        return f'<p class="gesso-message gesso-warning" role="status">{escape(trouble)}</p>'
    if not differences:
        return f'<p class="gesso-message gp-same" role="status">{text("png_info.same")}</p>'
    rows = "".join(
        f'<tr><th scope="row">{escape(one.key)}</th><td>{escape(one.said)}</td>'
        f"<td>{escape(one.here) or text('png_info.left_out')}</td>"
        f'<td title="{escape(one.why)}">{text(f"png_info.kind.{one.kind}")}</td></tr>'
        for one in differences
    )
    head = "".join(f'<th scope="col">{text(f"png_info.column.{name}")}</th>' for name in ("key", "said", "here", "why"))
    title = text("png_info.differences", count=len(differences))
    return (
        f'<section class="gp-differences"><h3>{title}</h3><div class="gp-scroll" tabindex="0" role="group" '
        f'aria-label="{title}"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _pairs(pairs: Mapping[str, str], otherwise: set[str]) -> str:
    rows = "".join(
        f'<div class="{"gp-otherwise" if key in otherwise else "gp-pair"}"><dt>{escape(key)}</dt>'
        f"<dd>{escape(value)}</dd></div>"
        for key, value in pairs.items()
    )
    return f"<h3>{text('png_info.parameters')}</h3><dl>{rows}</dl>" if rows else ""


def _item(name: str, value: str) -> str:
    """Another text of the picture, folded: a workflow, somebody's comment."""
    shown = value if len(value) <= MOST else value[:MOST] + "…"
    letters = text("png_info.letters", count=f"{len(value):,}")
    return f'<details><summary>{escape(name)} ({letters})</summary><pre tabindex="0">{escape(shown)}</pre></details>'
