// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Every header, in the first of two translation units that are linked: a definition that is not inline fails the link.
#include "all_headers.hpp"

int main() {}
