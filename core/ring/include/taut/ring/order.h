// Names for the memory orders of the ring's shared words. The ring is written against a memory policy, so that
// a model checker can drive the code that ships; the policy translates these into its own.
#pragma once

namespace taut::ring {

enum class Order { relaxed, acquire, release, seq_cst };

}  // namespace taut::ring
