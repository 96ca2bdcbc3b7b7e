"""Reading a model saved as ONNX: the one home of onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime


def read_predictor(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Predictions float64 (rows,) of float64 (rows, features), on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path.read_bytes(), sess_options=options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {name: rows})[0], dtype=np.float64).reshape(-1)

    return predict
