// A peer that shakes hands and then does whatever it may: any value in any word of its segment and its board, records
// that are nearly right, rings without end, answers that are never read, packets and descriptors of all kinds, bytes
// that change while the other side reads them. One connection after another, until the test has seen enough.
//
// Threads  one, and with `flips` a second one that changes bytes.
#pragma once

#include <poll.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "shm/caught.h"
#include "shm/hostile_client.h"
#include "support/seed.h"

namespace taut::testing {

// What all hostile processes of a test did, in memory that they share with it.
struct Deeds {
  std::atomic<std::uint64_t> messages;  // records and lies that the server could see
  std::atomic<std::uint64_t> links;     // handshakes that made one
  std::atomic<std::uint64_t> refusals;  // handshakes that made none
};

struct HostileOptions {
  std::string directory, service;
  // May it change what was committed, and write anywhere? Not where the server reads in place, which is for peers that
  // may err and do not attack (docs/threat-model.md).
  bool flips;
  std::uint64_t messages_max;                          // of all processes
  std::vector<std::vector<std::byte>> valid_payloads;  // to be spoiled
};

class HostilePeer {
 public:
  HostilePeer(HostileOptions options, Deeds& deeds, std::uint64_t stream)
      : options_(std::move(options)), deeds_(deeds), random_(stream) {}

  void run() {
    while (deeds_.messages < options_.messages_max) {
      shm::testing::HostileClient client(options_.directory, options_.service);
      if (client.connected()) visit(client);
    }
  }

 private:
  using Client = shm::testing::HostileClient;
  using Caught = shm::testing::Caught;
  static constexpr auto kNormal = ring::Lane::normal, kUrgent = ring::Lane::urgent;

  void visit(Client& client) {
    Caught welcome;
    say_hello(client);
    if (!hear(client, welcome) || welcome.bytes.size() != sizeof(shm::Welcome)) {
      ++deeds_.refusals;
      return;
    }
    auto confirm = shm::make_message<shm::Confirm>();
    confirm.link = welcome.as<shm::Welcome>().link;
    confirm.clock = ClockSource::monotonic;
    if (random_.one_in(20)) spoil(&confirm, sizeof confirm);
    const auto& said = welcome.as<shm::Welcome>();
    client.segment.begin(said.link, said.first_of_client, said.first_of_server);
    (void)client.try_send_bytes(std::as_bytes(std::span(&confirm, 1)));
    ++deeds_.links;
    auto server = shm::PeerLinkSegment::open(std::move(welcome.descriptors[0]), said.offer.segment_bytes,
                                             said.offer.ring_bytes, "the server's segment");
    if (server) speak(client, *server, said);
  }

