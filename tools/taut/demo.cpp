#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>

#include "commands.h"
#include "demo_parts.h"
#include "say.h"

namespace taut::tool {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Where the demo's service lives, so that it meets nobody else's.
class PrivateDirectory {
 public:
  PrivateDirectory() {
    std::error_code ignored;
    std::string pattern = (std::filesystem::temp_directory_path(ignored) / "taut-demo-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;  // mode 0700
  }
  ~PrivateDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  PrivateDirectory(const PrivateDirectory&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

std::vector<int> usable_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

pid_t start(int (*body)(DemoShared&, int), DemoShared& shared, int cpu, const sigset_t& signals) {
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kOther);
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  _exit(body(shared, cpu));  // what the parent holds is the parent's to let go
}

struct Outcome {
  bool timed_out = false;
  int signal = 0;   // that this process got
  int server = -1;  // exit codes; 128 and the signal
  int client = -1;
};

int exit_code(int status) noexcept { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// Until both have ended. When one fails, the other is ended: it would wait for ever.
Outcome wait_for(pid_t server, pid_t client, const sigset_t& awaited, SteadyClock::time_point give_up) {
  Outcome outcome;
  int left = 2;
  const auto end_both = [&] {
    if (outcome.server < 0) kill(server, SIGKILL);
    if (outcome.client < 0) kill(client, SIGKILL);
  };
  bool ended = false;
  while (left > 0) {
    int status = 0;
    if (const pid_t who = waitpid(-1, &status, WNOHANG); who > 0) {
      if (who != server && who != client) continue;
      (who == server ? outcome.server : outcome.client) = exit_code(status);
      --left;
      if (exit_code(status) != 0 && !ended) end_both();
      continue;
    } else if (who < 0 && errno != EINTR) {
      break;
    }
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(give_up - SteadyClock::now());
    if (patience.count() <= 0 && !ended) {
      outcome.timed_out = ended = true;
      end_both();
    }
    const auto ms = std::max<std::int64_t>(patience.count(), 100);
    const timespec longest{ms / 1000, ms % 1000 * 1'000'000};
    const int signal = sigtimedwait(&awaited, nullptr, &longest);
    if ((signal == SIGINT || signal == SIGTERM) && !ended) {
      outcome.signal = signal;
      ended = true;
      end_both();
    }
  }
  return outcome;
}

void print_results(const DemoResults& results) {
  fmt::print("request  {}\n", results.request);
  fmt::print("reply    {}\n\n", results.reply);
  fmt::print("{} calls between two processes, {} errors; every reply was computed from all fields and checked\n\n",
             results.calls, results.errors);
  fmt::print("ns a round trip   p50     p99   p99.9       max\n");
  fmt::print("floor          {:6.1f}                             one cache line each way; means of {}\n",
             results.floor_ns.p50, kBatch);
  fmt::print("call           {:6.1f}  {:6.0f}  {:6.0f}  {:8.0f}   p50 of means of {}; the others of single calls\n",
             results.call_ns.p50, results.call_p99_ns, results.call_p999_ns, results.call_max_ns, kBatch);
  fmt::print("ratio          {:6.2f}  call / floor, median of {} rounds; {:.2f} to {:.2f} for 8 of 10\n\n",
             results.ratio.p50, results.rounds, results.ratio.p10, results.ratio.p90);
  fmt::print("The counter steps by {:.0f} ns: single stamps are no finer.\n", results.counter_step_ns);
}

void print_json(const DemoResults& results) {
  fmt::print(
      "{{\"schema\":\"taut.demo/1\",\"calls\":{},\"errors\":{},\"floor_ns\":{{\"p50\":{:.1f}}},"
      "\"call_ns\":{{\"p50\":{:.1f},\"p99\":{:.1f},\"p999\":{:.1f}}},\"ratio_p50\":{:.3f},"
      "\"rounds\":{},\"counter_step_ns\":{:.1f}}}\n",
      results.calls, results.errors, results.floor_ns.p50, results.call_ns.p50, results.call_p99_ns,
      results.call_p999_ns, results.ratio.p50, results.rounds, results.counter_step_ns);
}

int explain(const Outcome& outcome, const DemoResults& results) {
  if (outcome.signal != 0) return fail(128 + outcome.signal, "interrupted");
  if (outcome.timed_out)
    return fail(kTimeout, "the demo made no end in time; both processes were ended. Is the machine very busy?");
  if (outcome.server != 0 || outcome.client != 0 || !results.done) {
    return fail(kOther, "a process of the demo failed: server {}, client {} (exit codes; 137: ended by this process)",
                outcome.server, outcome.client);
  }
  return fail(kCheckFailed, "{} of {} calls failed; the first: {}", results.errors, results.calls, results.first_error);
}

}  // namespace

void pin_to(int cpu) noexcept {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

int demo(const DemoOptions& options) {
  const std::vector<int> usable = usable_cpus();
  std::vector<int> cpus = options.cpus;
  for (const int cpu : cpus) {
    if (std::find(usable.begin(), usable.end(), cpu) == usable.end())
      return fail(kUsage, "--cpu: this process may not use CPU {}", cpu);
  }
  if (cpus.size() == 2 && cpus[0] == cpus[1]) return fail(kUsage, "--cpu: name two different CPUs");
  if (cpus.empty() && usable.size() >= 2) cpus = {usable[0], usable[1]};
  const bool alone = cpus.empty();

  void* memory = mmap(nullptr, sizeof(DemoShared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail(kOther, "no memory for the demo: {}", std::strerror(errno));
  auto& shared = *new (memory) DemoShared{};
  shared.calls = options.calls;
  shared.yields = alone;

  const PrivateDirectory directory;
  if (directory.path().empty()) return fail(kOther, "no temporary directory could be made; set TMPDIR");
  setenv("TAUT_DIR", directory.path().c_str(), 1);

  constexpr std::uint64_t kAloneMax = 1000;
  if (alone && shared.calls > kAloneMax) {
    shared.calls = kAloneMax;
    fmt::print(stderr,
               "note: there is one CPU only, which the two sides must share: {} calls, and the times say nothing\n",
               kAloneMax);
  }
  if (!options.json) {
    fmt::print("taut demo: {} orders from a client on {} to a server on {}, through shared memory\n\n", shared.calls,
               alone ? "the only CPU" : fmt::format("CPU {}", cpus[0]),
               alone ? "the same" : fmt::format("CPU {}", cpus[1]));
  }

  // Blocked, so that wait_for() takes them one by one; the children get them back.
  sigset_t awaited, before;
  sigemptyset(&awaited);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM}) sigaddset(&awaited, signal);
  sigprocmask(SIG_BLOCK, &awaited, &before);
  // 100 us a call is far more than a call takes on a machine that is not stopped.
  const auto give_up =
      SteadyClock::now() + std::chrono::seconds(60) + std::chrono::microseconds(shared.calls * (alone ? 100'000 : 100));
  const pid_t server = start(demo_server, shared, alone ? -1 : cpus[1], before);
  const pid_t client = server > 0 ? start(demo_client, shared, alone ? -1 : cpus[0], before) : -1;
  if (client < 0) {
    const int refused = errno;
    if (server > 0) kill(server, SIGKILL);
    return fail(kOther, "a process cannot be started: {}", std::strerror(refused));
  }
  const Outcome outcome = wait_for(server, client, awaited, give_up);
  sigprocmask(SIG_SETMASK, &before, nullptr);

  const DemoResults& results = shared.results;
  const bool finished = results.done && outcome.server == 0 && outcome.client == 0;
  if (finished) options.json ? print_json(results) : print_results(results);
  if (!finished || results.errors != 0) return explain(outcome, results);
  if (!options.json) fmt::print("demo ok\n");
  return kFine;
}

}  // namespace taut::tool
