"""The page's own texts and everybody's, as one catalogue."""

from __future__ import annotations

import logging
from pathlib import Path

from gesso import Catalog, GessoError, Service, choices_of, texts_of

log = logging.getLogger("gesso.page")
LOCALES = Path(__file__).with_name("locales")
OWN = "locales"
"""The folder in GESSO_HOME where a person's own files lie, A1111's flat ones too."""


def folders_of(service: Service) -> list[Path]:
    """The shell's locale files, the plugins', and at last the person's own, which say how it is meant."""
    return [LOCALES, *(item.folder for item in service.host.registry("locales")), service.paths.home / OWN]


def catalog_of(service: Service) -> Catalog:
    """All texts of the page. A file that cannot be read is left out, and the log says so."""
    english = texts_of(service)
    good = []
    for folder in folders_of(service):
        try:
            Catalog([folder])
        except GessoError as error:
            log.warning("%s It is left out.", error)
        else:
            good.append(folder)
    return Catalog(good, english, choices_of(service))
