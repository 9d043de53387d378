"""The networks of other people that `benchmarks/models.py` cuts, chosen before any of them was tried.

`FIELD` are those that a first trial of cutting by liveness was made on, `NEWER` eight more, half of them of 2025. All
with random weights: they show the cutting, not the accuracy.
"""

from dataclasses import dataclass

IMAGE = (3, 224, 224)
WORDS = 32  # tokens of a text


@dataclass(frozen=True)
class Network:
    """One network: what its package calls it, and what it takes."""

    package: str  # torchvision, timm or transformers
    name: str
    shape: tuple[int, ...] = IMAGE  # of one sample; of a text the number of tokens
    mask: bool = False  # a text's attention mask is an input too
    of: str = ""  # where and when it was published, of the newer ones

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"{self.name}{', mask' if self.mask else ''}"


FIELD = (
    *(
        Network("torchvision", name, (3, 299, 299) if name == "inception_v3" else IMAGE)
        for name in (
            "resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "densenet121", "googlenet",
            "inception_v3", "squeezenet1_0", "alexnet", "shufflenet_v2_x1_0", "vit_b_16", "swin_t", "swin_v2_t",
            "convnext_tiny", "maxvit_t", "regnet_y_400mf",
        )
    ),
    Network("timm", "levit_128s"),
    Network("transformers", "ViT"),
    Network("transformers", "Bert", (WORDS,)),
    Network("transformers", "Bert", (WORDS,), mask=True),
    Network("transformers", "DistilBert", (WORDS,), mask=True),
)  # fmt: skip

NEWER = (
    Network("timm", "vit_small_patch16_dinov3", of="DINOv3, 2025"),
    Network("timm", "csatv2", of="2025"),
    Network("timm", "fastvit_mci0", of="MobileCLIP2, 2025"),
    Network("timm", "mambaout_femto", of="CVPR 2025"),
    Network("timm", "mobilenetv4_conv_small", of="ECCV 2024"),
    Network("timm", "rdnet_tiny", of="ECCV 2024"),
    Network("timm", "hiera_tiny_224", of="ICML 2023"),
    Network("transformers", "ModernBert", (WORDS,), mask=True, of="December 2024"),
)

ALL = (*FIELD, *NEWER)
