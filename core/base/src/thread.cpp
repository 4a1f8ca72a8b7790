#include "taut/base/thread.h"

#include <pthread.h>
#include <unistd.h>

namespace taut {

std::string describe_this_thread() {
  char name[16] = "";
  pthread_getname_np(pthread_self(), name, sizeof name);
  return std::to_string(gettid()) + " '" + name + "'";
}

}  // namespace taut
