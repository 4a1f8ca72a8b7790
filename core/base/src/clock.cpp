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

// A millisecond of both counters: clock_gettime costs some 25 ns, so the rate is right within 1 in 20,000.
double measure_tsc_ticks_per_ns(Ticks (*monotonic)() noexcept) noexcept {
  constexpr Ticks kWindowNs = 1'000'000;
  const Ticks ns_begin = monotonic();
  const Ticks tsc_begin = __rdtsc();
  Ticks ns_end = ns_begin;
  while (ns_end - ns_begin < kWindowNs) ns_end = monotonic();
  return static_cast<double>(__rdtsc() - tsc_begin) / static_cast<double>(ns_end - ns_begin);
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
  if (tsc_is_invariant()) return {ClockSource::tsc, measure_tsc_ticks_per_ns(&monotonic_now), nullptr};
#endif
  return monotonic();
}

Clock Clock::monotonic() noexcept { return {ClockSource::monotonic, 1.0, nullptr}; }
Clock Clock::manual(const Ticks* ticks) noexcept { return {ClockSource::manual, 1.0, ticks}; }

}  // namespace taut
