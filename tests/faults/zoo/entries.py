"""The fault zoo: what plugins do wrong, each as a small distribution of its own. Read as text and built into wheels.

`HEAD` stands before every module. `{name}` is the entry's name; its package is `zoo_<name>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HEAD = """\
from gesso import hookimpl
api = "1"
"""
STEP = "@hookimpl\ndef gesso_on_step(ctx, step):\n"
STARTUP = "@hookimpl\ndef gesso_on_startup(process):\n"
PROMPT = "@hookimpl\ndef gesso_filter_prompt(prompt):\n"
TAB = """
from gesso import Tab, TabFn, lazy
@hookimpl
def gesso_register_tabs(registry):
    registry.add(Tab(name="{name}", label="{name}", build=lazy(".ui:build", TabFn)))
"""
SAMPLER = """
from gesso import Sampler, SamplerFn, lazy
@hookimpl
def gesso_register_samplers(registry):
    registry.add(Sampler(name="{sampler}", run=lazy(".sampling:run", SamplerFn)))
"""
EULER = """
def run(denoise, x, sigmas, *, model, noise, on_step, options):
    return denoise(x, float(sigmas[0])).x0
"""
PARAMS = """
from gesso import Params, Record, param
class Odd(Params):
    {field}
@hookimpl
def gesso_register_params(registry):
    registry.add(Record(name="{name}", label="{name}", params=Odd))
"""


@dataclass(frozen=True)
class Entry:
    """One exhibit. `state`, `phase` and `hook` are what the report must say of it, `words` what its error must contain.

    `files` are further modules of its package; `twin`: a second distribution of the same kind, well in itself.
    """

    name: str
    does: str
    module: str = ""
    state: str = "failed"
    phase: str = "import"
    hook: str = ""
    words: str = ""
    head: str = HEAD
    files: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    twin: str = ""
    """A second distribution: "" none; "same" with this one's code; "point" also with its entry-point name."""
    damage: str = ""
    """What is done to the installed files: "metadata" overwritten, "files" removed, "uninstalled" while it runs."""
    sampler: str = ""
    """Ask for this sampler in a job of its own, which must fail and be put down to the plugin."""
    real_worker: bool = False
    """It takes the worker's process with it: only a real one will do."""

    @property
    def dist(self) -> str:
        return f"gesso-zoo-{self.name.replace('_', '-')}"

    @property
    def package(self) -> str:
        return self.dist.replace("-", "_")

    @property
    def id(self) -> str:
        # Without metadata there is no entry point's name, only the folder's.
        return f"{self.dist}:{self.dist if self.damage == 'metadata' else self.name}"


