"""What the page and its parts agree on. The page itself is `gesso_ui`; nothing here needs it or Gradio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gesso.params import Params, param

if TYPE_CHECKING:
    from gesso.serving import HostService


class PageSettings(Params):
    """How the page is put together and what it looks like, for who has not chosen otherwise in the browser."""

    theme: Literal["dark", "light", "contrast"] = param("dark", label="Theme", changes_picture=False)
    language: str = param(
        "auto", label="Language", changes_picture=False, max_length=40,
        description="A code such as de or zh_CN; auto: what the browser asks for.",
    )  # fmt: skip
    tab_order: list[str] = param(
        [], label="Order of tabs", changes_picture=False,
        description="Names of tabs that come first, in this order. From the next start on.",
    )  # fmt: skip
    hidden_tabs: list[str] = param(
        [], label="Hidden tabs", changes_picture=False, description="Names of tabs that are not shown."
    )


class Page(Protocol):
    """What a tab is built with."""

    @property
    def service(self) -> HostService:
        """Queue, models, settings, plugins."""

    def on_load(self, handler: Callable[..., Any], outputs: Sequence[Any], *, draft: str = "") -> None:
        """Call `handler` whenever somebody opens the page; what it returns goes to the components `outputs`.

        With `draft` its first argument is the JSON that `keep` stored under this name in the person's browser, or "".
        """

    def keep(self, draft: str, components: Sequence[Any]) -> None:
        """Store the values of components in the person's browser whenever one changes: {elem_id: value}."""

    def takes(self, label: str, take: Callable[[dict[str, Any]], Sequence[Any]], outputs: Sequence[Any]) -> None:
        """This tab takes pictures: wherever some are shown stands a button "Send to LABEL".

        With another label than the tab's own, the button says just that: what the tab will do with the picture.
        It calls `take` with the picture's data (`file`, a FileRef as plain data; `infotext`), fills `outputs` with what
        that returns, and shows the tab.
        """

    def shows(self, place: Any, selected: Any) -> None:
        """Pictures are shown here: `place` is a row for buttons, `selected` the state with the selected one's data."""


class TabForm(Protocol):
    """The controls of the generation tab a panel stands in."""

    @property
    def name(self) -> str:
        """The tab's."""

    @property
    def inputs(self) -> list[Any]:
        """All components, for an event's inputs or outputs."""

    def component(self, name: str, section: str = "") -> Any:
        """The Gradio component of one of gesso's own fields ("prompt"), or of a plugin's record."""

    def taken(self, data: dict[str, Any], section: str = "", name: str = "") -> list[Any]:
        """Updates of `inputs` for a picture that was sent here (`Page.takes`): what its infotext says, and the picture
        itself in a plugin's field, if one is named."""


class PanelFn(Protocol):
    """Builds a panel's components in the current Gradio context, and wires them. What it raises becomes a card."""

    def __call__(self, page: Page, form: TabForm) -> None: ...


class RouteFn(Protocol):
    """Returns a `fastapi.APIRouter` whose paths are below the record's prefix. Its handlers run in the host process.

    What it or a handler raises is answered with 500 and the plugin's name; the page and all other routes go on.
    """

    def __call__(self, service: HostService) -> Any: ...


class TabFn(Protocol):
    """Builds a tab's components in the current Gradio context, and wires them. What it raises becomes an error card."""

    def __call__(self, page: Page) -> None: ...
