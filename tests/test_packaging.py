"""The package as PyPI and pip see it: names, links, extras, files, workflows, and the check before a release."""

import importlib.util
import re
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sse_client
from sse_client import __version__

ROOT = Path(__file__).parents[1]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = SETTINGS["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_DEVELOPERS = {"bench", "dev", "examples"}
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

# Links as Markdown has them, with their address.
LINKS = re.compile(r"(?<=\]\()[^)\s]+")


def load_release() -> ModuleType:
    """The check before a release, a program."""
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RELEASE = load_release()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel of this checkout."""
    build = pytest.importorskip("hatchling.build")
    pytest.importorskip("hatch_fancy_pypi_readme")
    if not (ROOT / "sse_client").exists():
        pytest.skip("the tests of an sdist, which run without its modules")
    folder = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        build.build_sdist(str(folder))
        build.build_wheel(str(folder))
    return folder


@pytest.fixture(scope="module")
def metadata(request: pytest.FixtureRequest) -> Message:
    """The metadata of the built wheel, or of the installed one if these are the tests of an sdist."""
    if not (ROOT / "sse_client").exists():
        return Parser().parsestr(distribution(PROJECT["name"]).read_text("METADATA") or "")
    [path] = request.getfixturevalue("built").glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(wheel.read(name).decode())


def test_links_of_the_page_on_pypi(metadata: Message) -> None:
    """On PyPI, each link of the README is absolute, and those into the repository lead to a file of it."""
    address = f"{PROJECT['urls']['Source']}/blob/v{__version__}/"
    links, originals = LINKS.findall(str(metadata.get_payload())), LINKS.findall(README)
    relative = [link for link in originals if not link.startswith("https://")]
    assert relative
    assert [link.removeprefix(address) for link in links] == originals
    assert all(link.startswith("https://") for link in links)
    assert all((ROOT / link.partition("#")[0]).exists() for link in relative)


def test_the_page_on_pypi_is_the_readme(metadata: Message) -> None:
    """Only the links differ: the code of the README is unchanged."""
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert LINKS.sub("", str(metadata.get_payload())).strip() == LINKS.sub("", README).strip()


def test_metadata(metadata: Message) -> None:
    """The metadata names the project, its version, its license, and the URLs of the table in pyproject.toml."""
    assert (metadata["Name"], metadata["Version"]) == (PROJECT["name"], __version__)
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Keywords"].split(",") == PROJECT["keywords"] == sorted(PROJECT["keywords"])
    urls = dict(each.split(", ", 1) for each in metadata.get_all("Project-URL", []))
    assert urls == PROJECT["urls"]
    assert urls.keys() == RELEASE.LABELS


def test_files(built: Path) -> None:
    """The wheel has the package and two modules; the sdist has what its tests need, and no measurements."""
    [wheel], [sdist] = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        tops = {name.partition("/")[0] for name in opened.namelist()}
    tops.remove(f"sse_client_sdk-{__version__}.dist-info")
    assert tops == {"sse_client", "pytest_sse_client.py", "sse_client_cli.py"}
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "sse_client").rglob("*.py")}
    assert names >= {"README.md", "CHANGELOG.md", "LICENSE", "noxfile.py", ".ci/run", *modules}
    for folder in ("tests", "examples", "docs", "benchmarks", ".github"):
        assert any(name.startswith(f"{folder}/") for name in names)
    left_out = {"results", "pictures"}
    assert not [name for name in names if name.startswith("benchmarks/") and name.split("/")[1] in left_out]


def test_commands() -> None:
    """`sse-client` and `sse-client-sdk` are the same program: the second is what `uvx sse-client-sdk` looks for."""
    assert PROJECT["scripts"] == dict.fromkeys(("sse-client", "sse-client-sdk"), "sse_client_cli:main")


def test_dependencies() -> None:
    """Each dependency has a lowest version and no highest one, and each extra has the bounds that `dev` has."""
    needed = [*PROJECT["dependencies"], *(each for extra in EXTRAS.keys() - {"bench"} for each in EXTRAS[extra])]
    assert [each for each in needed if not re.fullmatch(r"[\w\[\]-]+>=[\d.]+(?:b\d+)?(; .*)?", each)] == []
    tools = {re.split(r"\W*>=", each)[0]: each for each in EXTRAS["dev"]}
    for extra in EXTRAS.keys() - FOR_DEVELOPERS:
        assert [each for each in EXTRAS[extra] if each != tools.get(re.split(r"\W*>=", each)[0], each)] == []


@pytest.mark.parametrize("extra", sorted(EXTRAS.keys() - FOR_DEVELOPERS))
def test_each_extra_is_documented(extra: str) -> None:
    """A page says how to install each extra that is for users."""
    pages = [README, *(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))]
    assert any(f"pip install 'sse-client-sdk[{extra}]'" in page for page in pages)


def test_extras_in_texts() -> None:
    """Every extra that a text names exists, also in the errors of the package."""
    texts = [*ROOT.glob("*.md"), *ROOT.glob("*.py"), *(ROOT / ".github").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for folder in ("sse_client", "examples", "benchmarks"):
        texts += (ROOT / folder).rglob("*.py")
    named = {extra for text in texts for extra in re.findall(r"sse-client-sdk\[(\w+)\]", text.read_text("utf-8"))}
    assert named <= EXTRAS.keys()


def test_pythons() -> None:
    """The classifiers name each Python from the lowest one on, and no free-threaded build; CI runs on all of them."""
    classifiers = PROJECT["classifiers"]
    minors = sorted(int(minor) for minor in re.findall(r":: 3\.(\d+)\b", "\n".join(classifiers)))
    assert minors == [*range(minors[0], minors[-1] + 1)]
    assert PROJECT["requires-python"] == f">=3.{minors[0]}"
    assert SETTINGS["tool"]["pyright"]["pythonVersion"] == f"3.{minors[0]}"
    assert not [each for each in classifiers if "Free Threading" in each]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.findall(r"python: \[(.*)\]", workflow) == [", ".join(f'"3.{minor}"' for minor in minors)]


def test_pages_of_the_site() -> None:
    """The site has each page of `docs/` and each public module; the decisions are reached from their index."""
    listed = set(re.findall(r"- ([\w./]+\.md)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in listed if not page.startswith("reference/")} == {
        page for page in pages if not re.match(r"decisions/\d", page)
    }
    package = Path(sse_client.__file__).parent
    public = {path.stem for path in package.iterdir() if path.stem.isidentifier() and not path.stem.startswith("_")}
    modules = {"sse_client", *(f"sse_client.{name}" for name in public - {"cli", "py"})}
    assert {page for page in listed if page.startswith("reference/")} == {f"reference/{name}.md" for name in modules}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows(path: Path) -> None:
    """A workflow has no rights but those of its jobs, keeps no credentials, and pins each action by its hash."""
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    actions = re.findall(r"uses: (.*)", text)
    assert actions
    assert [each for each in actions if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []
    assert text.count("uses: actions/checkout@") == text.count("persist-credentials: false")
    assert "secrets." not in text


def test_rights_to_publish() -> None:
    """The job that publishes runs in the environment `pypi`, after the check and the build, with one right."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    build, publish = text.split("\n  build:\n")[1].split("\n  publish:\n")
    assert build.index(".ci/release.py") < build.index("nox -s package")
    assert "id-token" not in build
    assert "needs: build\n" in publish
    assert "    environment: pypi\n" in publish
    rights = publish.split("\n    permissions:\n")[1].split("\n    steps:\n")[0]
    assert re.fullmatch(r" +id-token: write(?: #.*)?", rights)
    assert "actions/checkout" not in publish


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("sse-client", "sseclient"),
        ("SSE_Client", "sse.client"),
        ("ssecl1ent", "sseclient"),
        ("iol", "1-0.1"),
    ],
)
def test_names_that_are_equal(name: str, other: str) -> None:
    """PyPI ignores case and separators, and takes `l` and `i` for `1`, `o` for `0`."""
    assert RELEASE.folded(name) == RELEASE.folded(other)


