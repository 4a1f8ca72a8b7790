// What measurements need: their arguments, a processor, a child, a median, a row.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

inline void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) std::perror("sched_setaffinity"), std::exit(1);
}

// As many descriptors as this user may have: links hold four each.
inline void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// A child of this process that says when it is ready; ended by SIGTERM when it goes out of scope.
class Child {
 public:
  // `body` runs in the child, calls `ready`, and returns its exit code.
  explicit Child(const std::function<int(const std::function<void()>& ready)>& body) {
    int ends[2];
    if (pipe(ends) != 0) std::perror("pipe"), std::exit(1);
    pid_ = fork();
    if (pid_ < 0) std::perror("fork"), std::exit(1);
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(ends[0]);
      _exit(body([&] { (void)!write(ends[1], "r", 1); }));
    }
    close(ends[1]);
    char byte;
    const bool ready = read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    if (!ready) std::fprintf(stderr, "a child did not get ready\n"), std::exit(1);
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGTERM);  // a server removes its name then
    waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};

// What every measurement can be told.
struct Arguments {
  int pairs;
  int rounds;
  int cpu_client = 0;
  int cpu_server = 1;

  // Ends the program at what it does not know.
  void read(int argc, char** argv) {
    for (int i = 1; i < argc; i += 2) {
      const std::string_view name = argv[i];
      const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
      if (value != nullptr && name == "--pairs") {
        pairs = std::atoi(value);
      } else if (value != nullptr && name == "--rounds") {
        rounds = std::atoi(value);
      } else if (value == nullptr || name != "--cpus" || std::sscanf(value, "%d,%d", &cpu_client, &cpu_server) != 2) {
        std::fprintf(stderr, "%s: expected --pairs N, --rounds N, --cpus A,B; not %s\n", argv[0], argv[i]),
            std::exit(2);
      }
    }
  }
};

inline double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(q * static_cast<double>(values.size())))];
}
inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

// One figure over pairs of processes: its median, and the least and the most.
inline void print_row(const char* name, const std::vector<double>& values, const char* unit) {
  std::printf("%-46s %9.2f   %.2f..%.2f %s\n", name, median(values), quantile(values, 0), quantile(values, 1), unit);
}
inline void print_head(const Arguments& arguments) {
  std::printf("%d fresh pairs of processes, %d rounds each, cpus %d and %d\n", arguments.pairs, arguments.rounds,
              arguments.cpu_client, arguments.cpu_server);
  std::printf("%-46s %9s   %s\n", "", "median", "min..max over pairs");
}

}  // namespace bench
