// A stream that is handed on: items cross over in both directions, each as fast as its receiver has credit for, and the
// answer of the far call follows the last of them.
#include <cstring>
#include <vector>

#include "taut/raw.h"

namespace taut::raw {
namespace {

// Owned by what its two calls call at their ends; what waits for items or credit only finds it while it is there.
class Relay final : public std::enable_shared_from_this<Relay> {
 public:
  Relay(rpc::StreamEnd near, rpc::StreamEnd far, bool caller_sends, Reply reply) noexcept
      : near_(std::move(near)), far_(std::move(far)), up_over_(!caller_sends), reply_(std::move(reply)) {}

  void start(rpc::PendingCall call) {
    const auto self = shared_from_this();
    call.then([self](const rpc::RawAnswer& answer) { self->ended(answer); });
    reply_.on_cancel([self] { self->far_.cancel(); });
    if (!far_.pull() || (!up_over_ && !near_.pull())) {
      far_.cancel();
      return reply_.refuse(Code::resource_exhausted, Why::none, "no memory to hand the stream on");
    }
    move_up();
    move_down();
  }

 private:
  enum class Moved : std::uint8_t { waits, all, over, too_big };

  template <void (Relay::*kAgain)()>
  Moved move(rpc::StreamEnd& from, rpc::StreamEnd& to, std::optional<Bytes>& item) {
    const auto later = [weak = weak_from_this()] {
      if (const auto self = weak.lock()) (*self.*kAgain)();
    };
    while (true) {
      if (!item) item = from.next();
      if (!item) {
        if (from.closed()) return Moved::all;
        from.on_change(later);
        return Moved::waits;
      }
      const auto bytes = static_cast<std::uint32_t>(item->size());
      Sent why = Sent::ok;
      std::byte* const room = to.claim(bytes, why);
      if (room == nullptr) {
        if (why == Sent::over) return Moved::over;
        if (why == Sent::too_big) return Moved::too_big;
        to.on_ready(later);
        return Moved::waits;
      }
      if (bytes != 0) std::memcpy(room, item->data(), bytes);
      (void)to.send(bytes);
      item.reset();
    }
  }

  // From the caller to the server.
  void move_up() {
    if (up_over_) return;
    const Moved moved = move<&Relay::move_up>(near_, far_, up_item_);
    if (moved == Moved::waits) return;
    up_over_ = true;
    if (moved == Moved::all) (void)far_.close();
    if (moved == Moved::too_big) refuse_item();
  }
  // From the server to the caller.
  void move_down() {
    const Moved moved = move<&Relay::move_down>(far_, near_, down_item_);
    if (moved == Moved::too_big) return refuse_item();
    if (moved != Moved::waits && ended_) finish();
  }
  void refuse_item() {
    far_.cancel();
    reply_.refuse(Code::resource_exhausted, Why::too_big, "an item fits one ring and not the other");
  }

  // Items that came before it may still wait for the caller's credit.
  void ended(const rpc::RawAnswer& answer) {
    ended_ = true;
    status_ = answer.status;
    payload_.assign(answer.payload.begin(), answer.payload.end());
    if (!reply_) return;
    reply_.on_cancel([self = shared_from_this()] { self->finish(); });
    move_down();
  }
  void finish() {
    Reply reply = std::move(reply_);
    if (!status_.ok()) return reply.refuse(status_);
    reply.answer(payload_);
  }

  rpc::StreamEnd near_, far_;
  bool up_over_;
  Reply reply_;
  std::optional<Bytes> up_item_, down_item_;  // taken from one side and not sent to the other
  bool ended_ = false;
  Status status_;
  std::vector<std::byte> payload_;
};

}  // namespace

void forward_stream(Client& to, std::uint16_t method, Bytes request, rpc::StreamEnd from, Reply reply,
                    StreamOptions options) {
  options.timeout = std::max(reply.left(), Nanoseconds{1});  // nothing left is a time-out that has passed
  const rpc::CallKind kind = to.kind(method);
  const bool caller_sends = kind == rpc::CallKind::client_stream || kind == rpc::CallKind::both_ways;
  rpc::StreamCall far = to.open(method, request, options);
  std::make_shared<Relay>(std::move(from), std::move(far.stream), caller_sends, std::move(reply))
      ->start(std::move(far.call));
}

}  // namespace taut::raw
