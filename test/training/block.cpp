// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// A small language model of all the layers: two causal transformer blocks, and every one of its gradients against differences.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../support/array.hpp"
#include "../support/random.hpp"
#include "tessera/attention/backward.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/training/activate.hpp"
#include "tessera/training/embedding.hpp"
#include "tessera/training/linear.hpp"
#include "tessera/training/linear_backward.hpp"
#include "tessera/training/linear_cross_entropy.hpp"
#include "tessera/training/linear_cross_entropy_backward.hpp"
#include "tessera/training/norms.hpp"
#include "tessera/training/norms_backward.hpp"

namespace {

using support::array;
using support::matrix;
using tessera::seq;
using tessera::view;
namespace activation = tessera::training::activation;
namespace attention = tessera::attention;
namespace training = tessera::training;
using training::absent;

constexpr std::int64_t batch = 2;
constexpr std::int64_t length = 5;
constexpr std::int64_t heads = 2;
constexpr std::int64_t head_dim = 3;
constexpr std::int64_t width = heads * head_dim;
constexpr std::int64_t hidden = 9;
constexpr std::int64_t vocabulary = 7;
constexpr std::int64_t n = batch * length;
constexpr int layers = 2;

/// All parameters, or their gradients, in one array, so that a test can go through them.
class parameters {
 public:
  std::vector<double> numbers;

  struct layer {
    view<double, 1> gain1, bias1, gain2, bias2, qkv_bias, up_bias, out_bias;
    view<double, 2> qkv, out, up, down;
  };
  view<double, 2> table;
  layer layer_of[layers];
  view<double, 1> last_gain;

  parameters() {
    lay_out();
    numbers.resize(static_cast<std::size_t>(used_));
    lay_out();
  }
  parameters(const parameters&) = delete;
  parameters& operator=(const parameters&) = delete;

 private:
  std::int64_t used_ = 0;

  view<double, 2> take(std::int64_t rows, std::int64_t columns) {
    const std::int64_t at = used_;
    used_ += rows * columns;
    return view<double, 2>(numbers.empty() ? nullptr : numbers.data() + at, rows, columns);
  }
  view<double, 1> take(std::int64_t count) { return view<double, 1>(take(1, count).data_handle(), count); }
  void lay_out() {
    used_ = 0;
    table = take(vocabulary, width);
    for (layer& l : layer_of) {
      for (auto* v : {&l.gain1, &l.bias1, &l.gain2, &l.bias2, &l.out_bias}) *v = take(width);
      l.qkv = take(3 * width, width);
      l.qkv_bias = take(3 * width);
      l.out = take(width, width);
      l.up = take(hidden, width);
      l.up_bias = take(hidden);
      l.down = take(width, hidden);
    }
    last_gain = take(width);
  }
};

/// Head by head, of queries (0), keys (1) or values (2) beside one another in a row.
view<double, 4> heads_of(matrix<double>& m, std::int64_t which, std::int64_t row) {
  return {m.view().data_handle() + which * width, {batch, heads, length, head_dim}, {length * row, head_dim, row, 1}};
}

struct model {
  parameters weights;
  parameters gradients;
  array<std::int64_t, 1> ids{{n}};
  array<std::int64_t, 1> targets{{n}};

  /// What the backward pass needs of a layer.
  struct saved {
    matrix<double> x1{{n, width}}, y1{{n, width}}, qkv{{n, 3 * width}}, heads_out{{n, width}};
    matrix<double> x2{{n, width}}, y2{{n, width}}, z{{n, hidden}}, h{{n, hidden}}, branch{{n, width}};
    array<double, 3> lse{{batch, heads, length}};
    array<double, 1> mean1{{n}}, inverse1{{n}}, mean2{{n}}, inverse2{{n}};
  };
  saved of[layers];
  matrix<double> x_last{{n, width}}, y_last{{n, width}};
  array<double, 1> inverse_last{{n}}, lse{{n}}, loss{{1}};

