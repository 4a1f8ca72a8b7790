#pragma once

// What the part of the program that has a FlatBuffers of its own finds out with it: 77.
int newer_says();
