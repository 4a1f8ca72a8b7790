// Knows what there is.   shop_catalog [URL]
#include "serve.h"
#include "services.h"

int main(int argc, char** argv) {
  const taut::Signals stop{SIGINT, SIGTERM};
  shop_pipeline::Catalog catalog;
  taut::Dispatcher loop;
  return shop_pipeline::serve_until_told(stop, loop, argc > 1 ? argv[1] : "shm://shop-catalog", catalog);
}
