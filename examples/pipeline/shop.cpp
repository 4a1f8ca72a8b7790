// Offers what the catalog finds and the prices price.   shop_shop [URL [CATALOG_URL [PRICES_URL]]]
#include "serve.h"
#include "services.h"

int main(int argc, char** argv) {
  const taut::Signals stop{SIGINT, SIGTERM};
  taut::Dispatcher loop;
  auto catalog = loop.connect<shop::Catalog>(argc > 2 ? argv[2] : "shm://shop-catalog");
  if (!catalog) return taut::report(catalog.error());
  auto prices = loop.connect<shop::Prices>(argc > 3 ? argv[3] : "shm://shop-prices");
  if (!prices) return taut::report(prices.error());
  shop_pipeline::Shop shop(*catalog, *prices);
  return shop_pipeline::serve_until_told(stop, loop, argc > 1 ? argv[1] : "shm://shop", shop);
}
