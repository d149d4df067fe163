// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A small language model of characters: a causal transformer with rotary positions, stored and trained in one type with float32 masters.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/matrix.hpp"
#include "tessera/attention.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/random/gumbel.hpp"
#include "tessera/random/normal.hpp"
#include "tessera/random/uniform_int.hpp"
#include "tessera/tile/convert.hpp"
#include "tessera/training.hpp"

namespace example {

/// Text as numbers: its distinct characters in rising order.
struct characters {
  std::string alphabet;
  std::vector<std::int32_t> ids;

  explicit characters(const std::string& text) {
    bool seen[256] = {};
    for (const char c : text) seen[static_cast<unsigned char>(c)] = true;
    std::int32_t number[256] = {};
    for (int c = 0; c < 256; ++c) {
      if (!seen[c]) continue;
      number[c] = static_cast<std::int32_t>(alphabet.size());
      alphabet += static_cast<char>(c);
    }
    for (const char c : text) ids.push_back(number[static_cast<unsigned char>(c)]);
  }
};

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) throw std::runtime_error(path + ": cannot read");
  return text;
}

struct character_model_shape {
  std::int64_t layers = 4;
  std::int64_t heads = 4;
  std::int64_t width = 128;
  std::int64_t context = 128;
  std::int64_t batch = 16;
};

