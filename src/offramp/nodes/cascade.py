"""A cascade: another network in the cloud finishes what an edge is not sure of. When that can be."""

from offramp.errors import InputError
from offramp.nodes.route import Course


def check_cascade(cloud_version: str, course: Course, kind: str) -> None:
    """Raise InputError unless what goes on are images, or values: all that two networks have in common."""
    if not cloud_version:
        raise InputError("cloud_version '': expected the id of a bundle that the cloud serves.")
    if kind == "text":
        raise InputError(
            f"cloud_version {cloud_version!r}: another network has another tokenizer, and what would go on are ids of "
            "this one's. Leave it out."
        )
    if course.onward:
        raise InputError(
            f"cloud_version {cloud_version!r}: by the plan the {course.next} follows, which answers by this network. A "
            "cascade goes from an edge to its cloud. Leave it out."
        )
    if course.part.cut != 0:
        raise InputError(
            f"cloud_version {cloud_version!r}: another network takes images and no features, and this request is cut "
            f"at {course.part.cut}. Set cut to 0."
        )
