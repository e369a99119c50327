"""Triton kernels, one operation a file, installed as ``ohlora_fast.kernels``.

The home of the ombre kernel and of the segmentation head's kernels for NVIDIA GPUs. They arrive together with the
GPU path; on the CPU the compiled kernels of ``csrc`` do the work and nothing here is imported.
"""
