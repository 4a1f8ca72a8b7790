// Bytes between two threads without a schema: what docs/untyped.md shows. No header of FlatBuffers is read.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

#include "taut/raw.h"
#include "taut/taut.h"

#ifdef FLATBUFFERS_VERSION_MAJOR
#error "taut/raw.h needs no FlatBuffers"
#endif

class Recorder final : public taut::raw::Service {
 public:
  static constexpr std::uint16_t kStore = 1;
  Recorder() : Service("acme.Recorder", {{.name = "Store", .id = kStore, .reply_bound = 8}}) {}

  // Keeps nothing but the size, and answers how much there is by now.
  void call(std::uint16_t, taut::raw::Bytes request, taut::raw::Reply reply) override {
    stored_ += request.size();
    reply.answer(std::as_bytes(std::span(&stored_, 1)));
  }

 private:
  std::uint64_t stored_ = 0;
};

int store(const std::string& url) {
  auto link = taut::connect(url);
  if (!link) return taut::report(link.error());
  taut::raw::Client recorder{*link, "acme.Recorder"};
  for (const std::string text : {"one", "two", "three"}) {
    const auto answer = recorder.wait(Recorder::kStore, std::as_bytes(std::span(text)));
    if (!answer) return taut::report(answer.status());
    std::uint64_t stored;
    if (answer.bytes().size() != sizeof stored) return 1;  // nobody has looked into it
    std::memcpy(&stored, answer.bytes().data(), sizeof stored);
    std::printf("%llu bytes\n", static_cast<unsigned long long>(stored));
    if (text == "three" && stored != 11) return 1;
  }
  return recorder.wait(7, {}).status().why() == taut::Why::unknown_method ? 0 : 1;
}

int main() {
  const std::string url = "shm://untyped-" + std::to_string(getpid());
  Recorder recorder;
  taut::Dispatcher loop;
  auto listener = loop.serve(url, recorder);
  if (!listener) return taut::report(listener.error());
  int result = 1;
  std::thread client([&] {
    result = store(url);
    loop.stop();
  });
  loop.run();
  client.join();
  return result;
}
