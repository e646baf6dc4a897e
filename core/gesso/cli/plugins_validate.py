"""`gesso plugins validate`: judges a plugin by its source alone; nothing of it is imported."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gesso.errors import BadFileError, InvalidInputError, near_matches
from gesso.plugins.audit import checked, declaration
from gesso.plugins.boundary import SUPPORTED_APIS
from gesso.plugins.discovery import GROUP
from gesso.plugins.guard import HEAVY_AT_IMPORT
from gesso.plugins.registries import SPECS


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def validate(path: Path) -> list[Problem]:
    """The problems of a project's folder (with pyproject.toml), of a package with plugin.py, or of a single file.

    BadFileError when there is no plugin at all.
    """
    if path.is_file():
        return list(_module(path))
    if (path / "pyproject.toml").is_file():
        return list(_project(path))
    if (path / "plugin.py").is_file():
        return list(_module(path / "plugin.py"))
    raise BadFileError(f"{path} holds neither pyproject.toml nor plugin.py.", hint="Name a plugin's folder or file.")


def _project(root: Path) -> Iterator[Problem]:
    file = root / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError) as error:
        yield Problem(file, 1, f"It cannot be read: {error}.")
        return
    for field in ("name", "description", "readme", "license", "requires-python"):
        if not project.get(field):
            yield Problem(file, 1, f"[project] has no {field}.")
    if not any(str(line).startswith("gesso") for line in project.get("dependencies", ())):
        yield Problem(file, 1, "[project] dependencies do not name gesso.")
    points = project.get("entry-points", {}).get(GROUP, {})
    if not points:
        yield Problem(file, 1, f"It has no entry point: [project.entry-points.{GROUP}] names the plugin's module.")
    for name, value in points.items():
        module = value.partition(":")[0].strip().replace(".", "/")
        places = [root / base / f"{module}{end}" for base in ("", "src") for end in (".py", "/__init__.py")]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            yield Problem(file, 1, f"The entry point {name} names {value}, which is not here.")
        else:
            yield from _module(found)


def _module(path: Path) -> Iterator[Problem]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        yield Problem(path, getattr(error, "lineno", 1) or 1, f"It cannot be read: {error}.")
        return
    yield from _api(path, tree)
    yield from _capabilities(path, tree)
    yield from _imports(path, tree.body)
    functions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for node in functions:
        if node.name.startswith("gesso_"):
            yield from _hook(path, node)


def _api(path: Path, tree: ast.Module) -> Iterator[Problem]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "api" for target in targets):
            value = getattr(node, "value", None)
            if not isinstance(value, ast.Constant) or value.value not in SUPPORTED_APIS:
                supported = ", ".join(map(repr, SUPPORTED_APIS))
                yield Problem(path, node.lineno, f"Its api is not one this gesso supports ({supported}).")
            return
    yield Problem(path, 1, f'It declares no api: add api = "{SUPPORTED_APIS[0]}".')


def _capabilities(path: Path, tree: ast.Module) -> Iterator[Problem]:
    """What is shown before an install is read from the source, so it must stand there plainly."""
    node = declaration(tree)
    if node is None:
        return
    try:
        checked(ast.literal_eval(node))
    except InvalidInputError as error:
        yield Problem(path, node.lineno, str(error))
    except (ValueError, TypeError):
        yield Problem(path, node.lineno, 'Its capabilities are no plain tuple: capabilities = ("network",).')


def _imports(path: Path, body: Sequence[ast.stmt]) -> Iterator[Problem]:
    """Heavy imports that run when the module is imported, those under `if` and `try` included."""
    for node in body:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            if name.partition(".")[0] in HEAVY_AT_IMPORT:
                yield Problem(
                    path, node.lineno, f"It imports {name}, which every command would pay for; see gesso.lazy."
                )
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(path, node.orelse)
            continue
        for part in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = getattr(node, part, [])
                yield from _imports(path, [*inner] if part != "handlers" else [s for h in inner for s in h.body])


def _hook(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Problem]:
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    mark = next((mark for mark in marks if "hookimpl" in mark), "")
    if not mark:
        yield Problem(path, node.lineno, f"{node.name} is not marked with @hookimpl, so it is never called.")
    if isinstance(node, ast.AsyncFunctionDef):
        yield Problem(path, node.lineno, f"{node.name} is async; hooks are plain functions.")
    spec = SPECS.get(node.name)
    if spec is None:
        near = near_matches(node.name, SPECS)
        if "optionalhook=True" not in mark:
            hint = f" Did you mean {near[0]}?" if near else ""
            yield Problem(path, node.lineno, f"There is no hook {node.name}.{hint}")
        return
    known = ", ".join(spec.arguments)
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        if argument.arg not in spec.arguments:
            yield Problem(path, node.lineno, f"{node.name} has no argument {argument.arg!r}; it has: {known}.")
    if "wrapper=True" in mark and spec.info.verb != "choose":
        yield Problem(path, node.lineno, f"{node.name}: wrapper=True is for choose hooks only.")
