"""How queries are sent at a node, and what came of it: the nouns of a load, in the words of MLPerf's LoadGen.

Knows neither how a schedule is made of one nor who sends it.
"""

from typing import Literal

from offramp.artifacts.document import Frozen

ScenarioName = Literal["clients", "single-stream", "multi-stream", "server", "offline"]


class Scenario(Frozen):
    """When queries go, of how many samples, for how long: until both the least duration and the least count are met."""

    name: ScenarioName
    batch_size: int  # samples a query
    clients: int  # that each wait for an answer before they send again; 0: nobody waits
    rate: float | None  # queries a second, of server
    duration: float  # seconds, at least
    count: int  # queries, at least
    schedule_seed: int  # of server's times of arrival
    sample_seed: int | None  # of the order of the samples; None: the set's own
    percentile: float | None  # of the queries' latencies
    bound_ms: float | None  # that this percentile is held against


class Load(Frozen):
    """What came of a scenario. `percentile_ms`: the smallest that so many percent of the latencies are not above."""

    scenario: Scenario
    queries: int
    seconds: float  # from the first query to the last answer
    samples_per_second: float
    percentile_ms: float | None
    passed: bool | None  # None where there is no bound
