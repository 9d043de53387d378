"""Where a network can be cut and an exit can stand, and why not elsewhere.

A boundary is one tensor that all features lead through; beside it may travel what no weight has touched (an attention
mask). Found by liveness (`graphs.liveness`), named in the user's words (`graphs.names`), and each really cut and
compared with the whole (`graphs.check`).
"""

from collections.abc import Sequence

from offramp.graphs.boundary import Boundaries, Boundary
from offramp.graphs.candidate import Candidate, node_macs
from offramp.graphs.check import checked
from offramp.graphs.flow import Flow, Made
from offramp.graphs.layout import Kind, channel_axes
from offramp.graphs.liveness import Moment, moments, plain_needed, views_of
from offramp.graphs.names import Modules, ends_without_paths, is_end, names_of
from offramp.graphs.refusals import Refused, grouped, unfit
from offramp.graphs.source import GraphSource

__all__ = ["Boundaries", "Boundary", "Kind", "Refused", "find_boundaries"]


def find_boundaries(source: GraphSource, *, check: bool = True) -> Boundaries:
    """Find every boundary of a network; with `check`, cut at each and compare the halves with the whole.

    What differs by more than 1e-4 of the largest value is refused by name, with the number.
    """
    flow = Flow.of(source.model.graph)
    macs = node_macs(flow, source.seen)
    modules = Modules.of(flow, macs)
    alone: list[Candidate] = []
    beside: list[tuple[Moment, str]] = []
    needed = plain_needed(flow)
    axes = channel_axes(flow, source.seen)
    for moment in moments(flow, Made.LEARNED, [source.output]):
        if moment.place < 0 or source.output in moment.given:
            continue
        names = names_of(flow, modules, moment.place, moment.given[0])
        if len(moment.alive) > 1:
            beside.append((moment, names[0]))
        else:
            alone.append(Candidate.of(flow, source.seen, moment, names, needed, axes, macs))
    chosen = [_of_views(flow, modules, run) for run in _views(flow, alone)]
    refused = [*grouped(flow, modules, beside), *unfit(chosen)]
    found = _numbered(flow, modules, [one for one in chosen if not one.why])
    result = Boundaries(found, tuple(one for _, one in sorted(refused, key=lambda each: each[0])), sum(macs))
    return checked(source, result) if check else result


def _views(flow: Flow, alone: Sequence[Candidate]) -> list[list[Candidate]]:
    """Candidates in runs of the same numbers in other layouts."""
    runs: list[list[Candidate]] = []
    for one in alone:
        node = flow.graph.node[one.place]
        if runs and views_of(node) and node.input[0] == runs[-1][-1].tensor:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _of_views(flow: Flow, modules: Modules, run: Sequence[Candidate]) -> Candidate:
    """One of the same numbers in several layouts: where a block ends, or the last that can be a boundary."""
    fit = [one for one in run if not one.why]
    ends = [one for one in fit if is_end(flow, modules, one.place, one.tensor)]
    return (ends or fit or list(run))[-1]


def _numbered(flow: Flow, modules: Modules, found: Sequence[Candidate]) -> tuple[Boundary, ...]:
    by_paths = bool(modules.last)
    ends = frozenset[str]() if by_paths else ends_without_paths(flow, [one.tensor for one in found])
    boundaries: list[Boundary] = []
    names = [one.name for one in found]
    for index, one in enumerate(found):
        assert one.kind is not None
        end = is_end(flow, modules, one.place, one.tensor) if by_paths else one.tensor in ends
        times = names[: index + 1].count(one.name)
        boundaries.append(
            Boundary(
                number=index + 1,
                name=one.name if times == 1 else f"{one.name}#{times}",
                tensors=one.tensors,
                kind=one.kind,
                macs_before=one.macs_before,
                macs_after=one.macs_after,
                at="end" if end else "inside",
                tolerance=0.0,
                also=one.names[1:],
            )
        )
    return tuple(boundaries)
