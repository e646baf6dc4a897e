"""What the launcher says where it cannot go on, and that every Python can read it so far."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def test_an_old_python_is_told(launcher, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(launcher, "python_version", lambda: (3, 8, 18))
    assert launcher.main([], tmp_path) == 1
    said = capsys.readouterr().err
    assert said.startswith("gesso: Python 3.11 or newer is needed; this is 3.8.18 (")
    assert len(said.splitlines()) == 1


def test_an_old_python_is_shown_a_newer_one_that_runs(launcher, monkeypatch, tmp_path):
    for name, code in (("python3.13", 1), ("python3.12", 0)):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {code}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(launcher, "python_version", lambda: (3, 6, 0))
    with pytest.raises(launcher.LaunchError, match=r"Start it with: python3\.12 launch\.py"):
        launcher.check_python()


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8", "3.9", "3.10"])
def test_a_real_old_python(version: str, repository: Path):
    program = shutil.which(f"python{version}")
    if not program or subprocess.run([program, "--version"], capture_output=True).returncode:
        pytest.skip(f"no Python {version} here")
    result = subprocess.run([program, str(repository / "launch.py")], capture_output=True, text=True)
    assert result.returncode == 1
    assert f"this is {version}." in result.stderr
    assert "Traceback" not in result.stderr
    assert "Error" not in result.stderr


def test_old_pythons_can_read_it(repository: Path):
    """No syntax after 3.6, and no annotation that an old Python would trip over when it defines the function."""
    tree = ast.parse((repository / "launch.py").read_text(), feature_version=(3, 7))
    late = (ast.JoinedStr, ast.NamedExpr, ast.Match)
    assert not [node for node in ast.walk(tree) if isinstance(node, late)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    annotations = [argument.annotation for function in functions for argument in function.args.args]
    annotations += [function.returns for function in functions]
    assert not [ast.unparse(a) for a in annotations if isinstance(a, (ast.Subscript, ast.BinOp))]
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told(launcher, monkeypatch, capsys, tmp_path, module):
    monkeypatch.setitem(sys.modules, module, None)  # as Debian leaves it without python3-venv
    assert launcher.main([], tmp_path) == 1
    assert "sudo apt install python3-venv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("OSError: [Errno 30] Read-only file system: '/opt/gesso/.venv'", "cannot be written to"),
        ("PermissionError: [WinError 5] Access is denied: 'C:\\\\gesso'", "cannot be written to"),
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407'))", "check HTTPS_PROXY"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed'))", "set PIP_CERT"),
        ("NewConnectionError('[Errno -3] Temporary failure in name resolution')", "cannot be reached"),
        ("socket.gaierror: [Errno 11001] getaddrinfo failed", "cannot be reached"),
        ("ERROR: No matching distribution found for torch==2.13.0", "has no build for Python"),
        ("Collecting torch\nended by signal 9", "Memory ran out"),
        ("something else altogether", ""),
        # Where a network error came before the real one, the earlier line of the table speaks.
        ("Retrying after ReadTimeoutError\nOSError: [Errno 28] No space left on device", "disk is full"),
    ],
)
def test_hints(launcher, tmp_path, text, hint):
    shown = launcher.hint_for(text, tmp_path)
    assert (hint in shown) if hint else shown == ""
    assert "{" not in shown


@pytest.mark.parametrize(("proxy", "hint"), [("http://user:secret@proxy:8080", "check HTTPS_PROXY"), ("", "a network")])
def test_a_proxy_is_named_where_pip_does_not(launcher, tmp_path, monkeypatch, proxy, hint):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    shown = launcher.hint_for(
        """NewConnectionError("HTTPConnection(host='proxy', port=8080): Connection refused")""", tmp_path
    )
    assert hint in shown
    assert "secret" not in shown


def test_paths_of_windows(launcher, monkeypatch, tmp_path):
    monkeypatch.setattr(launcher, "WINDOWS", True)
    assert launcher.Paths(tmp_path).python == tmp_path / ".venv" / "Scripts" / "python.exe"


def test_windows_waits_for_the_command_and_passes_its_exit_code_on(launcher, monkeypatch):
    monkeypatch.setattr(launcher, "WINDOWS", True)
    assert launcher.hand_over([sys.executable, "-c", "import sys; sys.exit(9)"]) == 9
