"""XMP, an XML text about a picture, freed from what no longer holds for a copy with other pixels."""

from __future__ import annotations

from xml.dom import Node, minidom
from xml.parsers.expat import ExpatError

TIFF, EXIF, BASIC = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/", "http://ns.adobe.com/xap/1.0/"
XMLNS = "http://www.w3.org/2000/xmlns/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
GOOGLE, PANORAMA = "http://ns.google.com/photos/", "http://ns.google.com/photos/1.0/panorama/"
GAIN_MAP = "its gain map, for HDR screens, is dropped"

# Namespaces of what lies in the file beside the picture, by how they begin, and what there is to say of them.
ELSEWHERE = {
    "http://ns.adobe.com/hdr-gain-map/": GAIN_MAP,
    "http://ns.apple.com/HDRGainMap/": GAIN_MAP,
    "http://ns.apple.com/pixeldatainfo/": "",
    GOOGLE: "",
    "http://www.metadataworkinggroup.com/schemas/regions/": "",
    "http://ns.microsoft.com/photo/1.2/": "",
    "http://ns.adobe.com/xmp/note/": "",  # the hash of more XMP
}
REGIONS = ("http://www.metadataworkinggroup.com/schemas/regions/", "http://ns.microsoft.com/photo/1.2/")
PARTS = {"depthmap": "its depth map is dropped", "image": "its original picture, kept within its XMP, is dropped"}
STALE = {
    (TIFF, name)
    for name in ("Orientation", "BitsPerSample", "Compression", "PhotometricInterpretation", "SamplesPerPixel")
} | {
    (TIFF, "PlanarConfiguration"),
    (TIFF, "YCbCrSubSampling"),
    (BASIC, "Thumbnails"),
    (BASIC, "ThumbnailsFormat"),
    ("http://purl.org/dc/elements/1.1/", "format"),
    ("http://purl.org/dc/terms/", "provenance"),
}
SIDES = {(TIFF, "ImageWidth"): 1, (TIFF, "ImageLength"): 0, (EXIF, "PixelXDimension"): 1, (EXIF, "PixelYDimension"): 0}


def tidied(xmp: bytes, size: tuple[int, int], turned: bool) -> tuple[bytes | None, tuple[str, ...]]:
    """Give the XMP for a picture that was decoded, turned upright and changed.

    Gone are orientation, thumbnails, how the file at hand stores its pixels, and what describes other parts of it: gain
    map, depth map, the video of a motion photo. Width and height follow the picture.

    Args:
        xmp: as it stands in the file.
        size: height and width of the upright picture.
        turned: whether it was turned, so that places in it are others.

    Returns:
        The XMP, to the byte if there was nothing to do, or None if nothing is left of it or it is no XML; and notes on
        what was dropped.

    >>> text = b'<r:RDF xmlns:r="%s"><r:Description xmlns:tiff="%s" tiff:Orientation="6" tiff:Make="X"/></r:RDF>'
    >>> kept, notes = tidied(text % (RDF.encode(), TIFF.encode()), (3, 5), turned=True)
    >>> b"Orientation" in kept, b"Make" in kept, notes
    (False, True, ())
    """
    try:
        if b"<!DOCTYPE" in xmp:  # definitions have no place in XMP, and may grow without bounds
            raise ValueError("XMP with definitions")
        document = minidom.parseString(xmp.strip(b"\0 \t\r\n"))
    except (ExpatError, ValueError, LookupError):
        return None, ("its XMP cannot be read and is dropped",)
    notes: dict[str, None] = {}
    gone, changed = False, not _is_utf8(xmp)
    for element in list(document.getElementsByTagName("*")):
        for attribute in list(element.attributes.values()):
            if attribute.namespaceURI == XMLNS:  # a prefix that would be of no use
                if _note_on(attribute.value, "", turned) is not None:
                    element.removeAttributeNode(attribute)
            elif _goes(attribute, turned, notes):
                element.removeAttributeNode(attribute)
                gone = True
            elif (name := (attribute.namespaceURI, attribute.localName)) in SIDES:
                attribute.value, changed = str(size[SIDES[name]]), True
        if element.parentNode is None:
            continue  # below one that has gone
        if _goes(element, turned, notes):
            element.parentNode.removeChild(element)
            gone = True
        elif (name := (element.namespaceURI, element.localName)) in SIDES and element.firstChild is not None:
            element.firstChild.nodeValue, changed = str(size[SIDES[name]]), True
    if not gone and not changed:
        return xmp, ()
    if gone and not _says_something(document):
        return None, tuple(notes)
    return b"".join(node.toxml("utf-8") for node in document.childNodes), tuple(notes)


def _goes(node: minidom.Attr | minidom.Element, turned: bool, notes: dict[str, None]) -> bool:
    space, name = node.namespaceURI or "", node.localName
    if (space, name) in STALE:
        return True
    note = _note_on(space, name, turned)
    if note and node.nodeValue != "0":  # as in MotionPhoto="0"
        notes[note] = None
    return note is not None


def _note_on(space: str, name: str, turned: bool) -> str | None:
    """What there is to say of a name that goes, "" for nothing; None for one that stays."""
    start = next((one for one in ELSEWHERE if space.startswith(one)), None)
    if start is None or space == PANORAMA or (start in REGIONS and not turned):
        return None
    if start in REGIONS:
        return "regions in its XMP, of faces for example, are dropped, since the picture was turned"
    if name in ("MotionPhoto", "MicroVideo"):
        return "the video of its motion photo is dropped"
    if start == GOOGLE:
        return PARTS.get(space.strip("/").rsplit("/", 1)[-1], "")
    return ELSEWHERE[start]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _says_something(document: minidom.Document) -> bool:
    for element in document.getElementsByTagNameNS(RDF, "Description"):
        attributes = element.attributes.values()
        if any(one.namespaceURI not in (RDF, XMLNS) for one in attributes):
            return True
        if any(child.nodeType == Node.ELEMENT_NODE for child in element.childNodes):
            return True
    return False