  double forward() {
    const activation::gelu f;
    training::embedding(seq, weights.table, ids.view(), of[0].x1.view(), {.ignore_id = -1});
    for (int i = 0; i < layers; ++i) {
      const parameters::layer& w = weights.layer_of[i];
      saved& s = of[i];
      if (i == 0) {
        training::layer_norm(seq, s.x1.view(), w.gain1, w.bias1, s.y1.view(), s.mean1.view(), s.inverse1.view());
      } else {
        s.x1 = of[i - 1].x2;
        training::add_layer_norm(seq, s.x1.view(), of[i - 1].branch.view(), w.gain1, w.bias1, s.y1.view(), s.mean1.view(),
                                 s.inverse1.view());
      }
      training::linear(seq, s.y1.view(), w.qkv, w.qkv_bias, s.qkv.view());
      attention::forward(seq, heads_of(s.qkv, 0, 3 * width), heads_of(s.qkv, 1, 3 * width), heads_of(s.qkv, 2, 3 * width),
                         heads_of(s.heads_out, 0, width), s.lse.view(), {.mask = attention::causal});
      training::linear(seq, s.heads_out.view(), w.out, w.out_bias, s.branch.view());
      s.x2 = s.x1;
      training::add_layer_norm(seq, s.x2.view(), s.branch.view(), w.gain2, w.bias2, s.y2.view(), s.mean2.view(),
                               s.inverse2.view());
      training::linear(seq, s.y2.view(), w.up, w.up_bias, s.h.view(),
                       training::linear_options{.activation = f, .before_activation = s.z.view()});
      training::linear(seq, s.h.view(), w.down, absent, s.branch.view());
    }
    x_last = of[layers - 1].x2;
    training::add_rms_norm(seq, x_last.view(), of[layers - 1].branch.view(), weights.last_gain, y_last.view(),
                           inverse_last.view());
    training::linear_cross_entropy(seq, y_last.view(), weights.table, targets.view(), loss.view(), lse.view());
    return loss(0);
  }

