"""Builds the extensions with CMake; everything else is in pyproject.toml.

``ohlora_fast._core`` holds the CPU kernels, ``ohlora_fast._cuda`` the CUDA kernels. Where the environment variable
OHLORA_CUDA is "auto" or unset, the latter are built if there is a compiler nvcc, and if that fails, what is installed
works without them; with "1" the installation fails then, with "0" they are not tried.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
WHY_NOT = "_cuda_missing.txt"
"""Beside the modules: why there are no CUDA kernels, in a line."""


class CMakeBuild(build_ext):
    """Configure and build CMakeLists.txt, and put the libraries where setuptools wants them."""

    def build_extension(self, ext: Extension) -> None:
        folder = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        build = Path(self.build_temp).resolve()
        cmake(build / "cmake", folder)
        build_cuda(build / "cmake-cuda", folder)

    def copy_extensions_to_source(self) -> None:
        """Put into the source tree, for an installation that runs from there, what was built elsewhere."""
        super().copy_extensions_to_source()
        source = Path(self.get_finalized_command("build_py").get_package_dir("ohlora_fast"))
        for old in cuda_files(source):
            old.unlink()
        for new in cuda_files(Path(self.build_lib, "ohlora_fast")):
            shutil.copy2(new, source)


def cuda_files(folder: Path) -> list[Path]:
    """Return what `build_cuda` leaves in a folder."""
    return [*folder.glob("_cuda.*.so"), *folder.glob("_cuda.*.pyd"), *folder.glob(WHY_NOT)]


def cmake(build: Path, folder: Path, capture: bool = False, **options: object) -> None:
    """Configure and build in ``build``; modules go to ``folder``.

    Raises:
        subprocess.CalledProcessError: a step failed; ``output`` is what it printed, if captured.
    """
    import pybind11

    build.mkdir(parents=True, exist_ok=True)
    settings = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_LIBRARY_OUTPUT_DIRECTORY": folder,
        "CMAKE_LIBRARY_OUTPUT_DIRECTORY_RELEASE": folder,
        "OHLORA_WERROR": "ON" if os.environ.get("OHLORA_WERROR") == "1" else "OFF",
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
        **options,
    }
    configure = ["cmake", "-S", str(ROOT), "-B", str(build), *(f"-D{k}={v}" for k, v in settings.items())]
    if shutil.which("ninja") and sys.platform != "win32" and "CMAKE_GENERATOR" not in os.environ:
        configure += ["-G", "Ninja"]
    jobs = str(os.cpu_count() or 1)
    for command in (configure, ["cmake", "--build", str(build), "--config", "Release", "--parallel", jobs]):
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} if capture else {}
        subprocess.run(command, check=True, **streams)


def build_cuda(build: Path, folder: Path) -> None:
    """Build the CUDA kernels into ``folder``, or leave there why they are missing.

    Raises:
        SystemExit: OHLORA_CUDA is "1" and they cannot be built, or no value that is known.
    """
    wanted = os.environ.get("OHLORA_CUDA") or "auto"
    if wanted not in ("0", "1", "auto"):
        sys.exit(f"OHLORA_CUDA: got {wanted!r}, allowed are 1, 0 and auto")
    for old in cuda_files(folder):
        old.unlink()
    reason = "OHLORA_CUDA was 0" if wanted == "0" else try_cuda(build, folder)
    if reason and wanted == "1":
        sys.exit(f"OHLORA_CUDA is 1, but {reason}")
    if reason:
        print(f"without CUDA kernels: {reason}", file=sys.stderr)
        (folder / WHY_NOT).write_text(reason + "\n", encoding="utf-8")


def try_cuda(build: Path, folder: Path) -> str | None:
    """Build the CUDA kernels into ``folder``, or return why that is not possible."""
    nvcc = find_nvcc()
    if nvcc is None:
        return "no CUDA compiler nvcc was found"
    try:
        # CMake's own words on a compiler that does not run are many, and not the compiler's.
        run = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": True}
        subprocess.run([nvcc, "--version"], **run)
        shutil.rmtree(build, ignore_errors=True)  # CMake would hold on to the compiler of an earlier build
        cmake(build, folder, capture=True, OHLORA_CUDA="ON", CMAKE_CUDA_COMPILER=nvcc)
    except OSError as error:
        return f"{nvcc} does not run: {error.strerror}"
    except subprocess.CalledProcessError as error:
        print(error.output, file=sys.stderr)
        return f"the build with {nvcc} failed: {first_error(error.output)}"
    return None


def find_nvcc() -> str | None:
    """Return the CUDA compiler: $CUDACXX, else that of $CUDA_HOME or $CUDA_PATH, on the path, or in /usr/local/cuda."""
    if named := os.environ.get("CUDACXX"):
        return named
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    inside = [shutil.which("nvcc", path=os.path.join(home, "bin")) for home in homes if home]
    return next(filter(None, [*inside, shutil.which("nvcc"), shutil.which("nvcc", path="/usr/local/cuda/bin")]), None)


def first_error(output: str) -> str:
    """Find the line of a failed build's output that says what went wrong."""
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    for pattern in (r"\berror\s*[:#]|\bfatal\b", r"CMake Error"):
        for number, line in enumerate(lines):
            if re.search(pattern, line):
                # CMake says what went wrong on the lines after the one that says where.
                return " ".join(lines[number + 1 : number + 3]) if line.endswith("):") else line
    return lines[-1] if lines else "it printed nothing"


def has_cmake() -> bool:
    """Say whether a CMake new enough for CMakeLists.txt is on the path."""
    try:
        answer = subprocess.run(["cmake", "--version"], capture_output=True, text=True).stdout
    except OSError:
        return False
    version = re.search(r"version (\d+)\.(\d+)", answer)
    return version is not None and (int(version[1]), int(version[2])) >= (3, 18)


if __name__ == "__main__":
    # CMake comes from the system where there is one, and from PyPI only otherwise.
    setup(
        packages=[
            *find_packages(include=["ohlora_fast", "ohlora_fast.*"]),
            "ohlora_fast.kernels",
            "ohlora_fast.benchmarks",
            "ohlora_fast.benchmarks.gpu",
        ],
        # Two top-level folders are installed inside the package.
        package_dir={
            "ohlora_fast.kernels": "kernels",
            "ohlora_fast.benchmarks": "benchmarks",
            "ohlora_fast.benchmarks.gpu": "benchmarks/gpu",
        },
        package_data={
            "ohlora_fast": ["py.typed"],
            "ohlora_fast.heads": ["bundled/*"],
            "ohlora_fast.student": ["bundled/*"],
        },
        ext_modules=[Extension("ohlora_fast._core", sources=[])],
        cmdclass={"build_ext": CMakeBuild},
        setup_requires=[] if has_cmake() else ["cmake>=3.18"],
    )
