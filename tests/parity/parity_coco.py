#!/usr/bin/env python3
"""COCO's 12 numbers: `atrous metrics coco` against pycocotools, to 1e-12.

On real annotations and results if ATROUS_DATA_DIR names a folder of them, and on random sets with ties, crowds, empty images,
images without objects, tiny and huge objects, classes without objects, polygons, both kinds of run lengths, and more than 100
detections, as boxes and as masks. --speed N also times both on N images. Exit code 0 if all agree, 1 if not, 77 if pycocotools
cannot be imported.
"""
import argparse
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time

import summary

SKIPPED = 77
try:
    import numpy as np
    from pycocotools import mask as coco_mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ImportError:
    print("skipped: no pycocotools")
    sys.exit(SKIPPED)

TOLERANCE = 1e-12
TYPES = ("bbox", "segm")


def default_binary():
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.join(here, "..", "..", "build", "release", "cli", "atrous")


def stats_of_pycocotools(gt, dt, iou_type):
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO(gt)
        evaluation = COCOeval(annotations, annotations.loadRes(dt), iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(v) for v in evaluation.stats]


def stats_of_atrous(binary, gt, dt, iou_type, *more):
    arguments = [binary, "metrics", "coco", "--gt", gt, "--dt", dt, "--iou-type", iou_type, "--json", "-", *more]
    result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {result.returncode}:\n{result.stderr}")
    return [-1.0 if v is None else v for v in json.loads(result.stdout)["stats"]]  # pycocotools has -1 for what does not exist


class Comparison:
    """Compares files, and counts."""

    def __init__(self, binary):
        self.binary, self.worst, self.equal, self.count, self.failed = binary, 0.0, 0, 0, 0

    def compare(self, name, gt, dt, iou_type):
        theirs = stats_of_pycocotools(gt, dt, iou_type)
        ours = stats_of_atrous(self.binary, gt, dt, iou_type)
        difference = max(abs(a - b) for a, b in zip(ours, theirs))
        self.count += 1
        self.equal += ours == theirs
        self.worst = max(self.worst, difference)
        # Written so that NaN fails.
        if not (len(ours) == 12 and difference <= TOLERANCE):
            self.failed += 1
            print(f"FAILED: {name}, {iou_type}: differs by {difference:.3g}\n  atrous      {ours}\n  pycocotools {theirs}")


def outline(rnd, box, size):
    """A mask of an object in one of the three forms, roughly filling its box."""
    height, width = size
    x, y, w, h = box
    form = rnd.randrange(4)
    if form < 2:
        polygons = []
        for _ in range(rnd.choice((1, 1, 1, 2))):
            corners = []
            for _ in range(rnd.randint(3, 9)):
                corners += [x + rnd.uniform(-0.1, 1.1) * w, y + rnd.uniform(-0.1, 1.1) * h]
            polygons.append([round(v, rnd.choice((0, 1, 2))) for v in corners])
        return polygons
    pixels = np.zeros((height, width), dtype=np.uint8, order="F")
    x0, y0 = max(0, int(x)), max(0, int(y))
    pixels[y0:int(y + h) + 1, x0:int(x + w) + 1] = 1
    if rnd.random() < 0.5:
        pixels[y0:y0 + int(h / 3) + 1, x0:x0 + int(w / 3) + 1] = 0
    rle = coco_mask.encode(pixels)
    if form == 2:
        return {"size": [height, width], "counts": rle["counts"].decode()}
    flat = np.concatenate(([0], pixels.reshape(-1, order="F")))
    ends = np.flatnonzero(np.diff(flat)).tolist() + [height * width]
    return {"size": [height, width], "counts": [end - begin for begin, end in zip([0] + ends, ends)]}


def random_box(rnd, size):
    height, width = size
    kind = rnd.random()
    if kind < 0.15:
        w, h = rnd.uniform(0.2, 3), rnd.uniform(0.2, 3)  # tiny
    elif kind < 0.25:
        w, h = width * rnd.uniform(0.8, 1), height * rnd.uniform(0.8, 1)  # nearly all
    elif kind < 0.35:
        w = h = rnd.choice((32.0, 96.0))  # on the bounds of the area ranges
    else:
        w, h = rnd.uniform(2, width * 0.6), rnd.uniform(2, height * 0.6)
    w, h = min(w, width), min(h, height)
    box = [rnd.uniform(0, width - w), rnd.uniform(0, height - h), w, h]
    if rnd.random() < 0.4:
        box = [float(round(v)) for v in box]  # equal IoUs
    return box


def area_of(segmentation, size):
    if isinstance(segmentation, list):
        return float(coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))))
    if isinstance(segmentation["counts"], list):
        return float(coco_mask.area(coco_mask.frPyObjects(segmentation, *size)))
    return float(coco_mask.area(segmentation))


