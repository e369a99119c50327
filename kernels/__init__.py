"""Triton kernels, one operation a file, installed as ``ohlora_fast.kernels``.

Each file holds the kernels of an operation, their launcher, and `forms`: the compiled forms that `ahead` checks. On a
machine without a GPU they run under Triton's interpreter (``TRITON_INTERPRET=1``, set before the first import).
"""