  void backward() {
    const activation::gelu f;
    array<double, 1> one({1});
    one.fill([](std::uint64_t) { return 1; });
    matrix<double> grad_x({n, width});
    matrix<double> grad_y({n, width});
    matrix<double> grad_h({n, hidden});
    matrix<double> grad_heads({n, width});
    matrix<double> grad_of[3] = {grad_x, grad_x, grad_x};  // of queries, keys and values
    const training::gradient_options add_to_stream{.add_to_input = true};
    training::linear_cross_entropy_backward(seq, y_last.view(), weights.table, targets.view(), lse.view(), one.view(),
                                            grad_y.view(), gradients.table);
    training::rms_norm_backward(seq, x_last.view(), weights.last_gain, inverse_last.view(), grad_y.view(),
                                training::norm_gradients{.x = grad_x.view(), .gain = gradients.last_gain});
    for (int i = layers - 1; i >= 0; --i) {
      const parameters::layer& w = weights.layer_of[i];
      const parameters::layer& g = gradients.layer_of[i];
      saved& s = of[i];
      training::linear_backward(seq, s.h.view(), w.down, grad_x.view(),
                                training::linear_gradients{.x = grad_h.view(), .weight = g.down});
      training::activate_backward(seq, f, s.z.view(), grad_h.view(), grad_h.view());
      training::linear_backward(seq, s.y2.view(), w.up, grad_h.view(),
                                training::linear_gradients{.x = grad_y.view(), .weight = g.up, .bias = g.up_bias});
      training::layer_norm_backward(seq, s.x2.view(), w.gain2, s.mean2.view(), s.inverse2.view(), grad_y.view(),
                                    training::norm_gradients{.x = grad_x.view(), .gain = g.gain2, .bias = g.bias2},
                                    add_to_stream);
      training::linear_backward(seq, s.heads_out.view(), w.out, grad_x.view(),
                                training::linear_gradients{.x = grad_heads.view(), .weight = g.out, .bias = g.out_bias});
      attention::backward(seq, heads_of(s.qkv, 0, 3 * width), heads_of(s.qkv, 1, 3 * width), heads_of(s.qkv, 2, 3 * width),
                          heads_of(s.heads_out, 0, width), s.lse.view(), heads_of(grad_heads, 0, width),
                          heads_of(grad_of[0], 0, width), heads_of(grad_of[1], 0, width), heads_of(grad_of[2], 0, width),
                          {.mask = attention::causal});
      for (std::int64_t which = 0; which < 3; ++which) {
        const auto rows = [&](const view<double, 2>& v) {
          return view<double, 2>(v.data_handle() + which * width * width, width, width);
        };
        const view<double, 1> bias(g.qkv_bias.data_handle() + which * width, width);
        training::linear_backward(seq, s.y1.view(), rows(w.qkv), grad_of[which].view(),
                                  training::linear_gradients{.x = grad_y.view(), .weight = rows(g.qkv), .bias = bias},
                                  {.add_to_input = which > 0});
      }
      training::layer_norm_backward(seq, s.x1.view(), w.gain1, s.mean1.view(), s.inverse1.view(), grad_y.view(),
                                    training::norm_gradients{.x = grad_x.view(), .gain = g.gain1, .bias = g.bias1},
                                    add_to_stream);
    }
    // The table is that of the classes, too.
    training::embedding_backward(seq, ids.view(), grad_x.view(), gradients.table, {.ignore_id = -1}, {.add_to_parameters = true});
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(training_block)

BOOST_AUTO_TEST_CASE(every_gradient_of_a_transformer_is_a_difference) {
  model m;
  for (std::size_t k = 0; k < m.weights.numbers.size(); ++k) m.weights.numbers[k] = 0.5 * support::normal(1, k);
  for (std::int64_t k = 0; k < width; ++k) {
    for (auto& layer : m.weights.layer_of) {
      layer.gain1(k) += 1;
      layer.gain2(k) += 1;
    }
    m.weights.last_gain(k) += 1;
  }
  m.ids.fill([](std::uint64_t i) { return i == 6 ? -1 : support::below(2, i, vocabulary); });
  m.targets.fill([](std::uint64_t i) { return i == 3 ? -100 : support::below(3, i, vocabulary); });
  const double loss = m.forward();
  m.backward();
  double largest = 0;
  double worst = 0;
  for (std::size_t k = 0; k < m.weights.numbers.size(); ++k) {
    double& number = m.weights.numbers[k];
    const double before = number;
    constexpr double h = 2e-5;
    number = before + h;
    const double above = m.forward();
    number = before - h;
    const double below = m.forward();
    number = before;
    const double slope = (above - below) / (2 * h);
    largest = std::fmax(largest, std::fabs(slope));
    worst = std::fmax(worst, std::fabs(m.gradients.numbers[k] - slope));
    BOOST_TEST_INFO("parameter " << k << ", difference " << slope << ", gradient " << m.gradients.numbers[k]);
    BOOST_TEST(std::fabs(m.gradients.numbers[k] - slope) < 3e-8);
  }
  BOOST_TEST_MESSAGE(m.weights.numbers.size()
                     << " parameters, gradients up to " << largest << ", off by " << worst << " at most");
  BOOST_TEST(largest > 0.05);

  // A step along the gradient makes the loss less, by about what it says.
  double squares = 0;
  for (const double g : m.gradients.numbers) squares += g * g;
  const double rate = 1e-4;
  for (std::size_t k = 0; k < m.weights.numbers.size(); ++k) m.weights.numbers[k] -= rate * m.gradients.numbers[k];
  BOOST_TEST(loss - m.forward() == rate * squares, boost::test_tools::tolerance(0.01));
}

BOOST_AUTO_TEST_SUITE_END()