def compressed(segmentation, size):
    """As results hold it."""
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
    elif isinstance(segmentation["counts"], list):
        rle = coco_mask.frPyObjects(segmentation, *size)
    else:
        return segmentation
    return {"size": list(size), "counts": rle["counts"].decode()}


def random_set(seed, images=None, mean_objects=4):
    """Annotations, results as boxes, results as masks."""
    rnd = random.Random(seed)
    images = images if images is not None else rnd.randint(1, 6)
    classes = rnd.choice((1, 2, 3, 5)) if images < 100 else 80
    ids = rnd.sample(range(1, 4 * classes + 1), classes)
    image_ids = rnd.sample(range(1, 100 * images), images)
    annotations, results = [], []
    infos = []
    for image_id in image_ids:
        size = (rnd.randint(20, 240), rnd.randint(20, 240)) if images < 100 else (480, 640)
        infos.append({"id": image_id, "file_name": f"{image_id}.jpg", "height": size[0], "width": size[1]})
        kind = rnd.random()
        objects = 0 if kind < 0.12 else rnd.randint(1, 2 * mean_objects - 1)
        crowds_only = kind > 0.94
        boxes = []
        for _ in range(objects):
            box = random_box(rnd, size) if not boxes or rnd.random() > 0.2 else list(rnd.choice(boxes)[0])
            category = rnd.choice(ids[:max(1, classes - 1)])  # the last class has no objects, if there are several
            segmentation = outline(rnd, box, size)
            crowd = int(crowds_only or rnd.random() < 0.1)
            area = area_of(segmentation, size) if rnd.random() < 0.7 else round(box[2] * box[3], 3)
            annotations.append({"id": 0, "image_id": image_id, "category_id": category, "bbox": box, "area": area,
                                "iscrowd": crowd, "segmentation": segmentation})
            boxes.append((box, category, segmentation))
        many = rnd.random() < 0.01 and images < 100
        for _ in range(rnd.randint(105, 130) if many else rnd.choice((0, 1, 3, 2 * mean_objects, 4 * mean_objects))):
            if boxes and rnd.random() < 0.75:
                box, category, segmentation = rnd.choice(boxes)
                spread = rnd.choice((0, 0, 0.03, 0.1, 0.3))
                box = [box[0] + rnd.uniform(-1, 1) * spread * box[2], box[1] + rnd.uniform(-1, 1) * spread * box[3],
                       box[2] * (1 + rnd.uniform(-1, 1) * spread), box[3] * (1 + rnd.uniform(-1, 1) * spread)]
                if rnd.random() < 0.15:
                    category = rnd.choice(ids)
                if spread:
                    segmentation = outline(rnd, box, size)
            else:
                box, category = random_box(rnd, size), rnd.choice(ids)
                segmentation = outline(rnd, box, size)
            score = rnd.random() if rnd.random() < 0.5 else rnd.choice((0.1, 0.5, 0.9))
            result = {"image_id": image_id, "category_id": category, "score": score, "bbox": box,
                      "segmentation": compressed(segmentation, size)}
            results.append(result)
            if rnd.random() < 0.05:
                results.append(dict(result))  # the same twice
    rnd.shuffle(annotations)
    rnd.shuffle(results)
    for number, annotation in enumerate(annotations):
        annotation["id"] = number + 1
    categories = [{"id": i, "name": f"class {i}"} for i in ids]
    as_boxes = [{k: v for k, v in r.items() if k != "segmentation"} for r in results]
    # Without boxes, areas are those of the masks; with them, those of the boxes.
    as_masks = [{k: v for k, v in r.items() if k != "bbox"} for r in results] if rnd.random() < 0.5 else results
    return {"images": infos, "annotations": annotations, "categories": categories}, as_boxes, as_masks


def write(path, value):
    with open(path, "w") as f:
        json.dump(value, f)
    return path


def results_from(gt, seed):
    """Detections that resemble the objects of a file of annotations."""
    rnd = random.Random(seed)
    with open(gt) as f:
        annotations = json.load(f)
    sizes = {i["id"]: (i["height"], i["width"]) for i in annotations["images"]}
    categories = [c["id"] for c in annotations["categories"]]
    results = []
    for a in annotations["annotations"]:
        for _ in range(rnd.randint(0, 3)):
            size = sizes[a["image_id"]]
            box = [v + rnd.uniform(-1, 1) * rnd.choice((0, 1, 10)) for v in a["bbox"][:2]] + a["bbox"][2:]
            results.append({"image_id": a["image_id"], "bbox": box, "score": round(rnd.random(), 1),
                            "category_id": a["category_id"] if rnd.random() < 0.8 else rnd.choice(categories),
                            "segmentation": compressed(a["segmentation"] if rnd.random() < 0.5 else outline(rnd, box, size), size)})
    return results


