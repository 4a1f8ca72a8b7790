#include <cstring>

#include "taut/stubs/stream.h"

namespace taut::stubs {

std::shared_ptr<OpenStream> OpenStream::open(rpc::CallClaim&& claim, std::uint32_t payload_bytes,
                                             const StreamOptions& options) noexcept {
  rpc::StreamCall opened = rpc::open_stream(std::move(claim), payload_bytes, options);
  auto call = std::make_shared<OpenStream>(opened);
  opened.call.then([call](const rpc::RawAnswer& answer) { call->finish(answer); });
  return call;
}

void OpenStream::finish(const rpc::RawAnswer& answer) {
  ended_ = true;
  status_ = answer.status;
  if (end_) return end_.finish(answer);
  if (!answer.payload.empty())
    std::memcpy(answer_.resize(answer.payload.size()), answer.payload.data(), answer.payload.size());
}

void OpenStream::tell_later() noexcept {
  rpc::Callback tell;
  tell.emplace([call = shared_from_this()](const rpc::RawAnswer&) {
    call->end_.finish({call->status_, call->answer_.bytes()});
  });
  stream.later(std::move(tell));
}

void OpenStream::close() noexcept {
  owes_close = false;
  (void)stream.close();  // `over` says that the call has ended, which then() tells
}

void OpenStream::let_go() noexcept {
  if (!ended_ && (owes_close || owes_each)) stream.cancel();
}

}  // namespace taut::stubs
