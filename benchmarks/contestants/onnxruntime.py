"""onnxruntime with the exported file, on as many threads as there are cores."""

from collections.abc import Callable
from typing import Any

import numpy as np

import vecprop as vp
from benchmarks.contestants.base import import_or_unavailable
from vecprop.backend.blas import usable_cores


def predictor(model: Any, rows: np.ndarray) -> Callable[[], np.ndarray]:
    runtime = import_or_unavailable("onnxruntime")
    import_or_unavailable("onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = runtime.InferenceSession(vp.export_onnx(model), options, ["CPUExecutionProvider"])
    return lambda: session.run(["probabilities"], {"X": rows})[0]
