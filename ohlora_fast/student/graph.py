"""ONNX graphs without the ``onnx`` package, which takes long to import: a graph cut off at one of its values.

An ONNX file is a protobuf message: fields, each a key (number and wire type), and a number or a run of bytes. What is
kept stays byte for byte as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

GRAPH, METADATA = 7, 14
"""Of ``ModelProto``."""
NODE, INITIALIZER, OUTPUT, VALUE_INFO = 1, 5, 12, 13
"""Of ``GraphProto``."""
READ, WRITTEN, OPERATION, ATTRIBUTE = 1, 2, 4, 5
"""Of ``NodeProto``: the names of its inputs and its outputs, its own, and its attributes."""
TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS = 5, 6, 10, 11
"""Of ``AttributeProto``."""
TENSOR_NAME, EXTERNAL = 8, 13
"""Of ``TensorProto``: its name, and where its values lie in another file."""
SPARSE_INITIALIZER, FUNCTION = 15, 25
"""Of ``GraphProto``, and of ``ModelProto``."""
FUNCTION_NODE = 7
"""Of ``FunctionProto``."""
VALUE_NAME = 1
"""Of ``ValueInfoProto``."""
FLOAT_TENSOR = b"\x12\x0e\x0a\x0c\x08\x01\x12\x08" + 4 * b"\x0a\x00"
"""The field ``type`` of a ``ValueInfoProto``: a float32 tensor of four axes of any size."""
BYTES = 2
"""The wire type of strings and messages."""


class Field(NamedTuple):
    """One field of a message: its number, all of its bytes, and what they hold if that is a run of bytes."""

    number: int
    raw: memoryview
    content: memoryview


def up_to(model: bytes, value: str) -> bytes:
    """Cut a graph off at a value, which becomes its only output; nodes and weights that it does not need are left out.

    Args:
        model: an ONNX file's bytes.
        value: the name of a float32 value of four axes that some node writes.

    Raises:
        ValueError: the bytes are no ONNX file, or no node writes the value.
    """
    parts: list[bytes | memoryview] = []
    for one in fields(model):
        parts.append(message(GRAPH, cut(one.content, value.encode())) if one.number == GRAPH else one.raw)
    return b"".join(parts)


def outside_of_graph(model: bytes) -> str | None:
    """Name what of a model is no plain run of nodes over weights that stand in its own bytes, or return None.

    Loops and branches are nodes that have graphs of their own, and may never end; weights in other files could name
    any file.

    Raises:
        ValueError: the bytes are no ONNX file.
    """
    for one in fields(model):
        if one.number not in (GRAPH, FUNCTION):
            continue
        node_number = NODE if one.number == GRAPH else FUNCTION_NODE
        for part in fields(one.content):
            found = None
            if part.number == node_number:
                found = outside_of_node(part.content)
            elif one.number == GRAPH and part.number == INITIALIZER:
                found = outside_of_tensor(part.content)
            elif one.number == GRAPH and part.number == SPARSE_INITIALIZER:
                found = "sparse weights"
            if found:
                return found
    return None


def outside_of_node(node: memoryview) -> str | None:
    """As `outside_of_graph`, of a ``NodeProto``."""
    parts = list(fields(node))
    for attribute in (part for part in parts if part.number == ATTRIBUTE):
        for one in fields(attribute.content):
            if one.number in (SUBGRAPH, SUBGRAPHS):
                names = [str(part.content, "utf-8", "replace") for part in parts if part.number == OPERATION]
                return f"a node {(names or ['?'])[-1]}"
            if one.number in (TENSOR, TENSORS) and (found := outside_of_tensor(one.content)):
                return found
    return None


def outside_of_tensor(tensor: memoryview) -> str | None:
    """As `outside_of_graph`, of a ``TensorProto``."""
    return "weights in another file" if any(part.number == EXTERNAL for part in fields(tensor)) else None


def metadata_of(model: bytes) -> dict[str, str]:
    """What an ONNX file says of itself: keys and values.

    Raises:
        ValueError: the bytes are no ONNX file.
    """
    pairs = (
        [str(part.content, "utf-8") for part in fields(one.content)] for one in fields(model) if one.number == METADATA
    )
    return {key: value for key, value in pairs}


def cut(graph: memoryview, value: bytes) -> bytes:
    """As `up_to`, of a ``GraphProto``."""
    found = list(fields(graph))
    needed, kept = {value}, set()
    for index in reversed(range(len(found))):  # nodes stand after those whose values they read
        if found[index].number == NODE:
            names = list(fields(found[index].content))
            if needed.intersection(bytes(one.content) for one in names if one.number == WRITTEN):
                needed.update(bytes(one.content) for one in names if one.number == READ)
                kept.add(index)
    if not kept:
        raise ValueError(f"no node writes {value.decode()!r}")

    def stays(index: int, field: Field) -> bool:
        if field.number == NODE:
            return index in kept
        if field.number == INITIALIZER:
            return name_of(field, TENSOR_NAME) in needed
        if field.number == VALUE_INFO:
            return name_of(field, VALUE_NAME) in needed - {value}
        return field.number != OUTPUT

    output = message(OUTPUT, message(VALUE_NAME, value) + FLOAT_TENSOR)
    return b"".join(field.raw for index, field in enumerate(found) if stays(index, field)) + output


def name_of(field: Field, number: int) -> bytes:
    return next((bytes(one.content) for one in fields(field.content) if one.number == number), b"")


def fields(message_bytes: bytes | memoryview) -> Iterator[Field]:
    """The fields of a message, in order; nothing is copied.

    >>> [(one.number, bytes(one.content)) for one in fields(message(1, b"a") + message(2, b"bc"))]
    [(1, b'a'), (2, b'bc')]
    """
    data = memoryview(message_bytes)
    at = 0
    while at < len(data):
        start = at
        key, at = varint(data, at)
        number, wire = (key & 0xFFFFFFFF) >> 3, key & 7  # of a key's bits, readers of protobuf take the lowest 32
        content = data[:0]
        if wire == BYTES:
            size, at = varint(data, at)
            content = data[at : at + size]
            at += size
        elif wire == 0:
            _, at = varint(data, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"no protobuf message: wire type {wire}")
        if at > len(data):
            raise ValueError("no protobuf message: it is cut short")
        yield Field(number, data[start:at], content)


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that stands at a place, seven bits a byte, and the place after it."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("no protobuf message: it is cut short")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def message(number: int, content: bytes) -> bytes:
    """A field that holds bytes."""
    return encoded(number << 3 | BYTES) + encoded(len(content)) + content


def encoded(value: int) -> bytes:
    """A number, seven bits a byte.

    >>> encoded(300)
    b'\\xac\\x02'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
