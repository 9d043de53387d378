"""A node as a process: start, say ready, serve until told to stop, finish what is in flight.

`python -m offramp.nodes.process` is a child that serves by the settings on its input: a worker of a cloud, or a node
under measurement.
"""

from offramp.children import Child, be_child
from offramp.nodes.cloud_process import serve_cloud
from offramp.nodes.edge_process import serve_edge
from offramp.nodes.serving import COMMAND
from offramp.nodes.settings import CloudSettings
from offramp.nodes.told import Settings, from_json, to_json


def child_node(settings: Settings) -> Child:
    """Start a node as a child, whose output is kept for messages; its context stops it."""
    return Child(f"the {settings.node}", COMMAND, to_json(settings), kept=True)


def serve(settings: Settings) -> None:
    """Serve by settings of either kind until SIGTERM or SIGINT."""
    if isinstance(settings, CloudSettings):
        serve_cloud(settings)
    elif settings.gathers is not None:
        from offramp.nodes.aggregator_process import serve_aggregator  # most edges do without

        serve_aggregator(settings)
    else:
        serve_edge(settings)


if __name__ == "__main__":
    be_child(lambda line: serve(from_json(line)))
