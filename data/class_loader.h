// Batches of classified images, prepared by worker threads ahead of use.
#pragma once

#include <memory>

#include "data/augment.h"
#include "data/image_folders.h"
#include "data/loader.h"

namespace atrous::data {

// The augmentation of classification: where images are not resized to one size (data.image_height), or a crop
// is given, a random part of the image resized to the crop (AugmentOptions::resized_crop); `crop` is the side
// of a crop that the options do not give.
AugmentOptions class_augmentation(AugmentOptions augment, const DataOptions& data, int64_t crop);

// The random change of one image, f32 [h, w, C] in [0, 1]: a function of (seed, epoch, index) alone.
Tensor augmented_image(const ClassifiedImage& stored, const AugmentOptions& augment, uint64_t seed,
                       int64_t epoch, int64_t index);

// As Loader (loader.h): batch number `step` is a pure function of (dataset, options, seed). Labels are i32
// [N, 1, 1].
class ClassLoader {
 public:
  // `augment`: from class_augmentation.
  ClassLoader(const ImageFolders& dataset, const DataOptions& data, const AugmentOptions& augment,
              uint64_t seed, int64_t first_step);
  ~ClassLoader();
  ClassLoader(const ClassLoader&) = delete;
  ClassLoader& operator=(const ClassLoader&) = delete;

  // Blocks until the next batch is ready. Rethrows the first error of a worker (with the file's name).
  Batch next();
  // Seconds next() has waited so far.
  double wait_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace atrous::data
