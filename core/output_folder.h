// Folders that commands write their results into.
#pragma once

#include <string>
#include <vector>

namespace atrous {

// Makes a folder and all above it, and checks that files can be made there. Error(io) names the option that
// the folder was given with, and the system's reason.
void make_output_folder(const std::string& path, const char* option = "--out");

// The same for a folder that must be new or empty, so that files of two calls never mix. Error(usage).
void make_new_folder(const std::string& path);

// The regular files of a folder (not of its sub-folders), sorted. Error(io) if it cannot be read.
std::vector<std::string> files_in(const std::string& folder);

}  // namespace atrous
