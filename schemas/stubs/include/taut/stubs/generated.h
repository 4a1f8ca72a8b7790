// Everything that a generated header needs.
#pragma once

#include <optional>

#include "taut/stubs/answer.h"
#include "taut/stubs/await.h"
#include "taut/stubs/await_stream.h"
#include "taut/stubs/batch.h"
#include "taut/stubs/client.h"
#include "taut/stubs/items.h"
#include "taut/stubs/message.h"
#include "taut/stubs/reply.h"
#include "taut/stubs/schema.h"
#include "taut/stubs/serve.h"
#include "taut/stubs/served_stream.h"
#include "taut/stubs/setters.h"
#include "taut/stubs/stream.h"
#include "taut/stubs/task.h"
#include "taut/stubs/text.h"
