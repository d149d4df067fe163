// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The main function of the test program of this room, for each rank: rank 0 alone writes the report.
#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_ALTERNATIVE_INIT_API
#include <mpi.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <vector>

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  std::vector<char*> arguments;
  for (int a = 0; a < argc; ++a) {
    if (rank == 0 || std::strncmp(argv[a], "--report_", 9) != 0) arguments.push_back(argv[a]);
  }
  arguments.push_back(nullptr);
  const int status =
      boost::unit_test::unit_test_main([] { return true; }, static_cast<int>(arguments.size()) - 1, arguments.data());
  // A rank that failed may have left messages under way: the others must not wait for it in MPI_Finalize.
  if (status != 0) MPI_Abort(MPI_COMM_WORLD, status);
  MPI_Finalize();
  return status;
}
