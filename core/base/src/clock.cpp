#include "taut/base/clock.h"

#include <ctime>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace taut {
namespace {

#if defined(__x86_64__)
// CPUID 8000_0007h EDX bit 8: the counter runs at one rate in every power state (AMD APM vol. 3, Intel SDM vol. 2A).
bool tsc_is_invariant() noexcept {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) != 0 && (edx & (1u << 8)) != 0;
}

// Both counters at one moment: of a few readings the one that nothing came between.
struct Moment {
  explicit Moment(Ticks (*monotonic)() noexcept) noexcept {
    Ticks least = ~Ticks{0};
    for (int i = 0; i < 8; ++i) {
      const Ticks before = __rdtsc();
      const Ticks read = monotonic();
      const Ticks took = __rdtsc() - before;
      if (took >= least) continue;
      least = took;
      ns = read;
      tsc = before + took / 2;
    }
  }
  Ticks ns = 0, tsc = 0;
};

// Clients should not wait long for a clock: both ends are known within some 10 ns, so the rate is right within 1 in
// 10,000.
double measure_tsc_ticks_per_ns(Ticks (*monotonic)() noexcept) noexcept {
  constexpr Ticks kWindowNs = 200'000;
  const Moment begin(monotonic);
  while (monotonic() - begin.ns < kWindowNs) {
  }
  const Moment end(monotonic);
  return static_cast<double>(end.tsc - begin.tsc) / static_cast<double>(end.ns - begin.ns);
}
#endif

}  // namespace

Ticks Clock::monotonic_now() noexcept {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Ticks>(time.tv_sec) * 1'000'000'000 + static_cast<Ticks>(time.tv_nsec);
}

Clock Clock::system() noexcept {
#if defined(__x86_64__)
  if (tsc_is_invariant()) {
    // A property of the machine: measured once a process, not with each link.
    static const double ticks_per_ns = measure_tsc_ticks_per_ns(&monotonic_now);
    return {ClockSource::tsc, ticks_per_ns, nullptr};
  }
#endif
  return monotonic();
}

Clock Clock::monotonic() noexcept { return {ClockSource::monotonic, 1.0, nullptr}; }
Clock Clock::manual(const Ticks* ticks) noexcept { return {ClockSource::manual, 1.0, ticks}; }

}  // namespace taut
