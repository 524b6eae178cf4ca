"""The package as users get it: built, installed into an empty environment, imported, used."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import standpipe

FOLDER = Path(__file__).parent.parent

USE = """
import asyncio, importlib.metadata, standpipe

async def main():
    async with standpipe.Client("127.0.0.1:1", topics="a", reconnect="never", proxy=None) as client:
        try:
            await anext(client)
        except standpipe.Unreachable as error:
            print(standpipe.__version__, importlib.metadata.version("standpipe"), error.verdict)

asyncio.run(main())
"""


def test_the_version_is_that_of_the_package() -> None:
    manifest = (FOLDER / "pyproject.toml").read_text()
    assert f'\nversion = "{standpipe.__version__}"\n' in manifest


def test_a_wheel_is_installed_into_an_empty_environment_and_used(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = tmp_path / "wheels"
    subprocess.run([*pip, "wheel", "--wheel-dir", str(wheels), str(FOLDER)], check=True)
    built = [wheel.name for wheel in wheels.glob("standpipe-*.whl")]
    assert built == [f"standpipe-{standpipe.__version__}-py3-none-any.whl"]
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    install = ["--python", str(python), "install", "--no-index", "--find-links", str(wheels), "standpipe"]
    subprocess.run([*pip, *install], check=True)
    # Away from the sources, so that the installed package is what is imported.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    used = subprocess.run(
        [python, "-c", USE], check=True, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert used.stdout.split() == [standpipe.__version__, standpipe.__version__, "backoff"]
    typed = next((tmp_path / "venv").glob("lib/python*/site-packages/standpipe/py.typed"), None)
    assert typed is not None, "type checkers would ignore its types"


def test_the_examples_of_the_readme_are_python_and_name_what_is_there() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for names in re.findall(r"from standpipe import (.+)", block):
            assert set(names.split(", ")) <= set(standpipe.__all__)


@pytest.mark.parametrize("name", standpipe.__all__)
def test_every_name_that_is_offered_is_there(name: str) -> None:
    assert hasattr(standpipe, name)
