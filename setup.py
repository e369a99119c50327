"""Builds the extension ``ohlora_fast._core`` with CMake; everything else is in pyproject.toml."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()


class CMakeBuild(build_ext):
    """Configure and build CMakeLists.txt, and put the library where setuptools wants it."""

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        build = Path(self.build_temp).resolve() / "cmake"
        build.mkdir(parents=True, exist_ok=True)
        werror = "ON" if os.environ.get("OHLORA_WERROR") == "1" else "OFF"
        options = {
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_LIBRARY_OUTPUT_DIRECTORY": target.parent,
            "CMAKE_LIBRARY_OUTPUT_DIRECTORY_RELEASE": target.parent,
            "OHLORA_WERROR": werror,
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
        }
        configure = ["cmake", "-S", str(ROOT), "-B", str(build), *(f"-D{k}={v}" for k, v in options.items())]
        if shutil.which("ninja") and sys.platform != "win32" and "CMAKE_GENERATOR" not in os.environ:
            configure += ["-G", "Ninja"]
        subprocess.run(configure, check=True)
        jobs = str(os.cpu_count() or 1)
        subprocess.run(["cmake", "--build", str(build), "--config", "Release", "--parallel", jobs], check=True)


def has_cmake() -> bool:
    """Say whether a CMake new enough for CMakeLists.txt is on the path."""
    try:
        answer = subprocess.run(["cmake", "--version"], capture_output=True, text=True).stdout
    except OSError:
        return False
    version = re.search(r"version (\d+)\.(\d+)", answer)
    return version is not None and (int(version[1]), int(version[2])) >= (3, 18)


# CMake comes from the system where there is one, and from PyPI only otherwise.
setup(
    packages=[
        *find_packages(include=["ohlora_fast", "ohlora_fast.*"]),
        "ohlora_fast.kernels",
        "ohlora_fast.benchmarks",
    ],
    # Two top-level folders are installed inside the package.
    package_dir={"ohlora_fast.kernels": "kernels", "ohlora_fast.benchmarks": "benchmarks"},
    package_data={"ohlora_fast": ["py.typed"], "ohlora_fast.student": ["bundled/*"]},
    ext_modules=[Extension("ohlora_fast._core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    setup_requires=[] if has_cmake() else ["cmake>=3.18"],
)
