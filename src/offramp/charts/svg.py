"""A drawing for inside a page: no foreign addresses, ids of its own, colours that follow the reader's scheme."""

import re
from xml.etree import ElementTree

from offramp.charts.palette import PALETTE
from offramp.charts.sheet import GROUND

_VARIABLES = {shade.light: f"var(--{name})" for name, shade in PALETTE.items()}
_PART = re.compile(r"(series|legend)-(\d+)-")
_DROPPED = ("metadata", "style")  # the licence vocabulary's addresses; a rule that would hold for the whole page


def inline(svg: str, name: str, description: str) -> str:
    """Make matplotlib's SVG a part of an HTML page, where `name` sets its ids apart from those of other drawings.

    It lies on the page's ground. Colours of the palette become CSS variables of their names, text takes the page's
    font, and places are rounded to a hundredth of a point. `description` is what is read aloud in its place. What
    `offramp.charts.live` gave an id of its own is marked for the page's script, and the drawing is then a group, whose
    parts can be reached, and no mere image.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in _DROPPED or child.get("id") == GROUND:
                parent.remove(child)
    live = False
    for element in root.iter():
        element.tag = _local(element.tag)
        part = _PART.match(element.attrib.get("id", ""))
        attributes = {_local(key): _rewritten(_local(key), value, name) for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(attributes)
        if part is not None:
            element.attrib[f"data-{part[1]}"] = part[2]
            live = True
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "group" if live else "img",
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
    if attribute in ("d", "x", "y", "transform"):
        return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", value)
    return re.sub(r"url\(#", f"url(#{name}-", value)
