// The same for programs: taut.inspect/1.
#include "inspect_parts.h"
#include "say.h"
#include "taut/ring/board.h"

namespace taut::tool {
namespace {

template <class List, class Print>
std::string array_of(const List& list, Print&& print) {
  std::string text;
  for (const auto& one : list) text += (text.empty() ? "" : ",") + print(one);
  return "[" + text + "]";
}

std::string or_null(const std::optional<Nanoseconds>& time) { return time ? std::to_string(time->count()) : "null"; }

class Document {
 public:
  explicit Document(const Inspected& inspected) : all_(inspected) {}

  [[nodiscard]] std::string whole() const {
    return fmt::format("{{\"schema\":\"taut.inspect/1\",\"target\":{},\"notes\":{},\"processes\":{}}}",
                       json_text(all_.target), array_of(all_.notes, [](const auto& note) { return json_text(note); }),
                       array_of(all_.processes, [&](const auto& one) { return process(one); }));
  }

 private:
  [[nodiscard]] std::string process(const shm::ObservedProcess& process) const {
    const auto board = [](std::uint64_t state) {
      return fmt::format("{{\"asleep\":{},\"never_sleeps\":{},\"draining\":{}}}", (state & ring::board::asleep) != 0,
                         (state & ring::board::never_sleeps) != 0, (state & ring::board::draining) != 0);
    };
    return fmt::format(
        "{{\"pid\":{},\"uid\":{},\"name\":{},\"state\":{},\"stopped\":{},\"dispatchers\":{},\"services\":{},"
        "\"links\":{},\"troubles\":{}}}",
        process.process.pid, process.process.uid, json_text(process.process.name),
        json_text(std::string(1, process.process.state)), process.process.stopped(), array_of(process.boards, board),
        array_of(process.services, [](const auto& one) { return service(one); }),
        array_of(process.links, [&](const auto& one) { return link(one); }),
        array_of(process.troubles, [](const auto& trouble) { return json_text(trouble); }));
  }

  static std::string service(const shm::ObservedService& service) {
    const std::string halt =
        !service.halt ? "null"
                      : fmt::format("{{\"by_pid\":{},\"by_uid\":{},\"at_ns\":{},\"why\":{}}}", service.halt->pid,
                                    service.halt->uid, service.halt->at_ns, json_text(service.halt->why));
    const auto entry = [](const rpc::ServiceEntry& offered) {
      return fmt::format("{{\"name\":{},\"methods\":{}}}", json_text(offered.name),
                         array_of(offered.methods, [](const auto& method) { return json_text(method.name); }));
    };
    return fmt::format("{{\"name\":{},\"described\":{},\"services\":{},\"halt\":{},\"spare_segments\":{}}}",
                       json_text(service.name), service.described, array_of(service.methods.services(), entry), halt,
                       service.spare_segments);
  }

  [[nodiscard]] std::string link(const shm::ObservedLink& link) const {
    const auto& either = link.server.here ? link.server.agreement : link.client.agreement;
    const auto lanes = [&](const auto& rings) {
      return fmt::format("{{\"normal\":{},\"urgent\":{}}}", ring(link, rings[0], either.clock),
                         ring(link, rings[1], either.clock));
    };
    return fmt::format(
        "{{\"id\":\"{:x}\",\"service\":{},\"since_ns\":{},\"clock\":{},\"inflight\":{},\"client\":{},\"server\":{},"
        "\"requests\":{},\"answers\":{}}}",
        link.id, json_text(link.service), either.since_ns, json_text(to_text(either.clock)), either.inflight,
        side(link, link.client, shm::Side::client), side(link, link.server, shm::Side::server), lanes(link.requests),
        lanes(link.replies));
  }

