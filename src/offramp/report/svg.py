"""A drawing for inside a page: no foreign addresses, ids of its own, colours that follow the reader's scheme."""

import re
from xml.etree import ElementTree

from offramp.report.palette import PALETTE

_VARIABLES = {shade.light: f"var(--{name})" for name, shade in PALETTE.items()}
_DROPPED = ("metadata", "style")  # the licence vocabulary's addresses; a rule that would hold for the whole page


def inline(svg: str, name: str, description: str) -> str:
    """Make matplotlib's SVG a part of an HTML page, where `name` sets its ids apart from those of other drawings.

    Colours of the palette become CSS variables of their names, and text takes the page's font. `description` is what is
    read aloud in its place.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in _DROPPED:
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = {_local(key): _rewritten(_local(key), value, name) for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(attributes)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": description,
        "stroke-linejoin": "round",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _rewritten(attribute: str, value: str, name: str) -> str:
    if attribute == "id":
        return f"{name}-{value}"
    if attribute == "href":
        return value.replace("#", f"#{name}-", 1)
    if attribute == "style":
        value = re.sub(r"font-family: [^;]*;? ?", "", value)
        return re.sub(r"#[0-9a-f]{6}\b", lambda found: _VARIABLES.get(found[0], found[0]), value)
    return re.sub(r"url\(#", f"url(#{name}-", value)
