"""Faster and Mask R-CNN as torchvision builds them, beside the `model` section that gives the same network here."""
import contextlib

import torch
import torch.nn.functional as F
from torch import nn

try:
    import torchvision
    from torchvision.models.detection import _utils as det_utils
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, FasterRCNN, TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNHeads
    from torchvision.models.detection.rpn import RPNHead
    from torchvision.models.detection.transform import GeneralizedRCNNTransform
    from torchvision.ops import MultiScaleRoIAlign, misc, poolers, roi_pool
except ImportError:
    torchvision = None

def exact_scale():
    """Which of its two rules this torchvision has for the scale of resized images: 0.14 computes it in single precision and makes
    799 rows of 424, 0.29 in double and makes 800. The cases ask for the same (model.detection.exact_scale)."""
    transform = GeneralizedRCNNTransform(800, 1333, [0.0], [1.0])
    rows = transform.resize(torch.zeros(1, 424, 640), None)[0].shape[-2]
    if rows not in (799, 800):
        raise RuntimeError(f"torchvision {torchvision.__version__} resizes 424x640 to {rows} rows: neither of the known rules")
    return rows == 800


# Names of torchvision's arguments for those of `model.detection`.
ARGUMENTS = {
    "min_size": "min_size",
    "max_size": "max_size",
    "rpn_pre_nms_train": "rpn_pre_nms_top_n_train",
    "rpn_pre_nms_test": "rpn_pre_nms_top_n_test",
    "rpn_post_nms_train": "rpn_post_nms_top_n_train",
    "rpn_post_nms_test": "rpn_post_nms_top_n_test",
    "rpn_nms": "rpn_nms_thresh",
    "rpn_score": "rpn_score_thresh",
    "rpn_positive_iou": "rpn_fg_iou_thresh",
    "rpn_negative_iou": "rpn_bg_iou_thresh",
    "rpn_samples": "rpn_batch_size_per_image",
    "rpn_positive_fraction": "rpn_positive_fraction",
    "box_score": "box_score_thresh",
    "box_nms": "box_nms_thresh",
    "max_detections": "box_detections_per_img",
    "box_positive_iou": "box_fg_iou_thresh",
    "box_negative_iou": "box_bg_iou_thresh",
    "box_samples": "box_batch_size_per_image",
    "box_positive_fraction": "box_positive_fraction",
}


class ExactAnchors(AnchorGenerator if torchvision else object):
    """Detectron2's anchors: corners as computed, and strides that are powers of two."""

    def generate_anchors(self, scales, aspect_ratios, dtype=torch.float32, device=torch.device("cpu")):
        boxes = []
        for size in scales:
            for ratio in aspect_ratios:
                w = (size**2 / ratio) ** 0.5
                boxes.append([-w / 2, -ratio * w / 2, w / 2, ratio * w / 2])
        return torch.tensor(boxes, dtype=dtype, device=device)

    def grid_anchors(self, grid_sizes, strides):
        return super().grid_anchors(grid_sizes, [[torch.tensor(4 << i)] * 2 for i in range(len(grid_sizes))])


class RoiPooler(MultiScaleRoIAlign if torchvision else object):
    """RoIPool in place of RoIAlign, on the only map."""

    def forward(self, x, boxes, image_shapes):
        rois = torch.cat([torch.cat([torch.full_like(b[:, :1], i), b], 1) for i, b in enumerate(boxes)])
        return roi_pool(x["0"], rois, self.output_size, 1 / 16)


def norm_layer(kind, eps):
    if kind == "frozen":
        return lambda channels: misc.FrozenBatchNorm2d(channels, eps)
    if kind == "group":
        return lambda channels: nn.GroupNorm(32, channels)
    return lambda channels: nn.BatchNorm2d(channels, eps)


