// Data sets for instance segmentation and detection: numbered samples of image and objects.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/instances.h"
#include "data/augment.h"
#include "data/coco_json.h"
#include "data/dataset.h"

namespace atrous::data {

struct InstanceSample {
  std::string id = {};  // unique in the split: stem of the image file, or its path without extension
  std::string image_path = {};
  Tensor image = {};  // u8 [H, W, C] as decoded; f32 [H, W, C] in [0, 1] after augmentation
  Instances instances = {};
};

class InstanceDataset {
 public:
  virtual ~InstanceDataset() = default;
  virtual int64_t size() const = 0;
  virtual std::string id(int64_t index) const = 0;
  // The image's id in COCO results. Sets without ids count from 1.
  virtual int64_t image_id(int64_t index) const = 0;
  // Decodes the image and all of its objects as annotated: crowds and objects without area included, boxes
  // not clipped. Error(data) names file, object and remedy, also for masks beyond max_window_pixels.
  // Thread-safe, as is instances().
  virtual InstanceSample load(int64_t index) const = 0;
  // The objects alone, no image is decoded.
  virtual Instances instances(int64_t index) const = 0;
  // The same without masks: the loader needs it of every image before it starts.
  virtual Instances boxes(int64_t index) const = 0;
  // All annotations, in full precision, for scores: their images are those of the data set in the same
  // order. Sets of mask pictures read every one of them.
  virtual CocoAnnotations annotations() const = 0;
  virtual int64_t num_classes() const = 0;  // background included
  virtual int64_t in_channels() const = 0;
  // One entry per label; 0 is "background". Raw COCO ids leave gaps, named "N/A" as torchvision does.
  virtual const std::vector<ClassInfo>& classes() const = 0;
  // COCO category of a label, for results that other tools read; -1 for a gap.
  virtual int64_t category_id(int64_t label) const = 0;
  // One line per fact for the start of a run.
  virtual std::string describe() const = 0;
  // Those of these lines that say how classes were matched by name, and what was repaired or assumed.
  virtual std::vector<std::string> notes() const { return {}; }
};

// As open_dataset() of dataset.h, for the instance sets of `atrous data sets`. Without `classes` the splits
// other than train take the labels of train, by name; with an empty list each has its own. With `faults`,
// every fault of COCO annotations is added to them and the record left out (read_coco_annotations); missing
// image files are then errors of load().
std::unique_ptr<InstanceDataset> open_instance_dataset(const DataOptions& options, const std::string& split,
                                                       int64_t num_classes, int64_t in_channels,
                                                       const ClassList* classes = nullptr,
                                                       std::vector<std::string>* faults = nullptr);
// Whether the set has this split at this root, with masks where masks are pictures.
bool has_instance_split(const DataOptions& options, const std::string& split);

// Pixels of the windows of all masks of an image together. Real images have a few times their own; a file of
// some kilobytes can name thousands of objects that each reach from corner to corner.
inline constexpr int64_t max_window_pixels = int64_t{1} << 30;

// Conversion between a mask and COCO's run lengths.
Mask mask_of(const Rle& rle);
Rle rle_of(const Mask& mask, int64_t height, int64_t width);

// Names of those sets; whether a name is one of them.
std::vector<std::string> instance_set_names();
bool is_instance_set(const std::string& name);
// Whether its objects come from COCO annotations.
bool has_coco_annotations(const std::string& name);

// The objects that a network is trained on, by torchvision's rules: no crowds, boxes clipped to the image, no
// boxes that are then empty.
Instances training_targets(const Instances& annotated);

// image u8 [H, W, C] -> f32 [h, w, C] in [0, 1]; boxes and masks are warped too. The same draws and the same
// picture as augment() of the image alone (augment.h).
//
// Boxes: corners through the map, then clipped. A box that the crop cuts, or that was rotated or deformed, is
// fitted to the rest of its mask. Objects of which no pixel (no box, in sets without masks) is left are
// removed. Error(config) for border "reflect", which would show objects that have no annotation.
InstanceSample augment(const InstanceSample& sample, const AugmentOptions& options, Rng& rng);

// Resizes image (as augment.h does), boxes and masks (nearest); no change for 0.
InstanceSample resize_sample(const InstanceSample& sample, int64_t height, int64_t width);

// The loader holds up to 2 * workers batches ahead (at least 2, with workers): 4 * H * W * C bytes per image
// and one per pixel of the windows of its masks.
struct InstanceBatch {
  std::vector<Tensor> images;  // f32 [H, W, C] in [0, 1], of different sizes; the networks normalise and pad
  std::vector<Instances> targets;  // of each image; may be without objects
  std::vector<std::string> ids;
  int64_t step = 0;  // global batch number
};

// The images of a set that training takes: indices, and the bin of each one's aspect ratio (none if
// data.aspect_ratio_bins is 0 and no image is left out). Reads the boxes of all images. Error(data) if there
// are none.
struct TrainingImages {
  std::vector<int64_t> members, bins;
};
TrainingImages training_images(const InstanceDataset& dataset, const DataOptions& data);

// Batches for training, prepared by worker threads. As Loader (loader.h): batch number `step` is a pure
// function of (dataset, options, seed), whatever the number of workers and wherever reading started.
class InstanceLoader {
 public:
  // Images without an object to train on are left out unless data.keep_empty_images.
  //
  // data.aspect_ratio_bins = k > 0 makes batches of images of like shape, as torchvision's
  // GroupedBatchSampler does: bins are edged by 2^(-1), ..., 2^1 in 2k + 1 steps of width / height. An epoch
  // has floor(n / batch_size) batches (at least one), filled up within the bins at its end, those with the
  // most images left first. An image beyond that comes with other epochs' orders, unless its bin always has
  // too few left: an image of a rare shape may never come.
  InstanceLoader(const InstanceDataset& dataset, const DataOptions& data, const AugmentOptions& augment,
                 uint64_t seed, int64_t first_step);
  // The same for callers that know the images already.
  InstanceLoader(const InstanceDataset& dataset, TrainingImages images, const DataOptions& data,
                 const AugmentOptions& augment, uint64_t seed, int64_t first_step);
  ~InstanceLoader();
  InstanceLoader(const InstanceLoader&) = delete;
  InstanceLoader& operator=(const InstanceLoader&) = delete;

  // Blocks until the next batch is ready. Rethrows the first error of a worker (with the file's name).
  InstanceBatch next();
  // Seconds next() has waited so far.
  double wait_seconds() const;
  // Images that take part, and batches per epoch.
  int64_t images() const;
  int64_t batches_per_epoch() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace atrous::data
