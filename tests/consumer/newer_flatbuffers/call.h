#pragma once

// What a call over taut answers: 0 when the greeting is the expected one.
extern "C" int call();
