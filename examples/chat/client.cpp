// Says the lines of stdin in a room and prints what is said there.   chat_client [URL [ROOM [NAME]]]
#include <cstdio>
#include <string>

#include "chat.taut.h"
#include "lines.h"
#include "taut/taut.h"

namespace {

void print(const chat::Heard& heard) {
  const auto number = static_cast<unsigned long long>(heard.number());
  const char* const name = heard.name()->c_str();
  switch (heard.what()) {
    case chat::What::joined:
      std::printf("%llu %s joined\n", number, name);
      break;
    case chat::What::left:
      std::printf("%llu %s left\n", number, name);
      break;
    default:
      std::printf("%llu %s: %s\n", number, name, heard.text() != nullptr ? heard.text()->c_str() : "");
  }
  std::fflush(stdout);
}

// One line at a time: the next one is read when this one has gone.
class Talker {
 public:
  Talker(taut::Dispatcher& loop, taut::Duplex<chat::Line, chat::Heard>& talk)
      : talk_(talk),
        lines_(
            loop, [this](std::string line) { say(std::move(line)); }, [this] { talk_.close(); }) {}

 private:
  void say(std::string line) {
    const taut::Sent sent = talk_.send({.text = std::string_view(line)});
    if (sent == taut::Sent::no_credit || sent == taut::Sent::ring_full) {
      talk_.on_ready([this, line = std::move(line)]() mutable { say(std::move(line)); });
      return;
    }
    if (sent == taut::Sent::too_big) std::fputs("a line has 400 bytes at most\n", stderr);
    if (sent != taut::Sent::over) lines_.next();
  }

  taut::Duplex<chat::Line, chat::Heard>& talk_;
  chat_rooms::Lines lines_;
};

}  // namespace

int main(int argc, char** argv) {
  taut::Dispatcher loop;
  auto link = loop.connect<chat::Chat>(argc > 1 ? argv[1] : "shm://chat");
  if (!link) return taut::report(link.error());
  chat::Chat::Client client{*link};

  taut::Status ended;
  auto talk = client.Talk();
  talk.each(print);
  talk.then([&](const taut::Status& status) {
    ended = status;
    loop.stop();
  });
  // A stream that was just opened has credit for its first lines.
  if (!talk.send({.name = argc > 3 ? argv[3] : "somebody", .room = argc > 2 ? argv[2] : "lobby"})) talk.cancel();
  const Talker talker(loop, talk);
  loop.run();
  return ended.ok() ? 0 : taut::report(ended);
}
