// Any semantic model followed by a CRF that is trained with it (layers/crf_as_rnn.h).
#pragma once

#include "layers/crf_as_rnn.h"
#include "nets/networks.h"

namespace atrous::nets {

// `network` followed by the CRF. Its logits are f32 and have the resolution of the region that they describe;
// auxiliary ones, and those of further losses, are the network's, trained as without the CRF. Names of its
// parameters stay as they are, the CRF's begin with "crf.". Error(config): those of layers::CrfAsRnn.
ModelPtr with_crf(const ModelPtr& network, const layers::CrfAsRnnOptions& options);

}  // namespace atrous::nets
