"""Models as files and for other libraries: safetensors, ONNX, PyTorch."""
