#include "apps/program.h"

int main(int argc, char** argv) {
  return qw::apps::program_main(argc, argv);
}
