// DiLoCo (arXiv:2311.08105; algorithms.md A.13): many local AdamW steps, then Nesterov SGD at the
// server. With D the plain mean of the updates:
//
//   b <- mu b + D   (b = D in the first round)
//   x <- x + eta (D + mu b)
//
// eta = options.learning_rate * aggregator.server_learning_rate. Sites keep their optimizer's
// moments from task to task. 0.7 and 0.9 are the paper's, for pre-training: together they gain up
// to 7 and overshoot in a short fine-tuning; begin with learning_rate 1 and momentum 0 to 0.5
// there. State: b.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& DilocoStrategy();

}  // namespace tributary::aggregators