class Case:
    """One network, its images and what is compared."""

    def __init__(self, name, model, sizes, objects=(3, 0), heavy=False, real=False):
        self.name, self.sizes, self.objects, self.heavy, self.real = name, sizes, objects, heavy, real
        self.model = {"num_classes": 5, **model}
        self.options = {**self.model.get("detection", {}), "exact_scale": exact_scale()}
        self.model["detection"] = self.options

    @property
    def masks(self):
        return self.model["name"].startswith("maskrcnn")

    def build(self):
        if torchvision is None:
            raise ImportError("no torchvision")
        arguments = {ARGUMENTS[k]: v for k, v in self.options.items() if k in ARGUMENTS}
        classes, name = self.model["num_classes"], self.model["name"]
        if name == "fasterrcnn_vgg16":
            return self.build_vgg(arguments, classes)
        v2, norm = name.endswith("_v2"), self.model.get("norm", "batch")
        body_norm = norm_layer(self.model.get("backbone_norm", norm), self.options.get("backbone_norm_eps", 1e-5))
        body = torchvision.models.__dict__[self.model.get("backbone", "resnet50")](norm_layer=body_norm)
        head_norm = norm_layer(norm, 1e-5) if v2 else None
        backbone = _resnet_fpn_extractor(body, 5, norm_layer=head_norm)
        sizes = tuple((s,) for s in self.options.get("anchor_sizes", (32, 64, 128, 256, 512)))
        ratios = tuple(self.options.get("anchor_ratios", (0.5, 1.0, 2.0)))
        generator = AnchorGenerator if self.options.get("rounded_anchors", True) else ExactAnchors
        arguments["rpn_anchor_generator"] = generator(sizes, (ratios,) * len(sizes))
        samples = self.options.get("sampling_ratio", 2)
        arguments["box_roi_pool"] = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, samples)
        if v2:
            arguments["rpn_head"] = RPNHead(256, len(ratios), conv_depth=2)
            arguments["box_head"] = FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=head_norm)
        if not self.masks:
            return FasterRCNN(backbone, classes, **arguments)
        if v2:
            arguments["mask_head"] = MaskRCNNHeads(256, [256] * 4, 1, norm_layer=head_norm)
        arguments["mask_roi_pool"] = MultiScaleRoIAlign(["0", "1", "2", "3"], 14, samples)
        return MaskRCNN(backbone, classes, **arguments)

    def build_vgg(self, arguments, classes):
        features = torchvision.models.vgg16().features[:30]  # without the last pool
        features.out_channels = 512
        defaults = {"min_size": 600, "max_size": 1000, "rpn_pre_nms_top_n_train": 12000, "rpn_pre_nms_top_n_test": 6000}
        defaults.update({"rpn_post_nms_top_n_test": 300, "box_batch_size_per_image": 128})
        pooler = RoiPooler if self.options.get("roi_op") == "pool" else MultiScaleRoIAlign
        return FasterRCNN(
            features,
            rpn_anchor_generator=AnchorGenerator((tuple(self.options.get("anchor_sizes", (128, 256, 512))),), ((0.5, 1.0, 2.0),)),
            box_roi_pool=pooler(["0"], 7, self.options.get("sampling_ratio", 2)),
            box_head=TwoMLPHead(512 * 7 * 7, 4096),
            box_predictor=FastRCNNPredictor(4096, classes),
            **{**defaults, **arguments},
        )

    @contextlib.contextmanager
    def patched(self):
        """torchvision with what the case asks for and torchvision has no argument for."""
        kept = poolers.roi_align, F.smooth_l1_loss, det_utils.BalancedPositiveNegativeSampler.__call__
        align, smooth_l1, _ = kept
        if self.options.get("aligned"):
            poolers.roi_align = lambda *a, **k: align(*a, **{**k, "aligned": True})
        if "smooth_l1_beta" in self.options:
            F.smooth_l1_loss = lambda *a, **k: smooth_l1(*a, **{**k, "beta": self.options["smooth_l1_beta"]})
        det_utils.BalancedPositiveNegativeSampler.__call__ = sample_first
        try:
            yield
        finally:
            poolers.roi_align, F.smooth_l1_loss, det_utils.BalancedPositiveNegativeSampler.__call__ = kept


