"""Usage reports that other packages send to their makers: off, unless the environment turns them on.

``import ohlora_fast`` loads this module first, so the settings stand before any of these packages loads, in worker
processes too. ONNX Runtime and OpenVINO are imported by `onnx_runtime` and `open_vino` alone, a rule that
``tests/test_telemetry.py`` holds.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

SETTINGS = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime from 1.29 on: a device number, events and look-ups, from the import on
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",  # asks PyPI for a newer version as it loads
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment variables that turn reports off; each stays as it is where it is set already."""
ON = ("1", "true")
"""Values of ``ORT_DISABLE_TELEMETRY`` that ONNX Runtime obeys; with any other one it reports."""


def turn_off() -> None:
    """Set what of `SETTINGS` the environment leaves open.

    >>> turn_off()
    >>> SETTINGS.keys() <= os.environ.keys()
    True
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def onnx_runtime() -> ModuleType:
    """Import ONNX Runtime, its reports off unless ``ORT_DISABLE_TELEMETRY`` asks for them, with 0 for instance.

    >>> onnx_runtime().__name__
    'onnxruntime'
    """
    turn_off()
    import onnxruntime

    if os.environ["ORT_DISABLE_TELEMETRY"] in ON:  # for who imported it earlier, and for Windows' own events
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def open_vino() -> ModuleType:
    """Import OpenVINO without the package by which it reports each import, and for which there is no setting.

    OpenVINO does without it where it is not installed. Who wants the reports imports ``openvino`` before.

    Raises:
        ImportError: it is not installed.
    """
    reporter = "openvino_telemetry"
    if reporter in sys.modules:
        import openvino

        return openvino
    hidden: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    hidden[reporter] = None
    try:
        import openvino
    finally:
        del sys.modules[reporter]
    return openvino
