"""An aggregator as a process: an edge whose samples are joined of several views, in front of the cloud's part."""

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from offramp.artifacts.signature import Trust
from offramp.artifacts.views import ViewsFolder
from offramp.errors import InputError
from offramp.nodes.aggregator import Aggregator, Given
from offramp.nodes.edge_networks import EdgeNetworks
from offramp.nodes.edge_process import exits_said
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.gathering import Gathering
from offramp.nodes.logs import log_to_stderr
from offramp.nodes.plans import Plans
from offramp.nodes.serving import hear_reloads, serve_models
from offramp.nodes.sight import seen
from offramp.nodes.view_model import view_models
from offramp.protocol.door import Door
from offramp.protocol.metrics import GATHERED, Family, Metrics
from offramp.protocol.served import Served

log = logging.getLogger("offramp")


def serve_aggregator(settings: EdgeSettings) -> None:
    """Serve a model for each device's features until SIGTERM or SIGINT; what is behind the join is an edge's.

    At SIGHUP the plan's file and credentials are looked at again. Other networks take a restart: of a sample, views by
    two of them do not fit together.
    """
    gathers = settings.gathers
    assert gathers is not None  # who starts it saw to it
    log_to_stderr(settings.log_format)
    orders = hear_reloads()
    door = Door(settings.access, settings.host)
    folder = ViewsFolder.open(gathers.folder, Trust.of(settings.trust))
    gathering = Gathering[Given](folder.views.names, gathers.quorum, gathers.wait, gathers.keep, gathers.most)
    with ExitStack() as held:
        networks = EdgeNetworks(settings, held)
        (edge,), watches = networks.edges, [way.watch for way in networks.ways]
        node = Aggregator(folder, edge, gathering)
        node.start()
        held.callback(node.close)
        serve_models(
            view_models(node),
            settings,
            _title(folder, node),
            orders,
            partial(_reload, folder, networks),
            door=door,
            metrics=Metrics(look=lambda: [*seen(networks), *_gathered(node)]),
            plans=Plans(networks),
            needs=watches if settings.ready_needs_cloud else (),
        )
        log.info("gathered: %s", ", ".join(f"{count} {told}" for told, count in node.told().items()))


def _reload(folder: ViewsFolder, networks: EdgeNetworks, _: Callable[[Iterable[Served]], None]) -> None:
    """Follow what stands in the plan's file; raises InputError where the folder holds other networks now."""
    now = ViewsFolder.open(folder.path)
    if now.views != folder.views:
        raise InputError(f"{folder.path}: holds other networks than this node began with. Start it again for those.")
    networks.reload(lambda models: None)


def _gathered(node: Aggregator) -> Iterable[tuple[Family, tuple[str, ...], float]]:
    """What became of samples and views."""
    return [(GATHERED, (told,), float(count)) for told, count in node.told().items()]


def _title(folder: ViewsFolder, node: Aggregator) -> str:
    """What an aggregator says of itself: `aggregator: views, 6 views by concat of features, a quorum of 5 …`."""
    views, gathering, edge = folder.views, node.gathering, node.edge
    return (
        f"aggregator: {Path(folder.path).name}, {len(views.views)} views by {views.join} of {views.at}, quorum "
        f"{gathering.quorum} within {1000 * gathering.wait:g} ms, {exits_said(edge.course.part)}, "
        f"bundle {folder.joint.id}, {edge.choice}"
    )
