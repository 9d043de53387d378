"""Options of export that are of other people's servers."""

from pathlib import Path
from typing import Annotated

import typer

Triton = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write a model repository of Triton: a model for each tail. A new folder."),
]
Tails = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only this tail in --triton, like tail-3-uint8; repeat. Default: every one."),
]
TritonVersion = Annotated[int, typer.Option(help="Number of the models' version in --triton: an edge asks for it.")]
MaxBatch = Annotated[int, typer.Option(help="Samples of one request to --triton, at most.")]
KServe = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write an InferenceService of KServe that serves such a repository: YAML."),
]
Storage = Annotated[
    str | None,
    typer.Option(metavar="URI", help="Where --kserve finds the repository, like s3://BUCKET/FOLDER."),
]
Replicas = Annotated[int, typer.Option(help="Replicas that --kserve asks for.")]
