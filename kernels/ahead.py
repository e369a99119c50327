"""Compile every kernel ahead of time, without a GPU, and tell what each takes: ``python -m ohlora_fast.kernels.ahead``.

Triton's forms are those that the modules of this package list in ``forms()``; each is compiled anew for every
architecture. The CUDA module is not compiled here, but read if it was built. A form that fails to compile, spills
registers to memory, or asks for more shared memory than a multiprocessor has, is one line on stderr, and exit code 1.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ohlora_fast.kernels.form import Form

from ohlora_fast import kernels

ARCHITECTURES = (80, 90)
SHARED_LIMIT = {80: 166_912, 86: 101_376, 89: 101_376, 90: 232_448, 100: 232_448, 120: 101_376}
"""Bytes of shared memory that one block may use, by compute capability."""
OLDEST_TRITON = (3, 3)
"""Kernels run on 3.2 too, whose compiler takes them in another form."""
TOOLS = ("form", "ahead")
"""Modules of this package that hold no kernel."""
HEADER = ("kernel", "sm", "warps", "registers", "spilled, bytes", "shared, bytes", "PTX, bytes", "cubin, bytes")


@dataclass(frozen=True)
class Usage:
    """What one compiled kernel takes on one architecture.

    Attributes:
        name: of the form; of a CUDA kernel, its signature.
        arch: compute capability, 90 for 9.0.
        warps: a block has; None where the launch decides.
        registers: of each thread.
        stack: bytes of each thread's memory outside registers: what was spilled.
        shared: bytes of a block's shared memory; of a CUDA kernel, without what is asked for at launch.
        ptx, cubin: bytes of code; None where they are part of a larger file.
    """

    name: str
    arch: int
    warps: int | None
    registers: int
    stack: int
    shared: int
    ptx: int | None = None
    cubin: int | None = None

    def problems(self) -> list[str]:
        """What is wrong with it, a sentence each."""
        found = []
        if self.stack:
            found.append(f"spills: {self.stack} bytes of a thread's memory at {self.registers} registers")
        limit = SHARED_LIMIT.get(self.arch, self.shared)
        if self.shared > limit:
            found.append(f"needs {self.shared} bytes of shared memory, a block has {limit}")
        return found


def kernel_modules() -> list[str]:
    """The modules of this package that hold kernels.

    >>> "ohlora_fast.kernels.ahead" in kernel_modules()
    False
    """
    names = sorted(module.name for module in pkgutil.iter_modules(kernels.__path__))
    return [f"{kernels.__name__}.{name}" for name in names if name not in TOOLS]


def forms_of(module: str) -> list[Form]:
    """What a module lists in ``forms()``; nothing where it has none."""
    listed = getattr(import_module(module), "forms", list)
    return list(listed())


def compile_form(form: Form, arch: int) -> Usage:
    """Compile one form for one architecture.

    Raises:
        Exception: whatever Triton or ptxas found wrong; `one_line` shows it.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = list(form.signature)
    divisible = {(names.index(name),): [["tt.divisibility", 16]] for name in form.divisible}
    source = ASTSource(form.kernel, dict(form.signature), dict(form.constants), divisible)
    with redirect_stdout(io.StringIO()):  # on a failure of ptxas Triton prints the whole PTX
        compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=dict(form.options))
    # A launch refuses options that Triton does not know; compiling ahead overlooks them.
    if unknown := set(form.options) - set(compiled.metadata._fields):
        raise ValueError(f"options unknown to Triton: {', '.join(sorted(unknown))}")
    cubin = compiled.asm["cubin"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        ((_, _, used),) = resource_usage(path)
    return Usage(
        form.name, arch, compiled.metadata.num_warps, used["REG"], used["STACK"] + used["LOCAL"],
        compiled.metadata.shared, len(compiled.asm["ptx"]), len(cubin),
    )  # fmt: skip


def cuda_usages(library: Path, archs: Sequence[int]) -> list[Usage]:
    """What the kernels of a compiled CUDA library take, for those of the architectures that it holds code for."""
    return [
        Usage(f"CUDA {name}", arch, None, used["REG"], used["STACK"] + used["LOCAL"], used["SHARED"])
        for name, arch, used in resource_usage(library)
        if arch in archs
    ]


def resource_usage(path: Path) -> list[tuple[str, int, dict[str, int]]]:
    """(kernel, architecture, {"REG", "STACK", "LOCAL", "SHARED", …}) of each kernel in a cubin or a library.

    Raises:
        RuntimeError: cuobjdump is missing or fails.
    """
    done = subprocess.run([cuobjdump(), "-res-usage", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cuobjdump {path}: {' '.join(done.stderr.split())}")
    return parse_usage(demangled(done.stdout))


def parse_usage(text: str) -> list[tuple[str, int, dict[str, int]]]:
    """Read what ``cuobjdump -res-usage`` prints; a bare cubin's names no architecture, which is then 0.

    >>> parse_usage("arch = sm_90\\n Function copy:\\n  REG:66 STACK:0 SHARED:0 LOCAL:0 CONSTANT[0]:392\\n")
    [('copy', 90, {'REG': 66, 'STACK': 0, 'SHARED': 0, 'LOCAL': 0})]
    """
    found, arch, name = [], 0, ""
    for line in text.splitlines():
        if match := re.match(r"arch = sm_(\d+)", line):
            arch = int(match[1])
        elif match := re.match(r" Function (.*):$", line):
            name = match[1]
        elif "REG:" in line:
            found.append((name, arch, {key: int(value) for key, value in re.findall(r"([A-Z]+):(\d+)", line)}))
    return found


def cuobjdump() -> str:
    """The program that reads compiled kernels: Triton's, else the CUDA toolkit's.

    Raises:
        RuntimeError: there is neither.
    """
    triton = find_spec("triton")
    if triton and triton.origin:
        bundled = Path(triton.origin).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        if bundled.is_file():
            return str(bundled)
    if found := shutil.which("cuobjdump"):
        return found
    raise RuntimeError("cuobjdump is neither in Triton's package nor on the path")


def demangled(text: str) -> str:
    """C++ names as they were written, where there is a ``c++filt``, without their parameters."""
    if not shutil.which("c++filt") or "_Z" not in text:
        return text
    return subprocess.run(["c++filt", "-p"], input=text, capture_output=True, text=True, check=True).stdout


def one_line(error: BaseException) -> str:
    """An exception on one line: Triton's innermost one, without the source that it shows between place and message.

    >>> one_line(ValueError("at 3:26:\\n  x = y\\n      ^\\ny is not defined"))
    'ValueError: at 3:26: y is not defined'
    """
    while error.__cause__:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {' '.join(dict.fromkeys((lines[0].strip(), lines[-1].strip())))}"


def compile_all(modules: Sequence[str], archs: Sequence[int]) -> Iterator[Usage | str]:
    """Compile every form of the modules: what each takes, or a line that says what failed."""
    for module in modules:
        try:
            listed = forms_of(module)
        except Exception as error:  # a broken module must not hide what the others have to say
            yield f"{module}: {one_line(error)}"
            continue
        for form in listed:
            for arch in archs:
                try:
                    yield compile_form(form, arch)
                except Exception as error:  # ptxas, MLIR and Triton's front end have no common public base
                    yield f"{form.name}, sm_{arch}: {one_line(error)}"


def cuda_library() -> Path | None:
    """The file of the compiled CUDA module, if it was built."""
    found = find_spec("ohlora_fast._cuda")
    return Path(found.origin) if found and found.origin else None


def show(results: Iterable[Usage | str]) -> tuple[list[Usage], list[str]]:
    """Print the table's rows as they come, and gather usages and failures."""
    usages, failures = [], []
    print(f"| {' | '.join(HEADER)} |\n| --- |{' ---: |' * (len(HEADER) - 1)}")
    for result in results:
        if isinstance(result, str):
            failures.append(result)
            continue
        usages.append(result)
        failures += [f"{result.name}, sm_{result.arch}: {problem}" for problem in result.problems()]
        cells = ("–" if value is None else f"{value:,}" for value in list(asdict(result).values())[2:])
        print(f"| {result.name} | {result.arch} | {' | '.join(cells)} |", flush=True)
    return usages, failures


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ohlora_fast.kernels.ahead",
        description="Compile every Triton kernel without a GPU, and print registers, spills and shared memory.",
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="with a function forms() (default: all kernels)")
    parser.add_argument(
        "--arch",
        type=int,
        action="append",
        metavar="N",
        help="compute capability (default: 80 and 90); may be repeated",
    )
    parser.add_argument("--names", action="store_true", help="print the names of the forms, and compile none")
    parser.add_argument("-o", "--out", metavar="FILE", help="also write the table as JSON")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Compile, print, and return the exit code: 0, 1 if a kernel has a problem, 2 if nothing can be compiled here."""
    args = parse(argv)
    if os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"):
        print(
            "error: TRITON_INTERPRET is set, so that kernels are interpreted, not compiled: unset it", file=sys.stderr
        )
        return 2
    if not find_spec("triton"):
        print("error: Triton is not installed", file=sys.stderr)
        return 2
    if tuple(map(int, version("triton").split(".")[:2])) < OLDEST_TRITON:
        print(f"error: compiling ahead of time takes Triton 3.3 or newer, not {version('triton')}", file=sys.stderr)
        return 2
    modules, archs = args.modules or kernel_modules(), args.arch or list(ARCHITECTURES)
    if args.names:
        for module in modules:
            for form in forms_of(module):
                print(f"{module}: {form.name}")
        return 0
    # A cache of its own: what is read is what this Triton compiles now.
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TRITON_CACHE_DIR"] = cache
        usages, failures = show(results_of(modules, archs, with_cuda=not args.modules))
    if args.out:
        from ohlora_fast.media.files import written_whole

        with written_whole(args.out) as file:
            content = {"triton": triton_version(), "kernels": [asdict(usage) for usage in usages], "failures": failures}
            file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    print(f"\n{len(usages)} kernels, {len(failures)} problems; Triton {triton_version()}")
    return 1 if failures else 0


def results_of(modules: Sequence[str], archs: Sequence[int], with_cuda: bool) -> Iterator[Usage | str]:
    """Triton's kernels, and those of the CUDA module if asked for and built."""
    yield from compile_all(modules, archs)
    library = cuda_library() if with_cuda else None
    if library:
        yield from cuda_usages(library, archs)


def triton_version() -> str:
    import triton

    return str(triton.__version__)


if __name__ == "__main__":
    sys.exit(main())
