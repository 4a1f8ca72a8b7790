// Works out A + B, A - B, A * B and A / B.   calculator_client [URL [A B]]
#include <cstdio>
#include <cstdlib>

#include "calculator.taut.h"
#include "taut/taut.h"

int main(int argc, char** argv) {
  const double a = argc > 3 ? std::atof(argv[2]) : 6;
  const double b = argc > 3 ? std::atof(argv[3]) : 7;
  auto link = taut::connect(argc > 1 ? argv[1] : "shm://calculator");
  if (!link) return taut::report(link.error());
  calculator::Calculator::Client calculator{*link};

  // Sent at once, without waiting for each other. No callback runs inside the wait below: they run in the next poll().
  const auto print = [a, b](char sign) {
    return [=](const taut::Answer<calculator::Result>& result) {
      if (result) std::printf("%g %c %g = %g\n", a, sign, b, result->value());
    };
  };
  calculator.Add({.a = a, .b = b}).then(print('+'));
  calculator.Subtract({.a = a, .b = b}).then(print('-'));
  calculator.Multiply({.a = a, .b = b}).then(print('*'));

  auto quotient = calculator.Divide({.a = a, .b = b}, taut::wait);
  link->poll();
  if (!quotient) return taut::report(quotient.status());
  std::printf("%g / %g = %g\n", a, b, quotient->value());
}
