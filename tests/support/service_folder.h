// A TAUT_DIR of the test's own, gone with it.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace taut::testing {

class ServiceFolder {
 public:
  ServiceFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "taut-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());  // mode 0700
    setenv("TAUT_DIR", path_.c_str(), 1);
  }
  ~ServiceFolder() {
    std::error_code ignored;
    if (getpid() == process_) std::filesystem::remove_all(path_, ignored);
  }
  ServiceFolder(const ServiceFolder&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  pid_t process_ = getpid();
};

}  // namespace taut::testing
