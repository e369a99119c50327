"""Exports for other runtimes: one graph from a photo of any size to its hair, or to the dyed photo.

`pipeline` is the graph as a PyTorch module, `to_onnx`, `to_torch` and `to_openvino` turn it into files, `check` holds
each against this package's own result before it is written, `metadata` is what the files say of themselves.
"""
