// Writes the seeds, a file each, into a folder: what a fuzzer begins with.   write_seeds FOLDER
#include <filesystem>
#include <fstream>
#include <string>

#include "decode_seeds.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const auto& seed : taut::fuzz::kSeeds) {
    const auto made = taut::fuzz::make(seed);
    const auto input = taut::fuzz::make_input(0, taut::fuzz::table_of(seed, made), made.schema, made.message);
    std::ofstream file(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
    file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    if (!file) return 1;
  }
  return 0;
}