  [[nodiscard]] std::string side(const shm::ObservedLink& link, const shm::ObservedSide& side, shm::Side which) const {
    if (!side.here) return "null";
    std::string counters;
    for (std::size_t i = 0; i < std::min(side.counters.size(), std::size(kCounterNames)); ++i) {
      counters += fmt::format("{}\"{}\":{}", counters.empty() ? "" : ",", kCounterNames[i], side.counters[i]);
    }
    const auto open = open_calls(side, which);
    const auto mark = [&](const shm::ObservedTaken& taken) {
      if (taken.call == 0) return fmt::format("{{\"position\":{},\"call\":null}}", taken.position);
      return fmt::format("{{\"position\":{},\"call\":{},\"method\":{},\"age_ns\":{}}}", taken.position, taken.call,
                         json_text(all_.meaning.method(link.service, taken.method)),
                         or_null(ages_.of(taken.since, side.agreement.clock)));
    };
    const std::string taken = which == shm::Side::client ? ""
                                                         : fmt::format(",\"taken\":{{\"normal\":{},\"urgent\":{}}}",
                                                                       mark(side.taken[0]), mark(side.taken[1]));
    return fmt::format(
        "{{\"pid\":{},\"out_of_sight\":{},\"process\":{},\"check\":{},\"reply_bytes_max\":{},\"open\":{},\"counters\":{"
        "{{}}}{}}}",
        side.agreement.pid, side.out_of_sight,
        side.process ? fmt::format("{{\"pid\":{},\"name\":{},\"state\":{},\"stopped\":{}}}", side.process->pid,
                                   json_text(side.process->name), json_text(std::string(1, side.process->state)),
                                   side.process->stopped())
                     : "null",
        json_text(to_text(side.agreement.check)), side.agreement.reply_bytes_max, open ? std::to_string(*open) : "null",
        counters, taken);
  }

  [[nodiscard]] std::string ring(const shm::ObservedLink& link, const shm::ObservedRing& ring,
                                 ClockSource clock) const {
    if (ring.bytes == 0) return fmt::format("{{\"trouble\":{}}}", json_text(ring.trouble));
    return fmt::format(
        "{{\"bytes\":{},\"fill\":{},\"released\":{},\"position\":{},\"touched\":{},\"count\":{},\"trouble\":{},"
        "\"records\":{}}}",
        ring.bytes, ring.fill(), ring.released, ring.position, ring.touched, ring.count,
        ring.trouble.empty() ? "null" : json_text(ring.trouble),
        array_of(ring.records, [&](const auto& one) { return record(link, one, clock); }));
  }

  [[nodiscard]] std::string record(const shm::ObservedLink& link, const shm::ObservedRecord& record,
                                   ClockSource clock) const {
    std::string text = fmt::format("{{\"state\":{},\"position\":{}", json_text(state_of(record)), record.position);
    if (record.torn) return text + "}";
    text += fmt::format(",\"kind\":{},\"call\":{},\"method\":{},\"bytes\":{}", record.head.kind_byte(), record.call,
                        record.method ? json_text(all_.meaning.method(link.service, record)) : "null",
                        record.payload_bytes);
    if (record.head.kind() == ring::Kind::request) {
      const bool timed = record.budget != ring::kBudgetNone && record.budget != ring::kBudgetLonger;
      text += fmt::format(",\"age_ns\":{},\"budget_ns\":{}", or_null(ages_.of(record.sent, clock)),
                          timed ? std::to_string(std::uint64_t{record.budget} * ring::kBudgetStepNs) : "null");
    }
    if (const auto status = status_of(record)) return text + fmt::format(",\"status\":{}}}", json_text(*status));
    const Shown shown = all_.meaning.payload(link.service, record, {});
    if (!shown.json.empty()) return text + fmt::format(",\"payload\":{},\"cut\":{}}}", shown.json, shown.cut);
    return text + fmt::format(",\"payload\":null,\"trouble\":{},\"hex\":\"{}\"}}", json_text(shown.trouble),
                              hex(record.payload, 64, record.payload_bytes));
  }

  const Inspected& all_;
  Ages ages_;
};

}  // namespace

void print_json(const Inspected& inspected) { fmt::print("{}\n", Document(inspected).whole()); }

}  // namespace taut::tool
