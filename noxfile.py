"""
The checks of this project, each in an environment of its own.

`nox` runs lint, types and fast. `nox -s tests` runs the suite on every supported Python that is installed, `lowest`
with the lowest versions of the dependencies, `full` with the long proofs, and `package` from the built files; `docs`
builds the site. Arguments after `--` go to pytest: `nox -s fast -- tests/test_parser.py`.
"""

import functools
import re
import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "fast"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)  # those of the classifiers
MODULES = ("sse_client", "sse_client_cli.py", "pytest_sse_client.py")

# The extras that change what is installed for a user; the others are for developers.
EXTRAS = sorted(PROJECT["project"]["optional-dependencies"].keys() - {"bench", "dev", "examples"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and style, and the workflows."""
    session.install("-e", ".[dev]", "zizmor")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("zizmor", "--offline", "--persona=pedantic", ".github")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("pyright")


@nox.session
def fast(session: nox.Session) -> None:
    """Run all tests except the long proofs."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """Run all tests, then the long proofs with a new random seed."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)
    session.run("python", "-m", "pytest", "tests/reliability", env={"SSE_CLIENT_PROOF": "long"})


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests except the long proofs, on each version of Python."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run all tests but the long proofs with the lowest versions that pyproject.toml allows, and the newest tools."""
    extras = [f"--extra={extra}" for extra in EXTRAS]
    # The instrumentation of httpx takes only the newest API of OpenTelemetry: here, its tests are skipped.
    tools = [tool for tool in PROJECT["project"]["optional-dependencies"]["dev"] if "instrumentation" not in tool]
    with TemporaryDirectory() as folder:
        constraints = f"{folder}/lowest.txt"
        session.run_install(
            *("uv", "pip", "compile", "--quiet", "--resolution=lowest-direct", *extras, f"--python={session.python}"),
            *("--output-file", constraints, "pyproject.toml"),
        )
        session.install("--constraint", constraints, "-e", f".[{','.join(EXTRAS)}]", *tools)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site of the documentation into `build/site`; a broken link or reference fails."""
    session.install("-e", ".", *nox.project.dependency_groups(PROJECT, "docs"))
    root, source = Path.cwd(), PROJECT["project"]["urls"]["Source"]
    pages, site = root / "docs", root / "build" / "site"

    def from_the_site(link: re.Match[str], page: Path) -> str:
        """A link of a page, to the repository if it leaves the folder of the pages."""
        target = (page.parent / link["path"]).resolve()
        if target.is_relative_to(pages):
            return link[0]
        view = "raw" if link["text"].startswith("!") else "blob"
        return f"{link['text']}({source}/{view}/main/{target.relative_to(root).as_posix()}"

    with TemporaryDirectory() as folder:
        shutil.copy("mkdocs.yml", folder)
        copies = shutil.copytree(pages, Path(folder) / "docs")
        for page in pages.rglob("*.md"):
            text = re.sub(
                r"(?P<text>!?\[[^\]]*\])\((?P<path>\.\./[^)#\s]+)",
                functools.partial(from_the_site, page=page),
                page.read_text(encoding="utf-8"),
            )
            (copies / page.relative_to(pages)).write_text(text, encoding="utf-8")
        (copies / "reference").mkdir()
        for module in re.findall(r"- reference/([\w.]+)\.md", (root / "mkdocs.yml").read_text(encoding="utf-8")):
            (copies / "reference" / f"{module}.md").write_text(f"# {module}\n\n::: {module}\n", encoding="utf-8")
        with session.chdir(folder):
            session.run("zensical", "build", "--strict")
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(Path(folder) / "site", site)


@nox.session(reuse_venv=False)
def package(session: nox.Session) -> None:
    """
    Build and check the sdist and the wheel, and run the tests of the sdist, and the command, from the wheel.

    Both files stay in `dist/`. With arguments, only those tests are run.
    """
    dist = Path("dist").absolute()
    shutil.rmtree(dist, ignore_errors=True)
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", str(dist))
    [sdist], [wheel] = dist.glob("*.tar.gz"), dist.glob("*.whl")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))

    session.install(f"{wheel}[dev]")
    # Not below the checkout, whose settings pytest would find.
    with TemporaryDirectory() as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        source = Path(folder) / sdist.name.removesuffix(".tar.gz")
        for module in MODULES:  # so that the tests import those of the wheel
            path = source / module
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with session.chdir(source):
            session.run("python", "-m", "pytest", *session.posargs)
        with session.chdir(folder):
            uvx = ("uvx", "--isolated", "--from", str(wheel)) if session.venv_backend == "uv" else ()
            for command in PROJECT["project"]["scripts"]:
                session.run(*uvx, command, "--version", external=bool(uvx))
