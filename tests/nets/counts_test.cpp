// Sizes of networks against independent counts: PyTorch models of the same networks, instantiated and
// counted.
#include <catch2/catch.hpp>

#include "layers/trace.h"
#include "nets/factory.h"

using namespace atrous;

namespace {

struct Expected {
  const char* what;
  nets::ModelOptions model;
  int64_t height, width;
  int64_t parameters, buffers, buffer_elements, entries, macs;
  int64_t out_height, out_width;
};

nets::ModelOptions model(const std::string& name, int64_t classes, const std::string& backbone = "",
                         bool aux = false) {
  nets::ModelOptions o;
  o.name = name;
  o.num_classes = classes;
  o.backbone = backbone;
  o.aux_loss = aux;
  return o;
}

nets::ModelOptions unet(int64_t channels, int64_t classes, const std::string& padding,
                        const std::string& upsampling, const std::string& norm) {
  nets::ModelOptions o = model("unet", classes);
  o.in_channels = channels;
  o.padding = padding;
  o.upsampling = upsampling;
  o.norm = norm;
  return o;
}

const Expected table[] = {
    {"unet paper", unet(1, 2, "valid", "transposed", "none"), 572, 572, 31030658, 0, 0, 46, 150428424448, 388,
     388},
    {"unet batch norm", unet(3, 11, "same", "transposed", "batch"), 360, 480, 31038283, 54, 11794, 118,
     126870650880, 360, 480},
    {"unet bilinear", unet(3, 11, "same", "bilinear", "batch"), 360, 480, 17263627, 54, 8850, 110,
     105456107520, 360, 480},
    {"unet plain", unet(1, 1, "same", "transposed", "none"), 512, 512, 31030593, 0, 0, 46, 192367558656, 512,
     512},
    {"fcn32s vgg16", model("fcn32s", 21), 500, 500, 134346581, 0, 0, 32, 180903432960, 500, 500},
    {"fcn16s vgg16", model("fcn16s", 21), 500, 500, 134357354, 0, 0, 34, 180924248832, 500, 500},
    {"fcn8s vgg16", model("fcn8s", 21), 500, 500, 134362751, 0, 0, 36, 180965880576, 500, 500},
    {"fcn8s vgg16, 11 classes", model("fcn8s", 11), 360, 480, 134314081, 0, 0, 36, 139346474752, 360, 480},
    {"fcn32s resnet50", model("fcn32s", 21, "resnet50"), 512, 512, 23551061, 159, 53173, 320, 21364211712,
     512, 512},
    {"fcn16s resnet50", model("fcn16s", 21, "resnet50"), 512, 512, 23572586, 159, 53173, 322, 21386231808,
     512, 512},
    {"fcn8s resnet50", model("fcn8s", 21, "resnet50"), 512, 512, 23583359, 159, 53173, 324, 21430272000, 512,
     512},
    {"fcn8s resnet50, 11 classes", model("fcn8s", 11, "resnet50"), 360, 480, 23547489, 159, 53173, 324,
     14376898560, 360, 480},
    {"fcn32s resnet101", model("fcn32s", 21, "resnet101"), 512, 512, 42543189, 312, 105448, 626, 40758673408,
     512, 512},
    {"fcn16s resnet101", model("fcn16s", 21, "resnet101"), 512, 512, 42564714, 312, 105448, 628, 40780693504,
     512, 512},
    {"fcn8s resnet101", model("fcn8s", 21, "resnet101"), 512, 512, 42575487, 312, 105448, 630, 40824733696,
     512, 512},
    {"fcn8s resnet101, 11 classes", model("fcn8s", 11, "resnet101"), 360, 480, 42539617, 312, 105448, 630,
     27445432320, 360, 480},
    {"fcn_resnet50", model("fcn_resnet50", 21), 520, 520, 32957013, 162, 54198, 326, 142725772800, 520, 520},
    {"fcn_resnet50, 513", model("fcn_resnet50", 21), 513, 513, 32957013, 162, 54198, 326, 142647529152, 513,
     513},
    {"fcn_resnet50, aux", model("fcn_resnet50", 21, "", true), 520, 520, 35322218, 165, 54711, 334,
     152716512000, 520, 520},
    {"fcn_resnet101", model("fcn_resnet101", 21), 520, 520, 51949141, 315, 106473, 632, 222746867200, 520,
     520},
    {"fcn_resnet101, aux", model("fcn_resnet101", 21, "", true), 520, 520, 54314346, 318, 106986, 640,
     232737606400, 520, 520},
};

}  // namespace

TEST_CASE("Parameters, buffers, state_dict entries and MACs are those of the PyTorch networks") {
  for (const Expected& e : table) {
    INFO(e.what);
    const auto net = nets::build_model(e.model);
    int64_t parameters = 0, buffers = 0, buffer_elements = 0, entries = 0;
    net->visit([&](const std::string&, const Variable* parameter, const Tensor* buffer) {
      ++entries;
      if (parameter) parameters += parameter->value().numel();
      if (buffer) {
        ++buffers;
        buffer_elements += buffer->numel();
      }
    });
    CHECK(parameters == e.parameters);
    CHECK(buffers == e.buffers);
    CHECK(buffer_elements == e.buffer_elements);
    CHECK(entries == e.entries);
    net->eval();
    const NoGradGuard no_tape;
    const layers::Trace trace;
    const auto out = net->forward(Variable(Tensor::empty({1, e.height, e.width, net->in_channels()})));
    CHECK(trace.macs() == e.macs);
    CHECK(out.region.height == e.out_height);
    CHECK(out.region.width == e.out_width);
    CHECK(out.logits.dim(3) == e.model.num_classes);
  }
}

TEST_CASE("Receptive fields are those that the papers' arithmetic gives") {
  const auto field = [](const nets::ModelOptions& o, int64_t size) {
    const auto net = nets::build_model(o);
    net->eval();
    const NoGradGuard no_tape;
    const layers::Trace trace;
    net->forward(Variable(Tensor::empty({1, size, size, net->in_channels()})));
    return trace.receptive_field();
  };
  // Five levels of two 3x3: 1 + 2*2*(1+2+4+8+16) + 2*2*(8+4+2+1) + pools (1+2+4+8).
  CHECK(field(unet(1, 2, "valid", "transposed", "none"), 572) == 1 + 124 + 60 + 15);
  // VGG16 with fc6 sees 404 pixels (Long et al., table 1); the deconvolution of stride 32 adds one score.
  CHECK(field(model("fcn32s", 21), 224) == 404 + 32);
}
