// Weights by name: "resnet18" is a file in a folder of published weights. Nothing is downloaded.
#pragma once

#include <string>

namespace atrous::nets {

// The file that a path of weights names. A path is one if it exists, holds a '/' or ends like a weights file;
// then it is returned as it is. Else it is a name, with "#dictionary" behind it or not, of the one file
// NAME*.safetensors, NAME*.pth, NAME*.pt or NAME*.bin in the folder ATROUS_WEIGHTS, or else in
// ~/.cache/atrous, whose name no other network begins ("vgg16" does not mean "vgg16_bn-6c64b313.pth"); a note
// on stderr says which. Error(checkpoint), `where` first: if there is none, with the published file of that
// name, where to get it and how its SHA-256 begins; if there are several, with their names.
std::string find_weights(const std::string& where, const std::string& path);

}  // namespace atrous::nets
