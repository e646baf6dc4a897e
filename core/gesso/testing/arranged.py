"""The child of `gesso.testing.arrangements`: loads all plugins in one order and writes down what came of it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from gesso.plugins.discovery import discover
from gesso.testing.hosts import contents, load_in_order, shuffled
from gesso.testing.observe import end_with_parent


def main(arguments: list[str]) -> None:
    """Load in the usual order (seed null) or in a random one."""
    end_with_parent()
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    folder = Path(request["plugins_dir"]) if request["plugins_dir"] else None
    ids = [entry.id for entry in discover(folder).loadable]
    order = ids if request["seed"] is None else shuffled(ids, request["last"], request["seed"])
    host = load_in_order(order, folder, Path(tempfile.mkdtemp(dir=os.environ["GESSO_HOME"])))
    Path(arguments[1]).write_text(json.dumps(asdict(contents(host))), encoding="utf-8")
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
