// A small pool of persistent threads for loops over tasks.
//
// Workers sleep on a condition variable between loops: no spinning, which would slow whatever runs beside us. Several
// threads may call parallel_for at once; they share the workers, and each caller works on its own loop too, so a loop
// always finishes, even if no worker can be started. A child process after fork() gets a pool of its own.
#pragma once

#include <functional>

namespace ohlora {

// The CPUs that this process may use, at least 1.
int default_threads();

// Calls body(slot, task) for every task in [0, tasks), on at most `threads` threads, the caller's among them. `slot`,
// below `threads`, is the same for all calls on one thread of this loop: an index for scratch memory. If body
// throws, no further task begins, and the first exception is thrown here once the tasks under way have ended.
void parallel_for(int tasks, int threads, const std::function<void(int slot, int task)>& body);

}  // namespace ohlora
