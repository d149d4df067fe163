// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Lists of arrays of different sizes: the parameters of a model, its gradients.
#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {
namespace detail {

/// The elements of a list of one-dimensional views.
template <class Range>
using tensor_element = typename std::ranges::range_value_t<Range>::element_type;

/// The name of one tensor of a list, in the text of errors.
TESSERA_ALWAYS_INLINE std::string tensor_name(const char* argument, std::size_t t) {
  return std::string(argument) + "[" + std::to_string(t) + "]";
}

/// Refuses tensors that are null, not contiguous, or not as many and as large as those of `like`. No text is made while all is well.
template <class T, class Like>
TESSERA_ALWAYS_INLINE void check_tensors(std::span<const view<T, 1>> tensors, std::span<const view<Like, 1>> like,
                                         const char* function, const char* argument, const char* other) {
  expects(
      tensors.size() == like.size(), function, argument, [&] { return std::to_string(tensors.size()) + " tensors"; },
      ("needs as many as " + std::string(other) + ", " + std::to_string(like.size())).c_str());
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const auto& v = tensors[t];
    const bool sound = v.size() == like[t].size() && v.size() >= 0 && (v.size() <= 1 || v.stride(0) == 1) &&
                       (v.data_handle() != nullptr || v.size() == 0);
    if (sound) continue;
    const std::string name = tensor_name(argument, t);
    check_operand(v, function, name.c_str());
    expects(
        v.size() == like[t].size(), function, name.c_str(), [&] { return std::to_string(v.size()) + " elements"; },
        ("needs as many as " + tensor_name(other, t) + ", " + std::to_string(like[t].size())).c_str());
  }
}

}  // namespace detail

/// A list of one-dimensional tessera::views, one behind the other in memory: a std::vector or a std::span of them.
template <class Range>
concept tensor_list = std::ranges::contiguous_range<const Range> && std::ranges::sized_range<const Range> &&
                      std::same_as<std::ranges::range_value_t<Range>, view<detail::tensor_element<Range>, 1>>;

}  // namespace tessera
