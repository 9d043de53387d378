"""Options that several verbs take, each with its one help text."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from offramp.cli import completion

Data = Annotated[
    str,
    typer.Option(
        help="digits, a folder of parquet or of images by class, an .npz file, hub:NAME; of texts, a table or a folder."
    ),
]
RecordedData = Annotated[
    str | None, typer.Option("--data", help="As of train. Default: what the network was trained on.")
]
Validation = Annotated[
    str | None, typer.Option(help="A folder in place of the data's own validation set, or beside it.")
]
Test = Annotated[str | None, typer.Option(help="A folder in place of the data's own test set, or of a fifth.")]
Mirror = Annotated[
    bool | None,
    typer.Option("--mirror/--no-mirror", help="Does a mirrored image keep its class? Default: no, unless it is known."),
]
Fit = Annotated[
    Literal["stretch", "crop"],
    typer.Option(help="What becomes of an image of another shape: stretch it, or crop it at its centre."),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Go on without images that cannot be read.")]
Seed = Annotated[int, typer.Option(help="Fixes weights, order, augmentation and splits.")]
Out = Annotated[Path, typer.Option(help="Where to write.")]
Split = Annotated[str, typer.Option(help="train, validation, calibration or test.", autocompletion=completion.splits)]
Drop = Annotated[float | None, typer.Option(help="A score above this is not worth the cloud: answered, and marked.")]
RuntimeName = Annotated[
    str,
    typer.Option(
        "--runtime",
        help="auto, onnxruntime or openvino; auto times both once where openvino is installed.",
        autocompletion=completion.runtimes,
    ),
]
PrecisionName = Annotated[
    str,
    typer.Option(
        "--precision",
        help="auto, fp32, bf16 or int8; auto is fp32 where there are no bf16 matrix units.",
        autocompletion=completion.precisions,
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one, unix:/PATH for a Unix socket.")]
SharedMemory = Annotated[
    bool,
    typer.Option(
        "--shared-memory", help="Take and give tensors in /dev/shm, of callers on this machine (Triton's way)."
    ),
]
SocketMode = Annotated[str, typer.Option(help="Of a Unix socket's file: who may come in, in octal digits.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the gRPC side; 0 chooses a free one.")]
HttpPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port of the HTTP side; 0 chooses a free one. Default: one below --port."),
]
NoHttp = Annotated[bool, typer.Option("--no-http", help="Serve gRPC alone.")]
Origins = Annotated[
    list[str] | None,
    typer.Option("--cors-origin", help="A web page's origin that may ask over HTTP, like https://app.example; repeat."),
]
RootPath = Annotated[str, typer.Option(help="What a proxy leaves before /v2 in an HTTP path, like /vision.")]
LogFormat = Annotated[
    Literal["text", "json"], typer.Option(help="Of what the node says on stderr: lines for people, or JSON objects.")
]
LogRequests = Annotated[bool, typer.Option("--log-requests", help="Say each request in the log, in a line.")]
TlsCert = Annotated[
    Path | None, typer.Option(help="Serve by TLS, with this certificate (PEM, those of its authorities behind it).")
]
TlsKey = Annotated[Path | None, typer.Option(help="The certificate's private key, without a password.")]
TlsClientCa = Annotated[
    Path | None, typer.Option("--tls-client-ca", help="Mutual TLS: callers show a certificate of these authorities.")
]
TokensFile = Annotated[
    Path | None, typer.Option("--tokens", help="Ask for tokens: a file of lines NAME RIGHTS TOKEN (docs/security.md).")
]
Trusted = Annotated[
    list[Path] | None, typer.Option("--trust", help="Public key that must have signed each bundle; repeat for several.")
]
TlsCa = Annotated[
    str | None,
    typer.Option(help="Call nodes by TLS, whose certificates come from these authorities: a PEM file, or public."),
]
OwnCert = Annotated[Path | None, typer.Option("--tls-cert", help="One's own certificate, for mutual TLS.")]
OwnKey = Annotated[Path | None, typer.Option("--tls-key", help="Its private key.")]
TokenFile = Annotated[Path | None, typer.Option(help="A file that holds one's token, for nodes that ask for one.")]
CloudTlsCa = Annotated[
    str | None,
    typer.Option(help="Call the cloud by TLS: authorities of its certificate, a PEM file, or public."),
]
CloudTlsCert = Annotated[Path | None, typer.Option(help="Certificate of this edge that the cloud asks for.")]
CloudTlsKey = Annotated[Path | None, typer.Option(help="Its private key.")]
CloudTokenFile = Annotated[Path | None, typer.Option(help="A file that holds this edge's token at the cloud.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of the runtime; 0 is every core.")]
MaxBatch = Annotated[int, typer.Option(min=1, help="Largest batch that a message may hold.")]
MaxStreams = Annotated[
    int, typer.Option(min=1, max=4096, help="Streaming calls open at once; what comes on top is refused.")
]
MaxConnections = Annotated[
    int, typer.Option(min=1, max=100_000, help="Connections open at once, of each protocol; more are refused.")
]
TrainThreads = Annotated[
    int,
    typer.Option(
        "--threads", min=0, help="Threads of torch; 0 is its own choice. On a shared machine, fewer are faster."
    ),
]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="torch.compile. Default: what the recipe says."),
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="tiny, small, medium, slim or full. Default: tiny for digits, else small.",
        autocompletion=completion.presets,
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        help="modern, fast, digits, jpeg, paper, or a .json file. Default: digits for digits.",
        autocompletion=completion.one_of(*completion.RECIPES),
    ),
]
ModelName = Annotated[
    str,
    typer.Argument(help="standard, sem-1 to sem-8, mem, or exits like 2,5.", autocompletion=completion.models),
]
RegimeName = Annotated[
    str | None,
    typer.Option(
        help="joint, mixed, separate, distill, …: docs/training.md. Default: the recipe's.",
        autocompletion=completion.one_of(*completion.REGIMES),
    ),
]
HeadKind = Annotated[
    str,
    typer.Option(
        help="Of local exits: linear (the paper's), or conv, a convolution before it.", autocompletion=completion.heads
    ),
]
Bottleneck = Annotated[
    str | None, typer.Option(help="Few channels where features may cross, BOUNDARY:CHANNELS like 1:3,6:4.")
]
