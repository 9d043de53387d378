"""The graph behind Ray Serve, with raw bytes in and out: the leanest form it has."""

import os
import signal

import ray
from ray import serve
from session import Session
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=1, max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class Model:
    def __init__(self) -> None:
        self.session = Session()

    async def __call__(self, request: Request) -> Response:
        return Response(self.session.run_bytes(await request.body()), media_type="application/octet-stream")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    variables = {key: value for key, value in os.environ.items() if key.startswith("PEER_")}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": variables | {"PYTHONPATH": here}},
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PEER_PORT"])})
    serve.run(Model.bind())
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
