#include "call.h"
#include "newer.h"

int main() { return newer_says() == 77 ? call() : 2; }