/// Weights, gradients and activations are stored as S, masters and moments in float32; S may be float.
template <class S>
class character_model {
 public:
  character_model(const character_model_shape& shape, std::int64_t alphabet, std::uint64_t seed)
      : shape_(shape), alphabet_(alphabet), seed_(seed), rows_(shape.batch * shape.context) {
    const std::int64_t d = shape.width;
    // As GPT-2 has it: what adds to the residual stream is smaller the more there are that do.
    constexpr double spread = 0.02;
    const double branch = spread / std::sqrt(2 * static_cast<double>(shape.layers));
    table_ = add_matrix(alphabet, d, spread);
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      layer& at = layers_.emplace_back();
      at.gain[0] = add_gain(d);
      at.qkv = add_matrix(3 * d, d, spread);
      at.merge = add_matrix(d, d, branch);
      at.gain[1] = add_gain(d);
      at.widen = add_matrix(4 * d, d, spread);
      at.narrow = add_matrix(d, 4 * d, branch);
      for (int k = 0; k < 2; ++k) {
        at.stream[k] = matrix<S>(rows_, d);
        at.normed[k] = matrix<S>(rows_, d);
        at.inverse[k] = matrix<float>(1, rows_);
      }
      at.projected = matrix<S>(rows_, 3 * d);
      at.mixed = matrix<S>(rows_, d);
      at.lse = matrix<float>(shape.batch * shape.heads, shape.context);
      at.before = matrix<S>(rows_, 4 * d);
      at.hidden = matrix<S>(rows_, 4 * d);
    }
    last_gain_ = add_gain(d);
    head_ = add_matrix(alphabet, d, spread);
    for (matrix<S>* m : {&last_stream_, &last_normed_, &branch_, &slope_, &slope_normed_, &slope_mixed_})
      *m = matrix<S>(rows_, d);
    slope_projected_ = matrix<S>(rows_, 3 * d);
    slope_hidden_ = matrix<S>(rows_, 4 * d);
    last_inverse_ = matrix<float>(1, rows_);
    lse_ = matrix<float>(1, rows_);
    const std::int64_t half = d / shape.heads / 2;
    cos_ = matrix<float>(shape.context, half);
    sin_ = matrix<float>(shape.context, half);
    tessera::attention::fill_rotary_tables(tessera::par, cos_.view(), sin_.view());
  }

  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t steps() const { return steps_; }
  [[nodiscard]] std::int64_t size() const {
    std::int64_t sum = 0;
    for (const parameter& p : parameters_) sum += p.master.rows() * p.master.columns();
    return sum;
  }

  /// The mean loss of the characters that follow ids, each given those before it.
  float loss(const std::int32_t* ids, const std::int32_t* next) {
    forward(ids);
    return finish(next);
  }

  /// The same, and the gradients of all parameters, `scale` times as large.
  float learn(const std::int32_t* ids, const std::int32_t* next, float scale = 1) {
    using namespace tessera::training;
    using tessera::par;
    forward(ids);
    const float mean = finish(next);
    linear_cross_entropy_backward(par, last_normed_.view(), weight(head_), target(next), lse_row(),
                                  tessera::view<const float, 1>(&scale, 1), slope_normed_.view(), gradient(head_));
    rms_norm_backward(par, last_stream_.view(), gain(last_gain_), row_of(last_inverse_), slope_normed_.view(),
                      norm_gradients{.x = slope_.view(), .gain = gain_gradient(last_gain_)});
    constexpr gradient_options adds{.add_to_input = true};
    for (std::size_t l = layers_.size(); l-- > 0;) {
      layer& at = layers_[l];
      linear_backward(par, at.hidden.view(), weight(at.narrow), slope_.view(),
                      linear_gradients{.x = slope_hidden_.view(), .weight = gradient(at.narrow)});
      activate_backward(par, activation::gelu{}, at.before.view(), slope_hidden_.view(), slope_hidden_.view());
      linear_backward(par, at.normed[1].view(), weight(at.widen), slope_hidden_.view(),
                      linear_gradients{.x = slope_normed_.view(), .weight = gradient(at.widen)});
      rms_norm_backward(par, at.stream[1].view(), gain(at.gain[1]), row_of(at.inverse[1]), slope_normed_.view(),
                        norm_gradients{.x = slope_.view(), .gain = gain_gradient(at.gain[1])}, adds);
      linear_backward(par, at.mixed.view(), weight(at.merge), slope_.view(),
                      linear_gradients{.x = slope_mixed_.view(), .weight = gradient(at.merge)});
      tessera::attention::backward(par, part<const S>(at.projected, 0), part<const S>(at.projected, 1),
                                   part<const S>(at.projected, 2), heads<const S>(at.mixed), lse_of(at),
                                   heads<const S>(slope_mixed_), part<S>(slope_projected_, 0), part<S>(slope_projected_, 1),
                                   part<S>(slope_projected_, 2), attention_options());
      linear_backward(par, at.normed[0].view(), weight(at.qkv), slope_projected_.view(),
                      linear_gradients{.x = slope_normed_.view(), .weight = gradient(at.qkv)});
      rms_norm_backward(par, at.stream[0].view(), gain(at.gain[0]), row_of(at.inverse[0]), slope_normed_.view(),
                        norm_gradients{.x = slope_.view(), .gain = gain_gradient(at.gain[0])}, adds);
    }
    embedding_backward(par, id_view(ids), slope_.view(), gradient(table_));
    return mean;
  }

  /// One step of AdamW from the gradients of learn: clipped to norm 1, without decay of gains.
  tessera::training::gradient_report step(double rate) {
    const auto found = tessera::training::unscale(tessera::par, gradients(), gradients(), 1.0F);
    step_with(rate, tessera::training::clip_factor(found.norm(), 1));
    return found;
  }

  /// The text that follows `start`, character by character, drawn at a temperature. For a model of batch 1: of others all rows would be computed.
  std::string write(const characters& of, const std::string& start, std::int64_t length, float temperature, std::uint64_t seed) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(rows_));
    std::string text = start;
    matrix<float> logits(1, alphabet_);
    for (std::int64_t k = 0; k < length; ++k) {
      const auto have = static_cast<std::int64_t>(text.size());
      const std::int64_t seen = std::min(have, shape_.context);
      for (std::int64_t i = 0; i < seen; ++i) {
        ids[static_cast<std::size_t>(i)] =
            static_cast<std::int32_t>(of.alphabet.find(text[static_cast<std::size_t>(have - seen + i)]));
      }
      forward(ids.data());
      tessera::training::linear(tessera::par, tessera::view<const S, 2>(last_normed_.row(seen - 1), 1, shape_.width),
                                weight(head_), tessera::training::absent, logits.view());
      std::size_t best = 0;
      float highest = -INFINITY;
      for (std::size_t c = 0; c < of.alphabet.size(); ++c) {
        const float drawn =
            logits.row(0)[c] / temperature + tessera::random::gumbel<float>(seed, static_cast<std::uint64_t>(k), c);
        if (drawn > highest) highest = drawn, best = c;
      }
      text += of.alphabet[best];
    }
    return text;
  }

  /// All that a run goes on from: masters, moments and the number of steps.
  void save(const std::string& path) const {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&steps_), sizeof steps_);
    for (const parameter& p : parameters_) {
      for (const matrix<float>* m : {&p.master, &p.first, &p.second}) {
        file.write(reinterpret_cast<const char*>(m->row(0)),
                   m->rows() * m->columns() * static_cast<std::streamsize>(sizeof(float)));
      }
    }
    if (!file.flush()) throw std::runtime_error(path + ": cannot write");
  }
  void load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(&steps_), sizeof steps_);
    for (parameter& p : parameters_) {
      for (matrix<float>* m : {&p.master, &p.first, &p.second}) {
        file.read(reinterpret_cast<char*>(m->row(0)), m->rows() * m->columns() * static_cast<std::streamsize>(sizeof(float)));
      }
      p.copy = p.master.template as<S>();
    }
    if (!file || file.peek() != std::ifstream::traits_type::eof())
      throw std::runtime_error(path + ": not a checkpoint of this model");
  }
  /// Whether every master and moment has the same bits.
  [[nodiscard]] bool same_bits(const character_model& other) const {
    const auto same = [](const matrix<float>& a, const matrix<float>& b) {
      return std::equal(a.begin(), a.end(), b.begin(),
                        [](float x, float y) { return tessera::to_bits(x) == tessera::to_bits(y); });
    };
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const parameter& p = parameters_[i];
      const parameter& q = other.parameters_[i];
      if (!same(p.master, q.master) || !same(p.first, q.first) || !same(p.second, q.second)) return false;
    }
    return steps_ == other.steps_;
  }

 private:
  struct parameter {
    matrix<float> master, first, second;
    matrix<S> copy, gradient;
    bool decays;
  };
  struct layer {
    std::size_t gain[2], qkv, merge, widen, narrow;
    matrix<S> stream[2], normed[2], projected, mixed, before, hidden;
    matrix<float> inverse[2], lse;
  };

  std::size_t add_matrix(std::int64_t rows, std::int64_t columns, double spread) {
    parameter& p = parameters_.emplace_back();
    p.master = p.first = p.second = matrix<float>(rows, columns);
    std::uint64_t i = 0;
    for (float& w : p.master) w = static_cast<float>(spread) * tessera::random::normal<float>(seed_, parameters_.size(), i++);
    p.copy = p.master.template as<S>();
    p.gradient = matrix<S>(rows, columns);
    p.decays = true;
    return parameters_.size() - 1;
  }
  std::size_t add_gain(std::int64_t columns) {
    const std::size_t at = add_matrix(1, columns, 0);
    parameter& p = parameters_[at];
    std::fill(p.master.begin(), p.master.end(), 1.0F);
    p.copy = p.master.template as<S>();
    p.decays = false;
    return at;
  }

  tessera::view<const S, 2> weight(std::size_t i) const { return parameters_[i].copy.view(); }
  tessera::view<S, 2> gradient(std::size_t i) { return parameters_[i].gradient.view(); }
  tessera::view<const S, 1> gain(std::size_t i) const { return {parameters_[i].copy.row(0), {shape_.width}, {1}}; }
  tessera::view<S, 1> gain_gradient(std::size_t i) { return {parameters_[i].gradient.row(0), {shape_.width}, {1}}; }
  tessera::view<float, 1> row_of(matrix<float>& m) { return {m.row(0), {m.columns()}, {1}}; }
  tessera::view<const std::int32_t, 1> id_view(const std::int32_t* ids) const { return {ids, {rows_}, {1}}; }
  tessera::view<const std::int32_t, 1> target(const std::int32_t* next) const { return {next, {rows_}, {1}}; }
  tessera::view<float, 1> lse_row() { return row_of(lse_); }

  /// Rows of width numbers as [batch, heads, context, head_dim].
  template <class T>
  tessera::view<T, 4> heads_at(T* data, std::int64_t row) const {
    const std::int64_t dim = shape_.width / shape_.heads;
    return {data, {shape_.batch, shape_.heads, shape_.context, dim}, {shape_.context * row, dim, row, 1}};
  }
  template <class T>
  tessera::view<T, 4> heads(matrix<S>& m) const {
    return heads_at<T>(m.row(0), shape_.width);
  }
  /// Queries, keys or values of what was projected to all three.
  template <class T>
  tessera::view<T, 4> part(matrix<S>& m, std::int64_t which) const {
    return heads_at<T>(m.row(0) + which * shape_.width, 3 * shape_.width);
  }
  tessera::view<float, 3> lse_of(layer& at) const {
    return {at.lse.row(0), {shape_.batch, shape_.heads, shape_.context}, {shape_.heads * shape_.context, shape_.context, 1}};
  }
  [[nodiscard]] tessera::attention::options<> attention_options() const {
    return {.mask = tessera::attention::causal, .rotary = {.cos = cos_.view(), .sin = sin_.view()}};
  }

  void forward(const std::int32_t* ids) {
    using namespace tessera::training;
    using tessera::par;
    embedding(par, weight(table_), id_view(ids), layers_[0].stream[0].view());
    rms_norm(par, layers_[0].stream[0].view(), gain(layers_[0].gain[0]), layers_[0].normed[0].view(),
             row_of(layers_[0].inverse[0]));
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      layer& at = layers_[l];
      linear(par, at.normed[0].view(), weight(at.qkv), absent, at.projected.view());
      tessera::attention::forward(par, part<const S>(at.projected, 0), part<const S>(at.projected, 1),
                                  part<const S>(at.projected, 2), heads<S>(at.mixed), lse_of(at), attention_options());
      linear(par, at.mixed.view(), weight(at.merge), absent, branch_.view());
      add(at.stream[0], at.stream[1], gain(at.gain[1]), at.normed[1], at.inverse[1]);
      linear(par, at.normed[1].view(), weight(at.widen), absent, at.hidden.view(),
             linear_options{.activation = activation::gelu{}, .before_activation = at.before.view()});
      linear(par, at.hidden.view(), weight(at.narrow), absent, branch_.view());
      if (l + 1 < layers_.size()) {
        layer& next = layers_[l + 1];
        add(at.stream[1], next.stream[0], gain(next.gain[0]), next.normed[0], next.inverse[0]);
      } else {
        add(at.stream[1], last_stream_, gain(last_gain_), last_normed_, last_inverse_);
      }
    }
  }
  /// to = from + branch, and its norm: the streams before are what backward needs.
  void add(const matrix<S>& from, matrix<S>& to, const tessera::view<const S, 1>& gain, matrix<S>& normed,
           matrix<float>& inverse) {
    tessera::convert(tessera::par, from.view(), to.view());
    tessera::training::add_rms_norm(tessera::par, to.view(), branch_.view(), gain, normed.view(), row_of(inverse));
  }
  float finish(const std::int32_t* next) {
    float mean = 0;
    tessera::training::linear_cross_entropy(tessera::par, last_normed_.view(), weight(head_), target(next),
                                            tessera::view<float, 1>(&mean, 1), lse_row());
    return mean;
  }

  std::vector<tessera::view<S, 1>> gradients() {
    std::vector<tessera::view<S, 1>> result;
    for (parameter& p : parameters_) result.emplace_back(p.gradient.row(0), p.gradient.rows() * p.gradient.columns());
    return result;
  }
  void step_with(double rate, double factor) {
    using tessera::view;
    ++steps_;
    for (const bool decays : {true, false}) {
      std::vector<view<S, 1>> gradients;
      std::vector<view<float, 1>> first;
      std::vector<view<float, 1>> second;
      std::vector<std::conditional_t<std::is_same_v<S, float>, view<float, 1>, kept>> weights;
      for (parameter& p : parameters_) {
        if (p.decays != decays) continue;
        const std::int64_t n = p.master.rows() * p.master.columns();
        gradients.emplace_back(p.gradient.row(0), n);
        first.emplace_back(p.first.row(0), n);
        second.emplace_back(p.second.row(0), n);
        if constexpr (std::is_same_v<S, float>) {
          weights.emplace_back(p.copy.row(0), n);
        } else {
          weights.push_back({view<float, 1>(p.master.row(0), n), view<S, 1>(p.copy.row(0), n)});
        }
      }
      tessera::training::adamw(tessera::par, weights, gradients, first, second, steps_,
                               {.rate = rate, .beta2 = 0.99, .weight_decay = decays ? 0.1 : 0, .gradient_factor = factor});
    }
    if constexpr (std::is_same_v<S, float>) {
      for (parameter& p : parameters_) p.master = p.copy;
    }
  }
  using kept = tessera::training::master_weights<std::conditional_t<std::is_same_v<S, float>, tessera::bfloat16, S>>;

  character_model_shape shape_;
  std::int64_t alphabet_;
  std::uint64_t seed_;
  std::int64_t rows_;
  std::int64_t steps_ = 0;
  std::vector<parameter> parameters_;
  std::vector<layer> layers_;
  std::size_t table_ = 0, last_gain_ = 0, head_ = 0;
  matrix<S> last_stream_, last_normed_, branch_, slope_, slope_normed_, slope_mixed_, slope_projected_, slope_hidden_;
  matrix<float> last_inverse_, lse_, cos_, sin_;
};

/// Pieces of a text at random places, addressed by (seed, step): ids, and those one character later.
struct text_batch {
  std::vector<std::int32_t> ids, next;

  text_batch(const std::vector<std::int32_t>& text, std::int64_t first, std::int64_t last, const character_model_shape& shape,
             std::uint64_t seed, std::int64_t step) {
    for (std::int64_t b = 0; b < shape.batch; ++b) {
      const std::int64_t at = tessera::random::uniform_int<std::int64_t>(
          first, last - shape.context, seed, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(b));
      ids.insert(ids.end(), text.begin() + at, text.begin() + at + shape.context);
      next.insert(next.end(), text.begin() + at + 1, text.begin() + at + shape.context + 1);
    }
  }
};

}  // namespace example
