"""The token table. A colour stands here and nowhere else: style sheets name tokens, `var(--g-…)`."""

from __future__ import annotations

from dataclasses import dataclass

THEMES = ("dark", "light", "contrast")
"""The first is what a new visitor sees."""
DARK_GROUND = ("dark", "contrast")
"""Themes in which Gradio's own parts take their dark form."""

TOKENS: dict[str, tuple[str, str, str]] = {
    # name: dark, light, contrast
    # --- grounds
    "bg": ("#0f131c", "#f4f6fa", "#000000"),
    "surface": ("#181e2a", "#ffffff", "#000000"),
    "raised": ("#232b3a", "#e9edf4", "#1c1c1c"),
    "field": ("#10151f", "#ffffff", "#000000"),
    # --- words
    "text": ("#eef1f6", "#161b26", "#ffffff"),
    "text-muted": ("#a9b3c4", "#4d586b", "#e8e8e8"),
    # --- lines
    "border": ("#323c4e", "#d3dae5", "#ffffff"),
    "border-strong": ("#6f7d95", "#7c8799", "#ffffff"),
    "focus": ("#9db4ff", "#2f4fd8", "#ffff00"),
    # --- what a person does first, and second
    "primary": ("#5468e7", "#4353d6", "#ffff00"),
    "primary-hover": ("#4557d2", "#3543b8", "#ffffff"),
    "on-primary": ("#ffffff", "#ffffff", "#000000"),
    "primary-text": ("#a9b8ff", "#3444c0", "#ffff00"),
    "primary-soft": ("#262f52", "#e3e7fd", "#333300"),
    "secondary": ("#2b3547", "#e2e7f0", "#000000"),
    "secondary-hover": ("#37445a", "#d3dbe8", "#333333"),
    "on-secondary": ("#eef1f6", "#161b26", "#ffffff"),
    # --- how it went
    "success": ("#1f7a45", "#1c7a42", "#00ff66"),
    "on-success": ("#ffffff", "#ffffff", "#000000"),
    "success-text": ("#6fdc98", "#17693a", "#00ff66"),
    "warning": ("#9a5a00", "#9a5b00", "#ffcc00"),
    "on-warning": ("#ffffff", "#ffffff", "#000000"),
    "warning-text": ("#f5c05c", "#7d4a00", "#ffcc00"),
    "danger": ("#c2303a", "#bf2832", "#ff8080"),
    "danger-hover": ("#ab2731", "#a31f29", "#ffffff"),
    "on-danger": ("#ffffff", "#ffffff", "#000000"),
    "danger-text": ("#ff9a9f", "#ab1f29", "#ff8080"),
}
_GROUNDS = ("bg", "surface", "raised", "field")
_AA, _AAA, _PART = 4.5, 7.0, 3.0

PAIRS: dict[tuple[str, str], float] = {
    **{(word, ground): _AA for word in ("text", "text-muted", "primary-text") for ground in _GROUNDS},
    **{(word, ground): _AA for word in ("success-text", "warning-text", "danger-text") for ground in _GROUNDS},
    **{("text", ground): _AA for ground in (*_GROUNDS, "primary-soft")},
    ("primary-text", "primary-soft"): _AA,
    **{(f"on-{role}", role): _AA for role in ("primary", "secondary", "success", "warning", "danger")},
    ("on-primary", "primary-hover"): _AA, ("on-secondary", "secondary-hover"): _AA, ("on-danger", "danger-hover"): _AA,
    **{("focus", ground): _PART for ground in _GROUNDS},
    **{("border-strong", ground): _PART for ground in ("bg", "surface", "field")},
    **{("primary", ground): _PART for ground in ("bg", "surface", "field")},
}  # fmt: skip
"""(in front, behind) → the least contrast, WCAG 2.2: 4.5 for words (1.4.3), 3 for what one must see to use (1.4.11)."""

