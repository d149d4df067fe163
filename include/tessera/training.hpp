// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What training a network takes: its layers and losses with their gradients, loss scaling, optimisers, averages.
#pragma once

#include "tessera/training/absent.hpp"
#include "tessera/training/activate.hpp"
#include "tessera/training/activations.hpp"
#include "tessera/training/adam.hpp"
#include "tessera/training/average.hpp"
#include "tessera/training/average_weights.hpp"
#include "tessera/training/cross_entropy_options.hpp"
#include "tessera/training/embedding.hpp"
#include "tessera/training/gradient_options.hpp"
#include "tessera/training/gradient_report.hpp"
#include "tessera/training/lamb.hpp"
#include "tessera/training/linear.hpp"
#include "tessera/training/linear_backward.hpp"
#include "tessera/training/linear_cross_entropy.hpp"
#include "tessera/training/linear_cross_entropy_backward.hpp"
#include "tessera/training/lion.hpp"
#include "tessera/training/loss_scale.hpp"
#include "tessera/training/loss_scaler.hpp"
#include "tessera/training/norms.hpp"
#include "tessera/training/norms_backward.hpp"
#include "tessera/training/optimizer_options.hpp"
#include "tessera/training/sgd.hpp"
#include "tessera/training/unscale.hpp"
#include "tessera/training/weights.hpp"
