// The folder of a run: its files, and the lock that lets only one process write into it.
//
//   config.json   resolved config                   checkpoints/last.safetensors            newest checkpoint
//   metrics.jsonl one JSON object per line          checkpoints/last.previous.safetensors   the one before
//   best.json     scores of the best validation     checkpoints/best.safetensors            best weights
//   events.out.tfevents.*   TensorBoard             samples/*.png, report.html              pictures, report
// (Paths are relative to the folder.)
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace atrous::train {

class RunFolder {
 public:
  // Makes the folder, checks that files can be made in it, locks it, and removes incomplete files of killed
  // runs. Error(io) if another process holds the lock. Error(usage) if the folder already holds a run and
  // `resume` is false, or files but no run.
  RunFolder(const std::string& path, bool resume);
  // Folders that it made are removed if nothing was written into them: a refused run leaves no trace.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string last() const { return file("checkpoints/last.safetensors"); }
  std::string previous() const { return file("checkpoints/last.previous.safetensors"); }
  std::string best() const { return file("checkpoints/best.safetensors"); }

 private:
  void remove_unused() const;

  std::string path_;
  std::vector<std::filesystem::path> made_;  // inner ones first
  int lock_ = -1;
};

}  // namespace atrous::train