# What Gradio's own components are coloured with: its variable → our token.
GRADIO: dict[str, str] = {
    "body-background-fill": "bg", "background-fill-primary": "surface", "background-fill-secondary": "bg",
    "block-background-fill": "surface", "block-border-color": "border", "block-info-text-color": "text-muted",
    "block-label-background-fill": "surface", "block-label-border-color": "border",
    "block-label-text-color": "text-muted", "block-title-text-color": "text", "body-text-color": "text",
    "body-text-color-subdued": "text-muted", "accordion-text-color": "text", "border-color-accent": "primary",
    "border-color-accent-subdued": "border-strong", "border-color-primary": "border", "color-accent": "primary",
    "color-accent-soft": "primary-soft", "button-primary-background-fill": "primary",
    "button-primary-background-fill-hover": "primary-hover", "button-primary-border-color": "primary",
    "button-primary-border-color-hover": "primary-hover", "button-primary-text-color": "on-primary",
    "button-primary-text-color-hover": "on-primary", "button-secondary-background-fill": "secondary",
    "button-secondary-background-fill-hover": "secondary-hover", "button-secondary-border-color": "border",
    "button-secondary-border-color-hover": "border-strong", "button-secondary-text-color": "on-secondary",
    "button-secondary-text-color-hover": "on-secondary", "button-cancel-background-fill": "danger",
    "button-cancel-background-fill-hover": "danger-hover", "button-cancel-border-color": "danger",
    "button-cancel-border-color-hover": "danger-hover", "button-cancel-text-color": "on-danger",
    "button-cancel-text-color-hover": "on-danger", "checkbox-background-color": "field",
    "checkbox-background-color-focus": "field", "checkbox-background-color-hover": "raised",
    "checkbox-background-color-selected": "primary", "checkbox-border-color": "border-strong",
    "checkbox-border-color-focus": "focus", "checkbox-border-color-hover": "border-strong",
    "checkbox-border-color-selected": "primary", "checkbox-label-background-fill": "secondary",
    "checkbox-label-background-fill-hover": "secondary-hover",
    "checkbox-label-background-fill-selected": "primary-soft", "checkbox-label-border-color": "border",
    "checkbox-label-border-color-hover": "border-strong", "checkbox-label-border-color-selected": "primary",
    "checkbox-label-text-color": "text", "checkbox-label-text-color-selected": "text",
    "code-background-fill": "raised", "error-background-fill": "surface", "error-border-color": "danger",
    "error-icon-color": "danger-text", "error-text-color": "danger-text", "input-background-fill": "field",
    "input-background-fill-focus": "field", "input-background-fill-hover": "field",
    "input-border-color": "border-strong", "input-border-color-focus": "focus",
    "input-border-color-hover": "border-strong", "input-placeholder-color": "text-muted",
    "link-text-color": "primary-text", "link-text-color-active": "primary-text",
    "link-text-color-hover": "primary-text", "link-text-color-visited": "primary-text", "loader-color": "primary",
    "panel-background-fill": "surface", "panel-border-color": "border", "slider-color": "primary",
    "stat-background-fill": "raised", "table-border-color": "border", "table-even-background-fill": "surface",
    "table-odd-background-fill": "bg", "table-row-focus": "primary-soft", "table-text-color": "text",
}  # fmt: skip

SIZES: dict[str, str] = {
    "space-1": "4px", "space-2": "8px", "space-3": "12px", "space-4": "16px", "space-5": "24px",
    "radius-1": "4px", "radius-2": "8px", "radius-3": "12px", "radius-round": "999px",
    "font-1": "0.75rem", "font-2": "0.875rem", "font-3": "1rem", "font-4": "1.25rem",
    "touch": "44px", "control": "36px", "ring": "3px",
}  # fmt: skip
"""The same in every theme. `touch` is the least size of a button on a touch screen, `control` with a mouse."""


@dataclass(frozen=True, slots=True)
class _Colour:
    r: float
    g: float
    b: float

    @classmethod
    def of(cls, value: str) -> _Colour:
        return cls(*(int(value[i : i + 2], 16) / 255 for i in (1, 3, 5)))

    @property
    def luminance(self) -> float:
        """Relative luminance, WCAG 2.2."""
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (self.r, self.g, self.b))
        return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours "#rrggbb", 1 to 21 (WCAG 2.2)."""
    low, high = sorted((_Colour.of(one).luminance, _Colour.of(other).luminance))
    return (high + 0.05) / (low + 0.05)


def stylesheet() -> str:
    """All tokens as CSS variables, by theme, and Gradio's variables made of them."""
    sizes = "".join(f"--g-{name}:{value};" for name, value in SIZES.items())
    parts = [f":root{{{sizes}}}"]
    for place, theme in enumerate(THEMES):
        selector = f':root[data-theme="{theme}"]' + (",:root:not([data-theme])" if place == 0 else "")
        scheme = "dark" if theme in DARK_GROUND else "light"
        colours = "".join(f"--g-{name}:{values[place]};" for name, values in TOKENS.items())
        parts.append(f"{selector}{{color-scheme:{scheme};{colours}}}")
    gradio = "".join(f"--{name}:var(--g-{token});" for name, token in GRADIO.items())
    # More specific than Gradio's ":root .dark", which stands on the body.
    gradio += "--input-border-width:1px;--button-border-width:1px;"
    parts.append(f"html:root body,html:root body.dark,html:root .gradio-container{{{gradio}}}")
    parts.append("html:root body{background:var(--g-bg);color:var(--g-text);}")
    return "\n".join(parts)
