// TensorBoard event files, written without TensorBoard or protobuf.
//
// A file is a sequence of records: u64 length, u32 masked CRC of the length, data, u32 masked CRC of the
// data, all little-endian; the CRC is CRC-32C and mask(c) = rotate_right(c, 15) + 0xa282ead8. The data is an
// `Event` message in protobuf's wire format (tensorflow/core/util/event.proto): wall_time = 1 (double), step
// = 2 (varint), file_version = 3 (string), summary = 5, session_log = 7. A summary value has tag = 1,
// simple_value = 2 (float), image = 4 {height = 1, width = 2, colorspace = 3, encoded_image_string = 4}.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace atrous::train {

class EventWriter {
 public:
  // Creates `folder`/events.out.tfevents.<time>.<host>.<pid>. first_step > 0 makes TensorBoard treat the run
  // as continued after that step, so that it drops later points of an earlier file. Error(io).
  EventWriter(const std::string& folder, int64_t first_step);
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  void scalar(const std::string& tag, int64_t step, double value);
  // `png`: a whole PNG file.
  void image(const std::string& tag, int64_t step, const std::string& png, int64_t height, int64_t width);
  void flush();
  const std::string& path() const { return path_; }

 private:
  void event(int64_t step, int field, const std::string& message);
  void record(const std::string& data);

  std::string path_;
  std::FILE* file_ = nullptr;
};

}  // namespace atrous::train
