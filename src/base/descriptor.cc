#include "base/descriptor.h"

#include <unistd.h>

namespace qw {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace qw