def without_boxes(results):
    return [{k: v for k, v in r.items() if k != "bbox"} for r in results]


def compare_real_files(comparison, root, folder):
    """Every annotation file of the folder against detections made from it; the published results of COCO against annotations made
    from them."""
    for path, _, files in sorted(os.walk(root)):
        for name in sorted(files):
            gt = os.path.join(path, name)
            if not name.endswith(".json") or "panoptic" in gt or "results" in name:
                continue
            with open(gt) as f:
                content = json.load(f)
            if not isinstance(content, dict) or not content.get("annotations") or "segmentation" not in content["annotations"][0]:
                continue
            made = results_from(gt, 7)
            dt = write(os.path.join(folder, "dt.json"), made)
            bare = write(os.path.join(folder, "bare.json"), without_boxes(made))
            for iou_type in TYPES:
                comparison.compare(gt, gt, dt, iou_type)
                comparison.compare(gt + " (no boxes)", gt, bare, iou_type)
            print(f"compared: {gt}, {len(made)} made detections", flush=True)
    published = os.path.join(root, "coco_mini", "results", "instances_val2014_fakesegm100_results.json")
    if os.path.exists(published):
        with open(published) as f:
            results = json.load(f)
        rnd = random.Random(3)
        sizes = {r["image_id"]: r["segmentation"]["size"] for r in results}
        gt = {"images": [{"id": i, "height": s[0], "width": s[1]} for i, s in sizes.items()],
              "categories": [{"id": c} for c in sorted({r["category_id"] for r in results})], "annotations": []}
        for r in rnd.sample(results, len(results) // 2):
            gt["annotations"].append({"id": len(gt["annotations"]) + 1, "image_id": r["image_id"], "category_id": r["category_id"],
                                      "segmentation": r["segmentation"], "area": area_of(r["segmentation"], r["segmentation"]["size"]),
                                      "bbox": coco_mask.toBbox(r["segmentation"]).tolist(), "iscrowd": int(rnd.random() < 0.1)})
        path = write(os.path.join(folder, "gt.json"), gt)
        for iou_type in TYPES:
            comparison.compare(published, path, published, iou_type)
        print(f"compared: {published}, {len(results)} detections", flush=True)


def compare_random_sets(comparison, folder, first, count):
    for seed in range(first, first + count):
        annotations, as_boxes, as_masks = random_set(seed)
        if not as_boxes:
            continue  # pycocotools cannot read an empty list of results
        gt = write(os.path.join(folder, "gt.json"), annotations)
        comparison.compare(f"set {seed}", gt, write(os.path.join(folder, "boxes.json"), as_boxes), "bbox")
        comparison.compare(f"set {seed}", gt, write(os.path.join(folder, "masks.json"), as_masks), "segm")


def compare_speed(comparison, folder, images):
    annotations, as_boxes, as_masks = random_set(1, images, mean_objects=8)
    print(f"speed on {images} images, {len(annotations['annotations'])} objects, {len(as_boxes)} detections; reading included")
    gt = write(os.path.join(folder, "gt.json"), annotations)
    for iou_type, results in (("bbox", as_boxes), ("segm", as_masks)):
        dt = write(os.path.join(folder, "dt.json"), results)
        start = time.perf_counter()
        theirs = stats_of_pycocotools(gt, dt, iou_type)
        middle = time.perf_counter()
        ours = stats_of_atrous(comparison.binary, gt, dt, iou_type)
        end = time.perf_counter()
        difference = max(abs(a - b) for a, b in zip(ours, theirs))
        slower = end - middle >= middle - start
        comparison.failed += slower or not difference <= TOLERANCE
        print(f"{iou_type}: pycocotools {middle - start:.2f} s, atrous {end - middle:.2f} s: {(middle - start) / (end - middle):.1f} "
              f"times as fast; difference {difference:.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atrous", default=default_binary(), metavar="BINARY")
    parser.add_argument("--sets", type=int, default=120, help="random sets, each as boxes and as masks")
    parser.add_argument("--first", type=int, default=1, help="seed of the first one")
    parser.add_argument("--speed", type=int, default=0, metavar="N", help="also time both on N images")
    options = parser.parse_args()
    comparison = Comparison(options.atrous)
    with tempfile.TemporaryDirectory(prefix="atrous_parity_") as folder:
        root = os.environ.get("ATROUS_DATA_DIR", "")
        if os.path.isdir(root):
            compare_real_files(comparison, root, folder)
        compare_random_sets(comparison, folder, options.first, options.sets)
        if options.speed:
            compare_speed(comparison, folder, options.speed)
    print(f"all 12 numbers have the same bits in {comparison.equal} of {comparison.count} comparisons")
    return summary.finish(comparison.count - comparison.failed, comparison.failed, 0, {"score": comparison.worst})


if __name__ == "__main__":
    sys.exit(main())