ENTRIES = (
    Entry("import_error", "raises ImportError", "from json import no_such_name", words="no_such_name"),
    Entry("syntax_error", "has a syntax error", "def broken(:\n    pass", words="SyntaxError"),
    Entry("system_exit", "raises SystemExit", "raise SystemExit(3)", words="SystemExit"),
    Entry("keyboard_interrupt", "raises KeyboardInterrupt", "raise KeyboardInterrupt", words="KeyboardInterrupt"),
    Entry("base_exception", "raises a BaseException of its own",
          "class Odd(BaseException): ...\nraise Odd('odd')", words="Odd: odd"),
    Entry("os_exit", "ends Python with os._exit(1)", "import os\nos._exit(1)", phase="probe", words="exit status 1"),
    Entry("segfault", "crashes Python (ctypes)", "import ctypes\nctypes.string_at(0)", phase="probe", words="SIGSEGV"),
    Entry("sleeps", "sleeps for 60 s", "import time\ntime.sleep(60)", phase="probe", words="after 10 s"),
    Entry("loops_in_c", "loops in C code", "sum(range(10**14))", phase="probe", words="after 10 s"),
    Entry("recursion", "recurses without end", "def down(): down()\ndown()", words="RecursionError"),
    Entry("unknown_hook", "implements a hook that does not exist", "@hookimpl\ndef gesso_on_stepp(ctx): ...",
          phase="register", words="gesso_on_stepp"),
    Entry("wrong_argument", "takes an argument the hook does not have", "@hookimpl\ndef gesso_on_step(contxt): ...",
          phase="register", words="contxt"),
    Entry("raises_always", "a hook that always raises", STEP + "    raise ValueError('each step')",
          state="quarantined", phase="hook", hook="gesso_on_step", words="each step"),
    Entry("raises_sometimes", "a hook that raises now and then",
          STEP + "    if step.index == 2:\n        raise ValueError('now and then')",
          state="enabled", phase="hook", hook="gesso_on_step", words="now and then"),
    Entry("interrupts", "a hook that raises KeyboardInterrupt", STEP + "    raise KeyboardInterrupt",
          state="quarantined", phase="hook", hook="gesso_on_step", words="KeyboardInterrupt"),
    Entry("wrong_type", "a filter that returns another type", PROMPT + "    return 42",
          state="enabled", phase="hook", hook="gesso_filter_prompt", words="int, not str"),
    Entry("wrong_answer", "an answer of another type",
          "@hookimpl\ndef gesso_choose_init_latents(ctx):\n    return 'latents'",
          state="enabled", phase="hook", hook="gesso_choose_init_latents", words="str, not Latents"),
    Entry("blocks_host", "hooks that block in the host",
          "import time\n" + STARTUP + "    time.sleep(3600)\n" + PROMPT + "    time.sleep(3600)",
          state="quarantined", phase="hook", hook="gesso_filter_prompt", words="not come back"),
    Entry("blocks_worker", "a hook that blocks in the worker",
          "import time\n" + STEP + "    time.sleep(3600)", state="enabled", phase="crash", hook="the stage sample",
          words="no progress", real_worker=True),
    Entry("duplicate_id", "claims the name another plugin has", SAMPLER.replace("{sampler}", "twofold"),
          phase="register", hook="gesso_register_samplers", words="already owns", twin="same",
          files={"sampling": EULER}),
    Entry("same_point", "two distributions with one entry-point name", STARTUP + "    pass", state="enabled", phase="",
          twin="point"),
    Entry("builtin_id", "claims the name of a built-in", SAMPLER.replace("{sampler}", "euler"), phase="register",
          hook="gesso_register_samplers", words="gesso:samplers", files={"sampling": EULER}),
    Entry("api_99", 'is written for api = "99"', head=HEAD.replace('"1"', '"99"'), state="incompatible", words="'99'"),
    Entry("no_dependency", "needs a package that is not there", "import a_package_nobody_has", state="missing-deps",
          words="a_package_nobody_has", requires=("a-package-nobody-has>=2",)),
    Entry("prints", "prints megabytes", "print('x' * 5_000_000)\n" + STARTUP + "    print('y' * 5_000_000)",
          state="enabled", phase=""),
    Entry("closes_stdout", "closes stdout", "import os, sys\nsys.stdout.close()\nos.close(1)\n" + STARTUP
          + "    sys.stdout.close()\n    os.close(1)", state="enabled", phase=""),
    Entry("moves", "changes sys.argv, working folder and locale",
          "import locale, os, sys\ndef move():\n    sys.argv[:] = ['moved']\n    os.chdir('/')\n"
          "    locale.setlocale(locale.LC_ALL, 'C')\nmove()\n" + STARTUP + "    move()", state="enabled", phase=""),
    Entry("patches_linear", "replaces torch.nn.Linear.forward in the worker", STARTUP
          + "    if process == 'worker':\n        import torch\n"
          "        torch.nn.Linear.forward = lambda self, x: torch.zeros(*x.shape[:-1], self.out_features)",
          state="enabled", phase="patch", hook="gesso_on_startup", words="Linear.forward"),
    Entry("patches_open", "replaces PIL.Image.open", "import PIL.Image\nPIL.Image.open = lambda *a, **k: 1 / 0",
          words="PIL.Image.open"),
    Entry("patches_button", "replaces gradio.Button from its tab", TAB, state="enabled", phase="patch",
          hook="the tab patches_button", words="gradio.Button",
          files={"ui": "import gradio\ndef build(page):\n    gradio.Button = gradio.Button.__init__ = None\n"}),
    Entry("imports_torch", "imports torch in plugin.py", "import torch", words="imports torch"),
    Entry("changes_registry", "changes a registry all share", TAB, state="enabled", phase="patch",
          hook="the tab changes_registry", words="the sampler",
          files={"ui": "def build(page):\n    all_ = page.service.host.registry('samplers')\n"
                       "    all_.remove_owner('gesso:samplers')\n"}),
    Entry("tab_raises", "a tab that cannot be built", TAB, state="enabled", phase="build", hook="the tab tab_raises",
          words="ZeroDivisionError",
          files={"ui": "import gradio\ndef build(page):\n    gradio.Textbox('half')\n    1 / 0\n"}),
    Entry("invalid_params", "parameters that cannot be shown", PARAMS.replace(
          "{field}", "what: str = param('a', choices='registry:nowhere')"), state="enabled", phase="build",
          hook="the record invalid_params", words="nowhere"),
    Entry("invalid_default", "parameters with a default out of bounds", PARAMS.replace(
          "{field}", "much: int = param(99, ge=0, le=5)"), phase="register", hook="gesso_register_params",
          words="much"),
    Entry("sampler_raises", "a sampler that raises", SAMPLER.replace("{sampler}", "zoo_raises"), state="enabled",
          phase="stage", hook="the stage sample", words="no such luck", sampler="zoo_raises",
          files={"sampling": EULER.replace("return", "raise RuntimeError('no such luck')\n    return")}),
    Entry("sampler_crashes", "a sampler that crashes the worker", SAMPLER.replace("{sampler}", "zoo_crashes"),
          state="enabled", phase="crash", hook="the stage sample", words="SIGSEGV", sampler="zoo_crashes",
          real_worker=True,
          files={"sampling": "import ctypes\n" + EULER.replace("return", "ctypes.string_at(0)\n    return")}),
    Entry("broken_metadata", "its metadata is damaged", STARTUP + "    pass", phase="discovery", words="metadata",
          damage="metadata"),
    Entry("files_gone", "its files are gone", STARTUP + "    pass", words="", damage="files"),
    Entry("uninstalled", "uninstalled while enabled", STARTUP + "    pass", state="enabled", phase="",
          damage="uninstalled"),
)  # fmt: skip
TEN = (
    "import_error", "syntax_error", "os_exit", "segfault", "unknown_hook", "raises_always", "patches_linear",
    "tab_raises", "builtin_id", "closes_stdout",
)  # fmt: skip
"""The ten that are enabled at once in a real page with a real worker."""
