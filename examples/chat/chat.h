// The rooms. A member is a stream both ways; whoever's stream ends has left, however it ended.
//
// C1  what happens in a room has a number, and everybody in the room hears it in this order, without gaps
// C2  somebody who cannot be told is sent away: a member never waits for another, and nobody misses a line and stays
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat.taut.h"
#include "taut/taut.h"

namespace chat_rooms {

class Chat final : public chat::Chat::Service {
 public:
  void Talk(taut::Reader<chat::Line> in, taut::Writer<chat::Heard> out) override {
    if (closed_) return out.refuse(taut::Code::unavailable, "the chat is closing");
    const std::uint64_t id = ++last_member_;
    // By number: a member may be sent away between two of its lines.
    in.each([this, id](const chat::Line& line) { hear(id, line); });
    in.on_close([this, id](bool complete) { close(id, complete); });
    members_.try_emplace(id, Member{std::move(out), {}, nullptr});
  }

  void Sum(const chat::Nothing&, taut::Reply<chat::Totals> reply) override {
    reply.send(
        {.members = static_cast<std::uint32_t>(members_.size()), .rooms = static_cast<std::uint32_t>(rooms_.size())});
  }

  // Ends every stream, with `ok`: a drain then has nothing to wait for.
  void close() {
    closed_ = true;
    for (auto& [id, member] : members_) member.out.finish();
    members_.clear();
    rooms_.clear();
  }

 private:
  struct Room {
    std::string name;
    std::uint64_t number = 0;
    std::vector<std::uint64_t> members;
  };
  struct Member {
    taut::Writer<chat::Heard> out;
    std::string name;
    Room* room;  // null: has not said who it is
  };

  void hear(std::uint64_t id, const chat::Line& line) {
    const auto found = members_.find(id);
    if (found == members_.end()) return;
    Member& member = found->second;
    if (member.room != nullptr) {
      tell(*member.room, chat::What::said, member.name, line.text() != nullptr ? line.text()->string_view() : "");
    } else if (line.name() == nullptr || line.room() == nullptr) {
      member.out.refuse(taut::Code::invalid_argument, "the first line says a name and a room");
      members_.erase(found);
    } else {
      const std::string room = line.room()->str();
      member.name = line.name()->str();
      member.room = &rooms_.try_emplace(room, Room{room, 0, {}}).first->second;
      member.room->members.push_back(id);
      tell(*member.room, chat::What::joined, member.name, "");
    }
  }

  // The caller sends no more: it closed its side, or is gone.
  void close(std::uint64_t id, bool complete) {
    const auto found = members_.find(id);
    if (found == members_.end()) return;
    Member gone = take(found);
    if (complete) gone.out.finish();
    if (gone.room != nullptr) tell(*gone.room, chat::What::left, gone.name, "");
  }

  // Tells everybody, and of those who could not be told that they left, until all who are in the room heard everything:
  // keeps C1 and C2. An empty room goes.
  void tell(Room& room, chat::What what, std::string_view name, std::string_view text) {
    std::vector<std::string> sent_away;
    std::string leaver;
    while (true) {
      ++room.number;
      const std::vector<std::uint64_t> everybody = room.members;
      for (const std::uint64_t id : everybody) {
        const auto member = members_.find(id);
        if (member->second.out.send({.number = room.number, .what = what, .name = name, .text = text})) continue;
        member->second.out.refuse(taut::Code::resource_exhausted, "too slow for this room");
        sent_away.push_back(take(member).name);
      }
      if (room.members.empty()) {
        rooms_.erase(room.name);
        return;
      }
      if (sent_away.empty()) return;
      leaver = std::move(sent_away.back());
      sent_away.pop_back();
      what = chat::What::left;
      name = leaver;
      text = {};
    }
  }

  Member take(std::map<std::uint64_t, Member>::iterator member) {
    if (member->second.room != nullptr) std::erase(member->second.room->members, member->first);
    return std::move(members_.extract(member).mapped());
  }

  bool closed_ = false;
  std::uint64_t last_member_ = 0;
  std::map<std::uint64_t, Member> members_;
  std::map<std::string, Room> rooms_;
};

}  // namespace chat_rooms
