"""Build ordervet: scikit-build-core, an extension in place for editable installs, and a compiler where there is none.

pip calls the functions named by PEP 517 and PEP 660; `python tools/build_backend.py` (`make core`) builds the
extension into src/ordervet alone, with --sanitize one for `make sanitize` and `make fuzz`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from scikit_build_core import build

ROOT = Path(__file__).resolve().parents[1]
ZIG = "ziglang>=0.15"
"""A C++ compiler that pip can install, for a machine without one."""

Settings = dict[str, "list[str] | str"] | None

get_requires_for_build_sdist = build.get_requires_for_build_sdist
prepare_metadata_for_build_wheel = build.prepare_metadata_for_build_wheel
build_sdist = build.build_sdist


def has_compiler() -> bool:
    """Return whether CMake will find a C++ compiler without help."""
    if os.environ.get("CXX") or sys.platform == "win32":  # CMake finds a Visual Studio that is not on the path
        return True
    return any(shutil.which(name) for name in ("c++", "g++", "clang++"))


def choose_compiler() -> None:
    """Have CMake compile with the zig of the package `ziglang`, where the machine has no compiler."""
    if has_compiler():
        return
    zig = Path(str(import_module("ziglang").__file__)).with_name("zig")
    is_glibc = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
    target = f"-target {platform.machine()}-linux-gnu.2.28" if is_glibc else "-mcpu=baseline"
    os.environ["CXX"] = f"{zig} c++ {target}"
    if not os.environ.get("HOME"):  # where zig keeps the C++ library that it compiles
        os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", tempfile.mkdtemp())
    os.environ["CMAKE_ARGS"] = f"{os.environ.get('CMAKE_ARGS', '')} -DORDERVET_ZIG={zig}"


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Return what pip installs before it builds: CMake, Ninja and a compiler where the machine lacks them."""
    return [*build.get_requires_for_build_wheel(config_settings), *([] if has_compiler() else [ZIG])]


get_requires_for_build_editable = get_requires_for_build_wheel


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build the wheel."""
    choose_compiler()
    return build.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Build the extension in place, and a wheel that points at the source tree."""
    build_in_place()
    point_at_sources()
    return build.build_wheel(wheel_directory, config_settings, metadata_directory)


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    """Write the metadata of the wheel that points at the source tree."""
    point_at_sources()
    return build.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def point_at_sources() -> None:
    """Have the next wheel hold a path to src and nothing else."""
    # NOT: an editable wheel of scikit-build-core. It imports the package from here whatever PYTHONPATH says.
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "ordervet.pth").write_text(f"{ROOT / 'src'}\n", encoding="utf-8")
    os.environ["ORDERVET_EDITABLE"] = "1"


def build_in_place() -> None:
    """Build the extension into src/ordervet, from what an earlier build left in build/core."""
    run_cmake(ROOT / "build" / "core", "-DORDERVET_IN_PLACE=ON")


def build_sanitized() -> None:
    """Build the extension with ASan and UBSan, beside links to the rest of the package: build/sanitize/ordervet."""
    target = ROOT / "build" / "sanitize"
    run_cmake(target, "-DORDERVET_SANITIZE=address,undefined")
    package = target / "ordervet"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir()
    for path in (ROOT / "src" / "ordervet").iterdir():
        if not path.name.startswith(("_core.", "__pycache__")):
            (package / path.name).symlink_to(path)
    for extension in target.glob("_core*.so"):
        shutil.copy2(extension, package)


def run_cmake(target: Path, *options: str) -> None:
    """Configure and build in a folder."""
    choose_compiler()
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    given = [f"-DPython_EXECUTABLE={sys.executable}", *options, *os.environ.get("CMAKE_ARGS", "").split()]
    subprocess.run(["cmake", "-S", ROOT, "-B", target, "--log-level=WARNING", *generator, *given], check=True)
    subprocess.run(["cmake", "--build", target, "--parallel"], check=True)


if __name__ == "__main__":
    if "--sanitize" in sys.argv:
        build_sanitized()
    else:
        build_in_place()