  void say_hello(Client& client) {
    const int null = 0;
    std::vector<int> fds{client.segment.fd(), client.board.fd()};
    if (random_.one_in(10)) spoil(&client.hello, sizeof client.hello);
    memory::Descriptor other;
    switch (random_.below(40)) {
      case 0:
        fds.clear();
        break;
      case 1:
        std::swap(fds[0], fds[1]);
        break;
      case 2:
        fds.assign(1 + random_.below(200), client.segment.fd());
        break;
      case 3:
        fds[random_.below(2)] = null;
        break;
      case 4:  // sparse, and sealed or not
        other = memory::Descriptor(memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        (void)!ftruncate(other.get(), static_cast<off_t>(client.segment.bytes()));
        fcntl(other.get(), F_ADD_SEALS, static_cast<int>(random_.below(32)));
        fds[0] = other.get();
        break;
      default:
        break;
    }
    (void)client.try_send_bytes(std::as_bytes(std::span(&client.hello, 1)), fds);
  }

  // Waits for a packet; false when the server closed, or is too slow for somebody so rude.
  static bool hear(Client& client, Caught& caught) {
    pollfd entry{client.fd(), POLLIN, 0};
    return ::poll(&entry, 1, 2000) == 1 && shm::testing::catch_packet(client.fd(), caught);
  }

  void speak(Client& client, const shm::PeerLinkSegment& server, const shm::Welcome& said) {
    std::atomic<bool> over{false};
    std::thread flipper;
    if (options_.flips && random_.one_in(2)) flipper = std::thread([&] { flip(client, over, random_.word()); });
    const ring::LaneMemory lane{client.segment.ring(kNormal), server.ring(kNormal), client.segment.words(kNormal),
                                server.words(kNormal)};
    Out out(lane.writer(), {client.hello.offer.ring_bytes[0], said.first_of_client[0]});
    In in(lane.reader(), {said.offer.ring_bytes[0], said.first_of_server[0]});
    const bool reads = !random_.one_in(8);  // the others fill the ring and never read
    const std::uint64_t rudeness = random_.one_in(4) ? 20 : 2000;
    for (std::uint64_t left = 100 + random_.below(8000); left != 0 && server_listens(client); --left) {
      if (random_.one_in(rudeness)) {
        lie(client, out);
      } else if (!send_record(out)) {
        sched_yield();
      }
      while (const ring::Record record = in.next()) {
        if (reads) in.release(record.end);
      }
      in.idle();
    }
    over = true;
    if (flipper.joinable()) flipper.join();
  }

  using Out = ring::Writer<ring::NativeWriterMemory>;
  using In = ring::Reader<ring::NativeReaderMemory>;

  // A packet that is no bell is the server's goodbye to a peer that broke the rules.
  static bool server_listens(Client& client) {
    std::byte packet[64];
    const ssize_t got = recv(client.fd(), packet, sizeof packet, MSG_DONTWAIT);
    return got == 1 || (got < 0 && errno == EAGAIN);
  }

  // A request with a right header and a payload that is right, nearly right, or noise.
  bool send_record(Out& out) {
    const auto& payload = options_.valid_payloads[random_.below(options_.valid_payloads.size())];
    const auto bytes = static_cast<ring::u32>(sizeof(ring::RequestHeader) + payload.size());
    const ring::Claim claim = out.claim(bytes);
    if (!claim) return false;
    std::byte* record = out.memory().bytes(claim.at);
    ring::RequestHeader header{};
    header.call = random_.word();
    std::memcpy(record + 8, reinterpret_cast<const std::byte*>(&header) + 8, sizeof header - 8);
    std::memcpy(record + sizeof header, payload.data(), payload.size());
    for (std::uint64_t changes = random_.below(4); changes != 0; --changes)
      record[sizeof header + random_.below(payload.size())] = static_cast<std::byte>(random_.word());
    const auto method = static_cast<ring::u16>(random_.below(kMethods));
    out.send(claim, ring::Head::make(bytes, ring::Kind::request, 0, method));
    ++deeds_.messages;
    return true;
  }

  void lie(Client& client, Out& out) {
    ++deeds_.messages;
    shm::LinkSegment& own = client.segment;
    const ring::Lane lane = random_.one_in(4) ? kUrgent : kNormal;
    ring::LaneWords& words = *own.words(lane);
    switch (random_.below(options_.flips ? 10 : 8)) {
      case 0:  // a head of any kind and size, where the server looks next
        return store_head(out, random_.word());
      case 1: {  // one that is nearly right
        const auto kind = static_cast<ring::Kind>(random_.below(16) | (random_.one_in(8) ? 0x80 : 0));
        return store_head(out, ring::Head::make(static_cast<ring::u32>(random_.below(20'000)), kind,
                                                static_cast<ring::u8>(random_.word()),
                                                static_cast<ring::u16>(random_.below(kMethods + 2)))
                                   .word);
      }
      case 2:
        return words.released.store(any_position(words.released), std::memory_order_release);
      case 3:
        return words.touched.store(any_position(words.touched), std::memory_order_release);
      case 4:
        words.taken.call.store(random_.word(), std::memory_order_release);
        return words.taken.position.store(random_.word(), std::memory_order_release);
      case 5:
        return client.board.state().store(random_.word(), std::memory_order_release);
      case 6: {  // on the socket, where only bells and a goodbye should come
        std::byte junk[300];
        for (std::byte& byte : junk) byte = static_cast<std::byte>(random_.word());
        std::vector<int> fds(random_.one_in(4) ? random_.below(100) : 0, client.fd());
        return void(client.try_send_bytes(std::span(junk).first(1 + random_.below(sizeof junk)), fds));
      }
      case 7:  // bells
        for (std::uint64_t left = random_.below(100); left != 0; --left)
          (void)client.try_send_bytes(std::as_bytes(std::span("b", 1)));
        return;
      case 8:  // a ring without end
        for (ring::u32 at = 0; at < client.hello.offer.ring_bytes[0] && at < 65536; at += ring::kStep) {
          const auto kind = random_.one_in(50) ? ring::Kind::reply : static_cast<ring::Kind>(0x81);
          const ring::u64 word = ring::Head::make(ring::kStep, kind).word;
          std::memcpy(own.ring(kNormal) + at, &word, sizeof word);
        }
        return;
      default:  // anything anywhere: the directory, counters, words, both rings
        for (std::uint64_t left = random_.below(50); left != 0; --left)
          start(own)[random_.below(own.bytes())] = static_cast<std::byte>(random_.word());
    }
  }

  // Changes committed records as fast as it can: the server checks and reads them meanwhile.
  static void flip(Client& client, const std::atomic<bool>& over, std::uint64_t seed) {
    std::byte* ring = client.segment.ring(kNormal);
    while (!over.load(std::memory_order_relaxed)) {
      seed = seed * 6364136223846793005 + 1442695040888963407;
      const std::size_t at = seed >> 48;    // 16 bits: within the ring
      if (at % ring::kStep < 32) continue;  // payloads: a header that changes would end the link at once
      std::atomic_ref(reinterpret_cast<unsigned char&>(ring[at])).fetch_xor(static_cast<unsigned char>(seed >> 40));
    }
  }

  void store_head(Out& out, std::uint64_t word) {
    const auto at = static_cast<ring::u32>(out.position()) & (out.ring_bytes() - 1);
    out.memory().store_head(at, word, ring::Order::release);
  }
  std::uint64_t any_position(const ring::SharedWord& now) {
    if (random_.one_in(2)) return random_.word();
    return now.load(std::memory_order_relaxed) + random_.below(200'000) - 100'000;
  }
  void spoil(void* message, std::size_t bytes) {
    for (std::uint64_t left = 1 + random_.below(3); left != 0; --left)
      static_cast<std::byte*>(message)[random_.below(bytes)] = static_cast<std::byte>(random_.word());
  }
  static std::byte* start(const shm::LinkSegment& own) { return own.ring(kNormal) - 4096; }  // link_segment.h

  static constexpr std::uint64_t kMethods = 4;  // of the services in the test
  HostileOptions options_;
  Deeds& deeds_;
  Random random_;
};

}  // namespace taut::testing