def sample_first(self, matched_idxs):
    """The sampler "first": in order instead of at random."""
    positives, negatives = [], []
    for labels in matched_idxs:
        positive, negative = torch.where(labels >= 1)[0], torch.where(labels == 0)[0]
        positive = positive[: int(self.batch_size_per_image * self.positive_fraction)]
        negative = negative[: self.batch_size_per_image - positive.numel()]
        for chosen, out in ((positive, positives), (negative, negatives)):
            mask = torch.zeros_like(labels, dtype=torch.uint8)
            mask[chosen] = 1
            out.append(mask)
    return positives, negatives


def cases():
    # Small images; enough proposals that suppression and the limits on them do something.
    small = {"min_size": [96], "max_size": 160, "rpn_pre_nms_train": 400, "rpn_post_nms_train": 150, "rpn_pre_nms_test": 300}
    small.update({"rpn_post_nms_test": 100, "max_detections": 20, "box_samples": 64, "sampler": "first"})
    tiny = [(100, 140), (128, 90)]
    # All proposals count: then a swap of two that score alike changes nothing.
    everything = {**small, "box_samples": 400, "box_positive_fraction": 0.5}
    detectron2 = {"aligned": True, "sampling_ratio": 0, "rounded_anchors": False, "smooth_l1_beta": 0.0}
    resnet18 = {"backbone": "resnet18"}
    r18 = {"name": "maskrcnn_resnet50_fpn", **resnet18}
    yield Case("maskrcnn_resnet18_fpn", {**r18, "detection": everything}, tiny, heavy=True)
    yield Case("maskrcnn_resnet18_fpn sampled", {**r18, "norm": "frozen", "detection": small}, tiny)
    yield Case("maskrcnn_resnet18_fpn group", {**r18, "norm": "group", "detection": everything}, tiny, objects=(4, 2), heavy=True)
    yield Case("maskrcnn_resnet18_fpn no objects", {**r18, "detection": small}, tiny, objects=(0, 0))
    yield Case("maskrcnn_resnet18_fpn detectron2", {**r18, "norm": "frozen", "detection": {**everything, **detectron2}}, tiny, heavy=True)
    yield Case("maskrcnn_resnet18_fpn_v2", {**r18, "name": "maskrcnn_resnet50_fpn_v2", "detection": everything}, tiny)
    yield Case("fasterrcnn_resnet18_fpn", {**r18, "name": "fasterrcnn_resnet50_fpn", "detection": everything}, tiny)
    eps0 = {**everything, "backbone_norm_eps": 0.0}
    yield Case("fasterrcnn_resnet34_fpn eps 0", {"name": "fasterrcnn_resnet50_fpn", "backbone": "resnet34", "norm": "frozen", "detection": eps0}, tiny, heavy=True)
    vgg = {"name": "fasterrcnn_vgg16", "dropout": 0.0}
    vgg_small = {**everything, "anchor_sizes": [32, 64, 96]}
    for op in ("align", "pool"):
        yield Case(f"fasterrcnn_vgg16 {op}", {**vgg, "detection": {**vgg_small, "roi_op": op}}, tiny, heavy=True)
    # As published, on photographs where there are some.
    full, sizes = {"sampler": "first"}, [(424, 640), (480, 640), (536, 559)]
    for name in ("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2"):
        for i, size in enumerate(sizes if name == "maskrcnn_resnet50_fpn" else sizes[:1]):
            model = {"name": name, "num_classes": 91, "detection": full}
            yield Case(f"{name} {size[0]}x{size[1]}", model, [size], objects=(8 * i,), heavy=True, real=True)
    r101 = {"name": "maskrcnn_resnet50_fpn", "backbone": "resnet101", "num_classes": 91, "norm": "frozen", "detection": full}
    yield Case("maskrcnn_resnet101_fpn frozen", r101, [(360, 480), (427, 640)], objects=(5, 9), heavy=True, real=True)