def test_our_name_is_not_taken() -> None:
    """The name of the distribution differs from all near ones, and that of the command is one of them."""
    near = {RELEASE.folded(name) for name in RELEASE.NEIGHBORS}
    assert RELEASE.folded(PROJECT["name"]) not in near
    assert RELEASE.folded("sse-client") in near


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that can be published: this one, at an address and with a section for the version."""
    (tmp_path / ".github").mkdir()
    (tmp_path / "sse_client").mkdir()
    for name in ("pyproject.toml", ".github/SECURITY.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("example.org", "code.test"), encoding="utf-8")
    (tmp_path / "sse_client" / "_version.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n\n- All.\n")
    return tmp_path


@pytest.mark.parametrize("tag", ["v1.2.3", None])
def test_a_release(project: Path, tag: str | None) -> None:
    """A project with an address, and with a section for its version, can be published."""
    assert [*RELEASE.reasons(project, tag)] == []


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("pyproject.toml", 'name = "sse-client-sdk"', 'name = "SSE.Client"', "equals 'sseclient' for PyPI"),
        ("pyproject.toml", 'sse-client-sdk = "sse_client_cli', 'sdk = "sse_client_cli', "no command is called"),
        ("pyproject.toml", 'sse-client-sdk = "sse_client_cli:', 'sse-client-sdk = "other:', "not the same program"),
        ("pyproject.toml", 'Issues = "https://code.test', 'Issues = "https://example.org', "is a placeholder"),
        ("pyproject.toml", "Issues = ", "Bugs = ", "no URL for Issues"),
        ("pyproject.toml", "](https://code.test/", "](https://example.org/", "links of the README"),
        (".github/SECURITY.md", "tab **Security**", "page example.org", "SECURITY.md has a placeholder"),
        ("sse_client/_version.py", "1.2.3", "1.2.4", "the tag is 'v1.2.3', expected 'v1.2.4'"),
        ("sse_client/_version.py", "1.2.3", "1.2.4", "expected '[1.2.4] - YYYY-MM-DD'"),
        ("sse_client/_version.py", "1.2.3", "1.2.3.dev0", "not one of a release"),
        ("CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- More.\n", "unreleased changes"),
        ("CHANGELOG.md", " - 2026-12-01", "", "expected '[1.2.3] - YYYY-MM-DD'"),
    ],
)
def test_reasons_not_to_publish(project: Path, file: str, old: str, new: str, reason: str) -> None:
    """A name that is taken, an address that is not known, a version that the changelog or the tag lacks: no release."""
    text = (project / file).read_text(encoding="utf-8")
    assert old in text
    (project / file).write_text(text.replace(old, new), encoding="utf-8")
    assert any(reason in each for each in RELEASE.reasons(project, "v1.2.3"))


def test_the_check_fails(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The program prints each reason, and fails if there is one."""
    monkeypatch.setattr(RELEASE, "ROOT", project)
    monkeypatch.setattr("sys.argv", ["release.py", "v1.2.3"])
    assert RELEASE.main() == 0
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    (project / "pyproject.toml").write_text(text.replace("code.test", "example.org"), encoding="utf-8")
    assert RELEASE.main() == 1
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == len(RELEASE.LABELS)
    assert all("is a placeholder: https://example.org/" in line for line in printed)
