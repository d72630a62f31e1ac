"""onnxruntime with the exported file, on as many threads as there are cores."""

import numpy as np

import vecprop as vp
from benchmarks.contestants.base import Predictor, import_or_unavailable
from vecprop.backend.blas import usable_cores


class OnnxPredictor(Predictor):
    """A session on the processor."""

    def build(self) -> None:
        runtime = import_or_unavailable("onnxruntime")
        import_or_unavailable("onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        self.session = runtime.InferenceSession(vp.export_onnx(self.model), options, ["CPUExecutionProvider"])

    def predict(self) -> np.ndarray:
        return self.session.run(["probabilities"], {"X": self.rows})[0]
