// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The one exception type of host calls, and the one place it is thrown from.
#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>

#include "tessera/core/config.hpp"

#if !TESSERA_EXCEPTIONS && !defined(TESSERA_ERROR_HANDLER)
#include <cstdlib>
/// Called with the error's text where exceptions are off; must not return. Define it before the first include to replace it.
#define TESSERA_ERROR_HANDLER(text) (std::fprintf(stderr, "%s\n", (text)), std::abort())
#endif

namespace tessera {

/// An argument is not what the function needs. The text reads `function: argument: what it got; what it needs`.
///
/// Thrown before any output is touched. Under -fno-exceptions TESSERA_ERROR_HANDLER gets the same text.
class argument_error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

namespace detail {

[[noreturn]] TESSERA_NOINLINE inline void fail(const char* function, const char* argument, const std::string& got,
                                               const char* needs) {
  const std::string text = std::string(function) + ": " + argument + ": " + got + "; " + needs;
#if TESSERA_EXCEPTIONS
  throw argument_error(text);
#else
  TESSERA_ERROR_HANDLER(text.c_str());
#endif
}

/// `got` is a callable so that no text is built while all is well.
template <class Got>
TESSERA_ALWAYS_INLINE void expects(bool holds, const char* function, const char* argument, Got got, const char* needs) {
  if (!holds) [[unlikely]] {
    fail(function, argument, got(), needs);
  }
}

/// A number as the text of an error shows it; std::to_string would print 1e-9 as 0.000000.
TESSERA_ALWAYS_INLINE std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", x);
  return text;
}

}  // namespace detail
}  // namespace tessera
